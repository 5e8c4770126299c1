//! The ledger as people see it: accounts, programs, enclaves, datasets, models, queries, rounds, money, votes.
//!
//! Whatever only reads works on a run folder, on the directory of a chain, and on a node; whatever changes something
//! needs a node, because an embedded chain has one writer.

mod accounts;
mod deploy;
mod governance;
mod market;
mod page;
mod place;
mod registers;
mod revenue;
mod rounds;
pub mod text;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::damaged::read_chain;
use crate::person;

/// The commands about the ledger.
#[derive(Subcommand)]
pub enum Command {
    /// Look at accounts: who they are, what they have and can claim.
    #[command(subcommand)]
    Account(accounts::AccountCommand),
    /// Make, check and run methods; look at programs: who audited them, whether they may be used.
    #[command(subcommand)]
    Program(registers::ProgramCommand),
    /// Look at enclaves: what they run, for how long.
    #[command(subcommand)]
    Enclave(registers::EnclaveCommand),
    /// Look at datasets: whose they are, where they were donated.
    #[command(subcommand)]
    Dataset(registers::DatasetCommand),
    /// Look at models: terms, donors, where they stand; propose, train and give up your own.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Look at queries: who paid, whether they were answered; ask models through your node.
    #[command(subcommand)]
    Query(QueryCommand),
    /// Look at training rounds: updates, survivors, hashes.
    #[command(subcommand)]
    Round(rounds::RoundCommand),
    /// Follow the money, claim it, and pay large pools by lists.
    #[command(subcommand)]
    Revenue(revenue::RevenueCommand),
    /// Deploy the contracts, admit the first members, hand over to them.
    #[command(subcommand)]
    Ledger(deploy::LedgerCommand),
    /// Propose, vote and carry out: what the members decide.
    #[command(subcommand)]
    Governance(governance::GovernanceCommand),
}

/// `histone model`: the ledger's, and one's own node's.
#[derive(Subcommand)]
pub enum ModelCommand {
    #[command(flatten)]
    Ledger(market::ModelCommand),
    #[command(flatten)]
    Node(person::ModelCommand),
}

/// `histone query`: the ledger's, and one's own node's.
#[derive(Subcommand)]
pub enum QueryCommand {
    #[command(flatten)]
    Ledger(market::QueryCommand),
    #[command(flatten)]
    Node(person::QueryCommand),
}

/// The folder that a command reads, for the message about a damaged one.
fn folder(command: &Command) -> PathBuf {
    let place = match command {
        Command::Account(c) => accounts::place(c),
        Command::Program(registers::ProgramCommand::List { reading, .. })
        | Command::Program(registers::ProgramCommand::Show { reading, .. })
        | Command::Enclave(registers::EnclaveCommand::List { reading, .. })
        | Command::Enclave(registers::EnclaveCommand::Show { reading, .. })
        | Command::Dataset(registers::DatasetCommand::List { reading, .. })
        | Command::Dataset(registers::DatasetCommand::Show { reading, .. })
        | Command::Model(ModelCommand::Ledger(market::ModelCommand::List { reading, .. }))
        | Command::Model(ModelCommand::Ledger(market::ModelCommand::Show { reading, .. }))
        | Command::Query(QueryCommand::Ledger(market::QueryCommand::List { reading, .. }))
        | Command::Query(QueryCommand::Ledger(market::QueryCommand::Show { reading, .. }))
        | Command::Round(rounds::RoundCommand::List { reading, .. })
        | Command::Round(rounds::RoundCommand::Show { reading, .. }) => Some(&reading.place),
        // They read no ledger.
        Command::Program(_)
        | Command::Model(ModelCommand::Node(_))
        | Command::Query(QueryCommand::Node(_)) => None,
        Command::Revenue(c) => revenue::place(c),
        Command::Ledger(c) => deploy::place(c),
        Command::Governance(c) => governance::place(c),
    };
    place.map_or_else(|| PathBuf::from(place::DEFAULT), place::Place::dir)
}

/// Runs one of them.
pub fn run(command: Command, out: &mut dyn Write) -> Result<bool> {
    let command = match command {
        // Their node reads the ledger for them.
        Command::Model(ModelCommand::Node(command)) => return person::models(command, out),
        Command::Query(QueryCommand::Node(command)) => return person::queries(command, out),
        Command::Governance(command) if command.home().is_some() => return governance::at_home(command, out),
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    // Only the folder of a reader is opened here, and every reader has one to name.
    let shown = folder(&command);
    read_chain(&shown, || {
        runtime.block_on(async {
            match command {
                Command::Account(command) => accounts::run(command, out).await,
                Command::Program(command) => registers::programs(command, out).await,
                Command::Enclave(command) => registers::enclaves(command, out).await,
                Command::Dataset(command) => registers::datasets(command, out).await,
                Command::Model(ModelCommand::Ledger(command)) => market::models(command, out).await,
                Command::Query(QueryCommand::Ledger(command)) => market::queries(command, out).await,
                // Sent to their node above.
                Command::Model(ModelCommand::Node(_)) | Command::Query(QueryCommand::Node(_)) => Ok(true),
                Command::Round(command) => rounds::rounds(command, out).await,
                Command::Revenue(command) => revenue::run(command, out).await,
                Command::Ledger(command) => deploy::run(command, out).await,
                Command::Governance(command) => governance::run(command, out).await,
            }
        })
    })
}
