//! The chain, and the record that says what is where on it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use alloy_primitives::hex;
use alloy_sol_types::SolConstructor;
use histone_chain::{Chain, Genesis, ManualClock, ReplayReport, replay};
use histone_federation::plan::Plan;
use histone_ledger::contracts::{
    AccessManager, Datasets, Enclaves, Market, Members, Programs, Rounds, TestToken,
};
use histone_ledger::{Connection, Contract, Deployment, Ledger};
use histone_network::BlobStore;
use histone_protocol::Address;

use super::Check;
use super::files;
use super::findings::{Findings, told};
use super::history::History;
use super::run::Run;
use crate::folder::{FORMAT, Folder, Manifest};

/// Blocks of a chain with a larger gas limit are not executed: they could keep a reader busy for ever.
const MOST_GAS: u64 = 10 * Genesis::GAS_LIMIT;
/// Largest run record.
const LARGEST_RECORD: u64 = 64 << 20;
/// More parties than any run has.
const MOST_PARTIES: usize = 100_000;

/// Executes the chain again and compares it with what the manifest says.
pub(super) fn chain(
    folder: &Folder,
    manifest: Option<&(Manifest, Address)>,
) -> (Check, Option<ReplayReport>) {
    let mut findings = Findings::new("chain");
    let report = findings.take(executed(folder), || "the later checks were not made".into());
    let Some(report) = report else { return (findings.check(String::new()), None) };
    if let Some((manifest, signer)) = manifest {
        findings.expect(manifest.head == report.head, || {
            format!("its head is {}, manifest.json says {}", report.head, manifest.head)
        });
        findings.expect(manifest.state_digest == report.state_digest, || {
            let (found, listed) = (report.state_digest, manifest.state_digest);
            format!("its state has the digest {found}, manifest.json says {listed}")
        });
        findings.expect(*signer == report.genesis.sequencer, || {
            format!("manifest.json is signed by {signer}, the chain by {}", report.genesis.sequencer)
        });
    }
    let holds = format!(
        "{} blocks with {} transactions executed again, head {}, signed by {}",
        report.blocks, report.transactions, report.head, report.genesis.sequencer
    );
    (findings.check(holds), Some(report))
}

fn executed(folder: &Folder) -> Result<ReplayReport, String> {
    let dir = folder.ledger();
    let run = || {
        let clock = Arc::new(ManualClock::new(0));
        let gas_limit = Chain::open_read_only(&dir, clock).map_err(|e| told(&e))?.genesis().gas_limit;
        if gas_limit > MOST_GAS {
            return Err(format!("its blocks may use {gas_limit} gas, at most {MOST_GAS} are executed here"));
        }
        replay(&dir).map_err(|e| told(&e))
    };
    // The store may panic on a file that was altered in the middle, which is then an altered file and not a crash.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("the file of the chain is damaged".into()))
}

/// Reads the record and finds the contracts that it names.
pub(super) fn check(folder: &Folder, replayed: &ReplayReport) -> (Check, Option<Run>) {
    let mut findings = Findings::new("record");
    let run = read(folder, replayed, &mut findings);
    let contracts = run.is_some() && findings.clean();
    if !contracts {
        // Whatever other contracts say has no meaning that this program knows.
        findings.fail("the later checks were not made");
    }
    let holds = run.as_ref().map_or_else(String::new, |run| {
        let (r, parties) = (&run.record, run.record.parties.len());
        format!(
            "study `{}` with {parties} parties, 8 contracts made with our code, {} enclaves",
            r.study, r.platform
        )
    });
    (findings.check(holds), run.filter(|_| contracts))
}

