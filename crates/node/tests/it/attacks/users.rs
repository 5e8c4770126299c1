//! Runners and trainers who want a user's row, or its money.

use histone_contracts::{Contract, Enclaves, Rounds};
use histone_enclave::engine::Engine;
use histone_enclave::instance::Instance;
use histone_enclave::method::Step;
use histone_enclave::program::Program;
use histone_enclave::query::{self, Given, QueryEnclave, Served};
use histone_federation::training::model_hash;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, EnclaveRegistration};
use histone_protocol::seal::SealKey;
use histone_protocol::{B256, U256};

use crate::cast::{Cast, LINEAR_ANSWER, PRICE, plan, refused, with};

/// The runner has no enclave: two plain keys, the measurement of the audited program, evidence that does not exist. The
/// user looks first, and there is nothing to seal a row to.
#[tokio::test]
async fn to_read_a_users_row_with_a_plain_key() {
    let mut cast = Cast::new(1).await;
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    cast.train_on(&mut model, &[0, 1, 2], first).await;
    let (ledger, d) = (cast.world.ledger.clone(), cast.world.ledger.deployment().clone());
    let runner = cast.runner.party.key.clone();
    let key = SigningKey::from_bytes(&[9; 32]).unwrap();
    let seal = SealKey::from_seed(&[8; 32]);
    let measurement = B256::from(cast.loaded.query.program().measurement());
    let expires = ledger.time().await.unwrap() + 1_000_000;
    let r = EnclaveRegistration {
        operator: runner.address(),
        sealKey: seal.public().0,
        measurement,
        platform: 1,
        evidenceHash: B256::repeat_byte(5),
        expiresAt: expires,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), &key);
    let call = Enclaves::registerCall {
        e: Enclaves::Enclave {
            signer: key.address(),
            sealKey: r.sealKey,
            measurement,
            platform: 1,
            evidenceHash: r.evidenceHash,
            expiresAt: expires,
        },
        signature: signature.as_slice().to_vec().into(),
    };
    ledger.send(&runner, Contract::Enclaves, call).await.unwrap();
    cast.trainer.serve(model.id, key.address(), &cast.world).await.unwrap();
    refused(cast.user.appraise(model.id, &cast.world).await, "is not in");
}

/// Between the user's look and its payment the trainer names another enclave: the contract refuses the payment.
#[tokio::test]
async fn to_put_another_enclave_between_look_and_buy() {
    let mut cast = Cast::new(1).await;
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    let finished = cast.train_on(&mut model, &[0, 1, 2], first).await;
    let (world, hash) = (cast.world.clone(), B256::from(finished.hash()));
    let bytes = finished.model.to_bytes();
    let program = cast.loaded.query.clone();
    let one = cast.runner.start_query(program.clone(), model.id, &bytes, hash, &world).await.unwrap();
    let two = cast.runner.start_query(program, model.id, &bytes, hash, &world).await.unwrap();
    cast.trainer.serve(model.id, one.instance().keys().receipt, &world).await.unwrap();
    let trusted = cast.user.appraise(model.id, &world).await.unwrap();
    cast.trainer.serve(model.id, two.instance().keys().receipt, &world).await.unwrap();
    refused(cast.user.buy(model.id, PRICE, trusted, &world).await, "OtherEnclave");
}

/// Between buying and asking an auditor finds that the key of the query enclave is stolen, and revokes it. The user seals
/// its row to it all the same: it looked once.
#[tokio::test]
async fn to_read_a_row_with_a_key_that_was_revoked_after_the_purchase() {
    let mut cast = Cast::new(1).await;
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    let finished = cast.train_on(&mut model, &[0, 1, 2], first).await;
    let (world, hash) = (cast.world.clone(), B256::from(finished.hash()));
    let program = cast.loaded.query.clone();
    let serving =
        cast.runner.start_query(program, model.id, &finished.model.to_bytes(), hash, &world).await.unwrap();
    let signer = serving.instance().keys().receipt;
    cast.trainer.serve(model.id, signer, &world).await.unwrap();
    let trusted = cast.user.appraise(model.id, &world).await.unwrap();
    let code = cast.user.buy(model.id, PRICE, trusted, &world).await.unwrap();
    let revoke = Enclaves::revokeCall { signer };
    world.ledger.send(&cast.runner.party.key, Contract::Enclaves, revoke).await.unwrap();
    let sealed = cast.user.ask(&code, vec![1.0, 2.0], &world).await;
    assert!(sealed.is_err(), "a row is sealed to an enclave that is revoked");
}

/// A model that nobody trained: after the first sum the trainer posts the hash of a model of its own, ends the training and
/// sells answers of it. The user's node looks at the enclave and not at where the model comes from.
#[tokio::test]
async fn to_sell_answers_of_a_model_that_nobody_trained() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    cast.open_sum(&header).await;
    let invented = Model::new("logistic", "1.1.0", plan(2).config).with("weights", vec![9.0, 0.0, 0.0]);
    let hash = B256::from(model_hash(&invented));
    let call = Rounds::finalizeCall {
        modelId: U256::from(model.id),
        round: 1,
        aggregateHash: B256::repeat_byte(1),
        modelHash: hash,
    };
    world.ledger.send(&cast.trainer.party.key, Contract::Rounds, call).await.unwrap();
    cast.trainer.finish(model.id, hash, &world).await.unwrap();
    let program = cast.loaded.query.clone();
    let serving =
        cast.runner.start_query(program, model.id, &invented.to_bytes(), hash, &world).await.unwrap();
    cast.trainer.serve(model.id, serving.instance().keys().receipt, &world).await.unwrap();
    let trusted = cast.user.appraise(model.id, &world).await;
    assert!(trusted.is_err(), "the user trusts an enclave with a model that is of no sum");
}

