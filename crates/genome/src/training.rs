//! Weights of a polygenic score, from what a scan says of each variant alone and the linkage of a panel.
//!
//! | weights | function | source |
//! |---|---|---|
//! | ridge: every variant has an effect, all of one variance | [`infinitesimal`] | LDpred2-inf: Privé, Arbel and Vilhjálmsson 2020, Bioinformatics 36(22-23) |
//! | a share of the variants has an effect | [`grid`] | LDpred2-grid, the same; one call for each point of the grid |
//! | few variants have an effect: lasso | [`lasso`] | lassosum: Mak et al. 2017, Genetic Epidemiology 41(6) |
//!
//! A [`Panel`] holds correlations within blocks of neighboring variants and none between blocks, so a block is solved for itself and
//! exactly. When the people of the panel are those of the scan, that is ridge or lasso regression on their data, block by block.
//! Which heritability, share or penalty is best is for other people to say, who were in neither.

mod gibbs;
mod panel;

pub use gibbs::{GridRule, grid};
pub use panel::{Panel, PanelBuilder};

use histone_program_sdk::math::dot;
use histone_program_sdk::matrix::{Gram, cholesky};
use panel::Correlations;

use crate::association::Estimate;

/// Why there are no weights.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// Other than one effect for each variant of the panel.
    #[error("{found} effects do not fit {variants} variants of the panel")]
    Effects {
        /// How many came.
        found: usize,
        /// Variants of the panel.
        variants: usize,
    },
    /// An effect that is none.
    #[error("effect {variant} is no number, or its standard error or number of people is not above 0")]
    NoEffect {
        /// Its number, from 1.
        variant: usize,
    },
    /// A number outside of its range.
    #[error("{what} is out of range: {range}")]
    Rule {
        /// Which one.
        what: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A block of other people than were named, or other than one site for each variant.
    #[error(
        "a block of {people} people with {sites} sites does not fit {samples} people and its {variants} variants"
    )]
    Block {
        /// People of the block.
        people: usize,
        /// Sites that came with it.
        sites: usize,
        /// People of the panel.
        samples: usize,
        /// Variants of the block.
        variants: usize,
    },
    /// Weights that grow for ever, because scan and panel contradict each other.
    #[error(
        "the weights do not settle: effects and panel do not fit each other; are alleles the same, and the ancestry?"
    )]
    Diverged,
}

/// The effect of one variant alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marginal {
    /// Change of the trait for each copy of the alternative allele.
    pub beta: f64,
    /// Its standard error.
    pub se: f64,
    /// People of the scan at this variant.
    pub people: f64,
}

impl From<&Estimate> for Marginal {
    fn from(estimate: &Estimate) -> Self {
        Self { beta: estimate.beta, se: estimate.se, people: estimate.counts.known() as f64 }
    }
}

impl Marginal {
    /// The deviation of the trait over that of the copies.
    fn scale(&self) -> f64 {
        (self.people * self.se * self.se + self.beta * self.beta).sqrt()
    }
}

/// The variants of one block that have an effect.
struct Part<'a> {
    correlations: &'a Correlations,
    /// Their places in the block.
    places: Vec<usize>,
    /// Correlations of variant and trait.
    marginals: Vec<f64>,
    people: Vec<f64>,
}

