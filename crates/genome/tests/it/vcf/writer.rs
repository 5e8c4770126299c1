//! What is written passes the check and is read back.

use std::fs::File;

use histone_genome::vcf::{Limits, PhasedCalls, Reader, Site, VcfError, Version, Writer, bgzf, check};
use proptest::prelude::*;

use crate::data::folder;

const META: [&str; 2] =
    ["##contig=<ID=22>", "##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">"];

const SITE: Site<'_> = Site {
    chromosome: "22",
    position: 7,
    ids: "rs1",
    reference: "A",
    alternative: "G",
    quality: Some(30.5),
    filter: "PASS",
    info: ".",
};

#[test]
fn the_text_of_a_small_file() {
    let mut writer = Writer::new(vec![], Version::V43, &META, &["a", "b", "c", "d"]).unwrap();
    writer.write(&SITE, &[0b11_10_01_00]).unwrap();
    let calls = PhasedCalls {
        codes: vec![0b01_11_01_01],
        phased: vec![0b0011],
        first: vec![0b0010],
        haploid: vec![0b1000],
    };
    writer.write_phased(&Site { quality: None, position: 8, ..SITE }, &calls).unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    assert_eq!(
        text,
        "##fileformat=VCFv4.3\n\
         ##contig=<ID=22>\n\
         ##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n\
         #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\td\n\
         22\t7\trs1\tA\tG\t30.5\tPASS\t.\tGT\t0/0\t0/1\t1/1\t./.\n\
         22\t8\trs1\tA\tG\t.\tPASS\t.\tGT\t0|1\t1|0\t./.\t1\n"
    );
    let report = check("a.vcf", text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(report.to_string(), "");
}

#[test]
fn refuses_what_would_break_lines_and_columns() {
    let mut writer = Writer::new(vec![], Version::V43, &META, &["a"]).unwrap();
    let mut refuse = |site: &Site<'_>, codes: &[u64], expected: &str| {
        assert_eq!(writer.write(site, codes).unwrap_err().to_string(), expected);
    };
    refuse(&Site { ids: "a\tb", ..SITE }, &[0], "the text for ID holds a tab, a line end or nothing at all");
    refuse(&Site { info: "", ..SITE }, &[0], "the text for INFO holds a tab, a line end or nothing at all");
    refuse(&SITE, &[0, 0], "the record has 64 samples and the header 1");
    for (meta, sample) in [("#x", "a"), ("##x=\n", "a"), ("##x=y", ""), ("##x=y", "a\tb")] {
        let error = Writer::new(vec![], Version::V43, &[meta], &[sample]).err().unwrap();
        assert!(matches!(error, VcfError::UnwritableText { .. }), "{error}");
    }
}

/// A real file, copied record by record through BGZF, has the same text.
#[test]
fn a_copy_has_the_same_text() {
    let Some(folder) = folder("genotypes") else { return };
    let path = folder.join("onekg_p3_chr21_start.vcf.gz");
    let open = || bgzf::Reader::new(File::open(&path).unwrap(), bgzf::Limits::default());
    let mut reader = Reader::new("a.vcf", open(), &Limits::default()).unwrap();
    let target = bgzf::Writer::new(vec![]);
    let header = reader.header();
    let mut writer = Writer::new(target, header.version(), header.meta(), header.samples()).unwrap();
    while let Some(record) = reader.read().unwrap() {
        writer.copy(&record).unwrap();
    }
    let file = writer.into_inner().finish().unwrap();
    let read = |reader: &mut dyn std::io::Read| {
        let mut text = vec![];
        reader.read_to_end(&mut text).unwrap();
        text
    };
    let copied = read(&mut bgzf::Reader::new(file.as_slice(), bgzf::Limits::default()));
    assert!(copied == read(&mut open()), "the copy differs");
}

proptest! {
    #[test]
    fn calls_are_read_back(
        cells in prop::collection::vec((0_u64..4, any::<bool>(), any::<bool>(), any::<bool>()), 1..200),
    ) {
        let mut calls = PhasedCalls::default();
        let samples = cells.len();
        calls.codes.resize(samples.div_ceil(32), 0);
        for plane in [&mut calls.phased, &mut calls.first, &mut calls.haploid] {
            plane.resize(samples.div_ceil(64), 0);
        }
        for (sample, (code, phased, first, haploid)) in cells.into_iter().enumerate() {
            // Bits that the text determines: no haploid call has two copies, and is unphased or missing with a first allele.
            let haploid = haploid && code != 2;
            let phased = phased || haploid;
            let first = match code { 0 | 3 => false, 1 => first || haploid, _ => true };
            calls.codes[sample / 32] |= code << (2 * (sample % 32));
            for (plane, bit) in [(&mut calls.phased, phased), (&mut calls.first, first), (&mut calls.haploid, haploid)] {
                plane[sample / 64] |= u64::from(bit) << (sample % 64);
            }
        }
        let names: Vec<String> = (0..samples).map(|sample| format!("s{sample}")).collect();
        let mut writer = Writer::new(vec![], Version::V42, &META, &names).unwrap();
        writer.write_phased(&SITE, &calls).unwrap();
        writer.write(&Site { position: 9, ..SITE }, &calls.codes).unwrap();
        let text = writer.into_inner();
        prop_assert!(check("a.vcf", text.as_slice(), &Limits::default()).unwrap().is_valid());
        let mut reader = Reader::new("a.vcf", text.as_slice(), &Limits::default()).unwrap();
        let mut read = PhasedCalls::default();
        reader.read().unwrap().unwrap().phased_calls(1, &mut read).unwrap();
        prop_assert_eq!(&read, &calls);
        let mut codes = vec![];
        reader.read().unwrap().unwrap().calls(1, &mut codes).unwrap();
        prop_assert_eq!(codes, calls.codes);
    }
}
