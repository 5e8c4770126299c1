//! What a forger may try who is the operator, and so can sign record and manifest again. Where lies do not hide each
//! other, several are told at once: each must be found.

#![allow(clippy::unwrap_used)]

use std::fs;

use alloy_primitives::hex;
use histone_compliance::folder::{Manifest, RunRecord};
use histone_compliance::verify::Outcome;
use histone_federation::plan::{Model, Plan};
use histone_protocol::consent::{ConsentPolicy, DecisionRecord, Verdict, WhitePaper};
use histone_protocol::program::AuditReport;
use histone_protocol::report::{SiteEvaluation, ValidationReport};
use histone_protocol::{Address, B256};
use serde_json::{Value, json};

use crate::support::Copy;

/// Lies in the run record: exactly `names` fail, with these problems.
#[track_caller]
fn lie(change: impl FnOnce(&mut RunRecord), names: &[&str], problems: &[&str]) {
    let copy = Copy::new();
    copy.rewrite(change);
    copy.fails(names, problems);
}

#[test]
fn a_run_holds() {
    let report = Copy::new().verify();
    assert!(report.holds(), "{:#?}", report.first_failure());
    let named =
        |outcome| report.checks.iter().filter(|c| c.outcome == outcome).map(|c| c.name).collect::<Vec<_>>();
    assert_eq!(
        named(Outcome::Holds),
        [
            "folder",
            "manifest",
            "chain",
            "record",
            "programs",
            "enclaves",
            "datasets",
            "decisions",
            "rounds",
            "evaluations",
            "queries",
            "money",
            "result"
        ]
    );
    assert_eq!(
        named(Outcome::NotCheckable),
        ["hardware", "rows", "builds", "one history", "open questions", "comparison"]
    );
    let detail = |name| report.checks.iter().find(|c| c.name == name).unwrap().detail.clone();
    let settings = Copy::new().record().settings;
    let told = format!(
        "the members decide: voting delay {} s, voting period {} s",
        settings.voting_delay, settings.voting_period
    );
    assert!(detail("record").contains(&told), "{}", detail("record"));
    assert!(detail("rounds").ends_with("evaluated over donors [1, 3, 4]"), "{}", detail("rounds"));
    assert!(!detail("money").ends_with("of it 0 left by rounding"), "{}", detail("money"));
}

#[test]
fn an_altered_chain_is_named_and_does_not_crash() {
    let copy = Copy::new();
    let path = copy.folder.ledger().join(histone_chain::FILE_NAME);
    let bytes = fs::read(&path).unwrap();
    for part in 0..8 {
        let at = bytes.len() / 8 * part + part;
        let mut altered = bytes.clone();
        altered[at] ^= 0x55;
        fs::write(&path, &altered).unwrap();
        let report = copy.verify();
        let failure = report.first_failure().unwrap();
        assert_eq!(failure.name, "manifest", "byte {at}");
        assert!(failure.detail.contains("`ledger/chain.redb` was altered"), "byte {at}: {}", failure.detail);
    }
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    copy.seal();
    copy.fails(&["chain"], &["the later checks were not made"]);
}

#[test]
fn the_manifest_speaks_of_this_chain() {
    let copy = Copy::new();
    let (manifest, _) = copy.folder.read::<Manifest>(&copy.folder.manifest()).unwrap();
    let other = Manifest {
        format: "histone-run/2".into(),
        head: B256::ZERO,
        state_digest: Some(B256::ZERO),
        height: manifest.height,
        files: manifest.files,
    };
    let trainer = copy.name_of("trainer");
    copy.folder.write(&copy.folder.manifest(), &other, &copy.key(&trainer)).unwrap();
    copy.fails(
        &["manifest", "chain"],
        &[
            "has format `histone-run/2`",
            "its head is",
            "its state has the digest",
            "manifest.json is signed by",
        ],
    );
}

