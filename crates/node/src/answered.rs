//! What an owner's enclaves have answered for.

use std::collections::{BTreeMap, BTreeSet};

use histone_enclave::training::AnsweredVersions;
use histone_federation::BoxError;
use histone_protocol::B256;

use crate::error::NodeError;
use crate::party::Party;

/// Which versions of which datasets this owner's enclaves have answered for, in its own directory: written and synced
/// before an update leaves.
#[derive(Debug)]
pub struct Answered<'a>(&'a Party);

/// Versions by dataset.
type Versions = BTreeMap<B256, BTreeSet<B256>>;

impl<'a> Answered<'a> {
    /// The memory of this owner.
    pub fn of(party: &'a Party) -> Self {
        Self(party)
    }

    const FILE: &'static str = "answered.json";

    fn read(bytes: Option<Vec<u8>>) -> Result<Versions, BoxError> {
        Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose()?.unwrap_or_default())
    }

    /// Whether a version would be answered for now.
    pub fn has_room(&self, lineage: B256, version: B256, allowed: u32) -> Result<bool, NodeError> {
        let answered = Self::read(self.0.recall(Self::FILE)?)
            .map_err(|e| NodeError::Message(format!("`{}` is damaged: {e}", Self::FILE)))?;
        let versions = answered.get(&lineage);
        Ok(versions.is_none_or(|v| v.contains(&version) || v.len() < allowed as usize))
    }
}

impl AnsweredVersions for Answered<'_> {
    fn record(&mut self, lineage: B256, version: B256, allowed: u32) -> Result<bool, BoxError> {
        let mut recorded = true;
        // One step: two processes of one owner never both find room for their version.
        self.0.amend(Self::FILE, |old| {
            let mut answered = Self::read(old)?;
            let versions = answered.entry(lineage).or_default();
            if versions.contains(&version) {
                return Ok(None);
            }
            if versions.len() >= allowed as usize {
                recorded = false;
                return Ok(None);
            }
            versions.insert(version);
            Ok::<_, BoxError>(Some(serde_json::to_vec(&answered)?))
        })?;
        Ok(recorded)
    }
}
