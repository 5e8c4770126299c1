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

/// The study in one enclave, and what else is changed.
fn in_one_enclave(others: &[(&str, &str)]) -> Ran {
    let place = ("sums = \"public-exact\"", "place = \"one-enclave\"");
    checked(&[&[place], others].concat())
}

#[test]
fn a_check_says_where_data_goes() {
    let one = in_one_enclave(&[]);
    says(&one, &["one enclave: all data is brought to it, encrypted", "model sealed: "]);
    assert!(!one.stdout.contains("sums sealed"), "{}", one.stdout);
    let logistic = histone_node::programs::measurement("logistic").unwrap();
    let by_name = format!("allow_one_enclave = true\nallow_closed = [\"{logistic}\"]");
    let closed = ("place = \"one-enclave\"", "place = \"one-enclave\"\nsource = \"closed\"");
    says(&in_one_enclave(&[closed, ("allow_one_enclave = true", &by_name)]), &["method CLOSED: nobody but"]);
    let (twice, wrong) = (
        format!("allow_one_enclave = true\nallow_closed = [\"{logistic}\", \"{logistic}\"]"),
        "allow_one_enclave = true\nallow_closed = [\"logistic\"]",
    );
    for (changes, why) in [
        (&[("allow_one_enclave = true", "")][..], "only 0 of 4 participants allow this"),
        (&[closed], "its policy does not allow the closed method `logistic`, 0x"),
        (&[("allow_one_enclave = true", twice.as_str())], "is listed twice"),
        (&[("allow_one_enclave = true", wrong)], "`logistic` is no measurement of a method; write 0x"),
        (
            &[("one-enclave", "there")],
            "`there` does not say where the method meets the data; write \"each-owner\" or",
        ),
        (&[closed, ("\"closed\"", "\"secret\"")], "`secret` does not say who may read the method"),
        (&[closed, ("place = \"one-enclave\"\n", "")], "write `place = \"one-enclave\"`"),
        (
            &[closed, ("\"closed\"", "\"closed\"\nmodel = \"public\"")],
            "is a sealed model with a limit of answers",
        ),
        (
            &[("place = \"one-enclave\"", "place = \"one-enclave\"\nsums = \"public-exact\"")],
            "in one enclave there are no sums that others see",
        ),
        (
            &[("place = \"one-enclave\"", "place = \"one-enclave\"\nauditors = [\"independent-auditor\"]")],
            "no sums that an auditor could open",
        ),
    ] {
        let ran = in_one_enclave(changes);
        let error = ran.error();
        assert!(error.contains(why) && error.contains("study.toml:"), "`{why}` is not in: {error}");
    }
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
    let all = json!({ "place": "each-owner", "source": "open", "sums": "public-exact", "model": "public", "auditors": [], "answers": 0 });
    assert_eq!(ran.json()["disclosure"], all);
    assert!(ran.stderr.contains("sums PUBLIC-EXACT: everybody sees each sum exactly"), "{}", ran.stderr);
}
