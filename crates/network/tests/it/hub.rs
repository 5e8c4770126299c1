//! What a hub does for two parties.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use histone_network::client::{HubNet, HubOptions};
use histone_network::hub::{Hub, HubError};
use histone_network::{MAX_BLOB, Network as _, NetworkError, Woken};
use histone_protocol::B256;
use histone_protocol::hash::blob_hash;
use histone_protocol::letter::{MAX_LETTER, letter_id};
use tokio::sync::watch;

use crate::between::Line;
use crate::support::{TestHub, bytes, key, net, options};

#[test]
fn letters_wait_until_they_are_discarded() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let (a, b) = (hub.net(1), hub.net(2));
    let large = bytes(MAX_LETTER);
    for letter in [b"one".as_slice(), &large, b"one", b""] {
        a.post(b.mailbox(), letter).unwrap();
    }
    assert!(a.collect().unwrap().is_empty());
    assert_eq!(hub.net(2).collect().unwrap(), [b"one".to_vec(), large.clone(), Vec::new()]);
    // A letter of somebody else is not discarded.
    a.discard(&[letter_id(b"one")]).unwrap();
    assert_eq!(b.collect().unwrap().len(), 3);
    b.discard(&[letter_id(b"one"), letter_id(&large), B256::ZERO]).unwrap();
    assert_eq!(b.collect().unwrap(), [Vec::<u8>::new()]);
    b.discard(&vec![B256::ZERO; 10_000]).unwrap();
    // More than goes into one answer.
    for n in 0..3 {
        a.post(b.mailbox(), &bytes(MAX_LETTER - n)).unwrap();
    }
    for letters in [2, 1, 1, 0] {
        let some = b.collect().unwrap();
        assert_eq!(some.len(), letters);
        b.discard(&some.iter().map(|letter| letter_id(letter)).collect::<Vec<_>>()).unwrap();
    }
    let long = a.post(b.mailbox(), &bytes(MAX_LETTER + 1)).unwrap_err();
    assert!(matches!(long, NetworkError::Refused { .. }), "{long}");
}

#[test]
fn blobs_are_there_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let (a, b) = (hub.net(1), hub.net(2));
    for blob in [Vec::new(), b"hello".to_vec(), bytes(1 << 20), bytes((5 << 20) + 7)] {
        let hash = blob_hash(&blob);
        assert_eq!(b.fetch(hash).unwrap(), None);
        a.offer(&blob).unwrap();
        b.offer(&blob).unwrap();
        assert!(b.fetch(hash).unwrap().unwrap() == blob);
    }
    assert!(matches!(a.offer(&vec![0; MAX_BLOB as usize + 1]), Err(NetworkError::Store(_))));
    // A blob that was damaged on the hub's disk is no blob, and is mended by the next who brings it.
    let hash = blob_hash(b"hello");
    let path = dir.path().join("blobs").join(format!("{hash:x}"));
    hub.stop();
    fs::write(&path, b"hellp").unwrap();
    let hub = TestHub::start(dir.path());
    let error = hub.net(2).fetch(hash).unwrap_err();
    assert!(error.to_string().contains("bytes that hash to"), "{error}");
    hub.net(1).offer(b"hello").unwrap();
    assert_eq!(hub.net(2).fetch(hash).unwrap().unwrap(), b"hello");
    // One that was copied into the directory of another hub.
    let other = dir.path().join("other");
    fs::create_dir_all(other.join("blobs")).unwrap();
    fs::copy(&path, other.join("blobs").join(format!("{hash:x}"))).unwrap();
    assert_eq!(TestHub::start(&other).net(2).fetch(hash).unwrap().unwrap(), b"hello");
}

