//! Times scans, pruning, components and regression on made-up genotypes:
//! `cargo run --release -p histone-genome --example scans [NAME]`, where only what has NAME in its name is run.
//!
//! One thread; the median of several runs, in time on the processor. Calls are drawn by a small generator with frequencies of 1 to
//! 50 %, and no linkage: SIMULATED, and of no use but this.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use histone_genome::association::{Design, Linear, LinearTraits};
use histone_genome::genotypes::{Genotypes, SampleSet, words_for};
use histone_genome::ld::{Pruner, Window};
use histone_genome::pca::{Relationship, Search, components};
use histone_genome::regression::{Regression, Rule};
use histone_genome::variant::Site;

const SAMPLES: usize = 2_500;
const VARIANTS: usize = 100_000;

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let genotypes = generate();
    println!("{SAMPLES} samples x {VARIANTS} variants, where no other number is said");
    let show = |what: &str, run: &mut dyn FnMut()| {
        if what.contains(&only) {
            println!("{what:<48} {:>9.4} s", median(run).as_secs_f64());
        }
    };
    let column = |seed: usize| -> Vec<f64> {
        (0..SAMPLES).map(|s| ((s * (2 * seed + 3) + s * s * seed) as f64 * 0.37).sin()).collect()
    };
    let traits: Vec<Vec<f64>> = (1..=50).map(column).collect();
    for count in [0, 10] {
        let covariates: Vec<Vec<f64>> = (51..51 + count).map(column).collect();
        let scan = Linear::new(Design::new(&traits[0], &covariates).unwrap());
        show(&format!("linear scan, 1 trait, {count} covariates"), &mut || {
            genotypes.blocks().iter().for_each(|block| drop(black_box(scan.scan(block))));
        });
        let scan = LinearTraits::new(&traits, &covariates).unwrap();
        show(&format!("linear scan, 50 traits, {count} covariates"), &mut || {
            genotypes.blocks().iter().for_each(|block| drop(black_box(scan.scan(block))));
        });
    }
    let sites: Vec<Site> = (1..=64)
        .map(|_| {
            let [ids, reference, alternative] = [".", "A", "C"].map(str::to_owned);
            Site { line: 1, chromosome: "1".into(), position: 1, ids, reference, alternative }
        })
        .collect();
    show("pruning, 50 variants, step 5", &mut || {
        let mut pruner = Pruner::new(SampleSet::all(SAMPLES), Window::Variants(50), 5, 0.2, 50).unwrap();
        for block in genotypes.blocks() {
            pruner.add(block, &sites[..block.variants()]).unwrap();
        }
        black_box(pruner.finish());
    });
    // Without structure all eigenvalues but the first few lie close together: no data settle later.
    let all = SampleSet::all(SAMPLES);
    for steps in [5, 10, 20] {
        show(&format!("10 components, 20,000 variants, {steps} passes"), &mut || {
            let search = Search { steps, residual: 0.0, ..Search::default() };
            let choose = |variant| variant < 20_000;
            let open = || Ok(genotypes.source());
            // No residual is small enough: all passes are made.
            assert!(components(open, &all, choose, &search, |_, _| {}).is_err());
        });
    }
    show("regression, step 1, 2,000 variants, blocks of 500", &mut || {
        let rule = Rule { block: 500, ..Rule::for_variants(2_000) };
        let mut regression = Regression::new(&traits[0], &[], rule).unwrap();
        for block in genotypes.blocks().iter().take(2_000 / 64) {
            regression.add(block, &sites, |_| true).unwrap();
        }
        black_box(regression.finish(|_, _| {}).unwrap());
    });
    show("relationships, 20,000 variants", &mut || {
        let mut pairs = Relationship::new(all.clone(), SAMPLES).unwrap();
        genotypes.blocks().iter().take(20_000 / 64).for_each(|block| pairs.add(block, |_| true));
        black_box(pairs.variants());
    });
}

fn median(run: &mut dyn FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let (start, busy) = (Instant::now(), on_cpu());
            run();
            match (busy, on_cpu()) {
                (Some(before), Some(after)) => after - before,
                _ => start.elapsed(),
            }
        })
        .collect();
    times.sort();
    times[2]
}

/// Time of this thread on a processor, where the system tells: a busy machine does not change it much.
fn on_cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

fn generate() -> Genotypes {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 32
    };
    let mut genotypes = Genotypes::new(SAMPLES);
    let mut row = vec![0_u64; words_for(SAMPLES)];
    for _ in 0..VARIANTS {
        let frequency = 43_000_000 + random() / 2;
        for (index, word) in row.iter_mut().enumerate() {
            let people = (SAMPLES - 32 * index).min(32);
            *word = (0..people).fold(0, |word, person| {
                let copies = u64::from(random() < frequency) + u64::from(random() < frequency);
                word | copies << (2 * person)
            });
        }
        genotypes.push_row(&row).unwrap();
    }
    genotypes
}
