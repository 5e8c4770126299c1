//! A round whose sum only enclaves see, and what becomes of the model.
//!
//! Each enclave of the round opens the sum by the keys that members have wrapped to it, goes on by itself, and signs the names of
//! what follows. Nothing else leaves before the training ends. Then one document says what is released, and the model goes where
//! the plan says: to everybody, to the participants, or to query enclaves alone.

use histone_attestation::{AppraisalPolicy, Expected, appraise};
use histone_contracts::{Contract, Datasets, LedgerView, Market, Members};
use histone_federation::committee::{OpenedRounds, summed};
use histone_federation::header::computation_id;
use histone_federation::sealed::ModelKey;
use histone_federation::training::Names;
use histone_protocol::agreement::{SealedRound, StateStatement};
use histone_protocol::disclosure::Release;
use histone_protocol::hash::tagged_hash;
use histone_protocol::program::ProgramKind;
use histone_protocol::seal::SealPublicKey;
use histone_protocol::{Address, B256, U256};

use super::{RoundTranscript, Said, TrainingEnclave, check_partials};
use crate::cohort;
use crate::instance::EnclaveError;
use crate::query;
use crate::release::{names, released};

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

impl TrainingEnclave {
    /// Opens the sum of a sealed round, goes on to what follows, and signs the names of it; nothing is signed by an enclave
    /// whose donor is not in the sum. The same round again gives the same statement. `memory` is the owner's: what was summed
    /// for a dataset once is not summed with other datasets, or in other versions, for whichever model.
    pub async fn open_sum(
        &mut self,
        transcript: &RoundTranscript,
        memory: &mut dyn OpenedRounds,
        ledger: &impl LedgerView,
    ) -> Result<Option<StateStatement>, EnclaveError> {
        let header = &transcript.header;
        let round = header.fields().round;
        if let Some(said) = self.said.as_ref().filter(|s| s.round == round && s.header == header.hash()) {
            return Ok(said.statement.clone());
        }
        let training = self.follows(transcript)?;
        let info = self.check_transcript(transcript, ledger).await?;
        if !info.opened {
            return Err(EnclaveError::Round("no quorum of its committee has locked it".into()));
        }
        check_partials(transcript, ledger).await?;
        let own = self.instance.keys().receipt;
        let told =
            |e: &(dyn std::error::Error + 'static)| EnclaveError::Round(histone_protocol::with_causes(e));
        let opened = transcript.open_as(&own.into_array(), self.instance.seal_key());
        let (aggregate, key, wrong) = opened.map_err(|e| told(&*e))?;
        let survivors = transcript.survivors().map_err(|e| told(&*e))?;
        if let Some(ask) = training.ask() {
            let computation = computation_id(&training.plan().method, ask);
            let recorded = memory.record(&summed(computation, header, &survivors));
            if !recorded.map_err(EnclaveError::Memory)? {
                return Err(EnclaveError::OtherSum);
            }
        }
        let step = training.advance_sealed(&survivors.donors(), aggregate.values(), key)?;
        let donor = self.own_donor(transcript);
        let Names { state, next } = names(&step, self.method.manifest());
        self.went(step, round, donor);
        self.last_donors = survivors.donors();
        let of = SealedRound {
            chain_id: ledger.deployment().chain_id,
            rounds: ledger.deployment().rounds,
            model_id: self.model_id,
            round,
            header: B256::from(header.hash()),
            survivors: B256::from(survivors.hash()),
        };
        let names = (B256::from(state), B256::from(next));
        let key = self.instance.receipt_key();
        let statement = donor.map(|donor| StateStatement::sign(&of, donor, names, wrong, key));
        self.said = Some(Said { round, header: header.hash(), statement: statement.clone() });
        Ok(statement)
    }

    /// What is released at the end: the document, and the model as the plan lets it go. Every enclave that followed the training
    /// gives the same bytes, so that nothing is lost with one of them.
    pub fn release(&self) -> Result<(Vec<u8>, Vec<u8>), EnclaveError> {
        let (finished, _) = self.finished()?;
        let (document, model) = released(finished, self.method.manifest());
        Ok((document.to_bytes(), model))
    }

    /// Hands the key of a sealed model to a query enclave: one that the paper believes, alive on this ledger, with the program
    /// that the plan names, started for this model. Gives what only that enclave can open.
    pub async fn hand_model(
        &self,
        to: QueryPeer<'_>,
        policy: &AppraisalPolicy,
        ledger: &impl LedgerView,
    ) -> Result<Vec<u8>, EnclaveError> {
        let (key, name) = self.secret_model(ledger).await?;
        let facts = cohort::enclave(to.signer, ProgramKind::Query, ledger).await?;
        if !facts.live {
            return Err(EnclaveError::Request("it is no live query enclave of this ledger"));
        }
        let expected = Expected {
            operator: facts.operator,
            keys: facts.keys,
            evidence_hash: facts.evidence_hash,
            measurement: self.plan_programs.query,
            init_data: query::init_data(ledger.deployment(), self.model_id, name, self.plan),
            platform: facts.platform,
        };
        let attested =
            appraise(to.evidence, &expected, policy, ledger.time().await?).map_err(EnclaveError::Peer)?;
        let aad = model_key_aad(self.model_id, name, to.signer, attested.evidence_hash());
        let secret = self.instance.secret();
        Ok(attested.keys().seal.seal(MODEL_KEY_INFO, aad.as_slice(), key.as_bytes(), secret)?)
    }

    /// Seals the key of a model that is for its participants to one of them: an owner of a dataset in the last sum, or the
    /// model's trainer.
    pub async fn share_model(&self, to: Address, ledger: &impl LedgerView) -> Result<Vec<u8>, EnclaveError> {
        let (key, name) = self.secret_model(ledger).await?;
        if self.model_release != Release::Participants {
            return Err(EnclaveError::Request("the plan gives the model to query enclaves and nobody else"));
        }
        let sold = ledger.read(Contract::Market, Market::modelCall { modelId: U256::from(self.model_id) });
        let mut participants = vec![sold.await?.trainer];
        let about = Some(B256::from(U256::from(self.model_id)));
        let donated = ledger.logged::<Market::Donated>(Contract::Market, about).await?;
        for donated in donated.iter().filter(|d| self.last_donors.contains(&d.event.donorIndex)) {
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

    /// The key of the finished model, and its name, which the market must sell.
    async fn secret_model(&self, ledger: &impl LedgerView) -> Result<(&ModelKey, B256), EnclaveError> {
        let (finished, name) = self.finished()?;
        let key = finished.key.as_ref().ok_or(EnclaveError::Request("the model is public"))?;
        let sold = ledger.read(Contract::Market, Market::modelCall { modelId: U256::from(self.model_id) });
        if sold.await?.modelHash != name {
            return Err(EnclaveError::NotBacked("the market sells another model, or none yet".into()));
        }
        Ok((key, name))
    }
}
