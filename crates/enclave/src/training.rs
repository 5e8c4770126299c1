//! The training service at one owner: holds one dataset for one model and takes part in rounds.
//!
//! The enclave follows the training by itself. It recomputes every sum from the public blobs and refuses a header
//! that asks for anything but the plan's next step, so a coordinator cannot use rounds to ask questions of its own.
//! Its update leaves encrypted only, bound to one header whose hash it has seen on the ledger, for all donors that it
//! believes ([`crate::cohort`]) together, and to the committee of the ledger and no other. A sum counts only as its members
//! posted it. What was answered once for one version of a dataset is not answered for another one ([`AnsweredVersions`]).

mod again;
mod host;
mod made;
mod sealed;

use std::collections::BTreeSet;
use std::sync::Arc;

use histone_attestation::cohort::{CohortPolicy, EvidenceSource};
use histone_contracts::{Contract, Datasets, Deployment, LedgerView, Rounds, round_status};
use histone_federation::BoxError;
use histone_federation::committee::{PartialSum, Published};
use histone_federation::dispute;
use histone_federation::header::RoundHeader;
use histone_federation::open::open_sealed;
use histone_federation::open::{self, Aggregate, open_and_name};
use histone_federation::plan::Plan;
use histone_federation::sealed::{SealedPartial, SumKey};
use histone_federation::training::Finished;
use histone_federation::update::{self, Hpke, Survivor, Survivors, Unsealer};
use histone_program_sdk::config::Config;
use histone_program_sdk::wire::Wire;
use histone_protocol::agreement::StateStatement;
use histone_protocol::blob::Blob;
use histone_protocol::disclosure::Release;
use histone_protocol::hash::{blob_hash, tagged_hash};
use histone_protocol::keys::SignatureBytes;
use histone_protocol::plan::{PlanDocument, PlanPrograms};
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::{self, DonationReceipt, ShareOpening, UpdateReceipt};
use histone_protocol::record::{LedgerId, Signed};
use histone_protocol::report::{NamedValue, SiteEvaluation};
use histone_protocol::{Address, B256, U256};

pub use self::again::KeptUpdate;
pub use self::host::{HostEnclave, Hosted};
use self::made::Made;
pub use self::made::{MODEL_KEY_INFO, PARTICIPANT_KEY_INFO, QueryPeer, model_key_aad, participant_key_aad};
use crate::cohort::Watch;
use crate::consent::Asked;
pub use crate::consent::Consent;
use crate::instance::{EnclaveError, Instance, SealedDataset};
use crate::method::{HostedMethod, Step, Training};
use crate::plan::plan_of;
use crate::reading::rows_of;

/// What a training enclave is started with beside the program: which model on which market, and the plan's document by its
/// hash.
pub fn init_data(ledger: &Deployment, model_id: u64, plan: B256) -> B256 {
    tagged_hash(
        "histone/training-init/v2",
        &[&ledger.chain_id.to_le_bytes(), ledger.market.as_slice(), &model_id.to_le_bytes(), plan.as_slice()],
    )
}

/// Everything public about one finished round: enough for anybody to recompute its sum.
#[derive(Debug, Clone)]
pub struct RoundTranscript {
    /// The header that the ledger names.
    pub header: RoundHeader,
    /// The survivors that the ledger fixed, ascending, each with its anchored blob.
    pub survivors: Vec<(u16, Blob)>,
    /// The committee's partial sums.
    pub partials: Vec<Blob>,
}

impl RoundTranscript {
    /// Recomputes the sum, from the partial sums that agree; gives the seats whose partial sums are wrong beside it.
    pub fn open(&self) -> Result<(Aggregate, Vec<u8>), BoxError> {
        let (survivors, partials) = self.read()?;
        let blobs: Vec<Blob> = self.survivors.iter().map(|(_, blob)| blob.clone()).collect();
        Ok(open_and_name(&self.header, &survivors, &blobs, &partials)?)
    }

    /// The seats whose partial sums are wrong. The sum itself is not recomputed.
    pub fn wrong_partials(&self) -> Result<Vec<u8>, BoxError> {
        let (survivors, partials) = self.read()?;
        Ok(open::name(&self.header, &survivors, &partials)?)
    }

