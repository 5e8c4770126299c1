//! What a study takes from a file.

use std::collections::BTreeMap;

use histone_genome::table::{
    Column, ColumnKind, Features, Kind, Label, Limits, MissingCells, MissingRules, RawTable, Selection,
    Table, TableError,
};

const FILE: &str = "id,age,chol,note,num\np1,63,233,ok,0\np2,67,,,2\np3,41,0,ill,1\n";

fn raw(file: &str) -> RawTable {
    RawTable::read("a.csv", file.as_bytes(), &Limits::default()).unwrap()
}

fn selection() -> Selection {
    Selection {
        label: "num".into(),
        outcome: Label::YesNo("> 0".parse().unwrap()),
        features: Features::AllNumeric,
        levels: BTreeMap::new(),
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
        "a.csv, line 2, column 1 (`age`): the cell is empty; write a number, or add \"\" to the missing codes of the study",
    );
}

#[test]
fn refusals_point_at_the_cell() {
    refused(
        FILE,
        &Selection { features: named(&["age", "note"]), ..selection() },
        "a.csv, line 2, column 4 (`note`): the cell is not a number; write a plain decimal such as -1.5 or 2e3, or add its text to the missing codes of the study",
    );
    refused(
        "age,num\n1,1\n\"1,5\",0\n",
        &Selection { features: named(&["age"]), ..selection() },
        "a.csv, line 3, column 1 (`age`): the number has a decimal comma; write a decimal point",
    );
    refused(
        "age,num\n1,1\n2,NA\n",
        &selection(),
        "a.csv, line 3, column 2 (`num`): the label is missing; every row needs one, remove the row or fill it in",
    );
    refused(
        "age,num\n1,yes\n2,0\n",
        &selection(),
        "a.csv, line 2, column 2 (`num`): the cell is not a number; write a plain decimal such as -1.5 or 2e3, or add its text to the missing codes of the study",
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
    let levels = BTreeMap::from([("note".to_owned(), vec!["ok".to_owned(), "ill".to_owned()])]);
    let with = Selection { levels, outcome: Label::Number, ..selection() };
    let table = raw(FILE).select(&with).unwrap();
    assert_eq!(names(&table), ["age", "chol", "note", "num"]);
    assert!(matches!(&table.columns()[2].kind, Kind::Category(levels) if levels.len() == 2));
    assert_eq!(bits(&table)[8..], bits_of(&[41.0, 0.0, 1.0, 1.0]));
    assert!(table.row(1).unwrap()[2].is_nan() && table.row(1).unwrap()[3] == 2.0);
    let rows = raw(FILE).query_rows(&["note".into()], &with.levels, &with.missing).unwrap();
    assert_eq!(rows[0], [0.0]);
    let fewer = BTreeMap::from([("note".to_owned(), vec!["ok".to_owned(), "well".to_owned()])]);
    refused(
        FILE,
        &Selection { levels: fewer, ..with.clone() },
        "a.csv, line 4, column 4 (`note`): the cell is none of the levels of this category; add it to them, or to the missing codes",
    );
    let nowhere = BTreeMap::from([("sex".to_owned(), vec!["f".to_owned(), "m".to_owned()])]);
    refused(
        FILE,
        &Selection { levels: nowhere, ..with },
        "column `sex` has levels and is no feature; remove it there",
    );
}
