//! Every complaint about a study, word for word, and a small study that must load.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read};
use std::path::Path;

use histone_node::study::{Denied, Files, Missing, Study, TermKind, TrainerId};
use histone_protocol::evidence::Platform;

mod alone;
mod consent;
mod disclosure;
mod formats;
mod kinds;

const STUDY: &str = r#"name = "small"
title = "A small study"
task = "binary"

[table]
label = "ill"
features = "all numeric"
missing = "median"

[[participant]]
name = "north"
data = "north.csv"
country = "DE"
consent = ["DUO:0000006"]

[[participant]]
name = "south"
data = "south.csv"
country = "FR"
consent = ["DUO:0000046", "DUO:0000042"]
deny = ["institute", "DUO:0000011"]

[model]
name = "risk"
predicts = "the risk"
purpose = "DUO:0000006"
trainer = "institute"
instant_payment = 50
query_price = 2.5
split = { donors = 70, trainer = 20.5, runner = "9.5" }

[training]
rounds = 12
tolerance = 1e-6
ridge = 1
holdout = 0.2
min_survivors = 2

[committee]
members = ["regulator", "ethics-board", "patients", "university"]
threshold = 3

[end_user]
queries = "queries.csv"
"#;

struct Memory(HashMap<&'static str, String>);

impl Files for Memory {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let text =
            self.0.get(path).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not in memory"))?;
        Ok(Box::new(text.as_bytes()))
    }
}

fn files() -> Memory {
    let north = table("age,chol,ill\n", "41,200,0\n52,,1\n63,240,0\n74,260,1\n");
    let south = table("chol,age,ill\n", "210,35,0\n220,45,1\n0,55,0\n230,65,1\n");
    let queries = "age,chol\n50,\n60,250\n".to_owned();
    Memory([("north.csv", north), ("south.csv", south), ("queries.csv", queries)].into())
}

/// A table with its rows five times over: of four rows it is as large as it must be.
fn table(header: &str, rows: &str) -> String {
    format!("{header}{}", rows.repeat(5))
}

/// The study with every `from` replaced, which must occur exactly once.
fn edited(edits: &[(&str, &str)]) -> String {
    let mut text = STUDY.to_owned();
    for (from, to) in edits {
        assert_eq!(text.matches(from).count(), 1, "`{from}` must occur once");
        text = text.replacen(from, to, 1);
    }
    text
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}\n  {error}");
        cause = error.source();
    }
    text
}

fn outcome(text: &str, files: &dyn Files) -> String {
    match Study::parse("study.toml", text, files) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => chain(&error),
    }
}

fn check(edits: &[(&str, &str)], expected: &str) {
    assert_eq!(outcome(&edited(edits), &files()), expected);
}

/// As `check`, with one data file changed.
fn check_data(edits: &[(&str, &str)], file: &'static str, content: &str, expected: &str) {
    let mut files = files();
    assert!(files.0.insert(file, content.to_owned()).is_some());
    assert_eq!(outcome(&edited(edits), &files), expected);
}

#[test]
fn the_small_study_is_accepted() {
    let study = Study::parse("study.toml", STUDY, &files()).unwrap();
    assert_eq!(study.table.features, ["age", "chol"]);
    assert_eq!(study.table.missing, Missing::Median);
    // South has the columns in another order.
    assert_eq!(study.participants[1].table.row(0), Some(&[35.0, 210.0, 0.0][..]));
    assert_eq!(study.participants[0].table.missing(), 5);
    assert_eq!(study.participants[1].consent[0].term.kind, TermKind::Permission);
    assert_eq!(study.participants[1].deny[0], Denied::Trainer(TrainerId::Named("institute".into())));
    assert!(
        matches!(&study.participants[1].deny[1], Denied::Purpose(purpose) if purpose.term.short == "POA")
    );
    assert_eq!(study.model.instant_payment.micro(), 50_000_000);
    assert_eq!(study.model.query_price.micro(), 2_500_000);
    let split = study.model.split;
    assert_eq!((split.donors.get(), split.trainer.get(), split.runner.get()), (7_000, 2_050, 950));
    assert!(study.end_user.queries[0][1].is_nan());
    assert_eq!(study.end_user.queries[1], [60.0, 250.0]);
    assert_eq!(study.end_user.truth, None);
    assert_eq!(study.source, STUDY);
    assert_eq!(
        study.parties().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        [
            "north",
            "south",
            "institute",
            "regulator",
            "ethics-board",
            "patients",
            "university",
            "cloud-runner",
            "independent-auditor",
            "end-user"
        ]
    );
    // Neither measurements nor queries are printed.
    let printed = format!("{study:?}");
    assert!(printed.contains("queries: 2") && !printed.contains("250.0") && !printed.contains("35.0"));
}

