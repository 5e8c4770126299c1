//! What a training ends with: a model and how well it ranks.

use histone_program_sdk::job::{Preprocessing, TrainSpec, TrainTask};
use histone_program_sdk::wire::{Reader, WireError, Writer};

use super::{Plan, PlanError};
use crate::codec;

const VERSION: u8 = 1;

/// A logistic regression with the preprocessing it was trained with.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Columns in which a zero means missing, ascending; whoever applies the model replaces these zeros first.
    pub zero_is_missing: Vec<u32>,
    /// Fill values, means and deviations of the training rows of all sites; one entry a column.
    pub pre: Preprocessing,
    /// Weights on the standardized scale, intercept first; one more than columns.
    pub weights: Vec<f64>,
    /// Whether the weights had stopped changing before the rounds ran out.
    pub converged: bool,
    /// Newton rounds used.
    pub newton_rounds: u32,
}

impl Model {
    /// Number of feature columns.
    pub fn columns(&self) -> usize {
        self.pre.fill.len()
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION).u32(self.zero_is_missing.len() as u32);
        for &c in &self.zero_is_missing {
            w.u32(c);
        }
        w.f64s(&self.pre.fill).f64s(&self.pre.mean).f64s(&self.pre.sd).f64s(&self.weights);
        w.u8(u8::from(self.converged)).u32(self.newton_rounds);
        w.0
    }

    /// Reads a model; shapes and ranges agree when it succeeds.
    pub fn decode(bytes: &[u8]) -> Result<Model, PlanError> {
        read(bytes).map_err(PlanError::Encoding)
    }

    /// SHA-256 of the encoding with the domain `histone/model/v1`.
    pub fn hash(&self) -> [u8; 32] {
        codec::hash("histone/model/v1", &[&self.encode()])
    }

    /// What every site computes for its own report, which is never summed and never a round.
    pub fn report_spec(&self, plan: &Plan) -> TrainSpec {
        plan.spec(TrainTask::Report {
            pre: self.pre.clone(),
            weights: self.weights.clone(),
            ridge: plan.ridge,
            iterations: plan.max_newton_rounds,
            tolerance: plan.tolerance,
        })
    }
}

fn read(bytes: &[u8]) -> Result<Model, WireError> {
    let mut r = Reader::new(bytes);
    match r.u8()? {
        VERSION => {}
        v => return Err(WireError::Version(v)),
    }
    let mut zero_is_missing = Vec::new();
    for _ in 0..r.u32()? {
        zero_is_missing.push(r.u32()?);
    }
    let pre = Preprocessing { fill: r.f64s()?, mean: r.f64s()?, sd: r.f64s()? };
    let weights = r.f64s()?;
    let converged = match r.u8()? {
        0 => false,
        1 => true,
        _ => return Err(WireError::Invalid("convergence flag")),
    };
    let newton_rounds = r.u32()?;
    r.end()?;
    let columns = pre.fill.len();
    if columns == 0 || pre.mean.len() != columns || pre.sd.len() != columns || weights.len() != columns + 1 {
        return Err(WireError::Invalid("model shape"));
    }
    let numbers = pre.fill.iter().chain(&pre.mean).chain(&pre.sd).chain(&weights);
    if numbers.into_iter().any(|v| !v.is_finite()) || pre.sd.iter().any(|&s| s <= 0.0) {
        return Err(WireError::Invalid("model number"));
    }
    let in_order = zero_is_missing.is_sorted_by(|a, b| a < b);
    if !in_order || zero_is_missing.last().is_some_and(|&c| c as usize >= columns) {
        return Err(WireError::Invalid("zero-is-missing column"));
    }
    Ok(Model { zero_is_missing, pre, weights, converged, newton_rounds })
}

/// How well the model ranks the evaluated rows: the held-out ones, or the training rows when none are held out.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Rows with label 0 in each bin of predicted probability, ascending.
    pub negatives: Vec<u64>,
    /// Rows with label 1 in each bin.
    pub positives: Vec<u64>,
    /// Area under the curve, where rows in one bin count as ties (half); `None` when a class is absent.
    pub auc: Option<f64>,
}

