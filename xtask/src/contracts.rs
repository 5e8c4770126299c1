//! `cargo xtask contracts`: compile `contracts/src` with the pinned compiler and keep `contracts/artifacts`.
//!
//! The compiler is the npm package `solc`, pinned by `contracts/package-lock.json`. The product never runs it:
//! users build from the committed artifacts. The work itself is in `contracts/build.mjs`, so that it can be
//! used without Rust; this module finds Node.js, installs the pinned packages once and passes the verdict on.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// Rebuilds the artifacts, or with `check` compares a fresh build with them byte by byte.
pub fn run(check: bool) -> anyhow::Result<()> {
    let dir = contracts_dir();
    // npm writes this file last, so a half-finished installation is done again.
    if !dir.join("node_modules").join(".package-lock.json").is_file() {
        step(&dir, npm(), &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    }
    if check { step(&dir, "node", &["build.mjs", "--check"]) } else { step(&dir, "node", &["build.mjs"]) }
}

fn contracts_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("contracts")
}

/// On Windows npm is a batch file, which is only found with its ending.
fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

fn step(dir: &Path, program: &str, args: &[&str]) -> anyhow::Result<()> {
    let shown = format!("{program} {}", args.join(" "));
    let status = match Command::new(program).args(args).current_dir(dir).status() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "`{program}` was not found; install Node.js 20 or newer (it brings npm), which only people who \
                 change the contracts need"
            )
        }
        other => other.with_context(|| format!("could not start `{shown}` in {}", dir.display()))?,
    };
    if !status.success() {
        bail!("`{shown}` failed ({status}); its output above says why");
    }
    Ok(())
}