    /// Opens the sum of a sealed round as one of its readers. Gives what only those have who open it, and the seats whose partial
    /// sums this reader cannot read, or that contradict the others.
    pub fn open_as(
        &self,
        reader: &[u8; 20],
        key: &dyn Unsealer,
    ) -> Result<(Aggregate, SumKey, Vec<u8>), BoxError> {
        let survivors = self.survivors()?;
        let (mut partials, mut wrong) = (Vec::new(), Vec::new());
        for blob in &self.partials {
            let sealed = SealedPartial::decode(blob, &self.header)?;
            match sealed.open(&self.header, reader, key) {
                Ok(partial) if partial.is_over(&survivors) => partials.push(partial),
                // A member that sealed the sum of other survivors stops nobody.
                Ok(_) | Err(_) => wrong.push(sealed.member()),
            }
        }
        if partials.len() < usize::from(self.header.threshold()) + 1 {
            return Err(format!(
                "{} of the {} partial sums open to this reader; one more than {} has to, so that a wrong one shows. Seats {wrong:?} \
                 have left it out or wrapped something else than their key",
                partials.len(),
                self.partials.len(),
                self.header.threshold()
            )
            .into());
        }
        let blobs: Vec<Blob> = self.survivors.iter().map(|(_, blob)| blob.clone()).collect();
        let (aggregate, key, contradict) = open_sealed(&self.header, &survivors, &blobs, &partials)?;
        wrong.extend(contradict);
        wrong.sort_unstable();
        Ok((aggregate, key, wrong))
    }

    /// The set of survivors with their blobs.
    pub fn survivors(&self) -> Result<Survivors, BoxError> {
        let list = self.survivors.iter().map(|(donor, blob)| Survivor { donor: *donor, blob: blob.hash().0 });
        Ok(Survivors::new(&self.header, list.collect())?)
    }

    fn read(&self) -> Result<(Survivors, Vec<PartialSum>), BoxError> {
        let survivors = self.survivors()?;
        let partials = self.partials.iter().map(|p| PartialSum::decode(p, &self.header));
        Ok((survivors, partials.collect::<Result<_, _>>()?))
    }

    /// Donors whose updates are in the sum.
    pub fn donors(&self) -> Vec<u16> {
        self.survivors.iter().map(|(donor, _)| *donor).collect()
    }
}

/// Which versions of a dataset were answered for, over all models: durable, and the owner's. Two exact sums over versions
/// that differ by one person differ by that person.
pub trait AnsweredVersions {
    /// Records that a [`version`] of `lineage` is about to be answered for in a model, unless `allowed` others were already;
    /// durably, and in one step. Says whether it is recorded now.
    fn record(&mut self, lineage: B256, version: B256, model_id: u64, allowed: u32)
    -> Result<bool, BoxError>;
}

/// A version of a dataset as sums show it: its rows, and how a configuration reads them. Other columns, another outcome, another
/// held-out share, another range or another rule for missing values make another set of rows of the same table, which may differ by
/// one person; the method's own settings do not.
pub fn version(root: B256, config: &Config) -> B256 {
    tagged_hash("histone/answered-version/v1", &[root.as_slice(), &config.asked().to_bytes()])
}

/// Where the training stands at this site.
#[derive(Debug)]
enum Progress {
    Running(Box<Training>),
    Finished {
        finished: Box<Finished>,
        last_state: B256,
    },
    /// A sealed training that came to no model.
    NoModel,
}

/// What was said of the last sealed round.
#[derive(Debug)]
struct Said {
    round: u32,
    header: [u8; 32],
    statement: Option<StateStatement>,
}

/// An enclave that holds one dataset for one model.
pub struct TrainingEnclave {
    instance: Instance,
    ledger: LedgerId,
    method: HostedMethod,
    model_id: u64,
    /// The rows as the method reads them.
    blocks: Vec<Arc<[u8]>>,
    /// The dataset through all its versions, and the version that is held.
    lineage: B256,
    root: B256,
    /// The same as the plan reads it.
    version: B256,
    /// How many versions the owner's policy lets be answered.
    versions: u32,
    watch: Watch,
    progress: Progress,
    /// The last round that was observed to its end.
    observed: u32,
    rounds_with_own: u32,
    /// The last round that an update was made for, with its header.
    answered: Option<(u32, [u8; 32])>,
    /// Its donor number in the last sum with its numbers.
    donor: Option<u16>,
    /// Donors in the last sum.
    last_donors: Vec<u16>,
    said: Option<Said>,
    /// The plan, and what of it is needed when the training is over.
    plan: B256,
    plan_programs: PlanPrograms,
    model_release: Release,
}

