//! Kinds of program, and what a program's registration states.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

/// What a program is for. The number is the ledger's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum ProgramKind {
    /// Looks at a dataset and reports on it.
    Validation = 1,
    /// A method: a whole training, beside the rows and over opened sums.
    Training = 2,
    /// Answers a paid query with a trained model.
    Query = 3,
}

impl ProgramKind {
    /// All kinds in the order of their codes.
    pub const ALL: [ProgramKind; 3] = [ProgramKind::Validation, ProgramKind::Training, ProgramKind::Query];

    /// The kind in a word, for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Training => "training",
            Self::Query => "query",
        }
    }

    /// The ledger's code.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An auditor's statement that a program was measured again and is what its author says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditReport {
    /// Name of the program.
    pub program: String,
    /// Its kind.
    pub kind: ProgramKind,
    /// SHA-256 of the canonical source listing that the auditor read.
    pub source_hash: B256,
    /// SHA-256 of the wasm module.
    pub wasm_hash: B256,
    /// The measurement that the auditor computed.
    pub measurement: B256,
    /// How it was checked: `re-measured` (static check and measurement of the module) or `rebuilt` (from source, byte for byte).
    pub method: String,
    /// Unix seconds.
    pub time: u64,
}

impl crate::record::Record for AuditReport {
    const KIND: &'static str = "audit-report";
}
