//! Why the store did not do what was asked, for the person who runs the node.

use std::path::{Path, PathBuf};

use histone_protocol::Address;
use rusqlite::{Error, ErrorCode};

/// Why the store did not do what was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFault {
    /// No room.
    #[error(
        "the disk that holds `{0}` is full; nothing was changed. Free some space there: the node goes on by itself"
    )]
    Full(PathBuf),
    /// It may not be written.
    #[error(
        "`{0}` cannot be written; nothing was changed. Give the user who runs the node the right to write the file and its directory, and mount the disk for writing"
    )]
    ReadOnly(PathBuf),
    /// What is in it is not what was written.
    #[error(
        "`{path}` is damaged ({what}). Stop the node, keep a copy of the file, and restore the home from a backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A later program wrote it.
    #[error(
        "`{path}` is a store of version {found}, made by a newer program; this one knows versions up to {known}. Install the newer program, or restore a backup that was made before"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Another program's file.
    #[error("`{0}` is the SQLite file of another program; name the home of a node")]
    Foreign(PathBuf),
    /// Somebody else writes for longer than anybody should.
    #[error(
        "`{0}` is held by another process; nothing was changed. Close the program that has it open (a shell of SQLite, a copy that is being made) and try again"
    )]
    Busy(PathBuf),
    /// It cannot be opened, or the disk refuses.
    #[error(
        "`{path}` cannot be opened, read or written: {why}. See that the directory exists, that the user who runs the node may use it, and that the disk is well"
    )]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Two purposes, one letter.
    #[error(
        "the letter for `{purpose}` to {to} has the bytes of a letter that was prepared before; this is a mistake of the program"
    )]
    SameLetter {
        /// To whom.
        to: Address,
        /// For what.
        purpose: String,
    },
    /// The store was asked for something by what it was waiting for.
    #[error("`{0}` was asked from inside of one of its own changes; this is a mistake of the program")]
    Inside(PathBuf),
    /// Anything else.
    #[error("`{path}` did not do what was asked: {why}; this is a mistake of the program")]
    Other {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
}

impl StoreFault {
    /// What an error of SQLite means for the file.
    pub(super) fn of(path: &Path, error: Error) -> Self {
        let path = path.to_owned();
        let why = error.to_string();
        let code = match &error {
            Error::SqliteFailure(failure, _) => failure.code,
            Error::SqlInputError { error, .. } => error.code,
            // The columns have types and checks: other values got there by damage.
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..) => {
                return StoreFault::Damaged { path, what: why };
            }
            _ => return StoreFault::Other { path, why },
        };
        match code {
            ErrorCode::DiskFull => StoreFault::Full(path),
            ErrorCode::ReadOnly => StoreFault::ReadOnly(path),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreFault::Damaged { path, what: why },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreFault::Busy(path),
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed => StoreFault::Disk { path, why },
            _ => StoreFault::Other { path, why },
        }
    }
}
