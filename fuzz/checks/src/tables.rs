//! Tables: the files of owners, the encoding that is committed to, and rows as programs see them.

use std::collections::BTreeMap;

use histone_genome::table::{
    Column, Features, Kind, Label, Limits, MissingRules, NO_YES, RawTable, Selection, Table, survey,
};
use histone_program_sdk::data::Block;
use histone_program_sdk::job::{ValidateJob, ValidateReport};

use crate::methods::block;
use crate::same_but_for_nan;

/// A table has one encoding.
pub fn table(bytes: &[u8]) -> bool {
    let Ok(table) = Table::decode(bytes) else { return false };
    assert!(table.encode() == bytes, "a table has two encodings");
    let leaves: Vec<u8> = table.leaves().flatten().collect();
    assert!(bytes.ends_with(&leaves), "the commitment is to other bytes than the encoding");
    true
}

/// A file of an owner: every way to look at it, and what is taken out of it as a table.
pub fn csv(bytes: &[u8]) -> bool {
    let found = surveyed(bytes);
    let Ok(raw) = RawTable::read("fuzz.csv", bytes, &Limits::default()) else { return found };
    let missing = MissingRules::default();
    let kinds = raw.column_kinds(&missing);
    assert_eq!(kinds.len(), raw.columns().len());
    let _ = raw.query_rows(raw.columns(), &BTreeMap::new(), &missing);
    for (position, column) in raw.columns().iter().enumerate() {
        let _ = (raw.look(column, &missing), raw.numbers(column, &missing));
        let levels = Kind::Category(NO_YES.map(String::from).to_vec());
        for kind in [Kind::Number, Kind::Whole, Kind::Day, levels] {
            let _ = raw.typed(column, &kind, &missing);
        }
        let _ = (raw.line(position), raw.count_numbers(column, &missing));
    }
    let Some(label) = raw.columns().last() else { return true };
    let selection = Selection {
        label: label.clone(),
        outcome: Label::Number,
        features: Features::AllNumeric,
        kinds: BTreeMap::new(),
        ignore: Vec::new(),
        missing,
    };
    if let Ok(selected) = raw.select(&selection) {
        assert!(table(&selected.encode()), "a table that was read from a file cannot be decoded");
    }
    true
}

/// What a survey finds is what the file is: it is read so, with as many rows and columns, and a study file can say it.
fn surveyed(bytes: &[u8]) -> bool {
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let Ok(survey) = survey("fuzz.csv", bytes, &limits) else { return false };
    for dialect in std::iter::once(survey.dialect).chain(survey.otherwise.iter().copied()) {
        let table = RawTable::read_as("fuzz.csv", bytes, dialect, &limits).ok();
        assert!(
            table.is_some_and(|table| table.rows() > 0),
            "a dialect that was found does not read the file"
        );
    }
    let table = RawTable::read_as("fuzz.csv", bytes, survey.dialect, &limits).ok();
    assert_eq!(
        table.map(|table| (table.rows(), table.columns().len())),
        Some((survey.rows, survey.columns.len()))
    );
    true
}

/// Blocks of rows, and job and report of a validation.
pub fn data(bytes: &[u8]) -> bool {
    let block = Block::decode(bytes).ok();
    if let Some(block) = &block {
        assert!(same_but_for_nan(bytes, &block.encode()), "a block has two encodings");
        assert_eq!(block.rows().count(), block.draws.len());
    }
    let job = ValidateJob::decode(bytes).ok();
    if let Some(job) = &job {
        assert!(same_but_for_nan(bytes, &job.encode()), "a job has two encodings");
        (0..job.table.rows()).for_each(|row| assert_eq!(job.table.row(row).len(), job.table.levels.len()));
    }
    let report = ValidateReport::decode(bytes).ok();
    if let Some(report) = &report {
        assert!(report.encode() == bytes, "a report has two encodings");
    }
    block.is_some() || job.is_some() || report.is_some()
}

/// A small table of every kind of column.
pub fn tables() -> Vec<(String, Vec<u8>)> {
    let grade = ["low", "middle", "high"].map(String::from).into();
    let columns = vec![
        Column::number("age"),
        Column { name: "Größe".into(), kind: Kind::Category(grade) },
        Column::no_yes("ill"),
    ];
    let values = vec![1.5, 0.0, 1.0, f64::NAN, 2.0, 0.0, -1e9, f64::NAN, 1.0];
    let made = |columns, values| Table::new(columns, values).expect("it is a table").encode();
    vec![
        ("typed".into(), made(columns, values)),
        ("empty".into(), made(vec![Column::number("x")], Vec::new())),
    ]
}

/// Small files in the ways that hospitals write them.
pub fn files() -> Vec<(String, Vec<u8>)> {
    [
        ("plain", "age,bmi,ill\n54,22.5,1\n61,NA,0\n47,31,1\n"),
        ("quoted", "\"age\",\"the \"\"kind\"\"\",\"ill\"\r\n54,\"a, b\",1\r\n61,\"c\nd\",0\r\n"),
        ("words", "größe,sex,ill\n1e2,f,yes\n-0.5,m,no\n,f,yes"),
        ("marked", "\u{feff}x,y\n0,0\n-0,1\n"),
        ("german", "alter;wert;ill;\n50;1.234,5;1;\n61;0,5;0;\n;;;\n"),
    ]
    .map(|(name, text)| (name.into(), text.as_bytes().to_vec()))
    .into()
}

/// A block, a job and a report.
pub fn blocks() -> Vec<(String, Vec<u8>)> {
    let mut block = block(true);
    block.draws.truncate(8);
    block.values.truncate(8 * block.columns);
    let table = histone_program_sdk::job::Table { levels: vec![0, 3, 2], values: block.values.clone() };
    let report =
        ValidateReport { rows: 8, duplicates: 1, missing: vec![1, 0, 0], flags: vec![0, 4, 8], quality: 2 };
    vec![
        ("block".into(), block.encode()),
        ("job".into(), ValidateJob { table }.encode()),
        ("report".into(), report.encode()),
    ]
}
