//! To whom the key of a sealed model goes, and from whom it can be had.

use std::fs;

use histone_attestation::AppraisalError;
use histone_attestation::simulated::{SimulatedDevice, SimulatedVendor};
use histone_contracts::{Contract, Enclaves};
use histone_enclave::engine::{Engine, LoadedProgram};
use histone_enclave::instance::{EnclaveError, Instance};
use histone_enclave::program::Program;
use histone_enclave::query::{Given, init_data};
use histone_federation::training::Finished;
use histone_node::duties::OwnerDuty;
use histone_node::error::NodeError;
use histone_node::owner::Tell;
use histone_node::world::EVIDENCE_MAX_AGE;
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;
use histone_protocol::disclosure::Release;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, EnclaveRegistration};

use crate::cast::{Cast, LINEAR_ANSWER, plan, refused, with};
use crate::sealed::{Led, sealed_plan};

const ROW: [f64; 2] = [4.0, 17.0];

/// An enclave of the runner, started with what it likes and on the machine that it likes; registered nowhere yet.
async fn started(
    cast: &Cast,
    program: &LoadedProgram,
    device: &SimulatedDevice,
    with: B256,
    seed: u8,
) -> Instance {
    let (operator, now) = (cast.runner.party.account(), cast.world.ledger.time().await.unwrap());
    Instance::start(program.clone(), device, operator, with, now, [seed; 32].into()).unwrap()
}

/// Registers an enclave of the runner up to a second of the ledger's clock.
async fn registered_until(cast: &Cast, instance: &Instance, expires: u64) {
    let (r, signature) = instance.registration(cast.world.ledger.deployment(), expires);
    let e = Enclaves::Enclave {
        signer: instance.keys().receipt,
        sealKey: r.sealKey,
        measurement: r.measurement,
        platform: r.platform,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
    };
    cast.world.blobs.put(instance.evidence()).unwrap();
    let call = Enclaves::registerCall { e, signature: signature.as_slice().to_vec().into() };
    cast.world.ledger.send(&cast.runner.party.key, Contract::Enclaves, call).await.unwrap();
}

