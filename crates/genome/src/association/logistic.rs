//! Logistic regression of a yes/no phenotype on each variant and the covariates: maximum likelihood with Wald's test, and
//! Firth's penalty where the likelihood has no maximum.
//!
//! Firth 1993, "Bias reduction of maximum likelihood estimates", Biometrika 80; Heinze and Schemper 2002, Statistics in
//! Medicine 21. Standard errors are those of the information matrix without the penalty, as `logistf` and PLINK 2 have
//! them. The covariates enter as their orthonormal basis, which changes neither the coefficient of a variant nor its
//! standard error.

use histone_program_sdk::math::{ln, logistic, softplus};
use histone_program_sdk::matrix::{Factor, Gram, cholesky};
use histone_program_sdk::stats::two_sided_normal;

use super::{AssociationError, Design};
use crate::genotypes::{Block, Call, SampleSet, WORD_CALLS};
use crate::stats::counts::{self, Counts};

/// Steps until a fit must have ended.
const STEPS: usize = 100;

/// A step that changes no linear predictor by more than this ends a fit.
const CONVERGED: f64 = 1e-8;

/// Largest change of a linear predictor in one step.
const LONGEST_STEP: f64 = 5.0;

/// Beyond this a linear predictor says that the likelihood grows for ever: probabilities of 1e-13.
const FAR: f64 = 30.0;

/// How much of a column the others must leave.
const SINGULAR: f64 = 1e-10;

/// What becomes of a variant whose likelihood has no maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// It has no estimate.
    None,
    /// Firth's penalized likelihood.
    Firth,
}

/// A logistic scan.
#[derive(Clone, Debug)]
pub struct Logistic {
    design: Design,
    cases: SampleSet,
    controls: SampleSet,
    fallback: Fallback,
}

/// What a scan says of one variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogisticEstimate {
    /// Change of the log odds for each copy of the alternative allele.
    pub beta: f64,
    /// Standard error of `beta`.
    pub se: f64,
    /// Calls of the cases.
    pub cases: Counts,
    /// Calls of the controls.
    pub controls: Counts,
    /// True when the likelihood was penalized.
    pub firth: bool,
}

impl LogisticEstimate {
    /// `beta / se`.
    #[must_use]
    pub fn z(&self) -> f64 {
        self.beta / self.se
    }

    /// Two-sided p-value of Wald's test.
    #[must_use]
    pub fn p(&self) -> f64 {
        two_sided_normal(self.z())
    }
}

/// Why a variant has no estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFitted {
    /// All called people have the same genotype.
    Constant,
    /// The genotype separates cases from controls: no genotype of the ones is above one of the others.
    Separated,
    /// The likelihood grows for ever, because genotype and covariates together separate, or the fit did not end.
    NotConverged,
    /// The covariates determine the genotype, or themselves once people without a call are left out.
    Collinear,
    /// Too few people are called, or only cases or only controls.
    TooFew,
}

impl Logistic {
    /// A scan of a phenotype that is 0 (control), 1 (case) or `NaN` (missing).
    ///
    /// # Errors
    /// [`AssociationError::NotYesNo`] for another value, and those of [`Design::new`].
    pub fn new(
        phenotype: &[f64],
        covariates: &[Vec<f64>],
        fallback: Fallback,
    ) -> Result<Self, AssociationError> {
        if phenotype.iter().any(|value| !value.is_nan() && *value != 0.0 && *value != 1.0) {
            return Err(AssociationError::NotYesNo);
        }
        let design = Design::new(phenotype, covariates)?;
        let with = |value: f64| {
            SampleSet::of(phenotype.len(), |s| design.people().contains(s) && phenotype[s] == value)
        };
        let (cases, controls) = (with(1.0), with(0.0));
        Ok(Self { design, cases, controls, fallback })
    }

