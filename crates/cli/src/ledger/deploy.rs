//! `histone ledger`: deployment, first members, hand-over.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use histone_contracts::book::{Powers, Role};
use histone_contracts::{
    Book, Contract, HistoneGovernor, Market, Members, TestToken, TimelockController, manager_roles,
};
use histone_ledger::{Ledger, Settings};
use histone_protocol::hash::blob_hash;
use serde_json::json;

use super::page::Page;
use super::place::{Names, Opened, Place, Reading, Writing};
use super::text::{duration, lasting};
use crate::chain::key;
use crate::progress::tell;

/// `histone ledger`.
#[derive(Subcommand)]
pub enum LedgerCommand {
    /// Deploy all contracts on a network; the account of the key becomes the founder.
    Deploy(DeployArgs),
    /// Admit a member, as long as the founder administers the ledger. Later the members decide: `histone governance`.
    Admit(AdmitArgs),
    /// Prove that you hold the key to which messages for you are sealed, and register it. A member of the committee has a seat in no training without this.
    ProveKey {
        /// Secret of the seal key: a file with 64 hexadecimal digits, from which the key follows.
        #[arg(long, value_name = "FILE")]
        seal_key_file: PathBuf,
        #[command(flatten)]
        writing: Writing,
    },
    /// End the founder's power for good: from then on only what the members decided is done.
    HandOver {
        /// The account that may stop new work at once, and nothing else.
        #[arg(long, value_name = "ADDRESS")]
        pauser: Address,
        #[command(flatten)]
        writing: Writing,
    },
    /// Show addresses, settings, who administers the ledger, the fee, and whether it is paused.
    Show {
        #[command(flatten)]
        reading: Reading,
    },
}

/// How to deploy.
#[derive(Args)]
pub struct DeployArgs {
    /// A node, such as http://127.0.0.1:8545.
    #[arg(long, value_name = "URL", env = "HISTONE_RPC", hide_env_values = true)]
    rpc: Option<String>,
    /// Key of the founder: a file with 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The money, an ERC-20 contract that is there already. Without it a TEST token is made, of which the founder makes as much as it likes.
    #[arg(long, value_name = "ADDRESS")]
    token: Option<Address>,
    /// From a proposal to the vote on it.
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = duration)]
    voting_delay: u64,
    /// How long a vote lasts.
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration)]
    voting_period: u64,
    /// Votes that a decision needs, in percent of the members.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    quorum: u8,
    /// From a decision to its execution.
    #[arg(long, value_name = "DURATION", default_value = "2d", value_parser = duration)]
    timelock_delay: u64,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    json: bool,
}

/// Whom to admit.
#[derive(Args)]
pub struct AdmitArgs {
    /// The member's account.
    #[arg(long, value_name = "ADDRESS")]
    account: Address,
    /// As what, such as owner,trainer: owner, trainer, runner, auditor, committee.
    #[arg(long, value_name = "ROLES", required = true, value_delimiter = ',')]
    roles: Vec<Role>,
    /// The document in which it describes itself: a file, or the BLAKE3 hash of one.
    #[arg(long, value_name = "HASH|FILE", value_parser = profile)]
    profile: B256,
    /// Its X25519 key, to which messages for it are sealed.
    #[arg(long, value_name = "HEX", value_parser = seal_key)]
    seal_key: B256,
    #[command(flatten)]
    writing: Writing,
}

/// A hash, or the hash of a file.
pub fn profile(text: &str) -> Result<B256, String> {
    if let Ok(hash) = text.parse::<B256>() {
        return Ok(hash);
    }
    let bytes = fs::read(Path::new(text))
        .map_err(|e| format!("it is neither 64 hexadecimal digits nor a file that can be read: {e}"))?;
    Ok(blob_hash(&bytes))
}

/// 32 bytes that are not zero.
pub fn seal_key(text: &str) -> Result<B256, String> {
    match text.parse::<B256>() {
        Ok(key) if !key.is_zero() => Ok(key),
        _ => Err("a seal key has 64 hexadecimal digits".into()),
    }
}

/// Where it reads or writes.
pub fn place(command: &LedgerCommand) -> Option<&Place> {
    match command {
        LedgerCommand::Deploy(_) => None,
        LedgerCommand::Admit(args) => Some(&args.writing.reading.place),
        LedgerCommand::ProveKey { writing, .. } | LedgerCommand::HandOver { writing, .. } => {
            Some(&writing.reading.place)
        }
        LedgerCommand::Show { reading } => Some(&reading.place),
    }
}

