//! How a plan reads a dataset: which columns, as what, and which plans would pick out a few people.

use std::sync::Arc;

use histone_genome::table::{Column, Day, Kind, NO_YES, Table};
use histone_program_sdk::config::{Config, Feature, Kind as Asked, Missing, Outcome};
use histone_program_sdk::genotypes::{Genotypes, MAX_PEOPLE};
use histone_protocol::B256;
use histone_protocol::hash::tagged_hash;

use crate::method::blocks;

/// Where in a dataset with these columns a configuration finds its own: of each feature, then of the outcome. A dataset has no
/// outcome of its own; any column of the right kind may be one. An error says what does not fit.
pub fn places(columns: &[Column], config: &Config) -> Result<Vec<usize>, String> {
    let find = |name: &str| {
        let place = columns.iter().position(|column| column.name == name);
        let column = place.and_then(|place| Some((place, &columns.get(place)?.kind)));
        column.ok_or_else(|| format!("the dataset has no column `{name}`"))
    };
    let other = |name: &str, kind: &Kind, asked: &Kind| {
        format!("`{name}` is {} in the dataset, and {} in the plan", kind.says(), asked.says())
    };
    let exactly = |name: &str, asked: Kind| match find(name)? {
        (place, kind) if *kind == asked => Ok(place),
        (_, kind) => Err(other(name, kind, &asked)),
    };
    // A whole number is a number. A number is no whole number, and a day is neither.
    let number = |name: &str| match find(name)? {
        (place, Kind::Number | Kind::Whole) => Ok(place),
        (_, kind) => Err(other(name, kind, &Kind::Number)),
    };
    let yes_no = |name: &str| match find(name)? {
        (place, Kind::Category(levels)) if *levels == NO_YES => Ok(place),
        _ => Err(format!("`{name}` is no column of `no` and `yes` in the dataset")),
    };
    let mut places = Vec::with_capacity(config.columns());
    for feature in &config.features {
        places.push(match &feature.kind {
            Asked::Number { .. } => number(&feature.name)?,
            Asked::Whole { .. } => exactly(&feature.name, Kind::Whole)?,
            Asked::Day { .. } => exactly(&feature.name, Kind::Day)?,
            Asked::Genotypes { panel, variants } => match find(&feature.name)? {
                (place, Kind::Genotypes { panel: have, variants: many })
                    if format!("{:x}", B256::from(*have)) == *panel && many == variants =>
                {
                    place
                }
                (_, Kind::Genotypes { .. }) => {
                    return Err(format!("`{}` is of another panel in the dataset", feature.name));
                }
                (_, kind) => {
                    return Err(format!(
                        "`{}` is {} in the dataset, and genotypes in the plan",
                        feature.name,
                        kind.says()
                    ));
                }
            },
            Asked::Category { levels: asked } => match find(&feature.name)? {
                (place, Kind::Category(levels)) if levels == asked => place,
                (_, Kind::Category(_)) => {
                    return Err(format!("`{}` has other levels in the dataset", feature.name));
                }
                (_, kind) => return Err(other(&feature.name, kind, &Kind::Category(asked.clone()))),
            },
        });
    }
    match &config.outcome {
        Outcome::YesNo { name } => places.push(yes_no(name)?),
        Outcome::Number { name, .. } => places.push(number(name)?),
        Outcome::EventTime { time, event, .. } => places.extend([number(time)?, yes_no(event)?]),
    }
    if (1..places.len()).any(|i| places[..i].contains(&places[i])) {
        return Err(
            "a column of the dataset stands twice in the plan, or is a feature and the outcome".into()
        );
    }
    // A column more would make other rows of the same people: found by no sketch, and drawn anew.
    if let Some(column) = (0..columns.len()).find(|i| !places.contains(i)).and_then(|i| columns.get(i)) {
        return Err(format!("the dataset has a column `{}`, which the plan does not read", column.name));
    }
    Ok(places)
}

/// Values of a site that a plan's range may leave outside, as one of so many: a range in which a few people lie apart from all
/// others would open what they have.
pub const OUTSIDE: usize = 10;

/// Rows that a plan must leave of a dataset: sums over fewer come too near to persons.
pub const LEAST_ROWS: usize = 20;

