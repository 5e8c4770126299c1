//! The printed result is what was recomputed, leaf by leaf: what cannot be recomputed is claimed in the table.

use std::collections::BTreeMap;
use std::path::Path;

use alloy_primitives::U256;
use histone_contracts::{Contract, Datasets, Market, Rounds, TestToken, reasons};
use histone_protocol::disclosure::{Disclosure, Release};
use histone_protocol::{Address, B256};
use serde_json::{Map, Value, json};

use super::Check;
use super::datasets::Dataset;
use super::decisions::Recruited;
use super::evaluations::Sites;
use super::files::document;
use super::findings::Findings;
use super::leaves::{compare, strict};
use super::money::Balances;
use super::rounds::Trained;
use super::run::Run;
use crate::folder::fact_tables;

/// Version of the result document.
const FORMAT: &str = "histone-result/4";
/// What the result calls the market's own balance.
const LEFT_OVER: &str = "market (rounding left over)";

/// What the other checks found, from which the result is made again.
#[derive(Debug)]
pub(super) struct Found {
    /// The models whose training was recomputed.
    pub(super) trained: BTreeMap<u64, Trained>,
    pub(super) recruited: Recruited,
    pub(super) datasets: BTreeMap<B256, Dataset>,
    /// What the sites said of them.
    pub(super) sites: BTreeMap<u64, Sites>,
}

pub(super) fn check(run: &Run, path: &Path, found: &Found, balances: &Balances) -> Check {
    let mut findings = Findings::new("result");
    let read = document(path).and_then(|bytes| strict(&bytes));
    if let Some(stated) = findings.take(read, || "result.json".into()) {
        compare("result.json", &stated, &expected(run, found, balances), &mut findings);
    }
    findings.check("every figure in result.json that is not claimed comes out again".into())
}

/// The result without what is claimed.
fn expected(run: &Run, found: &Found, held: &Balances) -> Value {
    let record = &run.record;
    // The result speaks of the first model.
    let first = record.models.first().map_or(0, |model| model.model_id);
    let none = Sites::default();
    let said = found.sites.get(&first).unwrap_or(&none);
    let mut result = json!({
        "format": FORMAT,
        "study": record.study,
        "platform": record.platform,
        "chain": chain(run),
        "validation": validation(run, &found.datasets),
        "declined": found.recruited.declined,
        "withdrawn": withdrawn(run, found),
        "struck": struck(run, found),
        "queries": queries(run),
        "paid_in_micro": minted(run),
    });
    let sites = said.said.iter().map(|(name, s)| json!({ "participant": name, "fields": s.fields }));
    let sites: Vec<Value> = sites.collect();
    let mut set = |key: &str, value: Value| {
        if let Some(result) = result.as_object_mut() {
            result.insert(key.into(), value);
        }
    };
    set("balances", json!(balances(run, held)));
    if record.network.is_none() {
        set("clock", "SIMULATED".into());
    }
    // The paper is the one that says the same as the plan.
    if let Some(paper) = found.recruited.papers.get(&first) {
        set("disclosure", disclosure(run, &paper.disclosure));
        // Where the model was released nobody can compare the figure. Nobody can have measured a sealed one.
        if paper.disclosure.model == Release::Sealed {
            set("membership", Value::Null);
        }
    }
    // Without a recomputed model what is said about it is what nothing gives, and so a failure of this check too.
    if let Some(trained) = found.trained.get(&first) {
        let plan = found.recruited.plans.get(&first);
        let features =
            plan.map(|plan| plan.config.features.iter().map(|f| f.name.as_str()).collect::<Vec<_>>());
        let manifest = plan.and_then(|plan| run.described(B256::from(plan.method)).ok());
        let manifest = manifest.map(|method| method.manifest());
        set("facts", json!(fact_tables(&trained.end.facts)));
        set("sites", json!(sites));
        set(
            "model",
            json!({
                "hash": trained.end.hash,
                "method": manifest.map(|m| &m.name),
                "version": manifest.map(|m| &m.version),
                "features": features,
            }),
        );
        set("rounds", json!(trained.rounds));
        set("hosted", json!(trained.hosted));
        set("silent", json!(said.silent));
    }
    result
}

/// Who saw what of the training.
fn disclosure(run: &Run, said: &Disclosure) -> Value {
    let Disclosure { place, source, sums, model, ref auditors, answers } = *said;
    let mut names: Vec<String> = auditors.iter().map(|&account| run.name(account)).collect();
    names.sort();
    json!({ "place": place, "source": source, "sums": sums, "model": model, "auditors": names, "answers": answers })
}

fn chain(run: &Run) -> Value {
    let (d, counts) = (run.deployment(), run.counts);
    let parties: Vec<Address> =
        run.record.parties.iter().flat_map(|p| std::iter::once(p.account).chain(p.payees.clone())).collect();
    let mut by_function: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    // A block of a network may hold transactions of others.
    for sent in run.history.sent.iter().filter(|s| parties.contains(&s.from)) {
        let entry = by_function.entry(sent.name(d)).or_default();
        *entry = (entry.0 + 1, entry.1.saturating_add(sent.gas));
    }
    let by_function: Map<String, Value> = by_function
        .into_iter()
        .map(|(name, (transactions, gas))| (name, json!({ "transactions": transactions, "gas": gas })))
        .collect();
    json!({
        "chain_id": d.chain_id,
        "directory": d.directory,
        "blocks": counts.blocks,
        "transactions": counts.transactions,
        "gas": counts.gas,
        "head": run.head.hash,
        "state_digest": run.head.state_digest,
        "by_function": by_function,
    })
}

