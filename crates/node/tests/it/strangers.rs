//! Honest runs in which some lie: a stranger who gets the folder finds nothing wrong with it. And what such a folder may
//! hold beside what was checked.

#![allow(clippy::unwrap_used)]

pub mod left;
mod spoils;

use std::collections::BTreeMap;
use std::fs;

use histone_compliance::folder::{RoundRecord, RunRecord};
use histone_contracts::{Contract, Datasets, Enclaves, Market, Members, Programs, Rounds, reasons};
use histone_enclave::cohort::MARGIN;
use histone_enclave::method::Step;
use histone_federation::BoxError;
use histone_federation::committee::Member;
use histone_federation::header::RoundHeader;
use histone_federation::training::Finished;
use histone_federation::update::{Survivor, Survivors, Unsealer};
use histone_network::BlobStore;
use histone_node::committee::{CommitteeMember, Lock, survivors};
use histone_node::world::EVIDENCE_MAX_AGE;
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::record::Signed;
use histone_protocol::report::{NamedValue, SiteEvaluation};
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256, U256};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::left::{Kept, LETTER, Left, name, settle};
use self::spoils::{allow_linear, plain_key, spoil};
use crate::cast::{Cast, DEADLINE, Model, plan};

/// Owners by what they do.
const HONEST: [usize; 4] = [0, 1, 2, 3];
const NO_EVIDENCE: usize = 4;
const EXPIRES: usize = 5;
const ANCHORS_JUNK: usize = 6;
const LEAVES_QUIETLY: usize = 7;

/// What is anchored as an update.
const JUNK: &[u8] = &[7; 99];
/// What a plain key has instead of evidence.
const NONE: &[u8] = b"trust me";
/// One round with these owners, of whom the ledger hears the hash of junk beside; leaves what the operator keeps of it.
async fn round(
    cast: &mut Cast,
    model: &mut Model,
    answering: &[usize],
    junk: Option<(&SigningKey, u16, &[u8])>,
    kept: (&mut Vec<RoundRecord>, &mut Vec<Value>),
) -> Step {
    let header = closed(cast, model, answering, junk).await;
    let partials = cast.open_sum(&header).await;
    finished(cast, model, &header, answering, partials, kept).await
}

/// A round that is closed.
async fn closed(
    cast: &mut Cast,
    model: &mut Model,
    answering: &[usize],
    junk: Option<(&SigningKey, u16, &[u8])>,
) -> RoundHeader {
    let world = cast.world.clone();
    let header = cast.open_round(model).await;
    for &owner in answering {
        cast.owners[owner].contribute(&header, &world).await.unwrap();
    }
    if let Some((key, donor, junk)) = junk {
        let blob = world.blobs.put(junk).unwrap();
        cast.anchor_as(key, &header, donor, blob).await.unwrap();
    }
    cast.wait(DEADLINE + 1).await;
    assert!(cast.trainer.close_round(model.id, header.fields().round, &world).await.unwrap().1);
    header
}

