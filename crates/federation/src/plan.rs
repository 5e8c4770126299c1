//! The training plan: which sums are asked for, in which order, and what becomes of them.
//!
//! [`Training`] is a pure state machine. Its state says what the next round must compute ([`Training::spec`]); the sum of
//! that round gives the next state ([`Training::advance`]). Nothing else goes in, so that a stranger with the plan and
//! the opened sums recomputes every state, every [`Training::state_hash`] and the model.
//!
//! | stage | asks for | gives |
//! |---|---|---|
//! | describe | rows, positives; present values, their sums and sums of squares | means, deviations, fill values (mean policy) |
//! | ranks, 9 rounds, median policy only | counts below 15 thresholds a rank and column | fill values |
//! | newton | gradient, curvature, loss at the current weights | the next weights |
//! | evaluate | histogram of predicted probabilities | area under the curve |
//!
//! The histogram is opened, and a bin with one row in it would tell that row's score and class. There are so few bins that
//! each holds [`ROWS_PER_BIN`] rows on average ([`bins_for`]), by the fewest rows that can be evaluated after the description.
//! It is an average: bins at the edge may hold fewer, and donors that leave before the evaluation take their rows along.
//!
//! A column whose deviation is at most a millionth of its mean counts as constant and gets the weight 0, because its
//! squares do not tell more. To be used it must be centered by its owner (a year of birth is fine, nanoseconds since 1970
//! are not).
//!
//! # Drop-outs
//!
//! The cohort only shrinks: whoever withdraws its data leaves it for good, and the sums made before stay in the state. In
//! each round any [`Plan::min_survivors`] or more of it may answer; who missed a round may come back. The model then has the preprocessing of those who described, the medians of those who
//! counted, the weights of those who took part in the last Newton rounds, and the evaluation of those who evaluated.
//! Every round asks for something that no round before it asked for, and members of the committee open one computation
//! for one set of donors. A round whose sum nobody opened, for want of survivors or of members, can be asked again.
//!
//! **What remains.** Rounds that ask for different things can still be functions of one another. Sums are public, so
//! when one donor takes part in one of two such rounds and not in the other, their difference tells *aggregates of that
//! donor* to everybody:
//!
//! - The first Newton round, at weights 0, holds the same information as the description, on the standardized scale (and
//!   covariances beside it). Whoever leaves between the two gives away its number of rows and of positives and, for each
//!   filled column, sum and sum of squares about the common mean: exactly, but for rounding.
//! - Two Newton rounds near convergence are computed at nearly the same weights: the difference is that donor's gradient,
//!   curvature and loss, nearly.
//! - The counts of present values of two rank rounds, or of one and the description, differ by its number of present
//!   values in each column; an evaluation over training rows by its number of positives.
//!
//! These are aggregates of a donor and not rows, as long as it has many rows: the guard against this is a minimum number
//! of rows a donor, which whoever admits donors has to set (nothing here knows how many rows are in a sum), and, later,
//! noise. A donor of one row that drops out gives away the row. A coordinator that suppresses a donor's update can cause
//! all of this.

mod describe;
mod document;
mod error;
mod median;
mod model;
mod newton;

pub use histone_program_sdk::job::{MAX_BINS, ROWS_PER_BIN, bins_for};
use histone_program_sdk::job::{Missing, TrainSpec, TrainTask};
use histone_program_sdk::wire::{Reader, WireError, Writer};

use crate::codec;
use crate::header::{Donor, RoundHeader};
use describe::Described;
pub use error::PlanError;
pub use model::{Evaluation, Finished, Model};
use newton::Newton;

/// What a study fixes before the first round.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Number of feature columns, at least 1.
    pub columns: u32,
    /// What is done with missing values.
    pub missing: Missing,
    /// Columns in which a zero means missing, ascending.
    pub zero_is_missing: Vec<u32>,
    /// Of the rows of each class at a site every `holdout_every`-th is held out; 0 = none, 1 is refused.
    pub holdout_every: u32,
    /// Ridge penalty `0.5 * ridge * |w|^2` beside the sum of log losses; the intercept is not penalized.
    pub ridge: f64,
    /// Newton rounds at the most, 1 to 1,000.
    pub max_newton_rounds: u32,
    /// The training has converged when no weight changes by as much as this.
    pub tolerance: f64,
    /// Bins of the histogram from which the area under the curve is computed, 2 to [`MAX_BINS`]; with few rows there are
    /// fewer ([`bins_for`]).
    pub bins: u32,
    /// With fewer donors in any round the training ends, at least 2. Every header repeats it.
    pub min_survivors: u16,
}

