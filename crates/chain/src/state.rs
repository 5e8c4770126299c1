//! Accounts, storage slots and code: reading them, changing them, and committing to the changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Keccak256, U256, keccak256};
use revm::bytecode::Bytecode;
use revm::database_interface::DatabaseRef;
use revm::state::AccountInfo;

use crate::ChainError;

/// One account without its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Number of transactions sent, or contracts made.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 of the code; of the empty string for an account without code.
    pub code_hash: B256,
}

impl Default for AccountState {
    fn default() -> AccountState {
        AccountState { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl AccountState {
    /// True for an account that Ethereum does not keep (EIP-161).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
    }

    pub(crate) fn to_bytes(&self) -> [u8; 72] {
        let mut bytes = [0; 72];
        let (nonce, rest) = bytes.split_at_mut(8);
        let (balance, code_hash) = rest.split_at_mut(32);
        nonce.copy_from_slice(&self.nonce.to_be_bytes());
        balance.copy_from_slice(&self.balance.to_be_bytes::<32>());
        code_hash.copy_from_slice(self.code_hash.as_slice());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; 72]) -> AccountState {
        let mut nonce = [0; 8];
        nonce.copy_from_slice(&bytes[..8]);
        AccountState {
            nonce: u64::from_be_bytes(nonce),
            balance: U256::from_be_slice(&bytes[8..40]),
            code_hash: B256::from_slice(&bytes[40..]),
        }
    }
}

/// A state that transactions can run on.
pub trait StateReader {
    /// The account at `address`, or `None` when it does not exist.
    ///
    /// # Errors
    /// When the store fails or is damaged; the same holds for the other methods.
    fn account(&self, address: Address) -> Result<Option<AccountState>, ChainError>;
    /// The storage slot `key` of `address`; zero when it was never set.
    fn slot(&self, address: Address, key: B256) -> Result<B256, ChainError>;
    /// The code with hash `hash`, or `None` when it is not known.
    fn code(&self, hash: B256) -> Result<Option<Bytes>, ChainError>;
    /// The hash of block `number`, or `None` when there is no such block.
    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError>;
}

/// What one block changed. Sorted, so equal changes have equal encodings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// New value of each changed account; `None` for one that is gone.
    pub accounts: BTreeMap<Address, Option<AccountState>>,
    /// New value of each changed slot, by address and key; zero for one that is gone.
    pub slots: BTreeMap<(Address, B256), B256>,
    /// Code that an account began to use, by hash.
    pub code: BTreeMap<B256, Bytes>,
}

impl StateDiff {
    /// The commitment after this change, given the commitment before it.
    ///
    /// It is Keccak-256 over a version label, the parent commitment, and the sorted changes with their counts. It
    /// stands in the header where Ethereum has the root of the state trie. Like that root it pins the whole state,
    /// since it covers every change since genesis. Unlike that root it cannot prove a single account to someone who
    /// does not replay the chain.
    #[must_use]
    pub fn commitment(&self, parent: B256) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(b"histone-chain state v1");
        hasher.update(parent);
        hasher.update((self.accounts.len() as u64).to_be_bytes());
        for (address, account) in &self.accounts {
            hasher.update(address);
            match account {
                Some(account) => {
                    hasher.update([1]);
                    hasher.update(account.to_bytes());
                }
                None => hasher.update([0]),
            }
        }
        hasher.update((self.slots.len() as u64).to_be_bytes());
        for ((address, key), value) in &self.slots {
            hasher.update(address);
            hasher.update(key);
            hasher.update(value);
        }
        // The code itself is pinned by the code hashes of the accounts.
        hasher.finalize()
    }
}

/// A whole state in memory, for replay and tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    pub(crate) accounts: BTreeMap<Address, AccountState>,
    pub(crate) slots: BTreeMap<(Address, B256), B256>,
    pub(crate) code: BTreeMap<B256, Bytes>,
    pub(crate) block_hashes: Vec<B256>,
}

impl MemoryState {
    /// Applies the changes of the next block, whose hash is `block_hash`.
    pub fn apply(&mut self, diff: &StateDiff, block_hash: B256) {
        for (address, account) in &diff.accounts {
            match account {
                Some(account) => self.accounts.insert(*address, account.clone()),
                None => self.accounts.remove(address),
            };
        }
        for (key, value) in &diff.slots {
            if value.is_zero() {
                self.slots.remove(key);
            } else {
                self.slots.insert(*key, *value);
            }
        }
        self.code.extend(diff.code.iter().map(|(hash, code)| (*hash, code.clone())));
        self.block_hashes.push(block_hash);
    }

    /// The digest of the contract state; equal to [`Chain::state_digest`](crate::Chain::state_digest) of a store
    /// with the same content.
    #[must_use]
    pub fn digest(&self) -> B256 {
        let mut digest = DigestBuilder::default();
        for (address, account) in &self.accounts {
            digest.account(*address, account);
        }
        for ((address, key), value) in &self.slots {
            digest.slot(*address, *key, *value);
        }
        for (hash, code) in &self.code {
            digest.code(*hash, code);
        }
        digest.finish()
    }
}

impl StateReader for MemoryState {
    fn account(&self, address: Address) -> Result<Option<AccountState>, ChainError> {
        Ok(self.accounts.get(&address).cloned())
    }

