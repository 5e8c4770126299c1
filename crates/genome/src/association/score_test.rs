//! The score test of logistic regression: one fit without variants, then the cost of a linear scan.
//!
//! Another test than Wald's of [`Logistic`](super::Logistic), equal to it in large samples and defined where cases and
//! controls are separated as well. With `p` the probabilities by the covariates alone, `w = p (1 - p)` and `g` the copies:
//! `U = sum g (y - p)`, `V = g' W g - g' W Q (Q' W Q)^-1 Q' W g`, and `U^2 / V` is compared with a chi-square of one degree
//! of freedom. Source: Rao 1948; as a scan, e.g. Mbatchou et al. 2021, Nature Genetics 53. A missing call counts as the
//! mean of the known ones, as it does there.

use histone_program_sdk::math::dot;
use histone_program_sdk::matrix::{Factor, Gram, cholesky};
use histone_program_sdk::stats::two_sided_normal;

use super::dots::{COPIES, Columns};
use super::logistic::null_model;
use super::{AssociationError, Design, NotFitted};
use crate::genotypes::{Block, SampleSet, WORD_CALLS};
use crate::stats::counts::{self, Counts};

/// What a homozygous call adds to a sum of squares beyond twice its copies: `2^2 = 2 + 2`.
const SECOND_COPIES: [f64; 4] = [0.0, 0.0, 2.0, 0.0];

/// A scan by score tests.
#[derive(Clone, Debug)]
pub struct ScoreTest {
    design: Design,
    /// The residual, the weights, then the weighted basis: all 0 for people who are left out.
    numbers: Vec<Vec<f64>>,
    columns: Columns,
    squares: Columns,
    /// Of the basis with its weights.
    factor: Factor,
}

/// What a score test says of one variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreEstimate {
    /// `U`, the slope of the log-likelihood where the variant has no effect.
    pub score: f64,
    /// `V`, its variance.
    pub variance: f64,
    /// Calls of the people of the model.
    pub counts: Counts,
}

impl ScoreEstimate {
    /// `U / sqrt(V)`.
    #[must_use]
    pub fn z(&self) -> f64 {
        self.score / self.variance.sqrt()
    }

    /// Two-sided p-value.
    #[must_use]
    pub fn p(&self) -> f64 {
        two_sided_normal(self.z())
    }
}

impl ScoreTest {
    /// A scan of a phenotype that is 0 (control), 1 (case) or `NaN` (missing).
    ///
    /// # Errors
    /// [`AssociationError::NotYesNo`] for another value, [`AssociationError::NoNullModel`] when the covariates alone
    /// separate cases from controls, and those of [`Design::new`].
    pub fn new(phenotype: &[f64], covariates: &[Vec<f64>]) -> Result<Self, AssociationError> {
        Self::with_offset(phenotype, covariates, &vec![0.0; phenotype.len()])
    }

    /// The same with a part of each person's log odds that is known before: what other chromosomes predict. A person without
    /// it (`NaN`) is left out.
    ///
    /// # Errors
    /// Those of [`ScoreTest::new`], and [`AssociationError::Length`] for an offset of another length.
    pub fn with_offset(
        phenotype: &[f64],
        covariates: &[Vec<f64>],
        offset: &[f64],
    ) -> Result<Self, AssociationError> {
        if offset.len() != phenotype.len() {
            let (what, samples) = ("the offset".to_owned(), phenotype.len());
            return Err(AssociationError::Length { what, found: offset.len(), samples });
        }
        if phenotype.iter().any(|value| !value.is_nan() && *value != 0.0 && *value != 1.0) {
            return Err(AssociationError::NotYesNo);
        }
        let with_offset = |(value, offset): (&f64, &f64)| if offset.is_finite() { *value } else { f64::NAN };
        let phenotype: Vec<f64> = phenotype.iter().zip(offset).map(with_offset).collect();
        let design = Design::new(&phenotype, covariates)?;
        let samples = phenotype.len();
        let cases = SampleSet::of(samples, |s| design.people().contains(s) && phenotype[s] == 1.0);
        let probabilities = null_model(&design, &cases, offset).map_err(|_| AssociationError::NoNullModel)?;
        let residual = (0..samples).map(|s| f64::from(u8::from(cases.contains(s))) - probabilities[s]);
        let weights: Vec<f64> = probabilities.iter().map(|p| p * (1.0 - p)).collect();
        let mut numbers = vec![residual.collect(), weights.clone()];
        for column in design.basis() {
            numbers.push(column.iter().zip(&weights).map(|(value, weight)| value * weight).collect());
        }
        let size = design.basis().len();
        let upper = (0..size).flat_map(|i| (i..size).map(move |j| (i, j)));
        let gram = upper.map(|(i, j)| dot(&design.basis()[i], &numbers[j + 2])).collect();
        let factor = Gram::from_upper(size, gram)
            .and_then(|gram| cholesky(gram, 1e-10).ok())
            .ok_or(AssociationError::NoNullModel)?;
        let slices: Vec<&[f64]> = numbers.iter().map(Vec::as_slice).collect();
        let columns = Columns::new(samples, &slices, COPIES);
        let squares = Columns::new(samples, &[&weights], SECOND_COPIES);
        Ok(Self { design, columns, squares, factor, numbers })
    }

