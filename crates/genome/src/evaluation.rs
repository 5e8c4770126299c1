//! How good a score is: what it says of a trait in people that it was not made from.
//!
//! | trait | what | source |
//! |---|---|---|
//! | a number | change for one standard deviation of the score beside the covariates, its t test, the share of the variance that the score explains beyond the covariates (incremental R²), and the partial correlation with its interval | Fisher 1921 for the interval |
//! | yes/no | log odds for one standard deviation beside the covariates, Wald's test, and the area under the curve of the score alone with its interval | DeLong et al., Biometrics 44 (1988); midranks as Sun and Xu, IEEE Signal Processing Letters 21 (2014) |
//!
//! Wand et al., Improving reporting standards for polygenic scores, Nature 591 (2021), is what to report.

use histone_program_sdk::math::{dot, exp, ln};
use histone_program_sdk::stats::{two_sided_normal, two_sided_t};

use crate::association::{AssociationError, Design, NotFitted, logistic_fit};

/// 95 % of a normal distribution are within so many deviations of its middle.
const NORMAL_95: f64 = 1.959_963_984_540_054;
/// Deviations of scores below this part of their size are rounding.
const CONSTANT: f64 = 1e-12;

/// An estimate and the interval that holds the truth in 95 % of all samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A coefficient of a regression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Change of the trait, or of its log odds, for one standard deviation of the score among these people.
    pub beta: f64,
    /// Standard error of `beta`.
    pub se: f64,
    /// Two-sided p-value: t, or Wald's.
    pub p: f64,
}

/// What a score says of a trait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// People with score, trait and all covariates.
    pub people: usize,
    /// Cases among them, of a yes/no trait.
    pub cases: Option<usize>,
    /// What the score adds to the covariates. None where cases and controls have no estimate, as when they are separated.
    pub slope: Option<Slope>,
    /// Of a number: the share of its variance that the score explains beyond the covariates.
    pub r2: Option<f64>,
    /// Of a number: the correlation with the score when both are without their parts in the covariates.
    pub correlation: Option<Interval>,
    /// Of yes/no: the chance that a case has a higher score than a control, ties counting half. Covariates have no part in it.
    pub auc: Option<Interval>,
}

/// Why there is no evaluation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// Trait and covariates make no model.
    #[error(transparent)]
    Model(#[from] AssociationError),
    /// The score is the same for all, or the covariates determine it.
    #[error("the score is constant among these people, or determined by the covariates")]
    Constant,
}

/// Evaluates a score of a number. `NaN` is a missing value in every column.
///
/// # Errors
/// [`EvaluationError`].
pub fn of_number(
    score: &[f64],
    number: &[f64],
    covariates: &[Vec<f64>],
) -> Result<Evaluation, EvaluationError> {
    let number = only_scored(number, score);
    let design = Design::new(&number, covariates)?;
    let people = design.people().count();
    let score = standardized(score, &design)?;
    let rest = design.residual_of(&score).map_err(|_| EvaluationError::Constant)?;
    let y = design.residual();
    let (yy, ss, sy) = (dot(y, y), dot(&rest, &rest), dot(y, &rest));
    let df = (people - design.basis().len() - 1) as f64;
    let beta = sy / ss;
    let correlation = (sy / (yy * ss).sqrt()).clamp(-1.0, 1.0);
    let se = ((yy - beta * sy).max(0.0) / df / ss).sqrt();
    // Of the variance about the mean: the first of the basis is the constant.
    let known = known(&number, &design);
    let all = design.basis().first().map_or(0.0, |constant| {
        let mean = dot(&known, constant);
        known.iter().zip(constant).map(|(value, one)| (value - mean * one).powi(2)).sum()
    });
    let r2 = correlation * correlation * yy / all;
    let z = 0.5 * ln((1.0 + correlation) / (1.0 - correlation));
    // Each covariate takes one from the people of Fisher's formula; where nobody is left, anything may be.
    let width = if df > 1.5 { NORMAL_95 / (df - 1.0).sqrt() } else { f64::INFINITY };
    let back = |z: f64| 1.0 - 2.0 / (exp(2.0 * z) + 1.0);
    let correlation = Interval { estimate: correlation, low: back(z - width), high: back(z + width) };
    Ok(Evaluation {
        people,
        cases: None,
        slope: Some(Slope { beta, se, p: two_sided_t(beta / se, df) }),
        r2: Some(r2),
        correlation: Some(correlation),
        auc: None,
    })
}

