//! How good a model is on the rows that judge it.

use histone_program_sdk::config::Config;
use histone_program_sdk::data::Data;
use histone_program_sdk::math::{dot, exp, logistic, softplus};
use histone_program_sdk::method::{Numbers, Segment, run_alone};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::tabular::{Design, LEAST_JUDGING, MAX_ROWS, Part, gather};
use histone_program_sdk::wire;

use crate::{Logistic, read, setting};

/// Most bins that judging rows are counted in: finer ones would list the score and the class of few people.
const MAX_BINS: u32 = 64;

/// Binary digits behind the point to which log odds are rounded before they are summed up in a bin: more would open the score of
/// whoever is alone there to the last digit, and calibration needs no more.
const DIGITS: u8 = 2;
const PARTS: f64 = (1_u8 << DIGITS) as f64;

/// Log odds beyond this are taken as this: a probability of 1 in double precision.
const MOST: f64 = 40.0;

wire! {
    /// How a model does over rows.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Judged {
        /// Rows.
        pub rows: f64,
        /// Rows with a yes.
        pub positives: f64,
        /// Area under the curve; NaN when a class is empty.
        pub auc: f64,
        /// Mean squared difference of probability and outcome; NaN without rows.
        pub brier: f64,
        /// Intercept of the outcome on the predicted log odds; NaN when a class is empty or the slope has no best value.
        pub calibration_intercept: f64,
        /// Slope of it.
        pub calibration_slope: f64,
    }
}

/// Cells in which rows are counted to find the borders of bins.
const CELLS: usize = 512;

/// The cells reach so far from their centre, but for the first and the last, which reach on: `SCALE * sinh(REACH)` is 75 log odds.
const REACH: f64 = 8.0;
/// Cells at the centre are narrow, for models that tell little; far from it wide, for models that tell much.
const SCALE: f64 = 0.05;

/// Borders of the cells about a centre, ascending.
fn cells(centre: f64) -> Vec<f64> {
    let border = |i: usize| {
        let u = REACH * (2.0 * i as f64 / CELLS as f64 - 1.0);
        centre + SCALE * (exp(u) - exp(-u)) / 2.0
    };
    (1..CELLS).map(border).collect()
}

/// `[judging rows of each cell]`.
pub(crate) fn spread_segments() -> Vec<Segment> {
    vec![Segment { len: CELLS as u32, numbers: Numbers::Count { max: MAX_ROWS } }]
}

/// `[negatives of each bin, positives of each bin]`, `[log odds of each bin in quarters, summed up]`, `[squared differences summed
/// up]`.
pub(crate) fn segments(bins: u32) -> Vec<Segment> {
    let real =
        |len, max_abs, fraction_bits| Segment { len, numbers: Numbers::Real { max_abs, fraction_bits } };
    vec![
        Segment { len: 2 * bins, numbers: Numbers::Count { max: MAX_ROWS } },
        real(bins, MAX_ROWS as f64 * MOST, DIGITS),
        real(1, MAX_ROWS as f64, 60),
    ]
}

/// How many bins there are at the most.
pub(crate) fn bins(config: &Config) -> u32 {
    (config.value(setting::BINS) as u32).clamp(2, MAX_BINS)
}

/// Rows that a bin must have.
fn least(config: &Config) -> u32 {
    config.least.sum.max(config.least.site).max(1)
}

/// Borders of the bins from the rows of each cell: as many bins of about equally many rows as the study asks for, and each with no
/// fewer than the minimum.
pub(crate) fn cuts(config: &Config, centre: f64, rows: &[f64]) -> Result<Vec<f64>, Refusal> {
    if rows.len() != CELLS || rows.iter().any(|&n| n < 0.0 || n.trunc() != n) {
        return Err(Refusal::because("the sums of the spread cannot be true"));
    }
    let all: f64 = rows.iter().sum();
    let wanted = (all / f64::from(bins(config))).ceil().max(f64::from(least(config)));
    let (mut cuts, mut here, mut left) = (Vec::new(), 0.0, all);
    for (n, border) in rows.iter().zip(cells(centre)) {
        (here, left) = (here + n, left - n);
        if here >= wanted && left >= wanted {
            cuts.push(border);
            here = 0.0;
        }
    }
    Ok(cuts)
}

