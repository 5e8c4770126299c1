//! What the ledger says, as rows for people and programs.
//!
//! [`Book::read`] asks a node once for the events of the contracts, up to one block, and folds them into rows: programs,
//! enclaves, datasets, models, queries, rounds, members. The time that this takes grows with the number of events and
//! with nothing else. [`Book::revenue`] adds the money up from the same events; [`Ledger::holdings`] asks the contracts what
//! they hold and owe, so that the two can be compared ([`Revenue::holds`]).
//!
//! Deliberately absent: names of parties (the ledger has none), and trust: a node that lies about its events lies
//! here. Whoever needs more replays the chain.

mod fold;
mod money;
mod powers;
mod rows;

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::rpc::client::BatchRequest;
use alloy::rpc::types::{Filter, Log, TransactionInput, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};

use crate::contracts::{Contract, Directory, Market, TestToken};
use crate::{Connection, Deployment, Ledger, LedgerError, explain};
pub use money::{AccountMoney, ModelMoney, Revenue};
pub use powers::Powers;
pub use rows::{
    Amount, Anchor, Audit, Dataset, DatasetState, Donor, Enclave, EnclaveState, Head, Kind, Member, Model,
    ModelState, Partial, Program, Query, QueryCounts, QueryState, Role, Round, RoundState, Serving, Terms,
};

/// Rows in the order in which they came to the ledger, found by their key.
#[derive(Debug, Clone)]
pub struct Shelf<K, R> {
    rows: Vec<R>,
    places: BTreeMap<K, usize>,
}

impl<K, R> Default for Shelf<K, R> {
    fn default() -> Self {
        Self { rows: Vec::new(), places: BTreeMap::new() }
    }
}

impl<K: Ord, R> Shelf<K, R> {
    /// The row with this key.
    pub fn get(&self, key: &K) -> Option<&R> {
        self.places.get(key).and_then(|&place| self.rows.get(place))
    }

    /// All rows, oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, R> {
        self.rows.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut R> {
        self.places.get(key).and_then(|&place| self.rows.get_mut(place))
    }

    fn put(&mut self, key: K, row: R) {
        self.places.insert(key, self.rows.len());
        self.rows.push(row);
    }
}

/// Everything that was read, as of one block.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Up to which block.
    pub head: Head,
    /// Members, also those that left.
    pub members: Shelf<Address, Member>,
    /// Programs by measurement.
    pub programs: Shelf<B256, Program>,
    /// Enclaves by signer.
    pub enclaves: Shelf<Address, Enclave>,
    /// Datasets by id.
    pub datasets: Shelf<B256, Dataset>,
    /// Models by number.
    pub models: Shelf<u64, Model>,
    /// Queries by id.
    pub queries: Shelf<B256, Query>,
    /// Rounds by model and number.
    pub rounds: Shelf<(u64, u32), Round>,
    /// What was paid to accounts that claimed, not counting donors.
    paid: BTreeMap<Address, Amount>,
    /// Who holds which role of the access manager.
    managers: BTreeMap<u64, Vec<Address>>,
    /// Earlier contracts of the deployment, by the names that now stand for their successors.
    predecessors: Vec<(String, Address)>,
    powers: Powers,
}

impl Book {
    /// The contracts whose events make up the book.
    pub const CONTRACTS: [Contract; 8] = [
        Contract::Members,
        Contract::Programs,
        Contract::Enclaves,
        Contract::Datasets,
        Contract::Market,
        Contract::Rounds,
        Contract::Manager,
        Contract::Directory,
    ];

