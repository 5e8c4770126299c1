//! Symmetric matrices for regressions: sums of outer products, Cholesky's factor, solutions and inverses, bit for bit
//! the same in wasm and in native code.
//!
//! A symmetric or triangular matrix of `p` columns is the upper triangle by rows, `p (p + 1) / 2` numbers: row `i` holds
//! the columns `i..p`. That is the order in which sites send one.
//!
//! Loops go over blocks of 32 rows, so that a block and the row that it changes stay near the processor, and over
//! four rows at once, so that the row is read and written once for the four. No entry depends on these numbers: for each
//! the operations come in the order that is written at the method, as a plain loop would do them. There is no fused
//! multiply-add and no other inexactness than that of `+ - * / sqrt`.
//!
//! [`Gram`] panics where it is given slices of a wrong length; nothing else panics.

mod kernels;

use core::fmt;

use kernels::{add, add4, divide, dot, dot4};

/// Rows of a block.
const BLOCK: usize = 32;

/// Where row `i` begins in an upper triangle of `p` columns.
fn row_start(p: usize, i: usize) -> usize {
    i * (2 * p + 1 - i) / 2
}

/// A symmetric matrix as its upper triangle, such as a weighted sum of outer products.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    p: usize,
    upper: Vec<f64>,
}

impl Gram {
    /// All zero, with `p` rows and columns.
    pub fn new(p: usize) -> Self {
        Self { p, upper: vec![0.0; row_start(p, p)] }
    }

    /// From an upper triangle by rows; nothing when that is not `p (p + 1) / 2` numbers.
    pub fn from_upper(p: usize, upper: Vec<f64>) -> Option<Self> {
        (upper.len() == row_start(p, p)).then_some(Self { p, upper })
    }

    /// Number of rows and columns.
    pub fn p(&self) -> usize {
        self.p
    }

    /// The upper triangle by rows.
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    /// The upper triangle by rows.
    pub fn into_upper(self) -> Vec<f64> {
        self.upper
    }

    /// The entry of a row and a column, in either order.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.min(j), i.max(j));
        self.upper[row_start(self.p, i) + j - i]
    }

    /// The diagonal.
    pub fn diagonal(&self) -> Vec<f64> {
        (0..self.p).map(|i| self.upper[row_start(self.p, i)]).collect()
    }

    /// Adds to one entry of the diagonal: a ridge penalty, for one.
    pub fn add_to_diagonal(&mut self, i: usize, value: f64) {
        self.upper[row_start(self.p, i)] += value;
    }

    /// Adds `weight * z * z'`: to the entry of row `i` and column `j >= i`, `(weight * z[i]) * z[j]`.
    ///
    /// # Panics
    ///
    /// When `z` does not have `p` numbers.
    pub fn add(&mut self, weight: f64, z: &[f64]) {
        self.add_block(&[weight], z);
    }

    /// Adds `weights[r] * z * z'` for each row `z = rows[r * p..][..p]`.
    ///
    /// To the bits, this is [`Gram::add`] for row after row: an entry is `((g + w0 z0i z0j) + w1 z1i z1j) + ...`. So it
    /// does not matter how a table is cut into blocks; those of 32 rows and more are fast.
    ///
    /// # Panics
    ///
    /// When `rows` does not have `p` numbers for each weight.
    pub fn add_block(&mut self, weights: &[f64], rows: &[f64]) {
        let p = self.p;
        assert!(rows.len() == weights.len() * p, "rows of another length than the matrix");
        if p == 0 {
            return;
        }
        for (weights, rows) in weights.chunks(BLOCK).zip(rows.chunks(BLOCK * p)) {
            let mut upper = &mut self.upper[..];
            for i in 0..p {
                let (line, below) = upper.split_at_mut(p - i);
                let (weights4, weights1) = weights.as_chunks::<4>();
                let (rows4, rows1) = rows.split_at(weights4.len() * 4 * p);
                for (w, z) in weights4.iter().zip(rows4.chunks_exact(4 * p)) {
                    let z = [&z[i..p], &z[p + i..2 * p], &z[2 * p + i..3 * p], &z[3 * p + i..]];
                    add4(line, [w[0] * z[0][0], w[1] * z[1][0], w[2] * z[2][0], w[3] * z[3][0]], z);
                }
                for (w, z) in weights1.iter().zip(rows1.chunks_exact(p)) {
                    add(line, w * z[i], &z[i..]);
                }
                upper = below;
            }
        }
    }
}

/// A matrix has no factor: this column is, within the tolerance, a combination of the columns before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Singular {
    /// The first such column.
    pub column: usize,
}

