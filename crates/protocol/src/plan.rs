//! What a training fixes before anybody gives data to it.
//!
//! The document is a public blob. The white paper names its hash and so does the ledger, so that owners consent to the
//! whole of it, and neither rounds, survivors, committee, bins nor programs can be others afterwards.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::committee::{Committee, CommitteeError};
use crate::disclosure::{Disclosure, DisclosureError};
use crate::hash::blob_hash;

/// How many rows are too few, where a study does not say it.
pub const LEAST: u32 = 5;

/// The largest minimum that a plan may have: with a larger one the smallest site that may take part would be none.
pub const MOST_LEAST: u32 = 20;

/// Version of the document.
pub const FORMAT: &str = "histone-plan/4";

/// What is done with missing cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingCells {
    /// A missing cell is an error.
    Refuse,
    /// Its row is left out.
    Drop,
    /// Filled with the mean of the present values of all sites.
    Mean,
    /// Filled with the median of the present values of all sites.
    Median,
}

/// How a column is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// A number with its least and its largest plausible value.
    Range([f64; 2]),
    /// One of these names.
    Levels(Vec<String>),
    /// A whole number with its least and its largest plausible value.
    Whole([i64; 2]),
    /// A day with the first and the last plausible one, as days since 1970-01-01.
    Day([i64; 2]),
    /// Genotypes at the variants of a panel.
    Genotypes {
        /// The panel's text, a public blob.
        panel: B256,
        /// How many variants it has.
        variants: u32,
    },
}

/// A column that the model is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFeature {
    /// Its name.
    pub name: String,
    /// How it is read.
    pub kind: ColumnKind,
    /// Whether a zero means that nothing was measured.
    pub zero_is_missing: bool,
}

/// What is predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanOutcome {
    /// Yes or no: the column.
    YesNo(String),
    /// A number: the column, and its least and largest plausible value.
    Number(String, [f64; 2]),
    /// The column of the time until the event or the end of observation, the column that says whether the event was seen, and
    /// the longest plausible time.
    EventTime(String, String, f64),
}

/// The measurements of the programs of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPrograms {
    /// Validates each table.
    pub validation: B256,
    /// The method: computes the updates, and what becomes of their sums.
    pub training: B256,
    /// Applies its models.
    pub query: B256,
}

/// One stage of a training: what is seen of its rounds from outside. It follows from method and configuration, whatever the data are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanStage {
    /// Its name.
    pub stage: String,
    /// Numbers that a site gives in each of its rounds.
    pub numbers: u32,
    /// Rounds that it has at the most.
    pub rounds: u32,
}

/// The plan of a training: one canonical JSON document, named by the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanDocument {
    /// [`FORMAT`].
    pub format: String,
    /// Name and version of the method, for people: its measurement is among the programs.
    pub method: String,
    /// What the model is made from, in the order of the datasets.
    pub features: Vec<PlanFeature>,
    /// What it predicts.
    pub outcome: PlanOutcome,
    /// What is done with missing cells of features.
    pub missing: MissingCells,
    /// Share of the rows that is held out to judge the model.
    pub holdout: f64,
    /// Every setting of the method by its name; 0 and 1 for no and yes.
    pub settings: BTreeMap<String, f64>,
    /// The stages of the training in their order, as the method gives them for this configuration.
    pub agenda: Vec<PlanStage>,
    /// How many rows are too few: nothing is released that rests on fewer, and where everybody sees sums no site's part of one does.
    pub least: u32,
    /// A round with fewer donors fails.
    pub min_survivors: u16,
    /// Fewest members that the committee may have when the training starts. This and what follows is 0 where all data is brought to
    /// one enclave: there is no committee and no round.
    pub committee_members: u8,
    /// Members of the committee that may collude.
    pub colluders: u8,
    /// Seconds that a round takes updates.
    pub round_seconds: u64,
    /// Seconds that the committee then has to open it.
    pub opening_seconds: u64,
    /// Who may see what of the training.
    pub disclosure: Disclosure,
    /// Hash of the method's manifest: how answers are rounded, and what facts are said, follows from it. Of a method of closed source
    /// it is a blob, because nobody else can read it in the module.
    pub manifest: B256,
    /// The programs.
    pub programs: PlanPrograms,
}

