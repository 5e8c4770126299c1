//! Calls and dosages of the samples (VCF 4.3, section 6.3.3, "Genotype encoding").

use super::super::Version;
use super::super::calls::Call;
use super::super::error::Rule;
use super::BcfProblem;
use super::value::{Atom, Int, int};

/// The values of one key of FORMAT: `count` atoms for each sample.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) atom: Atom,
    pub(super) count: usize,
    pub(super) data: &'a [u8],
}

/// What is asked of the calls.
#[derive(Clone, Copy)]
pub(super) struct Question {
    pub(super) samples: usize,
    pub(super) alternative: usize,
    pub(super) alternatives: usize,
    pub(super) version: Version,
}

/// Gives the call of each sample to `set`, in order.
pub(super) fn calls(
    values: Values<'_>,
    question: Question,
    mut set: impl FnMut(usize, Call),
) -> Result<(), BcfProblem> {
    let width = values.atom.size() * values.count;
    for sample in 0..question.samples {
        let bytes = values.data.get(sample * width..(sample + 1) * width).unwrap_or_default();
        let call = call(bytes, values.atom, question)
            .map_err(|rule| BcfProblem::Sample { sample: sample + 1, rule })?;
        set(sample, call);
    }
    Ok(())
}

/// An allele is `(number + 1) << 1`, with the lowest bit for "phased to the allele before"; number + 1 = 0 is missing.
fn call(bytes: &[u8], atom: Atom, question: Question) -> Result<Call, Rule> {
    let mut alleles = [None; 2];
    let mut phased = [false; 2];
    let mut count = 0;
    let mut has_ended = false;
    for item in bytes.chunks_exact(atom.size().max(1)) {
        let value = match int(item, atom) {
            Some(Int::End) => {
                has_ended = true;
                continue;
            }
            // The whole vector is missing, or a later allele, which no writer does.
            Some(Int::Missing) => 0,
            Some(Int::Value(value)) if !has_ended => value,
            _ => return Err(Rule::GtMalformed),
        };
        let number = usize::try_from(value >> 1).map_err(|_| Rule::GtMalformed)?;
        if number > question.alternatives + 1 {
            return Err(Rule::GtAllele);
        }
        let (Some(allele), Some(is_phased)) = (alleles.get_mut(count), phased.get_mut(count)) else {
            return Err(Rule::GtPloidy);
        };
        *allele = (number > 0).then_some(number == question.alternative + 1);
        *is_phased = value & 1 == 1;
        count += 1;
    }
    let [first, second] = alleles;
    let [first_is_phased, second_is_phased] = phased;
    match count {
        0 => Err(Rule::SampleGtMissing),
        // A haploid call is phased by itself; from 4.4 on it says so.
        1 => {
            let is_phased = question.version < Version::V44 || first_is_phased;
            Ok(Call { first, second: None, is_phased })
        }
        _ => Ok(Call { first, second: Some(second), is_phased: second_is_phased }),
    }
}

/// DS: a number for each ALT allele.
pub(super) fn dosages(
    values: Values<'_>,
    question: Question,
    dosages: &mut Vec<f32>,
) -> Result<(), BcfProblem> {
    const MISSING: u32 = 0x7f80_0001;
    const END: u32 = 0x7f80_0002;
    dosages.clear();
    if values.atom != Atom::Float || values.count != question.alternatives {
        return Err(BcfProblem::Value);
    }
    let width = 4 * values.count;
    for sample in 0..question.samples {
        let at = sample * width + 4 * (question.alternative - 1);
        let bits = values.data.get(at..).and_then(|rest| rest.first_chunk::<4>());
        let bits = bits.copied().map(u32::from_le_bytes).ok_or(BcfProblem::Truncated)?;
        let dosage = match bits {
            MISSING | END => f32::NAN,
            bits => f32::from_bits(bits),
        };
        if !dosage.is_nan() && !(0.0..=2.0).contains(&dosage) {
            return Err(BcfProblem::Sample { sample: sample + 1, rule: Rule::DosageMalformed });
        }
        dosages.push(dosage);
    }
    Ok(())
}
