//! Files of genotyping companies: what each is taken for, and where the broken ones are refused.

use std::collections::BTreeMap;

use histone_genome::assembly::{Assembly, Chromosome};
use histone_genome::personal::{Call, Contradiction, Genotype, PanelSite, PersonalFile};
use histone_genome::text::TextLimits;
use proptest::prelude::*;

use crate::data::shared;

fn read(text: &str) -> PersonalFile {
    PersonalFile::read("f.txt", text.as_bytes(), &TextLimits::default()).unwrap()
}

/// Company, assembly, rows, and rows without a place or a call; or the error.
fn describe(bytes: &[u8]) -> String {
    match PersonalFile::read("f", bytes, &TextLimits::default()) {
        Err(error) => error.to_string(),
        Ok(file) => {
            let assembly = file.assembly().map_or("no assembly".to_owned(), |a| a.to_string());
            let unplaced = file.calls().filter(|c| c.chromosome.is_none() || c.position.is_none()).count();
            let missing = file.calls().filter(|c| c.genotype == Genotype::Missing).count();
            let repeats = file.repeats(9);
            let against = repeats.same_name + repeats.same_place;
            format!(
                "{}, {assembly}, {} rows, {unplaced} unplaced, {missing} missing, {against} against others",
                file.company(),
                file.len()
            )
        }
    }
}

fn check(text: &str, expected: &str) {
    assert_eq!(describe(text.as_bytes()), expected, "{text}");
}

#[test]
fn files_of_companies() {
    let no_header = |line: u32| {
        format!(
            "f, line {line}: no line names the columns; needed are a marker (`rsid`), `chromosome`, `position` and `genotype`, or two alleles"
        )
    };
    let eight =
        |company: &str| format!("{company}, no assembly, 8 rows, 0 unplaced, 1 missing, 0 against others");
    let known = |assembly: &str| {
        format!("unknown company, {assembly}, 4 rows, 0 unplaced, 1 missing, 0 against others")
    };
    let with_unplaced = "23andMe, no assembly, 10 rows, 2 unplaced, 1 missing, 0 against others";
    let table = [
        ("23andme.txt", with_unplaced.to_owned()),
        ("23andme_allele.txt", eight("23andMe")),
        ("23andme_win.txt", with_unplaced.to_owned()),
        ("23mofang.txt", eight("23Mofang")),
        ("DNALand.txt", eight("DNA.Land")),
        ("GRCh37.csv", known("GRCh37")),
        ("GRCh37_PAR.csv", known("no assembly").replace("1 missing", "0 missing")),
        ("GRCh38.csv", known("GRCh38")),
        ("NCBI36.csv", known("NCBI36")),
        ("ancestry.txt", eight("AncestryDNA")),
        (
            "ancestry_mt.txt",
            "AncestryDNA, no assembly, 3 rows, 0 unplaced, 1 missing, 0 against others".to_owned(),
        ),
        // Doubled tabs between five filled cells: nothing can be taken for something else.
        ("ancestry_multi_sep.txt", eight("AncestryDNA")),
        (
            "chromosomes.csv",
            "unknown company, no assembly, 6 rows, 0 unplaced, 0 missing, 0 against others".to_owned(),
        ),
        (
            "circledna.txt",
            "CircleDNA, no assembly, 9 rows, 0 unplaced, 0 missing, 0 against others".to_owned(),
        ),
        // Three of its markers are named by rs number, and the file has no column of positions.
        ("codigo46.txt", eight("Código 46").replace("0 unplaced", "3 unplaced")),
        // A table about genotypes, with two of them a row.
        ("discrepant_snps.csv", no_header(1)),
        (
            "duplicate_rsids.csv",
            "unknown company, no assembly, 3 rows, 0 unplaced, 0 missing, 2 against others".to_owned(),
        ),
        ("empty.txt", "f: has no row with a genotype".to_owned()),
        ("ftdna.csv", eight("FamilyTreeDNA")),
        ("ftdna_famfinder.csv", eight("FamilyTreeDNA")),
        ("generic.csv", eight("unknown company")),
        ("genesforgood.txt", eight("Genes for Good")),
        ("livingdna.csv", eight("Living DNA")),
        ("mapmygenome.txt", eight("Mapmygenome")),
        ("mapmygenome_alt_header.txt", eight("Mapmygenome")),
        ("mapmygenome_new_format.txt", eight("Mapmygenome").replace("no assembly", "GRCh37")),
        ("myheritage.csv", eight("MyHeritage")),
        ("myheritage_extra_quotes.csv", eight("MyHeritage")),
        ("plink.txt", eight("unknown company")),
        ("sano.txt", eight("Sano Genetics")),
        ("sano_dtc.txt", eight("Sano Genetics")),
        ("sano_dtc_no_comments.txt", eight("Sano Genetics")),
        ("selfdecode.txt", eight("SelfDecode")),
        ("tellmeGen.txt", eight("tellmeGen")),
        // VCF has a reader of its own.
        ("testvcf.vcf", no_header(7)),
        ("testvcf_chr_prefix.vcf", no_header(7)),
        ("testvcf_multi_sample.vcf", no_header(7)),
        ("testvcf_phased.vcf", no_header(7)),
        ("unannotated_testvcf.vcf", no_header(7)),
    ];
    for (name, expected) in table {
        let Some(bytes) = shared(&format!("conformance/dtc-genotype-formats/{name}")) else { return };
        assert_eq!(describe(&bytes), expected, "{name}");
        // Most layouts hold the same eight markers; rs6 to rs8 are the ones that differ in their two letters.
        if expected.contains("8 rows") && !name.contains("codigo46") {
            let file = PersonalFile::read(name, bytes.as_slice(), &TextLimits::default()).unwrap();
            let positions: Vec<u32> = file.calls().map(|call| call.position.unwrap().get()).collect();
            assert_eq!(positions, [101, 102, 103, 104, 105, 106, 107, 108], "{name}");
            assert!(file.calls().all(|call| call.chromosome == Chromosome::autosome(1)));
            let same = file.calls().map(|call| match call.genotype {
                Genotype::Two(a, b) if a == b => 1,
                Genotype::Two(..) => 2,
                _ => 0,
            });
            assert_eq!(same.collect::<Vec<_>>(), [1, 1, 1, 1, 0, 2, 2, 2], "{name}");
        }
    }
}

