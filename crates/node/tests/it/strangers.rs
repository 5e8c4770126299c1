//! Honest runs in which some lie: a stranger who gets the folder finds nothing wrong with it. And what such a folder may
//! hold beside what was checked.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use histone_compliance::folder::{
    DatasetRecord, FORMAT, Folder, Manifest, ModelRecord, PartyRecord, ProgramRecord, RoundRecord, RunRecord,
    profile,
};
use histone_compliance::verify::{Check, Outcome, verify};
use histone_enclave::cohort::MARGIN;
use histone_federation::plan::{Finished, Step};
use histone_ledger::contracts::{
    Contract, Datasets, Enclaves, Market, Members, Programs, Rounds, TestToken, reasons,
};
use histone_ledger::{Ledger, Settings};
use histone_network::BlobStore;
use histone_node::committee::survivors;
use histone_node::programs::BUNDLED;
use histone_node::world::EVIDENCE_MAX_AGE;
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::record::Signed;
use histone_protocol::report::{SiteEvaluation, ValidationReport};
use histone_protocol::{Address, B256, U256};
use serde_json::{Value, json};

use crate::cast::{Cast, DEADLINE, Model, PRICE, plan};

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
/// What a member calls its profile.
const LETTER: &[u8] = b"this run was approved by the ministry";

/// What an honest operator kept of the training of one model.
struct Kept {
    paper: B256,
    rounds: Vec<RoundRecord>,
    summaries: Vec<Value>,
    finished: Finished,
    /// By owner.
    evaluations: Vec<(usize, B256)>,
    /// Owners who withdrew, with the first round without them.
    withdrawn: Vec<(usize, u32)>,
}

fn name(cast: &Cast, account: Address) -> String {
    cast.owners.iter().find(|o| o.account() == account).unwrap().party.name.clone()
}

/// Everybody with name, role and account.
fn parties(cast: &Cast) -> Vec<(&histone_node::party::Party, &'static str)> {
    let mut parties = vec![(&cast.operator, "operator")];
    parties.extend(cast.owners.iter().map(|o| (&o.party, "participant")));
    parties.push((&cast.trainer.party, "trainer"));
    parties.push((&cast.runner.party, "runner"));
    parties.extend(cast.committee.iter().map(|m| (&m.party, "committee member")));
    parties.push((&cast.user.party, "stranger"));
    parties
}

/// Members say who they are, and the founder's power ends.
async fn settle(cast: &Cast) {
    let auditor = cast.party_again("auditor");
    let members = parties(cast).into_iter().chain([(&auditor, "auditor")]);
    for (party, role) in members.filter(|(_, role)| !["operator", "stranger"].contains(role)) {
        let (profile, key) = (profile(&party.name, role), party.seal.public().0);
        let call = Members::updateCall { profile, sealKey: key };
        cast.world.ledger.send(&party.key, Contract::Members, call).await.unwrap();
    }
    // A hash that is no profile, and is taken back.
    let (party, key) = (&cast.runner.party, cast.runner.party.seal.public().0);
    for profile in [blob_hash(LETTER), profile(&party.name, "runner")] {
        let call = Members::updateCall { profile, sealKey: key };
        cast.world.ledger.send(&party.key, Contract::Members, call).await.unwrap();
    }
    cast.world.ledger.hand_over(&cast.operator.key, auditor.account()).await.unwrap();
}

/// The folder that an honest operator leaves: no blob that nobody can name, and everything that happened.
struct Left {
    _dir: tempfile::TempDir,
    folder: Folder,
    operator: SigningKey,
}

