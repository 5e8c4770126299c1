//! The rows of training rounds.

use alloy_primitives::{Address, B256};
use serde::Serialize;

use super::RoundState;
use crate::reasons;

/// A hash that somebody put on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Anchor {
    /// Whose update.
    pub donor: u16,
    /// Hash of the encrypted update.
    pub blob: B256,
}

/// A partial opening by a member of the committee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Partial {
    /// The member.
    pub member: Address,
    /// Hash of the opening.
    pub hash: B256,
}

/// A training round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Round {
    /// The model.
    pub model: u64,
    /// Number from 1.
    pub round: u32,
    /// Where it stands.
    pub state: RoundState,
    /// Hash of the header.
    pub header_hash: B256,
    /// Up to then updates are anchored; Unix seconds.
    pub deadline: u64,
    /// Up to then the committee opens it; Unix seconds.
    pub open_by: u64,
    /// With fewer updates it fails.
    pub min_survivors: u16,
    /// Partial openings that it needs.
    pub quorum: u8,
    /// Updates on record.
    pub anchors: Vec<Anchor>,
    /// The donors in the sum, once that is fixed.
    pub survivors: Option<Vec<u16>>,
    /// Partial openings on record.
    pub partials: Vec<Partial>,
    /// Whom the committee named in it.
    pub named: Vec<Named>,
    /// Hash of the opened sum.
    pub aggregate_hash: Option<B256>,
    /// Hash of the new model.
    pub model_hash: Option<B256>,
}

/// Somebody whom the committee named: a donor or a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The donor, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub donor: Option<u16>,
    /// The member, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Address>,
    /// The code of the reason (`Reasons` of the contract).
    pub reason: u8,
}

impl Named {
    /// The reason in words.
    pub fn why(&self) -> String {
        reasons::words(self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_words() {
        let why = |reason| Named { donor: Some(1), member: None, reason }.why();
        let words: std::collections::BTreeSet<_> = (1..=8).map(why).collect();
        assert!(words.len() == 8 && words.iter().all(|words| !words.starts_with("reason")), "{words:?}");
        assert_eq!(why(9), "reason 9");
    }
}
