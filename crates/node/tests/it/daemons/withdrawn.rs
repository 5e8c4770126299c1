//! Owners that take their data back by a wish.

use histone_contracts::book::{DatasetState, RoundState};
use histone_node::daemon::{WITHDRAW, Withdraw, Withdrawn};
use histone_node::store::WishState;
use histone_protocol::B256;

use super::gathered::Gathered;
use super::small;

fn wish(gathered: &mut Gathered, name: &str, dataset: B256) -> u64 {
    let now = gathered.now;
    gathered.daemon_of(name).wish(WITHDRAW, &Withdraw { dataset }, now).unwrap()
}

fn ended(gathered: &mut Gathered, name: &str, wish: u64) -> WishState {
    gathered.daemon_of(name).node.store.get_wish(wish).unwrap().unwrap().state
}

fn said(gathered: &mut Gathered, name: &str, wish: u64) -> Withdrawn {
    match ended(gathered, name, wish) {
        WishState::Done(outcome) => serde_json::from_value(outcome).unwrap(),
        other => panic!("{other:?}: {}", gathered.told()),
    }
}

/// After the first sum is open, in processes that live on and in ones that end after each turn: the others go on without it, and its
/// node owes nothing more.
#[tokio::test]
async fn an_owner_withdraws_while_a_model_trains() {
    for (sealed, again) in [(false, false), (false, true), (true, true)] {
        let study = if sealed { small::sealed_study() } else { small::study() };
        let mut gathered = Gathered::apart(study, 1).await;
        gathered.again = again;
        let west = gathered.daemon_of("west").node.party.account();
        let mut wished = None;
        gathered
            .run_with(async |gathered, _| {
                let book = gathered.book().await;
                if wished.is_some() || !book.rounds.iter().any(|r| r.state == RoundState::Final) {
                    return;
                }
                let dataset = book.datasets.iter().find(|d| d.owner == west).unwrap().id;
                wished = Some((dataset, wish(gathered, "west", dataset)));
            })
            .await;
        let (dataset, number) = wished.unwrap();
        gathered.nothing_is_left();
        let book = gathered.book().await;
        assert_eq!(book.datasets.get(&dataset).unwrap().state, DatasetState::Withdrawn);
        let model = book.models.iter().next().unwrap();
        assert_eq!(model.state.word(), "serving", "{sealed} {again}: {}", gathered.told());
        assert!(model.donors.iter().find(|d| d.dataset == dataset).unwrap().use_ended);
        let last = book.rounds.iter().rfind(|r| r.state == RoundState::Final).unwrap();
        assert_eq!(last.survivors.as_ref().unwrap().len(), 2, "{}", gathered.told());
        let outcome = said(&mut gathered, "west", number);
        assert_eq!((outcome.dataset, &outcome.models[..]), (dataset, &[1][..]));
        assert!(outcome.said.contains("1 opened sum(s) with it stay in the model"), "{}", outcome.said);
        assert_eq!(outcome.said.contains("Opened sums are public"), !sealed, "{}", outcome.said);
        // The same again says the same, and sends nothing.
        let blocks = gathered.ledger.time().await.unwrap();
        let number = wish(&mut gathered, "west", dataset);
        gathered.run().await;
        assert_eq!(said(&mut gathered, "west", number), outcome);
        assert_eq!(gathered.ledger.time().await.unwrap(), blocks);
    }
}

/// What was only added is not registered any more, and data of others is left alone.
#[tokio::test]
async fn what_is_no_dataset_of_the_node_is_not_withdrawn() {
    let mut gathered = Gathered::apart(small::study(), 1).await;
    let (table, policy) = {
        let node = &gathered.daemon_of("west").node;
        let added = histone_node::owner::Owner::added(&node.party).unwrap();
        let owner = histone_node::owner::Owner::reopen(node.party.clone(), added[0]).unwrap();
        (owner.dataset(), owner.policy().clone())
    };
    let number = wish(&mut gathered, "west", table);
    gathered.run().await;
    let book = gathered.book().await;
    assert_eq!((book.datasets.len(), book.datasets.get(&table).is_none()), (2, true), "{}", gathered.told());
    assert!(said(&mut gathered, "west", number).said.contains("will not be unless it is added again"));
    let of_others = book.datasets.iter().next().unwrap().id;
    let numbers = [of_others, B256::repeat_byte(7)].map(|dataset| wish(&mut gathered, "west", dataset));
    gathered.run().await;
    for (number, why) in
        numbers.into_iter().zip(["only its owner takes it back", "neither the ledger nor this node"])
    {
        let state = ended(&mut gathered, "west", number);
        assert!(matches!(&state, WishState::Failed(said) if said.contains(why)), "{state:?}");
    }
    assert!(gathered.book().await.datasets.iter().all(|d| d.state == DatasetState::Registered));
    // It is added once more, and wanted again.
    let participant = gathered.study.participants.iter().find(|p| p.name == "west").unwrap();
    let again = participant.table.clone();
    assert_eq!(gathered.daemon_of("west").add_data(again, policy).unwrap(), table);
    gathered.run().await;
    assert!(gathered.book().await.datasets.get(&table).is_some(), "{}", gathered.told());
    gathered.nothing_is_left();
}
