//! A training between its rounds, whatever the method.
//!
//! [`Training`] is a pure state machine over the public half of a [`Method`]. Its state says what the next round must compute
//! ([`Training::ask`]); the sum of that round gives the next state ([`Training::advance`]). Nothing else goes in, so that a
//! stranger with the plan, the method and the opened sums recomputes every state, every [`Training::state_hash`] and the
//! model.
//!
//! # Sealed sums
//!
//! Where the plan seals sums, states and questions are secret, and what shows of a training must not follow from data. It then
//! has as many rounds as the [agenda](Plan::agenda) says, each as long as it says: a stage that ends early, or fails, is filled
//! up with rounds that ask nothing (every site sends zeros). Names of states and questions are keyed by the sum before
//! ([`SumKey`]), so that they cannot be compared with a guess; the first ones are not, since everybody can compute them from the
//! plan. Whoever opened every sum derives every name; whoever did not compares what others say ([`Names`]).
//!
//! The model keeps [`precision::SIGNIFICANT_BITS`] digits of each number, whoever gets it: with all of them it would be an exact sum.
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

use std::sync::Arc;

use histone_program_sdk::config::Config;
use histone_program_sdk::method::{Ask, Done, Fact, Next, Opened, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::{Wire, Writer};
use histone_protocol::disclosure::Release;

use crate::header::{Question, RoundHeader, check_ask};
use crate::plan::{Plan, PlanError};
use crate::sealed::{ModelKey, SumKey};
use crate::{BoxError, codec, precision};

/// The public half of a method, which sees opened sums and no row. The same bytes come out wherever it runs.
pub trait Method {
    /// Names the method: whoever runs another one gets other states.
    fn measurement(&self) -> [u8; 32];
    /// Most rounds of a training.
    fn most_rounds(&self) -> u32;
    /// The stages of a training, how many rounds each has at the most, and how many numbers a site gives in one.
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
    /// The method ends before it has seen a sum, or asks for more than it may.
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

/// Where a method stands.
#[derive(Debug, Clone)]
enum Now {
    /// It asks for a sum.
    Asking(Ask),
    /// It is done, and rounds that ask nothing follow.
    Done(Done),
    /// It failed, and rounds that ask nothing follow: when and why it failed is not for everybody.
    Failed,
}

/// The state of a training between two rounds.
#[derive(Debug, Clone)]
pub struct Training<M> {
    method: M,
    plan: Arc<Plan>,
    /// Sums used so far.
    rounds: u32,
    /// Donors of the last sum, ascending; empty before the first one.
    donors: Vec<u16>,
    /// What the method remembers.
    state: Vec<u8>,
    now: Now,
    /// Of the last sum, where sums are sealed.
    key: SumKey,
}

/// What a sum led to.
#[derive(Debug, Clone)]
pub enum Step<M> {
    /// Another round is needed.
    Next(Training<M>),
    /// The model is done.
    Finished(Finished),
    /// A sealed training came to its end without a model.
    NoModel,
}

/// How the ledger names what a round led to: hashes where sums are public, keyed ones where they are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The state, which the next header names as `previous`; at the end the model.
    pub state: [u8; 32],
    /// What the next round asks; at the end the facts.
    pub next: [u8; 32],
}

/// What stands for a model where there is none.
pub fn no_model() -> Names {
    Names { state: codec::hash("histone/no-model/v1", &[]), next: [0; 32] }
}

impl<M: Method + Clone> Step<M> {
    /// How the ledger names it.
    pub fn names(&self) -> Names {
        match self {
            Step::Next(next) => next.names(),
            Step::Finished(finished) => finished.names(),
            Step::NoModel => no_model(),
        }
    }
}

/// The end of a training.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The model.
    pub model: Model,
    /// What there is to say of it.
    pub facts: Vec<Fact>,
    /// Rounds used in all.
    pub rounds: u32,
    /// The key of a model that is not for everybody.
    pub key: Option<ModelKey>,
}

impl Finished {
    /// The name of the model: [`model_hash`], or [`ModelKey::name`] of one that is not for everybody.
    pub fn hash(&self) -> [u8; 32] {
        match &self.key {
            None => model_hash(&self.model),
            Some(key) => key.name(&self.model),
        }
    }

