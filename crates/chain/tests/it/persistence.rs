//! Closing, opening, sharing.

use std::fs;
use std::time::{Duration, Instant};

use histone_chain::{Chain, ChainError, FILE_NAME, Sequencer};
use serde_json::json;

use crate::support::*;

#[test]
fn chain_continues_after_reopening() {
    let (chain, dir) = fresh();
    let alice = user(1);
    let counter = deploy(&chain, &alice, 0);
    let receipt = mine(&chain, &alice.call(1, counter, []));
    let before = (chain.head().unwrap(), chain.state_digest().unwrap());
    drop(chain);

    let chain = open(dir.path());
    assert_eq!((chain.head().unwrap(), chain.state_digest().unwrap()), before);
    let again = ask(&chain, "eth_getTransactionReceipt", json!([receipt["transactionHash"]]));
    assert_eq!(again, receipt);
    assert!(chain.request("eth_sendRawTransaction", json!([alice.send(1, counter, 0)])).is_err());
    let next = mine(&chain, &alice.call(2, counter, []));
    assert_eq!(quantity(&next["logs"][0]["data"]), 2);
    assert_eq!(next["blockNumber"], "0x3");
}

#[test]
fn directory_holds_one_chain() {
    let (chain, dir) = fresh();
    drop(chain);
    let again = Chain::create(dir.path(), genesis(), sequencer(), clock());
    assert!(matches!(again, Err(ChainError::Exists(_))));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Chain::open(empty.path(), sequencer(), clock()), Err(ChainError::Missing(_))));
    // A crash in the middle of the creation leaves a file that does not count.
    fs::write(empty.path().join(format!("{FILE_NAME}.new")), b"half").unwrap();
    create(empty.path());
}

#[test]
fn only_the_sequencer_of_the_genesis_writes() {
    let (chain, dir) = fresh();
    drop(chain);
    let other = Sequencer::from_bytes(&[3; 32]).unwrap();
    let refused = Chain::open(dir.path(), other.clone(), clock());
    assert!(matches!(refused, Err(ChainError::WrongSequencer { .. })));
    let refused = Chain::create(&dir.path().join("new"), genesis(), other, clock());
    assert!(matches!(refused, Err(ChainError::WrongSequencer { .. })));
}

#[test]
fn second_process_is_refused_after_a_while() {
    let (_chain, dir) = fresh();
    let start = Instant::now();
    let error = Chain::open(dir.path(), sequencer(), clock()).unwrap_err();
    assert!(matches!(error, ChainError::Locked(_)), "{error}");
    assert!(error.to_string().contains("another process holds this chain"));
    assert!(start.elapsed() >= Duration::from_secs(2));
}

/// The lock of a process that is about to die is waited for.
#[test]
fn open_waits_for_the_lock() {
    let (chain, dir) = fresh();
    let closing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(chain);
    });
    open(dir.path());
    closing.join().unwrap();
}

#[test]
fn readers_change_nothing() {
    let (chain, dir) = fresh();
    mine(&chain, &user(1).send(0, user(2).address, 5));
    let head = chain.head().unwrap();
    drop(chain);
    let file = dir.path().join(FILE_NAME);
    let before = fs::read(&file).unwrap();

    let one = Chain::open_read_only(dir.path(), clock()).unwrap();
    let two = Chain::open_read_only(dir.path(), clock()).unwrap();
    for chain in [&one, &two] {
        assert_eq!(chain.head().unwrap(), head);
        assert_eq!(balance(chain, user(2).address), FUNDS + 5);
        let error = chain
            .request("eth_sendRawTransaction", json!([user(1).send(1, user(2).address, 5)]))
            .unwrap_err();
        assert!(error.message.contains("read-only"), "{error}");
    }
    drop((one, two));
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn file_that_is_no_chain_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for content in [&b""[..], b"not a database", &[0; 8192]] {
        fs::write(dir.path().join(FILE_NAME), content).unwrap();
        assert!(Chain::open(dir.path(), sequencer(), clock()).is_err());
        assert!(Chain::open_read_only(dir.path(), clock()).is_err());
    }
}

#[test]
fn threads_share_a_chain() {
    let (chain, _dir) = fresh();
    let senders: Vec<_> = (1..=4)
        .map(|number| {
            let chain = chain.clone();
            std::thread::spawn(move || {
                for nonce in 0..10 {
                    mine(&chain, &user(number).send(nonce, user(9).address, 1));
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    // Those who came at the same time share blocks.
    let size = chain.size().unwrap();
    assert_eq!(size.transactions, 40);
    assert!((10..=41).contains(&size.blocks), "{} blocks", size.blocks);
    assert_eq!(balance(&chain, user(9).address), FUNDS + 40);
}
