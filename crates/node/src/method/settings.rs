//! The file that says which columns a model is made from, and how.
//!
//! ```toml
//! outcome = "pressure"                 # the column that is predicted
//! kind = "number"                      # or "yes/no"; what the method predicts, when it predicts one kind only
//! yes = "1"                            # for yes/no: the cell that means yes; all others mean no
//! features = ["age", "bmi", "smoker"]  # when left out: every column but the outcome
//! ignore = ["id"]
//! missing = "median"                   # refuse (the default), drop, mean, median
//! missing_codes = ["", "NA"]
//! zero_is_missing = []
//! holdout = 0.3
//! seed = 1                             # decides which rows are held out
//!
//! [columns.age]
//! range = [18, 110]                    # plausible values; when left out: those of the data, rounded outward
//! [columns.smoker]
//! levels = ["never", "former", "current"]
//!
//! [settings]                           # of the method: see `histone program check`
//! ridge = 1.0
//! ```

use std::collections::BTreeMap;

use histone_enclave::manifest::{FeatureKind, Manifest, OutcomeKind, SettingValue};
use histone_genome::table::{Looks, MAX_LEVELS, MissingRules, RawTable, TableError};
use histone_program_sdk::config::{Config, Feature, Kind, Missing, Outcome};
use serde::Deserialize;

/// The file, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The column that is predicted.
    pub outcome: String,
    /// Of which kind it is.
    pub kind: Option<OutcomeKind>,
    /// The cell that means yes.
    pub yes: Option<String>,
    /// Columns that the model is made from.
    pub features: Option<Vec<String>>,
    /// Columns that are not, when they are not named.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// What is done with missing values.
    #[serde(default)]
    pub missing: MissingPolicy,
    /// Cells that mean missing.
    pub missing_codes: Option<Vec<String>>,
    /// Columns in which a zero means missing.
    #[serde(default)]
    pub zero_is_missing: Vec<String>,
    /// Share of rows that judge the model.
    #[serde(default = "holdout")]
    pub holdout: f64,
    /// Decides which rows are held out.
    #[serde(default)]
    pub seed: u64,
    /// More about columns.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnSettings>,
    /// Of the method.
    #[serde(default)]
    pub settings: BTreeMap<String, SettingValue>,
}

fn holdout() -> f64 {
    0.3
}

/// What is said of a column.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSettings {
    /// Plausible values of a number.
    pub range: Option<[f64; 2]>,
    /// Names of a category; the first is what the others are compared with.
    pub levels: Option<Vec<String>>,
}

/// What is done with missing values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingPolicy {
    /// They are an error.
    #[default]
    Refuse,
    /// Rows are left out.
    Drop,
    /// The mean takes their place.
    Mean,
    /// The median takes their place.
    Median,
}

impl From<MissingPolicy> for Missing {
    fn from(policy: MissingPolicy) -> Self {
        match policy {
            MissingPolicy::Refuse => Missing::Refuse {},
            MissingPolicy::Drop => Missing::Drop {},
            MissingPolicy::Mean => Missing::Mean {},
            MissingPolicy::Median => Missing::Median {},
        }
    }
}

/// Why settings do not fit to a method or to tables.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// They cannot be read.
    #[error("line {line}: {what}")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// What, and what to do.
        what: String,
    },
    /// A table cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// They do not fit.
    #[error("`{key}`: {what}")]
    Wrong {
        /// Where.
        key: String,
        /// What, and what to do.
        what: String,
    },
}

fn wrong<T>(key: impl Into<String>, what: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError::Wrong { key: key.into(), what: what.into() })
}

/// Settings that fit, and what was filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// What the method gets.
    pub config: Config,
    /// How cells are read.
    pub rules: MissingRules,
    /// Ranges and levels that were taken from the data, as lines of a settings file: each site would tell them.
    pub proposed: Vec<String>,
}

