//! Verification of a run whose ledger is on a network. The folder is made of one of an embedded run: its chain plays the
//! node, in this process.

use std::fs;
use std::sync::Arc;

use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
use histone_compliance::folder::{Manifest, NetworkRecord, RunRecord};
use histone_compliance::verify::{
    Check, Outcome, Report, Source, VerifyError, verify, verify_model, verify_on,
};
use histone_ledger::Connection;
use histone_protocol::B256;

use crate::support::{Copy, block_on};

/// A folder without its chain, and the node that has it.
struct OnNetwork {
    copy: Copy,
    node: Connection,
    /// Number and hash of the last block.
    head: (u64, B256),
}

impl OnNetwork {
    fn new() -> Self {
        let copy = Copy::new();
        let dir = copy.folder.root().with_file_name("node");
        fs::rename(copy.folder.ledger(), &dir).unwrap();
        let chain = Chain::open_read_only(&dir, Arc::new(ManualClock::new(0))).unwrap();
        let head = chain.head().unwrap();
        let head = (head.header.number, head.hash);
        // A node tells no digest of its state.
        let mut result: serde_json::Value =
            serde_json::from_slice(&fs::read(copy.folder.result()).unwrap()).unwrap();
        result["chain"]["state_digest"] = serde_json::Value::Null;
        fs::write(copy.folder.result(), serde_json::to_vec_pretty(&result).unwrap()).unwrap();
        let on_network = Self { copy, node: Connection::embedded(chain), head };
        on_network.lie(|_| {}, |_| {});
        on_network
    }

    /// Signs record and manifest again with these changes, as the operator could.
    fn lie(&self, record: impl FnOnce(&mut RunRecord), manifest: impl FnOnce(&mut Manifest)) {
        let copy = &self.copy;
        copy.rewrite(|r| {
            // What an earlier lie changed is put back.
            r.network = Some(NetworkRecord { first_block: 0 });
            r.deployment.chain_id = 4_711;
            record(r);
        });
        let (mut m, _) = copy.folder.read::<Manifest>(&copy.folder.manifest()).unwrap();
        m.state_digest = None;
        (m.height, m.head) = self.head;
        manifest(&mut m);
        copy.folder.write(&copy.folder.manifest(), &m, &copy.key("operator")).unwrap();
    }

    fn check(&self) -> Result<Report, VerifyError> {
        block_on(verify_on(self.copy.folder.root(), &self.node, &mut |_| {}))
    }

    /// Demands that the check of the chain fails for this reason, and that nothing is said of what rests on it.
    #[track_caller]
    fn fails(&self, part: &str) {
        let report = self.check().unwrap();
        let failed: Vec<&Check> = report.checks.iter().filter(|c| c.outcome == Outcome::Fails).collect();
        assert_eq!(failed.iter().map(|c| c.name).collect::<Vec<_>>(), ["chain"], "{failed:#?}");
        assert!(failed[0].detail.contains(part), "expected `{part}` in {failed:#?}");
        assert_eq!(report.checks.last().map(|c| c.name), Some("chain"));
    }
}

#[test]
fn a_node_tells_the_history_and_everything_else_is_checked() {
    let n = OnNetwork::new();
    let report = n.check().unwrap();
    assert!(report.holds(), "{:#?}", report.first_failure());
    let outcome = |name: &str| report.checks.iter().find(|c| c.name == name).map(|c| c.outcome);
    assert_eq!(outcome("chain"), Some(Outcome::NotCheckable));
    for name in ["record", "programs", "enclaves", "rounds", "queries", "money", "result"] {
        assert_eq!(outcome(name), Some(Outcome::Holds), "{name}");
    }
    assert_eq!(outcome("one history"), None, "the check of the chain says it");
    let chain = report.checks.iter().find(|c| c.name == "chain").unwrap();
    assert!(chain.detail.contains("its validators, not this program, executed it"), "{}", chain.detail);
}

