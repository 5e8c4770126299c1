//! `histone genome panel`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::assembly::Assembly;
use histone_genome::panel::Panel;
use histone_genome::stats::counts;

use super::file;
use crate::progress::{STDOUT, tell};

/// Of what a panel is made.
#[derive(Args)]
pub struct PanelArgs {
    /// Genotypes whose variants and frequencies the panel gets: VCF, or one file of a PLINK fileset.
    file: PathBuf,
    /// The build that positions count on, such as GRCh38.
    #[arg(long)]
    build: String,
    /// Leave variants out whose rarer allele is less frequent than this.
    #[arg(long, value_name = "FREQUENCY", default_value_t = 0.0)]
    least: f64,
    /// Write the panel, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes a panel.
pub fn run(args: &PanelArgs, out: &mut dyn Write) -> Result<bool> {
    let Some(assembly) = Assembly::from_name(&args.build) else {
        bail!("`{}` is no build; write GRCh37 or GRCh38", args.build.escape_debug());
    };
    let mut cohort = file::cohort(&args.file)?;
    let (mut variants, mut none, mut rare) = (Vec::new(), 0_usize, 0_usize);
    while let Some((block, sites)) = cohort.read()? {
        for (site, counts) in sites.iter().zip(counts::of_block(block)) {
            let frequency = counts.frequency();
            if args.least > 0.0 && frequency.is_none_or(|f| f.min(1.0 - f) < args.least) {
                rare += 1;
                continue;
            }
            match site.variant(assembly) {
                Ok(variant) => variants.push((variant.trimmed(), frequency, site.ids.clone())),
                Err(_) => none += 1,
            }
        }
    }
    let before = variants.len();
    let mut seen = std::collections::HashSet::new();
    variants.retain(|(variant, ..)| seen.insert(variant.clone()));
    let repeated = before - variants.len();
    let panel = Panel::of(assembly, variants).with_context(|| format!("`{}`", args.file.display()))?;
    let mut table = file::table(args.out.as_deref(), out)?;
    table.write_all(panel.text().as_bytes()).context(STDOUT)?;
    table.finish()?;
    tell(&format!(
        "{} variants; left out: {rare} too rare, {repeated} written twice, {none} on other contigs or with symbols for alleles",
        panel.variants().len()
    ));
    Ok(true)
}