#[test]
fn the_record_is_the_operators_and_names_our_contracts() {
    let copy = Copy::new();
    let record = copy.record();
    copy.folder.write(&copy.folder.record(), &record, &copy.key(&copy.name_of("trainer"))).unwrap();
    copy.seal();
    copy.fails(&["record"], &["run.json is signed by", "the later checks were not made"]);
    let swap = |r: &mut RunRecord| {
        std::mem::swap(&mut r.deployment.market, &mut r.deployment.rounds);
        r.deployment.token = Address::repeat_byte(1);
    };
    lie(
        swap,
        &["record"],
        &["no transaction made the token contract", "the market contract at", "the rounds contract at"],
    );
    // Five problems are spelled out. A contract that the directory does not name is one, whatever made it.
    lie(|r| r.deployment.directory = r.deployment.manager, &["record"], &["the directory has nothing as"]);
    let operator = record.parties[0].account;
    let others = |r: &mut RunRecord| {
        r.deployment.chain_id += 1;
        r.format = "x".into();
        r.parties[1].payees.push(operator);
    };
    lie(others, &["record"], &["names chain 4712", "has format `x`", "belongs to another party too"]);
    // Another token's transfers would be believed.
    lie(|r| r.settings.token = Some(r.deployment.token), &["record"], &["a run makes its TEST token"]);
    let huge = |r: &mut RunRecord| r.settings.voting_delay = u64::MAX;
    lie(huge, &["record"], &["run.json: the voting delay in seconds is", "the governor contract at"]);
    lie(|r| r.plan = "zz".into(), &["record"], &["the training plan in run.json"]);
    lie(|r| r.parties.retain(|p| p.role != "auditor"), &["record"], &["does not name the member"]);
}

#[test]
fn another_plan_was_not_attested() {
    let change = |r: &mut RunRecord| {
        let plan = Plan::decode(&hex::decode(&r.plan).unwrap()).unwrap();
        r.plan = hex::encode(Plan { ridge: plan.ridge + 1.0, ..plan }.encode());
    };
    let failing = ["enclaves", "decisions", "rounds", "evaluations", "result"];
    lie(change, &failing, &["which no model of this run has", "round 1: "]);
}

#[test]
fn programs_are_all_there_audited_and_as_measured() {
    let mix = |r: &mut RunRecord| {
        r.programs[0].wasm = r.programs[1].wasm;
        r.programs[1].source = r.programs[0].source;
        r.programs[2].audit = r.programs[1].audit;
    };
    let problems = [
        "the module of program `validate` measures",
        "the source of program `train` hashes to",
        "the audit of program",
    ];
    lie(mix, &["programs"], &problems);
    let copy = Copy::new();
    let (audit, _) = copy.open::<AuditReport>(copy.record().programs[0].audit);
    let forged = copy.sign(&audit, &copy.name_of("trainer"));
    let drop = |r: &mut RunRecord| {
        r.programs[0].audit = forged;
        r.programs[1].audit = B256::ZERO;
        r.programs.pop();
    };
    copy.rewrite(drop);
    copy.fails(&["programs"], &["is not on the ledger", "is not in `", "is not in run.json"]);
}

#[test]
fn evidence_is_all_there_and_of_the_vendor() {
    let after = ["enclaves", "datasets", "decisions", "queries"];
    lie(|r| r.vendor = Address::repeat_byte(1), &after, &["which is not a trusted vendor root"]);
    let swap = |r: &mut RunRecord| r.evidence[0] = r.model;
    lie(swap, &["enclaves", "datasets"], &["is not in run.json", "is of no enclave on the ledger"]);
    // Registered for seven days: evidence that may be no older than one does not cover that.
    lie(|r| r.evidence_max_age = 86_400, &after, &["its evidence ends at"]);
}

#[test]
fn policies_and_reports_are_the_registered_ones() {
    let copy = Copy::new();
    let record = copy.record();
    let (mut policy, owner) = copy.open::<ConsentPolicy>(record.datasets[0].policy);
    policy.allow_purposes.push("DUO:0000042".into());
    let policy = copy.sign(&policy, &copy.name(owner));
    let (mut report, _) = copy.open::<ValidationReport>(record.datasets[1].report);
    report.flagged.clear();
    let report = copy.sign(&report, &copy.name(owner));
    let forge = |r: &mut RunRecord| {
        r.datasets[0].policy = policy;
        r.datasets[1].report = report;
        r.datasets.pop();
    };
    copy.rewrite(forge);
    let problems = ["the policy of the dataset of", "the report of the dataset of", "is not in run.json"];
    copy.fails(&["datasets", "decisions"], &problems);
}

