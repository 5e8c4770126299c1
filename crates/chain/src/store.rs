//! The durable store: one redb file, one write transaction for each block.

#[cfg(test)]
mod torn;
mod view;

use std::any::Any;
use std::fs::{self, File, TryLockError};
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Signature};
use redb::{
    Database, DatabaseError, Durability, ReadOnlyDatabase, ReadableDatabase, StorageError, TableDefinition,
};

pub(crate) use self::view::View;
use crate::record::BlockRecord;
use crate::{ChainError, Executed, Genesis, StateDiff};

/// Name of the file inside the directory of a chain.
pub const FILE_NAME: &str = "chain.redb";
/// Version of the tables below. A reader refuses every other version.
const FORMAT: u64 = 1;
/// Memory that redb may use for pages.
const CACHE_BYTES: usize = 48 * 1024 * 1024;
/// A killed process can hold its lock for a moment longer than it lives.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Address -> nonce, balance, code hash.
const ACCOUNT: TableDefinition<&[u8; 20], &[u8; 72]> = TableDefinition::new("account");
/// Address and key -> value; zero values are not kept.
const SLOT: TableDefinition<&[u8; 52], &[u8; 32]> = TableDefinition::new("slot");
/// Code hash -> code.
const CODE: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("code");
/// Number -> [`BlockRecord`].
const BLOCK: TableDefinition<u64, &[u8]> = TableDefinition::new("block");
/// Block hash -> number.
const BLOCK_NUMBER: TableDefinition<&[u8; 32], u64> = TableDefinition::new("block_number");
/// Transaction hash -> block number, position in the block.
const TRANSACTION: TableDefinition<&[u8; 32], (u64, u32)> = TableDefinition::new("transaction");

enum Handle {
    Write(Database),
    Read(ReadOnlyDatabase),
    /// A private copy of a file that a crash left unclean; the directory goes with the handle.
    Copy {
        database: Database,
        _directory: tempfile::TempDir,
    },
    /// Nothing any more: the store is being dropped.
    Closed,
}

/// An open store.
pub(crate) struct Store {
    path: Arc<Path>,
    /// The view of the newest block. Opening the tables takes longer than most reads.
    latest: RwLock<Option<Arc<View>>>,
    /// Why the file could not be written the first time: from then on redb says no more than that it could not.
    failed: OnceLock<(io::ErrorKind, String)>,
    // After the view, which must be gone when the file is closed.
    handle: Handle,
}

impl Store {
    /// Makes a store that holds block 0, kept when the clock showed `now`.
    pub(crate) fn create(
        dir: &Path,
        genesis: &Genesis,
        signature: &Signature,
        now: u64,
    ) -> Result<Store, ChainError> {
        fs::create_dir_all(dir).map_err(|error| ChainError::io("create the directory", dir, error))?;
        let path = dir.join(FILE_NAME);
        if path.exists() {
            return Err(ChainError::Exists(dir.to_owned()));
        }
        // Written beside and renamed: a crash in the middle leaves no half chain under the real name.
        let unfinished = dir.join(format!("{FILE_NAME}.new"));
        if unfinished.exists() {
            fs::remove_file(&unfinished).map_err(|error| ChainError::io("remove", &unfinished, error))?;
        }
        let database = open_patiently(&unfinished, |path| builder().create(path))?;
        let store = Store::new(&unfinished, Handle::Write(database));
        store.write_genesis(genesis, signature, now)?;
        drop(store);
        fs::rename(&unfinished, &path).map_err(|error| ChainError::io("rename", &unfinished, error))?;
        sync_directory(dir)?;
        Store::open(dir)
    }

    /// Opens a store for reading and writing; waits up to two seconds for its lock.
    pub(crate) fn open(dir: &Path) -> Result<Store, ChainError> {
        let path = existing(dir)?;
        let handle = open_patiently(&path, |path| builder().open(path)).map(Handle::Write)?;
        Store::new(&path, handle).checked()
    }

    /// Opens a store without changing a byte of it. A file that needs repair is copied and the copy repaired.
    pub(crate) fn open_read_only(dir: &Path) -> Result<Store, ChainError> {
        let path = existing(dir)?;
        let handle = match open_patiently(&path, |path| builder().open_read_only(path)) {
            Ok(database) => Handle::Read(database),
            Err(error) if needs_repair(&error) => open_copy(&path)?,
            Err(error) => return Err(error),
        };
        Store::new(&path, handle).checked()
    }

