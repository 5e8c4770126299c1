//! Owners who lie about their enclave or their data.

use histone_contracts::reasons;
use histone_contracts::{Contract, Datasets, Enclaves, Market, Rounds};
use histone_federation::header::RoundHeader;
use histone_node::answered::Answered;
use histone_program_sdk::config::{Kind, Missing};
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::{B256, U256};

use crate::cast::{Cast, DEADLINE, Model, PRICE, plan, refused, table, with};

/// Owners 0 and 1 donate honestly.
async fn two_honest(cast: &mut Cast) -> u64 {
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    id
}

async fn named(cast: &Cast, model: u64) -> Vec<(u16, u8)> {
    let named = cast.world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named = named.into_iter().filter(|e| e.modelId == U256::from(model));
    named.map(|e| (e.donorIndex, e.reason)).collect()
}

/// The lie about donor 3 is seen before the first round: nobody invites it, it is named, owed nothing, and its weight is
/// nobody's loss; the others train to the end.
async fn goes_on_without(cast: &mut Cast, id: u64, reason: &str) {
    let mut model = cast.begin_blindly(id, plan(2)).await;
    assert_eq!(named(cast, id).await, [(3, reasons::NOT_BELIEVED)], "{reason}");
    let header = cast.header(&mut model, |_| {}).await;
    assert!(!header.has_donor(3), "{reason}");
    let first = cast.round_of(&mut model, &[0, 1]).await;
    cast.train_on(&mut model, &[0, 1], first).await;
    assert_eq!([cast.owed(id, 1).await, cast.owed(id, 3).await], [PRICE, 0], "{reason}");
    let info = Market::modelCall { modelId: U256::from(id) };
    let info = cast.world.ledger.read(Contract::Market, info).await.unwrap();
    let weights: u64 = info.totalWeight.to::<u64>();
    let one = Market::donorCall { modelId: U256::from(id), donorIndex: 1 };
    let one = cast.world.ledger.read(Contract::Market, one).await.unwrap().weight;
    assert_eq!(weights, 2 * u64::from(one), "{reason}");
}

#[tokio::test]
async fn to_train_with_a_plain_key_and_no_enclave_at_all() {
    let mut cast = Cast::new(1).await;
    let id = two_honest(&mut cast).await;
    let key = SigningKey::from_bytes(&[9; 32]).unwrap();
    // Platform 1 and the hash of nothing: no hardware, no evidence.
    cast.donate_with_key(2, id, &key, 1, B256::repeat_byte(5)).await.unwrap();
    goes_on_without(&mut cast, id, "invented evidence").await;
}

#[tokio::test]
async fn to_train_with_the_evidence_of_somebody_elses_enclave() {
    let mut cast = Cast::new(1).await;
    let id = two_honest(&mut cast).await;
    let signer = cast.world.ledger.events::<Market::Donated>(Contract::Market).await.unwrap()[0].enclave;
    let call = Enclaves::enclaveCall { signer };
    let honest = cast.world.ledger.read(Contract::Enclaves, call).await.unwrap();
    let key = SigningKey::from_bytes(&[9; 32]).unwrap();
    cast.donate_with_key(2, id, &key, 0, honest.evidenceHash).await.unwrap();
    goes_on_without(&mut cast, id, "borrowed evidence").await;
}

#[tokio::test]
async fn to_train_with_the_evidence_of_ones_own_real_enclave_and_a_key_outside() {
    let mut cast = Cast::new(1).await;
    let id = two_honest(&mut cast).await;
    let real = cast.start_training(2, id, &plan(2), 7).await;
    cast.register(2, &real).await;
    let key = SigningKey::from_bytes(&[9; 32]).unwrap();
    cast.donate_with_key(2, id, &key, 0, blob_hash(real.evidence())).await.unwrap();
    goes_on_without(&mut cast, id, "own evidence, other key").await;
}