#[test]
fn whoever_waits_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let (head, heads) = watch::channel(5);
    let hub = TestHub::with(dir.path(), |options| options.heads = Some(heads));
    let (a, b) = (hub.net(1), Arc::new(hub.net(2)));
    let long = Duration::from_secs(50);
    let now = |expected: Woken, from: u64, patience| {
        let started = Instant::now();
        assert_eq!(b.wait(from, patience).unwrap(), expected);
        started.elapsed()
    };
    let nothing = Woken::default();
    assert!(now(Woken { blocks: true, letters: false }, 4, long) < Duration::from_secs(2));
    assert!(now(nothing, 5, Duration::from_secs(1)) >= Duration::from_secs(1));
    let wake = |act: &dyn Fn()| {
        let waiter = b.clone();
        let waiting = std::thread::spawn(move || (waiter.wait(5, long).unwrap(), Instant::now()));
        std::thread::sleep(Duration::from_millis(150));
        let acted = Instant::now();
        act();
        let (woken, at) = waiting.join().unwrap();
        assert!(at.duration_since(acted) < Duration::from_secs(2));
        woken
    };
    assert_eq!(wake(&|| head.send(6).unwrap()), Woken { blocks: true, letters: false });
    head.send(5).unwrap();
    assert_eq!(wake(&|| a.post(b.mailbox(), b"x").unwrap()), Woken { blocks: false, letters: true });
    assert!(
        now(Woken { blocks: false, letters: true }, 5, long) < Duration::from_secs(2),
        "it waits already"
    );
    // A hub that ends lets nobody wait.
    b.discard(&[letter_id(b"x")]).unwrap();
    let waiter = b.clone();
    let waiting = std::thread::spawn(move || waiter.wait(5, long));
    std::thread::sleep(Duration::from_millis(150));
    hub.stop();
    assert_eq!(waiting.join().unwrap().unwrap(), nothing);
}

#[test]
fn requests_go_on_to_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::with(dir.path(), |options| {
        options.rpc = Some(Arc::new(|request| {
            Box::pin(async move {
                match request.as_slice() {
                    b"fail" => Err("the node is away".into()),
                    _ => Ok([b"answer to ", request.as_slice()].concat()),
                }
            })
        }));
    });
    let a = hub.net(1);
    assert_eq!(a.rpc(b"{}").unwrap(), b"answer to {}");
    assert_eq!(a.rpc(&bytes(4 << 20)).unwrap().len(), (4 << 20) + 10);
    let error = a.rpc(b"fail").unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("the node is away"), "{error}");
    let error = a.rpc(&bytes((4 << 20) + 1)).unwrap_err();
    assert!(error.to_string().contains("at most 4194304 bytes"), "{error}");
    let none = TestHub::start(&dir.path().join("none"));
    let error = none.net(1).rpc(b"{}").unwrap_err();
    assert!(matches!(&error, NetworkError::Refused { why, .. } if why.contains("no ledger")), "{error}");
}

/// The runtime of the hub ends in the middle of its work; whoever was told that a letter is taken finds it.
#[test]
fn letters_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let address = hub.address;
    let identity = hub.net(1).health().unwrap().identity;
    let b = Arc::new(hub.net(2));
    let taken = Arc::new(Mutex::new(Vec::new()));
    let writers: Vec<_> = (10..14_u8)
        .map(|n| {
            let (a, taken) = (hub.net(n), taken.clone());
            let to = b.mailbox();
            std::thread::spawn(move || {
                for i in 0..1_000_u16 {
                    let letter = [&[n][..], &i.to_le_bytes()].concat();
                    if a.post(to, &letter).is_err() {
                        return;
                    }
                    taken.lock().unwrap().push(letter);
                }
            })
        })
        .collect();
    b.collect().unwrap();
    while taken.lock().unwrap().len() < 40 {
        std::thread::sleep(Duration::from_millis(5));
    }
    hub.kill();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(b.collect().unwrap_err().is_temporary());
    let hub = TestHub::at(dir.path(), address, |_| ());
    assert_eq!(hub.net(1).health().unwrap().identity, identity);
    // The session was forgotten, and is opened again by itself.
    let there = b.collect().unwrap();
    let taken = taken.lock().unwrap();
    assert!(taken.len() < 4_000 && taken.iter().all(|letter| there.contains(letter)));
}

#[test]
fn sessions_end_and_are_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let a = hub.net(1);
    a.collect().unwrap();
    hub.time.fetch_add(3_600, Ordering::SeqCst);
    a.collect().unwrap();
}

#[test]
fn letters_grow_old() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let time = hub.time.load(Ordering::SeqCst);
    hub.net(1).post(key(2).address(), b"x").unwrap();
    hub.stop();
    // It looks when it starts.
    for (days, letters) in [(29, 1), (31, 0)] {
        let hub = TestHub::with(dir.path(), |options| {
            options.clock = Arc::new(move || time + days * 86_400);
        });
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(hub.net(2).health().unwrap().letters, letters);
        hub.stop();
    }
}

