//! How the founder of a network hands over to its members: from then on they decide by vote, and the founder decides nothing.

use histone_contracts::book::{Book, Kind, Role};
use histone_contracts::{AccessManager, Contract, manager_roles};
use histone_protocol::Address;
use histone_protocol::letter::Profile;
use histone_protocol::record::Signed;
use serde::{Deserialize, Serialize};

use super::mail::Body;
use super::{Done, Node};
use crate::error::NodeError;
use crate::store::Wish;

/// The kind of a wish to hand over to the members; its `what` is a [`HandOver`].
pub const HAND_OVER: &str = "hand-over";

/// Members that there must be: a vote of one is none.
const FEWEST_MEMBERS: usize = 2;
/// Requests to join that are remembered until the members have voted.
const MOST_REFERRED: usize = 200;
/// Where these are kept.
const REFERRED: &str = "referred";

/// How to hand over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// Who may stop new work at once, and nothing else; nobody where it is not said.
    #[serde(default)]
    pub pauser: Option<Address>,
    /// Also if something is left that the members would have to vote on at once.
    #[serde(default)]
    pub anyway: bool,
}

/// Somebody whom the members may admit.
#[derive(Serialize, Deserialize)]
struct Referred {
    account: Address,
    profile: Signed<Profile>,
}

/// Whether the founder decides by itself.
pub(super) fn decides(book: &Book, account: Address) -> bool {
    book.holders(manager_roles::ADMIN).contains(&account)
}

/// The wish to hand over.
pub(super) fn wished(wish: Wish) -> Option<(u64, HandOver)> {
    if wish.kind != HAND_OVER {
        return None;
    }
    let what =
        if wish.what.is_null() { Some(HandOver::default()) } else { serde_json::from_value(wish.what).ok() };
    Some((wish.number, what?))
}

/// What is in the way, in words: the members could not decide, or would have to at once.
fn in_the_way(asked: &HandOver, book: &Book, node: &Node) -> Result<Vec<String>, NodeError> {
    let members = book.members.iter().filter(|m| m.member).count();
    let mut reasons = Vec::new();
    if members < FEWEST_MEMBERS {
        reasons.push(format!(
            "the network has {members} member(s), and a vote takes {FEWEST_MEMBERS} or more: admit others first"
        ));
    }
    if asked.anyway {
        return Ok(reasons);
    }
    let usable = |kind: Kind| book.programs.iter().any(|p| p.kind == kind && p.usable);
    let missing: Vec<&str> = [Kind::Validation, Kind::Training, Kind::Query]
        .into_iter()
        .filter(|kind| !usable(*kind))
        .map(Kind::word)
        .collect();
    if !missing.is_empty() {
        reasons.push(format!(
            "no {} program is allowed yet, and each would take a vote: have them audited and allow them first",
            missing.join(", no ")
        ));
    }
    let waiting = crate::duties::founder::programs(book).len();
    if waiting > 0 {
        reasons.push(format!("{waiting} audited program(s) wait for your answer (`histone inbox`)"));
    }
    let asks = node.store.questions(true)?.iter().filter(|q| is_for_members(&q.question)).count();
    if asks > 0 {
        reasons.push(format!(
            "{asks} organization(s) ask to be admitted and wait for your answer (`histone inbox`)"
        ));
    }
    Ok(reasons)
}

/// Whether a question is one that the members decide after the hand-over: who becomes a member.
fn is_for_members(question: &crate::store::Question) -> bool {
    let roles = question.facts.get("roles").and_then(serde_json::Value::as_u64);
    question.kind == "admit" && roles.is_some_and(|roles| roles != 0)
}