    fn new(path: &Path, handle: Handle) -> Store {
        Store { path: path.into(), latest: RwLock::default(), failed: OnceLock::new(), handle }
    }

    /// The store, if it is of this version and its tables can be opened.
    fn checked(self) -> Result<Store, ChainError> {
        guarded(&self.path, || self.view()?.check_format())??;
        Ok(self)
    }

    /// What the chain started from. Read before anything else, so a damaged file shows here first.
    pub(crate) fn genesis(&self) -> Result<Genesis, ChainError> {
        guarded(&self.path, || self.view()?.genesis())?
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A consistent snapshot of the newest block; later blocks do not show in it.
    pub(crate) fn view(&self) -> Result<Arc<View>, ChainError> {
        // A panic while the lock was held leaves a whole view or none behind.
        if let Some(view) = self.latest.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            return Ok(view.clone());
        }
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that a view from before a block cannot take the place of one from after it.
        let view = Arc::new(self.snapshot()?);
        Ok(latest.insert(view).clone())
    }

    fn snapshot(&self) -> Result<View, ChainError> {
        let read = match &self.handle {
            Handle::Write(database) | Handle::Copy { database, .. } => database.begin_read(),
            Handle::Read(database) => database.begin_read(),
            Handle::Closed => return Err(ChainError::ReadOnly),
        }
        .map_err(|error| ChainError::store("read", &*self.path, error))?;
        View::new(&read, self.path.clone())
    }

    /// Makes a block durable, kept when the clock showed `now`: when this returns, it survives a power cut.
    pub(crate) fn append(
        &self,
        executed: &Executed,
        signature: &Signature,
        now: u64,
    ) -> Result<(), ChainError> {
        let header = &executed.block().header;
        let hashes: Vec<B256> = executed.block().transactions.iter().map(|tx| tx.hash()).collect();
        let transactions = &executed.block().transactions;
        let record = BlockRecord::encode(header, transactions, executed.receipts(), signature, now);
        self.write(header.number, executed.hash(), &record, &hashes, executed.diff(), None)
    }

    fn write_genesis(&self, genesis: &Genesis, signature: &Signature, now: u64) -> Result<(), ChainError> {
        let header = genesis.header();
        let record = BlockRecord::encode(&header, &[], &[], signature, now);
        self.write(0, header.hash_slow(), &record, &[], &genesis.diff(), Some(genesis))
    }

    fn write(
        &self,
        number: u64,
        hash: B256,
        record: &[u8],
        transactions: &[B256],
        diff: &StateDiff,
        genesis: Option<&Genesis>,
    ) -> Result<(), ChainError> {
        let Handle::Write(database) = &self.handle else { return Err(ChainError::ReadOnly) };
        let write = || -> Result<(), redb::Error> {
            let mut txn = database.begin_write()?;
            txn.set_durability(Durability::Immediate)?;
            {
                let mut meta = txn.open_table(META)?;
                if let Some(genesis) = genesis {
                    meta.insert("format", FORMAT.to_be_bytes().as_slice())?;
                    meta.insert("genesis", genesis.encode().as_slice())?;
                }
                let mut account = txn.open_table(ACCOUNT)?;
                for (address, value) in &diff.accounts {
                    match value {
                        Some(value) => account.insert(&address.into_array(), &value.to_bytes())?,
                        None => account.remove(&address.into_array())?,
                    };
                }
                let mut slot = txn.open_table(SLOT)?;
                for ((address, key), value) in &diff.slots {
                    let key = slot_key(*address, *key);
                    if value.is_zero() {
                        slot.remove(&key)?
                    } else {
                        slot.insert(&key, &value.0)?
                    };
                }
                let mut code = txn.open_table(CODE)?;
                for (hash, bytes) in &diff.code {
                    code.insert(&hash.0, bytes.as_ref())?;
                }
                txn.open_table(BLOCK)?.insert(number, record)?;
                txn.open_table(BLOCK_NUMBER)?.insert(&hash.0, number)?;
                let mut index = txn.open_table(TRANSACTION)?;
                for (position, hash) in (0_u32..).zip(transactions) {
                    index.insert(&hash.0, (number, position))?;
                }
            }
            txn.commit()?;
            Ok(())
        };
        let because = |error| match (error, self.failed.get()) {
            (redb::Error::PreviousIo, Some((kind, text))) => {
                redb::Error::Io(io::Error::new(*kind, text.clone()))
            }
            (redb::Error::Io(error), _) => {
                self.failed.get_or_init(|| (error.kind(), error.to_string()));
                redb::Error::Io(error)
            }
            (error, _) => error,
        };
        let outcome = write().map_err(|error| ChainError::store("write to", &*self.path, because(error)));
        // Also after a failure: whether the block is there is for the file to say.
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = None;
        outcome
    }
}