#[tokio::test]
async fn to_train_on_evidence_that_says_it_is_hardware() {
    let mut cast = Cast::new(1).await;
    let id = two_honest(&mut cast).await;
    let (key, evidence) = cast.broken_evidence(2, id, &plan(2), 9).await;
    cast.donate_with_key(2, id, &key, 1, evidence).await.unwrap();
    goes_on_without(&mut cast, id, "platform 1 on the ledger, SIMULATED in the evidence").await;
}

#[tokio::test]
async fn to_be_two_donors_with_one_enclave() {
    let cast = Cast::new(1).await;
    let (_, id) = cast.propose(&plan(2)).await;
    let key = SigningKey::from_bytes(&[9; 32]).unwrap();
    cast.donate_with_key(0, id, &key, 0, B256::repeat_byte(5)).await.unwrap();
    // A second dataset behind the same key: what its enclave would say is signed by hand.
    let again = cast.donation_by(1, id, &key);
    refused(cast.bring(1, id, &again, key.address()).await, "EnclaveTaken");
}

/// A contributor's update leaves the sum when its data is withdrawn before the sum is open; later headers do not invite
/// it; the training goes on; the earlier sum stays and the owner is told so.
#[tokio::test]
async fn to_train_on_withdrawn_and_erased_data() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    for owner in &mut cast.owners {
        owner.observe(&first.0, &world).await.unwrap();
    }
    let histone_enclave::method::Step::Next(next) = first.1 else { panic!() };
    model.training = next;
    // Anchored, then withdrawn: it is out before anybody opens.
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    assert_eq!(cast.trainer.close_round(model.id, 2, &world).await.unwrap(), (3, true));
    let told = cast.owners[2].withdraw(&world).await.unwrap();
    assert_eq!((told.model_id, told.rounds), (Some(model.id), Some(1)));
    assert!(told.to_string().contains("1 opened sum(s) with it stay in the model"), "{told}");
    let partials = cast.open_sum(&header).await;
    let second = cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    assert_eq!(second.0.donors(), [1, 2]);
    // Declared erased too, and asked once more.
    let erased = Datasets::markErasedCall { id: cast.owners[2].dataset() };
    world.ledger.send(&cast.owners[2].party.key, Contract::Datasets, erased).await.unwrap();
    cast.wait(3_600).await;
    for owner in &mut cast.owners[..2] {
        owner.observe(&second.0, &world).await.unwrap();
    }
    let histone_enclave::method::Step::Next(next) = second.1 else { panic!() };
    model.training = next;
    let header = cast.header(&mut model, |_| {}).await;
    assert!(!header.has_donor(3));
    let third = cast.round_of(&mut model, &[0, 1]).await;
    assert_eq!(third.0.donors(), [1, 2]);
    cast.train_on(&mut model, &[0, 1], third).await;
    assert_eq!(cast.owed(model.id, 1).await, PRICE);
}

/// The ledger refuses the update of withdrawn data although nobody has ended its use yet.
#[tokio::test]
async fn to_anchor_an_update_of_withdrawn_data() {
    let mut cast = Cast::new(1).await;
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    let withdraw = Datasets::withdrawCall { id: cast.owners[2].dataset() };
    cast.world.ledger.send(&cast.owners[2].party.key, Contract::Datasets, withdraw).await.unwrap();
    // Its own enclave refuses, and so do the others as long as it is in the cohort.
    for owner in &mut cast.owners {
        refused(owner.contribute(&header, &cast.world).await, "the dataset of donor 3 is withdrawn");
    }
    // A broken one gets nowhere.
    let mut cast = Cast::new(1).await;
    let id = two_honest(&mut cast).await;
    let (key, donor) = cast.donate_broken(2, id, &plan(2), 9).await;
    let mut model = cast.begin(id, plan(2)).await;
    let header = cast.open_round(&mut model).await;
    let withdraw = Datasets::withdrawCall { id: cast.owners[2].dataset() };
    cast.world.ledger.send(&cast.owners[2].party.key, Contract::Datasets, withdraw).await.unwrap();
    refused(cast.anchor_as(&key, &header, donor, B256::repeat_byte(1)).await, "UseEnded");
}

