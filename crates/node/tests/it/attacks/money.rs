//! Whoever wants a model, a sum or the time of others' money for nothing.

use histone_contracts::{Contract, Enclaves, Market, Programs, Rounds};
use histone_enclave::method::Step;
use histone_federation::header::RoundHeader;
use histone_node::committee::Lock;
use histone_node::trainer::Offer;
use histone_protocol::consent::WhitePaper;
use histone_protocol::{B256, U256};

use crate::cast::{Cast, DEADLINE, Model, PRICE, plan, refused};

async fn trainer_is_owed(cast: &Cast) -> u64 {
    let owed = Market::owedCall { account: cast.trainer.party.account() };
    cast.world.ledger.read(Contract::Market, owed).await.unwrap().to()
}

/// A model of which all sums but the last are open, the last one asked and answered by everybody.
async fn before_the_last_sum(cast: &mut Cast) -> (Model, RoundHeader) {
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    for _ in 0..2 {
        let (transcript, step) = cast.round_of(&mut model, &[0, 1, 2]).await;
        for owner in &mut cast.owners {
            owner.observe(&transcript, &world).await.unwrap();
        }
        let Step::Next(next) = step else { panic!() };
        model.training = next;
    }
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    (model, header)
}

/// A trainer and one donor: when only the last sum is missing and everybody knows the model, the donor's operator revokes
/// its own enclave between closing and opening. No honest member opens a round with it, it cannot be struck (it took part
/// before), so the round is void, and a void round gives the whole deposit back.
#[tokio::test]
async fn to_get_a_model_for_nothing_by_ending_ones_enclave_before_the_last_sum() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (model, header) = before_the_last_sum(&mut cast).await;
    let round = header.fields().round;
    assert_eq!(cast.trainer.close_round(model.id, round, &world).await.unwrap(), (3, true));
    let signer = world.ledger.events::<Market::Donated>(Contract::Market).await.unwrap()[2].enclave;
    let revoke = Enclaves::revokeCall { signer };
    world.ledger.send(&cast.owners[2].party.key, Contract::Enclaves, revoke).await.unwrap();
    // It was believed when the round was opened, and is in the sum.
    cast.open_sum(&header).await;
    cast.wait(2 * DEADLINE + 1).await;
    assert!(cast.trainer.void_round(model.id, round, &world).await.is_err());
    cast.trainer.abort(model.id, &world).await.unwrap();
    assert_eq!(cast.owed(model.id, 1).await, PRICE, "an honest donor of opened sums is paid");
    assert_eq!(trainer_is_owed(&cast).await, 0);
}

/// The trainer alone: it closes the last round when the committee's time is over already, so that it is void in the same
/// moment, as if the committee had missed it, and the whole deposit is the trainer's.
#[tokio::test]
async fn to_get_a_model_for_nothing_by_closing_the_last_round_too_late() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (model, header) = before_the_last_sum(&mut cast).await;
    cast.wait(2 * DEADLINE + 1).await;
    cast.trainer.close_round(model.id, 3, &world).await.unwrap();
    // The committee has its time from now on.
    assert!(cast.trainer.void_round(model.id, 3, &world).await.is_err());
    cast.open_sum(&header).await;
    cast.trainer.abort(model.id, &world).await.unwrap();
    assert_eq!(cast.owed(model.id, 1).await, PRICE, "an honest donor of opened sums is paid");
}

/// The trainer alone, as the author of the training program, which it may revoke at any time.
#[tokio::test]
async fn to_get_a_model_for_nothing_by_revoking_ones_own_program() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (model, header) = before_the_last_sum(&mut cast).await;
    cast.trainer.close_round(model.id, 3, &world).await.unwrap();
    let measurement = B256::from(cast.loaded.method.program().program().measurement());
    let revoke = Programs::revokeCall { measurement };
    world.ledger.send(&cast.trainer.party.key, Contract::Programs, revoke).await.unwrap();
    cast.open_sum(&header).await;
    cast.wait(2 * DEADLINE + 1).await;
    assert!(cast.trainer.void_round(model.id, 3, &world).await.is_err());
    cast.trainer.abort(model.id, &world).await.unwrap();
    assert_eq!(cast.owed(model.id, 1).await, PRICE, "an honest donor of opened sums is paid");
}

