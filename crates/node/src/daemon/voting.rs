//! How a member takes part in what the members decide: it proposes, asks its people how to vote, votes, and carries out what was
//! decided.
//!
//! A node never votes by itself, also not where its answers are automatic: whoever proposes something would have the vote of every
//! such node. A person answers a question in the inbox, or wishes for a vote.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use histone_contracts::book::Book;
use histone_contracts::{LedgerError, manager_roles};
use histone_ledger::governance::{Action, CarriedOut, NotCarriedOut, Proposal, ProposalState, Support};
use histone_protocol::{Address, U256};
use serde::{Deserialize, Serialize};

use super::{Done, Node, Part};
use crate::error::NodeError;
use crate::proposals;
use crate::store::{Level, Question, Wish, moment};

/// The kind of a wish to propose something to the members; its `what` is a [`Motion`].
pub const MOTION: &str = "motion";
/// The kind of a wish to vote on a proposal; its `what` is a [`Voting`].
pub const VOTE: &str = "vote";

/// The kind of the question how to vote.
const QUESTION: &str = "vote";
/// Open questions about proposals of one member: whoever proposes hundreds does not fill the inbox.
const MOST_OF_ONE: usize = 20;
/// What nobody has carried out so many seconds after it could have been, any member's node does: the proposer's may be away.
const OVERDUE: u64 = 86_400;
/// What the ledger has refused to carry out is tried again after so many seconds.
const AGAIN: u64 = 3_600;
/// Said of a call that has no words.
const UNREADABLE: &str = " (WARNING: nobody can read what this call does; decline unless you know)";
/// What the ledger's clock has not reached yet is tried again after so many seconds.
const SOON: u64 = 30;

/// What to propose to the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Motion {
    /// What is to be done, together or not at all.
    pub actions: Vec<Action>,
    /// Why; it is public and stays.
    pub description: String,
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voting {
    /// Number of the proposal, or the first digits of it.
    pub proposal: String,
    /// What is said.
    pub vote: Support,
    /// Why; it is public and stays.
    #[serde(default)]
    pub reason: String,
}

/// What a party does about the decisions of the members.
#[derive(Debug, Default)]
pub(super) struct VotingPart {
    /// What has ended, as it is shown: it is not asked for again.
    ended: BTreeMap<U256, proposals::Proposal>,
}

#[derive(Debug, Clone)]
pub(super) enum Duty {
    Propose(u64, Motion),
    Vote(u64, Voting),
    /// Ask a person how to vote.
    Ask(Box<Proposal>),
    /// Vote as a person has answered.
    Cast(U256, Support),
    /// Put into the timelock what was accepted, or execute it.
    CarryOut(Box<Proposal>),
    /// Close a question that nobody has to answer any more.
    Close(String),
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duty::Propose(wish, _) => write!(f, "propose to the members (wish {wish})"),
            Duty::Vote(wish, _) => write!(f, "vote (wish {wish})"),
            Duty::Ask(proposal) => write!(f, "ask how to vote on proposal {}", proposal.number),
            Duty::Cast(number, support) => write!(f, "vote {} proposal {number}", support.word()),
            Duty::CarryOut(proposal) if proposal.state == ProposalState::Queued => {
                write!(f, "execute proposal {}", proposal.number)
            }
            Duty::CarryOut(proposal) => write!(f, "put proposal {} into the timelock", proposal.number),
            Duty::Close(question) => write!(f, "close the question {question}"),
        }
    }
}

fn wished(wish: Wish) -> Option<Duty> {
    match wish.kind.as_str() {
        MOTION => Some(Duty::Propose(wish.number, serde_json::from_value(wish.what).ok()?)),
        VOTE => Some(Duty::Vote(wish.number, serde_json::from_value(wish.what).ok()?)),
        _ => None,
    }
}

impl Part for VotingPart {
    type Duty = Duty;
    const LOOK: &'static str = "see what the members decide";

