//! The reference: the same model on one pooled table, in plain `f64`.
//!
//! This is what nobody can do with data that stays where it is. It exists to compare with: a study prints it beside the
//! federated result, and tests demand that both agree. It shares no code with [`crate::plan`] on purpose: two passes
//! instead of sums about a center, sorting instead of counting, elimination with pivoting instead of Cholesky.

use histone_program_sdk::job::{Missing, Preprocessing, Table};

use crate::plan::{Model, Plan};

/// Why a pooled table gives no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PooledError {
    /// The table has other columns than the plan, or no shape at all.
    #[error("the pooled table does not have the columns of the plan")]
    Shape,
    /// A missing value under a policy that refuses it.
    #[error("row {row} has a missing value, which the plan refuses")]
    Missing {
        /// The row, counted from 0.
        row: usize,
    },
    /// Too few rows of a class.
    #[error("each class needs at least 2 rows")]
    TooFew,
    /// The curvature has no inverse.
    #[error("the fit has no unique answer; set a ridge penalty")]
    Singular,
}

/// The rows that count: zeros that mean missing emptied, incomplete rows left out under [`Missing::Drop`].
pub fn usable(table: &Table, plan: &Plan) -> Result<Table, PooledError> {
    let columns = table.columns as usize;
    if table.columns != plan.columns || columns == 0 || table.values.len() != columns * table.rows() {
        return Err(PooledError::Shape);
    }
    let mut out = Table { columns: table.columns, values: Vec::new(), labels: Vec::new() };
    for (row, (values, &label)) in table.values.chunks(columns).zip(&table.labels).enumerate() {
        let mut values = values.to_vec();
        for (value, column) in values.iter_mut().zip(0u32..) {
            if *value == 0.0 && plan.zero_is_missing.contains(&column) {
                *value = f64::NAN;
            }
        }
        match plan.missing {
            Missing::Refuse if values.iter().any(|v| v.is_nan()) => return Err(PooledError::Missing { row }),
            Missing::Drop if values.iter().any(|v| v.is_nan()) => continue,
            _ => {}
        }
        out.values.extend(values);
        out.labels.push(label);
    }
    Ok(out)
}

/// Splits a site's table into training rows and held-out rows: of each class, in table order, every
/// `holdout_every`-th is held out; 0 holds nothing out.
pub fn split(table: &Table, holdout_every: u32) -> (Table, Table) {
    let empty = || Table { columns: table.columns, values: Vec::new(), labels: Vec::new() };
    let (mut train, mut held) = (empty(), empty());
    let mut seen = [0u32; 2];
    for (values, &label) in table.values.chunks(table.columns.max(1) as usize).zip(&table.labels) {
        let count = &mut seen[usize::from(label != 0)];
        *count += 1;
        let out =
            if holdout_every > 0 && count.is_multiple_of(holdout_every) { &mut held } else { &mut train };
        out.values.extend_from_slice(values);
        out.labels.push(label);
    }
    (train, held)
}

/// All rows of several tables of the same columns, in order; `None` without tables or with different columns.
pub fn concat(tables: &[Table]) -> Option<Table> {
    let columns = tables.first()?.columns;
    if tables.iter().any(|t| t.columns != columns) {
        return None;
    }
    let values = tables.iter().flat_map(|t| t.values.iter().copied()).collect();
    let labels = tables.iter().flat_map(|t| t.labels.iter().copied()).collect();
    Some(Table { columns, values, labels })
}

