//! The validation program: counts and flags of a table before it is registered.
//!
//! A column of numbers, whole numbers or days, or a category; which one is an outcome is no business of a validation.
//!
//! # The flags of a column
//!
//! | flag | when |
//! |---|---|
//! | constant | at least one value is present and all present values are equal |
//! | all missing | no value is present (then the next flag is set too) |
//! | mostly missing | more than half of the values are missing |
//! | zero in disguise | see below |
//! | extreme | the largest absolute value is more than 1,000 times the 99th percentile of absolute values (nearest rank), and that percentile is not zero; below 100 rows the percentile is the maximum and nothing is flagged |
//!
//! The last two are for numbers only, whole ones and days among them: a day is its number since 1970-01-01, which many programs write
//! where they have no day, and so the zero in disguise finds that as well.
//!
//! Zero in disguise: a laboratory writes 0 where nothing was measured. It shows when zeros stand apart from a cloud of
//! measurements, so a column is flagged when all of these hold: it has zeros; no value is negative; there are more
//! than eight distinct other values (codes and small counts have fewer); and the distance from zero to the smallest
//! other value is larger than the interquartile range of the other values, and than a quarter of their median. The
//! last two tell a blood pressure of 0 (next 96, quartiles 26 apart) from a true zero at the edge of its
//! distribution. A column of zeros only is constant; whether its zeros are missing values cannot be told from it.
//!
//! # Quality
//!
//! | level | when, first that holds |
//! |---|---|
//! | 0 refused | fewer than two rows, or every column is constant or all missing |
//! | 1 poor | more than 30 % of the cells are missing, or more than 10 % of the rows are duplicates |
//! | 2 usable | a column has a flag |
//! | 3 good | otherwise |

use core::cmp::Ordering;

use histone_program_sdk::job::{
    FLAG_ALL_MISSING, FLAG_CONSTANT, FLAG_EXTREME, FLAG_MOSTLY_MISSING, FLAG_ZERO_IN_DISGUISE, Table,
    ValidateJob, ValidateReport,
};
use histone_program_sdk::refusal::Refusal;

histone_program_sdk::entry!(validate, run);

/// Reads a [`ValidateJob`], gives a [`ValidateReport`].
pub fn run(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let job = ValidateJob::decode(input)?;
    Ok(report(&job.table).encode())
}

/// The report of a table.
pub fn report(table: &Table) -> ValidateReport {
    let rows = table.rows();
    let columns = table.levels.len();
    let mut missing = Vec::with_capacity(columns);
    let mut flags = Vec::with_capacity(columns);
    for (c, &levels) in table.levels.iter().enumerate() {
        let present: Vec<f64> =
            table.values.iter().skip(c).step_by(columns).copied().filter(|v| !v.is_nan()).collect();
        missing.push((rows - present.len()) as u32);
        flags.push(column_flags(present, rows, levels == 0));
    }
    let mut report = ValidateReport {
        rows: rows as u32,
        duplicates: duplicates(table) as u32,
        missing,
        flags,
        quality: 0,
    };
    report.quality = quality(&report);
    report
}

/// The flags of a column of `rows` values, of which `present` are present.
fn column_flags(mut present: Vec<f64>, rows: usize, numbers: bool) -> u8 {
    let mut flags = 0;
    if (rows - present.len()) * 2 > rows {
        flags |= FLAG_MOSTLY_MISSING;
    }
    present.sort_unstable_by(f64::total_cmp);
    let (Some(&lowest), Some(&highest)) = (present.first(), present.last()) else {
        return flags | FLAG_ALL_MISSING;
    };
    if lowest == highest {
        flags |= FLAG_CONSTANT;
    }
    if !numbers {
        return flags;
    }
    if zero_in_disguise(&present) {
        flags |= FLAG_ZERO_IN_DISGUISE;
    }
    let mut sizes: Vec<f64> = present.iter().map(|v| v.abs()).collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let p99 = nearest_rank(&sizes, 99, 100);
    if p99 > 0.0 && sizes.last().is_some_and(|&most| most > 1_000.0 * p99) {
        flags |= FLAG_EXTREME;
    }
    flags
}

/// The smallest value that has at least `part / whole` of the ascending values at or below it; 0 of no values.
fn nearest_rank(ascending: &[f64], part: usize, whole: usize) -> f64 {
    let rank = (ascending.len() * part).div_ceil(whole);
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The rule of the crate's documentation, on the present values in ascending order.
fn zero_in_disguise(ascending: &[f64]) -> bool {
    if ascending.first().is_none_or(|&lowest| lowest != 0.0) {
        return false;
    }
    // Both zeros compare equal to 0, so this passes over -0 as well.
    let others = &ascending[ascending.partition_point(|&v| v <= 0.0)..];
    let Some(&nearest) = others.first() else { return false };
    let distinct = 1 + others.windows(2).filter(|w| w[0] != w[1]).count();
    let spread = nearest_rank(others, 3, 4) - nearest_rank(others, 1, 4);
    distinct > 8 && nearest > spread && nearest > 0.25 * nearest_rank(others, 1, 2)
}

/// Rows that repeat an earlier one exactly: rows less the number of distinct rows.
fn duplicates(table: &Table) -> usize {
    // Missing values are one value here, and so are the two zeros.
    let key = |v: f64| if v.is_nan() { f64::NAN } else { v + 0.0 };
    let compare = |&a: &usize, &b: &usize| {
        table.row(a).iter().zip(table.row(b)).fold(Ordering::Equal, |order, (&x, &y)| match order {
            Ordering::Equal => key(x).total_cmp(&key(y)),
            decided => decided,
        })
    };
    let mut order: Vec<usize> = (0..table.rows()).collect();
    order.sort_unstable_by(compare);
    order.windows(2).filter(|w| compare(&w[0], &w[1]) == Ordering::Equal).count()
}

/// The level of the crate's documentation, from the counts and flags of a report.
pub fn quality(report: &ValidateReport) -> u8 {
    let usable = report.flags.iter().any(|f| f & (FLAG_CONSTANT | FLAG_ALL_MISSING) == 0);
    if report.rows < 2 || !usable {
        return 0;
    }
    let rows = u64::from(report.rows);
    let missing: u64 = report.missing.iter().map(|&m| u64::from(m)).sum();
    let cells = rows * report.missing.len() as u64;
    if missing * 10 > cells * 3 || u64::from(report.duplicates) * 10 > rows {
        return 1;
    }
    if report.flags.iter().any(|&f| f != 0) { 2 } else { 3 }
}

#[cfg(test)]
mod tests;
