//! Variants no two of which, within a window, are linked.

use std::collections::{BTreeSet, VecDeque};

use super::{LdError, Linkage};
use crate::genotypes::{Block, SampleSet};
use crate::variant::Site;

/// How far apart variants are still compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// So many variants of one chromosome, the removed ones among them.
    Variants(usize),
    /// So many base pairs from the first variant of the window to the last.
    BasePairs(u64),
}

/// Removes variants until no two that lie in one window have a squared correlation above a threshold.
///
/// A window begins at the first variant of a chromosome and then moves on by `step` variants. In it, variants are taken in
/// their order, and each is compared with those behind it; of the first pair above the threshold the one with the rarer minor
/// allele is removed, the later one when they are equal, until nothing is left to remove. Variants that do not vary are
/// removed, too. It is what PLINK does; correlations are those of people who are called at both variants.
///
/// Only the calls of the window are kept in memory.
#[derive(Debug)]
pub struct Pruner {
    people: SampleSet,
    window: Window,
    step: usize,
    threshold: f64,
    most: usize,
    chromosome: Option<String>,
    finished: BTreeSet<String>,
    /// Positions of the variants of the window, from the one with number `start` on.
    positions: VecDeque<u64>,
    start: usize,
    live: Vec<Live>,
    kept: Vec<bool>,
}

/// A variant of the window that is not removed.
#[derive(Debug)]
struct Live {
    variant: usize,
    linkage: Linkage,
    minor: f64,
    /// With those before this one it was compared already.
    unchecked: usize,
}

/// Two correlations, or two frequencies, that differ by less are the same but for rounding.
const ROUNDING: f64 = 1.0 / (1_u64 << 44) as f64;

impl Pruner {
    /// Compares the calls of `people`; founders are the right ones, because relatives are linked by descent. `most` is the
    /// largest number of variants in a window.
    ///
    /// # Errors
    /// [`LdError::Threshold`] for a squared correlation outside of 0 to 1, a window of no variant or a step of none.
    pub fn new(
        people: SampleSet,
        window: Window,
        step: usize,
        r2: f64,
        most: usize,
    ) -> Result<Self, LdError> {
        if !(0.0..=1.0).contains(&r2) {
            return Err(LdError::Threshold { what: "the squared correlation", range: "0 to 1" });
        }
        if step == 0 || window == Window::Variants(0) {
            return Err(LdError::Threshold { what: "the window or its step", range: "at least one variant" });
        }
        Ok(Self {
            people,
            window,
            step,
            threshold: r2 * (1.0 + ROUNDING),
            most,
            chromosome: None,
            finished: BTreeSet::new(),
            positions: VecDeque::new(),
            start: 0,
            live: vec![],
            kept: vec![],
        })
    }

    /// Adds the variants of a block, in the order of chromosomes and positions.
    ///
    /// # Errors
    /// [`LdError`] for other people or sites, for an order that is not sorted, and for a window that holds too many.
    pub fn add(&mut self, block: &Block, sites: &[Site]) -> Result<(), LdError> {
        if block.samples() != self.people.samples() {
            return Err(LdError::Samples { found: block.samples(), samples: self.people.samples() });
        }
        if sites.len() != block.variants() {
            return Err(LdError::Beside { what: "sites", found: sites.len(), variants: block.variants() });
        }
        block.rows().zip(sites).try_for_each(|(row, site)| self.push(row, &site.chromosome, site.position))
    }

    /// For each variant that came, whether it stays.
    #[must_use]
    pub fn finish(mut self) -> Vec<bool> {
        self.prune();
        self.kept
    }

    fn push(&mut self, row: &[u64], chromosome: &str, position: u64) -> Result<(), LdError> {
        let variant = self.kept.len();
        if self.chromosome.as_deref() != Some(chromosome) {
            self.prune();
            self.live.clear();
            self.positions.clear();
            self.start = variant;
            self.finished.extend(self.chromosome.replace(chromosome.to_owned()));
            if self.finished.contains(chromosome) {
                return Err(LdError::Order { variant: variant + 1 });
            }
        }
        if self.positions.back().is_some_and(|last| *last > position) {
            return Err(LdError::Order { variant: variant + 1 });
        }
        while self.is_full(position) {
            self.prune();
            self.positions.drain(..self.step.min(self.positions.len()));
            self.start += self.step;
            self.live.retain(|live| live.variant >= self.start);
        }
        if self.positions.len() >= self.most {
            return Err(LdError::TooLarge { limit: self.most });
        }
        let linkage = Linkage::new(row, &self.people);
        let varies = !linkage.is_constant();
        self.kept.push(varies);
        // A step that is longer than the window leaves variants out of every window.
        if variant < self.start {
            return Ok(());
        }
        self.positions.push_back(position);
        if varies {
            let minor = linkage.minor_frequency();
            self.live.push(Live { variant, linkage, minor, unchecked: variant + 1 });
        }
        Ok(())
    }

