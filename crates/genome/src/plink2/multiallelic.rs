//! Calls of ALT alleles behind the first: what the main track calls REF/ALT1 or ALT1/ALT1, and is something else.

use super::bits::{Bytes, Packed};
use super::difflist::{Codes, Difflist};
use super::error::PgenProblem;
use super::main_track::{LOW_BITS, set};
use crate::genotypes::WORD_CALLS;

const TRACK: &str = "track of further alleles";

/// Calls of one record that are not as the main track has them, in the order of the people. Alleles count from 1, the
/// first ALT.
#[derive(Default)]
pub(super) struct Patches {
    /// One copy of the reference and one of this allele, which is not the first.
    one: Vec<(u32, u32)>,
    /// These two, which are not both the first.
    two: Vec<(u32, [u32; 2])>,
}

impl Patches {
    pub(super) fn clear(&mut self) {
        self.one.clear();
        self.two.clear();
    }

    /// Reads the track of a record whose main track gave `codes`.
    pub(super) fn read(
        &mut self,
        bytes: &mut Bytes<'_>,
        samples: usize,
        alternatives: usize,
        codes: &[u64],
    ) -> Result<(), PgenProblem> {
        self.clear();
        if alternatives < 2 {
            return Err(PgenProblem::OneAllele);
        }
        let form = bytes.byte(TRACK)?;
        let people = people(bytes, form & 15, samples, codes, 1)?;
        let width = match alternatives {
            2 => 0,
            3 => 1,
            4..=5 => 2,
            6..=17 => 4,
            18..=257 => 8,
            258..=65_537 => 16,
            _ => 24,
        };
        let alleles = bytes.packed(people.len(), width, TRACK)?;
        for (index, sample) in people.into_iter().enumerate() {
            self.one.push((sample, allele(&alleles, index, 2, alternatives)?));
        }
        let people = self::people(bytes, form >> 4, samples, codes, 2)?;
        if alternatives == 2 {
            let is_second = bytes.packed(people.len(), 1, TRACK)?;
            for (index, sample) in people.into_iter().enumerate() {
                self.two.push((sample, [1 + is_second.get(index), 2]));
            }
            return Ok(());
        }
        let width = match alternatives {
            3..=4 => 2,
            5..=16 => 4,
            17..=256 => 8,
            257..=65_536 => 16,
            _ => 24,
        };
        let count = people.len().checked_mul(2).ok_or(PgenProblem::Short(TRACK))?;
        let alleles = bytes.packed(count, width, TRACK)?;
        for (index, sample) in people.into_iter().enumerate() {
            let first = allele(&alleles, 2 * index, 1, alternatives)?;
            let second = allele(&alleles, 2 * index + 1, 1, alternatives)?;
            if first > second || second == 1 {
                return Err(PgenProblem::Allele);
            }
            self.two.push((sample, [first, second]));
        }
        Ok(())
    }

    /// Calls that the main track has as ALT1/ALT1 and that are of two different alleles.
    pub(super) fn heterozygous(&self) -> usize {
        self.two.iter().filter(|(_, [first, second])| first != second).count()
    }

    /// Writes the copies of one ALT allele, from 1; `codes` are those of the main track.
    pub(super) fn row(&self, alternative: usize, codes: &[u64], row: &mut Vec<u64>) {
        row.clear();
        if alternative == 1 {
            row.extend_from_slice(codes);
        } else {
            // Nobody has it but those below; who is missing stays so.
            row.extend(codes.iter().map(|word| {
                let missing = word & word >> 1 & LOW_BITS;
                missing | missing << 1
            }));
        }
        for (sample, allele) in &self.one {
            set(row, *sample as usize, u64::from(*allele as usize == alternative));
        }
        for (sample, alleles) in &self.two {
            let copies = alleles.iter().filter(|allele| **allele as usize == alternative).count();
            set(row, *sample as usize, copies as u64);
        }
    }
}

fn allele(alleles: &Packed<'_>, index: usize, least: u32, alternatives: usize) -> Result<u32, PgenProblem> {
    let allele = alleles.get(index) + least;
    if allele as usize > alternatives { Err(PgenProblem::Allele) } else { Ok(allele) }
}

