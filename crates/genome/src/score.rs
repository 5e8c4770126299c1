//! Polygenic scores: for each person, the sum over variants of a weight times the copies of its effect allele.
//!
//! Many scores are made in one pass. As in [`crate::association`], the calls of a person at two variants have 16 values,
//! whose sums are made once for all people. Each sum runs over the variants in one order, so its bits are the same on
//! every machine.
//!
//! Source of the definitions: <https://www.cog-genomics.org/plink/2.0/score>.

use crate::cpu::{self, Kernel};
use crate::genotypes::{BLOCK_VARIANTS, Block};
use crate::stats::counts::{self, BySample};

/// Scores that are summed side by side.
pub(crate) const LANES: usize = 4;

/// Pairs of variants in a block.
const PAIRS: usize = BLOCK_VARIANTS / 2;

/// The allele whose copies are weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The alternative allele.
    Alternative,
    /// The reference allele: a call of c copies counts 2 - c.
    Reference,
}

/// What a missing call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Twice the frequency of the effect allele among these people (PLINK 2's default).
    Mean,
    /// Nothing (`no-mean-imputation`).
    Nothing,
}

/// The weights of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The allele that is weighed.
    pub effect: Effect,
    /// A weight for each score; 0 for a score that the variant is no part of.
    pub weights: Vec<f64>,
}

/// Scores of all people, as variants come.
#[derive(Clone, Debug)]
pub struct Scores {
    count: usize,
    missing: Missing,
    variants: usize,
    /// For each `LANES` scores, the sum of each person.
    groups: Vec<Vec<[f64; LANES]>>,
    alternatives: BySample,
    references: BySample,
}

/// What the variants so far say of one person.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonScores {
    /// Variants with weights at which the person is called.
    pub called: u64,
    /// Copies of effect alleles in these calls.
    pub effect_alleles: u64,
    /// The sums.
    pub sums: Vec<f64>,
}

impl Scores {
    /// No variant yet.
    #[must_use]
    pub fn new(samples: usize, count: usize, missing: Missing) -> Self {
        Self {
            count,
            missing,
            variants: 0,
            groups: vec![vec![[0.0; LANES]; samples]; count.div_ceil(LANES)],
            alternatives: BySample::new(samples),
            references: BySample::new(samples),
        }
    }

    /// Adds the variants of a block that have weights: one entry a variant. Weights beyond the number of scores are left
    /// out, and a block of other people adds nothing.
    pub fn add(&mut self, block: &Block, weights: &[Option<Weights>]) {
        if self.groups.first().is_none_or(|people| people.len() != block.samples()) {
            return;
        }
        let mut effects = [[0.0; 4]; BLOCK_VARIANTS];
        let mut chosen = [0_u64; 2];
        let weighed = || weights.iter().enumerate().take(block.variants());
        for (variant, weights) in
            weighed().filter_map(|(variant, weights)| Some((variant, weights.as_ref()?)))
        {
            let frequency = match self.missing {
                // A variant that nobody is called at says nothing.
                Missing::Mean => {
                    let row = block.row(variant).unwrap_or_default();
                    counts::of_row(row, block.samples()).frequency().unwrap_or(0.0)
                }
                Missing::Nothing => 0.0,
            };
            self.variants += 1;
            let mean = match (self.missing, weights.effect) {
                (Missing::Nothing, _) => 0.0,
                (Missing::Mean, Effect::Alternative) => 2.0 * frequency,
                (Missing::Mean, Effect::Reference) => 2.0 - 2.0 * frequency,
            };
            effects[variant] = match weights.effect {
                Effect::Alternative => [0.0, 1.0, 2.0, mean],
                Effect::Reference => [2.0, 1.0, 0.0, mean],
            };
            chosen[usize::from(weights.effect == Effect::Reference)] |= 1 << variant;
        }
        if chosen == [0, 0] {
            return;
        }
        self.alternatives.add(block, chosen[0]);
        self.references.add(block, chosen[1]);
        let by_sample = block.by_sample();
        for (group, people) in self.groups.iter_mut().enumerate() {
            let mut numbers = [[0.0; LANES]; BLOCK_VARIANTS];
            for (variant, weights) in weighed() {
                let weights =
                    weights.iter().flat_map(|w| w.weights.iter().take(self.count).skip(group * LANES));
                numbers[variant].iter_mut().zip(weights).for_each(|(to, from)| *to = *from);
            }
            cpu::run(Sums { planes: by_sample.planes(), effects: &effects, weights: &numbers, people });
        }
    }

    /// Variants with weights so far.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.variants
    }

    /// The scores of each person so far.
    #[must_use]
    pub fn people(&self) -> Vec<PersonScores> {
        let counts = self.alternatives.counts().into_iter().zip(self.references.counts());
        counts
            .enumerate()
            .map(|(sample, (alternative, reference))| PersonScores {
                called: alternative.known() + reference.known(),
                effect_alleles: alternative.alternatives() + 2 * reference.hom_ref + reference.het,
                sums: self.groups.iter().flat_map(|people| people[sample]).take(self.count).collect(),
            })
            .collect()
    }
}

