//! Many quantitative traits in one pass.

use super::linear::Projection;
use super::{AssociationError, Design, Estimate, NotTested};
use crate::genotypes::{Block, SampleSet};

/// A linear scan of many phenotypes with the same covariates: to the bits what [`Linear`](super::Linear) says of each.
///
/// Each phenotype has its own people, as PLINK 2 does it: whoever lacks one is in the models of the others. Filling a missing
/// value with the mean, as is done elsewhere, biases the standard error when many are missing. Phenotypes that the same people
/// have share the decoding, the counts and the covariates, and cost one sum each; every other set of people costs the
/// covariates once more.
#[derive(Clone, Debug)]
pub struct LinearTraits {
    count: usize,
    samples: usize,
    groups: Vec<Group>,
}

/// Phenotypes that the same people have.
#[derive(Clone, Debug)]
struct Group {
    /// Their places in the list that was given.
    places: Vec<usize>,
    projection: Projection,
}

/// Why one of many phenotypes makes no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("phenotype {phenotype}: {problem}")]
pub struct TraitError {
    /// Its number, from 1.
    pub phenotype: usize,
    /// What is wrong.
    pub problem: AssociationError,
}

impl LinearTraits {
    /// A scan of phenotypes of the same length; `NaN` is a missing value.
    ///
    /// # Errors
    /// What [`Design::new`] says of a phenotype and the covariates.
    pub fn new(phenotypes: &[Vec<f64>], covariates: &[Vec<f64>]) -> Result<Self, TraitError> {
        let samples = phenotypes.first().map_or(0, Vec::len);
        let mut designs: Vec<(Design, Vec<usize>, Vec<Vec<f64>>)> = vec![];
        for (place, phenotype) in phenotypes.iter().enumerate() {
            let wrong = |problem| TraitError { phenotype: place + 1, problem };
            if phenotype.len() != samples {
                let (what, found) = ("the phenotype".to_owned(), phenotype.len());
                return Err(wrong(AssociationError::Length { what, found, samples }));
            }
            let complete = |sample: usize| {
                let of_covariates = |column: &Vec<f64>| column.get(sample).is_some_and(|v| v.is_finite());
                phenotype[sample].is_finite() && covariates.iter().all(of_covariates)
            };
            let people = SampleSet::of(samples, complete);
            match designs.iter_mut().find(|(design, ..)| *design.people() == people) {
                Some((design, places, residuals)) => {
                    residuals.push(design.residual_of(phenotype).map_err(wrong)?);
                    places.push(place);
                }
                None => {
                    let design = Design::new(phenotype, covariates).map_err(wrong)?;
                    let residual = design.residual().to_vec();
                    designs.push((design, vec![place], vec![residual]));
                }
            }
        }
        let group =
            |(design, places, residuals)| Group { places, projection: Projection::new(design, residuals) };
        Ok(Self { count: phenotypes.len(), samples, groups: designs.into_iter().map(group).collect() })
    }

    /// Phenotypes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Different sets of people who have a phenotype: what a pass costs grows with them.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// People in every block.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// For each variant of a block an estimate for each phenotype, in their order. Of a block of other people nothing is tested.
    #[must_use]
    pub fn scan(&self, block: &Block) -> Vec<Vec<Result<Estimate, NotTested>>> {
        let mut found = vec![vec![Err(NotTested::TooFew); self.count]; block.variants()];
        for group in &self.groups {
            group.projection.scan(block, |variant, place, estimate| {
                found[variant][group.places[place]] = estimate;
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::association::Linear;
    use crate::genotypes::Call;

    #[test]
    fn each_has_the_bits_of_a_scan_of_its_own() {
        let samples = 150;
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1 << 24) as f64
        };
        let mut column = |lacking: &[usize]| -> Vec<f64> {
            (0..samples).map(|s| if lacking.contains(&s) { f64::NAN } else { random() }).collect()
        };
        let covariates = vec![column(&[]), column(&[3])];
        let lacking: [&[usize]; 7] = [&[], &[5], &[], &[9, 70], &[5], &[3], &[]];
        let phenotypes: Vec<Vec<f64>> = lacking.iter().map(|lacking| column(lacking)).collect();
        let mut block = Block::new(samples);
        for v in 0..20_u64 {
            // Every other variant has missing calls; the last two are constant and nowhere called.
            let call = |s: u64| match v {
                18 => Call::Het,
                19 => Call::Missing,
                _ => match Call::from_code((v * s + s * s + v) >> 2) {
                    Call::Missing if v % 2 == 0 => Call::HomRef,
                    call => call,
                },
            };
            block.push_calls(&(0..samples as u64).map(call).collect::<Vec<_>>()).unwrap();
        }
        let many = LinearTraits::new(&phenotypes, &covariates).unwrap();
        // Person 3 is in no model, so the sixth phenotype lacks nobody else.
        assert_eq!((many.count(), many.groups(), many.samples()), (7, 3, samples));
        let found = many.scan(&block);
        for (place, phenotype) in phenotypes.iter().enumerate() {
            let alone = Linear::new(Design::new(phenotype, &covariates).unwrap()).scan(&block);
            for (found, alone) in found.iter().zip(alone) {
                assert_eq!(found[place], alone);
            }
        }
        assert!(found[0][0].is_ok() && found[1][6].is_ok());
        assert_eq!(found[18], vec![Err(NotTested::Constant); 7]);
        assert_eq!(many.scan(&Block::new(3)), Vec::<Vec<_>>::new());
    }

    #[test]
    fn a_phenotype_without_a_model_is_named() {
        let good = vec![1.0, 2.0, 4.0, 3.0, 5.0];
        let error = |second: &[f64]| {
            LinearTraits::new(&[good.clone(), second.to_vec()], &[]).unwrap_err().to_string()
        };
        assert!(error(&[1.0; 5]).starts_with("phenotype 2: the phenotype is constant"));
        assert!(error(&[1.0; 4]).starts_with("phenotype 2: the phenotype has 4 values for 5 people"));
        let mut few = vec![f64::NAN; 5];
        few[0] = 1.0;
        assert!(error(&few).starts_with("phenotype 2: 1 people"));
        assert_eq!(LinearTraits::new(&[], &[]).unwrap().scan(&Block::new(0)), Vec::<Vec<_>>::new());
    }
}
