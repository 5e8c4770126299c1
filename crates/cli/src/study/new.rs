//! `histone study new`: a study file from the tables that it is shown, to be read and changed by a person.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use histone_genome::table::{Limits, Looks, MissingRules, Survey, Surveyed, check_levels, survey};

use crate::progress::STDOUT;
use crate::tables::{plain, quoted};

/// Cells that mean yes to most people, in small letters.
const YES: [&str; 10] = ["yes", "y", "true", "ill", "case", "dead", "died", "positive", "ja", "oui"];
/// Rows of the first table that the end user asks about, when no other table is named.
const ASKED: usize = 3;

/// Which tables, and what is asked of them.
#[derive(Args)]
pub struct NewArgs {
    /// The study file to write; none is written over.
    study: PathBuf,
    /// A participant and its table; at least two of them.
    #[arg(long = "table", value_name = "NAME=FILE", value_parser = named, required = true)]
    tables: Vec<(String, PathBuf)>,
    /// The column with the answer that the model is to give.
    #[arg(long, value_name = "COLUMN")]
    label: String,
    /// Which of its cells mean yes, such as `== 1`, `== died` or `> 0`; a number without it is predicted as a number.
    #[arg(long, value_name = "RULE")]
    positive: Option<String>,
    /// The country of the participants, two capital letters (ISO 3166); the file has it once for each.
    #[arg(long, value_name = "CC")]
    country: String,
    /// A table of rows to ask the finished model about; without it, the first rows of the first table.
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
}

/// `NAME=FILE`.
fn named(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("write NAME=FILE, such as north=north.csv")?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match name.is_empty() || name.len() > 32 || !name.chars().all(fits) || file.is_empty() {
        true => Err("write NAME=FILE with a name of 1 to 32 of a-z, 0-9 and -".into()),
        false => Ok((name.into(), file.into())),
    }
}

/// What a table of the study turns out to be.
struct Shown {
    name: String,
    path: String,
    survey: Survey,
}

/// What becomes of a column.
enum Use {
    Number,
    Day,
    Levels(Vec<String>),
    LeftOut(String),
}

/// Looks at the tables, writes the file, and says what the check says of it.
pub fn run(args: &NewArgs, out: &mut dyn Write) -> Result<bool> {
    if args.tables.len() < 2 {
        bail!("a study has two participants or more; name a --table for each");
    }
    let dir = args.study.parent().filter(|dir| !dir.as_os_str().is_empty());
    let shown = |(name, path): &(String, PathBuf)| {
        let file = File::open(path).with_context(|| format!("`{}` cannot be opened", path.display()))?;
        let survey = survey(&path.display().to_string(), file, &Limits::default())?;
        Ok(Shown { name: name.clone(), path: written(path, dir)?, survey })
    };
    let tables = args.tables.iter().map(shown).collect::<Result<Vec<_>>>()?;
    let queries = match &args.queries {
        None => None,
        Some(path) => Some(shown(&("end-user".into(), path.clone()))?),
    };
    let text = study(args, &tables, queries.as_ref())?;
    let mut file = File::create_new(&args.study).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("`{}` is there already; name another file, or remove it", args.study.display())
        }
        _ => anyhow::Error::new(error).context(format!("`{}` cannot be written", args.study.display())),
    })?;
    let wrote = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = wrote {
        // Half a file would be taken for a whole one.
        let _ = fs::remove_file(&args.study);
        return Err(
            anyhow::Error::new(error).context(format!("`{}` cannot be written", args.study.display()))
        );
    }
    let mut lines = vec![format!("wrote {}", args.study.display())];
    for Shown { path, survey, .. } in &tables {
        for doubt in
            survey.doubts.iter().filter(|doubt| !matches!(doubt.about, "identifier" | "name" | "birth"))
        {
            let of = doubt.column.as_ref().map(|name| format!(", `{name}`")).unwrap_or_default();
            lines.push(format!("{path}{of}: {}", doubt.says));
        }
    }
    let checked = super::load(&args.study);
    lines.push(match &checked {
        Ok(_) => format!(
            "it passes the check; read it, say what each table may be used for (`consent`), and look at `histone study check {}`",
            args.study.display()
        ),
        Err(error) => format!("the check does not pass yet: {error:#}"),
    });
    for line in lines {
        writeln!(out, "{}", plain(&line)).context(STDOUT)?;
    }
    Ok(checked.is_ok())
}

