//! The manifest of a method: what an auditor reads first, and what the host checks everything else against.
//!
//! It is JSON in the custom section `histone.manifest` of the module, measured with the rest. Nothing is run to read it.

mod facts;

use histone_program_sdk::config::{Config, Kind, Outcome};
use serde::{Deserialize, Serialize};

pub use self::facts::{DeclaredCell, DeclaredFact, FactBits, Names, Rows, Shape, When};
use crate::program::Limits;

/// What a method says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The border that it was built for.
    pub abi: String,
    /// Name: small letters, digits and dashes.
    pub name: String,
    /// Version, as `1.0.0`.
    pub version: String,
    /// Name for people.
    pub title: String,
    /// What it does, in a sentence or two.
    pub says: String,
    /// What it is made from.
    pub features: Features,
    /// Kinds of outcome that it predicts.
    pub outcome: Vec<OutcomeKind>,
    /// Its settings, in their order.
    pub config: Vec<Setting>,
    /// What a site says of itself with the finished model.
    pub report: Vec<Field>,
    /// What may be said of a sealed training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<DeclaredFact>,
    /// How its models are applied.
    pub answer: AnswerModule,
    /// What a call of it may use.
    pub limits: MethodLimits,
}

/// Columns that a model may be made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Kinds of them.
    pub kinds: Vec<FeatureKind>,
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// A kind of feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureKind {
    /// A measurement.
    Number,
    /// One of some names.
    Category,
    /// A whole number.
    Whole,
    /// A day of the calendar.
    Day,
    /// Genotypes at the variants of a panel.
    Genotypes,
}

/// A kind of outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutcomeKind {
    /// Yes or no.
    #[serde(rename = "yes/no")]
    YesNo,
    /// A number.
    #[serde(rename = "number")]
    Number,
    /// The time until an event, and whether it was seen.
    #[serde(rename = "event-time")]
    EventTime,
}

impl OutcomeKind {
    /// What it is, for a sentence.
    pub fn says(self) -> &'static str {
        match self {
            Self::YesNo => "a yes/no outcome",
            Self::Number => "a number",
            Self::EventTime => "an event with a time",
        }
    }
}

impl FeatureKind {
    /// What it is, for a sentence.
    pub fn says(self) -> &'static str {
        match self {
            Self::Number => "numbers",
            Self::Category => "categories",
            Self::Whole => "whole numbers",
            Self::Day => "days",
            Self::Genotypes => "genotypes",
        }
    }
}

/// A setting of a method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its name in a study.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: SettingKind,
    /// Least value of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// What it is when a study does not say.
    pub default: SettingValue,
    /// What it does, in a sentence.
    pub says: String,
}

/// What a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettingKind {
    /// A number.
    #[serde(rename = "real")]
    Real,
    /// A whole number.
    #[serde(rename = "whole")]
    Whole,
    /// Yes or no.
    #[serde(rename = "yes/no")]
    YesNo,
}

/// A value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// Yes or no.
    Bool(bool),
    /// A number.
    Number(f64),
}

/// A number that leaves in clear, with [`FIELD_DIGITS`] digits at the most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Decimals that leave, at most 9.
    pub decimals: u32,
    /// Least value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Whether there may be none.
    #[serde(default)]
    pub optional: bool,
    /// What it is, in a sentence.
    pub says: String,
}

/// The module that applies a method's models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerModule {
    /// Name of the program.
    pub program: String,
    /// What it answers.
    pub fields: Vec<Field>,
}

/// What calls of a method may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodLimits {
    /// Linear memory in bytes.
    pub memory_bytes: u64,
    /// Fuel of a call.
    pub fuel: u64,
    /// Public input, or one block of private input, in bytes.
    pub input_bytes: u64,
    /// Output of a call in bytes.
    pub output_bytes: u64,
    /// Rounds of a training.
    pub rounds: u32,
}

impl From<MethodLimits> for Limits {
    fn from(limits: MethodLimits) -> Self {
        let MethodLimits { memory_bytes, fuel, input_bytes, output_bytes, .. } = limits;
        Limits { memory_bytes, fuel, input_bytes, output_bytes }
    }
}

