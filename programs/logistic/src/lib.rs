//! Logistic regression: the probability of a yes/no outcome.
//!
//! | stage | asks for | gives |
//! |---|---|---|
//! | describe, ranks | see [`histone_program_sdk::tabular`] | the design |
//! | newton | gradient of the log-likelihood, curvature `X'WX`, sum of log losses at the current weights | the next weights; at the end their standard errors |
//! | spread | how many judging rows have which predicted log odds, when there are enough | borders of bins, each with no fewer than the minimum |
//! | judge | rows by outcome and bin | area under the curve, calibration, Brier score |
//!
//! A step that makes the penalized loss larger is halved. When the donors of a round are not those of the round before, losses
//! are not compared: they are of other rows. No step moves a weight on the standardized scale by more than `max_step`, and no weight
//! gets beyond `max_weight`, whatever the sums say: sites may lie.
//!
//! **Separation.** When columns tell the classes apart without an error, the loss falls towards zero and weights grow without end:
//! nothing is estimated then. It shows when a row's log odds could pass 30 although the loss still falls; the training then ends
//! with a sentence that names the column with the largest weight, unless the setting `separated` says to go on.

mod fit;
mod judge;
mod result;

use histone_program_sdk::config::{Config, Outcome};
use histone_program_sdk::data::Data;
use histone_program_sdk::math::{dot, logistic};
use histone_program_sdk::method::{Answer, Ask, Method, Next, Opened, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::tabular::{self, Design, Preparation};
use histone_program_sdk::wire;

pub use fit::Fit;
pub use judge::Judged;
pub use result::Estimates;

#[cfg(not(feature = "answer"))]
histone_program_sdk::method!(Logistic, "../manifest.json");
#[cfg(feature = "answer")]
histone_program_sdk::answer!(Logistic);

/// Positions of the settings in the manifest.
pub(crate) mod setting {
    pub const RIDGE: usize = 0;
    pub const ROUNDS: usize = 1;
    pub const TOLERANCE: usize = 2;
    pub const BINS: usize = 3;
    pub const SEPARATED: usize = 4;
    pub const MAX_STEP: usize = 5;
    pub const MAX_WEIGHT: usize = 6;
}

/// The method.
#[derive(Debug)]
pub struct Logistic;

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
            /// How far.
            fit: Fit,
        },
        /// Bins are looked for.
        Spreading {
            /// What was found.
            estimates: Estimates,
        },
        /// The model is judged.
        Judging {
            /// What was found.
            estimates: Estimates,
            /// Borders of the bins.
            cuts: Vec<f64>,
        },
        /// The end.
        Finished {
            /// What was found.
            estimates: Estimates,
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
        /// Gradient, curvature and loss.
        Newton {
            /// The design.
            design: Design,
            /// Where.
            weights: Vec<f64>,
        },
        /// Which log odds it predicts.
        Spread {
            /// The design.
            design: Design,
            /// The model.
            weights: Vec<f64>,
        },
        /// How the model does.
        Judge {
            /// The design.
            design: Design,
            /// The model.
            weights: Vec<f64>,
            /// Borders of the bins of log odds.
            cuts: Vec<f64>,
            /// Bins that there is room for.
            bins: u32,
        },
    }
}

impl State {
    /// Judging, or the end where too few rows would judge.
    fn judging(estimates: Estimates) -> Self {
        match estimates.described.judges(&estimates.design) {
            true => State::Spreading { estimates },
            false => State::Finished { judged: Judged::too_few(estimates.described.judging), estimates },
        }
    }
}

impl Method for Logistic {
    type State = State;
    type Question = Question;

    fn agenda(config: &Config) -> Result<Vec<Stage>, Refusal> {
        let mut agenda = Preparation::agenda(config)?;
        // A host has checked that it is a whole number; what is none has no round, which no host takes.
        let rounds = config.value(setting::ROUNDS) as u32;
        agenda.push(Stage { rounds, ..Stage::once("newton", &fit::segments(tabular::width(config))) });
        agenda.push(Stage::once("spread", &judge::spread_segments()));
        agenda.push(Stage::once("judge", &judge::segments(judge::bins(config))));
        Ok(agenda)
    }

