//! A study as one of its parties has it: its own table, and no other.
//!
//! Where all tables are in one place, much is taken from them that a study file leaves out. Parties who have one table each would take
//! different things, and propose and sign what does not fit; so there the file says everything.

use histone_genome::table::{Column, Features, Kind, Label, Selection, Table, TableError};
use toml::Spanned;

use super::check::{Checker, Outline};
use super::error::StudyError;
use super::file::StudyFile;
use super::{Participant, Study};

/// A study, read by one of its parties.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StudyAs {
    /// The study. Only the party's own table has rows, and only the end user has questions.
    pub study: Study,
    /// The party.
    pub name: String,
    /// What it is in the study, such as `participant`.
    pub part: &'static str,
}

/// What only somebody who has all tables can look at.
const ELSEWHERE: [&str; 6] = [
    "whether every table has the columns, with cells of their kinds",
    "whether the rules of the outcome name every cell of it",
    "whether the ranges leave more than one in ten values of a site outside",
    "whether every site has enough rows, and enough of each class",
    "whether a feature is missing in every row of every table",
    "whether two participants have the same rows",
];
const QUESTIONS: &str = "whether the questions of the end user fit the model, and whether their number does";

impl StudyAs {
    /// The party as a participant, with its table.
    #[must_use]
    pub fn participant(&self) -> Option<&Participant> {
        self.study.participants.iter().find(|p| p.name == self.name)
    }

    /// Checks that need tables of others, and were left out.
    #[must_use]
    pub fn unchecked(&self) -> Vec<&'static str> {
        let mut left_out = ELSEWHERE.to_vec();
        if self.study.end_user.name != self.name {
            left_out.push(QUESTIONS);
        }
        left_out
    }
}

/// Finds a party by its name.
pub(super) fn seat(
    checker: &Checker<'_>,
    file: &StudyFile,
    study: Study,
    name: &str,
) -> Result<StudyAs, StudyError> {
    let parties = study.parties();
    let Some(&(_, part)) = parties.iter().find(|(party, _)| *party == name) else {
        let names: Vec<&str> = parties.iter().map(|(party, _)| *party).collect();
        let message =
            format!("nobody in this study is called `{}`; it has {}", name.escape_debug(), names.join(", "));
        return checker.refuse(&file.name.span(), message);
    };
    Ok(StudyAs { name: name.to_owned(), part, study })
}

/// Refuses a study that leaves to its tables what nobody can take from one of them.
pub(super) fn everything_stated(
    checker: &Checker<'_>,
    file: &StudyFile,
    outline: &Outline,
) -> Result<(), StudyError> {
    const WHY: &str = "with tables at several places nobody sees them all";
    let features = match &outline.features {
        Features::Named(names) => names,
        Features::AllNumeric => {
            let message = format!("`features` is \"all numeric\", and {WHY}: list the columns by name");
            return checker.refuse(&file.table.features.span(), message);
        }
    };
    let (label, event) = (&outline.label, outline.task.event());
    if let Some(name) = features.iter().find(|name| *name == label || Some(*name) == event) {
        let message = format!("`{}` is the outcome and cannot be a feature", name.escape_debug());
        return checker.refuse(&file.table.features.span(), message);
    }
    let schema = columns(features, label, &outline.task, |name| outline.kinds.get(name).cloned());
    if let Err(error) = Table::new(schema, Vec::new()) {
        let why = match error {
            TableError::Values { reason } => reason,
            other => other.to_string(),
        };
        return checker.refuse(&file.table.features.span(), format!("`features`: {why}"));
    }
    if let Some(rule) = outline.task.rule()
        && rule.negative.is_none()
        && rule.positive.names_one()
    {
        let table = &file.table;
        let at = table.positive.as_ref().or(table.label.as_ref()).or(table.event.as_ref());
        let message = format!(
            "`positive` names one value (`{}`) and nothing says what means no, and {WHY}: write it, as in `negative = \"== 0\"`",
            rule.positive
        );
        return checker.refuse(&at.map_or(file.task.span(), Spanned::span), message);
    }
    let measured = |name: &&String| outline.kinds.get(*name).unwrap_or(&Kind::Number).is_measured();
    let of_outcome = (!matches!(outline.task, Label::YesNo(_))).then_some(label);
    let lacking = features.iter().filter(measured).chain(of_outcome);
    let lacking: Vec<String> = lacking
        .filter(|name| !file.table.ranges.contains_key(*name))
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    if !lacking.is_empty() {
        let message = format!(
            "{} {} no range, and {WHY}: write the least and the largest plausible value under [table.ranges], such as `age = [0, 120]`",
            lacking.join(", "),
            if lacking.len() == 1 { "has" } else { "have" },
        );
        return checker.refuse(&file.table.features.span(), message);
    }
    Ok(())
}

/// The table of somebody else: its columns, and no row.
pub(super) fn no_rows(selection: &Selection, features: &[String]) -> Result<Table, TableError> {
    let kind = |name: &String| selection.kinds.get(name).cloned();
    Table::new(columns(features, &selection.label, &selection.outcome, kind), Vec::new())
}

fn columns(
    features: &[String],
    label: &String,
    outcome: &Label,
    kind: impl Fn(&String) -> Option<Kind>,
) -> Vec<Column> {
    let column = |name: &String| Column { name: name.clone(), kind: kind(name).unwrap_or(Kind::Number) };
    let mut columns: Vec<Column> = features.iter().map(column).collect();
    match outcome {
        Label::YesNo(_) => columns.push(Column::no_yes(label)),
        Label::Number => columns.push(column(label)),
        Label::EventTime { event, .. } => columns.extend([column(label), Column::no_yes(event)]),
    }
    columns
}
