//! The targets over committed seeds and their mutations: what libFuzzer goes on with, in seconds and on every machine.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use histone_fuzz_checks::mutate::mutate;
use histone_fuzz_checks::{TARGETS, Target};

/// Mutations for each target, divided among its seeds; `HISTONE_FUZZ_MUTATIONS` sets another number, and says what they are
/// drawn from, so that more are also others.
const MUTATIONS: usize = 10_000;

fn folder(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../seeds").join(target.name)
}

fn seeds(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

/// The files are what the formats of now give. After a format has changed: `UPDATE_SNAPSHOTS=1`.
#[test]
fn the_committed_seeds_are_valid_and_what_the_formats_give() {
    for target in TARGETS {
        let made: BTreeMap<_, _> = (target.seeds)().into_iter().collect();
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            let _ = fs::remove_dir_all(folder(target));
            fs::create_dir_all(folder(target)).unwrap();
            made.iter().for_each(|(name, bytes)| fs::write(folder(target).join(name), bytes).unwrap());
        }
        let kept = seeds(target);
        assert!(kept == made, "the seeds of `{}` are old: write them with UPDATE_SNAPSHOTS=1", target.name);
        assert!(!kept.is_empty());
        for (name, bytes) in kept {
            assert!((target.check)(&bytes), "{}/{name} is refused", target.name);
        }
    }
}

#[test]
fn what_is_cut_or_longer_is_refused() {
    for target in TARGETS.iter().filter(|target| target.exact) {
        let all = seeds(target);
        for (name, bytes) in &all {
            // A long seed: its beginning, its end and some places between.
            let steps = (0..bytes.len()).step_by(bytes.len().div_ceil(300)).chain([bytes.len() - 1]);
            // The end of a training begins with its model, which is whole as well.
            for cut in steps.filter(|&cut| all.values().all(|seed| *seed != bytes[..cut])) {
                assert!(!(target.check)(&bytes[..cut]), "{}/{name} cut at {cut} is accepted", target.name);
            }
            for more in [&[0][..], b"x", &[255; 8]] {
                let long = [bytes, more].concat();
                assert!(!(target.check)(&long), "{}/{name} with more behind it is accepted", target.name);
            }
        }
    }
}

#[test]
fn mutations_neither_panic_nor_have_a_second_form() {
    let asked = std::env::var("HISTONE_FUZZ_MUTATIONS").ok().map(|number| number.parse::<usize>().unwrap());
    let mutations = asked.unwrap_or(MUTATIONS);
    let mut from = [11; 32];
    from[..8].copy_from_slice(&mutations.to_le_bytes());
    for target in TARGETS {
        let seeds = seeds(target);
        let mut rng = ChaCha20Rng::from_seed(from);
        let mut accepted = 0;
        for bytes in seeds.values() {
            for _ in 0..mutations / seeds.len() {
                let mutation = mutate(bytes, &mut rng);
                // The bytes of a failure, to make a test or a seed of them.
                let caught = std::panic::catch_unwind(|| (target.check)(&mutation));
                accepted += usize::from(caught.unwrap_or_else(|panic| {
                    eprintln!("`{}` fails over {}", target.name, mutation.escape_ascii());
                    std::panic::resume_unwind(panic)
                }));
            }
        }
        println!("{}: {accepted} of {mutations} mutations are accepted", target.name);
    }
}

/// Every target has a fuzz target, and every fuzz target is one of these.
#[test]
fn the_fuzz_targets_are_these() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut names: Vec<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    names.sort();
    assert_eq!(files, names);
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml lacks `{name}`");
    }
}