/// Two models over tables that differ by one patient publish that patient: the owner's enclave keeps what it answered
/// for and refuses the second version, whichever model asks. Nor do the members lock it.
#[tokio::test]
async fn to_read_one_patient_off_two_models() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    cast.train_on(&mut model, &[0, 1, 2], first).await;
    // The same table without its last patient, validated anew: the ledger knows it as a version of the same dataset.
    let whole = table(3);
    let fewer = whole.subset(&(0..23).collect::<Vec<_>>()).unwrap();
    let lineage = cast.owners[2].dataset();
    let validation = &cast.validation;
    cast.owners[2].update(fewer, validation, &world).await.unwrap();
    assert_eq!(cast.owners[2].dataset(), lineage);
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    // Its node says so before it donates, its enclave before it answers.
    refused(cast.donate(2, paper, id).await, "was answered for in another version");
    let (mut enclave, donation) = cast.admit(2, id, &plan(2), 5).await;
    cast.register(2, enclave.instance()).await;
    let donor = cast.bring(2, id, &donation, enclave.instance().keys().receipt).await.unwrap();
    let mut second = cast.begin(id, plan(2)).await;
    let header = cast.open_round(&mut second).await;
    cast.owners[0].contribute(&header, &world).await.unwrap();
    let mut memory = Answered::of(&cast.owners[2].party, &world);
    let update = enclave.contribute(&header, donor, &world.ledger, &world.evidence(), &mut memory).await;
    refused(update, "another version of this dataset");
    // Were it a broken enclave, the members would refuse: the other datasets were summed with another version before.
    cast.owners[1].contribute(&header, &world).await.unwrap();
    cast.wait(DEADLINE + 1).await;
    cast.trainer.close_round(second.id, 1, &world).await.unwrap();
    for member in &mut cast.committee {
        refused(member.lock(&header, &world).await, "already opened for another survivor set");
    }
}

/// Two plans over one table that read it a little differently make other sets of rows of it: somebody changes sides, or is clipped,
/// or is left out. Whoever subtracts the sums has that person. Settings of the method alone change no rows.
#[tokio::test]
async fn to_read_one_patient_off_two_plans() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    cast.train_on(&mut model, &[0, 1, 2], first).await;
    let mut others = vec![plan(2); 5];
    others[0].config.holdout = 0.05;
    others[1].config.features[1].kind = Kind::Number { low: 0.0, high: 22.0 };
    others[2].config.features[1].kind = Kind::Number { low: -0.0, high: 23.0 };
    others[3].config.features[0].zero_is_missing = true;
    others[4].config.missing = Missing::Drop {};
    for (other, seed) in others.iter().zip(10..) {
        let (paper, id) = cast.propose(other).await;
        refused(cast.donate(0, paper, id).await, "another held-out share or another rule for missing values");
        // A node that asks nobody: the enclave keeps what it answered for.
        let (mut enclave, donation) = cast.admit(0, id, other, seed).await;
        cast.register(0, enclave.instance()).await;
        let donor = cast.bring(0, id, &donation, enclave.instance().keys().receipt).await.unwrap();
        let (two, donated) = cast.admit(1, id, other, seed + 10).await;
        cast.register(1, two.instance()).await;
        cast.bring(1, id, &donated, two.instance().keys().receipt).await.unwrap();
        let mut second = cast.begin(id, other.clone()).await;
        let header = cast.open_round(&mut second).await;
        let mut memory = Answered::of(&cast.owners[0].party, &world);
        let update = enclave.contribute(&header, donor, &world.ledger, &world.evidence(), &mut memory).await;
        refused(update, "took part in an exact sum before");
    }
    let (paper, id) = cast.propose(&with(plan(2), "ridge", 7.0)).await;
    cast.donate(0, paper, id).await.unwrap();
}

