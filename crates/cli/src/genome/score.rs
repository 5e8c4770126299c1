//! `histone genome score`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::assembly::Assembly;
use histone_genome::score::{Effect, Missing, PersonScores, Scores, Weights};
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
    /// Scoring files of the PGS Catalog, also gzipped: one, or several that are counted in one pass. Nothing is written unless all can
    /// be.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    weights: Vec<PathBuf>,
    /// Take places as the catalog has harmonized them, instead of the authors'.
    #[arg(long)]
    harmonized: bool,
    /// Count missing calls as nothing, instead of twice the frequency of the effect allele.
    #[arg(long)]
    no_mean_imputation: bool,
    /// Refuse when less than this share of a score's variants is found.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    least: f64,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Where a variant is, without `chr`.
type At = (String, u64);

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to 1".into())
}

/// What came of the rows of a scoring file.
struct Score {
    /// Its number in the catalog, or the name of the file.
    name: String,
    file: String,
    assembly: Option<Assembly>,
    rows: usize,
    /// Rows of a kind or place that is not counted.
    unusable: usize,
    /// Rows of a variant that an earlier row has weighed.
    repeated: usize,
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
    state: State,
}

/// What was found of a row.
enum State {
    /// Nothing at its place.
    New,
    /// Its place, with other alleles; these are the references there.
    OtherAlleles(Vec<String>),
    /// Its effect allele is an alternative one.
    Alternative,
    /// Its effect allele is this reference; of these alternative alleles the copies are known, which are no copies of it.
    Reference(String, Vec<String>),
}

impl Row {
    /// What the row weighs of a site.
    ///
    /// A record of several alternative alleles is a site for each of them. Whoever has one of the others has no reference there: its
    /// copies are taken off. Where such a one has gone by already, the row is left out.
    fn weigh(&mut self, site: &Site) -> Option<Weighed> {
        let [reference, alternative] =
            [&site.reference, &site.alternative].map(|allele| allele.to_ascii_uppercase());
        match &mut self.state {
            State::Alternative => return None,
            State::Reference(of, known) => {
                if *of != reference || known.contains(&alternative) {
                    return None;
                }
                known.push(alternative);
                let weight = -self.weight;
                return Some(Weighed { effect: Effect::Alternative, weight, is_taken_off: true });
            }
            State::New | State::OtherAlleles(_) => {}
        }
        let other = self.other_allele.as_deref();
        let is = |allele: &str, counterpart: &str| {
            *self.effect_allele == *allele && other.is_none_or(|other| other == counterpart)
        };
        let mut gone_by = match &mut self.state {
            State::OtherAlleles(gone_by) => std::mem::take(gone_by),
            _ => Vec::new(),
        };
        let effect = if is(&alternative, &reference) {
            self.state = State::Alternative;
            Effect::Alternative
        } else if is(&reference, &alternative) && !gone_by.contains(&reference) {
            self.state = State::Reference(reference, vec![alternative]);
            Effect::Reference
        } else {
            gone_by.push(reference);
            self.state = State::OtherAlleles(gone_by);
            return None;
        };
        Some(Weighed { effect, weight: self.weight, is_taken_off: false })
    }
}

/// What a row weighs of a site.
struct Weighed {
    effect: Effect,
    weight: f64,
    /// These copies were counted as the reference, which they are not.
    is_taken_off: bool,
}

/// Reads a scoring file, and adds its rows to those of the others.
fn read(args: &ScoreArgs, path: &Path, score: usize, rows: &mut BTreeMap<At, Vec<Row>>) -> Result<Score> {
    let file = path.display().to_string();
    let read = ScoringFile::read(&file, file::text(path)?, &TextLimits::default())?;
    let (mut unusable, mut repeated, all) = (0, 0, read.variants().len());
    for variant in read.variants() {
        let place = if args.harmonized { variant.harmonized } else { variant.place };
        let weight = match (variant.weight, variant.effect) {
            (Weight::PerAllele(weight), scoring::Effect::Additive) if weight.is_finite() => Some(weight),
            _ => None,
        };
        let (Some(place), Some(weight), None) = (place, weight, variant.problem()) else {
            unusable += 1;
            continue;
        };
        let at = (place.chromosome.to_string(), u64::from(place.position.get()));
        let effect_allele: Box<str> = (*variant.effect_allele).into();
        let other_allele: Option<Box<str>> = variant.other_allele.as_deref().map(Into::into);
        let there = rows.entry(at).or_default();
        let is_same = |row: &Row| {
            let (one, other) = (&row.effect_allele, row.other_allele.as_ref());
            row.score == score
                && (*one == effect_allele
                    && (other == other_allele.as_ref() || other.is_none() || other_allele.is_none())
                    || Some(one) == other_allele.as_ref() && other == Some(&effect_allele))
        };
        if there.iter().any(is_same) {
            repeated += 1;
            continue;
        }
        there.push(Row { score, effect_allele, other_allele, weight, state: State::New });
    }
    if unusable == all {
        bail!(
            "`{file}` has no row with a place and a weight for each copy of one allele{}",
            if args.harmonized { "" } else { "; `--harmonized` takes the places of the catalog" }
        );
    }
    let header = read.header();
    let assembly = if args.harmonized { header.harmonized_assembly() } else { header.assembly() };
    let name = column_name(header.pgs_id(), path);
    Ok(Score { name, file, assembly, rows: all, unusable, repeated, found: 0, other_alleles: 0 })
}

