//! An enclave that waits for a module which nobody but it may read.
//!
//! Its keys and its evidence are those of an enclave that runs the program of this measurement, and of no other: until the module is
//! there it does nothing, and it takes no module that measures differently. So it can be appraised, and the module sealed to it.

use histone_attestation::Attested;
use histone_attestation::simulated::SimulatedDevice;
use histone_protocol::hash::tagged_hash;
use histone_protocol::seal::SealError;
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256};
use zeroize::Zeroizing;

use super::{EnclaveError, Identity, Instance};
use crate::engine::Engine;
use crate::program::Program;

/// HPKE `info` of a module on its way to its enclave.
const MODULE_INFO: &str = "histone/closed-module/v1";

/// An enclave without its module.
#[derive(Debug)]
pub struct Waiting(Identity);

impl Waiting {
    /// Starts on a SIMULATED device an enclave for the program of a measurement, as [`Instance::start`] does.
    pub fn start(
        measurement: B256,
        device: &SimulatedDevice,
        operator: Address,
        init_data: B256,
        now: u64,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<Self, EnclaveError> {
        Identity::start(measurement, device, operator, init_data, now, &seed).map(Self)
    }

    /// Starts it again after its process ended.
    pub fn resume(
        measurement: B256,
        operator: Address,
        init_data: B256,
        evidence: Vec<u8>,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<Self, EnclaveError> {
        Identity::resume(measurement, operator, init_data, evidence, &seed).map(Self)
    }

    /// As [`Instance::shown_before`].
    #[must_use]
    pub fn shown_before(mut self, earlier: Vec<B256>) -> Self {
        self.0.earlier = earlier;
        self
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.0
    }

    /// Opens the module that was sealed to this enclave and begins to run it; it must have the measurement of this enclave.
    pub fn load(self, engine: &Engine, sealed: &[u8]) -> Result<Instance, EnclaveError> {
        let Self(identity) = self;
        let wasm = Zeroizing::new(identity.under_each(|evidence| {
            let aad = bound(identity.measurement, identity.keys().receipt, evidence);
            identity.seal_key.open(MODULE_INFO, aad.as_slice(), sealed)
        })?);
        let program = Program::published(&wasm).map_err(|_| {
            EnclaveError::Request("what was sealed to the enclave is no program that is admitted")
        })?;
        if B256::from(program.measurement()) != identity.measurement {
            return Err(EnclaveError::Request("what was sealed to the enclave measures differently"));
        }
        Ok(Instance { program: engine.load(program)?, identity })
    }
}

/// Seals a module to the enclave that was appraised for it.
pub fn seal_module(wasm: &[u8], to: &Attested, secret: &Root) -> Result<Vec<u8>, SealError> {
    let aad = bound(to.measurement(), to.keys().receipt, to.evidence_hash());
    to.keys().seal.seal(MODULE_INFO, aad.as_slice(), wasm, secret)
}

fn bound(measurement: B256, enclave: Address, evidence: B256) -> B256 {
    tagged_hash(MODULE_INFO, &[measurement.as_slice(), enclave.as_slice(), evidence.as_slice()])
}
