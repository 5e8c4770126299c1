//! People who are known to be real, by population.

use std::collections::HashMap;

use super::linkage::Moments;
use crate::genotypes::{GenotypeError, Genotypes, SampleSet, WORD_CALLS, words_for};
use crate::stats::counts;
use crate::variant::Variant;

/// A panel: calls of people at variants, and to which population each belongs.
pub struct Panel {
    genotypes: Genotypes,
    index: HashMap<Variant, usize>,
    names: Vec<String>,
    populations: Vec<SampleSet>,
    /// Frequencies of a variant in each population; missing where nobody of it is called.
    frequencies: Vec<Vec<Option<f64>>>,
}

impl Panel {
    /// `variants` names the rows of `genotypes`, `populations` gives each person an index into `names`. Variants should be
    /// harmonized with what is to be checked.
    ///
    /// # Errors
    /// [`GenotypeError::Samples`] when there is not a variant for each row, or not a population for each person.
    pub fn new(
        genotypes: Genotypes,
        variants: impl IntoIterator<Item = Variant>,
        names: Vec<String>,
        populations: &[usize],
    ) -> Result<Self, GenotypeError> {
        let samples = genotypes.samples();
        let index: HashMap<Variant, usize> = variants.into_iter().zip(0..).collect();
        if populations.len() != samples || populations.iter().any(|p| *p >= names.len()) {
            return Err(GenotypeError::Samples { found: populations.len(), samples });
        }
        if index.values().any(|row| *row >= genotypes.variants()) {
            return Err(GenotypeError::NoVariant);
        }
        let populations: Vec<SampleSet> = (0..names.len())
            .map(|p| SampleSet::of(samples, |sample| populations.get(sample) == Some(&p)))
            .collect();
        let of_row = |row| populations.iter().map(|set| counts::of_row_in(row, set).frequency()).collect();
        let frequencies = genotypes.rows().map(of_row).collect();
        Ok(Self { genotypes, index, names, populations, frequencies })
    }

    /// People.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.genotypes.samples()
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The row of a variant in which all populations are called.
    pub(super) fn row_of(&self, variant: &Variant) -> Option<usize> {
        let row = *self.index.get(variant)?;
        self.frequencies.get(row)?.iter().all(Option::is_some).then_some(row)
    }

    /// Frequencies of a row, population by population.
    pub(super) fn frequencies(&self, row: usize) -> impl Iterator<Item = f64> {
        self.frequencies.get(row).into_iter().flatten().map(|frequency| frequency.unwrap_or_default())
    }

    /// People of each population.
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.populations.iter().map(SampleSet::count)
    }

    /// The correlation of two rows in a mix of the populations.
    pub(super) fn r(&self, rows: [usize; 2], weights: &[f64]) -> Option<f64> {
        let [x, y] = [self.genotypes.row(rows[0])?, self.genotypes.row(rows[1])?];
        let mut mixed = Moments::default();
        for (set, weight) in self.populations.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
            mixed.add_means(*weight, &Moments::of(x, y, set.words()));
        }
        mixed.r()
    }

    /// The calls of a row behind those of other people.
    pub(super) fn append(&self, row: usize, before: &[u64], samples: usize) -> Vec<u64> {
        let mut words = before.to_vec();
        words.resize(words_for(samples + self.samples()), 0);
        let (first, shift) = (samples / WORD_CALLS, 2 * (samples % WORD_CALLS));
        for (index, calls) in self.genotypes.row(row).unwrap_or_default().iter().enumerate() {
            if let Some(word) = words.get_mut(first + index) {
                *word |= calls << shift;
            }
            if let (Some(word), true) = (words.get_mut(first + index + 1), shift > 0) {
                *word |= calls >> (64 - shift);
            }
        }
        words
    }

    /// The mix of populations whose frequencies are nearest to those that were observed, by least squares, each variant
    /// weighted by its variance: weights that are not negative and have the sum 1. By Frank and Wolfe's method, which needs
    /// nothing but the matrix of products.
    pub(super) fn best_mix(&self, observed: &[(usize, f64)]) -> Vec<f64> {
        const STEPS: usize = 2_000;
        let k = self.names.len();
        let mut products = vec![0.0; k * k];
        let mut with_observed = vec![0.0; k];
        for (row, found) in observed {
            let frequencies: Vec<f64> = self.frequencies(*row).collect();
            let mean = frequencies.iter().sum::<f64>() / k as f64;
            let weight = 1.0 / (mean * (1.0 - mean)).max(0.01);
            for (i, p) in frequencies.iter().enumerate() {
                with_observed[i] += weight * p * found;
                for (j, q) in frequencies.iter().enumerate() {
                    products[i * k + j] += weight * p * q;
                }
            }
        }
        let mut weights = vec![1.0 / k as f64; k];
        for _ in 0..STEPS {
            let slope = |i: usize, weights: &[f64]| {
                (0..k).map(|j| products[i * k + j] * weights[j]).sum::<f64>() - with_observed[i]
            };
            let slopes: Vec<f64> = (0..k).map(|i| slope(i, &weights)).collect();
            // Weight goes from the used population with the steepest slope to the one with the least.
            let used = (0..k).filter(|i| weights[*i] > 0.0);
            let Some(from) = used.max_by(|a, b| slopes[*a].total_cmp(&slopes[*b])) else { break };
            let Some(to) = (0..k).min_by(|a, b| slopes[*a].total_cmp(&slopes[*b])) else { break };
            let curve = products[from * k + from] + products[to * k + to] - 2.0 * products[from * k + to];
            if from == to || curve <= 0.0 {
                break;
            }
            let step = ((slopes[from] - slopes[to]) / curve).min(weights[from]);
            if step < 1e-9 {
                break;
            }
            weights[from] = if step == weights[from] { 0.0 } else { weights[from] - step };
            weights[to] += step;
        }
        weights
    }
}

impl std::fmt::Debug for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Panel").field("samples", &self.samples()).finish_non_exhaustive()
    }
}
