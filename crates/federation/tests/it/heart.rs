//! Four real hospitals, against results of another implementation (scikit-learn) on the pooled rows.
//!
//! The data is not part of this repository: it is looked for where `HISTONE_DATA` says, else in `shared/data` beside the
//! workspace.

use std::path::PathBuf;

use histone_federation::plan::Plan;
use histone_federation::pooled;
use histone_program_sdk::job::{Missing, Table};
use serde_json::Value;

use crate::world::World;

const HOSPITALS: [&str; 4] = ["cleveland", "hungarian", "switzerland", "va"];

/// The folder of the heart data; `None`, with a printed reason, when there is none to be found.
fn folder() -> Option<PathBuf> {
    if let Some(data) = std::env::var_os("HISTONE_DATA") {
        let folder = PathBuf::from(data).join("clinical/heart");
        assert!(
            folder.join("reference.json").is_file(),
            "HISTONE_DATA is set, but {} has no reference.json",
            folder.display()
        );
        return Some(folder);
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/clinical/heart");
    if folder.join("reference.json").is_file() {
        return Some(folder);
    }
    println!("skipped: HISTONE_DATA is not set and there is no shared/data beside the workspace");
    None
}

/// Reads a hospital; an empty field is missing, the last column is the diagnosis, positive above 0.
fn read(text: &str) -> Table {
    let mut table = Table { columns: 13, values: vec![], labels: vec![] };
    for line in text.lines().skip(1).filter(|l| !l.is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields.len(), 14);
        table
            .values
            .extend(fields[..13].iter().map(|f| if f.is_empty() { f64::NAN } else { f.parse().unwrap() }));
        table.labels.push(u8::from(fields[13].parse::<f64>().unwrap() > 0.0));
    }
    table
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
    println!("{what}: largest difference {worst:.1e}");
    assert!(worst <= tolerance, "{what}: {found:?} is not {expected:?}");
}

#[test]
fn four_hospitals_reproduce_the_pooled_reference() {
    let Some(folder) = folder() else { return };
    let reference: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("reference.json")).unwrap()).unwrap();
    let features: Vec<&str> =
        reference["features"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    let hospital = |name| read(&std::fs::read_to_string(folder.join(format!("{name}.csv"))).unwrap());
    let sites: Vec<Table> = HOSPITALS.into_iter().map(hospital).collect();

    for (variant, zero_is_missing) in [("as_is", vec![]), ("zero_as_missing", vec![3, 4])] {
        let expected = &reference["variants"][variant];
        for (fit, ridge) in [("C1", 1.0), ("none", 0.0)] {
            let plan = Plan {
                columns: 13,
                missing: Missing::Median,
                zero_is_missing: zero_is_missing.clone(),
                holdout_every: 0,
                ridge,
                max_newton_rounds: 30,
                tolerance: 1e-8,
                bins: 100,
                min_survivors: 3,
            };
            let mut world = World::new(sites.clone(), 4);
            let all = world.donors();
            let trained = world.train(plan.clone(), &all).unwrap();
            let model = &trained.finished.model;
            println!(
                "{variant} {fit}: {} rounds, {} of Newton",
                trained.finished.rounds, model.newton_rounds
            );
            assert!(model.converged);

            let pre = &expected["pooled_preprocessing"];
            let name = |what: &str| format!("{variant} {fit} {what}");
            close(&name("medians"), &model.pre.fill, &numbers(&pre["median"]), 0.0);
            // The reference has eight decimals; deviations come from plain sums of squares.
            close(&name("means"), &model.pre.mean, &numbers(&pre["mean_after_imputation"]), 1e-7);
            close(&name("deviations"), &model.pre.sd, &numbers(&pre["sd_after_imputation_ddof0"]), 1e-7);
            let pooled_fit = &expected["pooled"][fit];
            let mut weights = vec![pooled_fit["intercept"].as_f64().unwrap()];
            weights.extend(
                features.iter().map(|f| pooled_fit["coefficients_standardised"][f].as_f64().unwrap()),
            );
            close(&name("weights"), &model.weights, &weights, 1e-5);
            let auc = pooled_fit["auc_training"].as_f64().unwrap();
            let evaluation = &trained.finished.evaluation;
            let (least, most) = evaluation.auc_within().unwrap();
            assert!((least..=most).contains(&auc), "{variant} {fit}: {auc} is not from {least} to {most}");
            close(&name("area under the curve"), &[evaluation.auc.unwrap()], &[auc], 3e-3);

            // Our own pooled solver, which is what a study prints, must agree as well.
            let table = pooled::concat(&sites).unwrap();
            let own = pooled::fit(&table, &plan).unwrap();
            close(&name("weights against our pooled solver"), &model.weights, &own.weights, 1e-9);
            let exact = pooled::auc(&pooled::scores(&own, &table), &table.labels).unwrap();
            close(&name("exact area under the curve"), &[exact], &[auc], 1e-6);
        }
    }
}
