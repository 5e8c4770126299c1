//! `histone log`.

use std::io::Write;

use anyhow::{Context as _, Result};
use clap::Args;
use histone_node::api::wire::{Level, Log, Note};

use super::client::{Events, Node};
use super::{Place, document, json_line, line};
use crate::ledger::text::utc;
use crate::progress::STDOUT;

/// What to show.
#[derive(Args)]
pub struct LogArgs {
    /// Go on with what the node does from now on, until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// Show so many lines, the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    lines: u64,
    #[command(flatten)]
    place: Place,
}

/// Shows the log.
pub fn run(args: &LogArgs, out: &mut dyn Write) -> Result<bool> {
    let node = Node::find(&args.place.dir()?)?;
    let json = args.place.json;
    // Before the old lines are asked for: what comes in between is not missed.
    let events = if args.follow { Some(Events::follow(&node)?) } else { None };
    let log: Log = node.get(&format!("/v1/log?most={}", args.lines))?;
    let Some(mut events) = events else {
        if json {
            document(out, &log)?;
        } else if log.last == 0 {
            line(out, "the node has done nothing yet")?;
        } else {
            log.notes.iter().try_for_each(|note| line(out, &text(note)))?;
        }
        return Ok(true);
    };
    let mut print = |note: &Note| match json {
        true => json_line(out, note),
        false => line(out, &text(note)).and_then(|()| out.flush().context(STDOUT)),
    };
    log.notes.iter().try_for_each(&mut print)?;
    loop {
        let event = events.next()?;
        if event.name == "log" {
            let note: Note = serde_json::from_str(&event.data)?;
            // It may be among the old lines.
            if note.number > log.last {
                print(&note)?;
            }
        }
    }
}

fn text(note: &Note) -> String {
    let level = match note.level {
        Level::Info => "",
        Level::Warning => "WARNING ",
        Level::Error => "ERROR ",
    };
    format!("{}  {level}{}: {}", utc(note.time), note.about, note.text)
}
