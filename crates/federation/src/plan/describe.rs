//! From the sums of the first round to fill values, means and deviations.

use histone_program_sdk::job::Preprocessing;
use histone_program_sdk::wire::Writer;

use super::{PlanError, SHORT};
use crate::codec;

/// A deviation of at most this fraction of the mean is rounding: the squares of a sum have about sixteen digits, twelve
/// of which such a mean uses up.
const CONSTANT: f64 = 1e-6;

/// A smaller deviation is lost in the resolution of the fixed-point numbers, whose last digit is worth `8.7e-19`: of
/// squares below `1e-12` too few digits are left.
const SMALLEST: f64 = 1e-6;

/// Sums of squares may contradict their sums by this fraction (rounding of both), or absolutely by this much (the fixed
/// point of the largest cohort).
const SLACK: f64 = 1e-9;
const ABSOLUTE_SLACK: f64 = 1e-12;

/// What the donors of the first round have: counts, sums and sums of squares of the present values of each column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    pub(super) rows: u64,
    pub(super) positives: u64,
    pub(super) present: Vec<u64>,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

const fn implausible(what: &'static str) -> PlanError {
    PlanError::Implausible { stage: "describe", what }
}

impl Described {
    /// `sum` is `[rows, positives, present.., sums.., squares..]`; the caller has checked its length.
    pub(super) fn read(columns: usize, sum: &[f64]) -> Result<Described, PlanError> {
        let (head, tail) = sum.split_at_checked(2 + columns).ok_or(SHORT)?;
        let (sums, squares) = tail.split_at_checked(columns).ok_or(SHORT)?;
        let head = super::counts("describe", head)?;
        let (&[rows, positives], present) = head.split_first_chunk::<2>().ok_or(SHORT)?;
        if positives > rows || present.iter().any(|&c| c > rows) {
            return Err(implausible("more positives or present values than rows"));
        }
        for (&count, (&s1, &s2)) in present.iter().zip(sums.iter().zip(squares)) {
            let least = if count == 0 { s1.abs() } else { s1 * s1 / count as f64 };
            if s2 < least * (1.0 - SLACK) - ABSOLUTE_SLACK || (count == 0 && s2 != 0.0) {
                return Err(implausible("squares sum up to less than their values allow"));
            }
        }
        Ok(Described {
            rows,
            positives,
            present: present.to_vec(),
            sums: sums.to_vec(),
            squares: squares.to_vec(),
        })
    }

    /// The mean of the present values of each column; 0 where there are none.
    pub(super) fn means(&self) -> Vec<f64> {
        let mean = |(&count, &sum): (&u64, &f64)| if count == 0 { 0.0 } else { sum / count as f64 };
        self.present.iter().zip(&self.sums).map(mean).collect()
    }

    /// Means and population deviations after missing values became `fill`, and which columns are constant.
    ///
    /// Squares are first taken about the mean of the present values; filling then only adds a term that is not negative,
    /// so nothing is lost by cancellation a second time.
    pub(super) fn preprocess(&self, fill: Vec<f64>) -> Result<(Preprocessing, Vec<bool>), PlanError> {
        let mut pre = Preprocessing { fill, mean: Vec::new(), sd: Vec::new() };
        let mut constant = Vec::new();
        let sums = self.present.iter().zip(self.sums.iter().zip(&self.squares));
        for (column, ((&present, (&sum, &squares)), (&fill, own))) in
            sums.zip(pre.fill.iter().zip(self.means())).enumerate()
        {
            let (rows, missing, present) =
                (self.rows as f64, self.rows.saturating_sub(present) as f64, present as f64);
            let about_own = (squares - sum * own).max(0.0);
            let shift = fill - own;
            let mean = own + missing / rows * shift;
            let variance = (about_own + present * (missing / rows) * (shift * shift)) / rows;
            let sd = variance.sqrt();
            let is_constant = sd <= CONSTANT * mean.abs().max(own.abs());
            if !mean.is_finite() || !sd.is_finite() {
                return Err(implausible("a mean or a deviation is not finite"));
            }
            if !is_constant && sd < SMALLEST {
                return Err(PlanError::TooSmall { column });
            }
            pre.mean.push(mean);
            pre.sd.push(if is_constant { 1.0 } else { sd });
            constant.push(is_constant);
        }
        Ok((pre, constant))
    }

