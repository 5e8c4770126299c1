//! Variants of a BGEN, packed into blocks of 64, each with its site.

use std::fmt;
use std::io::Read;
use std::ops::Range;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::error::{BgenError, BgenProblem};
use super::header::{Compression, Header};
use super::probabilities::{Probabilities, ROOM, sizes};
use super::variant::{Pieces, Variant};
use super::{Limits, ReferenceAllele};
use crate::genotypes::{Block, Dosages, Source};
use crate::input::Input;
use crate::variant::Site;
use crate::zstd;

/// Calls, and dosages where they are asked for, of a BGEN, block by block, from the first variant to the last.
///
/// In memory are the names of the people, one variant and one block.
pub struct BgenReader<R> {
    input: Input<R>,
    limits: Limits,
    header: Header,
    reference: ReferenceAllele,
    dosages_wanted: Dosages,
    /// Variants of the file that were read.
    read: u64,
    variant: Variant,
    probabilities: Probabilities,
    inflate: Box<DecompressorOxide>,
    dosages: Vec<u16>,
    /// Alleles but the reference, from 0, of the variant that was read last which are not packed yet: a block may end within a
    /// variant.
    pending: Range<usize>,
    block: Block,
    sites: Vec<Site>,
}

impl<R: Read> BgenReader<R> {
    /// Reads the header and the names of the people. `file` names the BGEN in errors.
    ///
    /// # Errors
    /// [`Header`](BgenError::Header) or [`Io`](BgenError::Io).
    pub fn new(file: &str, inner: R, reference: ReferenceAllele, limits: &Limits) -> Result<Self, BgenError> {
        let mut input = Input::new(file, inner);
        let header = Header::read(&mut input, limits)?;
        let block = Block::new(header.samples);
        Ok(Self {
            input,
            limits: *limits,
            header,
            reference,
            dosages_wanted: Dosages::Ignored,
            read: 0,
            variant: Variant::default(),
            probabilities: Probabilities::default(),
            inflate: Box::default(),
            dosages: vec![],
            pending: 0..0,
            block,
            sites: vec![],
        })
    }

    /// Gives dosages beside the calls of variants where any says more than its call.
    #[must_use]
    pub fn with_dosages(self) -> Self {
        Self { dosages_wanted: Dosages::Read, ..self }
    }

    /// Names of the people, where the file has them.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.header.names.as_deref()
    }

    /// Requires that there are so many people, and that somebody names them.
    ///
    /// # Errors
    /// [`Header`](BgenError::Header).
    pub(crate) fn check_people(&self, named_elsewhere: Option<usize>) -> Result<(), BgenError> {
        let found = self.header.samples as u64;
        let problem = match named_elsewhere {
            Some(expected) if expected as u64 != found => {
                BgenProblem::People { found, expected: expected as u64 }
            }
            None if self.header.names.is_none() => BgenProblem::NoNames,
            _ => return Ok(()),
        };
        Err(BgenError::Header { file: self.input.file.clone(), offset: 12, problem })
    }

    /// The next up to 64 variants and where they are, one site for each row of the block; `None` after the last one. The line
    /// of a site is the number of its variant.
    ///
    /// # Errors
    /// [`Record`](BgenError::Record) or [`Io`](BgenError::Io); what follows after an error means nothing.
    pub fn read(&mut self) -> Result<Option<(&Block, &[Site])>, BgenError> {
        Ok(self.fill()?.then_some((&self.block, &self.sites)))
    }

    /// False when nothing is left.
    fn fill(&mut self) -> Result<bool, BgenError> {
        self.block.clear();
        self.sites.clear();
        while !self.block.is_full() {
            if self.pending.is_empty() {
                if self.read == self.header.variants {
                    let pieces = Pieces { input: &mut self.input, record: self.read };
                    return match pieces.input.fill(1)? {
                        0 => Ok(self.block.variants() != 0),
                        _ => Err(pieces.refuse(BgenProblem::Surplus)),
                    };
                }
                self.next_variant()?;
            }
            while !self.block.is_full() && !self.pending.is_empty() {
                let allele = self.variant.alternative(self.reference, self.pending.start);
                self.probabilities.dosages(allele, &mut self.dosages);
                self.block.push_hard_calls(&self.dosages)?;
                if self.dosages_wanted == Dosages::Read {
                    self.block.add_dosages(&self.dosages)?;
                }
                self.sites.push(self.variant.site(self.read, self.reference, allele));
                self.pending.start += 1;
            }
        }
        Ok(true)
    }

    fn next_variant(&mut self) -> Result<(), BgenError> {
        const TRACK: &str = "probabilities";
        let mut pieces = Pieces { input: &mut self.input, record: self.read + 1 };
        self.variant = pieces.variant(&self.limits)?;
        let (samples, alleles) = (self.header.samples, self.variant.alleles());
        let mut length = u64::from(pieces.number(TRACK)?);
        let size = match self.header.compression {
            Compression::None => length,
            _ => {
                // The length counts the size, too.
                length = length.checked_sub(4).ok_or_else(|| pieces.refuse(BgenProblem::Size(length)))?;
                u64::from(pieces.number(TRACK)?)
            }
        };
        let (least, most) = sizes(samples, alleles);
        if !(least..=most).contains(&size) {
            return Err(pieces.refuse(BgenProblem::Size(size)));
        }
        if length.max(size) > self.limits.block_bytes as u64 {
            let limit = self.limits.block_bytes;
            return Err(pieces.refuse(BgenProblem::TooLarge { what: "bytes of probabilities", limit }));
        }
        pieces.take(length, TRACK)?;
        let bytes = &mut self.probabilities.bytes;
        bytes.clear();
        match self.header.compression {
            Compression::None => bytes.extend_from_slice(&pieces.input.bytes),
            // No larger than the limit, and than what the named people need.
            _ => bytes.resize(size as usize, 0),
        }
        let is_whole = match self.header.compression {
            Compression::None => true,
            Compression::Zlib => inflated(&mut self.inflate, &pieces.input.bytes, bytes),
            Compression::Zstandard => zstd::fill(&pieces.input.bytes, bytes),
        };
        if !is_whole {
            return Err(pieces.refuse(BgenProblem::Compressed));
        }
        bytes.resize(bytes.len() + ROOM, 0);
        self.probabilities.check(samples, alleles).map_err(|problem| pieces.refuse(problem))?;
        self.read += 1;
        self.pending = 0..alleles - 1;
        Ok(())
    }
}

/// Decompresses a zlib stream into `output`; false unless it is whole and fills it.
fn inflated(inflate: &mut DecompressorOxide, bytes: &[u8], output: &mut [u8]) -> bool {
    const FLAGS: u32 =
        inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    inflate.init();
    let length = output.len();
    decompress(inflate, bytes, output, 0, FLAGS) == (TINFLStatus::Done, bytes.len(), length)
}

impl<R: Read> Source for BgenReader<R> {
    type Error = BgenError;

    fn samples(&self) -> usize {
        self.header.samples
    }

    fn next_block(&mut self) -> Result<Option<&Block>, BgenError> {
        Ok(self.fill()?.then_some(&self.block))
    }
}

impl<R> fmt::Debug for BgenReader<R> {
    /// Without names and probabilities.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BgenReader")
            .field("file", &self.input.file)
            .field("samples", &self.header.samples)
            .field("variants", &self.header.variants)
            .finish_non_exhaustive()
    }
}
