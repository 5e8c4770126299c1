//! The canonical bytes of genotypes, version 1. Integers are little endian.
//!
//! ```text
//! "HGEN"  version u16  samples u32
//! blocks × {
//!   variants u8, 1 to 64, and 64 in all blocks but the last
//!   with_dosages u64, bit v for variant v
//!   variants × { words_for(samples) × u64, see `Block` }
//!   for each bit of with_dosages { samples × u16 }
//! }
//! 0 u8
//! ```
//!
//! One set of genotypes has one encoding, so a commitment to the bytes is one to the calls. No count of variants stands
//! in front: a file can be written while its length is not known, and be read in the memory of one block.

use std::io::{Read, Write};

use super::{BLOCK_VARIANTS, Block, GenotypeError, Genotypes, Limits, Source, words_for};

/// Version of the encoding; a change of the layout changes it.
pub const ENCODING_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"HGEN";

/// Bytes that are read at a time: a length in a header is not believed before its bytes have come.
const STEP: usize = 1 << 16;

/// Writes the canonical bytes block by block.
#[derive(Debug)]
pub struct BlockWriter<W> {
    inner: W,
    samples: usize,
    last_was_short: bool,
}

impl<W: Write> BlockWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// [`TooLarge`](GenotypeError::TooLarge) beyond 2^32 - 1 samples, or [`Io`](GenotypeError::Io).
    pub fn new(mut inner: W, samples: usize) -> Result<Self, GenotypeError> {
        let count = u32::try_from(samples)
            .map_err(|_| GenotypeError::TooLarge { what: "samples", limit: u32::MAX as usize })?;
        inner.write_all(&MAGIC)?;
        inner.write_all(&ENCODING_VERSION.to_le_bytes())?;
        inner.write_all(&count.to_le_bytes())?;
        Ok(Self { inner, samples, last_was_short: false })
    }

    /// Writes one block.
    ///
    /// # Errors
    /// [`Encoding`](GenotypeError::Encoding) for an empty block, for one behind a block that is not full, or for other
    /// people; [`Io`](GenotypeError::Io).
    pub fn write(&mut self, block: &Block) -> Result<(), GenotypeError> {
        let refuse = |reason: &str| Err(GenotypeError::Encoding { reason: reason.into(), offset: 0 });
        if block.samples() != self.samples {
            return refuse("a block has another number of samples");
        }
        if block.variants() == 0 || self.last_was_short {
            return refuse("only the last block may hold less than 64 variants, and none may be empty");
        }
        self.last_was_short = !block.is_full();
        let dosages: Vec<_> = (0..block.variants()).filter_map(|v| Some((v, block.dosages(v)?))).collect();
        let mask = dosages.iter().fold(0_u64, |mask, (v, _)| mask | 1 << v);
        let mut bytes = vec![block.variants() as u8];
        bytes.extend_from_slice(&mask.to_le_bytes());
        bytes.extend(block.words().iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(dosages.iter().flat_map(|(_, row)| row.iter().flat_map(|dosage| dosage.to_le_bytes())));
        Ok(self.inner.write_all(&bytes)?)
    }

    /// Writes the end and gives the stream back, not flushed.
    ///
    /// # Errors
    /// [`Io`](GenotypeError::Io).
    pub fn finish(mut self) -> Result<W, GenotypeError> {
        self.inner.write_all(&[0])?;
        Ok(self.inner)
    }
}

/// Reads the canonical bytes block by block, and refuses everything that [`BlockWriter`] does not write.
#[derive(Debug)]
pub struct BlockReader<R> {
    inner: R,
    limits: Limits,
    samples: usize,
    variants: usize,
    offset: u64,
    block: Block,
    bytes: Vec<u8>,
    ended: bool,
}