impl Plan {
    /// Checks the ranges.
    pub fn check(&self) -> Result<(), PlanError> {
        let refuse = |what| Err(PlanError::Plan(what));
        if self.columns == 0 || self.columns > 1024 {
            return refuse("the number of columns must be between 1 and 1,024");
        }
        if !self.zero_is_missing.is_sorted_by(|a, b| a < b)
            || self.zero_is_missing.iter().any(|&c| c >= self.columns)
        {
            return refuse("the zero-is-missing columns must be ascending and below the number of columns");
        }
        if self.holdout_every == 1 {
            return refuse("holding out every row leaves none to train on");
        }
        if !self.ridge.is_finite() || self.ridge < 0.0 {
            return refuse("the ridge penalty must be finite and not negative");
        }
        if !(1..=1000).contains(&self.max_newton_rounds) {
            return refuse("the number of Newton rounds must be between 1 and 1,000");
        }
        if !self.tolerance.is_finite() || self.tolerance <= 0.0 {
            return refuse("the tolerance must be finite and above 0");
        }
        if !(2..=MAX_BINS).contains(&self.bins) {
            return refuse(
                "the number of bins must be between 2 and 100, so that a bin holds several people",
            );
        }
        if self.min_survivors < 2 {
            return refuse("a sum over fewer than 2 survivors hides nobody");
        }
        Ok(())
    }

    /// The fewest rows that are evaluated when `rows` rows of `donors` sites are trained on. At each site and of each class
    /// every `holdout_every`-th is held out, so that less than that many rows more are trained on than full cycles have.
    fn fewest_evaluated(&self, rows: u64, donors: usize) -> u64 {
        let every = u64::from(self.holdout_every);
        match every.checked_sub(1) {
            None | Some(0) => rows,
            Some(trained) => rows.saturating_sub(2 * donors as u64 * trained) / trained,
        }
    }

    fn spec(&self, task: TrainTask) -> TrainSpec {
        TrainSpec {
            columns: self.columns,
            missing: self.missing,
            zero_is_missing: self.zero_is_missing.clone(),
            holdout_every: self.holdout_every,
            task,
        }
    }

    /// The canonical bytes: the first round's specification, then the rest.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.bytes(&self.spec(TrainTask::Describe).encode());
        w.f64(self.ridge).u32(self.max_newton_rounds).f64(self.tolerance).u32(self.bins);
        codec::put_u16(&mut w, self.min_survivors);
        w.0
    }

    /// Reads and checks a plan.
    pub fn decode(bytes: &[u8]) -> Result<Plan, PlanError> {
        let read = || {
            let mut r = Reader::new(bytes);
            let spec = TrainSpec::decode(r.bytes()?)?;
            if spec.task != TrainTask::Describe {
                return Err(WireError::Invalid("first task of a plan"));
            }
            let plan = Plan {
                columns: spec.columns,
                missing: spec.missing,
                zero_is_missing: spec.zero_is_missing,
                holdout_every: spec.holdout_every,
                ridge: r.f64()?,
                max_newton_rounds: r.u32()?,
                tolerance: r.f64()?,
                bins: r.u32()?,
                min_survivors: codec::u16(&mut r)?,
            };
            r.end()?;
            Ok(plan)
        };
        let plan = read().map_err(PlanError::Encoding)?;
        plan.check()?;
        Ok(plan)
    }
}

/// The state of a training between two rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    plan: Plan,
    /// Sums used so far.
    rounds: u32,
    /// Donors of the last sum, ascending; empty before the first one.
    donors: Vec<u16>,
    /// What [`Training::with_cohort_of`] fixed. Not part of the state's hash: every header holds it anyway.
    cohort: Option<Cohort>,
    /// Bins of the evaluation: the plan's until the description says how many rows there are.
    bins: u32,
    stage: Stage,
}

/// What stays the same in all rounds beside the plan.
#[derive(Debug, Clone, PartialEq)]
struct Cohort {
    donors: Vec<Donor>,
    colluders: u8,
}

impl Cohort {
    /// Whether these are donors of this cohort, with the same enclaves and data. Their evidence may be newer.
    fn holds(&self, donors: &[Donor]) -> bool {
        let known = |d: &Donor| (d.index, d.enclave, d.lineage, d.root);
        donors.iter().all(|d| self.donors.iter().any(|k| known(k) == known(d)))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Describe,
    Ranks { described: Described, searches: Vec<median::Search> },
    Newton(Newton),
    Evaluate(Model),
}

/// What a sum led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Another round is needed.
    Next(Training),
    /// The model is done.
    Finished(Finished),
}

