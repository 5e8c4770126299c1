//! Groups of a site that are too small to be told of, where everybody sees what the site gives.

use histone_program_sdk::config::Config;
use histone_program_sdk::genotypes::{VariantSums, Weights};
use histone_program_sdk::refusal::Refusal;

use crate::covariates::{Categories, Covariates};

/// The people of a site, and how they are divided.
pub(crate) struct Groups<'a> {
    config: &'a Config,
    categories: Categories,
    /// Sums of products of pairs of columns: intercept, covariates, outcome.
    pub all: Vec<i64>,
}

impl<'a> Groups<'a> {
    pub fn of(config: &'a Config, people: &Weights) -> Result<Self, Refusal> {
        let categories = Covariates::of(config)?.categories();
        Ok(Self { config, categories, all: people.products() })
    }

    /// Whether so many people are a group that is too small to be told of.
    fn few(&self, people: i64) -> bool {
        people > 0 && people < i64::from(self.config.least.site)
    }

    /// Whether the site has too few people, or too few have another value of a covariate than the most have: of a level, or by a range so
    /// wide that all others are rounded to one number.
    pub fn too_small(&self, people: &Weights) -> bool {
        let few = |n: i64| self.few(n);
        few(self.all[0])
            || self.categories.counts(|column| self.all[column]).into_iter().any(few)
            || people.apart().into_iter().any(|n| few(n as i64))
    }

    /// Whether too few cases, or too few controls, are of a level. `of_cases` says how many cases there are in each column.
    pub fn too_small_by_case(&self, of_cases: impl Fn(usize) -> i64) -> bool {
        let controls = self.categories.counts(|column| self.all[column] - of_cases(column));
        self.categories.counts(&of_cases).into_iter().chain(controls).any(|n| self.few(n))
    }

    /// Whether what the site would say of a variant is of too few people: of all but those with the most common genotype, and of those
    /// without a call, in all and in each level of a category. Where nobody differs there is nothing to say, and saying that would tell it
    /// from one who does. `lacking` has, for each column, its sum over those without a call.
    pub fn tells_of_few(&self, lacking: &[i64], sums: &VariantSums) -> bool {
        let least = i64::from(self.config.least.site);
        if least == 0 {
            return false;
        }
        let called = self.all[0] - lacking[0];
        let [one, two, _] = sums.counts.map(i64::from);
        let rare = called - one.max(two).max(called - one - two);
        let by_level = || {
            let copies = self.categories.counts(|column| sums.products[column]);
            let without = self.categories.counts(|column| lacking[column]);
            let with = self.categories.counts(|column| self.all[column] - lacking[column]);
            [copies, without, with].concat()
        };
        let few = |n: i64| self.few(n);
        rare < least || few(called) || few(lacking[0]) || by_level().into_iter().any(few)
    }
}
