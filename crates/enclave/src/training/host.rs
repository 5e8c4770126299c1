//! The training service where all data is brought to one enclave: the same method, with a summer inside.
//!
//! Each owner releases its key to this enclave alone, after looking at its evidence. It trains on everybody's rows by itself, as the
//! plan says, destroys them, and signs what it did ([`HostedStatement`]). Sums are exact and on the grid of a round, so that the model
//! has the same bits as one that was made in an enclave of each owner.
//!
//! Nothing leaves before the market has ended the training with the enclave's signature: not the model, not what is said of it, not
//! the evaluations. Whoever had them before could give the model up and owe nobody anything.
//!
//! # What is destroyed
//!
//! Rows and keys go from memory, and what the operator keeps for the enclave is removed and looked for again. The operator's machine
//! is not trusted: it may have kept copies of what was sent to it. Those open for this program on this processor and for nobody else,
//! and it opens data for a model only as long as the ledger says that the model recruits, or trains and has no end: once the market
//! has the model, or the trainer has given it up, a restored copy of the enclave takes nothing in any more.

mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use histone_attestation::AppraisalPolicy;
use histone_attestation::cohort::{CohortPolicy, EvidenceSource, Place};
use histone_contracts::{Contract, LedgerView, Market, model_state};
use histone_federation::fixed::{self, MAX_FRACTIONAL_BITS};
use histone_federation::plan::Plan;
use histone_federation::sealed::SumKey;
use histone_federation::training::Finished;
use histone_program_sdk::wire::encode_vector;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::plan::{PlanDocument, PlanPrograms};
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::{self, HostedTraining};
use histone_protocol::record::{LedgerId, Signed};
use histone_protocol::report::{HostedStatement, UsedData};
use histone_protocol::{Address, B256, U256};
use zeroize::Zeroizing;

use super::made::Made;
use super::{Donation, DonationTerms, QueryPeer, evaluation, init_data, take};
use crate::cohort::{Moment, Watch};
use crate::instance::{EnclaveError, Instance, SealedDataset};
use crate::method::{HostedMethod, Step, Training};
use crate::plan::plan_of;
use crate::reading::rows_of;
use crate::release::{Released, released};
use crate::storage::{Storage, failed};

/// The one enclave to which all owners of a model bring their data.
pub struct HostEnclave {
    instance: Instance,
    ledger: LedgerId,
    method: HostedMethod,
    model_id: u64,
    plan: Plan,
    plan_hash: B256,
    programs: PlanPrograms,
    /// Nobody but its author and this enclave reads the method: nothing of what it says goes out.
    closed: bool,
    watch: Watch,
    /// Kept by the operator, encrypted: the data until the model is made, and what came of it.
    storage: Box<dyn Storage>,
    /// The rows of each version of a dataset that was given, as the method reads them. An owner may bring a version that it has not
    /// donated: that one takes no other's place.
    held: BTreeMap<(B256, B256), Vec<Arc<[u8]>>>,
    ended: Option<Ended>,
}

impl std::fmt::Debug for HostEnclave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostEnclave({:?}, model {}, {} datasets)", self.instance, self.model_id, self.held.len())
    }
}

/// What the enclave says when it has made a model, or found that there is none.
#[derive(Debug, Clone)]
pub struct Hosted {
    /// The signed [`HostedStatement`], to be published.
    pub statement: Vec<u8>,
    /// What the market takes, with the enclave's signature; none when there is no model.
    pub finish: Option<(HostedTraining, SignatureBytes)>,
}

/// What became of a training.
#[derive(Debug)]
struct Ended {
    /// The model; none when there is none.
    finished: Option<Finished>,
    used: Vec<UsedData>,
    /// Donors whose use had ended before.
    unused: Vec<u16>,
    /// Everything that was ever given.
    given: BTreeSet<B256>,
    /// What is said of the model at each donor's site, signed.
    evaluations: Vec<Vec<u8>>,
}

