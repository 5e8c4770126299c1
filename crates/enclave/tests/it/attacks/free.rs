//! Free numbers against public exact sums: what donors read whose enclaves send whatever passes the gate, and who see every sum.
//!
//! Far more rows than there are, all in one place, make the scale of the columns; a curvature far larger than that of the
//! others makes the next weights those that the liars want. Weights that are steep enough divide the others' rows by one column:
//! the gradient is then the sum over those above, to the last digit. Two such sums that differ by one row tell that row.

use histone_program_logistic::Question;
use histone_program_sdk::config::Config;
use histone_program_sdk::method::Ask;
use histone_program_sdk::stats::normal_quantile;
use histone_program_sdk::tabular::{Design, Question as Prepare};

use super::world::{
    End, FEATURES, Liars, PEOPLE, RANGE, ROWS, Random, Rows, bounded, honest, in_units, plan, read, shown,
    train,
};

/// What a liar may send of gradient, curvature and loss.
pub const MOST: f64 = (1_u64 << 48) as f64;
/// Weight of the divided column. From 10 on the method takes the classes for separated, and ends.
const STEEP: f64 = 9.0;

/// Rows of the others above a place of the first column (standardized), and their sums.
#[derive(Clone)]
struct Cut {
    at: f64,
    sums: Vec<f64>,
}

impl Cut {
    fn rows(&self) -> f64 {
        self.sums[0]
    }
}

/// Liars who divide the others' rows until single ones are left.
struct Dividing {
    liars: usize,
    round: u32,
    /// Sums of the others in the first round, on the scale of ranges; rows first.
    totals: Vec<f64>,
    design: Option<Design>,
    /// Sum over the others' rows with a yes.
    yes: Vec<f64>,
    /// Descending by rows.
    cuts: Vec<Cut>,
    /// Where the round that is open divides, and the next one: an answer comes a round late.
    asked: f64,
    random: Random,
    /// How often a pair of cuts was tried without a use.
    tries: Vec<(u64, u32)>,
    /// Rows that were read, and in which round.
    claims: Vec<(u32, Vec<f64>)>,
}

impl Dividing {
    fn new(liars: usize, seed: u64) -> Self {
        Self {
            liars,
            round: 0,
            totals: Vec::new(),
            design: None,
            yes: Vec::new(),
            cuts: Vec::new(),
            asked: 0.0,
            random: Random::new(seed),
            tries: Vec::new(),
            claims: Vec::new(),
        }
    }

    /// Where about three rows are above, as people are.
    fn first(&self, design: &Design) -> f64 {
        let value = PEOPLE.0 + PEOPLE.1 * normal_quantile(1.0 - 3.0 / self.totals[0]);
        let column = &design.columns()[0];
        (value - column.centre) / column.unit
    }

    /// Where to divide next: the middle of the fewest rows that lie between two cuts.
    fn next(&mut self) -> f64 {
        let pending = self.asked;
        let mut best: Option<(f64, usize)> = None;
        for (i, pair) in self.cuts.windows(2).enumerate() {
            let between = pair[0].rows() - pair[1].rows();
            let tried = self.tries.iter().find(|(at, _)| *at == pair[0].at.to_bits()).map_or(0, |t| t.1);
            let open = (pair[0].at..pair[1].at).contains(&pending);
            // What is open is asked already: only where there is nothing else.
            let cost = between + if open { 1e6 } else { 0.0 };
            if between > 1.5 && tried < 3 && best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, i));
            }
        }
        let Some((cost, i)) = best else {
            self.tries.clear();
            return pending + 1.0;
        };
        let (low, high) = (&self.cuts[i], &self.cuts[i + 1]);
        let middle = (low.sums[1] - high.sums[1]) / (low.rows() - high.rows());
        let (low, high) = (low.at, high.at);
        match self.tries.iter_mut().find(|t| t.0 == low.to_bits()) {
            Some(t) => t.1 += 1,
            None => self.tries.push((low.to_bits(), 1)),
        }
        // Not where the open round divides, nor where somebody stood.
        let again = cost >= 1e6 || self.tries.iter().any(|t| t.0 == low.to_bits() && t.1 > 1);
        let aside = if again { 0.1 + 0.4 * self.random.uniform() } else { 0.0 };
        let end = if self.random.uniform() < 0.5 { low } else { high };
        middle + aside * (end - middle)
    }

    /// The sums of [`Liars::send`] in the first round: so many rows, all in the middle of the people.
    fn describe(&self) -> Vec<f64> {
        let rows = (1_u64 << 31) as f64;
        let middle = (RANGE.0 + RANGE.1) / 2.0;
        let u = (PEOPLE.0 - middle) / (RANGE.1 - middle);
        // Rows, judging, without outcome, positives, left out, hidden.
        let mut numbers = vec![rows, 0.0, 0.0, rows / 2.0, 0.0, 0.0];
        numbers.extend([rows; FEATURES]);
        numbers.extend([0.0; FEATURES]);
        (0..FEATURES).for_each(|_| numbers.extend([rows * u, rows * u * u]));
        numbers
    }
}

