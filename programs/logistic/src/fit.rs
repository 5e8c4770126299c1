//! Newton's method on sums.

use histone_program_sdk::data::Data;
use histone_program_sdk::math::{axpy, dot, logistic, softplus};
use histone_program_sdk::matrix::{Gram, cholesky};
use histone_program_sdk::method::{Numbers, Opened, Segment};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::tabular::{Described, Design, Part};
use histone_program_sdk::wire;

use crate::{Estimates, State, setting};

/// A pivot below this fraction of its diagonal entry is rounding: the matrix is singular.
const SINGULAR: f64 = 1e-11;

/// A loss that grows by less than this fraction has not grown: near the optimum rounding decides.
const LOSS_SLACK: f64 = 1e-12;

/// Log odds that no data of a site can back: more than 10^13 to 1.
const SEPARATED: f64 = 30.0;

/// Log odds beyond this are taken as this, so that no row makes the loss pass its bound. A probability is 0 or 1 long before.
const FURTHEST: f64 = 8_192.0;

/// Bound of the sums of gradient, curvature and loss of one site.
const MAX_ABS: f64 = (1_u64 << 48) as f64;

wire! {
    /// Waiting for gradient, curvature and loss at `weights`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fit {
        /// What the first round gave.
        pub described: Described,
        /// The columns.
        pub design: Design,
        /// Where the next round computes; the intercept first.
        pub weights: Vec<f64>,
        /// Newton rounds done.
        pub rounds: u32,
        /// The best point so far.
        accepted: Option<Accepted>,
    }
}

wire! {
    #[derive(Debug, Clone, PartialEq)]
    struct Accepted {
        /// Over whose rows the loss was summed.
        donors: Vec<u16>,
        weights: Vec<f64>,
        /// From there to where the next round computes.
        step: Vec<f64>,
        /// Penalized.
        loss: f64,
    }
}

/// `[gradient (p), upper triangle of the curvature by rows, loss]`.
pub(crate) fn segments(p: usize) -> Vec<Segment> {
    let len = p + p * (p + 1) / 2 + 1;
    vec![Segment { len: len as u32, numbers: Numbers::Real { max_abs: MAX_ABS, fraction_bits: 60 } }]
}

/// A site's numbers at `weights`.
pub(crate) fn site(design: &Design, weights: &[f64], data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let p = design.width();
    if weights.len() != p {
        return Err(Refusal::Malformed);
    }
    let mut gradient = vec![0.0; p];
    let mut gram = Gram::new(p);
    let mut loss = 0.0;
    let mut curvature = Vec::new();
    design.batches(data, Part::Training, &mut |batch| {
        curvature.clear();
        for (z, &y) in batch.z.chunks_exact(p).zip(&batch.outcomes) {
            let eta = dot(weights, z).clamp(-FURTHEST, FURTHEST);
            let probability = logistic(eta);
            axpy(y - probability, z, &mut gradient);
            curvature.push(probability * (1.0 - probability));
            loss += softplus(if y == 1.0 { -eta } else { eta });
        }
        gram.add_block(&curvature, &batch.z);
    })?;
    gradient.extend_from_slice(gram.upper());
    gradient.push(loss);
    Ok(gradient)
}

fn largest(step: &[f64]) -> f64 {
    step.iter().fold(0.0, |most: f64, s| most.max(s.abs()))
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x + y).collect()
}

impl Fit {
    pub(crate) fn new(described: Described, design: Design) -> Self {
        let weights = vec![0.0; design.width()];
        Fit { described, design, weights, rounds: 0, accepted: None }
    }

    fn setting(&self, position: usize) -> f64 {
        self.design.config.value(position)
    }

    /// The columns that say something: the intercept and those that are not constant.
    fn active(&self) -> Vec<usize> {
        (0..self.weights.len()).filter(|&i| i == 0 || self.design.sd[i - 1] > 0.0).collect()
    }