impl Left {
    async fn of(cast: Cast, plan: &histone_federation::plan::Plan, kept: Kept) -> Self {
        let ledger = cast.world.ledger.clone();
        let d = ledger.deployment().clone();
        let donated = ledger.events::<Market::Donated>(Contract::Market).await.unwrap();
        let registered = ledger.events::<Datasets::DatasetRegistered>(Contract::Datasets).await.unwrap();
        let auditor = cast.party_again("auditor");
        let everybody = parties(&cast).into_iter().chain([(&auditor, "auditor")]);
        let accounts: BTreeSet<Address> = everybody.clone().map(|(party, _)| party.account()).collect();
        let everybody = everybody.map(|(party, role)| {
            let owns = |id| registered.iter().any(|r| r.id == id && r.owner == party.account());
            let paid = donated.iter().filter(|e| owns(e.datasetId)).map(|e| e.payee);
            PartyRecord {
                name: party.name.clone(),
                role: role.into(),
                account: party.account(),
                payees: paid.filter(|payee| !accounts.contains(payee)).collect(),
            }
        });
        let everybody: Vec<PartyRecord> = everybody.collect();
        let audits = ledger.events::<Programs::ProgramAudited>(Contract::Programs).await.unwrap();
        let loaded = [&cast.loaded.validation, &cast.loaded.training, &cast.loaded.query];
        let programs = BUNDLED.iter().zip(loaded).map(|(program, loaded)| {
            let measurement = B256::from(loaded.program().measurement());
            ProgramRecord {
                name: program.name.into(),
                measurement,
                wasm: cast.world.blobs.put(program.wasm).unwrap(),
                source: cast.world.blobs.put(program.source).unwrap(),
                audit: audits.iter().find(|a| a.measurement == measurement).unwrap().reportHash,
            }
        });
        let shown = ledger.events::<Enclaves::EnclaveRegistered>(Contract::Enclaves).await.unwrap();
        let decisions: Vec<B256> = donated.iter().map(|e| e.decision).collect();
        let record = RunRecord {
            format: FORMAT.into(),
            study: "lies".into(),
            platform: Platform::Simulated,
            vendor: cast.terms.simulated_vendors[0],
            evidence_max_age: EVIDENCE_MAX_AGE,
            network: None,
            deployment: d.clone(),
            settings: Settings::default(),
            plan: alloy_primitives::hex::encode(plan.encode()),
            parties: everybody,
            programs: programs.collect(),
            evidence: shown.iter().map(|e| e.evidenceHash).collect(),
            datasets: registered
                .iter()
                .map(|e| DatasetRecord { id: e.id, policy: e.policyHash, report: e.reportHash })
                .collect(),
            models: vec![ModelRecord {
                model_id: 1,
                paper: kept.paper,
                decisions: decisions.into_iter().filter(|d| cast.world.blobs.get(*d).is_ok()).collect(),
            }],
            rounds: kept.rounds.clone(),
            model: cast.world.blobs.put(&kept.finished.model.encode()).unwrap(),
            evaluations: kept.evaluations.iter().map(|(_, blob)| *blob).collect(),
            queries: vec![],
        };
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path().join("run"));
        let store = BlobStore::open(folder.blobs()).unwrap();
        let put = |hash: B256| cast.world.blobs.get(hash).ok().map(|bytes| store.put(&bytes).unwrap());
        let named = serde_json::to_string(&record).unwrap();
        for word in named.split('"').filter_map(|word| word.parse::<B256>().ok()) {
            put(word);
        }
        put(cast.document(plan).hash());
        let report = |hash: B256| signed::<ValidationReport>(&cast.world.blobs, hash);
        for listed in &record.datasets {
            put(report(listed.report).notice);
        }
        folder.write(&folder.record(), &record, &cast.operator.key).unwrap();
        let result = result(&cast, &record, &kept).await;
        let operator = cast.operator.key.clone();
        let chain = cast.dir.path().join("ledger");
        fs::create_dir(folder.ledger()).unwrap();
        let file = folder.ledger().join(histone_chain::FILE_NAME);
        fs::copy(chain.join(histone_chain::FILE_NAME), &file).unwrap();
        let replayed = histone_chain::replay(&folder.ledger()).unwrap();
        let result = with_chain(result, &ledger, &replayed);
        fs::write(folder.result(), serde_json::to_vec(&result).unwrap()).unwrap();
        let manifest = Manifest {
            format: FORMAT.into(),
            head: replayed.head,
            height: replayed.blocks - 1,
            state_digest: Some(replayed.state_digest),
            files: BTreeMap::new(),
        };
        folder.write(&folder.manifest(), &manifest, &operator).unwrap();
        let left = Self { _dir: dir, folder, operator };
        left.seal();
        left
    }

    /// Signs a manifest over the files as they are now.
    fn seal(&self) {
        let (manifest, _) = self.folder.read::<Manifest>(&self.folder.manifest()).unwrap();
        let manifest = Manifest { files: self.folder.hash_files().unwrap(), ..manifest };
        self.folder.write(&self.folder.manifest(), &manifest, &self.operator).unwrap();
    }

    fn rewrite(&self, change: impl FnOnce(&mut RunRecord)) {
        let (mut record, _) = self.folder.read::<RunRecord>(&self.folder.record()).unwrap();
        change(&mut record);
        self.folder.write(&self.folder.record(), &record, &self.operator).unwrap();
        self.seal();
    }

    /// What fails, with the details.
    async fn failures(&self) -> Vec<(&'static str, String)> {
        let mut failed = Vec::new();
        let mut hear = |c: &Check| {
            if c.outcome == Outcome::Fails {
                failed.push((c.name, c.detail.clone()));
            }
        };
        verify(self.folder.root(), &mut hear).await.unwrap();
        failed
    }

    async fn detail(&self, name: &str) -> String {
        let report = verify(self.folder.root(), &mut |_| {}).await.unwrap();
        report.checks.iter().find(|c| c.name == name).unwrap().detail.clone()
    }
}

