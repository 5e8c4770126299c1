//! The study file as written. Values keep their position, so that a later check can still say where.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::format::FormatFile;
use super::money::Amount;
use crate::method::range::End;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StudyFile {
    pub name: Spanned<String>,
    pub title: Spanned<String>,
    pub task: Spanned<String>,
    pub table: TableFile,
    #[serde(default)]
    pub participant: Vec<ParticipantFile>,
    pub model: ModelFile,
    #[serde(default)]
    pub other_model: Vec<ModelFile>,
    pub training: TrainingFile,
    pub committee: CommitteeFile,
    #[serde(default)]
    pub appraisal: AppraisalFile,
    pub end_user: EndUserFile,
    #[serde(default)]
    pub parties: PartiesFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableFile {
    /// Of every file that has none of its own.
    pub format: Option<FormatFile>,
    pub label: Option<Spanned<String>>,
    pub time: Option<Spanned<String>>,
    pub event: Option<Spanned<String>>,
    pub positive: Option<Spanned<String>>,
    pub negative: Option<Spanned<String>>,
    pub other: Option<Spanned<String>>,
    pub features: Spanned<FeaturesFile>,
    #[serde(default)]
    pub ignore: Vec<Spanned<String>>,
    pub missing: Spanned<String>,
    pub missing_codes: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub zero_is_missing: Vec<Spanned<String>>,
    #[serde(default)]
    pub ranges: BTreeMap<String, Spanned<[End; 2]>>,
    #[serde(default)]
    pub kinds: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub levels: BTreeMap<String, Spanned<Vec<String>>>,
    pub genotypes: Option<GenotypesFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GenotypesFile {
    pub panel: Spanned<String>,
    pub assembly: Spanned<String>,
    pub person: Spanned<String>,
}

/// `"all numeric"` or a list of names.
pub(super) enum FeaturesFile {
    Word(String),
    Names(Vec<String>),
}

// By hand, because the message of an untagged enum would not say what is allowed.
impl<'de> Deserialize<'de> for FeaturesFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = FeaturesFile;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"all numeric\" or a list of column names")
            }

            fn visit_str<E>(self, word: &str) -> Result<FeaturesFile, E> {
                Ok(FeaturesFile::Word(word.to_owned()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<FeaturesFile, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(FeaturesFile::Names(names))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParticipantFile {
    pub name: Spanned<String>,
    pub data: Spanned<String>,
    pub format: Option<FormatFile>,
    pub genotypes: Option<Spanned<String>>,
    pub country: Spanned<String>,
    pub consent: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub allow: Vec<Spanned<String>>,
    #[serde(default)]
    pub allow_trainers: Vec<AllowedTrainerFile>,
    #[serde(default)]
    pub deny: Vec<Spanned<String>>,
    pub versions: Option<Spanned<i64>>,
    #[serde(default)]
    pub allow_public_exact: bool,
    #[serde(default)]
    pub allow_auditors: Vec<Spanned<String>>,
    #[serde(default)]
    pub allow_one_enclave: bool,
    #[serde(default)]
    pub allow_closed: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowedTrainerFile {
    pub trainer: Spanned<String>,
    pub meets: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFile {
    pub name: Spanned<String>,
    pub predicts: Spanned<String>,
    pub purpose: Spanned<String>,
    pub disease: Option<Spanned<String>>,
    #[serde(default)]
    pub commercial: bool,
    pub trainer: Spanned<String>,
    pub instant_payment: Spanned<Amount>,
    pub query_price: Spanned<Amount>,
    pub answers: Option<Spanned<i64>>,
    pub split: Spanned<SplitFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SplitFile {
    pub donors: Spanned<Amount>,
    pub trainer: Spanned<Amount>,
    pub runner: Spanned<Amount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingFile {
    pub method: Option<Spanned<String>>,
    pub rounds: Option<Spanned<i64>>,
    pub tolerance: Option<Spanned<f64>>,
    pub ridge: Option<Spanned<f64>>,
    pub holdout: Spanned<f64>,
    pub min_survivors: Spanned<i64>,
    pub place: Option<Spanned<String>>,
    pub source: Option<Spanned<String>>,
    pub sums: Option<Spanned<String>>,
    pub model: Option<Spanned<String>>,
    #[serde(default)]
    pub auditors: Vec<Spanned<String>>,
    pub least: Option<Spanned<i64>>,
    /// Any settings of the method, as its manifest names them; those with keys of their own are the usual ones in short.
    #[serde(default)]
    pub settings: BTreeMap<String, Spanned<toml::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitteeFile {
    pub members: Spanned<Vec<Spanned<String>>>,
    pub colluders: Option<Spanned<i64>>,
    pub threshold: Option<Spanned<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct AppraisalFile {
    pub platforms: Option<Spanned<Vec<Spanned<String>>>>,
    pub max_age_hours: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndUserFile {
    pub name: Option<Spanned<String>>,
    pub queries: Spanned<String>,
    pub format: Option<FormatFile>,
    pub count: Option<Spanned<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct PartiesFile {
    pub runner: Option<Spanned<String>>,
    pub auditor: Option<Spanned<String>>,
    #[serde(default)]
    pub auditors: Vec<Spanned<String>>,
}
