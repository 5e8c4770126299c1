//! Evaluations: what each donor's enclave says of the model, and that it adds up to the sum of the last round.

use std::collections::BTreeMap;

use histone_enclave::manifest::Field;
use histone_federation::plan::Plan;
use histone_protocol::B256;
use histone_protocol::report::{NamedValue, SiteEvaluation};

use super::decisions::Donors;
use super::enclaves::{Appraised, Purpose};
use super::findings::{Findings, count};
use super::rounds::{Ends, Trained};
use super::run::Run;
use super::{Check, Outcome};
use crate::folder::ModelRecord;

/// What the donors in the last sum say about the model.
#[derive(Debug, Default)]
pub(super) struct Sites {
    /// What their enclaves say, with the names of their owners, in the order of run.json.
    pub(super) said: Vec<(String, SiteEvaluation)>,
    /// Owners of those that said nothing, by number of the donor.
    pub(super) silent: Vec<String>,
}

pub(super) fn check(
    run: &Run,
    donors: &Donors,
    enclaves: &Appraised,
    plans: &BTreeMap<u64, Plan>,
    ends: &Ends,
) -> (Check, BTreeMap<u64, Sites>) {
    let mut findings = Findings::new("evaluations");
    let (mut holds, mut open, mut sites) = (Vec::new(), false, BTreeMap::new());
    for model in run.record.models.iter().filter(|model| model.is_trained()) {
        if ends.open.contains(&model.model_id) {
            holds.push(format!("the training of model {} has come to no model", model.model_id));
            open = true;
            continue;
        }
        let Some(trained) = ends.trained.get(&model.model_id) else {
            findings.fail("there is no recomputed model to compare them with");
            continue;
        };
        let measured = plans.get(&model.model_id).map(|plan| B256::from(plan.method));
        if measured.is_some_and(|method| run.is_closed(method)) {
            findings.expect(model.evaluations.is_empty(), || {
                format!("model {} is of a closed method, which reports nothing", model.model_id)
            });
            holds.push(format!(
                "model {} is of a closed method: nothing of what it reports goes out",
                model.model_id
            ));
            sites.insert(model.model_id, Sites::default());
            continue;
        }
        let fields = measured.and_then(|method| run.method(method).ok());
        let fields = fields.map_or(&[][..], |method| &method.manifest().report);
        let (said, silent) = of_model(run, model, (donors, enclaves), (trained, fields), &mut findings);
        open |= !silent.silent.is_empty();
        holds.push(said);
        sites.insert(model.model_id, silent);
    }
    if sites.is_empty() && !open && findings.clean() {
        open = true;
        holds.push("no model was trained of which anybody could say anything".into());
    }
    let open = open && findings.clean();
    let check = findings.check(holds.join("; "));
    let outcome = if open { Outcome::NotCheckable } else { check.outcome };
    (Check { outcome, ..check }, sites)
}

/// The evaluations of one model; gives what holds, and what was said.
fn of_model(
    run: &Run,
    model: &ModelRecord,
    (donors, enclaves): (&Donors, &Appraised),
    (trained, fields): (&Trained, &[Field]),
    findings: &mut Findings,
) -> (String, Sites) {
    let hash = trained.end.hash;
    let mut sites: BTreeMap<u16, Option<f64>> = BTreeMap::new();
    let (mut said, mut other) = (Vec::new(), 0);
    for &blob in &model.evaluations {
        let read = run.signed::<SiteEvaluation>(blob);
        let Some((site, signer)) = findings.take(read, || "an evaluation".into()) else { continue };
        // Anybody may donate and sign: only who was attested for this model, and whose rows are in the sum, says something
        // about it.
        let purpose = enclaves.get(&signer).and_then(|x| x.purpose);
        if purpose != Some(Purpose::Training(trained.model_id)) || !trained.donors.contains(&site.donor) {
            other += 1;
            continue;
        }
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
        findings.expect(run.terms().platforms.contains(&site.platform), || {
            format!("{} is of another platform", what())
        });
        findings.expect(is_report(fields, &site), || {
            format!("{} has not the fields of the method's report, within their ranges", what())
        });
        let rows = site.value(ROWS);
        findings.expect(sites.insert(site.donor, rows).is_none(), || format!("{} is there twice", what()));
        said.push((donor.map(|d| run.name(d.owner)).unwrap_or_default(), site));
    }
    let silent: Vec<u16> = trained.donors.iter().copied().filter(|d| !sites.contains_key(d)).collect();
    // A method that reports no rows is compared with nothing.
    let rows: Option<f64> = sites.values().copied().sum();
    let counted = trained.end.facts.iter().find(|f| f.name == JUDGING_ROWS).and_then(|f| f.number());
    if let (Some(rows), Some(counted)) = (rows, counted) {
        // A field leaves with six digits; with some sites missing the others are a part of the sum.
        let more = rows - counted > 1e-5 * counted;
        let less = silent.is_empty() && counted - rows > 1e-5 * counted;
        findings.expect(!more && !less, || {
            format!("the sites report {rows} rows that judge the model, the last sum has {counted}")
        });
    }
    let sums = match counted.filter(|_| rows.is_some()) {
        Some(all) => {
            format!("; those of donors {:?} add up to the {all} rows of the last sum", trained.donors)
        }
        None => String::new(),
    };
    let owner = |d: &u16| donors.get(&trained.model_id).and_then(|all| all.get(d)).map(|d| run.name(d.owner));
    let names = silent.iter().filter_map(owner).collect();
    let mut holds = match silent.is_empty() {
        true => format!(
            "{} on this model, with the fields of the method{sums}",
            count(sites.len(), "signed site report", "signed site reports")
        ),
        // The ledger names no evaluation.
        false if !run.is_whole() => format!(
            "what donors {silent:?} in the last sum say about the model is not in public storage: their owners tell its trainer by letter"
        ),
        // Nobody is bound to evaluate, and nobody else could tell an owner who did not from an operator who hides it.
        false => format!(
            "of the donors in the last sum {silent:?} signed nothing about the model: they did not answer, or it was left out \
             of the folder"
        ),
    };
    if other > 0 {
        let others = count(other, "evaluation is", "evaluations are");
        holds.push_str(&format!("; {others} not counted: by no attested enclave of a donor in the last sum"));
    }
    (holds, Sites { said, silent: names })
}

/// The field by which methods report the rows that judge a model, and the fact that has their sum. A method without them is
/// compared with nothing.
const ROWS: &str = "rows";
const JUDGING_ROWS: &str = "judging rows";

/// Whether an evaluation is what a report of these fields lets through.
fn is_report(fields: &[Field], site: &SiteEvaluation) -> bool {
    let fits = |(field, said): (&Field, &NamedValue)| {
        let admitted = field.admit(said.value.unwrap_or(f64::NAN));
        field.name == said.name && admitted == Ok(said.value)
    };
    fields.len() == site.fields.len() && fields.iter().zip(&site.fields).all(fits)
}
