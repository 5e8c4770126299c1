//! How a runner operates the one enclave to which all owners of a model bring their data.
//!
//! Each step can be repeated at any time: the enclave keeps what it was given and what it made with the runner, encrypted, and says
//! the same again.

use histone_contracts::{Book, Contract, Market};
use histone_enclave::engine::{Engine, LoadedProgram};
use histone_enclave::instance::{EnclaveError, Instance, Waiting};
use histone_enclave::training::{self, HostEnclave, Hosted, QueryPeer};
use histone_protocol::program::ProgramKind;
use histone_protocol::{Address, B256, U256};

use super::Runner;
use crate::duties::{self, HostDone, HostDuty};
use crate::error::NodeError;
use crate::plan;
use crate::trainer::is_ended;
use crate::world::World;

/// What an enclave for the data of all owners is started for.
const HOST: &str = "host";

/// The one enclave of a model on a runner's machine.
#[derive(Debug)]
pub struct Host {
    /// The enclave.
    pub enclave: HostEnclave,
    model_id: u64,
    done: HostDone,
}

/// What a runner tells another party when it has performed a duty.
#[derive(Debug)]
pub enum HostTell {
    /// To the trainer, who publishes it when the market has the model: what the enclave says that it has made.
    Made(Hosted),
    /// To everybody: blobs of what was released, first the document, then the model; and of the evaluations.
    Released {
        /// The document.
        document: B256,
        /// The model, as it is or under its key.
        model: B256,
        /// What the method reports at each donor's site.
        evaluations: Vec<B256>,
    },
    /// To a runner: the key of a model, sealed to its query enclave.
    ModelKey {
        /// The query enclave.
        query: Address,
        /// What only that enclave opens.
        sealed: Vec<u8>,
    },
}

