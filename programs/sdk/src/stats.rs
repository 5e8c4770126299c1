//! Distribution functions for what a regression says of its estimates.
//!
//! Tails are computed as tails and not as one minus something, so that a p of 1e-200 has its digits. Reference values are
//! in `tests/reference/stats.csv`, made by `stats.py` beside it with 50 digits.

use crate::math::{exp, ln, ln_1p};

/// `sqrt(pi)`.
const ROOT_PI: f64 = 1.772_453_850_905_516;

/// Where the series of the error function gives way to the continued fraction.
const SERIES_END: f64 = 2.0;

/// `1 - erf(x)` for `x >= 0`.
fn erfc(x: f64) -> f64 {
    if x < SERIES_END {
        // erf(x) = 2/sqrt(pi) e^(-x^2) x (1 + 2x^2/3 + (2x^2)^2/(3*5) + ...): all terms positive.
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while term > sum * 1e-18 {
            n += 2.0;
            term *= 2.0 * x * x / n;
            sum += term;
        }
        return 1.0 - 2.0 / ROOT_PI * exp(-x * x) * sum;
    }
    if x > 40.0 {
        return 0.0;
    }
    // e^(-x^2) / sqrt(pi) * 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...)))).
    let mut below = x;
    let mut n = 120;
    while n > 0 {
        below = x + 0.5 * f64::from(n) / below;
        n -= 1;
    }
    // x^2 in two parts, because its rounding would be multiplied by its size.
    let high = f64::from_bits(x.to_bits() & !0x7ff_ffff);
    exp(-high * high) * exp(-(x - high) * (x + high)) / (ROOT_PI * below)
}

/// Probability that a standard normal is further from 0 than `z`.
pub fn two_sided_normal(z: f64) -> f64 {
    if z.is_nan() { z } else { erfc(z.abs() / core::f64::consts::SQRT_2) }
}

/// Probability that a standard normal is at most `z`.
pub fn normal_cdf(z: f64) -> f64 {
    let half = 0.5 * two_sided_normal(z);
    if z > 0.0 { 1.0 - half } else { half }
}

/// The `z` below which a standard normal lies with probability `p`; infinite at 0 and 1, NaN outside.
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    // A start from the tail's leading terms, and Newton's method on the logarithm of the tail, which is nearly straight there.
    let mut z = -(-2.0 * ln(2.0 * p)).max(0.0).sqrt();
    for _ in 0..60 {
        let tail = normal_cdf(z);
        let density = exp(-0.5 * z * z) / (core::f64::consts::SQRT_2 * ROOT_PI);
        let step = (ln(tail) - ln(p)) * tail / density;
        z -= step;
        if step.abs() < 1e-15 * (1.0 + z.abs()) {
            break;
        }
    }
    z
}

/// `Gamma(a + 1/2) / Gamma(a)` for `a > 0`.
fn gamma_ratio(a: f64) -> f64 {
    // Up to where the asymptotic series has all digits, by Gamma(a + 1) = a Gamma(a).
    let (mut a, mut factor) = (a, 1.0);
    while a < 40.0 {
        factor *= a / (a + 0.5);
        a += 1.0;
    }
    let x = 1.0 / a;
    let series = 1.0
        + x * (-1.0 / 8.0
            + x * (1.0 / 128.0
                + x * (5.0 / 1024.0
                    + x * (-21.0 / 32_768.0
                        + x * (-399.0 / 262_144.0
                            + x * (869.0 / 4_194_304.0 + x * (39_325.0 / 33_554_432.0)))))));
    factor * a.sqrt() * series
}

/// The continued fraction of the incomplete beta function (modified Lentz).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    let mut m = 1.0;
    while m < 100_000.0 {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let step = d * c;
        h *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
        m += 1.0;
    }
    h
}

/// Probability that a Student t of `df > 0` degrees of freedom is further from 0 than `t`.
pub fn two_sided_t(t: f64, df: f64) -> f64 {
    if df.is_nan() || df <= 0.0 || t.is_nan() {
        return f64::NAN;
    }
    if t.is_infinite() {
        return 0.0;
    }
    if df > 10_000.0 {
        // Hill's expansion (Communications of the ACM 13, 1970, algorithm 395): the continued fraction loses digits here, and what
        // this leaves out is below rounding.
        let a = df - 0.5;
        let b = 48.0 * a * a;
        let z = (a * ln_1p(t * t / df)).sqrt();
        let z2 = z * z;
        let third =
            z * (((4.0 * z2 + 33.0) * z2 + 240.0) * z2 + 855.0) / (10.0 * b * (b + 0.8 * z2 * z2 + 100.0));
        return two_sided_normal(z + (z2 + 3.0) * z / b - third);
    }
    // The regularized incomplete beta function I_x(df/2, 1/2) at x = df / (df + t^2).
    let (a, b) = (0.5 * df, 0.5);
    let square = t * t;
    let (x, y) = (df / (df + square), square / (df + square));
    // x^a (1 - x)^b / B(a, b), where ln x = -ln(1 + t^2/df).
    let front = exp(-a * ln_1p(square / df)) * y.sqrt() * gamma_ratio(a) / ROOT_PI;
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, y) / b
    }
}

/// The `t > 0` that a Student t of `df` degrees of freedom is further from 0 than with probability `p`.
pub fn two_sided_t_quantile(p: f64, df: f64) -> f64 {
    if !(df > 0.0 && p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    // An interval that holds it, then halves of it.
    let (mut low, mut high) = (0.0, 2.0);
    while two_sided_t(high, df) > p && high < 1e150 {
        (low, high) = (high, high * high);
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if two_sided_t(middle, df) > p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reference_values() {
        let mut worst = std::collections::BTreeMap::new();
        for line in include_str!("../tests/reference/stats.csv").lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |i: usize| fields[i].parse::<f64>().unwrap();
            let (a, b, expected) = (number(1), number(2), number(3));
            let found = match fields[0] {
                "normal" => two_sided_normal(a),
                "normal_quantile" => normal_quantile(a),
                "t" => two_sided_t(a, b),
                "t_quantile" => two_sided_t_quantile(a, b),
                other => panic!("{other}"),
            };
            let error =
                if expected.abs() < 1e-50 && a == 0.5 { found.abs() } else { (found / expected - 1.0).abs() };
            let most = worst.entry(fields[0]).or_insert(0.0_f64);
            *most = most.max(error);
            // A quantile near the middle is as exact as p is.
            let bound = if fields[0] == "normal_quantile" { 1e-11 } else { 2e-12 };
            assert!(error < bound, "{line}: {found:e}, off by {error:e}");
        }
        assert_eq!(worst.len(), 4, "{worst:?}");
    }

    #[test]
    fn edges() {
        assert_eq!(two_sided_normal(0.0), 1.0);
        assert_eq!(two_sided_normal(f64::NEG_INFINITY), 0.0);
        assert!(two_sided_normal(f64::NAN).is_nan());
        assert_eq!(normal_cdf(0.0), 0.5);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
        assert!(normal_quantile(1.5).is_nan());
        assert_eq!(two_sided_t(0.0, 3.0), 1.0);
        assert_eq!(two_sided_t(f64::INFINITY, 3.0), 0.0);
        assert!(two_sided_t(1.0, 0.0).is_nan() && two_sided_t(1.0, f64::NAN).is_nan());
        assert!(two_sided_t_quantile(0.05, -1.0).is_nan());
    }
}
