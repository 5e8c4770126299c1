//! Distribution functions for the tables that a regression prints, bit for bit the same in wasm and in native code.
//!
//! | Question | Function |
//! |---|---|
//! | p-value of a coefficient | [`two_sided_t`], [`two_sided_normal`] |
//! | Confidence interval | [`student_t_quantile`], [`normal_quantile`] |
//! | p-value of a whole linear model | [`f_upper_tail`] |
//! | p-value of a likelihood ratio or Wald test | [`chi2_upper_tail`] |
//!
//! A p-value is most wanted where it is smallest, and there `1 - cdf` is only noise. So every function computes the
//! smaller of the two sides itself, and the relative error of a result is below 1e-14 down to 1e-300; `tests/stats.rs`
//! holds them to that against a table of 50 digits. How:
//!
//! - The leading factor, such as `x^a (1 - x)^b / B(a, b)`, is taken relative to its maximum: of the huge logarithms
//!   that would cancel, nothing is ever computed. Its exponent is held in twice the precision (`pair`), because a
//!   rounding of 700 would be an error of 1e-13.
//! - What is left of the integral is a continued fraction, or, where both parameters are large, a sum at 131 fixed
//!   points (`integral`). Neither takes longer for large parameters, so the fuel of a call is bounded.
//!
//! Domain errors give NaN; nothing panics. Results below 1e-307 lose digits and end as 0.

mod beta;
mod gamma;
mod integral;
mod normal;
mod pair;

use crate::math::{exp, ln};
use beta::{Place, Sides};
use pair::{Pair, product, sum};

pub use beta::beta_lower;
pub use gamma::{gamma_lower, gamma_upper, ln_gamma};
pub use normal::{normal_cdf, normal_quantile, two_sided_normal};

/// Least number of degrees of freedom, twice the least parameter of the incomplete functions. Below it one side of a
/// distribution would be the rounded difference of 1 and the other.
const LEAST_DF: f64 = 1.0;

/// Degrees of freedom from which on a distribution is its own limit.
const LIMIT: f64 = 1e30;

/// Parameters from which on the sum at fixed points is as exact as the continued fraction and shorter.
const WIDE: f64 = 50.0;

/// Beyond this (or its square, of t) and up to this many degrees of freedom a tail is a power, to the last bit; with more
/// it is 0.
const FAR: f64 = 1e100;
const FAR_DF: f64 = 8.0;

/// `x` divided by `2^n`, with that `n`, so that it is no longer far and its products do not overflow.
fn less_far(mut x: f64) -> (f64, f64) {
    let mut n = 0.0;
    while x > FAR {
        // 2^-250
        x *= f64::from_bits((1023 - 250) << 52);
        n += 250.0;
    }
    (x, n)
}

/// The two-sided p-value of |t| = `t` and the probability within.
fn student_sides(t: f64, df: f64) -> Sides {
    let (a, b) = (0.5 * df, 0.5);
    if t > FAR && df > FAR_DF {
        return Sides { lower: 0.0, upper: 1.0, slope: 0.0 };
    }
    // x = df / (df + t^2), and its distance below the mean is df / 2 * (t^2 - 1) / (df + t^2).
    let (t, n) = less_far(t);
    let square = product(t, t);
    let total = square + Pair::from(df);
    let distance = Pair::from(a) * (square - Pair::from(1.0)) / total;
    let place = Place { a, b, x: Pair::from(df) / total, y: square / total, distance };
    place.sides().shrunk_by_power_of_2(product(n, df))
}

/// Probability that Student's t with `df` degrees of freedom lies at least as far from 0 as `t`: the p-value of a
/// two-sided test. `df` need not be whole; infinity is the normal distribution. NaN unless `df >= 1`.
pub fn two_sided_t(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() || df < LEAST_DF {
        f64::NAN
    } else if t.is_infinite() {
        0.0
    } else {
        student_sides(t.abs(), df.min(LIMIT)).lower
    }
}

