//! The contracts and a client for them.
//!
//! 1. A [`Connection`] reaches a chain: the embedded one in process, or (with the same code) any Ethereum network.
//! 2. [`Ledger::deploy`] puts the contracts there; [`Ledger::at`] finds them again.
//! 3. [`Ledger::send`] signs and sends one named call and waits for its receipt; [`Ledger::read`] asks a view;
//!    [`Ledger::events`] lists what happened. The calls are the contracts' own types in [`contracts`].
//! 4. [`Ledger::funded_training`] and [`Ledger::funded_validation`] give a [`Funded`], without which an owner's node
//!    releases no key.
//!
//! A refused transaction is an error with the contract's own error name and arguments. Deliberately absent: keys kept
//! by this crate (each call takes the signer's), and any rule that a contract does not enforce.

mod connection;
pub mod contracts;
mod explain;
mod funded;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolEvent};
use alloy::transports::TransportError;
pub use connection::Connection;
pub use contracts::Contract;
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
    /// An answer does not decode.
    #[error("the chain's answer to `{name}` does not decode: {detail}")]
    Decode {
        /// Name of the transaction or view.
        name: String,
        /// What was wrong.
        detail: String,
    },
}

/// Addresses of the deployed contracts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Chain id, part of every signature.
    pub chain_id: u64,
    /// OpenZeppelin AccessManager.
    pub manager: Address,
    /// The money; a TEST token on the embedded chain.
    pub token: Address,
    /// Member organizations and their roles.
    pub members: Address,
    /// Programs and audits.
    pub programs: Address,
    /// Enclave instances.
    pub enclaves: Address,
    /// Datasets.
    pub datasets: Address,
    /// Models, queries, money.
    pub market: Address,
    /// Training rounds.
    pub rounds: Address,
}

impl Deployment {
    /// Address of a contract.
    pub fn address(&self, contract: Contract) -> Address {
        match contract {
            Contract::Manager => self.manager,
            Contract::Token => self.token,
            Contract::Members => self.members,
            Contract::Programs => self.programs,
            Contract::Enclaves => self.enclaves,
            Contract::Datasets => self.datasets,
            Contract::Market => self.market,
            Contract::Rounds => self.rounds,
        }
    }
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

/// A client of the deployed contracts. Clones share the connection and the usage counters.
#[derive(Debug, Clone)]
pub struct Ledger {
    connection: Connection,
    deployment: Deployment,
    usage: Arc<Mutex<BTreeMap<String, Usage>>>,
}

impl Ledger {
    /// Deploys all contracts; `admin` becomes the administrator of the access manager and owner of the TEST token.
    pub async fn deploy(connection: Connection, admin: &SigningKey) -> Result<Self, LedgerError> {
        let chain_id = connection.chain_id().await?;
        let mut ledger = Self {
            connection,
            deployment: Deployment {
                chain_id,
                manager: Address::ZERO,
                token: Address::ZERO,
                members: Address::ZERO,
                programs: Address::ZERO,
                enclaves: Address::ZERO,
                datasets: Address::ZERO,
                market: Address::ZERO,
                rounds: Address::ZERO,
            },
            usage: Arc::default(),
        };
        let owner = admin.address();
        let d = ledger.create(admin, Contract::Manager, contracts::manager_code(owner)).await?;
        ledger.deployment.manager = d;
        let token = ledger.create(admin, Contract::Token, contracts::token_code(owner)).await?;
        ledger.deployment.token = token;
        let members = ledger.create(admin, Contract::Members, contracts::members_code(d)).await?;
        ledger.deployment.members = members;
        let programs = ledger.create(admin, Contract::Programs, contracts::programs_code(members)).await?;
        ledger.deployment.programs = programs;
        let enclaves =
            ledger.create(admin, Contract::Enclaves, contracts::enclaves_code(members, programs)).await?;
        ledger.deployment.enclaves = enclaves;
        let datasets =
            ledger.create(admin, Contract::Datasets, contracts::datasets_code(members, enclaves)).await?;
        ledger.deployment.datasets = datasets;
        let market = ledger
            .create(admin, Contract::Market, contracts::market_code(d, token, members, datasets, enclaves))
            .await?;
        ledger.deployment.market = market;
        let rounds =
            ledger.create(admin, Contract::Rounds, contracts::rounds_code(members, enclaves, market)).await?;
        ledger.deployment.rounds = rounds;
        ledger.send(admin, Contract::Market, contracts::Market::setRoundsCall { rounds_: rounds }).await?;
        Ok(ledger)
    }

    /// A client of contracts that are already deployed.
    pub fn at(connection: Connection, deployment: Deployment) -> Self {
        Self { connection, deployment, usage: Arc::default() }
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
        let bytes =
            self.connection.provider().call(request).await.map_err(|e| explain::transport(&name, e))?;
        C::abi_decode_returns(&bytes).map_err(|e| LedgerError::Decode { name, detail: e.to_string() })
    }

    /// All events of type `E` that a contract has emitted, oldest first.
    pub async fn events<E: SolEvent>(&self, contract: Contract) -> Result<Vec<E>, LedgerError> {
        let name = format!("{contract}.{}", E::SIGNATURE);
        let filter = Filter::new()
            .address(self.deployment.address(contract))
            .event_signature(E::SIGNATURE_HASH)
            .from_block(0);
        let logs =
            self.connection.provider().get_logs(&filter).await.map_err(|e| explain::transport(&name, e))?;
        logs.iter()
            .map(|log| {
                E::decode_log(&log.inner)
                    .map(|l| l.data)
                    .map_err(|e| LedgerError::Decode { name: name.clone(), detail: e.to_string() })
            })
            .collect()
    }

    async fn create(
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
        let provider = self.connection.provider();
        let transport = |e| explain::transport(&name, e);
        let request = TransactionRequest {
            from: Some(from.address()),
            to: Some(to),
            input: TransactionInput::new(input.clone()),
            ..Default::default()
        };
        // The estimate is also what tells a refusal apart before anything is sent.
        let gas = provider.estimate_gas(request).await.map_err(transport)?;
        let fees = self.connection.fees().await?;
        let tx = TxEip1559 {
            chain_id: self.deployment.chain_id,
            nonce: provider.get_transaction_count(from.address()).await.map_err(transport)?,
            // State may move between estimate and execution; a quarter more is customary and unused gas is not paid.
            gas_limit: gas + gas / 4,
            max_fee_per_gas: fees.0,
            max_priority_fee_per_gas: fees.1,
            to,
            value: U256::ZERO,
            access_list: Default::default(),
            input,
        };
        let signer = PrivateKeySigner::from_slice(&*from.to_bytes())
            .map_err(|e| LedgerError::Decode { name: name.clone(), detail: e.to_string() })?;
        let signature = signer
            .sign_hash_sync(&tx.signature_hash())
            .map_err(|e| LedgerError::Decode { name: name.clone(), detail: e.to_string() })?;
        let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        let pending = provider.send_raw_transaction(&raw).await.map_err(transport)?;
        let receipt = self.connection.receipt(&name, *pending.tx_hash()).await?;
        if !receipt.status() {
            return Err(LedgerError::Refused {
                name,
                explanation: "the transaction was mined but reverted; its estimate had succeeded".into(),
            });
        }
        {
            let mut usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = usage.entry(name.clone()).or_default();
            entry.count += 1;
            entry.gas += receipt.gas_used;
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
