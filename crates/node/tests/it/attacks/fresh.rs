//! What works against the rules of the second revision. Each test fails as long as its attack works.

use histone_federation::plan::Step;
use histone_federation::update::{Hpke, seal_update};
use histone_ledger::contracts::{Contract, Datasets, Enclaves, Market, Rounds};
use histone_node::committee::Lock;
use histone_protocol::evidence::EnclaveKeys;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, DonationReceipt, EnclaveRegistration, ValidationReceipt};
use histone_protocol::seal::SealPublicKey;
use histone_protocol::secret::Root;
use histone_protocol::{B256, U256};

use crate::cast::{Cast, DEADLINE, PRICE, plan};

/// The registration of a key with evidence, and its end.
fn registration(
    cast: &Cast,
    owner: usize,
    key: &SigningKey,
    evidence: B256,
    expires: u64,
) -> (EnclaveRegistration, Vec<u8>) {
    let d = cast.world.ledger.deployment();
    let r = EnclaveRegistration {
        operator: cast.owners[owner].party.account(),
        sealKey: B256::repeat_byte(3),
        measurement: B256::from(cast.loaded.training.program().measurement()),
        platform: 0,
        evidenceHash: evidence,
        expiresAt: expires,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), key);
    (r, signature.as_slice().to_vec())
}

async fn register(cast: &Cast, owner: usize, key: &SigningKey, evidence: B256, expires: u64) {
    let (r, signature) = registration(cast, owner, key, evidence, expires);
    let e = Enclaves::Enclave {
        signer: key.address(),
        sealKey: r.sealKey,
        measurement: r.measurement,
        platform: r.platform,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
    };
    let call = Enclaves::registerCall { e, signature: signature.into() };
    cast.world.ledger.send(&cast.owners[owner].party.key, Contract::Enclaves, call).await.unwrap();
}

