//! PLINK 2 filesets: small ones that PLINK 2 wrote, held against the VCF texts that they were made of.

use std::fmt::Write;
use std::sync::LazyLock;

use histone_genome::cohort::{Cohort, CohortError};
use histone_genome::plink2::{self, Limits, Variants};
use histone_genome::vcf;
use proptest::prelude::*;

use crate::data;

/// People of the fabricated fileset.
const PEOPLE: usize = 130;

/// Numbers that look random and are the same everywhere.
struct Numbers(u64);

impl Numbers {
    /// One below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The calls of a fabricated VCF: variants that PLINK 2 stores in each of its ways, with up to 20 ALT alleles.
pub fn fabricated() -> String {
    let mut numbers = Numbers(7);
    let mut text = String::from(
        "##fileformat=VCFv4.3\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"x\">\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT",
    );
    for person in 0..PEOPLE {
        write!(text, "\tp{person}").unwrap();
    }
    let mut common = [[0; 2]; PEOPLE];
    for variant in 0..72 {
        let alternatives = match variant % 12 {
            8 => 2,
            9 => 3,
            10 => 5,
            11 => 20,
            _ => 1,
        };
        let bases = (1..=alternatives).map(|n| "C".repeat(n)).collect::<Vec<_>>().join(",");
        write!(text, "\n1\t{}\tv{variant}\tA\t{bases}\t.\t.\t.\tGT", 100 + variant).unwrap();
        for call in &mut common {
            let rare = numbers.below(30) == 0;
            let [first, second] = match variant % 12 {
                0 => {
                    *call = [numbers.below(2), numbers.below(2)];
                    *call
                }
                // Nearly the same, and nearly its opposite.
                1 | 2 if rare => [0, 1],
                1 => *call,
                2 => call.map(|allele| 1 - allele),
                // Nearly all alike.
                3 if rare => [0, 1],
                3 => [0, 0],
                4 if rare => [0, 0],
                4 => [1, 1],
                5 if rare => [1, 1],
                5 => [9, 9],
                // Two codes for nearly all.
                6 if rare => [9, 9],
                6 => [0, numbers.below(2)],
                7 => [[0, 0], [0, 1], [1, 1], [9, 9]][numbers.below(4) as usize],
                _ if rare => [9, 9],
                // The first allele is the most frequent one.
                _ if numbers.below(3) > 0 => [0, numbers.below(2)],
                _ => [0, 0].map(|_| numbers.below(alternatives as u64 + 1)),
            };
            let is_phased = variant / 12 % 3 == 1 || variant / 12 % 3 == 2 && numbers.below(2) == 0;
            let separator = if is_phased { '|' } else { '/' };
            match first {
                9 => write!(text, "\t.{separator}.").unwrap(),
                _ => write!(text, "\t{first}{separator}{second}").unwrap(),
            }
        }
    }
    text + "\n"
}

pub const PGEN: &[u8] = include_bytes!("../data/plink2.pgen");

pub fn pvar(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("##"))
        .map(|line| line.split('\t').take(5).collect::<Vec<_>>().join("\t") + "\n")
        .collect()
}

pub fn psam() -> String {
    "#IID\tSEX\n".to_owned() + &(0..PEOPLE).map(|person| format!("p{person}\tNA\n")).collect::<String>()
}

pub fn open<'a>(pgen: &'a [u8], psam: &str, pvar: &str) -> Result<Cohort<&'a [u8]>, CohortError> {
    let limits = Limits::default();
    let people = plink2::read_people("a.psam", psam.as_bytes(), &limits)?;
    let variants = Variants::read("a.pvar", pvar.as_bytes(), &limits)?;
    Cohort::plink2("a.pgen", pgen, people, variants, &limits)
}

