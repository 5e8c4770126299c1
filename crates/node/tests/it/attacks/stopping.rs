//! Whoever wants the trainings of others stopped, or honest parties struck, with a lie of its own.

use histone_contracts::{Contract, Datasets, Enclaves, LedgerError, Market, Members, Rounds};
use histone_enclave::cohort::Watch;
use histone_enclave::method::Step;
use histone_federation::update::{Hpke, Sealer, seal_update};
use histone_node::committee::Lock;
use histone_protocol::keys::SigningKey;
use histone_protocol::plan::PlanDocument;
use histone_protocol::receipt::{self, DonationReceipt, EnclaveRegistration, ValidationReceipt};
use histone_protocol::{B256, U256};

use crate::cast::{Cast, DEADLINE, PRICE, plan, refused};

/// Registers a plain key of an owner as an enclave with evidence of nothing.
pub async fn register_plain(cast: &Cast, owner: usize, key: &SigningKey, measurement: B256) {
    let (ledger, d) = (&cast.world.ledger, cast.world.ledger.deployment());
    let operator = &cast.owners[owner].party.key;
    let r = EnclaveRegistration {
        operator: operator.address(),
        sealKey: B256::repeat_byte(3),
        measurement,
        platform: 0,
        evidenceHash: B256::repeat_byte(5),
        expiresAt: ledger.time().await.unwrap() + 3_600,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), key);
    let e = Enclaves::Enclave {
        signer: key.address(),
        sealKey: r.sealKey,
        measurement,
        platform: 0,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
    };
    let call = Enclaves::registerCall { e, signature: signature.as_slice().to_vec().into() };
    ledger.send(operator, Contract::Enclaves, call).await.unwrap();
}

/// A member changes its key and changes it back. The contract has forgotten its claim and takes no seat for it; everybody
/// else finds its old proof and takes no committee without it. No training starts any more.
#[tokio::test]
async fn to_stop_every_training_by_changing_ones_key_and_back() {
    let mut cast = Cast::new(1).await;
    let ledger = cast.world.ledger.clone();
    let member = cast.committee[0].party.key.clone();
    let key = cast.committee[0].party.seal.public().0;
    let profile = B256::repeat_byte(1);
    for seal_key in [B256::repeat_byte(9), key] {
        let call = Members::updateCall { profile, sealKey: seal_key };
        ledger.send(&member, Contract::Members, call).await.unwrap();
    }
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    cast.trainer.start(id, &cast.world).await.expect("a training starts with or without this member");
    let leading = cast.trainer.lead(id, 2, DEADLINE, DEADLINE, &cast.world).await.unwrap();
    let training = crate::cast::start(plan(2));
    let mut model = crate::cast::Model { id, training, leading, round: 1 };
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &cast.world).await.expect("its committee is right");
    }
}

/// An invented dataset of the third owner, which a plain key has "validated", and a donation of it with another plain key.
async fn invent(cast: &Cast, validator: &SigningKey, n: u8, id: u64) -> Result<(), LedgerError> {
    let (ledger, d) = (&cast.world.ledger, cast.world.ledger.deployment().clone());
    let owner = cast.owners[2].party.key.clone();
    let r = ValidationReceipt {
        owner: owner.address(),
        root: B256::repeat_byte(n),
        reportHash: B256::repeat_byte(1),
        rows: 1_000_000,
        quality: 3,
        replaces: B256::ZERO,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.datasets), validator);
    let call = Datasets::registerCall {
        root: r.root,
        reportHash: r.reportHash,
        policyHash: B256::repeat_byte(1),
        rows: r.rows,
        quality: r.quality,
        enclave: validator.address(),
        signature: signature.as_slice().to_vec().into(),
    };
    ledger.send(&owner, Contract::Datasets, call).await.unwrap();
    let key = SigningKey::from_bytes(&[60 + n; 32]).unwrap();
    register_plain(cast, 2, &key, B256::from(cast.loaded.method.program().program().measurement())).await;
    let r = DonationReceipt {
        modelId: U256::from(id),
        datasetId: histone_contracts::dataset_id(owner.address(), r.root),
        root: r.root,
        payee: owner.address(),
        decision: B256::repeat_byte(1),
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.market), &key);
    let donation = histone_enclave::training::Donation { receipt: r, signature };
    cast.bring(2, id, &donation, key.address()).await.map(|_| ())
}

