//! Filesets of PLINK 1: round trips, and what is refused.

use histone_genome::assembly::Assembly;
use histone_genome::genotypes::{Call, Genotypes, Limits, Source};
use histone_genome::plink::{self, BedReader, BedWriter, People, PlinkError, Sex, Variants};
use histone_genome::variant::{Label, Variant};
use proptest::prelude::*;

use crate::data::{self, Hapmap};

fn people(text: &str) -> Result<People, PlinkError> {
    People::read("a.fam", text.as_bytes(), &plink::Limits { bytes: 200, line_bytes: 60, lines: 5 })
}

fn bim(text: &str) -> Variants {
    Variants::read("a.bim", text.as_bytes(), &plink::Limits::default()).unwrap()
}

fn bed(bytes: &[u8], samples: usize, variants: usize) -> Result<Genotypes, PlinkError> {
    Genotypes::collect(&mut BedReader::new("a.bed", bytes, samples, variants)?, &Limits::default())
}

fn written(genotypes: &Genotypes) -> Vec<u8> {
    let mut writer = BedWriter::new(Vec::new()).unwrap();
    genotypes.blocks().iter().for_each(|block| writer.write(block).unwrap());
    writer.finish()
}

#[test]
fn calls_of_the_format_page() {
    // The example of the page on the format: three variants of six people.
    let bytes = [0x6c, 0x1b, 0x01, 0xdc, 0x0f, 0xe7, 0x0f, 0x6b, 0x01];
    let genotypes = bed(&bytes, 6, 3).unwrap();
    let calls: Vec<Vec<Option<u8>>> = (0..3)
        .map(|v| (0..6).filter_map(|s| genotypes.blocks()[0].call(v, s)).map(Call::copies).collect())
        .collect();
    assert_eq!(calls[0], [Some(2), Some(0), None, Some(0), Some(0), Some(0)]);
    assert_eq!(calls[1], [Some(0), None, Some(1), Some(0), Some(0), Some(0)]);
    assert_eq!(calls[2], [Some(0), Some(1), Some(1), None, None, Some(2)]);
    assert_eq!(written(&genotypes), bytes);
}

proptest! {
    #[test]
    fn a_bed_is_determined_by_its_calls(samples in 0_usize..70, variants in 0_usize..70, seed: u64) {
        let mut bytes = vec![0x6c, 0x1b, 1];
        let mut state = seed;
        for _ in 0..variants {
            for byte in 0..samples.div_ceil(4) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let people = (samples - 4 * byte).min(4);
                bytes.push((state >> 56) as u8 & (u16::MAX >> (16 - 2 * people)) as u8);
            }
        }
        prop_assert_eq!(written(&bed(&bytes, samples, variants).unwrap()), bytes);
    }
}

#[test]
fn damaged_beds_are_refused() {
    let shown = |bytes: &[u8]| bed(bytes, 5, 2).map(|_| ()).map_err(|error| error.to_string());
    let check = |bytes: &[u8], part: &str| match shown(bytes) {
        Err(error) if error.contains(part) => {}
        other => panic!("{other:?} has no {part}"),
    };
    assert_eq!(shown(&[0x6c, 0x1b, 1, 0, 0, 0, 0]), Ok(()));
    check(&[0x6c], "ends at byte 1");
    check(&[0x6c, 0x1c, 1, 0, 0, 0, 0], "byte 1: the file does not begin");
    check(b"rs1 1 2", "byte 0: the file does not begin");
    check(&[0x6c, 0x1b, 0, 0, 0, 0, 0], "individual-major");
    check(&[0x6c, 0x1b, 7, 0, 0, 0, 0], "the mode is neither");
    check(&[0x6c, 0x1b, 1, 0, 0, 0], "ends at byte 6; 2 variants of 5 people need 7");
    check(&[0x6c, 0x1b, 1, 0, 0, 0, 0, 0], "goes on behind byte 7");
    check(&[0x6c, 0x1b, 1, 0, 4, 0, 0], "byte 4: bits behind");
    check(&[0x6c, 0x1b, 1, 0, 0, 0, 0x80], "byte 6: bits behind");
}

