//! Attacks that still work, found by somebody who had not written the code. Each test says what must hold and fails as long as
//! the attack works; whoever mends one takes its mark away and moves it to the others.
//!
//! `cargo test -p histone-node --test it attacks::open -- --ignored`

use histone_federation::plan::Step;
use histone_federation::update::{Hpke, Sealer, seal_update};
use histone_ledger::contracts::{Contract, Datasets, Enclaves, Market, Members, Programs, Rounds};
use histone_node::trainer::Offer;
use histone_protocol::consent::WhitePaper;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, DonationReceipt, EnclaveRegistration, ValidationReceipt};
use histone_protocol::{B256, U256};

use crate::cast::{Cast, DEADLINE, PRICE, plan};

async fn trainer_is_owed(cast: &Cast) -> u64 {
    let owed = Market::owedCall { account: cast.trainer.party.account() };
    cast.world.ledger.read(Contract::Market, owed).await.unwrap().to()
}

/// A member changes its key and changes it back. The contract has forgotten its claim and takes no seat for it; everybody
/// else finds its old proof and takes no committee without it. No training starts any more.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
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
        cast.donate(owner, paper, id, &plan(2)).await.unwrap();
    }
    cast.trainer.start(id, &cast.world).await.expect("a training starts with or without this member");
    let leading = cast.trainer.lead(id, 2, DEADLINE, DEADLINE, &cast.world).await.unwrap();
    let training = histone_federation::plan::Training::start(plan(2)).unwrap();
    let mut model = crate::cast::Model { id, training, leading, round: 1 };
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &cast.world).await.expect("its committee is right");
    }
}

/// A trainer and one donor: when only the last sum is missing and everybody knows the model, the donor's operator revokes
/// its own enclave between closing and opening. No honest member opens a round with it, it cannot be struck (it took part
/// before), so the round is void, and a void round gives the whole deposit back.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_get_a_model_for_nothing_by_ending_ones_enclave_before_the_last_sum() {
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
    let round = header.fields().round;
    assert_eq!(cast.trainer.close_round(model.id, round, &world).await.unwrap(), (3, true));
    let signer = world.ledger.events::<Market::Donated>(Contract::Market).await.unwrap()[2].enclave;
    let revoke = Enclaves::revokeCall { signer };
    world.ledger.send(&cast.owners[2].party.key, Contract::Enclaves, revoke).await.unwrap();
    for _ in 0..3 {
        for member in &mut cast.committee {
            if let Err(why) = member.lock(&header, &world).await {
                println!("{}", histone_protocol::with_causes(&why));
            }
        }
    }
    cast.wait(2 * DEADLINE + 1).await;
    let void = cast.trainer.void_round(model.id, round, &world).await;
    println!("void: {void:?}");
    cast.trainer.abort(model.id, &world).await.unwrap();
    println!(
        "the trainer is owed {}, donor 1 {}",
        trainer_is_owed(&cast).await,
        cast.owed(model.id, 1).await
    );
    assert_eq!(cast.owed(model.id, 1).await, PRICE, "an honest donor of opened sums is paid");
    assert_eq!(trainer_is_owed(&cast).await, 0);
}

/// The same donor never revokes: it lets its registration end in the middle of each round, and shows a later end in the
/// middle of the next. The header that was right when it was made is refused by everybody else a moment later.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_void_every_round_by_coming_back_in_the_middle_of_it() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let id = {
        let (paper, id) = cast.propose(&plan(2)).await;
        for owner in 0..2 {
            cast.donate(owner, paper, id, &plan(2)).await.unwrap();
        }
        id
    };
    // The third owner's enclave is a good one, with an end of its operator's choice.
    let (enclave, donation) = cast.admit(2, id, &plan(2), 7).await;
    let instance = enclave.instance();
    let signer = instance.keys().receipt;
    world.blobs.put(instance.evidence()).unwrap();
    let now = world.ledger.time().await.unwrap();
    let (r, signature) = instance.registration(world.ledger.deployment(), now + 60);
    let call = Enclaves::registerCall {
        e: Enclaves::Enclave {
            signer,
            sealKey: r.sealKey,
            measurement: r.measurement,
            platform: r.platform,
            evidenceHash: r.evidenceHash,
            expiresAt: r.expiresAt,
        },
        signature: signature.as_slice().to_vec().into(),
    };
    world.ledger.send(&cast.owners[2].party.key, Contract::Enclaves, call).await.unwrap();
    cast.bring(2, id, &donation, signer).await.unwrap();
    cast.wait(61).await;
    // Expired before the training starts: it is not in the header.
    cast.trainer.start(id, &world).await.unwrap();
    let leading = cast.trainer.lead(id, 2, DEADLINE, DEADLINE, &world).await.unwrap();
    let training = histone_federation::plan::Training::start(plan(2)).unwrap();
    let mut model = crate::cast::Model { id, training, leading, round: 1 };
    let header = cast.open_round(&mut model).await;
    assert!(!header.has_donor(3));
    let now = world.ledger.time().await.unwrap();
    let (r, signature) = instance.registration(world.ledger.deployment(), now + 3_000);
    let call = Enclaves::refreshCall {
        signer,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
        signature: signature.as_slice().to_vec().into(),
    };
    world.ledger.send(&cast.owners[2].party.key, Contract::Enclaves, call).await.unwrap();
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.expect("the header was right when it was opened");
    }
}