    async fn duties(&mut self, book: &Book, node: &Node, now: u64) -> Result<Vec<Duty>, NodeError> {
        let proposals = self.look(node).await?;
        let mut duties: Vec<Duty> = node.store.wishes(true)?.into_iter().filter_map(wished).collect();
        let asked: BTreeSet<String> =
            node.store.questions(true)?.into_iter().map(|q| q.question.key).collect();
        let mut asked: BTreeSet<&String> = asked.iter().filter(|key| key.starts_with("vote/")).collect();
        let mut by_proposer: BTreeMap<Address, usize> = BTreeMap::new();
        for proposal in proposals {
            if has_vote(&proposal, book, node).await? {
                let key = key(&proposal);
                let open = by_proposer.entry(proposal.proposer).or_default();
                match node.store.answered(&key)? {
                    Some(answer) if proposal.state == ProposalState::Active => {
                        let support = if answer.yes { Support::For } else { Support::Against };
                        duties.push(Duty::Cast(proposal.number, support));
                    }
                    Some(_) => {}
                    None if asked.remove(&key) => *open += 1,
                    None if *open < MOST_OF_ONE => {
                        *open += 1;
                        duties.push(Duty::Ask(Box::new(proposal.clone())));
                    }
                    None => {}
                }
            }
            if is_to_be_carried_out(&proposal, book, node, now)? {
                duties.push(Duty::CarryOut(Box::new(proposal)));
            }
        }
        duties.extend(asked.into_iter().cloned().map(Duty::Close));
        Ok(duties)
    }

    async fn perform(&mut self, duty: Duty, node: &Node, now: u64) -> Result<Done, NodeError> {
        match duty {
            Duty::Propose(wish, motion) => propose(wish, &motion, node, now).await,
            Duty::Vote(wish, voting) => vote(wish, &voting, node, now).await,
            Duty::Ask(proposal) => ask(&proposal, node, now),
            Duty::Cast(number, support) => cast(number, support, node, now).await,
            Duty::CarryOut(proposal) => carry_out(&proposal, node, now).await,
            Duty::Close(question) => {
                node.store.take_back(&question, "it is voted on already, or the vote has ended", now)?;
                Ok(Done::Here)
            }
        }
    }
}

impl VotingPart {
    /// The proposals that something may still become of. Keeps all of them for people.
    async fn look(&mut self, node: &Node) -> Result<Vec<Proposal>, NodeError> {
        let ended: BTreeSet<U256> = self.ended.keys().copied().collect();
        let proposals = node.world.ledger.proposals_but(&ended).await?;
        let (over, open): (Vec<_>, Vec<_>) = proposals.into_iter().partition(|p| p.state.is_final());
        self.ended.extend(over.iter().map(|p| (p.number, proposals::Proposal::from(p).short())));
        let mut all: Vec<proposals::Proposal> = self.ended.values().cloned().collect();
        all.extend(open.iter().map(|p| proposals::Proposal::from(p).short()));
        all.sort_by(|a, b| (a.vote_start, &a.number).cmp(&(b.vote_start, &b.number)));
        proposals::keep(&all, &node.store)?;
        for proposal in &open {
            // Time passes without a block: it is looked again when something may begin or end.
            match proposal.state {
                ProposalState::Pending => node.soon.at(proposal.vote_start.saturating_add(1)),
                ProposalState::Active => node.soon.at(proposal.vote_end.saturating_add(1)),
                _ => {}
            }
        }
        Ok(open)
    }
}

fn key(proposal: &Proposal) -> String {
    format!("vote/{}", proposal.number)
}

fn is_member(book: &Book, node: &Node) -> bool {
    book.members.get(&node.party.account()).is_some_and(|member| member.member)
}

/// Whether this party may vote on a proposal, or will be able to, and has not done so.
async fn has_vote(proposal: &Proposal, book: &Book, node: &Node) -> Result<bool, NodeError> {
    let own = node.party.account();
    Ok(match proposal.state {
        ProposalState::Pending => is_member(book, node),
        ProposalState::Active if proposal.ballot_of(own).is_none() => {
            node.world.ledger.has_vote(own, proposal.vote_start).await?
        }
        _ => false,
    })
}

/// Whether this node takes the next step of what was accepted. It wakes when that can be.
fn is_to_be_carried_out(proposal: &Proposal, book: &Book, node: &Node, now: u64) -> Result<bool, NodeError> {
    let possible = match proposal.state {
        ProposalState::Succeeded => proposal.vote_end.saturating_add(1),
        // Before the hand-over it would be refused.
        ProposalState::Queued if handed_over(book, node) => proposal.executable_at.unwrap_or(u64::MAX),
        _ => return Ok(false),
    };
    let own = node.party.account() == proposal.proposer;
    if !own && !is_member(book, node) {
        return Ok(false);
    }
    let begin = if own { possible } else { possible.saturating_add(OVERDUE) };
    let begin = begin.max(refused(proposal.number, node)?.map_or(0, |at| at.saturating_add(AGAIN)));
    if now < begin {
        node.soon.at(begin);
    }
    Ok(now >= begin)
}

fn handed_over(book: &Book, node: &Node) -> bool {
    book.holders(manager_roles::ADMIN).contains(&node.world.ledger.deployment().timelock)
}

