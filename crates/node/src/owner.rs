//! A data owner: an institution whose table never leaves but encrypted to an enclave it has checked.

use histone_access::Permit;
use histone_attestation::simulated::SimulatedDevice;
use histone_attestation::{Attested, Expected, appraise};
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::{Instance, SealedDataset};
use histone_enclave::training::{self, RoundTranscript, TrainingEnclave};
use histone_enclave::validation::{self, ValidationEnclave};
use histone_federation::header::RoundHeader;
use histone_federation::plan::Plan;
use histone_genome::table::Table;
use histone_ledger::contracts::{Contract, Datasets, Enclaves, Market, Programs, Rounds};
use histone_protocol::commitment::dataset_root;
use histone_protocol::consent::{ConsentPolicy, DecisionFacts, DecisionRecord, Verdict, WhitePaper};
use histone_protocol::dataset::KeyBundle;
use histone_protocol::keys::SigningKey;
use histone_protocol::program::ProgramKind;
use histone_protocol::record::Signed;
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256, U256};

use crate::error::NodeError;
use crate::party::Party;
use crate::release::{OwnedKey, release};
use crate::world::World;

/// What the owner's node remembers of its table: enough to answer a white paper, nothing of a row.
#[derive(Debug, Clone)]
struct Schema {
    columns: Vec<String>,
    label: String,
    rows: u32,
}

/// A data owner's node.
pub struct Owner {
    /// Name, keys, directory.
    pub party: Party,
    policy: ConsentPolicy,
    schema: Schema,
    keys: KeyBundle,
    ciphertext: Vec<u8>,
    dataset: B256,
    participation: Option<Participation>,
}

/// The owner's part in one model.
struct Participation {
    model_id: u64,
    donor: u16,
    payee: SigningKey,
    enclave: TrainingEnclave,
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Owner({:?}, dataset {})", self.party, self.dataset)
    }
}

/// What an owner publishes about its dataset.
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    /// The ledger's key.
    pub dataset: B256,
    /// Blob of the consent policy.
    pub policy: B256,
    /// Blob of the validation report.
    pub report: B256,
}

/// What the owner runs its training enclave on.
#[derive(Debug)]
pub struct Machine<'a> {
    /// The training program.
    pub program: LoadedProgram,
    /// The SIMULATED device that quotes the enclave.
    pub device: &'a SimulatedDevice,
}

/// How an owner answered a white paper.
#[derive(Debug)]
pub struct Answer {
    /// Allows the release; none when the owner declines.
    pub permit: Option<Permit>,
    /// The recorded decision.
    pub decision: DecisionRecord,
    /// Its blob.
    pub blob: B256,
}

impl Owner {
    /// Encrypts the table into the owner's directory and forgets the plain one.
    pub fn prepare(
        mut party: Party,
        table: Table,
        label: &str,
        mut policy: ConsentPolicy,
    ) -> Result<Self, NodeError> {
        policy.owner = party.account();
        histone_access::check_policy(&policy)?;
        let keys = KeyBundle::generate(&mut party.rng);
        let ciphertext = keys.data.encrypt(&table.encode(), &mut party.rng);
        let root = dataset_root(&keys.salt, (0..table.rows()).filter_map(|i| table.row_bytes(i)));
        party.keep("dataset.sealed", &ciphertext)?;
        party.keep("dataset.key", &*keys.to_bytes())?;
        let schema = Schema {
            columns: table.columns().to_vec(),
            label: label.to_string(),
            // A table has fewer than 2^32 rows.
            rows: table.rows() as u32,
        };
        let dataset = histone_ledger::dataset_id(party.account(), root);
        Ok(Self { party, policy, schema, keys, ciphertext, dataset, participation: None })
    }

    /// The owner's account.
    pub fn account(&self) -> Address {
        self.party.account()
    }

    /// The ledger's key of the dataset.
    pub fn dataset(&self) -> B256 {
        self.dataset
    }

    /// The account that is paid for this owner's donation, and its donor number.
    pub fn donation(&self) -> Option<(Address, u16)> {
        self.participation.as_ref().map(|p| (p.payee.address(), p.donor))
    }

