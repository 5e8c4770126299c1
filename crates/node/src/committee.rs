//! A member of the aggregation committee: opens the one sum of a round, never an update.

use std::collections::BTreeMap;

use histone_enclave::training::RoundTranscript;
use histone_federation::BoxError;
use histone_federation::committee::{Member, OpenedRounds};
use histone_federation::header::RoundHeader;
use histone_federation::update::{SEAL_INFO, Survivor, Survivors, Unsealer, blob_hash};
use histone_ledger::contracts::{Contract, Rounds};
use histone_protocol::seal::SealKey;
use histone_protocol::{B256, U256};
use zeroize::Zeroizing;

use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

const MEMORY: &str = "opened.json";

/// Round status on the ledger: closed with a fixed survivor set, its sum not yet opened.
const CLOSED: u8 = 2;

/// A committee member's node.
#[derive(Debug)]
pub struct CommitteeMember {
    /// Name, keys, directory.
    pub party: Party,
}

impl CommitteeMember {
    /// Opens this member's share of the sum over the survivors that the ledger fixed, and posts it. Gives its blob.
    pub async fn open(&mut self, header: &RoundHeader, world: &World) -> Result<B256, NodeError> {
        let f = header.fields();
        let (model_id, round) = (U256::from_be_bytes(f.model_id), f.round);
        let info =
            world.ledger.read(Contract::Rounds, Rounds::roundInfoCall { modelId: model_id, round }).await?;
        if info.status != CLOSED || info.headerHash.0 != header.hash() {
            return Err(NodeError::Message(format!("round {round} is not closed under this header")));
        }
        let survivors = survivors(model_id, round, world).await?;
        let blobs: Vec<Vec<u8>> =
            survivors.iter().map(|(_, blob)| world.blobs.get(*blob)).collect::<Result<_, _>>()?;
        let list = survivors.iter().zip(&blobs);
        let list = list.map(|((donor, _), blob)| Survivor { donor: *donor, blob: blob_hash(blob) });
        let set = Survivors::new(header, list.collect()).map_err(NodeError::round)?;
        let member =
            Member::by_address(header, &self.party.account().into_array()).map_err(NodeError::round)?;
        let views: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        let unsealer = HpkeUnsealer(self.party.seal.clone());
        let mut memory = Memory(&self.party);
        let partial =
            member.open_sum(header, &set, &views, &unsealer, &mut memory).map_err(NodeError::round)?;
        let partial = partial.encode();
        let hash = histone_protocol::hash::blob_hash(&partial);
        let call = Rounds::postPartialCall { modelId: model_id, round, partialHash: hash };
        world.ledger.send(&self.party.key, Contract::Rounds, call).await?;
        // Published only once the ledger knows of it: a sum that can be opened is then always on record. After a crash
        // in between, the same question gives the same bytes again.
        Ok(world.blobs.put(&partial)?)
    }
}

/// The survivors that the ledger fixed for a closed round, ascending, each with its anchored blob.
pub async fn survivors(model_id: U256, round: u32, world: &World) -> Result<Vec<(u16, B256)>, NodeError> {
    let fixed =
        world.ledger.read(Contract::Rounds, Rounds::survivorsCall { modelId: model_id, round }).await?;
    let anchored = world.ledger.events::<Rounds::UpdateAnchored>(Contract::Rounds).await?;
    let mut survivors: Vec<(u16, B256)> = anchored
        .iter()
        .filter(|a| a.modelId == model_id && a.round == round)
        .filter(|a| {
            let (word, bit) = (usize::from(a.donorIndex / 256), usize::from(a.donorIndex % 256));
            fixed.bitmap.get(word).is_some_and(|w| w.bit(bit))
        })
        .map(|a| (a.donorIndex, a.blobHash))
        .collect();
    survivors.sort_unstable();
    Ok(survivors)
}

/// Collects everything public about a round whose partial sums are posted.
pub async fn transcript(
    header: &RoundHeader,
    partials: &[B256],
    world: &World,
) -> Result<RoundTranscript, NodeError> {
    let f = header.fields();
    let survivors = survivors(U256::from_be_bytes(f.model_id), f.round, world).await?;
    Ok(RoundTranscript {
        header: header.clone(),
        survivors: survivors
            .into_iter()
            .map(|(donor, blob)| Ok((donor, world.blobs.get(blob)?)))
            .collect::<Result<_, NodeError>>()?,
        partials: partials.iter().map(|p| world.blobs.get(*p)).collect::<Result<_, _>>()?,
    })
}

struct HpkeUnsealer(SealKey);

impl Unsealer for HpkeUnsealer {
    fn unseal(&self, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        debug_assert_eq!(info, SEAL_INFO);
        Ok(Zeroizing::new(self.0.open(std::str::from_utf8(info)?, aad, sealed)?))
    }
}

/// What this member has opened, in its own directory: written and synced before a share is released.
struct Memory<'a>(&'a Party);

impl OpenedRounds for Memory<'_> {
    fn record(&mut self, id: [u8; 32], opening: [u8; 32]) -> Result<[u8; 32], BoxError> {
        let mut opened: BTreeMap<B256, B256> = match self.0.recall(MEMORY)? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => BTreeMap::new(),
        };
        if let Some(earlier) = opened.get(&B256::from(id)) {
            return Ok(earlier.0);
        }
        opened.insert(B256::from(id), B256::from(opening));
        self.0.keep(MEMORY, &serde_json::to_vec(&opened)?)?;
        Ok(opening)
    }
}