#[test]
fn a_person() {
    let Some(bytes) = shared("genotypes/personal_HG00110_23andme_style.txt") else { return };
    assert_eq!(describe(&bytes), "23andMe, GRCh37, 20399 rows, 0 unplaced, 0 missing, 0 against others");
    let file = PersonalFile::read("f", bytes.as_slice(), &TextLimits::default()).unwrap();
    let first = file.call(0).unwrap();
    assert_eq!((first.name, first.position.unwrap().get(), first.line), ("rs28541977", 828_740, 3));
    let on_x = file.calls().filter(|call| call.chromosome == Some(Chromosome::X)).count();
    assert_eq!(on_x, 821);
}

#[test]
fn refusals_point_at_the_cell() {
    let row = |row: &str| format!("# rsid\tchromosome\tposition\tgenotype\nrs1\t1\t1\tAA\n{row}\n");
    let at = |column: u32, problem: &str| format!("f, line 3, column {column}: {problem}");
    check(
        &row("rs2\t27\t1\tAA"),
        &at(2, "this is no chromosome; known are 1 to 26, X, Y, XY, PAR, M and MT, also behind `chr`"),
    );
    check(&row("rs2\t1\t-5\tAA"), &at(3, "this is no position; write a whole number"));
    check(&row("rs2\t1\t250000001\tAA"), &at(3, "the position lies beyond the end of every chromosome"));
    check(
        &row("rs2\t1\t99999999999999999999\tAA"),
        &at(3, "the position lies beyond the end of every chromosome"),
    );
    let genotype = "this is no genotype; known are one or two of the letters A, C, G, T, I and D, and `--`, `-`, `00` and `0` for a missing one";
    for text in ["AX", "AAA", "aa", ""] {
        check(&row(&format!("rs2\t1\t2\t{text}")), &at(4, genotype));
    }
    check(&row("\t1\t2\tAA"), &at(1, "the marker has no name, or one of more than 255 bytes"));
    check(&row("rs2\t1\t2"), "f, line 3: has 3 cells, the header has 4");
    check(&row("rs2\t1\t2\tAA\tAA"), "f, line 3: has 5 cells, the header has 4");
    check(&row("rs2,1,2,AA"), "f, line 3: has 1 cells, the header has 4");
    check(&row("\nrs2\t1\t2\tAA"), "f, line 3: the line is blank and others follow; remove it");
    check(
        &row("rs2\t1\t2\tAA\n\n\n"),
        "unknown company, no assembly, 2 rows, 0 unplaced, 0 missing, 0 against others",
    );
    check(
        &row("rs2\t1\t2\tAA\rrs3\t1\t3\tAA"),
        "f, line 3: a carriage return stands alone; end lines with LF or CR LF",
    );
    check("# rsid\tchromosome\tposition\tgenotype\n", "f: has no row with a genotype");
    check(
        "rsid,chromosome,position,genotype,chromosome\nrs1,1,1,AA,1\n",
        "f, line 1: columns 2 and 5 of the header have one name; rename one",
    );
    check(
        "rsid,chromosome,position,genotype\n\"rs1,1,1,AA\n",
        "f, line 2: a quote is not closed or stands inside a cell; put the whole cell in quotes, or none",
    );
    check(
        "[Header]\n[Data]\nSample Name\tSNP Name\tAllele1 - Plus\tAllele2 - Plus\na\trs1\tA\tA\nb\trs1\tA\tA\n",
        "f, line 5, column 1: the row is of another sample than those above it; give one file for each person",
    );
    check(
        "rsid,chromosome,position,allele1,allele2\nrs1,1,1,A,\n",
        "f, line 2, column 5: this is no genotype; known are one or two of the letters A, C, G, T, I and D, and `--`, `-`, `00` and `0` for a missing one",
    );
}

