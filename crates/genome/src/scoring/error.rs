//! What can be wrong with a scoring file.

use std::fmt;

use crate::text::TextError;

/// Why a cell cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScoreProblem {
    /// No effect allele.
    NoAllele,
    /// The effect allele and the other allele are one.
    SameAlleles,
    /// A weight that is no finite decimal.
    Weight,
    /// A row without a weight.
    NoWeight,
    /// A position that is no whole number from 1 to 250,000,000.
    Position,
    /// Something else than `True` or `False`.
    Flag,
    /// A kind of effect that is not known.
    Effect,
}

impl fmt::Display for ScoreProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAllele => "the allele is missing",
            Self::SameAlleles => "the effect allele and the other allele are the same",
            Self::Weight => "the weight is not a finite number; write a decimal such as -1.5e-2",
            Self::NoWeight => {
                "the row has no weight; give one for the allele, or one for each of 0, 1 and 2 copies"
            }
            Self::Position => "this is no position; write a whole number between 1 and 250000000",
            Self::Flag => "this is neither True nor False",
            Self::Effect => {
                "this kind of effect is not known; known are additive, dominant, recessive and nonadditive"
            }
        })
    }
}

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoringError {
    /// The file cannot be read as text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A line of the header is no `#key=value`.
    #[error("{file}, line {line}: {reason}")]
    Header {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A column is missing.
    #[error(
        "{file}, line {line}: the table has no column `{name}`; is this a scoring file of the PGS Catalog?"
    )]
    NoColumn {
        /// Name of the file.
        file: String,
        /// Line with the names of the columns, from 1.
        line: u64,
        /// The column, or what would do instead.
        name: &'static str,
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
    #[error("{file}: has no variant")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// A row has more or fewer cells than there are columns.
    #[error("{file}, line {line}: has {found} cells, there are {expected} columns")]
    RowLength {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Cells of the row.
        found: usize,
        /// Columns.
        expected: usize,
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
        name: &'static str,
        /// Why.
        problem: ScoreProblem,
    },
}
