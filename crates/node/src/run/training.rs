//! The rounds of training, and the evaluation at each site.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

use histone_compliance::folder::RoundRecord;
use histone_contracts::{Contract, Market, Rounds, reasons};
use histone_enclave::training::RoundTranscript;
use histone_federation::header::RoundHeader;
use histone_program_sdk::method::Fact;
use histone_program_sdk::model::Model;
use histone_protocol::agreement::{Carried, Dropped, RECOMPUTED};
use histone_protocol::disclosure::{Place, Release};
use histone_protocol::record::Signed;
use histone_protocol::report::SiteEvaluation;
use histone_protocol::{B256, U256};

use super::course::{After, Course, Ended, record};
use super::hosted::{self, HostedOutcome};
use super::outcome::{RoundSummary, Struck, Withdrawn};
use super::recruiting::Recruited;
use super::setup::{Cast, rounds_at_most};
use super::{Observer, Options};
use crate::committee::Lock;
use crate::error::NodeError;
use crate::study::{Study, Tokens};
use crate::trainer::Leading;

/// What training left.
pub(super) struct Trained {
    /// The model, where it is for more than query enclaves.
    pub(super) model: Option<Model>,
    pub(super) facts: Vec<Fact>,
    pub(super) model_blob: B256,
    pub(super) model_hash: B256,
    pub(super) records: Vec<RoundRecord>,
    pub(super) summaries: Vec<RoundSummary>,
    pub(super) withdrawn: Vec<Withdrawn>,
    pub(super) struck: Vec<Struck>,
    /// The one enclave that had all data, and what it said.
    pub(super) hosted: Option<HostedOutcome>,
}

/// Leads the main model through its rounds.
pub(super) async fn train(
    study: &Study,
    options: &Options,
    cast: &mut Cast,
    recruited: &Recruited,
    observer: &mut dyn Observer,
) -> Result<Trained, NodeError> {
    if cast.host.is_some() {
        return hosted::train(study, options, cast, recruited, observer).await;
    }
    let world = cast.world.clone();
    let model_id = recruited.model_id;
    let at_most = rounds_at_most(study);
    let mut course = Course::start(cast.loaded.method.clone(), recruited.plan.clone())?;
    let mut records = Vec::new();
    let mut summaries = Vec::new();
    let mut withdrawn = Vec::new();
    let mut stopped: BTreeSet<String> = BTreeSet::new();
    main_trainer(cast, study)?.start(model_id, &world).await?;
    let mut leading = lead(study, cast, recruited).await?;
    for member in &mut cast.committee {
        member.review(model_id, &world).await?;
    }
    let ended = loop {
        let round = records.len() as u32 + 1;
        let (stage, asked) = (course.stage(), course.asked());
        let began = Instant::now();
        for left in options.withdrawals.iter().filter(|w| w.round == round) {
            for owner in cast.owners.iter_mut().filter(|o| o.party.name == left.participant) {
                let what = owner.withdraw(&world).await?.to_string();
                observer.note(&format!("before round {round} {} withdraws: {what}", left.participant));
                withdrawn.push(Withdrawn { participant: left.participant.clone(), round, what });
            }
        }
        let here = |participant: &str| {
            !withdrawn.iter().any(|w| w.participant == participant) && !stopped.contains(participant)
        };
        let opened = main_trainer(cast, study)?.open_round(&asked, &mut leading, &world).await;
        let (header, header_blob) = match opened {
            Err(NodeError::Round(_)) if !withdrawn.is_empty() => {
                let left =
                    cast.owners.iter().filter(|o| o.donation().is_some() && here(&o.party.name)).count();
                return Err(give_up(study, cast, model_id, round, left as u16).await?);
            }
            opened => opened?,
        };
        let (mut absent, mut wait) = (Vec::new(), false);
        for owner in &mut cast.owners {
            let dropped =
                options.drop_outs.iter().any(|d| d.participant == owner.party.name && round >= d.round);
            let invited = owner.donation().is_some_and(|(_, donor)| header.has_donor(donor));
            if invited && stopped.contains(&owner.party.name) {
                wait = true;
            }
            if !invited || !here(&owner.party.name) {
                continue;
            }
            if dropped {
                absent.push(owner.party.name.clone());
                continue;
            }
            owner.contribute(&header, &world).await?;
        }
        if !absent.is_empty() {
            let who = absent.join(", ");
            observer.note(&format!("round {round}: {who} did not answer (SIMULATED failure)"));
            wait = true;
        }
        if wait {
            cast.wait(leading.round_seconds + 1, observer).await?;
        }
        let (survivors, enough) = main_trainer(cast, study)?.close_round(model_id, round, &world).await?;
        if !enough {
            return Err(give_up(study, cast, model_id, round, survivors).await?);
        }
        let partials = open_sum(cast, &header).await?;
        let finished = course.finish(study, cast, &header, &partials, &here).await?;
        let transcript = finished.transcript;
        for (participant, why) in finished.stopped {
            observer.note(&format!("round {round}: the enclave of {participant} follows no further: {why}"));
            stopped.insert(participant);
        }
        for dropped in &finished.dropped {
            observer.note(&not_counted(round, dropped, donor_name(cast, dropped.donor)));
        }
        records.push(record(round, &stage, header_blob, &transcript, &partials));
        summaries.push(RoundSummary {
            round,
            stage: stage.clone(),
            survivors,
            missing: missing(cast, &transcript),
            basis: finished.carried.as_ref().map_or(RECOMPUTED.into(), |c| c.words(survivors.into())),
            disagree: disagree(cast, finished.carried.as_ref()),
            numbers: header.dimension() as u64,
            update_bytes: transcript.survivors.iter().map(|(_, blob)| blob.len() as u64).sum(),
            partial_bytes: transcript.partials.iter().map(|p| p.len() as u64).sum(),
            milliseconds: began.elapsed().as_secs_f64() * 1e3,
        });
        observer.round(round, at_most, &stage);
        match finished.after {
            After::Next(next) => course = next,
            After::Ended(ended) => break *ended,
            After::NoModel => return Err(no_model(study, cast, model_id).await?),
        }
    };
    for (what, list) in [("drop out", &options.drop_outs), ("withdraw", &options.withdrawals)] {
        for d in list.iter().filter(|d| d.round as usize > records.len()) {
            observer.note(&format!(
                "{} was to {what} in round {}, but the training ended after round {}",
                d.participant,
                d.round,
                records.len()
            ));
        }
    }
    let struck = struck(cast, model_id, observer).await?;
    let Ended { mut model, facts, model_hash, model_blob } = ended;
    main_trainer(cast, study)?.finish(model_id, model_hash, &world).await?;
    if recruited.plan.model == Release::Participants {
        let donors = summaries.last().map(|last: &RoundSummary| last.missing.clone()).unwrap_or_default();
        let there = |name: &str| {
            !donors.iter().any(|m| m == name) && !withdrawn.iter().any(|w| w.participant == name)
        };
        model = share(study, cast, (model_id, model_hash, model_blob), &there).await?;
    }
    let hosted = None;
    Ok(Trained { model, facts, model_blob, model_hash, records, summaries, withdrawn, struck, hosted })
}