/// Preprocesses and fits on all rows of `table`; the plan's hold-out and bins are not used here.
pub fn fit(table: &Table, plan: &Plan) -> Result<Model, PooledError> {
    let table = usable(table, plan)?;
    let columns = table.columns as usize;
    let positives = table.labels.iter().filter(|&&l| l == 1).count();
    if positives < 2 || table.rows() - positives < 2 {
        return Err(PooledError::TooFew);
    }
    let (pre, varies) = preprocess(&table, plan.missing);
    let rows: Vec<Vec<f64>> = table.values.chunks(columns).map(|r| standardize(&pre, r)).collect();
    // The intercept and the columns that vary.
    let active: Vec<usize> = std::iter::once(0).chain((1..=columns).filter(|&i| varies[i - 1])).collect();

    let loss = |w: &[f64]| {
        let data: f64 = rows.iter().zip(&table.labels).map(|(z, &y)| log_loss(linear(w, z), y)).sum();
        data + 0.5 * plan.ridge * w[1..].iter().map(|v| v * v).sum::<f64>()
    };
    let mut weights = vec![0.0; columns + 1];
    let mut current = loss(&weights);
    let (mut converged, mut newton_rounds) = (false, 0);
    while !converged && newton_rounds < plan.max_newton_rounds {
        newton_rounds += 1;
        let n = active.len();
        let mut system = vec![vec![0.0; n + 1]; n];
        for (z, &y) in rows.iter().zip(&table.labels) {
            let p = 1.0 / (1.0 + (-linear(&weights, z)).exp());
            let x = |i: usize| if i == 0 { 1.0 } else { z[i - 1] };
            for (equation, &i) in system.iter_mut().zip(&active) {
                for (entry, &j) in equation.iter_mut().zip(&active) {
                    *entry += p * (1.0 - p) * x(i) * x(j);
                }
                equation[n] += (f64::from(y) - p) * x(i);
            }
        }
        for (k, &i) in active.iter().enumerate().skip(1) {
            system[k][k] += plan.ridge;
            system[k][n] -= plan.ridge * weights[i];
        }
        let step = eliminate(system).ok_or(PooledError::Singular)?;
        converged = step.iter().all(|s| s.abs() < plan.tolerance);
        let mut factor = 1.0;
        loop {
            let mut next = weights.clone();
            for (&i, s) in active.iter().zip(&step) {
                next[i] += factor * s;
            }
            let after = loss(&next);
            if after <= current + 1e-12 * (1.0 + current) || factor < 1e-9 {
                (weights, current) = (next, after);
                break;
            }
            factor /= 2.0;
        }
    }
    Ok(Model { zero_is_missing: plan.zero_is_missing.clone(), pre, weights, converged, newton_rounds })
}

