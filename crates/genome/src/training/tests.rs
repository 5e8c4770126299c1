#![allow(clippy::unwrap_used)]
use super::*;
use crate::association::{Design, Linear};
use crate::genotypes::{Block, Call, Genotypes, SampleSet};
use crate::variant::Site;

const PEOPLE: usize = 1_200;
const VARIANTS: usize = 240;
const BLOCK: usize = 30;

fn site(chromosome: &str) -> Site {
    let [ids, reference, alternative] = [".", "A", "C"].map(str::to_owned);
    Site { line: 1, chromosome: chromosome.into(), position: 1, ids, reference, alternative }
}

/// People in thirds: for the scan, for the panel, and to judge. Neighbors within 30 variants are linked; one variant in ten has an
/// effect.
struct Simulated {
    genotypes: Genotypes,
    sites: Vec<Site>,
    genetic: Vec<f64>,
    effects: Vec<Option<Marginal>>,
}

fn third(which: usize) -> SampleSet {
    SampleSet::of(PEOPLE, |person| person % 3 == which)
}

fn simulate() -> Simulated {
    let mut state = 17_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1 << 24) as f64
    };
    // Each haplotype keeps the allele of its neighbor nine times in ten.
    let mut haplotypes = vec![0_u8; 2 * PEOPLE];
    let mut genotypes = Genotypes::new(PEOPLE);
    let mut genetic = vec![0.0; PEOPLE];
    for variant in 0..VARIANTS {
        let keep = if variant % BLOCK == 0 { 0.0 } else { 0.9 };
        for allele in &mut haplotypes {
            if random() >= keep {
                *allele = u8::from(random() < 0.4);
            }
        }
        let copies: Vec<u8> = haplotypes.as_chunks::<2>().0.iter().map(|[a, b]| a + b).collect();
        genotypes
            .push_calls(&copies.iter().map(|c| Call::from_code(u64::from(*c))).collect::<Vec<_>>())
            .unwrap();
        if variant % 10 == 4 {
            let effect = if random() < 0.5 { 1.0 } else { -1.0 };
            genetic.iter_mut().zip(&copies).for_each(|(sum, copies)| *sum += effect * f64::from(*copies));
        }
    }
    let scan = third(0);
    // About as much noise as there is variance by the genotypes.
    let noise = |uniform: f64| 12.0 * (uniform - 0.5);
    let phenotype: Vec<f64> = (0..PEOPLE)
        .map(|person| if scan.contains(person) { genetic[person] + noise(random()) } else { f64::NAN })
        .collect();
    let linear = Linear::new(Design::new(&phenotype, &[]).unwrap());
    let found = genotypes.blocks().iter().flat_map(|block| linear.scan(block));
    let effects = found.map(|estimate| Some(Marginal::from(&estimate.unwrap()))).collect();
    let sites = (0..VARIANTS).map(|variant| site(if variant < VARIANTS / 2 { "1" } else { "2" })).collect();
    Simulated { genotypes, sites, genetic, effects }
}

fn panel(simulated: &Simulated, people: SampleSet) -> Panel {
    let mut builder = PanelBuilder::new(people, BLOCK).unwrap();
    for (block, sites) in simulated.genotypes.blocks().iter().zip(simulated.sites.chunks(64)) {
        builder.add(block, sites, |_| true).unwrap();
    }
    builder.finish()
}

