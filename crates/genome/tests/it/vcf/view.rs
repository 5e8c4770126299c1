//! Views and indexes: small files of bcftools, drawn files, and the 550 people.

use std::io::{Cursor, Write};

use histone_genome::vcf::index::{Index, IndexError, Kind, Parts};
use histone_genome::vcf::view::{Filter, View};
use histone_genome::vcf::{Limits, Reader, Regions, bcf, bgzf};
use proptest::prelude::*;

use crate::data;

/// Three records that bcftools 1.16 compressed, and what BGZF holds of the two indexes that it made of them.
const FILE: &str = "1f8b08040000000000ff060042430200b4005d8ebd0e82301446e7cb5318ba1213d4d19a3494c6260808e88e78214dca4fda6af4ed0d38e97886ef7c879056696c47d3d78e5e23f1dcadb71e214226555cd0bde43467651970b48d519353e3407da6f5aa55daa1b1aba9b616effec123a41907a7ba6513fef16666998a6ca138e541fae86f68681854ef09a91c1c76687e6f5eb3353a16d909f2ac04c9a18805b0a482f38525f04d84d9ea7d007ad4a714c60000001f8b08040000000000ff0600424302004f0033e434e52c32e474e474e6d4e3d4e3d4e332e4b434e02c32e274e4b47171f5b1038bbafab9d89a181818187019719a73169920290700859077c1400000001f8b08040000000000ff0600424302001b0003000000000000000000";
const TBI: &str = "544249010200000002000000010000000200000000000000230000000000000004000000310032000200000049020000010000000000b500000000002f00b500000000004a920000020000000000b500000000002f00b5000000000002000000000000000000000000000000030000000000b500000000001100b500000000001100b500000000000200000049120000010000002f00b5000000000000000501000000004a920000020000002f00b50000000000000005010000000001000000000000000000000000000000010000002f00b500000000000000000000000000";
const CSI: &str = "435349010e000000060000002000000002000000010000000200000000000000230000000000000004000000310032000200000002000000491200000000b50000000000010000000000b500000000002f00b500000000004a9204000000000000000000020000000000b500000000002f00b500000000000200000000000000000000000000000002000000499200002f00b50000000000010000002f00b5000000000000000501000000004a9204000000000000000000020000002f00b500000000000000050100000000010000000000000000000000000000000000000000000000";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn source(file: &[u8]) -> bgzf::Reader<Cursor<&[u8]>> {
    bgzf::Reader::new(Cursor::new(file), bgzf::Limits::default())
}

fn regions(texts: &[String]) -> Filter {
    let mut regions = Regions::default();
    texts.iter().for_each(|text| regions.add(text).unwrap());
    Filter { regions: Some(regions), ..Filter::default() }
}

/// Lines that pass, and how many were read for them.
fn lines(file: &[u8], filter: Filter, index: Option<&Index>) -> (Vec<String>, u64) {
    let reader = Reader::new("a.vcf.gz", Parts::new(source(file)), &Limits::default()).unwrap();
    let mut view = View::new(reader, filter);
    if let Some(index) = index {
        view = view.with_index(index);
    }
    let mut lines = vec![];
    while let Some(line) = view.read().unwrap() {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
    }
    (lines, view.records().0)
}

fn compressed(text: &str) -> Vec<u8> {
    let mut writer = bgzf::Writer::new(vec![]);
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

const HEAD: &str = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";

#[test]
fn indexes_of_bcftools_lead_to_the_records() {
    let file = unhex(FILE);
    for index in [TBI, CSI].map(|index| Index::read("i", &unhex(index)[..]).unwrap()) {
        assert_eq!(index.names(), ["1", "2"]);
        assert_eq!([index.records("1"), index.records("2"), index.records("3")], [Some(2), Some(1), None]);
        for (region, names) in
            [("1:6-39999", "r2"), ("1:40001-", ""), ("2", "r4"), ("1:5", "r1"), ("2:8", ""), ("3", "")]
        {
            let (found, _) = lines(&file, regions(&[region.into()]), Some(&index));
            let found: Vec<&str> = found.iter().filter_map(|line| line.split('\t').nth(2)).collect();
            assert_eq!(found.join(" "), names, "{region}");
        }
    }
    // An index of another file.
    let wrong = compressed(&HEAD.repeat(3));
    let index = Index::read("i", &unhex(TBI)[..]).unwrap();
    let reader = Reader::new("a.vcf.gz", Parts::new(source(&wrong)), &Limits::default()).unwrap();
    let mut view = View::new(reader, regions(&["1".into()])).with_index(&index);
    let error = view.read().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("byte 181"), "{cause}");
}

