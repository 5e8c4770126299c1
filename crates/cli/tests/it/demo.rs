//! A whole run: what it prints, what it leaves, that a seed repeats it, and that nothing of anybody is overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Ran, copy, demo, files, histone, run, shared};

#[test]
fn the_result_is_one_json_document_on_stdout_and_progress_is_on_stderr() {
    let shared = shared();
    let ran = &shared.ran;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let result = ran.json();
    assert_eq!(result["format"], "histone-result/4");
    assert_eq!((&result["platform"], &result["clock"]), (&"SIMULATED".into(), &"SIMULATED".into()));
    assert_eq!(result["seeded"], true);
    let stored: Value = serde_json::from_slice(&fs::read(shared.dir.join("result.json")).unwrap()).unwrap();
    assert_eq!(stored, result, "the printed result is the stored one");

    let steps: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(steps.len(), 9, "{steps:?}");
    for (i, step) in steps.iter().enumerate() {
        assert!(step.starts_with(&format!("[{}/9] ", i + 1)), "{step}");
    }
    assert!(ran.stderr.lines().take(2).any(|line| line.contains("SIMULATED")), "{}", ran.stderr);
    assert!(!ran.stderr.contains('\x1b'), "no terminal, no colors or bars");
    assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
    assert!(!shared.dir.join("UNFINISHED").exists());
}

#[test]
fn the_money_sums_and_what_must_be_refused_is_refused() {
    let result = shared().ran.json();
    let list = |name: &str| result[name].as_array().unwrap().clone();
    let sum: u64 = list("balances").iter().map(|b| b["tokens_micro"].as_u64().unwrap()).sum();
    assert!(sum > 0);
    assert_eq!(sum, result["paid_in_micro"].as_u64().unwrap());

    let refused: BTreeMap<String, (String, String)> = list("refused")
        .iter()
        .map(|r| {
            let text = |name: &str| r[name].as_str().unwrap().to_string();
            (text("attempt"), (text("refused_by"), text("reason")))
        })
        .collect();
    // Each for its own reason: a refusal for another one would prove nothing.
    let expected = [
        ("an enclave with a tampered program", "the ledger", "NotRegistered"),
        ("a tampered program presented to an owner", "the owner's node", "measurement"),
        ("expired evidence", "the owner's node", "s old"),
        ("SIMULATED evidence under a production policy", "the owner's node", "SIMULATED"),
        ("a used access code", "the query enclave", "used or refunded"),
        ("an unpaid access code", "the query enclave", "not bought"),
        ("another user's access code", "the query enclave", "not bought"),
        ("settling a query twice", "the market contract", "QueryDone"),
        (
            "the founder admitting a member after the hand-over",
            "the members contract",
            "AccessManagedUnauthorized",
        ),
    ];
    for (attempt, by, reason) in expected {
        let (found_by, found) =
            refused.get(attempt).unwrap_or_else(|| panic!("no `{attempt}` in {refused:?}"));
        assert_eq!(found_by, by, "{attempt}");
        assert!(found.contains(reason), "{attempt}: {found}");
    }
    assert_eq!(refused.len(), expected.len(), "{refused:?}");

    let declined = list("declined");
    assert!(declined.iter().all(|d| d["model"] == "premium-pricing"), "{declined:?}");
    let by: BTreeSet<_> = declined.iter().map(|d| d["participant"].as_str().unwrap()).collect();
    assert_eq!(by, BTreeSet::from(["university-hospital", "cancer-center", "screening-center"]));
    assert!(declined.iter().all(|d| d["reasons"].as_array().is_some_and(|r| !r.is_empty())));

    let queries = list("queries");
    let open: Vec<_> = queries.iter().filter(|q| q["settled"] == false).collect();
    assert_eq!(open.len(), 1, "one query is not answered and refunded");
    assert_eq!(open[0]["answer"], serde_json::json!([]));
    let converged = result["facts"].as_array().unwrap().iter().find(|f| f["name"] == "converged").unwrap();
    assert_eq!(converged["rows"][0][0], "yes");
    assert!(result["model"]["largest_difference_to_pooled"].as_f64().unwrap() < 1e-9);
    let membership = &result["membership"];
    // Of 560 rows a fifth is held out. A penalized model of thirty features knows none of them by heart.
    assert_eq!((&membership["rows"], &membership["held_out"]), (&448.into(), &112.into()));
    let figure = |name: &str| membership[name].as_f64().unwrap();
    assert!((0.4..0.6).contains(&figure("auc")) && figure("tpr_at_1_percent") < 0.1, "{membership}");
}

