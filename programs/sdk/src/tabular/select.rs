//! Which rows are trained on and which are held out, and what of a site is too little to leave it.

use crate::config::{Config, Kind, Missing, Outcome};
use crate::data::Data;
use crate::refusal::Refusal;

use super::design::present;

/// A part of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is trained on.
    Training,
    /// What judges the model: the held-out rows; the training rows when the study holds none out.
    Judging,
}

/// The rows of a site that a round is about, and what of them it shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Selection {
    /// For each class of the outcome the draw below which a row is held out.
    limits: Vec<f64>,
    holds_out: bool,
    /// What is too little; none where no minimum binds the part of a site.
    small: Option<Small>,
}

/// What of a site rests on fewer rows than [`crate::config::Least::site`]. It is left out of every round in the same way, so that two
/// rounds that differ in it tell nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Small {
    /// For each class whether its training rows are too few.
    classes: [bool; 2],
    /// Whether the rows that judge are too few.
    judging: bool,
    /// For each feature whether its present values are too few: they are filled like missing ones.
    columns: Vec<bool>,
    /// For each level of a category whether its rows are too few: they are filled like missing ones.
    levels: Vec<Vec<bool>>,
    /// Rows that are left out for it.
    pub(super) rows: u64,
    /// Values that are filled for it.
    pub(super) values: u64,
}

/// The class of a row for choosing held-out rows: 0 or 1 of a yes/no outcome or of a seen event, else 0. None without an
/// outcome, or with one that cannot be: nobody refuses a round for what is in a row.
pub(super) fn class(outcome: &Outcome, values: &[f64]) -> Option<usize> {
    let yes_no = |v: f64| (v == 0.0 || v == 1.0).then_some(v as usize);
    match (outcome, values) {
        (Outcome::YesNo { .. }, &[v]) => yes_no(v),
        (Outcome::Number { .. }, &[v]) if v.is_finite() => Some(0),
        (Outcome::EventTime { .. }, &[time, event]) if time.is_finite() && time >= 0.0 => yes_no(event),
        _ => None,
    }
}

/// Whether a row is left out for a value that is missing. Where the study refuses these, its owner was told before the donation; in a
/// round a refusal would tell of the row.
pub(super) fn lacks(config: &Config, features: &[f64]) -> bool {
    let refused = matches!(config.missing, Missing::Refuse {} | Missing::Drop {});
    refused && features.iter().zip(&config.features).any(|(&v, x)| present(x, v).is_none())
}

