//! `histone chain status`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use histone_chain::{Chain, ChainError, FILE_NAME, SystemClock};
use serde_json::{Value, json};

use super::client::Client;
use crate::progress::STDOUT;
use crate::tables::table;

type Facts = Vec<(&'static str, Value)>;

/// Tells what a chain holds, from its directory or from its server.
pub fn run(place: &str, as_json: bool, out: &mut dyn Write) -> Result<bool> {
    let facts = match Client::new(place) {
        Some(client) => from_server(&client).with_context(|| format!("cannot ask `{place}`"))?,
        None if place.contains("://") => bail!("`{place}` is neither a directory nor an http:// address"),
        None => from_directory(Path::new(place))?,
    };
    if as_json {
        let document: serde_json::Map<_, _> =
            facts.into_iter().map(|(name, value)| (name.replace(' ', "_"), value)).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?).context(STDOUT)?;
        return Ok(true);
    }
    let rows = facts.into_iter().map(|(name, value)| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        vec![name.to_owned(), shown]
    });
    writeln!(out, "{}", table(&["chain", place], rows)).context(STDOUT)?;
    Ok(true)
}

fn from_directory(dir: &Path) -> Result<Facts> {
    let dir = &super::ledger_in(dir);
    let chain = Chain::open_read_only(dir, Arc::new(SystemClock)).map_err(|error| match error {
        ChainError::Locked(_) => anyhow!(
            "another process holds `{}`; if it serves the chain, ask it: histone chain status http://127.0.0.1:8545",
            dir.display()
        ),
        other => other.into(),
    })?;
    let path = dir.join(FILE_NAME);
    let bytes = fs::metadata(&path).with_context(|| format!("cannot look at `{}`", path.display()))?.len();
    let (head, size, genesis) = (chain.head()?, chain.size()?, chain.genesis());
    Ok(vec![
        ("chain id", json!(genesis.chain_id)),
        ("block", json!(head.header.number)),
        ("head", json!(head.hash)),
        ("time", json!(head.header.timestamp)),
        ("sequencer", json!(genesis.sequencer)),
        ("transactions", json!(size.transactions)),
        ("accounts", json!(size.accounts)),
        ("storage slots", json!(size.slots)),
        ("file bytes", json!(bytes)),
    ])
}

/// What JSON-RPC can tell: the number of accounts and the file are not for strangers to ask.
fn from_server(client: &Client) -> Result<Facts> {
    let chain_id = client.ask("eth_chainId", &json!([]))?;
    let version = client.ask("web3_clientVersion", &json!([]))?;
    let block = client.ask("eth_getBlockByNumber", &json!(["latest", false]))?;
    let number = |value: &Value| -> Result<u64> {
        let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
        digits
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| anyhow!("the answer is not that of an Ethereum node: `{value}` is not a number"))
    };
    let member = |name: &str| block.get(name).cloned().unwrap_or_default();
    Ok(vec![
        ("chain id", json!(number(&chain_id)?)),
        ("block", json!(number(&member("number"))?)),
        ("head", member("hash")),
        ("time", json!(number(&member("timestamp"))?)),
        ("sequencer", member("miner")),
        ("server", version),
    ])
}
