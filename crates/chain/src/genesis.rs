//! The facts that a chain starts from, and its block 0.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Keccak256, U256};
use alloy_rlp::{Encodable, RlpDecodable, RlpEncodable};

use crate::ChainError;
use crate::execution::empty_header;
use crate::state::{AccountState, StateDiff};

/// Everything that block 0 depends on. Two chains with equal genesis have equal block 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// EIP-155 chain id; every transaction must name it. Not zero.
    pub chain_id: u64,
    /// Timestamp of block 0, unix seconds.
    pub timestamp: u64,
    /// The only address whose signature makes a block. Fees go to it.
    pub sequencer: Address,
    /// Opening balances in wei. Each address at most once.
    pub alloc: Vec<(Address, U256)>,
    /// Most gas that one block may use; [`Genesis::GAS_LIMIT`] is a good value.
    pub gas_limit: u64,
}

/// What is stored and hashed. Apart from [`Genesis`] so that a new public field cannot change old hashes unnoticed.
#[derive(RlpEncodable, RlpDecodable)]
struct Encoded {
    chain_id: u64,
    timestamp: u64,
    sequencer: Address,
    gas_limit: u64,
    alloc: Vec<Allocation>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Allocation {
    address: Address,
    balance: U256,
}

impl Genesis {
    /// The gas limit of a block unless the operator chooses another: 30 million.
    pub const GAS_LIMIT: u64 = 30_000_000;

    /// Refuses a genesis that no chain can start from.
    pub(crate) fn check(&self) -> Result<(), ChainError> {
        if self.chain_id == 0 {
            return Err(ChainError::Genesis("the chain id is 0; choose another number".into()));
        }
        if self.gas_limit < 21_000 {
            return Err(ChainError::Genesis(format!(
                "the gas limit {} does not fit a single transfer of 21000",
                self.gas_limit
            )));
        }
        // Sorted references and not a set: a genesis of a million accounts is checked at every start.
        let mut addresses: Vec<&Address> = self.alloc.iter().map(|(address, _)| address).collect();
        addresses.sort_unstable();
        if let Some([address, _]) = addresses.array_windows().find(|[one, next]| one == next) {
            return Err(ChainError::Genesis(format!("{address} is allocated twice")));
        }
        // Balances then never overflow in any later state.
        self.alloc
            .iter()
            .try_fold(U256::ZERO, |total, (_, balance)| total.checked_add(*balance))
            .ok_or_else(|| ChainError::Genesis("the balances add up to more than 2^256 wei".into()))?;
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let encoded = Encoded {
            chain_id: self.chain_id,
            timestamp: self.timestamp,
            sequencer: self.sequencer,
            gas_limit: self.gas_limit,
            alloc: self.alloc.iter().map(|&(address, balance)| Allocation { address, balance }).collect(),
        };
        let mut bytes = Vec::with_capacity(encoded.length());
        encoded.encode(&mut bytes);
        bytes
    }

    /// Reads what [`RawGenesis`](crate::RawGenesis) carries.
    ///
    /// # Errors
    /// [`ChainError::Corrupt`] when the bytes are no genesis.
    pub fn decode(bytes: &[u8]) -> Result<Genesis, ChainError> {
        let encoded: Encoded = alloy_rlp::decode_exact(bytes)
            .map_err(|error| ChainError::corrupt("the genesis entry", error))?;
        let genesis = Genesis {
            chain_id: encoded.chain_id,
            timestamp: encoded.timestamp,
            sequencer: encoded.sequencer,
            alloc: encoded.alloc.into_iter().map(|entry| (entry.address, entry.balance)).collect(),
            gas_limit: encoded.gas_limit,
        };
        genesis.check()?;
        Ok(genesis)
    }

    /// The opening balances as a change of the empty state.
    pub(crate) fn diff(&self) -> StateDiff {
        let mut diff = StateDiff::default();
        for &(address, balance) in &self.alloc {
            if !balance.is_zero() {
                diff.accounts.insert(address, Some(AccountState { balance, ..AccountState::default() }));
            }
        }
        diff
    }

    /// Block 0. Its state commitment covers every field of the genesis, the chain id included.
    #[must_use]
    pub fn header(&self) -> Header {
        let mut hasher = Keccak256::new();
        hasher.update(b"histone-chain genesis v1");
        hasher.update(self.encode());
        let start: B256 = hasher.finalize();
        Header {
            beneficiary: self.sequencer,
            state_root: self.diff().commitment(start),
            gas_limit: self.gas_limit,
            timestamp: self.timestamp,
            ..empty_header()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn genesis() -> Genesis {
        Genesis {
            chain_id: 7,
            timestamp: 100,
            sequencer: Address::repeat_byte(1),
            alloc: vec![(Address::repeat_byte(2), U256::from(5))],
            gas_limit: Genesis::GAS_LIMIT,
        }
    }

    #[test]
    fn survives_encoding() {
        assert_eq!(Genesis::decode(&genesis().encode()).unwrap(), genesis());
        assert!(Genesis::decode(&genesis().encode()[1..]).is_err());
    }

    #[test]
    fn every_field_is_in_the_hash_of_block_0() {
        let base = genesis().header().hash_slow();
        let changes: [fn(&mut Genesis); 5] = [
            |g| g.chain_id += 1,
            |g| g.timestamp += 1,
            |g| g.sequencer = Address::ZERO,
            |g| g.alloc[0].1 += U256::from(1),
            |g| g.gas_limit += 1,
        ];
        for change in changes {
            let mut other = genesis();
            change(&mut other);
            assert_ne!(other.header().hash_slow(), base);
        }
    }

    #[test]
    fn refuses_what_cannot_start() {
        let changes: [fn(&mut Genesis); 4] = [
            |g| g.chain_id = 0,
            |g| g.gas_limit = 20_999,
            |g| g.alloc.push(g.alloc[0]),
            |g| g.alloc.push((Address::ZERO, U256::MAX)),
        ];
        for change in changes {
            let mut other = genesis();
            change(&mut other);
            assert!(matches!(other.check(), Err(ChainError::Genesis(_))));
        }
    }
}
