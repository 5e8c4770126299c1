//! Free numbers against public exact sums where the plan bounds steps and weights: what a liar does who knows the bounds.
//!
//! Weights are on standardized columns, and a liar makes the standard: far more rows than there are, all near to one place of each
//! column, make the deviation so small that weights within the bounds are steep in units of the data. Log odds of more than forty are a
//! probability of 0 or 1: the curvature of the others is then that of the few rows near to the place, and the intercept moves the place
//! on by ten a round. Two such curvatures tell the rows in them ([`common`]).

use histone_program_logistic::Question;
use histone_program_sdk::method::Ask;
use histone_program_sdk::tabular::{Design, Question as Prepare};

use super::crafted::{Seen, common};
use super::free::{MOST, steer};
use super::world::{
    End, FEATURES, Liars, PEOPLE, RANGE, ROWS, Random, Rows, bounded, honest, in_units, read, shown, train,
};

/// Weight of the column that is swept. From 10 on the method takes the classes for separated, and ends.
const STEEP: f64 = 9.9;
/// What the intercept moves by in a round; and how far, within its bound.
const STEP: f64 = 9.9;
const FURTHEST: f64 = 49.5;
/// Rows of the others that are to be seen at once: no more than there are columns.
const AT_ONCE: f64 = 3.0;
/// Log odds on both sides of the place in which a row counts beside another one, to the last digit of a float.
const SEEN: f64 = 30.0;

/// Liars who sweep a place of each column in turn.
struct Sweeping {
    liars: usize,
    /// Rows of the others, about: the ledger says how many rows each dataset has.
    others: f64,
    round: u32,
    /// The column that is swept, from 1, where the intercept is to be next, and which way it goes.
    column: usize,
    intercept: f64,
    way: f64,
    /// In which round each was seen.
    seen: Vec<(u32, Seen)>,
}

impl Sweeping {
    fn new(liars: usize, others: usize) -> Self {
        let (column, intercept, way) = (1, 0.0, -1.0);
        Self { liars, others: others as f64, round: 0, column, intercept, way, seen: Vec::new() }
    }

    /// The place of a column, in deviations of the people from their middle: another one for each.
    fn place(column: usize) -> f64 {
        [1.5, -1.5, 1.2, -1.2, 1.8][column % FEATURES]
    }

    /// The deviation that lets as many rows be seen as can be told apart, in units of the data.
    fn deviation(&self, column: usize) -> f64 {
        let at = Self::place(column);
        let density = (-at * at / 2.0).exp() / std::f64::consts::TAU.sqrt() / PEOPLE.1;
        AT_ONCE / (self.others * density) / (2.0 * SEEN / STEEP)
    }

    /// So many rows, all about the places.
    fn describe(&self) -> Vec<f64> {
        let rows = (1_u64 << 31) as f64;
        let (middle, half) = ((RANGE.0 + RANGE.1) / 2.0, (RANGE.1 - RANGE.0) / 2.0);
        // Rows, judging, without outcome, positives, left out, hidden.
        let mut numbers = vec![rows, 0.0, 0.0, rows / 2.0, 0.0, 0.0];
        numbers.extend([rows; FEATURES]);
        numbers.extend([0.0; FEATURES]);
        for column in 0..FEATURES {
            let u = (PEOPLE.0 + PEOPLE.1 * Self::place(column) - middle) / half;
            let deviation = self.deviation(column) / half;
            numbers.extend([rows * u, rows * (u * u + deviation * deviation)]);
        }
        numbers
    }

    /// Goes on along the column, or to the next one.
    fn go_on(&mut self) {
        self.intercept += self.way * STEP;
        if self.intercept.abs() > FURTHEST {
            self.intercept -= self.way * STEP;
            self.way = -self.way;
            self.column = self.column % FEATURES + 1;
        }
    }

