//! The `histone` program: thin over the crates below it.
//!
//! Results go to stdout (tables, or one JSON document with `--json`), progress and errors to stderr. Exit code 0 only
//! when everything that was asked for held, 1 when something did not, 2 for a wrong command line.

mod blob;
mod chain;
mod consortium;
mod damaged;
mod data;
mod doctor;
mod genome;
mod hub;
mod keeping;
mod ledger;
mod node;
mod person;
mod program;
mod progress;
mod replace;
mod study;
mod sure;
mod tables;
mod up;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::progress::{STDOUT, tell};

/// Train and use AI models on health data that never leaves its owner.
#[derive(Parser)]
#[command(name = "histone", version = env!("HISTONE_VERSION"), arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a whole collaboration on the bundled study: four hospitals, one model of breast cancer.
    Demo {
        /// Train with sealed sums instead: the attested enclaves of each round open them, and no party does.
        #[arg(long)]
        sealed: bool,
        /// Train in one attested enclave instead, to which all hospitals bring their data, encrypted; it destroys them afterwards.
        #[arg(long, conflicts_with = "sealed")]
        one_enclave: bool,
        #[command(flatten)]
        args: RunArgs,
    },
    /// Run or check a collaboration described by a study file.
    #[command(subcommand)]
    Study(StudyCommand),
    /// Check a run folder, one model of any ledger, or a lasting network, as a stranger would: no key, and nobody is asked but whoever
    /// serves the ledger and public blobs.
    Verify {
        /// The run folder; with --model also the directory of a chain.
        #[arg(default_value = "histone-run")]
        dir: PathBuf,
        /// A node of the network on which the ledger is, such as http://127.0.0.1:8545. With --hub or --invitation, what serves the
        /// blocks, when it is not the hub.
        #[arg(long, value_name = "URL")]
        rpc: Option<String>,
        /// Check this model of the ledger alone, by what ledger and public storage have: needs no run folder.
        #[arg(long, value_name = "NUMBER")]
        model: Option<u64>,
        #[command(flatten)]
        ledger: verify::ModelPlace,
        #[command(flatten)]
        network: verify::NetworkPlace,
        /// The seal key of an auditor whom the white paper names (`seal.key` of its node): recomputes what is sealed.
        #[arg(long, value_name = "FILE")]
        auditor_key: Option<PathBuf>,
        /// Print one JSON document instead of lines.
        #[arg(long)]
        json: bool,
        /// Print what is compared with what, for every value in a run folder (docs/verify.md), and check nothing.
        #[arg(long, conflicts_with_all = ["dir", "rpc", "json", "model", "auditor_key", "hub", "invitation", "home"])]
        table: bool,
    },
    /// Work with an embedded chain.
    #[command(subcommand)]
    Chain(ChainCommand),
    /// Run a meeting point for parties that can only go out.
    #[command(subcommand)]
    Hub(hub::Command),
    /// Run one party as a process of its own (docs/consortium.md).
    #[command(subcommand)]
    Node(node::Command),
    /// Add the data of one organization to its node.
    #[command(subcommand)]
    Data(data::Command),
    /// Fetch public documents.
    #[command(subcommand)]
    Blob(blob::Command),
    /// Files of genotypes on this machine: check, count, scan, score, convert.
    #[command(subcommand)]
    Genome(genome::Command),
    /// Run all parties of a study as processes on this machine, and keep them alive.
    Up(up::UpArgs),
    /// Found a network that others join.
    #[command(subcommand)]
    Network(node::NetworkCommand),
    #[command(flatten)]
    Person(person::Command),
    #[command(flatten)]
    Ledger(ledger::Command),
}

