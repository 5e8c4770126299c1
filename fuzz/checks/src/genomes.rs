//! Files of genomes: every reader of them, and what is asked of what they accept.
//!
//! A fileset is one input: its texts, each closed by a zero byte, and then the file of calls.

use std::io::{BufRead, Read, Write};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use histone_genome::bgen::{self, ReferenceAllele};
use histone_genome::cohort::Cohort;
use histone_genome::crypt4gh::{self, DataMethod, EditList, KeyFile, OtherPackets, PublicKey, SecretKey};
use histone_genome::genotypes::{self, Block, Genotypes};
use histone_genome::personal::{PanelSite, PersonalFile};
use histone_genome::phenotypes::{CaseCoding, Missing, PhenotypeFile, Sample};
use histone_genome::plink::{self, BedReader, BedWriter};
use histone_genome::plink2;
use histone_genome::scoring::ScoringFile;
use histone_genome::text::TextLimits;
use histone_genome::vcf::index::{Index, Kind};
use histone_genome::vcf::view::{Filter, View};
use histone_genome::vcf::{self, PhasedCalls, bgzf};

const ASSEMBLY: histone_genome::assembly::Assembly = histone_genome::assembly::Assembly::Grch38;

/// Reads to the end; whether there was no error.
fn drain<R: BufRead>(mut cohort: Cohort<R>) -> bool {
    let samples = cohort.samples().len();
    assert_eq!(cohort.sexes().len(), samples);
    let mut last_was_full = true;
    loop {
        let Ok(read) = cohort.read() else { return false };
        let Some((block, sites)) = read else { return true };
        assert!(last_was_full && block.variants() == sites.len() && !sites.is_empty());
        last_was_full = block.is_full();
        let mut again = Block::new(samples);
        for (index, row) in block.rows().enumerate() {
            // Bits behind the last person are refused here.
            assert!(again.push_row(row).is_ok(), "bits behind the last person");
            if let Some(dosages) = block.dosages(index) {
                assert!(again.set_dosages(index, dosages).is_ok(), "more than two copies");
            }
            assert!(
                samples == 0 || block.dosage(index, samples - 1).is_none_or(|d| (0.0..=2.0).contains(&d))
            );
        }
        assert!(again == *block, "a block is not its rows");
        sites.iter().for_each(|site| drop(site.variant(ASSEMBLY)));
    }
}

/// Text before a zero byte, as many times, and what is left.
fn parts<const N: usize>(bytes: &[u8]) -> Option<([&[u8]; N], &[u8])> {
    let mut texts = [&[][..]; N];
    let mut rest = bytes;
    for text in &mut texts {
        let end = rest.iter().position(|byte| *byte == 0)?;
        (*text, rest) = (&rest[..end], &rest[end + 1..]);
    }
    Some((texts, rest))
}

fn joined<const N: usize>(texts: [&str; N], rest: &[u8]) -> Vec<u8> {
    let mut all: Vec<u8> = texts.iter().flat_map(|text| [text.as_bytes(), &[0]].concat()).collect();
    all.extend(rest);
    all
}

/// The check, the reader and the blocks of a VCF text.
pub fn vcf(bytes: &[u8]) -> bool {
    let limits = vcf::Limits::default();
    let is_valid = vcf::check("f", bytes, &limits).is_ok_and(|report| report.is_valid());
    let Ok(mut reader) = vcf::Reader::new("f", bytes, &limits) else {
        assert!(!is_valid, "a valid header is not read");
        return false;
    };
    let (mut codes, mut calls, mut dosages) = (vec![], PhasedCalls::default(), vec![]);
    loop {
        let record = match reader.read() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(error) => {
                assert!(!is_valid, "a valid record is not read: {error}");
                return false;
            }
        };
        let _ = (record.quality(), record.info_value("AF"), record.format());
        for allele in 0..=record.alternatives().take(8).count() {
            let packed = record.calls(allele, &mut codes).is_ok();
            assert_eq!(packed, record.phased_calls(allele, &mut calls).is_ok());
            assert!(!packed || codes == calls.codes, "calls have two readings");
            let _ = (record.homozygous_calls(allele, &mut codes), record.dosages(allele, &mut dosages));
        }
    }
    view(bytes);
    Cohort::vcf("f", bytes, &limits).is_ok_and(|cohort| drain(cohort.with_dosages()))
}