#[test]
fn line_ends_may_be_mixed() {
    check(
        "\u{feff}# 23andMe\r\n# rsid\tchromosome\tposition\tgenotype\nrs1\t1\t1\tAA\r\nrs2\t1\t2\tAA\nrs3\tY\t3\tA",
        "23andMe, no assembly, 3 rows, 0 unplaced, 0 missing, 0 against others",
    );
}

#[test]
fn limits_hold() {
    let text = "# rsid\tchromosome\tposition\tgenotype\nrs1\t1\t1\tAA\nrs2\t1\t2\tAA\n";
    let message =
        |limits: TextLimits| PersonalFile::read("f", text.as_bytes(), &limits).unwrap_err().to_string();
    let limits = TextLimits::default();
    assert_eq!(
        message(TextLimits { rows: 1, ..limits }),
        "f, line 3: has more than 1 rows, the limit of this program"
    );
    assert_eq!(
        message(TextLimits { columns: 3, ..limits }),
        "f, line 2: has more than 3 columns, the limit of this program"
    );
    assert_eq!(
        message(TextLimits { bytes: 40, ..limits }),
        "f, line 2: has more than 40 bytes, the limit of this program"
    );
    // An endless line is not taken into memory.
    let endless = PersonalFile::read("f", std::io::repeat(b'#'), &limits).unwrap_err();
    assert_eq!(
        endless.to_string(),
        "f, line 1: has more than 1048576 bytes in one line, the limit of this program"
    );
}

