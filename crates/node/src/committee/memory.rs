//! What a member has opened, and what it has promised to open: a computation is summed for a dataset once.

use std::collections::BTreeMap;

use histone_contracts::{Contract, Market, Rounds, model_state, round_status};
use histone_federation::BoxError;
use histone_federation::committee::{CommitteeError, OpenedRounds, Opening, Prepared, Published};
use histone_protocol::{B256, U256};
use serde::{Deserialize, Serialize};

use crate::error::NodeError;
use crate::party::Party;
use crate::world::World;

const OPENED: &str = "opened.json";
const PROMISED: &str = "promised.json";

/// What this member has opened, in its own directory: written and synced before a share is released. What an owner's enclaves
/// have seen summed is kept the same way.
pub(crate) struct Memory<'a>(pub(crate) &'a Party);

type Opened = BTreeMap<B256, B256>;

/// A lock that was posted, or is about to be: whoever locks two sums of which it shows only one makes the other one's trainer
/// pay for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Promise {
    model: u64,
    round: u32,
    attempt: u16,
    openings: Vec<(B256, B256)>,
}

impl Memory<'_> {
    /// Keeps the promise to open this sum, unless it contradicts what was opened or promised before. A promise ends with
    /// its attempt, and with the committee's time or the training, unless a quorum has made the same.
    pub(super) async fn reserve<P: Published>(
        &self,
        prepared: &Prepared<P>,
        (model, round, attempt): (u64, u32, u16),
        world: &World,
    ) -> Result<(), NodeError> {
        prepared.check(self).map_err(NodeError::round)?;
        let pairs = |(id, content): &Opening| (B256::from(*id), B256::from(*content));
        let own =
            Promise { model, round, attempt, openings: prepared.openings().iter().map(pairs).collect() };
        let mut ended = Vec::new();
        for promise in self.promised().map_err(unreadable)? {
            // The round is asked for last: what has ended before it is looked at can be opened no more, and a quorum that was
            // there by then shows.
            let time = world.ledger.time().await?;
            let standing = Market::standingCall { modelId: U256::from(promise.model) };
            let given_up =
                world.ledger.read(Contract::Market, standing).await?.state != model_state::TRAINING;
            let call = Rounds::roundInfoCall { modelId: U256::from(promise.model), round: promise.round };
            let info = world.ledger.read(Contract::Rounds, call).await?;
            let other = info.attempt != promise.attempt;
            let over = info.status != round_status::CLOSED || time > info.openBy;
            if other || (!info.opened && (over || given_up)) {
                ended.push(promise);
            }
        }
        let mut contradicts = false;
        // One step: two processes with this member's key never make promises that contradict each other.
        self.0
            .amend(PROMISED, |old| {
                let mut promised = read(old.as_deref())?;
                promised.retain(|p| !ended.contains(p));
                let mut all = promised.iter().flat_map(|p| &p.openings);
                contradicts =
                    all.any(|(id, content)| own.openings.iter().any(|(i, c)| i == id && c != content));
                if contradicts {
                    return Ok(None);
                }
                if !promised.contains(&own) {
                    promised.push(own.clone());
                }
                Ok::<_, BoxError>(Some(serde_json::to_vec(&promised)?))
            })
            .map_err(unreadable)?;
        match contradicts {
            true => Err(NodeError::round(CommitteeError::AlreadyOpened)),
            false => Ok(()),
        }
    }

    fn promised(&self) -> Result<Vec<Promise>, BoxError> {
        read(self.0.recall(PROMISED)?.as_deref())
    }
}

fn read(bytes: Option<&[u8]>) -> Result<Vec<Promise>, BoxError> {
    match bytes {
        Some(bytes) => Ok(serde_json::from_slice(bytes)?),
        None => Ok(Vec::new()),
    }
}

fn unreadable(error: BoxError) -> NodeError {
    NodeError::round(CommitteeError::Memory(error))
}

impl OpenedRounds for Memory<'_> {
    fn forbids(&self, openings: &[Opening]) -> Result<bool, BoxError> {
        let opened: Opened = match self.0.recall(OPENED)? {
            Some(bytes) => serde_json::from_slice(&bytes)?,
            None => Opened::new(),
        };
        let other = |(id, content): &Opening| opened.get(&B256::from(*id)).is_some_and(|e| e.0 != *content);
        Ok(openings.iter().any(other))
    }

    fn record(&mut self, openings: &[Opening]) -> Result<bool, BoxError> {
        let mut recorded = true;
        // One step: two processes with this member's key never both find the round unopened.
        self.0.amend(OPENED, |old| {
            let mut opened: Opened = match old {
                Some(bytes) => serde_json::from_slice(&bytes)?,
                None => Opened::new(),
            };
            for (id, content) in openings {
                let earlier = opened.insert(B256::from(*id), B256::from(*content));
                if earlier.is_some_and(|earlier| earlier.0 != *content) {
                    recorded = false;
                    return Ok(None);
                }
            }
            Ok::<_, BoxError>(Some(serde_json::to_vec(&opened)?))
        })?;
        Ok(recorded)
    }
}
