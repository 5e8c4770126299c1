//! A choice of people.

use super::block::last_word;
use super::words_for;

/// The lower bit of each call of a word.
const LOW_BITS: u64 = 0x5555_5555_5555_5555;

/// Some of the people of a set of genotypes, such as the founders or the women; each is in it or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleSet {
    samples: usize,
    count: usize,
    words: Vec<u64>,
}

impl SampleSet {
    /// All people.
    #[must_use]
    pub fn all(samples: usize) -> Self {
        let mut words = vec![LOW_BITS; words_for(samples)];
        if let Some(last) = words.last_mut() {
            *last &= last_word(samples);
        }
        Self { samples, count: samples, words }
    }

    /// Those for whom `choose` is true, by their index.
    #[must_use]
    pub fn of(samples: usize, choose: impl Fn(usize) -> bool) -> Self {
        let mut words = vec![0; words_for(samples)];
        let mut count = 0;
        for sample in (0..samples).filter(|sample| choose(*sample)) {
            words[sample / 32] |= 1 << (2 * (sample % 32));
            count += 1;
        }
        Self { samples, count, words }
    }

    /// People to choose from.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// People of the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// True for a person of the set.
    #[must_use]
    pub fn contains(&self, sample: usize) -> bool {
        sample < self.samples
            && self.words.get(sample / 32).is_some_and(|word| word >> (2 * (sample % 32)) & 1 == 1)
    }

    /// The set laid out as a row of calls: 1 for a person of the set, 0 for the others.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }
}
