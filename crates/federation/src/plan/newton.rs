//! Newton's method on sums: ridge-penalized logistic regression, one round a step.

use histone_program_sdk::job::Preprocessing;
use histone_program_sdk::wire::Writer;

use super::{Plan, PlanError};
use crate::codec;

/// A pivot below this fraction of its diagonal entry is rounding: the matrix is singular.
const SINGULAR: f64 = 1e-11;

/// A loss that grows by less than this fraction has not grown: near the optimum rounding decides.
const LOSS_SLACK: f64 = 1e-12;

/// Waiting for gradient, curvature and loss at `weights`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Newton {
    pub(super) pre: Preprocessing,
    /// Columns whose weight stays 0: they say nothing and would make the curvature singular.
    constant: Vec<bool>,
    /// Where the next round computes.
    pub(super) weights: Vec<f64>,
    /// Newton rounds done.
    pub(super) rounds: u32,
    /// The best point so far, and the step from it to `weights`.
    accepted: Option<Accepted>,
}

#[derive(Debug, Clone, PartialEq)]
struct Accepted {
    /// Over whose rows the loss was summed.
    donors: Vec<u16>,
    weights: Vec<f64>,
    step: Vec<f64>,
    /// Penalized.
    loss: f64,
}

pub(super) enum Outcome {
    Ask(Newton),
    Stop { weights: Vec<f64>, converged: bool },
}

impl Newton {
    pub(super) fn start(pre: Preprocessing, constant: Vec<bool>) -> Newton {
        let weights = vec![0.0; constant.len() + 1];
        Newton { pre, constant, weights, rounds: 0, accepted: None }
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.constant.iter().map(|&c| u8::from(c)).collect::<Vec<_>>());
        w.u32(self.rounds);
        if let Some(a) = &self.accepted {
            w.u32(a.donors.len() as u32);
            for &d in &a.donors {
                codec::put_u16(w, d);
            }
            w.f64s(&a.weights).f64s(&a.step).f64(a.loss);
        }
    }

    /// `sum` is `[gradient (p), upper triangle by rows, log loss]` over the rows of `donors`; the caller has checked its
    /// length.
    ///
    /// A loss says nothing beside the loss over other rows. When the donors are not those of the best point so far, the
    /// point that was asked for becomes the best one without a comparison.
    pub(super) fn advance(&self, plan: &Plan, donors: &[u16], sum: &[f64]) -> Result<Outcome, PlanError> {
        let p = self.weights.len();
        let (gradient, rest) = sum.split_at(p);
        let (loss, curvature) = rest.split_last().ok_or(super::SHORT)?;
        if *loss < 0.0 {
            return Err(PlanError::Implausible { stage: "newton", what: "the loss is negative" });
        }
        let penalty: f64 = self.weights.iter().skip(1).map(|w| w * w).sum::<f64>() * 0.5 * plan.ridge;
        let loss = loss + penalty;
        let out_of_rounds = self.rounds + 1 >= plan.max_newton_rounds;
        let largest = |step: &[f64]| step.iter().fold(0.0f64, |m, s| m.max(s.abs()));

        let grew = |a: &&Accepted| a.donors == donors && loss > a.loss + LOSS_SLACK * (1.0 + a.loss);
        if let Some(a) = self.accepted.as_ref().filter(grew) {
            // The step went too far: half of it, from the same point.
            let step: Vec<f64> = a.step.iter().map(|s| s * 0.5).collect();
            if out_of_rounds || largest(&step) < plan.tolerance {
                return Ok(Outcome::Stop { weights: a.weights.clone(), converged: false });
            }
            let weights = add(&a.weights, &step);
            let accepted = Some(Accepted { step, ..a.clone() });
            return Ok(Outcome::Ask(Newton { weights, accepted, rounds: self.rounds + 1, ..self.clone() }));
        }

        let step = self.step(plan.ridge, gradient, curvature)?;
        let weights = add(&self.weights, &step);
        if weights.iter().any(|w| !w.is_finite()) {
            return Err(PlanError::Implausible { stage: "newton", what: "the step is not finite" });
        }
        if largest(&step) < plan.tolerance {
            return Ok(Outcome::Stop { weights, converged: true });
        }
        if out_of_rounds {
            return Ok(Outcome::Stop { weights, converged: false });
        }
        let accepted = Some(Accepted { donors: donors.to_vec(), weights: self.weights.clone(), step, loss });
        Ok(Outcome::Ask(Newton { weights, accepted, rounds: self.rounds + 1, ..self.clone() }))
    }

    /// `(H + ridge I')^-1 (gradient - ridge w)` over the columns that vary; the intercept is not penalized.
    fn step(&self, ridge: f64, gradient: &[f64], curvature: &[f64]) -> Result<Vec<f64>, PlanError> {
        let p = self.weights.len();
        let active: Vec<usize> =
            (0..p).filter(|&i| i == 0 || !self.constant.get(i - 1).copied().unwrap_or(true)).collect();
        let penalty = |i: usize| if i == 0 { 0.0 } else { ridge };
        let upper = |i: usize, j: usize| {
            let (i, j) = (i.min(j), i.max(j));
            curvature.get(i * p - i * i.saturating_sub(1) / 2 + j - i).copied().unwrap_or(0.0)
        };
        let mut matrix = Vec::with_capacity(active.len() * active.len());
        let mut right = Vec::with_capacity(active.len());
        for &i in &active {
            let at = |v: &[f64]| v.get(i).copied().unwrap_or(0.0);
            right.push(at(gradient) - penalty(i) * at(&self.weights));
            for &j in &active {
                matrix.push(upper(i, j) + if i == j { penalty(i) } else { 0.0 });
            }
        }
        let solved = solve(matrix, right)
            .map_err(|k| PlanError::Singular { column: active.get(k).and_then(|i| i.checked_sub(1)) })?;
        let mut step = vec![0.0; p];
        for (&i, s) in active.iter().zip(solved) {
            if let Some(slot) = step.get_mut(i) {
                *slot = s;
            }
        }
        Ok(step)
    }
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x + y).collect()
}

