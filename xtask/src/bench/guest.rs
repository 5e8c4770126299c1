//! `cargo xtask bench guest`: the methods as modules in the engine beside the same source as native code, written into
//! `docs/performance.md`.
//!
//! The measuring is done by the benchmark in `crates/enclave/benches/guest.rs`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Facts, facts, median, numbers, replace, step};

const BEGIN: &str = "<!-- written by `cargo xtask bench guest`: do not edit -->";
const END: &str = "<!-- end of `cargo xtask bench guest` -->";

/// A guest that takes more of the native time than this misses the goal.
const GOAL: f64 = 2.5;

/// How to measure.
#[derive(clap::Args)]
pub struct GuestArgs {
    /// Pairs of each measurement, in alternating order.
    #[arg(long, default_value_t = 9)]
    pairs: usize,
    /// Print the section instead of writing it into the document.
    #[arg(long)]
    print: bool,
}

/// Measures and writes.
pub fn guest(args: &GuestArgs) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = env::temp_dir().join(format!("histone-bench-guest-{}.json", std::process::id()));
    let mut command = crate::cargo::cargo();
    command.args(["bench", "--locked", "--package", "histone-enclave", "--bench", "guest"]);
    // As the modules are built: one unit each, so that kernels and their callers are compiled together.
    for package in ["sdk", "linear", "logistic"] {
        let profile = format!("profile.release.package.histone-program-{package}");
        command.args(["--config", &format!("{profile}.codegen-units=1")]);
    }
    // The portable baseline of the target: no flag may add what this one processor has.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command.arg("--").arg("--out").arg(&out).arg("--pairs").arg(args.pairs.to_string());
    step(command.current_dir(&root))?;
    let text = fs::read_to_string(&out).with_context(|| format!("cannot read `{}`", out.display()))?;
    fs::remove_file(&out).with_context(|| format!("cannot remove `{}`", out.display()))?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let section = section(&serde_json::from_str(&text)?, &facts(&root)?, &load)?;
    print!("{section}");
    if args.print {
        return Ok(());
    }
    let path = root.join("docs").join("performance.md");
    let document = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    fs::write(&path, replace(&document, &section, BEGIN, END)?)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

fn section(results: &Value, facts: &Facts, load: &str) -> Result<String> {
    let Facts { date, commit, machine, versions } = facts;
    let pairs = results.get("pairs").and_then(Value::as_u64).context("the results have no `pairs`")?;
    let mut text = String::from("## Guest against native\n\n");
    writeln!(
        text,
        "`cargo xtask bench guest`, {date}, commit {commit}. {machine}. {versions}. Load average {load} after. What a site does in \
         one round (`site`, one thread): the committed module in the engine, with fuel, the clock and canonical NaN, beside the same \
         source compiled for the portable baseline of this machine's target. Both decode the same blocks, and give the same bytes. \
         Processor time in milliseconds, median of {pairs} pairs in alternating order (least to most); a ratio is the median of the \
         pairs' ratios. Starting the module is counted, compiling it is not.\n"
    )?;
    writeln!(
        text,
        "| method | rows x features | stage | guest | native | ratio |\n|---|---|---|---|---|---|"
    )?;
    let mut worst: f64 = 0.0;
    for result in results.get("results").and_then(Value::as_array).context("there are no results")? {
        let word = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
        let count = |name: &str| result.get(name).and_then(Value::as_f64).map_or("?".into(), super::whole);
        for stage in result.get("stages").and_then(Value::as_array).context("there are no stages")? {
            let (guest, native) = (numbers(stage, "/guest")?, numbers(stage, "/native")?);
            let ratios: Vec<f64> = guest.iter().zip(&native).map(|(guest, native)| guest / native).collect();
            let ratio = median(&ratios)?;
            worst = worst.max(ratio);
            writeln!(
                text,
                "| `{}` | {} x {} | {} | {} | {} | {ratio:.2} |",
                word("method"),
                count("rows"),
                count("features"),
                stage.get("stage").and_then(Value::as_str).unwrap_or_default(),
                milliseconds(&guest)?,
                milliseconds(&native)?,
            )?;
        }
    }
    let said = if worst <= GOAL { "reached" } else { "missed" };
    writeln!(
        text,
        "\nGoal: at most {GOAL} times native in every stage; {said}, the largest ratio is {worst:.2}."
    )?;
    Ok(text)
}

/// `median (least to most)` of seconds, in milliseconds.
fn milliseconds(seconds: &[f64]) -> Result<String> {
    let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = seconds.iter().copied().fold(0.0, f64::max);
    Ok(format!("{:.1} ({:.1} to {:.1})", median(seconds)? * 1e3, least * 1e3, most * 1e3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_section_shows_medians_and_whether_the_goal_is_reached() {
        let facts = Facts { date: "d".into(), commit: "c".into(), machine: "m".into(), versions: "v".into() };
        let results = |guest: [f64; 3]| {
            let stage =
                serde_json::json!({ "stage": "fit", "guest": guest, "native": [0.010, 0.011, 0.020] });
            let result =
                serde_json::json!({ "method": "linear", "rows": 20_000, "features": 50, "stages": [stage] });
            section(&serde_json::json!({ "pairs": 3, "results": [result] }), &facts, "1.0").unwrap()
        };
        let good = results([0.020, 0.022, 0.060]);
        assert!(
            good.contains(
                "| `linear` | 20,000 x 50 | fit | 22.0 (20.0 to 60.0) | 11.0 (10.0 to 20.0) | 2.00 |"
            ),
            "{good}"
        );
        assert!(good.contains("reached, the largest ratio is 2.00"));
        assert!(results([0.030, 0.033, 0.060]).contains("missed, the largest ratio is 3.00"));
    }
}
