//! `kill -9` at any moment: what a node had kept when the call returned is in its home, and the home is free for the next one.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use histone_node::home::{Home, HomeError, Protection, Settings};
use histone_node::party::Entropy;
use histone_node::store::{Prepared, Store, StoreFault};
use histone_protocol::Address;

const DIRECTORY: &str = "HISTONE_NODE_HOME_TEST_DIRECTORY";
const KILLS: u64 = 15;

/// Not a test: the node that gets killed. It keeps updates and letters with them, and says so when each call has returned.
#[test]
#[ignore = "started by `what_was_kept_survives_kill`"]
fn node() {
    let Some(dir) = env::var_os(DIRECTORY) else { return };
    let opened = Home::open(Path::new(&dir), None).unwrap();
    let _lock = opened.home.lock().unwrap();
    let mut out = std::io::stdout();
    // Ends by itself if the parent should ever die without killing it.
    for _ in 0..100_000 {
        let n = opened.party.next("updates").unwrap();
        opened.party.keep_first(&format!("update-{n}"), vec![n as u8; 5_000]).unwrap();
        let sent = opened.store.send(Address::ZERO, &format!("update {n}"), n, |number| {
            let bytes = number.to_le_bytes().repeat(700);
            Ok::<_, StoreFault>(Prepared { mailbox: Address::ZERO, bytes })
        });
        assert!(sent.unwrap());
        writeln!(out, "kept {n}.").unwrap();
        out.flush().unwrap();
    }
}

/// Starts the node and gives what it says, line by line.
fn start(dir: &Path) -> (Child, mpsc::Receiver<u64>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "home::node", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (say, said) = mpsc::channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // A line that was cut short by the kill says nothing.
            let number = line.split_once("kept ").and_then(|(_, number)| number.strip_suffix('.'));
            if let Some(number) = number {
                let _ = say.send(number.parse().unwrap());
            }
        }
    });
    (child, said)
}

#[test]
fn what_was_kept_survives_kill() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    Home::init(dir, &Settings::new("hospital", 1), &Protection::Open, Entropy::System).unwrap();
    let mut kept = Vec::new();
    for kill in 0..KILLS {
        let (mut child, said) = start(dir);
        kept.push(said.recv_timeout(Duration::from_secs(60)).unwrap());
        let error = Home::at(dir).lock().unwrap_err();
        assert!(
            matches!(error, HomeError::Running { process, .. } if process == Some(child.id())),
            "{error}"
        );
        // Spread over the life of a step, which takes some milliseconds.
        thread::sleep(Duration::from_micros(kill * kill * 7_919 % 50_000));
        // SIGKILL on Unix: no destructor runs, nothing is flushed.
        child.kill().unwrap();
        child.wait().unwrap();
        kept.extend(said.iter());

        let lock = Home::at(dir).lock().unwrap();
        let opened = Home::open(dir, None).unwrap();
        assert_eq!(Store::examine(opened.store.path()).unwrap(), Store::VERSION);
        let letters = opened.store.due_letters(u64::MAX / 4, usize::MAX).unwrap();
        for n in &kept {
            assert!(letters.iter().any(|letter| letter.purpose == format!("update {n}")), "{n} was lost");
        }
        for (letter, number) in letters.iter().zip(1_u64..) {
            assert_eq!(letter.bytes, number.to_le_bytes().repeat(700), "whole, and none was left out");
        }
        // Those before were looked at after earlier kills.
        for letter in letters.iter().rev().take(20) {
            let n = letter.purpose.strip_prefix("update ").unwrap();
            let update = opened.party.recall(&format!("update-{n}")).unwrap().unwrap();
            assert_eq!(update, vec![n.parse::<u64>().unwrap() as u8; 5_000]);
        }
        drop(lock);
    }
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "a number was given twice");
}
