//! How the spellings of one variant at two sites relate.

use super::Variant;

/// What must be done to the calls of one site so that they count the alleles of another one.
///
/// Only what the letters show: a site that has used the other strand for A/T or C/G cannot be told from one that has
/// swapped its alleles, and allele frequencies must decide ([`Ambiguous`](Self::Ambiguous)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The same alleles in the same roles: calls are as they are.
    Same,
    /// Reference and alternative have changed roles: a call of c copies is one of 2 - c.
    Swapped,
    /// The alleles of the other strand in the same roles: calls are as they are.
    Flipped,
    /// The alleles of the other strand with changed roles: a call of c copies is one of 2 - c.
    FlippedAndSwapped,
    /// The same pair of alleles, which reads the same on both strands.
    Ambiguous,
    /// Another place, another assembly or other alleles.
    Different,
}

impl Agreement {
    /// Compares two variants as they are written; bring both into their normal form first.
    ///
    /// The other strand is considered only where both alleles have one length: alleles of unequal length share an
    /// anchoring letter, which lies on the other side when the strand changes, and so the positions differ as well.
    #[must_use]
    pub fn of(a: &Variant, b: &Variant) -> Self {
        if (a.assembly, a.chromosome, a.position) != (b.assembly, b.chromosome, b.position) {
            return Self::Different;
        }
        let (Some(a_alternative), Some(b_alternative)) = (a.alternative.bases(), b.alternative.bases())
        else {
            return if a == b { Self::Same } else { Self::Different };
        };
        let ours = (&a.reference, a_alternative);
        let swapped = (a_alternative, &a.reference);
        let theirs = (&b.reference, b_alternative);
        if a.is_strand_ambiguous() && (theirs == ours || theirs == swapped) {
            return Self::Ambiguous;
        }
        if theirs == ours {
            return Self::Same;
        }
        if theirs == swapped {
            return Self::Swapped;
        }
        if a.reference.as_bytes().len() == a_alternative.as_bytes().len() {
            let other = (&a.reference.reverse_complement(), &a_alternative.reverse_complement());
            if theirs == other {
                return Self::Flipped;
            }
            if theirs == (other.1, other.0) {
                return Self::FlippedAndSwapped;
            }
        }
        Self::Different
    }

    /// True when calls of one site must be turned round (c becomes 2 - c) for the other one.
    #[must_use]
    pub fn swaps_calls(self) -> bool {
        matches!(self, Self::Swapped | Self::FlippedAndSwapped)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::assembly::Assembly;

    #[test]
    fn all_relations() {
        use Agreement::*;
        let variant = |(r, a): (&str, &str)| {
            Variant::new(Assembly::Grch37, "3".parse().unwrap(), 9.try_into().unwrap(), r, a).unwrap()
        };
        for (ours, theirs, expected) in [
            (("A", "G"), ("A", "G"), Same),
            (("A", "G"), ("G", "A"), Swapped),
            (("A", "G"), ("T", "C"), Flipped),
            (("A", "G"), ("C", "T"), FlippedAndSwapped),
            (("A", "G"), ("A", "C"), Different),
            (("A", "T"), ("A", "T"), Ambiguous),
            (("A", "T"), ("T", "A"), Ambiguous),
            (("C", "G"), ("G", "C"), Ambiguous),
            (("A", "T"), ("A", "G"), Different),
            (("AC", "TT"), ("GT", "AA"), Flipped),
            (("A", "AC"), ("A", "AC"), Same),
            (("A", "AC"), ("AC", "A"), Swapped),
            (("A", "AC"), ("T", "GT"), Different),
            (("A", "<DEL>"), ("A", "<DEL>"), Same),
            (("A", "<DEL>"), ("A", "<DUP>"), Different),
            (("A", "<DEL>"), ("A", "G"), Different),
        ] {
            assert_eq!(Agreement::of(&variant(ours), &variant(theirs)), expected, "{ours:?} {theirs:?}");
            assert_eq!(Agreement::of(&variant(theirs), &variant(ours)), expected, "{theirs:?} {ours:?}");
        }
        let a = variant(("A", "G"));
        let b = Variant::new(Assembly::Grch38, a.chromosome(), a.position(), "A", "G").unwrap();
        assert_eq!(Agreement::of(&a, &b), Different);
    }
}
