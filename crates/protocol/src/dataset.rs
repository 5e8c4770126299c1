//! A dataset at rest and on its way: encrypted once under a data key, which is sealed to one enclave at a time.
//!
//! Encryption is ChaCha20-Poly1305 with a 96-bit nonce in front of the ciphertext, derived from key and plaintext: the
//! same bytes encrypt to the same ciphertext, others meet another nonce, and no crash or clone repeats one. What an owner's node releases is a [`KeyBundle`], sealed (HPKE) to an attested
//! enclave and bound by [`release_aad`] to dataset, program and evidence.

use std::fmt;

use alloy_primitives::B256;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::commitment::SaltKey;
use crate::hash::tagged_hash;
use crate::seal::{SealError, SealKey, SealPublicKey};
use crate::secret::Root;

/// HPKE `info` of a released key.
pub const RELEASE_INFO: &str = "histone/key-release/v1";
const TABLE_AAD: &[u8] = b"histone/dataset/v1";
const NONCE: usize = 12;

/// Why an encrypted dataset cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DatasetError {
    /// Wrong key or altered bytes.
    #[error("the encrypted dataset does not open under its key: it was altered or belongs to another key")]
    DoesNotOpen,
    /// The released key does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The secret under which one dataset is encrypted. Destroying it erases every copy of the ciphertext.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// Takes 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Encrypts a dataset.
    pub fn encrypt(&self, plaintext: &[u8]) -> Vec<u8> {
        let derived = Root::from_bytes(*self.0).derive("histone/dataset-nonce/v1", &[plaintext]);
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&derived[..NONCE]);
        let cipher = ChaCha20Poly1305::new((&*self.0).into());
        // Unwrap safety: encryption fails only beyond 256 GiB.
        #[allow(clippy::expect_used)]
        let ciphertext = cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad: TABLE_AAD })
            .expect("a dataset is smaller than 256 GiB");
        [nonce.as_slice(), &ciphertext].concat()
    }

    /// Decrypts a dataset.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, DatasetError> {
        let (nonce, ciphertext) = ciphertext.split_first_chunk::<NONCE>().ok_or(DatasetError::DoesNotOpen)?;
        ChaCha20Poly1305::new((&*self.0).into())
            .decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: TABLE_AAD })
            .map(Zeroizing::new)
            .map_err(|_| DatasetError::DoesNotOpen)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(secret not shown)")
    }
}

/// Everything secret about a dataset: its key and the salts of its commitment.
#[derive(Debug, Clone)]
pub struct KeyBundle {
    /// Opens the ciphertext.
    pub data: DataKey,
    /// Opens the commitment.
    pub salt: SaltKey,
}

impl KeyBundle {
    /// Draws both.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self { data: DataKey::generate(rng), salt: SaltKey::generate(rng) }
    }

    /// Both keys as bytes, for the owner's keystore.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 64]> {
        let mut bytes = Zeroizing::new([0; 64]);
        bytes[..32].copy_from_slice(&*self.data.0);
        bytes[32..].copy_from_slice(self.salt.as_bytes());
        bytes
    }

    /// Both keys from the owner's keystore.
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let (mut data, mut salt) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        data.copy_from_slice(&bytes[..32]);
        salt.copy_from_slice(&bytes[32..]);
        Self { data: DataKey(data), salt: SaltKey::from_bytes(*salt) }
    }

    /// Seals both to an enclave. Only the key release of an owner's node may call this: it is where the checks are.
    pub fn seal_to(&self, enclave: SealPublicKey, aad: B256, secret: &Root) -> Result<SealedKey, SealError> {
        enclave.seal(RELEASE_INFO, aad.as_slice(), &*self.to_bytes(), secret).map(SealedKey)
    }
}

/// A key bundle that only one enclave can open.
#[derive(Debug, Clone)]
pub struct SealedKey(Vec<u8>);

impl SealedKey {
    /// Takes a key as it was sent.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Opens the bundle inside the enclave.
    pub fn open(&self, key: &SealKey, aad: B256) -> Result<KeyBundle, DatasetError> {
        let plain = Zeroizing::new(key.open(RELEASE_INFO, aad.as_slice(), &self.0)?);
        let bytes: &[u8; 64] = plain.as_slice().try_into().map_err(|_| DatasetError::DoesNotOpen)?;
        Ok(KeyBundle::from_bytes(bytes))
    }
}

/// What a released key is bound to: the dataset, the program and the evidence that was appraised.
pub fn release_aad(dataset: B256, measurement: B256, evidence_hash: B256) -> B256 {
    tagged_hash(
        "histone/key-release/v1",
        &[dataset.as_slice(), measurement.as_slice(), evidence_hash.as_slice()],
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn only_the_bound_enclave_reads() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let bundle = KeyBundle::generate(&mut rng);
        let ciphertext = bundle.data.encrypt(b"rows");
        let (enclave, other) = (SealKey::generate(&mut rng), SealKey::generate(&mut rng));
        let aad = release_aad(B256::repeat_byte(1), B256::repeat_byte(2), B256::repeat_byte(3));
        let sealed = bundle.seal_to(enclave.public(), aad, &Root::from_bytes([5; 32])).unwrap();
        let opened = sealed.open(&enclave, aad).unwrap();
        assert_eq!(opened.data.decrypt(&ciphertext).unwrap().as_slice(), b"rows");
        assert_eq!(opened.salt.as_bytes(), bundle.salt.as_bytes());
        assert!(sealed.open(&other, aad).is_err());
        let elsewhere = release_aad(B256::repeat_byte(9), B256::repeat_byte(2), B256::repeat_byte(3));
        assert!(sealed.open(&enclave, elsewhere).is_err());
        for i in 0..ciphertext.len() {
            let mut altered = ciphertext.clone();
            altered[i] ^= 1;
            assert_eq!(opened.data.decrypt(&altered).unwrap_err(), DatasetError::DoesNotOpen);
        }
        assert!(!format!("{bundle:?}").contains('['));
        assert_eq!(*KeyBundle::from_bytes(&bundle.to_bytes()).to_bytes(), *bundle.to_bytes());
    }

    /// A keystore that was copied or restored encrypts again: with a nonce that comes twice the difference of the two
    /// plaintexts would be read off.
    #[test]
    fn a_rolled_back_keystore_never_repeats_a_nonce() {
        let key = DataKey::from_bytes([7; 32]);
        let first = key.encrypt(b"one table");
        assert_eq!(DataKey::from_bytes([7; 32]).encrypt(b"one table"), first);
        assert_ne!(key.encrypt(b"ane table")[..NONCE], first[..NONCE]);
        assert_ne!(DataKey::from_bytes([8; 32]).encrypt(b"one table")[..NONCE], first[..NONCE]);
    }
}
