//! Kinship of pairs of people: KING-robust, Manichaikul et al. 2010, Bioinformatics 26(22), in the form of PLINK 2.
//!
//! `kinship = 0.5 - sum (g_i - g_j)^2 / (4 min(het_i, het_j))`, over the variants at which both are called. About 0.5 for
//! a person and their copy, 0.25 in the first degree, 0.125 in the second, and below 0 between populations. Give it
//! autosomal variants only.

use crate::cpu::{self, Kernel};
use crate::genotypes::{Block, Source};

/// Pairs are compared tile by tile, so many people against so many: their calls stay in the cache meanwhile.
const TILE: usize = 16;

/// Words of each person that are compared before the next tile of people: 2 × 16 × 512 × 16 bytes are 256 KiB.
const STRETCH: usize = 512;

/// The calls of each person, all variants in a row: as large as the packed calls.
#[derive(Clone, Default)]
pub struct Planes {
    people: Vec<Person>,
}

/// One person's calls at 64 variants a word.
#[derive(Clone, Default)]
struct Person {
    /// The lower bits of the calls.
    low: Vec<u64>,
    /// The upper bits.
    high: Vec<u64>,
    hets: u64,
    homs: u64,
    /// The words with missing calls, and where these are: they are few, and what they change is counted apart.
    missing: Vec<(usize, u64)>,
}

/// What two people's calls have in common, over the variants at which both are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Both heterozygous.
    pub het_het: u64,
    /// The first heterozygous, the second homozygous.
    pub het_hom: u64,
    /// The first homozygous, the second heterozygous.
    pub hom_het: u64,
    /// Homozygous for different alleles: no allele in common.
    pub ibs0: u64,
    /// Homozygous for the same allele.
    pub same_hom: u64,
}

impl Pair {
    /// Variants at which both are called.
    #[must_use]
    pub fn variants(&self) -> u64 {
        self.het_het + self.het_hom + self.hom_het + self.ibs0 + self.same_hom
    }

    /// The kinship coefficient; `None` when one of the two is nowhere heterozygous.
    #[must_use]
    pub fn kinship(&self) -> Option<f64> {
        let hets = self.het_het + self.het_hom.min(self.hom_het);
        let squares = self.het_hom + self.hom_het + 4 * self.ibs0;
        (hets > 0).then(|| 0.5 - squares as f64 / (4 * hets) as f64)
    }
}

impl Planes {
    /// No variant yet, for so many people.
    #[must_use]
    pub fn new(samples: usize) -> Self {
        Self { people: vec![Person::default(); samples] }
    }

    /// The variants of a source for which `choose` is true, by their index.
    ///
    /// # Errors
    /// Those of the source.
    pub fn collect<S: Source>(source: &mut S, choose: impl Fn(usize) -> bool) -> Result<Self, S::Error> {
        let mut planes = Self::new(source.samples());
        let mut first = 0;
        while let Some(block) = source.next_block()? {
            let chosen = (0..block.variants()).filter(|v| choose(first + v)).fold(0, |mask, v| mask | 1 << v);
            planes.add(block, chosen);
            first += block.variants();
        }
        Ok(planes)
    }

    /// Adds the variants of a block whose bit is set in `variants` (bit `v` for variant `v`). A block of other people adds
    /// nothing.
    pub fn add(&mut self, block: &Block, variants: u64) {
        if block.samples() != self.people.len() || variants == 0 {
            return;
        }
        let by_sample = block.by_sample();
        for (person, [low, high]) in self.people.iter_mut().zip(by_sample.planes()) {
            // What is not chosen counts for nobody, as if it were missing everywhere: no word of corrections.
            let missing = low & high & variants;
            if missing != 0 {
                person.missing.push((person.low.len(), missing));
            }
            person.hets += u64::from((low & !high & variants).count_ones());
            person.homs += u64::from((!low & variants).count_ones());
            person.low.push(low | !variants);
            person.high.push(high | !variants);
        }
    }

