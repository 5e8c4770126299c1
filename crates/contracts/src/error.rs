//! Why a ledger did not do what was asked.

use std::error::Error;

use alloy_primitives::{Address, B256};

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A contract refused; the explanation is its own error with arguments.
    #[error("the ledger refused `{name}`: {explanation}")]
    Refused {
        /// Name of the transaction or view.
        name: String,
        /// The contract's error name and arguments.
        explanation: String,
    },
    /// The chain itself failed, such as by a full disk.
    #[error("the chain failed at `{name}`: {detail}")]
    Failed {
        /// Name of the transaction or view.
        name: String,
        /// What the chain says.
        detail: String,
    },
    /// The chain cannot be reached or answered something else than expected.
    #[error("`{name}` got no answer from the chain")]
    Transport {
        /// Name of the transaction or view.
        name: String,
        /// What the transport says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The address of a node cannot be used.
    #[error("{0}")]
    Address(String),
    /// Contracts cannot be deployed so.
    #[error("{0}")]
    Settings(String),
    /// The directory does not name a whole deployment.
    #[error("{directory} is not the directory of a deployment on this chain: {detail}")]
    NoDeployment {
        /// Where it was looked for.
        directory: Address,
        /// What is missing.
        detail: String,
    },
    /// A transaction was sent and is in no block.
    #[error(
        "`{name}` was sent as {hash} and is in no block after {seconds} s; does the network make blocks?"
    )]
    NotMined {
        /// Name of the transaction.
        name: String,
        /// Its hash.
        hash: B256,
        /// How long its receipt was waited for.
        seconds: u64,
    },
    /// An answer does not decode.
    #[error("the chain's answer to `{name}` does not decode: {detail}")]
    Decode {
        /// Name of the transaction or view.
        name: String,
        /// What was wrong.
        detail: String,
    },
}
