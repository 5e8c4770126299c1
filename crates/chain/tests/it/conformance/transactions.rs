//! Transactions and receipts of every type that the chain takes.

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::Transaction;
use serde_json::{Value, json};

use super::blocks::unknown;
use super::world::{World, mark, topic};
use super::{Case, fits, log, receipt, transaction};
use crate::support::*;

pub(super) const CASES: &[Case] = &[
    ("eth_getTransactionByHash/get-legacy-tx", |world| is_legacy(world, "legacy")),
    ("eth_getTransactionByHash/get-legacy-create", |world| {
        is_legacy(world, "legacy create");
        assert_eq!(by_hash(world, "legacy create")["to"], Value::Null);
    }),
    ("eth_getTransactionByHash/get-legacy-input", |world| {
        is_legacy(world, "legacy input");
        assert_eq!(by_hash(world, "legacy input")["input"], json!(mark("legacy input")));
    }),
    ("eth_getTransactionByHash/get-access-list", |world| {
        let shape =
            json!({ "type": "= 0x1", "accessList": [{ "address": "address", "storageKeys": ["hash"] }] });
        is_transaction(world, "access list", shape, &["maxFeePerGas", "maxPriorityFeePerGas"]);
        assert_eq!(by_hash(world, "access list")["gasPrice"], "0x4");
    }),
    ("eth_getTransactionByHash/get-dynamic-fee", |world| {
        is_transaction(world, "dynamic fee", json!({ "type": "= 0x2" }), &[]);
        let value = by_hash(world, "dynamic fee");
        let fees = [&value["maxFeePerGas"], &value["maxPriorityFeePerGas"], &value["gasPrice"]];
        assert_eq!(fees, ["0x9", "0x2", "0x2"], "the base fee is zero, so the tip is the price");
    }),
    ("eth_getTransactionByHash/get-setcode-tx", |world| {
        is_transaction(world, "set code", json!({ "type": "= 0x4" }), &[]);
    }),
    ("eth_getTransactionByHash/get-authlist-tx", |world| {
        let authorization = json!({
            "chainId": "quantity", "address": "address", "nonce": "quantity", "yParity": "quantity",
            "r": "quantity", "s": "quantity",
        });
        is_transaction(
            world,
            "set code",
            json!({ "type": "= 0x4", "authorizationList": [authorization] }),
            &[],
        );
        let value = by_hash(world, "set code");
        assert_eq!(value["authorizationList"][0]["address"], json!(world.address_teller));
    }),
    ("eth_getTransactionByHash/get-empty-tx", |world| {
        assert_eq!(world.ask("eth_getTransactionByHash", json!([B256::ZERO])), Value::Null);
    }),
    ("eth_getTransactionByHash/get-notfound-tx", |world| {
        assert_eq!(world.ask("eth_getTransactionByHash", json!([unknown()])), Value::Null);
    }),
    ("eth_getTransactionByBlockHashAndIndex/get-block-n", |world| {
        let hash = world.head().0;
        for (index, kind) in [("0x0", "first of two"), ("0x1", "second of two")] {
            let found = world.ask("eth_getTransactionByBlockHashAndIndex", json!([hash, index]));
            assert_eq!(found, by_hash(world, kind));
        }
    }),
    ("eth_getTransactionByBlockNumberAndIndex/get-block-n", |world| {
        for kind in world.kinds() {
            let receipt = &world.sent(kind).receipt;
            let place = json!([receipt["blockNumber"], receipt["transactionIndex"]]);
            assert_eq!(world.ask("eth_getTransactionByBlockNumberAndIndex", place), by_hash(world, kind));
        }
    }),
    ("eth_getTransactionReceipt/get-legacy-receipt", |world| {
        is_receipt(world, "legacy", "= 0x0", json!({ "logs": "empty" }));
        let receipt = &world.sent("legacy").receipt;
        assert_eq!((&receipt["gasUsed"], &receipt["effectiveGasPrice"]), (&json!("0x5208"), &json!("0x3")));
    }),
    ("eth_getTransactionReceipt/get-legacy-contract", |world| {
        is_receipt(world, "legacy create", "= 0x0", json!({ "to": "null", "contractAddress": "address" }));
        assert_eq!(world.sent("legacy create").receipt["contractAddress"], json!(world.emitter));
        // What was not made has no address.
        is_receipt(world, "halted create", "= 0x2", json!({ "status": "= 0x0", "contractAddress": "null" }));
    }),
    ("eth_getTransactionReceipt/get-legacy-input", |world| emitted(world, "legacy input", "= 0x0")),
    ("eth_getTransactionReceipt/get-access-list", |world| emitted(world, "access list", "= 0x1")),
    ("eth_getTransactionReceipt/get-dynamic-fee", |world| {
        emitted(world, "dynamic fee", "= 0x2");
        assert_eq!(world.sent("dynamic fee").receipt["effectiveGasPrice"], "0x2");
        is_receipt(world, "reverted", "= 0x2", json!({ "status": "= 0x0", "logs": "empty" }));
    }),
    ("eth_getTransactionReceipt/get-setcode-tx", |world| {
        emitted(world, "set code", "= 0x4");
        // The delegation is paid for: 25,000, of which 12,500 come back when the account was there before.
        let gas = |kind| quantity(&world.sent(kind).receipt["gasUsed"]);
        assert!(gas("set code") >= gas("first of two") + 12_500);
    }),
    ("eth_getTransactionReceipt/get-auth-list", |world| emitted(world, "set code", "= 0x4")),
    ("eth_getTransactionReceipt/get-empty-tx", |world| {
        assert_eq!(world.ask("eth_getTransactionReceipt", json!([B256::ZERO])), Value::Null);
    }),
    ("eth_getTransactionReceipt/get-notfound-tx", |world| {
        assert_eq!(world.ask("eth_getTransactionReceipt", json!([unknown()])), Value::Null);
    }),
];

