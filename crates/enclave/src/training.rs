//! The training service at one owner: holds one dataset for one model and takes part in rounds.
//!
//! The enclave follows the training plan by itself. It recomputes every sum from the public blobs and refuses a header
//! that asks for anything but the plan's next step, so a coordinator cannot use rounds to ask questions of its own.
//! Its update leaves encrypted only, bound to one header whose hash it has seen on the ledger, for all donors of the
//! model together, and to the committee of the ledger and no other. A sum counts only as its members posted it.

use std::collections::{BTreeMap, BTreeSet};

use histone_federation::BoxError;
use histone_federation::committee::PartialSum;
use histone_federation::fixed;
use histone_federation::header::{Donor, RoundHeader, Seat};
use histone_federation::open::{Aggregate, open};
use histone_federation::plan::{Finished, Plan, Step, Training};
use histone_federation::update::{self, Sealer, Survivor, Survivors};
use histone_ledger::contracts::{Contract, Datasets, Market, Members, Rounds, roles};
use histone_ledger::{Deployment, Ledger};
use histone_program_sdk::job::{Table, TrainJob};
use histone_protocol::hash::{blob_hash, tagged_hash};
use histone_protocol::keys::SignatureBytes;
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::{self, DonationReceipt, UpdateReceipt};
use histone_protocol::record::{LedgerId, Signed};
use histone_protocol::report::SiteEvaluation;
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};
use rand_core::CryptoRng;

use crate::gate::{Admitted, OutputSchema};
use crate::instance::{EnclaveError, Instance, SealedDataset};

/// What a training enclave is started with beside the program: which model on which market, and the plan.
pub fn init_data(ledger: &Deployment, model_id: u64, plan: &Plan) -> B256 {
    tagged_hash(
        "histone/training-init/v1",
        &[&ledger.chain_id.to_le_bytes(), ledger.market.as_slice(), &model_id.to_le_bytes(), &plan.encode()],
    )
}

/// Everything public about one finished round: enough for anybody to recompute its sum.
#[derive(Debug, Clone)]
pub struct RoundTranscript {
    /// The header that the ledger names.
    pub header: RoundHeader,
    /// The survivors that the ledger fixed, ascending, each with its anchored blob.
    pub survivors: Vec<(u16, Vec<u8>)>,
    /// The committee's partial sums.
    pub partials: Vec<Vec<u8>>,
}

impl RoundTranscript {
    /// Recomputes the sum.
    pub fn open(&self) -> Result<Aggregate, BoxError> {
        let list = self
            .survivors
            .iter()
            .map(|(donor, blob)| Survivor { donor: *donor, blob: update::blob_hash(blob) });
        let survivors = Survivors::new(&self.header, list.collect())?;
        let partials: Result<Vec<_>, _> =
            self.partials.iter().map(|p| PartialSum::decode(p, &self.header)).collect();
        let blobs: Vec<&[u8]> = self.survivors.iter().map(|(_, blob)| blob.as_slice()).collect();
        Ok(open(&self.header, &survivors, &blobs, &partials?)?)
    }

    /// Donors whose updates are in the sum.
    pub fn donors(&self) -> Vec<u16> {
        self.survivors.iter().map(|(donor, _)| *donor).collect()
    }
}

/// Where the training stands at this site.
#[derive(Debug)]
enum Progress {
    Running(Box<Training>),
    Finished { finished: Box<Finished>, last_state: B256 },
}

/// An enclave that holds one dataset for one model.
pub struct TrainingEnclave {
    instance: Instance,
    ledger: LedgerId,
    plan: Plan,
    model_id: u64,
    table: Table,
    progress: Progress,
    /// Rounds that were observed to their end.
    observed: u32,
    /// The last round that an update was made for, with its header.
    answered: Option<(u32, [u8; 32])>,
}

impl std::fmt::Debug for TrainingEnclave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrainingEnclave({:?}, model {}, round {})", self.instance, self.model_id, self.observed)
    }
}

/// A donation that the market accepts.
#[derive(Debug)]
pub struct Donation {
    /// What the market takes.
    pub receipt: DonationReceipt,
    /// The enclave's signature on it.
    pub signature: SignatureBytes,
}

