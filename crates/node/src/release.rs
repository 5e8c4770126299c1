//! The one function through which a data key leaves an owner.
//!
//! It takes what the three checks made, by value: a decision ([`Permit`]), an appraisal ([`Attested`]), a look at the
//! money ([`Funded`]). None of them can be made without its check, none can be copied, so forgetting a check does not
//! compile. Here they are only compared with each other: a permit for one dataset, an appraisal of one enclave and
//! money for one model must speak of the same use.
//!
//! None of these compiles:
//!
//! ```compile_fail,E0451
//! fn forged(dataset: histone_protocol::B256, usage: histone_access::Usage) -> histone_access::Permit {
//!     histone_access::Permit { dataset, usage, measurements: vec![] }
//! }
//! ```
//! ```compile_fail,E0451
//! fn forged(basis: histone_ledger::Basis) -> histone_ledger::Funded {
//!     histone_ledger::Funded { basis }
//! }
//! ```
//! ```compile_fail,E0599
//! fn twice(attested: histone_attestation::Attested) -> histone_attestation::Attested {
//!     attested.clone()
//! }
//! ```

use histone_access::{Permit, Usage};
use histone_attestation::Attested;
use histone_ledger::{Basis, Funded};
use histone_protocol::dataset::{KeyBundle, SealedKey, release_aad};
use histone_protocol::seal::SealError;
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256};

/// Why a key is not released although each check passed for itself.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The permit is for another dataset.
    #[error("the permit is for dataset {permit}, the key is of dataset {key}")]
    Dataset {
        /// In the permit.
        permit: B256,
        /// Of the key.
        key: B256,
    },
    /// The enclave runs a program that the permit does not name.
    #[error("the enclave runs measurement {0}, which the permit does not name")]
    Program(B256),
    /// The appraisal has become void.
    #[error("the appraisal was valid until {valid_until}, it is {now}")]
    Expired {
        /// Unix seconds.
        valid_until: u64,
        /// Unix seconds.
        now: u64,
    },
    /// The money is for something else.
    #[error("the permit is for {permit:?}, the ledger's funds are for {funds:?}")]
    Funds {
        /// What was permitted.
        permit: Usage,
        /// What is paid for.
        funds: Basis,
    },
    /// Validation is ordered by the owner alone.
    #[error("the validation was ordered by {0}, who is not the owner")]
    NotOwner(Address),
    /// The key could not be sealed.
    #[error("the key could not be sealed to the enclave")]
    Seal(#[from] SealError),
}

/// A dataset's key as its owner holds it.
#[derive(Debug)]
pub struct OwnedKey<'a> {
    /// The owner.
    pub owner: Address,
    /// The ledger's key of the dataset.
    pub dataset: B256,
    /// The secrets.
    pub bundle: &'a KeyBundle,
}

/// Releases a data key to the one enclave that was appraised, for the one use that was permitted and paid. `secret` is
/// the owner's root, from which the seal's randomness derives.
pub fn release(
    permit: Permit,
    attested: Attested,
    funded: Funded,
    key: OwnedKey<'_>,
    now: u64,
    secret: &Root,
) -> Result<SealedKey, ReleaseError> {
    if permit.dataset() != key.dataset {
        return Err(ReleaseError::Dataset { permit: permit.dataset(), key: key.dataset });
    }
    if !permit.allows_program(attested.measurement()) {
        return Err(ReleaseError::Program(attested.measurement()));
    }
    if now > attested.valid_until() {
        return Err(ReleaseError::Expired { valid_until: attested.valid_until(), now });
    }
    match (permit.usage(), funded.basis()) {
        (Usage::Training { model_id: permitted }, Basis::Deposit { model_id, .. })
            if permitted == model_id => {}
        (Usage::Validation { owner }, Basis::NothingOwed { enclave })
            if enclave == attested.keys().receipt =>
        {
            if owner != key.owner {
                return Err(ReleaseError::NotOwner(owner));
            }
        }
        (permit, funds) => return Err(ReleaseError::Funds { permit, funds }),
    }
    let aad = release_aad(key.dataset, attested.measurement(), attested.evidence_hash());
    Ok(key.bundle.seal_to(attested.keys().seal, aad, secret)?)
}
