//! `histone governance`: by the key of an account and a node of the ledger, or by the home of a member's node.

use std::io::Write;
use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use histone_contracts::book::Role;
use histone_contracts::{Contract, manager_roles};
use histone_ledger::governance::{Action, CarriedOut, Proposal, ProposalState, Support};
use histone_node::proposals::Proposal as Shown;
use histone_protocol::keys::SigningKey;
use serde_json::json;

mod home;

pub use self::home::at_home;
use super::deploy::{profile, seal_key};
use super::page::Page;
use super::place::{Names, Opened, Place, Reading, Writing};
use super::text::{duration, utc};
use crate::progress::tell;

/// `histone governance`.
#[derive(Subcommand)]
pub enum GovernanceCommand {
    /// Propose something to the members; several actions in one proposal are done together or not at all, in the order of
    /// this list.
    Propose(Box<ProposeArgs>),
    /// Vote on a proposal.
    Vote {
        /// Its number, or the first digits of it.
        proposal: String,
        /// What you say.
        vote: Vote,
        /// Why; it is public and stays.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        acting: Acting,
    },
    /// Carry out what was accepted: put it into the timelock, or, when it waited there long enough, do it. Any account
    /// may; members' nodes do it by themselves.
    Execute {
        /// Its number, or the first digits of it.
        proposal: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// List all proposals.
    List {
        #[command(flatten)]
        looking: Looking,
    },
    /// Show all proposals, or one.
    Show {
        /// Its number, or the first digits of it.
        proposal: Option<String>,
        #[command(flatten)]
        looking: Looking,
    },
}

/// Who acts: an account whose key is in a file, or the node of a member.
#[derive(Args)]
pub struct Acting {
    #[command(flatten)]
    looking: Looking,
    /// Key of the account that acts, with --rpc: a file with 64 hexadecimal digits. Or name a --home.
    #[arg(long, value_name = "FILE", required_unless_present = "home", conflicts_with = "home")]
    key_file: Option<PathBuf>,
    /// With --home: wait until the node has done it, and print what came of it.
    #[arg(long, requires = "home")]
    wait: bool,
}

/// Where it is looked: on a ledger, or at the node of a home.
#[derive(Args)]
pub struct Looking {
    #[command(flatten)]
    reading: Reading,
    /// Home of a node that runs: it reads its own copy of the ledger, and acts with its own key.
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    home: Option<PathBuf>,
}

/// A vote.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Vote {
    /// Yes.
    For,
    /// No.
    Against,
    /// Neither; counts for the quorum.
    Abstain,
}

