//! `cargo xtask audit`: the gates that the contracts and the dependency tree must pass; `docs/audit.md` is about them.
//!
//! | gate | passes when |
//! |---|---|
//! | `advisories` | no known advisory is about a crate in either lock file ([`advisories`]) |
//! | `build` | forge builds contracts and proofs without a warning, and its lints are silent |
//! | `tests` | unit, fuzz and invariant tests pass |
//! | `slither` | every finding is in the committed triage with a reason ([`slither`]) |
//! | `halmos` | every function `check_*` of `contracts/proofs` is proved |
//! | `solhint` | always; its remarks are advice |
//!
//! `halmos` reads what `build` compiled, so that nothing is compiled twice; `slither` needs no code and parses by itself.
//! `--planted` is the test of the gates themselves ([`planted`]).
//!
//! A missing tool is a failure where `CI` is `true`, and a printed skip elsewhere.

mod advisories;
mod planted;
mod slither;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;

/// What to do; without any of them every gate runs.
#[derive(Args)]
pub struct Options {
    /// Install the pinned tools: npm packages into contracts/node_modules, Python packages into contracts/.venv.
    #[arg(long, conflicts_with_all = ["planted", "only"])]
    setup: bool,
    /// Plant known bugs in a copy of the contracts, one at a time, and show which gate catches each.
    #[arg(long, conflicts_with = "only")]
    planted: bool,
    /// Run this gate only (`halmos` builds first).
    #[arg(long)]
    only: Option<Gate>,
}

/// One gate; see the top of this file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Gate {
    Advisories,
    Build,
    Tests,
    Slither,
    Halmos,
    Solhint,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", |v| v.get_name()))
    }
}

/// What a gate says.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It passes; what was looked at.
    Ok(String),
    /// It does not, because of this.
    Failed(String),
    /// A tool is not installed: a failure in CI.
    Missing(String),
    /// What it needs cannot be had here, whatever is installed: no failure anywhere.
    Unavailable(String),
}

impl Outcome {
    fn fails(&self, ci: bool) -> bool {
        matches!(self, Outcome::Failed(_)) || ci && matches!(self, Outcome::Missing(_))
    }

    fn describe(&self, ci: bool) -> (&'static str, &str) {
        match self {
            Outcome::Ok(words) => ("ok", words),
            Outcome::Failed(words) => ("failed", words),
            Outcome::Missing(words) if ci => ("failed", words),
            Outcome::Missing(words) | Outcome::Unavailable(words) => ("skipped", words),
        }
    }
}

/// Runs what is asked for; an error when a gate failed.
pub fn run(options: &Options) -> Result<()> {
    let bench = Bench::new(&repository().join("contracts"));
    if options.setup {
        return setup(&bench);
    }
    let ci = env::var("CI").is_ok_and(|ci| ci == "true");
    if options.planted {
        return planted::run(&bench, ci);
    }
    let gates: Vec<Gate> = match options.only {
        // What it reads.
        Some(Gate::Halmos) => vec![Gate::Build, Gate::Halmos],
        Some(gate) => vec![gate],
        None => Gate::value_variants().to_vec(),
    };
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for gate in gates {
        println!("\n== {gate}");
        let begun = Stopwatch::start();
        let outcome = gate.run(&bench)?;
        if outcome.fails(ci) {
            failed.push(gate.to_string());
        }
        let (verdict, words) = outcome.describe(ci);
        lines.push(format!("{gate:<11} {verdict:<8} {begun}  {words}"));
    }
    println!("\n{:<11} {:<8} {:>7} {:>7}", "gate", "", "wall", "cpu");
    for line in lines {
        println!("{line}");
    }
    ensure!(failed.is_empty(), "the audit failed: {}", failed.join(", "));
    Ok(())
}

impl Gate {
    fn run(self, bench: &Bench) -> Result<Outcome> {
        match self {
            Gate::Advisories => advisories::run(&repository()),
            Gate::Build => build(bench),
            Gate::Tests => tests(bench),
            Gate::Slither => slither::run(bench),
            Gate::Halmos => halmos(bench).map(Proofs::outcome),
            Gate::Solhint => solhint(bench),
        }
    }
}

fn build(bench: &Bench) -> Result<Outcome> {
    let Some(forge) = bench.tool("forge") else { return Ok(bench.missing("forge")) };
    bench.forget_removed_proofs()?;
    let built = show(bench.audit(&forge).arg("build").output().context("could not start forge")?);
    if !built.status.success() {
        return Ok(Outcome::Failed(format!("forge build: {}", first_problem(&built))));
    }
    lint(bench, &forge)
}

