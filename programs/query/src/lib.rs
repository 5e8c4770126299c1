//! The query program: the probability of the positive class for one row.
//!
//! `1 / (1 + e^-(w0 + w . z))`, where `z` is the row after the model's own filling and standardization. A missing
//! value is always filled: whether a study trains with missing values says nothing about who may ask.

use histone_program_sdk::job::QueryJob;
use histone_program_sdk::math::{dot, logistic};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::wire::encode_vector;

histone_program_sdk::entry!(query, run);

/// Reads a [`QueryJob`], gives a bare vector of one probability.
pub fn run(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let job = QueryJob::decode(input)?;
    Ok(encode_vector(&[probability(&job)]))
}

/// The probability of the job's row. The shapes agree after decoding; a job put together by hand with shapes that do
/// not agree is answered over the shortest of them.
pub fn probability(job: &QueryJob) -> f64 {
    let pre = &job.pre;
    let z: Vec<f64> = job
        .row
        .iter()
        .zip(&pre.fill)
        .zip(pre.mean.iter().zip(&pre.sd))
        .map(|((&x, &fill), (&mean, &sd))| ((if x.is_nan() { fill } else { x }) - mean) / sd)
        .collect();
    let (intercept, slopes) = job.weights.split_first().unwrap_or((&0.0, &[]));
    logistic(intercept + dot(slopes, &z))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use histone_program_sdk::job::Preprocessing;
    use histone_program_sdk::wire::decode_vector;

    use super::*;

    fn job(row: Vec<f64>) -> QueryJob {
        let pre = Preprocessing { fill: vec![5.0, 0.0], mean: vec![4.0, 1.0], sd: vec![2.0, 0.5] };
        QueryJob { pre, weights: vec![0.5, 2.0, -1.0], row }
    }

    #[test]
    fn answers_the_logistic_of_the_linear_predictor() {
        let out = decode_vector(&run(&job(vec![6.0, 2.0]).encode()).unwrap()).unwrap();
        // z = (1, 2), so the predictor is 0.5 + 2 - 2.
        assert_eq!(out, [logistic(0.5)]);
    }

    #[test]
    fn fills_a_missing_value() {
        assert_eq!(probability(&job(vec![f64::NAN, 2.0])), probability(&job(vec![5.0, 2.0])));
    }

    #[test]
    fn refuses_what_is_not_a_job() {
        assert_eq!(run(&[]), Err(Refusal::Malformed));
        let mut bytes = job(vec![6.0, 2.0]).encode();
        bytes.push(0);
        assert_eq!(run(&bytes), Err(Refusal::Malformed));
    }
}
