//! Every job and result comes back from its bytes, and bytes that are none are refused.

#![allow(clippy::unwrap_used)]

use super::*;

fn pre() -> Preprocessing {
    Preprocessing { fill: vec![1.0, -2.0], mean: vec![0.5, 0.0], sd: vec![2.0, 1.0] }
}

fn table() -> Table {
    Table { columns: 2, values: vec![1.0, 2.0, 3.0, 4.0, -0.0, 6.5], labels: vec![0, 1, 1] }
}

fn tasks() -> Vec<TrainTask> {
    let weights = vec![0.0, 1.0, -1.0];
    vec![
        TrainTask::Describe,
        TrainTask::Ranks { thresholds: vec![vec![], vec![-1.0, 0.0, f64::INFINITY]] },
        TrainTask::Newton { pre: pre(), weights: weights.clone() },
        TrainTask::Evaluate { pre: pre(), weights: weights.clone(), bins: 10 },
        TrainTask::Report { pre: pre(), weights, ridge: 0.0, iterations: 7, tolerance: 1e-6 },
    ]
}

fn spec(task: TrainTask) -> TrainSpec {
    TrainSpec { columns: 2, missing: Missing::Median, zero_is_missing: vec![0, 1], holdout_every: 5, task }
}

fn report() -> ValidateReport {
    ValidateReport {
        rows: 9,
        positives: 4,
        duplicates: 1,
        missing: vec![0, 9],
        flags: vec![0, 6],
        quality: 2,
    }
}

#[test]
fn jobs_come_back_from_their_bytes() {
    for task in tasks() {
        let job = TrainJob { spec: spec(task), table: table() };
        assert_eq!(TrainJob::decode(&job.encode()).unwrap(), job);
        assert_eq!(TrainSpec::decode(&job.spec.encode()).unwrap(), job.spec);
        assert!(job.encode().starts_with(&job.spec.encode()), "the public part is a prefix");
    }
    let job = ValidateJob { table: table() };
    assert_eq!(ValidateJob::decode(&job.encode()).unwrap(), job);
    let job = QueryJob { pre: pre(), weights: vec![0.0; 3], row: vec![1.0, 2.0] };
    assert_eq!(QueryJob::decode(&job.encode()).unwrap(), job);
    assert_eq!(ValidateReport::decode(&report().encode()).unwrap(), report());
}

#[test]
fn a_missing_value_crosses_as_the_one_nan() {
    let mut t = table();
    t.values[3] = f64::from_bits(0xfff0_0000_0000_0001);
    let back = ValidateJob::decode(&ValidateJob { table: t }.encode()).unwrap().table;
    assert_eq!(back.values[3].to_bits(), f64::NAN.to_bits());
}

#[test]
fn cut_and_longer_bytes_are_refused() {
    for task in tasks() {
        let mut bytes = TrainJob { spec: spec(task), table: table() }.encode();
        for cut in 0..bytes.len() {
            assert!(TrainJob::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(0);
        assert_eq!(TrainJob::decode(&bytes), Err(WireError::Trailing));
    }
    let bytes = report().encode();
    for cut in 0..bytes.len() {
        assert!(ValidateReport::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn contradictions_are_refused() {
    let refused = |change: fn(&mut TrainJob)| {
        let mut job = TrainJob { spec: spec(tasks().remove(2)), table: table() };
        change(&mut job);
        TrainJob::decode(&job.encode()).is_err()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|j| j.spec.columns = 3));
    assert!(refused(|j| j.spec.columns = 0));
    assert!(refused(|j| (j.spec.columns, j.table.columns) = (MAX_COLUMNS + 1, MAX_COLUMNS + 1)));
    assert!(refused(|j| j.spec.zero_is_missing = vec![1, 0]));
    assert!(refused(|j| j.spec.zero_is_missing = vec![2]));
    assert!(refused(|j| j.spec.holdout_every = 1));
    assert!(refused(|j| j.table.labels[0] = 2));
    assert!(refused(|j| j.table.values[0] = f64::INFINITY));
    assert!(refused(|j| {
        let pre = Preprocessing { fill: vec![0.0, f64::NAN], ..pre() };
        j.spec.task = TrainTask::Newton { pre, weights: vec![0.0; 3] };
    }));
    assert!(refused(|j| j.spec.task = TrainTask::Ranks { thresholds: vec![vec![], vec![1.0, 1.0]] }));
    assert!(refused(|j| j.spec.task = TrainTask::Newton { pre: pre(), weights: vec![0.0; 2] }));
    assert!(refused(|j| {
        let pre = Preprocessing { sd: vec![1.0, 0.0], ..pre() };
        j.spec.task = TrainTask::Newton { pre, weights: vec![0.0; 3] };
    }));
}
