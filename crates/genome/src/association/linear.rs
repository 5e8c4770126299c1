//! Linear regression of a phenotype on each variant and the covariates.

use histone_program_sdk::math::dot;
use histone_program_sdk::matrix::{Factor, Gram, cholesky};
use histone_program_sdk::stats::two_sided_t;

use super::Design;
use super::dots::{COPIES, Columns};
use crate::genotypes::{Block, SampleSet, WORD_CALLS};
use crate::stats::counts::{self, Counts};

/// Share of a variant's variance that the covariates must leave; PLINK 2 asks for 1 / 50 by default (`--vif`).
const LEFT: f64 = 1.0 / 50.0;

/// A linear scan: the covariates are projected out once, and a variant costs one sum for each and one for the phenotype.
#[derive(Clone, Debug)]
pub struct Linear {
    projection: Projection,
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
        let residual = design.residual().to_vec();
        Self { projection: Projection::new(design, vec![residual]) }
    }

    /// The variants of a block, one after the other. Of a block of other people no variant is tested.
    #[must_use]
    pub fn scan(&self, block: &Block) -> Vec<Result<Estimate, NotTested>> {
        let mut found = vec![Err(NotTested::TooFew); block.variants()];
        self.projection.scan(block, |variant, _, estimate| found[variant] = estimate);
        found
    }
}

/// Phenotypes of the same people without their parts in the same covariates.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    design: Design,
    residuals: Vec<Residual>,
    /// The residuals, then the basis without its constant, of which the counts tell the sum.
    columns: Columns,
}

#[derive(Clone, Debug)]
struct Residual {
    values: Vec<f64>,
    /// Sum of squares.
    square: f64,
}

/// What is the same for all phenotypes at one variant.
struct Genotype {
    counts: Counts,
    df: u64,
    /// Sum of squares of the copies without their part in the covariates.
    gg: f64,
    /// Where a person of the model has no call.
    incomplete: Option<Incomplete>,
}

/// The basis of the called people, who are not all for whom it was made orthonormal.
struct Incomplete {
    factor: Factor,
    /// What is left of the copies' parts when the basis is made anew.
    of_g: Vec<f64>,
    missing: Vec<usize>,
}

impl Projection {
    /// `residuals` are 0 for people who are not of the design.
    pub(super) fn new(design: Design, residuals: Vec<Vec<f64>>) -> Self {
        let columns: Vec<&[f64]> =
            residuals.iter().chain(design.basis().iter().skip(1)).map(Vec::as_slice).collect();
        let columns = Columns::new(design.residual().len(), &columns, COPIES);
        let with_square = |values: Vec<f64>| Residual { square: dot(&values, &values), values };
        Self { design, residuals: residuals.into_iter().map(with_square).collect(), columns }
    }

    /// Hands out the estimate of each variant, by its place in the block, and each phenotype, by its place in the list. Of a
    /// block of other people nothing is handed out.
    pub(super) fn scan(
        &self,
        block: &Block,
        mut each: impl FnMut(usize, usize, Result<Estimate, NotTested>),
    ) {
        if block.samples() != self.design.residual().len() {
            return;
        }
        let people = self.design.people();
        // Counts come first: they read row after row, which brings the block near the processor for the sums, which do not.
        let counts: Vec<Counts> = block.rows().map(|row| counts::of_row_in(row, people)).collect();
        let dots = self.columns.dots(block);
        for (variant, ((row, counts), dots)) in block.rows().zip(counts).zip(dots).enumerate() {
            let (of_residuals, of_covariates) = dots.split_at(self.residuals.len().min(dots.len()));
            let genotype = self.genotype(row, of_covariates, counts);
            for (place, (residual, gy)) in self.residuals.iter().zip(of_residuals).enumerate() {
                let estimate = match &genotype {
                    Ok(genotype) => self.estimate(genotype, residual, *gy),
                    Err(why) => Err(*why),
                };
                each(variant, place, estimate);
            }
        }
    }