#[test]
fn options_change_what_is_read() {
    let read = |edits: &[(&str, &str)]| Study::parse("study.toml", &edited(edits), &files()).unwrap();
    let zero = read(&[("missing = \"median\"", "missing = \"mean\"\nzero_is_missing = [\"chol\"]")]);
    assert_eq!((zero.participants[1].table.missing(), zero.table.missing), (0, Missing::Mean), "zeros stay");
    let refused = edited(&[("missing = \"median\"", "missing = \"refuse\"\nzero_is_missing = [\"chol\"]")]);
    let refused = Study::parse("study.toml", &refused, &files()).unwrap_err();
    assert!(
        refused.to_string().starts_with("study.toml:"),
        "a zero that means missing is refused: {refused}"
    );
    let named = read(&[("\"all numeric\"", "[\"chol\"]")]);
    assert_eq!(
        (named.table.features.as_slice(), named.end_user.queries[1].as_slice()),
        (&["chol".to_owned()][..], &[250.0][..])
    );
    let ignored = read(&[("missing = \"median\"", "missing = \"refuse\"\nignore = [\"chol\"]")]);
    assert_eq!(ignored.table.features, ["age"]);
    let counted = read(&[("queries = \"queries.csv\"", "queries = \"queries.csv\"\ncount = 1")]);
    assert_eq!(counted.end_user.queries.len(), 1);
    let truth = {
        let mut files = files();
        files.0.insert("queries.csv", "ill,chol,age\n1,2,3\n0,4,5\n".into());
        Study::parse("study.toml", STUDY, &files).unwrap().end_user
    };
    assert_eq!((truth.truth, truth.queries), (Some(vec![1.0, 0.0]), vec![vec![3.0, 2.0], vec![5.0, 4.0]]));
    let dropped = {
        let mut files = files();
        files.0.insert("north.csv", table("age,chol,ill\n", "1,1,0\n2,,1\n3,3,0\n4,4,1\n5,5,1\n"));
        files.0.insert("queries.csv", "age,chol\n1,1\n".into());
        Study::parse("study.toml", &edited(&[("\"median\"", "\"drop\"")]), &files).unwrap()
    };
    assert_eq!((dropped.participants[0].table.rows(), dropped.participants[0].dropped_rows), (20, 5));
}

#[test]
fn text_that_is_no_study() {
    check(&[("[table]", "[table")], "study.toml:5:7: unclosed table, expected `]`");
    check(
        &[("rounds = 12", "rounds = 12\nround = 3")],
        "study.toml:34:1: unknown field `round`, expected one of `method`, `rounds`, `tolerance`, `ridge`, `holdout`, `min_survivors`, `place`, `source`, `sums`, `model`, `auditors`, `least`, `settings`",
    );
    check(
        &[("[[participant]]\nname = \"south\"", "[[participants]]\nname = \"south\"")],
        "study.toml:16:3: unknown field `participants`, expected one of `name`, `title`, `task`, `table`, `participant`, `model`, `other_model`, `training`, `committee`, `appraisal`, `end_user`, `parties`",
    );
    check(
        &[("label = \"ill\"\n", "")],
        "study.toml:3:8: the task \"binary\" needs `label` under [table]: the column with the answer",
    );
    check(
        &[("\"all numeric\"", "7")],
        "study.toml:7:12: invalid type: integer `7`, expected \"all numeric\" or a list of column names",
    );
    check(
        &[("query_price = 2.5", "query_price = true")],
        "study.toml:29:15: invalid type: boolean `true`, expected an amount such as 50 or \"2.5\"",
    );
}