/// Those of the people with a code of the main track that are patched.
fn people(
    bytes: &mut Bytes<'_>,
    form: u8,
    samples: usize,
    codes: &[u64],
    code: u64,
) -> Result<Vec<u32>, PgenProblem> {
    let mut found = vec![];
    match form {
        0 => {
            let is_patched = bytes.packed(count(codes, code), 1, TRACK)?;
            found.reserve(is_patched.count_ones());
            let mut index = 0;
            for (number, word) in codes.iter().enumerate() {
                let mut bits = matching(*word, code);
                while bits != 0 {
                    if is_patched.get(index) == 1 {
                        found.push((number * WORD_CALLS) as u32 + bits.trailing_zeros() / 2);
                    }
                    index += 1;
                    bits &= bits - 1;
                }
            }
        }
        1 => {
            let list = Difflist::split(bytes, samples, Codes::Absent)?;
            found.reserve(list.len());
            list.for_each(|sample, _| {
                let word = codes.get(sample / WORD_CALLS).copied().unwrap_or_default();
                if word >> (2 * (sample % WORD_CALLS)) & 3 != code {
                    return Err(PgenProblem::List);
                }
                found.push(sample as u32);
                Ok(())
            })?;
        }
        15 => {}
        _ => return Err(PgenProblem::Reserved(TRACK)),
    }
    Ok(found)
}

/// People with code 1 or 2.
pub(super) fn count(codes: &[u64], code: u64) -> usize {
    codes.iter().map(|word| matching(*word, code).count_ones() as usize).sum()
}

/// The lower bit of each call with code 1 or 2.
fn matching(word: u64, code: u64) -> u64 {
    let (low, high) = (word & LOW_BITS, word >> 1 & LOW_BITS);
    if code == 1 { low & !high } else { high & !low }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Eight people: 0, 1, 1, 2, 2, 3, 1, 2.
    const CODES: [u64; 1] = [0b10_01_11_10_10_01_01_00];

    fn check(bytes: &[u8], alternatives: usize, expected: Result<&[u64], PgenProblem>) {
        let mut patches = Patches::default();
        let mut bytes = Bytes(bytes);
        let found = patches.read(&mut bytes, 8, alternatives, &CODES).map(|()| {
            assert!(bytes.0.is_empty());
            let mut row = vec![];
            (1..=alternatives)
                .map(|alternative| {
                    patches.row(alternative, &CODES, &mut row);
                    row[0]
                })
                .collect::<Vec<_>>()
        });
        assert_eq!(found, expected.map(<[u64]>::to_vec));
    }

    #[test]
    fn each_allele_has_its_copies() {
        check(&[0xff], 2, Ok(&[CODES[0], 0b11 << 10]));
        // The second of code 1 has ALT2; of code 2 the first is ALT1/ALT2 and the third ALT2/ALT2.
        check(&[0, 0b010, 0b101, 0b10], 2, Ok(&[0b00_01_11_10_01_00_01_00, 0b10_00_11_00_01_01_00_00]));
        // The same with lists.
        check(&[0x11, 1, 2, 2, 3, 4, 0b10], 2, Ok(&[0b00_01_11_10_01_00_01_00, 0b10_00_11_00_01_01_00_00]));
        // Three alleles: the last of code 1 has ALT3; the second of code 2 ALT1/ALT3.
        check(
            &[0, 0b100, 0b1, 0b010, 0b1000],
            3,
            Ok(&[0b10_00_11_01_10_01_01_00, 0b00_00_11_00_00_00_00_00, 0b00_01_11_01_00_00_00_00]),
        );
    }

    #[test]
    fn patches_that_cannot_be() {
        check(&[0xff], 1, Err(PgenProblem::OneAllele));
        check(&[], 2, Err(PgenProblem::Short(TRACK)));
        check(&[0xf2], 2, Err(PgenProblem::Reserved(TRACK)));
        check(&[0x2f], 2, Err(PgenProblem::Reserved(TRACK)));
        check(&[0xf0, 0b1000], 2, Err(PgenProblem::Padding(TRACK)));
        // The first person has no copy.
        check(&[0xf1, 1, 0], 2, Err(PgenProblem::List));
        // ALT1/ALT1, the larger one first, and a fifth of four.
        check(&[0x0f, 1, 0b0000], 3, Err(PgenProblem::Allele));
        check(&[0x0f, 1, 0b0001], 3, Err(PgenProblem::Allele));
        check(&[0x0f, 1, 0b1100], 3, Err(PgenProblem::Allele));
        check(&[0xf0, 1, 3], 4, Err(PgenProblem::Allele));
    }
}