    /// Rows that several pairs of rounds tell, each once, with the round in which that was known.
    fn claims(&self) -> Vec<(u32, Vec<f64>)> {
        let mut told: Vec<(Vec<f64>, Vec<u32>)> = Vec::new();
        for (i, (_, one)) in self.seen.iter().enumerate() {
            for (j, (_, two)) in self.seen.iter().enumerate().filter(|(j, _)| *j != i) {
                let round = self.seen[i.max(j)].0;
                for z in (1..=FEATURES + 1).flat_map(|few| common(one, two, few)) {
                    let row = in_units(&one.design, &z);
                    if !row.iter().all(|v| (RANGE.0..=RANGE.1).contains(v)) {
                        continue;
                    }
                    let same = |known: &[f64]| known.iter().zip(&row).all(|(a, b)| (a - b).abs() < 1e-3);
                    match told.iter_mut().find(|(known, _)| same(known)) {
                        Some((_, rounds)) => rounds.push(round),
                        None => told.push((row, vec![round])),
                    }
                }
            }
        }
        let certain = told.into_iter().filter_map(|(row, mut rounds)| {
            rounds.sort_unstable();
            // Chance seldom tells the same row again.
            Some((*rounds.get(2)?, row))
        });
        certain.collect()
    }
}

impl Liars for Sweeping {
    fn send(&mut self, ask: &Ask, question: &Question) -> Vec<Vec<f64>> {
        self.round += 1;
        let numbers = match question {
            Question::Prepare { question: Prepare::Describe { .. } } => self.describe(),
            Question::Newton { weights, .. } => {
                self.go_on();
                let mut target = vec![0.0; weights.len()];
                (target[0], target[self.column]) = (self.intercept, STEEP);
                steer(weights, &target, (1e11, 1e11), MOST / 4.0 * (1.0 - f64::from(self.round) / 2000.0))
            }
            _ => vec![0.0; ask.len()],
        };
        // The first one sends it all; the others send what changes nothing.
        let mut all = vec![vec![0.0; ask.len()]; self.liars];
        all[0] = numbers;
        all
    }

    fn learn(&mut self, question: &Question, others: &[f64]) {
        let Question::Newton { design, weights, .. } = question else { return };
        let swept = |design: &Design| design.columns().len() == FEATURES && weights.iter().any(|w| *w != 0.0);
        if swept(design) {
            self.seen.push((self.round, Seen::of(design, weights, others)));
        }
    }
}

/// Rows read after so many rounds in all, the first round in which one was, and claims that are nobody's row.
fn rows_read(n: usize, liars: usize, seed: u64, rounds: &[u32]) -> (Vec<usize>, Option<u32>, usize) {
    let mut random = Random::new(seed);
    let sites: Vec<Rows> = (liars..n).map(|_| honest(&mut random, ROWS)).collect();
    let most = rounds.iter().copied().max().unwrap_or(0);
    let mut attack = Sweeping::new(liars, (n - liars) * ROWS);
    if let End::Refused(why) = train(&bounded(most, None), &sites, &mut attack, most as usize) {
        panic!("refused in round {}: {why}", attack.round);
    }
    let claims = attack.claims();
    let until = |round: u32| claims.iter().filter(|c| c.0 <= round).map(|c| c.1.clone()).collect::<Vec<_>>();
    let counts = rounds.iter().map(|&round| read(&sites, &until(round)).0).collect();
    (counts, claims.iter().map(|c| c.0).min(), read(&sites, &until(most)).1)
}

#[test]
fn one_liar_of_four_reads_rows_within_bounds_of_steps_and_weights() {
    let (counts, first, wrong) = rows_read(4, 1, 1, &[20]);
    println!(
        "free numbers within bounds, 1 of 4: {counts:?} rows in 20 rounds, the first in round {first:?}, {wrong} wrong"
    );
    assert!(counts[0] >= 1, "{counts:?} {wrong}");
}

#[test]
#[ignore = "minutes; cargo test -p histone-enclave --test it attacks -- --ignored --nocapture --test-threads 1"]
fn what_free_numbers_read_within_bounds() {
    for n in [4, 10] {
        for liars in 1..=3 {
            let runs: Vec<_> = (1..=5).map(|seed| rows_read(n, liars, seed, &[12, 50])).collect();
            let after = |i: usize| runs.iter().map(|r| r.0[i]).collect::<Vec<_>>();
            let first: Vec<usize> = runs.iter().map(|r| r.1.map_or(0, |round| round as usize)).collect();
            let wrong: Vec<usize> = runs.iter().map(|r| r.2).collect();
            println!(
                "free numbers within bounds, {liars} of {n}, {} honest rows: read after 12 rounds {}; after 50 rounds {}; first in round {}; claims that are nobody's {}",
                (n - liars) * ROWS,
                shown(&after(0)),
                shown(&after(1)),
                shown(&first),
                shown(&wrong)
            );
            assert!(after(1).iter().all(|rows| (15..=45).contains(rows)), "other than docs/attacks.md says");
        }
    }
}
