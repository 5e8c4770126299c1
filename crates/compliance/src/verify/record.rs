//! The chain, and the record that says what is where on it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use histone_chain::{Chain, Genesis, ManualClock, ReplayReport, replay};
use histone_contracts::book::Powers;
use histone_contracts::{
    Contract, Deployment, Directory, Market, Members, TimelockController, directory_name,
};
use histone_enclave::described::Described;
use histone_enclave::engine::{Budget, Engine};
use histone_enclave::method::HostedMethod;
use histone_enclave::program::Program;
use histone_ledger::{Connection, Ledger, Settings, creation_code};
use histone_network::BlobStore;
use histone_protocol::hash::blob_hash;
use histone_protocol::plan::PlanDocument;
use histone_protocol::{Address, B256};

use super::files;
use super::findings::{Findings, count, told};
use super::history::History;
use super::parties;
use super::run::{Counts, Head, Methods, Run};
use super::{Check, Outcome};
use crate::folder::{FORMAT, Folder, Manifest, RunRecord};

/// Blocks of a chain with a larger gas limit are not executed: they could keep a reader busy for ever.
pub(super) const MOST_GAS: u64 = 10 * Genesis::GAS_LIMIT;
/// Largest run record.
const LARGEST_RECORD: u64 = 64 << 20;
/// More blocks of a network are not read: a run takes thousands.
pub(super) const MOST_BLOCKS: u64 = 10_000_000;
/// More parties than any run has.
const MOST_PARTIES: usize = 100_000;

/// Executes the chain again and compares it with what the manifest says.
pub(super) fn chain(folder: &Folder, manifest: Option<&(Manifest, Address)>) -> (Check, Option<Source>) {
    let mut findings = Findings::new("chain");
    let report = findings.take(executed(&folder.ledger()), || "the later checks were not made".into());
    let Some(report) = report else { return (findings.check(String::new()), None) };
    if let Some((manifest, signer)) = manifest {
        findings.expect(manifest.head == report.head, || {
            format!("its head is {}, manifest.json says {}", report.head, manifest.head)
        });
        findings.expect(manifest.height.checked_add(1) == Some(report.blocks), || {
            format!(
                "its last block is {}, manifest.json says {}",
                report.blocks.saturating_sub(1),
                manifest.height
            )
        });
        findings.expect(manifest.state_digest == Some(report.state_digest), || {
            let listed = manifest.state_digest.map_or_else(|| "nothing".into(), |d| d.to_string());
            format!("its state has the digest {}, manifest.json says {listed}", report.state_digest)
        });
        findings.expect(*signer == report.genesis.sequencer, || {
            format!("manifest.json is signed by {signer}, the chain by {}", report.genesis.sequencer)
        });
    }
    let holds = format!(
        "{} blocks with {} transactions executed again, head {}, signed by {}",
        report.blocks, report.transactions, report.head, report.genesis.sequencer
    );
    (findings.check(holds), Some(Source::Replayed(report)))
}

/// The chain that was executed last in this process, by the hash of its files: whoever checks a folder again whose chain is the same waits
/// once.
static EXECUTED: Mutex<Option<(B256, ReplayReport)>> = Mutex::new(None);
/// Larger chains are not read for a hash.
const MOST_HASHED: u64 = 64 << 20;

/// The hash of a directory's files; none of one that cannot be read, has folders in it, or is too large.
fn hash_of(dir: &Path) -> Option<B256> {
    let entries: BTreeSet<_> =
        fs::read_dir(dir).ok()?.map(|entry| Some(entry.ok()?.path())).collect::<Option<_>>()?;
    let (mut all, mut bytes) = (Vec::new(), 0_u64);
    for file in entries {
        let size = fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file)?.len();
        bytes = bytes.saturating_add(size);
        if bytes > MOST_HASHED {
            return None;
        }
        all.extend(blob_hash(file.file_name()?.to_str()?.as_bytes()));
        all.extend(blob_hash(&fs::read(&file).ok()?));
    }
    Some(blob_hash(&all))
}

