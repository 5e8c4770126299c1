//! Linkage of variants: how well the genotype at one tells the genotype at another, and lists without what others tell.
//!
//! | asked | type | oracle |
//! |---|---|---|
//! | squared correlation of two variants | [`Linkage`] | definition |
//! | variants no two of which are linked | [`Pruner`] | `plink2 --indep-pairwise`, `plink --indep-pairwise` |
//! | hits of a scan, one for each region | [`Clumps`] | `plink --clump` |
//!
//! Calls are counted with `popcount` in bit planes; everything is a whole number until the one division at the end.
//! X and Y are treated as the other chromosomes are, which PLINK does not do with males.

mod clump;
mod prune;

pub use clump::{Clump, ClumpRule, Clumps};
pub use prune::{Pruner, Window};

use crate::cpu::{self, Kernel};
use crate::genotypes::SampleSet;

/// The lower bit of each call of a word.
const LOW_BITS: u64 = 0x5555_5555_5555_5555;

/// What makes no list of variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LdError {
    /// A block of other people than were named.
    #[error("a block of {found} people came where there were {samples}")]
    Samples {
        /// People of the block.
        found: usize,
        /// People who were named.
        samples: usize,
    },
    /// Other than one site, or one p-value, for each row of a block.
    #[error("{found} {what} came with a block of {variants} variants")]
    Beside {
        /// Sites or p-values.
        what: &'static str,
        /// How many.
        found: usize,
        /// Variants of the block.
        variants: usize,
    },
    /// Variants that are not sorted.
    #[error(
        "variant {variant} lies before the one above it, or its chromosome came earlier; sort the file by chromosome and position"
    )]
    Order {
        /// Its number, from 1.
        variant: usize,
    },
    /// A threshold outside of its range.
    #[error("{what} is out of range: {range}")]
    Threshold {
        /// Which one.
        what: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// More variants at once than the caller allows.
    #[error(
        "more than {limit} variants have to be compared at once; take a smaller window or a smaller p-value"
    )]
    TooLarge {
        /// The number allowed.
        limit: usize,
    },
}

/// The calls of one variant among some people, made ready for comparisons.
#[derive(Clone)]
pub struct Linkage {
    /// Heterozygous people, 64 a word, in an order that is the same for all variants.
    het: Vec<u64>,
    /// People with two copies.
    hom: Vec<u64>,
    /// People who are called.
    known: Vec<u64>,
    counts: [u64; 3],
    complete: bool,
}

impl std::fmt::Debug for Linkage {
    /// Calls do not print.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linkage").finish_non_exhaustive()
    }
}

/// Pairs of calls of people who are called at both variants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// `calls[a][b]` people have a copies of the first and b of the second.
    pub calls: [[u64; 3]; 3],
}

impl Linkage {
    /// The packed row of a variant among the people of a set.
    #[must_use]
    pub fn new(row: &[u64], people: &SampleSet) -> Self {
        let width = row.len().min(people.words().len());
        let (row, chosen) = (&row[..width], &people.words()[..width]);
        let words = width.div_ceil(2);
        let mut linkage = Self {
            het: Vec::with_capacity(words),
            hom: Vec::with_capacity(words),
            known: Vec::with_capacity(words),
            counts: [0; 3],
            complete: false,
        };
        for (row, chosen) in row.chunks(2).zip(chosen.chunks(2)) {
            // Even bits of two words fill one: the people of the second go into the gaps of the first.
            let (mut het, mut hom, mut known) = (0, 0, 0);
            for (shift, (word, chosen)) in row.iter().zip(chosen).enumerate() {
                let (low, high) = (word & LOW_BITS, word >> 1 & LOW_BITS);
                het |= (low & !high & chosen) << shift;
                hom |= (high & !low & chosen) << shift;
                known |= (!(low & high) & chosen) << shift;
            }
            linkage.counts[1] += u64::from(het.count_ones());
            linkage.counts[2] += u64::from(hom.count_ones());
            linkage.counts[0] += u64::from(known.count_ones());
            linkage.het.push(het);
            linkage.hom.push(hom);
            linkage.known.push(known);
        }
        linkage.complete = linkage.counts[0] == people.count() as u64;
        linkage.counts[0] -= linkage.counts[1] + linkage.counts[2];
        linkage
    }

