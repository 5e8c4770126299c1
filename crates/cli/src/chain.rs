//! `histone chain replay`.

use std::path::Path;

use anyhow::Result;

/// Re-executes a chain.
pub fn replay(dir: &Path, json: bool) -> Result<bool> {
    let report = histone_chain::replay(dir)?;
    if json {
        let document = serde_json::json!({
            "blocks": report.blocks,
            "transactions": report.transactions,
            "gas": report.gas,
            "head": report.head,
            "state_digest": report.state_digest,
            "chain_id": report.genesis.chain_id,
            "sequencer": report.genesis.sequencer,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        println!(
            "every block holds: {} transactions in {} blocks, {} gas\nhead         {}\nstate digest {}\nsequencer    {} (one operator's tamper-evident log, not a decentralized chain)",
            report.transactions,
            report.blocks,
            report.gas,
            report.head,
            report.state_digest,
            report.genesis.sequencer
        );
    }
    Ok(true)
}