impl Training {
    /// The state before the first round.
    pub fn start(plan: Plan) -> Result<Training, PlanError> {
        plan.check()?;
        let bins = plan.bins;
        Ok(Training { plan, rounds: 0, donors: Vec::new(), cohort: None, bins, stage: Stage::Describe })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sums used so far.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Fixes the cohort: from now on [`Training::check_header`] and [`Training::advance`] accept donors, enclaves and data
    /// of this header's only, and its number of colluders. For whoever follows a training without a ledger and calls it with
    /// every header: a donor that is missing in one has left for good. The enclaves of the product ask the ledger instead,
    /// and whoever missed a round may come back.
    pub fn with_cohort_of(mut self, header: &RoundHeader) -> Training {
        let f = header.fields();
        if self.cohort.as_ref().is_none_or(|cohort| cohort.holds(&f.cohort)) {
            self.cohort = Some(Cohort { donors: f.cohort.clone(), colluders: f.colluders });
        }
        self
    }

    /// Donors of the last sum, ascending; empty before the first one.
    pub fn donors(&self) -> &[u16] {
        &self.donors
    }

    /// Name of the stage, for people: `describe`, `ranks`, `newton` or `evaluate`.
    pub fn stage(&self) -> &'static str {
        match self.stage {
            Stage::Describe => "describe",
            Stage::Ranks { .. } => "ranks",
            Stage::Newton(_) => "newton",
            Stage::Evaluate(_) => "evaluate",
        }
    }

    /// What the next round must compute.
    pub fn spec(&self) -> TrainSpec {
        self.plan.spec(match &self.stage {
            Stage::Describe => TrainTask::Describe,
            Stage::Ranks { searches, .. } => {
                TrainTask::Ranks { thresholds: median::thresholds(searches, self.plan.columns as usize) }
            }
            Stage::Newton(n) => TrainTask::Newton { pre: n.pre.clone(), weights: n.weights.clone() },
            Stage::Evaluate(m) => {
                TrainTask::Evaluate { pre: m.pre.clone(), weights: m.weights.clone(), bins: self.bins }
            }
        })
    }

    /// The model as it is trained, while only its evaluation is missing.
    pub fn trained(&self) -> Option<&Model> {
        if let Stage::Evaluate(model) = &self.stage { Some(model) } else { None }
    }

    /// Whether a header asks for exactly what this state needs, of donors of the cohort and with the study's minimum of
    /// survivors. Donors check it before they answer and members before they open; otherwise a coordinator could choose
    /// what is computed, and over whom.
    pub fn check_header(&self, header: &RoundHeader) -> Result<(), PlanError> {
        let f = header.fields();
        if f.previous != self.state_hash() {
            return Err(PlanError::Header("it follows another state"));
        }
        if f.spec != self.spec() {
            return Err(PlanError::Header("it asks for another computation"));
        }
        if f.min_survivors != self.plan.min_survivors {
            return Err(PlanError::Header("its minimum of survivors is not the study's"));
        }
        if let Some(cohort) = &self.cohort {
            if !cohort.holds(&f.cohort) {
                return Err(self.other_cohort(f.cohort.iter().map(|d| d.index).collect()));
            }
            if cohort.colluders != f.colluders {
                return Err(PlanError::Header(
                    "it tolerates another number of colluders than the first round",
                ));
            }
        }
        Ok(())
    }

    fn other_cohort(&self, got: Vec<u16>) -> PlanError {
        let fixed = self.cohort.as_ref().map(|cohort| cohort.donors.iter().map(|d| d.index).collect());
        PlanError::Cohort { stage: self.stage(), got, expected: fixed.unwrap_or_else(|| self.donors.clone()) }
    }

