//! Tables in files, as the private half of a method reads them.

use std::sync::Arc;

use histone_enclave::method::blocks;
use histone_genome::table::{Kind as Cells, MissingRules, RawTable, TableError};
use histone_program_sdk::config::{Feature, Kind, Missing, Outcome};

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
    // In a round nobody refuses for what is in a row.
    let (features, outcomes) = columns.split_at(config.features.len());
    let counts = |row: &usize| outcomes.iter().all(|column| !column[*row].is_nan());
    for row in (0..table.rows()).filter(counts).filter(|_| config.missing == (Missing::Refuse {})) {
        let missing = |x: &Feature, v: f64| v.is_nan() || (x.zero_is_missing && v == 0.0);
        if let Some((x, _)) = config.features.iter().zip(features).find(|(x, column)| missing(x, column[row]))
        {
            let what =
                format!("a value is missing in `{}`; fill it, or say `drop`, `mean` or `median`", x.name);
            return Err(SettingsError::Wrong { key: "missing".into(), what });
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
            // Settings of local tables name none.
            Kind::Genotypes { .. } => Cells::Number,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use histone_enclave::manifest::Manifest;
    use histone_genome::table::Limits;
    use histone_program_sdk::data::Block;

    use super::*;

    const FILE: &str = "visits,seen,days,died\n3,2020-02-29,100.5,yes\n,2019-01-01,7,no\n12,,0,lost\n";

    fn manifest() -> Manifest {
        let text = include_str!("../../../../programs/logistic/manifest.json");
        let text = text.replacen(r#""outcome": ["yes/no"]"#, r#""outcome": ["event-time"]"#, 1);
        Manifest::read(text.as_bytes()).unwrap()
    }

    fn fitted(settings: &str) -> Result<(Settings, Fitted, RawTable), SettingsError> {
        let settings = Settings::read(settings)?;
        let table = RawTable::read("a.csv", FILE.as_bytes(), &Limits::default()).unwrap();
        let fitted = settings.fit(&manifest(), std::slice::from_ref(&table))?;
        Ok((settings, fitted, table))
    }

    const SETTINGS: &str = r#"
        outcome = "days"
        event = "died"
        yes = "yes"
        no = "no"
        other = "leave-out"
        missing = "mean"
        [columns.visits]
        kind = "whole"
    "#;

    #[test]
    fn an_event_with_a_time_is_two_columns() {
        let (settings, fitted, table) = fitted(SETTINGS).unwrap();
        let longest = 200.0;
        let (time, event) = ("days".into(), "died".into());
        assert_eq!(fitted.config.outcome, Outcome::EventTime { time, event, longest });
        assert_eq!(fitted.config.features[0].kind, Kind::Whole { low: 3.0, high: 12.0 });
        assert!(matches!(fitted.config.features[1].kind, Kind::Day { .. }));
        let lines = ["[0.0, 200.0]", "[3, 12]", "\"day\"", "[\"2019-01-01\", \"2020-12-31\"]"];
        assert!(
            fitted.proposed.len() == 4 && fitted.proposed.iter().zip(lines).all(|(p, l)| p.ends_with(l)),
            "{:?}",
            fitted.proposed
        );
        let blocks = encode(&settings, &fitted, 0, &table).unwrap();
        let strict = self::fitted(&SETTINGS.replacen("\"mean\"", "\"refuse\"", 1)).unwrap();
        let told = encode(&strict.0, &strict.1, 0, &strict.2).unwrap_err().to_string();
        assert!(told.starts_with("`missing`: a value is missing in `visits`; fill it"), "{told}");
        let block = Block::decode(&blocks[0]).unwrap();
        assert_eq!((block.columns, block.values.len()), (4, 12));
        assert_eq!(block.values[..4], [3.0, 18_321.0, 100.5, 1.0]);
        assert!(block.values[4].is_nan() && block.values[7] == 0.0);
        // A cell that is left out is an outcome that is missing.
        assert!(block.values[11].is_nan());
        let refused = |from: &str, to: &str, part: &str| {
            let error = self::fitted(&SETTINGS.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused("event = \"died\"", "", "name the column that says whether the event was seen");
        refused("event = \"died\"", "event = \"days\"", "two columns");
        refused("[columns.visits]", "[columns.days]\nrange = [1, 200]\n[columns.visits]", "begins with 0");
        refused("other = \"leave-out\"", "", "`died` holds `lost` (1 row) as well");
        refused("kind = \"whole\"", "kind = \"whole\"\nlevels = [\"a\", \"b\"]", "it has a kind and levels");
    }
}
