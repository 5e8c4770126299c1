//! `cargo xtask bench chain`: how fast the embedded chain is, beside anvil and alone, written into
//! `docs/performance.md`. The other benchmarks are in modules below.
//!
//! The measuring is done by the benchmark in `crates/ledger/benches/chain`; this module installs the pinned anvil, builds
//! both programs, and makes tables of the numbers. At home, a machine without Node.js or without an anvil for it skips
//! and says so; with `CI` set that is a failure.

mod genome;
mod guest;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

pub use genome::{GenomeArgs, genome};
pub use guest::{GuestArgs, guest};

const BEGIN: &str = "<!-- written by `cargo xtask bench chain`: do not edit -->";
const END: &str = "<!-- end of `cargo xtask bench chain` -->";

/// How to measure.
#[derive(clap::Args)]
pub struct ChainArgs {
    /// Runs of every kind, in alternating order; five for numbers that are published.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Measure one part only and write nothing: `http`, `process` or `replay`.
    #[arg(long)]
    only: Option<String>,
    /// Print the section instead of writing it into the document.
    #[arg(long)]
    print: bool,
}

/// Measures and writes.
pub fn chain(args: &ChainArgs) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let Some(anvil) = anvil(&root.join("peers").join("bench"), "the benchmark of the chain")? else {
        return Ok(());
    };
    let (histone, bench) = build(&root)?;
    let out = env::temp_dir().join(format!("histone-bench-chain-{}.json", std::process::id()));
    let mut command = Command::new(bench);
    command.arg("--histone").arg(&histone).arg("--anvil").arg(&anvil).arg("--out").arg(&out);
    command.arg("--pairs").arg(args.pairs.to_string());
    if let Some(only) = &args.only {
        command.arg("--only").arg(only);
    }
    step(&mut command)?;
    let text = fs::read_to_string(&out).with_context(|| format!("cannot read `{}`", out.display()))?;
    fs::remove_file(&out).with_context(|| format!("cannot remove `{}`", out.display()))?;
    let results: Value = serde_json::from_str(&text)?;
    if args.only.is_some() {
        println!("{text}");
        return Ok(());
    }
    let section = section(&results, &with_anvil(facts(&root)?, &anvil)?)?;
    print!("{section}");
    if args.print {
        return Ok(());
    }
    let path = root.join("docs").join("performance.md");
    let document = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    fs::write(&path, replace(&document, &section, BEGIN, END)?)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The installed anvil, or `None` when this machine cannot have it. `purpose` is what is skipped then.
pub fn anvil(dir: &Path, purpose: &str) -> Result<Option<PathBuf>> {
    let skip = |what: &str| {
        if env::var_os("CI").is_some() {
            bail!("CI needs {what} for {purpose}");
        }
        println!("skipped  {purpose}: {what} was not found");
        Ok(None)
    };
    let node = Command::new("node").arg("--version").output();
    if node.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return skip("Node.js 20 or newer");
    }
    // npm writes this file last, so a half-finished installation is done again.
    if !dir.join("node_modules").join(".package-lock.json").is_file() {
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        step(Command::new(npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(dir))?;
    }
    let system = match env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let machine = if env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" };
    let package = dir.join("node_modules/@foundry-rs").join(format!("anvil-{system}-{machine}"));
    let program = package.join("bin").join(format!("anvil{}", env::consts::EXE_SUFFIX));
    if program.is_file() { Ok(Some(program)) } else { skip("an anvil for this machine") }
}

