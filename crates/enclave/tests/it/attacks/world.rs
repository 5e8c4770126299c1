//! Honest donors, the rounds of a training, and what an attacker sees of them.

use std::sync::{Arc, OnceLock};

use histone_enclave::engine::RunError;
use histone_enclave::manifest::SettingValue;
use histone_enclave::method::{HostedMethod, MethodError, blocks};
use histone_enclave::program::Limits;
use histone_federation::fixed;
use histone_program_logistic::Question;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::method::{Ask, Done, Next, Numbers, Opened};
use histone_program_sdk::wire::Wire;

use crate::support::{artifact, load};

/// Features of the made-up tables.
pub const FEATURES: usize = 5;
/// Their plausible range.
pub const RANGE: (f64, f64) = (0.0, 300.0);
/// Middle and deviation of the people in them, which an attacker knows as everybody in the field does.
pub const PEOPLE: (f64, f64) = (150.0, 30.0);
/// Rows of an honest donor.
pub const ROWS: usize = 150;
/// A row is read when every column of it is known to this much, in units of the data (values of a column have a deviation of 30).
pub const READ: f64 = 1e-3;

/// Seeded numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        // Small seeds are alike in the first numbers.
        for _ in 0..20 {
            random.uniform();
        }
        random
    }

    /// Of [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// With mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Rows of a site: features, then the outcome.
#[derive(Clone, Default)]
pub struct Rows(pub Vec<Vec<f64>>);

impl Rows {
    pub fn blocks(&self) -> Vec<Arc<[u8]>> {
        let columns = self.0.first().map_or(1, Vec::len);
        // Nothing is held out in these studies, so draws decide nothing.
        let draws = vec![0.5; self.0.len()];
        blocks(columns, &draws, &self.0.concat())
    }
}

/// A donor's table: five normal columns, and an outcome that depends on two of them.
pub fn honest(random: &mut Random, rows: usize) -> Rows {
    let row = |random: &mut Random| {
        let z: Vec<f64> = (0..FEATURES).map(|_| random.normal()).collect();
        let yes = random.uniform() < 1.0 / (1.0 + (0.5 - z[0] - 0.7 * z[1]).exp());
        let value = |z: f64| (PEOPLE.0 + PEOPLE.1 * z).clamp(RANGE.0, RANGE.1);
        z.into_iter().map(value).chain([f64::from(u8::from(yes))]).collect()
    };
    Rows((0..rows).map(|_| row(random)).collect())
}

/// The committed logistic regression.
pub fn method() -> &'static HostedMethod {
    static LOADED: OnceLock<HostedMethod> = OnceLock::new();
    LOADED.get_or_init(|| HostedMethod::new(load(&artifact("logistic"), Limits::METHOD)).unwrap())
}

/// A configuration with these settings, and the defaults of the manifest for all others.
pub fn config(features: Vec<Feature>, missing: Missing, set: &[(&str, f64)]) -> Config {
    let value = |setting: &histone_enclave::manifest::Setting| {
        let default = match setting.default {
            SettingValue::Bool(yes) => f64::from(u8::from(yes)),
            SettingValue::Number(number) => number,
        };
        set.iter().find(|(name, _)| *name == setting.name).map_or(default, |(_, value)| *value)
    };
    let values = method().manifest().config.iter().map(value).collect();
    // No minimum anywhere, in favor of the attacker.
    let least = Least::default();
    Config { features, outcome: Outcome::YesNo { name: "y".into() }, missing, holdout: 0.0, least, values }
}

/// A number with a range.
pub fn number(name: &str, (low, high): (f64, f64)) -> Feature {
    Feature { name: name.into(), kind: Kind::Number { low, high }, zero_is_missing: false }
}

/// The plan of the attacked studies, as the bundled ones have it but for the rounds, and without bounds of steps and weights, in favor
/// of the attacker.
pub fn plan(rounds: u32) -> Config {
    bounded(rounds, 1e300)
}

/// The same with the manifest's bounds, where none is given.
pub fn bounded(rounds: u32, bound: impl Into<Option<f64>>) -> Config {
    let bound = bound.into();
    let bounds = ["max_step", "max_weight"].into_iter().filter_map(|name| Some((name, bound?)));
    let features = (0..FEATURES).map(|i| number(&format!("x{i}"), RANGE)).collect();
    let set = [("ridge", 1.0), ("rounds", f64::from(rounds)), ("tolerance", 1e-6), ("separated", 0.0)];
    let set: Vec<_> = set.into_iter().chain(bounds).collect();
    config(features, Missing::Refuse {}, &set)
}

