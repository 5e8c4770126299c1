//! Logistic regression over sites against one over pooled rows by others; `reference/reference.py` made the figures.

#![allow(clippy::unwrap_used)]

#[path = "../../sdk/tests/common/tables.rs"]
mod tables;

use histone_program_logistic::{Estimates, Logistic, Question, State};
use histone_program_sdk::config::{Config, Least, Outcome};
use histone_program_sdk::method::{Answer, Ask, Method, Next, Opened};
use histone_program_sdk::wire::Wire;
use tables::{Table, blocks, compare, fact, missing, number, of_patients, patients, train, tumours, value};

fn config(
    features: Vec<histone_program_sdk::config::Feature>,
    outcome: &str,
    ridge: f64,
    missing_as: &str,
) -> Config {
    Config {
        features,
        outcome: Outcome::YesNo { name: outcome.into() },
        missing: missing(missing_as),
        holdout: 0.0,
        least: Least::default(),
        values: vec![ridge, 50.0, 1e-9, 100.0, 0.0, 10.0, 50.0],
    }
}

fn all_tumour_features(tables: &[Table]) -> Vec<histone_program_sdk::config::Feature> {
    tables[0].names.iter().filter(|n| *n != "malignant").map(|n| number(n, tables)).collect()
}

#[test]
fn tumours_as_statsmodels_has_them() {
    let tables = tumours();
    let few = ["mean_radius", "mean_texture", "mean_smoothness", "mean_symmetry"].map(|n| number(n, &tables));
    let (done, rounds) = train::<Logistic>(&config(few.into(), "malignant", 0.0, "refuse"), &tables).unwrap();
    assert!(compare(&done, "tumours") < 1e-9, "{:e}", compare(&done, "tumours"));
    assert_eq!((value(&done, "rows"), value(&done, "positives")), (560.0, 208.0));
    assert!((7..13).contains(&rounds), "{rounds}");
    let all = config(all_tumour_features(&tables), "malignant", 2.5, "refuse");
    let (done, _) = train::<Logistic>(&all, &tables).unwrap();
    let worst = compare(&done, "tumours ridge 2.5");
    assert!(worst < 1e-9, "{worst:e}");
}

#[test]
fn patients_with_categories_gaps_and_tiny_values() {
    let tables = patients();
    for gaps in ["drop", "mean", "median"] {
        let (done, _) =
            train::<Logistic>(&config(of_patients(&tables), "event", 0.0, gaps), &tables).unwrap();
        let worst = compare(&done, &format!("patients {gaps}"));
        assert!(worst < 1e-9, "{gaps}: {worst:e}");
    }
}

#[test]
fn separation_is_said_in_plain_words() {
    let tables = tumours();
    let all = config(all_tumour_features(&tables), "malignant", 0.0, "refuse");
    let error = train::<Logistic>(&all, &tables).unwrap_err();
    assert!(error.contains("tell yes from no without an error") && error.contains("`ridge`"), "{error}");
    let insisted = Config { values: vec![0.0, 8.0, 1e-9, 100.0, 1.0, 10.0, 50.0], ..all };
    let (done, _) = train::<Logistic>(&insisted, &tables).unwrap();
    assert!(value(&done, "auc") > 0.99);
}

#[test]
fn held_out_rows_judge_the_model() {
    let tables = tumours();
    for share in [0.30, 0.35, 0.40] {
        let some =
            Config { holdout: share, ..config(all_tumour_features(&tables), "malignant", 2.5, "refuse") };
        let (done, _) = train::<Logistic>(&some, &tables).unwrap();
        let (training, judging) = (value(&done, "rows"), value(&done, "judging rows"));
        assert_eq!(training + judging, 560.0);
        assert!((judging / 560.0 - share).abs() < 0.01, "{share}: {judging}");
        assert!(value(&done, "auc") > 0.97 && value(&done, "brier") < 0.05);
        assert!((0.2..3.0).contains(&value(&done, "calibration slope")));
        // Each site for itself, and a row as a user asks.
        for table in &tables {
            let report = Logistic::report(&done.model, &blocks(table, &some)).unwrap();
            assert_eq!(report.len(), 6);
            // Of a handful it says how many they are.
            assert!(report[0] >= 1.0 && (report[1] <= report[0]) == (report[0] >= 20.0));
            assert_eq!(report[2..].iter().all(|v| v.is_nan()), report[0] < 20.0);
        }
        let answer = Logistic::answer(&done.model, &[f64::NAN; 30]).unwrap();
        assert!((0.0..=1.0).contains(&answer[0]));
        assert!(Logistic::answer(&done.model, &[f64::NAN; 30]).is_ok());
    }
}

