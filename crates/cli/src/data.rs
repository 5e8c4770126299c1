//! `histone data`: an organization's own table.

mod look;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use histone_chain::{Clock as _, SystemClock};
use histone_contracts::book::Role;
use histone_node::daemon::study::consent;
use histone_node::daemon::{UPDATE, Update, WITHDRAW, Withdraw, data_added};
use histone_node::owner::{Owner, Version, keep_panel};
use histone_node::study::{Denied, Participant, StudyAs, TrainerId};
use histone_protocol::consent::ConsentPolicy;
use histone_protocol::{Address, B256};

use crate::consortium::{NameArgs, Site, accounts, load_as};
use crate::node::HomeArgs;
use crate::person::wishes::{self, Wishing};
use crate::progress::STDOUT;
use crate::sure::sure;

#[derive(Subcommand)]
pub enum Command {
    /// Find out what a file is: how a study reads it, what its columns hold, and what somebody has to say before. Needs no home.
    Look(look::LookArgs),
    /// Add the table of this organization: encrypts it into the home, and has it validated and registered under its terms.
    Add(AddArgs),
    /// Replace a dataset by a new version of its table: encrypts it into the home, and has it validated and registered.
    Update(UpdateArgs),
    /// Have your node take a dataset back for good: it is in no further training, and in no further sum of those that go on.
    Withdraw(WithdrawArgs),
}

/// Which dataset, by which study.
#[derive(Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// The dataset's name on the ledger, as `data add` printed it.
    dataset: B256,
    /// The study file (docs/study-file.md); no other table than the participant's own is read.
    study: PathBuf,
    /// The participant whose table it is; the name of the node if it is not said.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Which dataset.
#[derive(Args)]
pub struct WithdrawArgs {
    /// The dataset's name on the ledger, as `data add` printed it.
    dataset: B256,
    /// It cannot be taken back, and you know what remains.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wishing: Wishing,
}

/// Which table, by which study.
#[derive(Args)]
pub struct AddArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// The study file (docs/study-file.md); no other table than the participant's own is read.
    study: PathBuf,
    /// The participant whose table it is; the name of the node if it is not said.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    names: NameArgs,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs a command about data.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<bool> {
    match command {
        Command::Look(args) => look::run(args, out),
        Command::Add(args) => add(args, out),
        Command::Update(args) => update(args, out),
        Command::Withdraw(args) => withdraw(args, out),
    }
}

fn update(args: &UpdateArgs, out: &mut dyn Write) -> Result<bool> {
    let opened = args.home.open()?;
    let site = Site::of(&opened);
    site.invitation()?;
    let dataset = args.dataset;
    if !Owner::added(&opened.party)?.contains(&dataset) {
        bail!(
            "no dataset {dataset} was added to this home; `histone data add` adds a table, and `histone log` names yours"
        );
    }
    let study = load_as(&args.study, args.name.as_deref().unwrap_or(&opened.settings.name))?;
    let participant = own_table(&study)?;
    if let Some(panel) = &study.study.table.panel {
        keep_panel(&opened.party, panel)?;
    }
    let version = Version::prepare(&opened.party, &participant.table)?;
    let current = Owner::reopen(opened.party.clone(), dataset)?.root() == version.root;
    let wish = match current {
        true => None,
        false => {
            let what =
                serde_json::to_value(Update { dataset, version }).context("a wish cannot be written")?;
            Some(site.wish(UPDATE, what)?.0)
        }
    };
    let (rows, columns) = (participant.table.rows(), participant.table.columns().len());
    let left_out = participant.left_out_rows + participant.dropped_rows;
    if args.json {
        let line = serde_json::json!({
            "dataset": dataset,
            "commitment": version.root,
            "rows": rows,
            "columns": columns,
            "left_out": left_out,
            "wish": wish,
        });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(true);
    }
    let Some(wish) = wish else {
        writeln!(out, "the table is the one that dataset {dataset} has; nothing is to be done")
            .context(STDOUT)?;
        return Ok(true);
    };
    let left_out = if left_out == 0 { String::new() } else { format!(" ({left_out} left out)") };
    let lines = [
        format!(
            "new version (wish {wish}): {rows} rows{left_out}, {columns} columns, encrypted in {}",
            opened.home.dir().display()
        ),
        format!("dataset     {dataset}"),
        format!("commitment  {}", version.root),
        "its terms stay as they are; models that have an earlier version go on with that".into(),
        site.next_step()?,
    ];
    for line in lines {
        writeln!(out, "{}", crate::tables::plain(&line)).context(STDOUT)?;
    }
    Ok(true)
}

/// The participant whose file it is.
fn own_table(study: &StudyAs) -> Result<&Participant> {
    let Some(participant) = study.participant() else {
        bail!(
            "`{}` is the {} of this study and has no table in it; name a participant with --as",
            study.name,
            study.part
        );
    };
    Ok(participant)
}

fn withdraw(args: &WithdrawArgs, out: &mut dyn Write) -> Result<bool> {
    let dataset = args.dataset;
    let lines = [
        format!("Dataset {dataset} is withdrawn for good, also from models that train now."),
        "A sum that is open stays in its model, and a model that is made keeps what it has learned.".into(),
        "The same rows cannot be registered again as the same dataset.".into(),
    ];
    sure(&lines.each_ref().map(String::as_str), args.yes)?;
    let what = serde_json::to_value(Withdraw { dataset }).context("a wish cannot be written")?;
    wishes::make(&args.wishing, WITHDRAW, &what, &format!("to withdraw dataset {dataset}"), out)
}