/// The donors of the model that are not in a sum, by name.
fn missing(cast: &Cast, transcript: &RoundTranscript) -> Vec<String> {
    let donors = cast.owners.iter().filter_map(|o| Some((o.donation()?.1, o.party.name.clone())));
    let missing = donors.filter(|(donor, _)| transcript.survivors.iter().all(|(there, _)| there != donor));
    missing.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Whose enclaves say that a round led to something else, by name.
fn disagree(cast: &Cast, carried: Option<&Carried>) -> Vec<String> {
    let others = carried.map_or(&[][..], |c| &c.others);
    others.iter().filter_map(|donor| donor_name(cast, *donor)).map(String::from).collect()
}

/// Who a donor is in the study.
fn donor_name(cast: &Cast, donor: u16) -> Option<&str> {
    let owner = cast.owners.iter().find(|o| o.donation().is_some_and(|(_, d)| d == donor));
    owner.map(|o| o.party.name.as_str())
}

/// How it is said that a statement of an enclave did not count.
fn not_counted(round: u32, dropped: &Dropped, participant: Option<&str>) -> String {
    let who = participant.map(|name| format!(" ({name})")).unwrap_or_default();
    format!("round {round}{who}: {dropped}; the others go on without it")
}

/// Whom the committee left out of the training, and why.
async fn struck(cast: &Cast, model_id: u64, observer: &mut dyn Observer) -> Result<Vec<Struck>, NodeError> {
    let about = Some(B256::from(U256::from(model_id)));
    let ledger = &cast.world.ledger;
    let excluded = ledger.logged::<Market::DonorExcluded>(Contract::Market, about).await?;
    let named = ledger.logged::<Rounds::DonorNamed>(Contract::Rounds, about).await?;
    let mut struck = Vec::new();
    for named in named.into_iter().map(|n| n.event).filter(|n| n.reason != reasons::SILENT) {
        let is = |donor: u16| donor == named.donorIndex;
        let owner = cast.owners.iter().find(|o| o.donation().is_some_and(|(_, donor)| is(donor)));
        if let Some(owner) = owner.filter(|_| excluded.iter().any(|e| is(e.event.donorIndex))) {
            let (participant, why) = (owner.party.name.clone(), reasons::words(named.reason));
            observer.note(&format!("the committee left {participant} out: {why}; it is paid nothing"));
            struck.push(Struck { participant, round: named.round, why });
        }
    }
    Ok(struck)
}

pub(super) fn main_trainer<'a>(
    cast: &'a Cast,
    study: &Study,
) -> Result<&'a crate::trainer::Trainer, NodeError> {
    cast.trainers
        .get(&study.model.trainer)
        .ok_or_else(|| NodeError::Message(format!("there is no trainer `{}`", study.model.trainer)))
}