/// Executes the chain in a directory again, unless it is, byte for byte, the one that was executed last.
pub(super) fn executed(dir: &Path) -> Result<ReplayReport, String> {
    let before = hash_of(dir);
    let kept = EXECUTED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((_, report)) = kept.filter(|(hash, _)| Some(*hash) == before) {
        return Ok(report);
    }
    let report = execute(dir)?;
    // Of files that have changed meanwhile nobody knows which were executed.
    if let Some(hash) = before.filter(|_| hash_of(dir) == before) {
        *EXECUTED.lock().unwrap_or_else(PoisonError::into_inner) = Some((hash, report.clone()));
    }
    Ok(report)
}

fn execute(dir: &Path) -> Result<ReplayReport, String> {
    let run = || {
        let clock = Arc::new(ManualClock::new(0));
        let gas_limit = Chain::open_read_only(dir, clock).map_err(|e| told(&e))?.genesis().gas_limit;
        if gas_limit > MOST_GAS {
            return Err(format!("its blocks may use {gas_limit} gas, at most {MOST_GAS} are executed here"));
        }
        replay(dir).map_err(|e| told(&e))
    };
    // The store may panic on a file that was altered in the middle, which is then an altered file and not a crash.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("the file of the chain is damaged".into()))
}

/// Where the contracts of a run are whose ledger is on a network; `None` when it is not, or nobody can tell.
pub(super) fn network_of(folder: &Folder) -> Option<Deployment> {
    files::bounded(&folder.record(), LARGEST_RECORD).ok()?;
    let (record, _) = folder.read::<RunRecord>(&folder.record()).ok()?;
    record.network.map(|_| record.deployment)
}

/// Where the history of a run comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The chain in the folder, executed again here.
    Replayed(ReplayReport),
    /// A node.
    Told {
        /// The way to it.
        node: Connection,
        /// What it tells of the blocks of the run.
        history: History,
        /// The first and the last of them.
        blocks: (u64, u64),
        /// Who signed the manifest.
        operator: Address,
        /// The node's chain id.
        chain_id: u64,
        /// Hash of the last block.
        head: B256,
    },
}

impl Source {
    fn operator(&self) -> Address {
        match self {
            Source::Replayed(report) => report.genesis.sequencer,
            Source::Told { operator, .. } => *operator,
        }
    }

    fn chain_id(&self) -> u64 {
        match self {
            Source::Replayed(report) => report.genesis.chain_id,
            Source::Told { chain_id, .. } => *chain_id,
        }
    }
}

/// Compares the blocks that a node tells with the head that the operator signed.
pub(super) async fn network(
    folder: &Folder,
    manifest: Option<&(Manifest, Address)>,
    node: &Connection,
) -> (Check, Option<Source>) {
    let mut findings = Findings::new("chain");
    let told = findings.take(tell(folder, manifest, node).await, || "the later checks were not made".into());
    let Some(source) = told else { return (findings.check(String::new()), None) };
    let mut check = findings.check(String::new());
    if let Source::Told { history, blocks: (first, last), .. } = &source {
        check.outcome = Outcome::NotCheckable;
        check.detail = format!(
            "the history is what {} says: {} transactions in the blocks {first} to {last}, up to the head that the operator signed; its validators, not this program, executed it",
            node.what(),
            history.sent.len()
        );
    }
    (check, Some(source))
}

