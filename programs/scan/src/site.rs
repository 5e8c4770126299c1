//! The people of one site and their genotypes.

use histone_program_sdk::config::Config;
use histone_program_sdk::data::Data;
use histone_program_sdk::genotypes::{Genotypes, Weights, halves, whole};
use histone_program_sdk::refusal::Refusal;

use crate::covariates::Covariates;
use crate::shape::Shape;

/// Variants below which a site does not say which share of the genotypes is called.
const LEAST_VARIANTS: f64 = 100.0;

/// The columns of each person of the site, or nothing of who does not count.
pub(crate) fn people(config: &Config, data: &dyn Data) -> Result<Vec<Option<Vec<i32>>>, Refusal> {
    let covariates = Covariates::of(config)?;
    let mut people = Vec::new();
    data.each(config.columns(), &mut |_, row| {
        people.push(covariates.row(row));
        Ok(())
    })?;
    Ok(people)
}

/// People by their columns.
pub(crate) fn weights(shape: &Shape, people: &[Option<Vec<i32>>]) -> Result<Weights, Refusal> {
    Weights::new(shape.columns, people).ok_or(Refusal::Malformed)
}

/// Goes through the blocks that have any of the variants of a round, the first of which has place `first`. `each` gets a block and, for
/// its variants, what is to be filled with what the site gives; none for those of other rounds.
pub(crate) fn each_block(
    shape: &Shape,
    first: usize,
    data: &dyn Data,
    numbers: &mut [f64],
    mut each: impl FnMut(&Genotypes, &mut [Option<&mut [f64]>]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let last = (first + shape.together).min(shape.variants);
    let mut rest = numbers.chunks_exact_mut(shape.of_each()).take(last.saturating_sub(first));
    let mut at = first;
    for number in 0..data.genotype_blocks() {
        let block = data.genotypes(number)?;
        if block.first() >= last || block.first() + block.variants() <= first {
            continue;
        }
        let mut of_block: Vec<Option<&mut [f64]>> = Vec::with_capacity(block.variants());
        for place in block.first()..block.first() + block.variants() {
            let asked = (first..last).contains(&place);
            // One after the other, and none twice.
            if asked && place != at {
                return Err(Refusal::Malformed);
            }
            at += usize::from(asked);
            of_block.push(if asked { rest.next() } else { None });
        }
        each(&block, &mut of_block)?;
    }
    // Genotypes of another panel would be no answer.
    if at == last.max(first) { Ok(()) } else { Err(Refusal::Malformed) }
}

pub(crate) fn write_halves(from: &[i64], to: &mut [f64]) {
    to.as_chunks_mut().0.iter_mut().zip(from).for_each(|(to, from)| *to = halves(*from));
}

/// Sums of which a round gives halves.
pub(crate) fn wholes(numbers: &[f64]) -> Vec<f64> {
    numbers.as_chunks().0.iter().map(|halves| whole(*halves)).collect()
}

pub(crate) fn write(from: &[i64], to: &mut [f64]) {
    // All of them are below 2^53.
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as f64);
}

/// People in the scan, and the share of their genotypes that are called.
pub(crate) fn report(config: &Config, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let shape = Shape::of(config)?;
    let people = weights(&shape, &people(config, data)?)?;
    let count = people.people() as f64;
    let (mut calls, mut missing) = (0.0, 0.0);
    for number in 0..data.genotype_blocks() {
        let sums = people.sums_of(&data.genotypes(number)?).ok_or(Refusal::Malformed)?;
        calls += count * sums.len() as f64;
        missing += sums.iter().map(|sums| f64::from(sums.counts[2])).sum::<f64>();
    }
    // Of few variants it would be a number of single calls.
    let told = calls >= LEAST_VARIANTS * count && calls > 0.0;
    Ok(vec![count, if told { 1.0 - missing / calls } else { f64::NAN }])
}
