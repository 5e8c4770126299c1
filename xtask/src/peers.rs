//! `cargo xtask peers`: Ethereum clients of other people against `histone chain serve`.
//!
//! The checks are in `peers/chain/check.mjs`. This module installs the pinned npm packages, builds the program and
//! passes the verdict on. At home, a machine without Node.js skips it and says so; with `CI` set that is a failure.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Runs the checks.
pub fn run() -> anyhow::Result<()> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("peers").join("chain");
    let node = Command::new("node").arg("--version").output();
    if node.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        if env::var_os("CI").is_some() {
            bail!("CI needs Node.js 20 or newer for the peers of the chain");
        }
        println!("skipped  the peers of the chain: Node.js was not found");
        return Ok(());
    }
    // npm writes this file last, so a half-finished installation is done again.
    if !dir.join("node_modules").join(".package-lock.json").is_file() {
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        step(
            Command::new(npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&dir),
        )?;
    }
    // Of the one package alone it would be another build of what it is made of.
    step(crate::cargo::cargo().args(["build", "--locked", "--quiet", "--bin", "histone"]))?;
    step(Command::new("node").arg("check.mjs").arg(histone()?).current_dir(&dir))
}

/// The program, which cargo puts beside this one.
fn histone() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    Ok(own.with_file_name(format!("histone{}", env::consts::EXE_SUFFIX)))
}

fn step(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("could not start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status}); its output above says why");
    }
    Ok(())
}
