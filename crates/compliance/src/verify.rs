//! A stranger's check of a run folder: no key, no network, no trust in whoever made it.
//!
//! A run whose ledger is on a network is checked by [`verify_on`] with a node of that network: it tells the history, and
//! the checks are the same but for the execution, which is the network's own matter.
//!
//! [`verify`] makes the checks in this order and tells each to an observer as soon as it is made:
//!
//! | check | holds when |
//! |---|---|
//! | `folder` | there is a folder of a run that ended |
//! | `manifest` | every file has the bytes that the operator signed for, and there is no other file and none that a run does not leave |
//! | `chain` | every transaction, executed again, gives the stored blocks and state; the operator signed this head. Not checkable here when a network executed them |
//! | `record` | the operator signed what is what; the contracts are ours, made with our code, named by the directory, administrated by the members |
//! | `auditor` | only with an auditor's key: it is the key of an account that a white paper names as an auditor |
//! | `programs` | each module has the measurement on the ledger, an audit by the auditor on the ledger, and was allowed |
//! | `enclaves` | the evidence that was the newest of an enclave when something was made with it binds its keys, program, configuration and operator |
//! | `datasets` | each version of a dataset in a round has a validation report by an attested enclave, and the policy under which it was donated is its owner's |
//! | `decisions` | each consent decision comes out again from its facts, and only permitted data is in a sum |
//! | `rounds` | each sum, training state and the model come out again from the public blobs; where sums are sealed, more than half of the enclaves in each have signed what it led to, each header follows from that, and an auditor's key opens them |
//! | `evaluations` | what the enclaves of the donors in the last sum report on this model adds up to it; not checkable where some report nothing |
//! | `queries` | each settled query has its question and answer, each other one has none |
//! | `money` | all money is where the rules put it |
//! | `result` | the printed result is what was recomputed, leaf by leaf |
//! | `leaves` | every leaf of every JSON document has a row in the table ([`table()`], `docs/verify.md`), and every blob is named and was opened, or is one that a sum was to be made of |
//!
//! [`verify_model`] makes the checks from `programs` to `queries` of one model on any ledger, without a run folder.
//!
//! Then come the things that nobody can check from a folder, each with the reason: [`Outcome::NotCheckable`]. Among them
//! is each row of the table that is claimed.
//!
//! A failed check does not hide the later ones, unless they rest on what failed: nothing can be said of contracts on a
//! chain that does not execute.
//!
//! ```no_run
//! # async fn example() -> Result<(), histone_compliance::verify::VerifyError> {
//! use histone_compliance::verify::verify;
//!
//! let report = verify("run".as_ref(), &mut |check| println!("{:14} {} {}", check.outcome, check.name, check.detail)).await?;
//! assert!(report.holds());
//! # Ok(())
//! # }
//! ```
//!
//! Everything in a folder is a stranger's: sizes are bounded before anything is read, links are not followed, and bytes
//! that do not decode are a failed check.

mod cohort;
mod course;
mod datasets;
mod decisions;
mod enclaves;
mod evaluations;
mod files;
mod findings;
#[cfg(test)]
mod founder;
mod gather;
mod held;
mod history;
mod hosted;
mod leaves;
mod money;
mod on_ledger;
mod outside;
mod parties;
mod programs;
mod queries;
mod record;
mod result;
mod rounds;
mod run;
mod table;
mod used;

use std::fmt;
use std::path::{Path, PathBuf};

use histone_attestation::platform::is_hardware;
use histone_contracts::Deployment;
use histone_ledger::{Connection, FollowError};
use histone_network::StoreError;
use histone_protocol::Address;
use histone_protocol::evidence::Platform;
use histone_protocol::plan::PlanDocument;
use histone_protocol::seal::SealKey;
use serde::Serialize;

use crate::folder::{Folder, ModelRecord};

pub use course::Auditor;
pub use gather::Step as Progress;
pub use on_ledger::{Source, verify_model};
pub use outside::{Outside, verify_network};
pub use table::{Basis, Row, Step, TABLE, document_of, lookup, print as table};

/// What came out of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is so.
    Holds,
    /// It is not so; the detail names what.
    Fails,
    /// Nobody can tell from a run folder; the detail says why.
    NotCheckable,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Holds => "holds",
            Outcome::Fails => "FAILS",
            Outcome::NotCheckable => "not checkable",
        })
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Short and stable.
    pub name: &'static str,
    /// What came out.
    pub outcome: Outcome,
    /// What was checked, or what is wrong with which file, blob, party, block, model or round. One line.
    pub detail: String,
}

