//! A training between its rounds, whatever the method.
//!
//! [`Training`] is a pure state machine over the public half of a [`Method`]. Its state says what the next round must compute
//! ([`Training::ask`]); the sum of that round gives the next state ([`Training::advance`]). Nothing else goes in, so that a
//! stranger with the plan, the method and the opened sums recomputes every state, every [`Training::state_hash`] and the
//! model.
//!
//! # Drop-outs
//!
//! Whoever withdraws its data leaves for good, and the sums made before stay in the state. In each round any
//! [`Plan::min_survivors`] or more of the cohort may answer; who missed a round may come back: who is in a cohort is the
//! ledger's to say. Members of the committee open one computation for one set of donors. A round whose sum nobody opened, for
//! want of survivors or of members, can be asked again.
//!
//! **What remains.** Rounds that ask for different things can still be functions of one another. Sums are public, so
//! when one donor takes part in one of two such rounds and not in the other, their difference tells *aggregates of that
//! donor* to everybody. With `logistic`, for instance:
//!
//! - The first Newton round, at weights 0, holds the same information as the description, on the standardized scale (and
//!   covariances beside it). Whoever leaves between the two gives away its number of rows and of positives and, for each
//!   filled column, sum and sum of squares about the common mean: exactly, but for rounding.
//! - Two Newton rounds near convergence are computed at nearly the same weights: the difference is that donor's gradient,
//!   curvature and loss, nearly.
//! - The counts of present values of two rank rounds, or of one and the description, differ by its number of present
//!   values in each column.
//!
//! These are aggregates of a donor and not rows, as long as it has many rows: the guard against this is a minimum number
//! of rows a donor, which whoever admits donors has to set (nothing here knows how many rows are in a sum), and, later,
//! noise. A donor of one row that drops out gives away the row. A coordinator that suppresses a donor's update can cause
//! all of this.

use histone_program_sdk::config::Config;
use histone_program_sdk::method::{Ask, Done, Fact, Next, Opened, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::{Wire, Writer};

use crate::header::RoundHeader;
use crate::plan::{Plan, PlanError};
use crate::{BoxError, codec};

/// The public half of a method, which sees opened sums and no row. The same bytes come out wherever it runs.
pub trait Method {
    /// Names the method: whoever runs another one gets other states.
    fn measurement(&self) -> [u8; 32];
    /// Most rounds of a training.
    fn most_rounds(&self) -> u32;
    /// The stages of a training in their order: [`Plan::agenda`].
    fn agenda(&self, config: &Config) -> Result<Vec<Stage>, BoxError>;
    /// The state before the first round, of a configuration that it takes.
    fn begin(&self, config: &Config) -> Result<Vec<u8>, BoxError>;
    /// What a state asks, or the end.
    fn next(&self, config: &Config, state: &[u8]) -> Result<Next, BoxError>;
    /// The state after a sum.
    fn advance(&self, state: &[u8], ask: &Ask, opened: &Opened) -> Result<Vec<u8>, BoxError>;
}

/// Why a training does not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The plan is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan names another method than the one that was given.
    #[error("the plan is of another method than the one at hand")]
    OtherMethod,
    /// The method refuses, or fails.
    #[error("the training does not go on")]
    Method(#[source] BoxError),
    /// The method ends before it has seen a sum, or asks for more rounds than it may.
    #[error("the method breaks its own limits: {0}")]
    Rounds(&'static str),
    /// The donors of a sum are none, or not ascending.
    #[error("the donors of the {stage} stage's sum are not ascending, or there are none")]
    Donors {
        /// The stage.
        stage: String,
    },
    /// A sum over fewer donors than the study allows.
    #[error(
        "the {stage} stage was answered by {got} donors where the study demands {minimum}; the training ends here, a new one needs donors who stay"
    )]
    TooFewDonors {
        /// The stage.
        stage: String,
        /// Donors of the sum.
        got: usize,
        /// [`Plan::min_survivors`].
        minimum: u16,
    },
    /// The header asks for something else than the training does.
    #[error("the round header does not belong to this state of the training: {0}")]
    Header(&'static str),
}

/// The state of a training between two rounds.
#[derive(Debug, Clone)]
pub struct Training<M> {
    method: M,
    plan: Plan,
    /// Sums used so far.
    rounds: u32,
    /// Donors of the last sum, ascending; empty before the first one.
    donors: Vec<u16>,
    /// What the method remembers.
    state: Vec<u8>,
    /// What it asks.
    ask: Ask,
}

/// What a sum led to.
#[derive(Debug, Clone)]
pub enum Step<M> {
    /// Another round is needed.
    Next(Training<M>),
    /// The model is done.
    Finished(Finished),
}

/// The end of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The model.
    pub model: Model,
    /// What there is to say of it.
    pub facts: Vec<Fact>,
    /// Rounds used in all.
    pub rounds: u32,
}

