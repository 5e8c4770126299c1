//! What a forger may try who is the operator, and so can sign record and manifest again. Where lies do not hide each
//! other, several are told at once: each must be found.

#![allow(clippy::unwrap_used)]

use std::fs;

use histone_compliance::folder::{Manifest, RunRecord};
use histone_compliance::verify::{Basis, Outcome, TABLE};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire;
use histone_protocol::consent::{ConsentPolicy, DecisionFacts, DecisionRecord, Verdict, WhitePaper};
use histone_protocol::disclosure::{Disclosure, Release};
use histone_protocol::plan::PlanDocument;
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
            "result",
            "leaves"
        ]
    );
    let mut unsaid = vec!["hardware", "rows", "builds", "one history", "open questions"];
    let claims = TABLE.iter().filter(|r| r.basis == Basis::Claimed && r.paths != ["network.first_block"]);
    unsaid.extend(claims.map(|_| "claimed"));
    assert_eq!(named(Outcome::NotCheckable), unsaid);
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
        format: "histone-run/9".into(),
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
            "has format `histone-run/9`",
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
    let no_plan = |r: &mut RunRecord| r.models[0].plan = r.models[0].paper;
    lie(no_plan, &["record"], &["the methods: of model 1: "]);
    lie(|r| r.parties.retain(|p| p.role != "auditor"), &["record"], &["does not name the member"]);
}

#[test]
fn another_plan_was_not_proposed() {
    let copy = Copy::new();
    let bytes = copy.blobs().get(copy.record().models[0].plan).unwrap();
    let mut plan = PlanDocument::from_bytes(&bytes).unwrap();
    plan.round_seconds += 1;
    let plan = copy.blobs().put(&plan.to_bytes()).unwrap();
    copy.rewrite(|r| r.models[0].plan = plan);
    copy.fails(&["decisions"], &[&format!("the plan of model 1 is {plan} in run.json")]);
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
        "the source of program `logistic` hashes to",
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
    let after = ["enclaves", "datasets", "decisions", "rounds", "evaluations", "queries", "result"];
    lie(|r| r.vendor = Address::repeat_byte(1), &after, &["which is not a trusted vendor root"]);
    let swap = |r: &mut RunRecord| r.evidence[0] = r.models[0].model.unwrap();
    let problems =
        ["is not in run.json", "is of no enclave on the ledger", "donor 1 of its cohort is not believed"];
    lie(swap, &["enclaves", "datasets", "rounds", "evaluations", "result"], &problems);
    // How old evidence may be is the white paper's to say.
    let age = |r: &mut RunRecord| r.evidence_max_age = 86_400;
    lie(age, &["decisions"], &["believes other enclaves than run.json says"]);
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
    copy.fails(&["datasets", "result"], &problems);
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
    copy.fails(&["decisions", "result"], &["it says Permit, the facts give Deny"]);
    let copy = Copy::new();
    let (mut paper, trainer) = copy.open::<WhitePaper>(record.models[0].paper);
    paper.instant_payment += 1;
    let paper = copy.sign(&paper, &copy.name(trainer));
    copy.rewrite(|r| r.models[0].paper = paper);
    let problems =
        ["the white paper of model 1 is", "promises other payments", "answers another white paper"];
    copy.fails(&["decisions"], &problems);
    // A trainer that says another thing of the sums than its plan, and an owner that finds interested auditors where none are.
    let copy = Copy::new();
    let (mut paper, trainer) = copy.open::<WhitePaper>(record.models[0].paper);
    paper.disclosure = Disclosure::sealed(Release::Public);
    let paper = copy.sign(&paper, &copy.name(trainer));
    copy.rewrite(|r| r.models[0].paper = paper);
    copy.fails(&["decisions", "result"], &["shows sums or model to others than its white paper says"]);
    let copy = Copy::new();
    let (decision, owner) = copy.open::<DecisionRecord>(record.models[1].decisions[index]);
    let facts = DecisionFacts { auditors_independent: false, ..decision.facts };
    let decision = copy.sign(&histone_access::decide(&facts).unwrap(), &copy.name(owner));
    copy.rewrite(|r| r.models[1].decisions[index] = decision);
    copy.fails(&["decisions", "result"], &["it takes the auditors for interested"]);
    // A donor whose decision disappears, one who decides twice, one who answers another white paper.
    let change = |r: &mut RunRecord| {
        r.models[0].decisions[0] = r.models[0].decisions[1];
        r.models[1].decisions[0] = r.models[0].decisions[1];
    };
    lie(
        change,
        &["decisions", "result"],
        &["without a decision", "there are two for one dataset", "answers another white paper"],
    );
}

