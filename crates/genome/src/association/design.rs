//! Phenotype and covariates, made orthogonal once for all variants.

use histone_program_sdk::math::{axpy, dot};

use super::AssociationError;
use crate::genotypes::SampleSet;

/// What is left of a column of length 1 when the others have been subtracted, below which it is taken as determined by
/// them.
const COLLINEAR: f64 = 1e-8;

/// An orthonormal basis of the constant and the covariates, and a phenotype without its part in them.
#[derive(Clone, Debug)]
pub struct Design {
    people: SampleSet,
    /// Zero for people who are left out.
    basis: Vec<Vec<f64>>,
    residual: Vec<f64>,
}

impl Design {
    /// A model of one phenotype; `NaN` is a missing value.
    ///
    /// # Errors
    /// [`AssociationError`] for columns of another length, collinear covariates, too few people, or nothing to explain.
    pub fn new(phenotype: &[f64], covariates: &[Vec<f64>]) -> Result<Self, AssociationError> {
        let samples = phenotype.len();
        for (index, covariate) in covariates.iter().enumerate() {
            if covariate.len() != samples {
                let what = format!("covariate {}", index + 1);
                return Err(AssociationError::Length { what, found: covariate.len(), samples });
            }
        }
        let people = SampleSet::of(samples, |sample| {
            phenotype[sample].is_finite() && covariates.iter().all(|covariate| covariate[sample].is_finite())
        });
        let columns = covariates.len() + 2;
        if people.count() <= columns {
            return Err(AssociationError::TooFew { people: people.count(), columns });
        }
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let constant = vec![1.0; samples];
        for (index, column) in std::iter::once(&constant).chain(covariates).enumerate() {
            let mut column = only(&people, column);
            let before = dot(&column, &column).sqrt();
            subtract_parts(&mut column, &basis);
            let length = dot(&column, &column).sqrt();
            if is_nothing(length, before) {
                return Err(AssociationError::Collinear(index));
            }
            column.iter_mut().for_each(|value| *value /= length);
            basis.push(column);
        }
        let mut design = Self { people, basis, residual: vec![] };
        design.residual = design.residual_of(phenotype)?;
        Ok(design)
    }

    /// Another phenotype of the same people without its part in the basis.
    pub(crate) fn residual_of(&self, phenotype: &[f64]) -> Result<Vec<f64>, AssociationError> {
        let mut residual = only(&self.people, phenotype);
        let before = dot(&residual, &residual).sqrt();
        subtract_parts(&mut residual, &self.basis);
        let length = dot(&residual, &residual).sqrt();
        if is_nothing(length, before) {
            return Err(AssociationError::NothingToExplain);
        }
        Ok(residual)
    }

    /// People with a phenotype and all covariates.
    #[must_use]
    pub fn people(&self) -> &SampleSet {
        &self.people
    }

    /// The constant, then the covariates, orthonormal; 0 for people who are left out.
    #[must_use]
    pub fn basis(&self) -> &[Vec<f64>] {
        &self.basis
    }

    /// The phenotype without its part in the basis; 0 for people who are left out.
    #[must_use]
    pub fn residual(&self) -> &[f64] {
        &self.residual
    }
}

/// A column with 0 for everybody else.
fn only(people: &SampleSet, column: &[f64]) -> Vec<f64> {
    let chosen = column.iter().enumerate();
    chosen.map(|(sample, value)| if people.contains(sample) { *value } else { 0.0 }).collect()
}

/// True when a column of length `before` has nothing left but rounding, or was no column of numbers.
fn is_nothing(length: f64, before: f64) -> bool {
    !length.is_finite() || length <= COLLINEAR * before
}

/// Subtracts the parts of a column in an orthonormal basis; twice, because the first time leaves rounding behind.
fn subtract_parts(column: &mut [f64], basis: &[Vec<f64>]) {
    for _ in 0..2 {
        for other in basis {
            let part = dot(column, other);
            axpy(-part, other, column);
        }
    }
}
