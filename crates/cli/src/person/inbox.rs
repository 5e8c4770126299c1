//! `histone inbox`, `histone approve`, `histone decline`.

use std::io::Write;

use anyhow::{Context as _, Result};
use clap::Args;
use histone_node::api::wire::{Decision, Inbox, Question, QuestionState};

use super::client::{Events, Node};
use super::{Place, age, document, line, now};
use crate::ledger::text::utc;
use crate::progress::STDOUT;
use crate::tables::table;

/// What to show.
#[derive(Args)]
pub struct InboxArgs {
    /// The question to show in full.
    number: Option<u64>,
    /// Also what was answered or taken back.
    #[arg(long, conflicts_with = "number")]
    all: bool,
    /// First wait until so many questions are open.
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["number", "all"])]
    wait: Option<usize>,
    #[command(flatten)]
    place: Place,
}

/// What to approve.
#[derive(Args)]
pub struct ApproveArgs {
    /// The question's number, as `histone inbox` shows it.
    number: u64,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    because: String,
    #[command(flatten)]
    place: Place,
}

/// What to decline.
#[derive(Args)]
pub struct DeclineArgs {
    /// The question's number, as `histone inbox` shows it.
    number: u64,
    /// Why; whoever waits for the answer may get to read it.
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    place: Place,
}

/// A state in words.
fn state(question: &Question) -> &'static str {
    match question.state {
        QuestionState::Open => "open",
        QuestionState::Late => "not answered in time",
        QuestionState::Approved => "approved",
        QuestionState::Declined => "declined",
        QuestionState::Withdrawn => "taken back",
    }
}

/// Shows the inbox.
pub fn show(args: &InboxArgs, out: &mut dyn Write) -> Result<bool> {
    let node = Node::find(&args.place.dir()?)?;
    if let Some(count) = args.wait {
        wait(&node, count)?;
    }
    let every = args.all || args.number.is_some();
    let inbox: Inbox = node.get(if every { "/v1/inbox?all=true" } else { "/v1/inbox" })?;
    if let Some(number) = args.number {
        let question = inbox.questions.into_iter().find(|question| question.number == number);
        let question = question.with_context(|| {
            format!("there is no question {number}; `histone inbox --all` lists them all")
        })?;
        return if args.place.json { document(out, &question) } else { in_full(&question, out) }
            .map(|()| true);
    }
    if args.place.json {
        return document(out, &inbox).map(|()| true);
    }
    if inbox.questions.is_empty() {
        line(out, if args.all { "nothing was asked yet" } else { "nothing waits for an answer" })?;
        return Ok(true);
    }
    let now = now();
    let rows = inbox.questions.iter().map(|question| {
        let mut row = vec![question.number.to_string(), age(now.saturating_sub(question.asked_at))];
        row.push(question.due.map_or_else(|| "-".into(), utc));
        if args.all {
            row.push(state(question).into());
        }
        row.push(question.title.clone());
        row
    });
    let head: &[&str] = match args.all {
        true => &["number", "age", "until", "state", "question"],
        false => &["number", "age", "until", "question"],
    };
    writeln!(out, "{}", table(head, rows)).context(STDOUT)?;
    if !args.all {
        line(
            out,
            "`histone inbox NUMBER` shows one in full; answer with `histone approve` or `histone decline`",
        )?;
    }
    Ok(true)
}

/// Waits until so many questions are open.
fn wait(node: &Node, count: usize) -> Result<()> {
    // Before it is looked: no question is missed.
    let mut events = Events::follow(node)?;
    while node.get::<Inbox>("/v1/inbox")?.questions.len() < count {
        while events.next()?.name != "inbox" {}
    }
    Ok(())
}

fn in_full(question: &Question, out: &mut dyn Write) -> Result<()> {
    line(out, &format!("question {}: {}", question.number, question.title))?;
    line(out, "")?;
    line(out, &question.text)?;
    line(out, "")?;
    line(out, &format!("asked    {}", utc(question.asked_at)))?;
    if let Some(due) = question.due {
        line(out, &format!("until    {}", utc(due)))?;
    }
    line(out, &format!("state    {}", state(question)))?;
    if let Some(answer) = &question.answer {
        line(out, &format!("by       {}, {}", answer.by, utc(answer.at)))?;
        if !answer.because.is_empty() {
            line(out, &format!("because  {}", answer.because))?;
        }
    }
    if let Some(why) = &question.withdrawn {
        line(out, &format!("because  {why}"))?;
    }
    line(out, &format!("data     {}", question.facts))
}

/// Approves.
pub fn approve(args: &ApproveArgs, out: &mut dyn Write) -> Result<bool> {
    let node = Node::find(&args.place.dir()?)?;
    answer(&node, args.number, true, &args.because, args.place.json, out)
}

/// Declines.
pub fn decline(args: &DeclineArgs, out: &mut dyn Write) -> Result<bool> {
    let node = Node::find(&args.place.dir()?)?;
    answer(&node, args.number, false, &args.because, args.place.json, out)
}

/// Answers a question.
pub fn answer(
    node: &Node,
    number: u64,
    yes: bool,
    because: &str,
    json: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let decision = Decision { yes, because: because.to_owned() };
    let question: Question = node.post(&format!("/v1/inbox/{number}"), &decision)?;
    if json {
        document(out, &question)?;
    } else {
        line(out, &format!("{}: {}", state(&question), question.title))?;
    }
    Ok(true)
}
