//! Eigenvalues and eigenvectors of a small symmetric matrix.
//!
//! Householder's reflections make it tridiagonal, and QL steps with implicit shifts make it diagonal (Golub and Van Loan,
//! Matrix Computations, sections 8.3.1 and 8.3.5). Only `+ - * /` and square roots: the same bits everywhere.

use histone_program_sdk::math::{axpy, dot};

/// QL steps for one eigenvalue; three are usual.
const STEPS: usize = 60;

/// Eigenvalues of a symmetric matrix, given by its rows, the largest first, each with its eigenvector of length 1. `None` for numbers
/// that are not finite.
pub(super) fn symmetric(mut matrix: Vec<Vec<f64>>) -> Option<Vec<(f64, Vec<f64>)>> {
    let size = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|i| (0..size).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect();
    let mut beside = vec![0.0; size];
    for (k, entry) in beside.iter_mut().enumerate().take(size.saturating_sub(1)) {
        *entry = reflect(&mut matrix, &mut vectors, k);
    }
    let mut diagonal: Vec<f64> = (0..size).map(|i| matrix[i][i]).collect();
    diagonalize(&mut diagonal, &mut beside, &mut vectors)?;
    let mut found: Vec<(f64, Vec<f64>)> = diagonal.into_iter().zip(vectors).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    Some(found)
}

/// Makes column `k` zero below its subdiagonal entry, which is returned.
fn reflect(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], k: usize) -> f64 {
    let mut v: Vec<f64> = matrix[k][k + 1..].to_vec();
    let rest = dot(&v[1..], &v[1..]);
    if rest == 0.0 {
        return v[0];
    }
    let length = (v[0] * v[0] + rest).sqrt();
    let entry = if v[0] > 0.0 { -length } else { length };
    v[0] -= entry;
    let factor = 2.0 / (v[0] * v[0] + rest);
    let below = &mut matrix[k + 1..];
    let mut w: Vec<f64> = below.iter().map(|row| factor * dot(&row[k + 1..], &v)).collect();
    let share = -0.5 * factor * dot(&w, &v);
    axpy(share, &v, &mut w);
    for (row, (of_v, of_w)) in below.iter_mut().zip(v.iter().zip(&w)) {
        axpy(-of_v, &w, &mut row[k + 1..]);
        axpy(-of_w, &v, &mut row[k + 1..]);
    }
    // The rows of `vectors` are the columns of the product of all reflections.
    let mut sum = vec![0.0; vectors.len()];
    for (vector, value) in vectors[k + 1..].iter().zip(&v) {
        axpy(*value, vector, &mut sum);
    }
    for (vector, value) in vectors[k + 1..].iter_mut().zip(&v) {
        axpy(-factor * value, &sum, vector);
    }
    entry
}

fn diagonalize(diagonal: &mut [f64], beside: &mut [f64], vectors: &mut [Vec<f64>]) -> Option<()> {
    let size = diagonal.len();
    for l in 0..size {
        let mut steps = 0;
        loop {
            let negligible = |m: &usize| {
                let scale = diagonal[*m].abs() + diagonal[*m + 1].abs();
                beside[*m].abs() <= f64::EPSILON * scale
            };
            let m = (l..size - 1).find(negligible).unwrap_or(size - 1);
            if m == l {
                break;
            }
            steps += 1;
            // Also what is no number ends here.
            if steps > STEPS {
                return None;
            }
            step(l, m, diagonal, beside, vectors);
        }
    }
    diagonal.iter().all(|value| value.is_finite()).then_some(())
}

/// One implicit QL step on the rows `l` to `m`.
fn step(l: usize, m: usize, diagonal: &mut [f64], beside: &mut [f64], vectors: &mut [Vec<f64>]) {
    let half = (diagonal[l + 1] - diagonal[l]) / (2.0 * beside[l]);
    let length = (half * half + 1.0).sqrt();
    let mut g = diagonal[m] - diagonal[l] + beside[l] / (half + if half < 0.0 { -length } else { length });
    let (mut sine, mut cosine, mut moved) = (1.0, 1.0, 0.0);
    for i in (l..m).rev() {
        let (f, b) = (sine * beside[i], cosine * beside[i]);
        let r = (f * f + g * g).sqrt();
        beside[i + 1] = r;
        if r == 0.0 {
            diagonal[i + 1] -= moved;
            beside[m] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = diagonal[i + 1] - moved;
        let r = (diagonal[i] - g) * sine + 2.0 * cosine * b;
        moved = sine * r;
        diagonal[i + 1] = g + moved;
        g = cosine * r - b;
        let (lower, upper) = vectors.split_at_mut(i + 1);
        for (a, b) in lower[i].iter_mut().zip(&mut upper[0]) {
            (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
        }
    }
    diagonal[l] -= moved;
    beside[l] = g;
    beside[m] = 0.0;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn vectors_are_orthonormal_and_stretched(size in 0_usize..12, seed: u64, rank in 0_usize..12) {
            let mut state = seed;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f64 / f64::from(1 << 23) - 1.0
            };
            // Of full rank or below, so that eigenvalues are repeated.
            let factors: Vec<Vec<f64>> = (0..size.min(rank)).map(|_| (0..size).map(|_| random()).collect()).collect();
            let entry = |i: usize, j: usize| factors.iter().map(|row| row[i] * row[j]).sum::<f64>();
            let matrix: Vec<Vec<f64>> =
                (0..size).map(|i| (0..size).map(|j| entry(i, j)).collect()).collect();
            let found = symmetric(matrix.clone()).unwrap();
            prop_assert_eq!(found.len(), size);
            for (i, (value, vector)) in found.iter().enumerate() {
                for row in 0..size {
                    prop_assert!((dot(&matrix[row], vector) - value * vector[row]).abs() < 1e-12 * (1.0 + size as f64));
                }
                for (j, (_, other)) in found.iter().enumerate() {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    prop_assert!((dot(vector, other) - expected).abs() < 1e-13);
                }
            }
            prop_assert!(found.is_sorted_by(|a, b| a.0 >= b.0));
        }
    }

    #[test]
    fn what_is_no_number_has_none() {
        assert!(symmetric(vec![vec![1.0, f64::NAN], vec![f64::NAN, 1.0]]).is_none());
        assert!(symmetric(vec![vec![f64::INFINITY]]).is_none());
        let found = symmetric(vec![vec![2.0, 1.0], vec![1.0, 2.0]]).unwrap();
        assert!((found[0].0 - 3.0).abs() < 1e-15 && (found[1].0 - 1.0).abs() < 1e-15);
    }
}
