//! The kinds of hardware whose evidence can be appraised.
//!
//! A platform is one module with a [`Verifier`], and one line in [`PLATFORMS`]. What evidence looks like and who vouches
//! for it is the platform's affair; what is compared with the ledger and with the policy, and until when it holds, is the
//! same for all and is in [`crate::appraise`]. Other crates ask this list instead of knowing any platform.

use std::fmt;

use histone_protocol::evidence::{EnclaveKeys, Platform};
use histone_protocol::{Address, B256};

use crate::simulated::Simulated;
use crate::{AppraisalError, AppraisalPolicy};

/// All platforms of this version. Their codes, names and evidence are disjoint.
pub const PLATFORMS: [&dyn Verifier; 1] = [&Simulated];

/// Appraises the evidence of one platform.
pub trait Verifier: fmt::Debug + Sync {
    /// Its code on the ledger, and its word in records.
    fn platform(&self) -> Platform;

    /// What study files call it, in small letters.
    fn name(&self) -> &'static str;

    /// Whether there is no hardware behind it, so that it protects nothing.
    fn simulated(&self) -> bool;

    /// What evidence says, as far as it is consistent in itself; `None` when it is not evidence of this platform in its
    /// canonical encoding. Nobody has vouched for it yet.
    fn read(&self, evidence: &[u8]) -> Option<Result<Claims, AppraisalError>>;

    /// Checks that the roots which the policy trusts vouch for evidence that [`Verifier::read`] has read.
    fn vouch(&self, evidence: &[u8], policy: &AppraisalPolicy) -> Result<(), AppraisalError>;
}

/// What evidence says about one enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The keys shown with the quote.
    pub keys: EnclaveKeys,
    /// Who is said to run the enclave.
    pub operator: Address,
    /// Which program runs.
    pub measurement: B256,
    /// Hash of the configuration given at start.
    pub init_data: B256,
    /// What the quote binds: [`EnclaveKeys::report_data`].
    pub report_data: B256,
    /// Unix seconds.
    pub issued_at: u64,
}

/// What evidence says and of which platform it is, believed by nobody yet: for whoever has to know what to compare it with.
pub fn read(evidence: &[u8]) -> Result<(Platform, Claims), AppraisalError> {
    let (verifier, claims) = read_among(&PLATFORMS, evidence).ok_or(AppraisalError::Malformed)?;
    Ok((verifier.platform(), claims?))
}

/// The first platform whose evidence this is.
pub(crate) fn read_among<'a>(
    platforms: &[&'a dyn Verifier],
    evidence: &[u8],
) -> Option<(&'a dyn Verifier, Result<Claims, AppraisalError>)> {
    platforms.iter().find_map(|verifier| Some((*verifier, verifier.read(evidence)?)))
}

/// Whether there is hardware behind a platform: of one that is not in the list nobody knows, and nothing believes it.
pub fn is_hardware(platform: Platform) -> bool {
    PLATFORMS.iter().any(|verifier| verifier.platform() == platform && !verifier.simulated())
}

/// The platform of a name in a study file.
pub fn by_name(name: &str) -> Option<Platform> {
    PLATFORMS.iter().find(|verifier| verifier.name() == name).map(|verifier| verifier.platform())
}

/// All platforms by name, for messages.
pub fn known() -> String {
    let name = |verifier: &&dyn Verifier| match verifier.simulated() {
        true => format!("\"{}\", which stands for no hardware", verifier.name()),
        false => format!("\"{}\"", verifier.name()),
    };
    PLATFORMS.iter().map(name).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