/// All checks of a folder, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The checks that were made, and what cannot be checked.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether nothing failed.
    pub fn holds(&self) -> bool {
        !self.checks.is_empty() && self.first_failure().is_none()
    }

    /// The first check that failed.
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks.iter().find(|check| check.outcome == Outcome::Fails)
    }
}

/// Why there is nothing to verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// No such directory.
    #[error("`{}` is not a directory; give the folder that a run left", .0.display())]
    NotADirectory(PathBuf),
    /// A directory of something else.
    #[error("`{}` is not the folder of a run: it has neither `manifest.json` nor `run.json`; one model of a ledger is checked with --model NUMBER", .0.display())]
    NotARun(PathBuf),
    /// The run is going on or was broken off.
    #[error(
        "the run in `{}` did not end: `UNFINISHED` is there{}",
        .0.root().display(), replay_of(.0)
    )]
    Unfinished(Folder),
    /// The ledger is not in the folder.
    #[error(
        "the ledger of the run in `{}` is on the network with chain id {chain_id}, its directory is {directory}; give the address of a node: histone verify {} --rpc URL",
        .dir.display(), .dir.display()
    )]
    OnNetwork {
        /// The folder.
        dir: PathBuf,
        /// The network.
        chain_id: u64,
        /// The contract that names all others.
        directory: Address,
    },
    /// A chain has several ledgers or none.
    #[error("{}", match .0 {
        0 => "there is no Histone ledger on this chain; is it the right one?".to_string(),
        more => format!("the chain has {more} ledgers; name the directory of one"),
    })]
    Directories(usize),
    /// A node was given for a folder that needs none.
    #[error("the ledger of the run in `{}` is in the folder itself; leave out --rpc", .0.display())]
    InFolder(PathBuf),
    /// The ledger cannot be asked.
    #[error("the ledger cannot be asked")]
    Node(#[from] histone_contracts::LedgerError),
    /// The ledger of a network cannot be fetched.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// There is no room for what is fetched.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What can be checked of a run that did not end.
fn replay_of(folder: &Folder) -> String {
    let ledger = folder.ledger();
    if !ledger.exists() {
        return String::new();
    }
    format!("; check its ledger alone with `histone chain replay {}`", ledger.display())
}

/// Collects checks and tells them on.
struct Reporter<'a> {
    checks: Vec<Check>,
    /// The model that the checks are about, where they are about several.
    about: Option<u64>,
    observer: &'a mut dyn FnMut(&Check),
}

impl<'a> Reporter<'a> {
    fn new(observer: &'a mut dyn FnMut(&Check)) -> Self {
        Self { checks: Vec::new(), about: None, observer }
    }

    fn add(&mut self, mut check: Check) {
        // The check of the model itself says of which one it is.
        if let Some(model) = self.about.filter(|_| check.name != "model" || check.outcome == Outcome::Fails) {
            check.detail = format!("model {model}: {}", check.detail);
        }
        (self.observer)(&check);
        self.checks.push(check);
    }
}

/// Checks the run folder `dir`. The observer hears each check as soon as it is made.
///
/// The chain is executed again and every sum is opened again, so this takes about as long as a part of the run itself.
///
/// # Errors
/// [`VerifyError`] when there is no folder of a finished run, or its ledger is on a network. Whatever is wrong inside such
/// a folder is a failed check.
pub async fn verify(dir: &Path, observer: &mut dyn FnMut(&Check)) -> Result<Report, VerifyError> {
    run_folder(dir, Look::default(), observer).await
}

/// What a reader has beside a folder.
#[derive(Clone, Copy, Default)]
pub struct Look<'a> {
    /// A node of the network on which the ledger is.
    pub node: Option<&'a Connection>,
    /// The key of an auditor, who recomputes what is sealed.
    pub auditor: Option<&'a SealKey>,
}

/// Checks the run folder `dir` with what the reader has beside it.
///
/// # Errors
/// As [`verify`] and [`verify_on`].
pub async fn verify_with(
    dir: &Path,
    look: Look<'_>,
    observer: &mut dyn FnMut(&Check),
) -> Result<Report, VerifyError> {
    run_folder(dir, look, observer).await
}

/// Checks the run folder `dir`, whose ledger is on a network, by what a node of the network tells.
///
/// # Errors
/// [`VerifyError`] when there is no folder of a finished run on a network, or the node does not answer at the beginning.
/// Whatever is wrong inside such a folder or with the node's later answers is a failed check.
pub async fn verify_on(
    dir: &Path,
    node: &Connection,
    observer: &mut dyn FnMut(&Check),
) -> Result<Report, VerifyError> {
    run_folder(dir, Look { node: Some(node), auditor: None }, observer).await
}

