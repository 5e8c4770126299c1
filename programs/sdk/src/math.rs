//! Arithmetic that comes out bit for bit the same in wasm and in native code.
//!
//! IEEE 754 fixes `+ - * /` and `sqrt`; it does not fix `exp` and `log`, and every C library has its own last bit.
//! So these are written here, from basic operations in one order, without fused multiply-add. The vector kernels
//! handle eight lanes a turn: the host counts fuel on every turn of a loop, which would cost more than the arithmetic.

/// `ln 2` in two parts; the first has 32 zero bits at its end, so that `k * LN2_HIGH` is exact for |k| < 2^20.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `1 / n!` for n = 0 to 14: enough for 2^-53 on |x| <= ln 2 / 2.
const EXP_SERIES: [f64; 15] = {
    let mut c = [1.0; 15];
    let mut factorial = 1.0;
    let mut n = 1;
    while n < 15 {
        factorial *= n as f64;
        c[n] = 1.0 / factorial;
        n += 1;
    }
    c
};

/// `1 / (2n + 1)` for n = 0 to 11: the series of the inverse hyperbolic tangent, enough for |s| <= 0.1716.
const ATANH_SERIES: [f64; 12] = {
    let mut c = [1.0; 12];
    let mut n = 1;
    while n < 12 {
        c[n] = 1.0 / (2 * n + 1) as f64;
        n += 1;
    }
    c
};

fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// `e^x` within two units in the last place; 0 below -708 (no subnormal results), infinity above 709.
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.0 {
        return f64::INFINITY;
    }
    if x < -708.0 {
        return 0.0;
    }
    let k = (x * core::f64::consts::LOG2_E + 0.5).floor();
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let scale = f64::from_bits(((k as i64 + 1023) as u64) << 52);
    horner(&EXP_SERIES, r) * scale
}

/// `ln x` within one unit in the last place, subnormal numbers included; minus infinity at 0, NaN below.
pub fn ln(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    // 2^54 makes a subnormal number normal.
    let (x, shift) = if x < f64::MIN_POSITIVE { (x * 18_014_398_509_481_984.0, -54) } else { (x, 0) };
    let bits = x.to_bits();
    let mut k = (bits >> 52) as i64 - 1023 + shift;
    let mut m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if m > core::f64::consts::SQRT_2 {
        m *= 0.5;
        k += 1;
    }
    // ln(1 + f) = 2 atanh(s), s = f / (2 + f), and 2 s = f - f^2 / 2 + s f^2 / 2: the exact f comes last.
    let f = m - 1.0;
    let s = f / (m + 1.0);
    let z = s * s;
    let half = 0.5 * f * f;
    let tail = 2.0 * z * horner(&ATANH_SERIES[1..], z);
    let k = k as f64;
    k * LN2_HIGH - ((half - (s * (half + tail) + k * LN2_LOW)) - f)
}

/// `ln(1 + t)` for `t` of [0, 1], within a few units in the last place.
fn ln_1p_unit(t: f64) -> f64 {
    // ln(1 + t) = 2 atanh(t / (2 + t)); halving 1 + t first keeps the argument of the series small.
    let (base, s) =
        if t > 0.414 { (core::f64::consts::LN_2, (t - 1.0) / (t + 3.0)) } else { (0.0, t / (t + 2.0)) };
    base + 2.0 * s * horner(&ATANH_SERIES, s * s)
}

/// `1 / (1 + e^-x)` without overflow; NaN for NaN.
pub fn logistic(x: f64) -> f64 {
    let e = exp(-x.abs());
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// `ln(1 + e^x)` without overflow: the loss of a row whose signed margin is `-x`.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + ln_1p_unit(exp(-x.abs()))
}

/// Lanes of a turn of the vector kernels.
const LANES: usize = 8;

/// Sum of `a[i] * b[i]` over the shorter length, in eight partial sums that are added pairwise.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let (a8, a_rest) = a.as_chunks::<LANES>();
    let (b8, b_rest) = b.as_chunks::<LANES>();
    let mut s = [0.0; LANES];
    for (x, y) in a8.iter().zip(b8) {
        for i in 0..LANES {
            s[i] += x[i] * y[i];
        }
    }
    let mut rest = 0.0;
    for (x, y) in a_rest.iter().zip(b_rest) {
        rest += x * y;
    }
    (((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))) + rest
}

