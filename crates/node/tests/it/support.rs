//! One run, made once for all tests, and copies of its folder to do damage to.

#![allow(clippy::unwrap_used)]
#![allow(dead_code)] // Two test programs use this file, each of them another part of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use histone_compliance::folder::{Folder, Manifest, RunRecord};
use histone_compliance::verify::{Check, Outcome, Report, verify};
use histone_network::BlobStore;
use histone_node::party::Entropy;
use histone_node::run::{DropOut, Observer, Options, run};
use histone_node::study::{Study, Tokens};
use histone_protocol::keys::SigningKey;
use histone_protocol::record::{Record, Signed};
use histone_protocol::{Address, B256};

pub struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: usize, _: usize, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn round(&mut self, _: u32, _: u32, _: &str) {}
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Where the method of the bundled study meets the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum At {
    /// In an enclave of each owner.
    EachOwner,
    /// In one enclave.
    OneEnclave,
}

/// The folder of one finished run of the bundled study.
fn original(at: At) -> &'static Path {
    static RUNS: [OnceLock<(tempfile::TempDir, PathBuf)>; 2] = [OnceLock::new(), OnceLock::new()];
    let (_, path) = RUNS[at as usize].get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let mut study = Study::bundled().unwrap();
        // A price that does not divide, so that rounding leaves something in the market.
        study.model.query_price = Tokens::from_micro(2_333_331);
        let drop_out = DropOut { participant: study.participants[1].name.clone(), round: 5 };
        let drop_outs = match at {
            At::EachOwner => vec![drop_out],
            At::OneEnclave => {
                study = study.in_one_enclave();
                vec![]
            }
        };
        let options = Options {
            out: out.clone(),
            entropy: Entropy::Seed(1),
            start_time: 1_800_000_000,
            network: None,
            withdrawals: vec![],
            drop_outs,
        };
        block_on(run(&study, &options, &mut Silent)).unwrap();
        (dir, out)
    });
    path
}

/// A copy of the run, with every key that its parties had.
pub struct Copy {
    _dir: tempfile::TempDir,
    /// Where it was copied from.
    original: PathBuf,
    pub folder: Folder,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

impl Copy {
    pub fn new() -> Self {
        Self::from(original(At::EachOwner))
    }

    pub fn of(at: At) -> Self {
        Self::from(original(at))
    }

    /// Of another finished run.
    pub fn from(original: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(original, &dir.path().join("run"));
        let folder = Folder::at(dir.path().join("run"));
        Self { _dir: dir, original: original.into(), folder }
    }

    pub fn verify(&self) -> Report {
        let mut heard = Vec::new();
        let report = block_on(verify(self.folder.root(), &mut |c: &Check| heard.push(c.clone()))).unwrap();
        assert_eq!(heard, report.checks);
        report
    }

    /// The key of a party, which a forger who is that party has.
    pub fn key(&self, party: &str) -> SigningKey {
        let private = self.original.with_file_name("run.private");
        let bytes = fs::read(private.join(party).join("signing.key")).unwrap();
        SigningKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
    }

    /// Name of the first party with this role.
    pub fn name_of(&self, role: &str) -> String {
        self.record().parties.into_iter().find(|p| p.role == role).unwrap().name
    }

    /// Name of the party with this account.
    pub fn name(&self, account: Address) -> String {
        self.record().parties.into_iter().find(|p| p.account == account).unwrap().name
    }

    pub fn record(&self) -> RunRecord {
        self.folder.read(&self.folder.record()).unwrap().0
    }

    pub fn blobs(&self) -> BlobStore {
        BlobStore::at(self.folder.blobs())
    }

    pub fn open<T: Record>(&self, blob: B256) -> (T, Address) {
        Signed::from_bytes(&self.blobs().get(blob).unwrap()).unwrap().open().unwrap()
    }

    pub fn sign<T: Record>(&self, statement: &T, party: &str) -> B256 {
        self.blobs().put(&Signed::sign(statement, &self.key(party)).unwrap().to_bytes()).unwrap()
    }

    /// Changes the run record and signs everything again, as an operator who lies would.
    pub fn rewrite(&self, change: impl FnOnce(&mut RunRecord)) {
        let mut record = self.record();
        change(&mut record);
        self.folder.write(&self.folder.record(), &record, &self.key("operator")).unwrap();
        self.seal();
    }

    /// Signs a manifest over the files as they are now.
    pub fn seal(&self) {
        let (manifest, _) = self.folder.read::<Manifest>(&self.folder.manifest()).unwrap();
        let manifest = Manifest { files: self.folder.hash_files().unwrap(), ..manifest };
        self.folder.write(&self.folder.manifest(), &manifest, &self.key("operator")).unwrap();
    }

    /// Demands that exactly these checks fail, and that they tell all of these problems.
    #[track_caller]
    pub fn fails(&self, names: &[&str], problems: &[&str]) {
        let report = self.verify();
        let failed: Vec<&Check> = report.checks.iter().filter(|c| c.outcome == Outcome::Fails).collect();
        // A name that is changed in run.json leaves a blob without a name behind; the tests of that say so.
        let counts = |c: &&&Check| c.name != "leaves" || names.contains(&"leaves");
        let found: Vec<&str> = failed.iter().filter(counts).map(|c| c.name).collect();
        assert_eq!(found, names, "{failed:#?}");
        assert!(!report.holds());
        for problem in problems {
            assert!(failed.iter().any(|c| c.detail.contains(problem)), "expected `{problem}` in {failed:#?}");
        }
    }
}
