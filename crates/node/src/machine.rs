//! A party's machine: where its enclaves run, and what it keeps so that they can be started again.

use histone_attestation::simulated::SimulatedDevice;
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::{Identity, Instance, Waiting};
use histone_protocol::hash::blob_hash;
use histone_protocol::{Address, B256};
use zeroize::Zeroizing;

use crate::error::NodeError;
use crate::party::Party;

/// Evidence of one enclave that is remembered beside its newest.
const MOST_EARLIER: usize = 64;

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
        self.keep_enclave(number, instance.identity())?;
        Ok(instance)
    }

    /// The enclave that was started for one use last; none before.
    pub(crate) fn enclave_of(&self, purpose: &str, init_data: B256) -> Result<Option<Address>, NodeError> {
        let kept = self.recall(&use_of(purpose, init_data))?;
        Ok(kept.and_then(|kept| Address::try_from(kept.as_slice()).ok()))
    }

    /// Keeps which enclave is for one use.
    pub(crate) fn use_enclave(
        &self,
        purpose: &str,
        init_data: B256,
        enclave: Address,
    ) -> Result<(), NodeError> {
        Ok(self.keep(&use_of(purpose, init_data), enclave.as_slice())?)
    }

    /// Starts a new enclave for a module that its author will seal to it.
    pub fn start_waiting(
        &self,
        measurement: B256,
        device: &SimulatedDevice,
        init_data: B256,
        now: u64,
    ) -> Result<Waiting, NodeError> {
        let number = self.next(ENCLAVES)?;
        let seed = self.enclave_seed(number);
        let waiting = Waiting::start(measurement, device, self.account(), init_data, now, seed)?;
        self.keep_enclave(number, waiting.identity())?;
        Ok(waiting)
    }

    fn keep_enclave(&self, number: u64, identity: &Identity) -> Result<(), NodeError> {
        let entry = [number.to_le_bytes().as_slice(), identity.evidence()].concat();
        Ok(self.keep(&file(identity.keys().receipt), &entry)?)
    }

    /// Starts an enclave again whose process ended: the same keys, and the evidence that is registered.
    pub fn resume_enclave(
        &self,
        program: LoadedProgram,
        signer: Address,
        init_data: B256,
    ) -> Result<Instance, NodeError> {
        let (evidence, seed) = self.started(signer)?;
        let instance = Instance::resume(program, self.account(), init_data, evidence, seed)?;
        Ok(instance.shown_before(self.earlier(signer)?))
    }

    /// Starts an enclave again that waits for its module.
    pub fn resume_waiting(
        &self,
        measurement: B256,
        signer: Address,
        init_data: B256,
    ) -> Result<Waiting, NodeError> {
        let (evidence, seed) = self.started(signer)?;
        let waiting = Waiting::resume(measurement, self.account(), init_data, evidence, seed)?;
        Ok(waiting.shown_before(self.earlier(signer)?))
    }

    /// The evidence that an enclave of this party shows, with the time at which it was made; nothing where this party has not started it.
    pub(crate) fn evidence_of(&self, signer: Address) -> Result<Option<(Identity, u64)>, NodeError> {
        if self.recall(&file(signer))?.is_none() {
            return Ok(None);
        }
        let (evidence, seed) = self.started(signer)?;
        let (_, claims) = histone_attestation::platform::read(&evidence)?;
        Ok(Some((Identity::again(evidence, &seed)?, claims.issued_at)))
    }

    /// New evidence of an enclave that was started before, kept before it is used; what was sealed to it under its earlier evidence still
    /// opens.
    pub(crate) fn renew_evidence(
        &self,
        signer: Address,
        device: &SimulatedDevice,
        now: u64,
    ) -> Result<Identity, NodeError> {
        let (evidence, seed) = self.started(signer)?;
        let renewed = Identity::renew(&evidence, device, now, &seed)?;
        let mut earlier = self.earlier(signer)?;
        let last = blob_hash(&evidence);
        if earlier.last() != Some(&last) {
            earlier.push(last);
        }
        // Whatever was sealed under older evidence has been opened, or nobody believes it any more.
        let earlier = earlier.split_off(earlier.len().saturating_sub(MOST_EARLIER));
        let earlier: Vec<u8> = earlier.iter().flat_map(|hash| hash.0).collect();
        self.keep(&earlier_file(signer), &earlier)?;
        let entry = self.recall(&file(signer))?.unwrap_or_default();
        let number: [u8; 8] = entry.first_chunk().copied().unwrap_or_default();
        self.keep_enclave(u64::from_le_bytes(number), &renewed)?;
        Ok(renewed)
    }

    /// Hashes of the evidence that an enclave has shown before its newest, the newest of them last.
    fn earlier(&self, signer: Address) -> Result<Vec<B256>, NodeError> {
        let kept = self.recall(&earlier_file(signer))?.unwrap_or_default();
        Ok(kept.chunks_exact(32).map(B256::from_slice).collect())
    }

    /// Evidence and seed of an enclave that was started before.
    fn started(&self, signer: Address) -> Result<(Vec<u8>, Zeroizing<[u8; 32]>), NodeError> {
        let unknown = || NodeError::Message(format!("`{}` has started no enclave {signer}", self.name));
        let entry = self.recall(&file(signer))?.ok_or_else(unknown)?;
        let (number, evidence) = entry.split_first_chunk().ok_or_else(unknown)?;
        Ok((evidence.to_vec(), self.enclave_seed(u64::from_le_bytes(*number))))
    }
}

/// What an enclave is for: the name of the file that says which one it is.
fn use_of(purpose: &str, init_data: B256) -> String {
    format!("enclave-for-{purpose}-{init_data:x}")
}

fn earlier_file(signer: Address) -> String {
    format!("enclave-{signer:x}-shown-before")
}

fn file(signer: Address) -> String {
    format!("enclave-{signer:x}")
}