/// What the enclave of the first owner says to a taker that gets nothing; it names taker and model.
async fn told(cast: &mut Cast, led: &Led, taker: histone_protocol::Address) -> EnclaveError {
    let world = cast.world.clone();
    let error = cast.owners[0].hand_model(taker, &world).await.unwrap_err();
    let text = histone_protocol::with_causes(&error);
    assert!(text.contains(&taker.to_string()) && text.contains(&format!("model {}", led.id())), "{text}");
    match error {
        NodeError::Enclave(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The appraisal that was the reason.
#[track_caller]
fn why(error: EnclaveError) -> AppraisalError {
    match error {
        EnclaveError::Taker { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_goes_to_the_query_enclave_of_plan_and_model_alone() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    let program = cast.loaded.query.clone();
    while led.asked.is_some() {
        cast.sealed_round(&mut led, &[0, 1, 2]).await;
    }
    let name = led.names.0;
    let good = cast.runner.begin_query(program.clone(), led.id(), name, &world).await.unwrap();
    // Not before the market sells it.
    refused(
        cast.owners[0].hand_model(good.keys().receipt, &world).await,
        &format!("this enclave has trained model {} to {name}, the market sells nothing yet", led.id()),
    );
    cast.trainer.finish(led.id(), name, &world).await.unwrap();

    let deployment = world.ledger.deployment().clone();
    let plan_hash = cast.document(&led.plan).hash();
    let right = init_data(&deployment, led.id(), name, plan_hash);
    let key = &cast.runner.party.key.clone();

    // Another program, which the members allow as well.
    let other = Engine::new().unwrap().load(Program::published(LINEAR_ANSWER.wasm).unwrap()).unwrap();
    cast.allow(&LINEAR_ANSWER, &other).await;
    let taker = started(&cast, &other, &cast.devices[0], right, 60).await;
    world.register_enclave(&taker, key).await.unwrap();
    let error = why(told(&mut cast, &led, taker.keys().receipt).await);
    assert!(matches!(error, AppraisalError::Measurement { found, .. } if found == taker.measurement()));

    // For another model, name, plan, chain.
    let mut elsewhere = deployment.clone();
    elsewhere.chain_id += 1;
    for (seed, with) in [
        (61, init_data(&deployment, led.id() + 1, name, plan_hash)),
        (62, init_data(&deployment, led.id(), B256::repeat_byte(1), plan_hash)),
        (63, init_data(&deployment, led.id(), name, B256::repeat_byte(1))),
        (64, init_data(&elsewhere, led.id(), name, plan_hash)),
        (65, B256::ZERO),
    ] {
        let taker = started(&cast, &program, &cast.devices[0], with, seed).await;
        world.register_enclave(&taker, key).await.unwrap();
        let error = why(told(&mut cast, &led, taker.keys().receipt).await);
        assert!(
            matches!(error, AppraisalError::InitData { expected, found } if (expected, found) == (right, with))
        );
    }

    // On a machine of a vendor whom the paper does not believe.
    let mut rng = cast.operator.root().rng("another vendor", &[]);
    let vendor = SimulatedVendor::generate(&mut rng);
    let taker = started(&cast, &program, &vendor.make_device(&mut rng).unwrap(), right, 66).await;
    world.register_enclave(&taker, key).await.unwrap();
    let error = why(told(&mut cast, &led, taker.keys().receipt).await);
    assert!(matches!(error, AppraisalError::Vendor(of) if of == vendor.address()));

    // A key of the runner's own, under the evidence of the good enclave: once it is in public storage, everybody has that.
    let own = SigningKey::from_bytes(&[67; 32]).unwrap();
    let evidence = histone_protocol::hash::blob_hash(good.evidence());
    let now = world.ledger.time().await.unwrap();
    let r = EnclaveRegistration {
        operator: cast.runner.party.account(),
        sealKey: good.keys().seal.0,
        measurement: good.measurement(),
        platform: 0,
        evidenceHash: evidence,
        expiresAt: now + EVIDENCE_MAX_AGE,
    };
    let signature = receipt::sign(&r, &receipt::domain(deployment.chain_id, deployment.enclaves), &own);
    let call = Enclaves::registerCall {
        e: Enclaves::Enclave {
            signer: own.address(),
            sealKey: r.sealKey,
            measurement: r.measurement,
            platform: 0,
            evidenceHash: evidence,
            expiresAt: r.expiresAt,
        },
        signature: signature.as_slice().to_vec().into(),
    };
    world.ledger.send(key, Contract::Enclaves, call).await.unwrap();
    let error = why(told(&mut cast, &led, own.address()).await);
    assert!(
        matches!(error, AppraisalError::OtherEnclave { expected, found } if (expected, found) == (own.address(), good.keys().receipt))
    );

    // Evidence that nobody shows, or in whose place lies that of another.
    let taker = started(&cast, &program, &cast.devices[0], right, 68).await;
    world.announce_enclave(&taker, key).await.unwrap();
    let signer = taker.keys().receipt;
    for place in [None, Some(good.evidence())] {
        if let Some(other) = place {
            fs::write(world.blobs.path(histone_protocol::hash::blob_hash(taker.evidence())), other).unwrap();
        }
        let error = cast.owners[0].hand_model(signer, &world).await.unwrap_err();
        assert!(matches!(error, NodeError::Withheld { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("the evidence of the enclave {signer} is not")));
    }

    // Not registered; a training enclave; revoked; at its end; with evidence that is too old while its registration runs on.
    let nowhere = started(&cast, &program, &cast.devices[0], right, 69).await;
    let training = cast.start_training(0, led.id(), &led.plan, 70).await;
    cast.register(0, &training).await;
    let revoked = started(&cast, &program, &cast.devices[0], right, 71).await;
    world.register_enclave(&revoked, key).await.unwrap();
    let revoke = Enclaves::revokeCall { signer: revoked.keys().receipt };
    let ends = started(&cast, &program, &cast.devices[0], right, 72).await;
    let now = world.ledger.time().await.unwrap();
    registered_until(&cast, &ends, now + 600).await;
    for ending in [&revoked, &ends, &good] {
        let taker = ending.keys().receipt;
        assert!(cast.owners[0].hand_model(taker, &world).await.is_ok(), "as long as it lives");
    }
    world.ledger.send(key, Contract::Enclaves, revoke).await.unwrap();
    cast.wait(601).await;
    for dead in [&nowhere, &training, &revoked, &ends] {
        let signer = dead.keys().receipt;
        let error = told(&mut cast, &led, signer).await;
        assert!(matches!(error, EnclaveError::NotLive { taker, .. } if taker == signer), "{error:?}");
    }
    let old = started(&cast, &program, &cast.devices[0], right, 73).await;
    registered_until(&cast, &old, now + 3 * EVIDENCE_MAX_AGE).await;
    cast.wait(EVIDENCE_MAX_AGE + 1).await;
    let error = why(told(&mut cast, &led, old.keys().receipt).await);
    assert!(matches!(error, AppraisalError::Expired { max_age: EVIDENCE_MAX_AGE, .. }));
}

#[tokio::test]
async fn a_key_opens_in_its_enclave_and_for_its_model_alone() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let program = cast.loaded.query.clone();
    let (one, _) = cast.train_sealed(sealed_plan(Release::Sealed)).await;
    let mut takers = Vec::new();
    for _ in 0..3 {
        let taker = cast.runner.begin_query(program.clone(), one.id(), one.names.0, &world).await.unwrap();
        let key = cast.owners[1].hand_model(taker.keys().receipt, &world).await.unwrap();
        takers.push((taker, key));
    }
    let blob_of_one = world.blobs.get(cast.owners[1].release_model(&world).unwrap().1).unwrap();
    let (two, _) = cast.train_sealed(with(sealed_plan(Release::Sealed), "ridge", 2.0)).await;
    let blob_of_two = world.blobs.get(cast.owners[1].release_model(&world).unwrap().1).unwrap();
    let of_two = cast.runner.begin_query(program, two.id(), two.names.0, &world).await.unwrap();
    let key_of_two = cast.owners[1].hand_model(of_two.keys().receipt, &world).await.unwrap();
    // The first enclave's, for the first model.
    let (taker, key) = takers.remove(0);
    let mut install = async |instance, model, blob: &[u8], key: &[u8]| {
        cast.runner.install_model(instance, model, Given::Sealed { blob, key }, &world).await
    };
    // In another enclave for the same model; in one for another model; in its own, said to be for another model.
    refused(install(takers.remove(0).0, one.id(), &blob_of_one, &key).await, "a sealed message is refused");
    refused(install(of_two, two.id(), &blob_of_two, &key).await, "a sealed message is refused");
    let (own, its_key) = takers.remove(0);
    refused(install(own, two.id(), &blob_of_two, &its_key).await, "a sealed message is refused");
    assert_ne!(key, key_of_two);
    install(taker, one.id(), &blob_of_one, &key).await.unwrap();
}

/// Its own key opens no other model's blob, and the ledger names the model.
#[tokio::test]
async fn a_key_opens_no_other_blob() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let program = cast.loaded.query.clone();
    let (one, _) = cast.train_sealed(sealed_plan(Release::Sealed)).await;
    let blob = world.blobs.get(cast.owners[0].release_model(&world).unwrap().1).unwrap();
    for end in [0, blob.len() - 1] {
        let taker = cast.runner.begin_query(program.clone(), one.id(), one.names.0, &world).await.unwrap();
        let key = cast.owners[0].hand_model(taker.keys().receipt, &world).await.unwrap();
        let mut blob = blob.clone();
        blob[end] ^= 1;
        let given = Given::Sealed { blob: &blob, key: &key };
        refused(cast.runner.install_model(taker, one.id(), given, &world).await, "the model cannot be read");
    }
}

/// One enclave is gone before it opened the last sum. Each of the others hands over the same model; so does the lost one when it
/// comes back.
#[tokio::test]
async fn the_model_survives_the_loss_of_any_enclave() {
    let mut cast = Cast::allowing(1, 3, 2).await;
    let world = cast.world.clone();
    let mut open = cast.recruit(plan(2)).await;
    let known: Finished = cast.train(&mut open).await;
    let (program, hash) = (cast.loaded.query.clone(), B256::from(known.hash()));
    let bytes = known.model.to_bytes();
    let serving = cast.runner.start_query(program, open.id, &bytes, hash, &world).await.unwrap();
    cast.trainer.serve(open.id, serving.instance().keys().receipt, &world).await.unwrap();
    let answer = cast.buy_answer(open.id, &serving, &ROW).await;

    let mut led = cast.recruit_sealed(sealed_plan(Release::Sealed)).await;
    let rounds: u32 = led.plan.agenda.iter().map(|s| s.rounds).sum();
    while led.rounds + 1 < rounds {
        cast.sealed_round(&mut led, &[0, 1, 2]).await;
    }
    let last = cast.sealed_sum(&mut led, &[0, 1, 2]).await;
    let statements = cast.said(&last, &[1, 2]).await;
    let carried = cast.carry(&mut led, &last.header, statements).await;
    assert_eq!(carried.signers, [2, 3]);
    cast.trainer.finish(led.id(), led.names.0, &world).await.unwrap();
    refused(cast.owners[0].release_model(&world), "the training is not finished");
    let mut all = Vec::new();
    for owner in [1, 2, 0] {
        if owner == 0 {
            let book = world.ledger.current_book().await.unwrap();
            let duties = cast.owners[0].duties(&book, &world).await.unwrap();
            let round = last.header.fields().round;
            assert_eq!(duties[0], OwnerDuty::OpenSum { model: led.id(), round });
            let said = cast.owners[0].perform(duties[0], &world).await.unwrap();
            let Some(Tell::State(said)) = said else { panic!("{said:?}") };
            assert_eq!((said.state, said.next), (carried.state, carried.next));
        }
        // What the others have published is of no use to it.
        if let Some((document, blob)) = all.first() {
            for hash in [document, blob] {
                fs::remove_file(world.blobs.path(*hash)).unwrap();
            }
        }
        let released = cast.owners[owner].release_model(&world).unwrap();
        assert_eq!(released.0, led.names.1);
        let serving = cast.serve_sealed(&led, owner, released.1).await;
        assert_eq!(
            cast.buy_answer(led.id(), &serving, &ROW).await,
            answer,
            "the same bits from owner {owner}"
        );
        all.push(released);
    }
    assert!(all.iter().all(|r| *r == all[0]), "{all:?}");
}
