//! Datasets: each has its owner's policy and a report by the enclave that validated it.

use std::collections::{BTreeMap, BTreeSet};

use histone_contracts::{Contract, Datasets};
use histone_enclave::cohort::MARGIN;
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::notice::addressed;
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256};

use super::Check;
use super::enclaves::{Appraised, Purpose};
use super::findings::{Findings, count, told};
use super::history::{Moment, Seen};
use super::run::Run;
use super::used::Used;
use crate::folder::DatasetRecord;

/// A dataset on the ledger.
#[derive(Debug, Clone)]
pub(super) struct Dataset {
    pub(super) owner: Address,
    /// Its versions, oldest first; there is at least one.
    pub(super) versions: Vec<Version>,
    /// When it was withdrawn or declared erased, whatever came first.
    ended: Option<Moment>,
    /// The owner's terms, each from its moment on; none where they do not hold.
    policies: Vec<(Moment, Option<ConsentPolicy>)>,
}

/// A version of a dataset on the ledger.
#[derive(Debug, Clone)]
pub(super) struct Version {
    /// When it was registered.
    pub(super) since: Moment,
    pub(super) root: B256,
    pub(super) rows: u32,
    pub(super) quality: u8,
    /// Who validated it.
    pub(super) enclave: Address,
    report_hash: B256,
    /// What was found.
    pub(super) report: Option<ValidationReport>,
}

impl Dataset {
    /// The version that the ledger had just before the event at `order`.
    pub(super) fn version_before(&self, order: usize) -> Option<&Version> {
        self.versions.iter().rfind(|v| v.since.order < order)
    }

    /// Most rows that the ledger had at some moment of the second `time`.
    pub(super) fn rows_at(&self, time: u64) -> u32 {
        let ends = self.versions.iter().skip(1).map(|v| v.since.time).chain(std::iter::once(u64::MAX));
        let then = self.versions.iter().zip(ends).filter(|(v, end)| v.since.time <= time && time <= *end);
        then.map(|(v, _)| v.rows).max().unwrap_or(0)
    }

    fn registered(&self) -> Moment {
        self.versions.first().map_or(Moment { time: u64::MAX, order: usize::MAX }, |v| v.since)
    }

    /// Whether it could be used just before the event at `order`.
    pub(super) fn in_force_before(&self, order: usize) -> bool {
        self.registered().order < order && !self.ended_before(order)
    }

    /// Whether it was withdrawn or erased before the event at `order`.
    pub(super) fn ended_before(&self, order: usize) -> bool {
        self.ended.is_some_and(|ended| ended.order < order)
    }

    /// Whether it was withdrawn or erased before `moment`, and earlier than an honest party could still overlook it.
    pub(super) fn ended_well_before(&self, moment: Moment) -> bool {
        self.ended.is_some_and(|ended| ended.order < moment.order && ended.time + MARGIN < moment.time)
    }

    /// The owner's terms just before the event at `order`.
    pub(super) fn policy_before(&self, order: usize) -> Option<&ConsentPolicy> {
        self.policies.iter().rfind(|(from, _)| from.order < order)?.1.as_ref()
    }

    /// Whether these were the owner's terms at some moment of the second `time`.
    pub(super) fn had_policy(&self, policy: &ConsentPolicy, time: u64) -> bool {
        let ends = self.policies.iter().skip(1).map(|(from, _)| from.time).chain(std::iter::once(u64::MAX));
        self.policies
            .iter()
            .zip(ends)
            .any(|((from, had), end)| from.time <= time && time <= end && had.as_ref() == Some(policy))
    }

    /// What an owner could see of it at some moment of the second `time`: in force, or not.
    pub(super) fn could_be(&self, in_force: bool, time: u64) -> bool {
        let ended = self.ended.map(|ended| ended.time);
        match in_force {
            true => self.registered().time <= time && ended.is_none_or(|ended| time <= ended),
            false => time <= self.registered().time || ended.is_some_and(|ended| ended <= time),
        }
    }
}