#[test]
fn decisions_are_decided_again() {
    let copy = Copy::new();
    let record = copy.record();
    // A refusal that becomes a permission; then a white paper that promises more.
    let denied = |blob: &B256| copy.open::<DecisionRecord>(*blob).0.verdict == Verdict::Deny;
    let index = record.models[1].decisions.iter().position(denied).unwrap();
    let (mut decision, owner) = copy.open::<DecisionRecord>(record.models[1].decisions[index]);
    decision.verdict = Verdict::Permit;
    let decision = copy.sign(&decision, &copy.name(owner));
    copy.rewrite(|r| r.models[1].decisions[index] = decision);
    copy.fails(&["decisions"], &["it says Permit, the facts give Deny"]);
    let copy = Copy::new();
    let (mut paper, trainer) = copy.open::<WhitePaper>(record.models[0].paper);
    paper.instant_payment += 1;
    let paper = copy.sign(&paper, &copy.name(trainer));
    copy.rewrite(|r| r.models[0].paper = paper);
    let problems =
        ["the white paper of model 1 is", "promises other payments", "answers another white paper"];
    copy.fails(&["decisions"], &problems);
    // A donor whose decision disappears, one who decides twice, one who answers another white paper.
    let change = |r: &mut RunRecord| {
        r.models[0].decisions[0] = r.models[0].decisions[1];
        r.models[1].decisions[0] = r.models[0].decisions[1];
    };
    lie(
        change,
        &["decisions"],
        &["without a decision", "there are two for one dataset", "answers another white paper"],
    );
}

#[test]
fn rounds_are_summed_again() {
    let after = ["rounds", "evaluations", "result"];
    lie(|r| r.rounds[2].stage = "evaluate".into(), &after, &["round 3: run.json calls its stage"]);
    lie(|r| r.rounds[0].partials.truncate(1), &after, &["round 1: the partial sum"]);
    lie(
        |r| r.rounds[1].updates.retain(|donor, _| *donor < 4),
        &after,
        &["round 2: run.json has the updates of"],
    );
    lie(|r| r.rounds[1].header = r.rounds[2].header, &after, &["round 2: its header hashes to"]);
    lie(|r| r.rounds.retain(|r| r.round != 4), &after, &["round 4, opened in block"]);
    let swap = |r: &mut RunRecord| {
        let other = r.rounds[2].updates[&1];
        r.rounds[1].updates.insert(1, other);
    };
    lie(swap, &after, &["of donor 1 is not anchored on the ledger"]);
}

#[test]
fn model_evaluations_and_queries_are_what_they_were() {
    let copy = Copy::new();
    let record = copy.record();
    let mut model = Model::decode(&copy.blobs().get(record.model).unwrap()).unwrap();
    model.weights[0] += 1e-9;
    let model = copy.blobs().put(&model.encode()).unwrap();
    let (mut site, _) = copy.open::<SiteEvaluation>(record.evaluations[0]);
    site.rows += 1;
    let site = copy.sign(&site, &copy.name_of("participant"));
    let forge = |r: &mut RunRecord| {
        r.model = model;
        r.evaluations[0] = site;
        r.evaluations.push(r.evaluations[1]);
        r.evaluations.remove(2);
        let answer = r.queries[0].answer;
        r.queries[0].question = r.queries[1].question;
        r.queries[1].answer = None;
        r.queries.last_mut().unwrap().answer = answer;
        r.queries.remove(2);
    };
    copy.rewrite(forge);
    copy.fails(
        &["rounds", "evaluations", "queries"],
        &[
            "is not the model that the rounds lead to",
            "which is not the enclave of donor 1",
            "is there twice",
            "donor 3 has no evaluation",
            "settled was",
            "it was settled, but there is no answer",
            "it has an answer, but was not settled",
            "is not in run.json",
        ],
    );
}

#[test]
fn money_that_is_nobodys_shows() {
    let hide = |r: &mut RunRecord| r.parties.iter_mut().for_each(|p| p.payees.clear());
    let problems = ["which is nobody's in run.json", "the accounts and the market have"];
    lie(hide, &["money", "result"], &problems);
}

#[test]
fn the_result_is_what_was_recomputed() {
    let copy = Copy::new();
    let result: Value = serde_json::from_slice(&fs::read(copy.folder.result()).unwrap()).unwrap();
    let check = |change: fn(&mut Value), problems: &[&str]| {
        let mut changed = result.clone();
        change(&mut changed);
        fs::write(copy.folder.result(), serde_json::to_vec(&changed).unwrap()).unwrap();
        copy.seal();
        copy.fails(&["result"], problems);
    };
    let numbers = |r: &mut Value| {
        r["auc"]["federated"] = json!(1.0);
        r["chain"]["gas"] = json!(1);
        r["balances"][1]["tokens_micro"] = json!(1);
    };
    check(numbers, &["as auc.federated", "as chain.gas", "the ledger"]);
    let missing = |r: &mut Value| {
        r["auc"].as_object_mut().unwrap().remove("federated");
        r["balances"] = json!([]);
    };
    check(missing, &["has no auc.federated", "leaves out"]);
    check(|r| *r = json!([1, 2]), &["has format null"]);
}
