//! A data owner: an institution whose table never leaves but encrypted to an enclave it has checked.

mod again;
mod donating;
mod panels;
mod sealed;
mod updating;
mod withdrawing;

pub use donating::{Decided, Given, host_of};
pub use panels::keep_panel;
pub use sealed::Tell;
pub use updating::Version;
pub use withdrawing::{Withdrawal, withdraw};

use std::collections::BTreeMap;

use histone_access::Permit;
use histone_attestation::Attested;
use histone_attestation::simulated::SimulatedDevice;
use histone_contracts::{Contract, Datasets, Market, Members, Rounds, pays_as_promised, roles};
use histone_enclave::engine::LoadedProgram;
use histone_enclave::instance::SealedDataset;
use histone_enclave::method::Training;
use histone_enclave::reading::places;
use histone_enclave::training::{Consent, RoundTranscript, TrainingEnclave};
use histone_enclave::validation::{self, Validated, ValidationEnclave};
use histone_federation::header::RoundHeader;
use histone_genome::table::{Column, Table};
use histone_protocol::commitment::dataset_root;
use histone_protocol::consent::{ConsentPolicy, DecisionFacts, DecisionRecord, Verdict, WhitePaper};
use histone_protocol::dataset::KeyBundle;
use histone_protocol::keys::{SignatureBytes, SigningKey};
use histone_protocol::plan::PlanDocument;
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::ValidationReceipt;
use histone_protocol::record::Signed;
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256, U256};
use zeroize::Zeroizing;

use crate::answered::Answered;
use crate::error::NodeError;
use crate::party::Party;
use crate::plan;
use crate::release::{OwnedKey, release};
use crate::world::World;

/// What the owner's node remembers of its table: enough to answer a white paper, nothing of a row.
#[derive(Debug, Clone)]
struct Schema {
    columns: Vec<Column>,
    rows: u32,
}