impl Runner {
    /// Starts and registers the enclave to which all data of a model that recruits is to be brought. Its trainer has yet to name it.
    pub async fn start_host(
        &mut self,
        program: LoadedProgram,
        model_id: u64,
        world: &World,
    ) -> Result<Host, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let now = world.ledger.time().await?;
        let instance = self.party.start_enclave(program, &self.device, init_data, now)?;
        world.register_enclave(&instance, &self.party.key).await?;
        self.host(instance, model_id, world).await
    }

    /// The enclave of this runner's to which all data of a model that recruits is to be brought: started for that before, or now.
    pub async fn host_for(
        &self,
        program: LoadedProgram,
        model_id: u64,
        world: &World,
    ) -> Result<Host, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let instance = world.enclave_for(&self.party, HOST, program, &self.device, init_data).await?;
        self.host(instance, model_id, world).await
    }

    /// The same for a method of closed source: as yet without its module.
    pub async fn waiting_host_for(&self, model_id: u64, world: &World) -> Result<Waiting, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let measurement = plan.programs.training;
        world.waiting_enclave_for(&self.party, HOST, measurement, &self.device, init_data).await
    }

    /// The same for a method of closed source, whose author seals the module to this enclave when it has looked at it.
    pub async fn start_waiting_host(&mut self, model_id: u64, world: &World) -> Result<Waiting, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let now = world.ledger.time().await?;
        let waiting = self.party.start_waiting(plan.programs.training, &self.device, init_data, now)?;
        world.register_enclave(waiting.identity(), &self.party.key).await?;
        Ok(waiting)
    }

    /// The same enclave again whose process ended before it had its module.
    pub async fn resume_waiting_host(
        &self,
        model_id: u64,
        signer: Address,
        world: &World,
    ) -> Result<Waiting, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        self.party.resume_waiting(plan.programs.training, signer, init_data)
    }

    /// Gives the enclave the module that was sealed to it, and keeps it: whoever is started again needs it again.
    pub async fn load_host(
        &self,
        waiting: Waiting,
        sealed: &[u8],
        model_id: u64,
        world: &World,
    ) -> Result<Host, NodeError> {
        let name = module_file(waiting.identity().keys().receipt);
        let instance = waiting.load(&Engine::new().map_err(EnclaveError::from)?, sealed)?;
        self.party.keep(&name, sealed)?;
        self.host(instance, model_id, world).await
    }

    /// Starts such an enclave again whose process ended, with the module that it was given.
    pub async fn resume_closed_host(
        &self,
        model_id: u64,
        signer: Address,
        world: &World,
    ) -> Result<Host, NodeError> {
        let waiting = self.resume_waiting_host(model_id, signer, world).await?;
        let missing = || NodeError::Message(format!("the module of the enclave {signer} was not kept"));
        let sealed = self.party.recall(&module_file(signer))?.ok_or_else(missing)?;
        self.load_host(waiting, &sealed, model_id, world).await
    }

    /// Starts such an enclave again whose process ended. It has its keys, the data that it was given, or what it made of it.
    pub async fn resume_host(
        &self,
        program: LoadedProgram,
        model_id: u64,
        signer: Address,
        world: &World,
    ) -> Result<Host, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = training::init_data(world.ledger.deployment(), model_id, plan.hash());
        let instance = self.party.resume_enclave(program, signer, init_data)?;
        self.host(instance, model_id, world).await
    }

    async fn host(&self, instance: Instance, model_id: u64, world: &World) -> Result<Host, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let policy = world.cohort_policy(model_id).await?;
        let storage = self.party.storage();
        let enclave = HostEnclave::start(instance, &plan, model_id, policy, storage, &world.ledger).await?;
        Ok(Host { enclave, model_id, done: HostDone::default() })
    }

    /// What this runner owes to do for the enclave that has all data.
    pub fn host_duties(&self, host: &Host, book: &Book) -> Vec<HostDuty> {
        duties::of_host(book, host.model_id, &host.done)
    }

    /// Performs a duty. Gives what is to be told to others.
    pub async fn perform(
        &self,
        duty: HostDuty,
        host: &mut Host,
        world: &World,
    ) -> Result<Option<HostTell>, NodeError> {
        match duty {
            HostDuty::Forget { donor, .. } => {
                host.enclave.forget_withdrawn(&world.ledger).await?;
                host.done.forgotten.insert(donor);
                Ok(None)
            }
            HostDuty::EndUse { model, donor } => {
                let call = Market::endUseCall { modelId: U256::from(model), donorIndex: donor };
                match world.ledger.send(&self.party.key, Contract::Market, call).await {
                    // Anybody may end it: perhaps somebody was quicker.
                    Err(error) if !is_ended(&error) => Err(error.into()),
                    _ => Ok(None),
                }
            }
            HostDuty::Destroy { .. } => {
                host.enclave.give_up(&world.ledger).await?;
                host.done.destroyed = true;
                Ok(None)
            }
            HostDuty::Train { .. } => {
                let said = host.enclave.train(&world.evidence(), &world.ledger).await?;
                host.done.trained = true;
                Ok(Some(HostTell::Made(said)))
            }
            HostDuty::Release { .. } => {
                let (document, model) = host.enclave.release(&world.ledger).await?;
                let said = host.enclave.evaluations(&world.ledger).await?;
                let evaluations = said.iter().map(|said| world.blobs.put(said)).collect::<Result<_, _>>()?;
                let (document, model) = (world.blobs.put(&document)?, world.blobs.put(&model)?);
                host.done.released = true;
                Ok(Some(HostTell::Released { document, model, evaluations }))
            }
            HostDuty::HandModel { query, .. } => {
                let sealed = self.hand_model(host, query, world).await?;
                host.done.answered.insert(query);
                Ok(Some(HostTell::ModelKey { query, sealed }))
            }
        }
    }

    /// Has the enclave hand the key of a sealed model to a query enclave that the paper believes.
    pub async fn hand_model(&self, host: &Host, query: Address, world: &World) -> Result<Vec<u8>, NodeError> {
        let facts = histone_enclave::cohort::enclave(query, ProgramKind::Query, &world.ledger).await?;
        let evidence = world.blobs.get(facts.evidence_hash)?;
        let policy = world.cohort_policy(host.model_id).await?.appraisal;
        let peer = QueryPeer { signer: query, evidence: &evidence };
        Ok(host.enclave.hand_model(peer, &policy, &world.ledger).await?)
    }
}

/// Where the module of closed source is kept that was sealed to an enclave.
fn module_file(signer: Address) -> String {
    format!("module-{signer:x}.sealed")
}