/// What to propose.
#[derive(Args)]
pub struct ProposeArgs {
    /// Why; it is public and stays.
    #[arg(long, value_name = "TEXT")]
    description: String,
    /// Admit a member, with --roles, --profile and --seal-key.
    #[arg(long, value_name = "ADDRESS", requires = "roles", help_heading = "Actions")]
    add_member: Option<Address>,
    /// Replace the roles of a member with --roles.
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "roles",
        conflicts_with = "add_member",
        help_heading = "Actions"
    )]
    set_roles: Option<Address>,
    /// Remove a member.
    #[arg(long, value_name = "ADDRESS", help_heading = "Actions")]
    remove_member: Vec<Address>,
    /// Roles for --add-member or --set-roles, such as owner,trainer: owner, trainer, runner, auditor, committee.
    #[arg(long, value_name = "ROLES", value_delimiter = ',', help_heading = "Actions")]
    roles: Vec<Role>,
    /// For --add-member: the document in which it describes itself, a file or the BLAKE3 hash of one.
    #[arg(long, value_name = "HASH|FILE", value_parser = profile, requires = "add_member", help_heading = "Actions")]
    profile: Option<B256>,
    /// For --add-member: its X25519 key, to which messages for it are sealed.
    #[arg(long, value_name = "HEX", value_parser = seal_key, requires = "add_member", help_heading = "Actions")]
    seal_key: Option<B256>,
    /// Allow a program.
    #[arg(long, value_name = "MEASUREMENT", help_heading = "Actions")]
    allow_measurement: Vec<B256>,
    /// No longer allow a program.
    #[arg(long, value_name = "MEASUREMENT", help_heading = "Actions")]
    disallow_measurement: Vec<B256>,
    /// Forbid a program for good.
    #[arg(long, value_name = "MEASUREMENT", help_heading = "Actions")]
    revoke_program: Vec<B256>,
    /// Forbid an enclave for good.
    #[arg(long, value_name = "ADDRESS", help_heading = "Actions")]
    revoke_enclave: Vec<Address>,
    /// Take a dataset back for good which its owner does not.
    #[arg(long, value_name = "DATASET", help_heading = "Actions")]
    strike_dataset: Vec<B256>,
    /// Fee of models that are proposed from then on, in 1/10,000 of the price of a query.
    #[arg(long, value_name = "BPS", requires = "treasury", help_heading = "Actions")]
    set_fee: Option<u16>,
    /// Who gets the fees of all models.
    #[arg(long, value_name = "ADDRESS", requires = "set_fee", help_heading = "Actions")]
    treasury: Option<Address>,
    /// Stop new work.
    #[arg(long, conflicts_with = "unpause", help_heading = "Actions")]
    pause: bool,
    /// Allow new work again.
    #[arg(long, help_heading = "Actions")]
    unpause: bool,
    /// Let an account stop new work at once.
    #[arg(long, value_name = "ADDRESS", help_heading = "Actions")]
    add_pauser: Vec<Address>,
    /// Take that back.
    #[arg(long, value_name = "ADDRESS", help_heading = "Actions")]
    remove_pauser: Vec<Address>,
    /// Upgrade: let a name of the directory stand for another contract, such as market=0x...
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = named, help_heading = "Actions")]
    set_address: Vec<(B256, Address)>,
    /// Let somebody else propose the lists of a pool, such as 0x...=0x...
    #[arg(long, value_name = "POOL=ADDRESS", value_parser = keeper, help_heading = "Actions")]
    set_keeper: Vec<(Address, Address)>,
    /// From a proposal to the vote on it.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Actions")]
    set_voting_delay: Option<u64>,
    /// How long a vote lasts.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Actions")]
    set_voting_period: Option<u64>,
    /// Votes that a decision needs, in percent of the members.
    #[arg(long, value_name = "PERCENT", help_heading = "Actions")]
    set_quorum: Option<u8>,
    /// From a decision to its execution.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Actions")]
    set_timelock_delay: Option<u64>,
    #[command(flatten)]
    acting: Acting,
}

fn named(text: &str) -> Result<(B256, Address), String> {
    let (name, address) = text.split_once('=').ok_or("write NAME=ADDRESS, such as market=0x...")?;
    let address = address.parse().map_err(|_| format!("`{address}` is no address"))?;
    Ok((Action::name(name).map_err(|e| e.to_string())?, address))
}

fn keeper(text: &str) -> Result<(Address, Address), String> {
    let (pool, keeper) = text.split_once('=').ok_or("write POOL=ADDRESS, such as 0x...=0x...")?;
    let address = |text: &str| text.parse().map_err(|_| format!("`{text}` is no address"));
    Ok((address(pool)?, address(keeper)?))
}

impl ProposeArgs {
    fn actions(&self) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        let roles = || self.roles.clone();
        actions.extend(self.add_member.map(|account| Action::AddMember {
            account,
            roles: roles(),
            profile: self.profile.unwrap_or_default(),
            seal_key: self.seal_key.unwrap_or_default(),
        }));
        actions.extend(self.set_roles.map(|account| Action::SetRoles { account, roles: roles() }));
        actions.extend(self.remove_member.iter().copied().map(Action::RemoveMember));
        actions.extend(self.allow_measurement.iter().copied().map(Action::AllowMeasurement));
        actions.extend(self.disallow_measurement.iter().copied().map(Action::DisallowMeasurement));
        actions.extend(self.revoke_program.iter().copied().map(Action::RevokeProgram));
        actions.extend(self.revoke_enclave.iter().copied().map(Action::RevokeEnclave));
        actions.extend(self.strike_dataset.iter().copied().map(Action::StrikeDataset));
        if let (Some(bps), Some(treasury)) = (self.set_fee, self.treasury) {
            actions.push(Action::SetFee { bps, treasury });
        }
        if self.pause {
            actions.push(Action::Pause);
        }
        if self.unpause {
            actions.push(Action::Unpause);
        }
        actions.extend(self.add_pauser.iter().copied().map(Action::AddPauser));
        actions.extend(self.remove_pauser.iter().copied().map(Action::RemovePauser));
        actions.extend(self.set_address.iter().map(|&(name, target)| Action::SetAddress { name, target }));
        actions.extend(self.set_keeper.iter().map(|&(pool, keeper)| Action::SetKeeper { pool, keeper }));
        actions.extend(self.set_voting_delay.map(Action::SetVotingDelay));
        actions.extend(self.set_voting_period.map(Action::SetVotingPeriod));
        actions.extend(self.set_quorum.map(Action::SetQuorum));
        actions.extend(self.set_timelock_delay.map(Action::SetTimelockDelay));
        if actions.is_empty() {
            bail!(
                "propose something to do, such as --allow-measurement; see `histone governance propose --help`"
            );
        }
        if !self.roles.is_empty() && self.add_member.is_none() && self.set_roles.is_none() {
            bail!("--roles is for --add-member or --set-roles");
        }
        for action in &actions {
            action.check()?;
        }
        Ok(actions)
    }
}

