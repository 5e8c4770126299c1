//! Dosages beside calls, and calls made of dosages.

use super::{Block, DOSAGE_MISSING, DOSAGE_ONE, GenotypeError, WORD_CALLS};

/// How far a dosage, in units of 1 / [`DOSAGE_ONE`], may lie from a whole number to be called: 0.1, rounded down. It is the
/// default of PLINK 2's `--hard-call-threshold` (<https://www.cog-genomics.org/plink/2.0/input#dosage_import_settings>).
pub const HARD_CALL_DISTANCE: u16 = DOSAGE_ONE / 10;

/// Whether dosages of a file are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dosages {
    /// Only calls are.
    Ignored,
    /// A block has them beside the calls.
    Read,
}

/// The call that a dosage is near to, as two bits; 3 where it is near to none.
fn hard_call(dosage: u16) -> u64 {
    let nearest = (dosage.saturating_add(DOSAGE_ONE / 2)) / DOSAGE_ONE;
    if nearest <= 2 && dosage.abs_diff(nearest * DOSAGE_ONE) <= HARD_CALL_DISTANCE {
        u64::from(nearest)
    } else {
        3
    }
}

impl Block {
    /// Adds a variant with the calls that its dosages, one a sample, are near to.
    pub(crate) fn push_hard_calls(&mut self, dosages: &[u16]) -> Result<(), GenotypeError> {
        if dosages.len() != self.samples() {
            return Err(GenotypeError::Samples { found: dosages.len(), samples: self.samples() });
        }
        self.push_with(|row| {
            for (word, dosages) in row.iter_mut().zip(dosages.chunks(WORD_CALLS)) {
                *word = dosages.iter().rev().fold(0, |word, dosage| word << 2 | hard_call(*dosage));
            }
        })
    }

    /// Gives the last variant dosages, if they say more than its calls do.
    pub(crate) fn add_dosages(&mut self, dosages: &[u16]) -> Result<(), GenotypeError> {
        let Some(variant) = self.variants().checked_sub(1) else { return Err(GenotypeError::NoVariant) };
        let row = self.row(variant).unwrap_or_default();
        let calls = row.iter().flat_map(|word| (0..WORD_CALLS).map(move |i| word >> (2 * i) & 3));
        let says_more = dosages.iter().zip(calls).any(|(dosage, call)| {
            *dosage != DOSAGE_MISSING && (call == 3 || u64::from(*dosage) != call * u64::from(DOSAGE_ONE))
        });
        if says_more { self.set_dosages(variant, dosages) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn calls_are_near_their_dosage() {
        let check = |dosage, call| assert_eq!(hard_call(dosage), call, "{dosage}");
        check(0, 0);
        check(1_638, 0);
        check(1_639, 3);
        check(16_384 - 1_639, 3);
        check(16_384 - 1_638, 1);
        check(16_384 + 1_638, 1);
        check(16_384 + 1_639, 3);
        check(32_768 - 1_638, 2);
        check(32_768, 2);
        check(DOSAGE_MISSING, 3);
    }

    #[test]
    fn dosages_that_calls_say_are_not_kept() {
        let mut block = Block::new(3);
        block.push_hard_calls(&[0, 16_384, DOSAGE_MISSING]).unwrap();
        block.add_dosages(&[0, 16_384, DOSAGE_MISSING]).unwrap();
        assert_eq!((block.words(), block.dosages(0)), (&[0b11_01_00][..], None));
        block.add_dosages(&[0, DOSAGE_MISSING, DOSAGE_MISSING]).unwrap();
        assert_eq!(block.dosages(0), None);
        block.add_dosages(&[0, 16_384, 5]).unwrap();
        assert_eq!(block.dosages(0), Some(&[0, 16_384, 5][..]));
        assert!(block.push_hard_calls(&[0]).is_err() && Block::new(0).add_dosages(&[]).is_err());
    }
}