    /// True when all called people have the same genotype: nothing correlates with it.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        let known: u64 = self.counts.iter().sum();
        self.counts.contains(&known)
    }

    /// Frequency of the rarer allele; 0 without calls.
    #[must_use]
    pub fn minor_frequency(&self) -> f64 {
        let [none, one, two] = self.counts;
        let (copies, others) = (one + 2 * two, one + 2 * none);
        copies.min(others) as f64 / (copies + others).max(1) as f64
    }

    /// Counts the pairs of calls.
    #[must_use]
    pub fn pair(&self, other: &Self) -> PairCounts {
        let both = [self, other];
        let [hets, het_hom, hom_het, homs] =
            cpu::run(Both { het: both.map(|v| &*v.het), hom: both.map(|v| &*v.hom) });
        let within = |of: &Self, to: &Self| match to.complete {
            true => of.counts,
            false => {
                let [het, hom, known] = [&of.het, &of.hom, &of.known]
                    .map(|plane| cpu::run(Common { planes: [plane, &to.known] }));
                [known - het - hom, het, hom]
            }
        };
        let (of_first, of_second) = (within(self, other), within(other, self));
        let (one_none, two_none) = (of_first[1] - hets - het_hom, of_first[2] - hom_het - homs);
        let (none_one, none_two) = (of_second[1] - hets - hom_het, of_second[2] - het_hom - homs);
        let none_none = of_first[0] - none_one - none_two;
        PairCounts {
            calls: [[none_none, none_one, none_two], [one_none, hets, het_hom], [two_none, hom_het, homs]],
        }
    }
}

impl PairCounts {
    /// People who are called at both.
    #[must_use]
    pub fn people(&self) -> u64 {
        self.calls.iter().flatten().sum()
    }

    /// Correlation of the numbers of copies; `None` where one of the two does not vary.
    #[must_use]
    pub fn r(&self) -> Option<f64> {
        let (covariance, [first, second]) = self.moments();
        (first > 0.0 && second > 0.0).then(|| covariance / (first.sqrt() * second.sqrt()))
    }

    /// Squared correlation of the numbers of copies; `None` where one of the two does not vary.
    #[must_use]
    pub fn r2(&self) -> Option<f64> {
        let (covariance, [first, second]) = self.moments();
        (first > 0.0 && second > 0.0).then(|| (covariance / first) * (covariance / second))
    }

    /// The covariance and the variances, each times the square of the number of people: whole numbers.
    fn moments(&self) -> (f64, [f64; 2]) {
        let people = i128::from(self.people());
        let sum = |weight: fn(i128, i128) -> i128| -> i128 {
            let cells = self
                .calls
                .iter()
                .zip(0..)
                .flat_map(|(row, a)| row.iter().zip(0..).map(move |(n, b)| (a, b, n)));
            cells.map(|(a, b, n)| weight(a, b) * i128::from(*n)).sum()
        };
        let (first, second) = (sum(|a, _| a), sum(|_, b| b));
        let covariance = people * sum(|a, b| a * b) - first * second;
        let variances =
            [people * sum(|a, _| a * a) - first * first, people * sum(|_, b| b * b) - second * second];
        (covariance as f64, variances.map(|variance| variance as f64))
    }

    /// Squared correlation of the alleles on one chromosome, when people mate at random: frequencies of the four haplotypes are
    /// those of maximum likelihood, found by the EM algorithm (Excoffier and Slatkin 1995). `None` where one of the two does
    /// not vary.
    #[must_use]
    pub fn haplotype_r2(&self) -> Option<f64> {
        let [[n00, n01, n02], [n10, n11, n12], [n20, n21, n22]] = self.calls.map(|row| row.map(|n| n as f64));
        let chromosomes = 2.0 * self.people() as f64;
        // Haplotypes that are known: those of all but the doubly heterozygous people.
        let known =
            [2.0 * n00 + n01 + n10, 2.0 * n02 + n01 + n12, 2.0 * n20 + n10 + n21, 2.0 * n22 + n12 + n21];
        let p = (known[2] + known[3] + n11) / chromosomes;
        let q = (known[1] + known[3] + n11) / chromosomes;
        if !(p * (1.0 - p) > 0.0 && q * (1.0 - q) > 0.0) {
            return None;
        }
        // Share of the doubly heterozygous people whose alternative alleles lie together.
        let mut share = 0.5;
        for _ in 0..STEPS {
            let [none, second, first, both] = [
                known[0] + n11 * share,
                known[1] + n11 * (1.0 - share),
                known[2] + n11 * (1.0 - share),
                known[3] + n11 * share,
            ];
            let (together, apart) = (none * both, first * second);
            let next = if together + apart > 0.0 { together / (together + apart) } else { 0.5 };
            let change = (next - share).abs();
            share = next;
            if change < 1e-12 {
                break;
            }
        }
        let together = (known[3] + n11 * share) / chromosomes;
        let d = together - p * q;
        Some(d * d / (p * (1.0 - p) * q * (1.0 - q)))
    }
}

