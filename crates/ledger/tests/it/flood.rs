//! A flood of transactions that cost nothing, and what is judged by time meanwhile.

use alloy::primitives::{Bytes, U256, keccak256};
use alloy::sol_types::SolCall;
use histone_contracts::Contract::{Governor as G, Market as K};
use histone_contracts::{HistoneGovernor as C, Market, Programs};
use histone_ledger::epochs::Epoch;

use crate::backend::on_node;
use crate::contracts::market::{Stall, TIMEOUT, id, terms};
use crate::suite::{SETTINGS, Suite, TRAINING, hash, key};

/// How long a pool's list can be looked at, and how long its keeper may be silent, in seconds.
const WINDOW: u32 = 3_600;
const SILENCE: u32 = 7_200;

/// Sends so many transfers that cost nothing, each of which once took a second of its own, and demands that no time passed. A
/// node of somebody else keeps its own time.
async fn flood(s: &Suite, transfers: u64) {
    if on_node() {
        return;
    }
    let before = s.now().await;
    let (flooder, connection) = (&s.k.stranger, &s.backend.connection);
    for _ in 0..transfers {
        connection.send_coins(flooder, flooder.address(), U256::ZERO).await.unwrap();
    }
    assert_eq!(s.now().await, before, "{transfers} transfers moved the clock");
}

/// What the governor says of a proposal that is being voted on.
const ACTIVE: u8 = 1;

#[tokio::test]
async fn a_flood_shortens_no_vote_and_no_timelock() {
    let s = Suite::with_programs().await;
    let k = &s.k;
    s.ledger.hand_over(&k.founder, k.pauser.address()).await.unwrap();
    let description = "the training program leaks".to_owned();
    let targets = vec![s.ledger.deployment().programs];
    let values = vec![U256::ZERO];
    let calldatas: Vec<Bytes> =
        vec![Programs::disallowCall { measurement: hash(TRAINING) }.abi_encode().into()];
    let descriptionHash = keccak256(&description);
    let propose = C::proposeCall {
        targets: targets.clone(),
        values: values.clone(),
        calldatas: calldatas.clone(),
        description,
    };
    let queue = || C::queueCall {
        targets: targets.clone(),
        values: values.clone(),
        calldatas: calldatas.clone(),
        descriptionHash,
    };
    let execute = || C::executeCall {
        targets: targets.clone(),
        values: values.clone(),
        calldatas: calldatas.clone(),
        descriptionHash,
    };
    let receipt = s.send(&k.trainer, G, propose).await;
    let proposalId = receipt.event::<C::ProposalCreated>().unwrap().proposalId;
    // Before the vote, during the vote and in the timelock: more transactions than each has seconds.
    flood(&s, SETTINGS.voting_delay + 10).await;
    let vote = || C::castVoteCall { proposalId, support: 1 };
    s.refused(&k.owner, G, vote(), "GovernorUnexpectedProposalState").await;
    s.pass(SETTINGS.voting_delay + 1).await;
    for voter in [&k.owner, &k.owner2, &k.runner, &k.auditor] {
        s.send(voter, G, vote()).await;
    }
    flood(&s, SETTINGS.voting_period + 10).await;
    assert_eq!(s.read(G, C::stateCall { proposalId }).await, ACTIVE);
    s.refused(&k.stranger, G, queue(), "GovernorUnexpectedProposalState").await;
    s.pass(SETTINGS.voting_period + 1).await;
    s.send(&k.stranger, G, queue()).await;
    flood(&s, SETTINGS.timelock_delay + 10).await;
    s.refused(&k.stranger, G, execute(), "TimelockUnexpectedOperationState").await;
    s.pass(SETTINGS.timelock_delay + 1).await;
    s.send(&k.stranger, G, execute()).await;
}

#[tokio::test]
async fn a_flood_brings_no_deadline_nearer_and_shortens_no_window() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let keeper = &k.owner;
    let address = s.ledger.create_pool(keeper, keeper.address(), WINDOW, SILENCE).await.unwrap();
    let pool = s.ledger.pool(address).await.unwrap();
    let model = stall.propose(terms()).await;
    let modelId = id(model);
    s.send(keeper, K, stall.donation_to(&stall.training, model, stall.data, address)).await;
    s.send(&k.owner2, K, stall.donation2(model, stall.data2, &key(142))).await;
    s.send(&k.trainer, K, stall.start(model)).await;
    stall.sum(model, 1).await;
    stall.finish(model, 1).await;
    s.send(&k.stranger, K, Market::claimDonorCall { modelId, donorIndex: 1 }).await;
    s.send(&k.trainer, K, Market::serveCall { modelId, queryEnclave: stall.query.address() }).await;

    // A list that auditors look at, and a query that waits for its answer.
    let person = key(201).address();
    let received = pool.state().await.unwrap().received;
    let epoch = Epoch::share_out(received.0, vec![(person, U256::from(1))]).unwrap();
    let (due, proof) = (epoch.due(person).unwrap(), epoch.proof(person).unwrap());
    pool.propose(keeper, &epoch, received.0).await.unwrap();
    let bought = s.send(&k.user, K, stall.buying(model, 80)).await;
    let queryId = bought.event::<Market::QueryBought>().unwrap().queryId;
    flood(s, 300).await;
    assert!(pool.claim(&k.stranger, person, due, proof.clone()).await.is_err());
    s.refused(&k.user, K, Market::refundCall { queryId }, "TooEarly").await;
    s.pass(u64::from(WINDOW)).await;
    pool.claim(&k.stranger, person, due, proof).await.unwrap();
    flood(s, 300).await;
    s.refused(&k.user, K, Market::refundCall { queryId }, "TooEarly").await;
    s.pass(TIMEOUT + 1).await;
    s.send(&k.stranger, K, Market::refundCall { queryId }).await;
}
