//! The four hospitals of the heart study: one column has 3, 5 and 2 values at three of them. What is too small does not leave, and the
//! study trains.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use histone_enclave::method::{HostedMethod, LocalStep, LocalTraining};
use histone_enclave::program::Limits;
use histone_enclave::reading::rows_of;
use histone_genome::table::{
    Features, Label, Limits as TableLimits, MissingRules, RawTable, Selection, Table, YesNo,
};
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::data::Block;
use histone_program_sdk::method::{Cell, Done, Method, Next};
use histone_program_sdk::wire::Wire;

use crate::support::{artifact, load};

/// The folder of the hospitals. `None`, with the reason printed, only when nobody said where the data are and they are not there.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = match std::env::var_os("HISTONE_DATA") {
        Some(root) => PathBuf::from(root),
        None if beside.exists() => beside,
        None => {
            eprintln!("SKIPPED: HISTONE_DATA is not set and ../shared/data is not there");
            return None;
        }
    };
    Some(root.join("clinical/heart"))
}

fn read(file: &Path) -> Table {
    let positive = "> 0".parse().unwrap();
    let selection = Selection {
        label: "num".into(),
        outcome: Label::YesNo(YesNo { positive, ..YesNo::default() }),
        features: Features::AllNumeric,
        kinds: BTreeMap::new(),
        ignore: vec![],
        missing: MissingRules::default(),
    };
    let open = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let raw = RawTable::read("heart", open, &TableLimits::default()).unwrap();
    raw.select(&selection).unwrap()
}

/// A training in the engine: its end, and what each site says first.
fn trained(method: &HostedMethod, config: &Config, tables: &[Table]) -> (Done, Vec<Vec<f64>>) {
    method.manifest().takes(config).unwrap();
    let sites: Vec<Vec<Arc<[u8]>>> = tables.iter().map(|table| rows_of(table, config).unwrap()).collect();
    let state = method.begin(config).unwrap();
    let Next::Ask { ask } = method.next(config, &state, sites.len()).unwrap() else { panic!() };
    let first = sites.iter().map(|site| method.site(&ask, site).unwrap()).collect();
    let mut training = LocalTraining::new(method, config).unwrap();
    loop {
        if let LocalStep::Done(done) = training.step(&sites).unwrap() {
            return (*done, first);
        }
    }
}

#[test]
fn a_column_with_a_few_values_at_three_hospitals() {
    let Some(folder) = folder() else { return };
    let tables =
        ["cleveland", "hungarian", "switzerland", "va"].map(|name| read(&folder.join(format!("{name}.csv"))));
    let columns = tables[0].columns();
    let width = columns.len();
    let feature = |(i, column): (usize, &histone_genome::table::Column)| {
        let values = tables.iter().flat_map(|t| t.values().iter().skip(i).step_by(width));
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        let zero_is_missing = ["chol", "trestbps"].contains(&column.name.as_str());
        Feature { name: column.name.clone(), kind: Kind::Number { low, high }, zero_is_missing }
    };
    let features: Vec<Feature> = columns[..width - 1].iter().enumerate().map(feature).collect();
    let ca = features.iter().position(|x| x.name == "ca").unwrap();
    let f = features.len();
    let config = |least| Config {
        features: features.clone(),
        outcome: Outcome::YesNo { name: "num".into() },
        missing: Missing::Median {},
        holdout: 0.2,
        least,
        values: vec![1.0, 12.0, 1e-6, 64.0, 0.0, 10.0, 50.0],
    };
    let method = HostedMethod::new(load(&artifact("logistic"), Limits::METHOD)).unwrap();
    let [exact, sealed, public] = [Least::default(), Least { site: 0, sum: 5 }, Least { site: 5, sum: 5 }]
        .map(|least| trained(&method, &config(least), &tables));
    // Present values of `ca` at the hospitals, of the rows that are trained on.
    let here = |first: &[Vec<f64>]| first.iter().map(|site| site[6 + ca]).collect::<Vec<f64>>();
    let few = here(&exact.1);
    assert!(few[0] > 200.0 && few[1..].iter().all(|&n| (1.0..=5.0).contains(&n)), "{few:?}");
    assert_eq!(here(&sealed.1), few);
    let shown: Vec<f64> = few.iter().map(|&n| if n < 5.0 { 0.0 } else { n }).collect();
    assert_eq!(here(&public.1), shown);
    // No count of a hospital rests on one to four rows.
    for site in &public.1 {
        let counts = site[..4].iter().chain(&site[6..6 + 2 * f]);
        assert!(counts.clone().all(|&n| n == 0.0 || n >= 5.0), "{counts:?}");
    }
    // Where nobody sees sums the model is that without a minimum, to the last bit.
    assert_eq!(sealed.0.model.arrays, exact.0.model.arrays);
    let number = |done: &Done, name: &str| done.facts.iter().find(|f| f.name == name).unwrap().number();
    let aucs = [&exact, &sealed, &public].map(|(done, _)| number(done, "auc").unwrap());
    assert!(aucs.iter().all(|auc| *auc > 0.78 && (auc - aucs[0]).abs() < 0.03), "{aucs:?}");
    let suppressed = public.0.facts.iter().find(|f| f.name == "suppressed").unwrap();
    let Cell::Number { value } = suppressed.rows[0][1] else { panic!() };
    assert!(value >= few[1..].iter().filter(|&&n| n < 5.0).sum());
    assert!(sealed.0.facts.iter().all(|f| f.name != "suppressed"));
}

/// The native method gives the same numbers as the module, also where a site has something to hide.
#[test]
fn what_is_too_small_is_the_same_natively_and_in_the_engine() {
    let kind = Kind::Number { low: 0.0, high: 40.0 };
    let levels = ["a", "b", "c"].map(String::from).into();
    let feature = |name: &str, kind| Feature { name: name.into(), kind, zero_is_missing: false };
    let config = Config {
        features: vec![feature("x", kind), feature("level", Kind::Category { levels })],
        outcome: Outcome::YesNo { name: "y".into() },
        missing: Missing::Median {},
        holdout: 0.25,
        least: Least { site: 5, sum: 5 },
        values: vec![1.0, 12.0, 1e-6, 64.0, 0.0, 10.0, 50.0],
    };
    let row = |i: u32| {
        let x = if i.is_multiple_of(9) { f64::from(i) } else { f64::NAN };
        [x, f64::from(u8::from(i % 13 == 1)), f64::from(i % 2)]
    };
    let values: Vec<f64> = (0..40).flat_map(row).collect();
    let draws: Vec<f64> = (0..40).map(|i| f64::from(i * 7 % 40) / 40.0).collect();
    let blocks = histone_enclave::method::blocks(3, &draws, &values);
    let method = HostedMethod::new(load(&artifact("logistic"), Limits::METHOD)).unwrap();
    let state = method.begin(&config).unwrap();
    let Next::Ask { ask } = method.next(&config, &state, 1).unwrap() else { panic!() };
    let hosted = method.site(&ask, &blocks).unwrap();
    let data: Vec<Block> = blocks.iter().map(|b| Block::decode(b).unwrap()).collect();
    type Logistic = histone_program_logistic::Logistic;
    let question = <Logistic as Method>::Question::from_bytes(&ask.question).unwrap();
    let mut native = Logistic::site(question, &data).unwrap();
    ask.round(&mut native);
    assert_eq!(hosted, native);
    // Both columns have something that is hidden.
    assert!(hosted[6] == 0.0 && hosted[5] > 3.0, "{hosted:?}");
}
