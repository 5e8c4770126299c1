//! What there is to say of the rows of a training, whatever the method.

use crate::method::{Cell, Fact};

use super::{Described, Design, LEAST_JUDGING};

impl Described {
    /// Whether the judging rows are enough to say something of them.
    pub fn judges(&self, design: &Design) -> bool {
        self.judging >= LEAST_JUDGING.max(design.config.least.sum.into())
    }

    /// What the first round counted. A number of fewer rows than the minimum is not said, nor is one that gives it away.
    pub fn facts(&self, design: &Design) -> Vec<Fact> {
        let config = &design.config;
        let shown = |n: u64| if config.few(n) { f64::NAN } else { n as f64 };
        let mut columns = Fact::table(
            "columns",
            "What the training rows have in each feature, as the first round counted them; numbers of too few rows are not said",
            &["feature", "present", "missing", "outside of the range"],
        );
        for (i, x) in config.features.iter().enumerate() {
            let (here, missing) = (self.present[i], self.rows.saturating_sub(self.present[i]));
            // Less than the minimum is kept as none, and one of the two gives the other.
            let least = u64::from(config.least.sum.max(1));
            let unused = here == 0 && least > 1;
            let few = unused || config.few(missing);
            let [here, missing] = [here, missing].map(|n| if few { f64::NAN } else { n as f64 });
            let outside = if unused { f64::NAN } else { shown(self.clipped[i]) };
            let row: [Cell; 4] = [x.name.as_str().into(), here.into(), missing.into(), outside.into()];
            columns.row(row.into());
        }
        let mut facts = vec![columns];
        if !self.judges(design) {
            let says = "Judging rows below which nothing is asked of them";
            let least = LEAST_JUDGING.max(config.least.sum.into());
            facts.push(Fact::single("too few to judge", says, least as f64));
        }
        if config.holdout == 0.0 {
            let says = "The training rows judge the model, which flatters it";
            facts.push(Fact::single("held out", says, "none"));
        }
        if self.without_outcome > 0 && !config.few(self.without_outcome) {
            let says = "Rows that have no outcome and were left out";
            facts.push(Fact::single("without outcome", says, self.without_outcome as f64));
        }
        if self.left_out + self.hidden > 0 {
            let mut fact = Fact::table(
                "suppressed",
                "What sites sent as zeros, because it rested on fewer rows than the minimum of a site: rows that were left out, and values \
                 that were filled like missing ones",
                &["rows", "values"],
            );
            fact.row([self.left_out, self.hidden].map(|n| Cell::from(n as f64)).into());
            facts.push(fact);
        }
        let columns = design.columns();
        let mut constant = Fact::table(
            "constant",
            "Columns that are the same in all rows, or rest on too few, and say nothing",
            &["column"],
        );
        let unused = columns.iter().zip(&design.sd).filter(|(_, sd)| **sd == 0.0);
        unused.for_each(|(column, _)| constant.row(vec![column.name.as_str().into()]));
        if !constant.rows.is_empty() {
            facts.push(constant);
        }
        facts
    }
}

impl Design {
    /// What there is to say of weights, the intercept first, that a bound holds.
    pub fn at_the_bound(&self, weights: &[f64], most: f64) -> Option<Fact> {
        let says = "Terms whose weight on the standardized scale the bound of the plan holds; without it they would be larger";
        let mut fact = Fact::table("at the bound", says, &["term"]);
        let names =
            std::iter::once("(intercept)".to_owned()).chain(self.columns().into_iter().map(|c| c.name));
        for (name, _) in names.zip(weights).filter(|(_, weight)| weight.abs() >= most) {
            fact.row(vec![name.as_str().into()]);
        }
        (!fact.rows.is_empty()).then_some(fact)
    }
}