async fn tell(
    folder: &Folder,
    manifest: Option<&(Manifest, Address)>,
    node: &Connection,
) -> Result<Source, String> {
    let (manifest, operator) = manifest.ok_or("without manifest.json it is unknown where the run ended")?;
    files::bounded(&folder.record(), LARGEST_RECORD).map_err(|e| format!("run.json: {e}"))?;
    let record: RunRecord = folder.read(&folder.record()).map_err(|e| told(&e))?.0;
    let network = record.network.ok_or("run.json names no network")?;
    let chain_id = node.chain_id().await.map_err(|e| told(&e))?;
    if record.deployment.chain_id != chain_id {
        let id = record.deployment.chain_id;
        return Err(format!("the run is on chain {id}, {} is a node of chain {chain_id}", node.what()));
    }
    let (first, last) = (network.first_block, manifest.height);
    if first > last || last - first > MOST_BLOCKS {
        return Err(format!("no run takes the blocks {first} to {last}"));
    }
    let history = History::told(node, first, last, manifest.head).await?;
    let (node, operator) = (node.clone(), *operator);
    Ok(Source::Told { node, history, blocks: (first, last), operator, chain_id, head: manifest.head })
}

/// Reads the record and finds the contracts that it names.
pub(super) fn check(folder: &Folder, source: Source) -> (Check, Option<Run>) {
    let mut findings = Findings::new("record");
    let run = read(folder, source, &mut findings);
    let contracts = run.is_some() && findings.clean();
    if !contracts {
        // Whatever other contracts say has no meaning that this program knows.
        findings.fail("the later checks were not made");
    }
    let holds = run.as_ref().map_or_else(String::new, |run| {
        let (r, parties) = (&run.record, run.record.parties.len());
        format!(
            "study `{}` with {parties} parties, {} contracts made with our code and named by the directory, {} enclaves; the founder's power has ended, the members decide: voting delay {} s, voting period {} s, quorum {} %, timelock delay {} s",
            r.study,
            Contract::ALL.len(),
            r.platform,
            r.settings.voting_delay,
            r.settings.voting_period,
            r.settings.quorum_percent,
            r.settings.timelock_delay
        )
    });
    (findings.check(holds), run.filter(|_| contracts))
}

fn read(folder: &Folder, source: Source, findings: &mut Findings) -> Option<Run> {
    let path = folder.record();
    let sized = files::bounded(&path, LARGEST_RECORD);
    findings.take(sized, || "run.json".into())?;
    let read = folder.read::<RunRecord>(&path).map_err(|e| told(&e));
    let (record, signer) = findings.take(read, || "run.json".into())?;
    let operator = source.operator();
    findings.expect(signer == operator, || {
        let of = if record.network.is_some() { "manifest.json" } else { "the chain" };
        format!("run.json is signed by {signer}, {of} by {operator}")
    });
    findings.expect(record.format == FORMAT, || {
        format!("run.json has format `{}`, this program reads `{FORMAT}`", record.format)
    });
    findings.expect(record.parties.len() <= MOST_PARTIES, || "run.json has too many parties".into());
    let mut accounts = BTreeSet::new();
    for party in &record.parties {
        for account in std::iter::once(&party.account).chain(&party.payees) {
            findings.expect(accounts.insert(*account), || {
                format!("account {account} of `{}` belongs to another party too", party.name)
            });
        }
    }
    let methods = findings.take(methods(&BlobStore::at(folder.blobs()), &record), || "the methods".into())?;

    let chain_id = source.chain_id();
    let deployment = record.deployment.clone();
    let (history, ledger, counts, head) = match source {
        Source::Replayed(report) => {
            let clock = Arc::new(ManualClock::new(0));
            let chain = Chain::open_read_only(&folder.ledger(), clock).map_err(|e| told(&e));
            let chain = findings.take(chain, || "the chain".into())?;
            let history = History::read(&chain).map_err(|e| told(&e));
            let history = findings.take(history, || "the chain".into())?;
            let ReplayReport { blocks, transactions, gas, head, state_digest, .. } = report;
            let head = Head { hash: head, state_digest: Some(state_digest) };
            let ledger = Ledger::at(Connection::embedded(chain), deployment.clone());
            (history, ledger, Counts { blocks, transactions, gas }, head)
        }
        Source::Told { node, history, blocks: (first, last), head, .. } => {
            // A block of a network may hold transactions of others.
            let ours = history.sent.iter().filter(|s| accounts.contains(&s.from));
            let (transactions, gas) = ours.fold((0, 0u64), |(n, gas), s| (n + 1, gas.saturating_add(s.gas)));
            let ledger = Ledger::at(node, deployment.clone()).as_of(last);
            let head = Head { hash: head, state_digest: None };
            (history, ledger, Counts { blocks: last - first + 1, transactions, gas }, head)
        }
    };
    findings.expect(deployment.chain_id == chain_id, || {
        format!("run.json names chain {}, the ledger is chain {chain_id}", deployment.chain_id)
    });
    contracts(&deployment, &record.settings, operator, &history, findings);
    if findings.clean() {
        for added in history.events::<Members::MemberAdded>(&deployment, Contract::Members) {
            let account = added.event.account;
            findings.expect(accounts.contains(&account), || {
                format!("run.json does not name the member {account}, added in block {}", added.block)
            });
        }
    }
    let run = Run::new(folder, record, methods, history, ledger, (counts, head));
    if findings.clean() {
        parties::check(&run, operator, findings);
    }
    Some(run)
}

