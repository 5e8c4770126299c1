//! How long a trainer waits: for owners who do not answer, and with rounds that fail.

use histone_contracts::book::{Book, DatasetState, Model, ModelState, Role, RoundState};
use histone_protocol::Address;

use super::{Node, trainer};
use crate::duties::trainer::Again;
use crate::duties::waiting::Waiting;
use crate::error::NodeError;
use crate::store::{Question, moment};

/// Rounds that fail in a row before a trainer thinks of giving up, where its proposal says nothing.
pub(super) const FAILED_ROUNDS: u32 = 3;
/// Owners who have no data are waited for so long: theirs may be on its way.
const NO_DATA: u64 = 86_400;

/// Rounds at the end of a training that came to no sum, one after the other.
fn failed_in_a_row(model: u64, book: &Book) -> u32 {
    let rounds = book.rounds.iter().filter(|r| r.model == model);
    let failed = |state| matches!(state, RoundState::Failed | RoundState::Void);
    rounds.rev().take_while(|r| failed(r.state)).count() as u32
}

/// Whether the next round is opened: a person is asked when several have failed in a row, and without donors there is none.
pub(super) fn again(model: &Model, book: &Book, node: &Node, now: u64) -> Result<Again, NodeError> {
    let id = model.model;
    let left = model.donors.iter().filter(|d| !d.use_ended && !d.excluded).count();
    let least = usize::from(model.terms.min_survivors);
    if left < least {
        return Ok(Again::GiveUp);
    }
    if let Some(earlier) = clash(id, node)? {
        let question = Question {
            key: format!("{}clash", giving_up(id)),
            kind: "give-up".into(),
            title: format!("give up model {id}, whose sums the members will not open?"),
            text: format!(
                "Members have opened the same computation for model {earlier}, over some of these datasets and others, or over other \
                 versions: the difference of two sums could be one owner's totals or one person, so that they never open it for these. \
                 They open it over exactly the datasets and versions of model {earlier}, as long as none is withdrawn. \
                 `yes` gives model {id} up, and the deposit returns; `no` asks for its rounds all the same."
            ),
            facts: serde_json::json!({ "model": id, "earlier": earlier }),
            due: None,
        };
        match node.ask(&question, now)? {
            None => return Ok(Again::Wait),
            Some(answer) if answer.yes => return Ok(Again::GiveUp),
            Some(_) => {}
        }
    }
    let most = trainer::proposal(model, node)?.map_or(FAILED_ROUNDS, |p| p.failed_rounds).max(1);
    let failed = failed_in_a_row(id, book);
    if failed == 0 || !failed.is_multiple_of(most) {
        return Ok(Again::Yes);
    }
    let last = book.rounds.iter().rfind(|r| r.model == id);
    let (last, came) = last.map(|r| (r.round, r.anchors.len())).unwrap_or_default();
    let question = Question {
        key: format!("{}{last}", giving_up(id)),
        kind: "give-up".into(),
        title: format!("give up model {id}, of which {failed} round(s) in a row failed?"),
        text: format!(
            "The last {failed} round(s) of model {id} came to no sum; in round {last} there were updates of {came} of {left} donors, \
             and {least} are needed. `yes` gives the model up: the deposit returns, but for what donors of open sums are owed. `no` goes \
             on, and asks again when {most} more have failed."
        ),
        facts: serde_json::json!({ "model": id, "round": last, "failed": failed }),
        due: None,
    };
    Ok(match node.ask(&question, now)? {
        None => Again::Wait,
        Some(answer) if answer.yes => Again::GiveUp,
        Some(_) => Again::Yes,
    })
}

/// Where it is kept which earlier model the next one clashes with.
fn clashing(model: u64) -> String {
    format!("clash/{model}")
}

/// Keeps that the members have opened for an earlier model what they would have to open for this one, over other data.
pub(super) fn clashes(model: u64, earlier: u64, node: &Node) -> Result<(), NodeError> {
    Ok(node.store.put(&clashing(model), &earlier.to_le_bytes())?)
}

pub(super) fn has_clash(model: u64, node: &Node) -> Result<bool, NodeError> {
    Ok(clash(model, node)?.is_some())
}

fn clash(model: u64, node: &Node) -> Result<Option<u64>, NodeError> {
    let kept = node.store.get(&clashing(model))?;
    Ok(kept.and_then(|kept| kept.as_slice().try_into().ok()).map(u64::from_le_bytes))
}

