//! Sealed sums: what the same liars read who see stage names, counters and the released model, and no sum.
//!
//! Within a training they can follow nothing. From one training to the next they can, and after each the model is in the open,
//! with all its digits: its weights are where the gradient of all rows ends, and they know their own part of that gradient. The
//! same is measured with models of fewer digits.

use histone_program_logistic::Question;
use histone_program_sdk::math::logistic;
use histone_program_sdk::method::Ask;
use histone_program_sdk::model::Model;
use histone_program_sdk::stats::normal_quantile;
use histone_program_sdk::tabular::{Design, Question as Prepare};

use super::crafted::{LIARS_ROWS, Wall, wall};
use super::free::steer;
use super::world::{
    End, FEATURES, Liars, PEOPLE, RANGE, ROWS, Random, Rows, honest, method, plan, read, shown, train,
};

/// Trainings over the same honest rows.
const TRAININGS: usize = 3;
/// Rounds of Newton's method in the plan, as in the bundled studies.
const ROUNDS: u32 = 12;

/// Digits of the released numbers; all of a double first.
const DIGITS: [Option<usize>; 4] = [None, Some(9), Some(6), Some(4)];

/// Liars over fixed tables who see nothing.
struct Blind(Vec<Rows>);

impl Liars for Blind {
    fn send(&mut self, ask: &Ask, _question: &Question) -> Vec<Vec<f64>> {
        self.0.iter().map(|table| method().site(ask, &table.blocks()).unwrap()).collect()
    }

    fn learn(&mut self, _question: &Question, _others: &[f64]) {}
}

/// A model as it is released: with so many digits, or all.
fn released(mut model: Model, digits: Option<usize>) -> Model {
    if let Some(digits) = digits {
        for value in model.arrays.iter_mut().flat_map(|array| &mut array.values).filter(|v| v.is_finite()) {
            *value = format!("{value:.*e}", digits - 1).parse().unwrap();
        }
    }
    model
}

/// Sums over others' rows, in units of the data: of ones and values, weighed by how far the model misses each.
fn missed(model: &Model, tables: &[Rows], ridge: f64) -> Vec<f64> {
    let design = Design::of(model).unwrap();
    let weights = model.array("weights");
    // At the best weights the gradient of all rows is that of the penalty.
    let mut gradient: Vec<f64> =
        weights.iter().enumerate().map(|(i, w)| if i == 0 { 0.0 } else { ridge * w }).collect();
    for row in tables.iter().flat_map(|table| &table.0) {
        let mut z = vec![1.0];
        assert!(design.append(&row[..FEATURES], &mut z));
        let eta: f64 = weights.iter().zip(&z).map(|(w, z)| w * z).sum();
        let miss = row[FEATURES] - logistic(eta);
        gradient.iter_mut().zip(&z).for_each(|(g, z)| *g -= miss * z);
    }
    in_data(&design, &gradient)
}

/// Sums of standardized numbers as sums of values.
fn in_data(design: &Design, sums: &[f64]) -> Vec<f64> {
    let values = design.columns().into_iter().zip(&sums[1..]).map(|(c, s)| c.centre * sums[0] + c.unit * s);
    std::iter::once(sums[0]).chain(values).collect()
}

/// Every difference of two released sums that could be that of one row.
fn differences(sums: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut claims = Vec::new();
    for one in sums {
        for two in sums {
            let d: Vec<f64> = one.iter().zip(two).map(|(a, b)| a - b).collect();
            if (0.2..1.8).contains(&d[0]) {
                claims.push(d[1..].iter().map(|v| v / d[0]).collect());
            }
        }
    }
    claims
}

/// Rows read from three models by liars with crafted tables.
fn crafted(sites: &[Rows], liars: usize, seed: u64, walls: [Wall; TRAININGS]) -> Vec<usize> {
    let mut random = Random::new(seed ^ 0xfeed);
    let mut models = Vec::new();
    for w in walls {
        let mut attack = Blind((0..liars).map(|_| wall(w, LIARS_ROWS, &mut random)).collect());
        if let End::Model(done) = train(&plan(50), sites, &mut attack, 80) {
            models.push((done.model, attack.0));
        }
    }
    let with = |digits| {
        let of = |(model, own): &(Model, Vec<Rows>)| missed(&released(model.clone(), digits), own, 1.0);
        read(sites, &differences(&models.iter().map(of).collect::<Vec<_>>())).0
    };
    // What all digits do not tell, fewer do not.
    match with(DIGITS[0]) {
        0 => vec![0; DIGITS.len()],
        all => std::iter::once(all).chain(DIGITS[1..].iter().map(|digits| with(*digits))).collect(),
    }
}

