//! `histone demo`, `histone study run`, `histone study check`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use histone_node::party::Entropy;
use histone_node::run::{DropOut, Options, run as run_study};
use histone_node::study::{Study, data_root};

use crate::progress::Progress;
use crate::{RunArgs, tables};

/// The SIMULATED clock of a seeded run starts here: 1 January 2026, 00:00 UTC.
const SEEDED_START: u64 = 1_767_225_600;

/// The bundled study.
pub fn demo(args: &RunArgs) -> Result<bool> {
    execute(&Study::bundled()?, args)
}

/// A study file.
pub fn run(path: &Path, args: &RunArgs) -> Result<bool> {
    execute(&load(path)?, args)
}

/// Only the checks.
pub fn check(path: &Path) -> Result<bool> {
    let study = load(path)?;
    tables::study(&study);
    Ok(true)
}

fn load(path: &Path) -> Result<Study> {
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    let root = data_root(std::env::var_os("HISTONE_DATA"), &here);
    Ok(Study::load(path, root.as_deref())?)
}

/// `NAME@ROUND`.
pub fn parse_drop_out(text: &str) -> Result<DropOut, String> {
    let wrong = || "write PARTICIPANT@ROUND, such as city-hospital@2".to_string();
    let (participant, round) = text.rsplit_once('@').ok_or_else(wrong)?;
    let round = round.parse().ok().filter(|&r| r > 0).ok_or_else(wrong)?;
    Ok(DropOut { participant: participant.to_string(), round })
}

fn execute(study: &Study, args: &RunArgs) -> Result<bool> {
    for d in &args.drop_out {
        if !study.participants.iter().any(|p| p.name == d.participant) {
            bail!("the study has no participant `{}` to drop out", d.participant);
        }
    }
    if args.replace {
        remove_earlier(&args.out)?;
    }
    let (entropy, start_time) = match args.seed {
        Some(seed) => (Entropy::Seed(seed), SEEDED_START),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
            (Entropy::System, now.as_secs())
        }
    };
    let options = Options { out: args.out.clone(), entropy, start_time, drop_outs: args.drop_out.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot start the runtime")?;
    let mut progress = Progress::new(&study.title);
    let result = runtime.block_on(run_study(study, &options, &mut progress));
    progress.end();
    let result = result?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&result)?);
    } else {
        tables::result(&result, &args.out);
    }
    Ok(true)
}

/// Removes a run folder and its secrets; nothing that does not look like a run is touched.
fn remove_earlier(out: &Path) -> Result<()> {
    if !out.exists() && !private(out).exists() {
        return Ok(());
    }
    let is_run = out.join("manifest.json").exists() || out.join("UNFINISHED").exists();
    let is_empty = fs::read_dir(out).map_or(true, |mut d| d.next().is_none());
    if !is_run && !is_empty {
        bail!(
            "`{}` holds no run of histone, so --replace leaves it alone; name another folder with --out",
            out.display()
        );
    }
    for dir in [out.to_path_buf(), private(out)] {
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove `{}`", dir.display()))?;
        }
    }
    Ok(())
}

fn private(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".private");
    out.with_file_name(name)
}
