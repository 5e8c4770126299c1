//! `histone model`, `histone query`, `histone round`.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use histone_ledger::Contract;
use histone_ledger::view::{Book, Model, ModelState, Money, Query, QueryState, Round, RoundState};
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

/// `histone round`.
#[derive(Subcommand)]
pub enum RoundCommand {
    /// List the training rounds.
    List {
        /// Only of this model.
        #[arg(long, value_name = "NUMBER")]
        model: Option<u64>,
        /// Only in this state: open, closed, final, failed, void.
        #[arg(long)]
        state: Option<RoundState>,
        #[command(flatten)]
        reading: Reading,
    },
    /// Show one round, or the rounds of one model.
    Show {
        /// MODEL or MODEL/ROUND, such as 1/3.
        #[arg(value_parser = round_key)]
        round: RoundKey,
        #[command(flatten)]
        reading: Reading,
    },
}

/// A model, or one round of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundKey(u64, Option<u32>);

fn round_key(text: &str) -> Result<RoundKey, String> {
    let wrong = || format!("`{text}` is no round; write MODEL or MODEL/ROUND, such as 1/3");
    match text.split_once('/') {
        None => Ok(RoundKey(text.parse().map_err(|_| wrong())?, None)),
        Some((model, round)) => {
            Ok(RoundKey(model.parse().map_err(|_| wrong())?, Some(round.parse().map_err(|_| wrong())?)))
        }
    }
}

fn percent(bps: u16) -> String {
    format!("{}.{:02} %", bps / 100, bps % 100)
}

fn optional(hash: Option<alloy_primitives::B256>) -> String {
    hash.map_or_else(|| "-".into(), |hash| hash.to_string())
}

/// Runs `histone model`.
pub async fn models(command: ModelCommand, out: &mut dyn Write) -> Result<bool> {
    let (ModelCommand::List { reading, .. } | ModelCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let contracts = [Contract::Members, Contract::Market, Contract::Rounds];
    let book = Book::read(&opened.ledger, &contracts).await?;
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

fn no_model(model: u64) -> String {
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
        ("rounds need", format!("{} updates", terms.min_survivors)),
        ("may collude", format!("{} of the committee", terms.colluders)),
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
    let book = Book::read(&opened.ledger, &[Contract::Members, Contract::Market]).await?;
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

/// Runs `histone round`.
pub async fn rounds(command: RoundCommand, out: &mut dyn Write) -> Result<bool> {
    let (RoundCommand::List { reading, .. } | RoundCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let contracts = [Contract::Members, Contract::Market, Contract::Rounds];
    let book = Book::read(&opened.ledger, &contracts).await?;
    let mut page = Page::of(&opened, &book);
    let known = |model| book.models.get(&model).map(|_| ()).with_context(|| no_model(model));
    match &command {
        RoundCommand::List { model, state, .. } => {
            model.map(known).transpose()?;
            let wanted =
                |r: &&Round| model.is_none_or(|m| r.model == m) && state.is_none_or(|s| r.state == s);
            let rows: Vec<_> = book.rounds.iter().filter(wanted).collect();
            page.put("rounds", &rows)?;
            let cells = rows.iter().map(|r| {
                vec![
                    format!("{}/{}", r.model, r.round),
                    r.state.to_string(),
                    r.anchors.len().to_string(),
                    r.survivors.as_ref().map_or_else(|| "-".into(), |s| s.len().to_string()),
                    format!("{} (asks {})", r.partials.len(), r.quorum),
                    utc(r.deadline),
                    r.model_hash.map_or_else(|| "-".into(), short),
                ]
            });
            let head = ["round", "state", "updates", "survivors", "partials", "deadline", "model"];
            page.rows(&head, cells, "no such rounds");
        }
        RoundCommand::Show { round: RoundKey(model, round), .. } => {
            known(*model)?;
            let wanted = |r: &&Round| r.model == *model && round.is_none_or(|n| r.round == n);
            let rows: Vec<_> = book.rounds.iter().filter(wanted).collect();
            match (rows.as_slice(), round) {
                ([], Some(n)) => {
                    bail!(
                        "model {model} has no round {n}; `histone round list --model {model}` shows its rounds"
                    )
                }
                ([one], Some(_)) => page.put("round", one)?,
                _ => page.put("rounds", &rows)?,
            }
            if rows.is_empty() {
                page.line(format!("model {model} has no rounds yet"));
            }
            for r in rows {
                show_round(&mut page, r);
            }
        }
    }
    page.print(reading.json, out)?;
    Ok(true)
}

fn show_round(page: &mut Page, r: &Round) {
    let names = &page.opened().names;
    let list = |donors: &Vec<u16>| {
        let donors: Vec<_> = donors.iter().map(u16::to_string).collect();
        donors.join(", ")
    };
    let mut facts = vec![
        ("state", r.state.to_string()),
        ("deadline", utc(r.deadline)),
        ("to be opened by", utc(r.open_by)),
        ("header hash", r.header_hash.to_string()),
        ("fails with fewer than", format!("{} updates", r.min_survivors)),
        ("survivors", r.survivors.as_ref().map_or_else(|| "not fixed".into(), list)),
        ("partial openings", format!("{}; the round asks for {}", r.partials.len(), r.quorum)),
        ("sum hash", optional(r.aggregate_hash)),
        ("model hash", optional(r.model_hash)),
    ];
    for partial in &r.partials {
        facts.push(("opened by", format!("{}: {}", names.of(partial.member), partial.hash)));
    }
    for named in &r.named {
        let who = match (named.donor, named.member) {
            (Some(donor), _) => format!("donor {donor}"),
            (None, Some(member)) => names.full(member),
            (None, None) => continue,
        };
        facts.push(("named", format!("{who}: {}", named.why())));
    }
    for anchor in &r.anchors {
        facts.push(("update", format!("donor {}: {}", anchor.donor, anchor.blob)));
    }
    page.facts(&format!("round {}/{}", r.model, r.round), facts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_named_by_model_and_number() {
        assert_eq!(round_key("1/3"), Ok(RoundKey(1, Some(3))));
        assert_eq!(round_key("12"), Ok(RoundKey(12, None)));
        for bad in ["", "/", "1/", "/3", "1/3/4", "a", "-1", "1/x"] {
            assert!(round_key(bad).is_err_and(|e| e.contains("such as 1/3")), "{bad}");
        }
    }
}