    fn slot(&self, address: Address, key: B256) -> Result<B256, ChainError> {
        Ok(self.slots.get(&(address, key)).copied().unwrap_or_default())
    }

    fn code(&self, hash: B256) -> Result<Option<Bytes>, ChainError> {
        Ok(self.code.get(&hash).cloned())
    }

    fn block_hash(&self, number: u64) -> Result<Option<B256>, ChainError> {
        Ok(usize::try_from(number).ok().and_then(|number| self.block_hashes.get(number)).copied())
    }
}

/// Hashes a state that is fed in key order: all accounts, then all slots, then all code.
pub(crate) struct DigestBuilder(Keccak256);

impl Default for DigestBuilder {
    fn default() -> DigestBuilder {
        let mut hasher = Keccak256::new();
        hasher.update(b"histone-chain digest v1");
        DigestBuilder(hasher)
    }
}

impl DigestBuilder {
    pub(crate) fn account(&mut self, address: Address, account: &AccountState) {
        self.0.update(b"a");
        self.0.update(address);
        self.0.update(account.to_bytes());
    }

    pub(crate) fn slot(&mut self, address: Address, key: B256, value: B256) {
        self.0.update(b"s");
        self.0.update(address);
        self.0.update(key);
        self.0.update(value);
    }

    pub(crate) fn code(&mut self, hash: B256, code: &[u8]) {
        self.0.update(b"c");
        self.0.update(hash);
        self.0.update((code.len() as u64).to_be_bytes());
        self.0.update(code);
    }

    pub(crate) fn finish(self) -> B256 {
        self.0.finalize()
    }
}

/// Most contracts that are kept ready to run; at 24 KiB each they take a few megabytes.
const MAX_ANALYZED: usize = 256;

/// Code ready to run, by its hash. The engine looks for the jump targets of a contract before it runs it, which takes
/// longer than most calls. One table for the whole process: what stands under a hash is the same on every chain, since the
/// hash was checked.
fn analyzed() -> MutexGuard<'static, HashMap<B256, Bytecode>> {
    static ANALYZED: LazyLock<Mutex<HashMap<B256, Bytecode>>> = LazyLock::new(Mutex::default);
    // Entries are complete when they are put in, whatever panicked.
    ANALYZED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows a [`StateReader`] to revm.
pub(crate) struct ForEngine<'a, S>(pub(crate) &'a S);

impl<S: StateReader> DatabaseRef for ForEngine<'_, S> {
    type Error = ChainError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ChainError> {
        Ok(self.0.account(address)?.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: None,
            account_id: None,
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ChainError> {
        if let Some(known) = analyzed().get(&hash) {
            return Ok(known.clone());
        }
        let code = self.0.code(hash)?.ok_or_else(|| {
            ChainError::corrupt(format!("code {hash}"), "an account uses it but it is missing")
        })?;
        if keccak256(&code) != hash {
            return Err(ChainError::corrupt(format!("code {hash}"), "it has another hash"));
        }
        let code = Bytecode::new_raw_checked(code)
            .map_err(|error| ChainError::corrupt(format!("code {hash}"), error))?;
        let mut analyzed = analyzed();
        if analyzed.len() >= MAX_ANALYZED {
            // Contracts in use are back at once; a list of who was used last would cost more than it saves.
            analyzed.clear();
        }
        analyzed.insert(hash, code.clone());
        Ok(code)
    }

    fn storage_ref(&self, address: Address, key: U256) -> Result<U256, ChainError> {
        Ok(self.0.slot(address, key.into())?.into())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ChainError> {
        self.0
            .block_hash(number)?
            .ok_or_else(|| ChainError::corrupt(format!("block {number}"), "it is missing"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn account_bytes_round_trip() {
        let account =
            AccountState { nonce: 0x0102, balance: U256::from(77), code_hash: B256::repeat_byte(9) };
        assert_eq!(AccountState::from_bytes(&account.to_bytes()), account);
    }

    #[test]
    fn commitment_depends_on_parent_and_every_change() {
        let mut diff = StateDiff::default();
        let empty = diff.commitment(B256::ZERO);
        assert_ne!(empty, diff.commitment(B256::repeat_byte(1)));
        diff.accounts.insert(Address::ZERO, None);
        let removed = diff.commitment(B256::ZERO);
        assert_ne!(empty, removed);
        diff.slots.insert((Address::ZERO, B256::ZERO), B256::ZERO);
        assert_ne!(removed, diff.commitment(B256::ZERO));
    }

    #[test]
    fn zero_slots_and_gone_accounts_leave_the_state() {
        let mut state = MemoryState::default();
        let mut diff = StateDiff::default();
        diff.accounts.insert(Address::ZERO, Some(AccountState { nonce: 1, ..AccountState::default() }));
        diff.slots.insert((Address::ZERO, B256::ZERO), B256::repeat_byte(1));
        state.apply(&diff, B256::ZERO);
        let before = state.digest();
        diff.accounts.insert(Address::ZERO, None);
        diff.slots.insert((Address::ZERO, B256::ZERO), B256::ZERO);
        state.apply(&diff, B256::ZERO);
        assert_ne!(state.digest(), before);
        assert_eq!(state.digest(), MemoryState::default().digest());
        assert_eq!(state.slot(Address::ZERO, B256::ZERO).unwrap(), B256::ZERO);
    }
}
