//! A network checked from outside: an honest one holds; whoever serves its blocks or blobs and lies, or keeps something back, is found.

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_sol_types::SolEvent as _;
use histone_chain::{Chain, SystemClock};
use histone_compliance::verify::{Check, Outcome, Outside, Progress, Report, VerifyError, verify_network};
use histone_contracts::Rounds::RoundOpened;
use histone_ledger::{FollowError, Upstream};
use histone_network::{Network, NetworkError, Woken};
use histone_node::programs::{METHODS, VALIDATE};
use histone_protocol::hash::blob_hash;
use histone_protocol::letter::VerifiedHead;
use histone_protocol::{Address, B256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Chance, files, shared};

type Lie = fn(Option<u64>, &mut Value);

/// A server of blocks; `lie` is told each answer, by the number of the block where it is one.
struct Blocks {
    chain: Chain,
    lie: Lie,
    asked: Mutex<BTreeSet<String>>,
}

fn number(asked: &Value) -> Option<u64> {
    let number = asked["params"][0].as_str().filter(|_| asked["method"] == "sequencer_getBlock")?;
    u64::from_str_radix(number.strip_prefix("0x")?, 16).ok()
}

impl Upstream for Blocks {
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        let asked: Value = serde_json::from_slice(request).unwrap();
        let mut answer: Value = serde_json::from_slice(&self.chain.handle(request)).unwrap();
        let one = |asked: &Value, answer: &mut Value| {
            self.asked.lock().unwrap().insert(asked["method"].as_str().unwrap().to_owned());
            (self.lie)(number(asked), answer);
        };
        match (&asked, &mut answer) {
            (Value::Array(asked), Value::Array(answers)) => {
                asked.iter().zip(answers).for_each(|(asked, answer)| one(asked, answer));
            }
            (asked, answer) => one(asked, answer),
        }
        Ok(serde_json::to_vec(&answer).unwrap())
    }
}

/// A hub's blobs; some may be withheld, or others given in their place.
#[derive(Debug, Default)]
struct Storage {
    blobs: BTreeMap<B256, Vec<u8>>,
    withheld: BTreeSet<B256>,
    instead: Option<Vec<u8>>,
    asked: Mutex<Vec<B256>>,
}

impl Network for Storage {
    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError> {
        self.asked.lock().unwrap().push(hash);
        match self.withheld.contains(&hash) {
            true => Ok(self.instead.clone()),
            false => Ok(self.blobs.get(&hash).cloned()),
        }
    }

    fn post(&self, _: Address, _: &[u8]) -> Result<(), NetworkError> {
        unreachable!("whoever verifies writes nothing")
    }

    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError> {
        unreachable!("nor has letters")
    }

    fn discard(&self, _: &[B256]) -> Result<(), NetworkError> {
        unreachable!()
    }

    fn offer(&self, _: &[u8]) -> Result<(), NetworkError> {
        unreachable!("nor brings anything")
    }

    fn rpc(&self, _: &[u8]) -> Result<Vec<u8>, NetworkError> {
        unreachable!()
    }

    fn wait(&self, _: u64, _: Duration) -> Result<Woken, NetworkError> {
        unreachable!()
    }
}

/// The run that all tests share, as others would serve it.
struct Served {
    dir: TempDir,
    chain: Chain,
    lie: Lie,
    genesis: Option<B256>,
    head: Option<VerifiedHead>,
    blobs: BTreeMap<B256, Vec<u8>>,
}

fn honest(_: Option<u64>, _: &mut Value) {}

impl Served {
    fn new() -> Self {
        let run = &shared().dir;
        let chain = Chain::open_read_only(&run.join("ledger"), Arc::new(SystemClock)).unwrap();
        let genesis = Some(chain.block(0).unwrap().unwrap().hash);
        let modules: BTreeSet<B256> = modules().iter().map(|module| blob_hash(module)).collect();
        let blobs = files(&run.join("blobs")).into_values().map(|bytes| (blob_hash(&bytes), bytes));
        let blobs = blobs.filter(|(hash, _)| !modules.contains(hash)).collect();
        Self { dir: tempfile::tempdir().unwrap(), chain, lie: honest, genesis, head: None, blobs }
    }

