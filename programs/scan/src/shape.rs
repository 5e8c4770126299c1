//! How many numbers a round has, and what they are.

use histone_program_sdk::config::{Config, Kind, Missing};
use histone_program_sdk::method::{Numbers, Segment};
use histone_program_sdk::refusal::Refusal;

use crate::Covariates;

/// Most numbers of a round: with their shares for seven members, 32 MB from each site.
const MOST: usize = 1 << 18;

/// Most columns beside the genotypes, intercept and outcome among them.
const MOST_COLUMNS: usize = 64;

/// What a configuration makes of a scan.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Place of the genotypes' column among the features.
    pub genotypes: usize,
    /// Variants of the panel.
    pub variants: usize,
    /// Intercept, covariates and outcome.
    pub columns: usize,
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
        crate::scale(config)?;
        let columns = Covariates::of(config)?.width() + 1;
        if columns > MOST_COLUMNS {
            return no("the covariates make more than 62 columns; name fewer");
        }
        let mut shape = Self { genotypes, variants, columns, together: variants };
        let most = (MOST - shape.triangle()) / shape.of_each();
        // As even as they can be: each round has as many numbers as the others.
        shape.together = variants.div_ceil(variants.div_ceil(most));
        Ok(shape)
    }

    /// Numbers of the sums of products of pairs of columns: two halves of each.
    pub fn triangle(&self) -> usize {
        self.columns * (self.columns + 1)
    }

    /// Numbers of one variant: genotype times each column, its square, whether the site gives it, and products of columns of those
    /// without a call.
    pub fn of_each(&self) -> usize {
        self.columns + 2 + self.triangle()
    }

    pub fn numbers(&self) -> usize {
        self.triangle() + self.together * self.of_each()
    }

    pub fn rounds(&self) -> usize {
        self.variants.div_ceil(self.together)
    }

    /// Whole numbers, of either sign.
    pub fn segments(&self) -> Vec<Segment> {
        let numbers = Numbers::Real { max_abs: (1_u64 << 51) as f64, fraction_bits: 0 };
        vec![Segment { len: self.numbers() as u32, numbers }]
    }
}
