//! Methods in the engine: the same bits as native code, the references of others, and modules that lie.

use std::sync::{Arc, OnceLock};

use histone_enclave::engine::RunError;
use histone_enclave::manifest::ManifestError;
use histone_enclave::method::{HostedAnswer, HostedMethod, LocalStep, LocalTraining, MethodError, blocks};
use histone_enclave::program::{AdmissionError, Limits, Program};
use histone_program_linear::Linear;
use histone_program_logistic::Logistic;
use histone_program_sdk::config::{Config, Feature, Kind, Missing, Outcome};
use histone_program_sdk::data::{Block, Data};
use histone_program_sdk::method::{Ask, Done, Method, Next, Numbers, Opened, Segment, run_over};
use histone_program_sdk::model::Model;
use histone_program_sdk::wire::{Wire, encode_vector};

use crate::support::{SMALL, all, artifact, giving, load, text};

fn hosted(name: &'static str) -> &'static HostedMethod {
    static LOADED: [OnceLock<HostedMethod>; 2] = [OnceLock::new(), OnceLock::new()];
    let place = ["linear", "logistic"].iter().position(|n| *n == name).unwrap();
    LOADED[place].get_or_init(|| HostedMethod::new(load(&artifact(name), Limits::METHOD)).unwrap())
}

/// Three sites with two features, gaps and an outcome of 0 and 1; the first feature says something about it.
fn sites() -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut state = 9_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let site = |rows: usize| {
        let (mut draws, mut values) = (Vec::new(), Vec::new());
        for _ in 0..rows {
            let (a, b) = (next() * 10.0, (next() * 3.0).floor());
            let yes = f64::from(u8::from(a + 6.0 * next() > 8.0));
            draws.push(next());
            values.extend([if next() < 0.1 { f64::NAN } else { a }, b, yes]);
        }
        (draws, values)
    };
    [120, 80, 5000].map(site).into()
}

fn config(outcome: Outcome, values: Vec<f64>) -> Config {
    let levels = ["low", "middle", "high"].map(str::to_owned).into();
    Config {
        features: vec![
            Feature { name: "a".into(), kind: Kind::Number { low: 0.0, high: 10.0 }, zero_is_missing: false },
            Feature { name: "b".into(), kind: Kind::Category { levels }, zero_is_missing: false },
        ],
        outcome,
        missing: Missing::Median {},
        holdout: 0.25,
        least: Default::default(),
        values,
    }
}

fn logistic() -> Config {
    config(Outcome::YesNo { name: "y".into() }, vec![0.0, 50.0, 1e-9, 200.0, 0.0, 10.0, 50.0])
}

fn linear() -> Config {
    config(Outcome::Number { name: "y".into(), low: 0.0, high: 1.0 }, vec![0.0, 1000.0])
}

fn encoded() -> Vec<Vec<Arc<[u8]>>> {
    sites().into_iter().map(|(draws, values)| blocks(3, &draws, &values)).collect()
}

fn in_the_engine(name: &'static str, config: &Config) -> (Done, u32) {
    let mut training = LocalTraining::new(hosted(name), config).unwrap();
    let sites = encoded();
    assert_eq!(sites[2].len(), 2, "more rows than a block has");
    let mut rounds = 0;
    loop {
        match training.step(&sites).unwrap() {
            LocalStep::Round { round, .. } => rounds = round,
            LocalStep::Done(done) => return (*done, rounds),
        }
    }
}

fn natively<M: Method>(config: &Config) -> (Done, u32) {
    let rows: Vec<Vec<Block>> =
        encoded().iter().map(|b| b.iter().map(|b| Block::decode(b).unwrap()).collect()).collect();
    let sites: Vec<&dyn Data> = rows.iter().map(|r| r as &dyn Data).collect();
    run_over::<M>(config.clone(), &sites).unwrap()
}

