//! Logistic regression by the covariates alone: Newton's method on sums.

use histone_program_sdk::config::Config;
use histone_program_sdk::genotypes::MAX_WEIGHT;
use histone_program_sdk::math::dot;
use histone_program_sdk::matrix::{Factor, Gram, cholesky};
use histone_program_sdk::method::Opened;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::wire;

use crate::covariates::{Categories, Covariates};
use crate::shape::{COVARIATE_ROUNDS, Shape};
use crate::site::wholes;

/// Log odds beyond this are taken as this.
pub(crate) const FURTHEST: f64 = 8_192.0;

/// A loss of 1 in the steps in which it is summed up.
pub(crate) const LOSS_STEPS: f64 = (1 << 20) as f64;

/// A pivot below this fraction of its diagonal entry is rounding.
const SINGULAR: f64 = 1e-9;

/// By so little twice the loss falls with the last step (Newton's decrement): log odds then change by less than any test shows.
const SETTLED: f64 = 1e-8;

wire! {
    /// How far the regression by covariates is.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Null {
        /// Weights of intercept and covariates, of numbers on the scale of half of their ranges: where the next round computes.
        pub weights: Vec<f64>,
        /// Whether these are the last ones.
        pub settled: bool,
        /// Rounds done.
        pub rounds: u32,
        /// The best point so far.
        accepted: Option<Accepted>,
    }
}

wire! {
    #[derive(Debug, Clone, PartialEq)]
    struct Accepted {
        /// Over whose people the loss was summed.
        donors: Vec<u16>,
        weights: Vec<f64>,
        /// From there to where the next round computes.
        step: Vec<f64>,
        loss: f64,
    }
}

/// What every round says.
pub(crate) struct Head {
    pub people: f64,
    /// `X'r`.
    pub gradient: Vec<f64>,
    /// Of `X'WX`.
    pub factor: Factor,
    loss: f64,
}

impl Head {
    /// From the first numbers of a round.
    pub fn of(config: &Config, shape: &Shape, numbers: &[f64]) -> Result<Self, Refusal> {
        let no = |why: &str| Err(Refusal::because(why));
        let (covariates, k) = (Covariates::of(config)?, shape.covariates());
        let (sums, rest) = numbers.split_at(2 * k + 1);
        let (all, of_cases) = sums.split_at(k + 1);
        let mut categories = covariates.categories();
        // Cases and controls are one.
        categories.push(vec![k]);
        let categories = Categories(categories);
        let cases = of_cases[0];
        let by_case = |column: usize| of_cases.get(column).map_or(cases, |n| *n) as i64;
        let counts = [
            categories.counts(|column| all[column] as i64),
            categories.counts(by_case),
            categories.counts(|column| all[column] as i64 - by_case(column)),
        ];
        let few = |n: i64| config.few(n.max(0) as u64);
        if few(all[0] as i64) || counts.concat().into_iter().any(few) {
            return no(
                "the sites have too few cases or controls with all covariates and genotypes, or too few in a category",
            );
        }
        if !(cases > k as f64 && all[0] - cases > k as f64) {
            return no("the sites have fewer cases, or fewer controls, than covariates");
        }
        let (loss, rest) = (rest[0] / LOSS_STEPS, &rest[1..]);
        let (gradient, curvature) = rest.split_at(2 * k);
        let (units, step) = (covariates.units(), f64::from(MAX_WEIGHT));
        let gradient =
            wholes(gradient).into_iter().zip(&units).map(|(sum, unit)| sum / (step * unit)).collect();
        // Row by row; the weights have their unit already.
        let of_column = (0..k).flat_map(|i| &units[i..]);
        let upper = wholes(curvature).into_iter().zip(of_column).map(|(sum, unit)| sum / (4.0 * step * unit));
        let factor = Gram::from_upper(k, upper.collect()).and_then(|gram| cholesky(gram, SINGULAR).ok());
        let Some(factor) = factor else {
            return no(
                "the covariates are not independent of each other, or tell cases from controls without an error",
            );
        };
        Ok(Self { people: all[0], gradient, factor, loss })
    }
}

impl Null {
    pub(crate) fn new(shape: &Shape) -> Self {
        Self { weights: vec![0.0; shape.covariates()], ..Self::default() }
    }

    /// The next point, from the sums of a round.
    pub(crate) fn advance(self, config: &Config, shape: &Shape, opened: Opened) -> Result<Self, Refusal> {
        let head = Head::of(config, shape, &opened.sums)?;
        let rounds = self.rounds + 1;
        let last = rounds >= COVARIATE_ROUNDS;
        let unsettled = || {
            Err(Refusal::because(
                "the regression by covariates does not settle: they tell cases from controls without an error, or sums contradict each other",
            ))
        };
        // Each person's loss is rounded.
        let slack = head.people / LOSS_STEPS;
        let grew = |a: &&Accepted| a.donors == opened.donors && head.loss > a.loss + slack;
        if let Some(a) = self.accepted.as_ref().filter(grew) {
            if last {
                return unsettled();
            }
            // The step went too far: half of it, from the same point.
            let step: Vec<f64> = a.step.iter().map(|s| s / 2.0).collect();
            let weights = sum(&a.weights, &step);
            return Ok(Self { weights, rounds, accepted: Some(Accepted { step, ..a.clone() }), ..self });
        }
        let step = head.factor.solve(&head.gradient);
        let settled = dot(&step, &head.gradient) < SETTLED;
        let weights = sum(&self.weights, &step);
        if !weights.iter().all(|w| w.is_finite()) || last && !settled {
            return unsettled();
        }
        let accepted = Accepted { donors: opened.donors, weights: self.weights, step, loss: head.loss };
        Ok(Self { weights, settled, rounds, accepted: Some(accepted).filter(|_| !settled) })
    }
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
