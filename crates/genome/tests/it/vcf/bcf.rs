//! A small BCF file, written by htslib from the text beside it, says what the text says.

use histone_genome::cohort::Cohort;
use histone_genome::genotypes::Call;
use histone_genome::variant::Site;
use histone_genome::vcf::{self, Limits, PhasedCalls, Reader, VcfError, bcf, bgzf};
use proptest::prelude::*;

const TEXT: &str = include_str!("../../data/small.vcf");
const BINARY: &[u8] = include_bytes!("../../data/small.bcf");

fn inflated() -> Vec<u8> {
    let mut bytes = vec![];
    std::io::Read::read_to_end(&mut bgzf::Reader::new(BINARY, bgzf::Limits::default()), &mut bytes).unwrap();
    bytes
}

#[test]
fn says_what_the_text_says() {
    let mut text = Reader::new("a.vcf", TEXT.as_bytes(), &Limits::default()).unwrap();
    let source = bgzf::Reader::new(BINARY, bgzf::Limits::default());
    let mut binary = bcf::Reader::new("a.bcf", source, &Limits::default()).unwrap();
    assert_eq!(text.header().samples(), binary.header().samples());
    assert_eq!(text.header().contigs(), binary.header().contigs());
    let (mut count, mut calls_compared) = (0, 0);
    while let Some(expected) = text.read().unwrap() {
        let found = binary.read().unwrap().unwrap();
        count += 1;
        assert_eq!(found.number(), count);
        assert_eq!((found.chromosome(), found.position()), (expected.chromosome(), expected.position()));
        assert_eq!((found.ids(), found.reference()), (expected.ids(), expected.reference()));
        assert_eq!(found.alternatives(), expected.alternatives().collect::<Vec<_>>());
        assert_eq!(found.quality(), expected.quality());
        let filter = if found.filters().is_empty() { ".".to_owned() } else { found.filters().join(";") };
        assert_eq!(filter, expected.filter());
        for allele in 0..=found.alternatives().len() + 1 {
            let (mut ours, mut theirs) = (vec![], vec![]);
            assert_eq!(found.calls(allele, &mut ours).is_ok(), expected.calls(allele, &mut theirs).is_ok());
            assert_eq!(ours, theirs);
            calls_compared += ours.len();
            let (mut ours, mut theirs) = (PhasedCalls::default(), PhasedCalls::default());
            assert_eq!(
                found.phased_calls(allele, &mut ours).is_ok(),
                expected.phased_calls(allele, &mut theirs).is_ok()
            );
            assert_eq!(ours, theirs, "record {count}");
            let (mut ours, mut theirs) = (vec![], vec![]);
            assert_eq!(
                found.dosages(allele, &mut ours).is_ok(),
                expected.dosages(allele, &mut theirs).is_ok()
            );
            assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
        }
    }
    assert!(binary.read().unwrap().is_none());
    // One word of codes for each ALT allele of the records that have GT.
    assert_eq!((count, calls_compared), (7, 75));
}

