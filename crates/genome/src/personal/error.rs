//! What can be wrong with a personal file.

use std::fmt;

use crate::text::TextError;

/// Why a cell cannot be used. Never carries the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallProblem {
    /// No name of the marker.
    NoName,
    /// Not a chromosome.
    Chromosome,
    /// Not a position.
    Position,
    /// A position beyond the longest chromosome.
    PositionTooLarge,
    /// Not one or two letters out of `ACGTID`, nor a sign for a missing call.
    Genotype,
    /// A row of another sample than the rows before.
    OtherSample,
}

impl fmt::Display for CallProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "the marker has no name, or one of more than 255 bytes",
            Self::Chromosome => "this is no chromosome; known are 1 to 26, X, Y, XY, PAR, M and MT, also behind `chr`",
            Self::Position => "this is no position; write a whole number",
            Self::PositionTooLarge => "the position lies beyond the end of every chromosome",
            Self::Genotype => {
                "this is no genotype; known are one or two of the letters A, C, G, T, I and D, and `--`, `-`, `00` and `0` for a missing one"
            }
            Self::OtherSample => "the row is of another sample than those above it; give one file for each person",
        })
    }
}

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersonalError {
    /// The file cannot be read as text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// No line names the columns.
    #[error(
        "{file}, line {line}: no line names the columns; needed are a marker (`rsid`), `chromosome`, `position` and `genotype`, or two alleles"
    )]
    NoHeader {
        /// Name of the file.
        file: String,
        /// The first line that is no comment, from 1.
        line: u64,
    },
    /// Two columns of the header mean the same.
    #[error("{file}, line {line}: columns {first} and {second} of the header have one name; rename one")]
    DoubleColumn {
        /// Name of the file.
        file: String,
        /// Line of the header, from 1.
        line: u64,
        /// Column, from 1.
        first: usize,
        /// Column, from 1.
        second: usize,
    },
    /// No row below the header, or no line at all.
    #[error("{file}: has no row with a genotype")]
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
    /// A cell cannot be used.
    #[error("{file}, line {line}, column {column}: {problem}")]
    Cell {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
        /// Why.
        problem: CallProblem,
    },
}
