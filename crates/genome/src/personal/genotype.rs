//! Chromosomes and genotypes as personal files write them.

use std::fmt;

use super::error::CallProblem;

/// A chromosome. Shown as `1` to `22`, `X`, `Y`, `XY` and `MT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chromosome {
    /// 1 to 22.
    Autosome(u8),
    /// X, also 23.
    X,
    /// Y, also 24.
    Y,
    /// The parts that X and Y have in common: XY, PAR, also 25. Whether positions count on X or on Y is not said.
    PseudoAutosomal,
    /// The mitochondrion: M, MT, also 26.
    Mitochondrial,
}

impl fmt::Display for Chromosome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Autosome(number) => write!(f, "{number}"),
            Self::X => f.write_str("X"),
            Self::Y => f.write_str("Y"),
            Self::PseudoAutosomal => f.write_str("XY"),
            Self::Mitochondrial => f.write_str("MT"),
        }
    }
}

impl Chromosome {
    /// `None` for a marker without a place.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, CallProblem> {
        let name = text
            .get(..3)
            .filter(|chr| chr.eq_ignore_ascii_case("chr"))
            .map_or(text, |_| text.get(3..).unwrap_or(""));
        Ok(Some(match name {
            "" | "0" | "-" | "--" | "." | "NA" | "UN" | "Un" => return Ok(None),
            "X" | "x" | "23" => Self::X,
            "Y" | "y" | "24" => Self::Y,
            "XY" | "xy" | "PAR" | "par" | "PAR1" | "PAR2" | "25" => Self::PseudoAutosomal,
            "MT" | "mt" | "M" | "m" | "26" => Self::Mitochondrial,
            _ if name.starts_with('0') || !name.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(CallProblem::Chromosome);
            }
            _ => match name.parse() {
                Ok(number @ 1..=22) => Self::Autosome(number),
                _ => return Err(CallProblem::Chromosome),
            },
        }))
    }
}

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

    #[test]
    fn chromosomes() {
        for (text, shown) in [
            ("1", "1"),
            ("chr22", "22"),
            ("23", "X"),
            ("Y", "Y"),
            ("PAR", "XY"),
            ("25", "XY"),
            ("CHRM", "MT"),
            ("26", "MT"),
        ] {
            assert_eq!(Chromosome::parse(text).ok().flatten().map(|c| c.to_string()).as_deref(), Some(shown));
        }
        for text in ["0", "--", "", "chr"] {
            assert_eq!(Chromosome::parse(text), Ok(None), "{text}");
        }
        for text in ["27", "01", "+1", "1 ", "chrchr1", "Z", "99999999999", "ch\u{e4}"] {
            assert_eq!(Chromosome::parse(text), Err(CallProblem::Chromosome), "{text}");
        }
    }
}
