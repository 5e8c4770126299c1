//! The main track of a record: a code for each person, in one of eight forms.

use super::bits::Bytes;
use super::difflist::{Codes, Difflist};
use super::error::PgenProblem;
use crate::genotypes::{WORD_CALLS, last_word};

/// The lower bit of each call of a word.
pub(super) const LOW_BITS: u64 = 0x5555_5555_5555_5555;
const TRACK: &str = "main track";

/// Whether a record of this type says only what differs from an earlier one.
pub(super) fn is_of_differences(kind: u8) -> bool {
    matches!(kind & 7, 2 | 3)
}

/// Reads the track into `codes`, which has the words of a row. `base` is the row of the last record that is not of
/// differences.
pub(super) fn read(
    bytes: &mut Bytes<'_>,
    kind: u8,
    samples: usize,
    base: Option<&[u64]>,
    codes: &mut [u64],
) -> Result<(), PgenProblem> {
    match kind & 7 {
        0 => {
            let packed = bytes.packed(samples, 2, TRACK)?;
            codes.iter_mut().zip(packed.words()).for_each(|(to, from)| *to = from);
            Ok(())
        }
        1 => {
            // The lower code and how far the higher one is above it.
            let (low, above) = match bytes.byte(TRACK)? {
                pair @ (1 | 2 | 3 | 5 | 6 | 9) => (u64::from(pair >> 2), u64::from(pair & 3)),
                _ => return Err(PgenProblem::Reserved(TRACK)),
            };
            let packed = bytes.packed(samples, 1, TRACK)?;
            let halves = packed.words().flat_map(|word| [word & 0xffff_ffff, word >> 32]);
            for (to, half) in codes.iter_mut().zip(halves) {
                *to = low * LOW_BITS + above * spread(half);
            }
            behind_is_zero(codes, samples);
            differences(bytes, samples, codes)
        }
        form @ (2 | 3) => {
            codes.copy_from_slice(base.filter(|base| base.len() == codes.len()).ok_or(PgenProblem::NoBase)?);
            differences(bytes, samples, codes)?;
            if form == 3 {
                codes.iter_mut().for_each(|word| *word = inverted(*word));
                behind_is_zero(codes, samples);
            }
            Ok(())
        }
        5 => {
            codes.fill(0);
            Ok(())
        }
        form => {
            codes.fill(u64::from(form & 3) * LOW_BITS);
            behind_is_zero(codes, samples);
            differences(bytes, samples, codes)
        }
    }
}

/// Sets the code of one person.
pub(super) fn set(codes: &mut [u64], sample: usize, code: u64) {
    let shift = 2 * (sample % WORD_CALLS);
    if let Some(word) = codes.get_mut(sample / WORD_CALLS) {
        *word = *word & !(3 << shift) | code << shift;
    }
}

fn differences(bytes: &mut Bytes<'_>, samples: usize, codes: &mut [u64]) -> Result<(), PgenProblem> {
    Difflist::split(bytes, samples, Codes::Present)?.for_each(|sample, code| {
        set(codes, sample, code);
        Ok(())
    })
}

fn behind_is_zero(codes: &mut [u64], samples: usize) {
    if let Some(word) = codes.last_mut() {
        *word &= last_word(samples);
    }
}

/// Bit i of the lower half goes to bit 2 i.
fn spread(half: u64) -> u64 {
    [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, LOW_BITS),
    ]
    .into_iter()
    .fold(half, |word, (shift, mask)| (word | word << shift) & mask)
}

/// 0 and 2 change places.
fn inverted(word: u64) -> u64 {
    word ^ (!word & LOW_BITS) << 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(kind: u8, bytes: &[u8], base: Option<u64>, expected: Result<u64, PgenProblem>) {
        let mut codes = [0];
        let base = base.map(|word| [word]);
        let mut bytes = Bytes(bytes);
        let found = read(&mut bytes, kind, 5, base.as_ref().map(<[u64; 1]>::as_slice), &mut codes);
        assert_eq!(found.map(|()| codes[0]), expected, "type {kind}");
        assert!(expected.is_err() || bytes.0.is_empty());
    }

    #[test]
    fn forms() {
        check(0, &[0b11_10_01_00, 0b01], None, Ok(0b01_11_10_01_00));
        check(0, &[0, 0b100], None, Err(PgenProblem::Padding(TRACK)));
        check(0, &[0], None, Err(PgenProblem::Short(TRACK)));
        // Codes 1 and 3; the second person is 0.
        check(1, &[6, 0b10001, 1, 1, 0], None, Ok(0b11_01_01_00_11));
        check(1, &[4, 0b10001, 0], None, Err(PgenProblem::Reserved(TRACK)));
        check(2, &[2, 0, 0b0011, 4], Some(0b01_11_10_01_00), Ok(0b00_11_10_01_11));
        // The differences come first, then all is inverted.
        check(3, &[1, 0, 2], Some(0b01_11_10_01_00), Ok(0b01_11_00_01_00));
        check(2, &[0], None, Err(PgenProblem::NoBase));
        check(4, &[1, 2, 1], None, Ok(0b00_00_01_00_00));
        check(5, &[], None, Ok(0));
        check(6, &[1, 2, 0], None, Ok(0b10_10_00_10_10));
        check(7, &[1, 4, 2], None, Ok(0b10_11_11_11_11));
    }

    #[test]
    fn bits_move_apart() {
        assert_eq!(spread(0xffff_ffff), LOW_BITS);
        assert_eq!(spread(0x8000_0001), 1 | 1 << 62);
        assert_eq!(inverted(0b11_10_01_00) & 0xff, 0b11_00_01_10);
    }
}
