//! The folder that an honest operator leaves of a run, and what a stranger says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use histone_compliance::folder::{
    DatasetRecord, FORMAT, Folder, Manifest, ModelRecord, PartyRecord, ProgramRecord, RoundRecord, RunRecord,
    fact_tables,
};
use histone_compliance::verify::{Check, Outcome, Source, verify, verify_model};
use histone_contracts::{
    Contract, Datasets, Enclaves, Market, Members, Programs, Rounds, TestToken, reasons, roles,
};
use histone_federation::training::Finished;
use histone_ledger::{Ledger, Settings};
use histone_network::BlobStore;
use histone_node::world::EVIDENCE_MAX_AGE;
use histone_program_sdk::wire::Wire;
use histone_protocol::consent::DecisionRecord;
use histone_protocol::disclosure::Disclosure;
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::record::Signed;
use histone_protocol::report::{SiteEvaluation, ValidationReport};
use histone_protocol::{Address, B256};
use serde_json::{Value, json};

use crate::cast::{Cast, PRICE};

/// What a member calls its profile.
pub const LETTER: &[u8] = b"this run was approved by the ministry";

/// What an honest operator kept of the training of one model.
pub struct Kept {
    pub paper: B256,
    pub rounds: Vec<RoundRecord>,
    pub summaries: Vec<Value>,
    pub finished: Finished,
    /// By owner.
    pub evaluations: Vec<(usize, B256)>,
    /// Owners who withdrew, with the first round without them.
    pub withdrawn: Vec<(usize, u32)>,
}

