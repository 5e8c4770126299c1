//! A check of one model on any ledger, by public storage alone: nobody has to have kept a run folder.
//!
//! What a run's record would say is collected from the ledger and the blobs, and then the same checks are made as of a
//! folder, restricted to what the model rests on. What only a record can say (names of parties, the printed result) is not
//! there to be checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::U256;
use alloy_sol_types::{SolConstructor, SolType as _};
use histone_attestation::platform::is_hardware;
use histone_chain::{Chain, ManualClock};
use histone_contracts::book::Powers;
use histone_contracts::{
    AccessManager, Contract, Deployment, Enclaves, HistoneGovernor, LedgerError, Market, Members, Rounds,
    TimelockController,
};
use histone_ledger::view::directories;
use histone_ledger::{Connection, Ledger, Settings};
use histone_network::BlobStore;
use histone_protocol::consent::WhitePaper;
use histone_protocol::evidence::Platform;
use histone_protocol::plan::PlanDocument;
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256};

use super::findings::{Findings, count, told};
use super::gather::{self, Step};
use super::held::{Held, dataset, program, signed};
use super::history::History;
use super::record::{self, MOST_BLOCKS};
use super::run::{Counts, Head, Run};
use super::used::Locked;
use super::{Check, Outcome, Report, Reporter, VerifyError, enclaves_words, model_checks, open_ends};
use crate::folder::{FORMAT, ModelRecord, QueryRecord, RoundRecord, RunRecord};

/// Where the ledger of a model is.
#[derive(Debug, Clone)]
pub enum Source {
    /// The directory of an embedded chain, which is executed again.
    Chain {
        /// The directory.
        dir: PathBuf,
        /// The contract that names all others; needed where the chain has more than one.
        directory: Option<Address>,
    },
    /// A node of a network, which is believed.
    Node {
        /// The way to it.
        node: Connection,
        /// The contract that names all others.
        directory: Address,
        /// The first block that can hold anything of the ledger: earlier ones are not read.
        first_block: u64,
    },
}

/// Checks model `number` of a ledger by the public storage in the directory `blobs`; with an auditor's key also what is sealed. The observer hears each check as soon
/// as it is made.
///
/// # Errors
/// [`VerifyError`] when the storage is no directory, the node does not answer at the beginning, or there are several ledgers
/// and none was named. Whatever is wrong with ledger or blobs is a failed check.
pub async fn verify_model(
    source: &Source,
    blobs: &Path,
    number: u64,
    auditor: Option<&SealKey>,
    observer: &mut dyn FnMut(&Check),
) -> Result<Report, VerifyError> {
    if !blobs.is_dir() {
        return Err(VerifyError::NotADirectory(blobs.to_owned()));
    }
    let mut reporter = Reporter::new(observer);
    let (check, read) = read(source).await?;
    reporter.add(check);
    let mut open = Open::default();
    if let Some(read) = read {
        let public = Public { dir: blobs, store: BlobStore::at(blobs), auditor, heard: None };
        open = models(read, public, Some(number), &mut reporter).await;
    }
    let on_network = matches!(source, Source::Node { .. });
    open_ends(open.platform, on_network).chain(open.words).for_each(|check| reporter.add(check));
    Ok(Report { checks: reporter.checks })
}

/// Public storage, and who looks.
pub(super) struct Public<'a> {
    /// The directory of its blobs.
    pub(super) dir: &'a Path,
    /// The blobs in it, and perhaps the way to others.
    pub(super) store: BlobStore,
    /// The key of an auditor.
    pub(super) auditor: Option<&'a SealKey>,
    /// Hears which blobs are fetched; none where all that there are lie in the directory.
    pub(super) heard: Option<&'a mut dyn FnMut(Step)>,
}

/// What nobody can check of the models that were looked at.
pub(super) struct Open {
    /// By what their enclaves are believed.
    pub(super) platform: Platform,
    /// What enclaves alone have seen.
    pub(super) words: Vec<Check>,
}

impl Default for Open {
    fn default() -> Self {
        Self { platform: Platform::SIMULATED, words: Vec::new() }
    }
}

