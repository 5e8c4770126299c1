//! The same rows again: under another salt, by another owner, to another enclave, against an older index.

use std::fs;

use histone_attestation::AppraisalPolicy;
use histone_contracts::reasons;
use histone_contracts::{Contract, Datasets, Rounds};
use histone_enclave::instance::{EnclaveError, Instance, SealedDataset};
use histone_enclave::validation::{self, Peer, Validated, ValidationEnclave};
use histone_genome::table::Table;
use histone_node::owner::Owner;
use histone_node::party::{Entropy, Party};
use histone_protocol::commitment::dataset_root;
use histone_protocol::dataset::{KeyBundle, release_aad};
use histone_protocol::hash::blob_hash;
use histone_protocol::notice::{ValidationNotice, addressed, open_notice};
use histone_protocol::record::{LedgerId, Signed};
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256};

use crate::cast::{Cast, PRICE, plan, policy, refused, table};

/// The rows of a table in another order.
fn shuffled(table: &Table) -> Table {
    let order: Vec<usize> = (0..table.rows()).map(|i| i * 7 % table.rows()).collect();
    table.subset(&order).unwrap()
}

/// A table of `owner` under a fresh salt and key, sealed to the validation enclave of the cast.
fn sealed(cast: &mut Cast, owner: usize, table: &Table) -> SealedDataset {
    let enclave = cast.validation.instance();
    seal(&mut cast.owners[owner], table, enclave)
}

fn seal(owner: &mut Owner, table: &Table, enclave: &Instance) -> SealedDataset {
    let (account, secret) = (owner.account(), owner.party.root());
    // Another salt and key each time.
    let number = owner.party.next("twin").unwrap();
    let bundle = KeyBundle::generate(&mut secret.rng("twin", &[&number.to_le_bytes()]));
    let root = dataset_root(&bundle.salt, table.leaves());
    let id = histone_contracts::dataset_id(account, root);
    let aad = release_aad(id, enclave.measurement(), blob_hash(enclave.evidence()));
    let key = bundle.seal_to(enclave.keys().seal, aad, secret).unwrap();
    let ciphertext = bundle.data.encrypt(&table.encode());
    SealedDataset { id, owner: account, root, replaces: B256::ZERO, ciphertext, key }
}

/// What the enclave of the cast says to a table.
async fn validate(
    cast: &mut Cast,
    owner: usize,
    table: &Table,
    replaces: Option<B256>,
) -> Result<Validated, EnclaveError> {
    let mut dataset = sealed(cast, owner, table);
    dataset.replaces = replaces.unwrap_or_default();
    cast.validation.validate(&dataset, &cast.world.ledger, &cast.world.evidence()).await
}

/// What a committee member reads in the notice.
fn notice(cast: &Cast, owner: usize, validated: &Validated, member: usize) -> ValidationNotice {
    let about = (cast.world.ledger.deployment().id(), cast.owners[owner].account(), validated.root);
    let member = &cast.committee[member].party;
    let (notice, signer) = open_notice(&validated.notice, about, member.account(), &member.seal).unwrap();
    assert_eq!(signer, cast.validation.instance().keys().receipt);
    notice
}

fn report(validated: &Validated) -> ValidationReport {
    Signed::from_bytes(&validated.report).unwrap().open().unwrap().0
}

#[tokio::test]
async fn to_register_the_same_rows_twice() {
    let mut cast = Cast::new(1).await;
    let first = cast.owners[0].dataset();
    // Under another salt, in another order, with one row of 24 changed.
    for again in [table(1), shuffled(&table(1)), {
        let mut values = table(1).values().to_vec();
        values[0] += 100.0;
        Table::new(table(1).columns().to_vec(), values).unwrap()
    }] {
        let validated = validate(&mut cast, 0, &again, None).await.unwrap();
        assert_eq!(validated.receipt.replaces, first);
    }
    // The owner's node says so.
    let party = Party::create("owner 1", &cast.dir.path().join("again"), Entropy::Seed(7)).unwrap();
    assert_eq!(party.account(), cast.owners[0].account());
    let mut twin = Owner::prepare(party, shuffled(&table(1)), policy()).unwrap();
    assert_ne!(twin.dataset(), first);
    refused(twin.register(&cast.validation, &cast.world).await, &format!("those of your dataset {first}"));
    // Other rows are a dataset of their own, or a new version where the owner says so.
    assert_eq!(validate(&mut cast, 0, &table(9), None).await.unwrap().receipt.replaces, B256::ZERO);
    assert_eq!(validate(&mut cast, 0, &table(8), Some(first)).await.unwrap().receipt.replaces, first);
    // Nobody makes a version of somebody else's dataset, nor one of two datasets at once.
    let theirs = cast.owners[1].dataset();
    refused(validate(&mut cast, 0, &table(7), Some(theirs)).await, "is not a dataset of yours in force");
}

