//! Columns on one scale, and rows in it.

use crate::config::{Config, Feature, Kind};
use crate::data::Data;
use crate::model::Model;
use crate::refusal::Refusal;
use crate::wire;

use super::select::{Part, Selection, class, lacks};

/// Rows in a [`Batch`] at the most.
pub const BATCH: usize = 64;

/// No value is further from the mean than this many deviations: of N rows none is further than the root of N. It holds where sums
/// lie and a deviation is much too small; without it the numbers of an honest site would pass their bounds, and its refusal would
/// tell of its rows.
const FURTHEST: f64 = 32_768.0;

wire! {
    /// One column of a design.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Column {
        /// Its name: of the feature, and of the level for a category, as `smoker=yes`.
        pub name: String,
        /// What one unit of `z` is in units of the data; 0 for a column that says nothing.
        pub unit: f64,
        /// The value of the data where `z` is 0.
        pub centre: f64,
    }
}

wire! {
    /// How rows of data become rows of numbers.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Design {
        /// The study's configuration.
        pub config: Config,
        /// For each feature what fills a missing value, in units of the data.
        pub fill: Vec<f64>,
        /// For each column the mean, on the scale of the range.
        pub mean: Vec<f64>,
        /// For each column the deviation; 0 for one that is constant to rounding, whose `z` is always 0.
        pub sd: Vec<f64>,
    }
}

/// Rows of a design with their outcomes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// Numbers of a row: the 1 of the intercept and the columns of the design.
    pub width: usize,
    /// The rows, one after the other.
    pub z: Vec<f64>,
    /// Outcomes of each row, one after the other: one number, or time and event.
    pub outcomes: Vec<f64>,
}

/// A value that is present.
pub(super) fn present(feature: &Feature, v: f64) -> Option<f64> {
    let missing = v.is_nan() || (feature.zero_is_missing && v == 0.0);
    (!missing).then_some(v)
}

/// A number on the scale of its range, in [-1, 1], and whether it was outside. A category stays what it is.
pub(super) fn clip(feature: &Feature, v: f64) -> (f64, bool) {
    clip_at(feature, scale(feature), v)
}

/// Middle and half of a feature's range. They are the same for every row, and in a module each operation costs several times
/// what it does natively: a loop over rows asks once.
pub(super) fn scale(feature: &Feature) -> (f64, f64) {
    match feature.kind.range() {
        None => (0.0, 1.0),
        // Halves first, so that nothing overflows.
        Some((low, high)) => (low / 2.0 + high / 2.0, high / 2.0 - low / 2.0),
    }
}

/// [`clip`] where the [`scale`] of the feature is known.
pub(super) fn clip_at(feature: &Feature, (middle, half): (f64, f64), v: f64) -> (f64, bool) {
    match feature.kind.range() {
        None => (v, false),
        Some((low, high)) => {
            let inside = v.clamp(low, high);
            let u = (inside - middle) / half;
            (u.clamp(-1.0, 1.0), inside != v)
        }
    }
}

impl Design {
    pub(super) fn new(config: Config, fill: Vec<f64>, scales: Vec<(f64, f64)>) -> Self {
        let (mean, sd) = scales.into_iter().unzip();
        Self { config, fill, mean, sd }
    }

    /// Keeps it in a model, so that [`Design::of`] has it again.
    pub fn keep_in(&self, model: Model) -> Model {
        model
            .with("fill", self.fill.clone())
            .with("mean", self.mean.clone())
            .with("deviation", self.sd.clone())
    }

    /// The design of a model, when it has one that rows can be read with.
    pub fn of(model: &Model) -> Result<Self, Refusal> {
        let array = |name| model.array(name).to_vec();
        let config = model.config.clone();
        let design = Self { config, fill: array("fill"), mean: array("mean"), sd: array("deviation") };
        if design.columns_fit() { Ok(design) } else { Err(Refusal::Malformed) }
    }

    /// What a site is told of it: see [`Config::asked`].
    pub fn asked(&self) -> Design {
        Design { config: self.config.asked(), ..self.clone() }
    }

    /// Numbers of a row: columns and the intercept.
    pub fn width(&self) -> usize {
        self.mean.len() + 1
    }

