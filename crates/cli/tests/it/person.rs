//! What a person says to its own node. The node is its local API alone, with a store that the tests fill: no daemon, no network.

mod away;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use histone_chain::{Clock as _, SystemClock};
use histone_node::api::{self, Api, ApiOptions};
use histone_node::daemon::Stumble;
use histone_node::duties::waiting::Waiting;
use histone_node::home::{Home, HomeLock};
use histone_node::party::Entropy;
use histone_node::service::{Bell, Status};
use histone_node::store::{Level, Question, Store};
use histone_protocol::letter::VerifiedHead;
use histone_protocol::{Address, B256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ran, histone};

/// A home, its store, and what commands see of a node.
struct Node {
    _dir: TempDir,
    home: PathBuf,
    store: Store,
    bell: Bell,
    running: Option<(HomeLock, Api)>,
}

impl Node {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("h1");
        fs::create_dir(&home).unwrap();
        let store = Store::open(&home.join("store.sqlite")).unwrap();
        let mut node = Self { _dir: dir, home, store, bell: Bell::new(), running: None };
        node.run();
        node
    }

    fn run(&mut self) {
        let lock = Home::at(&self.home).lock().unwrap();
        let options = ApiOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            store: self.store.clone(),
            waker: self.bell.waker(),
            home: self.home.clone(),
            clock: Arc::new(SystemClock),
            entropy: Entropy::System,
        };
        self.running = Some((lock, api::serve(options).unwrap()));
    }

    fn stop(&mut self) {
        self.running = None;
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = histone();
        command.env("HISTONE_HOME", &self.home).args(words);
        command
    }

    #[track_caller]
    fn ran(&self, words: &[&str]) -> Ran {
        Ran::of(&mut self.command(words))
    }

    /// What a command says that does what it should.
    #[track_caller]
    fn says(&self, words: &[&str]) -> String {
        let ran = self.ran(words);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words:?}: {ran:?}");
        assert!(!ran.stdout.contains('\x1b'), "{words:?}: {ran:?}");
        ran.stdout
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let mut all = words.to_vec();
        all.push("--json");
        serde_json::from_str(&self.says(&all)).unwrap()
    }

    fn ask(&self, key: &str, due: Option<u64>) -> u64 {
        let question = Question {
            key: key.into(),
            kind: "donate".into(),
            title: format!("take part in \x1b[31mheart\x1b[0m ({key})?"),
            text: "It predicts a disease.\nYour policy allows it.".into(),
            facts: json!({ "model": 3 }),
            due,
        };
        self.store.ask(&question, SystemClock.now() - 7_300).unwrap()
    }

    fn say(&self, change: impl FnOnce(&mut Status)) {
        let mut status = Status {
            at: SystemClock.now(),
            network: "heart".into(),
            account: Address::repeat_byte(1),
            member: true,
            head: Some(VerifiedHead { number: 41, hash: B256::repeat_byte(2) }),
            ..Status::default()
        };
        change(&mut status);
        self.store.put("status", &serde_json::to_vec(&status).unwrap()).unwrap();
    }
}

/// A command that goes on; it ends with the value.
struct Going {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Going {
    fn start(node: &Node, words: &[&str]) -> Self {
        let mut command = node.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Self::read(child.stdout.take().unwrap());
        let errors = Self::read(child.stderr.take().unwrap());
        Self { child, lines, errors }
    }

    fn read(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        lines
    }

    /// The next line that has this in it.
    #[track_caller]
    fn line(&self, part: &str) -> String {
        Self::find(&self.lines, part)
    }

    #[track_caller]
    fn error(&self, part: &str) -> String {
        Self::find(&self.errors, part)
    }