/// Gradient, curvature and loss that make `target` the next weights, whatever the others send: `hold` is the curvature of the
/// intercept and of the others.
pub fn steer(weights: &[f64], target: &[f64], hold: (f64, f64), loss: f64) -> Vec<f64> {
    let p = weights.len();
    let of = |i: usize| if i == 0 { hold.0 } else { hold.1 };
    let mut numbers: Vec<f64> = (0..p).map(|i| of(i) * (target[i] - weights[i])).collect();
    for i in 0..p {
        numbers.extend((i..p).map(|j| if i == j { of(i) } else { 0.0 }));
    }
    numbers.push(loss);
    numbers
}

impl Liars for Dividing {
    fn send(&mut self, ask: &Ask, question: &Question) -> Vec<Vec<f64>> {
        self.round += 1;
        let numbers = match question {
            Question::Prepare { question: Prepare::Describe { .. } } => self.describe(),
            Question::Newton { design, weights, .. } => {
                if self.design.is_none() {
                    self.begin(design);
                }
                self.asked = -weights[0] / weights[1];
                let at = if weights[1] == 0.0 { self.first(design) } else { self.next() };
                let mut target = vec![0.0; weights.len()];
                (target[0], target[1]) = (-STEEP * at, STEEP);
                // As much as the way to the target leaves room for.
                let hold = |way: f64, most: f64| (MOST / 4.0 / way.abs().max(1.0)).min(most);
                let hold = (hold(target[0] - weights[0], 1e11), hold(STEEP, 1e13));
                steer(weights, &target, hold, MOST / 4.0 * (1.0 - f64::from(self.round) / 2000.0))
            }
            _ => vec![0.0; ask.len()],
        };
        // The first one sends it all; the others send what changes nothing.
        let mut all = vec![vec![0.0; ask.len()]; self.liars];
        all[0] = numbers;
        all
    }

    fn learn(&mut self, question: &Question, others: &[f64]) {
        match question {
            Question::Prepare { .. } if self.totals.is_empty() => {
                self.totals.push(others[0]);
                let at = others.len() - 2 * FEATURES;
                self.totals.extend(others[at..].iter().step_by(2));
            }
            Question::Newton { design, weights, .. } => self.divided(design, weights, others),
            _ => {}
        }
    }
}

impl Dividing {
    /// No rows above everything, all above nothing.
    fn begin(&mut self, design: &Design) {
        let rows = self.totals[0];
        let all = (0..FEATURES).map(|i| (self.totals[i + 1] - rows * design.mean[i]) / design.sd[i]);
        let all: Vec<f64> = std::iter::once(rows).chain(all).collect();
        let column = &design.columns()[0];
        let [low, high] = [RANGE.0 - 1.0, RANGE.1 + 1.0].map(|end| (end - column.centre) / column.unit);
        self.cuts = vec![Cut { at: low, sums: all }, Cut { at: high, sums: vec![0.0; FEATURES + 1] }];
        self.design = Some(design.clone());
    }

