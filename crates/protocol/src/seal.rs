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
use rand_core::{CryptoRng, Infallible, TryCryptoRng, TryRng};
use serde::{Deserialize, Serialize};

use crate::secret::Root;

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
    /// Seals `plaintext` to this key for the use `info`, bound to `aad`. What is random in it derives from the sender's
    /// `secret` and from everything that is sealed: the same message again is the same bytes, and no two messages share
    /// a key stream.
    pub fn seal(
        &self,
        info: &str,
        aad: &[u8],
        plaintext: &[u8],
        secret: &Root,
    ) -> Result<Vec<u8>, SealError> {
        let parts = [self.0.as_slice(), info.as_bytes(), aad, plaintext];
        let randomness = secret.derive("histone/seal-randomness/v1", &parts);
        self.seal_with(info, aad, plaintext, &randomness)
    }

    /// Seals with the given 32 bytes in the place of random numbers: RFC 9180's ephemeral key is
    /// `DeriveKeyPair(randomness)`. Whoever learns them reads this message, and can check that it was sealed so. They
    /// must be secret until then, and never serve for another message.
    pub fn seal_with(
        &self,
        info: &str,
        aad: &[u8],
        plaintext: &[u8],
        randomness: &[u8; 32],
    ) -> Result<Vec<u8>, SealError> {
        let key = PublicKey::from_bytes(self.0.as_slice()).map_err(|_| SealError::InvalidPublicKey)?;
        let (encapped, ciphertext) =
            hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &key,
                info.as_bytes(),
                plaintext,
                aad,
                &mut Given(randomness),
            )
            .map_err(|_| SealError::InvalidPublicKey)?;
        let mut message = encapped.to_bytes().to_vec();
        message.extend_from_slice(&ciphertext);
        Ok(message)
    }
}

/// A source of random numbers that gives the bytes that it was handed. A test shows that sealing draws them once.
struct Given<'a>(&'a [u8; 32]);

impl TryRng for Given<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.iter_mut().zip(self.0.iter().cycle()).for_each(|(o, b)| *o = *b);
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}

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
    use super::*;

    fn sender() -> Root {
        Root::from_bytes([9; 32])
    }

    #[test]
    fn opens_only_with_key_use_and_place() {
        let (key, other) = (SealKey::from_seed(&[1; 32]), SealKey::from_seed(&[2; 32]));
        let message = key.public().seal("use", b"place", b"secret", &sender()).unwrap();
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
        let zero = SealPublicKey(alloy_primitives::B256::ZERO);
        assert_eq!(zero.seal("u", b"", b"x", &sender()), Err(SealError::InvalidPublicKey));
    }

    #[test]
    fn the_same_message_is_the_same_bytes_and_no_other_shares_its_key_stream() {
        let key = SealKey::from_seed(&[1; 32]).public();
        let first = key.seal("use", b"place", b"secret", &sender()).unwrap();
        assert_eq!(key.seal("use", b"place", b"secret", &sender()).unwrap(), first);
        let other_key = SealKey::from_seed(&[2; 32]).public();
        let other_sender = Root::from_bytes([8; 32]);
        for other in [
            key.seal("use", b"place", b"secreT", &sender()).unwrap(),
            key.seal("use", b"placE", b"secret", &sender()).unwrap(),
            key.seal("usE", b"place", b"secret", &sender()).unwrap(),
            key.seal("use", b"place", b"secret", &other_sender).unwrap(),
            other_key.seal("use", b"place", b"secret", &sender()).unwrap(),
        ] {
            assert_ne!(other[..32], first[..32], "the ephemeral key came twice");
        }
    }

    #[test]
    fn the_ephemeral_key_is_the_one_of_the_given_bytes() {
        let key = SealKey::from_seed(&[1; 32]);
        let randomness = [3; 32];
        let message = key.public().seal_with("use", b"", b"x", &randomness).unwrap();
        assert_eq!(message[..32], SealKey::from_seed(&randomness).public().0.0);
        assert_eq!(key.open("use", b"", &message).unwrap(), b"x");
    }
}
