//! `histone genome score`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::score::{Effect, Missing, Scores, Weights};
use histone_genome::scoring::{self, ScoreVariant, ScoringFile, Weight};
use histone_genome::text::TextLimits;
use histone_genome::variant::Site;

use super::file::{self, number};
use crate::progress::tell;

/// Whose scores.
#[derive(Args)]
pub struct ScoreArgs {
    /// Genotypes: VCF, BCF, BGEN, or one file of a PLINK fileset.
    file: PathBuf,
    /// A scoring file of the PGS Catalog, also gzipped.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Take places as the catalog has harmonized them, instead of the authors'.
    #[arg(long)]
    harmonized: bool,
    /// Count missing calls as nothing, instead of twice the frequency of the effect allele.
    #[arg(long)]
    no_mean_imputation: bool,
    /// Refuse when less than this share of the score's variants is found.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    least: f64,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Where a variant is, without `chr`.
type At = (String, u64);

/// What came of the rows of a scoring file.
#[derive(Default)]
struct Matched {
    found: usize,
    other_alleles: usize,
}

/// The weight of a row at a site; none where alleles differ.
fn weights(row: &ScoreVariant, weight: f64, site: &Site) -> Option<Weights> {
    let [reference, alternative] =
        [&site.reference, &site.alternative].map(|allele| allele.to_ascii_uppercase());
    let other = row.other_allele.as_deref();
    let is = |allele: &str, counterpart: &str| {
        *row.effect_allele == *allele && other.is_none_or(|other| other == counterpart)
    };
    let effect = if is(&alternative, &reference) {
        Effect::Alternative
    } else if is(&reference, &alternative) {
        Effect::Reference
    } else {
        return None;
    };
    Some(Weights { effect, weights: vec![weight] })
}

/// Writes scores of all people.
pub fn run(args: &ScoreArgs, out: &mut dyn Write) -> Result<bool> {
    let name = args.weights.display().to_string();
    let score = ScoringFile::read(&name, file::text(&args.weights)?, &TextLimits::default())?;
    let mut rows: BTreeMap<At, Vec<(&ScoreVariant, f64)>> = BTreeMap::new();
    let mut unusable = 0;
    for row in score.variants() {
        let place = if args.harmonized { row.harmonized } else { row.place };
        let weight = match (row.weight, row.effect) {
            (Weight::PerAllele(weight), scoring::Effect::Additive) => Some(weight),
            _ => None,
        };
        match (place, weight, row.problem()) {
            (Some(place), Some(weight), None) => {
                let at = (place.chromosome.to_string(), u64::from(place.position.get()));
                rows.entry(at).or_default().push((row, weight));
            }
            _ => unusable += 1,
        }
    }
    if rows.is_empty() {
        bail!(
            "`{name}` has no row with a place and a weight for each copy of one allele{}",
            if args.harmonized { "" } else { "; `--harmonized` takes the places of the catalog" }
        );
    }
    let mut cohort = file::cohort(&args.file)?;
    let samples = cohort.samples().to_vec();
    let missing = if args.no_mean_imputation { Missing::Nothing } else { Missing::Mean };
    let (mut scores, mut matched) = (Scores::new(samples.len(), 1, missing), Matched::default());
    while let Some((block, sites)) = cohort.read()? {
        let found = sites.iter().map(|site| {
            let at = (site.chromosome.trim_start_matches("chr").to_owned(), site.position);
            let there = rows.get(&at)?;
            let of_row = there.iter().find_map(|(row, weight)| weights(row, *weight, site));
            matched.found += usize::from(of_row.is_some());
            matched.other_alleles += usize::from(of_row.is_none());
            of_row
        });
        let found: Vec<Option<Weights>> = found.collect();
        if found.iter().any(Option::is_some) {
            scores.add(block, &found);
        }
    }
    let all = score.variants().len();
    let share = matched.found as f64 / all.max(1) as f64;
    tell(&format!(
        "{} of {all} variants of the score are found; at {} places the alleles are others, {unusable} rows are of a kind or place that is not counted",
        matched.found, matched.other_alleles
    ));
    if share < args.least {
        bail!(
            "only {:.1} % of the score's variants are in the genotypes, and a score of so few is another score: at least {:.0} % are wanted (`--least`); is it the same build?",
            share * 100.0,
            args.least * 100.0
        );
    }
    let cannot = "the table cannot be written";
    let mut table = file::table(args.out.as_deref(), out)?;
    writeln!(table, "#IID\tALLELE_CT\tEFFECT_ALLELES\tSCORE_SUM\tSCORE_AVG").context(cannot)?;
    for (name, person) in samples.iter().zip(scores.people()) {
        let sum = person.sums.first().copied();
        let alleles = 2 * person.called;
        let average = sum.filter(|_| alleles > 0).map(|sum| sum / alleles as f64);
        writeln!(table, "{name}\t{alleles}\t{}\t{}\t{}", person.effect_alleles, number(sum), number(average))
            .context(cannot)?;
    }
    table.finish()?;
    Ok(true)
}
