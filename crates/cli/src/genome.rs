//! `histone genome`: files of genotypes, checked, counted, scanned and converted on this machine. Nothing here talks to anybody.

mod associations;
mod check;
mod clump;
mod convert;
mod evaluate;
mod file;
mod gwas;
mod index;
mod king;
mod meta;
mod panel;
mod pca;
mod plot;
mod project;
mod prune;
mod qc;
mod scanned;
mod score;
mod simulate;
mod stats;
mod tables;
mod view;
mod weights;

use std::io::Write;

use anyhow::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum Command {
    /// Check files strictly against the rules of their format: VCF 4.1 to 4.5 (also gzipped), PLINK filesets.
    Check(check::CheckArgs),
    /// Count calls for each variant: frequency, missing calls, Hardy-Weinberg; and what the file is as a whole.
    Stats(stats::StatsArgs),
    /// Quality control: what fabricated, mixed up or contaminated genotypes give away, with a verdict.
    Qc(qc::QcArgs),
    /// Scan all variants for one that goes with a trait: linear, or logistic for cases and controls.
    Gwas(gwas::GwasArgs),
    /// Polygenic scores of people, by scoring files of the PGS Catalog.
    Score(score::ScoreArgs),
    /// How good scores are: what they say of a trait, of everybody and by ancestry.
    Evaluate(evaluate::EvaluateArgs),
    /// Weights of a polygenic score, from what a scan says of each variant alone and how variants are linked.
    Weights(weights::WeightsArgs),
    /// Kinship of all pairs of people (KING-robust).
    King(king::KingArgs),
    /// What a scan over hospitals has found, as a table and plots.
    Associations(associations::AssociationsArgs),
    /// Meta-analysis: one estimate for each variant out of the tables of several scans.
    Meta(meta::MetaArgs),
    /// Principal components: ancestry as a few numbers for each person.
    Pca(pca::PcaArgs),
    /// Components of other people by the loadings of a reference, so that those of several hospitals are of one scale.
    Project(project::ProjectArgs),
    /// Variants no two of which are linked.
    Prune(prune::PruneArgs),
    /// The hits of a scan, one for each region.
    Clump(clump::ClumpArgs),
    /// The variants of a study with their frequencies, from a file that has them.
    Panel(panel::PanelArgs),
    /// A SIMULATED cohort with linkage and traits, dealt to sites: PLINK filesets, tables, a panel.
    Simulate(simulate::SimulateArgs),
    /// Records of a VCF or BCF that pass filters, as they stand, of all people or some.
    View(view::ViewArgs),
    /// An index (.tbi or .csi), with which `view` finds a region without reading all of a file.
    Index(index::IndexArgs),
    /// Convert to VCF or to PLINK filesets, from these, BCF, PLINK 2 and BGEN.
    Convert(convert::ConvertArgs),
}

/// Runs a command about genomes. Gives whether what was checked holds.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<bool> {
    match command {
        Command::Check(args) => check::run(args, out),
        Command::Stats(args) => stats::run(args, out),
        Command::Associations(args) => associations::run(args, out),
        Command::Meta(args) => meta::run(args, out),
        Command::Qc(args) => qc::run(args, out),
        Command::Pca(args) => pca::run(args, out),
        Command::Project(args) => project::run(args, out),
        Command::Prune(args) => prune::run(args, out),
        Command::Clump(args) => clump::run(args, out),
        Command::Weights(args) => weights::run(args, out),
        Command::Gwas(args) => gwas::run(args, out),
        Command::Score(args) => score::run(args, out),
        Command::Evaluate(args) => evaluate::run(args, out),
        Command::King(args) => king::run(args, out),
        Command::Panel(args) => panel::run(args, out),
        Command::Simulate(args) => simulate::run(args, out),
        Command::View(args) => view::run(args, out),
        Command::Index(args) => index::run(args, out),
        Command::Convert(args) => convert::run(args, out),
    }
}
