//! A founder that hands over to its members, and what it does then.

use histone_contracts::book::{Powers, Role};
use histone_contracts::{manager_roles, roles};
use histone_ledger::governance::{Action, CarriedOut, ProposalState, Support};
use histone_node::daemon::{HAND_OVER, HandOver};
use histone_node::home::Answers;
use histone_node::store::{Answer, WishState};
use histone_protocol::B256;

use super::gathered::Gathered;
use super::small;

const DAY: u64 = 86_400;

fn wish(gathered: &mut Gathered, asked: HandOver) -> u64 {
    gathered.daemons[0].wish(HAND_OVER, &asked, gathered.now).unwrap()
}

fn ended(gathered: &Gathered, wish: u64) -> WishState {
    gathered.daemons[0].node.store.get_wish(wish).unwrap().unwrap().state
}

fn pass(gathered: &mut Gathered, seconds: u64) {
    gathered.now += seconds;
    gathered.clock.set(gathered.now);
}

#[tokio::test]
async fn a_founder_hands_over_and_decides_nothing_any_more() {
    let mut gathered = Gathered::apart(small::study(), 1).await;
    // Nobody is there who could decide.
    let early = wish(&mut gathered, HandOver { anyway: true, pauser: None });
    gathered.turn(0).await.unwrap();
    let why = ended(&gathered, early);
    assert!(matches!(&why, WishState::Failed(why) if why.contains("the network has 0 member(s)")), "{why:?}");
    // Members are there, and no programs.
    for place in 0..gathered.daemons.len() {
        gathered.turn(place).await.unwrap();
    }
    gathered.turn(0).await.unwrap();
    let early = wish(&mut gathered, HandOver::default());
    gathered.turn(0).await.unwrap();
    let why = ended(&gathered, early);
    assert!(
        matches!(&why, WishState::Failed(why) if why.contains("no validation, no training, no query program is allowed yet")),
        "{why:?}"
    );
    assert!(
        gathered
            .book()
            .await
            .holders(manager_roles::ADMIN)
            .contains(&gathered.daemons[0].node.party.account())
    );

    gathered.run().await;
    let pauser = gathered.daemon_of("auditor").node.party.account();
    let late = wish(&mut gathered, HandOver { pauser: Some(pauser), anyway: false });
    gathered.run().await;
    assert!(matches!(ended(&gathered, late), WishState::Done(_)), "{}", gathered.told());
    let book = gathered.ledger.book(&Powers::CONTRACTS).await.unwrap();
    assert_eq!(book.holders(manager_roles::ADMIN), [gathered.ledger.deployment().timelock]);
    assert_eq!(book.holders(manager_roles::PAUSER), [pauser]);
    assert!(book.powers().handed_over(gathered.now));
    assert_eq!(book.powers().others(gathered.now), [""; 0]);
    // The same again is done.
    let again = wish(&mut gathered, HandOver::default());
    gathered.run().await;
    assert!(matches!(ended(&gathered, again), WishState::Done(_)));
    gathered.nothing_is_left();

    // Whoever comes now is told how members admit.
    let place = gathered.newcomer("east", roles::OWNER).await;
    gathered.run().await;
    let east = gathered.daemons[place].node.party.account();
    let told = gathered.told();
    assert!(
        told.contains("the members decide by vote who is admitted")
            && told.contains(&format!("--add-member {east} --roles owner")),
        "{told}"
    );
    assert!(gathered.book().await.members.get(&east).is_none());
    gathered.nothing_is_left();

    // They do, and the founder's node sends what a member needs.
    let read = gathered.daemons[place].node.profile().unwrap();
    let profile = gathered.daemons[0].node.world.blobs.put(&read.to_bytes()).unwrap();
    let (read, _) = read.open().unwrap();
    let action = Action::AddMember {
        account: east,
        roles: vec![Role::Owner],
        profile,
        seal_key: B256::from(read.seal_key.0),
    };
    let keys: Vec<_> = gathered.daemons[1..place]
        .iter()
        .filter(|d| d.node.roles != 0)
        .map(|d| d.node.party.key.clone())
        .collect();
    let ledger = gathered.ledger.clone();
    let number = ledger.propose(&keys[0], &[action], "east").await.unwrap();
    pass(&mut gathered, DAY + 60);
    ledger.tick(&keys[0]).await.unwrap();
    for key in &keys {
        ledger.vote(key, number, Support::For, "").await.unwrap();
    }
    pass(&mut gathered, 7 * DAY);
    ledger.tick(&keys[0]).await.unwrap();
    let mut states = Vec::new();
    for _ in 0..2 {
        let proposal = ledger.proposals().await.unwrap().into_iter().find(|p| p.number == number).unwrap();
        states.push(proposal.state);
        let carried = ledger.carry_out(&keys[0], &proposal).await.unwrap();
        if carried == CarriedOut::Executed {
            break;
        }
        pass(&mut gathered, 2 * DAY + 60);
        ledger.tick(&keys[0]).await.unwrap();
    }
    assert_eq!(states, [ProposalState::Succeeded, ProposalState::Queued]);
    for _ in 0..4 {
        for place in 0..gathered.daemons.len() {
            gathered.turn(place).await.unwrap();
        }
    }
    assert!(gathered.book().await.members.get(&east).is_some_and(|m| m.member));
    let store = &gathered.daemons[place].node.store;
    assert!(store.get("device-certificate").unwrap().is_some(), "{}", gathered.told());
    assert!(store.notes(0, 100).unwrap().iter().any(|n| n.text == "admitted"));
}

/// Whoever was declined asks again, by the command that it has asked with, and the founder decides anew; asking twice without a decision
/// between is asking once.
#[tokio::test]
async fn a_declined_party_asks_again() {
    let mut gathered = Gathered::apart(small::study(), 1).await;
    gathered.run().await;
    gathered.daemons[0].node.answers = Answers::Ask;
    let place = gathered.newcomer("east", roles::OWNER).await;
    for (number, yes) in [(1, false), (2, true)] {
        gathered.run().await;
        let store = gathered.daemons[0].node.store.clone();
        let open = store.questions(true).unwrap();
        assert_eq!(
            (open.len(), open[0].question.kind.as_str()),
            (1, "admit"),
            "{number}: {}",
            gathered.told()
        );
        let answer = Answer { yes, because: "not the account that we were told".into(), by: "Dr. F.".into() };
        store.answer(open[0].number, &answer, gathered.now).unwrap();
        gathered.run().await;
        let node = &gathered.daemons[place].node;
        let member = gathered.book().await.members.get(&node.party.account()).is_some_and(|m| m.member);
        assert_eq!(member, yes, "{}", gathered.told());
        if !yes {
            let founder = gathered.daemons[0].node.profile().unwrap();
            for _ in 0..2 {
                let (daemon, now) = (&gathered.daemons[place], gathered.now);
                daemon.join(&founder, 0, now).await.unwrap();
            }
        }
    }
    gathered.nothing_is_left();
}