    /// People.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.people.len()
    }

    /// Compares two people; `None` beyond the last one.
    #[must_use]
    pub fn pair(&self, first: usize, second: usize) -> Option<Pair> {
        let (first, second) = (self.people.get(first)?, self.people.get(second)?);
        let dense = cpu::run(Compare { low: [&first.low, &second.low], high: [&first.high, &second.high] });
        Some(first.with(second, dense))
    }

    /// Compares all pairs and hands each one out once, the first person before the second, in an order of its own.
    pub fn pairs(&self, mut each: impl FnMut(usize, usize, Pair)) {
        let tiles: Vec<usize> = (0..self.people.len()).step_by(TILE).collect();
        for second_start in &tiles {
            for first_start in tiles.iter().take_while(|start| *start <= second_start) {
                let tile = |start: usize| start..self.people.len().min(start + TILE);
                let (firsts, seconds) = (tile(*first_start), tile(*second_start));
                let found = cpu::run(CompareTile {
                    firsts: &self.people[firsts.clone()],
                    seconds: &self.people[seconds.clone()],
                });
                for (i, first) in firsts.enumerate() {
                    for (j, second) in seconds.clone().enumerate().filter(|(_, second)| first < *second) {
                        let pair = self.people[first].with(&self.people[second], found[i][j]);
                        each(first, second, pair);
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Planes {
    /// Calls do not print.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planes").field("samples", &self.people.len()).finish_non_exhaustive()
    }
}

impl Person {
    /// Completes what was counted word by word: both heterozygous, and opposite homozygous.
    fn with(&self, other: &Self, [het_het, ibs0]: [u64; 2]) -> Pair {
        // Calls of one that the other one lacks, by kind.
        let lost = |of: &Self, to: &Self| {
            let (mut hets, mut homs) = (0, 0);
            for (word, missing) in &to.missing {
                let (low, high) = (of.low[*word], of.high[*word]);
                hets += u64::from((low & !high & missing).count_ones());
                homs += u64::from((!low & missing).count_ones());
            }
            (hets, homs)
        };
        let ((het_lost, hom_lost), (other_het_lost, _)) = (lost(self, other), lost(other, self));
        let (het_hom, hom_het) = (self.hets - het_lost - het_het, other.hets - other_het_lost - het_het);
        // The homozygous calls of this one at which the other one is called are with a heterozygous or a homozygous one.
        let same_hom = self.homs - hom_lost - hom_het - ibs0;
        Pair { het_het, het_hom, hom_het, ibs0, same_hom }
    }
}

struct CompareTile<'a> {
    firsts: &'a [Person],
    seconds: &'a [Person],
}

impl Kernel for CompareTile<'_> {
    type Output = [[[u64; 2]; TILE]; TILE];

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut pairs = [[[0; 2]; TILE]; TILE];
        let words = self.firsts.first().map_or(0, |person| person.low.len());
        for start in (0..words).step_by(STRETCH) {
            let stretch = start..words.min(start + STRETCH);
            for (first, pairs) in self.firsts.iter().zip(&mut pairs) {
                for (second, pair) in self.seconds.iter().zip(pairs) {
                    let [het_het, ibs0] = Compare {
                        low: [&first.low[stretch.clone()], &second.low[stretch.clone()]],
                        high: [&first.high[stretch.clone()], &second.high[stretch.clone()]],
                    }
                    .run();
                    pair[0] += het_het;
                    pair[1] += ibs0;
                }
            }
        }
        pairs
    }
}

/// Counts where both are heterozygous, and where they are homozygous for different alleles.
struct Compare<'a> {
    low: [&'a [u64]; 2],
    high: [&'a [u64]; 2],
}

impl Kernel for Compare<'_> {
    type Output = [u64; 2];

    #[inline(always)]
    fn run(self) -> [u64; 2] {
        let words = self.low[0].len();
        let [low_i, low_j] = self.low.map(|plane| &plane[..words]);
        let [high_i, high_j] = self.high.map(|plane| &plane[..words]);
        let (mut het_het, mut ibs0) = (0, 0);
        for word in 0..words {
            let both_het = low_i[word] & low_j[word] & !(high_i[word] | high_j[word]);
            let opposite = (high_i[word] ^ high_j[word]) & !(low_i[word] | low_j[word]);
            het_het += u64::from(both_het.count_ones());
            ibs0 += u64::from(opposite.count_ones());
        }
        [het_het, ibs0]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::genotypes::{Call, Genotypes};

    #[test]
    fn every_pair_is_counted_once_and_as_by_hand() {
        let samples = 2 * TILE + 3;
        let mut genotypes = Genotypes::new(samples);
        for v in 0..150_u64 {
            let calls: Vec<Call> =
                (0..samples as u64).map(|s| Call::from_code((v * v + s * 5 + v * s) >> 1)).collect();
            genotypes.push_calls(&calls).unwrap();
        }
        let chosen = |v: usize| !v.is_multiple_of(5);
        let planes = Planes::collect(&mut genotypes.source(), chosen).unwrap();
        let mut seen = vec![false; samples * samples];
        planes.pairs(|i, j, pair| {
            assert!(i < j && !std::mem::replace(&mut seen[i * samples + j], true));
            let mut expected = Pair::default();
            for v in (0..150).filter(|v| chosen(*v)) {
                let call = |s| genotypes.blocks()[v / 64].call(v % 64, s).unwrap().copies();
                match (call(i), call(j)) {
                    (Some(1), Some(1)) => expected.het_het += 1,
                    (Some(1), Some(_)) => expected.het_hom += 1,
                    (Some(_), Some(1)) => expected.hom_het += 1,
                    (Some(a), Some(b)) if a == b => expected.same_hom += 1,
                    (Some(_), Some(_)) => expected.ibs0 += 1,
                    _ => {}
                }
            }
            assert_eq!(pair, expected);
            assert_eq!(planes.pair(i, j), Some(pair));
            let [a, b] = [i, j].map(|person| &planes.people[person]);
            let portable = cpu::run_portable(Compare { low: [&a.low, &b.low], high: [&a.high, &b.high] });
            assert_eq!(a.with(b, portable), pair);
        });
        assert_eq!(seen.iter().filter(|seen| **seen).count(), samples * (samples - 1) / 2);
    }

    #[test]
    fn a_copy_has_one_half_and_opposites_less() {
        let pair =
            |het_het, het_hom, hom_het, ibs0| Pair { het_het, het_hom, hom_het, ibs0, same_hom: 9 }.kinship();
        assert_eq!(pair(8, 0, 0, 0), Some(0.5));
        assert_eq!(pair(2, 2, 6, 1), Some(0.5 - 12.0 / 16.0));
        assert_eq!(pair(0, 0, 3, 1), None);
    }
}
