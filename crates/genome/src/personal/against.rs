//! Genotypes against a panel that knows which alleles a site has.

use super::genotype::{CallAllele, Genotype};
use super::read::{Call, PersonalFile};

/// The alleles of a site, as a VCF writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanelSite<'a> {
    /// Reference allele.
    pub reference: &'a str,
    /// The one alternative allele.
    pub alternative: &'a str,
}

/// A row whose letters are alleles of its site.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AltCall {
    /// Row of the file, from 0.
    pub row: usize,
    /// Copies that were called: 0 where the call is missing, 1 or 2.
    pub copies: u8,
    /// Alternative alleles among them.
    pub alternatives: u8,
}

impl AltCall {
    /// The 2-bit code of this crate: the number of alternative alleles, 3 for a missing call. A single copy counts 0 or 1
    /// here; whoever codes men's X as 0 or 2 looks at [`copies`](Self::copies).
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.copies == 0 { 3 } else { self.alternatives }
    }
}

impl std::fmt::Debug for AltCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AltCall(row {}, genotype not shown)", self.row)
    }
}

/// A file against a panel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Against {
    /// The rows that could be counted, in the order of the file.
    pub calls: Vec<AltCall>,
    /// Rows that were left out because others contradict them.
    pub contradicted: usize,
    /// Rows whose site the panel does not know.
    pub unknown_site: usize,
    /// Rows with a letter that is no allele of the site, and whose complement is none either.
    pub other_allele: usize,
    /// Rows whose letters are alleles of the site only on the other strand. They are not turned: a third allele looks the
    /// same. Many of them show that the file is on another strand, or the panel on another assembly.
    pub other_strand: usize,
}

impl PersonalFile {
    /// Counts alternative alleles. `panel` is asked for every row that has a place and is not contradicted (see
    /// [`repeats`](Self::repeats)), and answers with the site on the assembly of the file. `I` and `D` are the longer and the
    /// shorter allele of a site whose alleles differ in length.
    pub fn against<'p>(&self, mut panel: impl FnMut(&Call<'_>) -> Option<PanelSite<'p>>) -> Against {
        let repeats = self.repeats(0);
        let mut found = Against::default();
        for ((row, call), contradicted) in self.calls().enumerate().zip(repeats.contradicted) {
            if contradicted {
                found.contradicted += 1;
                continue;
            }
            let has_place = call.chromosome.is_some() && call.position.is_some();
            let Some(site) = has_place.then(|| panel(&call)).flatten() else {
                found.unknown_site += 1;
                continue;
            };
            let letters = match call.genotype {
                Genotype::Missing => vec![],
                Genotype::One(a) => vec![a],
                Genotype::Two(a, b) => vec![a, b],
            };
            let count = |turn: bool| -> Option<u8> {
                letters.iter().map(|letter| is_alternative(*letter, turn, &site)).sum::<Option<u8>>()
            };
            match (count(false), count(true)) {
                (Some(alternatives), _) => {
                    // One or two letters.
                    let copies = letters.len() as u8;
                    found.calls.push(AltCall { row, copies, alternatives });
                }
                (None, Some(_)) => found.other_strand += 1,
                (None, None) => found.other_allele += 1,
            }
        }
        found
    }
}

/// 1 for the alternative allele, 0 for the reference, `None` for neither.
fn is_alternative(letter: CallAllele, turn: bool, site: &PanelSite<'_>) -> Option<u8> {
    let base = match (letter, turn) {
        (CallAllele::A, false) | (CallAllele::T, true) => "A",
        (CallAllele::C, false) | (CallAllele::G, true) => "C",
        (CallAllele::G, false) | (CallAllele::C, true) => "G",
        (CallAllele::T, false) | (CallAllele::A, true) => "T",
        (CallAllele::Inserted | CallAllele::Deleted, true) => return None,
        (CallAllele::Inserted | CallAllele::Deleted, false) => {
            // The text of a symbolic allele such as `<DEL>` is not its sequence.
            if !site.alternative.bytes().chain(site.reference.bytes()).all(|byte| byte.is_ascii_alphabetic())
            {
                return None;
            }
            let longer = match site.alternative.len().cmp(&site.reference.len()) {
                std::cmp::Ordering::Equal => return None,
                order => order.is_gt(),
            };
            return Some(u8::from(longer == (letter == CallAllele::Inserted)));
        }
    };
    if base.eq_ignore_ascii_case(site.alternative) {
        Some(1)
    } else {
        base.eq_ignore_ascii_case(site.reference).then_some(0)
    }
}
