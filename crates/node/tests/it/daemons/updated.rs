//! Owners that replace a dataset by another version of it.

use histone_contracts::book::ModelState;
use histone_contracts::{Contract, TestToken};
use histone_genome::table::Table;
use histone_node::daemon::Proposal;
use histone_node::owner::Owner;
use histone_node::store::WishState;
use histone_protocol::{B256, U256};

use super::gathered::Gathered;
use super::small;

/// The rows of an owner in another order, without so many of the last ones.
fn version(gathered: &Gathered, name: &str, without: usize) -> Table {
    let participant = gathered.study.participants.iter().find(|p| p.name == name).unwrap();
    let rows = participant.table.rows();
    let order: Vec<usize> = (0..rows).map(|i| i * 7 % rows).collect();
    participant.table.subset(&order[without..]).unwrap()
}

fn ended(gathered: &mut Gathered, name: &str, wish: u64) -> WishState {
    gathered.daemon_of(name).node.store.get_wish(wish).unwrap().unwrap().state
}

/// A version that comes while a model trains: the training goes on with the one that was donated, also where the process ends after each
/// turn, and the next model is asked with the new one, which the terms do not allow beside the old one.
#[tokio::test]
async fn a_dataset_is_updated_while_a_model_trains() {
    for again in [false, true] {
        let mut gathered = Gathered::apart(small::study(), 1).await;
        gathered.again = again;
        let account = gathered.daemon_of("west").node.party.account();
        let mut wished = None;
        gathered
            .run_with(async |gathered, _| {
                let book = gathered.book().await;
                if wished.is_none() && book.models.iter().any(|m| m.state == ModelState::Training) {
                    let dataset = book.datasets.iter().find(|d| d.owner == account).unwrap().id;
                    let (table, now) = (version(gathered, "west", 1), gathered.now);
                    let wish = gathered.daemon_of("west").update_data(dataset, &table, now).unwrap();
                    wished = Some((dataset, wish));
                }
            })
            .await;
        gathered.nothing_is_left();
        let (dataset, wish) = wished.unwrap();
        let book = gathered.book().await;
        let model = book.models.iter().next().unwrap();
        assert_eq!(model.state.word(), "serving", "{}", gathered.told());
        let (donor, on_ledger) = (
            model.donors.iter().find(|d| d.dataset == dataset).unwrap(),
            book.datasets.get(&dataset).unwrap(),
        );
        assert!(!donor.use_ended && donor.root != on_ledger.root);
        assert_eq!((on_ledger.version, on_ledger.rows), (2, 23));
        assert!(matches!(ended(&mut gathered, "west", wish), WishState::Done(_)), "{}", gathered.told());
        let party = gathered.daemon_of("west").node.party.clone();
        assert_eq!(Owner::reopen(party, dataset).unwrap().root(), on_ledger.root);

        // The same again is the version of now, and another one is not validated for a table that is not there.
        let (table, now) = (version(&gathered, "west", 1), gathered.now);
        let same = gathered.daemon_of("west").update_data(dataset, &table, now).unwrap();
        let unknown =
            serde_json::json!({ "dataset": dataset, "version": { "name": B256::ZERO, "root": B256::ZERO } });
        let unknown = gathered.daemon_of("west").wish("update", &unknown, now).unwrap();
        gathered.run().await;
        assert!(matches!(ended(&mut gathered, "west", same), WishState::Done(_)));
        let failed = ended(&mut gathered, "west", unknown);
        assert!(
            matches!(&failed, WishState::Failed(why) if why.contains("does not lie in this home")),
            "{failed:?}"
        );

        // Another model: the terms allow one version in sums.
        let trainer = gathered.daemon_of("institute");
        let to = trainer.node.party.account();
        let proposed =
            trainer.node.store.wishes(false).unwrap().into_iter().find(|w| w.kind == "propose").unwrap();
        let mut proposal: Proposal = serde_json::from_value(proposed.what).unwrap();
        proposal.paper.name = "once more".into();
        // It is not to begin: members would not lock the same computation over others.
        proposal.min_donors = 3;
        trainer.wish("propose", &proposal, now).unwrap();
        let founder = gathered.daemons[0].node.party.key.clone();
        let mint = TestToken::mintCall { to, amount: U256::from(10_000_000) };
        gathered.ledger.send(&founder, Contract::Token, mint).await.unwrap();
        gathered.run().await;
        gathered.nothing_is_left();
        let book = gathered.book().await;
        let second = book.models.iter().nth(1).unwrap();
        assert_eq!((second.state.word(), second.donors.len()), ("recruiting", 2), "{}", gathered.told());
        assert!(gathered.told().contains("declined: the dataset was answered for in another version"));
    }
}

/// What an enclave or the ledger does not take ends the wish, and the dataset stays as it was.
#[tokio::test]
async fn a_version_that_is_refused_changes_nothing() {
    let mut gathered = Gathered::apart(small::study(), 1).await;
    gathered.run().await;
    let book = gathered.book().await;
    let account = gathered.daemon_of("west").node.party.account();
    let before = book.datasets.iter().find(|d| d.owner == account).unwrap().clone();
    let (now, first) = (gathered.now, version(&gathered, "west", 2));
    let original = gathered.study.participants.iter().find(|p| p.name == "west").unwrap().table.clone();
    // A new version, and then back to the old one, which the ledger takes for a dataset of its own.
    let new = gathered.daemon_of("west").update_data(before.id, &first, now).unwrap();
    let back = gathered.daemon_of("west").update_data(before.id, &original, now).unwrap();
    gathered.run().await;
    assert!(matches!(ended(&mut gathered, "west", new), WishState::Done(_)), "{}", gathered.told());
    let back = ended(&mut gathered, "west", back);
    assert!(
        matches!(&back, WishState::Failed(why) if why.contains("does not go back to an earlier version")),
        "{back:?}"
    );
    let after = gathered.book().await.datasets.get(&before.id).unwrap().clone();
    assert_eq!((after.version, after.rows), (2, 22));
    // One of somebody else, and one that was withdrawn.
    let other = book.datasets.iter().find(|d| d.owner != account).unwrap().id;
    let of_other = gathered.daemon_of("west").update_data(other, &first, now).unwrap();
    let withdraw = serde_json::json!({ "dataset": before.id });
    gathered.daemon_of("west").wish("withdraw", &withdraw, now).unwrap();
    gathered.run().await;
    let late = gathered.daemon_of("west").update_data(before.id, &original, now).unwrap();
    gathered.run().await;
    for (wish, part) in
        [(of_other, "this node has no dataset"), (late, "is withdrawn, and has no new versions")]
    {
        let state = ended(&mut gathered, "west", wish);
        assert!(matches!(&state, WishState::Failed(why) if why.contains(part)), "{state:?}");
    }
    gathered.nothing_is_left();
}