impl GovernanceCommand {
    /// The home whose node is asked, if one is.
    pub fn home(&self) -> Option<&PathBuf> {
        match self {
            GovernanceCommand::Propose(args) => args.acting.looking.home.as_ref(),
            GovernanceCommand::Vote { acting, .. } => acting.looking.home.as_ref(),
            GovernanceCommand::List { looking } | GovernanceCommand::Show { looking, .. } => {
                looking.home.as_ref()
            }
            GovernanceCommand::Execute { .. } => None,
        }
    }
}

/// Where it reads or writes.
pub fn place(command: &GovernanceCommand) -> Option<&Place> {
    Some(match command {
        GovernanceCommand::Propose(args) => &args.acting.looking.reading.place,
        GovernanceCommand::Vote { acting, .. } => &acting.looking.reading.place,
        GovernanceCommand::Execute { writing, .. } => &writing.reading.place,
        GovernanceCommand::List { looking } | GovernanceCommand::Show { looking, .. } => {
            &looking.reading.place
        }
    })
}

impl Acting {
    async fn open(&self) -> Result<(Opened, SigningKey)> {
        // One of both is there: clap sees to that.
        let key_file = self.key_file.as_deref().context("name the key of the account with --key-file")?;
        self.looking.reading.open_with(key_file).await
    }

    fn json(&self) -> bool {
        self.looking.reading.json
    }
}

impl From<Vote> for Support {
    fn from(vote: Vote) -> Self {
        match vote {
            Vote::For => Support::For,
            Vote::Against => Support::Against,
            Vote::Abstain => Support::Abstain,
        }
    }
}

/// Runs it.
pub async fn run(command: GovernanceCommand, out: &mut dyn Write) -> Result<bool> {
    match command {
        GovernanceCommand::Propose(args) => {
            let actions = args.actions()?;
            let (opened, key) = args.acting.open().await?;
            warn_before_hand_over(&opened).await?;
            let number = opened.ledger.propose(&key, &actions, &args.description).await?;
            one(&opened, &number.to_string(), args.acting.json(), out).await
        }
        GovernanceCommand::Vote { proposal, vote, reason, acting } => {
            let (opened, key) = acting.open().await?;
            let number = Proposal::find(&opened.ledger.proposals().await?, &proposal)?.number;
            opened.ledger.vote(&key, number, vote.into(), &reason).await?;
            one(&opened, &number.to_string(), acting.json(), out).await
        }
        GovernanceCommand::Execute { proposal, writing } => execute(&proposal, &writing, out).await,
        GovernanceCommand::List { looking: Looking { reading, .. } }
        | GovernanceCommand::Show { proposal: None, looking: Looking { reading, .. } } => {
            let opened = reading.place.open().await?;
            list(&opened, reading.json, out).await
        }
        GovernanceCommand::Show { proposal: Some(proposal), looking: Looking { reading, .. } } => {
            let opened = reading.place.open().await?;
            one(&opened, &proposal, reading.json, out).await
        }
    }
}

async fn warn_before_hand_over(opened: &Opened) -> Result<()> {
    let book = opened.ledger.book(&[Contract::Manager]).await?;
    if !book.holders(manager_roles::ADMIN).contains(&opened.ledger.deployment().timelock) {
        tell(
            "warning: the founder has not handed over: what the members decide will be refused when it is executed, until `histone ledger hand-over`",
        );
    }
    Ok(())
}

