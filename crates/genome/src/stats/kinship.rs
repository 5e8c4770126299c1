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

/// The calls of each person, all variants in a row, two bit planes each: as large as the packed calls.
#[derive(Clone, Default)]
pub struct Planes {
    /// For each person, the lower and the upper bits of 64 variants at a time.
    people: Vec<Vec<[u64; 2]>>,
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

    fn add(&mut self, [het_het, het_hom, hom_het, ibs0, hom_hom]: [u64; 5]) {
        self.het_het += het_het;
        self.het_hom += het_hom;
        self.hom_het += hom_het;
        self.ibs0 += ibs0;
        self.same_hom += hom_hom - ibs0;
    }
}

impl Planes {
    /// No variant yet, for so many people.
    #[must_use]
    pub fn new(samples: usize) -> Self {
        Self { people: vec![vec![]; samples] }
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
            person.push([low | !variants, high | !variants]);
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
        let mut pair = Pair::default();
        pair.add(cpu::run(Compare(self.people.get(first)?, self.people.get(second)?)));
        Some(pair)
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
                        each(first, second, found[i][j]);
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

struct CompareTile<'a> {
    firsts: &'a [Vec<[u64; 2]>],
    seconds: &'a [Vec<[u64; 2]>],
}

impl Kernel for CompareTile<'_> {
    type Output = [[Pair; TILE]; TILE];

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut pairs = [[Pair::default(); TILE]; TILE];
        let words = self.firsts.first().map_or(0, Vec::len);
        for start in (0..words).step_by(STRETCH) {
            let stretch = start..words.min(start + STRETCH);
            for (first, pairs) in self.firsts.iter().zip(&mut pairs) {
                for (second, pair) in self.seconds.iter().zip(pairs) {
                    pair.add(Compare(&first[stretch.clone()], &second[stretch.clone()]).run());
                }
            }
        }
        pairs
    }
}

/// Counts of both heterozygous, one heterozygous and one homozygous, the reverse, opposite homozygous, both homozygous.
struct Compare<'a>(&'a [[u64; 2]], &'a [[u64; 2]]);

impl Kernel for Compare<'_> {
    type Output = [u64; 5];

    #[inline(always)]
    fn run(self) -> [u64; 5] {
        let mut sums = [0_u64; 5];
        for ([low_i, high_i], [low_j, high_j]) in self.0.iter().zip(self.1) {
            let (het_i, het_j) = (low_i & !high_i, low_j & !high_j);
            let both_hom = !(low_i | low_j);
            let kinds =
                [het_i & het_j, het_i & !low_j, het_j & !low_i, both_hom & (high_i ^ high_j), both_hom];
            for (sum, kind) in sums.iter_mut().zip(kinds) {
                *sum += u64::from(kind.count_ones());
            }
        }
        sums
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
