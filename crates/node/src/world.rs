//! What every party can reach: the ledger, public storage, and the rule by which owners believe in enclaves.

use histone_attestation::cohort::CohortPolicy;
use histone_attestation::simulated::SimulatedDevice;
use histone_attestation::{AppraisalPolicy, Attested, Expected, appraise};
use histone_contracts::{Contract, Enclaves, Market};
use histone_enclave::cohort;
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::{Identity, Instance, Waiting};
use histone_enclave::{training, validation};
use histone_ledger::Ledger;
use histone_network::BlobStore;
use histone_protocol::consent::WhitePaper;
use histone_protocol::keys::SigningKey;
use histone_protocol::program::ProgramKind;
use histone_protocol::record::Signed;
use histone_protocol::{Address, B256, U256};

use crate::error::NodeError;
use crate::party::Party;
use crate::programs::Methods;
use crate::study::DEFAULT_MAX_AGE_HOURS;

/// Oldest evidence that counts where nobody says otherwise: a week, in seconds.
pub const EVIDENCE_MAX_AGE: u64 = DEFAULT_MAX_AGE_HOURS as u64 * 3_600;

/// What every party can reach: the ledger and public storage, and by which rule it believes in enclaves.
#[derive(Debug, Clone)]
pub struct World {
    /// The contracts.
    pub ledger: Ledger,
    /// Public storage.
    pub blobs: BlobStore,
    /// What this node itself believes. White papers that would believe more are declined.
    pub appraisal: AppraisalPolicy,
    /// The methods that it can run.
    pub methods: Methods,
}

impl World {
    /// Public storage, as far as evidence goes.
    pub fn evidence(&self) -> impl Fn(B256) -> Option<Vec<u8>> {
        |hash| self.blobs.get(hash).ok()
    }

    /// Reads a white paper, checks its signature and that it is about this ledger.
    pub fn read_paper(&self, blob: B256) -> Result<(WhitePaper, Address), NodeError> {
        let (paper, signer) = Signed::<WhitePaper>::from_bytes(&self.blobs.get(blob)?)?.open()?;
        if paper.ledger != self.ledger.deployment().id() {
            return Err(NodeError::Message(format!(
                "the white paper {blob} is about the ledger {} on chain {}, which is another one",
                paper.ledger.contract, paper.ledger.chain_id
            )));
        }
        Ok((paper, signer))
    }

    /// By which rule the donors of a model are judged: what its white paper says.
    pub async fn cohort_policy(&self, model_id: u64) -> Result<CohortPolicy, NodeError> {
        let call = Market::modelCall { modelId: U256::from(model_id) };
        let model = self.ledger.read(Contract::Market, call).await?;
        let (paper, _) = self.read_paper(model.whitePaperHash)?;
        Ok(CohortPolicy {
            appraisal: AppraisalPolicy::of(&paper.appraisal),
            programs: paper.programs,
            training: training::init_data(self.ledger.deployment(), model_id, model.planHash),
            validation: validation::init_data(),
        })
    }

    /// Appraises an enclave by what the ledger says of it: registered, alive, audited program, and its evidence.
    pub async fn appraise(
        &self,
        signer: Address,
        kind: ProgramKind,
        init_data: B256,
    ) -> Result<Attested, NodeError> {
        self.appraise_by(&self.appraisal, signer, kind, init_data).await
    }

    /// Appraises an enclave of a model by what its white paper says, which may be no more than this node believes.
    pub async fn appraise_for(
        &self,
        model_id: u64,
        signer: Address,
        kind: ProgramKind,
        init_data: B256,
    ) -> Result<Attested, NodeError> {
        let call = Market::modelCall { modelId: U256::from(model_id) };
        let model = self.ledger.read(Contract::Market, call).await?;
        let (paper, _) = self.read_paper(model.whitePaperHash)?;
        if !self.appraisal.covers(&paper.appraisal) {
            return Err(NodeError::Message(format!(
                "the white paper of model {model_id} believes enclaves that this node does not"
            )));
        }
        self.appraise_by(&AppraisalPolicy::of(&paper.appraisal), signer, kind, init_data).await
    }

    async fn appraise_by(
        &self,
        policy: &AppraisalPolicy,
        signer: Address,
        kind: ProgramKind,
        init_data: B256,
    ) -> Result<Attested, NodeError> {
        // Says why, where it is not alive.
        let live = Enclaves::requireLiveCall { signer, kind: kind.code() };
        self.ledger.read(Contract::Enclaves, live).await?;
        let facts = cohort::enclave(signer, kind, &self.ledger).await?;
        let expected = Expected {
            operator: facts.operator,
            keys: facts.keys,
            platform: facts.platform,
            evidence_hash: facts.evidence_hash,
            measurement: facts.measurement,
            init_data,
        };
        let evidence = self.blobs.get(facts.evidence_hash)?;
        Ok(appraise(&evidence, &expected, policy, self.ledger.time().await?)?)
    }