/// Two models over the same columns, the second without one owner. The members lock the sum and then refuse to show it:
/// for the ledger it is open, so the trainer pays everybody and has nothing, and the round can be neither void nor
/// repeated.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_make_a_trainer_pay_for_a_sum_that_members_lock_and_then_refuse() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut first = cast.recruit(plan(2)).await;
    cast.train(&mut first).await;
    let before = trainer_is_owed(&cast).await;
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id, &plan(2)).await.unwrap();
    }
    let mut second = cast.begin(id, plan(2)).await;
    let header = cast.open_round(&mut second).await;
    for owner in &mut cast.owners[..2] {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(id, 1, &world).await.unwrap();
    for member in &mut cast.committee {
        println!("lock: {:?}", member.lock(&header, &world).await.is_ok());
    }
    for member in &mut cast.committee {
        if let Err(why) = member.publish(&header, &world).await {
            println!("publish: {}", histone_protocol::with_causes(&why));
        }
    }
    cast.wait(2 * DEADLINE + 1).await;
    println!("void: {:?}", cast.trainer.void_round(id, 1, &world).await);
    cast.trainer.abort(id, &world).await.unwrap();
    println!("trainer {}, donor {}", trainer_is_owed(&cast).await - before, cast.owed(id, 1).await);
    let deposit = 3 * PRICE;
    assert_eq!(trainer_is_owed(&cast).await - before, deposit, "nobody opened anything");
    assert_eq!(U256::from(cast.owed(id, 1).await), U256::ZERO);
}

/// The trainer closes the round when the time for answers is over, and one member accuses an honest donor in the same
/// moment: every honest member finds that it has not answered and votes. The donor, in two opened sums already, is struck
/// on the word of one member and paid nothing; its payment goes back to the trainer.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
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
        println!("lock: {:?}", member.lock(&header, &world).await);
    }
    println!("answer: {:?}", cast.owners[1].answer_accusations(&header, &world).await);
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named: Vec<_> = named.iter().map(|e| (e.donorIndex, e.reason)).collect();
    assert!(named.is_empty(), "an honest donor is named by one liar: {named:?}");
}

/// An owner with a plain key that says it is a validation enclave, and one for each place: no evidence, no rows. It takes
/// all places of a model before the honest ones come. Nobody is struck while a model recruits, and a place never comes back.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_keep_honest_owners_out_by_taking_every_place() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (ledger, d) = (&world.ledger, world.ledger.deployment().clone());
    let (paper, id) = cast.propose(&plan(2)).await;
    let owner = cast.owners[2].party.key.clone();
    let register = async |key: &SigningKey, measurement: B256| {
        let r = EnclaveRegistration {
            operator: owner.address(),
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
        ledger.send(&owner, Contract::Enclaves, call).await.unwrap();
    };
    let validator = SigningKey::from_bytes(&[50; 32]).unwrap();
    register(&validator, B256::from(cast.loaded.validation.program().measurement())).await;
    for place in 1..=3u8 {
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
        register(&key, B256::from(cast.loaded.training.program().measurement())).await;
        let r = DonationReceipt {
            modelId: U256::from(id),
            datasetId: histone_ledger::dataset_id(owner.address(), r.root),
            root: r.root,
            payee: owner.address(),
            decision: B256::repeat_byte(1),
        };
        let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.market), &key);
        let donation = histone_enclave::training::Donation { receipt: r, signature };
        cast.bring(2, id, &donation, key.address()).await.unwrap();
    }
    for member in &mut cast.committee {
        println!("review: {:?}", member.review(id, &world).await);
    }
    for honest in 0..2 {
        cast.donate(honest, paper, id, &plan(2)).await.expect("there is a place for an honest owner");
    }
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
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_have_an_honest_member_named_for_ones_own_wrong_share() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..2 {
        cast.donate(owner, paper, id, &plan(2)).await.unwrap();
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
    let named = world.ledger.events::<Rounds::MemberNamed>(Contract::Rounds).await.unwrap();
    let honest = cast.committee[3].party.account();
    assert!(named.iter().all(|e| e.member != honest), "an honest member is named, and the donor is not");
}