/// Two models over the same columns, the second without one owner. The members lock the sum and then refuse to show it:
/// for the ledger it is open, so the trainer pays everybody and has nothing, and the round can be neither void nor
/// repeated.
#[tokio::test]
async fn to_make_a_trainer_pay_for_a_sum_that_members_lock_and_then_refuse() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut first = cast.recruit(plan(2)).await;
    cast.train(&mut first).await;
    let before = trainer_is_owed(&cast).await;
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut second = cast.begin(id, plan(2)).await;
    let header = cast.open_round(&mut second).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(id, 1, &world).await.unwrap();
    for member in &mut cast.committee {
        refused(member.lock(&header, &world).await, "already opened for another survivor set");
    }
    cast.wait(2 * DEADLINE + 1).await;
    cast.trainer.void_round(id, 1, &world).await.unwrap();
    cast.trainer.abort(id, &world).await.unwrap();
    let deposit = 3 * PRICE;
    assert_eq!(trainer_is_owed(&cast).await - before, deposit, "nobody opened anything");
    assert_eq!(U256::from(cast.owed(id, 1).await), U256::ZERO);
}

/// Donors of opened sums are to be paid when a trainer is silent for 30 days; one who opens another round of a year, which
/// nobody can answer, whenever the last one failed, is never silent.
#[tokio::test]
async fn to_keep_the_donors_payments_for_ever_by_opening_rounds() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    cast.round_of(&mut model, &[0, 1, 2]).await;
    const MONTH: u64 = 30 * 24 * 3_600 - 10;
    for month in 0..3 {
        let deadline = world.ledger.time().await.unwrap() + MONTH;
        let call = Rounds::openCall {
            modelId: U256::from(model.id),
            headerHash: B256::repeat_byte(7),
            deadline,
            openBy: deadline + 1,
        };
        world.ledger.send(&cast.trainer.party.key, Contract::Rounds, call).await.unwrap();
        cast.wait(MONTH + 1).await;
        cast.trainer.close_round(model.id, 2 + month, &world).await.unwrap();
    }
    let call = Market::abortTrainingCall { modelId: U256::from(model.id) };
    let ended = world.ledger.send(&cast.owners[0].party.key, Contract::Market, call).await;
    assert!(ended.is_ok() && cast.owed(model.id, 1).await == PRICE, "three months later a donor can be paid");
}

/// A user pays, nobody answers, and the price comes back in 136 years: nothing bounds the time of a query, no white paper
/// says it and no user's node looks.
#[tokio::test]
async fn to_keep_a_users_money_for_longer_than_it_lives() {
    let cast = Cast::new(1).await;
    let document = cast.document(&plan(2));
    let paper = WhitePaper { plan: document.hash(), ..cast.paper() };
    let offer = Offer {
        plan: cast.world.blobs.put(&document.to_bytes()).unwrap(),
        min_survivors: 2,
        colluders: 1,
        min_donors: 2,
        max_donors: 3,
        query_timeout: u32::MAX,
    };
    let proposed = cast.trainer.propose(&paper, offer, &cast.world).await;
    assert!(proposed.is_err(), "a query that is open for 136 years");
}

/// Two trainings over the same columns, the second without one owner, whose rounds are closed at the same time. Members
/// ask their memory before they lock, but a lock is not in it: they lock both and show one. The other is open for the
/// ledger, is paid, and can be neither void nor repeated.
#[tokio::test]
async fn to_make_a_trainer_pay_for_one_of_two_sums_that_are_locked_at_once() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut first = cast.recruit(plan(2)).await;
    let one = cast.open_round(&mut first).await;
    for owner in &mut cast.owners {
        owner.contribute(&one, &world).await.unwrap();
    }
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut second = cast.begin(id, plan(2)).await;
    let two = cast.open_round(&mut second).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&two, &world).await.unwrap();
    }
    cast.trainer.close_round(first.id, 1, &world).await.unwrap();
    cast.trainer.close_round(id, 1, &world).await.unwrap();
    let mut locked = [0, 0];
    for member in &mut cast.committee {
        for (header, locked) in [&two, &one].into_iter().zip(&mut locked) {
            *locked += usize::from(matches!(member.lock(header, &world).await, Ok(Lock::Posted(_))));
        }
    }
    let mut shown = [0, 0];
    for member in &mut cast.committee {
        for (header, shown) in [&two, &one].into_iter().zip(&mut shown) {
            *shown += usize::from(member.publish(header, &world).await.is_ok());
        }
    }
    let void = cast.trainer.void_round(first.id, 1, &world).await;
    cast.trainer.abort(first.id, &world).await.unwrap();
    let owed = cast.owed(first.id, 1).await;
    assert!(
        shown[1] >= 5 || owed == 0,
        "locked {locked:?}, shown {shown:?}, void {:?}: the first trainer owes {owed} to each donor for a sum that nobody shows",
        void.is_ok()
    );
}

