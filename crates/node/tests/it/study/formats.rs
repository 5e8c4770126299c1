//! Files in other formats than comma-separated UTF-8 with decimal points.

use histone_node::study::Study;

use super::{STUDY, edited, files, outcome};

const NORTH: &str = "data = \"north.csv\"\n";
const GERMAN: &str =
    "data = \"north.csv\"\nformat = { separator = \";\", decimal = \",\", thousands = \".\" }\n";

/// Hospitals that write their tables in different ways have one study, which is that of the same tables in one way.
#[test]
fn each_hospital_has_its_own() {
    let expected = Study::parse("study.toml", STUDY, &files()).unwrap();
    let mut files = files();
    let north = files.0["north.csv"].replace(',', ";").replace("240", "240,0").replace("41;", "\"41,00\";");
    // With the empty column and the empty rows that spreadsheets leave at the end.
    files.0.insert("north.csv", format!("{};;;\n;;;\n", north.replace('\n', ";\n")));
    let study = Study::parse("study.toml", &edited(&[(NORTH, GERMAN)]), &files).unwrap();
    assert_eq!(study.participants[0].table, expected.participants[0].table);
    assert_eq!(study.participants[1].table, expected.participants[1].table);
    // One for all, and a file that has its own beside it.
    let south = files.0["south.csv"].replace(',', "\t");
    files.0.insert("south.csv", south);
    let queries = files.0["queries.csv"].replace(',', "\t");
    files.0.insert("queries.csv", queries);
    let all = [(NORTH, GERMAN), ("label = \"ill\"\n", "label = \"ill\"\nformat = { separator = \"\\t\" }\n")];
    let study = Study::parse("study.toml", &edited(&all), &files).unwrap();
    assert_eq!(study.participants[1].table, expected.participants[1].table);
    assert_eq!(study.end_user.queries.len(), expected.end_user.queries.len());
}

#[test]
fn what_does_not_fit_is_said() {
    assert_eq!(
        outcome(&edited(&[(NORTH, GERMAN)]), &files()),
        "study.toml:12:8: the data of `north` cannot be used\n  north.csv, line 1: is one cell, and holds commas; if these separate its cells, say `format = { separator = \",\" }` (`histone data look` finds the whole format out)"
    );
    let mut other = files();
    other.0.insert("north.csv", files().0["north.csv"].replace(',', ";").replace("240", "1.5"));
    assert_eq!(
        outcome(
            &edited(&[(NORTH, "data = \"north.csv\"\nformat = { separator = \";\", decimal = \",\" }\n")]),
            &other
        ),
        "study.toml:12:8: `chol` is a feature at `south`, and cannot be one at `north`: north.csv, line 4, column 2 (`chol`): the number has a decimal point, and the file is said to have decimal commas; write a comma, or say `thousands = \".\"` if the point stands between thousands; or add the column to `ignore`"
    );
    for (words, at, says) in [
        ("separator = \"::\"", 24, "`separator` is \"::\"; it is one of \",\", \";\", \"\\t\" and \"|\""),
        ("decimal = \";\"", 22, "`decimal` is \";\"; it is \".\" or \",\""),
        (
            "decimal = \",\", thousands = \",\"",
            39,
            "`thousands` is \",\"; it is what stands before fractions already; name what stands between thousands, and nothing where there is nothing",
        ),
        (
            "encoding = \"latin\"",
            23,
            "`encoding` is \"latin\"; it is one of \"utf-8\", \"windows-1252\" (which reads Latin-1 as well) and \"utf-16\"",
        ),
    ] {
        let text = edited(&[(NORTH, &format!("{NORTH}format = {{ {words} }}\n"))]);
        assert_eq!(outcome(&text, &files()), format!("study.toml:13:{at}: {says}"));
    }
    let unknown = edited(&[(NORTH, &format!("{NORTH}format = {{ quote = \"'\" }}\n"))]);
    assert!(outcome(&unknown, &files()).contains("unknown field `quote`"));
}

/// What looks wrong in the tables is said, and what is in order is not.
#[test]
fn doubts_about_tables() {
    assert_eq!(Study::parse("study.toml", STUDY, &files()).unwrap().doubts, Vec::<String>::new());
    assert_eq!(Study::bundled().unwrap().doubts, Vec::<String>::new());
    let mut other = files();
    // Nothing known, written as a number; and the unit of another country.
    other.0.insert("north.csv", files().0["north.csv"].replace("240", "-999"));
    other.0.insert(
        "south.csv",
        files().0["south.csv"]
            .replace(",35,", ",12775,")
            .replace(",45,", ",16425,")
            .replace(",55,", ",20075,")
            .replace(",65,", ",23725,"),
    );
    let doubts = Study::parse("study.toml", STUDY, &other).unwrap().doubts;
    assert_eq!(doubts.len(), 2, "{doubts:?}");
    assert!(doubts[0].starts_with("`north`, `chol`: -999 stands in 5 rows"), "{doubts:?}");
    assert!(doubts[1].starts_with("`south`, `age`: lies about 319 times above"), "{doubts:?}");
    // Said to mean that nothing is known.
    let said =
        edited(&[("missing = \"median\"\n", "missing = \"median\"\nmissing_codes = [\"\", \"-999\"]\n")]);
    assert_eq!(Study::parse("study.toml", &said, &other).unwrap().doubts.len(), 1);
}