pub fn name(cast: &Cast, account: Address) -> String {
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

/// The blob in which a member says who it is.
fn said_of(cast: &Cast, party: &histone_node::party::Party, role: &str) -> B256 {
    let roles = match role {
        "participant" => roles::OWNER,
        "trainer" => roles::TRAINER,
        "runner" => roles::RUNNER,
        "auditor" => roles::AUDITOR,
        _ => roles::COMMITTEE,
    };
    let profile = histone_node::daemon::profile(party, roles, cast.world.ledger.deployment().id()).unwrap();
    cast.world.blobs.put(&profile.to_bytes()).unwrap()
}

/// Members say who they are, and the founder's power ends.
pub async fn settle(cast: &Cast) {
    let auditor = cast.party_again("auditor");
    let members = parties(cast).into_iter().chain([(&auditor, "auditor")]);
    for (party, role) in members.filter(|(_, role)| !["operator", "stranger"].contains(role)) {
        let (profile, key) = (said_of(cast, party, role), party.seal.public().0);
        let call = Members::updateCall { profile, sealKey: key };
        cast.world.ledger.send(&party.key, Contract::Members, call).await.unwrap();
    }
    // A hash that is no profile, and is taken back.
    let (party, key) = (&cast.runner.party, cast.runner.party.seal.public().0);
    for profile in [blob_hash(LETTER), said_of(cast, party, "runner")] {
        let call = Members::updateCall { profile, sealKey: key };
        cast.world.ledger.send(&party.key, Contract::Members, call).await.unwrap();
    }
    cast.world.ledger.hand_over(&cast.operator.key, auditor.account()).await.unwrap();
}

/// The folder that an honest operator leaves: no blob that nobody can name, and everything that happened.
pub struct Left {
    _dir: tempfile::TempDir,
    pub folder: Folder,
    operator: SigningKey,
}

impl Left {
    pub async fn of(cast: Cast, kept: Kept) -> Self {
        let ledger = cast.world.ledger.clone();
        let d = ledger.deployment().clone();
        let donated = ledger.events::<Market::Donated>(Contract::Market).await.unwrap();
        let registered = ledger.events::<Datasets::DatasetRegistered>(Contract::Datasets).await.unwrap();
        let bought = ledger.events::<Market::QueryBought>(Contract::Market).await.unwrap();
        let auditor = cast.party_again("auditor");
        let everybody = parties(&cast).into_iter().chain([(&auditor, "auditor")]);
        let accounts: BTreeSet<Address> = everybody.clone().map(|(party, _)| party.account()).collect();
        let everybody = everybody.map(|(party, role)| {
            let owns = |id| registered.iter().any(|r| r.id == id && r.owner == party.account());
            let paid = donated.iter().filter(|e| owns(e.datasetId)).map(|e| e.payee);
            PartyRecord {
                name: party.name.clone(),
                // Whoever buys is one.
                role: if role == "stranger" && !bought.is_empty() { "end user" } else { role }.into(),
                account: party.account(),
                payees: paid.filter(|payee| !accounts.contains(payee)).collect(),
            }
        });
        let everybody: Vec<PartyRecord> = everybody.collect();
        let audits = ledger.events::<Programs::ProgramAudited>(Contract::Programs).await.unwrap();
        let all = cast.loaded.all();
        let bundled = all.iter().map(|(p, loaded)| (*p, B256::from(loaded.program().measurement())));
        let published = bundled.chain(cast.others.iter().map(|(p, m)| (p, *m)));
        let programs = published.map(|(program, measurement)| ProgramRecord {
            name: program.name.into(),
            measurement,
            wasm: Some(cast.world.blobs.put(program.wasm).unwrap()),
            source: Some(cast.world.blobs.put(program.source).unwrap()),
            audit: audits.iter().find(|a| a.measurement == measurement).unwrap().reportHash,
        });
        let shown = ledger.events::<Enclaves::EnclaveRegistered>(Contract::Enclaves).await.unwrap();
        let later = ledger.events::<Enclaves::EnclaveRefreshed>(Contract::Enclaves).await.unwrap();
        let mut evidence: Vec<B256> = shown.iter().map(|e| e.evidenceHash).collect();
        for hash in later.iter().map(|e| e.evidenceHash) {
            if !evidence.contains(&hash) {
                evidence.push(hash);
            }
        }
        let mut decisions: Vec<B256> = donated.iter().map(|e| e.decision).collect();
        let mut datasets = Vec::new();
        for id in registered.iter().map(|e| e.id) {
            let last = ledger.read(Contract::Datasets, Datasets::datasetCall { id }).await.unwrap();
            datasets.push(DatasetRecord { id, policy: last.policyHash, report: last.reportHash });
        }
        // An operator lists what is a decision.
        let reads = |bytes: Vec<u8>| Signed::<DecisionRecord>::from_bytes(&bytes).is_ok();
        decisions.retain(|d| cast.world.blobs.get(*d).is_ok_and(reads));
        let proposed = ledger.events::<Market::ModelProposed>(Contract::Market).await.unwrap();
        let mut models = vec![ModelRecord {
            rounds: kept.rounds.clone(),
            model: Some(cast.world.blobs.put(&kept.finished.model.to_bytes()).unwrap()),
            evaluations: kept.evaluations.iter().map(|(_, blob)| *blob).collect(),
            ..ModelRecord::proposed(1, kept.paper, proposed[0].planHash, decisions)
        }];
        models.extend(
            proposed
                .iter()
                .skip(1)
                .map(|e| ModelRecord::proposed(e.modelId.to::<u64>(), e.whitePaperHash, e.planHash, vec![])),
        );
        let record = RunRecord {
            format: FORMAT.into(),
            study: "lies".into(),
            platform: Platform::SIMULATED,
            vendor: cast.terms.simulated_vendors[0],
            evidence_max_age: EVIDENCE_MAX_AGE,
            network: None,
            deployment: d.clone(),
            settings: Settings::default(),
            parties: everybody,
            programs: programs.collect(),
            evidence,
            datasets,
            models,
        };
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path().join("run"));
        let store = BlobStore::open(folder.blobs()).unwrap();
        let put = |hash: B256| cast.world.blobs.get(hash).ok().map(|bytes| store.put(&bytes).unwrap());
        let named = serde_json::to_string(&record).unwrap();
        for word in named.split('"').filter_map(|word| word.parse::<B256>().ok()) {
            put(word);
        }
        for plan in proposed.iter().map(|e| e.planHash) {
            put(plan);
        }
        let report = |hash: B256| signed::<ValidationReport>(&cast.world.blobs, hash);
        for listed in registered.iter().map(|e| e.reportHash).chain(record.datasets.iter().map(|d| d.report))
        {
            put(listed);
            if cast.world.blobs.get(listed).is_ok() {
                put(report(listed).notice);
            }
        }
        for policy in registered.iter().map(|e| e.policyHash) {
            put(policy);
        }
        let added = ledger.events::<Members::MemberAdded>(Contract::Members).await.unwrap();
        let changed = ledger.events::<Members::MemberUpdated>(Contract::Members).await.unwrap();
        for profile in added.iter().map(|e| e.profile).chain(changed.iter().map(|e| e.profile)) {
            put(profile);
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
    pub fn seal(&self) {
        let (manifest, _) = self.folder.read::<Manifest>(&self.folder.manifest()).unwrap();
        let manifest = Manifest { files: self.folder.hash_files().unwrap(), ..manifest };
        self.folder.write(&self.folder.manifest(), &manifest, &self.operator).unwrap();
    }

    pub fn rewrite(&self, change: impl FnOnce(&mut RunRecord)) {
        let (mut record, _) = self.folder.read::<RunRecord>(&self.folder.record()).unwrap();
        change(&mut record);
        self.folder.write(&self.folder.record(), &record, &self.operator).unwrap();
        self.seal();
    }

    /// What fails, with the details.
    pub async fn failures(&self) -> Vec<(&'static str, String)> {
        let mut failed = Vec::new();
        let mut hear = |c: &Check| {
            if c.outcome == Outcome::Fails {
                failed.push((c.name, c.detail.clone()));
            }
        };
        verify(self.folder.root(), &mut hear).await.unwrap();
        if failed.is_empty() {
            return self.failures_of_the_model().await;
        }
        failed
    }

    /// What fails for somebody who has no folder, but the ledger and the public blobs.
    pub async fn failures_of_the_model(&self) -> Vec<(&'static str, String)> {
        let source = Source::Chain { dir: self.folder.ledger(), directory: None };
        let report = verify_model(&source, &self.folder.blobs(), 1, None, &mut |_| {}).await.unwrap();
        let failed = report.checks.into_iter().filter(|c| c.outcome == Outcome::Fails);
        failed.map(|c| (c.name, c.detail)).collect()
    }

    pub async fn detail(&self, name: &str) -> String {
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
    let there = record.datasets.iter().zip(&cast.owners).filter(|(d, _)| blobs.get(d.report).is_ok());
    let reports = there.map(|(listed, owner)| {
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
            "fields": s.fields,
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
    let bought = ledger.events::<Market::QueryBought>(Contract::Market).await.unwrap();
    let queries: Vec<Value> =
        (1..=bought.len()).map(|query| json!({ "query": query, "settled": false })).collect();
    let last = kept.rounds.last().unwrap();
    let mut silent = Vec::new();
    for donor in donated.iter().filter(|d| last.updates.contains_key(&d.donorIndex)) {
        let owner = cast.owners.iter().position(|o| o.dataset() == donor.datasetId).unwrap();
        if kept.evaluations.iter().all(|(said, _)| *said != owner) {
            silent.push(cast.owners[owner].party.name.clone());
        }
    }
    let model = &kept.finished.model;
    let features: Vec<&str> = model.config.features.iter().map(|f| f.name.as_str()).collect();
    json!({
        "format": "histone-result/4",
        "study": record.study,
        "platform": record.platform,
        "clock": "SIMULATED",
        "disclosure": Disclosure::public_exact(),
        "facts": fact_tables(&kept.finished.facts),
        "sites": sites.collect::<Vec<_>>(),
        "model": {
            "hash": B256::from(kept.finished.hash()),
            "method": model.method,
            "version": model.version,
            "features": features,
        },
        "rounds": kept.summaries,
        "hosted": null,
        "validation": reports.collect::<Vec<_>>(),
        "withdrawn": withdrawn.collect::<Vec<_>>(),
        "struck": struck.collect::<Vec<_>>(),
        "silent": silent,
        "declined": [],
        "queries": queries,
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
