//! Proposals through the client, with the clock moved; and an upgrade, after which work goes on at the successor.

use histone_contracts::Contract::{Directory as DIR, Governor as G, Market as K};
use histone_contracts::book::Role;
use histone_contracts::{Directory, HistoneGovernor, LedgerError, Market};
use histone_ledger::Ledger;
use histone_ledger::governance::{Action, CarriedOut, NotCarriedOut, Proposal, ProposalState, Support};
use histone_protocol::{Address, U256};

use crate::powers::powers;
use crate::suite::{SETTINGS, Suite, hash, key};

async fn shown(s: &Suite, number: U256) -> Proposal {
    let proposals = s.ledger.proposals().await.unwrap();
    proposals.into_iter().find(|p| p.number == number).unwrap()
}

/// Lets the members accept actions, up to their execution; gives the proposal as it is then.
async fn decide(s: &Suite, actions: &[Action], text: &str) -> Proposal {
    let (k, ledger) = (&s.k, &s.ledger);
    let number = ledger.propose(&k.owner, actions, text).await.unwrap();
    assert_eq!(shown(s, number).await.state, ProposalState::Pending);
    s.pass(SETTINGS.voting_delay + 1).await;
    for member in [&k.owner, &k.owner2, &k.trainer, &k.runner] {
        ledger.vote(member, number, Support::For, "").await.unwrap();
    }
    ledger.vote(&k.auditor, number, Support::Against, "not now").await.unwrap();
    s.pass(SETTINGS.voting_period).await;
    let proposal = shown(s, number).await;
    assert_eq!(proposal.state, ProposalState::Succeeded);
    let CarriedOut::Queued { executable_at } = ledger.carry_out(&k.stranger, &proposal).await.unwrap() else {
        panic!("not queued");
    };
    let proposal = shown(s, number).await;
    assert_eq!((proposal.state, proposal.executable_at), (ProposalState::Queued, Some(executable_at)));
    let waits = ledger.carry_out(&k.stranger, &proposal).await.unwrap();
    assert_eq!(waits, CarriedOut::Waits { executable_at });
    s.pass(SETTINGS.timelock_delay).await;
    assert_eq!(ledger.carry_out(&k.stranger, &proposal).await.unwrap(), CarriedOut::Executed);
    let done = shown(s, number).await;
    assert_eq!(done.state, ProposalState::Executed);
    done
}

#[tokio::test]
async fn members_decide_through_the_client() {
    let s = Suite::with_programs().await;
    let (k, ledger) = (&s.k, &s.ledger);
    let bystander = k.stranger.address();
    let actions = [
        Action::AddMember {
            account: bystander,
            roles: vec![Role::Runner],
            profile: hash(1),
            seal_key: hash(2),
        },
        Action::SetTimelockDelay(SETTINGS.timelock_delay),
    ];
    // Before the hand-over the members decide, but nothing is done.
    let number = ledger.propose(&k.owner, &actions, "first").await.unwrap();
    s.pass(SETTINGS.voting_delay + 1).await;
    for member in [&k.owner, &k.owner2, &k.trainer, &k.runner] {
        ledger.vote(member, number, Support::For, "").await.unwrap();
    }
    s.pass(SETTINGS.voting_period).await;
    ledger.carry_out(&k.owner, &shown(&s, number).await).await.unwrap();
    s.pass(SETTINGS.timelock_delay + 1).await;
    match ledger.carry_out(&k.owner, &shown(&s, number).await).await {
        Err(NotCarriedOut::Ledger(LedgerError::Refused { explanation, .. })) => {
            assert!(explanation.starts_with("AccessManagedUnauthorized"), "{explanation}");
        }
        other => panic!("{other:?}"),
    }
    ledger.hand_over(&k.founder, k.pauser.address()).await.unwrap();
    assert_eq!(
        ledger.carry_out(&k.owner, &shown(&s, number).await).await.unwrap(),
        CarriedOut::Executed,
        "what waited is done once the founder has handed over"
    );

    let done = decide(&s, &[Action::SetQuorum(30), Action::Pause], "a pause\nwith two lines").await;
    assert_eq!(done.description, "a pause\nwith two lines");
    assert_eq!((done.for_votes, done.against_votes, done.quorum), (4, 1, Some(4)));
    assert_eq!(done.steps.len(), 4);
    let against: Vec<_> = done.ballots.iter().filter(|b| b.support == "against").collect();
    assert_eq!(
        (against.len(), against[0].voter, against[0].reason.as_str()),
        (1, k.auditor.address(), "not now")
    );
    assert!(s.read(K, Market::pausedCall {}).await);
    assert_eq!(powers(ledger).await, (true, vec![], 0));
    decide(&s, &[Action::Unpause, Action::SetFee { bps: 12, treasury: bystander }], "go on").await;
    assert_eq!(s.read(K, Market::feeBpsCall {}).await, 12);

    // A pool is in no directory, and its keeper is the members' to name all the same.
    let pool = ledger.create_pool(&k.owner, k.owner.address(), 3_600, 7_200).await.unwrap();
    let action = Action::SetKeeper { pool, keeper: bystander };
    let done = decide(&s, &[action], "its keeper shares out what nobody is due").await;
    assert_eq!(
        done.steps[0].words,
        format!("let {bystander} propose the lists of {pool}, if that is a pool")
    );
    assert_eq!(ledger.pool(pool).await.unwrap().state().await.unwrap().keeper, bystander);

    // Nobody votes: defeated, and said so.
    let number = ledger.propose(&k.owner, &[Action::RemoveMember(bystander)], "nobody cares").await.unwrap();
    s.pass(SETTINGS.voting_delay + SETTINGS.voting_period + 2).await;
    let proposal = shown(&s, number).await;
    assert_eq!((proposal.state, proposal.quorum), (ProposalState::Defeated, Some(3)));
    let refused = ledger.carry_out(&k.owner, &proposal).await.unwrap_err().to_string();
    assert!(refused.ends_with("is defeated: it had no majority or no quorum"), "{refused}");
}

