//! The incomplete beta function, from which Student's t and Fisher's F come.

use super::gamma::{INVERSE_TWO_PI, stirling_error};
use super::integral::{fraction, half_line};
use super::pair::{LN_2, Pair, decay, ln_less_linear, ln_less_linear_plain, sum};
use super::{LEAST_DF, LIMIT, WIDE};
use crate::math::exp;

/// Where an incomplete beta function is asked for. Not `x` alone: near 1, and near the mean for large parameters, a
/// rounded `x` no longer holds what its caller knew.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub a: f64,
    pub b: f64,
    /// The upper limit of the integral.
    pub x: Pair,
    /// `1 - x`.
    pub y: Pair,
    /// `a y - b x`: how far `x` is below the mean `a / (a + b)`, times `a + b`.
    pub distance: Pair,
}

/// The two regularized incomplete beta functions at a place.
#[derive(Debug, Clone, Copy)]
pub struct Sides {
    /// `I_x(a, b)`.
    pub lower: f64,
    /// `1 - I_x(a, b)`.
    pub upper: f64,
    /// `x^a y^b / B(a, b)`: the derivative of `lower` by the logit of `x`.
    pub slope: f64,
}

impl Sides {
    /// The sides where `x^a` is smaller by the factor `2^n` and `lower` is so far out that it is only that power.
    pub fn shrunk_by_power_of_2(self, n: Pair) -> Self {
        if n.hi == 0.0 {
            return self;
        }
        let lower = decay(self.lower, n * LN_2);
        Self { lower, upper: 1.0 - lower, slope: decay(self.slope, n * LN_2) }
    }
}

impl Place {
    /// Both sides. Each has its own small relative error: the one towards the nearer end is computed, and at most 0.7
    /// for parameters of at least 1/2, so that its difference from 1 loses nothing.
    pub fn sides(self) -> Sides {
        if self.distance.hi < 0.0 {
            let Self { a, b, x, y, distance } = self;
            let s = Self { a: b, b: a, x: y, y: x, distance: -distance }.sides();
            return Sides { lower: s.upper, upper: s.lower, slope: s.slope };
        }
        let Self { a, b, x, y, distance } = self;
        if x.hi == 0.0 {
            return Sides { lower: 0.0, upper: 1.0, slope: 0.0 };
        }
        // x^a y^b / B(a, b) by Stirling's formula: a ln(x / mean) + b ln(y / (1 - mean)), where the linear parts of the
        // two logarithms cancel, so both can be left out.
        let [a2, b2, n2] = [Pair::from(a), Pair::from(b), sum(a, b)];
        let below = a2 * ln_less_linear(-distance / a2, n2 / a2 * x);
        let above = b2 * ln_less_linear(distance / b2, n2 / b2 * y);
        let exponent = -(below + above);
        let n = a + b;
        let errors = stirling_error(n) - (stirling_error(a) + stirling_error(b));
        let factor = (a / n * b * INVERSE_TWO_PI).sqrt() * exp(errors);
        let lower = decay(factor * self.rest(), exponent);
        Sides { lower, upper: 1.0 - lower, slope: decay(factor, exponent) }
    }

    /// `lower` divided by `slope`, for `x` at or below the mean.
    fn rest(self) -> f64 {
        let Self { a, b, x, y, distance } = self;
        let [x, y, distance] = [x.hi, y.hi, distance.hi];
        if a >= WIDE && b >= WIDE {
            // The integral from x down, in steps v with x - t = x y v.
            let scale = 1.0 / (distance + (a * y * y + b * x * x).sqrt());
            return half_line(scale, |v| {
                if y * v >= 1.0 {
                    return 0.0;
                }
                let curved =
                    (a - 1.0) * ln_less_linear_plain(-y * v) + (b - 1.0) * ln_less_linear_plain(x * v);
                exp(curved - (distance - y + x) * v)
            });
        }
        // Didonato and Morris, Algorithm 708 (1992), equation 9.
        fraction(|n| {
            let m = a + 2.0 * n;
            let ratio = x / (m - 1.0);
            let product = if n == 0.0 { 0.0 } else { n * (b - n) * ratio };
            let alpha = product * (ratio * (a + n - 1.0)) * (a + b + n - 1.0);
            (alpha, n + product + (a + n) / (m + 1.0) * (distance + 1.0 + n * (1.0 + y)))
        })
    }
}

/// The regularized incomplete beta function `I_x(a, b)`: the probability that a beta variable is at most `x`. NaN unless
/// `a` and `b` are in [1/2, 5e29] and `x` in [0, 1].
pub fn beta_lower(a: f64, b: f64, x: f64) -> f64 {
    let range = 0.5 * LEAST_DF..=0.5 * LIMIT;
    if !range.contains(&a) || !range.contains(&b) || !(0.0..=1.0).contains(&x) {
        return f64::NAN;
    }
    if x == 1.0 {
        return 1.0;
    }
    let distance = Pair::from(a) - sum(a, b) * Pair::from(x);
    Place { a, b, x: Pair::from(x), y: sum(1.0, -x), distance }.sides().lower
}
