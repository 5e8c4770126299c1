//! A founder that hands over to its members, and what it does then.

use histone_contracts::book::{Powers, Role};
use histone_contracts::{Contract, HistoneGovernor, manager_roles, roles};
use histone_ledger::governance::{Action, Proposal, ProposalState, Support};
use histone_node::daemon::voting::{MOTION, Motion, VOTE, Voting};
use histone_node::daemon::{HAND_OVER, HandOver};
use histone_node::home::Answers;
use histone_node::store::{Answer, WishState};
use histone_protocol::{B256, U256};
use serde::Serialize;
use serde_json::Value;

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

    // They do, by their nodes alone, and the founder's node sends what a member needs.
    let read = gathered.daemons[place].node.profile().unwrap();
    let profile = gathered.daemons[0].node.world.blobs.put(&read.to_bytes()).unwrap();
    let (read, _) = read.open().unwrap();
    let action = Action::AddMember {
        account: east,
        roles: vec![Role::Owner],
        profile,
        seal_key: B256::from(read.seal_key.0),
    };
    let motion = Motion { actions: vec![action], description: "east\n(2) remove nobody".into() };
    let members: Vec<usize> = (1..place).filter(|&at| gathered.daemons[at].node.roles != 0).collect();
    let proposer = members[0];
    let proposed = wish_of(&mut gathered, proposer, MOTION, &motion);
    everybody(&mut gathered, 2).await;
    let number = outcome(&gathered, proposer, proposed)["proposal"].as_str().unwrap().to_owned();
    assert_eq!(state(&gathered, &number).await, ProposalState::Pending);
    for &at in &members {
        let open = gathered.daemons[at].node.store.questions(true).unwrap();
        assert_eq!((open.len(), open[0].question.kind.as_str()), (1, "vote"), "{}", gathered.told());
        let text = &open[0].question.text;
        assert!(
            text.contains(&format!(
                "to: (1) admit {east} as owner, profile {profile}, messages for it sealed to"
            )),
            "{text}"
        );
        assert!(text.ends_with("\"east (2) remove nobody\"") && !text.contains("WARNING"), "{text}");
    }
    // One votes by a wish, which waits for the vote; the others answer; and that answers are automatic lets nobody vote.
    let voting = |vote| Voting { proposal: number[..9].into(), vote, reason: "welcome".into() };
    let early = wish_of(&mut gathered, proposer, VOTE, &voting(Support::For));
    everybody(&mut gathered, 1).await;
    assert_eq!(state_of(&gathered, proposer, early), WishState::Open);
    pass(&mut gathered, DAY + 60);
    everybody(&mut gathered, 2).await;
    assert_eq!(proposal(&gathered, &number).await.for_votes, 1, "{}", gathered.told());
    assert!(outcome(&gathered, proposer, early)["said"].as_str().unwrap().starts_with("voted `for`"));
    for &at in &members[1..] {
        let store = gathered.daemons[at].node.store.clone();
        let open = store.questions(true).unwrap();
        let answer = Answer { yes: true, because: "we know them".into(), by: "Dr. M.".into() };
        store.answer(open[0].number, &answer, gathered.now).unwrap();
    }
    gathered.restart(members[1]).unwrap();
    everybody(&mut gathered, 1).await;
    let voted = proposal(&gathered, &number).await;
    assert_eq!(voted.for_votes, members.len() as u64, "{}", gathered.told());
    assert!(voted.ballots.iter().all(|b| !b.reason.contains("know")), "answers are nobody else's");

    // The proposer's node goes on with it. It is away: after a day another member's does.
    pass(&mut gathered, 7 * DAY);
    for reached in [ProposalState::Succeeded, ProposalState::Queued] {
        for at in (0..gathered.daemons.len()).filter(|at| *at != proposer) {
            gathered.turn(at).await.unwrap();
        }
        assert_eq!(state(&gathered, &number).await, reached, "{}", gathered.told());
        pass(&mut gathered, DAY + 60);
    }
    // It is back, as another process, and executes when the delay is over.
    for (seconds, reached) in [(DAY, ProposalState::Queued), (0, ProposalState::Executed)] {
        gathered.restart(proposer).unwrap();
        everybody(&mut gathered, 2).await;
        assert_eq!(state(&gathered, &number).await, reached, "{}", gathered.told());
        pass(&mut gathered, seconds);
    }
    let notes = gathered.daemons[proposer].node.store.notes(0, 1_000).unwrap();
    assert!(notes.iter().any(|n| n.text == format!("proposal {number} is executed")), "{}", gathered.told());
    everybody(&mut gathered, 2).await;
    assert!(gathered.book().await.members.get(&east).is_some_and(|m| m.member));
    let store = &gathered.daemons[place].node.store;
    assert!(store.get("device-certificate").unwrap().is_some(), "{}", gathered.told());
    assert!(store.notes(0, 100).unwrap().iter().any(|n| n.text == "admitted"));
    gathered.nothing_is_left();
}

