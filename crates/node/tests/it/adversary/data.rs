//! Datasets and keys that are not what they say, and donations at the wrong moment.

use histone_attestation::AppraisalPolicy;
use histone_attestation::cohort::CohortPolicy;
use histone_contracts::{Contract, Datasets, Market, TestToken};
use histone_enclave::instance::{EnclaveError, SealedDataset};
use histone_enclave::training::{Consent, DonationTerms, TrainingEnclave};
use histone_node::owner::Machine;
use histone_protocol::commitment::{SaltKey, dataset_root};
use histone_protocol::consent::{DecisionFacts, DecisionRecord};
use histone_protocol::dataset::{KeyBundle, release_aad};
use histone_protocol::hash::blob_hash;
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256, U256};

use crate::cast::{Cast, PRICE, at_price, plan, refused, table};

fn terms(payee: Address, consent: &Consent) -> DonationTerms {
    DonationTerms { payee, consent: consent.clone() }
}

/// Nobody is judged here.
fn policy() -> CohortPolicy {
    CohortPolicy {
        appraisal: AppraisalPolicy::production(1),
        programs: Vec::new(),
        training: B256::ZERO,
        validation: B256::ZERO,
    }
}

/// What a training enclave says to a dataset.
async fn admitted(
    cast: &Cast,
    dataset: &SealedDataset,
    consent: &Consent,
    seed: u8,
) -> Result<(), EnclaveError> {
    let owner = cast.owners[0].account();
    let instance = cast.start_training(0, 1, &plan(2), seed).await;
    let plan = cast.document(&plan(2));
    TrainingEnclave::admit(instance, &plan, 1, dataset, terms(owner, consent), policy(), &cast.world.ledger)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn a_dataset_opens_in_one_enclave_and_as_it_was_committed() {
    let mut cast = Cast::new(1).await;
    cast.propose(&plan(2)).await;
    let consent = cast.consent(0, 1).await;
    let instance = cast.start_training(0, 1, &plan(2), 9).await;
    let good = cast.sealed(0, &instance);
    admitted(&cast, &good, &consent, 9).await.unwrap();
    // An enclave like it, and a validation enclave, have other keys.
    let closed = "a sealed message does not open";
    refused(admitted(&cast, &good, &consent, 8).await, closed);
    refused(cast.validation.validate(&good, &cast.world.ledger, &cast.world.evidence()).await, closed);

    // Every part of the ciphertext counts: nonce, rows, tag.
    for at in [0, 12, good.ciphertext.len() / 2, good.ciphertext.len() - 1] {
        let mut altered = good.clone();
        altered.ciphertext[at] ^= 1;
        refused(admitted(&cast, &altered, &consent, 9).await, "does not open under its key");
    }
    let mut short = good.clone();
    short.ciphertext.truncate(5);
    refused(admitted(&cast, &short, &consent, 9).await, "does not open under its key");
    // Another dataset under the name of this one, and this one under the name of another.
    let foreign = cast.sealed(1, &instance);
    let swapped = SealedDataset { id: foreign.id, owner: foreign.owner, ..good.clone() };
    refused(admitted(&cast, &swapped, &consent, 9).await, closed);
    let swapped = SealedDataset { key: foreign.key.clone(), ..good.clone() };
    refused(admitted(&cast, &swapped, &consent, 9).await, closed);
    let swapped = SealedDataset { ciphertext: foreign.ciphertext.clone(), ..good.clone() };
    refused(admitted(&cast, &swapped, &consent, 9).await, "does not open under its key");
    let swapped = SealedDataset { owner: foreign.owner, ..good.clone() };
    refused(admitted(&cast, &swapped, &consent, 9).await, "not registered with this commitment");

    // The owner itself seals other rows, or another salt, under the name of the validated dataset.
    let bundle = cast.bundle(0);
    let aad = release_aad(good.id, instance.measurement(), blob_hash(instance.evidence()));
    let root = cast.owners[0].party.root();
    let ciphertext = bundle.data.encrypt(&table(7).encode());
    let salted = KeyBundle { data: bundle.data.clone(), salt: SaltKey::from_bytes([1; 32]) };
    let key = salted.seal_to(instance.keys().seal, aad, root).unwrap();
    let rubbish = bundle.data.encrypt(b"no table");
    let others = SealedDataset { ciphertext, ..good.clone() };
    refused(admitted(&cast, &others, &consent, 9).await, "the rows do not have the commitment");
    refused(
        admitted(&cast, &SealedDataset { key, ..good.clone() }, &consent, 9).await,
        "do not have the commitment",
    );
    let rubbish = SealedDataset { ciphertext: rubbish, ..good.clone() };
    refused(admitted(&cast, &rubbish, &consent, 9).await, "not a table");
    // Rows that agree with their name, but were never validated.
    let rows = table(7);
    let root = dataset_root(&bundle.salt, rows.leaves());
    let id = histone_contracts::dataset_id(good.owner, root);
    let aad = release_aad(id, instance.measurement(), blob_hash(instance.evidence()));
    let key = bundle.seal_to(instance.keys().seal, aad, cast.owners[0].party.root()).unwrap();
    let unknown = SealedDataset { id, root, key, ciphertext: others.ciphertext, ..good.clone() };
    refused(admitted(&cast, &unknown, &consent, 9).await, "not registered with this commitment");

    // A plan or model that the evidence does not name.
    let other = cast.start_training(0, 1, &plan(2), 9).await;
    let (ledger, payee) = (&cast.world.ledger, good.owner);
    let (two, three) = (cast.document(&plan(2)), cast.document(&plan(3)));
    refused(
        TrainingEnclave::admit(other, &three, 1, &good, terms(payee, &consent), policy(), ledger).await,
        "started for another model or plan",
    );
    let other = cast.start_training(0, 1, &plan(2), 9).await;
    refused(
        TrainingEnclave::admit(other, &two, 2, &good, terms(payee, &consent), policy(), ledger).await,
        "started for another model or plan",
    );
}

/// Its operator would have an honest enclave donate under no decision, under one that denies, or under other terms: it would be
/// in every sum and paid, and the record of all others would be worth nothing.
#[tokio::test]
async fn a_donation_without_a_decision_that_allows_it() {
    let mut cast = Cast::new(1).await;
    cast.propose(&plan(2)).await;
    cast.propose(&plan(2)).await;
    let good = cast.consent(0, 1).await;
    let (other_model, other_owner) = (cast.consent(0, 2).await, cast.consent(1, 1).await);
    let instance = cast.start_training(0, 1, &plan(2), 9).await;
    let dataset = cast.sealed(0, &instance);
    admitted(&cast, &dataset, &good, 9).await.unwrap();
    let key = cast.owners[0].party.key.clone();
    let with = |decision: Vec<u8>| Consent { decision, ..good.clone() };
    let changed = |change: &dyn Fn(&mut DecisionRecord)| {
        let (mut record, _) = Signed::<DecisionRecord>::from_bytes(&good.decision).unwrap().open().unwrap();
        change(&mut record);
        with(Signed::sign(&record, &key).unwrap().to_bytes())
    };
    let decided = |change: &dyn Fn(&mut DecisionFacts)| {
        changed(&|record| {
            change(&mut record.facts);
            *record = histone_access::decide(&record.facts).unwrap();
        })
    };
    for (consent, part) in [
        (with(b"nothing".to_vec()), "no decision of its owner allows"),
        (with(other_owner.decision.clone()), "not signed by the owner"),
        (other_model, "about another model"),
        (decided(&|f| f.data_matches = false), "does not permit"),
        (changed(&|r| r.facts.data_matches = false), "does not come out again"),
        (decided(&|f| f.paper.name = "nicer".into()), "another white paper"),
        (decided(&|f| f.policy.country = "FR".into()), "is not the one that the ledger has"),
        (decided(&|f| f.time = 1), "before what it is about"),
    ] {
        refused(admitted(&cast, &dataset, &consent, 9).await, part);
    }
    // The owner changes its terms after its decision.
    let call = Datasets::setPolicyCall { id: cast.owners[0].dataset(), policyHash: B256::repeat_byte(4) };
    cast.world.ledger.send(&key, Contract::Datasets, call).await.unwrap();
    // Evidence is of the ledger's time, which has passed, and the key is sealed to it.
    let instance = cast.start_training(0, 1, &plan(2), 10).await;
    let dataset = cast.sealed(0, &instance);
    refused(admitted(&cast, &dataset, &good, 10).await, "is not the one that the ledger has");
}

#[tokio::test]
async fn donations_at_the_wrong_moment_or_for_another_paper() {
    let mut cast = Cast::new(1).await;
    let (world, plan) = (cast.world.clone(), plan(2));
    let (paper, id) = cast.propose(&plan).await;

    // A paper of the same trainer that is not the one on the ledger: nicer words, other programs.
    let mut nicer = cast.paper();
    nicer.purpose = "DUO:0000006".into();
    let nicer = Signed::sign(&nicer, &cast.trainer.party.key).unwrap().to_bytes();
    let nicer = world.blobs.put(&nicer).unwrap();
    refused(cast.owners[0].consider(nicer, id, &world).await, "is not the one on the ledger");
    // The same paper, signed for the trainer's model on another chain.
    let mut elsewhere = cast.paper();
    elsewhere.ledger.chain_id += 1;
    let elsewhere = Signed::sign(&elsewhere, &cast.trainer.party.key).unwrap().to_bytes();
    let elsewhere = world.blobs.put(&elsewhere).unwrap();
    refused(cast.owners[0].consider(elsewhere, id, &world).await, "is another one");
    // A paper that promises more than the market will pay.
    let mut terms = cast.paper();
    terms.split.donors = 8_000;
    terms.split.trainer = 1_000;
    let generous = Signed::sign(&terms, &cast.trainer.party.key).unwrap().to_bytes();
    let generous = world.blobs.put(&generous).unwrap();
    let lying = propose(&cast, generous, PRICE, 7_000).await;
    refused(cast.owners[0].consider(generous, lying, &world).await, "other terms than the ledger");
    let lying = propose(&cast, generous, PRICE - 1, 8_000).await;
    refused(cast.owners[0].consider(generous, lying, &world).await, "other terms than the ledger");
    // Signed by somebody else.
    let forged = Signed::sign(&cast.paper(), &cast.runner.party.key).unwrap().to_bytes();
    let forged = world.blobs.put(&forged).unwrap();
    refused(cast.owners[0].consider(forged, id, &world).await, "not by its trainer");

    // A permit for one model does not serve another.
    let (other_paper, second) = cast.propose(&plan).await;
    cast.owners[0].consider(other_paper, second, &world).await.unwrap();
    let permit = cast.owners[0].consider(paper, id, &world).await.unwrap().permit.unwrap();
    let machine = Machine { program: cast.loaded.method.program().clone(), device: &cast.devices[0] };
    let donated =
        cast.owners[0].donate(at_price(permit, B256::repeat_byte(1), second), machine, &world).await;
    refused(donated, "the permit is for Training { model_id: 1 }, the ledger's funds are for");
    // A program of another kind on the owner's machine.
    let permit = cast.owners[0].consider(paper, id, &world).await.unwrap().permit.unwrap();
    let machine = Machine { program: cast.loaded.query.clone(), device: &cast.devices[0] };
    let donated = cast.owners[0].donate(at_price(permit, B256::repeat_byte(1), id), machine, &world).await;
    refused(donated, "WrongKind");

    // Twice the same dataset.
    cast.donate(0, paper, id).await.unwrap();
    refused(cast.donate(0, paper, id).await, "AlreadyDonated");
    // Training has begun after the decision.
    let permit = cast.owners[2].consider(paper, id, &world).await.unwrap().permit.unwrap();
    let (_, late) = cast.admit(2, id, &plan, 3).await;
    cast.donate(1, paper, id).await.unwrap();
    cast.trainer.start(id, &world).await.unwrap();
    let machine = Machine { program: cast.loaded.method.program().clone(), device: &cast.devices[2] };
    let donated = cast.owners[2].donate(at_price(permit, B256::repeat_byte(1), id), machine, &world).await;
    refused(donated, "model 1 is in state 2, not recruiting");
    let signer = cast.start_training(2, id, &plan, 3).await;
    cast.register(2, &signer).await;
    refused(cast.bring(2, id, &late, signer.keys().receipt).await, "WrongState");
    // Withdrawn after the decision.
    let answer = cast.owners[2].consider(other_paper, second, &world).await.unwrap();
    let withdraw = Datasets::withdrawCall { id: cast.owners[2].dataset() };
    world.ledger.send(&cast.owners[2].party.key, Contract::Datasets, withdraw).await.unwrap();
    let machine = Machine { program: cast.loaded.method.program().clone(), device: &cast.devices[2] };
    let permit = answer.permit.unwrap();
    let donated = cast.owners[2].donate(at_price(permit, answer.blob, second), machine, &world).await;
    refused(donated, "the dataset is withdrawn");
    assert!(cast.owners[2].donation().is_none());
    assert!(cast.owners[2].consider(other_paper, second, &world).await.unwrap().permit.is_none());
}

/// Proposes a model whose terms on the ledger are not those of its paper.
async fn propose(cast: &Cast, paper: B256, query_price: u64, donors: u16) -> u64 {
    let (ledger, key) = (&cast.world.ledger, &cast.trainer.party.key);
    let approve =
        TestToken::approveCall { spender: ledger.deployment().market, value: U256::from(3 * PRICE) };
    ledger.send(key, Contract::Token, approve).await.unwrap();
    let terms = Market::Terms {
        instantPayment: PRICE.try_into().unwrap(),
        queryPrice: query_price.try_into().unwrap(),
        donorsBps: donors,
        trainerBps: 9_000 - donors,
        runnerBps: 1_000,
        minDonors: 2,
        maxDonors: 3,
        queryTimeout: 600,
        minSurvivors: 2,
        colluders: 1,
    };
    let call = Market::proposeCall { whitePaperHash: paper, planHash: paper, t: terms };
    let receipt = ledger.send(key, Contract::Market, call).await.unwrap();
    receipt.event::<Market::ModelProposed>().unwrap().modelId.to()
}