/// With the default profile, whose lint settings they are.
fn lint(bench: &Bench, forge: &Path) -> Result<Outcome> {
    let linted = show(bench.command(forge).arg("lint").output().context("could not start forge")?);
    Ok(match linted.status.success() {
        true => Outcome::Ok("no warning, no lint".into()),
        false => Outcome::Failed(format!("forge lint: {}", first_problem(&linted))),
    })
}

/// The tests whose gas is compared.
const GAS: &str = "test/Gas.t.sol";

fn tests(bench: &Bench) -> Result<Outcome> {
    let Some(forge) = bench.tool("forge") else { return Ok(bench.missing("forge")) };
    // Each tells by itself how far it is. The gas is that of the contracts as they are shipped; everything else compiles
    // faster.
    let mut gas = bench.command(&forge);
    // With this forge compares the gas in `contracts/snapshots`; without, it would write it anew.
    gas.args(["test", "--match-path", GAS]).env("FOUNDRY_PROFILE", "gas").env("FORGE_SNAPSHOT_CHECK", "true");
    let mut others = bench.command(&forge);
    others.args(["test", "--no-match-path", GAS]).env("FOUNDRY_PROFILE", "quick");
    for (what, mut test) in [("gas", gas), ("all others", others)] {
        let status = test.status().context("could not start forge")?;
        if !status.success() {
            return Ok(Outcome::Failed(format!("forge test, {what} ({status}); its output is above")));
        }
    }
    Ok(Outcome::Ok("unit, fuzz and invariant tests; warnings denied".into()))
}

/// What the prover says.
struct Proofs {
    proved: Vec<String>,
    refuted: Vec<String>,
    /// Why nothing was proved or refuted, with everything else that is wrong.
    problem: Option<Outcome>,
}

impl Proofs {
    fn outcome(self) -> Outcome {
        if let Some(problem) = self.problem {
            return problem;
        }
        match self.refuted.is_empty() {
            true => Outcome::Ok(format!("{} proofs", self.proved.len())),
            false => Outcome::Failed(format!("not proved: {}", self.refuted.join(", "))),
        }
    }
}

/// Proves what is in `contracts/proofs`.
fn halmos(bench: &Bench) -> Result<Proofs> {
    let nothing = |problem| Proofs { proved: Vec::new(), refuted: Vec::new(), problem: Some(problem) };
    let (Some(prover), Some(_)) = (bench.tool("halmos"), bench.tool("forge")) else {
        return Ok(nothing(bench.missing("halmos")));
    };
    let scratch = tempfile::tempdir().context("could not make a temporary folder")?;
    let report = scratch.path().join("halmos.json");
    let mut command = bench.audit(&prover);
    command.args(["--root", ".", "--no-status", "--forge-build-out", bench.out]);
    // z3 proves the split of a price for all prices in seconds, the default solver not in minutes.
    command.args(["--solver", "z3", "--solver-timeout-assertion", "120s", "--json-output"]).arg(&report);
    let output = show(command.output().context("could not start halmos")?);
    let Ok(text) = fs::read_to_string(&report) else {
        return Ok(nothing(Outcome::Failed(format!("halmos: {}", first_problem(&output)))));
    };
    let mut proofs =
        read_proofs(&serde_json::from_str(&text).context("halmos wrote something that is no JSON")?);
    // A proof that is not found is no proof.
    let written = written_proofs(&bench.contracts.join("proofs"))?;
    let found = proofs.proved.len() + proofs.refuted.len();
    if found < written || proofs.refuted.is_empty() && !output.status.success() {
        let words =
            format!("{found} of {written} proofs ran ({}): {}", output.status, first_problem(&output));
        proofs.problem = Some(Outcome::Failed(words));
    }
    Ok(proofs)
}

/// The report: `test_results` is an object of lists of `{name, exitcode}`, 0 for proved.
fn read_proofs(report: &Value) -> Proofs {
    let mut proofs = Proofs { proved: Vec::new(), refuted: Vec::new(), problem: None };
    let contracts = report["test_results"].as_object();
    for test in contracts.into_iter().flat_map(|c| c.values()).filter_map(Value::as_array).flatten() {
        let name = test["name"].as_str().unwrap_or("a proof without a name");
        let name = name.split('(').next().unwrap_or(name).to_owned();
        if test["exitcode"] == 0 { &mut proofs.proved } else { &mut proofs.refuted }.push(name);
    }
    proofs
}

