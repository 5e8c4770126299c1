//! Evaluations: what each donor's enclave says of the model, and that it adds up to the sum of the last round.

use std::collections::BTreeMap;

use histone_protocol::B256;
use histone_protocol::report::SiteEvaluation;

use super::decisions::Donors;
use super::findings::{Findings, count};
use super::rounds::Trained;
use super::run::Run;
use super::{Check, Outcome};

/// What the enclaves say, with the names of the donors' owners, in the order of run.json.
pub(super) type Sites = Vec<(String, SiteEvaluation)>;

pub(super) fn check(run: &Run, donors: &Donors, trained: Option<&Trained>) -> (Check, Sites) {
    let mut findings = Findings::new("evaluations");
    let Some(trained) = trained else {
        findings.fail("there is no recomputed model to compare them with");
        return (findings.check(String::new()), Sites::new());
    };
    let hash = B256::from(trained.finished.model.hash());
    let mut sites: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    let mut said = Sites::new();
    for &blob in &run.record.evaluations {
        let read = run.signed::<SiteEvaluation>(blob);
        let Some((site, signer)) = findings.take(read, || "an evaluation".into()) else { continue };
        let donor = donors.get(&trained.model_id).and_then(|d| d.get(&site.donor));
        let what = || match donor {
            Some(donor) => format!("the evaluation of donor {} (`{}`)", site.donor, run.name(donor.owner)),
            None => format!("the evaluation {blob}"),
        };
        findings.expect(donor.is_some_and(|d| d.enclave == signer), || {
            format!("{} is signed by {signer}, which is not the enclave of donor {}", what(), site.donor)
        });
        findings.expect(site.model_id == trained.model_id && site.model_hash == hash, || {
            format!("{} is of model {} with hash {}", what(), site.model_id, site.model_hash)
        });
        findings
            .expect(site.ledger == run.deployment().id(), || format!("{} is about another ledger", what()));
        findings
            .expect(site.platform == run.record.platform, || format!("{} is of another platform", what()));
        let auc = |a: Option<f64>| a.is_none_or(|a| (0.0..=1.0).contains(&a));
        let plausible = site.positives <= site.rows && auc(site.federated_auc) && auc(site.local_auc);
        findings.expect(plausible, || format!("{} contradicts itself", what()));
        let counts = (u64::from(site.rows), u64::from(site.positives));
        findings.expect(sites.insert(site.donor, counts).is_none(), || format!("{} is there twice", what()));
        said.push((donor.map(|d| run.name(d.owner)).unwrap_or_default(), site));
    }
    // Sums are taken over the donors of the training only, and only when all of them are there.
    let parts: Option<Vec<_>> = trained.donors.iter().map(|d| sites.get(d)).collect();
    if let Some(parts) = parts {
        let (rows, positives) =
            parts.iter().fold((0, 0), |(r, p), (rows, positives)| (r + rows, p + positives));
        let evaluation = &trained.finished.evaluation;
        let summed: u64 = evaluation.positives.iter().fold(0u64, |sum, &c| sum.saturating_add(c));
        findings.expect(rows == evaluation.rows() && positives == summed, || {
            format!(
                "the sites report {rows} rows with {positives} positive, the last sum has {} with {summed}",
                evaluation.rows()
            )
        });
    }
    let reports = count(sites.len(), "signed site report", "signed site reports");
    let rows = trained.finished.evaluation.rows();
    let donors = &trained.donors;
    let holds = format!(
        "{reports} on this model; those of donors {donors:?} add up to the {rows} rows of the last sum"
    );
    let silent: Vec<u16> = trained.donors.iter().copied().filter(|d| !sites.contains_key(d)).collect();
    if silent.is_empty() || !findings.clean() {
        return (findings.check(holds), said);
    }
    // Nobody is bound to evaluate, and nobody else could tell an owner who did not from an operator who hides it.
    let detail = format!(
        "of the donors in the last sum {silent:?} signed nothing about the model: they did not answer, or it was left out of the folder"
    );
    (Check { outcome: Outcome::NotCheckable, ..findings.check(detail) }, said)
}
