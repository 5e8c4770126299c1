//! HTTP and WebSocket as a client, a web page and an attacker meet them.

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, TxKind};
use histone_chain::server::{Options, ServerError, listen};
use histone_chain::{Chain, MAX_BATCH, MAX_INPUT_BYTES, MAX_REQUEST_BYTES};
use serde_json::{Value, json};

use crate::sockets::*;
use crate::support::*;

const CHAIN_ID_REQUEST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

#[test]
fn one_connection_carries_many_requests() {
    let server = served(Options::default());
    let mut stream = server.connect();
    for _ in 0..3 {
        stream.write_all(&post(CHAIN_ID_REQUEST)).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.json(), json!({"jsonrpc": "2.0", "id": 1, "result": "0x1267"}));
    }
    // Two at once, and one in pieces.
    stream.write_all(&[post(CHAIN_ID_REQUEST), post(CHAIN_ID_REQUEST)].concat()).unwrap();
    assert_eq!((read_answer(&mut stream).status, read_answer(&mut stream).status), (200, 200));
    for piece in post(CHAIN_ID_REQUEST).chunks(20) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(read_answer(&mut stream).json()["result"], "0x1267");
}

#[test]
fn only_json_posted_to_the_root_by_its_own_name_is_answered() {
    let options = Options {
        hosts: vec!["ledger.example".into()],
        origins: vec!["https://app.example".into()],
        ..Options::default()
    };
    let server = served(options);
    let request = |first: &str, headers: &str| {
        let length = CHAIN_ID_REQUEST.len();
        server.raw(format!("{first} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n{CHAIN_ID_REQUEST}"))
    };
    let json = "content-type: application/json\r\n";
    let cases: [(&str, &str, u16); 19] = [
        ("POST /", "host: localhost\r\n", 200),
        ("POST /", "host: 127.0.0.1:8545\r\n", 200),
        ("POST /", "host: Ledger.example\r\n", 200),
        ("POST /", "host: localhost\r\norigin: http://localhost:3000\r\n", 200),
        ("POST /", "host: localhost\r\norigin: https://app.example\r\n", 200),
        // A page that pointed its own name here, pages from elsewhere, and no name at all.
        ("POST /", "host: evil.example\r\n", 403),
        ("POST /", "host: localhost.evil.example:8545\r\n", 403),
        ("POST /", "host: localhost\r\norigin: https://evil.example\r\n", 403),
        ("POST /", "host: localhost\r\norigin: null\r\n", 403),
        ("OPTIONS /", "host: localhost\r\norigin: https://evil.example\r\n", 403),
        ("GET /", "host: evil.example\r\nupgrade: websocket\r\nconnection: upgrade\r\n", 403),
        ("GET /", "host: localhost\r\norigin: https://evil.example\r\nupgrade: websocket\r\n", 403),
        ("POST /", "", 403),
        ("POST /x", "host: localhost\r\n", 404),
        ("GET /", "host: localhost\r\n", 405),
        ("PUT /", "host: localhost\r\n", 405),
        ("DELETE /", "host: localhost\r\n", 405),
        ("GET /", "host: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n", 400),
        ("OPTIONS /", "host: localhost\r\norigin: http://localhost:3000\r\n", 204),
    ];
    for (first, headers, status) in cases {
        let answer = request(first, &format!("{headers}{json}"));
        assert_eq!(answer.status, status, "{first} {headers} -> {answer:?}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let answer = request("POST /", &format!("host: localhost\r\ncontent-type: {kind}\r\n"));
        assert_eq!(answer.status, 415, "{kind}");
    }
    let charset = "host: localhost\r\ncontent-type: Application/JSON; charset=utf-8\r\n";
    assert_eq!(request("POST /", charset).status, 200);

    let page = format!("host: localhost\r\norigin: http://localhost:3000\r\n{json}");
    let preflight = request("OPTIONS /", &page);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("post"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("content-type"));
    let answer = request("POST /", &page);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(answer.header("vary"), Some("origin"));
    // No other page learns the answer.
    assert_eq!(server.post(CHAIN_ID_REQUEST).header("access-control-allow-origin"), None);
}

#[test]
fn bytes_that_are_not_http_end_the_connection() {
    let server = served(Options::default());
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"hello\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"] {
        let mut stream = server.connect();
        stream.write_all(garbage).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    // A head that never ends is cut off, not collected.
    let mut stream = server.connect();
    let _ = stream.write_all(&[b"POST / HTTP/1.1\r\nx: ".as_slice(), &[b'a'; 200_000]].concat());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.post(CHAIN_ID_REQUEST).status, 200);
}

