//! Signing keys of parties and enclaves, on the ledger's curve.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::{Address, B256, Signature};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Why a key or a signature is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The bytes are zero or not below the order of the curve.
    #[error("these 32 bytes are not a secp256k1 private key")]
    InvalidKey,
    /// Not 65 bytes `r || s || v` with `v` 27 or 28 and a low `s`.
    #[error("a signature is 65 bytes r || s || v with v 27 or 28 and s in the lower half of the order")]
    InvalidSignature,
}

/// A secp256k1 private key. Signatures are deterministic (RFC 6979) and carry a recovery id.
#[derive(Clone)]
pub struct SigningKey(k256::ecdsa::SigningKey);

impl SigningKey {
    /// Takes the 32 big-endian bytes of a private key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        k256::ecdsa::SigningKey::from_slice(bytes).map(Self).map_err(|_| KeyError::InvalidKey)
    }

    /// Draws a key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut *bytes);
            // The chance that a draw is not below the order is 2^-128; then another is taken.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// The account of this key: the last 20 bytes of Keccak-256 of the public key.
    pub fn address(&self) -> Address {
        Address::from_public_key(self.0.verifying_key())
    }

    /// The 32 bytes, for a keystore or a transaction signer.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// Signs a 32-byte digest.
    pub fn sign(&self, digest: B256) -> SignatureBytes {
        // Unwrap safety: signing a 32-byte prehash fails only for a nonce of probability 2^-256.
        #[allow(clippy::expect_used)]
        let (signature, recovery) =
            self.0.sign_prehash_recoverable(digest.as_slice()).expect("a 32-byte digest can be signed");
        SignatureBytes(Signature::from((signature, recovery)).as_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret not shown)", self.address())
    }
}

/// How many signatures a process remembers: two megabytes.
const REMEMBERED: usize = 1 << 14;

type Recovered = BTreeMap<([u8; 65], B256), Address>;

/// Who has signed what, of the signatures that this process has looked at lately: nodes and `verify` read the same documents again and
/// again, and each time was most of what reading costs. All of it is public.
fn recovered() -> MutexGuard<'static, Recovered> {
    static RECOVERED: Mutex<Recovered> = Mutex::new(BTreeMap::new());
    // What a panic leaves behind is true.
    RECOVERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A 65-byte signature `r || s || v` (`v` = 27 or 28, `s` low), as contracts take it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignatureBytes([u8; 65]);

impl SignatureBytes {
    /// Checks the form, not the signer.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let raw: [u8; 65] = bytes.try_into().map_err(|_| KeyError::InvalidSignature)?;
        if raw[64] != 27 && raw[64] != 28 {
            return Err(KeyError::InvalidSignature);
        }
        let signature = Signature::from_raw_array(&raw).map_err(|_| KeyError::InvalidSignature)?;
        // A second form of the same signature (high s) would give one statement two encodings.
        if signature.normalize_s().is_some() {
            return Err(KeyError::InvalidSignature);
        }
        Ok(Self(raw))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The account that signed `digest`. Any digest recovers to some account: compare it with the expected one.
    pub fn recover(&self, digest: B256) -> Result<Address, KeyError> {
        let known = recovered().get(&(self.0, digest)).copied();
        if let Some(account) = known {
            return Ok(account);
        }
        let account = Signature::from_raw_array(&self.0)
            .and_then(|s| s.recover_address_from_prehash(&digest))
            .map_err(|_| KeyError::InvalidSignature)?;
        let mut recovered = recovered();
        if recovered.len() >= REMEMBERED {
            recovered.clear();
        }
        recovered.insert((self.0, digest), account);
        Ok(account)
    }
}

impl fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", alloy_primitives::hex::encode(self.0))
    }
}

impl serde::Serialize for SignatureBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("0x{}", alloy_primitives::hex::encode(self.0)))
    }
}

impl<'de> serde::Deserialize<'de> for SignatureBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = alloy_primitives::Bytes::deserialize(deserializer)?;
        Self::from_slice(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn known_address_and_recovery() {
        // Private key 1: its address is known from many public test suites.
        let mut one = [0; 32];
        one[31] = 1;
        let key = SigningKey::from_bytes(&one).unwrap();
        assert_eq!(key.address().to_string(), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
        let digest = B256::repeat_byte(9);
        let signature = key.sign(digest);
        assert_eq!(signature.recover(digest).unwrap(), key.address());
        assert_ne!(signature.recover(B256::repeat_byte(8)).unwrap(), key.address());
        // Remembered, and not for another digest or signature.
        assert_eq!(signature.recover(digest).unwrap(), key.address());
        let other = SigningKey::from_bytes(&[3; 32]).unwrap().sign(digest);
        assert_ne!(other.recover(digest).unwrap(), key.address());
    }

    #[test]
    fn refuses_other_forms() {
        let key = SigningKey::from_bytes(&[3; 32]).unwrap();
        let good = key.sign(B256::ZERO);
        let mut raw = [0; 65];
        raw.copy_from_slice(good.as_slice());
        assert!(SignatureBytes::from_slice(&raw).is_ok());
        assert_eq!(SignatureBytes::from_slice(&raw[..64]), Err(KeyError::InvalidSignature));
        let mut v = raw;
        v[64] -= 27;
        assert_eq!(SignatureBytes::from_slice(&v), Err(KeyError::InvalidSignature));
        // s -> n - s with the other v is the same signature in the form that must be refused.
        let n = alloy_primitives::U256::from_be_slice(&alloy_primitives::hex!(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        ));
        let mut high = raw;
        let s = n - alloy_primitives::U256::from_be_slice(&raw[32..64]);
        high[32..64].copy_from_slice(&s.to_be_bytes::<32>());
        high[64] = 55 - raw[64];
        assert_eq!(SignatureBytes::from_slice(&high), Err(KeyError::InvalidSignature));
        assert_eq!(SigningKey::from_bytes(&[0; 32]).map(|_| ()), Err(KeyError::InvalidKey));
    }

    #[test]
    fn secrets_do_not_print() {
        let key = SigningKey::from_bytes(&[0x5a; 32]).unwrap();
        assert!(!format!("{key:?}").contains("5a5a"));
    }
}
