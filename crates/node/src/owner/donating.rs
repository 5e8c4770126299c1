//! How an owner gives its data to a model: to an enclave of its own, or to the one that has the data of all owners.

use histone_access::Permit;
use histone_contracts::{Contract, Market};
use histone_enclave::instance::{EnclaveError, SealedDataset};
use histone_enclave::training::{
    self, AnsweredVersions as _, Donation, DonationTerms, HostEnclave, TrainingEnclave,
};
use histone_protocol::keys::SignatureBytes;
use histone_protocol::plan::PlanDocument;
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::DonationReceipt;
use histone_protocol::{Address, B256, U256};

use super::{Machine, Owner, Participation, Place, consent};
use crate::answered::Answered;
use crate::error::NodeError;
use crate::plan;
use crate::world::World;

/// Plans that were refused for the values of the dataset, and how many are before a person looks.
const MISFITS: &str = "misfits";
const MOST_MISFITS: u64 = 3;

/// What an owner has decided about a model.
#[derive(Debug)]
pub struct Decided {
    /// Allows the release of the key.
    pub permit: Permit,
    /// Blob of the decision.
    pub decision: B256,
    /// The model.
    pub model_id: u64,
    /// What the white paper promises each donor at once, in millionths of a token.
    pub instant_payment: u64,
}

/// Data for the one enclave of a model, on its way there.
#[derive(Debug)]
pub struct Given {
    /// The enclave.
    pub enclave: Address,
    /// The encrypted table, and its key sealed to the enclave.
    pub sealed: SealedDataset,
    /// What the enclave is told of the donation.
    pub terms: DonationTerms,
}

impl Owner {
    /// Starts the owner's own training enclave, releases the key to it, and registers the donation with its receipt.
    pub async fn donate(
        &mut self,
        decided: Decided,
        machine: Machine<'_>,
        world: &World,
    ) -> Result<u16, NodeError> {
        let Decided { decision, model_id, .. } = decided;
        let plan = self.may_donate(model_id, world).await?;
        if plan.disclosure.in_one_enclave() {
            return Err(NodeError::Message(format!(
                "the plan of model {model_id} has one enclave for the data of all owners"
            )));
        }
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let instance =
            world.enclave_for(&self.party, "training", machine.program, machine.device, init_data).await?;
        let signer = instance.keys().receipt;
        let sealed = self.release_to(decided, signer, init_data, world).await?;
        let terms = self.terms(model_id, decision, world).await?;
        let policy = world.cohort_policy(model_id).await?;
        let admitted =
            TrainingEnclave::admit(instance, &plan, model_id, &sealed, terms, policy, &world.ledger).await;
        let (enclave, donation) = self.fitting(admitted)?;
        // Before the ledger has the donation: from then on the enclave is owed.
        self.keep_released(signer, &sealed)?;
        self.register_donation(model_id, signer, donation, Place::Own(Box::new(enclave)), world).await
    }

    /// Releases the key to the one enclave that the ledger names for the data of all owners, after looking at it, and registers the
    /// donation with its receipt. The enclave may be of anybody.
    pub async fn bring(
        &mut self,
        decided: Decided,
        host: &mut HostEnclave,
        world: &World,
    ) -> Result<u16, NodeError> {
        let model_id = decided.model_id;
        let signer = host.instance().keys().receipt;
        let Given { sealed, terms, .. } = self.give(decided, Some(signer), world).await?;
        let admitted = host.admit(&sealed, terms, &world.ledger).await;
        let Donation { receipt, signature } = self.fitting(admitted)?;
        let taken = (receipt.payee, receipt.decision, signature);
        self.register_brought(model_id, signer, taken, world).await
    }