    /// The registered enclave of a party for one use: the one that was started for it before, as long as it is live, and else a new
    /// one. A use has one enclave, however often the process ends while it is set up.
    pub async fn enclave_for(
        &self,
        party: &Party,
        purpose: &str,
        program: LoadedProgram,
        device: &SimulatedDevice,
        init_data: B256,
    ) -> Result<Instance, NodeError> {
        let kept = match party.enclave_of(purpose, init_data)? {
            Some(signer) if !self.has_ended(signer, program.program().kind()).await? => Some(signer),
            _ => None,
        };
        let instance = match kept {
            Some(signer) => party.resume_enclave(program, signer, init_data)?,
            None => {
                let now = self.ledger.time().await?;
                let instance = party.start_enclave(program, device, init_data, now)?;
                party.use_enclave(purpose, init_data, instance.keys().receipt)?;
                instance
            }
        };
        self.register_enclave(&instance, &party.key).await?;
        Ok(instance)
    }

    /// The same for an enclave that waits for its module: of a training program.
    pub async fn waiting_enclave_for(
        &self,
        party: &Party,
        purpose: &str,
        measurement: B256,
        device: &SimulatedDevice,
        init_data: B256,
    ) -> Result<Waiting, NodeError> {
        let kept = match party.enclave_of(purpose, init_data)? {
            Some(signer) if !self.has_ended(signer, ProgramKind::Training).await? => Some(signer),
            _ => None,
        };
        let waiting = match kept {
            Some(signer) => party.resume_waiting(measurement, signer, init_data)?,
            None => {
                let now = self.ledger.time().await?;
                let waiting = party.start_waiting(measurement, device, init_data, now)?;
                party.use_enclave(purpose, init_data, waiting.identity().keys().receipt)?;
                waiting
            }
        };
        self.register_enclave(waiting.identity(), &party.key).await?;
        Ok(waiting)
    }

    /// Whether an enclave is registered and not live any more.
    async fn has_ended(&self, signer: Address, kind: ProgramKind) -> Result<bool, NodeError> {
        Ok(self.is_registered(signer).await? && !cohort::enclave(signer, kind, &self.ledger).await?.live)
    }

    async fn is_registered(&self, signer: Address) -> Result<bool, NodeError> {
        let known = self.ledger.logged::<Enclaves::EnclaveRegistered>(Contract::Enclaves, None).await?;
        Ok(known.iter().any(|e| e.event.signer == signer))
    }

    /// Publishes an enclave's evidence and registers it under its operator, unless it is registered.
    pub async fn register_enclave(
        &self,
        enclave: impl AsRef<Identity>,
        operator: &SigningKey,
    ) -> Result<(), NodeError> {
        self.blobs.put(enclave.as_ref().evidence())?;
        let signer = enclave.as_ref().keys().receipt;
        match self.is_registered(signer).await? {
            // By this node before its process ended.
            true => Ok(()),
            false => self.announce_enclave(enclave, operator).await,
        }
    }

    /// Publishes newer evidence of an enclave that is registered, and registers it until that ends.
    pub async fn renew_enclave(&self, enclave: &Identity, operator: &SigningKey) -> Result<(), NodeError> {
        self.blobs.put(enclave.evidence())?;
        let expires_at = self.ledger.time().await? + self.appraisal.max_age();
        let (registration, signature) = enclave.registration(self.ledger.deployment(), expires_at);
        let call = Enclaves::refreshCall {
            signer: enclave.keys().receipt,
            evidenceHash: registration.evidenceHash,
            expiresAt: registration.expiresAt,
            signature: signature.as_slice().to_vec().into(),
        };
        self.ledger.send(operator, Contract::Enclaves, call).await?;
        Ok(())
    }

    /// Registers an enclave whose evidence is in public storage already, or, for whoever tries what must be refused, is
    /// not.
    pub async fn announce_enclave(
        &self,
        enclave: impl AsRef<Identity>,
        operator: &SigningKey,
    ) -> Result<(), NodeError> {
        let enclave = enclave.as_ref();
        let expires_at = self.ledger.time().await? + self.appraisal.max_age();
        let (registration, signature) = enclave.registration(self.ledger.deployment(), expires_at);
        let call = Enclaves::registerCall {
            e: Enclaves::Enclave {
                signer: enclave.keys().receipt,
                sealKey: registration.sealKey,
                measurement: registration.measurement,
                platform: registration.platform,
                evidenceHash: registration.evidenceHash,
                expiresAt: registration.expiresAt,
            },
            signature: signature.as_slice().to_vec().into(),
        };
        self.ledger.send(operator, Contract::Enclaves, call).await?;
        Ok(())
    }
}
