//! How fast the `site` half of a method is as the committed module in the engine, beside the same source as native code.
//! `cargo xtask bench guest` runs it, and builds the methods as their own release does.
//!
//! Both sides get the same question and the same encoded blocks, decode them and give bytes, which must be equal. Each stage of a
//! training is measured once, in pairs whose order alternates, by the processor time of the thread. Compiling the module is not
//! counted, starting it is: every call begins in fresh memory. The results go to one JSON file, progress to the error output.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use histone_enclave::engine::Engine;
use histone_enclave::method::{HostedMethod, blocks};
use histone_enclave::program::{Limits, Program};
use histone_program_linear::Linear;
use histone_program_logistic::Logistic;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::data::{Block, Data};
use histone_program_sdk::entries;
use histone_program_sdk::method::{Method, Next, Opened};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::wire::decode_vector;
use serde_json::{Value, json};

/// Rows and features.
const SHAPES: [(usize, usize); 2] = [(20_000, 50), (2_000, 500)];
/// Pairs, where `--pairs` does not say it.
const PAIRS: usize = 9;

/// The rows as the host offers them.
struct Rows(Vec<Arc<[u8]>>);

impl Data for Rows {
    fn blocks(&self) -> usize {
        self.0.len()
    }

    fn block(&self, number: usize) -> Result<Block, Refusal> {
        Block::decode(&self.0[number])
    }
}

fn rows(rows: usize, features: usize, yes_no: bool) -> Rows {
    let mut state = 9_u64;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (mut draws, mut values) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        draws.push(uniform());
        // About normal; the first ten say something about the outcome.
        let row: Vec<f64> = (0..features).map(|_| (0..4).map(|_| uniform() - 0.5).sum::<f64>()).collect();
        let signal = row.iter().take(10).sum::<f64>() + 2.0 * (uniform() - 0.5);
        values.extend(row);
        values.push(if yes_no { f64::from(u8::from(signal > 0.0)) } else { signal });
    }
    Rows(blocks(features + 1, &draws, &values))
}

fn config(features: usize, yes_no: bool) -> Config {
    let kind = Kind::Number { low: -2.0, high: 2.0 };
    let feature = |i| Feature { name: format!("c{i}"), kind: kind.clone(), zero_is_missing: false };
    Config {
        features: (0..features).map(feature).collect(),
        outcome: match yes_no {
            true => Outcome::YesNo { name: "y".into() },
            false => Outcome::Number { name: "y".into(), low: -20.0, high: 20.0 },
        },
        missing: Missing::Mean {},
        holdout: 0.2,
        least: Least::default(),
        // Of `linear` ridge and largest weight; of `logistic` ridge, rounds, tolerance, bins, separated, longest step, largest weight.
        values: if yes_no { vec![1.0, 40.0, 1e-9, 64.0, 0.0, 10.0, 50.0] } else { vec![1.0, 1000.0] },
    }
}

/// Seconds that this thread has used.
#[cfg(unix)]
fn used() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Seconds of the clock, where a thread's own are not to be had.
#[cfg(not(unix))]
fn used() -> f64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64()
}

fn timed(work: impl FnOnce() -> Vec<u8>) -> (f64, Vec<u8>) {
    let before = used();
    let result = work();
    (used() - before, result)
}

fn measure<M: Method>(hosted: &HostedMethod, config: Config, data: &Rows, pairs: usize) -> Vec<Value> {
    let guest = |question: &[u8]| {
        hosted.program().call_for_owner("site", question, &data.0).map_err(|error| error.0).unwrap().bytes
    };
    let native = |question: &[u8]| entries::site::<M>(question, data).unwrap();
    let mut state = M::begin(config).unwrap();
    let (mut measured, mut stages) = (Vec::new(), BTreeSet::new());
    while let Next::Ask { ask } = M::next(&state).unwrap() {
        if stages.insert(ask.stage.clone()) {
            let (mut guests, mut natives) = (Vec::new(), Vec::new());
            // One pair that is not counted: caches, and pages that are touched for the first time.
            for pair in 0..=pairs {
                let run_guest = || timed(|| guest(&ask.question));
                let run_native = || timed(|| native(&ask.question));
                let ((guest, a), (native, b)) = if pair % 2 == 0 {
                    let first = run_guest();
                    (first, run_native())
                } else {
                    let first = run_native();
                    (run_guest(), first)
                };
                assert!(a == b, "guest and native code give other numbers");
                if pair > 0 {
                    guests.push(guest);
                    natives.push(native);
                }
            }
            eprintln!("  {}: {:.4} s, {:.4} s", ask.stage, guests[0], natives[0]);
            measured.push(json!({ "stage": ask.stage, "guest": guests, "native": natives }));
        }
        let mut sums = decode_vector(&native(&ask.question)).unwrap();
        ask.round(&mut sums);
        state = M::advance(state, Opened { donors: vec![1], sums }).unwrap();
    }
    measured
}

fn hosted(engine: &Engine, name: &str) -> HostedMethod {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../programs/artifacts").join(format!("{name}.wasm"));
    let program = Program::admit(&std::fs::read(file).unwrap(), Limits::METHOD).unwrap();
    HostedMethod::new(engine.load(program).unwrap()).unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let given = |name: &str| Some(arguments.get(arguments.iter().position(|a| a == name)? + 1)?.clone());
    let Some(out) = given("--out") else {
        eprintln!("this benchmark writes a file for another program: run `cargo xtask bench guest`");
        return;
    };
    let pairs = given("--pairs").map_or(PAIRS, |pairs| pairs.parse().unwrap());
    let engine = Engine::new().unwrap();
    let mut results = Vec::new();
    for (count, features) in SHAPES {
        for name in ["linear", "logistic"] {
            eprintln!("{name}, {count} x {features}: guest, native");
            let (method, yes_no) = (hosted(&engine, name), name == "logistic");
            let (config, data) = (config(features, yes_no), rows(count, features, yes_no));
            let stages = match yes_no {
                true => measure::<Logistic>(&method, config, &data, pairs),
                false => measure::<Linear>(&method, config, &data, pairs),
            };
            results.push(json!({ "method": name, "rows": count, "features": features, "stages": stages }));
        }
    }
    std::fs::write(&out, json!({ "pairs": pairs, "results": results }).to_string()).unwrap();
}
