//! `histone genome clump`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::genotypes::SampleSet;
use histone_genome::ld::{ClumpRule, Clumps};

use super::file::{self, number};
use super::scanned;
use crate::progress::tell;

/// Of what hits are gathered.
#[derive(Args)]
pub struct ClumpArgs {
    /// Genotypes: VCF, BCF, PLINK or BGEN. Where the file says who has parents in it, only founders count.
    file: PathBuf,
    /// The table of a scan, as `histone genome gwas` writes it: columns #CHROM, POS, REF, ALT and P.
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// Largest p-value of the best variant of a clump.
    #[arg(long, default_value_t = 1e-4)]
    p1: f64,
    /// Largest p-value of the others.
    #[arg(long, default_value_t = 0.01)]
    p2: f64,
    /// Least squared correlation of the others with the best.
    #[arg(long, default_value_t = 0.5)]
    r2: f64,
    /// Farthest distance of the others from the best, in thousands of bases.
    #[arg(long, default_value_t = 250)]
    kb: u64,
    /// Write the clumps, tab-separated, into this file; else they go to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the clumps.
pub fn run(args: &ClumpArgs, out: &mut dyn Write) -> Result<bool> {
    let p_values = scanned::read(&args.table, ["P"])?;
    let mut cohort = file::cohort(&args.file)?;
    let people = match cohort.people() {
        Some(people) => people.founders(),
        None => SampleSet::all(cohort.samples().len()),
    };
    let rule = ClumpRule {
        p_first: args.p1,
        p_others: args.p2,
        r2: args.r2,
        base_pairs: args.kb.saturating_mul(1_000),
        ..ClumpRule::default()
    };
    let mut clumps = Clumps::new(people, rule)?;
    let (mut variants, mut matched) = (Vec::new(), 0_usize);
    while let Some((block, sites)) = cohort.read()? {
        let of = |site| p_values.get(&scanned::place(site)).map_or(f64::NAN, |[p]| *p);
        let p: Vec<f64> = sites.iter().map(of).collect();
        matched += p.iter().filter(|p| !p.is_nan()).count();
        clumps.add(block, sites, &p)?;
        variants.extend(sites.iter().map(|s| (s.chromosome.clone(), s.position, s.ids.clone())));
    }
    if matched == 0 {
        bail!(
            "no variant of `{}` is in `{}`; their places and alleles must be the same",
            args.table.display(),
            args.file.display()
        );
    }
    let cannot = "the table cannot be written";
    let mut table = file::table(args.out.as_deref(), out)?;
    writeln!(table, "#CHROM\tPOS\tID\tP\tOTHERS\tIDS").context(cannot)?;
    let found = clumps.finish();
    for clump in &found {
        let (chromosome, position, ids) = &variants[clump.variant];
        let others: Vec<&str> = clump.others.iter().map(|&i| variants[i].2.as_str()).collect();
        let (p, count) = (number(Some(clump.p)), others.len());
        let others = if others.is_empty() { ".".into() } else { others.join(",") };
        writeln!(table, "{chromosome}\t{position}\t{ids}\t{p}\t{count}\t{others}").context(cannot)?;
    }
    table.finish()?;
    tell(&format!("{} clumps; {matched} variants of the table are in the genotypes", found.len()));
    Ok(true)
}
