//! `histone program new|check|run`, and the page that takes a newcomer to a method of their own, word by word.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn histone() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_histone"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(args: &[&str]) -> (bool, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(histone()).args(args).current_dir(root()).output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn methods_of_the_product_are_shown_as_an_auditor_reads_them() {
    let (ok, out, _) = run(&["program", "check", "logistic"]);
    assert!(ok);
    for part in [
        "entries",
        "begin, next, advance, site, report",
        "measurement",
        "Logistic regression",
        "ridge",
        "own_auc",
        "10 columns, a row for each of the terms",
        "yes or no",
        "beside a model of sealed sums that everybody gets its facts tell",
        "and 0 for each feature and 0 for each level of a category",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (ok, out, _) = run(&["program", "check", "linear", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(ok && json["manifest"]["name"] == "linear" && json["limits"]["memory_bytes"] == 1 << 30);
    let (public, other) = (&json["fact_bits"]["public_model"], &json["fact_bits"]["other_model"]);
    // Six numbers of 32 bits, and whether the term is there and at the bound.
    assert!(public["each_level"] == 6 * 32 + 3 && other["each_level"] == 0, "{public} {other}");
    assert!(public["fixed"].as_u64() > other["fixed"].as_u64(), "{public} {other}");
    let (ok, _, err) = run(&["program", "check", "nothing"]);
    assert!(!ok && err.contains("neither a file that can be read nor a method"), "{err}");
    let (ok, _, err) = run(&["program", "check", "README.md"]);
    assert!(!ok && err.contains("is no WebAssembly module"), "{err}");
}

#[test]
fn a_training_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.toml");
    let model = dir.path().join("m.model");
    let text = "outcome = \"pressure\"\nignore = [\"site\", \"event\"]\nmissing = \"median\"\n\
                [columns.smoker]\nlevels = [\"never\", \"former\", \"current\"]\n";
    fs::write(&config, text).unwrap();
    let (config, model) = (config.to_str().unwrap(), model.to_str().unwrap());
    let data = "programs/sdk/tests/reference/patients.csv";
    let with = |more: &[&str]| {
        run(&[&["program", "run", "linear", "--config", config, "--data", data, data], more].concat())
    };
    let (ok, out, err) = with(&["--out", model]);
    assert!(ok, "{err}");
    assert!(
        out.contains("smoker=current") && out.contains("sex=male") && out.contains("each site for itself"),
        "{out}"
    );
    assert!(
        err.contains("taken from the data: columns.age.range") && err.contains("round 12: judge"),
        "{err}"
    );
    assert!(fs::metadata(model).unwrap().len() > 500);
    let (ok, out, _) = with(&["--json", "--ask", data]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(
        ok && json["facts"]["rows"] == 840.0 && json["answers"].as_array().unwrap().len() == 600,
        "{out}"
    );
    // What does not fit is named.
    for (change, part) in [
        ("outcome = \"pressure\"", "outcome = \"weight\""),
        ("\"current\"", "\"sometimes\""),
        ("missing = \"median\"", "missing = \"refuse\""),
        ("missing = \"median\"", "missing = \"median\"\n[settings]\nrigde = 1.0\n"),
        ("missing = \"median\"", "missing = \"guess\""),
        ("missing = \"median\"", "holdout = 1.5"),
    ]
    .map(|(from, to)| (text.replace(from, to), to))
    {
        fs::write(config, change).unwrap();
        let (ok, _, err) = with(&[]);
        let said = [
            "`weight`",
            "line 3, column 5 (`smoker`)",
            "a value is missing",
            "settings.rigde",
            "c.toml",
            "held-out share",
        ];
        assert!(!ok && said.iter().any(|s| err.contains(s)), "{part}: {err}");
    }
}

/// Whole numbers, days and rules of an outcome in a settings file.
#[test]
fn typed_columns_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let row = |i: usize, site: usize| {
        let ill = ["no", "yes", "no", "unknown", "yes", "yes", "no"][(i * i + site) % 7];
        format!("{},2012-{:02}-1{},{ill},{}\n", i % 5, 1 + (i + site) % 12, i % 10, 10 + (i * 37 + site) % 50)
    };
    for (site, name) in ["a.csv", "b.csv"].into_iter().enumerate() {
        let rows: String = (0..90).map(|i| row(i, site)).collect();
        fs::write(path(name), format!("visits,seen,ill,days\n{rows}")).unwrap();
    }
    let with = |method: &str, settings: &str, more: &[&str]| {
        fs::write(path("c.toml"), settings).unwrap();
        let (a, b, c) = (path("a.csv"), path("b.csv"), path("c.toml"));
        run(&[&["program", "run", method, "--config", &c, "--data", &a, &b], more].concat())
    };
    let settings = "outcome = \"ill\"\nyes = \"yes\"\nno = \"no\"\nother = \"leave-out\"\n\
                    [columns.visits]\nkind = \"whole\"\n[columns.seen]\nrange = [2012-01-01, 2012-12-31]\n";
    let (ok, out, err) = with("logistic", settings, &["--json"]);
    assert!(ok, "{err}");
    // A column of days is known by its cells.
    assert!(err.contains("taken from the data: columns.seen.kind = \"day\""), "{err}");
    assert!(err.contains("columns.visits.range = [0, 4]"), "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let unknown = fs::read_to_string(path("a.csv")).unwrap().matches("unknown").count()
        + fs::read_to_string(path("b.csv")).unwrap().matches("unknown").count();
    assert!(unknown > 20 && json["facts"]["without outcome"] == unknown as f64, "{out}");
    for (from, to, said) in [
        ("no = \"no\"\nother = \"leave-out\"\n", "", "and only what means yes is named (`== yes`)"),
        ("other = \"leave-out\"\n", "", "which neither `yes` nor `no` names"),
        ("yes = \"yes\"\nno = \"no\"\n", "", "name the cell that means yes, as in `yes = \"yes\"`"),
        ("2012-01-01, 2012-12-31", "1, 2", "its range must be two days"),
        ("kind = \"whole\"", "kind = \"day\"", "line 2, column 1 (`visits`): the cell is not a day"),
        (
            "[columns.visits]",
            "kind = \"event-time\"\n[columns.visits]",
            "the method `logistic` takes a yes/no outcome, and this one is an event with a time",
        ),
    ] {
        let (ok, _, err) = with("logistic", &settings.replacen(from, to, 1), &[]);
        assert!(!ok && err.contains(said), "{said}: {err}");
    }
}

/// The blocks of a page that a shell runs.
fn shell(page: &str) -> String {
    let mut script = String::from("set -eu\n");
    for block in page.split("```sh\n").skip(1) {
        script.push_str(block.split("\n```").next().unwrap());
        script.push('\n');
    }
    script
}

/// Builds wasm modules: needs the target wasm32-unknown-unknown.
#[test]
#[ignore = "builds for wasm32; cargo test -p histone-cli --test it -- --ignored methods"]
fn the_page_leads_to_a_method_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let script = shell(&fs::read_to_string(root().join("docs/methods.md")).unwrap());
    assert!(script.contains("program new") && script.contains("program run"));
    let path = format!("{}:{}", histone().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let out = Command::new("sh")
        .args(["-c", &script])
        .current_dir(dir.path())
        .env("PATH", path)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert!(said.contains("test tests::two_sites_have_one_share ... ok"), "{said}");
    assert!(said.contains("share.wasm: admitted"), "{said}");
}
