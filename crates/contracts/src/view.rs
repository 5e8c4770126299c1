//! What somebody who reads a ledger, and sends nothing there, asks of it.

use std::future::Future;

use alloy_primitives::B256;
use alloy_sol_types::{SolCall, SolEvent};

use crate::{Contract, Deployment, LedgerError, Logged};

/// A ledger to read. An enclave sees no more of it than this, whoever brings the answers: what it believes of them is in
/// docs/threats.md.
pub trait LedgerView: Sync {
    /// Where the contracts are.
    fn deployment(&self) -> &Deployment;

    /// Timestamp of the latest block, Unix seconds: the time by which contracts judge deadlines.
    fn time(&self) -> impl Future<Output = Result<u64, LedgerError>> + Send;

    /// Asks a view of a contract at the latest block.
    fn read<C: SolCall<Return: Send> + Send>(
        &self,
        contract: Contract,
        call: C,
    ) -> impl Future<Output = Result<C::Return, LedgerError>> + Send;

    /// Events of type `E` of a contract, oldest first, each with its place on the chain; of those whose first indexed
    /// argument is `about`, where one is given.
    fn logged<E: SolEvent + Send>(
        &self,
        contract: Contract,
        about: Option<B256>,
    ) -> impl Future<Output = Result<Vec<Logged<E>>, LedgerError>> + Send;
}
