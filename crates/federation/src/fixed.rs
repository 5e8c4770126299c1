//! Real numbers as integers with a fixed number of fractional bits, so that sums are exact and the same everywhere.
//!
//! With `f` fractional bits a number `v` becomes `round(v * 2^f)`, halves to even. A cohort of `n` may each hold numbers
//! below `2^62 / n` in absolute value: the sum stays below `2^(62 + f) <= 2^122` and cannot wrap in the field.

use crate::field::Fp;

/// The largest (and usual) number of fractional bits: a resolution of about `8.7e-19`.
pub const MAX_FRACTIONAL_BITS: u8 = 60;

/// Base-2 logarithm of the bound on the absolute value of a sum.
const SUM_BITS: u8 = 62;

/// Why a number does not fit.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum FixedError {
    /// NaN or infinite.
    #[error(
        "number {index} of the vector is not finite; the training program must return finite numbers only"
    )]
    NotFinite {
        /// Position in the vector.
        index: usize,
    },
    /// Not below the bound.
    #[error(
        "number {index} of the vector is not below {limit:e} in absolute value, the bound for this cohort; rescale the column, whose squares must fit as well"
    )]
    TooLarge {
        /// Position in the vector.
        index: usize,
        /// The bound.
        limit: f64,
    },
}

/// The bound on the absolute value of one number of one party, for a cohort of `cohort` parties.
pub fn limit(cohort: usize) -> f64 {
    (1u64 << SUM_BITS) as f64 / cohort.max(1) as f64
}

/// `v * 2^fractional_bits`, rounded half to even.
///
/// `fractional_bits` is at most [`MAX_FRACTIONAL_BITS`] in any header; a larger number is taken as that.
pub fn to_integer(v: f64, fractional_bits: u8, cohort: usize, index: usize) -> Result<i128, FixedError> {
    if !v.is_finite() {
        return Err(FixedError::NotFinite { index });
    }
    let limit = limit(cohort);
    if v.abs() >= limit {
        return Err(FixedError::TooLarge { index, limit });
    }
    let bits = v.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    // v = mantissa * 2^(exponent - 1075); subnormals have no hidden bit and the exponent of the smallest normal.
    let (mantissa, exponent) = if exponent == 0 { (fraction, 1) } else { (fraction | 1 << 52, exponent) };
    let shift = exponent - 1075 + i32::from(fractional_bits.min(MAX_FRACTIONAL_BITS));
    let magnitude = if shift >= 0 {
        // The bound above keeps mantissa * 2^shift below 2^122.
        i128::from(mantissa) << shift
    } else if shift < -60 {
        0
    } else {
        let down = -shift as u32;
        let (whole, rest, half) = (mantissa >> down, mantissa & ((1 << down) - 1), 1u64 << (down - 1));
        i128::from(if rest > half || (rest == half && whole & 1 == 1) { whole + 1 } else { whole })
    };
    Ok(if v.is_sign_negative() { -magnitude } else { magnitude })
}

/// The number nearest to `integer / 2^fractional_bits`.
pub fn to_real(integer: i128, fractional_bits: u8) -> f64 {
    // Division by a power of two is exact: only the conversion rounds.
    integer as f64 / (1u64 << fractional_bits.min(MAX_FRACTIONAL_BITS)) as f64
}

/// A whole vector into the field.
pub fn encode(values: &[f64], fractional_bits: u8, cohort: usize) -> Result<Vec<Fp>, FixedError> {
    let element = |(i, &v): (usize, &f64)| to_integer(v, fractional_bits, cohort, i).map(Fp::from_signed);
    values.iter().enumerate().map(element).collect()
}

/// Adds vectors of several parties as a round does: exactly, on the grid of these bits, so that the sum has the same bits however
/// it is made.
pub fn sum(vectors: &[Vec<f64>], fractional_bits: u8) -> Result<Vec<f64>, FixedError> {
    let mut sums = vec![0i128; vectors.first().map_or(0, Vec::len)];
    for vector in vectors {
        for (index, (sum, &v)) in sums.iter_mut().zip(vector).enumerate() {
            *sum += to_integer(v, fractional_bits, vectors.len(), index)?;
        }
    }
    Ok(sums.into_iter().map(|sum| to_real(sum, fractional_bits)).collect())
}

/// Whether `integer` can be a sum of numbers that [`to_integer`] accepted.
pub fn sum_in_range(integer: i128, fractional_bits: u8) -> bool {
    integer.unsigned_abs() <= 1u128 << (SUM_BITS + fractional_bits.min(MAX_FRACTIONAL_BITS))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rounds_half_to_even() {
        let check = |v: f64, expected: i128| assert_eq!(to_integer(v, 1, 2, 0).unwrap(), expected, "{v}");
        check(0.25, 0);
        check(0.75, 2);
        check(1.25, 2);
        check(-0.25, 0);
        check(-0.75, -2);
        check(0.26, 1);
        check(3.0, 6);
        check(f64::from_bits(1), 0);
        check(-0.0, 0);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for v in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(to_integer(v, 60, 4, 7), Err(FixedError::NotFinite { index: 7 }));
        }
        let edge = limit(4);
        assert_eq!(edge, 2f64.powi(60));
        assert!(matches!(to_integer(edge, 60, 4, 0), Err(FixedError::TooLarge { .. })));
        assert!(matches!(to_integer(-edge, 60, 4, 0), Err(FixedError::TooLarge { .. })));
        assert!(to_integer(edge.next_down(), 60, 4, 0).is_ok());
    }

    #[test]
    fn a_cohort_at_the_bound_does_not_wrap() {
        for (n, sign) in [(3usize, 1.0), (1000, -1.0), (65535, -1.0)] {
            let v = sign * limit(n).next_down();
            let one = to_integer(v, 60, n, 0).unwrap();
            let sum = (0..n).fold(Fp::ZERO, |s, _| s + Fp::from_signed(one));
            assert_eq!(sum.to_signed(), one * n as i128);
            assert!(sum_in_range(sum.to_signed(), 60));
        }
    }

    proptest! {
        #[test]
        fn a_sum_is_that_of_the_field(
            rows in proptest::collection::vec(proptest::collection::vec(-1e9f64..1e9, 3), 1..6),
            bits in 0u8..=60,
        ) {
            let mut field = [Fp::ZERO; 3];
            for row in &rows {
                let encoded = encode(row, bits, rows.len()).unwrap();
                field.iter_mut().zip(encoded).for_each(|(sum, v)| *sum += v);
            }
            let opened: Vec<f64> = field.iter().map(|v| to_real(v.to_signed(), bits)).collect();
            prop_assert_eq!(sum(&rows, bits).unwrap(), opened);
        }

        #[test]
        fn exact_or_within_half_a_unit(v in -1e15f64..1e15, bits in 0u8..=60) {
            let i = to_integer(v, bits, 10, 0).unwrap();
            let unit = 1.0 / (1u64 << bits) as f64;
            prop_assert!((to_real(i, bits) - v).abs() <= unit / 2.0);
            // 60 fractional bits hold every bit of a number of at least 2^-7.
            if v.abs() > 0.01 { prop_assert_eq!(to_real(to_integer(v, 60, 10, 0).unwrap(), 60), v); }
        }
    }
}