#[test]
fn names_and_texts() {
    let not_a_name = |name| format!("`{name}` is not a name; use 1 to 32 of a-z, 0-9 and -");
    check(&[("\"small\"", "\"Small study\"")], &format!("study.toml:1:8: {}", not_a_name("Small study")));
    check(&[("\"north\"", "\"no\\u001brth\"")], &format!("study.toml:11:8: {}", not_a_name("no\\u{1b}rth")));
    check(
        &[("\"A small study\"", "\"A\\nstudy\"")],
        "study.toml:2:9: `title` must be one line of 1 to 200 characters",
    );
    check(
        &[("\"the risk\"", "\"\"")],
        "study.toml:25:12: `predicts` must be one line of 1 to 200 characters",
    );
    check(
        &[("\"binary\"", "\"regression\"")],
        "study.toml:3:8: the task is \"binary\" (the label is yes or no), \"number\" (the label is a number) or \"time\" (an event, and the time until it)",
    );
    check(
        &[("\"south\"", "\"north\"")],
        "study.toml:17:8: `north` is a participant twice; rename or remove one",
    );
    check(
        &[("\"regulator\", ", "\"south\", ")],
        "study.toml:40:12: `south` is a participant and a committee member; every party needs a name of its own",
    );
    check(
        &[("threshold = 3\n", "threshold = 3\n[parties]\nauditor = \"institute\"\n")],
        "study.toml:43:11: `institute` is a trainer and the auditor; every party needs a name of its own",
    );
    check(
        &[("\"ethics-board\"", "\"regulator\"")],
        "study.toml:40:25: `regulator` is a committee member twice; rename or remove one",
    );
}

#[test]
fn table_section() {
    check(
        &[("label = \"ill\"", "label = \"ill\"\npositive = \"> x\"")],
        "study.toml:7:12: `> x` is not a rule for an outcome; write one of > >= == != < <= and a number, such as `> 0`, or == and a text, such as `== yes`",
    );
    let features =
        "study.toml:7:12: `features` must be \"all numeric\" or a list of at least one column name";
    check(&[("\"all numeric\"", "[]")], features);
    check(&[("\"all numeric\"", "\"all\"")], features);
    check(
        &[("\"all numeric\"", "[\"age\"]\nignore = [\"chol\"]")],
        "study.toml:8:11: `ignore` only has a meaning with `features = \"all numeric\"`; remove it",
    );
    check(
        &[("\"median\"", "\"zero\"")],
        "study.toml:8:11: `zero` is not a policy; use refuse, drop, mean or median",
    );
    check(
        &[("\"median\"", "\"median\"\nignore = [\"agee\"]")],
        "study.toml:9:11: no participant has a column `agee` to ignore",
    );
    check(
        &[("\"median\"", "\"median\"\nignore = [\"ill\"]")],
        "study.toml:9:11: the label cannot be ignored",
    );
    check(
        &[("\"median\"", "\"median\"\nzero_is_missing = [\"age\", \"hight\"]")],
        "study.toml:9:27: `hight` is not a feature of this study",
    );
}