/// Checks contracts and powers, and one model of a ledger, or all.
pub(super) async fn models(
    (history, ledger, counts, head): Read,
    mut public: Public<'_>,
    number: Option<u64>,
    reporter: &mut Reporter<'_>,
) -> Open {
    let mut open = Open::default();
    let (check, settings) = contracts(&history, ledger.deployment());
    let ours = check.outcome == Outcome::Holds;
    reporter.add(check);
    reporter.add(powers(&history, ledger.deployment()));
    let Some(settings) = settings.filter(|_| ours) else { return open };
    let proposed = history.events::<Market::ModelProposed>(ledger.deployment(), Contract::Market).into_iter();
    let all = || proposed.filter_map(|s| u64::try_from(s.event.modelId).ok()).collect::<Vec<_>>();
    let numbers = number.map_or_else(all, |number| vec![number]);
    if numbers.is_empty() {
        let detail = "no model was proposed on this ledger".into();
        reporter.add(Check { name: "model", outcome: Outcome::NotCheckable, detail });
    }
    let history = Arc::new(history);
    let mut believed = BTreeSet::new();
    let mut last = None;
    for id in numbers {
        reporter.about = number.is_none().then_some(id);
        let of = (settings, history.clone(), ledger.clone(), (counts, head));
        let (checks, run) = collect(&mut public, id, of);
        checks.into_iter().for_each(|check| reporter.add(check));
        let Some(mut run) = run else { continue };
        super::audit(&mut run, public.auditor, reporter);
        believed.insert(run.record.platform);
        model_checks(&run, reporter).await;
        open.words.extend(enclaves_words(&run));
        last = Some(run);
    }
    reporter.about = None;
    if let Some(run) = last {
        reporter.add(money(&run).await);
    }
    // What only seems to be hardware is said also when other models are of real one.
    open.platform = believed.into_iter().min_by_key(|p| is_hardware(*p)).unwrap_or(open.platform);
    open
}

pub(super) type Read = (History, Ledger, Counts, Head);

/// The history of the ledger: executed again, or told.
async fn read(source: &Source) -> Result<(Check, Option<Read>), VerifyError> {
    let mut findings = Findings::new("chain");
    match source {
        Source::Chain { dir, directory } => {
            let executed = findings.take(record::executed(dir), || "the later checks were not made".into());
            let Some(report) = executed else { return Ok((findings.check(String::new()), None)) };
            let chain = Chain::open_read_only(dir, Arc::new(ManualClock::new(0))).map_err(|e| told(&e));
            let read = chain.and_then(|chain| Ok((History::read(&chain).map_err(|e| told(&e))?, chain)));
            let Some((history, chain)) = findings.take(read, || "the chain".into()) else {
                return Ok((findings.check(String::new()), None));
            };
            let connection = Connection::embedded(chain);
            let directory = match directory {
                Some(directory) => *directory,
                None => match directories(&connection).await?.as_slice() {
                    [one] => *one,
                    found => return Err(VerifyError::Directories(found.len())),
                },
            };
            let ledger = Ledger::find(connection, directory).await?;
            let counts = Counts { blocks: report.blocks, transactions: report.transactions, gas: report.gas };
            let head = Head { hash: report.head, state_digest: Some(report.state_digest) };
            let holds = format!(
                "{} blocks with {} transactions executed again, head {}, signed by {}",
                report.blocks, report.transactions, report.head, report.genesis.sequencer
            );
            Ok((findings.check(holds), Some((history, ledger, counts, head))))
        }
        Source::Node { node, directory, first_block } => {
            let last = node.head().await?;
            let ledger = Ledger::find(node.clone(), *directory).await?.as_of(last.block);
            if last.block.saturating_sub(*first_block) > MOST_BLOCKS {
                findings.fail(format!(
                    "the node says that its last block is {}; more than {MOST_BLOCKS} blocks are not read: name a later --first-block",
                    last.block
                ));
                return Ok((findings.check(String::new()), None));
            }
            let told = History::told(node, *first_block, last.block, last.hash).await;
            let Some(history) = findings.take(told, || "the later checks were not made".into()) else {
                return Ok((findings.check(String::new()), None));
            };
            let gas = history.sent.iter().fold(0u64, |sum, sent| sum.saturating_add(sent.gas));
            let transactions = history.sent.len() as u64;
            let counts = Counts {
                blocks: (last.block - first_block.min(&last.block)).saturating_add(1),
                transactions,
                gas,
            };
            let head = Head { hash: last.hash, state_digest: None };
            let detail = format!(
                "the history is what {} says: {transactions} transactions in the blocks {first_block} to {}, head {}; its validators, not this program, executed it",
                node.what(),
                last.block,
                last.hash
            );
            let check = Check { name: "chain", outcome: Outcome::NotCheckable, detail };
            Ok((check, Some((history, ledger, counts, head))))
        }
    }
}

