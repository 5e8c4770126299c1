//! On which build positions are, by where variants are known to be on each.

use std::collections::HashSet;

use crate::assembly::{Assembly, Chromosome, Position};

/// Places that say something: with fewer hits on the best build nothing is said.
const LEAST_HITS: u64 = 50;
/// The best build must have so many times the hits of any other one.
const CLEARLY: u64 = 5;

/// Counts how many positions of a site are places of known variants, build by build.
#[derive(Clone, Debug, Default)]
pub struct BuildCheck {
    builds: Vec<Build>,
    positions: u64,
}

#[derive(Clone, Debug)]
struct Build {
    assembly: Assembly,
    places: HashSet<(Chromosome, Position)>,
    hits: u64,
}

impl BuildCheck {
    /// No build yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the places of well-known variants on a build; a few thousand of them are enough, on the same variants for each
    /// build.
    #[must_use]
    pub fn with(
        mut self,
        assembly: Assembly,
        places: impl IntoIterator<Item = (Chromosome, Position)>,
    ) -> Self {
        self.builds.push(Build { assembly, places: places.into_iter().collect(), hits: 0 });
        self
    }

    /// Counts a position of the site.
    pub fn add(&mut self, chromosome: Chromosome, position: Position) {
        self.positions += 1;
        for build in &mut self.builds {
            build.hits += u64::from(build.places.contains(&(chromosome, position)));
        }
    }

    /// Positions that were counted, and for each build how many of them are known places.
    #[must_use]
    pub fn hits(&self) -> (u64, Vec<(Assembly, u64)>) {
        (self.positions, self.builds.iter().map(|build| (build.assembly, build.hits)).collect())
    }

    /// The build, when one is clearly the best: 50 hits or more, and five times those of any other one.
    #[must_use]
    pub fn build(&self) -> Option<Assembly> {
        let best = self.builds.iter().max_by_key(|build| build.hits)?;
        let mut others = self.builds.iter().filter(|build| build.assembly != best.assembly);
        let clear = others.all(|other| best.hits >= other.hits.saturating_mul(CLEARLY));
        (best.hits >= LEAST_HITS && clear).then_some(best.assembly)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_build_is_clearly_the_best() {
        let place = |number: u32| ("7".parse().unwrap(), Position::try_from(number).unwrap());
        let check = BuildCheck::new()
            .with(Assembly::Grch37, (1..200).map(|n| place(100 * n)))
            .with(Assembly::Grch38, (1..200).map(|n| place(100 * n + 37)));
        let build = |numbers: &mut dyn Iterator<Item = u32>| {
            let mut check = check.clone();
            numbers.for_each(|number| {
                let (chromosome, position) = place(number);
                check.add(chromosome, position);
            });
            check.build()
        };
        assert_eq!(build(&mut (1..100).map(|n| 100 * n + 37)), Some(Assembly::Grch38));
        assert_eq!(build(&mut (1..100).map(|n| 100 * n)), Some(Assembly::Grch37));
        // Both, too few, none.
        assert_eq!(build(&mut (1..100).flat_map(|n| [100 * n, 100 * n + 37])), None);
        assert_eq!(build(&mut (1..50).map(|n| 100 * n)), None);
        assert_eq!(build(&mut (1..100).map(|n| 100 * n + 1)), None);
        assert_eq!(BuildCheck::new().build(), None);
    }
}