#[test]
fn models_and_money() {
    check(
        &[("purpose = \"DUO:0000006\"", "purpose = \"DUO:0000004\"")],
        "study.toml:26:11: `DUO:0000004` (no restriction) is not a purpose; use a permission such as DUO:0000006 or an investigation such as DUO:0000037",
    );
    check(
        &[("purpose = \"DUO:0000006\"", "purpose = \"DUO:0000007\"")],
        "study.toml:26:11: `DUO:0000007` (disease specific research) needs a `disease`",
    );
    check(
        &[("purpose = \"DUO:0000006\"", "purpose = \"DUO:0000007 MONDO:0007254\"")],
        "study.toml:26:11: write the disease under `disease`, the purpose is a code alone",
    );
    check(
        &[("purpose = \"DUO:0000006\"", "purpose = \"DUO:0000007\"\ndisease = \"cancer\"")],
        "study.toml:27:11: `cancer` is not a disease; write MONDO: and seven digits, such as MONDO:0007254",
    );
    check(&[("donors = 70", "donors = 65")], "study.toml:30:9: the split adds up to 95 %, it must be 100 %");
    check(&[("donors = 70", "donors = 101")], "study.toml:30:20: `101` is more than 100 percent");
    check(
        &[("20.5", "20.505")],
        "study.toml:30:34: `20.505` is not a share in percent: at most 2 decimals are possible",
    );
    check(
        &[("query_price = 2.5", "query_price = -2.5")],
        "study.toml:29:15: `-2.5` is not an amount of tokens: it is negative",
    );
    check(
        &[("query_price = 2.5", "query_price = \"2.0000001\"")],
        "study.toml:29:15: `2.0000001` is not an amount of tokens: at most 6 decimals are possible",
    );
    check(
        &[("query_price = 2.5", "query_price = 0")],
        "study.toml:29:15: a query must cost something; nothing can be split otherwise",
    );
    check(
        &[("instant_payment = 50", "instant_payment = 1e30")],
        "study.toml:28:19: `1000000000000000000000000000000` is not an amount of tokens: it is too large",
    );
    check(
        &[("instant_payment = 50", "instant_payment = \"18446744073709\"")],
        "study.toml:28:19: the payments to all participants are too large",
    );
    let other = |name| {
        let model = &STUDY[STUDY.find("[model]").unwrap()..STUDY.find("[training]").unwrap()];
        let text = model.replace("[model]", "[[other_model]]").replace("\"risk\"", name);
        format!("{text}[training]")
    };
    check(&[("[training]", &other("\"risk\""))], "study.toml:33:8: two models are named `risk`; rename one");
    check(&[("[training]", &other("\"other\""))], "accepted");
}

#[test]
fn training_and_committee() {
    check(&[("rounds = 12", "rounds = 0")], "study.toml:33:10: `rounds` is 0, it must be 1 to 100");
    check(
        &[("tolerance = 1e-6", "tolerance = nan")],
        "study.toml:34:13: `tolerance` is NaN, it must be above 0 and below 1",
    );
    check(&[("ridge = 1", "ridge = -0.5")], "study.toml:35:9: `ridge` is -0.5, it must be 0 to 1000000");
    let set = |text: &str| format!("min_survivors = 2\n\n[training.settings]\n{text}");
    for (text, expected) in [
        ("separated = 3", "study.toml:40:13: `separated`: it is true or false"),
        ("separated = \"yes\"", "study.toml:40:13: `separated` is a number, or true or false"),
        ("seperated = true", "study.toml:40:13: `logistic` has no setting `seperated`; remove it"),
        ("ridge = 2", "study.toml:40:9: `ridge` is set twice; name it once"),
    ] {
        check(&[("min_survivors = 2", &set(text))], expected);
    }
    check(&[("ridge = 1", "ridge = inf")], "study.toml:35:9: `ridge` is inf, it must be 0 to 1000000");
    for holdout in ["0", "0.51", "-0.2"] {
        check(
            &[("holdout = 0.2", &format!("holdout = {holdout}"))],
            &format!("study.toml:36:11: `holdout` is {holdout}, it must be above 0 and at most 0.5"),
        );
    }
    for survivors in ["1", "3", "-1"] {
        check(
            &[("min_survivors = 2", &format!("min_survivors = {survivors}"))],
            &format!("study.toml:37:17: `min_survivors` is {survivors}, it must be 2 to 2"),
        );
    }
    // The threshold follows from the members; written down, it must be that one.
    check(&[("threshold = 3\n", "")], "accepted");
    for threshold in ["2", "4", "-1"] {
        check(
            &[("threshold = 3", &format!("threshold = {threshold}"))],
            &format!(
                "study.toml:41:13: `threshold` is {threshold}, it must be 3, which follows from 4 members and 1 that may collude: floor((members + colluders) / 2) + 1; leave the key out or write 3"
            ),
        );
    }
    check(
        &[
            ("\"university\"]", "\"university\", \"b\", \"c\", \"d\"]\ncolluders = 2"),
            ("threshold = 3", "threshold = 5"),
        ],
        "accepted",
    );
    check(
        &[("\"university\"]", "\"university\"]\ncolluders = 2"), ("threshold = 3\n", "")],
        "study.toml:40:11: 4 members cannot withstand 2 that collude but 1; 5 members can",
    );
    check(&[("threshold = 3", "colluders = 0")], "study.toml:41:13: `colluders` is 0, it must be 1 to 255");
    check(
        &[("threshold = 3", "colluders = 30")],
        "study.toml:40:11: 30 members that collude are more than any committee withstands; at most 29 of 32 members may",
    );
    check(
        &[("\"regulator\", ", "")],
        "study.toml:40:11: 3 members cannot withstand 1 that collude; 4 members can",
    );
}

