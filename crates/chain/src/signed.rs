//! What a sequencer is answerable for: whatever bears its signature, whoever passes it on.

use alloy_consensus::Header;
use alloy_consensus::proofs::ordered_trie_root_encoded;
use alloy_primitives::{Address, B256, Bytes, Signature};
use serde::{Deserialize, Serialize};

use crate::RawBlock;
use crate::recovery::recover;

/// A header with the signature that makes it a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHeader {
    /// The RLP encoded header.
    pub header: Bytes,
    /// The sequencer's signature over the hash of the header, 65 bytes.
    pub signature: Bytes,
}

impl SignedHeader {
    /// The header, if `sequencer` has signed it.
    #[must_use]
    pub fn open(&self, sequencer: Address) -> Option<Header> {
        open(&self.header, &self.signature, sequencer)
    }
}

/// Two blocks that follow from one and the same: whoever signed both has made two histories. The parent ties them to one chain, so that
/// blocks of two chains with one key are no proof of anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// One of them.
    pub one: SignedHeader,
    /// The other one.
    pub other: SignedHeader,
}

/// Where two histories part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkPoint {
    /// Number of the first blocks that differ.
    pub number: u64,
    /// The hash of the last block that both have.
    pub parent: B256,
    /// The hashes of both.
    pub hashes: [B256; 2],
}

impl Fork {
    /// Where the histories part, if `sequencer` has signed both.
    #[must_use]
    pub fn open(&self, sequencer: Address) -> Option<ForkPoint> {
        let (one, other) = (self.one.open(sequencer)?, self.other.open(sequencer)?);
        let hashes = [one.hash_slow(), other.hash_slow()];
        let is_fork =
            (one.number, one.parent_hash) == (other.number, other.parent_hash) && hashes[0] != hashes[1];
        is_fork.then_some(ForkPoint { number: one.number, parent: one.parent_hash, hashes })
    }
}

impl RawBlock {
    /// The header with its signature, whoever made that.
    #[must_use]
    pub fn signed_header(&self) -> SignedHeader {
        SignedHeader { header: self.header.clone(), signature: self.signature.clone() }
    }

    /// The header, if `sequencer` has signed all of the block: its transactions are those that the header counts. What is wrong with
    /// such a block the sequencer has made, and with any other one whoever passes it on.
    #[must_use]
    pub fn open(&self, sequencer: Address) -> Option<Header> {
        let header = open(&self.header, &self.signature, sequencer)?;
        (ordered_trie_root_encoded(&self.transactions) == header.transactions_root).then_some(header)
    }
}

fn open(header: &[u8], signature: &[u8], sequencer: Address) -> Option<Header> {
    let header: Header = alloy_rlp::decode_exact(header).ok()?;
    let signature = Signature::from_raw(signature).ok()?;
    (recover(header.hash_slow(), &signature)? == sequencer).then_some(header)
}
