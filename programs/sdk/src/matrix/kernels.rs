//! The inner loops. One turn handles 32 lanes, then 8, then one: the host counts fuel on every turn. The lanes of a turn
//! are written as calls of eight, so that the compiler leaves no loop inside.
//!
//! No result depends on how the lanes are cut: an update is one sequence of operations per lane, and a sum of products
//! has four partial sums by position modulo 4. All slices of a call have one length.

const LONG: usize = 32;
const SHORT: usize = 8;

/// Long turns, short turns and the rest of a slice.
fn cut(x: &[f64]) -> (&[[f64; LONG]], &[[f64; SHORT]], &[f64]) {
    let (long, rest) = x.as_chunks();
    let (short, rest) = rest.as_chunks();
    (long, short, rest)
}

fn cut_mut(x: &mut [f64]) -> (&mut [[f64; LONG]], &mut [[f64; SHORT]], &mut [f64]) {
    let (long, rest) = x.as_chunks_mut();
    let (short, rest) = rest.as_chunks_mut();
    (long, short, rest)
}

/// `y + f x`
#[inline(always)]
fn add_lane(y: &mut f64, f: f64, x: f64) {
    *y += f * x;
}

/// `(((y + f0 a) + f1 b) + f2 c) + f3 d`
#[inline(always)]
fn add4_lane(y: &mut f64, f: [f64; 4], a: f64, b: f64, c: f64, d: f64) {
    *y = (((*y + f[0] * a) + f[1] * b) + f[2] * c) + f[3] * d;
}

#[inline(always)]
fn add_lanes<const N: usize>(from: usize, y: &mut [f64; N], f: f64, x: &[f64; N]) {
    for i in from..from + SHORT {
        add_lane(&mut y[i], f, x[i]);
    }
}

#[inline(always)]
fn add4_lanes<const N: usize>(from: usize, y: &mut [f64; N], f: [f64; 4], x: [&[f64; N]; 4]) {
    for i in from..from + SHORT {
        add4_lane(&mut y[i], f, x[0][i], x[1][i], x[2][i], x[3][i]);
    }
}

/// Adds `f * x` to `y`.
pub fn add(y: &mut [f64], f: f64, x: &[f64]) {
    let (y32, y8, y1) = cut_mut(y);
    let (x32, x8, x1) = cut(x);
    for (y, x) in y32.iter_mut().zip(x32) {
        add_lanes(0, y, f, x);
        add_lanes(8, y, f, x);
        add_lanes(16, y, f, x);
        add_lanes(24, y, f, x);
    }
    for (y, x) in y8.iter_mut().zip(x8) {
        add_lanes(0, y, f, x);
    }
    for (y, x) in y1.iter_mut().zip(x1) {
        add_lane(y, f, *x);
    }
}

/// Adds `f[0] * x[0]`, then `f[1] * x[1]`, `f[2] * x[2]` and `f[3] * x[3]` to `y`: the bits of four calls of [`add`] with
/// a quarter of their reads and writes of `y`.
pub fn add4(y: &mut [f64], f: [f64; 4], x: [&[f64]; 4]) {
    let (y32, y8, y1) = cut_mut(y);
    let [(a32, a8, a1), (b32, b8, b1), (c32, c8, c1), (d32, d8, d1)] = x.map(cut);
    for ((((y, a), b), c), d) in y32.iter_mut().zip(a32).zip(b32).zip(c32).zip(d32) {
        add4_lanes(0, y, f, [a, b, c, d]);
        add4_lanes(8, y, f, [a, b, c, d]);
        add4_lanes(16, y, f, [a, b, c, d]);
        add4_lanes(24, y, f, [a, b, c, d]);
    }
    for ((((y, a), b), c), d) in y8.iter_mut().zip(a8).zip(b8).zip(c8).zip(d8) {
        add4_lanes(0, y, f, [a, b, c, d]);
    }
    for ((((y, a), b), c), d) in y1.iter_mut().zip(a1).zip(b1).zip(c1).zip(d1) {
        add4_lane(y, f, *a, *b, *c, *d);
    }
}

/// Partial sums by position modulo 4.
type Sums = [f64; 4];

#[inline(always)]
fn dot_lanes<const N: usize>(from: usize, sums: &mut Sums, a: &[f64; N], b: &[f64; N]) {
    for i in 0..4 {
        sums[i] += a[from + i] * b[from + i];
    }
    for i in 0..4 {
        sums[i] += a[from + 4 + i] * b[from + 4 + i];
    }
}

#[inline(always)]
fn dot4_lanes<const N: usize>(from: usize, sums: &mut [Sums; 4], a: [&[f64; N]; 4], b: &[f64; N]) {
    dot_lanes(from, &mut sums[0], a[0], b);
    dot_lanes(from, &mut sums[1], a[1], b);
    dot_lanes(from, &mut sums[2], a[2], b);
    dot_lanes(from, &mut sums[3], a[3], b);
}