    pub(super) fn write(&self, w: &mut Writer) {
        codec::put_u64(w, self.rows);
        codec::put_u64(w, self.positives);
        for &c in &self.present {
            codec::put_u64(w, c);
        }
        w.f64s(&self.sums).f64s(&self.squares);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The sums of one column.
    fn sums(values: &[f64]) -> Vec<f64> {
        let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        let (s1, s2) = present.iter().fold((0.0, 0.0), |(a, b), v| (a + v, b + v * v));
        vec![values.len() as f64, 0.0, present.len() as f64, s1, s2]
    }

    fn preprocess(values: &[f64], fill: f64) -> (f64, f64, bool) {
        let described = Described::read(1, &sums(values)).unwrap();
        let (pre, constant) = described.preprocess(vec![fill]).unwrap();
        (pre.mean[0], pre.sd[0], constant[0])
    }

    #[test]
    fn constant_columns_are_recognized() {
        let check = |values: &[f64], fill, expected| assert_eq!(preprocess(values, fill), expected);
        check(&[0.0, 0.0], 0.0, (0.0, 1.0, true));
        check(&[f64::NAN, f64::NAN], 0.0, (0.0, 1.0, true));
        assert!(preprocess(&[0.3; 1000], 0.3).2);
        assert!(preprocess(&[-123_456.7; 999], -123_456.7).2);
        assert!(preprocess(&[1e6, 1e6 + 0.5, 1e6], 1e6).2);
        // The same values, centered by their owner.
        assert!(!preprocess(&[0.0, 0.5, 0.0], 0.0).2);
        check(&[1.0, 3.0, f64::NAN, f64::NAN], 6.0, (4.0, 4.5f64.sqrt(), false));
    }

    #[test]
    fn values_below_the_resolution_are_named() {
        let described = Described::read(1, &sums(&[1e-8, -1e-8])).unwrap();
        let error = described.preprocess(vec![0.0]).unwrap_err();
        assert_eq!(error, PlanError::TooSmall { column: 0 });
        assert!(error.to_string().contains("column 0") && error.to_string().contains("rescale"), "{error}");
    }

    #[test]
    fn impossible_squares_are_refused() {
        let refused = |sum: [f64; 5]| Described::read(1, &sum).is_err();
        assert!(!refused([2.0, 1.0, 2.0, 4.0, 8.0]));
        assert!(refused([2.0, 1.0, 2.0, 4.0, 7.0]));
        assert!(refused([2.0, 1.0, 2.0, 0.0, -1.0]));
        assert!(refused([2.0, 1.0, 0.0, 0.0, 1.0]));
        assert!(refused([2.0, 1.0, 0.0, 1.0, 0.0]));
    }

    proptest! {
        #[test]
        fn as_from_the_rows(
            values in proptest::collection::vec(prop_oneof![1 => Just(f64::NAN), 4 => -1e3f64..1e3], 2..60),
            offset in -1e4f64..1e4, fill in -1e4f64..1e4,
        ) {
            let values: Vec<f64> = values.iter().map(|v| v + offset).collect();
            let filled: Vec<f64> = values.iter().map(|v| if v.is_nan() { fill } else { *v }).collect();
            let n = filled.len() as f64;
            let mean = filled.iter().sum::<f64>() / n;
            let sd = (filled.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
            prop_assume!(sd > 1.0);
            let found = preprocess(&values, fill);
            prop_assert!((found.0 - mean).abs() < 1e-9 && (found.1 - sd).abs() < 1e-6 && !found.2);
        }
    }
}