#[tokio::test]
async fn nobody_takes_a_proposal_that_somebody_else_wrote() {
    let s = Suite::with_members().await;
    let k = &s.k;
    let number = s.ledger.propose(&k.owner, &[Action::SetQuorum(51)], "mine").await.unwrap();
    let event = s.ledger.events::<HistoneGovernor::ProposalCreated>(G).await.unwrap();
    let event = event.iter().find(|e| e.proposalId == number).unwrap();
    let copy = HistoneGovernor::proposeCall {
        targets: event.targets.clone(),
        values: event.values.clone(),
        calldatas: event.calldatas.clone(),
        description: event.description.replace("mine", "yours"),
    };
    s.refused(&k.owner2, G, copy, "GovernorRestrictedProposer").await;
}

#[tokio::test]
async fn an_upgrade_names_a_successor_and_the_earlier_contract_is_not_forgotten() {
    let s = Suite::with_members().await;
    let (k, d) = (&s.k, s.ledger.deployment().clone());
    s.ledger.hand_over(&k.founder, k.pauser.address()).await.unwrap();
    // Some other market; that it fits to the rest is for the members to judge.
    let other = Ledger::deploy(s.backend.connection.clone(), &k.trainer, &SETTINGS).await.unwrap();
    let successor = other.deployment().market;
    let name = Action::name("market").unwrap();
    let done = decide(&s, &[Action::SetAddress { name, target: successor }], "the market of next year").await;
    assert_eq!(done.steps[0].words, format!("let the `market` be the contract {successor}"));
    let found = Ledger::find(s.backend.connection.clone(), d.directory).await.unwrap();
    assert_eq!(found.deployment().market, successor);
    // The hand-over remains one; that the successor obeys another manager is said.
    let stranger =
        format!("market obeys {}, not the access manager {}", other.deployment().manager, d.manager);
    assert_eq!(powers(&found).await, (true, vec![stranger], 1));
    let book = found.book(&[DIR]).await.unwrap();
    assert_eq!(book.predecessors(), [("market".to_owned(), d.market)]);
    // Nothing that is no contract can be named.
    let number = s
        .ledger
        .propose(&k.owner, &[Action::SetAddress { name, target: key(9).address() }], "x")
        .await
        .unwrap();
    s.pass(SETTINGS.voting_delay + 1).await;
    for member in [&k.owner, &k.owner2, &k.trainer, &k.runner] {
        s.ledger.vote(member, number, Support::For, "").await.unwrap();
    }
    s.pass(SETTINGS.voting_period).await;
    s.ledger.carry_out(&k.owner, &shown(&s, number).await).await.unwrap();
    s.pass(SETTINGS.timelock_delay + 1).await;
    let error = s.ledger.carry_out(&k.owner, &shown(&s, number).await).await.unwrap_err();
    assert!(histone_protocol::with_causes(&error).contains("NoContract"), "{error}");
    assert_eq!(s.read(DIR, Directory::lookupCall { name }).await, successor);
    assert_ne!(successor, Address::ZERO);
}
