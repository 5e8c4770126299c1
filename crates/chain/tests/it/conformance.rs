//! Every method with a request and the shape that the Ethereum JSON-RPC specification (execution-apis) gives its
//! answer; the server's list of methods is checked to be complete. In `conformance/`: the official cases by name
//! (`official.rs`), made again on a chain of our own (`world.rs`).

mod blocks;
mod calls;
mod logs;
mod official;
mod sending;
mod state;
mod transactions;
mod world;

use std::collections::BTreeSet;

use alloy_primitives::{B256, Bytes, keccak256};
use serde_json::{Value, json};

use crate::support::*;

/// An official case, `method/name`, and our test of its property.
type Case = (&'static str, fn(&world::World));

/// Compares `value` with a shape. A shape is the name of a form below, `"= text"` for exactly this text, a list of one
/// shape for a list that is not empty, or an object whose members must all be there. A name with `?` allows null.
fn fits(shape: &Value, value: &Value) -> Result<(), String> {
    let wrong = || Err(format!("{value} is not {shape}"));
    match shape {
        Value::Object(members) => {
            for (name, shape) in members {
                let Some(member) = value.get(name) else { return Err(format!("`{name}` is missing")) };
                fits(shape, member).map_err(|error| format!("{name}: {error}"))?;
            }
            Ok(())
        }
        Value::Array(one) => match value.as_array() {
            Some(values) if !values.is_empty() => values.iter().try_for_each(|value| fits(&one[0], value)),
            _ => wrong(),
        },
        Value::String(name) => {
            let (name, optional) = name.strip_suffix('?').map_or((name.as_str(), false), |name| (name, true));
            if (optional && value.is_null()) || form(name, value) { Ok(()) } else { wrong() }
        }
        _ => wrong(),
    }
}

fn form(name: &str, value: &Value) -> bool {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let bytes = |count: usize| {
        digits
            .is_some_and(|digits| digits.len() == 2 * count && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match name {
        "quantity" => digits.is_some_and(|digits| {
            let lower = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            lower && !digits.is_empty() && (digits == "0" || !digits.starts_with('0'))
        }),
        "data" => digits.is_some_and(|digits| digits.len() % 2 == 0 && bytes(digits.len() / 2)),
        "nonce" => bytes(8),
        "address" => bytes(20),
        "hash" => bytes(32),
        "signature" => bytes(65),
        "bloom" => bytes(256),
        "bool" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "empty" => value.as_array().is_some_and(Vec::is_empty),
        "any list" => value.is_array(),
        _ => name.strip_prefix("= ").is_some_and(|text| value == text),
    }
}

#[test]
fn forms_tell_right_from_wrong() {
    for (name, good, bad) in [
        ("quantity", json!("0x0"), json!("0x00")),
        ("quantity", json!("0x41"), json!("0x041")),
        ("quantity", json!("0xff"), json!("0xFF")),
        ("quantity", json!("0x1"), json!("0x")),
        ("data", json!("0x"), json!("0x1")),
        ("data", json!("0x00ff"), json!("00ff")),
        ("hash", json!(B256::ZERO), json!("0x00")),
        ("= 4711", json!("4711"), json!(4711)),
    ] {
        assert!(form(name, &good) && !form(name, &bad), "{name}");
    }
    assert!(fits(&json!({ "a": "quantity?" }), &json!({ "a": null })).is_ok());
    assert!(fits(&json!({ "a": "quantity?" }), &json!({})).is_err());
    assert!(fits(&json!(["hash"]), &json!([])).is_err());
}

fn header() -> Value {
    json!({
        "number": "quantity", "hash": "hash", "parentHash": "hash", "nonce": "nonce", "sha3Uncles": "hash",
        "logsBloom": "bloom", "transactionsRoot": "hash", "stateRoot": "hash", "receiptsRoot": "hash",
        "miner": "address", "difficulty": "quantity", "extraData": "data", "gasLimit": "quantity",
        "gasUsed": "quantity", "timestamp": "quantity", "mixHash": "hash", "baseFeePerGas": "quantity",
        "withdrawalsRoot": "hash", "blobGasUsed": "quantity", "excessBlobGas": "quantity",
        "parentBeaconBlockRoot": "hash", "requestsHash": "hash",
    })
}

fn block(transactions: Value) -> Value {
    let mut shape = header();
    shape["size"] = json!("quantity");
    shape["uncles"] = json!("empty");
    shape["withdrawals"] = json!("empty");
    shape["sequencerSignature"] = json!("signature");
    shape["transactions"] = transactions;
    shape
}

fn transaction() -> Value {
    json!({
        "type": "= 0x2", "hash": "hash", "nonce": "quantity", "from": "address", "to": "address?",
        "value": "quantity", "input": "data", "gas": "quantity", "gasPrice": "quantity",
        "maxFeePerGas": "quantity", "maxPriorityFeePerGas": "quantity", "accessList": "any list",
        "chainId": "quantity", "yParity": "quantity", "v": "quantity", "r": "quantity", "s": "quantity",
        "blockHash": "hash", "blockNumber": "quantity", "transactionIndex": "quantity",
    })
}

fn log() -> Value {
    json!({
        "address": "address", "topics": ["hash"], "data": "data", "removed": "bool", "blockHash": "hash",
        "blockNumber": "quantity", "transactionHash": "hash", "transactionIndex": "quantity",
        "logIndex": "quantity",
    })
}

fn receipt(logs: Value, to: &str, created: &str) -> Value {
    json!({
        "type": "= 0x2", "status": "= 0x1", "transactionHash": "hash", "transactionIndex": "quantity",
        "blockHash": "hash", "blockNumber": "quantity", "from": "address", "to": to,
        "contractAddress": created, "cumulativeGasUsed": "quantity", "gasUsed": "quantity",
        "effectiveGasPrice": "quantity", "logs": logs, "logsBloom": "bloom",
    })
}

#[test]
fn every_method_answers_in_the_specified_shape() {
    let (chain, _dir) = fresh();
    let alice = user(1);
    let created = mine(&chain, &alice.deploy_counter(0));
    let counter = &created["contractAddress"];
    let address: alloy_primitives::Address = counter.as_str().unwrap().parse().unwrap();
    let called = mine(&chain, &alice.call(1, address, Bytes::new()));
    let (block_hash, hash) = (&called["blockHash"], &called["transactionHash"]);
    let filter = ask(&chain, "eth_newFilter", json!([{ "fromBlock": "0x0", "address": counter }]));
    let polled = ask(&chain, "eth_newFilter", json!([{ "address": counter }]));
    let blocks = ask(&chain, "eth_newBlockFilter", json!([]));
    let raw = alice.call(2, address, Bytes::new());
    let sent = format!("= {}", keccak256(&raw));
    let none = B256::repeat_byte(9);
    let call = json!({ "from": alice.address, "to": counter, "data": "0x" });

    let cases: Vec<(&str, Value, Value)> = vec![
        ("web3_clientVersion", json!([]), json!(concat!("= histone-chain/", env!("CARGO_PKG_VERSION")))),
        ("web3_sha3", json!(["0x68656c6c6f"]), json!(format!("= {}", keccak256("hello")))),
        ("net_version", json!([]), json!("= 4711")),
        ("net_listening", json!([]), json!("bool")),
        ("net_peerCount", json!([]), json!("= 0x0")),
        ("eth_chainId", json!([]), json!("= 0x1267")),
        ("eth_syncing", json!([]), json!("bool")),
        ("eth_accounts", json!([]), json!("empty")),
        ("eth_gasPrice", json!([]), json!("quantity")),
        ("eth_maxPriorityFeePerGas", json!([]), json!("quantity")),
        ("eth_blobBaseFee", json!([]), json!("quantity")),
        ("eth_blockNumber", json!([]), json!("= 0x2")),
        ("eth_getBlockByNumber", json!(["latest", false]), block(json!(["hash"]))),
        ("eth_getBlockByNumber", json!(["0x2", true]), block(json!([transaction()]))),
        ("eth_getBlockByNumber", json!(["earliest", true]), block(json!("empty"))),
        ("eth_getBlockByNumber", json!(["0x99", true]), json!("null")),
        ("eth_getBlockByHash", json!([block_hash, false]), block(json!(["hash"]))),
        ("eth_getBlockByHash", json!([block_hash, true]), block(json!([transaction()]))),
        ("eth_getBlockByHash", json!([none, true]), json!("null")),
        ("eth_getBlockReceipts", json!(["latest"]), json!([receipt(json!([log()]), "address", "null")])),
        ("eth_getBlockReceipts", json!(["0x1"]), json!([receipt(json!("empty"), "null", "address")])),
        ("eth_getBlockReceipts", json!(["0x0"]), json!("empty")),
        ("eth_getBlockReceipts", json!([none]), json!("null")),
        ("eth_getBlockTransactionCountByNumber", json!(["latest"]), json!("= 0x1")),
        ("eth_getBlockTransactionCountByNumber", json!(["0x99"]), json!("null")),
        ("eth_getBlockTransactionCountByHash", json!([block_hash]), json!("= 0x1")),
        ("eth_getBlockTransactionCountByHash", json!([none]), json!("null")),
        ("eth_getUncleCountByBlockNumber", json!(["latest"]), json!("= 0x0")),
        ("eth_getUncleCountByBlockNumber", json!(["0x99"]), json!("null")),
        ("eth_getUncleCountByBlockHash", json!([block_hash]), json!("= 0x0")),
        ("eth_getUncleCountByBlockHash", json!([none]), json!("null")),
        ("eth_getTransactionByHash", json!([hash]), transaction()),
        ("eth_getTransactionByHash", json!([none]), json!("null")),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x0"]), transaction()),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x1"]), json!("null")),
        ("eth_getTransactionByBlockHashAndIndex", json!([block_hash, "0x0"]), transaction()),
        ("eth_getTransactionByBlockHashAndIndex", json!([none, "0x0"]), json!("null")),
        ("eth_getTransactionReceipt", json!([hash]), receipt(json!([log()]), "address", "null")),
        (
            "eth_getTransactionReceipt",
            json!([created["transactionHash"]]),
            receipt(json!("empty"), "null", "address"),
        ),
        ("eth_getTransactionReceipt", json!([none]), json!("null")),
        ("eth_getTransactionCount", json!([alice.address, "latest"]), json!("= 0x2")),
        ("eth_getTransactionCount", json!([alice.address, "pending"]), json!("= 0x2")),
        ("eth_getBalance", json!([alice.address, "latest"]), json!("quantity")),
        ("eth_getBalance", json!([alice.address, { "blockHash": block_hash }]), json!("quantity")),
        ("eth_getCode", json!([counter, "latest"]), json!("data")),
        ("eth_getCode", json!([alice.address, "finalized"]), json!("= 0x")),
        (
            "eth_getStorageAt",
            json!([counter, "0x0", "latest"]),
            json!(format!("= {}", B256::with_last_byte(1))),
        ),
        ("eth_getStorageAt", json!([counter, B256::ZERO, "safe"]), json!("hash")),
        ("eth_call", json!([call, "latest"]), json!(format!("= {}", B256::with_last_byte(2)))),
        ("eth_call", json!([call]), json!("data")),
        ("eth_estimateGas", json!([call]), json!("quantity")),
        ("eth_estimateGas", json!([{ "from": alice.address, "to": user(2).address }]), json!("= 0x5208")),
        (
            "eth_feeHistory",
            json!(["0x2", "latest", [10, 90]]),
            json!({
                "oldestBlock": "= 0x1", "baseFeePerGas": ["quantity"], "gasUsedRatio": ["number"],
                "baseFeePerBlobGas": ["quantity"], "blobGasUsedRatio": ["number"], "reward": [["quantity"]],
            }),
        ),
        ("eth_getLogs", json!([{ "fromBlock": "earliest", "toBlock": "latest" }]), json!([log()])),
        ("eth_getLogs", json!([{ "blockHash": block_hash, "address": counter }]), json!([log()])),
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "0x1" }]), json!("empty")),
        ("eth_newFilter", json!([{ "fromBlock": "0x0" }]), json!("quantity")),
        ("eth_newBlockFilter", json!([]), json!("quantity")),
        ("eth_sendRawTransaction", json!([raw]), json!(sent)),
        ("eth_getFilterLogs", json!([filter]), json!([log()])),
        ("eth_getFilterChanges", json!([polled]), json!([log()])),
        ("eth_getFilterChanges", json!([blocks]), json!(["hash"])),
        ("eth_getFilterChanges", json!([blocks]), json!("empty")),
        // Ours, for replicas.
        ("sequencer_getGenesis", json!([]), json!({ "genesis": "data", "signature": "signature" })),
        (
            "sequencer_getBlock",
            json!(["0x2"]),
            json!({ "header": "data", "signature": "signature", "transactions": ["data"] }),
        ),
        ("sequencer_getBlock", json!(["0x99"]), json!("null")),
        ("eth_uninstallFilter", json!([filter]), json!("bool")),
    ];
    for (method, params, shape) in &cases {
        let answer = chain.request(method, params.clone());
        let value = answer.unwrap_or_else(|error| panic!("{method} {params}: {error}"));
        fits(shape, &value).unwrap_or_else(|error| panic!("{method} {params}: {error}"));
    }

    // No method is left out: those in the source are those above. Subscriptions are tested over WebSocket.
    let tested: BTreeSet<&str> = cases.iter().map(|case| case.0).collect();
    let source = include_str!("../../src/rpc/eth.rs").split("_ => Err").next().unwrap();
    let offered: BTreeSet<&str> = source
        .split('"')
        .filter(|word| ["eth_", "net_", "web3_", "sequencer_"].iter().any(|prefix| word.starts_with(prefix)))
        .filter(|word| !["eth_subscribe", "eth_unsubscribe"].contains(word) && !word.contains(' '))
        .collect();
    assert_eq!(offered, tested);
}

