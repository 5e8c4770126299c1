//! `histone genome evaluate`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use histone_genome::association::AssociationError;
use histone_genome::evaluation::{self, Evaluation, EvaluationError, Interval};
use histone_genome::phenotypes::{Missing, PhenotypeFile};
use histone_genome::text::TextLimits;
use serde_json::json;

use super::file::{self, number};
use super::gwas::Coding;
use super::tables::{self, Tables};
use crate::progress::{STDOUT, tell};

/// Which scores, and of what.
#[derive(Args)]
pub struct EvaluateArgs {
    /// A table of scores, as `histone genome score` writes it.
    scores: PathBuf,
    /// Columns of scores, separated by commas; else all whose names end in `SUM` (those of PLINK 2 end in `_AVG`).
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', value_parser = tables::column)]
    score: Vec<String>,
    /// Table of the trait, covariates and groups: blank- or tab-separated, a header line, people by IID. Several may be named.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    phenotypes: Vec<PathBuf>,
    /// Name of the trait's column.
    #[arg(long, value_name = "COLUMN")]
    r#trait: String,
    /// How the trait is coded: a number, 1 and 2 for control and case (0 missing), or 0 and 1.
    #[arg(long, value_enum, default_value_t = Coding::Number)]
    coding: Coding,
    /// Columns that are accounted for, separated by commas. In a group in which one is constant it is left out.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', value_parser = tables::column)]
    covariates: Vec<String>,
    /// Column that names each person's group, such as ancestry: each group is evaluated by itself as well.
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,
    /// Write the table, tab-separated, into this file; else it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON document instead.
    #[arg(long)]
    json: bool,
}

/// More values than this are no names of groups.
const GROUPS: usize = 100;
/// How the row of everybody is called.
const EVERYBODY: &str = "everybody";

/// What is said of a score in a group.
struct Row<'a> {
    score: &'a str,
    group: &'a str,
    /// People with score, trait and covariates, and cases among them.
    people: usize,
    cases: Option<usize>,
    found: Result<Evaluation, EvaluationError>,
}

/// Names of the columns that are scores.
fn columns<'a>(args: &'a EvaluateArgs, scores: &'a PhenotypeFile) -> Result<Vec<&'a str>> {
    if !args.score.is_empty() {
        return Ok(args.score.iter().map(String::as_str).collect());
    }
    // PLINK 2 has a column NAMED_ALLELE_DOSAGE_SUM, which is no score.
    let ends = |end: &str| {
        let names = scores.columns().iter().map(String::as_str);
        names.filter(|name| name.ends_with(end) && !name.contains("ALLELE")).collect::<Vec<_>>()
    };
    match [ends("SUM"), ends("_AVG")] {
        [sums, means] if sums.is_empty() && means.is_empty() => {
            bail!("no column of `{}` ends in `SUM` or `_AVG`; name the scores with `--score`", scores.file())
        }
        [sums, means] if sums.is_empty() => Ok(means),
        [sums, _] => Ok(sums),
    }
}

/// The trait and what is accounted for.
struct Trait {
    is_cases: bool,
    values: Vec<f64>,
    covariates: Vec<Vec<f64>>,
}

impl Trait {
    /// A score in a group of people.
    fn evaluate(
        &self,
        score: &[f64],
        is_of: impl Fn(usize) -> bool,
        constant_is_left_out: bool,
    ) -> (usize, Option<usize>, Result<Evaluation, EvaluationError>) {
        let of_group = |(at, value): (usize, &f64)| if is_of(at) { *value } else { f64::NAN };
        let values: Vec<f64> = self.values.iter().enumerate().map(of_group).collect();
        let complete = |at: &usize| {
            let known = |column: &[f64]| column.get(*at).is_some_and(|value| value.is_finite());
            known(score) && known(&values) && self.covariates.iter().all(|column| known(column))
        };
        let people: Vec<usize> = (0..values.len()).filter(complete).collect();
        let cases = self.is_cases.then(|| people.iter().filter(|at| values[**at] == 1.0).count());
        let mut covariates = self.covariates.clone();
        loop {
            let found = match self.is_cases {
                false => evaluation::of_number(score, &values, &covariates),
                true => evaluation::of_cases(score, &values, &covariates),
            };
            match found {
                Err(EvaluationError::Model(AssociationError::Collinear(at)))
                    if constant_is_left_out && at > 0 && at <= covariates.len() =>
                {
                    covariates.remove(at - 1);
                }
                found => return (people.len(), cases, found),
            }
        }
    }
}

