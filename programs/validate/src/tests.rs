//! Made-up columns with the shapes that real ones have.

#![allow(clippy::unwrap_used)]

use super::*;

const N: f64 = f64::NAN;

fn flags(column: &[f64]) -> u8 {
    let present: Vec<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
    column_flags(present, column.len(), true)
}

/// `count` values around `middle`, `step` apart.
fn cloud(middle: f64, step: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| middle + step * (i as f64 - count as f64 / 2.0)).collect()
}

fn with(mut column: Vec<f64>, value: f64, times: usize) -> Vec<f64> {
    column.extend(std::iter::repeat_n(value, times));
    column
}

/// Numbers and, as the last column, a category of two levels.
fn table(numbers: usize, rows: &[(&[f64], u8)]) -> Table {
    let mut levels = vec![0; numbers];
    levels.push(2);
    let values = rows.iter().flat_map(|(r, l)| r.iter().copied().chain([f64::from(*l)]));
    Table { levels, values: values.collect() }
}

#[test]
fn zeros_far_from_measurements_are_flagged() {
    // Cholesterol with a quarter not measured; blood pressure with a single typing error.
    assert_eq!(flags(&with(cloud(230.0, 1.3, 150), 0.0, 49)), FLAG_ZERO_IN_DISGUISE);
    assert_eq!(flags(&with(cloud(130.0, 0.5, 130), 0.0, 1)), FLAG_ZERO_IN_DISGUISE);
    assert_eq!(flags(&with(cloud(130.0, 0.5, 130), -0.0, 1)), FLAG_ZERO_IN_DISGUISE);
}

#[test]
fn true_zeros_are_not_flagged() {
    let codes: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
    assert_eq!(flags(&codes), 0);
    let small: Vec<f64> = (0..200).map(|i| f64::from(i % 4)).collect();
    assert_eq!(flags(&small), 0);
    // Half units up to five with many zeros: more than eight distinct values, but zero is their neighbor.
    let depression: Vec<f64> = (0..100).map(|i| f64::from(1 + i % 10) * 0.5).collect();
    assert_eq!(flags(&with(depression.clone(), 0.0, 150)), 0);
    // A negative value says that zero lies inside of the range.
    assert_eq!(flags(&with(with(cloud(130.0, 0.5, 130), 0.0, 1), -0.5, 1)), 0);
    // A skewed measurement with a detection limit near zero.
    let skewed: Vec<f64> = (1..300).map(|i| 0.0007 * f64::from(i) * f64::from(i) / 100.0).collect();
    assert_eq!(flags(&with(skewed, 0.0, 13)), 0);
    let counts: Vec<f64> = (0..300).map(|i| f64::from(i % 17)).collect();
    assert_eq!(flags(&counts), 0);
}

#[test]
fn constant_and_missing_columns() {
    assert_eq!(flags(&[0.0; 123]), FLAG_CONSTANT);
    assert_eq!(flags(&[0.0, -0.0]), FLAG_CONSTANT);
    assert_eq!(flags(&[N, N]), FLAG_ALL_MISSING | FLAG_MOSTLY_MISSING);
    assert_eq!(flags(&[N, N, 1.0, 2.0]), 0);
    assert_eq!(flags(&[N, N, N, 1.0, 2.0]), FLAG_MOSTLY_MISSING);
    assert_eq!(flags(&[]), FLAG_ALL_MISSING);
}

/// A name has no size.
#[test]
fn categories_have_no_extremes() {
    let codes: Vec<f64> = with(cloud(130.0, 1.0, 130), 0.0, 1);
    assert_eq!(column_flags(codes, 131, false), 0);
    assert_eq!(column_flags(vec![1.0; 5], 12, false), FLAG_CONSTANT | FLAG_MOSTLY_MISSING);
}

#[test]
fn extreme_values_need_a_hundred_others() {
    assert_eq!(flags(&with(cloud(100.0, 0.5, 120), 2e6, 1)), FLAG_EXTREME);
    assert_eq!(flags(&with(cloud(100.0, 0.5, 120), -2e6, 1)), FLAG_EXTREME);
    assert_eq!(flags(&with(cloud(100.0, 0.5, 120), 2e3, 1)), 0);
    assert_eq!(flags(&with(cloud(100.0, 0.5, 50), 2e6, 1)), 0);
    // A rare indicator has a percentile of zero.
    assert_eq!(flags(&with(vec![0.0; 1000], 1.0, 2)), 0);
}

#[test]
fn duplicates_count_repeats_of_all_columns() {
    let t = table(
        2,
        &[
            (&[1.0, N], 0),
            (&[1.0, N], 0),
            (&[1.0, N], 1),
            (&[1.0, N], 0),
            (&[0.0, 2.0], 1),
            (&[-0.0, 2.0], 1),
        ],
    );
    assert_eq!(report(&t).duplicates, 3);
}

#[test]
fn quality_levels() {
    let good = table(1, &[(&[1.0], 0), (&[2.0], 0), (&[3.0], 1), (&[4.0], 1)]);
    assert_eq!(
        report(&good),
        ValidateReport { rows: 4, duplicates: 0, missing: vec![0, 0], flags: vec![0, 0], quality: 3 }
    );
    let flagged = table(2, &[(&[1.0, 7.0], 0), (&[2.0, 7.0], 0), (&[3.0, 7.0], 1), (&[4.0, 7.0], 1)]);
    assert_eq!(report(&flagged).quality, 2);
    let sparse = table(1, &[(&[1.0], 0), (&[N], 0), (&[N], 1), (&[N], 1)]);
    assert_eq!(report(&sparse).quality, 1);
    let repeated = table(1, &[(&[1.0], 0), (&[1.0], 0), (&[3.0], 1), (&[4.0], 1)]);
    assert_eq!(report(&repeated).quality, 1);
    let one_level = table(1, &[(&[1.0], 0), (&[2.0], 0), (&[3.0], 0), (&[4.0], 0)]);
    assert_eq!((report(&one_level).quality, report(&one_level).flags), (2, vec![0, FLAG_CONSTANT]));
    let useless = table(1, &[(&[1.0], 0), (&[1.0], 0), (&[1.0], 0), (&[1.0], 0)]);
    assert_eq!(report(&useless).quality, 0);
    assert_eq!(report(&table(1, &[(&[1.0], 0)])).quality, 0);
    assert_eq!(report(&table(1, &[])).quality, 0);
}

#[test]
fn the_report_crosses_the_border() {
    let t = table(1, &[(&[1.0], 0), (&[2.0], 0), (&[3.0], 1), (&[4.0], 1)]);
    let out = run(&ValidateJob { table: t.clone() }.encode()).unwrap();
    assert_eq!(ValidateReport::decode(&out).unwrap(), report(&t));
    assert_eq!(run(&[9]), Err(Refusal::Malformed));
}
