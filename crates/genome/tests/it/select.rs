//! What a study takes from a file.

use std::collections::BTreeMap;

use histone_genome::table::{
    Column, ColumnKind, Day, Features, Kind, Label, LeftOut, Limits, MissingCells, MissingRules, Other,
    RawTable, Rule, Selection, Table, TableError, YesNo,
};

const FILE: &str = "id,age,chol,note,num\np1,63,233,ok,0\np2,67,,,2\np3,41,0,ill,1\n";

fn raw(file: &str) -> RawTable {
    RawTable::read("a.csv", file.as_bytes(), &Limits::default()).unwrap()
}

fn rule(text: &str) -> YesNo {
    text.parse::<Rule>().unwrap().into()
}

fn selection() -> Selection {
    Selection {
        label: "num".into(),
        outcome: Label::YesNo(rule("> 0")),
        features: Features::AllNumeric,
        kinds: BTreeMap::new(),
        ignore: vec![],
        missing: MissingRules::default(),
    }
}

fn named(names: &[&str]) -> Features {
    Features::Named(names.iter().map(ToString::to_string).collect())
}

fn refused(file: &str, selection: &Selection, expected: &str) {
    let error: TableError = raw(file).select(selection).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

fn names(table: &Table) -> Vec<&str> {
    table.columns().iter().map(|column| column.name.as_str()).collect()
}

fn bits(table: &Table) -> Vec<u64> {
    table.values().iter().map(|value| value.to_bits()).collect()
}

fn bits_of(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn all_numeric_columns() {
    let table = raw(FILE).select(&selection()).unwrap();
    assert_eq!(table.columns(), [Column::number("age"), Column::number("chol"), Column::no_yes("num")]);
    assert_eq!(bits(&table), bits_of(&[63.0, 233.0, 0.0, 67.0, f64::NAN, 1.0, 41.0, 0.0, 1.0]));
    let without_age = Selection { ignore: vec!["age".into(), "no-such".into()], ..selection() };
    assert_eq!(names(&raw(FILE).select(&without_age).unwrap()), ["chol", "num"]);
}

#[test]
fn named_columns_keep_the_order_of_the_study() {
    let table = raw(FILE).select(&Selection { features: named(&["chol", "age"]), ..selection() }).unwrap();
    assert_eq!(names(&table), ["chol", "age", "num"]);
    assert_eq!(bits(&table), bits_of(&[233.0, 63.0, 0.0, f64::NAN, 67.0, 1.0, 0.0, 41.0, 1.0]));
}

#[test]
fn missing_policies() {
    let with = |cells, zero: &[&str]| Selection {
        missing: MissingRules {
            cells,
            zero_is_missing: zero.iter().map(ToString::to_string).collect(),
            ..MissingRules::default()
        },
        ..selection()
    };
    let zeros = raw(FILE).select(&with(MissingCells::Keep, &["chol"])).unwrap();
    assert_eq!(zeros.missing(), 2);
    let dropped = raw(FILE).select(&with(MissingCells::Drop, &[])).unwrap();
    assert_eq!(dropped.column(2).collect::<Vec<_>>(), [0.0, 1.0]);
    refused(
        FILE,
        &with(MissingCells::Refuse, &[]),
        "a.csv, line 3, column 3 (`chol`): the cell is missing and the study refuses missing cells (`missing = \"refuse\"`)",
    );
    refused(
        "age,num\n,1\nNA,0\n",
        &with(MissingCells::Drop, &[]),
        "a.csv: every row misses a cell, so dropping incomplete rows leaves nothing; choose another `missing` policy",
    );
    // Dropping can leave one class only, and that is found after dropping.
    assert!(matches!(
        raw("age,num\n,1\n3,0\n").select(&with(MissingCells::Drop, &[])),
        Err(TableError::OneClass { rows: 1, class: "negative", .. })
    ));
    refused(
        FILE,
        &with(MissingCells::Keep, &["note"]),
        "column `note` is named in `zero_is_missing` and is not a numeric feature; remove it there",
    );
}

#[test]
fn own_missing_codes_replace_the_defaults() {
    let rules = MissingRules { codes: vec!["?".into(), "-9".into()], ..MissingRules::default() };
    let own = Selection { missing: rules, ..selection() };
    assert_eq!(raw("age,num\n?,1\n-9,0\n3,0\n").select(&own).unwrap().missing(), 2);
    let own = Selection { features: named(&["age"]), ..own };
    refused(
        "age,num\n,1\n3,0\n",
        &own,
        "a.csv, line 2, column 1 (`age`): the cell is empty; fill it in, or add \"\" to the missing codes of the study",
    );
}

#[test]
fn refusals_point_at_the_cell() {
    refused(
        FILE,
        &Selection { features: named(&["age", "note"]), ..selection() },
        "a.csv, line 2, column 4 (`note`): the cell is not a number; write a plain decimal such as -1.5 or 2e3; where a column holds names, name its levels (under [table.levels] in a study); where the text means that nothing is known, add it to the missing codes",
    );
    refused(
        "age,num\n1,1\n\"1,5\",0\n",
        &Selection { features: named(&["age"]), ..selection() },
        "a.csv, line 3, column 1 (`age`): the number has a decimal comma; write a decimal point, or say that the file has such numbers (`format = { decimal = \",\" }`)",
    );
    refused(
        "age,num\n1,1\n2,NA\n",
        &selection(),
        "a.csv, line 3, column 2 (`num`): the label is missing; every row needs one, remove the row or fill it in",
    );
    refused(
        "age,num\n1,yes\n2,0\n",
        &selection(),
        "a.csv, line 2, column 2 (`num`): the outcome is a text here and its rule compares numbers; name the text that means yes, as in `== yes`",
    );
    refused(
        "age,num\n1,1\n-1000000001,0\n",
        &selection(),
        "a.csv, line 3, column 1 (`age`): the number is beyond ±1e9, the range of the fixed-point sums; rescale the column, or add it to `ignore`",
    );
}

#[test]
fn contradictory_selections_are_refused() {
    refused(
        FILE,
        &Selection { label: "target".into(), ..selection() },
        "a.csv: has no column `target`; the header has: id, age, chol, note, num",
    );
    refused(
        FILE,
        &Selection { features: named(&["age", "sex"]), ..selection() },
        "a.csv: has no column `sex`; the header has: id, age, chol, note, num",
    );
    refused(
        FILE,
        &Selection { features: named(&["num"]), ..selection() },
        "column `num` is the label and cannot be a feature",
    );
    refused(
        FILE,
        &Selection { features: named(&["age", "age"]), ..selection() },
        "column `age` is listed twice as a feature; remove one",
    );
    refused(
        FILE,
        &Selection { features: named(&["age"]), ignore: vec!["age".into()], ..selection() },
        "column `age` is both a feature and ignored; remove it from one list",
    );
    refused(
        "id,num\nx,1\ny,0\n",
        &selection(),
        "a.csv: no numeric column is left as a feature; name the features or repair the columns",
    );
    refused(
        "age,num\n1,1\n2,2\n",
        &selection(),
        "a.csv: all 2 rows are positive by the rule `num > 0`; both classes are needed, check the rule",
    );
}

#[test]
fn kinds_of_columns_say_why() {
    let kinds = raw("a,b\n1,x\n,2\n").column_kinds(&MissingRules::default());
    assert_eq!(kinds[0], ColumnKind::Numeric);
    let ColumnKind::Text { at, problem } = &kinds[1] else { panic!("column b is text") };
    assert_eq!(at.to_string(), "a.csv, line 2, column 2 (`b`)");
    assert!(problem.to_string().starts_with("the cell is not a number"));
}

#[test]
fn query_rows_lose_none() {
    let columns = ["chol".to_owned(), "age".to_owned()];
    let rows = raw(FILE).query_rows(&columns, &BTreeMap::new(), &MissingRules::default()).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], [233.0, 63.0]);
    assert!(rows[1][0].is_nan());
    let drop = MissingRules { cells: MissingCells::Drop, ..MissingRules::default() };
    assert!(matches!(raw(FILE).query_rows(&columns, &BTreeMap::new(), &drop), Err(TableError::Cell { .. })));
}

