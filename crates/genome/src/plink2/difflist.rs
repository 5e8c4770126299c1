//! Lists of people ("difflists"), with a code for each or without: increasing, in groups of 64.

use super::bits::{Bytes, Packed};
use super::error::PgenProblem;

/// People of a group.
const GROUP: usize = 64;
/// A group of 64 has 63 differences of at least one byte each, and its size is stored without those.
const SHORTEST: usize = GROUP - 1;
const TRACK: &str = "list of people";

/// A list whose parts lie in their record; the people are found by [`for_each`](Self::for_each).
pub(super) struct Difflist<'a> {
    length: usize,
    samples: usize,
    firsts: Packed<'a>,
    sizes: &'a [u8],
    codes: Option<Packed<'a>>,
    differences: Bytes<'a>,
}

/// Whether a list has codes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Codes {
    Present,
    Absent,
}

impl<'a> Difflist<'a> {
    /// Splits a list from the front of a record.
    pub(super) fn split(bytes: &mut Bytes<'a>, samples: usize, codes: Codes) -> Result<Self, PgenProblem> {
        let length = bytes.varint(TRACK)? as usize;
        if length > samples {
            return Err(PgenProblem::List);
        }
        let groups = length.div_ceil(GROUP);
        let width = match samples {
            0..=0x100 => 8,
            0x101..=0x1_0000 => 16,
            0x1_0001..=0x100_0000 => 24,
            _ => 32,
        };
        let firsts = bytes.packed(groups, width, TRACK)?;
        let sizes = bytes.take(groups.saturating_sub(1), TRACK)?;
        let codes = match codes {
            Codes::Present => Some(bytes.packed(length, 2, TRACK)?),
            Codes::Absent => None,
        };
        let differences = *bytes;
        let mut list = Self { length, samples, firsts, sizes, codes, differences };
        let behind = list.walk(|_, _| Ok(()))?;
        list.differences.0 = differences.0.get(..differences.0.len() - behind.0.len()).unwrap_or_default();
        *bytes = behind;
        Ok(list)
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Gives each person, from 0, and their code (0 in a list without codes).
    pub(super) fn for_each(
        &self,
        mut visit: impl FnMut(usize, u64) -> Result<(), PgenProblem>,
    ) -> Result<(), PgenProblem> {
        self.walk(|index, sample| visit(sample, self.codes.map_or(0, |codes| u64::from(codes.get(index)))))
            .map(|_| ())
    }

    /// Gives each index and person; what is left behind the list.
    fn walk(
        &self,
        mut visit: impl FnMut(usize, usize) -> Result<(), PgenProblem>,
    ) -> Result<Bytes<'a>, PgenProblem> {
        let mut bytes = self.differences;
        let mut least = 0;
        for group in 0..self.length.div_ceil(GROUP) {
            let before = bytes.0.len();
            let mut sample = self.firsts.get(group) as usize;
            for index in group * GROUP..self.length.min((group + 1) * GROUP) {
                if index % GROUP != 0 {
                    sample = sample.saturating_add(bytes.varint(TRACK)? as usize);
                }
                if sample < least || sample >= self.samples {
                    return Err(PgenProblem::List);
                }
                least = sample + 1;
                visit(index, sample)?;
            }
            let stated = self.sizes.get(group).map(|size| usize::from(*size) + SHORTEST);
            if stated.is_some_and(|stated| stated != before - bytes.0.len()) {
                return Err(PgenProblem::List);
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(bytes: &[u8], samples: usize, codes: Codes) -> Result<(Vec<(usize, u64)>, usize), PgenProblem> {
        let mut rest = Bytes(bytes);
        let list = Difflist::split(&mut rest, samples, codes)?;
        let mut found = vec![];
        list.for_each(|sample, code| {
            found.push((sample, code));
            Ok(())
        })?;
        assert_eq!(found.len(), list.len());
        Ok((found, rest.0.len()))
    }

    #[test]
    fn the_example_of_the_specification() {
        let mut bytes = vec![0x4f, 0x88, 0x13, 0x00, 0x88, 0xf5, 0x04, 0x3f];
        bytes.extend([0b11_10_01_00; 19]);
        bytes.push(0b10_01_00);
        bytes.extend([0x88, 0x27].repeat(77));
        bytes.push(0xee);
        let expected = (1..80).map(|n| (5_000 * n, (n as u64 - 1) % 4)).collect();
        assert_eq!(read(&bytes, 488_377, Codes::Present), Ok((expected, 1)));
        assert_eq!(read(&bytes, 395_000, Codes::Present), Err(PgenProblem::List));
        bytes[7] += 1;
        assert_eq!(read(&bytes, 488_377, Codes::Present), Err(PgenProblem::List));
    }

    #[test]
    fn short_lists() {
        assert_eq!(read(&[0, 9], 10, Codes::Present), Ok((vec![], 1)));
        assert_eq!(read(&[2, 3, 4], 8, Codes::Absent), Ok((vec![(3, 0), (7, 0)], 0)));
        assert_eq!(read(&[2, 3, 0], 8, Codes::Absent), Err(PgenProblem::List));
        assert_eq!(read(&[2, 3, 5], 8, Codes::Absent), Err(PgenProblem::List));
        assert_eq!(read(&[9, 3, 5], 8, Codes::Absent), Err(PgenProblem::List));
        assert_eq!(read(&[2, 3], 8, Codes::Absent), Err(PgenProblem::Short(TRACK)));
        assert_eq!(read(&[1, 3, 4], 8, Codes::Present), Err(PgenProblem::Padding(TRACK)));
    }
}
