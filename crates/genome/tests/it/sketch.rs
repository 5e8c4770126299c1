//! Sketches of real genomes: copies are found, relatives and strangers are not.

use histone_genome::assembly::Assembly;
use histone_genome::genotypes::{Call, Genotypes};
use histone_genome::simulate::{Plan, Spectrum};
use histone_genome::sketch::{Decision, Gather, Sketch, Sketcher};
use histone_genome::stats::{counts, kinship};
use histone_genome::variant::Variant;

use crate::data;
use crate::data::Hapmap;

/// Variants of which both alleles have a frequency or more, at most so many, spread evenly over the list.
fn common(genotypes: &Genotypes, variants: &[Option<Variant>], least: f64, most: usize) -> Vec<Variant> {
    let chosen: Vec<&Variant> = genotypes
        .rows()
        .zip(variants)
        .filter(|(row, _)| {
            let frequency = counts::of_row(row, genotypes.samples()).frequency();
            frequency.is_some_and(|f| (least..=1.0 - least).contains(&f))
        })
        .filter_map(|(_, variant)| variant.as_ref())
        .filter(|variant| variant.chromosome().is_autosome())
        .collect();
    let step = chosen.len().div_ceil(most);
    chosen.into_iter().step_by(step).cloned().collect()
}

fn sketches(sketcher: &Sketcher, genotypes: &Genotypes, variants: &[Option<Variant>]) -> Vec<Sketch> {
    let mut gather = Gather::new(sketcher, genotypes.samples());
    for (block, variants) in genotypes.blocks().iter().zip(variants.chunks(64)) {
        gather.add(block, variants);
    }
    gather.finish()
}

/// The same genotypes with 1 % of the calls replaced by another one and 10 % missing.
fn noisy(genotypes: &Genotypes, mut state: u64) -> Genotypes {
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut changed = Genotypes::new(genotypes.samples());
    for block in genotypes.blocks() {
        for v in 0..block.variants() {
            let calls: Vec<Call> = (0..block.samples())
                .map(|s| match (next() % 1_000, block.call(v, s).unwrap()) {
                    (0..100, _) => Call::Missing,
                    (100..110, call) => Call::from_code((call as u64 + 1 + next() % 2) % 3),
                    (_, call) => call,
                })
                .collect();
            changed.push_calls(&calls).unwrap();
        }
    }
    changed
}

/// Pairs of the first and the second list that are taken for one genome, and the least and largest agreement of those that
/// are meant to be and not to be.
fn compare(
    first: &[Sketch],
    second: &[Sketch],
    skip: impl Fn(usize, usize) -> bool,
) -> (usize, Vec<(usize, usize)>, f64, f64) {
    let (mut found, mut false_matches, mut least, mut largest) = (0, vec![], 1.0_f64, 0.0_f64);
    for (i, a) in first.iter().enumerate() {
        for (j, b) in second.iter().enumerate().filter(|(j, _)| !skip(i, *j)) {
            let likeness = a.likeness(b).unwrap();
            let same = likeness.decision() == Decision::Same;
            let agreement = likeness.agreement().unwrap();
            if i == j {
                found += usize::from(same);
                least = least.min(agreement);
            } else {
                largest = largest.max(agreement);
                if same {
                    false_matches.push((i, j));
                }
            }
        }
    }
    (found, false_matches, least, largest)
}

#[test]
fn hapmap_copies_are_found_and_parents_are_not() {
    let Some(root) = data::root() else { return };
    let hapmap = Hapmap::read(&root);
    let variants: Vec<Option<Variant>> = (0..hapmap.variants.len())
        .map(|index| hapmap.variants.variant(index, Assembly::Grch37).and_then(Result::ok))
        .collect();
    let panel = common(&hapmap.genotypes, &variants, 0.2, 3_000);
    let sketcher = Sketcher::new(&[3; 32], &panel).unwrap();
    println!("hapmap: {} variants", sketcher.variants());
    let clean = sketches(&sketcher, &hapmap.genotypes, &variants);
    let copies = sketches(&sketcher, &noisy(&hapmap.genotypes, 1), &variants);
    // The ten copies of the fileset are named like the people that they are of.
    let id = |person: usize| hapmap.people.person(person).unwrap().id.trim_end_matches(".dup").to_owned();
    let (found, false_matches, least, largest) = compare(&clean, &copies, |i, j| i != j && id(i) == id(j));
    println!(
        "hapmap: {found} of 279, {false_matches:?} false of 77,562, least {least:.3}, largest {largest:.3}"
    );
    assert_eq!((found, false_matches), (279, vec![]));
    let pairs = (0..279).flat_map(|i| (0..i).map(move |j| (j, i))).filter(|(i, j)| id(*i) == id(*j));
    let real: Vec<bool> =
        pairs.map(|(i, j)| clean[i].likeness(&clean[j]).unwrap().decision() == Decision::Same).collect();
    assert_eq!(real, [true; 10]);
    let parents: f64 = hapmap
        .people
        .trios()
        .flat_map(|trio| [(trio.child, trio.father), (trio.child, trio.mother)])
        .map(|(child, parent)| clean[child].likeness(&copies[parent]).unwrap().agreement().unwrap())
        .fold(0.0, f64::max);
    println!("hapmap: parents and children agree in {parents:.3} at most");
    assert!(parents < 0.7);
}