/// Most steps of the EM algorithm.
const STEPS: usize = 1_000;

/// Counts pairs of calls without a reference call.
struct Both<'a> {
    het: [&'a [u64]; 2],
    hom: [&'a [u64]; 2],
}

impl Kernel for Both<'_> {
    type Output = [u64; 4];

    #[inline(always)]
    fn run(self) -> [u64; 4] {
        let words = self.het[0].len().min(self.het[1].len());
        let [het_a, het_b] = self.het.map(|plane| &plane[..words]);
        let [hom_a, hom_b] = self.hom.map(|plane| &plane[..words]);
        let mut sums = [0; 4];
        for word in 0..words {
            sums[0] += u64::from((het_a[word] & het_b[word]).count_ones());
            sums[1] += u64::from((het_a[word] & hom_b[word]).count_ones());
            sums[2] += u64::from((hom_a[word] & het_b[word]).count_ones());
            sums[3] += u64::from((hom_a[word] & hom_b[word]).count_ones());
        }
        sums
    }
}

/// Counts people who are in both planes.
struct Common<'a> {
    planes: [&'a [u64]; 2],
}

impl Kernel for Common<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut sum = 0;
        for (a, b) in self.planes[0].iter().zip(self.planes[1]) {
            sum += u64::from((a & b).count_ones());
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::genotypes::{Block, Call};
    use crate::variant::Site;

    pub(super) fn site(chromosome: &str, position: u64) -> Site {
        let [ids, reference, alternative] = [".", "A", "C"].map(str::to_owned);
        Site { line: 1, chromosome: chromosome.into(), position, ids, reference, alternative }
    }

    /// Variants of eight people, a digit each.
    pub(super) fn block(rows: [&str; 5]) -> Block {
        let mut block = Block::new(8);
        for row in rows {
            let calls: Vec<Call> = row.bytes().map(|c| Call::from_code(u64::from(c - b'0'))).collect();
            block.push_calls(&calls).unwrap();
        }
        block
    }

    proptest! {
        #[test]
        fn pairs_are_counted_as_by_hand(
            codes in prop::collection::vec((0_u64..4, 0_u64..4, any::<bool>()), 0..150),
        ) {
            let people = SampleSet::of(codes.len(), |s| codes[s].2);
            let mut block = Block::new(codes.len());
            block.push_calls(&codes.iter().map(|c| Call::from_code(c.0)).collect::<Vec<_>>()).unwrap();
            block.push_calls(&codes.iter().map(|c| Call::from_code(c.1)).collect::<Vec<_>>()).unwrap();
            let mut expected = PairCounts::default();
            for (a, b, _) in codes.iter().filter(|(a, b, chosen)| *chosen && *a < 3 && *b < 3) {
                expected.calls[*a as usize][*b as usize] += 1;
            }
            let [first, second] = [0, 1].map(|v| Linkage::new(block.row(v).unwrap(), &people));
            prop_assert_eq!(first.pair(&second), expected);
            let r2 = expected.r2();
            prop_assert!(r2.is_none_or(|r2| (0.0..=1.0 + 1e-12).contains(&r2)));
            prop_assert_eq!(second.pair(&first).r2().is_some(), r2.is_some());
            prop_assert!(expected.haplotype_r2().is_none_or(|r2| (0.0..=1.0 + 1e-9).contains(&r2)));
        }
    }

    #[test]
    fn correlations_of_small_tables() {
        let same = PairCounts { calls: [[5, 0, 0], [0, 4, 0], [0, 0, 1]] };
        assert_eq!((same.people(), same.r2()), (10, Some(1.0)));
        assert!((same.haplotype_r2().unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(PairCounts { calls: [[3, 4, 1], [0; 3], [0; 3]] }.r2(), None);
        assert_eq!(PairCounts { calls: [[3, 4, 1], [0; 3], [0; 3]] }.haplotype_r2(), None);
        assert_eq!(PairCounts { calls: [[1, 2, 1], [2, 4, 2], [1, 2, 1]] }.r2(), Some(0.0));
        // x = 0 0 1 1 2, y = 0 1 1 1 2: covariance 2/5 * ..., by hand r = 10 / sqrt(14 * 10).
        let found = PairCounts { calls: [[1, 1, 0], [0, 2, 0], [0, 0, 1]] }.r2().unwrap();
        assert!((found - 100.0 / 140.0).abs() < 1e-12, "{found}");
        let opposite = PairCounts { calls: [[0, 0, 2], [0, 3, 0], [5, 0, 0]] };
        assert!((opposite.r().unwrap() + 1.0).abs() < 1e-12 && (opposite.r2().unwrap() - 1.0).abs() < 1e-12);
    }
}
