//! `histone account`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use alloy_primitives::{Address, B256};
use anyhow::{Result, bail};
use clap::Subcommand;
use histone_contracts::book::{Amount, Member, Role};
use histone_contracts::{Book, Contract, Members};
use histone_ledger::Ledger;
use histone_ledger::view::{AccountFacts, Money};
use histone_protocol::seal::{SealProof, SealPublicKey};
use serde::Serialize;

use super::page::Page;
use super::place::{Names, Opened, Place, Reading};
use super::text::pick;

/// `histone account`.
#[derive(Subcommand)]
pub enum AccountCommand {
    /// List the accounts that the ledger knows.
    List {
        /// Members with this role only: owner, trainer, runner, auditor, committee.
        #[arg(long)]
        role: Option<Role>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show one account.
    Show {
        /// The account, its first six digits or more, or its name in the run.
        account: String,
        #[command(flatten)]
        reading: Reading,
    },
}

/// Where it reads.
pub fn place(command: &AccountCommand) -> Option<&Place> {
    let (AccountCommand::List { reading, .. } | AccountCommand::Show { reading, .. }) = command;
    Some(&reading.place)
}

/// A donation that pays an account.
#[derive(Serialize)]
struct Donation {
    model: u64,
    donor: u16,
    owed: Amount,
}

/// One account.
#[derive(Serialize)]
struct Account<'a> {
    account: Address,
    name: Option<&'a str>,
    /// `member`, `former member`, `payee` (made for one model, is paid for a donation), `contract` or `account`.
    kind: &'static str,
    contract: bool,
    #[serde(flatten)]
    member: Option<MemberFacts<'a>>,
    nonce: u64,
    balance: Amount,
    claimable: Amount,
    claimable_as_donor: Vec<Donation>,
}

#[derive(Serialize)]
struct MemberFacts<'a> {
    roles: &'a [Role],
    profile: B256,
    seal_key: B256,
    /// Whether a good proof that it holds this key is on the ledger.
    seal_key_proved: bool,
    votes: u64,
    vote_lent_to: Option<Address>,
}

/// Runs it.
pub async fn run(command: AccountCommand, out: &mut dyn Write) -> Result<bool> {
    let (AccountCommand::List { reading, .. } | AccountCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let book = opened.ledger.book(&Book::CONTRACTS).await?;
    let money = opened.ledger.money().await?;
    let mut page = Page::of(&opened, &book);
    page.put("money", &money)?;
    match &command {
        AccountCommand::List { role, .. } => {
            let mut accounts = known(&book, &opened.names);
            // The ledger's own contracts are listed by `histone ledger show`.
            let d = opened.ledger.deployment();
            for contract in Contract::ALL {
                accounts.remove(&d.address(contract));
            }
            if let Some(role) = role {
                accounts.retain(|a| book.members.get(a).is_some_and(|m| m.roles.contains(role)));
            }
            let rows = read(&opened, &book, &accounts.into_iter().collect::<Vec<_>>()).await?;
            page.put("accounts", &rows)?;
            list(&mut page, &rows, &money);
        }
        AccountCommand::Show { account, .. } => {
            let account = resolve(account, &book, &opened.names)?;
            let rows = read(&opened, &book, &[account]).await?;
            let Some(row) = rows.first() else { bail!("the node does not answer for {account}") };
            page.put("account", row)?;
            show(&mut page, row, &money);
        }
    }
    page.print(reading.json, out)?;
    Ok(true)
}

/// Every account that something on the ledger is about.
fn known(book: &Book, names: &Names) -> BTreeSet<Address> {
    let mut accounts: BTreeSet<Address> = names.all().keys().copied().collect();
    accounts.extend(book.members.iter().map(|m| m.account));
    accounts.extend(book.models.iter().map(|m| m.trainer));
    accounts.extend(book.models.iter().flat_map(|m| &m.donors).map(|d| d.payee));
    accounts.extend(book.queries.iter().map(|q| q.buyer));
    accounts.extend(book.enclaves.iter().map(|e| e.operator));
    accounts
}

/// An account by its digits, some of them, or its name.
pub fn resolve(text: &str, book: &Book, names: &Names) -> Result<Address> {
    if let Ok(account) = text.parse() {
        return Ok(account);
    }
    if let Some(account) = names.account(text) {
        return Ok(account);
    }
    let known = known(book, names);
    pick("account", text, known.iter().map(|a| (*a, a))).copied()
}

async fn read<'a>(opened: &'a Opened, book: &'a Book, accounts: &[Address]) -> Result<Vec<Account<'a>>> {
    let facts = opened.ledger.accounts(accounts).await?;
    let proved = proved_keys(&opened.ledger).await?;
    let mut donations: BTreeMap<Address, Vec<Donation>> = Default::default();
    for model in book.models.iter() {
        for donor in &model.donors {
            let donation = Donation { model: model.model, donor: donor.donor, owed: donor.owed };
            donations.entry(donor.payee).or_default().push(donation);
        }
    }
    Ok(accounts
        .iter()
        .zip(facts)
        .map(|(&account, facts)| {
            let member = book.members.get(&account);
            let donations = donations.remove(&account).unwrap_or_default();
            Account {
                account,
                name: opened.names.get(account),
                kind: kind(member, &facts, !donations.is_empty()),
                contract: facts.contract,
                member: member.map(|m| MemberFacts {
                    roles: &m.roles,
                    profile: m.profile,
                    seal_key: m.seal_key,
                    seal_key_proved: m.key_claimed && proved.get(&account) == Some(&m.seal_key),
                    votes: m.votes,
                    vote_lent_to: m.vote_lent_to,
                }),
                nonce: facts.nonce,
                balance: facts.balance,
                claimable: facts.claimable,
                claimable_as_donor: donations,
            }
        })
        .collect())
}

/// The key of each account that ever proved one: the latest of which the proof is good.
async fn proved_keys(ledger: &Ledger) -> Result<BTreeMap<Address, B256>> {
    let here = ledger.deployment().id();
    let mut proved = BTreeMap::new();
    for e in ledger.events::<Members::SealKeyProven>(Contract::Members).await? {
        match SealPublicKey(e.sealKey).verify(&SealProof { r: e.r, s: e.s }, e.account, here) {
            true => proved.insert(e.account, e.sealKey),
            // Whoever shows something else afterwards has no proof of its key any more.
            false => proved.remove(&e.account),
        };
    }
    Ok(proved)
}

fn kind(member: Option<&Member>, facts: &AccountFacts, donor: bool) -> &'static str {
    match member {
        Some(m) if m.member => "member",
        Some(m) if m.former => "former member",
        _ if donor => "payee",
        _ if facts.contract => "contract",
        _ => "account",
    }
}

