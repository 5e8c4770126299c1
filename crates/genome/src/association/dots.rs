//! Sums over people of a number times their copies of the alternative allele, for all variants of a block.
//!
//! Two calls are four bits and have 16 values. So for each pair of people the 16 sums of each column are made once and
//! serve all 64 variants of the block: one addition for two calls, with no decoding and no multiplication. Each sum runs
//! over the pairs in one order, side by side for the columns; so its bits do not depend on the width of vectors.

mod one;

use one::OneSum;

use crate::cpu::{self, Kernel};
use crate::genotypes::{BLOCK_VARIANTS, Block, WORD_CALLS, words_for};

/// Columns that are summed side by side.
const LANES: usize = 4;

/// Calls count copies of the alternative allele; missing ones count nothing.
pub(crate) const COPIES: [f64; 4] = [0.0, 1.0, 2.0, 0.0];

/// Pairs of people in a word.
const PAIRS: usize = WORD_CALLS / 2;

/// Columns of numbers, one number a person.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    samples: usize,
    count: usize,
    effects: [f64; 4],
    /// For each `LANES` columns, for each person of whole words, the numbers; 0 where there is none.
    groups: Vec<Vec<[f64; LANES]>>,
}

impl Columns {
    /// `effects` is what each call counts, by its code.
    pub(crate) fn new(samples: usize, columns: &[&[f64]], effects: [f64; 4]) -> Self {
        let people = words_for(samples) * WORD_CALLS;
        let group = |columns: &[&[f64]]| {
            let number = |sample, lane| {
                let column: Option<&&[f64]> = columns.get(lane);
                column.and_then(|column| column.get(sample)).copied().unwrap_or(0.0)
            };
            (0..people).map(|sample| std::array::from_fn(|lane| number(sample, lane))).collect()
        };
        Self { samples, count: columns.len(), effects, groups: columns.chunks(LANES).map(group).collect() }
    }

    /// For each variant of the block, the sum for each column. A block of other people
    /// gives sums of 0.
    pub(crate) fn dots(&self, block: &Block) -> Vec<Vec<f64>> {
        let mut sums = vec![vec![0.0; self.groups.len() * LANES]; block.variants()];
        if let ([numbers], 1, true) = (self.groups.as_slice(), self.count, block.samples() == self.samples) {
            let (words, variants, effects) = (block.words(), block.variants(), self.effects);
            let found = cpu::run(OneSum { words, variants, effects, numbers });
            sums.iter_mut().zip(found).for_each(|(sums, found)| sums[0] = found);
        } else if block.samples() == self.samples {
            // Three groups at a time are what fits the registers and the nearest cache.
            for (chunk, groups) in self.groups.chunks(3).enumerate() {
                let (words, effects) = (block.words(), self.effects);
                let variants = block.variants();
                let first = chunk * 3 * LANES;
                match groups {
                    [a, b, c] => store(
                        &mut sums,
                        first,
                        cpu::run(Sums { words, variants, effects, groups: [a, b, c] }),
                    ),
                    [a, b] => {
                        store(&mut sums, first, cpu::run(Sums { words, variants, effects, groups: [a, b] }))
                    }
                    [a] => store(&mut sums, first, cpu::run(Sums { words, variants, effects, groups: [a] })),
                    _ => {}
                }
            }
        }
        sums.iter_mut().for_each(|sums| sums.truncate(self.count));
        sums
    }
}

fn store<const G: usize>(sums: &mut [Vec<f64>], first: usize, found: [[[f64; LANES]; G]; BLOCK_VARIANTS]) {
    for (sums, found) in sums.iter_mut().zip(found) {
        sums.iter_mut().skip(first).zip(found.as_flattened()).for_each(|(to, from)| *to = *from);
    }
}

struct Sums<'a, const G: usize> {
    words: &'a [u64],
    variants: usize,
    effects: [f64; 4],
    groups: [&'a [[f64; LANES]]; G],
}

