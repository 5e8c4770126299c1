//! Number and Type of keys, declared or reserved.

use super::super::Version;

/// How many values a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Count(u32),
    /// `A`: one for each alternative allele.
    Alternatives,
    /// `R`: one for each allele.
    Alleles,
    /// `G`: one for each genotype.
    Genotypes,
    /// `LA`
    LocalAlternatives,
    /// `LR`
    LocalAlleles,
    /// `LG`
    LocalGenotypes,
    /// `P`: one for each allele of GT.
    Ploidy,
    /// `M`: one for each base that can be modified.
    Modifications,
    /// `.`
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Integer,
    Float,
    Flag,
    Character,
    String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) number: Number,
    pub(super) kind: Type,
}

/// The line that a definition stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Info,
    Format,
}

impl Number {
    pub(super) fn from_text(text: &[u8], place: Place, version: Version) -> Option<Self> {
        let is_format = place == Place::Format;
        match text {
            b"A" => Some(Self::Alternatives),
            b"G" => Some(Self::Genotypes),
            b"." => Some(Self::Any),
            b"R" if version >= Version::V42 => Some(Self::Alleles),
            b"P" if is_format && version >= Version::V44 => Some(Self::Ploidy),
            b"LA" if is_format && version >= Version::V45 => Some(Self::LocalAlternatives),
            b"LR" if is_format && version >= Version::V45 => Some(Self::LocalAlleles),
            b"LG" if is_format && version >= Version::V45 => Some(Self::LocalGenotypes),
            b"M" if is_format && version >= Version::V45 => Some(Self::Modifications),
            digits if digits.iter().all(u8::is_ascii_digit) => {
                std::str::from_utf8(digits).ok()?.parse().ok().map(Self::Count)
            }
            _ => None,
        }
    }
}

impl Type {
    pub(super) fn from_text(text: &[u8], place: Place) -> Option<Self> {
        match text {
            b"Integer" => Some(Self::Integer),
            b"Float" => Some(Self::Float),
            b"Character" => Some(Self::Character),
            b"String" => Some(Self::String),
            b"Flag" if place == Place::Info => Some(Self::Flag),
            _ => None,
        }
    }
}

const fn define(number: Number, kind: Type) -> Option<Definition> {
    Some(Definition { number, kind })
}

/// Reserved keys of INFO (4.3 to 4.5: table 1; 4.1 and 4.2: the list of section 1.4.1, item 8, whose descriptions imply the
/// same Number and Type). Left out: SB, which the conformance corpus uses with one fraction, and the Type of MQ, which
/// was a whole number before 4.3.
pub(super) fn reserved_info(version: Version, key: &[u8]) -> Option<Definition> {
    const ONE: Number = Number::Count(1);
    match key {
        b"AA" => define(ONE, Type::String),
        b"AC" => define(Number::Alternatives, Type::Integer),
        b"AD" | b"ADF" | b"ADR" if version >= Version::V43 => define(Number::Alleles, Type::Integer),
        b"AF" => define(Number::Alternatives, Type::Float),
        b"AN" | b"DP" | b"END" | b"MQ0" | b"NS" => define(ONE, Type::Integer),
        b"BQ" | b"MQ" => define(ONE, Type::Float),
        b"CIGAR" => define(Number::Alternatives, Type::String),
        b"DB" | b"H2" | b"H3" | b"SOMATIC" | b"VALIDATED" | b"1000G" => define(Number::Count(0), Type::Flag),
        _ => None,
    }
}

/// Reserved keys of FORMAT (4.3 to 4.5: table 2; 4.1 and 4.2: the list of section 1.4.2). Left out: LGL, LGP and LPP of
/// 4.5, whose table contradicts its text, and the base modifications.
pub(super) fn reserved_format(version: Version, key: &[u8]) -> Option<Definition> {
    const ONE: Number = Number::Count(1);
    let is_45 = version >= Version::V45;
    match key {
        b"AD" | b"ADF" | b"ADR" if version >= Version::V43 => define(Number::Alleles, Type::Integer),
        b"DP" | b"GQ" | b"MQ" | b"PQ" | b"PS" => define(ONE, Type::Integer),
        b"EC" => define(Number::Alternatives, Type::Integer),
        b"FT" | b"GT" => define(ONE, Type::String),
        b"GL" | b"GP" => define(Number::Genotypes, Type::Float),
        b"GLE" if version <= Version::V42 => define(Number::Genotypes, Type::String),
        b"HQ" => define(Number::Count(2), Type::Integer),
        b"PL" => define(Number::Genotypes, Type::Integer),
        b"PP" if version >= Version::V44 => define(Number::Genotypes, Type::Integer),
        b"LEN" if is_45 => define(ONE, Type::Integer),
        b"LAA" if is_45 => define(Number::Any, Type::Integer),
        b"LAD" | b"LADF" | b"LADR" if is_45 => define(Number::LocalAlleles, Type::Integer),
        b"LEC" if is_45 => define(Number::LocalAlternatives, Type::Integer),
        b"LPL" if is_45 => define(Number::LocalGenotypes, Type::Integer),
        _ => None,
    }
}
