#![allow(clippy::unwrap_used)]
use histone_program_sdk::config::{Feature, Missing, Outcome};

use super::*;

const LOGISTIC: &str = include_str!("../../../../../programs/logistic/manifest.json");
const LINEAR: &str = include_str!("../../../../../programs/linear/manifest.json");

/// A manifest with these facts.
fn with(facts: &str) -> Result<Manifest, ManifestError> {
    let mut value: serde_json::Value = serde_json::from_str(LOGISTIC).unwrap();
    value["facts"] = serde_json::from_str(facts).unwrap();
    Manifest::read(value.to_string().as_bytes())
}

fn config() -> Config {
    let number = |name: &str| Feature {
        name: name.into(),
        kind: Kind::Number { low: 0.0, high: 1.0 },
        zero_is_missing: false,
    };
    let levels = ["no", "a", "b"].map(String::from).into();
    let level = Feature { name: "sex".into(), kind: Kind::Category { levels }, zero_is_missing: false };
    Config {
        features: vec![number("age"), level, number("bmi")],
        outcome: Outcome::YesNo { name: "ill".into() },
        missing: Missing::Mean {},
        holdout: 0.0,
        least: Default::default(),
        values: vec![0.0, 1.0],
    }
}

fn said(manifest: &Manifest, fact: Fact) -> Option<Fact> {
    let mut said = manifest.declared(&[fact], true, &config());
    assert!(said.len() < 2);
    said.pop()
}

fn table(name: &str, columns: &[&str], rows: Vec<Vec<Cell>>) -> Fact {
    Fact { rows, ..Fact::table(name, "row 7: 63 years, yes", columns) }
}

const AUC: &str = r#"[{"fact": "auc", "decimals": 4, "min": 0, "max": 1, "says": "Area"}]"#;

#[test]
fn a_program_chooses_the_number_and_nothing_else() {
    let auc = with(AUC).unwrap();
    let mut text = Fact::single("auc", "row 7: 63 years, yes", 0.912_345_678);
    assert_eq!(said(&auc, text.clone()), Some(Fact::single("auc", "Area", 0.9123)));
    assert_eq!(auc.declared(&[text.clone()], false, &config()).len(), 1);
    text.columns = vec!["63 years".into()];
    assert_eq!(said(&auc, text.clone()), Some(Fact::single("auc", "Area", 0.9123)));
    text.name = "patient-7".into();
    assert_eq!(said(&auc, text), None);
    for beyond in [1.5, f64::NAN, f64::INFINITY] {
        assert_eq!(said(&auc, Fact::single("auc", "", beyond)), None);
    }
    assert_eq!(said(&auc, Fact::single("auc", "", "63 years")), None);
    let rows = vec![vec![0.5.into()], vec![0.25.into()]];
    assert_eq!(said(&auc, table("auc", &["value"], rows)), None);
    let wide = table("auc", &["value", "value"], vec![vec![0.5.into(), 0.25.into()]]);
    assert_eq!(said(&auc, wide), None);
}

#[test]
fn words_are_those_of_the_list_and_numbers_have_their_digits() {
    let m = with(
        r#"[{"fact": "converged", "words": ["yes", "no"], "says": "Whether"},
            {"fact": "loss", "bits": 3, "says": "Loss"}]"#,
    )
    .unwrap();
    assert_eq!(
        said(&m, Fact::single("converged", "63", "no")),
        Some(Fact::single("converged", "Whether", "no"))
    );
    for other in [Cell::from("63 years"), 1.0.into(), "yes ".into()] {
        assert_eq!(said(&m, Fact::single("converged", "", other)), None);
    }
    assert_eq!(said(&m, Fact::single("loss", "", -1.1e300)).unwrap().number(), {
        Some(precision::rounded_to(-1.1e300, 3))
    });
    assert_eq!(said(&m, Fact::single("loss", "", 13.0)).unwrap().number(), Some(12.0));
    for none in [Cell::from(f64::NAN), f64::INFINITY.into(), "63 years".into()] {
        assert_eq!(said(&m, Fact::single("loss", "", none)), None);
    }
}

