//! One running enclave: a loaded program, keys made at the start, and the evidence that binds them.

use std::fmt;

use histone_attestation::platform;
use histone_attestation::simulated::SimulatedDevice;
use histone_contracts::Deployment;
use histone_genome::table::{Column, Kind};
use histone_program_sdk::job::ValidateReport;
use histone_protocol::dataset::{DataKey, SealedKey, release_aad};
use histone_protocol::evidence::{EnclaveKeys, Platform};
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::{SignatureBytes, SigningKey};
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::{self, EnclaveRegistration};
use histone_protocol::seal::SealKey;
use histone_protocol::secret::Root;
use histone_protocol::{Address, B256};
use zeroize::Zeroizing;

use crate::engine::{LoadedProgram, RunError};
use crate::gate;
use crate::method::MethodError;

mod waiting;

pub use waiting::{Waiting, seal_module};

/// Why an enclave refuses or fails. Nothing of the data is in any message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnclaveError {
    /// The program is of another kind than the service needs.
    #[error("a {needed:?} enclave cannot run a {found:?} program")]
    Kind {
        /// Kind of the service.
        needed: ProgramKind,
        /// Kind of the program.
        found: ProgramKind,
    },
    /// The evidence could not be made.
    #[error("the platform could not quote the enclave")]
    Evidence(#[source] histone_protocol::record::RecordError),
    /// The released key or the dataset does not open.
    #[error("the dataset does not open in this enclave")]
    Dataset(#[from] histone_protocol::dataset::DatasetError),
    /// The decrypted bytes are no table.
    #[error("the dataset is not a table in its canonical encoding")]
    Table(#[source] histone_genome::table::TableError),
    /// The rows are not those that were committed to.
    #[error("the rows do not have the commitment {expected}")]
    Commitment {
        /// On the ledger.
        expected: B256,
    },
    /// The validation program refuses the data. Deliberately without a reason: a refusal must not answer questions.
    #[error("the validation program refuses the dataset")]
    Refused,
    /// The rows belong to datasets of the same owner.
    #[error(transparent)]
    Misplaced(#[from] crate::sketch::index::Misplaced),
    /// A notice could not be made.
    #[error("the notice to the committee could not be made")]
    Notice(#[from] histone_protocol::notice::NoticeError),
    /// The evidence of another enclave is refused.
    #[error("the evidence of the other enclave is refused")]
    Peer(#[source] histone_attestation::AppraisalError),
    /// A query enclave that the ledger does not have, or does not have any more.
    #[error(
        "model {model} is not handed to {taker}: it is no live query enclave of this ledger; it has to be registered, neither expired nor revoked, and run a query program that the members allow"
    )]
    NotLive {
        /// Who asks.
        taker: Address,
        /// For what.
        model: u64,
    },
    /// A query enclave that is not the one that the plan wants.
    #[error("model {model} is not handed to the query enclave {taker}, whose evidence is refused")]
    Taker {
        /// Who asks.
        taker: Address,
        /// For what.
        model: u64,
        /// Why.
        #[source]
        error: histone_attestation::AppraisalError,
    },
    /// A sealed round in whose header the enclave is not.
    #[error(
        "the enclave {enclave} is not in the header of round {round} of model {model}: no member has sealed its sum to it, so that it does not know what follows from it and takes no further part"
    )]
    Absent {
        /// This enclave.
        enclave: Address,
        /// The model.
        model: u64,
        /// The round.
        round: u32,
    },
    /// What the enclave keeps could not be read or written.
    #[error("what the enclave keeps with its operator could not be read or written")]
    Store(#[source] histone_federation::BoxError),
    /// The program failed.
    #[error("the program failed")]
    Run(#[from] RunError),
    /// The round header is not what the plan, the ledger or the donation says.
    #[error("the round header is refused: {0}")]
    Header(String),
    /// A step of the training does not follow.
    #[error("the training does not continue from this sum")]
    Training(#[from] histone_federation::training::TrainingError),
    /// The method cannot be used, or fails.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// The method does not take the configuration of the plan, or the dataset has not what it wants.
    #[error("the configuration of the plan is refused: {0}")]
    Config(String),
    /// A round cannot be recomputed from its public blobs.
    #[error("the round cannot be recomputed from its blobs: {0}")]
    Round(String),
    /// The update could not be encrypted.
    #[error("the update could not be encrypted")]
    Update(#[from] histone_federation::update::UpdateError),
    /// The memory of what was answered failed; nothing was answered.
    #[error("the enclave could not record what it is about to answer, so that it answers nothing")]
    Memory(#[source] histone_federation::BoxError),
    /// Another version of the dataset was answered for before.
    #[error(
        "another version of this dataset, or the same one read with other columns, another outcome, other ranges, another held-out share or another rule for missing values, took part in an exact sum before, and the owner's policy allows {allowed}: the difference of two sums could be one person"
    )]
    OtherVersion {
        /// Versions that the policy allows.
        allowed: u32,
    },
    /// The same was summed before for some of these datasets.
    #[error(
        "the same computation was summed before for some of these datasets with other ones, or in other versions: the difference of the two sums would be one donor or one person, so that this enclave takes no part any more"
    )]
    OtherSum,
    /// No decision of the owner allows it.
    #[error("no decision of its owner allows the donation: {0}")]
    Consent(String),
    /// The ledger says otherwise.
    #[error("the ledger does not back the request: {0}")]
    NotBacked(String),
    /// The ledger could not be asked.
    #[error("the ledger could not be asked")]
    Ledger(#[from] histone_contracts::LedgerError),
    /// A sealed message does not open or cannot be sealed.
    #[error("a sealed message is refused")]
    Seal(#[from] histone_protocol::seal::SealError),
    /// A statement could not be signed.
    #[error("a statement could not be signed")]
    Record(#[from] histone_protocol::record::RecordError),
    /// The operator's machine keeps nothing, or not what it was given.
    #[error("what the enclave must remember is not kept: {0}")]
    Storage(String),
    /// The evidence of another start was given.
    #[error(
        "the evidence to continue with was not made by this enclave: program, configuration, operator or seed differ"
    )]
    OtherStart,
    /// The request is not well formed.
    #[error("the request is refused: {0}")]
    Request(&'static str),
}

/// An encrypted dataset and the key that the owner's node released to this enclave.
#[derive(Debug, Clone)]
pub struct SealedDataset {
    /// The ledger's key of the dataset.
    pub id: B256,
    /// Its owner.
    pub owner: Address,
    /// The commitment that its rows must have.
    pub root: B256,
    /// The owner's dataset of which this is another version, zero when it is new.
    pub replaces: B256,
    /// The encrypted table.
    pub ciphertext: Vec<u8>,
    /// The released key.
    pub key: SealedKey,
}

/// A running enclave. Everything secret about it derives from one root, by purpose: nothing is drawn while it runs, so
/// that a crash, a clone or a restored copy never uses a random number for a second purpose.
pub struct Instance {
    program: LoadedProgram,
    identity: Identity,
}

/// Who an enclave is: the program that it runs and nothing else, its keys, and the evidence that binds them.
pub struct Identity {
    measurement: B256,
    secret: Root,
    receipt_key: SigningKey,
    seal_key: SealKey,
    operator: Address,
    init_data: B256,
    platform: Platform,
    evidence: Vec<u8>,
    earlier: Vec<B256>,
}

impl Instance {
    /// Starts a program as an enclave on a SIMULATED device: derives its keys from `seed` and the program's measurement
    /// (in hardware: from a secret that the processor keeps for this program) and makes its evidence at `now`.
    pub fn start(
        program: LoadedProgram,
        device: &SimulatedDevice,
        operator: Address,
        init_data: B256,
        now: u64,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<Self, EnclaveError> {
        let measurement = B256::from(program.program().measurement());
        Ok(Self { identity: Identity::start(measurement, device, operator, init_data, now, &seed)?, program })
    }

    /// Starts the enclave again after its process ended, with the same keys and the evidence of its first start.
    pub fn resume(
        program: LoadedProgram,
        operator: Address,
        init_data: B256,
        evidence: Vec<u8>,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<Self, EnclaveError> {
        let measurement = B256::from(program.program().measurement());
        Ok(Self { identity: Identity::resume(measurement, operator, init_data, evidence, &seed)?, program })
    }

    /// With evidence that this enclave has shown before ([`Identity::renew`]), by its hashes, the newest last: what was sealed to it under
    /// that still opens.
    #[must_use]
    pub fn shown_before(mut self, earlier: Vec<B256>) -> Self {
        self.identity.earlier = earlier;
        self
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The public keys.
    pub fn keys(&self) -> EnclaveKeys {
        self.identity.keys()
    }

    /// The evidence, as it is published.
    pub fn evidence(&self) -> &[u8] {
        &self.identity.evidence
    }

    /// Which program runs.
    pub fn measurement(&self) -> B256 {
        self.identity.measurement
    }

    /// What vouches for this enclave.
    pub fn platform(&self) -> Platform {
        self.identity.platform
    }

    /// The configuration that it was started with.
    pub fn init_data(&self) -> B256 {
        self.identity.init_data
    }

    /// Agrees to be registered by its operator until `expires_at` (Unix seconds).
    pub fn registration(
        &self,
        ledger: &Deployment,
        expires_at: u64,
    ) -> (EnclaveRegistration, SignatureBytes) {
        self.identity.registration(ledger, expires_at)
    }

    pub(crate) fn need(&self, needed: ProgramKind) -> Result<(), EnclaveError> {
        let found = self.program.program().kind();
        if found == needed { Ok(()) } else { Err(EnclaveError::Kind { needed, found }) }
    }

    pub(crate) fn receipt_key(&self) -> &SigningKey {
        &self.identity.receipt_key
    }

    pub(crate) fn seal_key(&self) -> &SealKey {
        &self.identity.seal_key
    }

    /// As [`Identity::under_each`].
    pub(crate) fn under_each<T, E>(&self, open: impl Fn(B256) -> Result<T, E>) -> Result<T, E> {
        self.identity.under_each(open)
    }

    /// What updates and sealed messages derive from.
    pub(crate) fn secret(&self) -> &Root {
        &self.identity.secret
    }

    /// Encrypts what the operator's machine keeps under `name`, so that only this enclave reads it and only as that.
    pub(crate) fn encrypt(&self, name: &str, plain: &[u8]) -> Vec<u8> {
        self.storage_key(name).encrypt(plain)
    }

    /// Reads what [`Instance::encrypt`] made.
    pub(crate) fn decrypt(&self, name: &str, kept: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnclaveError> {
        let altered = |_| EnclaveError::Storage(format!("`{name}` was altered, or is another enclave's"));
        self.storage_key(name).decrypt(kept).map_err(altered)
    }

    fn storage_key(&self, name: &str) -> DataKey {
        DataKey::from_bytes(*self.secret().derive("storage key", &[name.as_bytes()]))
    }

    /// Runs a validation program and passes its output through the gate.
    pub(crate) fn report(&self, job: &[u8], rows: u32, columns: u32) -> Result<ValidateReport, EnclaveError> {
        let output = self.program.run(job)?;
        // Which number is out of its range is the program's choice, as the way is in which it fails.
        gate::report(&output.bytes, rows, columns).map_err(|_| RunError::Withheld.into())
    }

    /// The program.
    pub(crate) fn program(&self) -> &LoadedProgram {
        &self.program
    }

    /// Decrypts a dataset whose key was released to this enclave, and checks its commitment.
    pub(crate) fn open(&self, dataset: &SealedDataset) -> Result<OpenedDataset, EnclaveError> {
        let keys = self.under_each(|evidence| {
            dataset.key.open(self.seal_key(), release_aad(dataset.id, self.measurement(), evidence))
        })?;
        let plain = keys.data.decrypt(&dataset.ciphertext)?;
        let table = histone_genome::table::Table::decode(&plain).map_err(EnclaveError::Table)?;
        let root = histone_protocol::commitment::dataset_root(&keys.salt, table.leaves());
        if root != dataset.root {
            return Err(EnclaveError::Commitment { expected: dataset.root });
        }
        Ok(OpenedDataset { table, root })
    }
}

impl Identity {
    fn start(
        measurement: B256,
        device: &SimulatedDevice,
        operator: Address,
        init_data: B256,
        now: u64,
        seed: &[u8; 32],
    ) -> Result<Self, EnclaveError> {
        let mut identity = Self::derive(measurement, device.platform(), operator, init_data, seed);
        let evidence = device.evidence(identity.keys(), operator, measurement, init_data, now);
        identity.evidence = evidence.map_err(EnclaveError::Evidence)?.to_bytes();
        Ok(identity)
    }

    /// New evidence for an enclave that has shown `evidence`: the same program, configuration, operator and keys, and the time `now`.
    /// Registers it again; the enclave itself goes on, and is told with [`Instance::shown_before`].
    pub fn renew(
        evidence: &[u8],
        device: &SimulatedDevice,
        now: u64,
        seed: &[u8; 32],
    ) -> Result<Self, EnclaveError> {
        let (_, claims) = platform::read(evidence).map_err(|_| EnclaveError::OtherStart)?;
        let (measurement, operator) = (claims.measurement, claims.operator);
        Self::resume(measurement, operator, claims.init_data, evidence.to_vec(), seed)?;
        Self::start(measurement, device, operator, claims.init_data, now, seed)
    }

    /// The enclave that has shown `evidence`, to register it.
    pub fn again(evidence: Vec<u8>, seed: &[u8; 32]) -> Result<Self, EnclaveError> {
        let (_, claims) = platform::read(&evidence).map_err(|_| EnclaveError::OtherStart)?;
        Self::resume(claims.measurement, claims.operator, claims.init_data, evidence, seed)
    }

    /// Tries what was sealed to this enclave under each evidence that it has shown, the newest first. The failure is of the newest.
    pub(crate) fn under_each<T, E>(&self, open: impl Fn(B256) -> Result<T, E>) -> Result<T, E> {
        let of_earlier =
            |error| self.earlier.iter().rev().find_map(|earlier| open(*earlier).ok()).ok_or(error);
        open(blob_hash(&self.evidence)).or_else(of_earlier)
    }

    fn resume(
        measurement: B256,
        operator: Address,
        init_data: B256,
        evidence: Vec<u8>,
        seed: &[u8; 32],
    ) -> Result<Self, EnclaveError> {
        let (platform, claims) = platform::read(&evidence).map_err(|_| EnclaveError::OtherStart)?;
        let mut identity = Self::derive(measurement, platform, operator, init_data, seed);
        if (claims.keys, claims.operator) != (identity.keys(), operator)
            || (claims.measurement, claims.init_data) != (measurement, init_data)
        {
            return Err(EnclaveError::OtherStart);
        }
        identity.evidence = evidence;
        Ok(identity)
    }

    fn derive(
        measurement: B256,
        platform: Platform,
        operator: Address,
        init_data: B256,
        seed: &[u8; 32],
    ) -> Self {
        let secret = Root::from_bytes(*seed).child("histone/enclave/v1", &[measurement.as_slice()]);
        let receipt_key = SigningKey::generate(&mut secret.rng("receipt key", &[]));
        let seal_key = SealKey::from_seed(&secret.derive("seal key", &[]));
        Self {
            measurement,
            secret,
            receipt_key,
            seal_key,
            operator,
            init_data,
            platform,
            evidence: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// The public keys.
    pub fn keys(&self) -> EnclaveKeys {
        EnclaveKeys { receipt: self.receipt_key.address(), seal: self.seal_key.public() }
    }

    /// The evidence, as it is published.
    pub fn evidence(&self) -> &[u8] {
        &self.evidence
    }

    /// Agrees to be registered by its operator until `expires_at` (Unix seconds).
    pub fn registration(
        &self,
        ledger: &Deployment,
        expires_at: u64,
    ) -> (EnclaveRegistration, SignatureBytes) {
        let registration = EnclaveRegistration {
            operator: self.operator,
            sealKey: self.seal_key.public().0,
            measurement: self.measurement,
            platform: self.platform.code(),
            evidenceHash: blob_hash(&self.evidence),
            expiresAt: expires_at,
        };
        let domain = receipt::domain(ledger.chain_id, ledger.enclaves);
        let signature = receipt::sign(&registration, &domain, &self.receipt_key);
        (registration, signature)
    }
}

impl AsRef<Identity> for Instance {
    fn as_ref(&self) -> &Identity {
        &self.identity
    }
}

impl AsRef<Identity> for Identity {
    fn as_ref(&self) -> &Identity {
        self
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.keys().receipt)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({:?}, {})", self.program.program().kind(), self.keys().receipt)
    }
}

/// A decrypted dataset; never leaves this crate.
pub(crate) struct OpenedDataset {
    pub(crate) table: histone_genome::table::Table,
    pub(crate) root: B256,
}

impl OpenedDataset {
    /// The table as a validation program takes it.
    pub(crate) fn job_table(&self) -> histone_program_sdk::job::Table {
        let levels = |column: &Column| match &column.kind {
            // To a validation all of these are numbers.
            Kind::Number | Kind::Whole | Kind::Day | Kind::Genotypes { .. } => 0,
            // A category has few levels.
            Kind::Category(levels) => levels.len() as u32,
        };
        histone_program_sdk::job::Table {
            levels: self.table.columns().iter().map(levels).collect(),
            values: self.table.values().to_vec(),
        }
    }
}
