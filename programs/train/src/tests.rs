//! The tasks on tables small enough to check by hand, and against independent formulas.

#![allow(clippy::unwrap_used)]

use histone_program_sdk::job::{Missing, Preprocessing, Table, TrainSpec};
use histone_program_sdk::wire::decode_vector;

use super::*;

const N: f64 = f64::NAN;

fn spec(columns: u32, task: TrainTask) -> TrainSpec {
    TrainSpec { columns, missing: Missing::Mean, zero_is_missing: vec![], holdout_every: 0, task }
}

fn table(columns: u32, values: &[f64], labels: &[u8]) -> Table {
    Table { columns, values: values.to_vec(), labels: labels.to_vec() }
}

/// Through the bytes, as the host does it.
fn ask(spec: TrainSpec, table: Table) -> Result<Vec<f64>, Refusal> {
    let want = spec.task.output_len(spec.columns as usize);
    let out = decode_vector(&run(&TrainJob { spec, table }.encode())?).unwrap();
    assert_eq!(out.len(), want);
    Ok(out)
}

fn plain(columns: usize) -> Preprocessing {
    Preprocessing { fill: vec![0.0; columns], mean: vec![0.0; columns], sd: vec![1.0; columns] }
}

/// A table without structure but the same in every run.
fn scrambled(rows: usize, columns: u32) -> Table {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let values: Vec<f64> = (0..rows * columns as usize).map(|_| next() * 10.0 - 3.0).collect();
    let labels = (0..rows).map(|i| u8::from(values[i * columns as usize] + 6.0 * next() > 5.0)).collect();
    Table { columns, values, labels }
}

#[test]
fn describes_training_rows() {
    let t = table(2, &[1.0, 0.0, 2.0, N, 3.0, 4.0], &[0, 1, 1]);
    assert_eq!(
        ask(spec(2, TrainTask::Describe), t.clone()).unwrap(),
        [3.0, 2.0, 3.0, 2.0, 6.0, 4.0, 14.0, 16.0]
    );
    let zeros = TrainSpec { zero_is_missing: vec![1], ..spec(2, TrainTask::Describe) };
    assert_eq!(ask(zeros, t.clone()).unwrap(), [3.0, 2.0, 3.0, 1.0, 6.0, 4.0, 14.0, 16.0]);
    let dropped = TrainSpec { missing: Missing::Drop, ..spec(2, TrainTask::Describe) };
    assert_eq!(ask(dropped, t.clone()).unwrap(), [2.0, 1.0, 2.0, 2.0, 4.0, 4.0, 10.0, 16.0]);
    let refused = TrainSpec { missing: Missing::Refuse, ..spec(2, TrainTask::Describe) };
    assert_eq!(ask(refused, t), Err(Refusal::MissingValue));
}

#[test]
fn holds_out_every_kth_of_each_class() {
    let t = table(1, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0], &[0, 1, 0, 1, 0, 1]);
    let job = TrainJob { spec: TrainSpec { holdout_every: 3, ..spec(1, TrainTask::Describe) }, table: t };
    let rows = Rows::choose(&job).unwrap();
    assert_eq!(rows.held_out, [(vec![16.0], false), (vec![32.0], true)]);
    assert_eq!(answer(&job).unwrap(), [4.0, 2.0, 4.0, 15.0, 85.0]);
}

#[test]
fn the_split_does_not_depend_on_dropped_rows() {
    let t = table(1, &[1.0, N, 4.0, 8.0], &[0, 0, 0, 0]);
    let dropped = TrainSpec { missing: Missing::Drop, holdout_every: 2, ..spec(1, TrainTask::Describe) };
    let rows = Rows::choose(&TrainJob { spec: dropped, table: t }).unwrap();
    assert_eq!(rows.training, [(vec![1.0], false), (vec![4.0], false)]);
    assert_eq!(rows.held_out, [(vec![8.0], false)]);
}

#[test]
fn ranks_count_values_up_to_a_threshold() {
    let t = table(2, &[1.0, 5.0, 2.0, N, 2.0, 6.0, 9.0, 7.0], &[0, 0, 1, 1]);
    let task = TrainTask::Ranks { thresholds: vec![vec![0.0, 1.0, 2.0, 8.0, f64::INFINITY], vec![]] };
    assert_eq!(ask(spec(2, task), t).unwrap(), [0.0, 1.0, 3.0, 3.0, 4.0]);
}

#[test]
fn newton_sums_agree_with_difference_quotients() {
    let t = scrambled(60, 11);
    let pre = Preprocessing { fill: vec![1.0; 11], mean: vec![2.0; 11], sd: vec![3.0; 11] };
    let weights: Vec<f64> = (0..12).map(|i| 0.1 * f64::from(i) - 0.4).collect();
    let at = |weights: &[f64]| {
        ask(spec(11, TrainTask::Newton { pre: pre.clone(), weights: weights.to_vec() }), t.clone()).unwrap()
    };
    let here = at(&weights);
    let h = 1e-5;
    let mut entry = 12;
    for i in 0..12 {
        let mut up = weights.clone();
        up[i] += h;
        let mut down = weights.clone();
        down[i] -= h;
        let (up, down) = (at(&up), at(&down));
        let slope = -(up.last().unwrap() - down.last().unwrap()) / (2.0 * h);
        assert!((slope - here[i]).abs() < 1e-6, "gradient {i}: {slope} and {}", here[i]);
        for j in i..12 {
            let curvature = -(up[j] - down[j]) / (2.0 * h);
            assert!((curvature - here[entry]).abs() < 1e-6, "curvature {i}, {j}");
            entry += 1;
        }
    }
    assert_eq!(entry, here.len() - 1);
}