/// Why a plan's bytes are refused.
#[derive(Debug, thiserror::Error)]
pub enum PlanDocumentError {
    /// Not JSON of the expected shape.
    #[error("not a training plan")]
    Malformed(#[source] serde_json::Error),
    /// Parsed, but the canonical bytes of what was parsed are others.
    #[error("the training plan is not in its canonical encoding")]
    NotCanonical,
    /// Another version.
    #[error("the training plan has the format `{}`, this version reads {FORMAT}", .0.escape_debug())]
    Format(String),
    /// A disclosure that cannot be.
    #[error("what the training plan says of sums and model is refused")]
    Disclosure(#[from] DisclosureError),
    /// No committee of these numbers.
    #[error("the committee of the training plan is refused")]
    Committee(#[from] CommitteeError),
    /// One enclave needs nobody to open its sums.
    #[error(
        "the training plan has one enclave for all data, and a committee or times of rounds, of which there are none"
    )]
    NoRounds,
    /// A minimum that protects nobody, or leaves nobody.
    #[error("the training plan calls fewer than {0} rows too few; 1 to {MOST_LEAST} are possible")]
    Least(u32),
    /// A round in which nobody could answer.
    #[error("the training plan gives {seconds} s for {what}; {least} s are the least")]
    NoTime {
        /// For what.
        what: &'static str,
        /// What it gives.
        seconds: u64,
        /// What it has to.
        least: u64,
    },
}

/// Seconds that the committee has for opening a round, at the least: a third of it is for a donor to answer an accusation.
pub const SHORTEST: u64 = 60;

impl PlanOutcome {
    /// The name that a white paper gives it: of its column, of the time of an event.
    pub fn name(&self) -> &str {
        match self {
            Self::YesNo(name) | Self::Number(name, _) | Self::EventTime(name, ..) => name,
        }
    }
}

impl PlanDocument {
    /// The panels of its genotypes, each with its number of variants.
    pub fn panels(&self) -> impl Iterator<Item = (B256, u32)> + '_ {
        self.features.iter().filter_map(|feature| match feature.kind {
            ColumnKind::Genotypes { panel, variants } => Some((panel, variants)),
            _ => None,
        })
    }

