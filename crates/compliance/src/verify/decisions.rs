//! Models and consent: every decision is decided again, and only what was permitted was used.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use histone_access::decide;
use histone_contracts::{Contract, Market, Rounds, pays_as_promised};
use histone_enclave::described::Described;
use histone_enclave::plan::{plan_as_said, plan_of};
use histone_federation::plan::Plan;
use histone_protocol::consent::{DecisionRecord, Verdict, WhitePaper};
use histone_protocol::plan::{PlanDocument, PlanPrograms};
use histone_protocol::{Address, B256};
use serde_json::{Value, json};

use super::Check;
use super::datasets::Dataset;
use super::enclaves::{Appraised, Purpose};
use super::findings::{Findings, count, told};
use super::history::{Moment, Seen};
use super::parties::could_be_independent;
use super::run::Run;
use super::used::Used;
use crate::folder::ModelRecord;

/// A donation on the ledger.
#[derive(Debug, Clone)]
pub(super) struct Donor {
    pub(super) enclave: Address,
    pub(super) owner: Address,
    pub(super) dataset: B256,
    /// The version that it donated.
    pub(super) root: B256,
    /// The decision that allows it, as the ledger names it.
    decision: B256,
    /// When it donated.
    pub(super) donated: Moment,
    /// The program that runs in the enclave, where its evidence holds.
    program: Option<B256>,
    /// Whether it is in a sum that could be opened or, before the first round, will be in one. Of any other donor nothing was
    /// used, and a donation with a plain key is no donation of data.
    counts: bool,
}

/// Donors by model and number.
pub(super) type Donors = BTreeMap<u64, BTreeMap<u16, Donor>>;

/// What came out of recruiting.
#[derive(Debug, Default)]
pub(super) struct Recruited {
    pub(super) donors: Donors,
    /// White papers by model.
    pub(super) papers: BTreeMap<u64, WhitePaper>,
    /// Plans of the models that were trained.
    pub(super) plans: BTreeMap<u64, Plan>,
    /// What the result says of the decisions that are no permission, in the order of run.json.
    pub(super) declined: Vec<Value>,
}

pub(super) fn check(
    run: &Run,
    enclaves: &Appraised,
    datasets: &BTreeMap<B256, Dataset>,
    used: &Used,
) -> (Check, Recruited) {
    let mut findings = Findings::new("decisions");
    let donors = donors(run, enclaves, datasets, used, &mut findings);
    let mut proposed = run.events::<Market::ModelProposed>(Contract::Market);
    proposed.retain(|s| run.covers(s.event.modelId));
    let mut verdicts = [0usize; 3];
    let mut declined = BTreeMap::new();
    let (mut papers, mut plans) = (BTreeMap::new(), BTreeMap::new());
    for entry in &proposed {
        // The market counts models from 1.
        let id = u64::try_from(entry.event.modelId).unwrap_or(0);
        let mut listed = run.record.models.iter().filter(|m| m.model_id == id);
        let Some(model) = listed.next() else {
            findings.fail(format!("model {id}, proposed in block {}, is not in run.json", entry.block));
            continue;
        };
        findings.expect(listed.next().is_none(), || format!("model {id} is in run.json twice"));
        if let Some((paper, plan)) = paper(run, entry, model, &mut findings) {
            let none = BTreeMap::new();
            let donors = donors.get(&id).unwrap_or(&none);
            let asked = Asked { id, paper: &paper, proposed: entry.moment() };
            let refusals = decisions(run, model, &asked, donors, datasets, &mut verdicts, &mut findings);
            declined.insert(id, refusals);
            plans.extend(plan.map(|plan| (id, plan)));
            papers.insert(id, paper);
        }
    }
    for model in &run.record.models {
        findings.expect(proposed.iter().any(|s| s.event.modelId == U256::from(model.model_id)), || {
            format!("model {} in run.json is not on the ledger", model.model_id)
        });
    }
    let [permit, deny, review] = verdicts;
    let holds = format!(
        "{}, {} decided again: {permit} permit, {deny} deny, {review} review; only permitted data is in a sum",
        count(proposed.len(), "white paper", "white papers"),
        count(permit + deny + review, "consent decision", "consent decisions"),
    );
    let declined = run.record.models.iter().filter_map(|m| declined.remove(&m.model_id)).flatten().collect();
    (findings.check(holds), Recruited { donors, papers, plans, declined })
}