/// A large blob over lines that break off: each time it goes on, and nothing large goes twice.
#[test]
fn blobs_resume() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let blob = bytes(6 << 20);
    let hash = blob_hash(&blob);
    let all = usize::MAX;
    let up = Line::breaks(hub.address, vec![((5 << 19) + 999, all), ((3 << 19) + 999, all)]);
    net(&up.url(), 1).offer(&blob).unwrap();
    assert!(up.made.load(Ordering::SeqCst) >= 3);
    let down = Line::breaks(hub.address, vec![(all, (5 << 19) + 999), (all, (3 << 19) + 999)]);
    assert!(net(&down.url(), 2).fetch(hash).unwrap().unwrap() == blob);
    assert!(down.made.load(Ordering::SeqCst) >= 3);
    // A line that gets too bad for one call: the next call goes on. The last connection would not carry all of it.
    let bad = [vec![(all, 4 << 20)], vec![(all, 1_000); 3], vec![(all, 4 << 20)]].concat();
    let bad = Line::breaks(hub.address, bad);
    let b = net(&bad.url(), 3);
    let error = b.fetch(hash).map(|_| ()).unwrap_err();
    assert!(error.is_temporary(), "{error}");
    assert_eq!(bad.made.load(Ordering::SeqCst), 4);
    assert!(b.fetch(hash).unwrap().unwrap() == blob);
    assert_eq!(bad.made.load(Ordering::SeqCst), 5);
    // The same upwards, where the hub remembers.
    let other = bytes((6 << 20) + 1);
    let bad = [vec![(4 << 20, all)], vec![(50_000, all); 20], vec![(4 << 20, all)]].concat();
    let bad = Line::breaks(hub.address, bad);
    let a = net(&bad.url(), 4);
    let mut failed = 0;
    while let Err(error) = a.offer(&other) {
        assert!(error.is_temporary(), "{error}");
        failed += 1;
        assert!(failed < 20);
    }
    assert!(failed > 0 && bad.made.load(Ordering::SeqCst) == 22);
    assert!(hub.net(1).fetch(blob_hash(&other)).unwrap().unwrap() == other);
}

/// What the hub had of a blob is spoiled, as by a power cut: it is dropped at the end, and comes again in the same call.
#[test]
fn a_spoiled_upload_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let blob = bytes((3 << 20) + 5);
    let hub = TestHub::start(dir.path());
    let line = Line::breaks(hub.address, [vec![(5 << 19, usize::MAX)], vec![(100, usize::MAX); 10]].concat());
    assert!(net(&line.url(), 1).offer(&blob).is_err());
    hub.stop();
    let uploads = fs::read_dir(dir.path().join("uploads")).unwrap().map(|entry| entry.unwrap().path());
    let uploads: Vec<_> = uploads.collect();
    let mut there = fs::read(&uploads[0]).unwrap();
    assert_eq!((uploads.len(), there.len()), (1, 2 << 20));
    there[1 << 20..].fill(0);
    fs::write(&uploads[0], there).unwrap();
    let hub = TestHub::start(dir.path());
    hub.net(1).offer(&blob).unwrap();
    assert!(hub.net(2).fetch(blob_hash(&blob)).unwrap().unwrap() == blob);
}

/// Clients that ask and go away do not leave more work behind than may run at the same time.
#[test]
fn who_goes_away_keeps_its_turn() {
    use std::sync::atomic::AtomicUsize;
    let dir = tempfile::tempdir().unwrap();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (running.clone(), most.clone());
    let hub = TestHub::with(dir.path(), |options| {
        options.rpc = Some(Arc::new(move |_| {
            let (running, most) = counts.clone();
            Box::pin(async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(700)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Vec::new())
            })
        }));
    });
    let hasty: Vec<_> = (1..61_u8)
        .map(|n| {
            let options =
                HubOptions { patience: Duration::from_millis(200), ..HubOptions::new(hub.url(), key(n)) };
            let net = HubNet::new(options).unwrap();
            net.collect().unwrap();
            std::thread::spawn(move || net.rpc(b"{}").unwrap_err())
        })
        .collect();
    hasty.into_iter().for_each(|thread| assert!(thread.join().unwrap().is_temporary()));
    assert_eq!(most.load(Ordering::SeqCst), 16);
}

#[test]
fn one_hub_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let second = Hub::open(options(dir.path(), &hub.time));
    assert!(matches!(second, Err(HubError::InUse(_))));
    hub.stop();
    Hub::open(options(dir.path(), &Arc::default())).unwrap();
}