impl std::fmt::Debug for TrainingEnclave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrainingEnclave({:?}, model {}, round {})", self.instance, self.model_id, self.observed)
    }
}

/// What the owner says about a donation.
#[derive(Debug, Clone)]
pub struct DonationTerms {
    /// The account that is paid.
    pub payee: Address,
    /// The decision that allows it, with what it rests on.
    pub consent: Consent,
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
    pub blob: Blob,
    /// What the ledger takes.
    pub receipt: UpdateReceipt,
    /// The enclave's signature on it.
    pub signature: SignatureBytes,
}

/// One opened share with its receipt.
#[derive(Debug)]
pub struct OpenedShare {
    /// To be published.
    pub blob: Vec<u8>,
    /// What the ledger takes.
    pub receipt: ShareOpening,
    /// The enclave's signature on it.
    pub signature: SignatureBytes,
}

impl TrainingEnclave {
    /// Takes a dataset into a started enclave and signs the donation, when its owner's decision allows it. The enclave asks
    /// the ledger for the dataset's commitment and standing; by `policy` it will judge the others of the cohort.
    pub async fn admit(
        instance: Instance,
        plan: &PlanDocument,
        model_id: u64,
        dataset: &SealedDataset,
        donation: DonationTerms,
        policy: CohortPolicy,
        ledger: &impl LedgerView,
    ) -> Result<(Self, Donation), EnclaveError> {
        instance.need(ProgramKind::Training)?;
        let deployment = ledger.deployment();
        if instance.init_data() != init_data(deployment, model_id, plan.hash()) {
            return Err(EnclaveError::Request("the enclave was started for another model or plan"));
        }
        let method = HostedMethod::new(instance.program().clone())?;
        let computation = plan_of(plan, &method).map_err(EnclaveError::Config)?;
        let taken = take(&instance, plan.hash(), &computation, model_id, (dataset, donation), ledger).await?;
        let Taken { blocks, root, versions, donation } = taken;
        let opened = Opened { blocks, lineage: dataset.id, root, versions };
        let of = (model_id, deployment.id());
        Ok((Self::begin(instance, method, (plan, computation), of, opened, policy)?, donation))
    }

    /// The state before the first round.
    fn begin(
        instance: Instance,
        method: HostedMethod,
        (document, plan): (&PlanDocument, Plan),
        (model_id, ledger): (u64, LedgerId),
        Opened { blocks, lineage, root, versions }: Opened,
        policy: CohortPolicy,
    ) -> Result<Self, EnclaveError> {
        let version = version(root, &plan.config);
        let progress = Progress::Running(Box::new(Training::start(method.clone(), plan)?));
        Ok(Self {
            instance,
            ledger,
            method,
            model_id,
            blocks,
            lineage,
            root,
            version,
            versions,
            watch: Watch::new(U256::from(model_id), policy),
            progress,
            observed: 0,
            rounds_with_own: 0,
            answered: None,
            donor: None,
            last_donors: Vec::new(),
            said: None,
            plan: document.hash(),
            plan_programs: document.programs,
            model_release: document.disclosure.model,
        })
    }

    /// The running enclave.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The last round that this enclave has followed to its end.
    pub fn observed(&self) -> u32 {
        self.observed
    }

    /// Opened sums that hold this enclave's numbers.
    pub fn rounds_with_own(&self) -> u32 {
        self.rounds_with_own
    }

