//! What crosses a process: ids, keys, sealed and signed messages, evidence, consent, receipts.
//!
//! Every other crate speaks in these types, so that a party needs this crate alone to check what another one said:
//!
//! 1. [`hash`]: a blob is named by its BLAKE3 hash and carries it ([`blob`]); everything else is hashed with SHA-256 under a domain tag.
//! 2. [`keys`]: a party signs with secp256k1 (the ledger's curve) and receives under X25519 ([`seal`], RFC 9180). All
//!    its secrets but those that are erased one by one derive from one root ([`secret`]).
//! 3. [`record`]: a public statement is canonical JSON with a version, signed as the bytes that are stored.
//! 4. [`receipt`]: what a contract must check is EIP-712 typed data, signed inside an enclave.
//! 5. [`evidence`]: what an enclave shows about itself. [`consent`]: what an owner allows, what a trainer asks for.
//! 6. [`commitment`]: a dataset on the ledger is one Merkle root over salted rows; [`dataset`]: it travels encrypted.
//! 7. [`program`]: kinds of program and the audit of one. [`report`]: what enclaves state about data and models;
//!    [`notice`]: what the committee alone is told about them.
//! 8. [`plan`]: what a training fixes before it recruits. [`committee`]: how many members open a sum.
//! 9. [`letter`]: what concerns two parties goes sealed from one to the other.
//!
//! Deliberately absent: IO, clocks and random number generators (they are handed in), policy (crate `access`),
//! appraisal (crate `attestation`). The crate builds for wasm32.
//!
//! ```
//! use histone_protocol::keys::SigningKey;
//! use histone_protocol::record::{Record, Signed};
//! # #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
//! # struct Hello { text: String }
//! # impl Record for Hello { const KIND: &'static str = "hello"; }
//! let key = SigningKey::from_bytes(&[7; 32])?;
//! let signed = Signed::sign(&Hello { text: "hi".into() }, &key)?;
//! let (hello, signer) = Signed::<Hello>::from_bytes(&signed.to_bytes())?.open()?;
//! assert_eq!((hello.text.as_str(), signer), ("hi", key.address()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod agreement;
pub mod blob;
pub mod commitment;
pub mod committee;
pub mod consent;
pub mod dataset;
pub mod disclosure;
pub mod evidence;
pub mod hash;
pub mod invitation;
pub mod keys;
pub mod letter;
pub mod moment;
pub mod notice;
pub mod plan;
pub mod program;
pub mod receipt;
pub mod record;
pub mod report;
pub mod seal;
pub mod secret;

/// On wasm32 nobody may draw random numbers behind our back.
#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code)] // the macro exports a symbol
mod no_randomness {
    fn refuse(_: &mut [u8]) -> Result<(), getrandom_02::Error> {
        Err(getrandom_02::Error::UNSUPPORTED)
    }
    getrandom_02::register_custom_getrandom!(refuse);
}

pub use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

/// The message of an error with its causes, from the outside to the innermost; a cause that the message already tells
/// is not repeated.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        source = cause.source();
    }
    text
}
