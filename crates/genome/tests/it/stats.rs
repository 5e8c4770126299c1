//! Statistics against the tables of PLINK on real genotypes.

use std::collections::BTreeMap;
use std::path::Path;

use histone_genome::genotypes::{Block, SampleSet, Source};
use histone_genome::plink::{Sex, Trio};
use histone_genome::stats::counts::{self, BySample, Counts};
use histone_genome::stats::hardy_weinberg::{self, Tail};
use histone_genome::stats::kinship::Planes;
use histone_genome::stats::mendel::{self, Inheritance};
use histone_genome::stats::sex::{self, XCheck};

use crate::data::{self, Hapmap, Reference, assert_printed};

/// The first variant of X; all before it are autosomal.
const FIRST_X: usize = 8_723;

fn row(hapmap: &Hapmap, variant: usize) -> &[u64] {
    hapmap.genotypes.row(variant).unwrap()
}

fn check_counts(root: &Path, hapmap: &Hapmap, table: &str, people: &SampleSet) {
    let reference = Reference::read(root, table);
    let (alternatives, observed) = (reference.column("ALT_CTS"), reference.column("OBS_CT"));
    let id = reference.column("ID");
    let men = hapmap.people.of_sex(Sex::Male);
    let chosen = |sex: bool| SampleSet::of(279, |i| people.contains(i) && men.contains(i) == sex);
    let (men, women) = (chosen(true), chosen(false));
    assert_eq!(reference.rows.len(), 9_088);
    for (variant, cells) in reference.rows.iter().enumerate() {
        assert_eq!(hapmap.variants.site(variant).unwrap().label, cells[id]);
        let counts = counts::of_row_in(row(hapmap, variant), people);
        let (mut found, mut places) = (counts.alternatives(), 2 * counts.known());
        if variant >= FIRST_X {
            let (women, men) = (
                counts::of_row_in(row(hapmap, variant), &women),
                counts::of_row_in(row(hapmap, variant), &men),
            );
            found = women.alternatives() + men.hom_alt;
            places = 2 * women.known() + men.hom_ref + men.hom_alt;
        }
        assert_eq!(
            [found.to_string(), places.to_string()],
            [cells[alternatives].as_str(), &cells[observed]],
            "{}",
            cells[id]
        );
    }
}

#[test]
fn allele_counts_and_missingness() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    check_counts(&root, &hapmap, "hapmap279.allele_counts_all", &SampleSet::all(279));
    check_counts(&root, &hapmap, "hapmap279.allele_counts_founders", &hapmap.people.founders());

    let mut people = BySample::new(279);
    let by_variant = Reference::read(&root, "hapmap279.variant_missingness");
    let mut rows = by_variant.rows.iter();
    for block in hapmap.genotypes.blocks() {
        people.add(block, u64::MAX);
        for counts in counts::of_block(block) {
            let cells = rows.next().unwrap();
            assert_eq!(counts.missing.to_string(), cells[by_variant.column("MISSING_CT")]);
            assert_printed(counts.missingness().unwrap(), &cells[by_variant.column("F_MISS")], "variant");
        }
    }
    let by_sample = Reference::read(&root, "hapmap279.sample_missingness");
    for (counts, cells) in people.counts().iter().zip(&by_sample.rows) {
        assert_eq!(counts.missing.to_string(), cells[by_sample.column("MISSING_CT")]);
        assert_printed(counts.missingness().unwrap(), &cells[by_sample.column("F_MISS")], "sample");
    }
    assert!(rows.next().is_none() && by_sample.rows.len() == 279);
}

