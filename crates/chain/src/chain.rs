//! The chain that a program holds.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use alloy_consensus::Header;
use alloy_primitives::B256;

use crate::execution::{Executed, propose, validate};
use crate::group::Group;
use crate::limits::Allowances;
use crate::queue::Queue;
use crate::rpc::Filters;
use crate::store::{Store, View};
use crate::{
    Block, BlockHeader, BlockRecord, ChainError, ChainSize, Clock, Genesis, MAX_AHEAD, Sequencer, Transaction,
};

/// An open chain. Clones share it; it closes with the last clone. Safe to use from several threads: reads see a
/// consistent snapshot and do not wait for the writer.
#[derive(Clone)]
pub struct Chain {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    genesis: Genesis,
    sequencer: Option<Sequencer>,
    clock: Arc<dyn Clock>,
    /// Held from reading the head to the commit, so that blocks are made one after another.
    writer: Mutex<()>,
    filters: Mutex<Filters>,
    /// Those who wait for a block that is made at once.
    group: Group,
    /// `None` while nobody is limited.
    free_gas: Mutex<Option<Allowances>>,
    /// `None` while blocks are made at once.
    queue: Mutex<Option<Queue>>,
    watchers: Mutex<Vec<Weak<Watcher>>>,
}

/// Told the number of each block after it became durable. Runs while the writer waits, so it must be quick.
pub type Watcher = dyn Fn(u64) + Send + Sync;

impl Chain {
    /// Makes a new chain in `dir`, which is created when missing, and opens it. Block 0 is on disk on return.
    ///
    /// # Errors
    /// [`ChainError::Exists`] when the directory already holds a chain, [`ChainError::Genesis`] when the genesis is not
    /// usable, [`ChainError::WrongSequencer`] when it names another sequencer, [`ChainError::AheadOfClock`] when it is in
    /// the future, and errors of the file system.
    pub fn create(
        dir: &Path,
        genesis: Genesis,
        sequencer: Sequencer,
        clock: Arc<dyn Clock>,
    ) -> Result<Chain, ChainError> {
        genesis.check()?;
        check_sequencer(&genesis, &sequencer)?;
        let now = clock.now();
        check_ahead(0, genesis.timestamp, now)?;
        let signature = sequencer.sign(genesis.header().hash_slow())?;
        let store = Store::create(dir, &genesis, &signature, now)?;
        Ok(Chain::new(store, genesis, Some(sequencer), clock))
    }

    /// Opens the chain in `dir` for reading and writing. After a crash the file is repaired first; every block that
    /// was acknowledged is there. Waits up to two seconds for the lock of a process that has just died.
    ///
    /// # Errors
    /// [`ChainError::Missing`], [`ChainError::Locked`] when another process holds the chain,
    /// [`ChainError::WrongSequencer`] when the key is not the one in the genesis, [`ChainError::Version`] and
    /// [`ChainError::Corrupt`] when the file is not readable.
    pub fn open(dir: &Path, sequencer: Sequencer, clock: Arc<dyn Clock>) -> Result<Chain, ChainError> {
        let store = Store::open(dir)?;
        let genesis = store.genesis()?;
        check_sequencer(&genesis, &sequencer)?;
        Ok(Chain::new(store, genesis, Some(sequencer), clock))
    }

    /// Opens the chain in `dir` without a key. Reads work, writes give [`ChainError::ReadOnly`]. The file is never
    /// changed: one that a crash left unclean is copied to the temporary directory, and the copy is read. Several
    /// readers can hold a chain, but not beside a writer. The clock only dates `eth_call` and `eth_estimateGas`.
    ///
    /// # Errors
    /// As for [`Chain::open`].
    pub fn open_read_only(dir: &Path, clock: Arc<dyn Clock>) -> Result<Chain, ChainError> {
        let store = Store::open_read_only(dir)?;
        let genesis = store.genesis()?;
        Ok(Chain::new(store, genesis, None, clock))
    }

    /// Opens a chain on a store that did not come from a directory.
    #[cfg(test)]
    pub(crate) fn on(store: Store, sequencer: Sequencer, clock: Arc<dyn Clock>) -> Result<Chain, ChainError> {
        let genesis = store.genesis()?;
        Ok(Chain::new(store, genesis, Some(sequencer), clock))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn new(
        store: Store,
        genesis: Genesis,
        sequencer: Option<Sequencer>,
        clock: Arc<dyn Clock>,
    ) -> Chain {
        let inner = Inner {
            store,
            genesis,
            sequencer,
            clock,
            writer: Mutex::default(),
            filters: Mutex::default(),
            group: Group::default(),
            free_gas: Mutex::default(),
            queue: Mutex::default(),
            watchers: Mutex::default(),
        };
        Chain { inner: Arc::new(inner) }
    }

    /// What the chain started from.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.inner.genesis
    }

    /// The newest block.
    ///
    /// # Errors
    /// When the store fails or is damaged; the same holds for the other readers.
    pub fn head(&self) -> Result<BlockHeader, ChainError> {
        Ok(self.view()?.head()?.clone())
    }