fn donors(
    run: &Run,
    enclaves: &Appraised,
    datasets: &BTreeMap<B256, Dataset>,
    used: &Used,
    findings: &mut Findings,
) -> Donors {
    let mut donors = Donors::new();
    for s in run.events::<Market::Donated>(Contract::Market).iter().filter(|s| run.covers(s.event.modelId)) {
        let (e, id) = (&s.event, u64::try_from(s.event.modelId).unwrap_or(0));
        let what = || format!("donor {} of model {id} (block {})", e.donorIndex, s.block);
        // Whether it is believed when that matters is asked for each round.
        let trains = enclaves.get(&e.enclave).is_some_and(|x| x.purpose == Some(Purpose::Training(id)));
        let in_sum = used.donors.contains(&(id, e.donorIndex));
        let counts = in_sum || (trains && !used.trained.contains(&id));
        findings.expect(trains || !in_sum, || {
            format!("{}: {} is no appraised training enclave of this model", what(), e.enclave)
        });
        let Some(dataset) = datasets.get(&e.datasetId) else {
            findings.fail(format!("{}: the dataset {} is not registered", what(), e.datasetId));
            continue;
        };
        findings.expect(dataset.in_force_before(s.order), || {
            format!("{}: the dataset {} was withdrawn or erased before", what(), e.datasetId)
        });
        let version = dataset.version_before(s.order);
        findings.expect(version.is_some_and(|v| v.root == e.root), || {
            format!("{}: version {} is not the registered one", what(), e.root)
        });
        let weight = version.map_or(0, |v| v.rows.saturating_mul(u32::from(v.quality)));
        findings.expect(e.weight == weight, || {
            format!("{}: its weight is {}, rows and quality give {weight}", what(), e.weight)
        });
        let program = enclaves.get(&e.enclave).map(|x| x.measurement);
        let donor = Donor {
            enclave: e.enclave,
            owner: dataset.owner,
            dataset: e.datasetId,
            root: e.root,
            decision: e.decision,
            donated: s.moment(),
            program,
            counts,
        };
        donors.entry(id).or_default().insert(e.donorIndex, donor);
    }
    donors
}

fn paper(
    run: &Run,
    entry: &Seen<Market::ModelProposed>,
    model: &ModelRecord,
    findings: &mut Findings,
) -> Option<(WhitePaper, Option<Plan>)> {
    let (e, id) = (&entry.event, model.model_id);
    findings.expect(model.paper == e.whitePaperHash, || {
        format!(
            "the white paper of model {id} is {} in run.json, {} on the ledger",
            model.paper, e.whitePaperHash
        )
    });
    let read = run.signed::<WhitePaper>(model.paper);
    let (paper, signer) = findings.take(read, || format!("the white paper of model {id}"))?;
    findings.expect(signer == e.trainer && paper.trainer == e.trainer, || {
        format!("the white paper of model {id} is signed by `{}`, not by its trainer", run.name(signer))
    });
    findings.expect(paper.ledger == run.deployment().id(), || {
        format!("the white paper of model {id} is about another ledger")
    });
    findings.expect(pays_as_promised(&e.terms, &paper), || {
        format!("the white paper of model {id} promises other payments or another split than the ledger")
    });
    for program in &paper.programs {
        findings.expect(run.program_kind(*program).is_some(), || {
            format!("the white paper of model {id} names the program {program}, which is not on the ledger")
        });
    }
    findings.expect(model.plan == e.planHash, || {
        format!("the plan of model {id} is {} in run.json, {} on the ledger", model.plan, e.planHash)
    });
    let plan = plan(run, e, model, &paper, findings);
    if model.is_trained() && run.is_whole() {
        let (believed, record) = (&paper.appraisal, &run.record);
        let same = believed.platforms == [record.platform]
            && believed.simulated_vendors == [record.vendor]
            && believed.max_age_seconds == record.evidence_max_age;
        findings.expect(same, || {
            format!("the white paper of model {id} believes other enclaves than run.json says")
        });
    }
    Some((paper, plan))
}

