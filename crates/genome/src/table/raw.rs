//! The file as text, and what a study takes from it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Read;

use super::dialect::{self, Dialect, Separator};
use super::error::{CellPlace, CellProblem, LineProblem, TableError};
use super::lexer::{End, Lexer};
use super::rule::Reading;
use super::survey::is_value;
use super::{
    Column, Day, Features, Kind, Label, Limits, MAX_ABS_VALUE, MissingCells, MissingRules, Selection, Table,
};
use super::{check_name, number};
use crate::vcf::bgzf;

/// Cells of a file, of which each takes eight bytes beside its text.
const MAX_CELLS: usize = 1 << 25;

/// A file that is a table: named columns and rows of text cells, all of one length, with their line numbers.
///
/// `Debug` prints the shape only, because the cells are people's data.
pub struct RawTable {
    file: String,
    columns: Vec<String>,
    /// All cells one after the other; a million small strings would cost ten times the file.
    text: String,
    /// End of each cell in `text`, row by row.
    ends: Vec<usize>,
    /// Line on which each row starts.
    lines: Vec<u64>,
    /// How its numbers are written.
    pub(super) numbers: number::Numbers,
}

/// Whether a column can be a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Every cell is a number or missing.
    Numeric,
    /// At least one cell is neither.
    Text {
        /// The first such cell.
        at: CellPlace,
        /// What it is instead.
        problem: CellProblem,
    },
}

/// Rows that a selection leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Rows whose outcome no rule names, or is missing, where the rule leaves these out.
    pub without_outcome: usize,
    /// Further rows that miss a feature, where these are dropped.
    pub incomplete: usize,
}

impl RawTable {
    /// Reads a comma-separated file with a header line, which may be compressed with gzip. `file` is its name in error messages.
    ///
    /// # Errors
    /// As [`read_as`](Self::read_as).
    pub fn read(file: &str, reader: impl Read, limits: &Limits) -> Result<Self, TableError> {
        Self::read_as(file, reader, Dialect::default(), limits)
    }