#[test]
fn losses_stay_finite_far_out() {
    let t = table(1, &[1000.0, -1000.0], &[0, 1]);
    let out = ask(spec(1, TrainTask::Newton { pre: plain(1), weights: vec![0.0, 5.0] }), t).unwrap();
    assert_eq!(out.last(), Some(&10_000.0));
    assert!(out.iter().all(|v| v.is_finite()));
}

#[test]
fn histogram_separates_classes() {
    let t = table(1, &[-1000.0, -1e-9, 0.0, 1000.0], &[0, 0, 1, 1]);
    let task = TrainTask::Evaluate { pre: plain(1), weights: vec![0.0, 1.0], bins: 4 };
    assert_eq!(ask(spec(1, task), t.clone()).unwrap(), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    let task = TrainTask::Evaluate { pre: plain(1), weights: vec![0.0, 1.0], bins: 4 };
    let held = TrainSpec { holdout_every: 3, ..spec(1, task) };
    assert_eq!(ask(held, t).unwrap(), [0.0; 8], "a site that cannot hold out a row counts nothing");
}

#[test]
fn auc_counts_pairs_and_half_ties() {
    let t = |pairs: &[(f64, u8)]| auc(pairs.iter().map(|&(s, l)| (s, l == 1)).collect());
    assert_eq!(t(&[(0.0, 0), (1.0, 1)]), 1.0);
    assert_eq!(t(&[(1.0, 0), (0.0, 1)]), 0.0);
    assert_eq!(t(&[(1.0, 0), (1.0, 1)]), 0.5);
    assert_eq!(t(&[(1.0, 0), (1.0, 1), (2.0, 1), (0.0, 0), (3.0, 0)]), 3.5 / 6.0);
    assert_eq!(t(&[(1.0, 1)]), -1.0);
    assert_eq!(t(&[]), -1.0);
}

#[test]
fn the_local_fit_reaches_the_optimum() {
    let t = scrambled(200, 5);
    let job = TrainJob { spec: spec(5, TrainTask::Describe), table: t };
    let rows = Rows::choose(&job).unwrap();
    let pre = fit::local_preprocessing(&rows, Missing::Mean);
    let ridge = 1.5;
    let weights = fit::local_model(&rows, &pre, fit::Fit { ridge, iterations: 50, tolerance: 1e-12 });
    let state = sums::newton(&rows, &pre, &weights);
    assert!(state[0].abs() < 1e-9, "the intercept has no penalty");
    for i in 1..6 {
        assert!(
            (state[i] - ridge * weights[i]).abs() < 1e-9,
            "the gradient of the penalized likelihood vanishes"
        );
    }
    assert!(weights[1] > 0.5, "the first column makes the label");
}

#[test]
fn report_holds_with_a_constant_column_and_a_single_class() {
    let mut t = scrambled(80, 3);
    t.values.iter_mut().skip(2).step_by(3).for_each(|v| *v = 7.0);
    let task = |ridge| TrainTask::Report {
        pre: plain(3),
        weights: vec![0.0, 1.0, 0.0, 0.0],
        ridge,
        iterations: 25,
        tolerance: 1e-8,
    };
    for ridge in [0.0, 1.0] {
        let out = ask(TrainSpec { holdout_every: 4, ..spec(3, task(ridge)) }, t.clone()).unwrap();
        let positives = t.labels.iter().filter(|&&l| l == 1).count();
        assert_eq!(out[0] as usize, positives / 4 + (80 - positives) / 4);
        assert_eq!(out[1] as usize, positives / 4);
        assert!(out[2] > 0.6 && out[3] > 0.6, "{out:?}");
    }
    t.labels.fill(1);
    let out = ask(spec(3, task(0.0)), t).unwrap();
    assert_eq!(out, [80.0, 80.0, -1.0, -1.0]);
    let empty = table(3, &[], &[]);
    assert_eq!(ask(spec(3, task(1.0)), empty).unwrap(), [0.0, 0.0, -1.0, -1.0]);
}

#[test]
fn refuses_what_is_not_a_job() {
    assert_eq!(run(&[]), Err(Refusal::Malformed));
    let job = TrainJob { spec: spec(2, TrainTask::Describe), table: table(2, &[1.0, 2.0], &[1]) };
    let bytes = job.encode();
    for cut in 0..bytes.len() {
        assert_eq!(run(&bytes[..cut]), Err(Refusal::Malformed));
    }
}
