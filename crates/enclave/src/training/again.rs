//! An enclave that comes back after its process ended.
//!
//! Its keys derive again, so that what was sealed to it opens. Everything that it knew of the training follows from ledger and public
//! blobs: it opens each sum again. Its operator keeps what the ledger does not have: the key that was released to it, and its updates.

use histone_attestation::cohort::CohortPolicy;
use histone_contracts::{Contract, Datasets, LedgerView, Market};
use histone_protocol::consent::DecisionRecord;
use histone_protocol::hash::blob_hash;
use histone_protocol::keys::SignatureBytes;
use histone_protocol::plan::PlanDocument;
use histone_protocol::receipt::{self, UpdateReceipt};
use histone_protocol::record::Signed;
use histone_protocol::{B256, U256, with_causes};

use super::{Opened, TrainingEnclave, init_data};
use crate::instance::{EnclaveError, Instance, SealedDataset};
use crate::method::HostedMethod;
use crate::plan::plan_of;
use crate::reading::rows_of;

/// An update that an enclave made before its process ended, as its operator kept it.
#[derive(Debug, Clone, Copy)]
pub struct KeptUpdate {
    /// The round.
    pub round: u32,
    /// Hash of its header.
    pub header: B256,
    /// Hash of the encrypted update.
    pub blob: B256,
    /// The enclave's signature on its receipt.
    pub signature: SignatureBytes,
}

impl TrainingEnclave {
    /// Takes the dataset that it has donated to a model again, before the first round of the training: it opens the sums that there are
    /// one after the other. What it was told of the owner's consent is behind the donation, which the ledger took with its signature;
    /// `decision` is the one that it names. A dataset that was withdrawn since is not taken.
    pub async fn resume(
        instance: Instance,
        plan: &PlanDocument,
        model_id: u64,
        dataset: &SealedDataset,
        decision: &[u8],
        policy: CohortPolicy,
        ledger: &impl LedgerView,
    ) -> Result<Self, EnclaveError> {
        if instance.init_data() != init_data(ledger.deployment(), model_id, plan.hash()) {
            return Err(EnclaveError::Request("the enclave was started for another model or plan"));
        }
        let method = HostedMethod::new(instance.program().clone())?;
        let computation = plan_of(plan, &method).map_err(EnclaveError::Config)?;
        let opened = instance.open(dataset)?;
        let blocks = rows_of(&opened.table, &computation.config).map_err(EnclaveError::Config)?;
        let (root, own) = (opened.root, instance.keys().receipt);
        let about = Some(B256::from(U256::from(model_id)));
        let donated = ledger.logged::<Market::Donated>(Contract::Market, about).await?;
        let is_own = |d: &&Market::Donated| (d.enclave, d.datasetId, d.root) == (own, dataset.id, root);
        let donation = donated.iter().map(|d| &d.event).find(is_own).ok_or_else(|| {
            EnclaveError::NotBacked(format!(
                "model {model_id} has no donation of this dataset by this enclave"
            ))
        })?;
        if ledger.read(Contract::Datasets, Datasets::datasetCall { id: dataset.id }).await?.withdrawn {
            return Err(EnclaveError::NotBacked("the dataset is withdrawn".into()));
        }
        if blob_hash(decision) != donation.decision {
            return Err(EnclaveError::Consent("it is not the one that the donation names".into()));
        }
        let record = Signed::<DecisionRecord>::from_bytes(decision).and_then(|signed| signed.open());
        let (record, _) = record.map_err(|e| EnclaveError::Consent(with_causes(&e)))?;
        let versions = record.facts.policy.versions;
        let ledger = ledger.deployment().id();
        let opened = Opened { blocks, lineage: dataset.id, root, versions };
        Self::begin(instance, method, (plan, computation), (model_id, ledger), opened, policy)
    }

    /// Remembers that it has answered a round, by its own signature: it answers no other header of the round, and opens shares of this
    /// update to whoever accuses it. Says whether it is its own.
    pub fn remember(&mut self, update: KeptUpdate, donor: u16, ledger: &impl LedgerView) -> bool {
        let KeptUpdate { round, header, blob, signature } = update;
        let receipt = UpdateReceipt {
            modelId: U256::from(self.model_id),
            round,
            headerHash: header,
            blobHash: blob,
            donorIndex: donor,
        };
        let deployment = ledger.deployment();
        let domain = receipt::domain(deployment.chain_id, deployment.rounds);
        let own = self.instance.keys().receipt;
        let is_own = signature.recover(receipt::digest(&receipt, &domain)) == Ok(own);
        if is_own && self.answered.is_none_or(|(last, _)| last < round) {
            self.answered = Some((round, header.0));
        }
        is_own
    }
}