impl Finished {
    /// The name of the model: [`model_hash`].
    pub fn hash(&self) -> [u8; 32] {
        model_hash(&self.model)
    }

    /// A fact that is one number; none when the method does not say it, or found none.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.facts.iter().find(|f| f.name == name)?.number()
    }
}

/// SHA-256 of a model's bytes with the domain `histone/model/v2`: what the ledger sells.
pub fn model_hash(model: &Model) -> [u8; 32] {
    codec::hash("histone/model/v2", &[&model.to_bytes()])
}

impl<M: Method + Clone> Training<M> {
    /// The state before the first round.
    pub fn start(method: M, plan: Plan) -> Result<Self, TrainingError> {
        plan.check()?;
        if plan.method != method.measurement() {
            return Err(TrainingError::OtherMethod);
        }
        let state = method.begin(&plan.config).map_err(TrainingError::Method)?;
        match method.next(&plan.config, &state).map_err(TrainingError::Method)? {
            Next::Ask { ask } => Ok(Self { method, plan, rounds: 0, donors: Vec::new(), state, ask }),
            Next::Done { .. } => Err(TrainingError::Rounds("it ends before the first round")),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sums used so far.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Donors of the last sum, ascending; empty before the first one.
    pub fn donors(&self) -> &[u16] {
        &self.donors
    }

    /// Name of the stage, for people.
    pub fn stage(&self) -> &str {
        &self.ask.stage
    }

    /// What the next round must compute.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Whether a header asks for exactly what this state needs, with the study's minimum of survivors. Donors' enclaves check it
    /// before they answer; otherwise a coordinator could choose what is computed.
    pub fn check_header(&self, header: &RoundHeader) -> Result<(), TrainingError> {
        let f = header.fields();
        if f.previous != self.state_hash() {
            return Err(TrainingError::Header("it follows another state"));
        }
        if f.method != self.plan.method || f.ask.to_bytes() != self.ask.to_bytes() {
            return Err(TrainingError::Header("it asks for another computation"));
        }
        if f.min_survivors != self.plan.min_survivors {
            return Err(TrainingError::Header("its minimum of survivors is not the study's"));
        }
        Ok(())
    }

    /// SHA-256 of the whole state with the domain `histone/training/v2`: what the next header names as `previous`.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut w = Writer::default();
        w.bytes(&self.plan.encode()).u32(self.rounds).u32(self.donors.len() as u32);
        for &d in &self.donors {
            codec::put_u16(&mut w, d);
        }
        w.bytes(&self.state);
        codec::hash("histone/training/v2", &[&w.0])
    }

    /// The state after the sum of one round over the rows of `donors` (ascending), at least [`Plan::min_survivors`], whoever
    /// took part before.
    pub fn advance(&self, donors: &[u16], sum: &[f64]) -> Result<Step<M>, TrainingError> {
        let stage = || self.ask.stage.clone();
        if donors.is_empty() || !donors.is_sorted_by(|a, b| a < b) {
            return Err(TrainingError::Donors { stage: stage() });
        }
        let minimum = self.plan.min_survivors;
        if donors.len() < usize::from(minimum) {
            return Err(TrainingError::TooFewDonors { stage: stage(), got: donors.len(), minimum });
        }
        let rounds = self.rounds + 1;
        let opened = Opened { donors: donors.to_vec(), sums: sum.to_vec() };
        let method = &self.method;
        let state = method.advance(&self.state, &self.ask, &opened).map_err(TrainingError::Method)?;
        match method.next(&self.plan.config, &state).map_err(TrainingError::Method)? {
            Next::Ask { .. } if rounds >= method.most_rounds() => {
                Err(TrainingError::Rounds("it asks for more rounds than its manifest says"))
            }
            Next::Ask { ask } => Ok(Step::Next(Self {
                method: method.clone(),
                plan: self.plan.clone(),
                rounds,
                donors: donors.to_vec(),
                state,
                ask,
            })),
            Next::Done { done: Done { model, facts } } => {
                Ok(Step::Finished(Finished { model, facts, rounds }))
            }
        }
    }
}