/// The rows of a dataset as a method takes them: the features of its configuration, then the outcome, and a draw of each row. A draw
/// follows from the whole row alone, so that it is the same in every training (sums of one table over other rows would tell these
/// apart) and no salt makes another one. An error says what of the configuration does not fit the dataset: its columns, or that it
/// picks out a few rows by what is missing, or a few values by a range; or that a value is missing where it refuses these. What is
/// looked for here is what no round may refuse for: a refusal there would tell of a row.
pub fn rows_of(table: &Table, config: &Config) -> Result<Vec<Arc<[u8]>>, String> {
    let places = places(table.columns(), config)?;
    let present = |feature: Option<&Feature>, v: f64| {
        !(v.is_nan() || v == 0.0 && feature.is_some_and(|feature| feature.zero_is_missing))
    };
    // As `tabular` leaves rows out.
    let used = |row: &&[f64]| {
        let whole = config.missing == (Missing::Drop {});
        places.iter().enumerate().all(|(i, &place)| {
            let feature = config.features.get(i);
            feature.is_some() && !whole || present(feature, row[place])
        })
    };
    let of_outcome = |row: &[f64]| places[config.features.len()..].iter().all(|&place| !row[place].is_nan());
    for row in table.values().chunks_exact(table.columns().len()).filter(|row| of_outcome(row)) {
        if config.missing == (Missing::Refuse {})
            && let Some((x, _)) =
                config.features.iter().zip(&places).find(|&(x, &place)| !present(Some(x), row[place]))
        {
            return Err(format!(
                "the plan refuses missing values, and `{}` has one in the dataset; fill it, leave its row out or agree to a plan that \
                 fills",
                x.name
            ));
        }
        if let (Outcome::EventTime { time, .. }, true) =
            (&config.outcome, row[places[config.features.len()]] < 0.0)
        {
            return Err(format!("`{time}` is below 0 in the dataset, where the plan reads a time"));
        }
    }
    if table.genotypes().is_some() && table.rows() > MAX_PEOPLE {
        return Err(format!(
            "the dataset has {} people, of whom sums of genotypes take {MAX_PEOPLE}; divide it",
            table.rows()
        ));
    }
    let rows: Vec<&[f64]> = table.values().chunks_exact(table.columns().len()).filter(used).collect();
    let left = rows.len();
    if left < LEAST_ROWS {
        return Err(format!("the plan leaves {left} rows of the dataset; {LEAST_ROWS} are the least"));
    }
    let feature = |(i, x): (usize, &Feature)| x.kind.range().map(|(low, high)| (i, low, high));
    let mut ranges: Vec<(usize, f64, f64)> = config.features.iter().enumerate().filter_map(feature).collect();
    match config.outcome {
        Outcome::Number { low, high, .. } => ranges.push((config.features.len(), low, high)),
        Outcome::EventTime { longest, .. } => ranges.push((config.features.len(), 0.0, longest)),
        Outcome::YesNo { .. } => {}
    }
    // Row after row, as they lie in memory: values of each range, and of these those outside of it.
    let mut counts = vec![(0usize, 0usize); ranges.len()];
    for row in &rows {
        for ((there, outside), &(i, low, high)) in counts.iter_mut().zip(&ranges) {
            let value = row[places[i]];
            let is_there = present(config.features.get(i), value);
            *there += usize::from(is_there);
            *outside += usize::from(is_there && !(low..=high).contains(&value));
        }
    }
    for ((there, outside), (i, low, high)) in counts.into_iter().zip(ranges) {
        if outside * OUTSIDE > there {
            let name = table.columns().get(places[i]).map_or("", |column| &column.name);
            let day = config.features.get(i).is_some_and(|x| matches!(x.kind, Asked::Day { .. }));
            let shown = |v: f64| Day::of(v).filter(|_| day).map_or_else(|| v.to_string(), |d| d.to_string());
            let (low, high) = (shown(low), shown(high));
            return Err(format!(
                "the range of `{name}` in the plan, {low} to {high}, leaves more than one in {OUTSIDE} of the dataset's values outside"
            ));
        }
    }
    let mut values = Vec::with_capacity(table.rows() * places.len());
    let mut draws = Vec::with_capacity(table.rows());
    for (i, row) in table.values().chunks_exact(table.columns().len()).enumerate() {
        values.extend(places.iter().map(|&place| row[place]));
        draws.push(draw(&table.row_bytes(i).unwrap_or_default()));
    }
    let mut rows = blocks(places.len(), &draws, &values);
    rows.extend(genotypes(table));
    Ok(rows)
}

/// Bytes of a block of genotypes, about: what a program looks up for four people serves all variants of a block.
const GENOTYPE_BYTES: usize = 1 << 20;

/// The genotypes of all rows, in blocks of some variants.
fn genotypes(table: &Table) -> Vec<Arc<[u8]>> {
    let Some((_, variants)) = table.genotypes() else { return Vec::new() };
    let variants = variants as usize;
    let together = (GENOTYPE_BYTES / table.rows().div_ceil(4).max(1)).clamp(64, 4096);
    let block = |first: usize| {
        let calls = table.calls_by_variant(first, (first + together).min(variants));
        // The casts lose nothing: a panel has fewer than 2^32 variants.
        Some(Genotypes::new(first as u32, table.rows(), calls)?.encode().into())
    };
    (0..variants).step_by(together).filter_map(block).collect()
}