/// Everything that two cohorts say, line numbers aside.
fn same(left: &mut Cohort<&[u8]>, right: &mut Cohort<&[u8]>) -> usize {
    assert_eq!(left.samples(), right.samples());
    let mut variants = 0;
    loop {
        let (left, right) = (left.read().unwrap(), right.read().unwrap());
        let (Some((left, left_sites)), Some((right, right_sites))) = (left, right) else {
            assert!(left.is_none() && right.is_none(), "one has more variants than the other");
            return variants;
        };
        assert_eq!(left_sites.len(), right_sites.len());
        for (index, (ours, theirs)) in left_sites.iter().zip(right_sites).enumerate() {
            let theirs = histone_genome::variant::Site { line: ours.line, ..theirs.clone() };
            assert_eq!(*ours, theirs);
            assert!(left.row(index) == right.row(index), "{ours:?}");
        }
        variants += left_sites.len();
    }
}

#[test]
fn says_what_the_text_says() {
    let text = fabricated();
    if let Some(path) = std::env::var_os("HISTONE_WRITE_FABRICATED") {
        // Then: plink2 --vcf PATH --make-pgen --out tests/data/plink2
        std::fs::write(path, &text).unwrap();
    }
    // Types of records, without phase: of the eight ways all but the one that PLINK 2 does not write.
    let types: std::collections::BTreeSet<u8> = PGEN[20..20 + 72].iter().copied().collect();
    let main: Vec<u8> = types.iter().map(|kind| kind & 7).collect();
    assert!([0, 1, 2, 3, 4, 6, 7].iter().all(|way| main.contains(way)), "{types:x?}");
    assert!([8, 16, 24].iter().all(|bits| types.iter().any(|kind| kind & 24 == *bits)), "{types:x?}");

    let mut expected = Cohort::vcf("a.vcf", text.as_bytes(), &vcf::Limits::default()).unwrap();
    let mut found = open(PGEN, &psam(), &pvar(&text)).unwrap();
    assert_eq!(same(&mut found, &mut expected), 6 * (8 + 2 + 3 + 5 + 20));
}

#[test]
fn small_files_of_other_modes() {
    let pvar = "1 a 0 1 C A\n1 b 0 2 C A\n";
    let psam = "#IID\na\nb\nc\nd\ne\n";
    let shown = |pgen: &[u8]| {
        let mut cohort = match open(pgen, psam, pvar) {
            Ok(cohort) => cohort,
            Err(error) => return error.to_string(),
        };
        match cohort.read() {
            Ok(Some((block, _))) => format!("{:010b} {:010b}", block.words()[0], block.words()[1]),
            Ok(None) => "nothing".into(),
            Err(error) => error.to_string(),
        }
    };
    let check = |pgen: &[u8], expected: &str| assert_eq!(shown(pgen), expected);
    check(&[0x6c, 0x1b, 1, 0b11_10_01_00, 0b11, 0, 0], "0000011110 1010101010");
    let head = |mode: u8| vec![0x6c, 0x1b, mode, 2, 0, 0, 0, 5, 0, 0, 0, 0x40];
    let with = |mode, rest: &[u8]| [head(mode), rest.to_vec()].concat();
    check(&with(2, &[0b11_10_01_00, 0b11, 0, 1]), "1111100100 0100000000");
    let dosages = |values: [u16; 5]| values.map(u16::to_le_bytes).concat();
    let record = [vec![0b11_10_01_00, 0b11], dosages([0, 0x4000, 0x8000, 0xffff, 0xffff])].concat();
    check(&with(3, &[record.clone(), record.clone()].concat()), "1111100100 1111100100");
    let record = [record, dosages([0, 0x4000, 0, 0x8000, 0x8000])].concat();
    check(&with(4, &[record.clone(), record].concat()), "1111100100 1111100100");

    let end = |rest: &[u8]| shown(&with(2, rest));
    assert_eq!(
        end(&[0; 3]),
        "a.pgen, record 2, byte 15: the file ends here, inside of its records; it is cut off"
    );
    assert_eq!(
        end(&[0; 5]),
        "a.pgen, record 2, byte 16: the file goes on behind its last record; it is damaged or belongs to another PVAR"
    );
    assert_eq!(
        end(&[0, 4, 0, 0]),
        "a.pgen, record 1, byte 14: bits behind the last value of the main track are set"
    );
}

