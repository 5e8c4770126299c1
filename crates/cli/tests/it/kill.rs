//! `kill -9` in the middle of a run: what is left says what it is, its chain holds, and `--replace` starts over.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::{Chance, Ran, Shared, demo, files, run, shared};

const KILLS: usize = 10;

/// A moment of a run: after so many lines on stderr, and a while later.
struct Moment {
    lines: usize,
    later: Duration,
}

impl Moment {
    /// A moment in the given part (0 to 1) of a run. The lines tie it to the run's progress, however slow the next run
    /// is.
    fn at(part: f64, measured: &Shared) -> Self {
        let time = measured.length.mul_f64(part);
        let lines = measured.lines.iter().take_while(|(at, _)| *at <= time).count();
        let last = lines.checked_sub(1).map_or(Duration::ZERO, |i| measured.lines[i].0);
        Self { lines, later: time - last }
    }
}

/// Starts a run and kills it at a moment; gives back whether it was still running then.
fn kill(dir: &Path, moment: &Moment) -> bool {
    let mut child =
        demo(1, dir, &["--replace"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..moment.lines {
        assert!(lines.next().transpose().unwrap().is_some(), "the run says as much as the measured one");
    }
    std::thread::sleep(moment.later);
    // SIGKILL on Unix: nothing of the program runs after it.
    let _ = child.kill();
    child.wait().unwrap().code().is_none()
}

#[test]
fn whenever_a_run_is_killed_its_folder_is_understood() {
    let measured = shared();
    assert_eq!(measured.ran.code, Some(0), "{}", measured.ran.stderr);
    let mut chance = Chance::from_variable("HISTONE_KILL_SEED");
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    let mut with_chain = 0;
    // Each run is started with --replace over what the one before left.
    for i in 0..KILLS {
        let part = (i as f64 + chance.fraction()) / KILLS as f64;
        let mut moment = Moment::at(part, measured);
        // A run may be faster than the measured one and end first; then the next is killed sooner after the same line.
        // Every kill must hit.
        let mut tries = 1;
        while !kill(&dir, &moment) {
            assert!(tries < 12, "no run could be killed after {} lines", moment.lines);
            tries += 1;
            moment.later /= 2;
        }
        eprintln!("kill {i}: after {} lines and {:?}, try {tries}", moment.lines, moment.later);
        // From here on nothing may change what the dead run left.
        let left = if dir.exists() { files(&dir) } else { Default::default() };
        if left.contains_key("UNFINISHED") {
            is_unfinished(&dir);
        } else {
            // Killed before its first file or after its last.
            assert!(i == 0 || left.contains_key("manifest.json"), "{:?}", left.keys());
        }
        with_chain += usize::from(chain_holds(&dir));
        assert!(
            left == if dir.exists() { files(&dir) } else { Default::default() },
            "looking changes nothing"
        );
    }
    assert!(with_chain > KILLS / 2, "{with_chain} of {KILLS} kills left a chain: they were all too early");

    let ran = Ran::of(&mut demo(1, &dir, &["--replace"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.json()["chain"], measured.ran.json()["chain"], "no trace of the earlier runs");
    assert_eq!(run("verify", &dir).code, Some(0));
    let names = |dir: &Path| files(dir).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&dir), names(&measured.dir));
}

/// A second start, and a verification, say that the run did not end and how to go on.
#[track_caller]
fn is_unfinished(dir: &Path) {
    let shown = dir.display();
    let ran = Ran::of(&mut demo(1, dir, &[]));
    let error = ran.error();
    let parts = [
        format!("`{shown}` holds an unfinished run (It was at: "),
        format!("histone chain replay {shown}/ledger"),
    ];
    for part in parts.iter().map(String::as_str).chain(["--replace", "--out"]) {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    assert_eq!(ran.stdout, "");
    let ran = run("verify", dir);
    assert!(ran.error().contains(&format!("the run in `{shown}` did not end")), "{ran:?}");
}

/// Every block that was made is still there and valid; gives back whether there is a chain at all.
#[track_caller]
fn chain_holds(dir: &Path) -> bool {
    let ledger = dir.join("ledger");
    let ran = run("chain replay", &ledger);
    if !ledger.join("chain.redb").exists() {
        let error = ran.error();
        assert!(error.contains("holds no `chain.redb`") || error.contains("is not a directory"), "{error}");
        return false;
    }
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("every block holds: "), "{ran:?}");
    true
}

#[test]
fn a_run_killed_between_its_manifest_and_its_end_is_unfinished() {
    let (_home, dir) = crate::support::copy();
    fs::write(dir.join("UNFINISHED"), b"This run has not ended. It was at: a test\n").unwrap();
    is_unfinished(&dir);
}

#[test]
fn what_a_kill_in_the_first_moment_leaves_can_be_replaced() {
    // Only the mark, half written; then a party's directory without a key.
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("run");
    for file in ["UNFINISHED.partial", "UNFINISHED"] {
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(file), b"This run").unwrap();
        fs::create_dir_all(home.path().join("run.private/operator")).unwrap();
        // Nobody takes part, so that the run ends soon: the removal is what is looked at.
        let ran = Ran::of(demo(1, &dir, &["--replace", "--drop-out", "city-hospital@1"]).args([
            "--drop-out",
            "cancer-center@1",
            "--drop-out",
            "university-hospital@1",
            "--drop-out",
            "screening-center@1",
        ]));
        assert!(ran.error().contains("training stopped: round 1"), "{ran:?}");
        assert!(!dir.join("UNFINISHED.partial").exists());
        is_unfinished(&dir);
    }
}