/// When the ledger last refused to carry a proposal out.
fn refused(number: U256, node: &Node) -> Result<Option<u64>, NodeError> {
    let kept = node.store.get(&refused_key(number))?;
    Ok(kept.and_then(|kept| kept.as_slice().try_into().ok()).map(u64::from_le_bytes))
}

fn refused_key(number: U256) -> String {
    format!("not-carried-out/{number}")
}

/// Proposes something, unless that is done.
async fn propose(wish: u64, motion: &Motion, node: &Node, now: u64) -> Result<Done, NodeError> {
    let Motion { actions, description } = motion;
    let (ledger, own) = (&node.world.ledger, node.party.account());
    let fail = |why: String| {
        node.store.wish_failed(wish, &why, now)?;
        Ok(Done::Yes)
    };
    let book = ledger.current_book().await?;
    if !is_member(&book, node) {
        return fail(format!("only members propose something to the members, and {own} is none"));
    }
    if actions.is_empty() {
        return fail("nothing is proposed: a proposal does something".into());
    }
    if let Some(wrong) = actions.iter().find_map(|action| action.check().err()) {
        return fail(wrong.to_string());
    }
    let number = ledger.proposal_number(own, actions, description).await?;
    let found = |all: Vec<Proposal>| all.into_iter().find(|p| p.number == number);
    let proposal = match found(ledger.proposals().await?) {
        Some(proposal) => Some(proposal),
        None => {
            match ledger.propose(&node.party.key, actions, description).await {
                // It was sent before, and the copy of the ledger has not got it yet; or this party is a member since this moment.
                Err(LedgerError::Refused { explanation, .. }) if !passes(&explanation) => {
                    return fail(format!("the ledger refuses it: {explanation}"));
                }
                proposed => proposed?,
            };
            found(ledger.proposals().await?)
        }
    };
    let Some(proposal) = proposal else { return Ok(Done::NotYet) };
    if proposal.state.is_final() {
        return fail(format!(
            "the same was proposed before as {number} and is {}; describe it differently to propose it again",
            proposal.state.word()
        ));
    }
    let pending = if handed_over(&book, node) {
        ""
    } else {
        ". The founder has not handed over: what is decided is executed after that"
    };
    let said = format!(
        "proposed as {number}: members vote after {} until {}{pending}",
        moment(proposal.vote_start),
        moment(proposal.vote_end)
    );
    node.say(now, "vote", &said)?;
    let outcome = serde_json::json!({
        "said": said,
        "proposal": proposal.id(),
        "vote_start": proposal.vote_start,
        "vote_end": proposal.vote_end,
    });
    node.store.wish_done(wish, &outcome, now)?;
    Ok(Done::Yes)
}

/// Whether a refusal of a proposal passes by itself.
fn passes(explanation: &str) -> bool {
    ["GovernorUnexpectedProposalState", "GovernorInsufficientProposerVotes"]
        .iter()
        .any(|error| explanation.starts_with(error))
}

/// Votes as a person wishes, once and in time.
async fn vote(wish: u64, voting: &Voting, node: &Node, now: u64) -> Result<Done, NodeError> {
    let (ledger, own) = (&node.world.ledger, node.party.account());
    let fail = |why: String| {
        node.store.wish_failed(wish, &why, now)?;
        Ok(Done::Yes)
    };
    let proposals = ledger.proposals().await?;
    let proposal = match Proposal::find(&proposals, &voting.proposal) {
        Ok(proposal) => proposal,
        Err(none) => return fail(none.to_string()),
    };
    let (number, word) = (proposal.number, voting.vote.word());
    match (proposal.ballot_of(own), proposal.state) {
        // Also by this very wish, before it was noted.
        (Some(before), _) if before == word => {}
        (Some(before), _) => {
            return fail(format!(
                "{own} has voted on proposal {number} already (`{before}`), and a vote is not changed"
            ));
        }
        (None, ProposalState::Pending) => {
            if !is_member(&*ledger.current_book().await?, node) {
                return fail(format!("only members vote, and {own} is none"));
            }
            let waits = format!("the vote on proposal {number} begins after {}", moment(proposal.vote_start));
            node.store.wish_progress(wish, &waits)?;
            return Ok(Done::NotYet);
        }
        (None, ProposalState::Active) => {
            if !ledger.has_vote(own, proposal.vote_start).await? {
                return fail(format!(
                    "who was a member on {} votes on proposal {number}, and {own} was none",
                    moment(proposal.vote_start)
                ));
            }
            ledger.vote(&node.party.key, number, voting.vote, &voting.reason).await?;
        }
        (None, state) => {
            return fail(format!(
                "proposal {number} is {}: the vote on it has ended on {}",
                state.word(),
                moment(proposal.vote_end)
            ));
        }
    }
    let said = format!("voted `{word}` on proposal {number}");
    node.say(now, "vote", &said)?;
    node.store.take_back(&key(proposal), &said, now)?;
    node.store.wish_done(wish, &serde_json::json!({ "said": said, "proposal": proposal.id() }), now)?;
    Ok(Done::Yes)
}

