//! Score tests from sums.

use histone_program_sdk::config::Config;
use histone_program_sdk::genotypes::MAX_WEIGHT;
use histone_program_sdk::math::dot;
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::stats::two_sided_normal;

use super::covariates::Head;
use crate::scanned::{Genotypes, Scanned};
use crate::shape::Shape;

/// What covariates leave of a variant, below this share of it, is rounding.
const TOLERANCE: f64 = 1e-9;

/// Adds what the sums of a round say, which so many sites gave.
pub(crate) fn add(
    scanned: &mut Scanned,
    config: &Config,
    shape: &Shape,
    (sites, sums): (usize, &[f64]),
) -> Result<(), Refusal> {
    let (head, rest) = sums.split_at(shape.head());
    let head = Head::of(config, shape, head)?;
    let left = shape.variants - scanned.len();
    for of in rest.chunks_exact(shape.of_each()).take(left) {
        scanned.push(variant(config, shape, sites, &head, of));
    }
    Ok(())
}

/// People, frequency, estimate, error, p.
fn variant(config: &Config, shape: &Shape, sites: usize, head: &Head, of: &[f64]) -> [f64; 5] {
    let k = shape.covariates();
    let (called, missing) = of.split_at(k + 5);
    let (copies, squares, given) = (called[k + 2], called[k + 3], called[k + 4]);
    let people = (head.people - missing[0], missing[0]);
    let Some(genotypes) = Genotypes::of(config, people, (copies, squares), (given, sites)) else {
        return [f64::NAN; 5];
    };
    // Who has no call counts as the mean of the others.
    let mean = copies / genotypes.called;
    let step = f64::from(MAX_WEIGHT);
    let r = (called[0] + mean * missing[1]) / step;
    let weighted: Vec<f64> = called[1..=k]
        .iter()
        .zip(&missing[2..])
        .map(|(called, missing)| (called + mean * missing) / (4.0 * step))
        .collect();
    let square = (called[k + 1] + mean * mean * missing[2]) / (4.0 * step);
    let explained = head.factor.solve(&weighted);
    // Where all sums are at the maximum of the likelihood the covariates leave nothing: some may come from fewer sites than it did.
    let score = r - dot(&explained, &head.gradient);
    let variance = square - dot(&explained, &weighted);
    if genotypes.rare == 0.0 || !(variance > TOLERANCE * square) {
        return genotypes.tested_not();
    }
    let error = 1.0 / variance.sqrt();
    let p = two_sided_normal(score * error);
    [genotypes.called, genotypes.frequency(), score / variance, error, p]
}
