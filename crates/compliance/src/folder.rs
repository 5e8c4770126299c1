//! Layout of a run folder.
//!
//! | path | content |
//! |---|---|
//! | `ledger/` | the embedded chain: every raw transaction, block and the state; not there after a run on a network |
//! | `blobs/` | files named by the BLAKE3 hash of their bytes: profiles of members, programs, sources, audits, evidence, policies, papers, decisions, headers, updates, partial sums, models, evaluations |
//! | `run.json` | [`RunRecord`], signed by the operator: which blob is what |
//! | `result.json` | the table that the run printed |
//! | `manifest.json` | [`Manifest`], signed by the operator: every file with its hash |
//! | `UNFINISHED` | there while a run is going on, and after one that did not end |
//!
//! Private state of the parties lies elsewhere (`<folder>.private/<party>`), so that this folder can be given away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use histone_contracts::Deployment;
use histone_ledger::Settings;
use histone_network::{StoreError, io_error, write_whole};
use histone_program_sdk::method::{Cell, Fact};
use histone_protocol::evidence::Platform;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SigningKey;
use histone_protocol::record::{Record, RecordError, Signed};
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

/// Version of the layout and of the documents in it.
pub const FORMAT: &str = "histone-run/5";

/// A fact that a method says of a finished training, as the result has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactTable {
    /// Its name, the same in every training.
    pub name: String,
    /// What it says, in a sentence.
    pub says: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Numbers and words; null where there is no number.
    pub rows: Vec<Vec<serde_json::Value>>,
}

/// The facts of a training as the result has them.
pub fn fact_tables(facts: &[Fact]) -> Vec<FactTable> {
    let cell = |cell: &Cell| match cell {
        // What is no finite number becomes null.
        Cell::Number { value } => serde_json::json!(value),
        Cell::Text { text } => serde_json::json!(text),
    };
    let rows = |fact: &Fact| fact.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let table = |fact: &Fact| FactTable {
        name: fact.name.clone(),
        says: fact.says.clone(),
        columns: fact.columns.clone(),
        rows: rows(fact),
    };
    facts.iter().map(table).collect()
}

/// Why a folder cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A signed document is not valid.
    #[error("`{path}` is not valid")]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RecordError,
    },
}

/// Paths of a run folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `root`; nothing is created.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Directory of the chain.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// Directory of the blobs.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The run record.
    pub fn record(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// The printed result.
    pub fn result(&self) -> PathBuf {
        self.root.join("result.json")
    }

    /// The list of files.
    pub fn manifest(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// The mark of an unfinished run.
    pub fn unfinished(&self) -> PathBuf {
        self.root.join("UNFINISHED")
    }

    /// Writes a signed document whole or not at all.
    pub fn write<T: Record>(&self, path: &Path, record: &T, key: &SigningKey) -> Result<(), FolderError> {
        let signed = Signed::sign(record, key)
            .map_err(|source| FolderError::Record { path: path.to_owned(), source })?;
        Ok(write_whole(path, &signed.to_bytes())?)
    }

    /// Reads a signed document and checks its signature; gives it with its signer.
    pub fn read<T: Record>(&self, path: &Path) -> Result<(T, Address), FolderError> {
        let bytes = fs::read(path).map_err(io_error("read", path))?;
        Signed::from_bytes(&bytes)
            .and_then(|signed| signed.open())
            .map_err(|source| FolderError::Record { path: path.to_owned(), source })
    }

    /// Hashes every file below the folder but the manifest and the mark of an unfinished run. Paths are relative with
    /// `/` between their parts.
    pub fn hash_files(&self) -> Result<BTreeMap<String, FileEntry>, FolderError> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).map_err(io_error("list", &directory))? {
                let path = entry.map_err(io_error("list", &directory))?.path();
                if path.is_dir() {
                    directories.push(path);
                    continue;
                }
                if path == self.manifest() || path == self.unfinished() {
                    continue;
                }
                let bytes = fs::read(&path).map_err(io_error("read", &path))?;
                let name = path.strip_prefix(&self.root).unwrap_or(&path).components();
                let name: Vec<_> = name.map(|c| c.as_os_str().to_string_lossy()).collect();
                files.insert(
                    name.join("/"),
                    FileEntry { bytes: bytes.len() as u64, blake3: blob_hash(&bytes) },
                );
            }
        }
        Ok(files)
    }
}

/// One file of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: B256,
}

/// Every file of a finished run, and the head of its chain at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Hash of the last block.
    pub head: B256,
    /// Number of the last block.
    pub height: u64,
    /// Digest of the contract state. None after a run on a network, whose nodes do not give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_digest: Option<B256>,
    /// Files by relative path.
    pub files: BTreeMap<String, FileEntry>,
}