async fn run_folder(
    dir: &Path,
    look: Look<'_>,
    observer: &mut dyn FnMut(&Check),
) -> Result<Report, VerifyError> {
    let node = look.node;
    let folder = Folder::at(dir);
    if !dir.is_dir() {
        return Err(VerifyError::NotADirectory(dir.to_owned()));
    }
    // Also a dangling link called UNFINISHED counts: a finished run has nothing of this name.
    if folder.unfinished().symlink_metadata().is_ok() {
        return Err(VerifyError::Unfinished(folder));
    }
    if !folder.manifest().exists() && !folder.record().exists() {
        return Err(VerifyError::NotARun(dir.to_owned()));
    }
    match (node, record::network_of(&folder)) {
        (None, Some(deployment)) => {
            let Deployment { chain_id, directory, .. } = deployment;
            return Err(VerifyError::OnNetwork { dir: dir.to_owned(), chain_id, directory });
        }
        (Some(_), None) if folder.ledger().exists() => return Err(VerifyError::InFolder(dir.to_owned())),
        (Some(node), _) => {
            node.chain_id().await?;
        }
        (None, None) => {}
    }
    let mut reporter = Reporter::new(observer);
    let detail = format!("`{}` is the folder of a run that ended", dir.display());
    reporter.add(Check { name: "folder", outcome: Outcome::Holds, detail });
    contents(&folder, look, &mut reporter).await;
    Ok(Report { checks: reporter.checks })
}

async fn contents(folder: &Folder, look: Look<'_>, reporter: &mut Reporter<'_>) {
    let node = look.node;
    let (check, manifest) = files::check(folder);
    reporter.add(check);
    let (check, source) = match node {
        None => record::chain(folder, manifest.as_ref()),
        Some(node) => record::network(folder, manifest.as_ref(), node).await,
    };
    reporter.add(check);
    let Some(source) = source else { return };
    let (check, run) = record::check(folder, source);
    reporter.add(check);
    let Some(mut run) = run else { return };
    audit(&mut run, look.auditor, reporter);
    let found = model_checks(&run, reporter).await;
    let (check, balances) = money::check(&run).await;
    reporter.add(check);
    reporter.add(result::check(&run, &folder.result(), &found, &balances));
    // A check that found something may have ended early and left blobs unopened.
    let complete = reporter.checks.iter().all(|check| check.outcome != Outcome::Fails);
    reporter.add(leaves::check(&run, folder, complete));
    open_ends(run.record.platform, node.is_some()).for_each(|check| reporter.add(check));
    enclaves_words(&run).for_each(|check| reporter.add(check));
    leaves::claims(node.is_some()).for_each(|claim| reporter.add(claim));
}

/// Lets whoever holds an auditor's key look at what is sealed.
fn audit(run: &mut run::Run, key: Option<&SealKey>, reporter: &mut Reporter<'_>) {
    let Some(key) = key else { return };
    let (check, auditor) = course::auditor(run, key);
    reporter.add(check);
    run.audited_by(auditor);
}

/// The checks of models and of what they rest on, up to their queries.
async fn model_checks(run: &run::Run, reporter: &mut Reporter<'_>) -> result::Found {
    reporter.add(programs::check(run));
    let used = used::Used::by(run);
    let (check, enclaves) = enclaves::check(run, &used);
    reporter.add(check);
    let (check, datasets) = datasets::check(run, &enclaves, &used);
    reporter.add(check);
    let (check, recruited) = decisions::check(run, &enclaves, &datasets, &used);
    reporter.add(check);
    let donors = &recruited.donors;
    let committees = cohort::committees(run).await;
    let basis = cohort::Basis {
        donors,
        datasets: &datasets,
        enclaves: &enclaves,
        papers: &recruited.papers,
        plans: &recruited.plans,
        committees: &committees,
    };
    let (check, ends) = rounds::check(run, &basis);
    reporter.add(check);
    let (check, sites) = evaluations::check(run, donors, &enclaves, &recruited.plans, &ends);
    reporter.add(check);
    reporter.add(queries::check(run, &enclaves));
    result::Found { trained: ends.trained, recruited, datasets, sites }
}

