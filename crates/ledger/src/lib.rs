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
pub mod contracts;
mod deploy;
pub mod epochs;
mod explain;
mod funded;
pub mod governance;
mod http;
pub mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log, TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};
use alloy::transports::TransportError;
use connection::Action;
pub use connection::{Connection, Head, ToldBlock, ToldTransaction};
pub use contracts::Contract;
pub use deploy::{Deployment, Settings, creation_code, directory_name};
pub use funded::{Basis, Funded, NotFunded};
use histone_protocol::keys::SigningKey;

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
        source: Box<TransportError>,
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

/// An event and its place on the chain.
#[derive(Debug, Clone)]
pub struct Logged<E> {
    /// Block and position among the logs of the block: events of all contracts are ordered by it.
    pub at: (u64, u64),
    /// Timestamp of the block, Unix seconds.
    pub time: u64,
    /// What was said.
    pub event: E,
}

/// A client of the deployed contracts. Clones share the connection and the usage counters.
#[derive(Debug, Clone)]
pub struct Ledger {
    connection: Connection,
    deployment: Deployment,
    usage: Arc<Mutex<BTreeMap<String, Usage>>>,
    /// Views are asked at this block; at the latest when none is named.
    block: Option<u64>,
}

impl Ledger {
    /// A client of contracts that are already deployed.
    pub fn at(connection: Connection, deployment: Deployment) -> Self {
        Self { connection, deployment, usage: Arc::default(), block: None }
    }

    /// The way to the chain.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// This ledger as it was when the block `number` was the newest: views are asked there. Needs a node that still has
    /// the state of that block.
    pub fn as_of(self, number: u64) -> Self {
        Self { block: Some(number), ..self }
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

    /// Timestamp of the latest block, Unix seconds: the time by which contracts judge deadlines.
    pub async fn time(&self) -> Result<u64, LedgerError> {
        let name = "latest block";
        let block = self
            .connection
            .provider()
            .get_block_by_number(Default::default())
            .await
            .map_err(|e| explain::transport(name, e))?
            .ok_or_else(|| LedgerError::Decode { name: name.into(), detail: "there is none".into() })?;
        Ok(block.header.timestamp)
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

    /// All events of type `E` that a contract has emitted, oldest first.
    pub async fn events<E: SolEvent>(&self, contract: Contract) -> Result<Vec<E>, LedgerError> {
        let name = format!("{contract}.{}", E::SIGNATURE);
        let filter =
            Filter::new().address(self.deployment.address(contract)).event_signature(E::SIGNATURE_HASH);
        let logs = self.logs(&name, filter).await?;
        logs.iter()
            .map(|log| {
                E::decode_log(&log.inner)
                    .map(|l| l.data)
                    .map_err(|e| LedgerError::Decode { name: name.clone(), detail: e.to_string() })
            })
            .collect()
    }

    /// Events of type `E` of a contract, oldest first, each with its place on the chain; of those whose first indexed
    /// argument is `about`, where one is given.
    pub async fn logged<E: SolEvent>(
        &self,
        contract: Contract,
        about: Option<B256>,
    ) -> Result<Vec<Logged<E>>, LedgerError> {
        let name = format!("{contract}.{}", E::SIGNATURE);
        let decode = |detail: String| LedgerError::Decode { name: name.clone(), detail };
        let mut filter =
            Filter::new().address(self.deployment.address(contract)).event_signature(E::SIGNATURE_HASH);
        if let Some(about) = about {
            filter = filter.topic1(about);
        }
        let mut found = Vec::new();
        let mut times = BTreeMap::new();
        for log in self.logs(&name, filter).await? {
            let event = E::decode_log(&log.inner).map_err(|e| decode(e.to_string()))?.data;
            let (Some(block), Some(index)) = (log.block_number, log.log_index) else {
                return Err(decode("a log without its place on the chain".into()));
            };
            let time = match (log.block_timestamp, times.get(&block)) {
                (Some(time), _) | (None, Some(&time)) => time,
                (None, None) => self.time_of(&name, block).await?,
            };
            times.insert(block, time);
            found.push(Logged { at: (block, index), time, event });
        }
        Ok(found)
    }

    async fn time_of(&self, name: &str, block: u64) -> Result<u64, LedgerError> {
        let provider = self.connection.provider();
        let found =
            provider.get_block_by_number(block.into()).await.map_err(|e| explain::transport(name, e))?;
        let missing =
            || LedgerError::Decode { name: name.into(), detail: format!("there is no block {block}") };
        Ok(found.ok_or_else(missing)?.header.timestamp)
    }

    /// All logs that a filter lets through, oldest first. Nodes cap how many they give at once: then the range of blocks
    /// is halved.
    async fn logs(&self, name: &str, filter: Filter) -> Result<Vec<Log>, LedgerError> {
        let provider = self.connection.provider();
        let head = provider.get_block_number().await.map_err(|e| explain::transport(name, e))?;
        let mut logs = Vec::new();
        let mut ranges = vec![(0, head)];
        while let Some((from, to)) = ranges.pop() {
            match provider.get_logs(&filter.clone().from_block(from).to_block(to)).await {
                Ok(found) => logs.extend(found),
                Err(error) if from < to && explain::is_limit(&error) => {
                    let middle = from + (to - from) / 2;
                    ranges.push((middle + 1, to));
                    ranges.push((from, middle));
                }
                Err(error) => return Err(explain::transport(name, error)),
            }
        }
        Ok(logs)
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

/// The key under which the market knows a query: `keccak256(abi.encode(user, code hash))`.
pub fn query_id(user: Address, code_hash: B256) -> B256 {
    use alloy::sol_types::SolValue;
    alloy::primitives::keccak256((user, code_hash).abi_encode())
}

/// The key of a dataset: `keccak256(abi.encode(owner, root))`.
pub fn dataset_id(owner: Address, root: B256) -> B256 {
    query_id(owner, root)
}