/// Evaluates a score of a yes/no trait: 1 is a case, 0 a control, `NaN` is missing.
///
/// # Errors
/// [`EvaluationError`].
pub fn of_cases(
    score: &[f64],
    cases: &[f64],
    covariates: &[Vec<f64>],
) -> Result<Evaluation, EvaluationError> {
    if cases.iter().any(|value| !value.is_nan() && *value != 0.0 && *value != 1.0) {
        return Err(AssociationError::NotYesNo.into());
    }
    let cases = only_scored(cases, score);
    let design = Design::new(&cases, covariates)?;
    let of_design = |sample: &usize| design.people().contains(*sample);
    let chosen: Vec<usize> = (0..cases.len()).filter(of_design).collect();
    let standard = standardized(score, &design)?;
    let rows = chosen.iter().map(|sample| {
        let basis = design.basis().iter().map(|column| column[*sample]);
        basis.chain([standard[*sample]]).collect::<Vec<f64>>()
    });
    let is_case: Vec<bool> = chosen.iter().map(|sample| cases[*sample] == 1.0).collect();
    let number = is_case.iter().filter(|case| **case).count();
    let rows: Vec<f64> = rows.flatten().collect();
    let slope = match logistic_fit(design.basis().len() + 1, rows, is_case.clone()) {
        Ok((beta, se)) => Some(Slope { beta, se, p: two_sided_normal(beta / se) }),
        Err(NotFitted::Collinear) => return Err(EvaluationError::Constant),
        Err(_) => None,
    };
    let scores: Vec<f64> = chosen.iter().map(|sample| score[*sample]).collect();
    Ok(Evaluation {
        people: chosen.len(),
        cases: Some(number),
        slope,
        r2: None,
        correlation: None,
        auc: area(&scores, &is_case),
    })
}

/// A trait, and nothing of those who have no score.
fn only_scored(values: &[f64], score: &[f64]) -> Vec<f64> {
    let scored = |at: usize| score.get(at).is_some_and(|score| score.is_finite());
    values.iter().enumerate().map(|(at, value)| if scored(at) { *value } else { f64::NAN }).collect()
}

/// The values of the people of a design, and 0 for the others.
fn known(values: &[f64], design: &Design) -> Vec<f64> {
    let value = |(at, value): (usize, &f64)| if design.people().contains(at) { *value } else { 0.0 };
    values.iter().enumerate().map(value).collect()
}

/// A score less its mean, over its standard deviation, among the people of a design.
fn standardized(score: &[f64], design: &Design) -> Result<Vec<f64>, EvaluationError> {
    let people = || (0..score.len()).filter(|at| design.people().contains(*at));
    let count = people().count() as f64;
    let mean = people().map(|at| score[at]).sum::<f64>() / count;
    let square = people().map(|at| (score[at] - mean).powi(2)).sum::<f64>();
    let deviation = (square / (count - 1.0)).sqrt();
    if !deviation.is_finite() || deviation <= CONSTANT * mean.abs() {
        return Err(EvaluationError::Constant);
    }
    Ok(score.iter().map(|value| (value - mean) / deviation).collect())
}

/// The area under the curve by midranks. None with fewer than two of either.
fn area(scores: &[f64], is_case: &[bool]) -> Option<Interval> {
    let group = |of: bool| -> Vec<f64> {
        scores.iter().zip(is_case).filter(|(_, case)| **case == of).map(|(score, _)| *score).collect()
    };
    let (cases, controls) = (group(true), group(false));
    if cases.len() < 2 || controls.len() < 2 {
        return None;
    }
    let all: Vec<f64> = cases.iter().chain(&controls).copied().collect();
    let together = midranks(&all);
    let (of_cases, of_controls) = together.split_at(cases.len());
    // What share of the others each one is above, or below.
    let share = |ranks: &[f64], own: &[f64], others: usize| -> Vec<f64> {
        ranks.iter().zip(midranks(own)).map(|(all, own)| (all - own) / others as f64).collect()
    };
    let above = share(of_cases, &cases, controls.len());
    let under = share(of_controls, &controls, cases.len());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let estimate = mean(&above);
    let variance = |values: &[f64]| {
        let middle = mean(values);
        let square: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
        square / (values.len() - 1) as f64 / values.len() as f64
    };
    let width = NORMAL_95 * (variance(&above) + variance(&under)).sqrt();
    Some(Interval { estimate, low: (estimate - width).max(0.0), high: (estimate + width).min(1.0) })
}

