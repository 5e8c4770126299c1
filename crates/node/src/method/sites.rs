//! Tables in files, as the private half of a method reads them.

use std::sync::Arc;

use histone_enclave::method::blocks;
use histone_genome::table::{Kind as Cells, MissingRules, RawTable, TableError};
use histone_program_sdk::config::{Feature, Kind, Outcome};

use super::settings::{Fitted, Settings, SettingsError};

/// The blocks of one table: features and outcome of each row, and a draw that decides whether it is held out.
pub fn encode(
    settings: &Settings,
    fitted: &Fitted,
    site: usize,
    table: &RawTable,
) -> Result<Vec<Arc<[u8]>>, SettingsError> {
    let (config, rules) = (&fitted.config, &fitted.rules);
    let mut columns = features(fitted, table)?;
    match &config.outcome {
        Outcome::Number { name, .. } => columns.push(column(table, name, &fitted.outcome, rules)?),
        Outcome::YesNo { name } => columns.push(table.yes_no(name, &fitted.yes, rules)?),
        Outcome::EventTime { time, event, .. } => {
            columns.push(column(table, time, &fitted.outcome, rules)?);
            columns.push(table.yes_no(event, &fitted.yes, rules)?);
        }
    }
    let draws: Vec<f64> = (0..table.rows()).map(|row| draw(settings.seed, site, row)).collect();
    let values: Vec<f64> =
        (0..table.rows()).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
    Ok(blocks(columns.len(), &draws, &values))
}

/// The values of a column by its kind. Numbers have no bound here: that is one of tables that are registered.
pub(super) fn column(
    table: &RawTable,
    name: &str,
    kind: &Cells,
    rules: &MissingRules,
) -> Result<Vec<f64>, TableError> {
    match kind {
        Cells::Number => table.numbers(name, rules),
        kind => table.typed(name, kind, rules),
    }
}

/// The features of a table, column by column.
fn features(fitted: &Fitted, table: &RawTable) -> Result<Vec<Vec<f64>>, SettingsError> {
    let values = |feature: &Feature| {
        let kind = match &feature.kind {
            Kind::Number { .. } => Cells::Number,
            Kind::Whole { .. } => Cells::Whole,
            Kind::Day { .. } => Cells::Day,
            Kind::Category { levels } => Cells::Category(levels.clone()),
        };
        column(table, &feature.name, &kind, &fitted.rules)
    };
    Ok(fitted.config.features.iter().map(values).collect::<Result<_, _>>()?)
}

/// The rows of a table without an outcome, as users bring them: a value for each feature.
pub fn rows(fitted: &Fitted, table: &RawTable) -> Result<Vec<Vec<f64>>, SettingsError> {
    let columns = features(fitted, table)?;
    Ok((0..table.rows()).map(|row| columns.iter().map(|column| column[row]).collect()).collect())
}

/// A number of [0, 1) that depends on seed, site and row only.
fn draw(seed: u64, site: usize, row: usize) -> f64 {
    // The finalizer of SplitMix64, which spreads every bit of its input.
    let mix = |mut z: u64| {
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    let site = mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add((site as u64) << 40));
    let mixed = mix(site.wrapping_add((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}
