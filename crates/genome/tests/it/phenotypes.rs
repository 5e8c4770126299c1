//! Phenotypes are joined by id; what does not match is counted or refused.

use histone_genome::phenotypes::{CaseCoding, Missing, PhenotypeFile, Sample};
use histone_genome::text::TextLimits;
use proptest::prelude::*;

use crate::data::shared;

fn read(text: &str) -> PhenotypeFile {
    PhenotypeFile::read("p.txt", text.as_bytes(), &TextLimits::default()).unwrap()
}

fn from_data(name: &str) -> Option<PhenotypeFile> {
    Some(PhenotypeFile::read(name, shared(name)?.as_slice(), &TextLimits::default()).unwrap())
}

/// Values of all columns in the order of the samples, or the error.
fn check(text: &str, samples: &[Sample<'_>], expected: &str) {
    let found = PhenotypeFile::read("p", text.as_bytes(), &TextLimits::default()).and_then(|file| {
        let columns: Vec<&str> = file.columns().iter().map(String::as_str).collect();
        file.join(samples, &columns, &Missing::default())
    });
    let found = match found {
        Err(error) => error.to_string(),
        Ok((phenotypes, join)) => {
            let columns: Vec<String> = phenotypes
                .columns()
                .map(|name| format!("{name} {:?}", phenotypes.column(name).unwrap()))
                .collect();
            format!(
                "{}; unknown {:?}, without {:?}",
                columns.join(", "),
                join.unknown_lines,
                join.without_row
            )
        }
    };
    assert_eq!(found, expected, "{text}");
}

const ABC: [Sample<'_>; 3] = [
    Sample { family: Some("f"), id: "a" },
    Sample { family: Some("g"), id: "b" },
    Sample { family: Some("0"), id: "c" },
];

#[test]
fn what_keeps_cells_apart_is_said() {
    for (text, expected) in [
        (
            "IID,X\na,1\n",
            "p, line 1: the cells look separated by commas; separate them by tabs or blanks, and begin the first line with `#FID IID` or `#IID`",
        ),
        (
            "#FID;IID;X\nf;a;1\n",
            "p, line 1: the cells look separated by semicolons; separate them by tabs or blanks, and begin the first line with `#FID IID` or `#IID`",
        ),
        (
            "#IID\tX\na 1\n",
            "p, line 2: is one cell that looks like several separated by blanks, and the header has 2 separated by tabs",
        ),
        (
            "#IID X\na,1\n",
            "p, line 2: is one cell that looks like several separated by commas, and the header has 2 separated by blanks",
        ),
        ("#IID\tX\na\n", "p, line 2: has 1 cells, the header has 2"),
        (
            "name\tX\na\t1\n",
            "p, line 1: the first line does not name the columns; begin it with `#FID IID` or `#IID`",
        ),
    ] {
        check(text, &ABC, expected);
    }
}

#[test]
fn rows_are_joined_by_id() {
    let expected = "X [1.0, 2.0, NaN], Y [-0.5, NaN, 3.0]; unknown [], without []";
    check("#IID\tX\tY\nc\tNA\t3\nb\t2\t-9\na\t1\t-5e-1\n", &ABC, expected);
    check("IID X Y\r\nb  2\t-9.0\n a 1 -.5 \nc . 3", &ABC, expected);
    check("##made by hand\n#FID IID X Y\n0 c nan 3\ng b 2 NaN\nf a 1 -0.5\n\n", &ABC, expected);
    // Families count where both have them.
    check("FID IID X\nf a 1\nf b 2\n", &ABC, "X [1.0, NaN, NaN]; unknown [3], without [1, 2]");
    let named = ["a", "b", "c"].map(Sample::named);
    check("FID IID X\nf a 1\nf b 2\n", &named, "X [1.0, 2.0, NaN]; unknown [], without [2]");
    let twins = [Sample { family: Some("f"), id: "a" }, Sample { family: Some("g"), id: "a" }];
    check("FID IID X\ng a 1\nf a 2\n", &twins, "X [2.0, 1.0]; unknown [], without []");
    check(
        "IID X\na 1\n",
        &twins,
        "samples 1 and 2 of the genotypes have one id; rename one, or give family ids in both files",
    );
    check("IID\na\n", &ABC, "; unknown [], without [1, 2]");
}

#[test]
fn refusals_name_the_line() {
    let row = |rows: &str| format!("#IID\tX\tY\na\t1\t2\n{rows}\n");
    let no_header = "p, line 1: the first line does not name the columns; begin it with `#FID IID` or `#IID`";
    check("1 1 2.5\n", &ABC, no_header);
    check("IDD X\n", &ABC, no_header);
    check("##x\nFID X\n", &ABC, &no_header.replace("line 1", "line 2"));
    check("", &ABC, "p: has no rows below the header line");
    check("IID X\n\n", &ABC, "p: has no rows below the header line");
    check("IID\tX\tX\n", &ABC, "p, line 1: columns 2 and 3 have one name; rename one");
    check("IID\tX\t\n", &ABC, "p, line 1, column 3: the column has no name; name it in the header line");
    check(&row("b\t1"), &ABC, "p, line 3: has 2 cells, the header has 3");
    check(
        &row("b 1 2"),
        &ABC,
        "p, line 3: is one cell that looks like several separated by blanks, and the header has 3 separated by tabs",
    );
    check(&row("\nb\t1\t2"), &ABC, "p, line 3: the line is blank and others follow; remove it");
    check(&row("\t1\t2"), &ABC, "p, line 3, column 1 (`IID`): the id is missing; 0 is none either");
    check(&row("0\t1\t2"), &ABC, "p, line 3, column 1 (`IID`): the id is missing; 0 is none either");
    check(
        &row("b\t\t2"),
        &ABC,
        "p, line 3, column 2 (`X`): the cell is empty; write a missing code such as NA",
    );
    for text in ["x", "inf", "1,5", "0x1", "1e999"] {
        check(
            &row(&format!("b\t1\t{text}")),
            &ABC,
            "p, line 3, column 3 (`Y`): the cell is neither a finite number nor a missing code; write a decimal such as -1.5e-2, or name the code",
        );
    }
    // Cells of rows that belong to nobody are not looked at.
    check(&row("z\tx\ty"), &ABC, "X [1.0, NaN, NaN], Y [2.0, NaN, NaN]; unknown [3], without [1, 2]");
    check(
        &row("z\t1\t1\nz\t1\t1\na\t1\t2"),
        &ABC,
        "p, line 4: the person of line 3 has another row here, and 2 rows repeat others in all; leave one for each person",
    );
    check(
        "IID X\ny 1\nz 2\n",
        &ABC,
        "p: none of its 2 rows has the id of one of the 3 samples; check that both files use the same ids",
    );
    let file = read("IID X\na 1\n");
    let message = |columns: &[&str]| file.join(&ABC, columns, &Missing::default()).unwrap_err().to_string();
    assert_eq!(message(&["Z"]), "p.txt: has no column `Z` of phenotypes or covariates");
    assert_eq!(message(&["IID"]), "p.txt: has no column `IID` of phenotypes or covariates");
    assert_eq!(message(&["X", "X"]), "the column `X` is asked for twice");
    let limits = TextLimits { rows: 1, columns: 2, ..TextLimits::default() };
    let message = |text: &str| PhenotypeFile::read("p", text.as_bytes(), &limits).unwrap_err().to_string();
    assert_eq!(message("IID X\na 1\nb 1\n"), "p, line 3: has more than 1 rows, the limit of this program");
    assert_eq!(message("IID X Y\n"), "p, line 1: has more than 2 columns, the limit of this program");
}

#[test]
fn cases_and_controls() {
    let file = read("IID A B C\na 1 0 1\nb 2 1 3\nc 0 NA 2\n");
    let (phenotypes, _) = file.join(&ABC, &["C", "B", "A"], &Missing::default()).unwrap();
    assert_eq!(phenotypes.cases("A", CaseCoding::OneTwo).unwrap(), [Some(false), Some(true), None]);
    assert_eq!(phenotypes.cases("B", CaseCoding::ZeroOne).unwrap(), [Some(false), Some(true), None]);
    let message = |name: &str, coding| phenotypes.cases(name, coding).unwrap_err().to_string();
    let neither = "the number means neither a case nor a control; controls are 1 and cases 2, or controls 0 and cases 1";
    assert_eq!(message("C", CaseCoding::OneTwo), format!("p.txt, line 3, column 4 (`C`): {neither}"));
    assert_eq!(message("A", CaseCoding::ZeroOne), format!("p.txt, line 3, column 2 (`A`): {neither}"));
    assert_eq!(message("Z", CaseCoding::OneTwo), "p.txt: has no column `Z` of phenotypes or covariates");
}

#[test]
fn missing_codes_are_chosen() {
    let file = read("IID X\na -9\nb 99\nc ?\n");
    let codes = |codes: &[&str]| Missing { codes: codes.iter().map(|code| (*code).to_owned()).collect() };
    let (phenotypes, _) = file.join(&ABC, &["X"], &codes(&["?", "99.0"])).unwrap();
    assert_eq!(format!("{:?}", phenotypes.column("X").unwrap()), "[-9.0, NaN, NaN]");
    assert!(file.join(&ABC, &["X"], &codes(&[])).is_err());
}

#[test]
fn nothing_of_a_person_prints() {
    let file = read("FID IID X\nfam Ada 36.5\nfam Bob secret\n");
    let samples = [Sample { family: Some("fam"), id: "Ada" }, Sample { family: Some("fam"), id: "Bob" }];
    let error = file.join(&samples, &["X"], &Missing::default()).unwrap_err();
    let joined = file.join(&samples[..1], &["X"], &Missing::default()).unwrap();
    let shown = format!("{file:?} {samples:?} {error} {error:?} {joined:?}");
    for private in ["Ada", "Bob", "fam", "36.5", "secret"] {
        assert!(!shown.contains(private), "{shown}");
    }
}

#[test]
fn phenotypes_of_the_panel() {
    let Some(file) = from_data("genotypes/kg_phase1_550.pheno.tsv") else { return };
    let labels = String::from_utf8(shared("genotypes/kg_phase1_550.labels.tsv").unwrap()).unwrap();
    // The label file has another order than the phenotypes.
    let samples: Vec<Sample<'_>> =
        labels.lines().skip(1).filter_map(|line| line.split('\t').next()).map(Sample::named).collect();
    assert_eq!((samples.len(), samples[0].id, samples[437].id), (550, "HG00096", "NA19625"));
    assert_eq!(file.columns(), ["SEX", "SIMULATED_QT", "SIMULATED_CC"]);
    let columns = ["SIMULATED_QT", "SIMULATED_CC", "SEX"];
    let (phenotypes, join) = file.join(&samples, &columns, &Missing::default()).unwrap();
    assert_eq!((join.matched, join.unknown_lines.len(), join.without_row.len()), (550, 0, 0));
    let trait_values = phenotypes.column("SIMULATED_QT").unwrap();
    assert_eq!(trait_values[437], -0.015_314);
    assert!((trait_values.iter().sum::<f64>() + 7e-6).abs() < 1e-9);
    let cases = phenotypes.cases("SIMULATED_CC", CaseCoding::OneTwo).unwrap();
    assert_eq!(cases.iter().filter(|case| **case == Some(true)).count(), 220);
    assert_eq!(cases.iter().filter(|case| **case == Some(false)).count(), 330);
    assert_eq!(phenotypes.column("SEX").unwrap().iter().filter(|sex| **sex == 1.0).count(), 311);
}

#[test]
fn phenotypes_and_covariates_with_families() {
    let Some(fam) = shared("conformance/bgen/regenie_example.fam") else { return };
    let fam = String::from_utf8(fam).unwrap();
    let samples: Vec<Sample<'_>> = fam
        .lines()
        .map(|line| {
            let mut cells = line.split_ascii_whitespace();
            Sample { family: cells.next(), id: cells.next().unwrap() }
        })
        .collect();
    for (name, column, sum) in [
        ("regenie_phenotype.txt", "Y1", 6.266_796_465_156_302),
        ("regenie_covariates.txt", "V1", -14.932_902_410_903_646),
        ("regenie_phenotype_bin.txt", "Y1", 121.0),
    ] {
        let file = from_data(&format!("conformance/bgen/{name}")).unwrap();
        let (phenotypes, join) = file.join(&samples, &[column], &Missing::default()).unwrap();
        assert_eq!((join.matched, join.unknown_lines.len()), (500, 0), "{name}");
        let found: f64 = phenotypes.column(column).unwrap().iter().sum();
        assert!((found - sum).abs() < 1e-9, "{name}: {found}");
    }
}

proptest! {
    /// Any text gives a table or an error, never a panic.
    #[test]
    fn never_panics(text in "(##x\n)?(#?(FID[ \t])?IID[ \t]X\n)?([ab01.#\t\n\r \u{e4}-]{0,10}\n){0,6}") {
        if let Ok(file) = PhenotypeFile::read("p", text.as_bytes(), &TextLimits::default()) {
            let columns: Vec<&str> = file.columns().iter().map(String::as_str).collect();
            let _ = file.join(&ABC, &columns, &Missing::default());
        }
    }

    /// Whatever the order of rows and samples, every value is found at its sample.
    #[test]
    fn order_does_not_matter(order in Just((0..30_usize).collect::<Vec<_>>()).prop_shuffle(), rows in 1_usize..30) {
        let mut text = "#FID\tIID\tX\n".to_owned();
        for person in order.iter().take(rows) {
            text += &format!("0\tp{person}\t{}\n", *person as f64 / 8.0);
        }
        let ids: Vec<String> = (0..30).map(|person| format!("p{person}")).collect();
        let samples: Vec<Sample<'_>> = ids.iter().map(|id| Sample::named(id)).collect();
        let (phenotypes, join) = read(&text).join(&samples, &["X"], &Missing::default()).unwrap();
        prop_assert_eq!(join.matched, rows);
        prop_assert_eq!(join.without_row.len(), 30 - rows);
        for (person, value) in phenotypes.column("X").unwrap().iter().enumerate() {
            let has_row = order.iter().take(rows).any(|p| *p == person);
            prop_assert_eq!(value.is_nan(), !has_row);
            prop_assert!(!has_row || *value == person as f64 / 8.0);
        }
    }
}