    /// Whether means and deviations are those of the features, so that rows can be read with them.
    fn columns_fit(&self) -> bool {
        let width = |x: &Feature| match &x.kind {
            Kind::Category { levels } => levels.len().saturating_sub(1),
            _ => 1,
        };
        let columns: usize = self.config.features.iter().map(width).sum();
        let finite = |v: &[f64]| v.iter().all(|v| v.is_finite());
        self.mean.len() == columns
            && self.sd.len() == columns
            && self.fill.len() == self.config.features.len()
            && finite(&self.mean)
            && finite(&self.fill)
            && self.sd.iter().all(|sd| *sd >= 0.0 && sd.is_finite())
    }

    /// The columns, without the intercept.
    pub fn columns(&self) -> Vec<Column> {
        let mut columns = Vec::new();
        for x in &self.config.features {
            let at = columns.len();
            let scale =
                |at: usize, half: f64, middle: f64| (self.sd[at] * half, middle + self.mean[at] * half);
            match &x.kind {
                Kind::Category { levels } => {
                    for (k, level) in levels[1..].iter().enumerate() {
                        let (unit, centre) = scale(at + k, 1.0, 0.0);
                        columns.push(Column { name: format!("{}={level}", x.name), unit, centre });
                    }
                }
                _ => {
                    let (low, high) = x.kind.range().unwrap_or((-1.0, 1.0));
                    let (unit, centre) = scale(at, high / 2.0 - low / 2.0, low / 2.0 + high / 2.0);
                    columns.push(Column { name: x.name.clone(), unit, centre });
                }
            }
        }
        columns
    }

    /// Appends the columns of a row of features to `z`, filling what is missing. False: a category has no such level.
    pub fn append(&self, features: &[f64], z: &mut Vec<f64>) -> bool {
        self.append_scaled(&self.scales(), features, z)
    }

    /// The scale of each feature.
    fn scales(&self) -> Vec<(f64, f64)> {
        self.config.features.iter().map(scale).collect()
    }

    /// [`Design::append`] with the scales of all features.
    fn append_scaled(&self, scales: &[(f64, f64)], features: &[f64], z: &mut Vec<f64>) -> bool {
        let mut at = 0;
        for (((&v, x), &fill), scale) in
            features.iter().zip(&self.config.features).zip(&self.fill).zip(scales)
        {
            let v = present(x, v).unwrap_or(fill);
            let mut push = |u: f64| {
                let (mean, sd) = (self.mean[at], self.sd[at]);
                z.push(if sd == 0.0 { 0.0 } else { ((u - mean) / sd).clamp(-FURTHEST, FURTHEST) });
                at += 1;
            };
            match &x.kind {
                Kind::Category { levels } => {
                    if !(0..levels.len()).any(|level| level as f64 == v) {
                        return false;
                    }
                    (1..levels.len()).for_each(|level| push(f64::from(u8::from(v == level as f64))));
                }
                _ => push(clip_at(x, *scale, v).0),
            }
        }
        true
    }

    /// Calls `batch` with the rows of a part, [`BATCH`] at a time, in order.
    pub fn batches(&self, data: &dyn Data, part: Part, batch: &mut dyn FnMut(&Batch)) -> Result<(), Refusal> {
        let f = self.config.features.len();
        let selection = Selection::of(&self.config, data)?;
        let scales = self.scales();
        let mut rows = Batch { width: self.width(), ..Batch::default() };
        let (mut n, mut room) = (0, Vec::new());
        data.each(self.config.columns(), &mut |draw, values| {
            let (features, outcome) = values.split_at(f);
            let Some(class) = class(&self.config.outcome, outcome) else { return Ok(()) };
            if !selection.has(part, class, draw) || lacks(&self.config, features) {
                return Ok(());
            }
            let before = rows.z.len();
            rows.z.push(1.0);
            if !self.append_scaled(&scales, selection.shown(features, &mut room), &mut rows.z) {
                // A level that is none, which no table has: the row is left out, as by everything before.
                rows.z.truncate(before);
                return Ok(());
            }
            rows.outcomes.extend_from_slice(outcome);
            n += 1;
            if n == BATCH {
                batch(&rows);
                rows.z.clear();
                rows.outcomes.clear();
                n = 0;
            }
            Ok(())
        })?;
        if n > 0 {
            batch(&rows);
        }
        Ok(())
    }
}
