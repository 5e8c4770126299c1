//! The committed programs in the engine: same bits as native code, the same bits twice, and no input that breaks them.

use histone_enclave::engine::RunError;
use histone_enclave::gate::{Admitted, OutputSchema};
use histone_program_sdk::job::{
    Missing, Preprocessing, QueryJob, Table, TrainJob, TrainSpec, TrainTask, ValidateJob,
};
use histone_program_sdk::refusal::Refusal;
use proptest::prelude::*;

use crate::support::{as_owner, committed};

type Native = fn(&[u8]) -> Result<Vec<u8>, Refusal>;

const PROGRAMS: [(&str, Native); 3] = [
    ("validate", histone_program_validate::run),
    ("train", histone_program_train::run),
    ("query", histone_program_query::run),
];

/// Runs an input natively and twice in the engine; all three must agree, refusals included.
#[track_caller]
fn same(name: &'static str, input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (_, native) = PROGRAMS.into_iter().find(|(n, _)| *n == name).unwrap();
    let want = native(input);
    let first = as_owner(committed(name), input);
    assert_eq!(first, as_owner(committed(name), input), "two runs");
    match (&want, first) {
        (Ok(want), Ok(output)) => assert!(*want == output.bytes, "{name} differs from native code"),
        (Err(refusal), Err(RunError::Aborted(code))) => assert_eq!(refusal.code(), code),
        (want, got) => panic!("{name}: native {want:?}, engine {got:?}"),
    }
    want
}

/// Numbers without structure but the same in every run, in [0, 1).
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn table(rows: usize, columns: u32, missing: f64) -> Table {
    let mut next = noise(rows as u64 * 31 + u64::from(columns));
    let values: Vec<f64> = (0..rows * columns as usize)
        .map(|i| match next() {
            v if v < missing => f64::NAN,
            // Columns of different scales, the last one with zeros.
            v if i % columns as usize == columns as usize - 1 && v < 0.3 => 0.0,
            _ => (next() - 0.4) * 10_f64.powi((i % columns as usize % 5) as i32),
        })
        .collect();
    let labels = (0..rows).map(|i| u8::from(values[i * columns as usize] > 0.4 * next())).collect();
    Table { columns, values, labels }
}

fn tasks(columns: usize) -> Vec<TrainTask> {
    let mut next = noise(columns as u64);
    let pre = Preprocessing {
        fill: (0..columns).map(|_| next()).collect(),
        mean: (0..columns).map(|_| next()).collect(),
        sd: (0..columns).map(|c| 10_f64.powi((c % 5) as i32) * (0.1 + next())).collect(),
    };
    let weights: Vec<f64> = (0..=columns).map(|_| next() * 2.0 - 1.0).collect();
    vec![
        TrainTask::Describe,
        TrainTask::Ranks {
            thresholds: (0..columns).map(|c| (0..c).map(|t| t as f64 - 2.0).collect()).collect(),
        },
        TrainTask::Newton { pre: pre.clone(), weights: weights.clone() },
        TrainTask::Evaluate { pre: pre.clone(), weights: weights.clone(), bins: 50 },
        TrainTask::Report { pre, weights, ridge: 1.0, iterations: 20, tolerance: 1e-8 },
    ]
}

#[test]
fn training_equals_native_code_bit_for_bit() {
    for (rows, columns, missing) in [(0, 1, 0.0), (1, 3, 0.0), (40, 1, 0.1), (200, 13, 0.15), (150, 30, 0.0)]
    {
        for task in tasks(columns as usize) {
            let len = task.output_len(columns as usize);
            for policy in [Missing::Refuse, Missing::Drop, Missing::Mean, Missing::Median] {
                let spec = TrainSpec {
                    columns,
                    missing: policy,
                    zero_is_missing: vec![columns - 1],
                    holdout_every: 4,
                    task: task.clone(),
                };
                let out = same("train", &TrainJob { spec, table: table(rows, columns, missing) }.encode());
                if let Ok(out) = out {
                    assert_eq!(out.len(), 8 * len);
                    let schema = OutputSchema::Vector { len, max_abs: 1e15 };
                    assert!(schema.admit(&out).is_ok(), "{task:?} with {policy:?}");
                } else {
                    assert_eq!(policy, Missing::Refuse);
                }
            }
        }
    }
}

#[test]
fn validation_equals_native_code_bit_for_bit() {
    for (rows, columns, missing) in [(0, 1, 0.0), (40, 1, 0.1), (200, 13, 0.4), (569, 30, 0.0)] {
        let table = table(rows, columns, missing);
        let out = same("validate", &ValidateJob { table }.encode()).unwrap();
        let admitted = OutputSchema::Report { rows: rows as u32, columns }.admit(&out).unwrap();
        assert_eq!(admitted.encode(), out);
    }
}