    /// Reads a file of any [`Dialect`] with a header line, which may be compressed with gzip. Rows without any cell at the end, and
    /// columns at the end that have neither a name nor a cell, are what spreadsheets leave behind, and nobody's data: they are passed over.
    ///
    /// # Errors
    /// [`TableError::Read`], [`TooLarge`](TableError::TooLarge), [`Kind`](TableError::Kind), [`Line`](TableError::Line),
    /// [`Separator`](TableError::Separator), [`RowLength`](TableError::RowLength), [`ColumnName`](TableError::ColumnName),
    /// [`NoHeader`](TableError::NoHeader), [`DuplicateColumn`](TableError::DuplicateColumn), [`Empty`](TableError::Empty).
    pub fn read_as(
        file: &str,
        reader: impl Read,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<Self, TableError> {
        let bytes = bytes(file, reader, limits)?;
        let text = dialect::decode(file, &bytes, dialect.encoding)?;
        Self::of_text(file, &text, dialect, limits)
    }

    /// The same of text in memory.
    pub(super) fn of_text(
        file: &str,
        text: &str,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<Self, TableError> {
        let line_error = |(line, problem)| TableError::Line { file: file.to_owned(), line, problem };
        let mut lexer = Lexer::new(text, dialect.separator.byte());
        if lexer.is_done() {
            return Err(TableError::Empty { file: file.to_owned() });
        }
        let (columns, width) = read_header(file, &mut lexer, dialect.separator, limits)?;
        let mut table = Self {
            file: file.to_owned(),
            columns,
            text: String::new(),
            ends: vec![],
            lines: vec![],
            numbers: dialect.numbers,
        };
        while !lexer.is_done() {
            let line = lexer.line();
            if lexer.at_blank_line() {
                if lexer.only_blank_lines_follow() {
                    break;
                }
                return Err(line_error((line, LineProblem::Blank)));
            }
            let mut found = 0;
            loop {
                let before = table.text.len();
                let end = lexer.cell(&mut table.text).map_err(line_error)?;
                found += 1;
                if found <= table.columns.len() {
                    table.ends.push(table.text.len());
                } else if table.text.len() > before && found <= width {
                    let reason = "the column has no name and holds cells; name it in the header line";
                    return Err(TableError::ColumnName { file: file.to_owned(), column: found, reason });
                }
                if end != End::Cell {
                    break;
                }
            }
            if found != width {
                return Err(TableError::RowLength { file: file.to_owned(), line, found, expected: width });
            }
            table.lines.push(line);
            check_limit(file, "rows", table.lines.len(), limits.rows)?;
            // A packed file can have cells by the hundred million, of one byte each.
            check_limit(file, "cells", table.ends.len(), MAX_CELLS)?;
        }
        table.forget_empty_rows_at_the_end();
        if table.lines.is_empty() {
            return Err(TableError::Empty { file: file.to_owned() });
        }
        Ok(table)
    }

    /// Rows at the end of which every cell is empty. A single column may be one of empty cells.
    fn forget_empty_rows_at_the_end(&mut self) {
        let width = self.columns.len();
        while width > 1 && !self.lines.is_empty() {
            let before = self.ends.len() - width;
            let start = before.checked_sub(1).and_then(|at| self.ends.get(at)).copied().unwrap_or(0);
            if self.text.len() > start {
                break;
            }
            self.ends.truncate(before);
            self.lines.pop();
        }
    }

    /// Name of the file as given to [`read`](Self::read).
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Names of the columns in file order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows below the header.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Line of the file on which a row starts, from 1.
    #[must_use]
    pub fn line(&self, row: usize) -> Option<u64> {
        self.lines.get(row).copied()
    }

    /// Whether each column could be a feature, in the order of [`columns`](Self::columns).
    #[must_use]
    pub fn column_kinds(&self, missing: &MissingRules) -> Vec<ColumnKind> {
        (0..self.columns.len())
            .map(|column| {
                let first_problem = (0..self.rows()).find_map(|row| {
                    let cell = self.cell(row, column);
                    if is_missing(cell, missing) {
                        return None;
                    }
                    self.numbers.parse(cell).err().map(|problem| (row, problem))
                });
                match first_problem {
                    None => ColumnKind::Numeric,
                    Some((row, problem)) => ColumnKind::Text { at: self.place(row, column), problem },
                }
            })
            .collect()
    }

    /// Takes features and outcome out of the file; the outcome stands in the last column, or in the last two.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn) for a name that the file lacks, [`Selection`](TableError::Selection) for a list
    /// that contradicts itself, [`Cell`](TableError::Cell) for the first cell that cannot be used,
    /// [`NoFeatures`](TableError::NoFeatures), [`AllDropped`](TableError::AllDropped),
    /// [`OneClass`](TableError::OneClass).
    pub fn select(&self, selection: &Selection) -> Result<Table, TableError> {
        Ok(self.select_and_count(selection)?.0)
    }

    /// As [`select`](Self::select), with the number of rows that were left out.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn select_and_count(&self, selection: &Selection) -> Result<(Table, LeftOut), TableError> {
        let (table, left_out, _) = self.select_rows(selection)?;
        Ok((table, left_out))
    }

    /// The same, with the rows of this file that became rows of the table, from 0.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn select_rows(&self, selection: &Selection) -> Result<(Table, LeftOut, Vec<usize>), TableError> {
        let names = self.features(selection)?;
        let Selection { label, outcome, kinds, missing, .. } = selection;
        let kind_of = |name: &String| kinds.get(name).cloned().unwrap_or(Kind::Number);
        let column = |name: &String| Column { name: name.clone(), kind: kind_of(name) };
        let mut columns: Vec<Column> = names.iter().map(column).collect();
        match outcome {
            Label::YesNo(_) => columns.push(Column::no_yes(label)),
            Label::Number => columns.push(column(label)),
            Label::EventTime { event, .. } => columns.extend([column(label), Column::no_yes(event)]),
        }
        let outcomes = self.outcomes(selection)?;
        let refusal = (missing.cells == MissingCells::Refuse).then_some(CellProblem::MissingRefused);
        let features = self.values(&names, kinds, missing, refusal)?;
        let mut values = Vec::with_capacity(self.rows().saturating_mul(columns.len()));
        let mut left_out = LeftOut::default();
        let of_outcome = columns.len().saturating_sub(names.len()).max(1);
        let mut rows = Vec::new();
        let lines = features.chunks_exact(names.len()).zip(outcomes.chunks_exact(of_outcome));
        for (index, (row, outcome)) in lines.enumerate() {
            if outcome.iter().any(|v| v.is_nan()) {
                left_out.without_outcome += 1;
            } else if missing.cells == MissingCells::Drop && row.iter().any(|v| v.is_nan()) {
                left_out.incomplete += 1;
            } else {
                rows.push(index);
                values.extend_from_slice(row);
                values.extend_from_slice(outcome);
            }
        }
        if values.is_empty() {
            return Err(TableError::AllDropped { file: self.file.clone() });
        }
        let table = Table::new(columns, values)?;
        if let Label::YesNo(rule) = outcome {
            let yes = table.column(names.len()).filter(|label| *label == 1.0).count();
            if yes == 0 || yes == table.rows() {
                return Err(TableError::OneClass {
                    file: self.file.clone(),
                    rows: table.rows(),
                    class: if yes == 0 { "negative" } else { "positive" },
                    label: label.clone(),
                    rule: rule.positive.to_string(),
                });
            }
        }
        Ok((table, left_out, rows))
    }