#[test]
fn the_engine_gives_the_same_bits_as_native_code() {
    for (name, config, native) in [
        ("logistic", logistic(), natively::<Logistic>(&logistic())),
        ("linear", linear(), natively::<Linear>(&linear())),
    ] {
        let found = in_the_engine(name, &config);
        assert_eq!(found.1, native.1);
        assert_eq!(found.0.to_bytes(), native.0.to_bytes(), "{name}");
        assert_eq!(found.0.model.method, name);
        // What a site says of itself, and what a user is answered.
        let method = hosted(name);
        for blocks in encoded() {
            let report = method.report(&found.0.model, &blocks).unwrap();
            assert_eq!(report.len(), method.manifest().report.len());
            assert!(report[0].unwrap() > 0.0);
        }
        let module = match name {
            "linear" => "linear-answer",
            _ => "logistic-answer",
        };
        let answer = load(&artifact(module), Limits::STANDARD);
        let answer = HostedAnswer::new(answer, method.manifest().clone()).unwrap();
        let fields = answer.answer(&found.0.model, &[7.5, f64::NAN]).unwrap();
        assert!((0.0..=1.0).contains(&fields[0].unwrap()), "{fields:?}");
        assert!(answer.answer(&found.0.model, &[7.5]).is_err());
    }
}

#[test]
fn a_method_says_in_words_what_does_not_fit() {
    let error = hosted("linear").begin(&logistic()).unwrap_err().to_string();
    assert_eq!(error, "the method `linear`, begin: linear regression predicts a number");
    let mut none = logistic();
    none.features.clear();
    let error = hosted("logistic").begin(&none).unwrap_err().to_string();
    assert!(error.contains("name the columns"), "{error}");
    assert!(hosted("logistic").next(&logistic(), b"junk", 3).is_err());
}

#[test]
fn beside_rows_a_refusal_says_why_to_the_owner_only() {
    let method = hosted("logistic");
    let refuse = Config { missing: Missing::Refuse {}, ..logistic() };
    let state = method.begin(&refuse).unwrap();
    let Next::Ask { ask } = method.next(&refuse, &state, 3).unwrap() else { panic!() };
    // For what is in a row no round is refused, even where values may not be missing.
    assert!(method.site(&ask, &encoded()[0]).is_ok());
    let withheld = MethodError::Withheld { method: "logistic".into(), entry: "site" };
    // A block of another width, and one that is none.
    for block in [blocks(2, &[0.5], &[1.0, 2.0]), vec![Arc::from(&b"junk"[..])]] {
        assert_eq!(method.site(&ask, &block), Err(withheld.clone()));
        let error = method.site_for_owner(&ask, &block).unwrap_err().0;
        assert!(matches!(error, MethodError::Run { error: RunError::Aborted(1), .. }), "{error:?}");
    }
}

#[test]
fn sums_that_cannot_be_are_refused() {
    let method = hosted("logistic");
    let state = method.begin(&logistic()).unwrap();
    let Next::Ask { ask } = method.next(&logistic(), &state, 3).unwrap() else { panic!() };
    let opened = |sums: Vec<f64>| Opened { donors: vec![1, 2, 3], sums };
    assert!(method.advance(&state, &ask, &opened(vec![0.0; 3])).is_err());
    assert!(method.advance(&state, &ask, &opened(vec![f64::NAN; ask.len()])).is_err());
    let error = method.advance(&state, &ask, &opened(vec![0.5; ask.len()])).unwrap_err().to_string();
    assert!(error.contains("cannot be true"), "{error}");
}