/// Log odds of the judging rows, each with its outcome.
fn scores(design: &Design, weights: &[f64], data: &dyn Data) -> Result<Vec<(f64, bool)>, Refusal> {
    let mut scores = Vec::new();
    design.batches(data, Part::Judging, &mut |batch| {
        for (z, &y) in batch.z.chunks_exact(batch.width).zip(&batch.outcomes) {
            scores.push((dot(weights, z).clamp(-MOST, MOST), y == 1.0));
        }
    })?;
    Ok(scores)
}

/// A site's rows in each cell. Cells with too few of them have none: their rows count in a cell beside them.
pub(crate) fn spread(
    design: &Design,
    weights: &[f64],
    centre: f64,
    data: &dyn Data,
) -> Result<Vec<f64>, Refusal> {
    if weights.len() != design.width() {
        return Err(Refusal::Malformed);
    }
    let borders = cells(centre);
    let mut rows = vec![0.0; CELLS];
    for (eta, _) in scores(design, weights, data)? {
        rows[borders.partition_point(|&border| border <= eta)] += 1.0;
    }
    let mut out = vec![0.0; CELLS];
    for (n, to) in rows.iter().zip(gather(&rows, design.config.least.site)) {
        to.into_iter().for_each(|to| out[to] += n);
    }
    Ok(out)
}

/// A site's numbers in bins between `cuts`; there is room for `bins` of them, since how many there are tells of the data. Log odds on a
/// border count in the upper bin. Bins with too few rows have none, as in [`spread`].
pub(crate) fn site(
    design: &Design,
    weights: &[f64],
    cuts: &[f64],
    bins: u32,
    data: &dyn Data,
) -> Result<Vec<f64>, Refusal> {
    let n = bins as usize;
    if cuts.len() >= n || bins > MAX_BINS || weights.len() != design.width() {
        return Err(Refusal::Malformed);
    }
    let mut rows = vec![0.0; n];
    let mut parts = vec![[0.0; 3]; n];
    let mut squares = 0.0;
    for (eta, yes) in scores(design, weights, data)? {
        let bin = cuts.partition_point(|&cut| cut <= eta);
        rows[bin] += 1.0;
        parts[bin][usize::from(yes)] += 1.0;
        parts[bin][2] += (eta * PARTS).round_ties_even() / PARTS;
        let miss = logistic(eta) - f64::from(u8::from(yes));
        squares += miss * miss;
    }
    let mut out = vec![0.0; 3 * n + 1];
    for (part, to) in parts.iter().zip(gather(&rows, design.config.least.site)) {
        let Some(to) = to else { continue };
        part.iter().enumerate().for_each(|(i, v)| out[i * n + to] += v);
    }
    out[3 * n] = squares;
    Ok(out)
}

impl Judged {
    /// Where there are too few rows to say more.
    pub(crate) fn too_few(rows: u64) -> Self {
        let none = f64::NAN;
        let (calibration_intercept, calibration_slope) = (none, none);
        Self {
            rows: rows as f64,
            positives: none,
            auc: none,
            brier: none,
            calibration_intercept,
            calibration_slope,
        }
    }

    /// Reads the sum of all sites. Rows in one bin count as ties for the area, and have the mean of their log odds for the
    /// calibration. A bin with fewer rows than the minimum, because donors left, is one with its neighbor; a class with fewer says nothing.
    pub(crate) fn read(config: &Config, sum: &[f64]) -> Result<Self, Refusal> {
        let wrong = || Refusal::because("the sums of the judging rows cannot be true");
        let n = sum.len().saturating_sub(1) / 3;
        if n == 0
            || sum.len() != 3 * n + 1
            || sum[..2 * n].iter().any(|&c| c < 0.0 || c.trunc() != c)
            || sum[3 * n] < 0.0
        {
            return Err(wrong());
        }
        let mut bins = vec![(0.0, 0.0, 0.0); n];
        let rows: Vec<f64> = (0..n).map(|i| sum[i] + sum[n + i]).collect();
        for (i, to) in gather(&rows, least(config)).into_iter().enumerate() {
            let Some(to) = to else { continue };
            let bin = &mut bins[to];
            *bin = (bin.0 + sum[i], bin.1 + sum[n + i], bin.2 + sum[2 * n + i]);
        }
        let groups: Vec<(f64, f64, f64)> = bins
            .into_iter()
            .filter(|(no, yes, _)| no + yes > 0.0)
            .map(|(no, yes, eta)| (no, yes, eta / (no + yes)))
            .collect();
        let judged = Self::of(&groups, sum[3 * n]);
        let classes = [judged.positives, judged.rows - judged.positives];
        Ok(match classes.iter().any(|&n| config.few(n as u64)) {
            true => Self { brier: judged.brier, ..Self::too_few(judged.rows as u64) },
            false => judged,
        })
    }