/// A method writes rows of people into its tables.
#[test]
fn a_table_has_the_rows_of_the_study_in_their_order() {
    let m = with(
        r#"[{"fact": "w", "says": "Weights", "columns": [
            {"column": "term", "names": "terms"}, {"column": "b", "bits": 20},
            {"column": "n", "decimals": 0, "min": 0, "max": 9}, {"column": "sure", "words": ["yes", "no"]}]}]"#,
    )
    .unwrap();
    let row = |name: &str, n: f64, sure: &str| vec![name.into(), 0.5.into(), n.into(), sure.into()];
    let columns = ["term", "b", "n", "sure"];
    let terms = ["(intercept)", "age", "sex=a", "sex=b", "bmi"];
    let all: Vec<_> = terms.iter().map(|t| row(t, 3.4, "yes")).collect();
    let full = said(&m, table("w", &columns, all.clone())).unwrap();
    assert_eq!(full.says, "Weights");
    assert_eq!(full.rows, terms.map(|t| row(t, 3.0, "yes")));
    // Other rows, twice, out of order, with other words or another width: they are not there.
    let odd = vec![
        row("patient 7", 1.0, "yes"),
        row("age", 12.0, "yes"),
        row("age", 1.0, "no"),
        row("(intercept)", 1.0, "no"),
        row("sex=no", 1.0, "no"),
        row("sex=a", 1.0, "63 years"),
        vec!["sex=a".into()],
        vec![2.0.into(), 0.5.into(), 1.0.into(), "no".into()],
        vec!["sex=b".into(), "63 years".into(), f64::NAN.into(), "no".into()],
    ];
    let odd = said(&m, table("w", &columns, odd)).unwrap();
    let bytes = |rows: &[Vec<Cell>]| histone_program_sdk::wire::Wire::to_bytes(&rows.to_vec());
    let none = || f64::NAN.into();
    let left = [
        vec!["age".into(), 0.5.into(), none(), "yes".into()],
        vec!["sex=b".into(), none(), none(), "no".into()],
    ];
    assert_eq!(bytes(&odd.rows), bytes(&left), "{:?}", odd.rows);
    // Every number that is none is the same one.
    let payload = f64::from_bits(f64::NAN.to_bits() | 0xabcdef);
    let hidden = vec![vec!["age".into(), payload.into(), payload.into(), "no".into()]];
    let hidden = said(&m, table("w", &columns, hidden)).unwrap();
    assert_eq!(bytes(&hidden.rows), bytes(&[vec!["age".into(), none(), none(), "no".into()]]));
    // Other heads, and a table of nothing, are no table.
    assert_eq!(said(&m, table("w", &["term", "b", "63 years", "sure"], all.clone())), None);
    assert_eq!(said(&m, table("w", &["b", "term", "n", "sure"], all)), None);
    assert_eq!(said(&m, table("w", &columns, vec![row("patient 7", 1.0, "yes")])), None);
}

#[test]
fn names_are_those_of_columns_and_levels() {
    for (names, expected) in [
        ("features", &["age", "sex", "bmi"][..]),
        ("levels", &["sex=no", "sex=a", "sex=b"]),
        ("columns", &["age", "sex=a", "sex=b", "bmi"]),
        ("terms", &["(intercept)", "age", "sex=a", "sex=b", "bmi"]),
    ] {
        let m = with(&format!(
            r#"[{{"fact": "t", "says": "T", "columns": [{{"column": "name", "names": "{names}"}}]}},
                {{"fact": "u", "says": "U", "rows": "{names}", "columns": [{{"column": "n", "bits": 4}}]}}]"#
        ))
        .unwrap();
        let rows = expected.iter().map(|n| vec![(*n).into()]).collect::<Vec<_>>();
        assert_eq!(said(&m, table("t", &["name"], rows.clone())).unwrap().rows, rows);
        let many: Vec<Vec<Cell>> = (0..50).map(|i| vec![f64::from(i % 8).into()]).collect();
        let kept = said(&m, table("u", &["n"], many.clone())).unwrap().rows;
        assert_eq!(kept, many[..expected.len()], "{names}");
    }
    let m = with(r#"[{"fact": "u", "says": "U", "rows": 2, "columns": [{"column": "n", "bits": 4}]}]"#);
    let three: Vec<Vec<Cell>> = (0..3).map(|i| vec![f64::from(i).into()]).collect();
    assert_eq!(said(&m.unwrap(), table("u", &["n"], three.clone())).unwrap().rows, three[..2]);
}

