//! `matrix` against plain loops in the documented order, to the last bit, and against what a factor is for.

use histone_program_sdk::matrix::{Factor, Gram, Singular, cholesky};

const SIZES: [usize; 9] = [0, 1, 2, 3, 7, 32, 33, 67, 130];
const TOLERANCE: f64 = 1e-12;

/// SplitMix64.
struct Random(u64);

impl Random {
    /// From -1 to 1.
    fn number(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / f64::powi(2.0, 52) - 1.0
    }

    fn numbers(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.number()).collect()
    }
}

/// A weighted sum over `2 p + 5` random rows, columns of very different scales among them.
fn random_gram(p: usize, random: &mut Random) -> Gram {
    let n = 2 * p + 5;
    let mut rows = random.numbers(n * p);
    for (i, v) in rows.iter_mut().enumerate() {
        *v *= [1.0, 1e-3, 1e4][i % p % 3];
    }
    let weights: Vec<f64> = (0..n).map(|_| random.number().abs() + 0.1).collect();
    let mut gram = Gram::new(p);
    gram.add_block(&weights, &rows);
    gram
}

/// Four partial sums over the first multiple of eight, then one after the other.
fn documented_dot(a: &[f64], b: &[f64]) -> f64 {
    let whole = a.len() / 8 * 8;
    let mut s = [0.0; 4];
    for i in 0..whole {
        s[i % 4] += a[i] * b[i];
    }
    (whole..a.len()).fold((s[0] + s[2]) + (s[1] + s[3]), |sum, i| sum + a[i] * b[i])
}

/// Full rows of an upper triangle.
fn full(p: usize, upper: &[f64]) -> Vec<Vec<f64>> {
    let mut rest = upper;
    (0..p)
        .map(|i| {
            let (row, below) = rest.split_at(p - i);
            rest = below;
            let mut line = vec![0.0; i];
            line.extend_from_slice(row);
            line
        })
        .collect()
}

fn packed(rows: &[Vec<f64>]) -> Vec<f64> {
    rows.iter().enumerate().flat_map(|(i, row)| row[i..].to_vec()).collect()
}

fn factor(gram: &Gram) -> Factor {
    cholesky(gram.clone(), TOLERANCE).expect("a full rank")
}

#[test]
fn blocks_of_rows_are_rows_one_by_one() {
    let mut random = Random(1);
    for p in SIZES {
        for n in [0, 1, 3, 4, 5, 31, 32, 33, 100] {
            let (weights, rows) = (random.numbers(n), random.numbers(n * p));
            let mut block = Gram::new(p);
            block.add_block(&weights, &rows);
            let mut cut = Gram::new(p);
            cut.add_block(&weights[..n / 3], &rows[..n / 3 * p]);
            cut.add_block(&weights[n / 3..], &rows[n / 3 * p..]);
            let mut single = Gram::new(p);
            let mut plain = vec![vec![0.0; p]; p];
            for (r, weight) in weights.iter().enumerate() {
                let z = &rows[r * p..(r + 1) * p];
                single.add(*weight, z);
                for i in 0..p {
                    for j in i..p {
                        plain[i][j] += (weight * z[i]) * z[j];
                    }
                }
            }
            assert_eq!(block, single, "{p} columns, {n} rows");
            assert_eq!(block, cut, "{p} columns, {n} rows");
            assert_eq!(block.upper(), packed(&plain), "{p} columns, {n} rows");
        }
    }
}