/// Correlation of a score with the truth, among the last third.
fn judged(simulated: &Simulated, weights: &[f64]) -> f64 {
    let judges = third(2);
    let mut pairs = vec![];
    for person in (0..PEOPLE).filter(|person| judges.contains(*person)) {
        let copies =
            |v: usize| simulated.genotypes.blocks()[v / 64].call(v % 64, person).unwrap().copies().unwrap();
        let score: f64 = weights.iter().enumerate().map(|(v, weight)| weight * f64::from(copies(v))).sum();
        pairs.push((score, simulated.genetic[person]));
    }
    let n = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let sum = |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|p| f(p.0 - x, p.1 - y)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn trained_scores_know_more_than_effects_alone() {
    let simulated = simulate();
    let panel = panel(&simulated, third(1));
    assert_eq!((panel.variants(), panel.blocks().len()), (VARIANTS, VARIANTS / BLOCK));
    let effects = &simulated.effects;
    let alone: Vec<f64> = effects.iter().flatten().map(|effect| effect.beta).collect();
    let rule = GridRule { heritability: 0.5, share: 0.1, ..GridRule::default() };
    let sparse = GridRule { sparse: true, ..rule.clone() };
    let weights = [
        alone,
        infinitesimal(&panel, effects, 0.5).unwrap(),
        lasso(&panel, effects, 0.2, 0.03).unwrap(),
        grid(&panel, effects, &rule).unwrap(),
        grid(&panel, effects, &sparse).unwrap(),
    ];
    let [alone, ridge, lasso, grid, sparse] = weights.each_ref().map(|weights| judged(&simulated, weights));
    for trained in [ridge, lasso, grid, sparse] {
        assert!(trained > alone + 0.015, "{alone} {ridge} {lasso} {grid} {sparse}");
    }
    assert!(weights[2].iter().filter(|weight| **weight == 0.0).count() > VARIANTS / 4);
    // The same seed, the same bits; another one, others.
    assert_eq!(super::grid(&panel, effects, &rule).unwrap(), weights[3]);
    assert_ne!(super::grid(&panel, effects, &GridRule { seed: 2, ..rule }).unwrap(), weights[3]);
}

/// With the panel of the scan itself, a block of all variants and hardly a penalty, ridge is least squares.
#[test]
fn ridge_on_ones_own_panel_is_regression() {
    let simulated = simulate();
    let scan = third(0);
    let mut builder = PanelBuilder::new(scan.clone(), 5).unwrap();
    let mut block = Block::new(PEOPLE);
    (0..3).for_each(|v| block.push_row(simulated.genotypes.row(v).unwrap()).unwrap());
    block.push_calls(&[Call::Het; PEOPLE]).unwrap();
    builder.add(&block, &[site("1"), site("1"), site("1"), site("1")], |_| true).unwrap();
    let panel = builder.finish();
    let y: Vec<f64> = (0..PEOPLE)
        .map(|person| if scan.contains(person) { simulated.genetic[person] } else { f64::NAN })
        .collect();
    let linear = Linear::new(Design::new(&y, &[]).unwrap());
    let mut effects: Vec<_> =
        linear.scan(&block).iter().map(|found| found.as_ref().ok().map(Marginal::from)).collect();
    // What the panel does not see vary has no weight, whatever is said of it.
    effects[3] = Some(Marginal { beta: 1.0, se: 1.0, people: 400.0 });
    let many: Vec<_> = effects
        .iter()
        .map(|effect| effect.map(|e| Marginal { people: 1e15, se: e.se * (e.people / 1e15).sqrt(), ..e }))
        .collect();
    let weights = infinitesimal(&panel, &many, 1.0).unwrap();
    let copies = |v: usize| -> Vec<f64> {
        (0..PEOPLE).map(|person| f64::from(block.call(v, person).unwrap().copies().unwrap())).collect()
    };
    for (v, weight) in weights.iter().enumerate().take(3) {
        let others: Vec<Vec<f64>> = (0..3).filter(|other| *other != v).map(copies).collect();
        let found = Linear::new(Design::new(&y, &others).unwrap()).scan(&block)[v].unwrap();
        // Effects carry the number of people, not the degrees of freedom: half a percent of 400.
        assert!((weight / found.beta - 1.0).abs() < 0.01, "{weight} {}", found.beta);
    }
    assert_eq!(weights[3], 0.0);
    // The lasso without a penalty and hardly any shrinkage is the same.
    let other = lasso(&panel, &many, 1e-9, 0.0).unwrap();
    assert!(other.iter().zip(&weights).all(|(a, b)| (a - b).abs() < 1e-5));
    // A variant without an effect is as if it were not there.
    effects[1] = None;
    assert_eq!(infinitesimal(&panel, &effects, 0.5).unwrap()[1], 0.0);
}

#[test]
fn what_makes_no_weights_is_said() {
    let simulated = simulate();
    let panel = panel(&simulated, third(1));
    let effects = &simulated.effects;
    assert!(matches!(
        infinitesimal(&panel, &effects[1..], 0.5),
        Err(TrainingError::Effects { found: 239, .. })
    ));
    let mut wrong = effects.clone();
    wrong[6] = Some(Marginal { beta: 0.0, se: 0.0, people: 1.0 });
    assert_eq!(lasso(&panel, &wrong, 0.5, 0.1), Err(TrainingError::NoEffect { variant: 7 }));
    assert!(matches!(infinitesimal(&panel, effects, f64::NAN), Err(TrainingError::Rule { .. })));
    assert!(matches!(lasso(&panel, effects, 0.0, 0.1), Err(TrainingError::Rule { .. })));
    assert!(matches!(lasso(&panel, effects, 0.5, -1.0), Err(TrainingError::Rule { .. })));
    assert!(matches!(
        grid(&panel, effects, &GridRule { rounds: 0, ..Default::default() }),
        Err(TrainingError::Rule { .. })
    ));
    assert!(PanelBuilder::new(third(0), 0).is_err());
    let mut builder = PanelBuilder::new(third(0), 3).unwrap();
    assert!(matches!(
        builder.add(&Block::new(2), &[], |_| true),
        Err(TrainingError::Block { people: 2, .. })
    ));
    assert_eq!(infinitesimal(&Panel::default(), &[], 0.5), Ok(vec![]));
}