/// Walls for three trainings: about where the first rows are, in all orders of steepness.
fn walls() -> Vec<[Wall; TRAININGS]> {
    let mut all = Vec::new();
    for far in [1.0, 2.0, 4.0] {
        for wrong in [0.01] {
            for at in
                [[4.0, 2.75, 2.5], [4.0, 3.0, 2.75], [3.5, 2.5, 2.25], [3.5, 2.25, 2.0], [3.0, 2.5, 2.0]]
            {
                all.push(at.map(|at| Wall { at, far, wrong }));
            }
        }
    }
    all
}

/// Enclaves that are broken: they send numbers of their own choice, and follow a script, since they see nothing. All rounds but the
/// last lead the weights to where they divide the others' rows; in the last one they hold so little that the model is
/// moved by the others' gradient there.
struct Script {
    liars: usize,
    /// Value of the first column that divides.
    at: f64,
    /// Where the first column is 0 when it is standardized, and what one unit is: a guess until the first model tells.
    scale: (f64, f64),
    round: u32,
}

/// Weight of the divided column: room is left for what the others add in the last round.
const STEEP: f64 = 5.0;
/// Deviation of the columns on the scale of their range.
const DEVIATION: f64 = 3e-4;
/// What is held in the last round: curvature of the intercept and of the others.
const LAST: (f64, f64) = (1e1, 8e5);

impl Script {
    /// Where the weights are after so many rounds of Newton's method.
    fn after(&self, rounds: u32) -> Vec<f64> {
        let mut weights = vec![0.0; FEATURES + 1];
        match rounds {
            0 => {}
            // Nobody is likely: no row weighs anything. It moves, or the training would end.
            r if r + 1 < ROUNDS => weights[0] = -60.0 - f64::from(r % 2),
            _ => {
                weights[1] = STEEP;
                weights[0] = -STEEP * (self.at - self.scale.0) / self.scale.1;
            }
        }
        weights
    }
}

impl Liars for Script {
    fn send(&mut self, ask: &Ask, question: &Question) -> Vec<Vec<f64>> {
        let most = (1_u64 << 46) as f64;
        let numbers = match question {
            Question::Prepare { question: Prepare::Describe { .. } } => {
                let rows = (1_u64 << 31) as f64;
                let mut numbers = vec![rows, 0.0, 0.0, rows / 2.0, 0.0, 0.0];
                numbers.extend([rows; FEATURES]);
                numbers.extend([0.0; FEATURES]);
                (0..FEATURES).for_each(|_| numbers.extend([0.0, rows * DEVIATION * DEVIATION]));
                numbers
            }
            Question::Newton { .. } => {
                let (here, there) = (self.after(self.round), self.after(self.round + 1));
                self.round += 1;
                let way = |i: usize| (there[i] - here[i]).abs().max(1.0);
                let slopes = (1..=FEATURES).map(way).fold(1.0, f64::max);
                let hold = if self.round == ROUNDS { LAST } else { (most / way(0), most / slopes) };
                steer(&here, &there, hold, most * (1.0 - f64::from(self.round) / 100.0))
            }
            _ => vec![0.0; ask.len()],
        };
        let mut all = vec![vec![0.0; ask.len()]; self.liars];
        all[0] = numbers;
        all
    }

    fn learn(&mut self, _question: &Question, _others: &[f64]) {}
}

/// What the model of a script tells: for the others' rows, ones and values of those with a yes, less those above the place that
/// divides. The rows there are none near to the place.
fn told(model: &Model, script: &Script, ridge: f64) -> Vec<f64> {
    let design = Design::of(model).unwrap();
    let before = script.after(ROUNDS - 1);
    let moved: Vec<f64> =
        model.array("weights").iter().zip(&before).map(|(after, before)| after - before).collect();
    let gradient = |(i, moved): (usize, &f64)| match i {
        0 => moved * LAST.0,
        _ => moved * (LAST.1 + ridge) + ridge * before[i],
    };
    in_data(&design, &moved.iter().enumerate().map(gradient).collect::<Vec<_>>())
}

