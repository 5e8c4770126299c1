//! Following a chain: each block is read once, whoever asks.

use std::sync::{Arc, PoisonError};

use alloy::primitives::{Address, B256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use histone_contracts::{Book, Contract, Event, Journal, LedgerError, Logged};
use tokio::sync::MutexGuard;

use crate::{Ledger, explain};

/// Blocks at the end of a network's chain that are read anew at each look that finds a new one: behind one address there may be
/// several nodes, and one that has not heard of the newest blocks says that nothing happened in them.
const TAIL: u64 = 16;

impl Ledger {
    /// What the contracts said, up to now. Clones of a ledger share it, so that one of them reads what is new for all.
    pub(crate) async fn journal(&self) -> Result<MutexGuard<'_, Journal>, LedgerError> {
        let mut journal = self.journal.lock().await;
        // The token's events are not followed: others use it, too.
        let ours: Vec<Contract> = Contract::ALL.into_iter().filter(|c| *c != Contract::Token).collect();
        self.catch_up(&mut journal, &ours).await?;
        Ok(journal)
    }

    /// Everything that the ledger has, as rows. Only the events of these contracts are read: what needs those of another is
    /// left out of the book (see [`Book::take`]).
    pub async fn book(&self, contracts: &[Contract]) -> Result<Book, LedgerError> {
        let mut journal = Journal::default();
        self.catch_up(&mut journal, contracts).await?;
        let mut book = Book::of(&self.deployment);
        book.take(&journal)?;
        Ok(book)
    }

    /// The same from what the parties of this process have read already, and what is new: of all contracts. Clones of a ledger share
    /// it: each event is folded once.
    pub async fn current_book(&self) -> Result<Arc<Book>, LedgerError> {
        let journal = self.journal().await?;
        let mut kept = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(book) = kept.as_ref().filter(|book| book.is_up_to(&journal)) {
            return Ok(book.clone());
        }
        // After an error it is of no use, and begun anew.
        let mut book = kept.take().unwrap_or_else(|| Arc::new(Book::of(&self.deployment)));
        Arc::make_mut(&mut book).take(&journal)?;
        *kept = Some(book.clone());
        Ok(book)
    }

    /// All events of type `E` that a contract has emitted, oldest first.
    pub async fn events<E: SolEvent>(&self, contract: Contract) -> Result<Vec<E>, LedgerError> {
        self.journal().await?.said(contract)
    }

    /// Events of type `E` of a contract, oldest first, each with its place on the chain; of those whose first indexed
    /// argument is `about`, where one is given.
    pub async fn logged<E: SolEvent>(
        &self,
        contract: Contract,
        about: Option<B256>,
    ) -> Result<Vec<Logged<E>>, LedgerError> {
        let mut journal = self.journal().await?;
        for block in journal.undated::<E>(contract, about) {
            journal.date(block, self.connection.time_of(block).await?);
        }
        journal.logged(contract, about)
    }

    /// Reads what is new on the chain. Where the chain has another block than the journal, that is taken back first, and so are
    /// the newest blocks of a network ([`TAIL`]).
    async fn catch_up(&self, journal: &mut Journal, contracts: &[Contract]) -> Result<(), LedgerError> {
        let head = match self.block {
            None => self.connection.head().await?,
            Some(number) => self.connection.head_at(number).await?,
        };
        while let Some(last) = journal.head().copied() {
            if last == head {
                return Ok(());
            }
            let settled = self.connection.is_embedded() || last.block.saturating_add(TAIL) <= head.block;
            if settled && last.block < head.block && self.connection.head_at(last.block).await? == last {
                break;
            }
            journal.step_back();
        }
        let from = journal.head().map_or(0, |last| last.block.saturating_add(1));
        let addresses: Vec<Address> = contracts.iter().map(|&c| self.deployment.address(c)).collect();
        let logs = self.logs("events", Filter::new().address(addresses), (from, head.block)).await?;
        let mut events = Vec::with_capacity(logs.len());
        for log in logs {
            let of = |contract: &&Contract| self.deployment.address(**contract) == log.address();
            if let Some(&contract) = contracts.iter().find(of) {
                events.push(event(contract, log)?);
            }
        }
        journal.extend(events, head);
        Ok(())
    }

    /// All logs of a range of blocks that a filter lets through, oldest first. Nodes cap how many they give at once: then
    /// the range is halved.
    pub(crate) async fn logs(
        &self,
        name: &str,
        filter: Filter,
        blocks: (u64, u64),
    ) -> Result<Vec<Log>, LedgerError> {
        let provider = self.connection.provider();
        let mut logs = Vec::new();
        let mut ranges = vec![blocks];
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

    /// All logs of the chain that a filter lets through, oldest first.
    pub(crate) async fn all_logs(&self, name: &str, filter: Filter) -> Result<Vec<Log>, LedgerError> {
        let head = self.connection.head().await?;
        self.logs(name, filter, (0, head.block)).await
    }
}

fn event(contract: Contract, log: Log) -> Result<Event, LedgerError> {
    let (Some(block), Some(index)) = (log.block_number, log.log_index) else {
        return Err(LedgerError::Decode {
            name: format!("{contract}: events"),
            detail: "a log without its place on the chain".into(),
        });
    };
    Ok(Event { at: (block, index), time: log.block_timestamp, contract, log: log.inner })
}

#[cfg(test)]
mod tests;