#[test]
fn a_stranger_verifies_it_and_replays_its_chain() {
    let shared = shared();
    let before = files(&shared.dir);
    let ran = run("verify", &shared.dir);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().last(), Some("everything that can be checked holds"));
    assert!(!ran.stdout.contains("FAILS"));

    let ran = run("verify --json", &shared.dir);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let checks = ran.json()["checks"].as_array().unwrap().clone();
    assert!(checks.len() > 12);
    assert!(checks.iter().all(|c| c["outcome"] == "holds" || c["outcome"] == "not-checkable"), "{checks:?}");

    let result = shared.ran.json();
    let ran = run("chain replay --json", &shared.dir.join("ledger"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for name in ["head", "state_digest", "blocks", "transactions", "gas"] {
        assert_eq!(ran.json()[name], result["chain"][name], "{name}");
    }
    assert!(before == files(&shared.dir), "checking changes nothing");
}

/// What of a run must be equal when it is repeated with the same seed: all but the wall-clock times, which are in
/// `result.json` and through it in `manifest.json`.
#[test]
fn a_stranger_verifies_one_model_without_a_run_folder() {
    let (_dir, run) = copy();
    let (chain, blobs) = (run.join("ledger"), run.join("blobs"));
    for file in ["run.json", "result.json", "manifest.json"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    let check = |model: &str, extra: &[&str]| {
        let mut command = histone();
        command.arg("verify").arg(&chain).args(["--model", model, "--blobs"]).arg(&blobs).args(extra);
        Ran::of(&mut command)
    };
    let ran = check("1", &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    for name in [
        "chain",
        "contracts",
        "model",
        "programs",
        "enclaves",
        "datasets",
        "decisions",
        "rounds",
        "queries",
        "money",
    ] {
        assert!(
            ran.stdout.lines().any(|l| l.starts_with(&format!("holds      {name} "))),
            "{name}: {}",
            ran.stdout
        );
    }
    // It was proposed to find out who declines, and not trained.
    let ran = check("2", &["--json"]);
    let report = ran.json();
    let outcome = |name: &str| {
        let check = report["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap();
        check["outcome"].as_str().unwrap().to_string()
    };
    assert_eq!(
        (ran.code, outcome("rounds"), outcome("decisions")),
        (Some(0), "not-checkable".into(), "holds".into())
    );
    let ran = check("99", &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("there is no model 99 on this ledger"), "{}", ran.stderr);
    // What the sum was made of is needed.
    let largest = fs::read_dir(&blobs)
        .unwrap()
        .map(|e| e.unwrap())
        .max_by_key(|e| e.metadata().unwrap().len())
        .unwrap();
    fs::remove_file(largest.path()).unwrap();
    let ran = check("1", &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    let mut nothing = histone();
    nothing.arg("verify").arg(&blobs).args(["--model", "1", "--blobs"]).arg(&blobs);
    let ran = Ran::of(&mut nothing);
    assert!(
        ran.stderr.contains("holds no chain; name a run folder or the directory of a chain"),
        "{}",
        ran.stderr
    );
}

fn repeatable(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(dir);
    files.retain(|name, _| name.starts_with("blobs/") || name == "run.json");
    files
}

#[test]
fn a_seed_repeats_a_run_and_another_seed_makes_another_one() {
    let shared = shared();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    // Once for people: tables instead of a document.
    let other = Ran::of(histone().args(["demo", "--seed", "2", "--out"]).arg(&dir));
    assert_eq!(other.code, Some(0), "{}", other.stderr);
    for part in [
        "SIMULATED",
        "sums PUBLIC-EXACT: everybody",
        "What each site reports",
        "Declined by owners",
        "Tokens (TEST money)",
        "of 0.5",
    ] {
        assert!(other.stdout.contains(part), "`{part}` is not in: {}", other.stdout);
    }
    let last = format!("check it: histone verify {}", dir.display());
    assert_eq!(other.stdout.lines().last(), Some(last.as_str()));
    let first = shared.ran.json();
    let second: Value = serde_json::from_slice(&fs::read(dir.join("result.json")).unwrap()).unwrap();
    for name in ["head", "state_digest"] {
        assert_ne!(first["chain"][name], second["chain"][name], "{name}");
    }
    let names = |dir: &Path| repeatable(dir).into_keys().collect::<BTreeSet<_>>();
    assert_ne!(names(&shared.dir), names(&dir));
    // The same data lead to the same model, whoever encrypts them how.
    assert_eq!(first["model"], second["model"]);

    let again = Ran::of(&mut demo(1, &dir, &["--replace"]));
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let second = again.json();
    for name in
        ["chain", "model", "facts", "sites", "refused", "declined", "queries", "balances", "validation"]
    {
        assert_eq!(first[name], second[name], "{name}");
    }
    assert!(repeatable(&shared.dir) == repeatable(&dir), "the same blobs and the same record");
    let private = |dir: &Path| files(&dir.with_file_name("run.private"));
    assert!(private(&shared.dir) == private(&dir), "--replace removes the secrets of the earlier run too");
    let ran = run("verify", &dir);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_finished_folder_is_left_alone() {
    let shared = shared();
    let before = (files(&shared.dir), files(&shared.dir.with_file_name("run.private")));
    let ran = Ran::of(&mut demo(1, &shared.dir, &[]));
    let error = ran.error();
    for part in ["holds a finished run", "histone verify", "--out", "--replace"] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(ran.stdout, "");
    let after = (files(&shared.dir), files(&shared.dir.with_file_name("run.private")));
    assert!(before == after, "nothing was changed");
}

/// Calls `demo --replace` for a folder that must be refused for `reason` with all that it holds.
#[track_caller]
fn refuses_to_replace(home: &Path, reason: &str) {
    let before = files(home);
    let ran = Ran::of(&mut demo(1, &home.join("run"), &["--replace"]));
    let error = ran.error();
    assert!(error.contains(reason) && error.contains("--out"), "{error}");
    assert!(before == files(home), "nothing was changed");
}

#[test]
fn replace_leaves_alone_what_is_no_run() {
    let write = |files: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        for name in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"precious").unwrap();
        }
        home
    };
    refuses_to_replace(write(&["run/thesis.txt"]).path(), "holds `thesis.txt`");
    // Browser extensions and web apps have a file of this name too.
    refuses_to_replace(write(&["run/manifest.json", "run/index.html"]).path(), "holds `index.html`");
    refuses_to_replace(write(&["run/UNFINISHED", "run/symphony.mid"]).path(), "holds `symphony.mid`");
    refuses_to_replace(write(&["run/blobs/x"]).path(), "holds no run");
    refuses_to_replace(write(&["run.private/diary.txt"]).path(), "does not hold the secrets of a run");
    refuses_to_replace(write(&["run/manifest.json", "run.private/diary.txt"]).path(), "secrets of a run");
    // And a finished run into which somebody put a file.
    let (home, dir) = copy();
    fs::write(dir.join("notes.txt"), b"precious").unwrap();
    refuses_to_replace(home.path(), "holds `notes.txt`");
}

#[test]
fn replace_does_not_pull_the_folder_from_under_a_run() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let mut child = demo(1, &dir, &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("[2/9]")));
    let ran = Ran::of(&mut demo(1, &dir, &["--replace"]));
    let goes_on = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(goes_on, "the first run did not notice");
    assert!(ran.error().contains("a run is going on in"), "{ran:?}");
    assert!(dir.join("UNFINISHED").exists() && dir.join("ledger/chain.redb").exists());
}

#[test]
fn a_folder_of_something_else_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("thesis.txt"), b"precious").unwrap();
    let ran = Ran::of(&mut demo(1, &dir, &[]));
    assert!(ran.error().contains("is not empty and holds no run"), "{ran:?}");
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir(home.path().join("run.private")).unwrap();
    let ran = Ran::of(&mut demo(1, &dir, &[]));
    assert!(ran.error().contains("run.private` holds the secrets of an earlier run"), "{ran:?}");
    assert!(!dir.exists());
}

