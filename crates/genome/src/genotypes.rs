//! Genotypes of many people: two bits a call, 64 variants a block.
//!
//! A call is the number of copies of the alternative allele, 0, 1 or 2, and 3 when it is missing. A [`Block`] holds up to
//! 64 variants, one row each, 32 samples to a 64-bit word, sample `i` in bits `2 (i % 32)` of word `i / 32`; bits behind
//! the last sample are 0. So every set of calls has one form, rows are counted with `popcount`, and a block turns round
//! into two words per sample ([`Block::by_sample`]) for what compares people.
//!
//! Files that are larger than memory pass through a [`Source`], one block after the other in one buffer;
//! [`Genotypes`] is the source that is all in memory. [`BlockWriter`] and [`BlockReader`] are the canonical bytes.
//!
//! ```
//! use histone_genome::genotypes::{Call, Genotypes, Source};
//!
//! let mut genotypes = Genotypes::new(3);
//! genotypes.push_calls(&[Call::HomRef, Call::Het, Call::Missing])?;
//! let mut source = genotypes.source();
//! while let Some(block) = source.next_block()? {
//!     assert_eq!(block.call(0, 1), Some(Call::Het));
//! }
//! assert_eq!(Genotypes::decode(&genotypes.encode(), &Default::default())?, genotypes);
//! # Ok::<(), histone_genome::genotypes::GenotypeError>(())
//! ```
//!
//! Deliberately not here: names of samples and of variants, which are lists beside the calls, and phase.

mod block;
mod dosage;
mod encoding;
mod set;
mod transpose;

use std::convert::Infallible;

pub(crate) use block::last_word;
pub use block::{BLOCK_VARIANTS, Block, Call, DOSAGE_MISSING, DOSAGE_ONE};
pub(crate) use dosage::Dosages;
pub use dosage::HARD_CALL_DISTANCE;
pub use encoding::{BlockReader, BlockWriter, ENCODING_VERSION};
pub use set::SampleSet;
pub use transpose::BySample;
pub(crate) use transpose::transpose;

/// Calls in one word.
pub const WORD_CALLS: usize = 32;

/// How many calls a source may bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// People.
    pub samples: usize,
    /// Variants.
    pub variants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { samples: 10_000_000, variants: 1_000_000_000 }
    }
}

/// What can be wrong with calls. Carries no call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenotypeError {
    /// A row of another number of samples.
    #[error("a row of {found} calls does not fit {samples} samples")]
    Samples {
        /// Calls of the row.
        found: usize,
        /// Samples of the block.
        samples: usize,
    },
    /// Packed words of another number, or with bits behind the last sample.
    #[error("a packed row is not {words} words with zeros behind the last sample")]
    Packed {
        /// Words of a row.
        words: usize,
    },
    /// A 65th row.
    #[error("a block holds no more than {BLOCK_VARIANTS} variants")]
    BlockFull,
    /// A variant beyond the last one.
    #[error("the block has no such variant")]
    NoVariant,
    /// A dosage above two copies.
    #[error("a dosage is above 2; give copies of the alternative allele")]
    Dosage,
    /// More samples or variants than the caller allows.
    #[error("more than {limit} {what}; raise the limit if this is meant")]
    TooLarge {
        /// Samples or variants.
        what: &'static str,
        /// The number allowed.
        limit: usize,
    },
    /// Bytes that are no encoding of genotypes.
    #[error("the bytes are no encoded genotypes: {reason}, at byte {offset}")]
    Encoding {
        /// What is wrong.
        reason: String,
        /// Bytes read before.
        offset: u64,
    },
    /// The stream could not be read or written.
    #[error("the genotypes cannot be read or written")]
    Io(#[from] std::io::Error),
}

impl From<Infallible> for GenotypeError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Blocks of genotypes in the order of the file. All but the last hold [`BLOCK_VARIANTS`] variants; none is empty.
pub trait Source {
    /// What can go wrong on the way.
    type Error;

    /// People in every block.
    fn samples(&self) -> usize;

    /// The next block, in a buffer that is reused; `None` after the last one.
    ///
    /// # Errors
    /// Those of the file that is read.
    fn next_block(&mut self) -> Result<Option<&Block>, Self::Error>;
}

/// Words of a row of so many samples.
#[must_use]
pub const fn words_for(samples: usize) -> usize {
    samples.div_ceil(WORD_CALLS)
}

/// Genotypes in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genotypes {
    samples: usize,
    blocks: Vec<Block>,
}

impl Genotypes {
    /// No variant yet, for so many people.
    #[must_use]
    pub fn new(samples: usize) -> Self {
        Self { samples, blocks: vec![] }
    }

    /// Everything that a source has.
    ///
    /// # Errors
    /// Those of the source, and [`TooLarge`](GenotypeError::TooLarge).
    pub fn collect<S: Source>(source: &mut S, limits: &Limits) -> Result<Self, S::Error>
    where
        S::Error: From<GenotypeError>,
    {
        let samples = source.samples();
        if samples > limits.samples {
            return Err(GenotypeError::TooLarge { what: "samples", limit: limits.samples }.into());
        }
        let mut all = Self::new(samples);
        let mut variants = 0_usize;
        while let Some(block) = source.next_block()? {
            variants += block.variants();
            if variants > limits.variants {
                return Err(GenotypeError::TooLarge { what: "variants", limit: limits.variants }.into());
            }
            all.blocks.push(block.clone());
        }
        Ok(all)
    }

    /// People.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Variants.
    #[must_use]
    pub fn variants(&self) -> usize {
        match self.blocks.as_slice() {
            [] => 0,
            [full @ .., last] => full.len() * BLOCK_VARIANTS + last.variants(),
        }
    }

    /// The blocks, all but the last full.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The packed calls of a variant.
    #[must_use]
    pub fn row(&self, variant: usize) -> Option<&[u64]> {
        self.blocks.get(variant / BLOCK_VARIANTS)?.row(variant % BLOCK_VARIANTS)
    }

    /// The packed calls of every variant.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.blocks.iter().flat_map(Block::rows)
    }

    /// Adds a variant.
    ///
    /// # Errors
    /// [`Samples`](GenotypeError::Samples) for another number of calls.
    pub fn push_calls(&mut self, calls: &[Call]) -> Result<(), GenotypeError> {
        self.open_block().push_calls(calls)
    }

    /// Adds a variant whose calls are packed as in a [`Block`].
    ///
    /// # Errors
    /// [`Packed`](GenotypeError::Packed) for another number of words or bits behind the last sample.
    pub fn push_row(&mut self, words: &[u64]) -> Result<(), GenotypeError> {
        self.open_block().push_row(words)
    }

    /// The genotypes as a source of blocks, from the first one.
    #[must_use]
    pub fn source(&self) -> InMemory<'_> {
        InMemory { samples: self.samples, blocks: self.blocks.iter() }
    }

    fn open_block(&mut self) -> &mut Block {
        if self.blocks.last().is_none_or(Block::is_full) {
            self.blocks.push(Block::new(self.samples));
        }
        let last = self.blocks.len() - 1;
        // There is one: it was pushed above if there was none.
        &mut self.blocks[last]
    }
}

/// [`Genotypes`] as a [`Source`].
#[derive(Clone, Debug)]
pub struct InMemory<'a> {
    samples: usize,
    blocks: std::slice::Iter<'a, Block>,
}

impl Source for InMemory<'_> {
    type Error = Infallible;

    fn samples(&self) -> usize {
        self.samples
    }

    fn next_block(&mut self) -> Result<Option<&Block>, Infallible> {
        Ok(self.blocks.next())
    }
}
