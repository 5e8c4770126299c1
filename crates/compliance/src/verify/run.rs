//! What the later checks look at together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use alloy_sol_types::SolEvent;
use histone_contracts::{Contract, Deployment, Market, Programs};
use histone_enclave::described::Described;
use histone_enclave::method::HostedMethod;
use histone_ledger::Ledger;
use histone_network::BlobStore;
use histone_protocol::blob::Blob;
use histone_protocol::consent::{AppraisalTerms, WhitePaper};
use histone_protocol::program::ProgramKind;
use histone_protocol::record::{Record, Signed};
use histone_protocol::{Address, B256, U256};

use super::course::Auditor;
use super::findings::told;
use super::history::{History, Seen};
use crate::folder::{Folder, ModelRecord, RunRecord};

/// What a run took of the chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) blocks: u64,
    pub(super) transactions: u64,
    pub(super) gas: u64,
}

/// The last block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) hash: B256,
    /// Digest of the contract state; none on a network.
    pub(super) state_digest: Option<B256>,
}

/// A run whose history is known and whose contracts are ours.
pub(super) struct Run {
    blobs: BlobStore,
    /// Whether the record has to name everything on the ledger; of a ledger with other models, too, it names what one of them
    /// rests on.
    whole: bool,
    /// What the white paper of the one model believes.
    believed: Option<AppraisalTerms>,
    /// Who may open sealed sums.
    auditor: Option<Auditor>,
    /// The blobs that checks have opened so far.
    opened: Mutex<BTreeSet<B256>>,
    pub(super) record: RunRecord,
    /// The methods of the models that were trained, by measurement.
    methods: Methods,
    pub(super) counts: Counts,
    pub(super) head: Head,
    pub(super) history: Arc<History>,
    pub(super) ledger: Ledger,
}

/// The methods of the models that were trained, by measurement.
#[derive(Default)]
pub(super) struct Methods {
    /// Those that everybody can read.
    pub(super) read: BTreeMap<B256, HostedMethod>,
    /// What is known of all of them.
    pub(super) described: BTreeMap<B256, Described>,
}

impl Run {
    /// A run of which nothing was looked at yet.
    pub(super) fn new(
        folder: &Folder,
        record: RunRecord,
        methods: Methods,
        history: History,
        ledger: Ledger,
        (counts, head): (Counts, Head),
    ) -> Self {
        let (blobs, opened) = (BlobStore::at(folder.blobs()), Mutex::default());
        Self {
            blobs,
            whole: true,
            believed: None,
            auditor: None,
            opened,
            record,
            methods,
            counts,
            head,
            history: Arc::new(history),
            ledger,
        }
    }

    /// One model of a ledger that may have others.
    pub(super) fn of_model(
        blobs: BlobStore,
        believed: AppraisalTerms,
        record: RunRecord,
        history: Arc<History>,
        ledger: Ledger,
        (counts, head): (Counts, Head),
    ) -> Self {
        let (opened, methods) = (Mutex::default(), Methods::default());
        Self {
            blobs,
            whole: false,
            believed: Some(believed),
            auditor: None,
            opened,
            record,
            methods,
            counts,
            head,
            history,
            ledger,
        }
    }

    /// Gives it the methods of its models.
    pub(super) fn teach(&mut self, methods: Methods) {
        self.methods = methods;
    }

    /// Lets an auditor look, too.
    pub(super) fn audited_by(&mut self, auditor: Option<Auditor>) {
        self.auditor = auditor;
    }

    /// Who may open sealed sums.
    pub(super) fn auditor(&self) -> Option<&Auditor> {
        self.auditor.as_ref()
    }

    /// Public storage.
    pub(super) fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    /// Whether the record has to name everything on the ledger.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether a model is one that is looked at.
    pub(super) fn covers(&self, model: U256) -> bool {
        self.whole || u64::try_from(model).is_ok_and(|id| self.model(id).is_some())
    }

    /// Which enclaves are believed: what the record says, or, of one model, what its white paper says.
    pub(super) fn terms(&self) -> AppraisalTerms {
        self.believed.clone().unwrap_or_else(|| AppraisalTerms {
            platforms: vec![self.record.platform],
            max_age_seconds: self.record.evidence_max_age,
            simulated_vendors: vec![self.record.vendor],
        })
    }

