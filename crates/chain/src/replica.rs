//! An auditor's copy of somebody else's chain, executed again block by block as it grows.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Signature};
use serde::{Deserialize, Serialize};

use crate::chain::check_ahead;
use crate::execution::validate;
use crate::recovery::recover;
use crate::store::Store;
use crate::{Block, BlockHeader, BlockRecord, Chain, ChainError, Clock, Genesis, ReplayError, Transaction};

/// What block 0 follows from, as `sequencer_getGenesis` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawGenesis {
    /// The encoded [`Genesis`].
    pub genesis: Bytes,
    /// The sequencer's signature over the hash of block 0, 65 bytes.
    pub signature: Bytes,
}

/// A block without anything that follows from it, as `sequencer_getBlock` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawBlock {
    /// The RLP encoded header.
    pub header: Bytes,
    /// The sequencer's signature over the hash of the header, 65 bytes.
    pub signature: Bytes,
    /// The EIP-2718 encoded transactions, in order.
    pub transactions: Vec<Bytes>,
}

impl From<&BlockRecord> for RawBlock {
    /// The parts of `record` that the others follow from.
    fn from(record: &BlockRecord) -> RawBlock {
        RawBlock {
            header: alloy_rlp::encode(&record.header).into(),
            signature: Bytes::copy_from_slice(&record.signature.as_bytes()),
            transactions: record.raw_transactions.clone(),
        }
    }
}

/// A copy of a chain that holds only what was executed here. It has no key and makes no block.
///
/// The copy is an ordinary chain directory: [`Chain::open_read_only`](crate::Chain::open_read_only) and
/// [`replay()`](crate::replay()) read it.
pub struct Replica {
    chain: Chain,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("chain_id", &self.genesis().chain_id).finish_non_exhaustive()
    }
}

impl Replica {
    /// Starts a copy in `dir`, which is created when missing, from a genesis. Whether it is the right genesis is for
    /// the caller to know: compare the hash of [`Replica::head`] with one that was published. No block that is further
    /// ahead of `clock` than [`MAX_AHEAD`](crate::MAX_AHEAD) is kept.
    ///
    /// # Errors
    /// [`ReplayError::Execution`] when the genesis cannot be decoded or is in the future, [`ReplayError::Block`] when its sequencer did not
    /// sign block 0, [`ChainError::Exists`] and errors of the file system in [`ReplayError::Store`].
    pub fn create(dir: &Path, raw: &RawGenesis, clock: Arc<dyn Clock>) -> Result<Replica, ReplayError> {
        let failed = |source| ReplayError::Execution { block: 0, source };
        let genesis = Genesis::decode(&raw.genesis).map_err(failed)?;
        let signature = check_signature(0, &raw.signature, genesis.header().hash_slow(), genesis.sequencer)?;
        let now = clock.now();
        check_ahead(0, genesis.timestamp, now).map_err(failed)?;
        let store = Store::create(dir, &genesis, &signature, now)?;
        Ok(Replica { chain: Chain::new(store, genesis, None, clock.clone()), clock })
    }

    /// Continues a copy.
    ///
    /// # Errors
    /// [`ChainError::Missing`], [`ChainError::Locked`], [`ChainError::Version`] and [`ChainError::Corrupt`].
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Replica, ChainError> {
        let store = Store::open(dir)?;
        let genesis = store.genesis()?;
        Ok(Replica { chain: Chain::new(store, genesis, None, clock.clone()), clock })
    }

    /// What the chain starts from.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        self.chain.genesis()
    }

    /// The newest block that was executed here.
    ///
    /// # Errors
    /// When the store fails or is damaged.
    pub fn head(&self) -> Result<BlockHeader, ChainError> {
        self.chain.head()
    }

    /// The copy as a chain to read: what was executed here, and what is added to it. Writes give [`ChainError::ReadOnly`].
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain.clone()
    }

    /// Executes the block that follows the head, and keeps it when every field of its header is what execution gives,
    /// the sequencer signed it, and it is not too far ahead of the clock. On return it is on disk, with what the clock
    /// showed. Returns its hash.
    ///
    /// # Errors
    /// [`ReplayError`] naming the block, and the field in it, that differs; nothing is kept then.
    /// [`ChainError::AheadOfClock`] in [`ReplayError::Execution`] when either clock is wrong: this one, or the
    /// sequencer's.
    pub fn apply(&self, raw: &RawBlock) -> Result<B256, ReplayError> {
        let view = self.chain.store().view()?;
        let parent = &view.head()?.header;
        let number = parent.number.saturating_add(1);
        let failed = |error| ReplayError::of_block(number, error);
        let header: Header = alloy_rlp::decode_exact(&raw.header)
            .map_err(|error| failed(ChainError::corrupt(format!("the header of block {number}"), error)))?;
        let signature =
            check_signature(number, &raw.signature, header.hash_slow(), self.genesis().sequencer)?;
        let now = self.clock.now();
        check_ahead(number, header.timestamp, now).map_err(failed)?;
        let transactions = raw
            .transactions
            .iter()
            .enumerate()
            .map(|(index, raw)| Transaction::decode(raw, self.genesis().chain_id, index))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let executed =
            validate(self.genesis(), &*view, parent, Block { header, transactions }).map_err(failed)?;
        self.chain.store().append(&executed, &signature, now)?;
        Ok(executed.hash())
    }
}

fn check_signature(block: u64, raw: &[u8], hash: B256, sequencer: Address) -> Result<Signature, ReplayError> {
    let signed =
        Signature::from_raw(raw).ok().and_then(|signature| Some((signature, recover(hash, &signature)?)));
    match signed {
        Some((signature, signer)) if signer == sequencer => Ok(signature),
        other => Err(ReplayError::Block {
            block,
            field: "sequencer signature",
            stored: other.map_or("not a signature".into(), |(_, signer)| signer.to_string()),
            computed: sequencer.to_string(),
        }),
    }
}