#[test]
fn rounds_are_summed_again() {
    let after = ["rounds", "evaluations", "result"];
    lie(|r| r.models[0].rounds[2].stage = "evaluate".into(), &after, &["round 3: run.json calls its stage"]);
    lie(
        |r| r.models[0].rounds[0].partials.truncate(1),
        &after,
        &["round 1: run.json has 1 of its partial sums"],
    );
    lie(
        |r| r.models[0].rounds[1].updates.retain(|donor, _| *donor < 4),
        &after,
        &["round 2: run.json has the updates of"],
    );
    lie(
        |r| r.models[0].rounds[1].header = r.models[0].rounds[2].header,
        &after,
        &["round 2: its header hashes to"],
    );
    lie(|r| r.models[0].rounds.retain(|round| round.round != 4), &after, &["round 4, opened in block"]);
    let swap = |r: &mut RunRecord| {
        let other = r.models[0].rounds[2].updates[&1];
        r.models[0].rounds[1].updates.insert(1, other);
    };
    lie(swap, &after, &["of donor 1 is not anchored on the ledger"]);
}

#[test]
fn what_was_not_trained_has_no_model() {
    let claim = |r: &mut RunRecord| {
        r.models[1].model = r.models[0].model;
        let evaluations = r.models[0].evaluations.clone();
        r.models[1].evaluations = evaluations;
    };
    lie(claim, &["rounds"], &["a model or evaluations of model 2, of which no round was opened"]);
}

#[test]
fn model_evaluations_and_queries_are_what_they_were() {
    let copy = Copy::new();
    let record = copy.record();
    let mut model = Model::from_bytes(&copy.blobs().get(record.models[0].model.unwrap()).unwrap()).unwrap();
    model.arrays[0].values[0] += 1e-9;
    let model = copy.blobs().put(&model.to_bytes()).unwrap();
    let (mut site, _) = copy.open::<SiteEvaluation>(record.models[0].evaluations[0]);
    site.fields[0].value = site.fields[0].value.map(|rows| rows + 1.0);
    let site = copy.sign(&site, &copy.name_of("participant"));
    let forge = |r: &mut RunRecord| {
        r.models[0].model = Some(model);
        r.models[0].evaluations[0] = site;
        let twice = r.models[0].evaluations[1];
        r.models[0].evaluations.push(twice);
        r.models[0].evaluations.remove(2);
        r.models[0].queries[0].question = r.models[0].queries[1].question;
        r.models[0].queries[1].answer = r.models[0].queries[0].answer;
        r.models[0].queries.remove(2);
    };
    copy.rewrite(forge);
    copy.fails(
        &["rounds", "evaluations", "queries", "result"],
        &[
            "is not the model that the rounds lead to",
            "is there twice",
            "the question is",
            "the answer is",
            "it was settled, but its answer is not in run.json",
        ],
    );
}

#[test]
fn money_that_is_nobodys_shows() {
    let hide = |r: &mut RunRecord| r.parties.iter_mut().for_each(|p| p.payees.clear());
    lie(hide, &["record"], &["run.json has [] as paid for the donations of"]);
    let strangers = |r: &mut RunRecord| r.parties.retain(|p| p.role != "end user");
    lie(
        strangers,
        &["money", "result"],
        &["which is nobody's in run.json", "the accounts and the market have"],
    );
}

/// A changed result, sealed again by the operator.
#[track_caller]
fn lie_in_the_result(change: impl FnOnce(&mut Value), names: &[&str], problems: &[&str]) {
    let copy = Copy::new();
    let mut result: Value = serde_json::from_slice(&fs::read(copy.folder.result()).unwrap()).unwrap();
    change(&mut result);
    fs::write(copy.folder.result(), serde_json::to_vec(&result).unwrap()).unwrap();
    copy.seal();
    copy.fails(names, problems);
}