/// The contracts are ours, made with our code, and the members decide.
fn contracts(history: &History, d: &Deployment) -> (Check, Option<Settings>) {
    let mut findings = Findings::new("contracts");
    let made = made(history, d).ok_or_else(|| {
        "the transactions that made manager, timelock and governor are not those of our code".to_string()
    });
    let Some((founder, settings)) = findings.take(made, || "not ours".into()) else {
        return (findings.check(String::new()), None);
    };
    findings.take(settings.check(), || "the settings".into());
    record::ours(d, &settings, founder, history, &mut findings);
    let Settings { voting_delay, voting_period, quorum_percent, timelock_delay, token } = settings;
    let money = token.map_or_else(|| "a TEST token of its own".into(), |token| format!("the token {token}"));
    let check = findings.check(format!(
        "{} contracts made with our code and named by the directory {}, money is {money}; voting delay {voting_delay} s, voting period {voting_period} s, quorum {quorum_percent} %, timelock delay {timelock_delay} s at the beginning",
        Contract::ALL.len(),
        d.directory
    ));
    (check, Some(settings))
}

/// Who decided: the members alone, from the hand-over on, and more than one of them.
fn powers(history: &History, d: &Deployment) -> Check {
    let mut findings = Findings::new("powers");
    let mut powers = Powers::of(d);
    let (mut now, mut handed_over) = (0, None);
    for (log, time) in history.logs() {
        powers.see(log, Some(time));
        now = time;
        if handed_over.is_none() && powers.handed_over(time) {
            handed_over = Some(powers.exceptions());
        }
    }
    for other in powers.others(now) {
        findings.fail(format!("not the members alone decide: {other}"));
    }
    let Some(before) = handed_over else {
        findings.fail("there was no moment from which on the members alone decided");
        return findings.check(String::new());
    };
    // A decision of members may do that, too; whether it was theirs nobody can tell from events.
    let since = powers.exceptions().saturating_sub(before);
    let mut members: BTreeSet<Address> = BTreeSet::new();
    let added = history.events::<Members::MemberAdded>(d, Contract::Members).into_iter();
    let removed = history.events::<Members::MemberRemoved>(d, Contract::Members).into_iter();
    let ordered = history.events::<TimelockController::CallScheduled>(d, Contract::Timelock).into_iter();
    let mut turns: Vec<(usize, Option<(Address, bool)>)> =
        added.map(|s| (s.order, Some((s.event.account, true)))).collect();
    turns.extend(removed.map(|s| (s.order, Some((s.event.account, false)))));
    turns.extend(ordered.map(|s| (s.order, None)));
    turns.sort_by_key(|(order, _)| *order);
    let mut lonely = 0;
    for (_, turn) in turns {
        match turn {
            Some((account, true)) => drop(members.insert(account)),
            Some((account, false)) => drop(members.remove(&account)),
            None => lonely += usize::from(members.len() < 2),
        }
    }
    let check = findings
        .check(format!("the members decide alone since the hand-over; there are {} now", members.len()));
    if check.outcome == Outcome::Holds && (since > 0 || lonely > 0) {
        let detail = format!(
            "{} since the hand-over gave away power over the contracts for a time, and {} ordered by a vote of a single member: whether what was allowed then was the will of the members nobody can tell from here",
            count(usize::try_from(since).unwrap_or(usize::MAX), "event", "events"),
            count(lonely, "call was", "calls were")
        );
        return Check { name: "powers", outcome: Outcome::NotCheckable, detail };
    }
    check
}

