//! Accounts: balance, code, storage, nonce. Only the newest state is kept, so historical questions are asked about it.

use alloy_primitives::{Address, B256, U256, hex};
use serde_json::{Value, json};

use super::Case;
use super::world::World;
use crate::support::*;

pub(super) const CASES: &[Case] = &[
    ("eth_getBalance/get-balance", |world| at(world, json!("latest"))),
    ("eth_getBalance/get-balance-unknown-account", |world| {
        assert_eq!(world.ask("eth_getBalance", json!([nobody(), "latest"])), "0x0");
    }),
    ("eth_getBalance/get-balance-blockhash", |world| {
        at(world, world.head().0);
        // Of an older block the state is not kept, which is said and not guessed.
        let old = &world.sent("legacy create").receipt["blockHash"];
        assert_eq!(world.refused("eth_getBalance", json!([world.alice.address, old])), -32000);
    }),
    ("eth_getBalance/get-balance-block-hash-object", |world| {
        at(world, json!({ "blockHash": world.head().0 }))
    }),
    ("eth_getBalance/get-balance-block-hash-object-require-canonical", |world| {
        at(world, json!({ "blockHash": world.head().0, "requireCanonical": true }));
    }),
    ("eth_getBalance/get-balance-block-number-object", |world| {
        at(world, json!({ "blockNumber": world.head().1 }));
    }),
    ("eth_getBalance/get-balance-default-block", |world| at(world, Value::Null)),
    ("eth_getCode/get-code", |world| {
        let code = world.ask("eth_getCode", json!([world.address_teller, "latest"]));
        assert_eq!(code, "0x305f5260205ff3");
    }),
    ("eth_getCode/get-code-default-block", |world| {
        let code = world.ask("eth_getCode", json!([world.address_teller]));
        assert_eq!(code, "0x305f5260205ff3");
    }),
    ("eth_getCode/get-code-unknown-account", |world| {
        assert_eq!(world.ask("eth_getCode", json!([nobody(), "latest"])), "0x");
    }),
    ("eth_getCode/get-code-eip7702-delegation", |world| {
        let code = world.ask("eth_getCode", json!([world.delegating.address, "latest"]));
        let designator = [&hex!("ef0100")[..], world.address_teller.as_slice()].concat();
        assert_eq!(code, json!(hex::encode_prefixed(designator)));
    }),
    ("eth_getStorageAt/get-storage", |world| {
        let word = world.ask("eth_getStorageAt", json!([world.emitter, B256::ZERO, "latest"]));
        // It counts its calls, and each left an event.
        let events = world.ask("eth_getLogs", json!([{ "fromBlock": "0x0", "address": world.emitter }]));
        assert_eq!(word, json!(B256::from(U256::from(events.as_array().unwrap().len()))));
        assert_ne!(word, json!(B256::ZERO));
    }),
    ("eth_getStorageAt/get-storage-default-block", |world| {
        let word = |params: Value| world.ask("eth_getStorageAt", params);
        assert_eq!(word(json!([world.emitter, "0x0"])), word(json!([world.emitter, "0x0", "latest"])));
    }),
    ("eth_getStorageAt/get-storage-unknown-account", |world| {
        let word = world.ask("eth_getStorageAt", json!([nobody(), B256::with_last_byte(1), "latest"]));
        assert_eq!(word, json!(B256::ZERO));
    }),
    ("eth_getStorageAt/get-storage-invalid-key", |world| {
        assert_eq!(world.refused("eth_getStorageAt", json!([world.emitter, "0xasdf", "latest"])), -32602);
    }),
    ("eth_getStorageAt/get-storage-invalid-key-too-large", |world| {
        let key = format!("0x{}", "0".repeat(65));
        assert_eq!(world.refused("eth_getStorageAt", json!([world.emitter, key, "latest"])), -32602);
    }),
    ("eth_getTransactionCount/get-nonce", |world| {
        assert_eq!(world.ask("eth_getTransactionCount", json!([world.alice.address, "latest"])), "0xc");
    }),
    ("eth_getTransactionCount/get-account-nonce", |world| {
        // A contract begins with one.
        assert_eq!(world.ask("eth_getTransactionCount", json!([world.emitter, "latest"])), "0x1");
    }),
    ("eth_getTransactionCount/get-nonce-default-block", |world| {
        assert_eq!(world.ask("eth_getTransactionCount", json!([world.alice.address])), "0xc");
    }),
    ("eth_getTransactionCount/get-nonce-unknown-account", |world| {
        assert_eq!(world.ask("eth_getTransactionCount", json!([nobody(), "latest"])), "0x0");
    }),
    ("eth_getTransactionCount/get-nonce-eip7702-account", |world| {
        // It has sent nothing: the delegation counted.
        let nonce = world.ask("eth_getTransactionCount", json!([world.delegating.address, "latest"]));
        assert_eq!(nonce, "0x1");
    }),
];

fn nobody() -> Address {
    Address::repeat_byte(0xc1)
}

/// The account that got one transfer of nothing, and the sequencer, which got the fees.
fn at(world: &World, block: Value) {
    let fees: u64 = world
        .kinds()
        .map(|kind| &world.sent(kind).receipt)
        .map(|receipt| quantity(&receipt["gasUsed"]) * quantity(&receipt["effectiveGasPrice"]))
        .sum();
    assert!(fees > 0);
    let balance = |address: Address| quantity(&world.ask("eth_getBalance", json!([address, block])));
    assert_eq!(balance(sequencer().address()), fees);
    assert_eq!(balance(world.alice.address), FUNDS - fees);
}