#[test]
fn too_much_gets_the_standard_errors() {
    let server = served(Options::default());
    // A body over the limit, announced and not announced.
    let long = vec![b' '; MAX_REQUEST_BYTES + 1];
    let answer = server.post(&long);
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (413, json!(-32600)));
    let mut chunked = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n".to_vec();
    chunked.extend(b"transfer-encoding: chunked\r\n\r\n");
    chunked.extend(format!("{:x}\r\n", long.len()).bytes());
    chunked.extend(&long);
    chunked.extend(b"\r\n0\r\n\r\n");
    assert_eq!(server.raw(chunked).status, 413);

    let batch = |count| format!("[{}]", vec![CHAIN_ID_REQUEST; count].join(","));
    assert_eq!(server.post(batch(MAX_BATCH)).json().as_array().unwrap().len(), MAX_BATCH);
    assert_eq!(server.post(batch(MAX_BATCH + 1)).json()["error"]["code"], -32600);

    // Calldata over the limit, in a call and in a signed transaction.
    let input = Bytes::from(vec![1; MAX_INPUT_BYTES + 1]);
    let call = server.call("eth_call", json!([{ "to": user(2).address, "input": input }]));
    assert_eq!(call["error"]["code"], -32602, "{call}");
    let to = TxKind::Call(user(2).address);
    let raw = user(1).sign(TxEip1559 { to, input, gas_limit: 30_000_000, ..user(1).draft() });
    let sent = server.call("eth_sendRawTransaction", json!([raw]));
    assert_eq!(sent["error"]["code"], -32000);
    assert!(sent["error"]["message"].as_str().unwrap().contains("the limit is 131072"), "{sent}");

    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("[]", -32600),
        ("7", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x1"]}"#, -32602),
    ] {
        let answer = server.post(body);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &json!(code)), "{body}");
    }
    let nothing = server.post(r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#);
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
}

#[test]
fn more_connections_than_allowed_are_turned_away() {
    let connections = NonZeroUsize::new(2).unwrap();
    let server = served(Options { connections, ..Options::default() });
    let mut held: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut held {
        stream.write_all(&post(CHAIN_ID_REQUEST)).unwrap();
        assert_eq!(read_answer(stream).status, 200);
    }
    let mut third = server.connect();
    assert_eq!(read_answer(&mut third).status, 503);
    // A place becomes free when a connection ends.
    held.pop();
    let start = Instant::now();
    loop {
        let mut stream = server.connect();
        let _ = stream.write_all(&post(CHAIN_ID_REQUEST));
        if read_answer(&mut stream).status == 200 {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn requests_of_many_clients_run_side_by_side() {
    let server = served(Options::default());
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let server = &server;
            scope.spawn(move || {
                for nonce in 0..5 {
                    let raw = user(number).send(nonce, user(9).address, 1);
                    let hash = server.call("eth_sendRawTransaction", json!([raw]))["result"].clone();
                    let receipt = server.call("eth_getTransactionReceipt", json!([hash]));
                    assert_eq!(receipt["result"]["status"], "0x1", "{receipt}");
                }
            });
        }
    });
    // Those who came at the same time share blocks.
    assert_eq!(server.chain.size().unwrap().transactions, 40);
    assert_eq!(balance(&server.chain, user(9).address), FUNDS + 40);
}

#[test]
fn subscriptions_tell_of_every_block_and_log_in_order() {
    let server = served(Options::default());
    let alice = user(1);
    let (one, two) = (deploy(&server.chain, &alice, 0), deploy(&server.chain, &alice, 1));
    let mut heads = server.websocket();
    let mut logs = server.websocket();
    let by_head = heads.call("eth_subscribe", json!(["newHeads"]));
    let by_log = logs.call("eth_subscribe", json!(["logs", { "address": one }]));
    // Blocks from this connection, from another one and from inside the process.
    let sent = heads.call("eth_sendRawTransaction", json!([alice.call(2, one, Bytes::new())]));
    server.call("eth_sendRawTransaction", json!([alice.call(3, two, Bytes::new())]));
    mine(&server.chain, &alice.call(4, one, Bytes::new()));
    let mut parent = ask(&server.chain, "eth_getBlockByNumber", json!(["0x2", false]))["hash"].clone();
    for number in 3..=5 {
        let head = heads.notified(&by_head);
        assert_eq!((quantity(&head["number"]), &head["parentHash"]), (number, &parent));
        let block = ask(&server.chain, "eth_getBlockByNumber", json!([head["number"], false]));
        for member in ["hash", "stateRoot", "logsBloom", "timestamp", "miner", "gasUsed", "receiptsRoot"] {
            assert_eq!(head[member], block[member], "{member}");
        }
        parent = head["hash"].clone();
    }
    for (number, value) in [(3, 1), (5, 2)] {
        let log = logs.notified(&by_log);
        assert_eq!((quantity(&log["blockNumber"]), quantity(&log["data"])), (number, value));
        assert_eq!(log["removed"], false);
        if number == 3 {
            assert_eq!(log["transactionHash"], sent);
        }
    }
    // After the end of a subscription nothing comes: the next message is the answer.
    assert_eq!(heads.call("eth_unsubscribe", json!([by_head])), true);
    mine(&server.chain, &alice.call(5, one, Bytes::new()));
    assert_eq!(heads.call("eth_blockNumber", json!([])), "0x6");
    assert_eq!(heads.call("eth_unsubscribe", json!([by_head]))["code"], -32000);
    assert_eq!(quantity(&logs.notified(&by_log)["blockNumber"]), 6);
}

