//! Reference assemblies of the human genome and their chromosomes, as files name them.

use std::fmt;

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
    /// Reads a name: `7`, `chr7`, `X`, `23`, `PAR`, `M` and the like. `Ok(None)` for the signs of having no place: nothing, `0`,
    /// `-`, `--`, `.`, `NA` and `Un`; an error for everything else, such as contigs that are no chromosome.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, NoChromosome> {
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
                return Err(NoChromosome);
            }
            _ => match name.parse() {
                Ok(number @ 1..=22) => Self::Autosome(number),
                _ => return Err(NoChromosome),
            },
        }))
    }
}

/// A name that is no chromosome's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoChromosome;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Assembly::from_name("GRCh38.p13"), Some(Assembly::Grch38));
        assert_eq!(Assembly::from_name(" hg19 "), Some(Assembly::Grch37));
        assert_eq!(Assembly::from_name("NR"), None);
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
            assert_eq!(Chromosome::parse(text), Err(NoChromosome), "{text}");
        }
    }
}