/// Its sum leads to the next step.
async fn finished(
    cast: &mut Cast,
    model: &mut Model,
    header: &RoundHeader,
    answering: &[usize],
    partials: Vec<B256>,
    kept: (&mut Vec<RoundRecord>, &mut Vec<Value>),
) -> Step {
    let world = cast.world.clone();
    let (number, stage) = (header.fields().round, model.training.stage().to_string());
    let (transcript, step) =
        cast.trainer.finish_round(&model.training, header, &partials, &world).await.unwrap();
    for member in &mut cast.committee {
        member.name_liars(&transcript, &world).await.unwrap();
    }
    let updates = survivors(U256::from(model.id), number, &world).await.unwrap();
    for &owner in answering {
        cast.owners[owner].observe(&transcript, &world).await.unwrap();
    }
    let registered = world.ledger.events::<Datasets::DatasetRegistered>(Contract::Datasets).await.unwrap();
    let donated = world.ledger.events::<Market::Donated>(Contract::Market).await.unwrap();
    let missing = donated.iter().filter(|d| updates.iter().all(|(there, _)| *there != d.donorIndex));
    let owner = |d: &Market::Donated| registered.iter().find(|r| r.id == d.datasetId).unwrap().owner;
    let missing: Vec<String> = missing.map(|d| name(cast, owner(d))).collect();
    let bytes = |list: &mut dyn Iterator<Item = usize>| list.sum::<usize>();
    kept.1.push(json!({
        "round": number,
        "stage": stage,
        "survivors": updates.len(),
        "missing": missing,
        "basis": "recomputed",
        "disagree": [],
        "numbers": header.dimension(),
        "update_bytes": bytes(&mut transcript.survivors.iter().map(|(_, blob)| blob.len())),
        "partial_bytes": bytes(&mut transcript.partials.iter().map(|p| p.len())),
    }));
    kept.0.push(RoundRecord {
        round: number,
        stage,
        header: world.blobs.put(&header.encode()).unwrap(),
        updates: updates.into_iter().collect(),
        partials,
    });
    step
}