#[test]
fn categories_and_a_number_to_predict() {
    let kind = |levels: [&str; 2]| Kind::Category(levels.map(String::from).into());
    let kinds = BTreeMap::from([("note".to_owned(), kind(["ok", "ill"]))]);
    let with = Selection { kinds, outcome: Label::Number, ..selection() };
    let table = raw(FILE).select(&with).unwrap();
    assert_eq!(names(&table), ["age", "chol", "note", "num"]);
    assert!(matches!(&table.columns()[2].kind, Kind::Category(levels) if levels.len() == 2));
    assert_eq!(bits(&table)[8..], bits_of(&[41.0, 0.0, 1.0, 1.0]));
    assert!(table.row(1).unwrap()[2].is_nan() && table.row(1).unwrap()[3] == 2.0);
    let rows = raw(FILE).query_rows(&["note".into()], &with.kinds, &with.missing).unwrap();
    assert_eq!(rows[0], [0.0]);
    let fewer = BTreeMap::from([("note".to_owned(), kind(["ok", "well"]))]);
    refused(
        FILE,
        &Selection { kinds: fewer, ..with.clone() },
        "a.csv, line 4, column 4 (`note`): the cell is none of the levels of this category; add it to them, or to the missing codes",
    );
    let nowhere = BTreeMap::from([("sex".to_owned(), kind(["f", "m"]))]);
    refused(
        FILE,
        &Selection { kinds: nowhere, ..with },
        "column `sex` has a kind or levels and is no feature; remove it there",
    );
}