    /// The cells of a column as they stand in the file.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn).
    pub fn texts(&self, column: &str) -> Result<Vec<&str>, TableError> {
        let index = self.index(column)?;
        Ok((0..self.rows()).map(|row| self.cell(row, index)).collect())
    }

    /// Names of the columns that `selection` makes features, in their order.
    ///
    /// # Errors
    /// As [`select`](Self::select), for names only.
    pub fn features(&self, selection: &Selection) -> Result<Vec<String>, TableError> {
        let label = self.index(&selection.label)?;
        let event = selection.outcome.event();
        let event = event.map(|event| self.index(event)).transpose()?;
        if event == Some(label) {
            let reason = "is the time and the event as well; name two columns";
            return Err(TableError::Selection { name: selection.label.clone(), reason });
        }
        let refuse = |name: &str, reason| Err(TableError::Selection { name: name.to_owned(), reason });
        let features = match &selection.features {
            Features::AllNumeric => {
                let kinds = self.column_kinds(&selection.missing);
                let wanted = self.columns.iter().zip(kinds).enumerate().filter(|(index, (name, kind))| {
                    let usable = *kind == ColumnKind::Numeric || selection.kinds.contains_key(*name);
                    *index != label && Some(*index) != event && !selection.ignore.contains(name) && usable
                });
                wanted.map(|(_, (name, _))| name.clone()).collect()
            }
            Features::Named(names) => {
                for (index, name) in names.iter().enumerate() {
                    if *name == selection.label {
                        return refuse(name, "is the label and cannot be a feature");
                    }
                    if Some(name) == selection.outcome.event() {
                        return refuse(name, "is the event and cannot be a feature");
                    }
                    if selection.ignore.contains(name) {
                        return refuse(name, "is both a feature and ignored; remove it from one list");
                    }
                    if names.iter().take(index).any(|earlier| earlier == name) {
                        return refuse(name, "is listed twice as a feature; remove one");
                    }
                    self.index(name)?;
                }
                names.clone()
            }
        };
        if features.is_empty() {
            return Err(TableError::NoFeatures { file: self.file.clone() });
        }
        for (name, kind) in &selection.kinds {
            let label = *name == selection.label && !matches!(selection.outcome, Label::YesNo(_));
            if label && !matches!(kind, Kind::Number | Kind::Whole) {
                return refuse(name, "is the label, and can only be a number or a whole number");
            }
            if !label && !features.contains(name) {
                return refuse(name, "has a kind or levels and is no feature; remove it there");
            }
        }
        let number = |name: &&String| {
            let kind = selection.kinds.get(*name).unwrap_or(&Kind::Number);
            features.contains(name) && matches!(kind, Kind::Number | Kind::Whole)
        };
        if let Some(name) = selection.missing.zero_is_missing.iter().find(|name| !number(name)) {
            return refuse(
                name,
                "is named in `zero_is_missing` and is not a numeric feature; remove it there",
            );
        }
        Ok(features)
    }