/// The name of a column: the number in the catalog, or the name of the file without its ends; nothing in it parts columns.
fn column_name(pgs_id: Option<&str>, path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let ends = [".gz", ".txt", ".tsv"];
    let stem = ends.iter().fold(&*file, |name, end| name.strip_suffix(end).unwrap_or(name));
    let name = pgs_id.unwrap_or(if stem.is_empty() { &file } else { stem });
    name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

/// Sums of all people. A variant of which scores weigh different alleles is counted in both lists, for some scores in each.
struct Lists {
    first: Scores,
    second: Option<Scores>,
}

/// Writes scores of all people.
pub fn run(args: &ScoreArgs, out: &mut dyn Write) -> Result<bool> {
    let mut rows: BTreeMap<At, Vec<Row>> = BTreeMap::new();
    let mut scores: Vec<Score> = Vec::new();
    for path in &args.weights {
        let score = read(args, path, scores.len(), &mut rows)?;
        let same = |other: &&Score| other.name == score.name;
        if let Some(other) = scores.iter().find(same) {
            let Score { name, file, .. } = &score;
            bail!(
                "`{}` and `{file}` would both be the column `{name}`: rename a file, or its `pgs_id`",
                other.file
            );
        }
        let another = |other: &&Score| other.assembly.zip(score.assembly).is_some_and(|(a, b)| a != b);
        if let Some(other) = scores.iter().find(another) {
            bail!("`{}` and `{}` are of different builds", other.file, score.file);
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
            let [first, second] = match rows.get_mut(&at) {
                Some(rows) => weights(rows, site, scores.len()),
                None => [None, None],
            };
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
    for row in rows.values().flatten() {
        match row.state {
            State::New => {}
            State::OtherAlleles(_) => scores[row.score].other_alleles += 1,
            State::Alternative | State::Reference(..) => scores[row.score].found += 1,
        }
    }
    for score in &scores {
        let Score { name, file, rows, unusable, repeated, found, other_alleles, .. } = score;
        let of = if scores.len() == 1 { String::new() } else { format!("{name}: ") };
        tell(&format!(
            "{of}{found} of {rows} variants of the score are found; at {other_alleles} places the alleles are others, {unusable} rows are of a kind or place that is not counted{}",
            match repeated {
                0 => String::new(),
                _ => format!(", {repeated} repeat a variant of an earlier row, which counts"),
            }
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
    write(&scores, &samples, &lists, missing == Missing::Mean, &mut table)
        .context("the table cannot be written")?;
    table.finish()?;
    Ok(true)
}

/// The weights of a site, for the list that counts one of its alleles and for the one that counts the other.
fn weights(rows: &mut [Row], site: &Site, scores: usize) -> [Option<Weights>; 2] {
    let mut lists: [Option<Weights>; 2] = [None, None];
    for row in rows {
        let Some(Weighed { effect, weight, is_taken_off }) = row.weigh(site) else { continue };
        let fits = |at: usize| lists[at].as_ref().is_none_or(|list| list.effect == effect);
        // What is taken off is no part of the counts of a single score, which are those of the first list.
        let at = if is_taken_off && fits(1) || !fits(0) { 1 } else { 0 };
        let none = || Weights { effect, weights: vec![0.0; scores] };
        lists[at].get_or_insert_with(none).weights[row.score] += weight;
    }
    lists
}

/// One score with all that is known of it, or a column of sums for each of several.
fn write(
    scores: &[Score],
    samples: &[String],
    lists: &Lists,
    is_imputed: bool,
    table: &mut Table<'_>,
) -> io::Result<()> {
    let first = lists.first.people();
    let second = lists.second.as_ref().map(Scores::people).unwrap_or_default();
    let of = |people: &[PersonScores], person: usize, score: usize| {
        people.get(person).and_then(|person| person.sums.get(score)).copied()
    };
    let sums = |person: usize, score: usize| {
        of(&first, person, score).map(|sum| sum + of(&second, person, score).unwrap_or(0.0))
    };
    if let [_] = scores {
        // One score weighs one allele of each variant.
        writeln!(table, "#IID\tALLELE_CT\tEFFECT_ALLELES\tSCORE_SUM\tSCORE_AVG")?;
        for (at, (name, person)) in samples.iter().zip(&first).enumerate() {
            let sum = sums(at, 0);
            let alleles = 2 * person.called;
            // What is imputed is in the sum.
            let all = if is_imputed { 2 * lists.first.variants() as u64 } else { alleles };
            let average = sum.filter(|_| all > 0).map(|sum| sum / all as f64);
            let taken_off = second.get(at).map_or(0, |person| person.effect_alleles);
            let effect = person.effect_alleles.saturating_sub(taken_off);
            writeln!(table, "{name}\t{alleles}\t{effect}\t{}\t{}", number(sum), number(average))?;
        }
        return Ok(());
    }
    let names: Vec<String> = scores.iter().map(|score| format!("\t{}_SUM", score.name)).collect();
    writeln!(table, "#IID{}", names.concat())?;
    for (at, name) in samples.iter().enumerate() {
        write!(table, "{name}")?;
        for score in 0..scores.len() {
            write!(table, "\t{}", number(sums(at, score)))?;
        }
        writeln!(table)?;
    }
    Ok(())
}
