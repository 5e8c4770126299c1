//! Processes that end at one moment, and come back when the others have gone on as far as they can.

use super::gathered::Gathered;
use super::small;

/// The founder gives tokens, ends before it hears of it, and comes back when whoever got them has spent them all.
#[tokio::test]
async fn tokens_are_given_once() {
    let expected = &small::undisturbed(false).await.outcome;
    let mut gathered = Gathered::apart(small::study(), 1).await;
    for name in ["institute", "end-user"] {
        let account = gathered.daemon_of(name).node.party.account();
        // The call of `mint`.
        gathered.seats[0].life.ends_with_request(&format!("40c10f19{:0>64}", format!("{account:x}")));
        let mut passes = 0..20;
        while !gathered.seats[0].life.is_over() {
            assert!(passes.next().is_some(), "{}", gathered.told());
            for place in 0..gathered.daemons.len() {
                let turn = gathered.turn(place).await;
                assert!(turn.is_ok() || gathered.seats[place].life.is_over());
            }
        }
        gathered.run_without(0).await;
        gathered.restart(0).unwrap();
    }
    gathered.run().await;
    gathered.nothing_is_left();
    gathered.outcome().await.is(expected, false, "after the founder has ended");
}
