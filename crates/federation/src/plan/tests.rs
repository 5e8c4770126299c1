#![allow(clippy::unwrap_used)]
use super::*;
use histone_program_sdk::job::Preprocessing;
use proptest::prelude::*;

fn plan(missing: Missing) -> Plan {
    Plan {
        columns: 2,
        missing,
        zero_is_missing: vec![],
        holdout_every: 0,
        ridge: 1.0,
        max_newton_rounds: 5,
        tolerance: 1e-8,
        bins: 10,
        min_survivors: 2,
    }
}

fn next(step: Result<Step, PlanError>) -> Training {
    match step.unwrap() {
        Step::Next(t) => t,
        other => panic!("{other:?}"),
    }
}

/// Rows 1, 1, 1, 5 in the first column: mean 2, deviation sqrt(3).
const SUM: [f64; 8] = [4.0, 2.0, 4.0, 0.0, 8.0, 0.0, 28.0, 0.0];

#[test]
fn a_mean_plan_goes_from_description_to_newton() {
    let t = Training::start(plan(Missing::Mean)).unwrap();
    assert_eq!(t.spec().task, TrainTask::Describe);
    // The second column is missing everywhere.
    let t = next(t.advance(&[1, 2], &SUM));
    let TrainTask::Newton { pre, weights } = t.spec().task else { panic!() };
    let sd = vec![3f64.sqrt(), 1.0];
    assert_eq!(pre, Preprocessing { fill: vec![2.0, 0.0], mean: vec![2.0, 0.0], sd });
    assert_eq!(weights, vec![0.0; 3]);
    assert_eq!((t.rounds(), t.stage()), (1, "newton"));
}

#[test]
fn any_donors_but_too_few_go_on_and_states_have_different_hashes() {
    let t0 = Training::start(plan(Missing::Median)).unwrap();
    let t1 = next(t0.advance(&[1, 2, 3], &SUM));
    assert_eq!((t1.donors(), t1.stage()), (&[1, 2, 3][..], "ranks"));
    let counts = vec![4.0; t1.spec().task.output_len(2)];
    let t2 = next(t1.advance(&[1, 3], &counts));
    assert_eq!(t2.donors(), [1, 3]);
    assert!(t1.advance(&[1, 2, 3, 4], &counts).is_ok());
    let few = PlanError::TooFewDonors { stage: "ranks", got: 1, minimum: 2 };
    assert_eq!(t1.advance(&[1], &counts), Err(few));
    assert!(t1.advance(&[], &counts).is_err() && t1.advance(&[2, 1], &counts).is_err());
    let three = Training::start(Plan { min_survivors: 3, ..plan(Missing::Mean) }).unwrap();
    assert!(three.advance(&[1, 2], &SUM).is_err() && three.advance(&[1, 2, 4], &SUM).is_ok());

    let other = |donors: &[u16], at: usize, by: f64| {
        let mut sum = SUM;
        sum[at] += by;
        next(t0.advance(donors, &sum)).state_hash()
    };
    let hashes = [
        t0.state_hash(),
        t1.state_hash(),
        t2.state_hash(),
        other(&[1, 2], 0, 0.0),
        other(&[1, 2, 3], 6, 1.0),
    ];
    assert_eq!(hashes[1], other(&[1, 2, 3], 0, 0.0));
    let mut distinct = hashes.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 5);
}

