//! Least squares from sums.

use histone_program_sdk::data::Data;
use histone_program_sdk::math::{axpy, dot};
use histone_program_sdk::matrix::{Gram, cholesky};
use histone_program_sdk::method::{Numbers, Segment};
use histone_program_sdk::refusal::Refusal;
use histone_program_sdk::tabular::{Described, Design, Part};
use histone_program_sdk::wire;

use crate::{scale, scaled, setting};

/// A pivot below this fraction of its diagonal entry is rounding: the matrix is singular.
const SINGULAR: f64 = 1e-11;

/// Bound of the sums of products of one site.
const MAX_ABS: f64 = (1_u64 << 48) as f64;

wire! {
    /// Weights and what is needed to say how sure they are.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Fitted {
        /// What the first round gave.
        pub described: Described,
        /// The columns.
        pub design: Design,
        /// Weights of the columns of the design on the scale of the outcome's range, the intercept first.
        pub weights: Vec<f64>,
        /// Mean outcome of the training rows, on that scale.
        pub mean: f64,
        /// Training rows.
        pub rows: f64,
        /// What the fit takes of the degrees of freedom: the columns that say something, less what a ridge gives back.
        pub parameters: f64,
        /// For the intercept and each column, its variance on the scale of the data where the error's is 1; NaN for a column that
        /// says nothing.
        pub variances: Vec<f64>,
    }
}

/// `[upper triangle of X'X by rows, X'y, y'y]`.
pub(crate) fn segments(p: usize) -> Vec<Segment> {
    let len = p * (p + 1) / 2 + p + 1;
    vec![Segment { len: len as u32, numbers: Numbers::Real { max_abs: MAX_ABS, fraction_bits: 60 } }]
}

/// A site's numbers.
pub(crate) fn site(design: &Design, data: &dyn Data) -> Result<Vec<f64>, Refusal> {
    let p = design.width();
    let range = scale(&design.config);
    let mut gram = Gram::new(p);
    let (mut products, mut squares) = (vec![0.0; p], 0.0);
    let ones = [1.0; histone_program_sdk::tabular::BATCH];
    design.batches(data, Part::Training, &mut |batch| {
        for (z, &y) in batch.z.chunks_exact(p).zip(&batch.outcomes) {
            let y = scaled(range, y);
            axpy(y, z, &mut products);
            squares += y * y;
        }
        gram.add_block(&ones[..batch.outcomes.len()], &batch.z);
    })?;
    let mut out = gram.upper().to_vec();
    out.extend(products);
    out.push(squares);
    Ok(out)
}

impl Fitted {
    /// From the sum of all sites.
    pub(crate) fn new(described: Described, design: Design, sums: &[f64]) -> Result<Self, Refusal> {
        let p = design.width();
        let short = || Refusal::because("the sums of the fit are too short");
        let (triangle, rest) = sums.split_at_checked(p * (p + 1) / 2).ok_or_else(short)?;
        let (products, _) = rest.split_at_checked(p).ok_or_else(short)?;
        let rows = triangle[0];
        if rows < 1.0 || rows.trunc() != rows {
            return Err(Refusal::because("the sums of the fit cannot be true: the rows are no whole number"));
        }
        let ridge = design.config.value(setting::RIDGE);
        let active: Vec<usize> = (0..p).filter(|&i| i == 0 || design.sd[i - 1] > 0.0).collect();
        let n = active.len();
        let mut upper = Vec::with_capacity(n * (n + 1) / 2);
        for (a, &i) in active.iter().enumerate() {
            let start = i * p - i * i.saturating_sub(1) / 2 - i;
            upper.extend(
                active[a..].iter().map(|&j| triangle[start + j] + if i == j && i > 0 { ridge } else { 0.0 }),
            );
        }
        let columns = design.columns();
        let matrix = Gram::from_upper(n, upper).ok_or_else(short)?;
        let factor = cholesky(matrix, SINGULAR).map_err(|singular| {
            let name = active[singular.column].checked_sub(1).map_or("the intercept", |i| columns[i].name.as_str());
            Refusal::because(format!(
                "`{name}` says nothing that the columns before it do not say, or there are fewer rows than columns; leave it out, \
                 or set `ridge` above 0"
            ))
        })?;
        let right: Vec<f64> = active.iter().map(|&i| products[i]).collect();
        let mut weights = vec![0.0; p];
        let most = design.config.value(setting::MAX_WEIGHT);
        for (&i, w) in active.iter().zip(factor.solve(&right)) {
            if !w.is_finite() {
                return Err(Refusal::because("a weight is not finite: the sums of the fit cannot be true"));
            }
            weights[i] = if w.abs() > most { most.copysign(w) } else { w };
        }
        // With M = X'X + R the covariance is M^-1 X'X M^-1 = M^-1 - M^-1 R M^-1.
        let diagonal = factor.inverse_diagonal();
        let inverse = (ridge > 0.0).then(|| factor.inverse());
        let penalty = |a: usize| {
            let squares = |m: &Gram| (1..n).map(|k| m.get(a, k) * m.get(a, k)).sum::<f64>();
            ridge * inverse.as_ref().map_or(0.0, squares)
        };
        let mut variances = vec![f64::NAN; p];
        let mut contrast = vec![1.0; n];
        let mut parameters = n as f64;
        for (a, &i) in active.iter().enumerate().skip(1) {
            let column = &columns[i - 1];
            variances[i] = (diagonal[a] - penalty(a)) / (column.unit * column.unit);
            contrast[a] = -column.centre / column.unit;
            parameters -= ridge * diagonal[a];
        }
        // The intercept on the scale of the data is a contrast of all weights.
        let x = factor.solve(&contrast);
        variances[0] = dot(&x, &contrast) - ridge * dot(&x[1..], &x[1..]);
        Ok(Self { described, mean: products[0] / rows, rows, parameters, variances, design, weights })
    }
}
