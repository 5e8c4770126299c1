//! Association against PLINK 2 on 550 people.

use histone_genome::association::{Design, Fallback, Linear, Logistic, NotFitted, NotTested, ScoreTest};
use histone_genome::genotypes::Block;
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
    let panel = panel::of_550(&root);
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
fn logistic_scan_of_550_people() {
    let Some(root) = data::root() else { return };
    let panel = panel::of_550(&root);
    let cases: Vec<f64> = panel::phenotype(&root, "SIMULATED_CC").iter().map(|y| y - 1.0).collect();
    let sex = [panel::phenotype(&root, "SEX")];
    let plain = Logistic::new(&cases, &sex, Fallback::None).unwrap();
    let firth = Logistic::new(&cases, &sex, Fallback::Firth).unwrap();
    let plain_table = Reference::read(&root, "kg_phase1_550.gwas_logistic.SIMULATED_CC");
    let firth_table = Reference::read(&root, "kg_phase1_550.gwas_logistic_firth_fallback.SIMULATED_CC");
    let columns = |table: &Reference| ["ID", "BETA", "SE", "P", "ERRCODE"].map(|name| table.column(name));
    let ([id, beta, se, p, error], [_, firth_beta, firth_se, firth_p, firth_error]) =
        (columns(&plain_table), columns(&firth_table));
    let [mut constant, mut separated, mut fitted] = [0; 3];
    let mut worst = [0.0_f64; 6];
    let mut worst_common = 0.0_f64;
    // Of an estimate far below its standard error, what counts is its distance in standard errors.
    let far = |found: f64, printed: &str, se: f64| {
        let expected: f64 = printed.parse().unwrap();
        (found - expected).abs() / expected.abs().max(se * 0.1)
    };
    for (index, row) in panel.genotypes.rows().enumerate() {
        let (cells, firth_cells) = (&plain_table.rows[index], &firth_table.rows[index]);
        let mut block = Block::new(550);
        block.push_row(row).unwrap();
        // What fails costs nothing; of the fits, a few must do for an unoptimized test.
        let is_fitted = cells[error] == ".";
        if is_fitted && index % 128 != 0 {
            continue;
        }
        match plain.scan(&block)[0] {
            Err(NotFitted::Constant) => {
                assert_eq!(cells[error], "CONST_OMITTED_ALLELE", "{}", cells[id]);
                constant += 1;
            }
            Err(NotFitted::Separated) => {
                assert!(cells[error].starts_with("SEPARATION"), "{}", cells[id]);
                separated += 1;
                if index % 256 == 0 && firth_cells[firth_error] == "." {
                    let found = firth.scan(&block)[0].unwrap();
                    assert!(found.firth);
                    worst[3] = worst[3].max(far(found.beta, &firth_cells[firth_beta], found.se));
                    worst[4] = worst[4].max(far(found.se, &firth_cells[firth_se], 0.0));
                    worst[5] = worst[5].max(far(found.p(), &firth_cells[firth_p], 0.0));
                }
            }
            found => {
                let found = found.unwrap();
                assert!(is_fitted, "{}", cells[id]);
                worst[0] = worst[0].max(far(found.beta, &cells[beta], found.se));
                worst[1] = worst[1].max(far(found.se, &cells[se], 0.0));
                worst[2] = worst[2].max(far(found.p(), &cells[p], 0.0));
                let frequency: f64 = cells[plain_table.column("A1_FREQ")].parse().unwrap();
                if (0.05..0.95).contains(&frequency) {
                    worst_common = worst_common.max(far(found.beta, &cells[beta], found.se));
                }
                fitted += 1;
            }
        }
    }
    assert_eq!((constant, separated), (2_720, 5_378));
    assert!(fitted > 70, "{fitted}");
    // This version of PLINK computes in single precision and ends its steps early, which shows where few carry an allele:
    // over one in eight of all variants the largest distances are 3e-5, 1e-4 and 4e-4, with Firth 5e-4, 3e-4 and 3e-4.
    let limits = [5e-5, 2e-4, 1e-3, 1e-3, 1e-3, 1e-3];
    assert!(worst.iter().zip(limits).all(|(worst, limit)| *worst <= limit), "{worst:?}");
    assert!(worst_common <= 2e-5, "{worst_common}");
}

/// Another test of the same hypothesis: p-values agree in their size where the alternative allele is common.
#[test]
fn score_test_of_550_people() {
    let Some(root) = data::root() else { return };
    let panel = panel::of_550(&root);
    let cases: Vec<f64> = panel::phenotype(&root, "SIMULATED_CC").iter().map(|y| y - 1.0).collect();
    let test = ScoreTest::new(&cases, &[panel::phenotype(&root, "SEX")]).unwrap();
    let found: Vec<_> = panel.genotypes.blocks().iter().flat_map(|block| test.scan(block)).collect();
    let reference = Reference::read(&root, "kg_phase1_550.gwas_logistic.SIMULATED_CC");
    let (mut compared, mut worst) = (0, 0.0_f64);
    for (found, cells) in found.iter().zip(&reference.rows) {
        let frequency: f64 = cells[reference.column("A1_FREQ")].parse().unwrap();
        assert_eq!(found.is_err(), cells[reference.column("ERRCODE")] == "CONST_OMITTED_ALLELE");
        if (0.05..0.95).contains(&frequency) {
            let wald: f64 = cells[reference.column("P")].parse().unwrap();
            let score = found.unwrap().p();
            worst = worst.max((score.log10() - wald.log10()).abs() / (1.0 - wald.log10()));
            compared += 1;
        }
    }
    assert!(compared > 3_900 && worst < 0.1, "{compared} {worst}");
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