fn add(args: &AddArgs, out: &mut dyn Write) -> Result<bool> {
    let opened = args.home.open()?;
    let settings = &opened.settings;
    if settings.roles & Role::Owner.bit() == 0 {
        bail!(
            "`{}` takes part as no owner of data; make a home with `histone node init --roles owner`",
            settings.name
        );
    }
    let site = Site::of(&opened);
    let invitation = site.invitation()?;
    let study = load_as(&args.study, args.name.as_deref().unwrap_or(&settings.name))?;
    let participant = own_table(&study)?;
    let wanted = named(participant);
    let wanted: Vec<(&str, Role)> = wanted.into_iter().collect();
    let known = accounts(&site, &wanted, &args.names)?;
    let of = |name: &str| -> Result<Address, histone_node::error::NodeError> {
        let missing =
            || histone_node::error::NodeError::Message(format!("the account of `{name}` is not known"));
        known.get(name).copied().ok_or_else(missing)
    };
    let policy = consent(participant, invitation.ledger, &of)?;
    if let Some(panel) = &study.study.table.panel {
        keep_panel(&opened.party, panel)?;
    }
    let owner = Owner::prepare(opened.party.clone(), participant.table.clone(), policy)?;
    let dataset = owner.dataset();
    let again = Owner::added(&opened.party)?.contains(&dataset);
    if again {
        let before = Owner::reopen(opened.party.clone(), dataset)?;
        if before.policy() != owner.policy() {
            bail!(
                "this table was added before as {dataset}, under other terms; adding it again does not change them"
            );
        }
    } else {
        owner.keep()?;
    }
    // Also again: who has taken it back before it was registered wants it now.
    data_added(&opened.store, dataset, SystemClock.now())?;
    let (rows, columns) = (participant.table.rows(), participant.table.columns().len());
    if args.json {
        let line = serde_json::json!({
            "dataset": dataset,
            "commitment": owner.root(),
            "rows": rows,
            "columns": columns,
            "left_out": participant.left_out_rows + participant.dropped_rows,
            "terms": terms(owner.policy()),
            "again": again,
        });
        writeln!(out, "{line}").context(STDOUT)?;
        return Ok(true);
    }
    let left_out = participant.left_out_rows + participant.dropped_rows;
    let left_out = if left_out == 0 { String::new() } else { format!(" ({left_out} left out)") };
    let verb = if again { "was added before" } else { "added" };
    let mut lines = vec![
        format!(
            "{verb}: {rows} rows{left_out}, {columns} columns, encrypted in {}",
            opened.home.dir().display()
        ),
        format!("dataset     {dataset}"),
        format!("commitment  {}", owner.root()),
        "terms:".into(),
    ];
    lines.extend(terms(owner.policy()).into_iter().map(|term| format!("  {term}")));
    lines.push(site.next_step()?);
    for line in lines {
        writeln!(out, "{}", crate::tables::plain(&line)).context(STDOUT)?;
    }
    Ok(true)
}

/// The names in the terms of a participant that stand for accounts, with the role of each.
fn named(participant: &Participant) -> BTreeSet<(&str, Role)> {
    let denied = participant.deny.iter().filter_map(|denied| match denied {
        Denied::Trainer(trainer) => Some(trainer),
        Denied::Purpose(_) => None,
    });
    let trainers = denied.chain(participant.allow_trainers.iter().map(|allowed| &allowed.trainer));
    let trainers = trainers.filter_map(|trainer| match trainer {
        TrainerId::Named(name) => Some((name.as_str(), Role::Trainer)),
        TrainerId::Account(_) => None,
    });
    let auditors = participant.allow_auditors.iter().map(|name| (name.as_str(), Role::Auditor));
    trainers.chain(auditors).collect()
}

/// A policy in words.
fn terms(policy: &ConsentPolicy) -> Vec<String> {
    let mut lines = vec![format!("consent {}, in {}", policy.terms.join(", "), policy.country)];
    let mut list = |what: &str, of: Vec<String>| {
        if !of.is_empty() {
            lines.push(format!("{what} {}", of.join(", ")));
        }
    };
    list("allowed as well:", policy.allow_purposes.clone());
    let met = |a: &histone_protocol::consent::AllowedAccount| {
        format!("{} meets {}", a.account, a.meets.join(" and "))
    };
    list("trainers:", policy.allow_accounts.iter().map(met).collect());
    list("refused purposes:", policy.deny_purposes.clone());
    list("refused trainers:", policy.deny_accounts.iter().map(ToString::to_string).collect());
    list("auditors who may open every sum:", policy.allow_auditors.iter().map(ToString::to_string).collect());
    list("closed methods:", policy.allow_closed.iter().map(ToString::to_string).collect());
    if policy.allow_public_exact {
        lines.push("everybody may see exact sums".into());
    }
    if policy.allow_one_enclave {
        lines.push("may be brought to one enclave with the data of all".into());
    }
    lines.push(match policy.versions {
        1 => "one version is answered for in sums".into(),
        versions => format!("{versions} versions are answered for in sums"),
    });
    lines
}
