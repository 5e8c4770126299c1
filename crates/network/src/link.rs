//! The way from one party to all others: letters, blobs, and the ledger's requests.
//!
//! Nothing that comes through it is believed: letters are opened with keys, blobs compared with their names, blocks executed again.
//! It can lose, delay, repeat and reorder, and nothing else. Calls block the thread for as long as they take.

use std::fmt;
use std::time::Duration;

use histone_protocol::{Address, B256};

/// The way to everybody else, as one party has it: it fetches from its own mailbox only.
pub trait Network: Send + Sync + fmt::Debug {
    /// Leaves a sealed letter in a mailbox. The same bytes again are no second letter.
    fn post(&self, mailbox: Address, letter: &[u8]) -> Result<(), NetworkError>;

    /// Some of the letters that wait in the own mailbox, the oldest first. They wait until they are [discarded](Network::discard).
    fn collect(&self) -> Result<Vec<Vec<u8>>, NetworkError>;

    /// Has letters forgotten that are safe here; by their [ids](histone_protocol::letter::letter_id).
    fn discard(&self, letters: &[B256]) -> Result<(), NetworkError>;

    /// Publishes a blob. The same again is no error.
    fn offer(&self, blob: &[u8]) -> Result<(), NetworkError>;

    /// Looks for a blob; `None` when nobody has it. What comes has the hash that was asked for.
    fn fetch(&self, hash: B256) -> Result<Option<Vec<u8>>, NetworkError>;

    /// Passes one JSON-RPC request, or a batch, on to the ledger's node and gives its answer.
    fn rpc(&self, request: &[u8]) -> Result<Vec<u8>, NetworkError>;

    /// Returns when the ledger has a block after `head`, or a letter waits, or `patience` is over.
    fn wait(&self, head: u64, patience: Duration) -> Result<Woken, NetworkError>;
}

/// What is new, as somebody says who is not believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Woken {
    /// The ledger has newer blocks.
    pub blocks: bool,
    /// Letters wait.
    pub letters: bool,
}

/// Why the network did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// It cannot be reached now; asking again later may help.
    #[error("{what} cannot be reached: {why}")]
    Unreachable {
        /// What: scheme, host and port.
        what: String,
        /// What the system says.
        why: String,
    },
    /// It answers and refuses; asking the same again does not help.
    #[error("{what} refuses: {why}")]
    Refused {
        /// Who.
        what: String,
        /// What it says.
        why: String,
    },
    /// It answers that it cannot now: a limit is reached, or its disk is full. Asking again later may help.
    #[error("{what} cannot do it now: {why}")]
    Busy {
        /// Who.
        what: String,
        /// What it says.
        why: String,
        /// How long it asks to be left alone, if it says so.
        after: Option<Duration>,
    },
    /// What was set for this way to others cannot be used.
    #[error("{0}")]
    Settings(String),
    /// It answers something that is no answer.
    #[error(
        "what {what} answers is not what a hub answers ({why}); is the address right, and does a proxy answer in its place?"
    )]
    Nonsense {
        /// Who.
        what: String,
        /// What was seen.
        why: String,
    },
    /// A file of the network cannot be used.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
}

impl NetworkError {
    /// Whether the same may work later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }
}
