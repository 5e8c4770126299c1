//! Calls against the counts of independent software, and what a broken file gives.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use histone_genome::vcf::{Limits, PhasedCalls, Reader, Record, VcfError, bgzf};
use proptest::prelude::*;

use super::check::SMALL;
use crate::data::folder;

fn open(path: &std::path::Path) -> bgzf::Reader<File> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bgzf::Reader::new(file, bgzf::Limits::default())
}

/// Copies of an allele, and alleles of the calls that are not missing, when all calls are diploid.
fn count(record: &Record<'_>, alternative: usize, samples: usize, codes: &mut Vec<u64>) -> (u64, u64) {
    const LOW: u64 = 0x5555_5555_5555_5555;
    record.calls(alternative, codes).unwrap();
    let (mut copies, mut missing) = (0, 0);
    for word in codes {
        let (low, high) = (*word & LOW, (*word >> 1) & LOW);
        copies += (low & !high).count_ones() + 2 * (high & !low).count_ones();
        missing += (low & high).count_ones();
    }
    (u64::from(copies), 2 * (samples as u64 - u64::from(missing)))
}

/// Every record of a file has the counts of the table that plink2 wrote.
fn compare_with_table(file: &str, table: &str, records: usize) {
    let Some(folder) = folder("genotypes") else { return };
    let mut reader = Reader::new(file, open(&folder.join(file)), &Limits::default()).unwrap();
    let samples = reader.header().samples().len();
    let mut rows = BufReader::new(open(&folder.join("reference").join(table))).lines();
    assert_eq!(rows.next().unwrap().unwrap(), "#CHROM\tPOS\tID\tREF\tALT\tALT_CTS\tOBS_CT");
    let mut codes = vec![];
    let mut compared = 0;
    while let Some(record) = reader.read().unwrap() {
        let row = rows.next().unwrap().unwrap();
        let row: Vec<&str> = row.split('\t').collect();
        assert_eq!(record.chromosome().trim_start_matches("chr"), row[0].trim_start_matches("chr"));
        assert_eq!((record.position().to_string().as_str(), record.ids()), (row[1], row[2]));
        let alternatives: Vec<&str> = record.alternatives().collect();
        assert_eq!((record.reference(), alternatives.join(",").as_str()), (row[3], row[4]));
        let counts: Vec<(u64, u64)> =
            (1..=alternatives.len()).map(|allele| count(&record, allele, samples, &mut codes)).collect();
        let copies: Vec<String> = counts.iter().map(|(copies, _)| copies.to_string()).collect();
        assert_eq!((copies.join(",").as_str(), counts[0].1.to_string().as_str()), (row[5], row[6]));
        compared += 1;
    }
    assert!(rows.next().is_none());
    assert_eq!(compared, records);
}

#[test]
fn counts_of_the_phase_1_panel() {
    compare_with_table("kg_phase1_chr22_550.vcf.gz", "kg_phase1_550.allele_counts.tsv.gz", 19_773);
}

#[test]
fn counts_of_the_hg38_panel() {
    compare_with_table("onekg_chr22_hg38.vcf.gz", "onekg_chr22_hg38.allele_counts.tsv.gz", 3042);
}

/// AC and AN of INFO, written by the 1000 Genomes Project itself.
#[test]
fn counts_of_info() {
    let Some(folder) = folder("genotypes") else { return };
    let file = "onekg_p3_chr21_start.vcf.gz";
    let mut reader = Reader::new(file, open(&folder.join(file)), &Limits::default()).unwrap();
    let samples = reader.header().samples().len();
    let mut codes = vec![];
    let mut compared = 0;
    while let Some(record) = reader.read().unwrap() {
        let value = |key| record.info_value(key).unwrap().parse::<u64>().unwrap();
        assert_eq!(count(&record, 1, samples, &mut codes), (value("AC"), value("AN")));
        compared += 1;
    }
    assert_eq!(compared, 600);
}

