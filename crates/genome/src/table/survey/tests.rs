#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::MissingRules;
use super::super::number::Thousands;
use super::*;

fn surveyed(bytes: &[u8]) -> Survey {
    survey("t.csv", bytes, &Limits::default()).unwrap()
}

fn about(survey: &Survey) -> Vec<(Option<&str>, &'static str)> {
    survey.doubts.iter().map(|doubt| (doubt.column.as_deref(), doubt.about)).collect()
}

#[test]
fn a_plain_table_leaves_no_doubt() {
    let found = surveyed(b"age,sex,seen\n50,F,2020-02-29\n61.5,M,2019-01-01\n,F,\n70,F,2021-01-01\n");
    assert_eq!((found.dialect, found.rows), (Dialect::default(), 4));
    assert_eq!(found.doubts, []);
    assert_eq!(found.dialect.written(), None);
    assert_eq!(found.columns[0].looks, Looks::Numbers { low: 50.0, high: 70.0, whole: false });
    assert_eq!((found.columns[0].missing, found.columns[0].different), (1, 3));
    assert_eq!(found.columns[1].frequent, [("F".to_owned(), 3), ("M".to_owned(), 1)]);
}

#[test]
fn what_a_german_spreadsheet_writes() {
    let found = surveyed(
        b"\xef\xbb\xbfalter;kreatinin;ort;;\r\n50;1,25;K\xc3\xb6ln;;\r\n61;0,9;Bonn;;\r\n;;;;\r\n;;;;\r\n",
    );
    assert_eq!(found.dialect.written().unwrap(), "{ separator = \";\", decimal = \",\" }");
    assert_eq!((found.rows, found.columns.len(), found.doubts.len()), (2, 3, 0));
    assert_eq!(found.columns[1].looks, Looks::Numbers { low: 0.9, high: 1.25, whole: false });
    let found = surveyed(b"a;ort\n1;K\xf6ln\n2;Bonn\n");
    assert_eq!(found.dialect.encoding, Encoding::Windows1252);
    assert_eq!(about(&found), [(None, "encoding")]);
}

#[test]
fn what_can_be_read_in_two_ways_is_asked() {
    let found = surveyed(b"id;platelets\n1;\"250,000\"\n2;\"310,000\"\n");
    assert_eq!(about(&found), [(Some("platelets"), "reading")]);
    assert_eq!(found.otherwise.len(), 1, "{:?}", found.otherwise);
    let found = surveyed(b"platelets,x\n\"250,000\",1.5\n\"310,000\",2.5\n");
    // Beside a decimal point it is no decimal comma.
    assert_eq!(found.dialect.written().unwrap(), "{ thousands = \",\" }");
    assert_eq!(found.doubts, []);
    let found = surveyed(b"a;b\n1,5;2,5\n1,5;2,5\n");
    assert_eq!((found.columns.len(), found.doubts.len()), (2, 0), "{:?}", found.doubts);
    let found = surveyed(b"a,b;c\n1,2;3\n1,2;3\n");
    assert_eq!(about(&found)[0], (None, "reading"), "commas and semicolons");
}

#[test]
fn codes_and_words_for_nothing_known() {
    let rows = |of: &dyn Fn(usize) -> String| -> Vec<u8> {
        let rows: String = (0..40).map(|i| format!("{},{}\n", i % 7, of(i))).collect();
        format!("n,x\n{rows}").into_bytes()
    };
    let found = surveyed(&rows(&|i| if i == 3 { "n/a".into() } else { format!("{}.5", i % 13) }));
    assert_eq!((found.missing_codes.as_slice(), found.columns[1].missing), (&["n/a".to_owned()][..], 1));
    for (code, about_it) in [("-999", true), ("99", true), ("-9", true), ("13", false), ("14.5", false)] {
        let found = surveyed(&rows(&|i| if i == 3 { code.into() } else { format!("{}.5", i % 13) }));
        let expected: &[_] = if about_it { &[(Some("x"), "missing")] } else { &[] };
        assert_eq!(about(&found), expected, "{code}");
    }
    let found = surveyed(&rows(&|i| if i % 10 == 3 { "0".into() } else { format!("{}", 180 + i) }));
    assert_eq!(about(&found), [(Some("x"), "zero")]);
    // No number among numbers, and no word for nothing known.
    let found = surveyed(&rows(&|i| if i == 3 { "high".into() } else { format!("{i}.5") }));
    assert_eq!(about(&found), [(Some("x"), "missing")]);
    assert!(found.doubts[0].says.contains("line 5"), "{}", found.doubts[0].says);
}