#[test]
fn appraisal() {
    let read =
        |edits: &[(&str, &str)]| Study::parse("study.toml", &edited(edits), &files()).unwrap().appraisal;
    let default = read(&[]);
    assert_eq!(
        (default.platforms.as_slice(), default.max_age_seconds),
        (&[Platform::SIMULATED][..], 604_800)
    );
    let with = |text: &str| format!("[appraisal]\n{text}\n[end_user]");
    let day = read(&[("[end_user]", &with("platforms = [\"simulated\"]\nmax_age_hours = 24"))]);
    assert_eq!(day.max_age_seconds, 86_400);
    check(
        &[("[end_user]", &with("platforms = [\"simulated\", \"sgx\"]"))],
        "study.toml:44:27: `sgx` is no platform of this version: it has only \"simulated\", which stands for no hardware",
    );
    check(
        &[("[end_user]", &with("platforms = []"))],
        "study.toml:44:13: `platforms` lacks \"simulated\", and this version has no other: no enclave of the study would be believed",
    );
    check(
        &[("[end_user]", &with("max_age_hours = 0"))],
        "study.toml:44:17: `max_age_hours` is 0, it must be 1 to 8760",
    );
}

/// The same rows twice, in another order and with one of twenty changed.
#[test]
fn two_participants_with_the_same_rows() {
    let rows: Vec<String> = (0..20).map(|i| format!("{},{},{}\n", 40 + i, 200 + 3 * i, i % 2)).collect();
    let mut others: Vec<String> = rows.iter().rev().cloned().collect();
    others[7] = "77,301,1\n".into();
    let mut files = files();
    files.0.insert("north.csv", format!("age,chol,ill\n{}", rows.concat()));
    files.0.insert("south.csv", format!("age,chol,ill\n{}", others.concat()));
    let error = Study::parse("study.toml", STUDY, &files).unwrap_err().to_string();
    assert_eq!(
        error,
        "study.toml:18:8: `south` has the rows of `north` (19 of 20): the committee would name it, and it would be left out and paid \
         nothing; give each participant a table of its own"
    );
}

