//! Public statements of enclaves about data and models: counts and flags, nothing of a row.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::evidence::Platform;
use crate::record::{LedgerId, Record};

/// What a validation enclave says of a dataset; signed by its receipt key, its blob hash is on the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationReport {
    /// The ledger on which the dataset is registered; the report is void on others.
    pub ledger: LedgerId,
    /// What vouches for the enclave.
    pub platform: Platform,
    /// Owner of the dataset.
    pub owner: Address,
    /// Commitment over its rows.
    pub root: B256,
    /// Number of rows.
    pub rows: u32,
    /// 1 = poor, 2 = usable with flags, 3 = good.
    pub quality: u8,
    /// Whether rows repeat earlier rows exactly.
    pub has_duplicates: bool,
    /// Flagged columns.
    pub flagged: Vec<ColumnFlags>,
    /// Blob of the sealed notices to the committee ([`crate::notice`]); there is always one.
    pub notice: B256,
}

impl Record for ValidationReport {
    const KIND: &'static str = "validation-report";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// Flags of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnFlags {
    /// Name of the column.
    pub column: String,
    /// What is unusual, in words.
    pub flags: Vec<String>,
}

/// What a training enclave says of the finished model on its own evaluation rows; signed by its receipt key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteEvaluation {
    /// The ledger on which the model is; the evaluation is void on others.
    pub ledger: LedgerId,
    /// What vouches for the enclave.
    pub platform: Platform,
    /// The ledger's number of the model.
    pub model_id: u64,
    /// The donor's number in the model.
    pub donor: u16,
    /// Hash of the finished model.
    pub model_hash: B256,
    /// The fields of the method's report, in the order of its manifest.
    pub fields: Vec<NamedValue>,
}

/// What the one enclave that had the data of all donors says when it has made a model; signed by its receipt key, its blob hash is
/// on the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostedStatement {
    /// The ledger on which the model is; the statement is void on others.
    pub ledger: LedgerId,
    /// What vouches for the enclave.
    pub platform: Platform,
    /// The ledger's number of the model.
    pub model_id: u64,
    /// Hash of the plan that was followed.
    pub plan: B256,
    /// Hash of the finished model; none when the training came to none.
    pub model_hash: Option<B256>,
    /// Blob of what is released at the end: the document that names the model's blob.
    pub released: Option<B256>,
    /// Whose data was used, ascending by number.
    pub donors: Vec<UsedData>,
    /// Datasets whose data and keys this enclave has destroyed: all that it held at the end and all that was ever donated to it,
    /// ascending.
    pub destroyed: Vec<B256>,
}

/// A donor of a model that was made in one enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsedData {
    /// Its number in the model.
    pub donor: u16,
    /// The dataset.
    pub dataset: B256,
    /// The version of it.
    pub root: B256,
}

impl Record for HostedStatement {
    const KIND: &'static str = "hosted-training";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}

/// A number with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedValue {
    /// Its name in the manifest of the method.
    pub name: String,
    /// The number; none where there is none.
    pub value: Option<f64>,
}

impl SiteEvaluation {
    /// A field by its name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.fields.iter().find(|field| field.name == name)?.value
    }
}

impl Record for SiteEvaluation {
    const KIND: &'static str = "site-evaluation";

    fn ledger(&self) -> Option<LedgerId> {
        Some(self.ledger)
    }
}
