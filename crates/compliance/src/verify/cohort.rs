//! The parties of a round: every donor's enclave and data are believed at that moment by the white paper's rule, and the
//! committee is the one that was fixed, rightly, when the training started.
//!
//! Judged by the same functions as enclaves, members and trainer use while the training goes on.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use histone_attestation::AppraisalPolicy;
use histone_attestation::cohort::{Appraisals, CohortPolicy, DatasetFacts, Place, appraise_place};
use histone_enclave::cohort::{RightCommittee, fixed_committee};
use histone_enclave::{training, validation};
use histone_federation::header::RoundHeader;
use histone_ledger::contracts::Rounds;
use histone_protocol::B256;
use histone_protocol::consent::WhitePaper;

use super::decisions::Donor;
use super::findings::told;
use super::history::Seen;
use super::rounds::Basis;
use super::run::Run;

/// Who may and must sit in the committee of the trained model; a reason when nobody can tell.
pub(super) type Committee = Result<RightCommittee, String>;

/// The right committee of the first model, the one that is trained.
pub(super) async fn committee(run: &Run) -> Committee {
    let model = run.record.models.first().ok_or("run.json names no model")?;
    let id = U256::from(model.model_id);
    let fixed = fixed_committee(id, &run.ledger).await.map_err(|e| told(&e))?;
    let at = fixed.ok_or("no committee was fixed")?.at;
    RightCommittee::at(id, at, &run.ledger).await.map_err(|e| told(&e))
}

/// Checks cohort and committee of a header that was opened.
pub(super) fn check(
    run: &Run,
    header: &RoundHeader,
    opened: &Seen<Rounds::RoundOpened>,
    donors: &BTreeMap<u16, Donor>,
    basis: &Basis<'_>,
) -> Result<(), String> {
    let f = header.fields();
    let moment = opened.moment();
    let paper = basis.paper.ok_or("its white paper does not hold")?;
    let policy = policy(run, opened.event.modelId, paper);
    let evidence = |hash: B256| run.blob(hash).ok();
    let mut kept = Appraisals::default();
    for named in &f.cohort {
        let of = |what: String| format!("donor {} of its cohort {what}", named.index);
        let donor = donors.get(&named.index).ok_or_else(|| of("is not on the ledger".into()))?;
        let dataset = basis.datasets.get(&donor.dataset);
        let dataset = dataset.ok_or_else(|| of("has a dataset that is not registered".into()))?;
        let enclave = basis.enclaves.get(&donor.enclave);
        let enclave = enclave.ok_or_else(|| of("has no appraised enclave".into()))?;
        if (B256::from(named.lineage), B256::from(named.root)) != (donor.dataset, donor.root) {
            return Err(of("has donated another dataset or version".into()));
        }
        if !enclave.had_shown(B256::from(named.evidence), moment) {
            return Err(of("has never shown that evidence".into()));
        }
        let version = dataset.versions.iter().find(|v| v.root == donor.root);
        let validated_by = version.and_then(|v| Some(basis.enclaves.get(&v.enclave)?.facts_at(v.since)));
        let place = Place {
            donor: named.index,
            enclave: enclave.facts_at(moment),
            dataset: DatasetFacts {
                lineage: donor.dataset,
                root: donor.root,
                withdrawn: dataset.ended_before(moment.order),
                validated_by,
                validated_at: version.map_or(0, |v| v.since.time),
            },
        };
        appraise_place(&place, &policy, &evidence, &mut kept, moment.time)
            .map_err(|e| of(format!("is not believed: {}", told(&e))))?;
    }
    let right = basis.committee.as_ref().map_err(|reason| format!("its committee: {reason}"))?;
    right.check(&f.committee)
}

/// By what the donors of a model are believed.
fn policy(run: &Run, model: U256, paper: &WhitePaper) -> CohortPolicy {
    let id = u64::try_from(model).unwrap_or(0);
    CohortPolicy {
        appraisal: AppraisalPolicy::of(&paper.appraisal),
        programs: paper.programs.clone(),
        training: training::init_data(run.deployment(), id, &run.plan),
        validation: validation::init_data(),
    }
}
