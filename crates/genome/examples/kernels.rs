//! Times the kernels on made-up genotypes: `cargo run --release -p histone-genome --example kernels`.
//!
//! One thread; for each kernel the shortest of several runs, in time on the processor. Calls are drawn by a small generator with frequencies of
//! 1 to 50 %, and no linkage: SIMULATED, and of no use but this.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use histone_genome::association::{Design, Linear, ScoreTest};
use histone_genome::genotypes::{Call, Genotypes, Limits};
use histone_genome::plink::{BedReader, BedWriter};
use histone_genome::score::{Effect, Missing, Scores, Weights};
use histone_genome::stats::counts::{self, BySample};
use histone_genome::stats::hardy_weinberg::{self, Tail};
use histone_genome::stats::kinship::Planes;

const SAMPLES: usize = 2_500;
const VARIANTS: usize = 100_000;
const REPEATS: u32 = 10;
const KING_VARIANTS: usize = 20_000;

fn main() {
    let genotypes = generate();
    let bytes = VARIANTS as f64 * SAMPLES as f64 / 4.0;
    println!("{SAMPLES} samples x {VARIANTS} variants, {:.1} MB packed", bytes / 1e6);
    let show = |what: &str, time: Duration| {
        let seconds = time.as_secs_f64();
        println!("{what:<44} {seconds:>9.4} s  {:>7.2} GB/s", bytes / seconds / 1e9);
    };

    let mut all = Vec::new();
    // Many times in one run: the system tells the time of a thread in steps of milliseconds.
    let words = || genotypes.blocks().iter().flat_map(|block| block.words());
    let sum = best(7, || {
        (0..REPEATS).for_each(|_| {
            black_box(words().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
        })
    });
    show("words added up: what the memory gives", sum / REPEATS);
    let count = best(7, || {
        for _ in 0..REPEATS {
            all.clear();
            all.extend(genotypes.blocks().iter().flat_map(counts::of_block));
        }
    });
    show("counts of each variant", count / REPEATS);
    show(
        "counts of each person",
        best(7, || {
            let mut people = BySample::new(SAMPLES);
            genotypes.blocks().iter().for_each(|block| people.add(block, u64::MAX));
            black_box(people.counts());
        }),
    );
    show(
        "Hardy-Weinberg exact, from counts",
        best(3, || {
            black_box(all.iter().map(|c| hardy_weinberg::autosomal(c, Tail::Whole)).sum::<f64>());
        }),
    );
    show(
        "blocks turned round",
        best(3, || genotypes.blocks().iter().for_each(|block| drop(black_box(block.by_sample())))),
    );
    let mut bed = Vec::new();
    let write = best(3, || {
        let mut writer = BedWriter::new(std::mem::take(&mut bed)).unwrap();
        genotypes.blocks().iter().for_each(|block| writer.write(block).unwrap());
        bed = writer.finish();
        bed.truncate(3 + VARIANTS * SAMPLES.div_ceil(4));
    });
    show("BED written to memory", write);
    show(
        "BED read from memory",
        best(3, || {
            let mut reader = BedReader::new("bed", bed.as_slice(), SAMPLES, VARIANTS).unwrap();
            black_box(Genotypes::collect(&mut reader, &Limits::default()).unwrap());
        }),
    );
    for count in [0, 10, 49] {
        let column = |seed: usize| -> Vec<f64> {
            (0..SAMPLES).map(|s| ((s * (2 * seed + 3) + s * s * seed) as f64 * 0.37).sin()).collect()
        };
        let covariates: Vec<Vec<f64>> = (1..=count).map(column).collect();
        let linear = Linear::new(Design::new(&column(0), &covariates).unwrap());
        show(
            &format!("linear scan, {count} covariates, no p-values"),
            best(3, || genotypes.blocks().iter().for_each(|block| drop(black_box(linear.scan(block))))),
        );
        if count == 10 {
            let time = best(3, || {
                let found = genotypes.blocks().iter().flat_map(|block| linear.scan(block));
                black_box(found.flatten().map(|estimate| estimate.p()).sum::<f64>());
            });
            show("linear scan, 10 covariates, with p-values", time);
        }
    }
    let cases: Vec<f64> = (0..SAMPLES).map(|s| f64::from(u8::from((s * s) % 7 < 3))).collect();
    let covariates: Vec<Vec<f64>> =
        (1..=10).map(|c| (0..SAMPLES).map(|s| ((s * (2 * c + 1)) as f64 * 0.37).sin()).collect()).collect();
    let test = ScoreTest::new(&cases, &covariates).unwrap();
    show(
        "logistic score test, 10 covariates, with p",
        best(3, || {
            let found = genotypes.blocks().iter().flat_map(|block| test.scan(block));
            black_box(found.flatten().map(|estimate| estimate.p()).sum::<f64>());
        }),
    );
    for count in [1, 100] {
        let weights: Vec<Option<Weights>> = (0..64)
            .map(|v| Some(Weights { effect: Effect::Alternative, weights: vec![f64::from(v) * 0.01; count] }))
            .collect();
        let time = best(2, || {
            let mut scores = Scores::new(SAMPLES, count, Missing::Mean);
            genotypes.blocks().iter().for_each(|block| scores.add(block, &weights));
            black_box(scores.people());
        });
        show(&format!("polygenic scores, {count} at a time"), time);
    }
    let planes = Planes::collect(&mut genotypes.source(), |variant| variant < KING_VARIANTS).unwrap();
    let time = best(2, || {
        let mut sum = 0.0;
        planes.pairs(|_, _, pair| sum += pair.kinship().unwrap_or(0.0));
        black_box(sum);
    });
    println!("KING, {KING_VARIANTS} variants, all pairs {:>9.4} s", time.as_secs_f64());
}

/// The shortest of several runs.
fn best(runs: usize, mut run: impl FnMut()) -> Duration {
    let once = || {
        let (start, busy) = (Instant::now(), on_cpu());
        run();
        match (busy, on_cpu()) {
            (Some(before), Some(after)) => after - before,
            _ => start.elapsed(),
        }
    };
    std::iter::repeat_with(once).take(runs).min().unwrap()
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
        (state >> 40) as f64 / (1 << 24) as f64
    };
    let mut genotypes = Genotypes::new(SAMPLES);
    let mut calls = vec![Call::HomRef; SAMPLES];
    for _ in 0..VARIANTS {
        let frequency = 0.01 + 0.49 * random();
        let below = [(1.0 - frequency).powi(2), 1.0 - frequency * frequency];
        for call in &mut calls {
            let draw = random();
            *call = if draw < below[0] {
                Call::HomRef
            } else if draw < below[1] {
                Call::Het
            } else {
                Call::HomAlt
            };
        }
        genotypes.push_calls(&calls).unwrap();
    }
    genotypes
}
