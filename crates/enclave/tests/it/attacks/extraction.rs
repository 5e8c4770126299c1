//! Extraction by queries: how near the weights of a sealed model somebody comes who pays for answers.
//!
//! The attacker knows the columns and their ranges, as everybody does who may ask, the method, and ten rows of its own. Each row is chosen after the
//! answer to the one before: among many rows of the ranges' ends, the one whose answer is expected to tell most, which is one with
//! a probability in the middle.

use std::sync::OnceLock;

use histone_enclave::engine::LoadedProgram;
use histone_enclave::method::{HostedAnswer, LocalStep, LocalTraining};
use histone_enclave::program::Limits;
use histone_program_sdk::config::{Config, Missing};
use histone_program_sdk::math::logistic;
use histone_program_sdk::model::Model;
use histone_program_sdk::tabular::Design;

use super::algebra::solve;
use super::membership::heart;
use super::world::{Random, Rows, config, method, number};
use crate::support::{artifact, load};

/// Rows that are looked at before one is asked.
const CANDIDATES: usize = 60;
/// Before the first answer: how far an attacker believes weights to be from 0, for a column over its whole range.
const BELIEF: f64 = 5.0;
/// An attacker's doubt in an answer's log odds when nothing is rounded.
const EXACT: f64 = 1e-9;

/// A model, and rows that it was not trained on.
struct Target {
    model: Model,
    held_out: Vec<Vec<f64>>,
}

fn hosted() -> HostedAnswer {
    static LOADED: OnceLock<LoadedProgram> = OnceLock::new();
    let program = LOADED.get_or_init(|| load(&artifact("logistic-answer"), Limits::STANDARD));
    HostedAnswer::new(program.clone(), method().manifest().clone()).unwrap()
}

/// Trains on four of five rows.
fn target(config: Config, rows: &[Vec<f64>]) -> Target {
    let (held_out, training): (Vec<_>, Vec<_>) = rows.iter().enumerate().partition(|(i, _)| i % 5 == 0);
    let of = |rows: Vec<(usize, &Vec<f64>)>| rows.into_iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
    let sites = [Rows(of(training)).blocks()];
    let mut local = LocalTraining::new(method(), &config).unwrap();
    loop {
        if let LocalStep::Done(done) = local.step(&sites).unwrap() {
            return Target { model: done.model, held_out: of(held_out) };
        }
    }
}