/// Votes as a person has answered, unless that is done or too late.
async fn cast(number: U256, support: Support, node: &Node, now: u64) -> Result<Done, NodeError> {
    let (ledger, own) = (&node.world.ledger, node.party.account());
    let proposals = ledger.proposals().await?;
    let open = |p: &&Proposal| p.number == number && p.state == ProposalState::Active;
    if proposals.iter().find(open).is_some_and(|p| p.ballot_of(own).is_none()) {
        // What was written beside the answer stays in this node: nobody was told that it would be public.
        ledger.vote(&node.party.key, number, support, "").await?;
        node.say(now, "vote", &format!("voted `{}` on proposal {number}, as was answered", support.word()))?;
    }
    Ok(Done::Yes)
}

/// Asks a person how to vote. Automatic answers are for what was agreed on before, and nobody has agreed on what others propose.
fn ask(proposal: &Proposal, node: &Node, now: u64) -> Result<Done, NodeError> {
    let shown = proposals::Proposal::from(proposal).short();
    // One paragraph, as a terminal shows it: the calls first, and what the proposer wrote behind them, so that it cannot look like one.
    let steps = shown.steps.iter().zip(1..).map(|(step, place)| {
        let value = if step.value == "0" { String::new() } else { format!(", with {} wei", step.value) };
        let warning = if step.is_understood { "" } else { UNREADABLE };
        format!("({place}) {}{value}{warning}", one_line(&step.words))
    });
    let text = format!(
        "{} proposes to the members to: {}. The vote is open after {} until {}; this node votes once it is open and you have answered. Approve to vote for it, \
         decline to vote against it, or abstain by `histone governance vote`. A vote is public and is not changed; why you answer so stays in this node. \
         What the proposer says of it, which changes nothing of what is done: \"{}\"",
        shown.proposer,
        steps.collect::<Vec<_>>().join("; "),
        moment(proposal.vote_start),
        moment(proposal.vote_end),
        one_line(&shown.description),
    );
    let first = shown.steps.first().map(|step| one_line(&step.words)).unwrap_or_default();
    let more = match shown.steps.len() {
        0 | 1 => String::new(),
        steps => format!(" and {} more", steps - 1),
    };
    let first: String = first.chars().take(120).collect();
    let question = Question {
        key: key(proposal),
        kind: QUESTION.into(),
        title: format!("vote on: {first}{more}?"),
        text,
        facts: serde_json::to_value(&shown).map_err(|e| NodeError::Message(e.to_string()))?,
        due: Some(proposal.vote_end),
    };
    node.store.ask(&question, now)?;
    Ok(Done::Here)
}

/// What others wrote, on one line: a description cannot look like a call.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Takes the next step of what was accepted. Anybody may, and somebody else may have done it.
async fn carry_out(proposal: &Proposal, node: &Node, now: u64) -> Result<Done, NodeError> {
    let (number, ledger) = (proposal.number, &node.world.ledger);
    match ledger.carry_out(&node.party.key, proposal).await {
        Ok(CarriedOut::Queued { executable_at }) => {
            node.soon.at(executable_at);
            let text =
                format!("proposal {number} was accepted, and is executed after {}", moment(executable_at));
            node.say(now, "vote", &text)?;
            Ok(Done::Yes)
        }
        Ok(CarriedOut::Waits { .. }) => {
            node.soon.at(now.saturating_add(SOON));
            Ok(Done::NotYet)
        }
        Ok(CarriedOut::Executed) => {
            node.store.remove(&refused_key(number))?;
            node.say(now, "vote", &format!("proposal {number} is executed"))?;
            Ok(Done::Yes)
        }
        Err(NotCarriedOut::Ledger(LedgerError::Refused { explanation, .. })) => {
            if refused(number, node)?.is_none() {
                let text = format!(
                    "proposal {number} was accepted, and the ledger refuses to carry it out: {explanation}. This node tries again every hour"
                );
                node.store.note(now, Level::Warning, "vote", &text)?;
            }
            node.store.put(&refused_key(number), &now.to_le_bytes())?;
            node.soon.at(now.saturating_add(AGAIN));
            Ok(Done::NotYet)
        }
        // Somebody else has done it.
        Err(NotCarriedOut::State { .. }) => Ok(Done::Here),
        Err(NotCarriedOut::Ledger(error)) => Err(error.into()),
    }
}