/// Builds both programs in one go, so that they share what they are made of. Gives their paths.
fn build(root: &Path) -> Result<(PathBuf, PathBuf)> {
    let output = crate::cargo::cargo()
        .args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"])
        .args(["--package", "histone-cli", "--bin", "histone"])
        .args(["--package", "histone-ledger", "--bench", "chain"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    if !output.status.success() {
        bail!("the build failed ({}); its output above says why", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    let executable = |name: &str| {
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|line| {
                let named = line.get("target")?.get("name")?.as_str()? == name;
                Some(PathBuf::from(line.get("executable").filter(|_| named)?.as_str()?))
            })
            .with_context(|| format!("cargo built no `{name}`"))
    };
    Ok((executable("histone")?, executable("chain")?))
}

/// When, of what and where.
struct Facts {
    date: String,
    commit: String,
    machine: String,
    versions: String,
}

/// The first line that a program says.
fn said(root: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .output()
        .with_context(|| format!("could not start `{program}`"))?;
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().trim().to_owned())
}

fn with_anvil(facts: Facts, anvil: &Path) -> Result<Facts> {
    let version = said(Path::new("."), &anvil.display().to_string(), &["--version"])?;
    Ok(Facts { versions: format!("{}; {version}", facts.versions), ..facts })
}

fn facts(root: &Path) -> Result<Facts> {
    let said = |program: &str, arguments: &[&str]| said(root, program, arguments);
    let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let commit = said("git", &["rev-parse", "--short", "HEAD"])?;
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().find_map(|line| {
        let kilobytes: u64 = line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes / (1 << 20))
    });
    let memory = memory.map_or(String::new(), |gigabytes| format!(", {gigabytes} GiB"));
    Ok(Facts {
        date: said("date", &["-u", "+%Y-%m-%d"])?,
        commit: if changed { format!("{commit} with changes") } else { commit },
        machine: format!(
            "{} {}, {processors} processors ({}){memory}",
            env::consts::OS,
            env::consts::ARCH,
            processor.unwrap_or("unknown").trim()
        ),
        versions: said("rustc", &["--version"])?,
    })
}

/// The middle one; of an even number the lower of the two.
fn median(values: &[f64]) -> Result<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().context("nothing was measured")
}

fn numbers(results: &Value, pointer: &str) -> Result<Vec<f64>> {
    let list = results.pointer(pointer).and_then(Value::as_array);
    let list = list.with_context(|| format!("the results have no `{pointer}`"))?;
    Ok(list.iter().filter_map(Value::as_f64).collect())
}

/// `median (least to most)`.
fn spread(values: &[f64]) -> Result<String> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    Ok(format!("{} ({} to {})", whole(median(values)?), whole(least), whole(most)))
}

/// Without fraction, thousands apart.
fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn mebibytes(results: &Value, pointer: &str) -> String {
    let bytes = results.pointer(pointer).and_then(Value::as_u64);
    bytes.map_or("unknown".into(), |bytes| format!("{} MiB", bytes >> 20))
}