/// Runs it.
pub async fn run(command: LedgerCommand, out: &mut dyn Write) -> Result<bool> {
    match command {
        LedgerCommand::Deploy(args) => deploy(&args, out).await,
        LedgerCommand::Admit(args) => admit(&args, out).await,
        LedgerCommand::ProveKey { seal_key_file, writing } => prove_key(&seal_key_file, &writing, out).await,
        LedgerCommand::HandOver { pauser, writing } => hand_over(pauser, &writing, out).await,
        LedgerCommand::Show { reading } => {
            let opened = reading.place.open().await?;
            show(&opened, reading.json, out).await
        }
    }
}

async fn deploy(args: &DeployArgs, out: &mut dyn Write) -> Result<bool> {
    let (connection, founder) = Writing::bare(args.rpc.as_deref(), &args.key_file)?;
    let settings = Settings {
        token: args.token,
        voting_delay: args.voting_delay,
        voting_period: args.voting_period,
        quorum_percent: args.quorum,
        timelock_delay: args.timelock_delay,
    };
    let ledger = Ledger::deploy(connection, &founder, &settings).await?;
    let opened = Opened { ledger, names: Names::default() };
    tell(&format!(
        "deployed; the founder {} administers it until `histone ledger hand-over`",
        founder.address()
    ));
    show(&opened, args.json, out).await
}

async fn admit(args: &AdmitArgs, out: &mut dyn Write) -> Result<bool> {
    let (opened, founder) = args.writing.open().await?;
    let roles = args.roles.iter().fold(0, |sum, role| sum | role.bit());
    let call =
        Members::addCall { account: args.account, roles, profile: args.profile, sealKey: args.seal_key };
    let sent = opened.ledger.send(&founder, Contract::Members, call).await;
    sent.with_context(|| {
        let book = "see `histone ledger show` for who administers the ledger";
        format!("{} was not admitted; {book}", args.account)
    })?;
    let head = opened.ledger.book(&[Contract::Members]).await?;
    let mut page = Page::new(&opened, head.head);
    page.put("member", &head.members.get(&args.account))?;
    page.line(format!("{} is a member now, with {} others", args.account, members(&head).saturating_sub(1)));
    page.print(args.writing.reading.json, out)?;
    Ok(true)
}

async fn prove_key(seal_key_file: &Path, writing: &Writing, out: &mut dyn Write) -> Result<bool> {
    let (opened, member) = writing.open().await?;
    let seal = key::seal(seal_key_file)?;
    let (account, sealed_to) = (member.address(), seal.public().0);
    let proof = seal.prove(account, opened.ledger.deployment().id());
    let call = Members::proveSealKeyCall { sealKey: sealed_to, r: proof.r, s: proof.s };
    let sent = opened.ledger.send(&member, Contract::Members, call).await;
    sent.with_context(|| format!("the key of {account} was not registered; is it the account of a member?"))?;
    let book = opened.ledger.book(&[Contract::Members]).await?;
    let mut page = Page::new(&opened, book.head);
    page.put("member", &book.members.get(&account))?;
    page.line(format!("{account} has proved that it holds the key {sealed_to}"));
    page.line("trainings that begin from now on can give it a seat; a seat that it has keeps its key");
    page.print(writing.reading.json, out)?;
    Ok(true)
}

fn members(book: &Book) -> usize {
    book.members.iter().filter(|m| m.member).count()
}

async fn hand_over(pauser: Address, writing: &Writing, out: &mut dyn Write) -> Result<bool> {
    let (opened, founder) = writing.open().await?;
    let book = opened.ledger.book(&[Contract::Members]).await?;
    if members(&book) == 0 {
        bail!(
            "the ledger has no member who could decide anything; admit the first ones with `histone ledger admit`"
        );
    }
    opened.ledger.hand_over(&founder, pauser).await?;
    tell("handed over: from now on the members decide");
    show(&opened, writing.reading.json, out).await
}

/// Who decides: the administrators in words, unless it is the members.
fn administered(handed_over: bool, others: &[String], administrators: &str) -> String {
    match (handed_over, others) {
        (true, []) => "the members, by the timelock".into(),
        (true, _) => "the members, by the timelock; since the hand-over not by it alone".into(),
        (false, _) => format!("{administrators}: NOT handed over to the members yet"),
    }
}

