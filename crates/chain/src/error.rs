//! What can go wrong, in words for the operator.

use std::io;
use std::path::PathBuf;

use alloy_primitives::Address;

use crate::work::Stop;

/// An error of the chain: its files, its blocks or a transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// `create` found a chain already.
    #[error("`{}` already holds a chain; open it, or choose an empty directory", .0.display())]
    Exists(PathBuf),
    /// `open` found nothing.
    #[error("`{}` holds no chain", .0.display())]
    Missing(PathBuf),
    /// The file is locked.
    #[error("another process holds this chain: `{}`; stop that process and try again", .0.display())]
    Locked(PathBuf),
    /// The file is not what this program writes.
    #[error("the chain store is damaged: {what}: {detail}; restore the file from a copy")]
    Corrupt {
        /// Which entry.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The file was written by another version.
    #[error("the chain store has format version {found}, this program reads version {supported}")]
    Version {
        /// Version in the file.
        found: u64,
        /// Version that this program reads and writes.
        supported: u64,
    },
    /// The store failed.
    #[error("cannot {action} the chain store `{}`", path.display())]
    Store {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<redb::Error>,
    },
    /// The file system failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The key is not a secp256k1 key.
    #[error("the sequencer key is not a valid secp256k1 secret key")]
    SequencerKey,
    /// The key is another one than the genesis names.
    #[error("the genesis names the sequencer {expected}, but this key belongs to {found}")]
    WrongSequencer {
        /// Address in the genesis.
        expected: Address,
        /// Address of the key.
        found: Address,
    },
    /// A write to a chain without a key.
    #[error("this chain was opened read-only; open it with the sequencer key to add transactions")]
    ReadOnly,
    /// The genesis makes no sense.
    #[error("the genesis is not usable: {0}")]
    Genesis(String),
    /// A transaction that is not one, or not one for this chain.
    #[error("transaction {index} is not acceptable: {reason}")]
    TransactionMalformed {
        /// Position in the list handed in, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// A well-formed transaction that the state refuses. It leaves no trace.
    #[error("transaction {index} is refused: {reason}")]
    TransactionRefused {
        /// Position in the list handed in, from 0.
        index: usize,
        /// What is wrong.
        reason: String,
    },
    /// The engine failed without blaming the transaction.
    #[error("the engine could not execute transaction {index}: {reason}")]
    Engine {
        /// Position in the list handed in, from 0.
        index: usize,
        /// What it said.
        reason: String,
    },
    /// A block that does not follow from its parent.
    #[error("block {block} is not valid: its {field} is {found}, re-execution gives {computed}")]
    BlockInvalid {
        /// Number of the block.
        block: u64,
        /// Which part differs.
        field: &'static str,
        /// What the block says.
        found: String,
        /// What it should say.
        computed: String,
    },
    /// A block would be further ahead of the clock than is allowed.
    #[error(
        "block {block} is dated {timestamp}, but the clock of this chain shows {now}, and a block is at most {} s ahead \
         of it; set the clock right, or wait",
        crate::MAX_AHEAD
    )]
    AheadOfClock {
        /// Number of the block.
        block: u64,
        /// Its timestamp, unix seconds.
        timestamp: u64,
        /// What the clock shows, unix seconds.
        now: u64,
    },
    /// Somebody has used up what it may use for nothing.
    #[error("{what}; try again in {seconds} s")]
    TooMuch {
        /// Who has used up what.
        what: String,
        /// When there is some again.
        seconds: u64,
    },
    /// The work took more than it may, or nobody waits for it.
    #[error("stopped: {0}")]
    Stopped(Stop),
    /// A block was executed on a head that has moved since.
    #[error("block {block} does not follow the head, block {head}; propose it again")]
    StaleParent {
        /// Number of the block.
        block: u64,
        /// Number of the head.
        head: u64,
    },
}

impl ChainError {
    pub(crate) fn store(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<redb::Error>,
    ) -> ChainError {
        ChainError::Store { action, path: path.into(), source: Box::new(source.into()) }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> ChainError {
        ChainError::Io { action, path: path.into(), source }
    }

    pub(crate) fn corrupt(what: impl Into<String>, detail: impl ToString) -> ChainError {
        ChainError::Corrupt { what: what.into(), detail: detail.to_string() }
    }
}

// revm asks for this marker on the errors of a database.
impl revm::database_interface::DBErrorMarker for ChainError {}