    /// Has the table validated by an enclave that the owner has appraised, and registers what came out.
    pub async fn register(
        &mut self,
        enclave: &ValidationEnclave,
        world: &World,
    ) -> Result<Registered, NodeError> {
        let signer = enclave.instance().keys().receipt;
        let attested = self.appraise(signer, ProgramKind::Validation, validation::init_data(), world).await?;
        let permit = Permit::own_validation(self.account(), self.dataset, vec![attested.measurement()]);
        let funded = world.ledger.funded_validation(signer).await?;
        let sealed = self.release(permit, attested, funded, world).await?;
        let validated = enclave.validate(&sealed, world.ledger.deployment())?;
        let report = world.blobs.put(&validated.report)?;
        self.policy.ledger = world.ledger.deployment().id();
        let policy = world.blobs.put(&Signed::sign(&self.policy, &self.party.key)?.to_bytes())?;
        let call = Datasets::registerCall {
            root: validated.root,
            reportHash: report,
            policyHash: policy,
            rows: validated.receipt.rows,
            quality: validated.receipt.quality,
            enclave: signer,
            signature: validated.signature.as_slice().to_vec().into(),
        };
        world.ledger.send(&self.party.key, Contract::Datasets, call).await?;
        Ok(Registered { dataset: self.dataset, policy, report })
    }

    /// Matches a white paper against data and consent; publishes and records the decision either way.
    /// A paper that is not the one on the ledger, or states other terms, is no question and is not answered.
    pub async fn consider(&mut self, blob: B256, model_id: u64, world: &World) -> Result<Answer, NodeError> {
        let (paper, signer) = read_paper(blob, world)?;
        let on_ledger =
            world.ledger.read(Contract::Market, Market::modelCall { modelId: U256::from(model_id) }).await?;
        if paper.trainer != signer || on_ledger.trainer != signer {
            return Err(NodeError::Message(format!(
                "the white paper of model {model_id} is not by its trainer"
            )));
        }
        if on_ledger.whitePaperHash != blob {
            return Err(NodeError::Message(format!(
                "the white paper {blob} is not the one on the ledger for model {model_id}, which is {}",
                on_ledger.whitePaperHash
            )));
        }
        if !same_terms(&paper, &on_ledger.terms) {
            return Err(NodeError::Message(format!(
                "the white paper of model {model_id} states other terms than the ledger, which will be paid"
            )));
        }
        let in_force = world
            .ledger
            .read(Contract::Datasets, Datasets::datasetCall { id: self.dataset })
            .await
            .is_ok_and(|d| d.owner == self.account() && !d.withdrawn);
        let facts = DecisionFacts {
            policy: self.policy.clone(),
            model_id,
            dataset: self.dataset,
            data_matches: paper.features == self.schema.columns
                && paper.label == self.schema.label
                && self.schema.rows >= paper.min_rows,
            dataset_in_force: in_force,
            time: world.ledger.time().await?,
            paper,
        };
        let (permit, decision) = histone_access::permit(&facts)?;
        let signed = Signed::sign(&decision, &self.party.key)?.to_bytes();
        self.party.keep(&format!("decision-{model_id}.json"), &signed)?;
        let blob = world.blobs.put(&signed)?;
        debug_assert_eq!(permit.is_some(), decision.verdict == Verdict::Permit);
        Ok(Answer { permit, decision, blob })
    }