#[test]
fn simulated_siblings_are_two_people() {
    let plan = Plan {
        populations: vec![80],
        families: 40,
        variants: 2_200,
        spectrum: Spectrum::Array,
        ..Plan::default()
    };
    let cohort = plan.simulate().unwrap();
    let variants: Vec<Option<Variant>> = cohort.variants.iter().cloned().map(Some).collect();
    let sketcher = Sketcher::new(&[4; 32], &common(&cohort.genotypes, &variants, 0.2, 3_000)).unwrap();
    let clean = sketches(&sketcher, &cohort.genotypes, &variants);
    let copies = sketches(&sketcher, &noisy(&cohort.genotypes, 2), &variants);
    let (found, false_matches, least, largest) = compare(&clean, &copies, |_, _| false);
    println!("families: {found} of 160, {false_matches:?} false, least {least:.3}, largest {largest:.3}");
    assert_eq!((found, false_matches), (160, vec![]));
}

/// One chromosome of the 550 people, which is far less than a panel should have: two of them have nearly all of it in common,
/// as close relatives may, and are taken for one. Nobody else is.
#[test]
fn strangers_of_one_chromosome() {
    let Some(root) = data::root() else { return };
    let panel = crate::panel::of_550(&root);
    let variants = named(panel);
    let sketcher = Sketcher::new(&[5; 32], &common(&panel.genotypes, &variants, 0.2, 3_000)).unwrap();
    let clean = sketches(&sketcher, &panel.genotypes, &variants);
    let copies = sketches(&sketcher, &noisy(&panel.genotypes, 3), &variants);
    let (found, false_matches, least, largest) = compare(&clean, &copies, |_, _| false);
    let planes = kinship::Planes::collect(&mut panel.genotypes.source(), |_| true).unwrap();
    let kinship = |(i, j): &(usize, usize)| planes.pair(*i, *j).unwrap().kinship().unwrap();
    let near: Vec<f64> = false_matches.iter().map(kinship).collect();
    println!(
        "550: {found} of 550, false of 301,950 with kinship {near:.3?}, least {least:.3}, largest {largest:.3}"
    );
    assert_eq!((found, near.len()), (550, 2));
    assert!(near.iter().all(|kinship| *kinship > 0.354));
}

/// Half a million bases of 2,548 people: too short a stretch, on which strangers can be alike. Said, not hidden.
#[test]
#[ignore = "optimized builds only: six million pairs"]
fn strangers_of_a_short_stretch() {
    let Some(root) = data::root() else { return };
    let panel = crate::panel::read(&root, "onekg_chr22_hg38.vcf.gz");
    let variants = named(&panel);
    let chosen = common(&panel.genotypes, &variants, 0.05, 3_000);
    let sketcher = Sketcher::new(&[6; 32], &chosen).unwrap();
    let clean = sketches(&sketcher, &panel.genotypes, &variants);
    let copies = sketches(&sketcher, &noisy(&panel.genotypes, 4), &variants);
    let (found, false_matches, least, largest) = compare(&clean, &copies, |_, _| false);
    println!(
        "2,548, {} variants: {found} found, {} false of 6,489,756, least {least:.3}, largest {largest:.3}",
        chosen.len(),
        false_matches.len()
    );
    assert_eq!(found, 2_548);
}

/// Variants in the order of a panel; places do not matter to sketches, only that they differ.
fn named(panel: &crate::panel::Panel) -> Vec<Option<Variant>> {
    let variant = |([r, a], index): (&[String; 2], u32)| {
        Variant::new(Assembly::Grch37, "22".parse().ok()?, index.try_into().ok()?, r, a).ok()
    };
    panel.alleles.iter().zip(1_u32..).map(variant).collect()
}
