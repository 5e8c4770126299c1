//! What one site gives.

use histone_program_sdk::config::Config;
use histone_program_sdk::data::Data;
use histone_program_sdk::genotypes::Weights;
use histone_program_sdk::refusal::Refusal;

use crate::covariates::Covariates;
use crate::shape::Shape;

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
fn few(config: &Config, people: u64) -> bool {
    people > 0 && people < u64::from(config.least.site)
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
    let all = people.products();
    if too_small(config, shape, &all) {
        return Ok(numbers);
    }
    let (head, rest) = numbers.split_at_mut(shape.triangle());
    write(&all, head);
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
            let (products, missing) = to.split_at_mut(shape.columns + 1);
            let called = (all[0] as u64).saturating_sub(sums.counts[2].into());
            let minor = sums.copies().min((2 * called).saturating_sub(sums.copies()));
            if few(config, called) || few(config, minor) || few(config, sums.counts[2].into()) {
                // As if nobody had a call.
                write(&all, missing);
                continue;
            }
            write(&sums.products, products);
            products[shape.columns] = sums.squares() as f64;
            if sums.counts[2] > 0 {
                write(&people.products_of_missing(block.of(i)), missing);
            }
        }
    }
    // Genotypes of another panel would be no answer.
    if seen == last.saturating_sub(first) { Ok(numbers) } else { Err(Refusal::Malformed) }
}

/// Whether the site, or one level of its categories, has too few people.
fn too_small(config: &Config, shape: &Shape, all: &[i64]) -> bool {
    let levels = config.features.iter().flat_map(|x| match &x.kind {
        histone_program_sdk::config::Kind::Category { levels } => vec![true; levels.len().saturating_sub(1)],
        histone_program_sdk::config::Kind::Genotypes { .. } => vec![],
        _ => vec![false],
    });
    // The first row of the triangle: the intercept times each column, which of a level counts its people.
    let counts = all.iter().take(shape.columns).skip(1).zip(levels).filter(|(_, level)| *level);
    few(config, all[0] as u64)
        || counts.into_iter().any(|(n, _)| few(config, *n as u64) || few(config, (all[0] - n) as u64))
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
    Ok(vec![count, if calls > 0.0 { 1.0 - missing / calls } else { f64::NAN }])
}
