//! `histone genome prune`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use histone_genome::genotypes::SampleSet;
use histone_genome::ld::{Pruner, Window};

use super::file;
use crate::progress::tell;

/// What is linked.
#[derive(Args)]
pub struct PruneArgs {
    /// Genotypes: VCF, BCF, PLINK or BGEN, sorted by position. Where the file says who has parents in it, only founders count.
    file: PathBuf,
    /// Size of the window: variants, or with `kb` behind it thousands of bases.
    #[arg(long, default_value = "50", value_parser = window)]
    window: Window,
    /// Variants by which the window moves on.
    #[arg(long, default_value_t = 5)]
    step: usize,
    /// Largest squared correlation that two variants of a window may have.
    #[arg(long, default_value_t = 0.2)]
    r2: f64,
    /// Write the names of the variants that stay into this file; else they go to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Most variants of a window.
const MOST: usize = 1_000_000;

fn window(text: &str) -> Result<Window, String> {
    let said = |text: &str| {
        text.parse::<u64>().map_err(|_| "write a number of variants, or one with `kb`".to_owned())
    };
    match text.strip_suffix("kb") {
        Some(bases) => Ok(Window::BasePairs(said(bases)?.saturating_mul(1_000))),
        None => Ok(Window::Variants(usize::try_from(said(text)?).unwrap_or(usize::MAX))),
    }
}

/// Writes the variants that stay.
pub fn run(args: &PruneArgs, out: &mut dyn Write) -> Result<bool> {
    let mut cohort = file::cohort(&args.file)?;
    let people = match cohort.people() {
        Some(people) => people.founders(),
        None => SampleSet::all(cohort.samples().len()),
    };
    let mut pruner = Pruner::new(people, args.window, args.step, args.r2, MOST)?;
    let mut names = Vec::new();
    while let Some((block, sites)) = cohort.read()? {
        pruner.add(block, sites)?;
        names.extend(sites.iter().map(|site| match site.ids.as_str() {
            "." => format!("{}:{}:{}:{}", site.chromosome, site.position, site.reference, site.alternative),
            ids => ids.to_owned(),
        }));
    }
    let kept = pruner.finish();
    let mut table = file::table(args.out.as_deref(), out)?;
    for (name, _) in names.iter().zip(&kept).filter(|(_, kept)| **kept) {
        writeln!(table, "{name}").context("the list cannot be written")?;
    }
    table.finish()?;
    tell(&format!("{} of {} variants stay", kept.iter().filter(|kept| **kept).count(), kept.len()));
    Ok(true)
}
