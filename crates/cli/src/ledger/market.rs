//! `histone model`, `histone query`.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use histone_contracts::Contract;
use histone_contracts::book::{Model, ModelState, Query, QueryState, Round, RoundState};
use histone_ledger::view::Money;
use histone_protocol::committee::Committee;

use super::accounts::resolve;
use super::page::Page;
use super::place::Reading;
use super::text::{lasting, pick, short, utc};

/// `histone model`.
#[derive(Subcommand)]
pub enum ModelCommand {
    /// List the models.
    List {
        /// Only in this state: recruiting, training, trained, serving, retired, aborted.
        #[arg(long)]
        state: Option<ModelState>,
        /// Only of this trainer: account, first digits, or name.
        #[arg(long)]
        trainer: Option<String>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show one model with its donors.
    Show {
        /// Its number.
        model: u64,
        #[command(flatten)]
        reading: Reading,
    },
}

/// `histone query`.
#[derive(Subcommand)]
pub enum QueryCommand {
    /// List the queries.
    List {
        /// Only to this model.
        #[arg(long, value_name = "NUMBER")]
        model: Option<u64>,
        /// Only in this state: funded, overdue, settled, refunded.
        #[arg(long)]
        state: Option<QueryState>,
        /// Only of this buyer: account, first digits, or name.
        #[arg(long)]
        buyer: Option<String>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show one query.
    Show {
        /// Its id, or the first six digits or more.
        query: String,
        #[command(flatten)]
        reading: Reading,
    },
}

fn percent(bps: u16) -> String {
    format!("{}.{:02} %", bps / 100, bps % 100)
}

pub(super) fn optional(hash: Option<alloy_primitives::B256>) -> String {
    hash.map_or_else(|| "-".into(), |hash| hash.to_string())
}

/// Runs `histone model`.
pub async fn models(command: ModelCommand, out: &mut dyn Write) -> Result<bool> {
    let (ModelCommand::List { reading, .. } | ModelCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let contracts = [Contract::Members, Contract::Market, Contract::Rounds];
    let book = opened.ledger.book(&contracts).await?;
    let rounds: Vec<&Round> = book.rounds.iter().collect();
    let money = opened.ledger.money().await?;
    let names = &opened.names;
    let mut page = Page::of(&opened, &book);
    page.put("money", &money)?;
    match &command {
        ModelCommand::List { state, trainer, .. } => {
            let trainer = trainer.as_ref().map(|text| resolve(text, &book, names)).transpose()?;
            let wanted =
                |m: &&Model| state.is_none_or(|s| m.state == s) && trainer.is_none_or(|t| m.trainer == t);
            let rows: Vec<_> = book.models.iter().filter(wanted).collect();
            page.put("models", &rows)?;
            let cells = rows.iter().map(|m| {
                vec![
                    m.model.to_string(),
                    m.state.to_string(),
                    names.of(m.trainer),
                    format!("{} of {}-{}", m.donors.len(), m.terms.min_donors, m.terms.max_donors),
                    m.rounds.to_string(),
                    format!("{} of {}", m.queries.settled, m.queries.bought),
                    money.whole(m.terms.query_price),
                    percent(m.terms.fee_bps),
                    short(m.white_paper_hash),
                ]
            });
            let head = [
                "model",
                "state",
                "trainer",
                "donors",
                "rounds",
                "queries answered",
                "price",
                "fee",
                "white paper",
            ];
            page.rows(&head, cells, "no such models");
        }
        ModelCommand::Show { model, .. } => {
            let m = book.models.get(model).with_context(|| no_model(*model))?;
            page.put("model", m)?;
            show_model(&mut page, m, &rounds, &money);
        }
    }
    page.print(reading.json, out)?;
    Ok(true)
}

pub(super) fn no_model(model: u64) -> String {
    format!("the ledger has no model {model}; `histone model list` shows what it has")
}

fn show_model(page: &mut Page, m: &Model, rounds: &[&Round], money: &Money) {
    let names = &page.opened().names;
    let tokens = |amount| format!("{} {}", money.whole(amount), money.symbol);
    let terms = &m.terms;
    let mut facts = vec![
        ("state", m.state.to_string()),
        ("trainer", names.full(m.trainer)),
        ("white paper", m.white_paper_hash.to_string()),
        ("plan", m.plan_hash.to_string()),
        ("trained model", optional(m.model_hash)),
        ("deposit", tokens(m.deposit)),
        ("of it returned", m.deposit_returned.map_or_else(|| "-".into(), tokens)),
        ("instant payment", format!("{} for each donor", tokens(terms.instant_payment))),
        ("query price", tokens(terms.query_price)),
        ("fee", format!("{}, taken off first", percent(terms.fee_bps))),
        (
            "of the rest",
            format!(
                "donors {}, trainer {}, runner {}",
                percent(terms.donors_bps),
                percent(terms.trainer_bps),
                percent(terms.runner_bps)
            ),
        ),
        ("donors wanted", format!("{} to {}", terms.min_donors, terms.max_donors)),
        ("training needs", format!("data of {} donors", terms.min_survivors)),
        (
            "may collude",
            match terms.colluders {
                0 => "there is no committee: one enclave has all data".into(),
                colluders => format!("{colluders} of the committee"),
            },
        ),
        ("queries refunded after", lasting(terms.query_timeout.into())),
        ("rounds", m.rounds.to_string()),
        (
            "queries",
            format!(
                "{} bought, {} answered, {} refunded",
                m.queries.bought, m.queries.settled, m.queries.refunded
            ),
        ),
    ];
    if let Ok(committee) = Committee::derive(m.committee.len(), terms.colluders) {
        facts.push(("committee", committee.to_string()));
    }
    for seat in &m.committee {
        facts.push(("has a seat", names.full(*seat)));
    }
    if let Some(host) = &m.host {
        facts.push(("data goes to", format!("{}, run by {}", host.enclave, names.full(host.runner))));
        facts.push(("it has said", optional(host.statement_hash)));
    }
    for owner in &m.refused {
        facts.push(("refused", names.full(*owner)));
    }
    for s in &m.servings {
        facts.push(("served by", format!("{}, run by {}", s.enclave, names.full(s.runner))));
    }
    page.facts(&format!("model {}", m.model), facts);
    let total = m.total_weight.max(1);
    let sums: Vec<_> = rounds.iter().filter(|r| r.model == m.model && r.state == RoundState::Final).collect();
    let in_sums =
        |donor: u16| sums.iter().filter(|r| r.survivors.iter().flatten().any(|s| *s == donor)).count();
    let rows = m.donors.iter().map(|d| {
        vec![
            d.donor.to_string(),
            names.get(d.payee).map_or_else(|| short(d.payee), str::to_owned),
            d.payee.to_string(),
            short(d.dataset),
            d.weight.to_string(),
            format!("{:.2} %", f64::from(d.weight) * 100.0 / total as f64),
            money.whole(d.earned),
            money.whole(d.owed),
            format!(
                "{} of {}{}",
                in_sums(d.donor),
                sums.len(),
                match (d.excluded, d.use_ended) {
                    (true, _) => ", EXCLUDED",
                    (_, true) => ", ended",
                    (false, false) => "",
                }
            ),
        ]
    });
    let head =
        ["donor", "paid to", "account", "dataset", "weight", "of queries", "earned", "can claim", "in sums"];
    let open = matches!(m.state, ModelState::Recruiting | ModelState::Training);
    page.rows(&head, rows, if open { "no donors yet" } else { "no donors" });
}

/// Runs `histone query`.
pub async fn queries(command: QueryCommand, out: &mut dyn Write) -> Result<bool> {
    let (QueryCommand::List { reading, .. } | QueryCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let book = opened.ledger.book(&[Contract::Members, Contract::Market]).await?;
    let money = opened.ledger.money().await?;
    let names = &opened.names;
    let mut page = Page::of(&opened, &book);
    page.put("money", &money)?;
    match &command {
        QueryCommand::List { model, state, buyer, .. } => {
            if let Some(model) = model.filter(|m| book.models.get(m).is_none()) {
                bail!(no_model(model));
            }
            let buyer = buyer.as_ref().map(|text| resolve(text, &book, names)).transpose()?;
            let wanted = |q: &&Query| {
                model.is_none_or(|m| q.model == m)
                    && state.is_none_or(|s| q.state == s)
                    && buyer.is_none_or(|b| q.buyer == b)
            };
            let rows: Vec<_> = book.queries.iter().filter(wanted).collect();
            page.put("queries", &rows)?;
            let cells = rows.iter().map(|q| {
                vec![
                    short(q.query),
                    q.model.to_string(),
                    q.state.to_string(),
                    names.of(q.buyer),
                    money.whole(q.price),
                    utc(q.deadline),
                    q.job.map_or_else(|| "-".into(), short),
                    q.output_hash.map_or_else(|| "-".into(), short),
                ]
            });
            let head = ["query", "model", "state", "buyer", "price", "deadline", "job", "answer"];
            page.rows(&head, cells, "no such queries");
        }
        QueryCommand::Show { query, .. } => {
            let q = pick("query", query, book.queries.iter().map(|q| (q.query, q)))?;
            page.put("query", q)?;
            let facts = [
                ("state", q.state.to_string()),
                ("model", q.model.to_string()),
                ("buyer", names.full(q.buyer)),
                ("price", format!("{} {}", money.whole(q.price), money.symbol)),
                ("deadline", utc(q.deadline)),
                ("enclave", q.enclave.to_string()),
                ("access code hash", q.code_hash.to_string()),
                ("job", optional(q.job)),
                ("answer hash", optional(q.output_hash)),
            ];
            page.facts(&q.query.to_string(), facts);
        }
    }
    page.print(reading.json, out)?;
    Ok(true)
}