#[test]
fn what_is_for_a_public_model_is_said_of_no_other_one() {
    let m = with(
        r#"[{"fact": "auc", "decimals": 1, "min": 0, "max": 1, "says": "Area"},
            {"fact": "auc", "bits": 20, "public_model": true, "says": "Area with digits"},
            {"fact": "loss", "bits": 20, "public_model": true, "says": "Loss",
             "when": {"setting": "ridge", "says": "; with {} of ridge"}}]"#,
    )
    .unwrap();
    let facts = [Fact::single("auc", "", 0.75), Fact::single("loss", "", 2.5)];
    assert_eq!(m.declared(&facts, false, &config()), [Fact::single("auc", "Area", 0.8)]);
    let both = |loss: &str| [Fact::single("auc", "Area with digits", 0.75), Fact::single("loss", loss, 2.5)];
    assert_eq!(m.declared(&facts, true, &config()), both("Loss"));
    let ridge = Config { values: vec![1.5], ..config() };
    assert_eq!(m.declared(&facts, true, &ridge), both("Loss; with 1.5 of ridge"));
    let (one, other) = (m.fact_bits(false), m.fact_bits(true));
    assert!(one.fixed < 6.0 && (66.0..70.0).contains(&other.fixed), "{one:?} {other:?}");
}

/// Counted for real: all tables that can be said.
#[test]
fn no_more_tables_can_be_said_than_the_bits_have() {
    let m = with(
        r#"[{"fact": "t", "says": "T", "columns": [{"column": "name", "names": "features"},
             {"column": "n", "decimals": 0, "min": 0, "max": 2}, {"column": "w", "words": ["a", "b"]}]}]"#,
    )
    .unwrap();
    let names = ["age", "sex", "bmi", "patient 7"];
    let cells = |i: u32| -> Vec<Cell> {
        let (name, n, w) = (i % 4, i / 4 % 5, i / 20 % 3);
        vec![names[name as usize].into(), (f64::from(n) - 0.6).into(), ["a", "b", "c"][w as usize].into()]
    };
    let mut seen = std::collections::BTreeSet::new();
    for first in 0..60 {
        for second in 0..60 {
            let said = said(&m, table("t", &["name", "n", "w"], vec![cells(first), cells(second)]));
            seen.insert(said.map(|fact| histone_program_sdk::wire::Wire::to_bytes(&fact)));
        }
    }
    let bits = m.fact_bits(true).of(&config());
    assert!(seen.len() > 100 && (seen.len() as f64).log2() <= bits && bits < 16.0, "{} {bits}", seen.len());
}