#[test]
fn assemblies_are_stated_or_found() {
    let file = |comment: &str, position: u32| {
        read(&format!("# {comment}\nrsid,chromosome,position,genotype\nrs3094315,1,{position},AA\n"))
    };
    assert_eq!(file("build 37", 5).assembly(), Some(Assembly::Grch37));
    assert_eq!(file("", 817_186).assembly(), Some(Assembly::Grch38));
    assert_eq!(file("build 37", 752_566).assembly(), Some(Assembly::Grch37));
    // Comments and positions disagree; comments name two.
    let disagree = file("build 37", 817_186);
    assert_eq!(disagree.assembly(), None);
    assert_eq!(
        (disagree.stated_assemblies(), disagree.assemblies_found()),
        (&[Assembly::Grch37][..], &[Assembly::Grch38][..])
    );
    assert_eq!(file("build 37, lifted from build 36", 752_566).assembly(), None);
}

#[test]
fn repeats_and_contradictions() {
    let file = read(concat!(
        "rsid,chromosome,position,genotype\n",
        "rs1,1,10,--\n", // 2: missing contradicts nothing
        "rs1,1,10,AG\n", // 3
        "rs1,1,10,GA\n", // 4: repeats line 3
        "rs2,1,20,AA\n", // 5
        "rs2,1,20,AG\n", // 6: another genotype than line 5
        "rs3,1,30,AA\n", // 7
        "i30,1,30,AA\n", // 8: the same place and genotype under another name
        "j30,1,30,CC\n", // 9: against line 7
        "rs4,1,40,AA\n", // 10
        "rs4,2,40,AA\n", // 11: another place than line 10
    ));
    let repeats = file.repeats(2);
    assert_eq!((repeats.repeated, repeats.same_name, repeats.same_place), (2, 2, 1));
    assert_eq!(repeats.first, [Contradiction { line: 5, other: 6 }, Contradiction { line: 7, other: 9 }]);
    let marked: Vec<u64> = file
        .calls()
        .zip(&repeats.contradicted)
        .filter(|(_, mark)| **mark)
        .map(|(call, _)| call.line)
        .collect();
    assert_eq!(marked, [5, 6, 7, 9, 10, 11]);
}

#[test]
fn alternative_alleles_of_a_panel() {
    let file = read(concat!(
        "rsid,chromosome,position,genotype\n",
        "hom_ref,1,1,AA\n",
        "het,1,2,GA\n",
        "hom_alt,1,3,GG\n",
        "missing,1,4,--\n",
        "one,X,5,G\n",
        "flipped,1,6,CC\n",
        "third,1,7,AC\n",
        "unknown,1,8,AA\n",
        "unplaced,0,9,AA\n",
        "insertion,1,10,II\n",
        "deletion,1,11,ID\n",
        "not_indel,1,12,DD\n",
        "symbolic,1,13,DD\n",
        "twice,1,14,AA\n",
        "twice,1,14,GG\n",
    ));
    let against = file.against(|call| {
        let (reference, alternative) = match call.position?.get() {
            8 => return None,
            9 => panic!("asked for a marker without a place"),
            10 => ("A", "ATT"),
            11 => ("ATT", "A"),
            13 => ("A", "<DEL>"),
            _ => ("A", "G"),
        };
        Some(PanelSite { reference, alternative })
    });
    let codes: Vec<(usize, u8, u8)> =
        against.calls.iter().map(|call| (call.row, call.copies, call.code())).collect();
    assert_eq!(codes, [(0, 2, 0), (1, 2, 1), (2, 2, 2), (3, 0, 3), (4, 1, 1), (9, 2, 2), (10, 2, 1)]);
    assert_eq!((against.other_strand, against.other_allele), (1, 3));
    assert_eq!((against.unknown_site, against.contradicted), (2, 2));
}

#[test]
fn nothing_of_a_person_prints() {
    let file = read("rsid,chromosome,position,genotype\nrs1,1,1,AG\n");
    let shown = format!("{file:?} {:?}", file.call(0));
    assert!(!shown.contains("AG") && !shown.contains("Two"), "{shown}");
}

