//! The end of a run: money to everybody, and the table.

use std::collections::BTreeMap;

use histone_compliance::folder::{FactTable, fact_tables};
use histone_contracts::{Contract, Market, TestToken};
use histone_enclave::method::{LocalStep, LocalTraining};
use histone_enclave::reading::rows_of;
use histone_program_sdk::model::Model;
use histone_protocol::consent::Verdict;
use histone_protocol::evidence::Platform;
use histone_protocol::report::{ColumnFlags, NamedValue};
use histone_protocol::{Address, B256, U256};
use serde::Serialize;

use super::place::End;
use super::queries::Served;
use super::recruiting::Recruited;
use super::setup::{Cast, Validated};
use super::training::{Evaluated, Trained};
use super::{Observer, Options};
use crate::error::NodeError;
use crate::party::Entropy;
use crate::study::Study;

/// Version of the result document.
pub const FORMAT: &str = "histone-result/2";

/// What a run says at its end; `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct RunResult {
    /// [`FORMAT`].
    pub format: &'static str,
    /// Name of the study.
    pub study: String,
    /// Title of the study.
    pub title: String,
    /// What vouches for the enclaves.
    pub platform: Platform,
    /// Whose clock it was: `SIMULATED`, moved on past deadlines, or `network`.
    pub clock: &'static str,
    /// Whether every secret follows from a seed (demonstration only).
    pub seeded: bool,
    /// The chain at the end.
    pub chain: ChainSummary,
    /// What the method says of the training.
    pub facts: Vec<FactTable>,
    /// Those of them that are one number, of the same method over all donors' rows in one place; computed by the runner of the
    /// study from the files, which no party of a real collaboration could do.
    pub pooled: Vec<NamedValue>,
    /// What each site reports of the model on its own rows.
    pub sites: Vec<SiteReport>,
    /// Fields of these reports with what they are, for people.
    #[serde(skip)]
    pub legend: Vec<(String, String)>,
    /// The trained model.
    pub model: ModelSummary,
    /// Rounds of training.
    pub rounds: Vec<RoundSummary>,
    /// What validation found.
    pub validation: Vec<Validation>,
    /// Who withdrew its data during the training. Sums that were opened before stay in the model.
    pub withdrawn: Vec<Withdrawn>,
    /// Whom the committee left out of the training. Sums that were opened before stay in the model.
    pub struck: Vec<Struck>,
    /// Whose rows are in the last sum and whose enclave signed nothing about the model.
    pub silent: Vec<String>,
    /// Who declined which model, and why.
    pub declined: Vec<Declined>,
    /// Queries.
    pub queries: Vec<QueryOutcome>,
    /// Attempts that were refused, as they must be.
    pub refused: Vec<Refusal>,
    /// Tokens paid in, in millionths.
    pub paid_in_micro: u64,
    /// Tokens at the end; they sum to what was paid in.
    pub balances: Vec<Balance>,
    /// Wall-clock seconds of the run.
    pub seconds: f64,
}

/// The chain at the end of a run.
#[derive(Debug, Clone, Serialize)]
pub struct ChainSummary {
    /// Chain id.
    pub chain_id: u64,
    /// The contract that names all others.
    pub directory: Address,
    /// Blocks, the first one included; on a network those from the beginning of the run, whoever filled them.
    pub blocks: u64,
    /// Transactions of the parties.
    pub transactions: u64,
    /// Gas of all transactions.
    pub gas: u64,
    /// Hash of the last block.
    pub head: B256,
    /// Digest of the contract state; none on a network.
    pub state_digest: Option<B256>,
    /// Transactions and gas by `contract.function`.
    pub by_function: BTreeMap<String, GasSummary>,
}

/// Transactions of one function.
#[derive(Debug, Clone, Serialize)]
pub struct GasSummary {
    /// How many.
    pub transactions: u64,
    /// Their gas together.
    pub gas: u64,
}

/// What a site reports of the model, as its enclave signed it.
#[derive(Debug, Clone, Serialize)]
pub struct SiteReport {
    /// The participant.
    pub participant: String,
    /// The fields of the method's report.
    pub fields: Vec<NamedValue>,
    /// The same with the pooled model, computed by the runner of the study from the files.
    pub pooled: Vec<NamedValue>,
}

/// The trained model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelSummary {
    /// Its hash on the ledger.
    pub hash: B256,
    /// Name of the method.
    pub method: String,
    /// Version of the method.
    pub version: String,
    /// Its features.
    pub features: Vec<String>,
    /// Largest difference of a number of it to the pooled model, relative to the larger of 1 and the number.
    pub largest_difference_to_pooled: f64,
}

/// A round of training.
#[derive(Debug, Clone, Serialize)]
pub struct RoundSummary {
    /// Number from 1.
    pub round: u32,
    /// Stage of the plan.
    pub stage: String,
    /// Updates in the sum.
    pub survivors: u16,
    /// Donors of the model whose update is not in it.
    pub missing: Vec<String>,
    /// Numbers in each update.
    pub numbers: u64,
    /// Bytes of all updates.
    pub update_bytes: u64,
    /// Bytes of all partial sums.
    pub partial_bytes: u64,
    /// Wall-clock time.
    pub milliseconds: f64,
}

/// A participant who took its data back during the training.
#[derive(Debug, Clone, Serialize)]
pub struct Withdrawn {
    /// Its name.
    pub participant: String,
    /// The first round without it.
    pub round: u32,
    /// What it was told: what stays, and what the difference of sums shows to whom.
    pub what: String,
}

/// A participant whom the committee named and left out.
#[derive(Debug, Clone, Serialize)]
pub struct Struck {
    /// Its name.
    pub participant: String,
    /// The latest round when it was named; 0 before the first one.
    pub round: u32,
    /// Why.
    pub why: String,
}

/// What validation found at one site.
#[derive(Debug, Clone, Serialize)]
pub struct Validation {
    /// The participant.
    pub participant: String,
    /// Rows.
    pub rows: u32,
    /// 1 = poor, 2 = usable with flags, 3 = good.
    pub quality: u8,
    /// Whether rows repeat.
    pub has_duplicates: bool,
    /// Flagged columns.
    pub flagged: Vec<ColumnFlags>,
}

/// A model that an owner did not agree to.
#[derive(Debug, Clone, Serialize)]
pub struct Declined {
    /// The model.
    pub model: String,
    /// The owner.
    pub participant: String,
    /// Denied, or left to a person.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<String>,
}

/// A query and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct QueryOutcome {
    /// Number from 1.
    pub query: usize,
    /// The answer, which only the user could read; empty when there was none.
    pub answer: Vec<NamedValue>,
    /// The true outcome, where the study has it: a number, 1 for yes and 0 for no.
    pub truth: Option<f64>,
    /// Settled, or refunded.
    pub settled: bool,
}

/// An attempt that was refused.
#[derive(Debug, Clone, Serialize)]
pub struct Refusal {
    /// What was tried.
    pub attempt: String,
    /// Who refused.
    pub refused_by: String,
    /// Why.
    pub reason: String,
}

/// Tokens of one party.
#[derive(Debug, Clone, Serialize)]
pub struct Balance {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Its accounts.
    pub accounts: Vec<Address>,
    /// Tokens in millionths.
    pub tokens_micro: u64,
}

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
