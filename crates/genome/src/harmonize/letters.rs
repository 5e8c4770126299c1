//! Whether the letters of a site's variants are those of a reference sequence, or the site has another build or strand.

use super::agreement_with;
use crate::variant::{Agreement, Reference, Variant};

/// Variants that say something; with fewer nothing is said.
const LEAST: u64 = 50;

/// Counts how the variants of a site fit a reference sequence.
///
/// At a place of another build there is any letter. An A/G then seems to be right, swapped, of the other strand, or both, a
/// quarter each, as a site may be that has used both strands; but an A/T or C/G, whose letters are the same on both strands, fits
/// in one of two cases only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LetterCheck {
    /// A/T and C/G of which a letter is there.
    ambiguous_fit: u64,
    /// A/T and C/G of which none is.
    ambiguous_miss: u64,
    /// Other changes of one base, by the strand on which they fit.
    forward: u64,
    backward: u64,
}

/// What the letters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    /// Positions and strand are those of the sequence.
    Fit,
    /// Positions are; most letters are of the other strand, or both strands were used.
    OtherStrand,
    /// Positions are not those of the sequence.
    OtherBuild,
    /// Too few variants to tell.
    Unknown,
}

impl LetterCheck {
    /// Counts a variant; all but changes of one base are passed over.
    pub fn add(&mut self, variant: &Variant, sequence: &impl Reference) {
        if variant.single_bases().is_none() {
            return;
        }
        let count = match (variant.is_strand_ambiguous(), agreement_with(variant, sequence)) {
            (true, Agreement::Different) => &mut self.ambiguous_miss,
            (true, _) => &mut self.ambiguous_fit,
            (false, Agreement::Same | Agreement::Swapped) => &mut self.forward,
            // Beyond the end of the sequence, or at an N.
            (false, Agreement::Different) => &mut self.ambiguous_miss,
            (false, _) => &mut self.backward,
        };
        *count += 1;
    }

    /// What was found.
    #[must_use]
    pub fn letters(&self) -> Letters {
        let ambiguous = self.ambiguous_fit + self.ambiguous_miss;
        let others = self.forward + self.backward;
        let mostly = |part: u64, all: u64| part * 10 >= all * 9;
        let fit = others >= LEAST && mostly(self.forward, others);
        let turned = others >= LEAST && mostly(self.backward, others);
        if ambiguous >= LEAST && !mostly(self.ambiguous_fit, ambiguous) {
            Letters::OtherBuild
        } else if fit {
            Letters::Fit
        } else if turned || others >= LEAST && ambiguous >= LEAST {
            Letters::OtherStrand
        } else {
            Letters::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::assembly::{Assembly, Chromosome, Position};
    use crate::simulate::random::Random;

    struct Letter(Vec<u8>);

    impl Reference for Letter {
        fn base(&self, _: Chromosome, position: Position) -> Option<u8> {
            self.0.get(position.get() as usize - 1).copied()
        }
    }

    /// Variants on a random sequence whose positions are `shift` too high, letters of the other strand where `turn` says so.
    fn check(shift: u32, count: u32, turn: impl Fn(u32) -> bool, with_ambiguous: bool) -> Letters {
        let mut random = Random::stream(3, 4);
        let sequence = Letter((0..5_000).map(|_| b"ACGT"[random.below(4)]).collect());
        let mut found = LetterCheck::default();
        for index in 0..count {
            let position = 1 + index * 7;
            let complement = |letter: u8| b"TGCA"[b"ACGT".iter().position(|l| *l == letter).unwrap()];
            let mut reference = sequence.0[position as usize - 1];
            let mut alternative = b"ACGT".iter().copied().find(|l| *l != reference).unwrap();
            if with_ambiguous && index % 3 == 0 {
                alternative = complement(reference);
            } else if alternative == complement(reference) {
                alternative = b"ACGT".iter().rev().copied().find(|l| *l != reference).unwrap();
            }
            if turn(index) {
                (reference, alternative) = (complement(reference), complement(alternative));
            }
            let text = |letter: u8| char::from(letter).to_string();
            let position = (position + shift).try_into().unwrap();
            let chromosome = "5".parse().unwrap();
            let variant =
                Variant::new(Assembly::Grch38, chromosome, position, &text(reference), &text(alternative));
            found.add(&variant.unwrap(), &sequence);
        }
        found.letters()
    }

    #[test]
    fn builds_and_strands_are_told_apart() {
        assert_eq!(check(0, 600, |_| false, true), Letters::Fit);
        assert_eq!(check(0, 600, |_| true, true), Letters::OtherStrand);
        assert_eq!(check(0, 600, |index| index % 2 == 0, true), Letters::OtherStrand);
        assert_eq!(check(3, 600, |_| false, true), Letters::OtherBuild);
        assert_eq!(check(3, 600, |index| index % 2 == 0, true), Letters::OtherBuild);
        // Arrays often have no A/T and C/G at all.
        assert_eq!(check(0, 600, |_| false, false), Letters::Fit);
        assert_eq!(check(3, 600, |_| false, false), Letters::Unknown);
        assert_eq!(check(0, 40, |_| false, true), Letters::Unknown);
    }
}
