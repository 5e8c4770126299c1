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
        let certificate = DeviceCertificate { platform: Platform::Simulated, device: key.address() };
        Ok(SimulatedDevice { certificate: Signed::sign(&certificate, &self.0)?, key })
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
            platform: Platform::Simulated,
            measurement,
            init_data,
            report_data: keys.report_data(operator),
            issued_at: now,
        };
        let quote = Signed::sign(&quote, &self.key)?;
        Ok(Evidence { keys, operator, certificate: self.certificate.clone(), quote })
    }
}
