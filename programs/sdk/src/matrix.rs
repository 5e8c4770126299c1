//! Symmetric matrices for regressions: sums of outer products, Cholesky's factorization, inverses.
//!
//! One fixed order of operations, without fused multiply-add: the same bits on every machine. Loops handle many lanes a turn,
//! because the host counts fuel on every turn.

use crate::math::dot;

/// Lanes of a turn of the update of one row of a [`Gram`].
const LANES: usize = 16;

/// The upper triangle of a symmetric matrix by rows, as a sum of weighted outer products.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    p: usize,
    upper: Vec<f64>,
}

impl Gram {
    /// Zeros of order `p`.
    pub fn new(p: usize) -> Self {
        Self { p, upper: vec![0.0; p * (p + 1) / 2] }
    }

    /// The triangle: `p` entries of the first row, `p - 1` of the second, and so on.
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    /// Adds `weights[r] * z z'` for each of the rows `z` of length `p`; over as many rows as both have.
    ///
    /// Four rows at a time, so that the triangle is read and written a quarter as often: an entry grows by
    /// `(a + b) + (c + d)`.
    pub fn add_block(&mut self, weights: &[f64], rows: &[f64]) {
        let p = self.p.max(1);
        let (fours, rest) = weights.as_chunks::<4>();
        let mut blocks = rows.chunks_exact(4 * p);
        for (w, z) in fours.iter().zip(&mut blocks) {
            let (z0, z) = z.split_at(p);
            let (z1, z) = z.split_at(p);
            let (z2, z3) = z.split_at(p);
            let mut triangle = self.upper.as_mut_slice();
            for i in 0..p {
                let (line, below) = triangle.split_at_mut(p - i);
                let f = [w[0] * z0[i], w[1] * z1[i], w[2] * z2[i], w[3] * z3[i]];
                add_four(line, f, [&z0[i..], &z1[i..], &z2[i..], &z3[i..]]);
                triangle = below;
            }
        }
        let done = fours.len() * 4 * p;
        for (&w, z) in rest.iter().zip(rows.get(done..).unwrap_or(&[]).chunks_exact(p)) {
            let mut triangle = self.upper.as_mut_slice();
            for i in 0..p {
                let (line, below) = triangle.split_at_mut(p - i);
                crate::math::axpy(w * z[i], &z[i..], line);
                triangle = below;
            }
        }
    }
}

fn add_four(line: &mut [f64], f: [f64; 4], z: [&[f64]; 4]) {
    let n = line.len();
    let (l, l_rest) = line.as_chunks_mut::<LANES>();
    let (a, a_rest) = z[0][..n].as_chunks::<LANES>();
    let (b, b_rest) = z[1][..n].as_chunks::<LANES>();
    let (c, c_rest) = z[2][..n].as_chunks::<LANES>();
    let (d, d_rest) = z[3][..n].as_chunks::<LANES>();
    for ((((l, a), b), c), d) in l.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        for i in 0..LANES {
            l[i] += (f[0] * a[i] + f[1] * b[i]) + (f[2] * c[i] + f[3] * d[i]);
        }
    }
    for ((((l, a), b), c), d) in l_rest.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest).zip(d_rest) {
        *l += (f[0] * a + f[1] * b) + (f[2] * c + f[3] * d);
    }
}

/// A matrix that has no inverse to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Singular {
    /// The first row that those before it determine.
    pub column: usize,
}

/// Cholesky's factor `L` of a positive definite matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    n: usize,
    /// Full rows; entries right of the diagonal are 0.
    l: Vec<f64>,
}

