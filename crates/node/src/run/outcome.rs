//! What a run says at its end: the document `result.json`, and what its steps add to it.

use std::collections::BTreeMap;

use histone_compliance::folder::FactTable;
use histone_protocol::consent::Verdict;
use histone_protocol::disclosure::{Place, Release, Source, Sums};
use histone_protocol::evidence::Platform;
use histone_protocol::report::{ColumnFlags, NamedValue};
use histone_protocol::{Address, B256};
use serde::Serialize;

/// Version of the result document.
pub const FORMAT: &str = "histone-result/4";

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
    /// Who saw what of the training.
    pub disclosure: DisclosureSummary,
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
    /// How well membership shows in the model; none where it was not released, or no rows of a yes/no outcome were held out.
    pub membership: Option<Membership>,
    /// Rounds of training.
    pub rounds: Vec<RoundSummary>,
    /// The one enclave that had all data; none where each participant had its own.
    pub hosted: Option<HostedSummary>,
    /// What validation found.
    pub validation: Vec<Validation>,
    /// Who left rows out of its table before it registered it, because of their outcome or of a missing cell.
    pub left_out: Vec<LeftOut>,
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

impl RunResult {
    /// The same for whoever gets the folder: where the model is not for everybody, without what only the runner of the study can
    /// know, who has all files and plays the end user.
    #[must_use]
    pub fn for_strangers(&self) -> Self {
        let mut shown = self.clone();
        if self.disclosure.model == Release::Public {
            return shown;
        }
        (shown.pooled, shown.membership, shown.model.largest_difference_to_pooled) = (Vec::new(), None, None);
        shown.sites.iter_mut().for_each(|site| site.pooled.clear());
        for query in &mut shown.queries {
            (query.answer, query.truth) = (Vec::new(), None);
        }
        shown
    }
}

/// Rows of a participant that are not in its dataset.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    /// The participant.
    pub participant: String,
    /// Rows whose outcome no rule of the study names, or is missing.
    pub without_outcome: usize,
    /// Further rows with a missing cell, where the study drops these.
    pub incomplete: usize,
}

/// Who saw what of the training, as plan and white paper say.
#[derive(Debug, Clone, Serialize)]
pub struct DisclosureSummary {
    /// Where the method met the data.
    pub place: Place,
    /// Who could read the method.
    pub source: Source,
    /// Who saw the sums.
    pub sums: Sums,
    /// Who got the model.
    pub model: Release,
    /// Names of the auditors who could open every sum.
    pub auditors: Vec<String>,
    /// Answers that one account may buy; 0 for as many as it likes.
    pub answers: u32,
}

/// The one enclave that had all data.
#[derive(Debug, Clone, Serialize)]
pub struct HostedSummary {
    /// Its receipt key.
    pub enclave: Address,
    /// Who ran it.
    pub runner: String,
    /// Whose data it used.
    pub participants: Vec<String>,
    /// How many datasets it says it has destroyed.
    pub destroyed: usize,
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
    /// Largest difference of a number of it to the pooled model, relative to the larger of 1 and the number; none of a sealed model.
    pub largest_difference_to_pooled: Option<f64>,
}

/// How well the loss of a row tells whether a released model was trained on it; computed by the runner of the study from the files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Membership {
    /// Area under the curve of "the loss is small" as a test of membership; 0.5 is chance.
    pub auc: f64,
    /// Share of the trained rows that it finds where it takes one in a hundred of the held-out rows for one of them.
    pub tpr_at_1_percent: f64,
    /// Rows that were looked at of those that were trained on.
    pub rows: usize,
    /// Of those that were held out.
    pub held_out: usize,
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
    /// On what it rests that the sum led to the state on the ledger: `recomputed`, by everybody, or signed by so many enclaves.
    pub basis: String,
    /// Participants whose enclaves say that it led to something else.
    pub disagree: Vec<String>,
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