/// Records with several alternative alleles, and those of X, cell by cell against a reader of ten lines.
#[test]
fn several_alleles_and_x() {
    let Some(folder) = folder("genotypes") else { return };
    let path = folder.join("onekg_p3_100_autosomes_X.vcf.gz");
    let mut reader = Reader::new("x", open(&path), &Limits::default()).unwrap();
    let mut lines = open(&path).lines().map(Result::unwrap).filter(|line| !line.starts_with('#'));
    let mut calls = PhasedCalls::default();
    let mut codes = vec![];
    let (mut several, mut haploid) = (0, 0);
    while let Some(record) = reader.read().unwrap() {
        let line = lines.next().unwrap();
        let alternatives = record.alternatives().count();
        several += u32::from(alternatives > 1);
        if alternatives == 1 && record.chromosome() != "X" {
            continue;
        }
        for alternative in 1..=alternatives {
            record.calls(alternative, &mut codes).unwrap();
            record.phased_calls(alternative, &mut calls).unwrap();
            assert_eq!(codes, calls.codes);
            for (sample, cell) in line.split('\t').skip(9).enumerate() {
                let alleles: Vec<&str> = cell.split(['|', '/']).collect();
                let copies = alleles.iter().filter(|allele| **allele == alternative.to_string()).count();
                let expected = if alleles.contains(&".") { 3 } else { copies as u64 };
                assert_eq!((codes[sample / 32] >> (2 * (sample % 32))) & 3, expected);
                assert_eq!((calls.haploid[sample / 64] >> (sample % 64)) & 1, u64::from(alleles.len() == 1));
                haploid += u32::from(alleles.len() == 1);
            }
        }
    }
    assert!(lines.next().is_none());
    println!("{several} records with several alternative alleles, {haploid} haploid calls");
    assert_eq!(several, 579);
}

#[test]
fn missing_calls_of_a_real_file() {
    let Some(folder) = folder("genotypes") else { return };
    let file = "cineca_synthetic_subset.vcf.gz";
    let mut reader = Reader::new(file, open(&folder.join(file)), &Limits::default()).unwrap();
    let mut codes = vec![];
    let mut missing = 0;
    while let Some(record) = reader.read().unwrap() {
        record.calls(1, &mut codes).unwrap();
        missing +=
            codes.iter().map(|word| (word & (word >> 1) & 0x5555_5555_5555_5555).count_ones()).sum::<u32>();
    }
    assert_eq!(missing, 96);
}