/// A failure that cannot happen is a slip of the pen, and is said before anything starts.
pub(super) fn check_drop_outs(study: &Study, options: &Options) -> Result<(), NodeError> {
    let at_most = rounds_at_most(study);
    if study.training.disclosure.place == Place::OneEnclave && !options.drop_outs.is_empty() {
        return Err(NodeError::Message(
            "nobody drops out of a training in one enclave: it has no rounds that anybody answers".into(),
        ));
    }
    let verbs = [("drop out", &options.drop_outs), ("withdraw", &options.withdrawals)];
    for (verb, list) in verbs {
        if let Some(d) = list.iter().find(|d| d.round > at_most) {
            return Err(NodeError::Message(format!(
                "`{}` cannot {verb} in round {}: the training has at most {at_most} rounds",
                d.participant, d.round
            )));
        }
    }
    for (i, w) in options.withdrawals.iter().enumerate() {
        if options.withdrawals[..i].iter().any(|other| other.participant == w.participant) {
            return Err(NodeError::Message(format!(
                "`{}` can withdraw once only; name one round",
                w.participant
            )));
        }
    }
    Ok(())
}

async fn lead(study: &Study, cast: &Cast, recruited: &Recruited) -> Result<Leading, NodeError> {
    let plan = &recruited.document;
    let (round, opening) = (plan.round_seconds, plan.opening_seconds);
    main_trainer(cast, study)?.lead(recruited.model_id, plan.min_survivors, round, opening, &cast.world).await
}

/// The committee locks the survivors, strikes whoever cannot be in the sum, and publishes what opens it.
async fn open_sum(cast: &mut Cast, header: &RoundHeader) -> Result<Vec<B256>, NodeError> {
    let world = cast.world.clone();
    // Each donor takes at most three turns to be struck: it is accused, it answers, it is judged.
    for _ in 0..=3 * header.fields().cohort.len() {
        let mut striking = Vec::new();
        for member in &mut cast.committee {
            if let Lock::Striking(donors) = member.lock(header, &world).await? {
                striking.extend(donors);
            }
        }
        if striking.is_empty() {
            let mut partials = Vec::new();
            for member in &mut cast.committee {
                partials.push(member.publish(header, &world).await?);
            }
            return Ok(partials);
        }
        for owner in &mut cast.owners {
            owner.answer_accusations(header, &world).await?;
        }
    }
    Err(NodeError::Message(format!("the sum of round {} was not opened", header.fields().round)))
}

/// Too few survivors: the trainer ends the training. The deposit returns, but for what the donors of open sums are owed.
pub(super) async fn give_up(
    study: &Study,
    cast: &Cast,
    model_id: u64,
    round: u32,
    survivors: u16,
) -> Result<NodeError, NodeError> {
    let trainer = main_trainer(cast, study)?;
    trainer.abort(model_id, &cast.world).await?;
    let progress = Rounds::progressCall { modelId: U256::from(model_id) };
    let progress = cast.world.ledger.read(Contract::Rounds, progress).await?;
    let owed = Market::owedCall { account: trainer.party.account() };
    let owed = cast.world.ledger.read(Contract::Market, owed).await?;
    if !owed.is_zero() {
        cast.world.ledger.send(&trainer.party.key, Contract::Market, Market::claimCall {}).await?;
    }
    Ok(NodeError::TooFewSurvivors {
        round,
        survivors,
        // A model has at most 65,535 donors.
        donors: cast.owners.iter().filter(|o| o.donation().is_some()).count() as u16,
        needed: study.training.min_survivors as u16,
        deposit: Tokens::from_micro(owed.saturating_to()).to_string(),
        trainer: trainer.party.name.clone(),
        donors_are_paid: match progress.opened {
            0 => "",
            _ => ", the rest is the donors', who are paid for the sums that are open",
        },
    })
}

