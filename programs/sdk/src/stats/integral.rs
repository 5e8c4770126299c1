//! The two ways in which the rest of a tail, without its leading factor, is computed.

use crate::math::exp;

/// Turns after which a continued fraction is taken as it is. What is asked here needs fewer than 250.
const TURNS: u32 = 300;

/// The value of `1 / (b(0) + a(1) / (b(1) + a(2) / (b(2) + ...)))`, where `terms(n)` gives `(a(n), b(n))`.
///
/// The usual recurrence from the front only tells how many terms matter; the value is then summed from the back, where
/// roundings shrink instead of adding up.
pub fn fraction(terms: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut c, mut d) = (terms(0.0).1, 0.0);
    let mut n = 0;
    while n < TURNS {
        n += 1;
        let (a, b) = terms(f64::from(n));
        d = 1.0 / (b + a * d);
        c = b + a / c;
        if (c * d - 1.0).abs() <= 2e-16 {
            break;
        }
    }
    let mut value = terms(f64::from(n)).1;
    while n > 0 {
        let a = terms(f64::from(n)).0;
        n -= 1;
        value = terms(f64::from(n)).1 + a / value;
    }
    1.0 / value
}

/// First and last step of [`half_line`] and how many steps make 1.
const FIRST: i32 = -60;
const LAST: i32 = 70;
const STEPS: f64 = 16.0;

/// The integral of `g` over the positive numbers, where `g` is smooth, 1 at 0 and falls like `e^-x` or faster once `x`
/// is some `scale`: a sum at 131 points that lie doubly exponentially, always in the same order.
pub fn half_line(scale: f64, g: impl Fn(f64) -> f64) -> f64 {
    let mut sum = 0.0;
    for step in FIRST..=LAST {
        let t = f64::from(step) / STEPS;
        let shrink = exp(-t);
        let x = scale * exp(t - shrink);
        sum += g(x) * x * (1.0 + shrink);
    }
    sum / STEPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_ratio() {
        let golden = fraction(|_| (1.0, 1.0));
        assert!((golden - 0.618_033_988_749_894_9).abs() < 2e-16);
        // A fraction that ends.
        assert_eq!(fraction(|n| if n < 1.0 { (1.0, 4.0) } else { (0.0, 1.0) }), 0.25);
    }

    #[test]
    fn known_integrals() {
        for scale in [0.5, 1.0, 2.0] {
            let e = half_line(scale, |x| exp(-x));
            assert!((e - 1.0).abs() < 1e-15, "{e}");
            let gauss = half_line(scale, |x| exp(-0.5 * x * x));
            assert!((gauss / 1.253_314_137_315_500_3 - 1.0).abs() < 1e-15, "{gauss}");
            let power =
                half_line(scale / 50.0, |x| if x < 1.0 { exp(50.0 * crate::math::ln(1.0 - x)) } else { 0.0 });
            assert!((power * 51.0 - 1.0).abs() < 1e-14, "{power}");
        }
    }
}
