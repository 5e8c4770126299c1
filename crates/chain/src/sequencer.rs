//! The key that signs blocks.

use std::fmt;

use alloy_primitives::{Address, B256, Signature};
use k256::ecdsa::SigningKey;
use rand_core::CryptoRng;

use crate::ChainError;

/// The secp256k1 signing key of the block producer. Wiped from memory when dropped; `Debug` shows the address only.
#[derive(Clone)]
pub struct Sequencer {
    key: SigningKey,
    address: Address,
}

impl Sequencer {
    /// A key from its 32 secret bytes (big endian scalar).
    ///
    /// # Errors
    /// [`ChainError::SequencerKey`] when the bytes are zero or not below the order of the curve.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Sequencer, ChainError> {
        let key = SigningKey::from_slice(secret).map_err(|_| ChainError::SequencerKey)?;
        let address = Address::from_public_key(key.verifying_key());
        Ok(Sequencer { key, address })
    }

    /// A new key from `rng`.
    pub fn generate(rng: &mut impl CryptoRng) -> Sequencer {
        loop {
            let mut secret = [0; 32];
            rng.fill_bytes(&mut secret);
            // About one draw in 2^128 is not a valid scalar: draw again.
            if let Ok(sequencer) = Sequencer::from_bytes(&secret) {
                return sequencer;
            }
        }
    }

    /// The Ethereum address of the key: the producer named by every block.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    /// Signs a block hash (RFC 6979, so the same block has the same signature).
    pub(crate) fn sign(&self, block_hash: B256) -> Result<Signature, ChainError> {
        let signed =
            self.key.sign_prehash_recoverable(block_hash.as_slice()).map_err(|_| ChainError::SequencerKey)?;
        Ok(signed.into())
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer").field("address", &self.address).field("key", &"redacted").finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn signs_and_hides_its_key() {
        let sequencer = Sequencer::from_bytes(&[7; 32]).unwrap();
        let hash = B256::repeat_byte(3);
        let signature = sequencer.sign(hash).unwrap();
        assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), sequencer.address());
        assert!(!format!("{sequencer:?}").contains("0707"));
    }

    #[test]
    fn refuses_bytes_that_are_no_key() {
        assert!(matches!(Sequencer::from_bytes(&[0; 32]), Err(ChainError::SequencerKey)));
        assert!(matches!(Sequencer::from_bytes(&[0xff; 32]), Err(ChainError::SequencerKey)));
    }
}
