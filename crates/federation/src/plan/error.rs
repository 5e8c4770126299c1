//! Why a training does not go on.

use histone_program_sdk::wire::WireError;

/// Why a plan or a sum is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A field of the plan is out of range.
    #[error("the training plan is refused: {0}")]
    Plan(&'static str),
    /// The bytes are not the encoding of a plan or a model.
    #[error("the plan or model cannot be read")]
    Encoding(#[source] WireError),
    /// The sum has the wrong length.
    #[error("the sum has {got} numbers where the {stage} stage asks for {expected}")]
    Length {
        /// The stage.
        stage: &'static str,
        /// Numbers given.
        got: usize,
        /// Numbers asked for.
        expected: usize,
    },
    /// The sum cannot come from any table.
    #[error(
        "the sum of the {stage} stage cannot come from any table: {what}; a site's program or data is wrong"
    )]
    Implausible {
        /// The stage.
        stage: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// A sum over fewer donors than the study allows.
    #[error(
        "the {stage} stage was answered by {got} donors where the study demands {minimum}; the training ends here, a new one needs donors who stay"
    )]
    TooFewDonors {
        /// The stage.
        stage: &'static str,
        /// Donors of the sum.
        got: usize,
        /// [`Plan::min_survivors`].
        minimum: u16,
    },
    /// The header or the sum is for another cohort than the training.
    #[error(
        "the cohort of this training is donors {expected:?}, but the {stage} stage was given {got:?}; later headers name the same donors with the same enclaves and data, without those who left"
    )]
    Cohort {
        /// The stage.
        stage: &'static str,
        /// Donors given.
        got: Vec<u16>,
        /// Donors of the cohort; only those of the last sum while the cohort was not fixed.
        expected: Vec<u16>,
    },
    /// A column lies below the resolution of the sums.
    #[error(
        "column {column} (counted from 0) varies by less than 1e-6, which the fixed-point sums do not resolve; rescale the column, for example to a thousandth of its unit"
    )]
    TooSmall {
        /// The column, counted from 0.
        column: usize,
    },
    /// The header asks for something else than the training does.
    #[error("the round header does not belong to this state of the training: {0}")]
    Header(&'static str),
    /// A class is too small to learn from.
    #[error(
        "{positives} positive and {negatives} negative training rows over all sites are too few; each class needs at least 2"
    )]
    TooFewOfAClass {
        /// Training rows with label 1.
        positives: u64,
        /// Training rows with label 0.
        negatives: u64,
    },
    /// The curvature has no inverse.
    #[error("the fit has no unique answer at {}: it is likely a combination of the columns before it, or the classes are perfectly separated; leave the column out or set a ridge penalty", place(.column))]
    Singular {
        /// The column, counted from 0; `None` is the intercept.
        column: Option<usize>,
    },
}

fn place(column: &Option<usize>) -> String {
    column.map_or_else(|| "the intercept".to_owned(), |c| format!("column {c} (counted from 0)"))
}
