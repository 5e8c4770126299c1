//! A trainer whose rounds come to nothing, and one that waits for owners who say nothing.

use histone_contracts::book::{ModelState, RoundState};
use histone_contracts::{Contract, TestToken};
use histone_node::daemon::Proposal;
use histone_node::home::Answers;
use histone_node::store::Answer;
use histone_protocol::U256;

use super::gathered::Gathered;
use super::small;

const TRAINER: &str = "institute";

fn place(gathered: &Gathered, name: &str) -> usize {
    gathered.seats.iter().position(|seat| seat.name == name).unwrap()
}

/// Until nothing is left to do for those who are not away. Time passes.
async fn go_on_without(gathered: &mut Gathered, away: &[usize]) {
    loop {
        let (mut moved, mut next) = (false, None::<u64>);
        for place in (0..gathered.daemons.len()).filter(|place| !away.contains(place)) {
            let turn = gathered.turn(place).await.unwrap();
            moved |= turn.moved();
            next = turn.next.into_iter().chain(next).min();
        }
        let next = next.into_iter().chain(gathered.net.next_arrival()).min();
        if !moved && !gathered.wait_until(next) {
            return;
        }
    }
}

/// Turns of everybody until a model trains.
async fn until_training(gathered: &mut Gathered) {
    for _ in 0..200 {
        let mut moved = false;
        for place in 0..gathered.daemons.len() {
            moved |= gathered.turn(place).await.unwrap().moved();
            if gathered.book().await.models.iter().any(|m| m.state == ModelState::Training) {
                return;
            }
        }
        if !moved {
            let next = gathered.net.next_arrival();
            gathered.wait_until(next);
        }
    }
    panic!("no model trains: {}", gathered.told());
}

async fn tokens(gathered: &mut Gathered, name: &str) -> U256 {
    let account = gathered.daemon_of(name).node.party.account();
    gathered.ledger.read(Contract::Token, TestToken::balanceOfCall { account }).await.unwrap()
}

/// Two of three owners are silent from the beginning of the training on. The trainer gives up by itself after three rounds, or asks a
/// person, goes on when it is told to, and asks again; the deposit comes back.
#[tokio::test]
async fn rounds_that_fail_again_and_again_end_a_training() {
    for by_itself in [true, false] {
        let mut gathered = Gathered::apart(small::study(), 1).await;
        let away = ["north", "west"].map(|name| place(&gathered, name));
        until_training(&mut gathered).await;
        if !by_itself {
            gathered.daemon_of(TRAINER).node.answers = Answers::Ask;
        }
        go_on_without(&mut gathered, &away).await;
        if !by_itself {
            for (rounds, yes) in [(3, false), (6, true)] {
                let book = gathered.book().await;
                assert_eq!(book.rounds.len(), rounds, "{}", gathered.told());
                assert_eq!(book.models.iter().next().unwrap().state, ModelState::Training);
                let store = gathered.daemon_of(TRAINER).node.store.clone();
                let open = store.questions(true).unwrap();
                assert_eq!((open.len(), open[0].question.kind.as_str()), (1, "give-up"));
                let because = "they are on holiday".to_string();
                let answer = Answer { yes, because, by: "Dr. T.".into() };
                store.answer(open[0].number, &answer, gathered.now).unwrap();
                go_on_without(&mut gathered, &away).await;
            }
        }
        let book = gathered.book().await;
        assert_eq!(book.rounds.len(), if by_itself { 3 } else { 6 }, "{}", gathered.told());
        assert!(book.rounds.iter().all(|r| r.state == RoundState::Failed));
        assert_eq!(book.models.iter().next().unwrap().state, ModelState::Aborted);
        assert!(gathered.told().contains("round(s) in a row came to no sum"));
        // Three times the price of one token was deposited, and nothing was owed.
        assert_eq!(tokens(&mut gathered, TRAINER).await, U256::from(3_000_000));
        // The others come back to a model that is no more.
        gathered.run().await;
        gathered.nothing_is_left();
    }
}

/// Owners take their data back until too few are left for any round.
#[tokio::test]
async fn a_training_without_donors_is_given_up() {
    let mut gathered = Gathered::apart(small::sealed_study(), 1).await;
    let leaving = ["north", "west"].map(|name| gathered.daemon_of(name).node.party.account());
    let mut wished = false;
    gathered
        .run_with(async |gathered, _| {
            let book = gathered.book().await;
            if !wished && book.rounds.iter().any(|r| r.state == RoundState::Final) {
                wished = true;
                for (name, account) in ["north", "west"].iter().zip(leaving) {
                    let dataset = book.datasets.iter().find(|d| d.owner == account).unwrap().id;
                    let (what, now) = (serde_json::json!({ "dataset": dataset }), gathered.now);
                    gathered.daemon_of(name).wish("withdraw", &what, now).unwrap();
                }
            }
        })
        .await;
    let model = gathered.book().await.models.iter().next().unwrap().clone();
    assert_eq!(model.state, ModelState::Aborted, "{}", gathered.told());
    assert!(gathered.told().contains("1 donors are left, and a round needs 2"), "{}", gathered.told());
}