#[test]
fn blocks_are_those_of_the_text() {
    let limits = Limits::default();
    let open = || {
        let source = std::io::BufReader::new(bgzf::Reader::new(BINARY, bgzf::Limits::default()));
        (Cohort::vcf("a.vcf", TEXT.as_bytes(), &limits), Cohort::bcf("a.bcf", source, &limits))
    };
    let (Ok(mut text), Ok(mut binary)) = open() else { panic!("they are not opened") };
    assert_eq!(text.samples(), binary.samples());
    assert_eq!(text.header().map(vcf::Header::contigs), binary.header().map(vcf::Header::contigs));
    assert!(text.read().unwrap().map(|read| read.0) == binary.read().unwrap().map(|read| read.0));
    // The last record has no GT.
    assert!(text.read().unwrap_err().to_string().ends_with("[format-gt-missing]"));
    assert!(binary.read().unwrap_err().to_string().ends_with("[format-gt-missing]"));

    let (Ok(text), Ok(binary)) = open() else { panic!("they are not opened") };
    let (mut text, mut binary) = (text.with_dosages(), binary.with_dosages());
    let (mut variants, mut dosages) = (0, vec![]);
    while let Some((expected, expected_sites)) = text.read().unwrap() {
        let (found, sites) = binary.read().unwrap().unwrap();
        assert!(found == expected);
        for (index, (site, expected_site)) in sites.iter().zip(expected_sites).enumerate() {
            // Lines of a text are counted from its header on.
            assert_eq!(*site, Site { line: site.line, ..expected_site.clone() });
            if found.dosages(index).is_some() {
                let person = |i| (found.dosage(index, i), found.call(index, i).and_then(Call::copies));
                dosages.push((site.position, [0, 1, 2, 3, 4].map(person)));
            }
        }
        variants += sites.len();
    }
    assert!(binary.read().unwrap().is_none());
    assert_eq!(binary.records_without_alternative(), text.records_without_alternative());
    // The fourth person of the first has neither; without GT, dosages in the middle are no call.
    let first = [(1.0, 1), (1.5, 2), (0.0, 0), (f64::NAN, 9), (0.25, 0)];
    let last = [(0.5, 9), (1.0, 1), (f64::NAN, 9), (2.0, 2), (0.0, 0)];
    let shown = |expected: [(f64, u8); 5]| {
        expected.map(|(dosage, call)| ((!dosage.is_nan()).then_some(dosage), (call < 9).then_some(call)))
    };
    assert_eq!((variants, dosages), (76, vec![(10, shown(first)), (9, shown(last))]));
}

fn read(bytes: &[u8]) -> Result<u64, VcfError> {
    let mut reader = bcf::Reader::new("a.bcf", bytes, &Limits::default())?;
    let mut count = 0;
    let (mut codes, mut calls, mut dosages) = (vec![], PhasedCalls::default(), vec![]);
    while let Some(record) = reader.read()? {
        for allele in 0..=record.alternatives().len() {
            let _ = record.calls(allele, &mut codes);
            let _ = record.phased_calls(allele, &mut calls);
            let _ = record.dosages(allele, &mut dosages);
        }
        count += 1;
    }
    Ok(count)
}

#[test]
fn refuses_what_is_cut_or_lies() {
    let bytes = inflated();
    assert_eq!(read(&bytes).unwrap(), 7);
    let refuse = |bytes: &[u8], expected: &str| assert_eq!(read(bytes).unwrap_err().to_string(), expected);
    refuse(
        BINARY,
        "a.bcf, record 0: the file does not begin as BCF 2.1 or 2.2 does; if it is compressed, it must be read as BGZF first",
    );
    let cut = "the data end before the sizes that are stated in them say; fetch the file again";
    refuse(&bytes[..100], &format!("a.bcf, record 0: {cut}"));
    refuse(&bytes[..bytes.len() - 1], &format!("a.bcf, record 7: {cut}"));
    let header = 9 + u32::from_le_bytes(bytes[5..9].try_into().unwrap()) as usize;
    refuse(&bytes[..header + 7], &format!("a.bcf, record 1: {cut}"));
    let change = |at: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[at] = value;
        changed
    };
    refuse(
        &change(header + 3, 0x7f),
        "a.bcf, record 1: a size of more than 67108864 bytes is stated, the limit of this program",
    );
    refuse(
        &change(header + 8, 9),
        "a.bcf, record 1: a number stands for no contig, filter or key of the header",
    );
    refuse(
        &change(header + 8 + 20, 6),
        "a.bcf, record 1: the record has another number of samples than the header",
    );
}

proptest! {
    /// Any damage gives records or an error, never a panic.
    #[test]
    fn damage_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), is_behind_header: bool) {
        let mut bytes = inflated();
        let start = if is_behind_header { 9 + u32::from_le_bytes(bytes[5..9].try_into().unwrap()) as usize } else { 0 };
        for (at, byte) in changes {
            let at = start + at.index(bytes.len() - start);
            bytes[at] = byte;
        }
        let _ = read(&bytes);
    }
}
