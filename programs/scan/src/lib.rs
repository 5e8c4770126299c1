//! Scan: for each variant of a panel, how an outcome changes with each copy of its alternative allele, beside covariates.
//!
//! | stage | asks for | gives |
//! |---|---|---|
//! | covariates | of a yes/no outcome: gradient and curvature of the likelihood by covariates alone | their weights |
//! | scan | of a number: sums of products of covariates and outcome, and for each variant those of its genotypes; of a yes/no outcome: score and variance of each variant | estimate, standard error and p |
//!
//! A number takes one round for as many variants as fit into one ([`shape`]), a yes/no outcome a few for the covariates before them. All sums
//! are of whole numbers: covariates and outcome are taken on the scale of their ranges, in steps of 2^-22 of half of it, and so is what
//! logistic regression makes of them ([`cases`]). So the sums over hospitals are those over all people in one place, bit for bit, and so is
//! everything that follows.
//!
//! Who lacks the outcome, a covariate or all genotypes counts nowhere; who lacks a call counts at the other variants. Where
//! everybody sees sums, a site leaves a variant out at which too few people have another genotype than the most, or lack a call: it says
//! nothing of it but that it did, which looks as if nobody had a call. Of all sites together a variant is not told of for the same reason, or
//! when fewer than two sites give it.

mod cases;
mod covariates;
mod groups;
mod linear;
mod result;
mod scanned;
mod shape;
mod site;

use histone_program_sdk::config::Config;
use histone_program_sdk::data::Data;
use histone_program_sdk::math::ln;
use histone_program_sdk::method::{Answer, Ask, Method, Next, Opened, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::wire;

use crate::shape::{COVARIATE_ROUNDS, Shape};

pub use crate::cases::Null;
pub use crate::scanned::Scanned;

#[cfg(not(feature = "answer"))]
histone_program_sdk::method!(Scan, "../manifest.json");
#[cfg(feature = "answer")]
histone_program_sdk::answer!(Scan);

/// The method.
#[derive(Debug)]
pub struct Scan;

wire! {
    /// Where a scan stands.
    #[derive(Debug, Clone, PartialEq)]
    pub struct State {
        config: Config,
        /// The regression by covariates alone, where the outcome is yes or no.
        null: Option<Null>,
        scanned: Scanned,
    }
}

wire! {
    /// What a site is asked.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Question {
        /// Some variants, for a number.
        Linear {
            /// What was agreed.
            config: Config,
            /// Place of the first one.
            first: u32,
        },
        /// Covariates alone, for a yes/no outcome.
        Covariates {
            /// What was agreed.
            config: Config,
            /// Where.
            weights: Vec<f64>,
        },
        /// Some variants, for a yes/no outcome.
        Score {
            /// What was agreed.
            config: Config,
            /// What covariates say of the outcome.
            weights: Vec<f64>,
            /// Place of the first one.
            first: u32,
        },
    }
}

impl Method for Scan {
    type State = State;
    type Question = Question;

    fn agenda(config: &Config) -> Result<Vec<Stage>, Refusal> {
        let shape = Shape::of(config)?;
        let scan = Stage::new("scan", shape.numbers(), shape.rounds());
        let covariates = Stage::new("covariates", shape.head(), COVARIATE_ROUNDS as usize);
        Ok(if shape.cases { vec![covariates, scan] } else { vec![scan] })
    }

    fn begin(config: Config) -> Result<State, Refusal> {
        let shape = Shape::of(&config)?;
        let null = shape.cases.then(|| Null::new(&shape));
        Ok(State { config, null, scanned: Scanned::default() })
    }

    fn next(state: &State) -> Result<Next, Refusal> {
        let shape = Shape::of(&state.config)?;
        let first = state.scanned.len();
        if first == shape.variants {
            return Ok(Next::Done { done: result::done(&state.config, &state.scanned) });
        }
        let (config, first) = (state.config.asked(), first as u32);
        let ask = match &state.null {
            None => Ask::new("scan", &Question::Linear { config, first }, shape.segments(shape.numbers())),
            Some(Null { weights, settled: false, .. }) => {
                let question = Question::Covariates { config, weights: weights.clone() };
                Ask::new("covariates", &question, shape.segments(shape.head()))
            }
            Some(Null { weights, .. }) => {
                let question = Question::Score { config, weights: weights.clone(), first };
                Ask::new("scan", &question, shape.segments(shape.numbers()))
            }
        };
        Ok(Next::Ask { ask })
    }

    fn advance(mut state: State, opened: Opened) -> Result<State, Refusal> {
        let (shape, sites) = (Shape::of(&state.config)?, opened.donors.len());
        match state.null {
            Some(null) if !null.settled => {
                state.null = Some(null.advance(&state.config, &shape, opened)?);
            }
            None => linear::add(&mut state.scanned, &state.config, &shape, (sites, &opened.sums))?,
            Some(_) => cases::add(&mut state.scanned, &state.config, &shape, (sites, &opened.sums))?,
        }
        Ok(state)
    }

    fn site(question: Question, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
        let shape = |config| match question {
            Question::Linear { .. } => Shape::of_kind(config, false),
            _ => Shape::of_kind(config, true),
        };
        match &question {
            Question::Linear { config, first } => {
                linear::numbers(config, &shape(config)?, *first as usize, data)
            }
            Question::Covariates { config, weights } => {
                cases::numbers_of_covariates(config, &shape(config)?, weights, data)
            }
            Question::Score { config, weights, first } => {
                cases::numbers_of_variants(config, &shape(config)?, (weights, *first as usize), data)
            }
        }
    }

    /// People of the site in the scan, and the share of their genotypes that are called.
    fn report(model: &Model, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
        site::report(&model.config, data)
    }
}

impl Answer for Scan {
    /// What the scan found at one variant, which the value of the genotypes' column names by its place in the panel.
    fn answer(model: &Model, row: &[f64]) -> Result<Vec<f64>, Refusal> {
        let shape = Shape::of(&model.config)?;
        let place = row.get(shape.genotypes).copied().unwrap_or(f64::NAN);
        let at = |array: &str| {
            let values = model.array(array);
            if values.len() == shape.variants {
                Ok(values[place as usize - 1])
            } else {
                Err(Refusal::Malformed)
            }
        };
        if !(place >= 1.0 && place <= shape.variants as f64 && place.trunc() == place) {
            return Err(Refusal::Malformed);
        }
        let p = at("p")?;
        let strength = if p > 0.0 { -ln(p) / ln(10.0) } else { f64::NAN };
        Ok(vec![at("estimate")?, at("standard error")?, strength, at("frequency")?, at("people")?])
    }
}
