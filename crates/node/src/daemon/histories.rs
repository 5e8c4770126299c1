//! Two histories of one ledger: who notices that there are two, and who is believed.
//!
//! Each letter names the newest block that its author has executed. A member that names another one than the own copy has is said in
//! the log, and its letters are not read; that stops nobody, since a name alone is anybody's invention. Both then show each other blocks
//! with their sequencer's signatures, in the middle between the newest one that both have and the oldest that differs, until they are at
//! the first one that differs. Two blocks that follow from one and the same and are both signed are the proof: whoever has it keeps it,
//! tells it to all members, and stops. One honest member is enough for that, and no number of liars.

use std::collections::BTreeSet;

use histone_chain::{Fork, SignedHeader};
use histone_ledger::FollowError;
use histone_protocol::letter::VerifiedHead;
use histone_protocol::{Address, B256};
use serde::{Deserialize, Serialize};

use super::mail::Body;
use super::{FOUNDER, Node};
use crate::error::NodeError;
use crate::store::Level;

/// Where it is kept that there are two histories.
const TWO_HISTORIES: &str = "two-histories";
/// Blocks that are shown to one member, at the most: as many as a chain of any length needs, and some more.
const MOST_SHOWN: u32 = 100;

/// Two histories, and how it came out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    fork: Fork,
    /// Who has shown the other one; nobody where the sequencer itself has.
    by: Option<Address>,
}

impl Node {
    /// Compares the newest block that a member has verified with the own chain. `false` when the letter is by somebody with another
    /// history: it is said once, and the member is shown what the own one is.
    pub(super) async fn compare_histories(
        &self,
        from: Address,
        theirs: VerifiedHead,
        now: u64,
    ) -> Result<bool, NodeError> {
        let connection = self.world.ledger.connection();
        if theirs.number > connection.head().await?.block {
            // Nothing is known here of what comes later; whoever wrote is compared again with its next letter.
            return Ok(true);
        }
        let ours = connection.head_at(theirs.number).await?;
        if ours.hash == theirs.hash {
            return Ok(true);
        }
        let said = format!("said/{from:x}");
        if !self.marked(&said)? {
            self.mark(&said)?;
            let error =
                NodeError::OtherBlock { number: theirs.number, ours: ours.hash, theirs: theirs.hash, from };
            self.store.note(now, Level::Error, "ledger", &error.to_string())?;
        }
        self.show(from, 0, theirs.number, now).await?;
        Ok(false)
    }

    /// Looks at a block that a member shows, which says that `same` is the newest one that it has as this node does and `differs` the
    /// oldest other one.
    pub(super) async fn look_at_block(
        &self,
        from: Address,
        (same, differs): (u64, u64),
        theirs: &SignedHeader,
        now: u64,
    ) -> Result<(), NodeError> {
        let refuse = |what: &str| Err(NodeError::Message(format!("{from} {what}")));
        let connection = self.world.ledger.connection();
        let head = connection.head().await?.block;
        if differs > head {
            // Not known here yet.
            return Ok(());
        }
        let sequencer = self.sequencer().await?;
        let Some(header) = theirs.open(sequencer) else {
            return refuse("shows a block that the ledger's sequencer has not signed");
        };
        if header.number <= same || header.number > differs {
            return refuse("shows a block that nobody has asked for");
        }
        let (ours, own) = connection.signed_header(header.number).await?;
        if own.hash_slow() == header.hash_slow() {
            // Where that is the last one there is no difference.
            return self.show(from, header.number, differs, now).await;
        }
        let fork = Fork { one: ours, other: theirs.clone() };
        match fork.open(sequencer) {
            Some(_) => self.keep_fork(fork, Some(from), now).await,
            None => self.show(from, same, header.number, now).await,
        }
    }