    /// How the ledger names it.
    pub fn names(&self) -> Names {
        Names { state: self.hash(), next: facts_hash(&self.facts) }
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

/// SHA-256 of facts with the domain `histone/facts/v1`.
pub fn facts_hash(facts: &[Fact]) -> [u8; 32] {
    codec::hash("histone/facts/v1", &[&facts.to_vec().to_bytes()])
}

impl<M: Method + Clone> Training<M> {
    /// The state before the first round.
    pub fn start(method: M, plan: Plan) -> Result<Self, TrainingError> {
        plan.check()?;
        if plan.method != method.measurement() {
            return Err(TrainingError::OtherMethod);
        }
        let state = method.begin(&plan.config).map_err(TrainingError::Method)?;
        let next = method.next(&plan.config, &state).map_err(TrainingError::Method)?;
        let Next::Ask { ask } = next else {
            return Err(TrainingError::Rounds("it ends before the first round"));
        };
        fits(&plan.agenda, 0, &ask).map_err(TrainingError::Rounds)?;
        let (now, key) = (Now::Asking(ask), SumKey::first());
        Ok(Self { method, plan: Arc::new(plan), rounds: 0, donors: Vec::new(), state, now, key })
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

    /// Name of the stage, for people: of the agenda where sums are sealed.
    pub fn stage(&self) -> &str {
        match (&self.now, self.slot()) {
            (Now::Asking(ask), _) if !self.plan.is_sealed() => &ask.stage,
            (_, Some(slot)) => &slot.name,
            _ => "",
        }
    }

    /// What the next round must compute; none in a round that asks nothing.
    pub fn ask(&self) -> Option<&Ask> {
        match &self.now {
            Now::Asking(ask) if !self.plan.is_sealed() => Some(ask),
            Now::Asking(ask) => self.slot().is_some_and(|slot| slot.name == ask.stage).then_some(ask),
            Now::Done(_) | Now::Failed => None,
        }
    }

    /// What the next header shows of it.
    pub fn question(&self) -> Question {
        match (&self.now, self.slot()) {
            (Now::Asking(ask), _) if !self.plan.is_sealed() => Question::Open(ask.clone()),
            (_, slot) => {
                let (stage, numbers) = slot.map_or((String::new(), 0), |s| (s.name.clone(), s.numbers));
                Question::Sealed { stage, numbers, hash: self.names().next }
            }
        }
    }

    /// What the next header says.
    pub fn asked(&self) -> Asked {
        Asked { method: self.plan.method, question: self.question(), previous: self.state_hash() }
    }

    /// The stage that the agenda has for the next round.
    fn slot(&self) -> Option<&Stage> {
        slot(&self.plan.agenda, self.rounds).map(|(_, stage)| stage)
    }

    /// Whether a header asks for exactly what this state needs, with the study's minimum of survivors. Donors' enclaves check it
    /// before they answer; otherwise a coordinator could choose what is computed.
    pub fn check_header(&self, header: &RoundHeader) -> Result<(), TrainingError> {
        let f = header.fields();
        if f.previous != self.state_hash() {
            return Err(TrainingError::Header("it follows another state"));
        }
        if f.method != self.plan.method || f.question != self.question() {
            return Err(TrainingError::Header("it asks for another computation"));
        }
        if f.min_survivors != self.plan.min_survivors {
            return Err(TrainingError::Header("its minimum of survivors is not the study's"));
        }
        // What is sealed nobody could look at before.
        if self.ask().is_some_and(|ask| check_ask(ask, f.cohort.len()).is_err()) {
            return Err(TrainingError::Header("a sum over its cohort could not hold what is asked"));
        }
        Ok(())
    }

    /// SHA-256 of the whole state with the domain `histone/training/v2`: what the next header names as `previous`. Keyed by the
    /// sum before where sums are sealed.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut w = Writer::default();
        w.bytes(&self.plan.encode()).u32(self.rounds).u32(self.donors.len() as u32);
        for &d in &self.donors {
            codec::put_u16(&mut w, d);
        }
        w.bytes(&self.state);
        if !self.plan.is_sealed() {
            return codec::hash("histone/training/v2", &[&w.0]);
        }
        w.u8(match self.now {
            Now::Asking(_) => 0,
            Now::Done(_) => 1,
            Now::Failed => 2,
        });
        self.key.name("histone/sealed-training/v1", &[&w.0])
    }

    /// How the ledger names state and question.
    pub fn names(&self) -> Names {
        let asked = self.ask().map(Wire::to_bytes).unwrap_or_default();
        let next = match self.plan.is_sealed() {
            true => self.key.name("histone/sealed-question/v1", &[&asked]),
            false => codec::hash("histone/question/v1", &[&asked]),
        };
        Names { state: self.state_hash(), next }
    }

    /// The state after the sum of one round over the rows of `donors` (ascending), at least [`Plan::min_survivors`], whoever
    /// took part before. For a plan that seals sums, [`Self::advance_sealed`].
    pub fn advance(&self, donors: &[u16], sum: &[f64]) -> Result<Step<M>, TrainingError> {
        if self.plan.is_sealed() {
            return Err(TrainingError::Header("its sums are sealed"));
        }
        self.check_donors(donors)?;
        let rounds = self.rounds + 1;
        match self.moved(donors, sum)? {
            (state, Now::Asking(ask)) => {
                if rounds >= self.method.most_rounds() {
                    return Err(TrainingError::Rounds("it asks for more rounds than its manifest says"));
                }
                Ok(Step::Next(self.at(rounds, donors, state, Now::Asking(ask), self.key.clone())))
            }
            (_, Now::Done(Done { model, facts })) => {
                Ok(Step::Finished(Finished { model, facts, rounds, key: None }))
            }
            (_, Now::Failed) => Ok(Step::NoModel),
        }
    }

    /// The same where sums are sealed, with the key of the sum. It goes on whatever the sum says: what goes wrong with data shows
    /// at the end only, as a training without a model. The numbers of the model are [rounded](precision).
    pub fn advance_sealed(&self, donors: &[u16], sum: &[f64], key: SumKey) -> Result<Step<M>, TrainingError> {
        if !self.plan.is_sealed() {
            return Err(TrainingError::Header("its sums are public"));
        }
        self.check_donors(donors)?;
        let rounds = self.rounds + 1;
        let (state, now) = match self.ask() {
            None => (self.state.clone(), self.now.clone()),
            Some(_) => match self.moved(donors, sum) {
                Ok((state, Now::Asking(ask))) => match fits(&self.plan.agenda, rounds, &ask) {
                    Ok(()) => (state, Now::Asking(ask)),
                    Err(_) => (state, Now::Failed),
                },
                Ok(ended) => ended,
                Err(_) => (self.state.clone(), Now::Failed),
            },
        };
        if slot(&self.plan.agenda, rounds).is_some() {
            return Ok(Step::Next(self.at(rounds, donors, state, now, key)));
        }
        let Now::Done(Done { model, facts }) = now else { return Ok(Step::NoModel) };
        // Here and not at a gate: its name, answers and reports are then of the model that is released, whoever gets it.
        let model = precision::released(model);
        let model_key = (self.plan.model != Release::Public).then(|| key.model_key());
        Ok(Step::Finished(Finished { model, facts, rounds, key: model_key }))
    }

    fn check_donors(&self, donors: &[u16]) -> Result<(), TrainingError> {
        let stage = || self.stage().to_string();
        if donors.is_empty() || !donors.is_sorted_by(|a, b| a < b) {
            return Err(TrainingError::Donors { stage: stage() });
        }
        let minimum = self.plan.min_survivors;
        if donors.len() < usize::from(minimum) {
            return Err(TrainingError::TooFewDonors { stage: stage(), got: donors.len(), minimum });
        }
        Ok(())
    }

    /// Where the method stands after a sum.
    fn moved(&self, donors: &[u16], sum: &[f64]) -> Result<(Vec<u8>, Now), TrainingError> {
        let Some(ask) = self.ask() else { return Err(TrainingError::Header("it asks for nothing")) };
        let opened = Opened { donors: donors.to_vec(), sums: sum.to_vec() };
        let method = &self.method;
        let state = method.advance(&self.state, ask, &opened).map_err(TrainingError::Method)?;
        match method.next(&self.plan.config, &state).map_err(TrainingError::Method)? {
            Next::Ask { ask } => Ok((state, Now::Asking(ask))),
            Next::Done { done } => Ok((state, Now::Done(done))),
        }
    }

    fn at(&self, rounds: u32, donors: &[u16], state: Vec<u8>, now: Now, key: SumKey) -> Self {
        let (method, plan) = (self.method.clone(), self.plan.clone());
        Self { method, plan, rounds, donors: donors.to_vec(), state, now, key }
    }
}

/// What the next header says of the computation.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Measurement of the method.
    pub method: [u8; 32],
    /// What every site is asked, as far as everybody sees it.
    pub question: Question,
    /// Name of the state that asks.
    pub previous: [u8; 32],
}

impl Asked {
    /// What enclaves say is asked after so many rounds of a sealed training; none when the agenda is over.
    pub fn sealed(plan: &Plan, rounds: u32, names: Names) -> Option<Asked> {
        let (_, stage) = slot(&plan.agenda, rounds)?;
        let question =
            Question::Sealed { stage: stage.name.clone(), numbers: stage.numbers, hash: names.next };
        Some(Asked { method: plan.method, question, previous: names.state })
    }

    /// Whether a header says the same.
    pub fn is_in(&self, header: &RoundHeader) -> bool {
        let f = header.fields();
        (f.method, &f.question, f.previous) == (self.method, &self.question, self.previous)
    }
}

/// The stage of a round, counted from 0, and its position in the agenda; none after the last.
pub fn slot(agenda: &[Stage], round: u32) -> Option<(usize, &Stage)> {
    let mut end = 0u32;
    agenda.iter().enumerate().find(|(_, stage)| {
        end = end.saturating_add(stage.rounds);
        round < end
    })
}

/// Whether what is asked in a round has its place in the agenda, now or later.
fn fits(agenda: &[Stage], round: u32, ask: &Ask) -> Result<(), &'static str> {
    let Some((now, _)) = slot(agenda, round) else {
        return Err("it asks for more rounds than its agenda says");
    };
    let place = agenda.iter().enumerate().skip(now).find(|(_, stage)| stage.name == ask.stage);
    match place {
        None => Err("it asks for a stage that its agenda does not have, or has behind it"),
        Some((_, stage)) if stage.numbers as usize != ask.len() => {
            Err("it asks for more or fewer numbers than its agenda says")
        }
        Some(_) => Ok(()),
    }
}
