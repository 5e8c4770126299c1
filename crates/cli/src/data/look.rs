//! `histone data look`: what a file is, how a study reads it, and what its owner has to say before.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::table::{
    Dialect, Limits, Looks, MissingRules, Separator, Survey, Surveyed, check_levels, survey,
};
use serde_json::json;

use crate::progress::STDOUT;
use crate::tables::{number, plain, quoted, table};

/// Levels that a snippet lists; a category of more is for a person to name.
const MOST_LEVELS: usize = 12;

/// Which file.
#[derive(Args)]
pub struct LookArgs {
    /// A table with a header line: separated by commas, semicolons, tabs or bars, also compressed with gzip.
    file: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Looks, and prints. Nothing is kept and nothing leaves the machine; what is printed holds cells of the file.
pub fn run(args: &LookArgs, out: &mut dyn Write) -> Result<bool> {
    let shown = args.file.display().to_string();
    if args.file.is_dir() {
        bail!("`{shown}` is a folder; name a file in it");
    }
    let file = File::open(&args.file).with_context(|| format!("`{shown}` cannot be opened"))?;
    let survey = survey(&shown, file, &Limits::default())?;
    let text = if args.json { document(&shown, &survey) } else { page(&shown, &survey)? };
    writeln!(out, "{text}").context(STDOUT)?;
    Ok(true)
}

fn document(file: &str, survey: &Survey) -> String {
    let column = |column: &Surveyed| {
        let (low, high) = ends(&column.looks);
        let (different, missing) = (column.different, column.missing);
        let frequent: Vec<_> =
            column.frequent.iter().map(|(text, rows)| json!({ "text": text, "rows": rows })).collect();
        json!({
            "name": column.name, "is": kind(&column.looks), "low": low, "high": high,
            "missing": missing, "different": different, "frequent": frequent,
        })
    };
    let doubts: Vec<_> = survey
        .doubts
        .iter()
        .map(|doubt| json!({ "column": doubt.column, "about": doubt.about, "says": doubt.says }))
        .collect();
    let columns: Vec<_> = survey.columns.iter().map(column).collect();
    let otherwise: Vec<_> = survey.otherwise.iter().map(|dialect| words(*dialect)).collect();
    json!({
        "file": file, "rows": survey.rows, "format": survey.dialect.written(), "otherwise": otherwise,
        "missing_codes": survey.missing_codes, "columns": columns, "doubts": doubts, "study": snippet(survey),
    })
    .to_string()
}

fn page(file: &str, survey: &Survey) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{}: {} rows, {} columns; read with {}\n",
        plain(file),
        survey.rows,
        survey.columns.len(),
        words(survey.dialect)
    )?;
    let row = |column: &Surveyed| {
        let (low, high) = ends(&column.looks);
        let share = 100.0 * column.missing as f64 / survey.rows.max(1) as f64;
        let missing =
            if column.missing == 0 { "0".into() } else { format!("{} ({share:.1} %)", column.missing) };
        let frequent: Vec<String> =
            column.frequent.iter().map(|(text, rows)| format!("{text} ({rows})")).collect();
        vec![
            column.name.clone(),
            kind(&column.looks).into(),
            low.unwrap_or_default(),
            high.unwrap_or_default(),
            missing,
            column.different.to_string(),
            frequent.join(", "),
        ]
    };
    let head = ["column", "is", "from", "to", "missing", "different", "most frequent"];
    writeln!(text, "{}", table(&head, survey.columns.iter().map(row)))?;
    if survey.doubts.is_empty() {
        writeln!(text, "\nnothing is in doubt")?;
    } else {
        writeln!(text, "\nto be said by whoever knows the table:")?;
        for doubt in &survey.doubts {
            let of = doubt.column.as_ref().map(|name| format!("`{name}` ")).unwrap_or_default();
            writeln!(text, "  {}", plain(&format!("{of}{}", doubt.says)))?;
        }
    }
    match snippet(survey) {
        snippet if snippet.is_empty() && survey.doubts.is_empty() => {
            write!(text, "\na study reads it as it is")?
        }
        snippet if snippet.is_empty() => write!(text, "\nits format needs no word in a study file")?,
        snippet => write!(text, "\nin the study file (docs/study-file.md):\n\n{}", snippet.trim_end())?,
    }
    Ok(text)
}

/// A dialect as a study file has it, or in words where it has nothing.
fn words(dialect: Dialect) -> String {
    match dialect.written() {
        Some(format) => format!("format = {format}"),
        None => format!("{} between cells and decimal points", Separator::default().says()),
    }
}

fn kind(looks: &Looks) -> &'static str {
    match looks {
        Looks::Numbers { whole: true, .. } => "whole numbers",
        Looks::Numbers { .. } => "numbers",
        Looks::Days { .. } => "days",
        Looks::Names(_) => "categories",
        Looks::Text => "texts",
        Looks::Nothing => "nothing",
    }
}

fn ends(looks: &Looks) -> (Option<String>, Option<String>) {
    match looks {
        Looks::Numbers { low, high, .. } => (Some(number(*low)), Some(number(*high))),
        Looks::Days { first, last } => (Some(first.to_string()), Some(last.to_string())),
        Looks::Names(_) | Looks::Text | Looks::Nothing => (None, None),
    }
}

/// What a study file says so that it reads the table so. Of what is in doubt it has the reading that is shown, and columns under `ignore` that
/// look like somebody's name; no codes, days and levels.
fn snippet(survey: &Survey) -> String {
    let mut text = String::new();
    let list =
        |of: &mut dyn Iterator<Item = String>| of.map(|text| quoted(&text)).collect::<Vec<_>>().join(", ");
    let mut part = |head: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(text, "{head}\n{}\n", lines.join("\n"));
        }
    };
    let doubted = |name: &str| survey.doubts.iter().any(|doubt| doubt.column.as_deref() == Some(name));
    let about = |name: &str, what: &[&str]| {
        survey.doubts.iter().any(|doubt| doubt.column.as_deref() == Some(name) && what.contains(&doubt.about))
    };
    part(
        "[[participant]]",
        survey.dialect.written().map(|format| format!("format = {format}")).into_iter().collect(),
    );
    let mut of_table = Vec::new();
    if !survey.missing_codes.is_empty() {
        let mut codes = MissingRules::default().codes.into_iter().chain(survey.missing_codes.iter().cloned());
        of_table.push(format!("missing_codes = [{}]", list(&mut codes)));
    }
    let mut nobody = survey
        .columns
        .iter()
        .filter(|column| about(&column.name, &["identifier", "name"]) || column.looks == Looks::Nothing)
        .map(|column| column.name.clone())
        .peekable();
    if nobody.peek().is_some() {
        of_table.push(format!("ignore = [{}]", list(&mut nobody)));
    }
    part("[table]", of_table);
    let sure = || survey.columns.iter().filter(|column| !doubted(&column.name));
    let days = sure().filter(|column| matches!(column.looks, Looks::Days { .. }));
    part("[table.kinds]", days.map(|column| format!("{} = \"day\"", quoted(&column.name))).collect());
    let levels = sure().filter_map(|column| match &column.looks {
        Looks::Names(levels)
            if (2..=MOST_LEVELS).contains(&levels.len())
                && check_levels(&levels.iter().cloned().collect::<Vec<_>>()).is_ok() =>
        {
            Some(format!("{} = [{}]", quoted(&column.name), list(&mut levels.iter().cloned())))
        }
        _ => None,
    });
    part("[table.levels]", levels.collect());
    text
}
