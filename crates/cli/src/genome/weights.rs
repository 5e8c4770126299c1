//! `histone genome weights`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use histone_genome::assembly::Assembly;
use histone_genome::genotypes::SampleSet;
use histone_genome::training::{self, GridRule, Marginal, PanelBuilder};
use histone_genome::variant::Site;

use super::{file, scanned};
use crate::progress::tell;

/// What is known of effects before the scan.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Model {
    /// Every variant has one, all of one variance: ridge regression (LDpred2-inf).
    Infinitesimal,
    /// A share of the variants has one (LDpred2-grid, one point of the grid).
    Grid,
    /// Few have one: the lasso (lassosum).
    Lasso,
}

/// From what weights are made.
#[derive(Args)]
pub struct WeightsArgs {
    /// Genotypes that tell how variants are linked: a few hundred people of the ancestry of the scan. VCF, BCF, PLINK or BGEN; where the
    /// file says who has parents in it, only founders count.
    file: PathBuf,
    /// The table of a scan, as `histone genome gwas`, `meta`, and `associations` for one over hospitals, write it.
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// What is known of effects before the scan.
    #[arg(long, value_enum, default_value = "infinitesimal")]
    model: Model,
    /// Share of the trait's variance that all variants explain, above 0 and at most 1; for all but the lasso.
    #[arg(long, value_name = "SHARE", default_value_t = 0.3)]
    heritability: f64,
    /// Share of the variants that have an effect; for the grid.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    share: f64,
    /// Leave out, in each round, variants that are less likely to have an effect than before; for the grid.
    #[arg(long)]
    sparse: bool,
    /// What the linkage of these people is not trusted for, above 0 and at most 1; for the lasso.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    shrinkage: f64,
    /// Weight of the sum of absolute weights; for the lasso.
    #[arg(long, value_name = "NUMBER", default_value_t = 0.01)]
    penalty: f64,
    /// Variants of a block; linkage between blocks is not looked at.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    block: usize,
    /// Of the random numbers; for the grid.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The build that positions count on, such as GRCh38: it is written into the file.
    #[arg(long)]
    build: String,
    /// Write the weights, as a scoring file of the PGS Catalog, into this file; else they go to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Whether both alleles are letters: a scoring file has no others.
fn is_sequence(site: &Site) -> bool {
    [&site.reference, &site.alternative].iter().all(|allele| allele.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// Writes the weights.
pub fn run(args: &WeightsArgs, out: &mut dyn Write) -> Result<bool> {
    let Some(assembly) = Assembly::from_name(&args.build) else {
        bail!("`{}` is no build; write GRCh37 or GRCh38", args.build.escape_debug());
    };
    let table = scanned::read(&args.table, ["BETA", "SE", "OBS_CT"])?;
    let mut cohort = file::cohort(&args.file)?;
    let people = match cohort.people() {
        Some(people) => people.founders(),
        None => SampleSet::all(cohort.samples().len()),
    };
    let count = people.count();
    let mut linkage = PanelBuilder::new(people, args.block)?;
    let (mut variants, mut effects) = (Vec::new(), Vec::new());
    while let Some((block, sites)) = cohort.read()? {
        let of = |site: &Site| {
            table.get(&scanned::place(site)).filter(|[_, se, people]| *se > 0.0 && *people > 0.0)
        };
        let found: Vec<_> = sites.iter().map(of).collect();
        let is_taken = |place: usize| found[place].is_some() && is_sequence(&sites[place]);
        linkage.add(block, sites, is_taken)?;
        for (site, numbers) in sites.iter().zip(found) {
            let Some(&[beta, se, people]) = numbers.filter(|_| is_sequence(site)) else { continue };
            effects.push(Some(Marginal { beta, se, people }));
            variants.push(site.clone());
        }
    }
    if variants.is_empty() {
        bail!(
            "no variant of `{}` with an estimate is in `{}`; their places and alleles must be the same",
            args.table.display(),
            args.file.display()
        );
    }
    let linkage = linkage.finish();
    let least = effects.iter().flatten().fold(f64::INFINITY, |least: f64, effect| least.min(effect.people));
    if args.model == Model::Lasso && args.penalty < 1.0 / least.sqrt() {
        tell(&format!(
            "a penalty of {} is less than chance alone gives with {least} people ({:.3}): most weights will be noise",
            args.penalty,
            1.0 / least.sqrt()
        ));
    }
    let (weights, model) = match args.model {
        Model::Infinitesimal => {
            let weights = training::infinitesimal(&linkage, &effects, args.heritability)?;
            (weights, format!("LDpred2-inf, heritability {}", args.heritability))
        }
        Model::Grid => {
            let (heritability, share, sparse) = (args.heritability, args.share, args.sparse);
            let rule = GridRule { heritability, share, sparse, seed: args.seed, ..GridRule::default() };
            let sparse = if sparse { ", sparse" } else { "" };
            let model = format!(
                "LDpred2-grid, heritability {heritability}, share {share}{sparse}, seed {}",
                args.seed
            );
            (training::grid(&linkage, &effects, &rule)?, model)
        }
        Model::Lasso => {
            let weights = training::lasso(&linkage, &effects, args.shrinkage, args.penalty)?;
            (weights, format!("lasso, shrinkage {}, penalty {}", args.shrinkage, args.penalty))
        }
    };
    let kept: Vec<_> = variants.iter().zip(&weights).filter(|(_, weight)| **weight != 0.0).collect();
    let cannot = "the weights cannot be written";
    let mut table = file::table(args.out.as_deref(), out)?;
    writeln!(table, "###PGS CATALOG SCORING FILE").context(cannot)?;
    writeln!(table, "#format_version=2.0\n#genome_build={assembly}\n#variants_number={}", kept.len())
        .context(cannot)?;
    writeln!(table, "#weight_type=beta\n#method_name={model}, linkage of {count} people").context(cannot)?;
    writeln!(table, "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight")
        .context(cannot)?;
    for (site, weight) in &kept {
        let chromosome = site.chromosome.trim_start_matches("chr");
        let id = if site.ids.is_empty() || site.ids == "." { "" } else { &site.ids };
        let (position, alternative, reference) = (site.position, &site.alternative, &site.reference);
        writeln!(table, "{id}\t{chromosome}\t{position}\t{alternative}\t{reference}\t{weight}")
            .context(cannot)?;
    }
    table.finish()?;
    tell(&format!(
        "{} weights of {} variants that are in both, by the linkage of {count} people; how good they are, other people must say",
        kept.len(),
        variants.len()
    ));
    Ok(true)
}