    /// The variants of a block, one after the other. Of a block of other people no variant is tested.
    #[must_use]
    pub fn scan(&self, block: &Block) -> Vec<Result<ScoreEstimate, NotFitted>> {
        let people = self.design.people();
        if block.samples() != people.samples() {
            return vec![Err(NotFitted::TooFew); block.variants()];
        }
        let dots = self.columns.dots(block).into_iter().zip(self.squares.dots(block));
        let rows = block.rows().zip(dots);
        rows.map(|(row, (sums, squares))| {
            let square = squares.first().copied().unwrap_or(0.0);
            self.test(row, sums, square, counts::of_row_in(row, people))
        })
        .collect()
    }

    fn test(
        &self,
        row: &[u64],
        mut sums: Vec<f64>,
        mut square: f64,
        counts: Counts,
    ) -> Result<ScoreEstimate, NotFitted> {
        let known = counts.known();
        if known == 0 {
            return Err(NotFitted::TooFew);
        }
        if [counts.hom_ref, counts.het, counts.hom_alt].contains(&known) {
            return Err(NotFitted::Constant);
        }
        // Twice the homozygous weights, on top of the sum of weights times copies.
        square += sums.get(1).copied().unwrap_or(0.0);
        let mean = counts.alternatives() as f64 / known as f64;
        for (index, (word, chosen)) in row.iter().zip(self.design.people().words()).enumerate() {
            let mut missing = word & word >> 1 & chosen;
            while missing != 0 {
                let sample = index * WORD_CALLS + missing.trailing_zeros() as usize / 2;
                missing &= missing - 1;
                sums.iter_mut().zip(&self.numbers).for_each(|(sum, numbers)| *sum += mean * numbers[sample]);
                square += mean * mean * self.numbers[1][sample];
            }
        }
        let [score, _, parts @ ..] = sums.as_slice() else { return Err(NotFitted::TooFew) };
        let variance = square - dot(parts, &self.factor.solve(parts));
        if variance <= 1e-10 * square {
            return Err(NotFitted::Collinear);
        }
        Ok(ScoreEstimate { score: *score, variance, counts })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::genotypes::Call;

    /// Without covariates the statistic is that of the trend test: n r^2 of phenotype and copies.
    #[test]
    fn the_trend_test() {
        let yes = [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, f64::NAN, 0.0, 0.0];
        let codes = [[0, 1, 0, 2, 1, 1, 0, 2, 0, 1], [0, 3, 0, 2, 1, 1, 0, 2, 3, 1], [1; 10], [3; 10]];
        let mut block = Block::new(10);
        codes.iter().for_each(|row| block.push_calls(&row.map(Call::from_code)).unwrap());
        let found = ScoreTest::new(&yes, &[]).unwrap().scan(&block);
        for (row, found) in codes.iter().zip(&found).take(2) {
            let known: Vec<f64> =
                (0..10).filter(|s| *s != 7 && row[*s] != 3).map(|s| row[s] as f64).collect();
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            let pairs: Vec<(f64, f64)> = (0..10)
                .filter(|s| *s != 7)
                .map(|s| (if row[s] == 3 { mean } else { row[s] as f64 }, yes[s]))
                .collect();
            let n = pairs.len() as f64;
            let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
            let sum = |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|p| f(p.0 - x, p.1 - y)).sum::<f64>();
            let r2 = sum(&|a, b| a * b).powi(2) / sum(&|a, _| a * a) / sum(&|_, b| b * b);
            let z = found.unwrap().z();
            assert!((z * z - n * r2).abs() < 1e-9, "{} {}", z * z, n * r2);
        }
        assert_eq!(found[2], Err(NotFitted::Constant));
        assert_eq!(found[3], Err(NotFitted::TooFew));
        // What the covariates say anyway changes nothing when it is known before, and something else does; who lacks it is left out.
        let age: Vec<f64> = (0..10).map(|person| f64::from(person % 4)).collect();
        let covariates = [age.clone()];
        let before = ScoreTest::new(&yes, &covariates).unwrap().scan(&block);
        let known: Vec<f64> = age.iter().map(|age| 0.3 - 0.2 * age).collect();
        let after = ScoreTest::with_offset(&yes, &covariates, &known).unwrap().scan(&block);
        assert!((before[0].unwrap().z() - after[0].unwrap().z()).abs() < 1e-6);
        let other: Vec<f64> = (0..10).map(|person| f64::from(u8::from(person < 3))).collect();
        let after = ScoreTest::with_offset(&yes, &covariates, &other).unwrap().scan(&block);
        assert!((before[0].unwrap().z() - after[0].unwrap().z()).abs() > 1e-3);
        let mut lacking = known.clone();
        lacking[1] = f64::NAN;
        let after = ScoreTest::with_offset(&yes, &covariates, &lacking).unwrap().scan(&block);
        assert_eq!(after[0].unwrap().counts.known(), before[0].unwrap().counts.known() - 1);
        assert!(ScoreTest::with_offset(&yes, &covariates, &known[1..]).is_err());
        let separating = vec![yes.iter().map(|y| if y.is_nan() { 0.0 } else { *y }).collect()];
        assert!(ScoreTest::new(&yes, &separating).is_err());
    }
}