/// The plan that ledger and paper name, as far as it says what is computed.
fn plan(
    run: &Run,
    proposed: &Market::ModelProposed,
    model: &ModelRecord,
    paper: &WhitePaper,
    findings: &mut Findings,
) -> Option<Plan> {
    let (id, terms) = (proposed.modelId, &proposed.terms);
    let of = || format!("the plan of model {id}");
    findings.expect(paper.plan == proposed.planHash, || {
        format!("{} is {} in its white paper, {} on the ledger", of(), paper.plan, proposed.planHash)
    });
    let read = run.blob(proposed.planHash);
    let read = read.and_then(|bytes| PlanDocument::from_bytes(&bytes).map_err(|e| told(&e)));
    let document = findings.take(read, of)?;
    let agrees = (document.min_survivors, document.colluders) == (terms.minSurvivors, terms.colluders);
    findings.expect(agrees, || {
        format!("{} has another minimum of survivors or another number of colluders than the ledger", of())
    });
    let PlanPrograms { validation, training, query } = document.programs;
    for (program, kind) in [(validation, 1), (training, 2), (query, 3)] {
        let known = paper.programs.contains(&program) && run.program_kind(program) == Some(kind);
        findings.expect(known, || format!("{} names the program {program}, its white paper does not", of()));
    }
    let seats = run.events::<Rounds::CommitteeFixed>(Contract::Rounds);
    let seats = seats.iter().find(|s| s.event.modelId == id).map(|s| s.event.seats.len());
    findings.expect(seats.is_none_or(|seats| seats >= usize::from(document.committee_members)), || {
        format!("{} asks for a committee of {}", of(), document.committee_members)
    });
    // Deadlines count from the block before, which may be some time ago.
    for s in run.events::<Rounds::RoundOpened>(Contract::Rounds).iter().filter(|s| s.event.modelId == id) {
        let (open, opening) =
            (s.event.deadline.saturating_sub(s.time), s.event.openBy.saturating_sub(s.event.deadline));
        let donors = document.round_seconds / 2..=document.round_seconds;
        findings.expect(donors.contains(&open) && opening == document.opening_seconds, || {
            format!("{} gives other times than round {}", of(), s.event.round)
        });
    }
    let names = document.features.iter().map(|f| &f.name);
    let same = names.eq(&paper.features) && document.outcome.name() == paper.label;
    findings.expect(same, || format!("{} has other features or another outcome than its white paper", of()));
    findings.expect(document.disclosure == paper.disclosure, || {
        format!("{} shows sums or model to others than its white paper says", of())
    });
    for (panel, variants) in document.panels() {
        let Some(text) = findings.take(run.blob(panel), of) else { continue };
        // The build, the heading, and a line for each variant.
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        findings.expect(lines == variants as usize + 2, || {
            format!("{} has another number of variants than its panel {panel}", of())
        });
    }
    // What was not trained may be of a method that nobody has at hand.
    if !model.is_trained() {
        return None;
    }
    let plan = match document.disclosure.is_closed() {
        true => run
            .blob(document.manifest)
            .and_then(|blob| Described::read(training, &blob).map_err(|e| told(&e)))
            .and_then(|method| plan_as_said(&document, &method)),
        false => run.method(training).and_then(|method| plan_of(&document, method)),
    };
    findings.take(plan, of)
}

/// What the owners were asked.
struct Asked<'a> {
    id: u64,
    paper: &'a WhitePaper,
    proposed: Moment,
}