impl fmt::Display for Singular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} is a combination of the columns before it", self.column)
    }
}

impl core::error::Error for Singular {}

/// Cholesky's factor: the upper triangular `u` with `u' u` equal to a positive definite matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    p: usize,
    upper: Vec<f64>,
}

/// Factors a positive definite matrix in place.
///
/// A pivot is what the columns before leave of a diagonal entry: for a sum of outer products, `1 - R^2` of that column
/// on those, times the entry. The column is named when its pivot is not above `tolerance` times the entry; so scaling a
/// column changes nothing. Infinite entries and those that are no numbers end at the first column whose pivot they reach.
///
/// An entry is `(((a[i, j] - u[0, i] u[0, j]) - u[1, i] u[1, j]) - ...) / u[i, i]`, one on the diagonal the square root.
pub fn cholesky(matrix: Gram, tolerance: f64) -> Result<Factor, Singular> {
    let diagonal = matrix.diagonal();
    let Gram { p, mut upper } = matrix;
    for start in (0..p).step_by(BLOCK) {
        let end = (start + BLOCK).min(p);
        let (above, below) = upper.split_at_mut(row_start(p, end));
        let block = &mut above[row_start(p, start)..];
        factor_block(block, p, start, &diagonal[start..end], tolerance)?;
        let mut rest = below;
        for i in end..p {
            let (line, next) = rest.split_at_mut(p - i);
            subtract_rows(line, block, p - start, end - start, i - start);
            rest = next;
        }
    }
    Ok(Factor { p, upper })
}

/// Factors the rows `start..` that `block` holds and from which all rows before are subtracted.
fn factor_block(
    block: &mut [f64],
    p: usize,
    start: usize,
    diagonal: &[f64],
    tolerance: f64,
) -> Result<(), Singular> {
    let width = p - start;
    for (k, entry) in diagonal.iter().enumerate() {
        let (above, rest) = block.split_at_mut(row_start(width, k));
        let line = &mut rest[..width - k];
        subtract_rows(line, above, width, k, k);
        let pivot = line[0];
        // Not the opposite comparison, which would let NaN pass.
        if !(pivot > 0.0 && pivot > tolerance * entry && pivot < f64::INFINITY) {
            return Err(Singular { column: start + k });
        }
        let root = pivot.sqrt();
        line[0] = root;
        divide(&mut line[1..], root);
    }
    Ok(())
}

/// Subtracts from row `i` of a triangle of `width` columns what its first `n` rows, finished ones, have in it, one row
/// after the other.
fn subtract_rows(line: &mut [f64], rows: &[f64], width: usize, n: usize, i: usize) {
    // What row k has from column i on.
    let row = |k: usize| &rows[row_start(width, k) + i - k..row_start(width, k + 1)];
    let mut k = 0;
    while k + 4 <= n {
        let x = [row(k), row(k + 1), row(k + 2), row(k + 3)];
        add4(line, x.map(|x| -x[0]), x);
        k += 4;
    }
    for k in k..n {
        add(line, -row(k)[0], row(k));
    }
}

impl Factor {
    /// Number of rows and columns.
    pub fn p(&self) -> usize {
        self.p
    }

