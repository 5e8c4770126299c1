//! What there is to say of a finished training.

use histone_program_sdk::method::{Done, Fact};
use histone_program_sdk::model::Model;
use histone_program_sdk::stats::{student_t_quantile, two_sided_t};

use crate::{Fitted, Judged, scale, setting};

/// Model and facts.
pub(crate) fn done(fitted: &Fitted, judged: &Judged) -> Done {
    let design = &fitted.design;
    let columns = design.columns();
    let (middle, half) = scale(&design.config);
    let df = fitted.rows - fitted.parameters;
    let spread = if df > 0.0 { (judged.training.residual / df).sqrt() * half } else { f64::NAN };
    let mut coefficients = vec![middle + half * fitted.weights[0]];
    for (w, column) in fitted.weights[1..].iter().zip(&columns) {
        let b = if column.unit == 0.0 { 0.0 } else { half * w / column.unit };
        coefficients[0] -= b * column.centre;
        coefficients.push(b);
    }
    let errors: Vec<f64> = fitted.variances.iter().map(|v| spread * v.max(0.0).sqrt()).collect();
    let ridge = design.config.value(setting::RIDGE);
    let mut says =
        "Change of the outcome for one unit more, on the scale of the data, with 95 % intervals (Student t)"
            .to_owned();
    if ridge > 0.0 {
        says.push_str(&format!(
            "; a ridge of {ridge} on standardized columns pulls them towards 0, and intervals say nothing of that"
        ));
    }
    let mut table =
        Fact::table("coefficients", &says, &["term", "estimate", "standard error", "t", "p", "low", "high"]);
    let quantile = student_t_quantile(0.975, df);
    let names = std::iter::once("(intercept)").chain(columns.iter().map(|c| c.name.as_str()));
    for ((name, &b), &se) in names.zip(&coefficients).zip(&errors) {
        let numbers = [b, se, b / se, two_sided_t(b / se, df), b - quantile * se, b + quantile * se];
        let mut row = vec![name.into()];
        row.extend(numbers.map(Into::into));
        table.row(row);
    }
    let d = &fitted.described;
    let r2 = judged.training.r2();
    let adjusted = 1.0 - (1.0 - r2) * (fitted.rows - 1.0) / df;
    let mut facts = vec![
        Fact::single("rows", "Rows that were trained on", fitted.rows),
        Fact::single(
            "r2",
            "Share of the outcome's variance that is explained, on the judging rows",
            judged.judging.r2(),
        ),
        Fact::single(
            "rmse",
            "Root of the mean squared error on the judging rows, in units of the outcome",
            judged.judging.rmse() * half,
        ),
        Fact::single("training r2", "The same share on the training rows", r2),
        Fact::single("adjusted r2", "Less what the number of columns explains by chance", adjusted),
        Fact::single("residual spread", "Standard deviation of the errors, in units of the outcome", spread),
        Fact::single("degrees of freedom", "Rows less parameters", df),
        table,
    ];
    if d.judges(design) {
        facts.insert(1, Fact::single("judging rows", "Rows that judge the model", judged.judging.rows));
    }
    facts.extend(d.facts(design));
    facts.extend(design.at_the_bound(&fitted.weights, design.config.value(setting::MAX_WEIGHT)));
    let model = Model::new("linear", "1.1.0", design.config.clone());
    let model = design
        .keep_in(model.with("weights", fitted.weights.clone()))
        .with("coefficients", coefficients)
        .with("standard errors", errors);
    Done { model, facts }
}