/// A path as the study file has it: relative to its folder.
fn written(path: &Path, dir: Option<&Path>) -> Result<String> {
    let path = match dir {
        Some(_) => fs::canonicalize(path).with_context(|| format!("cannot find `{}`", path.display()))?,
        None => path.to_owned(),
    };
    path.into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("the path {} is not UTF-8, as study files are", path.display()))
}

fn study(args: &NewArgs, tables: &[Shown], queries: Option<&Shown>) -> Result<String> {
    let label = &args.label;
    for table in tables {
        if !table.survey.columns.iter().any(|column| column.name == *label) {
            let names: Vec<&str> =
                table.survey.columns.iter().map(|column| column.name.as_str()).take(20).collect();
            bail!("{} has no column `{label}`; it has {}", table.path, names.join(", "));
        }
    }
    let (task, positive) = task(args, tables)?;
    let mut uses: Vec<(String, Use)> = Vec::new();
    let mut names = BTreeSet::new();
    for column in tables.iter().flat_map(|table| &table.survey.columns) {
        if column.name != *label && names.insert(column.name.clone()) {
            uses.push((column.name.clone(), used(&column.name, tables)));
        }
    }
    let stem = args.study.file_stem().and_then(|stem| stem.to_str()).unwrap_or("study").to_lowercase();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(32).collect();
    let list = |of: &mut dyn Iterator<Item = &str>| of.map(quoted).collect::<Vec<_>>().join(", ");
    let features: Vec<&str> =
        uses.iter().filter(|(_, of)| !matches!(of, Use::LeftOut(_))).map(|(name, _)| name.as_str()).collect();
    if features.is_empty() {
        bail!("no column of all tables can be a feature; `histone data look` says what each one looks like");
    }
    let mut text = format!(
        "# Written by `histone study new`: read every line. Every key: docs/study-file.md.\nname = {}\ntitle = {}\ntask = \"{task}\"\n\n[table]\nlabel = {}\n",
        quoted(&name),
        quoted(&format!("{label} at {} sites", tables.len())),
        quoted(label)
    );
    if let Some(positive) = positive {
        writeln!(
            text,
            "positive = {}                # which cells of the label mean yes",
            quoted(&positive)
        )?;
    }
    writeln!(text, "features = [{}]", list(&mut features.iter().copied()))?;
    for (name, reason) in uses.iter().filter_map(|(name, of)| match of {
        Use::LeftOut(reason) => Some((name, reason)),
        _ => None,
    }) {
        writeln!(text, "# left out: {}, {}", plain(name), plain(reason))?;
    }
    writeln!(
        text,
        "missing = \"median\"                # or \"mean\", or \"drop\" for rows that lack a feature, or \"refuse\""
    )?;
    let further: BTreeSet<&str> =
        tables.iter().flat_map(|table| &table.survey.missing_codes).map(String::as_str).collect();
    let codes = MissingRules::default().codes;
    writeln!(text, "missing_codes = [{}]", list(&mut codes.iter().map(String::as_str).chain(further)))?;
    let days: Vec<String> = uses
        .iter()
        .filter(|(_, of)| matches!(of, Use::Day))
        .map(|(name, _)| format!("{} = \"day\"\n", quoted(name)))
        .collect();
    if !days.is_empty() {
        write!(text, "\n[table.kinds]\n{}", days.concat())?;
    }
    let levels: Vec<String> = uses
        .iter()
        .filter_map(|(name, of)| match of {
            Use::Levels(levels) => {
                Some(format!("{} = [{}]\n", quoted(name), list(&mut levels.iter().map(String::as_str))))
            }
            _ => None,
        })
        .collect();
    if !levels.is_empty() {
        write!(
            text,
            "\n[table.levels]                     # the first is what the others are compared with\n{}",
            levels.concat()
        )?;
    }
    for table in tables {
        write!(text, "\n[[participant]]\nname = {}\ndata = {}\n", quoted(&table.name), quoted(&table.path))?;
        if let Some(format) = table.survey.dialect.written() {
            writeln!(text, "format = {format}")?;
        }
        write!(
            text,
            "country = {}\nconsent = [\"DUO:0000006\"]            # health, medical or biomedical research: say what its owner allows\n",
            quoted(&args.country)
        )?;
    }
    let asked = queries.map_or(ASKED, |queries| queries.survey.rows);
    write!(
        text,
        "
[model]
name = \"model\"
predicts = {}
purpose = \"DUO:0000006\"
trainer = \"trainer\"
instant_payment = 50                 # tokens to each donor when training ends
query_price = 1
answers = {}                         # that one account may buy: those below, and one that every run buys to have it refunded
split = {{ donors = 70, trainer = 20, runner = 10 }}

[training]
{}ridge = 1
holdout = 0.2
min_survivors = 2

[committee]
members = [\"regulator\", \"ethics-board\", \"patients\", \"university\"]

[end_user]
",
        quoted(label),
        asked + 1,
        if task == "binary" { "rounds = 25\ntolerance = 1e-8\n" } else { "" }
    )?;
    match (queries, tables.first()) {
        (Some(queries), _) => {
            writeln!(text, "queries = {}", quoted(&queries.path))?;
            if let Some(format) = queries.survey.dialect.written() {
                writeln!(text, "format = {format}")?;
            }
        }
        (None, Some(first)) => {
            writeln!(text, "queries = {}", quoted(&first.path))?;
            if let Some(format) = first.survey.dialect.written() {
                writeln!(text, "format = {format}")?;
            }
            writeln!(text, "count = {ASKED}")?;
        }
        (None, None) => {}
    }
    Ok(text)
}

/// What the label is, and which of its cells mean yes.
fn task(args: &NewArgs, tables: &[Shown]) -> Result<(&'static str, Option<String>)> {
    if let Some(positive) = &args.positive {
        return Ok(("binary", Some(positive.clone())));
    }
    let columns = || tables.iter().filter_map(|table| find(table, &args.label));
    let mut cells: BTreeSet<&str> = BTreeSet::new();
    for column in columns() {
        cells.extend(column.frequent.iter().map(|(text, _)| text.as_str()));
    }
    let few = columns().all(|column| column.different <= 2) && cells.len() <= 2;
    let numbers = columns().all(|column| matches!(column.looks, Looks::Numbers { .. }));
    if few && cells.iter().all(|cell| matches!(*cell, "0" | "1")) {
        return Ok(("binary", Some("== 1".into())));
    }
    if few && let Some(yes) = cells.iter().find(|cell| YES.contains(&cell.to_lowercase().as_str())) {
        return Ok(("binary", Some(format!("== {yes}"))));
    }
    if numbers && columns().any(|column| column.different > 10) {
        return Ok(("number", None));
    }
    let cells: Vec<String> = cells.iter().map(|cell| format!("`{cell}`")).collect();
    bail!(
        "say which cells of `{}` mean yes, as in --positive \"== 1\"; it has {}",
        args.label,
        if cells.is_empty() { "many different ones".into() } else { cells.join(", ") }
    )
}

fn find<'a>(table: &'a Shown, name: &str) -> Option<&'a Surveyed> {
    table.survey.columns.iter().find(|column| column.name == name)
}