    /// SHA-256 of the whole state with the domain `histone/training/v1`: what the next header names as `previous`.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut w = Writer::default();
        w.bytes(&self.plan.encode()).u32(self.rounds).u32(self.donors.len() as u32);
        for &d in &self.donors {
            codec::put_u16(&mut w, d);
        }
        // The specification holds the numbers that the sites see; the rest is what the state remembers beside it.
        w.bytes(&self.spec().encode()).u32(self.bins);
        match &self.stage {
            Stage::Describe => {}
            Stage::Ranks { described, searches } => {
                described.write(&mut w);
                for s in searches {
                    s.write(&mut w);
                }
            }
            Stage::Newton(n) => n.write(&mut w),
            Stage::Evaluate(m) => {
                w.bytes(&m.encode());
            }
        }
        codec::hash("histone/training/v1", &[&w.0])
    }

    /// The state after the sum of one round over the rows of `donors` (ascending): any of the cohort, at least
    /// [`Plan::min_survivors`], whoever took part before.
    pub fn advance(&self, donors: &[u16], sum: &[f64]) -> Result<Step, PlanError> {
        let stage = self.stage();
        let expected = self.spec().task.output_len(self.plan.columns as usize);
        if sum.len() != expected {
            return Err(PlanError::Length { stage, got: sum.len(), expected });
        }
        if sum.iter().any(|v| !v.is_finite()) {
            return Err(PlanError::Implausible { stage, what: "a number is not finite" });
        }
        if donors.is_empty() || !donors.is_sorted_by(|a, b| a < b) {
            return Err(PlanError::Implausible {
                stage,
                what: "the donors are not ascending or there are none",
            });
        }
        let minimum = self.plan.min_survivors;
        if donors.len() < usize::from(minimum) {
            return Err(PlanError::TooFewDonors { stage, got: donors.len(), minimum });
        }
        if let Some(cohort) = &self.cohort
            && donors.iter().any(|&d| cohort.donors.iter().all(|c| c.index != d))
        {
            return Err(self.other_cohort(donors.to_vec()));
        }
        let next = |stage| Training {
            plan: self.plan.clone(),
            rounds: self.rounds + 1,
            donors: donors.to_vec(),
            cohort: self.cohort.clone(),
            bins: self.bins,
            stage,
        };
        Ok(match &self.stage {
            Stage::Describe => {
                let described = Described::read(self.plan.columns as usize, sum)?;
                let rows = self.plan.fewest_evaluated(described.rows, donors.len());
                let bins = bins_for(self.plan.bins, rows);
                Step::Next(Training { bins, ..next(self.described(described)?) })
            }
            Stage::Ranks { described, searches } => {
                let (described, mut searches) = (described.clone(), searches.clone());
                let columns = self.plan.columns as usize;
                median::narrow(&mut searches, columns, sum)?;
                Step::Next(next(if searches.iter().all(median::Search::done) {
                    newton(&described, median::fill(&searches, columns))?
                } else {
                    Stage::Ranks { described, searches }
                }))
            }
            Stage::Newton(n) => Step::Next(next(match n.advance(&self.plan, donors, sum)? {
                newton::Outcome::Ask(n) => Stage::Newton(n),
                newton::Outcome::Stop { weights, converged } => Stage::Evaluate(Model {
                    zero_is_missing: self.plan.zero_is_missing.clone(),
                    pre: n.pre.clone(),
                    weights,
                    converged,
                    newton_rounds: n.rounds + 1,
                }),
            })),
            Stage::Evaluate(model) => {
                let evaluation = Evaluation::from_histogram(sum)?;
                Step::Finished(Finished { model: model.clone(), evaluation, rounds: self.rounds + 1 })
            }
        })
    }

    fn described(&self, described: Described) -> Result<Stage, PlanError> {
        let (positives, negatives) = (described.positives, described.rows - described.positives);
        if positives < 2 || negatives < 2 {
            return Err(PlanError::TooFewOfAClass { positives, negatives });
        }
        if self.plan.missing == Missing::Median {
            let searches = median::start(&described.present);
            if !searches.is_empty() {
                return Ok(Stage::Ranks { described, searches });
            }
        }
        let lets_through = matches!(self.plan.missing, Missing::Mean | Missing::Median);
        if !lets_through && described.present.iter().any(|&c| c != described.rows) {
            return Err(PlanError::Implausible {
                stage: "describe",
                what: "values are missing although the plan lets none through",
            });
        }
        // Without missing values it is never used.
        newton(&described, described.means())
    }
}

/// The first Newton round, with the preprocessing that follows from the description and the fill values.
fn newton(described: &Described, fill: Vec<f64>) -> Result<Stage, PlanError> {
    let (pre, constant) = described.preprocess(fill)?;
    Ok(Stage::Newton(Newton::start(pre, constant)))
}

/// Only reached when a length check above it is wrong.
const SHORT: PlanError = PlanError::Implausible { stage: "describe", what: "the sum is too short" };

/// Reads counts: whole numbers from 0 to 2^53.
fn counts(stage: &'static str, values: &[f64]) -> Result<Vec<u64>, PlanError> {
    if values.iter().any(|&v| v < 0.0 || v.fract() != 0.0 || v > (1u64 << 53) as f64) {
        return Err(PlanError::Implausible { stage, what: "a count is not a whole number" });
    }
    Ok(values.iter().map(|&v| v as u64).collect())
}

#[cfg(test)]
mod tests;