/// Solves each block and puts the weights in the order of the panel, for each copy of the alternative allele; 0 for variants
/// without an effect.
fn by_block(
    panel: &Panel,
    effects: &[Option<Marginal>],
    mut solve: impl FnMut(&Part<'_>) -> Result<Vec<f64>, TrainingError>,
) -> Result<Vec<f64>, TrainingError> {
    check(panel, effects)?;
    let mut weights = vec![0.0; effects.len()];
    let mut first = 0;
    for correlations in panel.blocks() {
        let effects = &effects[first..first + correlations.size()];
        let chosen = || effects.iter().enumerate().filter(|(place, _)| correlations.varies(*place));
        let chosen: Vec<(usize, &Marginal)> =
            chosen().filter_map(|(place, e)| Some((place, e.as_ref()?))).collect();
        let part = Part {
            correlations,
            places: chosen.iter().map(|(place, _)| *place).collect(),
            marginals: chosen.iter().map(|(_, effect)| effect.beta / effect.scale()).collect(),
            people: chosen.iter().map(|(_, effect)| effect.people).collect(),
        };
        for ((place, effect), weight) in chosen.iter().zip(solve(&part)?) {
            weights[first + place] = weight * effect.scale();
        }
        first += correlations.size();
    }
    match weights.iter().all(|weight| weight.is_finite()) {
        true => Ok(weights),
        false => Err(TrainingError::Diverged),
    }
}

fn check(panel: &Panel, effects: &[Option<Marginal>]) -> Result<(), TrainingError> {
    if effects.len() != panel.variants() {
        return Err(TrainingError::Effects { found: effects.len(), variants: panel.variants() });
    }
    let good = |e: &Marginal| {
        e.beta.is_finite() && e.se.is_finite() && e.se > 0.0 && e.people.is_finite() && e.people > 0.0
    };
    match effects.iter().position(|effect| effect.as_ref().is_some_and(|effect| !good(effect))) {
        Some(place) => Err(TrainingError::NoEffect { variant: place + 1 }),
        None => Ok(()),
    }
}

fn check_share(what: &'static str, share: f64) -> Result<(), TrainingError> {
    match share > 0.0 && share <= 1.0 {
        true => Ok(()),
        false => Err(TrainingError::Rule { what, range: "above 0, and at most 1" }),
    }
}

/// Weights of the infinitesimal model: `(R + variants / (people heritability) I)^-1` times the effects, block by block.
///
/// # Errors
/// [`TrainingError`].
pub fn infinitesimal(
    panel: &Panel,
    effects: &[Option<Marginal>],
    heritability: f64,
) -> Result<Vec<f64>, TrainingError> {
    check_share("the heritability", heritability)?;
    let variants = effects.iter().flatten().count() as f64;
    by_block(panel, effects, |part| {
        let size = part.places.len();
        let upper = part.places.iter().enumerate();
        let upper = upper.flat_map(|(i, first)| {
            part.places[i..].iter().map(|second| part.correlations.get(*first, *second))
        });
        let mut gram = Gram::from_upper(size, upper.collect()).ok_or(TrainingError::Diverged)?;
        for (place, people) in part.people.iter().enumerate() {
            gram.add_to_diagonal(place, variants / (people * heritability));
        }
        let factor = cholesky(gram, f64::EPSILON).map_err(|_| TrainingError::Diverged)?;
        Ok(factor.solve(&part.marginals))
    })
}

/// Rounds over a block until its lasso must have settled.
const ROUNDS: usize = 10_000;

/// Weights of the lasso: they make `b' ((1 - s) R + s I) b - 2 b' r + 2 penalty |b|` least, with `r` the correlations of variants and
/// trait and `s` what the panel is not trusted for (`shrinkage`, between 0 and 1). By coordinate descent, until no weight changes by
/// more than 1e-8.
///
/// # Errors
/// [`TrainingError`].
pub fn lasso(
    panel: &Panel,
    effects: &[Option<Marginal>],
    shrinkage: f64,
    penalty: f64,
) -> Result<Vec<f64>, TrainingError> {
    check_share("the shrinkage", shrinkage)?;
    if !(penalty >= 0.0 && penalty.is_finite()) {
        return Err(TrainingError::Rule { what: "the penalty", range: "0 or above" });
    }
    by_block(panel, effects, |part| {
        let mut weights = vec![0.0; part.correlations.size()];
        for _ in 0..ROUNDS {
            let mut change = 0.0_f64;
            for (place, marginal) in part.places.iter().zip(&part.marginals) {
                let others = dot(part.correlations.row(*place), &weights) - weights[*place];
                let rest = marginal - (1.0 - shrinkage) * others;
                let next = if rest.abs() > penalty { rest - penalty.copysign(rest) } else { 0.0 };
                change = change.max((next - weights[*place]).abs());
                weights[*place] = next;
            }
            if change <= 1e-8 {
                return Ok(part.places.iter().map(|place| weights[*place]).collect());
            }
        }
        Err(TrainingError::Diverged)
    })
}

#[cfg(test)]
mod tests;