impl Evaluation {
    /// Reads `[negatives][positives]` of equal length.
    pub(super) fn from_histogram(sum: &[f64]) -> Result<Evaluation, PlanError> {
        let mut negatives = super::counts("evaluate", sum)?;
        let positives = negatives.split_off(negatives.len() / 2);
        // Doubled, so that ties count in whole numbers.
        let (mut below, mut twice_area) = (0u128, 0u128);
        for (&n, &p) in negatives.iter().zip(&positives) {
            let pairs = u128::from(p).checked_mul(2 * below + u128::from(n));
            twice_area = pairs.and_then(|v| twice_area.checked_add(v)).ok_or(TOO_MANY)?;
            below += u128::from(n);
        }
        let total: u128 = positives.iter().map(|&p| u128::from(p)).sum();
        let pairs = below.checked_mul(2 * total).ok_or(TOO_MANY)?;
        let auc = (pairs > 0).then(|| twice_area as f64 / pairs as f64);
        Ok(Evaluation { negatives, positives, auc })
    }

    /// The least and the largest area that these bins allow: all pairs of one bin ranked wrong, or right.
    pub fn auc_within(&self) -> Option<(f64, f64)> {
        let sum = |counts: &[u64]| counts.iter().map(|&c| c as f64).sum::<f64>();
        let pairs = sum(&self.negatives) * sum(&self.positives);
        let tied: f64 = self.negatives.iter().zip(&self.positives).map(|(&n, &p)| n as f64 * p as f64).sum();
        self.auc.map(|auc| (auc - 0.5 * tied / pairs, auc + 0.5 * tied / pairs))
    }

    /// Rows evaluated.
    pub fn rows(&self) -> u64 {
        self.negatives.iter().chain(&self.positives).fold(0u64, |sum, &c| sum.saturating_add(c))
    }
}

const TOO_MANY: PlanError =
    PlanError::Implausible { stage: "evaluate", what: "there are more rows than any table has" };

/// The end of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The model.
    pub model: Model,
    /// Its evaluation over all sites.
    pub evaluation: Evaluation,
    /// Rounds used in all.
    pub rounds: u32,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn auc_of_small_histograms() {
        let check = |h: &[f64], auc| assert_eq!(Evaluation::from_histogram(h).unwrap().auc, auc);
        check(&[2.0, 0.0, 0.0, 3.0], Some(1.0));
        check(&[0.0, 2.0, 3.0, 0.0], Some(0.0));
        check(&[1.0, 1.0, 1.0, 1.0], Some(0.5));
        check(&[2.0, 1.0, 1.0, 3.0], Some((2.0 * 3.0 + 0.5 * (1.0 * 2.0 + 3.0)) / 12.0));
        check(&[2.0, 1.0, 0.0, 0.0], None);
        assert!(Evaluation::from_histogram(&[0.5, 1.0]).is_err());
    }

    #[test]
    fn models_round_trip() {
        let model = Model {
            zero_is_missing: vec![1],
            pre: Preprocessing { fill: vec![1.0, 2.0], mean: vec![0.5, -1.0], sd: vec![1.0, 3.0] },
            weights: vec![0.1, 0.2, 0.3],
            converged: true,
            newton_rounds: 7,
        };
        assert_eq!(Model::decode(&model.encode()).unwrap(), model);
        let other = Model { newton_rounds: 8, ..model.clone() };
        assert_ne!(other.hash(), model.hash());
        let broken = [
            Model { weights: vec![0.1, 0.2], ..model.clone() },
            Model { weights: vec![0.1, f64::NAN, 0.2], ..model.clone() },
            Model { zero_is_missing: vec![2], ..model.clone() },
        ];
        for b in broken {
            assert!(Model::decode(&b.encode()).is_err());
        }
    }
}
