//! Small dense matrices, as an attacker needs them.

/// Solves `a x = b` with partial pivoting; `a` by rows. None where it is singular.
pub fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        let pivot = (i..n).max_by(|&x, &y| a[x][i].abs().total_cmp(&a[y][i].abs()))?;
        if a[pivot][i].abs() < 1e-300 {
            return None;
        }
        a.swap(i, pivot);
        b.swap(i, pivot);
        for row in i + 1..n {
            let factor = a[row][i] / a[i][i];
            if factor != 0.0 {
                let (above, below) = a.split_at_mut(row);
                below[0][i..].iter_mut().zip(&above[i][i..]).for_each(|(x, y)| *x -= factor * y);
                b[row] -= factor * b[i];
            }
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| a[i][j] * b[j]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b.iter().all(|v| v.is_finite()).then_some(b)
}

/// Eigenvalues and eigenvectors of a symmetric matrix, the largest first, by Jacobi's rotations. Vectors are unit vectors.
pub fn eigen(mut a: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..60 {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                // Relative to the diagonal, so that small eigenvalues of a matrix with large ones are right, too.
                if a[p][q].abs() <= 1e-17 * (a[p][p].abs() * a[q][q].abs()).sqrt() {
                    continue;
                }
                turned = true;
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in &mut a {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                let (above, below) = a.split_at_mut(q);
                for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
                for v in &mut vectors {
                    (v[p], v[q]) = (c * v[p] - s * v[q], s * v[p] + c * v[q]);
                }
            }
        }
        if !turned {
            break;
        }
    }
    let mut pairs: Vec<(f64, Vec<f64>)> =
        (0..n).map(|i| (a[i][i], vectors.iter().map(|v| v[i]).collect())).collect();
    pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
    pairs
}

#[test]
fn a_matrix_is_its_eigenvectors() {
    let a = vec![vec![4.0, 1.0, -2.0], vec![1.0, 3.0, 0.5], vec![-2.0, 0.5, 1e-3]];
    let pairs = eigen(a.clone());
    for i in 0..3 {
        for j in 0..3 {
            let again: f64 = pairs.iter().map(|(value, v)| value * v[i] * v[j]).sum();
            assert!((again - a[i][j]).abs() < 1e-12);
        }
    }
    let x = solve(a.clone(), vec![1.0, 2.0, 3.0]).unwrap();
    let b: Vec<f64> = a.iter().map(|row| row.iter().zip(&x).map(|(a, x)| a * x).sum()).collect();
    assert!(b.iter().zip([1.0, 2.0, 3.0]).all(|(b, e)| (b - e).abs() < 1e-10), "{b:?}");
}
