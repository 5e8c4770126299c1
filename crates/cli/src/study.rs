//! `histone demo`, `histone study run`, `histone study check`, `histone study new`.

pub mod new;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use histone_compliance::folder::Folder;
use histone_node::error::NodeError;
use histone_node::party::Entropy;
use histone_node::run::{
    DropOut, Network, Observer as _, Options, RunResult, check as check_study, run as run_study,
};
use histone_node::study::{Study, data_root};

use crate::chain::key;
use crate::progress::{Progress, STDOUT};
use crate::{RunArgs, replace, tables};

/// The SIMULATED clock of a seeded run starts here: 1 January 2026, 00:00 UTC.
const SEEDED_START: u64 = 1_767_225_600;

/// The bundled study, as its file says, with sealed sums, or in one enclave.
pub fn demo(sealed: bool, one_enclave: bool, args: &RunArgs, out: &mut dyn Write) -> Result<bool> {
    let study = Study::bundled()?;
    let study = match (sealed, one_enclave) {
        (_, true) => study.in_one_enclave(),
        (true, false) => study.sealed(),
        (false, false) => study,
    };
    execute(&study, args, out)
}

/// A study file.
pub fn run(path: &Path, args: &RunArgs, out: &mut dyn Write) -> Result<bool> {
    execute(&load(path)?, args, out)
}

/// Only the checks.
pub fn check(path: &Path, out: &mut dyn Write) -> Result<bool> {
    let study = load(path)?;
    tables::study(&study, out).context(STDOUT)?;
    // Said among the rest; it would stop the run.
    Ok(study.too_many_questions().is_none())
}

/// Only the checks that one party can make, who has one table or none.
pub fn check_as(path: &Path, name: &str, out: &mut dyn Write) -> Result<bool> {
    let seen = crate::consortium::load_as(path, name)?;
    tables::study_as(&seen, out).context(STDOUT)?;
    Ok(seen.study.too_many_questions().is_none())
}

/// Reads a study file.
pub fn load(path: &Path) -> Result<Study> {
    let here = std::env::current_dir().context("cannot tell the current directory")?;
    let root = data_root(std::env::var_os("HISTONE_DATA"), &here);
    Ok(Study::load(path, root.as_deref())?)
}

/// `NAME@ROUND`.
pub fn parse_drop_out(text: &str) -> Result<DropOut, String> {
    let wrong = || "write PARTICIPANT@ROUND, such as city-hospital@2; rounds begin with 1".to_string();
    let (participant, round) = text.rsplit_once('@').ok_or_else(wrong)?;
    let round = round.parse().ok().filter(|&r| r > 0).ok_or_else(wrong)?;
    if participant.is_empty() {
        return Err(wrong());
    }
    Ok(DropOut { participant: participant.to_string(), round })
}

fn execute(study: &Study, args: &RunArgs, out: &mut dyn Write) -> Result<bool> {
    let leaving = args.drop_out.iter().map(|d| (d, "drop out"));
    for (d, what) in leaving.chain(args.withdraw.iter().map(|d| (d, "withdraw"))) {
        if !study.participants.iter().any(|p| p.name == d.participant) {
            let names: Vec<_> = study.participants.iter().map(|p| p.name.as_str()).collect();
            bail!("the study has no participant `{}` to {what}; it has {}", d.participant, names.join(", "));
        }
    }
    let dir = run_folder(&args.out)?;
    let (entropy, start_time) = match args.seed {
        Some(seed) => (Entropy::Seed(seed), SEEDED_START),
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
            (Entropy::System, now.as_secs())
        }
    };
    let network = args.rpc.as_ref().map(|url| network(url, args.funder_key.as_deref())).transpose()?;
    let on_network = network.is_some();
    let options = Options {
        out: dir.clone(),
        entropy,
        start_time,
        network,
        drop_outs: args.drop_out.clone(),
        withdrawals: args.withdraw.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    // What would stop the new run at once must not have removed the earlier one.
    runtime.block_on(check_study(study, &options))?;
    if args.replace {
        replace::remove_earlier(&Folder::at(&dir))?;
    }
    let mut progress = Progress::new(&study.title, on_network);
    tables::columns_left_out(study, &mut |line| {
        progress.note(line);
        Ok::<(), std::convert::Infallible>(())
    })?;
    let result = runtime.block_on(run_study(study, &options, &mut progress));
    progress.end();
    let result = result.map_err(|error| stopped(error, &Folder::at(&dir)))?;
    print(&result, &dir, args, out).with_context(|| {
        format!(
            "the run ended well, but its result cannot be printed; it is in `{}`",
            Folder::at(&dir).result().display()
        )
    })?;
    Ok(true)
}

fn network(url: &str, funder: Option<&Path>) -> Result<Network> {
    let funder = funder.map(key::account).transpose()?;
    Ok(Network { url: url.to_string(), funder })
}

fn print(result: &RunResult, dir: &Path, args: &RunArgs, out: &mut dyn Write) -> Result<()> {
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(result)?)?;
    } else {
        tables::result(result, dir, args.rpc.is_some(), out)?;
    }
    Ok(out.flush()?)
}

/// The run folder with a name of its own: the secrets go beside it under that name, and `.` has none. There they would
/// lie inside the folder that is given away.
fn run_folder(out: &Path) -> Result<PathBuf> {
    if out.file_name().is_some() {
        return Ok(out.to_path_buf());
    }
    let named = fs::canonicalize(out).with_context(|| format!("cannot find `{}`", out.display()))?;
    if named.file_name().is_none() {
        bail!("`{}` cannot be a run folder; name another folder with --out", out.display());
    }
    Ok(named)
}

/// Adds to an error in the middle of a run where it left what.
fn stopped(error: NodeError, folder: &Folder) -> anyhow::Error {
    let place = match error {
        NodeError::Occupied(_) => return error.into(),
        // The store does not name its file.
        NodeError::Chain(_) => folder.ledger(),
        _ => folder.root().to_path_buf(),
    };
    if !folder.unfinished().exists() {
        return error.into();
    }
    anyhow::Error::new(error).context(format!("the run did not end, `{}` is not complete", place.display()))
}