/// All records, those of a frequency, and those of the last sample alone: a line of these can be read again.
fn view(bytes: &[u8]) {
    let limits = vcf::Limits::default();
    let open = || vcf::Reader::new("f", bytes, &limits).expect("it was read before");
    let last = open().header().samples().last().cloned();
    let frequency = Filter { frequency: Some(0.0..=0.9), ..Filter::default() };
    for (filter, chosen) in [(Filter::default(), None), (frequency, None), (Filter::default(), last)] {
        let chosen: Vec<String> = chosen.into_iter().collect();
        let view = View::new(open(), filter);
        // A name that stands twice is of the last of its columns.
        let Ok(mut view) = (if chosen.is_empty() { Ok(view) } else { view.with_samples(&chosen) }) else {
            return;
        };
        let mut text = view.header().into_bytes();
        let mut count = 0;
        while let Ok(Some(line)) = view.read() {
            text.extend([line, b"\n"].concat());
            count += 1;
        }
        let mut again = vcf::Reader::new("f", &text[..], &limits).expect("a header that was read");
        while let Ok(Some(_)) = again.read() {
            count -= 1;
        }
        assert_eq!(count, 0, "a record is not one when it is written");
    }
}

/// What BGZF holds of an index: it is written as it was read, and leads to places in order.
pub fn index(bytes: &[u8]) -> bool {
    let Ok(index) = Index::read("f", bytes) else { return false };
    let mut again = vec![];
    index.write(&mut again).expect("memory can be written");
    assert!(Index::read("f", &again[..]).is_ok_and(|again| again == index), "an index has two readings");
    for name in index.names().iter().take(4) {
        for (from, to) in [(1, u64::MAX), (0, 0), (1 << 20, 1 << 21)] {
            assert!(index.chunks(name, from, to).is_sorted_by(|a, b| a.end < b.start));
        }
    }
    true
}

/// A BCF without its BGZF.
pub fn bcf(bytes: &[u8]) -> bool {
    let limits = vcf::Limits::default();
    let Ok(mut reader) = vcf::bcf::Reader::new("f", bytes, &limits) else { return false };
    let (mut codes, mut calls, mut dosages) = (vec![], PhasedCalls::default(), vec![]);
    while let Ok(Some(record)) = reader.read() {
        for allele in 0..=record.alternatives().len().min(8) {
            let packed = record.calls(allele, &mut codes).is_ok();
            assert_eq!(packed, record.phased_calls(allele, &mut calls).is_ok());
            assert!(!packed || codes == calls.codes, "calls have two readings");
            let _ = record.dosages(allele, &mut dosages);
        }
    }
    if let Ok(mut text) = vcf::bcf::Text::new("f", bytes, &limits) {
        let _ = text.read_to_end(&mut vec![]);
    }
    Cohort::bcf("f", bytes, &limits).is_ok_and(|cohort| drain(cohort.with_dosages()))
}

/// Compressed text.
pub fn bgzf(bytes: &[u8]) -> bool {
    const MOST: u64 = 1 << 22;
    let limits = bgzf::Limits { text: MOST, end_marker: bgzf::EndMarker::Required };
    let mut reader = bgzf::Reader::new(bytes, limits);
    let mut text = vec![];
    let is_whole = reader.read_to_end(&mut text).is_ok();
    assert!(text.len() as u64 <= MOST + (1 << 16), "more text than allowed");
    is_whole && matches!(reader.kind(), Some(bgzf::Kind::Bgzf | bgzf::Kind::Gzip))
}

