//! `histone chain`: replay here, the others in files of their own.

mod client;
pub mod follow;
pub mod key;
pub mod serve;
pub mod status;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use histone_chain::{Clock as _, FILE_NAME, MAX_AHEAD, SystemClock};
use histone_compliance::folder::Folder;

use crate::damaged::read_chain;
use crate::progress::{STDOUT, tell};

/// Executes a chain again.
pub fn replay(dir: &Path, json: bool, out: &mut dyn Write) -> Result<bool> {
    let dir = &ledger_in(dir);
    if !dir.join(FILE_NAME).exists() {
        no_chain(dir)?;
    }
    let report = read_chain(dir, || {
        histone_chain::replay(dir).with_context(|| format!("the chain in `{}` does not hold", dir.display()))
    })?;
    // Not an error: the clock of a run is SIMULATED and moved on past deadlines.
    let ahead = report.time.saturating_sub(SystemClock.now());
    if ahead > MAX_AHEAD {
        tell(&format!(
            "the newest block is dated {ahead} s ahead of this machine's clock: the clock of the chain was SIMULATED or wrong"
        ));
    }
    if json {
        let document = serde_json::json!({
            "blocks": report.blocks,
            "transactions": report.transactions,
            "gas": report.gas,
            "time": report.time,
            "head": report.head,
            "state_digest": report.state_digest,
            "chain_id": report.genesis.chain_id,
            "sequencer": report.genesis.sequencer,
        });
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?).context(STDOUT)?;
    } else {
        writeln!(
            out,
            "every block holds: {} transactions in {} blocks, {} gas\nhead         {}\nstate digest {}\nsequencer    {} (one operator's tamper-evident log, not a decentralized chain)",
            report.transactions,
            report.blocks,
            report.gas,
            report.head,
            report.state_digest,
            report.genesis.sequencer
        )
        .context(STDOUT)?;
    }
    Ok(true)
}

/// The directory of a chain: the one that is named or, where that is a run folder, its ledger.
pub fn ledger_in(dir: &Path) -> PathBuf {
    let ledger = Folder::at(dir).ledger();
    let is_run = !dir.join(FILE_NAME).exists() && ledger.join(FILE_NAME).exists();
    if is_run { ledger } else { dir.to_path_buf() }
}

/// Says what to give instead of a directory without a chain.
fn no_chain(dir: &Path) -> Result<()> {
    let shown = dir.display();
    if !dir.is_dir() {
        bail!("`{shown}` is not a directory; give a run folder, such as `histone-run`");
    }
    bail!(
        "`{shown}` holds no `{FILE_NAME}`; give a run folder, such as `histone-run` (a run that was stopped in its first moments has none yet)"
    )
}
