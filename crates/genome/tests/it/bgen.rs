//! BGEN: files of other programs, files of every width made here, and what is refused.

use histone_genome::bgen::{self, BgenError, Limits, ReferenceAllele};
use histone_genome::cohort::{Cohort, CohortError};
use histone_genome::genotypes::{DOSAGE_MISSING, DOSAGE_ONE};
use miniz_oxide::deflate::compress_to_vec_zlib;
use proptest::prelude::*;

use crate::{data, plink2};

/// The variants with one ALT allele of `data/plink2.pgen`: `plink2 --pfile plink2 --max-alleles 2 --export bgen-1.3 bits=16`
/// writes Zstandard, phased variants as haplotypes, and the reference allele last.
const BGEN: &[u8] = include_bytes!("../data/plink2.bgen");

fn open(bytes: &[u8], reference: ReferenceAllele) -> Result<Cohort<&[u8]>, CohortError> {
    Cohort::bgen("a.bgen", bytes, None, reference, &Limits::default())
}

#[test]
fn says_what_the_pgen_says() {
    let text = plink2::fabricated();
    let mut pgen = plink2::open(plink2::PGEN, &plink2::psam(), &plink2::pvar(&text)).unwrap();
    let mut expected = vec![];
    while let Some((block, sites)) = pgen.read().unwrap() {
        for (index, site) in sites.iter().enumerate() {
            expected.push((site.clone(), block.row(index).unwrap().to_vec()));
        }
    }
    // Those with several ALT alleles share their line.
    let lines: Vec<u64> = expected.iter().map(|(site, _)| site.line).collect();
    expected.retain(|(site, _)| lines.iter().filter(|line| **line == site.line).count() == 1);

    let mut bgen = open(BGEN, ReferenceAllele::Last).unwrap();
    assert_eq!(bgen.samples(), pgen.samples());
    let mut expected = expected.into_iter();
    while let Some((block, sites)) = bgen.read().unwrap() {
        for (index, found) in sites.iter().enumerate() {
            let (site, row) = expected.next().unwrap();
            assert_eq!(histone_genome::variant::Site { line: site.line, ..found.clone() }, site);
            assert!(block.row(index) == Some(&row), "{site:?}");
        }
    }
    assert!(expected.next().is_none());
}

#[test]
fn the_other_allele_as_reference() {
    let [mut last, mut first] =
        [ReferenceAllele::Last, ReferenceAllele::First].map(|r| open(BGEN, r).unwrap());
    let (one, one_sites) = last.read().unwrap().unwrap();
    let (two, two_sites) = first.read().unwrap().unwrap();
    assert_eq!(one_sites[0].reference, two_sites[0].alternative);
    for sample in 0..one.samples() {
        let copies = |block: &histone_genome::genotypes::Block| block.call(0, sample).unwrap().copies();
        assert_eq!(copies(one), copies(two).map(|copies| 2 - copies));
    }
}

#[test]
fn example_of_hail() {
    let Some(bytes) = data::shared("conformance/bgen/example.8bits.bgen") else { return };
    let mut cohort = open(&bytes, ReferenceAllele::First).unwrap().with_dosages();
    assert_eq!((cohort.samples().len(), cohort.samples()[499].as_str()), (500, "sample_500"));
    let (mut calls, mut sum, mut missing, mut variants) = ([0; 4], 0.0, 0, 0);
    while let Some((block, sites)) = cohort.read().unwrap() {
        if variants == 0 {
            let site = format!("{:?}", sites[0]);
            assert_eq!(
                site,
                r#"Site { line: 1, chromosome: "01", position: 2000, ids: "RSID_2", reference: "A", alternative: "G" }"#
            );
        }
        variants += sites.len();
        for variant in 0..block.variants() {
            for sample in 0..500 {
                calls[block.call(variant, sample).unwrap() as usize] += 1;
                match block.dosage(variant, sample) {
                    Some(dosage) => sum += dosage,
                    None => missing += 1,
                }
            }
        }
    }
    assert_eq!(variants, 199);
    // plink2 --bgen example.8bits.bgen ref-first --geno-counts.
    assert_eq!(calls, [31_287, 32_512, 31_372, 4_329]);
    // The Python package bgen 1.10.3. Each of 99,498 dosages is rounded by half of 2^-14 at most, to both sides.
    assert_eq!(missing, 2);
    assert!((sum - 99_580.985_654_594_38_f64).abs() < 0.05, "{sum}");
}

