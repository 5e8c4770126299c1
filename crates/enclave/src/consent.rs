//! Whether an owner's decision allows a donation: an enclave signs none without.
//!
//! A donation names its decision by hash only, and the ledger cannot read it. Whoever donated under no decision, or under one
//! that denies, would take part in every sum and be paid, while nobody could show that its data was permitted.

use histone_access::decide;
use histone_contracts::{Contract, Datasets, LedgerView, Logged, Market};
use histone_protocol::consent::{ConsentPolicy, DecisionRecord, Verdict, WhitePaper};
use histone_protocol::hash::blob_hash;
use histone_protocol::record::{Record, Signed};
use histone_protocol::{Address, B256, U256, with_causes};

use crate::instance::EnclaveError;

/// The signed documents that allow a donation, as they are published.
#[derive(Debug, Clone)]
pub struct Consent {
    /// The owner's decision.
    pub decision: Vec<u8>,
    /// The terms of the dataset.
    pub policy: Vec<u8>,
    /// The white paper of the model.
    pub paper: Vec<u8>,
}

/// What is donated to what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) model_id: u64,
    /// The hash of its plan.
    pub(crate) plan: B256,
    pub(crate) dataset: B256,
    /// The version of the dataset.
    pub(crate) root: B256,
    pub(crate) measurement: B256,
}

impl Consent {
    /// Checks that the decision is the owner's, permits, comes out again from its facts, and is about this model, this
    /// dataset and this ledger, under the terms that the ledger has now. Gives its hash and the terms.
    pub(crate) async fn check(
        &self,
        asked: Asked,
        ledger: &impl LedgerView,
    ) -> Result<(B256, ConsentPolicy), EnclaveError> {
        let refuse = |what: &str| Err(EnclaveError::Consent(what.into()));
        let Asked { model_id, dataset: id, measurement, .. } = asked;
        let dataset = ledger.read(Contract::Datasets, Datasets::datasetCall { id }).await?;
        let model =
            ledger.read(Contract::Market, Market::modelCall { modelId: U256::from(model_id) }).await?;
        let (record, signer) = signed::<DecisionRecord>(&self.decision)?;
        let facts = &record.facts;
        if signer != dataset.owner {
            return refuse("it is not signed by the owner of the dataset");
        }
        if record.verdict != Verdict::Permit {
            return refuse("it does not permit the use");
        }
        if facts.model_id != model_id || facts.dataset != id {
            return refuse("it is about another model or dataset");
        }
        if !decide(facts).is_ok_and(|again| again == record) {
            return refuse("it does not come out again from its facts");
        }
        let (paper, trainer) = signed::<WhitePaper>(&self.paper)?;
        let here = ledger.deployment().id();
        if blob_hash(&self.paper) != model.whitePaperHash
            || paper != facts.paper
            || (trainer, paper.trainer, paper.ledger) != (model.trainer, model.trainer, here)
        {
            return refuse("it answers another white paper than the ledger's");
        }
        if [paper.plan, model.planHash] != [asked.plan; 2] {
            return refuse("its white paper names another plan");
        }
        if !paper.programs.contains(&measurement) || dataset.rows < paper.min_rows {
            return refuse("its white paper asks for another program, or for more rows");
        }
        let (policy, by) = signed::<ConsentPolicy>(&self.policy)?;
        if blob_hash(&self.policy) != dataset.policyHash
            || policy != facts.policy
            || (by, policy.owner, policy.ledger) != (signer, signer, here)
        {
            return refuse("the policy in it is not the one that the ledger has for the dataset");
        }
        let (since, now) = (since(asked, ledger).await?, ledger.time().await?);
        if !since.is_some_and(|since| (since..=now).contains(&facts.time)) {
            return refuse("it was made before what it is about, or in the future");
        }
        Ok((blob_hash(&self.decision), policy))
    }
}

/// Unix seconds since when the ledger has model, policy and version.
async fn since(asked: Asked, ledger: &impl LedgerView) -> Result<Option<u64>, EnclaveError> {
    let (of, about) = (Contract::Datasets, Some(asked.dataset));
    let model = Some(B256::from(U256::from(asked.model_id)));
    let proposed = ledger.logged::<Market::ModelProposed>(Contract::Market, model).await?;
    let first = ledger.logged::<Datasets::DatasetRegistered>(of, about).await?;
    let later = ledger.logged::<Datasets::DatasetUpdated>(of, about).await?;
    let changed = ledger.logged::<Datasets::PolicyChanged>(of, about).await?;
    let first = first.iter().filter(|s| s.event.root == asked.root).map(time);
    let later = later.iter().filter(|s| s.event.root == asked.root).map(time);
    let version = first.chain(later).max();
    let policy = changed.iter().map(time).max().unwrap_or(0);
    let model = proposed.iter().map(time).max();
    Ok(model.zip(version).map(|(model, version)| model.max(version).max(policy)))
}

fn time<E>(logged: &Logged<E>) -> u64 {
    logged.time
}

fn signed<T: Record>(bytes: &[u8]) -> Result<(T, Address), EnclaveError> {
    let opened = Signed::from_bytes(bytes).and_then(|signed| signed.open());
    opened.map_err(|e| EnclaveError::Consent(with_causes(&e)))
}
