//! The members decide: proposals, votes, execution.
//!
//! 1. A member proposes one or more [`Action`]s ([`Ledger::propose`]); after the voting delay the vote is open.
//! 2. Members vote ([`Ledger::vote`]), one vote each.
//! 3. [`Ledger::carry_out`] puts what was accepted into the timelock, and executes it once it has waited long enough. Anybody
//!    may do that.
//!
//! [`Ledger::proposals`] tells where each one stands, with its calls in words ([`describe`]): whoever votes reads what will
//! be done, not what somebody wrote about it.

mod action;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use histone_contracts::book::Amount;
use histone_contracts::{Contract, HistoneGovernor, LedgerError, Members};
use histone_protocol::keys::SigningKey;
use serde::{Deserialize, Serialize};

pub use self::action::{Action, InvalidAction};
use self::words::decoded;
pub use self::words::describe;
use crate::Ledger;

/// The governor lets only the proposer propose a text that ends so; without it, whoever sees a proposal on its way could
/// send it first and own it.
const MARK: &str = "#proposer=";

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// No.
    Against,
    /// Yes.
    For,
    /// Neither; counts for the quorum.
    Abstain,
}

impl Support {
    fn code(self) -> u8 {
        self as u8
    }

    /// The vote in a word.
    pub fn word(self) -> &'static str {
        match self {
            Support::Against => "against",
            Support::For => "for",
            Support::Abstain => "abstain",
        }
    }
}

/// Where a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// The vote begins later.
    Pending,
    /// The vote is open.
    Active,
    /// The proposer took it back.
    Canceled,
    /// Not enough votes, or more against it than for it.
    Defeated,
    /// Accepted, and not in the timelock yet.
    Succeeded,
    /// In the timelock.
    Queued,
    /// Not carried out in time.
    Expired,
    /// Done.
    Executed,
}

impl ProposalState {
    fn of(code: u8) -> Option<Self> {
        use ProposalState as S;
        [S::Pending, S::Active, S::Canceled, S::Defeated, S::Succeeded, S::Queued, S::Expired, S::Executed]
            .get(usize::from(code))
            .copied()
    }

    /// Whether nothing becomes of it any more.
    pub fn is_final(self) -> bool {
        use ProposalState as S;
        matches!(self, S::Canceled | S::Defeated | S::Expired | S::Executed)
    }

    /// The state in a word.
    pub fn word(self) -> &'static str {
        match self {
            ProposalState::Pending => "pending",
            ProposalState::Active => "active",
            ProposalState::Canceled => "canceled",
            ProposalState::Defeated => "defeated",
            ProposalState::Succeeded => "succeeded",
            ProposalState::Queued => "queued",
            ProposalState::Expired => "expired",
            ProposalState::Executed => "executed",
        }
    }
}

/// One member's vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ballot {
    /// Who.
    pub voter: Address,
    /// `against`, `for` or `abstain`.
    pub support: &'static str,
    /// With how many votes.
    pub votes: u64,
    /// Why, if it said.
    pub reason: String,
}

/// One call that a proposal makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The contract.
    pub target: Address,
    /// Coins that go with it, in wei.
    pub value: Amount,
    /// The call.
    pub data: Bytes,
    /// The call in words.
    pub words: String,
    /// Whether the words say what it does: of a call that nobody can read they are its bytes.
    pub is_understood: bool,
}

/// A proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// Its number, which is a hash: see [`Proposal::id`].
    #[serde(serialize_with = "decimal")]
    pub number: U256,
    /// Where it stands.
    pub state: ProposalState,
    /// Who proposed it.
    pub proposer: Address,
    /// What the proposer wrote.
    pub description: String,
    /// What it does.
    pub steps: Vec<Step>,
    /// The vote begins after this moment, Unix seconds. Who is a member then has a vote.
    pub vote_start: u64,
    /// The vote ends after this moment.
    pub vote_end: u64,
    /// Votes for it.
    pub for_votes: u64,
    /// Votes against it.
    pub against_votes: u64,
    /// Abstentions.
    pub abstain_votes: u64,
    /// Votes for it and abstentions that it needs together. Known once the vote has begun.
    pub quorum: Option<u64>,
    /// When it can be executed, once it is in the timelock.
    pub executable_at: Option<u64>,
    /// Who voted.
    pub ballots: Vec<Ballot>,
    #[serde(skip)]
    description_hash: B256,
}