#[test]
fn example_of_regenie() {
    let Some(root) = data::root() else { return };
    let file = |ending: &str| data::bytes(&root.join(format!("conformance/bgen/regenie_example.{ending}")));
    let limits = histone_genome::plink::Limits::default();
    let people = histone_genome::plink::People::read("a.fam", file("fam").as_slice(), &limits).unwrap();
    let variants = histone_genome::plink::Variants::read("a.bim", file("bim").as_slice(), &limits).unwrap();
    let (bed, bgen) = (file("bed"), file("bgen"));
    let mut plink = Cohort::plink("a.bed", bed.as_slice(), people.clone(), variants).unwrap();
    let people = Some(people);
    let mut cohort =
        Cohort::bgen("a.bgen", bgen.as_slice(), people, ReferenceAllele::Last, &Limits::default()).unwrap();
    assert_eq!(cohort.samples(), plink.samples());
    let mut variants = 0;
    while let Some((block, sites)) = cohort.read().unwrap() {
        let (expected, expected_sites) = plink.read().unwrap().unwrap();
        assert!(block == expected);
        assert_eq!(sites.iter().map(|s| s.position).max(), expected_sites.iter().map(|s| s.position).max());
        variants += sites.len();
    }
    assert_eq!(variants, 1_000);
}

/// A file with one variant of two alleles, A and G.
fn file(compression: u8, people: u32, data: &[u8]) -> Vec<u8> {
    let names: Vec<u8> = (0..people)
        .flat_map(|n| {
            let name = format!("p{n}");
            [(name.len() as u16).to_le_bytes().to_vec(), name.into_bytes()].concat()
        })
        .collect();
    let block = match compression {
        0 => [(data.len() as u32).to_le_bytes().to_vec(), data.to_vec()].concat(),
        _ => {
            let small = match compression {
                1 => compress_to_vec_zlib(data, 6),
                // A frame of one piece with its size, and one block that is not compressed.
                _ => {
                    let size = data.len() as u32;
                    let block = (size << 3 | 1).to_le_bytes();
                    [&[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..], &size.to_le_bytes(), &block[..3], data].concat()
                }
            };
            let length = (small.len() as u32 + 4).to_le_bytes();
            [length.to_vec(), (data.len() as u32).to_le_bytes().to_vec(), small].concat()
        }
    };
    let number = |n: u32| n.to_le_bytes();
    let names_length = 8 + names.len() as u32;
    [
        &number(20 + names_length)[..],
        &number(20),
        &number(1),
        &number(people),
        b"bgen",
        &number(1 << 31 | 2 << 2 | u32::from(compression)),
        &number(names_length),
        &number(people),
        &names,
        b"\x01\0v\x02\0rs\x01\x007",
        &number(1_000),
        &[2, 0],
        &number(1),
        b"A",
        &number(1),
        b"G",
        &block,
    ]
    .concat()
}

/// Probabilities of a variant with two alleles; for each person, copies of the chromosome and numbers below 2^width.
fn probabilities(people: &[(u8, Vec<u64>)], is_phased: bool, width: u8) -> Vec<u8> {
    let ploidies = || people.iter().map(|(ploidy, _)| ploidy & 0x7f);
    let mut data = (people.len() as u32).to_le_bytes().to_vec();
    data.extend([2, 0, ploidies().min().unwrap_or(0), ploidies().max().unwrap_or(0)]);
    data.extend(people.iter().map(|(ploidy, _)| ploidy));
    data.extend([u8::from(is_phased), width]);
    let (mut byte, mut bits) = (0, 0);
    for value in people.iter().flat_map(|(_, values)| values) {
        for bit in 0..width {
            byte |= ((value >> bit & 1) as u8) << bits;
            bits += 1;
            if bits == 8 {
                data.push(byte);
                (byte, bits) = (0, 0);
            }
        }
    }
    if bits > 0 {
        data.push(byte);
    }
    data
}

