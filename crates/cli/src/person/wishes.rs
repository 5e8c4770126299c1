//! What a person asks its node to do.

use std::io::Write;

use anyhow::{Result, bail};
use clap::Args;
use histone_node::api::wire::{Made, NewWish, Wish, WishState};
use serde_json::Value;

use super::client::{Events, Node};
use super::{Place, document, line};
use crate::progress::tell;
use crate::tables::{number, plain};

/// How a wish is made.
#[derive(Args, Debug, Clone)]
pub struct Wishing {
    /// Wait until it is done, and print what came of it.
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub place: Place,
}

/// Has the node do something; `aim` says what, as in `the node is asked to ...`.
pub fn make(wishing: &Wishing, kind: &str, what: &Value, aim: &str, out: &mut dyn Write) -> Result<bool> {
    let node = Node::find(&wishing.place.dir()?)?;
    // Before it is made: nothing that becomes of it is missed.
    let events = if wishing.wait { Some(Events::follow(&node)?) } else { None };
    let wish = NewWish { kind: kind.to_owned(), what: what.clone() };
    let made: Made = node.post("/v1/wishes", &wish)?;
    let Some(events) = events else {
        if wishing.place.json {
            document(out, &made)?;
        } else {
            let number = made.number;
            line(
                out,
                &format!(
                    "the node is asked {aim} (wish {number}); `histone log --follow` shows what it does"
                ),
            )?;
        }
        return Ok(true);
    };
    let done = wait(&node, events, made.number)?;
    if wishing.place.json {
        document(out, &done)?;
        return Ok(done.state == WishState::Done);
    }
    match done.why {
        Some(why) => bail!("the node could not do it: {why}"),
        None => line(out, &outcome(&done)).map(|()| true),
    }
}

/// What came of a wish, in words.
pub fn outcome(wish: &Wish) -> String {
    let answer = |answer: &Value| match answer.as_array() {
        Some(parts) => {
            let parts = parts.iter().map(|part| part.as_f64().map_or_else(|| "-".to_owned(), number));
            format!("answer: {}", parts.collect::<Vec<_>>().join(", "))
        }
        None => "the answer cannot be shown".into(),
    };
    match wish.state {
        WishState::Open if wish.progress.is_empty() => "not begun yet".into(),
        WishState::Open => wish.progress.clone(),
        WishState::Failed => wish.why.clone().unwrap_or_default(),
        WishState::Done => match (&wish.outcome, wish.outcome.get("answer")) {
            (_, Some(found)) => answer(found),
            (Value::Null, None) => "done".into(),
            (Value::Object(facts), None) if facts.get("said").is_some_and(Value::is_string) => {
                facts.get("said").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            (Value::Object(facts), None) => {
                let facts = facts.iter().map(|(name, value)| match value.as_str() {
                    Some(text) => format!("{name}: {text}"),
                    None => format!("{name}: {value}"),
                });
                facts.collect::<Vec<_>>().join(", ")
            }
            (other, None) => other.to_string(),
        },
    }
}

/// Waits until a wish is done or failed.
fn wait(node: &Node, mut events: Events, number: u64) -> Result<Wish> {
    let mut wish: Wish = node.get(&format!("/v1/wishes/{number}"))?;
    let mut told = String::new();
    while wish.state == WishState::Open {
        if wish.progress != told {
            tell(&plain(&wish.progress));
            told.clone_from(&wish.progress);
        }
        let event = events.next()?;
        if event.name == "wish" {
            let news: Wish = serde_json::from_str(&event.data)?;
            if news.number == number {
                wish = news;
            }
        }
    }
    Ok(wish)
}