/// Who founded the ledger and how, from the arguments of the constructors.
fn made(history: &History, d: &Deployment) -> Option<(Address, Settings)> {
    fn arguments<C: SolConstructor>(history: &History, address: Address, code: &[u8]) -> Option<C> {
        let input = &history.creation(address)?.input;
        let arguments = input.strip_prefix(code)?;
        C::Parameters::abi_decode_sequence(arguments).ok().map(C::new)
    }
    let manager: AccessManager::constructorCall = arguments(history, d.manager, &AccessManager::BYTECODE)?;
    let timelock: TimelockController::constructorCall =
        arguments(history, d.timelock, &TimelockController::BYTECODE)?;
    let governor: HistoneGovernor::constructorCall =
        arguments(history, d.governor, &HistoneGovernor::BYTECODE)?;
    let founder = manager.initialAdmin;
    let own = histone_ledger::creation_code(Contract::Token, d, founder, &Settings::default());
    let token = history.creation(d.token).is_none_or(|made| own.as_deref() != Some(&*made.input));
    let settings = Settings {
        token: token.then_some(d.token),
        voting_delay: governor.votingDelay_.to::<u64>(),
        voting_period: governor.votingPeriod_.into(),
        quorum_percent: u8::try_from(governor.quorumPercent).ok()?,
        timelock_delay: u64::try_from(timelock.minDelay).ok()?,
    };
    Some((founder, settings))
}