#[derive(Subcommand)]
enum StudyCommand {
    /// Write a study file from tables, to be read and changed: how each is read, which columns become features, and what is left out.
    New(study::new::NewArgs),
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
        /// Check what this party can: its own table is read, and no other.
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Subcommand)]
enum ChainCommand {
    /// Serve a chain: Ethereum JSON-RPC over HTTP and WebSocket. Makes the chain when there is none.
    Serve(chain::serve::ServeArgs),
    /// Tell what a chain holds.
    Status {
        /// Directory of the chain, or the address of its server, such as http://127.0.0.1:8545.
        place: String,
        /// Print one JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Copy the chain of a server, executing every block, and stop at the first one that does not hold.
    Follow {
        /// Address of the server, such as http://127.0.0.1:8545.
        url: String,
        /// Directory of the copy; it is continued when it exists.
        dir: PathBuf,
        /// Hash of block 0, as its operator published it.
        #[arg(long, value_name = "HASH")]
        genesis: Option<alloy_primitives::B256>,
        /// Stop when the newest block has been executed.
        #[arg(long)]
        once: bool,
    },
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
    /// Repeat a run: the same ledger, documents and blobs, byte for byte, but for wall times. Every secret then follows from this
    /// number: for demonstrations only.
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
    /// Let a participant withdraw its data before a round; it then takes part in no further one
    #[arg(long, value_name = "PARTICIPANT@ROUND", value_parser = study::parse_drop_out)]
    withdraw: Vec<histone_node::run::DropOut>,
    /// Put the ledger on the network of this Ethereum node, such as http://127.0.0.1:8545, instead of an embedded chain.
    /// The address is not stored.
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// Key of the account that pays for gas, where gas is not free: a file with 64 hexadecimal digits.
    #[arg(long, value_name = "FILE", requires = "rpc")]
    funder_key: Option<PathBuf>,
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let mut out = io::stdout().lock();
    let result = match command {
        Command::Demo { sealed, one_enclave, args } => study::demo(sealed, one_enclave, &args, &mut out),
        Command::Study(StudyCommand::New(args)) => study::new::run(&args, &mut out),
        Command::Study(StudyCommand::Run { study, run }) => study::run(&study, &run, &mut out),
        Command::Study(StudyCommand::Check { study, name: None }) => study::check(&study, &mut out),
        Command::Study(StudyCommand::Check { study, name: Some(name) }) => {
            study::check_as(&study, &name, &mut out)
        }
        Command::Verify { rpc, model, ledger, network, auditor_key, json, table: false, .. }
            if network.is_given() =>
        {
            verify::network(
                model,
                rpc.as_deref(),
                auditor_key.as_deref(),
                (&network, &ledger),
                json,
                &mut out,
            )
        }
        Command::Verify { dir, rpc, model: Some(number), ledger, auditor_key, json, .. } => {
            verify::model(number, &dir, rpc.as_deref(), auditor_key.as_deref(), &ledger, json, &mut out)
        }
        Command::Verify { dir, rpc, auditor_key, json, table: false, .. } => {
            verify::verify(&dir, rpc.as_deref(), auditor_key.as_deref(), json, &mut out)
        }
        Command::Verify { .. } => verify::table(&mut out),
        Command::Chain(ChainCommand::Serve(args)) => chain::serve::run(&args, &mut out),
        Command::Chain(ChainCommand::Status { place, json }) => chain::status::run(&place, json, &mut out),
        Command::Chain(ChainCommand::Follow { url, dir, genesis, once }) => {
            chain::follow::run(&url, &dir, genesis, once, &mut out)
        }
        Command::Chain(ChainCommand::Replay { dir, json }) => chain::replay(&dir, json, &mut out),
        Command::Hub(command) => hub::run(&command, &mut out),
        Command::Node(command) => node::run(&command, &mut out),
        Command::Blob(command) => blob::run(&command, &mut out),
        Command::Genome(command) => genome::run(&command, &mut out),
        Command::Data(command) => data::run(&command, &mut out),
        Command::Up(args) => up::run(&args, &mut out),
        Command::Network(command) => node::network(&command, &mut out),
        Command::Person(command) => person::run(command, &mut out),
        Command::Ledger(command) => ledger::run(command, &mut out),
    };
    // What stdout still holds back can fail too, for instance on a full disk.
    let result = result.and_then(|held| out.flush().map(|()| held).context(STDOUT));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            if !reader_left(&error) {
                tell(&format!("error: {}", tables::plain(&sentence(&error))));
            }
            ExitCode::FAILURE
        }
    }
}

/// Whether stdout was a pipe whose reader has gone, as in `histone verify run | head -1`: it does not want to hear more.
fn reader_left(error: &anyhow::Error) -> bool {
    let pipe = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.root_cause().downcast_ref::<io::Error>().is_some_and(pipe)
}

/// One line: what failed, then why, from the outside to the cause.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