async fn refresh(cast: &Cast, owner: usize, key: &SigningKey, evidence: B256, expires: u64) {
    let (r, signature) = registration(cast, owner, key, evidence, expires);
    let call = Enclaves::refreshCall {
        signer: key.address(),
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
        signature: signature.into(),
    };
    cast.world.ledger.send(&cast.owners[owner].party.key, Contract::Enclaves, call).await.unwrap();
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
        cast.donate(owner, paper, id, &plan(2)).await.unwrap();
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

/// An owner in one opened sum shows its enclave's evidence again before each round with an end a second later. The trainer,
/// whose clock is the latest block, believes it; a moment later, when the round is opened, nobody else does. It cannot be
/// struck (it took part), nor refused (training has begun), and nobody else can do anything in any later round. After
/// sixty days it has itself paid.
#[tokio::test]
async fn to_stop_a_training_for_ever_with_an_end_between_look_and_opening() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id, &plan(2)).await.unwrap();
    }
    let (key, evidence) = cast.broken_evidence(2, id, &plan(2), 9).await;
    let mut expires = world.ledger.time().await.unwrap() + 2 * DEADLINE;
    register(&cast, 2, &key, evidence, expires).await;
    let donation = cast.donation_by(2, id, &key);
    let donor = cast.bring(2, id, &donation, key.address()).await.unwrap();
    let mut model = cast.begin(id, plan(2)).await;
    // It takes part once.
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    let values = vec![0.0; header.dimension()];
    let blob = seal_update(&header, donor, &values, &Hpke, &Root::from_bytes([9; 32])).unwrap();
    cast.anchor_as(&key, &header, donor, world.blobs.put(&blob).unwrap()).await.unwrap();
    assert_eq!(cast.trainer.close_round(id, 1, &world).await.unwrap(), (3, true));
    let partials = cast.open_sum(&header).await;
    let (transcript, step) =
        cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    for owner in &mut cast.owners[..2] {
        owner.observe(&transcript, &world).await.unwrap();
    }
    let Step::Next(next) = step else { panic!() };
    model.training = next;
    let mut answered = 0;
    for round in 2..5 {
        // Its last end is over.
        let now = world.ledger.time().await.unwrap();
        cast.wait((expires + 1).saturating_sub(now)).await;
        expires = world.ledger.time().await.unwrap() + 1;
        refresh(&cast, 2, &key, evidence, expires).await;
        // The trainer looks, and two seconds later its round is opened.
        let header = cast.header(&mut model, |_| {}).await;
        world.blobs.put(&header.encode()).unwrap();
        cast.wait(2).await;
        cast.announce(id, B256::from(header.hash())).await;
        for owner in &mut cast.owners[..2] {
            answered += usize::from(owner.contribute(&header, &world).await.is_ok());
        }
        cast.wait(DEADLINE + 1).await;
        cast.trainer.close_round(id, round, &world).await.unwrap();
        for member in &mut cast.committee {
            let _ = member.review(id, &world).await;
        }
    }
    cast.wait(60 * 24 * 3_600).await;
    let call = Market::abortTrainingCall { modelId: U256::from(id) };
    let ended = world.ledger.send(&cast.owners[2].party.key, Contract::Market, call).await.is_ok();
    let owed = cast.owed(id, donor).await;
    assert!(
        answered > 0,
        "no honest donor answered in three rounds; the attacker ends the training ({ended}) and is owed {owed} of {PRICE}"
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
    assert!(cast.trainer.open_round(&model.training, &mut model.leading, &world).await.is_err());
    cast.wait(60 * 24 * 3_600 + 1).await;
    let call = Market::abortTrainingCall { modelId: U256::from(model.id) };
    let ended = world.ledger.send(&cast.owners[0].party.key, Contract::Market, call).await;
    assert!(
        ended.is_err(),
        "a donor ends a training that was paused all the time; it is owed {}",
        cast.owed(model.id, 1).await
    );
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
    // Registered as a validation enclave: the same plain registration with another measurement.
    let r = EnclaveRegistration {
        operator: owner.address(),
        sealKey: B256::repeat_byte(3),
        measurement: B256::from(cast.loaded.validation.program().measurement()),
        platform: 0,
        evidenceHash: B256::repeat_byte(5),
        expiresAt: ledger.time().await.unwrap() + 3_600,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), &validator);
    let e = Enclaves::Enclave {
        signer: validator.address(),
        sealKey: r.sealKey,
        measurement: r.measurement,
        platform: 0,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
    };
    let call = Enclaves::registerCall { e, signature: signature.as_slice().to_vec().into() };
    ledger.send(&owner, Contract::Enclaves, call).await.unwrap();
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
        let expires = ledger.time().await.unwrap() + 3_600;
        register(&cast, 2, &key, B256::repeat_byte(5), expires).await;
        let r = DonationReceipt {
            modelId: U256::from(id),
            datasetId: histone_ledger::dataset_id(owner.address(), r.root),
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
    let honest = cast.donate(0, paper, id, &plan(2)).await;
    assert!(
        taken == 3 && honest.is_ok(),
        "a refused owner took {taken} places, and an honest one hears {honest:?}"
    );
    let _ = Rounds::lastRoundCall { modelId: U256::from(id) };
}

/// One member locks the hash of nothing and shows nothing, while one honest member is away: a quorum has locked, so the sum
/// is open and paid for. Five partial sums, which open it, are shown; the enclaves ask for six and never go on. In a
/// committee of four or five the liar needs nobody to be away.
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
    cast.committee.pop();
    let call = Rounds::postPartialCall {
        modelId: U256::from(model.id),
        round: 1,
        attempt: 0,
        partialHash: B256::repeat_byte(8),
    };
    world.ledger.send(&liar.party.key, Contract::Rounds, call).await.unwrap();
    let partials = cast.open_sum(&header).await;
    assert_eq!(partials.len(), 5);
    let finished = cast.trainer.finish_round(&model.training, &header, &partials, &world).await;
    let mut observed = Vec::new();
    if let Ok((transcript, _)) = &finished {
        for owner in &mut cast.owners {
            observed
                .push(owner.observe(transcript, &world).await.map_err(|e| histone_protocol::with_causes(&e)));
        }
    }
    cast.wait(2 * DEADLINE + 1).await;
    let void = cast.trainer.void_round(model.id, 1, &world).await.is_ok();
    assert!(
        void || observed.iter().any(Result::is_ok),
        "opened; finished by the trainer: {:?}; by the enclaves: {observed:?}; void: {void}",
        finished.as_ref().map(|_| ()).map_err(|e| histone_protocol::with_causes(e))
    );
}

