//! Weights of variants, and the components of people who did not make them.

use super::{Components, PassError, PcaError, add_weighted, effects, weights_of};
use crate::association::dots::{COPIES, Columns};
use crate::genotypes::{BLOCK_VARIANTS, Block, SampleSet, Source};
use crate::score::LANES;

/// What one variant adds to the components of a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Loading {
    /// What each call counts: standardized by the frequency among those who made the components, 0 when missing.
    pub effects: [f64; 4],
    /// For each component, the entry of the right singular vector of the standardized genotypes.
    pub weights: Vec<f64>,
}

/// The loadings of all variants that a source has; `None` for those that were not chosen or do not vary. `people` and `choose` are those
/// with which the components were made.
///
/// # Errors
/// [`PassError::Source`], and [`PcaError::Changed`] for other people or another number of variants.
pub fn loadings<S: Source>(
    source: &mut S,
    people: &SampleSet,
    choose: impl Fn(usize) -> bool,
    components: &Components,
) -> Result<Vec<Option<Loading>>, PassError<S::Error>> {
    let fits = |vector: &Vec<f64>| vector.len() == people.samples();
    if source.samples() != people.samples() || !components.vectors.iter().all(fits) {
        return Err(PcaError::Changed.into());
    }
    let slices: Vec<&[f64]> = components.vectors.iter().map(Vec::as_slice).collect();
    let columns = Columns::new(people.samples(), &slices, COPIES);
    let sums: Vec<f64> = slices.iter().map(|column| column.iter().sum()).collect();
    let lengths: Vec<f64> =
        components.eigenvalues.iter().map(|value| (components.variants as f64 * value).sqrt()).collect();
    let mut all = vec![];
    let mut counted = 0;
    while let Some(block) = source.next_block().map_err(PassError::Source)? {
        if block.samples() != people.samples() {
            return Err(PcaError::Changed.into());
        }
        let first = all.len();
        let (effects, mask) = effects(block, people, |variant| choose(first + variant));
        counted += mask.count_ones() as usize;
        let weights = weights_of(block, people, &effects, (&columns, &slices, &sums));
        for (variant, (weights, effects)) in weights.into_iter().zip(effects).enumerate() {
            let weights = weights.iter().zip(&lengths).map(|(weight, length)| weight / length).collect();
            all.push((mask >> variant & 1 == 1).then_some(Loading { effects, weights }));
        }
    }
    if counted != components.variants {
        return Err(PcaError::Changed.into());
    }
    Ok(all)
}

/// The components of any people, as variants come. A missing call counts as the mean, and the sum is stretched by the share of
/// variants that are called, so that few calls do not pull a person to the middle.
#[derive(Clone, Debug)]
pub struct Projection {
    samples: usize,
    lengths: Vec<f64>,
    variants: usize,
    called: Vec<usize>,
    groups: Vec<Vec<[f64; LANES]>>,
}

impl Projection {
    /// No variant yet, for so many people.
    #[must_use]
    pub fn new(samples: usize, components: &Components) -> Self {
        let lengths = components.eigenvalues.iter().map(|value| (components.variants as f64 * value).sqrt());
        let groups = components.eigenvalues.len().div_ceil(LANES);
        Self {
            samples,
            lengths: lengths.collect(),
            variants: 0,
            called: vec![0; samples],
            groups: vec![vec![[0.0; LANES]; samples]; groups],
        }
    }

    /// Adds the variants of a block, one entry of `loadings` for each; the alternative allele must be the one that was counted
    /// before. A block of other people adds nothing.
    pub fn add(&mut self, block: &Block, loadings: &[Option<Loading>]) {
        if block.samples() != self.samples {
            return;
        }
        let mut effects = [[0.0; 4]; BLOCK_VARIANTS];
        let mut weights = vec![vec![]; BLOCK_VARIANTS];
        let mut mask = 0_u64;
        for (variant, loading) in loadings.iter().enumerate().take(block.variants()) {
            let Some(loading) = loading else { continue };
            effects[variant] = loading.effects;
            weights[variant].clone_from(&loading.weights);
            mask |= 1 << variant;
        }
        add_weighted(block, &effects, &weights, &mut self.groups);
        self.variants += mask.count_ones() as usize;
        for (called, [low, high]) in self.called.iter_mut().zip(block.by_sample().planes()) {
            *called += (!(low & high) & mask).count_ones() as usize;
        }
    }

    /// For each component a number for each person, on the scale of [`Components::vectors`]; `NaN` for one who is nowhere called.
    #[must_use]
    pub fn vectors(&self) -> Vec<Vec<f64>> {
        let value = |component: usize, length: f64, person: usize| {
            let sum = self.groups[component / LANES][person][component % LANES];
            sum / length * (self.variants as f64 / self.called[person] as f64)
        };
        let vector = |(component, length): (usize, &f64)| {
            (0..self.samples).map(|person| value(component, *length, person)).collect()
        };
        self.lengths.iter().enumerate().map(vector).collect()
    }
}
