//! Association against PLINK 2 on 550 people.

use histone_genome::association::{Design, Linear, NotTested};
use histone_genome::stats::counts;
use histone_genome::stats::hardy_weinberg::{self, Tail};

use crate::data::{self, Reference, assert_printed};
use crate::panel;

#[track_caller]
fn assert_near(found: f64, printed: &str, tolerance: f64, place: &str) {
    let expected: f64 = printed.parse().unwrap();
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} is not {printed}, {place}");
}

#[test]
fn linear_scan_and_counts_of_550_people() {
    let Some(root) = data::root() else { return };
    let panel = panel::read(&root, "kg_phase1_chr22_550.vcf.gz");
    let design =
        Design::new(&panel::phenotype(&root, "SIMULATED_QT"), &[panel::phenotype(&root, "SEX")]).unwrap();
    let linear = Linear::new(design);
    let found: Vec<_> = panel.genotypes.blocks().iter().flat_map(|block| linear.scan(block)).collect();
    let reference = Reference::read(&root, "kg_phase1_550.gwas_linear.SIMULATED_QT");
    let [id, beta, se, t, p] = ["ID", "BETA", "SE", "T_STAT", "P"].map(|name| reference.column(name));
    let (mut untested, mut significant) = (0, 0);
    assert_eq!((found.len(), reference.rows.len()), (19_773, 19_773));
    for (found, cells) in found.iter().zip(&reference.rows) {
        if cells[beta] == "NA" {
            assert_eq!(*found, Err(NotTested::Constant), "{}", cells[id]);
            untested += 1;
            continue;
        }
        let found = found.unwrap();
        assert_eq!(found.df, 547);
        assert_near(found.beta, &cells[beta], 1e-5, &cells[id]);
        assert_near(found.se, &cells[se], 1e-5, &cells[id]);
        assert_near(found.t(), &cells[t], 1e-5, &cells[id]);
        assert_near(found.p(), &cells[p], 1e-3, &cells[id]);
        significant += usize::from(found.p() < 5e-8);
    }
    assert_eq!((untested, significant), (2_720, 8));

    let hwe = Reference::read(&root, "kg_phase1_550.hwe");
    let of_alternatives = Reference::read(&root, "kg_phase1_550.allele_counts");
    let mut small = 0;
    let rows = panel.genotypes.rows().zip(&panel.ids).zip(hwe.rows.iter().zip(&of_alternatives.rows));
    for ((row, label), (hwe_cells, cells)) in rows {
        let counts = counts::of_row(row, 550);
        assert_eq!(counts.alternatives().to_string(), cells[of_alternatives.column("ALT_CTS")], "{label}");
        assert_eq!(counts.missing, 0);
        let p = hardy_weinberg::autosomal(&counts, Tail::Whole);
        small += usize::from(p < 1e-6);
        assert_printed(p, &hwe_cells[hwe.column("P")], label);
    }
    assert_eq!((panel.samples.len(), small), (550, 309));
}

#[test]
fn hardy_weinberg_of_a_bad_region() {
    let Some(root) = data::root() else { return };
    let panel = panel::read(&root, "onekg_chr22_hg38.vcf.gz");
    let hwe = Reference::read(&root, "onekg_chr22_hg38.hwe");
    let mut small = 0;
    for (row, cells) in panel.genotypes.rows().zip(&hwe.rows) {
        let p = hardy_weinberg::autosomal(&counts::of_row(row, panel.samples.len()), Tail::Whole);
        small += usize::from(p < 1e-6);
        assert_printed(p, &cells[hwe.column("P")], &cells[hwe.column("POS")]);
    }
    assert_eq!((panel.ids.len(), small), (3_042, 531));
}