/// Adds `factor * x[i]` to `y[i]`, over the shorter length.
pub fn axpy(factor: f64, x: &[f64], y: &mut [f64]) {
    let n = x.len().min(y.len());
    let (x8, x_rest) = x[..n].as_chunks::<LANES>();
    let (y8, y_rest) = y[..n].as_chunks_mut::<LANES>();
    for (x, y) in x8.iter().zip(y8) {
        for i in 0..LANES {
            y[i] += factor * x[i];
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        *y += factor * x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest distance from the platform's function in units in the last place, over a fine grid.
    fn check(ours: fn(f64) -> f64, theirs: fn(f64) -> f64, from: f64, to: f64, allowed: u64) {
        let steps = 200_000;
        for i in 0..=steps {
            let x = from + (to - from) * f64::from(i) / f64::from(steps);
            let (a, b) = (ours(x), theirs(x));
            assert!(a.to_bits().abs_diff(b.to_bits()) <= allowed, "at {x}: {a:e} and {b:e}");
        }
    }

    #[test]
    fn exp_is_close_to_the_platform() {
        check(exp, f64::exp, -708.0, 709.0, 2);
        check(exp, f64::exp, -1.0, 1.0, 2);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e9), 0.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn ln_is_close_to_the_platform() {
        check(ln, f64::ln, 0.5, 2.0, 1);
        check(ln, f64::ln, 1.0 - 1e-7, 1.0 + 1e-7, 1);
        check(ln, f64::ln, 1e-3, 1e3, 1);
        check(ln, f64::ln, 1e299, f64::MAX, 1);
        check(ln, f64::ln, f64::from_bits(1), 1e-300, 1);
        // Every power of two, the subnormal ones too.
        for exponent in -1074..=1023 {
            let half = exponent / 2;
            let x = f64::powi(2.0, half) * f64::powi(2.0, exponent - half);
            let (a, b) = (ln(x), x.ln());
            assert!(a.to_bits().abs_diff(b.to_bits()) <= 1, "at {x:e}: {a:e} and {b:e}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert_eq!(ln(-0.0), f64::NEG_INFINITY);
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
        assert!(ln(-1e-300).is_nan());
        assert!(ln(f64::NEG_INFINITY).is_nan());
        assert!(ln(f64::NAN).is_nan());
    }

    #[test]
    fn ln_undoes_exp() {
        for i in -70_000..=70_000 {
            let x = f64::from(i) / 100.0;
            assert!((ln(exp(x)) - x).abs() <= 4e-16 * x.abs().max(1.0), "at {x}");
        }
    }

    #[test]
    fn ln_1p_is_close_to_the_platform() {
        check(ln_1p_unit, f64::ln_1p, 1e-300, 1e-3, 4);
        check(ln_1p_unit, f64::ln_1p, 1e-3, 1.0, 4);
        assert_eq!(ln_1p_unit(0.0), 0.0);
    }

    #[test]
    fn logistic_and_softplus_hold_at_the_ends() {
        assert_eq!(logistic(0.0), 0.5);
        assert_eq!(logistic(1e300), 1.0);
        assert_eq!(logistic(-1e300), 0.0);
        assert_eq!(softplus(1000.0), 1000.0);
        assert_eq!(softplus(-1000.0), 0.0);
        assert!((softplus(0.0) - core::f64::consts::LN_2).abs() < 1e-16);
        assert!(logistic(f64::NAN).is_nan());
    }

    #[test]
    fn kernels_agree_with_plain_loops() {
        for n in 0..40 {
            let a: Vec<f64> = (0..n).map(|i| f64::from(i) - 3.5).collect();
            let b: Vec<f64> = (0..n).map(|i| f64::from(i * i) * 0.25).collect();
            let plain: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            assert_eq!(dot(&a, &b), plain, "quarters are exact, so the order does not matter");
            let mut y = b.clone();
            axpy(2.0, &a, &mut y);
            assert!(y.iter().zip(a.iter().zip(&b)).all(|(y, (a, b))| *y == b + 2.0 * a));
        }
    }
}
