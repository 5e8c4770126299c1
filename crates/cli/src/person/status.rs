//! `histone status`.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use histone_node::api::wire::{Said, Status};

use super::client::{Events, Node};
use super::{Place, age, document, json_line, line};
use crate::ledger::text::{short, utc};
use crate::progress::STDOUT;
use crate::tables::table;

/// How often it is looked at a node that says nothing.
const LOOK: Duration = Duration::from_secs(5);
/// Moves to the beginning of the screen and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// What to show.
#[derive(Args)]
pub struct StatusArgs {
    /// Go on until Ctrl-C: a terminal shows how the node stands now, a file gets a line for each change.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    place: Place,
}

/// Shows how the node stands.
pub fn run(args: &StatusArgs, out: &mut dyn Write) -> Result<bool> {
    let dir = args.place.dir()?;
    let node = Node::find(&dir)?;
    if args.watch {
        return watch(&dir, &node, args.place.json, out);
    }
    let status: Status = node.get("/v1/status")?;
    if args.place.json {
        document(out, &status)?;
    } else {
        page(&status, out)?;
    }
    Ok(true)
}

fn watch(dir: &Path, node: &Node, json: bool, out: &mut dyn Write) -> Result<bool> {
    let mut events = Events::follow(node)?;
    let (sender, news) = mpsc::channel();
    thread::spawn(move || {
        // Ends with the program, or when events cannot be had for a reason that does not go away by itself.
        loop {
            let event = events.next();
            let last = event.is_err();
            if sender.send(event.map(drop)).is_err() || last {
                return;
            }
        }
    });
    let redraw = !json && io::stdout().is_terminal();
    let mut before: Option<Status> = None;
    loop {
        // Found anew: a node that was started again has another address.
        let found =
            Node::find(dir).map_err(anyhow::Error::from).and_then(|node| node.get::<Status>("/v1/status"));
        match found {
            Ok(status) => {
                let same = |old: &Status| Status { now: status.now, ..old.clone() } == status;
                let changed = !before.as_ref().is_some_and(same);
                match (json, redraw) {
                    (true, _) if changed => json_line(out, &status)?,
                    (false, true) => {
                        write!(out, "{CLEAR}").context(STDOUT)?;
                        page(&status, out)?;
                    }
                    (false, false) if changed => changes(before.as_ref(), &status, out)?,
                    _ => {}
                }
                before = Some(status);
            }
            Err(error) if redraw => {
                write!(out, "{CLEAR}").context(STDOUT)?;
                line(out, &format!("{error:#}"))?;
            }
            // Said once, by who waits for events.
            Err(_) => {}
        }
        out.flush().context(STDOUT)?;
        match news.recv_timeout(LOOK) {
            Ok(event) => event?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        // What happened at the same time is shown at once.
        while let Ok(event) = news.try_recv() {
            event?;
        }
    }
}

/// What is so now and was not before, a line each.
fn changes(before: Option<&Status>, status: &Status, out: &mut dyn Write) -> Result<()> {
    let old = before.map(sentences).unwrap_or_default();
    let at = utc(status.now);
    let new = sentences(status);
    new.iter()
        .filter(|sentence| !old.contains(sentence))
        .try_for_each(|text| line(out, &format!("{at}  {text}")))?;
    old.iter()
        .filter(|sentence| !new.contains(sentence) && passes(sentence))
        .try_for_each(|text| line(out, &format!("{at}  no longer: {text}")))
}

/// Sentences whose end is news: no other one says it.
fn passes(sentence: &str) -> bool {
    ["fails: ", "model ", "network: "].iter().any(|beginning| sentence.starts_with(beginning))
}

/// How a node stands, in sentences.
fn sentences(status: &Status) -> Vec<String> {
    let mut all = vec![format!("node: {}", standing(status))];
    if status.questions > 0 {
        all.push(format!("inbox: {}", questions(status)));
    }
    if status.proposals > 0 {
        all.push(format!("votes: {}", proposals(status)));
    }
    let Some(said) = &status.said else { return all };
    if let Some(head) = &said.head {
        all.push(format!("head: block {} ({})", head.number, short(head.hash)));
    }
    if let Some(away) = &said.unreachable {
        all.push(format!("network: cannot be reached since {}: {}", utc(away.since), away.why));
    }
    all.extend(said.failing.iter().map(|f| format!("fails: {} since {}: {}", f.duty, utc(f.since), f.why)));
    all.extend(said.waiting.iter().map(|w| {
        let until = w.until.map(|until| format!(", until {}", utc(until))).unwrap_or_default();
        format!("model {} waits for {} of {}{until}", w.model, w.what, whom(&w.whom))
    }));
    all
}

fn standing(status: &Status) -> String {
    let runs = if status.running { "runs" } else { "does not run" };
    match &status.said {
        None => format!("{runs}, and has said nothing yet"),
        Some(Said { network, member: true, .. }) => format!("{runs}, a member of `{network}`"),
        Some(Said { network, founder: Some(founder), account, .. }) if founder.account == *account => {
            format!("{runs}, the founder of `{network}`, who needs to be no member")
        }
        Some(Said { network, founder: Some(founder), .. }) => format!(
            "{runs}, not a member of `{network}`, which an end user need not be; `histone log` says what its founder `{}` ({}) has answered",
            founder.name, founder.account
        ),
        Some(Said { network, .. }) => format!("{runs}, not yet a member of `{network}`"),
    }
}

fn questions(status: &Status) -> String {
    match status.questions {
        0 => "nothing waits for an answer".into(),
        1 => "1 question waits for an answer; see `histone inbox`".into(),
        more => format!("{more} questions wait for an answer; see `histone inbox`"),
    }
}

fn proposals(status: &Status) -> String {
    let open = match status.proposals {
        1 => "1 proposal to the members is open".to_owned(),
        more => format!("{more} proposals to the members are open"),
    };
    format!("{open}; see `histone governance list --home HOME`")
}

fn whom<A: std::fmt::LowerHex>(accounts: &[A]) -> String {
    match accounts {
        [] => "nobody in particular".into(),
        accounts => accounts.iter().map(short).collect::<Vec<_>>().join(", "),
    }
}

/// The whole of it, for people.
fn page(status: &Status, out: &mut dyn Write) -> Result<()> {
    let mut facts = vec![("node", standing(status))];
    if let Some(said) = &status.said {
        facts.push(("account", said.account.to_string()));
        if let Some(head) = &said.head {
            facts.push(("head", format!("block {} ({})", head.number, head.hash)));
        }
        facts.push((
            "network",
            match &said.unreachable {
                None => "reached".into(),
                Some(away) => {
                    let lasting = age(status.now.saturating_sub(away.since));
                    format!("CANNOT BE REACHED since {} ({lasting}): {}", utc(away.since), away.why)
                }
            },
        ));
    }
    facts.push(("inbox", questions(status)));
    if status.proposals > 0 {
        facts.push(("votes", proposals(status)));
    }
    facts.push(("wishes", format!("{} not done yet", status.wishes)));
    facts.push(("letters", format!("{} not signed for yet", status.letters)));
    for (name, value) in facts {
        line(out, &format!("{name:<8}  {value}"))?;
    }
    let Some(said) = &status.said else { return Ok(()) };
    if !said.waiting.is_empty() {
        writeln!(out, "\nModels wait").context(STDOUT)?;
        let rows = said.waiting.iter().map(|w| {
            vec![w.model.to_string(), w.what.clone(), whom(&w.whom), w.until.map_or_else(|| "-".into(), utc)]
        });
        writeln!(out, "{}", table(&["model", "for", "of", "until"], rows)).context(STDOUT)?;
    }
    if !said.failing.is_empty() {
        writeln!(out, "\nWhat fails, and is tried again").context(STDOUT)?;
        let rows = said
            .failing
            .iter()
            .map(|f| vec![f.duty.clone(), utc(f.since), f.times.to_string(), utc(f.again), f.why.clone()]);
        writeln!(out, "{}", table(&["what", "since", "times", "again", "why"], rows)).context(STDOUT)?;
    }
    Ok(())
}