#[test]
fn a_missing_half_or_a_lying_manifest_is_not_admitted() {
    let manifest = histone_program_logistic::MANIFEST;
    let admitted = |wasm: &[u8]| Program::admit(wasm, SMALL);
    assert!(admitted(&text(&all(|_| String::new()), Some(manifest))).is_ok());
    let half = all(|_| String::new()).replace(r#"(export "report")"#, "");
    let error = admitted(&text(&half, Some(manifest))).unwrap_err().to_string();
    assert!(error.contains("[advance, agenda, begin, next, site]"), "{error}");
    let cause = |wasm: &[u8]| match admitted(wasm).unwrap_err() {
        AdmissionError::Manifest(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(cause(&text(&all(|_| String::new()), None)), ManifestError::Missing));
    let greedy = manifest.replace("\"fuel\": 100000000000", "\"fuel\": 9000000000000000");
    assert!(matches!(cause(&text(&all(|_| String::new()), Some(&greedy))), ManifestError::Wrong { .. }));
    let other = r#"(func (export "validate"))"#;
    assert!(matches!(cause(&text(other, Some(manifest))), ManifestError::NotAMethod));
}

#[test]
fn a_public_half_that_asks_for_rows_or_never_ends_is_named() {
    let small = histone_program_logistic::MANIFEST.replace("\"fuel\": 100000000000", "\"fuel\": 100000");
    let peek = all(|_| "(drop (call $input_len (i32.const 1)))".into());
    let method = HostedMethod::new(load(&text(&peek, Some(&small)), SMALL)).unwrap();
    let error = method.begin(&logistic()).unwrap_err().to_string();
    assert!(error.contains("`begin` asked for input channel 1; it has 1"), "{error}");
    let endless = all(|_| "(loop $l (br $l))".into());
    let method = HostedMethod::new(load(&text(&endless, Some(&small)), SMALL)).unwrap();
    let error = method.begin(&logistic()).unwrap_err().to_string();
    assert!(error.contains("did not end within 100000 units"), "{error}");
    // `next` gives something that is no question.
    let junk = all(|_| "(call $output_emit (i32.const 0) (i32.const 6))".into());
    let method = HostedMethod::new(load(&text(&junk, Some(&small)), SMALL)).unwrap();
    assert!(matches!(method.next(&logistic(), b"", 3), Err(MethodError::Layout { entry: "next", .. })));
}

#[test]
fn to_end_with_a_model_of_other_columns_than_the_study() {
    let done = |config: Config| {
        let model = Model::new("logistic", "1.1.0", config);
        giving(&Next::Done { done: Done { model, facts: vec![] } }.to_bytes())
    };
    assert!(done(logistic()).next(&logistic(), b"", 3).is_ok());
    let mut other = logistic();
    other.features.truncate(1);
    for other in [other, Config { holdout: 0.0, ..logistic() }, linear()] {
        let error = done(other).next(&logistic(), b"", 3).unwrap_err().to_string();
        assert!(error.contains("of other columns or settings than the study"), "{error}");
    }
}

#[test]
fn to_send_numbers_that_the_question_does_not_promise() {
    let ask = |numbers| Ask {
        stage: "count".into(),
        question: vec![],
        segments: vec![Segment { len: 1, numbers }],
    };
    let count = |max| ask(Numbers::Count { max });
    let real = |fraction_bits| ask(Numbers::Real { max_abs: 8.0, fraction_bits });
    let gives = |value: f64| giving(&encode_vector(&[value]));
    for (value, why) in [
        (5.0, "is beyond its bound"),
        (-1.0, "is a count below 0"),
        (0.5, "is no whole number"),
        (f64::NAN, "is none (NaN)"),
    ] {
        let error = gives(value).site_for_owner(&count(4), &[]).unwrap_err().to_string();
        assert!(error.contains("number 0 of segment 0 of the count stage") && error.contains(why), "{error}");
        assert!(matches!(gives(value).site(&count(4), &[]), Err(MethodError::Withheld { .. })));
    }
    assert_eq!(gives(4.0).site(&count(4), &[]), Ok(vec![4.0]));
    // Digits that do not count do not leave.
    assert_eq!(gives(1.2345).site(&real(2), &[]), Ok(vec![1.25]));
    assert_eq!(gives(1.2345).site(&real(0), &[]), Ok(vec![1.0]));
    assert_eq!(gives(-1.2345).site(&real(60), &[]), Ok(vec![-1.2345]));
    // What is asked fits into a sum of whole numbers, and a sum is one of as many donors.
    let next = |ask: Ask| giving(&Next::Ask { ask }.to_bytes()).next(&logistic(), b"", 3);
    assert!(next(count(1 << 51)).is_ok());
    let error = next(count(1 << 53)).unwrap_err().to_string();
    assert!(
        error.contains("the bound of segment 0 of `count` is") && error.contains("over 3 sites"),
        "{error}"
    );
    let advanced =
        |ask: &Ask, sum: f64| gives(0.0).advance(b"", ask, &Opened { donors: vec![1, 2], sums: vec![sum] });
    assert!(advanced(&count(4), 8.0).is_ok() && advanced(&real(9), -16.0).is_ok());
    for (ask, sum) in [(count(4), 9.0), (count(4), 1.5), (real(9), 17.0)] {
        assert!(advanced(&ask, sum).unwrap_err().to_string().contains("the sums cannot be true"));
    }
}

#[test]
fn a_caller_gives_a_method_no_more_than_it_has() {
    let wasm = text(&all(|_| String::new()), Some(histone_program_logistic::MANIFEST));
    let limits = |caller| Program::admit(&wasm, caller).unwrap().limits();
    assert_eq!(limits(SMALL), SMALL);
    assert_eq!(limits(Limits::METHOD).fuel, 100_000_000_000);
    assert_eq!(limits(Limits { fuel: 7, ..Limits::METHOD }).fuel, 7);
}