#[test]
fn a_websocket_speaks_json_rpc_and_refuses_what_it_must() {
    let server = served(Options::default());
    let mut socket = server.websocket();
    assert_eq!(socket.call("eth_chainId", json!([])), "0x1267");
    for (text, code) in [("{", -32700), ("[]", -32600), ("7", -32600)] {
        socket.send(text);
        assert_eq!(socket.next().unwrap()["error"]["code"], code);
    }
    for (params, code) in [
        (json!([]), -32602),
        (json!(["syncing"]), -32602),
        (json!(["newPendingTransactions"]), -32602),
        (json!(["logs", { "address": "0x12" }]), -32602),
        (json!(["newHeads", {}, 1]), -32602),
    ] {
        assert_eq!(socket.call("eth_subscribe", params.clone())["code"], code, "{params}");
    }
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"] },
        { "jsonrpc": "2.0", "id": 2, "method": "eth_blockNumber" },
    ]);
    socket.send(batch.to_string());
    let answers = socket.next().unwrap();
    assert_eq!(answers[1]["result"], "0x0");
    server.chain.produce::<&[u8]>(&[]).unwrap();
    assert_eq!(socket.notified(&answers[0]["result"])["number"], "0x1");

    let mut greedy = server.websocket();
    for _ in 0..100 {
        assert!(greedy.call("eth_subscribe", json!(["newHeads"])).is_string());
    }
    assert_eq!(greedy.call("eth_subscribe", json!(["newHeads"]))["code"], -32005);

    // A message over the limit ends the connection and nothing else.
    let mut endless = server.websocket();
    let request =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": ["a".repeat(MAX_REQUEST_BYTES)] });
    endless.try_send(request.to_string());
    assert_eq!(endless.next(), None);
    assert_eq!(socket.call("eth_blockNumber", json!([])), "0x1");
}

#[test]
fn blocks_can_be_made_by_the_clock() {
    let server = served(Options { block_time: Some(Duration::from_millis(300)), ..Options::default() });
    let alice = user(1);
    let mut socket = server.websocket();
    let subscription = socket.call("eth_subscribe", json!(["newHeads"]));
    let hashes: Vec<Value> = (0..3)
        .map(|nonce| {
            server.call("eth_sendRawTransaction", json!([alice.send(nonce, user(2).address, 1)]))["result"]
                .clone()
        })
        .collect();
    let mut mined = 0;
    while mined < 3 {
        let head = socket.notified(&subscription);
        let block = ask(&server.chain, "eth_getBlockByHash", json!([head["hash"], false]));
        mined += block["transactions"].as_array().unwrap().len();
    }
    for hash in &hashes {
        assert_eq!(server.call("eth_getTransactionReceipt", json!([hash]))["result"]["status"], "0x1");
    }
    assert_eq!(balance(&server.chain, user(2).address), FUNDS + 3);
}

#[test]
fn the_end_is_announced_and_loses_nothing() {
    // A block time that never comes: the last block is made at the end.
    let mut server = served(Options { block_time: Some(Duration::from_secs(3600)), ..Options::default() });
    let mut socket = server.websocket();
    // The first tick of the clock is at once; this one is after it.
    std::thread::sleep(Duration::from_millis(100));
    let hash = socket.call("eth_sendRawTransaction", json!([user(1).send(0, user(2).address, 1)]));
    let mut idle = server.connect();
    idle.write_all(&post(CHAIN_ID_REQUEST)).unwrap();
    assert_eq!(read_answer(&mut idle).status, 200);
    let start = Instant::now();
    server.stop().unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "the end waited for idle clients");
    assert_eq!(socket.next(), None);
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    let receipt = ask(&server.chain, "eth_getTransactionReceipt", json!([hash]));
    assert_eq!(receipt["status"], "0x1");
    // Port and directory are free.
    drop(listen(server.address).unwrap());
    server.chain = fresh().0;
    drop(Chain::open(server.dir.path(), sequencer(), clock()).unwrap());
}

#[test]
fn a_port_that_cannot_be_had_is_named() {
    let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.local_addr().unwrap();
    let error = listen(address).unwrap_err();
    assert!(matches!(error, ServerError::InUse(_)));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    // TEST-NET-1 is no address of any machine.
    let error = listen("192.0.2.1:8545".parse().unwrap()).unwrap_err();
    assert!(matches!(error, ServerError::Listen { .. }), "{error:?}");
}