fn signed<T: histone_protocol::record::Record>(blobs: &BlobStore, hash: B256) -> T {
    Signed::from_bytes(&blobs.get(hash).unwrap()).unwrap().open().unwrap().0
}

/// What the operator prints, but for the chain.
async fn result(cast: &Cast, record: &RunRecord, kept: &Kept) -> Value {
    let blobs = &cast.world.blobs;
    let reports = record.datasets.iter().zip(&cast.owners).map(|(listed, owner)| {
        let r: ValidationReport = signed(blobs, listed.report);
        json!({
            "participant": owner.party.name,
            "rows": r.rows,
            "quality": r.quality,
            "has_duplicates": r.has_duplicates,
            "flagged": r.flagged,
        })
    });
    let sites = kept.evaluations.iter().map(|(owner, blob)| {
        let s: SiteEvaluation = signed(blobs, *blob);
        json!({
            "participant": cast.owners[*owner].party.name,
            "evaluated_rows": s.rows,
            "positives": s.positives,
            "local": s.local_auc,
            "federated": s.federated_auc,
        })
    });
    let market = cast.world.ledger.deployment().market;
    let held = ("market (rounding left over)".to_string(), "contract".to_string(), vec![market]);
    let accounts = record.parties.iter().map(|p| {
        let accounts: Vec<Address> = std::iter::once(p.account).chain(p.payees.clone()).collect();
        (p.name.clone(), p.role.clone(), accounts)
    });
    let mut balances = Vec::new();
    for (name, role, accounts) in accounts.chain([held]) {
        let mut sum = 0;
        for &account in &accounts {
            let call = TestToken::balanceOfCall { account };
            sum += cast.world.ledger.read(Contract::Token, call).await.unwrap().to::<u64>();
        }
        balances.push(json!({ "name": name, "role": role, "accounts": accounts, "tokens_micro": sum }));
    }
    let ledger = &cast.world.ledger;
    let excluded = ledger.events::<Market::DonorExcluded>(Contract::Market).await.unwrap();
    let donated = ledger.events::<Market::Donated>(Contract::Market).await.unwrap();
    let named = ledger.events::<Rounds::DonorNamed>(Contract::Rounds).await.unwrap();
    let named = named.iter().filter(|n| excluded.iter().any(|e| e.donorIndex == n.donorIndex));
    let struck = named.filter(|n| n.reason != reasons::SILENT).map(|n| {
        let dataset = donated.iter().find(|d| d.donorIndex == n.donorIndex).unwrap().datasetId;
        let owner = cast.owners.iter().find(|o| o.dataset() == dataset).unwrap();
        let participant = name(cast, owner.account());
        json!({ "participant": participant, "round": n.round, "why": reasons::words(n.reason) })
    });
    let withdrawn = kept
        .withdrawn
        .iter()
        .map(|(owner, round)| json!({ "participant": cast.owners[*owner].party.name, "round": round }));
    let (model, evaluation) = (&kept.finished.model, &kept.finished.evaluation);
    json!({
        "format": "histone-result/1",
        "study": record.study,
        "platform": record.platform,
        "clock": "SIMULATED",
        "auc": { "federated": evaluation.auc, "sites": sites.collect::<Vec<_>>() },
        "model": {
            "hash": B256::from(model.hash()),
            "converged": model.converged,
            "newton_rounds": model.newton_rounds,
            "intercept": model.weights[0],
            "coefficients": { "a": model.weights[1], "b": model.weights[2] },
        },
        "rounds": kept.summaries,
        "validation": reports.collect::<Vec<_>>(),
        "withdrawn": withdrawn.collect::<Vec<_>>(),
        "struck": struck.collect::<Vec<_>>(),
        "declined": [],
        "queries": [],
        "paid_in_micro": 200 * PRICE,
        "balances": balances,
    })
}