    /// Reads the events of these contracts up to the latest block. What needs the events of another contract is left
    /// out: without `Market` nothing is donated, without `Programs` nothing is usable.
    pub async fn read(ledger: &Ledger, contracts: &[Contract]) -> Result<Book, LedgerError> {
        let newest = ledger.connection().head().await?;
        let head = Head { block: newest.number, hash: newest.hash, time: newest.time };
        let addresses: Vec<_> = contracts.iter().map(|&c| ledger.deployment().address(c)).collect();
        let of = |address| contracts.iter().copied().find(|&c| ledger.deployment().address(c) == address);
        let powers = Powers::of(ledger.deployment());
        let mut book = Book { head, powers, ..Book::default() };
        // A block may have come since the head was asked for; the book is of one block.
        let in_time = |log: &Log| log.block_number.is_some_and(|number| number <= head.block);
        for log in
            ledger.logs("events", Filter::new().address(addresses)).await?.iter().filter(|l| in_time(l))
        {
            if let Some(contract) = of(log.address()) {
                book.apply(contract, log)?;
                book.powers.see(&log.inner, log.block_timestamp);
            }
        }
        book.finish();
        Ok(book)
    }

    /// Accounts that hold a role of the access manager (see [`manager_roles`](crate::contracts::manager_roles)).
    pub fn holders(&self, role: u64) -> &[Address] {
        self.managers.get(&role).map_or(&[], Vec::as_slice)
    }

    /// Who may do what without a vote. Needs the events of [`Powers::CONTRACTS`].
    pub fn powers(&self) -> &Powers {
        &self.powers
    }

    /// Earlier contracts of the deployment, with the name under which the directory now has their successors. Work that
    /// was begun there ends there.
    pub fn predecessors(&self) -> &[(String, Address)] {
        &self.predecessors
    }
}

/// Directories on a chain: every contract that ever named contracts as ours does. Anybody can put one there, so that more
/// than one is no error, and one is no proof that it is the right one.
pub async fn directories(connection: &Connection) -> Result<Vec<Address>, LedgerError> {
    let nowhere = Ledger::at(connection.clone(), Deployment::empty(0));
    let filter = Filter::new().event_signature(Directory::Named::SIGNATURE_HASH);
    let mut found = Vec::new();
    for log in nowhere.logs("directories", filter).await? {
        if !found.contains(&log.address()) {
            found.push(log.address());
        }
    }
    Ok(found)
}

/// What the contracts say themselves about the market's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// What the market says that it owes, all in all.
    pub obligations: Amount,
    /// What the token says that the market has.
    pub balance: Amount,
}

/// The money.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Money {
    /// Address of the token.
    pub token: Address,
    /// Its sign, such as `TEST`; empty when it has none.
    pub symbol: String,
    /// Digits behind the point; 0 when the token does not say.
    pub decimals: u8,
}

impl Money {
    /// An amount in whole tokens: `12.5`.
    pub fn whole(&self, amount: Amount) -> String {
        let digits = amount.to_string();
        let decimals = usize::from(self.decimals);
        let digits = format!("{digits:0>width$}", width = decimals + 1);
        let (whole, part) = digits.split_at(digits.len() - decimals);
        match part.trim_end_matches('0') {
            "" => whole.to_owned(),
            part => format!("{whole}.{part}"),
        }
    }
}

/// What a chain knows about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFacts {
    /// Transactions sent.
    pub nonce: u64,
    /// Whether there is code.
    pub contract: bool,
    /// Units of the token.
    pub balance: Amount,
    /// What it can claim, not counting donations.
    pub claimable: Amount,
}

impl Ledger {
    /// Sign and digits of the token. Both are optional for a token: one that refuses to answer has none.
    pub async fn money(&self) -> Result<Money, LedgerError> {
        fn optional<T: Default>(answer: Result<T, LedgerError>) -> Result<T, LedgerError> {
            match answer {
                Err(LedgerError::Refused { .. } | LedgerError::Decode { .. }) => Ok(T::default()),
                other => other,
            }
        }
        Ok(Money {
            token: self.deployment.token,
            symbol: optional(self.read(Contract::Token, TestToken::symbolCall {}).await)?,
            // No real token has more digits than fit into a word; a lie must not make the table wide.
            decimals: optional(self.read(Contract::Token, TestToken::decimalsCall {}).await)?.min(77),
        })
    }

