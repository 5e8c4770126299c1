//! Covariates and outcome as whole numbers.

use histone_program_sdk::config::{Config, Feature, Kind};
use histone_program_sdk::genotypes::MAX_WEIGHT;
use histone_program_sdk::refusal::Refusal;

/// A column beside the genotypes: 1 for the intercept, a covariate on the scale of its range, or whether a category is of one level.
#[derive(Debug)]
enum Term {
    Number { at: usize, middle: f64, half: f64 },
    Level { at: usize, level: f64 },
}

/// The columns of a configuration: an intercept and these.
#[derive(Debug)]
pub(crate) struct Covariates<'a> {
    config: &'a Config,
    terms: Vec<Term>,
}

impl<'a> Covariates<'a> {
    pub fn of(config: &'a Config) -> Result<Self, Refusal> {
        let mut terms = Vec::new();
        for (at, Feature { name, kind, .. }) in config.features.iter().enumerate() {
            match kind {
                Kind::Genotypes { .. } => {}
                Kind::Category { levels } => {
                    // The first level is what the others are compared with.
                    terms.extend((1..levels.len()).map(|level| Term::Level { at, level: level as f64 }));
                }
                Kind::Number { .. } | Kind::Whole { .. } | Kind::Day { .. } => match kind.range() {
                    Some((low, high)) if low.is_finite() && high.is_finite() && low < high => {
                        let (middle, half) = (low / 2.0 + high / 2.0, high / 2.0 - low / 2.0);
                        terms.push(Term::Number { at, middle, half });
                    }
                    _ => {
                        return Err(Refusal::because(&format!(
                            "the range of `{name}` ends before it begins"
                        )));
                    }
                },
            }
        }
        Ok(Self { config, terms })
    }

    /// Which columns, the intercept first, say whether a category is of one level.
    pub fn levels(&self) -> Vec<bool> {
        let terms = self.terms.iter().map(|term| matches!(term, Term::Level { .. }));
        std::iter::once(false).chain(terms).collect()
    }

    /// Columns: the intercept and the terms.
    pub fn width(&self) -> usize {
        1 + self.terms.len()
    }

    /// Intercept, terms and outcome of a row; none where it lacks one of them, or has no genotypes.
    pub fn row(&self, row: &[f64], (middle, half): (f64, f64)) -> Option<Vec<i32>> {
        let (outcome, features) = row.split_last()?;
        let lacks = |(value, x): (&f64, &Feature)| {
            value.is_nan() || *value == 0.0 && x.zero_is_missing && !matches!(x.kind, Kind::Genotypes { .. })
        };
        if outcome.is_nan() || features.iter().zip(&self.config.features).any(lacks) {
            return None;
        }
        let term = |term: &Term| match *term {
            Term::Number { at, middle, half } => whole((features[at] - middle) / half),
            Term::Level { at, level } => i32::from(features[at] == level),
        };
        let mut columns = vec![1];
        columns.extend(self.terms.iter().map(term));
        columns.push(whole((outcome - middle) / half));
        Some(columns)
    }
}

/// A number of [-1, 1] in steps of 2^-22; outside of it, its end.
fn whole(v: f64) -> i32 {
    (v.clamp(-1.0, 1.0) * f64::from(MAX_WEIGHT)).round_ties_even() as i32
}