/// Whether the ledger has each auditor of a white paper as an auditor, and as nobody with an interest in data or model.
async fn auditors_independent(paper: &WhitePaper, world: &World) -> Result<bool, NodeError> {
    for &account in &paper.disclosure.auditors {
        let held = world.ledger.read(Contract::Members, Members::rolesOfCall { account }).await?;
        if !roles::audits_apart(held) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// One version of the table, as it is kept.
struct Encrypted {
    schema: Schema,
    keys: KeyBundle,
    ciphertext: Vec<u8>,
    root: B256,
    /// What its files are named by.
    name: B256,
    /// Its files in the owner's directory, without their ending.
    file: String,
}

impl Schema {
    fn of(table: &Table) -> Self {
        // A table has fewer than 2^32 rows.
        Self { columns: table.columns().to_vec(), rows: table.rows() as u32 }
    }
}

/// The files of a version of the table, without their ending.
fn dataset_file(name: B256) -> String {
    format!("dataset-{name:x}")
}

/// A data owner's node.
pub struct Owner {
    /// Name, keys, directory.
    pub party: Party,
    policy: ConsentPolicy,
    table: Encrypted,
    dataset: B256,
    participation: Option<Participation>,
    /// The plans of the models that were considered.
    considered: BTreeMap<u64, PlanDocument>,
}

/// The owner's part in one model.
struct Participation {
    model_id: u64,
    donor: u16,
    payee: SigningKey,
    place: Place,
}

/// Where the owner's data is used.
enum Place {
    /// In an enclave of its own.
    Own(Box<TrainingEnclave>),
    /// In the one enclave that has the data of all owners; what it does is its runner's matter.
    Host,
}

impl Participation {
    /// The owner's own enclave.
    fn enclave(&mut self) -> Result<&mut TrainingEnclave, NodeError> {
        match &mut self.place {
            Place::Own(enclave) => Ok(enclave),
            Place::Host => Err(NodeError::Message(format!(
                "the data for model {} was brought to the one enclave that trains it; this owner has no enclave of its own there",
                self.model_id
            ))),
        }
    }
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
    pub fn prepare(party: Party, table: Table, mut policy: ConsentPolicy) -> Result<Self, NodeError> {
        policy.owner = party.account();
        histone_access::check_policy(&policy)?;
        let table = encrypt(&party, &table)?;
        let dataset = histone_contracts::dataset_id(party.account(), table.root);
        Ok(Self { party, policy, table, dataset, participation: None, considered: BTreeMap::new() })
    }

    /// The owner's account.
    pub fn account(&self) -> Address {
        self.party.account()
    }

    /// The ledger's key of the dataset.
    pub fn dataset(&self) -> B256 {
        self.dataset
    }

    /// The terms under which the data may be used.
    pub fn policy(&self) -> &ConsentPolicy {
        &self.policy
    }

    /// Commitment of the version of the dataset that this owner holds.
    pub fn root(&self) -> B256 {
        self.table.root
    }

    /// Where the owner's directory keeps the current version: `.key` and `.sealed` behind this name.
    pub fn dataset_file(&self) -> &str {
        &self.table.file
    }

    /// The account that is paid for this owner's donation, and its donor number.
    pub fn donation(&self) -> Option<(Address, u16)> {
        self.participation.as_ref().map(|p| (p.payee.address(), p.donor))
    }

    /// The model that it takes part in.
    pub fn takes_part_in(&self) -> Option<u64> {
        self.participation.as_ref().map(|p| p.model_id)
    }

    /// The last round whose sum its enclave has seen.
    pub fn observed(&mut self) -> Result<u32, NodeError> {
        Ok(self.participation()?.enclave()?.observed())
    }

    /// Whether its enclave is in the header of a round. One that nobody shows invites nobody.
    pub fn is_invited(&mut self, header: B256, world: &World) -> Result<bool, NodeError> {
        let own = self.participation()?.enclave()?.instance().keys().receipt.into_array();
        let header = crate::committee::shown_blob(header, world, || "the header of the round".into())?;
        let header = RoundHeader::decode(&header).map_err(NodeError::round)?;
        Ok(header.fields().cohort.iter().any(|donor| donor.enclave == own))
    }

    /// The rounds of a model in which a member calls a share of this donor unreadable and has no answer yet.
    pub async fn accused(&self, model: u64, donor: u16, world: &World) -> Result<Vec<u32>, NodeError> {
        let about = Some(B256::from(U256::from(model)));
        let accused = world.ledger.logged::<Rounds::ShareAccused>(Contract::Rounds, about).await?;
        let accused = accused.into_iter().map(|a| a.event).filter(|a| a.donorIndex == donor);
        let accused: Vec<_> = accused.map(|a| (a.round, a.member)).collect();
        if accused.is_empty() {
            return Ok(Vec::new());
        }
        let answered = world.ledger.logged::<Rounds::ShareOpened>(Contract::Rounds, about).await?;
        let open = |(round, member): &(u32, Address)| {
            let is = |o: &Rounds::ShareOpened| (o.round, o.donorIndex, o.member) == (*round, donor, *member);
            !answered.iter().any(|o| is(&o.event))
        };
        let open: std::collections::BTreeSet<u32> =
            accused.iter().filter(|a| open(a)).map(|(round, _)| *round).collect();
        Ok(open.into_iter().collect())
    }

    /// Releases the key of the table to a validation enclave that this owner's node believes, for whoever carries it there.
    pub async fn seal_for_validation(
        &mut self,
        enclave: Address,
        replaces: B256,
        world: &World,
    ) -> Result<SealedDataset, NodeError> {
        self.publish_panel(world)?;
        let attested = world.appraise(enclave, ProgramKind::Validation, validation::init_data()).await?;
        let permit = Permit::own_validation(self.account(), self.dataset, vec![attested.measurement()]);
        let funded = world.ledger.funded_validation(enclave).await?;
        self.release(permit, attested, funded, replaces, world).await
    }

    /// Has the table validated by an enclave that the owner has appraised, and registers what came out.
    pub async fn register(
        &mut self,
        enclave: &ValidationEnclave,
        world: &World,
    ) -> Result<Registered, NodeError> {
        let signer = enclave.instance().keys().receipt;
        let validated = self.validate(enclave, B256::ZERO, world).await?;
        world.blobs.put(&validated.report)?;
        self.register_validated(signer, &validated.receipt, &validated.signature, world).await
    }

    /// Registers the dataset with what a validation enclave has signed, whose report is in public storage.
    pub async fn register_validated(
        &mut self,
        enclave: Address,
        receipt: &ValidationReceipt,
        signature: &SignatureBytes,
        world: &World,
    ) -> Result<Registered, NodeError> {
        if receipt.replaces != B256::ZERO {
            return Err(NodeError::Message(format!(
                "the rows of this table are those of your dataset {}; update that one",
                receipt.replaces
            )));
        }
        self.check_report(enclave, receipt, world)?;
        self.policy.ledger = world.ledger.deployment().id();
        let policy = world.blobs.put(&Signed::sign(&self.policy, &self.party.key)?.to_bytes())?;
        let call = Datasets::registerCall {
            root: receipt.root,
            reportHash: receipt.reportHash,
            policyHash: policy,
            rows: receipt.rows,
            quality: receipt.quality,
            enclave,
            signature: signature.as_slice().to_vec().into(),
        };
        world.ledger.send(&self.party.key, Contract::Datasets, call).await?;
        Ok(Registered { dataset: self.dataset, policy, report: receipt.reportHash })
    }

    async fn validate(
        &mut self,
        enclave: &ValidationEnclave,
        replaces: B256,
        world: &World,
    ) -> Result<Validated, NodeError> {
        let signer = enclave.instance().keys().receipt;
        let sealed = self.seal_for_validation(signer, replaces, world).await?;
        let validated = enclave.validate(&sealed, &world.ledger, &world.evidence()).await?;
        world.blobs.put(&validated.notice)?;
        Ok(validated)
    }

    /// Matches a white paper against data and consent; publishes and records the decision either way.
    /// A paper that is not the one on the ledger, or states other terms or another plan, is no question and is not answered.
    pub async fn consider(&mut self, blob: B256, model_id: u64, world: &World) -> Result<Answer, NodeError> {
        let (paper, signer) = world.read_paper(blob)?;
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
        if !pays_as_promised(&on_ledger.terms, &paper) {
            return Err(NodeError::Message(format!(
                "the white paper of model {model_id} states other terms than the ledger, which will be paid"
            )));
        }
        // The one on the ledger is what everybody follows; whether the paper means it is checked against that.
        let plan = plan::read(on_ledger.planHash, world)?;
        plan::agree(&plan, &paper, &on_ledger)
            .map_err(|why| NodeError::Message(format!("the plan of model {model_id} is refused: {why}")))?;
        // What the plan's genotypes are of must be there for everybody.
        for (panel, _) in plan.panels() {
            world.blobs.get(panel)?;
        }
        // Its method begins it, before anything of the owner's is released.
        let (computation, _) = plan::known(&plan, world)?;
        let fits = places(&self.table.schema.columns, &computation.config).is_ok();
        // One that nobody can read is begun by its enclave only.
        if !plan.disclosure.is_closed() {
            let (computation, method) = plan::computation(&plan, world)?;
            Training::start(method, computation).map_err(NodeError::round)?;
        }
        self.considered.insert(model_id, plan);
        let in_force = world
            .ledger
            .read(Contract::Datasets, Datasets::datasetCall { id: self.dataset })
            .await
            .is_ok_and(|d| d.owner == self.account() && !d.withdrawn);
        let facts = DecisionFacts {
            policy: self.policy.clone(),
            model_id,
            dataset: self.dataset,
            data_matches: fits && self.table.schema.rows >= paper.min_rows,
            dataset_in_force: in_force,
            enclaves_acceptable: world.appraisal.covers(&paper.appraisal),
            auditors_independent: auditors_independent(&paper, world).await?,
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

    /// Has the enclave make this round's encrypted update, publishes it and anchors its hash.
    pub async fn contribute(
        &mut self,
        header: &RoundHeader,
        world: &World,
    ) -> Result<(u16, B256), NodeError> {
        let key = self.party.key.clone();
        let Some(p) = &mut self.participation else {
            return Err(NodeError::Message(format!("`{}` takes part in no model", self.party.name)));
        };
        let (model_id, donor) = (p.model_id, p.donor);
        let enclave = p.enclave()?;
        let f = header.fields();
        if let Some(plan) = self.considered.get(&model_id) {
            let members = f.committee.len();
            if members < usize::from(plan.committee_members) {
                return Err(NodeError::Message(format!(
                    "the committee of model {} has {members} members, its plan asks for {} or more",
                    model_id, plan.committee_members
                )));
            }
        }
        crate::plan::check_times(U256::from(model_id), f.round, world).await?;
        let name = format!("update-{model_id}-{}-{:x}.bin", f.round, B256::from(header.hash()));
        // Kept before it is sent: whatever happens in between, the same bytes are sent again.
        let kept = match self.party.recall(&name)? {
            Some(kept) => kept,
            None => {
                let mut answered = Answered::of(&self.party, world);
                answered.forget_unopened(self.dataset, world).await?;
                let (ledger, evidence) = (&world.ledger, world.evidence());
                let update = enclave.contribute(header, donor, ledger, &evidence, &mut answered).await?;
                self.party.keep_first(&name, [update.signature.as_slice(), &update.blob].concat())?
            }
        };
        let Some((signature, blob)) = kept.split_at_checked(65) else {
            return Err(NodeError::Message(format!("the kept update `{name}` is damaged; remove it")));
        };
        let blob = world.blobs.put(blob)?;
        let call = Rounds::anchorCall {
            modelId: U256::from_be_bytes(f.model_id),
            round: f.round,
            blobHash: blob,
            donorIndex: donor,
            enclave: enclave.instance().keys().receipt,
            signature: signature.to_vec().into(),
        };
        world.ledger.send(&key, Contract::Rounds, call).await?;
        Ok((donor, blob))
    }

    /// Has the enclave open each share of its update that a member has called unreadable in this round, and publishes what
    /// it shows. Gives the accusers that were answered now.
    pub async fn answer_accusations(
        &mut self,
        header: &RoundHeader,
        world: &World,
    ) -> Result<Vec<Address>, NodeError> {
        let Some(p) = &mut self.participation else { return Ok(Vec::new()) };
        let own = p.donor;
        let Ok(enclave) = p.enclave() else { return Ok(Vec::new()) };
        let f = header.fields();
        let about = Some(B256::from(f.model_id));
        let accused = world.ledger.logged::<Rounds::ShareAccused>(Contract::Rounds, about).await?;
        let opened = world.ledger.logged::<Rounds::ShareOpened>(Contract::Rounds, about).await?;
        let answered = |member: Address| {
            let ours = |o: &Rounds::ShareOpened| (o.round, o.donorIndex, o.member) == (f.round, own, member);
            opened.iter().any(|o| ours(&o.event))
        };
        let mut now = Vec::new();
        for accusation in accused.into_iter().map(|a| a.event) {
            let member = accusation.member;
            if (accusation.round, accusation.donorIndex) != (f.round, own) || answered(member) {
                continue;
            }
            let share = enclave.open_share(header, own, member, &world.ledger).await?;
            let call = Rounds::answerAccusationCall {
                modelId: share.receipt.modelId,
                round: f.round,
                donorIndex: own,
                member,
                blobHash: world.blobs.put(&share.blob)?,
                enclave: enclave.instance().keys().receipt,
                signature: share.signature.as_slice().to_vec().into(),
            };
            world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
            now.push(member);
        }
        Ok(now)
    }

    /// Lets the enclave recompute the sum of a finished round and go on to the plan's next step.
    pub async fn observe(&mut self, transcript: &RoundTranscript, world: &World) -> Result<(), NodeError> {
        let p = self.participation()?;
        Ok(p.enclave()?.observe(transcript, &world.ledger).await?)
    }

    /// Publishes the enclave's signed evaluation of the finished model on this owner's rows.
    pub fn evaluate(&mut self, world: &World) -> Result<B256, NodeError> {
        let p = self.participation()?;
        Ok(world.blobs.put(&p.enclave()?.evaluate()?)?)
    }

    /// Claims what the model owes to this owner's account for it.
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

    async fn release(
        &mut self,
        permit: Permit,
        attested: Attested,
        funded: histone_ledger::Funded,
        replaces: B256,
        world: &World,
    ) -> Result<SealedDataset, NodeError> {
        let now = world.ledger.time().await?;
        let (owner, dataset) = (self.account(), self.dataset);
        let owned = OwnedKey { owner, dataset, bundle: &self.table.keys };
        let key = release(permit, attested, funded, owned, now, self.party.root())?;
        Ok(SealedDataset {
            id: dataset,
            owner,
            root: self.table.root,
            replaces,
            ciphertext: self.table.ciphertext.clone(),
            key,
        })
    }
}

/// Encrypts a table into its owner's directory. The same table again gets the same keys, and another version its own, so
/// that a version which is on the ledger stays readable whatever becomes of the next one.
fn encrypt(party: &Party, table: &Table) -> Result<Encrypted, NodeError> {
    let plain = Zeroizing::new(table.encode());
    // The name tells nobody anything about the table: it derives from the root secret as well.
    let name = B256::from(*party.root().derive("dataset", &[&plain]));
    let file = dataset_file(name);
    // Drawn and not derived from the root: to destroy it is to erase this version.
    let keys = KeyBundle::from_bytes(&*party.draw(&format!("{file}.key"))?);
    let ciphertext = keys.data.encrypt(&plain);
    let root = dataset_root(&keys.salt, table.leaves());
    party.keep(&format!("{file}.sealed"), &ciphertext)?;
    Ok(Encrypted { schema: Schema::of(table), keys, ciphertext, root, name, file })
}

/// The published documents that allow the donation of a dataset to a model.
pub async fn consent(
    dataset: B256,
    model_id: u64,
    decision: B256,
    world: &World,
) -> Result<Consent, NodeError> {
    let ledger = &world.ledger;
    let model = ledger.read(Contract::Market, Market::modelCall { modelId: U256::from(model_id) }).await?;
    let policy = ledger.read(Contract::Datasets, Datasets::datasetCall { id: dataset }).await?.policyHash;
    Ok(Consent {
        decision: world.blobs.get(decision)?,
        policy: world.blobs.get(policy)?,
        paper: world.blobs.get(model.whitePaperHash)?,
    })
}