    /// Makes the encrypted update of donor `donor` for a round whose header is on the ledger.
    pub async fn contribute(
        &mut self,
        header: &RoundHeader,
        donor: u16,
        ledger: &impl LedgerView,
        evidence: &dyn EvidenceSource,
        answered: &mut dyn AnsweredVersions,
    ) -> Result<Update, EnclaveError> {
        let refuse = |what: &str| Err(EnclaveError::Header(what.to_string()));
        let Some(training) = self.running() else { return refuse("the training is finished") };
        let (f, deployment) = (header.fields(), ledger.deployment());
        if f.chain_id != deployment.chain_id || f.market != deployment.market.into_array() {
            return refuse("it is for another chain or market");
        }
        let model_id = U256::from(self.model_id);
        if f.model_id != model_id.to_be_bytes::<32>() {
            return refuse("it is for another model");
        }
        // A round that failed is asked again under a later number.
        if f.round <= self.observed {
            return refuse("its round is over");
        }
        // The next question of the method, with the study's minimum of survivors. Who is in its cohort is looked at below.
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
        if on_ledger.status != round_status::OPEN {
            return refuse("its round is not open");
        }
        if on_ledger.minSurvivors != f.min_survivors {
            return refuse("the ledger's minimum of survivors is not the header's");
        }
        self.watch.check_header(header, evidence, ledger).await?;
        let own = self.instance.keys().receipt.into_array();
        let place = header.donor(donor).filter(|d| d.enclave == own);
        if place.is_none_or(|d| d.lineage != self.lineage.0 || d.root != self.root.0) {
            return refuse("this enclave and its data are not in its cohort under this donor number");
        }
        let recorded = answered.record(self.lineage, self.version, self.model_id, self.versions);
        if !recorded.map_err(EnclaveError::Memory)? {
            return Err(EnclaveError::OtherVersion { allowed: self.versions });
        }
        let values = self.numbers(header)?;
        let blob = Blob::new(update::seal_update(header, donor, &values, &Hpke, self.instance.secret())?);
        self.answered = Some((f.round, header.hash()));
        let receipt = UpdateReceipt {
            modelId: model_id,
            round: f.round,
            headerHash: B256::from(header.hash()),
            blobHash: blob.hash(),
            donorIndex: donor,
        };
        let domain = receipt::domain(deployment.chain_id, deployment.rounds);
        let signature = receipt::sign(&receipt, &domain, self.instance.receipt_key());
        Ok(Update { blob, receipt, signature })
    }

    /// Opens the one share of this donor's update that a member of the committee has called unreadable on the ledger, to
    /// show who is wrong. To the accuser's seat only: an opened share is one colluder's, and the accuser had it anyway.
    pub async fn open_share(
        &self,
        header: &RoundHeader,
        donor: u16,
        member: Address,
        ledger: &impl LedgerView,
    ) -> Result<OpenedShare, EnclaveError> {
        let refuse = |what: &str| Err(EnclaveError::Header(what.to_string()));
        let f = header.fields();
        let own = self.instance.keys().receipt.into_array();
        if self.answered != Some((f.round, header.hash()))
            || header.donor(donor).is_none_or(|d| d.enclave != own)
        {
            return refuse("this enclave made no update under it");
        }
        let model_id = U256::from(self.model_id);
        let about = Some(B256::from(model_id));
        let accused = ledger.logged::<Rounds::ShareAccused>(Contract::Rounds, about).await?;
        let said = accused.iter().map(|a| (a.event.round, a.event.donorIndex, a.event.member));
        if !said.into_iter().any(|a| a == (f.round, donor, member)) {
            return refuse("this member has not accused this donor in its round");
        }
        let Some(seat) = (1u8..).zip(&f.committee).find(|(_, s)| s.address == member.into_array()) else {
            return refuse("the accuser has no seat in its committee");
        };
        let values = self.numbers(header)?;
        let opening = dispute::open_share(header, donor, &values, self.instance.secret(), seat.0)?;
        let blob = opening.encode();
        let receipt = ShareOpening {
            modelId: model_id,
            round: f.round,
            headerHash: B256::from(header.hash()),
            donorIndex: donor,
            member,
            blobHash: blob_hash(&blob),
        };
        let deployment = ledger.deployment();
        let domain = receipt::domain(deployment.chain_id, deployment.rounds);
        let signature = receipt::sign(&receipt, &domain, self.instance.receipt_key());
        Ok(OpenedShare { blob, receipt, signature })
    }

    /// What the method answers to a header, through the gate; zeros where a sealed training asks nothing.
    fn numbers(&self, header: &RoundHeader) -> Result<Vec<f64>, EnclaveError> {
        let Some(training) = self.running() else {
            return Err(EnclaveError::Header("the training is finished".into()));
        };
        match header.fields().question.ask().or(training.ask()) {
            // In a sealed training whether a site answers must not follow from its rows: what the method cannot do with them counts
            // as no rows, as in one enclave.
            Some(ask) => match self.method.site(ask, &self.blocks) {
                Err(_) if training.plan().is_sealed() => Ok(vec![0.0; ask.len()]),
                numbers => Ok(numbers?),
            },
            None => Ok(vec![0.0; header.dimension()]),
        }
    }

    fn running(&self) -> Option<&Training> {
        match &self.progress {
            Progress::Running(training) => Some(training),
            Progress::Finished { .. } | Progress::NoModel => None,
        }
    }

