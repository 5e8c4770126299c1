//! `histone blob`: public documents, by the hashes that the ledger has.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use histone_network::BlobStore;
use histone_protocol::B256;
use histone_protocol::hash::blob_hash;

use crate::node::{HomeArgs, hub_net};
use crate::progress::{STDOUT, tell};

#[derive(Subcommand)]
pub enum Command {
    /// Fetch a public document by its hash, from the home or from the hub, and compare it with that.
    Get(GetArgs),
}

/// Which document.
#[derive(Args)]
pub struct GetArgs {
    /// Its hash, as the ledger or a question names it.
    hash: B256,
    #[command(flatten)]
    home: HomeArgs,
    /// Where to write it; without it, it goes to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs a command about public documents.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<bool> {
    match command {
        Command::Get(args) => get(args, out),
    }
}

fn get(args: &GetArgs, out: &mut dyn Write) -> Result<bool> {
    let opened = args.home.open()?;
    let mut blobs = BlobStore::open(opened.home.blobs())?;
    if let Some(url) = &opened.settings.hub {
        let network = hub_net(url, &opened.settings, opened.home.dir(), &opened.party)?;
        blobs = blobs.linked(std::sync::Arc::new(network));
    }
    let bytes = blobs.get(args.hash).with_context(|| {
        format!("nobody shows {}; whoever has put it on the ledger must show it", args.hash)
    })?;
    if blob_hash(&bytes) != args.hash {
        bail!("what was found is not {}", args.hash);
    }
    match &args.out {
        Some(file) => {
            histone_network::write_whole(file, &bytes)?;
            tell(&format!("{} bytes are in {}", bytes.len(), file.display()));
        }
        None => out.write_all(&bytes).context(STDOUT)?,
    }
    Ok(true)
}
