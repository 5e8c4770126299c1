//! Reading: one consistent state of the tables.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _};

use super::{ACCOUNT, BLOCK, BLOCK_NUMBER, CODE, FORMAT, META, SLOT, TRANSACTION, slot_key};
use crate::record::{BlockHeader, BlockRecord, ChainSize, Mined, decode_header};
use crate::state::DigestBuilder;
use crate::{AccountState, ChainError, Genesis, StateReader};

/// A snapshot of the store; later blocks do not show in it.
pub(crate) struct View {
    /// The file, for errors.
    path: Arc<Path>,
    /// The newest block. Every request asks for it, and it does not change.
    head: OnceLock<BlockHeader>,
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
    account: ReadOnlyTable<&'static [u8; 20], &'static [u8; 72]>,
    slot: ReadOnlyTable<&'static [u8; 52], &'static [u8; 32]>,
    code: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    block: ReadOnlyTable<u64, &'static [u8]>,
    block_number: ReadOnlyTable<&'static [u8; 32], u64>,
    transaction: ReadOnlyTable<&'static [u8; 32], (u64, u32)>,
}

impl View {
    /// Opens the tables in a transaction that reads the file `path`.
    pub(super) fn new(read: &ReadTransaction, path: Arc<Path>) -> Result<View, ChainError> {
        let open = || -> Result<View, redb::TableError> {
            Ok(View {
                path: path.clone(),
                head: OnceLock::new(),
                meta: read.open_table(META)?,
                account: read.open_table(ACCOUNT)?,
                slot: read.open_table(SLOT)?,
                code: read.open_table(CODE)?,
                block: read.open_table(BLOCK)?,
                block_number: read.open_table(BLOCK_NUMBER)?,
                transaction: read.open_table(TRANSACTION)?,
            })
        };
        open().map_err(|error| ChainError::store("open the tables of", &*path, error))
    }

    fn failed(&self, error: redb::StorageError) -> ChainError {
        ChainError::store("read", &*self.path, error)
    }

    pub(super) fn check_format(&self) -> Result<(), ChainError> {
        let stored = self.meta.get("format").map_err(|error| self.failed(error))?;
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
        let stored = self.meta.get("genesis").map_err(|error| self.failed(error))?;
        let stored = stored.ok_or_else(|| ChainError::corrupt("the genesis entry", "it is missing"))?;
        Genesis::decode(stored.value())
    }

    pub(crate) fn head_number(&self) -> Result<u64, ChainError> {
        if let Some(head) = self.head.get() {
            return Ok(head.header.number);
        }
        let last = self.block.last().map_err(|error| self.failed(error))?;
        last.map(|(number, _)| number.value())
            .ok_or_else(|| ChainError::corrupt("the block table", "it is empty"))
    }

