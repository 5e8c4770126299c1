//! The tasks whose answers are only ever opened as a sum over sites.

use histone_program_sdk::job::Preprocessing;
use histone_program_sdk::math::{axpy, dot, logistic, softplus};

use crate::rows::{Rows, standardize};

/// `[rows, positives, present.., sum of present.., sum of squares of present..]`.
pub fn describe(rows: &Rows) -> Vec<f64> {
    let c = rows.columns;
    let mut out = vec![0.0; 2 + 3 * c];
    for (row, positive) in &rows.training {
        out[0] += 1.0;
        out[1] += f64::from(u8::from(*positive));
        for (i, v) in row.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
            out[2 + i] += 1.0;
            out[2 + c + i] += v;
            out[2 + 2 * c + i] += v * v;
        }
    }
    out
}

/// For each column and each of its ascending thresholds: how many present values are `<=` it.
pub fn ranks(rows: &Rows, thresholds: &[Vec<f64>]) -> Vec<f64> {
    let mut out = Vec::new();
    for (c, limits) in thresholds.iter().enumerate() {
        // A value counts at the first threshold that is not below it, and so, summed up, at all later ones.
        let mut first = vec![0.0; limits.len()];
        for (row, _) in &rows.training {
            let v = row[c];
            if !v.is_nan()
                && let Some(count) = first.get_mut(limits.partition_point(|t| *t < v))
            {
                *count += 1.0;
            }
        }
        let mut sum = 0.0;
        out.extend(first.into_iter().map(|count| {
            sum += count;
            sum
        }));
    }
    out
}

/// `[gradient of the log-likelihood, upper triangle of X'WX by rows, sum of log losses]`.
pub fn newton(rows: &Rows, pre: &Preprocessing, weights: &[f64]) -> Vec<f64> {
    let p = rows.columns + 1;
    let mut out = vec![0.0; p + p * (p + 1) / 2 + 1];
    let (gradient, rest) = out.split_at_mut(p);
    let (hessian, loss) = rest.split_at_mut(p * (p + 1) / 2);
    let mut z = Vec::with_capacity(p);
    for (row, positive) in &rows.training {
        standardize(row, pre, &mut z);
        let eta = dot(weights, &z);
        let probability = logistic(eta);
        axpy(f64::from(u8::from(*positive)) - probability, &z, gradient);
        let weight = probability * (1.0 - probability);
        let mut triangle = &mut *hessian;
        for i in 0..p {
            let (line, below) = triangle.split_at_mut(p - i);
            axpy(weight * z[i], &z[i..], line);
            triangle = below;
        }
        loss[0] += softplus(if *positive { -eta } else { eta });
    }
    out
}
