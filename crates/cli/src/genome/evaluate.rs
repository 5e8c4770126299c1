//! `histone genome evaluate`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::association::AssociationError;
use histone_genome::evaluation::{self, Evaluation, EvaluationError, Interval};
use histone_genome::phenotypes::{Missing, PhenotypeFile};
use histone_genome::text::TextLimits;
use serde_json::json;

use super::file::{self, number};
use super::gwas::Coding;
use super::tables::Tables;
use crate::progress::STDOUT;

/// Which scores, and of what.
#[derive(Args)]
pub struct EvaluateArgs {
    /// A table of scores, as `histone genome score` writes it.
    scores: PathBuf,
    /// Columns of scores, separated by commas; else all whose names end in `SUM`.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
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
    /// Columns that are accounted for, separated by commas.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
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
    /// Or why there is nothing.
    found: Result<Evaluation, &'static str>,
}

/// Writes how good scores are.
pub fn run(args: &EvaluateArgs, out: &mut dyn Write) -> Result<bool> {
    let name = args.scores.display().to_string();
    let scores = PhenotypeFile::read(&name, file::text(&args.scores)?, &TextLimits::default())?;
    let columns: Vec<&str> = match args.score.is_empty() {
        true => scores.columns().iter().map(String::as_str).filter(|name| name.ends_with("SUM")).collect(),
        false => args.score.iter().map(String::as_str).collect(),
    };
    if columns.is_empty() {
        bail!("no column of `{name}` ends in `SUM`; name the scores with `--score`");
    }
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
    let labels = tables.groups.unwrap_or_default();
    let groups: BTreeSet<&str> = labels.iter().filter_map(Option::as_deref).collect();
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
            let of_group = |at: usize, value: &f64| if is_of(at) { *value } else { f64::NAN };
            let values: Vec<f64> = values.iter().enumerate().map(|(at, value)| of_group(at, value)).collect();
            let found = match args.coding.of_cases() {
                None => evaluation::of_number(column, &values, &covariates),
                Some(_) => evaluation::of_cases(column, &values, &covariates),
            };
            // That everybody has no model is an error; that a group has none is a row.
            let found = match found {
                Err(error) if group == EVERYBODY => return Err(error).with_context(|| format!("`{score}`")),
                found => found.map_err(|error| why(&error)),
            };
            rows.push(Row { score, group, found });
        }
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

fn why(error: &EvaluationError) -> &'static str {
    match error {
        EvaluationError::Constant => "constant",
        EvaluationError::NotFitted(..) => "separated",
        EvaluationError::Model(AssociationError::TooFew { .. }) => "too-few",
        EvaluationError::Model(AssociationError::Collinear(_)) => "collinear",
        _ => "no-model",
    }
}

impl Row<'_> {
    fn text(&self) -> String {
        let of = |interval: Option<Interval>| match interval {
            Some(Interval { estimate, low, high }) => {
                [estimate, low, high].map(|v| number(Some(v))).join("\t")
            }
            None => "NA\tNA\tNA".into(),
        };
        let Self { score, group, found } = self;
        match found {
            Err(why) => format!("{score}\t{group}\tNA\tNA\t{why}{}", "\tNA".repeat(10)),
            Ok(found) => {
                let cases = found.cases.map_or("NA".into(), |cases| cases.to_string());
                let how = if found.cases.is_some() { "logistic" } else { "linear" };
                let [beta, se, p] = [found.beta, found.se, found.p].map(|value| number(Some(value)));
                let (people, r2) = (found.people, number(found.r2));
                let (r, auc) = (of(found.correlation), of(found.auc));
                format!("{score}\t{group}\t{people}\t{cases}\t{how}\t{beta}\t{se}\t{p}\t{r2}\t{r}\t{auc}")
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        let of = |interval: Option<Interval>| {
            interval.map(|of| json!({ "estimate": of.estimate, "low": of.low, "high": of.high }))
        };
        let Self { score, group, found } = self;
        match found {
            Err(why) => json!({ "score": score, "group": group, "model": why }),
            Ok(found) => json!({
                "score": score,
                "group": group,
                "model": if found.cases.is_some() { "logistic" } else { "linear" },
                "people": found.people,
                "cases": found.cases,
                "beta": found.beta,
                "se": found.se,
                "p": found.p,
                "r2": found.r2,
                "correlation": of(found.correlation),
                "auc": of(found.auc),
            }),
        }
    }
}
