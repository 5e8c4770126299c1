//! The same study as each of its parties has it, with one table or none.

use super::{Memory, STUDY, chain, files};
use histone_node::study::{Study, StudyAs, StudyError};

/// The small study with all that a table would tell otherwise.
fn stated() -> String {
    let edits = [
        ("features = \"all numeric\"", "negative = \"== 0\"\nfeatures = [\"age\", \"chol\"]"),
        ("missing = \"median\"", "missing = \"median\"\n\n[table.ranges]\nage = [20, 90]\nchol = [0, 400]"),
    ];
    super::edited(&edits)
}

fn read(text: &str, files: &Memory, name: &str) -> Result<StudyAs, StudyError> {
    Study::parse_as("study.toml", text, files, name)
}

#[track_caller]
fn refused(text: &str, files: &Memory, name: &str, expected: &str) {
    assert_eq!(chain(&read(text, files, name).unwrap_err()), expected);
}

/// Nothing but this file can be opened.
fn only(name: &str) -> Memory {
    let mut files = files();
    files.0.retain(|file, _| *file == name);
    files
}

#[test]
fn each_party_reads_its_own_table_alone() {
    let whole = Study::parse("study.toml", &stated(), &files()).unwrap();
    let north = read(&stated(), &only("north.csv"), "north").unwrap();
    assert_eq!((north.part, north.name.as_str()), ("participant", "north"));
    assert_eq!(north.participant().unwrap(), &whole.participants[0]);
    let others = &north.study.participants[1];
    assert_eq!((others.table.rows(), others.table.columns()), (0, whole.participants[1].table.columns()));
    // South has its columns in another order, and registers them in the order of all.
    let south = read(&stated(), &only("south.csv"), "south").unwrap();
    assert_eq!(south.participant().unwrap().table, whole.participants[1].table);
    for (name, part) in
        [("institute", "trainer"), ("cloud-runner", "runner"), ("ethics-board", "committee member")]
    {
        let seen = read(&stated(), &only("nothing"), name).unwrap();
        assert_eq!((seen.part, seen.participant()), (part, None));
        assert_eq!(seen.study.table, whole.table);
        assert!(seen.study.end_user.queries.is_empty());
        assert_eq!(seen.unchecked().len(), 7);
    }
    let user = read(&stated(), &only("queries.csv"), "end-user").unwrap();
    assert_eq!((&user.study.end_user, user.unchecked().len()), (&whole.end_user, 6));
}

#[test]
fn what_one_table_cannot_tell_stands_in_the_file() {
    let text = stated();
    let change = |from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replacen(from, to, 1)
    };
    refused(
        &change("[\"age\", \"chol\"]", "\"all numeric\""),
        &files(),
        "north",
        "study.toml:8:12: `features` is \"all numeric\", and with tables at several places nobody sees them all: list the columns by name",
    );
    refused(
        &change("age = [20, 90]\n", ""),
        &files(),
        "institute",
        "study.toml:8:12: `age` has no range, and with tables at several places nobody sees them all: write the least and the largest plausible value under [table.ranges], such as `age = [0, 120]`",
    );
    refused(
        &change("negative = \"== 0\"\n", ""),
        &files(),
        "south",
        "study.toml:6:9: `positive` names one value (`== 1`) and nothing says what means no, and with tables at several places nobody sees them all: write it, as in `negative = \"== 0\"`",
    );
    refused(
        &change("[\"age\", \"chol\"]", "[\"age\", \"chol\", \"ill\"]"),
        &files(),
        "institute",
        "study.toml:8:12: `ill` is the outcome and cannot be a feature",
    );
    refused(
        &change("[\"age\", \"chol\"]", "[\"age\", \"chol\", \"age\"]"),
        &files(),
        "institute",
        "study.toml:8:12: `features`: two columns are named `age`",
    );
    refused(
        &text,
        &files(),
        "east",
        "study.toml:1:8: nobody in this study is called `east`; it has north, south, institute, regulator, ethics-board, patients, university, cloud-runner, independent-auditor, end-user",
    );
}

#[test]
fn the_own_table_is_looked_at_as_ever() {
    refused(
        &stated(),
        &only("south.csv"),
        "north",
        "study.toml:17:8: the data file `north.csv` cannot be opened; paths that do not begin with ${HISTONE_DATA} are relative to the study file\n  not in memory",
    );
    let narrow = stated().replace("age = [20, 90]", "age = [50, 90]");
    refused(
        &narrow,
        &only("north.csv"),
        "north",
        "study.toml:12:7: the range of `age` leaves 5 of 20 values of `north` outside; its enclave takes no plan that leaves more than one in 10",
    );
    let mut other = only("north.csv");
    other.0.insert("north.csv", super::table("age,chol,ill\n", "41,200,0\n52,,1\n63,240,9\n74,260,1\n"));
    refused(
        &stated(),
        &other,
        "north",
        "study.toml:7:12: `ill` holds `9` (5 rows) as well, which neither `positive` nor `negative` names; name it there, or leave these rows out with `other = \"leave-out\"`",
    );
    assert!(Study::parse("study.toml", STUDY, &files()).is_ok());
}