impl HostEnclave {
    /// Takes a started enclave into service for one model, whose plan brings all data to one enclave. What it kept in an earlier life
    /// it has again.
    pub async fn start(
        instance: Instance,
        plan: &PlanDocument,
        model_id: u64,
        policy: CohortPolicy,
        storage: Box<dyn Storage>,
        ledger: &impl LedgerView,
    ) -> Result<Self, EnclaveError> {
        instance.need(ProgramKind::Training)?;
        let deployment = ledger.deployment();
        let plan_hash = plan.hash();
        if instance.init_data() != init_data(deployment, model_id, plan_hash) {
            return Err(EnclaveError::Request("the enclave was started for another model or plan"));
        }
        if !plan.disclosure.in_one_enclave() {
            return Err(EnclaveError::Request("the plan of the model has an enclave of each owner's"));
        }
        let method = HostedMethod::new(instance.program().clone())?;
        let (programs, closed) = (plan.programs, plan.disclosure.is_closed());
        let plan = plan_of(plan, &method).map_err(EnclaveError::Config)?;
        let mut host = Self {
            ledger: deployment.id(),
            watch: Watch::new(U256::from(model_id), policy),
            held: BTreeMap::new(),
            ended: None,
            instance,
            method,
            model_id,
            plan,
            plan_hash,
            programs,
            closed,
            storage,
        };
        host.recall(ledger).await?;
        Ok(host)
    }

    /// The running enclave.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Takes a dataset whose key was released to this enclave, keeps it, and signs its donation, when its owner's decision allows it.
    pub async fn admit(
        &mut self,
        dataset: &SealedDataset,
        donation: DonationTerms,
        ledger: &impl LedgerView,
    ) -> Result<Donation, EnclaveError> {
        if self.ended.is_some() || self.state(ledger).await? != model_state::RECRUITING {
            return Err(EnclaveError::NotBacked("the model does not recruit any more".into()));
        }
        let taken =
            take(&self.instance, self.plan_hash, &self.plan, self.model_id, (dataset, donation), ledger)
                .await?;
        let name = format!("{}{:x}-{:x}", self.data(), dataset.id, taken.root);
        self.instance.remember_first(&*self.storage, &name, &kept::encode(dataset))?;
        self.held.insert((dataset.id, taken.root), taken.blocks);
        Ok(taken.donation)
    }

