//! Mendel errors: calls of a child that its parents cannot have passed on.
//!
//! Codes and blame as in PLINK 1.9 (<https://www.cog-genomics.org/plink/1.9/basic_stats#mendel>), where A is A1 of a BIM,
//! our alternative allele, and B the reference allele. PLINK 1.9 itself makes the rarer allele of a fileset its A1 on the
//! way in, unless it is told `--keep-allele-order`; where that is the reference allele, its codes are those of A and B
//! exchanged.

use crate::genotypes::{Block, BySample, Call};
use crate::plink::Trio;

/// How the variants of a block are inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inheritance {
    /// One copy from each parent.
    Autosomal,
    /// X outside of the pseudo-autosomal regions: a son has his mother's alone, and a heterozygous call of a man is taken
    /// as missing.
    X,
}

/// One error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MendelError {
    /// The trio, by its number in the list that was given.
    pub trio: usize,
    /// The variant within the block.
    pub variant: usize,
    /// PLINK's code, from 1 to 10.
    pub code: u8,
}

/// Which of the three an error may be due to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blame {
    /// The father.
    pub father: bool,
    /// The mother.
    pub mother: bool,
}

impl MendelError {
    /// The parents that the error may be due to; the child always is one of them.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self.code {
            1 | 2 => Blame { father: true, mother: true },
            3 | 6 => Blame { father: true, mother: false },
            4 | 7 | 9 | 10 => Blame { father: false, mother: true },
            _ => Blame { father: false, mother: false },
        }
    }
}

/// The errors of a block, trio by trio, at the variants whose bit is set in `variants`. `is_son` says which trios have a
/// son; it matters on X only. A trio beyond the people of the block has none.
#[must_use]
pub fn errors(
    block: &Block,
    variants: u64,
    inheritance: Inheritance,
    trios: &[Trio],
    is_son: impl Fn(usize) -> bool,
) -> Vec<MendelError> {
    let calls = block.by_sample();
    let mut errors = Vec::new();
    for (index, trio) in trios.iter().enumerate() {
        let son = inheritance == Inheritance::X && is_son(index);
        let people = [trio.child, trio.father, trio.mother].map(|person| Person::of(&calls, person));
        let [Some(mut child), Some(mut father), Some(mother)] = people else { continue };
        if inheritance == Inheritance::X {
            father = father.without_hets();
        }
        if son {
            child = child.without_hets();
            father = Person::default();
        }
        let mut wrong = variants & impossible(child, father, mother);
        while wrong != 0 {
            let variant = wrong.trailing_zeros() as usize;
            wrong &= wrong - 1;
            let call = |person: Person| person.call(variant);
            errors.push(MendelError {
                trio: index,
                variant,
                code: code(call(child), call(father), call(mother), son),
            });
        }
    }
    errors
}

/// One person's calls at 64 variants: where the call is of each kind. Missing where it is of none.
#[derive(Clone, Copy, Default)]
struct Person {
    hom_ref: u64,
    het: u64,
    hom_alt: u64,
}

impl Person {
    fn of(calls: &BySample, person: usize) -> Option<Self> {
        let [low, high] = calls.planes().get(person)?;
        Some(Self { hom_ref: !low & !high, het: low & !high, hom_alt: !low & high })
    }

    fn without_hets(self) -> Self {
        Self { het: 0, ..self }
    }

    fn call(self, variant: usize) -> Call {
        match [self.hom_ref, self.het, self.hom_alt].map(|plane| plane >> variant & 1) {
            [1, ..] => Call::HomRef,
            [_, 1, _] => Call::Het,
            [.., 1] => Call::HomAlt,
            _ => Call::Missing,
        }
    }
}

/// The variants at which the child has an allele that a parent lacks.
fn impossible(child: Person, father: Person, mother: Person) -> u64 {
    (child.hom_alt & (father.hom_ref | mother.hom_ref))
        | (child.hom_ref & (father.hom_alt | mother.hom_alt))
        | (child.het & (father.hom_ref & mother.hom_ref | father.hom_alt & mother.hom_alt))
}

/// The code of an error that is known to be one.
fn code(child: Call, father: Call, mother: Call, son: bool) -> u8 {
    use Call::{Het, HomAlt, HomRef};
    match (child, father, mother) {
        (HomRef, _, _) if son => 9,
        (_, _, _) if son => 10,
        (Het, HomAlt, _) => 1,
        (Het, _, _) => 2,
        (HomAlt, HomRef, HomRef) => 5,
        (HomAlt, HomRef, _) => 3,
        (HomAlt, _, _) => 4,
        (_, HomAlt, HomAlt) => 8,
        (_, HomAlt, _) => 6,
        (_, _, _) => 7,
    }
}
