//! Attacks that still work, found by somebody who had not written the code. Each test says what must hold and fails as long as
//! the attack works; whoever mends one takes its mark away and moves it to the others.
//!
//! `cargo test -p histone-node --test it attacks::open -- --ignored`

use histone_federation::plan::Step;
use histone_ledger::contracts::{Contract, Enclaves, Rounds};
use histone_protocol::{B256, U256};

use crate::cast::{Cast, PRICE, plan};

/// A trainer asks for a histogram of 60,000 bins: what is opened in the last round is the score and the class of every
/// single person, to five digits, although every owner checked the plan.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_read_the_score_of_every_patient_off_a_fine_histogram() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let fine = histone_federation::plan::Plan { bins: 60_000, ..plan(2) };
    let mut model = cast.recruit(fine).await;
    loop {
        let (transcript, step) = cast.round_of(&mut model, &[0, 1, 2]).await;
        for owner in &mut cast.owners {
            owner.observe(&transcript, &world).await.unwrap();
        }
        match step {
            Step::Next(next) => model.training = next,
            Step::Finished(_) => {
                let (sum, _) = transcript.open().unwrap();
                let alone = sum.values().iter().filter(|count| **count == 1.0).count();
                let rows = 3 * 24;
                println!("{alone} of {rows} people are alone in their bin");
                assert!(alone * 10 < rows, "{alone} of {rows} people are alone in their bin");
                return;
            }
        }
    }
}

/// Between buying and asking an auditor finds that the key of the query enclave is stolen, and revokes it. The user seals
/// its row to it all the same: it looked once.
#[tokio::test]
#[ignore = "the attack works: see docs/threats.md, open"]
async fn to_read_a_row_with_a_key_that_was_revoked_after_the_purchase() {
    let mut cast = Cast::new(1).await;
    let mut model = cast.recruit(plan(2)).await;
    let first = cast.round_of(&mut model, &[0, 1, 2]).await;
    let finished = cast.train_on(&mut model, &[0, 1, 2], first).await;
    let (world, hash) = (cast.world.clone(), B256::from(finished.model.hash()));
    let program = cast.loaded.query.clone();
    let serving =
        cast.runner.start_query(program, model.id, &finished.model.encode(), hash, &world).await.unwrap();
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
#[ignore = "the attack works: see docs/threats.md, open"]
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
    let invented = histone_federation::plan::Model {
        zero_is_missing: vec![],
        pre: histone_program_sdk::job::Preprocessing {
            fill: vec![0.0; 2],
            mean: vec![0.0; 2],
            sd: vec![1.0; 2],
        },
        weights: vec![9.0, 0.0, 0.0],
        converged: true,
        newton_rounds: 3,
    };
    let hash = B256::from(invented.hash());
    let call = Rounds::finalizeCall {
        modelId: U256::from(model.id),
        round: 1,
        aggregateHash: B256::repeat_byte(1),
        modelHash: hash,
    };
    world.ledger.send(&cast.trainer.party.key, Contract::Rounds, call).await.unwrap();
    cast.trainer.finish(model.id, hash, &world).await.unwrap();
    let program = cast.loaded.query.clone();
    let serving = cast.runner.start_query(program, model.id, &invented.encode(), hash, &world).await.unwrap();
    cast.trainer.serve(model.id, serving.instance().keys().receipt, &world).await.unwrap();
    let trusted = cast.user.appraise(model.id, &world).await;
    assert!(trusted.is_err(), "the user trusts an enclave with a model that is of no sum");
}