    /// The factor by rows.
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.upper[row_start(self.p, i)..row_start(self.p, i + 1)]
    }

    /// The `x` with `u' u x = rhs`; a missing number of `rhs` is 0, and further ones are left out.
    ///
    /// Forwards, `y[i] = ((rhs[i] - u[0, i] y[0]) - u[1, i] y[1] - ...) / u[i, i]`, then backwards
    /// `x[i] = (y[i] - dot) / u[i, i]`, where the sum of products has four partial sums by position.
    pub fn solve(&self, rhs: &[f64]) -> Vec<f64> {
        let mut x = rhs.to_vec();
        x.resize(self.p, 0.0);
        for i in 0..self.p {
            let row = self.row(i);
            let (head, tail) = x[i..].split_at_mut(1);
            head[0] /= row[0];
            add(tail, -head[0], &row[1..]);
        }
        for i in (0..self.p).rev() {
            let row = self.row(i);
            x[i] = (x[i] - dot(&row[1..], &x[i + 1..])) / row[0];
        }
        x
    }

    /// The diagonal of the inverse of `u' u`: the variances of coefficients, but for a factor.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        let inverse = Self { p: self.p, upper: self.inverse_factor() };
        (0..self.p).map(|i| dot(inverse.row(i), inverse.row(i))).collect()
    }

    /// The inverse of `u' u`: the covariances of coefficients, but for a factor. Its diagonal has the bits of
    /// [`Factor::inverse_diagonal`].
    ///
    /// With `w` the inverse of `u`, an entry is the sum of `w[i, k] w[j, k]` over `k >= j`, in four partial sums by the
    /// position of `k - j`.
    pub fn inverse(&self) -> Gram {
        let p = self.p;
        let mut upper = self.inverse_factor();
        // In place: the entry of row i and column j is the last that needs w[i, j], when j rises and then i.
        let mut i = 0;
        let mut rest = &mut upper[..];
        while i + 4 <= p {
            let (first, below) = rest.split_at_mut(4 * (p - i) - 6);
            corner(first, p - i, 4);
            let (a, more) = first.split_at_mut(p - i);
            let (b, more) = more.split_at_mut(p - i - 1);
            let (c, d) = more.split_at_mut(p - i - 2);
            let mut line_start = 0;
            for j in i + 4..p {
                let w = &below[line_start..line_start + p - j];
                let at = [j - i, j - i - 1, j - i - 2, j - i - 3];
                let sums = dot4([&a[at[0]..], &b[at[1]..], &c[at[2]..], &d[at[3]..]], w);
                (a[at[0]], b[at[1]], c[at[2]], d[at[3]]) = (sums[0], sums[1], sums[2], sums[3]);
                line_start += p - j;
            }
            (rest, i) = (below, i + 4);
        }
        corner(rest, p - i, p - i);
        Gram { p, upper }
    }

    /// The inverse `w` of the factor: `w[i, i] = 1 / u[i, i]`, and right of it
    /// `w[i, j] = (((-u[i, j] w[j, j]) - u[i, j - 1] w[j - 1, j]) - ... - u[i, i + 1] w[i + 1, j]) / u[i, i]`.
    fn inverse_factor(&self) -> Vec<f64> {
        let p = self.p;
        let mut w = vec![0.0; self.upper.len()];
        for start in (0..p).step_by(BLOCK).rev() {
            let end = (start + BLOCK).min(p);
            let (above, below) = w.split_at_mut(row_start(p, end));
            // Blocks of finished rows from the last to the next.
            for from in (end..p).step_by(BLOCK).rev() {
                let to = (from + BLOCK).min(p);
                let finished =
                    &below[row_start(p, from) - row_start(p, end)..][..row_start(p, to) - row_start(p, from)];
                for i in start..end {
                    let line = &mut above[row_start(p, i)..row_start(p, i + 1)];
                    subtract_rows_upwards(
                        &mut line[from - i..],
                        &self.row(i)[from - i..to - i],
                        finished,
                        p - from,
                    );
                }
            }
            for i in (start..end).rev() {
                let (before, finished) = above.split_at_mut(row_start(p, i + 1));
                let line = &mut before[row_start(p, i)..];
                let row = self.row(i);
                subtract_rows_upwards(&mut line[1..], &row[1..end - i], finished, p - i - 1);
                line[0] = 1.0;
                divide(line, row[0]);
            }
        }
        w
    }
}

/// Subtracts `factors[k]` times row `k` of a triangle from the columns of `line` that the row has, the last row first.
/// Column 0 of the line is that of row 0, and `width` the number of columns.
fn subtract_rows_upwards(line: &mut [f64], factors: &[f64], rows: &[f64], width: usize) {
    let row = |k: usize| &rows[row_start(width, k)..row_start(width, k + 1)];
    let mut end = factors.len();
    while end >= 4 {
        let k = end - 4;
        let x = [row(k + 3), row(k + 2), row(k + 1), row(k)];
        let f = [-factors[k + 3], -factors[k + 2], -factors[k + 1], -factors[k]];
        // Columns k to k + 2, which not all of the four rows have.
        add(&mut line[k + 2..k + 3], f[1], &x[1][..1]);
        add(&mut line[k + 1..k + 3], f[2], &x[2][..2]);
        add(&mut line[k..k + 3], f[3], &x[3][..3]);
        add4(&mut line[k + 3..], f, [x[0], &x[1][1..], &x[2][2..], &x[3][3..]]);
        end = k;
    }
    for k in (0..end).rev() {
        add(&mut line[k..], -factors[k], row(k));
    }
}

/// The entries among the first `n` rows and columns of a triangle's product with its transpose, in its place.
fn corner(rows: &mut [f64], width: usize, n: usize) {
    for i in 0..n {
        for j in i..n {
            let (a, b) = (row_start(width, i) + j - i, row_start(width, j));
            rows[a] = dot(&rows[a..a + width - j], &rows[b..b + width - j]);
        }
    }
}
