//! Slither's findings against `contracts/slither.triage.json`.
//!
//! A finding is known by its check and its description without line numbers, so that an entry survives when code above
//! it moves, and does not when the code that it speaks of changes. Each entry covers one finding and has a reason. An
//! entry that covers nothing is refused as well: the file says what is there.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Bench, Outcome, first_problem, show};

const TRIAGE: &str = "slither.triage.json";

/// One finding, or one entry of the triage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The detector.
    pub check: String,
    /// What it says, without line numbers.
    pub what: String,
}

/// What slither finds that the triage does not cover, and the other way round.
pub struct Verdict {
    /// Findings without an entry.
    pub new: Vec<Finding>,
    /// Entries without a finding.
    pub stale: Vec<Finding>,
    /// Number of findings with an entry.
    pub triaged: usize,
}

/// The gate.
pub fn run(bench: &Bench) -> Result<Outcome> {
    let verdict = match analyze(bench)? {
        Ok(verdict) => verdict,
        Err(problem) => return Ok(problem),
    };
    for finding in &verdict.new {
        let entry = json!({ "check": finding.check, "what": finding.what, "reason": "" });
        println!("new finding; repair it, or add it to {TRIAGE} with a reason:\n{entry:#}");
    }
    for finding in &verdict.stale {
        println!("{TRIAGE}: nothing is found any more for {}: {}", finding.check, finding.what);
    }
    Ok(match (verdict.new.len(), verdict.stale.len()) {
        (0, 0) => Outcome::Ok(format!("{} findings, each with a reason", verdict.triaged)),
        (new, stale) => {
            Outcome::Failed(format!("{new} new findings, {stale} entries of {TRIAGE} for nothing"))
        }
    })
}

/// Runs slither and compares; the inner error is for a run that gave nothing.
pub fn analyze(bench: &Bench) -> Result<Result<Verdict, Outcome>> {
    let Some(slither) = bench.tool("slither") else { return Ok(Err(bench.missing("slither"))) };
    let entries = match read_triage(&bench.contracts.join(TRIAGE))? {
        Ok(entries) => entries,
        Err(problem) => return Ok(Err(Outcome::Failed(problem))),
    };
    let scratch = tempfile::tempdir().context("could not make a temporary folder")?;
    let parsed = match bench.command(Path::new("node")).arg("syntax.mjs").arg(scratch.path()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Err(bench.missing("node"))),
        other => other.context("could not start node")?,
    };
    if !parsed.status.success() {
        return Ok(Err(Outcome::Failed(format!("syntax.mjs: {}", first_problem(&show(parsed))))));
    }
    let report = scratch.path().join("slither.json");
    let mut command = bench.command(&slither);
    command.args([".", "--ignore-compile", "--fail-none", "--foundry-out-directory"]).arg(scratch.path());
    let output = command.arg("--json").arg(&report).output().context("could not start slither")?;
    let found =
        fs::read_to_string(&report).ok().and_then(|text| read_findings(&serde_json::from_str(&text).ok()?));
    let Some(found) = found else {
        print!("{}", String::from_utf8_lossy(&output.stderr));
        return Ok(Err(Outcome::Failed(format!("slither: {}", first_problem(&output)))));
    };
    Ok(Ok(compare(found, entries)))
}

/// `None` when slither gave up.
fn read_findings(report: &Value) -> Option<Vec<Finding>> {
    if report["success"] != true {
        return None;
    }
    let Some(detectors) = report["results"]["detectors"].as_array() else { return Some(Vec::new()) };
    detectors
        .iter()
        .map(|d| {
            Some(Finding { check: d["check"].as_str()?.into(), what: normalize(d["description"].as_str()?) })
        })
        .collect()
}

fn read_triage(path: &Path) -> Result<Result<Vec<Finding>, String>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let list: Vec<Value> =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON list", path.display()))?;
    let mut entries = Vec::new();
    for entry in &list {
        let field = |name: &str| entry[name].as_str().filter(|text| !text.trim().is_empty());
        let (Some(check), Some(what)) = (field("check"), field("what")) else {
            return Ok(Err(format!("{TRIAGE}: an entry lacks `check` or `what`: {entry}")));
        };
        if field("reason").is_none() {
            return Ok(Err(format!("{TRIAGE}: no reason for {check}: {what}")));
        }
        entries.push(Finding { check: check.into(), what: what.into() });
    }
    Ok(Ok(entries))
}

/// Each entry is for one finding, so that a second one like it shows.
fn compare(found: Vec<Finding>, mut entries: Vec<Finding>) -> Verdict {
    let mut new = Vec::new();
    let mut triaged = 0;
    for finding in found {
        match entries.iter().position(|entry| *entry == finding) {
            Some(at) => {
                entries.remove(at);
                triaged += 1;
            }
            None => new.push(finding),
        }
    }
    Verdict { new, stale: entries, triaged }
}

/// One line, without the `#12-34` behind file names.
fn normalize(description: &str) -> String {
    let lines: Vec<&str> = description.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut parts = lines.join(" ").split('#').map(str::to_owned).collect::<Vec<_>>().into_iter();
    let mut text = parts.next().unwrap_or_default();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
        // A `#` that is no line number stays.
        if rest.len() == part.len() {
            text.push('#');
        }
        text.push_str(rest);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn finding(check: &str, what: &str) -> Finding {
        Finding { check: check.into(), what: what.into() }
    }

    #[test]
    fn line_numbers_do_not_count() {
        let a = normalize("M.f() (src/M.sol#581-583) does:\n\t- a / 2 * 3 (src/M.sol#582)\n");
        assert_eq!(a, "M.f() (src/M.sol) does: - a / 2 * 3 (src/M.sol)");
        assert_eq!(a, normalize("M.f() (src/M.sol#1-9) does:\n\t- a / 2 * 3 (src/M.sol#3)\n"));
        assert_ne!(a, normalize("M.f() (src/M.sol#1-9) does:\n\t- a / 4 * 3 (src/M.sol#3)\n"));
        assert_eq!(normalize("a # b"), "a # b");
    }

    #[test]
    fn one_entry_covers_one_finding() {
        let (a, b) = (finding("weak-prng", "a"), finding("weak-prng", "b"));
        let verdict = compare(vec![a.clone(), a.clone()], vec![a.clone(), b.clone()]);
        assert_eq!((verdict.new, verdict.stale, verdict.triaged), (vec![a], vec![b], 1));
    }

    #[test]
    fn a_run_that_gave_up_finds_nothing_and_is_no_success() {
        assert_eq!(read_findings(&json!({ "success": false, "results": {} })), None);
        assert_eq!(read_findings(&json!({ "success": true, "results": {} })), Some(vec![]));
    }

    #[test]
    fn a_reason_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("triage.json");
        for (reason, accepted) in [("because", true), (" ", false)] {
            let entry = json!([{ "check": "c", "what": "w", "reason": reason }]);
            fs::write(&path, entry.to_string()).unwrap();
            assert_eq!(read_triage(&path).unwrap().is_ok(), accepted, "{reason:?}");
        }
        fs::write(&path, r#"[{ "check": "c", "reason": "because" }]"#).unwrap();
        assert!(read_triage(&path).unwrap().is_err());
    }
}