impl<const G: usize> Kernel for Sums<'_, G> {
    type Output = [[[f64; LANES]; G]; BLOCK_VARIANTS];

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut sums = [[[0.0; LANES]; G]; BLOCK_VARIANTS];
        let width = self.words.len().checked_div(self.variants).unwrap_or(0);
        // table[pair][calls of the two people][group][column]
        let mut table = [[[[0.0; LANES]; G]; 16]; PAIRS];
        for word in 0..width {
            for (pair, sums) in table.iter_mut().enumerate() {
                for group in 0..G {
                    let people = &self.groups[group][word * WORD_CALLS + 2 * pair..];
                    let (first, second) =
                        (by_call(&people[0], &self.effects), by_call(&people[1], &self.effects));
                    for (calls, sums) in sums.iter_mut().enumerate() {
                        for lane in 0..LANES {
                            sums[group][lane] = first[calls & 3][lane] + second[calls >> 2][lane];
                        }
                    }
                }
            }
            for (variant, sums) in sums.iter_mut().enumerate().take(self.variants) {
                let mut calls = self.words[variant * width + word];
                // Two sums at a time, because an addition waits for the one before it.
                let (mut even, mut odd) = (*sums, [[0.0; LANES]; G]);
                for [first, second] in table.as_chunks::<2>().0 {
                    add(&mut even, &first[(calls & 15) as usize]);
                    add(&mut odd, &second[(calls >> 4 & 15) as usize]);
                    calls >>= 8;
                }
                add(&mut even, &odd);
                *sums = even;
            }
        }
        sums
    }
}

/// What a person adds with each call.
#[inline(always)]
fn by_call(numbers: &[f64; LANES], effects: &[f64; 4]) -> [[f64; LANES]; 4] {
    let mut by_call = [[0.0; LANES]; 4];
    for (sums, effect) in by_call.iter_mut().zip(effects) {
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum = effect * number;
        }
    }
    by_call
}

#[inline(always)]
fn add<const G: usize>(sums: &mut [[f64; LANES]; G], more: &[[f64; LANES]; G]) {
    for group in 0..G {
        for lane in 0..LANES {
            sums[group][lane] += more[group][lane];
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::genotypes::Call;

    proptest! {
        /// Whole numbers, so that every order gives the exact sum; and the portable version gives the same bits.
        #[test]
        fn sums_are_those_of_the_definition(
            samples in 0_usize..100, variants in 0_usize..=64, count in 0_usize..15, seed: u64,
        ) {
            let mut state = seed;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 54
            };
            let mut block = Block::new(samples);
            for _ in 0..variants {
                let calls: Vec<Call> = (0..samples).map(|_| Call::from_code(random())).collect();
                block.push_calls(&calls).unwrap();
            }
            let columns: Vec<Vec<f64>> =
                (0..count).map(|_| (0..samples).map(|_| random() as f64 - 500.0).collect()).collect();
            let slices: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let found = Columns::new(samples, &slices, COPIES).dots(&block);
            prop_assert_eq!(found.len(), variants);
            for (variant, found) in found.iter().enumerate() {
                let expected: Vec<f64> = columns
                    .iter()
                    .map(|column| {
                        let copies = |s| f64::from(block.call(variant, s).unwrap().copies().unwrap_or(0));
                        (0..samples).map(|s| copies(s) * column[s]).sum::<f64>() + 0.0
                    })
                    .collect();
                prop_assert_eq!(found, &expected);
            }
        }
    }

    #[test]
    fn portable_and_wide_sums_have_the_same_bits() {
        let mut block = Block::new(1_000);
        for variant in 0..64 {
            let calls: Vec<Call> = (0..1_000).map(|s| Call::from_code((s * s + variant * s) >> 2)).collect();
            block.push_calls(&calls).unwrap();
        }
        let column: Vec<f64> = (0..1_000).map(|s| (f64::from(s) * 0.7).sin()).collect();
        let columns = Columns::new(1_000, &[&column, &column[..990]], COPIES);
        let sums =
            || Sums { words: block.words(), variants: 64, effects: COPIES, groups: [&columns.groups[0]] };
        let bits = |sums: [[[f64; LANES]; 1]; BLOCK_VARIANTS]| sums.map(|sums| sums[0].map(f64::to_bits));
        let portable = bits(cpu::run_portable(sums()));
        assert_eq!(bits(cpu::run(sums())), portable);
        let (words, numbers) = (block.words(), columns.groups[0].as_slice());
        let one = || OneSum { words, variants: 64, effects: COPIES, numbers };
        let expected = portable.map(|sums| sums[0]);
        assert_eq!(cpu::run(one()).map(f64::to_bits), expected);
        assert_eq!(cpu::run_portable(one()).map(f64::to_bits), expected);
    }
}
