//! The sums of one column.
//!
//! Four columns side by side would leave three of four additions without use. Additions come in the order of the other kernel, so
//! the bits are the same.

use super::PAIRS;
use crate::cpu::Kernel;
use crate::genotypes::{BLOCK_VARIANTS, WORD_CALLS};

/// Sums of the numbers of the first lane.
pub(super) struct OneSum<'a, const LANES: usize> {
    pub(super) words: &'a [u64],
    pub(super) variants: usize,
    pub(super) effects: [f64; 4],
    pub(super) numbers: &'a [[f64; LANES]],
}

impl<const LANES: usize> Kernel for OneSum<'_, LANES> {
    type Output = [f64; BLOCK_VARIANTS];

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut sums = [0.0; BLOCK_VARIANTS];
        let width = self.words.len().checked_div(self.variants).unwrap_or(0);
        // table[pair][calls of the two people]
        let mut table = [[0.0; 16]; PAIRS];
        for (word, people) in (0..width).zip(self.numbers.chunks_exact(WORD_CALLS)) {
            for (two, sums) in people.as_chunks::<2>().0.iter().zip(&mut table) {
                let (first, second) = (two[0][0], two[1][0]);
                for (effect, sums) in self.effects.iter().zip(sums.as_chunks_mut::<4>().0) {
                    for (sum, of_first) in sums.iter_mut().zip(&self.effects) {
                        *sum = of_first * first + effect * second;
                    }
                }
            }
            for (variant, sum) in sums.iter_mut().enumerate().take(self.variants) {
                let calls = self.words[variant * width + word].to_le_bytes();
                // Two sums at a time, because an addition waits for the one before it.
                let (mut even, mut odd) = (*sum, 0.0);
                for (calls, [first, second]) in calls.iter().zip(table.as_chunks::<2>().0) {
                    even += first[usize::from(calls & 15)];
                    odd += second[usize::from(calls >> 4)];
                }
                *sum = even + odd;
            }
        }
        sums
    }
}
