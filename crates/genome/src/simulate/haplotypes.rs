//! Chromosomes of people as mosaics: founders one after the other, then people, then children.
//!
//! Founders follow Li and Stephens 2003, Genetics 165(4), "product of approximate conditionals": the founder after `k` others
//! copies from them, changing its source at rate 4 N r / k along the chromosome. Where a mutation arises, the founder has the
//! new allele and those who copy from it there inherit it; a mutation arises at the founder after `k` others with a
//! probability that goes as 1 / k, which gives the neutral spectrum of frequencies.

use super::random::Random;
use super::{Plan, Spectrum};
use crate::genotypes::{Genotypes, WORD_CALLS, transpose};

/// Founders that all populations have in common: populations differ as those of continents do (F_ST near 1 / 16).
const ANCESTORS: usize = 16;
/// Effective number of people, which sets how far linkage reaches.
const EFFECTIVE_PEOPLE: f64 = 10_000.0;
/// A Morgan for 100 million bases.
const MORGANS_PER_BASE: f64 = 1e-8;
/// Share of alleles of unrelated people's haplotypes that are exchanged: recent mutations, and errors that all callers make.
const MUTATION: f64 = 1e-5;

/// One chromosome of everybody: bits along the variants, rows for haplotypes 2 i and 2 i + 1 of person i.
pub(super) struct Chromosome {
    /// Positions along the chromosome in Morgans.
    map: Vec<f64>,
    width: usize,
    rows: Vec<u64>,
}

impl Chromosome {
    pub(super) fn simulate(plan: &Plan, positions: &[u32], random: &mut Random) -> Self {
        let map: Vec<f64> =
            positions.iter().map(|position| f64::from(*position) * MORGANS_PER_BASE).collect();
        let mut chromosome = Self { width: positions.len().div_ceil(64), map, rows: vec![] };
        let founders = chromosome.founders(plan, random);
        for (population, people) in plan.populations.iter().enumerate() {
            let own = &founders[population * plan.founders..(population + 1) * plan.founders];
            let own: Vec<&[u64]> = own.iter().map(Vec::as_slice).collect();
            for _ in 0..2 * people {
                let row = chromosome.mosaic(&own, f64::from(plan.generations), random);
                chromosome.rows.extend(row);
            }
        }
        let variants = chromosome.map.len();
        let haplotypes = 2 * plan.populations.iter().sum::<usize>();
        let mut hit = random.skip(MUTATION);
        while hit < haplotypes.saturating_mul(variants) {
            let (row, variant) = (hit / variants, hit % variants);
            chromosome.rows[row * chromosome.width + variant / 64] ^= 1 << (variant % 64);
            hit = hit.saturating_add(1).saturating_add(random.skip(MUTATION));
        }
        for family in 0..plan.families {
            for _ in 0..2 {
                for parent in [2 * family, 2 * family + 1] {
                    let row = |row: usize| &chromosome.rows[row * chromosome.width..][..chromosome.width];
                    let child = chromosome.mosaic(&[row(2 * parent), row(2 * parent + 1)], 2.0, random);
                    chromosome.rows.extend(child);
                }
            }
        }
        chromosome
    }

    /// `plan.founders` of each population, population by population.
    fn founders(&self, plan: &Plan, random: &mut Random) -> Vec<Vec<u64>> {
        let populations = plan.populations.len();
        let last = match plan.spectrum {
            Spectrum::Sequenced => ANCESTORS + plan.founders,
            Spectrum::Array => ANCESTORS / 2,
        };
        // Variants by where their mutation arises: with the ancestors first, then with the founders of each population.
        let mut births = vec![vec![]; ANCESTORS + populations * plan.founders];
        let weights: f64 = (1..last).map(|k| 1.0 / k as f64).sum();
        for variant in 0..self.map.len() {
            let mut left = random.unit() * weights;
            let born = (1..last).find(|k| {
                left -= 1.0 / *k as f64;
                left < 0.0
            });
            let mut born = born.unwrap_or(1);
            if born >= ANCESTORS {
                born += random.below(populations) * plan.founders;
            }
            births[born].push(variant);
        }
        let mut all: Vec<Vec<u64>> = vec![];
        for (founder, births) in births.iter().enumerate() {
            let first_of_own = founder.saturating_sub(ANCESTORS) / plan.founders * plan.founders + ANCESTORS;
            let before =
                all[..ANCESTORS.min(founder)].iter().chain(all.get(first_of_own..).unwrap_or_default());
            let before: Vec<&[u64]> = before.map(Vec::as_slice).collect();
            let rate = 4.0 * EFFECTIVE_PEOPLE / before.len().max(1) as f64;
            let mut row = self.mosaic(&before, rate, random);
            births.iter().for_each(|variant| row[variant / 64] |= 1 << (variant % 64));
            all.push(row);
        }
        all.split_off(ANCESTORS)
    }

    /// Copies stretches of `sources`, whose lengths are exponential with `rate` changes a Morgan.
    fn mosaic(&self, sources: &[&[u64]], rate: f64, random: &mut Random) -> Vec<u64> {
        let mut row = vec![0; self.width];
        let mut start = 0;
        while start < self.map.len() && !sources.is_empty() {
            let source = sources[random.below(sources.len())];
            let reach = self.map[start] + random.exponential() / rate;
            let end = start + 1 + self.map[start + 1..].partition_point(|place| *place < reach);
            let (first, last) = (start / 64, (end - 1) / 64);
            for word in first..=last {
                let mut mask = u64::MAX;
                if word == first {
                    mask &= u64::MAX << (start % 64);
                }
                if word == last {
                    mask &= u64::MAX >> (63 - (end - 1) % 64);
                }
                row[word] |= source[word] & mask;
            }
            start = end;
        }
        row
    }

    /// Adds the chromosome's variants to the calls of everybody.
    pub(super) fn add_to(&self, genotypes: &mut Genotypes, missing: f64, random: &mut Random) {
        let people = genotypes.samples();
        let mut rows = vec![[0_u64; 64]; people.div_ceil(WORD_CALLS)];
        let mut hit = random.skip(missing);
        for word in 0..self.width {
            for (column, square) in rows.iter_mut().enumerate() {
                *square = [0; 64];
                let of_person = square.as_chunks_mut::<2>().0.iter_mut();
                for (person, planes) in (column * WORD_CALLS..people).zip(of_person) {
                    let [a, b] = [0, 1].map(|h| self.rows[(2 * person + h) * self.width + word]);
                    *planes = [a ^ b, a & b];
                }
                transpose(square);
            }
            for variant in 0..(self.map.len() - 64 * word).min(64) {
                let mut row: Vec<u64> = rows.iter().map(|square| square[variant]).collect();
                while hit < people {
                    row[hit / WORD_CALLS] |= 3 << (2 * (hit % WORD_CALLS));
                    hit = hit.saturating_add(1).saturating_add(random.skip(missing));
                }
                hit = hit.saturating_sub(people);
                // As many words as people need, with zeros behind the last one: it fits.
                let _ = genotypes.push_row(&row);
            }
        }
    }
}