/// What a record would say of one model.
fn collect(
    public: &mut Public<'_>,
    number: u64,
    (settings, history, ledger, of): (Settings, Arc<History>, Ledger, (Counts, Head)),
) -> (Vec<Check>, Option<Run>) {
    let mut findings = Findings::new("model");
    let d = ledger.deployment().clone();
    let id = U256::from(number);
    let proposed = history.events::<Market::ModelProposed>(&d, Contract::Market);
    let known = proposed.len();
    let proposed = proposed.into_iter().find(|s| s.event.modelId == id);
    let Some(proposed) = proposed else {
        findings.fail(format!("there is no model {number} on this ledger, which has {known}"));
        return (vec![findings.check(String::new())], None);
    };
    let blobs = public.store.clone();
    let paper = findings
        .take(signed::<WhitePaper>(&blobs, proposed.event.whitePaperHash), || "its white paper".into());
    let plan = blobs.get(proposed.event.planHash).map_err(|e| told(&e));
    let plan = plan.and_then(|bytes| PlanDocument::from_bytes(&bytes).map_err(|e| told(&e)));
    let plan = findings.take(plan, || "its plan".into());
    let (Some((paper, _)), Some(plan)) = (paper, plan) else {
        return (vec![findings.check(String::new())], None);
    };
    let donated = history.events::<Market::Donated>(&d, Contract::Market).into_iter();
    let donated: Vec<_> = donated.filter(|s| s.event.modelId == id).map(|s| s.event).collect();
    let model =
        ModelRecord::proposed(number, proposed.event.whitePaperHash, proposed.event.planHash, Vec::new());
    let record = RunRecord {
        format: FORMAT.into(),
        study: String::new(),
        platform: paper.appraisal.platforms.first().copied().unwrap_or(Platform::SIMULATED),
        vendor: paper.appraisal.simulated_vendors.first().copied().unwrap_or_default(),
        evidence_max_age: paper.appraisal.max_age_seconds,
        network: None,
        deployment: d.clone(),
        settings,
        parties: Vec::new(),
        programs: Vec::new(),
        evidence: Vec::new(),
        datasets: Vec::new(),
        models: vec![model],
    };
    let mut run = Run::of_model(blobs.clone(), paper.appraisal.clone(), record, history, ledger, of);
    let gathered = public.heard.as_mut().map(|heard| {
        let wanted = gather::wanted(&run, number, &paper, &plan);
        gather::fetch(wanted, &blobs, number, &mut **heard)
    });
    let held = Held::read(public.dir);
    let there = |hash: &B256| held.names.contains(hash);
    let decisions: BTreeSet<B256> = donated.iter().map(|e| e.decision).filter(there).collect();
    let finished = run.events::<Market::TrainingFinished>(Contract::Market);
    let sold = finished.iter().find(|s| s.event.modelId == id).map(|s| s.event.modelHash);
    let shown = run.events::<Enclaves::EnclaveRegistered>(Contract::Enclaves).into_iter();
    let later = run.events::<Enclaves::EnclaveRefreshed>(Contract::Enclaves).into_iter();
    let evidence = shown.map(|s| s.event.evidenceHash).chain(later.map(|s| s.event.evidenceHash));
    run.record.evidence = evidence.filter(there).collect::<BTreeSet<_>>().into_iter().collect();
    let programs = gather::programs(&paper, &plan).into_iter();
    run.record.programs = programs.filter_map(|p| program(&run.history, &d, &blobs, &held, p)).collect();
    let ids: BTreeSet<B256> = donated.iter().map(|e| e.datasetId).collect();
    run.record.datasets = ids.iter().filter_map(|id| dataset(&run.history, &d, *id)).collect();
    let (rounds, queries, blob) = (rounds(&run, id, &held), queries(&run, id), held.model(sold));
    let hosted = run.events::<Market::HostedModel>(Contract::Market).into_iter();
    let hosted = hosted.filter(|s| s.event.modelId == id).map(|s| s.event.statementHash).next_back();
    let evaluations = held.evaluations(&blobs, number, sold);
    if let Some(model) = run.record.models.first_mut() {
        (model.decisions, model.evaluations) = (decisions.into_iter().collect(), evaluations);
        model.hosted = hosted;
        (model.rounds, model.queries, model.model) = (rounds, queries, blob);
    }
    let methods = record::methods(run.blobs(), &run.record);
    let Some(methods) = findings.take(methods, || "the method".into()) else {
        return (std::iter::once(findings.check(String::new())).chain(gathered).collect(), None);
    };
    run.teach(methods);
    let rounds = run.record.models.first().map_or(0, |model| model.rounds.len());
    let check = findings.check(format!(
        "model {number}: `{}` by {}, {}, {}; what follows is about it and what it rests on",
        paper.name,
        proposed.event.trainer,
        count(donated.len(), "donation", "donations"),
        count(rounds, "round", "rounds"),
    ));
    (std::iter::once(check).chain(gathered).collect(), Some(run))
}

fn rounds(run: &Run, id: U256, held: &Held) -> Vec<RoundRecord> {
    let anchored = run.events::<Rounds::UpdateAnchored>(Contract::Rounds);
    let opened = run.events::<Rounds::RoundOpened>(Contract::Rounds).into_iter();
    let of = opened.filter(|s| s.event.modelId == id).map(|opened| {
        let locked = Locked::of(run, &opened);
        let survivors: BTreeSet<u16> = locked.iter().flat_map(|l| l.survivors.iter().copied()).collect();
        let here =
            anchored.iter().map(|s| &s.event).filter(|e| e.modelId == id && e.round == opened.event.round);
        let updates = here.filter(|e| survivors.contains(&e.donorIndex)).map(|e| (e.donorIndex, e.blobHash));
        let posted = locked.iter().flat_map(|l| l.kept()).map(|p| p.hash);
        let done = run.events::<Rounds::RoundFinal>(Contract::Rounds).into_iter();
        let done = done.map(|s| s.event).any(|e| e.modelId == id && e.round == opened.event.round);
        // A round without a sum leaves nothing to open.
        let partials: BTreeSet<B256> = posted.filter(|hash| done && held.names.contains(hash)).collect();
        RoundRecord {
            round: opened.event.round,
            stage: String::new(),
            header: opened.event.headerHash,
            updates: updates.collect(),
            partials: partials.into_iter().collect(),
        }
    });
    of.collect()
}

