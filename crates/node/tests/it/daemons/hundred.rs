//! Many owners: how long it takes, and what each party sends and receives.

use std::time::Instant;

use histone_contracts::book::RoundState;
use histone_contracts::roles;

use super::gathered::{Gathered, sealed};
use super::small;

/// What one study of so many owners took.
struct Measured {
    owners: u32,
    seconds: f64,
    rounds: usize,
    /// Requests, bytes sent and bytes received of a party, by role, on average.
    traffic: Vec<(&'static str, [u64; 3])>,
}

/// The largest resident memory of this process so far, in MiB; 0 where that is not known.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

async fn measured(owners: u32, steps: u32, is_sealed: bool, apart: bool) -> Measured {
    let mut study = small::of_owners(owners, steps);
    if is_sealed {
        study.training.disclosure = sealed();
    }
    let began = Instant::now();
    let mut gathered = match apart {
        true => Gathered::apart(study, 1).await,
        false => Gathered::of(study, 1).await,
    };
    let prepared = began.elapsed().as_secs_f64();
    gathered.run().await;
    let seconds = began.elapsed().as_secs_f64();
    gathered.nothing_is_left();
    let book = gathered.book().await;
    let rounds = book.rounds.iter().filter(|round| round.state == RoundState::Final).count();
    let model = book.models.iter().next().unwrap();
    assert_eq!((model.state.word(), model.donors.len()), ("serving", owners as usize), "{}", gathered.told());
    let of = |role: u8| {
        let (mut total, mut parties) = ([0; 3], 0);
        for (daemon, seat) in gathered.daemons.iter().zip(&gathered.seats) {
            if seat.roles & role != 0 {
                let traffic = gathered.net.traffic(daemon.node.mailbox.address());
                let of_party = [traffic.requests, traffic.sent, traffic.received];
                total.iter_mut().zip(of_party).for_each(|(total, more)| *total += more);
                parties += 1;
            }
        }
        total.map(|total| total / parties.max(1))
    };
    let traffic = [
        ("owner", roles::OWNER),
        ("member", roles::COMMITTEE),
        ("trainer", roles::TRAINER),
        ("runner", roles::RUNNER),
    ]
    .map(|(name, role)| (name, of(role)));
    let (mode, copies) = (
        if is_sealed { "sealed" } else { "public-exact" },
        if apart { "a copy of the ledger each" } else { "one ledger" },
    );
    println!(
        "{owners} owners, {mode}, {copies}: {seconds:.1} s ({prepared:.1} s until they begin), {rounds} rounds, {} blocks, peak {} MiB",
        book.head.block,
        memory()
    );
    for (name, [requests, sent, received]) in &traffic {
        println!("    {name}: {requests} requests, {sent} bytes sent, {received} received");
    }
    Measured { owners, seconds, rounds, traffic: traffic.to_vec() }
}

/// `HISTONE_OWNERS=10,30,100` says how many, `HISTONE_MODE=sealed,apart` in which way.
#[tokio::test]
#[ignore = "minutes; cargo test --release -p histone-node --test it -- --ignored --nocapture hundred"]
async fn hundred_owners() {
    let owners = std::env::var("HISTONE_OWNERS").unwrap_or("10,30,100".into());
    let mode = std::env::var("HISTONE_MODE").unwrap_or_default();
    let steps = std::env::var("HISTONE_STEPS").map_or(9, |steps| steps.parse().unwrap());
    let mut all = Vec::new();
    for owners in owners.split(',') {
        let owners = owners.parse().unwrap();
        all.push(measured(owners, steps, mode.contains("sealed"), mode.contains("apart")).await);
    }
    let last = all.last().unwrap();
    if last.owners == 100 && !cfg!(debug_assertions) {
        assert!(last.seconds < 120.0, "{} s", last.seconds);
        assert!(memory() < 4_096);
    }
    // What an owner sends does not grow with the number of owners. What it receives does where it has a copy of the ledger, by the blocks
    // in which others act.
    let sent = |measured: &Measured| measured.traffic[0].1[1] as f64 / measured.rounds as f64;
    assert!(sent(last) < 1.1 * sent(&all[0]), "what an owner sends grows with the number of owners");
}