fn roles(member: Option<&MemberFacts>) -> String {
    let words: Vec<_> = member.iter().flat_map(|m| m.roles).map(|role| role.word()).collect();
    if words.is_empty() { "-".into() } else { words.join(", ") }
}

fn list(page: &mut Page, rows: &[Account], money: &Money) {
    let names = &page.opened().names;
    let owed =
        |a: &Account| -> Amount { a.claimable_as_donor.iter().map(|d| d.owed).chain([a.claimable]).sum() };
    let cells = rows.iter().map(|a| {
        vec![
            names.of(a.account),
            a.account.to_string(),
            a.kind.to_owned(),
            roles(a.member.as_ref()),
            a.member.as_ref().map_or_else(|| "-".into(), |m| m.votes.to_string()),
            money.whole(a.balance),
            money.whole(owed(a)),
            a.nonce.to_string(),
        ]
    });
    let head = ["name", "account", "kind", "roles", "votes", "tokens", "can claim", "transactions"];
    page.rows(&head, cells, "no accounts");
}

fn show(page: &mut Page, a: &Account, money: &Money) {
    let names = &page.opened().names;
    let mut facts = vec![
        ("kind", if a.contract { format!("{} (has code)", a.kind) } else { a.kind.to_owned() }),
        ("transactions", a.nonce.to_string()),
        ("tokens", format!("{} {}", money.whole(a.balance), money.symbol)),
        ("can claim", format!("{} {}", money.whole(a.claimable), money.symbol)),
    ];
    for d in &a.claimable_as_donor {
        let text =
            format!("{} {} for donor {} of model {}", money.whole(d.owed), money.symbol, d.donor, d.model);
        facts.push(("can be claimed", text));
    }
    if let Some(m) = &a.member {
        facts.push(("roles", roles(Some(m))));
        facts.push(("profile", m.profile.to_string()));
        // Whether a key is proved matters to those who open sums.
        let proved = match (m.seal_key_proved, m.roles.contains(&Role::Committee)) {
            (true, _) => ", proved",
            (false, true) => ", NOT proved: no training gives it a seat in its committee",
            (false, false) => "",
        };
        facts.push(("seal key", format!("{}{proved}", m.seal_key)));
        facts.push(("votes", m.votes.to_string()));
        if let Some(to) = m.vote_lent_to {
            facts.push(("vote lent to", names.full(to)));
        }
    }
    page.facts(&names.full(a.account), facts);
}
