//! `histone verify`.

mod network;

use std::io::Write;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use anyhow::{Context, Result, bail};
use clap::Args;
use histone_chain::FILE_NAME;
use histone_compliance::folder::{Folder, RunRecord};
use histone_compliance::verify::{
    Check, Look, Outcome, Report, Source, VerifyError, verify_model, verify_with,
};
use histone_ledger::Connection;
use histone_protocol::seal::SealKey;
use indicatif::ProgressBar;
use zeroize::Zeroizing;

pub use self::network::{NetworkPlace, network};
use crate::damaged::read_chain;
use crate::progress::{STDOUT, tell};

/// Prints the table of all leaves.
pub fn table(out: &mut dyn Write) -> Result<bool> {
    write!(out, "{}", histone_compliance::verify::table()).context(STDOUT)?;
    Ok(true)
}

/// Where a model is checked that is in no run folder.
#[derive(Args, Debug)]
pub struct ModelPlace {
    /// Public storage: the directory of its blobs [default: `blobs` in the run folder].
    #[arg(long, value_name = "DIR", requires = "model")]
    blobs: Option<PathBuf>,
    /// The directory contract of the ledger [default: the only one of the chain, or the run folder's].
    #[arg(long, value_name = "ADDRESS", requires = "named")]
    directory: Option<Address>,
    /// The first block of the network that is read: earlier ones cannot hold anything of the ledger.
    #[arg(long, value_name = "NUMBER", requires = "model", default_value_t = 0)]
    first_block: u64,
}

/// The key of an auditor, as its node keeps it: 32 bytes in `seal.key`.
fn auditor_key(file: Option<&Path>) -> Result<Option<SealKey>> {
    let Some(file) = file else { return Ok(None) };
    let shown = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read the auditor's key `{shown}`"))?;
    let bytes = Zeroizing::new(bytes);
    let Ok(seed) = bytes.as_slice().try_into() else {
        bail!(
            "`{shown}` has {} bytes where the key of an auditor has 32; it is the file `seal.key` in the auditor's private directory",
            bytes.len()
        );
    };
    Ok(Some(SealKey::from_seed(seed)))
}

/// Checks a run folder, with the node at `rpc` when its ledger is on a network, and with an auditor's key what is sealed; prints
/// one line a check.
pub fn verify(
    dir: &Path,
    rpc: Option<&str>,
    auditor: Option<&Path>,
    json: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let node = rpc.map(Connection::http).transpose()?;
    let auditor = auditor_key(auditor)?;
    let look = Look { node: node.as_ref(), auditor: auditor.as_ref() };
    checked(dir, json, out, &ProgressBar::hidden(), async |show| verify_with(dir, look, show).await)
}

/// Checks one model of a ledger; prints one line a check.
pub fn model(
    number: u64,
    dir: &Path,
    rpc: Option<&str>,
    auditor: Option<&Path>,
    place: &ModelPlace,
    json: bool,
    out: &mut dyn Write,
) -> Result<bool> {
    let (folder, auditor) = (Folder::at(dir), auditor_key(auditor)?);
    let blobs = place.blobs.clone().unwrap_or_else(|| folder.blobs());
    if !blobs.is_dir() {
        bail!("`{}` is not a directory; name the one with the public blobs with --blobs", blobs.display());
    }
    let recorded = || folder.read::<RunRecord>(&folder.record()).ok().map(|(record, _)| record);
    let directory = place.directory.or_else(|| Some(recorded()?.deployment.directory));
    let source = match rpc {
        Some(url) => Source::Node {
            node: Connection::http(url)?,
            directory: directory.context("name the directory contract of the ledger with --directory")?,
            first_block: match recorded().and_then(|record| record.network) {
                Some(network) if place.first_block == 0 => network.first_block,
                _ => place.first_block,
            },
        },
        None => {
            let chain = [folder.ledger(), dir.to_owned()].into_iter().find(|d| d.join(FILE_NAME).exists());
            let Some(dir) = chain else {
                bail!(
                    "`{}` holds no chain; name a run folder or the directory of a chain, or a node with --rpc",
                    dir.display()
                );
            };
            Source::Chain { dir, directory }
        }
    };
    let bar = ProgressBar::hidden();
    checked(dir, json, out, &bar, async |show| {
        verify_model(&source, &blobs, number, auditor.as_ref(), show).await
    })
}

/// Makes checks, prints each, and says at the end what does not hold.
fn checked(
    dir: &Path,
    json: bool,
    out: &mut dyn Write,
    bar: &ProgressBar,
    make: impl AsyncFnOnce(&mut dyn FnMut(&Check)) -> Result<Report, VerifyError>,
) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    // A reader that goes away (`| head`) must not hide the outcome: the checks go on, and the first failure is kept.
    let mut printed = Ok(());
    let mut show = |check: &Check| {
        if !json && printed.is_ok() {
            let mark = match check.outcome {
                Outcome::Holds => "holds     ",
                Outcome::Fails => "FAILS     ",
                Outcome::NotCheckable => "cannot say",
            };
            printed = bar.suspend(|| writeln!(out, "{mark} {:<12} {}", check.name, check.detail));
        }
    };
    let report = read_chain(dir, || Ok(runtime.block_on(make(&mut show))?));
    bar.finish_and_clear();
    let report = report?;
    if json {
        let failed = report.checks.iter().filter(|c| c.outcome == Outcome::Fails).map(|c| c.name);
        let document = serde_json::json!({
            "holds": report.holds(),
            "failed": failed.collect::<Vec<_>>(),
            "checks": report.checks,
        });
        printed = writeln!(out, "{}", serde_json::to_string_pretty(&document)?);
    } else if let Some(failure) = report.first_failure() {
        let failed = report.checks.iter().filter(|c| c.outcome == Outcome::Fails);
        let failed: Vec<_> = failed.map(|c| c.name).collect();
        let checks = report.checks.len();
        // The whole of it stands above; of one check as much as fits a line or two.
        let mut detail: String = failure.detail.chars().take(160).collect();
        if detail.len() < failure.detail.len() {
            detail = detail.rsplit_once(' ').map_or(detail.clone(), |(words, _)| words.to_owned());
            detail.push_str(" ...");
        }
        match failed.as_slice() {
            [one] => tell(&format!("error: of {checks} checks `{one}` does not hold: {detail}")),
            more => tell(&format!(
                "error: {} of {checks} checks do not hold: {}; `{}`: {detail}",
                more.len(),
                more.join(", "),
                failure.name
            )),
        }
    } else if printed.is_ok() {
        printed = writeln!(out, "everything that can be checked holds");
    }
    printed.context(STDOUT)?;
    Ok(report.holds())
}
