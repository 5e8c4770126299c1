//! The panel of a dataset's genotypes: the text that their column names by its hash.

use histone_genome::table::Kind;
use histone_protocol::B256;
use histone_protocol::hash::blob_hash;

use super::Owner;
use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

fn file(panel: B256) -> String {
    format!("panel-{panel:x}")
}

/// Keeps the text of a panel beside the tables that have genotypes at its variants.
pub fn keep_panel(party: &Party, text: &str) -> Result<(), NodeError> {
    party.keep(&file(blob_hash(text.as_bytes())), text.as_bytes())?;
    Ok(())
}

impl Owner {
    /// Publishes the panel of the genotypes, where there are any: whoever validates them looks at which variants they are.
    pub(super) fn publish_panel(&self, world: &World) -> Result<(), NodeError> {
        for column in &self.table.schema.columns {
            let Kind::Genotypes { panel, .. } = column.kind else { continue };
            if let Some(text) = self.party.recall(&file(panel.into()))? {
                world.blobs.put(&text)?;
            }
        }
        Ok(())
    }
}
