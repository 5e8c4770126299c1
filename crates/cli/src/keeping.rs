//! `histone node backup|restore|unit`: what keeps a node beyond its machine and its starts.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use histone_chain::{Clock, SystemClock};
use histone_node::home::Home;

use crate::node::HomeArgs;
use crate::progress::STDOUT;

/// Where to.
#[derive(Args)]
pub struct BackupArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// Directory to make; it must not be there. It holds keys, and the keys of datasets that may be erased later.
    to: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Where from.
#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// The backup.
    from: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Of which node.
#[derive(Args)]
pub struct UnitArgs {
    #[command(flatten)]
    home: HomeArgs,
}

/// Makes a backup, also while the node runs.
pub fn backup(args: &BackupArgs, out: &mut dyn Write) -> Result<bool> {
    // A backup under a passphrase that nobody knows any more is none.
    let tried = tried(&args.home, &args.home.home)?;
    let made = Home::at(&args.home.home).backup(&args.to, SystemClock.now())?;
    if args.json {
        let line = serde_json::json!({ "backup": args.to, "account": made.account, "files": made.files, "bytes": made.bytes, "protected": made.protected });
        writeln!(out, "{line}").context(STDOUT)?;
    } else {
        let (files, bytes) = (made.files, made.bytes);
        writeln!(out, "{files} files ({bytes} bytes) of {} are in {}", made.account, args.to.display())
            .context(STDOUT)?;
        let keys = match made.protected {
            true if tried => "its keys are under the passphrase, which opens them",
            true => {
                "its keys are under the passphrase, which was not tried: name it by --passphrase-file to know that it opens them"
            }
            false => "its keys lie open in it: keep it as you keep keys",
        };
        writeln!(out, "{keys}").context(STDOUT)?;
    }
    Ok(true)
}

/// Makes a home from a backup.
pub fn restore(args: &RestoreArgs, out: &mut dyn Write) -> Result<bool> {
    let tried = tried(&args.home, &args.from)?;
    let made = Home::restore(&args.from, &args.home.home, SystemClock.now())?;
    if args.json {
        let line =
            serde_json::json!({ "home": args.home.home, "account": made.account, "files": made.files });
        writeln!(out, "{line}").context(STDOUT)?;
    } else {
        let home = args.home.home.display();
        writeln!(out, "{} files of {} are in {home}", made.files, made.account).context(STDOUT)?;
        if made.protected && !tried {
            writeln!(out, "its keys are under a passphrase, which was not tried").context(STDOUT)?;
        }
        writeln!(out, "the node answers no round that was opened before now. Never run the old home again: two nodes with the same keys contradict each other")
            .context(STDOUT)?;
    }
    Ok(true)
}

/// Tries the passphrase that was given on the keystore in a directory. `false` when none is needed, or none was given.
fn tried(args: &HomeArgs, dir: &Path) -> Result<bool> {
    let Some(passphrase) = args.passphrase()? else { return Ok(false) };
    let home = Home::at(dir);
    // Whatever else is wrong with it is said by whoever needs it.
    if !home.needs_passphrase().unwrap_or(false) {
        return Ok(false);
    }
    home.try_passphrase(&passphrase)?;
    Ok(true)
}

/// Prints a unit for systemd, for whoever wants the node to be started with the machine.
pub fn unit(args: &UnitArgs, out: &mut dyn Write) -> Result<bool> {
    // A unit for nothing starts again and again.
    Home::at(&args.home.home).account()?;
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let absolute = |path: &Path| std::path::absolute(path).context("cannot tell the current directory");
    let (program, home) = (program.display().to_string(), absolute(&args.home.home)?);
    let passphrase = match &args.home.passphrase_file {
        Some(file) => format!(" --passphrase-file {}", quoted(&absolute(file)?)),
        None => String::new(),
    };
    let home = quoted(&home);
    write!(
        out,
        "[Unit]\n\
         Description=Histone node\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         ExecStart={program} node run --home {home}{passphrase}\n\
         Restart=always\n\
         RestartSec=5\n\
         # A turn may take this long; a node that is cut off goes on where it was.\n\
         TimeoutStopSec=20\n\
         NoNewPrivileges=yes\n\
         ProtectSystem=strict\n\
         ReadWritePaths={home}\n\
         PrivateTmp=yes\n\
         UMask=0077\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    )
    .context(STDOUT)?;
    Ok(true)
}

/// As systemd takes a path with blanks.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    match text.contains([' ', '\t', '"', '\\']) {
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        false => text,
    }
}
