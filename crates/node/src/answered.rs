//! What an owner's enclaves have answered for.

use std::collections::{BTreeMap, BTreeSet};

use histone_contracts::{Contract, Market, Rounds, model_state};
use histone_enclave::training::AnsweredVersions;
use histone_federation::BoxError;
use histone_protocol::{B256, U256};

use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

/// Which versions of which datasets this owner's enclaves have answered for, in which models, in its own directory: written
/// and synced before an update leaves.
#[derive(Debug)]
pub struct Answered<'a> {
    party: &'a Party,
    /// Models have numbers of their own in each market of each chain.
    market: String,
}

/// Models by version, by dataset.
type Versions = BTreeMap<B256, BTreeMap<B256, BTreeSet<String>>>;

const FILE: &str = "answered-for.json";

impl<'a> Answered<'a> {
    /// The memory of this owner, for use on this ledger.
    pub fn of(party: &'a Party, world: &World) -> Self {
        let d = world.ledger.deployment();
        Self { party, market: format!("{}/{}/", d.chain_id, d.market) }
    }

    /// Forgets models that were given up before a sum was open: nobody has seen anything of them, and a trainer who gives up
    /// would otherwise bind an owner to its plan for ever, for nothing.
    pub async fn forget_unopened(&self, lineage: B256, world: &World) -> Result<(), NodeError> {
        let answered = self.versions()?;
        let models = answered.get(&lineage).into_iter().flat_map(|versions| versions.values().flatten());
        let mut over = BTreeSet::new();
        for key in models {
            // Of another ledger nothing is known here, and nothing is forgotten.
            let Some(Ok(model)) = key.strip_prefix(&self.market).map(str::parse::<u64>) else { continue };
            let model_id = U256::from(model);
            let standing = Market::standingCall { modelId: model_id };
            let state = world.ledger.read(Contract::Market, standing).await?.state;
            let progress = Rounds::progressCall { modelId: model_id };
            if state == model_state::ABORTED
                && world.ledger.read(Contract::Rounds, progress).await?.opened == 0
            {
                over.insert(key.clone());
            }
        }
        if over.is_empty() {
            return Ok(());
        }
        let amended = self.party.amend(FILE, |old| {
            let mut answered = decode(old)?;
            if let Some(versions) = answered.get_mut(&lineage) {
                versions.values_mut().for_each(|models| models.retain(|model| !over.contains(model)));
                versions.retain(|_, models| !models.is_empty());
            }
            Ok::<_, BoxError>(Some(serde_json::to_vec(&answered)?))
        });
        amended.map_err(damaged)
    }

    /// Whether a version would be answered for now.
    pub fn has_room(&self, lineage: B256, version: B256, allowed: u32) -> Result<bool, NodeError> {
        let answered = self.versions()?;
        let versions = answered.get(&lineage);
        Ok(versions.is_none_or(|v| v.contains_key(&version) || v.len() < allowed as usize))
    }

    /// How many other models have had an answer for this dataset, in whichever version.
    pub fn other_models(&self, lineage: B256, model_id: u64) -> Result<usize, NodeError> {
        let (answered, own) = (self.versions()?, format!("{}{model_id}", self.market));
        let models = answered.get(&lineage).into_iter().flat_map(|versions| versions.values().flatten());
        Ok(models.filter(|model| **model != own).collect::<BTreeSet<_>>().len())
    }

    fn versions(&self) -> Result<Versions, NodeError> {
        decode(self.party.recall(FILE)?).map_err(damaged)
    }
}

fn decode(bytes: Option<Vec<u8>>) -> Result<Versions, BoxError> {
    Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose()?.unwrap_or_default())
}

fn damaged(error: BoxError) -> NodeError {
    NodeError::Message(format!("`{FILE}`, which keeps what was answered for, cannot be used: {error}"))
}

impl AnsweredVersions for Answered<'_> {
    fn record(
        &mut self,
        lineage: B256,
        version: B256,
        model_id: u64,
        allowed: u32,
    ) -> Result<bool, BoxError> {
        let mut recorded = true;
        let key = format!("{}{model_id}", self.market);
        // One step: two processes of one owner never both find room for their version.
        self.party.amend(FILE, |old| {
            let mut answered = decode(old)?;
            let versions = answered.entry(lineage).or_default();
            if !versions.contains_key(&version) && versions.len() >= allowed as usize {
                recorded = false;
                return Ok(None);
            }
            if !versions.entry(version).or_default().insert(key) {
                return Ok(None);
            }
            Ok::<_, BoxError>(Some(serde_json::to_vec(&answered)?))
        })?;
        Ok(recorded)
    }
}
