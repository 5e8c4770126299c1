//! Linear regression: a number from other columns, by least squares.
//!
//! | stage | asks for | gives |
//! |---|---|---|
//! | describe, ranks | see [`histone_program_sdk::tabular`] | the design |
//! | fit | `X'X`, `X'y`, `y'y` over the training rows | the weights and, with the next, their standard errors |
//! | judge | squared errors of the training and, when there are enough, of the judging rows | residual spread, R2 |
//!
//! No weight on the standardized scale gets beyond `max_weight`, whatever the sums say: sites may lie.
//!
//! The outcome is taken on the scale of its range, and errors are summed up in a round of their own: `y'y - b'X'y` would lose the
//! digits of a good fit.

mod fit;
mod judge;
mod result;

use histone_program_sdk::config::{Config, Outcome};
use histone_program_sdk::data::Data;
use histone_program_sdk::math::dot;
use histone_program_sdk::method::{Answer, Ask, Method, Next, Opened, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::tabular::{self, Design, Part, Preparation};
use histone_program_sdk::wire;

pub use fit::Fitted;
pub use judge::Judged;

#[cfg(not(feature = "answer"))]
histone_program_sdk::method!(Linear, "../manifest.json");
#[cfg(feature = "answer")]
histone_program_sdk::answer!(Linear);

/// Positions of the settings in the manifest.
pub(crate) mod setting {
    pub const RIDGE: usize = 0;
    pub const MAX_WEIGHT: usize = 1;
}

/// The method.
#[derive(Debug)]
pub struct Linear;

wire! {
    /// Where a training stands.
    #[derive(Debug, Clone, PartialEq)]
    pub enum State {
        /// Columns are described.
        Preparing {
            /// How far.
            preparation: Preparation,
        },
        /// Weights are looked for.
        Fitting {
            /// What the first round gave.
            described: tabular::Described,
            /// The columns.
            design: Design,
        },
        /// The model is judged.
        Judging {
            /// What was found.
            fitted: Fitted,
        },
        /// The end.
        Finished {
            /// What was found.
            fitted: Fitted,
            /// How good it is.
            judged: Judged,
        },
    }
}

wire! {
    /// What a site is asked.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Question {
        /// See [`tabular`].
        Prepare {
            /// The question.
            question: tabular::Question,
        },
        /// Sums of products.
        Fit {
            /// The design.
            design: Design,
        },
        /// How the model does.
        Judge {
            /// The design.
            design: Design,
            /// The model, on the scale of the outcome's range.
            weights: Vec<f64>,
            /// Mean outcome of the training rows, on that scale.
            mean: f64,
            /// Whether judging rows are asked about, too.
            judging: bool,
        },
    }
}

impl Method for Linear {
    type State = State;
    type Question = Question;

    fn agenda(config: &Config) -> Result<Vec<Stage>, Refusal> {
        let mut agenda = Preparation::agenda(config)?;
        agenda.push(Stage::once("fit", &fit::segments(tabular::width(config))));
        agenda.push(Stage::once("judge", &judge::segments()));
        Ok(agenda)
    }

    fn begin(config: Config) -> Result<State, Refusal> {
        if !matches!(config.outcome, Outcome::Number { .. }) {
            return Err(Refusal::because("linear regression predicts a number"));
        }
        Ok(State::Preparing { preparation: Preparation::new(config)? })
    }

    fn next(state: &State) -> Result<Next, Refusal> {
        let ask = match state {
            State::Preparing { preparation } => preparation
                .ask_as(|question| Question::Prepare { question })
                .ok_or_else(|| Refusal::because("the preparation is over and nothing was begun"))?,
            State::Fitting { design, .. } => {
                Ask::new("fit", &Question::Fit { design: design.asked() }, fit::segments(design.width()))
            }
            State::Judging { fitted } => {
                let question = Question::Judge {
                    design: fitted.design.asked(),
                    weights: fitted.weights.clone(),
                    mean: fitted.mean,
                    judging: fitted.described.judges(&fitted.design),
                };
                Ask::new("judge", &question, judge::segments())
            }
            State::Finished { fitted, judged } => {
                return Ok(Next::Done { done: result::done(fitted, judged) });
            }
        };
        Ok(Next::Ask { ask })
    }

    fn advance(state: State, opened: Opened) -> Result<State, Refusal> {
        match state {
            State::Preparing { preparation } => match preparation.advance(&opened)? {
                Preparation::Ready { described, design } => Ok(State::Fitting { described, design }),
                preparation => Ok(State::Preparing { preparation }),
            },
            State::Fitting { described, design } => {
                Ok(State::Judging { fitted: Fitted::new(described, design, &opened.sums)? })
            }
            State::Judging { fitted } => {
                let judged = Judged::read(&opened.sums)?;
                Ok(State::Finished { fitted, judged })
            }
            State::Finished { .. } => Err(Refusal::because("the training is over")),
        }
    }

    fn site(question: Question, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
        match question {
            Question::Prepare { question } => tabular::site(&question, data),
            Question::Fit { design } => fit::site(&design, data),
            Question::Judge { design, weights, mean, judging } => {
                let parts: &[Part] =
                    if judging { &[Part::Training, Part::Judging] } else { &[Part::Training] };
                Ok(judge::site(&design, &weights, mean, parts, data)?.to_vec())
            }
        }
    }

    fn report(model: &Model, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
        let (design, weights) = read(model)?;
        judge::report(&design, weights, data)
    }
}

/// Design and weights of a model.
fn read(model: &Model) -> Result<(Design, &[f64]), Refusal> {
    let (design, weights) = (Design::of(model)?, model.array("weights"));
    let fits = matches!(design.config.outcome, Outcome::Number { .. })
        && weights.len() == design.width()
        && weights.iter().all(|w| w.is_finite());
    if fits { Ok((design, weights)) } else { Err(Refusal::Malformed) }
}

/// Middle and half of the range of the outcome.
pub(crate) fn scale(config: &Config) -> (f64, f64) {
    match config.outcome {
        Outcome::Number { low, high, .. } => (low / 2.0 + high / 2.0, high / 2.0 - low / 2.0),
        _ => (0.0, 1.0),
    }
}

/// An outcome on the scale of its range; outside of it, its end.
pub(crate) fn scaled((middle, half): (f64, f64), y: f64) -> f64 {
    ((y - middle) / half).clamp(-1.0, 1.0)
}

impl Answer for Linear {
    /// The expected outcome, in its own units. A missing value is always filled.
    fn answer(model: &Model, row: &[f64]) -> Result<Vec<f64>, Refusal> {
        let (design, weights) = read(model)?;
        let mut z = vec![1.0];
        if !design.append(row, &mut z) {
            return Err(Refusal::Malformed);
        }
        let (middle, half) = scale(&design.config);
        Ok(vec![middle + half * dot(weights, &z)])
    }
}