    /// The outcome of each row, one number after the other: a number; 1 for yes and 0 for no; or a time, then 1 where the event was
    /// seen and 0 where not. `NaN` stands in a row that the rule leaves out.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn), or [`Cell`](TableError::Cell) for an outcome that is missing or cannot be read.
    pub fn outcomes(&self, selection: &Selection) -> Result<Vec<f64>, TableError> {
        let Selection { label, outcome, kinds, missing, .. } = selection;
        let column = self.index(label)?;
        let event = outcome.event().map(|event| self.index(event)).transpose()?;
        let kind = kinds.get(label).unwrap_or(&Kind::Number);
        let mut reading = outcome.rule().map(Reading::by);
        let mut values = Vec::with_capacity(self.rows());
        for row in 0..self.rows() {
            let refused = |column, problem| self.refuse(row, column, problem);
            let mut yes_no = |column| {
                let cell = self.cell(row, column);
                // A yes/no outcome and an event have a rule; without one nothing is named.
                let Some(reading) = &mut reading else {
                    return Err(refused(column, CellProblem::LabelUnnamed));
                };
                let value = match is_missing(cell, missing) {
                    true => reading.missing(),
                    false => self.numbers.plain(cell).and_then(|cell| reading.read(&cell)),
                };
                value.map_err(|problem| refused(column, problem))
            };
            let seen = match (outcome, event) {
                (Label::YesNo(_), _) => {
                    values.push(yes_no(column)?);
                    continue;
                }
                (_, Some(event)) => Some(yes_no(event)?),
                (_, None) => None,
            };
            let cell = self.cell(row, column);
            let value = match is_missing(cell, missing) {
                true if outcome.rule().is_some_and(|rule| rule.other == super::Other::LeaveOut) => f64::NAN,
                true => return Err(refused(column, CellProblem::LabelMissing)),
                false => read_cell(cell, kind, self.numbers).map_err(|problem| refused(column, problem))?,
            };
            if seen.is_some() && value < 0.0 {
                return Err(refused(column, CellProblem::NegativeTime));
            }
            values.push(value);
            values.extend(seen);
        }
        Ok(values)
    }

    /// Rows of features without labels, as a query brings them: one `Vec` of `columns.len()` values per row.
    ///
    /// No row may be lost here, so [`MissingCells::Drop`] refuses a missing cell as [`MissingCells::Refuse`] does.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn) or [`Cell`](TableError::Cell).
    pub fn query_rows(
        &self,
        columns: &[String],
        kinds: &BTreeMap<String, Kind>,
        missing: &MissingRules,
    ) -> Result<Vec<Vec<f64>>, TableError> {
        let refusal = match missing.cells {
            MissingCells::Keep => None,
            MissingCells::Refuse => Some(CellProblem::MissingRefused),
            MissingCells::Drop => Some(CellProblem::MissingInQuery),
        };
        let values = self.values(columns, kinds, missing, refusal)?;
        Ok(values.chunks(columns.len().max(1)).map(<[f64]>::to_vec).collect())
    }