    #[track_caller]
    fn find(lines: &Receiver<String>, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no `{part}` in {seen:?}: {error}"),
            }
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn questions_are_shown_and_answered() {
    let node = Node::start();
    assert_eq!(node.says(&["inbox"]), "nothing waits for an answer\n");
    assert_eq!(node.says(&["inbox", "--all"]), "nothing was asked yet\n");
    let now = SystemClock.now();
    let [a, b, c, d] = [None, Some(now + 3_600), Some(now - 60), None].map(|due| {
        let n = node.store.questions(false).unwrap().len();
        node.ask(&format!("donate/{n}"), due)
    });
    let text = node.says(&["inbox"]);
    assert!(text.contains("| number | age | until") && text.contains("| 2 h |"), "{text}");
    assert!(text.contains("take part in \u{fffd}[31mheart"), "{text}");
    assert!(text.contains("histone approve"), "{text}");
    let full = node.says(&["inbox", "2"]);
    assert!(
        full.contains("question 2: take part") && full.contains("It predicts a disease. Your policy"),
        "{full}"
    );
    assert!(full.contains("state    open") && full.contains(r#"data     {"model":3}"#), "{full}");
    let document = node.json(&["inbox", "2"]);
    assert_eq!((&document["number"], &document["state"]), (&json!(b), &json!("open")));
    assert!(document["title"].as_str().unwrap().contains('\x1b'), "programs get what was written");

    assert!(node.says(&["approve", &a.to_string()]).starts_with("approved: take part"));
    let done = node.json(&["decline", &b.to_string(), "--because", "the board says \"no\""]);
    assert_eq!(done["answer"]["because"], "the board says \"no\"");
    assert_eq!(node.store.answered("donate/1").unwrap().unwrap().because, "the board says \"no\"");
    node.store.take_back("donate/3", "the model\nwas given up\x1b[2J", now).unwrap();
    for (words, why) in [
        (vec!["approve", "1"], "question 1 was approved by the operator on"),
        (
            vec!["approve", "2"],
            "(\"the board says \"no\"\"); an answer is not changed; there is nothing left to decide",
        ),
        (vec!["approve", "3"], "it is too late"),
        (
            vec!["decline", "4", "--because", "x"],
            "question 4 is no longer open: the model was given up\u{fffd}[2J",
        ),
        (vec!["approve", "99"], "there is no question 99; `histone inbox --all` lists them all"),
        (vec!["inbox", "99"], "there is no question 99"),
        (vec!["decline", "1", "--because", " "], "declined with a reason"),
    ] {
        let ran = node.ran(&words);
        assert!(ran.error().contains(why), "{words:?}: {ran:?}");
    }
    assert_eq!((c, d), (3, 4));
    let all = node.says(&["inbox", "--all"]);
    for state in ["| approved", "| declined", "| not answered in time", "| taken back"] {
        assert!(all.contains(state), "{state}: {all}");
    }
    for wrong in [&["decline", "1"][..], &["approve"], &["approve", "x"], &["inbox", "1", "--all"]] {
        assert_eq!(node.ran(wrong).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn the_status_says_who_is_waited_for_and_what_fails() {
    let node = Node::start();
    let text = node.says(&["status"]);
    assert!(text.starts_with("node      runs, and has said nothing yet\n"), "{text}");
    let now = SystemClock.now();
    node.say(|status| {
        status.unreachable = Some(("no route\x1b]0;title\x07".into(), now - 300));
        let stumble =
            Stumble { why: "timed out\nhead block 99".into(), times: 3, again: now + 5, since: now - 300 };
        status.stumbles = vec![("post letters".into(), stumble)];
        status.waiting = vec![Waiting {
            model: 3,
            what: "updates for round 2".into(),
            whom: vec![Address::repeat_byte(9), Address::repeat_byte(0xab)],
            until: Some(1_900_000_000),
        }];
    });
    node.ask("donate/1", None);
    let text = node.says(&["status"]);
    for part in [
        "node      runs, a member of `heart`\n",
        &format!("account   {}\n", Address::repeat_byte(1)),
        "head      block 41 (0x0202",
        "network   CANNOT BE REACHED since ",
        " (5 min): no route\u{fffd}]0;title\u{fffd}\n",
        "inbox     1 question waits for an answer; see `histone inbox`\n",
        "| updates for round 2 | 0x09090909, 0xabababab | 2030-03-17 17:46:40 UTC |",
        "| post letters |",
        "| timed out head block 99 |",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let status = node.json(&["status"]);
    assert_eq!((&status["running"], &status["said"]["head"]["number"]), (&json!(true), &json!(41)));
    node.say(|status| status.member = false);
    assert!(node.says(&["status"]).contains("runs, not yet a member of `heart`"));
    let founder = Address::repeat_byte(8);
    node.say(|status| {
        status.member = false;
        status.founder = Some(("registry\x1b".into(), founder));
    });
    let waits = format!("`histone log` says what its founder `registry\u{fffd}` ({founder}) has answered");
    assert!(node.says(&["status"]).contains(&waits));
    node.say(|status| {
        status.member = false;
        status.founder = Some(("registry".into(), status.account));
    });
    assert!(node.says(&["status"]).contains("runs, the founder of `heart`"));
}

#[test]
fn a_watched_status_prints_a_line_for_each_change() {
    let mut node = Node::start();
    node.say(|_| {});
    let going = Going::start(&node, &["status", "--watch"]);
    going.line("node: runs, a member of `heart`");
    going.line("head: block 41");
    let json = Going::start(&node, &["status", "--watch", "--json"]);
    let first: Value = serde_json::from_str(&json.line("heart")).unwrap();
    assert_eq!(first["questions"], 0);
    node.ask("donate/1", None);
    let line = going.line("inbox: ");
    assert!(line.contains(" UTC  inbox: 1 question waits"), "{line}");
    assert!(json.line("heart").contains(r#""questions":1"#));
    // It is started again: on another port, with another token.
    node.stop();
    going.error("does not run; waiting until it does");
    node.say(|status| {
        let stumble = Stumble { why: "no route".into(), times: 1, again: 1, since: 1 };
        status.stumbles = vec![("post letters".into(), stumble)];
    });
    node.run();
    going.line("fails: post letters since ");
    node.say(|status| status.head = Some(VerifiedHead { number: 42, hash: B256::ZERO }));
    node.store.note(1, Level::Info, "post letters", "works again").unwrap();
    going.line("head: block 42");
    going.line("no longer: fails: post letters");
}

#[test]
fn a_model_is_asked_through_the_node() {
    let node = Node::start();
    fn with<'a>(further: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["query", "ask", "--model", "3", "--most", "2.5"];
        words.extend(further);
        words
    }
    assert_eq!(node.says(&["query", "mine"]), "nothing was asked yet; ask with `histone query ask`\n");
    let text = node.says(&with(&["--row", "-1,2.5,0"]));
    let expected = "the node is asked to buy an answer of model 3 for at most 2.5 tokens (wish 1)";
    assert!(text.starts_with(expected), "{text}");
    let wish = node.store.get_wish(1).unwrap().unwrap();
    assert_eq!(
        (wish.kind.as_str(), &wish.what),
        ("query", &json!({ "model": 3, "row": [-1.0, 2.5, 0.0], "most": 2_500_000 }))
    );
    let file = node.home.join("row.json");
    fs::write(&file, "[1, 2,\n 3e2]\n").unwrap();
    let path = file.display().to_string();
    assert_eq!(node.json(&with(&["--row-file", &path])), json!({ "number": 2 }));
    assert_eq!(node.store.get_wish(2).unwrap().unwrap().what["row"], json!([1.0, 2.0, 300.0]));
    fs::write(&file, "1, two").unwrap();
    let wrong = node.ran(&with(&["--row-file", &path]));
    assert!(wrong.error().contains("row.json` is no row: value 2 of 2 is `two`"), "{wrong:?}");
    let missing = node.ran(&with(&["--row-file", "no-such-file"]));
    assert!(missing.error().contains("cannot read `no-such-file`"), "{missing:?}");
    fs::write(&file, vec![b'1'; 2 << 20]).unwrap();
    assert!(node.ran(&with(&["--row-file", &path])).error().contains("at most 1048576"));
    for wrong in [
        with(&[]),
        with(&["--row", "1", "--row-file", "x"]),
        with(&["--row", "1,x"]),
        with(&["--row", "NaN"]),
        vec!["query", "ask", "--model", "3", "--row", "1"],
        vec!["query", "ask", "--model", "3", "--row", "1", "--most", "1.0000001"],
        vec!["query", "ask", "--model", "x", "--row", "1", "--most", "1"],
    ] {
        assert_eq!(node.ran(&wrong).code, Some(2), "{wrong:?}");
    }
    assert_eq!(node.store.wishes(false).unwrap().len(), 2, "nothing of that is asked");

    // Until the answer is there; this thread is the daemon.
    let (store, home) = (node.store.clone(), node.home.clone());
    let daemon = thread::spawn(move || {
        let begin = Instant::now();
        let mut made = 2;
        while made < 4 && begin.elapsed() < Duration::from_secs(30) {
            for wish in store.wishes(true).unwrap().into_iter().filter(|wish| wish.number > 2) {
                store.wish_progress(wish.number, "bought\x1b[2J").unwrap();
                thread::sleep(Duration::from_millis(700));
                match wish.number {
                    3 => store
                        .wish_done(3, &json!({ "query": B256::ZERO, "answer": [0.75, null, 2.0] }), 1)
                        .unwrap(),
                    n => store.wish_failed(n, "nobody has answered in time\x1b[2J", 1).unwrap(),
                }
                made = wish.number;
            }
            thread::sleep(Duration::from_millis(50));
        }
        drop(home);
    });
    let answered = node.ran(&with(&["--row", "1,2,3", "--wait"]));
    assert_eq!((answered.code, answered.stdout.as_str()), (Some(0), "answer: 0.75, -, 2\n"), "{answered:?}");
    assert_eq!(answered.stderr, "bought\u{fffd}[2J\n");
    let failed = node.ran(&with(&["--row", "1,2,3", "--wait"]));
    assert!(failed.error().contains("could not do it: nobody has answered in time\u{fffd}[2J"), "{failed:?}");
    daemon.join().unwrap();

    let mine = node.says(&["query", "mine"]);
    for part in
        ["| answer: 0.75, -, 2 ", "| nobody has answered in time", "| not begun yet", "|     2.5 | answered"]
    {
        assert!(mine.contains(part), "{part}: {mine}");
    }
    assert_eq!(node.json(&["query", "mine"])["wishes"].as_array().unwrap().len(), 4);
}

#[test]
fn a_trainer_trains_gives_up_and_claims() {
    let node = Node::start();
    let none = node.ran(&["model", "train", "3"]);
    assert!(
        none.error().contains("does not ask whether to train model 3: it does when enough owners"),
        "{none:?}"
    );
    node.ask("train/3", None);
    node.ask("train/33", None);
    assert!(node.says(&["model", "train", "3", "--because", "enough"]).starts_with("approved: "));
    assert_eq!(node.store.answered("train/3").unwrap().unwrap().because, "enough");
    assert_eq!(node.store.answered("train/33").unwrap(), None);
    let again = node.ran(&["model", "train", "3"]);
    assert!(again.error().contains("was approved before"), "{again:?}");
    assert!(node.says(&["model", "abort", "3"]).contains("asked to give model 3 up (wish 1)"));
    assert_eq!(node.json(&["claim"]), json!({ "number": 2 }));
    let kinds: Vec<_> = node.store.wishes(true).unwrap().into_iter().map(|w| (w.kind, w.what)).collect();
    assert_eq!(kinds, [("abort".to_string(), json!({ "model": 3 })), ("claim".to_string(), json!({}))]);
}

#[test]
fn what_cannot_be_taken_back_is_confirmed() {
    let node = Node::start();
    let dataset = B256::repeat_byte(5);
    let name = dataset.to_string();
    let unsure = node.ran(&["data", "withdraw", &name]);
    assert!(unsure.error().contains("repeat the command with --yes"), "{unsure:?}");
    assert!(unsure.stderr.contains("is withdrawn for good"), "{unsure:?}");
    assert_eq!(node.store.wishes(false).unwrap(), []);
    assert!(node.says(&["data", "withdraw", &name, "--yes"]).contains("(wish 1)"));
    let wish = node.store.get_wish(1).unwrap().unwrap();
    assert_eq!((wish.kind.as_str(), wish.what), ("withdraw", json!({ "dataset": dataset })));
    let going = Going::start(&node, &["data", "withdraw", &name, "--yes", "--wait"]);
    let patience = Instant::now() + Duration::from_secs(20);
    while node.store.get_wish(2).unwrap().is_none() {
        assert!(Instant::now() < patience);
        thread::sleep(Duration::from_millis(20));
    }
    node.store.wish_done(2, &json!({ "dataset": dataset, "said": "it took part in no model" }), 1).unwrap();
    assert_eq!(going.line("no model"), "it took part in no model");
}

#[test]
fn the_log_is_followed_over_a_new_start() {
    let mut node = Node::start();
    assert_eq!(node.says(&["log"]), "the node has done nothing yet\n");
    for n in 1..=3 {
        node.store
            .note(1_800_000_000 + n, Level::Info, "round/1", &format!("line {n}\x1b[2J\nforged"))
            .unwrap();
    }
    node.store.note(1_800_000_009, Level::Error, "mail", "lost").unwrap();
    assert_eq!(
        node.says(&["log", "--lines", "2"]),
        "2027-01-15 08:00:03 UTC  round/1: line 3\u{fffd}[2J forged\n2027-01-15 08:00:09 UTC  ERROR mail: lost\n"
    );
    assert_eq!(node.json(&["log"])["notes"].as_array().unwrap().len(), 4);
    let going = Going::start(&node, &["log", "--follow", "--lines", "1"]);
    let json = Going::start(&node, &["log", "--follow", "--lines", "0", "--json"]);
    going.line("ERROR mail: lost");
    thread::sleep(Duration::from_millis(300));
    node.store.note(1_800_000_010, Level::Info, "a", "fifth").unwrap();
    assert_eq!(going.line("a: "), "2027-01-15 08:00:10 UTC  a: fifth");
    assert_eq!(
        json.line("fifth"),
        r#"{"number":5,"time":1800000010,"level":"info","about":"a","text":"fifth"}"#
    );
    node.stop();
    going.error("waiting until it does");
    node.store.note(1_800_000_011, Level::Info, "a", "while nobody was there").unwrap();
    node.run();
    node.store.note(1_800_000_012, Level::Info, "a", "after").unwrap();
    assert!(going.line("a: ").ends_with("while nobody was there"));
    assert!(going.line("a: ").ends_with("after"));
    assert!(json.line("").contains("while nobody"));
    assert!(json.line("").contains("after"));
}