/// What nobody can check. On a network the check of the chain says so of the history; of real hardware there would be something
/// to check.
fn open_ends(platform: Platform, on_network: bool) -> impl Iterator<Item = Check> {
    let checked = move |name: &str| match name {
        "one history" => on_network,
        "hardware" => is_hardware(platform),
        _ => false,
    };
    let open = NOT_CHECKABLE.into_iter().filter(move |(name, _)| !checked(name));
    open.map(|(name, detail)| Check { name, outcome: Outcome::NotCheckable, detail: detail.into() })
}

/// What nobody can check because enclaves alone have seen it.
fn enclaves_words(run: &run::Run) -> impl Iterator<Item = Check> {
    let plan = |model: &ModelRecord| PlanDocument::from_bytes(&run.blob(model.plan).ok()?).ok();
    let trained = run.record.models.iter().filter(|model| model.is_trained());
    let mut said = Vec::new();
    for (id, plan) in trained.filter_map(|model| Some((model.model_id, plan(model)?))) {
        let shown = &plan.disclosure;
        if shown.in_one_enclave() {
            said.push((
                "one enclave",
                format!("that model {id} was made of its data by its method, and that the data is destroyed, is that enclave's word: nobody can compute it again"),
            ));
        } else if shown.is_sealed() && !run.auditor().is_some_and(|a| shown.auditors.contains(&a.account)) {
            said.push((
                "sealed sums",
                format!("the sums of model {id} are seen by the enclaves of its rounds alone, and by auditors whom its paper names: that they lead to it is their word"),
            ));
        }
        if shown.is_closed() {
            said.push((
                "closed method",
                format!("what the method of model {id} does, and what its numbers carry, nobody can read but its author and the auditor to whom it was shown"),
            ));
        }
    }
    said.into_iter().map(|(name, detail)| Check { name, outcome: Outcome::NotCheckable, detail })
}

/// What a folder cannot show.
const NOT_CHECKABLE: [(&str, &str); 5] = [
    (
        "hardware",
        "the enclaves are SIMULATED: their evidence is consistent, but no hardware vouches for what ran in them",
    ),
    ("rows", "the rows behind the commitments are private; that they are true is the owners' word"),
    (
        "builds",
        "that the modules come from the listed sources is the auditor's word here; build the programs again to see it",
    ),
    (
        "one history",
        "a replay shows that this chain is consistent, not that its operator made no other; compare the head with one that others noted",
    ),
    (
        "open questions",
        "what was asked in a query that nobody answered: the ledger has only its price and what became of it",
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    async fn run(dir: &Path) -> Result<Report, VerifyError> {
        let mut heard = 0;
        let report = verify(dir, &mut |_| heard += 1).await?;
        assert_eq!(heard, report.checks.len());
        Ok(report)
    }

    #[tokio::test]
    async fn says_what_is_no_run_folder() {
        let dir = tempfile::tempdir().unwrap();
        let error = run(&dir.path().join("none")).await.unwrap_err();
        assert!(error.to_string().contains("is not a directory"), "{error}");
        let error = run(dir.path()).await.unwrap_err();
        assert!(error.to_string().contains("neither `manifest.json` nor `run.json`"), "{error}");
        fs::write(dir.path().join("run.json"), b"{}").unwrap();
        fs::write(dir.path().join("UNFINISHED"), b"").unwrap();
        // After a run on a network there is no chain to replay.
        let error = run(dir.path()).await.unwrap_err();
        assert!(error.to_string().ends_with("did not end: `UNFINISHED` is there"), "{error}");
        let ledger = dir.path().join("ledger");
        fs::create_dir(&ledger).unwrap();
        let error = run(dir.path()).await.unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("`histone chain replay {}`", ledger.display())),
            "{error}"
        );
    }

    #[tokio::test]
    async fn rubbish_fails_and_stops_at_the_chain() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("run.json"), b"{}").unwrap();
        fs::create_dir(dir.path().join("ledger")).unwrap();
        fs::write(dir.path().join("ledger").join(histone_chain::FILE_NAME), [7; 5000]).unwrap();
        let report = run(dir.path()).await.unwrap();
        let outcomes: Vec<_> = report.checks.iter().map(|c| (c.name, c.outcome)).collect();
        assert_eq!(
            outcomes,
            [("folder", Outcome::Holds), ("manifest", Outcome::Fails), ("chain", Outcome::Fails)]
        );
        assert!(!report.holds());
        assert_eq!(report.first_failure().unwrap().name, "manifest");
        assert_eq!(serde_json::to_value(&report).unwrap()["checks"][0]["outcome"], "holds");
    }

    #[test]
    fn nothing_checked_is_not_in_order() {
        assert!(!Report { checks: Vec::new() }.holds());
    }
}
