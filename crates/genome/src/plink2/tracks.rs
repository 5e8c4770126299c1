//! Phase and dosages.

use super::bits::Bytes;
use super::difflist::{Codes, Difflist};
use super::error::PgenProblem;
use crate::genotypes::{DOSAGE_MISSING, DOSAGE_ONE};

const PHASE: &str = "phase";
const DOSAGES: &str = "dosages";
const PHASED_DOSAGES: &str = "phased dosages";

/// Passes over the phase of so many heterozygous calls.
pub(super) fn skip_phase(bytes: &mut Bytes<'_>, heterozygous: usize) -> Result<(), PgenProblem> {
    let first = bytes.packed(heterozygous.saturating_add(1), 1, PHASE)?;
    if first.get(0) == 1 {
        // The bits said which calls are phased, and those of the phase follow.
        bytes.packed(first.count_ones() - 1, 1, PHASE)?;
    }
    Ok(())
}

/// Reads the dosages that a record of this type has, or passes over them. In a PGEN, too, 2^14 is one copy.
pub(super) fn dosages(
    bytes: &mut Bytes<'_>,
    kind: u8,
    samples: usize,
    alternatives: usize,
    dosages: &mut Vec<u16>,
) -> Result<(), PgenProblem> {
    dosages.clear();
    let form = kind >> 5 & 3;
    let is_phased = kind >> 7 == 1;
    if form == 0 {
        return if is_phased { Err(PgenProblem::Reserved(PHASED_DOSAGES)) } else { Ok(()) };
    }
    if alternatives > 1 {
        return Err(PgenProblem::MultiallelicDosage);
    }
    let mut people = vec![];
    let count = match form {
        1 => {
            let list = Difflist::split(bytes, samples, Codes::Absent)?;
            list.for_each(|sample, _| {
                people.push(sample);
                Ok(())
            })?;
            people.len()
        }
        2 => samples,
        _ => {
            let present = bytes.packed(samples, 1, DOSAGES)?;
            people.extend((0..samples).filter(|sample| present.get(*sample) == 1));
            people.len()
        }
    };
    let values = bytes.packed(count, 16, DOSAGES)?;
    dosages.resize(samples, DOSAGE_MISSING);
    for index in 0..count {
        // No more than 16 bits.
        let value = values.get(index) as u16;
        if value > 2 * DOSAGE_ONE && !(form == 2 && value == DOSAGE_MISSING) {
            return Err(PgenProblem::Dosage);
        }
        let sample = if form == 2 { index } else { people.get(index).copied().unwrap_or(index) };
        if let Some(dosage) = dosages.get_mut(sample) {
            *dosage = value;
        }
    }
    if is_phased {
        let count = match form {
            2 => count,
            _ => bytes.packed(count, 1, PHASED_DOSAGES)?.count_ones(),
        };
        let values = bytes.packed(count, 16, PHASED_DOSAGES)?;
        for index in 0..count {
            // The difference of the two haplotypes, from -1 to 1.
            let value = values.get(index) as u16 as i16;
            let is_missing = form == 2 && value == i16::MIN;
            if value.unsigned_abs() > DOSAGE_ONE && !is_missing {
                return Err(PgenProblem::Dosage);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: u8, bytes: &[u8], expected: Result<&[u16], PgenProblem>) {
        let mut found = vec![];
        let mut bytes = Bytes(bytes);
        let result = dosages(&mut bytes, kind, 3, 1, &mut found);
        assert_eq!(result.map(|()| found.as_slice()), expected, "type {kind:#x}");
        assert!(expected.is_err() || bytes.0.is_empty());
    }

    #[test]
    fn dosages_of_every_form() {
        let missing = DOSAGE_MISSING;
        check(0, &[], Ok(&[]));
        check(0x20, &[1, 1, 0, 0x40], Ok(&[missing, 0x4000, missing]));
        check(0x40, &[0, 0, 0xff, 0xff, 0, 0x80], Ok(&[0, missing, 0x8000]));
        check(0x60, &[0b101, 1, 0, 2, 0], Ok(&[1, missing, 2]));
        check(0xe0, &[0b101, 1, 0, 2, 0, 0b10, 0, 0xc0], Ok(&[1, missing, 2]));
        check(0xc0, &[0, 0, 0xff, 0xff, 0, 0x80, 0, 0, 0, 0x80, 0, 0], Ok(&[0, missing, 0x8000]));
        check(0x80, &[], Err(PgenProblem::Reserved(PHASED_DOSAGES)));
        check(0x40, &[0, 0, 0xff, 0xff, 1, 0x80], Err(PgenProblem::Dosage));
        check(0x60, &[0b101, 1, 0, 0xff, 0xff], Err(PgenProblem::Dosage));
        check(0x60, &[0b1001, 1, 0, 2, 0], Err(PgenProblem::Padding(DOSAGES)));
        check(0x60, &[0b101, 1, 0, 2], Err(PgenProblem::Short(DOSAGES)));
        check(0xe0, &[0b101, 1, 0, 2, 0, 0b10, 0, 0x41], Err(PgenProblem::Dosage));
        let result = dosages(&mut Bytes(&[]), 0x40, 3, 2, &mut vec![]);
        assert_eq!(result, Err(PgenProblem::MultiallelicDosage));
    }

    #[test]
    fn phase_has_its_length() {
        let left = |bytes: &[u8], heterozygous| {
            let mut bytes = Bytes(bytes);
            skip_phase(&mut bytes, heterozygous).map(|()| bytes.0.len())
        };
        assert_eq!(left(&[0b1010, 7], 3), Ok(1));
        assert_eq!(left(&[0b1010, 7], 2), Err(PgenProblem::Padding(PHASE)));
        assert_eq!(left(&[0b1011, 0b11, 7], 3), Ok(1));
        assert_eq!(left(&[0b1011, 0b111, 7], 3), Err(PgenProblem::Padding(PHASE)));
        assert_eq!(left(&[1, 7], 3), Ok(1));
        assert_eq!(left(&[0], 8), Err(PgenProblem::Short(PHASE)));
    }
}