#[test]
fn lines_are_kept_and_checked() {
    for text in ["", "f a 0 0 1 -9", "f\ta\t0\t0\t1\t-9\r\nf  b 0\t0 2 1\r\n", "f a 0 0 1 1\nf b a c 2 2\n"] {
        let mut out = Vec::new();
        people(text).unwrap().write(&mut out).unwrap();
        assert_eq!(out, text.as_bytes());
    }
    let check = |text: &str, part: &str| {
        let error = people(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error} has no {part}");
        assert!(!error.contains("secret"), "{error}");
    };
    check("f secret 0 0 1\n", "a.fam, line 1: the line has 5 fields");
    check("f a 0 0 1 1\n\n", "line 2: the line has 0 fields");
    check("f a 0 0 1 1\nf b 0 0 1 1 1\n", "line 2: the line has 7 fields");
    check(
        "f secret 0 0 1 1\nf b 0 0 1 1\nf secret 0 0 2 1\n",
        "line 3: family and person are the same as on line 1",
    );
    check("f 0 0 0 1 1\n", "line 1: the id of the person");
    check("f a 0 0 1 1\r\nf b 0 0 1 1\n", "line 2: the line ends unlike");
    check("f a 0 0 1 1\nf b 0 0 1 1\r\n", "line 2: the line ends unlike");
    check(
        "f a 0 0 1 1111111111111111111111111111111111111111111111111111\n",
        "line 1: the line is longer than 60",
    );
    check(&"f a 0 0 1 1\n".repeat(6), "more than 5 lines");
    check(&" ".repeat(201), "more than 200 bytes");
    let error = People::read("a.fam", b"f a 0 0 1 1\nf \xff 0 0 1 1\n".as_slice(), &plink::Limits::default());
    assert!(error.unwrap_err().to_string().contains("line 2: the line is not UTF-8"));
}

#[test]
fn families() {
    let people = people("f a 0 0 1 -9\nf b 0 0 2 -9\nf c a b 1 -9\nf d a x 2 -9\ng e a b 0 -9\n").unwrap();
    let trios: Vec<_> = people.trios().map(|t| (t.child, t.father, t.mother)).collect();
    assert_eq!(trios, [(2, 0, 1)]);
    let founders = people.founders();
    assert_eq!((0..5).filter(|i| founders.contains(*i)).collect::<Vec<_>>(), [0, 1, 4]);
    assert_eq!([Sex::Male, Sex::Female, Sex::Unknown].map(|sex| people.of_sex(sex).count()), [2, 2, 1]);
    let made = People::of("b.fam", [("x", Sex::Female), ("y", Sex::Unknown)].into_iter()).unwrap();
    let mut out = Vec::new();
    made.write(&mut out).unwrap();
    assert_eq!(out, b"0\tx\t0\t0\t2\t-9\n0\ty\t0\t0\t0\t-9\n");
    assert!(People::of("b.fam", [("x y", Sex::Female)].into_iter()).is_err());
}

#[test]
fn sites_become_variants() {
    let variants = bim(
        "23 rs1 0 100 g A\n0 . 0 5 A G\n1 . 0 0 A G\n1 . 0 5 A I\n1 . 0 5 0 G\n1 . 0 5 a A\n1 . 0 5 G <D>\n",
    );
    let shown = |index| variants.variant(index, Assembly::Grch37).unwrap().map(|v| v.to_string());
    assert_eq!(shown(0).unwrap(), "GRCh37:X:100:A:G");
    assert_eq!(variants.site(0).unwrap().label().rs(), Some(1));
    for (index, part) in [
        (1, "a.bim, line 2: field 1: the variant has no chromosome"),
        (2, "line 3: field 4: the position"),
        (3, "line 4: field 6: the reference allele has another letter"),
        (4, "line 5: field 5: the alternative allele is missing"),
        (5, "line 6: field 5: the alternative allele is the reference"),
        (6, "line 7: field 6: the reference allele is symbolic"),
    ] {
        let error = shown(index).unwrap_err().to_string();
        assert!(error.contains(part), "{error} has no {part}");
    }
    assert!(variants.variant(7, Assembly::Grch37).is_none());
    let variant =
        Variant::new(Assembly::Grch38, "chrX".parse().unwrap(), 7.try_into().unwrap(), "AC", "<DEL>")
            .unwrap();
    let mut out = Vec::new();
    Variants::of("b.bim", [(&variant, &Label::new("."))].into_iter()).unwrap().write(&mut out).unwrap();
    assert_eq!(out, b"X\t.\t0\t7\t<DEL>\tAC\n");
}

#[test]
fn hapmap_is_written_as_it_was() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let file = |ending| data::bytes(&root.join(format!("genotypes/hapmap279.{ending}")));
    assert_eq!((hapmap.people.len(), hapmap.variants.len()), (279, 9_088));
    assert!(written(&hapmap.genotypes) == file("bed"));
    let (mut fam, mut bim) = (Vec::new(), Vec::new());
    hapmap.people.write(&mut fam).unwrap();
    hapmap.variants.write(&mut bim).unwrap();
    assert!(fam == file("fam") && bim == file("bim"));
    assert_eq!((hapmap.people.trios().count(), hapmap.people.founders().count()), (59, 219));
    assert!((0..9_088).all(|index| hapmap.variants.variant(index, Assembly::Grch37).unwrap().is_ok()));
    let decoded = Genotypes::decode(&hapmap.genotypes.encode(), &Limits::default()).unwrap();
    assert!(decoded == hapmap.genotypes);
    let mut source = hapmap.genotypes.source();
    let mut variants = 0;
    while let Some(block) = source.next_block().unwrap() {
        variants += block.variants();
    }
    assert_eq!(variants, 9_088);
}
