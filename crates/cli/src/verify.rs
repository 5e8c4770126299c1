//! `histone verify`.

use std::path::Path;

use anyhow::{Context, Result};
use histone_compliance::verify::{Outcome, verify as verify_folder};

/// Checks a run folder; prints one line a check.
pub fn verify(dir: &Path, json: bool) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot start the runtime")?;
    let mut show = |check: &histone_compliance::verify::Check| {
        if !json {
            let mark = match check.outcome {
                Outcome::Holds => "holds     ",
                Outcome::Fails => "FAILS     ",
                Outcome::NotCheckable => "cannot say",
            };
            println!("{mark} {:<12} {}", check.name, check.detail);
        }
    };
    let report = runtime.block_on(verify_folder(dir, &mut show))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if let Some(failure) = report.first_failure() {
        eprintln!("error: `{}` does not hold: {}", failure.name, failure.detail);
    } else {
        println!("everything that can be checked holds");
    }
    Ok(report.holds())
}