/// Seconds for all that a method computes in one check: whoever made the folder chose it, and calls that each end in time
/// could still keep a reader busy for ever.
const MOST_SECONDS: u64 = 30 * 60;

/// The methods of all models that were trained, by measurement, with one budget for all.
pub(super) fn methods(blobs: &BlobStore, record: &RunRecord) -> Result<Methods, String> {
    let budget = Budget::of_seconds(MOST_SECONDS);
    let mut methods = Methods::default();
    for model in record.models.iter().filter(|model| model.is_trained()) {
        let of = |e: String| format!("of model {}: {e}", model.model_id);
        let plan = blobs.get(model.plan).map_err(|e| of(told(&e)))?;
        let plan = PlanDocument::from_bytes(&plan).map_err(|e| of(told(&e)))?;
        let measurement = plan.programs.training;
        if plan.disclosure.is_closed() {
            let manifest = blobs.get(plan.manifest).map_err(|e| of(told(&e)))?;
            let described = Described::read(measurement, &manifest).map_err(|e| of(told(&e)))?;
            methods.described.insert(measurement, described);
        } else if let Entry::Vacant(place) = methods.read.entry(measurement) {
            let method = method(blobs, record, measurement).map_err(of)?;
            methods.described.insert(measurement, (&method).into());
            place.insert(method.within(budget.clone()));
        }
    }
    Ok(methods)
}

/// The method with a measurement, from the module in the folder. That the module is registered and audited is another check.
fn method(blobs: &BlobStore, record: &RunRecord, measurement: B256) -> Result<HostedMethod, String> {
    let program = record.programs.iter().find(|p| p.measurement == measurement);
    let program = program.ok_or_else(|| format!("{measurement} is no program that is known here"))?;
    let wasm = program.wasm.ok_or_else(|| format!("the module of `{}` is not here", program.name))?;
    let wasm = blobs.get(wasm).map_err(|e| told(&e))?;
    let admitted = Program::published(&wasm).map_err(|e| told(&e))?;
    if admitted.measurement() != measurement.0 {
        return Err(format!("the module of `{}` does not measure {measurement}", program.name));
    }
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(method) = compiled.get(&measurement.0) {
        return Ok(method.clone());
    }
    let loaded = Engine::new().and_then(|engine| engine.load(admitted)).map_err(|e| told(&e))?;
    let method = HostedMethod::new(loaded).map_err(|e| told(&e))?;
    // Modules of strangers do not fill the memory.
    if compiled.len() >= MOST_COMPILED {
        compiled.clear();
    }
    compiled.insert(measurement.0, method.clone());
    Ok(method)
}

/// Methods that were compiled in this process, by their measurements: whoever checks many folders waits once.
static COMPILED: Mutex<BTreeMap<[u8; 32], HostedMethod>> = Mutex::new(BTreeMap::new());
const MOST_COMPILED: usize = 8;

