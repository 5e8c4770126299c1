//! How many numbers a round has, and what they are.

use histone_program_sdk::config::{Config, Kind, Missing};
use histone_program_sdk::method::{Numbers, Segment};
use histone_program_sdk::refusal::Refusal;

use crate::covariates::{Covariates, Target};

/// Most numbers of a round: with their shares for seven members, 32 MB from each site.
const MOST: usize = 1 << 18;

/// Most columns beside the genotypes, intercept and outcome among them.
const MOST_COLUMNS: usize = 64;

/// Rounds of the regression by covariates at the most: from even odds to those of one case in ten thousand, Newton's method takes twelve.
pub(crate) const COVARIATE_ROUNDS: u32 = 16;

/// What a configuration makes of a scan.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Place of the genotypes' column among the features.
    pub genotypes: usize,
    /// Variants of the panel.
    pub variants: usize,
    /// Intercept, covariates and outcome.
    pub columns: usize,
    /// Whether the outcome is yes or no.
    pub cases: bool,
    /// Variants of one round.
    pub together: usize,
}

impl Shape {
    pub fn of(config: &Config) -> Result<Self, Refusal> {
        let no = |why: &str| Err(Refusal::because(why));
        let mut found = config.features.iter().enumerate().filter_map(|(i, x)| match x.kind {
            Kind::Genotypes { variants, .. } => Some((i, variants as usize)),
            _ => None,
        });
        let (Some((genotypes, variants)), None) = (found.next(), found.next()) else {
            return no("a scan takes one column of genotypes");
        };
        if variants == 0 {
            return no("the panel has no variant");
        }
        if !matches!(config.missing, Missing::Refuse {} | Missing::Drop {}) {
            return no(
                "a scan fills nothing in; say `refuse`, or `drop`, which leaves out whoever lacks a covariate",
            );
        }
        if config.holdout != 0.0 {
            return no("a scan holds nobody out; write `holdout = 0`");
        }
        let cases = Target::of(config)? == Target::Cases;
        let columns = Covariates::of(config)?.width() + 1;
        if columns > MOST_COLUMNS {
            return no("the covariates make more than 62 columns; name fewer");
        }
        let mut shape = Self { genotypes, variants, columns, cases, together: variants };
        let most = (MOST - shape.head()) / shape.of_each();
        // As even as they can be: each round has as many numbers as the others.
        shape.together = variants.div_ceil(variants.div_ceil(most));
        Ok(shape)
    }

    /// The same, where a question is of one kind of outcome.
    pub fn of_kind(config: &Config, cases: bool) -> Result<Self, Refusal> {
        Self::of(config)
            .and_then(|shape| if shape.cases == cases { Ok(shape) } else { Err(Refusal::Malformed) })
    }

    /// Numbers of the sums of products of pairs of columns: two halves of each.
    pub fn triangle(&self) -> usize {
        self.columns * (self.columns + 1)
    }

    /// Intercept and covariates.
    pub fn covariates(&self) -> usize {
        self.columns - 1
    }

    /// Numbers that are not of variants: sums of products of pairs of columns, or those of [`crate::cases`].
    pub fn head(&self) -> usize {
        let k = self.covariates();
        if self.cases { 2 * k + 2 + k * (k + 3) } else { self.triangle() }
    }

    /// Numbers of one variant. Of a linear scan: genotype times each column, its square, whether the site gives it, and products of
    /// columns of those without a call. Of cases: see [`crate::cases`].
    pub fn of_each(&self) -> usize {
        if self.cases { 2 * self.covariates() + 7 } else { self.columns + 2 + self.triangle() }
    }

    pub fn numbers(&self) -> usize {
        self.head() + self.together * self.of_each()
    }

    pub fn rounds(&self) -> usize {
        self.variants.div_ceil(self.together)
    }

    /// Whole numbers, of either sign.
    pub fn segments(&self, len: usize) -> Vec<Segment> {
        let numbers = Numbers::Real { max_abs: (1_u64 << 51) as f64, fraction_bits: 0 };
        vec![Segment { len: len as u32, numbers }]
    }
}
