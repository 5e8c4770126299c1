//! The relationship of all pairs of people.

use histone_program_sdk::math::dot;

use super::{Components, PcaError, Search, effects, krylov};
use crate::cpu;
use crate::genotypes::{BLOCK_VARIANTS, Block, SampleSet};
use crate::score::{LANES, Sums};

/// The relationship matrix as variants come, each pair over the variants at which both are called: `plink2 --make-rel`.
#[derive(Debug)]
pub struct Relationship {
    people: SampleSet,
    variants: usize,
    /// For each `LANES` people, and each person up to the last of these, the sums of products.
    groups: Vec<Vec<[f64; LANES]>>,
    /// Variants at which each person is not called.
    missing: Vec<u64>,
    /// Variants at which neither of two is called, by the later and the earlier one.
    both_missing: Vec<Vec<u32>>,
}

impl Relationship {
    /// No variant yet. The matrix takes 8 bytes, and up to 4 more, for each pair; `most` is the largest number of people.
    ///
    /// # Errors
    /// [`PcaError::TooLarge`].
    pub fn new(people: SampleSet, most: usize) -> Result<Self, PcaError> {
        let samples = people.samples();
        if samples > most {
            return Err(PcaError::TooLarge { people: samples, limit: most });
        }
        let groups = (0..samples.div_ceil(LANES)).map(|g| vec![[0.0; LANES]; samples.min((g + 1) * LANES)]);
        Ok(Self {
            variants: 0,
            groups: groups.collect(),
            missing: vec![0; samples],
            both_missing: vec![vec![]; samples],
            people,
        })
    }

    /// Adds the variants of a block for which `choose` is true, by their place in the block, and which vary. A block of other people
    /// adds nothing.
    pub fn add(&mut self, block: &Block, choose: impl Fn(usize) -> bool) {
        if block.samples() != self.people.samples() {
            return;
        }
        let (effects, mask) = effects(block, &self.people, choose);
        self.variants += mask.count_ones() as usize;
        let by_sample = block.by_sample();
        let planes = by_sample.planes();
        for (group, sums) in self.groups.iter_mut().enumerate() {
            let mut numbers = [[0.0; LANES]; BLOCK_VARIANTS];
            for (lane, [low, high]) in planes.iter().skip(group * LANES).take(LANES).enumerate() {
                for (variant, (numbers, effects)) in numbers.iter_mut().zip(&effects).enumerate() {
                    numbers[lane] = effects[(low >> variant & 1 | (high >> variant & 1) << 1) as usize];
                }
            }
            let planes = &planes[..sums.len()];
            cpu::run(Sums { planes, effects: &effects, weights: &numbers, people: sums });
        }
        let lacking: Vec<(usize, u64)> = planes
            .iter()
            .enumerate()
            .map(|(person, [low, high])| (person, low & high & mask))
            .filter(|(person, missing)| *missing != 0 && self.people.contains(*person))
            .collect();
        for (place, (person, missing)) in lacking.iter().enumerate() {
            self.missing[*person] += u64::from(missing.count_ones());
            let row = &mut self.both_missing[*person];
            row.resize(*person, 0);
            for (other, of_other) in &lacking[..place] {
                row[*other] += (missing & of_other).count_ones();
            }
        }
    }

    /// Variants so far.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.variants
    }

    /// The relationship of two people of the set; `None` for others, and where no variant is called for both.
    #[must_use]
    pub fn get(&self, first: usize, second: usize) -> Option<f64> {
        if !self.people.contains(first) || !self.people.contains(second) {
            return None;
        }
        let (first, second) = (first.min(second), first.max(second));
        let both = match first == second {
            true => self.missing[first],
            false => u64::from(self.both_missing[second].get(first).copied().unwrap_or(0)),
        };
        let called = (self.variants as u64 + both).checked_sub(self.missing[first] + self.missing[second])?;
        let sum = self.groups.get(second / LANES)?.get(first)?[second % LANES];
        (called > 0).then(|| sum / called as f64)
    }

    /// The largest components.
    ///
    /// # Errors
    /// [`PcaError`]; a pair without a variant at which both are called is [`PcaError::NoVariants`].
    pub fn components(&self, search: &Search) -> Result<Components, PcaError> {
        let samples = self.people.samples();
        let mut rows = vec![vec![]; samples];
        for (person, row) in rows.iter_mut().enumerate().filter(|(person, _)| self.people.contains(*person)) {
            for other in 0..samples {
                let value = match self.people.contains(other) {
                    true => self.get(person, other).ok_or(PcaError::NoVariants)?,
                    false => 0.0,
                };
                row.push(value);
            }
        }
        let found = krylov::largest(
            &self.people,
            search,
            |_, _| {},
            |vectors: &[Vec<f64>]| {
                // The sum over no numbers, for others than the people of the set, is 0.
                let product = |vector: &Vec<f64>| rows.iter().map(|row| dot(row, vector)).collect();
                Ok::<_, PcaError>(vectors.iter().map(product).collect())
            },
        )?;
        Ok(Components { variants: self.variants, ..found })
    }
}
