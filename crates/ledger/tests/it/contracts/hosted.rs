//! The market: trainings in one enclave, to which all owners bring their data.

use alloy::primitives::{B256, U256};
use histone_contracts::Contract::{Market as K, Rounds as R};
use histone_contracts::Market;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::HostedTraining;

use super::market::{INSTANT, Stall, id, terms};
use crate::suite::{hash, key};

/// A model in training whose two donors gave their data to the enclave of the first owner.
pub async fn begun(stall: &Stall) -> u64 {
    let (s, k) = (&stall.s, &stall.s.k);
    let model = stall.propose(Market::Terms { colluders: 0, ..terms() }).await;
    let (modelId, enclave) = (id(model), stall.training.address());
    let early = stall.donation(model, stall.data, &key(141));
    s.refused(&k.owner, K, early, "OtherHost").await;
    let host = |enclave| Market::hostCall { modelId, enclave };
    s.refused(&k.owner, K, host(enclave), "NotTrainer").await;
    s.refused(&k.trainer, K, host(stall.query.address()), "WrongKind").await;
    s.send(&k.trainer, K, host(enclave)).await;
    s.refused(&k.trainer, K, host(stall.training2.address()), "HostNamed").await;
    s.refused(&k.owner2, K, stall.donation2(model, stall.data2, &key(142)), "OtherHost").await;
    s.send(&k.owner, K, stall.donation(model, stall.data, &key(141))).await;
    s.send(&k.owner2, K, stall.donation(model, stall.data2, &key(142))).await;
    s.refused(&k.trainer, K, stall.start(model), "NoCommittee").await;
    let start = Market::startTrainingCall { modelId, seats: vec![], sealKeys: vec![] };
    s.send(&k.trainer, K, start).await;
    s.refused(&k.trainer, R, stall.open(model, 1_000).await, "NoCommittee").await;
    model
}

/// What the enclave says; `by` signs it.
fn finish(stall: &Stall, model: u64, unused: Vec<u16>, by: &SigningKey) -> Market::finishHostedCall {
    let (modelId, modelHash, statementHash) = (id(model), hash(64), hash(66));
    let said = HostedTraining { modelId, modelHash, statementHash, unused: unused.clone() };
    let signature = stall.s.sign(&said, K, by);
    let t = Market::HostedTraining { modelId, modelHash, statementHash, unused };
    Market::finishHostedCall { t, signature }
}

/// A training in one enclave from beginning to payment.
pub async fn trainings_in_one_enclave(stall: &Stall) {
    let (s, k) = (&stall.s, &stall.s.k);
    // Where each owner has an enclave of its own, nobody brings data to one.
    let other = stall.propose(terms()).await;
    let host = Market::hostCall { modelId: id(other), enclave: stall.training.address() };
    s.refused(&k.trainer, K, host, "NotHosted").await;

    let model = begun(stall).await;
    let modelId = id(model);
    let last = Market::finishTrainingCall { modelId, modelHash: hash(64) };
    s.refused(&k.trainer, K, last, "NotFinal").await;
    let good = || finish(stall, model, vec![], &stall.training);
    s.refused(&k.owner, K, good(), "NotTrainer").await;
    s.refused(&k.trainer, K, finish(stall, model, vec![], &stall.training2), "BadSignature").await;
    s.refused(&k.trainer, K, finish(stall, model, vec![1], &stall.training), "StillInUse").await;
    let mut swapped = good();
    swapped.t.modelHash = hash(67);
    s.refused(&k.trainer, K, swapped, "BadSignature").await;
    let mut nothing = good();
    nothing.t.statementHash = B256::ZERO;
    s.refused(&k.trainer, K, nothing, "ZeroHash").await;
    let receipt = s.send(&k.trainer, K, good()).await;
    let said = receipt.event::<Market::HostedModel>().unwrap();
    assert_eq!((said.enclave, said.statementHash), (stall.training.address(), hash(66)));
    let finished = receipt.event::<Market::TrainingFinished>().unwrap();
    assert_eq!((finished.modelHash, finished.depositReturned), (hash(64), U256::from(INSTANT)));
    s.refused(&k.trainer, K, good(), "WrongState").await;
    for donorIndex in [1, 2] {
        let due = s.read(K, Market::owedDonorCall { modelId, donorIndex }).await;
        assert_eq!(due, U256::from(INSTANT));
        s.send(&k.stranger, K, Market::claimDonorCall { modelId, donorIndex }).await;
    }
    s.send(&k.trainer, K, Market::abortTrainingCall { modelId: id(other) }).await;
    s.send(&k.trainer, K, Market::claimCall {}).await;
}