/// Each contract was made by a transaction with our code and the right arguments: a look at the deployed code would not
/// do, because it holds the arguments. The directory names them and nothing else, and only the members' own decisions
/// can change anything.
fn contracts(
    deployment: &Deployment,
    settings: &Settings,
    operator: Address,
    history: &History,
    findings: &mut Findings,
) {
    ours(deployment, settings, operator, history, findings);
    powers(deployment, history, findings);
    // Whatever another token says of its transfers would be believed by the check of the money.
    findings.expect(settings.token.is_none(), || {
        let token = settings.token.unwrap_or_default();
        format!("run.json says that the money {token} was there before; a run makes its TEST token")
    });
    findings.take(settings.check(), || "run.json".into());
}

/// Each contract was made by a transaction with our code, and the directory names them and nothing else.
pub(super) fn ours(
    deployment: &Deployment,
    settings: &Settings,
    founder: Address,
    history: &History,
    findings: &mut Findings,
) {
    for contract in Contract::ALL {
        let address = deployment.address(contract);
        let Some(code) = creation_code(contract, deployment, founder, settings) else { continue };
        match history.creation(address) {
            None => findings.fail(format!("no transaction made the {contract} contract at {address}")),
            Some(creation) if *creation.input != *code => findings.fail(format!(
                "the {contract} contract at {address}, made in block {}, has other code or arguments than ours",
                creation.block
            )),
            Some(_) => {}
        }
    }
    let set: Vec<_> = history
        .events::<Market::RoundsSet>(deployment, Contract::Market)
        .iter()
        .map(|s| s.event.rounds)
        .collect();
    findings.expect(set == [deployment.rounds], || {
        format!("the market takes models from {set:?}, not from the rounds contract {}", deployment.rounds)
    });
    let named: BTreeMap<B256, Address> = history
        .events::<Directory::Named>(deployment, Contract::Directory)
        .into_iter()
        .map(|s| (s.event.name, s.event.target))
        .collect();
    for contract in Contract::ALL {
        let (found, address) = (named.get(&directory_name(contract)), deployment.address(contract));
        findings.expect(found == Some(&address), || {
            let found = found.map_or_else(|| "nothing".into(), Address::to_string);
            format!("the directory has {found} as `{contract}`, run.json says {address}")
        });
    }
    findings.expect(named.len() <= Contract::ALL.len(), || {
        "the directory names more contracts than a deployment has".into()
    });
}