    /// The finished model, to be handed on.
    fn made(&self) -> Result<Made<'_>, EnclaveError> {
        let (finished, name) = self.finished()?;
        Ok(Made {
            instance: &self.instance,
            model_id: self.model_id,
            plan: self.plan,
            query: self.plan_programs.query,
            release: self.model_release,
            finished,
            name,
            donors: self.last_donors.clone(),
        })
    }

    fn finished(&self) -> Result<(&Finished, B256), EnclaveError> {
        match &self.progress {
            Progress::Finished { finished, last_state } => Ok((finished, *last_state)),
            Progress::Running(_) => Err(EnclaveError::Request("the training is not finished")),
            Progress::NoModel => Err(EnclaveError::Request("the training came to no model")),
        }
    }

    /// Recomputes the sum of the round that just ended and goes on to the next step of the plan. Survivors, blobs,
    /// partial sums and the sum itself are compared with the ledger.
    pub async fn observe(
        &mut self,
        transcript: &RoundTranscript,
        ledger: &impl LedgerView,
    ) -> Result<(), EnclaveError> {
        let training = self.follows(transcript)?;
        let info = self.check_transcript(transcript, ledger).await?;
        check_partials(transcript, ledger).await?;
        let (aggregate, _) =
            transcript.open().map_err(|e| EnclaveError::Round(histone_protocol::with_causes(&*e)))?;
        if info.aggregateHash.0 != aggregate.hash() {
            return Err(EnclaveError::Round("the ledger has another sum, or none yet".into()));
        }
        let step = training.advance(&transcript.donors(), aggregate.values())?;
        let donor = self.own_donor(transcript);
        self.went(step, transcript.header.fields().round, donor);
        self.last_donors = transcript.donors();
        Ok(())
    }

    /// The training, when a round is its next one.
    fn follows(&self, transcript: &RoundTranscript) -> Result<&Training, EnclaveError> {
        let Some(training) = self.running() else {
            return Err(EnclaveError::Round("the training is finished".into()));
        };
        if transcript.header.fields().round <= self.observed {
            return Err(EnclaveError::Round("its round was observed before".into()));
        }
        training
            .check_header(&transcript.header)
            .map_err(|e| EnclaveError::Round(histone_protocol::with_causes(&e)))?;
        Ok(training)
    }

    /// The donor that this enclave was in a sum, if it was.
    fn own_donor(&self, transcript: &RoundTranscript) -> Option<u16> {
        let own = self.instance.keys().receipt.into_array();
        let is_own = |d: &u16| transcript.header.donor(*d).is_some_and(|d| d.enclave == own);
        transcript.donors().into_iter().find(is_own)
    }

    /// Goes on to where a round led. Who may be asked next is the ledger's to say ([`Watch`]): whoever missed a round may come back.
    fn went(&mut self, step: Step, round: u32, donor: Option<u16>) {
        self.progress = match step {
            Step::Next(next) => Progress::Running(Box::new(next)),
            Step::Finished(finished) => {
                let last_state = B256::from(finished.hash());
                Progress::Finished { finished: Box::new(finished), last_state }
            }
            Step::NoModel => Progress::NoModel,
        };
        self.observed = round;
        if donor.is_some() {
            self.rounds_with_own += 1;
            self.donor = donor;
        }
    }

    /// Whether survivors and blobs of a transcript are those on the ledger; gives what the ledger says of the round.
    async fn check_transcript(
        &self,
        transcript: &RoundTranscript,
        ledger: &impl LedgerView,
    ) -> Result<Rounds::RoundInfo, EnclaveError> {
        let f = transcript.header.fields();
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
        let about = Some(B256::from(model_id));
        let anchored = ledger.logged::<Rounds::UpdateAnchored>(Contract::Rounds, about).await?;
        let anchored: BTreeSet<_> = anchored
            .iter()
            .filter(|a| a.event.round == round)
            .map(|a| (a.event.donorIndex, a.event.blobHash))
            .collect();
        for (donor, blob) in &transcript.survivors {
            if !anchored.contains(&(*donor, blob.hash())) {
                return Err(EnclaveError::Round(format!("the blob of donor {donor} is not anchored")));
            }
        }
        Ok(info)
    }

    /// States what the method reports of the finished model at this site, as the donor that it was in the sums.
    pub fn evaluate(&self) -> Result<Vec<u8>, EnclaveError> {
        let (finished, last_state) = self.finished()?;
        let donor = self.donor.ok_or(EnclaveError::Request("this enclave is in no sum of the model"))?;
        let of = (self.ledger, self.model_id, donor);
        evaluation(&self.instance, &self.method, (finished, last_state), of, &self.blocks)
    }
}

