//! Repository chores, run as `cargo xtask <command>`.
//!
//! A chore either rebuilds files that are committed (contract artifacts, wasm programs) or, with `--check`,
//! proves that the committed files are what their sources give. One command is one module; this file only
//! dispatches.

mod anvil;
mod audit;
mod bans;
mod bench;
mod cargo;
mod contracts;
mod fuzz;
mod package;
mod peers;
mod programs;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Repository chores")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile the Solidity contracts and write contracts/artifacts/*.json (needs Node.js and npm).
    Contracts {
        /// Write nothing; exit 1 and name the files that differ from a fresh build.
        #[arg(long)]
        check: bool,
    },
    /// The audit gates: forge, slither, halmos, solhint, known advisories (docs/audit.md).
    Audit(audit::Options),
    /// Run the contract tests, the tests of the parties and the demo on anvil instead of the embedded chain (needs Node.js
    /// and npm).
    Anvil,
    /// Check the dependency tree of the product: no banned crate, no licence outside of the list.
    Bans,
    /// Measure speed and write it into docs/performance.md.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Run what CI runs.
    Ci,
    /// Run libFuzzer on every decoder of bytes from outside (docs/fuzzing.md).
    Fuzz(fuzz::FuzzArgs),
    /// Build the program as one static binary for Linux on x86-64 and arm64, into target/package (needs Python).
    Package(package::PackageArgs),
    /// Check that everything compiles for Windows and macOS, without linking it (needs Python).
    Platforms,
    /// Run ethers and foundry's cast against `histone chain serve` (needs Node.js and npm).
    Peers,
    /// Build the wasm guest programs.
    Programs {
        /// Write nothing; exit 1 and name the files that differ from a fresh build.
        #[arg(long)]
        check: bool,
    },
}

#[derive(Subcommand)]
enum Bench {
    /// The embedded chain beside anvil, in process, and replayed (needs Node.js and npm; a few minutes).
    Chain(bench::ChainArgs),
    /// The commands of `histone genome` beside PLINK 2 and bcftools (Debian: plink2, bcftools; some minutes).
    Genome(bench::GenomeArgs),
    /// The methods as modules in the engine, beside the same source as native code (a minute after the build).
    Guest(bench::GuestArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Anvil => anvil::run(),
        Command::Audit(options) => audit::run(&options),
        Command::Bans => bans::run(),
        Command::Bench { what: Bench::Chain(args) } => bench::chain(&args),
        Command::Bench { what: Bench::Genome(args) } => bench::genome(&args),
        Command::Bench { what: Bench::Guest(args) } => bench::guest(&args),
        Command::Ci => {
            let status = std::process::Command::new("bash").arg(".ci/run").status()?;
            anyhow::ensure!(status.success(), "CI failed: {status}");
            Ok(())
        }
        Command::Contracts { check } => contracts::run(check),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Package(args) => package::package(&args),
        Command::Platforms => package::platforms(),
        Command::Peers => peers::run(),
        Command::Programs { check } => programs::run(check),
    }
}