#[test]
fn secrets_never_lie_inside_the_folder_that_is_given_away() {
    // `.` has no name to put `.private` behind; the directory that it means has.
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    fs::create_dir(&dir).unwrap();
    let mut child = demo(1, Path::new("."), &[])
        .current_dir(&dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .any(|line| line.starts_with("[2/9]"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(begun);
    assert!(home.path().join("run.private/operator/signing.key").exists());
    assert!(dir.join("UNFINISHED").exists());
    let inside = files(&dir);
    assert!(
        !inside.keys().any(|name| name.contains("private") || name.ends_with(".key")),
        "{:?}",
        inside.keys()
    );

    let ran = Ran::of(&mut demo(1, Path::new("/"), &[]));
    assert!(ran.error().contains("cannot be a run folder"), "{ran:?}");
}

#[test]
fn a_reader_that_leaves_and_a_log_that_is_full_are_no_panic() {
    let shared = shared();
    // The pipe is closed before the first line, as by `| true`.
    let mut child = histone()
        .arg("verify")
        .arg(&shared.dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(1), ""));

    let Ok(full) = File::options().write(true).open("/dev/full") else {
        eprintln!("skipped in part: this system has no /dev/full");
        return;
    };
    let to = |full: &File| Stdio::from(full.try_clone().unwrap());
    for arguments in [["verify", "--json"], ["chain", "replay"]] {
        let dir = if arguments[0] == "chain" { shared.dir.join("ledger") } else { shared.dir.clone() };
        let output = histone().args(arguments).arg(dir).stdout(to(&full)).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.starts_with("error: cannot write to stdout: No space left on device"), "{stderr}");
    }
    let status = demo(1, &shared.dir, &[]).stdout(Stdio::null()).stderr(to(&full)).status().unwrap();
    assert_eq!(status.code(), Some(1), "an error that nobody can be told is still only an error");
}

/// With sealed sums nobody sees a sum, a stranger sees who signed what each round led to, and the model tells the same.
#[test]
fn sealed_sums_lead_to_a_model_that_tells_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("sealed");
    let ran = Ran::of(&mut demo(1, &out, &["--sealed"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (sealed, public) = (ran.json(), shared().ran.json());
    assert_eq!(
        (&sealed["disclosure"]["sums"], &sealed["disclosure"]["model"]),
        (&"sealed".into(), &"public".into())
    );
    let rounds = |result: &Value| result["rounds"].as_array().unwrap().clone();
    assert!(rounds(&sealed).iter().all(|r| r["basis"] == "signed by 4 of 4 enclaves"), "{sealed}");
    assert!(rounds(&public).iter().all(|r| r["basis"] == "recomputed"));
    // The plan says how many there are, and not the data: one to describe, 12 of Newton, two to judge.
    assert_eq!(rounds(&sealed).len(), 15);
    assert!(rounds(&public).len() < 15);
    let answers = |result: &Value| {
        let queries = result["queries"].as_array().unwrap().clone();
        queries.into_iter().map(|q| q["answer"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(answers(&sealed), answers(&public));

    let verified = run("verify", &out);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.stdout.contains("rounds 1 to 15 signed by 4 of 4 enclaves"), "{}", verified.stdout);
    // A key of somebody whom no paper names opens nothing.
    let private = dir.path().join("sealed.private");
    let key = private.join("independent-auditor").join("seal.key");
    let with_key = Ran::of(histone().arg("verify").arg(&out).arg("--auditor-key").arg(&key));
    assert_eq!(with_key.code, Some(1));
    assert!(with_key.stdout.contains("no white paper names an auditor"), "{}", with_key.stdout);
    let none = Ran::of(histone().arg("verify").arg(&out).arg("--auditor-key").arg(out.join("run.json")));
    assert!(none.stderr.contains("where the key of an auditor has 32"), "{}", none.stderr);
}

/// Brought to one enclave, the data leads to a model that tells the same; who made it a stranger sees, and that nobody computes it
/// again.
#[test]
fn one_enclave_leads_to_a_model_that_tells_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("one");
    let ran = Ran::of(&mut demo(1, &out, &["--one-enclave"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (one, public) = (ran.json(), shared().ran.json());
    assert_eq!(one["disclosure"]["place"], "one-enclave");
    assert_eq!((&one["rounds"], &one["hosted"]["destroyed"]), (&serde_json::json!([]), &4.into()));
    let answers = |result: &Value| {
        let queries = result["queries"].as_array().unwrap().clone();
        queries.into_iter().map(|q| q["answer"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(answers(&one), answers(&public));

    let verified = run("verify", &out);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(verified.stdout.lines().last(), Some("everything that can be checked holds"));
    for said in
        ["made in one enclave", "computed again by nobody", "it says that it has destroyed 4 datasets"]
    {
        assert!(verified.stdout.contains(said), "expected `{said}` in {}", verified.stdout);
    }
    // Nothing that the data was kept as lies with anybody but its owners.
    let runner = one["hosted"]["runner"].as_str().unwrap();
    let kept = files(&dir.path().join("one.private").join(runner));
    assert!(kept.keys().any(|name| name.starts_with("outcome-")));
    assert!(!kept.keys().any(|name| name.starts_with("data-")));

    // The statement is not there, or is another one than the ledger names.
    let record = fs::read_to_string(out.join("run.json")).unwrap();
    let at = record.find("hosted").unwrap();
    let hash: String = record[at..].chars().skip_while(|c| *c != 'x').skip(1).take(64).collect();
    let blob = out.join("blobs").join(&hash);
    let statement = fs::read(&blob).unwrap();
    fs::remove_file(&blob).unwrap();
    let verified = run("verify", &out);
    assert!(verified.code == Some(1) && verified.stdout.contains(&hash[..16]), "{verified:?}");
    let changed = String::from_utf8(statement).unwrap().replace("destroyed", "destroyee");
    fs::write(&blob, changed).unwrap();
    let verified = run("verify", &out);
    assert!(verified.code == Some(1) && verified.stdout.contains("FAILS"), "{verified:?}");
}