    /// The canonical bytes: one line of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: numbers, strings and hashes always serialize.
        #[allow(clippy::unwrap_used)]
        let mut bytes = serde_json::to_vec(self).unwrap();
        bytes.push(b'\n');
        bytes
    }

    /// The name of the document: the hash of its blob.
    pub fn hash(&self) -> B256 {
        blob_hash(&self.to_bytes())
    }

    /// Reads and checks a plan. Whether the method takes the configuration is its manifest's to say, and the method's own when it begins.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanDocumentError> {
        let plan: Self = serde_json::from_slice(bytes).map_err(PlanDocumentError::Malformed)?;
        if plan.format != FORMAT {
            return Err(PlanDocumentError::Format(plan.format));
        }
        if plan.to_bytes() != bytes {
            return Err(PlanDocumentError::NotCanonical);
        }
        plan.disclosure.check()?;
        if !(1..=MOST_LEAST).contains(&plan.least) {
            return Err(PlanDocumentError::Least(plan.least));
        }
        if plan.disclosure.in_one_enclave() {
            let numbers = (plan.committee_members, plan.colluders, plan.round_seconds, plan.opening_seconds);
            return if numbers == (0, 0, 0, 0) { Ok(plan) } else { Err(PlanDocumentError::NoRounds) };
        }
        plan.committee()?;
        let times = [(plan.round_seconds, 1, "a round"), (plan.opening_seconds, SHORTEST, "opening a round")];
        for (seconds, least, what) in times {
            if seconds < least {
                return Err(PlanDocumentError::NoTime { what, seconds, least });
            }
        }
        Ok(plan)
    }

    /// The smallest committee that the plan takes.
    pub fn committee(&self) -> Result<Committee, CommitteeError> {
        Committee::derive(self.committee_members.into(), self.colluders)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plan() -> PlanDocument {
        PlanDocument {
            format: FORMAT.into(),
            method: "logistic 1.1.0".into(),
            features: vec![PlanFeature {
                name: "age".into(),
                kind: ColumnKind::Range([0.0, 120.0]),
                zero_is_missing: true,
            }],
            outcome: PlanOutcome::YesNo("malignant".into()),
            missing: MissingCells::Median,
            holdout: 0.2,
            settings: [("ridge".into(), 1.0), ("bins".into(), 100.0)].into(),
            agenda: vec![
                PlanStage { stage: "describe".into(), numbers: 8, rounds: 1 },
                PlanStage { stage: "newton".into(), numbers: 6, rounds: 50 },
            ],
            least: LEAST,
            min_survivors: 3,
            committee_members: 7,
            colluders: 1,
            round_seconds: 3_600,
            opening_seconds: 3_600,
            disclosure: Disclosure::sealed(crate::disclosure::Release::Public),
            manifest: B256::repeat_byte(6),
            programs: PlanPrograms {
                validation: B256::repeat_byte(1),
                training: B256::repeat_byte(2),
                query: B256::repeat_byte(3),
            },
        }
    }

    fn refused(plan: &PlanDocument) -> String {
        crate::with_causes(&PlanDocument::from_bytes(&plan.to_bytes()).unwrap_err())
    }

    #[test]
    fn a_plan_has_one_encoding_and_every_field_changes_its_name() {
        let bytes = plan().to_bytes();
        assert_eq!(PlanDocument::from_bytes(&bytes).unwrap(), plan());
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[i] ^= 1 << bit;
                // What is still a plan is another one, under another name.
                if let Ok(read) = PlanDocument::from_bytes(&altered) {
                    assert_ne!((read.clone(), read.hash()), (plan(), plan().hash()), "byte {i} bit {bit}");
                }
            }
        }
        let spaced = String::from_utf8(bytes).unwrap().replace("\"bins\":100", "\"bins\": 100");
        assert!(matches!(PlanDocument::from_bytes(spaced.as_bytes()), Err(PlanDocumentError::NotCanonical)));
    }

    #[test]
    fn whole_numbers_and_days_are_whole() {
        let feature = |name: &str, kind| PlanFeature { name: name.into(), kind, zero_is_missing: false };
        let features = vec![
            feature("visits", ColumnKind::Whole([0, 40])),
            feature("diagnosed", ColumnKind::Day([-3_653, 18_992])),
        ];
        let outcome = PlanOutcome::EventTime("days".into(), "died".into(), 4_000.0);
        let bytes = PlanDocument { features, outcome, ..plan() }.to_bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(r#"{"whole":[0,40]}"#) && text.contains(r#"{"day":[-3653,18992]}"#), "{text}");
        assert_eq!(PlanDocument::from_bytes(&bytes).unwrap().to_bytes(), bytes);
        let half = text.replace("[0,40]", "[0,40.5]");
        assert!(matches!(PlanDocument::from_bytes(half.as_bytes()), Err(PlanDocumentError::Malformed(_))));
    }

    #[test]
    fn numbers_with_fractions_survive() {
        // Some decimals are read one step off by a parser that is only nearly exact.
        let mut bits = 0x3eb0_c6f7_a0b5_ed8d_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits >> 2);
            let settings = [("ridge".into(), value), ("tolerance".into(), 1.0 / value.max(1e-300))].into();
            let changed = PlanDocument { settings, ..plan() };
            assert_eq!(PlanDocument::from_bytes(&changed.to_bytes()).unwrap(), changed, "{value:e}");
        }
        assert!(refused(&PlanDocument { holdout: f64::NAN, ..plan() }).starts_with("not a training plan"));
    }

    #[test]
    fn refuses_what_could_not_run() {
        let two = PlanDocument { committee_members: 2, ..plan() };
        assert_eq!(
            refused(&two),
            "the committee of the training plan is refused: 2 members cannot withstand 1 that collude; 4 members can"
        );
        assert!(refused(&PlanDocument { colluders: 0, ..plan() }).contains("at least 1 member"));
        assert_eq!(
            refused(&PlanDocument { opening_seconds: 0, ..plan() }),
            "the training plan gives 0 s for opening a round; 60 s are the least"
        );
        let noised = Disclosure { sums: crate::disclosure::Sums::Noised, ..Disclosure::public_exact() };
        assert!(
            refused(&PlanDocument { disclosure: noised, ..plan() }).contains("noised sums are not built yet")
        );
        for least in [0, MOST_LEAST + 1] {
            let told = refused(&PlanDocument { least, ..plan() });
            assert!(told.contains("rows too few; 1 to 20 are possible"), "{told}");
        }
        assert!(refused(&PlanDocument { format: "x".into(), ..plan() }).contains("this version reads"));
    }
}