    /// Lets blocks be fetched again.
    fn afresh(&mut self) {
        self.dir = tempfile::tempdir().unwrap();
    }

    fn check(&self, model: Option<u64>, storage: &Arc<Storage>) -> Result<Report, VerifyError> {
        // What was executed and fetched stays, but for what is withheld now.
        for hash in &storage.withheld {
            let _ = fs::remove_file(self.dir.path().join(format!("blobs/{hash:x}")));
        }
        let blocks = Arc::new(Blocks { chain: self.chain.clone(), lie: self.lie, asked: Mutex::default() });
        let outside = Outside {
            ledger: blocks.clone(),
            ledger_at: "http://node.example".into(),
            storage: storage.clone(),
            storage_at: "http://hub.example".into(),
            dir: self.dir.path(),
            passing: true,
            clock: Arc::new(SystemClock),
            genesis: self.genesis,
            directory: None,
            head: self.head,
            modules: modules(),
            auditor: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut heard = Vec::new();
        let mut steps = Vec::new();
        let report = runtime.block_on(verify_network(
            &outside,
            model,
            &mut |check: &Check| heard.push(check.clone()),
            &mut |step| steps.push(step),
        ))?;
        assert_eq!(heard, report.checks, "each check is told as it is made");
        let counts_up = |pair: &[Progress]| match (pair[0], pair[1]) {
            (Progress::Block { number, .. }, Progress::Block { number: next, .. }) => number + 1 == next,
            (Progress::Blob { number, of, .. }, Progress::Blob { number: next, .. }) => {
                number + 1 == next || number == of && next == 1
            }
            (Progress::Block { number, of }, Progress::Blob { .. }) => number == of,
            (Progress::Blob { .. }, Progress::Block { .. }) => false,
        };
        assert!(steps.windows(2).all(counts_up), "{steps:?}");
        // What contracts say is never asked of whoever serves the blocks: it could say anything.
        let only = ["eth_blockNumber", "sequencer_getBlock", "sequencer_getGenesis"];
        assert!(blocks.asked.lock().unwrap().iter().all(|method| only.contains(&method.as_str())));
        Ok(report)
    }

    fn storage(&self) -> Arc<Storage> {
        Arc::new(Storage { blobs: self.blobs.clone(), ..Storage::default() })
    }

    fn withheld(&self, hash: B256, instead: Option<Vec<u8>>) -> Arc<Storage> {
        let withheld = BTreeSet::from([hash]);
        Arc::new(Storage { blobs: self.blobs.clone(), withheld, instead, ..Storage::default() })
    }
}

fn modules() -> Vec<&'static [u8]> {
    let all = std::iter::once(VALIDATE).chain(METHODS.into_iter().flatten());
    all.flat_map(|program| [program.wasm, program.source]).collect()
}

#[track_caller]
fn one<'a>(report: &'a Report, name: &str) -> &'a Check {
    let mut named = report.checks.iter().filter(|check| check.name == name);
    let check = named.next().unwrap_or_else(|| panic!("no check {name}: {report:?}"));
    assert!(named.next().is_none(), "{name} twice");
    check
}

