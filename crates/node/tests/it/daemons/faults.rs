//! Networks that lose, repeat, reorder and delay, that cannot be reached, and that forget: a study ends as over a good one.

use std::sync::atomic::Ordering;

use histone_contracts::book::RoundState;

use super::gathered::Gathered;
use super::small;

/// The hub neither takes nor gives blobs in two of three passes, and everything else works: nobody stops, nobody is judged by what
/// could not be fetched.
#[tokio::test]
async fn a_hub_without_blobs_for_a_while() {
    let expected = &small::undisturbed(true).await.outcome;
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    let mut passes = 0;
    gathered
        .run_with(async |gathered, place| {
            passes += usize::from(place == 0);
            for seat in &gathered.seats {
                seat.life.no_blobs.store(!passes.is_multiple_of(3) && passes < 300, Ordering::Relaxed);
            }
        })
        .await;
    gathered.nothing_is_left();
    gathered.outcome().await.is(expected, true, "without blobs");
}

/// The hub comes back without letters, again and again: what was not signed for is sent again.
#[tokio::test]
async fn a_hub_that_forgets_all_letters() {
    let expected = &small::undisturbed(true).await.outcome;
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    let mut turns = 0;
    let mut forgotten = 0;
    gathered
        .run_with(async |gathered, _| {
            turns += 1;
            if turns % 17 == 0 && turns < 17 * 40 {
                forgotten += gathered.net.waiting();
                gathered.net.forget_letters();
            }
        })
        .await;
    assert!(forgotten > 20, "{forgotten}");
    gathered.nothing_is_left();
    gathered.outcome().await.is(expected, true, "forgotten");
}

/// Two of three owners are away for two rounds; the rounds fail, and with them there the training goes on.
#[tokio::test]
async fn owners_who_are_away_for_two_rounds() {
    let expected = &small::undisturbed(false).await.outcome;
    let mut gathered = Gathered::apart(small::study(), 1).await;
    let away = ["north", "south"].map(|name| gathered.daemon_of(name).node.mailbox.address());
    let mut left = None;
    loop {
        let (mut moved, mut next) = (false, None);
        for place in 0..gathered.daemons.len() {
            let turn = gathered.turn(place).await.unwrap();
            moved |= turn.moved();
            next = turn.next.into_iter().chain(next).min();
        }
        let book = gathered.book().await;
        let rounds = book.rounds.iter().count();
        match left {
            None if rounds == 1 => {
                gathered.net.cut_off(&away);
                left = Some(rounds);
            }
            Some(before) if rounds == before + 2 => gathered.net.cut_off(&[]),
            _ => {}
        }
        if !moved && !gathered.wait_until(next) {
            break;
        }
    }
    gathered.nothing_is_left();
    let book = gathered.book().await;
    let failed = book.rounds.iter().filter(|r| r.state == RoundState::Failed).count();
    assert_eq!(failed, 2, "{}", gathered.told());
    let outcome = gathered.outcome().await;
    assert_eq!((outcome.state, outcome.model), ("serving", expected.model), "{}", gathered.told());
    assert_eq!((&outcome.donors, &outcome.owed), (&expected.donors, &expected.owed));
}
