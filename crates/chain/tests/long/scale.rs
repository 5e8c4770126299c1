//! A chain with a million accounts opens quickly and in little memory.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use alloy_primitives::{Address, U256, keccak256};
use histone_chain::{Chain, Genesis};
use serde_json::json;

use crate::support::*;

const DIRECTORY: &str = "HISTONE_CHAIN_SCALE_TEST_DIRECTORY";
const ACCOUNTS: u64 = 1_000_000;

fn address(number: u64) -> Address {
    Address::from_word(keccak256(number.to_be_bytes()))
}

/// Not a test: the process whose memory is looked at. Prints the milliseconds that opening took.
#[test]
#[ignore = "started by `a_million_accounts_open_in_a_second_and_200_megabytes`"]
fn child() {
    let Some(dir) = env::var_os(DIRECTORY) else { return };
    let start = Instant::now();
    let chain = open(Path::new(&dir));
    let opened = start.elapsed();
    mine(&chain, &user(1).send(0, address(7), 1));
    assert_eq!(balance(&chain, address(7)), 9);
    assert_eq!(balance(&chain, address(ACCOUNTS - 1)), ACCOUNTS);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    println!("measured {} {}", opened.as_millis(), peak.trim().trim_end_matches(" kB"));
}

#[test]
#[ignore = "takes minutes unless optimized: cargo test --release -p histone-chain -- --ignored a_million"]
fn a_million_accounts_open_in_a_second_and_200_megabytes() {
    let dir = tempfile::tempdir().unwrap();
    let alloc = (0..ACCOUNTS).map(|number| (address(number), U256::from(number + 1)));
    let genesis = Genesis { alloc: genesis().alloc.into_iter().chain(alloc).collect(), ..genesis() };
    let chain = Chain::create(dir.path(), genesis, sequencer(), clock()).unwrap();
    assert_eq!(chain.size().unwrap().accounts, ACCOUNTS + 9);
    assert_eq!(ask(&chain, "eth_blockNumber", json!([])), "0x0");
    drop(chain);

    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "scale::child", "--ignored", "--nocapture"])
        .env(DIRECTORY, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line =
        text.lines().find_map(|line| line.split_once("measured ")).unwrap_or_else(|| panic!("{text}")).1;
    let (milliseconds, kilobytes) = line.split_once(' ').unwrap();
    println!("opened in {milliseconds} ms, peak memory {kilobytes} kB");
    assert!(kilobytes.trim().parse::<u64>().unwrap() < 200 * 1024, "{line}");
    // A build for tests takes up to three times as long for the same work (`SLOWNESS`).
    let second = if cfg!(debug_assertions) { 3_000 } else { 1_000 };
    assert!(milliseconds.parse::<u64>().unwrap() < second, "{line}");
}
