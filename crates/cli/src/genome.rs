//! `histone genome`: files of genotypes, checked, counted, scanned and converted on this machine. Nothing here talks to anybody.

mod check;
mod convert;
mod file;
mod gwas;
mod king;
mod panel;
mod plot;
mod score;
mod simulate;
mod stats;

use std::io::Write;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Check files strictly against the rules of their format: VCF 4.1 to 4.5 (also gzipped), PLINK filesets.
    Check(check::CheckArgs),
    /// Count calls for each variant: frequency, missing calls, Hardy-Weinberg; and what the file is as a whole.
    Stats(stats::StatsArgs),
    /// Scan all variants for one that goes with a trait: linear, or logistic for cases and controls.
    Gwas(gwas::GwasArgs),
    /// Polygenic scores of people, by a scoring file of the PGS Catalog.
    Score(score::ScoreArgs),
    /// Kinship of all pairs of people (KING-robust).
    King(king::KingArgs),
    /// The variants of a study with their frequencies, from a file that has them.
    Panel(panel::PanelArgs),
    /// A SIMULATED cohort with linkage and traits, dealt to sites: PLINK filesets, tables, a panel.
    Simulate(simulate::SimulateArgs),
    /// Convert between VCF and PLINK filesets.
    Convert(convert::ConvertArgs),
}

/// Runs a command about genomes. Gives whether what was checked holds.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<bool> {
    match command {
        Command::Check(args) => check::run(args, out),
        Command::Stats(args) => stats::run(args, out),
        Command::Gwas(args) => gwas::run(args, out),
        Command::Score(args) => score::run(args, out),
        Command::King(args) => king::run(args, out),
        Command::Panel(args) => panel::run(args, out),
        Command::Simulate(args) => simulate::run(args, out),
        Command::Convert(args) => convert::run(args, out),
    }
}
