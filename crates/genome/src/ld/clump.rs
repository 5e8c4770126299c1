//! The hits of a scan, one for each region.

use super::{LdError, Linkage};
use crate::genotypes::{Block, SampleSet};
use crate::variant::Site;

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClumpRule {
    /// Largest p-value of the best variant of a clump (PLINK's default: 1e-4).
    pub p_first: f64,
    /// Largest p-value of the others (0.01).
    pub p_others: f64,
    /// Least squared correlation of the others with the best (0.5).
    pub r2: f64,
    /// Farthest distance of the others from the best, in base pairs (250,000).
    pub base_pairs: u64,
    /// Most variants with such p-values; their calls are kept in memory.
    pub most: usize,
}

impl Default for ClumpRule {
    fn default() -> Self {
        Self { p_first: 1e-4, p_others: 0.01, r2: 0.5, base_pairs: 250_000, most: 1_000_000 }
    }
}

/// A variant with a small p-value, and those that it explains.
#[derive(Clone, Debug, PartialEq)]
pub struct Clump {
    /// The number of the variant, from 0, in the order in which they came.
    pub variant: usize,
    /// Its p-value.
    pub p: f64,
    /// The numbers of the others, in their order.
    pub others: Vec<usize>,
}

/// Gathers what a scan found.
///
/// Variants are taken by their p-values, the smallest first. One that belongs to no clump yet begins one, if its p-value is
/// small enough; those near it that are linked to it and belong to no clump either go with it. As with PLINK 1.9, the
/// correlation is that of alleles on one chromosome ([`haplotype_r2`](super::PairCounts::haplotype_r2)). PLINK's counts of
/// linked variants with large p-values are not made: only calls of variants with small ones are kept.
#[derive(Debug)]
pub struct Clumps {
    people: SampleSet,
    rule: ClumpRule,
    chromosomes: Vec<String>,
    came: usize,
    hits: Vec<Hit>,
}

#[derive(Debug)]
struct Hit {
    variant: usize,
    p: f64,
    chromosome: usize,
    position: u64,
    linkage: Linkage,
}

impl Clumps {
    /// Compares the calls of `people`: founders, as for [`Pruner`](super::Pruner).
    ///
    /// # Errors
    /// [`LdError::Threshold`] for thresholds outside of 0 to 1.
    pub fn new(people: SampleSet, rule: ClumpRule) -> Result<Self, LdError> {
        if ![rule.p_first, rule.p_others, rule.r2].iter().all(|value| (0.0..=1.0).contains(value)) {
            return Err(LdError::Threshold { what: "a p-value or the squared correlation", range: "0 to 1" });
        }
        Ok(Self { people, rule, chromosomes: vec![], came: 0, hits: vec![] })
    }

    /// Adds the variants of a block with their p-values, `NaN` for one without.
    ///
    /// # Errors
    /// [`LdError`] for other people, sites or p-values, and for too many hits.
    pub fn add(&mut self, block: &Block, sites: &[Site], p_values: &[f64]) -> Result<(), LdError> {
        let variants = block.variants();
        if block.samples() != self.people.samples() {
            return Err(LdError::Samples { found: block.samples(), samples: self.people.samples() });
        }
        for (what, found) in [("sites", sites.len()), ("p-values", p_values.len())] {
            if found != variants {
                return Err(LdError::Beside { what, found, variants });
            }
        }
        let largest = self.rule.p_first.max(self.rule.p_others);
        for ((row, site), p) in block.rows().zip(sites).zip(p_values) {
            let variant = self.came;
            self.came += 1;
            if p.is_nan() || *p > largest {
                continue;
            }
            if self.hits.len() >= self.rule.most {
                return Err(LdError::TooLarge { limit: self.rule.most });
            }
            let known = self.chromosomes.iter().rposition(|name| *name == site.chromosome);
            let chromosome = known.unwrap_or_else(|| {
                self.chromosomes.push(site.chromosome.clone());
                self.chromosomes.len() - 1
            });
            let linkage = Linkage::new(row, &self.people);
            self.hits.push(Hit { variant, p: *p, chromosome, position: site.position, linkage });
        }
        Ok(())
    }

    /// The clumps, the smallest p-value first.
    #[must_use]
    pub fn finish(mut self) -> Vec<Clump> {
        self.hits.sort_by_key(|hit| (hit.chromosome, hit.position, hit.variant));
        let mut order: Vec<usize> = (0..self.hits.len()).collect();
        order.sort_by(|a, b| {
            let [a, b] = [a, b].map(|index| &self.hits[*index]);
            a.p.total_cmp(&b.p).then(a.variant.cmp(&b.variant))
        });
        let mut taken = vec![false; self.hits.len()];
        let mut clumps = vec![];
        for best in order {
            let first = &self.hits[best];
            if taken[best] || first.p > self.rule.p_first {
                continue;
            }
            taken[best] = true;
            let mut others = vec![];
            let near = |other: &usize| {
                let other = &self.hits[*other];
                first.chromosome == other.chromosome
                    && first.position.abs_diff(other.position) <= self.rule.base_pairs
            };
            let (before, behind) = ((0..best).rev(), best + 1..self.hits.len());
            for other in before.take_while(near).chain(behind.take_while(near)) {
                let second = &self.hits[other];
                if taken[other] || second.p > self.rule.p_others {
                    continue;
                }
                let r2 = first.linkage.pair(&second.linkage).haplotype_r2();
                if r2.is_some_and(|r2| r2 >= self.rule.r2) {
                    taken[other] = true;
                    others.push(second.variant);
                }
            }
            others.sort_unstable();
            clumps.push(Clump { variant: first.variant, p: first.p, others });
        }
        clumps
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ld::tests::{block, site};

    #[test]
    fn linked_neighbors_go_with_the_best() {
        let block = block(["00112200", "00112200", "01200210", "00112200", "00112200"]);
        let sites = [site("1", 10), site("1", 20), site("1", 30), site("1", 500_000), site("2", 10)];
        let mut clumps = Clumps::new(SampleSet::all(8), ClumpRule::default()).unwrap();
        clumps.add(&block, &sites, &[1e-3, 1e-9, 1e-5, 1e-6, f64::NAN]).unwrap();
        let clump = |variant, p, others: &[usize]| Clump { variant, p, others: others.to_vec() };
        assert_eq!(clumps.finish(), [clump(1, 1e-9, &[0]), clump(3, 1e-6, &[]), clump(2, 1e-5, &[])]);
        let rule = ClumpRule { most: 1, ..ClumpRule::default() };
        let mut clumps = Clumps::new(SampleSet::all(8), rule).unwrap();
        assert_eq!(clumps.add(&block, &sites, &[0.0; 5]), Err(LdError::TooLarge { limit: 1 }));
        assert!(matches!(
            clumps.add(&block, &sites, &[]),
            Err(LdError::Beside { what: "sites" | "p-values", .. })
        ));
        assert!(Clumps::new(SampleSet::all(8), ClumpRule { r2: 2.0, ..rule }).is_err());
    }
}
