//! Quality control against fakes, faulty regions and faulty people.

mod fakes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use fakes::{Kind, Random, Real};
use histone_genome::genotypes::{Call, Genotypes};
use histone_genome::plink::Sex;
use histone_genome::quality::{Check, Measure, Policy, Report, Told, Verdict};
use histone_genome::variant::Variant;

use crate::data;
use crate::data::Hapmap;

/// Names of the findings that are not passed.
fn wrong(report: &Report) -> Vec<(&'static str, Verdict)> {
    let bad = report.findings().iter().filter(|finding| finding.verdict != Verdict::Pass);
    bad.map(|finding| (finding.measure.name(), finding.verdict)).collect()
}

/// The common variants, read once.
fn common_variants(root: &Path) -> &'static Real {
    static REAL: OnceLock<Real> = OnceLock::new();
    REAL.get_or_init(|| Real::read(root, true))
}

#[test]
fn fakes_are_refused_and_real_people_are_not() {
    let Some(root) = data::root() else { return };
    let real = common_variants(&root);
    let panel = real.panel(&real.people(0));
    let policy = Policy::default();
    for kind in Kind::ALL {
        let calls = kind.make(real, 1, 60, &mut Random(7));
        let report = real.check(Some(&panel), &calls, &policy);
        let expected = match kind {
            Kind::Real => Verdict::Pass,
            // What is not found.
            Kind::Mosaic20 | Kind::Mosaic100 => continue,
            _ => Verdict::Refuse,
        };
        assert_eq!(report.verdict(), expected, "{kind:?}: {:?}", wrong(&report));
        let told = if kind == Kind::Real { Told::Accepted } else { Told::ReviewDue };
        assert_eq!(report.told(), told);
    }
}

/// Without a panel, linkage of neighbours and the scatter of heterozygosity still tell independent draws.
#[test]
fn independent_draws_are_refused_without_a_panel() {
    let Some(root) = data::root() else { return };
    let real = common_variants(&root);
    for (kind, expected) in [
        (Kind::Real, Verdict::Pass),
        (Kind::Independent, Verdict::Refuse),
        (Kind::Shuffled, Verdict::Refuse),
        (Kind::OthersCopies, Verdict::Refuse),
    ] {
        let report = real.check(None, &kind.make(real, 1, 60, &mut Random(8)), &Policy::default());
        assert_eq!(report.verdict(), expected, "{kind:?}: {:?}", wrong(&report));
        assert!(report.finding(Measure::LinkageAgreement).is_none() && report.mix().is_empty());
    }
}

/// HapMap's trios: ten copies, noisy X, few Mendel errors; a stated sex or a stated parent that is wrong shows.
#[test]
fn families_sexes_and_copies_of_hapmap() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let assembly = histone_genome::assembly::Assembly::Grch37;
    let variants: Vec<Option<Variant>> = (0..hapmap.variants.len())
        .map(|index| hapmap.variants.variant(index, assembly).and_then(Result::ok))
        .collect();
    let sexes: Vec<Sex> =
        (0..hapmap.people.len()).map(|index| hapmap.people.person(index).unwrap().sex).collect();
    let trios: Vec<_> = hapmap.people.trios().collect();
    let check = |sexes: &[Sex], trios: Vec<_>| {
        let mut check = Check::new(279, sexes, trios, None);
        for (block, variants) in hapmap.genotypes.blocks().iter().zip(variants.chunks(64)) {
            check.add(block, variants).unwrap();
        }
        check.finish(&Policy::default())
    };
    let report = check(&sexes, trios.clone());
    let value = |report: &Report, measure| report.finding(measure).unwrap().value;
    // 590 autosomal errors (`plink --mendel`), 59 trios, 8,723 variants.
    assert!((value(&report, Measure::MendelErrors) - 590.0 / (59.0 * 8_723.0)).abs() < 1e-12);
    assert_eq!(value(&report, Measure::SexMismatch), 0.0);
    // Ten pairs of copies (caution 4 of the data).
    assert_eq!(value(&report, Measure::Duplicates), 20.0 / 279.0);
    assert_eq!(report.verdict(), Verdict::Review);
    let men: Vec<Sex> = sexes.iter().map(|_| Sex::Male).collect();
    let strangers: Vec<_> = trios
        .iter()
        .zip(trios.iter().skip(9))
        .map(|(trio, other)| histone_genome::plink::Trio { child: trio.child, ..*other })
        .collect();
    let report = check(&men, strangers);
    assert!(report.finding(Measure::SexMismatch).unwrap().value > 0.2);
    assert!(report.finding(Measure::MendelErrors).unwrap().value > 0.05);
    assert_eq!(report.verdict(), Verdict::Refuse);
}

/// Beside the centromere of chromosome 22, GRCh38, duplicated sequence is taken for variants.
#[test]
fn a_bad_region_is_not_passed() {
    let Some(root) = data::root() else { return };
    let panel = crate::panel::read(&root, "onekg_chr22_hg38.vcf.gz");
    let samples = panel.samples.len();
    let variants: Vec<Option<Variant>> = panel
        .alleles
        .iter()
        .zip(1_u32..)
        .map(|([r, a], index)| {
            // Places do not matter here, order does.
            let (chromosome, position) =
                ("22".parse().unwrap(), (10_000_000 + 150 * index).try_into().unwrap());
            Variant::new(histone_genome::assembly::Assembly::Grch38, chromosome, position, r, a).ok()
        })
        .collect();
    let mut check = Check::new(samples, &[], vec![], None);
    for (block, variants) in panel.genotypes.blocks().iter().zip(variants.chunks(64)) {
        check.add(block, variants).unwrap();
    }
    let report = check.finish(&Policy::default());
    let verdict = |measure| report.finding(measure).unwrap().verdict;
    assert_eq!(verdict(Measure::TiTv), Verdict::Review);
    assert_ne!(verdict(Measure::HeterozygoteExcess), Verdict::Pass);
    assert_ne!(report.told(), Told::Accepted);
}