#[test]
fn parameters_that_are_missing_wrong_or_too_many_are_invalid() {
    let (chain, _dir) = fresh();
    let address = user(1).address;
    let cases: [(&str, Value); 28] = [
        ("web3_sha3", json!([])),
        ("web3_sha3", json!(["hello"])),
        ("eth_chainId", json!([1])),
        ("eth_getBlockByNumber", json!([])),
        ("eth_getBlockByNumber", json!(["newest", false])),
        ("eth_getBlockByNumber", json!([2, false])),
        ("eth_getBlockByNumber", json!(["latest", "yes"])),
        ("eth_getBlockByNumber", json!(["latest", false, 1])),
        ("eth_getBlockByHash", json!(["0x12", false])),
        ("eth_getBlockReceipts", json!([])),
        ("eth_getTransactionByHash", json!(["latest"])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["latest"])),
        ("eth_getTransactionReceipt", json!([])),
        ("eth_getTransactionCount", json!([])),
        ("eth_getBalance", json!(["0x123", "latest"])),
        ("eth_getBalance", json!([address, "0xzz"])),
        ("eth_getCode", json!([format!("{address}00"), "latest"])),
        ("eth_getStorageAt", json!([address])),
        ("eth_call", json!([])),
        ("eth_call", json!([{ "to": "0x12" }, "latest"])),
        ("eth_call", json!([{ "data": "0xabc" }, "latest"])),
        // Overrides of state are not supported, and that is not passed over in silence.
        ("eth_call", json!([{ "to": address }, "latest", { address.to_string(): { "balance": "0x1" } }])),
        ("eth_estimateGas", json!([{ "value": "ten" }])),
        ("eth_feeHistory", json!(["0x1"])),
        ("eth_feeHistory", json!(["0x1", "latest", [101]])),
        ("eth_getLogs", json!([{ "fromBlock": "soon" }])),
        ("eth_sendRawTransaction", json!([])),
        ("eth_sendRawTransaction", json!(["0x0"])),
    ];
    for (method, params) in cases {
        let error = chain.request(method, params.clone()).unwrap_err();
        assert_eq!(error.code, -32602, "{method} {params}: {error}");
    }
}
