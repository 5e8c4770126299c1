//! Where a ledger is: a run folder, the directory of a chain, or a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy_primitives::Address;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use histone_chain::{Chain, ChainError, FILE_NAME, ManualClock};
use histone_compliance::folder::{Folder, RunRecord};
use histone_contracts::Contract;
use histone_ledger::view::directories;
use histone_ledger::{Connection, Ledger};
use histone_protocol::keys::SigningKey;

use crate::chain::key;

/// Where the ledger is read.
#[derive(Args, Debug, Clone)]
pub struct Place {
    /// A run folder, or the directory of a chain [default: histone-run, unless --rpc is given].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A node, such as http://127.0.0.1:8545.
    #[arg(long, value_name = "URL", env = "HISTONE_RPC", hide_env_values = true)]
    rpc: Option<String>,
    /// The directory contract of the ledger; a run folder knows its own.
    #[arg(long, value_name = "ADDRESS", env = "HISTONE_DIRECTORY", hide_env_values = true)]
    directory: Option<Address>,
}

/// How something is read and shown.
#[derive(Args, Debug, Clone)]
pub struct Reading {
    #[command(flatten)]
    pub place: Place,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// How something is changed.
#[derive(Args, Debug, Clone)]
pub struct Writing {
    #[command(flatten)]
    pub reading: Reading,
    /// Key of the account that acts: a file with 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
}

/// Names of accounts. The ledger has none; a run folder has those of its parties.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<Address, String>);

impl From<BTreeMap<Address, String>> for Names {
    fn from(names: BTreeMap<Address, String>) -> Self {
        Self(names)
    }
}

impl Names {
    /// The name of an account.
    pub fn get(&self, account: Address) -> Option<&str> {
        self.0.get(&account).map(String::as_str)
    }

    /// All of them.
    pub fn all(&self) -> &BTreeMap<Address, String> {
        &self.0
    }

    /// The name, or the first digits of the account.
    pub fn of(&self, account: Address) -> String {
        self.get(account).map_or_else(|| super::text::short(account), str::to_owned)
    }

    /// The account in full, with its name behind it.
    pub fn full(&self, account: Address) -> String {
        match self.get(account) {
            Some(name) => format!("{account} ({name})"),
            None => account.to_string(),
        }
    }

    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<Address> {
        self.0.iter().find(|(_, known)| known.as_str() == name).map(|(account, _)| *account)
    }
}

/// A ledger that was found.
pub struct Opened {
    /// Its contracts.
    pub ledger: Ledger,
    /// Who is who.
    pub names: Names,
}

/// The folder that a run leaves when none is named.
pub const DEFAULT: &str = "histone-run";

impl Place {
    /// Its folder, the usual one when none is named.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| DEFAULT.into())
    }

    /// Opens the ledger for reading.
    pub async fn open(&self) -> Result<Opened> {
        let record = self.record()?;
        let (connection, shown) = match &self.rpc {
            Some(url) => {
                let connection = Connection::http(url)?;
                let shown = format!("the node {}", connection.what());
                (connection, shown)
            }
            None => (self.embedded(record.as_ref())?, format!("`{}`", self.dir().display())),
        };
        let found = connection.chain_id().await.with_context(|| format!("cannot use {shown}"))?;
        if let Some(record) = &record {
            let expected = record.deployment.chain_id;
            if found != expected {
                bail!("{shown} has chain id {found}; the run in `{}` is on {expected}", self.dir().display());
            }
        }
        let directory = match (self.directory, &record) {
            (Some(directory), _) => directory,
            (None, Some(record)) => record.deployment.directory,
            (None, None) if self.rpc.is_some() => bail!(
                "give the directory of the ledger with --directory or HISTONE_DIRECTORY; `histone ledger deploy` printed it"
            ),
            (None, None) => only(&directories(&connection).await?, &shown)?,
        };
        let ledger = Ledger::find(connection, directory).await?;
        let names = names(&ledger, record.as_ref());
        Ok(Opened { ledger, names })
    }

