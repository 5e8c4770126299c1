//! `histone chain`: replay here, the others in files of their own.

mod client;
pub mod follow;
pub mod key;
pub mod serve;
pub mod status;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use histone_chain::{Clock as _, FILE_NAME, MAX_AHEAD, SystemClock};

use crate::damaged::read_chain;
use crate::progress::{STDOUT, tell};

/// Executes a chain again.
pub fn replay(dir: &Path, json: bool, out: &mut dyn Write) -> Result<bool> {
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

/// Says what to give instead of a directory without a chain.
fn no_chain(dir: &Path) -> Result<()> {
    let shown = dir.display();
    let ledger = dir.join("ledger");
    if ledger.join(FILE_NAME).exists() {
        bail!("`{shown}` holds no `{FILE_NAME}`; its chain is in `{}`", ledger.display());
    }
    if !dir.is_dir() {
        bail!("`{shown}` is not a directory; give the ledger of a run, such as `histone-run/ledger`");
    }
    bail!(
        "`{shown}` holds no `{FILE_NAME}`; give the ledger of a run, such as `histone-run/ledger` (a run that was stopped in its first moments has none yet)"
    )
}
