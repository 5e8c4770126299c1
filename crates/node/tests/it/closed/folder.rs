//! A whole run by a closed method, what is left of it on all disks, and lies in its folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use histone_compliance::folder::RunRecord;
use histone_node::party::Entropy;
use histone_node::programs::{METHODS, VALIDATE};
use histone_node::run::{Options, RunResult, run};
use histone_node::study::Study;
use histone_protocol::evidence::Platform;
use histone_protocol::plan::PlanDocument;
use histone_protocol::report::SiteEvaluation;
use serde_json::{Value, json};

use super::*;
use crate::support::{Copy, Silent, block_on};

/// The bundled study with its method closed, as its owners allow it.
fn study() -> Study {
    let mut study = Study::bundled().unwrap().in_one_enclave();
    let disclosure = &mut study.training.disclosure;
    (disclosure.source, disclosure.model, disclosure.answers) = (Source::Closed, Release::Sealed, 10);
    for participant in &mut study.participants {
        participant.allow_one_enclave = true;
        participant.allow_closed = vec![bundled()];
    }
    study
}

/// The folder of one finished run, and what it printed.
fn original() -> &'static (PathBuf, RunResult) {
    static RUN: OnceLock<(tempfile::TempDir, (PathBuf, RunResult))> = OnceLock::new();
    let (_, run) = RUN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let options = Options {
            out: out.clone(),
            entropy: Entropy::Seed(3),
            start_time: 1_800_000_000,
            network: None,
            withdrawals: vec![],
            drop_outs: vec![],
        };
        let result = block_on(run(&study(), &options, &mut Silent)).unwrap();
        (dir, (out, result))
    });
    run
}

fn files(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, all) } else { all.push(path) }
    }
}

#[test]
fn a_closed_run_holds_and_says_so() {
    let (path, result) = original();
    let report = Copy::from(path).verify();
    assert!(report.holds(), "{:#?}", report.first_failure());
    let check = |name| report.checks.iter().find(|c| c.name == name).unwrap();
    let told = &check("programs").detail;
    assert!(told.contains("2 programs admitted") && told.contains("1 method of CLOSED source"), "{told}");
    let told = &check("evaluations").detail;
    assert!(told.contains("of a closed method: nothing of what it reports goes out"), "{told}");
    // Nobody says anything of a model that nobody has.
    assert!(result.membership.is_none() && result.facts.is_empty() && result.sites.is_empty());
    assert_eq!(result.model.largest_difference_to_pooled, None);
    assert!(result.queries.iter().any(|q| q.settled && !q.answer.is_empty()), "it answers all the same");
}

/// Neither the runner nor anybody else has the module on disk: it is sealed to the enclave, and the author keeps none.
#[test]
fn the_module_is_on_no_disk_but_sealed() {
    let (path, _) = original();
    let [method, answer] = METHODS[0];
    let needles = |wasm: &'static [u8]| wasm.chunks(wasm.len() / 16).map(|part| &part[..part.len().min(48)]);
    // What all modules of this compiler have, and the manifest, which is public, are no secrets.
    let public = [answer.wasm, VALIDATE.wasm, &published_manifest()].concat();
    let (mut all, mut open) = (Vec::new(), 0);
    files(path, &mut all);
    files(&path.with_file_name("run.private"), &mut all);
    let holds = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    let secret: Vec<&[u8]> = needles(method.wasm).filter(|n| n.len() == 48 && !holds(&public, n)).collect();
    assert!(secret.len() >= 8, "{}", secret.len());
    for file in &all {
        let bytes = fs::read(file).unwrap();
        for needle in &secret {
            assert!(!holds(&bytes, needle), "{} has a piece of the module", file.display());
        }
        open += usize::from(bytes == answer.wasm);
    }
    // The control: what is open is found so.
    assert_eq!(open, 1, "of {} files", all.len());
    let sealed = |file: &PathBuf| file.to_string_lossy().contains("module-");
    let kept: Vec<_> = all.iter().filter(|file| sealed(file)).collect();
    // One for each model that was proposed: the other one's owners are asked, too, and it is not trained.
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(fs::metadata(kept[0]).unwrap().len() > method.wasm.len() as u64);
}

fn published_manifest() -> Vec<u8> {
    published(&histone_enclave::program::Program::published(METHODS[0][0].wasm).unwrap())
}

/// Lies in the run record of a closed run: exactly `names` fail, with these problems.
#[track_caller]
fn lie(change: impl FnOnce(&Copy, &mut RunRecord), names: &[&str], problems: &[&str]) {
    let copy = Copy::from(&original().0);
    let mut record = copy.record();
    change(&copy, &mut record);
    copy.rewrite(|old| *old = record);
    copy.fails(names, problems);
}

