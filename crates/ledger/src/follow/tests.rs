#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use alloy::primitives::B256;
use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportFut};
use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
use histone_contracts::{Contract, Members, roles};
use histone_protocol::keys::SigningKey;

use crate::{Connection, Ledger, Settings};

const START: u64 = 1_800_000_000;

/// An address behind which one node answers what is asked of events and another one everything else.
#[derive(Clone)]
struct Lagging {
    head: Chain,
    events: Arc<Mutex<Chain>>,
}

impl tower::Service<RequestPacket> for Lagging {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let request = serde_json::to_vec(&request).unwrap();
        let of_events = String::from_utf8_lossy(&request).contains("eth_getLogs");
        let chain = if of_events { self.events.lock().unwrap().clone() } else { self.head.clone() };
        Box::pin(async move { Ok(serde_json::from_slice(&chain.handle(&request)).unwrap()) })
    }
}

/// A node that changes its mind about which chain there is, and keeps what it was asked.
#[derive(Clone)]
struct Fickle {
    chains: Arc<[Chain; 2]>,
    which: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl tower::Service<RequestPacket> for Fickle {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let chain = self.chains[self.which.load(Ordering::Relaxed)].clone();
        let request = serde_json::to_vec(&request).unwrap();
        self.asked.lock().unwrap().push(String::from_utf8(request.clone()).unwrap());
        Box::pin(async move { Ok(serde_json::from_slice(&chain.handle(&request)).unwrap()) })
    }
}

fn founder() -> SigningKey {
    SigningKey::from_bytes(&[101; 32]).unwrap()
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Chain {
    Chain::open(dir, Sequencer::from_bytes(&[9; 32]).unwrap(), clock.clone()).unwrap()
}

async fn admit(ledger: &Ledger, n: u8) {
    let account = SigningKey::from_bytes(&[n; 32]).unwrap().address();
    let (profile, seal_key) = (B256::repeat_byte(n), B256::repeat_byte(n));
    let add = Members::addCall { account, roles: roles::OWNER, profile, sealKey: seal_key };
    ledger.send(&founder(), Contract::Members, add).await.unwrap();
}

async fn profiles(ledger: &Ledger) -> Vec<u8> {
    let added = ledger.logged::<Members::MemberAdded>(Contract::Members, None).await.unwrap();
    let times: Vec<u64> = added.iter().map(|a| a.time).collect();
    assert!(times.is_sorted() && times.iter().all(|time| *time >= START));
    added.iter().map(|a| a.event.profile.0[0]).collect()
}

#[tokio::test]
async fn every_block_is_read_once_and_a_fork_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let sequencer = Sequencer::from_bytes(&[9; 32]).unwrap();
    let genesis = Genesis {
        chain_id: 4_711,
        timestamp: START,
        sequencer: sequencer.address(),
        alloc: vec![],
        gas_limit: Genesis::GAS_LIMIT,
    };
    let [left, right] = ["left", "right"].map(|name| dir.path().join(name));
    for dir in [&left, &right] {
        fs::create_dir(dir).unwrap();
    }
    let deployment = {
        let chain = Chain::create(&left, genesis, sequencer, clock.clone()).unwrap();
        let ledger =
            Ledger::deploy(Connection::embedded(chain), &founder(), &Settings::default()).await.unwrap();
        admit(&ledger, 1).await;
        ledger.deployment().clone()
    };
    for entry in fs::read_dir(&left).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), right.join(entry.file_name())).unwrap();
    }
    let chains = Arc::new([open(&left, &clock), open(&right, &clock)]);
    let node = Fickle { chains: chains.clone(), which: Arc::default(), asked: Arc::default() };
    let (which, asked) = (node.which.clone(), node.asked.clone());
    let ledger = Ledger::at(Connection::over(node, true, "a fickle node"), deployment);
    let history = |asked: &Mutex<Vec<String>>| {
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let looks: Vec<_> = asked.into_iter().filter(|a| a.contains("eth_getLogs")).collect();
        (looks.len(), looks.iter().any(|look| look.contains(r#""fromBlock":"0x0""#)))
    };

    assert_eq!(profiles(&ledger).await, [1]);
    assert_eq!(history(&asked), (1, true));
    // Nothing is new: nothing is read. Clones share what was read.
    assert_eq!(profiles(&ledger.clone()).await, [1]);
    assert_eq!(history(&asked), (0, false));
    clock.set(START + 60);
    admit(&ledger, 2).await;
    admit(&ledger, 3).await;
    assert_eq!(profiles(&ledger).await, [1, 2, 3]);
    assert_eq!(history(&asked), (1, false));

    // The other chain has other blocks from there on, and is shorter by one.
    which.store(1, Ordering::Relaxed);
    admit(&ledger, 4).await;
    assert_eq!(profiles(&ledger).await, [1, 4]);
    assert_eq!(history(&asked), (1, false));
    let book = ledger.book(&[Contract::Members]).await.unwrap();
    assert_eq!(book.members.iter().map(|m| m.profile.0[0]).collect::<Vec<_>>(), [1, 4]);
    admit(&ledger, 6).await;
    // And back again.
    which.store(0, Ordering::Relaxed);
    assert_eq!(profiles(&ledger).await, [1, 2, 3]);

    // A node that has not heard of the newest blocks is believed no longer than until the next one.
    let [left, right] = [chains[0].clone(), chains[1].clone()];
    let node = Lagging { head: left.clone(), events: Arc::new(Mutex::new(right)) };
    let events = node.events.clone();
    let lagging = Ledger::at(Connection::over(node, false, "two nodes"), ledger.deployment().clone());
    assert_eq!(profiles(&lagging).await, [1, 4, 6], "what the other one knows");
    *events.lock().unwrap() = left;
    admit(&ledger, 5).await;
    assert_eq!(profiles(&lagging).await, [1, 2, 3, 5]);

    // As of a block, events end there.
    let then = ledger.connection().head().await.unwrap().block - 1;
    let past = ledger.clone().as_of(then);
    assert_eq!((profiles(&past).await, profiles(&ledger).await), (vec![1, 2, 3], vec![1, 2, 3, 5]));
}