impl Drop for Store {
    /// redb reads and writes once more when it closes a file, and panics over a damaged one there as well. What was kept is on the
    /// disk before: whoever ends learns nothing from it that opening the file again does not say.
    fn drop(&mut self) {
        *self.latest.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        let handle = mem::replace(&mut self.handle, Handle::Closed);
        let _ = guarded(&self.path, || drop(handle));
    }
}

fn slot_key(address: Address, key: B256) -> [u8; 52] {
    let mut bytes = [0; 52];
    let (left, right) = bytes.split_at_mut(20);
    left.copy_from_slice(address.as_slice());
    right.copy_from_slice(key.as_slice());
    bytes
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn existing(dir: &Path) -> Result<PathBuf, ChainError> {
    let path = dir.join(FILE_NAME);
    if path.exists() { Ok(path) } else { Err(ChainError::Missing(dir.to_owned())) }
}

/// Opens with `open`, and tries again while another process holds the lock.
fn open_patiently<T>(path: &Path, open: impl Fn(&Path) -> Result<T, DatabaseError>) -> Result<T, ChainError> {
    // Real time on purpose: this waits for the operating system, it decides nothing that is recorded.
    let start = Instant::now();
    loop {
        match guarded(path, || open(path))? {
            Ok(database) => return Ok(database),
            Err(DatabaseError::DatabaseAlreadyOpen) if start.elapsed() < LOCK_PATIENCE => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(ChainError::Locked(path.to_owned())),
            // Most often a missing permission: say for which file.
            Err(DatabaseError::Storage(StorageError::Io(error))) => {
                return Err(ChainError::io("open", path, error));
            }
            Err(error) => return Err(ChainError::store("open", path, error)),
        }
    }
}

/// Reads the file `path`, and makes an error of a panic. redb checks most of a file but takes some numbers in it on trust:
/// a damaged one is then an index out of range in there. To whoever reads a file from elsewhere that is an answer like any
/// other. The words of the panic are in the error, so a fault of this program does not pass for damage unseen.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> T) -> Result<T, ChainError> {
    // Nothing that was half done is used afterwards: what was not returned is gone.
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|panic| ChainError::corrupt(format!("`{}` cannot be read", path.display()), said(&*panic)))
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next()).unwrap_or("the store stopped")
}

fn needs_repair(error: &ChainError) -> bool {
    matches!(error, ChainError::Store { source, .. } if matches!(**source, redb::Error::RepairAborted))
}

fn open_copy(path: &Path) -> Result<Handle, ChainError> {
    let file = File::open(path).map_err(|error| ChainError::io("open", path, error))?;
    // The lock that redb takes too: no writer can come back while the bytes are copied.
    file.try_lock_shared().map_err(|error| match error {
        TryLockError::WouldBlock => ChainError::Locked(path.to_owned()),
        TryLockError::Error(error) => ChainError::io("lock", path, error),
    })?;
    let dir = tempfile::tempdir().map_err(|error| ChainError::io("make a copy of", path, error))?;
    let copy = dir.path().join(FILE_NAME);
    fs::copy(path, &copy).map_err(|error| ChainError::io("copy", path, error))?;
    let database = guarded(path, || builder().open(&copy))?
        .map_err(|error| ChainError::store("repair a copy of", path, error))?;
    Ok(Handle::Copy { database, _directory: dir })
}

#[cfg(unix)]
fn sync_directory(dir: &Path) -> Result<(), ChainError> {
    // Without this a power cut can forget the rename.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| ChainError::io("sync", dir, error))
}

#[cfg(not(unix))]
fn sync_directory(_dir: &Path) -> Result<(), ChainError> {
    // Directories cannot be opened for syncing on this system; the file itself is already durable.
    Ok(())
}