const COHORT: &str = "visits,seen,days,died\n3,2020-02-29,100,1\n12.0,1969-12-31,4.5,0\n,,0,0\n";

fn cohort() -> Selection {
    Selection {
        label: "days".into(),
        outcome: Label::EventTime { event: "died".into(), rule: YesNo::default() },
        kinds: BTreeMap::from([("visits".to_owned(), Kind::Whole), ("seen".to_owned(), Kind::Day)]),
        ..selection()
    }
}

#[test]
fn whole_numbers_days_and_an_event_with_its_time() {
    let table = raw(COHORT).select(&cohort()).unwrap();
    let kinds: Vec<&Kind> = table.columns().iter().map(|column| &column.kind).collect();
    assert_eq!(names(&table), ["visits", "seen", "days", "died"]);
    assert_eq!(kinds, [&Kind::Whole, &Kind::Day, &Kind::Number, &Kind::no_yes()]);
    let leap: Day = "2020-02-29".parse().unwrap();
    assert_eq!(table.row(0).unwrap(), [3.0, f64::from(leap.since_1970()), 100.0, 1.0]);
    assert_eq!(table.row(1).unwrap(), [12.0, -1.0, 4.5, 0.0]);
    assert_eq!(table.missing(), 2);
    assert_eq!(Table::decode(&table.encode()).unwrap(), table);
    let of = |from: &str, to: &str| COHORT.replacen(from, to, 1);
    for (file, message) in [
        (
            of("12.0", "12.5"),
            "a.csv, line 3, column 1 (`visits`): the number is not whole and its column is of whole numbers; write one such as 12, or make the column one of numbers",
        ),
        (
            of("2020-02-29", "29/02/2020"),
            "a.csv, line 2, column 2 (`seen`): the day is in a spelling that can be meant in several ways; the one that is read is year-month-day with four, two and two digits, such as 2021-04-03",
        ),
        (
            of("2020-02-29", "2021-02-29"),
            "a.csv, line 2, column 2 (`seen`): the calendar has no such day; days are written year-month-day, such as 2021-04-03",
        ),
        (
            of(",4.5,", ",-4.5,"),
            "a.csv, line 3, column 3 (`days`): the time until the event is below zero; correct it, or leave the row out",
        ),
        (
            of(",4.5,", ",,"),
            "a.csv, line 3, column 3 (`days`): the label is missing; every row needs one, remove the row or fill it in",
        ),
        (
            of("4.5,0", "4.5,2"),
            "a.csv, line 4, column 4 (`died`): the outcome has a third value here and only what means yes is named; name what means no (`negative`)",
        ),
    ] {
        refused(&file, &cohort(), message);
    }
    let with = |name: &str, kind: Kind| {
        let mut kinds = cohort().kinds;
        kinds.insert(name.to_owned(), kind);
        Selection { kinds, ..cohort() }
    };
    let whole = raw(&of("4.5", "4")).select(&with("days", Kind::Whole)).unwrap();
    assert_eq!(whole.columns()[2].kind, Kind::Whole);
    refused(
        COHORT,
        &with("days", Kind::Day),
        "column `days` is the label, and can only be a number or a whole number",
    );
    refused(
        COHORT,
        &with("died", Kind::Whole),
        "column `died` has a kind or levels and is no feature; remove it there",
    );
    let same = Label::EventTime { event: "days".into(), rule: YesNo::default() };
    refused(
        COHORT,
        &Selection { outcome: same, ..cohort() },
        "column `days` is the time and the event as well; name two columns",
    );
    let feature = Selection { features: named(&["visits", "seen", "died"]), ..cohort() };
    refused(COHORT, &feature, "column `died` is the event and cannot be a feature");
}

#[test]
fn what_no_rule_names_is_an_error_or_left_out_and_counted() {
    let file = "age,num\n1,1\n2,0\n3,9\n4,\n,1\n";
    let with = |other| Selection {
        outcome: Label::YesNo(YesNo { negative: Some("== 0".parse().unwrap()), other, ..YesNo::default() }),
        missing: MissingRules { cells: MissingCells::Drop, ..MissingRules::default() },
        ..selection()
    };
    let (table, left_out) = raw(file).select_and_count(&with(Other::LeaveOut)).unwrap();
    assert_eq!(table.values(), [1.0, 1.0, 2.0, 0.0]);
    assert_eq!(left_out, LeftOut { without_outcome: 2, incomplete: 1 });
    refused(
        file,
        &with(Other::Refuse),
        "a.csv, line 4, column 2 (`num`): the outcome is neither what means yes nor what means no; name it in one of the two rules, or leave such rows out",
    );
    let text = Selection { outcome: Label::YesNo(rule("== ill")), ..selection() };
    assert_eq!(raw("age,num\n1,ill\n2,well\n").select(&text).unwrap().values(), [1.0, 1.0, 2.0, 0.0]);
}