#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let mut cast = Cast::new(1).await;
    let dataset = sealed(&mut cast, 0, &table(9));
    let public = cast.world.evidence();
    let answers = [(); 2].map(|()| cast.validation.validate(&dataset, &cast.world.ledger, &public));
    let [one, two] = answers;
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert_eq!((one.report, one.notice, one.receipt), (two.report, two.notice, two.receipt));
}

/// Whoever holds a guess of another owner's table asks whether it is right: nothing in the answer depends on it.
#[tokio::test]
async fn to_ask_validation_for_other_peoples_rows() {
    let mut cast = Cast::new(1).await;
    let guess = validate(&mut cast, 1, &shuffled(&table(1)), None).await.unwrap();
    let other = validate(&mut cast, 1, &table(9), None).await.unwrap();
    assert_eq!((guess.receipt.replaces, other.receipt.replaces), (B256::ZERO, B256::ZERO));
    let shape = |v: &Validated| (v.report.len(), v.notice.len(), v.signature.as_slice().len());
    assert_eq!(shape(&guess), shape(&other));
    // The reports differ in what names the table, and there only.
    let blank = |v: &Validated| ValidationReport { root: B256::ZERO, notice: B256::ZERO, ..report(v) };
    assert_eq!(blank(&guess), blank(&other));
    assert_eq!(report(&guess).notice, blob_hash(&guess.notice));
    // The committee is told, each of its members.
    let members = cast.committee.iter().map(|m| m.party.account()).collect();
    assert_eq!(addressed(&guess.notice).unwrap(), members);
    for member in 0..cast.committee.len() {
        let told = notice(&cast, 1, &guess, member);
        let earlier: Vec<_> = told.earlier.iter().map(|e| (e.lineage, e.percent)).collect();
        assert_eq!((earlier, told.more), (vec![(cast.owners[0].dataset(), 99)], false));
        assert!(notice(&cast, 1, &other, member).earlier.is_empty());
    }
    // Neither owner nor runner can open what is for the committee.
    let about = (cast.world.ledger.deployment().id(), cast.owners[1].account(), guess.root);
    for party in [&cast.owners[1].party, &cast.runner.party] {
        for member in &cast.committee {
            assert!(open_notice(&guess.notice, about, member.party.account(), &party.seal).is_err());
        }
    }
}

/// A thief takes the rows of an earlier version, and then their owner updates: the owner came first all the same.
#[tokio::test]
async fn to_make_the_owner_look_like_the_copy() {
    let mut cast = Cast::new(1).await;
    let first = cast.owners[0].dataset();
    let stolen = validate(&mut cast, 1, &table(1), None).await.unwrap();
    assert_eq!(notice(&cast, 1, &stolen, 0).earlier.len(), 1);
    let update = validate(&mut cast, 0, &shuffled(&table(1)), None).await.unwrap();
    assert_eq!(update.receipt.replaces, first);
    assert!(notice(&cast, 0, &update, 0).earlier.is_empty());
}

/// The rows of another donor, brought as a version of ones own dataset: the owner is not told, the committee names it, and
/// the others train to the end without it.
#[tokio::test]
async fn to_be_paid_for_the_rows_of_another_donor() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    cast.owners[2].update(shuffled(&table(1)), &cast.validation, &world).await.unwrap();
    let mut model = cast.recruit(plan(2)).await;
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named: Vec<_> = named.iter().map(|e| (e.donorIndex, e.reason)).collect();
    assert_eq!(named, [(3, reasons::DUPLICATE)]);
    let header = cast.header(&mut model, |_| {}).await;
    assert!(!header.has_donor(3));
    let first = cast.round_of(&mut model, &[0, 1]).await;
    cast.train_on(&mut model, &[0, 1], first).await;
    let owed = [cast.owed(model.id, 1).await, cast.owed(model.id, 2).await, cast.owed(model.id, 3).await];
    assert_eq!(owed, [PRICE, PRICE, 0]);
}

