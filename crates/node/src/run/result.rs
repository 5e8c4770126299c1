//! The end of a run: money to everybody, and the table.

use std::collections::BTreeMap;

use histone_compliance::folder::fact_tables;
use histone_contracts::{Contract, Market, TestToken};
use histone_enclave::method::{LocalStep, LocalTraining};
use histone_enclave::reading::rows_of;
use histone_program_sdk::model::Model;
use histone_protocol::evidence::Platform;
use histone_protocol::report::NamedValue;
use histone_protocol::{Address, U256};

use super::outcome::{
    Balance, ChainSummary, FORMAT, GasSummary, ModelSummary, Refusal, RunResult, SiteReport,
};
use super::place::End;
use super::queries::Served;
use super::recruiting::Recruited;
use super::setup::{Cast, Validated};
use super::training::{Evaluated, Trained};
use super::{Observer, Options};
use crate::error::NodeError;
use crate::party::Entropy;
use crate::study::Study;

/// Everybody claims what is owed; gives the balances, the market's rest last. They must sum to what was paid in.
pub(super) async fn pay_out(
    cast: &mut Cast,
    recruited: &Recruited,
    observer: &mut dyn Observer,
) -> Result<Vec<Balance>, NodeError> {
    let world = cast.world.clone();
    cast.fund_payees(observer).await?;
    debug_assert!(!recruited.records.is_empty());
    for owner in &mut cast.owners {
        if owner.donation().is_some() {
            owner.claim(&world).await?;
        }
    }
    let mut keys = vec![cast.runner.party.key.clone()];
    keys.extend(cast.trainers.values().map(|t| t.party.key.clone()));
    for key in keys {
        let owed = world.ledger.read(Contract::Market, Market::owedCall { account: key.address() }).await?;
        if owed > U256::ZERO {
            world.ledger.send(&key, Contract::Market, Market::claimCall {}).await?;
        }
    }
    let mut balances = Vec::new();
    let mut sum = 0u64;
    let market = world.ledger.deployment().market;
    let parties = cast.parties().into_iter().map(|p| {
        let accounts: Vec<Address> = std::iter::once(p.account).chain(p.payees).collect();
        (p.name, p.role, accounts)
    });
    let held = ("market (rounding left over)".to_string(), "contract".to_string(), vec![market]);
    for (name, role, accounts) in parties.chain([held]) {
        let mut tokens_micro = 0;
        for &account in &accounts {
            let balance = world.ledger.read(Contract::Token, TestToken::balanceOfCall { account }).await?;
            tokens_micro += balance.saturating_to::<u64>();
        }
        sum += tokens_micro;
        balances.push(Balance { name, role, accounts, tokens_micro });
    }
    if sum != cast.paid_in {
        return Err(NodeError::Message(format!(
            "the balances sum to {sum} millionths, {} were paid in",
            cast.paid_in
        )));
    }
    Ok(balances)
}

