//! Attacks on the contracts, each named after what the attacker wants. None of them gets it.

use alloy::primitives::{B256, U256};
use histone_contracts::Contract::{Datasets as D, Market as K, Members as M, Rounds as R};
use histone_contracts::{Datasets, Market, Members, Rounds, roles};
use histone_protocol::receipt::ValidationReceipt;

use super::committee::{
    DUPLICATE, FALSE_ACCUSATION, MISSING, NOT_BELIEVED, UNREADABLE, WRONG_PARTIAL, blame_donor, blame_member,
    post, post_at, three_donors,
};
use super::market::{Data, INSTANT, OPENING, Stall, id, terms};
use crate::suite::{QUERY, TRAINING, hash, key, seal_key};

/// An owner wants a share of the income for data that count for nothing.
pub async fn weight_from_nothing(stall: &Stall) {
    let (s, k) = (&stall.s, &stall.s.k);
    let root = hash(41);
    let (owner, reportHash, rows, quality) = (k.owner.address(), hash(5), 4_000_000_000, 0);
    let r = ValidationReceipt { owner, root, reportHash, rows, quality, replaces: B256::ZERO };
    let signature = s.sign(&r, D, &stall.validation);
    let enclave = stall.validation.address();
    let call =
        Datasets::registerCall { root, reportHash, policyHash: hash(6), rows, quality, enclave, signature };
    s.send(&k.owner, D, call).await;
    let data = Data { id: histone_contracts::dataset_id(owner, root), root };
    let model = stall.propose(terms()).await;
    s.refused(&k.owner, K, stall.donation(model, data, &key(141)), "ZeroWeight").await;
}

/// An owner wants two places in a model, and so two updates in its sums, with one enclave.
pub async fn one_enclave_holds_two_places(stall: &Stall) {
    let (s, k) = (&stall.s, &stall.s.k);
    let model = stall.propose(terms()).await;
    let other = stall.dataset(&k.owner, hash(42)).await;
    s.send(&k.owner, K, stall.donation(model, stall.data, &key(141))).await;
    s.refused(&k.owner, K, stall.donation(model, other, &key(142)), "EnclaveTaken").await;
    // In another model it has a place of its own.
    let model = stall.propose(terms()).await;
    s.send(&k.owner, K, stall.donation(model, other, &key(142))).await;
}

/// A trainer wants the question of a user in an enclave that the user never looked at.
pub async fn another_enclave_between_look_and_buy(stall: &Stall) {
    let (s, k) = (&stall.s, &stall.s.k);
    let (looked_at, other) = (key(151), key(152));
    for enclave in [&looked_at, &other] {
        s.enclave(&k.runner, enclave, hash(QUERY)).await;
    }
    let model = stall.trained().await;
    let serve = |enclave: &histone_protocol::keys::SigningKey| Market::serveCall {
        modelId: id(model),
        queryEnclave: enclave.address(),
    };
    s.send(&k.trainer, K, serve(&looked_at)).await;
    let buy = |code| Market::buyCall { enclave: looked_at.address(), ..stall.buying(model, code) };
    s.send(&k.user, K, buy(43)).await;
    s.send(&k.trainer, K, serve(&other)).await;
    let before = s.balance(k.user.address()).await;
    s.refused(&k.user, K, buy(44), "OtherEnclave").await;
    assert_eq!(s.balance(k.user.address()).await, before);
}

async fn returned(stall: &Stall, model: u64) -> u64 {
    let call = Market::abortTrainingCall { modelId: id(model) };
    let receipt = stall.s.send(&stall.s.k.trainer, K, call).await;
    receipt.event::<Market::TrainingAborted>().unwrap().depositReturned.to()
}