/// Rows read from three models by liars with free numbers: who is above a place that nobody reaches, above the place that about
/// two reach, and above the middle of those.
fn scripted(sites: &[Rows], liars: usize, digits: Option<usize>) -> usize {
    let rows: usize = sites.iter().map(|site| site.0.len()).sum();
    let guess = PEOPLE.0 + PEOPLE.1 * normal_quantile(1.0 - 2.0 / rows as f64);
    let mut sums: Vec<Vec<f64>> = Vec::new();
    let mut at = RANGE.1 + 50.0;
    let mut scale = (PEOPLE.0, DEVIATION * (RANGE.1 - RANGE.0) / 2.0);
    for training in 0..TRAININGS {
        let mut attack = Script { liars, at, scale, round: 0 };
        let End::Model(done) = train(&plan(ROUNDS), sites, &mut attack, 80) else { return 0 };
        let model = released(done.model, digits);
        sums.push(told(&model, &attack, 1.0));
        let column = &Design::of(&model).unwrap().columns()[0];
        scale = (column.centre, column.unit);
        let above: Vec<f64> = sums[0].iter().zip(&sums[training]).map(|(all, s)| all - s).collect();
        let count = above[0].round();
        at = match training {
            0 => guess,
            _ if count >= 1.0 => above[1] / count,
            _ => at - PEOPLE.1 / 4.0,
        };
    }
    read(sites, &differences(&sums)).0
}

fn sites(n: usize, liars: usize, seed: u64) -> Vec<Rows> {
    let mut random = Random::new(seed);
    (liars..n).map(|_| honest(&mut random, ROWS)).collect()
}

/// The control: with all digits of the model and free numbers the attack works.
#[test]
fn three_models_tell_a_row_to_free_numbers() {
    assert_eq!(scripted(&sites(4, 1, 2), 1, None), 1);
}

#[test]
fn three_models_tell_no_row_to_crafted_data() {
    let three = [4.0, 3.0, 2.75].map(|at| Wall { at, far: 2.0, wrong: 0.1 });
    assert_eq!(crafted(&sites(4, 1, 1), 1, 1, three), [0; DIGITS.len()]);
}

#[test]
#[ignore = "minutes; cargo test -p histone-enclave --test it attacks -- --ignored --nocapture --test-threads 1"]
fn what_models_tell_of_sealed_trainings() {
    for n in [4, 10] {
        for liars in 1..=3 {
            let most = |all: Vec<Vec<usize>>| -> Vec<usize> {
                (0..DIGITS.len()).map(|i| all.iter().map(|read| read[i]).max().unwrap_or(0)).collect()
            };
            let by_data: Vec<Vec<usize>> = (1..=5)
                .map(|seed| {
                    let sites = sites(n, liars, seed);
                    most(walls().into_iter().map(|w| crafted(&sites, liars, seed, w)).collect())
                })
                .collect();
            for (i, digits) in DIGITS.into_iter().enumerate() {
                let by_data: Vec<usize> = by_data.iter().map(|read| read[i]).collect();
                let by_numbers = |seed| scripted(&sites(n, liars, seed), liars, digits);
                let by_numbers: Vec<usize> = (1..=5).map(by_numbers).collect();
                let digits = digits.map_or_else(|| "all".to_owned(), |digits| digits.to_string());
                println!(
                    "sealed, {liars} of {n}, {TRAININGS} trainings, {digits} digits: crafted data read {}; free numbers read {}",
                    shown(&by_data),
                    shown(&by_numbers)
                );
                let most = |read: &[usize]| read.iter().copied().max().unwrap_or(0);
                // No more than docs/attacks.md says.
                let few = i >= 2;
                assert!(most(&by_data) <= usize::from(liars > 1 && n == 4 && !few), "{by_data:?}");
                assert!(most(&by_numbers) <= if few { 0 } else { 2 }, "{by_numbers:?}");
            }
        }
    }
}
