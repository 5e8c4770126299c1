//! What an owner does in a sealed training beside contributing: it lets its enclave open sums, and hands on what is released.
//!
//! Each step can be repeated at any time and gives the same bytes: the enclave derives everything from the ledger and from public
//! blobs, and what it says it says once.

use histone_contracts::Book;
use histone_enclave::training::{QueryPeer, RoundTranscript};
use histone_federation::header::RoundHeader;
use histone_protocol::agreement::StateStatement;
use histone_protocol::program::ProgramKind;
use histone_protocol::{Address, B256, U256};

use super::Owner;
use crate::committee::memory::Memory;
use crate::committee::{shown, shown_blob};
use crate::duties::{self, OwnerDone, OwnerDuty};
use crate::error::NodeError;
use crate::world::World;

/// What an owner tells another party when it has performed a duty.
#[derive(Debug, Clone)]
pub enum Tell {
    /// To the trainer: what the enclave says a round led to.
    State(StateStatement),
    /// To a runner: the key of a model, sealed to its query enclave.
    ModelKey {
        /// The query enclave.
        query: Address,
        /// What only that enclave opens.
        sealed: Vec<u8>,
    },
}

impl Owner {
    /// What this owner owes to do in the sealed model that it takes part in.
    pub async fn duties(&mut self, book: &Book, world: &World) -> Result<Vec<OwnerDuty>, NodeError> {
        let p = self.participation()?;
        let (model, enclave) = (p.model_id, p.enclave()?);
        let opened = enclave.observed();
        let own = enclave.instance().keys().receipt.into_array();
        let rounds = crate::plan::of_model(model, world).await?.agenda.iter().map(|s| s.rounds).sum();
        let released = self.party.recall(&released(model))?.is_some();
        let mut done = OwnerDone { opened, released, ..OwnerDone::default() };
        for (round, header) in duties::open_rounds(book, model).filter(|(round, _)| *round > opened) {
            // A header that nobody shows is in the way of whoever opens the sum, and said there.
            let Ok(header) = world.blobs.get(header) else { continue };
            let Ok(header) = RoundHeader::decode(&header) else { continue };
            if !header.fields().cohort.iter().any(|d| d.enclave == own) {
                done.absent.insert(round);
            }
        }
        Ok(duties::of_owner(book, model, rounds, &done))
    }

    /// Performs a duty, from what ledger and public storage have by now. Gives what is to be told to others.
    pub async fn perform(&mut self, duty: OwnerDuty, world: &World) -> Result<Option<Tell>, NodeError> {
        match duty {
            OwnerDuty::OpenSum { model, round } => {
                let transcript = shown(U256::from(model), round, world).await?;
                Ok(self.open_sum(&transcript, world).await?.map(Tell::State))
            }
            OwnerDuty::Release { .. } => self.release_model(world).map(|_| None),
            OwnerDuty::HandModel { query, .. } => {
                Ok(Some(Tell::ModelKey { query, sealed: self.hand_model(query, world).await? }))
            }
        }
    }

    /// Lets the enclave open the sum of a sealed round and go on. Gives what it says that led to, for the trainer; nothing when its
    /// numbers are not in the sum. What was said once is said again in the same bytes.
    pub async fn open_sum(
        &mut self,
        transcript: &RoundTranscript,
        world: &World,
    ) -> Result<Option<StateStatement>, NodeError> {
        let Some(p) = &mut self.participation else {
            return Err(NodeError::Message(format!("`{}` takes part in no model", self.party.name)));
        };
        let mut memory = Memory(&self.party);
        let said = p.enclave()?.open_sum(transcript, &mut memory, &world.ledger).await?;
        said.map(|said| self.said_first(&transcript.header, said)).transpose()
    }

    /// Publishes what the enclave releases of the finished training: the document and the model, as the plan lets it go. Gives
    /// their blobs.
    pub fn release_model(&mut self, world: &World) -> Result<(B256, B256), NodeError> {
        let p = self.participation()?;
        let (id, (document, model)) = (p.model_id, p.enclave()?.release()?);
        let blobs = (world.blobs.put(&document)?, world.blobs.put(&model)?);
        self.party.keep(&released(id), blobs.0.as_slice())?;
        Ok(blobs)
    }

    /// Has the enclave hand the key of a sealed model to a query enclave that the paper believes. Gives what only that one opens.
    pub async fn hand_model(&mut self, query: Address, world: &World) -> Result<Vec<u8>, NodeError> {
        let facts = histone_enclave::cohort::enclave(query, ProgramKind::Query, &world.ledger).await?;
        // The training enclave refuses who is not live, whatever its evidence.
        let evidence = match facts.live {
            true => {
                shown_blob(facts.evidence_hash, world, || format!("the evidence of the enclave {query}"))?
            }
            false => Vec::new(),
        };
        let p = self.participation()?;
        let policy = world.cohort_policy(p.model_id).await?.appraisal;
        let peer = QueryPeer { signer: query, evidence: &evidence };
        Ok(p.enclave()?.hand_model(peer, &policy, &world.ledger).await?)
    }

    /// Has the enclave seal the key of a model for participants to one of them.
    pub async fn share_model(&mut self, to: Address, world: &World) -> Result<Vec<u8>, NodeError> {
        Ok(self.participation()?.enclave()?.share_model(to, &world.ledger).await?)
    }
}

/// The mark of what was published of a model.
fn released(model: u64) -> String {
    format!("released-{model}")
}