/// Decides again; gives what the result says of those that are no permission.
fn decisions(
    run: &Run,
    model: &ModelRecord,
    asked: &Asked<'_>,
    donors: &BTreeMap<u16, Donor>,
    datasets: &BTreeMap<B256, Dataset>,
    verdicts: &mut [usize; 3],
    findings: &mut Findings,
) -> Vec<Value> {
    let &Asked { id, paper, proposed } = asked;
    let mut declined = Vec::new();
    let last = run.history.last_time();
    let mut decided: BTreeMap<B256, Verdict> = BTreeMap::new();
    // Outside of a folder the decisions are those that donations name, and whoever donates names what it likes: the others are
    // nobody's fault but its own.
    let counts = |blob: &&B256| run.is_whole() || donors.values().any(|d| d.counts && d.decision == **blob);
    for &blob in model.decisions.iter().filter(counts) {
        let read = run.signed::<DecisionRecord>(blob);
        let Some((record, signer)) = findings.take(read, || format!("a decision on model {id}")) else {
            continue;
        };
        let what = || format!("the decision of `{}` on model {id} (blob {blob})", run.name(signer));
        let facts = &record.facts;
        let Some(dataset) = datasets.get(&facts.dataset) else {
            findings.fail(format!("{}: the dataset {} is not registered", what(), facts.dataset));
            continue;
        };
        findings.expect(signer == dataset.owner && signer == facts.policy.owner, || {
            format!("{}: the dataset is of `{}`", what(), run.name(dataset.owner))
        });
        findings.expect(dataset.had_policy(&facts.policy, facts.time), || {
            format!("{}: the policy in it was not in force at {}", what(), facts.time)
        });
        findings.expect(facts.paper == *paper && facts.model_id == id, || {
            format!("{}: it answers another white paper", what())
        });
        findings.expect((proposed.time..=last).contains(&facts.time), || {
            format!(
                "{}: it was made at {}, the model was proposed at {} and the ledger ends at {last}",
                what(),
                facts.time,
                proposed.time
            )
        });
        findings.expect(dataset.could_be(facts.dataset_in_force, facts.time), || {
            let taken = if facts.dataset_in_force { "in force" } else { "withdrawn" };
            format!("{}: it takes the dataset for {taken}", what())
        });
        let auditors = &facts.paper.disclosure.auditors;
        findings.expect(
            could_be_independent(
                run.deployment(),
                &run.history,
                auditors,
                facts.auditors_independent,
                facts.time,
            ),
            || {
                let taken = if facts.auditors_independent { "independent" } else { "interested" };
                format!("{}: it takes the auditors for {taken}", what())
            },
        );
        let rows = dataset.rows_at(facts.time);
        findings.expect(!facts.data_matches || rows >= paper.min_rows, || {
            format!("{}: {} rows are taken for enough, {} are asked for", what(), rows, paper.min_rows)
        });
        let again = decide(facts).map_err(|e| told(&e));
        if let Some(again) = findings.take(again, || format!("{} cannot be decided again", what())) {
            findings.expect(again == record, || {
                format!("{}: it says {:?}, the facts give {:?}", what(), record.verdict, again.verdict)
            });
        }
        findings.expect(decided.insert(facts.dataset, record.verdict).is_none(), || {
            format!("{}: there are two for one dataset", what())
        });
        if record.verdict != Verdict::Permit {
            declined.push(json!({
                "model": paper.name,
                "participant": run.name(dataset.owner),
                "verdict": record.verdict,
                "reasons": record.reasons,
            }));
        }
        for donor in donors.values().filter(|d| d.counts && d.dataset == facts.dataset) {
            findings.expect(donor.decision == blob, || {
                format!("{}: the donation names the decision {}", what(), donor.decision)
            });
            let before = facts.time <= donor.donated.time;
            findings.expect(before, || {
                format!(
                    "{}: it was made at {}, after the donation at {}",
                    what(),
                    facts.time,
                    donor.donated.time
                )
            });
            findings.expect(dataset.policy_before(donor.donated.order) == Some(&facts.policy), || {
                format!("{}: another policy was in force when the data was donated", what())
            });
        }
        let [permit, deny, review] = verdicts;
        *match record.verdict {
            Verdict::Permit => permit,
            Verdict::Deny => deny,
            Verdict::Review => review,
        } += 1;
    }
    for (index, donor) in donors.iter().filter(|(_, donor)| donor.counts) {
        findings.expect(donor.program.is_none_or(|p| paper.programs.contains(&p)), || {
            format!(
                "donor {index} of model {id} gave its data to a program that the white paper does not name"
            )
        });
        let verdict = decided.get(&donor.dataset);
        findings.expect(verdict == Some(&Verdict::Permit), || {
            let owner = run.name(donor.owner);
            match verdict {
                Some(verdict) => {
                    format!("`{owner}` is donor {index} of model {id}, but its decision is {verdict:?}")
                }
                None => format!("`{owner}` is donor {index} of model {id} without a decision"),
            }
        });
    }
    declined
}
