//! JSON-RPC as a client sees it.

use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::{Block, TransactionReceipt};
use histone_chain::{MAX_BATCH, MAX_REQUEST_BYTES};
use serde_json::{Value, json};

use crate::support::*;

#[track_caller]
fn answer(request: impl AsRef<[u8]>) -> Value {
    let (chain, _dir) = fresh();
    serde_json::from_slice(&chain.handle(request.as_ref())).unwrap()
}

#[test]
fn malformed_requests_get_standard_codes() {
    let cases: [(&str, i64); 20] = [
        ("", -32700),
        ("{", -32700),
        ("[1,", -32700),
        ("\u{0}", -32700),
        ("1", -32600),
        ("\"eth_chainId\"", -32600),
        ("[]", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getProof","params":[]}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{"a":1}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["zz"]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x00"]}"#, -32000),
    ];
    for (request, code) in cases {
        let answer = answer(request);
        assert_eq!(answer["error"]["code"], code, "{request} -> {answer}");
        assert_eq!(answer["jsonrpc"], "2.0");
        assert!(answer.get("result").is_none());
    }
}

#[test]
fn ids_come_back_and_notifications_do_not() {
    let (chain, _dir) = fresh();
    for id in [json!(1), json!("a"), json!(null), json!(1.5)] {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": "eth_chainId"}).to_string();
        let answer: Value = serde_json::from_slice(&chain.handle(request.as_bytes())).unwrap();
        assert_eq!(answer, json!({"jsonrpc": "2.0", "id": id, "result": "0x1267"}));
    }
    assert!(chain.handle(br#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).is_empty());
    assert!(chain.handle(br#"[{"jsonrpc":"2.0","method":"eth_chainId"}]"#).is_empty());
}

#[test]
fn batches_are_answered_one_by_one_and_bounded() {
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let mixed = answer(format!(r#" [{one}, 7, {{"jsonrpc":"2.0","method":"eth_chainId"}}, {one}]"#));
    let codes: Vec<_> = mixed.as_array().unwrap().iter().map(|a| a["error"]["code"].as_i64()).collect();
    assert_eq!(codes, [None, Some(-32600), None]);

    let full = format!("[{}]", vec![one; MAX_BATCH].join(","));
    assert_eq!(answer(full).as_array().unwrap().len(), MAX_BATCH);
    let over = format!("[{}]", vec![one; MAX_BATCH + 1].join(","));
    assert_eq!(answer(over)["error"]["code"], -32600);
    assert_eq!(answer(vec![b' '; MAX_REQUEST_BYTES + 1])["error"]["code"], -32600);
    // Nesting does not exhaust the stack.
    assert_eq!(answer("[".repeat(100_000))["error"]["code"], -32700);
    assert_eq!(answer(format!("{{\"a\":{}", "[".repeat(100_000)))["error"]["code"], -32700);
}

#[test]
fn blocks_can_be_asked_for_in_every_way() {
    let (chain, _dir) = fresh();
    // alloy asks for the latest block before the first transaction.
    let zero = ask(&chain, "eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(zero["number"], "0x0");
    assert_eq!(zero["hash"], json!(genesis().header().hash_slow()));
    let receipt = mine(&chain, &user(1).send(0, user(2).address, 1));

    let latest = ask(&chain, "eth_getBlockByNumber", json!(["latest", true]));
    for tag in ["pending", "safe", "finalized", "0x1"] {
        assert_eq!(ask(&chain, "eth_getBlockByNumber", json!([tag, true])), latest);
    }
    assert_eq!(ask(&chain, "eth_getBlockByHash", json!([receipt["blockHash"], true])), latest);
    assert_eq!(ask(&chain, "eth_getBlockByNumber", json!(["earliest", false])), zero);
    for missing in [json!(["0x2", false]), json!(["0xffffffffffffffff", false])] {
        assert_eq!(ask(&chain, "eth_getBlockByNumber", missing), Value::Null);
    }
    assert_eq!(ask(&chain, "eth_getBlockByHash", json!([B256::ZERO, false])), Value::Null);
    assert_eq!(ask(&chain, "eth_getTransactionReceipt", json!([B256::ZERO])), Value::Null);

    // The client's own types read it, and the header hashes to what we said.
    let block: Block = serde_json::from_value(latest.clone()).unwrap();
    assert_eq!(block.header.inner.hash_slow(), block.header.hash);
    assert_eq!(latest["parentHash"], zero["hash"]);
    assert_eq!(latest["baseFeePerGas"], "0x0");
    assert_eq!(latest["sequencerSignature"].as_str().unwrap().len(), 2 + 130);
    assert_eq!(latest["transactions"][0]["from"], json!(user(1).address));
    let hashes = ask(&chain, "eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(hashes["transactions"], json!([receipt["transactionHash"]]));
    let transaction = ask(&chain, "eth_getTransactionByHash", json!([receipt["transactionHash"]]));
    assert_eq!(transaction, latest["transactions"][0]);
}

#[test]
fn receipts_have_what_clients_need() {
    let (chain, _dir) = fresh();
    let receipt = mine(&chain, &user(1).send(0, user(2).address, 1));
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["type"], "0x2");
    assert_eq!(receipt["effectiveGasPrice"], "0x0");
    assert_eq!(receipt["logsBloom"].as_str().unwrap().len(), 2 + 512);
    assert_eq!(quantity(&receipt["gasUsed"]), 21_000);
    assert_eq!(receipt["contractAddress"], Value::Null);
    serde_json::from_value::<TransactionReceipt>(receipt.clone()).unwrap();
    let of_block = ask(&chain, "eth_getBlockReceipts", json!(["0x1"]));
    assert_eq!(of_block, json!([receipt]));
}

#[test]
fn simple_questions() {
    let (chain, _dir) = fresh();
    let alice = user(1).address;
    mine(&chain, &user(1).send(0, user(2).address, 1));
    let cases: [(&str, Value, Value); 16] = [
        ("eth_chainId", json!([]), json!("0x1267")),
        ("net_version", json!([]), json!("4711")),
        ("eth_blockNumber", Value::Null, json!("0x1")),
        ("eth_syncing", json!([]), json!(false)),
        ("eth_accounts", json!([]), json!([])),
        ("eth_gasPrice", json!([]), json!("0x0")),
        ("eth_maxPriorityFeePerGas", json!([]), json!("0x0")),
        ("eth_getTransactionCount", json!([alice, "pending"]), json!("0x1")),
        ("eth_getTransactionCount", json!([Address::ZERO]), json!("0x0")),
        ("eth_getTransactionCount", json!([alice, {"blockNumber": "0x1"}]), json!("0x1")),
        ("eth_getBalance", json!([Address::ZERO, "latest"]), json!("0x0")),
        ("eth_getCode", json!([alice, "latest"]), json!("0x")),
        ("eth_getStorageAt", json!([alice, "0x5", "latest"]), json!(B256::ZERO)),
        ("eth_estimateGas", json!([{"from": alice, "to": user(2).address, "value": "0x1"}]), json!("0x5208")),
        ("eth_call", json!([{"to": user(2).address}, "latest"]), json!("0x")),
        ("eth_getBlockTransactionCountByNumber", json!(["latest"]), json!("0x1")),
    ];
    for (method, params, expected) in cases {
        assert_eq!(ask(&chain, method, params), expected, "{method}");
    }
    let version = ask(&chain, "web3_clientVersion", json!([]));
    assert!(version.as_str().unwrap().starts_with("histone-chain/"));
    let fees = ask(&chain, "eth_feeHistory", json!(["0xa", "latest", [20.0]]));
    assert_eq!(fees["baseFeePerGas"], json!(["0x0", "0x0", "0x0"]));
    assert_eq!(fees["reward"], json!([["0x0"], ["0x0"]]));
    // The state of the past is not kept, and this is said.
    let error = chain.request("eth_getBalance", json!([alice, "0x0"])).unwrap_err();
    assert!(error.code == -32000 && error.message.contains("is not kept"), "{error}");
    let error = chain.request("eth_getBalance", json!([alice, "0x9"])).unwrap_err();
    assert!(error.message.contains("block not found"), "{error}");
}

#[test]
fn reverts_carry_their_data() {
    let (chain, _dir) = fresh();
    let counter = deploy(&chain, &user(1), 0);
    let call = json!([{ "to": counter, "input": "0xdeadbeef" }]);
    for method in ["eth_call", "eth_estimateGas"] {
        let error = chain.request(method, call.clone()).unwrap_err();
        assert_eq!((error.code, error.data), (3, Some(json!("0xdeadbeef"))));
        assert_eq!(error.message, "execution reverted");
    }
    // Error("no") as Solidity encodes it.
    let text = format!("0x08c379a0{:064x}{:064x}{:0<64}", 32, 2, "6e6f");
    let error = chain.request("eth_call", json!([{ "to": counter, "input": text }])).unwrap_err();
    assert_eq!(error.message, "execution reverted: no");
    // A length that points nowhere.
    let text = format!("0x08c379a0{:064x}{}", 32, "f".repeat(64));
    let error = chain.request("eth_call", json!([{ "to": counter, "input": text }])).unwrap_err();
    assert_eq!(error.message, "execution reverted");
    // Two inputs that differ.
    let both = json!([{ "to": counter, "input": "0x01", "data": "0x02" }]);
    assert_eq!(chain.request("eth_call", both).unwrap_err().code, -32602);
}

#[test]
fn estimates_are_enough_and_close() {
    let (chain, _dir) = fresh();
    let alice = user(1);
    let counter = deploy(&chain, &alice, 0);
    let estimate =
        quantity(&ask(&chain, "eth_estimateGas", json!([{ "from": alice.address, "to": counter }])));
    let draft = alloy_consensus::TxEip1559 {
        nonce: 1,
        gas_limit: estimate,
        to: alloy_primitives::TxKind::Call(counter),
        ..alice.draft()
    };
    let receipt = mine(&chain, &alice.sign(draft));
    assert_eq!(receipt["status"], "0x1");
    assert!(estimate <= quantity(&receipt["gasUsed"]) * 105 / 100);
    // Value that is not there is told before anything is sent.
    let poor = json!([{ "from": user(77).address, "to": counter, "value": "0x1" }]);
    let error = chain.request("eth_estimateGas", poor).unwrap_err();
    assert!(error.message.contains("insufficient funds"), "{error}");
}

#[test]
fn calls_see_the_time_of_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let chain = histone_chain::Chain::create(dir.path(), genesis(), sequencer(), clock.clone()).unwrap();
    clock.set(START + 5000);
    // TIMESTAMP PUSH0 MSTORE PUSH1 32 PUSH0 RETURN, run as a constructor.
    let seen = ask(&chain, "eth_call", json!([{ "input": "0x425f5260205ff3" }]));
    assert_eq!(seen, json!(B256::from(alloy_primitives::U256::from(START + 5000))));
}

#[test]
fn logs_are_found_by_address_topic_and_range() {
    let (chain, _dir) = fresh();
    let alice = user(1);
    let (one, two) = (deploy(&chain, &alice, 0), deploy(&chain, &alice, 1));
    for (nonce, counter) in [(2, one), (3, two), (4, one)] {
        mine(&chain, &alice.call(nonce, counter, Bytes::new()));
    }
    let topic = B256::with_last_byte(0x77);
    let count = |filter: Value| ask(&chain, "eth_getLogs", json!([filter])).as_array().unwrap().len();
    assert_eq!(count(json!({ "fromBlock": "0x0" })), 3);
    assert_eq!(count(json!({ "fromBlock": "earliest", "address": one })), 2);
    assert_eq!(count(json!({ "fromBlock": "0x0", "address": [one, two], "topics": [topic] })), 3);
    assert_eq!(count(json!({ "fromBlock": "0x0", "topics": [[B256::ZERO, topic]] })), 3);
    assert_eq!(count(json!({ "fromBlock": "0x0", "topics": [B256::ZERO] })), 0);
    assert_eq!(count(json!({ "fromBlock": "0x0", "topics": [null, topic] })), 0);
    assert_eq!(count(json!({ "fromBlock": "0x3", "toBlock": "0x4" })), 2);
    assert_eq!(count(json!({})), 1);
    assert_eq!(count(json!({ "fromBlock": "0x5", "toBlock": "0x5" })), 1);
    let head = chain.head().unwrap();
    assert_eq!(count(json!({ "blockHash": head.hash })), 1);
    assert!(head.header.logs_bloom.contains_input(alloy_primitives::BloomInput::Raw(one.as_slice())));
    let log = &ask(&chain, "eth_getLogs", json!([{ "blockHash": head.hash }]))[0];
    assert_eq!(log["address"], json!(one));
    assert_eq!(quantity(&log["data"]), 2);
    assert_eq!(log["blockNumber"], "0x5");
}

#[test]
fn filters_report_only_what_is_new() {
    let (chain, _dir) = fresh();
    let alice = user(1);
    let counter = deploy(&chain, &alice, 0);
    let logs = ask(&chain, "eth_newFilter", json!([{ "address": counter }]));
    let blocks = ask(&chain, "eth_newBlockFilter", json!([]));
    let changes = |id: &Value| ask(&chain, "eth_getFilterChanges", json!([id]));
    assert_eq!(changes(&logs), json!([]));
    mine(&chain, &alice.call(1, counter, Bytes::new()));
    mine(&chain, &alice.call(2, counter, Bytes::new()));
    assert_eq!(changes(&logs).as_array().unwrap().len(), 2);
    assert_eq!(changes(&logs), json!([]));
    assert_eq!(changes(&blocks).as_array().unwrap().len(), 2);
    assert_eq!(ask(&chain, "eth_uninstallFilter", json!([logs])), json!(true));
    assert!(chain.request("eth_getFilterChanges", json!([logs])).unwrap_err().message.contains("not found"));
}
