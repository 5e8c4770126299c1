//! Who may see what of a training: the keys, what they default to, and that owners' policies leave enough of them.

use histone_node::study::{PUBLIC_EXACT, Study};
use histone_protocol::Address;
use histone_protocol::disclosure::{Disclosure, Release, Sums};

use super::{check, edited, files, outcome};

/// The small study with keys of the sections `training`, `model`, `parties` and of the two participants.
struct Keys<'a> {
    training: &'a str,
    model: &'a str,
    parties: &'a str,
    north: &'a str,
    south: &'a str,
}

const NONE: Keys<'_> = Keys { training: "", model: "", parties: "", north: "", south: "" };
const EXACT: Keys<'_> = Keys {
    training: "sums = \"public-exact\"",
    north: "allow_public_exact = true",
    south: "allow_public_exact = true",
    ..NONE
};
const AUDITED: Keys<'_> = Keys {
    training: "auditors = [\"second\", \"independent-auditor\"]",
    parties: "auditors = [\"second\", \"third\"]",
    north: "allow_auditors = [\"independent-auditor\", \"second\"]",
    south: "allow_auditors = [\"second\", \"third\", \"independent-auditor\"]",
    ..NONE
};

fn text(keys: &Keys<'_>) -> String {
    edited(&[
        ("min_survivors = 2", &format!("min_survivors = 2\n{}", keys.training)),
        ("query_price = 2.5", &format!("query_price = 2.5\n{}", keys.model)),
        ("consent = [\"DUO:0000006\"]", &format!("consent = [\"DUO:0000006\"]\n{}", keys.north)),
        ("deny = [\"institute\"", &format!("{}\ndeny = [\"institute\"", keys.south)),
        ("queries = \"queries.csv\"", &format!("queries = \"queries.csv\"\n[parties]\n{}", keys.parties)),
    ])
}

fn read(keys: &Keys<'_>) -> Study {
    Study::parse("study.toml", &text(keys), &files()).unwrap()
}

fn refused(keys: &Keys<'_>, expected: &str) {
    assert_eq!(outcome(&text(keys), &files()), expected);
}

#[test]
fn a_study_that_says_nothing_shows_nothing() {
    let study = read(&NONE);
    let shown = &study.training.disclosure;
    assert_eq!((shown.sums, shown.model, shown.auditors.len()), (Sums::Sealed, Release::Sealed, 0));
    // Half of its two features.
    assert_eq!((shown.answers, study.training.least), (1, 5));
    let north = &study.participants[0];
    assert_eq!((north.allow_public_exact, north.allow_auditors.len()), (false, 0));
    assert!(study.deniers().is_empty());
    assert_eq!(
        shown.sentences(),
        [
            "sums sealed: the attested enclaves of each round open them, and no party does; as many committee members as open a sum \
             together, or one broken enclave, see all sums, and whoever has the vendor's key breaks SIMULATED ones",
            "model sealed: query enclaves have it, and nobody else",
            "answers: one account may buy 1 at the most",
        ]
    );
    assert_eq!(shown.warning(2), None);
}

#[test]
fn exact_sums_for_everybody_are_named_and_allowed_by_name() {
    let study = read(&EXACT);
    let shown = &study.training.disclosure;
    assert_eq!((shown.sums, shown.model, shown.answers), (Sums::PublicExact, Release::Public, 0));
    assert_eq!(shown.sentences()[0], PUBLIC_EXACT);
    assert_eq!(shown.warning(2), None, "everybody has the model");
    let unnamed = |_: &str| -> Result<Address, ()> { Err(()) };
    assert_eq!(shown.with_accounts(unnamed), Ok(Disclosure::public_exact()));
    refused(
        &Keys { north: "", ..EXACT },
        "study.toml:41:8: only 1 of 2 participants allow this, and `min_survivors` is 2; `north`: its policy does not allow exact sums \
         that everybody sees (`allow_public_exact`)",
    );
    for model in ["sealed", "participants"] {
        refused(
            &Keys { training: &format!("sums = \"public-exact\"\nmodel = \"{model}\""), ..EXACT },
            "study.toml:42:9: public sums give the model to everybody; its release must be `public`",
        );
    }
    refused(
        &Keys { training: "sums = \"public-exact\"\nauditors = [\"independent-auditor\"]", ..EXACT },
        "study.toml:42:13: public sums need no auditors: everybody recomputes them",
    );
    let limited = read(&Keys { model: "answers = 7", ..EXACT });
    assert_eq!(limited.training.disclosure.answers, 7);
}

#[test]
fn a_participant_that_denies_is_named_while_enough_are_left() {
    let west = "[[participant]]\nname = \"west\"\ndata = \"west.csv\"\ncountry = \"NL\"\nconsent = [\"DUO:0000042\"]\nallow_public_exact = true\n";
    let south_first = text(&Keys { south: "", ..EXACT });
    let (before, after) = south_first.split_once("[model]").unwrap();
    let three = format!("{before}{west}\n[model]{after}");
    let mut files = files();
    let rows = "31,205,0\n57,230,1\n48,215,0\n66,255,1\n";
    files.0.insert("west.csv", super::table("age,chol,ill\n", rows));
    let study = Study::parse("study.toml", &three, &files).unwrap();
    let deniers: Vec<_> = study.deniers().into_iter().map(|(p, why)| (p.name.clone(), why)).collect();
    let why = "its policy does not allow exact sums that everybody sees (`allow_public_exact`)";
    assert_eq!(deniers, [("south".to_owned(), why.to_owned())]);
}