/// A model of which all sums but the last are open, the last one asked and answered by everybody.
async fn before_the_last_sum(
    cast: &mut Cast,
) -> (crate::cast::Model, histone_federation::header::RoundHeader) {
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

/// The trainer alone: it closes the last round when the committee's time is over already, so that it is void in the same
/// moment, as if the committee had missed it, and the whole deposit is the trainer's.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_get_a_model_for_nothing_by_closing_the_last_round_too_late() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (model, header) = before_the_last_sum(&mut cast).await;
    cast.wait(2 * DEADLINE + 1).await;
    cast.trainer.close_round(model.id, 3, &world).await.unwrap();
    println!("lock: {:?}", cast.committee[0].lock(&header, &world).await);
    println!("void: {:?}", cast.trainer.void_round(model.id, 3, &world).await);
    cast.trainer.abort(model.id, &world).await.unwrap();
    println!("trainer {}, donor {}", trainer_is_owed(&cast).await, cast.owed(model.id, 1).await);
    assert_eq!(cast.owed(model.id, 1).await, PRICE, "an honest donor of opened sums is paid");
}

/// The trainer alone, as the author of the training program, which it may revoke at any time.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_get_a_model_for_nothing_by_revoking_ones_own_program() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (model, header) = before_the_last_sum(&mut cast).await;
    cast.trainer.close_round(model.id, 3, &world).await.unwrap();
    let measurement = B256::from(cast.loaded.training.program().measurement());
    let revoke = Programs::revokeCall { measurement };
    world.ledger.send(&cast.trainer.party.key, Contract::Programs, revoke).await.unwrap();
    for member in &mut cast.committee {
        println!("lock: {:?}", member.lock(&header, &world).await);
    }
    cast.wait(2 * DEADLINE + 1).await;
    println!("void: {:?}", cast.trainer.void_round(model.id, 3, &world).await);
    cast.trainer.abort(model.id, &world).await.unwrap();
    println!("trainer {}, donor {}", trainer_is_owed(&cast).await, cast.owed(model.id, 1).await);
    assert_eq!(cast.owed(model.id, 1).await, PRICE, "an honest donor of opened sums is paid");
}

/// Donors of opened sums are to be paid when a trainer is silent for 30 days; one who opens another round of a year, which
/// nobody can answer, whenever the last one failed, is never silent.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_keep_the_donors_payments_for_ever_by_opening_rounds() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    cast.round_of(&mut model, &[0, 1, 2]).await;
    const YEAR: u64 = 360 * 24 * 3_600;
    for year in 0..5 {
        let deadline = world.ledger.time().await.unwrap() + YEAR;
        let call = Rounds::openCall {
            modelId: U256::from(model.id),
            headerHash: B256::repeat_byte(7),
            deadline,
            openBy: deadline + 1,
        };
        let opened = world.ledger.send(&cast.trainer.party.key, Contract::Rounds, call).await;
        if year > 0 && opened.is_err() {
            break;
        }
        opened.unwrap();
        cast.wait(YEAR + 1).await;
        cast.trainer.close_round(model.id, 2 + year, &world).await.unwrap();
    }
    let call = Market::abortTrainingCall { modelId: U256::from(model.id) };
    let ended = world.ledger.send(&cast.owners[0].party.key, Contract::Market, call).await;
    println!("{ended:?}");
    assert!(ended.is_ok() && cast.owed(model.id, 1).await == PRICE, "five years later a donor can be paid");
}

/// A user pays, nobody answers, and the price comes back in 136 years: nothing bounds the time of a query, no white paper
/// says it and no user's node looks.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
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

/// Registers a plain key of an owner as an enclave with evidence of nothing.
async fn register_plain(cast: &Cast, owner: usize, key: &SigningKey, measurement: B256) {
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

/// One owner registers a dataset that a plain key has "validated". No real validation enclave has its sketch, and an
/// enclave that lacks the sketch of a dataset in force gives no receipt to anybody. Only its owner can withdraw it.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
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
    cast.owners[0]
        .update(crate::cast::table(9), validation, &world)
        .await
        .expect("an honest owner has its table validated");
}

/// The runner whose validation enclave has validated everybody revokes it. Its work was done and was good; every honest
/// member votes every honest donor out, and the ledger pays them nothing.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_have_all_honest_donors_struck_by_revoking_ones_validation_enclave() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let (paper, id) = cast.propose(&plan(2)).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id, &plan(2)).await.unwrap();
    }
    let revoke = Enclaves::revokeCall { signer: cast.validation.instance().keys().receipt };
    world.ledger.send(&cast.runner.party.key, Contract::Enclaves, revoke).await.unwrap();
    cast.begin(id, plan(2)).await;
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named: Vec<_> = named.iter().map(|e| (e.donorIndex, e.reason)).collect();
    assert!(named.is_empty(), "honest donors are named: {named:?}");
}
