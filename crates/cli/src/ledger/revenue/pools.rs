//! Large pools: lists, roots, proofs, and the contracts that pay by them.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result, bail};
use histone_contracts::book::Amount;
use histone_ledger::Ledger;
use histone_ledger::epochs::{Epoch, read_list};
use histone_protocol::keys::SigningKey;
use serde_json::json;

use crate::ledger::page::Page;
use crate::ledger::place::{Place, Reading, Writing};
use crate::ledger::text::{lasting, utc};
use crate::progress::{STDOUT, tell};

fn entries(path: &Path) -> Result<Vec<(Address, U256)>> {
    let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
    read_list(BufReader::new(file)).with_context(|| wrong(path))
}

fn list(path: &Path) -> Result<Epoch> {
    Epoch::new(entries(path)?).with_context(|| wrong(path))
}

fn wrong(path: &Path) -> String {
    format!("`{}` is no list", path.display())
}

fn not_in(account: Address, path: &Path) -> String {
    format!("{account} is not in the list `{}`", path.display())
}

/// `revenue root`.
pub fn root(path: &Path, as_json: bool, out: &mut dyn Write) -> Result<bool> {
    let list = list(path)?;
    let text = if as_json {
        serde_json::to_string_pretty(&json!({
            "accounts": list.entries().len(),
            "root": list.root(),
            "list_hash": list.list_hash(),
            "total": list.sum().to_string(),
        }))?
    } else {
        format!(
            "root      {}\nlist hash {}\ntotal     {} units for {} accounts",
            list.root(),
            list.list_hash(),
            list.sum(),
            list.entries().len()
        )
    };
    writeln!(out, "{text}").context(STDOUT)?;
    Ok(true)
}

/// `revenue proof`.
pub fn proof(path: &Path, account: Address, as_json: bool, out: &mut dyn Write) -> Result<bool> {
    let list = list(path)?;
    let (Some(due), Some(proof)) = (list.due(account), list.proof(account)) else {
        bail!(not_in(account, path));
    };
    let text = if as_json {
        let document =
            json!({ "account": account, "due": due.to_string(), "root": list.root(), "proof": proof });
        serde_json::to_string_pretty(&document)?
    } else {
        let proof: Vec<_> = proof.iter().map(|hash| format!("proof   {hash}")).collect();
        format!("account {account}\ndue     {due}\nroot    {}\n{}", list.root(), proof.join("\n"))
    };
    writeln!(out, "{}", text.trim_end()).context(STDOUT)?;
    Ok(true)
}

/// `revenue share-out`.
pub async fn share_out(
    weights: &Path,
    total: Option<U256>,
    pool: Option<Address>,
    place: &Place,
    out: &mut dyn Write,
) -> Result<bool> {
    let weights_of = entries(weights)?;
    let total = match (total, pool) {
        (Some(total), _) => total,
        (None, Some(pool)) => {
            let opened = place.open().await?;
            opened.ledger.pool(pool).await?.state().await?.received.0
        }
        (None, None) => bail!("give --total or --pool"),
    };
    let list = Epoch::share_out(total, weights_of).with_context(|| wrong(weights))?;
    out.write_all(list.list().as_bytes()).context(STDOUT)?;
    tell(&format!(
        "{} of {total} units shared out to {} accounts; rounding leaves {}. Publish the list with --total {total}",
        list.sum(),
        list.entries().len(),
        total - list.sum()
    ));
    Ok(true)
}

/// `revenue pool`.
pub async fn create(
    keeper: Address,
    window: u64,
    silence: u64,
    writing: &Writing,
    out: &mut dyn Write,
) -> Result<bool> {
    let Ok(window) = u32::try_from(window) else { bail!("a window of {} is too long", lasting(window)) };
    let Ok(silence) = u32::try_from(silence) else { bail!("a silence of {} is too long", lasting(silence)) };
    let (opened, key) = writing.open().await?;
    let address = opened.ledger.create_pool(&key, keeper, window, silence).await?;
    if writing.reading.json {
        let document = json!({ "pool": address, "keeper": keeper, "window": window, "silence": silence });
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?).context(STDOUT)?;
    } else {
        writeln!(
            out,
            "pool {address}: give this address as payee when it donates\nkeeper {keeper}, window {}, silence {}",
            lasting(window.into()),
            lasting(silence.into())
        )
        .context(STDOUT)?;
    }
    Ok(true)
}

