//! What lies in public storage, and what a record would say of programs and datasets by it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use histone_contracts::{Contract, Datasets, Deployment, Programs};
use histone_federation::training::model_hash;
use histone_network::BlobStore;
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::Wire as _;
use histone_protocol::hash::{blob_hash, sha256};
use histone_protocol::program::AuditReport;
use histone_protocol::record::{Record, Signed};
use histone_protocol::report::SiteEvaluation;
use histone_protocol::{Address, B256};

use super::findings::told;
use super::history::History;
use crate::folder::{DatasetRecord, ProgramRecord};

pub(super) fn signed<T: Record>(blobs: &BlobStore, hash: B256) -> Result<(T, Address), String> {
    let bytes = blobs.get(hash).map_err(|e| told(&e))?;
    Signed::from_bytes(&bytes).and_then(|signed| signed.open()).map_err(|e| told(&e))
}

/// What lies in public storage, as far as the ledger does not name it by the hash that is its name.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) names: BTreeSet<B256>,
    /// By SHA-256, the hash that programs and sources have on the ledger.
    files: Vec<(B256, B256)>,
    /// Those that begin like JSON.
    documents: Vec<B256>,
    /// Models, with the hash that the market knows.
    models: Vec<(B256, B256)>,
}

impl Held {
    pub(super) fn read(dir: &Path) -> Self {
        let mut held = Self::default();
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        for entry in entries {
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<B256>().ok()) else {
                continue;
            };
            held.names.insert(name);
            // Modules, sources and documents are small; updates are not, and are found by the ledger.
            if entry.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST_FOUND)
                && let Ok(bytes) = fs::read(entry.path())
            {
                // A file under a false name is none of its name's.
                if blob_hash(&bytes) != name {
                    held.names.remove(&name);
                    continue;
                }
                held.files.push((sha256(&bytes), name));
                if bytes.first() == Some(&b'{') {
                    held.documents.push(name);
                }
                if let Ok(model) = Model::from_bytes(&bytes) {
                    held.models.push((B256::from(model_hash(&model)), name));
                }
            }
        }
        held
    }

    pub(super) fn by_sha256(&self, hash: B256) -> Option<B256> {
        self.files.iter().find(|(sha256, _)| *sha256 == hash).map(|(_, name)| *name)
    }

    pub(super) fn model(&self, hash: Option<B256>) -> Option<B256> {
        self.models.iter().find(|(of, _)| Some(*of) == hash).map(|(_, name)| *name)
    }

    pub(super) fn evaluations(&self, blobs: &BlobStore, number: u64, sold: Option<B256>) -> Vec<B256> {
        let about = |hash: &&B256| {
            let read = signed::<SiteEvaluation>(blobs, **hash);
            read.is_ok_and(|(site, _)| site.model_id == number && Some(site.model_hash) == sold)
        };
        self.documents.iter().filter(about).copied().collect()
    }
}

/// Larger blobs are looked for by name only.
const LARGEST_FOUND: u64 = 16 << 20;

pub(super) fn program(
    history: &History,
    d: &Deployment,
    blobs: &BlobStore,
    held: &Held,
    measurement: B256,
) -> Option<ProgramRecord> {
    let registered = history.events::<Programs::ProgramRegistered>(d, Contract::Programs);
    let registered = registered.into_iter().find(|s| s.event.measurement == measurement)?.event;
    let audited = history.events::<Programs::ProgramAudited>(d, Contract::Programs).into_iter();
    // Of several audits one is enough: the first that is there.
    let audits = audited.filter(|s| s.event.measurement == measurement).map(|s| s.event.reportHash);
    let (audit, name) = audits
        .filter_map(|hash| Some((hash, signed::<AuditReport>(blobs, hash).ok()?.0.program)))
        .next()
        .unwrap_or_else(|| (B256::ZERO, measurement.to_string()));
    let find = |hash: B256| held.by_sha256(hash);
    let (wasm, source) = (find(registered.wasmHash), find(registered.sourceHash));
    Some(ProgramRecord { name, measurement, wasm, source, audit })
}

pub(super) fn dataset(history: &History, d: &Deployment, id: B256) -> Option<DatasetRecord> {
    let registered = history.events::<Datasets::DatasetRegistered>(d, Contract::Datasets);
    let registered = registered.into_iter().find(|s| s.event.id == id)?.event;
    let updated = history.events::<Datasets::DatasetUpdated>(d, Contract::Datasets).into_iter();
    let report = updated.filter(|s| s.event.id == id).map(|s| s.event.reportHash).next_back();
    let changed = history.events::<Datasets::PolicyChanged>(d, Contract::Datasets).into_iter();
    let policy = changed.filter(|s| s.event.id == id).map(|s| s.event.policyHash).next_back();
    Some(DatasetRecord {
        id,
        policy: policy.unwrap_or(registered.policyHash),
        report: report.unwrap_or(registered.reportHash),
    })
}