/// A training with every kind of lie that its rules withstand, and its folder.
async fn run_with_liars(anchored: &[u8], shown: &[u8]) -> Left {
    let mut cast = Cast::of(1, 8).await;
    settle(&cast).await;
    let world = cast.world.clone();
    let plan = plan(4);
    let (paper, id) = cast.propose(&plan).await;
    cast.donate(EXPIRES, paper, id).await.unwrap();
    cast.wait(EVIDENCE_MAX_AGE / 2).await;
    for owner in HONEST.into_iter().chain([LEAVES_QUIETLY]) {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let plain = SigningKey::from_bytes(&[50; 32]).unwrap();
    cast.donate_with_key(NO_EVIDENCE, id, &plain, 1, blob_hash(shown)).await.unwrap();
    let (junk, junk_donor) = cast.donate_broken(ANCHORS_JUNK, id, &plan, 51).await;
    // Who validated all these data has ended, and the training program is revoked: what was begun goes on.
    let revoke = Enclaves::revokeCall { signer: cast.validation.instance().keys().receipt };
    world.ledger.send(&cast.runner.party.key, Contract::Enclaves, revoke).await.unwrap();
    let mut model = cast.begin_blindly(id, plan.clone()).await;
    let measurement = B256::from(cast.loaded.method.program().program().measurement());
    let revoke = Programs::revokeCall { measurement };
    world.ledger.send(&cast.trainer.party.key, Contract::Programs, revoke).await.unwrap();
    cast.wait(EVIDENCE_MAX_AGE / 2 + 1).await;
    let (mut rounds, mut summaries) = (Vec::new(), Vec::new());
    let mut answering = HONEST.to_vec();
    answering.push(LEAVES_QUIETLY);
    let mut lie = Some((&junk, junk_donor, anchored));
    let finished = loop {
        let kept = (&mut rounds, &mut summaries);
        match round(&mut cast, &mut model, &answering, lie.take(), kept).await {
            Step::Next(next) => model.training = next,
            Step::Finished(finished) => break finished,
            Step::NoModel => panic!("the sums are public"),
        }
        if answering.len() > HONEST.len() {
            // It does not say so to the market.
            let call = Datasets::withdrawCall { id: cast.owners[LEAVES_QUIETLY].dataset() };
            let key = &cast.owners[LEAVES_QUIETLY].party.key;
            world.ledger.send(key, Contract::Datasets, call).await.unwrap();
            answering = HONEST.to_vec();
        }
    };
    // Two members name a third one when all is over.
    let victim = cast.committee[6].party.account();
    for member in &mut cast.committee[..2] {
        let (model, round) = (U256::from(id), rounds.len() as u32);
        member.blame_member(model, round, victim, reasons::MISSING, &world).await.unwrap();
    }
    let named = world.ledger.events::<Rounds::MemberNamed>(Contract::Rounds).await.unwrap();
    assert_eq!(named.iter().map(|e| e.member).collect::<Vec<_>>(), [victim]);
    let withdrawn = vec![(LEAVES_QUIETLY, 2)];
    drop(world);
    end(cast, &model, paper, &HONEST, (rounds, summaries), finished, withdrawn).await
}

/// The model is sold, and these owners evaluate it.
async fn end(
    mut cast: Cast,
    model: &Model,
    paper: B256,
    owners: &[usize],
    (rounds, summaries): (Vec<RoundRecord>, Vec<Value>),
    finished: Finished,
    withdrawn: Vec<(usize, u32)>,
) -> Left {
    let world = cast.world.clone();
    let over = world.ledger.events::<Market::TrainingFinished>(Contract::Market).await.unwrap();
    if over.is_empty() {
        cast.trainer.finish(model.id, B256::from(finished.hash()), &world).await.unwrap();
    }
    let mut evaluations = Vec::new();
    for &owner in owners {
        evaluations.push((owner, cast.owners[owner].evaluate(&world).unwrap()));
    }
    drop(world);
    Left::of(cast, Kept { paper, rounds, summaries, finished, evaluations, withdrawn }).await
}

/// A training whose first round fails, because its header is not the right one.
async fn run_with_lying_trainer(invites_who_left: bool) -> Vec<(&'static str, String)> {
    let mut cast = Cast::of(1, 3).await;
    settle(&cast).await;
    let world = cast.world.clone();
    let plan = plan(2);
    let (paper, id) = cast.propose(&plan).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    let mut model = cast.begin(id, plan).await;
    // Longer than what may count or not.
    cast.wait(2 * MARGIN).await;
    let header = cast.header(&mut model, |f| f.cohort.truncate(if invites_who_left { 3 } else { 2 })).await;
    let (mut answering, mut withdrawn) = (vec![0, 1, 2], vec![]);
    if invites_who_left {
        let call = Datasets::withdrawCall { id: cast.owners[2].dataset() };
        world.ledger.send(&cast.owners[2].party.key, Contract::Datasets, call).await.unwrap();
        cast.wait(2 * MARGIN).await;
        answering.pop();
        withdrawn.push((2, 1));
    }
    let blob = world.blobs.put(&header.encode()).unwrap();
    cast.announce(id, B256::from(header.hash())).await;
    cast.wait(DEADLINE + 1).await;
    assert!(!cast.trainer.close_round(id, 1, &world).await.unwrap().1);
    let (mut rounds, mut summaries) = (Vec::new(), Vec::new());
    let stage = model.training.stage().to_string();
    let (updates, partials) = (BTreeMap::new(), vec![]);
    rounds.push(RoundRecord { round: 1, stage, header: blob, updates, partials });
    let finished = loop {
        match round(&mut cast, &mut model, &answering, None, (&mut rounds, &mut summaries)).await {
            Step::Next(next) => model.training = next,
            Step::Finished(finished) => break finished,
            Step::NoModel => panic!("the sums are public"),
        }
    };
    drop(world);
    let left = end(cast, &model, paper, &answering, (rounds, summaries), finished, withdrawn).await;
    left.failures().await
}

#[tokio::test]
async fn a_trainer_who_invites_the_wrong_donors_is_found() {
    for (invites_who_left, problem) in [
        (false, "round 1: its header does not invite donor 3, who was believed then"),
        (true, "round 1: donor 3 of its cohort is not believed: its dataset is withdrawn"),
    ] {
        let failed = run_with_lying_trainer(invites_who_left).await;
        let (name, detail) = &failed[0];
        assert!(*name == "rounds" && detail.starts_with(problem), "{failed:#?}");
    }
}

#[tokio::test]
async fn an_honest_run_with_liars_in_it_holds() {
    let left = run_with_liars(JUNK, NONE).await;
    assert_eq!(left.failures().await, []);
    let enclaves = left.detail("enclaves").await;
    assert!(enclaves.contains("1 enclave showed evidence that is not believed"), "{enclaves}");

    // What a member once called its profile, and is none.
    let store = BlobStore::at(left.folder.blobs());
    let letter = store.put(LETTER).unwrap();
    left.seal();
    let problem = format!(
        "`blobs/{letter:x}` is named by the ledger as evidence, report, policy or profile, and is no document"
    );
    let failed = left.failures().await;
    assert!(matches!(&failed[..], [("leaves", d)] if d.contains(&problem)), "{failed:#?}");
    fs::remove_file(store.path(letter)).unwrap();
    // What a plain key showed is no evidence, and does not lie there as if it were.
    let none = store.put(NONE).unwrap();
    left.seal();
    let problem = format!("`blobs/{none:x}` is named by the ledger as evidence");
    let failed = left.failures().await;
    assert!(matches!(&failed[..], [("leaves", d)] if d.contains(&problem)), "{failed:#?}");
    fs::remove_file(store.path(none)).unwrap();
    // Updates that nobody can read may lie there.
    store.put(JUNK).unwrap();
    left.seal();
    assert_eq!(left.failures().await, []);

    // The operator hides the evidence of a donor in the cohort: something rests on it.
    let (record, _) = left.folder.read::<RunRecord>(&left.folder.record()).unwrap();
    let hidden = record.evidence[2];
    left.rewrite(|r| r.evidence.retain(|e| *e != hidden));
    let failed = left.failures().await;
    let said = |name: &str, part: &str| {
        assert!(failed.iter().any(|(n, d)| *n == name && d.contains(part)), "{part}: {failed:#?}");
    };
    said("enclaves", "is not in run.json");
    said("rounds", "of its cohort is not believed");
}

/// A document that nobody has signed.
fn forged() -> Vec<u8> {
    let statement = json!({ "program": "training", "method": "audited and approved by the ministry" });
    let forged = json!({
        "kind": "audit-report",
        "payload": statement.to_string(),
        "signer": Address::repeat_byte(1),
        "signature": "none",
    });
    serde_json::to_vec(&forged).unwrap()
}

/// The operator puts it into the folder, among the others.
async fn is_found(left: Left) {
    assert_eq!(left.failures().await, []);
    let before = left.detail("leaves").await;
    BlobStore::at(left.folder.blobs()).put(&forged()).unwrap();
    left.seal();
    let failed = left.failures().await;
    assert!(!failed.is_empty(), "nobody finds it: {before} -> {}", left.detail("leaves").await);
}

/// A donor anchors it as its update and is struck.
#[tokio::test]
async fn a_forged_document_that_was_anchored_as_an_update_is_found() {
    is_found(run_with_liars(&forged(), NONE).await).await;
}

/// A plain key shows it as its evidence, and is struck.
#[tokio::test]
async fn a_forged_document_that_was_shown_as_evidence_is_found() {
    is_found(run_with_liars(JUNK, &forged()).await).await;
}

/// What a liar posts as its partial sum.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Posted {
    Nothing,
    /// What everybody has: the header.
    Header,
    /// What another member posted.
    Copy,
}

