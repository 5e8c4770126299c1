//! The gamma function and its incomplete ones.

use super::integral::{fraction, half_line};
use super::pair::{Pair, atanh_rest, decay, ln_less_linear, ln_less_linear_plain, sum};
use super::{LEAST_DF, LIMIT, WIDE};
use crate::math::{exp, ln};

/// `ln(2 pi) / 2`.
const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// `1 / (2 pi)`.
pub const INVERSE_TWO_PI: f64 = 0.159_154_943_091_895_35;

/// Coefficients of z, z^2, ... in `ln Gamma(2 + z)`: one less Euler's constant, then `(-1)^k (zeta(k) - 1) / k`.
const AT_2: [f64; 27] = [
    0.422_784_335_098_467_13,
    0.322_467_033_424_113_2,
    -0.067_352_301_053_198_1,
    0.020_580_808_427_784_546,
    -0.007_385_551_028_673_986,
    0.002_890_510_330_741_523_4,
    -0.001_192_753_911_703_261,
    0.000_509_669_524_743_042_5,
    -0.000_223_154_758_453_579_39,
    9.945_751_278_180_853e-5,
    -4.492_623_673_813_314e-5,
    2.050_721_277_567_069e-5,
    -9.439_488_275_268_397e-6,
    4.374_866_789_907_488e-6,
    -2.039_215_753_801_366e-6,
    9.551_412_130_407_42e-7,
    -4.492_469_198_764_566e-7,
    2.120_718_480_555_466_5e-7,
    -1.004_322_482_396_809_9e-7,
    4.769_810_169_363_980_4e-8,
    -2.271_109_460_894_316_4e-8,
    1.083_865_921_489_695_5e-8,
    -5.183_475_041_970_047e-9,
    2.483_674_543_802_478_5e-9,
    -1.192_140_140_586_091_2e-9,
    5.731_367_241_678_862e-10,
    -2.759_522_885_124_233_4e-10,
];

/// From here on Stirling's series with seven terms is exact to the last bit.
const STIRLING: f64 = 15.0;

/// Stirling's series: 1/x, 1/x^3, ...
const STIRLING_SERIES: [f64; 7] =
    [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];

/// `ln Gamma(2 + z)` for |z| <= 1/2.
fn ln_gamma_at_2(z: f64) -> f64 {
    z * AT_2.iter().rev().fold(0.0, |sum, c| sum * z + c)
}

fn stirling_series(x: f64) -> f64 {
    let z = 1.0 / (x * x);
    STIRLING_SERIES.iter().rev().fold(0.0, |sum, c| sum * z + c) / x
}

/// Logarithm of the gamma function of a positive number; infinity at 0 and infinity, NaN below 0. The relative error
/// stays small around the zeros at 1 and 2.
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY {
        return f64::INFINITY;
    }
    if x < 0.5 {
        ln_gamma_at_2(x) - ln(1.0 + x) - ln(x)
    } else if x < 1.5 {
        ln_gamma_at_2(x - 1.0) - ln(x)
    } else if x < STIRLING {
        let (mut rest, mut factor) = (x, 1.0);
        while rest > 2.5 {
            rest -= 1.0;
            factor *= rest;
        }
        ln_gamma_at_2(rest - 2.0) + ln(factor)
    } else {
        // Not x ln x - x - ..., which overflows a little before the result does.
        let log = ln(x);
        x * (log - 1.0) + (HALF_LN_TWO_PI - 0.5 * log + stirling_series(x))
    }
}

/// What Stirling's formula `sqrt(2 pi / x) (x / e)^x` lacks: the logarithm of `Gamma(x)` divided by it, for `x > 0`. The
/// absolute error is small.
pub fn stirling_error(x: f64) -> f64 {
    let (mut x, mut error) = (x, 0.0);
    while x < STIRLING {
        error += if x < 1.0 {
            (x + 0.5) * (ln(x + 1.0) - ln(x)) - 1.0
        } else {
            // atanh(s) / s - 1 with s = 1 / (2 x + 1) <= 1/3
            let s = 1.0 / (2.0 * x + 1.0);
            let z = s * s;
            z * atanh_rest(z)
        };
        x += 1.0;
    }
    error + stirling_series(x)
}

/// The regularized lower and upper incomplete gamma functions.
fn both(a: f64, x: f64) -> (f64, f64) {
    if !(0.5 * LEAST_DF..=0.5 * LIMIT).contains(&a) || x.is_nan() || x < 0.0 {
        return (f64::NAN, f64::NAN);
    }
    let ratio = x / a;
    if ratio == 0.0 {
        return (0.0, 1.0);
    }
    // The logarithm of the upper tail is below -1000.
    if x > 1000.0 + 100.0 * a {
        return (1.0, 0.0);
    }
    // x^a e^-x / Gamma(a) = sqrt(a / 2 pi) e^(a (ln(1 + u) - u) - error), u = x / a - 1.
    let u = sum(x, -a) / Pair::from(a);
    let exponent = -(Pair::from(a) * ln_less_linear(u, Pair::from(x) / Pair::from(a)));
    let factor = (a * INVERSE_TWO_PI).sqrt() * exp(-stirling_error(a));
    let above = x >= a;
    let distance = if above { x - a } else { a - x };
    let rest = if a >= WIDE {
        // With t = x (1 + v) or x (1 - v), the integral of t^(a - 1) e^-t has this left of it.
        let slope = if above { distance + 1.0 } else { distance - 1.0 };
        half_line(1.0 / (a.sqrt() + distance), |v| {
            let side = if above { v } else { -v };
            if side <= -1.0 { 0.0 } else { exp((a - 1.0) * ln_less_linear_plain(side) - slope * v) }
        })
    } else if above {
        fraction(|n| (n * (a - n), distance + 1.0 + 2.0 * n))
    } else {
        // The limit of the fraction in `beta` for a large b.
        fraction(|n| {
            let m = a + 2.0 * n;
            let ratio = x / (m - 1.0);
            let first = if n == 0.0 { 0.0 } else { n * ratio };
            (n * (a + n - 1.0) * ratio * ratio, n + first + (a + n) / (m + 1.0) * (distance + 1.0 + 2.0 * n))
        })
    };
    let tail = decay(factor * rest, exponent);
    if above { (1.0 - tail, tail) } else { (tail, 1.0 - tail) }
}

/// The regularized lower incomplete gamma function `P(a, x)`: the probability that a gamma variable of shape `a` is at
/// most `x`. NaN unless `a` is in [1/2, 5e29] and `x >= 0`.
pub fn gamma_lower(a: f64, x: f64) -> f64 {
    both(a, x).0
}

/// The regularized upper incomplete gamma function `Q(a, x) = 1 - P(a, x)`, with its own small relative error.
pub fn gamma_upper(a: f64, x: f64) -> f64 {
    both(a, x).1
}
