//! Up to 64 variants of all people.

use super::{GenotypeError, WORD_CALLS, words_for};

/// Variants of a full block.
pub const BLOCK_VARIANTS: usize = 64;

/// One copy of the alternative allele, as a dosage.
pub const DOSAGE_ONE: u16 = 1 << 14;

/// The dosage of a person that has none; the call counts then.
pub const DOSAGE_MISSING: u16 = u16::MAX;

/// What was called for one person at one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Call {
    /// No copy of the alternative allele.
    HomRef = 0,
    /// One copy.
    Het = 1,
    /// Two copies.
    HomAlt = 2,
    /// Not known.
    Missing = 3,
}

impl Call {
    /// The call of the lowest two bits.
    #[must_use]
    pub const fn from_code(code: u64) -> Self {
        match code & 3 {
            0 => Self::HomRef,
            1 => Self::Het,
            2 => Self::HomAlt,
            _ => Self::Missing,
        }
    }

    /// Copies of the alternative allele.
    #[must_use]
    pub const fn copies(self) -> Option<u8> {
        match self {
            Self::HomRef => Some(0),
            Self::Het => Some(1),
            Self::HomAlt => Some(2),
            Self::Missing => None,
        }
    }
}

/// Up to [`BLOCK_VARIANTS`] variants of all people, one packed row each, with dosages where a variant has them.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    samples: usize,
    variants: usize,
    words: Vec<u64>,
    /// Empty as long as no variant of the block has dosages, else one entry for each variant.
    dosages: Vec<Option<Box<[u16]>>>,
}

impl Block {
    /// A block without variants.
    #[must_use]
    pub fn new(samples: usize) -> Self {
        Self { samples, variants: 0, words: vec![], dosages: vec![] }
    }

