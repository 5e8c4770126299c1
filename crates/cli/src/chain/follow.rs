//! `histone chain follow`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use alloy_primitives::B256;
use anyhow::{Context as _, Result, bail};
use histone_chain::{FILE_NAME, RawBlock, RawGenesis, Replica, SystemClock};
use serde_json::{Value, json};

use super::client::Client;
use crate::progress::{STDOUT, tell};

/// Blocks of one request. When they are too many for one answer the server says so, and the rest is asked for again.
const BATCH: u64 = 32;
/// How often a server that has no new block is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Copies the chain of a server, executing every block. Without `once` it goes on until it is stopped, or until the
/// server tells something that does not hold.
pub fn run(url: &str, dir: &Path, genesis: Option<B256>, once: bool, out: &mut dyn Write) -> Result<bool> {
    let Some(client) = Client::new(url) else { bail!("`{url}` is not an http:// address") };
    let replica = open(&client, url, dir)?;
    let zero = replica.genesis().header().hash_slow();
    if let Some(expected) = genesis.filter(|&expected| expected != zero) {
        bail!("the chain begins with block 0 {zero}, not {expected}");
    }
    still_there(&client, &replica)?;
    tell(&format!("block 0 is {zero}: compare it with what the operator published"));
    loop {
        let head = replica.head()?.header.number;
        let wanted: Vec<Value> = (1..=BATCH).map(|step| json!([format!("{:#x}", head + step)])).collect();
        let blocks = client
            .ask_all("sequencer_getBlock", &wanted)
            .with_context(|| format!("cannot get block {} from `{url}`", head + 1))?;
        let (mut applied, mut at_end) = (0, false);
        for (number, block) in (head + 1..).zip(blocks) {
            if block.is_null() {
                at_end = true;
                break;
            }
            let block: RawBlock =
                serde_json::from_value(block).with_context(|| format!("block {number} is not one"))?;
            replica.apply(&block)?;
            applied += 1;
        }
        if applied > 0 {
            let head = replica.head()?;
            tell(&format!("block {} holds: {}", head.header.number, head.hash));
        }
        if at_end {
            if once {
                let head = replica.head()?;
                writeln!(out, "every block to {} holds\nhead {}", head.header.number, head.hash)
                    .context(STDOUT)?;
                return Ok(true);
            }
            thread::sleep(PAUSE);
        }
    }
}

fn open(client: &Client, url: &str, dir: &Path) -> Result<Replica> {
    let clock = Arc::new(SystemClock);
    if dir.join(FILE_NAME).exists() {
        return Ok(Replica::open(dir, clock)?);
    }
    let genesis = client
        .ask("sequencer_getGenesis", &json!([]))
        .with_context(|| format!("cannot get the genesis from `{url}`"))?;
    let genesis: RawGenesis = serde_json::from_value(genesis).context("the genesis is not one")?;
    Ok(Replica::create(dir, &genesis, clock)?)
}

/// The newest block of the copy is still the server's: otherwise history was rewritten since.
fn still_there(client: &Client, replica: &Replica) -> Result<()> {
    let head = replica.head()?;
    let number = head.header.number;
    let block = client.ask("eth_getBlockByNumber", &json!([format!("{number:#x}"), false]))?;
    match block.get("hash").and_then(Value::as_str) {
        Some(hash) if hash.parse() == Ok(head.hash) => Ok(()),
        Some(hash) => bail!("block {number} differs: the server has {hash}, this copy {}", head.hash),
        None => bail!("the server has no block {number}, which this copy has: blocks were taken back"),
    }
}
