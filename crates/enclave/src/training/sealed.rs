//! A round whose sum only enclaves see, and what becomes of the model.
//!
//! Each enclave of the round opens the sum by the keys that members have wrapped to it, goes on by itself, and signs the names of
//! what follows. Nothing else leaves before the training ends. Then one document says what is released, and the model goes where
//! the plan says: to everybody, to the participants, or to query enclaves alone.

use histone_attestation::AppraisalPolicy;
use histone_contracts::LedgerView;
use histone_federation::committee::{OpenedRounds, summed};
use histone_federation::training::Names;
use histone_protocol::agreement::{SealedRound, StateStatement};
use histone_protocol::{Address, B256};

use super::{QueryPeer, RoundTranscript, Said, TrainingEnclave, check_partials};
use crate::instance::EnclaveError;
use crate::release::{names, released};

impl TrainingEnclave {
    /// Opens the sum of a sealed round, goes on to what follows, and signs the names of it; nothing is signed by an enclave
    /// whose donor is not in the sum. The same round again gives the same statement. `memory` is the owner's: a first question that was
    /// summed for a dataset once is not summed with other datasets, or in other versions, for whichever model.
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
        let own = self.instance.keys().receipt;
        if !header.fields().cohort.iter().any(|d| d.enclave == own.into_array()) {
            return Err(EnclaveError::Absent { enclave: own, model: self.model_id, round });
        }
        let training = self.follows(transcript)?;
        let info = self.check_transcript(transcript, ledger).await?;
        if !info.opened {
            return Err(EnclaveError::Round("no quorum of its committee has locked it".into()));
        }
        check_partials(transcript, ledger).await?;
        let told =
            |e: &(dyn std::error::Error + 'static)| EnclaveError::Round(histone_protocol::with_causes(e));
        let opened = transcript.open_as(&own.into_array(), self.instance.seal_key());
        let (aggregate, key, wrong) = opened.map_err(|e| told(&*e))?;
        let survivors = transcript.survivors().map_err(|e| told(&*e))?;
        // Of the first question, which follows from the plan. What is asked later is not for the owner, whose memory it is, nor
        // whether anything is.
        if training.rounds() == 0 {
            let recorded = memory.record(&summed(header.computation_id(), header, &survivors));
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
        self.made()?.hand(to, policy, ledger).await
    }

    /// Seals the key of a model that is for its participants to one of them: an owner of a dataset in the last sum, or the
    /// model's trainer.
    pub async fn share_model(&self, to: Address, ledger: &impl LedgerView) -> Result<Vec<u8>, EnclaveError> {
        self.made()?.share(to, ledger).await
    }
}
