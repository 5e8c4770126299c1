//! How good a model is.

use histone_program_sdk::data::Data;
use histone_program_sdk::math::dot;
use histone_program_sdk::method::{Numbers, Segment, run_alone};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::tabular::{Design, LEAST_JUDGING, MAX_ROWS, Part};
use histone_program_sdk::wire;

use crate::{Linear, read, scale, scaled};

wire! {
    /// Sums of squares of one part of the rows, on the scale of the outcome's range.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Errors {
        /// Rows.
        pub rows: f64,
        /// Squared differences of outcome and model.
        pub residual: f64,
        /// Squared differences of outcome and its own mean.
        pub total: f64,
    }
}

wire! {
    /// How a model does.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Judged {
        /// On the training rows.
        pub training: Errors,
        /// On the judging rows.
        pub judging: Errors,
    }
}

impl Errors {
    /// Share of the variance that is explained; NaN when there is none to explain.
    pub fn r2(&self) -> f64 {
        if self.rows > 1.0 && self.total > 0.0 { 1.0 - self.residual / self.total } else { f64::NAN }
    }

    /// Root of the mean squared error, on the scale of the range; NaN without rows.
    pub fn rmse(&self) -> f64 {
        if self.rows > 0.0 { (self.residual / self.rows).sqrt() } else { f64::NAN }
    }
}

/// An error larger than this, where the range of outcomes is 2, is taken as this, so that no row makes the squares pass their bound.
const FURTHEST: f64 = 1_024.0;

/// `[rows of training and judging]`, then for each `[squared errors, differences from the mean, their squares]`.
pub(crate) fn segments() -> Vec<Segment> {
    let max_abs = (1_u64 << 48) as f64;
    vec![
        Segment { len: 2, numbers: Numbers::Count { max: MAX_ROWS } },
        Segment { len: 6, numbers: Numbers::Real { max_abs, fraction_bits: 60 } },
    ]
}

/// A site's numbers, of some parts of its rows.
pub(crate) fn site(
    design: &Design,
    weights: &[f64],
    mean: f64,
    parts: &[Part],
    data: &dyn Data,
) -> Result<[f64; 8], Refusal> {
    if weights.len() != design.width() {
        return Err(Refusal::Malformed);
    }
    let range = scale(&design.config);
    let mut out = [0.0; 8];
    for &part in parts {
        let at = usize::from(part == Part::Judging);
        design.batches(data, part, &mut |batch| {
            for (z, &y) in batch.z.chunks_exact(batch.width).zip(&batch.outcomes) {
                let y = scaled(range, y);
                let (error, deviation) = ((y - dot(weights, z)).clamp(-FURTHEST, FURTHEST), y - mean);
                out[at] += 1.0;
                let sums = &mut out[2 + 3 * at..5 + 3 * at];
                sums[0] += error * error;
                sums[1] += deviation;
                sums[2] += deviation * deviation;
            }
        })?;
    }
    Ok(out)
}

impl Judged {
    /// Reads the sum of all sites.
    pub(crate) fn read(sum: &[f64]) -> Result<Self, Refusal> {
        let wrong = || Refusal::because("the sums of squared errors cannot be true");
        let &[n0, n1, r0, d0, s0, r1, d1, s1] = sum else { return Err(wrong()) };
        let errors = |rows: f64, residual: f64, d: f64, s: f64| {
            if rows < 0.0 || rows.trunc() != rows || residual < 0.0 || s < 0.0 {
                return Err(wrong());
            }
            let total = if rows > 0.0 { (s - d * d / rows).max(0.0) } else { 0.0 };
            Ok(Errors { rows, residual, total })
        };
        Ok(Self { training: errors(n0, r0, d0, s0)?, judging: errors(n1, r1, d1, s1)? })
    }
}

/// The fields of a site's report.
pub(crate) fn report(design: &Design, weights: &[f64], data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let errors = Judged::read(&site(design, weights, 0.0, &[Part::Judging], data)?)?.judging;
    // Exact figures of a handful of people would be equations in each of them.
    if errors.rows < LEAST_JUDGING as f64 {
        return Ok(vec![errors.rows, f64::NAN, f64::NAN, f64::NAN]);
    }
    let own = own(design, data).unwrap_or(f64::NAN);
    let rmse = errors.rmse() * scale(&design.config).1;
    Ok(vec![errors.rows, least(errors.r2()), rmse, least(own)])
}

/// What the manifest has room for.
fn least(r2: f64) -> f64 {
    if r2 < -1_000.0 { -1_000.0 } else { r2 }
}

/// R2 of a model that this site trains alone, on the same judging rows; none when it cannot.
fn own(design: &Design, data: &dyn Data) -> Option<f64> {
    let done = run_alone::<Linear>(design.config.clone(), data).ok()?;
    let (design, weights) = read(&done.model).ok()?;
    Some(Judged::read(&site(&design, weights, 0.0, &[Part::Judging], data).ok()?).ok()?.judging.r2())
}
