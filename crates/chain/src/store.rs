//! The durable store: one redb file, one write transaction for each block.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Signature};
use redb::{
    Database, DatabaseError, Durability, ReadOnlyDatabase, ReadOnlyTable, ReadableDatabase,
    ReadableTable as _, ReadableTableMetadata as _, StorageError, TableDefinition,
};

use crate::chain::ChainSize;
use crate::record::{BlockRecord, decode_header};
use crate::state::DigestBuilder;
use crate::{AccountState, ChainError, Executed, Genesis, StateDiff, StateReader};

/// Name of the file inside the directory of a chain.
pub const FILE_NAME: &str = "chain.redb";
/// Version of the tables below. A reader refuses every other version.
const FORMAT: u64 = 1;
/// Memory that redb may use for pages.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
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
}

/// An open store.
pub(crate) struct Store {
    handle: Handle,
}

impl Store {
    /// Makes a store that holds block 0.
    pub(crate) fn create(dir: &Path, genesis: &Genesis, signature: &Signature) -> Result<Store, ChainError> {
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
        let store =
            Store { handle: Handle::Write(open_patiently(&unfinished, |path| builder().create(path))?) };
        store.write_genesis(genesis, signature)?;
        drop(store);
        fs::rename(&unfinished, &path).map_err(|error| ChainError::io("rename", &unfinished, error))?;
        sync_directory(dir)?;
        Store::open(dir)
    }

    /// Opens a store for reading and writing; waits up to two seconds for its lock.
    pub(crate) fn open(dir: &Path) -> Result<Store, ChainError> {
        let path = existing(dir)?;
        let store = Store { handle: Handle::Write(open_patiently(&path, |path| builder().open(path))?) };
        store.view()?.check_format()?;
        Ok(store)
    }

    /// Opens a store without changing a byte of it. A file that needs repair is copied and the copy repaired.
    pub(crate) fn open_read_only(dir: &Path) -> Result<Store, ChainError> {
        let path = existing(dir)?;
        let handle = match open_patiently(&path, |path| builder().open_read_only(path)) {
            Ok(database) => Handle::Read(database),
            Err(error) if needs_repair(&error) => open_copy(&path)?,
            Err(error) => return Err(error),
        };
        let store = Store { handle };
        store.view()?.check_format()?;
        Ok(store)
    }

    /// A consistent snapshot; later blocks do not show in it.
    pub(crate) fn view(&self) -> Result<View, ChainError> {
        let read = match &self.handle {
            Handle::Write(database) | Handle::Copy { database, .. } => database.begin_read(),
            Handle::Read(database) => database.begin_read(),
        }
        .map_err(|error| ChainError::store("read", error))?;
        let open = || -> Result<View, redb::TableError> {
            Ok(View {
                meta: read.open_table(META)?,
                account: read.open_table(ACCOUNT)?,
                slot: read.open_table(SLOT)?,
                code: read.open_table(CODE)?,
                block: read.open_table(BLOCK)?,
                block_number: read.open_table(BLOCK_NUMBER)?,
                transaction: read.open_table(TRANSACTION)?,
            })
        };
        open().map_err(|error| ChainError::store("open the tables of", error))
    }

    /// Makes a block durable: when this returns, it survives a power cut.
    pub(crate) fn append(&self, executed: &Executed, signature: &Signature) -> Result<(), ChainError> {
        let header = &executed.block().header;
        let hashes: Vec<B256> = executed.block().transactions.iter().map(|tx| tx.hash()).collect();
        let record =
            BlockRecord::encode(header, &executed.block().transactions, executed.receipts(), signature);
        self.write(header.number, executed.hash(), &record, &hashes, executed.diff(), None)
    }

    fn write_genesis(&self, genesis: &Genesis, signature: &Signature) -> Result<(), ChainError> {
        let header = genesis.header();
        let record = BlockRecord::encode(&header, &[], &[], signature);
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
        write().map_err(|error| ChainError::store("write to", error))
    }
}

/// A snapshot of the store.
pub(crate) struct View {
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
    account: ReadOnlyTable<&'static [u8; 20], &'static [u8; 72]>,
    slot: ReadOnlyTable<&'static [u8; 52], &'static [u8; 32]>,
    code: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    block: ReadOnlyTable<u64, &'static [u8]>,
    block_number: ReadOnlyTable<&'static [u8; 32], u64>,
    transaction: ReadOnlyTable<&'static [u8; 32], (u64, u32)>,
}

fn failed(error: redb::StorageError) -> ChainError {
    ChainError::store("read", error)
}

impl View {
    fn check_format(&self) -> Result<(), ChainError> {
        let stored = self.meta.get("format").map_err(failed)?;
        let bytes = stored.as_ref().map_or(&[][..], |entry| entry.value());
        let found = <[u8; 8]>::try_from(bytes)
            .map(u64::from_be_bytes)
            .map_err(|_| ChainError::corrupt("the format entry", "it is not 8 bytes"))?;
        if found == FORMAT {
            return Ok(());
        }
        Err(ChainError::Version { found, supported: FORMAT })
    }

    pub(crate) fn genesis(&self) -> Result<Genesis, ChainError> {
        let stored = self.meta.get("genesis").map_err(failed)?;
        let stored = stored.ok_or_else(|| ChainError::corrupt("the genesis entry", "it is missing"))?;
        Genesis::decode(stored.value())
    }