/// A list of names tells which of them are there and nothing else, however a method orders and repeats them.
#[test]
fn names_tell_a_bit_each() {
    let m = with(r#"[{"fact": "t", "says": "T", "columns": [{"column": "name", "names": "features"}]}]"#)
        .unwrap();
    let names = ["age", "sex", "bmi", "patient 7"];
    let mut seen = std::collections::BTreeSet::new();
    for list in 0..256_usize {
        let rows = (0..4).map(|i| vec![names[list >> (2 * i) & 3].into()]).collect();
        seen.insert(said(&m, table("t", &["name"], rows)).map(|fact| format!("{:?}", fact.rows)));
    }
    assert_eq!(((seen.len() as f64).log2(), m.fact_bits(true).of(&config())), (3.0, 3.0), "{seen:?}");
}

#[test]
fn the_bundled_methods_say_what_they_say() {
    for (text, terms) in [(LOGISTIC, 9.0), (LINEAR, 6.0)] {
        let m = Manifest::read(text.as_bytes()).unwrap();
        // Written out it is the same.
        let again = serde_json::to_vec(&m).unwrap();
        assert_eq!(Manifest::read(&again).unwrap(), m);
        let (public, other) = (m.fact_bits(true), m.fact_bits(false));
        assert_eq!((other.feature, other.level), (0.0, 0.0));
        assert!((50.0..200.0).contains(&other.fixed), "{other:?}");
        // A term has 32 bits for each number, three counts for a feature beside it.
        assert!((terms * 32.0..terms * 32.0 + 4.0).contains(&public.level), "{public:?}");
        assert!(public.feature > public.level + 60.0, "{public:?}");
        let of = public.of(&config());
        assert_eq!(of, public.fixed + 3.0 * public.feature + 3.0 * public.level);
    }
}

#[test]
fn declarations_are_checked() {
    assert!(with(AUC).is_ok());
    let one = |inner: &str| format!(r#"[{{"fact": "f", "says": "It", {inner}}}]"#);
    let twice = AUC.replace(['[', ']'], "");
    let many = |n: usize| {
        let all: Vec<String> =
            (0..n).map(|i| format!(r#"{{"fact": "f{i}", "says": "It", "bits": 1}}"#)).collect();
        format!("[{}]", all.join(","))
    };
    assert!(with(&many(MAX_FIELDS)).is_ok());
    for (facts, why) in [
        (format!("[{twice}, {twice}]"), "a name of its own"),
        (many(MAX_FIELDS + 1), "at most 64"),
        (AUC.replace("\"min\": 0", "\"min\": 2"), "its range is within"),
        (AUC.replace("\"max\": 1", "\"max\": 1e16"), "its range is within"),
        (AUC.replace("\"decimals\": 4", "\"decimals\": 10"), "nine decimals"),
        (AUC.replace("Area", "a\\nb"), "a sentence"),
        (AUC.replace("\"min\": 0,", ""), "one of them"),
        (one(r#""bits": 1, "words": ["a"]"#), "one of them"),
        (one(r#""bits": 21"#), "significant bits"),
        (one(r#""bits": 0"#), "significant bits"),
        (one(r#""words": []"#), "different words"),
        (one(r#""words": ["a", "a"]"#), "different words"),
        (one(r#""bits": 1, "columns": [{"column": "n", "bits": 1}], "rows": 1"#), "not both"),
        (one(r#""min": 1, "columns": [{"column": "n", "bits": 1}], "rows": 1"#), "not both"),
        (one(r#""bits": 1, "rows": 1"#), "no `columns`"),
        (one(r#""columns": [], "rows": 1"#), "columns with different names"),
        (one(r#""columns": [{"column": "n", "bits": 1}]"#), "how many `rows`"),
        (one(r#""rows": 4097, "columns": [{"column": "n", "bits": 1}]"#), "rows"),
        (one(r#""rows": "features", "columns": [{"column": "n", "names": "terms"}]"#), "how many `rows`"),
        (
            one(r#""columns": [{"column": "n", "names": "terms"}, {"column": "m", "names": "terms"}]"#),
            "how many `rows`",
        ),
        (
            one(r#""rows": 1, "columns": [{"column": "n", "bits": 1}, {"column": "n", "bits": 1}]"#),
            "different names",
        ),
        (one(r#""rows": 1, "columns": [{"column": "n", "bits": 21}]"#), "`facts.f.n`"),
        (one(r#""bits": 1, "when": {"setting": "none", "says": "x"}"#), "`when` names a setting"),
    ] {
        let error = histone_protocol::with_causes(&with(&facts).unwrap_err());
        assert!(error.contains(why), "{facts}: {error}");
    }
}
