//! How far p-values of a scan are below those that chance gives.

use histone_program_sdk::stats::two_sided_normal;

/// Genomic inflation, lambda: the median of the chi-squared statistics (one degree of freedom) that belong to the p-values, over the
/// median that chance gives, 0.4549. `None` without p-values; those that are no number are left out.
///
/// Source: Devlin and Roeder, Genomic control for association studies, Biometrics 55 (1999).
#[must_use]
pub fn inflation(p_values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = p_values.into_iter().filter(|p| !p.is_nan()).collect();
    all.sort_by(f64::total_cmp);
    let median = match all.len() {
        0 => return None,
        odd if odd % 2 == 1 => all[odd / 2],
        even => f64::midpoint(all[even / 2 - 1], all[even / 2]),
    };
    Some((deviation(median) / deviation(0.5)).powi(2))
}

/// The absolute value that a standard normal variable exceeds with probability `p`: by bisection, quick enough for one number of a
/// report, and right to its last digits.
fn deviation(p: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 40.0_f64);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if two_sided_normal(middle) > p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn chance_has_lambda_one_and_twice_the_statistic_two() {
        let uniform = (1..1_000).map(|n| f64::from(n) / 1_000.0);
        assert!((inflation(uniform.clone()).unwrap() - 1.0).abs() < 1e-9);
        let doubled = uniform.map(|p| two_sided_normal(deviation(p) * 2.0_f64.sqrt()));
        assert!((inflation(doubled).unwrap() - 2.0).abs() < 1e-6);
        assert_eq!(inflation([f64::NAN]), None);
        assert!((deviation(0.05) - 1.959_963_984_540_054).abs() < 1e-9);
    }
}