/// The most that the host gives to any method.
pub const MOST: MethodLimits = MethodLimits {
    memory_bytes: 1 << 30,
    fuel: 1_000_000_000_000,
    input_bytes: 256 << 20,
    output_bytes: 256 << 20,
    rounds: 100_000,
};

/// Most fields of a report or an answer.
pub const MAX_FIELDS: usize = 64;

/// Significant decimal digits of a field that leave. Decimals alone bound nothing where the range is wide.
pub const FIELD_DIGITS: usize = 6;

/// Largest absolute value of a field: up to it, rounding to nine decimals is no matter of overflow.
pub const FIELD_MOST: f64 = 1e15;

/// Longest manifest in bytes.
pub const MAX_BYTES: usize = 64 << 10;

/// Why a manifest is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A method without one.
    #[error("a method needs a manifest; build it with `method!` of the program SDK and a manifest.json")]
    Missing,
    /// There are two, or it is too long.
    #[error("there is more than one manifest, or it is longer than {MAX_BYTES} bytes")]
    Size,
    /// Only methods have one.
    #[error("only a method has a manifest; this module has other entries")]
    NotAMethod,
    /// It cannot be read.
    #[error("the manifest cannot be read")]
    Json(#[from] serde_json::Error),
    /// It says something that cannot be.
    #[error("the manifest's `{place}`: {what}")]
    Wrong {
        /// Where.
        place: String,
        /// What is wrong, and what would be right.
        what: String,
    },
}

fn wrong<T>(place: impl Into<String>, what: impl Into<String>) -> Result<T, ManifestError> {
    Err(ManifestError::Wrong { place: place.into(), what: what.into() })
}

impl Manifest {
    /// Reads and checks a manifest.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_BYTES {
            return Err(ManifestError::Size);
        }
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let abi = histone_program_sdk::abi::VERSION;
        if self.abi != abi {
            return wrong(
                "abi",
                format!("it is `{}`, this host has `{abi}`; build it with this SDK", self.abi),
            );
        }
        let word = |text: &str| {
            !text.is_empty()
                && text.len() <= 40
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_')
        };
        for (place, text) in [("name", &self.name), ("answer.program", &self.answer.program)] {
            if !word(text) {
                return wrong(place, "a name has small letters, digits and dashes, at most 40");
            }
        }
        let said = [("version", &self.version), ("title", &self.title), ("says", &self.says)];
        for (place, text) in said {
            if text.trim().is_empty() || text.len() > 1_000 || text.chars().any(char::is_control) {
                return wrong(place, "it must be one line of text");
            }
        }
        let f = &self.features;
        if f.kinds.is_empty() || f.min > f.max || f.max == 0 {
            return wrong("features", "name a kind, and a range that holds a number of features");
        }
        if self.outcome.is_empty() {
            return wrong("outcome", "name a kind of outcome");
        }
        let mut names = std::collections::BTreeSet::new();
        for s in &self.config {
            let place = format!("config.{}", s.name);
            if !word(&s.name) || !names.insert(&s.name) {
                return wrong(
                    place,
                    "each setting has a name of its own, of small letters, digits and dashes",
                );
            }
            s.number(s.default).map_err(|what| ManifestError::Wrong { place, what })?;
        }
        facts::check(&self.facts, |name| self.config.iter().any(|s| s.name == name))?;
        for (place, fields) in [("report", &self.report), ("answer.fields", &self.answer.fields)] {
            if fields.len() > MAX_FIELDS {
                return wrong(place, format!("it has {} fields; at most {MAX_FIELDS} leave", fields.len()));
            }
            let mut names = std::collections::BTreeSet::new();
            for field in fields {
                let place = format!("{place}.{}", field.name);
                if !word(&field.name) || !names.insert(&field.name) {
                    return wrong(
                        place,
                        "each field has a name of its own, of small letters, digits and dashes",
                    );
                }
                // Written so that NaN is refused.
                if !(field.min.is_finite() && field.max.is_finite() && field.min <= field.max) {
                    return wrong(place, "its range has no values; give finite numbers, the least first");
                }
                if field.min < -FIELD_MOST || field.max > FIELD_MOST {
                    return wrong(place, format!("its range goes beyond {FIELD_MOST:e}"));
                }
                if field.decimals > 9 {
                    return wrong(place, "at most nine decimals leave");
                }
            }
        }
        if self.answer.fields.is_empty() {
            return wrong("answer.fields", "a model answers something");
        }
        let (l, most) = (&self.limits, &MOST);
        for (place, asked, most) in [
            ("memory_bytes", l.memory_bytes, most.memory_bytes),
            ("fuel", l.fuel, most.fuel),
            ("input_bytes", l.input_bytes, most.input_bytes),
            ("output_bytes", l.output_bytes, most.output_bytes),
            ("rounds", l.rounds.into(), most.rounds.into()),
        ] {
            if asked == 0 || asked > most {
                return wrong(
                    format!("limits.{place}"),
                    format!("it is {asked}; the host gives 1 to {most}"),
                );
            }
        }
        Ok(())
    }
}

