//! Finding a genome again: keyed sketches of which no genome can be read off, for twins, replicates and resold copies.
//!
//! 1. A [`Sketcher`] is made of a secret of the validation enclaves and of a fixed panel of variants, common ones (both alleles
//!    20 % or more) and spread over the genome. Key and panel choose [`BITS`] groups of [`GROUP`] variants, and for each
//!    group a random bit for each of the 81 ways in which a genome can look there.
//! 2. A [`Sketch`] has, for each group, the bit of a genome, or nothing where a call is missing: 256 bytes and a tag.
//! 3. [`Sketch::likeness`] compares two sketches: the same genome agrees in nearly all bits, any two others in about half,
//!    relatives in a little more. A parent and a child, or siblings, have equal calls at half of the variants or a little
//!    more, and so at few groups of four.
//!
//! ```
//! use histone_genome::simulate::{Plan, Spectrum};
//! use histone_genome::sketch::{Decision, Gather, Sketcher};
//!
//! let plan = Plan { populations: vec![8], variants: 1_000, spectrum: Spectrum::Array, ..Plan::default() };
//! let cohort = plan.simulate()?;
//! let sketcher = Sketcher::new(&[7; 32], &cohort.variants)?;
//! let mut gather = Gather::new(&sketcher, 8);
//! for (block, sites) in cohort.blocks() {
//!     let variants: Vec<_> = sites.iter().map(|site| site.variant(cohort.variants[0].assembly()).ok()).collect();
//!     gather.add(block, &variants);
//! }
//! let sketches = gather.finish();
//! assert_eq!(sketches[0].likeness(&sketches[0].clone()).map(|l| l.decision()), Some(Decision::Same));
//! assert_eq!(sketches[0].likeness(&sketches[1]).map(|l| l.decision()), Some(Decision::Different));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What whoever has a sketch learns: without the key, of one sketch nothing, of two of them how alike they are. **With the key,
//! whether it is the sketch of a genome that they have**, and about a bit for every four calls of a genome that they have
//! not, from which likely calls could be guessed. So sketches are sealed, and the key never leaves the enclaves.
//!
//! Deliberately not here: sealing, which is the enclave's work, and a decision about rights. Not found: a genome of which
//! more than about 6 % of the calls were changed on purpose; quality control finds such noise when there is much of it.

use std::collections::HashMap;
use std::fmt;

use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2::{Blake2b512, Blake2bMac512, Digest};
use zeroize::Zeroize;

use crate::genotypes::{Block, Call, WORD_CALLS, words_for};
use crate::variant::Variant;

/// Groups of variants, each of which gives a bit.
pub const BITS: usize = 1_024;
/// Variants of a group.
pub const GROUP: usize = 4;
/// Variants that a panel must have.
pub const LEAST_VARIANTS: usize = 256;
/// Bits that both genomes must have before they are compared; fewer bits agree by chance.
pub const LEAST_KNOWN: u32 = 100;
/// Share of agreeing bits from which two genomes are the same: half of the way from siblings to copies with 1 % errors each.
pub const SAME: f64 = 0.8;

const WORDS: usize = BITS / 64;
const VERSION: u8 = 1;
/// Bytes of an encoded sketch.
pub const ENCODED: usize = 1 + 8 + 2 * WORDS * 8;

/// Why sketches cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SketchError {
    /// A panel that is too small.
    #[error("a panel for sketches has {LEAST_VARIANTS} different variants at least")]
    SmallPanel,
    /// Bytes that are no sketch.
    #[error("the bytes are no sketch of a genome")]
    Encoding,
}

/// Makes sketches under a key. Secret as a whole; its `Debug` shows nothing.
pub struct Sketcher {
    tag: [u8; 8],
    groups: Vec<Group>,
    /// Which calls are needed, by variant.
    index: HashMap<Variant, usize>,
}

struct Group {
    variants: [usize; GROUP],
    /// Bit `c0 + 3 c1 + 9 c2 + 27 c3` is that of a genome with these calls.
    table: u128,
}

