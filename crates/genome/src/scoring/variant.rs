//! One row of a scoring file.

use std::fmt;

use crate::assembly::{Chromosome, Position};

/// A place on an assembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Chromosome.
    pub chromosome: Chromosome,
    /// Position.
    pub position: Position,
}

/// What an effect allele adds to a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weight {
    /// For each copy; what a copy is follows from [`Effect`].
    PerAllele(f64),
    /// For 0, 1 and 2 copies.
    PerDosage([f64; 3]),
}

/// How the copies of an effect allele count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Each.
    Additive,
    /// One or two count once (`is_dominant`).
    Dominant,
    /// Only two count, once (`is_recessive`).
    Recessive,
    /// By [`Weight::PerDosage`].
    NonAdditive,
}

/// Why a row is not the effect of one allele at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotOneAllele {
    /// It is a haplotype (`is_haplotype`).
    Haplotype,
    /// It is a pair of haplotypes (`is_diplotype`).
    Diplotype,
    /// It is an interaction of several variants (`is_interaction`).
    Interaction,
    /// An allele is no sequence of A, C, G and T, such as `P` for the presence of an HLA allele.
    NoSequence,
    /// Neither an rs number nor a place on a chromosome is given, as where moving a score to another assembly lost it.
    NoPlace,
}

impl fmt::Display for NotOneAllele {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Haplotype => "a haplotype",
            Self::Diplotype => "a pair of haplotypes",
            Self::Interaction => "an interaction",
            Self::NoSequence => "an allele that is no sequence",
            Self::NoPlace => "without a place on a chromosome",
        })
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreVariant {
    /// The rs number or other name, if any: a label.
    pub name: Option<Box<str>>,
    /// Where the authors put it, on [`ScoreHeader::assembly`](super::ScoreHeader::assembly); `None` also for contigs that are no
    /// chromosome.
    pub place: Option<Place>,
    /// Where the catalog found it, on
    /// [`ScoreHeader::harmonized_assembly`](super::ScoreHeader::harmonized_assembly).
    pub harmonized: Option<Place>,
    /// The allele whose copies count, in upper case where it is a sequence.
    pub effect_allele: Box<str>,
    /// The other allele, where the authors name it.
    pub other_allele: Option<Box<str>>,
    /// The alleles that the catalog considers possible where the authors name none (`hm_inferOtherAllele`).
    pub inferred_other_alleles: Vec<Box<str>>,
    /// Weight.
    pub weight: Weight,
    /// How copies count.
    pub effect: Effect,
    /// Haplotype, diplotype or interaction, where the row says so.
    pub combination: Option<NotOneAllele>,
    /// Line of the file, from 1.
    pub line: u64,
}

impl ScoreVariant {
    /// Why the row cannot be counted as copies of one allele at one place; `None` where it can.
    #[must_use]
    pub fn problem(&self) -> Option<NotOneAllele> {
        let alleles = [Some(&self.effect_allele), self.other_allele.as_ref()];
        if self.combination.is_some() {
            self.combination
        } else if !alleles.into_iter().flatten().all(|allele| is_sequence(allele)) {
            Some(NotOneAllele::NoSequence)
        } else if self.name.is_none() && self.place.is_none() && self.harmonized.is_none() {
            Some(NotOneAllele::NoPlace)
        } else {
            None
        }
    }

    /// What a person with 0, 1 or 2 copies of the effect allele adds to the score; more copies count as two.
    #[must_use]
    pub fn contribution(&self, copies: u8) -> f64 {
        match (self.weight, self.effect) {
            (Weight::PerDosage([none, one, two]), _) => match copies {
                0 => none,
                1 => one,
                _ => two,
            },
            (Weight::PerAllele(weight), Effect::Dominant) => {
                if copies > 0 {
                    weight
                } else {
                    0.0
                }
            }
            (Weight::PerAllele(weight), Effect::Recessive) => {
                if copies > 1 {
                    weight
                } else {
                    0.0
                }
            }
            (Weight::PerAllele(weight), Effect::Additive | Effect::NonAdditive) => {
                weight * f64::from(copies.min(2))
            }
        }
    }
}

/// One or more of A, C, G and T.
pub(super) fn is_sequence(allele: &str) -> bool {
    !allele.is_empty() && allele.bytes().all(|byte| matches!(byte, b'A' | b'C' | b'G' | b'T'))
}