impl Manifest {
    /// Whether the method predicts outcomes of this kind; if not, what it takes instead. `whose` outcome it is begins a sentence's
    /// end: "the study's".
    pub fn takes_outcome(&self, kind: OutcomeKind, whose: &str) -> Result<(), String> {
        if self.outcome.contains(&kind) {
            return Ok(());
        }
        let taken: Vec<&str> = self.outcome.iter().map(|kind| kind.says()).collect();
        Err(format!(
            "the method `{}` takes {}, and {whose} is {}",
            self.name,
            taken.join(" or "),
            kind.says()
        ))
    }

    /// Whether the method takes features of this kind; if not, what it takes instead.
    pub fn takes_feature(&self, kind: FeatureKind, feature: &str) -> Result<(), String> {
        if self.features.kinds.contains(&kind) {
            return Ok(());
        }
        let taken: Vec<&str> = self.features.kinds.iter().map(|kind| kind.says()).collect();
        let (name, taken) = (&self.name, taken.join(" and "));
        Err(format!(
            "the method `{name}` takes {taken} as features, and `{feature}` is one of {}",
            kind.says()
        ))
    }

    /// Whether a configuration is one that the method takes; if not, what does not fit.
    pub fn takes(&self, config: &Config) -> Result<(), String> {
        let count = config.features.len();
        if !(self.features.min as usize..=self.features.max as usize).contains(&count) {
            let (min, max) = (self.features.min, self.features.max);
            return Err(format!("it has {count} features; `{}` takes {min} to {max}", self.name));
        }
        for feature in &config.features {
            let kind = match feature.kind {
                Kind::Number { .. } => FeatureKind::Number,
                Kind::Category { .. } => FeatureKind::Category,
                Kind::Whole { .. } => FeatureKind::Whole,
                Kind::Day { .. } => FeatureKind::Day,
                Kind::Genotypes { .. } => FeatureKind::Genotypes,
            };
            self.takes_feature(kind, &feature.name)?;
        }
        let outcome = match config.outcome {
            Outcome::YesNo { .. } => OutcomeKind::YesNo,
            Outcome::Number { .. } => OutcomeKind::Number,
            Outcome::EventTime { .. } => OutcomeKind::EventTime,
        };
        self.takes_outcome(outcome, "its outcome")?;
        if config.values.len() != self.config.len() {
            let (got, wanted) = (config.values.len(), self.config.len());
            return Err(format!("it has {got} settings; `{}` has {wanted}", self.name));
        }
        for (setting, &value) in self.config.iter().zip(&config.values) {
            let said = match setting.kind {
                SettingKind::YesNo if value == 0.0 || value == 1.0 => SettingValue::Bool(value == 1.0),
                _ => SettingValue::Number(value),
            };
            setting.number(said).map_err(|what| format!("`{}`: {what}", setting.name))?;
        }
        Ok(())
    }

    /// How much a site says of itself in clear with one report, in bits, at the most.
    pub fn report_bits(&self) -> u32 {
        self.report.iter().map(Field::bits).sum::<f64>().ceil() as u32
    }
}