fn validation(run: &Run, datasets: &BTreeMap<B256, Dataset>) -> Vec<Value> {
    let of = |id| {
        datasets
            .get(id)
            .and_then(|d: &Dataset| Some((run.name(d.owner), d.versions.last()?.report.as_ref()?)))
    };
    let reports = run.record.datasets.iter().filter_map(|listed| of(&listed.id));
    reports
        .map(|(participant, report)| {
            json!({
                "participant": participant,
                "rows": report.rows,
                "quality": report.quality,
                "has_duplicates": report.has_duplicates,
                "flagged": report.flagged,
            })
        })
        .collect()
}

/// Donors of the trained model whose data was withdrawn while it was trained, with the first round without them. What they
/// were told is the operator's word.
fn withdrawn(run: &Run, found: &Found) -> Vec<Value> {
    let Some(model) = run.record.models.first().map(|m| m.model_id) else { return Vec::new() };
    let id = U256::from(model);
    let none = BTreeMap::new();
    let donors = found.recruited.donors.get(&model).unwrap_or(&none);
    let started = run.events::<Market::TrainingStarted>(Contract::Market);
    let finished = run.events::<Market::TrainingFinished>(Contract::Market);
    let started = started.iter().find(|s| s.event.modelId == id).map_or(usize::MAX, |s| s.order);
    let finished = finished.iter().find(|s| s.event.modelId == id).map_or(usize::MAX, |s| s.order);
    let opened = run.events::<Rounds::RoundOpened>(Contract::Rounds);
    let before = |order| opened.iter().filter(|s| s.event.modelId == id && s.order < order).count();
    let withdrawn = run.events::<Datasets::DatasetWithdrawn>(Contract::Datasets);
    let during = withdrawn.iter().filter(|s| (started..finished).contains(&s.order));
    during
        .filter_map(|s| {
            let donor = donors.values().find(|d| d.dataset == s.event.id)?;
            Some(json!({ "participant": run.name(donor.owner), "round": before(s.order) + 1 }))
        })
        .collect()
}

/// Donors of the trained model whom the committee named and left out.
fn struck(run: &Run, found: &Found) -> Vec<Value> {
    let Some(model) = run.record.models.first().map(|m| m.model_id) else { return Vec::new() };
    let id = U256::from(model);
    let none = BTreeMap::new();
    let donors = found.recruited.donors.get(&model).unwrap_or(&none);
    let excluded = run.events::<Market::DonorExcluded>(Contract::Market);
    let is_out = |donor| excluded.iter().any(|s| s.event.modelId == id && s.event.donorIndex == donor);
    let named = run.events::<Rounds::DonorNamed>(Contract::Rounds);
    let named = named.iter().map(|s| &s.event).filter(|e| e.modelId == id && e.reason != reasons::SILENT);
    named
        .filter(|e| is_out(e.donorIndex))
        .filter_map(|e| {
            let participant = run.name(donors.get(&e.donorIndex)?.owner);
            Some(json!({ "participant": participant, "round": e.round, "why": reasons::words(e.reason) }))
        })
        .collect()
}

/// Every query that was bought, in order.
fn queries(run: &Run) -> Vec<Value> {
    let settled = run.events::<Market::QuerySettled>(Contract::Market);
    let bought = run.events::<Market::QueryBought>(Contract::Market);
    let settled = |query: B256| settled.iter().any(|s| s.event.queryId == query);
    let bought = bought.iter().enumerate();
    bought.map(|(i, s)| json!({ "query": i + 1, "settled": settled(s.event.queryId) })).collect()
}

/// TEST tokens that were made.
fn minted(run: &Run) -> u64 {
    let moved = run.events::<TestToken::Transfer>(Contract::Token);
    let made = moved.iter().filter(|s| s.event.from.is_zero());
    made.fold(U256::ZERO, |sum, s| sum + s.event.value).saturating_to()
}

/// Each party with all its accounts, and the market.
fn balances(run: &Run, balances: &Balances) -> Vec<Value> {
    let market = (LEFT_OVER.to_string(), "contract".to_string(), vec![run.deployment().market]);
    let parties = run.record.parties.iter().map(|p| {
        let accounts: Vec<Address> = std::iter::once(p.account).chain(p.payees.iter().copied()).collect();
        (p.name.clone(), p.role.clone(), accounts)
    });
    let has = |a: &Address| balances.get(a).copied().unwrap_or_default();
    parties
        .chain([market])
        .map(|(name, role, accounts)| {
            let tokens = accounts.iter().fold(U256::ZERO, |sum, a| sum + has(a));
            let micro: u64 = tokens.saturating_to();
            json!({ "name": name, "role": role, "accounts": accounts, "tokens_micro": micro })
        })
        .collect()
}