impl Proposal {
    /// Its number, in decimals.
    pub fn id(&self) -> String {
        self.number.to_string()
    }

    /// How somebody has voted, in a word; nothing where it has not.
    pub fn ballot_of(&self, account: Address) -> Option<&'static str> {
        self.ballots.iter().find(|ballot| ballot.voter == account).map(|ballot| ballot.support)
    }

    /// The proposal of this number; its first digits are enough where no other begins so.
    pub fn find<'a>(proposals: &'a [Self], prefix: &str) -> Result<&'a Self, NoProposal> {
        pick(proposals, Self::id, prefix)
    }
}

/// The one whose number is given, or begins so.
pub fn pick<'a, P>(proposals: &'a [P], id: impl Fn(&P) -> String, prefix: &str) -> Result<&'a P, NoProposal> {
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(NoProposal::NoNumber(prefix.into()));
    }
    let found: Vec<_> = proposals.iter().filter(|p| id(p).starts_with(prefix)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(NoProposal::Unknown(prefix.into())),
        more => {
            let exact = more.iter().find(|p| id(p) == prefix).copied();
            exact.ok_or_else(|| NoProposal::Several { prefix: prefix.into(), count: more.len() })
        }
    }
}

/// Why a number names no proposal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProposal {
    /// It has other characters than digits, or none.
    #[error("`{}` is no number of a proposal; `histone governance show` lists them", .0.escape_debug())]
    NoNumber(String),
    /// No proposal begins so.
    #[error("there is no proposal `{0}`; `histone governance show` lists them")]
    Unknown(String),
    /// Several do.
    #[error("`{prefix}` begins {count} proposals; give more digits")]
    Several {
        /// The digits.
        prefix: String,
        /// How many.
        count: usize,
    },
}

fn decimal<S: serde::Serializer>(number: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// What [`Ledger::carry_out`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarriedOut {
    /// It is in the timelock and can be executed from this moment on.
    Queued {
        /// Unix seconds.
        executable_at: u64,
    },
    /// It waits in the timelock already.
    Waits {
        /// Unix seconds.
        executable_at: u64,
    },
    /// It is done.
    Executed,
}

/// Why [`Ledger::carry_out`] did nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotCarriedOut {
    /// The proposal is in another state.
    #[error("proposal {id} is {}: {}", state.word(), advice(*state))]
    State {
        /// The proposal.
        id: String,
        /// Where it stands.
        state: ProposalState,
    },
    /// The ledger refused or cannot be reached.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn advice(state: ProposalState) -> &'static str {
    match state {
        ProposalState::Pending => "the vote has not begun",
        ProposalState::Active => "the vote is still open",
        ProposalState::Canceled | ProposalState::Expired => "propose it again if it is still wanted",
        ProposalState::Defeated => "it had no majority or no quorum",
        ProposalState::Executed => "there is nothing left to do",
        ProposalState::Succeeded | ProposalState::Queued => "try again",
    }
}

impl Ledger {
    /// Proposes actions; gives the number of the proposal.
    pub async fn propose(
        &self,
        member: &SigningKey,
        actions: &[Action],
        description: &str,
    ) -> Result<U256, LedgerError> {
        let call = self.proposing(member.address(), actions, description);
        let receipt = self.send(member, Contract::Governor, call).await?;
        Ok(receipt.event::<HistoneGovernor::ProposalCreated>()?.proposalId)
    }

    fn proposing(
        &self,
        proposer: Address,
        actions: &[Action],
        description: &str,
    ) -> HistoneGovernor::proposeCall {
        let calls: Vec<_> = actions.iter().flat_map(|action| action.calls(self.deployment())).collect();
        HistoneGovernor::proposeCall {
            targets: calls.iter().map(|(target, _)| *target).collect(),
            values: vec![U256::ZERO; calls.len()],
            calldatas: calls.into_iter().map(|(_, data)| data).collect(),
            description: format!("{description}{MARK}{proposer}"),
        }
    }

