//! The end of a run: money to everybody, and the table.

use histone_compliance::folder::fact_tables;
use histone_contracts::{Contract, TestToken};
use histone_protocol::Address;
use histone_protocol::evidence::Platform;
use histone_protocol::report::NamedValue;

use super::cast::Cast;
use super::collect::Collected;
use super::outcome::{
    Balance, ChainSummary, DisclosureSummary, FORMAT, GasSummary, LeftOut, ModelSummary, Refusal, RunResult,
    SiteReport, Validation,
};
use super::place::End;
use super::pooled::Comparison;
use super::queries::Served;
use super::story::{Recruited, claim};
use super::{Observer, Options};
use crate::error::NodeError;
use crate::party::Entropy;
use crate::study::Study;

/// Everybody claims what is owed; gives the balances, the market's rest last. They must sum to what was paid in.
pub(super) async fn pay_out(
    study: &Study,
    cast: &mut Cast,
    observer: &mut dyn Observer,
) -> Result<Vec<Balance>, NodeError> {
    let world = cast.world.clone();
    let book = world.ledger.current_book().await?;
    let mut names: Vec<&str> = study.participants.iter().map(|p| p.name.as_str()).collect();
    names.push(&study.runner);
    names.extend(std::iter::once(&study.model).chain(&study.other_models).map(|m| m.trainer.as_str()));
    claim(cast, &names, observer).await?;
    let mut balances = Vec::new();
    let mut sum = 0u64;
    let market = world.ledger.deployment().market;
    let parties = cast.parties(study, &book)?.into_iter().map(|p| {
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

/// Names of those who could open every sum, in the order of the alphabet.
fn auditors(study: &Study) -> Vec<String> {
    let mut names = study.training.disclosure.auditors.clone();
    names.sort();
    names
}

/// Puts the result together.
#[allow(clippy::too_many_arguments)] // each is one chapter of the run
pub(super) fn assemble(
    study: &Study,
    options: &Options,
    cast: &Cast,
    end: &End,
    recruited: &Recruited,
    trained: Collected,
    comparison: Comparison,
    validation: Vec<Validation>,
    served: Served,
    refused: Vec<Refusal>,
    balances: Vec<Balance>,
) -> Result<RunResult, NodeError> {
    let usage = cast.world.ledger.usage();
    let deployment = cast.world.ledger.deployment();
    let fields = |values: &[Option<f64>]| {
        let names = cast.loaded.method.manifest().report.iter().map(|f| f.name.clone());
        names.zip(values).map(|(name, &value)| NamedValue { name, value }).collect()
    };
    let sites = trained.sites.iter().map(|(name, site)| SiteReport {
        participant: name.clone(),
        fields: site.fields.clone(),
        pooled: comparison.sites.get(name).map(|values| fields(values)).unwrap_or_default(),
    });
    let sites = sites.collect();
    Ok(RunResult {
        format: FORMAT,
        study: study.name.clone(),
        title: study.title.clone(),
        platform: Platform::SIMULATED,
        clock: if cast.stage.place.clock_is_simulated() { "SIMULATED" } else { "network" },
        seeded: matches!(options.entropy, Entropy::Seed(_)),
        disclosure: DisclosureSummary {
            place: recruited.paper.disclosure.place,
            source: recruited.paper.disclosure.source,
            sums: recruited.paper.disclosure.sums,
            model: recruited.paper.disclosure.model,
            auditors: auditors(study),
            answers: recruited.paper.disclosure.answers,
        },
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
        facts: fact_tables(&trained.facts),
        pooled: comparison.facts,
        sites,
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
            method: cast.loaded.method.manifest().name.clone(),
            version: cast.loaded.method.manifest().version.clone(),
            features: recruited.plan.config.features.iter().map(|f| f.name.clone()).collect(),
            largest_difference_to_pooled: comparison.largest_difference,
        },
        membership: comparison.membership,
        rounds: trained.summaries,
        hosted: trained.hosted.map(|(_, summary)| summary),
        validation,
        left_out: study
            .participants
            .iter()
            .filter(|p| p.left_out_rows + p.dropped_rows > 0)
            .map(|p| LeftOut {
                participant: p.name.clone(),
                without_outcome: p.left_out_rows,
                incomplete: p.dropped_rows,
            })
            .collect(),
        withdrawn: trained.withdrawn,
        struck: trained.struck,
        silent: trained.silent,
        declined: recruited.declined.clone(),
        queries: served.outcomes,
        refused,
        paid_in_micro: cast.paid_in,
        balances,
        seconds: cast.stage.started.elapsed().as_secs_f64(),
    })
}
