//! How an owner replaces a dataset by another version of it.
//!
//! The dataset keeps its number, name and policy on the ledger. A version lies in the owner's directory before anybody validates it;
//! it is the owner's current one when the ledger has it, and not before.

use histone_contracts::{Contract, Datasets};
use histone_enclave::validation::ValidationEnclave;
use histone_genome::table::Table;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::receipt::ValidationReceipt;
use histone_protocol::record::Signed;
use histone_protocol::report::ValidationReport;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

use super::{Owner, again, encrypt};
use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

/// A version of a table that lies encrypted in an owner's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// What its files are named by.
    pub name: B256,
    /// Commitment to its content.
    pub root: B256,
}

impl Version {
    /// Encrypts a table into a party's directory. The same table again is the same version.
    pub fn prepare(party: &Party, table: &Table) -> Result<Self, NodeError> {
        let encrypted = encrypt(party, table)?;
        Ok(Self { name: encrypted.name, root: encrypted.root })
    }
}

impl Owner {
    /// The same dataset with another version of its table, as it lies in the directory. It takes part in nothing.
    pub fn with_version(&self, version: Version) -> Result<Self, NodeError> {
        Ok(Self {
            party: self.party.clone(),
            policy: self.policy.clone(),
            table: again::read(&self.party, version.name, version.root)?,
            dataset: self.dataset,
            participation: None,
            considered: Default::default(),
        })
    }

    /// Makes another version the current one, which the ledger has by now. What takes part in a model goes on with the version that
    /// was given to it.
    pub fn take_version(&mut self, version: Version) -> Result<(), NodeError> {
        let new = self.with_version(version)?;
        new.keep()?;
        self.table = new.table;
        Ok(())
    }

    /// Puts this version on the ledger with what a validation enclave has signed, whose report is in public storage.
    pub async fn register_version(
        &self,
        enclave: Address,
        receipt: &ValidationReceipt,
        signature: &SignatureBytes,
        world: &World,
    ) -> Result<(), NodeError> {
        if receipt.replaces.is_zero() {
            return Err(NodeError::Message(format!(
                "the table is the one that dataset {} was first registered with; the ledger does not go back to an earlier version",
                self.dataset
            )));
        }
        if receipt.replaces != self.dataset {
            return Err(NodeError::Message(format!(
                "the rows of this table are those of your dataset {}, and not of {}; update that one",
                receipt.replaces, self.dataset
            )));
        }
        self.check_report(enclave, receipt, world)?;
        let call = Datasets::updateCall {
            id: self.dataset,
            root: receipt.root,
            reportHash: receipt.reportHash,
            rows: receipt.rows,
            quality: receipt.quality,
            enclave,
            signature: signature.as_slice().to_vec().into(),
        };
        world.ledger.send(&self.party.key, Contract::Datasets, call).await?;
        Ok(())
    }

    /// Replaces the table by another version of it: the dataset keeps its number, name and policy on the ledger, and what
    /// was answered for the earlier version is not answered for this one (unless the policy allows it).
    pub async fn update(
        &mut self,
        table: Table,
        enclave: &ValidationEnclave,
        world: &World,
    ) -> Result<B256, NodeError> {
        self.table = encrypt(&self.party, &table)?;
        let validated = self.validate(enclave, self.dataset, world).await?;
        let report = world.blobs.put(&validated.report)?;
        let signer = enclave.instance().keys().receipt;
        self.register_version(signer, &validated.receipt, &validated.signature, world).await?;
        Ok(report)
    }

    /// Whether the report behind a receipt is by this enclave and about this owner's current version.
    pub(super) fn check_report(
        &self,
        enclave: Address,
        receipt: &ValidationReceipt,
        world: &World,
    ) -> Result<(), NodeError> {
        let (report, signer) =
            Signed::<ValidationReport>::from_bytes(&world.blobs.get(receipt.reportHash)?)?.open()?;
        if signer != enclave || (report.owner, report.root) != (self.account(), self.table.root) {
            return Err(NodeError::Message(format!(
                "the validation report {} is by {signer} and about the rows {}; expected was one by {enclave} about {}",
                receipt.reportHash, report.root, self.table.root
            )));
        }
        Ok(())
    }
}
