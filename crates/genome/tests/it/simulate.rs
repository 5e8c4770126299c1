//! Simulated cohorts: the same bits for a seed, linkage, spectra, populations, families, traits, files.

use histone_genome::cohort::Cohort;
use histone_genome::genotypes::{Call, Source};
use histone_genome::phenotypes::PhenotypeFile;
use histone_genome::simulate::{Plan, PlanError, SimulatedCohort, Spectrum};
use histone_genome::stats::{counts, hardy_weinberg, kinship, mendel};
use histone_genome::text::TextLimits;

fn small() -> Plan {
    Plan { populations: vec![300, 200], variants: 3_000, chromosomes: 3, missing: 0.01, ..Plan::default() }
}

fn calls(cohort: &SimulatedCohort, variant: usize) -> Vec<f64> {
    let block = &cohort.genotypes.blocks()[variant / 64];
    (0..block.samples()).map(|s| block.dosage(variant % 64, s).unwrap_or(f64::NAN)).collect()
}

/// Squared correlation over those who are called at both.
fn r2(x: &[f64], y: &[f64]) -> Option<f64> {
    let both: Vec<(f64, f64)> =
        x.iter().copied().zip(y.iter().copied()).filter(|(x, y)| !x.is_nan() && !y.is_nan()).collect();
    let n = both.len() as f64;
    let (mx, my) = (both.iter().map(|p| p.0).sum::<f64>() / n, both.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in both {
        xx += (x - mx) * (x - mx);
        yy += (y - my) * (y - my);
        xy += (x - mx) * (y - my);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy * xy / (xx * yy))
}

#[test]
fn a_seed_determines_every_bit() {
    let plan =
        Plan { populations: vec![33], variants: 130, chromosomes: 1, missing: 0.02, ..Plan::default() };
    let cohort = plan.simulate().unwrap();
    assert_eq!(cohort, plan.simulate().unwrap());
    let other = Plan { seed: 2, ..plan }.simulate().unwrap();
    assert_ne!(cohort.genotypes, other.genotypes);
    // Literals: a change of them is a change of everybody's simulated data.
    let counts = counts::of_row(cohort.genotypes.row(0).unwrap(), 33);
    let digest = cohort.genotypes.encode().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!((counts.alternatives(), counts.missing, digest), (0, 1, 18_114_586_343_537_793_785));
}

#[test]
fn neighbours_are_linked_and_most_variants_are_rare() {
    let cohort = Plan { populations: vec![500], variants: 6_000, chromosomes: 3, ..Plan::default() };
    let cohort = cohort.simulate().unwrap();
    let frequency = |v: usize| counts::of_row(cohort.genotypes.row(v).unwrap(), 500).frequency().unwrap();
    let frequencies: Vec<f64> = (0..6_000).map(|v| frequency(v).min(1.0 - frequency(v))).collect();
    let share = |least: f64| frequencies.iter().filter(|f| **f >= least).count() as f64 / 6_000.0;
    assert!((0.25..0.55).contains(&share(0.05)), "{}", share(0.05));
    assert!((0.1..0.35).contains(&share(0.2)), "{}", share(0.2));
    let common: Vec<usize> = (0..2_000).filter(|v| frequencies[*v] >= 0.05).collect();
    let mean = |apart: usize| {
        let pairs: Vec<f64> = common
            .iter()
            .zip(&common[apart..])
            .filter_map(|(a, b)| r2(&calls(&cohort, *a), &calls(&cohort, *b)))
            .collect();
        pairs.iter().sum::<f64>() / pairs.len() as f64
    };
    let (near, far) = (mean(1), mean(300));
    assert!(near > 0.1 && far < 0.03, "{near} {far}");
    // People of one population mate at random.
    let all: Vec<_> = (0..6_000).map(|v| counts::of_row(cohort.genotypes.row(v).unwrap(), 500)).collect();
    let off = all.iter().filter(|c| hardy_weinberg::autosomal(c, hardy_weinberg::Tail::Whole) < 1e-4).count();
    assert!(off < 10, "{off}");
    // An array has mostly common ones.
    let array =
        Plan { spectrum: Spectrum::Array, populations: vec![500], variants: 2_000, ..Plan::default() };
    let array = array.simulate().unwrap();
    let common = array.genotypes.rows().filter(|row| {
        let frequency = counts::of_row(row, 500).frequency().unwrap();
        frequency.min(1.0 - frequency) >= 0.05
    });
    assert!(common.count() > 1_400);
}

#[test]
fn populations_differ_and_families_hold() {
    let plan = Plan { families: 5, missing: 0.0, variants: 4_400, chromosomes: 22, ..small() };
    let cohort = plan.simulate().unwrap();
    assert_eq!(cohort.samples.len(), 510);
    let people = cohort.people().unwrap();
    let trios: Vec<_> = people.trios().collect();
    assert_eq!(trios.len(), 10);
    assert_eq!((trios[9].child, trios[9].father, trios[9].mother), (509, 8, 9));
    for block in cohort.genotypes.blocks() {
        let errors = mendel::errors(block, u64::MAX, mendel::Inheritance::Autosomal, &trios, |_| false);
        assert_eq!(errors, []);
    }
    let planes = kinship::Planes::collect(&mut cohort.genotypes.source(), |_| true).unwrap();
    let kin = |a, b| planes.pair(a, b).unwrap().kinship().unwrap();
    for trio in trios {
        assert!((0.18..0.32).contains(&kin(trio.child, trio.father)), "{}", kin(trio.child, trio.father));
    }
    let mean =
        |pairs: &[(usize, usize)]| pairs.iter().map(|(a, b)| kin(*a, *b)).sum::<f64>() / pairs.len() as f64;
    let within: Vec<_> = (20..120).map(|a| (a, a + 120)).collect();
    let between: Vec<_> = (20..120).map(|a| (a, a + 300)).collect();
    assert!(mean(&within).abs() < 0.05 && mean(&between) < mean(&within) - 0.02);
}

#[test]
fn traits_follow_the_causal_variants() {
    let cohort = Plan { causal: 5, heritability: 0.6, ..small() }.simulate().unwrap();
    assert_eq!((cohort.causal.len(), cohort.quantitative.len()), (5, 500));
    assert_eq!(cohort.cases.iter().filter(|case| **case).count(), 200);
    let score: Vec<f64> = (0..500)
        .map(|s| {
            let of = |c: &histone_genome::simulate::Causal| {
                let call = cohort.genotypes.blocks()[c.variant / 64].call(c.variant % 64, s).unwrap();
                c.effect * f64::from(call.copies().unwrap_or(0))
            };
            cohort.causal.iter().map(of).sum()
        })
        .collect();
    let explained = r2(&score, &cohort.quantitative).unwrap();
    assert!((0.45..0.7).contains(&explained), "{explained}");
    let none = Plan { causal: 0, variants: 100, ..small() }.simulate().unwrap();
    assert!(none.causal.is_empty() && none.quantitative.iter().all(|value| value.is_finite()));
}

#[test]
fn files_read_back() {
    let cohort = Plan { families: 2, variants: 700, ..small() }.simulate().unwrap();
    let bed = cohort.write_bed(vec![]).unwrap();
    let people = cohort.people().unwrap();
    let mut read = Cohort::plink("s.bed", bed.as_slice(), people, cohort.bim().unwrap()).unwrap();
    assert_eq!(read.samples(), cohort.samples);
    assert_eq!(read.sexes(), cohort.sexes);
    let mut blocks = cohort.blocks();
    while let Some((block, sites)) = read.read().unwrap() {
        let (same, written) = blocks.next().unwrap();
        assert_eq!((block, sites), (same, written.as_slice()));
    }
    assert!(blocks.next().is_none());
    let mut source = cohort.genotypes.source();
    assert_eq!(source.next_block().unwrap().unwrap().call(0, 503), Some(Call::HomRef));

    let mut table = vec![];
    cohort.write_phenotypes(&mut table).unwrap();
    let text = String::from_utf8(table.clone()).unwrap();
    assert!(text.starts_with("## SIMULATED"));
    assert!(text.lines().nth(2).unwrap().starts_with("SIMULATED1\t"));
    PhenotypeFile::read("p.tsv", table.as_slice(), &TextLimits::default()).unwrap();
    let mut truth = vec![];
    cohort.write_truth(&mut truth).unwrap();
    assert_eq!(String::from_utf8(truth).unwrap().lines().count(), 12);
}

#[test]
fn senseless_plans_are_refused() {
    let check = |plan: Plan, message: &str| assert_eq!(plan.simulate().unwrap_err().to_string(), message);
    check(Plan { populations: vec![], ..small() }, "a cohort needs people; plan a population");
    check(Plan { families: 200, ..small() }, "the first population has not two parents for each family");
    check(Plan { chromosomes: 0, ..small() }, "chromosomes are 1 to 22; plan as many");
    check(Plan { chromosomes: 23, ..small() }, "chromosomes are 1 to 22; plan as many");
    check(Plan { missing: f64::NAN, ..small() }, "the share of missing calls is not below 1");
    check(Plan { prevalence: 1.5, ..small() }, "missing, heritability and prevalence are shares from 0 to 1");
    check(Plan { sex_effect: f64::INFINITY, ..small() }, "an effect is not a finite number");
    assert_eq!(Plan { spacing: u32::MAX, ..small() }.simulate().unwrap_err(), PlanError::Beyond(1));
    assert_eq!(
        Plan { populations: vec![usize::MAX, 3], ..small() }.simulate().unwrap_err(),
        PlanError::TooLarge
    );
    assert_eq!(Plan { variants: usize::MAX, ..small() }.simulate().unwrap_err(), PlanError::TooLarge);
    let empty = Plan { variants: 0, ..small() }.simulate().unwrap();
    assert_eq!((empty.genotypes.variants(), empty.causal.len()), (0, 0));
}