/// The section with its heading.
fn section(results: &Value, facts: &Facts) -> Result<String> {
    let size =
        |name: &str| results.pointer(&format!("/sizes/{name}")).and_then(Value::as_f64).unwrap_or_default();
    let load = |name: &str| results.get(name).and_then(Value::as_f64).unwrap_or_default();
    let sync = results.get("sync_microseconds").and_then(Value::as_f64).context("no sync was measured")?;
    let processor_time = median(&numbers(results, "/process/per_processor_second/one_per_block")?);
    let processor_time = processor_time.map_or("an unknown number of".into(), |rate| whole(1e6 / rate));
    let Facts { date, commit, machine, versions } = facts;
    let mut text = String::new();
    writeln!(text, "## The chain\n")?;
    writeln!(
        text,
        "`cargo xtask bench chain`, {date}, commit {commit}. {machine}. {versions}. Load average {:.1} before and {:.1} after. \
         Transactions per second, median of {} runs (least to most), the order of the nodes reversed from run to run; every \
         node starts from nothing each time.\n",
        load("load_before"),
        load("load_after"),
        size("pairs"),
    )?;
    writeln!(
        text,
        "Over HTTP, the same client and the same signed bytes for all: send, wait for the receipt. `histone chain serve` has \
         each block on disk (one sync) before it answers. anvil keeps everything in memory, without past states (`--prune-history`, which makes it faster); with `--state FILE \
         --state-interval 1`, the shortest interval that it offers, it writes its state once a second and loses up to a \
         second of acknowledged transactions. *Alone*: {} transactions of one sender, one at a time. *Together*: {} senders \
         with a connection each, {} transactions each.\n",
        whole(size("one_by_one")),
        size("senders"),
        size("each"),
    )?;
    writeln!(text, "| over HTTP | histone, durable | anvil, in memory | ratio | anvil `--state` | ratio |")?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    for (name, label) in [
        ("transfers_alone", "ERC-20 transfers, alone"),
        ("queries_alone", "market buy and settle, alone"),
        ("transfers_together", "ERC-20 transfers, together"),
        ("queries_together", "market buy and settle, together"),
    ] {
        let of = |kind: &str| numbers(results, &format!("/http/rates/{kind}~1{name}"));
        let (ours, anvil, state) = (of("histone")?, of("anvil")?, of("anvil_state")?);
        // Of the pairs, not of the medians: both halves of a pair met the same machine.
        let ratio = |others: &[f64]| median(&ours.iter().zip(others).map(|(a, b)| a / b).collect::<Vec<_>>());
        writeln!(
            text,
            "| {label} | {} | {} | {:.2} | {} | {:.2} |",
            spread(&ours)?,
            spread(&anvil)?,
            ratio(&anvil)?,
            spread(&state)?,
            ratio(&state)?,
        )?;
    }
    writeln!(
        text,
        "\nGoals: 1.5 and 5. A ratio is the median of the pairs' ratios. Peak memory: {}, {}, {}. Where a ratio beside `--state` \
         is below 5: anvil does not wait for the disk there. Between two dumps it works in memory, and at this size a dump is \
         quick, so its two columns differ little. Of the {} µs that one market transaction takes here alone, {} µs are \
         processor time of the chain (measured in process: two recoveries of signatures, execution, the block's signature, \
         the tree pages, the receipt), appending and syncing 14 pages takes {} µs on this disk, and two HTTP requests are the \
         rest; five times anvil with `--state` would be {} µs in all.\n",
        mebibytes(results, "/http/peak_memory/histone"),
        mebibytes(results, "/http/peak_memory/anvil"),
        mebibytes(results, "/http/peak_memory/anvil_state"),
        whole(1e6 / median(&numbers(results, "/http/rates/histone~1queries_alone")?)?),
        processor_time,
        whole(sync),
        whole(1e6 / (5.0 * median(&numbers(results, "/http/rates/anvil_state~1queries_alone")?)?)),
    )?;
    writeln!(
        text,
        "| in process, durable, one thread | transactions | per second | per second of processor time |\n|---|---|---|---|"
    )?;
    for (name, label, count) in [
        ("one_per_block", "market buy and settle, a block for each", size("in_process")),
        ("queue", "the same in blocks of 100 (the queue)", size("queued")),
    ] {
        let wall = numbers(results, &format!("/process/rates/{name}"))?;
        let processor = numbers(results, &format!("/process/per_processor_second/{name}"))?;
        let processor = if processor.is_empty() { "unknown".into() } else { spread(&processor)? };
        writeln!(text, "| {label} | {} | {} | {processor} |", whole(count), spread(&wall)?)?;
    }
    writeln!(text, "\nGoal: 1,000 on one core. Signing is not counted, asking for every receipt is.\n")?;
    writeln!(text, "| replay | transactions | per second | file | peak memory |\n|---|---|---|---|---|")?;
    for (name, label) in
        [("blocks_of_100", "market, blocks of 100"), ("one_per_block", "market, a block for each")]
    {
        let count =
            results.pointer(&format!("/replay/{name}/count")).and_then(Value::as_f64).unwrap_or_default();
        writeln!(
            text,
            "| {label} | {} | {} | {} | {} |",
            whole(count),
            spread(&numbers(results, &format!("/replay/{name}/rates"))?)?,
            mebibytes(results, &format!("/replay/{name}/file")),
            mebibytes(results, &format!("/replay/{name}/peak_memory")),
        )?;
    }
    writeln!(text, "\nGoal: 100,000 transactions at 3,000 per second.")?;
    Ok(text)
}

