//! Chromosomes and their many names.

use std::fmt;
use std::str::FromStr;

use super::PlaceError;

/// A chromosome of the human genome; ordered 1 to 22, X, Y, MT.
///
/// Read from `7`, `chr7`, `X`, `chrX`, `M`, `MT` and PLINK's numbers 23 (X), 24 (Y), 25 (XY) and 26 (MT). XY, also PAR, the
/// pseudo-autosomal part, is X here, on which its positions count: [`Assembly::is_pseudo_autosomal`] tells it from the rest.
///
/// [`Assembly::is_pseudo_autosomal`]: super::Assembly::is_pseudo_autosomal
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chromosome(u8);

impl Chromosome {
    /// The X chromosome.
    pub const X: Self = Self(23);
    /// The Y chromosome.
    pub const Y: Self = Self(24);
    /// The mitochondrion.
    pub const MT: Self = Self(26);

    /// The autosome of a number from 1 to 22.
    #[must_use]
    pub fn autosome(number: u8) -> Option<Self> {
        (1..=22).contains(&number).then_some(Self(number))
    }

    /// True for 1 to 22.
    #[must_use]
    pub fn is_autosome(self) -> bool {
        self.0 <= 22
    }

    /// PLINK's number: 1 to 22, 23 for X, 24 for Y, 26 for MT.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Reads a name. `Ok(None)` for the signs of having no place: nothing, `0`, `-`, `--`, `.`, `NA` and `Un`.
    ///
    /// # Errors
    /// [`PlaceError::Chromosome`] for everything else, such as contigs that are no chromosome.
    pub fn parse(text: &str) -> Result<Option<Self>, PlaceError> {
        let name = match text.split_at_checked(3) {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case("chr") => name,
            _ => text,
        };
        Ok(Some(match name {
            "" | "0" | "-" | "--" | "." | "NA" | "UN" | "Un" => return Ok(None),
            "X" | "x" | "XY" | "xy" | "PAR" | "par" | "PAR1" | "PAR2" | "25" => Self::X,
            "Y" | "y" => Self::Y,
            "M" | "m" | "MT" | "mt" => Self::MT,
            _ => match name.as_bytes() {
                [c @ b'1'..=b'9'] => Self(c - b'0'),
                [a @ b'1'..=b'2', b @ b'0'..=b'9'] if name <= "26" => Self((a - b'0') * 10 + (b - b'0')),
                _ => return Err(PlaceError::Chromosome),
            },
        }))
    }
}

impl fmt::Display for Chromosome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::X => f.write_str("X"),
            Self::Y => f.write_str("Y"),
            Self::MT => f.write_str("MT"),
            Self(number) => write!(f, "{number}"),
        }
    }
}

impl FromStr for Chromosome {
    type Err = PlaceError;

    /// As [`Chromosome::parse`]; having no place is an error.
    fn from_str(text: &str) -> Result<Self, PlaceError> {
        Self::parse(text)?.ok_or(PlaceError::Unplaced)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chromosome, PlaceError};

    #[test]
    fn names() {
        for (text, shown) in [
            ("1", "1"),
            ("chr9", "9"),
            ("Chr22", "22"),
            ("23", "X"),
            ("chrX", "X"),
            ("25", "X"),
            ("XY", "X"),
            ("PAR", "X"),
            ("24", "Y"),
            ("Y", "Y"),
            ("26", "MT"),
            ("CHRM", "MT"),
        ] {
            assert_eq!(text.parse::<Chromosome>().map(|c| c.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in ["0", "chr0", "--", "", "chr", "chrUn"] {
            assert_eq!(Chromosome::parse(text), Ok(None), "{text}");
            assert_eq!(text.parse::<Chromosome>(), Err(PlaceError::Unplaced), "{text}");
        }
        for text in [
            "27",
            "01",
            "001",
            "+1",
            "1 ",
            "x1",
            "1_alt",
            "chrchr1",
            "Z",
            "99999999999",
            "ch\u{e4}",
            "\u{ff11}",
        ] {
            assert_eq!(text.parse::<Chromosome>(), Err(PlaceError::Chromosome), "{text}");
        }
    }

    #[test]
    fn numbers() {
        let numbers: Vec<u8> = (0..=255).filter_map(Chromosome::autosome).map(Chromosome::number).collect();
        assert_eq!(numbers, (1..=22).collect::<Vec<u8>>());
        assert!(Chromosome::autosome(22) < Some(Chromosome::X) && Chromosome::Y < Chromosome::MT);
        assert!(!Chromosome::X.is_autosome());
    }
}