impl Setting {
    /// A value as the number that the method gets: within the range, whole where it must be.
    pub fn number(&self, value: SettingValue) -> Result<f64, String> {
        let number = match (self.kind, value) {
            (SettingKind::YesNo, SettingValue::Bool(yes)) => return Ok(f64::from(u8::from(yes))),
            (SettingKind::YesNo, SettingValue::Number(_)) => return Err("it is true or false".into()),
            (_, SettingValue::Bool(_)) => return Err("it is a number".into()),
            (_, SettingValue::Number(number)) => number,
        };
        let (min, max) = (self.min.unwrap_or(f64::MIN), self.max.unwrap_or(f64::MAX));
        if !(min..=max).contains(&number) {
            return Err(format!("{number} is not from {min} to {max}"));
        }
        if self.kind == SettingKind::Whole && number.fract() != 0.0 {
            return Err(format!("{number} is not a whole number"));
        }
        Ok(number)
    }
}

/// A value that may not leave. Says nothing else of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not within the range of its field")]
pub struct OutOfRange;

impl Field {
    /// How much a value tells, in bits, at the most: the logarithm of the number of values that may leave.
    pub fn bits(&self) -> f64 {
        let unit = 10_f64.powi(-(self.decimals as i32));
        let decade = 10_f64.powi(FIELD_DIGITS as i32);
        // Values from 0 to `most`: all multiples of the unit as long as these have few digits, then as many in each decade.
        let upto = |most: f64| {
            let units = (most / unit).max(0.0);
            units.min(decade) + (units / decade).max(1.0).log10().ceil() * 0.9 * decade
        };
        let values = if self.min > 0.0 {
            upto(self.max) - upto(self.min)
        } else if self.max < 0.0 {
            upto(-self.min) - upto(-self.max)
        } else {
            upto(self.max) + upto(-self.min)
        };
        // Both borders can leave as they are, and none where it is allowed.
        (values.max(0.0) + 3.0 + f64::from(u8::from(self.optional))).log2()
    }