/// A method's answer module is part of what the white paper promises. Trainer and runner would serve the model with another one
/// that the members allow: an older one, or one that rounds to nothing.
#[tokio::test]
async fn to_answer_with_another_program_that_is_allowed() {
    let mut cast = Cast::new(1).await;
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    let finished = cast.train_on(&mut model, &[0, 1, 2], first).await;
    let (world, hash) = (cast.world.clone(), B256::from(finished.hash()));
    let bytes = finished.model.to_bytes();
    let program = Engine::new().unwrap().load(Program::published(LINEAR_ANSWER.wasm).unwrap()).unwrap();
    cast.allow(&LINEAR_ANSWER, &program).await;
    // An honest enclave knows its plan by the ledger.
    let started = cast.runner.start_query(program.clone(), model.id, &bytes, hash, &world).await;
    refused(started, "has another program answer");
    let method = cast.loaded.method.clone();
    let mut plan_of_liar = cast.document(&plan(2));
    plan_of_liar.programs.query = B256::from(program.program().measurement());
    let d = world.ledger.deployment();
    let (operator, now) = (cast.runner.party.account(), world.ledger.time().await.unwrap());
    let start = |plan: B256, seed: u8| {
        let init_data = query::init_data(d, model.id, hash, plan);
        let device = &cast.devices[0];
        Instance::start(program.clone(), device, operator, init_data, now, [seed; 32].into()).unwrap()
    };
    let lied_to = start(plan_of_liar.hash(), 3);
    let described = (&method).into();
    let served = Served { model_id: model.id, plan: &plan_of_liar, method: &described };
    let storage = cast.runner.party.storage();
    let installed =
        QueryEnclave::install(lied_to, served, Given::Public(&bytes), storage, &world.ledger).await;
    refused(installed, "the ledger names another plan");
    // Were it broken, users would see by its evidence what answers.
    let broken = start(cast.document(&plan(2)).hash(), 4);
    world.register_enclave(&broken, &cast.runner.party.key).await.unwrap();
    cast.trainer.serve(model.id, broken.keys().receipt, &world).await.unwrap();
    refused(cast.user.appraise(model.id, &world).await, "its plan promises");
}

/// A trainer asks for a histogram so fine that the last sum would list the score and the class of every single person. No
/// owner takes such a plan; under the finest that they take, bins hold several people each, however few there are.
#[tokio::test]
async fn to_read_the_score_of_every_patient_off_a_fine_histogram() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let fine = with(plan(2), "bins", 60_000.0);
    let (paper, id) = cast.propose(&fine).await;
    refused(cast.owners[0].consider(paper, id, &world).await, "`bins`: 60000 is not from 2 to 64");
    let mut model = cast.recruit(with(plan(2), "bins", 64.0)).await;
    loop {
        let (transcript, step) = cast.round_of(&mut model, &[0, 1, 2]).await;
        for owner in &mut cast.owners {
            owner.observe(&transcript, &world).await.unwrap();
        }
        match step {
            Step::Next(next) => model.training = next,
            Step::NoModel => panic!("the sums are public"),
            Step::Finished(_) => {
                let (sum, _) = transcript.open().unwrap();
                // As many numbers as the plan says, whatever the rows: by outcome and bin; then sums of log odds, and of squares.
                assert_eq!(sum.values().len(), 3 * 64 + 1);
                let (no, yes) = sum.values()[..2 * 64].split_at(64);
                let bins: Vec<f64> =
                    no.iter().zip(yes).map(|(no, yes)| no + yes).filter(|n| *n > 0.0).collect();
                assert!(
                    bins.len() > 1 && bins.iter().all(|people| *people >= 5.0),
                    "people by bin: {bins:?}"
                );
                return;
            }
        }
    }
}

/// A member posts a partial sum that says it is over other survivors. Whoever recomputes the model passes over it.
#[tokio::test]
async fn to_make_a_model_that_nobody_buys() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut model = cast.recruit(plan(2)).await;
    let header = cast.open_round(&mut model).await;
    for owner in &mut cast.owners {
        owner.contribute(&header, &world).await.unwrap();
    }
    cast.trainer.close_round(model.id, 1, &world).await.unwrap();
    let liar = cast.committee.pop().unwrap();
    let partials = cast.open_sum(&header).await;
    // Version, header, survivors, seat.
    let mut lie = world.blobs.get(partials[0]).unwrap();
    lie[33..65].fill(9);
    lie[65] = 7;
    let post = Rounds::postPartialCall {
        modelId: U256::from(model.id),
        round: 1,
        attempt: 0,
        partialHash: world.blobs.put(&lie).unwrap(),
    };
    world.ledger.send(&liar.party.key, Contract::Rounds, post).await.unwrap();
    let first = cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    let finished = cast.train_on(&mut model, &[0, 1, 2], first).await;
    let (program, hash) = (cast.loaded.query.clone(), B256::from(finished.hash()));
    let serving =
        cast.runner.start_query(program, model.id, &finished.model.to_bytes(), hash, &world).await.unwrap();
    cast.trainer.serve(model.id, serving.instance().keys().receipt, &world).await.unwrap();
    cast.user.appraise(model.id, &world).await.expect("the model is honest");
}
