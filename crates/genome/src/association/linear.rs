//! Linear regression of a phenotype on each variant and the covariates.

use histone_program_sdk::math::dot;
use histone_program_sdk::matrix::{Gram, cholesky};
use histone_program_sdk::stats::two_sided_t;

use super::Design;
use super::dots::{COPIES, Columns};
use crate::genotypes::{Block, WORD_CALLS};
use crate::stats::counts::{self, Counts};

/// Share of a variant's variance that the covariates must leave; PLINK 2 asks for 1 / 50 by default (`--vif`).
const LEFT: f64 = 1.0 / 50.0;

/// A linear scan: the covariates are projected out once, and a variant costs one sum for each and one for the phenotype.
#[derive(Clone, Debug)]
pub struct Linear {
    design: Design,
    /// The residual phenotype, then the basis without its constant, of which the counts tell the sum.
    columns: Columns,
    /// Sum of squares of the residual phenotype.
    square: f64,
}

/// What a scan says of one variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Change of the phenotype for each copy of the alternative allele.
    pub beta: f64,
    /// Standard error of `beta`.
    pub se: f64,
    /// Degrees of freedom that are left.
    pub df: u64,
    /// Calls of the people of the model.
    pub counts: Counts,
}

impl Estimate {
    /// `beta / se`.
    #[must_use]
    pub fn t(&self) -> f64 {
        self.beta / self.se
    }

    /// Two-sided p-value of Student's t, good to 1e-14 of itself down to 1e-300.
    #[must_use]
    pub fn p(&self) -> f64 {
        two_sided_t(self.t(), self.df as f64)
    }
}

/// Why a variant has no estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTested {
    /// All called people have the same genotype.
    Constant,
    /// The covariates determine the genotype too far: less than 1/50 of its variance is left.
    Collinear,
    /// Too few people are called.
    TooFew,
    /// The phenotype is explained without remainder.
    Perfect,
}

impl Linear {
    /// A scan of a design.
    #[must_use]
    pub fn new(design: Design) -> Self {
        let columns: Vec<&[f64]> = std::iter::once(design.residual())
            .chain(design.basis().iter().skip(1).map(Vec::as_slice))
            .collect();
        let columns = Columns::new(design.residual().len(), &columns, COPIES);
        let square = dot(design.residual(), design.residual());
        Self { design, columns, square }
    }

    /// The variants of a block, one after the other. Of a block of other people no variant is tested.
    #[must_use]
    pub fn scan(&self, block: &Block) -> Vec<Result<Estimate, NotTested>> {
        if block.samples() != self.design.residual().len() {
            return vec![Err(NotTested::TooFew); block.variants()];
        }
        let people = self.design.people();
        let rows = block.rows().zip(self.columns.dots(block));
        rows.map(|(row, dots)| self.test(row, &dots, counts::of_row_in(row, people))).collect()
    }

    fn test(&self, row: &[u64], dots: &[f64], counts: Counts) -> Result<Estimate, NotTested> {
        let basis = self.design.basis().len();
        let known = counts.known();
        if known <= basis as u64 + 1 {
            return Err(NotTested::TooFew);
        }
        if [counts.hom_ref, counts.het, counts.hom_alt].contains(&known) {
            return Err(NotTested::Constant);
        }
        let df = known - basis as u64 - 1;
        let [phenotype, of_covariates @ ..] = dots else { return Err(NotTested::TooFew) };
        let of_constant = counts.alternatives() as f64 / (self.design.people().count() as f64).sqrt();
        let parts: Vec<f64> = std::iter::once(of_constant).chain(of_covariates.iter().copied()).collect();
        let square = (counts.het + 4 * counts.hom_alt) as f64;
        // Sums of squares and products without the part in the covariates.
        let left = if counts.missing == 0 {
            Left { gg: square - dot(&parts, &parts), gy: *phenotype, yy: self.square }
        } else {
            self.without_missing(row, *phenotype, &parts, square)?
        };
        let mean = counts.alternatives() as f64 / known as f64;
        let variance = square - mean * counts.alternatives() as f64;
        if left.gg <= LEFT * variance {
            return Err(NotTested::Collinear);
        }
        let beta = left.gy / left.gg;
        let rest = left.yy - beta * left.gy;
        // What is left by rounding alone is nothing.
        if rest <= 1e-14 * left.yy {
            return Err(NotTested::Perfect);
        }
        Ok(Estimate { beta, se: (rest / df as f64 / left.gg).sqrt(), df, counts })
    }

    /// Complete cases: the sums of all people less those of the people without a call, and the covariates projected out
    /// anew, because without these people they are no longer orthonormal.
    fn without_missing(&self, row: &[u64], gy: f64, parts: &[f64], gg: f64) -> Result<Left, NotTested> {
        let basis = self.design.basis();
        let size = basis.len();
        let mut gram: Vec<f64> =
            (0..size).flat_map(|i| (i..size).map(move |j| if i == j { 1.0 } else { 0.0 })).collect();
        let mut with_y = vec![0.0; size];
        let mut yy = self.square;
        let mut missing_row = vec![0.0; size];
        for (index, (word, chosen)) in row.iter().zip(self.design.people().words()).enumerate() {
            let mut missing = word & word >> 1 & chosen;
            while missing != 0 {
                let sample = index * WORD_CALLS + missing.trailing_zeros() as usize / 2;
                missing &= missing - 1;
                let residual = self.design.residual()[sample];
                yy -= residual * residual;
                for (value, column) in missing_row.iter_mut().zip(basis) {
                    *value = column[sample];
                }
                let mut entries = gram.iter_mut();
                for (i, value) in missing_row.iter().enumerate() {
                    with_y[i] -= value * residual;
                    missing_row[i..]
                        .iter()
                        .zip(&mut entries)
                        .for_each(|(other, entry)| *entry -= value * other);
                }
            }
        }
        let gram = Gram::from_upper(size, gram).ok_or(NotTested::Collinear)?;
        let factor = cholesky(gram, 1e-10).map_err(|_| NotTested::Collinear)?;
        let (of_g, of_y) = (factor.solve(parts), factor.solve(&with_y));
        Ok(Left { gg: gg - dot(parts, &of_g), gy: gy - dot(&with_y, &of_g), yy: yy - dot(&with_y, &of_y) })
    }
}

