//! The validation service: looks at a dataset, commits to it, and states what it found.

use histone_ledger::Deployment;
use histone_program_sdk::job::{
    FLAG_ALL_MISSING, FLAG_CONSTANT, FLAG_EXTREME, FLAG_MOSTLY_MISSING, FLAG_ZERO_IN_DISGUISE, ValidateJob,
};
use histone_protocol::B256;
use histone_protocol::hash::{blob_hash, tagged_hash};
use histone_protocol::keys::SignatureBytes;
use histone_protocol::program::ProgramKind;
use histone_protocol::receipt::{self, ValidationReceipt};
use histone_protocol::record::Signed;
use histone_protocol::report::{ColumnFlags, ValidationReport};

use crate::gate::{Admitted, OutputSchema};
use crate::instance::{EnclaveError, Instance, SealedDataset};

/// What a validation enclave is started with beside the program: nothing but its purpose.
pub fn init_data() -> B256 {
    tagged_hash("histone/validation-init/v1", &[])
}

/// What an owner gets back from a validation.
#[derive(Debug)]
pub struct Validated {
    /// The commitment over the rows.
    pub root: B256,
    /// The signed report, to be published.
    pub report: Vec<u8>,
    /// What the ledger takes.
    pub receipt: ValidationReceipt,
    /// The enclave's signature on the receipt.
    pub signature: SignatureBytes,
}

/// An enclave that validates datasets.
#[derive(Debug)]
pub struct ValidationEnclave(Instance);

impl ValidationEnclave {
    /// Wraps a started enclave; its program must be a validation program.
    pub fn new(instance: Instance) -> Result<Self, EnclaveError> {
        instance.need(ProgramKind::Validation)?;
        Ok(Self(instance))
    }

    /// The running enclave.
    pub fn instance(&self) -> &Instance {
        &self.0
    }

    /// Validates a dataset whose key was released to this enclave. Nothing of it is kept.
    pub fn validate(&self, dataset: &SealedDataset, ledger: &Deployment) -> Result<Validated, EnclaveError> {
        let opened = self.0.open(dataset)?;
        let table = opened.job_table();
        let (rows, columns) = (table.rows() as u32, table.columns);
        let job = ValidateJob { table }.encode();
        let report = match self.0.run(&job, OutputSchema::Report { rows, columns })? {
            Admitted::Report(report) => report,
            _ => return Err(EnclaveError::Request("the gate gave another shape")),
        };
        if report.quality == 0 {
            return Err(EnclaveError::Refused);
        }
        let flagged = opened.table.columns().iter().zip(&report.flags).filter(|(_, flags)| **flags != 0);
        let statement = ValidationReport {
            ledger: ledger.id(),
            platform: self.0.platform(),
            owner: dataset.owner,
            root: opened.root,
            rows,
            quality: report.quality,
            has_duplicates: report.duplicates > 0,
            flagged: flagged
                .map(|(column, &flags)| ColumnFlags { column: column.clone(), flags: words(flags) })
                .collect(),
        };
        let statement = Signed::sign(&statement, self.0.receipt_key())?.to_bytes();
        let receipt = ValidationReceipt {
            owner: dataset.owner,
            root: opened.root,
            reportHash: blob_hash(&statement),
            rows,
            quality: report.quality,
            replaces: dataset.replaces,
        };
        let domain = receipt::domain(ledger.chain_id, ledger.datasets);
        let signature = receipt::sign(&receipt, &domain, self.0.receipt_key());
        Ok(Validated { root: opened.root, report: statement, receipt, signature })
    }
}

fn words(flags: u8) -> Vec<String> {
    [
        (FLAG_CONSTANT, "constant"),
        (FLAG_ALL_MISSING, "all values missing"),
        (FLAG_MOSTLY_MISSING, "more than half of the values missing"),
        (FLAG_ZERO_IN_DISGUISE, "zeros that are likely missing values"),
        (FLAG_EXTREME, "extreme values, likely a unit or typing error"),
    ]
    .iter()
    .filter(|(flag, _)| flags & flag != 0)
    .map(|(_, word)| word.to_string())
    .collect()
}
