//! Whole-genome regression against `tests/oracle/whole_genome_regression.py`, which says what is changed in the example.

use histone_genome::association::{Design, Linear};
use histone_genome::genotypes::{Call, Genotypes, Limits};
use histone_genome::plink::BedReader;
use histone_genome::regression::{Regression, Rule};
use histone_genome::variant::Site;

use crate::data;

const ERRORS: [f64; 5] = [0.985235442534, 0.968874804836, 0.964664096942, 0.965213220356, 0.969724640095];

/// Chromosome, predictions of five people, sum of squares, and estimates of two variants.
type Expected = (&'static str, [f64; 5], f64, [(usize, f64, f64); 2]);

const EXPECTED: [Expected; 3] = [
    (
        "1",
        [0.165659950535, 0.237304330114, -0.002730925541, 0.098867210308, -0.098830020681],
        6.108833978,
        [(0, -0.041900273868, 0.044913204863), (57, 0.085402864537, 0.046417293565)],
    ),
    (
        "2",
        [0.105635307920, 0.081372697246, 0.108898124862, 0.206372529375, -0.170051489959],
        7.518770804,
        [(400, 0.017168477737, 0.047094295559), (457, 0.059889850473, 0.044833834542)],
    ),
    (
        "3",
        [0.104460408065, 0.078140766924, 0.007863510345, 0.206095386256, -0.202534114692],
        5.914426012,
        [(700, 0.035771859217, 0.061924039682), (757, 0.003921927584, 0.061544773369)],
    ),
];

/// The columns of a table behind the two names.
fn columns(path: &str) -> Option<Vec<Vec<f64>>> {
    let text = String::from_utf8(data::shared(path)?).unwrap();
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().skip(2).map(|cell| cell.parse().unwrap()).collect())
        .collect();
    Some((0..rows[0].len()).map(|column| rows.iter().map(|row| row[column]).collect()).collect())
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(0.1), "{found} {expected}");
}

#[test]
fn agrees_with_the_oracle() {
    let Some(bed) = data::shared("conformance/bgen/regenie_example.bed") else { return };
    let phenotype = &columns("conformance/bgen/regenie_phenotype.txt").unwrap()[0];
    let covariates = columns("conformance/bgen/regenie_covariates.txt").unwrap();
    let mut bed = BedReader::new("example.bed", bed.as_slice(), 500, 1_000).unwrap();
    let whole = Genotypes::collect(&mut bed, &Limits::default()).unwrap();
    let mut genotypes = Genotypes::new(500);
    for variant in 0..1_000 {
        let call = |person| match (7 * variant + 13 * person) % 101 {
            0 => Call::Missing,
            _ => whole.blocks()[variant / 64].call(variant % 64, person).unwrap(),
        };
        genotypes.push_calls(&(0..500).map(call).collect::<Vec<_>>()).unwrap();
    }
    let chromosome = |variant| {
        if variant < 400 {
            "1"
        } else if variant < 700 {
            "2"
        } else {
            "3"
        }
    };
    let site = |variant| {
        let [ids, reference, alternative] = [".", "A", "C"].map(str::to_owned);
        Site { line: 1, chromosome: chromosome(variant).into(), position: 1, ids, reference, alternative }
    };
    let sites: Vec<Site> = (0..1_000).map(site).collect();

    let rule = Rule { block: 100, ..Rule::for_variants(1_000) };
    let mut regression = Regression::new(phenotype, &covariates, rule).unwrap();
    for (block, sites) in genotypes.blocks().iter().zip(sites.chunks(64)) {
        regression.add(block, sites, |_| true).unwrap();
    }
    let found = regression.finish(|_, _| {}).unwrap();
    assert_eq!((found.chromosomes().len(), found.best), (3, 2));
    found.errors.iter().zip(ERRORS).for_each(|(found, expected)| assert_near(*found, expected));
    for (chromosome, people, square, variants) in EXPECTED {
        let prediction = found.leaving_out(chromosome);
        for (person, expected) in [0, 1, 2, 250, 499].into_iter().zip(people) {
            assert_near(prediction[person], expected);
        }
        assert_near(prediction.iter().map(|value| value * value).sum(), square);
        let rest = found.subtract_from(phenotype, chromosome);
        let scan = Linear::new(Design::new(&rest, &covariates).unwrap());
        for (variant, beta, se) in variants {
            let estimate = scan.scan(&genotypes.blocks()[variant / 64])[variant % 64].unwrap();
            assert_near(estimate.beta, beta);
            assert_near(estimate.se, se);
        }
    }
}
