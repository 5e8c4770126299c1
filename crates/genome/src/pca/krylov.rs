//! The largest eigenvalues of a matrix that is known by its products.

use histone_program_sdk::math::{axpy, dot};

use super::{PcaError, eigen};
use crate::genotypes::SampleSet;

/// How components are searched for.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Components that are wanted.
    pub count: usize,
    /// Vectors that are multiplied at once beyond these: more of them, fewer passes.
    pub beside: usize,
    /// Most passes.
    pub steps: usize,
    /// Residual at which a component has settled, relative to the largest eigenvalue: an eigenvalue is then off by less than its
    /// square over the gap to the next, an eigenvector by about the residual over that gap.
    pub residual: f64,
    /// Of the random start: the same seed gives the same bits.
    pub seed: u64,
}

impl Default for Search {
    /// Ten components, good to about six digits.
    fn default() -> Self {
        Self { count: 10, beside: 10, steps: 40, residual: 1e-6, seed: 1 }
    }
}

/// Principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// The largest first.
    pub eigenvalues: Vec<f64>,
    /// For each eigenvalue a number for each person, of length 1 over the people of the set; 0 for others.
    pub vectors: Vec<Vec<f64>>,
    /// Variants that vary among the people.
    pub variants: usize,
}

/// Directions that are shorter than this once the others are taken away are rounding.
const NOTHING: f64 = 1e-10;

/// The largest eigenvalues of a symmetric matrix over the people of a set; `multiply` gives its products with vectors.
pub(super) fn largest<E: From<PcaError>>(
    people: &SampleSet,
    search: &Search,
    mut progress: impl FnMut(usize, f64),
    mut multiply: impl FnMut(&[Vec<f64>]) -> Result<Vec<Vec<f64>>, E>,
) -> Result<Components, E> {
    let count = search.count;
    if count == 0 || count >= people.count() {
        return Err(PcaError::TooMany { wanted: count, people: people.count() }.into());
    }
    let mut state = search.seed;
    let width = (count + search.beside).min(people.count());
    let mut next: Vec<Vec<f64>> = (0..width).map(|_| signs(people, &mut state)).collect();
    let (mut basis, mut images): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (vec![], vec![]);
    // The matrix in the basis, row by row up to the diagonal.
    let mut small: Vec<Vec<f64>> = vec![];
    let mut worst = f64::INFINITY;
    // Looking costs the third power of the steps: late ones are looked at less often.
    let mut look = 0;
    for step in 0..search.steps {
        let fresh = basis.len();
        for vector in next.drain(..) {
            basis.extend(orthonormal(vector, &basis));
        }
        progress(step, worst);
        images.extend(multiply(&basis[fresh..])?);
        for (vector, image) in basis.iter().zip(&images).skip(fresh) {
            let before = basis[..small.len()].iter().map(|other| dot(other, image));
            let mut row: Vec<f64> = before.collect();
            row.push(dot(vector, image));
            small.push(row);
        }
        let size = small.len();
        next = images[fresh..].to_vec();
        if step < look && step + 1 < search.steps && size < people.count() {
            continue;
        }
        look = step + 1 + step / 4;
        let entry = |i: usize, j: usize| small[i.max(j)][i.min(j)];
        let full = (0..size).map(|i| (0..size).map(|j| entry(i, j)).collect()).collect();
        let found = eigen::symmetric(full).ok_or(PcaError::NoVariants)?;
        let scale = found.first().map_or(0.0, |(value, _)| value.abs());
        let mut components = Components { eigenvalues: vec![], vectors: vec![], variants: 0 };
        worst = if found.len() < count { f64::INFINITY } else { 0.0 };
        for (value, parts) in found.into_iter().take(count) {
            let vector = combine(&basis, &parts);
            let mut rest = combine(&images, &parts);
            axpy(-value, &vector, &mut rest);
            worst = worst.max(dot(&rest, &rest).sqrt() / scale);
            components.eigenvalues.push(value);
            components.vectors.push(upright(vector));
        }
        // The whole space is as good as it gets.
        if worst <= search.residual || size >= people.count() {
            progress(step + 1, worst);
            return Ok(components);
        }
    }
    Err(PcaError::NotSettled { steps: search.steps }.into())
}

/// A random vector of 1 and -1 for the people of a set (Steele, Lea and Flood 2014, SplitMix).
fn signs(people: &SampleSet, state: &mut u64) -> Vec<f64> {
    let mut sign = |person| {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        match (people.contains(person), mixed >> 63) {
            (false, _) => 0.0,
            (true, 0) => 1.0,
            (true, _) => -1.0,
        }
    };
    (0..people.samples()).map(&mut sign).collect()
}

/// The part of a vector that is in none of the others, of length 1; `None` when nothing is left.
fn orthonormal(mut vector: Vec<f64>, others: &[Vec<f64>]) -> Option<Vec<f64>> {
    let before = dot(&vector, &vector).sqrt();
    // Twice, because the first time leaves rounding behind.
    for _ in 0..2 {
        for other in others {
            let part = dot(&vector, other);
            axpy(-part, other, &mut vector);
        }
    }
    let length = dot(&vector, &vector).sqrt();
    if !(length.is_finite() && length > NOTHING * before) {
        return None;
    }
    vector.iter_mut().for_each(|value| *value /= length);
    Some(vector)
}

fn combine(vectors: &[Vec<f64>], parts: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
    vectors.iter().zip(parts).for_each(|(vector, part)| axpy(*part, vector, &mut sum));
    sum
}

/// The vector or its opposite, so that the number farthest from 0 is positive.
fn upright(mut vector: Vec<f64>) -> Vec<f64> {
    let farthest =
        vector.iter().fold(0.0_f64, |far, value| if value.abs() > far.abs() { *value } else { far });
    if farthest < 0.0 {
        vector.iter_mut().for_each(|value| *value = -*value);
    }
    vector
}
