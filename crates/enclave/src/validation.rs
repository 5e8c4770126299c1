//! The validation service: looks at a dataset, commits to it, states what it found, and finds again what it has seen.

mod genotypes;
mod hand_over;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use histone_contracts::{Contract, Datasets, LedgerView, dataset_id};
use histone_genome::table::Kind;
use histone_program_sdk::job::{
    FLAG_ALL_MISSING, FLAG_CONSTANT, FLAG_EXTREME, FLAG_MOSTLY_MISSING, FLAG_ZERO_IN_DISGUISE, ValidateJob,
};
use histone_protocol::hash::{blob_hash, tagged_hash};
use histone_protocol::keys::SignatureBytes;
use histone_protocol::notice::{GenotypeQuality, QualityVerdict, ValidationNotice, seal_notices};
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::{self, ValidationReceipt};
use histone_protocol::record::{LedgerId, Signed};
use histone_protocol::report::{ColumnFlags, ValidationReport};
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};
use zeroize::Zeroizing;

pub use self::hand_over::Peer;
use crate::cohort::RightCommittee;
use crate::instance::{EnclaveError, Instance, SealedDataset};
use crate::sketch::index::{Candidate, Index, Place, Register, Registered};
use crate::sketch::{Sketch, SketchKey};
use crate::storage::Store;

/// What is kept of the sketches, as a label of its seal.
const STATE: &str = "sketches";

/// What a validation enclave is started with beside the program: nothing but its purpose.
pub fn init_data() -> B256 {
    tagged_hash("histone/validation-init/v1", &[])
}

/// What an owner gets back from a validation.
#[derive(Debug)]
pub struct Validated {
    /// The commitment over the rows.
    pub root: B256,
    /// The signed report, to be published.
    pub report: Vec<u8>,
    /// Sealed notices to the committee, to be published: the report names them.
    pub notice: Vec<u8>,
    /// What the ledger takes.
    pub receipt: ValidationReceipt,
    /// The enclave's signature on the receipt.
    pub signature: SignatureBytes,
}

/// Public storage: the blob of a hash, if it is there. Who asks checks that it is the one.
pub type Public<'a> = &'a (dyn Fn(B256) -> Option<Vec<u8>> + Sync);

/// An enclave that validates datasets. It keeps nothing of them but their sketches ([`crate::sketch`]).
pub struct ValidationEnclave {
    instance: Instance,
    sketches: Mutex<Sketches>,
}

/// The index and where it is kept.
struct Sketches {
    index: Index,
    store: Box<dyn Store>,
}

impl fmt::Debug for ValidationEnclave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidationEnclave({:?})", self.instance)
    }
}

impl ValidationEnclave {
    /// Wraps a started enclave; its program must be a validation program. The sketches that it kept earlier are in `store`;
    /// an enclave that finds none there makes a key for its own.
    pub fn new(instance: Instance, store: Box<dyn Store>) -> Result<Self, EnclaveError> {
        instance.need(ProgramKind::Validation)?;
        let index = match store.recall().map_err(EnclaveError::Store)? {
            None => Index::new(SketchKey::from_bytes(*instance.secret().derive("sketch key", &[]))),
            Some(state) => {
                let state = instance.decrypt(STATE, &state)?;
                Index::decode(&state).map_err(|_| EnclaveError::Request("the kept sketches do not decode"))?
            }
        };
        Ok(Self { instance, sketches: Mutex::new(Sketches { index, store }) })
    }

    /// The running enclave.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Validates a dataset whose key was released to this enclave. Of the dataset only its sketch is kept. Where its rows
    /// are those of another dataset of the same owner, the receipt is for an update of that one. The panel of its genotypes, where it
    /// has any, must be in public storage.
    ///
    /// The answer depends on the table and on the owner's own datasets. What it has in common with those of others is in
    /// the notice, which always has the same size and which only the committee can open.
    pub async fn validate(
        &self,
        dataset: &SealedDataset,
        ledger: &impl LedgerView,
        public: Public<'_>,
    ) -> Result<Validated, EnclaveError> {
        let opened = self.instance.open(dataset)?;
        let quality_of_genotypes = genotypes::check(&opened.table, public)?;
        let table = opened.job_table();
        let (rows, columns) = (table.rows() as u32, table.levels.len() as u32);
        let job = ValidateJob { table }.encode();
        let report = self.instance.report(&job, rows, columns)?;
        if report.quality == 0 {
            return Err(EnclaveError::Refused);
        }
        let (register, committee) = (register(ledger).await?, committee(ledger).await?);
        let (owner, root) = (dataset.owner, opened.root);
        let replaces = (dataset.replaces != B256::ZERO).then_some(dataset.replaces);
        let place = self.change(|index| {
            index.forget_erased(&register);
            let sketch = Sketch::of(index.key(), &opened.table);
            Ok(index.place(Candidate { owner, root, replaces, sketch: &sketch }, &register)?)
        })?;
        let id = ledger.deployment().id();
        let review = quality_of_genotypes.as_ref().is_some_and(|found| found.verdict != QualityVerdict::Pass);
        let about = (id, owner, root);
        let notice = self.notice(about, &place, quality_of_genotypes, &committee)?;
        let flagged = opened.table.columns().iter().zip(&report.flags).map(|(column, &flags)| {
            let flags = match column.kind {
                // What a validation takes for its values are numbers of missing calls.
                Kind::Genotypes { .. } if review => vec![genotypes::REVIEW_DUE.into()],
                Kind::Genotypes { .. } => vec![],
                _ => words(flags),
            };
            ColumnFlags { column: column.name.clone(), flags }
        });
        let statement = ValidationReport {
            ledger: id,
            platform: self.instance.platform(),
            owner,
            root,
            rows,
            quality: report.quality,
            has_duplicates: report.duplicates > 0,
            flagged: flagged.filter(|column| !column.flags.is_empty()).collect(),
            notice: blob_hash(&notice),
        };
        let statement = Signed::sign(&statement, self.instance.receipt_key())?.to_bytes();
        let receipt = ValidationReceipt {
            owner,
            root,
            reportHash: blob_hash(&statement),
            rows,
            quality: report.quality,
            replaces: if place.lineage == dataset_id(owner, root) { B256::ZERO } else { place.lineage },
        };
        let domain = receipt::domain(ledger.deployment().chain_id, ledger.deployment().datasets);
        let signature = receipt::sign(&receipt, &domain, self.instance.receipt_key());
        Ok(Validated { root, report: statement, notice, receipt, signature })
    }

