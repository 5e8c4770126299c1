//! Signed transactions: the limits that hold before the state is asked.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, B256, Bytes};

use crate::ChainError;
use crate::recovery::recover;

/// Most bytes of input data that one transaction may carry: 128 KiB.
pub const MAX_INPUT_BYTES: usize = 128 * 1024;
/// Most bytes of one encoded transaction, access and authorization lists included: 256 KiB.
pub const MAX_TRANSACTION_BYTES: usize = 256 * 1024;

/// A signed transaction whose form, chain id and signature have been checked. Only [`Transaction::decode`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    envelope: Recovered<TxEnvelope>,
    raw: Bytes,
}

impl Transaction {
    /// Decodes an EIP-2718 encoded transaction of type legacy, 2930, 1559 or 7702 for `chain_id`.
    ///
    /// # Errors
    /// [`ChainError::TransactionMalformed`] naming `index` when it is too large, cannot be decoded, is of another
    /// type (blobs are refused), is for another chain or for none (pre EIP-155), or when no sender can be recovered
    /// (the signature is malformed or not in its low-`s` form).
    pub fn decode(raw: &[u8], chain_id: u64, index: usize) -> Result<Transaction, ChainError> {
        let refuse = |reason: String| ChainError::TransactionMalformed { index, reason };
        if raw.len() > MAX_TRANSACTION_BYTES {
            return Err(refuse(format!(
                "it has {} bytes, the limit is {MAX_TRANSACTION_BYTES}; split it",
                raw.len()
            )));
        }
        let envelope = TxEnvelope::decode_2718_exact(raw)
            .map_err(|error| refuse(format!("the encoding is not valid: {error}")))?;
        if envelope.is_eip4844() {
            return Err(refuse("it carries blobs, which this chain does not keep".into()));
        }
        match envelope.chain_id() {
            Some(id) if id == chain_id => {}
            Some(id) => {
                return Err(refuse(format!("it is signed for chain id {id}, this chain has {chain_id}")));
            }
            None => {
                return Err(refuse(format!(
                    "it names no chain id (EIP-155); sign it for chain id {chain_id}"
                )));
            }
        }
        if envelope.input().len() > MAX_INPUT_BYTES {
            return Err(refuse(format!(
                "its input has {} bytes, the limit is {MAX_INPUT_BYTES}; split it",
                envelope.input().len()
            )));
        }
        // Of the two forms of a signature only one is accepted (EIP-2), or the same transaction would have two hashes.
        let signature = Some(envelope.signature()).filter(|signature| signature.normalize_s().is_none());
        let sender = signature
            .and_then(|signature| recover(envelope.signature_hash(), signature))
            .ok_or_else(|| refuse("the signature is not valid: no sender can be recovered".into()))?;
        Ok(Transaction {
            envelope: Recovered::new_unchecked(envelope, sender),
            raw: Bytes::copy_from_slice(raw),
        })
    }

    /// The transaction itself.
    #[must_use]
    pub fn envelope(&self) -> &TxEnvelope {
        self.envelope.inner()
    }

    /// The address recovered from the signature.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.envelope.signer()
    }

    /// The transaction hash.
    #[must_use]
    pub fn hash(&self) -> B256 {
        *self.envelope().tx_hash()
    }

    /// The EIP-2718 encoding that was signed.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
}
