//! A block turned round: 64 variants of one person in two words.

use super::{BLOCK_VARIANTS, Block, WORD_CALLS, words_for};

/// The calls of each person at the variants of one block: bit `v` of the two words are the lower and the upper bit of
/// the call at variant `v`. A block that is not full is filled up with missing calls.
#[derive(Clone, PartialEq, Eq)]
pub struct BySample {
    samples: usize,
    planes: Vec<[u64; 2]>,
}

impl BySample {
    /// People.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The lower and the upper bits of each person's calls.
    #[must_use]
    pub fn planes(&self) -> &[[u64; 2]] {
        self.planes.get(..self.samples).unwrap_or_default()
    }
}

impl Block {
    /// The block turned round.
    #[must_use]
    pub fn by_sample(&self) -> BySample {
        let width = words_for(self.samples());
        let mut planes = Vec::with_capacity(width * WORD_CALLS);
        for column in 0..width {
            let mut square = [u64::MAX; BLOCK_VARIANTS];
            for (row, calls) in square.iter_mut().zip(self.words().chunks_exact(width)) {
                *row = calls[column];
            }
            transpose(&mut square);
            planes.extend_from_slice(square.as_chunks::<2>().0);
        }
        BySample { samples: self.samples(), planes }
    }
}

/// Turns a square of 64 × 64 bits round: bit `c` of word `r` becomes bit `r` of word `c`, by swapping ever smaller
/// quarters (Warren, Hacker's Delight, section 7-3).
pub(crate) fn transpose(square: &mut [u64; 64]) {
    let mut width = 32;
    let mut mask = u64::from(u32::MAX);
    while width > 0 {
        let mut row = 0;
        while row < 64 {
            let swapped = (square[row] >> width ^ square[row + width]) & mask;
            square[row] ^= swapped << width;
            square[row + width] ^= swapped;
            // The next row whose bit of value `width` is 0.
            row = (row + width + 1) & !width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::genotypes::Call;

    #[test]
    fn every_call_is_found_again() {
        for (samples, variants) in [(1, 1), (33, 64), (70, 13), (0, 3)] {
            let mut block = Block::new(samples);
            for v in 0..variants as u64 {
                let calls: Vec<Call> =
                    (0..samples as u64).map(|s| Call::from_code((v * 31 + s * 7 + v * s) >> 1)).collect();
                block.push_calls(&calls).unwrap();
            }
            let turned = block.by_sample();
            assert_eq!(turned.planes().len(), samples);
            for (sample, [low, high]) in turned.planes().iter().enumerate() {
                for v in 0..BLOCK_VARIANTS {
                    let call = Call::from_code((low >> v & 1) | (high >> v & 1) << 1);
                    assert_eq!(call, block.call(v, sample).unwrap_or(Call::Missing));
                }
            }
        }
    }
}
