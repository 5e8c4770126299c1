//! Training rounds.

use alloy::primitives::{B256, Bytes, U256};
use histone_ledger::Contract::{Datasets as D, Market as K, Rounds as R};
use histone_ledger::contracts::{Datasets, Market, Rounds};

use super::market::{Stall, id, terms};
use crate::reads;
use crate::suite::{LONG, TRAINING, hash, key};

#[tokio::test]
async fn rounds() {
    let stall = Stall::new().await;
    let s = &stall.s;
    let k = &s.k;
    let recruiting = stall.propose(terms()).await;
    let open = stall.open(recruiting, 1_000).await;
    s.refused(&k.trainer, R, open, "NotTraining").await;
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId: id(recruiting) }).await;

    // A model with two donors.
    let model = stall.propose(terms()).await;
    let modelId = id(model);
    s.send(&k.owner, K, stall.donation(model, stall.data, &key(141))).await;
    s.send(&k.owner2, K, stall.donation(model, stall.data2, &key(142))).await;
    s.send(&k.trainer, K, Market::startTrainingCall { modelId }).await;
    let good = stall.open(model, 1_000).await;
    s.refused(&k.owner, R, good.clone(), "NotTrainer").await;
    let bad = Rounds::openCall { headerHash: B256::ZERO, ..good.clone() };
    s.refused(&k.trainer, R, bad, "ZeroHash").await;
    let bad = Rounds::openCall { deadline: 1, ..good.clone() };
    s.refused(&k.trainer, R, bad, "DeadlineTooEarly").await;
    let bad = Rounds::openCall { minSurvivors: 3, ..good.clone() };
    s.refused(&k.trainer, R, bad, "InvalidMinSurvivors").await;
    let bad = Rounds::openCall { quorum: 0, ..good.clone() };
    s.refused(&k.trainer, R, bad, "ZeroQuorum").await;
    let bad = Rounds::openCall { deadline: u64::MAX, ..good.clone() };
    s.refused(&k.trainer, R, bad, "SafeCastOverflowedUintDowncast").await;
    s.send(&k.trainer, R, Rounds::openCall { quorum: 2, ..good.clone() }).await;
    s.refused(&k.trainer, R, good.clone(), "PreviousRoundRunning").await;
    assert_eq!(s.read(R, Rounds::lastRoundCall { modelId }).await, 1);

    let update = |donor| stall.update(model, 1, donor, &stall.training);
    let stranger = key(151);
    s.enclave(&k.owner, &stranger, hash(TRAINING)).await;
    s.refused(&k.owner, R, stall.update(model, 1, 1, &stranger), "ForeignEnclave").await;
    s.refused(&k.owner, R, Rounds::anchorCall { blobHash: hash(66), ..update(1) }, "BadSignature").await;
    s.refused(&k.owner, R, Rounds::anchorCall { blobHash: B256::ZERO, ..update(1) }, "ZeroHash").await;
    let short = Rounds::anchorCall { signature: vec![1; 64].into(), ..update(1) };
    s.refused(&k.owner, R, short, "ECDSAInvalidSignatureLength").await;
    let zero = Rounds::anchorCall { signature: vec![0; 65].into(), ..update(1) };
    s.refused(&k.owner, R, zero, "ECDSAInvalidSignature").await;
    let high = Bytes::from([vec![0x11; 32], vec![0xff; 32], vec![27]].concat());
    s.refused(&k.owner, R, Rounds::anchorCall { signature: high, ..update(1) }, "ECDSAInvalidSignatureS")
        .await;
    s.send(&k.stranger, R, update(1)).await;
    s.refused(&k.stranger, R, update(1), "AlreadyAnchored").await;
    assert!(s.read(R, Rounds::isAnchoredCall { modelId, round: 1, donorIndex: 1 }).await);
    assert!(!s.read(R, Rounds::isAnchoredCall { modelId, round: 1, donorIndex: 2 }).await);
    let close = |round| Rounds::closeCall { modelId, round };
    s.refused(&k.owner, R, close(1), "NotTrainer").await;
    s.refused(&k.trainer, R, close(1), "StillOpen").await;
    s.refused(&k.trainer, R, close(2), "WrongRoundStatus").await;
    let post = |round| Rounds::postPartialCall { modelId, round, partialHash: hash(63) };
    s.refused(&k.seats[0], R, post(1), "WrongRoundStatus").await;
    s.pass(1_001).await;
    s.refused(&k.stranger, R, update(2), "DeadlinePassed").await;
    // After the deadline anybody closes; one update is enough here.
    let receipt = s.send(&k.stranger, R, close(1)).await;
    assert_eq!(receipt.event::<Rounds::RoundClosed>().unwrap().survivors, 1);
    let survivors = s.read(R, Rounds::survivorsCall { modelId, round: 1 }).await;
    assert_eq!((survivors.count, survivors.bitmap), (1, vec![U256::from(2)]));

    s.refused(&k.owner, R, post(1), "MissingRole").await;
    let nothing = Rounds::postPartialCall { modelId, round: 1, partialHash: B256::ZERO };
    s.refused(&k.seats[0], R, nothing, "ZeroHash").await;
    s.send(&k.seats[0], R, post(1)).await;
    s.refused(&k.seats[0], R, post(1), "AlreadyPosted").await;
    let last = |aggregate: u8, model: u8| Rounds::finalizeCall {
        modelId,
        round: 1,
        aggregateHash: hash(aggregate),
        modelHash: hash(model),
    };
    s.refused(&k.trainer, R, last(65, 64), "QuorumMissing").await;
    s.send(&k.seats[1], R, post(1)).await;
    let member = k.seats[1].address();
    assert_eq!(s.read(R, Rounds::partialOfCall { modelId, round: 1, member }).await, hash(63));
    s.refused(&k.owner, R, last(65, 64), "NotTrainer").await;
    s.refused(&k.trainer, R, last(0, 64), "ZeroHash").await;
    s.send(&k.trainer, R, last(65, 64)).await;
    s.refused(&k.trainer, R, last(65, 64), "WrongRoundStatus").await;
    let outcome = s.read(R, Rounds::outcomeCall { modelId }).await;
    assert_eq!((outcome.round, outcome.modelHash), (1, hash(64)));
    assert_eq!(s.read(R, Rounds::progressCall { modelId }).await.opened, 1);
    assert_eq!(s.read(R, Rounds::roundInfoCall { modelId, round: 1 }).await.aggregateHash, hash(65));

    // A donor who left is in no further round, and a paused market opens none.
    s.send(&k.owner2, D, Datasets::withdrawCall { id: stall.data2 }).await;
    s.send(&k.stranger, K, Market::endUseCall { modelId, donorIndex: 2 }).await;
    s.send(&k.founder, histone_ledger::Contract::Manager, grant(&k.pauser)).await;
    s.send(&k.pauser, K, Market::pauseCall {}).await;
    s.refused(&k.trainer, R, stall.open(model, 1_000).await, "MarketPaused").await;
    s.send(&k.founder, K, Market::unpauseCall {}).await;
    s.send(&k.trainer, R, stall.open(model, 1_000).await).await;
    let gone = stall.update(model, 2, 2, &stall.training);
    s.refused(&k.stranger, R, gone, "ForeignEnclave").await;
    // Nobody answers: the round fails, and when the model is given up long after, its donors are paid.
    s.pass(1_001).await;
    let receipt = s.send(&k.stranger, R, close(2)).await;
    assert_eq!(receipt.event::<Rounds::RoundFailed>().unwrap().survivors, 0);
    s.pass(LONG + 10).await;
    s.send(&k.stranger, K, Market::abortTrainingCall { modelId }).await;
    s.refused(&k.trainer, R, stall.open(model, 1_000).await, "NotTraining").await;
    reads!(s, R; Rounds::membersCall {}, Rounds::enclavesCall {}, Rounds::marketCall {},
        Rounds::eip712DomainCall {});
    s.covers(R, &["InvalidShortString", "StringTooLong"]);
}

fn grant(
    pauser: &histone_protocol::keys::SigningKey,
) -> histone_ledger::contracts::AccessManager::grantRoleCall {
    histone_ledger::contracts::AccessManager::grantRoleCall {
        roleId: histone_ledger::contracts::manager_roles::PAUSER,
        account: pauser.address(),
        executionDelay: 0,
    }
}