    /// A value as it may leave: rounded, within the range; none where there is none.
    pub fn admit(&self, value: f64) -> Result<Option<f64>, OutOfRange> {
        if value.is_nan() {
            return if self.optional { Ok(None) } else { Err(OutOfRange) };
        }
        if !(self.min..=self.max).contains(&value) {
            return Err(OutOfRange);
        }
        let scale = 10_f64.powi(self.decimals as i32);
        let rounded = (value * scale).round() / scale;
        // Written out and read again, which rounds right and alike on every machine.
        let digits = FIELD_DIGITS - 1;
        let rounded: f64 = format!("{rounded:.digits$e}").parse().map_err(|_| OutOfRange)?;
        Ok(Some((rounded + 0.0).clamp(self.min, self.max)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LOGISTIC: &str = include_str!("../../../programs/logistic/manifest.json");

    #[test]
    fn the_manifest_of_a_method_is_read() {
        let manifest = Manifest::read(LOGISTIC.as_bytes()).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.config.len()), ("logistic", 7));
        let ridge = &manifest.config[0];
        assert_eq!(ridge.number(SettingValue::Number(0.5)), Ok(0.5));
        assert!(ridge.number(SettingValue::Number(-1.0)).is_err());
        assert!(ridge.number(SettingValue::Bool(true)).is_err());
        assert_eq!(manifest.config[4].number(SettingValue::Bool(true)), Ok(1.0));
        assert!(manifest.config[1].number(SettingValue::Number(2.5)).is_err());
        let auc = &manifest.report[2];
        assert_eq!(auc.admit(0.876_54), Ok(Some(0.8765)));
        assert_eq!(auc.admit(f64::NAN), Ok(None));
        assert_eq!(auc.admit(1.1), Err(OutOfRange));
        assert_eq!(manifest.report[0].admit(f64::NAN), Err(OutOfRange));
    }

    /// The author of a method gives its report fields a range so wide, or so many of them, that nothing is rounded.
    #[test]
    fn a_field_tells_six_digits_however_wide_its_range_is() {
        let field = |decimals, min: f64, max: f64| Field {
            name: "f".into(),
            decimals,
            min,
            max,
            optional: false,
            says: "It".into(),
        };
        let wide = field(9, -1e15, 1e15);
        assert_eq!(wide.admit(123_456_789.123_456_7), Ok(Some(123_457_000.0)));
        assert_eq!(wide.admit(-0.000_123_456_789), Ok(Some(-0.000_123_457)));
        assert_eq!(wide.admit(-1e-12), Ok(Some(0.0)));
        assert_eq!(field(0, 0.0, 10.0).admit(9.6), Ok(Some(10.0)));
        assert!((24.0..26.0).contains(&wide.bits()), "{}", wide.bits());
        // Counted for real.
        let small = field(2, -3.0, 70.0);
        let mut values: Vec<u64> = (-30_000..=700_000)
            .map(|i| small.admit(f64::from(i) / 1e4).unwrap().unwrap().to_bits())
            .collect();
        values.sort_unstable();
        values.dedup();
        let found = (values.len() as f64).log2();
        assert!(found <= small.bits() && small.bits() < found + 0.1, "{found} {}", small.bits());
        let manifest = Manifest::read(LOGISTIC.as_bytes()).unwrap();
        assert!((80..130).contains(&manifest.report_bits()), "{}", manifest.report_bits());
        let many: Vec<String> = (0..65)
            .map(|i| format!(r#"{{ "name": "f{i}", "decimals": 1, "min": 0, "max": 1, "says": "It" }}"#))
            .collect();
        let many = LOGISTIC.replacen("\"report\": [", &format!("\"report\": [{},", many.join(",")), 1);
        let error = Manifest::read(many.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("`report`") && error.contains("at most 64"), "{error}");
    }

    #[test]
    fn what_a_method_does_not_take_is_told_from_its_manifest() {
        let manifest = Manifest::read(LOGISTIC.as_bytes()).unwrap();
        assert_eq!(manifest.takes_outcome(OutcomeKind::YesNo, "the study's"), Ok(()));
        assert_eq!(
            manifest.takes_outcome(OutcomeKind::EventTime, "the study's"),
            Err("the method `logistic` takes a yes/no outcome, and the study's is an event with a time"
                .into())
        );
        let numbers =
            LOGISTIC.replacen(r#""number", "category", "whole", "day""#, r#""number", "category""#, 1);
        let numbers = Manifest::read(numbers.as_bytes()).unwrap();
        assert_eq!(
            numbers.takes_feature(FeatureKind::Day, "seen"),
            Err("the method `logistic` takes numbers and categories as features, and `seen` is one of days"
                .into())
        );
    }

    #[test]
    fn a_lying_manifest_is_refused_and_the_place_is_named() {
        let lies = [
            ("\"name\": \"logistic\"", "\"name\": \"Log istic\"", "`name`"),
            ("\"fuel\": 100000000000", "\"fuel\": 100000000000000000", "`limits.fuel`"),
            ("\"rounds\": 1100", "\"rounds\": 0", "`limits.rounds`"),
            ("\"day\"], \"min\": 1, \"max\": 1000", "\"day\"], \"min\": 2, \"max\": 1", "`features`"),
            ("\"outcome\": [\"yes/no\"]", "\"outcome\": []", "`outcome`"),
            ("\"decimals\": 3", "\"decimals\": 10", "`report.calibration_slope`"),
            ("\"default\": 50", "\"default\": 0", "`config.rounds`"),
            ("\"default\": false", "\"default\": 0", "`config.separated`"),
            ("\"min\": -1000, \"max\": 1000", "\"min\": -1000, \"max\": 1e16", "`report.calibration_slope`"),
            ("histone-abi/3", "histone-abi/1", "`abi`"),
        ];
        for (from, to, place) in lies {
            assert!(LOGISTIC.contains(from), "{from}");
            let error = Manifest::read(LOGISTIC.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
        let unknown = [
            LOGISTIC.replacen("yes/no\"]", "three\"]", 1),
            LOGISTIC.replacen("\"title\"", "\"subtitle\"", 1),
            LOGISTIC.replacen("\"real\"", "\"complex\"", 1),
            LOGISTIC.replacen("\"min\": 0", "\"min\": NaN", 1),
            LOGISTIC.replacen("\"version\"", "\"name\": \"b\", \"version\"", 1),
        ];
        for text in unknown {
            assert!(matches!(Manifest::read(text.as_bytes()), Err(ManifestError::Json(_))));
        }
    }
}
