//! Groups of a site that are too small to be told of, where everybody sees what the site gives.
//!
//! People are divided by each category into its levels, by each number that half of them or more have in common into those who have it and
//! the others, and by a yes/no outcome into cases and controls.

use histone_program_sdk::config::Config;
use histone_program_sdk::genotypes::{Genotypes, VariantSums, Weights};
use histone_program_sdk::refusal::Refusal;

use crate::covariates::{Categories, Covariates};
use crate::shape::Shape;

/// The people of a site, and how they are divided.
pub(crate) struct Groups<'a> {
    config: &'a Config,
    /// Everybody, then whether somebody is of a group; last the cases.
    people: Weights,
    categories: Categories,
    /// People of each group, and of these the cases.
    all: Vec<i64>,
    of_cases: Vec<i64>,
    /// Whether a number sets too few apart.
    apart: bool,
}

impl<'a> Groups<'a> {
    /// From the columns of people: intercept, covariates, outcome.
    pub fn of(config: &'a Config, shape: &Shape, rows: &[Option<Vec<i32>>]) -> Result<Self, Refusal> {
        let covariates = Covariates::of(config)?;
        let mut groups: Vec<Vec<usize>> = covariates.categories();
        let is_level = |column: usize| groups.iter().flatten().any(|level| *level == column);
        let few = |n: usize| n > 0 && n < config.least.site as usize;
        let (mut common, mut apart) = (Vec::new(), false);
        let numbers = if shape.cases { shape.covariates() } else { shape.columns };
        for column in (1..numbers).filter(|column| !is_level(*column)) {
            let mut values: Vec<i32> = rows.iter().flatten().map(|row| row[column]).collect();
            values.sort_unstable();
            let most = values.chunk_by(|a, b| a == b).max_by_key(|same| same.len()).unwrap_or(&[]);
            apart |= few(values.len() - most.len());
            if let Some(value) = most.first().filter(|_| 2 * most.len() >= values.len()) {
                common.push((column, *value));
            }
        }
        let levels: Vec<usize> = groups.iter().flatten().copied().collect();
        let mut place = 0;
        for column in groups.iter_mut().flatten() {
            place += 1;
            *column = place;
        }
        groups.extend((0..common.len()).map(|i| vec![place + 1 + i]));
        let cases = place + common.len() + 1;
        if shape.cases {
            groups.push(vec![cases]);
        }
        let divided = |row: &Vec<i32>| {
            let mut of = vec![1];
            of.extend(levels.iter().map(|column| row[*column]));
            of.extend(common.iter().map(|(column, value)| i32::from(row[*column] != *value)));
            of.push(i32::from(shape.cases && row[shape.columns - 1] == 1));
            of
        };
        let divided: Vec<Option<Vec<i32>>> = rows.iter().map(|row| row.as_ref().map(divided)).collect();
        let mut of_cases = vec![0; cases + 1];
        for row in divided.iter().flatten().filter(|row| row[cases] == 1) {
            of_cases.iter_mut().zip(row).for_each(|(sum, v)| *sum += i64::from(*v));
        }
        let people = Weights::new(cases + 1, &divided).ok_or(Refusal::Malformed)?;
        let all = people.sums();
        Ok(Self { config, people, categories: Categories(groups), all, of_cases, apart })
    }

    /// Whether so many are a group that is too small to be told of.
    fn few(&self, n: i64) -> bool {
        n > 0 && n < i64::from(self.config.least.site)
    }

    /// Whether the site has too few people, or too few are of a group, or have another value of a covariate than the most, for one by a range
    /// so wide that all others are rounded to one number; and whether too few cases, or controls, are of a group.
    pub fn too_small(&self) -> bool {
        let controls = |column: usize| self.all[column] - self.of_cases[column];
        let by_case =
            || [self.categories.counts(|c| self.of_cases[c]), self.categories.counts(controls)].concat();
        self.apart
            || self.few(self.all[0])
            || self.categories.counts(|column| self.all[column]).into_iter().any(|n| self.few(n))
            || self.of_cases[0] > 0 && by_case().into_iter().any(|n| self.few(n))
    }

    /// Which variants of a block tell of too few people: of all but those with the most common genotype, and of those without a call, in
    /// all and in each group. Where nobody differs there is nothing to say, and saying that would tell it from one who does.
    pub fn tell_of_few(&self, block: &Genotypes) -> Result<Vec<bool>, Refusal> {
        let least = i64::from(self.config.least.site);
        let sums = self.people.sums_of(block).ok_or(Refusal::Malformed)?;
        if least == 0 {
            return Ok(vec![false; sums.len()]);
        }
        let variant = |(i, sums): (usize, &VariantSums)| {
            let [one, two, missing] = sums.counts.map(i64::from);
            let called = self.all[0] - missing;
            let rare = called - one.max(two).max(called - one - two);
            if rare < least || self.few(called) || self.few(missing) {
                return true;
            }
            let lacking = match missing {
                0 => vec![0; self.all.len()],
                _ => self.people.sums_of_missing(block.of(i)),
            };
            let with = |column: usize| self.all[column] - lacking[column];
            let people = [self.categories.counts(|column| lacking[column]), self.categories.counts(with)];
            // Of one allele and of the other: so many copies are of half as many people at the least.
            let copies = [
                self.categories.counts(|column| sums.products[column]),
                self.categories.counts(|column| 2 * with(column) - sums.products[column]),
            ];
            people.concat().into_iter().any(|n| self.few(n))
                || copies.concat().into_iter().any(|n| n > 0 && n < 2 * least)
        };
        Ok(sums.iter().enumerate().map(variant).collect())
    }
}