#[test]
fn data_files() {
    check(
        &[("\"south.csv\"", "\"south.tsv\"")],
        "study.toml:18:8: the data file `south.tsv` cannot be opened; paths that do not begin with ${HISTONE_DATA} are relative to the study file\n  not in memory",
    );
    check_data(
        &[],
        "south.csv",
        "age,chol,ill\n",
        "study.toml:18:8: the data of `south` cannot be used\n  south.csv: has no rows below the header line; a table needs at least one",
    );
    check_data(
        &[],
        "south.csv",
        "age,chol,ill\n1,2,0\n1,2,0\n",
        "study.toml:6:9: the data of `south` cannot be used\n  south.csv: all 2 rows are negative by the rule `ill == 1`; both classes are needed, check the rule",
    );
    check_data(
        &[],
        "south.csv",
        "age,chol,ill\n1,2,0\n1,2,0\n1,2,1\n",
        "study.toml:18:8: `south` has 1 positive of 3 rows; training and testing need at least 2 of each class",
    );
    check_data(
        &[],
        "south.csv",
        &format!("age,chol,ill\n{}", "1,2,0\n1,2,1\n".repeat(9)),
        "study.toml:18:8: `south` has 18 rows that can be used; a site needs 20 or more, because sums over fewer come too near to single people: add rows or leave the participant out",
    );
    check_data(
        &[("\"all numeric\"", "[\"age\"]")],
        "north.csv",
        "age,ill\n41,0\nforty,1\n",
        "study.toml:12:8: the data of `north` cannot be used\n  north.csv, line 3, column 1 (`age`): the cell is not a number; write a plain decimal such as -1.5 or 2e3; where a column holds names, name its levels (under [table.levels] in a study); where the text means that nothing is known, add it to the missing codes",
    );
    check_data(
        &[("\"all numeric\"", "[\"age\", \"bmi\"]")],
        "north.csv",
        "age,ill\n41,0\n",
        "study.toml:12:8: the data of `north` cannot be used\n  north.csv: has no column `bmi`; the header has: age, ill",
    );
    check(
        &[("\"median\"", "\"refuse\"")],
        "study.toml:12:8: the data of `north` cannot be used\n  north.csv, line 3, column 2 (`chol`): the cell is missing and the study refuses missing cells (`missing = \"refuse\"`)",
    );
}

#[test]
fn hospitals_must_have_the_same_features() {
    check_data(
        &[],
        "south.csv",
        "age,ill\n1,0\n2,1\n",
        "study.toml:18:8: the features differ: `north` has `chol` and `south` has not (south.csv has no such column); repair the file, add the column to `ignore`, or name the features",
    );
    check_data(
        &[],
        "south.csv",
        "age,chol,ill\n1,2,0\n2,low,1\n",
        "study.toml:18:8: `chol` is a feature at `north`, and cannot be one at `south`: south.csv, line 3, column 2 (`chol`): the cell is not a number; write a plain decimal such as -1.5 or 2e3; where a column holds names, name its levels (under [table.levels] in a study); where the text means that nothing is known, add it to the missing codes; or add the column to `ignore`",
    );
    check_data(
        &[],
        "south.csv",
        "age,chol,bmi,ill\n1,2,3,0\n2,3,4,1\n",
        "study.toml:18:8: the features differ: `south` has `bmi` and `north` has not (north.csv has no such column); repair the file, add the column to `ignore`, or name the features",
    );
    let mut files = files();
    for name in ["north.csv", "south.csv"] {
        files.0.insert(name, table("age,chol,ill\n", "1,,0\n2,,1\n3,,0\n4,,1\n"));
    }
    assert_eq!(
        outcome(STUDY, &files),
        "study.toml:7:12: the feature `chol` is missing in every row of every participant; remove it"
    );
}

#[test]
fn queries() {
    check_data(
        &[],
        "queries.csv",
        "age\n50\n",
        "study.toml:44:11: the data of `end-user` cannot be used\n  queries.csv: has no column `chol`; the header has: age",
    );
    check_data(
        &[("\"median\"", "\"drop\"")],
        "north.csv",
        &table("age,chol,ill\n", "1,1,0\n2,2,1\n3,3,0\n4,4,1\n"),
        "study.toml:44:11: the data of `end-user` cannot be used\n  queries.csv, line 2, column 2 (`chol`): the cell is missing, and a query cannot be left out as an incomplete row is (`missing = \"drop\"`); fill it in",
    );
    check(
        &[("\"queries.csv\"", "\"queries.csv\"\ncount = 3")],
        "study.toml:45:9: `count` is 3 and queries.csv has 2 queries",
    );
    check(
        &[("\"queries.csv\"", "\"queries.csv\"\ncount = 0")],
        "study.toml:45:9: `count` is 0, it must be 1 to 1000000",
    );
}

#[test]
fn a_study_file_that_is_not_there() {
    let error = Study::load(Path::new("no/such/study.toml"), None).unwrap_err();
    assert!(
        chain(&error).starts_with("no/such/study.toml: the study file cannot be read; check the path\n  ")
    );
}
