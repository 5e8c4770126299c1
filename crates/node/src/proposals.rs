//! What the members of a network vote on, as a node keeps and shows it.

use histone_ledger::governance::{self, ProposalState};
use histone_protocol::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::NodeError;
use crate::store::Store;

/// Where the daemon keeps what it has seen last.
const SEEN: &str = "proposals";
/// The newest so many are kept.
const MOST_KEPT: usize = 500;
/// Others write descriptions and calls of any length: so many characters of each are kept, and so many calls.
const MOST_CHARACTERS: usize = 2_000;
const MOST_STEPS: usize = 50;

/// Something that the members decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proposal {
    /// Its number, in decimals.
    pub number: String,
    /// Where it stands: `pending`, `active`, `canceled`, `defeated`, `succeeded`, `queued`, `expired` or `executed`.
    #[schema(value_type = String)]
    pub state: ProposalState,
    /// Who proposed it.
    #[schema(value_type = String)]
    pub proposer: Address,
    /// What the proposer wrote.
    pub description: String,
    /// What it does.
    pub steps: Vec<Step>,
    /// The vote begins after this moment. Who is a member then has a vote.
    pub vote_start: u64,
    /// The vote ends after this moment.
    pub vote_end: u64,
    /// Votes for it.
    pub for_votes: u64,
    /// Votes against it.
    pub against_votes: u64,
    /// Abstentions.
    pub abstain_votes: u64,
    /// Votes for it and abstentions that it needs together; null before the vote.
    pub quorum: Option<u64>,
    /// When it can be executed, once it is accepted and waits for that.
    pub executable_at: Option<u64>,
    /// Who voted.
    pub ballots: Vec<Ballot>,
}

/// One call of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// The contract.
    #[schema(value_type = String)]
    pub target: Address,
    /// Coins that go with it, in wei.
    pub value: String,
    /// What the call does, in words.
    pub words: String,
    /// Whether the words say what it does: of a call that nobody can read they are its bytes.
    pub is_understood: bool,
}

/// One member's vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ballot {
    /// Who.
    #[schema(value_type = String)]
    pub voter: Address,
    /// `for`, `against` or `abstain`.
    pub support: String,
    /// Why, if it said.
    pub reason: String,
}

/// What others wrote, cut where it is too long to be shown.
fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MOST_CHARACTERS) {
        let more = text.len() - at;
        text.truncate(at);
        *text += &format!("... (and {more} bytes more)");
    }
}

impl Proposal {
    /// The same without what is too long to be kept and shown; that something is left out stands in its place.
    pub(crate) fn short(mut self) -> Self {
        if let Some(next) = self.steps.get(MOST_STEPS) {
            let rest = Step {
                target: next.target,
                value: "0".into(),
                words: format!("{} calls more, which are not shown here", self.steps.len() - MOST_STEPS),
                is_understood: false,
            };
            self.steps.truncate(MOST_STEPS);
            self.steps.push(rest);
        }
        let words = self.steps.iter_mut().map(|step| &mut step.words);
        let reasons = self.ballots.iter_mut().map(|ballot| &mut ballot.reason);
        words.chain(reasons).chain([&mut self.description]).for_each(cut);
        self
    }
}

impl From<&governance::Proposal> for Proposal {
    fn from(p: &governance::Proposal) -> Self {
        let step = |step: &governance::Step| Step {
            target: step.target,
            value: step.value.to_string(),
            words: step.words.clone(),
            is_understood: step.is_understood,
        };
        let ballot = |ballot: &governance::Ballot| Ballot {
            voter: ballot.voter,
            support: ballot.support.into(),
            reason: ballot.reason.clone(),
        };
        Self {
            number: p.id(),
            state: p.state,
            proposer: p.proposer,
            description: p.description.clone(),
            steps: p.steps.iter().map(step).collect(),
            vote_start: p.vote_start,
            vote_end: p.vote_end,
            for_votes: p.for_votes,
            against_votes: p.against_votes,
            abstain_votes: p.abstain_votes,
            quorum: p.quorum,
            executable_at: p.executable_at,
            ballots: p.ballots.iter().map(ballot).collect(),
        }
    }
}

/// The proposals as the daemon has seen them last, oldest first.
pub fn seen(store: &Store) -> Result<Vec<Proposal>, crate::store::StoreFault> {
    let kept = store.get(SEEN)?.unwrap_or_default();
    // What another version kept is replaced with the daemon's next turn.
    Ok(serde_json::from_slice(&kept).unwrap_or_default())
}

/// Keeps them, where anything has changed.
pub(crate) fn keep(all: &[Proposal], store: &Store) -> Result<(), NodeError> {
    let newest = &all[all.len().saturating_sub(MOST_KEPT)..];
    let bytes = serde_json::to_vec(newest).map_err(|e| NodeError::Message(e.to_string()))?;
    let before = store.get(SEEN)?;
    if before.as_ref() != Some(&bytes) && !(before.is_none() && all.is_empty()) {
        store.put(SEEN, &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let step = |words: &str| Step {
            target: Address::ZERO,
            value: "0".into(),
            words: words.into(),
            is_understood: true,
        };
        let long = "ü".repeat(MOST_CHARACTERS + 3);
        let mut steps = vec![step(&long)];
        steps.resize(MOST_STEPS + 2, step("pause"));
        let proposal = Proposal {
            number: "5".into(),
            state: ProposalState::Active,
            proposer: Address::ZERO,
            description: "grüße".into(),
            steps,
            vote_start: 1,
            vote_end: 2,
            for_votes: 0,
            against_votes: 0,
            abstain_votes: 0,
            quorum: None,
            executable_at: None,
            ballots: Vec::new(),
        };
        let short = proposal.short();
        assert_eq!(short.description, "grüße");
        assert!(short.steps[0].words.ends_with("ü... (and 6 bytes more)"), "{:?}", short.steps[0]);
        let last = short.steps.last().unwrap();
        assert_eq!(
            (last.words.as_str(), last.is_understood),
            ("2 calls more, which are not shown here", false)
        );
    }
}