impl Settings {
    /// Reads a settings file.
    pub fn read(text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let mut what = error.message().to_owned();
            if what.starts_with("unknown field") {
                what.push_str("; settings of the method itself stand under [settings]");
            }
            SettingsError::Syntax { line: before.matches('\n').count() + 1, what }
        })
    }

    /// Which cells mean missing.
    pub fn rules(&self) -> MissingRules {
        let mut rules = MissingRules::default();
        if let Some(codes) = &self.missing_codes {
            rules.codes.clone_from(codes);
        }
        rules
    }

    /// Fits them to a method and tables, and fills in what is not said.
    pub fn fit(&self, manifest: &Manifest, tables: &[RawTable]) -> Result<Fitted, SettingsError> {
        let rules = self.rules();
        let mut proposed = Vec::new();
        let outcome = self.outcome_of(manifest, tables, &rules, &mut proposed)?;
        let names = self.feature_names(tables)?;
        let (min, max) = (manifest.features.min as usize, manifest.features.max as usize);
        if names.len() < min || names.len() > max {
            return wrong(
                "features",
                format!("there are {}; `{}` takes {min} to {max}", names.len(), manifest.name),
            );
        }
        let mut features = Vec::new();
        for name in names {
            features.push(self.feature(&name, manifest, tables, &rules, &mut proposed)?);
        }
        for key in self.columns.keys() {
            if *key != self.outcome && !features.iter().any(|f| f.name == *key) {
                return wrong(
                    format!("columns.{key}"),
                    "it is neither a feature nor the outcome; remove it or name it",
                );
            }
        }
        for key in &self.zero_is_missing {
            if !features.iter().any(|f| f.name == *key && f.zero_is_missing) {
                return wrong("zero_is_missing", format!("`{key}` is no number among the features"));
            }
        }
        let values = self.values(manifest)?;
        let missing = self.missing.into();
        Ok(Fitted {
            config: Config { features, outcome, missing, holdout: self.holdout, values },
            rules,
            proposed,
        })
    }

    fn values(&self, manifest: &Manifest) -> Result<Vec<f64>, SettingsError> {
        if let Some(key) = self.settings.keys().find(|key| !manifest.config.iter().any(|s| s.name == **key)) {
            let known: Vec<&str> = manifest.config.iter().map(|s| s.name.as_str()).collect();
            return wrong(format!("settings.{key}"), format!("`{}` has {}", manifest.name, known.join(", ")));
        }
        let value = |s: &histone_enclave::manifest::Setting| {
            let value = self.settings.get(&s.name).copied().unwrap_or(s.default);
            s.number(value).or_else(|what| wrong(format!("settings.{}", s.name), what))
        };
        manifest.config.iter().map(value).collect()
    }

    fn feature_names(&self, tables: &[RawTable]) -> Result<Vec<String>, SettingsError> {
        if let Some(names) = &self.features {
            if names.contains(&self.outcome) {
                return wrong(
                    "features",
                    format!("`{}` is the outcome and cannot be a feature", self.outcome),
                );
            }
            return Ok(names.clone());
        }
        let Some(first) = tables.first() else { return wrong("features", "there is no table") };
        let wanted = |name: &&String| **name != self.outcome && !self.ignore.contains(name);
        Ok(first.columns().iter().filter(wanted).cloned().collect())
    }

    fn outcome_of(
        &self,
        manifest: &Manifest,
        tables: &[RawTable],
        rules: &MissingRules,
        proposed: &mut Vec<String>,
    ) -> Result<Outcome, SettingsError> {
        let kind = match (self.kind, &manifest.outcome[..]) {
            (Some(kind), kinds) if kinds.contains(&kind) => kind,
            (None, [kind]) => *kind,
            (Some(_), _) => return wrong("kind", format!("`{}` does not predict that", manifest.name)),
            (None, _) => {
                return wrong("kind", format!("`{}` predicts several kinds; say which", manifest.name));
            }
        };
        let name = self.outcome.clone();
        match kind {
            OutcomeKind::YesNo => Ok(Outcome::YesNo { name }),
            OutcomeKind::Number => {
                let [low, high] = self.range(&name, tables, rules, proposed)?;
                Ok(Outcome::Number { name, low, high })
            }
            OutcomeKind::EventTime => {
                wrong("kind", "times until an event cannot be read from these settings yet")
            }
        }
    }

    fn feature(
        &self,
        name: &str,
        manifest: &Manifest,
        tables: &[RawTable],
        rules: &MissingRules,
        proposed: &mut Vec<String>,
    ) -> Result<Feature, SettingsError> {
        let said = self.columns.get(name).cloned().unwrap_or_default();
        let mut names = std::collections::BTreeSet::new();
        let mut is_category = said.levels.is_some();
        for table in tables {
            match table.look(name, rules)? {
                Looks::Names(more) => {
                    is_category = true;
                    names.extend(more);
                }
                Looks::Text if said.levels.is_none() => {
                    return wrong(
                        format!("columns.{name}"),
                        format!(
                            "{} has more than {MAX_LEVELS} different texts in it; name its levels, or ignore it",
                            table.file()
                        ),
                    );
                }
                Looks::Text | Looks::Numbers { .. } | Looks::Nothing => {}
            }
        }
        let zero_is_missing = self.zero_is_missing.iter().any(|n| n == name);
        let kind = if is_category {
            if !manifest.features.kinds.contains(&FeatureKind::Category) {
                return wrong(format!("columns.{name}"), format!("`{}` takes no categories", manifest.name));
            }
            let levels = said.levels.unwrap_or_else(|| {
                let levels: Vec<String> = names.into_iter().collect();
                proposed.push(format!("columns.{name}.levels = {levels:?}"));
                levels
            });
            Kind::Category { levels }
        } else {
            let [low, high] = self.range(name, tables, rules, proposed)?;
            Kind::Number { low, high }
        };
        let zero_is_missing = zero_is_missing && matches!(kind, Kind::Number { .. });
        Ok(Feature { name: name.into(), kind, zero_is_missing })
    }

    /// The range of a number: as it is said, or from the data, rounded outward.
    fn range(
        &self,
        name: &str,
        tables: &[RawTable],
        rules: &MissingRules,
        proposed: &mut Vec<String>,
    ) -> Result<[f64; 2], SettingsError> {
        if let Some(range) = self.columns.get(name).and_then(|c| c.range) {
            return Ok(range);
        }
        let (mut least, mut most) = (f64::MAX, f64::MIN);
        for table in tables {
            match table.look(name, rules)? {
                Looks::Numbers { low, high, .. } => (least, most) = (least.min(low), most.max(high)),
                Looks::Nothing => {}
                Looks::Names(_) | Looks::Text => {
                    // Says which cell is no number.
                    table.numbers(name, rules)?;
                }
            }
        }
        if least > most {
            return wrong(format!("columns.{name}"), "no table has a value in it; leave it out");
        }
        let range = outward(least, most);
        proposed.push(format!("columns.{name}.range = [{:?}, {:?}]", range[0], range[1]));
        Ok(range)
    }
}