/// FAM, BIM and BED: what is read is written as it was.
pub fn fileset(bytes: &[u8]) -> bool {
    let Some(([fam, bim], bed)) = parts(bytes) else { return false };
    let limits = plink::Limits::default();
    let Ok(people) = plink::People::read("f.fam", fam, &limits) else { return false };
    let Ok(variants) = plink::Variants::read("f.bim", bim, &limits) else { return false };
    let (mut fam_again, mut bim_again) = (vec![], vec![]);
    assert!(people.write(&mut fam_again).is_ok() && fam_again == fam);
    assert!(variants.write(&mut bim_again).is_ok() && bim_again == bim);
    let _ = (people.trios().count(), people.founders().count());
    (0..variants.len()).for_each(|index| drop((variants.variant(index, ASSEMBLY), variants.written(index))));
    let Ok(mut reader) = BedReader::new("f.bed", bed, people.len(), variants.len()) else { return false };
    let Ok(calls) = Genotypes::collect(&mut reader, &genotypes::Limits::default()) else { return false };
    let mut writer = BedWriter::new(vec![]).expect("memory can be written");
    calls.blocks().iter().for_each(|block| writer.write(block).expect("memory can be written"));
    assert!(writer.finish() == bed, "calls have two files");
    Cohort::plink("f.bed", bed, people, variants).is_ok_and(drain)
}

/// PSAM, PVAR and PGEN.
pub fn pgen(bytes: &[u8]) -> bool {
    let Some(([psam, pvar], pgen)) = parts(bytes) else { return false };
    let limits = plink2::Limits::default();
    let Ok(people) = plink2::read_people("f.psam", psam, &limits) else { return false };
    let Ok(variants) = plink2::Variants::read("f.pvar", pvar, &limits) else { return false };
    Cohort::plink2("f.pgen", pgen, people, variants, &limits).is_ok_and(|cohort| drain(cohort.with_dosages()))
}

/// A `.sample` file, which may be empty, and a BGEN.
pub fn bgen(bytes: &[u8]) -> bool {
    let Some(([sample], bgen)) = parts(bytes) else { return false };
    let limits = bgen::Limits::default();
    let people = match sample {
        [] => None,
        _ => match bgen::read_people("f.sample", sample, &limits) {
            Ok(people) => Some(people),
            Err(_) => return false,
        },
    };
    let cohort = Cohort::bgen("f.bgen", bgen, people, ReferenceAllele::Last, &limits);
    cohort.is_ok_and(|cohort| drain(cohort.with_dosages()))
}

/// A file of a genotyping company.
pub fn personal(bytes: &[u8]) -> bool {
    let Ok(file) = PersonalFile::read("f", bytes, &TextLimits::default()) else { return false };
    assert_eq!(file.calls().len(), file.len());
    let _ = (file.company(), file.assembly(), file.stated_assemblies(), file.assemblies_found());
    let site = PanelSite { reference: "A", alternative: "G" };
    let found = file.against(|_| Some(site));
    let left_out = found.contradicted + found.unknown_site + found.other_allele + found.other_strand;
    assert_eq!(found.calls.len() + left_out, file.len(), "a row is counted twice or never");
    true
}

/// The weights of a score.
pub fn scoring(bytes: &[u8]) -> bool {
    let Ok(file) = ScoringFile::read("f", bytes, &TextLimits::default()) else { return false };
    for variant in file.variants() {
        let _ = (file.place(variant, ASSEMBLY), variant.problem());
        assert!([0, 1, 2].iter().all(|copies| variant.contribution(*copies).is_finite()), "a weight is none");
    }
    let _ = (file.repeats(), file.header().announced(), file.header().assembly());
    true
}

/// A table of traits, joined to a few people.
pub fn phenotypes(bytes: &[u8]) -> bool {
    let Ok(file) = PhenotypeFile::read("f", bytes, &TextLimits::default()) else { return false };
    let samples = ["a", "b", "c"].map(Sample::named);
    for column in file.columns() {
        let Ok((traits, join)) = file.join(&samples, &[column], &Missing::default()) else { continue };
        assert_eq!(join.matched + join.without_row.len(), samples.len());
        assert_eq!(traits.column(column).map(<[f64]>::len), Some(samples.len()));
        let _ = traits.cases(column, CaseCoding::OneTwo);
    }
    true
}

