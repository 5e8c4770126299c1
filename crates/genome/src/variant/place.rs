//! Where a variant is: build, chromosome, position.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::VariantError;

/// The reference that positions are counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Build {
    /// GRCh37, also hg19 and b37.
    Grch37,
    /// GRCh38, also hg38 and b38.
    Grch38,
}

impl Build {
    /// True where X and Y recombine. Ends of the regions: Genome Reference Consortium, PAR#1 and PAR#2 of each build.
    #[must_use]
    pub fn is_pseudo_autosomal(self, chromosome: Chromosome, position: Position) -> bool {
        let regions = match (self, chromosome) {
            (Self::Grch37, Chromosome::X) => [60_001..=2_699_520, 154_931_044..=155_260_560],
            (Self::Grch37, Chromosome::Y) => [10_001..=2_649_520, 59_034_050..=59_363_566],
            (Self::Grch38, Chromosome::X) => [10_001..=2_781_479, 155_701_383..=156_030_895],
            (Self::Grch38, Chromosome::Y) => [10_001..=2_781_479, 56_887_903..=57_217_415],
            _ => return false,
        };
        regions.iter().any(|region| region.contains(&position.get()))
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grch37 => "GRCh37",
            Self::Grch38 => "GRCh38",
        })
    }
}

impl FromStr for Build {
    type Err = VariantError;

    fn from_str(text: &str) -> Result<Self, VariantError> {
        match text.to_ascii_lowercase().as_str() {
            "grch37" | "hg19" | "b37" | "37" => Ok(Self::Grch37),
            "grch38" | "hg38" | "b38" | "38" => Ok(Self::Grch38),
            _ => Err(VariantError::Build),
        }
    }
}

/// A chromosome of the human genome; ordered 1 to 22, X, Y, MT.
///
/// Read from `7`, `chr7`, `X`, `chrX`, `M`, `MT` and PLINK's numbers 23 (X), 24 (Y), 25 (XY) and 26 (MT). XY, the
/// pseudo-autosomal part, is X here, whose coordinates it has: [`Build::is_pseudo_autosomal`] tells it from the rest.
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
    type Err = VariantError;

    fn from_str(text: &str) -> Result<Self, VariantError> {
        let name = match text.split_at_checked(3) {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case("chr") => name,
            _ => text,
        };
        match name.as_bytes() {
            b"0" => Err(VariantError::Unplaced),
            [c @ b'1'..=b'9'] => Ok(Self(c - b'0')),
            [a @ b'1'..=b'2', b @ b'0'..=b'9'] => match (a - b'0') * 10 + (b - b'0') {
                25 => Ok(Self::X),
                number @ ..=26 => Ok(Self(number)),
                _ => Err(VariantError::Chromosome),
            },
            b"X" | b"x" | b"XY" | b"xy" | b"PAR1" | b"PAR2" => Ok(Self::X),
            b"Y" | b"y" => Ok(Self::Y),
            b"M" | b"m" | b"MT" | b"mt" => Ok(Self::MT),
            _ => Err(VariantError::Chromosome),
        }
    }
}

/// A position on a chromosome, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(NonZeroU32);

impl Position {
    /// The number, from 1.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u32> for Position {
    type Error = VariantError;

    fn try_from(number: u32) -> Result<Self, VariantError> {
        NonZeroU32::new(number).map(Self).ok_or(VariantError::Position)
    }
}

impl FromStr for Position {
    type Err = VariantError;

    fn from_str(text: &str) -> Result<Self, VariantError> {
        // `parse` of the standard library also takes a plus sign.
        if !text.bytes().all(|c| c.is_ascii_digit()) {
            return Err(VariantError::Position);
        }
        text.parse().map(Self).map_err(|_| VariantError::Position)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_chromosomes() {
        for (text, shown) in [
            ("1", "1"),
            ("chr9", "9"),
            ("Chr22", "22"),
            ("23", "X"),
            ("24", "Y"),
            ("25", "X"),
            ("XY", "X"),
            ("26", "MT"),
            ("chrM", "MT"),
            ("chrX", "X"),
        ] {
            assert_eq!(text.parse::<Chromosome>().map(|c| c.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in ["", "chr", "27", "01", "001", "x1", "chrUn", "1_alt", "１"] {
            assert_eq!(text.parse::<Chromosome>(), Err(VariantError::Chromosome), "{text}");
        }
        assert_eq!("chr0".parse::<Chromosome>(), Err(VariantError::Unplaced));
        assert_eq!("hg19".parse(), Ok(Build::Grch37));
        assert_eq!("hg18".parse::<Build>(), Err(VariantError::Build));
    }

    #[test]
    fn ends_of_the_pseudo_autosomal_regions() {
        for (build, chromosome, position, inside) in [
            (Build::Grch37, "X", 60_000, false),
            (Build::Grch37, "X", 60_001, true),
            (Build::Grch37, "X", 2_699_520, true),
            (Build::Grch37, "X", 2_699_521, false),
            (Build::Grch38, "X", 155_701_382, false),
            (Build::Grch38, "Y", 57_217_415, true),
            (Build::Grch38, "1", 57_217_415, false),
        ] {
            let (chromosome, position) = (chromosome.parse().unwrap(), Position::try_from(position).unwrap());
            assert_eq!(build.is_pseudo_autosomal(chromosome, position), inside, "{chromosome}:{position}");
        }
    }
}