    /// The number that [`Ledger::propose`] would give: the same actions with the same description are proposed once by somebody.
    pub async fn proposal_number(
        &self,
        proposer: Address,
        actions: &[Action],
        description: &str,
    ) -> Result<U256, LedgerError> {
        let HistoneGovernor::proposeCall { targets, values, calldatas, description } =
            self.proposing(proposer, actions, description);
        let hash = keccak256(description.as_bytes());
        let call = HistoneGovernor::hashProposalCall { targets, values, calldatas, descriptionHash: hash };
        self.read(Contract::Governor, call).await
    }

    /// Whether somebody may vote on what is voted on from this moment on, which has passed: whether it was a member then.
    pub async fn has_vote(&self, account: Address, vote_start: u64) -> Result<bool, LedgerError> {
        let call = HistoneGovernor::getVotesCall { account, timepoint: U256::from(vote_start) };
        Ok(self.read(Contract::Governor, call).await? > U256::ZERO)
    }

    /// Votes on a proposal.
    pub async fn vote(
        &self,
        member: &SigningKey,
        number: U256,
        support: Support,
        reason: &str,
    ) -> Result<(), LedgerError> {
        let (proposal_id, support) = (number, support.code());
        if reason.is_empty() {
            let call = HistoneGovernor::castVoteCall { proposalId: proposal_id, support };
            self.send(member, Contract::Governor, call).await?;
        } else {
            let call = HistoneGovernor::castVoteWithReasonCall {
                proposalId: proposal_id,
                support,
                reason: reason.into(),
            };
            self.send(member, Contract::Governor, call).await?;
        }
        Ok(())
    }

    /// Takes the next step of an accepted proposal: into the timelock, or out of it. Anybody may.
    pub async fn carry_out(
        &self,
        anybody: &SigningKey,
        proposal: &Proposal,
    ) -> Result<CarriedOut, NotCarriedOut> {
        let targets: Vec<_> = proposal.steps.iter().map(|s| s.target).collect();
        let values: Vec<_> = proposal.steps.iter().map(|s| s.value.0).collect();
        let calldatas: Vec<_> = proposal.steps.iter().map(|s| s.data.clone()).collect();
        let hash = proposal.description_hash;
        match proposal.state {
            ProposalState::Succeeded => {
                let call = HistoneGovernor::queueCall { targets, values, calldatas, descriptionHash: hash };
                let receipt = self.send(anybody, Contract::Governor, call).await?;
                let queued = receipt.event::<HistoneGovernor::ProposalQueued>()?;
                Ok(CarriedOut::Queued { executable_at: queued.etaSeconds.saturating_to() })
            }
            ProposalState::Queued => {
                // A node may make no block until somebody sends something, so that its time stands still: who asks the
                // node whether it would execute now learns more than from the time of the last block.
                let call = HistoneGovernor::executeCall { targets, values, calldatas, descriptionHash: hash };
                match self.send(anybody, Contract::Governor, call).await {
                    Ok(_) => Ok(CarriedOut::Executed),
                    Err(LedgerError::Refused { explanation, .. })
                        if explanation.starts_with("TimelockUnexpectedOperationState") =>
                    {
                        Ok(CarriedOut::Waits { executable_at: proposal.executable_at.unwrap_or_default() })
                    }
                    Err(other) => Err(other.into()),
                }
            }
            state => Err(NotCarriedOut::State { id: proposal.id(), state }),
        }
    }

    /// All proposals, oldest first.
    pub async fn proposals(&self) -> Result<Vec<Proposal>, LedgerError> {
        self.proposals_but(&BTreeSet::new()).await
    }