/// An owner with a broken machine shows evidence that is dated a few minutes ahead just before a round is opened. Nobody
/// believes it as of the opening: not the trainer, not the enclaves. A member looks at it as of now first, when it has become
/// good, keeps the appraisal, and finds it good as of the opening, too: the header lacks a donor. No member locks.
#[tokio::test]
async fn to_void_a_round_with_evidence_that_is_dated_ahead() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id, &plan(2)).await.unwrap();
    }
    let (key, evidence) = cast.broken_evidence(2, id, &plan(2), 9).await;
    let expires = world.ledger.time().await.unwrap() + 20 * DEADLINE;
    register(&cast, 2, &key, evidence, expires).await;
    let donation = cast.donation_by(2, id, &key);
    let donor = cast.bring(2, id, &donation, key.address()).await.unwrap();
    let mut model = cast.begin(id, plan(2)).await;
    let mut locked = 0;
    let mut refusal = String::new();
    for round in 1..3 {
        let now = world.ledger.time().await.unwrap();
        let keys = EnclaveKeys { receipt: key.address(), seal: SealPublicKey(B256::repeat_byte(3)) };
        let init = histone_enclave::training::init_data(world.ledger.deployment(), id, &plan(2));
        let measurement = B256::from(cast.loaded.training.program().measurement());
        let operator = cast.owners[2].account();
        let ahead =
            cast.devices[2].evidence(keys, operator, measurement, init, now + 60 + 300).unwrap().to_bytes();
        let ahead = world.blobs.put(&ahead).unwrap();
        refresh(&cast, 2, &key, ahead, expires + u64::from(round)).await;
        let header = cast.open_round(&mut model).await;
        assert!(!header.has_donor(donor));
        for owner in &mut cast.owners[..2] {
            owner.contribute(&header, &world).await.unwrap();
        }
        cast.wait(DEADLINE + 1).await;
        assert_eq!(cast.trainer.close_round(id, round, &world).await.unwrap(), (2, true));
        for member in &mut cast.committee {
            match member.lock(&header, &world).await {
                Ok(Lock::Posted(_)) => locked += 1,
                other => refusal = format!("{:?}", other.map_err(|e| histone_protocol::with_causes(&e))),
            }
        }
        if locked > 0 {
            break;
        }
        cast.wait(DEADLINE + 1).await;
        cast.trainer.void_round(id, round, &world).await.unwrap();
    }
    let struck = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap().len();
    assert!(locked > 0, "two rounds are void, nobody is struck ({struck}): {refusal}");
}

/// The plan gives the committee ten minutes; the trainer opens a round with three seconds, which nobody looks at while the
/// training goes on. A third of that is one second: one member accuses an honest donor, and every honest member that looks
/// later finds no answer in time and votes.
#[tokio::test]
async fn to_strike_an_honest_donor_by_giving_the_committee_three_seconds() {
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
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.wait(DEADLINE + 1).await;
    cast.trainer.close_round(model.id, 2, &world).await.unwrap();
    let call = Rounds::accuseCall { modelId: U256::from(model.id), round: 2, donorIndex: 2 };
    world.ledger.send(&cast.committee[0].party.key, Contract::Rounds, call).await.unwrap();
    cast.wait(2).await;
    for member in &mut cast.committee[1..3] {
        let _ = member.lock(&header, &world).await;
    }
    let answer = cast.owners[1].answer_accusations(&header, &world).await;
    let owed = {
        cast.trainer.abort(model.id, &world).await.unwrap();
        [cast.owed(model.id, 1).await, cast.owed(model.id, 2).await]
    };
    assert_eq!(
        owed,
        [PRICE, PRICE],
        "two seconds later the honest donor answers: {:?}",
        answer.map_err(|e| histone_protocol::with_causes(&e))
    );
}