    pub(crate) fn head_number(&self) -> Result<u64, ChainError> {
        let last = self.block.last().map_err(failed)?;
        last.map(|(number, _)| number.value())
            .ok_or_else(|| ChainError::corrupt("the block table", "it is empty"))
    }

    pub(crate) fn size(&self) -> Result<ChainSize, ChainError> {
        Ok(ChainSize {
            blocks: self.block.len().map_err(failed)?,
            transactions: self.transaction.len().map_err(failed)?,
            accounts: self.account.len().map_err(failed)?,
            slots: self.slot.len().map_err(failed)?,
        })
    }

    pub(crate) fn head(&self) -> Result<Header, ChainError> {
        self.header(self.head_number()?)?
            .ok_or_else(|| ChainError::corrupt("the block table", "its last entry is missing"))
    }

    /// The header alone; cheaper than [`View::block`] since nothing behind it is decoded.
    pub(crate) fn header(&self, number: u64) -> Result<Option<Header>, ChainError> {
        let stored = self.block.get(number).map_err(failed)?;
        stored.map(|bytes| decode_header(number, bytes.value())).transpose()
    }

    /// Block `number`. Signatures are not recovered again: `chain_id` only shapes the transactions.
    pub(crate) fn block(&self, number: u64) -> Result<Option<BlockRecord>, ChainError> {
        let stored = self.block.get(number).map_err(failed)?;
        stored.map(|bytes| BlockRecord::decode(number, bytes.value())).transpose()
    }

    pub(crate) fn number_of(&self, hash: B256) -> Result<Option<u64>, ChainError> {
        Ok(self.block_number.get(&hash.0).map_err(failed)?.map(|number| number.value()))
    }

    pub(crate) fn find_transaction(&self, hash: B256) -> Result<Option<(u64, usize)>, ChainError> {
        let found = self.transaction.get(&hash.0).map_err(failed)?;
        Ok(found.map(|entry| entry.value()).map(|(number, position)| (number, position as usize)))
    }

    /// Calls `each` for every account, in address order.
    pub(crate) fn each_account(
        &self,
        mut each: impl FnMut(Address, AccountState) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.account.iter().map_err(failed)? {
            let (address, account) = entry.map_err(failed)?;
            each(Address::from(*address.value()), AccountState::from_bytes(account.value()))?;
        }
        Ok(())
    }

    /// Calls `each` for every slot, by address and key.
    pub(crate) fn each_slot(
        &self,
        mut each: impl FnMut(Address, B256, B256) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.slot.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            let (address, slot) = key.value().split_at(20);
            each(Address::from_slice(address), B256::from_slice(slot), B256::from(*value.value()))?;
        }
        Ok(())
    }

    /// Calls `each` for every piece of code, by hash.
    pub(crate) fn each_code(
        &self,
        mut each: impl FnMut(B256, &[u8]) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.code.iter().map_err(failed)? {
            let (hash, code) = entry.map_err(failed)?;
            each(B256::from(*hash.value()), code.value())?;
        }
        Ok(())
    }

    /// Calls `each` for every entry of the block hash index.
    pub(crate) fn each_block_number(
        &self,
        mut each: impl FnMut(B256, u64) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.block_number.iter().map_err(failed)? {
            let (hash, number) = entry.map_err(failed)?;
            each(B256::from(*hash.value()), number.value())?;
        }
        Ok(())
    }

    /// Calls `each` for every entry of the transaction index.
    pub(crate) fn each_transaction(
        &self,
        mut each: impl FnMut(B256, u64, u32) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.transaction.iter().map_err(failed)? {
            let (hash, place) = entry.map_err(failed)?;
            let (number, position) = place.value();
            each(B256::from(*hash.value()), number, position)?;
        }
        Ok(())
    }

    pub(crate) fn digest(&self) -> Result<B256, ChainError> {
        let mut digest = DigestBuilder::default();
        self.each_account(|address, account| {
            digest.account(address, &account);
            Ok(())
        })?;
        self.each_slot(|address, key, value| {
            digest.slot(address, key, value);
            Ok(())
        })?;
        self.each_code(|hash, code| {
            digest.code(hash, code);
            Ok(())
        })?;
        Ok(digest.finish())
    }
}

impl StateReader for View {
    fn account(&self, address: Address) -> Result<Option<AccountState>, ChainError> {
        let stored = self.account.get(&address.into_array()).map_err(failed)?;
        Ok(stored.map(|bytes| AccountState::from_bytes(bytes.value())))
    }

    fn slot(&self, address: Address, key: B256) -> Result<B256, ChainError> {
        let stored = self.slot.get(&slot_key(address, key)).map_err(failed)?;
        Ok(stored.map(|value| B256::from(*value.value())).unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, ChainError> {
        let stored = self.code.get(&hash.0).map_err(failed)?;
        Ok(stored.map(|code| Bytes::copy_from_slice(code.value())))
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        Ok(self.header(number)?.map(|header| header.hash_slow()))
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
        match open(path) {
            Ok(database) => return Ok(database),
            Err(DatabaseError::DatabaseAlreadyOpen) if start.elapsed() < LOCK_PATIENCE => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(ChainError::Locked(path.to_owned())),
            // Most often a missing permission: say for which file.
            Err(DatabaseError::Storage(StorageError::Io(error))) => {
                return Err(ChainError::io("open", path, error));
            }
            Err(error) => return Err(ChainError::store("open", error)),
        }
    }
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
    let database = builder().open(&copy).map_err(|error| ChainError::store("repair a copy of", error))?;
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
