#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use histone_protocol::hash::blob_hash;

use super::*;

const A: Address = Address::repeat_byte(1);
const B: Address = Address::repeat_byte(2);

fn with(seed: u64, faults: Faults) -> (MemNet, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(1_000));
    let clock = time.clone();
    (MemNet::with(seed, faults, Arc::new(move || clock.load(Ordering::SeqCst))), time)
}

fn letters(from: u8, count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|i| vec![from, i]).collect()
}

#[test]
fn letters_wait_until_they_are_discarded() {
    let net = MemNet::new(1);
    let (a, b) = (net.link(A), net.link(B));
    for letter in [b"one".as_slice(), b"two", b"one"] {
        a.post(B, letter).unwrap();
    }
    assert!(a.collect().unwrap().is_empty());
    for _ in 0..2 {
        assert_eq!(b.collect().unwrap(), [b"one".to_vec(), b"two".to_vec()], "and the same again is none");
    }
    assert_eq!(b.wait(0, Duration::MAX).unwrap(), Woken { blocks: false, letters: true });
    a.discard(&[letter_id(b"one")]).unwrap();
    b.discard(&[letter_id(b"one")]).unwrap();
    assert_eq!(b.collect().unwrap(), [b"two".to_vec()]);
    net.forget_letters();
    assert!(b.collect().unwrap().is_empty());
    assert!(matches!(a.post(B, &vec![0; MAX_LETTER + 1]), Err(NetworkError::Refused { .. })));
    a.post(B, &vec![0; MAX_LETTER]).unwrap();
}

#[test]
fn blobs_and_requests() {
    let net = MemNet::new(1);
    let (a, b) = (net.link(A), net.link(B));
    let hash = blob_hash(b"hello");
    assert_eq!(b.fetch(hash).unwrap(), None);
    a.offer(b"hello").unwrap();
    a.offer(b"hello").unwrap();
    assert_eq!(b.fetch(hash).unwrap().unwrap(), b"hello");
    assert!(matches!(a.rpc(b"{}"), Err(NetworkError::Refused { .. })));
    assert!(!a.wait(0, Duration::ZERO).unwrap().blocks);
    net.serve_rpc(Arc::new(|request| request.repeat(2)));
    assert_eq!(a.rpc(b"{}").unwrap(), b"{}{}");
    assert!(a.wait(7, Duration::ZERO).unwrap().blocks, "there may be");
    net.serve_head(Arc::new(|| 7));
    assert!(a.wait(6, Duration::ZERO).unwrap().blocks);
    assert!(!a.wait(7, Duration::ZERO).unwrap().blocks);
    let traffic = net.traffic(A);
    assert_eq!((traffic.requests, traffic.sent, traffic.received), (8, 5 + 5 + 2 + 2, 4));
    assert_eq!(net.traffic(B), Traffic { requests: 2, sent: 0, received: 5 });
}

#[test]
fn whoever_is_cut_off_reaches_nobody() {
    let net = MemNet::new(1);
    let (a, b) = (net.link(A), net.link(B));
    net.cut_off(&[A]);
    let refused = a.post(B, b"x").unwrap_err();
    assert!(refused.is_temporary(), "{refused}");
    b.post(A, b"y").unwrap();
    net.cut_off(&[]);
    assert_eq!(a.collect().unwrap(), [b"y".to_vec()], "it waited");
    net.set_down(true);
    assert!(a.collect().is_err() && b.collect().is_err());
    net.set_down(false);
    assert!(a.collect().is_ok());
}

/// Everything that befalls letters, and the same for the same seed.
#[test]
fn faults_follow_from_the_seed() {
    let faults =
        Faults { loss: 0.3, duplicate: 0.3, reorder: 0.5, delay: 10, failure: 0.1, lost_answer: 0.1 };
    let course = |seed: u64, others: bool| {
        let (net, time) = with(seed, faults);
        let (a, b) = (net.link(A), net.link(B));
        let c = net.link(Address::repeat_byte(3));
        let mut seen = Vec::new();
        for letter in letters(1, 60) {
            if others {
                let _ = c.post(A, &letter);
            }
            seen.push((a.post(B, &letter).is_ok(), Vec::new()));
        }
        for _ in 0..12 {
            time.fetch_add(1, Ordering::SeqCst);
            if let Ok(got) = b.collect() {
                let _ = b.discard(&got.iter().map(|letter| letter_id(letter)).collect::<Vec<_>>());
                seen.push((true, got));
            }
        }
        seen
    };
    let first = course(7, false);
    assert_eq!(first, course(7, false));
    assert_eq!(first, course(7, true), "what others do does not disturb it");
    assert_ne!(first, course(8, false));
    let got: Vec<&Vec<u8>> = first.iter().flat_map(|(_, got)| got).collect();
    let unique: BTreeSet<_> = got.iter().collect();
    assert!(unique.len() < 55 && unique.len() > 25, "{} of 60 arrive", unique.len());
    assert!(got.len() > unique.len(), "some come twice");
    assert!(!got.is_sorted());
    assert!(first.iter().any(|(ok, _)| !ok));
}

#[test]
fn delays_are_by_the_clock() {
    let (net, time) = with(3, Faults { delay: 5, ..Faults::default() });
    let (a, b) = (net.link(A), net.link(B));
    for letter in letters(9, 50) {
        a.post(B, &letter).unwrap();
    }
    let early = b.collect().unwrap().len();
    assert!(early > 0 && early < 50, "{early}");
    assert_eq!(net.next_arrival(), Some(1_001));
    time.store(1_005, Ordering::SeqCst);
    assert_eq!((b.collect().unwrap().len(), net.next_arrival(), net.waiting()), (50, None, 50));
}

/// A lost answer is not a lost letter.
#[test]
fn a_call_that_failed_may_have_been_done() {
    let (net, _) = with(3, Faults { lost_answer: 1.0, ..Faults::default() });
    assert!(net.link(A).post(B, b"x").is_err());
    let asked = Arc::new(AtomicU64::new(0));
    let counter = asked.clone();
    net.serve_rpc(Arc::new(move |_| counter.fetch_add(1, Ordering::SeqCst).to_le_bytes().into()));
    assert!(net.link(A).rpc(b"{}").is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    net.set_faults(Faults { failure: 1.0, ..Faults::default() });
    assert!(net.link(A).post(B, b"y").is_err());
    net.set_faults(Faults::default());
    assert_eq!(net.link(B).collect().unwrap(), [b"x".to_vec()]);
}
