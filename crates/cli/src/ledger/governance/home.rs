//! The same by a member's node, which has the key and a copy of the ledger.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use histone_ledger::governance::pick;
use histone_node::daemon::voting::{MOTION, Motion, VOTE, Voting};

use super::{Acting, COLUMNS, GovernanceCommand, Looking, NONE, Names, facts, row};
use crate::person::wishes::{self, Wishing};
use crate::person::{self, proposals};
use crate::progress::STDOUT;
use crate::tables::{plain, table};

impl Looking {
    fn node(&self) -> Result<person::Place> {
        let home = self.home.clone().context("name the home of a node with --home")?;
        Ok(person::Place::at(home, self.reading.json))
    }
}

impl Acting {
    fn wishing(&self) -> Result<Wishing> {
        Ok(Wishing { wait: self.wait, place: self.looking.node()? })
    }
}

/// Runs a command that names a home.
pub fn at_home(command: GovernanceCommand, out: &mut dyn Write) -> Result<bool> {
    match command {
        GovernanceCommand::Propose(args) => {
            let actions = args.actions()?;
            let motion = Motion { actions, description: args.description.clone() };
            let what = serde_json::to_value(motion).context("a wish cannot be written")?;
            wishes::make(&args.acting.wishing()?, MOTION, &what, "to propose this to the members", out)
        }
        GovernanceCommand::Vote { proposal, vote, reason, acting } => {
            let aim = format!("to vote on proposal {proposal}");
            let voting = Voting { proposal, vote: vote.into(), reason };
            let what = serde_json::to_value(voting).context("a wish cannot be written")?;
            wishes::make(&acting.wishing()?, VOTE, &what, &aim, out)
        }
        GovernanceCommand::List { looking } | GovernanceCommand::Show { proposal: None, looking } => {
            list(&looking, out)
        }
        GovernanceCommand::Show { proposal: Some(proposal), looking } => one(&proposal, &looking, out),
        GovernanceCommand::Execute { .. } => bail!("a member's node carries out by itself what was accepted"),
    }
}

fn list(looking: &Looking, out: &mut dyn Write) -> Result<bool> {
    let all = proposals::all(&looking.node()?)?;
    if looking.reading.json {
        let document = serde_json::json!({ "proposals": all });
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?).context(STDOUT)?;
    } else if all.is_empty() {
        writeln!(out, "{NONE}").context(STDOUT)?;
    } else {
        let rows = all.iter().map(|p| row(p, &Names::default()));
        writeln!(out, "{}", table(&COLUMNS, rows)).context(STDOUT)?;
    }
    Ok(true)
}

fn one(prefix: &str, looking: &Looking, out: &mut dyn Write) -> Result<bool> {
    let all = proposals::all(&looking.node()?)?;
    let p = pick(&all, |p| p.number.clone(), prefix)?;
    if looking.reading.json {
        let document = serde_json::json!({ "proposal": p });
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?).context(STDOUT)?;
        return Ok(true);
    }
    let facts = facts(p, &Names::default());
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    writeln!(out, "{}", p.number).context(STDOUT)?;
    for (name, value) in facts {
        writeln!(out, "  {name:<width$}  {}", plain(&value)).context(STDOUT)?;
    }
    Ok(true)
}
