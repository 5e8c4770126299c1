//! Numbers of twice the precision, for the few places where a rounding would be multiplied by hundreds.

use core::ops::{Add, Div, Mul, Neg, Sub};

use crate::math::{exp, ln};

/// `ln 2`.
pub const LN_2: Pair = Pair { hi: core::f64::consts::LN_2, lo: 2.319_046_813_846_299_6e-17 };

/// The sum `hi + lo` that is not rounded; `lo` is below half a unit in the last place of `hi`.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub hi: f64,
    pub lo: f64,
}

/// `a + b`, exact.
pub fn sum(a: f64, b: f64) -> Pair {
    let hi = a + b;
    let back = hi - a;
    Pair { hi, lo: (a - (hi - back)) + (b - back) }
}

/// `a * b`, exact for factors below 2^996 whose product is not near the smallest numbers.
pub fn product(a: f64, b: f64) -> Pair {
    let hi = a * b;
    let ((a1, a2), (b1, b2)) = (halves(a), halves(b));
    Pair { hi, lo: ((a1 * b1 - hi) + a1 * b2 + a2 * b1) + a2 * b2 }
}

/// Two numbers of 26 bits whose sum is `a`.
fn halves(a: f64) -> (f64, f64) {
    let scaled = a * 134_217_729.0;
    let high = scaled - (scaled - a);
    (high, a - high)
}

impl From<f64> for Pair {
    fn from(hi: f64) -> Self {
        Self { hi, lo: 0.0 }
    }
}

impl Neg for Pair {
    type Output = Self;
    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Add for Pair {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (high, low) = (sum(self.hi, other.hi), sum(self.lo, other.lo));
        let first = sum(high.hi, high.lo + low.hi);
        sum(first.hi, first.lo + low.lo)
    }
}

impl Sub for Pair {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Pair {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let high = product(self.hi, other.hi);
        sum(high.hi, high.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Div for Pair {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self - other * Self::from(first);
        sum(first, rest.hi / other.hi)
    }
}

/// `1 / (2n + 3)` for n = 0 to 17: enough for |s| <= 1/3.
const CUBIC_SERIES: [f64; 18] = {
    let mut c = [0.0; 18];
    let mut n = 0;
    while n < 18 {
        c[n] = 1.0 / (2 * n + 3) as f64;
        n += 1;
    }
    c
};

/// `atanh(s) / s^3 - 1 / s^2` for `z = s^2 <= 1/9`: `1/3 + z / 5 + z^2 / 7 + ...`.
pub fn atanh_rest(z: f64) -> f64 {
    CUBIC_SERIES.iter().rev().fold(0.0, |sum, c| sum * z + c)
}

/// `ln(1 + w) - w` for |w| not above 1/2 by much, with a relative error below 2^-56.
fn near(w: Pair) -> Pair {
    // ln(1 + w) = 2 atanh(s) with s = w / (2 + w), and 2 s - w = -w s.
    let s = w / (Pair::from(2.0) + w);
    let z = s.hi * s.hi;
    Pair::from(2.0 * z * s.hi * atanh_rest(z)) - w * s
}

/// `ln x` of a positive number.
pub fn ln_pair(x: Pair) -> Pair {
    if x.hi < f64::MIN_POSITIVE {
        // 2^54 makes a subnormal number normal.
        return ln_pair(x * Pair::from(18_014_398_509_481_984.0)) - Pair::from(54.0) * LN_2;
    }
    let power = x.hi.to_bits() >> 52;
    let scale = f64::from_bits(power << 52);
    let mut k = power as f64 - 1023.0;
    let mut m = Pair { hi: x.hi / scale, lo: x.lo / scale };
    if m.hi > core::f64::consts::SQRT_2 {
        m = Pair { hi: 0.5 * m.hi, lo: 0.5 * m.lo };
        k += 1.0;
    }
    let w = m - Pair::from(1.0);
    Pair::from(k) * LN_2 + (w + near(w))
}

/// `ln(1 + u) - u`, never positive, where `ratio` is `1 + u` with a small relative error of its own.
pub fn ln_less_linear(u: Pair, ratio: Pair) -> Pair {
    if u.hi.abs() <= 0.5 { near(u) } else { ln_pair(ratio) - u }
}

/// `ln(1 + u) - u` in plain numbers, for `u > -1`.
pub fn ln_less_linear_plain(u: f64) -> f64 {
    let ratio = 1.0 + u;
    if !(0.5..=2.0).contains(&ratio) {
        return ln(ratio) - u;
    }
    let s = u / (2.0 + u);
    let z = s * s;
    2.0 * z * s * atanh_rest(z) - u * s
}

/// `factor * e^-exponent` for an exponent that is not negative, down to the smallest numbers: `e` is taken to half the
/// exponent twice.
pub fn decay(factor: f64, exponent: Pair) -> f64 {
    let half = exp(-0.5 * exponent.hi);
    factor * (1.0 - exponent.lo) * half * half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_products_lose_nothing() {
        let s = sum(1.0, 1e-20);
        assert_eq!((s.hi, s.lo), (1.0, 1e-20));
        let (a, b) = (134_217_729.0, 134_217_731.0);
        let p = product(a, b);
        assert_eq!(p.hi as i128 + p.lo as i128, 134_217_729 * 134_217_731);
        let third = Pair::from(1.0) / Pair::from(3.0);
        let one = third * Pair::from(3.0) - Pair::from(1.0);
        assert!(one.hi.abs() < 1e-31, "{one:?}");
    }

    #[test]
    fn the_logarithm_without_its_linear_part_meets_at_the_borders() {
        for (inner, outer) in [(0.5, 0.499_999_999), (1.5, 1.500_000_001)] {
            let [a, b] = [inner, outer].map(|r: f64| ln_less_linear(Pair::from(r - 1.0), Pair::from(r)).hi);
            assert!((a - b).abs() < 2e-9, "{a} and {b}");
            let plain = ln_less_linear_plain(inner - 1.0);
            assert!((plain / a - 1.0).abs() < 1e-15);
        }
        for r in
            [f64::from_bits(1), f64::MIN_POSITIVE, 1e-10, 0.3, 0.7, 0.75, 1.0, 1.4, 1.5, 3.0, 1e10, f64::MAX]
        {
            let (pair, plain) = (ln_pair(Pair::from(r)), ln(r));
            assert!((pair.hi - plain).abs() <= 3e-16 * plain.abs() && pair.lo.abs() <= 2e-16 * plain.abs());
        }
        // -u^2 / 2 + u^3 / 3
        let tiny = ln_less_linear(Pair::from(1e-10), Pair::from(1.0 + 1e-10)).hi;
        assert!((tiny / -4.999_999_999_666_667e-21 - 1.0).abs() < 1e-15, "{tiny:e}");
        assert_eq!(ln_less_linear(Pair::from(0.0), Pair::from(1.0)).hi, 0.0);
    }

    #[test]
    fn decay_reaches_the_smallest_numbers() {
        assert_eq!(decay(2.5, Pair::from(0.0)), 2.5);
        let smallest = decay(1.0, Pair::from(740.0));
        assert!(smallest > 0.0 && smallest < f64::MIN_POSITIVE);
        assert_eq!(decay(1.0, Pair::from(2000.0)), 0.0);
    }
}
