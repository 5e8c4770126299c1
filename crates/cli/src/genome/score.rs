//! `histone genome score`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::score::{Effect, Missing, Scores, Weights};
use histone_genome::scoring::{self, ScoringFile, Weight};
use histone_genome::text::TextLimits;
use histone_genome::variant::Site;

use super::file::{self, Table, number};
use crate::progress::tell;

/// Whose scores.
#[derive(Args)]
pub struct ScoreArgs {
    /// Genotypes: VCF, BCF, BGEN, or one file of a PLINK fileset.
    file: PathBuf,
    /// Scoring files of the PGS Catalog, also gzipped: one, or several that are counted in one pass.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    weights: Vec<PathBuf>,
    /// Take places as the catalog has harmonized them, instead of the authors'.
    #[arg(long)]
    harmonized: bool,
    /// Count missing calls as nothing, instead of twice the frequency of the effect allele.
    #[arg(long)]
    no_mean_imputation: bool,
    /// Refuse when less than this share of a score's variants is found.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    least: f64,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Where a variant is, without `chr`.
type At = (String, u64);

/// What came of the rows of a scoring file.
struct Score {
    /// Its number in the catalog, or the name of the file.
    name: String,
    file: String,
    rows: usize,
    /// Rows of a kind or place that is not counted.
    unusable: usize,
    found: usize,
    other_alleles: usize,
}

/// A row of a scoring file that counts.
struct Row {
    /// Which score.
    score: usize,
    effect_allele: Box<str>,
    other_allele: Option<Box<str>>,
    weight: f64,
}

impl Row {
    /// The allele that is weighed; none where alleles differ.
    fn effect(&self, site: &Site) -> Option<Effect> {
        let [reference, alternative] =
            [&site.reference, &site.alternative].map(|allele| allele.to_ascii_uppercase());
        let other = self.other_allele.as_deref();
        let is = |allele: &str, counterpart: &str| {
            *self.effect_allele == *allele && other.is_none_or(|other| other == counterpart)
        };
        if is(&alternative, &reference) {
            Some(Effect::Alternative)
        } else if is(&reference, &alternative) {
            Some(Effect::Reference)
        } else {
            None
        }
    }
}

/// Reads a scoring file, and adds its rows to those of the others.
fn read(args: &ScoreArgs, path: &Path, score: usize, rows: &mut BTreeMap<At, Vec<Row>>) -> Result<Score> {
    let file = path.display().to_string();
    let read = ScoringFile::read(&file, file::text(path)?, &TextLimits::default())?;
    let (mut unusable, all) = (0, read.variants().len());
    for variant in read.variants() {
        let place = if args.harmonized { variant.harmonized } else { variant.place };
        let weight = match (variant.weight, variant.effect) {
            (Weight::PerAllele(weight), scoring::Effect::Additive) => Some(weight),
            _ => None,
        };
        match (place, weight, variant.problem()) {
            (Some(place), Some(weight), None) => {
                let at = (place.chromosome.to_string(), u64::from(place.position.get()));
                let effect_allele = (*variant.effect_allele).into();
                let other_allele = variant.other_allele.as_deref().map(Into::into);
                rows.entry(at).or_default().push(Row { score, effect_allele, other_allele, weight });
            }
            _ => unusable += 1,
        }
    }
    if unusable == all {
        bail!(
            "`{file}` has no row with a place and a weight for each copy of one allele{}",
            if args.harmonized { "" } else { "; `--harmonized` takes the places of the catalog" }
        );
    }
    let stem = || path.file_name().unwrap_or_default().to_string_lossy().split('.').next().map(str::to_owned);
    let name = read.header().pgs_id().map(str::to_owned).or_else(stem).unwrap_or_else(|| file.clone());
    Ok(Score { name, file, rows: all, unusable, found: 0, other_alleles: 0 })
}

/// Sums of all people. A variant of which scores weigh different alleles is counted in both lists, for some scores in each.
struct Lists {
    first: Scores,
    second: Option<Scores>,
}

/// Writes scores of all people.
pub fn run(args: &ScoreArgs, out: &mut dyn Write) -> Result<bool> {
    let mut rows: BTreeMap<At, Vec<Row>> = BTreeMap::new();
    let mut scores = Vec::new();
    for path in &args.weights {
        let score = read(args, path, scores.len(), &mut rows)?;
        if scores.iter().any(|other: &Score| other.name == score.name) {
            bail!("two of the scoring files are `{}`; each column has a name of its own", score.name);
        }
        scores.push(score);
    }
    let mut cohort = file::cohort(&args.file)?;
    let samples = cohort.samples().to_vec();
    let missing = if args.no_mean_imputation { Missing::Nothing } else { Missing::Mean };
    let empty = || Scores::new(samples.len(), args.weights.len(), missing);
    let mut lists = Lists { first: empty(), second: None };
    while let Some((block, sites)) = cohort.read()? {
        let mut found: [Vec<Option<Weights>>; 2] = [Vec::new(), Vec::new()];
        for site in sites {
            let at = (site.chromosome.trim_start_matches("chr").to_owned(), site.position);
            let [first, second] = weights(rows.get(&at).map_or(&[], Vec::as_slice), site, &mut scores);
            found[0].push(first);
            found[1].push(second);
        }
        let [first, second] = found.map(|weights| weights.iter().any(Option::is_some).then_some(weights));
        if let Some(weights) = first {
            lists.first.add(block, &weights);
        }
        if let Some(weights) = second {
            lists.second.get_or_insert_with(empty).add(block, &weights);
        }
    }
    for score in &scores {
        let Score { name, file, rows, unusable, found, other_alleles } = score;
        let of = if scores.len() == 1 { String::new() } else { format!("{name}: ") };
        tell(&format!(
            "{of}{found} of {rows} variants of the score are found; at {other_alleles} places the alleles are others, {unusable} rows are of a kind or place that is not counted"
        ));
        let share = *found as f64 / (*rows).max(1) as f64;
        if share < args.least {
            let of = if scores.len() == 1 {
                "the score's variants".into()
            } else {
                format!("the variants of `{file}`")
            };
            bail!(
                "only {:.1} % of {of} are in the genotypes, and a score of so few is another score: at least {:.0} % are wanted (`--least`); is it the same build?",
                share * 100.0,
                args.least * 100.0
            );
        }
    }
    let mut table = file::table(args.out.as_deref(), out)?;
    write(&scores, &samples, &lists, &mut table).context("the table cannot be written")?;
    table.finish()?;
    Ok(true)
}

/// The weights of a variant, for the list that counts one of its alleles and for the one that counts the other.
fn weights(rows: &[Row], site: &Site, scores: &mut [Score]) -> [Option<Weights>; 2] {
    let mut lists: [Option<Weights>; 2] = [None, None];
    let mut counted = BTreeMap::new();
    for row in rows {
        let counted = counted.entry(row.score).or_insert(false);
        // Of several rows of a score with these alleles the first counts.
        let Some(effect) = row.effect(site).filter(|_| !*counted) else { continue };
        *counted = true;
        let at = usize::from(lists[0].as_ref().is_some_and(|first| first.effect != effect));
        let none = || Weights { effect, weights: vec![0.0; scores.len()] };
        lists[at].get_or_insert_with(none).weights[row.score] = row.weight;
    }
    for (score, counted) in counted {
        scores[score].found += usize::from(counted);
        scores[score].other_alleles += usize::from(!counted);
    }
    lists
}

/// One score with all that is known of it, or a column of sums for each of several.
fn write(scores: &[Score], samples: &[String], lists: &Lists, table: &mut Table<'_>) -> io::Result<()> {
    let first = lists.first.people();
    let sums =
        |person: usize, score: usize| first.get(person).and_then(|person| person.sums.get(score)).copied();
    if let [_] = scores {
        // One score weighs one allele of each variant.
        writeln!(table, "#IID\tALLELE_CT\tEFFECT_ALLELES\tSCORE_SUM\tSCORE_AVG")?;
        for (at, (name, person)) in samples.iter().zip(&first).enumerate() {
            let sum = sums(at, 0);
            let alleles = 2 * person.called;
            let average = sum.filter(|_| alleles > 0).map(|sum| sum / alleles as f64);
            let effect = person.effect_alleles;
            writeln!(table, "{name}\t{alleles}\t{effect}\t{}\t{}", number(sum), number(average))?;
        }
        return Ok(());
    }
    let second = lists.second.as_ref().map(Scores::people).unwrap_or_default();
    let names: Vec<String> = scores.iter().map(|score| format!("\t{}_SUM", score.name)).collect();
    writeln!(table, "#IID{}", names.concat())?;
    for (at, name) in samples.iter().enumerate() {
        write!(table, "{name}")?;
        for score in 0..scores.len() {
            let more = second.get(at).and_then(|person| person.sums.get(score)).copied().unwrap_or(0.0);
            write!(table, "\t{}", number(sums(at, score).map(|sum| sum + more)))?;
        }
        writeln!(table)?;
    }
    Ok(())
}
