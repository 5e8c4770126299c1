//! What can be wrong with a table of phenotypes.

use std::fmt;

use crate::text::TextError;

/// Why a cell cannot be used. Never carries the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PhenotypeProblem {
    /// No id of a person, or the id `0`.
    NoId,
    /// Nothing stands between two tabs, and nothing is no missing code.
    Empty,
    /// Text that is no finite number and no missing code.
    NotNumber,
    /// A number that is not of the two of a case and a control.
    NoCase,
}

impl fmt::Display for PhenotypeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoId => "the id is missing; 0 is none either",
            Self::Empty => "the cell is empty; write a missing code such as NA",
            Self::NotNumber => {
                "the cell is neither a finite number nor a missing code; write a decimal such as -1.5e-2, or name the code"
            }
            Self::NoCase => {
                "the number means neither a case nor a control; controls are 1 and cases 2, or controls 0 and cases 1"
            }
        })
    }
}

/// Why a table was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhenotypeError {
    /// The file cannot be read as text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The first line does not begin with `FID IID` or `IID`.
    #[error(
        "{file}, line {line}: the first line does not name the columns; begin it with `#FID IID` or `#IID`"
    )]
    NoHeader {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
    },
    /// The first line looks like one of a table that commas or semicolons keep apart.
    #[error(
        "{file}, line {line}: the cells look separated by {separator}; separate them by tabs or blanks, and begin the first line with `#FID IID` or `#IID`"
    )]
    Separated {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What stands between the cells.
        separator: &'static str,
    },
    /// A row whose cells are kept apart by something else than those of the header.
    #[error(
        "{file}, line {line}: is one cell that looks like several separated by {separator}, and the header has {expected} separated by {expected_separator}"
    )]
    RowSeparated {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What stands between the cells of the row.
        separator: &'static str,
        /// Cells of the header.
        expected: usize,
        /// What stands between these.
        expected_separator: &'static str,
    },
    /// A column has no name.
    #[error("{file}, line {line}, column {column}: the column has no name; name it in the header line")]
    NoName {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
    },
    /// Two columns have one name.
    #[error("{file}, line {line}: columns {first} and {second} have one name; rename one")]
    DoubleColumn {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        first: usize,
        /// Column, from 1.
        second: usize,
    },
    /// No row.
    #[error("{file}: has no rows below the header line")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// A row has more or fewer cells than the header.
    #[error("{file}, line {line}: has {found} cells, the header has {expected}")]
    RowLength {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Cells of the row.
        found: usize,
        /// Cells of the header.
        expected: usize,
    },
    /// A column that was asked for is not there.
    #[error("{file}: has no column `{name}` of phenotypes or covariates")]
    NoColumn {
        /// Name of the file.
        file: String,
        /// The name asked for.
        name: String,
    },
    /// One column was asked for twice.
    #[error("the column `{name}` is asked for twice")]
    AskedTwice {
        /// The name.
        name: String,
    },
    /// Several rows are of one person.
    #[error(
        "{file}, line {line}: the person of line {first} has another row here, and {count} rows repeat others in all; leave one for each person"
    )]
    DoubleRow {
        /// Name of the file.
        file: String,
        /// Line of the first row that repeats another, from 1.
        line: u64,
        /// Line of the row that it repeats.
        first: u64,
        /// Rows that repeat others.
        count: usize,
    },
    /// Two samples of the genotypes have one id.
    #[error(
        "samples {first} and {second} of the genotypes have one id; rename one, or give family ids in both files"
    )]
    DoubleSample {
        /// Sample, from 1.
        first: usize,
        /// Sample, from 1.
        second: usize,
    },
    /// No row belongs to any sample.
    #[error(
        "{file}: none of its {rows} rows has the id of one of the {samples} samples; check that both files use the same ids"
    )]
    NoneMatch {
        /// Name of the file.
        file: String,
        /// Rows.
        rows: usize,
        /// Samples.
        samples: usize,
    },
    /// A cell cannot be used.
    #[error("{file}, line {line}, column {column} (`{name}`): {problem}")]
    Cell {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
        /// Name of the column.
        name: String,
        /// Why.
        problem: PhenotypeProblem,
    },
}
