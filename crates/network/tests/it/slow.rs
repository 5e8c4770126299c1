//! A site on a bad line: 4 Mbit/s, 200 ms to the hub and back, one of 50 packets lost, one of 50 requests cut in the middle.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use histone_network::client::{HubNet, HubOptions};
use histone_network::{Network as _, NetworkError};
use histone_protocol::hash::blob_hash;
use histone_protocol::letter::letter_id;

use crate::between::{Slow, SlowLine};
use crate::support::{TestHub, bytes, key};

const SLOW: Slow =
    Slow { rate: 4_000_000 / 8, round_trip: Duration::from_millis(200), loses_one_of: 50, cuts_one_of: 50 };

/// Asks again until it works, as a daemon does. Gives how often it did not.
fn until_done<T>(mut ask: impl FnMut() -> Result<T, NetworkError>) -> (T, usize) {
    for failed in 0..20 {
        match ask() {
            Ok(done) => return (done, failed),
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
    panic!("it does not work");
}

/// Letters and blobs from one site on such a line to another one.
fn exchange(letters: usize, blobs: &[usize], slow: Slow) {
    let dir = tempfile::tempdir().unwrap();
    let hub = TestHub::start(dir.path());
    let lines = [(); 2].map(|()| SlowLine::to(hub.address, slow));
    let net = |line: usize| HubNet::new(HubOptions::new(lines[line].url(), key(1 + line as u8))).unwrap();
    let (a, b) = (net(0), net(1));
    let mut failed = 0;
    let moved = || lines.each_ref().map(|line| line.happened.bytes.load(Ordering::Relaxed));
    for size in blobs {
        let blob = bytes(*size);
        let hash = blob_hash(&blob);
        let before = moved();
        let began = Instant::now();
        failed += until_done(|| a.offer(&blob)).1;
        let (fetched, fails) = until_done(|| b.fetch(hash));
        failed += fails;
        assert!(fetched.unwrap() == blob);
        // It goes on where it was cut: at most a third of it went twice.
        for (before, after) in before.into_iter().zip(moved()) {
            assert!(after - before < size + size / 3 + 200_000, "{} bytes for {size}", after - before);
        }
        // No faster than the line, and not much slower.
        let (took, at_best) =
            (began.elapsed(), Duration::from_secs_f64(2.0 * *size as f64 / f64::from(slow.rate)));
        assert!(took >= at_best && took < at_best * 3 + Duration::from_secs(20), "{took:?} for {at_best:?}");
    }
    let letter = |n: usize| [n.to_le_bytes().as_slice(), &bytes(1_000 + n % 5 * 1_000)].concat();
    let (mut came, mut times) = (BTreeSet::new(), 0);
    for n in 0..letters {
        failed += until_done(|| a.post(b.mailbox(), &letter(n))).1;
        if n % 10 == 9 || n + 1 == letters {
            let (some, fails) = until_done(|| b.collect());
            let ids: Vec<_> = some.iter().map(|letter| letter_id(letter)).collect();
            failed += fails + until_done(|| b.discard(&ids)).1;
            times += ids.len();
            came.extend(ids);
        }
    }
    assert_eq!(came, (0..letters).map(|n| letter_id(&letter(n))).collect());
    assert_eq!(times, letters, "each letter once");
    assert!(until_done(|| b.collect()).0.is_empty());
    let count = |what: fn(&crate::between::Happened) -> usize| {
        lines.iter().map(|line| what(&line.happened)).sum::<usize>()
    };
    let (requests, cuts) =
        (count(|all| all.requests.load(Ordering::Relaxed)), count(|all| all.cuts.load(Ordering::Relaxed)));
    assert!(cuts > 0 && requests > letters, "{cuts} of {requests} cut");
    println!("{requests} requests, {cuts} cut, {failed} calls asked again");
}

#[test]
fn a_site_on_a_slow_and_bad_line() {
    // So short, every tenth request is cut.
    exchange(20, &[300_000], Slow { cuts_one_of: 10, ..SLOW });
}

#[test]
#[ignore = "takes three minutes"]
fn soak_a_site_on_a_slow_and_bad_line() {
    exchange(400, &[100_000, 20_000_000], SLOW);
}