#[test]
fn fields_of_a_record() {
    let mut reader = Reader::new("a.vcf", SMALL.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(reader.header().contigs(), [("1".to_owned(), Some(1000))]);
    assert_eq!(reader.header().samples(), ["s1", "s2"]);
    assert_eq!(reader.header().meta().len(), 4);
    let first = reader.read().unwrap().unwrap();
    assert_eq!((first.line(), first.chromosome(), first.position(), first.ids()), (7, "1", 10, "rs1"));
    assert_eq!(
        (first.quality(), first.filter(), first.info_value("AC"), first.format()),
        (None, "PASS", Some("1"), "GT:GL")
    );
    let second = reader.read().unwrap().unwrap();
    assert_eq!(second.alternatives().collect::<Vec<_>>(), ["A", "ATT"]);
    assert_eq!((second.quality(), second.info(), second.info_value("A")), (Some(50.0), "AC=1,2", None));
    let mut codes = vec![];
    second.calls(2, &mut codes).unwrap();
    assert_eq!(codes, [0b00_01]);
    assert!(reader.read().unwrap().is_none());
}

#[track_caller]
fn refuse(from: &str, to: &str, expected: &str) {
    assert!(SMALL.contains(from), "{from}");
    let mut codes = vec![];
    let mut read = || -> Result<(), VcfError> {
        let text = SMALL.replacen(from, to, 1);
        let mut reader = Reader::new("a.vcf", text.as_bytes(), &Limits::default())?;
        while let Some(record) = reader.read()? {
            record.calls(1, &mut codes)?;
        }
        Ok(())
    };
    let message = read().unwrap_err().to_string();
    assert_eq!(message, format!("a.vcf, {expected}"), "{to}");
}

#[test]
fn refuses_what_it_cannot_read() {
    refuse(
        "0|1:",
        "secret:",
        "line 7, column 32 (sample 1): GT must be allele numbers or dots, separated by / or | [gt-malformed]",
    );
    refuse(
        "1/2",
        "1/3",
        "line 8, column 36 (sample 1): GT names an allele that the record does not have [gt-allele]",
    );
    refuse(
        "GT:GL",
        "DS:GL",
        "line 7, column 26 (FORMAT): FORMAT has no GT, so the record has no calls [format-gt-missing]",
    );
    refuse(
        "\t0\n",
        "\n",
        "line 8, column 37 (record): the record must have as many columns as the header line [column-count]",
    );
    refuse(
        "\t0\n",
        "\t0\t0\n",
        "line 8, column 40 (record): the record must have as many columns as the header line [column-count]",
    );
    refuse(
        "AC=1,2\tGT\t1/2\t0\n",
        "\n",
        "line 8, column 24 (record): the record must have as many columns as the header line [column-count]",
    );
    refuse(
        "\t12\t",
        "\t+12\t",
        "line 8, column 3 (POS): POS must be a whole number from 0 to 2147483647 [pos-not-a-number]",
    );
    refuse("A,ATT", ".", "line 8: allele 1 was asked for and the record has 0 alternative alleles");
    refuse(
        "VCFv4.3",
        "VCFv3",
        "line 1, column 14 (##fileformat): the version must be written VCFv4.1, VCFv4.2, VCFv4.3, VCFv4.4 or VCFv4.5 [fileformat-unknown]",
    );
}

#[test]
fn a_cut_file_is_an_error_with_its_place() {
    let Some(folder) = folder("genotypes") else { return };
    let mut bytes = vec![];
    File::open(folder.join("onekg_chr22_hg38.vcf.gz")).unwrap().read_to_end(&mut bytes).unwrap();
    bytes.truncate(100_000);
    let text = bgzf::Reader::new(bytes.as_slice(), bgzf::Limits::default());
    let mut reader = Reader::new("a.vcf.gz", text, &Limits::default()).unwrap();
    let error = loop {
        match reader.read() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the end was not missed"),
            Err(error) => break error,
        }
    };
    let VcfError::Read { source, .. } = &error else { panic!("{error}") };
    let inner = source.get_ref().unwrap().downcast_ref::<bgzf::BgzfError>().unwrap();
    assert!(matches!(inner, bgzf::BgzfError::Truncated { end: 100_000, .. }), "{inner}");
}

proptest! {
    /// Any damage gives records or an error, never a panic.
    #[test]
    fn damage_never_panics(changes in prop::collection::vec((0_usize..500, prop::option::of(any::<u8>())), 1..6)) {
        let mut bytes = SMALL.as_bytes().to_vec();
        for (at, byte) in changes {
            // Beyond the first line mostly, which allows no change.
            let at = 22 + at % (bytes.len() - 22);
            match byte {
                Some(byte) => bytes[at] = byte,
                None => { bytes.remove(at); }
            }
        }
        if let Ok(mut reader) = Reader::new("a.vcf", bytes.as_slice(), &Limits::default()) {
            let (mut codes, mut dosages, mut phased) = (vec![], vec![], PhasedCalls::default());
            while let Ok(Some(record)) = reader.read() {
                for allele in 0..3 {
                    let _ = record.calls(allele, &mut codes);
                    let _ = record.phased_calls(allele, &mut phased);
                    let _ = record.dosages(allele, &mut dosages);
                }
                let _ = (record.quality(), record.info_value("AC"), format!("{record:?}"));
            }
        }
    }
}
