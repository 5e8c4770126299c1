//! `histone genome pca`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use histone_genome::genotypes::SampleSet;
use histone_genome::pca::{Search, components};
use serde_json::json;

use super::file::{self, number};
use super::plot;
use crate::progress::{STDOUT, tell};

/// Whose components.
#[derive(Args)]
pub struct PcaArgs {
    /// Genotypes: VCF, BCF, PLINK or BGEN. Only variants of chromosomes 1 to 22 count.
    file: PathBuf,
    /// How many components.
    #[arg(long, default_value_t = 10)]
    count: usize,
    /// Only the variants whose names are in this file, one on a line, as `histone genome prune` writes them.
    #[arg(long, value_name = "FILE")]
    variants: Option<PathBuf>,
    /// Determines the random start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write what each variant adds to the components into this file: `histone genome project` gives other people's by it. It names
    /// nobody, and says how common each allele is here.
    #[arg(long, value_name = "FILE")]
    loadings: Option<PathBuf>,
    /// Draw the first two components into this file (SVG).
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print one JSON document; the table needs `--out` then.
    #[arg(long, requires = "out")]
    json: bool,
}

/// Whether a chromosome is one of 1 to 22.
pub fn is_autosomal(chromosome: &str) -> bool {
    chromosome.trim_start_matches("chr").parse::<u8>().is_ok_and(|n| (1..=22).contains(&n))
}

/// Writes components, a line for each person.
pub fn write_table(
    to: Option<&Path>,
    out: &mut dyn Write,
    samples: &[String],
    vectors: &[Vec<f64>],
) -> Result<()> {
    let cannot = "the table cannot be written";
    let mut table = file::table(to, out)?;
    let names: Vec<String> = (1..=vectors.len()).map(|n| format!("PC{n}")).collect();
    writeln!(table, "#IID\t{}", names.join("\t")).context(cannot)?;
    for (person, name) in samples.iter().enumerate() {
        let cells: Vec<String> = vectors.iter().map(|v| number(v.get(person).copied())).collect();
        writeln!(table, "{name}\t{}", cells.join("\t")).context(cannot)?;
    }
    table.finish()
}

/// Writes the components of all people.
pub fn run(args: &PcaArgs, out: &mut dyn Write) -> Result<bool> {
    let wanted: Option<BTreeSet<String>> = match &args.variants {
        Some(list) => {
            file::is_read(list);
            let text =
                std::fs::read_to_string(list).with_context(|| format!("cannot read `{}`", list.display()))?;
            Some(text.lines().map(str::to_owned).collect())
        }
        None => None,
    };
    let mut cohort = file::cohort(&args.file)?;
    let samples = cohort.samples().to_vec();
    let mut chosen = Vec::new();
    while let Some((_, sites)) = cohort.read()? {
        let is_wanted = |ids: &String| wanted.as_ref().is_none_or(|wanted| wanted.contains(ids));
        chosen.extend(sites.iter().map(|site| is_autosomal(&site.chromosome) && is_wanted(&site.ids)));
    }
    let search = Search { count: args.count, seed: args.seed, ..Search::default() };
    let open = || match file::cohort(&args.file) {
        Ok(cohort) => Ok(cohort),
        // It was there a moment ago.
        Err(_) => {
            Err(histone_genome::genotypes::GenotypeError::Samples { found: 0, samples: samples.len() }.into())
        }
    };
    let found = components(
        open,
        &SampleSet::all(samples.len()),
        |variant| chosen.get(variant).copied().unwrap_or(false),
        &search,
        |passes, residual| {
            if passes > 0 {
                tell(&format!("pass {passes}: residual {residual:.1e}"));
            }
        },
    )?;
    write_table(args.out.as_deref(), out, &samples, &found.vectors)?;
    if let Some(file) = &args.loadings {
        let is_chosen = |variant: usize| chosen.get(variant).copied().unwrap_or(false);
        super::project::write_loadings(file, &args.file, is_chosen, &found)?;
    }
    if let (Some(file), [first, second, ..]) = (&args.plot, &found.vectors[..]) {
        plot::write(file, &plot::scatter("PC1 and PC2", first, second))?;
    }
    if args.json {
        let line =
            json!({ "people": samples.len(), "variants": found.variants, "eigenvalues": found.eigenvalues });
        writeln!(out, "{line}").context(STDOUT)?;
    } else {
        let values: Vec<String> = found.eigenvalues.iter().map(|v| number(Some(*v))).collect();
        tell(&format!("{} variants; eigenvalues {}", found.variants, values.join(", ")));
    }
    Ok(true)
}
