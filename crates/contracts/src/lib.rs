//! The contracts as everybody sees them who reads a ledger: enclaves, members, owners, people, strangers.
//!
//! 1. The contracts' own calls, events and errors ([`Market`], [`Rounds`] and so on), and a [`Deployment`] of them.
//! 2. A [`Journal`] holds what they said, in order; whoever follows a chain reads each block once and adds to it.
//! 3. A [`Book`] is the one fold of it: programs, enclaves, datasets, models, queries, rounds, members, money, powers.
//! 4. A [`LedgerView`] is all that an enclave asks of a ledger.
//!
//! Deliberately absent: any way to a chain, so that the code that sees private rows contains no EVM, no store and no HTTP
//! client (a test of `enclave` lists its dependencies). `histone-ledger` is the client.

mod abi;
pub mod book;
mod deployment;
mod error;
mod journal;
pub mod survivors;
mod view;

pub use abi::*;
use alloy_primitives::{Address, B256};
pub use book::Book;
pub use deployment::{Deployment, directory_name};
pub use error::LedgerError;
pub use journal::{Event, Journal, Logged};
pub use view::LedgerView;

/// The key under which the market knows a query: `keccak256(abi.encode(user, code hash))`.
pub fn query_id(user: Address, code_hash: B256) -> B256 {
    use alloy_sol_types::SolValue;
    alloy_primitives::keccak256((user, code_hash).abi_encode())
}

/// The key of a dataset: `keccak256(abi.encode(owner, root))`.
pub fn dataset_id(owner: Address, root: B256) -> B256 {
    query_id(owner, root)
}
