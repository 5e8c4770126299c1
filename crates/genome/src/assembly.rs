//! Places of the human genome: assembly, chromosome, position, as files name them.

mod chromosome;
mod position;

use std::fmt;
use std::str::FromStr;

pub use chromosome::Chromosome;
pub use position::Position;

/// Why something is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A name of an assembly that is not known.
    #[error("the genome build is not known; write `GRCh37`, `GRCh38` or `NCBI36`")]
    Assembly,
    /// A contig other than the chromosomes and the mitochondrion.
    #[error("the contig is none of 1 to 22, X, Y and MT; leave its records out")]
    Chromosome,
    /// PLINK's code 0, and what else files write for no chromosome.
    #[error("the variant has no chromosome (code 0); leave its records out")]
    Unplaced,
    /// A position that is no whole number of 1 to 2^32 - 1.
    #[error("the position is not a whole number from 1 on; positions are counted from 1")]
    Position,
}

/// The assembly on which positions are counted. Files of persons and scores still come on the oldest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assembly {
    /// NCBI36, also hg18 and build 36.
    Ncbi36,
    /// GRCh37, also hg19, b37 and build 37.
    Grch37,
    /// GRCh38, also hg38, b38 and build 38.
    Grch38,
}

impl Assembly {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::Ncbi36, Self::Grch37, Self::Grch38];

    /// Reads a name that stands alone, such as `GRCh37`, `hg19` or `37`; case does not matter.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let name = name.split_once(".p").map_or(name.as_str(), |(name, _patch)| name);
        match name {
            "ncbi36" | "hg18" | "b36" | "36" => Some(Self::Ncbi36),
            "grch37" | "hg19" | "b37" | "37" => Some(Self::Grch37),
            "grch38" | "hg38" | "b38" | "38" => Some(Self::Grch38),
            _ => None,
        }
    }

    /// True where X and Y recombine, so that men have two copies. Ends of the regions: Genome Reference Consortium, PAR#1 and
    /// PAR#2 of GRCh37 and GRCh38; for NCBI36, the UCSC genome browser's page on hg18.
    #[must_use]
    pub fn is_pseudo_autosomal(self, chromosome: Chromosome, position: Position) -> bool {
        let regions = match (self, chromosome) {
            (Self::Ncbi36, Chromosome::X) => [1..=2_709_520, 154_584_238..=154_913_754],
            (Self::Ncbi36, Chromosome::Y) => [1..=2_709_520, 57_443_438..=57_772_954],
            (Self::Grch37, Chromosome::X) => [60_001..=2_699_520, 154_931_044..=155_260_560],
            (Self::Grch37, Chromosome::Y) => [10_001..=2_649_520, 59_034_050..=59_363_566],
            (Self::Grch38, Chromosome::X) => [10_001..=2_781_479, 155_701_383..=156_030_895],
            (Self::Grch38, Chromosome::Y) => [10_001..=2_781_479, 56_887_903..=57_217_415],
            _ => return false,
        };
        regions.iter().any(|region| region.contains(&position.get()))
    }

    /// True where lower-case prose names this assembly: by a name of its own, or as `build 37`.
    pub(crate) fn is_named_in(self, prose: &str) -> bool {
        let (names, number) = match self {
            Self::Ncbi36 => (["ncbi36", "hg18", "ncbi build 36"], "36"),
            Self::Grch37 => (["grch37", "hg19", "b37"], "37"),
            Self::Grch38 => (["grch38", "hg38", "b38"], "38"),
        };
        let stands_alone = |(at, name): (usize, &str)| {
            let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let (before, after) = (prose.get(..at), prose.get(at + name.len()..));
            !letter(before.and_then(|text| text.chars().next_back()))
                && !letter(after.and_then(|text| text.chars().next()))
        };
        names.iter().any(|name| prose.match_indices(name).any(stands_alone))
            || prose.match_indices("build").any(|(at, word)| {
                let rest = prose.get(at + word.len()..).unwrap_or_default();
                let rest = rest.trim_start_matches([' ', ':', '=', '_']);
                rest.strip_prefix(number).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            })
    }
}

impl fmt::Display for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ncbi36 => "NCBI36",
            Self::Grch37 => "GRCh37",
            Self::Grch38 => "GRCh38",
        })
    }
}

impl FromStr for Assembly {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        Self::from_name(text).ok_or(PlaceError::Assembly)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Assembly::from_name("GRCh38.p13"), Some(Assembly::Grch38));
        assert_eq!(Assembly::from_name(" hg19 "), Some(Assembly::Grch37));
        assert_eq!(Assembly::from_name("NR"), None);
        assert_eq!("hg17".parse::<Assembly>(), Err(PlaceError::Assembly));
        for assembly in Assembly::ALL {
            assert_eq!(Assembly::from_name(&assembly.to_string()), Some(assembly));
        }
    }

    #[test]
    fn prose() {
        let named = |prose: &str| -> Vec<Assembly> {
            Assembly::ALL.into_iter().filter(|assembly| assembly.is_named_in(prose)).collect()
        };
        assert_eq!(
            named("we are using human assembly build 37 (also known as annotation release 104)"),
            [Assembly::Grch37]
        );
        assert_eq!(named("human reference build 37.1 coordinates"), [Assembly::Grch37]);
        assert_eq!(named("reference grch38/hg38"), [Assembly::Grch38]);
        assert_eq!(named("ncbi build 36 and later build37"), [Assembly::Ncbi36, Assembly::Grch37]);
        assert_eq!(named("build 370, rs38, ab37, build of 37 houses"), []);
    }

    #[test]
    fn ends_of_the_pseudo_autosomal_regions() {
        for (assembly, chromosome, position, inside) in [
            (Assembly::Ncbi36, "X", 2_709_520, true),
            (Assembly::Ncbi36, "X", 2_709_521, false),
            (Assembly::Ncbi36, "Y", 57_443_437, false),
            (Assembly::Grch37, "X", 60_000, false),
            (Assembly::Grch37, "X", 60_001, true),
            (Assembly::Grch37, "X", 2_699_520, true),
            (Assembly::Grch37, "X", 2_699_521, false),
            (Assembly::Grch38, "X", 155_701_382, false),
            (Assembly::Grch38, "Y", 57_217_415, true),
            (Assembly::Grch38, "1", 57_217_415, false),
        ] {
            let (chromosome, position) = (chromosome.parse().unwrap(), Position::try_from(position).unwrap());
            let found = assembly.is_pseudo_autosomal(chromosome, position);
            assert_eq!(found, inside, "{assembly} {chromosome}:{position}");
        }
    }
}
