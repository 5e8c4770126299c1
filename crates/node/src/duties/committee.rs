//! What a committee member owes.

use histone_contracts::book::{Book, ModelState, RoundState};
use histone_protocol::Address;

/// Something that a member owes to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberDuty {
    /// Show that it holds its seal key.
    ProveKey,
    /// Look at every donor of a model whose training has begun.
    Review(u64),
    /// Lock the survivors of a closed round, or strike who cannot be in the sum.
    Lock(u64, u32),
    /// Publish the partial sum that is locked.
    Publish(u64, u32),
    /// Name members whose partial sums contradict the others.
    Judge(u64, u32),
}

/// What a committee member may owe, in order. Reviews, publications and comparisons leave nothing on the ledger: whoever asks knows
/// which of them are done.
pub fn of_member(book: &Book, account: Address, now: u64) -> Vec<MemberDuty> {
    let mut duties = Vec::new();
    if book.members.get(&account).is_some_and(|m| m.member && !m.key_claimed) {
        duties.push(MemberDuty::ProveKey);
    }
    let seated = |model: &&histone_contracts::book::Model| model.committee.contains(&account);
    for model in book.models.iter().filter(seated) {
        let id = model.model;
        if model.state == ModelState::Training {
            duties.push(MemberDuty::Review(id));
        }
        for round in book.rounds.iter().filter(|r| r.model == id) {
            let posted = round.partials.iter().any(|p| p.member == account);
            let quorum = round.partials.len() >= usize::from(round.quorum);
            let training = model.state == ModelState::Training;
            if round.state == RoundState::Closed && training && !posted && (quorum || now <= round.open_by) {
                duties.push(MemberDuty::Lock(id, round.round));
            }
            let open = matches!(round.state, RoundState::Closed | RoundState::Final) && quorum;
            if open && posted {
                duties.push(MemberDuty::Publish(id, round.round));
            }
            if round.state == RoundState::Final && training {
                duties.push(MemberDuty::Judge(id, round.round));
            }
        }
    }
    duties
}
