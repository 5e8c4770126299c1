//! A person's word before something that cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context as _, Result, bail};

use crate::progress::tell;

/// Says what is about to happen and lets a person confirm it; `yes` has confirmed it before. Where nobody can be asked, nothing is
/// done.
pub fn sure(lines: &[&str], yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    lines.iter().for_each(|line| tell(line));
    if !io::stdin().is_terminal() {
        bail!("nothing was done: this cannot be taken back; repeat the command with --yes");
    }
    tell("This cannot be taken back. Type yes to go on.");
    let mut answer = String::new();
    // What cannot be shown can be answered, too.
    let _ = io::stderr().flush();
    io::stdin().lock().read_line(&mut answer).context("cannot read your answer")?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => bail!("nothing was done: it was not confirmed"),
    }
}
