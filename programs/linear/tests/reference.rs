//! Linear regression over sites against one over pooled rows by others; `reference/reference.py` made the figures.

#![allow(clippy::unwrap_used)]

#[path = "../../sdk/tests/common/tables.rs"]
mod tables;

use histone_program_linear::Linear;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Outcome};
use histone_program_sdk::method::{Answer, Done, Method, Next, Opened};
use histone_program_sdk::wire::Wire;
use tables::{
    Table, blocks, compare, fact, missing, number, of_patients, patients, reference, train, tumours, value,
};

fn config(features: Vec<Feature>, outcome: &str, tables: &[Table], ridge: f64, missing_as: &str) -> Config {
    let Kind::Number { low, high } = number(outcome, tables).kind else { panic!() };
    Config {
        features,
        outcome: Outcome::Number { name: outcome.into(), low, high },
        missing: missing(missing_as),
        holdout: 0.0,
        least: Least::default(),
        values: vec![ridge, 1000.0],
    }
}

fn agrees(config: &Config, tables: &[Table], case: &str, bound: f64) {
    let (done, _) = train::<Linear>(config, tables).unwrap();
    let worst = compare(&done, case);
    assert!(worst < bound, "{case}: {worst:e}");
    let expected = reference(case);
    for (found, expected) in [
        (value(&done, "training r2"), expected["[r2; adjusted]"].0),
        (value(&done, "adjusted r2"), expected["[r2; adjusted]"].1),
        (value(&done, "residual spread"), expected["[spread]"].0),
    ] {
        assert!((found / expected - 1.0).abs() < 1e-9, "{case}: {found} {expected}");
    }
}

fn tumour_features(tables: &[Table]) -> Vec<Feature> {
    let names = tables[0].names.iter().filter(|n| !["malignant", "mean_area"].contains(&n.as_str()));
    names.map(|n| number(n, tables)).collect()
}

#[test]
fn tumours_as_statsmodels_has_them() {
    let tables = tumours();
    // Radius and perimeter are nearly the same: the equations have a condition of about 10^5.
    agrees(&config(tumour_features(&tables), "mean_area", &tables, 0.0, "refuse"), &tables, "tumours", 1e-8);
    agrees(
        &config(tumour_features(&tables), "mean_area", &tables, 2.5, "refuse"),
        &tables,
        "tumours ridge 2.5",
        1e-9,
    );
}

/// A method reads a whole number and a day as the number that each is.
#[test]
fn whole_numbers_and_days_give_the_bits_of_numbers() {
    let tables = patients();
    let trained = |kind: fn(f64, f64) -> Kind| {
        let mut features = of_patients(&tables);
        let (low, high) = features[0].kind.range().unwrap();
        features[0].kind = kind(low, high);
        let config = config(features, "pressure", &tables, 0.5, "median");
        let (done, rounds) = train::<Linear>(&config, &tables).unwrap();
        (done.model.arrays, rounds)
    };
    let numbers = trained(|low, high| Kind::Number { low, high });
    assert_eq!(trained(|low, high| Kind::Whole { low, high }), numbers);
    assert_eq!(trained(|low, high| Kind::Day { low, high }), numbers);
}

#[test]
fn patients_with_categories_gaps_and_tiny_values() {
    let tables = patients();
    for gaps in ["drop", "mean", "median"] {
        let config = config(of_patients(&tables), "pressure", &tables, 0.0, gaps);
        agrees(&config, &tables, &format!("patients {gaps}"), 1e-9);
    }
}

#[test]
fn held_out_rows_judge_the_model() {
    let tables = patients();
    let config = Config { holdout: 0.3, ..config(of_patients(&tables), "pressure", &tables, 0.0, "median") };
    let (done, rounds) = train::<Linear>(&config, &tables).unwrap();
    assert_eq!(rounds, 12, "description, nine rounds for medians, fit, judging");
    assert_eq!(value(&done, "rows") + value(&done, "judging rows"), 600.0);
    let (r2, rmse) = (value(&done, "r2"), value(&done, "rmse"));
    assert!((0.15..0.8).contains(&r2) && (7.0..11.0).contains(&rmse), "{r2} {rmse}");
    for table in &tables {
        let report = Linear::report(&done.model, &blocks(table, &config)).unwrap();
        assert!(
            (40.0..90.0).contains(&report[0]) && report[1] > 0.05 && (6.0..13.0).contains(&report[2]),
            "{report:?}"
        );
    }
    // A user who knows only the age and that the person smokes.
    let answer = Linear::answer(&done.model, &[70.0, f64::NAN, 1.0, 2.0, f64::NAN]).unwrap();
    assert!((140.0..165.0).contains(&answer[0]), "{answer:?}");
    assert!(Linear::answer(&done.model, &[70.0, 27.0, 7.0, 2.0, 0.0]).is_err(), "a level that is none");
}

#[test]
fn too_few_rows_and_wrong_settings_are_said() {
    let mut tables = patients();
    let bad = Config { holdout: 0.95, ..config(of_patients(&tables), "pressure", &tables, 0.0, "drop") };
    assert!(train::<Linear>(&bad, &tables).unwrap_err().contains("held-out share"));
    let yes_no = Config { outcome: Outcome::YesNo { name: "event".into() }, ..bad.clone() };
    assert!(train::<Linear>(&yes_no, &tables).unwrap_err().contains("predicts a number"));
    let few = Config { holdout: 0.0, ..bad };
    tables.iter_mut().for_each(|t| t.rows.truncate(2));
    let error = train::<Linear>(&few, &tables).unwrap_err();
    assert!(error.contains("fewer rows than columns"), "{error}");
    tables.iter_mut().for_each(|t| t.rows.clear());
    let error = train::<Linear>(&few, &tables).unwrap_err();
    assert!(error.contains("no site has a row"), "{error}");
}

/// Sites that send what they like do not move a weight further than the plan says.
#[test]
fn to_drive_weights_to_1e12() {
    let tables = patients();
    let config = config(of_patients(&tables), "pressure", &tables, 0.0, "mean");
    let sites: Vec<_> = tables.iter().map(|t| blocks(t, &config)).collect();
    let trained = |lie: f64| {
        let mut state = Linear::begin(config.clone()).unwrap();
        loop {
            let ask = match Linear::next(&state).unwrap() {
                Next::Ask { ask } => ask,
                Next::Done { done } => return done,
            };
            let mut sums = vec![0.0; ask.len()];
            for site in &sites {
                let question = Wire::from_bytes(&ask.question).unwrap();
                sums.iter_mut().zip(Linear::site(question, site).unwrap()).for_each(|(s, v)| *s += v);
            }
            if ask.stage == "fit" {
                // The product of one column and the outcome: behind it stand those of the others, and the outcome's square.
                let place = sums.len() - 3;
                sums[place] += lie;
            }
            state = Linear::advance(state, Opened { donors: vec![1, 2, 3], sums }).unwrap();
        }
    };
    let largest = |done: &Done| done.model.array("weights").iter().fold(0.0_f64, |most, w| most.max(w.abs()));
    let honest = trained(0.0);
    assert!(largest(&honest) < 10.0 && honest.facts.iter().all(|f| f.name != "at the bound"));
    let lied = trained(1e12);
    assert_eq!(largest(&lied), 1000.0);
    assert!(!fact(&lied, "at the bound").rows.is_empty());
}
