//! What a person says to its own node, and hears from it: thin over the node's local API.
//!
//! The node's home says where the API is. Much of what is shown was written by others; a terminal gets it [`plain`].

mod client;
mod inbox;
mod log;
mod models;
pub mod proposals;
mod queries;
mod status;
pub mod wishes;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde::Serialize;

pub use self::models::ModelCommand;
pub use self::queries::QueryCommand;
pub use self::{models::run as models, queries::run as queries};
use crate::progress::STDOUT;
use crate::tables::plain;

/// The commands to a node that are about nothing else.
#[derive(Subcommand)]
pub enum Command {
    /// Show what the node asks: the questions that wait for an answer, or one of them in full.
    Inbox(inbox::InboxArgs),
    /// Approve what the node asks.
    Approve(inbox::ApproveArgs),
    /// Decline what the node asks.
    Decline(inbox::DeclineArgs),
    /// Show how the node stands: network, models and what they wait for, what does not work.
    Status(status::StatusArgs),
    /// Claim what the market owes to the node's account.
    Claim(wishes::Wishing),
    /// Show what the node has done.
    Log(log::LogArgs),
}

/// Which node, and how it is shown.
#[derive(Args, Debug, Clone)]
pub struct Place {
    /// The node's home [default: ~/.histone].
    #[arg(long, value_name = "DIR", env = "HISTONE_HOME", hide_env_values = true)]
    home: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Place {
    /// The node of this home.
    pub fn at(home: PathBuf, json: bool) -> Self {
        Self { home: Some(home), json }
    }

    /// The home's directory.
    fn dir(&self) -> Result<PathBuf> {
        if let Some(dir) = &self.home {
            return Ok(dir.clone());
        }
        let own = std::env::home_dir().filter(|dir| !dir.as_os_str().is_empty());
        Ok(own.context("this user has no home directory; name the node's home with --home")?.join(".histone"))
    }
}

/// Runs one of them.
pub fn run(command: Command, out: &mut dyn Write) -> Result<bool> {
    match command {
        Command::Inbox(args) => inbox::show(&args, out),
        Command::Approve(args) => inbox::approve(&args, out),
        Command::Decline(args) => inbox::decline(&args, out),
        Command::Status(args) => status::run(&args, out),
        Command::Claim(wishing) => {
            wishes::make(&wishing, "claim", &serde_json::json!({}), "to claim what is owed", out)
        }
        Command::Log(args) => log::run(&args, out),
    }
}

/// Prints a line of text for people.
fn line(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{}", plain(text)).context(STDOUT)
}

/// Prints a JSON document for programs.
fn document(out: &mut dyn Write, what: &impl Serialize) -> Result<()> {
    writeln!(out, "{}", serde_json::to_string_pretty(what)?).context(STDOUT)
}

/// Prints a JSON document on one line, at once: somebody waits for it.
fn json_line(out: &mut dyn Write, what: &impl Serialize) -> Result<()> {
    writeln!(out, "{}", serde_json::to_string(what)?).and_then(|()| out.flush()).context(STDOUT)
}

/// Seconds as people say them: `40 s`, `5 min`, `3 h`, `12 d`.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The machine's time, for ages.
fn now() -> u64 {
    histone_chain::Clock::now(&histone_chain::SystemClock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (86_399, "23 h"),
            (86_400, "1 d"),
            (u64::MAX, "213503982334601 d"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }
}
