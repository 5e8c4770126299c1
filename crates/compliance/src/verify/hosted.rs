//! Models that were made in one enclave from the data of all donors: nobody computes them again, and what the enclave has signed is
//! compared with everything that the ledger knows.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use histone_contracts::{Contract, Market};
use histone_protocol::B256;
use histone_protocol::report::{HostedStatement, UsedData};
use serde_json::json;

use super::cohort::{Basis, believed_host};
use super::course;
use super::enclaves::Purpose;
use super::findings::{Findings, count};
use super::rounds::{self, Trained};
use super::run::Run;
use crate::folder::ModelRecord;

/// Checks the model that one enclave says it has made. Gives what holds, and the model.
pub(super) fn check(
    run: &Run,
    model: &ModelRecord,
    basis: &Basis<'_>,
    findings: &mut Findings,
) -> Option<(String, Trained)> {
    let id = model.model_id;
    let checked = one(run, model, basis);
    let (holds, trained) = findings.take(checked, || format!("model {id}"))?;
    rounds::blob(run, model, &trained.end, findings);
    Some((holds, trained))
}

fn one(run: &Run, model: &ModelRecord, basis: &Basis<'_>) -> Result<(String, Trained), String> {
    let id = U256::from(model.model_id);
    let of = |event: U256| event == id;
    if !model.rounds.is_empty() {
        return Err("it has rounds, and was made in one enclave".into());
    }
    let mut said = run.events::<Market::HostedModel>(Contract::Market).into_iter();
    let said = said.rfind(|s| of(s.event.modelId));
    let said = said.ok_or("the ledger has nothing that one enclave says of it")?;
    let mut named = run.events::<Market::TrainingHosted>(Contract::Market).into_iter();
    let named = named.rfind(|s| of(s.event.modelId));
    let host = named.map(|s| s.event).filter(|host| host.enclave == said.event.enclave);
    let host = host.ok_or("another enclave than the named one has made it")?;
    if model.hosted != Some(said.event.statementHash) {
        return Err(format!("the ledger names the statement {}", said.event.statementHash));
    }
    let (statement, signer) = run.signed::<HostedStatement>(said.event.statementHash)?;
    if signer != host.enclave {
        return Err(format!("what was said of it is signed by {signer}, its enclave is {}", host.enclave));
    }
    let plan = basis.plans.get(&model.model_id).ok_or("there is no plan of it that holds")?;
    let mut sold = run.events::<Market::TrainingFinished>(Contract::Market).into_iter();
    let sold = sold.rfind(|s| of(s.event.modelId)).map(|s| s.event.modelHash);
    let same = statement.ledger == run.deployment().id()
        && run.terms().platforms.contains(&statement.platform)
        && statement.model_id == model.model_id
        && statement.plan == run.plan_hash(id);
    if !same {
        return Err("what its enclave says is of another ledger, platform, model or plan".into());
    }
    let (Some(hash), Some(document)) = (statement.model_hash, statement.released) else {
        return Err("its enclave says that there is none".into());
    };
    if sold != Some(hash) {
        return Err(format!("its enclave has made {hash}, the market has {sold:?}"));
    }
    let enclave = basis.enclaves.get(&signer).ok_or("its enclave has no evidence that holds")?;
    if enclave.purpose != Some(Purpose::Training(model.model_id)) || !enclave.lives_at(said.moment()) {
        return Err(format!("its enclave {signer} was not started for it, or had ended when it said so"));
    }
    if enclave.measurement != B256::from(plan.method) {
        return Err(format!("its enclave ran {}, which is not the method of its plan", enclave.measurement));
    }
    // The contract has excluded who was not used, in the same transaction and before.
    let none = BTreeMap::new();
    let donors = basis.donors.get(&model.model_id).unwrap_or(&none);
    let excluded = run.events::<Market::DonorExcluded>(Contract::Market).into_iter();
    let excluded: BTreeSet<u16> = excluded
        .filter(|s| of(s.event.modelId) && s.order < said.order)
        .map(|s| s.event.donorIndex)
        .collect();
    let left = donors.iter().filter(|(index, _)| !excluded.contains(index));
    let expected: Vec<UsedData> =
        left.map(|(&donor, d)| UsedData { donor, dataset: d.dataset, root: d.root }).collect();
    if statement.donors != expected {
        let (used, there): (Vec<u16>, Vec<u16>) =
            (statement.donors.iter().map(|d| d.donor).collect(), expected.iter().map(|d| d.donor).collect());
        return Err(format!(
            "its enclave has used the data of donors {used:?}, the ledger has {there:?} with data that was not excluded"
        ));
    }
    if expected.len() < usize::from(plan.min_survivors) {
        return Err(format!("it is of {} donors, its plan asks for {}", expected.len(), plan.min_survivors));
    }
    for (index, donor) in donors.iter().filter(|(index, _)| !excluded.contains(index)) {
        believed_host(run, (id, *index), donor, said.moment(), basis)
            .map_err(|reason| format!("donor {index} {reason}"))?;
    }
    // The data of those who have left was given to it as well.
    let kept = donors.iter().find(|(_, donor)| !statement.destroyed.contains(&donor.dataset));
    if let Some((index, _)) = kept {
        return Err(format!("its enclave does not say that it has destroyed the data of donor {index}"));
    }
    let end = course::outcome(run, plan, (hash, document))?;
    let numbers: Vec<u16> = expected.iter().map(|d| d.donor).collect();
    let owners: Vec<String> =
        numbers.iter().filter_map(|n| donors.get(n)).map(|d| run.name(d.owner)).collect();
    let hosted = json!({
        "enclave": host.enclave,
        "runner": run.name(host.runner),
        "participants": owners,
        "destroyed": statement.destroyed.len(),
    });
    let holds = format!(
        "model {hash} was made in one enclave, {}, run by `{}`, from the data of donors {numbers:?}: signed by it alone, computed again by nobody; it says that it has destroyed {}",
        host.enclave,
        run.name(host.runner),
        count(statement.destroyed.len(), "dataset", "datasets")
    );
    Ok((holds, Trained::in_one_enclave(model.model_id, end, numbers, hosted)))
}
