//! What is released beside the model of a sealed training: for everybody all tables of the bundled methods, for others some numbers.

use histone_enclave::method::{HostedMethod, LocalStep, LocalTraining, blocks};
use histone_enclave::program::Limits;
use histone_federation::precision::rounded;
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use histone_program_sdk::method::{Cell, Done, Fact};
use histone_program_sdk::wire::Wire;

use crate::support::{artifact, load};

const OUTCOME: (f64, f64) = (-50.0, 90.0);

/// Numbers, a category with a level that nobody has, and a column that is the same in all rows; some values are missing or beyond the
/// range, some rows have no outcome.
fn config(outcome: Outcome, holdout: f64, values: Vec<f64>) -> Config {
    let levels = ["a", "b", "c", "d"].map(String::from).into();
    let feature = |name: &str, kind| Feature { name: name.into(), kind, zero_is_missing: false };
    let number = Kind::Number { low: 0.0, high: 40.0 };
    let features = vec![
        feature("age", number.clone()),
        feature("level", Kind::Category { levels }),
        feature("same", number),
    ];
    let least = Least { site: 0, sum: 5 };
    Config { features, outcome, missing: Missing::Median {}, holdout, least, values }
}

fn trained(method: &HostedMethod, config: &Config) -> Done {
    let yes_no = matches!(config.outcome, Outcome::YesNo { .. });
    let site = |seed: u32| {
        let row = |i: u32| {
            let x = f64::from((i * 37 + seed * 11) % 47);
            let level = f64::from((i * 7 + seed) % 3);
            let score = x + 5.0 * level + f64::from((i * 29) % 31);
            let y = match yes_no {
                true => f64::from(u8::from(score > 40.0)),
                false => score,
            };
            let x = if i.is_multiple_of(9) { f64::NAN } else { x };
            [x, level, 7.0, if i.is_multiple_of(17) { f64::NAN } else { y }]
        };
        let values: Vec<f64> = (0..240).flat_map(row).collect();
        let draws: Vec<f64> = (0..240).map(|i| f64::from(i * 7 % 240) / 240.0).collect();
        blocks(4, &draws, &values)
    };
    let sites = [site(1), site(2), site(3)].map(|blocks| blocks.to_vec());
    let mut training = LocalTraining::new(method, config).unwrap();
    loop {
        if let LocalStep::Done(done) = training.step(&sites).unwrap() {
            return *done;
        }
    }
}

/// The facts as a method gives them, with the digits of the model, and without numbers that are none.
fn all(done: &Done) -> Vec<Fact> {
    let mut facts = done.facts.clone();
    facts.retain(|fact| !fact.is_number() || fact.number().is_some());
    for cell in facts.iter_mut().flat_map(|fact| fact.rows.iter_mut().flatten()) {
        if let Cell::Number { value } = cell {
            *value = rounded(*value);
        }
    }
    facts
}

#[test]
fn beside_a_public_model_the_bundled_methods_say_all_that_they_say() {
    let ill = || Outcome::YesNo { name: "ill".into() };
    let days = || Outcome::Number { name: "days".into(), low: OUTCOME.0, high: OUTCOME.1 };
    let logistic = |ridge, most| vec![ridge, 12.0, 1e-6, 64.0, 0.0, 10.0, most];
    let mut seen = std::collections::BTreeSet::new();
    for (name, config) in [
        ("logistic", config(ill(), 0.25, logistic(1.0, 50.0))),
        ("logistic", config(ill(), 0.0, logistic(0.0, 50.0))),
        ("linear", config(days(), 0.25, vec![1.5, 1000.0])),
        ("linear", config(days(), 0.0, vec![0.0, 0.01])),
        // Too few to judge.
        ("linear", config(days(), 0.01, vec![0.0, 1000.0])),
    ] {
        let method = HostedMethod::new(load(&artifact(name), Limits::METHOD)).unwrap();
        let done = trained(&method, &config);
        let said = method.manifest().declared(&done.facts, true, &config);
        let expected = all(&done);
        let names = |facts: &[Fact]| facts.iter().map(|fact| fact.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&said), names(&expected), "{name}");
        for (said, expected) in said.iter().zip(&expected) {
            assert_eq!(said.to_bytes(), expected.to_bytes(), "{name}: {said:?} {expected:?}");
        }
        seen.extend(expected.into_iter().map(|fact| (name, fact.name)));
        // Of another model: single numbers, and none of the model's.
        let other = method.manifest().declared(&done.facts, false, &config);
        assert!(other.len() >= 2 && other.iter().all(Fact::is_number), "{other:?}");
        for sentence in ["1 on standardized", "1.5 on standardized"] {
            let there = said.iter().any(|f| f.says.contains(sentence));
            assert_eq!(there, sentence.starts_with(&format!("{} ", config.values[0])), "{name}: {sentence}");
        }
    }
    // Nothing is declared that no training says, but for what sites hide where everybody sees their parts; one method stands for both
    // in what both have from the SDK.
    for name in ["logistic", "linear"] {
        let method = HostedMethod::new(load(&artifact(name), Limits::METHOD)).unwrap();
        let shared = ["too few to judge", "at the bound"];
        for declared in &method.manifest().facts {
            let fact = declared.fact.as_str();
            let by = if shared.contains(&fact) { "linear" } else { name };
            assert!(fact == "suppressed" || seen.contains(&(by, fact.to_owned())), "{name}: {fact}");
        }
    }
}
