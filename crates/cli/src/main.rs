//! The `histone` program: thin over the crates below it.
//!
//! Results go to stdout (tables, or one JSON document with `--json`), progress and errors to stderr. Exit code 0 only
//! when everything that was asked for held, 1 when something did not, 2 for a wrong command line.

mod chain;
mod progress;
mod study;
mod tables;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Train and use AI models on health data that never leaves its owner.
#[derive(Parser)]
#[command(name = "histone", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole collaboration on the bundled study: four hospitals, one model of breast cancer.
    Demo(RunArgs),
    /// Run or check a collaboration described by a study file.
    #[command(subcommand)]
    Study(StudyCommand),
    /// Check a run folder as a stranger would: no key, no network.
    Verify {
        /// The run folder.
        dir: PathBuf,
        /// Print one JSON document instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Work with an embedded chain.
    #[command(subcommand)]
    Chain(ChainCommand),
}

#[derive(Subcommand)]
enum StudyCommand {
    /// Run the study: ledger, attestation, consent, training, queries, payments.
    Run {
        /// The study file (docs/study-file.md).
        study: PathBuf,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Check a study file and its tables; start and write nothing.
    Check {
        /// The study file.
        study: PathBuf,
    },
}

#[derive(Subcommand)]
enum ChainCommand {
    /// Execute every stored transaction again and compare every root and the final state.
    Replay {
        /// Directory of the chain, such as `histone-run/ledger`.
        dir: PathBuf,
        /// Print one JSON document instead of lines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct RunArgs {
    /// The run folder; the parties' secrets go to the same name with `.private` behind it.
    #[arg(long, value_name = "DIR", default_value = "histone-run")]
    out: PathBuf,
    /// Repeat a run byte for byte. Every secret then follows from this number: for demonstrations only.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print the result as one JSON document on stdout.
    #[arg(long)]
    json: bool,
    /// Remove an earlier run in the same folder first.
    #[arg(long)]
    replace: bool,
    /// SIMULATED failure: PARTICIPANT does not answer from round ROUND on. May be given several times.
    #[arg(long, value_name = "PARTICIPANT@ROUND", value_parser = study::parse_drop_out)]
    drop_out: Vec<histone_node::run::DropOut>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => study::demo(&args),
        Command::Study(StudyCommand::Run { study, run }) => study::run(&study, &run),
        Command::Study(StudyCommand::Check { study }) => study::check(&study),
        Command::Verify { dir, json } => verify::verify(&dir, json),
        Command::Chain(ChainCommand::Replay { dir, json }) => chain::replay(&dir, json),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // One line: what failed, then why, from the outside to the cause.
            let mut text = error.to_string();
            for cause in error.chain().skip(1) {
                let cause = cause.to_string();
                if !text.contains(&cause) {
                    text = format!("{text}: {cause}");
                }
            }
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}