/// Exit code 0 when a step was done; 1 when the proposal still waits.
async fn execute(proposal: &str, writing: &Writing, out: &mut dyn Write) -> Result<bool> {
    let (opened, key) = writing.open().await?;
    let proposals = opened.ledger.proposals().await?;
    let proposal = Proposal::find(&proposals, proposal)?;
    let now = opened.ledger.clock().await?;
    let done = opened.ledger.carry_out(&key, proposal).await.with_context(|| match proposal.state {
        ProposalState::Pending => {
            format!("the vote begins after {} (now {})", utc(proposal.vote_start), utc(now))
        }
        ProposalState::Active => format!("the vote ends after {} (now {})", utc(proposal.vote_end), utc(now)),
        _ => "nothing was carried out".into(),
    })?;
    let (word, at, text) = match done {
        CarriedOut::Queued { executable_at } => {
            ("queued", Some(executable_at), format!("queued; can be executed from {}", utc(executable_at)))
        }
        CarriedOut::Waits { executable_at } => (
            "waits",
            Some(executable_at),
            format!("waits in the timelock; can be executed from {} (now {})", utc(executable_at), utc(now)),
        ),
        CarriedOut::Executed => ("executed", None, "executed".into()),
    };
    if writing.reading.json {
        let document = json!({ "proposal": proposal.id(), "result": word, "executable_at": at });
        writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
    } else {
        writeln!(out, "{text}")?;
    }
    Ok(!matches!(done, CarriedOut::Waits { .. }))
}

fn votes(p: &Shown) -> String {
    format!("{} for, {} against, {} abstain", p.for_votes, p.against_votes, p.abstain_votes)
}

fn quorum(p: &Shown) -> String {
    match p.quorum {
        Some(needed) => format!("{} of {needed}", p.for_votes + p.abstain_votes),
        None => "not counted yet".into(),
    }
}

/// When the next thing can happen.
fn when(p: &Shown) -> String {
    match p.state {
        ProposalState::Pending => format!("vote after {}", utc(p.vote_start)),
        ProposalState::Active => format!("vote until {}", utc(p.vote_end)),
        ProposalState::Succeeded => "now into the timelock".into(),
        ProposalState::Queued => {
            p.executable_at.map_or_else(String::new, |at| format!("execute from {}", utc(at)))
        }
        _ => "-".into(),
    }
}

/// What a list says of proposals.
const COLUMNS: [&str; 7] = ["proposal", "state", "by", "what for", "votes", "quorum", "next"];
const NONE: &str = "no proposals yet";

fn row(p: &Shown, names: &Names) -> Vec<String> {
    vec![
        p.number.chars().take(10).collect(),
        p.state.word().to_owned(),
        names.of(p.proposer),
        p.description.lines().next().unwrap_or_default().chars().take(60).collect(),
        votes(p),
        quorum(p),
        when(p),
    ]
}

fn facts(p: &Shown, names: &Names) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("state", p.state.word().to_owned()),
        ("next", when(p)),
        ("by", names.full(p.proposer)),
        ("what for", p.description.clone()),
        ("vote", format!("after {} until {}", utc(p.vote_start), utc(p.vote_end))),
        ("votes", votes(p)),
        ("quorum", quorum(p)),
    ];
    if let Some(at) = p.executable_at {
        facts.push(("can be executed from", utc(at)));
    }
    for step in &p.steps {
        let value = if step.value == "0" { String::new() } else { format!(", with {} wei", step.value) };
        facts.push(("does", format!("{}{value}", step.words)));
        if !step.is_understood {
            facts.push(("WARNING", "nobody can read what this call does".into()));
        }
    }
    for b in &p.ballots {
        let reason = if b.reason.is_empty() { String::new() } else { format!(": {}", b.reason) };
        facts.push(("ballot", format!("{} {}{reason}", names.full(b.voter), b.support)));
    }
    facts
}

async fn list(opened: &Opened, as_json: bool, out: &mut dyn Write) -> Result<bool> {
    let book = opened.ledger.book(&[Contract::Members]).await?;
    let proposals = opened.ledger.proposals().await?;
    let mut page = Page::of(opened, &book);
    page.put("proposals", &proposals)?;
    page.rows(&COLUMNS, proposals.iter().map(|p| row(&p.into(), &opened.names)), NONE);
    page.print(as_json, out)?;
    Ok(true)
}

async fn one(opened: &Opened, number: &str, as_json: bool, out: &mut dyn Write) -> Result<bool> {
    let book = opened.ledger.book(&[Contract::Members]).await?;
    let proposals = opened.ledger.proposals().await?;
    let p = Proposal::find(&proposals, number)?;
    let mut page = Page::of(opened, &book);
    page.put("proposal", p)?;
    page.facts(&p.id(), facts(&p.into(), &opened.names));
    page.print(as_json, out)?;
    Ok(true)
}