/// A range of at most two digits that holds both numbers, so that it tells little of the smallest and the largest.
pub fn outward(low: f64, high: f64) -> [f64; 2] {
    let width = if high > low { high - low } else { high.abs().max(1e-300) };
    // One digit less than the width has: at most a tenth of it at each end.
    let step = 10_f64.powi(width.log10().floor() as i32);
    let down = (low / step).floor() * step;
    let up = (high / step).ceil() * step;
    let (down, up) = (if down > low { down - step } else { down }, if up < high { up + step } else { up });
    // As few digits as the numbers have.
    let short = |v: f64| format!("{v:.3e}").parse::<f64>().unwrap_or(v);
    let (down, up) =
        (if short(down) <= low { short(down) } else { down }, if short(up) >= high { short(up) } else { up });
    if down < up { [down, up] } else { [down - step, up + step] }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_short_and_hold_the_data() {
        assert_eq!(outward(18.2, 97.4), [10.0, 100.0]);
        assert_eq!(outward(0.0, 1.0), [0.0, 1.0]);
        assert_eq!(outward(3.0, 3.0), [0.0, 6.0].map(|v: f64| v).map(|v| if v == 0.0 { 2.0 } else { 4.0 }));
        assert_eq!(outward(1.3e-11, 5.6e-11), [1e-11, 6e-11]);
    }

    proptest! {
        #[test]
        fn any_two_numbers(a in -1e9f64..1e9, b in -1e9f64..1e9, scale in -12i32..6) {
            let (a, b) = (a * 10_f64.powi(scale), b * 10_f64.powi(scale));
            let [low, high] = outward(a.min(b), a.max(b));
            prop_assert!(low <= a.min(b) && high >= a.max(b) && low < high);
        }
    }
}
