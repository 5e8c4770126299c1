//! One identity of a variant: assembly, chromosome, position, reference and alternative.
//!
//! Two hospitals name the same change in different ways: `chr1` and `1`, `23` and `X`, lower case, padded alleles. A
//! [`Variant`] has one spelling, so that `==` means the same change and the order is that of the genome. A record with
//! several alternatives is several variants. An rs number is a [`Label`] and never part of the identity: it is merged,
//! split and reused.
//!
//! ```
//! use histone_genome::assembly::Assembly;
//! use histone_genome::variant::{Agreement, Variant};
//!
//! let ours = Variant::new(Assembly::Grch37, "chr22".parse()?, 100.try_into()?, "aCT", "AT")?;
//! assert_eq!(ours.trimmed().to_string(), "GRCh37:22:100:AC:A");
//! let a = Variant::new(Assembly::Grch37, "1".parse()?, 7.try_into()?, "A", "G")?;
//! let b = Variant::new(Assembly::Grch37, "1".parse()?, 7.try_into()?, "C", "T")?;
//! assert_eq!(Agreement::of(&a, &b), Agreement::FlippedAndSwapped);
//! # Ok::<(), histone_genome::variant::VariantError>(())
//! ```
//!
//! Deliberately not here: no table of contigs beyond the 25 of the human genome and no guess of an assembly.

mod agreement;
mod allele;
mod normal;
mod site;

use std::fmt;

use crate::assembly::{Assembly, Chromosome, PlaceError, Position};

pub use agreement::Agreement;
pub use allele::{Allele, Bases, MAX_ALLELE_BYTES};
pub use normal::Reference;
pub use site::Site;

/// Why something is no variant, or cannot be brought into its normal form. Carries no genotype.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariantError {
    /// No place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// An allele without letters.
    #[error("the {0} allele is missing; a variant needs one")]
    NoAllele(&'static str),
    /// An allele with other letters than A, C, G, T and N.
    #[error(
        "the {0} allele has another letter than A, C, G, T and N; write its bases, or leave the record out"
    )]
    Letters(&'static str),
    /// An allele that is longer than [`MAX_ALLELE_BYTES`].
    #[error(
        "the {0} allele is longer than {MAX_ALLELE_BYTES} letters; leave the record out, or use a symbolic allele"
    )]
    Long(&'static str),
    /// A symbolic allele in the place of the reference.
    #[error("the reference allele is symbolic; it must be the bases of the reference sequence")]
    SymbolicReference,
    /// A symbolic allele that is not closed or is empty.
    #[error("the symbolic allele is not of the form `<NAME>` in letters, digits and `_ : - . +`")]
    Symbol,
    /// Reference and alternative are the same.
    #[error("the alternative allele is the reference allele; the record holds no variant")]
    NoChange,
    /// The letters differ from the reference sequence.
    #[error(
        "the reference allele is not what the reference sequence holds at this position; the builds may differ"
    )]
    ReferenceMismatch,
    /// The reference sequence ends before the variant.
    #[error("the reference sequence does not hold this position; the builds may differ")]
    BeyondReference,
}

/// A change of the genome. Ordered by assembly, chromosome, position, then alleles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variant {
    assembly: Assembly,
    chromosome: Chromosome,
    position: Position,
    reference: Bases,
    alternative: Allele,
}

impl Variant {
    /// The change of `reference` to `alternative` at `position`; letters may be in either case.
    ///
    /// # Errors
    /// [`VariantError`] when an allele has other letters, is missing or too long, or when nothing changes.
    pub fn new(
        assembly: Assembly,
        chromosome: Chromosome,
        position: Position,
        reference: &str,
        alternative: &str,
    ) -> Result<Self, VariantError> {
        let reference = match Allele::parse(reference, "reference")? {
            Allele::Bases(bases) => bases,
            Allele::Overlapped | Allele::Symbolic(_) => return Err(VariantError::SymbolicReference),
        };
        let alternative = Allele::parse(alternative, "alternative")?;
        if alternative.bases() == Some(&reference) {
            return Err(VariantError::NoChange);
        }
        Ok(Self { assembly, chromosome, position, reference, alternative })
    }

    /// The assembly that the position is counted on.
    #[must_use]
    pub fn assembly(&self) -> Assembly {
        self.assembly
    }

    /// The chromosome.
    #[must_use]
    pub fn chromosome(&self) -> Chromosome {
        self.chromosome
    }

    /// Position of the first letter of the reference allele.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The reference allele.
    #[must_use]
    pub fn reference(&self) -> &Bases {
        &self.reference
    }

    /// The alternative allele, whose copies a call counts.
    #[must_use]
    pub fn alternative(&self) -> &Allele {
        &self.alternative
    }

    /// The two letters when one base becomes another one; `N` is no base.
    #[must_use]
    pub fn single_bases(&self) -> Option<[u8; 2]> {
        match (self.reference.as_bytes(), self.alternative.bases()?.as_bytes()) {
            ([r], [a]) if *r != b'N' && *a != b'N' => Some([*r, *a]),
            _ => None,
        }
    }

    /// True for A↔G and C↔T, false for the other changes of one base, `None` for everything else.
    #[must_use]
    pub fn is_transition(&self) -> Option<bool> {
        let [a, b] = self.single_bases()?;
        Some(matches!((a, b), (b'A', b'G') | (b'G', b'A') | (b'C', b'T') | (b'T', b'C')))
    }

