//! `histone revenue`.

mod pools;

use std::io::Write;
use std::path::PathBuf;

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use histone_contracts::book::{AccountMoney, Amount, ModelMoney, Revenue};
use histone_contracts::{Book, Contract, Market};
use histone_ledger::view::Money;

use super::page::Page;
use super::place::{Place, Reading, Writing};
use super::text::duration;
use crate::progress::tell;

/// `histone revenue`.
#[derive(Subcommand)]
pub enum RevenueCommand {
    /// List what every model and account earned, was paid and is owed, and whether the sums fit what the market holds.
    List {
        #[command(flatten)]
        reading: Reading,
    },
    /// Show where the money of one model came from and went.
    Show {
        /// Its number.
        model: u64,
        #[command(flatten)]
        reading: Reading,
    },
    /// Claim what is owed: to the account of the key, to a donor, or to an account of a pool.
    Claim(ClaimArgs),
    /// Print the Merkle root of a list ACCOUNT,DUE.
    Root {
        /// The list: each account with the sum of all that it was ever due.
        list: PathBuf,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Print the proof of an account in a list.
    Proof {
        /// The list.
        list: PathBuf,
        /// The account.
        account: Address,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Make a list from weights ACCOUNT,WEIGHT, on stdout: each account is due its part of all that arrived, rounded down.
    ShareOut {
        /// The weights.
        weights: PathBuf,
        /// What to share out.
        #[command(flatten)]
        what: ShareOut,
        #[command(flatten)]
        place: Place,
    },
    /// Deploy the contract of a pool: one donor of a model with many accounts behind it.
    Pool {
        /// Who proposes roots: the institution which speaks for the pool.
        #[arg(long, value_name = "ADDRESS")]
        keeper: Address,
        /// How long an auditor can veto a root; at least 1h.
        #[arg(long, value_name = "DURATION", default_value = "2d", value_parser = duration)]
        window: u64,
        /// How long the keeper must have said nothing before an auditor may propose in its place; at least the window.
        #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration)]
        silence: u64,
        #[command(flatten)]
        writing: Writing,
    },
    /// Propose the root of a list to its pool. By the keeper, or by an auditor when the keeper was silent for long.
    Publish {
        /// The list.
        list: PathBuf,
        /// The pool's contract.
        #[arg(long, value_name = "ADDRESS")]
        pool: Address,
        /// What the list shares out with what rounding leaves, as for `share-out` [default: all that arrived at the pool].
        #[arg(long, value_name = "UNITS")]
        total: Option<U256>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Compare a list with the root that its pool has: what an auditor does within the window.
    Check {
        /// The list.
        list: PathBuf,
        /// The pool's contract.
        #[arg(long, value_name = "ADDRESS")]
        pool: Address,
        /// Also make the list again from these weights ACCOUNT,WEIGHT and the announced total.
        #[arg(long, value_name = "FILE")]
        weights: Option<PathBuf>,
        /// Also check that nobody is due less than in this earlier list.
        #[arg(long, value_name = "FILE")]
        previous: Option<PathBuf>,
        #[command(flatten)]
        reading: Reading,
    },
}

/// How much is shared out.
#[derive(Args)]
#[group(id = "what is shared out", required = true, multiple = false)]
pub struct ShareOut {
    /// So many units of the token.
    #[arg(long, value_name = "UNITS")]
    total: Option<U256>,
    /// All that ever arrived at this pool.
    #[arg(long, value_name = "ADDRESS")]
    pool: Option<Address>,
}

/// What to claim.
#[derive(Args)]
pub struct ClaimArgs {
    /// For a donor of this model; the money goes to the donor's account, whoever claims it.
    #[arg(long, value_name = "NUMBER", requires = "donor")]
    model: Option<u64>,
    /// The donor's number.
    #[arg(long, value_name = "NUMBER", requires = "model")]
    donor: Option<u16>,
    /// From this pool, for an account in its list; the money goes to that account.
    #[arg(long, value_name = "ADDRESS", requires_all = ["list", "account"], conflicts_with = "model")]
    pool: Option<Address>,
    /// The list whose root the pool uses now.
    #[arg(long, value_name = "FILE", requires = "pool")]
    list: Option<PathBuf>,
    /// The account in the list.
    #[arg(long, value_name = "ADDRESS", requires = "pool")]
    account: Option<Address>,
    #[command(flatten)]
    writing: Writing,
}

/// Where it reads or writes, if it does.
pub fn place(command: &RevenueCommand) -> Option<&Place> {
    match command {
        RevenueCommand::List { reading }
        | RevenueCommand::Show { reading, .. }
        | RevenueCommand::Check { reading, .. } => Some(&reading.place),
        RevenueCommand::Claim(ClaimArgs { writing, .. })
        | RevenueCommand::Pool { writing, .. }
        | RevenueCommand::Publish { writing, .. } => Some(&writing.reading.place),
        RevenueCommand::ShareOut { place, .. } => Some(place),
        RevenueCommand::Root { .. } | RevenueCommand::Proof { .. } => None,
    }
}

/// Runs it.
pub async fn run(command: RevenueCommand, out: &mut dyn Write) -> Result<bool> {
    match command {
        RevenueCommand::List { reading } => list(&reading, out).await,
        RevenueCommand::Show { model, reading } => show(model, &reading, out).await,
        RevenueCommand::Claim(args) => claim(&args, out).await,
        RevenueCommand::Root { list, json } => pools::root(&list, json, out),
        RevenueCommand::Proof { list, account, json } => pools::proof(&list, account, json, out),
        RevenueCommand::ShareOut { weights, what, place } => {
            pools::share_out(&weights, what.total, what.pool, &place, out).await
        }
        RevenueCommand::Pool { keeper, window, silence, writing } => {
            pools::create(keeper, window, silence, &writing, out).await
        }
        RevenueCommand::Publish { list, pool, total, writing } => {
            pools::publish(&list, pool, total, &writing, out).await
        }
        RevenueCommand::Check { list, pool, weights, previous, reading } => {
            pools::check(&list, pool, weights.as_deref(), previous.as_deref(), &reading, out).await
        }
    }
}

/// All money, as of one block: read again when a block came between the events and the balance.
async fn revenue(ledger: &histone_ledger::Ledger) -> Result<(Book, Revenue)> {
    const TRIES: usize = 3;
    let mut tried = 0;
    loop {
        let book = ledger.book(&[Contract::Members, Contract::Market, Contract::Rounds]).await?;
        let holdings = ledger.holdings().await?;
        let now = ledger.connection().head().await?;
        let revenue = book.revenue(holdings);
        tried += 1;
        if revenue.holds || now.hash == book.head.hash || tried == TRIES {
            return Ok((book, revenue));
        }
    }
}

async fn list(reading: &Reading, out: &mut dyn Write) -> Result<bool> {
    let opened = reading.place.open().await?;
    let (book, revenue) = revenue(&opened.ledger).await?;
    let money = opened.ledger.money().await?;
    let mut page = Page::of(&opened, &book);
    page.put("money", &money)?;
    page.put("revenue", &revenue)?;
    let names = &opened.names;
    let whole = |amount| money.whole(amount);
    let models = revenue.models.iter().map(|m| {
        vec![
            m.model.to_string(),
            whole(m.deposit),
            whole(m.deposit_held),
            whole(m.queries_bought),
            whole(m.queries_refunded),
            whole(m.donors_earned),
            whole(m.trainer_earned),
            whole(m.runners_earned),
            whole(m.fees),
            whole(m.donors_owed),
        ]
    });
    let head = [
        "model",
        "deposit",
        "of it held",
        "queries",
        "refunded",
        "donors",
        "trainer",
        "runners",
        "fees",
        "donors can claim",
    ];
    page.rows(&head, models, "no models yet");
    let accounts = revenue.accounts.iter().map(|a: &AccountMoney| {
        vec![
            names.of(a.account),
            a.account.to_string(),
            a.earns_as.join(", "),
            whole(a.earned),
            whole(a.returned),
            whole(a.paid),
            whole(a.owed),
        ]
    });
    page.rows(
        &["name", "account", "as", "earned", "deposits back", "paid", "can claim"],
        accounts,
        "nobody earned anything yet",
    );
    page.line(books(&revenue, &money));
    page.print(reading.json, out)?;
    if !revenue.holds {
        tell("error: the sums do not fit: the books of this ledger do not hold");
    }
    Ok(revenue.holds)
}

/// The sums in words, and whether they fit.
fn books(r: &Revenue, money: &Money) -> String {
    let whole = |amount| money.whole(amount);
    let sums = format!(
        "paid in {} = paid out {} + owed {}; the market says that it owes {} and holds {} {}",
        whole(r.paid_in),
        whole(r.paid_out),
        whole(r.owed),
        whole(r.obligations),
        whole(r.balance),
        money.symbol
    );
    let verdict = match (r.holds, r.balance > r.obligations) {
        (true, false) => "all sums fit",
        (true, true) => "all sums fit; somebody sent money to the market without being asked",
        (false, _) => "THE SUMS DO NOT FIT",
    };
    format!("{sums}: {verdict}")
}

async fn show(model: u64, reading: &Reading, out: &mut dyn Write) -> Result<bool> {
    let opened = reading.place.open().await?;
    let book = opened.ledger.book(&[Contract::Members, Contract::Market, Contract::Rounds]).await?;
    let money = opened.ledger.money().await?;
    let row = book.models.get(&model);
    let row = row.with_context(|| {
        format!("the ledger has no model {model}; `histone model list` shows what it has")
    })?;
    let m: ModelMoney = row.money();
    let mut page = Page::of(&opened, &book);
    page.put("money", &money)?;
    page.put("model", &m)?;
    page.put("donors", &row.donors)?;
    let tokens = |amount: Amount| format!("{} {}", money.whole(amount), money.symbol);
    page.facts(
        &format!("money of model {model}"),
        [
            ("deposit", tokens(m.deposit)),
            ("  went back to the trainer", tokens(m.deposit_returned)),
            ("  waits for the end of training", tokens(m.deposit_held)),
            ("paid for queries", tokens(m.queries_bought)),
            ("  refunded", tokens(m.queries_refunded)),
            ("  wait for an answer", tokens(m.queries_held)),
            ("  answered", tokens(m.queries_settled)),
            ("of the answered ones: trainer", tokens(m.trainer_earned)),
            ("  runners", tokens(m.runners_earned)),
            (
                "  fees",
                format!("{}, of which {} were collected", tokens(m.fees), money.whole(m.fees_collected)),
            ),
            ("donors, with instant payments", tokens(m.donors_earned)),
            ("  were paid", tokens(m.donors_paid)),
            ("  can claim", tokens(m.donors_owed)),
            ("left by rounding", tokens(m.rounding)),
        ],
    );
    let names = &opened.names;
    let rows = row.donors.iter().map(|d| {
        vec![
            d.donor.to_string(),
            names.of(d.payee),
            money.whole(d.earned),
            money.whole(d.paid),
            money.whole(d.owed),
        ]
    });
    page.rows(&["donor", "paid to", "earned", "paid", "can claim"], rows, "no donors yet");
    page.print(reading.json, out)?;
    Ok(true)
}

async fn claim(args: &ClaimArgs, out: &mut dyn Write) -> Result<bool> {
    let (opened, key) = args.writing.open().await?;
    let ledger = &opened.ledger;
    let (account, amount) = match (args.model, args.donor, args.pool, &args.list, args.account) {
        (Some(model), Some(donor), ..) => {
            let call = Market::claimDonorCall { modelId: U256::from(model), donorIndex: donor };
            let receipt = ledger.send(&key, Contract::Market, call).await?;
            let paid = receipt.event::<Market::DonorPaid>()?;
            (paid.payee, Amount(paid.amount))
        }
        (_, _, Some(pool), Some(list), Some(account)) => {
            (account, pools::claim(ledger, &key, pool, list, account).await?)
        }
        _ => {
            let receipt = ledger.send(&key, Contract::Market, Market::claimCall {}).await?;
            let paid = receipt.event::<Market::Paid>()?;
            (paid.account, Amount(paid.amount))
        }
    };
    let money = ledger.money().await?;
    let head = ledger.connection().head().await?;
    let mut page = Page::new(&opened, head);
    page.put("money", &money)?;
    page.put("account", &account)?;
    page.put("paid", &amount)?;
    page.line(format!("{} {} paid to {}", money.whole(amount), money.symbol, opened.names.full(account)));
    page.print(args.writing.reading.json, out)?;
    Ok(true)
}
