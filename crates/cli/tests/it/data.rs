//! `histone data look`, and studies over files as hospitals write them.

use std::fs;

use serde_json::json;

use crate::support::{Ran, histone};

/// A spreadsheet of a hospital in Germany: semicolons, decimal commas, Windows-1252, empty rows and columns at the end.
fn german() -> Vec<u8> {
    let row = |i: usize| {
        let missing = if i == 7 { "n/a".into() } else { format!("{},{}", 1 + i % 3, i % 10) };
        let place = if i.is_multiple_of(4) { "K\u{f6}ln" } else { "Bonn" };
        format!("P{i:03};{};{missing};{place};20{:02}-03-11;;\r\n", 40 + i % 40, 10 + i % 12)
    };
    let rows: String = (0..60).map(row).collect();
    let text = format!("fall;alter;kreatinin;ort;gesehen;;\r\n{rows};;;;;;\r\n\r\n");
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}

#[test]
fn a_file_is_looked_at_and_read_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("n.csv"), german()).unwrap();
    let look = |file: &str, more: &[&str]| {
        Ran::of(histone().args(["data", "look", file]).args(more).current_dir(dir.path()))
    };
    let ran = look("n.csv", &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let study = r#"in the study file (docs/study-file.md):

[[participant]]
format = { separator = ";", decimal = ",", encoding = "windows-1252" }

[table]
missing_codes = ["", "NA", "n/a"]
ignore = ["fall"]

[table.kinds]
"gesehen" = "day"

[table.levels]
"ort" = ["Bonn", "Köln"]
"#;
    assert!(ran.stdout.ends_with(study), "{}", ran.stdout);
    for line in [
        "n.csv: 60 rows, 5 columns; read with format = ",
        "| kreatinin | numbers",
        "1 (1.7 %)",
        "Bonn (45), Köln (15)",
        "`fall` looks like the name of a person or a sample",
        "the letters beyond ASCII are read as Windows-1252",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    let document = look("n.csv", &["--json"]).json();
    assert_eq!(document["rows"], 60);
    assert_eq!(document["format"], r#"{ separator = ";", decimal = ",", encoding = "windows-1252" }"#);
    assert_eq!(
        document["columns"][1],
        json!({ "name": "alter", "is": "whole numbers", "low": "40", "high": "79", "missing": 0, "different": 40, "frequent": [] })
    );
    let about: Vec<&str> =
        document["doubts"].as_array().unwrap().iter().map(|doubt| doubt["about"].as_str().unwrap()).collect();
    assert_eq!(about, ["encoding", "identifier"]);
    // What is no table.
    fs::write(dir.path().join("x.csv"), b"PK\x03\x04sheet").unwrap();
    assert_eq!(
        look("x.csv", &[]).error(),
        "error: x.csv: is a spreadsheet (XLSX, ODS) or another ZIP archive, whatever its name says; save the sheet as CSV (UTF-8)"
    );
    assert!(look("y.csv", &[]).error().starts_with("error: `y.csv` cannot be opened"));
}