/// Factors the matrix whose upper triangle by rows is `upper`. A pivot of at most `tolerance` times its diagonal entry counts
/// as rounding.
pub fn cholesky(upper: &[f64], n: usize, tolerance: f64) -> Result<Factor, Singular> {
    let mut l = vec![0.0; n * n];
    let mut start = 0;
    for j in 0..n {
        for (i, &v) in (j..n).zip(upper.get(start..start + n - j).unwrap_or(&[])) {
            l[i * n + j] = v;
        }
        start += n - j;
    }
    for i in 0..n {
        let (before, rest) = l.split_at_mut(i * n);
        let row = &mut rest[..n];
        for j in 0..i {
            let other = &before[j * n..j * n + n];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        let diagonal = row[i];
        let pivot = diagonal - dot(&row[..i], &row[..i]);
        // Written so that NaN is refused.
        if !(pivot > tolerance * diagonal && pivot > f64::MIN_POSITIVE) {
            return Err(Singular { column: i });
        }
        row[i] = pivot.sqrt();
    }
    Ok(Factor { n, l })
}

impl Factor {
    fn row(&self, i: usize) -> &[f64] {
        &self.l[i * self.n..(i + 1) * self.n]
    }

    /// `x` with `matrix x = right`.
    pub fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = self.n;
        let mut x = right.to_vec();
        x.resize(n, 0.0);
        for i in 0..n {
            let row = self.row(i);
            x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
        }
        for i in (0..n).rev() {
            let row = self.row(i);
            x[i] /= row[i];
            let v = x[i];
            crate::math::axpy(-v, &row[..i], &mut x[..i]);
        }
        x
    }

    /// The inverse of the matrix, full, by rows.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        // Row i holds column i of the inverse of L, from i on.
        let mut w = vec![0.0; n * n];
        for i in 0..n {
            let column = &mut w[i * n..(i + 1) * n];
            column[i] = 1.0 / self.l[i * n + i];
            for k in i + 1..n {
                let row = self.row(k);
                column[k] = -dot(&row[i..k], &column[i..k]) / row[k];
            }
        }
        let mut inverse = vec![0.0; n * n];
        for i in 0..n {
            for j in i..n {
                let v = dot(&w[i * n + j..(i + 1) * n], &w[j * n + j..(j + 1) * n]);
                inverse[i * n + j] = v;
                inverse[j * n + i] = v;
            }
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Numbers of [-1, 1) that look drawn.
    fn numbers(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn gram(p: usize, rows: usize, seed: u64) -> (Gram, Vec<f64>, Vec<f64>) {
        let (z, mut w) = (numbers(rows * p, seed), numbers(rows, seed + 1));
        w.iter_mut().for_each(|w| *w = w.abs() + 0.1);
        let mut gram = Gram::new(p);
        gram.add_block(&w, &z);
        (gram, w, z)
    }

    #[test]
    fn a_gram_is_the_sum_of_outer_products() {
        for (p, rows) in [(1, 1), (2, 3), (3, 4), (17, 9), (33, 70)] {
            let (gram, w, z) = gram(p, rows, 3);
            let mut at = 0;
            for i in 0..p {
                for j in i..p {
                    let plain: f64 = (0..rows).map(|r| w[r] * z[r * p + i] * z[r * p + j]).sum();
                    assert!((gram.upper()[at] - plain).abs() < 1e-12 * rows as f64, "{p} {i} {j}");
                    at += 1;
                }
            }
        }
    }

    #[test]
    fn solutions_and_inverses_fit() {
        for p in [1, 2, 3, 33, 130] {
            let (gram, ..) = gram(p, 3 * p + 2, 7);
            let factor = cholesky(gram.upper(), p, 1e-12).unwrap();
            let full = |i: usize, j: usize| {
                let (i, j) = (i.min(j), i.max(j));
                gram.upper()[i * p - i * i.saturating_sub(1) / 2 + j - i]
            };
            let expected = numbers(p, 11);
            let right: Vec<f64> = (0..p).map(|i| (0..p).map(|j| full(i, j) * expected[j]).sum()).collect();
            for (x, e) in factor.solve(&right).iter().zip(&expected) {
                assert!((x - e).abs() < 1e-9, "{p}: {x} {e}");
            }
            let inverse = factor.inverse();
            for i in 0..p {
                for j in 0..p {
                    let one: f64 = (0..p).map(|k| full(i, k) * inverse[k * p + j]).sum();
                    assert!((one - f64::from(u8::from(i == j))).abs() < 1e-9, "{p} {i} {j} {one}");
                }
            }
        }
    }

    #[test]
    fn a_column_that_others_determine_is_named() {
        // The third is the sum of the first two.
        let rows = [1.0, 2.0, 3.0, 0.5, -1.0, -0.5, 4.0, 1.0, 5.0, 2.0, 2.0, 4.0];
        let mut gram = Gram::new(3);
        gram.add_block(&[1.0; 4], &rows);
        assert_eq!(cholesky(gram.upper(), 3, 1e-11), Err(Singular { column: 2 }));
        assert_eq!(cholesky(&[f64::NAN], 1, 1e-11), Err(Singular { column: 0 }));
        assert_eq!(cholesky(&[], 1, 1e-11), Err(Singular { column: 0 }));
    }
}