/// Preprocessing of a usable table, and which columns vary.
fn preprocess(table: &Table, missing: Missing) -> (Preprocessing, Vec<bool>) {
    let columns = table.columns as usize;
    let mut pre = Preprocessing { fill: Vec::new(), mean: Vec::new(), sd: Vec::new() };
    let mut varies = Vec::new();
    for column in 0..columns {
        let all: Vec<f64> = table.values.iter().copied().skip(column).step_by(columns).collect();
        let mut present: Vec<f64> = all.iter().copied().filter(|v| !v.is_nan()).collect();
        let fill = match (missing, present.len()) {
            (_, 0) => 0.0,
            (Missing::Median, n) => {
                present.sort_unstable_by(f64::total_cmp);
                (present[(n - 1) / 2] + present[n / 2]) / 2.0
            }
            (_, n) => present.iter().sum::<f64>() / n as f64,
        };
        let filled: Vec<f64> = all.iter().map(|v| if v.is_nan() { fill } else { *v }).collect();
        let n = filled.len() as f64;
        let mean = filled.iter().sum::<f64>() / n;
        let sd = (filled.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
        // Where the federated fit calls a column constant.
        let constant = sd <= 1e-6 * mean.abs().max(fill.abs());
        pre.fill.push(fill);
        pre.mean.push(mean);
        pre.sd.push(if constant { 1.0 } else { sd });
        varies.push(!constant);
    }
    (pre, varies)
}

fn standardize(pre: &Preprocessing, row: &[f64]) -> Vec<f64> {
    let scale = row.iter().zip(&pre.fill).zip(pre.mean.iter().zip(&pre.sd));
    scale.map(|((v, fill), (mean, sd))| ((if v.is_nan() { *fill } else { *v }) - mean) / sd).collect()
}

fn linear(w: &[f64], z: &[f64]) -> f64 {
    w.first().copied().unwrap_or(0.0) + w.iter().skip(1).zip(z).map(|(a, b)| a * b).sum::<f64>()
}

/// `-log p(y)`, without overflow for a large linear predictor.
fn log_loss(linear: f64, y: u8) -> f64 {
    let t = if y == 1 { -linear } else { linear };
    t.max(0.0) + (-t.abs()).exp().ln_1p()
}

/// Gaussian elimination with partial pivoting of `n` rows of `n + 1` entries; `None` when singular.
fn eliminate(mut system: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let n = system.len();
    for k in 0..n {
        let best = (k..n).max_by(|&a, &b| system[a][k].abs().total_cmp(&system[b][k].abs()))?;
        system.swap(k, best);
        let pivot = system[k].clone();
        if pivot[k].is_nan() || pivot[k].abs() < 1e-12 {
            return None;
        }
        for row in system.iter_mut().skip(k + 1) {
            let factor = row[k] / pivot[k];
            for (entry, p) in row.iter_mut().zip(&pivot) {
                *entry -= factor * p;
            }
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| system[k][j] * x[j]).sum();
        x[k] = (system[k][n] - known) / system[k][k];
    }
    Some(x)
}

/// The predicted probability of the positive class for every row; zeros that mean missing are emptied and missing values
/// filled as the model says, whatever the plan's policy was. A table of other columns gives an empty vector.
pub fn scores(model: &Model, table: &Table) -> Vec<f64> {
    let columns = model.columns();
    if columns == 0 || table.columns as usize != columns {
        return Vec::new();
    }
    let score = |row: &[f64]| {
        let mut row = row.to_vec();
        for &c in &model.zero_is_missing {
            if let Some(v) = row.get_mut(c as usize).filter(|v| **v == 0.0) {
                *v = f64::NAN;
            }
        }
        1.0 / (1.0 + (-linear(&model.weights, &standardize(&model.pre, &row))).exp())
    };
    table.values.chunks(columns).map(score).collect()
}

/// The exact area under the curve of scores for labels 0 and 1, ties counting one half; `None` when a class is absent,
/// a score is NaN or the lengths differ.
pub fn auc(scores: &[f64], labels: &[u8]) -> Option<f64> {
    if scores.len() != labels.len() || scores.iter().any(|s| s.is_nan()) {
        return None;
    }
    let mut pairs: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().map(|&l| l == 1)).collect();
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut area) = (0.0, 0.0);
    for tie in pairs.chunk_by(|a, b| a.0 == b.0) {
        let positives = tie.iter().filter(|t| t.1).count() as f64;
        let negatives = tie.len() as f64 - positives;
        area += positives * (below + negatives / 2.0);
        below += negatives;
    }
    let positives = pairs.len() as f64 - below;
    (positives > 0.0 && below > 0.0).then(|| area / (positives * below))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn auc_with_ties() {
        assert_eq!(auc(&[0.1, 0.2, 0.3, 0.4], &[0, 0, 1, 1]), Some(1.0));
        assert_eq!(auc(&[0.5, 0.5], &[0, 1]), Some(0.5));
        assert_eq!(auc(&[0.3, 0.2, 0.3, 0.9], &[0, 1, 1, 0]), Some(0.125));
        assert_eq!(auc(&[0.3], &[0]), None);
        assert_eq!(auc(&[0.3, f64::NAN], &[0, 1]), None);
    }

    #[test]
    fn every_second_of_each_class_is_held_out() {
        let table =
            Table { columns: 1, values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], labels: vec![0, 1, 0, 0, 1, 1] };
        let (train, held) = split(&table, 2);
        assert_eq!((train.values, train.labels), (vec![0.0, 1.0, 3.0, 5.0], vec![0, 1, 0, 1]));
        assert_eq!((held.values, held.labels), (vec![2.0, 4.0], vec![0, 1]));
    }

    #[test]
    fn missing_policies() {
        let plan = |missing| Plan {
            columns: 1,
            missing,
            zero_is_missing: vec![0],
            holdout_every: 0,
            ridge: 1.0,
            max_newton_rounds: 30,
            tolerance: 1e-10,
            bins: 10,
            min_survivors: 2,
        };
        let values = vec![1.0, 0.0, 5.0, 2.0, f64::NAN, 8.0];
        let table = Table { columns: 1, values, labels: vec![0, 0, 1, 0, 1, 1] };
        let fill = |missing| fit(&table, &plan(missing)).unwrap().pre.fill[0];
        assert_eq!((fill(Missing::Mean), fill(Missing::Median)), (4.0, 3.5));
        assert_eq!(fit(&table, &plan(Missing::Refuse)), Err(PooledError::Missing { row: 1 }));
        assert_eq!(usable(&table, &plan(Missing::Drop)).unwrap().labels, vec![0, 1, 0, 1]);
    }
}
