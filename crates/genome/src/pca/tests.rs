#![allow(clippy::unwrap_used)]
use std::convert::Infallible;

use super::*;
use crate::genotypes::{Call, Genotypes};

const PEOPLE: usize = 45;

/// Three groups with frequencies of their own, and a few missing calls.
fn genotypes(missing: u64) -> Genotypes {
    let mut state = 11_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    };
    let mut genotypes = Genotypes::new(PEOPLE);
    for _ in 0..300 {
        let frequencies = [random(), random(), random()];
        let calls: Vec<Call> = (0..PEOPLE)
            .map(|person| match random() % 100 < missing {
                true => Call::Missing,
                false => {
                    let draw = |random: u64| u64::from(random < frequencies[person % 3]);
                    Call::from_code(draw(random()) + draw(random()))
                }
            })
            .collect();
        genotypes.push_calls(&calls).unwrap();
    }
    genotypes
}

fn search(count: usize) -> Search {
    Search { count, beside: 4, steps: 60, residual: 1e-11, seed: 3 }
}

fn passes(
    genotypes: &Genotypes,
    people: &SampleSet,
    search: &Search,
) -> Result<Components, PassError<Infallible>> {
    components(|| Ok(genotypes.source()), people, |variant| !variant.is_multiple_of(10), search, |_, _| {})
}

fn relationship(genotypes: &Genotypes, people: &SampleSet) -> Relationship {
    let mut relationship = Relationship::new(people.clone(), 100).unwrap();
    for (index, block) in genotypes.blocks().iter().enumerate() {
        relationship.add(block, |variant| !(64 * index + variant).is_multiple_of(10));
    }
    relationship
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} {expected}");
    }
}

/// Both ways agree with each other and with the definition, of some people as of all.
#[test]
fn two_ways_to_the_same_components() {
    let genotypes = genotypes(0);
    for people in [SampleSet::all(PEOPLE), SampleSet::of(PEOPLE, |person| person % 4 != 1)] {
        let found = passes(&genotypes, &people, &search(4)).unwrap();
        let pairs = relationship(&genotypes, &people);
        let others = pairs.components(&search(4)).unwrap();
        assert_eq!((found.variants, others.variants), (270, 270));
        assert_near(&found.eigenvalues, &others.eigenvalues, 1e-9);
        for (value, (vector, other)) in
            found.eigenvalues.iter().zip(found.vectors.iter().zip(&others.vectors))
        {
            assert_near(vector, other, 1e-8);
            for person in (0..PEOPLE).filter(|person| people.contains(*person)) {
                let row = (0..PEOPLE).map(|other| pairs.get(person, other).unwrap_or(0.0));
                let product: f64 = row.zip(vector).map(|(a, b)| a * b).sum();
                assert!((product - value * vector[person]).abs() < 1e-9);
            }
        }
        // Two components tell three groups apart, the third is noise.
        assert!(found.eigenvalues[1] > 3.0 * found.eigenvalues[2]);
    }
}

#[test]
fn relationships_are_over_the_variants_that_both_have() {
    let genotypes = genotypes(8);
    let people = SampleSet::of(PEOPLE, |person| person != 5);
    let found = relationship(&genotypes, &people);
    for (first, second) in [(0, 0), (3, 1), (44, 43), (7, 20)] {
        let (mut sum, mut called) = (0.0, 0.0);
        for (variant, row) in genotypes.rows().enumerate().filter(|(variant, _)| !variant.is_multiple_of(10))
        {
            let Some(z) = standardized(&counts::of_row_in(row, &people)) else { continue };
            let call = |person| genotypes.blocks()[variant / 64].call(variant % 64, person).unwrap();
            if call(first) != Call::Missing && call(second) != Call::Missing {
                sum += z[call(first) as usize] * z[call(second) as usize];
                called += 1.0;
            }
        }
        assert!((found.get(first, second).unwrap() - sum / called).abs() < 1e-12);
        assert_eq!(found.get(first, second), found.get(second, first));
    }
    assert_eq!(found.get(5, 1), None);
    assert!(found.components(&search(3)).is_ok());
}

/// Those who made the components are projected on themselves, and those who lack calls nearly so.
#[test]
fn projections() {
    let whole = genotypes(0);
    let people = SampleSet::of(PEOPLE, |person| person % 5 != 0);
    let components = passes(&whole, &people, &search(2)).unwrap();
    let chosen = |variant: usize| !variant.is_multiple_of(10);
    let loadings = loadings(&mut whole.source(), &people, chosen, &components).unwrap();
    assert_eq!(loadings.iter().flatten().count(), 270);
    let project = |genotypes: &Genotypes| {
        let mut projection = Projection::new(PEOPLE, &components);
        for (block, loadings) in genotypes.blocks().iter().zip(loadings.chunks(64)) {
            projection.add(block, loadings);
        }
        projection.vectors()
    };
    for (found, own) in project(&whole).iter().zip(&components.vectors) {
        for person in 0..PEOPLE {
            let near = if people.contains(person) { own[person] } else { own[(person + 3) % PEOPLE] };
            // Others of the same group lie near; the distance of groups is above 0.2.
            let tolerance = if people.contains(person) { 1e-9 } else { 0.12 };
            assert!((found[person] - near).abs() < tolerance, "{person}: {} {near}", found[person]);
        }
    }
    let mut lacking = Genotypes::new(PEOPLE);
    for (variant, row) in whole.rows().enumerate() {
        let mut row = row.to_vec();
        row[0] |= if variant % 2 == 0 { 0 } else { 3 };
        lacking.push_row(&row).unwrap();
    }
    let (full, half) = (project(&whole), project(&lacking));
    assert!((full[0][0] - half[0][0]).abs() < 0.12 && full[0][0] != half[0][0]);
}

#[test]
fn what_has_no_components_is_said() {
    let genotypes = genotypes(0);
    let all = SampleSet::all(PEOPLE);
    let error = |search: &Search| match passes(&genotypes, &all, search) {
        Err(PassError::Pca(error)) => error,
        _ => panic!("no error"),
    };
    assert!(matches!(error(&search(PEOPLE)), PcaError::TooMany { wanted: 45, people: 45 }));
    assert!(matches!(error(&search(0)), PcaError::TooMany { .. }));
    assert!(matches!(error(&Search { steps: 1, ..search(4) }), PcaError::NotSettled { steps: 1 }));
    let none = components(|| Ok(genotypes.source()), &all, |_| false, &search(2), |_, _| {});
    assert!(matches!(none, Err(PassError::Pca(PcaError::NoVariants))));
    let other = components(|| Ok(genotypes.source()), &SampleSet::all(3), |_| true, &search(2), |_, _| {});
    assert!(matches!(other, Err(PassError::Pca(PcaError::Changed))));
    assert!(matches!(Relationship::new(all, 10), Err(PcaError::TooLarge { people: 45, limit: 10 })));
}
