//! Command lines: what `--help` says, word for word, and what is refused before anything starts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{Ran, histone};

fn ran(arguments: &[&str]) -> Ran {
    Ran::of(histone().args(arguments))
}

/// Compares with the text in `help/`; `UPDATE_SNAPSHOTS=1` writes it.
#[track_caller]
fn snapshot(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help").join(name).with_extension("txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == found,
        "`{}` says otherwise; when the change is wanted, run again with UPDATE_SNAPSHOTS=1\n--- expected\n{expected}\n--- found\n{found}",
        path.display()
    );
}

/// The `--help` of a command and of all below it, by their words.
fn help(words: &[String], all: &mut BTreeMap<String, String>) {
    let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    arguments.push("--help");
    let ran = ran(&arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    let list =
        ran.stdout.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or("");
    for name in list.lines().filter_map(|line| line.split_whitespace().next()).filter(|n| *n != "help") {
        help(&[words, &[name.to_string()]].concat(), all);
    }
    all.insert(
        ["histone".to_string()].iter().chain(words).cloned().collect::<Vec<_>>().join("-"),
        ran.stdout,
    );
}

#[test]
fn every_command_explains_itself() {
    let mut all = BTreeMap::new();
    help(&[], &mut all);
    for name in ["histone", "histone-demo", "histone-study-run", "histone-study-check", "histone-verify"] {
        assert!(all.contains_key(name), "{name}");
    }
    for (name, text) in &all {
        snapshot(name, text);
    }
    let stored = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/help")).unwrap();
    for file in stored.map(|entry| entry.unwrap().path()) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(all.contains_key(name), "`{}` is of no command", file.display());
    }
}

#[test]
fn the_version_is_the_crates() {
    let ran = ran(&["--version"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stdout, format!("histone {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_command_lines_end_with_2_and_start_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 22] = [
        &[],
        &["nonsense"],
        &["Demo"],
        &["--seed", "1"],
        &["demo", "extra"],
        &["demo", "--seed"],
        &["demo", "--seed", "x"],
        &["demo", "--seed", "-1"],
        &["demo", "--seed", "18446744073709551616"],
        &["demo", "--seed", "1", "--seed", "2"],
        &["demo", "--out"],
        &["demo", "--replace=yes"],
        &["demo", "--drop-out"],
        &["study"],
        &["study", "run"],
        &["study", "check"],
        &["study", "check", "a", "b"],
        &["verify", "a", "b"],
        &["verify", "a", "--json", "--json"],
        &["chain"],
        &["chain", "replay"],
        &["chain", "replay", ""],
    ];
    for arguments in cases {
        let ran = Ran::of(histone().current_dir(dir.path()).args(arguments));
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(
            ran.stderr.contains("Usage: histone") || ran.stderr.contains("--help"),
            "{arguments:?}: {ran:?}"
        );
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a wrong command line leaves no file");
}

#[test]
fn a_drop_out_is_a_participant_and_a_round() {
    for text in [
        "city-hospital",
        "city-hospital@",
        "city-hospital@0",
        "city-hospital@-1",
        "@2",
        "@",
        "",
        "a@b@",
        "a@1.5",
        "a@4294967296",
    ] {
        let ran = ran(&["demo", &format!("--drop-out={text}"), "--out", "never"]);
        assert_eq!(ran.code, Some(2), "{text}: {ran:?}");
        assert!(ran.stderr.contains("write PARTICIPANT@ROUND, such as city-hospital@2"), "{text}: {ran:?}");
    }
    // Well formed, but nobody of this name: said before the run starts.
    let dir = tempfile::tempdir().unwrap();
    let ran = Ran::of(histone().current_dir(dir.path()).args(["demo", "--drop-out", "nobody@2"]));
    let error = ran.error();
    assert!(error.contains("no participant `nobody` to drop out; it has university-hospital, "), "{error}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_study_file_that_is_not_there_is_named() {
    for command in ["check", "run"] {
        let dir = tempfile::tempdir().unwrap();
        let ran = Ran::of(histone().current_dir(dir.path()).args(["study", command, "no-such-study.toml"]));
        let error = ran.error();
        assert!(error.contains("no-such-study.toml"), "{error}");
        assert!(error.contains("No such file"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
