//! Logistic regression with a ridge penalty on the rows of one site alone: what a site has without the others.

use histone_program_sdk::job::{Missing, Preprocessing};
use histone_program_sdk::math::dot;

use crate::rows::Rows;
use crate::sums;

/// When the local fit stops.
#[derive(Debug, Clone, Copy)]
pub struct Fit {
    /// Ridge penalty `ridge / 2 * |w|^2`, in units of the sum of log losses; the intercept is not penalized.
    pub ridge: f64,
    /// Newton steps at the most.
    pub iterations: u32,
    /// Stops when the largest weight change is below this.
    pub tolerance: f64,
}

/// Halvings of a step that does not lower the loss, before the fit stops where it is.
const HALVINGS: u32 = 30;

/// A pivot below this part of its diagonal entry belongs to a column that the earlier ones determine.
const COLLINEAR: f64 = 1e-12;

/// The preprocessing of the training rows alone: own median or mean of present values (none: 0), own mean and
/// population standard deviation after filling (1 for a constant column).
pub fn local_preprocessing(rows: &Rows, missing: Missing) -> Preprocessing {
    let n = rows.training.len() as f64;
    let mut pre = Preprocessing { fill: Vec::new(), mean: Vec::new(), sd: Vec::new() };
    for c in 0..rows.columns {
        let column = || rows.training.iter().map(|(row, _)| row[c]);
        let mut present: Vec<f64> = column().filter(|v| !v.is_nan()).collect();
        let fill = match missing {
            _ if present.is_empty() => 0.0,
            Missing::Mean => present.iter().sum::<f64>() / present.len() as f64,
            Missing::Median => median(&mut present),
            // No row with a missing value is left.
            Missing::Refuse | Missing::Drop => 0.0,
        };
        let filled = || column().map(|v| if v.is_nan() { fill } else { v });
        let mean = if n == 0.0 { 0.0 } else { filled().sum::<f64>() / n };
        let squares: f64 = filled().map(|v| (v - mean) * (v - mean)).sum();
        let sd = if n == 0.0 { 0.0 } else { (squares / n).sqrt() };
        pre.fill.push(fill);
        pre.mean.push(mean);
        // The second condition is a constant whose mean was rounded.
        pre.sd.push(if sd == 0.0 || sd <= 1e-12 * mean.abs() { 1.0 } else { sd });
    }
    pre
}

/// The middle value, or the mean of the two middle values, of at least one value.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

/// The weights of the local model, intercept first. Always gives weights: where the likelihood has no finite optimum
/// it stops after the allowed steps, and a column determined by others keeps its weight.
pub fn local_model(rows: &Rows, pre: &Preprocessing, fit: Fit) -> Vec<f64> {
    let p = rows.columns + 1;
    let mut weights = vec![0.0; p];
    let mut state = sums::newton(rows, pre, &weights);
    let mut loss = penalized_loss(&state, &weights, fit.ridge);
    for _ in 0..fit.iterations {
        let mut step = newton_step(&state, &weights, fit.ridge);
        let mut halvings = 0;
        let (next, next_state, next_loss) = loop {
            let next: Vec<f64> = weights.iter().zip(&step).map(|(w, s)| w + s).collect();
            let next_state = sums::newton(rows, pre, &next);
            let next_loss = penalized_loss(&next_state, &next, fit.ridge);
            if next_loss <= loss {
                break (next, next_state, next_loss);
            }
            if halvings == HALVINGS {
                return weights;
            }
            halvings += 1;
            step.iter_mut().for_each(|s| *s *= 0.5);
        };
        let change = step.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
        (weights, state, loss) = (next, next_state, next_loss);
        if change < fit.tolerance {
            break;
        }
    }
    weights
}

fn penalized_loss(state: &[f64], weights: &[f64], ridge: f64) -> f64 {
    let slopes = &weights[1..];
    state.last().copied().unwrap_or(0.0) + 0.5 * ridge * dot(slopes, slopes)
}

/// Solves `(X'WX + ridge I) step = gradient - ridge w`, the intercept without a penalty.
fn newton_step(state: &[f64], weights: &[f64], ridge: f64) -> Vec<f64> {
    let p = weights.len();
    let mut matrix = vec![0.0; p * p];
    let mut entries = state[p..].iter();
    for i in 0..p {
        for (j, &v) in (i..p).zip(&mut entries) {
            matrix[j * p + i] = v;
        }
    }
    let mut right: Vec<f64> = state[..p].to_vec();
    for i in 1..p {
        matrix[i * p + i] += ridge;
        right[i] -= ridge * weights[i];
    }
    solve(&mut matrix, &mut right, p);
    right
}

/// Solves a symmetric positive semidefinite system whose lower triangle is in `a` (row-major, `p` x `p`), in place
/// of `b`, by a Cholesky decomposition. An unknown whose pivot vanishes gets 0.
fn solve(a: &mut [f64], b: &mut [f64], p: usize) {
    let mut dropped = vec![false; p];
    for i in 0..p {
        let diagonal = a[i * p + i];
        for j in 0..i {
            let v = if dropped[j] {
                0.0
            } else {
                (a[i * p + j] - dot(&a[i * p..i * p + j], &a[j * p..j * p + j])) / a[j * p + j]
            };
            a[i * p + j] = v;
        }
        let row = &a[i * p..i * p + i];
        let pivot = diagonal - dot(row, row);
        // Written so that a NaN pivot is dropped as well.
        if pivot > COLLINEAR * diagonal {
            a[i * p + i] = pivot.sqrt();
        } else {
            dropped[i] = true;
        }
    }
    for i in 0..p {
        b[i] = if dropped[i] { 0.0 } else { (b[i] - dot(&a[i * p..i * p + i], &b[..i])) / a[i * p + i] };
    }
    for i in (0..p).rev() {
        if dropped[i] {
            b[i] = 0.0;
            continue;
        }
        let below: f64 = (i + 1..p).map(|k| a[k * p + i] * b[k]).sum();
        b[i] = (b[i] - below) / a[i * p + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_a_small_system() {
        // [[4, 2, 0], [2, 5, 1], [0, 1, 3]] x = (8, 15, 11) has x = (1, 2, 3).
        let mut a = [4.0, 0.0, 0.0, 2.0, 5.0, 0.0, 0.0, 1.0, 3.0];
        let mut b = [8.0, 15.0, 11.0];
        solve(&mut a, &mut b, 3);
        for (x, want) in b.iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - want).abs() < 1e-14, "{x} is not {want}");
        }
    }

    #[test]
    fn a_determined_unknown_is_left_at_zero() {
        let mut a = [2.0, 0.0, 2.0, 2.0];
        let mut b = [4.0, 4.0];
        solve(&mut a, &mut b, 2);
        assert_eq!(b[1], 0.0);
        assert!((b[0] - 2.0).abs() < 1e-15);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut [7.0]), 7.0);
    }
}