/// The trainer cannot have single people opened by asking for many bins.
#[test]
fn few_rows_have_few_bins() {
    let bins = |asked, holdout_every, rows: f64, donors: &[u16]| {
        let plan = Plan { bins: asked, holdout_every, max_newton_rounds: 1, ..plan(Missing::Mean) };
        let t = Training::start(plan).unwrap();
        let t = next(t.advance(donors, &[rows, 2.0, rows, 0.0, 8.0, 0.0, rows + 28.0, 0.0]));
        let mut newton = vec![0.0; t.spec().task.output_len(2)];
        newton[3..9].copy_from_slice(&[1.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
        let TrainTask::Evaluate { bins, .. } = next(t.advance(donors, &newton)).spec().task else { panic!() };
        bins
    };
    // Every row of the training.
    assert_eq!([9.0, 39.0, 72.0, 990.0, 1e6].map(|rows| bins(100, 0, rows, &[1, 2])), [2, 3, 7, 99, 100]);
    assert_eq!(bins(20, 0, 1e6, &[1, 2]), 20);
    // A quarter of all: 300 training rows of three sites are 94 or more held-out ones.
    assert_eq!([bins(100, 4, 300.0, &[1, 2, 3]), bins(100, 4, 10.0, &[1, 2])], [9, 2]);
    let floor = plan(Missing::Mean);
    for (every, sites) in [(2u32, 1usize), (4, 3), (5, 4)] {
        for class in 2..40u64 {
            let held = class / u64::from(every);
            let (trained, held) = (2 * sites as u64 * (class - held), 2 * sites as u64 * held);
            let fewest = Plan { holdout_every: every, ..floor.clone() }.fewest_evaluated(trained, sites);
            assert!(fewest <= held && held < fewest + 4 * sites as u64, "{fewest} {held}");
        }
    }
}

#[test]
fn impossible_sums_are_refused() {
    let check = |missing, sum: &[f64], part: &str| {
        let e = Training::start(plan(missing)).unwrap().advance(&[1, 2], sum).unwrap_err().to_string();
        assert!(e.contains(part), "{e}");
    };
    check(Missing::Mean, &[4.0, 2.0, 3.0], "3 numbers where the describe stage asks for 8");
    check(Missing::Mean, &[4.0, 1.0, 4.0, 4.0, 0.0, 0.0, 9.0, 9.0], "1 positive and 3 negative");
    check(Missing::Mean, &[4.5, 2.0, 4.0, 4.0, 0.0, 0.0, 9.0, 9.0], "whole number");
    check(Missing::Mean, &[4.0, -2.0, 4.0, 4.0, 0.0, 0.0, 9.0, 9.0], "whole number");
    check(Missing::Mean, &[4.0, 2.0, 5.0, 4.0, 0.0, 0.0, 9.0, 9.0], "than rows");
    check(Missing::Mean, &[4.0, 2.0, 4.0, 4.0, f64::NAN, 0.0, 9.0, 9.0], "not finite");
    check(Missing::Mean, &[4.0, 2.0, 4.0, 4.0, 8.0, 0.0, 15.0, 9.0], "less than their values allow");
    check(Missing::Refuse, &[4.0, 2.0, 4.0, 3.0, 0.0, 0.0, 9.0, 9.0], "lets none through");
}

#[test]
fn bad_plans_are_refused() {
    let changes: [fn(&mut Plan); 9] = [
        |p| p.columns = 0,
        |p| p.zero_is_missing = vec![1, 1],
        |p| p.zero_is_missing = vec![2],
        |p| p.holdout_every = 1,
        |p| p.ridge = -1.0,
        |p| p.max_newton_rounds = 0,
        |p| p.tolerance = f64::NAN,
        |p| p.bins = 1,
        |p| p.bins = 101,
    ];
    for change in changes {
        let mut p = plan(Missing::Mean);
        change(&mut p);
        assert!(Training::start(p).is_err());
    }
}

proptest! {
    #[test]
    fn plans_round_trip_and_decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), at: usize, flip: u8) {
        let _ = Plan::decode(&bytes);
        let _ = Model::decode(&bytes);
        let good = plan(Missing::Median);
        prop_assert_eq!(Plan::decode(&good.encode()).unwrap(), good.clone());
        let mut bytes = good.encode();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let _ = Plan::decode(&bytes);
    }

    /// Whatever finite numbers a lying cohort produces, a state machine answers or refuses; it never panics.
    #[test]
    fn lies_do_not_panic(
        numbers in proptest::collection::vec(prop_oneof![Just(0.0), Just(1.0), -1e9f64..1e9, (0u32..9).prop_map(f64::from)], 64),
        median: bool,
    ) {
        let start = Training::start(plan(if median { Missing::Median } else { Missing::Mean })).unwrap();
        let mut t = next(start.advance(&[1, 2], &[8.0, 4.0, 7.0, 8.0, 6.0, 0.0, 30.0, 9.0]));
        for _ in 0..12 {
            let len = t.spec().task.output_len(2);
            let sum: Vec<f64> = numbers.iter().copied().cycle().take(len).collect();
            match t.advance(&[1, 2], &sum) {
                Ok(Step::Next(n)) => t = n,
                _ => break,
            }
        }
    }
}
