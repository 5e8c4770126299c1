//! BED, variant-major: `6c 1b 01`, then for each variant one row of two bits a person, padded to whole bytes.
//!
//! A code counts copies of A2 where ours counts copies of A1: 0 is two copies of A1, 1 is missing, 2 one copy, 3 none.

use std::io::{Read, Write};

use super::PlinkError;
use crate::genotypes::{Block, Source, last_word};

const MAGIC: [u8; 2] = [0x6c, 0x1b];
const VARIANT_MAJOR: u8 = 1;
const INDIVIDUAL_MAJOR: u8 = 0;
const HEADER: u64 = 3;

/// The lower bit of each call of a word.
const LOW_BITS: u64 = 0x5555_5555_5555_5555;

/// The calls of a BED, block by block.
#[derive(Debug)]
pub struct BedReader<R> {
    file: String,
    inner: R,
    samples: usize,
    variants: usize,
    read: usize,
    block: Block,
    bytes: Vec<u8>,
}

impl<R: Read> BedReader<R> {
    /// Reads the header. `file` names the BED in errors; `samples` and `variants` are the lines of its FAM and its BIM.
    ///
    /// # Errors
    /// [`NoBed`](PlinkError::NoBed), [`IndividualMajor`](PlinkError::IndividualMajor), [`Mode`](PlinkError::Mode),
    /// [`Short`](PlinkError::Short) or [`Io`](PlinkError::Io).
    pub fn new(file: &str, inner: R, samples: usize, variants: usize) -> Result<Self, PlinkError> {
        let block = Block::new(samples);
        let mut reader =
            Self { file: file.to_owned(), inner, samples, variants, read: 0, block, bytes: vec![] };
        reader.fill(HEADER as usize, 0)?;
        let file = file.to_owned();
        let wrong = reader.bytes.iter().zip(MAGIC).position(|(found, expected)| *found != expected);
        match (wrong, reader.bytes.last()) {
            (Some(offset), _) => Err(PlinkError::NoBed { file, offset: offset as u64 }),
            (None, Some(&VARIANT_MAJOR)) => Ok(reader),
            (None, Some(&INDIVIDUAL_MAJOR)) => Err(PlinkError::IndividualMajor { file }),
            (None, _) => Err(PlinkError::Mode { file }),
        }
    }

    fn row_bytes(&self) -> usize {
        self.samples.div_ceil(4)
    }

    /// Bytes before a variant.
    fn offset(&self, variant: usize) -> u64 {
        HEADER.saturating_add((variant as u64).saturating_mul(self.row_bytes() as u64))
    }

    fn read_block(&mut self) -> Result<bool, PlinkError> {
        if self.read == self.variants {
            return match self.read_some(1)? {
                0 => Ok(false),
                _ => Err(PlinkError::Surplus {
                    file: self.file.clone(),
                    needed: self.offset(self.variants),
                    variants: self.variants,
                    samples: self.samples,
                }),
            };
        }
        self.block.clear();
        while !self.block.is_full() && self.read < self.variants {
            self.fill(self.row_bytes(), self.offset(self.read))?;
            let behind = match self.samples % 4 {
                0 => 0,
                rest => u8::MAX << (2 * rest),
            };
            if self.bytes.last().is_some_and(|last| last & behind != 0) {
                let offset = self.offset(self.read + 1) - 1;
                return Err(PlinkError::Padding { file: self.file.clone(), offset });
            }
            let (bytes, samples) = (&self.bytes, self.samples);
            self.block.push_with(|row| {
                let (whole, rest) = bytes.as_chunks::<8>();
                let mut last = [0; 8];
                last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                for (word, bytes) in row.iter_mut().zip(whole.iter().chain([&last])) {
                    *word = from_bed(u64::from_le_bytes(*bytes));
                }
                if let Some(word) = row.last_mut() {
                    *word &= last_word(samples);
                }
            })?;
            self.read += 1;
        }
        Ok(true)
    }

    /// Reads exactly so many bytes, growing the buffer with what has come: sizes come from other files.
    fn fill(&mut self, length: usize, offset: u64) -> Result<(), PlinkError> {
        let found = self.read_some(length)?;
        if found < length {
            return Err(PlinkError::Short {
                file: self.file.clone(),
                found: offset + found as u64,
                needed: self.offset(self.variants),
                variants: self.variants,
                samples: self.samples,
            });
        }
        Ok(())
    }

    fn read_some(&mut self, length: usize) -> Result<usize, PlinkError> {
        self.bytes.clear();
        (&mut self.inner)
            .take(length as u64)
            .read_to_end(&mut self.bytes)
            .map_err(|source| PlinkError::Io { file: self.file.clone(), source })
    }
}

impl<R: Read> Source for BedReader<R> {
    type Error = PlinkError;

    fn samples(&self) -> usize {
        self.samples
    }

    fn next_block(&mut self) -> Result<Option<&Block>, PlinkError> {
        Ok(self.read_block()?.then_some(&self.block))
    }
}

/// Writes a BED block by block. Dosages are not kept: the format has none.
#[derive(Debug)]
pub struct BedWriter<W> {
    inner: W,
    bytes: Vec<u8>,
}

impl<W: Write> BedWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn new(mut inner: W) -> std::io::Result<Self> {
        inner.write_all(&[MAGIC[0], MAGIC[1], VARIANT_MAJOR])?;
        Ok(Self { inner, bytes: vec![] })
    }

    /// Writes the calls of one block.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(&mut self, block: &Block) -> std::io::Result<()> {
        for row in block.rows() {
            self.bytes.clear();
            self.bytes.extend(row.iter().flat_map(|word| to_bed(*word).to_le_bytes()));
            self.bytes.truncate(block.samples().div_ceil(4));
            let rest = block.samples() % 4;
            if let (Some(last), true) = (self.bytes.last_mut(), rest != 0) {
                *last &= (1 << (2 * rest)) - 1;
            }
            self.inner.write_all(&self.bytes)?;
        }
        Ok(())
    }

    /// Gives the stream back, not flushed.
    #[must_use]
    pub fn finish(self) -> W {
        self.inner
    }
}

/// 0, 1, 2, 3 become 2, 3, 1, 0.
pub(crate) fn from_bed(word: u64) -> u64 {
    (!word & !LOW_BITS) | ((word ^ word >> 1) & LOW_BITS)
}

/// 0, 1, 2, 3 become 3, 2, 0, 1.
fn to_bed(word: u64) -> u64 {
    (!word & !LOW_BITS) | (!(word ^ word >> 1) & LOW_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        // Codes 0, 1, 2, 3 from the lowest bits on.
        assert_eq!(from_bed(0b11_10_01_00) & 0xff, 0b00_01_11_10);
        assert_eq!(to_bed(0b11_10_01_00) & 0xff, 0b01_00_10_11);
        assert!((0..256).all(|byte| to_bed(from_bed(byte)) == byte));
    }
}