fn with_chain(mut result: Value, ledger: &Ledger, replayed: &histone_chain::ReplayReport) -> Value {
    let usage = ledger.usage();
    let (sent, gas) = usage.values().fold((0, 0), |(n, gas), u| (n + u.count, gas + u.gas));
    let mut by_function: BTreeMap<String, Value> =
        usage.into_iter().map(|(name, u)| (name, json!({ "transactions": u.count, "gas": u.gas }))).collect();
    // The clock was moved beside the ledger's client.
    let ticks = json!({ "transactions": replayed.transactions - sent, "gas": replayed.gas - gas });
    by_function.insert("clock.tick".into(), ticks);
    result["chain"] = json!({
        "chain_id": ledger.deployment().chain_id,
        "directory": ledger.deployment().directory,
        "blocks": replayed.blocks,
        "transactions": replayed.transactions,
        "gas": replayed.gas,
        "head": replayed.head,
        "state_digest": replayed.state_digest,
        "by_function": by_function,
    });
    result
}

/// One round with these owners, of whom the ledger hears the hash of junk beside; leaves what the operator keeps of it.
async fn round(
    cast: &mut Cast,
    model: &mut Model,
    answering: &[usize],
    junk: Option<(&SigningKey, u16, &[u8])>,
    kept: (&mut Vec<RoundRecord>, &mut Vec<Value>),
) -> Step {
    let world = cast.world.clone();
    let stage = model.training.stage().to_string();
    let header = cast.open_round(model).await;
    let number = header.fields().round;
    for &owner in answering {
        cast.owners[owner].contribute(&header, &world).await.unwrap();
    }
    if let Some((key, donor, junk)) = junk {
        let blob = world.blobs.put(junk).unwrap();
        cast.anchor_as(key, &header, donor, blob).await.unwrap();
    }
    cast.wait(DEADLINE + 1).await;
    assert!(cast.trainer.close_round(model.id, number, &world).await.unwrap().1);
    let partials = cast.open_sum(&header).await;
    let (transcript, step) =
        cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    let updates = survivors(U256::from(model.id), number, &world).await.unwrap();
    for &owner in answering {
        cast.owners[owner].observe(&transcript, &world).await.unwrap();
    }
    let bytes = |list: &mut dyn Iterator<Item = usize>| list.sum::<usize>();
    kept.1.push(json!({
        "round": number,
        "stage": stage,
        "survivors": updates.len(),
        "numbers": header.dimension(),
        "update_bytes": bytes(&mut transcript.survivors.iter().map(|(_, blob)| blob.len())),
        "partial_bytes": bytes(&mut transcript.partials.iter().map(Vec::len)),
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
    cast.donate(EXPIRES, paper, id, &plan).await.unwrap();
    cast.wait(EVIDENCE_MAX_AGE / 2).await;
    for owner in HONEST.into_iter().chain([LEAVES_QUIETLY]) {
        cast.donate(owner, paper, id, &plan).await.unwrap();
    }
    let plain = SigningKey::from_bytes(&[50; 32]).unwrap();
    cast.donate_with_key(NO_EVIDENCE, id, &plain, 1, blob_hash(shown)).await.unwrap();
    let (junk, junk_donor) = cast.donate_broken(ANCHORS_JUNK, id, &plan, 51).await;
    // Who validated all these data has ended, and the training program is revoked: what was begun goes on.
    let revoke = Enclaves::revokeCall { signer: cast.validation.instance().keys().receipt };
    world.ledger.send(&cast.runner.party.key, Contract::Enclaves, revoke).await.unwrap();
    let mut model = cast.begin_blindly(id, plan.clone()).await;
    let measurement = B256::from(cast.loaded.training.program().measurement());
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
    let (world, plan) = (cast.world.clone(), model.training.plan().clone());
    cast.trainer.finish(model.id, B256::from(finished.model.hash()), &world).await.unwrap();
    let mut evaluations = Vec::new();
    for &owner in owners {
        evaluations.push((owner, cast.owners[owner].evaluate(&plan, &world).unwrap()));
    }
    drop(world);
    Left::of(cast, &plan, Kept { paper, rounds, summaries, finished, evaluations, withdrawn }).await
}

/// A training whose first round fails, because its header is not the right one.
async fn run_with_lying_trainer(invites_who_left: bool) -> Vec<(&'static str, String)> {
    let mut cast = Cast::of(1, 3).await;
    settle(&cast).await;
    let world = cast.world.clone();
    let plan = plan(2);
    let (paper, id) = cast.propose(&plan).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id, &plan).await.unwrap();
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

    // A document whose hash somebody has put on the ledger, where no document belongs.
    let store = BlobStore::at(left.folder.blobs());
    let letter = store.put(LETTER).unwrap();
    left.seal();
    let problem = format!("`blobs/{letter:x}` was opened by no check");
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

/// What one party does in a run of the others.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spoils {
    /// A paid owner calls its profile the hash of nothing.
    Profile,
    /// A member locks the hash of nothing in the last round.
    Partial,
    /// The trainer gives donors a second instead of the plan's ten minutes.
    Time,
}

async fn spoilt_run(how: Spoils) -> Vec<(&'static str, String)> {
    let mut cast = Cast::of(1, 3).await;
    settle(&cast).await;
    let world = cast.world.clone();
    let plan = plan(2);
    let (paper, id) = cast.propose(&plan).await;
    for owner in 0..3 {
        cast.donate(owner, paper, id, &plan).await.unwrap();
    }
    let mut model = cast.begin(id, plan).await;
    if how == Spoils::Time {
        model.leading.round_seconds = 1;
    }
    let (mut rounds, mut summaries) = (Vec::new(), Vec::new());
    let finished = loop {
        let liar = (rounds.len() == 2).then_some(how).filter(|how| *how == Spoils::Partial);
        let step = match liar {
            None => round(&mut cast, &mut model, &[0, 1, 2], None, (&mut rounds, &mut summaries)).await,
            Some(_) => last_with_a_lie(&mut cast, &mut model, (&mut rounds, &mut summaries)).await,
        };
        match step {
            Step::Next(next) => model.training = next,
            Step::Finished(finished) => break finished,
        }
    };
    if how == Spoils::Profile {
        let (profile, key) = (B256::repeat_byte(9), cast.owners[0].party.seal.public().0);
        let call = Members::updateCall { profile, sealKey: key };
        world.ledger.send(&cast.owners[0].party.key, Contract::Members, call).await.unwrap();
    }
    drop(world);
    let left = end(cast, &model, paper, &[0, 1, 2], (rounds, summaries), finished, vec![]).await;
    left.failures().await
}

/// The last round, in which member 7 locks the hash of nothing before the others.
async fn last_with_a_lie(
    cast: &mut Cast,
    model: &mut Model,
    kept: (&mut Vec<RoundRecord>, &mut Vec<Value>),
) -> Step {
    let world = cast.world.clone();
    let stage = model.training.stage().to_string();
    let header = cast.open_round(model).await;
    let number = header.fields().round;
    for owner in 0..3 {
        cast.owners[owner].contribute(&header, &world).await.unwrap();
    }
    cast.wait(DEADLINE + 1).await;
    assert!(cast.trainer.close_round(model.id, number, &world).await.unwrap().1);
    let call = Rounds::postPartialCall {
        modelId: U256::from(model.id),
        round: number,
        attempt: 0,
        partialHash: B256::repeat_byte(8),
    };
    let liar = cast.committee.pop().unwrap();
    world.ledger.send(&liar.party.key, Contract::Rounds, call).await.unwrap();
    let partials = cast.open_sum(&header).await;
    let (transcript, step) =
        cast.trainer.finish_round(&model.training, &header, &partials, &world).await.unwrap();
    for member in &mut cast.committee {
        member.name_liars(&transcript, &world).await.unwrap();
    }
    cast.committee.push(liar);
    let updates = survivors(U256::from(model.id), number, &world).await.unwrap();
    for owner in 0..3 {
        cast.owners[owner].observe(&transcript, &world).await.unwrap();
    }
    kept.1.push(json!({
        "round": number,
        "stage": stage,
        "survivors": updates.len(),
        "numbers": header.dimension(),
        "update_bytes": transcript.survivors.iter().map(|(_, blob)| blob.len()).sum::<usize>(),
        "partial_bytes": transcript.partials.iter().map(Vec::len).sum::<usize>(),
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

#[tokio::test]
async fn an_honest_run_holds_though_a_paid_owner_has_no_name_any_more() {
    assert_eq!(spoilt_run(Spoils::Profile).await, []);
}

#[tokio::test]
async fn an_honest_run_holds_though_a_member_locked_the_hash_of_nothing() {
    assert_eq!(spoilt_run(Spoils::Partial).await, []);
}

#[tokio::test]
async fn a_trainer_that_gives_donors_less_time_than_its_plan_is_found() {
    assert_ne!(spoilt_run(Spoils::Time).await, [], "ten minutes were promised, a second was given");
}