    /// What the run folder says about itself; none for another folder, and none for a node alone.
    fn record(&self) -> Result<Option<RunRecord>> {
        if self.rpc.is_some() && self.dir.is_none() {
            return Ok(None);
        }
        let folder = Folder::at(self.dir());
        if !folder.record().exists() {
            return Ok(None);
        }
        let (record, _) = folder.read::<RunRecord>(&folder.record())?;
        Ok(Some(record))
    }

    /// The chain in the folder, as of its last block.
    fn embedded(&self, record: Option<&RunRecord>) -> Result<Connection> {
        let dir = self.dir();
        let shown = dir.display();
        let chain_dir = [dir.clone(), dir.join("ledger")].into_iter().find(|d| d.join(FILE_NAME).exists());
        let Some(chain_dir) = chain_dir else {
            if let Some(record) = record {
                if record.network.is_some() {
                    bail!("the ledger of the run in `{shown}` is on a network; give a node of it with --rpc");
                }
                bail!("`{shown}` is a run without its ledger: `{shown}/ledger/{FILE_NAME}` is missing");
            }
            if !dir.is_dir() {
                bail!(
                    "there is no folder `{shown}`; make a run with `histone demo`, or name a run folder or chain with --dir, or a node with --rpc"
                );
            }
            bail!("`{shown}` holds neither a run nor a chain; name one with --dir, or a node with --rpc");
        };
        // Time stands still at the last block: nothing expires because somebody looks later.
        let chain = Chain::open_read_only(&chain_dir, Arc::new(ManualClock::new(0))).map_err(|error| match error {
            ChainError::Locked(_) => anyhow!(
                "another process holds `{shown}`; if it serves the chain, ask it: --rpc http://127.0.0.1:8545"
            ),
            other => other.into(),
        })?;
        Ok(Connection::embedded(chain))
    }
}

fn only(directories: &[Address], shown: &str) -> Result<Address> {
    match directories {
        [one] => Ok(*one),
        [] => bail!("{shown} holds no ledger: nothing was deployed there with `histone ledger deploy`"),
        more => {
            let list: Vec<_> = more.iter().map(Address::to_string).collect();
            bail!("{shown} holds {} ledgers; choose one with --directory: {}", more.len(), list.join(", "))
        }
    }
}

fn names(ledger: &Ledger, record: Option<&RunRecord>) -> Names {
    let mut names = BTreeMap::new();
    for contract in Contract::ALL {
        names.insert(ledger.deployment().address(contract), format!("the {contract}"));
    }
    for party in record.iter().flat_map(|r| &r.parties) {
        for payee in &party.payees {
            names.insert(*payee, format!("{}, as donor", party.name));
        }
        names.insert(party.account, party.name.clone());
    }
    Names(names)
}

impl Reading {
    /// Opens the ledger for changes, with the key in a file.
    pub async fn open_with(&self, key_file: &Path) -> Result<(Opened, SigningKey)> {
        if self.place.rpc.is_none() {
            return Err(needs_node());
        }
        let key = key::account(key_file)?;
        Ok((self.place.open().await?, key))
    }
}

impl Writing {
    /// Opens the ledger for changes, with the key of the account that acts.
    pub async fn open(&self) -> Result<(Opened, SigningKey)> {
        self.reading.open_with(&self.key_file).await
    }

    /// A node and the key, before there is a ledger.
    pub fn bare(rpc: Option<&str>, key_file: &Path) -> Result<(Connection, SigningKey)> {
        let Some(url) = rpc else { return Err(needs_node()) };
        let key = key::account(key_file)?;
        Ok((Connection::http(url)?, key))
    }
}

fn needs_node() -> anyhow::Error {
    anyhow!(
        "this changes the ledger and needs a node: give one with --rpc; an embedded chain becomes one with `histone chain serve --dir DIR`"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_ledger_is_found_and_several_are_told_apart() {
        let (a, b) = (Address::repeat_byte(1), Address::repeat_byte(2));
        assert_eq!(only(&[a], "`x`").unwrap(), a);
        let none = only(&[], "`x`").unwrap_err().to_string();
        assert!(none.contains("`x` holds no ledger"), "{none}");
        let two = only(&[a, b], "`x`").unwrap_err().to_string();
        assert!(two.contains("holds 2 ledgers") && two.contains(&b.to_string()), "{two}");
    }
}
