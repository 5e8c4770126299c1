//! Datasets: each has its owner's policy and a report by the enclave that validated it.

use std::collections::{BTreeMap, BTreeSet};

use histone_ledger::Contract;
use histone_ledger::contracts::Datasets;
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::notice::addressed;
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256};

use super::Check;
use super::enclaves::{Appraised, Purpose};
use super::findings::{Findings, count, told};
use super::history::Seen;
use super::run::Run;
use crate::folder::DatasetRecord;

/// A dataset on the ledger.
#[derive(Debug, Clone)]
pub(super) struct Dataset {
    pub(super) owner: Address,
    pub(super) rows: u32,
    pub(super) quality: u8,
    /// Whether it was taken back at any time.
    pub(super) withdrawn: bool,
    /// The owner's terms; none when they do not hold.
    pub(super) policy: Option<ConsentPolicy>,
}

pub(super) fn check(run: &Run, enclaves: &Appraised) -> (Check, BTreeMap<B256, Dataset>) {
    let mut findings = Findings::new("datasets");
    let mut datasets = BTreeMap::new();
    let registered = run.events::<Datasets::DatasetRegistered>(Contract::Datasets);
    let withdrawn = run.events::<Datasets::DatasetWithdrawn>(Contract::Datasets);
    for entry in &registered {
        let e = &entry.event;
        let listed = run.record.datasets.iter().find(|d| d.id == e.id);
        let policy = match listed {
            Some(listed) => one(run, entry, listed, enclaves, &mut findings),
            None => {
                findings.fail(format!("the dataset {} of `{}` is not in run.json", e.id, run.name(e.owner)));
                None
            }
        };
        let withdrawn = withdrawn.iter().any(|s| s.event.id == e.id);
        let dataset = Dataset { owner: e.owner, rows: e.rows, quality: e.quality, withdrawn, policy };
        datasets.insert(e.id, dataset);
    }
    let mut seen = BTreeSet::new();
    for listed in &run.record.datasets {
        findings.expect(datasets.contains_key(&listed.id), || {
            format!("the dataset {} in run.json is not on the ledger", listed.id)
        });
        findings.expect(seen.insert(listed.id), || format!("the dataset {} is in run.json twice", listed.id));
    }
    let number = count(datasets.len(), "dataset", "datasets");
    let holds =
        format!("{number} with the owner's signed policy and a signed report of a validation enclave");
    (findings.check(holds), datasets)
}

fn one(
    run: &Run,
    entry: &Seen<Datasets::DatasetRegistered>,
    listed: &DatasetRecord,
    enclaves: &Appraised,
    findings: &mut Findings,
) -> Option<ConsentPolicy> {
    let e = &entry.event;
    let of = |what: &str| format!("{what} of the dataset of `{}` ({})", run.name(e.owner), e.id);
    findings.expect(listed.report == e.reportHash, || {
        format!("{} is {} in run.json, {} on the ledger", of("the report"), listed.report, e.reportHash)
    });
    if let Some((report, signer)) =
        findings.take(run.signed::<ValidationReport>(listed.report), || of("the report"))
    {
        let by_enclave =
            signer == e.enclave && enclaves.get(&signer).is_some_and(|x| x.purpose == Purpose::Validation);
        findings.expect(by_enclave, || {
            format!(
                "{} is signed by {signer}, which is not its appraised validation enclave",
                of("the report")
            )
        });
        let agrees = report.ledger == run.deployment().id()
            && report.owner == e.owner
            && report.root == e.root
            && report.rows == e.rows
            && report.quality == e.quality
            && report.platform == run.record.platform;
        findings.expect(agrees, || format!("{} says something else than the ledger", of("the report")));
        let notice = run.blob(report.notice).and_then(|blob| addressed(&blob).map_err(|e| told(&e)));
        findings.take(notice, || of("the notice to the committee"));
    }
    let changed = run.events::<Datasets::PolicyChanged>(Contract::Datasets);
    let in_force = changed.iter().rfind(|s| s.event.id == e.id).map_or(e.policyHash, |s| s.event.policyHash);
    findings.expect(listed.policy == in_force, || {
        format!("{} is {} in run.json, {in_force} on the ledger", of("the policy"), listed.policy)
    });
    let (policy, signer) = findings.take(run.signed::<ConsentPolicy>(listed.policy), || of("the policy"))?;
    findings.expect(policy.ledger == run.deployment().id(), || {
        format!("{} is about another ledger", of("the policy"))
    });
    let by_owner = findings.expect(signer == e.owner && policy.owner == e.owner, || {
        format!("{} is signed by {signer} for {}", of("the policy"), policy.owner)
    });
    let usable = histone_access::check_policy(&policy).map_err(|e| told(&e));
    findings.take(usable, || of("the policy"))?;
    (by_owner && listed.policy == in_force).then_some(policy)
}