/// What the attacker knows so far: weights over the range of each column, from -1 to 1, the intercept first.
struct Known {
    ranges: Vec<(f64, f64)>,
    /// The mean of the rows that it has, on that scale: what is asked lies around it.
    centre: Vec<f64>,
    weights: Vec<f64>,
    /// How unsure they are.
    covariance: Vec<Vec<f64>>,
    /// Rows asked, with their answers.
    asked: Vec<(Vec<f64>, f64)>,
    /// Half of the last digit of an answer; 0 when it has all.
    half: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Known {
    fn new(ranges: Vec<(f64, f64)>, own: &[Vec<f64>], half: f64) -> Self {
        let n = ranges.len() + 1;
        let belief = |i: usize, j: usize| if i == j { BELIEF * BELIEF } else { 0.0 };
        let covariance = (0..n).map(|i| (0..n).map(|j| belief(i, j)).collect()).collect();
        let mean = |i: usize| {
            let there: Vec<f64> = own.iter().map(|row| row[i]).filter(|v| !v.is_nan()).collect();
            let (low, high) = ranges[i];
            (there.iter().sum::<f64>() / there.len().max(1) as f64 - low) / (high - low) * 2.0 - 1.0
        };
        let centre = (0..n - 1).map(mean).map(|u| u.clamp(-1.0, 1.0)).collect();
        Self { ranges, centre, weights: vec![0.0; n], covariance, asked: Vec::new(), half }
    }

    fn row(&self, u: &[f64]) -> Vec<f64> {
        let value = |((&(low, high), u), centre): ((&(f64, f64), &f64), &f64)| {
            (low + (high - low) * (centre + u + 1.0) / 2.0).clamp(low, high)
        };
        self.ranges.iter().zip(&u[1..]).zip(&self.centre).map(value).collect()
    }

    /// Variance of the log odds that follow from an answer.
    fn doubt(&self, p: f64) -> f64 {
        let slope = (p * (1.0 - p)).max(1e-15);
        let half = self.half.max(f64::EPSILON);
        (half * half / 3.0) / (slope * slope) + EXACT * EXACT
    }

    /// The row whose answer is expected to tell most.
    fn choose(&self, random: &mut Random) -> Vec<f64> {
        let mut best: Option<(f64, Vec<f64>)> = None;
        for _ in 0..CANDIDATES {
            let near = random.uniform();
            // As long as little is known, ends of all columns together would be beyond what an answer tells.
            let small = if random.uniform() < 0.5 { 10_f64.powf(-2.0 * random.uniform()) } else { 1.0 };
            let mut u = vec![1.0];
            for centre in &self.centre {
                let end = if random.uniform() < 0.5 { 1.0 - centre } else { -1.0 - centre };
                // Some candidates are at the ends, some nearer to the middle.
                u.push(small * if near < 0.5 { end } else { end * random.uniform() });
            }
            // Turned around one by one, until the answer is in the middle.
            for i in 1..u.len() {
                let eta = dot(&self.weights, &u);
                if eta.abs() > 1.0 && eta * self.weights[i] * u[i] > 0.0 {
                    let other = if u[i] > 0.0 { -1.0 - self.centre[i - 1] } else { 1.0 - self.centre[i - 1] };
                    u[i] = if near < 0.5 { small * other } else { u[i] * random.uniform() };
                }
            }
            let spread: Vec<f64> = self.covariance.iter().map(|row| dot(row, &u)).collect();
            let unsure = dot(&spread, &u);
            // What is not known yet may lie at the ends, where an answer tells little: the mean over what it may be.
            let (middle, sd) = (dot(&self.weights, &u), unsure.max(0.0).sqrt());
            let at =
                |x: f64| (1.0 + unsure / self.doubt(logistic(middle + sd * x))).ln() * (-x * x / 2.0).exp();
            let tells: f64 = (-8..=8).map(|i| at(f64::from(i) / 4.0)).sum();
            if best.as_ref().is_none_or(|(most, _)| tells > *most) {
                best = Some((tells, u));
            }
        }
        best.unwrap().1
    }

    /// Takes an answer in, as one of a normal error.
    fn take(&mut self, u: Vec<f64>, answer: f64) {
        self.asked.push((u.clone(), answer));
        // An answer of 0 or 1 says that it is beyond half a digit.
        let p = answer.clamp(self.half.max(1e-15), 1.0 - self.half.max(1e-15));
        let eta = (p / (1.0 - p)).ln();
        let edge = p != answer;
        let inside =
            (eta > 0.0 && dot(&self.weights, &u) > eta) || (eta < 0.0 && dot(&self.weights, &u) < eta);
        if edge && inside {
            return;
        }
        let spread: Vec<f64> = self.covariance.iter().map(|row| dot(row, &u)).collect();
        let doubt = self.doubt(p) + if edge { 4.0 } else { 0.0 };
        let all = dot(&spread, &u) + doubt;
        let miss = eta - dot(&self.weights, &u);
        for (i, s) in spread.iter().enumerate() {
            self.weights[i] += s / all * miss;
            self.covariance[i].iter_mut().zip(&spread).for_each(|(c, t)| *c -= s * t / all);
        }
    }

    /// The weights that all answers together make most likely.
    fn fit(&self) -> Vec<f64> {
        let n = self.weights.len();
        let mut matrix = vec![vec![0.0; n]; n];
        let mut right = vec![0.0; n];
        for (i, row) in matrix.iter_mut().enumerate() {
            row[i] = 1.0 / (BELIEF * BELIEF);
        }
        for (u, answer) in &self.asked {
            let p = *answer;
            if p <= self.half || p >= 1.0 - self.half {
                continue;
            }
            let (eta, weight) = ((p / (1.0 - p)).ln(), 1.0 / self.doubt(p));
            for i in 0..n {
                right[i] += weight * u[i] * eta;
                (0..n).for_each(|j| matrix[i][j] += weight * u[i] * u[j]);
            }
        }
        solve(matrix, right).unwrap_or_else(|| self.weights.clone())
    }
}

/// How near an attacker came.
#[derive(Debug, Clone, Copy)]
struct Near {
    largest: f64,
    median: f64,
    other_class: f64,
    probability: f64,
}

/// Asks so many rows, and compares.
fn extract(target: &Target, queries: usize, exact: bool, seed: u64) -> Near {
    let answers = hosted();
    let design = Design::of(&target.model).unwrap();
    let ranges: Vec<(f64, f64)> =
        target.model.config.features.iter().map(|x| x.kind.range().unwrap()).collect();
    let weights = target.model.array("weights");
    let probability = |row: &[f64]| {
        let mut z = vec![1.0];
        assert!(design.append(row, &mut z));
        logistic(dot(weights, &z))
    };
    let decimals = method().manifest().answer.fields[0].decimals;
    let half = if exact { 0.0 } else { 0.5 * 10_f64.powi(-(decimals as i32)) };
    let mut known = Known::new(ranges.clone(), &target.held_out[..10], half);
    let mut random = Random::new(seed);
    for _ in 0..queries {
        let u = known.choose(&mut random);
        let row = known.row(&u);
        let answer =
            if exact { probability(&row) } else { answers.answer(&target.model, &row).unwrap()[0].unwrap() };
        known.take(u, answer);
    }
    let found = known.fit();
    // The model's own weights for a column over its range.
    let coefficients = target.model.array("coefficients");
    let over = |i: usize| coefficients[i] * (ranges[i - 1].1 - ranges[i - 1].0) / 2.0;
    let mut errors: Vec<f64> = (1..found.len())
        .filter(|&i| coefficients[i] != 0.0)
        .map(|i| (found[i] - over(i)).abs() / over(i).abs())
        .collect();
    errors.sort_by(f64::total_cmp);
    let stolen = |row: &[f64]| {
        let on = |((&(low, high), v), centre): ((&(f64, f64), &f64), &f64)| {
            (v.clamp(low, high) - low) / (high - low) * 2.0 - 1.0 - centre
        };
        let u = ranges.iter().zip(row).zip(&known.centre).map(on);
        let u: Vec<f64> = std::iter::once(1.0).chain(u).collect();
        logistic(dot(&found, &u))
    };
    let rows = || {
        target.held_out.iter().map(|row| &row[..ranges.len()]).filter(|row| row.iter().all(|v| !v.is_nan()))
    };
    let n = rows().count() as f64;
    let other = rows().filter(|row| (probability(row) >= 0.5) != (stolen(row) >= 0.5)).count() as f64;
    Near {
        largest: *errors.last().unwrap(),
        median: errors[errors.len() / 2],
        other_class: other / n,
        probability: rows().map(|row| (probability(row) - stolen(row)).abs()).sum::<f64>() / n,
    }
}

/// The bundled study.
fn breast_cancer() -> Target {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/breast-cancer");
    let mut rows = Vec::new();
    let mut names = Vec::new();
    for site in ["university-hospital", "cancer-center", "city-hospital", "screening-center"] {
        let text = std::fs::read_to_string(folder.join(format!("{site}.csv"))).unwrap();
        let mut lines = text.lines();
        names = lines.next().unwrap().split(',').map(str::to_owned).collect();
        rows.extend(lines.map(|line| line.split(',').map(|v| v.parse().unwrap()).collect::<Vec<f64>>()));
    }
    let range = |i: usize| {
        let column = || rows.iter().map(|row| row[i]);
        (column().fold(f64::MAX, f64::min), column().fold(f64::MIN, f64::max))
    };
    let features = (0..names.len() - 1).map(|i| number(&names[i], range(i))).collect();
    let config =
        config(features, Missing::Refuse {}, &[("ridge", 1.0), ("rounds", 12.0), ("tolerance", 1e-6)]);
    target(config, &rows)
}

/// Made-up rows of thirteen columns, as many as the heart study has.
fn thirteen() -> Target {
    let mut random = Random::new(13);
    let rows: Vec<Vec<f64>> = (0..920)
        .map(|_| {
            let z: Vec<f64> = (0..13).map(|_| random.normal().clamp(-4.0, 4.0)).collect();
            let eta: f64 = z.iter().enumerate().map(|(i, z)| z * (0.1 + 0.08 * i as f64)).sum();
            let yes = f64::from(u8::from(random.uniform() < logistic(eta)));
            z.into_iter().chain([yes]).collect()
        })
        .collect();
    let features = (0..13).map(|i| number(&format!("x{i}"), (-4.0, 4.0))).collect();
    target(
        config(features, Missing::Refuse {}, &[("ridge", 1.0), ("rounds", 12.0), ("tolerance", 1e-6)]),
        &rows,
    )
}

#[test]
fn few_exact_answers_are_the_model_and_few_rounded_ones_nearly() {
    let target = thirteen();
    let exact = extract(&target, 14, true, 1);
    let rounded = extract(&target, 28, false, 1);
    let limited = extract(&target, 6, false, 1);
    println!("p = 13: exact {exact:?}\nrounded {rounded:?}\nlimited {limited:?}");
    assert!(exact.largest < 1e-3, "the control: exact answers give the model away");
    assert!(rounded.largest < 1e-2, "{rounded:?}");
    assert!(limited.median > 0.1, "half as many answers as columns are not the model");
}

#[test]
#[ignore = "minutes; cargo test -p histone-enclave --test it attacks -- --ignored --nocapture --test-threads 1"]
fn what_answers_tell_of_a_sealed_model() {
    let mut targets = vec![("made up", thirteen()), ("breast cancer", breast_cancer())];
    if let Some((config, rows)) = heart() {
        targets.insert(1, ("heart", target(config, &rows)));
    }
    for (name, target) in &targets {
        let p = target.model.config.features.len();
        for (queries, exact) in [
            (p / 2, true),
            (p + 1, true),
            (p / 2, false),
            (p + 1, false),
            (2 * (p + 1), false),
            (5 * (p + 1), false),
            (20 * (p + 1), false),
        ] {
            let n = extract(target, queries, exact, 1);
            let kind = if exact { "exact" } else { "rounded" };
            println!(
                "extraction, {name}, p = {p}, {queries} {kind} answers: largest relative error {:.2e}, median {:.2e}; other class {:.1} %, probability off by {:.4}",
                n.largest,
                n.median,
                100.0 * n.other_class,
                n.probability
            );
            if queries < p {
                assert!(n.median > 0.05, "fewer answers than columns are not the model: {n:?}");
            }
        }
    }
}
