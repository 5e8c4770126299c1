//! The corpus of hts-specs: what must be accepted, what must be refused.

use std::collections::BTreeMap;
use std::fs::File;

use histone_genome::vcf::{Limits, Report, Severity, bgzf, check};

use crate::data::{files, folder};

fn check_file(path: &std::path::Path) -> Report {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.file_name().unwrap().to_str().unwrap();
    check(name, bgzf::Reader::new(file, bgzf::Limits::default()), &Limits::default()).unwrap()
}

#[test]
fn corpus() {
    let Some(folder) = folder("conformance/vcf") else { return };
    let mut table = BTreeMap::new();
    let mut accepted_in_vain = vec![];
    let mut refused_in_vain = vec![];
    for version in ["4.1", "4.2", "4.3", "4.5"] {
        for wanted in ["passed", "failed"] {
            let folder = folder.join(version).join(wanted);
            if !folder.is_dir() {
                assert_eq!((version, wanted), ("4.5", "failed"));
                continue;
            }
            for path in files(&folder, ".vcf") {
                let report = check_file(&path);
                let row: &mut [u32; 2] = table.entry((wanted, version)).or_default();
                row[usize::from(!report.is_valid())] += 1;
                let name = format!("{version}/{}", path.file_name().unwrap().to_str().unwrap());
                match (wanted, report.is_valid()) {
                    ("passed", false) => refused_in_vain.push(format!("{name}\n{report}")),
                    ("failed", true) => accepted_in_vain.push(name),
                    _ => {}
                }
            }
        }
    }
    println!("folder       accepted refused");
    for ((wanted, version), [accepted, refused]) in &table {
        println!("{version}/{wanted} {accepted:11} {refused:7}");
    }
    assert!(refused_in_vain.is_empty(), "{}", refused_in_vain.join("\n"));
    let total = |wanted: &str, column: usize| -> u32 {
        table.iter().filter(|((key, _), _)| *key == wanted).map(|(_, counts)| counts[column]).sum()
    };
    assert_eq!((total("passed", 0), total("failed", 1)), (76, 602));
    // No text of the specification forbids these: a colon in the name of a genome in PEDIGREE, an asterisk in the ID of a
    // SAMPLE line, and, by the later texts of 4.3, an asterisk in a contig. The first and the last are warned about.
    assert_eq!(
        accepted_in_vain,
        [
            "4.1/failed_meta_pedigree_001.vcf",
            "4.2/failed_meta_pedigree_001.vcf",
            "4.3/failed_meta_contig_003.vcf",
            "4.3/failed_meta_pedigree_001.vcf",
            "4.3/failed_meta_sample_003.vcf",
        ]
    );
}

/// Real files have no error.
#[test]
fn real_files() {
    let Some(folder) = folder("genotypes") else { return };
    let mut checked = 0;
    for path in files(&folder, ".vcf.gz") {
        let report = check_file(&path);
        println!(
            "{}: {} samples, {} records, {} warnings",
            path.display(),
            report.samples(),
            report.records(),
            report.count(Severity::Warning)
        );
        assert!(report.is_valid(), "{report}");
        checked += 1;
    }
    assert_eq!(checked, 6);
}