/// A trainer wants a sum, which is as good as a model, and the deposit as well.
#[tokio::test]
async fn a_sum_for_free() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    // Given up with an open sum: the donors are paid as if training had ended well.
    let model = stall.training().await;
    stall.sum(model, 1).await;
    let stranger = Market::abortTrainingCall { modelId: id(model) };
    s.refused(&k.stranger, K, stranger, "NotTrainer").await;
    assert_eq!(returned(&stall, model).await, INSTANT);
    for donorIndex in [1, 2] {
        s.send(&k.stranger, K, Market::claimDonorCall { modelId: id(model), donorIndex }).await;
    }
    s.send(&k.trainer, K, Market::claimCall {}).await;
    assert_eq!(s.balance(key(141).address()).await, INSTANT);

    // Given up just before the sum is open: nobody opens it any more.
    let model = stall.training().await;
    stall.closed(model, 1).await;
    for seat in &k.seats[..3] {
        s.send(seat, R, post(model, 1)).await;
    }
    assert_eq!(returned(&stall, model).await, 3 * INSTANT);
    s.refused(&k.seats[3], R, post(model, 1), "NotTraining").await;

    // An open sum, and then a round which nobody can open in its second of time.
    let model = stall.training().await;
    stall.sum(model, 1).await;
    s.send(&k.trainer, R, finalize(model, 1)).await;
    let mut hasty = stall.open(model, 5_000).await;
    hasty.openBy = hasty.deadline + 1;
    s.send(&k.trainer, R, hasty).await;
    s.send(&k.stranger, R, stall.update(model, 2, 1, &stall.training)).await;
    s.send(&k.stranger, R, stall.update(model, 2, 2, &stall.training2)).await;
    s.pass(5_010).await;
    let modelId = id(model);
    s.send(&k.trainer, R, Rounds::closeCall { modelId, round: 2 }).await;
    // Its second is from now on.
    s.pass(10).await;
    s.send(&k.trainer, R, Rounds::voidRoundCall { modelId, round: 2 }).await;
    assert_eq!(returned(&stall, model).await, INSTANT);

    // The committee itself misses a round: the ledger cannot tell, and what is open is paid.
    let model = stall.training().await;
    stall.sum(model, 1).await;
    s.send(&k.trainer, R, finalize(model, 1)).await;
    stall.closed(model, 2).await;
    s.pass(5_000 + OPENING + 1).await;
    s.send(&k.stranger, R, Rounds::voidRoundCall { modelId: id(model), round: 2 }).await;
    assert_eq!(returned(&stall, model).await, INSTANT);
}

fn finalize(model: u64, round: u32) -> Rounds::finalizeCall {
    Rounds::finalizeCall { modelId: id(model), round, aggregateHash: hash(65), modelHash: hash(64) }
}

/// A member wants to stop trainings: it changes its key whenever one starts, or while one goes on.
#[tokio::test]
async fn a_member_who_changes_its_key_stops_a_training() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let member = key(155);
    s.backend.fund([member.address()]).await;
    let call = Members::addCall {
        account: member.address(),
        roles: roles::COMMITTEE,
        profile: hash(1),
        sealKey: seal_key(&member).public().0,
    };
    s.send(&k.founder, M, call).await;
    s.prove(&member).await;
    let model = stall.propose(terms()).await;
    stall.two_donors(model).await;
    let mut all: Vec<_> =
        k.seats.iter().chain([&member]).map(|m| (m.address(), seal_key(m).public().0)).collect();
    all.sort();
    let (seats, sealKeys) = all.into_iter().unzip();
    let looked = Market::startTrainingCall { modelId: id(model), seats, sealKeys };
    let another = |n| Members::updateCall { profile: hash(1), sealKey: hash(n) };
    s.send(&member, M, another(3)).await;
    s.refused_by(&k.trainer, K, looked, (R, "NoSeatFor")).await;
    // Without a proof of its new key it has no seat, and the others begin without it.
    s.send(&k.trainer, K, stall.start(model)).await;
    // Who has a seat keeps it with the key that was fixed, whatever the register says later.
    s.send(&k.seats[0], M, another(4)).await;
    s.send(&k.founder, M, Members::removeCall { account: k.seats[1].address() }).await;
    stall.sum(model, 1).await;
    s.send(&k.trainer, R, finalize(model, 1)).await;
}

/// As many members as may collude want somebody else excluded: a donor, or a member.
#[tokio::test]
async fn somebody_honest_is_excluded_by_few_votes() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let [liar, one, two, _] = &k.seats;
    let model = three_donors(&stall).await;
    let modelId = id(model);
    // One vote for each reason that there is, and the same once more.
    for reason in [MISSING, 2, UNREADABLE, DUPLICATE, NOT_BELIEVED] {
        s.send(liar, R, blame_donor(model, 1, 1, reason)).await;
        s.refused(liar, R, blame_donor(model, 1, 1, reason), "AlreadyBlamed").await;
    }
    for reason in [MISSING, 2, FALSE_ACCUSATION, WRONG_PARTIAL] {
        s.send(liar, R, blame_member(model, 1, one, reason)).await;
        s.refused(liar, R, blame_member(model, 1, one, reason), "AlreadyBlamed").await;
    }
    let info = async || s.read(R, Rounds::roundInfoCall { modelId, round: 1 }).await;
    assert_eq!((info().await.survivors, info().await.attempt), (3, 0));
    assert!(!s.read(R, Rounds::isNamedCall { modelId, member: one.address() }).await);
    // Whoever was named votes no more: its voice helps no second liar.
    for voter in [one, two] {
        s.send(voter, R, blame_member(model, 1, liar, FALSE_ACCUSATION)).await;
    }
    s.refused(liar, R, blame_donor(model, 1, 2, MISSING), "MemberIsNamed").await;
    s.refused(liar, R, post(model, 1), "MemberIsNamed").await;
}

