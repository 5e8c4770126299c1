//! What the reference tests of methods share: tables from files, and comparison with figures from elsewhere.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use histone_program_sdk::config::{Config, Feature, Kind, Missing, Outcome};
use histone_program_sdk::data::{Block, Data};
use histone_program_sdk::method::{Cell, Done, Fact, Method, run_over};

/// A file as text cells, without quotes.
#[derive(Clone)]
pub struct Table {
    pub names: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        Self { names: lines.next().unwrap(), rows: lines.collect() }
    }

    pub fn column(&self, name: &str) -> usize {
        self.names.iter().position(|n| n == name).unwrap()
    }

    /// A column as numbers; empty is missing.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        let c = self.column(name);
        self.rows
            .iter()
            .map(|row| if row[c].is_empty() { f64::NAN } else { row[c].parse().unwrap() })
            .collect()
    }
}

/// The four hospitals of the bundled study, one table each.
pub fn tumours() -> Vec<Table> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/breast-cancer");
    let sites = ["cancer-center", "city-hospital", "screening-center", "university-hospital"];
    sites.map(|site| Table::read(&folder.join(format!("{site}.csv")))).into()
}

/// The made-up patients, by site.
pub fn patients() -> Vec<Table> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/tests/reference/patients.csv");
    let all = Table::read(&path);
    let of = |site: &str| Table {
        names: all.names.clone(),
        rows: all.rows.iter().filter(|row| row[0] == site).cloned().collect(),
    };
    ["1", "2", "3"].map(of).into()
}

/// A number whose range holds all values of all tables.
pub fn number(name: &str, tables: &[Table]) -> Feature {
    let values = || tables.iter().flat_map(|t| t.numbers(name)).filter(|v| !v.is_nan());
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let margin = (high - low) * 0.05;
    let kind = Kind::Number { low: low - margin, high: high + margin };
    Feature { name: name.into(), kind, zero_is_missing: false }
}

pub fn category(name: &str, levels: &[&str]) -> Feature {
    let kind = Kind::Category { levels: levels.iter().map(|&l| l.into()).collect() };
    Feature { name: name.into(), kind, zero_is_missing: false }
}

/// The features of the patients.
pub fn of_patients(tables: &[Table]) -> Vec<Feature> {
    vec![
        number("age", tables),
        number("bmi", tables),
        category("sex", &["female", "male"]),
        category("smoker", &["never", "former", "current"]),
        number("marker", tables),
    ]
}

/// A draw for each row that does not depend on its site.
fn draw(n: usize) -> f64 {
    let mixed =
        (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// The rows of a table in blocks of seven.
pub fn blocks(table: &Table, config: &Config) -> Vec<Block> {
    let features = config.features.iter().map(|x| match &x.kind {
        Kind::Category { levels } => {
            let c = table.column(&x.name);
            let code =
                |row: &Vec<String>| levels.iter().position(|l| *l == row[c]).map_or(f64::NAN, |l| l as f64);
            table.rows.iter().map(code).collect()
        }
        _ => table.numbers(&x.name),
    });
    let outcome = match &config.outcome {
        Outcome::YesNo { name } | Outcome::Number { name, .. } => vec![table.numbers(name)],
        Outcome::EventTime { time, event, .. } => vec![table.numbers(time), table.numbers(event)],
    };
    let columns: Vec<Vec<f64>> = features.chain(outcome).collect();
    let rows: Vec<usize> = (0..table.rows.len()).collect();
    let block = |rows: &[usize]| Block {
        columns: columns.len(),
        draws: rows.iter().map(|&r| draw(r)).collect(),
        values: rows.iter().flat_map(|&r| columns.iter().map(move |c| c[r])).collect(),
    };
    rows.chunks(7).map(block).collect()
}

/// A whole training over tables.
pub fn train<M: Method>(config: &Config, tables: &[Table]) -> Result<(Done, u32), String> {
    let sites: Vec<Vec<Block>> = tables.iter().map(|t| blocks(t, config)).collect();
    let sites: Vec<&dyn Data> = sites.iter().map(|blocks| blocks as &dyn Data).collect();
    run_over::<M>(config.clone(), &sites).map_err(|e| e.to_string())
}

pub fn missing(name: &str) -> Missing {
    match name {
        "drop" => Missing::Drop {},
        "mean" => Missing::Mean {},
        "median" => Missing::Median {},
        _ => Missing::Refuse {},
    }
}

/// Two numbers of each term of a case.
pub fn reference(case: &str) -> BTreeMap<String, (f64, f64)> {
    let table = Table::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/reference.csv"));
    let rows = table.rows.into_iter().filter(|row| row[0] == case);
    rows.map(|row| (row[1].clone(), (row[2].parse().unwrap(), row[3].parse().unwrap()))).collect()
}

pub fn fact<'a>(done: &'a Done, name: &str) -> &'a Fact {
    done.facts.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no fact `{name}`"))
}

pub fn value(done: &Done, name: &str) -> f64 {
    cell(&fact(done, name).rows[0][0])
}

pub fn cell(cell: &Cell) -> f64 {
    match cell {
        Cell::Number { value } => *value,
        Cell::Text { text } => panic!("`{text}` is no number"),
    }
}

/// Estimates and standard errors of the coefficients against a reference, relative to the standard error for estimates. Gives
/// the largest difference.
pub fn compare(done: &Done, case: &str) -> f64 {
    let expected = reference(case);
    let coefficients = fact(done, "coefficients");
    let mut worst: f64 = 0.0;
    let mut terms = 0;
    for row in &coefficients.rows {
        let Cell::Text { text } = &row[0] else { panic!() };
        let (estimate, error) = expected[text];
        let (found, found_error) = (cell(&row[1]), cell(&row[2]));
        worst = worst.max(((found - estimate) / estimate.abs().max(error)).abs());
        worst = worst.max((found_error / error - 1.0).abs());
        terms += 1;
    }
    assert_eq!(terms, expected.keys().filter(|term| !term.starts_with('[')).count(), "{case}");
    worst
}