impl Sketcher {
    /// Under a key, for a panel. The order of the panel does not matter; all sketches that are to be compared need the same
    /// panel, wherever a genome lacks some of it.
    ///
    /// # Errors
    /// [`SmallPanel`](SketchError::SmallPanel).
    pub fn new(key: &[u8; 32], panel: &[Variant]) -> Result<Self, SketchError> {
        let mut variants: Vec<&Variant> = panel.iter().collect();
        variants.sort();
        variants.dedup();
        if variants.len() < LEAST_VARIANTS {
            return Err(SketchError::SmallPanel);
        }
        let mut digest = Blake2b512::new();
        for variant in &variants {
            Digest::update(&mut digest, variant.to_string().as_bytes());
            Digest::update(&mut digest, b"\n");
        }
        let digest = digest.finalize();
        let derive = |what: u64| -> [u8; 64] {
            // A key of 32 bytes always fits.
            let Ok(mut mac) = Blake2bMac512::new_from_slice(key) else { return [0; 64] };
            Update::update(&mut mac, b"histone genome sketch 1");
            Update::update(&mut mac, digest.as_slice());
            Update::update(&mut mac, &what.to_le_bytes());
            mac.finalize_fixed().into()
        };
        let groups = (0..BITS as u64)
            .map(|group| {
                let mut bytes = derive(group);
                let (numbers, rest) = bytes.split_at(8 * GROUP);
                let mut chosen = [usize::MAX; GROUP];
                for (slot, number) in numbers.as_chunks::<8>().0.iter().enumerate() {
                    let wide = u128::from(u64::from_le_bytes(*number)) * variants.len() as u128;
                    let mut variant = (wide >> 64) as usize;
                    while chosen[..slot].contains(&variant) {
                        variant = (variant + 1) % variants.len();
                    }
                    chosen[slot] = variant;
                }
                let table = rest.first_chunk().map_or(0, |table| u128::from_le_bytes(*table));
                bytes.zeroize();
                Group { variants: chosen, table }
            })
            .collect();
        let [a, b, c, d, e, f, g, h, ..] = derive(u64::MAX);
        let index = variants.into_iter().cloned().zip(0..).collect();
        Ok(Self { tag: [a, b, c, d, e, f, g, h], groups, index })
    }

    /// Variants of the panel.
    #[must_use]
    pub fn variants(&self) -> usize {
        self.index.len()
    }

    /// The sketch of a genome whose call at each variant of the panel, in the panel's sorted order, is given.
    fn sketch(&self, call: impl Fn(usize) -> Call) -> Sketch {
        let mut sketch = Sketch { tag: self.tag, bits: [0; WORDS], known: [0; WORDS] };
        for (bit, group) in self.groups.iter().enumerate() {
            let copies = group.variants.iter().rev().try_fold(0, |place, variant| {
                call(*variant).copies().map(|copies| 3 * place + u32::from(copies))
            });
            if let Some(place) = copies {
                sketch.known[bit / 64] |= 1 << (bit % 64);
                sketch.bits[bit / 64] |= ((group.table >> place & 1) as u64) << (bit % 64);
            }
        }
        sketch
    }
}

impl Drop for Sketcher {
    fn drop(&mut self) {
        for group in &mut self.groups {
            group.table.zeroize();
            group.variants.zeroize();
        }
    }
}

impl fmt::Debug for Sketcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sketcher(secret not shown)")
    }
}

/// Gathers the calls of many people at the panel's variants. Memory: the packed calls of the panel.
pub struct Gather<'a> {
    sketcher: &'a Sketcher,
    samples: usize,
    /// Packed calls by variant of the panel; empty as long as a variant has not come.
    rows: Vec<Vec<u64>>,
}

impl<'a> Gather<'a> {
    /// No call yet, for so many people.
    #[must_use]
    pub fn new(sketcher: &'a Sketcher, samples: usize) -> Self {
        Self { sketcher, samples, rows: vec![vec![]; sketcher.variants()] }
    }

