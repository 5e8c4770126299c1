//! Membership inference on a released model: who tells from the model, a row and the other rows whether it was trained on.
//!
//! Shadow models are trained on random halves of all rows. For each row the log odds of its own outcome have one distribution
//! over the models that were trained on it and another over those that were not; the score of a target is the ratio of the two
//! likelihoods (LiRA: Carlini and others, Membership Inference Attacks From First Principles, 2022). The attacker therefore
//! has all rows and their outcomes but for the knowledge which of them were trained on: more than any attacker of a study has.

use std::path::Path;

use histone_enclave::method::{LocalStep, LocalTraining};
use histone_program_sdk::config::{Config, Missing};
use histone_program_sdk::tabular::Design;

use super::world::{Random, Rows, config, honest, method, number, plan};

/// Area under the curve and true positives at 1 % false positives, each with half of its 95 % interval.
#[derive(Debug, Clone, Copy)]
struct Inferred {
    auc: (f64, f64),
    low: (f64, f64),
}

/// Log odds of each row's own outcome in a model that is trained on the chosen ones.
fn confidences(config: &Config, rows: &[Vec<f64>], chosen: &[bool]) -> Vec<f64> {
    let training =
        rows.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(row, _)| row.clone()).collect();
    let sites = [Rows(training).blocks()];
    let mut local = LocalTraining::new(method(), config).unwrap();
    let model = loop {
        if let LocalStep::Done(done) = local.step(&sites).unwrap() {
            break done.model;
        }
    };
    let design = Design::of(&model).unwrap();
    let weights = model.array("weights");
    let features = config.features.len();
    let confidence = |row: &Vec<f64>| {
        let mut z = vec![1.0];
        assert!(design.append(&row[..features], &mut z));
        let eta: f64 = weights.iter().zip(&z).map(|(w, z)| w * z).sum();
        if row[features] == 1.0 { eta } else { -eta }
    };
    rows.iter().map(confidence).collect()
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0).max(1.0)).sqrt())
}

/// Area under the curve, and true positives at 1 % false positives, of scores of members and others.
fn curve(scores: &[(f64, bool)]) -> (f64, f64) {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let members = sorted.iter().filter(|s| s.1).count() as f64;
    let others = sorted.len() as f64 - members;
    let (mut hits, mut alarms, mut area, mut at_one_percent) = (0.0, 0.0, 0.0, 0.0);
    for (_, member) in sorted {
        if member {
            hits += 1.0;
        } else {
            alarms += 1.0;
            area += hits;
        }
        if alarms <= 0.01 * others {
            at_one_percent = hits / members;
        }
    }
    (area / (members * others), at_one_percent)
}

/// Trains so many models on random halves, and takes each in turn as the target and all others as its shadows.
fn infer(config: &Config, rows: &[Vec<f64>], models: usize, seed: u64) -> Inferred {
    let mut random = Random::new(seed);
    let chosen: Vec<Vec<bool>> =
        (0..models).map(|_| rows.iter().map(|_| random.uniform() < 0.5).collect()).collect();
    let confidence: Vec<Vec<f64>> = chosen.iter().map(|chosen| confidences(config, rows, chosen)).collect();
    let mut figures = (Vec::new(), Vec::new());
    for target in 0..models {
        let score = |row: usize| {
            let of = |member: bool| {
                let shadows = (0..models).filter(|&m| m != target && chosen[m][row] == member);
                mean_and_deviation(&shadows.map(|m| confidence[m][row]).collect::<Vec<_>>())
            };
            let likelihood = |(mean, deviation): (f64, f64)| {
                let deviation = deviation.max(1e-9);
                let far = (confidence[target][row] - mean) / deviation;
                -0.5 * far * far - deviation.ln()
            };
            (likelihood(of(true)) - likelihood(of(false)), chosen[target][row])
        };
        let (auc, low) = curve(&(0..rows.len()).map(score).collect::<Vec<_>>());
        figures.0.push(auc);
        figures.1.push(low);
    }
    let interval = |values: &[f64]| {
        let (mean, deviation) = mean_and_deviation(values);
        (mean, 1.96 * deviation / (values.len() as f64).sqrt())
    };
    Inferred { auc: interval(&figures.0), low: interval(&figures.1) }
}

/// Columns, plan and rows of the heart study, of all hospitals; none, with a reason printed, where its data are not.
pub fn heart() -> Option<(Config, Vec<Vec<f64>>)> {
    let root = match std::env::var_os("HISTONE_DATA") {
        Some(root) => root.into(),
        None => {
            let beside = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|a| a.join("shared/data"));
            let Some(root) = beside.into_iter().find(|root| root.is_dir()) else {
                println!("SKIPPED: neither HISTONE_DATA nor ../shared/data is there");
                return None;
            };
            root
        }
    };
    let mut rows: Vec<Vec<f64>> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for site in ["cleveland", "hungarian", "switzerland", "va"] {
        let file = root.join("clinical/heart").join(format!("{site}.csv"));
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut lines = text.lines();
        names = lines.next().unwrap().split(',').map(str::to_owned).collect();
        for line in lines {
            let mut row: Vec<f64> = line.split(',').map(|v| v.parse().unwrap_or(f64::NAN)).collect();
            let outcome = row.last_mut().unwrap();
            *outcome = f64::from(u8::from(*outcome > 0.0));
            rows.push(row);
        }
    }
    let zero = |name: &str| matches!(name, "chol" | "trestbps");
    let feature = |i: usize| {
        let there =
            || rows.iter().map(|row| row[i]).filter(|v| !(v.is_nan() || *v == 0.0 && zero(&names[i])));
        let range = (there().fold(f64::MAX, f64::min), there().fold(f64::MIN, f64::max));
        let mut feature = number(&names[i], range);
        feature.zero_is_missing = zero(&names[i]);
        feature
    };
    let features = (0..names.len() - 1).map(feature).collect();
    let settings = [("ridge", 1.0), ("rounds", 12.0), ("tolerance", 1e-6)];
    Some((config(features, Missing::Median {}, &settings), rows))
}

/// The control: few rows of noise are learnt by heart, and the attack sees it; many rows are not.
#[test]
fn few_rows_of_noise_are_members() {
    let mut random = Random::new(4);
    let mut noise = |rows: usize| {
        let mut rows = honest(&mut random, rows).0;
        rows.iter_mut().for_each(|row| row[5] = f64::from(u8::from(random.uniform() < 0.5)));
        rows
    };
    let (few, many) = (noise(30), noise(600));
    let few = infer(&plan(12), &few, 24, 1);
    let many = infer(&plan(12), &many, 24, 1);
    println!("membership: 30 rows of noise {few:?}, 600 rows {many:?}");
    assert!(few.auc.0 > 0.62, "{few:?}");
    assert!(many.auc.0 < few.auc.0 && many.auc.0 < 0.6, "{many:?}");
}

#[test]
#[ignore = "minutes; cargo test -p histone-enclave --test it attacks -- --ignored --nocapture --test-threads 1"]
fn what_the_heart_model_tells_of_its_rows() {
    let Some((config, rows)) = heart() else { return };
    assert_eq!(rows.len(), 920);
    let found = infer(&config, &rows, 256, 1);
    println!(
        "membership, heart, 256 models of 460 rows each: AUC {:.4} +- {:.4}, true positives at 1 % false ones {:.4} +- {:.4}",
        found.auc.0, found.auc.1, found.low.0, found.low.1
    );
    assert!(found.auc.0 < 0.56 && found.low.0 < 0.025, "{found:?}");
}