#[test]
fn what_tells_who_somebody_is() {
    let rows: String = (0..30)
        .map(|i| {
            format!(
                "{},P{i:03},1950-01-{:02},Anna M{}ller,{},3-Mar\n",
                1_000 + i,
                1 + i % 28,
                "u".repeat(i),
                i % 3
            )
        })
        .collect();
    let found = surveyed(format!("nr,sample,Birth date,who,sex,gene\n{rows}").as_bytes());
    let about = about(&found);
    assert_eq!(
        about,
        [
            (Some("nr"), "identifier"),
            (Some("sample"), "identifier"),
            (Some("Birth date"), "birth"),
            (Some("who"), "name"),
            (Some("gene"), "spreadsheet"),
        ]
    );
}

#[test]
fn levels_columns_and_days_in_other_spellings() {
    let found = surveyed(b"sex,Age,age,day\nF,1,1,03.04.2021\nf,2,2,13.04.2021\nM,3,5,01.01.2020\n");
    let about = about(&found);
    assert_eq!(about, [(Some("sex"), "levels"), (Some("day"), "day"), (Some("age"), "columns")]);
    assert!(found.doubts[1].says.contains("the day seems to come first"));
}

#[test]
fn words_among_numbers_change_no_other_number() {
    let rows: String = (0..40)
        .map(|i| if i % 9 == 4 { "x;not taken\n".to_owned() } else { format!("x;1,{i:02}\n") })
        .collect();
    let found = surveyed(format!("a;k\n{rows}").as_bytes());
    assert_eq!(found.dialect.written().unwrap(), "{ separator = \";\", decimal = \",\" }");
    assert_eq!(about(&found), [(Some("k"), "missing")]);
    assert!(found.doubts[0].says.contains("among them `not taken`"), "{}", found.doubts[0].says);
    let found = surveyed(b"a,k,t,h\n1,45%,2021-04-03 08:15,x\n2,50%,2021-04-03 08:15,x\n3,55%,2021-04-03 09:15,x\n4,<60%,2021-04-04 08:15,x\n5,60%,2021-04-05 08:15,x\n");
    assert_eq!(about(&found), [(Some("k"), "unit"), (Some("t"), "day")]);
    let found = surveyed(b"100001,58,M,1.5\n100002,60,F,1.25\n");
    assert_eq!(about(&found)[0], (None, "header"));
}

/// What a hostile reader found: numbers that became others without a word.
#[test]
fn no_number_becomes_another_without_a_word() {
    let found = surveyed(b"a;b\n0,5;1.234e+01\n1,5;2.235e+02\n2,5;3\n");
    assert_eq!(found.dialect.written().unwrap(), "{ separator = \";\", decimal = \",\" }");
    assert_eq!(found.columns[1].different, 3);
    // Answers of several numbers make no other column's points stand between thousands.
    let found = surveyed(b"id,symptoms,dose\n0,\"1,4\",1.250\n1,\"2,5\",2.253\n2,\"1,3\",1.5\n");
    assert_eq!(found.dialect.written(), None);
    let found = surveyed(b"bmi;platelets\n20.5;1.000\n21.5;101\n22;150\n");
    assert_eq!(about(&found), [(Some("platelets"), "reading")]);
    let found = surveyed(b"crp;ferritin\n0,5;1.100\n1,5;2.113\n");
    assert_eq!(about(&found), [(Some("ferritin"), "reading")]);
    let found = surveyed(b"age,grade\n30,1.100\n31,2.200\n");
    assert_eq!(about(&found), []);
    // The code as it stands in the file.
    let rows: String =
        (0..40).map(|i| if i == 7 { "-99.0\n".to_owned() } else { format!("{}.5\n", i % 13) }).collect();
    let found = surveyed(format!("crp\n{rows}").as_bytes());
    assert!(found.doubts[0].says.contains("add \"-99.0\" to"), "{:?}", found.doubts);
    // A word that means nothing known here is a finding there.
    let found = surveyed(b"rh,crp\n+,1.5\n-,2.5\n+,-\n-,3.5\n");
    assert_eq!(
        (found.missing_codes.as_slice(), about(&found)),
        (&["-".to_owned()][..], vec![(Some("rh"), "missing")])
    );
    // Half of a column unknown.
    let rows: String = (0..40)
        .map(|i| if i % 2 == 0 { "unknown\n".to_owned() } else { format!("{}.5\n", i % 13) })
        .collect();
    let found = surveyed(format!("crp\n{rows}").as_bytes());
    assert_eq!((found.missing_codes.as_slice(), found.columns[0].missing), (&["unknown".to_owned()][..], 20));
    let rows: String = (0..40)
        .map(|i| if i == 3 { "2021-02-30\n".to_owned() } else { format!("2021-03-{:02}\n", 1 + i % 28) })
        .collect();
    let found = surveyed(format!("seen\n{rows}").as_bytes());
    assert_eq!(about(&found), [(Some("seen"), "day")]);
    let found = surveyed(b"x,u;y\n0,5;0\n1,5;1\n2,5;0\n");
    let otherwise: Vec<String> = found.otherwise.iter().filter_map(|dialect| dialect.written()).collect();
    assert_eq!(otherwise, ["{ separator = \";\", decimal = \",\" }"]);
}

