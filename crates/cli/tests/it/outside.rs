//! A network checked from outside: an honest one holds; whoever serves its blocks or blobs and lies, or keeps something back, is found.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use alloy_sol_types::SolEvent as _;
use histone_chain::{Chain, Replica, SystemClock};
use histone_compliance::folder::{Folder, RunRecord};
use histone_compliance::verify::{Check, Outcome, Outside, Progress, Report, VerifyError, verify_network};
use histone_contracts::Rounds::RoundOpened;
use histone_ledger::{FollowError, Upstream};
use histone_network::{Network, NetworkError, Woken};
use histone_node::home::{Cost, Home, Passphrase, Protection, Settings};
use histone_node::party::Entropy;
use histone_node::programs::{METHODS, VALIDATE};
use histone_node::service::{Status, keep_invitation};
use histone_node::store::Store;
use histone_protocol::consent::AppraisalTerms;
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::invitation::Invitation;
use histone_protocol::keys::SigningKey;
use histone_protocol::letter::{Profile, VerifiedHead};
use histone_protocol::record::Signed;
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;
use crate::support::{Chance, Ran, files, histone, shared};

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

/// Something that serves, until it is dropped.
struct Process {
    child: Child,
    said: Value,
}

impl Process {
    fn start(arguments: &[&str], dir: &Path) -> Self {
        let mut command = histone();
        command.args(arguments).args(["--port", "0", "--json", "--dir"]).arg(dir);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, said: serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}")) }
    }

    fn url(&self, name: &str) -> String {
        self.said[name].as_str().unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn verify(arguments: &[&str]) -> Ran {
    Ran::of(histone().arg("verify").args(arguments))
}

/// The program itself, with a hub and a server of blocks as processes.
#[test]
fn the_command_checks_a_network_by_addresses() {
    let run = &shared().dir;
    let dir = tempfile::tempdir().unwrap();
    let (hub, copy) = (dir.path().join("hub"), dir.path().join("copy"));
    let chain = Process::start(&["chain", "serve"], run);
    let rpc = chain.url("http");
    let served = Process::start(&["hub", "serve", "--rpc", &rpc], &hub);
    for (name, bytes) in files(&run.join("blobs")) {
        fs::write(hub.join("blobs").join(name), bytes).unwrap();
    }
    let (url, copied) = (served.url("hub"), copy.to_str().unwrap());

    // By the hub alone, and by a server of blocks beside it; the second time nothing has to be fetched.
    let ran = verify(&["--hub", &url, "--model", "1", "--copy", copied]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.ends_with("everything that can be checked holds\n"), "{ran:?}");
    assert!(ran.stdout.contains("holds      rounds "), "{ran:?}");
    let head = format!("{}:{}", chain.said["block"], chain.said["head"].as_str().unwrap());
    let ran = verify(&["--hub", &url, "--rpc", &rpc, "--copy", copied, "--head", &head, "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = ran.json();
    assert!(said["holds"] == true && said["failed"] == json!([]), "{said}");
    let ran = verify(&["--hub", &url, "--copy", copied, "--head", &format!("3:{}", B256::ZERO)]);
    assert!(ran.error().contains("`head` does not hold: block 3 is "), "{ran:?}");

    // By an invitation, which names block 0 and the contracts; the hub may be named otherwise.
    let invited = dir.path().join("invitation.json");
    fs::write(&invited, invitation(&Folder::at(run), Served::new().genesis.unwrap())).unwrap();
    let by = invited.to_str().unwrap();
    let ran = verify(&["--invitation", by, "--hub", &url, "--model", "1", "--copy", copied]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains("cannot say genesis"), "{ran:?}");
    assert!(verify(&["--invitation", by]).error().contains("`http://127.0.0.1:1` cannot be used as a hub"));

    // A blob that is gone from hub and copy: the check that rests on it fails, and names it.
    let paper = fs::read_dir(hub.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
    let paper = paper.into_iter().find(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.starts_with(b"{") && String::from_utf8_lossy(&bytes).contains("\"white-paper\"")
    });
    let paper = paper.unwrap();
    let name = paper.file_name().unwrap().to_owned();
    fs::remove_file(&paper).unwrap();
    fs::remove_file(copy.join("blobs").join(&name)).unwrap();
    let ran = verify(&["--hub", &url, "--copy", copied]);
    let error = ran.error();
    assert!(
        error.contains("`model` does not hold: model ") && error.contains(": its white paper: blob 0x"),
        "{error}"
    );
    assert!(error.contains(name.to_str().unwrap()), "{error}");
    assert!(ran.stdout.contains("it does not have it"), "{ran:?}");

    // What is no network, and what answers in its place.
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = verify(&["--hub", &format!("http://{away}")]);
    assert!(
        ran.error().contains("cannot be used as a hub") && ran.error().contains("cannot be reached"),
        "{ran:?}"
    );
    let ran = verify(&["--hub", &url, "--rpc", &format!("http://{away}")]);
    assert!(ran.error().contains("the ledger cannot be reached"), "{ran:?}");
    let page = web_page();
    let ran = verify(&["--hub", &page]);
    assert!(ran.error().contains("is not what a hub answers"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--rpc", &page]);
    assert!(ran.error().contains("does not serve the blocks of a Histone ledger"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--genesis", &B256::ZERO.to_string()]);
    assert!(
        ran.error()
            .contains("another network than the one that is meant: the ledger there begins with block 0 0x"),
        "{ran:?}"
    );
    let other = Server::start();
    let ran = verify(&["--hub", &url, "--rpc", &other.url, "--copy", copied]);
    assert!(ran.error().contains("or --copy holds another one"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--rpc", &other.url]);
    assert!(ran.error().contains("there is no Histone ledger on this chain"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--copy", hub.to_str().unwrap()]);
    assert!(ran.error().contains("holds something else than copies of a network"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--directory", &Address::ZERO.to_string()]);
    assert!(ran.error().contains("0x0000000000000000000000000000000000000000"), "{ran:?}");
    let note = dir.path().join("note.txt");
    fs::write(&note, "mine").unwrap();
    let ran = verify(&["--invitation", note.to_str().unwrap()]);
    assert!(ran.error().contains("note.txt` is of no use"), "{ran:?}");
    let ran = verify(&["--hub", &url, "--module", "/nowhere.wasm"]);
    assert!(ran.error().contains("cannot read the module `/nowhere.wasm`"), "{ran:?}");
    for wrong in [
        &["--head", "3:0x00"][..],
        &["--hub", "http://x", "--head", "3"],
        &["--genesis", "0x00"],
        &["--copy", "x"],
        &["--directory", "0x00"],
        &["run", "--hub", "http://x"],
        &["--hub", "http://x", "--blobs", "x", "--model", "1"],
    ] {
        assert_eq!(verify(wrong).code, Some(2), "{wrong:?}");
    }
}

/// The address of something that answers every question with a web page.
fn web_page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked);
            let page = "<html>sign in to the guest network</html>";
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all([head.as_bytes(), page.as_bytes()].concat().as_slice());
        }
    });
    url
}

/// A member's home has all of it: no hub has to be there, and no key is asked for. While its node has the copy, the hub is asked.
#[test]
fn a_member_checks_its_network_by_its_home() {
    let run = Folder::at(&shared().dir);
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("home");
    let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let protection = Protection::Passphrase { passphrase: Passphrase::new("not asked for".into()), cost };
    let home = Home::init(&at, &Settings::new("north", 1), &protection, Entropy::Seed(7)).unwrap().home;
    let args = ["--home", at.to_str().unwrap(), "--model", "1"];
    assert!(verify(&args).error().contains("has joined no network yet"));

    let served = Served::new();
    let store = Store::open(&home.store_file()).unwrap();
    keep_invitation(&store, &invitation(&run, served.genesis.unwrap())).unwrap();
    fs::copy(run.ledger().join("chain.redb"), home.ledger().join("chain.redb")).unwrap();
    for (hash, bytes) in &served.blobs {
        fs::write(home.blobs().join(format!("{hash:x}")), bytes).unwrap();
    }
    let status = |number: u64, hash| {
        let status = Status { head: Some(VerifiedHead { number, hash }), ..Status::default() };
        store.put("status", &serde_json::to_vec(&status).unwrap()).unwrap();
    };
    let last = served.chain.head().unwrap();
    status(last.header.number, last.hash);
    let ran = verify(&args);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.contains("that the copy in the home gives was executed here"), "{ran:?}");
    assert!(
        ran.stdout
            .contains("as you have seen it elsewhere, and so is all before it; it is the last one here"),
        "{ran:?}"
    );
    // What the node has seen is compared.
    status(last.header.number, B256::repeat_byte(3));
    assert!(verify(&args).error().contains("`head` does not hold"));
    status(last.header.number, last.hash);
    // A blob that is neither here nor at a hub.
    let gone = home.blobs().join(format!("{:x}", headers(&served.chain).first().unwrap()));
    fs::remove_file(gone).unwrap();
    let ran = verify(&args);
    assert!(ran.error().contains("`rounds`") || ran.error().contains("does not hold"), "{ran:?}");
    assert!(
        ran.stdout.contains("its header: blob 0x") && ran.stdout.contains("cannot be reached"),
        "{ran:?}"
    );
    let node = Replica::open(&home.ledger(), Arc::new(SystemClock)).unwrap();
    let ran = verify(&args);
    assert!(ran.error().contains("`http://127.0.0.1:1` cannot be used as a hub"), "{ran:?}");
    drop(node);
}

/// An invitation to the network of the shared run, by a founder of its own.
fn invitation(run: &Folder, genesis: B256) -> Vec<u8> {
    let deployment = run.read::<RunRecord>(&run.record()).unwrap().0.deployment;
    let founder = SigningKey::from_bytes(&[7; 32]).unwrap();
    let key = SealKey::from_seed(&[8; 32]).public();
    let (ledger, mailbox) = (deployment.id(), founder.address());
    let profile =
        Profile { ledger, name: "f".into(), roles: 0, mailbox, mail_key: key, seal_key: key, device: None };
    let invitation = Invitation {
        ledger,
        name: "study".into(),
        genesis,
        // Nobody listens there.
        hub: "http://127.0.0.1:1".into(),
        founder: Signed::sign(&profile, &founder).unwrap(),
        appraisal: AppraisalTerms {
            platforms: vec![Platform::SIMULATED],
            max_age_seconds: 60,
            simulated_vendors: vec![],
        },
        issued_at: 10,
        // Whoever only looks may have an old one.
        expires_at: 20,
    };
    Signed::sign(&invitation, &founder).unwrap().to_bytes()
}