/// Ranks from 1; those of equal values are the middle of theirs.
fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = first as f64 + (equal.len() + 1) as f64 / 2.0;
        equal.iter().for_each(|at| ranks[*at] = rank);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// 40 people: a score, a number and a yes/no that go with it, and a covariate.
    fn people() -> [Vec<f64>; 4] {
        let score: Vec<f64> = (0..40).map(|n| f64::from(n * 7 % 19) / 3.0 + 2.0).collect();
        let covariate: Vec<f64> = (0..40).map(|n| f64::from(n * 11 % 13)).collect();
        let noise = |n: usize| (n * n * 5 % 23) as f64 / 2.0;
        let number = (0..40).map(|n| score[n] + 0.3 * covariate[n] + noise(n)).collect();
        let cases = (0..40).map(|n| f64::from(u8::from(score[n] + noise(n) > 10.0))).collect();
        [score, number, cases, covariate]
    }

    /// The definition: all pairs.
    #[test]
    fn the_area_is_that_of_all_pairs() {
        let [score, _, cases, _] = people();
        let is_case: Vec<bool> = cases.iter().map(|case| *case == 1.0).collect();
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (a, of_case) in score.iter().zip(&is_case) {
            for (b, of_control) in score.iter().zip(&is_case) {
                if *of_case && !of_control {
                    pairs += 1.0;
                    sum += if a > b {
                        1.0
                    } else if a == b {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
        }
        let found = area(&score, &is_case).unwrap();
        assert!((found.estimate - sum / pairs).abs() < 1e-12);
        assert!(found.low < found.estimate && found.estimate < found.high);
        // Of a perfect score nothing varies.
        let whole = area(&[1.0, 2.0, 3.0, 4.0], &[false, false, true, true]).unwrap();
        assert_eq!((whole.estimate, whole.low, whole.high), (1.0, 1.0, 1.0));
        assert_eq!(area(&[1.0, 2.0], &[true, false]), None);
        assert_eq!(midranks(&[3.0, 1.0, 3.0, 0.0]), [3.5, 2.0, 3.5, 1.0]);
    }

    /// Without covariates: the correlation, its square, and a slope of r times the deviation of the trait.
    #[test]
    fn a_number_without_covariates_is_a_correlation() {
        let [score, number, ..] = people();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let product = |a: &[f64], b: &[f64]| {
            let (ma, mb) = (mean(a), mean(b));
            a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>()
        };
        let r = product(&score, &number) / (product(&score, &score) * product(&number, &number)).sqrt();
        let deviation = (product(&number, &number) / 39.0).sqrt();
        let found = of_number(&score, &number, &[]).unwrap();
        let correlation = found.correlation.unwrap();
        assert!((correlation.estimate - r).abs() < 1e-12 && (found.r2.unwrap() - r * r).abs() < 1e-12);
        let Slope { beta, se, p } = found.slope.unwrap();
        assert!((beta - r * deviation).abs() < 1e-9);
        let t = r * (38.0 / (1.0 - r * r)).sqrt();
        assert!((beta / se - t).abs() < 1e-9 && (p - two_sided_t(t, 38.0)).abs() < 1e-12);
        let z = r.atanh();
        assert!((correlation.low - (z - NORMAL_95 / 37.0_f64.sqrt()).tanh()).abs() < 1e-9);
        assert!((correlation.high - (z + NORMAL_95 / 37.0_f64.sqrt()).tanh()).abs() < 1e-9);
    }

    /// With covariates: R² of the larger model less that of the smaller one.
    #[test]
    fn covariates_take_their_share_first() {
        let [score, number, _, covariate] = people();
        let found = of_number(&score, &number, std::slice::from_ref(&covariate)).unwrap();
        let whole = |columns: &[Vec<f64>]| {
            let design = Design::new(&number, columns).unwrap();
            1.0 - dot(design.residual(), design.residual())
        };
        let all = {
            let middle = number.iter().sum::<f64>() / 40.0;
            number.iter().map(|y| (y - middle).powi(2)).sum::<f64>()
        };
        let larger = whole(&[covariate.clone(), score.clone()]);
        let smaller = whole(std::slice::from_ref(&covariate));
        assert!((found.r2.unwrap() - (larger - smaller) / all).abs() < 1e-12);
        // A person without a score is in no model.
        let mut fewer = score.clone();
        fewer[3] = f64::NAN;
        let without = of_number(&fewer, &number, &[covariate]).unwrap();
        assert_eq!((found.people, without.people), (40, 39));
        assert!(found.slope != without.slope);
    }

    /// Fisher's formula divides by the people less three.
    #[test]
    fn of_three_people_no_interval_is_known() {
        let found = of_number(&[1.0, 2.0, 4.0], &[1.0, 3.0, 2.5], &[]).unwrap().correlation.unwrap();
        assert_eq!((found.low, found.high), (-1.0, 1.0));
        assert!((found.estimate - 0.5).abs() < 0.3);
    }

    #[test]
    fn cases_and_what_has_no_answer() {
        let [score, _, cases, covariate] = people();
        let found = of_cases(&score, &cases, std::slice::from_ref(&covariate)).unwrap();
        assert_eq!((found.people, found.r2), (40, None));
        let slope = found.slope.unwrap();
        assert!(slope.beta > 0.0 && slope.p < 0.05 && found.auc.unwrap().estimate > 0.6, "{found:?}");
        // The sign turns with the score, and the area is the other one.
        let turned: Vec<f64> = score.iter().map(|value| -value).collect();
        let other = of_cases(&turned, &cases, std::slice::from_ref(&covariate)).unwrap();
        assert!((slope.beta + other.slope.unwrap().beta).abs() < 1e-9);
        assert!((found.auc.unwrap().estimate + other.auc.unwrap().estimate - 1.0).abs() < 1e-12);
        assert_eq!(of_number(&[1.0; 40], &score, &[]), Err(EvaluationError::Constant));
        assert_eq!(
            of_number(&covariate, &score, std::slice::from_ref(&covariate)),
            Err(EvaluationError::Constant)
        );
        // The best that a score can do has no slope, and an area.
        let whole = of_cases(&cases, &cases, &[]).unwrap();
        assert_eq!((whole.slope, whole.auc.unwrap().estimate), (None, 1.0));
        assert_eq!(of_cases(&score, &score, &[]), Err(AssociationError::NotYesNo.into()));
    }
}