/// A dataset as an enclave holds it.
struct Opened {
    /// The rows as the method reads them.
    blocks: Vec<Arc<[u8]>>,
    lineage: B256,
    root: B256,
    /// How many versions the owner's policy lets be answered.
    versions: u32,
}

/// A dataset that an enclave has taken in.
struct Taken {
    /// The rows as the method reads them.
    blocks: Vec<Arc<[u8]>>,
    root: B256,
    /// How many versions the owner's policy lets be answered.
    versions: u32,
    donation: Donation,
}

/// Opens a dataset whose key was released to this enclave, and signs its donation to a model when the decision of its owner allows it.
async fn take(
    instance: &Instance,
    plan_hash: B256,
    plan: &Plan,
    model_id: u64,
    (dataset, donation): (&SealedDataset, DonationTerms),
    ledger: &impl LedgerView,
) -> Result<Taken, EnclaveError> {
    let opened = instance.open(dataset)?;
    let blocks = rows_of(&opened.table, &plan.config).map_err(EnclaveError::Config)?;
    let registered = ledger.read(Contract::Datasets, Datasets::datasetCall { id: dataset.id }).await?;
    if registered.root != opened.root || registered.owner != dataset.owner {
        return Err(EnclaveError::NotBacked("the dataset is not registered with this commitment".into()));
    }
    if registered.withdrawn {
        return Err(EnclaveError::NotBacked("the dataset is withdrawn".into()));
    }
    let (root, measurement) = (opened.root, instance.measurement());
    let asked = Asked { model_id, plan: plan_hash, dataset: dataset.id, root, measurement };
    let (decision, terms) = donation.consent.check(asked, ledger).await?;
    let receipt = DonationReceipt {
        modelId: U256::from(model_id),
        datasetId: dataset.id,
        root,
        payee: donation.payee,
        decision,
    };
    let deployment = ledger.deployment();
    let domain = receipt::domain(deployment.chain_id, deployment.market);
    let signature = receipt::sign(&receipt, &domain, instance.receipt_key());
    Ok(Taken { blocks, root, versions: terms.versions, donation: Donation { receipt, signature } })
}

/// What an enclave says of a model at the site of a donor: what the method reports, signed.
fn evaluation(
    instance: &Instance,
    method: &HostedMethod,
    made: (&Finished, B256),
    (ledger, model_id, donor): (LedgerId, u64, u16),
    blocks: &[Arc<[u8]>],
) -> Result<Vec<u8>, EnclaveError> {
    let (finished, model_hash) = made;
    let values = method.report(&finished.model, blocks)?;
    let names = method.manifest().report.iter().map(|field| field.name.clone());
    let fields = names.zip(values).map(|(name, value)| NamedValue { name, value }).collect();
    let statement =
        SiteEvaluation { ledger, platform: instance.platform(), model_id, donor, model_hash, fields };
    Ok(Signed::sign(&statement, instance.receipt_key())?.to_bytes())
}

/// Partial sums carry no signature: each must be the one that its member posted, and there must be enough of them.
async fn check_partials(transcript: &RoundTranscript, ledger: &impl LedgerView) -> Result<(), EnclaveError> {
    let (header, refuse) = (&transcript.header, |what: String| Err(EnclaveError::Round(what)));
    let f = header.fields();
    // One more than open it: otherwise a wrong one would not show.
    let (got, needed) = (transcript.partials.len(), header.committee().quorum());
    if got < usize::from(needed) {
        return refuse(format!("{got} partial sums are too few; this round needs {needed}"));
    }
    for blob in &transcript.partials {
        let member = match f.question.is_sealed() {
            true => SealedPartial::read(blob.clone(), header).map(|p| p.member()),
            false => PartialSum::decode(blob, header).map(|p| p.member()),
        };
        let member = member.map_err(|e| EnclaveError::Round(histone_protocol::with_causes(&e)))?;
        // Decoding has checked the number; seats are counted from 1.
        let Some(seat) = f.committee.get(usize::from(member).wrapping_sub(1)) else {
            return refuse(format!("there is no committee member {member}"));
        };
        let call = Rounds::partialOfCall {
            modelId: U256::from_be_bytes(f.model_id),
            round: f.round,
            member: Address::from(seat.address),
        };
        if ledger.read(Contract::Rounds, call).await? != blob.hash() {
            return refuse(format!(
                "the partial sum given for committee member {member} is not on the ledger"
            ));
        }
    }
    Ok(())
}
