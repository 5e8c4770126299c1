//! The probabilities of one variant, decompressed, and the dosages that come of them.
//!
//! A person with two copies has, unphased, a probability for each pair of alleles in the order 00, 01, 11, 02, 12, 22 ...,
//! and phased, for each copy one for each allele; a person with one copy has one for each allele. The last of each is not
//! stored: it is what the others leave of 1.

use super::error::BgenProblem;
use crate::genotypes::{DOSAGE_MISSING, DOSAGE_ONE};

/// The probabilities of all people at a variant.
#[derive(Default)]
pub(super) struct Probabilities {
    /// The decompressed data of the record, and [`ROOM`] zeros.
    pub(super) bytes: Vec<u8>,
    samples: usize,
    alleles: usize,
    is_phased: bool,
    /// Bits of a probability.
    width: usize,
}

/// Bytes behind the data, so that the last probability is read as others are.
pub(super) const ROOM: usize = 8;
/// Before the ploidies: numbers of people and alleles, least and greatest ploidy.
const HEAD: usize = 8;
/// Behind the ploidies: phase and width.
const FORM: usize = 2;

const MISSING: u8 = 0x80;

/// The least and the most bytes that the probabilities of so many people can have.
pub(super) fn sizes(samples: usize, alleles: usize) -> (u64, u64) {
    let (samples, alleles) = (samples as u64, alleles as u64);
    let least = samples.saturating_add((HEAD + FORM) as u64);
    // 4 bytes for each pair of alleles.
    (least, least.saturating_add(samples.saturating_mul(2 * alleles * (alleles + 1))))
}

impl Probabilities {
    /// Looks at the bytes: those of a variant of so many people and alleles.
    pub(super) fn check(&mut self, samples: usize, alleles: usize) -> Result<(), BgenProblem> {
        let length = self.bytes.len().saturating_sub(ROOM);
        let before = HEAD + samples + FORM;
        let too_short = BgenProblem::Length { found: length, needed: before };
        let bytes = self.bytes.get(..length).unwrap_or_default();
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(too_short.clone())?;
        let [a, b, c, d, e, f, least, most] = *head;
        let found = u32::from_le_bytes([a, b, c, d]) as usize;
        if found != samples {
            return Err(BgenProblem::People { found: found as u64, expected: samples as u64 });
        }
        let found = usize::from(u16::from_le_bytes([e, f]));
        if found != alleles {
            return Err(BgenProblem::Alleles { found, expected: alleles });
        }
        let (ploidies, rest) = rest.split_at_checked(samples).ok_or(too_short.clone())?;
        let ([phase, width], data) = rest.split_first_chunk::<FORM>().ok_or(too_short)?;
        if most > 2 || ploidies.iter().any(|p| !(least..=most).contains(&(p & !MISSING))) {
            return Err(BgenProblem::Ploidy);
        }
        let (is_phased, width) = match (phase, width) {
            (0 | 1, 1..=32) => (*phase == 1, usize::from(*width)),
            _ => return Err(BgenProblem::Form),
        };
        let stored = ploidies.iter().map(|p| stored(*p, is_phased, alleles) as u64).sum::<u64>();
        let bits = stored.saturating_mul(width as u64);
        let needed = bits.div_ceil(8);
        if needed != data.len() as u64 {
            let needed = before.saturating_add(usize::try_from(needed).unwrap_or(usize::MAX));
            return Err(BgenProblem::Length { found: length, needed });
        }
        if bits % 8 != 0 && data.last().is_some_and(|last| last >> (bits % 8) != 0) {
            return Err(BgenProblem::Padding);
        }
        (self.samples, self.alleles, self.is_phased, self.width) = (samples, alleles, is_phased, width);
        self.view().check_sums()
    }

    /// Writes the dosage of one allele, by its index, for each person.
    pub(super) fn dosages(&self, allele: usize, dosages: &mut Vec<u16>) {
        self.view().dosages(allele, dosages);
    }

    fn view(&self) -> View<'_> {
        View {
            ploidies: self.bytes.get(HEAD..HEAD + self.samples).unwrap_or_default(),
            data: self.bytes.get(HEAD + self.samples + FORM..).unwrap_or_default(),
            alleles: self.alleles,
            is_phased: self.is_phased,
            width: self.width,
        }
    }
}