    fn genotype(&self, row: &[u64], of_covariates: &[f64], counts: Counts) -> Result<Genotype, NotTested> {
        let basis = self.design.basis().len();
        let known = counts.known();
        if known <= basis as u64 + 1 {
            return Err(NotTested::TooFew);
        }
        if [counts.hom_ref, counts.het, counts.hom_alt].contains(&known) {
            return Err(NotTested::Constant);
        }
        let df = known - basis as u64 - 1;
        let of_constant = counts.alternatives() as f64 / (self.design.people().count() as f64).sqrt();
        let mut parts = Vec::with_capacity(basis);
        parts.push(of_constant);
        parts.extend_from_slice(of_covariates);
        let square = (counts.het + 4 * counts.hom_alt) as f64;
        let incomplete = match counts.missing {
            0 => None,
            _ => Some(self.incomplete(row, &parts)?),
        };
        let gg = square - dot(&parts, incomplete.as_ref().map_or(&parts, |incomplete| &incomplete.of_g));
        let mean = counts.alternatives() as f64 / known as f64;
        let variance = square - mean * counts.alternatives() as f64;
        if gg <= LEFT * variance {
            return Err(NotTested::Collinear);
        }
        Ok(Genotype { counts, df, gg, incomplete })
    }

    /// Complete cases: the sums of all people less those of the people without a call, and the covariates projected out
    /// anew, because without these people they are no longer orthonormal.
    fn incomplete(&self, row: &[u64], parts: &[f64]) -> Result<Incomplete, NotTested> {
        let basis = self.design.basis();
        let size = basis.len();
        let mut gram: Vec<f64> =
            (0..size).flat_map(|i| (i..size).map(move |j| if i == j { 1.0 } else { 0.0 })).collect();
        let mut of_person = vec![0.0; size];
        let missing: Vec<usize> = missing_people(row, self.design.people()).collect();
        for sample in &missing {
            for (value, column) in of_person.iter_mut().zip(basis) {
                *value = column[*sample];
            }
            let mut entries = gram.iter_mut();
            for (i, value) in of_person.iter().enumerate() {
                of_person[i..].iter().zip(&mut entries).for_each(|(other, entry)| *entry -= value * other);
            }
        }
        let gram = Gram::from_upper(size, gram).ok_or(NotTested::Collinear)?;
        let factor = cholesky(gram, 1e-10).map_err(|_| NotTested::Collinear)?;
        let of_g = factor.solve(parts);
        Ok(Incomplete { factor, of_g, missing })
    }

    fn estimate(&self, genotype: &Genotype, residual: &Residual, gy: f64) -> Result<Estimate, NotTested> {
        let Genotype { counts, df, gg, incomplete } = genotype;
        let left = match incomplete {
            None => Left { gy, yy: residual.square },
            Some(incomplete) => self.without_missing(incomplete, residual, gy),
        };
        let beta = left.gy / gg;
        let rest = left.yy - beta * left.gy;
        // What is left by rounding alone is nothing.
        if rest <= 1e-14 * left.yy {
            return Err(NotTested::Perfect);
        }
        Ok(Estimate { beta, se: (rest / *df as f64 / gg).sqrt(), df: *df, counts: *counts })
    }

    fn without_missing(&self, incomplete: &Incomplete, residual: &Residual, gy: f64) -> Left {
        let basis = self.design.basis();
        let mut with_y = vec![0.0; basis.len()];
        let mut yy = residual.square;
        for sample in &incomplete.missing {
            let value = residual.values[*sample];
            yy -= value * value;
            with_y.iter_mut().zip(basis).for_each(|(sum, column)| *sum -= column[*sample] * value);
        }
        let of_y = incomplete.factor.solve(&with_y);
        Left { gy: gy - dot(&with_y, &incomplete.of_g), yy: yy - dot(&with_y, &of_y) }
    }
}

/// The people of the set without a call.
pub(crate) fn missing_people<'a>(row: &'a [u64], set: &'a SampleSet) -> impl Iterator<Item = usize> + 'a {
    row.iter().zip(set.words()).enumerate().flat_map(|(index, (word, chosen))| {
        let mut missing = word & word >> 1 & chosen;
        std::iter::from_fn(move || {
            (missing != 0).then(|| {
                let sample = index * WORD_CALLS + missing.trailing_zeros() as usize / 2;
                missing &= missing - 1;
                sample
            })
        })
    })
}

/// Sums of products without the part in the covariates.
struct Left {
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
