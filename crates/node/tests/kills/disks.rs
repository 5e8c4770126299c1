//! A disk that is full for a while, or cannot be written: a node says so, loses nothing, and goes on when there is room again.

use std::sync::atomic::Ordering;

use histone_protocol::with_causes;

use super::gathered::Gathered;
use super::life::{FULL, READ_ONLY, Step};
use super::{masks, small};

/// Who has a bad disk, and after which share of its writes, in percent.
const BAD: [(&str, u64); 5] =
    [("cloud", 20), ("north", 50), ("institute", 60), ("ethics", 70), ("operator", 40)];
/// For so many of its turns.
const TURNS: usize = 5;

/// A study in which disks refuse with this error, one after the other. Gives what was said about that, by party.
async fn over_bad_disks(error: i32) -> Vec<(&'static str, Vec<String>)> {
    let undisturbed = small::undisturbed(false).await;
    let mut gathered = Gathered::apart(small::study(), 1).await;
    let mut said = Vec::new();
    for (name, share) in BAD {
        let place = gathered.seats.iter().position(|seat| seat.name == name).unwrap();
        let begins = undisturbed.steps[place][Step::Write as usize] * share / 100;
        said.push((name, place, begins, 0, Vec::new()));
    }
    for _ in 0..400 {
        let (mut moved, mut next) = (false, None::<u64>);
        for place in 0..gathered.daemons.len() {
            let bad = said.iter_mut().find(|(_, bad, begins, turns, _)| {
                *bad == place && *turns < TURNS && gathered.seats[place].life.steps(Step::Write) >= *begins
            });
            let disk = &gathered.seats[place].life.disk;
            disk.store(if bad.is_some() { error } else { 0 }, Ordering::Relaxed);
            let turn = gathered.turn(place).await;
            let Some((.., turns, told)) = bad else {
                let turn = turn.unwrap_or_else(|error| panic!("{}: {}", place, with_causes(&error)));
                moved |= turn.moved();
                next = turn.next.into_iter().chain(next).min();
                continue;
            };
            // Nobody waits for anything meanwhile.
            moved = true;
            *turns += 1;
            told.extend(turn.err().map(|error| with_causes(&error)));
            told.extend(gathered.daemons[place].stumbles().values().map(|stumble| stumble.why.clone()));
            if *turns == TURNS {
                // Its process has ended with the first error, and the next one does not begin before there is room.
                gathered.end(place);
                if let Err(error) = gathered.begin(place) {
                    told.push(with_causes(&error));
                    gathered.seats[place].life.disk.store(0, Ordering::Relaxed);
                    gathered.begin(place).unwrap();
                }
            }
        }
        if !moved && !gathered.wait_until(next) {
            break;
        }
    }
    gathered.nothing_is_left();
    gathered.outcome().await.is(&undisturbed.outcome, false, "bad disks");
    assert_eq!(masks::are_used_once(&gathered.seen), 3 * undisturbed.outcome.rounds as usize);
    said.into_iter()
        .map(|(name, .., turns, told)| {
            assert_eq!(turns, TURNS, "{name} had a bad disk");
            (name, told)
        })
        .collect()
}

#[tokio::test]
async fn disks_that_are_full_for_a_while() {
    for (name, told) in over_bad_disks(FULL).await {
        let is_said = |why: &String| why.contains("is full") || why.contains("No space left on device");
        assert!(told.iter().any(is_said), "{name}: {told:?}");
        assert!(!told.iter().any(|why| why.contains("history")), "{name}: {told:?}");
    }
}

#[tokio::test]
async fn disks_that_cannot_be_written_for_a_while() {
    for (name, told) in over_bad_disks(READ_ONLY).await {
        let is_said = |why: &String| {
            why.contains("cannot be opened, read or written") || why.contains("Read-only file system")
        };
        assert!(told.iter().any(is_said), "{name}: {told:?}");
        assert!(!told.iter().any(|why| why.contains("history")), "{name}: {told:?}");
    }
}
