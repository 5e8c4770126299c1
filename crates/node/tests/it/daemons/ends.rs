//! Processes that end at one moment, and come back when the others have gone on as far as they can.

use histone_contracts::book::{Round, RoundState};
use histone_contracts::{Contract, Datasets};

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

/// An owner takes its data back when it has answered a round that is closed by now: the others seal the sum no more to its enclave, which owes nothing then.
#[tokio::test]
async fn an_owner_withdraws_in_a_sealed_round() {
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    let west = gathered.daemon_of("west").node.party.clone();
    let mut withdrawn = false;
    gathered
        .run_with(async |gathered, _| {
            let book = gathered.book().await;
            let Some(model) = book.models.iter().next() else { return };
            let Some(dataset) = book.datasets.iter().find(|d| d.owner == west.account()) else { return };
            let dataset = dataset.id;
            let closed = |r: &Round| r.round == 2 && r.state == RoundState::Closed && r.anchors.len() == 3;
            if !withdrawn && model.donors.len() == 3 && book.rounds.iter().any(closed) {
                withdrawn = true;
                let call = Datasets::withdrawCall { id: dataset };
                gathered.ledger.send(&west.key, Contract::Datasets, call).await.unwrap();
            }
        })
        .await;
    assert!(withdrawn);
    gathered.nothing_is_left();
    let book = gathered.book().await;
    let model = book.models.iter().next().unwrap();
    assert_eq!(model.state.word(), "serving", "{}", gathered.told());
    let second = book.rounds.iter().find(|r| r.round == 2).unwrap();
    assert_eq!((second.state, second.survivors.as_ref().unwrap().len()), (RoundState::Final, 2));
}