    /// The newest block.
    pub(crate) fn head(&self) -> Result<&BlockHeader, ChainError> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let last = self.block.last().map_err(|error| self.failed(error))?;
        let (number, bytes) = last.ok_or_else(|| ChainError::corrupt("the block table", "it is empty"))?;
        let header = decode_header(number.value(), bytes.value())?;
        Ok(self.head.get_or_init(|| header.into()))
    }

    pub(crate) fn size(&self) -> Result<ChainSize, ChainError> {
        Ok(ChainSize {
            blocks: self.block.len().map_err(|error| self.failed(error))?,
            transactions: self.transaction.len().map_err(|error| self.failed(error))?,
            accounts: self.account.len().map_err(|error| self.failed(error))?,
            slots: self.slot.len().map_err(|error| self.failed(error))?,
        })
    }

    /// The header alone; cheaper than [`View::block`] since nothing behind it is decoded.
    pub(crate) fn header(&self, number: u64) -> Result<Option<Header>, ChainError> {
        let stored = self.block.get(number).map_err(|error| self.failed(error))?;
        stored.map(|bytes| decode_header(number, bytes.value())).transpose()
    }

    /// How long block `number` is in the store; zero when there is none.
    pub(crate) fn stored_bytes(&self, number: u64) -> Result<usize, ChainError> {
        let stored = self.block.get(number).map_err(|error| self.failed(error))?;
        Ok(stored.map_or(0, |bytes| bytes.value().len()))
    }

    /// Block `number`. Signatures are not recovered again: `chain_id` only shapes the transactions.
    pub(crate) fn block(&self, number: u64) -> Result<Option<BlockRecord>, ChainError> {
        let stored = self.block.get(number).map_err(|error| self.failed(error))?;
        stored.map(|bytes| BlockRecord::decode(number, bytes.value())).transpose()
    }

    /// The transaction at `index` of block `number`; cheaper than [`View::block`] when there are others in it. Stops with
    /// [`Stop::Time`](crate::Stop) when it is longer than `longest` in the store.
    pub(crate) fn mined(
        &self,
        number: u64,
        index: usize,
        longest: usize,
    ) -> Result<Option<Mined>, ChainError> {
        let stored = self.block.get(number).map_err(|error| self.failed(error))?;
        Ok(stored.map(|bytes| Mined::decode(number, bytes.value(), index, longest)).transpose()?.flatten())
    }

    pub(crate) fn number_of(&self, hash: B256) -> Result<Option<u64>, ChainError> {
        Ok(self.block_number.get(&hash.0).map_err(|error| self.failed(error))?.map(|number| number.value()))
    }

    pub(crate) fn find_transaction(&self, hash: B256) -> Result<Option<(u64, usize)>, ChainError> {
        let found = self.transaction.get(&hash.0).map_err(|error| self.failed(error))?;
        Ok(found.map(|entry| entry.value()).map(|(number, position)| (number, position as usize)))
    }

    /// Calls `each` for every account, in address order.
    pub(crate) fn each_account(
        &self,
        mut each: impl FnMut(Address, AccountState) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.account.iter().map_err(|error| self.failed(error))? {
            let (address, account) = entry.map_err(|error| self.failed(error))?;
            each(Address::from(*address.value()), AccountState::from_bytes(account.value()))?;
        }
        Ok(())
    }

    /// Calls `each` for every slot, by address and key.
    pub(crate) fn each_slot(
        &self,
        mut each: impl FnMut(Address, B256, B256) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.slot.iter().map_err(|error| self.failed(error))? {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
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
        for entry in self.code.iter().map_err(|error| self.failed(error))? {
            let (hash, code) = entry.map_err(|error| self.failed(error))?;
            each(B256::from(*hash.value()), code.value())?;
        }
        Ok(())
    }

    /// Calls `each` for every entry of the block hash index.
    pub(crate) fn each_block_number(
        &self,
        mut each: impl FnMut(B256, u64) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.block_number.iter().map_err(|error| self.failed(error))? {
            let (hash, number) = entry.map_err(|error| self.failed(error))?;
            each(B256::from(*hash.value()), number.value())?;
        }
        Ok(())
    }

    /// Calls `each` for every entry of the transaction index.
    pub(crate) fn each_transaction(
        &self,
        mut each: impl FnMut(B256, u64, u32) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        for entry in self.transaction.iter().map_err(|error| self.failed(error))? {
            let (hash, place) = entry.map_err(|error| self.failed(error))?;
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
        let stored = self.account.get(&address.into_array()).map_err(|error| self.failed(error))?;
        Ok(stored.map(|bytes| AccountState::from_bytes(bytes.value())))
    }

    fn slot(&self, address: Address, key: B256) -> Result<B256, ChainError> {
        let stored = self.slot.get(&slot_key(address, key)).map_err(|error| self.failed(error))?;
        Ok(stored.map(|value| B256::from(*value.value())).unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, ChainError> {
        let stored = self.code.get(&hash.0).map_err(|error| self.failed(error))?;
        Ok(stored.map(|code| Bytes::copy_from_slice(code.value())))
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        Ok(self.header(number)?.map(|header| header.hash_slow()))
    }
}
