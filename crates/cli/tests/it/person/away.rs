//! Nodes that do not run, servers that are none, and readers that leave.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use histone_node::home::Home;
use histone_node::store::Level;
use serde_json::json;

use super::Node;
use crate::support::{Ran, histone};

/// Every command that asks a node.
const COMMANDS: [&[&str]; 12] = [
    &["inbox"],
    &["inbox", "1"],
    &["approve", "1"],
    &["decline", "1", "--because", "no"],
    &["status"],
    &["status", "--watch"],
    &["claim"],
    &["log"],
    &["log", "--follow"],
    &["query", "ask", "--model", "1", "--row", "1,2", "--most", "5"],
    &["query", "mine"],
    &["model", "train", "1"],
];

#[test]
fn a_node_that_does_not_run_is_said_with_what_starts_it() {
    let mut node = Node::start();
    let home = node.home.display().to_string();
    let left: Vec<_> = ["api.json", "api.token", "api.reader.token"]
        .iter()
        .map(|name| (node.home.join(name), fs::read(node.home.join(name)).unwrap()))
        .collect();
    node.stop();
    for killed in [false, true] {
        if killed {
            left.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        }
        for words in COMMANDS {
            let expected =
                format!("error: no node runs on `{home}`; start it with `histone node run --home {home}`");
            let ran = node.ran(words);
            assert_eq!((ran.error(), ran.stdout.as_str()), (expected.as_str(), ""), "{words:?}");
        }
    }
    for (path, _) in &left {
        fs::remove_file(path).unwrap();
    }
    let lock = Home::at(&node.home).lock().unwrap();
    let starting = node.ran(&["inbox", "--json"]);
    assert!(starting.error().contains("is just starting; try again"), "{starting:?}");
    drop(lock);
    // By name, and by the user's own directory.
    let none = Ran::of(node.command(&["inbox", "--home"]).arg(node.home.join("none")));
    assert!(none.error().contains("make one with `histone node init --home"), "{none:?}");
    let user = node.home.parent().unwrap();
    let own = Ran::of(histone().env("HOME", user).args(["status"]));
    assert!(own.error().contains(&format!("`{}`", user.join(".histone").display())), "{own:?}");
}

/// Answers one request with this.
fn pretend(home: &Path, answer: &'static str) -> thread::JoinHandle<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = json!({ "version": 1, "address": listener.local_addr().unwrap(), "process": 1 });
    fs::write(home.join("api.json"), place.to_string()).unwrap();
    fs::write(home.join("api.token"), "ab".repeat(32)).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    })
}

#[test]
fn other_servers_are_not_understood_and_no_proxy_is_asked() {
    let mut node = Node::start();
    let ran = Ran::of(
        node.command(&["inbox"])
            .env("http_proxy", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9"),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    node.stop();
    let _lock = Home::at(&node.home).lock().unwrap();
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<html></html>", "is of another version"),
        (
            "HTTP/1.1 500 No\r\ncontent-length: 13\r\n\r\n<html></html>",
            "answers 500 Internal Server Error, which",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n",
            "answers 302 Found, which",
        ),
        (
            "HTTP/1.1 403 No\r\ncontent-length: 35\r\n\r\n{\"error\":\"no\\u001b[2J\",\"todo\":\"go\"}",
            "error: no\u{fffd}[2J; go",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", "does not answer to the end"),
        ("nonsense\r\n\r\n", "does not answer at 127.0.0.1:"),
    ] {
        let asked = pretend(&node.home, answer);
        let ran = node.ran(&["inbox"]);
        assert!(ran.error().contains(why), "{answer}: {ran:?}");
        assert!(asked.join().unwrap().contains(&"ab".repeat(32)));
    }
    // Nobody is there any more.
    let ran = node.ran(&["inbox"]);
    assert!(ran.error().contains("does not answer at 127.0.0.1:"), "{ran:?}");
    assert!(!ran.stderr.contains("abab"), "{ran:?}");
}

#[test]
fn a_reader_that_leaves_ends_what_goes_on() {
    let node = Node::start();
    node.store.note(1, Level::Info, "a", "b").unwrap();
    let mut child =
        node.command(&["log", "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut stdout: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        node.store.note(1, Level::Info, "a", "b").unwrap();
        thread::sleep(Duration::from_millis(100));
        if begin.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
            panic!("it goes on");
        }
    }
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}