fn secret() -> SecretKey {
    SecretKey::from_bytes([5; 32])
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([9; 32])
}

/// An encrypted file, or a file with a key. A header that is read is written as it was.
pub fn crypt4gh(bytes: &[u8]) -> bool {
    let limits = crypt4gh::Limits::default();
    let mut body = bytes;
    if let Ok(header) = crypt4gh::Header::read(&mut body, &limits) {
        assert!(header.byte_len() as usize == bytes.len() - body.len());
        assert!(bytes.starts_with(&header.to_bytes()), "a header has two encodings");
        let _ = header.rekey(&[&secret()], &[secret().public()], OtherPackets::Keep, &mut rng());
    }
    let mut is_read = false;
    if let Ok(mut reader) = crypt4gh::Reader::new(bytes, &[&secret()], &limits) {
        is_read = loop {
            match reader.next_chunk() {
                Ok(Some(chunk)) => assert!(!chunk.is_empty()),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
    }
    if let Ok(mut reader) = crypt4gh::RandomReader::new(std::io::Cursor::new(bytes), &[&secret()], &limits) {
        let mut some = [0; 100];
        [0, 65_530, u64::MAX].iter().for_each(|at| drop(reader.read_at(*at, &mut some)));
        (0..reader.segments().min(3)).for_each(|segment| drop(reader.segment(segment).map(<[u8]>::len)));
    }
    let key = KeyFile::parse(bytes);
    // A passphrase is stretched for seconds.
    let is_key = key.is_ok_and(|key| !key.needs_passphrase() && key.open(None).is_ok());
    is_read || is_key || PublicKey::from_key_file(bytes).is_ok()
}

/// The canonical bytes of genotypes.
pub fn genotypes(bytes: &[u8]) -> bool {
    let limits = genotypes::Limits { samples: 1 << 16, variants: 1 << 12 };
    let Ok(genotypes) = Genotypes::decode(bytes, &limits) else { return false };
    assert!(genotypes.encode() == bytes, "genotypes have two encodings");
    true
}

const VCF: &str = include_str!("../../../crates/genome/tests/data/small.vcf");
const BCF: &[u8] = include_bytes!("../../../crates/genome/tests/data/small.bcf");
const PGEN: &[u8] = include_bytes!("../../../crates/genome/tests/data/plink2.pgen");
const BGEN: &[u8] = include_bytes!("../../../crates/genome/tests/data/plink2.bgen");

fn named<const N: usize>(seeds: [(&str, Vec<u8>); N]) -> Vec<(String, Vec<u8>)> {
    seeds.map(|(name, bytes)| (name.into(), bytes)).into()
}

/// Small texts of several versions. The last record of the first has no GT.
pub fn vcfs() -> Vec<(String, Vec<u8>)> {
    let records: Vec<&str> = VCF.lines().filter(|line| !line.starts_with("X\t9")).collect();
    let imputed = "##fileformat=VCFv4.2\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"x\">\n\
        ##FORMAT=<ID=GP,Number=G,Type=Float,Description=\"x\">\n##contig=<ID=22>\n\
        #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n\
        22\t5\trs1\tA\tG\t.\tPASS\t.\tGT:GP\t0|1:0.1,0.8,0.1\t0|0:1,0,0\n";
    named([
        ("every-kind", records.join("\n").into_bytes()),
        ("imputed", imputed.into()),
        ("no-samples", "##fileformat=VCFv4.1\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n".into()),
    ])
}

/// What BGZF holds of the BCF that the tests of the reader have.
pub fn bcfs() -> Vec<(String, Vec<u8>)> {
    let mut bytes = vec![];
    let read = bgzf::Reader::new(BCF, bgzf::Limits::default()).read_to_end(&mut bytes);
    read.expect("the file is whole");
    named([("every-kind", bytes)])
}

/// Both kinds of index of a file of two chromosomes.
pub fn indexes() -> Vec<(String, Vec<u8>)> {
    let text = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
        1\t5\t.\tA\tC\t.\t.\t.\n1\t90\t.\tA\t<DEL>\t.\t.\tEND=40000\nX\t7\t.\tA\tC\t.\t.\t.\n";
    let mut file = bgzf::Writer::new(vec![]);
    let file = file.write_all(text.as_bytes()).and_then(|()| file.finish()).expect("memory can be written");
    named([("tbi", Kind::Tbi), ("csi", Kind::Csi)].map(|(name, kind)| {
        let source = bgzf::Reader::new(&file[..], bgzf::Limits::default());
        let index = Index::of("f", source, kind, &vcf::Limits::default()).expect("the file is sorted");
        let mut bytes = vec![];
        index.write(&mut bytes).expect("memory can be written");
        (name, bytes)
    }))
}

/// BGZF and plain gzip.
pub fn compressed() -> Vec<(String, Vec<u8>)> {
    let mut writer = bgzf::Writer::new(vec![]);
    let made = writer.write_all(VCF.as_bytes()).and_then(|()| writer.finish());
    let gzip =
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x4c, 0x4a, 0x06, 0, 0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0];
    named([("bgzf", made.expect("memory can be written")), ("gzip", gzip.into())])
}

/// A trio at three variants.
pub fn filesets() -> Vec<(String, Vec<u8>)> {
    let fam = "f a 0 0 1 -9\nf b 0 0 2 -9\nf c a b 0 1\n";
    let bim = "1\trs1\t0\t5\tG\tA\n23 . 0.5 6 0 C\nMT x 0 7 <D> ACG\n";
    named([("trio", joined([fam, bim], &[0x6c, 0x1b, 1, 0b10_01_00, 0b11_11_10, 0]))])
}

/// What PLINK 2 wrote for the tests of the reader, and a file of records of one width with dosages.
pub fn pgens() -> Vec<(String, Vec<u8>)> {
    let psam: String = (0..130).map(|person| format!("p{person}\n")).collect();
    let pvar = (0..72).map(|variant| {
        let alternatives = match variant % 12 {
            8 => 2,
            9 => 3,
            10 => 5,
            11 => 20,
            _ => 1,
        };
        format!("1\t{}\t.\tA\t{}\n", 100 + variant, vec!["C"; alternatives].join(","))
    });
    let pvar = format!("#CHROM\tPOS\tID\tREF\tALT\n{}", pvar.collect::<String>());
    let fixed = [
        0x6c, 0x1b, 4, 1, 0, 0, 0, 3, 0, 0, 0, 0x40, 0b11_01_00, 0, 0, 1, 0x40, 0xff, 0xff, 0, 0, 1, 0, 0,
        0x80,
    ];
    named([
        ("every-kind", joined([&format!("#IID\n{psam}"), &pvar], PGEN)),
        ("dosages", joined(["#FID IID SEX\n0 a 1\n0 b F\n0 c NA\n", "1 rs1 0 5 C A\n"], &fixed)),
    ])
}

/// What PLINK 2 wrote for the tests of the reader, and one variant that is not compressed.
pub fn bgens() -> Vec<(String, Vec<u8>)> {
    let sample = "ID_1 ID_2 missing sex\n0 0 0 D\nf a 0 1\nf b 0 2\n";
    let mut plain = [20_u32, 20, 1, 2].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    plain.extend(b"bgen\x08\0\0\0\x01\0v\x02\0rs\x01\0X\x07\0\0\0\x03\0\x01\0\0\0A\x01\0\0\0C\x02\0\0\0GT");
    let data = [2, 0, 0, 0, 3, 0, 1, 2, 2, 1, 0, 4, 0x21, 0x43, 0x01, 0x02];
    plain.extend((data.len() as u32).to_le_bytes());
    plain.extend(data);
    named([("zstandard", joined([""], BGEN)), ("plain", joined([sample], &plain))])
}

/// Layouts of two companies.
pub fn personals() -> Vec<(String, Vec<u8>)> {
    let one = "# This data file generated by 23andMe at: x\n# build 37\n# rsid\tchromosome\tposition\tgenotype\n\
        rs1\t1\t742429\tAG\nrs2\tX\t5\tA\ni3\tMT\t7\t--\nrs4\t2\t9\tDI\n";
    let other =
        "RSID,CHROMOSOME,POSITION,RESULT\n\"rs1\",\"1\",\"742429\",\"AG\"\n\"rs2\",\"22\",\"5\",\"--\"\n";
    named([("tabs", one.into()), ("quotes", other.into())])
}

/// A harmonized score and one by names.
pub fn scores() -> Vec<(String, Vec<u8>)> {
    let harmonized = "###PGS CATALOG SCORING FILE\n#format_version=2.0\n#pgs_id=PGS000001\n#variants_number=2\n\
        #genome_build=GRCh37\n#HmPOS_build=GRCh38\n\
        rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\thm_chr\thm_pos\n\
        rs1\t1\t5\tA\tG\t0.5\t1\t7\nrs2\tX\t6\tC\tT\t-1e-3\t\t\n";
    let named_only = "rsID\teffect_allele\teffect_weight\nrs1\tA\t0.5\n";
    named([("harmonized", harmonized.into()), ("names", named_only.into())])
}

/// Both layouts.
pub fn trait_tables() -> Vec<(String, Vec<u8>)> {
    let families = "#FID IID height case\n0 a 1.5 1\n0 b NA 2\n0 x -9 0\n";
    named([("families", families.into()), ("names", "IID\tage\na\t5\nc\t1e2\n".into())])
}

/// Files of both methods, one with an edit list, and a pair of keys.
pub fn sealed() -> Vec<(String, Vec<u8>)> {
    let to = [secret().public()];
    let sealed = |method| {
        let mut writer = crypt4gh::Writer::new(vec![], &to, method, &mut rng()).expect("there is one reader");
        writer.write_all(b"##fileformat=VCFv4.5\n").expect("memory can be written");
        writer.finish().expect("memory can be written")
    };
    let plain = sealed(DataMethod::Unordered);
    let mut body = plain.as_slice();
    let header = crypt4gh::Header::read(&mut body, &crypt4gh::Limits::default()).expect("it was just made");
    let contents = header.open(&[&secret()]).expect("it was sealed to this key");
    let edited = contents.with_edit_list(Some(EditList::new(vec![2, 5, 1])));
    let edited = edited.seal(&to, &mut rng()).expect("there is one reader").to_bytes();
    named([
        ("edited", [edited.as_slice(), body].concat()),
        ("secret-key", secret().to_key_file(None, &mut rng()).as_bytes().to_vec()),
        ("public-key", secret().public().to_key_file().into_bytes()),
        ("sequenced", sealed(DataMethod::Sequenced)),
        ("unordered", plain),
    ])
}

/// Five people at 65 variants, one with dosages, and nobody at none.
pub fn encoded() -> Vec<(String, Vec<u8>)> {
    let mut genotypes = Genotypes::new(5);
    for variant in 0..65_u64 {
        genotypes.push_row(&[(variant * 0x155) & 0x3ff]).expect("it is a row of five");
    }
    let mut block = Block::new(2);
    block.push_row(&[0b11_01]).expect("it is a row of two");
    block.set_dosages(0, &[5, genotypes::DOSAGE_MISSING]).expect("they are two");
    let mut writer = genotypes::BlockWriter::new(vec![], 2).expect("memory can be written");
    writer.write(&block).expect("memory can be written");
    named([
        ("calls", genotypes.encode()),
        ("dosages", writer.finish().expect("memory can be written")),
        ("nothing", Genotypes::new(0).encode()),
    ])
}