/// The pauser alone: nobody opens a round while the market is paused, and the sixty days after the last opened sum go on.
#[tokio::test]
async fn to_make_a_trainer_pay_for_half_a_model_by_a_pause() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let (transcript, step) = cast.round_of(&mut model, &[0, 1, 2]).await;
    for owner in &mut cast.owners {
        owner.observe(&transcript, &world).await.unwrap();
    }
    let Step::Next(next) = step else { panic!() };
    model.training = next;
    let pauser = cast.party_again("auditor");
    world.ledger.hand_over(&cast.operator.key, pauser.account()).await.unwrap();
    world.ledger.send(&pauser.key, Contract::Market, Market::pauseCall {}).await.unwrap();
    assert!(cast.trainer.open_round(&model.training.asked(), &mut model.leading, &world).await.is_err());
    cast.wait(60 * 24 * 3_600 + 1).await;
    let call = Market::abortTrainingCall { modelId: U256::from(model.id) };
    let ended = world.ledger.send(&cast.owners[0].party.key, Contract::Market, call).await;
    assert!(
        ended.is_err(),
        "a donor ends a training that was paused all the time; it is owed {}",
        cast.owed(model.id, 1).await
    );
}

/// One member locks the hash of nothing and shows nothing, while one honest member is away: a quorum has locked, so the sum
/// is open and paid for, and one partial sum is missing. The trainer waits, the honest one comes back, and the enclaves go on.
#[tokio::test]
async fn to_make_a_trainer_pay_by_locking_and_showing_nothing() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    let liar = cast.committee.pop().unwrap();
    let mut away = cast.committee.pop().unwrap();
    let call = Rounds::postPartialCall {
        modelId: U256::from(model.id),
        round: 1,
        attempt: 0,
        partialHash: B256::repeat_byte(8),
    };
    world.ledger.send(&liar.party.key, Contract::Rounds, call).await.unwrap();
    let mut partials = cast.open_sum(&header).await;
    // A sum of five would hide that one of them is wrong.
    let early = cast.trainer.finish_round(&model.training, &header, &partials, &world).await;
    refused(early, "5 partial sums are shown, 6 are asked");
    cast.wait(3 * DEADLINE).await;
    away.lock(&header, &world).await.unwrap();
    partials.push(away.publish(&header, &world).await.unwrap());
    let finished = cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    for owner in &mut cast.owners {
        owner.observe(&finished.0, &world).await.unwrap();
    }
}

/// A liar gives the last lock that is needed, of nothing, together with an accusation: the sum is open, and nobody can answer
/// any more. Whoever is slow locks and shows all the same.
#[tokio::test]
async fn to_make_a_trainer_pay_by_accusing_and_locking_nothing() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    let liar = cast.committee.pop().unwrap();
    let mut slow = cast.committee.pop().unwrap();
    for member in &mut cast.committee {
        member.lock(&header, &world).await.unwrap();
    }
    let (id, key) = (U256::from(model.id), &liar.party.key);
    let accuse = Rounds::accuseCall { modelId: id, round: 1, donorIndex: 1 };
    world.ledger.send(key, Contract::Rounds, accuse).await.unwrap();
    let nothing = B256::repeat_byte(8);
    let post = Rounds::postPartialCall { modelId: id, round: 1, attempt: 0, partialHash: nothing };
    world.ledger.send(key, Contract::Rounds, post).await.unwrap();
    slow.lock(&header, &world).await.unwrap();
    let mut partials = vec![slow.publish(&header, &world).await.unwrap()];
    for member in &mut cast.committee {
        partials.push(member.publish(&header, &world).await.unwrap());
    }
    cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
}

/// A second model over the same data is given up when two members have locked its round: what they promised ends with it,
/// and holds nobody else's sum.
#[tokio::test]
async fn to_hold_promises_of_members_for_nothing() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut puppet = cast.begin(id, plan(2)).await;
    let header = cast.open_round(&mut puppet).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(id, 1, &world).await.unwrap();
    for member in &mut cast.committee[..2] {
        member.lock(&header, &world).await.unwrap();
    }
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    refused(cast.committee[0].lock(&header, &world).await, "already opened for another survivor set");
    cast.trainer.abort(id, &world).await.unwrap();
    cast.open_sum(&header).await;
}