#[test]
fn an_honest_network_holds_for_whoever_is_no_part_of_it() {
    let mut served = Served::new();
    let last = served.chain.head().unwrap();
    let storage = served.storage();
    let report = served.check(Some(1), &storage).unwrap();
    assert!(report.holds(), "{:?}", report.first_failure());
    let made = [
        "chain",
        "contracts",
        "powers",
        "model",
        "blobs",
        "programs",
        "enclaves",
        "datasets",
        "decisions",
        "rounds",
        "queries",
        "money",
    ];
    for name in made {
        assert_eq!(one(&report, name).outcome, Outcome::Holds, "{:?}", one(&report, name));
    }
    // What only the parties have is said, and not passed over.
    let open = ["evaluations", "one history", "letters", "questions", "newest", "hardware", "rows"];
    for name in open {
        assert_eq!(one(&report, name).outcome, Outcome::NotCheckable);
    }
    assert!(one(&report, "evaluations").detail.contains("by letter"));
    assert!(!report.checks.iter().any(|check| check.name == "genesis"));
    // Each blob is asked for once.
    let asked = storage.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), asked.len());

    // Of all models, each check says of which it is.
    served.head = Some(VerifiedHead { number: last.header.number, hash: last.hash });
    served.genesis = None;
    let report = served.check(None, &served.storage()).unwrap();
    assert!(report.holds(), "{:?}", report.first_failure());
    let rounds: Vec<_> = report.checks.iter().filter(|check| check.name == "rounds").collect();
    let said =
        |n: usize, outcome, says: &str| rounds[n].outcome == outcome && rounds[n].detail.starts_with(says);
    assert!(said(0, Outcome::Holds, "model 1: rounds 1 to "), "{rounds:?}");
    assert!(said(1, Outcome::NotCheckable, "model 2: no round of the model was opened"), "{rounds:?}");
    assert!(one(&report, "money").outcome == Outcome::Holds);
    assert!(one(&report, "head").detail.ends_with("it is the last one here"));
    assert!(!report.checks.iter().any(|check| check.name == "one history"));
    assert!(one(&report, "genesis").detail.contains("the founder's invitation"));
    let none = served.check(Some(9), &served.storage()).unwrap();
    assert!(one(&none, "model").detail.contains("there is no model 9 on this ledger, which has 2"));
}

/// No blob can be withheld, or given with other bytes, and what it says be believed: whichever it is. A partial sum more or less
/// changes nothing where those that are there are enough.
#[test]
fn whatever_a_hub_withholds_nothing_holds_without_it() {
    let served = Served::new();
    let storage = served.storage();
    assert!(served.check(Some(1), &storage).unwrap().holds());
    let mut chance = Chance::from_variable("HISTONE_WITHHOLD_SEED");
    let asked = storage.asked.lock().unwrap().clone();
    assert!(asked.len() > 100, "{}", asked.len());
    // The documents come first, each kind several times in a row. Of the many blobs of rounds a few.
    let headers = headers(&served.chain);
    let documents = asked.iter().take_while(|hash| !headers.contains(*hash)).count();
    assert!((15..60).contains(&documents), "{documents}");
    let mut tried: BTreeSet<usize> = (chance.below(3)..documents).step_by(3).collect();
    tried.extend((0..6).map(|_| documents + chance.below(asked.len() - documents)));
    let mut spared = 0;
    for place in tried {
        let hash = asked[place];
        let instead = (place % 2 == 0).then(|| b"other bytes".to_vec());
        let report = served.check(Some(1), &served.withheld(hash, instead)).unwrap();
        let failed: Vec<_> = report.checks.iter().filter(|c| c.outcome == Outcome::Fails).collect();
        if failed.is_empty() {
            spared += 1;
            let blobs = one(&report, "blobs");
            assert!(blobs.detail.contains("the partial sum of "), "{place} {hash}: {blobs:?}");
        }
        let other =
            report.checks.iter().any(|check| check.detail.contains("it gives other bytes in its place"));
        assert_eq!(other, place % 2 == 0, "{place}");
        let named = report.checks.iter().any(|check| check.detail.contains(&hash.to_string()));
        assert!(named, "{place} {hash} is not named: {failed:?}");
    }
    eprintln!("{spared} partial sums were spared");
}