/// An owner whose notice or report is in no public storage hides what they say.
#[tokio::test]
async fn to_keep_the_notice_from_the_committee() {
    let mut cast = Cast::new(1).await;
    let world = cast.world.clone();
    let report = cast.owners[2].update(shuffled(&table(1)), &cast.validation, &world).await.unwrap();
    let report = Signed::<ValidationReport>::from_bytes(&world.blobs.get(report).unwrap()).unwrap();
    let notice = report.open().unwrap().0.notice;
    fs::remove_file(world.blobs.path(notice)).unwrap();
    cast.recruit(plan(2)).await;
    let named = world.ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named: Vec<_> = named.iter().map(|e| (e.donorIndex, e.reason)).collect();
    assert_eq!(named, [(3, reasons::NOT_BELIEVED)]);
}

/// A second validation enclave from a known seed, with its sketches in a file of the runner.
async fn second(cast: &Cast, seed: u8, name: &str) -> ValidationEnclave {
    let now = cast.world.ledger.time().await.unwrap();
    let operator = cast.runner.party.account();
    let instance = Instance::start(
        cast.loaded.validation.clone(),
        &cast.devices[0],
        operator,
        validation::init_data(),
        now,
        [seed; 32].into(),
    )
    .unwrap();
    cast.world.register_enclave(&instance, &cast.runner.party.key).await.ok();
    ValidationEnclave::new(instance, Box::new(cast.runner.party.store(name.into()))).unwrap()
}

fn peer(enclave: &Instance) -> Peer<'_> {
    Peer { signer: enclave.keys().receipt, evidence: enclave.evidence() }
}

#[tokio::test]
async fn to_take_the_same_rows_to_another_enclave() {
    let mut cast = Cast::new(1).await;
    let other = second(&cast, 1, "other").await;
    let again = seal(&mut cast.owners[0], &table(1), other.instance());
    let (ledger, appraisal) = (cast.world.ledger.clone(), cast.world.appraisal.clone());
    refused(
        other.validate(&again, &ledger, &|_| None).await,
        "the sketches of 3 registered datasets are missing",
    );
    let message = cast.validation.hand_over(peer(other.instance()), &appraisal, &ledger).await.unwrap();
    // A table that is registered may come to any enclave again; then it has sketches under a key of its own.
    let third = second(&cast, 2, "third").await;
    let registered = cast.sealed(0, third.instance());
    let giver = peer(cast.validation.instance());
    assert_eq!(other.take_over(&message, giver, &appraisal, &ledger).await.unwrap(), 3);
    assert_eq!(other.take_over(&message, giver, &appraisal, &ledger).await.unwrap(), 0);
    let validated = other.validate(&again, &ledger, &|_| None).await.unwrap();
    assert_eq!(validated.receipt.replaces, cast.owners[0].dataset());

    // Altered on the way, from somebody else, or brought to a third enclave.
    for at in [0, 64, 65, 100, message.len() - 1] {
        let mut altered = message.clone();
        altered[at] ^= 1;
        assert!(other.take_over(&altered, giver, &appraisal, &ledger).await.is_err());
    }
    assert!(other.take_over(&message[..40], giver, &appraisal, &ledger).await.is_err());
    refused(other.take_over(&message, peer(third.instance()), &appraisal, &ledger).await, "no hand-over");
    refused(third.take_over(&message, giver, &appraisal, &ledger).await, "no hand-over");
    third.validate(&registered, &ledger, &|_| None).await.unwrap();
    let message = cast.validation.hand_over(peer(third.instance()), &appraisal, &ledger).await.unwrap();
    refused(third.take_over(&message, giver, &appraisal, &ledger).await, "under another key");
}

#[tokio::test]
async fn to_get_the_sketch_key_without_an_enclave() {
    let cast = Cast::new(1).await;
    let (ledger, appraisal) = (cast.world.ledger.clone(), cast.world.appraisal.clone());
    // Evidence of a vendor that is trusted nowhere, and of nothing.
    let other = second(&cast, 1, "other").await;
    let to = peer(other.instance());
    let stranger = AppraisalPolicy::simulated(vec![Address::repeat_byte(9)], 1_000);
    refused(cast.validation.hand_over(to, &stranger, &ledger).await, "not a trusted vendor root");
    refused(
        cast.validation.hand_over(to, &AppraisalPolicy::production(1_000), &ledger).await,
        "the evidence is SIMULATED",
    );
    let none = Peer { evidence: b"", ..to };
    refused(cast.validation.hand_over(none, &appraisal, &ledger).await, "the evidence has hash");
    // A training enclave, registered and appraised.
    let training = cast.start_training(0, 1, &plan(2), 9).await;
    cast.register(0, &training).await;
    assert!(cast.validation.hand_over(peer(&training), &appraisal, &ledger).await.is_err());
    // One that is not on the ledger.
    let unknown = Peer { signer: Address::repeat_byte(5), ..to };
    assert!(cast.validation.hand_over(unknown, &appraisal, &ledger).await.is_err());
    // Evidence that is too old.
    cast.wait(histone_node::world::EVIDENCE_MAX_AGE + 1).await;
    assert!(cast.validation.hand_over(to, &appraisal, &ledger).await.is_err());
}

