//! From the sums of the first round to fill values, means and deviations.

use crate::config::{Config, Kind};
use crate::data::Data;
use crate::method::{Numbers, Segment};
use crate::refusal::Refusal;
use crate::wire;

use super::MAX_ROWS;
use super::design::{clip, clip_at, present, scale};
use super::select::{Part, Selection, class, lacks};

/// A deviation below this, where the whole range is 2, is rounding: the column says nothing.
const CONSTANT: f64 = 1e-10;

/// Sums of squares may contradict their sums by this fraction and this much: rounding of both.
const SLACK: f64 = 1e-9;

wire! {
    /// What the training rows of the first round are, summed up over sites.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Described {
        /// Training rows, after rows with missing values are left out.
        pub rows: u64,
        /// Rows that judge the model, after rows with missing values are left out.
        pub judging: u64,
        /// Rows without an outcome, which are left out.
        pub without_outcome: u64,
        /// Training rows of class 1 of a yes/no outcome or with a seen event; 0 for a number.
        pub positives: u64,
        /// Rows that sites left out because they were too few: see [`crate::config::Least::site`].
        pub left_out: u64,
        /// Values that sites filled because they were too few.
        pub hidden: u64,
        /// For each feature how many values of training rows are present; 0 where they are fewer than the minimum of all sites.
        pub present: Vec<u64>,
        /// For each feature how many were outside of its range.
        pub clipped: Vec<u64>,
        /// For each number, its sum and sum of squares on the scale of its range; for a category the rows of each level.
        pub sums: Vec<Vec<f64>>,
    }
}

/// Counts before those of the features.
const HEAD: usize = 6;

/// How many numbers each feature takes beside its counts of present and clipped values.
fn width(kind: &Kind) -> usize {
    match kind {
        Kind::Category { levels } => levels.len(),
        _ => 2,
    }
}

/// Counts first, then sums of numbers.
pub(super) fn segments(config: &Config) -> Vec<Segment> {
    let f = config.features.len();
    let levels: usize = config
        .features
        .iter()
        .map(|x| if let Kind::Category { levels } = &x.kind { levels.len() } else { 0 })
        .sum();
    let numbers = config.features.iter().filter(|x| x.kind.range().is_some()).count();
    vec![
        Segment { len: (HEAD + 2 * f + levels) as u32, numbers: Numbers::Count { max: MAX_ROWS } },
        Segment {
            len: (2 * numbers) as u32,
            numbers: Numbers::Real { max_abs: MAX_ROWS as f64, fraction_bits: 60 },
        },
    ]
}

/// The site's numbers: `[rows, judging, without outcome, positives, left out, hidden, present.., clipped.., levels..]`, then
/// `[sum and squares..]`.
pub(super) fn site(config: &Config, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let f = config.features.len();
    let selection = Selection::of(config, data)?;
    let mut room = Vec::new();
    let mut head = [0.0; HEAD];
    let (mut here, mut clipped) = (vec![0.0; f], vec![0.0; f]);
    let scales: Vec<(f64, f64)> = config.features.iter().map(scale).collect();
    let mut sums: Vec<Vec<f64>> = config.features.iter().map(|x| vec![0.0; width(&x.kind)]).collect();
    data.each(config.columns(), &mut |draw, values| {
        let (features, outcome) = values.split_at(f);
        let Some(class) = class(&config.outcome, outcome) else {
            head[2] += 1.0;
            return Ok(());
        };
        let no_level = |(&v, x): (&f64, &crate::config::Feature)| match &x.kind {
            Kind::Category { levels } => v >= levels.len() as f64 || v < 0.0 || v.trunc() != v,
            _ => false,
        };
        // No table has a level that is none; whoever has one is left out and not refused, as in every later round.
        if lacks(config, features)
            || features.iter().zip(&config.features).any(|(v, x)| !v.is_nan() && no_level((v, x)))
        {
            return Ok(());
        }
        if selection.has(Part::Judging, class, draw) {
            head[1] += 1.0;
        }
        if !selection.has(Part::Training, class, draw) {
            return Ok(());
        }
        head[0] += 1.0;
        head[3] += class as f64;
        let features = selection.shown(features, &mut room);
        for (i, (&v, x)) in features.iter().zip(&config.features).enumerate() {
            let Some(v) = present(x, v) else { continue };
            here[i] += 1.0;
            match &x.kind {
                Kind::Category { .. } => sums[i][v as usize] += 1.0,
                _ => {
                    let (u, outside) = clip_at(x, scales[i], v);
                    clipped[i] += f64::from(u8::from(outside));
                    sums[i][0] += u;
                    sums[i][1] += u * u;
                }
            }
        }
        Ok(())
    })?;
    if let Some(small) = selection.small() {
        (head[4], head[5]) = (small.rows as f64, small.values as f64);
        // These are of rows that are not used, and of values that are used as others.
        let few = |n: f64| n < f64::from(config.least.site);
        std::iter::once(&mut head[2]).chain(&mut clipped).filter(|n| few(**n)).for_each(|n| *n = 0.0);
    }
    let mut out = head.to_vec();
    out.extend(here.into_iter().chain(clipped));
    let of = |numbers: bool| {
        let is = move |x: &crate::config::Feature| x.kind.range().is_some() == numbers;
        config.features.iter().zip(&sums).filter(move |(x, _)| is(x)).flat_map(|(_, s)| s.iter().copied())
    };
    out.extend(of(false));
    out.extend(of(true));
    Ok(out)
}

