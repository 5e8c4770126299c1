//! The way to a node over HTTP: what works, and what is said when it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alloy::primitives::U256;
use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
use histone_contracts::LedgerError;
use histone_ledger::{Connection, Ledger, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::suite::key;

/// What a node answers to the body of a request: status and body.
type Answer = dyn Fn(&[u8]) -> (u16, Vec<u8>) + Send + Sync;

/// Serves HTTP on a free port; gives its address.
async fn serve(answer: impl Fn(&[u8]) -> (u16, Vec<u8>) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer: Arc<Answer> = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, answer.clone()));
        }
    });
    url
}

/// Answers one request after the other on a connection that is kept open.
async fn talk(mut stream: TcpStream, answer: Arc<Answer>) {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length:")).unwrap();
        let length: usize = length.trim().parse().unwrap();
        while read.len() < end + length {
            stream.read_buf(&mut read).await.unwrap();
        }
        let (status, body) = answer(&read[end..end + length]);
        read.drain(..end + length);
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
    }
}

fn chain(dir: &std::path::Path) -> Chain {
    let sequencer = Sequencer::from_bytes(&[9; 32]).unwrap();
    let genesis = Genesis {
        chain_id: 4_711,
        timestamp: 1_800_000_000,
        sequencer: sequencer.address(),
        alloc: vec![],
        gas_limit: Genesis::GAS_LIMIT,
    };
    Chain::create(dir, genesis, sequencer, Arc::new(ManualClock::new(1_800_000_000))).unwrap()
}

fn says(error: LedgerError, part: &str) {
    let text = histone_protocol::with_causes(&error);
    assert!(text.contains(part), "expected `{part}`: {text}");
    assert!(!text.contains('\n'), "{text}");
}

#[tokio::test]
async fn a_node_over_http_is_a_chain_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let chain = chain(dir.path());
    let by_hand = Arc::new(AtomicUsize::new(0));
    let counter = by_hand.clone();
    let url = serve(move |request| {
        let text = String::from_utf8_lossy(request);
        // An older node: receipts one by one only.
        if text.contains("eth_getBlockReceipts") {
            let id: serde_json::Value = serde_json::from_slice(request).unwrap();
            let error = serde_json::json!({"code": -32601, "message": "the method does not exist"});
            let answer = serde_json::json!({"jsonrpc": "2.0", "id": id["id"], "error": error});
            return (200, answer.to_string().into_bytes());
        }
        if text.contains("eth_getTransactionReceipt") {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        (200, chain.handle(request))
    })
    .await;
    let node = Connection::http(&url).unwrap();
    assert_eq!(node.what(), url);
    assert!(!node.clock_can_be_moved().await);
    assert_eq!((node.chain_id().await.unwrap(), node.gas_costs().await.unwrap()), (4_711, 0));
    let ledger = Ledger::deploy(node.clone(), &key(101), &Settings::default()).await.unwrap();
    let found = Ledger::find(node.clone(), ledger.deployment().directory).await.unwrap();
    assert_eq!(found.deployment(), ledger.deployment());

    // The blocks tell what was done: one transaction each.
    let sent = by_hand.load(Ordering::Relaxed);
    let head = node.head().await.unwrap();
    let (mut created, mut before) = (0, None);
    for number in 0..=head.block {
        let block = node.block(number).await.unwrap().unwrap();
        assert!(before.is_none_or(|hash| hash == block.parent), "block {number}");
        before = Some(block.hash);
        for transaction in &block.transactions {
            assert!(transaction.success && transaction.from == key(101).address());
            created += usize::from(transaction.created.is_some());
        }
    }
    assert_eq!((before, created), (Some(head.hash), histone_contracts::Contract::ALL.len()));
    assert!(node.block(head.block + 1).await.unwrap().is_none());
    assert!(by_hand.load(Ordering::Relaxed) > sent);
    // A view at an earlier block: there was no directory yet.
    let early = Ledger::at(node.clone(), ledger.deployment().clone()).as_of(1);
    let call = histone_contracts::Directory::entriesCall {};
    assert!(early.read(histone_contracts::Contract::Directory, call).await.is_err());
    // Coins that nobody has.
    let poor = node.send_coins(&key(101), key(102).address(), U256::from(1)).await.unwrap_err();
    assert!(!matches!(poor, LedgerError::Transport { .. }), "{poor}");
}

#[tokio::test]
async fn what_is_no_node_is_said_so() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let node = Connection::http(&nobody).unwrap();
    let error = node.chain_id().await.unwrap_err();
    says(error, &format!("`chain id` got no answer from the chain: cannot reach {nobody}: "));
    let page = serve(|_| (200, b"<html>hello</html>".to_vec())).await;
    says(
        Connection::http(&page).unwrap().chain_id().await.unwrap_err(),
        "is no JSON-RPC; is this the address",
    );
    let missing = serve(|_| (404, b"not here".to_vec())).await;
    says(Connection::http(&missing).unwrap().chain_id().await.unwrap_err(), "404");
    // The rest of an address may be a secret and is in no message.
    let secret = format!("{nobody}/v3/secret?key=secret");
    let error = Connection::http(&secret).unwrap().head().await.unwrap_err();
    assert!(!histone_protocol::with_causes(&error).contains("secret"));
    assert!(!format!("{:?}", Connection::http(&secret).unwrap()).contains("secret"));
}