/// Probability that Student's t with `df` degrees of freedom is at most `t`; the lower tail has its own small relative
/// error. `df` as in [`two_sided_t`].
pub fn student_t_cdf(t: f64, df: f64) -> f64 {
    let both = two_sided_t(t, df);
    if both.is_nan() {
        return f64::NAN;
    }
    let half = 0.5 * both;
    if t > 0.0 { 1.0 - half } else { half }
}

/// The `t` whose [`student_t_cdf`] is `p`: minus infinity at 0, infinity at 1, NaN outside. A confidence interval of
/// 95 % reaches `student_t_quantile(0.975, df)` standard errors to both sides. `df` as in [`two_sided_t`].
pub fn student_t_quantile(p: f64, df: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) || df.is_nan() || df < LEAST_DF {
        return f64::NAN;
    }
    let df = df.min(LIMIT);
    let both_tails = 2.0 * p.min(1.0 - p);
    let within = 2.0 * (p - 0.5).abs();
    if within == 0.0 {
        return 0.0;
    }
    if both_tails == 0.0 {
        return if p < 0.5 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // Newton's steps on the logarithms of the probability and of t, from the side where they cannot overshoot.
    let middle = both_tails > student_sides(1.0, df).lower;
    let mut t = if middle {
        1.25 * within
    } else {
        // The tail is at most (1 + t^2 / df)^(-df / 2).
        let l = -ln(both_tails) / df;
        let bracket = if l < 1e-5 { 2.0 * l * (1.0 - l) } else { 1.0 - exp(-2.0 * l) };
        (df * bracket).sqrt() * exp(l)
    };
    for _ in 0..40 {
        if !t.is_finite() {
            break;
        }
        let sides = student_sides(t, df);
        // The derivatives of both sides by ln t are twice the slope.
        let step = if middle {
            ln(within / sides.upper) * sides.upper / (2.0 * sides.slope)
        } else {
            -ln(both_tails / sides.lower) * sides.lower / (2.0 * sides.slope)
        };
        // Where the tail underflows there is no step to take.
        if step.is_nan() {
            break;
        }
        t *= exp(step.clamp(-1.0, 1.0));
        if step.abs() < 1e-9 {
            break;
        }
    }
    if p < 0.5 { -t } else { t }
}

/// Probability that Fisher's F with `d1` (of the numerator) and `d2` degrees of freedom is at least `f`: the p-value of
/// an analysis of variance. Degrees of freedom need not be whole, and may be infinite. NaN unless both are >= 1.
pub fn f_upper_tail(f: f64, d1: f64, d2: f64) -> f64 {
    if f.is_nan() || d1.is_nan() || d2.is_nan() || d1 < LEAST_DF || d2 < LEAST_DF {
        return f64::NAN;
    }
    if f <= 0.0 {
        return 1.0;
    }
    if f == f64::INFINITY {
        return 0.0;
    }
    let (d1, d2) = (d1.min(LIMIT), d2.min(LIMIT));
    if f > FAR && d2 > FAR_DF {
        return 0.0;
    }
    // x = d2 / (d2 + d1 f), and its distance below the mean is d1 d2 / 2 * (f - 1) / (d2 + d1 f).
    let (f, n) = less_far(f);
    let (above, below) = (product(d1, f), Pair::from(d2));
    let total = above + below;
    let distance = product(0.5 * d1, d2) * sum(f, -1.0) / total;
    let place = Place { a: 0.5 * d2, b: 0.5 * d1, x: below / total, y: above / total, distance };
    place.sides().shrunk_by_power_of_2(product(n, 0.5 * d2)).lower
}

/// Probability that chi-square with `k` degrees of freedom is at least `x`: the p-value of a likelihood ratio test. `k`
/// need not be whole; NaN unless it is in [1, 1e30].
pub fn chi2_upper_tail(x: f64, k: f64) -> f64 {
    gamma_upper(0.5 * k, if x < 0.0 { 0.0 } else { 0.5 * x })
}