/// A number of [0, 1) with 53 bits.
fn draw(row: &[u8]) -> f64 {
    let hash = tagged_hash("histone/draw/v1", &[row]);
    let bits = hash.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use histone_genome::table::{Column, Kind as Kinds, Table};
    use histone_program_sdk::config::{Config, Feature, Kind, Missing, Outcome};

    use super::{LEAST_ROWS, places, rows_of};

    /// 30 rows of two numbers and an outcome; `b` is 0 but in row 3, `y` is missing in the first rows.
    fn table(without_outcome: usize) -> Table {
        let row = |i: usize| {
            let y = if i < without_outcome { f64::NAN } else { f64::from(u8::from(i.is_multiple_of(2))) };
            [i as f64, f64::from(u8::from(i == 3)), y]
        };
        let columns = vec![Column::number("a"), Column::number("b"), Column::no_yes("y")];
        Table::new(columns, (0..30).flat_map(row).collect()).unwrap()
    }

    fn config() -> Config {
        let feature = |name: &str, high| Feature {
            name: name.into(),
            kind: Kind::Number { low: 0.0, high },
            zero_is_missing: false,
        };
        Config {
            features: vec![feature("a", 30.0), feature("b", 1.0)],
            outcome: Outcome::YesNo { name: "y".into() },
            missing: Missing::Drop {},
            holdout: 0.0,
            least: Default::default(),
            values: vec![],
        }
    }

    /// By what is missing, or by a range, a plan would leave a row that its first sums open whole.
    #[test]
    fn plans_that_pick_out_a_few() {
        assert!(rows_of(&table(0), &config()).is_ok());
        assert!(rows_of(&table(30 - LEAST_ROWS), &config()).is_ok());
        let refused = |table: &Table, config: Config, why: &str| {
            let told = rows_of(table, &config).unwrap_err();
            assert!(told.contains(why), "{told}");
        };
        // What no round may refuse for is refused here: a gap where the plan takes none, but not one of a row that is left out anyway.
        let strict = Config { missing: Missing::Refuse {}, ..config() };
        let with_gap = |row: usize, without_outcome| {
            let mut values = table(without_outcome).values().to_vec();
            values[3 * row] = f64::NAN;
            Table::new(table(0).columns().to_vec(), values).unwrap()
        };
        assert!(rows_of(&table(0), &strict).is_ok() && rows_of(&with_gap(2, 4), &strict).is_ok());
        refused(&with_gap(5, 4), strict, "refuses missing values, and `a` has one in the dataset; fill it");
        refused(&table(31 - LEAST_ROWS), config(), "leaves 19 rows of the dataset; 20 are the least");
        let mut one = config();
        one.features[1].zero_is_missing = true;
        refused(&table(0), one.clone(), "leaves 1 rows");
        // Filled in, nobody is left out.
        one.missing = Missing::Mean {};
        assert!(rows_of(&table(0), &one).is_ok());
        let number = |low, high| Config {
            outcome: Outcome::Number { name: "a".into(), low, high },
            features: vec![
                config().features[1].clone(),
                Feature {
                    name: "y".into(),
                    kind: Kind::Category { levels: vec!["no".into(), "yes".into()] },
                    zero_is_missing: false,
                },
            ],
            ..config()
        };
        assert!(rows_of(&table(0), &number(0.0, 27.0)).is_ok());
        refused(
            &table(0),
            number(28.5, 30.0),
            "the range of `a` in the plan, 28.5 to 30, leaves more than one",
        );
        let fewer = Config { features: config().features[..1].to_vec(), ..config() };
        refused(&table(0), fewer, "has a column `b`, which the plan does not read");
    }

    #[test]
    fn kinds_are_those_that_the_plan_asks_for() {
        let columns = |kind: Kinds| vec![Column { name: "a".into(), kind }, Column::no_yes("y")];
        let (low, high) = (0.0, 9.0);
        let two = vec!["low".to_owned(), "high".to_owned()];
        let placed = |have: Kinds, kind: Kind| {
            let feature = Feature { name: "a".into(), kind, zero_is_missing: false };
            places(&columns(have), &Config { features: vec![feature], ..config() })
        };
        let kinds = || [Kinds::Number, Kinds::Whole, Kinds::Day, Kinds::Category(two.clone())];
        let asked = [
            (Kind::Number { low, high }, [true, true, false, false]),
            (Kind::Whole { low, high }, [false, true, false, false]),
            (Kind::Day { low, high }, [false, false, true, false]),
            (Kind::Category { levels: two.clone() }, [false, false, false, true]),
        ];
        for (kind, fits) in asked {
            let found: Vec<bool> = kinds().map(|have| placed(have, kind.clone()).is_ok()).into();
            assert_eq!(found, fits, "{kind:?}");
        }
        assert_eq!(
            placed(Kinds::Number, Kind::Day { low, high }),
            Err("`a` is a number in the dataset, and a day in the plan".into())
        );
        // A range of days is told in days.
        let day = |i: u32| [f64::from(18_000 + i), f64::from(i % 2)];
        let table = Table::new(columns(Kinds::Day), (0..30).flat_map(day).collect()).unwrap();
        let kind = Kind::Day { low: 0.0, high: 18_010.0 };
        let feature = Feature { name: "a".into(), kind, zero_is_missing: false };
        let told = rows_of(&table, &Config { features: vec![feature], ..config() }).unwrap_err();
        assert!(told.contains("the range of `a` in the plan, 1970-01-01 to 2019-04-24, leaves"), "{told}");
    }
}
