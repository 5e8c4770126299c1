//! Evidence of enclaves: made ([`simulated`]) and appraised ([`appraise`]).
//!
//! 1. A platform makes [`Evidence`] over a measurement, the init-data and the enclave's keys.
//! 2. Whoever is about to trust the enclave appraises the evidence under an [`AppraisalPolicy`] with a clock of his
//!    own. Only this gives an [`Attested`], and only with an [`Attested`] does an owner's node release a key.
//! 3. Whoever takes part in a training appraises everybody's: [`cohort`].
//!
//! Deliberately absent: a clock, a network (endorsements are handed in), and any way to make an [`Attested`] without
//! an appraisal. Every kind of hardware is one module behind one trait and one line in one list ([`platform`]); nothing
//! else asks which one it is. The one platform so far is simulated: it says `SIMULATED` everywhere, and
//! [`AppraisalPolicy::production`] refuses it.

pub mod cohort;
pub mod platform;
pub mod simulated;

use histone_protocol::consent::AppraisalTerms;
use histone_protocol::evidence::{EnclaveKeys, Platform};
use histone_protocol::hash::blob_hash;
use histone_protocol::record::RecordError;
use histone_protocol::{Address, B256};

use crate::platform::{PLATFORMS, Verifier, read_among};

/// Clock difference between two parties that is still accepted, in seconds.
pub const CLOCK_SKEW: u64 = 60;

/// What an appraiser accepts.
#[derive(Debug, Clone)]
pub struct AppraisalPolicy {
    platforms: Vec<Platform>,
    /// Accounts of the vendor roots that certify SIMULATED devices.
    simulated_vendors: Vec<Address>,
    /// Oldest evidence that is accepted, in seconds.
    max_age: u64,
}

impl AppraisalPolicy {
    /// Accepts evidence of real hardware only. No such platform is built in yet, so this accepts nothing.
    pub fn production(max_age: u64) -> Self {
        let real = PLATFORMS.iter().filter(|verifier| !verifier.simulated());
        Self {
            platforms: real.map(|verifier| verifier.platform()).collect(),
            simulated_vendors: Vec::new(),
            max_age,
        }
    }

    /// Accepts what a white paper says is enough: SIMULATED evidence only where it says so.
    pub fn of(terms: &AppraisalTerms) -> Self {
        Self {
            platforms: terms.platforms.clone(),
            simulated_vendors: terms.simulated_vendors.clone(),
            max_age: terms.max_age_seconds,
        }
    }

    /// Oldest evidence that is accepted, in seconds.
    pub fn max_age(&self) -> u64 {
        self.max_age
    }

    /// Accounts of the vendor roots that certify SIMULATED devices.
    pub fn simulated_vendors(&self) -> &[Address] {
        &self.simulated_vendors
    }

    /// Whether everything that `terms` let in is also accepted here, so that a node may rely on them.
    pub fn covers(&self, terms: &AppraisalTerms) -> bool {
        let vendors = !terms.platforms.contains(&Platform::SIMULATED)
            || terms.simulated_vendors.iter().all(|v| self.simulated_vendors.contains(v));
        vendors
            && terms.platforms.iter().all(|platform| self.platforms.contains(platform))
            && terms.max_age_seconds <= self.max_age
    }

    /// Accepts SIMULATED evidence under the given vendor roots: for development and demonstration only.
    pub fn simulated(vendors: Vec<Address>, max_age: u64) -> Self {
        Self { platforms: vec![Platform::SIMULATED], simulated_vendors: vendors, max_age }
    }
}

/// What the appraiser expects of the enclave, from sources other than the evidence (the ledger, the model's terms).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Who runs the enclave.
    pub operator: Address,
    /// The keys that are registered: evidence of another enclave of the same operator is no evidence of this one.
    pub keys: EnclaveKeys,
    /// Code of the platform that is registered.
    pub platform: u8,
    /// Hash of the evidence that is registered on the ledger.
    pub evidence_hash: B256,
    /// Measurement of the audited program.
    pub measurement: B256,
    /// Hash of the configuration that the enclave must have been started with.
    pub init_data: B256,
}

