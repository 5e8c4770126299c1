//! What the ledger names of a model, fetched before anything rests on it: whoever keeps public storage could otherwise choose what a
//! check sees.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use histone_contracts::{Contract, Datasets, Enclaves, Market, Programs, Rounds};
use histone_network::BlobStore;
use histone_protocol::consent::WhitePaper;
use histone_protocol::plan::PlanDocument;
use histone_protocol::{Address, B256};

use super::Check;
use super::findings::{Findings, count, told};
use super::run::Run;
use super::used::Locked;

/// Something of which there may be much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A block was executed.
    Block {
        /// Its number.
        number: u64,
        /// The number of the newest one there.
        of: u64,
    },
    /// A blob was fetched, or looked for in vain.
    Blob {
        /// The model that it is about.
        model: u64,
        /// Its place among them, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// Bytes of all so far.
        bytes: u64,
    },
}

/// A blob that the ledger names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    hash: B256,
    what: String,
    /// Whether nobody can tell without it that a donor was rightly left out: no other check asks for it then.
    decides: bool,
}

/// The programs on which a model rests. The paper may believe further ones than the plan's.
pub(super) fn programs(paper: &WhitePaper, plan: &PlanDocument) -> BTreeSet<B256> {
    let plans = [plan.programs.validation, plan.programs.training, plan.programs.query];
    plans.into_iter().chain(paper.programs.iter().copied()).collect()
}

/// The blobs that the ledger names of a model and of what it rests on, each once. What is named within them is not among them, and
/// what checks ask for by themselves.
pub(super) fn wanted(run: &Run, number: u64, paper: &WhitePaper, plan: &PlanDocument) -> Vec<Wanted> {
    let id = U256::from(number);
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut want = |hash: B256, decides: bool, what: String| match wanted.iter_mut().find(|w| w.hash == hash)
    {
        Some(known) => known.decides |= decides,
        None => wanted.push(Wanted { hash, what, decides }),
    };
    let (mut datasets, mut judged, mut others) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for s in run.events::<Market::Donated>(Contract::Market).into_iter().filter(|s| s.event.modelId == id) {
        let e = s.event;
        want(e.decision, false, format!("the decision of donor {}", e.donorIndex));
        datasets.insert(e.datasetId);
        judged.insert(e.enclave);
    }
    let registered = run.events::<Datasets::DatasetRegistered>(Contract::Datasets).into_iter();
    for e in registered.map(|s| s.event).filter(|e| datasets.contains(&e.id)) {
        want(e.policyHash, false, format!("the policy of the dataset {}", e.id));
        want(e.reportHash, false, format!("the report of the dataset {}", e.id));
        judged.insert(e.enclave);
    }
    let updated = run.events::<Datasets::DatasetUpdated>(Contract::Datasets).into_iter();
    for e in updated.map(|s| s.event).filter(|e| datasets.contains(&e.id)) {
        want(e.reportHash, false, format!("a later report of the dataset {}", e.id));
        judged.insert(e.enclave);
    }
    let changed = run.events::<Datasets::PolicyChanged>(Contract::Datasets).into_iter();
    for e in changed.map(|s| s.event).filter(|e| datasets.contains(&e.id)) {
        want(e.policyHash, false, format!("a later policy of the dataset {}", e.id));
    }
    let hosts = run.events::<Market::TrainingHosted>(Contract::Market).into_iter();
    others.extend(hosts.filter(|s| s.event.modelId == id).map(|s| s.event.enclave));
    let bought = run.events::<Market::QueryBought>(Contract::Market).into_iter();
    others.extend(bought.filter(|s| s.event.modelId == id).map(|s| s.event.enclave));
    let mut evidence = |signer: Address, hash: B256| {
        let decides = judged.contains(&signer);
        if decides || others.contains(&signer) {
            want(hash, decides, format!("the evidence of the enclave {signer}"));
        }
    };
    for s in run.events::<Enclaves::EnclaveRegistered>(Contract::Enclaves) {
        evidence(s.event.signer, s.event.evidenceHash);
    }
    for s in run.events::<Enclaves::EnclaveRefreshed>(Contract::Enclaves) {
        evidence(s.event.signer, s.event.evidenceHash);
    }
    let programs = programs(paper, plan);
    let audited = run.events::<Programs::ProgramAudited>(Contract::Programs).into_iter();
    for e in audited.map(|s| s.event).filter(|e| programs.contains(&e.measurement)) {
        want(e.reportHash, false, format!("an audit of the program {}", e.measurement));
    }
    if plan.disclosure.is_closed() {
        want(plan.manifest, false, "the manifest of its method".into());
    }
    let anchored = run.events::<Rounds::UpdateAnchored>(Contract::Rounds);
    let ended = run.events::<Rounds::RoundFinal>(Contract::Rounds);
    for opened in run.events::<Rounds::RoundOpened>(Contract::Rounds) {
        let round = opened.event.round;
        if opened.event.modelId != id {
            continue;
        }
        want(opened.event.headerHash, false, format!("the header of round {round}"));
        // What a round without a sum has left nobody opens.
        let here = |model: U256, number: u32| (model, number) == (id, round);
        let Some(last) = ended.iter().find(|s| here(s.event.modelId, s.event.round)) else { continue };
        let Some(locked) = Locked::of(run, &opened) else { continue };
        for e in anchored.iter().map(|s| &s.event).filter(|e| here(e.modelId, e.round)) {
            if locked.survivors.contains(&e.donorIndex) {
                want(e.blobHash, false, format!("the update of donor {} in round {round}", e.donorIndex));
            }
        }
        for posted in locked.kept() {
            want(posted.hash, false, format!("the partial sum of {} in round {round}", posted.member));
        }
        if plan.disclosure.is_sealed() {
            want(last.event.aggregateHash, false, format!("what the enclaves of round {round} have signed"));
        }
    }
    let hosted = run.events::<Market::HostedModel>(Contract::Market).into_iter();
    for s in hosted.filter(|s| s.event.modelId == id) {
        want(s.event.statementHash, false, "what the one enclave says that has made it".into());
    }
    wanted
}

