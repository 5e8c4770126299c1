//! Who may see what of a training, as `study check`, a run and its result say it.

use std::fs;
use std::path::Path;

use histone_node::study::BREAST_CANCER;
use serde_json::json;

use crate::support::{Ran, histone, shared};

/// `study check` of the bundled study with every `from` replaced, as often as it occurs.
fn checked(edits: &[(&str, &str)]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in BREAST_CANCER.files() {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let mut text = BREAST_CANCER.study().to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let file = dir.path().join("study.toml");
    fs::write(&file, text).unwrap();
    Ran::of(histone().current_dir(dir.path()).args(["study", "check"]).arg(Path::new("study.toml")))
}

fn says(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in parts {
        assert!(ran.stdout.contains(part), "`{part}` is not in: {}", ran.stdout);
    }
}

#[test]
fn a_check_says_who_sees_what() {
    says(&checked(&[]), &["sums PUBLIC-EXACT: everybody sees each sum exactly", "\nmodel public: everybody"]);
    let sealed = checked(&[("sums = \"public-exact\"", "sums = \"sealed\"")]);
    says(&sealed, &["sums sealed: ", "model sealed: ", "one account may buy 15 at the most"]);
    assert!(
        !sealed.stdout.contains("PUBLIC-EXACT") && !sealed.stdout.contains("warning"),
        "{}",
        sealed.stdout
    );
    let open = checked(&[
        ("sums = \"public-exact\"", "sums = \"sealed\"\nmodel = \"participants\""),
        ("query_price = \"2.5\"", "query_price = \"2.5\"\nanswers = 0"),
    ]);
    says(
        &open,
        &["model for participants: ", "warning: 31 exact answers give a linear model", "as it likes"],
    );
}

#[test]
fn owners_who_deny_it_are_named_and_too_few_others_are_an_error() {
    let deny = |name: &str| format!("name = \"{name}\"\n");
    let text = BREAST_CANCER.study();
    let section = |name: &str| {
        let from = text.find(&deny(name)).unwrap();
        let to = from + text[from..].find("allow_public_exact = true").unwrap();
        (text[from..to].to_owned() + "allow_public_exact = true", text[from..to].to_owned())
    };
    let (city, screening) = (section("city-hospital"), section("screening-center"));
    let one = checked(&[(&city.0, &city.1)]);
    says(&one, &["city-hospital will take no part: its policy does not allow exact sums"]);
    let two = checked(&[(&city.0, &city.1), (&screening.0, &screening.1)]);
    let error = two.error();
    for part in [
        "study.toml:",
        "only 2 of 4 participants allow this",
        "`city-hospital`: its policy",
        "`screening-center`",
    ] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_run_and_its_result_say_who_saw_what() {
    let ran = &shared().ran;
    let all = json!({ "sums": "public-exact", "model": "public", "auditors": [], "answers": 0 });
    assert_eq!(ran.json()["disclosure"], all);
    assert!(ran.stderr.contains("sums PUBLIC-EXACT: everybody sees each sum exactly"), "{}", ran.stderr);
}
