//! What methods over tables share: how columns become numbers on one scale, which rows are held out, and the rounds that find
//! means, deviations and medians.
//!
//! A method over a table starts with a [`Preparation`] and asks its questions until it is ready. Then it has a [`Design`], whose
//! rows ([`Design::batches`]) are vectors of the same scale at every site: first the 1 of the intercept, then a number for
//! each column of the design: one for a measurement (a number, a whole number, or a day
//! as its number since 1970-01-01), one for each level but the first for a category.
//!
//! 1. A zero that stands for a missing value becomes one; a value outside of the plausible range becomes its end.
//! 2. Of each class of the outcome (one class, if it is a number) the rows with the smallest draws are held out: the nearest whole
//!    number to the share that was asked for, but never all of them. Rows without an outcome are left out before.
//! 3. Missing values are refused, or their rows left out, or they are filled as [`Missing`] says.
//! 4. `u = (x - middle of the range) / half of the range`, `z = (u - mean) / deviation` over the training rows of all sites.
//!
//! Sums run in the order of the rows, so that a stranger who repeats a round gets the same bits.

mod describe;
mod design;
mod median;
mod preparation;
mod select;

pub use describe::Described;
pub use design::{BATCH, Batch, Column, Design};
pub use preparation::{Preparation, Question, site};
pub use select::Part;

/// Largest number of design columns.
pub const MAX_COLUMNS: usize = 5_000;

/// Rows that one site may have, for the bounds of sums.
pub const MAX_ROWS: u64 = 1 << 31;

/// Most bins that judging rows are counted in. They are opened: finer ones would list the score and the class of single rows.
pub const MAX_BINS: u32 = 64;

/// Rows that a bin holds on average, as far as the sums before it tell.
pub const ROWS_PER_BIN: u64 = 10;

/// Judging rows of all sites below which no figure of them is asked for: sums over a handful of people tell of each of them.
pub const LEAST_JUDGING: u64 = 20;

/// Bins for about `rows` rows: as many as asked for, as long as they hold [`ROWS_PER_BIN`] rows each on average; at least 2. A
/// power of two, so that the borders of fewer bins are borders of more: two models with other bins together tell no more than the
/// one with more.
pub fn bins_for(asked: u32, rows: u64) -> u32 {
    let most = u64::from(MAX_BINS).min(rows / ROWS_PER_BIN) as u32;
    1 << asked.min(most).max(2).ilog2()
}

#[cfg(test)]
mod tests {
    use super::bins_for;

    #[test]
    fn few_rows_have_few_bins() {
        for (asked, rows, bins) in [
            (100, 0, 2),
            (100, 39, 2),
            (100, 40, 4),
            (100, 639, 32),
            (100, 640, 64),
            (500, 1 << 40, 64),
            (5, 1 << 40, 4),
            (1, 0, 2),
        ] {
            assert_eq!(bins_for(asked, rows), bins, "{asked} {rows}");
        }
    }
}
