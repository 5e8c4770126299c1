//! Transactions that wait for a block.

use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, TxKind};
use histone_chain::{Genesis, replay};
use serde_json::{Value, json};

use crate::support::*;

#[test]
fn queued_transactions_make_one_block_in_their_order() {
    let (chain, dir) = fresh();
    chain.queue_transactions();
    let alice = user(1);
    let counter = alice.address.create(0);
    let mut raws = vec![alice.deploy_counter(0)];
    raws.extend((1..4).map(|nonce| alice.call(nonce, counter, Bytes::new())));
    let hashes: Vec<Value> =
        raws.iter().map(|raw| ask(&chain, "eth_sendRawTransaction", json!([raw]))).collect();

    // Nothing has happened yet, but wallets can count on.
    assert_eq!(chain.head().unwrap().header.number, 0);
    assert_eq!(ask(&chain, "eth_getTransactionCount", json!([alice.address, "pending"])), "0x4");
    assert_eq!(ask(&chain, "eth_getTransactionCount", json!([alice.address, "latest"])), "0x0");
    assert_eq!(ask(&chain, "eth_getTransactionCount", json!([user(2).address, "pending"])), "0x0");
    assert_eq!(ask(&chain, "eth_getTransactionReceipt", json!([hashes[0]])), Value::Null);
    let waiting = ask(&chain, "eth_getTransactionByHash", json!([hashes[1]]));
    assert_eq!((&waiting["from"], &waiting["blockNumber"]), (&json!(alice.address), &Value::Null));

    assert_eq!(chain.seal().unwrap(), 1);
    let block = ask(&chain, "eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!((&block["number"], &block["transactions"]), (&json!("0x1"), &json!(hashes)));
    assert_eq!(quantity(&ask(&chain, "eth_getStorageAt", json!([counter, "0x0"]))), 3);
    assert_eq!(ask(&chain, "eth_getTransactionCount", json!([alice.address, "pending"])), "0x4");
    // An empty queue makes no block.
    assert_eq!(chain.seal().unwrap(), 0);
    assert_eq!(chain.head().unwrap().header.number, 1);
    drop(chain);
    assert_eq!(replay(dir.path()).unwrap().transactions, 4);
}

#[test]
fn refusals_are_told_before_the_block() {
    let (chain, _dir) = fresh();
    chain.queue_transactions();
    let (alice, poor) = (user(1), user(77));
    let first = alice.send(0, user(2).address, FUNDS - 10);
    ask(&chain, "eth_sendRawTransaction", json!([first]));
    let refused = |raw: Bytes, why: &str| {
        let error = chain.request("eth_sendRawTransaction", json!([raw])).unwrap_err();
        assert!(error.code == -32000 && error.message.contains(why), "{error}");
    };
    refused(first.clone(), "already known");
    refused(alice.send(0, user(3).address, 1), "nonce too low");
    refused(alice.send(2, user(3).address, 1), "nonce too high");
    // What was queued before has spent the money.
    refused(alice.send(1, user(3).address, 11), "insufficient funds");
    refused(poor.send(0, user(3).address, 1), "insufficient funds");
    assert_eq!(chain.seal().unwrap(), 1);
    assert_eq!(balance(&chain, user(2).address), 2 * FUNDS - 10);
    refused(first, "nonce too low");
}

#[test]
fn a_full_block_does_not_wait() {
    let (chain, _dir) = fresh();
    chain.queue_transactions();
    let alice = user(1);
    // Each may use more than half of a block, and uses almost all of it: an endless loop.
    let endless = |nonce| {
        let input = Bytes::from_static(&[0x5b, 0x5f, 0x56]);
        let gas_limit = Genesis::GAS_LIMIT / 2;
        alice.sign(TxEip1559 { nonce, to: TxKind::Create, input, gas_limit, ..alice.draft() })
    };
    for nonce in 0..3 {
        ask(&chain, "eth_sendRawTransaction", json!([endless(nonce)]));
    }
    assert_eq!(chain.head().unwrap().header.number, 1, "two fill a block, the third waits");
    assert_eq!(chain.seal().unwrap(), 1);
    let counts: Vec<Value> = ["0x1", "0x2"]
        .iter()
        .map(|number| ask(&chain, "eth_getBlockTransactionCountByNumber", json!([number])))
        .collect();
    assert_eq!(counts, ["0x2", "0x1"]);
}

#[test]
fn blocks_made_meanwhile_do_not_spoil_the_queue() {
    let (chain, _dir) = fresh();
    chain.queue_transactions();
    let (alice, bob) = (user(1), user(2));
    let mut hashes = Vec::new();
    for (sender, nonce) in [(&alice, 0), (&bob, 0), (&alice, 1)] {
        hashes.push(ask(&chain, "eth_sendRawTransaction", json!([sender.send(nonce, user(3).address, 1)])));
    }
    // The embedding program puts another transaction of Bob's first: his queued one is void, the others are not.
    chain.produce(&[bob.send(0, user(4).address, 5)]).unwrap();
    assert_eq!(chain.seal().unwrap(), 2);
    let status = |hash: &Value| ask(&chain, "eth_getTransactionReceipt", json!([hash]))["status"].clone();
    assert_eq!(hashes.iter().map(status).collect::<Vec<_>>(), [json!("0x1"), Value::Null, json!("0x1")]);
    assert_eq!(ask(&chain, "eth_getTransactionByHash", json!([hashes[1]])), Value::Null);
}
