//! Covariates and outcome as whole numbers.

use histone_program_sdk::config::{Config, Feature, Kind, Outcome};
use histone_program_sdk::genotypes::MAX_WEIGHT;
use histone_program_sdk::refusal::Refusal;

/// A column beside the genotypes: 1 for the intercept, a covariate on the scale of its range, or whether a category is of one level.
#[derive(Debug)]
enum Term {
    Number { at: usize, middle: f64, half: f64 },
    Level { at: usize, level: f64 },
}

/// What is scanned for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// A number: the middle of its range, and half of it.
    Number { middle: f64, half: f64 },
    /// Who is a case.
    Cases,
}

impl Target {
    pub fn of(config: &Config) -> Result<Self, Refusal> {
        match config.outcome {
            Outcome::Number { low, high, .. } if low.is_finite() && high.is_finite() && low < high => {
                Ok(Self::Number { middle: low / 2.0 + high / 2.0, half: high / 2.0 - low / 2.0 })
            }
            Outcome::Number { .. } => Err(Refusal::because("the range of the outcome ends before it begins")),
            Outcome::YesNo { .. } => Ok(Self::Cases),
            Outcome::EventTime { .. } => {
                Err(Refusal::because("a scan is of a number or of a yes/no outcome"))
            }
        }
    }

    fn column(self, outcome: f64) -> i32 {
        match self {
            Self::Number { middle, half } => whole((outcome - middle) / half),
            Self::Cases => i32::from(outcome == 1.0),
        }
    }
}

/// The columns of a configuration: an intercept, these and the outcome.
#[derive(Debug)]
pub(crate) struct Covariates<'a> {
    config: &'a Config,
    target: Target,
    terms: Vec<Term>,
}

impl<'a> Covariates<'a> {
    pub fn of(config: &'a Config) -> Result<Self, Refusal> {
        let target = Target::of(config)?;
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
        Ok(Self { config, target, terms })
    }

    /// For each category the columns that say who is of which level, all but the first.
    pub fn categories(&self) -> Vec<Vec<usize>> {
        let place = |term: &Term| match *term {
            Term::Number { .. } => None,
            Term::Level { at, .. } => Some(at),
        };
        let columns: Vec<(usize, usize)> =
            self.terms.iter().zip(1..).filter_map(|(term, column)| Some((place(term)?, column))).collect();
        let of = |of: &[(usize, usize)]| of.iter().map(|(_, column)| *column).collect();
        columns.chunk_by(|a, b| a.0 == b.0).map(of).collect()
    }

    /// What 1 is in each column, the intercept first: numbers are taken in steps.
    pub fn units(&self) -> Vec<f64> {
        let unit = |term: &Term| match term {
            Term::Number { .. } => f64::from(MAX_WEIGHT),
            Term::Level { .. } => 1.0,
        };
        std::iter::once(1.0).chain(self.terms.iter().map(unit)).collect()
    }

    /// Columns: the intercept and the terms.
    pub fn width(&self) -> usize {
        1 + self.terms.len()
    }

    /// Intercept, terms and outcome of a row; none where it lacks one of them, or has no genotypes.
    pub fn row(&self, row: &[f64]) -> Option<Vec<i32>> {
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
        columns.push(self.target.column(*outcome));
        Some(columns)
    }
}

/// Columns that say who is of which level.
#[derive(Debug)]
pub(crate) struct Categories(pub Vec<Vec<usize>>);

impl Categories {
    /// How many there are of each level of each category, from how many there are in each column; in column 0 are all.
    pub fn counts(&self, of: impl Fn(usize) -> i64) -> Vec<i64> {
        let mut counts = Vec::new();
        for columns in &self.0 {
            // Whoever is of no other level is of the first.
            let first = columns.iter().fold(of(0), |rest, &column| rest.saturating_sub(of(column)));
            counts.push(first);
            counts.extend(columns.iter().map(|&column| of(column)));
        }
        counts
    }
}

/// A number of [-1, 1] in steps of 2^-22; outside of it, its end.
pub(crate) fn whole(v: f64) -> i32 {
    (v.clamp(-1.0, 1.0) * f64::from(MAX_WEIGHT)).round_ties_even() as i32
}