    /// Of groups (rows with no, rows with yes, log odds), ascending by log odds.
    fn of(groups: &[(f64, f64, f64)], squares: f64) -> Self {
        let no: f64 = groups.iter().map(|g| g.0).sum();
        let yes: f64 = groups.iter().map(|g| g.1).sum();
        // Counted in half pairs, exact in a double up to 2^52 pairs.
        let (mut below, mut half_pairs) = (0.0, 0.0);
        for &(n, y, _) in groups {
            half_pairs += y * (2.0 * below + n);
            below += n;
        }
        let auc = if no > 0.0 && yes > 0.0 { half_pairs / (2.0 * no * yes) } else { f64::NAN };
        let (calibration_intercept, calibration_slope) = calibration(groups).unwrap_or((f64::NAN, f64::NAN));
        let rows = no + yes;
        let brier = if rows > 0.0 { squares / rows } else { f64::NAN };
        Self { rows, positives: yes, auc, brier, calibration_intercept, calibration_slope }
    }

    /// Of single rows.
    fn of_rows(mut scores: Vec<(f64, bool)>) -> Self {
        scores.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let squares = scores.iter().map(|&(eta, yes)| {
            let miss = logistic(eta) - f64::from(u8::from(yes));
            miss * miss
        });
        let squares = squares.sum();
        let groups: Vec<_> = scores
            .chunk_by(|a, b| a.0 == b.0)
            .map(|ties| {
                let yes = ties.iter().filter(|(_, yes)| *yes).count() as f64;
                (ties.len() as f64 - yes, yes, ties[0].0)
            })
            .collect();
        Self::of(&groups, squares)
    }
}

/// Intercept and slope of a logistic regression of the outcome on the log odds; none when there is no best one.
fn calibration(groups: &[(f64, f64, f64)]) -> Option<(f64, f64)> {
    let loss = |a: f64, b: f64| {
        let of = |&(no, yes, x): &(f64, f64, f64)| no * softplus(a + b * x) + yes * softplus(-a - b * x);
        groups.iter().map(of).sum::<f64>()
    };
    let (mut a, mut b) = (0.0, 1.0);
    for _ in 0..50 {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(no, yes, x) in groups {
            let p = logistic(a + b * x);
            let (d, w) = (yes - (no + yes) * p, (no + yes) * p * (1.0 - p));
            g0 += d;
            g1 += d * x;
            h00 += w;
            h01 += w * x;
            h11 += w * x * x;
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant.is_nan() || determinant <= 1e-10 * h00 * h11 {
            return None;
        }
        let (mut da, mut db) = ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
        // Too far from the best one a whole step leads away.
        let before = loss(a, b);
        for _ in 0..30 {
            if loss(a + da, b + db) <= before * (1.0 + 1e-12) {
                break;
            }
            (da, db) = (da / 2.0, db / 2.0);
        }
        (a, b) = (a + da, b + db);
        if a.abs() > 1e3 || b.abs() > 1e3 {
            return None;
        }
        if da.abs().max(db.abs()) < 1e-12 {
            return Some((a, b));
        }
    }
    None
}

/// The fields of a site's report.
pub(crate) fn report(design: &Design, weights: &[f64], data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let judged = Judged::of_rows(scores(design, weights, data)?);
    // Exact figures of a handful of people would be equations in each of them.
    if judged.rows < LEAST_JUDGING as f64 {
        let none = f64::NAN;
        return Ok(vec![judged.rows, none, none, none, none, none]);
    }
    let own = own(&design.config, data).unwrap_or(f64::NAN);
    Ok(vec![judged.rows, judged.positives, judged.auc, judged.brier, judged.calibration_slope, own])
}

/// Area under the curve of a model that this site trains alone, on the same judging rows; none when it cannot.
fn own(config: &Config, data: &dyn Data) -> Option<f64> {
    let done = run_alone::<Logistic>(config.clone(), data).ok()?;
    let (design, weights) = read(&done.model).ok()?;
    Some(Judged::of_rows(scores(&design, weights, data).ok()?).auc)
}