#[test]
fn auditors_are_of_the_study_and_allowed_by_each_owner() {
    let study = read(&AUDITED);
    let shown = &study.training.disclosure;
    assert_eq!(shown.auditors, ["second", "independent-auditor"]);
    assert_eq!(study.auditors, ["second", "third"]);
    assert_eq!(study.participants[1].allow_auditors.len(), 3);
    assert_eq!(study.parties().iter().filter(|(_, role)| *role == "auditor").count(), 3);
    assert!(shown.sentences()[1].contains("auditor `second` may open every sum"), "{:?}", shown.sentences());
    // Paper and plan have accounts, ascending.
    let account = |name: &str| match name {
        "second" => Ok(Address::repeat_byte(9)),
        "independent-auditor" => Ok(Address::repeat_byte(3)),
        other => Err(other.to_owned()),
    };
    let disclosure = shown.with_accounts(account).unwrap();
    assert_eq!(disclosure.auditors, [Address::repeat_byte(3), Address::repeat_byte(9)]);
    assert_eq!(disclosure.check(), Ok(()));
    refused(
        &Keys { training: "auditors = [\"institute\"]", ..AUDITED },
        "study.toml:41:13: `institute` is no auditor of this study; name one of independent-auditor, second, third, or add it to \
         `auditors` under [parties]",
    );
    refused(
        &Keys { training: "auditors = [\"second\", \"second\"]", ..AUDITED },
        "study.toml:41:23: `second` is listed twice; remove one",
    );
    refused(
        &Keys { north: "allow_auditors = [\"fourth\"]", ..AUDITED },
        "study.toml:15:19: `fourth` is no auditor of this study; name one of independent-auditor, second, third, or add it to \
         `auditors` under [parties]",
    );
    refused(
        &Keys { north: "allow_auditors = [\"second\"]", ..AUDITED },
        "study.toml:41:13: only 1 of 2 participants allow this, and `min_survivors` is 2; `north`: its policy does not allow the auditor \
         `independent-auditor` (`allow_auditors`)",
    );
    // The roles must not meet in one hand.
    refused(
        &Keys { parties: "auditors = [\"second\", \"third\", \"south\"]", ..AUDITED },
        "study.toml:50:32: `south` is a participant and an auditor; every party needs a name of its own",
    );
    refused(
        &Keys { parties: "runner = \"second\"\nauditors = [\"second\", \"third\"]", ..AUDITED },
        "study.toml:51:13: `second` is the runner and an auditor; every party needs a name of its own",
    );
}

#[test]
fn words_and_numbers() {
    let training = |key: &str, expected: &str| refused(&Keys { training: key, ..NONE }, expected);
    training(
        "sums = \"secret\"",
        "study.toml:41:8: `secret` does not say who sees the sums; write \"sealed\" or \"public-exact\"",
    );
    training(
        "sums = \"noised\"",
        "study.toml:41:8: noised sums are not built yet; `sealed` is exact and shows the sums to nobody, `public-exact` to everybody; noise \
         comes with a privacy budget",
    );
    training(
        "model = \"trainer\"",
        "study.toml:41:9: `trainer` does not say who gets the model; write \"sealed\", \"participants\" or \"public\"",
    );
    training("least = 0", "study.toml:41:9: `least` is 0, it must be 1 to 20");
    training("least = 21", "study.toml:41:9: `least` is 21, it must be 1 to 20");
    assert_eq!(read(&Keys { training: "least = 12", ..NONE }).training.least, 12);
    for (model, release) in
        [("sealed", Release::Sealed), ("participants", Release::Participants), ("public", Release::Public)]
    {
        let study = read(&Keys { training: &format!("model = \"{model}\""), ..NONE });
        assert_eq!(
            (study.training.disclosure.sums, study.training.disclosure.model),
            (Sums::Sealed, release)
        );
        // A model that everybody has is not told by answers.
        assert_eq!(study.training.disclosure.answers, u32::from(model != "public"));
    }
    refused(
        &Keys { model: "answers = -1", ..NONE },
        "study.toml:32:11: `answers` is -1, it must be 0 to 1000000",
    );
    for (answers, warned) in [(2, false), (3, true), (0, true)] {
        let study = read(&Keys { model: &format!("answers = {answers}"), ..NONE });
        let warning = study.training.disclosure.warning(study.table.features.len());
        assert_eq!(warning.is_some_and(|w| w.contains("3 exact answers give")), warned, "{answers}");
    }
    let model =
        &super::STUDY[super::STUDY.find("[model]").unwrap()..super::STUDY.find("[training]").unwrap()];
    let other = model.replace("[model]", "[[other_model]]").replace("\"risk\"", "\"other\"");
    let other = other.replace("query_price = 2.5", "query_price = 2.5\nanswers = 3");
    check(
        &[("[training]", &format!("{other}[training]"))],
        "study.toml:39:11: models that only recruit share the plan of [model], and its `answers`; remove this one",
    );
}
