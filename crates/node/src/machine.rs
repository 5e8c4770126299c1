//! A party's machine: where its enclaves run, and what it keeps so that they can be started again.

use histone_attestation::simulated::SimulatedDevice;
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::Instance;
use histone_protocol::{Address, B256};

use crate::error::NodeError;
use crate::party::Party;

/// The series of enclaves, for the party's counter.
const ENCLAVES: &str = "enclaves";

impl Party {
    /// Starts a new enclave on a SIMULATED device. Its number and evidence are kept before it is used, so that
    /// [`Party::resume_enclave`] finds it.
    pub fn start_enclave(
        &self,
        program: LoadedProgram,
        device: &SimulatedDevice,
        init_data: B256,
        now: u64,
    ) -> Result<Instance, NodeError> {
        let number = self.next(ENCLAVES)?;
        let seed = self.enclave_seed(number);
        let instance = Instance::start(program, device, self.account(), init_data, now, seed)?;
        let entry = [number.to_le_bytes().as_slice(), instance.evidence()].concat();
        self.keep(&file(instance.keys().receipt), &entry)?;
        Ok(instance)
    }

    /// Starts an enclave again whose process ended: the same keys, and the evidence that is registered.
    pub fn resume_enclave(
        &self,
        program: LoadedProgram,
        signer: Address,
        init_data: B256,
    ) -> Result<Instance, NodeError> {
        let unknown = || NodeError::Message(format!("`{}` has started no enclave {signer}", self.name));
        let entry = self.recall(&file(signer))?.ok_or_else(unknown)?;
        let (number, evidence) = entry.split_first_chunk().ok_or_else(unknown)?;
        let seed = self.enclave_seed(u64::from_le_bytes(*number));
        Ok(Instance::resume(program, self.account(), init_data, evidence.to_vec(), seed)?)
    }
}

fn file(signer: Address) -> String {
    format!("enclave-{signer:x}")
}
