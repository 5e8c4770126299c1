//! Estimates from sums.
//!
//! With `X` intercept and covariates, `y` the outcome and `g` the genotypes of those who have a call: what covariates leave of `g` is
//! `d = g'g - u' (X'X)^-1 u` with `u = X'g`, the estimate is `(g'y - u' (X'X)^-1 X'y) / d`, and its standard error follows from what is left
//! of `y` (Frisch and Waugh 1933). That is the least-squares fit with `g` as one column more.

use histone_program_sdk::config::Config;
use histone_program_sdk::genotypes::MAX_WEIGHT;
use histone_program_sdk::math::dot;
use histone_program_sdk::matrix::{Factor, Gram, cholesky};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::stats::two_sided_t;

use crate::covariates::{Categories, Covariates, Target};
use crate::scanned::{Genotypes, Scanned};
use crate::shape::Shape;
use crate::site::wholes;

/// A column of which the others explain more than all but this is none of its own.
const TOLERANCE: f64 = 1e-9;

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

/// Adds what the sums of a round say, which so many sites gave.
pub(crate) fn add(
    scanned: &mut Scanned,
    config: &Config,
    shape: &Shape,
    (sites, sums): (usize, &[f64]),
) -> Result<(), Refusal> {
    let no = |why: &str| Err(Refusal::because(why));
    let (all, rest) = sums.split_at(shape.head());
    let all = wholes(all);
    let people = all[0];
    let levels = Categories(Covariates::of(config)?.categories()).counts(|column| all[column] as i64);
    let few = |n: i64| config.few(n.max(0) as u64);
    if few(people as i64) || people < shape.columns as f64 + 2.0 || levels.into_iter().any(few) {
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

/// People, frequency, estimate, error, p.
fn variant(config: &Config, shape: &Shape, sites: usize, all: &[f64], null: &Null, of: &[f64]) -> [f64; 5] {
    let (products, missing) = of.split_at(shape.columns + 2);
    let missing = wholes(missing);
    let (copies, squares, given) = (products[0], products[shape.columns], products[shape.columns + 1]);
    let people = (all[0] - missing[0], missing[0]);
    let Some(genotypes) = Genotypes::of(config, people, (copies, squares), (given, sites)) else {
        return [f64::NAN; 5];
    };
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
            None => return genotypes.tested_not(),
        }
    };
    let k = shape.covariates();
    let (u, y) = (&products[..k], products[k]);
    let d = squares - dot(u, &null.factor.solve(u));
    let df = null.people - shape.columns as f64;
    if genotypes.rare == 0.0 || !(d > TOLERANCE * genotypes.around().max(1.0)) || df < 1.0 {
        return genotypes.tested_not();
    }
    let e = y - dot(u, &null.weights);
    let estimate = e / d;
    let residual = null.left - e * estimate;
    // The covariates and the variant explain everything: there is no error to compare with.
    if !(residual > TOLERANCE * null.left) {
        return genotypes.tested_not();
    }
    let error = (residual / df / d).sqrt();
    // The configuration has a scale, or no round was asked.
    let half = match Target::of(config) {
        Ok(Target::Number { half, .. }) => half,
        _ => f64::NAN,
    };
    let unit = half / f64::from(MAX_WEIGHT);
    let (called, frequency) = (genotypes.called, genotypes.frequency());
    [called, frequency, estimate * unit, error * unit, two_sided_t(estimate / error, df)]
}