impl Described {
    /// Reads the sum of all sites; it must be one that tables can have.
    pub(super) fn read(config: &Config, sum: &[f64]) -> Result<Self, Refusal> {
        let f = config.features.len();
        let wrong =
            |what: &str| Refusal::because(format!("the sums of the description cannot be true: {what}"));
        let count = |v: f64| {
            if (0.0..=9e15).contains(&v) && v.trunc() == v {
                Ok(v as u64)
            } else {
                Err(wrong("a count is not a whole number"))
            }
        };
        let counts = |v: &[f64]| v.iter().map(|&v| count(v)).collect::<Result<Vec<_>, _>>();
        let mut rest = sum;
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at_checked(n).ok_or_else(|| wrong("numbers are missing"))?;
            rest = tail;
            Ok::<_, Refusal>(head)
        };
        let head = counts(take(HEAD)?)?;
        let mut present = counts(take(f)?)?;
        let mut clipped = counts(take(f)?)?;
        let mut sums = vec![Vec::new(); f];
        for numbers in [false, true] {
            for (i, x) in config.features.iter().enumerate() {
                if x.kind.range().is_some() == numbers {
                    sums[i] = take(width(&x.kind))?.to_vec();
                }
            }
        }
        let [rows, judging, without_outcome, positives, left_out, hidden] = head[..] else {
            return Err(wrong("numbers are missing"));
        };
        for (i, x) in config.features.iter().enumerate() {
            let n = present[i] as f64;
            if present[i] > rows || clipped[i] > present[i] {
                return Err(wrong("more values than rows"));
            }
            match &x.kind {
                Kind::Category { .. } => {
                    if counts(&sums[i])?.iter().sum::<u64>() != present[i] {
                        return Err(wrong("the levels of a category are not its values"));
                    }
                }
                _ => {
                    let (s1, s2) = (sums[i][0], sums[i][1]);
                    let least = if n == 0.0 { 0.0 } else { s1 * s1 / n };
                    if s1.abs() > n * (1.0 + SLACK)
                        || s2 > n * (1.0 + SLACK)
                        || s2 < least * (1.0 - SLACK) - SLACK
                    {
                        return Err(wrong("a sum does not fit to its squares"));
                    }
                }
            }
        }
        if positives > rows {
            return Err(wrong("more positives than rows"));
        }
        // A column of which all sites together have too little is not used, and nothing is said of it.
        for (i, here) in present.iter_mut().enumerate().filter(|(_, here)| config.few(**here)) {
            (*here, clipped[i]) = (0, 0);
            sums[i].fill(0.0);
        }
        Ok(Self { rows, judging, without_outcome, positives, left_out, hidden, present, clipped, sums })
    }

    /// Whether a level of a category has a column that is used. A level of too few rows is one with the first; where the first has too
    /// few, the most frequent is one with it.
    fn has_column(&self, config: &Config, feature: usize, level: usize) -> bool {
        let rows = &self.sums[feature];
        let most = (1..rows.len()).fold(1, |best, k| if rows[k] > rows[best] { k } else { best });
        let with_first = config.few(rows[level] as u64) || (config.few(rows[0] as u64) && level == most);
        !with_first
    }

    /// What fills missing values when the mean does: means of numbers, the most frequent level of categories; in units of the
    /// data.
    pub(super) fn fill(&self, config: &Config) -> Vec<f64> {
        let of = |(i, x): (usize, &crate::config::Feature)| match x.kind.range() {
            Some((low, high)) => {
                let mean = if self.present[i] == 0 { 0.0 } else { self.sums[i][0] / self.present[i] as f64 };
                (low / 2.0 + high / 2.0) + mean * (high / 2.0 - low / 2.0)
            }
            None => {
                let first = |best: usize, (level, n): (usize, &f64)| {
                    if *n > self.sums[i][best] { level } else { best }
                };
                self.sums[i].iter().enumerate().fold(0, first) as f64
            }
        };
        config.features.iter().enumerate().map(of).collect()
    }

    /// Means and deviations of the columns of the design after filling, in their order.
    ///
    /// Squares are first taken about the mean of the present values; filling then only adds a term that is not negative, so
    /// that nothing is lost by cancellation a second time.
    pub(super) fn scales(&self, config: &Config, fill: &[f64]) -> Vec<(f64, f64)> {
        let rows = self.rows as f64;
        let mut scales = Vec::new();
        for (i, x) in config.features.iter().enumerate() {
            let (here, missing) = (self.present[i] as f64, self.rows.saturating_sub(self.present[i]) as f64);
            let column = |s1: f64, s2: f64, fill: f64| {
                let own = if here == 0.0 { 0.0 } else { s1 / here };
                let shift = fill - own;
                let mean = own + missing / rows * shift;
                let about_own = (s2 - s1 * own).max(0.0);
                let sd = ((about_own + here * (missing / rows) * (shift * shift)) / rows).sqrt();
                (mean, if sd > CONSTANT { sd } else { 0.0 })
            };
            match &x.kind {
                Kind::Category { levels } => scales.extend((1..levels.len()).map(|level| {
                    let (n, filled) = (self.sums[i][level], f64::from(u8::from(fill[i] == level as f64)));
                    if self.has_column(config, i, level) { column(n, n, filled) } else { (0.0, 0.0) }
                })),
                _ => scales.push(column(self.sums[i][0], self.sums[i][1], clip(x, fill[i]).0)),
            }
        }
        scales
    }
}