/// What a list shares out with what rounding leaves, when its keeper does not say: all that the pool received.
fn to_announce(list: &Epoch, received: U256) -> Result<U256> {
    let Some(rest) = received.checked_sub(list.sum()) else {
        // The contract says so with its own numbers.
        return Ok(list.sum());
    };
    // Rounding leaves less than a unit for each account.
    if rest >= U256::from(list.entries().len()) {
        bail!(
            "the list shares out {} of the {received} units that the pool received, and rounding alone does not leave {rest}: make the list again, or say with --total how much it shares out",
            list.sum()
        );
    }
    Ok(received)
}

/// `revenue publish`.
pub async fn publish(
    path: &Path,
    pool: Address,
    total: Option<U256>,
    writing: &Writing,
    out: &mut dyn Write,
) -> Result<bool> {
    let list = list(path)?;
    let (opened, key) = writing.open().await?;
    let pool = opened.ledger.pool(pool).await?;
    let total = match total {
        Some(total) => total,
        None => to_announce(&list, pool.state().await?.received.0)?,
    };
    pool.propose(&key, &list, total).await?;
    let state = pool.state().await?;
    if writing.reading.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&state)?).context(STDOUT)?;
    } else {
        writeln!(
            out,
            "epoch {} proposed: root {}\nlist hash {}: publish the list under it\nshares out {} of {total} units, rounding leaves the rest\npays from {}, unless an auditor vetoes it",
            state.epoch,
            list.root(),
            list.list_hash(),
            list.sum(),
            utc(state.usable_at)
        )
        .context(STDOUT)?;
    }
    Ok(true)
}

/// `revenue check`.
pub async fn check(
    path: &Path,
    pool: Address,
    weights: Option<&Path>,
    previous: Option<&Path>,
    reading: &Reading,
    out: &mut dyn Write,
) -> Result<bool> {
    let published = list(path)?;
    let opened = reading.place.open().await?;
    let pool = opened.ledger.pool(pool).await?;
    let mut check = pool.check(&published).await?;
    if let Some(weights) = weights {
        let Some(total) = check.state.total else { bail!("the pool has announced no total to share out") };
        let made = Epoch::share_out(total.0, entries(weights)?).with_context(|| wrong(weights))?;
        if made.root() != published.root() {
            let differs = |(account, due): &&(Address, U256)| published.due(*account) != Some(*due);
            let first = made.entries().iter().find(differs).map_or_else(
                || "the list has accounts without a weight".to_owned(),
                |(account, due)| {
                    let listed = published.due(*account).unwrap_or_default();
                    format!("{account} is due {due}, the list says {listed}")
                },
            );
            check.differences.push(format!(
                "by the weights and the announced total of {total} another list comes out: {first}"
            ));
        }
    }
    if let Some(previous) = previous
        && let Err(shrinks) = published.grows_from(&list(previous)?)
    {
        check.differences.push(shrinks.to_string());
    }
    let head = opened.ledger.connection().head().await?;
    let mut page = Page::new(&opened, head);
    page.put("check", &check)?;
    page.put("holds", &check.holds())?;
    let state = &check.state;
    page.facts(
        &format!("pool {}", state.pool),
        [
            ("keeper", opened.names.full(state.keeper)),
            ("latest epoch", state.epoch.to_string()),
            ("posted root", state.root.map_or_else(|| "-".into(), |root| root.to_string())),
            ("root of this list", check.computed_root.to_string()),
            ("hash of this list", check.computed_list_hash.to_string()),
            ("pays from", utc(state.usable_at)),
            ("shares out", format!("{} units to {} accounts", published.sum(), published.entries().len())),
            (
                "announced",
                state
                    .total
                    .map_or_else(|| "-".into(), |total| format!("{total} units, with what rounding leaves")),
            ),
            ("arrived", format!("{} units, of which {} were paid out", state.received, state.paid_out)),
        ],
    );
    for difference in &check.differences {
        page.line(format!("FAILS: {difference}"));
    }
    if check.holds() {
        page.line("the posted root is that of this list");
    }
    page.print(reading.json, out)?;
    if let Some(first) = check.differences.first() {
        tell(&format!("error: {first}"));
    }
    Ok(check.holds())
}

/// `revenue claim --pool`.
pub async fn claim(
    ledger: &Ledger,
    key: &SigningKey,
    pool: Address,
    path: &Path,
    account: Address,
) -> Result<Amount> {
    let list = list(path)?;
    let (Some(due), Some(proof)) = (list.due(account), list.proof(account)) else {
        bail!(not_in(account, path));
    };
    let pool = ledger.pool(pool).await?;
    let before = pool.paid(account).await?;
    pool.claim(key, account, due, proof).await?;
    let after = pool.paid(account).await?;
    Ok(Amount(after.0.saturating_sub(before.0)))
}