/// The runner puts back what the enclave sealed before the rows were registered.
#[tokio::test]
async fn to_roll_the_sketches_back() {
    let mut cast = Cast::new(1).await;
    let (ledger, appraisal) = (cast.world.ledger.clone(), cast.world.appraisal.clone());
    let file = cast.dir.path().join("private/runner/kept");
    let enclave = second(&cast, 1, "kept").await;
    let message = cast.validation.hand_over(peer(enclave.instance()), &appraisal, &ledger).await.unwrap();
    enclave.take_over(&message, peer(cast.validation.instance()), &appraisal, &ledger).await.unwrap();
    let before = fs::read(&file).unwrap();
    // Owner 1 registers another table, which the enclave keeps.
    let party = Party::create("owner 1", &cast.dir.path().join("more"), Entropy::Seed(7)).unwrap();
    let mut more = Owner::prepare(party, table(9), policy()).unwrap();
    more.register(&enclave, &cast.world).await.unwrap();
    // Started again from what it kept, it knows the rows.
    let started = second(&cast, 1, "kept").await;
    let twin = seal(&mut cast.owners[0], &table(9), started.instance());
    assert_eq!(started.validate(&twin, &ledger, &|_| None).await.unwrap().receipt.replaces, more.dataset());
    let after = fs::read(&file).unwrap();
    fs::write(&file, &before).unwrap();
    let started = second(&cast, 1, "kept").await;
    refused(started.validate(&twin, &ledger, &|_| None).await, "an older index was put in the place");
    // Nor can it be changed, or be used by another enclave.
    for altered in [&after[..after.len() - 1], &before[1..], b""] {
        fs::write(&file, altered).unwrap();
        let seed = [1; 32].into();
        let instance = Instance::start(
            cast.loaded.validation.clone(),
            &cast.devices[0],
            cast.runner.party.account(),
            validation::init_data(),
            ledger.time().await.unwrap(),
            seed,
        );
        let store = Box::new(cast.runner.party.store("kept".into()));
        refused(ValidationEnclave::new(instance.unwrap(), store), "was altered");
    }
}

#[tokio::test]
async fn an_erased_dataset_is_forgotten_and_a_withdrawn_one_is_not() {
    let mut cast = Cast::new(1).await;
    let id = cast.owners[0].dataset();
    let ledger = cast.world.ledger.clone();
    let owner = cast.owners[0].party.key.clone();
    ledger.send(&owner, Contract::Datasets, Datasets::withdrawCall { id }).await.unwrap();
    refused(validate(&mut cast, 0, &table(1), None).await, "which you withdrew for good");
    assert_eq!(cast.validation.forget_erased(&ledger).await.unwrap(), 0);
    ledger.send(&owner, Contract::Datasets, Datasets::markErasedCall { id }).await.unwrap();
    assert_eq!(cast.validation.forget_erased(&ledger).await.unwrap(), 1);
    assert_eq!(cast.validation.forget_erased(&ledger).await.unwrap(), 0);
    let other = validate(&mut cast, 1, &table(1), None).await.unwrap();
    assert!(notice(&cast, 1, &other, 0).earlier.is_empty());
}

/// A notice says on which ledger it is.
#[tokio::test]
async fn to_show_a_notice_for_another_dataset() {
    let mut cast = Cast::new(1).await;
    let guess = validate(&mut cast, 1, &table(1), None).await.unwrap();
    let member = &cast.committee[0].party;
    let here = cast.world.ledger.deployment().id();
    let account = cast.owners[1].account();
    for about in [
        (LedgerId { chain_id: 99, ..here }, account, guess.root),
        (here, cast.owners[2].account(), guess.root),
        (here, account, B256::repeat_byte(1)),
    ] {
        assert!(open_notice(&guess.notice, about, member.account(), &member.seal).is_err());
    }
}