    /// True when the window ends before a variant at this position.
    fn is_full(&self, position: u64) -> bool {
        match (self.window, self.positions.front()) {
            (Window::Variants(count), _) => self.positions.len() >= count,
            (Window::BasePairs(length), Some(first)) => position - first > length,
            (Window::BasePairs(_), None) => false,
        }
    }

    /// Removes what is linked in this window.
    fn prune(&mut self) {
        loop {
            let mut removed = false;
            for index in 0..self.live.len() {
                removed |= self.prune_behind(index);
            }
            self.live.retain(|live| self.kept[live.variant]);
            if !removed {
                return;
            }
        }
    }

    /// Compares a variant with those behind it up to the first that is linked to it, and removes one of the two.
    fn prune_behind(&mut self, index: usize) -> bool {
        let (before, behind) = self.live.split_at_mut(index + 1);
        let Some(first) = before.last_mut() else { return false };
        if !self.kept[first.variant] {
            return false;
        }
        for second in behind {
            if second.variant < first.unchecked || !self.kept[second.variant] {
                continue;
            }
            first.unchecked = second.variant + 1;
            if first.linkage.pair(&second.linkage).r2().is_some_and(|r2| r2 > self.threshold) {
                let rarer = first.minor < second.minor * (1.0 - ROUNDING);
                self.kept[if rarer { first.variant } else { second.variant }] = false;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ld::tests::{block, site};

    fn kept(window: Window, sites: &[Site]) -> Result<Vec<bool>, LdError> {
        let mut pruner = Pruner::new(SampleSet::all(8), window, 1, 0.5, 100).unwrap();
        pruner.add(&block(["00112200", "00112201", "01200210", "11111111", "00112200"]), sites)?;
        Ok(pruner.finish())
    }

    #[test]
    fn of_two_linked_ones_the_rarer_goes() {
        let near: Vec<Site> = (1..=5).map(|n| site("1", 10 * n)).collect();
        // The first has the rarer allele of the first two; the fifth is the first again.
        assert_eq!(kept(Window::Variants(5), &near), Ok(vec![false, true, true, false, false]));
        assert_eq!(kept(Window::Variants(3), &near), Ok(vec![false, true, true, false, true]));
        assert_eq!(kept(Window::BasePairs(30), &near), Ok(vec![false, true, true, false, false]));
        assert_eq!(kept(Window::BasePairs(29), &near), Ok(vec![false, true, true, false, true]));
        let apart: Vec<Site> = (1..=5).map(|n| site(&n.to_string(), 10)).collect();
        assert_eq!(kept(Window::Variants(5), &apart), Ok(vec![true, true, true, false, true]));
    }

    #[test]
    fn what_is_not_sorted_is_refused() {
        let mut sites: Vec<Site> = (1..=5).map(|n| site("1", 10 * n)).collect();
        sites[3].position = 1;
        assert_eq!(kept(Window::Variants(2), &sites), Err(LdError::Order { variant: 4 }));
        sites[3] = site("2", 40);
        assert_eq!(kept(Window::Variants(2), &sites), Err(LdError::Order { variant: 5 }));
        assert!(matches!(kept(Window::Variants(2), &sites[1..]), Err(LdError::Beside { found: 4, .. })));
        let new = |window, step, r2| Pruner::new(SampleSet::all(8), window, step, r2, 3).err();
        assert!(matches!(new(Window::Variants(0), 1, 0.1), Some(LdError::Threshold { .. })));
        assert!(matches!(new(Window::Variants(2), 0, 0.1), Some(LdError::Threshold { .. })));
        assert!(matches!(new(Window::Variants(2), 1, f64::NAN), Some(LdError::Threshold { .. })));
        let mut pruner = Pruner::new(SampleSet::all(8), Window::BasePairs(1_000), 1, 0.5, 3).unwrap();
        let near: Vec<Site> = (1..=5).map(|n| site("1", 10 * n)).collect();
        assert_eq!(pruner.add(&block(["01200210"; 5]), &near), Err(LdError::TooLarge { limit: 3 }));
        assert!(matches!(pruner.add(&Block::new(3), &[]), Err(LdError::Samples { found: 3, .. })));
    }
}
