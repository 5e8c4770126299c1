//! Serving the directory of a run.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Ran, copy, files, histone, run};

#[test]
fn a_served_run_folder_still_verifies() {
    let (_home, dir) = copy();
    let before = files(&dir);
    let mut child = histone()
        .args(["chain", "serve", "--port", "0", "--json", "--dir"])
        .arg(&dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let served: Value = serde_json::from_str(&line).unwrap();
    let url = served["http"].as_str().unwrap();
    let status = Ran::of(histone().args(["chain", "status", url, "--json"]));
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!((&served["read_only"], status.code), (&json!(true), Some(0)), "{status:?}");
    // The run's own chain was served, and nothing was made beside it.
    assert_eq!(status.json()["head"], served["head"]);
    assert!(served["block"].as_u64().unwrap() > 0, "{served}");
    assert_eq!(files(&dir).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(files(&dir) == before, "a file of the run has changed");
    let verified = run("verify", &dir);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