/// Probabilities that are stored for a person.
fn stored(ploidy: u8, is_phased: bool, alleles: usize) -> usize {
    match (ploidy & !MISSING, is_phased) {
        (0, _) => 0,
        (1, _) => alleles - 1,
        (_, true) => 2 * (alleles - 1),
        (_, false) => alleles * (alleles + 1) / 2 - 1,
    }
}

/// The parts of the bytes, and how they are read.
#[derive(Clone, Copy)]
struct View<'a> {
    /// Copies of the chromosome of each person, and a flag for those whose genotype is missing.
    ploidies: &'a [u8],
    data: &'a [u8],
    alleles: usize,
    is_phased: bool,
    width: usize,
}

impl View<'_> {
    /// A probability in units of 1 / [`one`](Self::one), by its number among all.
    fn get(&self, index: usize) -> u64 {
        let bit = index * self.width;
        let bytes = self.data.get(bit / 8..).and_then(|rest| rest.first_chunk::<8>());
        bytes.copied().map_or(0, u64::from_le_bytes) >> (bit % 8) & self.one()
    }

    fn one(&self) -> u64 {
        (1 << self.width) - 1
    }

    fn sum(&self, from: usize, count: usize) -> u64 {
        (from..from + count).map(|index| self.get(index)).sum()
    }

    fn check_sums(&self) -> Result<(), BgenProblem> {
        let mut from = 0;
        for (sample, ploidy) in self.ploidies.iter().enumerate() {
            let stored = stored(*ploidy, self.is_phased, self.alleles);
            let is_over = match (ploidy & !MISSING, self.is_phased) {
                (2, true) => {
                    let half = stored / 2;
                    self.sum(from, half) > self.one() || self.sum(from + half, half) > self.one()
                }
                _ => self.sum(from, stored) > self.one(),
            };
            if is_over && ploidy & MISSING == 0 {
                return Err(BgenProblem::Sum(sample + 1));
            }
            from += stored;
        }
        Ok(())
    }

    /// Writes the dosage of one allele, by its index, for each person.
    fn dosages(&self, allele: usize, dosages: &mut Vec<u16>) {
        dosages.clear();
        dosages.reserve(self.ploidies.len());
        // Rounds as whole numbers would: no dosage is nearer than 2^-33 to the middle between two steps, `one` being odd.
        let step = f64::from(DOSAGE_ONE) / self.one() as f64;
        let mut from = 0;
        for ploidy in self.ploidies {
            // Twice the one copy, or the sum of both: no more than two.
            let copies = match (*ploidy, self.is_phased) {
                (1, _) => Some(2 * self.of_copy(from, allele)),
                (2, true) => Some(self.of_copy(from, allele) + self.of_copy(from + self.alleles - 1, allele)),
                (2, false) if self.alleles == 2 => {
                    let (none, mixed) = (self.get(from), self.get(from + 1));
                    Some(mixed + 2 * if allele == 0 { none } else { self.one() - none - mixed })
                }
                (2, false) => Some(self.of_pairs(from, allele)),
                _ => None,
            };
            from += stored(*ploidy, self.is_phased, self.alleles);
            dosages.push(copies.map_or(DOSAGE_MISSING, |copies| (copies as f64 * step).round() as u16));
        }
    }

    /// That one copy is this allele.
    fn of_copy(&self, from: usize, allele: usize) -> u64 {
        let stored = self.alleles - 1;
        if allele < stored { self.get(from + allele) } else { self.one() - self.sum(from, stored) }
    }

    /// The expected copies in an unphased pair. Only pairs with the allele are looked at, so that all alleles together take
    /// no more time than their probabilities have bytes.
    fn of_pairs(&self, from: usize, allele: usize) -> u64 {
        let pair = |low: usize, high: usize| high * (high + 1) / 2 + low;
        let one_copy = (0..self.alleles).filter(|other| *other != allele);
        let one_copy: u64 =
            one_copy.map(|other| self.get(from + pair(other.min(allele), other.max(allele)))).sum();
        let two_copies = if allele + 1 < self.alleles {
            self.get(from + pair(allele, allele))
        } else {
            self.one() - self.sum(from, pair(allele, allele))
        };
        one_copy + 2 * two_copies
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Dosages of every allele.
    fn check(people: &[u8], alleles: u16, rest: &[u8], expected: Result<&[&[u16]], BgenProblem>) {
        let known = people.iter().map(|ploidy| ploidy & 0x7f);
        let (least, most) = (known.clone().min().unwrap_or(0), known.max().unwrap_or(0));
        let mut bytes = (people.len() as u32).to_le_bytes().to_vec();
        bytes.extend(alleles.to_le_bytes());
        bytes.extend([least, most]);
        bytes.extend(people);
        bytes.extend(rest);
        bytes.extend([0; ROOM]);
        let mut probabilities = Probabilities { bytes, ..Probabilities::default() };
        let found = probabilities.check(people.len(), alleles.into()).map(|()| {
            let mut dosages = vec![];
            let all = (0..usize::from(alleles)).map(|allele| {
                probabilities.dosages(allele, &mut dosages);
                dosages.clone()
            });
            all.collect::<Vec<_>>()
        });
        assert_eq!(found, expected.map(|rows| rows.iter().map(|row| row.to_vec()).collect()));
    }

    const NONE: u16 = DOSAGE_MISSING;

    #[test]
    fn pairs_of_two_alleles() {
        // 8 bits: 1 and 0; 0 and 1; 0 and 0; missing.
        check(
            &[2, 2, 2, 0x82],
            2,
            &[0, 8, 255, 0, 0, 255, 0, 0, 0, 0],
            Ok(&[&[32_768, 16_384, 0, NONE], &[0, 16_384, 32_768, NONE]]),
        );
        // 16 bits: a quarter and a half; the dosage of the second allele is 1, rounded.
        check(&[2], 2, &[0, 16, 0, 0x40, 0, 0x80], Ok(&[&[16_384], &[16_384]]));
        // 3 bits: 2/7 and 4/7.
        check(&[2], 2, &[0, 3, 0b100_010], Ok(&[&[18_725], &[14_043]]));
        // 32 bits: all to the second.
        check(&[2], 2, &[0, 32, 0, 0, 0, 0, 255, 255, 255, 255], Ok(&[&[16_384], &[16_384]]));
        // 1 bit.
        check(&[2, 2], 2, &[0, 1, 0b0001], Ok(&[&[32_768, 0], &[0, 32_768]]));
    }

    #[test]
    fn other_numbers_of_copies_and_alleles() {
        check(&[1, 0, 2], 2, &[0, 8, 51, 0, 0], Ok(&[&[6_554, NONE, 0], &[26_214, NONE, 32_768]]));
        // Phased.
        check(&[2, 2], 2, &[1, 8, 255, 0, 0, 0], Ok(&[&[16_384, 0], &[16_384, 32_768]]));
        // Three alleles: 00 01 11 02 12, and 22 is left.
        check(&[2], 3, &[0, 8, 0, 51, 51, 51, 51], Ok(&[&[6_554], &[13_107], &[13_107]]));
        check(&[2], 3, &[1, 8, 255, 0, 0, 255], Ok(&[&[16_384], &[16_384], &[0]]));
        check(&[1], 3, &[0, 8, 0, 0], Ok(&[&[0], &[0], &[32_768]]));
        check(&[], 2, &[0, 8], Ok(&[&[], &[]]));
    }

    #[test]
    fn what_is_no_probability() {
        check(&[2], 2, &[0, 8, 200, 56], Err(BgenProblem::Sum(1)));
        check(&[2, 2], 2, &[1, 8, 255, 255, 255, 255], Ok(&[&[32_768, 32_768], &[0, 0]]));
        check(&[2], 3, &[1, 8, 255, 0, 255, 1], Err(BgenProblem::Sum(1)));
        check(&[0x82], 2, &[0, 8, 255, 255], Ok(&[&[NONE], &[NONE]]));
        check(&[2], 2, &[2, 8, 0, 0], Err(BgenProblem::Form));
        check(&[2], 2, &[0, 0], Err(BgenProblem::Form));
        check(&[2], 2, &[0, 33], Err(BgenProblem::Form));
        check(&[3], 2, &[0, 8, 0, 0, 0], Err(BgenProblem::Ploidy));
        check(&[0x42], 2, &[0, 8, 0, 0, 0], Err(BgenProblem::Ploidy));
        check(&[2], 2, &[0, 8, 0], Err(BgenProblem::Length { found: 12, needed: 13 }));
        check(&[2], 2, &[0, 8, 0, 0, 0], Err(BgenProblem::Length { found: 14, needed: 13 }));
        check(&[2], 2, &[0], Err(BgenProblem::Length { found: 10, needed: 11 }));
        check(&[2], 2, &[0, 3, 0b1_000_000], Err(BgenProblem::Padding));
    }
}