    /// The variants of a block, one after the other. Of a block of other people no variant is fitted.
    #[must_use]
    pub fn scan(&self, block: &Block) -> Vec<Result<LogisticEstimate, NotFitted>> {
        if block.samples() != self.cases.samples() {
            return vec![Err(NotFitted::TooFew); block.variants()];
        }
        block.rows().map(|row| self.fit(row)).collect()
    }

    fn fit(&self, row: &[u64]) -> Result<LogisticEstimate, NotFitted> {
        let [cases, controls] = [&self.cases, &self.controls].map(|set| counts::of_row_in(row, set));
        let known = cases.known() + controls.known();
        if cases.known() == 0 || controls.known() == 0 || known <= self.design.basis().len() as u64 + 1 {
            return Err(NotFitted::TooFew);
        }
        let (of_cases, of_controls) = (range(&cases), range(&controls));
        if of_cases == of_controls && of_cases.0 == of_cases.1 {
            return Err(NotFitted::Constant);
        }
        let separated = of_cases.1 <= of_controls.0 || of_controls.1 <= of_cases.0;
        if separated && self.fallback == Fallback::None {
            return Err(NotFitted::Separated);
        }
        let people = self.complete_cases(row, known as f64, &[cases, controls]);
        let plain = match separated {
            true => Err(NotFitted::Separated),
            false => maximum(&people, Penalty::None).and_then(|point| point.last()),
        };
        let (fitted, firth) = match (plain, self.fallback) {
            (Err(NotFitted::Separated | NotFitted::NotConverged), Fallback::Firth) => {
                (maximum(&people, Penalty::Firth)?.last()?, true)
            }
            (plain, _) => (plain?, false),
        };
        Ok(LogisticEstimate { beta: fitted.0, se: fitted.1, cases, controls, firth })
    }

    /// The called people: their basis, then their genotype without its mean, which the constant takes.
    fn complete_cases(&self, row: &[u64], known: f64, groups: &[Counts; 2]) -> People {
        let width = self.design.basis().len() + 1;
        let mean = groups.iter().map(|group| group.alternatives() as f64).sum::<f64>() / known;
        let mut people = People { width, rows: vec![], yes: vec![], known: vec![] };
        for sample in 0..self.cases.samples() {
            if !self.design.people().contains(sample) {
                continue;
            }
            let Some(word) = row.get(sample / WORD_CALLS) else { continue };
            let Some(copies) = Call::from_code(word >> (2 * (sample % WORD_CALLS))).copies() else {
                continue;
            };
            people.rows.extend(self.design.basis().iter().map(|column| column[sample]));
            people.rows.push(f64::from(copies) - mean);
            people.yes.push(self.cases.contains(sample));
        }
        people
    }
}

/// The lowest and the highest number of copies.
fn range(counts: &Counts) -> (u8, u8) {
    let present = [counts.hom_ref, counts.het, counts.hom_alt].map(|count| count > 0);
    match present {
        [true, _, true] => (0, 2),
        [true, true, false] => (0, 1),
        [true, false, false] => (0, 0),
        [false, true, true] => (1, 2),
        [false, true, false] => (1, 1),
        [false, false, _] => (2, 2),
    }
}

/// Rows of a regression and their outcomes.
struct People {
    width: usize,
    rows: Vec<f64>,
    yes: Vec<bool>,
    /// Part of each linear predictor that is known before; none when empty.
    known: Vec<f64>,
}

