//! The header of a PGEN: storage mode, dimensions, and the type and the length of every record.

use std::io::Read;

use super::error::{PgenProblem, Plink2Error};
use crate::input::Input;

/// Records whose types and lengths stand together, at an offset of their own.
const BLOCK_RECORDS: usize = 1 << 16;

/// Where the records are and what they are.
pub(super) enum Records {
    /// Rows of a BED.
    Bed,
    /// All of one type and one length.
    Fixed { kind: u8, length: usize },
    /// Each as it is.
    Listed { kinds: Vec<u8>, lengths: Vec<u32>, offsets: Vec<u64> },
}

impl Records {
    /// Type and length of a record.
    pub(super) fn get(&self, index: usize, samples: usize) -> (u8, u64) {
        match self {
            Self::Bed => (0, samples.div_ceil(4) as u64),
            Self::Fixed { kind, length } => (*kind, *length as u64),
            Self::Listed { kinds, lengths, .. } => {
                let kind = kinds.get(index).copied().unwrap_or_default();
                (kind, lengths.get(index).copied().map_or(0, u64::from))
            }
        }
    }

    /// Where a record begins, where the header says so.
    pub(super) fn offset(&self, index: usize) -> Option<u64> {
        match self {
            Self::Listed { offsets, .. } if index.is_multiple_of(BLOCK_RECORDS) => {
                offsets.get(index / BLOCK_RECORDS).copied()
            }
            _ => None,
        }
    }
}

/// The header of a PGEN, as far as it is read.
pub(super) struct Header<'a, R>(pub(super) &'a mut Input<R>);

impl<R: Read> Header<'_, R> {
    fn refuse(&self, offset: u64, problem: PgenProblem) -> Plink2Error {
        Plink2Error::Header { file: self.0.file.clone(), offset, problem }
    }

    /// Exactly so many bytes of the header.
    fn piece(&mut self, count: usize, what: &'static str) -> Result<&[u8], Plink2Error> {
        if self.0.fill(count as u64)? < count {
            return Err(self.refuse(self.0.offset, PgenProblem::Truncated(what)));
        }
        Ok(&self.0.bytes)
    }

    /// Reads the header of a file that must have so many people and variants.
    pub(super) fn read(&mut self, samples: usize, variants: usize) -> Result<Records, Plink2Error> {
        let found = self.0.fill(3)?;
        if !self.0.bytes.starts_with(&[0x6c, 0x1b]) || found < 3 {
            return Err(self.refuse(0, PgenProblem::NotPgen));
        }
        let mode = self.0.bytes.last().copied().unwrap_or_default();
        if mode == 1 {
            return Ok(Records::Bed);
        }
        if !matches!(mode, 2 | 3 | 4 | 0x10) {
            return Err(self.refuse(2, PgenProblem::Mode(mode)));
        }
        let fields = self.piece(9, "header")?;
        let number = |at: usize| {
            let bytes = fields.get(at..).and_then(|rest| rest.first_chunk::<4>());
            u64::from(bytes.copied().map_or(0, u32::from_le_bytes))
        };
        let (found_variants, found_samples) = (number(0), number(4));
        let control = fields.last().copied().unwrap_or_default();
        for (what, offset, found, expected) in
            [("variants", 3, found_variants, variants), ("people", 7, found_samples, samples)]
        {
            if found != expected as u64 {
                let expected = expected as u64;
                return Err(self.refuse(offset, PgenProblem::Count { what, found, expected }));
            }
        }
        let has_flags = control >> 6 == 3;
        if mode != 0x10 {
            if control & 0x3f != 0 {
                return Err(self.refuse(11, PgenProblem::HeaderBits));
            }
            if has_flags {
                self.flags(variants)?;
            }
            let calls = samples.div_ceil(4);
            let (kind, length) = match mode {
                2 => (0, calls),
                3 => (0x40, calls + 2 * samples),
                _ => (0xc0, calls + 4 * samples),
            };
            return Ok(Records::Fixed { kind, length });
        }
        if control & 8 != 0 {
            return Err(self.refuse(11, PgenProblem::Widths(control & 15)));
        }
        self.listed(control, variants)
    }

    fn listed(&mut self, control: u8, variants: usize) -> Result<Records, Plink2Error> {
        let length_bytes = usize::from(control & 3) + 1;
        let blocks = variants.div_ceil(BLOCK_RECORDS);
        let offsets = self.piece(8 * blocks, "offsets")?;
        let offsets = offsets.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let (mut kinds, mut lengths) = (vec![], vec![]);
        for block in 0..blocks {
            let count = BLOCK_RECORDS.min(variants - block * BLOCK_RECORDS);
            if control & 4 != 0 {
                kinds.extend_from_slice(self.piece(count, "types of records")?);
            } else {
                let types = self.piece(count.div_ceil(2), "types of records")?;
                let halves = types.iter().flat_map(|byte| [byte & 15, byte >> 4]);
                let behind = halves.clone().nth(count).is_some_and(|kind| kind != 0);
                kinds.extend(halves.take(count));
                if behind {
                    return Err(self.refuse(self.0.offset - 1, PgenProblem::Padding("types of records")));
                }
            }
            let bytes = self.piece(length_bytes * count, "lengths of records")?;
            lengths.extend(
                bytes
                    .chunks_exact(length_bytes)
                    .map(|bytes| bytes.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte))),
            );
            // How many alleles a variant has says the PVAR: two descriptions of the format differ on what is counted here.
            let alleles = usize::from(control >> 4 & 3);
            self.piece(alleles * count, "numbers of alleles")?;
            if control >> 6 == 3 {
                self.flags(count)?;
            }
        }
        Ok(Records::Listed { kinds, lengths, offsets })
    }

    /// A bit for each variant whose reference allele is not sure.
    fn flags(&mut self, count: usize) -> Result<(), Plink2Error> {
        let bytes = self.piece(count.div_ceil(8), "flags of reference alleles")?;
        if !count.is_multiple_of(8) && bytes.last().is_some_and(|last| last >> (count % 8) != 0) {
            let problem = PgenProblem::Padding("flags of reference alleles");
            return Err(self.refuse(self.0.offset - 1, problem));
        }
        Ok(())
    }
}