/// Why evidence is refused.
#[derive(Debug, thiserror::Error)]
pub enum AppraisalError {
    /// Not evidence in its canonical encoding.
    #[error("the bytes are not attestation evidence in its canonical encoding")]
    Malformed,
    /// The blob is not the one on the ledger.
    #[error("the evidence has hash {found}, the ledger has {expected}")]
    NotRegistered {
        /// Hash on the ledger.
        expected: B256,
        /// Hash of the bytes.
        found: B256,
    },
    /// The policy takes no simulated evidence.
    #[error("the evidence is SIMULATED and the policy accepts real hardware only")]
    Simulated,
    /// The policy takes no evidence of this kind of hardware.
    #[error("the evidence is of {0}, which the policy does not accept")]
    NotAccepted(&'static str),
    /// The ledger has an enclave of a platform that came later, or never.
    #[error("the enclave is registered on {0}, which this version cannot appraise: it knows {known}", known = platform::known())]
    UnknownPlatform(Platform),
    /// The vendor is not trusted.
    #[error("the device is certified by {0}, which is not a trusted vendor root")]
    Vendor(Address),
    /// The quote is by another device than the certificate names.
    #[error("the quote is signed by {signer}, the certificate is for device {device}")]
    Device {
        /// Who signed the quote.
        signer: Address,
        /// Whom the vendor certified.
        device: Address,
    },
    /// Another program runs.
    #[error("the enclave runs measurement {found}, expected {expected}")]
    Measurement {
        /// Measurement of the audited program.
        expected: B256,
        /// Measurement in the quote.
        found: B256,
    },
    /// The program was started with another configuration.
    #[error("the enclave was started with init-data {found}, expected {expected}")]
    InitData {
        /// Expected hash.
        expected: B256,
        /// Hash in the quote.
        found: B256,
    },
    /// The keys or the operator are not those that the quote binds.
    #[error("the quote does not bind these enclave keys to operator {0}")]
    Keys(Address),
    /// The evidence is of another enclave.
    #[error("the evidence is of enclave {found}, registered is {expected} with these keys")]
    OtherEnclave {
        /// Receipt key on the ledger.
        expected: Address,
        /// Receipt key in the evidence.
        found: Address,
    },
    /// The ledger says another platform than the evidence.
    #[error("the evidence is {found}, registered is platform {expected}")]
    Platform {
        /// Code on the ledger.
        expected: u8,
        /// In the quote.
        found: Platform,
    },
    /// Too old.
    #[error("the evidence is {age} s old, the policy accepts {max_age} s")]
    Expired {
        /// Age in seconds.
        age: u64,
        /// Accepted age in seconds.
        max_age: u64,
    },
    /// Issued in the future.
    #[error("the evidence was issued {0} s in the future")]
    Future(u64),
    /// A signature or record is not valid.
    #[error("a record inside the evidence is not valid")]
    Record(#[from] RecordError),
}

/// Proof that an enclave's evidence was appraised. Made only by [`appraise`]; not `Clone`, so one appraisal serves one
/// use.
#[derive(Debug)]
pub struct Attested {
    keys: EnclaveKeys,
    operator: Address,
    measurement: B256,
    init_data: B256,
    evidence_hash: B256,
    platform: Platform,
    valid_until: u64,
}

impl Attested {
    /// The keys that the evidence binds.
    pub fn keys(&self) -> EnclaveKeys {
        self.keys
    }

    /// Who runs the enclave.
    pub fn operator(&self) -> Address {
        self.operator
    }

    /// Which program runs.
    pub fn measurement(&self) -> B256 {
        self.measurement
    }

    /// The configuration that it was started with.
    pub fn init_data(&self) -> B256 {
        self.init_data
    }

    /// Hash of the appraised bytes.
    pub fn evidence_hash(&self) -> B256 {
        self.evidence_hash
    }

    /// What vouches for it.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// Unix seconds after which this appraisal is void.
    pub fn valid_until(&self) -> u64 {
        self.valid_until
    }
}

/// Checks evidence against what is expected, at the time `now` (Unix seconds).
pub fn appraise(
    evidence: &[u8],
    expected: &Expected,
    policy: &AppraisalPolicy,
    now: u64,
) -> Result<Attested, AppraisalError> {
    appraise_among(&PLATFORMS, evidence, expected, policy, now)
}

/// [`appraise`] with the list handed in: the same for every platform, whatever its evidence looks like.
fn appraise_among(
    platforms: &[&dyn Verifier],
    evidence: &[u8],
    expected: &Expected,
    policy: &AppraisalPolicy,
    now: u64,
) -> Result<Attested, AppraisalError> {
    let evidence_hash = blob_hash(evidence);
    if evidence_hash != expected.evidence_hash {
        return Err(AppraisalError::NotRegistered { expected: expected.evidence_hash, found: evidence_hash });
    }
    let Some((verifier, claims)) = read_among(platforms, evidence) else {
        let registered = Platform::from_code(expected.platform);
        return Err(match platforms.iter().any(|verifier| verifier.platform() == registered) {
            true => AppraisalError::Malformed,
            false => AppraisalError::UnknownPlatform(registered),
        });
    };
    let (claims, platform) = (claims?, verifier.platform());
    if !policy.platforms.contains(&platform) {
        return Err(if verifier.simulated() {
            AppraisalError::Simulated
        } else {
            AppraisalError::NotAccepted(verifier.name())
        });
    }
    verifier.vouch(evidence, policy)?;
    if claims.measurement != expected.measurement {
        return Err(AppraisalError::Measurement {
            expected: expected.measurement,
            found: claims.measurement,
        });
    }
    if claims.init_data != expected.init_data {
        return Err(AppraisalError::InitData { expected: expected.init_data, found: claims.init_data });
    }
    if claims.operator != expected.operator
        || claims.report_data != claims.keys.report_data(expected.operator)
    {
        return Err(AppraisalError::Keys(expected.operator));
    }
    if claims.keys != expected.keys {
        return Err(AppraisalError::OtherEnclave {
            expected: expected.keys.receipt,
            found: claims.keys.receipt,
        });
    }
    if platform.code() != expected.platform {
        return Err(AppraisalError::Platform { expected: expected.platform, found: platform });
    }
    if claims.issued_at > now.saturating_add(CLOCK_SKEW) {
        return Err(AppraisalError::Future(claims.issued_at - now));
    }
    let age = now.saturating_sub(claims.issued_at);
    if age > policy.max_age {
        return Err(AppraisalError::Expired { age, max_age: policy.max_age });
    }
    Ok(Attested {
        keys: claims.keys,
        operator: expected.operator,
        measurement: claims.measurement,
        init_data: claims.init_data,
        evidence_hash,
        platform,
        valid_until: claims.issued_at.saturating_add(policy.max_age),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chacha20::ChaCha20Rng;
    use chacha20::rand_core::SeedableRng;
    use histone_protocol::evidence::Evidence;
    use histone_protocol::keys::SigningKey;
    use histone_protocol::seal::SealKey;

    use super::simulated::{SimulatedDevice, SimulatedVendor};
    use super::*;

    struct Setup {
        vendor: SimulatedVendor,
        device: SimulatedDevice,
        keys: EnclaveKeys,
        evidence: Vec<u8>,
        expected: Expected,
    }

    const NOW: u64 = 1_800_000_000;

    fn setup() -> Setup {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let vendor = SimulatedVendor::generate(&mut rng);
        let device = vendor.make_device(&mut rng).unwrap();
        let keys = EnclaveKeys {
            receipt: SigningKey::generate(&mut rng).address(),
            seal: SealKey::generate(&mut rng).public(),
        };
        let operator = Address::repeat_byte(4);
        let (measurement, init_data) = (B256::repeat_byte(5), B256::repeat_byte(6));
        let evidence = device.evidence(keys, operator, measurement, init_data, NOW).unwrap().to_bytes();
        let expected = Expected {
            operator,
            keys,
            platform: 0,
            evidence_hash: blob_hash(&evidence),
            measurement,
            init_data,
        };
        Setup { vendor, device, keys, evidence, expected }
    }

    fn check(evidence: &[u8], expected: Expected, policy: &AppraisalPolicy, now: u64, message: &str) {
        let expected = Expected { evidence_hash: blob_hash(evidence), ..expected };
        let found = match appraise(evidence, &expected, policy, now) {
            Ok(_) => "accepted".to_string(),
            Err(e) => e.to_string(),
        };
        assert!(found.starts_with(message), "expected `{message}`, found `{found}`");
    }

    #[test]
    fn accepts_and_refuses() {
        let s = setup();
        let policy = AppraisalPolicy::simulated(vec![s.vendor.address()], 3_600);
        let attested = appraise(&s.evidence, &s.expected, &policy, NOW + 10).unwrap();
        assert_eq!(
            (attested.keys(), attested.measurement(), attested.valid_until(), attested.platform()),
            (s.keys, s.expected.measurement, NOW + 3_600, Platform::SIMULATED)
        );
        let e = s.expected;
        check(&s.evidence, e, &AppraisalPolicy::production(3_600), NOW, "the evidence is SIMULATED");
        check(&s.evidence, e, &policy, NOW + 3_601, "the evidence is 3601 s old");
        check(&s.evidence, e, &policy, NOW - 3_600, "the evidence was issued 3600 s in the future");
        let other = B256::repeat_byte(9);
        check(
            &s.evidence,
            Expected { measurement: other, ..e },
            &policy,
            NOW,
            "the enclave runs measurement",
        );
        check(&s.evidence, Expected { init_data: other, ..e }, &policy, NOW, "the enclave was started with");
        let operator = Address::repeat_byte(9);
        check(&s.evidence, Expected { operator, ..e }, &policy, NOW, "the quote does not bind");
        let keys = EnclaveKeys { receipt: operator, ..e.keys };
        check(&s.evidence, Expected { keys, ..e }, &policy, NOW, "the evidence is of enclave");
        check(
            &s.evidence,
            Expected { platform: 1, ..e },
            &policy,
            NOW,
            "the evidence is SIMULATED, registered is",
        );
        let stranger = AppraisalPolicy::simulated(vec![operator], 3_600);
        check(&s.evidence, e, &stranger, NOW, "the device is certified by");
        assert!(matches!(
            appraise(&s.evidence, &Expected { evidence_hash: other, ..e }, &policy, NOW),
            Err(AppraisalError::NotRegistered { .. })
        ));
    }

    #[test]
    fn refuses_swapped_keys_and_another_device() {
        let s = setup();
        let policy = AppraisalPolicy::simulated(vec![s.vendor.address()], 3_600);
        let mut evidence = Evidence::from_bytes(&s.evidence).unwrap();
        evidence.keys.receipt = Address::repeat_byte(8);
        check(&evidence.to_bytes(), s.expected, &policy, NOW, "the quote does not bind");
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let second = s.vendor.make_device(&mut rng).unwrap();
        let e = s.expected;
        let mut mixed = s.device.evidence(s.keys, e.operator, e.measurement, e.init_data, NOW).unwrap();
        mixed.certificate =
            second.evidence(s.keys, e.operator, e.measurement, e.init_data, NOW).unwrap().certificate;
        check(&mixed.to_bytes(), e, &policy, NOW, "the quote is signed by");
    }

    #[test]
    fn every_flipped_byte_is_refused() {
        let s = setup();
        let policy = AppraisalPolicy::simulated(vec![s.vendor.address()], 3_600);
        for i in 0..s.evidence.len() {
            let mut altered = s.evidence.clone();
            altered[i] ^= 1;
            // With the hash of the altered bytes as expectation, the content itself must be refused.
            let expected = Expected { evidence_hash: blob_hash(&altered), ..s.expected };
            assert!(appraise(&altered, &expected, &policy, NOW).is_err(), "byte {i}");
        }
    }
}