/// The third owner's plain key that says it is a validation enclave.
async fn plain_validator(cast: &Cast) -> SigningKey {
    let validator = SigningKey::from_bytes(&[50; 32]).unwrap();
    register_plain(cast, 2, &validator, B256::from(cast.loaded.validation.program().measurement())).await;
    validator
}

/// An owner with a plain key that says it is a validation enclave, and one for each place: no evidence, no rows. It takes
/// all places of a model before the honest ones come. Nobody is struck while a model recruits, and a place never comes back.
#[tokio::test]
async fn to_keep_honest_owners_out_by_taking_every_place() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    let validator = plain_validator(&cast).await;
    for place in 1..=3u8 {
        invent(&cast, &validator, place, id).await.unwrap();
    }
    assert_eq!(cast.trainer.refuse_unbelieved(id, &world).await.unwrap(), [1, 2, 3]);
    for honest in 0..2 {
        cast.donate(honest, paper, id).await.expect("there is a place for an honest owner");
    }
}

/// The same owner leaves before the trainer looks, and comes again with another invented dataset, for ever.
#[tokio::test]
async fn to_keep_a_place_by_leaving_before_one_is_refused() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    let validator = plain_validator(&cast).await;
    // An honest owner that leaves is not refused for it.
    cast.donate(0, paper, id).await.unwrap();
    cast.owners[0].withdraw(&world).await.unwrap();
    invent(&cast, &validator, 1, id).await.unwrap();
    let (owner, root) = (cast.owners[2].party.key.clone(), B256::repeat_byte(1));
    let withdraw = Datasets::withdrawCall { id: histone_contracts::dataset_id(owner.address(), root) };
    world.ledger.send(&owner, Contract::Datasets, withdraw).await.unwrap();
    assert_eq!(cast.trainer.refuse_unbelieved(id, &world).await.unwrap(), [2]);
    refused(invent(&cast, &validator, 2, id).await, "OwnerRefused");
    assert_eq!(cast.trainer.refuse_unbelieved(id, &world).await.unwrap(), [0u16; 0]);
    cast.donate(1, paper, id).await.expect("there is a place for an honest owner");
}

/// It leaves as often as it likes, which costs gas only: the trainer looks at one of its donations and refuses it once.
#[tokio::test]
async fn to_make_a_start_take_hours_by_leaving_many_times() {
    let cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (_, id) = cast.propose(&plan(2)).await;
    let validator = plain_validator(&cast).await;
    let owner = cast.owners[2].party.key.clone();
    for n in 1..=4u8 {
        invent(&cast, &validator, n, id).await.unwrap();
        let dataset = histone_contracts::dataset_id(owner.address(), B256::repeat_byte(n));
        world.ledger.send(&owner, Contract::Datasets, Datasets::withdrawCall { id: dataset }).await.unwrap();
        let call = Market::endUseCall { modelId: U256::from(id), donorIndex: n.into() };
        world.ledger.send(&owner, Contract::Market, call).await.unwrap();
    }
    assert_eq!(cast.trainer.refuse_unbelieved(id, &world).await.unwrap(), [1]);
    let sent = world.ledger.events::<Market::DonorRefused>(Contract::Market).await.unwrap();
    assert_eq!(sent.iter().map(|e| e.owner).collect::<Vec<_>>(), [owner.address()]);
    // Whoever is refused is not looked at again.
    let mut watch = Watch::new(U256::from(id), world.cohort_policy(id).await.unwrap());
    assert_eq!(watch.left_unbelieved(&world.evidence(), &world.ledger).await.unwrap().len(), 0);
}

/// One owner registers a dataset that a plain key has "validated". No real validation enclave has its sketch, and an
/// enclave that lacks the sketch of a dataset in force gives no receipt to anybody. Only its owner can withdraw it.
#[tokio::test]
async fn to_stop_every_validation_with_one_invented_dataset() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let d = world.ledger.deployment().clone();
    let validator = SigningKey::from_bytes(&[50; 32]).unwrap();
    let measurement = B256::from(cast.loaded.validation.program().measurement());
    register_plain(&cast, 2, &validator, measurement).await;
    let owner = cast.owners[2].party.key.clone();
    let r = ValidationReceipt {
        owner: owner.address(),
        root: B256::repeat_byte(1),
        reportHash: B256::repeat_byte(1),
        rows: 1,
        quality: 1,
        replaces: B256::ZERO,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.datasets), &validator);
    let call = Datasets::registerCall {
        root: r.root,
        reportHash: r.reportHash,
        policyHash: B256::repeat_byte(1),
        rows: r.rows,
        quality: r.quality,
        enclave: validator.address(),
        signature: signature.as_slice().to_vec().into(),
    };
    world.ledger.send(&owner, Contract::Datasets, call).await.unwrap();
    let validation = &cast.validation;
    let waits = cast.owners[0].update(crate::cast::table(9), validation, &world).await;
    assert!(waits.is_err(), "whoever hides a sketch of its own is found out");
    // The members strike it: here the founder, elsewhere a vote.
    let id = histone_contracts::dataset_id(owner.address(), r.root);
    world.ledger.send(&cast.operator.key, Contract::Datasets, Datasets::strikeCall { id }).await.unwrap();
    cast.owners[0]
        .update(crate::cast::table(9), validation, &world)
        .await
        .expect("an honest owner has its table validated");
}