/// Number of functions `check_*` in the files of a folder.
fn written_proofs(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "sol") {
            count += fs::read_to_string(&path)?.matches("    function check_").count();
        }
    }
    ensure!(count > 0, "there is no proof in {}", folder.display());
    Ok(count)
}

fn solhint(bench: &Bench) -> Result<Outcome> {
    let Some(solhint) = bench.tool("solhint") else { return Ok(bench.missing("solhint")) };
    // `--disc`: it would ask the network whether there is a newer one.
    let output = bench.command(&solhint).args(["--disc", "--formatter", "unix", "src/*.sol"]).output();
    let output = show(output.context("could not start solhint")?);
    let text = String::from_utf8_lossy(&output.stdout);
    let remarks = text.lines().filter(|line| line.starts_with("src/") || line.contains("/src/")).count();
    Ok(Outcome::Ok(format!("{remarks} remarks, which are advice")))
}

/// Installs what is pinned. What is there in this very version stays.
fn setup(bench: &Bench) -> Result<()> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let python = if cfg!(windows) { "python" } else { "python3" };
    let lock = bench.contracts.join("package-lock.json");
    let stamp = bench.contracts.join("node_modules").join(".installed");
    if !same(&lock, &stamp) {
        step(bench.command(Path::new(npm)).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))?;
        fs::copy(&lock, &stamp).context("could not write node_modules/.installed")?;
    }
    let requirements = bench.contracts.join("requirements.txt");
    let stamp = bench.contracts.join(".venv").join(".installed");
    if !same(&requirements, &stamp) {
        step(bench.command(Path::new(python)).args(["-m", "venv", ".venv"]))?;
        let pip = bench.tool("pip").context("the Python environment has no pip; install python3-venv")?;
        step(bench.command(&pip).args([
            "install",
            "--quiet",
            "--no-deps",
            "--requirement",
            "requirements.txt",
        ]))?;
        fs::copy(&requirements, &stamp).context("could not write .venv/.installed")?;
    }
    println!("the tools of `cargo xtask audit` are installed, in the pinned versions");
    Ok(())
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

fn step(command: &mut Command) -> Result<()> {
    println!("== {command:?}");
    let status = command.status().with_context(|| {
        format!("could not start {command:?}; the audit needs Node.js 20 and Python 3.11 or newer")
    })?;
    if !status.success() {
        bail!("{command:?} failed ({status}); its output above says why");
    }
    Ok(())
}

fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap_or(root)
}

/// The contracts and the tools for them.
#[derive(Clone)]
struct Bench {
    contracts: PathBuf,
    /// Where the tools are; the same ones work on a copy of the contracts.
    tools: [PathBuf; 2],
    /// What the `audit` profile builds besides the proofs and what they import, relative to `contracts`.
    sources: &'static str,
    /// Where forge puts it, relative to `contracts`.
    out: &'static str,
    cache: &'static str,
}

impl Bench {
    fn new(contracts: &Path) -> Self {
        let scripts = if cfg!(windows) { "Scripts" } else { "bin" };
        Bench {
            contracts: contracts.to_owned(),
            tools: [contracts.join(".venv").join(scripts), contracts.join("node_modules").join(".bin")],
            sources: "src",
            out: "node_modules/.cache/forge/audit",
            cache: "node_modules/.cache/forge/audit-cache",
        }
    }

    fn tool(&self, name: &str) -> Option<PathBuf> {
        let endings: &[&str] = if cfg!(windows) { &[".exe", ".cmd"] } else { &[""] };
        let names = endings.iter().map(|ending| format!("{name}{ending}"));
        names.flat_map(|name| self.tools.iter().map(move |dir| dir.join(&name))).find(|path| path.is_file())
    }

    fn missing(&self, name: &str) -> Outcome {
        Outcome::Missing(format!("{name} is not installed; `cargo xtask audit --setup` does it"))
    }

    fn command(&self, program: &Path) -> Command {
        let mut path: Vec<PathBuf> = self.tools.to_vec();
        path.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
        let path = env::join_paths(path).unwrap_or_else(|_| OsString::new());
        let mut command = Command::new(program);
        // Colors would be in the words that are quoted.
        command.current_dir(&self.contracts).env("PATH", path).env("NO_COLOR", "1");
        command
    }

