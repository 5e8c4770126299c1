//! Whole trainings over masked sums.

use histone_federation::header::{Question, RoundFields, RoundHeader};
use histone_federation::training::{Step, TrainingError};
use histone_program_logistic::Logistic;
use histone_program_sdk::data::Data;
use histone_program_sdk::method::{Ask, run_over};

use crate::world::{METHOD, Native, Trained, Training, World, plan, tables};

/// Largest difference of the model's arrays, relative to the larger of 1 and the reference.
fn difference(found: &Trained, sites: &[usize], world: &World) -> f64 {
    let tables: Vec<&dyn Data> = sites.iter().map(|&i| &world.sites[i] as &dyn Data).collect();
    let model = &found.finished.model;
    let (reference, _) = run_over::<Logistic>(model.config.clone(), &tables).unwrap();
    assert_eq!(model.arrays.len(), reference.model.arrays.len());
    let pairs =
        model.arrays.iter().zip(&reference.model.arrays).flat_map(|(f, r)| f.values.iter().zip(&r.values));
    pairs.map(|(f, r)| (f - r).abs() / r.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn masked_sums_lead_where_the_bare_ones_do() {
    for (seed, missing) in [(1, 0.0), (2, 0.2)] {
        let mut world = World::new(tables(seed, 4, 5, missing), 4);
        let all = world.donors();
        let trained = world.train(plan(5), |_| all.clone()).unwrap();
        let worst = difference(&trained, &[0, 1, 2, 3], &world);
        assert!(worst < 1e-9, "{worst:e}");
    }
}

#[test]
fn who_misses_every_round_is_not_part_of_the_model() {
    let mut world = World::new(tables(6, 4, 3, 0.1), 5);
    let trained = world.train(plan(3), |_| vec![10, 20, 40]).unwrap();
    assert!(difference(&trained, &[0, 1, 3], &world) < 1e-9);
}

#[test]
fn donors_come_and_go_between_rounds() {
    let mut world = World::new(tables(7, 4, 3, 0.0), 5);
    let who = |training: &Training| match training.rounds() % 3 {
        0 => vec![10, 20, 30, 40],
        1 => vec![10, 20, 30],
        _ => vec![20, 40],
    };
    let finished = world.train(plan(3), who).unwrap().finished;
    assert!(finished.model.array("weights").iter().all(|w| w.is_finite()));
}

#[test]
fn a_stranger_recomputes_every_state_from_the_sums() {
    let mut world = World::new(tables(5, 3, 2, 0.1), 4);
    let all = world.donors();
    let trained = world.train(plan(2), |_| all.clone()).unwrap();
    let mut state = Training::start(Native, plan(2)).unwrap();
    let mut states = vec![state.state_hash()];
    for (donors, sum) in &trained.sums {
        match state.advance(donors, sum).unwrap() {
            Step::Next(t) => {
                states.push(t.state_hash());
                state = t;
            }
            Step::Finished(f) => states.push(f.hash()),
            Step::NoModel => panic!("no model"),
        }
    }
    assert_eq!(states, trained.states);
    let mut distinct = states.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), states.len());
}

fn asked(fields: &mut RoundFields) -> &mut Ask {
    let Question::Open(ask) = &mut fields.question else { panic!("it is sealed") };
    ask
}

#[test]
fn headers_that_do_not_follow_from_the_state_are_refused() {
    let mut world = World::new(tables(11, 3, 2, 0.0), 5);
    let start = Training::start(Native, plan(2)).unwrap();
    let first = world.next_header(&start);
    let sum = world.round(&first, &[10, 20, 30]);
    let Step::Next(state) = start.advance(&[10, 20, 30], sum.values()).unwrap() else { panic!() };
    let good = world.next_header(&state);
    type Change = fn(&mut RoundFields);
    let changes: [(Change, &str); 6] = [
        (|f| f.previous = [0; 32], "another state"),
        (|f| f.method = [0; 32], "another computation"),
        (|f| asked(f).question.push(0), "another computation"),
        (|f| asked(f).segments[0].len += 1, "another computation"),
        (|f| asked(f).stage = "judge".into(), "another computation"),
        (|f| f.min_survivors = 3, "not the study's"),
    ];
    for (change, part) in changes {
        let mut fields = good.fields().clone();
        change(&mut fields);
        let error = state.check_header(&RoundHeader::new(fields).unwrap()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(start.check_header(&first).is_ok() && start.check_header(&good).is_err());
}

#[test]
fn plans_and_sums_that_are_refused() {
    let other = histone_federation::plan::Plan { method: [1; 32], ..plan(2) };
    assert!(matches!(Training::start(Native, other), Err(TrainingError::OtherMethod)));
    let alone = histone_federation::plan::Plan { min_survivors: 1, ..plan(2) };
    assert!(Training::start(Native, alone).unwrap_err().to_string().contains("hides nobody"));
    let bytes = plan(2).encode();
    assert_eq!(histone_federation::plan::Plan::decode(&bytes).unwrap(), plan(2));
    assert_eq!(plan(2).method, METHOD);
    for cut in 0..bytes.len() {
        assert!(histone_federation::plan::Plan::decode(&bytes[..cut]).is_err());
    }
    let start = Training::start(Native, plan(2)).unwrap();
    let sum = vec![0.0; start.ask().unwrap().len()];
    for donors in [&[][..], &[2, 1], &[1, 1]] {
        assert!(matches!(start.advance(donors, &sum), Err(TrainingError::Donors { .. })), "{donors:?}");
    }
    assert!(matches!(start.advance(&[1], &sum), Err(TrainingError::TooFewDonors { .. })));
}