/// The runner whose validation enclave has validated everybody revokes it. Its work was done and was good; every honest
/// member votes every honest donor out, and the ledger pays them nothing.
#[tokio::test]
async fn to_have_all_honest_donors_struck_by_revoking_ones_validation_enclave() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let revoke = Enclaves::revokeCall { signer: cast.validation.instance().keys().receipt };
    world.ledger.send(&cast.runner.party.key, Contract::Enclaves, revoke).await.unwrap();
    cast.begin(id, plan(2)).await;
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named: Vec<_> = named.iter().map(|e| (e.donorIndex, e.reason)).collect();
    assert!(named.is_empty(), "honest donors are named: {named:?}");
}

/// The trainer closes the round when the time for answers is over, and one member accuses an honest donor in the same
/// moment: every honest member finds that it has not answered and votes. The donor, in two opened sums already, is struck
/// on the word of one member and paid nothing; its payment goes back to the trainer.
#[tokio::test]
async fn to_strike_an_honest_donor_by_accusing_it_when_nobody_can_answer() {
    let mut cast = Cast::new(1).await;
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
    cast.wait(DEADLINE + DEADLINE / 2 + 2).await;
    cast.trainer.close_round(model.id, 3, &world).await.unwrap();
    let call = Rounds::accuseCall { modelId: U256::from(model.id), round: 3, donorIndex: 2 };
    world.ledger.send(&cast.committee[0].party.key, Contract::Rounds, call).await.unwrap();
    for member in &mut cast.committee[1..4] {
        assert_eq!(member.lock(&header, &world).await.unwrap(), Lock::Striking(vec![2]));
    }
    let accuser = cast.committee[0].party.account();
    assert_eq!(cast.owners[1].answer_accusations(&header, &world).await.unwrap(), [accuser]);
    for member in &mut cast.committee[1..] {
        member.lock(&header, &world).await.unwrap();
    }
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named: Vec<_> = named.iter().map(|e| (e.donorIndex, e.reason)).collect();
    assert!(named.is_empty(), "an honest donor is named by one liar: {named:?}");
}

/// A sealer that hands one seat a share beside the polynomial of the others. It opens well.
struct Beside([u8; 32]);

impl Sealer for Beside {
    fn seal(
        &self,
        public_key: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        randomness: &[u8; 32],
    ) -> Result<Vec<u8>, histone_federation::BoxError> {
        let mut plaintext = plaintext.to_vec();
        if *public_key == self.0 {
            plaintext[0] ^= 1;
        }
        Hpke.seal(public_key, info, aad, &plaintext, randomness)
    }
}

/// A donor with a broken enclave gives one honest member a wrong share. That member's partial sum is the one that
/// contradicts the others, so the others name *it*, and it takes part no more. A second time, and no quorum is left.
#[tokio::test]
async fn to_have_an_honest_member_named_for_ones_own_wrong_share() {
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
    let secret = histone_protocol::secret::Root::from_bytes([9; 32]);
    let values = vec![0.0; header.dimension()];
    let victim = cast.committee[3].party.seal.public().0.0;
    let blob = seal_update(&header, donor, &values, &Beside(victim), &secret).unwrap();
    cast.anchor_as(&key, &header, donor, world.blobs.put(&blob).unwrap()).await.unwrap();
    cast.trainer.close_round(id, 1, &world).await.unwrap();
    let partials = cast.open_sum(&header).await;
    let (transcript, _) =
        cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    for member in &mut cast.committee[..2] {
        member.name_liars(&transcript, &world).await.unwrap();
    }
    let member = cast.committee[3].party.account();
    let named = Rounds::isNamedCall { modelId: U256::from(id), member };
    assert!(!world.ledger.read(Contract::Rounds, named).await.unwrap(), "an honest member loses its part");
}