#[test]
fn hardy_weinberg_of_autosomes() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let founders = hapmap.people.founders();
    let reference = Reference::read(&root, "hapmap279.hwe_founders");
    let mut small = 0;
    for (variant, cells) in reference.rows.iter().enumerate() {
        let counts = counts::of_row_in(row(&hapmap, variant), &founders);
        let cell = |name| cells[reference.column(name)].as_str();
        let homs = if cell("A1") == cell("REF") {
            [counts.hom_ref, counts.hom_alt]
        } else {
            [counts.hom_alt, counts.hom_ref]
        };
        let found = [homs[0], counts.het, homs[1]].map(|n| n.to_string());
        assert_eq!(found, [cell("HOM_A1_CT"), cell("HET_A1_CT"), cell("TWO_AX_CT")]);
        let p = hardy_weinberg::autosomal(&counts, Tail::Whole);
        small += usize::from(p < 1e-6);
        assert_printed(p, cell("P"), cell("ID"));
    }
    assert_eq!((reference.rows.len(), small), (FIRST_X, 272));
}

#[test]
fn hardy_weinberg_of_x() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let founders = hapmap.people.founders();
    let [men, women] = [Sex::Male, Sex::Female]
        .map(|sex| hapmap.people.of_sex(sex))
        .map(|set| SampleSet::of(279, |i| set.contains(i) && founders.contains(i)));
    let reference = Reference::read(&root, "hapmap279.hwe_chrX_founders");
    for (index, cells) in reference.rows.iter().enumerate() {
        let row = row(&hapmap, FIRST_X + index);
        let (women, men) = (counts::of_row_in(row, &women), counts::of_row_in(row, &men));
        let p = hardy_weinberg::x_chromosome(&women, &men, Tail::Whole);
        assert_printed(p, &cells[reference.column("P")], &cells[reference.column("ID")]);
    }
    assert_eq!(reference.rows.len(), 365);
}

#[test]
fn king() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let planes = Planes::collect(&mut hapmap.genotypes.source(), |variant| variant < FIRST_X).unwrap();
    let mut pairs = vec![None; 279 * 279];
    let mut above = [0; 4];
    planes.pairs(|first, second, pair| {
        let kinship = pair.kinship().unwrap();
        for (count, limit) in above.iter_mut().zip([0.0442, 0.1, 0.177, 0.354]) {
            *count += usize::from(kinship > limit);
        }
        pairs[second * 279 + first] = Some(pair);
    });
    assert_eq!(above, [144, 141, 137, 10]);
    let reference = Reference::read(&root, "hapmap279.king");
    let mut rows = reference.rows.iter();
    // PLINK's order: the second person of ours comes first.
    for second in 1..279 {
        for first in 0..second {
            let cells = rows.next().unwrap();
            let pair = pairs[second * 279 + first].unwrap();
            let share = |count: u64| count as f64 / pair.variants() as f64;
            assert_eq!(cells[reference.column("IID1")], hapmap.people.person(second).unwrap().id);
            assert_eq!(cells[reference.column("IID2")], hapmap.people.person(first).unwrap().id);
            assert_eq!(pair.variants().to_string(), cells[reference.column("NSNP")]);
            assert_printed(share(pair.het_het), &cells[reference.column("HETHET")], "hethet");
            assert_printed(share(pair.ibs0), &cells[reference.column("IBS0")], "ibs0");
            assert_printed(pair.kinship().unwrap(), &cells[reference.column("KINSHIP")], "kinship");
        }
    }
    assert!(rows.next().is_none());
}

