//! Genotypes as personal files write them.

use std::fmt;

use super::error::CallProblem;

/// One letter of a genotype.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallAllele {
    /// Adenine.
    A,
    /// Cytosine.
    C,
    /// Guanine.
    G,
    /// Thymine.
    T,
    /// The longer allele of an insertion or deletion.
    Inserted,
    /// The shorter one.
    Deleted,
}

impl CallAllele {
    fn parse(byte: u8) -> Option<Self> {
        Some(match byte {
            b'A' => Self::A,
            b'C' => Self::C,
            b'G' => Self::G,
            b'T' => Self::T,
            b'I' => Self::Inserted,
            b'D' => Self::Deleted,
            _ => return None,
        })
    }
}

/// What a person has at a marker. It does not print: errors and logs travel further than genotypes may.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Genotype {
    /// Not called. A call of which one letter of two is missing counts as this.
    Missing,
    /// One copy: Y, mitochondrion, X of men.
    One(CallAllele),
    /// Two copies in alphabetical order, as their order in a file means nothing.
    Two(CallAllele, CallAllele),
}

impl Genotype {
    /// The genotype of one cell, such as `AG`, `A/G`, `C`, `--` or `DI`.
    pub(super) fn parse(cell: &str) -> Result<Self, CallProblem> {
        match cell.as_bytes() {
            [a] => Self::of(&[*a], &[]),
            [a, b] | [a, b'/' | b'|', b] => Self::of(&[*a], &[*b]),
            _ => Err(CallProblem::Genotype),
        }
    }

    /// The genotype of two cells.
    pub(super) fn of(first: &[u8], second: &[u8]) -> Result<Self, CallProblem> {
        let letter = |cell: &[u8]| match cell {
            b"-" | b"--" | b"0" | b"." => Ok(None),
            [byte] => CallAllele::parse(*byte).map(Some).ok_or(CallProblem::Genotype),
            _ => Err(CallProblem::Genotype),
        };
        if second.is_empty() {
            return Ok(letter(first)?.map_or(Self::Missing, Self::One));
        }
        Ok(match (letter(first)?, letter(second)?) {
            (Some(a), Some(b)) => Self::Two(a.min(b), a.max(b)),
            _ => Self::Missing,
        })
    }
}

impl fmt::Debug for Genotype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Genotype(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallAllele::{A, C, Deleted, G, Inserted};

    #[test]
    fn genotypes() {
        // `assert!` and not `assert_eq!`: genotypes do not print.
        for (text, expected) in [
            ("AG", Genotype::Two(A, G)),
            ("GA", Genotype::Two(A, G)),
            ("A/G", Genotype::Two(A, G)),
            ("C|C", Genotype::Two(C, C)),
            ("ID", Genotype::Two(Inserted, Deleted)),
            ("D", Genotype::One(Deleted)),
            ("--", Genotype::Missing),
            ("00", Genotype::Missing),
            ("-", Genotype::Missing),
            ("0", Genotype::Missing),
            ("A-", Genotype::Missing),
        ] {
            assert!(Genotype::parse(text) == Ok(expected), "{text}");
        }
        for text in ["", "a", "N", "AB", "AGT", "A G", "ÄG", "A//G", "AA/", "1"] {
            assert!(Genotype::parse(text) == Err(CallProblem::Genotype), "{text}");
        }
        assert!(Genotype::of(b"--", b"--") == Ok(Genotype::Missing));
        assert!(Genotype::of(b"AA", b"A") == Err(CallProblem::Genotype));
        assert_eq!(format!("{:?}", Genotype::One(A)), "Genotype(not shown)");
    }
}
