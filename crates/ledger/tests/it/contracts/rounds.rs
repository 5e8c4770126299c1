//! Training rounds. What the committee says about others is in [`super::committee`].

use alloy::primitives::{Address, B256, Bytes, U256};
use histone_contracts::Contract::{Datasets as D, Market as K, Rounds as R};
use histone_contracts::{Datasets, Market, Rounds};

use super::committee;
use super::hosted;
use super::market::{OPENING, Stall, id, terms};
use crate::reads;
use crate::suite::{LONG, hash};

#[tokio::test]
async fn rounds() {
    let stall = Stall::new().await;
    let s = &stall.s;
    let k = &s.k;
    let recruiting = stall.propose(terms()).await;
    let open = stall.open(recruiting, 1_000).await;
    s.refused(&k.trainer, R, open, "NotTraining").await;
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId: id(recruiting) }).await;
    // Where all data is brought to one enclave there is nobody to open a round.
    hosted::begun(&stall).await;
    committee::start(&stall).await;

    let model = stall.training().await;
    let modelId = id(model);
    let good = stall.open(model, 1_000).await;
    s.refused(&k.owner, R, good.clone(), "NotTrainer").await;
    let bad = Rounds::openCall { headerHash: B256::ZERO, ..good.clone() };
    s.refused(&k.trainer, R, bad, "ZeroHash").await;
    let bad = Rounds::openCall { deadline: 1, ..good.clone() };
    s.refused(&k.trainer, R, bad, "DeadlineTooEarly").await;
    // A round without time for the committee, and one that its donors would wait for as good as for ever.
    let longest = s.read(R, Rounds::LONGESTCall {}).await.to::<u64>();
    for openBy in [good.deadline, s.now().await + longest + 100, u64::MAX] {
        s.refused(&k.trainer, R, Rounds::openCall { openBy, ..good.clone() }, "InvalidOpenBy").await;
    }
    let receipt = s.send(&k.trainer, R, good.clone()).await;
    let opened = receipt.event::<Rounds::RoundOpened>().unwrap();
    assert_eq!((opened.minSurvivors, opened.quorum, opened.openBy), (2, 4, good.openBy));
    s.refused(&k.trainer, R, good.clone(), "PreviousRoundRunning").await;
    assert_eq!(s.read(R, Rounds::lastRoundCall { modelId }).await, 1);

    let update = |donor| stall.update(model, 1, donor, &stall.training);
    s.refused(&k.owner, R, stall.update(model, 1, 1, &stall.training2), "ForeignEnclave").await;
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
    let post = |round| Rounds::postPartialCall { modelId, round, attempt: 0, partialHash: hash(63) };
    s.refused(&k.seats[0], R, post(1), "WrongRoundStatus").await;
    s.pass(1_001).await;
    s.refused(&k.stranger, R, stall.update(model, 1, 2, &stall.training2), "DeadlinePassed").await;
    // After the deadline anybody closes. The sum over one donor would be its data.
    let receipt = s.send(&k.stranger, R, close(1)).await;
    assert_eq!(receipt.event::<Rounds::RoundFailed>().unwrap().survivors, 1);

    // The same is tried again under the next number.
    stall.closed(model, 2).await;
    let survivors = s.read(R, Rounds::survivorsCall { modelId, round: 2 }).await;
    assert_eq!((survivors.count, survivors.bitmap), (2, vec![U256::from(6)]));
    s.refused(&k.owner, R, post(2), "NotSeated").await;
    let other = Rounds::postPartialCall { modelId, round: 2, attempt: 1, partialHash: hash(63) };
    let nothing = Rounds::postPartialCall { modelId, round: 2, attempt: 0, partialHash: B256::ZERO };
    s.refused(&k.seats[0], R, nothing, "ZeroHash").await;
    s.refused(&k.seats[0], R, other, "OtherAttempt").await;
    s.send(&k.seats[0], R, post(2)).await;
    s.refused(&k.seats[0], R, post(2), "AlreadyPosted").await;
    let last = |aggregate: u8, model: u8| Rounds::finalizeCall {
        modelId,
        round: 2,
        aggregateHash: hash(aggregate),
        modelHash: hash(model),
    };
    let void = |round| Rounds::voidRoundCall { modelId, round };
    s.refused(&k.trainer, R, last(65, 64), "QuorumMissing").await;
    s.refused(&k.trainer, R, void(2), "StillOpening").await;
    for seat in &k.seats[1..] {
        s.send(seat, R, post(2)).await;
    }
    s.refused(&k.trainer, R, void(2), "SumIsOpen").await;
    let member = k.seats[1].address();
    assert_eq!(s.read(R, Rounds::partialOfCall { modelId, round: 2, member }).await, hash(63));
    s.refused(&k.owner, R, last(65, 64), "NotTrainer").await;
    s.refused(&k.trainer, R, last(0, 64), "ZeroHash").await;
    s.send(&k.trainer, R, last(65, 64)).await;
    s.refused(&k.trainer, R, last(65, 64), "WrongRoundStatus").await;
    let outcome = s.read(R, Rounds::outcomeCall { modelId }).await;
    assert_eq!((outcome.round, outcome.modelHash), (2, hash(64)));
    assert_eq!(s.read(R, Rounds::progressCall { modelId }).await.opened, 1);
    let info = s.read(R, Rounds::roundInfoCall { modelId, round: 2 }).await;
    assert_eq!((info.aggregateHash, info.opened, info.attempt), (hash(65), true, 0));

    // The committee does not open a round in time: it is void, for everybody to say, and for ever.
    stall.closed(model, 3).await;
    s.send(&k.seats[0], R, post(3)).await;
    s.pass(5_000 + OPENING / 2).await;
    let accuse = Rounds::accuseCall { modelId, round: 3, donorIndex: 1 };
    s.refused(&k.seats[1], R, accuse, "AccusedTooLate").await;
    s.pass(OPENING / 2 + 1).await;
    s.refused(&k.seats[1], R, post(3), "OpeningOver").await;
    let receipt = s.send(&k.stranger, R, void(3)).await;
    assert_eq!(receipt.event::<Rounds::RoundVoided>().unwrap().partials, 1);
    s.refused(&k.seats[1], R, post(3), "WrongRoundStatus").await;

    committee::votes(&stall).await;

    // A donor who withdraws leaves the closed round, as long as nothing was published: here too few are left.
    stall.closed(model, 4).await;
    s.send(&k.owner2, D, Datasets::withdrawCall { id: stall.data2.id }).await;
    let receipt = s.send(&k.stranger, K, Market::endUseCall { modelId, donorIndex: 2 }).await;
    let dropped = receipt.event::<Rounds::DonorDropped>().unwrap();
    assert_eq!((dropped.donorIndex, dropped.survivors, dropped.attempt), (2, 1, 1));
    assert_eq!(receipt.event::<Rounds::RoundFailed>().unwrap().survivors, 1);
    // It is in no further round, and a paused market opens none.
    s.send(&k.founder, histone_contracts::Contract::Manager, grant(&k.pauser)).await;
    s.send(&k.pauser, K, Market::pauseCall {}).await;
    s.refused(&k.trainer, R, stall.open(model, 1_000).await, "MarketPaused").await;
    s.send(&k.founder, K, Market::unpauseCall {}).await;
    s.send(&k.trainer, R, stall.open(model, 1_000).await).await;
    s.refused(&k.stranger, R, stall.update(model, 5, 2, &stall.training2), "UseEnded").await;
    // Nobody answers: the round fails, and long after the last sum anybody gives the model up.
    s.pass(1_001).await;
    let receipt = s.send(&k.stranger, R, close(5)).await;
    assert_eq!(receipt.event::<Rounds::RoundFailed>().unwrap().survivors, 0);
    s.refused(&k.stranger, K, Market::abortTrainingCall { modelId }, "NotTrainer").await;
    s.pass(2 * LONG + 10).await;
    s.send(&k.stranger, K, Market::abortTrainingCall { modelId }).await;
    s.refused(&k.trainer, R, stall.open(model, 1_000).await, "NotTraining").await;

    // What only the market tells.
    let fix = Rounds::fixCommitteeCall {
        modelId,
        seats: vec![Address::ZERO],
        sealKeys: vec![],
        colluders: 1,
        minSurvivors: 2,
    };
    s.refused(&k.trainer, R, fix, "NotMarket").await;
    s.refused(&k.trainer, R, Rounds::dropDonorCall { modelId, donorIndex: 1 }, "NotMarket").await;
    reads!(s, R; Rounds::membersCall {}, Rounds::enclavesCall {}, Rounds::marketCall {},
        Rounds::eip712DomainCall {});
    s.covers(
        R,
        &[
            // The market's alone: refused above, made by it in `committee::start` and in `endUse`.
            "fixCommittee",
            "dropDonor",
            // Times are bounded before they are cut to 40 bits.
            "SafeCastOverflowedUintDowncast",
            // The name in the signing domain is a constant.
            "InvalidShortString",
            "StringTooLong",
        ],
    );
}

fn grant(pauser: &histone_protocol::keys::SigningKey) -> histone_contracts::AccessManager::grantRoleCall {
    histone_contracts::AccessManager::grantRoleCall {
        roleId: histone_contracts::manager_roles::PAUSER,
        account: pauser.address(),
        executionDelay: 0,
    }
}