/// An owner who never answers keeps the others no longer than the proposal says, and one without data for a day.
#[tokio::test]
async fn silent_owners_are_waited_for_until_then() {
    for with_data in [true, false] {
        let mut gathered = Gathered::apart(small::study(), 1).await;
        let trainer = gathered.daemon_of(TRAINER).node.store.clone();
        let wish = trainer.wishes(true).unwrap().into_iter().find(|w| w.kind == "propose").unwrap();
        let mut proposal: Proposal = serde_json::from_value(wish.what).unwrap();
        assert_eq!((proposal.failed_rounds, proposal.until), (3, None));
        proposal.until = with_data.then_some(gathered.now + 7_200);
        trainer.wish_failed(wish.number, "for this test", gathered.now).unwrap();
        let now = gathered.now;
        gathered.daemon_of(TRAINER).wish("propose", &proposal, now).unwrap();
        if with_data {
            gathered.daemon_of("west").node.answers = Answers::Ask;
        } else {
            // Its table is lost before it is registered.
            let owner = gathered.daemon_of("west").node.party.clone();
            let dataset = histone_node::owner::Owner::added(&owner).unwrap()[0];
            gathered
                .daemon_of("west")
                .wish("withdraw", &serde_json::json!({ "dataset": dataset }), now)
                .unwrap();
        }
        gathered.run().await;
        let book = gathered.book().await;
        let model = book.models.iter().next().unwrap();
        let trains = |state| matches!(state, ModelState::Trained | ModelState::Serving);
        if with_data {
            assert!(trains(model.state), "{}", gathered.told());
            assert_eq!(model.donors.len(), 2);
            assert!(gathered.now >= proposal.until.unwrap());
        } else {
            assert_eq!(model.state, ModelState::Recruiting, "its data may be on its way");
            gathered.now += 90_000;
            gathered.clock.set(gathered.now);
            for _ in 0..3 {
                for place in 0..gathered.daemons.len() {
                    gathered.turn(place).await.unwrap();
                }
            }
            let state = gathered.book().await.models.iter().next().unwrap().state;
            assert!(trains(state) || state == ModelState::Training, "{}", gathered.told());
        }
    }
}

/// One of three owners takes its data back after a model was made; the same plan is proposed for the two others. Members would never
/// open it, and the trainer hears of that before the first round.
#[tokio::test]
async fn a_training_that_nobody_would_open_is_given_up_before_its_first_round() {
    let mut gathered = Gathered::apart(small::study(), 1).await;
    gathered.run().await;
    let owner = gathered.daemon_of("west").node.party.account();
    let book = gathered.book().await;
    let dataset = book.datasets.iter().find(|d| d.owner == owner).unwrap().id;
    let now = gathered.now;
    gathered.daemon_of("west").wish("withdraw", &serde_json::json!({ "dataset": dataset }), now).unwrap();
    gathered.run().await;
    let trainer = gathered.daemon_of(TRAINER);
    let wishes = trainer.node.store.wishes(false).unwrap();
    let first = wishes.into_iter().find(|wish| wish.kind == "propose").unwrap();
    let mut again: Proposal = serde_json::from_value(first.what).unwrap();
    again.paper.name = "once more".into();
    (again.min_donors, again.until) = (2, Some(now + 60));
    trainer.wish("propose", &again, now).unwrap();
    let to = trainer.node.party.account();
    let founder = gathered.daemons[0].node.party.key.clone();
    let mint = TestToken::mintCall { to, amount: U256::from(10_000_000) };
    gathered.ledger.send(&founder, Contract::Token, mint).await.unwrap();
    gathered.run().await;
    let book = gathered.book().await;
    let second = book.models.get(&2).unwrap();
    let rounds = book.rounds.iter().filter(|round| round.model == 2).count();
    assert_eq!((second.state, rounds), (ModelState::Aborted, 0), "{}", gathered.told());
    assert!(gathered.told().contains("have opened the same for model 1"), "{}", gathered.told());
    gathered.nothing_is_left();
}