/// An encrypted update with its receipt.
#[derive(Debug)]
pub struct Update {
    /// To be published.
    pub blob: Vec<u8>,
    /// What the ledger takes.
    pub receipt: UpdateReceipt,
    /// The enclave's signature on it.
    pub signature: SignatureBytes,
}

impl TrainingEnclave {
    /// Takes a dataset into a started enclave and signs the donation. The enclave asks the ledger for the dataset's
    /// commitment, quality and standing; the weight is rows x quality level.
    pub async fn admit(
        instance: Instance,
        plan: Plan,
        model_id: u64,
        dataset: &SealedDataset,
        payee: Address,
        ledger: &Ledger,
    ) -> Result<(Self, Donation), EnclaveError> {
        instance.need(ProgramKind::Training)?;
        let deployment = ledger.deployment();
        if instance.init_data() != init_data(deployment, model_id, &plan) {
            return Err(EnclaveError::Request("the enclave was started for another model or plan"));
        }
        let opened = instance.open(dataset)?;
        let table = opened.job_table();
        if table.columns != plan.columns {
            return Err(EnclaveError::Request("the dataset has another number of columns than the plan"));
        }
        let registered = ledger.read(Contract::Datasets, Datasets::datasetCall { id: dataset.id }).await?;
        if registered.root != opened.root || registered.owner != dataset.owner {
            return Err(EnclaveError::NotBacked("the dataset is not registered with this commitment".into()));
        }
        if registered.withdrawn {
            return Err(EnclaveError::NotBacked("the dataset is withdrawn".into()));
        }
        let weight = registered.rows.saturating_mul(u32::from(registered.quality));
        let receipt = DonationReceipt { modelId: U256::from(model_id), datasetId: dataset.id, payee, weight };
        let domain = receipt::domain(deployment.chain_id, deployment.market);
        let signature = receipt::sign(&receipt, &domain, instance.receipt_key());
        let progress = Progress::Running(Box::new(Training::start(plan.clone())?));
        let ledger = deployment.id();
        let enclave = Self { instance, ledger, plan, model_id, table, progress, observed: 0, answered: None };
        Ok((enclave, Donation { receipt, signature }))
    }

    /// The running enclave.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Makes the encrypted update of donor `donor` for a round whose header is on the ledger.
    pub async fn contribute(
        &mut self,
        header: &RoundHeader,
        donor: u16,
        ledger: &Ledger,
    ) -> Result<Update, EnclaveError> {
        let refuse = |what: &str| Err(EnclaveError::Header(what.to_string()));
        let Progress::Running(training) = &self.progress else { return refuse("the training is finished") };
        let (f, deployment) = (header.fields(), ledger.deployment());
        if f.chain_id != deployment.chain_id || f.market != deployment.market.into_array() {
            return refuse("it is for another chain or market");
        }
        let model_id = U256::from(self.model_id);
        if f.model_id != model_id.to_be_bytes::<32>() {
            return refuse("it is for another model");
        }
        if f.round != self.observed + 1 {
            return refuse("it is not the next round of this training");
        }
        // The next step of the plan, over the whole cohort of the first round, with the study's minimum of survivors.
        training.check_header(header).map_err(|e| EnclaveError::Header(histone_protocol::with_causes(&e)))?;
        if self.answered.is_some_and(|(round, hash)| round == f.round && hash != header.hash()) {
            return refuse("another header of the same round was answered before");
        }
        let on_ledger = ledger
            .read(Contract::Rounds, Rounds::roundInfoCall { modelId: model_id, round: f.round })
            .await?;
        if on_ledger.headerHash.0 != header.hash() {
            return refuse("the ledger names another header for this round");
        }
        if on_ledger.minSurvivors != f.min_survivors || on_ledger.quorum < partials_needed(header) {
            return refuse("the ledger's terms for this round are weaker than the header's");
        }
        if f.cohort != donors(model_id, ledger).await? {
            return refuse("its cohort is not the model's donors on the ledger, all of them");
        }
        if !is_committee(&f.committee, ledger).await? {
            return refuse(
                "its committee is not the ledger's: all its committee members, with their seal keys",
            );
        }
        let own = self.instance.keys().receipt.into_array();
        if !f.cohort.iter().any(|d| d.index == donor && d.enclave == own) {
            return refuse("this enclave is not in its cohort under this donor number");
        }
        let job = TrainJob { spec: f.spec.clone(), table: self.table.clone() }.encode();
        let schema = OutputSchema::Vector { len: header.dimension(), max_abs: fixed::limit(f.cohort.len()) };
        let Admitted::Vector(values) = self.instance.run(&job, schema)? else {
            return Err(EnclaveError::Request("the gate gave another shape"));
        };
        let blob = self
            .instance
            .with_rng(|rng| update::seal_update(header, donor, &values, &CommitteeSealer, rng))?;
        self.answered = Some((f.round, header.hash()));
        let receipt = UpdateReceipt {
            modelId: model_id,
            round: f.round,
            headerHash: B256::from(header.hash()),
            blobHash: blob_hash(&blob),
            donorIndex: donor,
        };
        let domain = receipt::domain(deployment.chain_id, deployment.rounds);
        let signature = receipt::sign(&receipt, &domain, self.instance.receipt_key());
        Ok(Update { blob, receipt, signature })
    }