proptest! {
    /// Any lines below a header give a file or an error, never a panic.
    #[test]
    fn never_panics(text in "(#|\\[Header\\]\n)?(rsid[,\t]chromosome[,\t]position[,\t]genotype\n)?([rs1AG0\"#,\t\n\r \u{e4}-]{0,12}\n){0,6}") {
        if let Ok(file) = PersonalFile::read("p", text.as_bytes(), &TextLimits::default()) {
            let repeats = file.repeats(3);
            prop_assert_eq!(repeats.contradicted.len(), file.len());
            let _ = file.against(|_| Some(PanelSite { reference: "A", alternative: "G" }));
        }
    }

    /// What is written is read back, in each way of writing it.
    #[test]
    fn rows_are_read_back(rows in prop::collection::vec((1_u32..250_000_000, 1_u8..=22, "[ACGT]{2}|--|[ACGT]"), 1..20)) {
        for (separator, quote, end) in [("\t", "", "\n"), (",", "", "\r\n"), (",", "\"", "\n")] {
            let mut text = format!("rsid{separator}chromosome{separator}position{separator}genotype{end}");
            for (row, (position, chromosome, genotype)) in rows.iter().enumerate() {
                let cells = [format!("rs{row}"), format!("chr{chromosome}"), position.to_string(), genotype.clone()];
                let cells = cells.map(|cell| format!("{quote}{cell}{quote}"));
                text += &(cells.join(separator) + end);
            }
            let file = read(&text);
            prop_assert_eq!(file.len(), rows.len());
            for (call, (position, chromosome, genotype)) in file.calls().zip(&rows) {
                prop_assert_eq!(call.position.map(|p| p.get()), Some(*position));
                prop_assert_eq!(call.chromosome, Chromosome::autosome(*chromosome));
                let letters = match call.genotype {
                    Genotype::Missing => 0,
                    Genotype::One(_) => 1,
                    Genotype::Two(..) => 2,
                };
                prop_assert_eq!(letters, if genotype == "--" { 0 } else { genotype.len() });
            }
        }
    }
}

/// The file of the person was made from one column of this VCF: every call must be found again.
#[test]
fn a_person_against_the_panel_that_she_comes_from() {
    let Some(vcf) = shared("genotypes/onekg_p3_100_autosomes_X.vcf.gz") else { return };
    let personal = shared("genotypes/personal_HG00110_23andme_style.txt").unwrap();
    let file = PersonalFile::read("f", personal.as_slice(), &TextLimits::default()).unwrap();
    let vcf = String::from_utf8(vcf).unwrap();
    let header = vcf.lines().find(|line| line.starts_with("#CHROM")).unwrap();
    let column = header.split('\t').position(|name| name == "HG00110").unwrap();
    let mut sites = BTreeMap::new();
    for line in vcf.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let genotype = cells[column].split(':').next().unwrap();
        sites.insert((cells[0], cells[1].parse::<u32>().unwrap(), cells[2]), (cells[3], cells[4], genotype));
    }
    let site_of = |call: &Call<'_>| {
        let chromosome = call.chromosome?.to_string();
        sites.get(&(chromosome.as_str(), call.position?.get(), call.name)).copied()
    };
    // A site of a panel has one alternative.
    let against = file.against(|call| {
        let (reference, alternative, _) =
            site_of(call).filter(|(_, alternative, _)| !alternative.contains(','))?;
        Some(PanelSite { reference, alternative })
    });
    assert_eq!((against.calls.len(), against.unknown_site, against.other_allele), (20_106, 293, 0));
    assert_eq!((against.other_strand, against.contradicted), (0, 0));
    let mut codes = [0; 4];
    for call in &against.calls {
        let (_, _, genotype) = site_of(&file.call(call.row).unwrap()).unwrap();
        let expected = genotype.bytes().filter(|allele| *allele == b'1').count();
        assert!(usize::from(call.code()) == expected, "row {}", call.row);
        codes[usize::from(call.code())] += 1;
    }
    assert_eq!(codes, [16_436, 2_105, 1_565, 0]);
}
