//! The contracts and a client for them.
//!
//! 1. A [`Connection`] reaches a chain: the embedded one in process, or (with the same code) any Ethereum network.
//! 2. [`Ledger::deploy`] puts the contracts there; [`Ledger::at`] finds them again.
//! 3. [`Ledger::send`] signs and sends one named call and waits for its receipt; [`Ledger::read`] asks a view;
//!    [`Ledger::events`] lists what happened. The calls are the contracts' own types in [`contracts`].
//! 4. [`view`] folds all events into rows for people and programs; [`governance`] is how the members decide;
//!    [`epochs`] pays large pools by lists.
//! 5. [`Ledger::funded_training`] and [`Ledger::funded_validation`] give a [`Funded`], without which an owner's node
//!    releases no key.
//!
//! A refused transaction is an error with the contract's own error name and arguments. Deliberately absent: keys kept
//! by this crate (each call takes the signer's), and any rule that a contract does not enforce.

mod connection;
mod deploy;
pub mod epochs;
mod explain;
mod follow;
mod funded;
pub mod governance;
mod http;
pub mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};
use connection::Action;
pub use connection::{Connection, FollowError, Follower, ToldBlock, ToldTransaction, Upstream, genesis_of};
pub use deploy::{Settings, creation_code};
pub use funded::{Basis, Funded, NotFunded};
use histone_contracts::{Book, Contract, Deployment, Journal, LedgerError, LedgerView, Logged};
use histone_protocol::keys::SigningKey;

/// How many transactions of a name were sent and what gas they took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of transactions.
    pub count: u64,
    /// Sum of gas used.
    pub gas: u64,
}

/// A receipt with the events of the contract that was called.
#[derive(Debug)]
pub struct Receipt(TransactionReceipt, String);

impl Receipt {
    /// The first event of type `E` in the receipt.
    pub fn event<E: SolEvent>(&self) -> Result<E, LedgerError> {
        self.0.inner.logs().iter().find_map(|log| E::decode_log(&log.inner).ok().map(|l| l.data)).ok_or_else(
            || LedgerError::Decode { name: self.1.clone(), detail: format!("no event `{}`", E::SIGNATURE) },
        )
    }

    /// Gas used.
    pub fn gas(&self) -> u64 {
        self.0.gas_used
    }
}

/// A client of the deployed contracts. Clones share the connection and the usage counters.
#[derive(Debug, Clone)]
pub struct Ledger {
    connection: Connection,
    deployment: Deployment,
    usage: Arc<Mutex<BTreeMap<String, Usage>>>,
    /// What the contracts said, as far as it was read.
    journal: Arc<tokio::sync::Mutex<Journal>>,
    /// The same as rows, as of when somebody last asked for them.
    book: Arc<Mutex<Option<Arc<Book>>>>,
    /// Views are asked at this block; at the latest when none is named.
    block: Option<u64>,
}

impl Ledger {
    /// A client of contracts that are already deployed.
    pub fn at(connection: Connection, deployment: Deployment) -> Self {
        Self {
            connection,
            deployment,
            usage: Arc::default(),
            journal: Arc::default(),
            book: Arc::default(),
            block: None,
        }
    }

    /// The way to the chain.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// This ledger as it was when the block `number` was the newest: views are asked there, and events end there. Needs a
    /// node that still has the state of that block.
    pub fn as_of(self, number: u64) -> Self {
        Self { block: Some(number), journal: Arc::default(), book: Arc::default(), ..self }
    }

    /// Makes a block, where blocks are made for transactions only, so that the chain's clock moves: a transaction without
    /// effect.
    pub async fn tick(&self, from: &SigningKey) -> Result<(), LedgerError> {
        self.transact(from, "clock.tick".into(), TxKind::Call(from.address()), Bytes::new()).await.map(|_| ())
    }

    /// Where the contracts are.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Transactions and gas so far, by name (`contract.function`).
    pub fn usage(&self) -> BTreeMap<String, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls a function of a contract in a transaction of `from` and waits for its receipt.
    pub async fn send<C: SolCall>(
        &self,
        from: &SigningKey,
        contract: Contract,
        call: C,
    ) -> Result<Receipt, LedgerError> {
        let name = name::<C>(contract);
        let to = TxKind::Call(self.deployment.address(contract));
        self.transact(from, name, to, call.abi_encode().into()).await
    }

    /// The time by which contracts judge deadlines, Unix seconds: that of the latest block or, where this process follows a chain that
    /// makes blocks for transactions only, what its clock says, if that is later.
    pub async fn time(&self) -> Result<u64, LedgerError> {
        let block = self.connection.head().await?.time;
        Ok(self.connection.clock().map_or(block, |clock| clock.now().max(block)))
    }

    /// Asks a view of a contract at the latest block.
    pub async fn read<C: SolCall>(&self, contract: Contract, call: C) -> Result<C::Return, LedgerError> {
        let name = name::<C>(contract);
        let request = TransactionRequest::default()
            .to(self.deployment.address(contract))
            .input(TransactionInput::new(call.abi_encode().into()));
        let call = self.connection.provider().call(request);
        let bytes = match self.block {
            Some(number) => call.block(BlockId::number(number)).await,
            None => call.await,
        };
        let bytes = bytes.map_err(|e| explain::transport(&name, e))?;
        C::abi_decode_returns(&bytes).map_err(|e| LedgerError::Decode { name, detail: e.to_string() })
    }

    pub(crate) async fn create(
        &self,
        from: &SigningKey,
        contract: Contract,
        code: Vec<u8>,
    ) -> Result<Address, LedgerError> {
        let name = format!("{contract}.deploy");
        let receipt = self.transact(from, name.clone(), TxKind::Create, code.into()).await?;
        receipt
            .0
            .contract_address
            .ok_or_else(|| LedgerError::Decode { name, detail: "no contract address in the receipt".into() })
    }

    async fn transact(
        &self,
        from: &SigningKey,
        name: String,
        to: TxKind,
        input: Bytes,
    ) -> Result<Receipt, LedgerError> {
        let action = Action { to, input, value: U256::ZERO };
        let receipt = self.connection.submit(from, self.deployment.chain_id, &name, action).await?;
        {
            let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = usage.entry(name.clone()).or_default();
            entry.count += 1;
            entry.gas = entry.gas.saturating_add(receipt.gas_used);
        }
        Ok(Receipt(receipt, name))
    }
}

fn name<C: SolCall>(contract: Contract) -> String {
    format!("{contract}.{}", C::SIGNATURE.split('(').next().unwrap_or_default())
}

impl LedgerView for Ledger {
    fn deployment(&self) -> &Deployment {
        self.deployment()
    }

    async fn time(&self) -> Result<u64, LedgerError> {
        self.time().await
    }

    async fn read<C: SolCall<Return: Send> + Send>(
        &self,
        contract: Contract,
        call: C,
    ) -> Result<C::Return, LedgerError> {
        self.read(contract, call).await
    }

    async fn logged<E: SolEvent + Send>(
        &self,
        contract: Contract,
        about: Option<B256>,
    ) -> Result<Vec<Logged<E>>, LedgerError> {
        self.logged(contract, about).await
    }
}