/// A sealed training that came to no model: why, nobody outside of the enclaves learns. The donors of its sums are paid.
pub(super) async fn no_model(study: &Study, cast: &Cast, model_id: u64) -> Result<NodeError, NodeError> {
    main_trainer(cast, study)?.abort(model_id, &cast.world).await?;
    Ok(NodeError::NoModel)
}

/// Every participant in the last sum gets the model from its own enclave, and the trainer from the first of them. Gives it.
async fn share(
    study: &Study,
    cast: &mut Cast,
    (model_id, name, blob): (u64, B256, B256),
    there: &dyn Fn(&str) -> bool,
) -> Result<Option<Model>, NodeError> {
    let world = cast.world.clone();
    let trainer = main_trainer(cast, study)?.party.account();
    let mut for_trainer = None;
    for owner in cast.owners.iter_mut().filter(|o| o.donation().is_some() && there(&o.party.name)) {
        let key = owner.share_model(owner.account(), &world).await?;
        crate::model::receive(&owner.party, model_id, name, &key, &world.blobs.get(blob)?)?;
        if for_trainer.is_none() {
            for_trainer = Some(owner.share_model(trainer, &world).await?);
        }
    }
    let Some(key) = for_trainer else { return Ok(None) };
    let trainer = &main_trainer(cast, study)?.party;
    Ok(Some(crate::model::receive(trainer, model_id, name, &key, &world.blobs.get(blob)?)?))
}

/// What the sites say of the model.
pub(super) struct Evaluated {
    pub(super) blobs: Vec<B256>,
    /// By participant name.
    pub(super) sites: Vec<(String, SiteEvaluation)>,
    /// Participants in the last sum who said nothing.
    pub(super) silent: Vec<String>,
}

/// The enclave of each donor in the last sum evaluates the finished model on its own rows.
pub(super) fn evaluate(cast: &mut Cast, trained: &Trained) -> Result<Evaluated, NodeError> {
    let world = cast.world.clone();
    let mut evaluated = Evaluated { blobs: Vec::new(), sites: Vec::new(), silent: Vec::new() };
    if let Some(hosted) = &trained.hosted {
        return hosted.evaluated(cast);
    }
    let mut speaking = Vec::new();
    for owner in &mut cast.owners {
        let name = &owner.party.name;
        let last = trained.summaries.last();
        let gone = last.is_some_and(|last| last.missing.contains(name));
        let struck = trained.struck.iter().any(|s| s.participant == *name);
        if owner.donation().is_none() || gone || struck {
            continue;
        }
        if trained.withdrawn.iter().any(|w| w.participant == *name) {
            evaluated.silent.push(name.clone());
            continue;
        }
        speaking.push(owner);
    }
    // Sites do not wait for each other. No more at once than there are processors: each takes the memory of a program.
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    for some in speaking.chunks_mut(at_once) {
        let said = thread::scope(|scope| {
            let at_work: Vec<_> =
                some.iter_mut().map(|owner| scope.spawn(|| owner.evaluate(&world))).collect();
            let join =
                |site: ScopedJoinHandle<'_, _>| site.join().unwrap_or_else(|panic| resume_unwind(panic));
            at_work.into_iter().map(join).collect::<Vec<_>>()
        });
        for (owner, blob) in some.iter().zip(said) {
            let blob = blob?;
            let statement = Signed::<SiteEvaluation>::from_bytes(&world.blobs.get(blob)?)?.open()?.0;
            evaluated.blobs.push(blob);
            evaluated.sites.push((owner.party.name.clone(), statement));
        }
    }
    Ok(evaluated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use histone_protocol::agreement::Invalid;

    #[test]
    fn a_note_says_whose_statement_did_not_count_and_why() {
        let dropped = Dropped { donor: 3, why: Invalid::Signature };
        assert_eq!(
            not_counted(2, &dropped, Some("ward")),
            "round 2 (ward): a statement of donor 3 counts for nothing: it is not signed by its enclave for this round, header and \
             survivors; the others go on without it"
        );
        // Who is in no sum of the study has no name there.
        let stranger = Dropped { donor: 9, why: Invalid::Stranger };
        assert!(not_counted(2, &stranger, None).starts_with("round 2: a statement of donor 9"));
    }
}
