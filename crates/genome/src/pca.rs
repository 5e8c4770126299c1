//! Principal components of genotypes: ancestry as a few numbers for each person.
//!
//! With `z = (copies - 2p) / sqrt(2p (1 - p))`, and 0 for a missing call, the relationship matrix is `Z Z' / variants` (Patterson,
//! Price and Reich 2006, PLoS Genetics 2(12)). Its largest eigenvalues and their eigenvectors, of length 1, are what
//! `plink2 --pca` prints.
//!
//! | asked | function | keeps in memory |
//! |---|---|---|
//! | components of many people | [`components`]: several passes over the file, randomized | some numbers for each person |
//! | components of few people | [`Relationship`]: one pass, each pair over the variants at which both are called | people squared |
//! | weights of the variants | [`loadings`]: one more pass | a few numbers for each variant |
//! | components of other people | [`Projection`] | a few numbers for each person |
//!
//! Both ways build a Krylov space block by block from a random start (Halko, Martinsson and Tropp 2011, SIAM Review 53(2);
//! Musco and Musco 2015) until the residuals are small; how small, and how much work that may take, is [`Search`]. They differ in
//! missing calls: the first way takes all variants as the denominator, PLINK's `approx`, the second counts for each pair.
//! Variants that do not vary are not counted; PLINK 2 counts them, so its eigenvalues are smaller by that factor where there
//! are any.
//!
//! Give them autosomal variants without linkage, of people who are not related. The sign of a component says nothing; here
//! the number farthest from 0 is positive.

mod eigen;
mod krylov;
mod projection;
mod relationship;

pub use krylov::{Components, Search};
pub use projection::{Loading, Projection, loadings};
pub use relationship::Relationship;

use crate::association::dots::{COPIES, Columns};
use crate::association::linear::missing_people;
use crate::cpu;
use crate::genotypes::{BLOCK_VARIANTS, Block, SampleSet, Source};
use crate::score::{LANES, Sums};
use crate::stats::counts::{self, Counts};

/// Why there are no components.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PcaError {
    /// More components than there can be.
    #[error("{wanted} components of {people} people cannot be; ask for fewer")]
    TooMany {
        /// Components that were asked for.
        wanted: usize,
        /// People.
        people: usize,
    },
    /// No variant varies among the people.
    #[error("no chosen variant varies among these people")]
    NoVariants,
    /// More people than the caller allows for a matrix of all pairs.
    #[error("{people} people have too many pairs; at most {limit} are allowed")]
    TooLarge {
        /// People.
        people: usize,
        /// The number allowed.
        limit: usize,
    },
    /// Passes over one file that brought different people or variants.
    #[error("a pass over the genotypes brought other people or variants than the first")]
    Changed,
    /// The residuals are still too large.
    #[error("the components did not settle in {steps} steps; allow more, or a larger residual")]
    NotSettled {
        /// Steps that were made.
        steps: usize,
    },
}

