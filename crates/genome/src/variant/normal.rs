//! The shortest spelling of a variant, and the leftmost one where a reference sequence is at hand.
//!
//! Source: Tan, Abecasis and Kang 2015, "Unified representation of genetic variants", Bioinformatics 31(13).

use super::{Allele, Bases, Chromosome, Position, Variant, VariantError};

/// A reference sequence, handed in by the caller; this crate holds none.
pub trait Reference {
    /// The letter at a position, in either case; `None` where the sequence has none.
    fn base(&self, chromosome: Chromosome, position: Position) -> Option<u8>;
}

impl Variant {
    /// The same change without letters that both alleles share: first those at the end, then those at the beginning,
    /// one letter of each allele always staying. Symbolic alleles stay as they are.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let Some(alternative) = self.alternative.bases() else { return self.clone() };
        let (mut r, mut a) = (self.reference.as_bytes(), alternative.as_bytes());
        while let ([rs @ .., x], [alts @ .., y]) = (r, a)
            && x == y
            && !rs.is_empty()
            && !alts.is_empty()
        {
            (r, a) = (rs, alts);
        }
        self.without_shared_start(self.position, r, a)
    }

    /// The same change at its leftmost place, trimmed. Symbolic alleles stay where they are, checked all the same.
    ///
    /// # Errors
    /// [`ReferenceMismatch`](VariantError::ReferenceMismatch) or [`BeyondReference`](VariantError::BeyondReference)
    /// when the reference allele is not what the sequence holds.
    pub fn left_aligned(&self, sequence: &impl Reference) -> Result<Self, VariantError> {
        let at = |position| {
            sequence
                .base(self.chromosome, position)
                .map(|base| base.to_ascii_uppercase())
                .ok_or(VariantError::BeyondReference)
        };
        for (offset, base) in (0_u32..).zip(self.reference.as_bytes()) {
            let position = self.position.get().checked_add(offset).ok_or(VariantError::BeyondReference)?;
            if at(Position::try_from(position)?)? != *base {
                return Err(VariantError::ReferenceMismatch);
            }
        }
        let Some(alternative) = self.alternative.bases() else { return Ok(self.clone()) };
        let (mut r, mut a) = (self.reference.as_bytes().to_vec(), alternative.as_bytes().to_vec());
        let mut position = self.position;
        while r.last() == a.last() {
            if r.len() == 1 || a.len() == 1 {
                // The letter before comes in, unless the chromosome begins here.
                let Ok(before) = Position::try_from(position.get() - 1) else { break };
                let base = at(before)?;
                if !b"ACGTN".contains(&base) {
                    return Err(VariantError::ReferenceMismatch);
                }
                position = before;
                r.insert(0, base);
                a.insert(0, base);
            }
            r.pop();
            a.pop();
        }
        Ok(self.without_shared_start(position, &r, &a))
    }

    fn without_shared_start(&self, position: Position, mut r: &[u8], mut a: &[u8]) -> Self {
        let mut number = position.get();
        while let ([x, rs @ ..], [y, alts @ ..]) = (r, a)
            && x == y
            && !rs.is_empty()
            && !alts.is_empty()
        {
            (r, a) = (rs, alts);
            number = number.saturating_add(1);
        }
        Self {
            assembly: self.assembly,
            chromosome: self.chromosome,
            position: Position::try_from(number).unwrap_or(position),
            reference: Bases::from_checked(r),
            alternative: Allele::Bases(Bases::from_checked(a)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::assembly::Assembly;

    struct Sequence(&'static [u8]);

    impl Reference for Sequence {
        fn base(&self, _: Chromosome, position: Position) -> Option<u8> {
            self.0.get(position.get() as usize - 1).copied()
        }
    }

    fn variant(position: u32, reference: &str, alternative: &str) -> Variant {
        let position = position.try_into().unwrap();
        Variant::new(Assembly::Grch38, "1".parse().unwrap(), position, reference, alternative).unwrap()
    }

    #[test]
    fn shared_letters_go() {
        for (from, to) in [
            ((10, "ACGT", "AGGT"), (11, "C", "G")),
            ((10, "CTT", "CT"), (10, "CT", "C")),
            ((10, "AAA", "A"), (10, "AAA", "A")),
            ((10, "GATT", "GAGG"), (12, "TT", "GG")),
            ((10, "A", "ATA"), (10, "A", "ATA")),
        ] {
            let (from, to) = (variant(from.0, from.1, from.2), variant(to.0, to.1, to.2));
            assert_eq!(from.trimmed(), to);
        }
        assert_eq!(variant(10, "CTT", "<DEL>").trimmed(), variant(10, "CTT", "<DEL>"));
    }

    /// The example of figure 1 of the source: one deletion of `CA` in `GGGCACACACAGGG`, in five spellings.
    #[test]
    fn spellings_of_one_deletion_are_one() {
        let sequence = Sequence(b"gggCACACACAGGG");
        for spelling in [
            variant(6, "CAC", "C"),
            variant(7, "ACA", "A"),
            variant(3, "GCACA", "GCA"),
            variant(2, "GGCA", "GG"),
            variant(3, "GCA", "G"),
        ] {
            assert_eq!(spelling.left_aligned(&sequence), Ok(variant(3, "GCA", "G")), "{spelling}");
        }
        assert_eq!(variant(3, "GCT", "G").left_aligned(&sequence), Err(VariantError::ReferenceMismatch));
        assert_eq!(variant(14, "GC", "G").left_aligned(&sequence), Err(VariantError::BeyondReference));
        // At the beginning of a chromosome there is no letter before.
        assert_eq!(variant(1, "GG", "G").left_aligned(&sequence), Ok(variant(1, "GG", "G")));
        assert_eq!(variant(2, "GG", "G").left_aligned(&sequence), Ok(variant(1, "GG", "G")));
    }

    proptest! {
        /// A normal form spells the same changed sequence as the variant it is made of, and is normal itself.
        #[test]
        fn the_changed_sequence_stays(
            start in 0_usize..24, length in 1_usize..6, alternative in "[ACGT]{1,6}",
        ) {
            const SEQUENCE: &[u8] = b"ACACACACTTTTTTGATGATGATGGGCCAA";
            let length = length.min(SEQUENCE.len() - start);
            let reference = std::str::from_utf8(&SEQUENCE[start..start + length]).unwrap();
            prop_assume!(reference != alternative);
            let before = variant(start as u32 + 1, reference, &alternative);
            let changed = |v: &Variant| {
                let start = v.position().get() as usize - 1;
                let mut sequence = SEQUENCE[..start].to_vec();
                sequence.extend(v.alternative().bases().unwrap().as_bytes());
                sequence.extend(&SEQUENCE[start + v.reference().as_bytes().len()..]);
                sequence
            };
            let normal = before.left_aligned(&Sequence(SEQUENCE)).unwrap();
            prop_assert_eq!(changed(&normal), changed(&before));
            prop_assert_eq!(changed(&before.trimmed()), changed(&before));
            prop_assert_eq!(normal.left_aligned(&Sequence(SEQUENCE)).unwrap(), normal.clone());
            prop_assert_eq!(normal.trimmed(), normal);
        }
    }
}
