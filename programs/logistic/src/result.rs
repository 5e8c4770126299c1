//! What was found, and what there is to say of it.

use histone_program_sdk::math::{dot, exp};
use histone_program_sdk::matrix::{Factor, Gram};
use histone_program_sdk::method::{Done, Fact};
use histone_program_sdk::model::Model;
use histone_program_sdk::stats::{normal_quantile, two_sided_normal};
use histone_program_sdk::tabular::{Described, Design};
use histone_program_sdk::wire;

use crate::{Fit, Judged, setting};

wire! {
    /// Weights and how sure they are.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Estimates {
        /// What the first round gave.
        pub described: Described,
        /// The columns.
        pub design: Design,
        /// Weights of the columns of the design, the intercept first.
        pub weights: Vec<f64>,
        /// The same on the scale of the data.
        pub coefficients: Vec<f64>,
        /// Standard errors on the scale of the data; NaN for a column that says nothing.
        pub errors: Vec<f64>,
        /// Whether weights had stopped changing before the rounds ran out.
        pub converged: bool,
        /// Newton rounds.
        pub rounds: u32,
        /// Sum of log losses in the last round.
        pub loss: f64,
    }
}

impl Estimates {
    /// `factor` is that of the penalized curvature of the active columns. With the curvature `H` and the penalty `R` the covariance
    /// is `(H + R)^-1 H (H + R)^-1`, which is `H^-1` without a ridge.
    pub(crate) fn new(
        fit: Fit,
        weights: Vec<f64>,
        active: &[usize],
        factor: &Factor,
        converged: bool,
        loss: f64,
    ) -> Self {
        let Fit { described, design, rounds, .. } = fit;
        let ridge = design.config.value(setting::RIDGE);
        let columns = design.columns();
        let n = active.len();
        // M^-1 H M^-1 = M^-1 - M^-1 R M^-1 for M = H + R.
        let diagonal = factor.inverse_diagonal();
        let inverse = (ridge > 0.0).then(|| factor.inverse());
        let penalty = |a: usize| {
            let squares = |m: &Gram| (1..n).map(|k| m.get(a, k) * m.get(a, k)).sum::<f64>();
            ridge * inverse.as_ref().map_or(0.0, squares)
        };
        let mut coefficients = vec![0.0; weights.len()];
        let mut errors = vec![f64::NAN; weights.len()];
        // On the scale of the data z = (x - centre) / unit, so that the intercept is a contrast of all of them.
        let mut contrast = vec![1.0; n];
        coefficients[0] = weights[0];
        for (a, &i) in active.iter().enumerate().skip(1) {
            let column = &columns[i - 1];
            coefficients[i] = weights[i] / column.unit;
            coefficients[0] -= coefficients[i] * column.centre;
            contrast[a] = -column.centre / column.unit;
            errors[i] = (diagonal[a] - penalty(a)).max(0.0).sqrt() / column.unit;
        }
        let x = factor.solve(&contrast);
        errors[0] = (dot(&x, &contrast) - ridge * dot(&x[1..], &x[1..])).max(0.0).sqrt();
        Self { described, design, weights, coefficients, errors, converged, rounds: rounds + 1, loss }
    }

    fn model(&self) -> Model {
        let d = &self.design;
        d.keep_in(Model::new("logistic", "1.1.0", d.config.clone()).with("weights", self.weights.clone()))
            .with("coefficients", self.coefficients.clone())
            .with("standard errors", self.errors.clone())
    }
}

/// Model and facts.
pub(crate) fn done(estimates: &Estimates, judged: &Judged) -> Done {
    let ridge = estimates.design.config.value(setting::RIDGE);
    let mut says =
        "Log odds of a yes for one unit more, on the scale of the data, with 95 % intervals (Wald)"
            .to_owned();
    if ridge > 0.0 {
        says.push_str(&format!("; a ridge of {ridge} on standardized columns pulls them towards 0, and intervals say nothing of that"));
    }
    let mut coefficients = Fact::table(
        "coefficients",
        &says,
        &[
            "term",
            "estimate",
            "standard error",
            "z",
            "p",
            "low",
            "high",
            "odds ratio",
            "odds low",
            "odds high",
        ],
    );
    let quantile = normal_quantile(0.975);
    let columns = estimates.design.columns();
    let names = std::iter::once("(intercept)").chain(columns.iter().map(|c| c.name.as_str()));
    for ((name, &b), &se) in names.zip(&estimates.coefficients).zip(&estimates.errors) {
        let (low, high) = (b - quantile * se, b + quantile * se);
        let z = b / se;
        let numbers = [b, se, z, two_sided_normal(z), low, high, exp(b), exp(low), exp(high)];
        let mut row = vec![name.into()];
        row.extend(numbers.map(Into::into));
        coefficients.row(row);
    }
    let (d, design) = (&estimates.described, &estimates.design);
    let mut facts = vec![
        Fact::single("rows", "Rows to train on, as the first round counted them", d.rows as f64),
        Fact::single("positives", "Those with a yes", d.positives as f64),
        Fact::single(
            "auc",
            "Area under the curve on the judging rows, counted in bins of log odds",
            judged.auc,
        ),
        Fact::single(
            "brier",
            "Mean squared difference of probability and outcome on the judging rows",
            judged.brier,
        ),
        Fact::single(
            "calibration slope",
            "Slope of the outcome on the predicted log odds, by the same bins; 1 is best",
            judged.calibration_slope,
        ),
        Fact::single("calibration intercept", "Intercept of it; 0 is best", judged.calibration_intercept),
        Fact::single("log-likelihood", "Of the rows that were in the last Newton round", -estimates.loss),
        Fact::single("newton rounds", "Until no weight changed", f64::from(estimates.rounds)),
        Fact::single(
            "converged",
            "Whether weights had stopped changing",
            if estimates.converged { "yes" } else { "no" },
        ),
        coefficients,
    ];
    if d.judges(design) {
        facts.insert(2, Fact::single("judging rows", "Rows that judge the model", judged.rows));
    }
    facts.extend(d.facts(design));
    let most = design.config.value(setting::MAX_WEIGHT);
    facts.extend(design.at_the_bound(&estimates.weights, most));
    Done { model: estimates.model(), facts }
}