/// Puts `section` between the markers, which are added at the end of a document that has none.
fn replace(document: &str, section: &str, begin: &str, end_mark: &str) -> Result<String> {
    let section = format!("{begin}\n{section}{end_mark}\n");
    let Some(start) = document.find(begin) else {
        return Ok(format!("{}\n\n{section}", document.trim_end()));
    };
    let end = document.find(end_mark).filter(|end| *end > start).context("the end marker is missing")?
        + end_mark.len();
    let before = document.get(..start).unwrap_or_default();
    let after = document.get(end..).unwrap_or_default().trim_start_matches('\n');
    let gap = if after.is_empty() { "" } else { "\n" };
    Ok(format!("{before}{section}{gap}{after}"))
}

fn step(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status}); its output above says why");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_section_replaces_itself_and_nothing_else() {
        let once = replace("# Title\n\ntext\n", "one\n", BEGIN, END).unwrap();
        assert_eq!(once, format!("# Title\n\ntext\n\n{BEGIN}\none\n{END}\n"));
        let twice = replace(&format!("{once}\n## After\n"), "two\n", BEGIN, END).unwrap();
        assert_eq!(twice, format!("# Title\n\ntext\n\n{BEGIN}\ntwo\n{END}\n\n## After\n"));
        assert!(replace(BEGIN, "lost", BEGIN, END).is_err());
    }

    #[test]
    fn the_section_shows_medians_and_the_ratios_of_pairs() {
        let four = |kind: &str, rates: [f64; 3]| {
            ["transfers_alone", "queries_alone", "transfers_together", "queries_together"]
                .map(|name| (format!("{kind}/{name}"), serde_json::json!(rates)))
        };
        let mut rates = serde_json::Map::new();
        rates.extend(four("histone", [1_000.0, 900.0, 2_000.0]));
        rates.extend(four("anvil", [500.0, 300.0, 2_000.0]));
        rates.extend(four("anvil_state", [100.0, 100.0, 1_000.0]));
        let replay = serde_json::json!({ "rates": [4_000.0], "count": 100_000, "file": 1_048_576 });
        let results = serde_json::json!({
            "sync_microseconds": 165.0,
            "sizes": { "pairs": 3, "one_by_one": 400 },
            "http": { "rates": rates, "peak_memory": { "histone": 2_097_152 } },
            "process": {
                "rates": { "one_per_block": [1_200.0], "queue": [2_000.0] },
                "per_processor_second": { "one_per_block": [2_000.0], "queue": [] },
            },
            "replay": { "blocks_of_100": replay, "one_per_block": replay },
        });
        let facts = Facts {
            date: "2026-01-01".into(),
            commit: "abc".into(),
            machine: "a machine".into(),
            versions: "versions".into(),
        };
        let text = section(&results, &facts).unwrap();
        for part in [
            "| ERC-20 transfers, alone | 1,000 (900 to 2,000) | 500 (300 to 2,000) | 2.00 | 100 (100 to 1,000) | 9.00 |",
            "Peak memory: 2 MiB, unknown, unknown.",
            "Of the 1,000 µs that one market transaction takes here alone, 500 µs are processor time",
            "syncing 14 pages takes 165 µs on this disk",
            "five times anvil with `--state` would be 2,000 µs in all",
            "| the same in blocks of 100 (the queue) | 0 | 2,000 (2,000 to 2,000) | unknown |",
            "| market, blocks of 100 | 100,000 | 4,000 (4,000 to 4,000) | 1 MiB | unknown |",
        ] {
            assert!(text.contains(part), "`{part}` is not in\n{text}");
        }
    }

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!([whole(0.4), whole(999.6), whole(1_234_567.0)], ["0", "1,000", "1,234,567"]);
        assert_eq!(spread(&[3.0, 1.0, 2_000.0]).unwrap(), "3 (1 to 2,000)");
        assert!(median(&[]).is_err());
    }
}