/// The members alone decide: the founder left, and left nobody with a power that no vote gave.
fn powers(deployment: &Deployment, history: &History, findings: &mut Findings) {
    let mut powers = Powers::of(deployment);
    let mut now = 0;
    for (log, time) in history.logs() {
        powers.see(log, Some(time));
        now = time;
    }
    let others = powers.others(now);
    for other in &others {
        findings.fail(format!("the founder's power has not ended: {other}"));
    }
    findings.expect(!others.is_empty() || powers.exceptions() == 0, || {
        let events = count(powers.exceptions().try_into().unwrap_or(usize::MAX), "event", "events");
        format!("{events} gave away power over the contracts for a time, which no run does")
    });
    // A founder who is the only member decides alone; what was ordered then can be carried out after the hand-over.
    for order in history.events::<TimelockController::CallScheduled>(deployment, Contract::Timelock) {
        let (block, target) = (order.block, order.event.target);
        findings.fail(format!("a vote ordered a call of {target} in block {block}; no run has votes"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use alloy_sol_types::SolCall;
    use histone_contracts::{AccessManager, manager_roles, roles};
    use histone_ledger::governance::{Action, Support};

    use super::super::founder::{Founder, SETTINGS};
    use super::*;

    impl Founder {
        /// What is found after the hand-over.
        async fn leaves(&self) -> Check {
            self.ledger.hand_over(&self.key, Address::repeat_byte(9)).await.unwrap();
            self.found(&SETTINGS)
        }

        fn found(&self, settings: &Settings) -> Check {
            let mut findings = Findings::new("record");
            let history = History::read(&self.chain).unwrap();
            contracts(self.ledger.deployment(), settings, self.key.address(), &history, &mut findings);
            findings.check("all is well".into())
        }
    }

    #[tokio::test]
    async fn a_founder_who_left_powers_behind_is_found() {
        let honest = Founder::new().await;
        let early = honest.found(&SETTINGS);
        assert!(early.detail.contains("the founder's power has not ended: "), "{early:?}");
        assert_eq!(honest.leaves().await.detail, "all is well");

        let functions =
            [Members::addCall::SELECTOR, Members::setRolesCall::SELECTOR, Members::removeCall::SELECTOR];
        let sly = Founder::new().await;
        sly.gives(&functions, 7).await;
        let account = sly.key.address();
        sly.manages(AccessManager::grantRoleCall { roleId: 7, account, executionDelay: 0 }).await;
        let found = sly.leaves().await;
        let expected =
            format!("the founder's power has not ended: role 7 ({account}) may call members.add; ");
        assert!(found.detail.contains(&expected) && found.outcome == Outcome::Fails, "{found:?}");
        assert!(found.detail.ends_with(&format!("there is role 7 ({account})")), "{found:?}");

        let rueful = Founder::new().await;
        rueful.gives(&functions[..1], 7).await;
        rueful.gives(&functions[..1], manager_roles::ADMIN).await;
        let found = rueful.leaves().await;
        assert_eq!(found.detail, "2 events gave away power over the contracts for a time, which no run does");

        let usurper = Founder::new().await;
        let d = usurper.ledger.deployment().clone();
        usurper
            .manages(AccessManager::updateAuthorityCall { target: d.members, newAuthority: d.rounds })
            .await;
        let found = usurper.leaves().await;
        assert!(found.detail.contains(&format!("members obeys {}", d.rounds)), "{found:?}");
    }

    #[tokio::test]
    async fn what_a_lonely_founder_ordered_by_vote_is_found() {
        let lonely = Founder::new().await;
        let (ledger, key) = (&lonely.ledger, &lonely.key);
        let (profile, seal_key) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let add =
            Members::addCall { account: key.address(), roles: roles::OWNER, profile, sealKey: seal_key };
        ledger.send(key, Contract::Members, add).await.unwrap();
        lonely.pass(2).await;
        let accomplice = Action::AddMember {
            account: Address::repeat_byte(8),
            roles: vec![histone_contracts::book::Role::Owner],
            profile,
            seal_key,
        };
        let number = ledger.propose(key, &[accomplice], "as agreed with myself").await.unwrap();
        lonely.pass(2).await;
        ledger.vote(key, number, Support::For, "").await.unwrap();
        lonely.pass(11).await;
        let proposals = ledger.proposals().await.unwrap();
        ledger.carry_out(key, &proposals[0]).await.unwrap();
        let found = lonely.leaves().await;
        let members = ledger.deployment().members;
        assert!(found.detail.starts_with(&format!("a vote ordered a call of {members}")), "{found:?}");
        assert!(found.detail.ends_with("no run has votes"), "{found:?}");
    }

    #[tokio::test]
    async fn settings_that_no_run_has_are_found() {
        let honest = Founder::new().await;
        honest.leaves().await;
        let (token, huge) = (Some(Address::repeat_byte(5)), u64::MAX);
        for (settings, problem) in [
            (Settings { token, ..SETTINGS }, "a run makes its TEST token"),
            (Settings { voting_delay: huge, ..SETTINGS }, "run.json: the voting delay in seconds is"),
            (Settings { voting_period: huge, ..SETTINGS }, "run.json: the voting period in seconds is"),
            (Settings { quorum_percent: 0, ..SETTINGS }, "run.json: the quorum in percent is 0"),
            (Settings { timelock_delay: 2, ..SETTINGS }, "has other code or arguments than ours"),
        ] {
            let found = honest.found(&settings);
            assert!(found.outcome == Outcome::Fails && found.detail.contains(problem), "{found:?}");
        }
    }
}
