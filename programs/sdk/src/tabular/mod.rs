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
//! 3. Rows with missing values are left out, or these are filled, as [`Missing`] says. What rests on too few rows ([`Least`]) counts as
//!    missing in every round, and is filled; a class that has too few at a site is left out there.
//! 4. `u = (x - middle of the range) / half of the range`, `z = (u - mean) / deviation` over the training rows of all sites.
//!
//! Sums run in the order of the rows, so that a stranger who repeats a round gets the same bits.

use crate::config::{Config, Kind};
#[cfg(doc)]
use crate::config::{Least, Missing};

mod describe;
mod design;
mod facts;
mod median;
mod preparation;
mod select;

pub use describe::Described;
pub use design::{BATCH, Batch, Column, Design};
pub use preparation::{Preparation, Question, site};
pub use select::{Part, gather};

/// Largest number of design columns.
pub const MAX_COLUMNS: usize = 5_000;

/// Rows that one site may have, for the bounds of sums.
pub const MAX_ROWS: u64 = 1 << 31;

/// Judging rows of all sites below which no figure of them is asked for: sums over a handful of people tell of each of them.
pub const LEAST_JUDGING: u64 = 20;

/// Numbers of a row of the design: the 1 of the intercept, and the columns. They follow from the configuration.
pub fn width(config: &Config) -> usize {
    config.features.iter().fold(1, |sum, x| {
        sum.saturating_add(match &x.kind {
            Kind::Category { levels } => levels.len().saturating_sub(1),
            _ => 1,
        })
    })
}