    /// Recomputes the sum of the round that just ended and goes on to the next step of the plan. Survivors, blobs,
    /// partial sums and the sum itself are compared with the ledger.
    pub async fn observe(
        &mut self,
        transcript: &RoundTranscript,
        ledger: &Ledger,
    ) -> Result<(), EnclaveError> {
        let Progress::Running(training) = &self.progress else {
            return Err(EnclaveError::Round("the training is finished".into()));
        };
        let f = transcript.header.fields();
        if f.round != self.observed + 1 {
            return Err(EnclaveError::Round("it is not the next round of this training".into()));
        }
        training
            .check_header(&transcript.header)
            .map_err(|e| EnclaveError::Round(histone_protocol::with_causes(&e)))?;
        let model_id = U256::from(self.model_id);
        let info = ledger
            .read(Contract::Rounds, Rounds::roundInfoCall { modelId: model_id, round: f.round })
            .await?;
        if info.headerHash.0 != transcript.header.hash()
            || usize::from(info.survivors) != transcript.survivors.len()
        {
            return Err(EnclaveError::Round("the ledger has another header or survivor set".into()));
        }
        let round = f.round;
        let anchored = ledger.events::<Rounds::UpdateAnchored>(Contract::Rounds).await?;
        for (donor, blob) in &transcript.survivors {
            let hash = blob_hash(blob);
            if !anchored.iter().any(|a| {
                a.modelId == model_id && a.round == round && a.donorIndex == *donor && a.blobHash == hash
            }) {
                return Err(EnclaveError::Round(format!("the blob of donor {donor} is not anchored")));
            }
        }
        check_partials(transcript, ledger).await?;
        let aggregate =
            transcript.open().map_err(|e| EnclaveError::Round(histone_protocol::with_causes(&*e)))?;
        if info.aggregateHash.0 != aggregate.hash() {
            return Err(EnclaveError::Round("the ledger has another sum, or none yet".into()));
        }
        self.progress = match training.advance(&transcript.donors(), aggregate.values())? {
            Step::Next(next) => Progress::Running(Box::new(next.with_cohort_of(&transcript.header))),
            Step::Finished(finished) => {
                let last_state = B256::from(finished.model.hash());
                Progress::Finished { finished: Box::new(finished), last_state }
            }
        };
        self.observed = round;
        Ok(())
    }

    /// States how the finished model does on this site's evaluation rows, which are those of the plan it started with.
    pub fn evaluate(&self, plan: &Plan, donor: u16) -> Result<Vec<u8>, EnclaveError> {
        let Progress::Finished { finished, last_state } = &self.progress else {
            return Err(EnclaveError::Request("the training is not finished"));
        };
        if *plan != self.plan {
            return Err(EnclaveError::Request("the enclave was started for another plan"));
        }
        let job = TrainJob { spec: finished.model.report_spec(plan), table: self.table.clone() }.encode();
        let rows = self.table.rows() as u32;
        let Admitted::SiteReport(report) = self.instance.run(&job, OutputSchema::SiteReport { rows })? else {
            return Err(EnclaveError::Request("the gate gave another shape"));
        };
        let statement = SiteEvaluation {
            ledger: self.ledger,
            platform: self.instance.platform(),
            model_id: self.model_id,
            donor,
            model_hash: *last_state,
            rows: report.rows,
            positives: report.positives,
            federated_auc: report.federated_auc,
            local_auc: report.local_auc,
        };
        Ok(Signed::sign(&statement, self.instance.receipt_key())?.to_bytes())
    }
}