#[test]
fn what_cannot_be_indexed_is_refused() {
    let refuse =
        |file: &[u8], kind| Index::of("a.vcf.gz", source(file), kind, &Limits::default()).unwrap_err();
    let unsorted = |records: &str| compressed(&format!("{HEAD}{records}"));
    for (file, kind, message) in [
        (HEAD.as_bytes().to_vec(), Kind::Tbi, "a.vcf.gz: only files in BGZF have an index"),
        (
            unsorted("1\t5\t.\tA\tC\t.\t.\t.\n1\t4\t.\tA\tC\t.\t.\t.\n"),
            Kind::Tbi,
            "a.vcf.gz, line 4: the position is",
        ),
        (
            unsorted("1\t5\t.\tA\tC\t.\t.\t.\n2\t4\t.\tA\tC\t.\t.\t.\n1\t6\t.\tA\tC\t.\t.\t.\n"),
            Kind::Csi,
            "a.vcf.gz, line 5: records of the same chromosome stand apart",
        ),
        (unsorted("1\t536870913\t.\tA\tC\t.\t.\t.\n"), Kind::Tbi, "a.vcf.gz, line 3: the record ends beyond"),
        (unsorted("1\tx\t.\tA\tC\t.\t.\t.\n"), Kind::Tbi, "a.vcf.gz, line 3, column 3 (POS)"),
    ] {
        let error = refuse(&file, kind).to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let far = unsorted("1\t536870913\t.\tA\tC\t.\t.\t.\n1\t2147483647\t.\tA\tC\t.\t.\t.\n");
    let index = Index::of("a.vcf.gz", source(&far), Kind::Csi, &Limits::default()).unwrap();
    assert_eq!(lines(&far, regions(&["1:2147483647".into()]), Some(&index)).0.len(), 1);
    // A long stretch costs a long index: many of them are too much.
    let long: String = (0..200).map(|n| format!("{n}\t1\t.\tA\t<DEL>\t.\t.\tEND=2147483647\n")).collect();
    let error = refuse(&unsorted(&long), Kind::Csi);
    assert!(matches!(error, IndexError::Order { line: 131, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_changes_nothing(
        steps in prop::collection::vec((0_u64..40_000, 0_usize..12, 0_u64..200_000), 1..400),
        wanted in prop::collection::vec((0_usize..3, 1_u64..9_000_000, 0_u64..60_000), 1..6),
        filler in 0_usize..400,
    ) {
        let (mut text, mut position) = (HEAD.to_owned(), 1);
        for (index, (step, kind, length)) in steps.iter().enumerate() {
            // Three chromosomes; some records reach far.
            let chromosome = 3 * index / steps.len();
            position = if chromosome != 3 * index.saturating_sub(1) / steps.len() { 1 } else { position + step };
            let info = if *kind == 0 { format!("END={}", position + length) } else { "X".repeat(filler) + "." };
            text += &format!("c{chromosome}\t{position}\tr{index}\tA{}\tC\t.\t.\t{info}\n", "C".repeat(*kind));
        }
        let file = compressed(&text);
        let wanted: Vec<String> = wanted.iter().map(|(c, from, size)| format!("c{c}:{from}-{}", from + size)).collect();
        let (all, read) = lines(&file, regions(&wanted), None);
        prop_assert_eq!(read as usize, steps.len());
        for kind in [Kind::Tbi, Kind::Csi] {
            let index = Index::of("a.vcf.gz", source(&file), kind, &Limits::default()).unwrap();
            let mut bytes = vec![];
            index.write(&mut bytes).unwrap();
            prop_assert_eq!(&Index::read("i", &bytes[..]).unwrap(), &index);
            let (found, fewer) = lines(&file, regions(&wanted), Some(&index));
            prop_assert!(fewer <= read);
            prop_assert_eq!(&found, &all, "{:?} {:?}", kind, wanted);
        }
    }
}

#[test]
fn a_binary_file_is_the_text_that_it_was_made_of() {
    let (text, binary) = (include_str!("../../data/small.vcf"), include_bytes!("../../data/small.bcf"));
    let source = bgzf::Reader::new(&binary[..], bgzf::Limits::default());
    let mut found = String::new();
    let mut reader = bcf::Text::new("a.bcf", source, &Limits::default()).unwrap();
    std::io::Read::read_to_string(&mut reader, &mut found).unwrap();
    let records = |text: &str| {
        text.lines().filter(|line| !line.starts_with("##")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(records(&found), records(text));
    // A line is held against the limit while it is made.
    let source = bgzf::Reader::new(&binary[..], bgzf::Limits::default());
    let limits = Limits { line_bytes: 90, ..Limits::default() };
    let refused = match bcf::Text::new("a.bcf", source, &limits) {
        Ok(mut reader) => std::io::Read::read_to_string(&mut reader, &mut found).is_err(),
        Err(_) => true,
    };
    assert!(refused);
}

#[test]
fn the_550_people() {
    let Some(root) = data::root() else { return };
    let file = data::bytes(&root.join("genotypes/kg_phase1_chr22_550.vcf.gz"));
    // Numbers of bcftools 1.16: `view -I -q 0.0523`, `view -q 0.3 -f PASS -m2 -M2 -s` with three names, `view -r 22:30000000-31000000`.
    let frequency = |least: f64| Filter { frequency: Some(least..=1.0), ..Filter::default() };
    assert_eq!(lines(&file, frequency(0.0523), None).0.len(), 3_978);
    let index = Index::of("kg", source(&file), Kind::Tbi, &Limits::default()).unwrap();
    assert_eq!(index.records("22"), Some(19_773));
    let region = || regions(&["22:30000000-31000000".into()]);
    let (all, _) = lines(&file, region(), None);
    let (found, read) = lines(&file, region(), Some(&index));
    assert!(found == all && found.len() == 559 && read < 700, "{} {read}", found.len());
    let reader = Reader::new("kg", source(&file), &Limits::default()).unwrap();
    let names: Vec<String> = [19, 2, 76].map(|column| reader.header().samples()[column].clone()).into();
    let mut view = View::new(reader, Filter { pass: true, biallelic: true, ..frequency(0.3) })
        .with_samples(&names)
        .unwrap();
    let mut count = 0;
    while view.read().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 2217);
}
