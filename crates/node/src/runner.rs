//! The runner: operates the validation and query enclaves, and the one to which all data of a model may be brought, and is paid for it.

mod host;

use histone_attestation::simulated::SimulatedDevice;
use histone_contracts::{Contract, Market};
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::Instance;
use histone_enclave::query::{self, Given, QueryAnswer, QueryEnclave, SETTLING, Served};
use histone_enclave::validation::{self, ValidationEnclave};
use histone_protocol::{Address, B256};

use crate::error::NodeError;
use crate::party::Party;
use crate::plan;
use crate::world::World;

pub use host::{Host, HostTell};

/// A runner's node.
#[derive(Debug)]
pub struct Runner {
    /// Name, keys, directory.
    pub party: Party,
    device: SimulatedDevice,
}

impl Runner {
    /// A runner with one SIMULATED machine.
    pub fn new(party: Party, device: SimulatedDevice) -> Self {
        Self { party, device }
    }

    /// Starts and registers a validation enclave.
    pub async fn start_validation(
        &mut self,
        program: LoadedProgram,
        world: &World,
    ) -> Result<ValidationEnclave, NodeError> {
        let now = world.ledger.time().await?;
        let instance = self.party.start_enclave(program, &self.device, validation::init_data(), now)?;
        world.register_enclave(&instance, &self.party.key).await?;
        self.with_sketches(instance)
    }

    /// The validation enclave of this runner, with the sketches that it has kept: started before, or now.
    pub async fn validation_enclave(
        &self,
        program: LoadedProgram,
        world: &World,
    ) -> Result<ValidationEnclave, NodeError> {
        let init_data = validation::init_data();
        let instance = world.enclave_for(&self.party, "validation", program, &self.device, init_data).await?;
        self.with_sketches(instance)
    }

    fn with_sketches(&self, instance: Instance) -> Result<ValidationEnclave, NodeError> {
        let name = format!("sketches-{}.sealed", instance.keys().receipt);
        Ok(ValidationEnclave::new(instance, Box::new(self.party.store(name)))?)
    }

    /// The query enclave of this runner for a trained model, as yet without the model, unless it had it before its process ended.
    pub async fn query_enclave(
        &self,
        program: LoadedProgram,
        model_id: u64,
        model_hash: B256,
        world: &World,
    ) -> Result<Instance, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let init_data = query::init_data(world.ledger.deployment(), model_id, model_hash, plan.hash());
        world.enclave_for(&self.party, "query", program, &self.device, init_data).await
    }

    /// Whether the model of a query enclave is kept here, so that it can be [resumed](Runner::resume_query).
    pub fn has_model(&self, signer: Address) -> Result<bool, NodeError> {
        Ok(self.party.recall(&model_file(signer))?.is_some())
    }

    /// Starts and registers a query enclave with a public model, and keeps it in the runner's directory.
    pub async fn start_query(
        &mut self,
        program: LoadedProgram,
        model_id: u64,
        model: &[u8],
        model_hash: B256,
        world: &World,
    ) -> Result<QueryEnclave, NodeError> {
        let instance = self.begin_query(program, model_id, model_hash, world).await?;
        self.install_model(instance, model_id, Given::Public(model), world).await
    }

    /// Starts and registers an enclave for the queries of a trained model, as yet without the model: whoever hands over a
    /// sealed one looks at it first.
    pub async fn begin_query(
        &mut self,
        program: LoadedProgram,
        model_id: u64,
        model_hash: B256,
        world: &World,
    ) -> Result<Instance, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let now = world.ledger.time().await?;
        let init_data = query::init_data(world.ledger.deployment(), model_id, model_hash, plan.hash());
        let instance = self.party.start_enclave(program, &self.device, init_data, now)?;
        world.register_enclave(&instance, &self.party.key).await?;
        Ok(instance)
    }

    /// Takes the model into a started enclave, and keeps it sealed in the runner's directory.
    pub async fn install_model(
        &mut self,
        instance: Instance,
        model_id: u64,
        model: Given<'_>,
        world: &World,
    ) -> Result<QueryEnclave, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let (_, method) = plan::known(&plan, world)?;
        let file = model_file(instance.keys().receipt);
        let storage = self.party.storage();
        let served = Served { model_id, plan: &plan, method: &method };
        let enclave = QueryEnclave::install(instance, served, model, storage, &world.ledger).await?;
        self.party.keep(&file, &enclave.sealed_model())?;
        Ok(enclave)
    }

    /// Starts a query enclave again whose process ended. It has its keys, its model and what it answered.
    pub async fn resume_query(
        &self,
        program: LoadedProgram,
        model_id: u64,
        model_hash: B256,
        signer: Address,
        world: &World,
    ) -> Result<QueryEnclave, NodeError> {
        let plan = plan::of_model(model_id, world).await?;
        let (_, method) = plan::known(&plan, world)?;
        let init_data = query::init_data(world.ledger.deployment(), model_id, model_hash, plan.hash());
        let instance = self.party.resume_enclave(program, signer, init_data)?;
        let missing = || NodeError::Message(format!("the model of enclave {signer} was not kept"));
        let model = self.party.recall(&model_file(signer))?.ok_or_else(missing)?;
        let served = Served { model_id, plan: &plan, method: &method };
        Ok(QueryEnclave::restore(instance, served, &model, self.party.storage(), &world.ledger).await?)
    }

    /// Settles an answered query with the enclave's receipt, which brings the answer onto the ledger. An answer for which
    /// there is no time left is kept back: whoever reads the transaction would have it for nothing.
    pub async fn settle(&self, answer: &QueryAnswer, world: &World) -> Result<(), NodeError> {
        let query = Market::queryCall { queryId: answer.receipt.queryId };
        let query = world.ledger.read(Contract::Market, query).await?;
        let serving = Market::servingEnclaveCall { modelId: answer.receipt.modelId, serving: query.serving };
        let serving = world.ledger.read(Contract::Market, serving).await?;
        let end = query::settles_until(&query, serving, &world.ledger).await?;
        if world.ledger.time().await? + SETTLING / 2 > end {
            return Err(NodeError::Message(
                "too little is left of the query's time, or of its enclave's, to settle it".into(),
            ));
        }
        let call = Market::settleCall {
            queryId: answer.receipt.queryId,
            jobId: answer.receipt.jobId,
            outputHash: answer.receipt.outputHash,
            answer: answer.receipt.answer.clone(),
            signature: answer.signature.as_slice().to_vec().into(),
        };
        world.ledger.send(&self.party.key, Contract::Market, call).await?;
        Ok(())
    }
}

/// Where the sealed model of an enclave is kept.
fn model_file(signer: Address) -> String {
    format!("model-{signer:x}.sealed")
}
