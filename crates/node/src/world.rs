//! What every party can reach: the ledger, public storage, and the rule by which owners believe in enclaves.

use histone_attestation::AppraisalPolicy;
use histone_enclave::instance::Instance;
use histone_ledger::Ledger;
use histone_ledger::contracts::{Contract, Enclaves};
use histone_network::BlobStore;
use histone_protocol::keys::SigningKey;

use crate::error::NodeError;

/// Oldest evidence that owners accept, and how long an enclave stays registered: 7 days, in seconds.
pub const EVIDENCE_MAX_AGE: u64 = 7 * 24 * 3_600;

/// What every party can reach: the ledger and public storage, and by which rule it believes in enclaves.
#[derive(Debug, Clone)]
pub struct World {
    /// The contracts.
    pub ledger: Ledger,
    /// Public storage.
    pub blobs: BlobStore,
    /// The owners' appraisal policy.
    pub appraisal: AppraisalPolicy,
}

impl World {
    /// Publishes an enclave's evidence and registers it under its operator.
    pub async fn register_enclave(
        &self,
        instance: &Instance,
        operator: &SigningKey,
    ) -> Result<(), NodeError> {
        self.blobs.put(instance.evidence())?;
        let expires_at = self.ledger.time().await? + EVIDENCE_MAX_AGE;
        let (registration, signature) = instance.registration(self.ledger.deployment(), expires_at);
        let call = Enclaves::registerCall {
            e: Enclaves::Enclave {
                signer: instance.keys().receipt,
                sealKey: registration.sealKey,
                measurement: registration.measurement,
                platform: registration.platform,
                evidenceHash: registration.evidenceHash,
                expiresAt: registration.expiresAt,
            },
            signature: signature.as_slice().to_vec().into(),
        };
        self.ledger.send(operator, Contract::Enclaves, call).await?;
        Ok(())
    }
}
