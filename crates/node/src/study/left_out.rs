//! Columns that `features = "all numeric"` passes over: each with the cell that is no number, and what would take it.

use std::collections::BTreeMap;

use histone_genome::table::{CellPlace, CellProblem, ColumnKind as Cells, Looks, RawTable, Selection};

use super::check::Checker;
use super::error::StudyError;
use super::file::StudyFile;

/// A column that is no feature because it is not numeric.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOutColumn {
    /// Its name.
    pub name: String,
    /// Where a cell is that is no number, and what to write if the column is to be a feature.
    pub why: String,
}

/// Most levels that are offered for a column of names, and rows that each has at the least: what is rarer may be a person's own.
const MOST_LEVELS: usize = 8;
const LEAST_ROWS: usize = 5;

/// Columns of one name in all tables.
#[derive(Default)]
struct Seen<'a> {
    /// The tables that have it.
    tables: Vec<&'a RawTable>,
    /// The first cell that is no number, and why not.
    text: Option<(CellPlace, CellProblem)>,
}

/// The columns that are left out. One whose cells are numbers for the most part is an error: somebody wanted it.
pub(super) fn columns(
    checker: &Checker<'_>,
    file: &StudyFile,
    raw: &[&RawTable],
    selection: &Selection,
    features: &[String],
) -> Result<Vec<LeftOutColumn>, StudyError> {
    let mut seen: BTreeMap<&str, Seen<'_>> = BTreeMap::new();
    for &raw in raw {
        for (name, kind) in raw.columns().iter().zip(raw.column_kinds(&selection.missing)) {
            let known = features.contains(name) || selection.ignore.contains(name);
            if known || *name == selection.label || Some(name) == selection.outcome.event() {
                continue;
            }
            let column = seen.entry(name).or_default();
            column.tables.push(raw);
            if let (None, Cells::Text { at, problem }) = (&column.text, kind) {
                column.text = Some((at, problem));
            }
        }
    }
    let mut left_out = Vec::new();
    for (name, column) in seen {
        let Some((at, problem)) = column.text else { continue };
        let (mut numbers, mut present) = (0, 0);
        for raw in &column.tables {
            let (here, all) = raw.count_numbers(name, &selection.missing).unwrap_or_default();
            numbers += here;
            present += all;
        }
        if numbers * 2 > present {
            let message = format!(
                "\"all numeric\" would leave out `{}`, in which {numbers} of {present} cells are numbers or look like them; {at}: {}; or add the column to `ignore`",
                name.escape_debug(),
                match problem {
                    CellProblem::Text => {
                        "the cell is not a number; repair it, or add its text to `missing_codes`".to_owned()
                    }
                    other => other.to_string(),
                }
            );
            return checker.refuse(&file.table.features.span(), message);
        }
        let offer = offer(name, &column.tables, selection);
        left_out.push(LeftOutColumn { name: name.to_owned(), why: format!("{at}: {offer}") });
    }
    Ok(left_out)
}

/// What to write if the column is to be a feature.
fn offer(name: &str, tables: &[&RawTable], selection: &Selection) -> String {
    let looks: Vec<Looks> = tables.iter().filter_map(|raw| raw.look(name, &selection.missing).ok()).collect();
    if looks.iter().all(|looks| matches!(looks, Looks::Days { .. } | Looks::Nothing)) {
        return format!("its cells are days; to use it, write {name:?} = \"day\" under [table.kinds]");
    }
    let mut levels: BTreeMap<String, usize> = BTreeMap::new();
    for raw in tables {
        match raw.census(name, &selection.missing, MOST_LEVELS) {
            Ok(Some(codes)) => {
                codes.into_iter().for_each(|(level, n)| *levels.entry(level).or_default() += n)
            }
            Ok(None) | Err(_) => return many(),
        }
    }
    let common = levels.len() <= MOST_LEVELS && levels.values().all(|n| *n >= LEAST_ROWS);
    if !common || levels.len() < 2 {
        return many();
    }
    let levels: Vec<String> = levels.into_keys().collect();
    format!("its cells are names; to use it, write {name:?} = {levels:?} under [table.levels]")
}

fn many() -> String {
    "its cells are texts; to use it, name its levels under [table.levels]".to_owned()
}