fn queries(run: &Run, id: U256) -> Vec<QueryRecord> {
    let settled = run.events::<Market::QuerySettled>(Contract::Market).into_iter().map(|s| s.event);
    let of = settled.filter(|e| e.modelId == id);
    of.map(|e| QueryRecord { query_id: e.queryId, question: e.jobId, answer: e.outputHash }).collect()
}

/// The market has what it owes, to whomever and for whatever model, by the one fold of its events.
async fn money(run: &Run) -> Check {
    let mut findings = Findings::new("money");
    let of = [Contract::Members, Contract::Market, Contract::Rounds];
    let read: Result<_, LedgerError> = async {
        let ledger = &run.ledger;
        Ok((ledger.book(&of).await?, ledger.holdings().await?, ledger.money().await?))
    }
    .await;
    let Some((book, holdings, token)) = findings.take(read.map_err(|e| told(&e)), || "the market".into())
    else {
        return findings.check(String::new());
    };
    let money = book.revenue(holdings);
    findings.expect(money.holds(), || {
        format!(
            "{} was paid in, {} paid out and {} is owed; the market says that it owes {} and has {}",
            token.whole(money.paid_in),
            token.whole(money.paid_out),
            token.whole(money.owed),
            token.whole(money.obligations),
            token.whole(money.balance)
        )
    });
    // The sign is the token's own word.
    let sign: String = token.symbol.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    findings.check(format!(
        "of {} {sign} paid in {} were paid out and {} are owed, over all models, and the market has them",
        token.whole(money.paid_in),
        token.whole(money.paid_out),
        token.whole(money.owed)
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use histone_contracts::book::Role;
    use histone_contracts::{Members, roles};
    use histone_ledger::governance::{Action, Support};

    use super::super::founder::Founder;
    use super::*;

    fn told(founder: &Founder) -> Check {
        powers(&History::read(&founder.chain).unwrap(), founder.ledger.deployment())
    }

    fn person(n: u8, what: u8) -> Members::addCall {
        let (profile, seal_key) = (B256::repeat_byte(n), B256::repeat_byte(n));
        Members::addCall { account: Address::repeat_byte(n), roles: what, profile, sealKey: seal_key }
    }

    #[tokio::test]
    async fn who_decided_is_told() {
        let honest = Founder::new().await;
        let (ledger, key) = (&honest.ledger, &honest.key);
        for n in 2..5 {
            ledger.send(key, Contract::Members, person(n, roles::OWNER)).await.unwrap();
        }
        let early = told(&honest);
        assert_eq!(early.outcome, Outcome::Fails, "{early:?}");
        ledger.hand_over(key, Address::repeat_byte(9)).await.unwrap();
        let check = told(&honest);
        assert_eq!(
            (check.outcome, check.detail.as_str()),
            (Outcome::Holds, "the members decide alone since the hand-over; there are 3 now")
        );

        // Alone, and then in company of its own choice.
        let lonely = Founder::new().await;
        let (ledger, key) = (&lonely.ledger, &lonely.key);
        let call = Members::addCall { account: key.address(), ..person(1, roles::OWNER) };
        ledger.send(key, Contract::Members, call).await.unwrap();
        lonely.pass(2).await;
        ledger.hand_over(key, Address::repeat_byte(9)).await.unwrap();
        assert_eq!(told(&lonely).outcome, Outcome::Holds);
        let accomplice = Action::AddMember {
            account: Address::repeat_byte(8),
            roles: vec![Role::Owner],
            profile: B256::repeat_byte(8),
            seal_key: B256::repeat_byte(8),
        };
        let number = ledger.propose(key, &[accomplice], "as agreed with myself").await.unwrap();
        lonely.pass(2).await;
        ledger.vote(key, number, Support::For, "").await.unwrap();
        lonely.pass(11).await;
        let proposals = ledger.proposals().await.unwrap();
        ledger.carry_out(key, &proposals[0]).await.unwrap();
        let check = told(&lonely);
        assert_eq!(check.outcome, Outcome::NotCheckable);
        assert!(check.detail.contains("1 call was ordered by a vote of a single member"), "{check:?}");
    }
}
