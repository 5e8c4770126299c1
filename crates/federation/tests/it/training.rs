//! Federated training against the pooled reference.

use histone_federation::header::{Donor, RoundFields, RoundHeader};
use histone_federation::plan::{Model, PlanError, Step, Training};
use histone_federation::pooled;
use histone_program_sdk::job::{Missing, Table, TrainTask};

use crate::world::{Trained, World, plan, tables};

/// Largest difference of preprocessing and weights, relative to the larger of 1 and the reference.
pub fn difference(found: &Model, reference: &Model) -> f64 {
    let numbers = |m: &Model| {
        [&m.pre.fill, &m.pre.mean, &m.pre.sd, &m.weights].into_iter().flatten().copied().collect()
    };
    let (found, reference): (Vec<f64>, Vec<f64>) = (numbers(found), numbers(reference));
    assert_eq!(found.len(), reference.len());
    found.iter().zip(reference).map(|(f, r)| (f - r).abs() / r.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn federated_equals_pooled_under_every_policy() {
    for (seed, missing, share) in [
        (1, Missing::Refuse, 0.0),
        (2, Missing::Drop, 0.08),
        (3, Missing::Mean, 0.2),
        (4, Missing::Median, 0.2),
    ] {
        for (ridge, holdout_every) in [(1.0, 0), (0.0, 0), (2.5, 4)] {
            let mut world = World::new(tables(seed, 4, 5, share), 4);
            let plan = histone_federation::plan::Plan { ridge, holdout_every, ..plan(5, missing) };
            let all = world.donors();
            let trained = world.train(plan.clone(), &all).unwrap();
            let Trained { finished, .. } = trained;
            assert!(finished.model.converged);

            let (train, held): (Vec<Table>, Vec<Table>) =
                world.sites.iter().map(|t| pooled::split(t, holdout_every)).unzip();
            let train = pooled::concat(&train).unwrap();
            let reference = pooled::fit(&train, &plan).unwrap();
            let worst = difference(&finished.model, &reference);
            println!("{missing:?}, ridge {ridge}, holdout {holdout_every}: largest difference {worst:.1e}");
            assert!(worst < 1e-9, "{missing:?} {worst}");

            let judged = if holdout_every == 0 { train } else { pooled::concat(&held).unwrap() };
            let judged = pooled::usable(&judged, &plan).unwrap();
            let exact = pooled::auc(&pooled::scores(&reference, &judged), &judged.labels).unwrap();
            let (least, most) = finished.evaluation.auc_within().unwrap();
            assert!((least..=most).contains(&exact), "{exact} is not from {least} to {most}");
            assert!((finished.evaluation.auc.unwrap() - exact).abs() < 0.02);
            assert_eq!(finished.evaluation.rows(), judged.rows() as u64);
        }
    }
}

#[test]
fn a_stranger_recomputes_every_state_from_the_sums() {
    let mut world = World::new(tables(5, 3, 2, 0.1), 4);
    let all = world.donors();
    let trained = world.train(plan(2, Missing::Median), &all).unwrap();
    let mut state = Training::start(plan(2, Missing::Median)).unwrap();
    let mut states = vec![state.state_hash()];
    for (donors, sum) in &trained.sums {
        match state.advance(donors, sum).unwrap() {
            Step::Next(t) => {
                states.push(t.state_hash());
                state = t;
            }
            Step::Finished(f) => states.push(f.model.hash()),
        }
    }
    assert_eq!(states, trained.states);
    let mut distinct = states.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), states.len());
}

#[test]
fn who_misses_the_first_round_is_not_part_of_the_model() {
    let mut world = World::new(tables(6, 4, 3, 0.1), 5);
    let trained = world.train(plan(3, Missing::Median), &[10, 20, 40]).unwrap();
    let rest =
        pooled::concat(&[world.sites[0].clone(), world.sites[1].clone(), world.sites[3].clone()]).unwrap();
    let reference = pooled::fit(&rest, &plan(3, Missing::Median)).unwrap();
    assert!(difference(&trained.finished.model, &reference) < 1e-9);
}