/// Checks all datasets. What is wrong with a version that is in no round, or with a policy under which none of them was
/// donated, is said and is no failure: anybody who owns data may have it validated by a friend, and changes its terms as he
/// likes.
pub(super) fn check(run: &Run, enclaves: &Appraised, used: &Used) -> (Check, BTreeMap<B256, Dataset>) {
    let mut findings = Findings::new("datasets");
    let mut unused = BTreeSet::new();
    let mut datasets = BTreeMap::new();
    let registered = run.events::<Datasets::DatasetRegistered>(Contract::Datasets);
    let mut ends: Vec<(B256, Moment)> = run
        .events::<Datasets::DatasetWithdrawn>(Contract::Datasets)
        .iter()
        .map(|s| (s.event.id, s.moment()))
        .collect();
    let erased = run.events::<Datasets::DatasetErased>(Contract::Datasets);
    ends.extend(erased.iter().map(|s| (s.event.id, s.moment())));
    for entry in &registered {
        let e = &entry.event;
        let listed = run.record.datasets.iter().find(|d| d.id == e.id);
        if listed.is_none() && !run.is_whole() {
            continue;
        }
        findings.expect(listed.is_some(), || {
            format!("the dataset {} of `{}` is not in run.json", e.id, run.name(e.owner))
        });
        let mut other = false;
        let mut heard = |relied: bool, problems: Findings, findings: &mut Findings| match relied {
            true => findings.append(problems),
            false => other |= !problems.clean(),
        };
        let mut versions = versions(run, entry, listed, &mut findings);
        for version in &mut versions {
            let problems = report(run, entry, version, enclaves);
            heard(used.datasets.contains(&(e.id, version.root)), problems, &mut findings);
        }
        let mut policies = Vec::new();
        for (from, until, hash) in terms(run, entry, listed, &mut findings) {
            let (problems, policy) = policy(run, entry, hash);
            let donated = used.donated.iter().filter(|(id, _)| *id == e.id);
            let relied = donated.into_iter().any(|(_, order)| from.order < *order && *order < until);
            heard(relied, problems, &mut findings);
            policies.push((from, policy));
        }
        if other {
            unused.insert(e.id);
        }
        let ended = ends.iter().filter(|(id, _)| *id == e.id).map(|(_, m)| *m).min_by_key(|m| m.order);
        datasets.insert(e.id, Dataset { owner: e.owner, versions, ended, policies });
    }
    let mut seen = BTreeSet::new();
    for listed in &run.record.datasets {
        findings.expect(datasets.contains_key(&listed.id), || {
            format!("the dataset {} in run.json is not on the ledger", listed.id)
        });
        findings.expect(seen.insert(listed.id), || format!("the dataset {} is in run.json twice", listed.id));
    }
    let number = count(datasets.len() - unused.len(), "dataset", "datasets");
    let mut holds =
        format!("{number} with the owner's signed policy and a signed report of a validation enclave");
    if !unused.is_empty() {
        let others = count(unused.len(), "dataset", "datasets");
        holds.push_str(&format!(
            "; {others} with a policy or a report that do not hold and on which no round rests"
        ));
    }
    (findings.check(holds), datasets)
}

fn report_of(run: &Run, e: &Datasets::DatasetRegistered) -> String {
    format!("the report of the dataset of `{}` ({})", run.name(e.owner), e.id)
}

/// The versions from the registration on. run.json names the report of the last one; the ledger names all.
fn versions(
    run: &Run,
    entry: &Seen<Datasets::DatasetRegistered>,
    listed: Option<&DatasetRecord>,
    findings: &mut Findings,
) -> Vec<Version> {
    let e = &entry.event;
    let of = || report_of(run, e);
    let mut versions = vec![Version {
        since: entry.moment(),
        root: e.root,
        rows: e.rows,
        quality: e.quality,
        enclave: e.enclave,
        report_hash: e.reportHash,
        report: None,
    }];
    let updated = run.events::<Datasets::DatasetUpdated>(Contract::Datasets);
    versions.extend(updated.iter().filter(|s| s.event.id == e.id).map(|s| Version {
        since: s.moment(),
        root: s.event.root,
        rows: s.event.rows,
        quality: s.event.quality,
        enclave: s.event.enclave,
        report_hash: s.event.reportHash,
        report: None,
    }));
    if let (Some(listed), Some(last)) = (listed, versions.last()) {
        findings.expect(listed.report == last.report_hash, || {
            format!("{} is {} in run.json, {} on the ledger", of(), listed.report, last.report_hash)
        });
    }
    versions
}

/// What is wrong with the report of a version, which is read into it.
fn report(
    run: &Run,
    entry: &Seen<Datasets::DatasetRegistered>,
    version: &mut Version,
    enclaves: &Appraised,
) -> Findings {
    let (e, mut problems) = (&entry.event, Findings::new("datasets"));
    let of = || report_of(run, e);
    let read = run.signed::<ValidationReport>(version.report_hash);
    let Some((report, signer)) = problems.take(read, of) else { return problems };
    let appraised = enclaves.get(&signer).filter(|x| x.purpose == Some(Purpose::Validation));
    let lived = appraised.is_some_and(|x| x.lives_at(version.since));
    problems.expect(signer == version.enclave && lived, || {
        format!("{} is signed by {signer}, which is not its appraised validation enclave", of())
    });
    let agrees = report.ledger == run.deployment().id()
        && report.owner == e.owner
        && report.root == version.root
        && report.rows == version.rows
        && report.quality == version.quality
        && run.terms().platforms.contains(&report.platform);
    problems.expect(agrees, || format!("{} says something else than the ledger", of()));
    let notice = run.blob(report.notice).and_then(|blob| addressed(&blob).map_err(|e| told(&e)));
    problems.take(notice, || format!("the notice to the committee of {}", of()));
    version.report = Some(report);
    problems
}