    fn begin(config: Config) -> Result<State, Refusal> {
        if !matches!(config.outcome, Outcome::YesNo { .. }) {
            return Err(Refusal::because("logistic regression predicts a yes/no outcome"));
        }
        Ok(State::Preparing { preparation: Preparation::new(config)? })
    }

    fn next(state: &State) -> Result<Next, Refusal> {
        let ask = match state {
            State::Preparing { preparation } => preparation
                .ask_as(|question| Question::Prepare { question })
                .ok_or_else(|| Refusal::because("the preparation is over and nothing was begun"))?,
            State::Fitting { fit } => {
                let question = Question::Newton { design: fit.design.asked(), weights: fit.weights.clone() };
                Ask::new("newton", &question, fit::segments(fit.design.width()))
            }
            State::Spreading { estimates } => {
                let (design, weights) = (estimates.design.asked(), estimates.weights.clone());
                Ask::new("spread", &Question::Spread { design, weights }, judge::spread_segments())
            }
            State::Judging { estimates, cuts } => {
                let bins = judge::bins(&estimates.design.config);
                let question = Question::Judge {
                    design: estimates.design.asked(),
                    weights: estimates.weights.clone(),
                    cuts: cuts.clone(),
                    bins,
                };
                Ask::new("judge", &question, judge::segments(bins))
            }
            State::Finished { estimates, judged } => {
                return Ok(Next::Done { done: result::done(estimates, judged) });
            }
        };
        Ok(Next::Ask { ask })
    }

    fn advance(state: State, opened: Opened) -> Result<State, Refusal> {
        match state {
            State::Preparing { preparation } => match preparation.advance(&opened)? {
                Preparation::Ready { described, design } => {
                    let (yes, rows) = (described.positives, described.rows);
                    if yes == 0 || yes == rows {
                        return Err(Refusal::because(format!(
                            "all sites together have {yes} rows with a yes and {} with a no to train on; both are needed",
                            rows - yes
                        )));
                    }
                    if design.config.few(yes) || design.config.few(rows - yes) {
                        return Err(Refusal::because(format!(
                            "all sites together have fewer than the plan's minimum of {} rows with a yes, or with a no, to train on",
                            design.config.least.sum
                        )));
                    }
                    Ok(State::Fitting { fit: Fit::new(described, design) })
                }
                preparation => Ok(State::Preparing { preparation }),
            },
            State::Fitting { fit } => fit.advance(opened),
            State::Spreading { estimates } => {
                let cuts = judge::cuts(&estimates.design.config, estimates.weights[0], &opened.sums)?;
                Ok(State::Judging { estimates, cuts })
            }
            State::Judging { estimates, .. } => {
                let judged = Judged::read(&estimates.design.config, &opened.sums)?;
                Ok(State::Finished { estimates, judged })
            }
            State::Finished { .. } => Err(Refusal::because("the training is over")),
        }
    }

    fn site(question: Question, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
        match question {
            Question::Prepare { question } => tabular::site(&question, data),
            Question::Newton { design, weights } => fit::site(&design, &weights, data),
            // The log odds of the average row are in the middle of all.
            Question::Spread { design, weights } => judge::spread(&design, &weights, weights[0], data),
            Question::Judge { design, weights, cuts, bins } => {
                judge::site(&design, &weights, &cuts, bins, data)
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
    let fits = weights.len() == design.width() && weights.iter().all(|w| w.is_finite());
    if fits { Ok((design, weights)) } else { Err(Refusal::Malformed) }
}

impl Answer for Logistic {
    /// The probability of a yes. A missing value is always filled: whether a study trains with missing values says nothing about
    /// who may ask.
    fn answer(model: &Model, row: &[f64]) -> Result<Vec<f64>, Refusal> {
        let (design, weights) = read(model)?;
        let mut z = vec![1.0];
        if !design.append(row, &mut z) {
            return Err(Refusal::Malformed);
        }
        Ok(vec![logistic(dot(weights, &z))])
    }
}