    /// `refusal` is the complaint about a missing cell; without one, missing cells are `NaN`.
    fn values(
        &self,
        columns: &[String],
        kinds: &BTreeMap<String, Kind>,
        missing: &MissingRules,
        refusal: Option<CellProblem>,
    ) -> Result<Vec<f64>, TableError> {
        let columns: Vec<(usize, bool, &Kind)> = columns
            .iter()
            .map(|name| {
                let kind = kinds.get(name).unwrap_or(&Kind::Number);
                Ok((self.index(name)?, missing.zero_is_missing.contains(name), kind))
            })
            .collect::<Result<_, TableError>>()?;
        let mut values = Vec::with_capacity(self.rows().saturating_mul(columns.len()));
        for row in 0..self.rows() {
            for (column, zero_is_missing, kind) in &columns {
                let cell = self.cell(row, *column);
                let refused = |problem| self.refuse(row, *column, problem);
                let value = if is_missing(cell, missing) {
                    f64::NAN
                } else {
                    read_cell(cell, kind, self.numbers).map_err(refused)?
                };
                let value = if *zero_is_missing && value == 0.0 { f64::NAN } else { value };
                if let (true, Some(problem)) = (value.is_nan(), refusal) {
                    return Err(refused(problem));
                }
                values.push(value);
            }
        }
        Ok(values)
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, TableError> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| {
            let mut header: Vec<&str> = self.columns.iter().map(String::as_str).take(20).collect();
            // A row taken for a header must not be shown.
            let numbers = self.columns.iter().filter(|name| is_value(name)).count();
            let again = |(index, name): (usize, &String)| (0..self.rows()).any(|row| self.cell(row, index) == name);
            if numbers > 0 || self.columns.iter().enumerate().any(again) {
                let header = format!(
                    "names that are not shown, because they look like cells of a row ({numbers} of {} are numbers or days); the first line has to name the columns",
                    self.columns.len()
                );
                return TableError::NoColumn { file: self.file.clone(), name: name.to_owned(), header };
            }
            if self.columns.len() > header.len() {
                header.push("…");
            }
            TableError::NoColumn { file: self.file.clone(), name: name.to_owned(), header: header.join(", ") }
        })
    }

    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        let index = row * self.columns.len() + column;
        let start = index.checked_sub(1).and_then(|index| self.ends.get(index)).copied().unwrap_or(0);
        // Every row was read with `columns.len()` cells, so the default is never taken.
        self.ends.get(index).and_then(|end| self.text.get(start..*end)).unwrap_or_default()
    }

    fn place(&self, row: usize, column: usize) -> CellPlace {
        CellPlace {
            file: self.file.clone(),
            line: self.line(row).unwrap_or_default(),
            column: column + 1,
            name: self.columns.get(column).cloned().unwrap_or_default(),
        }
    }

    pub(super) fn refuse(&self, row: usize, column: usize, problem: CellProblem) -> TableError {
        TableError::Cell { at: self.place(row, column), problem }
    }
}

impl fmt::Debug for RawTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTable")
            .field("file", &self.file)
            .field("columns", &self.columns.len())
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}

/// All bytes of a file, or of what is compressed in it, up to a limit.
pub(super) fn bytes(file: &str, reader: impl Read, limits: &Limits) -> Result<Vec<u8>, TableError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file of the largest size from a larger one.
    let most = u64::try_from(limits.bytes).unwrap_or(u64::MAX).saturating_add(1);
    let unpacking = bgzf::Limits { end_marker: bgzf::EndMarker::Optional, ..bgzf::Limits::default() };
    bgzf::Reader::new(reader, unpacking)
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|source| TableError::Read { file: file.to_owned(), source })?;
    check_limit(file, "bytes", bytes.len(), limits.bytes)?;
    Ok(bytes)
}

