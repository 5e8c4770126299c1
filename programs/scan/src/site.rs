//! What one site gives.

use histone_program_sdk::config::Config;
use histone_program_sdk::data::Data;
use histone_program_sdk::genotypes::{VariantSums, Weights, halves};
use histone_program_sdk::refusal::Refusal;

use crate::covariates::Covariates;
use crate::shape::Shape;

/// Variants below which a site does not say which share of the genotypes is called.
const LEAST_VARIANTS: f64 = 100.0;

/// The people of the site: their columns, or nothing of who does not count.
fn people(config: &Config, data: &dyn Data) -> Result<Weights, Refusal> {
    let (covariates, scale) = (Covariates::of(config)?, crate::scale(config)?);
    let mut people = Vec::new();
    data.each(config.columns(), &mut |_, row| {
        people.push(covariates.row(row, scale));
        Ok(())
    })?;
    Weights::new(covariates.width() + 1, &people).ok_or(Refusal::Malformed)
}

/// Whether so many people are a group that is too small to be told of.
fn few(config: &Config, people: i64) -> bool {
    people > 0 && people < i64::from(config.least.site)
}

/// All numbers of a round about the variants from place `first` on.
pub(crate) fn numbers(
    config: &Config,
    shape: &Shape,
    first: usize,
    data: &dyn Data,
) -> Result<Vec<f64>, Refusal> {
    let mut numbers = vec![0.0; shape.numbers()];
    let people = people(config, data)?;
    let (all, levels) = (people.products(), Covariates::of(config)?.levels());
    if too_small(config, &people, &all, &levels) {
        return Ok(numbers);
    }
    let (head, rest) = numbers.split_at_mut(shape.triangle());
    write_halves(&all, head);
    let last = (first + shape.together).min(shape.variants);
    let mut seen = 0;
    for number in 0..data.genotype_blocks() {
        let block = data.genotypes(number)?;
        if block.first() >= last || block.first() + block.variants() <= first {
            continue;
        }
        let sums = people.sums(&block).ok_or(Refusal::Malformed)?;
        for (i, sums) in sums.iter().enumerate() {
            let place = block.first() + i;
            let Some(at) = place.checked_sub(first).filter(|_| place < last) else { continue };
            seen += 1;
            let to = &mut rest[at * shape.of_each()..(at + 1) * shape.of_each()];
            let (products, missing) = to.split_at_mut(shape.columns + 2);
            let lacking = match sums.counts[2] {
                0 => vec![0; all.len()],
                _ => people.products_of_missing(block.of(i)),
            };
            if tells_of_few(config, (&all, &lacking), sums, &levels) {
                // As if nobody had a call.
                write_halves(&all, missing);
                continue;
            }
            write(&sums.products, products);
            products[shape.columns] = sums.squares() as f64;
            products[shape.columns + 1] = f64::from(u8::from(all[0] > lacking[0]));
            write_halves(&lacking, missing);
        }
    }
    // Genotypes of another panel would be no answer.
    if seen == last.saturating_sub(first) { Ok(numbers) } else { Err(Refusal::Malformed) }
}

/// Whether the site has too few people, or too few have another value of a covariate than the most have: of a level, or by a range so wide
/// that all others are rounded to one number.
fn too_small(config: &Config, people: &Weights, all: &[i64], levels: &[bool]) -> bool {
    let of_levels = all.iter().zip(levels).filter(|(_, level)| **level).map(|(count, _)| *count);
    let few = |n: i64| few(config, n);
    few(all[0])
        || of_levels.into_iter().any(|n| few(n) || few(all[0] - n))
        || people.apart().into_iter().any(|n| few(n as i64))
}

/// Whether what the site would say of a variant is of too few people: of all but those with the most common genotype, and of those
/// without a call, in all and in each level of a category. Where nobody differs there is nothing to say, and saying that would tell it
/// from one who does.
fn tells_of_few(
    config: &Config,
    (all, lacking): (&[i64], &[i64]),
    sums: &VariantSums,
    levels: &[bool],
) -> bool {
    let least = i64::from(config.least.site);
    if least == 0 {
        return false;
    }
    let few = |n: i64| few(config, n);
    let called = all[0] - lacking[0];
    let [one, two, _] = sums.counts.map(i64::from);
    let rare = called - one.max(two).max(called - one - two);
    let in_level = |(i, _): (usize, &bool)| {
        let (copies, without, of_all) = (sums.products[i], lacking[i], all[i]);
        // Copies in the level and in the others; people without a call and with one, in the level and in the others.
        let cells = [
            copies,
            sums.products[0] - copies,
            without,
            lacking[0] - without,
            of_all - without,
            called - (of_all - without),
        ];
        cells.into_iter().any(few)
    };
    rare < least
        || few(called)
        || few(lacking[0])
        || levels.iter().enumerate().filter(|(_, level)| **level).any(in_level)
}

fn write_halves(from: &[i64], to: &mut [f64]) {
    to.as_chunks_mut().0.iter_mut().zip(from).for_each(|(to, from)| *to = halves(*from));
}

fn write(from: &[i64], to: &mut [f64]) {
    // All of them are below 2^53.
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f64);
}

/// People in the scan, and the share of their genotypes that are called.
pub(crate) fn report(config: &Config, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let people = people(config, data)?;
    let count = people.people() as f64;
    let (mut calls, mut missing) = (0.0, 0.0);
    for number in 0..data.genotype_blocks() {
        let sums = people.sums(&data.genotypes(number)?).ok_or(Refusal::Malformed)?;
        calls += count * sums.len() as f64;
        missing += sums.iter().map(|sums| f64::from(sums.counts[2])).sum::<f64>();
    }
    // Of few variants it would be a number of single calls.
    let told = calls >= LEAST_VARIANTS * count && calls > 0.0;
    Ok(vec![count, if told { 1.0 - missing / calls } else { f64::NAN }])
}