    /// People.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Variants, 64 at most.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.variants
    }

    /// True when no further variant fits.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.variants == BLOCK_VARIANTS
    }

    /// Takes all variants out and keeps the memory.
    pub fn clear(&mut self) {
        self.variants = 0;
        self.words.clear();
        self.dosages.clear();
    }

    /// The packed calls of one variant.
    #[must_use]
    pub fn row(&self, variant: usize) -> Option<&[u64]> {
        if variant >= self.variants {
            return None;
        }
        let width = words_for(self.samples);
        self.words.get(variant * width..(variant + 1) * width)
    }

    /// The packed calls of every variant.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        (0..self.variants).filter_map(|variant| self.row(variant))
    }

    /// All rows one after the other.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// One call; `None` beyond the last variant or sample.
    #[must_use]
    pub fn call(&self, variant: usize, sample: usize) -> Option<Call> {
        if sample >= self.samples {
            return None;
        }
        let word = self.row(variant)?.get(sample / WORD_CALLS)?;
        Some(Call::from_code(word >> (2 * (sample % WORD_CALLS))))
    }

    /// Copies of the alternative allele: the dosage where there is one, else the call; `None` where both are missing.
    #[must_use]
    pub fn dosage(&self, variant: usize, sample: usize) -> Option<f64> {
        let dosage = self.dosages(variant).and_then(|row| row.get(sample)).filter(|d| **d != DOSAGE_MISSING);
        match dosage {
            Some(dosage) => Some(f64::from(*dosage) / f64::from(DOSAGE_ONE)),
            None => self.call(variant, sample)?.copies().map(f64::from),
        }
    }

    /// The dosages of a variant in units of 1 / [`DOSAGE_ONE`], one a sample, where it has any.
    #[must_use]
    pub fn dosages(&self, variant: usize) -> Option<&[u16]> {
        self.dosages.get(variant)?.as_deref()
    }

    /// Adds a variant.
    ///
    /// # Errors
    /// [`Samples`](GenotypeError::Samples) for another number of calls, [`BlockFull`](GenotypeError::BlockFull).
    pub fn push_calls(&mut self, calls: &[Call]) -> Result<(), GenotypeError> {
        if calls.len() != self.samples {
            return Err(GenotypeError::Samples { found: calls.len(), samples: self.samples });
        }
        self.push_with(|words| {
            for (word, calls) in words.iter_mut().zip(calls.chunks(WORD_CALLS)) {
                *word = calls.iter().rev().fold(0, |word, call| word << 2 | *call as u64);
            }
        })
    }

    /// Adds a variant whose calls are packed already.
    ///
    /// # Errors
    /// [`Packed`](GenotypeError::Packed) for another number of words or bits behind the last sample,
    /// [`BlockFull`](GenotypeError::BlockFull).
    pub fn push_row(&mut self, words: &[u64]) -> Result<(), GenotypeError> {
        let width = words_for(self.samples);
        if words.len() != width || words.last().is_some_and(|last| last & !last_word(self.samples) != 0) {
            return Err(GenotypeError::Packed { words: width });
        }
        self.push_with(|row| row.copy_from_slice(words))
    }

    /// Gives a variant dosages.
    ///
    /// # Errors
    /// [`NoVariant`](GenotypeError::NoVariant) beyond the last variant, [`Samples`](GenotypeError::Samples) for another
    /// number of dosages, [`Dosage`](GenotypeError::Dosage) for more than two copies.
    pub fn set_dosages(&mut self, variant: usize, dosages: &[u16]) -> Result<(), GenotypeError> {
        if variant >= self.variants {
            return Err(GenotypeError::NoVariant);
        }
        if dosages.len() != self.samples {
            return Err(GenotypeError::Samples { found: dosages.len(), samples: self.samples });
        }
        if dosages.iter().any(|d| *d > 2 * DOSAGE_ONE && *d != DOSAGE_MISSING) {
            return Err(GenotypeError::Dosage);
        }
        self.dosages.resize(self.variants, None);
        self.dosages[variant] = Some(dosages.into());
        Ok(())
    }

    /// Adds a row of zeros and lets `fill` write it, zeros staying behind the last sample.
    pub(crate) fn push_with(&mut self, fill: impl FnOnce(&mut [u64])) -> Result<(), GenotypeError> {
        if self.is_full() {
            return Err(GenotypeError::BlockFull);
        }
        let start = self.words.len();
        self.words.resize(start + words_for(self.samples), 0);
        fill(&mut self.words[start..]);
        self.variants += 1;
        if !self.dosages.is_empty() {
            self.dosages.push(None);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Block {
    /// Calls do not print.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block")
            .field("samples", &self.samples)
            .field("variants", &self.variants)
            .finish_non_exhaustive()
    }
}

/// The bits of the last word of a row that belong to samples.
pub(crate) fn last_word(samples: usize) -> u64 {
    match samples % WORD_CALLS {
        0 => u64::MAX,
        rest => (1 << (2 * rest)) - 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn calls_lie_where_the_layout_says() {
        let mut block = Block::new(34);
        let mut calls = vec![Call::HomRef; 34];
        (calls[1], calls[31], calls[32], calls[33]) = (Call::Het, Call::HomAlt, Call::Missing, Call::Het);
        block.push_calls(&calls).unwrap();
        assert_eq!(block.row(0), Some([0x8000_0000_0000_0004, 0x7].as_slice()));
        assert_eq!((0..34).filter_map(|s| block.call(0, s)).collect::<Vec<_>>(), calls);
        assert_eq!(block.call(0, 34).or(block.call(1, 0)), None);
        assert_eq!(format!("{block:?}"), "Block { samples: 34, variants: 1, .. }");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut block = Block::new(33);
        assert!(matches!(block.push_calls(&[Call::Het; 32]), Err(GenotypeError::Samples { .. })));
        assert!(matches!(block.push_row(&[0]), Err(GenotypeError::Packed { words: 2 })));
        assert!(matches!(block.push_row(&[0, 4]), Err(GenotypeError::Packed { words: 2 })));
        assert_eq!(block.variants(), 0);
        for _ in 0..BLOCK_VARIANTS {
            block.push_row(&[u64::MAX, 3]).unwrap();
        }
        assert!(matches!(block.push_row(&[0, 0]), Err(GenotypeError::BlockFull)));
    }

    #[test]
    fn a_dosage_stands_before_the_call() {
        let mut block = Block::new(3);
        assert!(block.set_dosages(0, &[0, 0, 0]).is_err());
        block.push_calls(&[Call::Het, Call::Missing, Call::HomAlt]).unwrap();
        block.push_calls(&[Call::Het, Call::Missing, Call::HomAlt]).unwrap();
        assert!(matches!(block.set_dosages(1, &[0, 0, 2 * DOSAGE_ONE + 1]), Err(GenotypeError::Dosage)));
        block.set_dosages(1, &[DOSAGE_ONE / 2, DOSAGE_ONE, DOSAGE_MISSING]).unwrap();
        assert_eq!([0, 1, 2].map(|s| block.dosage(1, s)), [Some(0.5), Some(1.0), Some(2.0)]);
        assert_eq!([0, 1, 2].map(|s| block.dosage(0, s)), [Some(1.0), None, Some(2.0)]);
        block.push_calls(&[Call::HomRef; 3]).unwrap();
        assert_eq!((block.dosages(0), block.dosages(2)), (None, None));
    }
}
