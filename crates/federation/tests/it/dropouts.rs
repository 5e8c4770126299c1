//! Donors who drop out, and come back, in every stage of a training.

use histone_federation::committee::CommitteeError;
use histone_federation::plan::{Model, Plan, PlanError, Step, Training};
use histone_federation::pooled;
use histone_federation::update::{Survivors, SurvivorsError};
use histone_program_sdk::job::{Missing, Table};

use crate::training::difference;
use crate::world::{World, list, plan, tables};

const ALL: [u16; 4] = [10, 20, 30, 40];
const WITHOUT_30: [u16; 3] = [10, 20, 40];

fn world(seed: u64) -> World {
    World::new(tables(seed, 4, 4, 0.1), 4)
}

fn rows_of(world: &World, donors: &[u16]) -> Table {
    let tables: Vec<Table> = donors.iter().map(|d| world.sites[usize::from(d / 10) - 1].clone()).collect();
    pooled::concat(&tables).unwrap()
}

/// The weights that minimize the penalized loss of these rows under a given preprocessing, by plain gradient descent:
/// slow, and nothing like the code under test.
fn descend(model: &Model, rows: &Table, ridge: f64) -> Vec<f64> {
    let z: Vec<Vec<f64>> = (0..rows.rows())
        .map(|i| {
            let scaled = rows.row(i).iter().enumerate().map(|(c, v)| {
                let v = if v.is_nan() { model.pre.fill[c] } else { *v };
                (v - model.pre.mean[c]) / model.pre.sd[c]
            });
            std::iter::once(1.0).chain(scaled).collect()
        })
        .collect();
    // The trace bounds the largest curvature.
    let rate = 1.0 / (ridge + 0.25 * z.iter().flatten().map(|v| v * v).sum::<f64>());
    let mut w = vec![0.0; model.weights.len()];
    for _ in 0..100_000 {
        let mut slope: Vec<f64> =
            w.iter().enumerate().map(|(i, w)| if i == 0 { 0.0 } else { -ridge * w }).collect();
        for (z, &y) in z.iter().zip(&rows.labels) {
            let eta: f64 = z.iter().zip(&w).map(|(a, b)| a * b).sum();
            let error = f64::from(y) - 1.0 / (1.0 + (-eta).exp());
            slope.iter_mut().zip(z).for_each(|(s, z)| *s += error * z);
        }
        w.iter_mut().zip(&slope).for_each(|(w, s)| *w += rate * s);
        if slope.iter().all(|s| s.abs() < 1e-9) {
            return w;
        }
    }
    panic!("the reference has not converged");
}

