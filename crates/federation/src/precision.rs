//! The numbers of a released model, on a grid.
//!
//! A model that is released with all its digits is a sum that is released: whoever knows its own part of the sum reads the
//! rest from it. So the numbers of a model of sealed sums keep [`SIGNIFICANT_BITS`] binary digits each. It is arithmetic on the bits
//! of a number and nothing else, so that every enclave and every auditor gets the same ones.

use histone_program_sdk::model::Model;

/// Significant binary digits of a number of a released model, the leading one among them: about six decimal ones.
pub const SIGNIFICANT_BITS: u32 = 20;

/// How much such a number tells at the most, in bits: its digits, its exponent and its sign.
pub const NUMBER_BITS: u32 = SIGNIFICANT_BITS + 11 + 1;

/// Stored digits of a double, behind the leading one.
const STORED: u32 = f64::MANTISSA_DIGITS - 1;

/// Bits of infinity, which are those of the largest finite number and one.
const INFINITE: u64 = 0x7ff << STORED;

/// The nearest number with [`SIGNIFICANT_BITS`] significant binary digits, ties to the one whose last digit is 0. What would become
/// infinite is the largest that is finite; -0 is 0, and there is one NaN.
pub fn rounded(v: f64) -> f64 {
    rounded_to(v, SIGNIFICANT_BITS)
}

/// The same with another number of significant binary digits.
pub fn rounded_to(v: f64, significant: u32) -> f64 {
    let sign = v.to_bits() & (1 << 63);
    let magnitude = v.to_bits() ^ sign;
    match magnitude {
        0 => return 0.0,
        INFINITE => return v,
        // Which NaN it is would be a choice of the program.
        _ if magnitude > INFINITE => return f64::from_bits(INFINITE | 1 << (STORED - 1)),
        _ => {}
    }
    // A number below the normal ones has no leading digit that is not stored.
    let digits = match magnitude >> STORED {
        0 => u64::BITS - magnitude.leading_zeros(),
        _ => f64::MANTISSA_DIGITS,
    };
    let Some(dropped) = digits.checked_sub(significant).filter(|dropped| *dropped > 0) else { return v };
    let unit = 1_u64 << dropped;
    let odd = magnitude >> dropped & 1;
    // A carry out of the digits goes into the exponent, which is the next power of two.
    let nearest = (magnitude + unit / 2 - 1 + odd) & !(unit - 1);
    let nearest = if nearest >= INFINITE { magnitude & !(unit - 1) } else { nearest };
    f64::from_bits(sign | nearest)
}

/// Every number of a model [`rounded`].
#[must_use]
pub fn released(mut model: Model) -> Model {
    model.arrays.iter_mut().flat_map(|array| &mut array.values).for_each(|v| *v = rounded(*v));
    model
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_at_the_edges() {
        let one = 2_f64.powi(-19);
        let tiny = f64::from_bits(1);
        let largest = f64::from_bits(INFINITE - (1 << 33));
        let cases = [
            (1.0, 1.0),
            (-1.5, -1.5),
            (0.0, 0.0),
            (-0.0, 0.0),
            // Halves go to the even digit, what is more than a half goes up.
            (1.0 + one / 2.0, 1.0),
            (1.0 + 1.5 * one, 1.0 + 2.0 * one),
            (1.0 + one / 2.0 + f64::EPSILON, 1.0 + one),
            (-1.0 - one / 2.0 - f64::EPSILON, -1.0 - one),
            // Into the next power of two.
            (2.0 - one / 4.0, 2.0),
            (1_048_575.0, 1_048_575.0),
            (1_048_575.75, 1_048_576.0),
            (1_048_577.0, 1_048_576.0),
            (f64::MAX, largest),
            (f64::MIN, -largest),
            (f64::INFINITY, f64::INFINITY),
            (f64::NEG_INFINITY, f64::NEG_INFINITY),
            // Numbers below the normal ones, and the step to these.
            (tiny, tiny),
            (f64::from_bits(0xf_ffff), f64::from_bits(0xf_ffff)),
            (f64::from_bits(0x1f_ffff), f64::from_bits(0x20_0000)),
            (f64::from_bits((1 << 52) - 1), f64::MIN_POSITIVE),
            (f64::MIN_POSITIVE, f64::MIN_POSITIVE),
        ];
        for (v, expected) in cases {
            assert_eq!(rounded(v).to_bits(), expected.to_bits(), "{v:e} is {:e}", rounded(v));
        }
        for nan in [f64::NAN.to_bits(), f64::NAN.to_bits() | 1 << 63, INFINITE | 1, INFINITE | 0xabcdef] {
            assert_eq!(rounded(f64::from_bits(nan)).to_bits(), 0x7ff8_0000_0000_0000);
        }
    }

    fn any_number() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("a number", |v| v.is_finite())
    }

    proptest! {
        #[test]
        fn rounding_is_idempotent_near_and_within_its_digits(v in any_number()) {
            let r = rounded(v);
            prop_assert!(r.is_finite());
            prop_assert_eq!(rounded(r).to_bits(), r.to_bits());
            prop_assert_eq!(rounded(-v), -r);
            // Half first, so that nothing overflows; the difference of two numbers so near is exact.
            prop_assert!((r / 2.0 - v / 2.0).abs() <= (v / 2.0).abs() * 2_f64.powi(-20), "{} {}", v, r);
            // The digits of a number of any size are in front of its trailing zeros.
            let bits = r.abs().to_bits();
            let (stored, normal) = (bits & ((1 << STORED) - 1), bits >> STORED > 0);
            let digits = if normal { stored | 1 << STORED } else { stored };
            let width = u64::BITS - digits.leading_zeros() - digits.trailing_zeros().min(63);
            prop_assert!(digits == 0 || width <= SIGNIFICANT_BITS, "{} has {} digits", r, width);
        }

        #[test]
        fn rounding_keeps_the_order(a in any_number(), b in any_number(), near in 0_u64..1 << 36) {
            let beside = f64::from_bits(a.abs().to_bits().saturating_add(near).min(f64::MAX.to_bits()));
            for (a, b) in [(a, b), (a.abs(), beside), (-beside, -a.abs())] {
                let (low, high) = if a <= b { (a, b) } else { (b, a) };
                prop_assert!(rounded(low) <= rounded(high), "{} {}", low, high);
            }
        }
    }
}
