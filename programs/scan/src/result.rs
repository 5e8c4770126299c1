//! What there is to say of a finished scan.

use histone_program_sdk::config::Config;
use histone_program_sdk::method::{Done, Fact};
use histone_program_sdk::model::Model;
use histone_program_sdk::stats::normal_quantile;

use crate::scanned::Scanned;

/// Rows of the table of the strongest associations.
const SHOWN: usize = 20;

/// Below it an association counts as one of the whole genome (Pe'er et al. 2008).
const GENOME_WIDE: f64 = 5e-8;

/// Median of a chi-squared variable of one degree of freedom.
const MEDIAN: f64 = 0.454_936_423_119_572_7;

/// Model and facts.
pub(crate) fn done(config: &Config, scanned: &Scanned) -> Done {
    let mut tested: Vec<usize> = (0..scanned.len()).filter(|&i| !scanned.p[i].is_nan()).collect();
    tested.sort_by(|&a, &b| scanned.p[a].total_cmp(&scanned.p[b]).then(a.cmp(&b)));
    let hits = tested.iter().filter(|&&i| scanned.p[i] < GENOME_WIDE).count();
    let people = scanned.people.iter().fold(0.0, |most: f64, &n| most.max(n));
    let mut table = Fact::table(
        "associations",
        "The variants with the smallest p, by their place in the panel; change of the outcome, or of its log odds, for each copy of the alternative allele",
        &["variant", "people", "frequency", "estimate", "standard error", "p"],
    );
    for &i in tested.iter().take(SHOWN) {
        let numbers =
            [scanned.people[i], scanned.frequency[i], scanned.estimate[i], scanned.error[i], scanned.p[i]];
        let mut row = vec![((i + 1) as f64).into()];
        row.extend(numbers.map(Into::into));
        table.row(row);
    }
    let mut facts = vec![
        Fact::single(
            "people",
            "People with outcome, covariates and a call, at the variant with the most",
            people,
        ),
        Fact::single("tested", "Variants that were tested", tested.len() as f64),
        Fact::single("hits", "Variants with p below 5e-8", hits as f64),
        Fact::single(
            "lambda",
            "Median of the tests' chi-squared, where chance alone gives 1: more tells of structure or kinship",
            inflation(&tested, scanned),
        ),
    ];
    facts.push(table);
    let model = Model::new("scan", "0.2.0", config.clone())
        .with("people", scanned.people.clone())
        .with("frequency", scanned.frequency.clone())
        .with("estimate", scanned.estimate.clone())
        .with("standard error", scanned.error.clone())
        .with("p", scanned.p.clone());
    Done { model, facts }
}

/// From the middle p of those in their order.
fn inflation(tested: &[usize], scanned: &Scanned) -> f64 {
    let chi2 = |i: usize| {
        let z = normal_quantile(scanned.p[tested[i]] / 2.0);
        z * z
    };
    match tested.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => chi2(n / 2) / MEDIAN,
        n => (chi2(n / 2 - 1) + chi2(n / 2)) / 2.0 / MEDIAN,
    }
}