    /// Adds a block, with a variant for each row where it has an identity. Variants that the panel has not are passed over, and
    /// so are blocks of other people; of a variant that comes twice the last one counts. Harmonize first: calls that are
    /// swapped are those of another genome.
    pub fn add(&mut self, block: &Block, variants: &[Option<Variant>]) {
        if block.samples() != self.samples {
            return;
        }
        for (row, variant) in block.rows().zip(variants) {
            let place = variant.as_ref().and_then(|variant| self.sketcher.index.get(variant));
            if let Some(slot) = place.and_then(|place| self.rows.get_mut(*place)) {
                *slot = row.to_vec();
            }
        }
    }

    /// The sketch of each person.
    #[must_use]
    pub fn finish(self) -> Vec<Sketch> {
        debug_assert!(self.rows.iter().all(|row| row.is_empty() || row.len() == words_for(self.samples)));
        let of_person = |person: usize| {
            self.sketcher.sketch(|variant| {
                let word = self.rows.get(variant).and_then(|row| row.get(person / WORD_CALLS));
                word.map_or(Call::Missing, |word| Call::from_code(word >> (2 * (person % WORD_CALLS))))
            })
        };
        (0..self.samples).map(of_person).collect()
    }
}

/// What is kept of a genome to find it again. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sketch {
    tag: [u8; 8],
    bits: [u64; WORDS],
    known: [u64; WORDS],
}

/// How alike two genomes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// Bits that both have.
    pub known: u32,
    /// Bits of these that are the same.
    pub agreeing: u32,
}

/// What follows from comparing two genomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// One person, or twins of one egg.
    Same,
    /// Two people, be they related.
    Different,
    /// Too few variants in common.
    Unknown,
}

impl Sketch {
    /// Compares two sketches; `None` when they were made under different keys or panels.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        if self.tag != other.tag {
            return None;
        }
        let mut likeness = Likeness { known: 0, agreeing: 0 };
        for word in 0..WORDS {
            let known = self.known[word] & other.known[word];
            likeness.known += known.count_ones();
            likeness.agreeing += (known & !(self.bits[word] ^ other.bits[word])).count_ones();
        }
        Some(likeness)
    }

    /// Bits of which no call is missing.
    #[must_use]
    pub fn known(&self) -> u32 {
        self.known.iter().map(|word| word.count_ones()).sum()
    }

    /// Version, tag, bits, which of them are known; numbers in little-endian order.
    #[must_use]
    pub fn encode(&self) -> [u8; ENCODED] {
        let mut bytes = [VERSION; ENCODED];
        bytes[1..9].copy_from_slice(&self.tag);
        let words = self.bits.iter().chain(&self.known);
        for (to, word) in bytes[9..].as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = word.to_le_bytes();
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) writes.
    ///
    /// # Errors
    /// [`Encoding`](SketchError::Encoding) for anything else, also for bits that are set and not known.
    pub fn decode(bytes: &[u8]) -> Result<Self, SketchError> {
        let bytes: &[u8; ENCODED] = bytes.try_into().map_err(|_| SketchError::Encoding)?;
        let [version, a, b, c, d, e, f, g, h, words @ ..] = bytes;
        let mut sketch = Self { tag: [*a, *b, *c, *d, *e, *f, *g, *h], bits: [0; WORDS], known: [0; WORDS] };
        let numbers = words.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        for (to, word) in sketch.bits.iter_mut().chain(&mut sketch.known).zip(numbers) {
            *to = word;
        }
        let holds = sketch.bits.iter().zip(&sketch.known).all(|(bits, known)| bits & !known == 0);
        if *version == VERSION && holds { Ok(sketch) } else { Err(SketchError::Encoding) }
    }
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sketch(not shown)")
    }
}