#[test]
fn queries_equal_native_code_bit_for_bit() {
    let mut next = noise(7);
    for columns in [1, 13, 30] {
        let pre =
            Preprocessing { fill: vec![0.5; columns], mean: vec![0.25; columns], sd: vec![0.75; columns] };
        for _ in 0..50 {
            let weights = (0..=columns).map(|_| next() * 4.0 - 2.0).collect();
            let row = (0..columns).map(|_| if next() < 0.1 { f64::NAN } else { next() * 3.0 }).collect();
            let out = same("query", &QueryJob { pre: pre.clone(), weights, row }.encode()).unwrap();
            let admitted = OutputSchema::Probability { decimals: 4 }.admit(&out).unwrap();
            assert!(matches!(admitted, Admitted::Probability(p) if (0.0..=1.0).contains(&p)));
        }
    }
}

#[test]
fn a_site_report_passes_its_gate() {
    let spec = TrainSpec {
        columns: 13,
        missing: Missing::Median,
        zero_is_missing: vec![],
        holdout_every: 4,
        task: tasks(13).pop().unwrap(),
    };
    let out = same("train", &TrainJob { spec, table: table(200, 13, 0.1) }.encode()).unwrap();
    let Admitted::SiteReport(report) = OutputSchema::SiteReport { rows: 200 }.admit(&out).unwrap() else {
        panic!("a site report");
    };
    assert!((48..=50).contains(&report.rows), "a quarter of each class is held out: {report:?}");
    assert!(report.local_auc.unwrap() > 0.8, "the first column makes the label: {report:?}");
}

#[test]
fn fuel_is_the_same_in_every_run() {
    let spec = TrainSpec {
        columns: 13,
        missing: Missing::Mean,
        zero_is_missing: vec![],
        holdout_every: 0,
        task: tasks(13).swap_remove(2),
    };
    let input = TrainJob { spec, table: table(300, 13, 0.1) }.encode();
    let fuel = committed("train").run(&input).unwrap().fuel_used;
    assert!(fuel > 100_000);
    for _ in 0..5 {
        assert_eq!(committed("train").run(&input).unwrap().fuel_used, fuel);
    }
}

#[test]
fn every_cut_of_a_job_is_refused() {
    let job = QueryJob {
        pre: Preprocessing { fill: vec![0.0; 2], mean: vec![0.0; 2], sd: vec![1.0; 2] },
        weights: vec![0.0; 3],
        row: vec![1.0; 2],
    };
    let bytes = job.encode();
    for cut in 0..bytes.len() {
        assert_eq!(same("query", &bytes[..cut]), Err(Refusal::Malformed), "cut at {cut}");
    }
}

#[test]
fn a_table_without_rows_cannot_claim_many_columns() {
    let spec = TrainSpec {
        columns: u32::MAX,
        missing: Missing::Mean,
        zero_is_missing: vec![],
        holdout_every: 0,
        task: TrainTask::Describe,
    };
    let table = Table { columns: u32::MAX, values: vec![], labels: vec![] };
    assert_eq!(same("train", &TrainJob { spec, table: table.clone() }.encode()), Err(Refusal::Malformed));
    assert_eq!(same("validate", &ValidateJob { table }.encode()), Err(Refusal::Malformed));
}

/// Valid jobs, as a start for changes.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = vec![("validate", ValidateJob { table: table(6, 3, 0.2) }.encode())];
    for task in tasks(3) {
        let spec = TrainSpec {
            columns: 3,
            missing: Missing::Median,
            zero_is_missing: vec![1],
            holdout_every: 2,
            task,
        };
        seeds.push(("train", TrainJob { spec, table: table(6, 3, 0.2) }.encode()));
    }
    let pre = Preprocessing { fill: vec![0.0; 3], mean: vec![0.0; 3], sd: vec![1.0; 3] };
    seeds.push(("query", QueryJob { pre, weights: vec![0.5; 4], row: vec![1.0; 3] }.encode()));
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A refusal, never a trap: the engine and native code agree on every input.
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let mut bytes = bytes;
        if version && let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        for (name, _) in PROGRAMS {
            let _ = same(name, &bytes);
        }
    }

    /// Jobs with a few changed bytes get far deeper than random ones.
    #[test]
    fn changed_jobs_are_answered_or_refused(
        seed in 0..7_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (name, mut bytes) = seeds().swap_remove(seed);
        for (place, value) in changes {
            let i = place.index(bytes.len());
            bytes[i] = value;
        }
        let _ = same(name, &bytes);
    }
}