    /// Releases the key to the one enclave that the ledger names for the data of all owners, after looking at it, for whoever carries
    /// it there; refuses when that is another one than is `expected`. From then on the owner counts as having answered for this model.
    pub async fn give(
        &mut self,
        decided: Decided,
        expected: Option<Address>,
        world: &World,
    ) -> Result<Given, NodeError> {
        let Decided { decision, model_id, .. } = decided;
        let plan = self.may_donate(model_id, world).await?;
        let named = host_of(model_id, world).await?.ok_or_else(|| {
            NodeError::Message(format!(
                "the trainer of model {model_id} has named no enclave for the data yet"
            ))
        })?;
        let signer = expected.unwrap_or(named);
        if !plan.disclosure.in_one_enclave() || named != signer {
            return Err(NodeError::Message(format!(
                "the data of model {model_id} goes to the enclave {named}, as the ledger has it, and not to {signer}"
            )));
        }
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let sealed = self.release_to(decided, signer, init_data, world).await?;
        let terms = self.terms(model_id, decision, world).await?;
        // Recorded before the key leaves: the enclave is somebody else's, and asks nobody again. Not before the enclave was looked at:
        // a trainer who names a bad one would bind the owner to its plan for nothing.
        let (computation, _) = plan::known(&plan, world)?;
        let version = training::version(self.table.root, &computation.config);
        let mut answered = Answered::of(&self.party, world);
        // In one enclave nobody sees who else is in another model by the same plan: the difference of the two would be one donor.
        if answered.other_models(self.dataset, model_id)? >= self.policy.versions as usize {
            return Err(NodeError::Message(format!(
                "the dataset is in another model already; brought to one enclave as well, the difference of the two models could be \
                 one donor. Your policy allows {} (`versions`)",
                self.policy.versions
            )));
        }
        let recorded = answered.record(self.dataset, version, model_id, self.policy.versions);
        if !recorded.map_err(EnclaveError::Memory)? {
            return Err(EnclaveError::OtherVersion { allowed: self.policy.versions }.into());
        }
        Ok(Given { enclave: signer, sealed, terms })
    }

    /// Registers the donation of data that was brought to the one enclave of a model, with its receipt: for whom, by which decision,
    /// and its signature.
    pub async fn register_brought(
        &mut self,
        model_id: u64,
        enclave: Address,
        (payee, decision, signature): (Address, B256, SignatureBytes),
        world: &World,
    ) -> Result<u16, NodeError> {
        let receipt = DonationReceipt {
            modelId: U256::from(model_id),
            datasetId: self.dataset,
            root: self.table.root,
            payee,
            decision,
        };
        let donation = Donation { receipt, signature };
        self.register_donation(model_id, enclave, donation, Place::Host, world).await
    }

    /// Takes part again, after its process ended, in a model to whose one enclave the data was brought.
    pub fn rejoin(&mut self, model_id: u64, donor: u16, world: &World) -> Result<(), NodeError> {
        let payee = self.party.payee(world.ledger.deployment().id(), model_id)?;
        self.participation = Some(Participation { model_id, donor, payee, place: Place::Host });
        Ok(())
    }

    /// Counts a model to whose enclave the data was brought and of which nothing came: that may have been for its values, and nobody
    /// says so who does not have to.
    pub fn nothing_came(&self) -> Result<(), NodeError> {
        self.party.next(MISFITS)?;
        Ok(())
    }

    /// The plan that was considered, when the data may be given to it.
    async fn may_donate(&self, model_id: u64, world: &World) -> Result<PlanDocument, NodeError> {
        // Whether a plan fits shows by the donation that follows or does not, and a trainer could search for values with plans.
        let misfits = self.party.count(MISFITS)?;
        if misfits >= MOST_MISFITS {
            return Err(NodeError::Message(format!(
                "{misfits} plans did not fit the values of this dataset, or nothing came of data that was brought for them; each one that is refused for them tells its trainer \
                 something. A person has to look at what comes next: remove `{MISFITS}.count` from the directory of `{}`",
                self.party.name
            )));
        }
        // Whatever the ledger is said to have by now.
        let plan = self.considered.get(&model_id).cloned().ok_or_else(|| {
            NodeError::Message(format!("`{}` has not considered model {model_id}", self.party.name))
        })?;
        match self.lacks_room(&plan, world).await? {
            Some(why) => Err(NodeError::Message(why)),
            None => Ok(plan),
        }
    }