    /// The same without some, for which nothing is asked: those that have ended do not change any more.
    pub async fn proposals_but(&self, ended: &BTreeSet<U256>) -> Result<Vec<Proposal>, LedgerError> {
        let mut created = self.events::<HistoneGovernor::ProposalCreated>(Contract::Governor).await?;
        created.retain(|event| !ended.contains(&event.proposalId));
        if created.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<U256> = created.iter().map(|e| e.proposalId).collect();
        macro_rules! ask {
            ($call:ident) => {
                self.read_many(
                    Contract::Governor,
                    numbers.iter().map(|&number| HistoneGovernor::$call { proposalId: number }).collect(),
                )
                .await?
            };
        }
        let states: Vec<u8> = ask!(stateCall);
        let votes = ask!(proposalVotesCall);
        let etas: Vec<U256> = ask!(proposalEtaCall);
        let mut ballots = self.ballots().await?;
        let quorums = self.quorums(&created, &states).await?;
        let mut proposals = Vec::new();
        for ((event, state), (votes, eta)) in created.into_iter().zip(states).zip(votes.into_iter().zip(etas))
        {
            let state = ProposalState::of(state).ok_or_else(|| LedgerError::Decode {
                name: "governor.state".into(),
                detail: format!("{state} is no state"),
            })?;
            let steps = event.targets.iter().zip(&event.values).zip(&event.calldatas);
            let mark = format!("{MARK}{}", event.proposer);
            let without_mark = strip_suffix_ignoring_case(&event.description, &mark);
            proposals.push(Proposal {
                number: event.proposalId,
                state,
                proposer: event.proposer,
                description: without_mark.to_owned(),
                steps: steps
                    .map(|((target, value), data)| Step {
                        target: *target,
                        value: Amount(*value),
                        data: data.clone(),
                        words: describe(self.deployment(), *target, data),
                        is_understood: decoded(self.deployment(), *target, data).is_some(),
                    })
                    .collect(),
                vote_start: event.voteStart.saturating_to(),
                vote_end: event.voteEnd.saturating_to(),
                for_votes: votes.forVotes.saturating_to(),
                against_votes: votes.againstVotes.saturating_to(),
                abstain_votes: votes.abstainVotes.saturating_to(),
                quorum: quorums.get(&event.proposalId).copied(),
                executable_at: (eta > U256::ZERO).then(|| eta.saturating_to()),
                ballots: ballots.remove(&event.proposalId).unwrap_or_default(),
                description_hash: keccak256(event.description.as_bytes()),
            });
        }
        Ok(proposals)
    }

    async fn ballots(&self) -> Result<BTreeMap<U256, Vec<Ballot>>, LedgerError> {
        let mut ballots: BTreeMap<U256, Vec<Ballot>> = BTreeMap::new();
        for e in self.events::<HistoneGovernor::VoteCast>(Contract::Governor).await? {
            let known = [Support::Against, Support::For, Support::Abstain];
            let support = known.get(usize::from(e.support)).map(|support| support.word());
            ballots.entry(e.proposalId).or_default().push(Ballot {
                voter: e.voter,
                support: support.unwrap_or("unknown"),
                votes: e.weight.saturating_to(),
                reason: e.reason,
            });
        }
        Ok(ballots)
    }

    /// What the vote on each proposal needs. Before it begins nobody knows how many members there will be.
    async fn quorums(
        &self,
        created: &[HistoneGovernor::ProposalCreated],
        states: &[u8],
    ) -> Result<BTreeMap<U256, u64>, LedgerError> {
        let begun: Vec<_> =
            created.iter().zip(states).filter(|(_, state)| **state != 0).map(|(e, _)| e).collect();
        let now = self.clock().await?;
        let begun: Vec<_> = begun.into_iter().filter(|e| e.voteStart < U256::from(now)).collect();
        let calls = begun.iter().map(|e| HistoneGovernor::quorumCall { timepoint: e.voteStart }).collect();
        let quorums = self.read_many(Contract::Governor, calls).await?;
        Ok(begun.iter().map(|e| e.proposalId).zip(quorums.into_iter().map(|q| q.saturating_to())).collect())
    }

    /// The time by which the governor judges now, Unix seconds. It is later than the last block where blocks are made
    /// for transactions only.
    pub async fn clock(&self) -> Result<u64, LedgerError> {
        Ok(self.read(Contract::Members, Members::clockCall {}).await?.to())
    }
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> &'a str {
    let cut = text.len().checked_sub(suffix.len()).filter(|&at| text.is_char_boundary(at));
    match cut.map(|at| text.split_at(at)) {
        Some((before, end)) if end.eq_ignore_ascii_case(suffix) => before,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_is_taken_off() {
        for (text, left) in [
            ("stop#proposer=0xAB", "stop"),
            ("stop#proposer=0xab", "stop"),
            ("stop#proposer=0xac", "stop#proposer=0xac"),
            ("", ""),
            ("grüße", "grüße"),
        ] {
            assert_eq!(strip_suffix_ignoring_case(text, "#proposer=0xAB"), left);
        }
    }
}