    /// Starts the owner's own training enclave, releases the key to it, and registers the donation with its receipt.
    pub async fn donate(
        &mut self,
        permit: Permit,
        model_id: u64,
        plan: &Plan,
        instant_payment: u64,
        machine: Machine<'_>,
        world: &World,
    ) -> Result<u16, NodeError> {
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan);
        let now = world.ledger.time().await?;
        let seed = self.party.draw_seed();
        let instance =
            Instance::start(machine.program, machine.device, self.account(), init_data, now, seed)?;
        world.register_enclave(&instance, &self.party.key).await?;
        let signer = instance.keys().receipt;
        let attested = self.appraise(signer, ProgramKind::Training, init_data, world).await?;
        let funded = world.ledger.funded_training(model_id, instant_payment).await?;
        let sealed = self.release(permit, attested, funded, world).await?;
        // A pseudonym for this model alone: payments do not link an owner's models.
        let payee = SigningKey::generate(&mut self.party.rng);
        self.party.keep(&format!("payee-{model_id}.key"), &*payee.to_bytes())?;
        let (enclave, donation) =
            TrainingEnclave::admit(instance, plan.clone(), model_id, &sealed, payee.address(), &world.ledger)
                .await?;
        let call = Market::donateCall {
            modelId: donation.receipt.modelId,
            datasetId: donation.receipt.datasetId,
            payee: donation.receipt.payee,
            weight: donation.receipt.weight,
            enclave: signer,
            signature: donation.signature.as_slice().to_vec().into(),
        };
        let receipt = world.ledger.send(&self.party.key, Contract::Market, call).await?;
        let donor = receipt.event::<Market::Donated>()?.donorIndex;
        self.participation = Some(Participation { model_id, donor, payee, enclave });
        Ok(donor)
    }

    /// Has the enclave make this round's encrypted update, publishes it and anchors its hash.
    pub async fn contribute(
        &mut self,
        header: &RoundHeader,
        world: &World,
    ) -> Result<(u16, B256), NodeError> {
        let key = self.party.key.clone();
        let p = self.participation()?;
        let update = p.enclave.contribute(header, p.donor, &world.ledger).await?;
        let blob = world.blobs.put(&update.blob)?;
        let call = Rounds::anchorCall {
            modelId: update.receipt.modelId,
            round: update.receipt.round,
            blobHash: blob,
            donorIndex: p.donor,
            enclave: p.enclave.instance().keys().receipt,
            signature: update.signature.as_slice().to_vec().into(),
        };
        let donor = p.donor;
        world.ledger.send(&key, Contract::Rounds, call).await?;
        Ok((donor, blob))
    }

    /// Lets the enclave recompute the sum of a finished round and go on to the plan's next step.
    pub async fn observe(&mut self, transcript: &RoundTranscript, world: &World) -> Result<(), NodeError> {
        let p = self.participation()?;
        Ok(p.enclave.observe(transcript, &world.ledger).await?)
    }

    /// Publishes the enclave's signed evaluation of the finished model on this owner's rows.
    pub fn evaluate(&mut self, plan: &Plan, world: &World) -> Result<B256, NodeError> {
        let p = self.participation()?;
        Ok(world.blobs.put(&p.enclave.evaluate(plan, p.donor)?)?)
    }

    /// Claims what the model owes to this owner's pseudonym.
    pub async fn claim(&mut self, world: &World) -> Result<(), NodeError> {
        let p = self.participation()?;
        let call = Market::claimDonorCall { modelId: U256::from(p.model_id), donorIndex: p.donor };
        let payee = p.payee.clone();
        world.ledger.send(&payee, Contract::Market, call).await?;
        Ok(())
    }

    /// The validation report that was registered, for people.
    pub fn report(&self, blob: B256, world: &World) -> Result<ValidationReport, NodeError> {
        Ok(Signed::<ValidationReport>::from_bytes(&world.blobs.get(blob)?)?.open()?.0)
    }

    fn participation(&mut self) -> Result<&mut Participation, NodeError> {
        self.participation
            .as_mut()
            .ok_or_else(|| NodeError::Message(format!("`{}` takes part in no model", self.party.name)))
    }

    /// Appraises an enclave by what the ledger says of it: registered, alive, audited program, and its evidence.
    pub async fn appraise(
        &self,
        signer: Address,
        kind: ProgramKind,
        init_data: B256,
        world: &World,
    ) -> Result<Attested, NodeError> {
        let ledger = &world.ledger;
        let registered = ledger.read(Contract::Enclaves, Enclaves::enclaveCall { signer }).await?;
        ledger.read(Contract::Enclaves, Enclaves::requireLiveCall { signer, kind: kind.code() }).await?;
        let usable = Programs::requireUsableCall { measurement: registered.measurement, kind: kind.code() };
        ledger.read(Contract::Programs, usable).await?;
        let expected = Expected {
            operator: registered.operator,
            evidence_hash: registered.evidenceHash,
            measurement: registered.measurement,
            init_data,
        };
        let evidence = world.blobs.get(registered.evidenceHash)?;
        Ok(appraise(&evidence, &expected, &world.appraisal, ledger.time().await?)?)
    }

    async fn release(
        &mut self,
        permit: Permit,
        attested: Attested,
        funded: histone_ledger::Funded,
        world: &World,
    ) -> Result<SealedDataset, NodeError> {
        let now = world.ledger.time().await?;
        let (owner, dataset) = (self.account(), self.dataset);
        let owned = OwnedKey { owner, dataset, bundle: &self.keys };
        let key = release(permit, attested, funded, owned, now, &mut self.party.rng)?;
        Ok(SealedDataset { id: dataset, owner, ciphertext: self.ciphertext.clone(), key })
    }
}

/// Whether the market pays what the paper promises.
fn same_terms(paper: &WhitePaper, terms: &Market::Terms) -> bool {
    let split = &paper.split;
    U256::from(terms.instantPayment) == U256::from(paper.instant_payment)
        && U256::from(terms.queryPrice) == U256::from(paper.query_price)
        && (terms.donorsBps, terms.trainerBps, terms.runnerBps) == (split.donors, split.trainer, split.runner)
}

/// Reads a white paper, checks its signature and that it is about this ledger.
pub fn read_paper(blob: B256, world: &World) -> Result<(WhitePaper, Address), NodeError> {
    let (paper, signer) = Signed::<WhitePaper>::from_bytes(&world.blobs.get(blob)?)?.open()?;
    if paper.ledger != world.ledger.deployment().id() {
        return Err(NodeError::Message(format!(
            "the white paper {blob} is about the ledger {} on chain {}, which is another one",
            paper.ledger.contract, paper.ledger.chain_id
        )));
    }
    Ok((paper, signer))
}