/// Fetches them. Fails when without one that is not there nobody can tell whether a donor was rightly left out; a check that needs
/// another one fails by itself.
pub(super) fn fetch(
    wanted: Vec<Wanted>,
    blobs: &BlobStore,
    model: u64,
    heard: &mut dyn FnMut(Step),
) -> Check {
    let mut findings = Findings::new("blobs");
    let (mut bytes, mut missing, of) = (0u64, Vec::new(), wanted.len());
    for (number, Wanted { hash, what, decides }) in (1..).zip(wanted) {
        match blobs.read(hash) {
            Ok(blob) => bytes = bytes.saturating_add(blob.len() as u64),
            Err(error) => {
                let about = format!("{what} ({})", told(&error));
                if decides {
                    findings.fail(format!(
                        "{about}: without it nobody can tell whether a donor was rightly left out or taken in"
                    ));
                }
                missing.push(about);
            }
        }
        heard(Step::Blob { model, number, of, bytes });
    }
    let there = count(of - missing.len(), "blob", "blobs");
    let mut holds =
        format!("{there} that the ledger names, {bytes} bytes, fetched, each with the hash that is its name");
    if !missing.is_empty() {
        let shown = missing.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>().join("; ");
        let more = missing.len().saturating_sub(MOST_SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        holds.push_str(&format!(
            ". Withheld, or never brought: {shown}{more}. A check that rests on one of them fails below"
        ));
    }
    findings.check(holds)
}

/// Missing blobs that are named.
const MOST_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::verify::Outcome;

    #[test]
    fn what_decides_about_donors_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path()).unwrap();
        let there = blobs.put(b"there").unwrap();
        let gone = B256::repeat_byte(9);
        let fetched = |decides: bool| {
            let want = |hash, what: &str, decides| Wanted { hash, what: what.into(), decides };
            let wanted = vec![want(there, "a policy", true), want(gone, "the evidence of somebody", decides)];
            let mut steps = Vec::new();
            let check = fetch(wanted, &blobs, 3, &mut |step| steps.push(step));
            let step = |number| Step::Blob { model: 3, number, of: 2, bytes: 5 };
            assert_eq!(steps, [step(1), step(2)]);
            check
        };
        let spared = fetched(false);
        assert_eq!(spared.outcome, Outcome::Holds);
        assert!(spared.detail.starts_with("1 blob that the ledger names, 5 bytes"), "{spared:?}");
        assert!(spared.detail.contains("never brought: the evidence of somebody (blob 0x0909"), "{spared:?}");
        let decides = fetched(true);
        assert_eq!(decides.outcome, Outcome::Fails);
        assert!(decides.detail.contains("whether a donor was rightly left out"), "{decides:?}");
    }
}