#[test]
fn mendel_errors() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let trios: Vec<Trio> = hapmap.people.trios().collect();
    let men = hapmap.people.of_sex(Sex::Male);
    let founders = hapmap.people.founders();
    let is_son = |trio: usize| men.contains(trios[trio].child);
    let mut found = Vec::new();
    let mut by_person: BTreeMap<usize, usize> = BTreeMap::new();
    for trio in &trios {
        by_person.extend([trio.child, trio.father, trio.mother].map(|person| (person, 0)));
    }
    for (index, block) in hapmap.genotypes.blocks().iter().enumerate() {
        let x = (0..64).filter(|v| 64 * index + v >= FIRST_X).fold(0_u64, |mask, v| mask | 1 << v);
        let mut errors = mendel::errors(block, !x, Inheritance::Autosomal, &trios, is_son);
        errors.extend(mendel::errors(block, x, Inheritance::X, &trios, is_son));
        for error in errors {
            let trio = trios[error.trio];
            let site = hapmap.variants.site(64 * index + error.variant).unwrap();
            let child = hapmap.people.person(trio.child).unwrap();
            // PLINK 1.9 has made the rarer allele among founders its A.
            let founders = counts::of_row_in(row(&hapmap, 64 * index + error.variant), &founders);
            let code = match (founders.frequency().unwrap() > 0.5, error.code) {
                (true, code) => [0, 2, 1, 6, 7, 8, 3, 4, 5, 10, 9][usize::from(code)],
                (false, code) => code,
            };
            found.push([child.id.to_owned(), site.label.to_owned(), code.to_string()]);
            let blame = error.blame();
            for (person, blamed) in
                [(trio.child, true), (trio.father, blame.father), (trio.mother, blame.mother)]
            {
                *by_person.entry(person).or_default() += usize::from(blamed);
            }
        }
    }
    let reference = Reference::read(&root, "hapmap279.mendel_errors");
    let column = |name| reference.column(name);
    let mut expected: Vec<[String; 3]> = reference
        .rows
        .iter()
        .map(|cells| [column("KID"), column("SNP"), column("CODE")].map(|index| cells[index].clone()))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found.len(), 670);
    assert!(found == expected);

    let reference = Reference::read(&root, "hapmap279.mendel_by_person");
    for cells in &reference.rows {
        let person = (0..279)
            .find(|i| hapmap.people.person(*i).unwrap().id == cells[reference.column("IID")])
            .unwrap();
        let found = by_person.get(&person).copied().unwrap_or(0);
        assert_eq!(found.to_string(), cells[reference.column("N")], "{}", cells[reference.column("IID")]);
    }
}

#[test]
fn sex_by_x() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let founders = hapmap.people.founders();
    let [men, women] = [Sex::Male, Sex::Female]
        .map(|sex| hapmap.people.of_sex(sex))
        .map(|set| SampleSet::of(279, |i| set.contains(i) && founders.contains(i)));
    let mut check = XCheck::new(279);
    let mut block = Block::new(279);
    let mut frequencies = Vec::new();
    let mut flush = |block: &mut Block, frequencies: &mut Vec<Option<f64>>| {
        check.add(block, frequencies);
        block.clear();
        frequencies.clear();
    };
    for variant in FIRST_X..9_088 {
        let row = row(&hapmap, variant);
        block.push_row(row).unwrap();
        frequencies.push(sex::frequency(&counts::of_row_in(row, &women), &counts::of_row_in(row, &men)));
        if block.is_full() {
            flush(&mut block, &mut frequencies);
        }
    }
    flush(&mut block, &mut frequencies);
    let reference = Reference::read(&root, "hapmap279.sexcheck");
    for (found, cells) in check.coefficients().iter().zip(&reference.rows) {
        let expected: f64 = cells[reference.column("F")].parse().unwrap();
        // Four significant digits are printed.
        let unit = 10_f64.powf(expected.abs().log10().floor() - 3.0);
        let found = found.unwrap();
        assert!((found - expected).abs() < 0.500_01 * unit, "{found} {expected}");
    }
}

#[test]
fn counts_are_those_of_a_stream() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let bytes = hapmap.genotypes.encode();
    let mut stream =
        histone_genome::genotypes::BlockReader::new(bytes.as_slice(), &Default::default()).unwrap();
    let mut total = Counts::default();
    while let Some(block) = stream.next_block().unwrap() {
        for counts in counts::of_block(block) {
            total.missing += counts.missing;
        }
    }
    let expected: u64 = (0..9_088).map(|v| counts::of_row(row(&hapmap, v), 279).missing).sum();
    assert_eq!(total.missing, expected);
}