/// The headers of rounds that the ledger names.
fn headers(chain: &Chain) -> BTreeSet<B256> {
    let blocks =
        (0..=chain.head().unwrap().header.number).map(|number| chain.block(number).unwrap().unwrap());
    let logs = blocks.flat_map(|block| block.receipts).flat_map(|receipt| receipt.logs);
    logs.filter_map(|log| Some(RoundOpened::decode_log(&log).ok()?.headerHash)).collect()
}

/// Whoever changes a block, leaves one out or puts another into its place is found out before anything is said of a model.
#[test]
fn whoever_lies_about_blocks_is_refused() {
    fn fewer(number: Option<u64>, answer: &mut Value) {
        if number == Some(20) {
            answer["result"]["transactions"] = json!([]);
        }
    }
    // One digit of the root of the state.
    fn state(number: Option<u64>, answer: &mut Value) {
        if number == Some(20) {
            let header = answer["result"]["header"].as_str().unwrap().to_owned();
            let at = 2 + 2 * (3 + 33 + 33 + 21 + 5);
            let digit = if header.as_bytes()[at] == b'0' { "1" } else { "0" };
            answer["result"]["header"] = [&header[..at], digit, &header[at + 1..]].concat().into();
        }
    }
    fn unsigned(number: Option<u64>, answer: &mut Value) {
        if number == Some(20) {
            answer["result"]["signature"] = format!("0x{}", "11".repeat(65)).into();
        }
    }
    let lies: [(Lie, &str); 3] =
        [(fewer, "block 20"), (state, "block 20"), (unsigned, "sequencer signature")];
    let mut served = Served::new();
    for (lie, says) in lies {
        served.afresh();
        served.lie = lie;
        let report = served.check(None, &served.storage()).unwrap();
        let failure = report.first_failure().unwrap();
        assert!(failure.name == "chain" && failure.detail.contains(says), "{failure:?}");
        assert!(failure.detail.contains("http://node.example gives what does not hold"), "{failure:?}");
        assert!(!report.checks.iter().any(|check| ["model", "rounds"].contains(&check.name)));
    }

    // No block in the place of one that it says is there, and no block 0 of this network.
    fn silent(number: Option<u64>, answer: &mut Value) {
        if number.is_some_and(|number| number >= 20) {
            answer["result"] = Value::Null;
        }
    }
    fn html(_: Option<u64>, answer: &mut Value) {
        *answer = "<html>sign in</html>".into();
    }
    let ends: [(Lie, &str); 2] = [(silent, "gives no block 20"), (html, "no sequencer")];
    for (lie, says) in ends {
        served.afresh();
        served.lie = lie;
        let error = served.check(None, &served.storage()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    served.lie = honest;
    served.afresh();
    served.genesis = Some(B256::ZERO);
    let error = served.check(None, &served.storage()).unwrap_err();
    assert!(matches!(error, VerifyError::Follow(FollowError::Genesis { .. })), "{error}");
}

/// What a member has seen is compared, and nothing is said of another history.
#[test]
fn a_history_that_others_did_not_see_is_refused() {
    let mut served = Served::new();
    let last = served.chain.head().unwrap().header.number;
    for (number, says) in [(7, "shows another history than others saw"), (last + 1, "has blocks up to")] {
        served.head = Some(VerifiedHead { number, hash: B256::repeat_byte(7) });
        let report = served.check(None, &served.storage()).unwrap();
        let failure = report.first_failure().unwrap();
        assert!(failure.name == "head" && failure.detail.contains(says), "{failure:?}");
        assert!(!report.checks.iter().any(|check| check.name == "model"));
    }
    let hash = served.chain.block(7).unwrap().unwrap().hash;
    served.head = Some(VerifiedHead { number: 7, hash });
    let report = served.check(Some(1), &served.storage()).unwrap();
    assert!(report.holds() && one(&report, "head").detail.ends_with(&format!("{} came after it", last - 7)));
}
