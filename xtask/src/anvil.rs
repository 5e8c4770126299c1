//! `cargo xtask anvil`: the same contracts and the same client on a node that is not ours.
//!
//! Installs the pinned anvil, starts it on a free port, and runs on it what otherwise runs on the embedded chain: every
//! function and refusal of every contract, the attacks, whole collaborations, and the demo with its verification. At home,
//! a machine without Node.js or without an anvil for it skips and says so; with `CI` set that is a failure.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::bench;

/// The first development account of anvil, as everybody knows it.
const DEVELOPER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Runs everything.
pub fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let purpose = "the contracts on an independent node";
    let Some(program) = bench::anvil(&root.join("peers").join("bench"), purpose)? else { return Ok(()) };
    let mut tests = Vec::new();
    timed("build", || {
        tests = integration_tests(&root)?;
        Ok(())
    })?;
    // From the folder of its crate, as cargo starts it.
    let test = |name: &str, parts: &[&str], rpc: &str| {
        let (folder, program) = tests
            .iter()
            .find(|(folder, _)| folder.ends_with(name))
            .with_context(|| format!("cargo built no tests of `{name}`"))?;
        let mut command = Command::new(program);
        command.arg("--test-threads=1").args(parts);
        step(command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder).env("HISTONE_TEST_RPC", rpc))
    };
    let anvil = Anvil::start(&program)?;
    println!("anvil is at {}", anvil.url);
    // One test after the other: all share the node's clock.
    timed("contracts and client", || test("ledger", &[], &anvil.url))?;
    timed("parties, attacks and whole collaborations", || {
        // anvil keeps every state on the disk: a whole training a test is many gigabytes for all of them. These need another
        // node's time, refusals and receipts; what parties decide is the same on every chain.
        let parts = [
            "adversary::data::",
            "adversary::queries::",
            "adversary::rounds::one_header",
            "adversary::rounds::receipts",
            "release::",
            "run::",
        ];
        test("node", &parts, &anvil.url)
    })?;
    timed("the demo and a stranger's check", || demo(&anvil.url))
}

/// Builds the integration tests of the product, all at once: of one package alone they would be other builds of what it is made of.
/// Gives folder and test program of each crate; `histone` lies beside them.
fn integration_tests(root: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let output = crate::cargo::cargo()
        .args(["test", "--locked", "--test", "it", "--no-run", "--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    if !output.status.success() {
        bail!("the build failed ({}); its output above says why", output.status);
    }
    let built = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let is_test = line.get("target")?.get("name")? == "it";
        let folder =
            PathBuf::from(line.get("manifest_path").filter(|_| is_test)?.as_str()?).parent()?.to_owned();
        Some((folder, PathBuf::from(line.get("executable")?.as_str()?)))
    };
    Ok(String::from_utf8(output.stdout)?.lines().filter_map(built).collect())
}

/// The program itself, as a user runs it.
fn demo(url: &str) -> Result<()> {
    let home = tempfile::tempdir().context("cannot make a directory")?;
    let (key, run) = (home.path().join("funder.key"), home.path().join("run"));
    fs::write(&key, DEVELOPER).with_context(|| format!("cannot write `{}`", key.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    }
    let histone = histone()?;
    let mut command = Command::new(&histone);
    command.args(["demo", "--rpc", url, "--funder-key"]).arg(&key).arg("--out").arg(&run);
    step(command.stdout(Stdio::null()))?;
    step(Command::new(&histone).arg("verify").arg(&run).args(["--rpc", url]))
}

/// A running anvil, which ends with this value.
struct Anvil {
    process: Child,
    url: String,
    _states: tempfile::TempDir,
}

impl Anvil {
    /// Starts it on a free port and waits until it listens.
    fn start(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        // It keeps states of the past in files, gigabytes of them, and forgets to remove them when it is ended.
        let states = tempfile::tempdir().context("cannot make a directory for anvil")?;
        command.arg("--cache-path").arg(states.path());
        command.args(["--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process =
            command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        let output = process.stdout.take().context("anvil has no output")?;
        let mut anvil = Self { process, url: String::new(), _states: states };
        let mut lines = BufReader::new(output).lines();
        for line in &mut lines {
            if let Some(address) = line?.strip_prefix("Listening on ") {
                anvil.url = format!("http://{}", address.trim());
                break;
            }
        }
        if anvil.url.is_empty() {
            bail!("anvil ended before it listened; its output above says why");
        }
        // It goes on to write a line for every request, and would stop when nobody reads them.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(anvil)
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, which cargo puts beside this one.
fn histone() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    Ok(own.with_file_name(format!("histone{}", std::env::consts::EXE_SUFFIX)))
}

fn timed(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    work().with_context(|| format!("{what}: failed"))?;
    println!("{:7.1} s  {what}", begin.elapsed().as_secs_f64());
    Ok(())
}

fn step(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status}); its output above says why");
    }
    Ok(())
}