/// Those who attack from inside of a cohort: what they send for a question, and what they learn from the opened sum.
pub trait Liars {
    /// The numbers that each of them sends; what the others send is not known yet.
    fn send(&mut self, ask: &Ask, question: &Question) -> Vec<Vec<f64>>;

    /// The exact sum over the others.
    fn learn(&mut self, question: &Question, others: &[f64]);
}

/// The digits of each number that count.
fn digits(ask: &Ask) -> impl Iterator<Item = u8> {
    ask.segments.iter().flat_map(|segment| {
        let bits = match segment.numbers {
            Numbers::Count { .. } => 0,
            Numbers::Real { fraction_bits, .. } => fraction_bits,
        };
        std::iter::repeat_n(bits, segment.len as usize)
    })
}

/// How a training ended.
pub enum End {
    /// With a model.
    Model(Box<Done>),
    /// The method refused to go on, and why.
    Refused(String),
    /// The attacker had seen enough.
    Stopped,
}

/// A whole training over honest donors and liars. Sums are those of the federation: whole numbers, exact, so that whoever knows
/// own numbers subtracts them to the last digit. Liars' numbers pass the gate, or this panics: it must not be their own clumsiness
/// that stops them.
pub fn train(config: &Config, honest: &[Rows], liars: &mut impl Liars, most: usize) -> End {
    let method = method();
    let sites: Vec<_> = honest.iter().map(Rows::blocks).collect();
    let mut state = method.begin(config).unwrap();
    for _ in 0..most {
        let ask = match method.next(config, &state, honest.len()).unwrap() {
            Next::Done { done } => return End::Model(Box::new(done)),
            Next::Ask { ask } => ask,
        };
        let question = Question::from_bytes(&ask.question).unwrap();
        let own = liars.send(&ask, &question);
        let donors = honest.len() + own.len();
        let mut others = vec![0_i128; ask.len()];
        let add = |to: &mut Vec<i128>, numbers: &[f64]| {
            for (i, (sum, (v, bits))) in to.iter_mut().zip(numbers.iter().zip(digits(&ask))).enumerate() {
                *sum += fixed::to_integer(*v, bits, donors, i).unwrap();
            }
        };
        for blocks in &sites {
            add(&mut others, &method.site(&ask, blocks).unwrap());
        }
        let mut all = others.clone();
        for mut numbers in own {
            ask.admit(&numbers, 1).unwrap();
            ask.round(&mut numbers);
            add(&mut all, &numbers);
        }
        let real = |sums: &[i128]| -> Vec<f64> {
            sums.iter().zip(digits(&ask)).map(|(&sum, bits)| fixed::to_real(sum, bits)).collect()
        };
        liars.learn(&question, &real(&others));
        let opened = Opened { donors: (1..=donors as u16).collect(), sums: real(&all) };
        state = match method.advance(&state, &ask, &opened) {
            Ok(state) => state,
            Err(MethodError::Run { error: RunError::Explained(why), .. }) => return End::Refused(why),
            Err(other) => panic!("{other}"),
        };
    }
    End::Stopped
}

/// Honest rows that are among these, each counted once, and how many of these are no row of anybody.
pub fn read(honest: &[Rows], claims: &[Vec<f64>]) -> (usize, usize) {
    let is = |row: &[f64], claim: &[f64]| claim.iter().zip(row).all(|(c, v)| (c - v).abs() < READ);
    let rows = || honest.iter().flat_map(|site| &site.0);
    let found = rows().filter(|row| claims.iter().any(|claim| is(row, claim))).count();
    let wrong = claims.iter().filter(|claim| !rows().any(|row| is(row, claim))).count();
    (found, wrong)
}

/// Values of a row of standardized numbers (the 1 of the intercept first) in units of the data.
pub fn in_units(design: &histone_program_sdk::tabular::Design, z: &[f64]) -> Vec<f64> {
    design.columns().iter().zip(&z[1..]).map(|(column, z)| column.centre + column.unit * z).collect()
}

/// Zero, one or more.
pub fn shown(reads: &[usize]) -> String {
    let list: Vec<String> = reads.iter().map(ToString::to_string).collect();
    list.join(", ")
}