fn total(s: Sums) -> f64 {
    (s[0] + s[2]) + (s[1] + s[3])
}

/// Sum of `a[i] * b[i]`: four partial sums `s` over the first multiple of 8 lanes, `(s0 + s2) + (s1 + s3)`, and to that
/// the other products one by one.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a32, a8, a1) = cut(a);
    let (b32, b8, b1) = cut(b);
    let mut sums = [0.0; 4];
    for (a, b) in a32.iter().zip(b32) {
        dot_lanes(0, &mut sums, a, b);
        dot_lanes(8, &mut sums, a, b);
        dot_lanes(16, &mut sums, a, b);
        dot_lanes(24, &mut sums, a, b);
    }
    for (a, b) in a8.iter().zip(b8) {
        dot_lanes(0, &mut sums, a, b);
    }
    let mut sum = total(sums);
    for (a, b) in a1.iter().zip(b1) {
        sum += a * b;
    }
    sum
}

/// [`dot`] of four slices with the same one, to the last bit, in a quarter of the reads of `b`.
pub fn dot4(a: [&[f64]; 4], b: &[f64]) -> [f64; 4] {
    let [(p32, p8, p1), (q32, q8, q1), (r32, r8, r1), (s32, s8, s1)] = a.map(cut);
    let (b32, b8, b1) = cut(b);
    let mut sums = [[0.0; 4]; 4];
    for ((((p, q), r), s), b) in p32.iter().zip(q32).zip(r32).zip(s32).zip(b32) {
        dot4_lanes(0, &mut sums, [p, q, r, s], b);
        dot4_lanes(8, &mut sums, [p, q, r, s], b);
        dot4_lanes(16, &mut sums, [p, q, r, s], b);
        dot4_lanes(24, &mut sums, [p, q, r, s], b);
    }
    for ((((p, q), r), s), b) in p8.iter().zip(q8).zip(r8).zip(s8).zip(b8) {
        dot4_lanes(0, &mut sums, [p, q, r, s], b);
    }
    let mut out = sums.map(total);
    for ((((p, q), r), s), b) in p1.iter().zip(q1).zip(r1).zip(s1).zip(b1) {
        out[0] += p * b;
        out[1] += q * b;
        out[2] += r * b;
        out[3] += s * b;
    }
    out
}

/// Divides `y` by `d`.
pub fn divide(y: &mut [f64], d: f64) {
    let (y32, y8, y1) = cut_mut(y);
    for y in y32.as_flattened_mut().as_chunks_mut::<SHORT>().0.iter_mut().chain(y8) {
        for lane in y {
            *lane /= d;
        }
    }
    for y in y1 {
        *y /= d;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose sums depend on the order.
    fn numbers(n: usize, seed: u32) -> Vec<f64> {
        (0..n).map(|i| f64::from((i as u32 + 1).wrapping_mul(2_654_435_761) ^ seed) / 4e9 - 0.4).collect()
    }

    #[test]
    fn four_at_once_are_four_times_one() {
        for n in 0..100 {
            let x: [Vec<f64>; 4] = [1, 22, 333, 4444].map(|seed| numbers(n, seed));
            let x = [&x[0][..], &x[1], &x[2], &x[3]];
            let f = [0.3, -0.7, 1.1, 1e-3];
            let y = numbers(n, 55_555);
            let (mut one, mut four) = (y.clone(), y.clone());
            for i in 0..4 {
                add(&mut one, f[i], x[i]);
            }
            add4(&mut four, f, x);
            assert_eq!(one, four);
            assert_eq!(x.map(|x| dot(x, &y)), dot4(x, &y));
            let mut lanes = y.clone();
            for (lane, x) in lanes.iter_mut().zip(x[0]) {
                *lane += 0.3 * x;
            }
            let mut once = y.clone();
            add(&mut once, 0.3, x[0]);
            assert_eq!(once, lanes);
            divide(&mut once, 7.0);
            assert!(once.iter().zip(&lanes).all(|(a, b)| *a == b / 7.0));
        }
    }

    #[test]
    fn a_sum_of_products_is_as_documented() {
        for n in 0..100 {
            let (a, b) = (numbers(n, 6), numbers(n, 77));
            let whole = n / 8 * 8;
            let mut s = [0.0; 4];
            for i in 0..whole {
                s[i % 4] += a[i] * b[i];
            }
            let sum = (whole..n).fold((s[0] + s[2]) + (s[1] + s[3]), |sum, i| sum + a[i] * b[i]);
            assert_eq!(dot(&a, &b), sum);
        }
    }
}
