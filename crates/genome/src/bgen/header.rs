//! What stands before the variants: offset, header block, names of the people.

use std::io::Read;

use super::Limits;
use super::error::{BgenError, BgenProblem};
use super::variant::text;
use crate::input::Input;

/// How the probabilities are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Zlib,
    Zstandard,
}

pub(super) struct Header {
    pub(super) variants: u64,
    pub(super) samples: usize,
    pub(super) compression: Compression,
    /// Where the file has them.
    pub(super) names: Option<Vec<String>>,
}

/// Bytes of a header block without free data.
const LEAST: u64 = 20;
/// Offsets count from behind the first number.
const FIRST: u64 = 4;

impl Header {
    /// Reads up to the first variant.
    pub(super) fn read<R: Read>(input: &mut Input<R>, limits: &Limits) -> Result<Self, BgenError> {
        let [first_variant, length, variants, samples] =
            [number(input)?, number(input)?, number(input)?, number(input)?].map(u64::from);
        let magic = number(input)?.to_le_bytes();
        // Old writers have zeros there.
        if magic != *b"bgen" && magic != [0; 4] {
            return Err(refuse(input, 16, BgenProblem::NotBgen));
        }
        if length < LEAST || length > first_variant {
            return Err(refuse(input, 4, BgenProblem::HeaderSize));
        }
        skip(input, length - LEAST)?;
        let flags = number(input)?;
        let at = input.offset - 4;
        match flags >> 2 & 15 {
            2 => {}
            layout => return Err(refuse(input, at, BgenProblem::Layout(layout as u8))),
        }
        let compression = match flags & 3 {
            0 => Compression::None,
            1 => Compression::Zlib,
            2 => Compression::Zstandard,
            _ => return Err(refuse(input, at, BgenProblem::Compression)),
        };
        let samples = match usize::try_from(samples) {
            Ok(samples) if samples <= limits.samples => samples,
            _ => {
                let problem = BgenProblem::TooManyPeople { found: samples, limit: limits.samples };
                return Err(refuse(input, 12, problem));
            }
        };
        let names = match flags >> 31 {
            0 => None,
            _ => Some(names(input, samples)?),
        };
        let gap = (first_variant + FIRST).checked_sub(input.offset);
        let gap = gap.ok_or_else(|| refuse(input, 0, BgenProblem::HeaderSize))?;
        skip(input, gap)?;
        Ok(Self { variants, samples, compression, names })
    }
}

/// The sample identifier block.
fn names<R: Read>(input: &mut Input<R>, samples: usize) -> Result<Vec<String>, BgenError> {
    let start = input.offset;
    let (length, found) = (number(input)?, u64::from(number(input)?));
    if found != samples as u64 {
        return Err(refuse(input, start + 4, BgenProblem::People { found, expected: samples as u64 }));
    }
    let mut names = vec![];
    for _ in 0..samples {
        let at = input.offset;
        piece(input, 2)?;
        let length = input.bytes.first_chunk::<2>().copied().map_or(0, u16::from_le_bytes);
        piece(input, length.into())?;
        let name = text(&input.bytes).filter(|name| !name.is_empty());
        names.push(name.ok_or_else(|| refuse(input, at, BgenProblem::Text))?.to_owned());
    }
    if input.offset - start != u64::from(length) {
        return Err(refuse(input, start, BgenProblem::HeaderSize));
    }
    Ok(names)
}

fn number<R: Read>(input: &mut Input<R>) -> Result<u32, BgenError> {
    piece(input, 4)?;
    Ok(input.bytes.first_chunk::<4>().copied().map_or(0, u32::from_le_bytes))
}

fn piece<R: Read>(input: &mut Input<R>, count: u64) -> Result<(), BgenError> {
    if (input.fill(count)? as u64) < count {
        return Err(refuse(input, input.offset, BgenProblem::Truncated("header")));
    }
    Ok(())
}

fn skip<R: Read>(input: &mut Input<R>, count: u64) -> Result<(), BgenError> {
    if input.skip(count)? < count {
        return Err(refuse(input, input.offset, BgenProblem::Truncated("header")));
    }
    Ok(())
}

fn refuse<R>(input: &Input<R>, offset: u64, problem: BgenProblem) -> BgenError {
    BgenError::Header { file: input.file.clone(), offset, problem }
}