/// Adds, for each person, what their calls count times the weights.
pub(crate) struct Sums<'a> {
    pub(crate) planes: &'a [[u64; 2]],
    /// What each call of a variant counts.
    pub(crate) effects: &'a [[f64; 4]; BLOCK_VARIANTS],
    pub(crate) weights: &'a [[f64; LANES]; BLOCK_VARIANTS],
    pub(crate) people: &'a mut [[f64; LANES]],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        // table[pair][lower bits of the two calls, then their upper bits]
        let mut table = [[[0.0; LANES]; 16]; PAIRS];
        for (pair, sums) in table.iter_mut().enumerate() {
            for (bits, sums) in sums.iter_mut().enumerate() {
                let (first, second) = (bits & 1 | bits >> 1 & 2, bits >> 1 & 1 | bits >> 2 & 2);
                let (first, second) = (self.effects[2 * pair][first], self.effects[2 * pair + 1][second]);
                let weights = self.weights[2 * pair].iter().zip(&self.weights[2 * pair + 1]);
                for (sum, (of_first, of_second)) in sums.iter_mut().zip(weights) {
                    *sum = first * of_first + second * of_second;
                }
            }
        }
        for ([low, high], person) in self.planes.iter().zip(self.people) {
            let (mut low, mut high) = (*low, *high);
            // Two sums at a time, because an addition waits for the one before it.
            let (mut even, mut odd) = (*person, [0.0; LANES]);
            for [first, second] in table.as_chunks::<2>().0 {
                let first = &first[(low & 3 | (high & 3) << 2) as usize];
                let second = &second[(low >> 2 & 3 | high & 12) as usize];
                for lane in 0..LANES {
                    even[lane] += first[lane];
                    odd[lane] += second[lane];
                }
                low >>= 4;
                high >>= 4;
            }
            for lane in 0..LANES {
                even[lane] += odd[lane];
            }
            *person = even;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::genotypes::{Call, Genotypes};

    #[test]
    fn sums_are_those_of_the_definition() {
        let samples = 37;
        let mut genotypes = Genotypes::new(samples);
        for v in 0..100_u64 {
            let calls: Vec<Call> =
                (0..samples as u64).map(|s| Call::from_code((v * s + s * s + v) >> 1)).collect();
            genotypes.push_calls(&calls).unwrap();
        }
        let weights: Vec<Option<Weights>> = (0..100_u8)
            .map(|v| {
                let effect = if v % 3 == 0 { Effect::Reference } else { Effect::Alternative };
                let weights = (0..6).map(|score| f64::from(v) - 40.0 + f64::from(score)).collect();
                (v % 7 != 0).then_some(Weights { effect, weights })
            })
            .collect();
        for missing in [Missing::Mean, Missing::Nothing] {
            let mut scores = Scores::new(samples, 6, missing);
            for (block, weights) in genotypes.blocks().iter().zip(weights.chunks(BLOCK_VARIANTS)) {
                scores.add(block, weights);
            }
            assert_eq!(scores.variants(), 85);
            for (sample, found) in scores.people().iter().enumerate() {
                let (mut called, mut effect_alleles, mut sums) = (0, 0, [0.0; 6]);
                for (v, weights) in weights.iter().enumerate() {
                    let Some(Weights { effect, weights }) = weights else { continue };
                    let of = |copies: f64| if *effect == Effect::Reference { 2.0 - copies } else { copies };
                    let calls: Vec<_> = (0..samples)
                        .map(|s| genotypes.blocks()[v / 64].call(v % 64, s).unwrap().copies())
                        .collect();
                    let known: Vec<f64> = calls.iter().flatten().map(|c| f64::from(*c)).collect();
                    let copies = match (calls[sample], missing) {
                        (Some(copies), _) => {
                            called += 1;
                            effect_alleles += of(f64::from(copies)) as u64;
                            of(f64::from(copies))
                        }
                        (None, Missing::Mean) => of(known.iter().sum::<f64>() / known.len() as f64),
                        (None, Missing::Nothing) => 0.0,
                    };
                    sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * copies);
                }
                assert_eq!((found.called, found.effect_alleles), (called, effect_alleles));
                assert!(
                    found
                        .sums
                        .iter()
                        .zip(sums)
                        .all(|(found, sum)| (found - sum).abs() < 1e-9 * (1.0 + sum.abs()))
                );
            }
        }
    }

    #[test]
    fn portable_and_wide_sums_have_the_same_bits() {
        let planes: Vec<[u64; 2]> = (1..=300_u64)
            .map(|s| [s.wrapping_mul(0x9e37_79b9_7f4a_7c15), s.wrapping_mul(0xbf58_476d_1ce4_e5b9)])
            .collect();
        let weights: [[f64; LANES]; BLOCK_VARIANTS] =
            std::array::from_fn(|v| std::array::from_fn(|lane| ((v * 5 + lane) as f64).sin()));
        let effects = [[0.0, 1.0, 2.0, 0.3]; BLOCK_VARIANTS];
        let sums = |run: fn(Sums<'_>)| {
            let mut people = vec![[0.1; LANES]; planes.len()];
            run(Sums { planes: &planes, effects: &effects, weights: &weights, people: &mut people });
            people.iter().map(|sums| sums.map(f64::to_bits)).collect::<Vec<_>>()
        };
        assert_eq!(sums(|sums| cpu::run(sums)), sums(|sums| cpu::run_portable(sums)));
    }
}