fn policy_of(run: &Run, e: &Datasets::DatasetRegistered) -> String {
    format!("the policy of the dataset of `{}` ({})", run.name(e.owner), e.id)
}

/// The hashes of the owner's policies from the registration on, each with its beginning and the position of its end. run.json
/// names the last one; the ledger names all.
fn terms(
    run: &Run,
    entry: &Seen<Datasets::DatasetRegistered>,
    listed: Option<&DatasetRecord>,
    findings: &mut Findings,
) -> Vec<(Moment, usize, B256)> {
    let e = &entry.event;
    let of = || policy_of(run, e);
    let changed = run.events::<Datasets::PolicyChanged>(Contract::Datasets);
    let changes = changed.iter().filter(|s| s.event.id == e.id).map(|s| (s.moment(), s.event.policyHash));
    let all: Vec<(Moment, B256)> = std::iter::once((entry.moment(), e.policyHash)).chain(changes).collect();
    if let (Some(listed), Some((_, last))) = (listed, all.last()) {
        findings.expect(listed.policy == *last, || {
            format!("{} is {} in run.json, {last} on the ledger", of(), listed.policy)
        });
    }
    let ends: Vec<usize> = all.iter().skip(1).map(|(from, _)| from.order).chain([usize::MAX]).collect();
    all.into_iter().zip(ends).map(|((from, hash), end)| (from, end, hash)).collect()
}

/// One policy, and what is wrong with it.
fn policy(
    run: &Run,
    entry: &Seen<Datasets::DatasetRegistered>,
    hash: B256,
) -> (Findings, Option<ConsentPolicy>) {
    let (e, mut problems) = (&entry.event, Findings::new("datasets"));
    let of = || policy_of(run, e);
    let Some((policy, signer)) = problems.take(run.signed::<ConsentPolicy>(hash), of) else {
        return (problems, None);
    };
    problems.expect(policy.ledger == run.deployment().id(), || format!("{} is about another ledger", of()));
    let by_owner = problems.expect(signer == e.owner && policy.owner == e.owner, || {
        format!("{} is signed by {signer} for {}", of(), policy.owner)
    });
    let usable = problems.take(histone_access::check_policy(&policy).map_err(|e| told(&e)), of).is_some();
    (problems, (by_owner && usable).then_some(policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_force_when() {
        let at = |time, order| Moment { time, order };
        let policy = |country: &str| ConsentPolicy {
            ledger: Default::default(),
            owner: Address::ZERO,
            country: country.into(),
            terms: vec![],
            allow_purposes: vec![],
            deny_purposes: vec![],
            allow_accounts: vec![],
            deny_accounts: vec![],
            versions: 1,
            allow_public_exact: true,
            allow_auditors: vec![],
            allow_one_enclave: false,
            allow_closed: vec![],
        };
        let version = |since, rows| Version {
            since,
            root: B256::ZERO,
            rows,
            quality: 1,
            enclave: Address::ZERO,
            report_hash: B256::ZERO,
            report: None,
        };
        let (first, second) = (policy("FR"), policy("DE"));
        let dataset = Dataset {
            owner: Address::ZERO,
            versions: vec![version(at(10, 5), 20), version(at(20, 24), 30)],
            ended: Some(at(30, 50)),
            policies: vec![(at(10, 5), Some(first.clone())), (at(20, 25), Some(second.clone()))],
        };
        assert_eq!([9, 10, 19, 20, 21].map(|time| dataset.rows_at(time)), [0, 20, 20, 30, 30]);
        let rows = |order| dataset.version_before(order).map(|v| v.rows);
        assert_eq!([5, 6, 24, 25].map(rows), [None, Some(20), Some(20), Some(30)]);
        for (order, in_force, terms) in [
            (5, false, None),
            (6, true, Some(&first)),
            (25, true, Some(&first)),
            (26, true, Some(&second)),
            (51, false, Some(&second)),
        ] {
            assert_eq!(
                (dataset.in_force_before(order), dataset.policy_before(order)),
                (in_force, terms),
                "{order}"
            );
        }
        for (time, had_first, had_second, could_be, could_not) in [
            (9, false, false, false, true),
            (10, true, false, true, true),
            (15, true, false, true, false),
            (20, true, true, true, false),
            (21, false, true, true, false),
            (30, false, true, true, true),
            (31, false, true, false, true),
        ] {
            let had = (dataset.had_policy(&first, time), dataset.had_policy(&second, time));
            assert_eq!(had, (had_first, had_second), "{time}");
            assert_eq!(
                (dataset.could_be(true, time), dataset.could_be(false, time)),
                (could_be, could_not),
                "{time}"
            );
        }
    }
}