    /// Forge leaves what it compiled from a file that is gone, and the prover would prove it still.
    fn forget_removed_proofs(&self) -> Result<()> {
        let Ok(folders) = fs::read_dir(self.contracts.join(self.out)) else { return Ok(()) };
        for folder in folders {
            let folder = folder?;
            let name = folder.file_name();
            let is_proof = Path::new(&name).to_string_lossy().ends_with(".t.sol");
            if is_proof && !self.contracts.join("proofs").join(&name).is_file() {
                fs::remove_dir_all(folder.path())
                    .with_context(|| format!("could not remove {}", folder.path().display()))?;
            }
        }
        Ok(())
    }

    /// With the profile that compiles what is shipped and what is proved, but no test.
    fn audit(&self, program: &Path) -> Command {
        let mut command = self.command(program);
        command.env("FOUNDRY_PROFILE", "audit").env("FOUNDRY_SRC", self.sources);
        command.env("FOUNDRY_OUT", self.out).env("FOUNDRY_CACHE_PATH", self.cache);
        command
    }
}

/// Prints what a program wrote, and hands it on.
fn show(output: Output) -> Output {
    print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output
}

/// The line of an output which most likely says what is wrong.
fn first_problem(output: &Output) -> String {
    let text =
        format!("{}\n{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let at = lines.iter().position(|line| {
        let line = line.to_lowercase();
        line.starts_with("warning") || line.starts_with("error")
    });
    let Some(at) = at else { return lines.first().map_or("no output", |line| line).to_owned() };
    // Compilers write the place below.
    let place = lines[at..].iter().take(4).find(|line| line.contains(".sol:"));
    let place = place.map_or("", |line| line.trim_start_matches(|c: char| !c.is_alphanumeric()));
    format!("{} {place}", lines[at]).trim().to_owned()
}

/// Wall and processor time of a gate, children included.
struct Stopwatch {
    wall: Instant,
    cpu: Option<Duration>,
}

impl Stopwatch {
    fn start() -> Self {
        Stopwatch { wall: Instant::now(), cpu: children_time() }
    }
}

impl fmt::Display for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wall = self.wall.elapsed().as_secs_f32();
        match (self.cpu, children_time()) {
            (Some(before), Some(now)) => write!(f, "{wall:>5.1} s {:>5.1} s", (now - before).as_secs_f32()),
            _ => write!(f, "{wall:>5.1} s       "),
        }
    }
}

/// Processor time of the children that ended, user and system. Linux only: elsewhere it takes a system call.
fn children_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may contain spaces; behind its bracket the fields are 3, 4, ...
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    // Linux counts in hundredths of a second here.
    Some(Duration::from_millis(10 * (ticks(16)? + ticks(17)?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_fails_in_ci_only() {
        let bench = Bench::new(Path::new("/nowhere"));
        let missing = build(&bench).unwrap();
        assert_eq!(
            missing,
            Outcome::Missing("forge is not installed; `cargo xtask audit --setup` does it".into())
        );
        assert!(missing.fails(true) && !missing.fails(false));
        assert_eq!(missing.describe(true).0, "failed");
        assert_eq!(missing.describe(false).0, "skipped");
        let unavailable = Outcome::Unavailable("no list".into());
        assert!(!unavailable.fails(true) && !unavailable.fails(false));
        assert!(Outcome::Failed(String::new()).fails(false) && !Outcome::Ok(String::new()).fails(true));
    }

    #[test]
    fn a_proof_with_another_exit_code_is_not_proved() {
        let report = serde_json::json!({ "exitcode": 1, "test_results": {
            "proofs/A.t.sol:A": [{ "name": "check_a(uint256)", "exitcode": 0 }],
            "proofs/B.t.sol:B": [{ "name": "check_b(bool)", "exitcode": 1 }, { "name": "check_c()", "exitcode": 2 }],
        }});
        let proofs = read_proofs(&report);
        assert_eq!(proofs.proved, ["check_a"]);
        assert_eq!(proofs.outcome(), Outcome::Failed("not proved: check_b, check_c".into()));
        assert!(read_proofs(&serde_json::json!({})).proved.is_empty());
    }

    #[test]
    fn the_committed_proofs_are_counted() {
        assert!(written_proofs(&repository().join("contracts").join("proofs")).unwrap() >= 8);
    }
}