/// How many partial sums an enclave wants to see: one more than open a sum, where there are as many members, so that a
/// single lying member cannot shift the sum unseen.
fn partials_needed(header: &RoundHeader) -> u8 {
    header.members().min(header.fields().threshold.saturating_add(1))
}

/// The donors of a model as the market knows them, ascending.
async fn donors(model_id: U256, ledger: &Ledger) -> Result<Vec<Donor>, EnclaveError> {
    let donated = ledger.events::<Market::Donated>(Contract::Market).await?;
    let mut donors: Vec<Donor> = donated
        .iter()
        .filter(|e| e.modelId == model_id)
        .map(|e| Donor { index: e.donorIndex, enclave: e.enclave.into_array() })
        .collect();
    donors.sort_unstable_by_key(|d| d.index);
    Ok(donors)
}

/// Whether these are the committee members of the ledger with their keys, all of them and nobody else. Whoever chose the
/// committee could open single updates.
async fn is_committee(seats: &[Seat], ledger: &Ledger) -> Result<bool, EnclaveError> {
    // Whoever has ever had the role; what counts is what they have now.
    let added = ledger.events::<Members::MemberAdded>(Contract::Members).await?;
    let changed = ledger.events::<Members::RolesChanged>(Contract::Members).await?;
    let added = added.iter().filter(|e| e.roles & roles::COMMITTEE != 0).map(|e| e.account);
    let changed = changed.iter().filter(|e| e.roles & roles::COMMITTEE != 0).map(|e| e.account);
    let mut committee = BTreeMap::new();
    for account in added.chain(changed).collect::<BTreeSet<Address>>() {
        let member = ledger.read(Contract::Members, Members::memberCall { account }).await?;
        if member.roles & roles::COMMITTEE != 0 {
            committee.insert(account.into_array(), member.sealKey.0);
        }
    }
    // A header names each seat once.
    Ok(committee == seats.iter().map(|s| (s.address, s.seal_key)).collect())
}

/// Partial sums carry no signature: each must be the one that its member posted, and there must be enough of them.
async fn check_partials(transcript: &RoundTranscript, ledger: &Ledger) -> Result<(), EnclaveError> {
    let (header, refuse) = (&transcript.header, |what: String| Err(EnclaveError::Round(what)));
    let f = header.fields();
    let (got, needed) = (transcript.partials.len(), partials_needed(header));
    if got < usize::from(needed) {
        return refuse(format!("{got} partial sums are too few; this round needs {needed}"));
    }
    for bytes in &transcript.partials {
        let partial = PartialSum::decode(bytes, header)
            .map_err(|e| EnclaveError::Round(histone_protocol::with_causes(&e)))?;
        let member = partial.member();
        // Decoding has checked the number; seats are counted from 1.
        let Some(seat) = f.committee.get(usize::from(member).wrapping_sub(1)) else {
            return refuse(format!("there is no committee member {member}"));
        };
        let call = Rounds::partialOfCall {
            modelId: U256::from_be_bytes(f.model_id),
            round: f.round,
            member: Address::from(seat.address),
        };
        if ledger.read(Contract::Rounds, call).await? != blob_hash(bytes) {
            return refuse(format!(
                "the partial sum given for committee member {member} is not on the ledger"
            ));
        }
    }
    Ok(())
}

/// Seals shares to committee members with HPKE.
struct CommitteeSealer;

impl Sealer for CommitteeSealer {
    fn seal(
        &self,
        public_key: &[u8; 32],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        mut rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, BoxError> {
        let info = std::str::from_utf8(info)?;
        Ok(SealPublicKey(B256::from(*public_key)).seal(info, aad, plaintext, &mut rng)?)
    }
}
