//! `histone round`.

use std::io::Write;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use histone_contracts::Contract;
use histone_contracts::book::{Round, RoundState};

use super::market::{no_model, optional};
use super::page::Page;
use super::place::Reading;
use super::text::{short, utc};

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

/// Runs `histone round`.
pub async fn rounds(command: RoundCommand, out: &mut dyn Write) -> Result<bool> {
    let (RoundCommand::List { reading, .. } | RoundCommand::Show { reading, .. }) = &command;
    let opened = reading.place.open().await?;
    let contracts = [Contract::Members, Contract::Market, Contract::Rounds];
    let book = opened.ledger.book(&contracts).await?;
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