fn read(folder: &Folder, replayed: &ReplayReport, findings: &mut Findings) -> Option<Run> {
    let path = folder.record();
    let sized = files::bounded(&path, LARGEST_RECORD);
    findings.take(sized, || "run.json".into())?;
    let read = folder.read::<crate::folder::RunRecord>(&path).map_err(|e| told(&e));
    let (record, signer) = findings.take(read, || "run.json".into())?;
    let operator = replayed.genesis.sequencer;
    findings
        .expect(signer == operator, || format!("run.json is signed by {signer}, the chain by {operator}"));
    findings.expect(record.format == FORMAT, || {
        format!("run.json has format `{}`, this program reads `{FORMAT}`", record.format)
    });
    findings.expect(record.parties.len() <= MOST_PARTIES, || "run.json has too many parties".into());
    let mut accounts = BTreeSet::new();
    for party in &record.parties {
        for account in std::iter::once(&party.account).chain(&party.pseudonyms) {
            findings.expect(accounts.insert(*account), || {
                format!("account {account} of `{}` belongs to another party too", party.name)
            });
        }
    }
    let plan = hex::decode(&record.plan).map_err(|e| e.to_string());
    let plan = plan.and_then(|bytes| Plan::decode(&bytes).map_err(|e| told(&e)));
    let plan = findings.take(plan, || "the training plan in run.json".into())?;

    let clock = Arc::new(ManualClock::new(0));
    let chain = Chain::open_read_only(&folder.ledger(), clock).map_err(|e| told(&e));
    let chain = findings.take(chain, || "the chain".into())?;
    let history = findings.take(History::read(&chain).map_err(|e| told(&e)), || "the chain".into())?;
    contracts(&record.deployment, operator, replayed, &history, findings);
    if findings.clean() {
        for added in history.events::<Members::MemberAdded>(&record.deployment, Contract::Members) {
            let account = added.event.account;
            findings.expect(accounts.contains(&account), || {
                format!("run.json does not name the member {account}, added in block {}", added.block)
            });
        }
    }
    Some(Run {
        folder: folder.clone(),
        blobs: BlobStore::at(folder.blobs()),
        ledger: Ledger::at(Connection::embedded(chain), record.deployment.clone()),
        record,
        plan,
        replayed: replayed.clone(),
        history,
    })
}

/// Each contract was made by a transaction with our code and the right arguments: a look at the deployed code would not
/// do, because it holds the arguments.
fn contracts(
    deployment: &Deployment,
    operator: Address,
    replayed: &ReplayReport,
    history: &History,
    findings: &mut Findings,
) {
    let chain_id = replayed.genesis.chain_id;
    findings.expect(deployment.chain_id == chain_id, || {
        format!("run.json names chain {}, the ledger is chain {chain_id}", deployment.chain_id)
    });
    for (contract, code) in expected(deployment, operator) {
        let address = deployment.address(contract);
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
}

/// What the transactions that made the contracts carry.
fn expected(d: &Deployment, operator: Address) -> [(Contract, Vec<u8>); 8] {
    fn code(bytecode: &[u8], constructor: &impl SolConstructor) -> Vec<u8> {
        [bytecode, &constructor.abi_encode()].concat()
    }
    [
        (
            Contract::Manager,
            code(&AccessManager::BYTECODE, &AccessManager::constructorCall { initialAdmin: operator }),
        ),
        (Contract::Token, code(&TestToken::BYTECODE, &TestToken::constructorCall { owner: operator })),
        (Contract::Members, code(&Members::BYTECODE, &Members::constructorCall { manager: d.manager })),
        (Contract::Programs, code(&Programs::BYTECODE, &Programs::constructorCall { members_: d.members })),
        (
            Contract::Enclaves,
            code(
                &Enclaves::BYTECODE,
                &Enclaves::constructorCall { members_: d.members, programs_: d.programs },
            ),
        ),
        (
            Contract::Datasets,
            code(
                &Datasets::BYTECODE,
                &Datasets::constructorCall { members_: d.members, enclaves_: d.enclaves },
            ),
        ),
        (
            Contract::Market,
            code(
                &Market::BYTECODE,
                &Market::constructorCall {
                    manager: d.manager,
                    token_: d.token,
                    members_: d.members,
                    datasets_: d.datasets,
                    enclaves_: d.enclaves,
                },
            ),
        ),
        (
            Contract::Rounds,
            code(
                &Rounds::BYTECODE,
                &Rounds::constructorCall { members_: d.members, enclaves_: d.enclaves, market_: d.market },
            ),
        ),
    ]
}
