//! Scoring files of the PGS Catalog and what is refused.

use histone_genome::assembly::Assembly;
use histone_genome::scoring::{Effect, NotOneAllele, ScoringFile, Weight};
use histone_genome::text::TextLimits;
use proptest::prelude::*;

use crate::data::shared;

fn read(text: &str) -> ScoringFile {
    ScoringFile::read("s.txt", text.as_bytes(), &TextLimits::default()).unwrap()
}

fn from_data(name: &str) -> Option<ScoringFile> {
    Some(ScoringFile::read(name, shared(&format!("pgs/{name}"))?.as_slice(), &TextLimits::default()).unwrap())
}

/// Sum, least and largest of the weights; the reference sums are exact (Python's `math.fsum`).
fn weights(file: &ScoringFile) -> (f64, f64, f64) {
    let weights = file.variants().iter().map(|variant| match variant.weight {
        Weight::PerAllele(weight) => weight,
        Weight::PerDosage(_) => panic!("no weights by dosage here"),
    });
    weights.fold((0.0, 0.0, 0.0), |(sum, least, most), w| (sum + w, w.min(least), w.max(most)))
}

#[test]
fn a_score_of_height_on_one_chromosome() {
    let Some(file) = from_data("PGS001229_chr22_GRCh37.txt") else { return };
    assert_eq!(file.variants().len(), 835);
    let header = file.header();
    assert_eq!((header.pgs_id(), header.announced()), (Some("PGS001229"), Some(51_209)));
    assert_eq!((header.assembly(), header.harmonized_assembly()), (Some(Assembly::Grch37), None));
    assert_eq!(header.get("trait_reported"), Some("Standing height"));
    assert_eq!(header.entries().len(), 11);
    let (sum, least, most) = weights(&file);
    assert!((sum - 0.362_688_020_476_999_94).abs() < 1e-12, "{sum}");
    assert_eq!((least, most), (-0.230_474_7, 0.084_394_66));
    assert!(file.variants().iter().all(|variant| variant.problem().is_none()));
    assert_eq!(file.repeats(), []);
    let last = file.variants().last().unwrap();
    assert_eq!(last.name.as_deref(), Some("rs73174435"));
    assert_eq!((&*last.effect_allele, last.other_allele.as_deref()), ("T", Some("C")));
    let place = file.place(last, Assembly::Grch37).unwrap();
    assert_eq!((place.chromosome.number(), place.position.get()), (22, 51_174_939));
    assert_eq!(file.place(last, Assembly::Grch38), None);
}

#[test]
fn a_large_bare_table() {
    let Some(file) = from_data("PGS001229_structured_hmPOS_GRCh38.txt.gz") else { return };
    assert_eq!((file.variants().len(), file.header().entries().len()), (51_209, 0));
    let (sum, least, most) = weights(&file);
    assert!((sum - 1.371_177_270_636_359_9).abs() < 1e-9, "{sum}");
    assert_eq!((least, most), (-0.733_687_5, 0.771_070_5));
    let count = |problem| file.variants().iter().filter(|variant| variant.problem() == problem).count();
    let kinds =
        [None, Some(NotOneAllele::NoSequence), Some(NotOneAllele::NoPlace), Some(NotOneAllele::Haplotype)];
    assert_eq!(kinds.map(count), [51_181, 4, 24, 0]);
}

#[test]
fn a_harmonized_score_whose_authors_gave_no_positions() {
    let Some(file) = from_data("PGS000001_hmPOS_GRCh38.txt.gz") else { return };
    assert_eq!(file.variants().len(), 77);
    assert_eq!(
        (file.header().assembly(), file.header().harmonized_assembly()),
        (None, Some(Assembly::Grch38))
    );
    let (sum, least, most) = weights(&file);
    assert!((sum - 1.806_458_434_654_239_4).abs() < 1e-12, "{sum}");
    assert_eq!((least, most), (-0.155_134_496_949_990_74, 0.309_834_877_092_914_2));
    let first = &file.variants()[0];
    assert_eq!(first.weight, Weight::PerAllele(0.162_203_879_874_853_77));
    assert_eq!(first.place, None);
    assert_eq!(file.place(first, Assembly::Grch38).map(|place| place.position.get()), Some(69_516_650));
    assert!(file.variants().iter().all(|v| v.problem().is_none() && v.harmonized.is_some()));
}

