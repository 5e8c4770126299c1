//! Members of the committee who are silent or lie, and a trainer who works with some of them.

use histone_contracts::reasons;
use histone_contracts::{Contract, Market, Members, Rounds};
use histone_enclave::method::Step;
use histone_federation::plan::Plan;
use histone_node::committee::Lock;
use histone_protocol::U256;
use histone_protocol::hash::blob_hash;

use crate::cast::{Cast, DEADLINE, PRICE, plan, refused};

/// Too few members answer: nobody opens, the round is void after its time, and asked again when they are back.
#[tokio::test]
async fn to_stop_a_training_by_not_opening() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    for member in &mut cast.committee[..5] {
        member.lock(&header, &world).await.unwrap();
    }
    // Five open a sum and six are asked: as long as it is five, none of them shows its part.
    for member in &mut cast.committee[..5] {
        refused(member.publish(&header, &world).await, "no quorum has locked it");
    }
    refused(cast.trainer.void_round(model.id, 1, &world).await, "StillOpening");
    cast.wait(2 * DEADLINE + 1).await;
    refused(cast.committee[5].lock(&header, &world).await, "OpeningOver");
    cast.trainer.void_round(model.id, 1, &world).await.unwrap();
    let again = cast.round_of(&mut model, &[0, 1, 2]).await;
    cast.train_on(&mut model, &[0, 1, 2], again).await;
    assert_eq!(cast.owed(model.id, 1).await, PRICE);
}

/// The same, and the trainer gives up: nothing was opened, so nothing is owed and the whole deposit returns.
#[tokio::test]
async fn to_make_a_trainer_pay_for_a_round_that_nobody_opened() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    cast.wait(2 * DEADLINE + 1).await;
    cast.trainer.void_round(model.id, 1, &world).await.unwrap();
    cast.trainer.abort(model.id, &world).await.unwrap();
    let owed = Market::owedCall { account: cast.trainer.party.account() };
    assert_eq!(world.ledger.read(Contract::Market, owed).await.unwrap(), U256::from(3 * PRICE));
    assert_eq!(cast.owed(model.id, 1).await, 0);
}

/// A sum that a quorum has locked is as good as opened: giving the model up then does not save the donors' payments.
#[tokio::test]
async fn to_get_a_sum_for_free() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    let partials = cast.open_sum(&header).await;
    assert_eq!(partials.len(), 7);
    cast.trainer.abort(model.id, &world).await.unwrap();
    for donor in 1..=3 {
        assert_eq!(cast.owed(model.id, donor).await, PRICE);
    }
    let owed = Market::owedCall { account: cast.trainer.party.account() };
    assert_eq!(world.ledger.read(Contract::Market, owed).await.unwrap(), U256::ZERO);
}

/// With as many donors as the plan needs, one that is the trainer's own stays away from a later round. All are paid for the
/// sum that was opened before.
#[tokio::test]
async fn to_get_a_sum_for_free_with_a_donor_of_its_own_that_stays_away() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(Plan { min_survivors: 3, ..plan(2) }).await;
    let (transcript, step) = cast.round(&mut model).await;
    for owner in &mut cast.owners {
        owner.observe(&transcript, &world).await.unwrap();
    }
    let Step::Next(next) = step else { panic!("one round is no training") };
    (model.training, model.round) = (next, 2);
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.wait(DEADLINE + 1).await;
    cast.trainer.close_round(model.id, 2, &world).await.unwrap();
    cast.trainer.abort(model.id, &world).await.unwrap();
    let owed = [cast.owed(model.id, 1).await, cast.owed(model.id, 2).await, cast.owed(model.id, 3).await];
    assert_eq!(owed, [PRICE; 3]);
    let owed = Market::owedCall { account: cast.trainer.party.account() };
    assert_eq!(world.ledger.read(Contract::Market, owed).await.unwrap(), U256::ZERO);
}

/// One member of seven publishes a wrong partial sum: the sum is right all the same, and the ledger names the member.
#[tokio::test]
async fn to_shift_a_sum_with_a_wrong_partial() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    // The liar posts a hash of its own before it is asked.
    let liar = cast.committee[6].party.account();
    let mut partials = Vec::new();
    for member in &mut cast.committee[..6] {
        member.lock(&header, &world).await.unwrap();
    }
    for member in &mut cast.committee[..6] {
        partials.push(member.publish(&header, &world).await.unwrap());
    }
    let mut lie = world.blobs.get(partials[0]).unwrap();
    let seat = header.fields().committee.iter().position(|s| s.address == liar.into_array()).unwrap();
    // Version, two hashes, then the seat.
    lie[65] = seat as u8 + 1;
    partials.push(world.blobs.put(&lie).unwrap());
    let call = Rounds::postPartialCall {
        modelId: U256::from(model.id),
        round: 1,
        attempt: 0,
        partialHash: blob_hash(&lie),
    };
    world.ledger.send(&cast.committee[6].party.key, Contract::Rounds, call).await.unwrap();
    let (transcript, step) =
        cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    assert!(matches!(step, Step::Next(_)));
    for owner in &mut cast.owners {
        owner.observe(&transcript, &world).await.unwrap();
    }
    for member in &mut cast.committee[..2] {
        assert_eq!(member.name_liars(&transcript, &world).await.unwrap(), [liar]);
    }
    let named = world.ledger.events::<Rounds::MemberNamed>(Contract::Rounds).await.unwrap();
    assert_eq!(
        named.iter().map(|e| (e.member, e.reason)).collect::<Vec<_>>(),
        [(liar, reasons::WRONG_PARTIAL)]
    );
}

/// One member may collude: its word alone strikes nobody.
#[tokio::test]
async fn to_strike_an_honest_donor() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    for reason in [reasons::MISSING, reasons::UNDECODABLE, reasons::NOT_BELIEVED] {
        cast.committee[0].blame_donor(model.id, 1, 2, reason, &world).await.unwrap();
    }
    let Lock::Posted(_) = cast.committee[1].lock(&header, &world).await.unwrap() else { panic!() };
    let survivors = Rounds::survivorsCall { modelId: U256::from(model.id), round: 1 };
    assert_eq!(world.ledger.read(Contract::Rounds, survivors).await.unwrap().count, 3);
}

/// A key that was copied from another member is no proven key: its holder gets no seat and the other one keeps its own.
#[tokio::test]
async fn to_hold_two_shares_with_a_copied_key() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (thief, victim) = (&cast.committee[0], &cast.committee[1]);
    // The victim's own proof, replayed under another account.
    let proof = victim.party.seal.prove(victim.party.account(), world.ledger.deployment().id());
    let key = victim.party.seal.public().0;
    let call = Members::proveSealKeyCall { sealKey: key, r: proof.r, s: proof.s };
    world.ledger.send(&thief.party.key, Contract::Members, call).await.unwrap();
    let (thief, victim) = (thief.party.account(), victim.party.account());
    let model = cast.recruit(plan(2)).await;
    let fixed = histone_enclave::cohort::fixed_committee(U256::from(model.id), &world.ledger);
    let fixed = fixed.await.unwrap().unwrap().event;
    assert!(fixed.seats.contains(&victim) && !fixed.seats.contains(&thief));
    assert_eq!(fixed.seats.len(), 6);
}
