//! A training that nobody would open, known before its first round is asked for: members sum a computation for a dataset once, and the
//! same one over other datasets, or over other versions of them, never.

use std::collections::BTreeMap;

use histone_contracts::book::Book;
use histone_federation::committee::summed;
use histone_federation::header::{RoundHeader, Seat};
use histone_protocol::{B256, U256};

use crate::committee::{set, survivors};
use crate::daemon::owner::header;
use crate::daemon::{Node, duties};
use crate::error::NodeError;

/// The model for which members have opened the same computation over some of these datasets and not over all of them. So many of
/// these members are in the committee of the next round that the others are too few to open it.
pub(super) async fn clash(
    next: &RoundHeader,
    model: u64,
    book: &Book,
    node: &Node,
) -> Result<Option<u64>, NodeError> {
    let all: Vec<(u16, B256)> = next.fields().cohort.iter().map(|donor| (donor.index, B256::ZERO)).collect();
    let own: BTreeMap<_, _> = summed(next.computation_id(), next, &set(next, &all)?).into_iter().collect();
    let committee = next.committee();
    for round in book.rounds.iter().filter(|round| round.model != model && duties::is_open(round)) {
        // Whoever did not take part in it has nothing to refuse.
        let refuse = |seat: &&Seat| round.partials.iter().any(|p| p.member.0.0 == seat.address);
        let refusing = next.fields().committee.iter().filter(refuse).count();
        if next.fields().committee.len() - refusing >= usize::from(committee.quorum()) {
            continue;
        }
        // What nobody shows says nothing.
        let Ok(earlier) = header(round.model, round.round, node).await else { continue };
        if earlier.computation_id() != next.computation_id() {
            continue;
        }
        let survivors = survivors(U256::from(round.model), round.round, &node.world).await?;
        let Ok(survivors) = set(&earlier, &survivors) else { continue };
        let openings = summed(earlier.computation_id(), &earlier, &survivors);
        if openings.iter().any(|(id, content)| own.get(id).is_some_and(|own| own != content)) {
            return Ok(Some(round.model));
        }
    }
    Ok(None)
}