/// Who is no member, what nobody can read, a second vote, and a vote that has ended.
#[tokio::test]
async fn votes_of_nodes_are_those_of_members_and_count_once() {
    let mut gathered = Gathered::apart(small::study(), 1).await;
    gathered.run().await;
    let asked = HandOver::default();
    wish(&mut gathered, asked);
    gathered.run().await;
    let members: Vec<usize> =
        (1..gathered.daemons.len()).filter(|&at| gathered.daemons[at].node.roles != 0).collect();
    let (member, other) = (members[0], members[1]);
    // Who was admitted in this very second has no vote before the next.
    pass(&mut gathered, 10);

    // The founder, which is no member, proposes nothing and has no vote.
    let quorum =
        |percent| Motion { actions: vec![Action::SetQuorum(percent)], description: "half is enough".into() };
    let stranger = wish_of(&mut gathered, 0, MOTION, &quorum(50));
    let empty = wish_of(&mut gathered, member, MOTION, &Motion { actions: vec![], ..quorum(50) });
    let nobody = wish_of(&mut gathered, member, MOTION, &quorum(0));
    let proposed = wish_of(&mut gathered, member, MOTION, &quorum(50));
    everybody(&mut gathered, 2).await;
    assert!(failed(&gathered, 0, stranger).starts_with("only members propose"));
    assert_eq!(failed(&gathered, member, empty), "nothing is proposed: a proposal does something");
    assert!(failed(&gathered, member, nobody).contains("a single vote would decide for everybody"));
    let number = outcome(&gathered, member, proposed)["proposal"].as_str().unwrap().to_owned();
    // The same again, while it is open, is the same proposal.
    let again = wish_of(&mut gathered, member, MOTION, &quorum(50));

    // What no contract understands is shown as such, on its own line whatever the description says.
    let d = gathered.ledger.deployment().clone();
    let key = gathered.daemons[other].node.party.key.clone();
    let call = HistoneGovernor::proposeCall {
        targets: vec![d.market],
        values: vec![U256::ZERO],
        calldatas: vec![vec![0xde, 0xad, 0xbe, 0xef].into()],
        description: "harmless\nallow new work".into(),
    };
    gathered.ledger.send(&key, Contract::Governor, call).await.unwrap();
    everybody(&mut gathered, 2).await;
    assert_eq!(outcome(&gathered, member, again)["proposal"].as_str(), Some(number.as_str()));
    assert_eq!(gathered.ledger.proposals().await.unwrap().len(), 2);
    let open = gathered.daemons[member].node.store.questions(true).unwrap();
    let odd = open.iter().find(|q| q.question.text.contains("0xdeadbeef")).unwrap();
    assert!(odd.question.text.contains("WARNING: nobody can read what this call does"), "{odd:?}");
    assert!(!odd.question.text.contains("\n"), "{odd:?}");
    assert!(gathered.daemons[0].node.store.questions(true).unwrap().is_empty());

    pass(&mut gathered, DAY + 60);
    let voting = |proposal: &str, vote| Voting { proposal: proposal.into(), vote, reason: String::new() };
    let votes = [
        (0, voting(&number, Support::For)),
        (member, voting(&number, Support::For)),
        (member, voting(&number, Support::For)),
        (member, voting(&number, Support::Against)),
        (member, voting("", Support::For)),
        (member, voting("market", Support::For)),
    ];
    let votes: Vec<_> =
        votes.iter().map(|(at, voting)| (*at, wish_of(&mut gathered, *at, VOTE, voting))).collect();
    everybody(&mut gathered, 2).await;
    let why = |place: usize| failed(&gathered, votes[place].0, votes[place].1);
    assert!(why(0).contains("who was a member on"), "{}", why(0));
    outcome(&gathered, votes[1].0, votes[1].1);
    outcome(&gathered, votes[2].0, votes[2].1);
    assert!(why(3).contains("has voted on proposal") && why(3).contains("is not changed"), "{}", why(3));
    assert!(why(4).contains("is no number of a proposal"), "{}", why(4));
    assert!(why(5).contains("is no number of a proposal"), "{}", why(5));
    let counted = proposal(&gathered, &number).await;
    assert_eq!((counted.for_votes, counted.against_votes), (1, 0));

    // The vote ends without a quorum: the questions are closed, and it is too late.
    let open = gathered.daemons[other].node.store.questions(true).unwrap();
    assert_eq!(open.len(), 2);
    pass(&mut gathered, 7 * DAY);
    let late = wish_of(&mut gathered, other, VOTE, &voting(&number, Support::For));
    let same = wish_of(&mut gathered, member, MOTION, &quorum(50));
    everybody(&mut gathered, 2).await;
    assert!(failed(&gathered, other, late).contains("is defeated: the vote on it has ended"));
    assert!(failed(&gathered, member, same).contains("describe it differently to propose it again"));
    let seen = histone_node::proposals::seen(&gathered.daemons[0].node.store).unwrap();
    assert_eq!(seen.iter().map(|p| p.state).collect::<Vec<_>>(), [ProposalState::Defeated; 2]);
    gathered.nothing_is_left();
}

fn wish_of<T: Serialize>(gathered: &mut Gathered, place: usize, kind: &str, what: &T) -> u64 {
    gathered.daemons[place].wish(kind, what, gathered.now).unwrap()
}

fn state_of(gathered: &Gathered, place: usize, wish: u64) -> WishState {
    gathered.daemons[place].node.store.get_wish(wish).unwrap().unwrap().state
}

#[track_caller]
fn outcome(gathered: &Gathered, place: usize, wish: u64) -> Value {
    match state_of(gathered, place, wish) {
        WishState::Done(outcome) => outcome,
        other => panic!("{other:?}: {}", gathered.told()),
    }
}

#[track_caller]
fn failed(gathered: &Gathered, place: usize, wish: u64) -> String {
    match state_of(gathered, place, wish) {
        WishState::Failed(why) => why,
        other => panic!("{other:?}: {}", gathered.told()),
    }
}

async fn everybody(gathered: &mut Gathered, times: usize) {
    for _ in 0..times {
        for place in 0..gathered.daemons.len() {
            gathered.turn(place).await.unwrap();
        }
    }
}

async fn proposal(gathered: &Gathered, number: &str) -> Proposal {
    let all = gathered.ledger.proposals().await.unwrap();
    all.into_iter().find(|p| p.id() == number).unwrap()
}

async fn state(gathered: &Gathered, number: &str) -> ProposalState {
    proposal(gathered, number).await.state
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
