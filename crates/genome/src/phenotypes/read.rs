//! Reads a table of phenotypes.

use std::fmt;
use std::io::Read;

use super::error::{PhenotypeError, PhenotypeProblem};
use crate::text::{Lines, TextError, TextLimits, TextProblem};

/// A table of phenotypes, cells as text: eight bytes a cell beside the text itself. Its `Debug` shows neither ids nor cells.
#[derive(Clone)]
pub struct PhenotypeFile {
    pub(super) file: String,
    /// All columns, ids first.
    names: Vec<String>,
    /// Columns of ids in front: 1 (`IID`) or 2 (`FID IID`).
    ids: usize,
    /// All cells behind each other, and where each ends.
    text: String,
    ends: Vec<usize>,
    lines: Vec<u64>,
}

impl PhenotypeFile {
    /// Reads all of a table. `file` is its name in error messages. Lines that begin with `##` above the header are comments.
    /// Where the header has tabs, only tabs keep cells apart, else any blanks.
    ///
    /// # Errors
    /// [`PhenotypeError::Text`] when the file is no text or too large, [`NoHeader`](PhenotypeError::NoHeader),
    /// [`NoName`](PhenotypeError::NoName), [`DoubleColumn`](PhenotypeError::DoubleColumn),
    /// [`Empty`](PhenotypeError::Empty), [`RowLength`](PhenotypeError::RowLength),
    /// [`Cell`](PhenotypeError::Cell) for a row without an id.
    pub fn read(file: &str, reader: impl Read, limits: &TextLimits) -> Result<Self, PhenotypeError> {
        let mut lines = Lines::new(file, reader, limits);
        let header = loop {
            match lines.next()? {
                None => return Err(PhenotypeError::Empty { file: file.to_owned() }),
                Some(line) if line.starts_with("##") => {}
                Some(line) => break line.to_owned(),
            }
        };
        let tabs = header.contains('\t');
        let (names, ids) = read_header(file, lines.line(), &header, tabs)?;
        lines.check_columns(names.len())?;
        let mut table =
            Self { file: file.to_owned(), names, ids, text: String::new(), ends: vec![], lines: vec![] };
        let mut blank = None;
        loop {
            let number = lines.line() + 1;
            let Some(line) = lines.next()? else { break };
            if line.trim().is_empty() {
                blank.get_or_insert(number);
                continue;
            }
            if let Some(line) = blank {
                return Err(
                    TextError::Line { file: file.to_owned(), line, problem: TextProblem::Blank }.into()
                );
            }
            table.push_row(line, number, tabs)?;
            lines.check_rows(table.lines.len())?;
        }
        if table.lines.is_empty() {
            return Err(PhenotypeError::Empty { file: file.to_owned() });
        }
        Ok(table)
    }

    /// Name of the file as given to [`read`](Self::read).
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Names of the columns behind the ids, in file order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        self.names.get(self.ids..).unwrap_or_default()
    }

    /// Whether the table has family ids.
    #[must_use]
    pub fn has_families(&self) -> bool {
        self.ids == 2
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// Line of a row, from 1.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or(0)
    }

    /// Family and own id of a row. The family `0` is none.
    pub(super) fn id(&self, row: usize) -> (Option<&str>, &str) {
        match self.ids {
            2 => (Some(self.cell(row, 0)).filter(|family| *family != "0"), self.cell(row, 1)),
            _ => (None, self.cell(row, 0)),
        }
    }

    /// Number of a column among all, ids included.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns().iter().position(|column| column == name).map(|column| column + self.ids)
    }

    /// A cell; columns count from 0, ids included.
    pub(super) fn cell(&self, row: usize, column: usize) -> &str {
        let index = row * self.names.len() + column;
        let end = self.ends.get(index).copied().unwrap_or(0);
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before).copied()).unwrap_or(0);
        self.text.get(start..end).unwrap_or_default()
    }

    pub(super) fn cell_error(&self, row: usize, column: usize, problem: PhenotypeProblem) -> PhenotypeError {
        PhenotypeError::Cell {
            file: self.file.clone(),
            line: self.line(row),
            column: column + 1,
            name: self.names.get(column).cloned().unwrap_or_default(),
            problem,
        }
    }

    fn push_row(&mut self, line: &str, number: u64, tabs: bool) -> Result<(), PhenotypeError> {
        let row = self.lines.len();
        let before = self.ends.len();
        for cell in split(line, tabs) {
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
        self.lines.push(number);
        let (found, expected) = (self.ends.len() - before, self.names.len());
        if found != expected {
            let file = self.file.clone();
            if let (1, Some(separator)) = (found, separator_of(line)) {
                let expected_separator = if tabs { "tabs" } else { "blanks" };
                return Err(PhenotypeError::RowSeparated {
                    file,
                    line: number,
                    separator,
                    expected,
                    expected_separator,
                });
            }
            return Err(PhenotypeError::RowLength { file, line: number, found, expected });
        }
        if matches!(self.id(row).1, "" | "0") {
            return Err(self.cell_error(row, self.ids - 1, PhenotypeProblem::NoId));
        }
        Ok(())
    }
}

impl fmt::Debug for PhenotypeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhenotypeFile")
            .field("file", &self.file)
            .field("columns", &self.columns())
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}

fn read_header(
    file: &str,
    line: u64,
    header: &str,
    tabs: bool,
) -> Result<(Vec<String>, usize), PhenotypeError> {
    let header = header.strip_prefix('#').unwrap_or(header);
    let names: Vec<String> = split(header, tabs).map(str::to_owned).collect();
    let ids = match (names.first().map(String::as_str), names.get(1).map(String::as_str)) {
        (Some("FID"), Some("IID")) => 2,
        (Some("IID"), _) => 1,
        (first, _) => {
            let file = file.to_owned();
            let separator = first.and_then(separator_of).filter(|separator| *separator != "blanks");
            return Err(match separator {
                Some(separator) => PhenotypeError::Separated { file, line, separator },
                None => PhenotypeError::NoHeader { file, line },
            });
        }
    };
    if let Some(column) = names.iter().position(String::is_empty) {
        return Err(PhenotypeError::NoName { file: file.to_owned(), line, column: column + 1 });
    }
    let mut sorted: Vec<usize> = (0..names.len()).collect();
    sorted.sort_by_key(|column| names.get(*column));
    for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
        if names.get(*first) == names.get(*second) {
            let (first, second) = (first + 1, second + 1);
            return Err(PhenotypeError::DoubleColumn { file: file.to_owned(), line, first, second });
        }
    }
    Ok((names, ids))
}

/// What seems to keep the cells of a line apart that was taken for one cell.
fn separator_of(line: &str) -> Option<&'static str> {
    let signs = [(',', "commas"), (';', "semicolons"), ('|', "bars"), (' ', "blanks")];
    signs.into_iter().find(|(sign, _)| line.trim().contains(*sign)).map(|(_, name)| name)
}

fn split(line: &str, tabs: bool) -> impl Iterator<Item = &str> {
    let by_tabs = tabs.then(|| line.split('\t').map(str::trim)).into_iter().flatten();
    let by_blanks = (!tabs).then(|| line.split_ascii_whitespace()).into_iter().flatten();
    by_tabs.chain(by_blanks)
}