/// Puts the result together, with the pooled comparison that only the runner of the study can make.
#[allow(clippy::too_many_arguments)] // each is one chapter of the run
pub(super) fn assemble(
    study: &Study,
    options: &Options,
    cast: &Cast,
    end: &End,
    recruited: &Recruited,
    trained: &Trained,
    evaluated: Evaluated,
    validated: Validated,
    served: Served,
    refused: Vec<Refusal>,
    balances: Vec<Balance>,
) -> Result<RunResult, NodeError> {
    let comparison = compare(study, cast, recruited, trained)?;
    let model = &trained.finished.model;
    let usage = cast.world.ledger.usage();
    let deployment = cast.world.ledger.deployment();
    let fields = |values: &[Option<f64>]| {
        let names = cast.loaded.method.manifest().report.iter().map(|f| f.name.clone());
        names.zip(values).map(|(name, &value)| NamedValue { name, value }).collect()
    };
    let sites = evaluated.sites.iter().map(|(name, site)| SiteReport {
        participant: name.clone(),
        fields: site.fields.clone(),
        pooled: comparison.sites.get(name).map(|values| fields(values)).unwrap_or_default(),
    });
    Ok(RunResult {
        format: FORMAT,
        study: study.name.clone(),
        title: study.title.clone(),
        platform: Platform::Simulated,
        clock: if cast.stage.place.clock_is_simulated() { "SIMULATED" } else { "network" },
        seeded: matches!(options.entropy, Entropy::Seed(_)),
        chain: ChainSummary {
            chain_id: deployment.chain_id,
            directory: deployment.directory,
            blocks: end.blocks,
            transactions: usage.values().map(|u| u.count).sum(),
            gas: usage.values().map(|u| u.gas).sum(),
            head: end.head,
            state_digest: end.state_digest,
            by_function: usage
                .into_iter()
                .map(|(name, u)| (name, GasSummary { transactions: u.count, gas: u.gas }))
                .collect(),
        },
        facts: fact_tables(&trained.finished.facts),
        pooled: comparison.facts,
        sites: sites.collect(),
        legend: cast
            .loaded
            .method
            .manifest()
            .report
            .iter()
            .map(|f| (f.name.clone(), f.says.clone()))
            .collect(),
        model: ModelSummary {
            hash: trained.model_hash,
            method: model.method.clone(),
            version: model.version.clone(),
            features: model.config.features.iter().map(|f| f.name.clone()).collect(),
            largest_difference_to_pooled: comparison.largest_difference,
        },
        rounds: trained.summaries.clone(),
        validation: validated.reports,
        withdrawn: trained.withdrawn.clone(),
        struck: trained.struck.clone(),
        silent: evaluated.silent,
        declined: recruited.declined.clone(),
        queries: served.outcomes,
        refused,
        paid_in_micro: cast.paid_in,
        balances,
        seconds: cast.stage.started.elapsed().as_secs_f64(),
    })
}

struct Comparison {
    facts: Vec<NamedValue>,
    /// By participant, what it reports of the pooled model.
    sites: BTreeMap<String, Vec<Option<f64>>>,
    largest_difference: f64,
}

/// Trains the same method over the rows of all donors in one place, without masks and rounds on a ledger.
fn compare(
    study: &Study,
    cast: &Cast,
    recruited: &Recruited,
    trained: &Trained,
) -> Result<Comparison, NodeError> {
    let (method, config) = (&cast.loaded.method, &recruited.plan.config);
    let mut rows = BTreeMap::new();
    for (owner, participant) in cast.owners.iter().zip(&study.participants) {
        if owner.donation().is_some() {
            let blocks = rows_of(&participant.table, config).map_err(NodeError::Message)?;
            rows.insert(participant.name.clone(), blocks);
        }
    }
    let all: Vec<_> = rows.values().cloned().collect();
    let mut training = LocalTraining::new(method, config).map_err(NodeError::round)?;
    let pooled = loop {
        if let LocalStep::Done(done) = training.step(&all).map_err(NodeError::round)? {
            break done;
        }
    };
    let mut sites = BTreeMap::new();
    for (name, blocks) in rows {
        sites.insert(name, method.report(&pooled.model, &blocks).map_err(NodeError::round)?);
    }
    let numbers = pooled.facts.iter().filter(|f| f.is_number());
    let facts = numbers.map(|f| NamedValue { name: f.name.clone(), value: f.number() }).collect();
    let numbers =
        |model: &Model| -> Vec<f64> { model.arrays.iter().flat_map(|a| a.values.clone()).collect() };
    let (federated, pooled) = (numbers(&trained.finished.model), numbers(&pooled.model));
    // NaN stands where there is no number, in both.
    let difference = |(f, p): (&f64, &f64)| match (f.is_nan(), p.is_nan()) {
        (true, true) => 0.0,
        (false, false) => (f - p).abs() / p.abs().max(1.0),
        _ => f64::MAX,
    };
    let same_shape = federated.len() == pooled.len();
    let largest = federated.iter().zip(&pooled).map(difference).fold(0.0, f64::max);
    let largest_difference = if same_shape { largest } else { f64::MAX };
    Ok(Comparison { facts, sites, largest_difference })
}
