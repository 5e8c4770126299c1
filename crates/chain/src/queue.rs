//! Transactions that wait for a block, for a chain that makes blocks by the clock.
//!
//! A queued transaction has been executed once, on the state that the queue before it leads to, so a refusal is told
//! at once and not later. The queue is in memory: a transaction is durable when it has a receipt, not before.

use std::sync::MutexGuard;
use std::time::Duration;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes};

use crate::execution::{BLOCK_TIME, Offered, propose_metered};
use crate::store::View;
use crate::work::{Allowed, Meter, processor_time};
use crate::{AccountState, Chain, ChainError, Executed, StateDiff, StateReader, Transaction};

/// Transactions in the order in which they came, and what they change together.
#[derive(Default)]
pub(crate) struct Queue {
    transactions: Vec<Transaction>,
    changes: StateDiff,
    gas_used: u64,
    /// Processor time that these took, and that their block will take.
    time: Duration,
}

impl Queue {
    pub(crate) fn find(&self, hash: B256) -> Option<&Transaction> {
        self.transactions.iter().find(|transaction| transaction.hash() == hash)
    }

    /// The nonce of `address` after the queue, when the queue changes that account.
    pub(crate) fn nonce(&self, address: Address) -> Option<u64> {
        let account = self.changes.accounts.get(&address)?;
        Some(account.as_ref().map_or(0, |account| account.nonce))
    }

    fn add(&mut self, executed: &Executed) {
        self.transactions.extend(executed.block().transactions.iter().cloned());
        self.gas_used = self.gas_used.saturating_add(executed.block().header.gas_used);
        let changes = executed.diff().clone();
        self.changes.accounts.extend(changes.accounts);
        self.changes.slots.extend(changes.slots);
        self.changes.code.extend(changes.code);
    }
}

/// The state after the queue.
struct Ahead<'a> {
    view: &'a View,
    changes: &'a StateDiff,
}

impl StateReader for Ahead<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, ChainError> {
        self.changes
            .accounts
            .get(&address)
            .map_or_else(|| self.view.account(address), |found| Ok(found.clone()))
    }

    fn slot(&self, address: Address, key: B256) -> Result<B256, ChainError> {
        self.changes
            .slots
            .get(&(address, key))
            .map_or_else(|| self.view.slot(address, key), |found| Ok(*found))
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, ChainError> {
        self.changes.code.get(&hash).map_or_else(|| self.view.code(hash), |found| Ok(Some(found.clone())))
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        self.view.block_hash(number)
    }
}

impl Chain {
    /// From now on `eth_sendRawTransaction` queues a transaction instead of making a block of it. Whoever calls this
    /// calls [`Chain::seal`] from time to time. The queue is lost when the process ends.
    pub fn queue_transactions(&self) {
        self.queue().get_or_insert_default();
    }

    /// Makes a block of what is queued and returns the number of blocks made: none when nothing waits, rarely two when
    /// gas needs differ from what they were. A transaction that has become unacceptable, since the block has a later
    /// time than when it was queued, is dropped.
    ///
    /// # Errors
    /// Those of [`Chain::commit`]. What is not in a block stays in the queue then.
    pub fn seal(&self) -> Result<u64, ChainError> {
        let writer = self.lock_writer();
        match self.queue().as_mut() {
            Some(queue) => self.seal_locked(&writer, queue),
            None => Ok(0),
        }
    }

    fn seal_locked(&self, writer: &MutexGuard<'_, ()>, queue: &mut Queue) -> Result<u64, ChainError> {
        let mut blocks = 0;
        let mut take = queue.transactions.len();
        while !queue.transactions.is_empty() {
            match self.propose(queue.transactions.iter().take(take).cloned().collect()) {
                Ok(executed) => {
                    self.commit_locked(writer, &executed)?;
                    blocks += 1;
                    queue.transactions.drain(..take);
                    take = queue.transactions.len();
                }
                Err(
                    ChainError::TransactionRefused { index: 0, .. } | ChainError::Engine { index: 0, .. },
                ) => {
                    queue.transactions.remove(0);
                    take = queue.transactions.len();
                }
                // Those before it make a block; it is then the first of the next one.
                Err(ChainError::TransactionRefused { index, .. } | ChainError::Engine { index, .. }) => {
                    take = index.min(take.saturating_sub(1));
                }
                Err(error) => return Err(error),
            }
        }
        *queue = Queue::default();
        Ok(blocks)
    }

    /// Takes in `raw`: into the queue, or into a block when there is none. Returns its hash.
    pub(crate) fn submit(&self, raw: &Bytes, allowed: Allowed) -> Result<B256, ChainError> {
        self.check_writable()?;
        // Signature recovery is the slow part and needs no lock.
        let transaction = Transaction::decode(raw, self.genesis().chain_id, 0)?;
        let hash = transaction.hash();
        let member = self.admit(transaction.sender())?;
        self.mine(transaction, allowed, member).map(|()| hash)
    }

    /// Puts those of `offered` that can be executed into the queue, until its time is up.
    pub(crate) fn enqueue(
        &self,
        writer: &MutexGuard<'_, ()>,
        queue: &mut Queue,
        offered: &[(Transaction, Allowed)],
    ) -> Result<Vec<Offered>, ChainError> {
        let begin = processor_time();
        let mut outcomes = Vec::with_capacity(offered.len());
        for (transaction, allowed) in offered {
            if processor_time().saturating_sub(begin) > BLOCK_TIME {
                outcomes.push(Offered::Later);
                continue;
            }
            outcomes.push(match self.enqueue_one(writer, queue, transaction, allowed.clone()) {
                Ok(gas) => Offered::Taken { gas },
                Err(
                    error @ (ChainError::TransactionRefused { .. }
                    | ChainError::Engine { .. }
                    | ChainError::Stopped(_)),
                ) => Offered::Refused(error),
                Err(error) => return Err(error),
            });
        }
        Ok(outcomes)
    }

    /// Returns the gas that it used.
    fn enqueue_one(
        &self,
        writer: &MutexGuard<'_, ()>,
        queue: &mut Queue,
        transaction: &Transaction,
        allowed: Allowed,
    ) -> Result<u64, ChainError> {
        if queue.find(transaction.hash()).is_some() {
            let reason = "already known: it waits for the next block".into();
            return Err(ChainError::TransactionRefused { index: 0, reason });
        }
        // A full queue does not wait for its time.
        let gas = queue.gas_used.saturating_add(transaction.envelope().gas_limit());
        if gas > self.genesis().gas_limit || queue.time > BLOCK_TIME {
            self.seal_locked(writer, queue)?;
        }
        let view = self.view()?;
        let parent = &view.head()?.header;
        let ahead = Ahead { view: &view, changes: &queue.changes };
        let timestamp = self.next_timestamp(parent);
        let meter = Meter::new(allowed);
        let list = vec![transaction.clone()];
        let executed = propose_metered(self.genesis(), &ahead, parent, list, timestamp, &meter)?;
        queue.add(&executed);
        queue.time = queue.time.saturating_add(meter.spent());
        Ok(executed.block().header.gas_used)
    }
}