async fn show(opened: &Opened, as_json: bool, out: &mut dyn Write) -> Result<bool> {
    let ledger = &opened.ledger;
    let d = ledger.deployment();
    let book = ledger.book(&Powers::CONTRACTS).await?;
    let money = ledger.money().await?;
    let governor = |seconds: alloy_primitives::U256| seconds.saturating_to::<u64>();
    let voting_delay = governor(ledger.read(Contract::Governor, HistoneGovernor::votingDelayCall {}).await?);
    let voting_period =
        governor(ledger.read(Contract::Governor, HistoneGovernor::votingPeriodCall {}).await?);
    let quorum = ledger.read(Contract::Governor, HistoneGovernor::quorumNumerator_1Call {}).await?;
    let timelock_delay =
        governor(ledger.read(Contract::Timelock, TimelockController::getMinDelayCall {}).await?);
    let fee = ledger.read(Contract::Market, Market::feeBpsCall {}).await?;
    let treasury = ledger.read(Contract::Market, Market::treasuryCall {}).await?;
    let paused = ledger.read(Contract::Market, Market::pausedCall {}).await?;
    // Only the TEST token has somebody who makes it.
    let test_token = ledger.read(Contract::Token, TestToken::ownerCall {}).await.ok();
    let administrators = book.holders(manager_roles::ADMIN);
    let pausers = book.holders(manager_roles::PAUSER);

    let mut page = Page::of(opened, &book);
    page.put("contracts", d)?;
    page.put("money", &money)?;
    page.put(
        "settings",
        &json!({
            "voting_delay": voting_delay,
            "voting_period": voting_period,
            "quorum_percent": quorum.saturating_to::<u64>(),
            "timelock_delay": timelock_delay,
        }),
    )?;
    page.put("administrators", &administrators)?;
    let (powers, now) = (book.powers(), book.head.time);
    let (handed_over, others) = (powers.handed_over(now), powers.others(now));
    page.put("handed_over", &handed_over)?;
    page.put("not_only_by_vote", &others)?;
    page.put("pausers", &pausers)?;
    page.put("paused", &paused)?;
    page.put("fee", &json!({ "bps": fee, "treasury": treasury }))?;
    page.put("members", &members(&book))?;
    let earlier: Vec<_> =
        book.predecessors().iter().map(|(name, at)| json!({ "name": name, "address": at })).collect();
    page.put("earlier_contracts", &earlier)?;

    let addresses =
        Contract::ALL.iter().map(|c| vec![c.to_string(), d.address(*c).to_string()]).collect::<Vec<_>>();
    page.rows(&["contract", "address"], addresses, "");
    let who = |accounts: &[Address]| {
        let list: Vec<_> = accounts.iter().map(|a| opened.names.full(*a)).collect();
        if list.is_empty() { "nobody".into() } else { list.join(", ") }
    };
    let mut facts = vec![
        ("members", members(&book).to_string()),
        ("administered by", administered(handed_over, &others, &who(administrators))),
        ("voting delay", lasting(voting_delay)),
        ("voting period", lasting(voting_period)),
        ("quorum", format!("{quorum} % of the members")),
        ("timelock delay", lasting(timelock_delay)),
        ("fee of new models", format!("{}.{:02} %", fee / 100, fee % 100)),
        ("fees go to", if treasury.is_zero() { "nobody yet".into() } else { opened.names.full(treasury) }),
        ("new work", if paused { "PAUSED".into() } else { "allowed".into() }),
        ("may pause", who(pausers)),
        ("token", format!("{} with {} digits behind the point", money.symbol, money.decimals)),
    ];
    if let Some(owner) = test_token {
        facts.push((
            "token made by",
            format!("{}: a token with an owner is TEST money", opened.names.full(owner)),
        ));
    }
    // As long as the founder administers the ledger, everything is as the founder wants.
    if handed_over || administrators == [d.timelock] {
        facts.extend(others.into_iter().map(|other| ("not only by vote", other)));
    }
    for (name, at) in book.predecessors() {
        facts.push(("earlier contract", format!("{name} {at}")));
    }
    page.facts("ledger", facts);
    page.print(as_json, out)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::administered;

    #[test]
    fn the_members_administer_only_what_was_handed_over() {
        let others = ["role 7 (0x01) may call members.add".to_owned()];
        assert_eq!(administered(true, &[], "0x02"), "the members, by the timelock");
        let shared = administered(true, &others, "0x02");
        assert_eq!(shared, "the members, by the timelock; since the hand-over not by it alone");
        for others in [&others[..], &[]] {
            let early = administered(false, others, "0x02");
            assert_eq!(early, "0x02: NOT handed over to the members yet");
        }
    }
}
