//! `cargo xtask fuzz`: libFuzzer on every decoder of bytes from outside (docs/fuzzing.md).
//!
//! The targets are in `fuzz/`, the functions that they call in `fuzz/checks`, where `cargo test` runs them over the committed
//! seeds. At home, a machine without the tools skips and says so; with `CI` set that is a failure.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// How to get the tools.
const INSTALL: &str = "rustup toolchain install nightly && cargo install cargo-fuzz";

/// How long, and what.
#[derive(clap::Args)]
pub struct FuzzArgs {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// These targets only, by the names of the files in fuzz/fuzz_targets.
    targets: Vec<String>,
}

/// Runs the targets one after the other. The first that fails ends it: libFuzzer says over which bytes.
pub fn run(args: &FuzzArgs) -> Result<()> {
    if let Some(missing) = missing() {
        if env::var_os("CI").is_some() {
            bail!("CI needs {missing} for fuzzing: {INSTALL}");
        }
        println!("skipped  fuzzing: {missing} was not found; {INSTALL}");
        return Ok(());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let known = targets(&root)?;
    if let Some(unknown) = args.targets.iter().find(|name| !known.iter().any(|target| target.name == **name))
    {
        let names: Vec<&str> = known.iter().map(|target| target.name.as_str()).collect();
        bail!("`{unknown}` is no fuzz target; there are {}", names.join(", "));
    }
    for Target { name, features } in known {
        if !args.targets.is_empty() && !args.targets.contains(&name) {
            continue;
        }
        println!("=== {name}, {} s", args.seconds);
        let corpus = root.join("fuzz/corpus").join(&name);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make `{}`", corpus.display()))?;
        // Without a sanitizer: these decoders have no unsafe code, and are several times as fast. What is found goes into the
        // first folder; the seeds, which are committed, are only read.
        let status = cargo()
            .args(["fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", "none"])
            .args(features.iter().map(|feature| format!("--features={feature}")))
            .arg(&name)
            .args([format!("fuzz/corpus/{name}"), format!("fuzz/seeds/{name}")])
            .args(["--", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"])
            .arg(format!("-max_total_time={}", args.seconds))
            .current_dir(&root)
            .status()
            .context("could not start cargo fuzz")?;
        ensure!(status.success(), "`{name}` failed ({status}); make a test of the bytes named above");
    }
    Ok(())
}

/// Cargo of the nightly compiler: libFuzzer needs what only that one offers.
fn cargo() -> Command {
    let mut command = crate::cargo::cargo();
    // This chore itself runs under the pinned compiler, which rustup hands on in these.
    command.arg("+nightly").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command
}

fn missing() -> Option<&'static str> {
    let works = |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !works(cargo().arg("--version")) {
        return Some("a nightly compiler");
    }
    (!works(cargo().args(["fuzz", "--version"]))).then_some("cargo-fuzz")
}

struct Target {
    name: String,
    features: Vec<String>,
}

/// The targets of `fuzz/Cargo.toml`, quick ones to build first.
fn targets(root: &Path) -> Result<Vec<Target>> {
    let path = root.join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let manifest: toml::Table = text.parse()?;
    let mut targets = Vec::new();
    for bin in manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten() {
        let features = bin.get("required-features").and_then(toml::Value::as_array).into_iter().flatten();
        targets.push(Target {
            name: bin.get("name").and_then(toml::Value::as_str).context("a target has no name")?.to_owned(),
            features: features.filter_map(|feature| Some(feature.as_str()?.to_owned())).collect(),
        });
    }
    targets.sort_by_key(|target| target.features.len());
    Ok(targets)
}