/// Hands over, as far as that is not done. The founder's own power goes last.
pub(super) async fn hand_over(wish: u64, asked: HandOver, node: &Node, now: u64) -> Result<Done, NodeError> {
    let (ledger, key) = (&node.world.ledger, &node.party.key);
    let book = ledger.current_book().await?;
    let own = node.party.account();
    let timelock = ledger.deployment().timelock;
    if decides(&book, own) {
        let reasons = in_the_way(&asked, &book, node)?;
        if !reasons.is_empty() {
            let why = format!("nothing was handed over: {}", reasons.join("; "));
            node.store.wish_failed(wish, &why, now)?;
            return Ok(Done::Yes);
        }
        let grant = |role, account| AccessManager::grantRoleCall { roleId: role, account, executionDelay: 0 };
        if let Some(pauser) = asked.pauser.filter(|p| !book.holders(manager_roles::PAUSER).contains(p)) {
            ledger.send(key, Contract::Manager, grant(manager_roles::PAUSER, pauser)).await?;
        }
        if !book.holders(manager_roles::ADMIN).contains(&timelock) {
            ledger.send(key, Contract::Manager, grant(manager_roles::ADMIN, timelock)).await?;
        }
        let renounce =
            AccessManager::renounceRoleCall { roleId: manager_roles::ADMIN, callerConfirmation: own };
        ledger.send(key, Contract::Manager, renounce).await?;
    } else if !book.holders(manager_roles::ADMIN).contains(&timelock) {
        node.store.wish_failed(wish, "this node does not administer the ledger", now)?;
        return Ok(Done::Yes);
    }
    close_questions(node, now)?;
    let said = "handed over: the members decide by vote, and this node decides nothing";
    node.say(now, "network", said)?;
    node.store.wish_done(wish, &serde_json::json!({ "said": said }), now)?;
    Ok(Done::Yes)
}

/// What the founder was asked and decides no more.
fn close_questions(node: &Node, now: u64) -> Result<(), NodeError> {
    for asked in node.store.questions(true)? {
        if asked.question.kind == "allow" || is_for_members(&asked.question) {
            node.store.take_back(
                &asked.question.key,
                "the founder has handed over: the members decide",
                now,
            )?;
        }
    }
    Ok(())
}

/// Tells somebody who asks to be admitted that the members decide, and how; remembers who it is.
pub(super) async fn refer(
    account: Address,
    profile: &Signed<Profile>,
    node: &Node,
) -> Result<String, NodeError> {
    let read = node.meet(profile)?;
    let mut all = referred(node)?;
    if !all.iter().any(|r| r.account == account) {
        // Anybody can write letters: no more is kept and published for strangers.
        if all.len() >= MOST_REFERRED {
            return Ok(
                "the founder has handed over: the members decide by vote who is admitted; ask one of them"
                    .into(),
            );
        }
        all.push(Referred { account, profile: profile.clone() });
        keep(&all, node)?;
    }
    // Whoever votes reads who it is: what was said first, or anybody could have us publish without end.
    let first = all.iter().find(|r| r.account == account).map_or(profile, |r| &r.profile);
    let blob = node.world.blobs.put(&first.to_bytes())?;
    let roles: Vec<&str> = Role::of(read.roles).into_iter().map(Role::word).collect();
    Ok(format!(
        "the founder has handed over: the members decide by vote who is admitted. Ask a member to propose you: \
         `histone governance propose --home HOME --add-member {account} --roles {} --profile {blob} --seal-key {} --description WHY`",
        roles.join(","),
        read.seal_key.0
    ))
}

/// Those whom the members have admitted since they were told to ask them.
pub(super) fn voted_in(book: &Book, node: &Node) -> Result<Vec<(Address, Signed<Profile>)>, NodeError> {
    let is_member = |account: &Address| book.members.get(account).is_some_and(|m| m.member);
    let all = referred(node)?.into_iter().filter(|r| is_member(&r.account));
    Ok(all.map(|r| (r.account, r.profile)).collect())
}

/// Welcomes somebody whom the members have admitted.
pub(super) async fn welcome(
    account: Address,
    profile: &Signed<Profile>,
    certificate: Option<String>,
    node: &Node,
    now: u64,
) -> Result<Done, NodeError> {
    node.meet(profile)?;
    node.write(account, &format!("welcome/{account:x}"), &Body::Welcome { certificate }, now).await?;
    let mut all = referred(node)?;
    all.retain(|r| r.account != account);
    keep(&all, node)?;
    Ok(Done::Yes)
}

fn referred(node: &Node) -> Result<Vec<Referred>, NodeError> {
    let kept = node.store.get(REFERRED)?.unwrap_or_default();
    Ok(serde_json::from_slice(&kept).unwrap_or_default())
}

fn keep(all: &[Referred], node: &Node) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(all).map_err(|e| NodeError::Message(e.to_string()))?;
    Ok(node.store.put(REFERRED, &bytes)?)
}
