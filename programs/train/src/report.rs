//! How well a model does on the rows that judge it.

use histone_program_sdk::job::{Missing, Preprocessing};
use histone_program_sdk::math::{dot, logistic};

use crate::fit::{self, Fit};
use crate::rows::{Rows, standardize};

/// Linear predictors of the evaluation rows, each with its label.
fn scores(rows: &Rows, pre: &Preprocessing, weights: &[f64]) -> Vec<(f64, bool)> {
    let mut z = Vec::new();
    let score = |(row, positive): &(Vec<f64>, bool)| {
        standardize(row, pre, &mut z);
        (dot(weights, &z), *positive)
    };
    rows.evaluation().iter().map(score).collect()
}

/// Counts of predicted probabilities in `bins` equal bins of [0, 1], negatives first, then positives. A probability
/// on a border counts in the upper bin, 1 in the last.
pub fn histogram(rows: &Rows, pre: &Preprocessing, weights: &[f64], bins: u32) -> Vec<f64> {
    let n = bins as usize;
    let mut out = vec![0.0; 2 * n];
    for (score, positive) in scores(rows, pre, weights) {
        let bin = (logistic(score) * f64::from(bins)) as usize;
        if let Some(count) = out.get_mut(bin.min(n - 1) + if positive { n } else { 0 }) {
            *count += 1.0;
        }
    }
    out
}

/// `[evaluated rows, evaluated positives, AUC of the given model, AUC of the local model]`.
pub fn site(rows: &Rows, missing: Missing, pre: &Preprocessing, weights: &[f64], fit: Fit) -> Vec<f64> {
    let of_all = scores(rows, pre, weights);
    let own_pre = fit::local_preprocessing(rows, missing);
    let own_weights = fit::local_model(rows, &own_pre, fit);
    let of_own = scores(rows, &own_pre, &own_weights);
    let positives = of_all.iter().filter(|(_, positive)| *positive).count();
    vec![of_all.len() as f64, positives as f64, auc(of_all), auc(of_own)]
}

/// Area under the receiver operating characteristic of scores with their labels: the part of (positive, negative)
/// pairs in which the positive scores higher, ties counting one half. -1 when a class is empty.
pub fn auc(mut scores: Vec<(f64, bool)>) -> f64 {
    let positives = scores.iter().filter(|(_, positive)| *positive).count();
    let negatives = scores.len() - positives;
    if positives == 0 || negatives == 0 {
        return -1.0;
    }
    scores.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    // Counted in half pairs, exact in a double up to 2^52 pairs.
    let mut half_pairs = 0.0;
    let mut negatives_below = 0.0;
    for ties in scores.chunk_by(|a, b| a.0 == b.0) {
        let positive = ties.iter().filter(|(_, positive)| *positive).count() as f64;
        let negative = ties.len() as f64 - positive;
        half_pairs += positive * (2.0 * negatives_below + negative);
        negatives_below += negative;
    }
    half_pairs / (2.0 * positives as f64 * negatives as f64)
}
