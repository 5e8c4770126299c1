//! Ridge regressions that each leave one part of the people out.

use histone_program_sdk::math::axpy;
use histone_program_sdk::matrix::{Gram, cholesky};

use super::RegressionError;
use crate::genotypes::SampleSet;

/// People dealt out to parts in turn.
#[derive(Debug)]
pub(super) struct Folds {
    people: Vec<Vec<usize>>,
}

impl Folds {
    pub(super) fn new(people: &SampleSet, folds: usize) -> Self {
        let mut parts = vec![vec![]; folds];
        let chosen = (0..people.samples()).filter(|person| people.contains(*person));
        chosen.enumerate().for_each(|(place, person)| parts[place % folds].push(person));
        Self { people: parts }
    }

    /// The people of a part.
    pub(super) fn people(&self, fold: usize) -> &[usize] {
        &self.people[fold]
    }

    /// All people, part by part.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> {
        self.people.iter().flatten().copied()
    }

    /// For each part, its rows of the columns and, for each penalty, the coefficients that the other people give.
    pub(super) fn fit(
        &self,
        columns: &[&[f64]],
        outcome: &[f64],
        penalties: &[f64],
        mut each: impl FnMut(usize, &[f64], Vec<Vec<f64>>),
    ) -> Result<(), RegressionError> {
        let width = columns.len();
        let parts: Vec<Part> = self.people.iter().map(|people| Part::new(people, columns, outcome)).collect();
        let total = |sum: &dyn Fn(&Part) -> &[f64]| {
            let mut all = vec![0.0; parts.first().map_or(0, |part| sum(part).len())];
            parts.iter().for_each(|part| axpy(1.0, sum(part), &mut all));
            all
        };
        let (squares, products) = (total(&|part| part.gram.upper()), total(&|part| &part.products));
        for (fold, part) in parts.iter().enumerate() {
            let (mut others, mut right) = (squares.clone(), products.clone());
            axpy(-1.0, part.gram.upper(), &mut others);
            axpy(-1.0, &part.products, &mut right);
            let mut found = vec![];
            for penalty in penalties {
                let mut gram = Gram::from_upper(width, others.clone()).ok_or(RegressionError::Singular)?;
                (0..width).for_each(|column| gram.add_to_diagonal(column, *penalty));
                let factor = cholesky(gram, f64::EPSILON).map_err(|_| RegressionError::Singular)?;
                found.push(factor.solve(&right));
            }
            each(fold, &part.rows, found);
        }
        Ok(())
    }
}

/// Sums over the people of one part.
struct Part {
    rows: Vec<f64>,
    gram: Gram,
    products: Vec<f64>,
}

impl Part {
    fn new(people: &[usize], columns: &[&[f64]], outcome: &[f64]) -> Self {
        let width = columns.len();
        let mut rows = Vec::with_capacity(people.len() * width);
        let mut products = vec![0.0; width];
        for person in people {
            let start = rows.len();
            rows.extend(columns.iter().map(|column| column[*person]));
            axpy(outcome[*person], &rows[start..], &mut products);
        }
        let mut gram = Gram::new(width);
        gram.add_block(&vec![1.0; people.len()], &rows);
        Self { rows, gram, products }
    }
}
