//! `--rpc`: the ledger of a run on the network of a node. Here `histone chain serve` is the node; `cargo xtask anvil` has one
//! that is not ours.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Ran, copy, demo, files, histone, run};

/// A served chain, which ends with this value.
struct Node {
    process: Child,
    url: String,
    _home: tempfile::TempDir,
}

impl Node {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut process = histone()
            .args(["chain", "serve", "--port", "0", "--json", "--dir"])
            .arg(home.path().join("chain"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let url = said["http"].as_str().unwrap().to_string();
        Self { process, url, _home: home }
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a run on a node and waits until it says that a step begins.
fn begun(dir: &Path, url: &str, step: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut command = demo(1, dir, &["--rpc", url]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with(step)), "the run did not come to {step}");
    (child, lines)
}

#[test]
fn a_node_that_stops_answering_ends_the_run_in_one_sentence() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let mut node = Node::start();
    let (mut child, lines) = begun(&dir, &node.url, "[4/9]");
    // While it goes on, nobody pulls the folder from under it.
    let ran = Ran::of(&mut demo(1, &dir, &["--rpc", &node.url, "--replace"]));
    assert!(ran.error().contains("a run is going on in"), "{ran:?}");
    node.stop();
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(last.starts_with("error: the run did not end, "), "{last}");
    assert!(last.contains(&format!("cannot reach {}", node.url)), "{last}");
    assert!(dir.join("UNFINISHED").exists() && !dir.join("ledger").exists());
    // The address is in no file.
    let port = node.url.rsplit(':').next().unwrap().as_bytes();
    for (name, bytes) in files(home.path()) {
        assert!(!bytes.windows(port.len() + 1).any(|w| w[0] == b':' && &w[1..] == port), "{name}");
    }
    let ran = run("verify", &dir);
    assert!(ran.error().ends_with("did not end: `UNFINISHED` is there"), "{ran:?}");
    // Starting over needs a node, and without one the earlier run stays.
    let before = files(home.path());
    let ran = Ran::of(&mut demo(1, &dir, &["--rpc", &node.url, "--replace"]));
    assert!(ran.error().contains("got no answer from the chain: cannot reach"), "{ran:?}");
    assert!(before == files(home.path()));
    let node = Node::start();
    let (mut child, _) = begun_again(&dir, &node.url);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn begun_again(dir: &Path, url: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let ran = Ran::of(&mut demo(1, dir, &["--rpc", url]));
    assert!(ran.error().contains("holds an unfinished run"), "{ran:?}");
    assert!(!ran.error().contains("chain replay"), "there is no chain to replay: {ran:?}");
    let mut command = demo(1, dir, &["--rpc", url, "--replace"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("[2/9]")));
    (child, lines)
}

#[test]
fn what_cannot_work_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let says = |further: &[&str], part: &str| {
        let ran = Ran::of(&mut demo(1, &dir, further));
        assert!(ran.error().contains(part), "{ran:?}");
        assert!(files(home.path()).is_empty() && !dir.exists());
    };
    says(&["--rpc", "http://127.0.0.1:9"], "cannot reach http://127.0.0.1:9: ");
    says(&["--rpc", "https://node.example"], "needs TLS");
    says(&["--rpc", "node.example"], "is not of the form http://HOST:PORT");
    says(&["--rpc", "http://127.0.0.1:9", "--funder-key", "none.key"], "cannot read the key `none.key`");
    says(&["--drop-out", "city-hospital@99"], "the training has at most 14 rounds");
    let ran = Ran::of(&mut demo(1, &dir, &["--funder-key", "x"]));
    assert!(ran.code == Some(2) && ran.stderr.contains("--rpc"), "{ran:?}");

    let (_home, dir) = copy();
    let verify = |url: &str| Ran::of(histone().arg("verify").arg(&dir).args(["--rpc", url]));
    assert!(verify("http://127.0.0.1:9").error().contains("leave out --rpc"));
    assert!(verify("ftp://x").error().contains("is not of the form http://HOST:PORT"));
}

/// The clock of a served chain is real: this takes two minutes of waiting.
#[test]
#[ignore = "waits two minutes for a deadline of a real clock; run with --ignored"]
fn a_whole_run_on_a_network_with_a_clock_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let node = Node::start();
    let ran = Ran::of(&mut demo(1, &dir, &["--rpc", &node.url]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let result = ran.json();
    assert_eq!((&result["clock"], &result["chain"]["state_digest"]), (&"network".into(), &Value::Null));
    assert!(ran.stderr.contains("waiting until the network's clock is past a deadline, 121 s away"));
    assert!(!ran.stderr.contains("coins for gas"), "gas is free there");
    let verify = |url: &str| Ran::of(histone().arg("verify").arg(&dir).args(["--rpc", url]));
    let ran = verify(&node.url);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("cannot say chain        the history is what http://"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("everything that can be checked holds\n"));
    assert!(run("verify", &dir).error().contains("--rpc URL"));
    // Another chain, with the same id.
    let other = Node::start();
    assert!(verify(&other.url).error().contains("`chain` does not hold"));
}
