//! Pruning and clumping against PLINK, whose lists are here as a count and a CRC-32: variant `n` of the file, counted from 1, is
//! the line `vn`.

use std::fmt::Write as _;

use histone_genome::association::{Design, Estimate, Linear};
use histone_genome::genotypes::{Genotypes, SampleSet};
use histone_genome::ld::{ClumpRule, Clumps, Pruner, Window};
use histone_genome::variant::Site;

use crate::data::{self, Hapmap};
use crate::panel;

fn digest(lines: &str) -> (usize, u32) {
    (lines.lines().count(), crc32fast::hash(lines.as_bytes()))
}

/// The variants that stay among the first `until`.
fn pruned(
    genotypes: &Genotypes,
    sites: &[Site],
    people: &SampleSet,
    until: usize,
    (window, step, r2): (Window, usize, f64),
) -> (usize, u32) {
    let mut pruner = Pruner::new(people.clone(), window, step, r2, 100_000).unwrap();
    for (block, sites) in genotypes.blocks().iter().zip(sites.chunks(64)) {
        pruner.add(block, sites).unwrap();
    }
    let mut lines = String::new();
    for (variant, _) in pruner.finish().iter().enumerate().take(until).filter(|(_, kept)| **kept) {
        writeln!(lines, "v{}", variant + 1).unwrap();
    }
    digest(&lines)
}

/// `--indep-pairwise 50 5 0.2`: PLINK 2.00a3.5 and 1.90b6.26 have the same list.
#[test]
fn pruned_panel_of_550() {
    let Some(root) = data::root() else { return };
    let panel = panel::of_550(&root);
    let window = (Window::Variants(50), 5, 0.2);
    let found = pruned(&panel.genotypes, &panel.sites, &SampleSet::all(550), usize::MAX, window);
    assert_eq!(found, (11_855, 0x0bde_e661));
}

/// The same and `100kb 1 0.2` with `--chr 1-22`, over the founders. PLINK 2 has the first list, and in the second one variant
/// more, 8,358; PLINK 1.9 has both.
#[test]
fn pruned_founders_of_hapmap() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let sites: Vec<Site> = (0..9_088).map(|v| hapmap.variants.written(v).unwrap().unwrap()).collect();
    let founders = hapmap.people.founders();
    let windows = [(Window::Variants(50), 5, 0.2), (Window::BasePairs(100_000), 1, 0.2)];
    let expected = [(7_632, 0x389d_00cc), (8_357, 0x2e59_81b2)];
    for (window, expected) in windows.into_iter().zip(expected) {
        assert_eq!(pruned(&hapmap.genotypes, &sites, &founders, 8_723, window), expected, "{window:?}");
    }
}

/// `plink1.9 --clump` (1.90b6.26) with its defaults, and with `--clump-p1 0.001 --clump-p2 0.05 --clump-r2 0.2 --clump-kb 500`:
/// each clump a line `vn:vn,vn`, the others in the order of the file.
#[test]
fn clumps_of_a_scan() {
    let Some(root) = data::root() else { return };
    let panel = panel::of_550(&root);
    let sex = [panel::phenotype(&root, "SEX")];
    let linear = Linear::new(Design::new(&panel::phenotype(&root, "SIMULATED_QT"), &sex).unwrap());
    let wide = ClumpRule { p_first: 1e-3, p_others: 0.05, r2: 0.2, base_pairs: 500_000, most: 10_000 };
    let p = |found: Result<Estimate, _>| found.map_or(f64::NAN, |estimate| estimate.p());
    let blocks = || panel.genotypes.blocks().iter();
    let p_values: Vec<f64> = blocks().flat_map(|block| linear.scan(block)).map(p).collect();
    for (rule, expected) in [(ClumpRule::default(), (16, 0xdf5c_e2cd)), (wide, (43, 0x527f_9103))] {
        let mut clumps = Clumps::new(SampleSet::all(550), rule).unwrap();
        for ((block, sites), p_values) in blocks().zip(panel.sites.chunks(64)).zip(p_values.chunks(64)) {
            clumps.add(block, sites, p_values).unwrap();
        }
        let mut lines = String::new();
        for clump in clumps.finish() {
            let others: Vec<String> = clump.others.iter().map(|other| format!("v{}", other + 1)).collect();
            writeln!(lines, "v{}:{}", clump.variant + 1, others.join(",")).unwrap();
        }
        assert_eq!(digest(&lines), expected, "{rule:?}");
    }
}