    pub(crate) fn advance(self, opened: Opened) -> Result<State, Refusal> {
        let p = self.weights.len();
        let short = || Refusal::because("the sums of a Newton round are too short");
        let (gradient, rest) = opened.sums.split_at_checked(p).ok_or_else(short)?;
        let (&loss, curvature) = rest.split_last().ok_or_else(short)?;
        if loss < 0.0 || curvature.len() != p * (p + 1) / 2 {
            return Err(Refusal::because("the sums of a Newton round cannot be true"));
        }
        let ridge = self.setting(setting::RIDGE);
        let slopes = &self.weights[1..];
        let penalized = loss + 0.5 * ridge * dot(slopes, slopes);
        let tolerance = self.setting(setting::TOLERANCE);
        let last = f64::from(self.rounds + 1) >= self.setting(setting::ROUNDS);

        let grew =
            |a: &&Accepted| a.donors == opened.donors && penalized > a.loss + LOSS_SLACK * (1.0 + a.loss);
        if let Some(a) = self.accepted.as_ref().filter(grew) {
            // The step went too far: half of it, from the same point.
            let step: Vec<f64> = a.step.iter().map(|s| s * 0.5).collect();
            if last || largest(&step) < tolerance {
                return Err(Refusal::because(
                    "no step makes the loss smaller although the gradient says so: the sums contradict each other",
                ));
            }
            let (weights, rounds) = (add(&a.weights, &step), self.rounds + 1);
            let accepted = Some(Accepted { step, ..a.clone() });
            return Ok(State::Fitting { fit: Fit { weights, accepted, rounds, ..self } });
        }

        let active = self.active();
        let n = active.len();
        let at = |i: usize, j: usize| curvature[i * p - i * i.saturating_sub(1) / 2 + j - i];
        let mut upper = Vec::with_capacity(n * (n + 1) / 2);
        for (a, &i) in active.iter().enumerate() {
            upper.extend(active[a..].iter().map(|&j| at(i, j) + if i == j && i > 0 { ridge } else { 0.0 }));
        }
        let right: Vec<f64> =
            active.iter().map(|&i| gradient[i] - if i > 0 { ridge * self.weights[i] } else { 0.0 }).collect();
        let names = self.design.columns();
        let name = |i: usize| if i == 0 { "the intercept" } else { names[i - 1].name.as_str() };
        let curvature = Gram::from_upper(n, upper).ok_or_else(short)?;
        let factor = cholesky(curvature, SINGULAR).map_err(|singular| {
            let column = active[singular.column];
            match self.furthest() {
                Some((log_odds, i)) if log_odds > 12.0 => self.separated(name(i)),
                _ => Refusal::because(format!(
                    "`{}` says nothing that the columns before it do not say; leave it out, or set `ridge` above 0",
                    name(column)
                )),
            }
        })?;
        let mut step = vec![0.0; p];
        for (&i, s) in active.iter().zip(factor.solve(&right)) {
            step[i] = s;
        }
        if step.iter().any(|s| !s.is_finite()) {
            return Err(Refusal::because("a Newton step is not finite"));
        }
        let (step, weights) = self.bounded(step);
        let converged = largest(&step) < tolerance;
        if !converged && self.setting(setting::SEPARATED) != 1.0 {
            let next = Fit { weights: weights.clone(), ..self.clone() };
            if let Some((log_odds, i)) = next.furthest()
                && log_odds > SEPARATED
            {
                return Err(self.separated(name(i)));
            }
        }
        if !converged && !last {
            let accepted = Some(Accepted {
                donors: opened.donors,
                weights: self.weights.clone(),
                step,
                loss: penalized,
            });
            return Ok(State::Fitting { fit: Fit { weights, accepted, rounds: self.rounds + 1, ..self } });
        }
        let estimates = Estimates::new(self, weights, &active, &factor, converged, loss);
        Ok(State::judging(estimates))
    }

    /// The step and where it leads, within the bounds of the plan: whoever gives sums of its own choice moves no weight further. A
    /// step that is too long goes the same way, only less far.
    fn bounded(&self, mut step: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
        let (longest, most) = (self.setting(setting::MAX_STEP), self.setting(setting::MAX_WEIGHT));
        let length = largest(&step);
        if length > longest {
            step.iter_mut().for_each(|s| *s *= longest / length);
        }
        let mut weights = add(&self.weights, &step);
        for ((w, s), from) in weights.iter_mut().zip(&mut step).zip(&self.weights) {
            if w.abs() > most {
                *w = most.copysign(*w);
                *s = *w - from;
            }
        }
        (step, weights)
    }

    /// The column that can move the log odds of a row furthest, among its plausible values, and by how much from the middle.
    fn furthest(&self) -> Option<(f64, usize)> {
        let reach = |i: usize| {
            let (mean, sd) = (self.design.mean[i - 1], self.design.sd[i - 1]);
            // On the scale of the range values lie in [-1, 1]; twice that deviates at the most from a mean in it. What
            // counts is what the bulk of the rows reach, so three deviations, or the range where that is less.
            let z = ((1.0 + mean.abs()) / sd).min(3.0);
            (self.weights[i] * z).abs()
        };
        let reached = self.active().into_iter().skip(1).map(|i| (reach(i), i));
        reached.fold(
            None,
            |best, here| if best.is_none_or(|b: (f64, usize)| here.0 > b.0) { Some(here) } else { best },
        )
    }

    fn separated(&self, column: &str) -> Refusal {
        Refusal::because(format!(
            "the columns tell yes from no without an error (most of all `{column}`), so that no finite weights are best; set `ridge` \
             to 1 or more, leave that column out if it tells the outcome, or insist with `separated = true`"
        ))
    }
}
