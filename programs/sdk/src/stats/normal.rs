//! The normal distribution.

use super::integral::fraction;
use super::pair::{Pair, decay, product};
use crate::math::{exp, ln};

/// `1 / sqrt(2 pi)`.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;

/// `sqrt(2 pi)`.
const SQRT_TWO_PI: f64 = 2.506_628_274_631_000_7;

/// Below this the series from the middle, above it the continued fraction of the tail.
const MIDDLE: f64 = 1.25;

/// `factor` times the density at `z`.
fn density_times(factor: f64, z: f64) -> f64 {
    // z^2 twice as precise: half of it is the exponent, and a rounding of 700 would show in the result.
    let square = product(z, z);
    let half = Pair { hi: 0.5 * square.hi, lo: 0.5 * square.lo };
    decay(factor * DENSITY_AT_0, half)
}

/// The probability between 0 and `z`, divided by the density at `z`: `z + z^3 / 3 + z^5 / (3 * 5) + ...`.
fn middle(z: f64) -> f64 {
    let square = z * z;
    // Below 1.25 the 20th term is under 2^-60 of the sum.
    let mut sum = 0.0;
    for n in (1..=20).rev() {
        sum = (1.0 + sum) * square / f64::from(2 * n + 1);
    }
    z + z * sum
}

/// The probability above `z`, divided by the density at `z`, for `z >= MIDDLE`.
fn mills(z: f64) -> f64 {
    fraction(|n| (n, z))
}

/// The probability above `z >= 0`.
fn upper(z: f64) -> f64 {
    if z < MIDDLE {
        0.5 - density_times(middle(z), z)
    } else if z > 40.0 {
        0.0
    } else {
        density_times(mills(z), z)
    }
}

/// Probability that a standard normal variable is at most `z`. The relative error is small in the lower tail too, down
/// to about 1e-307; NaN for NaN.
pub fn normal_cdf(z: f64) -> f64 {
    if z.is_nan() {
        return f64::NAN;
    }
    if z < 0.0 {
        upper(-z)
    } else if z < MIDDLE {
        0.5 + density_times(middle(z), z)
    } else {
        1.0 - upper(z)
    }
}

/// Probability that a standard normal variable lies at least as far from 0 as `z`: the p-value of a two-sided test. The
/// relative error is small down to about 1e-307 (|z| = 37.5); NaN for NaN.
pub fn two_sided_normal(z: f64) -> f64 {
    if z.is_nan() {
        return f64::NAN;
    }
    let z = z.abs();
    if z < MIDDLE { 1.0 - 2.0 * density_times(middle(z), z) } else { 2.0 * upper(z) }
}

/// The `z` whose [`normal_cdf`] is `p`: minus infinity at 0, infinity at 1, NaN outside.
///
/// Near `p = 1` the result is that of the rounded `p`; who needs the far upper quantile asks for the lower one.
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let tail = p.min(1.0 - p);
    if tail == 0.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if tail > 0.3 {
        return middle_quantile(p - 0.5);
    }
    // Abramowitz and Stegun 26.2.23, within 4.5e-4, then Newton's steps on the logarithm of the tail.
    let log = ln(tail);
    let t = (-2.0 * log).sqrt();
    let mut z = t
        - (2.515_517 + t * (0.802_853 + t * 0.010_328))
            / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    for _ in 0..3 {
        let ratio = if z < MIDDLE { upper(z) / density_times(1.0, z) } else { mills(z) };
        z += ratio * (ln(ratio * DENSITY_AT_0) - 0.5 * z * z - log);
    }
    if p < 0.5 { -z } else { z }
}

/// The `z` with probability `q` between 0 and it, for |q| <= 0.2.
fn middle_quantile(q: f64) -> f64 {
    let mut z = q * SQRT_TWO_PI;
    for _ in 0..4 {
        // Halley's step: the density's derivative is `-z` times the density.
        let step = q * SQRT_TWO_PI * exp(0.5 * z * z) - middle(z);
        z += step / (1.0 - 0.5 * z * step);
    }
    z
}