#[test]
fn headers_that_do_not_follow_from_the_state_are_refused() {
    let mut world = World::new(tables(11, 3, 2, 0.0), 5);
    let start = Training::start(plan(2, Missing::Mean)).unwrap();
    let header = world.next_header(&start);
    let sum = world.round(&header, &[10, 20, 30]);
    let Step::Next(state) = start.advance(&[10, 20, 30], sum.values()).unwrap() else { panic!() };
    let state = state.with_cohort_of(&header);
    let good = world.next_header(&state);
    type Change = fn(&mut RoundFields);
    let changes: [(Change, &str); 8] = [
        (|f| f.previous = [0; 32], "another state"),
        (|f| f.spec.task = TrainTask::Describe, "another computation"),
        (|f| f.spec.holdout_every = 2, "another computation"),
        (|f| f.min_survivors = 3, "not the study's"),
        (
            |f| {
                f.cohort.push(Donor {
                    index: 40,
                    enclave: [9; 20],
                    lineage: [9; 32],
                    root: [9; 32],
                    evidence: [9; 32],
                })
            },
            "was given [10, 20, 30, 40]",
        ),
        (|f| f.cohort[1].enclave = [9; 20], "with the same enclaves"),
        (|f| f.cohort[1].root = [9; 32], "with the same enclaves and data"),
        (|f| f.colluders = 2, "another number of colluders"),
    ];
    for (change, part) in changes {
        let mut fields = good.fields().clone();
        change(&mut fields);
        let error = state.check_header(&RoundHeader::new(fields).unwrap()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(start.check_header(&header).is_ok() && start.check_header(&good).is_err());
    // Who left does not come back, with newer evidence or without.
    let without = |n| {
        let mut fields = good.fields().clone();
        fields.cohort.truncate(n);
        fields.cohort[0].evidence = [9; 32];
        RoundHeader::new(fields).unwrap()
    };
    assert!(state.check_header(&without(2)).is_ok());
    let state = state.with_cohort_of(&without(2));
    assert!(state.check_header(&good).unwrap_err().to_string().contains("was given [10, 20, 30]"));
}

#[test]
fn awkward_columns() {
    // A constant column and one that is missing everywhere get the weight 0, even without a ridge.
    let mut sites = tables(8, 3, 4, 0.1);
    for site in &mut sites {
        for row in site.values.chunks_mut(4) {
            row[1] = 0.3;
            row[2] = f64::NAN;
        }
    }
    for missing in [Missing::Mean, Missing::Median] {
        let plan = histone_federation::plan::Plan { ridge: 0.0, ..plan(4, missing) };
        let mut world = World::new(sites.clone(), 4);
        let all = world.donors();
        let model = world.train(plan.clone(), &all).unwrap().finished.model;
        assert_eq!(
            (model.weights[2], model.weights[3], model.pre.sd[1], model.pre.fill[2]),
            (0.0, 0.0, 1.0, 0.0)
        );
        assert!(difference(&model, &pooled::fit(&pooled::concat(&sites).unwrap(), &plan).unwrap()) < 1e-9);
    }
    // A repeated column has no unique weight.
    for site in &mut sites {
        for row in site.values.chunks_mut(4) {
            row[3] = if row[0].is_nan() { 5.0 } else { row[0] };
            row[0] = row[3];
        }
    }
    let mut world = World::new(sites, 4);
    let all = world.donors();
    let plan = histone_federation::plan::Plan { ridge: 0.0, ..plan(4, Missing::Mean) };
    let error = world.train(plan, &all).err().unwrap();
    assert_eq!(error, PlanError::Singular { column: Some(3) });
    assert!(error.to_string().contains("column 3"), "{error}");
}

#[test]
fn separated_classes_stop_without_convergence() {
    let site = |a: f64| Table { columns: 1, values: vec![-a, -2.0, 2.0, a], labels: vec![0, 0, 1, 1] };
    let mut world = World::new(vec![site(3.0), site(4.0)], 4);
    let plan =
        histone_federation::plan::Plan { ridge: 0.0, max_newton_rounds: 12, ..plan(1, Missing::Refuse) };
    let finished = world.train(plan, &[10, 20]).unwrap().finished;
    assert!(!finished.model.converged);
    assert_eq!((finished.model.newton_rounds, finished.evaluation.auc), (12, Some(1.0)));
}