const HEAD: &str = "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight";

fn check(text: &str, expected: &str) {
    let found = ScoringFile::read("s", text.as_bytes(), &TextLimits::default());
    assert_eq!(
        found.map_or_else(|e| e.to_string(), |f| format!("{} rows", f.variants().len())),
        expected,
        "{text}"
    );
}

#[test]
fn refusals_point_at_the_cell() {
    let row = |row: &str| format!("#pgs_id=PGS1\n{HEAD}\nrs1\t1\t5\tA\tG\t0.5\n{row}\n");
    check(&row(""), "1 rows");
    check(&row("rs2\t1\t6\tA\tG"), "s, line 4: has 5 cells, there are 6 columns");
    check(&row("\nrs2\t1\t6\tA\tG\t1"), "s, line 4: the line is blank and others follow; remove it");
    for weight in ["inf", "NaN", "1,5", "0x10", "1e999", "--1", "1.5 2", "1_000"] {
        check(
            &row(&format!("rs2\t1\t6\tA\tG\t{weight}")),
            "s, line 4, column 6 (`effect_weight`): the weight is not a finite number; write a decimal such as -1.5e-2",
        );
    }
    check(
        &row("rs2\t1\t6\tA\tG\t"),
        "s, line 4, column 6 (`effect_weight`): the row has no weight; give one for the allele, or one for each of 0, 1 and 2 copies",
    );
    for position in ["0", "-6", "6.0", "250000001", "99999999999", "x"] {
        check(
            &row(&format!("rs2\t1\t{position}\tA\tG\t1")),
            "s, line 4, column 3 (`chr_position`): this is no position; write a whole number between 1 and 250000000",
        );
    }
    check(&row("rs2\t1\t6\t\tG\t1"), "s, line 4, column 4 (`effect_allele`): the allele is missing");
    check(
        &row("rs2\t1\t6\ta\tA\t1"),
        "s, line 4, column 5 (`other_allele`): the effect allele and the other allele are the same",
    );
    // A row without a name and a place is no error: scores that were moved to another assembly have such rows.
    check(&row("\t\t\tA\tG\t1"), "2 rows");
    check("", "s: has no variant");
    check("#pgs_id=PGS1\n", "s: has no variant");
    check(&format!("{HEAD}\n"), "s: has no variant");
    check("#pgs_id\n", "s, line 1: a line of the header is `#key=value`");
    check("#pgs_id=a\n# PGS ID = b\n", "s, line 2: the header gives this key twice; remove one of the lines");
    check(
        "rsID\teffect_weight\n",
        "s, line 1: the table has no column `effect_allele`; is this a scoring file of the PGS Catalog?",
    );
    check(
        "rsID\teffect_allele\tdosage_0_weight\tdosage_1_weight\n",
        "s, line 1: the table has no column `effect_weight`; is this a scoring file of the PGS Catalog?",
    );
    check(
        "chr_name\teffect_allele\teffect_weight\n",
        "s, line 1: the table has no column `rsID`, or `chr_name` and `chr_position`; is this a scoring file of the PGS Catalog?",
    );
    check(&format!("{HEAD}\trsID\n"), "s, line 1: columns 1 and 7 have one name; rename one");
    let flag = |column: &str, value: &str| format!("{HEAD}\t{column}\nrs1\t1\t5\tA\tG\t0.5\t{value}\n");
    check(
        &flag("is_haplotype", "maybe"),
        "s, line 2, column 7 (`is_haplotype`): this is neither True nor False",
    );
    check(
        &flag("effect_type", "odd"),
        "s, line 2, column 7 (`effect_type`): this kind of effect is not known; known are additive, dominant, recessive and nonadditive",
    );
    let limits = TextLimits { rows: 1, columns: 6, ..TextLimits::default() };
    let message = |text: &str| ScoringFile::read("s", text.as_bytes(), &limits).unwrap_err().to_string();
    assert_eq!(
        message(&row("rs2\t1\t6\tA\tG\t1")),
        "s, line 4: has more than 1 rows, the limit of this program"
    );
    assert_eq!(message(&flag("more", "")), "s, line 1: has more than 6 columns, the limit of this program");
}

