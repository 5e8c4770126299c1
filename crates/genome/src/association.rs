//! Association of variants with a phenotype, one variant at a time, and scores made of many.
//!
//! | model | type | oracle |
//! |---|---|---|
//! | linear: `y ~ 1 + covariates + copies of ALT`, t test | [`Linear`] | `plink2 --glm` of a quantitative trait |
//! | the same for many phenotypes in one pass | [`LinearTraits`] | [`Linear`], to the bits |
//! | logistic, Wald's test, Firth where separated | [`Logistic`] | `plink2 --glm no-firth` and `firth-fallback` |
//! | logistic, score test | [`ScoreTest`] | [`Logistic`], from which it differs as a test |
//!
//! The score test takes a known part of the log odds ([`ScoreTest::with_offset`]), a linear scan a phenotype less what other
//! chromosomes predict ([`crate::regression`]).
//!
//! A person without a phenotype or with a missing covariate is left out; at each variant, so are those without a call
//! (complete cases, as PLINK 2 does). Sums run in one order on every machine: results have the same bits everywhere.

mod design;
pub(crate) mod dots;
mod inflation;
pub(crate) mod linear;
mod logistic;
mod score_test;
mod traits;

pub use design::Design;
pub use inflation::inflation;
pub use linear::{Estimate, Linear, NotTested};
pub(crate) use logistic::logistic_fit;
pub use logistic::{Fallback, Logistic, LogisticEstimate, NotFitted};
pub use score_test::{ScoreEstimate, ScoreTest};
pub use traits::{LinearTraits, TraitError};

/// Why phenotype and covariates make no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssociationError {
    /// A column of another length.
    #[error("{what} has {found} values for {samples} people")]
    Length {
        /// The phenotype or a covariate by its number from 1.
        what: String,
        /// Values of it.
        found: usize,
        /// People.
        samples: usize,
    },
    /// A covariate that the ones before it, and the constant, determine.
    #[error("covariate {0} is constant or determined by those before it; leave it out")]
    Collinear(usize),
    /// Too few people for the number of covariates.
    #[error("{people} people with phenotype and covariates are too few for {columns} coefficients")]
    TooFew {
        /// People with all values.
        people: usize,
        /// Constant, covariates and the variant.
        columns: usize,
    },
    /// A yes/no phenotype with another value.
    #[error("the phenotype has another value than 0 (control), 1 (case) and NaN (missing)")]
    NotYesNo,
    /// Covariates that separate cases from controls without any variant.
    #[error("the covariates alone separate cases from controls; leave some out")]
    NoNullModel,
    /// A phenotype that the covariates determine.
    #[error("the phenotype is constant or determined by the covariates; there is nothing to explain")]
    NothingToExplain,
}