    /// What the contracts say about the market's money.
    pub async fn holdings(&self) -> Result<Holdings, LedgerError> {
        let market = self.deployment.market;
        Ok(Holdings {
            obligations: Amount(self.read(Contract::Market, Market::obligationsCall {}).await?),
            balance: Amount(self.read(Contract::Token, TestToken::balanceOfCall { account: market }).await?),
        })
    }

    /// What the chain knows about accounts, in their order.
    pub async fn accounts(&self, accounts: &[Address]) -> Result<Vec<AccountFacts>, LedgerError> {
        let balances = accounts.iter().map(|&account| TestToken::balanceOfCall { account }).collect();
        let balances = self.read_many(Contract::Token, balances).await?;
        let owed = accounts.iter().map(|&account| Market::owedCall { account }).collect();
        let owed = self.read_many(Contract::Market, owed).await?;
        let latest = |account: &Address| (*account, "latest");
        let nonces: Vec<U256> =
            self.ask_many("eth_getTransactionCount", accounts.iter().map(latest).collect()).await?;
        let codes: Vec<alloy::primitives::Bytes> =
            self.ask_many("eth_getCode", accounts.iter().map(latest).collect()).await?;
        let facts = nonces.iter().zip(codes).zip(balances.into_iter().zip(owed));
        Ok(facts
            .map(|((nonce, code), (balance, owed))| AccountFacts {
                nonce: nonce.saturating_to(),
                contract: !code.is_empty(),
                balance: Amount(balance),
                claimable: Amount(owed),
            })
            .collect())
    }

    /// Asks a view of a contract several times; the answers in the order of the calls.
    pub async fn read_many<C: SolCall>(
        &self,
        contract: Contract,
        calls: Vec<C>,
    ) -> Result<Vec<C::Return>, LedgerError> {
        let to = self.deployment.address(contract);
        let request = |call: C| {
            let input = TransactionInput::new(call.abi_encode().into());
            // As `read` does: where blocks come with transactions only, a node then answers with the time of now, and not
            // with that of its last block.
            (TransactionRequest::default().to(to).input(input), "pending")
        };
        let answers: Vec<alloy::primitives::Bytes> =
            self.ask_many("eth_call", calls.into_iter().map(request).collect()).await?;
        let decode = |bytes: &alloy::primitives::Bytes| {
            C::abi_decode_returns(bytes)
                .map_err(|e| LedgerError::Decode { name: crate::name::<C>(contract), detail: e.to_string() })
        };
        answers.iter().map(decode).collect()
    }

    /// One method with many parameters, in batches that common nodes accept.
    async fn ask_many<P: alloy::rpc::json_rpc::RpcSend, R: alloy::rpc::json_rpc::RpcRecv>(
        &self,
        method: &'static str,
        parameters: Vec<P>,
    ) -> Result<Vec<R>, LedgerError> {
        const BATCH: usize = 100;
        let failed = |e| explain::transport(method, e);
        let mut answers = Vec::with_capacity(parameters.len());
        for some in parameters.chunks(BATCH) {
            let mut batch = BatchRequest::new(self.connection.provider().client());
            let waiting: Result<Vec<_>, _> =
                some.iter().map(|parameters| batch.add_call(method, parameters)).collect();
            let waiting = waiting.map_err(failed)?;
            batch.send().await.map_err(failed)?;
            for answer in waiting {
                answers.push(answer.await.map_err(failed)?);
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_tokens() {
        let money = |decimals| Money { token: Address::ZERO, symbol: String::new(), decimals };
        for (units, decimals, shown) in [
            (0u64, 6, "0"),
            (1, 6, "0.000001"),
            (2_500_000, 6, "2.5"),
            (7, 0, "7"),
            (10, 1, "1"),
            (123, 18, "0.000000000000000123"),
        ] {
            assert_eq!(money(decimals).whole(Amount(U256::from(units))), shown);
        }
    }
}