/// What one party does in a run of the others.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spoils {
    /// A paid owner calls its profile the hash of nothing.
    Profile,
    /// A member locks the hash of this in the last round.
    Partial(Posted),
    /// The trainer gives donors a second instead of the plan's ten minutes.
    Time,
    /// The runner registers its validation enclave for longer than its evidence holds.
    Expiry,
    /// An owner takes its data back before so many members of the last quorum have posted.
    Withdrawal(usize),
    /// A paid owner calls its policy the hash of nothing.
    Policy,
    /// A paid owner has a new version "validated" by a key of its own.
    Version,
    /// The runner shows the evidence of its validation enclave again when it is too old, and then evidence of nothing; an
    /// owner does so with its training enclave.
    Showing,
    /// The runner lets a plain key serve beside the enclave of which an answer was bought, and nobody buys of it.
    Serving,
    /// An owner with a plain key, whom the trainer refuses, signs a good figure about the model.
    Figure,
    /// The trainer proposes a model by another method, which the members allow.
    Proposal,
}

/// A consortium has two methods, or somebody would make it look as if the run of the others were worth nothing.
#[tokio::test]
async fn a_proposal_by_another_method_fails_nothing() {
    assert_eq!(spoilt_run(Spoils::Proposal).await.failures().await, []);
}