#[test]
fn what_is_no_table_is_said() {
    for (bytes, says) in [
        (&b""[..], "no rows"),
        (b"a,b\n1,2,3\n", "line 2"),
        (b"PK\x03\x04", "XLSX"),
        (b"a;b\n1;\"2\n", "never closed"),
    ] {
        let error = survey("t.csv", bytes, &Limits::default()).unwrap_err().to_string();
        assert!(error.starts_with("t.csv") && error.contains(says), "{error}");
    }
}

/// A table as somebody writes it, with the format that reads it.
fn written(cells: &[(u32, u8, bool)], dialect: Dialect, crlf: bool, blank: bool) -> Vec<u8> {
    let end = if crlf { "\r\n" } else { "\n" };
    let separator = dialect.separator.sign();
    let mut text = format!("value{separator}place{end}");
    for (whole, hundredths, negative) in cells {
        let digits = whole.to_string();
        let mark = match dialect.numbers.thousands() {
            None => "",
            Some(Thousands::Point) => ".",
            Some(Thousands::Comma) => ",",
            Some(Thousands::Blank) => "\u{a0}",
            Some(Thousands::Apostrophe) => "'",
        };
        let mut grouped = String::new();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                grouped.push_str(mark);
            }
            grouped.push(digit);
        }
        let point = if dialect.numbers.has_decimal_comma() { ',' } else { '.' };
        let sign = if *negative { "-" } else { "" };
        text.push_str(&format!("\"{sign}{grouped}{point}{hundredths:02}\"{separator}K\u{f6}ln{end}"));
    }
    if blank {
        text.push_str(&format!("{separator}{end}{end}"));
    }
    match dialect.encoding {
        Encoding::Utf8 => text.into_bytes(),
        Encoding::Windows1252 => {
            text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
        }
        Encoding::Utf16 => {
            [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
        }
    }
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let encodings = vec![Encoding::Utf8, Encoding::Windows1252, Encoding::Utf16];
    let numbers: Vec<Numbers> = ways().collect();
    (
        prop::sample::select(&Separator::ALL[..]),
        prop::sample::select(numbers),
        prop::sample::select(encodings),
    )
        .prop_map(|(separator, numbers, encoding)| Dialect { separator, numbers, encoding })
}

proptest! {
    /// A table in any dialect is read as the same numbers, and no other reading is taken without a word: what is found is the dialect, or one
    /// that reads the same, or the doubt is told.
    #[test]
    fn no_dialect_is_read_silently_as_another(
        cells in prop::collection::vec((0_u32..5_000_000, 0_u8..100, any::<bool>()), 1..12),
        dialect in dialects(),
        crlf in any::<bool>(),
        blank in any::<bool>(),
    ) {
        let bytes = written(&cells, dialect, crlf, blank);
        let sign = |negative: bool| if negative { -1.0 } else { 1.0 };
        let expected: Vec<f64> = cells
            .iter()
            .map(|(whole, hundredths, negative)| sign(*negative) * format!("{whole}.{hundredths:02}").parse::<f64>().unwrap())
            .collect();
        let read = |dialect| {
            let table = RawTable::read_as("p.csv", bytes.as_slice(), dialect, &Limits::default()).unwrap();
            table.numbers("value", &MissingRules::default())
        };
        prop_assert_eq!(&read(dialect).unwrap(), &expected);
        let found = survey("p.csv", bytes.as_slice(), &Limits::default()).unwrap();
        prop_assert_eq!(&read(found.dialect).unwrap(), &expected);
        // Any other way to read the numbers gives the same, an error, or is told.
        for numbers in ways() {
            let other = Dialect { numbers, ..found.dialect };
            if let Ok(values) = read(other) {
                prop_assert!(values == expected || found.otherwise.contains(&other), "{:?}", other);
            }
        }
        let words = |dialect: Dialect| dialect.written().unwrap_or_default();
        prop_assert_eq!(words(found.dialect).contains("separator"), dialect.separator != Separator::Comma);
    }

    /// Whatever the bytes are, there is an answer.
    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = survey("p.csv", bytes.as_slice(), &Limits::default());
    }
}