#[test]
fn programs_without_module_are_closed_by_their_plan_or_fail() {
    // Of three programs the plan closes one, and neither validation nor what answers.
    for (name, module, source) in [
        (
            "logistic-answer",
            "the module of program `logistic-answer`",
            "the source of program `logistic-answer`",
        ),
        ("validate", "the module of program `validate`", "the source of program `validate`"),
    ] {
        let none = " is not here, and no plan says that it is of closed source";
        lie(
            |_, record| {
                let program = record.programs.iter_mut().find(|p| p.name == name).unwrap();
                (program.wasm, program.source) = (None, None);
            },
            &["programs"],
            &[&format!("{module}{none}"), &format!("{source}{none}")],
        );
    }
    // The same of a run whose method is open.
    let copy = Copy::new();
    copy.rewrite(|record| {
        let program = record.programs.iter_mut().find(|p| p.name == "logistic").unwrap();
        program.wasm = None;
    });
    let report = copy.verify();
    let failed = report.first_failure().unwrap();
    assert!(failed.name == "record" && failed.detail.starts_with("the methods: "), "{failed:?}");
}

#[test]
fn an_evaluation_of_a_closed_method_is_none() {
    lie(
        |copy, record| {
            let model_id = record.models[0].model_id;
            let said = SiteEvaluation {
                ledger: record.deployment.id(),
                platform: Platform::SIMULATED,
                model_id,
                model_hash: B256::repeat_byte(1),
                donor: 1,
                fields: vec![],
            };
            let owner = copy.name_of("participant");
            record.models[0].evaluations.push(copy.sign(&said, &owner));
        },
        &["evaluations"],
        &["model 1 is of a closed method, which reports nothing"],
    );
}

#[test]
fn another_manifest_than_the_plans_fails() {
    let plan = |copy: &Copy, record: &RunRecord| {
        PlanDocument::from_bytes(&copy.blobs().get(record.models[0].plan).unwrap()).unwrap()
    };
    // Other bytes under its name, or none.
    let cases = [
        (None, "record", "the methods: of model 1: "),
        (Some(published_manifest().to_ascii_uppercase()), "manifest", "`blobs/"),
    ];
    for (bytes, name, why) in cases {
        let copy = Copy::from(&original().0);
        let manifest = copy.blobs().path(plan(&copy, &copy.record()).manifest);
        match bytes {
            Some(bytes) => fs::write(&manifest, bytes).unwrap(),
            None => fs::remove_file(&manifest).unwrap(),
        }
        copy.seal();
        let report = copy.verify();
        let failed = report.first_failure().unwrap();
        assert!(failed.name == name && failed.detail.starts_with(why), "{failed:?}");
    }
    // Another manifest under its own name, in a plan that is not the ledger's.
    let copy = Copy::from(&original().0);
    let record = copy.record();
    let other = String::from_utf8(published_manifest()).unwrap().replace("Logistic", "Statistic");
    let manifest = copy.blobs().put(other.as_bytes()).unwrap();
    let other = PlanDocument { manifest, ..plan(&copy, &record) };
    let other = copy.blobs().put(&other.to_bytes()).unwrap();
    copy.rewrite(|record| record.models[0].plan = other);
    assert!(!copy.verify().holds());
}

/// What nobody can have measured of a sealed model is not printed.
#[test]
fn a_figure_of_a_sealed_model_fails() {
    let copy = Copy::from(&original().0);
    let honest: Value = serde_json::from_slice(&fs::read(copy.folder.result()).unwrap()).unwrap();
    assert_eq!(honest["membership"], Value::Null);
    let print = |change: &dyn Fn(&mut Value)| {
        let mut result = honest.clone();
        change(&mut result);
        fs::write(copy.folder.result(), serde_json::to_vec_pretty(&result).unwrap()).unwrap();
        copy.seal();
    };
    let figures = json!({"auc": 0.5, "tpr_at_1_percent": 0.01, "rows": 448, "held_out": 112});
    print(&|result| result["membership"] = figures.clone());
    copy.fails(&["result"], &["as membership, it should be null"]);
    print(&|result| drop(result.as_object_mut().unwrap().remove("membership")));
    copy.fails(&["result"], &["result.json has no membership"]);
    let fact = json!({"name": "auc", "says": "x", "columns": ["value"], "rows": [[0.9]]});
    print(&|result| result["facts"] = json!([fact]));
    copy.fails(&["result"], &["1 entries in facts, there should be 0"]);
    print(&|_| {});
    assert!(copy.verify().holds());
}
