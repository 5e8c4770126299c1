//! A machine whose clock is wrong by an hour.

use std::sync::atomic::Ordering;

use histone_contracts::book::RoundState;
use histone_node::error::NodeError;

use super::gathered::Gathered;
use super::small;

const HOUR: i64 = 3_600;

/// A study in which the clock of one party is set when the first round is open, and right again as soon as `until` says so. Gives what
/// failed meanwhile because of that.
async fn with_a_wrong_clock(
    name: &str,
    ahead: i64,
    until: impl Fn(RoundState) -> bool,
) -> (Gathered, Vec<String>) {
    let mut gathered = Gathered::apart(small::study(), 1).await;
    let place = gathered.seats.iter().position(|seat| seat.name == name).unwrap();
    let (mut told, mut set) = (Vec::new(), false);
    gathered
        .run_with(async |gathered, _| {
            let book = gathered.book().await;
            let first = book.rounds.get(&(1, 1)).map(|round| round.state);
            let wrong = first.is_some_and(|state| !set && !until(state));
            set |= first.is_some_and(&until);
            gathered.seats[place].ahead.store(if wrong { ahead } else { 0 }, Ordering::Relaxed);
            let stumbles = gathered.daemons[place].stumbles();
            told.extend(stumbles.values().map(|stumble| stumble.why.clone()));
        })
        .await;
    gathered.nothing_is_left();
    (gathered, told)
}

/// A member's clock is an hour ahead. It goes on, and says what is wrong as soon as it has seen a block of its own; when the clock is
/// right, nothing is left of that.
#[tokio::test]
async fn a_clock_that_is_ahead() {
    let expected = &small::undisturbed(false).await.outcome;
    let (gathered, told) = with_a_wrong_clock("ethics", HOUR, |state| state == RoundState::Final).await;
    assert!(told.iter().any(|why| why.contains("3600 s ahead of the ledger's")), "{told:?}");
    gathered.outcome().await.is(expected, false, "ahead");
}

/// The trainer's clock is an hour ahead: it closes no round before the ledger would let it.
#[tokio::test]
async fn a_trainer_whose_clock_is_ahead() {
    let expected = &small::undisturbed(false).await.outcome;
    let (gathered, told) = with_a_wrong_clock("institute", HOUR, |state| state == RoundState::Final).await;
    assert!(told.iter().any(|why| why.contains("ahead of the ledger's")), "{told:?}");
    gathered.outcome().await.is(expected, false, "a trainer ahead");
}

/// A clock that is an hour behind cannot take the ledger's new blocks. The node does not stop, and takes none of them for a lie.
#[tokio::test]
async fn a_clock_that_is_behind() {
    let expected = &small::undisturbed(false).await.outcome;
    let mut gathered = Gathered::apart(small::study(), 1).await;
    let place = gathered.seats.iter().position(|seat| seat.name == "ethics").unwrap();
    let mut why = None;
    let mut passes = 0;
    gathered
        .run_with(async |gathered, at| {
            passes += usize::from(at == 0);
            let wrong = (4..12).contains(&passes);
            gathered.seats[place].ahead.store(if wrong { -HOUR } else { 0 }, Ordering::Relaxed);
            if wrong && let Err(error) = gathered.follow(place) {
                why = Some(NodeError::from(error).to_string());
            }
        })
        .await;
    let why = why.unwrap();
    assert!(why.contains("s after the time that the clock of this machine shows; set the clock"), "{why}");
    gathered.nothing_is_left();
    // It may have come too late for a round, which was asked again then.
    let outcome = gathered.outcome().await;
    assert_eq!(
        (outcome.state, outcome.model, outcome.owed),
        ("serving", expected.model, expected.owed.clone())
    );
}