#[test]
fn constant_columns_and_classes_that_lack() {
    let mut tables = patients();
    let with =
        |tables: &[Table]| train::<Logistic>(&config(of_patients(tables), "event", 0.0, "drop"), tables);
    // One site has one class only, another one row: nothing breaks.
    let c = tables[0].column("event");
    tables[0].rows.retain(|row| row[c] == "0");
    tables[1].rows.truncate(1);
    let (done, _) = with(&tables).unwrap();
    assert!(value(&done, "positives") < value(&done, "rows"));
    // A column that is the same in all rows is said by name and has no weight.
    let sex = tables[0].column("sex");
    tables.iter_mut().flat_map(|t| &mut t.rows).for_each(|row| row[sex] = "female".into());
    let (done, _) = with(&tables).unwrap();
    assert!(format!("{:?}", fact(&done, "constant").rows).contains("sex=male"));
    // One class overall.
    tables.iter_mut().flat_map(|t| &mut t.rows).for_each(|row| row[c] = "0".into());
    let error = with(&tables).unwrap_err();
    assert!(error.contains("0 rows with a yes"), "{error}");
}

#[test]
fn a_column_that_repeats_another_is_named() {
    let tables = tumours();
    let mut features = vec![number("mean_radius", &tables), number("mean_texture", &tables)];
    features.push(histone_program_sdk::config::Feature { name: "copy".into(), ..features[0].clone() });
    let mut copied = tables;
    for t in &mut copied {
        let c = t.column("mean_radius");
        t.names.push("copy".into());
        t.rows.iter_mut().for_each(|row| row.push(row[c].clone()));
    }
    let error = train::<Logistic>(&config(features, "malignant", 0.0, "refuse"), &copied).unwrap_err();
    assert!(error.contains("`copy` says nothing"), "{error}");
}

/// The state in which a training asks how its model does.
fn judging(config: &Config, tables: &[Table]) -> (Estimates, Ask) {
    let sites: Vec<_> = tables.iter().map(|t| blocks(t, config)).collect();
    let mut state = Logistic::begin(config.clone()).unwrap();
    loop {
        let Next::Ask { ask } = Logistic::next(&state).unwrap() else { panic!("nobody judged") };
        if let State::Judging { estimates, .. } = state {
            return (estimates, ask);
        }
        let question = || Question::from_bytes(&ask.question).unwrap();
        let mut sums = vec![0.0; ask.len()];
        for site in &sites {
            sums.iter_mut().zip(Logistic::site(question(), site).unwrap()).for_each(|(s, v)| *s += v);
        }
        state = Logistic::advance(state, Opened { donors: vec![1, 2], sums }).unwrap();
    }
}

#[test]
fn the_score_of_whoever_is_alone_in_a_bin_is_not_opened() {
    let tables = tumours();
    let some = config(all_tumour_features(&tables), "malignant", 2.5, "refuse");
    let (_, ask) = judging(&some, &tables);
    // Nobody but one person here.
    let mut one = tables[0].clone();
    one.rows.truncate(1);
    let question = Question::from_bytes(&ask.question).unwrap();
    let numbers = Logistic::site(question, &blocks(&one, &some)).unwrap();
    let bins = ask.segments[1].len as usize;
    let scores = &numbers[2 * bins..3 * bins];
    assert!(scores.iter().any(|v| *v != 0.0));
    assert!(scores.iter().all(|v| (v * 4.0).fract() == 0.0), "{scores:?}");
}

#[test]
fn rows_that_are_left_out_judge_nothing() {
    let tables = patients();
    let some = Config { holdout: 0.3, ..config(of_patients(&tables), "event", 0.0, "drop") };
    let (estimates, _) = judging(&some, &tables);
    let (done, _) = train::<Logistic>(&some, &tables).unwrap();
    assert_eq!(estimates.described.judging as f64, value(&done, "judging rows"));
}

#[test]
fn a_handful_of_rows_judges_no_model() {
    let mut tables = tumours();
    tables.iter_mut().for_each(|t| t.rows.truncate(40));
    let features: Vec<_> = ["mean_radius", "mean_texture"].map(|n| number(n, &tables)).into();
    let few = Config { holdout: 0.1, ..config(features, "malignant", 1.0, "refuse") };
    let (done, _) = train::<Logistic>(&few, &tables).unwrap();
    assert!(done.facts.iter().all(|f| f.name != "judging rows"));
    assert!(value(&done, "auc").is_nan() && value(&done, "brier").is_nan());
    assert_eq!(value(&done, "too few to judge"), 20.0);
}