/// What can end a computation that reads a source.
#[derive(Debug, thiserror::Error)]
pub enum PassError<E> {
    /// The source.
    #[error(transparent)]
    Source(E),
    /// The components.
    #[error(transparent)]
    Pca(#[from] PcaError),
}

/// A variant's calls as numbers of mean 0 and variance 1; `None` where all are the same.
fn standardized(counts: &Counts) -> Option<[f64; 4]> {
    let frequency = counts.frequency()?;
    let deviation = (2.0 * frequency * (1.0 - frequency)).sqrt();
    let of = |copies: f64| (copies - 2.0 * frequency) / deviation;
    (deviation > 0.0).then(|| [of(0.0), of(1.0), of(2.0), 0.0])
}

/// What each call of a block counts, 0 for variants that are not chosen or do not vary; and how many count.
fn effects(
    block: &Block,
    people: &SampleSet,
    chosen: impl Fn(usize) -> bool,
) -> ([[f64; 4]; BLOCK_VARIANTS], u64) {
    let mut effects = [[0.0; 4]; BLOCK_VARIANTS];
    let mut mask = 0;
    for (variant, row) in block.rows().enumerate().filter(|(variant, _)| chosen(*variant)) {
        if let Some(of_calls) = standardized(&counts::of_row_in(row, people)) {
            effects[variant] = of_calls;
            mask |= 1 << variant;
        }
    }
    (effects, mask)
}

/// For each variant of a block, `Z' x` for each column `x`, which is 0 for people who are not of the set.
fn weights_of(
    block: &Block,
    people: &SampleSet,
    effects: &[[f64; 4]; BLOCK_VARIANTS],
    (columns, slices, sums): (&Columns, &[&[f64]], &[f64]),
) -> Vec<Vec<f64>> {
    let mut dots = columns.dots(block);
    for ((row, dots), [none, one, _, _]) in block.rows().zip(&mut dots).zip(effects) {
        // z = none + (one - none) copies, for those who are called.
        let mut called = sums.to_vec();
        for person in missing_people(row, people) {
            called.iter_mut().zip(slices).for_each(|(sum, column)| *sum -= column[person]);
        }
        for (dot, called) in dots.iter_mut().zip(&called) {
            *dot = none * called + (one - none) * *dot;
        }
    }
    dots
}

/// Adds `Z y` to the sums of people, for weights `y` of a block's variants.
fn add_weighted(
    block: &Block,
    effects: &[[f64; 4]; BLOCK_VARIANTS],
    weights: &[Vec<f64>],
    groups: &mut [Vec<[f64; LANES]>],
) {
    let by_sample = block.by_sample();
    for (group, people) in groups.iter_mut().enumerate() {
        let mut numbers = [[0.0; LANES]; BLOCK_VARIANTS];
        for (numbers, weights) in numbers.iter_mut().zip(weights) {
            let weights = weights.iter().skip(group * LANES);
            numbers.iter_mut().zip(weights).for_each(|(to, from)| *to = *from);
        }
        cpu::run(Sums { planes: by_sample.planes(), effects, weights: &numbers, people });
    }
}

/// The largest components of the people of a set, over the variants for which `choose` is true by their index.
///
/// `open` gives the source anew for each pass, one for each step of the search; `progress` is told before each pass how many
/// there were, and the residual of the last, relative to the largest eigenvalue.
///
/// # Errors
/// [`PassError::Source`] of the source, and [`PcaError`].
pub fn components<S: Source>(
    mut open: impl FnMut() -> Result<S, S::Error>,
    people: &SampleSet,
    choose: impl Fn(usize) -> bool,
    search: &Search,
    progress: impl FnMut(usize, f64),
) -> Result<Components, PassError<S::Error>> {
    let mut variants = None;
    let found = krylov::largest(
        people,
        search,
        progress,
        |vectors: &[Vec<f64>]| -> Result<_, PassError<S::Error>> {
            let mut source = open().map_err(PassError::Source)?;
            if source.samples() != people.samples() {
                return Err(PcaError::Changed.into());
            }
            let slices: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
            let columns = Columns::new(people.samples(), &slices, COPIES);
            let sums: Vec<f64> = vectors.iter().map(|column| column.iter().sum()).collect();
            let mut groups = vec![vec![[0.0; LANES]; people.samples()]; vectors.len().div_ceil(LANES)];
            let (mut first, mut counted) = (0, 0);
            while let Some(block) = source.next_block().map_err(PassError::Source)? {
                if block.samples() != people.samples() {
                    return Err(PcaError::Changed.into());
                }
                let (effects, mask) = effects(block, people, |variant| choose(first + variant));
                if mask != 0 {
                    let weights = weights_of(block, people, &effects, (&columns, &slices, &sums));
                    add_weighted(block, &effects, &weights, &mut groups);
                }
                first += block.variants();
                counted += mask.count_ones() as usize;
            }
            if counted == 0 {
                return Err(PcaError::NoVariants.into());
            }
            if variants.replace(counted).is_some_and(|before| before != counted) {
                return Err(PcaError::Changed.into());
            }
            let value = |person: usize, column: usize| {
                let sum = groups[column / LANES][person][column % LANES];
                if people.contains(person) { sum / counted as f64 } else { 0.0 }
            };
            let column = |column| (0..people.samples()).map(|person| value(person, column)).collect();
            Ok((0..vectors.len()).map(column).collect())
        },
    )?;
    Ok(Components { variants: variants.unwrap_or(0), ..found })
}

#[cfg(test)]
mod tests;
