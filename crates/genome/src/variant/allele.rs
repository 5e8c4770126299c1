//! Alleles: letters of the genome, or a symbol in their place.

use std::fmt;

use super::VariantError;

/// Longest allele, in letters. Longer changes are written as symbolic alleles by those who make such files.
pub const MAX_ALLELE_BYTES: usize = 65_535;

/// One or more of the letters A, C, G, T and N, in upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bases(Box<[u8]>);

impl Bases {
    /// The letters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The letters of the other strand, read in its direction.
    #[must_use]
    pub fn reverse_complement(&self) -> Self {
        Self(self.0.iter().rev().map(|base| complement(*base)).collect())
    }

    /// Letters that are known to be of the alphabet and not empty.
    pub(super) fn from_checked(letters: &[u8]) -> Self {
        Self(letters.into())
    }
}

impl fmt::Display for Bases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|base| write!(f, "{}", char::from(*base)))
    }
}

/// The letter that pairs with a letter.
fn complement(base: u8) -> u8 {
    match base {
        b'A' => b'T',
        b'C' => b'G',
        b'G' => b'C',
        b'T' => b'A',
        other => other,
    }
}

/// An allele of a variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Allele {
    /// Letters.
    Bases(Bases),
    /// `*`: the place is missing because of a deletion that begins before it (VCF 4.3, section 1.6.1.5).
    Overlapped,
    /// `<NAME>`, with its brackets: a change that is named and not spelled out.
    Symbolic(Box<str>),
}

impl Allele {
    /// Reads an allele; `which` names it in errors.
    pub(super) fn parse(text: &str, which: &'static str) -> Result<Self, VariantError> {
        if text.len() > MAX_ALLELE_BYTES {
            return Err(VariantError::Long(which));
        }
        let letters = text.as_bytes().to_ascii_uppercase();
        match letters.as_slice() {
            b"" | b"." | b"0" | b"-" => Err(VariantError::NoAllele(which)),
            b"*" => Ok(Self::Overlapped),
            [b'<', ..] => {
                let name = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
                let allowed = |c: u8| c.is_ascii_alphanumeric() || b"_:-.+".contains(&c);
                match name {
                    Some(name) if !name.is_empty() && name.bytes().all(allowed) => {
                        Ok(Self::Symbolic(text.into()))
                    }
                    _ => Err(VariantError::Symbol),
                }
            }
            bases if bases.iter().all(|base| b"ACGTN".contains(base)) => {
                Ok(Self::Bases(Bases(letters.into())))
            }
            _ => Err(VariantError::Letters(which)),
        }
    }

    /// The letters, unless the allele is symbolic.
    #[must_use]
    pub fn bases(&self) -> Option<&Bases> {
        match self {
            Self::Bases(bases) => Some(bases),
            Self::Overlapped | Self::Symbolic(_) => None,
        }
    }
}

impl fmt::Display for Allele {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bases(bases) => bases.fmt(f),
            Self::Overlapped => f.write_str("*"),
            Self::Symbolic(name) => f.write_str(name),
        }
    }
}