fn largest(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_donor_leaves_after_the_description_and_stays_away() {
    for (seed, missing) in [(50, Missing::Mean), (51, Missing::Drop)] {
        let mut world = world(seed);
        let plan = plan(4, missing);
        let trained = world
            .train_with(plan.clone(), |t| if t.rounds() == 0 { ALL.to_vec() } else { WITHOUT_30.to_vec() })
            .unwrap();
        let model = &trained.finished.model;
        assert!(model.converged);
        // Preprocessing of those who described, weights of those who took part.
        let everybody = pooled::fit(&rows_of(&world, &ALL), &plan).unwrap();
        for (found, expected) in [(&model.pre.mean, &everybody.pre.mean), (&model.pre.sd, &everybody.pre.sd)]
        {
            assert!(largest(found, expected) < 1e-9);
        }
        let rows = pooled::usable(&rows_of(&world, &WITHOUT_30), &plan).unwrap();
        let worst = largest(&model.weights, &descend(model, &rows, plan.ridge));
        println!("{missing:?}: weights differ by {worst:.1e}");
        assert!(worst < 1e-8);
        assert!(largest(&model.weights, &everybody.weights) > 1e-3, "the donor's rows would have mattered");
        assert_eq!(trained.finished.evaluation.rows(), rows.rows() as u64);
    }
}

#[test]
fn a_donor_that_comes_back_leaves_no_trace() {
    let mut world = world(52);
    let plan = plan(4, Missing::Mean);
    // Away in the first two Newton rounds.
    let trained = world
        .train_with(plan.clone(), |t| {
            if [1, 2].contains(&t.rounds()) { WITHOUT_30.to_vec() } else { ALL.to_vec() }
        })
        .unwrap();
    let who: Vec<usize> = trained.sums.iter().map(|(donors, _)| donors.len()).collect();
    assert_eq!(who[..4], [4, 3, 3, 4]);
    let everybody = pooled::fit(&rows_of(&world, &ALL), &plan).unwrap();
    assert!(trained.finished.model.converged);
    assert!(difference(&trained.finished.model, &everybody) < 1e-9);
}

#[test]
fn donors_take_turns_in_every_stage() {
    for seed in 53..57 {
        let mut world = world(seed);
        let plan = Plan { min_survivors: 3, ..plan(4, Missing::Median) };
        // Another one is away in each of the first thirteen rounds: description, nine of ranks, three of Newton.
        let turns = |t: &Training| {
            let away = ALL[t.rounds() as usize % 4];
            ALL.into_iter().filter(|&d| t.rounds() > 12 || d != away).collect()
        };
        let trained = world.train_with(plan.clone(), turns).unwrap();
        let model = &trained.finished.model;
        assert!(model.converged);
        let (all, described) = (rows_of(&world, &ALL), rows_of(&world, &[20, 30, 40]));
        let own = pooled::fit(&described, &plan).unwrap();
        for c in 0..4 {
            let column = |t: &Table| -> Vec<f64> { (0..t.rows()).map(|i| t.row(i)[c]).collect() };
            // The fill value is a value that somebody could have.
            let mut values: Vec<f64> = column(&all).into_iter().filter(|v| !v.is_nan()).collect();
            values.sort_unstable_by(f64::total_cmp);
            let fill = model.pre.fill[c];
            let below = values.iter().filter(|v| **v <= fill).count() as f64 / values.len() as f64;
            println!("seed {seed}, column {c}: {below:.2} of the values lie below the fill value");
            assert!((0.25..0.75).contains(&below), "{fill} is far from the median, {}", own.pre.fill[c]);
            // Mean and deviation of those who described, filled with it.
            let filled: Vec<f64> =
                column(&described).into_iter().map(|v| if v.is_nan() { fill } else { v }).collect();
            let n = filled.len() as f64;
            let mean = filled.iter().sum::<f64>() / n;
            let sd = (filled.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            assert!((model.pre.mean[c] - mean).abs() < 1e-9 && (model.pre.sd[c] - sd).abs() < 1e-9);
        }
        assert!(largest(&model.weights, &descend(model, &all, plan.ridge)) < 1e-8);
    }
}

#[test]
fn a_donor_leaves_while_medians_are_searched() {
    // Before, early, late in the search, and before its last round; for good.
    for last in [1, 2, 6, 9] {
        let mut world = world(57);
        let plan = plan(4, Missing::Median);
        let trained = world
            .train_with(plan.clone(), |t| if t.rounds() < last { ALL.to_vec() } else { WITHOUT_30.to_vec() })
            .unwrap();
        let model = &trained.finished.model;
        let rows = rows_of(&world, &WITHOUT_30);
        assert!(model.converged && largest(&model.weights, &descend(model, &rows, plan.ridge)) < 1e-8);
        // Away from the first of them on: the medians are exactly those of the others.
        if last == 1 {
            assert_eq!(model.pre.fill, pooled::fit(&rows, &plan).unwrap().pre.fill);
        }
    }
}

#[test]
fn a_donor_misses_the_evaluation() {
    let mut world = world(58);
    let plan = plan(4, Missing::Mean);
    let trained = world
        .train_with(plan.clone(), |t| if t.stage() == "evaluate" { vec![20, 40] } else { ALL.to_vec() })
        .unwrap();
    let everybody = pooled::fit(&rows_of(&world, &ALL), &plan).unwrap();
    assert!(difference(&trained.finished.model, &everybody) < 1e-9);
    let judged = rows_of(&world, &[20, 40]);
    let exact = pooled::auc(&pooled::scores(&everybody, &judged), &judged.labels).unwrap();
    assert_eq!(trained.finished.evaluation.rows(), judged.rows() as u64);
    assert!((trained.finished.evaluation.auc.unwrap() - exact).abs() < 2e-3);
}

#[test]
fn too_few_survivors_end_the_training() {
    let mut world = world(59);
    let plan = Plan { min_survivors: 3, ..plan(4, Missing::Mean) };
    let start = Training::start(plan).unwrap();
    let header = world.next_header(&start);
    let sum = world.round(&header, &ALL);
    let Step::Next(state) = start.advance(&ALL, sum.values()).unwrap() else { panic!() };
    let header = world.next_header(&state);
    let (survivors, blobs) = world.blobs(&header, &ALL);
    let two = Survivors::new(&header, list(&ALL[..2], &blobs)).unwrap_err();
    assert_eq!(two, SurvivorsError::TooFew { got: 2, minimum: 3 });
    let numbers = vec![0.0; header.dimension()];
    let error = state.advance(&[10, 20], &numbers).unwrap_err();
    assert_eq!(error, PlanError::TooFewDonors { stage: "newton", got: 2, minimum: 3 });

    // Once it was opened for four, the same question is not opened for three, under whatever number.
    world.ask(1, &header, &survivors, &blobs).unwrap();
    let again = world.next_header(&state);
    let (survivors, blobs) = world.blobs(&again, &WITHOUT_30);
    let refused = world.ask(1, &again, &survivors, &blobs);
    assert!(matches!(refused, Err(CommitteeError::AlreadyOpened)));
}