impl Record for Manifest {
    const KIND: &'static str = "run-manifest";
}

/// A party of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyRecord {
    /// Its name in the study file.
    pub name: String,
    /// What it does: `operator`, `participant`, `trainer`, `runner`, `auditor`, `committee member`, `end user` or, for who
    /// does nothing, `stranger`.
    pub role: String,
    /// Its account.
    pub account: Address,
    /// Further accounts that belong to it, each made to be paid for one model. They keep money apart and hide nobody: the
    /// ledger names each beside its dataset and so beside its owner.
    pub payees: Vec<Address>,
}

/// A registered program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramRecord {
    /// Its name.
    pub name: String,
    /// Its measurement, the ledger's key.
    pub measurement: B256,
    /// Blob of the wasm module; none of a method of closed source.
    pub wasm: Option<B256>,
    /// Blob of the canonical source listing; none of a method of closed source.
    pub source: Option<B256>,
    /// Blob of the signed audit report.
    pub audit: B256,
}

/// A registered dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetRecord {
    /// The ledger's key.
    pub id: B256,
    /// Blob of the signed consent policy.
    pub policy: B256,
    /// Blob of the signed validation report.
    pub report: B256,
}

/// A proposed model with the owners' answers, and what came of its training where it was trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// The ledger's number.
    pub model_id: u64,
    /// Blob of the signed white paper.
    pub paper: B256,
    /// Blob of its plan.
    pub plan: B256,
    /// Blobs of the owners' signed decisions.
    pub decisions: Vec<B256>,
    /// Rounds of its training; none when it was not trained, or in one enclave.
    pub rounds: Vec<RoundRecord>,
    /// Blob of what the one enclave says that had all data; none when each owner had its own, or it was not trained.
    pub hosted: Option<B256>,
    /// Blob of the finished model; none when there is none.
    pub model: Option<B256>,
    /// Blobs of the sites' signed evaluations of it.
    pub evaluations: Vec<B256>,
    /// Answered queries to it.
    pub queries: Vec<QueryRecord>,
}

impl ModelRecord {
    /// A model that was proposed, and nothing else so far.
    pub fn proposed(model_id: u64, paper: B256, plan: B256, decisions: Vec<B256>) -> Self {
        let (rounds, evaluations, queries) = (Vec::new(), Vec::new(), Vec::new());
        Self { model_id, paper, plan, decisions, rounds, hosted: None, model: None, evaluations, queries }
    }

    /// Whether a round of it was opened, or one enclave has made it.
    pub fn is_trained(&self) -> bool {
        !self.rounds.is_empty() || self.hosted.is_some()
    }
}

/// A training round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundRecord {
    /// Its number from 1.
    pub round: u32,
    /// Stage of the plan.
    pub stage: String,
    /// Blob of the header.
    pub header: B256,
    /// Blob of each survivor's update, by donor number.
    pub updates: BTreeMap<u16, B256>,
    /// Blobs of the committee's partial sums.
    pub partials: Vec<B256>,
}

/// A query that was answered. What others paid for and nobody answered is on the ledger only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRecord {
    /// The ledger's key.
    pub query_id: B256,
    /// Blob of the sealed question, whose hash is the job id.
    pub question: B256,
    /// Blob of the sealed answer, whose hash is the settled output.
    pub answer: B256,
}

/// The part of a network's history that a run is in. How its nodes are reached is not kept: an address may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRecord {
    /// The first block that can hold anything of the run. The last one is in the manifest.
    pub first_block: u64,
}

/// What a run left, and which blob is what. Everything in it is checked against the ledger or recomputed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the study.
    pub study: String,
    /// What vouches for the enclaves of this run.
    pub platform: Platform,
    /// Root account of the SIMULATED vendor.
    pub vendor: Address,
    /// Oldest evidence that the owners accept, in seconds.
    pub evidence_max_age: u64,
    /// Set after a run on a network; the ledger is otherwise the embedded chain in the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecord>,
    /// Where the contracts are.
    pub deployment: Deployment,
    /// With what the contracts were deployed.
    pub settings: Settings,
    /// Everybody with an account.
    pub parties: Vec<PartyRecord>,
    /// Programs.
    pub programs: Vec<ProgramRecord>,
    /// Blobs of the evidence of every registered enclave.
    pub evidence: Vec<B256>,
    /// Datasets.
    pub datasets: Vec<DatasetRecord>,
    /// Models by the ledger's numbers. The first one is what the run was made for, and what its result speaks of.
    pub models: Vec<ModelRecord>,
}

impl Record for RunRecord {
    const KIND: &'static str = "run-record";
}