    /// Where things are looked for, in words.
    pub(super) fn place(&self) -> &'static str {
        if self.whole { "run.json" } else { "public storage" }
    }

    /// Where the contracts are.
    pub(super) fn deployment(&self) -> &Deployment {
        &self.record.deployment
    }

    /// The method with this measurement, where a model was trained with it.
    pub(super) fn method(&self, measurement: B256) -> Result<&HostedMethod, String> {
        self.methods.read.get(&measurement).ok_or_else(|| match self.methods.described.get(&measurement) {
            Some(_) => format!("the method {measurement} is of closed source"),
            None => format!("no model was trained with the method {measurement}"),
        })
    }

    /// What everybody may know of it, also where it is of closed source.
    pub(super) fn described(&self, measurement: B256) -> Result<&Described, String> {
        let known = self.methods.described.get(&measurement);
        known.ok_or_else(|| format!("no model was trained with the method {measurement}"))
    }

    /// Whether a program is a method of closed source by the plans of all models that are of it.
    pub(super) fn is_closed(&self, measurement: B256) -> bool {
        self.methods.described.contains_key(&measurement) && !self.methods.read.contains_key(&measurement)
    }

    /// What the record says of a model.
    pub(super) fn model(&self, id: u64) -> Option<&ModelRecord> {
        self.record.models.iter().find(|model| model.model_id == id)
    }

    /// All events of type `E` of a contract, oldest first.
    pub(super) fn events<E: SolEvent>(&self, contract: Contract) -> Vec<Seen<E>> {
        self.history.events(self.deployment(), contract)
    }

    /// The bytes of a blob, which have this hash. Whoever asks for them checks them.
    pub(super) fn blob(&self, hash: B256) -> Result<Vec<u8>, String> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(hash);
        self.blobs.get(hash).map_err(|e| told(&e))
    }

    /// The same with its name.
    pub(super) fn named(&self, hash: B256) -> Result<Blob, String> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(hash);
        self.blobs.read(hash).map_err(|e| told(&e))
    }

    /// The blobs that were asked for so far.
    pub(super) fn opened(&self) -> BTreeSet<B256> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The statement in a blob, and who signed it.
    pub(super) fn signed<T: Record>(&self, hash: B256) -> Result<(T, Address), String> {
        let bytes = self.blob(hash)?;
        let opened = Signed::from_bytes(&bytes).and_then(|signed| signed.open());
        opened.map_err(|e| format!("blob {hash}: {}", told(&e)))
    }

    /// The white papers of the models.
    pub(super) fn papers(&self) -> impl Iterator<Item = WhitePaper> + '_ {
        let papers = self.record.models.iter().map(|model| model.paper);
        papers.filter_map(|blob| self.signed::<WhitePaper>(blob).ok()).map(|(paper, _)| paper)
    }

    /// The name of the party that an account belongs to, or the account.
    pub(super) fn name(&self, account: Address) -> String {
        let owns = |p: &&crate::folder::PartyRecord| p.account == account || p.payees.contains(&account);
        self.record.parties.iter().find(owns).map_or_else(|| account.to_string(), |p| p.name.clone())
    }

    /// The plan with which a model was proposed, by its hash; zero for a model that was not.
    pub(super) fn plan_hash(&self, model: U256) -> B256 {
        let proposed = self.events::<Market::ModelProposed>(Contract::Market);
        proposed.iter().find(|s| s.event.modelId == model).map(|s| s.event.planHash).unwrap_or_default()
    }

    /// Kind of a program that is registered on the ledger.
    pub(super) fn program_kind(&self, measurement: B256) -> Option<u8> {
        let registered = self.events::<Programs::ProgramRegistered>(Contract::Programs);
        registered.into_iter().find(|s| s.event.measurement == measurement).map(|s| s.event.kind)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({})", self.record.study)
    }
}

/// What a run calls a kind of program.
pub(super) fn kind_of(code: u8) -> Option<ProgramKind> {
    [ProgramKind::Validation, ProgramKind::Training, ProgramKind::Query]
        .into_iter()
        .find(|k| k.code() == code)
}
