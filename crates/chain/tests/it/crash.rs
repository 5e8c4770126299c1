//! `kill -9` at any moment loses no transaction whose hash was returned.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use histone_chain::{Chain, FILE_NAME, replay};
use serde_json::json;

use crate::support::*;

const DIRECTORY: &str = "HISTONE_CHAIN_CRASH_TEST_DIRECTORY";
/// How often the child is killed; the soak does it [`SOAK_KILLS`] times or as often as its variable says.
const KILLS: u64 = 20;
const SOAK_KILLS: u64 = 1000;
const SOAK: &str = "HISTONE_CHAIN_SOAK_KILLS";

/// Not a test: the process that gets killed. It sends transfers and prints each hash once it was returned.
#[test]
#[ignore = "started by `acknowledged_transactions_survive_kill`"]
fn child() {
    let Some(dir) = env::var_os(DIRECTORY) else { return };
    let chain = open(Path::new(&dir));
    let alice = user(1);
    let first = quantity(&ask(&chain, "eth_getTransactionCount", json!([alice.address])));
    let mut out = std::io::stdout();
    // Ends by itself if the parent should ever die without killing it.
    for nonce in first..first + 100_000 {
        let receipt = mine(&chain, &alice.send(nonce, user(2).address, 1));
        writeln!(out, "mined {}", receipt["transactionHash"].as_str().unwrap()).unwrap();
        out.flush().unwrap();
    }
}

/// Runs the child until some time after its first transaction, kills it, and returns what it printed.
fn run_and_kill(dir: &Path, patience: Duration) -> Vec<String> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (first, started) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut mined = Vec::new();
        for line in output.lines().map_while(Result::ok) {
            // A hash cut short by the kill was not acknowledged.
            let hash = line.split_once("mined ").map(|(_, hash)| hash).filter(|hash| hash.len() == 66);
            if let Some(hash) = hash {
                mined.push(hash.to_owned());
                let _ = first.send(());
            }
        }
        mined
    });
    started.recv_timeout(Duration::from_secs(60)).unwrap();
    thread::sleep(patience);
    // SIGKILL on Unix: no destructor runs, nothing is flushed.
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn acknowledged_transactions_survive_kill() {
    survive(KILLS);
}

#[test]
#[ignore = "takes many minutes: cargo test --release -p histone-chain -- --ignored soak_of_kills --nocapture"]
fn soak_of_kills() {
    let kills = env::var(SOAK).ok().map_or(SOAK_KILLS, |kills| kills.parse().unwrap());
    let start = Instant::now();
    let acknowledged = survive(kills);
    println!("{kills} kills in {:.0?}, {acknowledged} acknowledged transactions, none lost", start.elapsed());
}

/// Kills a writer `kills` times and loses nothing. Returns how many transactions had been acknowledged.
fn survive(kills: u64) -> u64 {
    let (chain, dir) = fresh();
    drop(chain);
    let mut acknowledged = BTreeSet::new();
    for kill in 0..kills {
        // Spread over the life of a block, which takes a millisecond or so.
        let patience = Duration::from_micros(kill * kill * 7919 % 60_000);
        let fresh = run_and_kill(dir.path(), patience);
        acknowledged.extend(fresh.iter().cloned());

        // Looking at everything takes longer with each kill, so a soak does it now and then, and at its end.
        let thorough = kill < KILLS || kill % 100 == 0 || kill + 1 == kills;
        if thorough && kill % 10 == 0 {
            // The file is unclean now: a stranger reads a copy and leaves it as it is.
            let before = fs::read(dir.path().join(FILE_NAME)).unwrap();
            let report = replay(dir.path()).unwrap();
            assert!(report.transactions >= acknowledged.len() as u64);
            let reader = Chain::open_read_only(dir.path(), clock()).unwrap();
            assert_eq!(reader.head().unwrap().hash, report.head);
            drop(reader);
            assert!(fs::read(dir.path().join(FILE_NAME)).unwrap() == before, "the file was changed");
        }

        let chain = open(dir.path());
        let all: Vec<&String> = if thorough { acknowledged.iter().collect() } else { fresh.iter().collect() };
        for hash in all {
            let receipt = ask(&chain, "eth_getTransactionReceipt", json!([hash]));
            assert_eq!(receipt["status"], "0x1", "lost {hash}");
        }
        // At most the one transaction in flight was written without being acknowledged.
        let nonce = quantity(&ask(&chain, "eth_getTransactionCount", json!([user(1).address])));
        let lead = nonce - acknowledged.len() as u64;
        assert!(lead <= kill + 1, "{lead} blocks too many");
    }
    assert!(acknowledged.len() as u64 >= kills);
    let report = replay(dir.path()).unwrap();
    assert!(report.transactions >= acknowledged.len() as u64);
    acknowledged.len() as u64
}