/// A trainer has owners answer under a silly plan and gives up before the sum is open: the deposit returns, and they could never
/// train by a sensible one.
#[tokio::test]
async fn to_bind_owners_to_a_silly_plan_for_ever_and_for_nothing() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut silly = plan(2);
    silly.config.holdout = 0.9;
    let mut model = cast.recruit(silly).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    // As long as it may be opened, nobody answers for anything else.
    let (paper, id) = cast.propose(&plan(2)).await;
    refused(cast.donate(0, paper, id).await, "another held-out share");
    cast.wait(3 * DEADLINE).await;
    cast.trainer.abort(model.id, &world).await.unwrap();
    for owner in 0..3 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut second = cast.begin(id, plan(2)).await;
    let first = cast.round_of(&mut second, &[0, 1, 2]).await;
    cast.train_on(&mut second, &[0, 1, 2], first).await;
}

/// A range of one column that begins between its largest values and those below: everybody but a few is clipped to its
/// beginning, and sums over standardized columns open what those few have.
#[tokio::test]
async fn to_read_a_row_through_a_range_that_few_are_in() {
    let mut cast = Cast::new(1).await;
    for range in [(21.5, 23.0), (0.0, 1.0), (100.0, 200.0)] {
        let mut narrow = plan(2);
        narrow.config.features[0].kind = Kind::Number { low: range.0, high: range.1 };
        let (paper, id) = cast.propose(&narrow).await;
        refused(
            cast.donate(0, paper, id).await,
            "leaves more than one in 10 of the dataset's values outside",
        );
    }
    // Nor does it find the values by halving ranges: what a refusal tells is little, and after three of them a person looks.
    let (paper, id) = cast.propose(&plan(2)).await;
    refused(cast.donate(0, paper, id).await, "3 plans did not fit the values of this dataset");
    cast.donate(1, paper, id).await.unwrap();
}

/// New evidence between the header and the answer changes nothing; evidence that nobody registered does.
#[tokio::test]
async fn to_break_a_round_by_showing_new_evidence() {
    let mut cast = Cast::new(1).await;
    let id = two_honest(&mut cast).await;
    let (key, donor) = cast.donate_broken(2, id, &plan(2), 9).await;
    let mut model = cast.begin(id, plan(2)).await;
    let header = cast.open_round(&mut model).await;
    cast.wait(60).await;
    cast.refresh_broken(2, id, &plan(2), &key).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &cast.world).await.unwrap();
    }
    assert!(answered(&cast, &model, &header, 1).await && !answered(&cast, &model, &header, donor).await);
}

async fn answered(cast: &Cast, model: &Model, header: &RoundHeader, donor: u16) -> bool {
    let call = Rounds::isAnchoredCall {
        modelId: U256::from(model.id),
        round: header.fields().round,
        donorIndex: donor,
    };
    cast.world.ledger.read(Contract::Rounds, call).await.unwrap()
}

/// A donor whose enclave expires holds nobody up: it is not invited any more.
#[tokio::test]
async fn to_hold_a_training_up_by_letting_ones_enclave_expire() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let signer = world.ledger.events::<Market::Donated>(Contract::Market).await.unwrap()[2].enclave;
    let revoke = Enclaves::revokeCall { signer };
    world.ledger.send(&cast.owners[2].party.key, Contract::Enclaves, revoke).await.unwrap();
    let first = cast.round_of(&mut model, &[0, 1]).await;
    assert_eq!(first.0.donors(), [1, 2]);
    assert!(!first.0.header.has_donor(3));
}

/// A round that failed is asked again under the next number: the same question to the same donors.
#[tokio::test]
async fn to_end_a_training_by_missing_one_round() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(3)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.wait(DEADLINE + 1).await;
    assert_eq!(cast.trainer.close_round(model.id, 1, &world).await.unwrap(), (2, false));
    let again = cast.round_of(&mut model, &[0, 1, 2]).await;
    assert_eq!(again.0.header.fields().round, 2);
    cast.train_on(&mut model, &[0, 1, 2], again).await;
    assert_eq!(cast.owed(model.id, 3).await, PRICE);
}
