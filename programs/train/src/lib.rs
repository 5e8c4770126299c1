//! The training program: one step of federated logistic regression over the rows of one site.
//!
//! What each task answers is written at [`TrainTask`]. How rows are chosen ([`Rows::choose`]), the same for every task:
//!
//! 1. A zero in a column that the study names becomes a missing value.
//! 2. Of each class, in table order, every `holdout_every`-th row is held out. This comes before any row is left out,
//!    so who is held out does not depend on the policy for missing values.
//! 3. Missing values: `Refuse` ends the program at the first; `Drop` leaves rows with one out, training and held-out
//!    rows alike; `Mean` and `Median` keep them, to be filled by what the task brings.
//! 4. Training rows are the others. Evaluation is on the held-out rows, or on the training rows when `holdout_every`
//!    is 0. A site with too few rows to hold one out evaluates nothing, and counts nothing.
//!
//! Sums run in table order, so that a stranger who repeats a round gets the same bits.

mod fit;
mod report;
mod rows;
mod sums;

use histone_program_sdk::job::{TrainJob, TrainTask};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::wire::encode_vector;

pub use report::auc;
pub use rows::Rows;

histone_program_sdk::entry!(train, run);

/// Reads a [`TrainJob`], gives a bare vector of [`TrainTask::output_len`] numbers.
pub fn run(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let job = TrainJob::decode(input)?;
    Ok(encode_vector(&answer(&job)?))
}

/// The numbers that a job asks for.
pub fn answer(job: &TrainJob) -> Result<Vec<f64>, Refusal> {
    let rows = Rows::choose(job)?;
    Ok(match &job.spec.task {
        TrainTask::Describe => sums::describe(&rows),
        TrainTask::Ranks { thresholds } => sums::ranks(&rows, thresholds),
        TrainTask::Newton { pre, weights } => sums::newton(&rows, pre, weights),
        TrainTask::Evaluate { pre, weights, bins } => report::histogram(&rows, pre, weights, *bins),
        TrainTask::Report { pre, weights, ridge, iterations, tolerance } => {
            let limits = fit::Fit { ridge: *ridge, iterations: *iterations, tolerance: *tolerance };
            report::site(&rows, job.spec.missing, pre, weights, limits)
        }
    })
}

#[cfg(test)]
mod tests;