impl Likeness {
    /// Share of agreeing bits; `None` without any.
    #[must_use]
    pub fn agreement(&self) -> Option<f64> {
        (self.known > 0).then(|| f64::from(self.agreeing) / f64::from(self.known))
    }

    /// An estimate of the share of equal calls: groups of which all calls are equal agree, half of the others do.
    #[must_use]
    pub fn equal_calls(&self) -> Option<f64> {
        Some((2.0 * self.agreement()? - 1.0).max(0.0).sqrt().sqrt())
    }

    /// Whether this is one genome.
    #[must_use]
    pub fn decision(&self) -> Decision {
        match self.agreement() {
            Some(agreement) if self.known >= LEAST_KNOWN => {
                if agreement >= SAME {
                    Decision::Same
                } else {
                    Decision::Different
                }
            }
            _ => Decision::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::assembly::Assembly;

    fn panel(count: u32) -> Vec<Variant> {
        let variant = |index: u32| {
            let position = (1 + index * 10_000).try_into().unwrap();
            Variant::new(Assembly::Grch38, "1".parse().unwrap(), position, "A", "G").unwrap()
        };
        (0..count).map(variant).collect()
    }

    #[test]
    fn a_sketch_is_a_function_of_key_panel_and_calls() {
        let variants = panel(300);
        let call = |v: usize| Call::from_code((v * v % 3) as u64);
        let sketch = Sketcher::new(&[1; 32], &variants).unwrap().sketch(call);
        assert_eq!(sketch.known(), BITS as u32);
        let mut turned = variants.clone();
        turned.reverse();
        assert_eq!(Sketcher::new(&[1; 32], &turned).unwrap().sketch(call), sketch);
        let other_key = Sketcher::new(&[2; 32], &variants).unwrap().sketch(call);
        assert_eq!(sketch.likeness(&other_key), None);
        let other_panel = Sketcher::new(&[1; 32], &variants[1..]).unwrap().sketch(call);
        assert_eq!(sketch.likeness(&other_panel), None);
        assert_ne!(other_key.bits, sketch.bits);
        // Bits are a fair coin.
        let ones: u32 = sketch.bits.iter().map(|word| word.count_ones()).sum();
        assert!((412..612).contains(&ones), "{ones}");
        let empty = Sketcher::new(&[1; 32], &variants).unwrap().sketch(|_| Call::Missing);
        assert_eq!(empty.known(), 0);
        assert_eq!(sketch.likeness(&empty).unwrap().decision(), Decision::Unknown);
        assert_eq!(sketch.likeness(&empty).unwrap().agreement(), None);
    }

    #[test]
    fn small_panels_are_refused() {
        assert_eq!(Sketcher::new(&[1; 32], &panel(255)).unwrap_err(), SketchError::SmallPanel);
        let mut doubled = panel(200);
        doubled.extend(panel(200));
        assert_eq!(Sketcher::new(&[1; 32], &doubled).unwrap_err(), SketchError::SmallPanel);
        assert!(Sketcher::new(&[1; 32], &panel(256)).is_ok());
    }

    #[test]
    fn encoding() {
        let variants = panel(300);
        let sketcher = Sketcher::new(&[1; 32], &variants).unwrap();
        let sketch = sketcher.sketch(|v| Call::from_code((v % 4) as u64));
        let bytes = sketch.encode();
        assert_eq!(Sketch::decode(&bytes), Ok(sketch));
        assert_eq!(Sketch::decode(&bytes[1..]), Err(SketchError::Encoding));
        let mut other = bytes;
        other[0] = 2;
        assert_eq!(Sketch::decode(&other), Err(SketchError::Encoding));
        // A bit that is set and not known.
        let mut other = bytes;
        other[9..ENCODED].fill(0);
        other[9] = 1;
        assert_eq!(Sketch::decode(&other), Err(SketchError::Encoding));
        assert_eq!(
            format!("{:?} {sketcher:?}", Sketch::decode(&bytes).unwrap()),
            "Sketch(not shown) Sketcher(secret not shown)"
        );
    }
}