/// What becomes of a column, which has to be the same thing at all sites.
fn used(name: &str, tables: &[Shown]) -> Use {
    let mut of = Vec::new();
    for table in tables {
        match find(table, name) {
            Some(column) => of.push((table, column)),
            None => return Use::LeftOut(format!("which {} has not", table.name)),
        }
    }
    for (table, _) in &of {
        let about = |what: &[&str]| {
            table
                .survey
                .doubts
                .iter()
                .find(|doubt| doubt.column.as_deref() == Some(name) && what.contains(&doubt.about))
        };
        if about(&["identifier", "name", "birth"]).is_some() {
            return Use::LeftOut("which looks like something that tells who somebody is".into());
        }
        if let Some(doubt) = about(&["day", "spreadsheet", "levels", "range"]) {
            return Use::LeftOut(format!("which {} ({})", doubt.says, table.name));
        }
    }
    let known = || of.iter().filter(|(_, column)| column.looks != Looks::Nothing);
    if known().next().is_none() {
        return Use::LeftOut("which is empty".into());
    }
    if known().all(|(_, column)| matches!(column.looks, Looks::Numbers { .. })) {
        return Use::Number;
    }
    if known().all(|(_, column)| matches!(column.looks, Looks::Days { .. })) {
        return Use::Day;
    }
    let mut levels = BTreeSet::new();
    for (table, column) in known() {
        match &column.looks {
            Looks::Names(names) => levels.extend(names.iter().cloned()),
            Looks::Text => return Use::LeftOut("which is text of many kinds".into()),
            Looks::Numbers { .. } | Looks::Days { .. } | Looks::Nothing => {
                return Use::LeftOut(format!("which is of another kind at {}", table.name));
            }
        }
    }
    let levels: Vec<String> = levels.into_iter().collect();
    match levels.len() > 1 && check_levels(&levels).is_ok() {
        true => Use::Levels(levels),
        false => Use::LeftOut("which has one level, too many, or names that no study takes".into()),
    }
}