    /// Forgets the data of datasets that are withdrawn or erased. What was used in a model that is made stays in it.
    pub async fn forget_withdrawn(&mut self, ledger: &impl LedgerView) -> Result<usize, EnclaveError> {
        let mut gone = 0;
        for name in self.storage.names(&self.data()).map_err(failed)? {
            let Some(dataset) = self.kept(&name)? else { continue };
            if is_withdrawn(dataset.id, ledger).await? {
                self.storage.destroy(&name).map_err(failed)?;
                self.held.retain(|(id, _), _| *id != dataset.id);
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Destroys all data that was given, when the trainer has given the model up.
    pub async fn give_up(&mut self, ledger: &impl LedgerView) -> Result<(), EnclaveError> {
        match self.state(ledger).await? {
            model_state::ABORTED => self.destroy(),
            _ => Err(EnclaveError::NotBacked("the model is not given up".into())),
        }
    }

    /// Trains, once the model's training has started, on the data of all donors that are believed and have not left; destroys all
    /// data that it was ever given, and says so. The same again gives the same.
    pub async fn train(
        &mut self,
        evidence: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<Hosted, EnclaveError> {
        if self.ended.is_none() {
            let (places, unused) = self.donors(evidence, ledger).await?;
            let given = self.given(ledger).await?;
            let ended = self.made_of(places, unused, given)?;
            self.instance.remember_first(&*self.storage, &self.outcome(), &ended.encode())?;
            self.ended = Some(ended);
        }
        self.destroy()?;
        self.say(ledger)
    }

    /// Who is trained on: everybody who donated to this enclave, is believed, and has not left; and the numbers of those who have.
    async fn donors(
        &mut self,
        evidence: &dyn EvidenceSource,
        ledger: &impl LedgerView,
    ) -> Result<(Vec<Place>, Vec<u16>), EnclaveError> {
        let refuse = |what: String| Err(EnclaveError::NotBacked(what));
        if self.state(ledger).await? != model_state::TRAINING {
            return refuse("the training of the model has not started, or is over".into());
        }
        let now = Moment::now(ledger).await?;
        let cohort = self.watch.cohort(now, evidence, ledger).await?;
        if let Some(no) = cohort.unbelieved.first() {
            return refuse(match is_withdrawn(no.dataset, ledger).await? {
                true => format!(
                    "the dataset of donor {} is withdrawn: its use has to be ended first, which anybody may do",
                    no.donor
                ),
                false => format!("donor {} is not believed: {}", no.donor, no.why),
            });
        }
        for place in &cohort.believed {
            if place.enclave.keys.receipt != self.instance.keys().receipt {
                return refuse(format!("donor {} gave its data to another enclave", place.donor));
            }
            if !self.held.contains_key(&(place.dataset.lineage, place.dataset.root)) {
                return refuse(format!(
                    "the data of donor {} was not kept for this enclave: its owner has to end its use, or the trainer gives the model up",
                    place.donor
                ));
            }
        }
        let about = Some(B256::from(U256::from(self.model_id)));
        let left = ledger.logged::<Market::DonorUseEnded>(Contract::Market, about).await?;
        let excluded = ledger.logged::<Market::DonorExcluded>(Contract::Market, about).await?;
        let excluded: BTreeSet<u16> = excluded.iter().map(|e| e.event.donorIndex).collect();
        let left: BTreeSet<u16> = left.iter().map(|e| e.event.donorIndex).collect();
        Ok((cohort.believed, left.difference(&excluded).copied().collect()))
    }

    /// Every dataset that was given: what is there, and what was donated and is forgotten since.
    async fn given(&self, ledger: &impl LedgerView) -> Result<BTreeSet<B256>, EnclaveError> {
        let about = Some(B256::from(U256::from(self.model_id)));
        let donated = ledger.logged::<Market::Donated>(Contract::Market, about).await?;
        let own = self.instance.keys().receipt;
        let donated = donated.iter().filter(|d| d.event.enclave == own).map(|d| d.event.datasetId);
        Ok(self.held.keys().map(|(id, _)| *id).chain(donated).collect())
    }

    /// Trains on the data of these donors.
    fn made_of(
        &self,
        places: Vec<Place>,
        unused: Vec<u16>,
        given: BTreeSet<B256>,
    ) -> Result<Ended, EnclaveError> {
        let used: Vec<UsedData> = places
            .iter()
            .map(|p| UsedData { donor: p.donor, dataset: p.dataset.lineage, root: p.dataset.root })
            .collect();
        let rows: Vec<&[Arc<[u8]>]> =
            used.iter().filter_map(|u| self.held.get(&(u.dataset, u.root)).map(Vec::as_slice)).collect();
        let donors: Vec<u16> = used.iter().map(|u| u.donor).collect();
        let finished = self.trained(&donors, &rows)?;
        let mut evaluations = Vec::new();
        if let Some(finished) = finished.as_ref().filter(|_| !self.closed) {
            let name = B256::from(finished.hash());
            for (donor, rows) in donors.iter().zip(&rows) {
                let of = (self.ledger, self.model_id, *donor);
                // A site of which the method says nothing is silent, as it is in an enclave of its own.
                evaluations.extend(evaluation(&self.instance, &self.method, (finished, name), of, rows));
            }
        }
        Ok(Ended { finished, used, unused, given, evaluations })
    }

    fn trained(&self, donors: &[u16], rows: &[&[Arc<[u8]>]]) -> Result<Option<Finished>, EnclaveError> {
        let mut training = Training::start(self.method.clone(), self.plan.clone())?;
        loop {
            let sums = match training.ask() {
                None => Vec::new(),
                Some(ask) => {
                    // Of rows with which the method cannot do anything nobody is told: they count as none.
                    let site = |rows: &&[Arc<[u8]>]| {
                        self.method.site(ask, rows).unwrap_or_else(|_| vec![0.0; ask.len()])
                    };
                    let numbers: Vec<Vec<f64>> = rows.iter().map(site).collect();
                    // A method that asks for more than a sum over so many sites can hold comes to nothing.
                    let Ok(sums) = fixed::sum(&numbers, MAX_FRACTIONAL_BITS) else { return Ok(None) };
                    sums
                }
            };
            let led_to: [&[u8]; 5] = [
                &self.model_id.to_le_bytes(),
                self.plan_hash.as_slice(),
                &training.rounds().to_le_bytes(),
                &donors.iter().flat_map(|d| d.to_le_bytes()).collect::<Vec<_>>(),
                &Zeroizing::new([&training.state_hash()[..], &encode_vector(&sums)].concat()),
            ];
            let key = SumKey::inside(self.instance.secret(), &led_to);
            match training.advance_sealed(donors, &sums, key)? {
                Step::Next(next) => training = next,
                Step::Finished(finished) => return Ok(Some(finished)),
                Step::NoModel => return Ok(None),
            }
        }
    }

    /// Destroys all data that was ever given, and sees that it is gone.
    fn destroy(&mut self) -> Result<(), EnclaveError> {
        self.held.clear();
        for name in self.storage.names(&self.data()).map_err(failed)? {
            self.storage.destroy(&name).map_err(failed)?;
            if self.storage.recall(&name).map_err(failed)?.is_some() {
                return Err(EnclaveError::Storage(format!("`{name}` is still there after it was destroyed")));
            }
        }
        Ok(())
    }

    /// What is said of a training that has ended.
    fn say(&self, ledger: &impl LedgerView) -> Result<Hosted, EnclaveError> {
        let ended = self.ended()?;
        let model_hash = ended.finished.as_ref().map(|finished| B256::from(finished.hash()));
        let document = ended.finished.as_ref().map(|f| self.released(f).0.hash());
        let statement = HostedStatement {
            ledger: self.ledger,
            platform: self.instance.platform(),
            model_id: self.model_id,
            plan: self.plan_hash,
            model_hash,
            released: document,
            donors: ended.used.clone(),
            destroyed: ended.given.iter().copied().collect(),
        };
        let statement = Signed::sign(&statement, self.instance.receipt_key())?.to_bytes();
        let finish = model_hash.map(|model_hash| {
            let receipt = HostedTraining {
                modelId: U256::from(self.model_id),
                modelHash: model_hash,
                statementHash: blob_hash(&statement),
                unused: ended.unused.clone(),
            };
            let deployment = ledger.deployment();
            let domain = receipt::domain(deployment.chain_id, deployment.market);
            let signature = receipt::sign(&receipt, &domain, self.instance.receipt_key());
            (receipt, signature)
        });
        Ok(Hosted { statement, finish })
    }

    /// What is released once the market has the model: the document, and the model as the plan lets it go.
    pub async fn release(&self, ledger: &impl LedgerView) -> Result<(Vec<u8>, Vec<u8>), EnclaveError> {
        let made = self.made()?;
        made.sold(ledger).await?;
        let (document, model) = self.released(made.finished);
        Ok((document.to_bytes(), model))
    }

    /// What is released, with the model as the plan lets it go: of a closed method nothing but the model.
    fn released(&self, finished: &Finished) -> (Released, Vec<u8>) {
        let (document, model) = released(finished, self.method.manifest());
        match self.closed {
            true => (Released { facts: Vec::new(), ..document }, model),
            false => (document, model),
        }
    }

    /// What the method reports of the model at the site of each donor, signed, once the market has the model.
    pub async fn evaluations(&self, ledger: &impl LedgerView) -> Result<Vec<Vec<u8>>, EnclaveError> {
        self.made()?.sold(ledger).await?;
        Ok(self.ended()?.evaluations.clone())
    }

    /// Hands the key of a sealed model to a query enclave, as
    /// [`TrainingEnclave::hand_model`](super::TrainingEnclave::hand_model) does. This enclave alone has it: nobody should buy before
    /// it was handed on.
    pub async fn hand_model(
        &self,
        to: QueryPeer<'_>,
        policy: &AppraisalPolicy,
        ledger: &impl LedgerView,
    ) -> Result<Vec<u8>, EnclaveError> {
        self.made()?.hand(to, policy, ledger).await
    }

    /// Seals the key of a model that is for its participants to one of them: an owner whose data was used, or the trainer.
    pub async fn share_model(&self, to: Address, ledger: &impl LedgerView) -> Result<Vec<u8>, EnclaveError> {
        self.made()?.share(to, ledger).await
    }

    fn made(&self) -> Result<Made<'_>, EnclaveError> {
        let ended = self.ended()?;
        let none = EnclaveError::Request("the training came to no model");
        let finished = ended.finished.as_ref().ok_or(none)?;
        Ok(Made {
            instance: &self.instance,
            model_id: self.model_id,
            plan: self.plan_hash,
            query: self.programs.query,
            release: self.plan.model,
            name: B256::from(finished.hash()),
            finished,
            donors: ended.used.iter().map(|u| u.donor).collect(),
        })
    }

    fn ended(&self) -> Result<&Ended, EnclaveError> {
        self.ended.as_ref().ok_or(EnclaveError::Request("the training is not finished"))
    }

    async fn state(&self, ledger: &impl LedgerView) -> Result<u8, EnclaveError> {
        let call = Market::standingCall { modelId: U256::from(self.model_id) };
        Ok(ledger.read(Contract::Market, call).await?.state)
    }

    /// What was kept in an earlier life: the outcome, or the data as long as the ledger lets it be used.
    async fn recall(&mut self, ledger: &impl LedgerView) -> Result<(), EnclaveError> {
        if let Some(kept) = self.instance.remembered(&*self.storage, &self.outcome())? {
            let damaged = |_| EnclaveError::Storage("what came of the training does not decode".into());
            self.ended = Some(Ended::decode(&kept).map_err(damaged)?);
            return self.destroy();
        }
        if !matches!(self.state(ledger).await?, model_state::RECRUITING | model_state::TRAINING) {
            return self.destroy();
        }
        for name in self.storage.names(&self.data()).map_err(failed)? {
            let Some(dataset) = self.kept(&name)? else { continue };
            let opened = self.instance.open(&dataset)?;
            let blocks = rows_of(&opened.table, &self.plan.config).map_err(EnclaveError::Config)?;
            self.held.insert((dataset.id, opened.root), blocks);
        }
        Ok(())
    }

    fn kept(&self, name: &str) -> Result<Option<SealedDataset>, EnclaveError> {
        let Some(kept) = self.instance.remembered(&*self.storage, name)? else { return Ok(None) };
        let damaged = |_| EnclaveError::Storage(format!("`{name}` is no dataset"));
        kept::decode(&kept).map(Some).map_err(damaged)
    }

    /// How the names of kept datasets begin. Two enclaves may have one operator.
    fn data(&self) -> String {
        format!("data-{:x}-", self.instance.keys().receipt)
    }

    fn outcome(&self) -> String {
        format!("outcome-{:x}", self.instance.keys().receipt)
    }
}

async fn is_withdrawn(id: B256, ledger: &impl LedgerView) -> Result<bool, EnclaveError> {
    use histone_contracts::Datasets;
    Ok(ledger.read(Contract::Datasets, Datasets::datasetCall { id }).await?.withdrawn)
}
