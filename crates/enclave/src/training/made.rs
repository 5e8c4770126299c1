//! A model that was made, on its way to those who may have it.

use histone_attestation::{AppraisalPolicy, Expected, appraise};
use histone_contracts::{Contract, Datasets, LedgerView, Market, Members};
use histone_federation::sealed::ModelKey;
use histone_federation::training::Finished;
use histone_protocol::disclosure::Release;
use histone_protocol::hash::tagged_hash;
use histone_protocol::program::ProgramKind;
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};

use crate::cohort;
use crate::instance::{EnclaveError, Instance};
use crate::query;

/// HPKE `info` of a model's key on its way to a query enclave.
pub const MODEL_KEY_INFO: &str = "histone/model-key/v1";
/// HPKE `info` of a model's key on its way to a participant.
pub const PARTICIPANT_KEY_INFO: &str = "histone/participant-model-key/v1";

/// What a model's key is bound to on its way to a query enclave.
pub fn model_key_aad(model_id: u64, name: B256, taker: Address, evidence: B256) -> B256 {
    tagged_hash(
        MODEL_KEY_INFO,
        &[&model_id.to_le_bytes(), name.as_slice(), taker.as_slice(), evidence.as_slice()],
    )
}

/// What a model's key is bound to on its way to a participant.
pub fn participant_key_aad(model_id: u64, name: B256, account: Address) -> B256 {
    tagged_hash(PARTICIPANT_KEY_INFO, &[&model_id.to_le_bytes(), name.as_slice(), account.as_slice()])
}

/// A query enclave that asks for a model, as the ledger and public storage know it.
#[derive(Debug, Clone, Copy)]
pub struct QueryPeer<'a> {
    /// The account of its receipts.
    pub signer: Address,
    /// Its evidence.
    pub evidence: &'a [u8],
}

/// A finished training, and what it takes to hand the model on.
pub(super) struct Made<'a> {
    pub(super) instance: &'a Instance,
    pub(super) model_id: u64,
    /// The plan.
    pub(super) plan: B256,
    /// The query program of the plan.
    pub(super) query: B256,
    pub(super) release: Release,
    pub(super) finished: &'a Finished,
    /// What the market has to sell.
    pub(super) name: B256,
    /// Donors in the last sum.
    pub(super) donors: Vec<u16>,
}

impl Made<'_> {
    /// Hands the key of a sealed model to a query enclave: one that the paper believes, alive on this ledger, with the program
    /// that the plan names, started for this model. Gives what only that enclave can open.
    pub(super) async fn hand(
        &self,
        to: QueryPeer<'_>,
        policy: &AppraisalPolicy,
        ledger: &impl LedgerView,
    ) -> Result<Vec<u8>, EnclaveError> {
        let (key, name) = self.secret_model(ledger).await?;
        let facts = cohort::enclave(to.signer, ProgramKind::Query, ledger).await?;
        if !facts.live {
            return Err(EnclaveError::NotLive { taker: to.signer, model: self.model_id });
        }
        let expected = Expected {
            operator: facts.operator,
            keys: facts.keys,
            evidence_hash: facts.evidence_hash,
            measurement: self.query,
            init_data: query::init_data(ledger.deployment(), self.model_id, name, self.plan),
            platform: facts.platform,
        };
        let taker = |error| EnclaveError::Taker { taker: to.signer, model: self.model_id, error };
        let attested = appraise(to.evidence, &expected, policy, ledger.time().await?).map_err(taker)?;
        let aad = model_key_aad(self.model_id, name, to.signer, attested.evidence_hash());
        let secret = self.instance.secret();
        Ok(attested.keys().seal.seal(MODEL_KEY_INFO, aad.as_slice(), key.as_bytes(), secret)?)
    }

    /// Seals the key of a model that is for its participants to one of them: an owner of a dataset in the last sum, or the
    /// model's trainer.
    pub(super) async fn share(&self, to: Address, ledger: &impl LedgerView) -> Result<Vec<u8>, EnclaveError> {
        let (key, name) = self.secret_model(ledger).await?;
        if self.release != Release::Participants {
            return Err(EnclaveError::Request("the plan gives the model to query enclaves and nobody else"));
        }
        let sold = ledger.read(Contract::Market, Market::modelCall { modelId: U256::from(self.model_id) });
        let mut participants = vec![sold.await?.trainer];
        let about = Some(B256::from(U256::from(self.model_id)));
        let donated = ledger.logged::<Market::Donated>(Contract::Market, about).await?;
        for donated in donated.iter().filter(|d| self.donors.contains(&d.event.donorIndex)) {
            let id = donated.event.datasetId;
            participants.push(ledger.read(Contract::Datasets, Datasets::datasetCall { id }).await?.owner);
        }
        if !participants.contains(&to) {
            return Err(EnclaveError::Request(
                "it is no participant: neither in the last sum nor the trainer",
            ));
        }
        let member = ledger.read(Contract::Members, Members::memberCall { account: to }).await?;
        let aad = participant_key_aad(self.model_id, name, to);
        let secret = self.instance.secret();
        let seal = SealPublicKey(member.sealKey);
        Ok(seal.seal(PARTICIPANT_KEY_INFO, aad.as_slice(), key.as_bytes(), secret)?)
    }

    /// That the market has this model to sell.
    pub(super) async fn sold(&self, ledger: &impl LedgerView) -> Result<(), EnclaveError> {
        let call = Market::modelCall { modelId: U256::from(self.model_id) };
        let sold = ledger.read(Contract::Market, call).await?.modelHash;
        if sold != self.name {
            let sells = if sold.is_zero() { "nothing yet".into() } else { sold.to_string() };
            return Err(EnclaveError::NotBacked(format!(
                "this enclave has trained model {} to {}, the market sells {sells}",
                self.model_id, self.name
            )));
        }
        Ok(())
    }

    /// The key of the finished model, and its name, which the market must sell.
    async fn secret_model(&self, ledger: &impl LedgerView) -> Result<(&ModelKey, B256), EnclaveError> {
        let key = self.finished.key.as_ref().ok_or(EnclaveError::Request("the model is public"))?;
        self.sold(ledger).await?;
        Ok((key, self.name))
    }
}