impl<R: Read> BlockReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Encoding`](GenotypeError::Encoding), [`TooLarge`](GenotypeError::TooLarge) or [`Io`](GenotypeError::Io).
    pub fn new(inner: R, limits: &Limits) -> Result<Self, GenotypeError> {
        let mut reader = Self {
            inner,
            limits: limits.clone(),
            samples: 0,
            variants: 0,
            offset: 0,
            block: Block::new(0),
            bytes: vec![],
            ended: false,
        };
        if reader.array::<4>("the magic number")? != MAGIC {
            return reader.refuse("they do not start with HGEN");
        }
        let version = u16::from_le_bytes(reader.array("the version")?);
        if version != ENCODING_VERSION {
            return reader.refuse(format!(
                "version {version} is unknown, this program reads version {ENCODING_VERSION}"
            ));
        }
        let samples = u32::from_le_bytes(reader.array("the number of samples")?) as usize;
        if samples > limits.samples {
            return Err(GenotypeError::TooLarge { what: "samples", limit: limits.samples });
        }
        reader.samples = samples;
        reader.block = Block::new(samples);
        Ok(reader)
    }

    fn read_block(&mut self) -> Result<bool, GenotypeError> {
        if self.ended {
            return Ok(false);
        }
        let short_before = !self.variants.is_multiple_of(BLOCK_VARIANTS);
        let [count] = self.array::<1>("the number of variants of a block")?;
        if count == 0 {
            self.ended = true;
            return match self.inner.read(&mut [0])? {
                0 => Ok(false),
                _ => self.refuse("bytes follow the end"),
            };
        }
        let count = usize::from(count);
        if count > BLOCK_VARIANTS || short_before {
            return self.refuse("a block is longer than 64 variants, or follows one that is shorter");
        }
        self.variants += count;
        if self.variants > self.limits.variants {
            return Err(GenotypeError::TooLarge { what: "variants", limit: self.limits.variants });
        }
        let with_dosages = u64::from_le_bytes(self.array("the list of dosages")?);
        if count < BLOCK_VARIANTS && with_dosages >> count != 0 {
            return self.refuse("a variant that is not there has dosages");
        }
        self.block.clear();
        let mut rows = Vec::new();
        for _ in 0..count {
            self.fill(8 * words_for(self.samples), "calls")?;
            let words = self.bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            rows.clear();
            rows.extend(words);
            if self.block.push_row(&rows).is_err() {
                return self.refuse("a row has bits behind its last sample");
            }
        }
        for variant in (0..count).filter(|variant| with_dosages >> variant & 1 == 1) {
            self.fill(2 * self.samples, "dosages")?;
            let dosages: Vec<u16> =
                self.bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect();
            if self.block.set_dosages(variant, &dosages).is_err() {
                return self.refuse("a dosage is above 2");
            }
        }
        Ok(true)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GenotypeError> {
        self.fill(N, what)?;
        match self.bytes.first_chunk::<N>() {
            Some(bytes) => Ok(*bytes),
            None => self.refuse(format!("they end inside {what}")),
        }
    }

    /// Reads so many bytes into the buffer, which grows with what has come.
    fn fill(&mut self, length: usize, what: &str) -> Result<(), GenotypeError> {
        self.bytes.clear();
        while self.bytes.len() < length {
            let wanted = (length - self.bytes.len()).min(STEP);
            let read = (&mut self.inner).take(wanted as u64).read_to_end(&mut self.bytes)?;
            self.offset += read as u64;
            if read < wanted {
                return self.refuse(format!("they end inside {what}"));
            }
        }
        Ok(())
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, GenotypeError> {
        Err(GenotypeError::Encoding { reason: reason.into(), offset: self.offset })
    }
}

impl<R: Read> Source for BlockReader<R> {
    type Error = GenotypeError;

    fn samples(&self) -> usize {
        self.samples
    }

    fn next_block(&mut self) -> Result<Option<&Block>, GenotypeError> {
        Ok(self.read_block()?.then_some(&self.block))
    }
}

impl Genotypes {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let write = || {
            let mut writer = BlockWriter::new(Vec::new(), self.samples())?;
            self.blocks().iter().try_for_each(|block| writer.write(block))?;
            writer.finish()
        };
        // Writing to memory does not fail, and blocks here are in order; more than 2^32 samples are beyond any memory.
        write().unwrap_or_default()
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else.
    ///
    /// # Errors
    /// [`GenotypeError`] for other bytes, or for more samples or variants than allowed.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, GenotypeError> {
        Self::collect(&mut BlockReader::new(bytes, limits)?, limits)
    }
}