proptest! {
    #[test]
    fn every_width_and_ploidy(
        width in 1_u8..=32,
        compression in 0_u8..3,
        is_phased: bool,
        people in prop::collection::vec((0_u8..4, any::<u64>(), any::<u64>()), 0..70),
    ) {
        let one = (1_u64 << width) - 1;
        let mut expected: Vec<Option<f64>> = vec![];
        let people: Vec<(u8, Vec<u64>)> = people.into_iter().map(|(kind, a, b)| {
            let (a, b) = (a & one, b & one);
            let share = |p: u64| p as f64 / one as f64;
            // The first numbers are for A; G is counted.
            match kind {
                0 => { expected.push(None); (0, vec![]) }
                1 => { expected.push(Some(2.0 - 2.0 * share(a))); (1, vec![a]) }
                2 if is_phased => { expected.push(Some(2.0 - share(a) - share(b))); (2, vec![a, b]) }
                2 => {
                    let b = b.min(one - a);
                    expected.push(Some(2.0 - 2.0 * share(a) - share(b)));
                    (2, vec![a, b])
                }
                _ => { expected.push(None); (0x82, vec![0, 0]) }
            }
        }).collect();
        let bytes = file(compression, people.len() as u32, &probabilities(&people, is_phased, width));
        let mut cohort = open(&bytes, ReferenceAllele::First).unwrap().with_dosages();
        let (block, sites) = cohort.read().unwrap().unwrap();
        prop_assert_eq!(sites.len(), 1);
        for (sample, expected) in expected.iter().enumerate() {
            let call = block.call(0, sample).unwrap().copies();
            match expected {
                None => prop_assert_eq!((block.dosage(0, sample), call), (None, None)),
                Some(expected) => {
                    let found = block.dosage(0, sample).unwrap_or(f64::NAN);
                    prop_assert!(call.is_some() || block.dosages(0).is_some());
                    prop_assert!((found - expected).abs() <= 0.500_01 / f64::from(DOSAGE_ONE), "{} {}", found, expected);
                    let near = (expected - expected.round()).abs();
                    if (near - 0.1).abs() > 1e-4 {
                        prop_assert_eq!(call, (near < 0.1).then_some(expected.round() as u8));
                    }
                }
            }
        }
        if let Some(dosages) = block.dosages(0) {
            prop_assert!(dosages.iter().all(|d| *d <= 2 * DOSAGE_ONE || *d == DOSAGE_MISSING));
        }
        prop_assert!(cohort.read().unwrap().is_none());
    }

    /// Any damage gives blocks or an error, never a panic.
    #[test]
    fn damage_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), compression in 0_u8..4) {
        let people = vec![(2, vec![3, 4]), (1, vec![7])];
        let mut bytes = match compression {
            3 => BGEN.to_vec(),
            _ => file(compression, 2, &probabilities(&people, false, 4)),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(mut cohort) = open(&bytes, ReferenceAllele::Last) {
            while let Ok(Some(_)) = cohort.read() {}
        }
    }
}

fn refused(bytes: &[u8]) -> String {
    let read = || -> Result<(), CohortError> {
        let mut cohort = open(bytes, ReferenceAllele::First)?;
        while cohort.read()?.is_some() {}
        Ok(())
    };
    read().map_or_else(|error| error.to_string(), |()| "nothing".into())
}