async fn spoilt_run(how: Spoils) -> Left {
    let figure = how == Spoils::Figure;
    let mut cast = Cast::of(1, if figure { 4 } else { 3 }).await;
    if how == Spoils::Proposal {
        allow_linear(&mut cast).await;
    }
    settle(&cast).await;
    let world = cast.world.clone();
    let plan = plan(2);
    let (paper, id) = cast.propose(&plan).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id).await.unwrap();
    }
    if figure {
        // It calls the white paper its decision.
        cast.donate_naming((3, id), &plain_key(), 0, B256::repeat_byte(5), paper).await.unwrap();
    }
    let mut model = cast.begin(id, plan).await;
    if how == Spoils::Time {
        model.leading.round_seconds = 1;
    }
    if how == Spoils::Expiry {
        let instance = cast.validation.instance();
        let expires = world.ledger.time().await.unwrap() + 10 * EVIDENCE_MAX_AGE;
        let (r, signature) = instance.registration(world.ledger.deployment(), expires);
        let call = Enclaves::refreshCall {
            signer: instance.keys().receipt,
            evidenceHash: r.evidenceHash,
            expiresAt: r.expiresAt,
            signature: signature.as_slice().to_vec().into(),
        };
        world.ledger.send(&cast.runner.party.key, Contract::Enclaves, call).await.unwrap();
    }
    let (mut rounds, mut summaries, mut withdrawn) = (Vec::new(), Vec::new(), Vec::new());
    let finished = loop {
        let last = rounds.len() == 3;
        let kept = (&mut rounds, &mut summaries);
        let step = match how {
            Spoils::Partial(posted) if last => last_with_a_lie(&mut cast, &mut model, posted, kept).await,
            Spoils::Withdrawal(late) if last => {
                withdrawn.push((2, 5));
                last_with_late_members(&mut cast, &mut model, late, kept).await
            }
            _ => round(&mut cast, &mut model, &[0, 1, 2], None, kept).await,
        };
        match step {
            Step::Next(next) => model.training = next,
            Step::Finished(finished) => break finished,
            Step::NoModel => panic!("the sums are public"),
        }
    };
    spoil(&mut cast, how, id, &finished).await;
    if how == Spoils::Profile {
        let (profile, key) = (B256::repeat_byte(9), cast.owners[0].party.seal.public().0);
        let call = Members::updateCall { profile, sealKey: key };
        world.ledger.send(&cast.owners[0].party.key, Contract::Members, call).await.unwrap();
    }
    drop(world);
    let owners = if withdrawn.is_empty() { &[0, 1, 2][..] } else { &[0, 1] };
    end(cast, &model, paper, owners, (rounds, summaries), finished, withdrawn).await
}

/// The last round, in which member 7 locks the hash of something that is not its partial sum.
async fn last_with_a_lie(
    cast: &mut Cast,
    model: &mut Model,
    posted: Posted,
    kept: (&mut Vec<RoundRecord>, &mut Vec<Value>),
) -> Step {
    let header = closed(cast, model, &[0, 1, 2], None).await;
    let liar = cast.committee.pop().unwrap();
    match posted {
        Posted::Nothing => post(cast, &liar, &header, B256::repeat_byte(8)).await,
        Posted::Header => post(cast, &liar, &header, B256::from(header.hash())).await,
        Posted::Copy => {}
    }
    let partials = cast.open_sum(&header).await;
    if posted == Posted::Copy {
        post(cast, &liar, &header, partials[0]).await;
    }
    cast.committee.push(liar);
    finished(cast, model, &header, &[0, 1, 2], partials, kept).await
}