    /// Removes the sketches of datasets that the ledger says are erased. Gives how many versions went. Every validation
    /// does the same before it compares.
    pub async fn forget_erased(&self, ledger: &impl LedgerView) -> Result<usize, EnclaveError> {
        let register = register(ledger).await?;
        self.change(|index| Ok(index.forget_erased(&register)))
    }

    fn sketches(&self) -> MutexGuard<'_, Sketches> {
        self.sketches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the index and keeps it, before anything that follows from the change can leave the enclave.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Index) -> Result<T, EnclaveError>,
    ) -> Result<T, EnclaveError> {
        let mut sketches = self.sketches();
        let mut index = sketches.index.clone();
        let result = change(&mut index)?;
        // Written even when nothing changed: whether it did is nobody's business.
        let state = self.instance.encrypt(STATE, &Zeroizing::new(index.encode()));
        sketches.store.keep(&state).map_err(EnclaveError::Store)?;
        sketches.index = index;
        Ok(result)
    }

    fn notice(
        &self,
        (ledger, owner, root): (LedgerId, Address, B256),
        place: &Place,
        genotypes: Option<GenotypeQuality>,
        committee: &BTreeMap<Address, SealPublicKey>,
    ) -> Result<Vec<u8>, EnclaveError> {
        let (earlier, more) = (place.earlier.clone(), place.more);
        let notice = ValidationNotice { ledger, owner, root, earlier, more, genotypes };
        let signed = Signed::sign(&notice, self.instance.receipt_key())?;
        Ok(seal_notices(&notice, &signed, committee, self.instance.secret())?)
    }
}

/// What the ledger says of datasets.
async fn register(ledger: &impl LedgerView) -> Result<Register, EnclaveError> {
    let of = Contract::Datasets;
    let mut register = Register::default();
    for e in ledger.logged::<Datasets::DatasetRegistered>(of, None).await? {
        let e = e.event;
        let dataset = Registered { owner: e.owner, root: e.root, withdrawn: false, erased: false };
        register.datasets.insert(e.id, dataset);
    }
    let unknown = || EnclaveError::NotBacked("it changes a dataset that it never registered".into());
    for e in ledger.logged::<Datasets::DatasetUpdated>(of, None).await? {
        register.datasets.get_mut(&e.event.id).ok_or_else(unknown)?.root = e.event.root;
    }
    for e in ledger.logged::<Datasets::DatasetWithdrawn>(of, None).await? {
        register.datasets.get_mut(&e.event.id).ok_or_else(unknown)?.withdrawn = true;
    }
    for e in ledger.logged::<Datasets::DatasetErased>(of, None).await? {
        register.datasets.get_mut(&e.event.id).ok_or_else(unknown)?.erased = true;
    }
    Ok(register)
}

/// The committee members of the ledger now, with their proven seal keys. Read here and not taken from whoever asks for a
/// validation: he would name himself.
async fn committee(ledger: &impl LedgerView) -> Result<BTreeMap<Address, SealPublicKey>, EnclaveError> {
    let now = RightCommittee::at(U256::ZERO, (u64::MAX, u64::MAX), ledger).await?;
    Ok(now.everybody().into_iter().map(|(account, key)| (account, SealPublicKey(key))).collect())
}

fn words(flags: u8) -> Vec<String> {
    [
        (FLAG_CONSTANT, "constant"),
        (FLAG_ALL_MISSING, "all values missing"),
        (FLAG_MOSTLY_MISSING, "more than half of the values missing"),
        (FLAG_ZERO_IN_DISGUISE, "zeros that are likely missing values"),
        (FLAG_EXTREME, "extreme values, likely a unit or typing error"),
    ]
    .iter()
    .filter(|(flag, _)| flags & flag != 0)
    .map(|(_, word)| word.to_string())
    .collect()
}
