//! The contracts as everybody sees them who reads a ledger: enclaves, members, owners, people, strangers.
//!
//! 1. The contracts' own calls, events and errors ([`Market`], [`Rounds`] and so on), and a [`Deployment`] of them.
//! 2. A [`Journal`] holds what they said, in order; whoever follows a chain reads each block once and adds to it.
//! 3. A [`Book`] is the one fold of it: programs, enclaves, datasets, models, queries, rounds, members, money, powers.
//! 4. A [`LedgerView`] is all that an enclave asks of a ledger.
//!
//! Deliberately absent: any way to a chain, so that the code that sees private rows contains no EVM, no store and no HTTP
//! client (`cargo xtask bans` looks at what `histone-enclave` depends on). `histone-ledger` is the client.

mod abi;
pub mod book;
mod deployment;
mod error;
mod journal;
pub mod survivors;
mod view;

pub use abi::*;
use alloy_primitives::{Address, B256, U256};
pub use book::Book;
pub use deployment::{Deployment, directory_name};
pub use error::LedgerError;
use histone_protocol::consent::WhitePaper;
pub use journal::{Event, Journal, Logged};
pub use view::LedgerView;

/// Whether the market pays what a white paper promises: the one rule, for owners before they answer and for strangers
/// afterwards.
pub fn pays_as_promised(terms: &Market::Terms, paper: &WhitePaper) -> bool {
    let split = &paper.split;
    U256::from(terms.instantPayment) == U256::from(paper.instant_payment)
        && U256::from(terms.queryPrice) == U256::from(paper.query_price)
        && (terms.donorsBps, terms.trainerBps, terms.runnerBps) == (split.donors, split.trainer, split.runner)
}

/// The key under which the market knows a query: `keccak256(abi.encode(user, code hash))`.
pub fn query_id(user: Address, code_hash: B256) -> B256 {
    use alloy_sol_types::SolValue;
    alloy_primitives::keccak256((user, code_hash).abi_encode())
}

/// The key of a dataset: `keccak256(abi.encode(owner, root))`.
pub fn dataset_id(owner: Address, root: B256) -> B256 {
    query_id(owner, root)
}