    /// Why this version is not answered for in a model that was considered, by what was answered for before; none when it is.
    pub async fn is_used_up(&self, model_id: u64, world: &World) -> Result<Option<String>, NodeError> {
        match self.considered.get(&model_id) {
            Some(plan) => self.lacks_room(plan, world).await,
            None => Ok(None),
        }
    }

    async fn lacks_room(&self, plan: &PlanDocument, world: &World) -> Result<Option<String>, NodeError> {
        let (computation, _) = plan::known(plan, world)?;
        let version = training::version(self.table.root, &computation.config);
        let answered = Answered::of(&self.party, world);
        answered.forget_unopened(self.dataset, world).await?;
        if answered.has_room(self.dataset, version, self.policy.versions)? {
            return Ok(None);
        }
        Ok(Some(format!(
            "the dataset was answered for in another version, or by a plan with other columns, another outcome, other ranges, \
             another held-out share or another rule for missing values; sums of both would tell single rows apart. Your policy allows {} (`versions`)",
            self.policy.versions
        )))
    }

    /// Releases the key to a training enclave that the owner's node believes.
    async fn release_to(
        &mut self,
        decided: Decided,
        signer: Address,
        init_data: B256,
        world: &World,
    ) -> Result<SealedDataset, NodeError> {
        let Decided { permit, model_id, instant_payment, .. } = decided;
        let attested = world.appraise_for(model_id, signer, ProgramKind::Training, init_data).await?;
        let funded = world.ledger.funded_training(model_id, instant_payment).await?;
        self.release(permit, attested, funded, B256::ZERO, world).await
    }

    /// What the enclave is told of the donation. The account is for this model alone: the ledger names it beside the dataset, and it
    /// keeps the money apart, not the owner.
    async fn terms(&self, model_id: u64, decision: B256, world: &World) -> Result<DonationTerms, NodeError> {
        let payee = self.party.payee(world.ledger.deployment().id(), model_id)?;
        let consent = consent(self.dataset, model_id, decision, world).await?;
        Ok(DonationTerms { payee: payee.address(), consent })
    }

    /// Counts plans that do not fit the values of the dataset.
    fn fitting<T>(&self, admitted: Result<T, EnclaveError>) -> Result<T, NodeError> {
        if let Err(EnclaveError::Config(_)) = &admitted {
            self.party.next(MISFITS)?;
        }
        Ok(admitted?)
    }

    async fn register_donation(
        &mut self,
        model_id: u64,
        enclave: Address,
        donation: Donation,
        place: Place,
        world: &World,
    ) -> Result<u16, NodeError> {
        let call = Market::donateCall {
            modelId: donation.receipt.modelId,
            datasetId: donation.receipt.datasetId,
            payee: donation.receipt.payee,
            decision: donation.receipt.decision,
            enclave,
            signature: donation.signature.as_slice().to_vec().into(),
        };
        let receipt = world.ledger.send(&self.party.key, Contract::Market, call).await?;
        let donor = receipt.event::<Market::Donated>()?.donorIndex;
        let payee = self.party.payee(world.ledger.deployment().id(), model_id)?;
        self.participation = Some(Participation { model_id, donor, payee, place });
        Ok(donor)
    }
}

/// The enclave that the ledger names for the data of all owners of a model.
pub async fn host_of(model_id: u64, world: &World) -> Result<Option<Address>, NodeError> {
    let about = Some(B256::from(U256::from(model_id)));
    let hosted = world.ledger.logged::<Market::TrainingHosted>(Contract::Market, about).await?;
    Ok(hosted.last().map(|hosted| hosted.event.enclave))
}
