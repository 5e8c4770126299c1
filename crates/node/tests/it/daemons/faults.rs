//! Networks that lose, repeat, reorder and delay, that cannot be reached, and that forget: a study ends as over a good one.

use std::ops::Range;
use std::sync::atomic::Ordering;

use histone_contracts::book::{ModelState, RoundState};
use histone_contracts::roles;
use histone_network::Faults;

use super::gathered::{Gathered, START};
use super::small;

const BAD: Faults =
    Faults { loss: 0.2, duplicate: 0.2, reorder: 0.3, delay: 30, failure: 0.05, lost_answer: 0.05 };

async fn a_bad_network(is_sealed: bool, seeds: Range<u64>) {
    let expected = &small::undisturbed(is_sealed).await.outcome;
    for seed in seeds {
        let study = if is_sealed { small::sealed_study() } else { small::study() };
        let mut gathered = Gathered::apart_over(study, 1, seed).await;
        gathered.net.set_faults(BAD);
        gathered.run().await;
        gathered.nothing_is_left();
        gathered.outcome().await.is(expected, is_sealed, &format!("seed {seed}"));
    }
}

#[tokio::test]
async fn a_sealed_study_over_a_bad_network() {
    a_bad_network(true, 1..2).await;
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn soak_a_bad_network() {
    a_bad_network(false, 1..6).await;
    a_bad_network(true, 2..6).await;
}

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

/// Blobs cannot be had at the two moments at which people are judged by them: the trainer looks at the donors before it begins, and
/// members look for the updates of a round. What cannot be asked for now is not missing.
#[tokio::test]
async fn nobody_is_struck_for_what_could_not_be_fetched() {
    let expected = &small::undisturbed(false).await.outcome;
    let mut gathered = Gathered::apart(small::study(), 1).await;
    let mut without = [0; 2];
    gathered
        .run_with(async |gathered, _| {
            let book = gathered.book().await;
            let donors = book.models.iter().any(|m| m.state == ModelState::Recruiting && m.donors.len() == 3);
            let closed = book.rounds.iter().any(|r| r.state == RoundState::Closed && r.partials.is_empty());
            for seat in &gathered.seats {
                let of = [donors && seat.name == "institute", closed && seat.roles == roles::COMMITTEE];
                let refused = (0..2).any(|judge| {
                    let now = of[judge] && without[judge] < 40;
                    without[judge] += usize::from(now);
                    now
                });
                seat.life.no_blobs.store(refused, Ordering::Relaxed);
            }
        })
        .await;
    assert_eq!(without, [40; 2]);
    gathered.nothing_is_left();
    gathered.outcome().await.is(expected, false, "nobody was judged");
}

/// Letters come before the blocks that they are about: they wait.
#[tokio::test]
async fn copies_of_the_ledger_that_lag() {
    let expected = &small::undisturbed(true).await.outcome;
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    gathered.lag = 5;
    gathered.run().await;
    gathered.nothing_is_left();
    gathered.outcome().await.is(expected, true, "copies that lag");
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

/// The hub is away for longer than anybody has for a round: it cannot be asked for anything, and a deadline passes meanwhile. When it is
/// back the round is closed with those who were in time, and the training goes on.
#[tokio::test]
async fn a_hub_that_is_away_while_a_deadline_passes() {
    let expected = &small::undisturbed(false).await.outcome;
    let mut gathered = Gathered::apart(small::study(), 1).await;
    let (mut away, mut back) = (None, false);
    gathered
        .run_with(async |gathered, place| {
            let book = gathered.book().await;
            match away {
                // One owner has sent its update.
                None if book
                    .rounds
                    .iter()
                    .any(|round| round.state == RoundState::Open && round.anchors.len() == 1) =>
                {
                    gathered.net.set_down(true);
                    away = Some((gathered.now, book.head.block));
                }
                Some((_, block)) if !back => {
                    assert_eq!(book.head.block, block, "nobody gets through");
                    assert!(place > 0 || gathered.now < START + 40_000, "{}", gathered.told());
                }
                _ => {}
            }
            // The network has an hour for a round.
            if away.is_some_and(|(since, _)| gathered.now > since + 3_700) && !back {
                gathered.net.set_down(false);
                back = true;
            }
        })
        .await;
    assert!(back);
    gathered.nothing_is_left();
    let book = gathered.book().await;
    let failed = book.rounds.iter().filter(|round| round.state == RoundState::Failed).count();
    assert_eq!(failed, 1, "{}", gathered.told());
    let outcome = gathered.outcome().await;
    assert_eq!((outcome.state, outcome.model), ("serving", expected.model), "{}", gathered.told());
    assert_eq!((&outcome.donors, &outcome.owed), (&expected.donors, &expected.owed));
}