#[test]
fn headers_that_lie_are_refused() {
    let text = fabricated();
    let (psam, pvar) = (psam(), pvar(&text));
    let change = |at: usize, to: &[u8]| {
        let mut pgen = PGEN.to_vec();
        pgen[at..at + to.len()].copy_from_slice(to);
        let read = || -> Result<(), CohortError> {
            let mut cohort = open(&pgen, &psam, &pvar)?;
            while cohort.read()?.is_some() {}
            Ok(())
        };
        read().unwrap_err().to_string()
    };
    assert_eq!(
        change(1, &[0]),
        "a.pgen, byte 0: the file does not begin with the bytes 6c 1b of a PGEN; is it one?"
    );
    assert_eq!(
        change(2, &[0x20]),
        "a.pgen, byte 2: the storage mode is 0x20; rewrite the file with `plink2 --make-pgen`, which writes mode 0x10"
    );
    assert_eq!(
        change(7, &10_000_000_u32.to_le_bytes()),
        "a.pgen, byte 7: the file has 10000000 people and the file beside it 130; they do not belong together"
    );
    assert_eq!(
        change(3, &[73]),
        "a.pgen, byte 3: the file has 73 variants and the file beside it 72; they do not belong together"
    );
    assert_eq!(
        change(11, &[0x4c]),
        "a.pgen, byte 11: the types of the records are stored in form 12; rewrite the file with `plink2 --make-pgen`"
    );
    assert_eq!(
        change(12, &[1]),
        "a.pgen, record 1, byte 236: the header states that records begin at byte 1, which is before the end of what comes before"
    );
    assert_eq!(
        change(12, &[0xff; 8]),
        "a.pgen, record 1, byte 3162: the file ends here, inside of its records; it is cut off"
    );
    assert_eq!(
        change(20, &[2]),
        "a.pgen, record 1, byte 236: the first record of a block is stored as differences from an earlier one"
    );
    for length in [0, 2, 3, 11, 19, 20, 235] {
        let error = open(&PGEN[..length], &psam, &pvar).unwrap_err().to_string();
        assert!(error.starts_with("a.pgen, byte "), "{error}");
    }
    for length in (236..PGEN.len()).step_by(11) {
        let mut cohort = open(&PGEN[..length], &psam, &pvar).unwrap();
        let end = loop {
            match cohort.read() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        assert!(end.is_some_and(|error| error.ends_with("it is cut off")), "cut at {length}");
    }
}

#[test]
fn a_bed_is_a_pgen() {
    let Some(root) = data::root() else { return };
    let hapmap = data::Hapmap::read(&root);
    let file = |ending| data::bytes(&root.join(format!("genotypes/hapmap279.{ending}")));
    let limits = Limits::default();
    let people = plink2::read_people("a.fam", file("fam").as_slice(), &limits).unwrap();
    let variants = Variants::read("a.bim", file("bim").as_slice(), &limits).unwrap();
    let bed = file("bed");
    let mut cohort = Cohort::plink2("a.bed", bed.as_slice(), people, variants, &limits).unwrap();
    let mut blocks = hapmap.genotypes.blocks().iter();
    let mut sites = (0..).map_while(|index| hapmap.variants.written(index));
    while let Some((block, found)) = cohort.read().unwrap() {
        assert!(Some(block) == blocks.next());
        found.iter().for_each(|site| assert_eq!(Some(site), sites.next().map(Result::unwrap).as_ref()));
    }
    assert!(blocks.next().is_none());
    assert_eq!(cohort.people().map(|people| people.trios().count()), Some(59));
}

proptest! {
    /// Any damage gives blocks or an error, never a panic.
    #[test]
    fn damage_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        static SIDES: LazyLock<[String; 2]> = LazyLock::new(|| [psam(), pvar(&fabricated())]);
        let [psam, pvar] = &*SIDES;
        let mut pgen = PGEN.to_vec();
        for (at, byte) in changes {
            let at = at.index(pgen.len());
            pgen[at] = byte;
        }
        if let Ok(mut cohort) = open(&pgen, psam, pvar) {
            while let Ok(Some(_)) = cohort.read() {}
        }
    }
}
