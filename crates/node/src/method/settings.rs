//! The file that says which columns a model is made from, and how.
//!
//! ```toml
//! outcome = "pressure"                 # the column that is predicted; of an event, the column of its time
//! kind = "number"                      # or "yes/no", "event-time"; what the method predicts, when it predicts one kind only
//! event = "died"                       # for event-time: the column that says whether the event was seen
//! yes = "1"                            # for yes/no and an event: the cell that means yes, or a rule such as ">= 1"
//! no = "0"                             # the cell that means no; may be left out where there is one other
//! other = "leave-out"                  # rows with other cells are left out and counted; otherwise they are an error
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
//! kind = "whole"                       # or "number", "day" (year-month-day; its range is of days, too)
//! [columns.smoker]
//! levels = ["never", "former", "current"]
//!
//! [settings]                           # of the method: see `histone program check`
//! ridge = 1.0
//! ```

use std::collections::BTreeMap;

use histone_enclave::manifest::{FeatureKind, Manifest, OutcomeKind, SettingValue};
use histone_genome::table::{
    Kind as Cells, Looks, MAX_LEVELS, MissingRules, Other, RawTable, Rule, TableError, YesNo, check_levels,
};
use histone_program_sdk::config::{Config, Feature, Kind, Least, Missing, Outcome};
use serde::Deserialize;

use super::codes::{Keys, census, settle};
use super::range::{self, End};
use super::sites;

/// The file, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The column that is predicted.
    pub outcome: String,
    /// Of which kind it is.
    pub kind: Option<OutcomeKind>,
    /// The column that says whether an event was seen.
    pub event: Option<String>,
    /// The cell that means yes.
    pub yes: Option<String>,
    /// The cell that means no.
    pub no: Option<String>,
    /// What becomes of other cells.
    #[serde(default)]
    pub other: OtherCells,
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
    /// Plausible values of a number, a whole number or a day.
    pub range: Option<[End; 2]>,
    /// What its cells are, when they are no names.
    pub kind: Option<ColumnKind>,
    /// Names of a category; the first is what the others are compared with.
    pub levels: Option<Vec<String>>,
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Numbers.
    Number,
    /// Whole numbers.
    Whole,
    /// Days.
    Day,
}

impl From<ColumnKind> for Cells {
    fn from(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Number => Cells::Number,
            ColumnKind::Whole => Cells::Whole,
            ColumnKind::Day => Cells::Day,
        }
    }
}