    fn divided(&mut self, design: &Design, weights: &[f64], others: &[f64]) {
        let gradient = &others[..=FEATURES];
        if weights.iter().all(|w| *w == 0.0) {
            // Every probability is a half.
            self.yes = gradient.iter().zip(&self.cuts[0].sums).map(|(g, all)| g + all / 2.0).collect();
            return;
        }
        let sums: Vec<f64> = self.yes.iter().zip(gradient).map(|(yes, g)| yes - g).collect();
        let rows = sums[0].round();
        if (sums[0] - rows).abs() > 1e-10 {
            // Somebody stands at the cut.
            return;
        }
        let at = -weights[0] / weights[1];
        let place = self.cuts.partition_point(|cut| cut.at < at);
        if place == 0 || place == self.cuts.len() {
            return;
        }
        let (below, above) = (self.cuts[place - 1].rows().round(), self.cuts[place].rows().round());
        if rows == below || rows == above {
            // Nobody is between: the cut moves, so that the space that is left is smaller.
            let moved = if rows == below { place - 1 } else { place };
            if moved > 0 && moved + 1 < self.cuts.len() {
                self.cuts[moved].at = at;
            }
            return;
        }
        let low = self.cuts[place - 1].at.to_bits();
        self.tries.retain(|t| t.0 != low);
        self.cuts.insert(place, Cut { at, sums });
        for pair in self.cuts[place - 1..=place + 1].windows(2) {
            if (pair[0].rows() - pair[1].rows()).round() == 1.0 {
                let z: Vec<f64> = pair[0].sums.iter().zip(&pair[1].sums).map(|(a, b)| a - b).collect();
                self.claims.push((self.round, in_units(design, &z)));
            }
        }
    }
}

/// Rows read after so many rounds in all, and claims that are nobody's row.
fn rows_read(n: usize, liars: usize, seed: u64, rounds: &[u32]) -> (Vec<usize>, Option<u32>, usize) {
    rows_read_by(plan, n, liars, seed, rounds)
}

fn rows_read_by(
    plan: impl Fn(u32) -> Config,
    n: usize,
    liars: usize,
    seed: u64,
    rounds: &[u32],
) -> (Vec<usize>, Option<u32>, usize) {
    let mut random = Random::new(seed);
    let sites: Vec<Rows> = (liars..n).map(|_| honest(&mut random, ROWS)).collect();
    let most = rounds.iter().copied().max().unwrap_or(0);
    let mut attack = Dividing::new(liars, seed);
    let end = train(&plan(most), &sites, &mut attack, most as usize);
    match end {
        // Who is held back long enough lets the training end.
        End::Stopped | End::Model(_) => {}
        End::Refused(why) => panic!("refused in round {}: {why}", attack.round),
    }
    let until =
        |round: u32| attack.claims.iter().filter(|c| c.0 <= round).map(|c| c.1.clone()).collect::<Vec<_>>();
    let counts = rounds.iter().map(|&round| read(&sites, &until(round)).0).collect();
    (counts, attack.claims.iter().map(|c| c.0).min(), read(&sites, &until(most)).1)
}

#[test]
fn one_liar_of_four_reads_rows_in_public_exact_sums() {
    let (counts, first, wrong) = rows_read(4, 1, 1, &[20]);
    println!("free numbers, 1 of 4: {counts:?} rows in 20 rounds, the first in round {first:?}");
    assert!(counts[0] >= 1 && wrong == 0, "{counts:?} {wrong}");
}

/// The same attack where the plan bounds steps and weights, as it does unless a study says otherwise: it never comes to where it
/// wants to divide the rows. One that was made for the bounds does (`sweeping`).
#[test]
fn bounds_of_steps_and_weights_end_it() {
    for seed in 1..=3 {
        let (counts, first, _) = rows_read_by(|rounds| bounded(rounds, None), 4, 1, seed, &[40]);
        assert_eq!((counts, first), (vec![0], None), "seed {seed}");
    }
}

#[test]
#[ignore = "minutes; cargo test -p histone-enclave --test it attacks -- --ignored --nocapture --test-threads 1"]
fn what_free_numbers_read() {
    for n in [4, 10] {
        for liars in 1..=3 {
            let runs: Vec<_> = (1..=5).map(|seed| rows_read(n, liars, seed, &[12, 50])).collect();
            let after = |i: usize| runs.iter().map(|r| r.0[i]).collect::<Vec<_>>();
            let first: Vec<usize> = runs.iter().map(|r| r.1.map_or(0, |round| round as usize)).collect();
            println!(
                "free numbers, {liars} of {n}, {} honest rows: read after 12 rounds {}; after 50 rounds {}; first in round {}",
                (n - liars) * ROWS,
                shown(&after(0)),
                shown(&after(1)),
                shown(&first)
            );
            assert!(runs.iter().all(|r| r.2 == 0), "a claim is nobody's row");
            assert!(after(1).iter().all(|rows| *rows <= 50), "more than docs/attacks.md says");
        }
    }
}