impl Selection {
    pub(super) fn of(config: &Config, data: &dyn Data) -> Result<Self, Refusal> {
        let holds_out = config.holdout > 0.0;
        let mut draws: [Vec<f64>; 2] = Default::default();
        if holds_out {
            let features = config.features.len();
            data.each(config.columns(), &mut |draw, values| {
                if let Some(class) = class(&config.outcome, &values[features..]) {
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
        let limits = draws.iter_mut().map(limit).collect();
        let whole = Selection { limits, holds_out, small: None };
        if config.least.site <= 1 {
            return Ok(whole);
        }
        let small = Small::of(config, &whole, data)?;
        Ok(Selection { small: Some(small), ..whole })
    }

    /// Whether a row of this class with this draw is in the part.
    pub(super) fn has(&self, part: Part, class: usize, draw: f64) -> bool {
        let held_out = draw < self.limits[class];
        let training = !held_out && self.small.as_ref().is_none_or(|small| !small.classes[class]);
        match part {
            Part::Training => training,
            Part::Judging if self.holds_out => held_out && self.small.as_ref().is_none_or(|s| !s.judging),
            Part::Judging => training,
        }
    }

    /// The values of a row that may be shown: what is too little stands as missing. Uses `room` where it has to change the row.
    pub(super) fn shown<'a>(&self, features: &'a [f64], room: &'a mut Vec<f64>) -> &'a [f64] {
        let Some(small) = self.small.as_ref().filter(|small| small.values > 0) else { return features };
        room.clear();
        let hidden = small.columns.iter().zip(&small.levels);
        room.extend(features.iter().zip(hidden).map(|(&v, (&column, levels))| {
            let level = levels.get(v as usize).is_some_and(|&hidden| hidden);
            if column || level { f64::NAN } else { v }
        }));
        room
    }

    /// What is too little here.
    pub(super) fn small(&self) -> Option<&Small> {
        self.small.as_ref()
    }
}

/// What the training rows of one class have.
#[derive(Clone)]
struct Counts {
    rows: u64,
    /// Present values of each feature.
    present: Vec<u64>,
    /// Rows of each level of a category; empty for others.
    levels: Vec<Vec<u64>>,
}

impl Small {
    fn of(config: &Config, whole: &Selection, data: &dyn Data) -> Result<Self, Refusal> {
        let f = config.features.len();
        let few = |n: u64| n > 0 && n < u64::from(config.least.site);
        let levels = |x: &crate::config::Feature| match &x.kind {
            Kind::Category { levels } => vec![0; levels.len()],
            _ => Vec::new(),
        };
        let levels = config.features.iter().map(levels).collect();
        let mut counts = vec![Counts { rows: 0, present: vec![0; f], levels }; 2];
        let mut judging = 0;
        data.each(config.columns(), &mut |draw, values| {
            let (features, outcome) = values.split_at(f);
            let Some(class) = class(&config.outcome, outcome).filter(|_| !lacks(config, features)) else {
                return Ok(());
            };
            judging += u64::from(whole.holds_out && whole.has(Part::Judging, class, draw));
            if !whole.has(Part::Training, class, draw) {
                return Ok(());
            }
            let here = &mut counts[class];
            here.rows += 1;
            for (i, (&v, x)) in features.iter().zip(&config.features).enumerate() {
                let Some(v) = present(x, v) else { continue };
                here.present[i] += 1;
                if let Some(level) = here.levels[i].get_mut(v as usize) {
                    *level += 1;
                }
            }
            Ok(())
        })?;
        let classes = [few(counts[0].rows), few(counts[1].rows)];
        let left = || counts.iter().zip(classes).filter(|(_, few)| !few).map(|(counts, _)| counts);
        let sum = |of: &dyn Fn(&Counts) -> u64| left().map(of).sum::<u64>();
        let present: Vec<u64> = (0..f).map(|i| sum(&|c| c.present[i])).collect();
        let level =
            |i: usize| (0..counts[0].levels[i].len()).map(|k| sum(&|c| c.levels[i][k])).collect::<Vec<u64>>();
        let of_levels: Vec<Vec<u64>> = (0..f).map(level).collect();
        let mut small = Small {
            classes,
            judging: few(judging),
            columns: present.iter().map(|&n| few(n)).collect(),
            levels: of_levels.iter().map(|rows| rows.iter().map(|&n| few(n)).collect()).collect(),
            rows: counts.iter().zip(classes).filter(|(_, few)| *few).map(|(c, _)| c.rows).sum(),
            values: 0,
        };
        if small.judging {
            small.rows += judging;
        }
        for (i, &n) in present.iter().enumerate() {
            small.values += match small.columns[i] {
                true => n,
                false => of_levels[i].iter().filter(|&&n| few(n)).sum(),
            };
        }
        Ok(small)
    }
}

/// Where the numbers of each cell go, so that each cell that has rows has at least `least`: neighbors that have too few together go
/// to the one in which their middle row is, and what is left at the end to those before it. None for cells without rows, and for all
/// when there are too few in all. `rows` are whole numbers.
pub fn gather(rows: &[f64], least: u32) -> Vec<Option<usize>> {
    let least = f64::from(least.max(1));
    let mut to = vec![None; rows.len()];
    // Groups of cells, each from its first to behind its last.
    let mut groups: Vec<(usize, usize)> = Vec::new();
    let (mut from, mut sum) = (0, 0.0);
    for (i, n) in rows.iter().enumerate() {
        sum += n;
        if sum >= least {
            groups.push((from, i + 1));
            (from, sum) = (i + 1, 0.0);
        }
    }
    match groups.last_mut() {
        Some(last) if sum > 0.0 => last.1 = rows.len(),
        _ => {}
    }
    for (from, end) in groups {
        let half = rows[from..end].iter().sum::<f64>() / 2.0;
        let mut below = 0.0;
        let middle = (from..end).find(|&i| {
            below += rows[i];
            below >= half
        });
        (from..end).filter(|&i| rows[i] > 0.0).for_each(|i| to[i] = middle);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::gather;

    #[test]
    fn cells_with_few_rows_go_to_their_neighbors() {
        for (rows, least, to) in [
            (&[3.0, 0.0, 1.0][..], 0, &[Some(0), None, Some(2)][..]),
            (&[3.0, 0.0, 1.0], 1, &[Some(0), None, Some(2)]),
            (&[5.0, 6.0], 5, &[Some(0), Some(1)]),
            // Two go together, and what is left at the end goes to them.
            (&[2.0, 0.0, 4.0, 1.0], 5, &[Some(2), None, Some(2), Some(2)]),
            (&[4.0, 1.0, 5.0], 5, &[Some(0), Some(0), Some(2)]),
            (&[5.0, 0.0, 0.0], 5, &[Some(0), None, None]),
            // Too few in all.
            (&[2.0, 2.0], 5, &[None, None]),
            (&[], 5, &[]),
        ] {
            assert_eq!(gather(rows, least), to, "{rows:?} {least}");
        }
    }
}
