//! Tables in files, as the private half of a method reads them.

use std::sync::Arc;

use histone_enclave::method::blocks;
use histone_genome::table::RawTable;
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
        Outcome::Number { name, .. } => columns.push(table.numbers(name, rules)?),
        Outcome::YesNo { name } => columns.push(yes_no(settings, name, table, fitted)?),
        Outcome::EventTime { time, event, .. } => {
            columns.push(table.numbers(time, rules)?);
            columns.push(table.numbers(event, rules)?);
        }
    }
    let draws: Vec<f64> = (0..table.rows()).map(|row| draw(settings.seed, site, row)).collect();
    let values: Vec<f64> =
        (0..table.rows()).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
    Ok(blocks(columns.len(), &draws, &values))
}

/// The features of a table, column by column.
fn features(fitted: &Fitted, table: &RawTable) -> Result<Vec<Vec<f64>>, SettingsError> {
    let column = |feature: &Feature| match &feature.kind {
        Kind::Number { .. } => table.numbers(&feature.name, &fitted.rules),
        Kind::Category { levels } => table.codes(&feature.name, levels, &fitted.rules),
    };
    Ok(fitted.config.features.iter().map(column).collect::<Result<_, _>>()?)
}

/// The rows of a table without an outcome, as users bring them: a value for each feature.
pub fn rows(fitted: &Fitted, table: &RawTable) -> Result<Vec<Vec<f64>>, SettingsError> {
    let columns = features(fitted, table)?;
    Ok((0..table.rows()).map(|row| columns.iter().map(|column| column[row]).collect()).collect())
}

/// 1 where the cell means yes.
fn yes_no(
    settings: &Settings,
    name: &str,
    table: &RawTable,
    fitted: &Fitted,
) -> Result<Vec<f64>, SettingsError> {
    match &settings.yes {
        None => {
            let values = table.numbers(name, &fitted.rules)?;
            if values.iter().any(|v| !v.is_nan() && *v != 0.0 && *v != 1.0) {
                return Err(SettingsError::Wrong {
                    key: "yes".into(),
                    what: format!(
                        "`{name}` has other cells than 0 and 1 in {}; say which one means yes",
                        table.file()
                    ),
                });
            }
            Ok(values)
        }
        Some(yes) => {
            let level = std::slice::from_ref(yes);
            let one = |row: usize| match table.is_one_of(name, level, row, &fitted.rules)? {
                None => Ok(f64::NAN),
                Some(is) => Ok(f64::from(u8::from(is))),
            };
            (0..table.rows()).map(one).collect()
        }
    }
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
