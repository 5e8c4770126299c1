//! Attacks on the server and on those who share it, each named after what the attacker wants.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, Bytes};
use histone_chain::server::Options;
use histone_chain::{Allowance, Chain, FreeGas, MAX_BLOCK_EVENTS, MAX_ELEMENT_BYTES, ManualClock, replay};
use serde_json::{Value, json};

use crate::attacks::*;
use crate::sockets::*;
use crate::support::*;

/// Unoptimized builds, and machines with other things to do, get more time.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 2 });

fn few() -> Options {
    Options { requests: NonZeroUsize::MIN, ..Options::default() }
}

#[test]
fn leaving_early_does_not_leave_the_work_behind() {
    let server = served(few());
    // Each of these would take minutes.
    for _ in 0..8 {
        let call = request("eth_call", json!([{ "data": Bytes::from(ENDLESS_COMMITMENTS) }, "latest"]));
        let mut stream = server.connect();
        stream.write_all(&post(call.to_string())).unwrap();
        thread::sleep(Duration::from_millis(150));
    }
    // The place for long work is free again when the last of them has noticed.
    let start = Instant::now();
    let answer = server.post(endless_call().to_string()).json();
    assert!(answer["error"]["message"].as_str().unwrap().contains("OutOfGas"), "{answer}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn endless_calls_in_batches_do_not_stop_the_transactions_of_others() {
    let server = served(Options::default());
    let batch = Value::from(vec![endless_call(); 1000]).to_string();
    let mut hostile: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for stream in &mut hostile {
        stream.write_all(&post(&batch)).unwrap();
    }
    for nonce in 0..5 {
        let start = Instant::now();
        let raw = user(1).send(nonce, user(2).address, 1);
        let hash = server.call("eth_sendRawTransaction", json!([raw]))["result"].clone();
        let receipt = server.call("eth_getTransactionReceipt", json!([hash]));
        assert_eq!(receipt["result"]["status"], "0x1", "{receipt}");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}

#[test]
fn a_transaction_that_takes_too_long_is_refused_and_holds_up_nobody() {
    let server = served(Options::default());
    thread::scope(|scope| {
        let slow: Vec<_> = (2..=5)
            .map(|number| {
                let server = &server;
                let raw = creation(&user(number), 0, ENDLESS_COMMITMENTS, 29_000_000);
                scope.spawn(move || server.call("eth_sendRawTransaction", json!([raw])))
            })
            .collect();
        thread::sleep(Duration::from_millis(100));
        let start = Instant::now();
        let raw = user(1).send(0, user(2).address, 1);
        assert!(server.call("eth_sendRawTransaction", json!([raw]))["result"].is_string());
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        for slow in slow {
            let refused = slow.join().unwrap();
            assert_eq!(refused["error"]["code"], -32005, "{refused}");
            assert!(refused["error"]["message"].as_str().unwrap().contains("processor time"), "{refused}");
        }
    });
    assert_eq!(server.chain.size().unwrap().transactions, 1);
    // A single call of the precompile for powers can take seconds, and cannot be interrupted.
    let mut powers = ENDLESS_POWERS;
    for length in [2, 7, 13] {
        powers[length - 1] = 3;
    }
    let raw = creation(&user(6), 0, powers, 29_000_000);
    let refused = server.call("eth_sendRawTransaction", json!([raw]));
    assert_eq!(refused["error"]["code"], -32005, "{refused}");
}

#[test]
fn a_call_that_wants_all_the_memory_is_stopped() {
    let server = served(Options::default());
    let (raw, deep) = deep(&user(1), 0);
    mine(&server.chain, &raw);
    let call = json!([{ "to": deep }, "latest"]);
    let refused = server.call("eth_call", call.clone());
    assert_eq!(refused["error"]["code"], -32005, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("memory"), "{refused}");
    // Inside the process nobody is a stranger.
    assert_eq!(ask(&server.chain, "eth_call", call), "0x");
}

#[test]
fn lists_that_are_longer_in_memory_than_as_text_are_not_read() {
    let server = served(Options::default());
    let zeros = |count: usize| format!("[{}0]", "0,".repeat(count));
    let answer = server.post(zeros(2_000_000)).json();
    assert_eq!(answer["error"]["message"], "the batch has 2000001 requests, the limit is 1000");
    for filler in ["{},", "[],", "0,"] {
        let params = format!("[[{}0]]", filler.repeat(MAX_ELEMENT_BYTES / filler.len()));
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":{params}}}"#);
        let answer = server.post(&body).json();
        assert_eq!(answer["error"]["code"], -32600, "{answer}");
        let answer = server.post(format!("[{body}]")).json();
        assert_eq!(answer[0]["error"]["code"], -32600, "{answer}");
    }
    // What is quoted back is cut.
    let long = request("eth_getBalance", json!(["x".repeat(MAX_ELEMENT_BYTES - 200)]));
    assert!(server.post(long.to_string()).body.len() < 2000);
}

/// Follows what the errors say until everything was read.
fn in_ranges_that_fit(chain: &Chain, mut from: u64, to: u64) -> (usize, usize) {
    let (mut events, mut requests) = (0, 0);
    let mut until = to;
    while from <= to {
        requests += 1;
        let filter = json!({ "fromBlock": format!("{from:#x}"), "toBlock": format!("{until:#x}") });
        match chain.request("eth_getLogs", json!([filter])) {
            Ok(logs) => {
                events += logs.as_array().unwrap().len();
                (from, until) = (until + 1, to);
            }
            Err(error) => {
                assert_eq!(error.code, -32005, "{error}");
                let data = error.data.unwrap();
                assert_eq!(quantity(&data["from"]), from);
                assert!(quantity(&data["to"]) < until, "{data}");
                until = quantity(&data["to"]);
                let range = format!("Try with this block range [{from:#x}, {until:#x}].");
                assert!(error.message.ends_with(&range), "{}", error.message);
            }
        }
    }
    (events, requests)
}

#[test]
fn events_of_others_never_make_a_range_that_nobody_can_read() {
    let (chain, _dir) = fresh();
    let (raw, noisy) = noisy(&user(1), 0);
    mine(&chain, &raw);
    // More events than one answer holds.
    for nonce in 1..=3 {
        assert_eq!(mine(&chain, &noise(&user(1), nonce, noisy, 4_000, 0))["status"], "0x1");
    }
    assert_eq!(in_ranges_that_fit(&chain, 0, 4), (12_000, 3));
    // More bytes than one answer holds: 63 events of 16 KiB in each block, the most.
    for nonce in 4..=12 {
        assert_eq!(mine(&chain, &noise(&user(1), nonce, noisy, 63, 16_384))["status"], "0x1");
    }
    let (events, requests) = in_ranges_that_fit(&chain, 5, 13);
    assert_eq!(events, 9 * 63);
    assert!(requests > 2, "{requests}");
    // No block holds more than one answer does.
    for (events, bytes) in [(MAX_BLOCK_EVENTS as u64 + 1, 0), (65, 16_384)] {
        let raw = noise(&user(1), 13, noisy, events, bytes);
        let refused = chain.request("eth_sendRawTransaction", json!([raw])).unwrap_err();
        assert!(refused.message.contains("more than the block has room for"), "{refused}");
    }
    // A second transaction that would go over it goes into the next block.
    let two = [noise(&user(1), 13, noisy, 6_000, 0), noise(&user(1), 14, noisy, 6_000, 0)];
    assert!(chain.produce(&two).is_err());
    chain.produce(&two[..1]).unwrap();
    chain.produce(&two[1..]).unwrap();
}

#[test]
fn a_filter_that_matches_too_much_is_told_in_parts() {
    let (chain, _dir) = fresh();
    let (raw, noisy) = noisy(&user(1), 0);
    mine(&chain, &raw);
    let filter = ask(&chain, "eth_newFilter", json!([{}]));
    for nonce in 1..=3 {
        mine(&chain, &noise(&user(1), nonce, noisy, 4_000, 0));
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(ask(&chain, "eth_getFilterChanges", json!([filter])).as_array().unwrap().len());
    }
    assert_eq!(told, [8_000, 4_000, 0]);
    let greedy: Vec<Address> = (0..101).map(Address::with_last_byte).collect();
    let refused = chain.request("eth_newFilter", json!([{ "address": greedy }])).unwrap_err();
    assert_eq!(refused.code, -32005);
}

#[test]
fn a_receipt_as_large_as_they_come_is_answered_whole_and_others_do_not_wait_for_it() {
    let server = served(Options::default());
    let (raw, noisy) = noisy(&user(1), 0);
    mine(&server.chain, &raw);
    let receipt = mine(&server.chain, &noise(&user(1), 1, noisy, 9_000, 0));
    let hash = &receipt["transactionHash"];
    let served = server.call("eth_getTransactionReceipt", json!([hash]));
    assert_eq!(served["result"], receipt);
    let block = server.call("eth_getBlockReceipts", json!(["0x2"]));
    assert_eq!(block["result"][0]["logs"].as_array().unwrap().len(), 9_000);
    let mut socket = server.websocket();
    let subscription = socket.call("eth_subscribe", json!(["logs"]));
    mine(&server.chain, &noise(&user(1), 2, noisy, 3_000, 0));
    for index in 0..3_000 {
        assert_eq!(quantity(&socket.notified(&subscription)["logIndex"]), index);
    }
    // And nothing twice: the next message is the answer.
    assert_eq!(socket.call("eth_blockNumber", json!([])), "0x3");
}

fn limited(account: u64, all: u64, members: Vec<Address>) -> (Chain, tempfile::TempDir, Arc<ManualClock>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let chain = Chain::create(dir.path(), genesis(), sequencer(), clock.clone()).unwrap();
    let allowance = |burst| Allowance { burst, per_second: burst / 100 };
    chain.limit_free_gas(Some(FreeGas {
        account: allowance(account),
        member: allowance(all),
        all: allowance(all),
        kept_for_members: 50,
        members: Some(Arc::new(move |account| members.contains(&account))),
    }));
    (chain, dir, clock)
}

/// How many transfers `from` sends until it is refused, and the refusal.
fn send_all(chain: &Chain, from: &User, first: u64) -> (u64, histone_chain::RpcError) {
    for nonce in first..first + 1_000 {
        let raw = from.send(nonce, user(9).address, 0);
        if let Err(refused) = chain.request("eth_sendRawTransaction", json!([raw])) {
            return (nonce - first, refused);
        }
    }
    panic!("never refused");
}

#[test]
fn one_account_cannot_fill_the_chain_with_what_costs_nothing() {
    let (chain, dir, clock) = limited(210_000, 2_100_000, Vec::new());
    let (sent, refused) = send_all(&chain, &user(1), 0);
    assert_eq!((sent, refused.code), (10, -32005));
    assert!(refused.message.contains("has used up its free gas; try again in 1 s"), "{refused}");
    assert_eq!(refused.data, Some(json!({ "retryAfter": 1 })));
    // Others can go on, and it can when it was told to.
    assert_eq!(send_all(&chain, &user(2), 0).0, 10);
    clock.advance(1);
    assert_eq!(send_all(&chain, &user(1), 10).0, 1);
    // It went into debt with that, and waits longer now.
    let (sent, refused) = send_all(&chain, &user(1), 11);
    assert_eq!((sent, refused.data), (0, Some(json!({ "retryAfter": 10 }))));
    clock.advance(10);
    assert_eq!(send_all(&chain, &user(1), 11).0, 1);
    drop(chain);
    assert_eq!(replay(dir.path()).unwrap().transactions, 22);
}

#[test]
fn new_accounts_cannot_use_up_what_is_kept_for_members() {
    let member = user(1);
    let (chain, _dir, _clock) = limited(210_000, 2_100_000, vec![member.address]);
    // Accounts cost nothing: these were never seen before.
    let mut sent = 0;
    let refused = (30..200)
        .find_map(|number| {
            let (of_one, refused) = send_all(&chain, &user(number), 0);
            sent += of_one;
            refused.message.starts_with("all accounts together").then_some(refused)
        })
        .unwrap();
    assert_eq!((sent, refused.code), (50, -32005));
    assert_eq!(send_all(&chain, &member, 0).0, 50);
}

#[test]
fn what_is_refused_after_it_took_its_time_is_charged() {
    let gas = 29_000_000;
    let account = Allowance { burst: gas, per_second: 1 };
    let rules = FreeGas { account, ..FreeGas::default() };
    let server = served(Options { free_gas: Some(rules), ..Options::default() });
    let mut powers = ENDLESS_POWERS;
    for length in [2, 7, 13] {
        powers[length - 1] = 3;
    }
    let raw = creation(&user(6), 0, powers, gas);
    let first = server.call("eth_sendRawTransaction", json!([raw]));
    assert!(first["error"]["message"].as_str().unwrap().contains("processor time"), "{first}");
    let second = server.call("eth_sendRawTransaction", json!([raw]));
    assert!(second["error"]["message"].as_str().unwrap().contains("free gas"), "{second}");
}
