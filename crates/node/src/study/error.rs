//! What can be wrong with a study.

use std::fmt;

use histone_genome::table::TableError;

/// A place in the study file. Displays as `study.toml:12:8`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a study was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The study file cannot be read, or is not UTF-8.
    #[error("{file}: the study file cannot be read; check the path")]
    Unreadable {
        /// Path of the file.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The text is not TOML, or has a key that is unknown, missing, or of the wrong type.
    #[error("{at}: {message}")]
    Syntax {
        /// Where.
        at: Place,
        /// What the parser said.
        message: String,
    },
    /// A value is out of its range, or values contradict each other.
    #[error("{at}: {message}")]
    Rule {
        /// Where.
        at: Place,
        /// What is wrong and what to do.
        message: String,
    },
    /// A data file cannot be opened.
    #[error(
        "{at}: the data file `{path}` cannot be opened; paths that do not begin with ${{HISTONE_DATA}} are relative to the study file"
    )]
    NoData {
        /// Where the study file names it.
        at: Place,
        /// The path as written there.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A data file was opened and cannot be used.
    #[error("{at}: the data of `{party}` cannot be used")]
    Data {
        /// Where the study file names it.
        at: Place,
        /// Whose data.
        party: String,
        /// What is wrong with it; boxed, because every result carries the room for its error.
        #[source]
        source: Box<TableError>,
    },
}