/// What becomes of rows with a cell of the outcome that means neither yes nor no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherCells {
    /// They are errors.
    #[default]
    Error,
    /// They are left out.
    LeaveOut,
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
    /// Which cells of the outcome mean yes.
    pub yes: YesNo,
    /// Of which kind the column of a number or a time to predict is.
    pub outcome: Cells,
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
        let (outcome, cells) = self.outcome_of(manifest, tables, &rules, &mut proposed)?;
        let yes = match &outcome {
            Outcome::YesNo { name } | Outcome::EventTime { event: name, .. } => {
                self.rule(name, tables, &rules)?
            }
            Outcome::Number { .. } => YesNo::default(),
        };
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
            // Whoever trains over files has all rows.
            config: Config {
                features,
                outcome,
                missing,
                holdout: self.holdout,
                least: Least::default(),
                values,
            },
            rules,
            yes,
            outcome: cells,
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
            if let Some(event) = self.event.as_ref().filter(|event| names.contains(event)) {
                return wrong("features", format!("`{event}` is the event and cannot be a feature"));
            }
            return Ok(names.clone());
        }
        let Some(first) = tables.first() else { return wrong("features", "there is no table") };
        let wanted = |name: &&String| {
            **name != self.outcome && Some(*name) != self.event.as_ref() && !self.ignore.contains(name)
        };
        Ok(first.columns().iter().filter(wanted).cloned().collect())
    }

    fn outcome_of(
        &self,
        manifest: &Manifest,
        tables: &[RawTable],
        rules: &MissingRules,
        proposed: &mut Vec<String>,
    ) -> Result<(Outcome, Cells), SettingsError> {
        let kind = match (self.kind, &manifest.outcome[..]) {
            (Some(kind), _) => match manifest.takes_outcome(kind, "this one") {
                Ok(()) => kind,
                Err(what) => return wrong("kind", what),
            },
            (None, [kind]) => *kind,
            (None, _) => {
                return wrong("kind", format!("`{}` predicts several kinds; say which", manifest.name));
            }
        };
        let name = self.outcome.clone();
        let rules_of_yes = self.yes.is_some() || self.no.is_some() || self.other != OtherCells::Error;
        if kind == OutcomeKind::Number && rules_of_yes {
            return wrong("yes", "a number has no cells that mean yes or no; remove `yes`, `no` and `other`");
        }
        if kind != OutcomeKind::EventTime && self.event.is_some() {
            return wrong("event", "only an outcome of the kind `event-time` has an event; remove it");
        }
        let cells = match self.columns.get(&name).and_then(|c| c.kind) {
            Some(ColumnKind::Day) => {
                return wrong(
                    format!("columns.{name}"),
                    "an outcome is a number or a whole number, and no day",
                );
            }
            kind => kind.map_or(Cells::Number, Cells::from),
        };
        let outcome = match kind {
            OutcomeKind::YesNo => Outcome::YesNo { name },
            OutcomeKind::Number => {
                let [low, high] = self.range(&name, &cells, None, tables, rules, proposed)?;
                Outcome::Number { name, low, high }
            }
            OutcomeKind::EventTime => {
                let Some(event) = self.event.clone() else {
                    return wrong("event", "name the column that says whether the event was seen");
                };
                if event == name {
                    return wrong("event", "the time and the event are two columns");
                }
                let [low, longest] = self.range(&name, &cells, Some(0.0), tables, rules, proposed)?;
                if low != 0.0 {
                    return wrong(format!("columns.{name}"), "the range of a time begins with 0");
                }
                Outcome::EventTime { time: name, event, longest }
            }
        };
        Ok((outcome, cells))
    }

    /// Which cells of the column mean yes, in all tables alike.
    fn rule(&self, name: &str, tables: &[RawTable], rules: &MissingRules) -> Result<YesNo, SettingsError> {
        let other = match self.other {
            OtherCells::Error => Other::Refuse,
            OtherCells::LeaveOut => Other::LeaveOut,
        };
        // A cell, or a rule such as `!= 1`.
        let rule = |text: &str| text.parse().unwrap_or_else(|_| Rule::equal_to(text));
        let rule = match (&self.yes, &self.no) {
            (Some(yes), no) => YesNo { positive: rule(yes), negative: no.as_deref().map(rule), other },
            (None, Some(_)) => {
                return wrong("yes", "`no` says which cell means no; say which means yes as well");
            }
            (None, None) => YesNo { positive: Rule::default(), negative: Some(Rule::equal_to("0")), other },
        };
        const KEYS: Keys = Keys { yes: "yes", no: "no", value: "\"{}\"" };
        settle(name, &rule, census(tables, name, rules)?.as_ref(), KEYS)
            .or_else(|what| wrong(if self.yes.is_some() { "no" } else { "yes" }, what))
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
        let key = || format!("columns.{name}");
        let mut names = std::collections::BTreeSet::new();
        let (mut text, mut days, mut numbers) = (None, false, false);
        for table in tables {
            match table.look(name, rules)? {
                Looks::Names(more) => names.extend(more),
                Looks::Text => text = text.or(Some(table.file())),
                Looks::Days { .. } => days = true,
                Looks::Numbers { .. } => numbers = true,
                Looks::Nothing => {}
            }
        }
        let cells = match (said.kind, said.levels) {
            (Some(_), Some(_)) => {
                return wrong(key(), "it has a kind and levels; a category has its levels alone, remove one");
            }
            (Some(kind), None) => kind.into(),
            (None, Some(levels)) => {
                if let Err(reason) = check_levels(&levels) {
                    return wrong(key(), format!("of its levels: {reason}"));
                }
                Cells::Category(levels)
            }
            (None, None) if days && !numbers && names.is_empty() && text.is_none() => {
                proposed.push(format!("columns.{name}.kind = \"day\""));
                Cells::Day
            }
            (None, None) if text.is_some() || names.len() > MAX_LEVELS => {
                let file = text.unwrap_or("the tables together");
                return wrong(
                    key(),
                    format!(
                        "{file} has more than {MAX_LEVELS} different texts in it; name its levels, or ignore it"
                    ),
                );
            }
            // Beside names days and numbers are names as well: which, the first cell that is no level says.
            (None, None) if !names.is_empty() => {
                let levels: Vec<String> = names.into_iter().collect();
                proposed.push(format!("columns.{name}.levels = {levels:?}"));
                Cells::Category(levels)
            }
            (None, None) => Cells::Number,
        };
        let asked = match cells {
            Cells::Number => FeatureKind::Number,
            Cells::Whole => FeatureKind::Whole,
            Cells::Day => FeatureKind::Day,
            Cells::Category(_) => FeatureKind::Category,
            Cells::Genotypes { .. } => FeatureKind::Genotypes,
        };
        if let Err(what) = manifest.takes_feature(asked, name) {
            return wrong(key(), what);
        }
        let kind = if let Cells::Category(levels) = cells {
            Kind::Category { levels }
        } else {
            let [low, high] = self.range(name, &cells, None, tables, rules, proposed)?;
            match cells {
                Cells::Whole => Kind::Whole { low, high },
                Cells::Day => Kind::Day { low, high },
                Cells::Number | Cells::Category(_) | Cells::Genotypes { .. } => Kind::Number { low, high },
            }
        };
        let zero_is_missing = self.zero_is_missing.iter().any(|n| n == name)
            && matches!(kind, Kind::Number { .. } | Kind::Whole { .. });
        Ok(Feature { name: name.into(), kind, zero_is_missing })
    }

    /// The range of a column: as it is said, or from the data, rounded outward; then from `least` on, where that is given.
    fn range(
        &self,
        name: &str,
        kind: &Cells,
        least: Option<f64>,
        tables: &[RawTable],
        rules: &MissingRules,
        proposed: &mut Vec<String>,
    ) -> Result<[f64; 2], SettingsError> {
        if let Some(range) = self.columns.get(name).and_then(|c| c.range) {
            let wanted = |wanted| wrong(format!("columns.{name}"), format!("its range must be {wanted}"));
            return range::stated(kind, range).or_else(wanted);
        }
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for table in tables {
            for v in sites::column(table, name, kind, rules)? {
                // A missing value is neither.
                (low, high) = (low.min(v), high.max(v));
            }
        }
        if low > high {
            return wrong(format!("columns.{name}"), "no table has a value in it; leave it out");
        }
        let [low, high] = range::proposed(kind, least.unwrap_or(low), high);
        let range = [least.unwrap_or(low), high];
        proposed.push(format!("columns.{name}.range = {}", range::written(kind, range)));
        Ok(range)
    }
}