#[test]
fn a_matrix_is_read_as_it_is_packed() {
    let mut gram = Gram::from_upper(3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("six numbers");
    assert_eq!(gram.p(), 3);
    assert_eq!((gram.get(0, 2), gram.get(2, 0), gram.get(1, 1), gram.get(2, 1)), (3.0, 3.0, 4.0, 5.0));
    gram.add_to_diagonal(1, 0.5);
    assert_eq!(gram.diagonal(), [1.0, 4.5, 6.0]);
    assert_eq!(gram.into_upper(), [1.0, 2.0, 3.0, 4.5, 5.0, 6.0]);
    assert_eq!(Gram::from_upper(3, vec![0.0; 5]), None);
    assert_eq!(Gram::from_upper(0, Vec::new()), Some(Gram::new(0)));
}

#[test]
#[should_panic(expected = "another length")]
fn rows_of_another_length_are_refused() {
    Gram::new(3).add_block(&[1.0, 1.0], &[0.0; 5]);
}

#[test]
fn the_factor_has_the_documented_bits() {
    let mut random = Random(2);
    for p in SIZES {
        let gram = random_gram(p, &mut random);
        let mut u = full(p, gram.upper());
        for i in 0..p {
            for k in 0..i {
                for j in i..p {
                    u[i][j] -= u[k][i] * u[k][j];
                }
            }
            let root = u[i][i].sqrt();
            u[i][i] = root;
            for v in &mut u[i][i + 1..] {
                *v /= root;
            }
        }
        assert_eq!(factor(&gram).upper(), packed(&u), "{p} columns");
    }
}

#[test]
fn solutions_and_inverses_have_the_documented_bits() {
    let mut random = Random(3);
    for p in SIZES {
        let factor = factor(&random_gram(p, &mut random));
        let u = full(p, factor.upper());
        let mut w = vec![vec![0.0; p]; p];
        for i in (0..p).rev() {
            let (above, below) = w.split_at_mut(i + 1);
            for k in (i + 1..p).rev() {
                for (v, x) in above[i][k..].iter_mut().zip(&below[k - i - 1][k..]) {
                    *v -= u[i][k] * x;
                }
            }
            w[i][i] = 1.0;
            for v in &mut w[i][i..] {
                *v /= u[i][i];
            }
        }
        let mut inverse = vec![vec![0.0; p]; p];
        for i in 0..p {
            for j in i..p {
                inverse[i][j] = documented_dot(&w[i][j..], &w[j][j..]);
            }
        }
        let got = factor.inverse();
        assert_eq!(got.upper(), packed(&inverse), "{p} columns");
        assert_eq!(got.diagonal(), factor.inverse_diagonal(), "{p} columns");

        let rhs = random.numbers(p);
        let mut x = rhs.clone();
        for i in 0..p {
            x[i] /= u[i][i];
            for j in i + 1..p {
                x[j] -= u[i][j] * x[i];
            }
        }
        for i in (0..p).rev() {
            x[i] = (x[i] - documented_dot(&u[i][i + 1..], &x[i + 1..])) / u[i][i];
        }
        assert_eq!(factor.solve(&rhs), x, "{p} columns");
    }
}

#[test]
fn factors_solutions_and_inverses_fit_the_matrix() {
    let mut random = Random(4);
    for p in SIZES {
        let gram = random_gram(p, &mut random);
        let d = gram.diagonal();
        let factor = factor(&gram);
        assert_eq!(factor.p(), p);
        let u = full(p, factor.upper());
        let inverse = factor.inverse();
        let x = random.numbers(p);
        let rhs: Vec<f64> = (0..p).map(|i| (0..p).map(|j| gram.get(i, j) * x[j]).sum()).collect();
        let solved = factor.solve(&rhs);
        for i in 0..p {
            // In units of the column, whose scale is the root of the diagonal.
            let left: f64 = (0..p).map(|j| gram.get(i, j) * solved[j]).sum::<f64>() - rhs[i];
            let size: f64 = (0..p).map(|j| (gram.get(i, j) * solved[j]).abs()).sum();
            assert!(left.abs() <= 1e-14 * size * (p as f64), "row {i} of {p}: {left:e}");
            for j in i..p {
                let scale = (d[i] * d[j]).sqrt();
                let square: f64 = (0..=i).map(|k| u[k][i] * u[k][j]).sum();
                assert!((square - gram.get(i, j)).abs() <= 1e-14 * scale, "{i}, {j} of {p}");
                let one: f64 = (0..p).map(|k| inverse.get(i, k) * gram.get(k, j)).sum();
                let want = if i == j { 1.0 } else { 0.0 };
                assert!((one - want).abs() <= 1e-11 * (d[j] / d[i]).sqrt(), "{i}, {j} of {p}: {one:e}");
            }
        }
    }
}

#[test]
fn the_first_dependent_column_is_named() {
    let mut random = Random(5);
    for p in [2, 3, 33, 130] {
        for column in [1, p / 2, p - 1] {
            if column == 0 {
                continue;
            }
            for scale in [1.0, 1e-9, 1e9] {
                let mut gram = Gram::new(p);
                for _ in 0..3 * p {
                    let mut z = random.numbers(p);
                    z[column] = scale * (z[0] - if column > 1 { 0.5 * z[column - 1] } else { 0.0 });
                    gram.add(1.0, &z);
                }
                assert_eq!(cholesky(gram.clone(), TOLERANCE), Err(Singular { column }), "{p} columns");
                // A penalty makes it regular again.
                let entry = gram.get(column, column);
                gram.add_to_diagonal(column, 1e-6 * entry);
                assert!(cholesky(gram, TOLERANCE).is_ok(), "{p} columns");
            }
        }
    }
    assert_eq!(Singular { column: 7 }.to_string(), "column 7 is a combination of the columns before it");
}

#[test]
fn the_tolerance_is_a_part_of_the_diagonal_entry() {
    // 1 - R^2 of the second column on the first is 1/4.
    let gram = || Gram::from_upper(2, vec![4.0, 6.0, 12.0]).expect("three numbers");
    assert_eq!(cholesky(gram(), 0.25), Err(Singular { column: 1 }));
    let factor = cholesky(gram(), 0.249).expect("above the tolerance");
    assert_eq!(factor.upper(), [2.0, 3.0, 3f64.sqrt()]);
    assert_eq!(factor.solve(&[4.0, 6.0]), [1.0, 0.0]);
    assert_eq!(factor.solve(&[]), [0.0, 0.0]);
    assert_eq!(factor.solve(&[4.0, 6.0, 9.0]), [1.0, 0.0]);
}

#[test]
fn what_is_not_positive_definite_has_no_factor() {
    for (p, upper, column) in [
        (1, vec![0.0], 0),
        (1, vec![-1.0], 0),
        (1, vec![f64::NAN], 0),
        (1, vec![f64::INFINITY], 0),
        (2, vec![1.0, 2.0, 1.0], 1),
        (2, vec![1.0, f64::NAN, 1.0], 1),
        (2, vec![1.0, 0.0, 0.0], 1),
        (3, vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0], 1),
    ] {
        for tolerance in [0.0, TOLERANCE] {
            let gram = Gram::from_upper(p, upper.clone()).expect("a triangle");
            assert_eq!(cholesky(gram, tolerance), Err(Singular { column }), "{upper:?}");
        }
    }
    assert_eq!(cholesky(Gram::new(1), f64::NAN), Err(Singular { column: 0 }));
}
