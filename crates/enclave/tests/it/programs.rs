//! The committed validation program in the engine: same bits as native code, the same bits twice, and no input that breaks them.

use histone_enclave::engine::RunError;
use histone_enclave::gate;
use histone_program_sdk::job::{Table, ValidateJob};
use histone_program_sdk::refusal::Refusal;
use proptest::prelude::*;

use crate::support::{as_owner, committed};

/// Runs an input natively and twice in the engine; all three must agree, refusals included.
#[track_caller]
fn same(input: &[u8]) -> Result<Vec<u8>, Refusal> {
    let want = histone_program_validate::run(input);
    let first = as_owner(committed(), input);
    assert_eq!(first, as_owner(committed(), input), "two runs");
    match (&want, first) {
        (Ok(want), Ok(output)) => assert!(*want == output.bytes, "the engine differs from native code"),
        (Err(refusal), Err(RunError::Aborted(code))) => assert_eq!(refusal.code(), code),
        (want, got) => panic!("native {want:?}, engine {got:?}"),
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
    // The numbers, and a category of three levels.
    let mut levels = vec![0; columns as usize];
    levels.push(3);
    let rows = values.chunks(columns as usize).flat_map(|row| {
        let level = if next() < missing { f64::NAN } else { (next() * 3.0).floor() };
        [row, &[level]].concat()
    });
    let values = rows.collect();
    Table { levels, values }
}

#[test]
fn validation_equals_native_code_bit_for_bit() {
    for (rows, columns, missing) in [(0, 1, 0.0), (40, 1, 0.1), (200, 13, 0.4), (569, 30, 0.0)] {
        let table = table(rows, columns, missing);
        let out = same(&ValidateJob { table }.encode()).unwrap();
        assert_eq!(gate::report(&out, rows as u32, columns + 1).unwrap().encode(), out);
    }
}

#[test]
fn fuel_is_the_same_in_every_run() {
    let input = ValidateJob { table: table(300, 13, 0.1) }.encode();
    let fuel = committed().run(&input).unwrap().fuel_used;
    assert!(fuel > 100_000);
    for _ in 0..5 {
        assert_eq!(committed().run(&input).unwrap().fuel_used, fuel);
    }
}

#[test]
fn every_cut_of_a_job_is_refused() {
    let bytes = ValidateJob { table: table(3, 2, 0.1) }.encode();
    for cut in 0..bytes.len() {
        assert_eq!(same(&bytes[..cut]), Err(Refusal::Malformed), "cut at {cut}");
    }
}

#[test]
fn a_table_without_rows_cannot_claim_many_columns() {
    let mut bytes = ValidateJob { table: table(0, 1, 0.0) }.encode();
    bytes[1..5].fill(0xff);
    assert_eq!(same(&bytes), Err(Refusal::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A refusal, never a trap: the engine and native code agree on every input.
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let mut bytes = bytes;
        if version && let Some(first) = bytes.first_mut() {
            *first = 2;
        }
        let _ = same(&bytes);
    }

    /// Jobs with a few changed bytes get far deeper than random ones.
    #[test]
    fn changed_jobs_are_answered_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = ValidateJob { table: table(6, 3, 0.2) }.encode();
        for (place, value) in changes {
            let i = place.index(bytes.len());
            bytes[i] = value;
        }
        let _ = same(&bytes);
    }
}
