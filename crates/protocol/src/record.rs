//! Signed public statements.
//!
//! A statement ([`Record`]) is written as canonical JSON: the compact serialization of its Rust type, fields in the
//! order of declaration. What is signed is exactly the bytes that are stored:
//! `Keccak-256("histone/record/v1" 0x00 kind 0x00 payload)`. A reader re-encodes what it parsed and refuses a
//! difference, so a statement has one encoding and a changed byte is never silently accepted.

use std::marker::PhantomData;

use alloy_primitives::{Address, B256, Keccak256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::{KeyError, SignatureBytes, SigningKey};

/// A statement that can be signed.
pub trait Record: Serialize + DeserializeOwned {
    /// Name of the kind of statement, part of what is signed; never reused with another meaning.
    const KIND: &'static str;
}

/// Why a signed statement is refused.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not JSON of the expected shape.
    #[error("not a signed `{kind}` record")]
    Malformed {
        /// The expected kind.
        kind: &'static str,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// Parsed, but the canonical bytes of what was parsed are others.
    #[error("a signed `{0}` record is not in its canonical encoding")]
    NotCanonical(&'static str),
    /// The file is of another kind.
    #[error("expected a `{expected}` record, found `{found}`")]
    Kind {
        /// The kind asked for.
        expected: &'static str,
        /// The kind in the file.
        found: String,
    },
    /// The signature does not belong to the stated signer.
    #[error("the signature of a `{kind}` record is not by {signer}")]
    Signature {
        /// The kind of the record.
        kind: &'static str,
        /// The account that the record states.
        signer: Address,
    },
    /// The signature has a wrong form.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A statement with its signature, generic over what it states.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    kind: String,
    payload: Box<str>,
    signer: Address,
    signature: SignatureBytes,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

fn digest(kind: &str, payload: &str) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"histone/record/v1\0");
    hasher.update(kind.as_bytes());
    hasher.update(b"\0");
    hasher.update(payload.as_bytes());
    hasher.finalize()
}

impl<T: Record> Signed<T> {
    /// Signs a statement.
    pub fn sign(record: &T, key: &SigningKey) -> Result<Self, RecordError> {
        let payload = serde_json::to_string(record)
            .map_err(|source| RecordError::Malformed { kind: T::KIND, source })?;
        let signature = key.sign(digest(T::KIND, &payload));
        Ok(Self {
            kind: T::KIND.into(),
            payload: payload.into(),
            signer: key.address(),
            signature,
            of: PhantomData,
        })
    }

    /// The bytes to store or send: one line of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: strings, an address and a signature always serialize.
        #[allow(clippy::unwrap_used)]
        let mut bytes = serde_json::to_vec(self).unwrap();
        bytes.push(b'\n');
        bytes
    }

    /// Reads what [`Signed::to_bytes`] wrote. The signature is checked by [`Signed::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let signed: Self = serde_json::from_slice(bytes)
            .map_err(|source| RecordError::Malformed { kind: T::KIND, source })?;
        if signed.kind != T::KIND {
            return Err(RecordError::Kind { expected: T::KIND, found: signed.kind });
        }
        if signed.to_bytes() != bytes {
            return Err(RecordError::NotCanonical(T::KIND));
        }
        Ok(signed)
    }

    /// Checks the signature and gives the statement and its signer. Whether that signer may say so is for the caller.
    pub fn open(&self) -> Result<(T, Address), RecordError> {
        // Also here: a signed record inside another document does not pass through `from_bytes`.
        if self.kind != T::KIND {
            return Err(RecordError::Kind { expected: T::KIND, found: self.kind.clone() });
        }
        if self.signature.recover(digest(T::KIND, &self.payload))? != self.signer {
            return Err(RecordError::Signature { kind: T::KIND, signer: self.signer });
        }
        let record: T = serde_json::from_str(&self.payload)
            .map_err(|source| RecordError::Malformed { kind: T::KIND, source })?;
        let again = serde_json::to_string(&record)
            .map_err(|source| RecordError::Malformed { kind: T::KIND, source })?;
        if again.as_str() != &*self.payload {
            return Err(RecordError::NotCanonical(T::KIND));
        }
        Ok((record, self.signer))
    }

    /// The stated signer, not yet checked.
    pub fn stated_signer(&self) -> Address {
        self.signer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Note {
        n: u32,
        text: String,
    }
    impl Record for Note {
        const KIND: &'static str = "note";
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        n: u32,
        text: String,
    }
    impl Record for Other {
        const KIND: &'static str = "other";
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let key = SigningKey::from_bytes(&[5; 32]).unwrap();
        let bytes = Signed::sign(&Note { n: 7, text: "a\"b".into() }, &key).unwrap().to_bytes();
        let (note, signer) = Signed::<Note>::from_bytes(&bytes).unwrap().open().unwrap();
        assert_eq!((note, signer), (Note { n: 7, text: "a\"b".into() }, key.address()));
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[i] ^= 1 << bit;
                let read = Signed::<Note>::from_bytes(&altered).and_then(|s| s.open());
                assert!(read.is_err(), "byte {i} bit {bit}: {:?}", String::from_utf8_lossy(&altered));
            }
        }
    }

    #[test]
    fn a_record_is_not_another_kind() {
        let key = SigningKey::from_bytes(&[5; 32]).unwrap();
        let bytes = Signed::sign(&Note { n: 7, text: String::new() }, &key).unwrap().to_bytes();
        let error = Signed::<Other>::from_bytes(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "expected a `other` record, found `note`");
        let renamed = String::from_utf8(bytes).unwrap().replace("note", "other");
        assert!(Signed::<Other>::from_bytes(renamed.as_bytes()).unwrap().open().is_err());
    }
}
