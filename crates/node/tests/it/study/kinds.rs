//! Kinds of columns, outcomes with rules, events with a time, and what "all numeric" passes over.

use histone_genome::table::{Day, Kind};
use histone_node::study::Study;
use histone_protocol::plan::ColumnKind;

use super::{Memory, STUDY, chain, check, check_data, edited, files, outcome, table};

/// A cohort: whole numbers, days, names, and an event with its time.
const COHORT: &str = "task = \"time\"

[table]
time = \"days\"
event = \"died\"
features = \"all numeric\"
missing = \"median\"

[table.kinds]
visits = \"whole\"
seen = \"day\"

[table.levels]
sex = [\"f\", \"m\"]
";

/// The study over the cohort's tables, with a method that is there, and edits.
fn cohort(edits: &[(&str, &str)]) -> (String, Memory) {
    let table = &STUDY[STUDY.find("task =").unwrap()..STUDY.find("[[participant]]").unwrap()];
    let mut text = edited(&[(table, &format!("{COHORT}\n"))]);
    for (from, to) in edits {
        assert_eq!(text.matches(from).count(), 1, "`{from}` must occur once");
        text = text.replacen(from, to, 1);
    }
    let row = |site: usize, i: usize| {
        let (month, sex) = (1 + (i + site) % 12, if i.is_multiple_of(3) { "f" } else { "m" });
        format!("{},20{:02}-{month:02}-11,{sex},{}.5,{}\n", i % 7, 10 + i % 5, 30 + 7 * i + site, i % 2)
    };
    let site = |site| {
        let rows: String = (0..24).map(|i| row(site, i)).collect();
        format!("visits,seen,sex,days,died\n{rows}")
    };
    let queries = "visits,seen,sex,days,died\n3,2012-02-29,f,1,0\n,,m,1,1\n".to_owned();
    (text, Memory([("north.csv", site(0)), ("south.csv", site(1)), ("queries.csv", queries)].into()))
}

#[test]
fn whole_numbers_days_and_categories_as_features() {
    let number = [
        ("task = \"time\"", "task = \"number\""),
        ("time = \"days\"\nevent = \"died\"", "label = \"days\""),
        ("rounds = 12\ntolerance = 1e-6\n", ""),
    ];
    let (text, files) = cohort(&number);
    let study = Study::parse("study.toml", &text, &files).unwrap();
    assert_eq!(study.table.features, ["visits", "seen", "sex", "died"]);
    assert_eq!(
        study.table.kinds[..3],
        [
            ColumnKind::Whole([0, 6]),
            ColumnKind::Day([14_610, 16_435]),
            ColumnKind::Levels(vec!["f".into(), "m".into()])
        ]
    );
    assert_eq!(study.training.method, "linear");
    assert_eq!(
        study.table.proposed[..2],
        ["\"visits\" = [0, 6]", "\"seen\" = [\"2010-01-01\", \"2014-12-31\"]"]
    );
    let leap: Day = "2012-02-29".parse().unwrap();
    assert_eq!(study.end_user.queries[0][..2], [3.0, f64::from(leap.since_1970())]);
    assert!(study.end_user.queries[1][1].is_nan());
    let kinds: Vec<&Kind> = study.participants[0].table.columns().iter().map(|c| &c.kind).collect();
    assert_eq!(kinds[..2], [&Kind::Whole, &Kind::Day]);
    let ranges = |lines: &str| {
        let with = format!("[table.levels]\nsex = [\"f\", \"m\"]\n\n[table.ranges]\n{lines}");
        let (text, files) =
            cohort(&[&number[..], &[("[table.levels]\nsex = [\"f\", \"m\"]", with.as_str())]].concat());
        Study::parse("study.toml", &text, &files).map(|study| study.table.kinds)
    };
    for days in ["[\"2010-01-01\", \"2020-12-31\"]", "[2010-01-01, 2020-12-31]"] {
        assert_eq!(ranges(&format!("seen = {days}")).unwrap()[1], ColumnKind::Day([14_610, 18_627]));
    }
    for (line, message) in [
        (
            "seen = [14610, 18627]",
            "study.toml:18:8: the range of `seen` must be two days, the earlier first, such as [\"2010-01-01\", \"2020-12-31\"]",
        ),
        (
            "seen = [\"2020-12-31\", \"2010-01-01\"]",
            "study.toml:18:8: the range of `seen` must be two days, the earlier first, such as [\"2010-01-01\", \"2020-12-31\"]",
        ),
        (
            "seen = [\"1/2/2010\", \"2020-12-31\"]",
            "study.toml:18:9: `1/2/2010` is no day; write year-month-day, such as \"2021-04-03\"",
        ),
        (
            "visits = [0, 6.5]",
            "study.toml:18:10: the range of `visits` must be two whole numbers, the smaller first",
        ),
        (
            "died = [2010-01-01, 2020-12-31]",
            "study.toml:18:8: the range of `died` must be two finite numbers, the smaller first",
        ),
        ("sex = [0, 1]", "study.toml:18:7: `sex` is no number and no day of this study and has no range"),
    ] {
        assert_eq!(chain(&ranges(line).unwrap_err()), message);
    }
}

#[test]
fn an_event_with_a_time_needs_a_method_that_takes_it() {
    let (text, files) = cohort(&[("[training]", "[training]\nmethod = \"logistic\"")]);
    assert_eq!(
        outcome(&text, &files),
        "study.toml:41:10: the method `logistic` takes a yes/no outcome, and the study's is an event with a time"
    );
    let (text, files) = cohort(&[]);
    assert_eq!(
        outcome(&text, &files),
        "study.toml:3:8: no method of the product predicts this: the method `logistic` takes a yes/no outcome, and the study's is an event with a time; the method `linear` takes a number, and the study's is an event with a time; the method `scan` takes a number or a yes/no outcome, and the study's is an event with a time"
    );
    for (edit, message) in [
        (
            ("event = \"died\"\n", ""),
            "study.toml:3:8: the task \"time\" needs `event` under [table]: the column that says whether the event was seen",
        ),
        (
            ("event = \"died\"", "label = \"died\""),
            "study.toml:7:9: `label` has no meaning with the task \"time\"; name `time` and `event` instead",
        ),
        (
            ("task = \"time\"", "task = \"binary\""),
            "study.toml:6:8: `time` has no meaning with the task \"binary\"; remove it, or predict the event with `task = \"time\"`",
        ),
    ] {
        let (text, files) = cohort(&[edit]);
        assert_eq!(outcome(&text, &files), message);
    }
}

#[test]
fn kinds_and_levels_point_at_their_keys() {
    let number = [
        ("task = \"time\"", "task = \"number\""),
        ("time = \"days\"\nevent = \"died\"", "label = \"days\""),
        ("rounds = 12\ntolerance = 1e-6\n", ""),
    ];
    for (edit, message) in [
        (
            ("visits = \"whole\"", "visits = \"integer\""),
            "study.toml:11:10: `integer` is no kind of column; write \"number\", \"whole\" or \"day\", and name the levels of a category under [table.levels]",
        ),
        (
            ("visits = \"whole\"", "visit = \"whole\""),
            "study.toml:11:9: `visit` is a column of no participant; correct the name or remove it from [table.kinds]",
        ),
        (
            ("visits = \"whole\"", "sex = \"whole\""),
            "study.toml:11:7: `sex` has a kind here and levels under [table.levels]; a category has its levels alone: remove one",
        ),
        (
            ("seen = \"day\"", "days = \"day\""),
            "study.toml:12:8: `days` is the outcome, which can be \"number\" or \"whole\" and nothing else; change it in [table.kinds]",
        ),
        (
            ("seen = \"day\"", "seen = \"whole\""),
            "study.toml:12:8: the data of `north` cannot be used\n  north.csv, line 2, column 2 (`seen`): the cell is not a number; write a plain decimal such as -1.5 or 2e3; where a column holds names, name its levels (under [table.levels] in a study); where the text means that nothing is known, add it to the missing codes",
        ),
        (
            ("seen = \"day\"", "days = \"whole\"\nseen = \"day\""),
            "study.toml:12:8: the data of `north` cannot be used\n  north.csv, line 2, column 4 (`days`): the number is not whole and its column is of whole numbers; write one such as 12, or make the column one of numbers",
        ),
        (
            ("[\"f\", \"m\"]", "[\"f\", \"x\"]"),
            "study.toml:15:7: the data of `north` cannot be used\n  north.csv, line 3, column 3 (`sex`): the cell is none of the levels of this category; add it to them, or to the missing codes",
        ),
        (
            ("[\"f\", \"m\"]", "[\"f\", \"f\"]"),
            "study.toml:15:7: the levels of `sex`: two of them are the same",
        ),
        (
            ("[\"f\", \"m\"]", "[\"f\", \"m\", \"NA\"]"),
            "study.toml:15:7: `sex` has the level `NA`, which is a missing code, too, so that no row would have it; remove it from `missing_codes` or from [table.levels]",
        ),
        (
            ("\"all numeric\"", "[\"visits\", \"seen\"]"),
            "study.toml:15:7: `sex` is no feature; add it to `features` or remove it from [table.levels]",
        ),
        (
            ("missing = \"median\"", "missing = \"median\"\nzero_is_missing = [\"seen\"]"),
            "study.toml:9:20: `seen` has no zero; write the cell that means missing under `missing_codes`",
        ),
    ] {
        let (text, files) = cohort(&[&number[..], &[edit]].concat());
        assert_eq!(outcome(&text, &files), message);
    }
}

#[test]
fn what_no_rule_of_the_outcome_names() {
    let nine = table("age,chol,ill\n", "41,200,0\n52,,1\n63,240,9\n74,260,1\n");
    check_data(
        &[],
        "north.csv",
        &nine,
        "study.toml:6:9: `ill` holds `1` (20 rows), `0` (15 rows) and `9` (5 rows), and only what means yes is named (`== 1`); say what means no, as in `negative = \"== 0\"`, and what becomes of the rest, as in `other = \"leave-out\"`",
    );
    let with = |lines: &str| format!("label = \"ill\"\n{lines}");
    check_data(
        &[("label = \"ill\"", &with("negative = \"== 0\""))],
        "north.csv",
        &nine,
        "study.toml:7:12: `ill` holds `9` (5 rows) as well, which neither `positive` nor `negative` names; name it there, or leave these rows out with `other = \"leave-out\"`",
    );
    let rows = table("age,chol,ill\n", "41,200,0\n52,,1\n63,240,9\n74,260,1\n7,250,0\n8,1,\n");
    let mut files = files();
    files.0.insert("north.csv", rows);
    files.0.insert("queries.csv", "ill,chol,age\n9,2,3\n0,4,5\n".into());
    let text = edited(&[("label = \"ill\"", &with("negative = \"== 0\"\nother = \"leave-out\""))]);
    let study = Study::parse("study.toml", &text, &files).unwrap();
    let north = &study.participants[0];
    assert_eq!((north.table.rows(), north.left_out_rows, north.dropped_rows), (20, 10, 0));
    let truth = study.end_user.truth.unwrap();
    assert!(truth[0].is_nan() && truth[1] == 0.0);
    // A rule that divides everything leaves nothing open.
    files.0.insert("queries.csv", "chol,age\n2,3\n".into());
    files.0.insert("north.csv", nine.clone());
    let text = edited(&[("label = \"ill\"", &with("positive = \">= 1\""))]);
    assert_eq!(outcome(&text, &files), "accepted");
    check(
        &[("label = \"ill\"", &with("other = \"leave-out\""))],
        "study.toml:7:9: rows that no rule names can be left out only when both are there: say what means no, as in `negative = \"== 0\"`",
    );
    check(
        &[("label = \"ill\"", &with("negative = \"== 1\""))],
        "study.toml:7:12: what means no is what means yes as well (`positive`); change one",
    );
    check(
        &[("label = \"ill\"", &with("other = \"drop\""))],
        "study.toml:7:9: `other` is \"error\" or \"leave-out\": what becomes of rows whose outcome neither `positive` nor `negative` names",
    );
    // Texts: which of them means yes is for a rule, and no code for a missing cell.
    let mut files = super::files();
    for name in ["north.csv", "south.csv"] {
        let text = files.0[name].replace(",0\n", ",No\n").replace(",1\n", ",Yes\n");
        files.0.insert(name, text);
    }
    assert_eq!(
        outcome(STUDY, &files),
        "study.toml:6:9: `ill` holds `No` (20 rows) and `Yes` (20 rows), and a rule with a number names no text; name the cell that means yes, as in `positive = \"== Yes\"`"
    );
    let text = edited(&[("label = \"ill\"", &with("positive = \"== Yes\""))]);
    assert_eq!(outcome(&text, &files), "accepted");
}

#[test]
fn columns_that_are_not_numeric_are_told() {
    let mut files = files();
    for (name, at) in [("north.csv", 1), ("south.csv", 2)] {
        let mut lines = files.0[name].lines();
        let mut text = format!("{},sex,seen,id\n", lines.next().unwrap());
        for (i, line) in lines.enumerate() {
            let sex = if i.is_multiple_of(2) { "F" } else { "M" };
            text.push_str(&format!("{line},{sex},2020-0{at}-1{},p{at}{i}\n", i % 10));
        }
        files.0.insert(name, text);
    }
    let study = Study::parse("study.toml", STUDY, &files).unwrap();
    assert_eq!(study.table.features, ["age", "chol"]);
    let told: Vec<String> =
        study.table.left_out.iter().map(|column| format!("{}: {}", column.name, column.why)).collect();
    assert_eq!(
        told,
        [
            "id: north.csv, line 2, column 6 (`id`): its cells are texts; to use it, name its levels under [table.levels]",
            "seen: north.csv, line 2, column 5 (`seen`): its cells are days; to use it, write \"seen\" = \"day\" under [table.kinds]",
            "sex: north.csv, line 2, column 4 (`sex`): its cells are names; to use it, write \"sex\" = [\"F\", \"M\"] under [table.levels]",
        ]
    );
    // A column of numbers with a slip in each table is no column of texts.
    for name in ["north.csv", "south.csv"] {
        let text = files.0[name].replacen("200,", "n/a,", 1).replacen("210,", "n/a,", 1);
        files.0.insert(name, text);
    }
    assert_eq!(
        outcome(STUDY, &files),
        "study.toml:7:12: \"all numeric\" would leave out `chol`, in which 33 of 35 cells are numbers or look like them; north.csv, line 2, column 2 (`chol`): the cell is not a number; repair it, or add its text to `missing_codes`; or add the column to `ignore`"
    );
    // One that is written with a comma everywhere is one of numbers, too.
    for name in ["north.csv", "south.csv"] {
        let lines: Vec<String> = files.0[name]
            .lines()
            .map(|line| match line.split_once(",F").or(line.split_once(",M")) {
                Some((before, after)) => format!("{before},\"1,5\"{after}"),
                None => line.to_owned(),
            })
            .collect();
        files.0.insert(name, lines.join("\n").replace("n/a", "200"));
    }
    assert_eq!(
        outcome(STUDY, &files),
        "study.toml:7:12: \"all numeric\" would leave out `sex`, in which 40 of 40 cells are numbers or look like them; north.csv, line 2, column 4 (`sex`): the number has a decimal comma; write a decimal point, or say that the file has such numbers (`format = { decimal = \",\" }`); or add the column to `ignore`"
    );
}