#[test]
fn one_model_is_checked_by_what_a_node_tells() {
    let n = OnNetwork::new();
    let blobs = n.copy.folder.blobs();
    let check = |first_block| {
        let directory = n.copy.record().deployment.directory;
        let source = Source::Node { node: n.node.clone(), directory, first_block };
        block_on(verify_model(&source, &blobs, 1, None, &mut |_| {})).unwrap()
    };
    let report = check(0);
    assert!(report.holds(), "{:#?}", report.first_failure());
    let outcome = |name: &str| report.checks.iter().find(|c| c.name == name).map(|c| c.outcome);
    assert_eq!((outcome("chain"), outcome("one history")), (Some(Outcome::NotCheckable), None));
    for name in ["contracts", "powers", "model", "programs", "enclaves", "rounds", "queries", "money"] {
        assert_eq!(outcome(name), Some(Outcome::Holds), "{name}");
    }
    // Without the blocks in which they were made, nobody knows whose contracts these are.
    let late = check(n.head.0);
    assert_eq!(late.first_failure().map(|c| c.name), Some("contracts"));
}

#[test]
fn without_its_node_a_run_says_where_its_ledger_is() {
    let n = OnNetwork::new();
    let error = block_on(verify(n.copy.folder.root(), &mut |_| {})).unwrap_err();
    let directory = n.copy.record().deployment.directory.to_string();
    for part in ["is on the network with chain id 4711", &directory, "--rpc URL"] {
        assert!(error.to_string().contains(part), "`{part}` is not in `{error}`");
    }
    // And a run that needs none takes none.
    let copy = Copy::new();
    let error = block_on(verify_on(copy.folder.root(), &n.node, &mut |_| {})).unwrap_err();
    assert!(error.to_string().contains("leave out --rpc"), "{error}");
    // A node that is not there.
    let nobody = Connection::http("http://127.0.0.1:9").unwrap();
    let error = block_on(verify_on(n.copy.folder.root(), &nobody, &mut |_| {})).unwrap_err();
    assert!(histone_protocol::with_causes(&error).contains("cannot reach http://127.0.0.1:9"), "{error}");
}

#[test]
fn another_history_is_not_this_one() {
    let n = OnNetwork::new();
    n.lie(|_| {}, |m| m.head = B256::ZERO);
    n.fails("whose history was changed");
    n.lie(|_| {}, |m| m.height += 1);
    n.fails("the node has no block");
    n.lie(|_| {}, |m| m.height = 0);
    n.fails("manifest.json says");
    n.lie(|r| r.network = Some(NetworkRecord { first_block: 1 << 40 }), |_| {});
    n.fails("no run takes the blocks");
    n.lie(|r| r.deployment.chain_id = 1, |_| {});
    n.fails("the run is on chain 1, embedded chain is a node of chain 4711");

    // The blocks in which the contracts were made are left out: then they could be any contracts.
    n.lie(|r| r.network = Some(NetworkRecord { first_block: 20 }), |_| {});
    let report = n.check().unwrap();
    let failure = report.first_failure().unwrap();
    assert_eq!(failure.name, "record");
    assert!(failure.detail.contains("no transaction made the manager contract"), "{failure:?}");

    // A chain of somebody else with the same id.
    let dir = tempfile::tempdir().unwrap();
    let sequencer = Sequencer::from_bytes(&[9; 32]).unwrap();
    let genesis = Genesis {
        chain_id: 4_711,
        timestamp: 1_800_000_000,
        sequencer: sequencer.address(),
        alloc: vec![],
        gas_limit: Genesis::GAS_LIMIT,
    };
    let chain =
        Chain::create(dir.path(), genesis, sequencer, Arc::new(ManualClock::new(1_800_000_000))).unwrap();
    n.lie(|_| {}, |_| {});
    let n = OnNetwork { node: Connection::embedded(chain), ..n };
    n.fails("the node has no block 1");
}
