//! Signed public statements.
//!
//! A statement ([`Record`]) is written as canonical JSON: the compact serialization of its Rust type, fields in the
//! order of declaration. What is signed is EIP-712 typed data, `Statement(string kind,string content)` with exactly the
//! stored bytes as content, so that a wallet can show what is signed. The domain is `("Histone", "1")`, with chain id and
//! contract where a statement is about one ledger ([`Record::ledger`]). A reader re-encodes what it parsed and refuses a
//! difference, so a statement has one encoding and a changed byte is never silently accepted.

use std::marker::PhantomData;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::keys::{KeyError, SignatureBytes, SigningKey};

/// A statement that can be signed.
pub trait Record: Serialize + DeserializeOwned {
    /// Name of the kind of statement, part of what is signed; never reused with another meaning.
    const KIND: &'static str;

    /// The ledger that a statement is about; it is void on every other one. `None` for what is true anywhere, such as a
    /// device's certificate.
    fn ledger(&self) -> Option<LedgerId> {
        None
    }
}

/// One deployment of the contracts on one chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerId {
    /// Chain id.
    pub chain_id: u64,
    /// Its directory, the contract that names all others.
    pub contract: Address,
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

sol! {
    struct Statement {
        string kind;
        string content;
    }
}

fn digest<T: Record>(record: &T, payload: &str) -> B256 {
    let ledger = record.ledger();
    let domain = Eip712Domain::new(
        Some("Histone".into()),
        Some("1".into()),
        ledger.map(|l| U256::from(l.chain_id)),
        ledger.map(|l| l.contract),
        None,
    );
    Statement { kind: T::KIND.into(), content: payload.into() }.eip712_signing_hash(&domain)
}

impl<T: Record> Signed<T> {
    /// Signs a statement.
    pub fn sign(record: &T, key: &SigningKey) -> Result<Self, RecordError> {
        let payload = serde_json::to_string(record)
            .map_err(|source| RecordError::Malformed { kind: T::KIND, source })?;
        let signature = key.sign(digest(record, &payload));
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
        let record: T = serde_json::from_str(&self.payload)
            .map_err(|source| RecordError::Malformed { kind: T::KIND, source })?;
        let again = serde_json::to_string(&record)
            .map_err(|source| RecordError::Malformed { kind: T::KIND, source })?;
        if again.as_str() != &*self.payload {
            return Err(RecordError::NotCanonical(T::KIND));
        }
        if self.signature.recover(digest(&record, &self.payload))? != self.signer {
            return Err(RecordError::Signature { kind: T::KIND, signer: self.signer });
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

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Local {
        n: u32,
        on: LedgerId,
    }
    impl Record for Local {
        const KIND: &'static str = "local";
        fn ledger(&self) -> Option<LedgerId> {
            Some(self.on)
        }
    }

    /// The typed data as a wallet would be given it, hashed by the encoder for JSON and not by the one for Rust types.
    #[test]
    fn what_is_signed_is_typed_data() {
        let key = SigningKey::from_bytes(&[5; 32]).unwrap();
        let on = LedgerId { chain_id: 31_337, contract: Address::repeat_byte(7) };
        let signed = Signed::sign(&Local { n: 7, on }, &key).unwrap();
        let data: alloy_dyn_abi::TypedData = serde_json::from_value(serde_json::json!({
            "types": {
                "EIP712Domain": [
                    { "name": "name", "type": "string" }, { "name": "version", "type": "string" },
                    { "name": "chainId", "type": "uint256" }, { "name": "verifyingContract", "type": "address" },
                ],
                "Statement": [{ "name": "kind", "type": "string" }, { "name": "content", "type": "string" }],
            },
            "primaryType": "Statement",
            "domain": { "name": "Histone", "version": "1", "chainId": 31_337, "verifyingContract": on.contract },
            "message": { "kind": "local", "content": &*signed.payload },
        }))
        .unwrap();
        let digest = data.eip712_signing_hash().unwrap();
        assert_eq!(signed.signature.recover(digest).unwrap(), key.address());
    }

    #[test]
    fn a_statement_about_one_ledger_is_void_about_another() {
        let key = SigningKey::from_bytes(&[5; 32]).unwrap();
        let on = LedgerId { chain_id: 31_337, contract: Address::repeat_byte(7) };
        let bytes = Signed::sign(&Local { n: 7, on }, &key).unwrap().to_bytes();
        assert_eq!(Signed::<Local>::from_bytes(&bytes).unwrap().open().unwrap().0.on, on);
        let text = String::from_utf8(bytes).unwrap();
        for moved in [text.replace("31337", "31338"), text.replace("0x0707", "0x0708")] {
            assert_ne!(moved, text);
            let error = Signed::<Local>::from_bytes(moved.as_bytes()).unwrap().open().unwrap_err();
            assert!(matches!(error, RecordError::Signature { .. }), "{error}");
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