#[test]
fn the_operator_prints_a_better_result_than_there_was() {
    let numbers = |r: &mut Value| {
        r["facts"][3]["rows"][0][0] = json!(0.5);
        r["chain"]["gas"] = json!(1);
        r["balances"][1]["tokens_micro"] = json!(1);
        r["paid_in_micro"] = json!(1);
    };
    let problems = [
        "has 0.5 as facts[3].rows[0][0]",
        "has 1 as chain.gas",
        "as balances[1].tokens_micro",
        "as paid_in_micro",
    ];
    lie_in_the_result(numbers, &["result"], &problems);
    let sites = |r: &mut Value| {
        for site in r["sites"].as_array_mut().unwrap() {
            site["fields"][2]["value"] = json!(0.9999);
            site["fields"][5]["value"] = json!(0.5);
            site["fields"][0]["value"] = json!(100_000.0);
        }
    };
    let problems = ["as sites[0].fields[0].value", "as sites[0].fields[2].value", "and 4 more"];
    lie_in_the_result(sites, &["result"], &problems);
    let model = |r: &mut Value| {
        r["model"]["approved"] = json!("by the ministry");
        r["model"].as_object_mut().unwrap().remove("version");
        r["model"]["hash"] = json!(B256::repeat_byte(0x77));
    };
    lie_in_the_result(
        model,
        &["result", "leaves"],
        &["as model.approved, which nothing gives", "has no model.version"],
    );
    let story = |r: &mut Value| {
        r["declined"] = json!([]);
        r["validation"] = json!([]);
        r["queries"].as_array_mut().unwrap().iter_mut().for_each(|q| q["settled"] = json!(true));
        r["rounds"][0]["survivors"] = json!(4000);
        r["platform"] = json!("intel-sgx");
    };
    let problems = ["0 entries in declined", "0 entries in validation", ".settled", "as rounds[0].survivors"];
    lie_in_the_result(story, &["result"], &problems);
    let sealed = |r: &mut Value| {
        r["disclosure"] = json!({ "sums": "sealed", "model": "sealed", "auditors": [], "answers": 0 });
    };
    lie_in_the_result(sealed, &["result"], &["as disclosure.sums", "as disclosure.model"]);
    let chain = |r: &mut Value| {
        r["chain"]["head"] = json!(B256::repeat_byte(0x66));
        r["chain"]["by_function"]["market.donate"]["gas"] = json!(1);
        r["clock"] = json!("network");
    };
    lie_in_the_result(
        chain,
        &["result"],
        &["as chain.head", "as chain.by_function.market.donate.gas", "as clock"],
    );
    let missing = |r: &mut Value| {
        r["facts"][3].as_object_mut().unwrap().remove("says");
        r["balances"] = json!([]);
    };
    lie_in_the_result(missing, &["result"], &["has no facts[3].says", "0 entries in balances"]);
    lie_in_the_result(|r| *r = json!([1, 2]), &["result", "leaves"], &["result.json has [1,2] as"]);
}

#[test]
fn the_operator_says_something_that_nobody_checks() {
    let more = |r: &mut Value| r["certified_by"] = json!("the ministry");
    let problems = ["as certified_by, which nothing gives", "nothing says how `certified_by` is checked"];
    lie_in_the_result(more, &["result", "leaves"], &problems);
    let copy = Copy::new();
    let path = copy.folder.result();
    let twice = fs::read_to_string(&path).unwrap().replacen('{', r#"{"seconds": 0.001,"#, 1);
    fs::write(&path, twice).unwrap();
    copy.seal();
    copy.fails(&["result", "leaves"], &["result.json: `seconds` is there twice"]);
    // Blobs that nothing names: an own decision, and JSON that is no document of a run.
    let copy = Copy::new();
    let (decision, owner) = copy.open::<DecisionRecord>(copy.record().models[0].decisions[0]);
    let late = DecisionRecord { facts: DecisionFacts { time: 1, ..decision.facts }, ..decision };
    let orphan = copy.sign(&late, &copy.name(owner));
    let note = copy.blobs().put(br#"{"approved": true}"#).unwrap();
    let blank = copy.blobs().put(b"\n {\"approved\": true}").unwrap();
    copy.seal();
    let orphan = format!("`blobs/{orphan:x}` is named neither by run.json nor by the ledger");
    copy.fails(&["leaves"], &[&orphan, &format!("`blobs/{note:x}` is JSON of no known kind")]);
    copy.fails(&["leaves"], &[&format!("`blobs/{blank:x}` is JSON of no known kind")]);
    // Something that no run leaves, in the list that the operator signs.
    let copy = Copy::new();
    fs::write(copy.folder.root().join("certificate.pdf"), b"all is well").unwrap();
    copy.seal();
    copy.fails(&["manifest"], &["`certificate.pdf` has no place in the folder of a run"]);
}

#[test]
fn an_owner_decides_after_it_has_donated() {
    let copy = Copy::new();
    let record = copy.record();
    let dated = |time: u64| {
        let of = record.models[0].decisions.iter().map(|blob| {
            let (decision, owner) = copy.open::<DecisionRecord>(*blob);
            let facts = DecisionFacts { time, ..decision.facts };
            copy.sign(&histone_access::decide(&facts).unwrap(), &copy.name(owner))
        });
        of.collect::<Vec<_>>()
    };
    let (first, _) = copy.open::<DecisionRecord>(record.models[0].decisions[0]);
    for (time, problem) in [
        (4_000_000_000, "and the ledger ends at"),
        (first.facts.time + 3_600, "after the donation at"),
        (first.facts.time - 20, "it was made at"),
    ] {
        let made = dated(time);
        copy.rewrite(|r| r.models[0].decisions = made);
        copy.fails(&["decisions"], &[problem, "the donation names the decision"]);
    }
}

#[test]
fn the_operator_gives_itself_another_role() {
    let swap = |r: &mut RunRecord| {
        r.parties[0].role = "auditor".into();
        r.parties[1].name = "famous-hospital".into();
        let user = r.parties.iter_mut().find(|p| p.role == "end user").unwrap();
        user.role = "participant".into();
    };
    let problems = [
        "`auditor`, the ledger has it as `operator`",
        "`famous-hospital`, which no profile of it on the ledger ever said",
        "`participant`, the ledger has it as `end user`",
    ];
    lie(swap, &["record"], &problems);
}
