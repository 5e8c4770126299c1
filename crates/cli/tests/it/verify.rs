//! Verification of folders that were tampered with.

use std::fs;
use std::path::Path;

use histone_compliance::verify::{Check, Outcome, Report, VerifyError, verify};

use crate::support::{Chance, copy, files, run, shared};

fn check(dir: &Path) -> Result<Report, VerifyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(verify(dir, &mut |_| {}))
}

/// The check of the files, which must have failed first.
#[track_caller]
fn manifest(dir: &Path) -> Check {
    let report = check(dir).unwrap();
    assert!(!report.holds());
    let failure = report.first_failure().unwrap();
    assert_eq!((failure.name, failure.outcome), ("manifest", Outcome::Fails));
    failure.clone()
}

/// Changes one bit of one byte, at a place that chance chooses.
fn flip(chance: &mut Chance, path: &Path, bytes: &[u8]) {
    let mut altered = bytes.to_vec();
    altered[chance.below(bytes.len())] ^= 1 << chance.below(8);
    fs::write(path, altered).unwrap();
}

#[test]
fn one_flipped_bit_in_any_file_is_found_and_the_file_named() {
    let (_home, dir) = copy();
    assert!(check(&dir).unwrap().holds(), "the untouched copy holds");
    let mut chance = Chance::from_variable("HISTONE_FLIP_SEED");
    let all: Vec<_> = files(&dir).into_iter().collect();
    assert!(all.len() > 150, "{}", all.len());
    let (blobs, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| name.starts_with("blobs/"));
    assert_eq!(others.len(), 4, "chain, record, result, manifest");
    // A check spells out five problems: several blobs at a time, and each must be named. The others one by one, the
    // chain several times since its file has parts that nothing refers to.
    let chain = others.iter().find(|(name, _)| name.starts_with("ledger/")).cloned().unwrap();
    let mut groups: Vec<_> = blobs.chunks(5).map(<[_]>::to_vec).collect();
    groups.extend(others.into_iter().map(|other| vec![other]));
    groups.extend(std::iter::repeat_n(vec![chain], 7));
    for group in groups {
        for (name, bytes) in &group {
            flip(&mut chance, &dir.join(name), bytes);
        }
        let failure = manifest(&dir);
        for (name, bytes) in &group {
            assert!(failure.detail.contains(name.as_str()), "{name} is not named in: {}", failure.detail);
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
    assert!(check(&dir).unwrap().holds(), "all is put back");
}

/// Runs the command on an altered copy: exit code 1, and the file is named.
#[track_caller]
fn fails(dir: &Path, named: &str) {
    let ran = run("verify", dir);
    let error = ran.error();
    let failed = ran.stdout.lines().filter(|line| line.starts_with("FAILS")).count();
    let begin = if failed == 1 { "error: of " } else { &format!("error: {failed} of ") };
    let first = if failed == 1 { "`manifest` does not hold: " } else { "; `manifest`: " };
    assert!(error.starts_with(begin) && error.contains(first) && error.contains(named), "{error}");
    assert!(ran.stdout.contains("FAILS      manifest"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("everything that can be checked holds"));
    let ran = run("verify --json", dir);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    let checks = ran.json()["checks"].clone();
    assert!(checks.as_array().unwrap().iter().any(|c| c["outcome"] == "fails" && c["name"] == "manifest"));
}

#[test]
fn the_command_says_which_file_was_altered() {
    let (_home, dir) = copy();
    let mut chance = Chance::seeded(5);
    for name in ["ledger/chain.redb", "run.json", "result.json", "manifest.json"] {
        let path = dir.join(name);
        let bytes = fs::read(&path).unwrap();
        flip(&mut chance, &path, &bytes);
        fails(&dir, name);
        fs::write(&path, &bytes).unwrap();
    }
    let blob = files(&dir).into_keys().find(|name| name.starts_with("blobs/")).unwrap();
    let path = dir.join(&blob);
    let bytes = fs::read(&path).unwrap();
    flip(&mut chance, &path, &bytes);
    fails(&dir, &blob);
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    fails(&dir, &blob);
    fs::write(&path, b"").unwrap();
    fails(&dir, &blob);
    fs::remove_file(&path).unwrap();
    fails(&dir, &blob);
    fs::write(&path, &bytes).unwrap();
    for added in ["note.txt", "blobs/note.txt", "ledger/chain.redb.new"] {
        fs::write(dir.join(added), b"x").unwrap();
        fails(&dir, added);
        fs::remove_file(dir.join(added)).unwrap();
    }
    assert_eq!(run("verify", &dir).code, Some(0), "all is put back");
}

#[test]
fn a_missing_file_is_named() {
    for name in ["ledger/chain.redb", "run.json", "result.json", "manifest.json"] {
        let (_home, dir) = copy();
        fs::remove_file(dir.join(name)).unwrap();
        let failure = manifest(&dir);
        assert!(failure.detail.contains(name), "{name} is not named in: {}", failure.detail);
    }
}

#[test]
fn a_shortened_chain_is_no_chain() {
    let (_home, dir) = copy();
    let path = dir.join("ledger/chain.redb");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 1, 511, 4096, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let failure = manifest(&dir);
        assert!(failure.detail.contains("ledger/chain.redb"), "{length}: {}", failure.detail);
        let ran = run("chain replay", &dir.join("ledger"));
        // One byte less of a file whose end is free may leave a whole chain; what is answered must be an answer.
        if ran.code != Some(0) {
            assert!(ran.error().contains("ledger` does not hold: "), "{ran:?}");
        }
    }
}

#[test]
fn a_chain_on_which_its_store_would_panic_is_only_damaged() {
    let (_home, dir) = copy();
    let path = dir.join("ledger/chain.redb");
    let bytes = fs::read(&path).unwrap();
    // Before the name of a type lies a byte for its kind; redb 4.4 takes an unknown kind for impossible.
    let mut altered = bytes.clone();
    let name = b"u64";
    let places: Vec<_> = (1..bytes.len() - name.len()).filter(|&i| bytes[i..].starts_with(name)).collect();
    assert!(!places.is_empty());
    for place in places {
        altered[place - 1] ^= 0x40;
    }
    fs::write(&path, altered).unwrap();
    let ran = run("chain replay", &dir.join("ledger"));
    assert!(ran.error().contains("ledger`") && ran.stderr.lines().count() == 1, "{ran:?}");
    let ran = run("verify", &dir);
    assert!(ran.error().contains("ledger/chain.redb") && ran.stderr.lines().count() == 1, "{ran:?}");
}

#[test]
fn what_is_no_finished_run_is_said_so() {
    let home = tempfile::tempdir().unwrap();
    let says = |path: &Path, text: &str| {
        let ran = run("verify", path);
        assert!(ran.error().contains(text), "{ran:?}");
        assert_eq!(ran.stdout, "");
        assert_eq!(run("verify --json", path).stdout, "");
    };
    let dir = home.path().join("run");
    says(&dir, "is not a directory; give the folder that a run left");
    fs::write(&dir, b"").unwrap();
    says(&dir, "is not a directory");
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    says(&dir, "is not the folder of a run");
    fs::write(dir.join("thesis.txt"), b"x").unwrap();
    says(&dir, "is not the folder of a run");
    fs::write(dir.join("run.json"), b"{}").unwrap();
    fs::write(dir.join("UNFINISHED"), b"").unwrap();
    says(&dir, "did not end");

    let (_home, dir) = copy();
    fs::write(dir.join("UNFINISHED"), b"This run has not ended. It was at: a test\n").unwrap();
    says(&dir, "did not end: `UNFINISHED` is there; check its ledger alone with `histone chain replay ");
}

#[test]
fn a_replay_finds_the_chain_of_a_run_folder() {
    let shared = shared();
    let ran = run("chain replay", &shared.dir);
    assert!(ran.code == Some(0) && ran.stdout.contains("every block holds"), "{ran:?}");
    assert_eq!(run("chain status", &shared.dir).code, Some(0));
    let home = tempfile::tempdir().unwrap();
    assert!(run("chain replay", home.path()).error().contains("holds no `chain.redb`"));
    assert!(run("chain replay", &home.path().join("none")).error().contains("is not a directory"));
}