/// Why a model is given up, in words.
pub(super) fn why(model: u64, book: &Book, node: &Node) -> Result<String, NodeError> {
    let Some(m) = book.models.get(&model) else { return Ok(String::new()) };
    if let Some(earlier) = clash(model, node)? {
        return Ok(format!(
            "model {model} is given up: members have opened the same for model {earlier}, over other data"
        ));
    }
    let left = m.donors.iter().filter(|d| !d.use_ended && !d.excluded).count();
    let (failed, least) = (failed_in_a_row(model, book), usize::from(m.terms.min_survivors));
    let why = match (left < least, failed) {
        (true, _) => format!("{left} donors are left, and a round needs {least}"),
        (false, 0) => "it came to its end without a model".into(),
        (false, failed) => format!("{failed} round(s) in a row came to no sum"),
    };
    Ok(format!("model {model} is given up: {why}"))
}

/// What the questions begin with whether to give a model up.
fn giving_up(model: u64) -> String {
    format!("give-up/{model}/")
}

/// Takes back what was asked about a model that is no more.
pub(super) fn close_questions(model: u64, node: &Node, now: u64) -> Result<(), NodeError> {
    for asked in node.store.questions(true)? {
        let key = &asked.question.key;
        if key.starts_with(&giving_up(model)) || *key == format!("train/{model}") {
            node.store.take_back(key, "the model was given up", now)?;
        }
    }
    Ok(())
}

/// Owners who are waited for while a model recruits: how many have said nothing. None when it is too late for them.
pub(super) fn silent(model: &Model, book: &Book, node: &Node, now: u64) -> Result<usize, NodeError> {
    let id = model.model;
    let until = trainer::proposal(model, node)?.and_then(|p| p.until);
    if until.is_some_and(|until| now >= until) {
        return Ok(0);
    }
    let key = format!("recruiting/{id}");
    let since = match node.store.get(&key)?.and_then(|kept| kept.as_slice().try_into().ok()) {
        Some(kept) => u64::from_le_bytes(kept),
        None => {
            node.store.put(&key, &now.to_le_bytes())?;
            now
        }
    };
    let mut silent = 0;
    let mut wake = until;
    for member in book.members.iter().filter(|m| m.member && m.roles.contains(&Role::Owner)) {
        let of_member = |d: &histone_contracts::book::Donor| {
            book.datasets.get(&d.dataset).is_some_and(|dataset| dataset.owner == member.account)
        };
        if model.donors.iter().any(of_member)
            || model.refused.contains(&member.account)
            || node.marked(&declined(id, member.account))?
        {
            continue;
        }
        let mut own = book.datasets.iter().filter(|d| d.owner == member.account);
        let has_data = own.any(|d| d.state == DatasetState::Registered);
        if !has_data {
            if now >= since + NO_DATA {
                continue;
            }
            wake = Some(wake.map_or(since + NO_DATA, |at| at.min(since + NO_DATA)));
        }
        silent += 1;
    }
    if let Some(at) = wake.filter(|_| silent > 0) {
        node.soon.at(at);
    }
    Ok(silent)
}

/// Where it is kept that an owner has said no to a model.
pub(super) fn declined(model: u64, owner: Address) -> String {
    format!("declined/{model}/{owner:x}")
}

/// Until when a model recruits, in words for who is asked.
pub(super) fn until_when(model: &Model, node: &Node) -> Result<String, NodeError> {
    let until = trainer::proposal(model, node)?.and_then(|p| p.until);
    Ok(until.map(|until| format!(" Owners are waited for until {}.", moment(until))).unwrap_or_default())
}

/// Says until when this trainer's own models recruit, and does not wait for owners who have declined by letter.
pub(crate) fn say_until(waiting: &mut [Waiting], book: &Book, node: &Node) -> Result<(), NodeError> {
    for waits in waiting {
        let model = book.models.get(&waits.model);
        let own = |m: &&Model| m.state == ModelState::Recruiting && m.trainer == node.party.account();
        if let Some(model) = model.filter(own) {
            waits.until = trainer::proposal(model, node)?.and_then(|p| p.until);
            let mut silent = Vec::new();
            for owner in std::mem::take(&mut waits.whom) {
                if !node.marked(&declined(waits.model, owner))? {
                    silent.push(owner);
                }
            }
            waits.whom = silent;
        }
    }
    Ok(())
}