#[test]
fn missing_calls_and_too_little_data() {
    let mut genotypes = Genotypes::new(20);
    for v in 0..200_usize {
        let call = |s: usize| match (v * 7 + s * 13 + v * s) % 11 {
            0 if s < 10 => Call::Missing,
            n if n < 5 => Call::HomRef,
            n if n < 9 => Call::Het,
            _ => Call::HomAlt,
        };
        genotypes.push_calls(&(0..20).map(call).collect::<Vec<_>>()).unwrap();
    }
    let variant = |v: u32| {
        let position = (1_000 * (v + 1)).try_into().unwrap();
        Variant::new(histone_genome::assembly::Assembly::Grch38, "1".parse().unwrap(), position, "A", "G")
            .ok()
    };
    let variants: Vec<_> = (0..200).map(variant).collect();
    let mut check = Check::new(20, &[], vec![], None);
    for (block, variants) in genotypes.blocks().iter().zip(variants.chunks(64)) {
        check.add(block, variants).unwrap();
    }
    let report = check.finish(&Policy::default());
    // Nine of the first ten people miss every eleventh call, the fifth one none.
    assert_eq!(report.finding(Measure::PeopleMissing).unwrap().value, 0.45);
    assert!(report.finding(Measure::SexMismatch).is_none());
    let mut text = vec![];
    report.write(&mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().starts_with("#MEASURE\tVALUE\tREFUSE_BELOW"));

    let nothing = Check::new(20, &[], vec![], None).finish(&Policy::default());
    assert_eq!((nothing.findings().len(), nothing.verdict()), (0, Verdict::Review));
    let mut check = Check::new(19, &[], vec![], None);
    assert!(check.add(&genotypes.blocks()[0], &variants[..64]).is_err());
}

/// The measurement behind `docs/genome-quality.md`; minutes, optimized:
/// `cargo test --release -p histone-genome --test it quality -- --ignored --nocapture`.
///
/// Every second person of each population is of half 0. Thresholds were fixed on batches of half 0 with half 1 as the panel
/// (`FIT=1` prints what real ones look like, `REAL=1` makes only real ones), the table is of batches of half 1 with half 0 as the panel.
#[test]
#[ignore = "minutes; optimized builds only"]
fn table_of_fakes() {
    let Some(root) = data::root() else { return };
    let real = Real::read(&root, false);
    let fit = std::env::var_os("FIT").is_some();
    let half = usize::from(!fit);
    let batches: u64 = std::env::var("BATCHES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let panel = real.panel(&real.people(1 - half));
    let policy = Policy::default();
    println!(
        "| batch | people | refused | refused or reviewed | refused by (share of batches) | reviewed by |"
    );
    println!("|---|---|---|---|---|---|");
    let real_only = fit || std::env::var_os("REAL").is_some();
    for kind in Kind::ALL.into_iter().filter(|kind| !real_only || *kind == Kind::Real) {
        for size in [50, 100, 165] {
            let (mut refused, mut reviewed) = (0, 0);
            let (mut by, mut reviewed_by) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
            let mut values: BTreeMap<Measure, Vec<f64>> = BTreeMap::new();
            for seed in 0..batches {
                let seed = seed << 16 | (size as u64) << 4 | half as u64;
                let calls = kind.make(&real, half, size, &mut Random(seed));
                let report = real.check(Some(&panel), &calls, &policy);
                refused += u64::from(report.verdict() == Verdict::Refuse);
                reviewed += u64::from(report.verdict() != Verdict::Pass);
                for finding in report.findings() {
                    values.entry(finding.measure).or_default().push(finding.value);
                    let name = finding.measure.name();
                    match finding.verdict {
                        Verdict::Pass => {}
                        Verdict::Review => *reviewed_by.entry(name).or_default() += 1,
                        Verdict::Refuse => *by.entry(name).or_default() += 1,
                    }
                }
            }
            let percent = |count: u64| 100.0 * count as f64 / batches as f64;
            let list = |by: BTreeMap<&str, u64>| {
                let by = by.iter().map(|(name, n)| format!("{name} {:.1} %", percent(*n)));
                by.collect::<Vec<_>>().join(", ")
            };
            println!(
                "| {kind:?} | {size} | {:.1} % | {:.1} % | {} | {} |",
                percent(refused),
                percent(reviewed),
                list(by),
                list(reviewed_by)
            );
            if fit {
                for (measure, mut values) in values {
                    values.sort_by(f64::total_cmp);
                    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
                    let quantiles = [0.0, 0.01, 0.5, 0.99, 1.0].map(at).map(|v| format!("{v:.4}"));
                    println!("    {} {}", measure.name(), quantiles.join(" "));
                }
            }
            // The goals of the crate, on data that no threshold has seen.
            if !fit {
                match kind {
                    Kind::Real => assert!(percent(refused) <= 1.0),
                    Kind::Mosaic20 | Kind::Mosaic100 => {}
                    _ => assert!(percent(refused) >= 99.0, "{kind:?}"),
                }
            }
        }
    }
}
