//! Linear scan: for each variant of a panel, how a number changes with each copy of its alternative allele, beside covariates.
//!
//! | stage | asks for | gives |
//! |---|---|---|
//! | scan | sums of products of covariates and outcome, and for each variant those of its genotypes | estimate, standard error and p |
//!
//! One round for as many variants as fit into one ([`shape`]). All sums are of whole numbers: covariates and outcome are taken on the
//! scale of their ranges, in steps of 2^-22 of half of it. So the sums over hospitals are those over all people in one place, bit
//! for bit, and so is everything that follows.
//!
//! Who lacks the outcome, a covariate or all genotypes counts nowhere; who lacks a call counts at the other variants. Where
//! everybody sees sums, a site leaves a variant out at which too few people have another genotype than the most, or lack a call: it says
//! nothing of it but that it did, which looks as if nobody had a call. Of all sites together a variant is not told of for the same reason, or
//! when fewer than two sites give it.

mod covariates;
mod fit;
mod result;
mod shape;
mod site;

use histone_program_sdk::config::{Config, Outcome};
use histone_program_sdk::data::Data;
use histone_program_sdk::math::ln;
use histone_program_sdk::method::{Answer, Ask, Method, Next, Opened, Stage};
use histone_program_sdk::model::Model;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::wire;

use crate::covariates::Covariates;
use crate::shape::Shape;

pub use crate::fit::Scanned;

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
        scanned: Scanned,
    }
}

wire! {
    /// What a site is asked: some variants.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Question {
        config: Config,
        first: u32,
    }
}

impl Method for Scan {
    type State = State;
    type Question = Question;

    fn agenda(config: &Config) -> Result<Vec<Stage>, Refusal> {
        let shape = Shape::of(config)?;
        Ok(vec![Stage::new("scan", shape.numbers(), shape.rounds())])
    }

    fn begin(config: Config) -> Result<State, Refusal> {
        Shape::of(&config)?;
        Ok(State { config, scanned: Scanned::default() })
    }

    fn next(state: &State) -> Result<Next, Refusal> {
        let (config, shape) = (&state.config, Shape::of(&state.config)?);
        let first = state.scanned.len();
        if first == shape.variants {
            return Ok(Next::Done { done: result::done(config, &state.scanned) });
        }
        let question = Question { config: config.asked(), first: first as u32 };
        Ok(Next::Ask { ask: Ask::new("scan", &question, shape.segments()) })
    }

    fn advance(mut state: State, opened: Opened) -> Result<State, Refusal> {
        let shape = Shape::of(&state.config)?;
        fit::add(&mut state.scanned, &state.config, &shape, (opened.donors.len(), &opened.sums))?;
        Ok(state)
    }

    fn site(question: Question, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
        let shape = Shape::of(&question.config)?;
        site::numbers(&question.config, &shape, question.first as usize, data)
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

/// The range of the outcome: its middle and half of it.
pub(crate) fn scale(config: &Config) -> Result<(f64, f64), Refusal> {
    match config.outcome {
        Outcome::Number { low, high, .. } if low.is_finite() && high.is_finite() && low < high => {
            Ok((low / 2.0 + high / 2.0, high / 2.0 - low / 2.0))
        }
        Outcome::Number { .. } => Err(Refusal::because("the range of the outcome ends before it begins")),
        _ => Err(Refusal::because("a linear scan is of a number")),
    }
}