fn by_hash(world: &World, kind: &str) -> Value {
    world.ask("eth_getTransactionByHash", json!([world.sent(kind).receipt["transactionHash"]]))
}

fn is_legacy(world: &World, kind: &str) {
    let absent = ["accessList", "maxFeePerGas", "maxPriorityFeePerGas", "yParity"];
    is_transaction(world, kind, json!({ "type": "= 0x0" }), &absent);
    // EIP-155: the chain id is in `v`.
    let v = quantity(&by_hash(world, kind)["v"]);
    assert!(v == 2 * CHAIN_ID + 35 || v == 2 * CHAIN_ID + 36, "{v}");
}

/// The transaction has the shape of its type, changed by `shape`, without `absent` members, and it is the one that
/// was sent, byte for byte.
fn is_transaction(world: &World, kind: &str, shape: Value, absent: &[&str]) {
    let value = by_hash(world, kind);
    let mut whole = transaction();
    for name in absent {
        whole.as_object_mut().unwrap().remove(*name);
        assert!(value.get(*name).is_none_or(Value::is_null), "{name} in {value}");
    }
    for (name, shape) in shape.as_object().unwrap() {
        whole[name] = shape.clone();
    }
    fits(&whole, &value).unwrap_or_else(|error| panic!("{kind}: {error} in {value}"));
    assert_eq!(value["from"], json!(world.alice.address));
    let sent = world.sent(kind);
    for name in ["blockHash", "blockNumber", "transactionIndex"] {
        assert_eq!(value[name], sent.receipt[name], "{name}");
    }
    let decoded: Transaction = serde_json::from_value(value).unwrap();
    assert_eq!(decoded.inner.inner().encoded_2718(), sent.raw);
}

/// The receipt has the specified shape with this type, changed by `shape`, and block and transaction agree with it.
fn is_receipt(world: &World, kind: &str, of_type: &str, shape: Value) {
    let value =
        world.ask("eth_getTransactionReceipt", json!([alloy_primitives::keccak256(&world.sent(kind).raw)]));
    assert_eq!(value, world.sent(kind).receipt);
    let mut whole = receipt(json!("any list"), "address?", "address?");
    whole["type"] = json!(of_type);
    for (name, shape) in shape.as_object().unwrap() {
        whole[name] = shape.clone();
    }
    fits(&whole, &value).unwrap_or_else(|error| panic!("{kind}: {error} in {value}"));
    let transaction = by_hash(world, kind);
    for name in ["from", "to", "blockHash", "blockNumber", "transactionIndex", "type"] {
        assert_eq!(value[name], transaction[name], "{name}");
    }
    assert!(quantity(&value["gasUsed"]) <= quantity(&transaction["gas"]));
}

/// The receipt of a call of the emitter, with its event.
fn emitted(world: &World, kind: &str, of_type: &str) {
    is_receipt(world, kind, of_type, json!({ "contractAddress": "null", "logs": [log()] }));
    let receipt = &world.sent(kind).receipt;
    let logs = receipt["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0]["address"], json!(world.emitter));
    assert_eq!(logs[0]["topics"], json!([topic(), mark(kind)]));
    for name in ["blockHash", "blockNumber", "transactionHash", "transactionIndex"] {
        assert_eq!(logs[0][name], receipt[name], "{name}");
    }
    let counted: U256 = serde_json::from_value(logs[0]["data"].clone()).unwrap();
    assert!(!counted.is_zero());
}