/// The trainer refuses three donors of an owner without an enclave, and the same owner takes the three places again in the
/// next block: a donation each, prepared beforehand.
#[tokio::test]
async fn to_take_every_place_again_as_often_as_it_is_refused() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (ledger, d) = (&world.ledger, world.ledger.deployment().clone());
    let (paper, id) = cast.propose(&plan(2)).await;
    let owner = cast.owners[2].party.key.clone();
    let validator = SigningKey::from_bytes(&[50; 32]).unwrap();
    register_plain(&cast, 2, &validator, B256::from(cast.loaded.validation.program().measurement())).await;
    let mut ready = Vec::new();
    for place in 1..=9u8 {
        let r = ValidationReceipt {
            owner: owner.address(),
            root: B256::repeat_byte(place),
            reportHash: B256::repeat_byte(1),
            rows: 1_000_000,
            quality: 3,
            replaces: B256::ZERO,
        };
        let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.datasets), &validator);
        let call = Datasets::registerCall {
            root: r.root,
            reportHash: r.reportHash,
            policyHash: B256::repeat_byte(1),
            rows: r.rows,
            quality: r.quality,
            enclave: validator.address(),
            signature: signature.as_slice().to_vec().into(),
        };
        ledger.send(&owner, Contract::Datasets, call).await.unwrap();
        let key = SigningKey::from_bytes(&[60 + place; 32]).unwrap();
        register_plain(&cast, 2, &key, B256::from(cast.loaded.method.program().program().measurement()))
            .await;
        let r = DonationReceipt {
            modelId: U256::from(id),
            datasetId: histone_contracts::dataset_id(owner.address(), r.root),
            root: r.root,
            payee: owner.address(),
            decision: B256::repeat_byte(1),
        };
        let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.market), &key);
        ready.push((histone_enclave::training::Donation { receipt: r, signature }, key.address()));
    }
    let mut taken = 0;
    for wave in ready.chunks(3) {
        for (donation, key) in wave {
            taken += usize::from(cast.bring(2, id, donation, *key).await.is_ok());
        }
        if taken < 9 {
            cast.trainer.refuse_unbelieved(id, &world).await.unwrap();
        }
    }
    let honest = cast.donate(0, paper, id).await;
    assert!(
        taken == 3 && honest.is_ok(),
        "a refused owner took {taken} places, and an honest one hears {honest:?}"
    );
}

/// The plan gives the committee ten minutes; the trainer opens a round with three seconds, which nobody looks at while the
/// training goes on. A third of that is one second: one member accuses an honest donor, and every honest member that looks
/// later finds no answer in time and votes.
#[tokio::test]
async fn to_strike_an_honest_donor_by_giving_the_committee_other_times_than_the_plan() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let (transcript, step) = cast.round_of(&mut model, &[0, 1, 2]).await;
    for owner in &mut cast.owners {
        owner.observe(&transcript, &world).await.unwrap();
    }
    let Step::Next(next) = step else { panic!() };
    model.training = next;
    model.leading.opening_seconds = 3;
    let header = cast.open_round(&mut model).await;
    // Nobody takes part in such a round.
    for owner in &mut cast.owners {
        refused(owner.contribute(&header, &world).await, "gives the committee 3 s");
    }
    cast.wait(DEADLINE + 1).await;
    assert!(!cast.trainer.close_round(model.id, 2, &world).await.unwrap().1);
    // Nor in one that takes longer than was said: what members promise in it holds until its end.
    let month = 29 * 24 * 3_600;
    model.leading.opening_seconds = month;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        refused(owner.contribute(&header, &world).await, &format!("gives the committee {month} s"));
    }
    cast.wait(DEADLINE + 1).await;
    assert!(!cast.trainer.close_round(model.id, 3, &world).await.unwrap().1);
    let owed = {
        cast.trainer.abort(model.id, &world).await.unwrap();
        [cast.owed(model.id, 1).await, cast.owed(model.id, 2).await]
    };
    assert_eq!(owed, [PRICE, PRICE]);
    // Nor does a plan promise so little.
    let short = PlanDocument { opening_seconds: 3, ..cast.document(&plan(2)) };
    let refusal = PlanDocument::from_bytes(&short.to_bytes()).unwrap_err();
    assert!(refusal.to_string().contains("60 s are the least"), "{refusal}");
}