    /// Block `number`, or `None` when it has not been made yet.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub fn block(&self, number: u64) -> Result<Option<BlockRecord>, ChainError> {
        self.view()?.block(number)
    }

    /// A digest of the contract state at the head: Keccak-256 over all accounts, slots and code in key order. Equal
    /// states have equal digests, whatever way led there. It reads the whole state, so it takes time that grows with it.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub fn state_digest(&self) -> Result<B256, ChainError> {
        self.view()?.digest()
    }

    /// How much the chain holds at the head; quick at any size.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub fn size(&self) -> Result<ChainSize, ChainError> {
        self.view()?.size()
    }

    /// Makes one block from EIP-2718 encoded transactions, in this order, and commits it. All or nothing: when one
    /// transaction is refused no block is made. Without transactions the block is empty.
    ///
    /// # Errors
    /// Those of [`Transaction::decode`], [`propose`] and [`Chain::commit`], with the position of the transaction.
    pub fn produce<T: AsRef<[u8]>>(&self, transactions: &[T]) -> Result<Executed, ChainError> {
        self.check_writable()?;
        // Signature recovery is the slow part and needs no lock.
        let transactions = transactions
            .iter()
            .enumerate()
            .map(|(index, raw)| Transaction::decode(raw.as_ref(), self.inner.genesis.chain_id, index))
            .collect::<Result<Vec<_>, _>>()?;
        let guard = self.lock_writer();
        let executed = self.propose(transactions)?;
        self.commit_locked(&guard, &executed)?;
        Ok(executed)
    }

    /// Makes, but does not commit, the block that follows the head, dated by the clock.
    ///
    /// # Errors
    /// Those of [`propose`].
    pub fn propose(&self, transactions: Vec<Transaction>) -> Result<Executed, ChainError> {
        let view = self.view()?;
        let parent = &view.head()?.header;
        propose(&self.inner.genesis, &*view, parent, transactions, self.next_timestamp(parent))
    }

    /// Executes a block from elsewhere on the head and checks all of its header, its time against the clock too.
    ///
    /// # Errors
    /// [`ChainError::AheadOfClock`] and those of [`validate`].
    pub fn validate(&self, block: Block) -> Result<Executed, ChainError> {
        let view = self.view()?;
        check_ahead(block.header.number, block.header.timestamp, self.clock_now())?;
        validate(&self.inner.genesis, &*view, &view.head()?.header, block)
    }

    /// Signs an executed block and makes it the head. On return it is on disk.
    ///
    /// # Errors
    /// [`ChainError::ReadOnly`] without a key, [`ChainError::StaleParent`] when another block was committed since this
    /// one was executed, [`ChainError::AheadOfClock`] when its time is too far ahead of the clock, and errors of the store;
    /// none of them leaves a trace.
    pub fn commit(&self, executed: &Executed) -> Result<(), ChainError> {
        self.commit_locked(&self.lock_writer(), executed)
    }

    pub(crate) fn commit_locked(
        &self,
        _writer: &MutexGuard<'_, ()>,
        executed: &Executed,
    ) -> Result<(), ChainError> {
        let sequencer = self.inner.sequencer.as_ref().ok_or(ChainError::ReadOnly)?;
        let view = self.view()?;
        let head = view.head()?;
        let Header { number, timestamp, parent_hash, .. } = executed.block().header;
        if parent_hash != head.hash {
            return Err(ChainError::StaleParent { block: number, head: head.header.number });
        }
        let now = self.clock_now();
        check_ahead(number, timestamp, now)?;
        self.inner.store.append(executed, &sequencer.sign(executed.hash())?, now)?;
        let mut watchers = self.inner.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| {
            watcher.upgrade().is_some_and(|watcher| {
                watcher(number);
                true
            })
        });
        Ok(())
    }

    /// Tells `watcher` of every block from now on, until its last owner drops it.
    #[cfg(feature = "server")]
    pub fn watch(&self, watcher: &Arc<Watcher>) {
        let mut watchers = self.inner.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push(Arc::downgrade(watcher));
    }

    pub(crate) fn check_writable(&self) -> Result<(), ChainError> {
        if self.inner.sequencer.is_some() { Ok(()) } else { Err(ChainError::ReadOnly) }
    }

    pub(crate) fn view(&self) -> Result<Arc<View>, ChainError> {
        self.inner.store.view()
    }

    pub(crate) fn clock_now(&self) -> u64 {
        self.inner.clock.now()
    }

    /// What the clock says, but never earlier than the parent.
    pub(crate) fn next_timestamp(&self, parent: &Header) -> u64 {
        self.clock_now().max(parent.timestamp)
    }

    pub(crate) fn filters(&self) -> MutexGuard<'_, Filters> {
        // A panic while the lock was held leaves a valid list of filters behind.
        self.inner.filters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn group(&self) -> &Group {
        &self.inner.group
    }

    pub(crate) fn free_gas(&self) -> MutexGuard<'_, Option<Allowances>> {
        // Numbers, whole at any time.
        self.inner.free_gas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Option<Queue>> {
        // Whatever a panic left in the queue is executed again before it becomes a block.
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_writer(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data; the store is consistent after every commit.
        self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a block that is too far ahead of a clock that shows `now`.
pub(crate) fn check_ahead(block: u64, timestamp: u64, now: u64) -> Result<(), ChainError> {
    if timestamp <= now.saturating_add(MAX_AHEAD) {
        return Ok(());
    }
    Err(ChainError::AheadOfClock { block, timestamp, now })
}

fn check_sequencer(genesis: &Genesis, sequencer: &Sequencer) -> Result<(), ChainError> {
    if genesis.sequencer == sequencer.address() {
        return Ok(());
    }
    Err(ChainError::WrongSequencer { expected: genesis.sequencer, found: sequencer.address() })
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("chain_id", &self.inner.genesis.chain_id)
            .field("sequencer", &self.inner.sequencer)
            .finish_non_exhaustive()
    }
}