/// The names of the columns, and how many cells each row has: columns at the end may have no name.
fn read_header(
    file: &str,
    lexer: &mut Lexer<'_>,
    separator: Separator,
    limits: &Limits,
) -> Result<(Vec<String>, usize), TableError> {
    let line_error = |(line, problem)| TableError::Line { file: file.to_owned(), line, problem };
    if lexer.at_blank_line() {
        return Err(line_error((1, LineProblem::Blank)));
    }
    let mut columns = Vec::new();
    loop {
        let mut name = String::new();
        let end = lexer.cell(&mut name).map_err(line_error)?;
        columns.push(name);
        check_limit(file, "columns", columns.len(), limits.columns)?;
        if end != End::Cell {
            break;
        }
    }
    // What Excel writes and obeys.
    if columns.first().is_some_and(|first| first.len() <= 5 && first.to_lowercase().starts_with("sep="))
        && columns.len() <= 2
    {
        return Err(line_error((1, LineProblem::Instruction)));
    }
    if let [only] = columns.as_slice() {
        let other = |other: &&Separator| **other != separator && only.contains(other.sign());
        if let Some(other) = Separator::ALL.iter().find(other) {
            let file = file.to_owned();
            return Err(TableError::Separator { file, what: other.says(), sign: other.written() });
        }
    }
    let width = columns.len();
    let named = columns.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    // A header of empty cells is none, and has its error below.
    columns.truncate(named.max(1));
    let mut seen = HashMap::new();
    for (index, name) in columns.iter().enumerate() {
        let column = index + 1;
        check_name(name).map_err(|reason| TableError::ColumnName {
            file: file.to_owned(),
            column,
            reason,
        })?;
        if let Some(first) = seen.insert(name.as_str(), column) {
            let numbers = columns.iter().filter(|name| is_value(name)).count();
            return Err(if numbers > 0 {
                TableError::NoHeader { file: file.to_owned(), numbers, cells: columns.len() }
            } else {
                TableError::DuplicateColumn {
                    file: file.to_owned(),
                    name: name.clone(),
                    first,
                    second: column,
                }
            });
        }
    }
    Ok((columns, width))
}

fn check_limit(file: &str, what: &'static str, found: usize, limit: usize) -> Result<(), TableError> {
    if found > limit {
        return Err(TableError::TooLarge { file: file.to_owned(), what, limit });
    }
    Ok(())
}

/// The value of a cell that is not missing.
pub(super) fn read_cell(cell: &str, kind: &Kind, numbers: number::Numbers) -> Result<f64, CellProblem> {
    let value = match kind {
        Kind::Number => numbers.parse(cell)?,
        Kind::Whole => number::whole(cell, numbers)?,
        Kind::Day => return Ok(f64::from(cell.parse::<Day>()?.since_1970())),
        Kind::Category(levels) => {
            let level = levels.iter().position(|level| level == cell).ok_or(CellProblem::NoLevel)?;
            return Ok(level as f64);
        }
        // Genotypes stand in files of their own; no cell is one.
        Kind::Genotypes { .. } => return Err(CellProblem::NoLevel),
    };
    if value.abs() > MAX_ABS_VALUE { Err(CellProblem::OutOfRange) } else { Ok(value) }
}

pub(super) fn is_missing(cell: &str, rules: &MissingRules) -> bool {
    rules.codes.iter().any(|code| code == cell)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What the `csv` crate writes is read back cell by cell, with the right line numbers.
        #[test]
        fn agrees_with_the_csv_crate(
            rows in prop::collection::vec(prop::collection::vec("[a1 ,\"\n\r.é]{0,6}", 3), 1..8),
            always_quoted in any::<bool>(),
            crlf in any::<bool>(),
        ) {
            let style = if always_quoted { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
            let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer =
                csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(vec![]);
            writer.write_record(["x", "y", "z"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let file = writer.into_inner().unwrap();
            let raw = RawTable::read("p.csv", file.as_slice(), &Limits::default());
            // Rows of empty cells at the end are nobody's.
            let filled = rows.iter().rposition(|row| row.iter().any(|cell| !cell.is_empty()));
            let Some(last) = filled else {
                let is_empty = matches!(raw, Err(TableError::Empty { .. }));
                prop_assert!(is_empty, "nothing but empty rows");
                return Ok(());
            };
            let raw = raw.unwrap();
            prop_assert_eq!(raw.rows(), last + 1);
            let mut line = 2;
            for (index, row) in rows.iter().take(last + 1).enumerate() {
                prop_assert_eq!(raw.line(index), Some(line));
                for (column, cell) in row.iter().enumerate() {
                    prop_assert_eq!(raw.cell(index, column), cell);
                    line += cell.matches('\n').count() as u64;
                }
                line += 1;
            }
        }
    }
}
