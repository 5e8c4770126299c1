//! The studies under `examples/`, and what the documentation says about study files.

use std::path::{Path, PathBuf};

use histone_genome::table::Table;
use histone_node::study::{BREAST_CANCER, Participant, Study, TermKind, data_root, positives, terms};

#[test]
fn breast_cancer_is_bundled_as_on_disk() {
    let bundled = Study::bundled().unwrap();
    let disk = Study::load(&examples().join("breast-cancer/study.toml"), None).unwrap();
    assert_eq!(bundled, disk);
    for (name, text) in BREAST_CANCER.files() {
        assert_eq!(*text, std::fs::read_to_string(examples().join("breast-cancer").join(name)).unwrap());
    }
}

#[test]
fn breast_cancer_is_the_whole_table_once() {
    let study = Study::bundled().unwrap();
    let shape = |table: &Table| (table.rows(), positives(table).unwrap(), table.missing());
    let shapes: Vec<_> = study.participants.iter().map(|participant| shape(&participant.table)).collect();
    assert_eq!(shapes, [(260, 130, 0), (150, 45, 0), (90, 24, 0), (60, 9, 0)]);
    assert_eq!((study.end_user.queries.len(), study.table.features.len()), (9, 30));
    assert_eq!(
        study.end_user.truth.as_ref().map(|truth| truth.iter().filter(|label| **label == 1.0).count()),
        Some(4)
    );
    // The three columns with a published mean over all 569 rows find a lost, doubled or shifted row.
    for (name, mean) in
        [("mean_radius", 14.127_292), ("mean_area", 654.889_104), ("worst_texture", 25.677_223)]
    {
        let column = study.table.features.iter().position(|feature| feature == name).unwrap();
        let tables = study.participants.iter().flat_map(|participant| participant.table.column(column));
        let values: Vec<f64> = tables.chain(study.end_user.queries.iter().map(|row| row[column])).collect();
        assert_eq!(values.len(), 569);
        assert!((values.iter().sum::<f64>() / 569.0 - mean).abs() < 1e-5, "{name}");
    }
    let limits_commerce = |participant: &&Participant| {
        participant.consent.iter().any(|data_use| ["NPU", "NCU", "NPUNCU"].contains(&data_use.term.short))
    };
    assert!(!study.model.commercial && study.other_models[0].commercial);
    assert_eq!(study.participants.iter().filter(limits_commerce).count(), 2);
}

#[test]
fn heart_example_reads_the_four_hospitals() {
    let Some(root) = test_data() else { return };
    let study = Study::load(&examples().join("heart/study.toml"), Some(&root)).unwrap();
    let reference = std::fs::read_to_string(root.join("clinical/heart/reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&reference).unwrap();
    for (participant, name) in study.participants.iter().zip(["cleveland", "hungarian", "switzerland", "va"])
    {
        let expected = &reference["hospitals"][name];
        let table = &participant.table;
        assert_eq!(Some(table.rows() as u64), expected["n"].as_u64(), "{name}");
        assert_eq!(positives(table).map(|n| n as u64), expected["positive"].as_u64(), "{name}");
        for (index, feature) in study.table.features.iter().enumerate() {
            let present = table.column(index).filter(|value| !value.is_nan()).count() as u64;
            // Zeros stay: the validation program is to see them, the training program takes them for missing.
            assert_eq!(Some(present), expected["non_missing"][feature].as_u64(), "{name} {feature}");
            if let Some(zeros) = expected[format!("zero_{feature}")].as_u64() {
                assert_eq!(
                    table.column(index).filter(|v| *v == 0.0).count() as u64,
                    zeros,
                    "{name} {feature}"
                );
            }
        }
    }
    assert_eq!(study.table.features.len(), 13);
    assert_eq!(study.end_user.queries.len(), 4);
    assert!(study.end_user.truth.is_none());
}

/// The codes and labels are those of the ontology, as far as its published table goes.
#[test]
fn terms_agree_with_the_ontology() {
    let Some(root) = test_data() else { return };
    let text = std::fs::read_to_string(root.join("conformance/duo/duo.csv")).unwrap();
    // No label and no short form holds a quote; one label holds a comma and is quoted.
    let mut found = 0;
    for line in text.lines().skip(1) {
        let (id, rest) = line.split_once(',').unwrap();
        let (short, rest) = rest.split_once(',').unwrap();
        let label = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap().0,
            None => rest.split_once(',').unwrap().0,
        };
        let term = terms().iter().find(|term| term.id == id);
        if short.is_empty() {
            assert!(term.is_none(), "{id} groups others");
            continue;
        }
        let term = term.unwrap_or_else(|| panic!("{id} is not in the table"));
        assert_eq!((term.short, term.label), (short, label), "{id}");
        found += 1;
    }
    let investigations = terms().iter().filter(|term| term.kind == TermKind::Investigation).count();
    assert_eq!(found + investigations, terms().len());
}

/// Every code stands in the documentation.
#[test]
fn the_documentation_has_every_code_and_key() {
    let text = std::fs::read_to_string(examples().join("../docs/study-file.md")).unwrap();
    for term in terms() {
        let row = format!("| `{}` | {} | {} |", term.id, term.short, term.label);
        assert!(text.contains(&row), "docs/study-file.md lacks the row {row}");
    }
    let study = examples().join("heart/study.toml");
    for line in std::fs::read_to_string(study).unwrap().lines() {
        if let Some((key, _)) = line.split_once(" = ") {
            assert!(text.contains(&format!("`{key}`")), "docs/study-file.md lacks the key {key}");
        }
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// The folder of test data. `None`, with a reason printed, only when nobody said where it is and it is not there.
fn test_data() -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap();
    let root = data_root(std::env::var_os("HISTONE_DATA"), &here);
    if root.is_none() {
        println!("skipped: HISTONE_DATA is not set and no ../shared/data exists");
    }
    root
}
