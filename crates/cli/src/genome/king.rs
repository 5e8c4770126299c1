//! `histone genome king`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::stats::kinship::Planes;

use super::file::{self, number};

/// Whose kinship.
#[derive(Args)]
pub struct KingArgs {
    /// The file: VCF, BCF, BGEN, or one file of a PLINK fileset. Variants outside of chromosomes 1 to 22 are left out.
    file: PathBuf,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only pairs with a kinship of at least this: 0.354 for duplicates and twins, 0.177 for first degree, 0.0884 for second, 0.0442
    /// for third.
    #[arg(long, value_name = "KINSHIP", allow_negative_numbers = true)]
    least: Option<f64>,
}

/// Most people: all pairs are looked at.
const MOST: usize = 50_000;

/// Writes kinship of all pairs.
pub fn run(args: &KingArgs, out: &mut dyn Write) -> Result<bool> {
    let mut cohort = file::cohort(&args.file)?;
    let samples = cohort.samples().to_vec();
    if samples.len() > MOST {
        bail!("{} people have too many pairs for one table; this command takes {MOST}", samples.len());
    }
    let mut planes = Planes::new(samples.len());
    while let Some((block, sites)) = cohort.read()? {
        let mut autosomal = 0;
        for (place, site) in sites.iter().enumerate() {
            let number = site.chromosome.trim_start_matches("chr").parse::<u8>();
            autosomal |= u64::from(number.is_ok_and(|n| (1..=22).contains(&n))) << place;
        }
        planes.add(block, autosomal);
    }
    let cannot = "the table cannot be written";
    let mut table = file::table(args.out.as_deref(), out)?;
    writeln!(table, "#IID1\tIID2\tNSNP\tHETHET\tIBS0\tKINSHIP").context(cannot)?;
    let mut failed = Ok(());
    planes.pairs(|first, second, pair| {
        let kinship = pair.kinship();
        if failed.is_err() || args.least.is_some_and(|least| kinship.is_none_or(|kinship| kinship < least)) {
            return;
        }
        let variants = pair.variants();
        let share = |count: u64| number((variants > 0).then(|| count as f64 / variants as f64));
        let (both, none, kinship) = (share(pair.het_het), share(pair.ibs0), number(kinship));
        failed =
            writeln!(table, "{}\t{}\t{variants}\t{both}\t{none}\t{kinship}", samples[first], samples[second]);
    });
    failed.context(cannot)?;
    table.finish()?;
    Ok(true)
}