/// Solves `matrix x = right` for a symmetric positive definite matrix (row-major, `n x n` with `n = right.len()`) by
/// Cholesky's factorization, in one fixed order and without fused operations: the same bits on every machine.
/// The error is the row at which the matrix turned out to be singular.
fn solve(matrix: Vec<f64>, mut right: Vec<f64>) -> Result<Vec<f64>, usize> {
    let n = right.len();
    let mut l = matrix;
    for j in 0..n {
        let diagonal = l[j * n + j];
        let mut pivot = diagonal;
        for k in 0..j {
            pivot -= l[j * n + k] * l[j * n + k];
        }
        // Also true for NaN.
        if !(pivot > SINGULAR * diagonal && pivot > f64::MIN_POSITIVE) {
            return Err(j);
        }
        let root = pivot.sqrt();
        l[j * n + j] = root;
        for i in j + 1..n {
            let mut v = l[i * n + j];
            for k in 0..j {
                v -= l[i * n + k] * l[j * n + k];
            }
            l[i * n + j] = v / root;
        }
    }
    for i in 0..n {
        for k in 0..i {
            right[i] -= l[i * n + k] * right[k];
        }
        right[i] /= l[i * n + i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            right[i] -= l[k * n + i] * right[k];
        }
        right[i] /= l[i * n + i];
    }
    Ok(right)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use histone_program_sdk::job::Missing;
    use proptest::prelude::*;

    fn plan(ridge: f64) -> Plan {
        let (columns, missing, zero_is_missing) = (2, Missing::Mean, vec![]);
        Plan {
            columns,
            missing,
            zero_is_missing,
            holdout_every: 0,
            ridge,
            max_newton_rounds: 50,
            tolerance: 1e-9,
            bins: 2,
            min_survivors: 2,
        }
    }

    fn newton(constant: [bool; 2]) -> Newton {
        let pre = Preprocessing { fill: vec![0.0; 2], mean: vec![0.0; 2], sd: vec![1.0; 2] };
        Newton::start(pre, constant.to_vec())
    }

    #[test]
    fn the_collinear_column_is_named_and_a_constant_one_is_left_out() {
        // Upper triangle by rows: (0,0) (0,1) (0,2) (1,1) (1,2) (2,2); column 1 repeats column 0.
        let sum = [0.0, 1.0, 1.0, 5.0, 0.0, 0.0, 4.0, 4.0, 4.0, 7.0];
        let error = newton([false, false]).advance(&plan(0.0), &[1, 2], &sum).err();
        assert_eq!(error, Some(PlanError::Singular { column: Some(1) }));
        let Ok(Outcome::Ask(n)) = newton([false, true]).advance(&plan(0.0), &[1, 2], &sum) else { panic!() };
        assert_eq!(n.weights, [0.0, 0.25, 0.0]);
        let Ok(Outcome::Ask(n)) = newton([false, false]).advance(&plan(1.0), &[1, 2], &sum) else { panic!() };
        assert!((n.weights[1] - 1.0 / 9.0).abs() < 1e-12);
    }

    #[test]
    fn a_worse_loss_halves_the_step() {
        let good = [0.0, 4.0, 2.0, 5.0, 0.0, 0.0, 4.0, 0.0, 4.0, 7.0];
        let Ok(Outcome::Ask(n)) = newton([false; 2]).advance(&plan(0.0), &[1, 2], &good) else { panic!() };
        assert_eq!(n.weights, [0.0, 1.0, 0.5]);
        let mut worse = good;
        worse[9] = 8.0;
        // Over other rows the larger loss is no reason, and what follows is compared with it.
        let Ok(Outcome::Ask(other)) = n.advance(&plan(0.0), &[1, 3], &worse) else { panic!() };
        assert_eq!(other.weights, [0.0, 2.0, 1.0]);
        let Ok(Outcome::Ask(other)) = other.advance(&plan(0.0), &[1, 3], &good) else { panic!() };
        assert_eq!(other.weights, [0.0, 3.0, 1.5]);
        let Ok(Outcome::Ask(n)) = n.advance(&plan(0.0), &[1, 2], &worse) else { panic!() };
        assert_eq!(n.weights, [0.0, 0.5, 0.25]);
        assert_eq!(n.rounds, 2);
        let Ok(Outcome::Stop { weights, converged }) =
            n.advance(&Plan { max_newton_rounds: 3, ..plan(0.0) }, &[1, 2], &worse)
        else {
            panic!()
        };
        assert_eq!((weights, converged), (vec![0.0; 3], false));
    }

    proptest! {
        #[test]
        fn solves(seed in proptest::collection::vec(-1.0f64..1.0, 25), x in proptest::collection::vec(-9.0f64..9.0, 5)) {
            // A'A + I is positive definite.
            let a = |i: usize, j: usize| seed[i * 5 + j];
            let m: Vec<f64> = (0..25).map(|e| {
                let (i, j) = (e / 5, e % 5);
                (0..5).map(|k| a(k, i) * a(k, j)).sum::<f64>() + f64::from(u8::from(i == j))
            }).collect();
            let right: Vec<f64> = (0..5).map(|i| (0..5).map(|j| m[i * 5 + j] * x[j]).sum()).collect();
            for (found, expected) in solve(m, right).unwrap().iter().zip(&x) {
                prop_assert!((found - expected).abs() < 1e-10);
            }
        }
    }
}
