//! Sex by the X chromosome: a man has one X and so no heterozygous calls outside of the pseudo-autosomal regions.
//!
//! `F = (observed - expected homozygous) / (called - expected homozygous)`, as `plink --check-sex` does: near 1 for men,
//! near 0 for women.

use super::counts::{BySample, Counts};
use crate::genotypes::{Block, Call};

/// Gathers variants of X.
#[derive(Clone, Debug)]
pub struct XCheck {
    people: BySample,
    /// Expected heterozygous calls of a person who is called everywhere.
    expected: f64,
    /// What each person's missing calls take from it.
    missing: Vec<f64>,
}

impl XCheck {
    /// No variant yet.
    #[must_use]
    pub fn new(samples: usize) -> Self {
        Self { people: BySample::new(samples), expected: 0.0, missing: vec![0.0; samples] }
    }

    /// Adds the variants of a block for which there is an allele frequency. Leave out the pseudo-autosomal regions; at a
    /// frequency of 0 or 1 nothing is learnt, and such a variant is passed over.
    pub fn add(&mut self, block: &Block, frequencies: &[Option<f64>]) {
        let mut chosen = 0_u64;
        for (variant, frequency) in frequencies.iter().enumerate().take(block.variants()) {
            let Some(frequency) = frequency.filter(|f| 0.0 < *f && *f < 1.0) else { continue };
            chosen |= 1 << variant;
            let expected = 2.0 * frequency * (1.0 - frequency);
            self.expected += expected;
            for (sample, missing) in self.missing.iter_mut().enumerate() {
                if block.call(variant, sample) == Some(Call::Missing) {
                    *missing += expected;
                }
            }
        }
        self.people.add(block, chosen);
    }

    /// Variants that were counted.
    #[must_use]
    pub fn variants(&self) -> u64 {
        self.people.variants()
    }

    /// F of each person; `None` where too little is called.
    #[must_use]
    pub fn coefficients(&self) -> Vec<Option<f64>> {
        let people = self.people.counts().into_iter().zip(&self.missing);
        people
            .map(|(counts, missing)| {
                let expected = self.expected - missing;
                (counts.known() > 0 && expected > 0.0).then(|| 1.0 - counts.het as f64 / expected)
            })
            .collect()
    }
}

/// Frequency of the alternative allele of a variant of X: men have one copy, and their heterozygous calls count as
/// missing.
#[must_use]
pub fn frequency(women: &Counts, men: &Counts) -> Option<f64> {
    let places = 2 * women.known() + men.hom_ref + men.hom_alt;
    (places > 0).then(|| (women.alternatives() + men.hom_alt) as f64 / places as f64)
}
