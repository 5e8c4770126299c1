//! What a party does in a run of the others when the training is over, and on which nothing rests.

use histone_contracts::{Contract, Datasets, Enclaves};
use histone_enclave::engine::Engine;
use histone_enclave::program::Program;
use histone_federation::training::Finished;
use histone_node::world::EVIDENCE_MAX_AGE;
use histone_program_sdk::wire::Wire;
use histone_protocol::B256;
use histone_protocol::consent::WhitePaper;
use histone_protocol::keys::SigningKey;
use histone_protocol::receipt::{self, EnclaveRegistration, ValidationReceipt};

use super::Spoils;
use crate::cast::{Cast, LINEAR, LINEAR_ANSWER, PRICE, plan};

/// A key outside of any enclave.
pub fn plain_key() -> SigningKey {
    SigningKey::from_bytes(&[70; 32]).unwrap()
}

/// What is done when the training is over.
pub async fn spoil(cast: &mut Cast, how: Spoils, model: u64, finished: &Finished) {
    let world = cast.world.clone();
    let (ledger, owner) = (&world.ledger, cast.owners[0].party.key.clone());
    match how {
        Spoils::Policy => {
            let call =
                Datasets::setPolicyCall { id: cast.owners[0].dataset(), policyHash: B256::repeat_byte(9) };
            ledger.send(&owner, Contract::Datasets, call).await.unwrap();
            // And gives the same version to another model, under these terms.
            let (_, other) = cast.propose(&plan(2)).await;
            cast.donate_with_key(0, other, &plain_key(), 0, B256::repeat_byte(5)).await.unwrap();
        }
        Spoils::Version => {
            let program = B256::from(cast.loaded.validation.program().measurement());
            register_plain(cast, &owner, program).await;
            let r = ValidationReceipt {
                owner: owner.address(),
                root: B256::repeat_byte(1),
                reportHash: B256::repeat_byte(2),
                rows: 24,
                quality: 3,
                replaces: cast.owners[0].dataset(),
            };
            let d = ledger.deployment();
            let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.datasets), &plain_key());
            let call = Datasets::updateCall {
                id: r.replaces,
                root: r.root,
                reportHash: r.reportHash,
                rows: r.rows,
                quality: r.quality,
                enclave: plain_key().address(),
                signature: signature.as_slice().to_vec().into(),
            };
            ledger.send(&owner, Contract::Datasets, call).await.unwrap();
        }
        Spoils::Showing => {
            cast.wait(EVIDENCE_MAX_AGE + 1).await;
            let instance = cast.validation.instance();
            let expires = ledger.time().await.unwrap() + EVIDENCE_MAX_AGE;
            let (r, signature) = instance.registration(ledger.deployment(), expires);
            let call = Enclaves::refreshCall {
                signer: instance.keys().receipt,
                evidenceHash: r.evidenceHash,
                expiresAt: r.expiresAt,
                signature: signature.as_slice().to_vec().into(),
            };
            ledger.send(&cast.runner.party.key, Contract::Enclaves, call).await.unwrap();
        }
        Spoils::Serving => {
            let hash = B256::from(finished.hash());
            cast.trainer.finish(model, hash, &world).await.unwrap();
            let program = cast.loaded.query.clone();
            let measurement = B256::from(program.program().measurement());
            let bytes = finished.model.to_bytes();
            let enclave = cast.runner.start_query(program, model, &bytes, hash, &world).await.unwrap();
            let serving = enclave.instance().keys().receipt;
            cast.trainer.serve(model, serving, &world).await.unwrap();
            let trusted = cast.user.appraise(model, &world).await.unwrap();
            cast.user.buy(model, PRICE, trusted, &world).await.unwrap();
            register_plain(cast, &cast.runner.party.key, measurement).await;
            cast.trainer.serve(model, plain_key().address(), &world).await.unwrap();
        }
        Spoils::Proposal => {
            let [training, query] = [0, 1].map(|i| cast.others[i].1);
            let mut document = cast.document(&plan(2));
            document.method = "linear 1.1.0".into();
            (document.programs.training, document.programs.query) = (training, query);
            let programs = vec![document.programs.validation, training, query];
            let paper = WhitePaper { plan: document.hash(), programs, ..cast.paper() };
            cast.propose_as(&paper, &document, |_| {}).await;
        }
        _ => {}
    }
}

/// A second method, as long as the founder allows programs alone.
pub async fn allow_linear(cast: &mut Cast) {
    let engine = Engine::new().unwrap();
    for program in [LINEAR, LINEAR_ANSWER] {
        let loaded = engine.load(Program::published(program.wasm).unwrap()).unwrap();
        cast.allow(&program, &loaded).await;
    }
}

/// Registers the plain key as an enclave of this operator.
async fn register_plain(cast: &Cast, operator: &SigningKey, measurement: B256) {
    let (ledger, d) = (&cast.world.ledger, cast.world.ledger.deployment());
    let r = EnclaveRegistration {
        operator: operator.address(),
        sealKey: B256::repeat_byte(3),
        measurement,
        platform: 0,
        evidenceHash: B256::repeat_byte(5),
        expiresAt: ledger.time().await.unwrap() + EVIDENCE_MAX_AGE,
    };
    let signature = receipt::sign(&r, &receipt::domain(d.chain_id, d.enclaves), &plain_key());
    let e = Enclaves::Enclave {
        signer: plain_key().address(),
        sealKey: r.sealKey,
        measurement,
        platform: 0,
        evidenceHash: r.evidenceHash,
        expiresAt: r.expiresAt,
    };
    let call = Enclaves::registerCall { e, signature: signature.as_slice().to_vec().into() };
    ledger.send(operator, Contract::Enclaves, call).await.unwrap();
}
