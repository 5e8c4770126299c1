//! A small BCF file, written by htslib from the text beside it, says what the text says.

use histone_genome::vcf::{Limits, PhasedCalls, Reader, VcfError, bcf, bgzf};
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
