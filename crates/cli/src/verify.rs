//! `histone verify`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use histone_compliance::verify::{Outcome, verify as verify_folder, verify_on};
use histone_ledger::Connection;

use crate::damaged::read_chain;
use crate::progress::{STDOUT, tell};

/// Prints the table of all leaves.
pub fn table(out: &mut dyn Write) -> Result<bool> {
    write!(out, "{}", histone_compliance::verify::table()).context(STDOUT)?;
    Ok(true)
}

/// Checks a run folder, with the node at `rpc` when its ledger is on a network; prints one line a check.
pub fn verify(dir: &Path, rpc: Option<&str>, json: bool, out: &mut dyn Write) -> Result<bool> {
    let node = rpc.map(Connection::http).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    // A reader that goes away (`| head`) must not hide the outcome: the checks go on, and the first failure is kept.
    let mut printed = Ok(());
    let mut show = |check: &histone_compliance::verify::Check| {
        if !json && printed.is_ok() {
            let mark = match check.outcome {
                Outcome::Holds => "holds     ",
                Outcome::Fails => "FAILS     ",
                Outcome::NotCheckable => "cannot say",
            };
            printed = writeln!(out, "{mark} {:<12} {}", check.name, check.detail);
        }
    };
    let report = read_chain(dir, || {
        Ok(match &node {
            None => runtime.block_on(verify_folder(dir, &mut show))?,
            Some(node) => runtime.block_on(verify_on(dir, node, &mut show))?,
        })
    })?;
    if json {
        printed = writeln!(out, "{}", serde_json::to_string_pretty(&report)?);
    } else if let Some(failure) = report.first_failure() {
        let failed = report.checks.iter().filter(|c| c.outcome == Outcome::Fails);
        let failed: Vec<_> = failed.map(|c| c.name).collect();
        let checks = report.checks.len();
        // The whole of it stands above; of one check as much as fits a line or two.
        let mut detail: String = failure.detail.chars().take(160).collect();
        if detail.len() < failure.detail.len() {
            detail = detail.rsplit_once(' ').map_or(detail.clone(), |(words, _)| words.to_owned());
            detail.push_str(" ...");
        }
        match failed.as_slice() {
            [one] => tell(&format!("error: of {checks} checks `{one}` does not hold: {detail}")),
            more => tell(&format!(
                "error: {} of {checks} checks do not hold: {}; `{}`: {detail}",
                more.len(),
                more.join(", "),
                failure.name
            )),
        }
    } else if printed.is_ok() {
        printed = writeln!(out, "everything that can be checked holds");
    }
    printed.context(STDOUT)?;
    Ok(report.holds())
}