/// Writes how good scores are.
pub fn run(args: &EvaluateArgs, out: &mut dyn Write) -> Result<bool> {
    let name = args.scores.display().to_string();
    let scores = PhenotypeFile::read(&name, file::text(&args.scores)?, &TextLimits::default())?;
    let columns = columns(args, &scores)?;
    let samples = scores.samples();
    let (of_scores, _) = scores.join(&samples, &columns, &Missing::default())?;
    let asked: Vec<&str> =
        std::iter::once(&args.r#trait).chain(&args.covariates).map(String::as_str).collect();
    let tables = Tables::read(&args.phenotypes, &samples, &asked, args.by.as_deref())?;
    let covariates: Vec<Vec<f64>> = args.covariates.iter().map(|name| tables.column(name)).collect();
    let values = match args.coding.of_cases() {
        None => tables.column(&args.r#trait),
        Some(coding) => tables.cases(&args.r#trait, coding)?,
    };
    let of_trait = Trait { is_cases: args.coding.of_cases().is_some(), values, covariates };
    if !of_trait.is_cases {
        tables::refuse_two_values(&args.r#trait, &of_trait.values)?;
    }
    let (matched, all) = (tables.join.matched, samples.len());
    let labels = tables.groups.unwrap_or_default();
    let groups: BTreeSet<&str> = labels.iter().filter_map(Option::as_deref).collect();
    let of_no_group = labels.iter().filter(|label| label.is_none()).count();
    let without = if of_no_group > 0 { format!("; {of_no_group} are of no group") } else { String::new() };
    tell(&format!("{all} people have scores, of whom {matched} are in the table of the trait{without}"));
    if groups.len() > GROUPS {
        let by = args.by.as_deref().unwrap_or_default();
        bail!("`{by}` has {} different values: it does not name groups", groups.len());
    }
    if groups.contains(EVERYBODY) {
        bail!("a group is called `{EVERYBODY}`, as is the row of all people; rename it");
    }
    let mut rows = Vec::new();
    for score in columns {
        let column = of_scores.column(score).unwrap_or_default();
        for group in std::iter::once(EVERYBODY).chain(groups.iter().copied()) {
            let is_of =
                |at: usize| group == EVERYBODY || labels.get(at).and_then(Option::as_deref) == Some(group);
            let (people, cases, found) = of_trait.evaluate(column, is_of, group != EVERYBODY);
            rows.push(Row { score, group, people, cases, found });
        }
    }
    if let (true, Some(Err(error))) =
        (rows.iter().all(|row| row.found.is_err()), rows.first().map(|row| &row.found))
    {
        return Err(match error {
            EvaluationError::Model(error) => tables::no_model(&args.r#trait, error, &args.covariates),
            error => anyhow!("`{}`: {error}", rows.first().map_or("", |row| row.score)),
        });
    }
    if args.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        writeln!(out, "{}", json!({ "trait": args.r#trait, "scores": rows })).context(STDOUT)?;
        return Ok(true);
    }
    let cannot = "the table cannot be written";
    let mut table = file::table(args.out.as_deref(), out)?;
    writeln!(
        table,
        "#SCORE\tGROUP\tOBS_CT\tCASE_CT\tMODEL\tBETA\tSE\tP\tR2\tR\tR_LOW\tR_HIGH\tAUC\tAUC_LOW\tAUC_HIGH"
    )
    .context(cannot)?;
    for row in &rows {
        writeln!(table, "{}", row.text()).context(cannot)?;
    }
    table.finish()?;
    Ok(true)
}

impl Row<'_> {
    /// The model, or why there is none.
    fn model(&self) -> &'static str {
        match &self.found {
            Ok(found) if found.slope.is_none() => "separated",
            Ok(_) if self.cases.is_some() => "logistic",
            Ok(_) => "linear",
            Err(EvaluationError::Constant) => "constant",
            Err(EvaluationError::Model(AssociationError::TooFew { .. })) => "too-few",
            Err(EvaluationError::Model(AssociationError::Collinear(_))) => "collinear",
            Err(_) => "no-model",
        }
    }

    fn text(&self) -> String {
        let of = |interval: Option<Interval>| match interval {
            Some(Interval { estimate, low, high }) => {
                [estimate, low, high].map(|v| number(Some(v))).join("\t")
            }
            None => "NA\tNA\tNA".into(),
        };
        let Self { score, group, people, .. } = self;
        let (how, cases) = (self.model(), self.cases.map_or("NA".into(), |cases| cases.to_string()));
        let found = self.found.as_ref().ok();
        let slope = found.and_then(|found| found.slope);
        let [beta, se, p] = [slope.map(|s| s.beta), slope.map(|s| s.se), slope.map(|s| s.p)].map(number);
        let r2 = number(found.and_then(|found| found.r2));
        let (r, auc) = (of(found.and_then(|f| f.correlation)), of(found.and_then(|f| f.auc)));
        format!("{score}\t{group}\t{people}\t{cases}\t{how}\t{beta}\t{se}\t{p}\t{r2}\t{r}\t{auc}")
    }

    fn json(&self) -> serde_json::Value {
        let of = |interval: Option<Interval>| {
            interval.map(|of| json!({ "estimate": of.estimate, "low": of.low, "high": of.high }))
        };
        let found = self.found.as_ref().ok();
        let slope = found.and_then(|found| found.slope);
        json!({
            "score": self.score,
            "group": self.group,
            "model": self.model(),
            "people": self.people,
            "cases": self.cases,
            "beta": slope.map(|slope| slope.beta),
            "se": slope.map(|slope| slope.se),
            "p": slope.map(|slope| slope.p),
            "r2": found.and_then(|found| found.r2),
            "correlation": of(found.and_then(|found| found.correlation)),
            "auc": of(found.and_then(|found| found.auc)),
        })
    }
}
