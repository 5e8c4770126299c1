//! Estimates from sums.
//!
//! With `X` intercept and covariates, `y` the outcome and `g` the genotypes of those who have a call: what covariates leave of `g` is
//! `d = g'g - u' (X'X)^-1 u` with `u = X'g`, the estimate is `(g'y - u' (X'X)^-1 X'y) / d`, and its standard error follows from what is left
//! of `y` (Frisch and Waugh 1933). That is the least-squares fit with `g` as one column more.

use histone_program_sdk::config::Config;
use histone_program_sdk::genotypes::{MAX_WEIGHT, whole};
use histone_program_sdk::math::dot;
use histone_program_sdk::matrix::{Factor, Gram, cholesky};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::stats::two_sided_t;
use histone_program_sdk::wire;

use crate::covariates::Covariates;
use crate::shape::Shape;

/// A column of which the others explain more than all but this is none of its own.
const TOLERANCE: f64 = 1e-9;

wire! {
    /// What was found, a number for each variant; NaN where there is none.
    #[derive(Debug, Clone, PartialEq, Default)]
    pub struct Scanned {
        /// People with a call.
        pub people: Vec<f64>,
        /// Frequency of the alternative allele among them.
        pub frequency: Vec<f64>,
        /// Change of the outcome for each copy of it.
        pub estimate: Vec<f64>,
        /// Standard error.
        pub error: Vec<f64>,
        /// Two-sided, Student t.
        pub p: Vec<f64>,
    }
}

impl Scanned {
    /// How many variants.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    fn push(&mut self, found: [f64; 5]) {
        let lists = [&mut self.people, &mut self.frequency, &mut self.estimate, &mut self.error, &mut self.p];
        lists.into_iter().zip(found).for_each(|(list, number)| list.push(number));
    }
}

/// What the covariates say of the outcome among some people.
struct Null {
    people: f64,
    factor: Factor,
    /// `(X'X)^-1 X'y`.
    weights: Vec<f64>,
    /// Sum of squares of what is left of `y`.
    left: f64,
}

impl Null {
    /// From the triangle of products; none where covariates are not independent among these people, or explain all.
    fn of(columns: usize, triangle: &[f64]) -> Option<Self> {
        // The last column is the outcome.
        let k = columns - 1;
        let (mut upper, mut products, mut rest) = (Vec::new(), Vec::new(), triangle);
        for i in 0..k {
            let (row, below) = rest.split_at(columns - i);
            upper.extend_from_slice(&row[..k - i]);
            products.push(row[k - i]);
            rest = below;
        }
        let factor = cholesky(Gram::from_upper(k, upper)?, TOLERANCE).ok()?;
        let weights = factor.solve(&products);
        let left = rest[0] - dot(&products, &weights);
        (left > TOLERANCE * rest[0]).then_some(Self { people: triangle[0], factor, weights, left })
    }
}

/// The sums of products of pairs of columns, of which a round gives halves.
fn wholes(numbers: &[f64]) -> Vec<f64> {
    numbers.as_chunks().0.iter().map(|halves| whole(*halves)).collect()
}

/// Adds what the sums of a round say, which so many sites gave.
pub(crate) fn add(
    scanned: &mut Scanned,
    config: &Config,
    shape: &Shape,
    (sites, sums): (usize, &[f64]),
) -> Result<(), Refusal> {
    let no = |why: &str| Err(Refusal::because(why));
    let (all, rest) = sums.split_at(shape.triangle());
    let all = wholes(all);
    let people = all[0];
    let levels = Covariates::of(config)?.levels();
    let few = |n: f64| config.few(n.max(0.0) as u64);
    let of_levels = all.iter().zip(&levels).filter(|(_, level)| **level);
    if few(people)
        || people < shape.columns as f64 + 2.0
        || of_levels.into_iter().any(|(n, _)| few(*n) || few(people - n))
    {
        return no(
            "the sites have too few people with outcome, covariates and genotypes, or too few in a category",
        );
    }
    let Some(null) = Null::of(shape.columns, &all) else {
        return no(
            "the covariates are not independent of each other, or the outcome is the same in all people",
        );
    };
    let left = shape.variants - scanned.len();
    for of in rest.chunks_exact(shape.of_each()).take(left) {
        scanned.push(variant(config, shape, sites, &all, &null, of));
    }
    Ok(())
}

/// Fewest sites that give a variant which is told of, where there are as many: what one has alone is no sum.
const LEAST_SITES: usize = 2;

/// People, frequency, estimate, error, p.
fn variant(config: &Config, shape: &Shape, sites: usize, all: &[f64], null: &Null, of: &[f64]) -> [f64; 5] {
    let (products, missing) = of.split_at(shape.columns + 2);
    let missing = wholes(missing);
    let called = all[0] - missing[0];
    let (copies, squares, given) = (products[0], products[shape.columns], products[shape.columns + 1]);
    // People with two copies, one, none.
    let two = (squares - copies) / 2.0;
    let one = copies - 2.0 * two;
    let none = called - one - two;
    let nothing = [f64::NAN; 5];
    // Sums come from sites that may lie: what cannot be is no estimate.
    let cannot_be = [called, missing[0], one, two, none].iter().any(|n| !(*n >= 0.0));
    // All but those with the most common genotype. That nobody differs is not told either: it would tell it from one who does.
    let rare = called - one.max(two).max(none);
    if cannot_be
        || given < sites.min(LEAST_SITES) as f64
        || called == 0.0
        || config.few(called as u64)
        || rare < f64::from(config.least.sum)
    {
        return nothing;
    }
    let frequency = copies / (2.0 * called);
    let own;
    let null = if missing[0] == 0.0 {
        null
    } else {
        let present: Vec<f64> = all.iter().zip(&missing).map(|(all, missing)| all - missing).collect();
        match Null::of(shape.columns, &present) {
            Some(null) => {
                own = null;
                &own
            }
            None => return tested_not(called, frequency),
        }
    };
    let k = shape.columns - 1;
    let (u, y) = (&products[..k], products[k]);
    let d = squares - dot(u, &null.factor.solve(u));
    let df = null.people - shape.columns as f64;
    let around = squares - copies * copies / called;
    if rare == 0.0 || !(d > TOLERANCE * around.max(1.0)) || df < 1.0 {
        return tested_not(called, frequency);
    }
    let e = y - dot(u, &null.weights);
    let estimate = e / d;
    let residual = null.left - e * estimate;
    // The covariates and the variant explain everything: there is no error to compare with.
    if !(residual > TOLERANCE * null.left) {
        return tested_not(called, frequency);
    }
    let error = (residual / df / d).sqrt();
    // The configuration has a scale, or no round was asked.
    let unit = crate::scale(config).map_or(f64::NAN, |(_, half)| half) / f64::from(MAX_WEIGHT);
    [called, frequency, estimate * unit, error * unit, two_sided_t(estimate / error, df)]
}

/// A variant that says nothing of the outcome.
fn tested_not(people: f64, frequency: f64) -> [f64; 5] {
    [people, frequency, f64::NAN, f64::NAN, f64::NAN]
}
