//! Principal components against PLINK 2.

use histone_genome::pca::{Components, Projection, Relationship, Search, components, loadings};

use crate::data::{self, Hapmap};

/// `plink2 --bfile hapmap279 --extract ... --keep-founders --pca 6` (2.00a3.5), over every fourth variant of the autosomes from the
/// first on.
const EIGENVALUES: [f64; 6] = [28.8502, 14.5675, 2.665, 2.45678, 2.25432, 2.03237];

/// The founders with the lowest numbers, NA19152, NA18912 and NA19160.
const PEOPLE: [(usize, [f64; 6]); 3] = [
    (0, [-0.101989, 0.0319275, -0.0187921, -0.0387703, 0.00392363, -0.0185817]),
    (2, [-0.108829, 0.0324238, 0.0292699, -0.0273835, -0.0188689, 0.0669478]),
    (3, [-0.105309, 0.0294221, -0.0547429, -0.0328127, 0.0111963, -0.0404678]),
];

fn chosen(variant: usize) -> bool {
    variant < 8_723 && variant.is_multiple_of(4)
}

#[track_caller]
fn assert_plink(found: &Components, tolerance: f64) {
    for (found, expected) in found.eigenvalues.iter().zip(EIGENVALUES) {
        assert!((found / expected - 1.0).abs() < tolerance, "{found} {expected}");
    }
    for (component, vector) in found.vectors.iter().enumerate() {
        // The sign says nothing.
        let sign = (vector[0] * PEOPLE[0].1[component]).signum();
        for (person, expected) in PEOPLE {
            let distance = sign * vector[person] - expected[component];
            assert!(distance.abs() < tolerance, "{component} {person} {distance}");
        }
    }
}

#[test]
fn founders_of_hapmap() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let founders = hapmap.people.founders();
    let search = Search { count: 6, beside: 10, steps: 40, residual: 1e-6, seed: 7 };
    let mut pairs = Relationship::new(founders.clone(), 300).unwrap();
    for (index, block) in hapmap.genotypes.blocks().iter().enumerate() {
        pairs.add(block, |variant| chosen(64 * index + variant));
    }
    let exact = pairs.components(&search).unwrap();
    assert_plink(&exact, 1e-5);
    // Calls are missing here: one denominator for all pairs is close, and not the same.
    let open = || Ok(hapmap.genotypes.source());
    let search = Search { count: 2, beside: 6, residual: 1e-4, ..search };
    let passes = components(open, &founders, chosen, &search, |_, _| {}).unwrap();
    assert_plink(&passes, 2e-2);
    assert_eq!(passes.variants, exact.variants);

    // Children lie between their parents.
    let loadings = loadings(&mut hapmap.genotypes.source(), &founders, chosen, &passes).unwrap();
    let mut projection = Projection::new(279, &passes);
    for (block, loadings) in hapmap.genotypes.blocks().iter().zip(loadings.chunks(64)) {
        projection.add(block, loadings);
    }
    let places = projection.vectors();
    let mut children = 0;
    for trio in hapmap.people.trios() {
        for place in &places {
            let middle = (place[trio.father] + place[trio.mother]) / 2.0;
            assert!((place[trio.child] - middle).abs() < 0.03, "{} {middle}", place[trio.child]);
        }
        children += 1;
    }
    assert_eq!(children, 59);
}