#[test]
fn lies_are_refused() {
    let data = probabilities(&[(2, vec![3, 4]), (1, vec![7])], false, 4);
    let good = file(1, 2, &data);
    assert_eq!(refused(&good), "nothing");
    let change = |at: usize, to: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        refused(&bytes)
    };
    let check =
        |at: usize, to: &[u8], expected: &str| assert_eq!(change(at, to), format!("a.bgen, {expected}"));
    check(16, b"BGEN", "byte 16: the file does not have the bytes `bgen` of a BGEN; is it one?");
    check(4, &[19], "byte 4: the sizes of the header do not fit each other");
    check(0, &[35], "byte 0: the sizes of the header do not fit each other");
    check(
        20,
        &[1 | 1 << 2],
        "byte 20: the file has layout 1; only layout 2 is read: convert it with `plink2 --bgen FILE ref-first --sample FILE --export bgen-1.2`",
    );
    check(
        20,
        &[3 | 2 << 2],
        "byte 20: the compression has the number 3, which the specification does not define",
    );
    check(
        12,
        &10_000_001_u32.to_le_bytes(),
        "byte 12: the file states 10000001 people and the limit of this program is 10000000",
    );
    check(
        12,
        &10_000_000_u32.to_le_bytes(),
        "byte 28: 2 people are stated here and 10000000 elsewhere; the files do not belong together",
    );
    check(
        12,
        &[[0xff; 1], [0; 1], [0; 1], [0; 1]].concat(),
        "byte 28: 2 people are stated here and 255 elsewhere; the files do not belong together",
    );
    check(24, &[15], "byte 24: the sizes of the header do not fit each other");
    check(
        34,
        &[7],
        "byte 32: a name or an allele is empty where it must not be, is not UTF-8, or holds control characters",
    );
    check(8, &[2], "variant 2, byte 96: the file ends here, inside of its names and alleles; it is cut off");
    check(
        8,
        &[0],
        "variant 0, byte 41: the file goes on behind its last variant; its header states too few of them",
    );
    check(54, &[1], "variant 1, byte 56: the variant has 1 alleles; it needs two at least");
    check(
        56,
        &[0, 0, 0x20],
        "variant 1, byte 60: the variant has more than 1048576 bytes in an allele, the limit of this program",
    );
    check(
        56,
        &[0xff],
        "variant 1, byte 96: the file ends here, inside of its names and alleles; it is cut off",
    );
    check(
        60,
        b"\t",
        "variant 1, byte 61: a name or an allele is empty where it must not be, is not UTF-8, or holds control characters",
    );
    check(
        66,
        &[3],
        "variant 1, byte 70: the probabilities are stated to have 3 bytes, which those of so many people and alleles cannot have",
    );
    check(
        66,
        &[0xff; 4],
        "variant 1, byte 74: the variant has more than 268435456 bytes of probabilities, the limit of this program",
    );
    check(
        70,
        &[11],
        "variant 1, byte 74: the probabilities are stated to have 11 bytes, which those of so many people and alleles cannot have",
    );
    check(
        70,
        &[0xff; 4],
        "variant 1, byte 74: the probabilities are stated to have 4294967295 bytes, which those of so many people and alleles cannot have",
    );
    check(70, &[13], "variant 1, byte 96: the probabilities cannot be decompressed to their stated size");
    check(80, &[13], "variant 1, byte 96: the probabilities cannot be decompressed to their stated size");
    for length in 0..good.len() {
        let error = refused(&good[..length]);
        assert!(error.ends_with("it is cut off"), "{length}: {error}");
    }
    assert!(refused(&[&good[..], &[0]].concat()).ends_with("its header states too few of them"));
}

#[test]
fn people_without_names() {
    let data = probabilities(&[(2, vec![3, 4])], false, 4);
    let named = file(0, 1, &data);
    // The same without the block of names.
    let mut bytes = named.clone();
    bytes.drain(24..24 + 8 + 4);
    bytes[0] = 20;
    bytes[23] = 0;
    assert_eq!(
        refused(&bytes),
        "a.bgen, byte 12: the file has no names of people; give the `.sample` file that belongs to it"
    );
    let with = |text: &str| {
        let people = bgen::read_people("a.sample", text.as_bytes(), &Limits::default()).unwrap();
        Cohort::bgen("a.bgen", bytes.as_slice(), Some(people), ReferenceAllele::First, &Limits::default())
    };
    let mut cohort = with("ID_1 ID_2 missing sex\n0 0 0 D\nf x 0 2\n").unwrap();
    assert_eq!(cohort.samples(), ["x"]);
    assert!(cohort.read().unwrap().is_some());
    let error = with("ID missing\n0 0\na 0\nb 0\n").unwrap_err();
    assert!(matches!(error, CohortError::Bgen(BgenError::Header { .. })), "{error}");
    assert!(error.to_string().contains("1 people are stated here and 2 elsewhere"), "{error}");
}