impl People {
    fn iter(&self) -> impl Iterator<Item = (&[f64], bool)> {
        self.rows.chunks_exact(self.width).zip(self.yes.iter().copied())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Penalty {
    None,
    /// Half the logarithm of the determinant of the information matrix.
    Firth,
}

/// The likelihood at one point, and the step of Newton's method from there.
struct Point {
    coefficients: Vec<f64>,
    /// Logarithm of the likelihood, with its penalty.
    likelihood: f64,
    factor: Factor,
    step: Vec<f64>,
    /// Largest absolute linear predictor.
    farthest: f64,
}

impl Point {
    /// The coefficient of the genotype, which is the last one, and its standard error.
    fn last(&self) -> Result<(f64, f64), NotFitted> {
        let variance = *self.factor.inverse_diagonal().last().ok_or(NotFitted::TooFew)?;
        let beta = *self.coefficients.last().ok_or(NotFitted::TooFew)?;
        Ok((beta, variance.sqrt()))
    }

    fn at(people: &People, coefficients: Vec<f64>, penalty: Penalty) -> Result<Self, NotFitted> {
        let width = people.width;
        let mut information = Gram::new(width);
        let mut likelihood = 0.0;
        let mut farthest = 0.0_f64;
        let mut probabilities = Vec::with_capacity(people.yes.len());
        for (place, (row, yes)) in people.iter().enumerate() {
            let predictor = product(row, &coefficients) + people.known.get(place).unwrap_or(&0.0);
            farthest = farthest.max(predictor.abs());
            likelihood -= softplus(if yes { -predictor } else { predictor });
            let probability = logistic(predictor);
            information.add(probability * (1.0 - probability), row);
            probabilities.push(probability);
        }
        let factor = cholesky(information, SINGULAR).map_err(|_| NotFitted::Collinear)?;
        let covariance = match penalty {
            Penalty::None => None,
            Penalty::Firth => {
                let mut start = 0;
                for column in 0..width {
                    likelihood += ln(factor.upper()[start]);
                    start += width - column;
                }
                let inverse = factor.inverse();
                Some((0..width * width).map(|at| inverse.get(at / width, at % width)).collect::<Vec<f64>>())
            }
        };
        let mut score = vec![0.0; width];
        for ((row, yes), probability) in people.iter().zip(&probabilities) {
            let mut residual = f64::from(u8::from(yes)) - probability;
            if let Some(covariance) = &covariance {
                let rows = row.iter().zip(covariance.chunks_exact(width));
                let leverage = rows.fold(0.0, |sum, (value, line)| sum + value * product(row, line));
                residual += probability * (1.0 - probability) * leverage * (0.5 - probability);
            }
            score.iter_mut().zip(row).for_each(|(sum, value)| *sum += residual * value);
        }
        let step = factor.solve(&score);
        Ok(Self { coefficients, likelihood, factor, step, farthest })
    }
}

/// Probabilities of a yes by the covariates alone, for the people of a design; 0 for the others. `offset` has a part of each
/// linear predictor that is known, or is empty.
pub(super) fn null_model(design: &Design, cases: &SampleSet, offset: &[f64]) -> Result<Vec<f64>, NotFitted> {
    let width = design.basis().len();
    let chosen: Vec<usize> =
        (0..cases.samples()).filter(|sample| design.people().contains(*sample)).collect();
    let mut people = People { width, rows: vec![], yes: vec![], known: vec![] };
    for sample in &chosen {
        people.rows.extend(design.basis().iter().map(|column| column[*sample]));
        people.yes.push(cases.contains(*sample));
        people.known.push(offset.get(*sample).copied().unwrap_or(0.0));
    }
    let point = maximum(&people, Penalty::None)?;
    let mut probabilities = vec![0.0; cases.samples()];
    for ((sample, (row, _)), known) in chosen.iter().zip(people.iter()).zip(&people.known) {
        probabilities[*sample] = logistic(product(row, &point.coefficients) + known);
    }
    Ok(probabilities)
}

/// The last coefficient of a regression and its standard error; `rows` are `width` numbers for each person.
pub(crate) fn logistic_fit(width: usize, rows: Vec<f64>, yes: Vec<bool>) -> Result<(f64, f64), NotFitted> {
    maximum(&People { width, rows, yes, known: vec![] }, Penalty::None)?.last()
}

fn product(row: &[f64], coefficients: &[f64]) -> f64 {
    row.iter().zip(coefficients).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// The maximum of the likelihood.
fn maximum(people: &People, penalty: Penalty) -> Result<Point, NotFitted> {
    let mut point = Point::at(people, vec![0.0; people.width], penalty)?;
    // The information matrix has no part of the penalty's curvature: with it alone, steps can swing about the maximum.
    let mut pace = 1.0;
    for _ in 0..STEPS {
        let change = people.iter().map(|(row, _)| product(row, &point.step).abs()).fold(0.0, f64::max);
        let mut share = if change > LONGEST_STEP { LONGEST_STEP / change } else { pace };
        if change < CONVERGED {
            return Ok(point);
        }
        // A step that makes the likelihood smaller is too long; rounding alone is no reason to shorten it.
        let mut next = None;
        for _ in 0..12 {
            let moved =
                point.coefficients.iter().zip(&point.step).map(|(b, step)| b + share * step).collect();
            match Point::at(people, moved, penalty) {
                Ok(candidate) if candidate.likelihood >= point.likelihood - 1e-9 * point.likelihood.abs() => {
                    next = Some(candidate);
                    break;
                }
                _ => share *= 0.5,
            }
        }
        let next = next.ok_or(NotFitted::NotConverged)?;
        if product(&next.step, &point.step) < 0.0 {
            pace *= 0.5;
        }
        point = next;
        if penalty == Penalty::None && point.farthest > FAR {
            return Err(NotFitted::NotConverged);
        }
    }
    Err(NotFitted::NotConverged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scan(rows: &[&str], yes: &str, fallback: Fallback) -> Vec<Result<LogisticEstimate, NotFitted>> {
        let digits = |text: &str| text.bytes().map(|c| f64::from(c - b'0')).collect::<Vec<f64>>();
        let yes: Vec<f64> = digits(yes).iter().map(|y| if *y == 9.0 { f64::NAN } else { *y }).collect();
        let mut block = Block::new(yes.len());
        for row in rows {
            let calls: Vec<Call> = digits(row).iter().map(|code| Call::from_code(*code as u64)).collect();
            block.push_calls(&calls).unwrap();
        }
        Logistic::new(&yes, &[], fallback).unwrap().scan(&block)
    }

    /// With one binary genotype the estimate is the log odds ratio of the table, and its variance the sum of inverses.
    /// Firth's is that of the table with one half added to each cell.
    #[test]
    fn tables_of_four_cells() {
        let found = scan(&["00011000111", "00000000111"], "00000111111", Fallback::Firth);
        let estimate = found[0].unwrap();
        assert!((estimate.beta - (3.0 * 3.0 / (2.0 * 3.0_f64)).ln()).abs() < 1e-9);
        assert!((estimate.se - (1.0 / 3.0 + 1.0 / 2.0 + 1.0 / 3.0 + 1.0 / 3.0_f64).sqrt()).abs() < 1e-9);
        let estimate = found[1].unwrap();
        assert!(estimate.firth && !found[0].unwrap().firth);
        assert!((estimate.beta - (5.5 * 3.5 / (0.5 * 3.5_f64)).ln()).abs() < 1e-7, "{}", estimate.beta);
    }

    #[test]
    fn what_cannot_be_fitted_is_said() {
        let rows = ["000000001", "000000000", "111111133", "000011112", "331333133", "010101010"];
        let found = scan(&rows, "000011119", Fallback::None);
        let found: Vec<_> = found.into_iter().map(|r| r.map(|e| e.cases.known())).collect();
        use NotFitted::{Constant, Separated};
        assert_eq!(found[..4], [Err(Constant), Err(Constant), Err(Constant), Err(Separated)]);
        assert_eq!(found[4], Err(NotFitted::TooFew));
        assert_eq!(found[5], Ok(4));
        assert_eq!(
            Logistic::new(&[1.0, 2.0, 1.0, 2.0], &[], Fallback::None).err(),
            Some(AssociationError::NotYesNo)
        );
    }
}
