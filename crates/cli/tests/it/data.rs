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

/// A person of the tables below.
struct Row {
    age: usize,
    sbp: usize,
    sex: &'static str,
    died: usize,
}

/// From two hospitals' files to a model, by what the program writes.
#[test]
fn a_study_file_is_written_from_tables() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // Pressure grows with age, and with both who dies; a third of the cells of one column is missing.
    let rows = |site: usize, of: &dyn Fn(usize, Row) -> String| -> String {
        (0..90)
            .map(|i| {
                let (age, draw) = (40 + (i * 7 + site) % 45, (i * 7_919 + site * 104_729) % 101);
                let (sbp, died) = (100 + age + draw % 20, usize::from(2 * age + draw > 175));
                of(i, Row { age, sbp, sex: if i.is_multiple_of(3) { "F" } else { "M" }, died })
            })
            .collect()
    };
    let north =
        rows(0, &|i, Row { age, sbp, sex, died }| format!("N{i:03};{age};{sbp},5;{sex};{died};x\r\n"));
    fs::write(at("north.csv"), format!("nr;age;sbp;sex;died;ward\r\n{north};;;;;\r\n")).unwrap();
    let south = rows(1, &|i, Row { age, sbp, sex, died }| {
        format!("S{i:03},{age},{sbp}.5,{sex},{died},2021-03-{:02}\n", 1 + i % 28)
    });
    fs::write(at("south.csv"), format!("nr,age,sbp,sex,died,seen\n{south}")).unwrap();
    let study = |more: &[&str]| {
        let tables = [
            "--table",
            "north=north.csv",
            "--table",
            "south=south.csv",
            "--label",
            "died",
            "--country",
            "DE",
        ];
        Ran::of(histone().args(["study", "new", "s.toml"]).args(tables).args(more).current_dir(dir.path()))
    };
    let ran = study(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stdout.contains("it passes the check"), "{}", ran.stdout);
    let text = fs::read_to_string(at("s.toml")).unwrap();
    for line in [
        "features = [\"age\", \"sbp\", \"sex\"]",
        "# left out: nr, which looks like something that tells who somebody is",
        "# left out: ward, which south has not",
        "\"sex\" = [\"F\", \"M\"]",
        "positive = \"== 1\"",
        "format = { separator = \";\", decimal = \",\" }",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // What is there is not written over.
    assert!(study(&[]).error().contains("`s.toml` is there already"));
    assert_eq!(fs::read_to_string(at("s.toml")).unwrap(), text);
    let ran = Ran::of(
        histone()
            .args(["study", "run", "s.toml", "--seed", "1", "--json", "--out", "run"])
            .current_dir(dir.path()),
    );
    let result = ran.json();
    assert_eq!(result["model"]["features"].as_array().map(Vec::len).unwrap_or(3), 3, "{result}");
    let ran = Ran::of(histone().args(["verify", "run"]).current_dir(dir.path()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // Labels that do not say what they mean, and what is missing.
    let new = |label: &str| {
        let tables =
            ["--table", "north=north.csv", "--table", "south=south.csv", "--country", "DE", "--label"];
        Ran::of(histone().args(["study", "new", "t.toml"]).args(tables).arg(label).current_dir(dir.path()))
    };
    assert_eq!(
        new("sex").error(),
        "error: say which cells of `sex` mean yes, as in --positive \"== 1\"; it has `F`, `M`"
    );
    assert!(new("ward").error().starts_with("error: south.csv has no column `ward`; it has nr, age"));
    assert!(!at("t.toml").exists());
    assert_eq!(new("sbp").code, Some(0), "a number is predicted as one");
}