async fn post(cast: &Cast, member: &CommitteeMember, header: &RoundHeader, hash: B256) {
    let f = header.fields();
    let (model, round) = (U256::from_be_bytes(f.model_id), f.round);
    let call = Rounds::postPartialCall { modelId: model, round, attempt: 0, partialHash: hash };
    cast.world.ledger.send(&member.party.key, Contract::Rounds, call).await.unwrap();
}

struct Opens(SealKey);

impl Unsealer for Opens {
    fn unseal(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        Ok(Zeroizing::new(self.0.open(std::str::from_utf8(info)?, aad, sealed)?))
    }
}

/// The last round, in which an owner takes its data back when all but `late` of the members that open the sum have posted;
/// these post all the same, minutes later.
async fn last_with_late_members(
    cast: &mut Cast,
    model: &mut Model,
    late: usize,
    kept: (&mut Vec<RoundRecord>, &mut Vec<Value>),
) -> Step {
    let world = cast.world.clone();
    let header = closed(cast, model, &[0, 1, 2], None).await;
    let quorum = usize::from(header.committee().quorum());
    let mut liars = cast.committee.split_off(quorum - late);
    let honest = liars.split_off(late);
    for member in &mut cast.committee {
        assert!(matches!(member.lock(&header, &world).await.unwrap(), Lock::Posted(_)));
    }
    let call = Datasets::withdrawCall { id: cast.owners[2].dataset() };
    world.ledger.send(&cast.owners[2].party.key, Contract::Datasets, call).await.unwrap();
    cast.wait(2 * MARGIN).await;
    let updates = survivors(U256::from(model.id), header.fields().round, &world).await.unwrap();
    let list = updates.iter().map(|(donor, blob)| Survivor { donor: *donor, blob: blob.0 });
    let set = Survivors::new(&header, list.collect()).unwrap();
    let blobs: Vec<_> = updates.iter().map(|(_, blob)| world.blobs.read(*blob).unwrap()).collect();
    let mut partials = Vec::new();
    for liar in &liars {
        let member = Member::by_address(&header, &liar.party.account().into_array()).unwrap();
        let sum = member.sum_shares(&header, &set, &blobs, &Opens(liar.party.seal.clone())).unwrap();
        let hash = world.blobs.put(&sum.encode()).unwrap();
        post(cast, liar, &header, hash).await;
        partials.push(hash);
    }
    for member in &mut cast.committee {
        partials.push(member.publish(&header, &world).await.unwrap());
    }
    cast.committee.extend(liars.into_iter().chain(honest));
    finished(cast, model, &header, &[0, 1], partials, kept).await
}

#[tokio::test]
async fn an_honest_run_holds_though_a_paid_owner_has_no_name_any_more() {
    assert_eq!(spoilt_run(Spoils::Profile).await.failures().await, []);
}

#[tokio::test]
async fn an_honest_run_holds_though_a_member_locked_the_hash_of_nothing() {
    assert_eq!(spoilt_run(Spoils::Partial(Posted::Nothing)).await.failures().await, []);
}

#[tokio::test]
async fn an_honest_run_holds_though_a_member_locked_what_is_no_partial_sum_of_its_own() {
    for posted in [Posted::Header, Posted::Copy] {
        assert_eq!(spoilt_run(Spoils::Partial(posted)).await.failures().await, [], "{posted:?}");
    }
}

#[tokio::test]
async fn a_trainer_that_gives_donors_less_time_than_its_plan_is_found() {
    let failed = spoilt_run(Spoils::Time).await.failures().await;
    assert_ne!(failed, [], "ten minutes were promised, a second was given");
}

#[tokio::test]
async fn an_honest_run_holds_though_an_enclave_is_registered_for_longer_than_its_evidence() {
    assert_eq!(spoilt_run(Spoils::Expiry).await.failures().await, []);
}