/// A donor whose data are a copy wants to be paid all the same, and waits until the sum is open.
#[tokio::test]
async fn a_copy_is_paid_because_it_was_found_late() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let model = three_donors(&stall).await;
    stall.post(model, 1).await;
    // What it did in the round is the past of the round: only its name is told.
    for seat in &k.seats[..2] {
        s.send(seat, R, blame_donor(model, 1, 3, UNREADABLE)).await;
    }
    let donor = async || s.read(K, Market::donorCall { modelId: id(model), donorIndex: 3 }).await;
    assert_eq!(donor().await.weight, 300);
    // What it is excludes it at any time of the training.
    for seat in &k.seats[..2] {
        s.send(seat, R, blame_donor(model, 1, 3, DUPLICATE)).await;
    }
    assert_eq!(donor().await.weight, 0);
    let info = s.read(R, Rounds::roundInfoCall { modelId: id(model), round: 1 }).await;
    assert_eq!((info.survivors, info.attempt, info.opened), (3, 0, true), "the open sum stays what it is");
    stall.finish(model, 1).await;
    let claim = |donorIndex| Market::claimDonorCall { modelId: id(model), donorIndex };
    s.refused(&k.stranger, K, claim(3), "NothingOwed").await;
    s.send(&k.stranger, K, claim(1)).await;
    let owed = Market::owedCall { account: k.trainer.address() };
    assert_eq!(s.read(K, owed).await, U256::from(INSTANT), "its instant payment is not used");
}

/// Members want two sums of one round, whose difference is the data of one donor: for all donors, and for all but one.
#[tokio::test]
async fn the_sums_with_and_without_one_donor() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let model = three_donors(&stall).await;
    let modelId = id(model);
    let withdraw = |data: Data| Datasets::withdrawCall { id: data.id };
    let end = |donorIndex| Market::endUseCall { modelId, donorIndex };
    let info = async || s.read(R, Rounds::roundInfoCall { modelId, round: 1 }).await;
    // Three promised to open for three donors; one donor leaves, and they may promise for two.
    for seat in &k.seats[..3] {
        s.send(seat, R, post(model, 1)).await;
    }
    let before = info().await;
    s.pass(100).await;
    s.send(&k.owner2, D, withdraw(stall.data2)).await;
    s.send(&k.stranger, K, end(2)).await;
    let after = info().await;
    assert_eq!((after.survivors, after.partials, after.attempt), (2, 0, 1));
    assert!(after.openBy >= before.openBy, "the committee has its time again");
    stall.post(model, 1).await;
    assert!(info().await.opened);
    // From the quorum on, nobody leaves.
    s.send(&k.owner, D, withdraw(stall.data)).await;
    s.send(&k.stranger, K, end(1)).await;
    let after = info().await;
    assert_eq!((after.survivors, after.attempt, after.opened), (2, 1, true));
    s.refused(&k.seats[0], R, post_at(model, 1, 1), "AlreadyPosted").await;
    // A liar who is found then takes its post with it; the sum stays open, and there is no second one.
    for seat in &k.seats[..2] {
        s.send(seat, R, blame_member(model, 1, &k.seats[3], MISSING)).await;
    }
    assert_eq!((info().await.partials, info().await.opened), (3, true));
    let accuse = Rounds::accuseCall { modelId, round: 1, donorIndex: 1 };
    s.refused(&k.seats[0], R, accuse, "SumIsOpen").await;
    s.send(&k.trainer, R, finalize(model, 1)).await;
}

/// A donor wants to take part in a round with an enclave that another donor's data are in.
#[tokio::test]
async fn an_update_in_the_name_of_another_donor() {
    let stall = Stall::new().await;
    let (s, k) = (&stall.s, &stall.s.k);
    let model = stall.training().await;
    s.send(&k.trainer, R, stall.open(model, 1_000).await).await;
    let fresh = key(156);
    s.enclave(&k.owner2, &fresh, hash(TRAINING)).await;
    for enclave in [&stall.training2, &fresh] {
        s.refused(&k.owner2, R, stall.update(model, 1, 1, enclave), "ForeignEnclave").await;
    }
}
