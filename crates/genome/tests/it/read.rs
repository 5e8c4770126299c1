//! What a file may look like, and where each complaint points.

use std::collections::BTreeMap;

use std::io::{Read, Write as _};

use histone_genome::table::{Dialect, Limits, MissingRules, RawTable, TableError};
use histone_genome::vcf::bgzf;
use proptest::prelude::*;

fn check(file: &str, expected: &str) {
    check_bytes(file.as_bytes(), &Limits::default(), expected);
}

fn check_bytes(file: &[u8], limits: &Limits, expected: &str) {
    let message = match RawTable::read("a.csv", file, limits) {
        Ok(table) => format!("{} x {}", table.rows(), table.columns().len()),
        Err(error) => error.to_string(),
    };
    assert_eq!(message, expected, "{}", String::from_utf8_lossy(file));
}

#[test]
fn accepts_tables() {
    check("a,b\n1,2\n3,4\n", "2 x 2");
    check("a,b\n1,2\n3,4", "2 x 2");
    check("a,b\r\n1,2\r\n", "1 x 2");
    check("\u{feff}a,b\n,1\n", "1 x 2");
    check("a,\"b, c\"\n\"x\n\"\"y\"\"\",2\n", "1 x 2");
    check("a\n\"\"\n", "1 x 1");
}

#[test]
fn refuses_what_is_not_a_table() {
    let empty = "a.csv: has no rows below the header line; a table needs at least one";
    check("", empty);
    check("a,b\n", empty);
    check("\na,b\n1,2\n", "a.csv, line 1: the line is blank; remove it");
    check("a,b\n1,2\n\n3,4\n", "a.csv, line 3: the line is blank; remove it");
    check("a,b\r\n1,2\r\n\r\n3,4\r\n", "a.csv, line 3: the line is blank; remove it");
    check("a,b\n1,2\n3\n", "a.csv, line 3: has 1 cells, the header has 2; every row needs the same number");
    check(
        "a,b\n1,\"2\n2\"\n3,4,5\n",
        "a.csv, line 4: has 3 cells, the header has 2; every row needs the same number",
    );
    check("a,,b\n1,2,3\n", "a.csv, line 1, column 2: the column has no name; name it in the header line");
    check("a, b\n1,2\n", "a.csv, line 1, column 2: the name of the column has blanks around it; remove them");
    check("a,b,a\n1,2,3\n", "a.csv, line 1: columns 1 and 3 are both named `a`; rename one");
    check(
        "a,b\n1,\"2\n3,4\n",
        "a.csv, line 2: a quote opened here is never closed; close it, or write the quote twice",
    );
    check(
        "a,b\n1,2\"\n",
        "a.csv, line 2: a quote stands inside an unquoted cell; put the whole cell in quotes and write the quote twice",
    );
    check(
        "a,b\n\"1\"x,2\n",
        "a.csv, line 2: text follows a closing quote; only what separates cells or the end of the line may",
    );
    check("a,b\n1,2\r3,4\n", "a.csv, line 2: a carriage return stands alone; end lines with LF or CR LF");
    check_bytes(
        b"a,b\n1,2\n\xff,4\n",
        &Limits::default(),
        "a.csv, line 3: the text is not UTF-8; save the file as UTF-8, or, where it comes from an older program of Windows, say `format = { encoding = \"windows-1252\" }` and look at its letters (`histone data look` shows them)",
    );
}

/// What spreadsheets leave behind is nobody's; what a person would miss is not passed over.
#[test]
fn empty_rows_and_columns_at_the_end() {
    check("a,b\n1,2\n\n\r\n\n", "1 x 2");
    check("a,b,,\n1,2,,\n,,,\n,3,,\n,,,\n,,,\n", "3 x 2");
    check("a\n1\n\n", "1 x 1");
    check("a,b\n1,2\n\n3,4\n", "a.csv, line 3: the line is blank; remove it");
    check(
        "a,b,\n1,2,\n1,2,3\n",
        "a.csv, line 1, column 3: the column has no name and holds cells; name it in the header line",
    );
    check("a,b,\n1,2\n", "a.csv, line 2: has 2 cells, the header has 3; every row needs the same number");
    check("a,b\n,\n,\n", "a.csv: has no rows below the header line; a table needs at least one");
    check(",,\n1,2,3\n", "a.csv, line 1, column 1: the column has no name; name it in the header line");
}

#[test]
fn what_a_file_looks_like_is_said() {
    check(
        "age;sbp\n50;120\n",
        "a.csv, line 1: is one cell, and holds semicolons; if these separate its cells, say `format = { separator = \";\" }` (`histone data look` finds the whole format out)",
    );
    check(
        "age\tsbp\n50\t120\n",
        "a.csv, line 1: is one cell, and holds tabs; if these separate its cells, say `format = { separator = \"\\t\" }` (`histone data look` finds the whole format out)",
    );
    check(
        "sep=;\na;b\n1;2\n",
        "a.csv, line 1: the line tells a spreadsheet which sign separates cells; remove it, the header comes first",
    );
    check(
        "50,120,1,1\n60,130,0,1\n",
        "a.csv, line 1: looks like a row, 4 of its 4 cells are numbers or days; the first line has to name the columns",
    );
}