    /// True when the variant reads the same on both strands (A/T, C/G, and longer pairs such as AG/CT): then letters
    /// cannot show which strand a site has used.
    #[must_use]
    pub fn is_strand_ambiguous(&self) -> bool {
        self.alternative
            .bases()
            .is_some_and(|alternative| self.reference.reverse_complement() == *alternative)
    }

    /// True where X and Y recombine, so that men have two copies of an X variant.
    #[must_use]
    pub fn is_pseudo_autosomal(&self) -> bool {
        self.assembly.is_pseudo_autosomal(self.chromosome, self.position)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { assembly, chromosome, position, reference, alternative } = self;
        write!(f, "{assembly}:{chromosome}:{position}:{reference}:{alternative}")
    }
}

/// What a file calls a variant, such as `rs123`: kept for display, never compared. `.` and the empty text are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label(Option<Box<str>>);

impl Label {
    /// The label of a field of a file.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(if matches!(text, "" | ".") { None } else { Some(text.into()) })
    }

    /// The text, when there is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The number of an rs label.
    #[must_use]
    pub fn rs(&self) -> Option<u64> {
        let digits = self.text()?.strip_prefix("rs")?;
        if digits.bytes().all(|c| c.is_ascii_digit()) { digits.parse().ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn variant(place: &str, reference: &str, alternative: &str) -> Result<Variant, VariantError> {
        let (chromosome, position) = place.split_once(':').unwrap();
        Variant::new(Assembly::Grch37, chromosome.parse()?, position.parse()?, reference, alternative)
    }

    #[test]
    fn one_spelling_and_the_order_of_the_genome() {
        let written = [
            ("chrM:5", "A", "G", "GRCh37:MT:5:A:G"),
            ("chr2:10", "a", "<DEL>", "GRCh37:2:10:A:<DEL>"),
            ("10:1", "A", "*", "GRCh37:10:1:A:*"),
            ("2:10", "A", "c", "GRCh37:2:10:A:C"),
            ("23:7", "A", "c", "GRCh37:X:7:A:C"),
            ("2:9", "T", "TA", "GRCh37:2:9:T:TA"),
        ];
        let mut variants: Vec<_> =
            written.iter().map(|(place, r, a, _)| variant(place, r, a).unwrap()).collect();
        for (variant, (.., shown)) in variants.iter().zip(written) {
            assert_eq!(variant.to_string(), shown);
        }
        variants.sort();
        let order: Vec<String> =
            variants.iter().map(|v| format!("{}:{}", v.chromosome(), v.position())).collect();
        assert_eq!(order, ["2:9", "2:10", "2:10", "10:1", "X:7", "MT:5"]);
    }

    #[test]
    fn what_is_no_variant_is_refused() {
        use VariantError::*;
        for (place, reference, alternative, error) in [
            ("1:0", "A", "C", Place(PlaceError::Position)),
            ("1:-1", "A", "C", Place(PlaceError::Position)),
            ("1:+1", "A", "C", Place(PlaceError::Position)),
            ("1:4294967296", "A", "C", Place(PlaceError::Position)),
            ("0:1", "A", "C", Place(PlaceError::Unplaced)),
            ("GL000192.1:1", "A", "C", Place(PlaceError::Chromosome)),
            ("1:1", "", "C", NoAllele("reference")),
            ("1:1", "A", ".", NoAllele("alternative")),
            ("1:1", "0", "A", NoAllele("reference")),
            ("1:1", "I", "D", Letters("reference")),
            ("1:1", "A", "R", Letters("alternative")),
            ("1:1", "<DEL>", "A", SymbolicReference),
            ("1:1", "*", "A", SymbolicReference),
            ("1:1", "A", "<DEL", Symbol),
            ("1:1", "A", "<>", Symbol),
            ("1:1", "A", "<a b>", Symbol),
            ("1:1", "a", "A", NoChange),
        ] {
            assert_eq!(
                variant(place, reference, alternative),
                Err(error),
                "{place} {reference} {alternative}"
            );
        }
        let long = "A".repeat(MAX_ALLELE_BYTES + 1);
        assert_eq!(variant("1:1", "C", &long), Err(Long("alternative")));
    }

    #[test]
    fn kinds_of_change() {
        let kinds = |r, a| {
            let v = variant("1:1", r, a).unwrap();
            (v.is_transition(), v.is_strand_ambiguous())
        };
        assert_eq!(kinds("A", "G"), (Some(true), false));
        assert_eq!(kinds("C", "T"), (Some(true), false));
        assert_eq!(kinds("A", "C"), (Some(false), false));
        assert_eq!(kinds("A", "T"), (Some(false), true));
        assert_eq!(kinds("G", "C"), (Some(false), true));
        assert_eq!(kinds("AG", "CT"), (None, true));
        assert_eq!(kinds("A", "AT"), (None, false));
        assert_eq!(kinds("A", "N"), (None, false));
        assert_eq!(kinds("A", "<DUP>"), (None, false));
    }

    #[test]
    fn labels_are_apart() {
        assert_eq!(Label::new(".").text(), None);
        assert_eq!(Label::new("rs12").rs(), Some(12));
        assert_eq!(Label::new("rs+12").rs().or(Label::new("ss12").rs()).or(Label::new("rs").rs()), None);
    }
}
