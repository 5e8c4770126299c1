//! Shares that do not open, and members who say so although they do.

use histone_contracts::reasons;
use histone_contracts::{Contract, Rounds};
use histone_node::committee::Lock;
use histone_protocol::U256;

use crate::cast::{Cast, DEADLINE, PRICE, plan, refused};

/// One member calls a good share unreadable, to strike a donor: the donor's enclave shows that one share, the others see
/// who lies, and the round goes on without the liar.
#[tokio::test]
async fn to_strike_a_donor_by_a_false_accusation() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    let liar = cast.committee[0].party.account();
    let call = Rounds::accuseCall { modelId: U256::from(model.id), round: 1, donorIndex: 2 };
    world.ledger.send(&cast.committee[0].party.key, Contract::Rounds, call).await.unwrap();
    // As long as nothing is decided nobody locks.
    assert_eq!(cast.committee[1].lock(&header, &world).await.unwrap(), Lock::Striking(vec![2]));
    assert!(cast.owners[0].answer_accusations(&header, &world).await.unwrap().is_empty());
    assert_eq!(cast.owners[1].answer_accusations(&header, &world).await.unwrap(), [liar]);
    for member in &mut cast.committee[1..3] {
        member.lock(&header, &world).await.unwrap();
    }
    let named = world.ledger.events::<Rounds::MemberNamed>(Contract::Rounds).await.unwrap();
    assert_eq!(
        named.iter().map(|e| (e.member, e.reason)).collect::<Vec<_>>(),
        [(liar, reasons::FALSE_ACCUSATION)]
    );
    let mut partials = Vec::new();
    for member in &mut cast.committee[1..] {
        assert!(matches!(member.lock(&header, &world).await.unwrap(), Lock::Posted(_)));
    }
    for member in &mut cast.committee[1..] {
        partials.push(member.publish(&header, &world).await.unwrap());
    }
    let (transcript, _) =
        cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    assert_eq!(transcript.donors(), [1, 2, 3]);
    refused(cast.committee[0].lock(&header, &world).await, "is not closed");
}

/// A donor whose share for one member is rubbish and who has nothing to show is struck and paid nothing.
#[tokio::test]
async fn to_send_one_member_a_share_that_does_not_open() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let (key, donor) = cast.donate_broken(2, id, &plan(2), 9).await;
    let mut model = cast.begin(id, plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    // A whole update, but for the last byte of the last seat's share.
    let secret = histone_protocol::secret::Root::from_bytes([9; 32]);
    let values = vec![0.0; header.dimension()];
    let sealer = histone_federation::update::Hpke;
    let mut blob =
        histone_federation::update::seal_update(&header, donor, &values, &sealer, &secret).unwrap();
    *blob.last_mut().unwrap() ^= 1;
    cast.anchor_as(&key, &header, donor, world.blobs.put(&blob).unwrap()).await.unwrap();
    cast.trainer.close_round(id, 1, &world).await.unwrap();
    let last = header.fields().committee.last().unwrap().address;
    let at = cast.committee.iter().position(|m| m.party.account().into_array() == last).unwrap();
    assert_eq!(cast.committee[at].lock(&header, &world).await.unwrap(), Lock::Striking(vec![donor]));
    let other = (at + 1) % 7;
    assert_eq!(cast.committee[other].lock(&header, &world).await.unwrap(), Lock::Striking(vec![donor]));
    // It has half of the committee's time to answer.
    cast.wait(DEADLINE + DEADLINE / 2 + 1).await;
    let partials = cast.open_sum(&header).await;
    let first = cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    assert_eq!(first.0.donors(), [1, 2]);
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    assert_eq!(
        named.iter().map(|e| (e.donorIndex, e.reason)).collect::<Vec<_>>(),
        [(donor, reasons::UNREADABLE)]
    );
    cast.train_on(&mut model, &[0, 1], first).await;
    assert_eq!([cast.owed(id, 1).await, cast.owed(id, donor).await], [PRICE, 0]);
}

/// An enclave opens a share to its accuser only, and only when it was accused.
#[tokio::test]
async fn to_read_shares_of_other_members_by_accusing() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    // Not a member of the committee: the ledger does not hear it.
    let call = || Rounds::accuseCall { modelId: U256::from(model.id), round: 1, donorIndex: 2 };
    refused(world.ledger.send(&cast.trainer.party.key, Contract::Rounds, call()).await, "NotSeated");
    world.ledger.send(&cast.committee[0].party.key, Contract::Rounds, call()).await.unwrap();
    refused(
        world.ledger.send(&cast.committee[0].party.key, Contract::Rounds, call()).await,
        "AlreadyAccused",
    );
    let accuser = cast.committee[0].party.account();
    assert_eq!(cast.owners[1].answer_accusations(&header, &world).await.unwrap(), [accuser]);
    // Once, and nothing about other seats.
    assert!(cast.owners[1].answer_accusations(&header, &world).await.unwrap().is_empty());
    let opened = world.ledger.events::<Rounds::ShareOpened>(Contract::Rounds).await.unwrap();
    let blob = world.blobs.get(opened[0].blobHash).unwrap();
    let shown = histone_federation::dispute::ShareOpening::decode(&blob, &header).unwrap();
    let seat = header.fields().committee.iter().position(|s| s.address == accuser.into_array()).unwrap();
    assert_eq!((opened.len(), usize::from(shown.member()), shown.donor()), (1, seat + 1, 2));
}