/// One of two may look away, a liar or one that looked before the block; both is a sum of data that were withdrawn.
#[tokio::test]
async fn an_honest_run_holds_though_a_liar_posts_after_a_withdrawal() {
    let left = spoilt_run(Spoils::Withdrawal(1)).await;
    assert_eq!(left.failures().await, []);
    // It has left, and evaluates nothing: nobody can be made to.
    let said = left.detail("evaluations").await;
    assert!(said.contains("[3] signed nothing about the model"), "{said}");
    let failed = spoilt_run(Spoils::Withdrawal(2)).await.failures().await;
    let problem = "was withdrawn or erased before its sum was opened";
    assert!(failed.iter().any(|(n, d)| *n == "rounds" && d.contains(problem)), "{failed:#?}");
}

/// None of this was used: nothing rests on what is said, shown or put into service beside it.
#[tokio::test]
async fn an_honest_run_holds_though_a_paid_owner_changes_its_terms() {
    let left = spoilt_run(Spoils::Policy).await;
    assert_eq!(left.failures().await, []);
    let said = left.detail("datasets").await;
    assert!(said.contains("1 dataset with a policy or a report that do not hold"), "{said}");
}

#[tokio::test]
async fn an_honest_run_holds_though_a_paid_owner_invents_a_version() {
    assert_eq!(spoilt_run(Spoils::Version).await.failures().await, []);
}

#[tokio::test]
async fn an_honest_run_holds_though_old_evidence_is_shown_again() {
    assert_eq!(spoilt_run(Spoils::Showing).await.failures().await, []);
}

#[tokio::test]
async fn an_honest_run_holds_though_a_plain_key_serves_and_sells_nothing() {
    assert_eq!(spoilt_run(Spoils::Serving).await.failures().await, []);
}

/// A figure by a plain key does not count, wherever the operator lists it; and what the operator leaves out shows.
#[tokio::test]
async fn a_figure_that_nobody_attested_does_not_count_and_a_missing_one_shows() {
    let left = spoilt_run(Spoils::Figure).await;
    assert_eq!(left.failures().await, []);
    let (record, _) = left.folder.read::<RunRecord>(&left.folder.record()).unwrap();
    let store = BlobStore::at(left.folder.blobs());
    let good =
        Signed::<SiteEvaluation>::from_bytes(&store.get(record.models[0].evaluations[0]).unwrap()).unwrap();
    let good = good.open().unwrap().0;
    let better = |f: &NamedValue| NamedValue { name: f.name.clone(), value: f.value.map(|_| 1.0) };
    let invented = SiteEvaluation {
        donor: 4,
        platform: Platform::SIMULATED,
        fields: good.fields.iter().map(better).collect(),
        ..good
    };
    let invented = store.put(&Signed::sign(&invented, &plain_key()).unwrap().to_bytes()).unwrap();
    left.rewrite(|r| r.models[0].evaluations.push(invented));
    assert_eq!(left.failures().await, []);
    let said = left.detail("evaluations").await;
    assert!(said.contains("1 evaluation is not counted"), "{said}");
    let honest: Value = serde_json::from_slice(&fs::read(left.folder.result()).unwrap()).unwrap();
    let print = |result: &Value| {
        fs::write(left.folder.result(), serde_json::to_vec(result).unwrap()).unwrap();
        left.seal();
    };
    let mut result = honest.clone();
    let mut site = result["sites"][0].clone();
    site["fields"][0]["value"] = json!(100_000.0);
    result["sites"].as_array_mut().unwrap().push(site);
    print(&result);
    let failed = left.failures().await;
    assert!(matches!(&failed[..], [("result", _)]), "{failed:#?}");

    // The site at which the model is bad is left out.
    let (mut result, hidden) = (honest, record.models[0].evaluations[0]);
    left.rewrite(|r| r.models[0].evaluations.retain(|e| *e != hidden && *e != invented));
    [hidden, invented].iter().for_each(|blob| fs::remove_file(store.path(*blob)).unwrap());
    let site = result["sites"].as_array_mut().unwrap().remove(0);
    print(&result);
    let failed = left.failures().await;
    assert!(matches!(&failed[..], [("result", d)] if d.contains("silent")), "{failed:#?}");
    result["silent"] = json!([site["participant"]]);
    print(&result);
    assert_eq!(left.failures().await, []);
}