#[test]
fn kinds_of_effects() {
    let file = read(concat!(
        "# PGS ID = PGS2\n# Original Genome Build = hg19\n",
        "rsID\tchr_name\tchr_position\teffect_allele\treference_allele\teffect_weight\tis_dominant\tis_recessive\t",
        "is_haplotype\tis_interaction\tdosage_0_weight\tdosage_1_weight\tdosage_2_weight\thm_inferOtherAllele\n",
        "rs1\t1\t5\tac\tG\t2\tFalse\tFalse\t\t\t\t\t\t\n",
        "rs2\t1\t6\tA\tG\t2\tTrue\tFalse\t\t\t\t\t\t\n",
        "rs3\t1\t7\tA\tG\t2\tFalse\tTrue\t\t\t\t\t\t\n",
        "rs4\t1\t8\tA\t\t\t\t\t\t\t0\t1.5\t-1\tC/T\n",
        "hap\t\t\te4\t\t2\t\t\tTrue\t\t\t\t\t\n",
        "a_x_b\t\t\tA\t\t2\t\t\t\tTrue\t\t\t\t\n",
        "rs5\tchr1\t9\tP\tN\t2\t\t\t\t\t\t\t\t\n",
        "rs1\t1\t5\tAC\tG\t3\tFalse\tFalse\t\t\t\t\t\t\n",
    ));
    assert_eq!((file.header().pgs_id(), file.header().assembly()), (Some("PGS2"), Some(Assembly::Grch37)));
    let effects: Vec<(Effect, [f64; 3])> = file
        .variants()
        .iter()
        .take(4)
        .map(|v| (v.effect, [0, 1, 2].map(|copies| v.contribution(copies))))
        .collect();
    assert_eq!(
        effects,
        [
            (Effect::Additive, [0.0, 2.0, 4.0]),
            (Effect::Dominant, [0.0, 2.0, 2.0]),
            (Effect::Recessive, [0.0, 0.0, 2.0]),
            (Effect::NonAdditive, [0.0, 1.5, -1.0]),
        ]
    );
    let problems: Vec<Option<NotOneAllele>> =
        file.variants().iter().map(|variant| variant.problem()).collect();
    let (haplotype, interaction) = (Some(NotOneAllele::Haplotype), Some(NotOneAllele::Interaction));
    let no_sequence = Some(NotOneAllele::NoSequence);
    assert_eq!(problems, [None, None, None, None, haplotype, interaction, no_sequence, None]);
    assert_eq!(&*file.variants()[0].effect_allele, "AC");
    assert_eq!(file.variants()[3].inferred_other_alleles, ["C".into(), "T".into()]);
    assert_eq!(file.repeats(), [(4, 11)]);
}

proptest! {
    /// Any text gives a file or an error, never a panic.
    #[test]
    fn never_panics(text in "(#[a-z_= #\n]{0,20})?(rsID\teffect_allele\teffect_weight\n)?([rs1ACGT.e\t\n\r \u{e4}-]{0,12}\n){0,5}") {
        if let Ok(file) = ScoringFile::read("p", text.as_bytes(), &TextLimits::default()) {
            let _ = file.repeats();
        }
    }

    /// A weight is the number nearest to its decimal, whatever its size.
    #[test]
    fn weights_are_read_exactly(weight in any::<f64>().prop_filter("finite", |w| w.is_finite())) {
        for text in [format!("{weight}"), format!("{weight:e}")] {
            let file = read(&format!("rsID\teffect_allele\teffect_weight\nrs1\tA\t{text}\n"));
            prop_assert_eq!(file.variants()[0].weight, Weight::PerAllele(weight));
        }
    }
}