    /// Looks at two histories of which a member has the proof. `false` as long as this node is too far behind to compare it.
    pub(super) async fn look_at_fork(&self, from: Address, fork: &Fork, now: u64) -> Result<bool, NodeError> {
        let Some(point) = fork.open(self.sequencer().await?) else {
            return Err(NodeError::Message(format!(
                "{from} writes of two histories of the ledger, and its sequencer has not signed both"
            )));
        };
        let connection = self.world.ledger.connection();
        let before = point.number.saturating_sub(1);
        if before > connection.head().await?.block {
            return Ok(false);
        }
        if connection.head_at(before).await?.hash != point.parent {
            return Err(NodeError::Message(format!(
                "{from} writes of two histories of another ledger than this one"
            )));
        }
        self.keep_fork(fork.clone(), Some(from), now).await?;
        Ok(true)
    }

    /// What it means for this node that the ledger cannot be followed. Two histories are kept and told to the others.
    pub async fn cannot_follow(&self, error: FollowError, now: u64) -> NodeError {
        let FollowError::Fork { proof, .. } = error else { return error.into() };
        let told = async {
            self.keep_fork(*proof, None, now).await?;
            self.has_one_history(now).await
        };
        match told.await {
            Err(error) => error,
            Ok(()) => NodeError::Message("there are two histories of the ledger".into()),
        }
    }

    /// Fails when there are two histories, for good. The others are told as long as this is asked.
    pub(super) async fn has_one_history(&self, now: u64) -> Result<(), NodeError> {
        let Some(kept) = self.store.get(TWO_HISTORIES)? else { return Ok(()) };
        let kept: Kept = serde_json::from_slice(&kept).map_err(|e| NodeError::Message(e.to_string()))?;
        // Also by whoever was told: it may be the only one, and who has told it may tell nobody else.
        let book = self.world.ledger.current_book().await?;
        let mut all: BTreeSet<_> = book.members.iter().filter(|m| m.member).map(|m| m.account).collect();
        all.extend(self.store.get(FOUNDER)?.and_then(|founder| Address::try_from(&*founder).ok()));
        all.remove(&self.party.account());
        for account in all {
            let body = Body::Histories { fork: kept.fork.clone() };
            // Who cannot be reached hears it from others.
            let _ = self.write(account, TWO_HISTORIES, &body, now).await;
        }
        // Where the network is away it is tried with the next start.
        let _ = self.post(now);
        let point = kept.fork.open(self.sequencer().await?);
        let (number, [one, other]) = point.map_or((0, [B256::ZERO; 2]), |p| (p.number, p.hashes));
        Err(NodeError::TwoHistories { number, one, other, by: kept.by })
    }

    async fn keep_fork(&self, fork: Fork, by: Option<Address>, now: u64) -> Result<(), NodeError> {
        if self.marked(TWO_HISTORIES)? {
            return Ok(());
        }
        let kept = serde_json::to_vec(&Kept { fork, by });
        self.store.put(TWO_HISTORIES, &kept.map_err(|e| NodeError::Message(e.to_string()))?)?;
        if let Err(error) = self.has_one_history(now).await {
            self.store.note(now, Level::Error, "ledger", &error.to_string())?;
        }
        Ok(())
    }

    /// Shows a member the own block in the middle between the last one that both have and the first that differs.
    async fn show(&self, to: Address, same: u64, differs: u64, now: u64) -> Result<(), NodeError> {
        let shown = self.shown_to(to)?;
        if same >= differs || shown >= MOST_SHOWN {
            return Ok(());
        }
        let number = (same + (differs - same) / 2).max(same + 1);
        let (block, _) = self.world.ledger.connection().signed_header(number).await?;
        if self.write(to, &format!("block/{number}"), &Body::Block { same, differs, block }, now).await? {
            self.store.put(&shown_key(to), &shown.saturating_add(1).to_le_bytes())?;
        }
        Ok(())
    }

    /// How many blocks a member was shown.
    fn shown_to(&self, member: Address) -> Result<u32, NodeError> {
        let kept = self.store.get(&shown_key(member))?;
        Ok(kept.and_then(|kept| Some(u32::from_le_bytes(kept.try_into().ok()?))).unwrap_or(0))
    }

    /// Who signs the blocks: it is named by each of them, which was compared when it was executed.
    async fn sequencer(&self) -> Result<Address, NodeError> {
        let (_, header) = self.world.ledger.connection().signed_header(0).await?;
        Ok(header.beneficiary)
    }
}

fn shown_key(member: Address) -> String {
    format!("shown/{member:x}")
}
