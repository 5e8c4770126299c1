//! The SIMULATED platform: a software stand-in for hardware, for development and demonstration.
//!
//! Whoever holds the vendor key can make any evidence. It exercises every step that real evidence takes, and proves
//! nothing.

use std::fmt;

use histone_protocol::evidence::{DeviceCertificate, EnclaveKeys, Evidence, Platform, Quote};
use histone_protocol::keys::SigningKey;
use histone_protocol::record::{RecordError, Signed};
use histone_protocol::{Address, B256};
use rand_core::CryptoRng;

use crate::platform::{Claims, Verifier};
use crate::{AppraisalError, AppraisalPolicy};

/// Appraises SIMULATED evidence.
#[derive(Debug)]
pub struct Simulated;

impl Verifier for Simulated {
    fn platform(&self) -> Platform {
        Platform::SIMULATED
    }

    fn name(&self) -> &'static str {
        "simulated"
    }

    fn simulated(&self) -> bool {
        true
    }

    fn read(&self, evidence: &[u8]) -> Option<Result<Claims, AppraisalError>> {
        let evidence = Evidence::from_bytes(evidence)?;
        let (quote, _) = match evidence.quote.open() {
            Ok(opened) => opened,
            Err(error) => return Some(Err(error.into())),
        };
        // A record of this kind that says anything else would be called hardware by whoever reads it.
        if quote.platform != Platform::SIMULATED {
            return Some(Err(AppraisalError::Malformed));
        }
        Some(Ok(Claims {
            keys: evidence.keys,
            operator: evidence.operator,
            measurement: quote.measurement,
            init_data: quote.init_data,
            report_data: quote.report_data,
            issued_at: quote.issued_at,
        }))
    }

    fn vouch(&self, evidence: &[u8], policy: &AppraisalPolicy) -> Result<(), AppraisalError> {
        let evidence = Evidence::from_bytes(evidence).ok_or(AppraisalError::Malformed)?;
        let (certificate, vendor) = evidence.certificate.open()?;
        let (_, signer) = evidence.quote.open()?;
        if certificate.platform != Platform::SIMULATED {
            return Err(AppraisalError::Malformed);
        }
        if !policy.simulated_vendors().contains(&vendor) {
            return Err(AppraisalError::Vendor(vendor));
        }
        if signer != certificate.device {
            return Err(AppraisalError::Device { signer, device: certificate.device });
        }
        Ok(())
    }
}

/// The SIMULATED hardware vendor.
pub struct SimulatedVendor(SigningKey);

impl SimulatedVendor {
    /// Makes a vendor with a fresh root key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(SigningKey::generate(rng))
    }

    /// Account of the root key, for [`crate::AppraisalPolicy::simulated`].
    pub fn address(&self) -> Address {
        self.0.address()
    }

    /// Makes and certifies a device.
    pub fn make_device(&self, rng: &mut impl CryptoRng) -> Result<SimulatedDevice, RecordError> {
        let key = SigningKey::generate(rng);
        Ok(SimulatedDevice { certificate: self.certify(key.address())?, key })
    }

    /// Certifies a device that somebody else has made.
    pub fn certify(&self, device: Address) -> Result<Signed<DeviceCertificate>, RecordError> {
        Signed::sign(&DeviceCertificate { platform: Platform::SIMULATED, device }, &self.0)
    }
}

impl fmt::Debug for SimulatedVendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedVendor({})", self.address())
    }
}

/// A SIMULATED machine that can quote enclaves.
#[derive(Debug)]
pub struct SimulatedDevice {
    key: SigningKey,
    certificate: Signed<DeviceCertificate>,
}

impl SimulatedDevice {
    /// A device that the vendor has certified; nothing when the certificate is of another one.
    pub fn certified(key: SigningKey, certificate: Signed<DeviceCertificate>) -> Option<Self> {
        let (of, _) = certificate.open().ok()?;
        (of.device == key.address()).then_some(Self { key, certificate })
    }

    /// What its quotes say vouches for an enclave.
    pub fn platform(&self) -> Platform {
        Platform::SIMULATED
    }

    /// Quotes an enclave that runs `measurement` with `init_data` under `operator`, at `now` (Unix seconds).
    pub fn evidence(
        &self,
        keys: EnclaveKeys,
        operator: Address,
        measurement: B256,
        init_data: B256,
        now: u64,
    ) -> Result<Evidence, RecordError> {
        let quote = Quote {
            platform: Platform::SIMULATED,
            measurement,
            init_data,
            report_data: keys.report_data(operator),
            issued_at: now,
        };
        let quote = Signed::sign(&quote, &self.key)?;
        Ok(Evidence { keys, operator, certificate: self.certificate.clone(), quote })
    }
}