/// A row that is taken for a header is nobody's to see.
#[test]
fn errors_show_no_row() {
    let file = "Anna Smith,1970-03-01,female,0\nBob Jones,1960-01-01,male,1\nEve Hill,1961-01-01,female,1\n";
    let raw = RawTable::read("a.csv", file.as_bytes(), &Limits::default()).unwrap();
    let error = raw.texts("ill").unwrap_err().to_string();
    assert!(
        error.contains("has no column `ill`") && error.contains("2 of 4") && !error.contains("Anna"),
        "{error}"
    );
    check(
        "Smith,Smith,2,1,0\nx,y,2,1,0\n",
        "a.csv, line 1: looks like a row, 3 of its 5 cells are numbers or days; the first line has to name the columns",
    );
}

/// The same table in other dialects, and packed.
#[test]
fn dialects() {
    let expected =
        RawTable::read("a.csv", "x,place\n1234.5,a\n-2,b\n".as_bytes(), &Limits::default()).unwrap();
    let rules = MissingRules::default();
    let numbers = expected.numbers("x", &rules).unwrap();
    for (text, words) in [
        ("x;place\n1.234,5;a\n-2;b\n", [Some(";"), Some(","), Some("."), None]),
        ("x|place\n1 234.5|a\n-2|b\n", [Some("|"), None, Some(" "), None]),
        ("x\tplace\n1'234.5\ta\n-2\tb\n", [Some("\t"), None, Some("'"), Some("windows-1252")]),
    ] {
        let [a, b, c, d] = words;
        let dialect = Dialect::of_words(a, b, c, d).unwrap();
        let read = RawTable::read_as("a.csv", text.as_bytes(), dialect, &Limits::default()).unwrap();
        assert_eq!(read.numbers("x", &rules).unwrap(), numbers, "{text}");
        assert_eq!(read.texts("place").unwrap(), ["a", "b"]);
    }
    for words in [
        [Some("::"), None, None, None],
        [None, Some(","), Some(","), None],
        [None, None, Some("."), None],
        [None, None, None, Some("latin")],
    ] {
        let [a, b, c, d] = words;
        assert!(Dialect::of_words(a, b, c, d).is_err(), "{words:?}");
    }
    let mut packed = bgzf::Writer::new(Vec::new());
    packed.write_all(b"x,place\n1234.5,a\n-2,b\n").unwrap();
    let packed = packed.finish().unwrap();
    let read = RawTable::read("a.csv.gz", packed.as_slice(), &Limits::default()).unwrap();
    assert_eq!(read.numbers("x", &rules).unwrap(), numbers);
    // A bomb: as much as a table may have, and no more, is unpacked.
    let mut bomb = bgzf::Writer::new(Vec::new());
    bomb.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let limits = Limits { bytes: 1_000, ..Limits::default() };
    assert!(matches!(RawTable::read("b.gz", bomb.as_slice(), &limits), Err(TableError::TooLarge { .. })));
    // Cells of one byte each, more than are kept.
    let row = [",".repeat(4_094), "\n".into()].concat();
    let many =
        [(1..=4_095).map(|n| format!("c{n}")).collect::<Vec<_>>().join(","), "\n".into(), row.repeat(8_200)]
            .concat();
    let error = RawTable::read("m.csv", many.as_bytes(), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("more than 33554432 cells"), "{error}");
    let cut = &packed[..packed.len() - 40];
    assert!(matches!(RawTable::read("c.gz", cut, &Limits::default()), Err(TableError::Read { .. })));
}

#[test]
fn limits_hold() {
    let limits = Limits { bytes: 12, rows: 2, columns: 3 };
    check_bytes(b"a,b\n1,2\n3,4\n", &limits, "2 x 2");
    let message = |what| format!("a.csv: has more than {what}, the limit of this program; split the file");
    check_bytes(b"a,b\n1,2\n3,4\n\n", &limits, &message("12 bytes"));
    check_bytes(b"a\n1\n2\n3\n", &limits, &message("2 rows"));
    check_bytes(b"a,b,c,d\n", &limits, &message("3 columns"));
}

#[test]
fn a_failing_reader_is_reported_with_its_cause() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let error = RawTable::read("a.csv", Broken, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "a.csv: cannot be read");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk is gone");
}

#[test]
fn errors_never_carry_cells() {
    let secret = "Ada Lovelace";
    let file = format!("name,age\n{secret},36\n");
    let raw = RawTable::read("a.csv", file.as_bytes(), &Limits::default()).unwrap();
    let error: TableError =
        raw.query_rows(&["name".into()], &BTreeMap::new(), &MissingRules::default()).unwrap_err();
    assert!(error.to_string().starts_with("a.csv, line 2, column 1 (`name`): the cell is not a number"));
    for text in [format!("{error}"), format!("{error:?}"), format!("{raw:?}")] {
        assert!(!text.contains(secret), "{text}");
    }
}

proptest! {
    /// Any bytes at all give a table or an error, never a panic.
    #[test]
    fn never_panics(file in prop::collection::vec(prop::sample::select(b"a1,\"\r\n\xc3\xa9 .".to_vec()), 0..60)) {
        if let Ok(raw) = RawTable::read("p.csv", file.as_slice(), &Limits::default()) {
            let _ = raw.column_kinds(&MissingRules::default());
            let _ = raw.query_rows(raw.columns(), &BTreeMap::new(), &MissingRules::default());
        }
    }
}
