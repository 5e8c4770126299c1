//! Which rows are trained on and which are held out.

use crate::config::{Config, Outcome};
use crate::data::Data;
use crate::refusal::Refusal;

/// A part of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is trained on.
    Training,
    /// What judges the model: the held-out rows; the training rows when the study holds none out.
    Judging,
}

/// For each class of the outcome the draw below which a row is held out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection {
    limits: Vec<f64>,
    holds_out: bool,
}

/// The class of a row for choosing held-out rows: 0 or 1 of a yes/no outcome or of a seen event, else 0. None without an
/// outcome.
pub(super) fn class(outcome: &Outcome, values: &[f64]) -> Result<Option<usize>, Refusal> {
    if values.iter().any(|v| v.is_nan()) {
        return Ok(None);
    }
    let yes_no = |v: f64| if v == 0.0 || v == 1.0 { Ok(Some(v as usize)) } else { Err(Refusal::Malformed) };
    match (outcome, values) {
        (Outcome::YesNo { .. }, &[v]) => yes_no(v),
        (Outcome::Number { .. }, &[v]) if v.is_finite() => Ok(Some(0)),
        (Outcome::EventTime { .. }, &[time, event]) if time.is_finite() && time >= 0.0 => yes_no(event),
        _ => Err(Refusal::Malformed),
    }
}

impl Selection {
    pub(super) fn of(config: &Config, data: &dyn Data) -> Result<Self, Refusal> {
        let holds_out = config.holdout > 0.0;
        let mut draws: [Vec<f64>; 2] = Default::default();
        if holds_out {
            let features = config.features.len();
            data.each(config.columns(), &mut |draw, values| {
                if let Some(class) = class(&config.outcome, &values[features..])? {
                    draws[class].push(draw);
                }
                Ok(())
            })?;
        }
        let limit = |draws: &mut Vec<f64>| {
            let n = draws.len();
            let held_out = ((n as f64 * config.holdout + 0.5) as usize).min(n.saturating_sub(1));
            draws.sort_unstable_by(f64::total_cmp);
            if held_out == 0 { f64::NEG_INFINITY } else { draws[held_out] }
        };
        Ok(Selection { limits: draws.iter_mut().map(limit).collect(), holds_out })
    }

    /// Whether a row of this class with this draw is in the part.
    pub(super) fn has(&self, part: Part, class: usize, draw: f64) -> bool {
        let held_out = draw < self.limits[class];
        match part {
            Part::Training => !held_out,
            Part::Judging => held_out == self.holds_out,
        }
    }
}
