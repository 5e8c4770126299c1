//! Sealed messages: one-shot HPKE (RFC 9180), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
//!
//! A sealed message is `encapsulated key (32) || ciphertext || tag (16)`. `info` names the use (it separates the uses
//! of one key), `aad` binds the message to its place (round, job, dataset); the receiver must give the same.
//! [`SealProof`] shows that a key is held by the account that registers it.

mod possession;

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

pub use possession::SealProof;

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Bytes by which a sealed message is longer than what is in it.
pub const OVERHEAD: usize = 32 + 16;

/// Why a message could not be sealed or opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The public key is not a usable X25519 point.
    #[error("the recipient's seal key is not a usable X25519 public key")]
    InvalidPublicKey,
    /// Wrong key, wrong purpose or place, or altered bytes; which of them cannot be told.
    #[error("a sealed message does not open: it was altered, or sealed to another key, purpose or place")]
    DoesNotOpen,
}

/// An X25519 public key under which a party or an enclave receives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealPublicKey(pub alloy_primitives::B256);

impl fmt::Debug for SealPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl SealPublicKey {
    /// Seals `plaintext` to this key for the use `info`, bound to `aad`.
    pub fn seal(
        &self,
        info: &str,
        aad: &[u8],
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        let key = PublicKey::from_bytes(self.0.as_slice()).map_err(|_| SealError::InvalidPublicKey)?;
        let (encapped, ciphertext) = hpke::single_shot_seal_with_rng::<
            ChaCha20Poly1305,
            HkdfSha256,
            X25519HkdfSha256,
        >(&OpModeS::Base, &key, info.as_bytes(), plaintext, aad, rng)
        .map_err(|_| SealError::InvalidPublicKey)?;
        let mut message = encapped.to_bytes().to_vec();
        message.extend_from_slice(&ciphertext);
        Ok(message)
    }
}

/// The private half: opens what was sealed to it.
#[derive(Clone)]
pub struct SealKey {
    private: PrivateKey,
    public: SealPublicKey,
}

impl SealKey {
    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// Derives a key from 32 secret bytes (RFC 9180 `DeriveKeyPair`).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (private, public) = X25519HkdfSha256::derive_keypair(seed);
        let public = SealPublicKey(alloy_primitives::B256::from_slice(&public.to_bytes()));
        Self { private, public }
    }

    /// The key that others seal to.
    pub fn public(&self) -> SealPublicKey {
        self.public
    }

    /// Opens a message sealed to this key with the same `info` and `aad`.
    pub fn open(&self, info: &str, aad: &[u8], message: &[u8]) -> Result<Vec<u8>, SealError> {
        let (encapped, ciphertext) = message.split_at_checked(32).ok_or(SealError::DoesNotOpen)?;
        let encapped = EncappedKey::from_bytes(encapped).map_err(|_| SealError::DoesNotOpen)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapped,
            info.as_bytes(),
            ciphertext,
            aad,
        )
        .map_err(|_| SealError::DoesNotOpen)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({:?}, secret not shown)", self.public)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn opens_only_with_key_use_and_place() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let (key, other) = (SealKey::generate(&mut rng), SealKey::generate(&mut rng));
        let message = key.public().seal("use", b"place", b"secret", &mut rng).unwrap();
        assert_eq!(message.len(), 6 + OVERHEAD);
        assert_eq!(key.open("use", b"place", &message).unwrap(), b"secret");
        for (k, info, aad) in [(&other, "use", "place"), (&key, "use2", "place"), (&key, "use", "place2")] {
            assert_eq!(k.open(info, aad.as_bytes(), &message), Err(SealError::DoesNotOpen));
        }
        for i in 0..message.len() {
            let mut altered = message.clone();
            altered[i] ^= 1;
            assert_eq!(key.open("use", b"place", &altered), Err(SealError::DoesNotOpen), "byte {i}");
        }
        assert_eq!(key.open("use", b"place", &message[..20]), Err(SealError::DoesNotOpen));
    }

    #[test]
    fn refuses_the_zero_point() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let zero = SealPublicKey(alloy_primitives::B256::ZERO);
        assert_eq!(zero.seal("u", b"", b"x", &mut rng), Err(SealError::InvalidPublicKey));
    }
}