struct Left {
    gg: f64,
    gy: f64,
    yy: f64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::association::AssociationError;
    use crate::genotypes::Call;

    /// Ordinary least squares by normal equations over the complete cases, straight from the definition.
    fn oracle(calls: &[Call], phenotype: &[f64], covariates: &[Vec<f64>]) -> Option<(f64, f64, u64)> {
        let rows: Vec<(Vec<f64>, f64)> = (0..calls.len())
            .filter_map(|s| {
                let mut row = vec![f64::from(calls[s].copies()?), 1.0];
                row.extend(covariates.iter().map(|c| c[s]));
                (phenotype[s].is_finite() && row.iter().all(|x| x.is_finite())).then(|| (row, phenotype[s]))
            })
            .collect();
        let p = covariates.len() + 2;
        let mut gram = Gram::new(p);
        let mut right = vec![0.0; p];
        for (row, y) in &rows {
            gram.add(1.0, row);
            right.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * y);
        }
        let factor = cholesky(gram, 1e-12).ok()?;
        let solution = factor.solve(&right);
        let rest: f64 = rows.iter().map(|(row, y)| (y - dot(row, &solution)).powi(2)).sum();
        let df = rows.len() as u64 - p as u64;
        Some((solution[0], (rest / df as f64 * factor.inverse_diagonal()[0]).sqrt(), df))
    }

    #[test]
    fn agrees_with_least_squares() {
        let samples = 200;
        let mut state = 5_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1 << 24) as f64
        };
        let covariates: Vec<Vec<f64>> = (0..5)
            .map(|c| (0..samples).map(|s| if c == 2 && s == 7 { f64::NAN } else { random() }).collect())
            .collect();
        let mut phenotype: Vec<f64> = (0..samples).map(|_| 100.0 + random()).collect();
        phenotype[0] = f64::NAN;
        let mut block = Block::new(samples);
        let mut rows = Vec::new();
        for v in 0..64 {
            let missing = if v % 2 == 0 { 0.0 } else { 0.3 };
            let calls: Vec<Call> = (0..samples)
                .map(|_| {
                    if random() < missing { Call::Missing } else { Call::from_code((random() * 2.99) as u64) }
                })
                .collect();
            block.push_calls(&calls).unwrap();
            rows.push(calls);
        }
        let linear = Linear::new(Design::new(&phenotype, &covariates).unwrap());
        for (calls, found) in rows.iter().zip(linear.scan(&block)) {
            let (beta, se, df) = oracle(calls, &phenotype, &covariates).unwrap();
            let found = found.unwrap();
            assert_eq!(found.df, df);
            assert!((found.beta / beta - 1.0).abs() < 1e-9 && (found.se / se - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn what_cannot_be_tested_is_said() {
        let phenotype = [1.0, 2.0, 4.0, 3.0, 5.0, 7.0];
        let sex = vec![0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        let linear = Linear::new(Design::new(&phenotype, &[sex]).unwrap());
        let mut block = Block::new(6);
        let rows = [
            [0, 0, 0, 0, 0, 0],
            [0, 0, 0, 1, 1, 1],
            [0, 1, 2, 3, 3, 3],
            [1, 3, 1, 1, 1, 1],
            [0, 1, 3, 3, 0, 1],
        ];
        for row in rows {
            block.push_calls(&row.map(Call::from_code)).unwrap();
        }
        let found: Vec<_> = linear.scan(&block).into_iter().map(|r| r.map(|e| e.df)).collect();
        use NotTested::{Collinear, Constant, TooFew};
        assert_eq!(found, [Err(Constant), Err(Collinear), Err(TooFew), Err(Constant), Ok(1)]);
        assert_eq!(linear.scan(&Block::new(5)), []);
    }

    #[test]
    fn models_that_make_no_sense_are_refused() {
        let y = [1.0, 2.0, 4.0, 3.0, 5.0, f64::NAN];
        let error = |y: &[f64], covariates: &[Vec<f64>]| Design::new(y, covariates).unwrap_err();
        assert_eq!(error(&y, &[vec![1.0; 6]]), AssociationError::Collinear(1));
        let x = vec![1.0, 0.0, 3.0, 1.0, 0.0, 9.0];
        let twice = x.iter().map(|x| 2.0 * x + 1.0).collect();
        assert_eq!(error(&y, &[x.clone(), twice]), AssociationError::Collinear(2));
        assert_eq!(error(&[3.0; 6], std::slice::from_ref(&x)), AssociationError::NothingToExplain);
        assert_eq!(error(&y, &[x.clone(), x.clone(), x]), AssociationError::TooFew { people: 5, columns: 5 });
        assert!(matches!(error(&y, &[vec![1.0]]), AssociationError::Length { found: 1, .. }));
    }
}
