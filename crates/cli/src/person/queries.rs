//! `histone query ask`, `histone query mine`: what a user asks models through its node.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow};
use clap::{ArgGroup, Subcommand};
use histone_node::api::wire::{Wish, WishState, Wishes};
use histone_node::daemon::Asking;
use histone_node::study::Tokens;

use super::client::Node;
use super::models::read;
use super::wishes::{self, Wishing, outcome};
use super::{Place, age, document, line, now};
use crate::progress::STDOUT;
use crate::tables::table;

/// What a user says to its node.
#[derive(Subcommand)]
pub enum QueryCommand {
    /// Have your node buy an answer of a model, and ask it.
    #[command(group(ArgGroup::new("what").required(true).args(["row", "row_file"])))]
    Ask {
        /// The model's number.
        #[arg(long, value_name = "NUMBER")]
        model: u64,
        /// What is asked: one number for each feature, in the plan's order, such as 54,1.5,0. It stands in the list of processes as long as this command runs; --row-file does not.
        #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
        row: Option<Row>,
        /// The same from a file: numbers between commas, blanks or line breaks, or a JSON array of them.
        #[arg(long, value_name = "FILE")]
        row_file: Option<PathBuf>,
        /// Pay no more tokens than so many, such as 2.5.
        #[arg(long, value_name = "AMOUNT", value_parser = tokens)]
        most: Tokens,
        #[command(flatten)]
        wishing: Wishing,
    },
    /// List what your node was asked to ask, with the answers.
    Mine {
        #[command(flatten)]
        place: Place,
    },
}

/// Numbers, one for each feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<f64>);

impl FromStr for Row {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let by_comma = inner.contains(',');
        let parts: Vec<&str> = match by_comma {
            true => inner.split(',').map(str::trim).collect(),
            false => inner.split_whitespace().collect(),
        };
        if parts.is_empty() {
            return Err("there is no number; write one for each feature, such as 54,1.5,0".into());
        }
        let number = |(place, text): (usize, &&str)| match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!(
                "value {} of {} is `{}`, which is no number; write one for each feature, such as 54,1.5,0",
                place + 1,
                parts.len(),
                text.escape_debug()
            )),
        };
        parts.iter().enumerate().map(number).collect::<Result<_, _>>().map(Self)
    }
}

/// An amount of tokens: `2.5`.
fn tokens(text: &str) -> Result<Tokens, String> {
    let wrong = || {
        format!(
            "`{text}` is no amount of tokens; write a plain decimal with at most 6 digits behind the point, such as 50 or 2.5"
        )
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return Err(wrong());
    }
    format!("{whole}{part:0<6}").parse().map(Tokens::from_micro).map_err(|_| wrong())
}

/// Runs one of them.
pub fn run(command: QueryCommand, out: &mut dyn Write) -> Result<bool> {
    match command {
        QueryCommand::Ask { model, row, row_file, most, wishing } => {
            let row = match (row, row_file) {
                (Some(row), _) => row,
                (None, Some(file)) => row_of(&file)?,
                // The command line wants one of them.
                (None, None) => Row(Vec::new()),
            };
            let what = serde_json::to_value(Asking { model, row: row.0, most: most.micro() })?;
            let aim = format!("to buy an answer of model {model} for at most {most} tokens");
            wishes::make(&wishing, "query", &what, &aim, out)
        }
        QueryCommand::Mine { place } => mine(&place, out),
    }
}

fn row_of(file: &Path) -> Result<Row> {
    let wrong = |why| anyhow!("{why}");
    read(file)?.parse().map_err(wrong).with_context(|| format!("`{}` is no row", file.display()))
}

fn mine(place: &Place, out: &mut dyn Write) -> Result<bool> {
    let node = Node::find(&place.dir()?)?;
    let found: Wishes = node.get("/v1/wishes?kind=query&most=1000")?;
    if place.json {
        return document(out, &found).map(|()| true);
    }
    if found.wishes.is_empty() {
        line(out, "nothing was asked yet; ask with `histone query ask`")?;
        return Ok(true);
    }
    let now = now();
    let rows = found.wishes.iter().map(|wish| {
        let asking = serde_json::from_value::<Asking>(wish.what.clone()).ok();
        vec![
            wish.number.to_string(),
            age(now.saturating_sub(wish.made_at)),
            asking.as_ref().map_or_else(|| "-".into(), |asking| asking.model.to_string()),
            asking.map_or_else(|| "-".into(), |asking| Tokens::from_micro(asking.most).to_string()),
            state(wish).into(),
            outcome(wish),
        ]
    });
    writeln!(out, "{}", table(&["wish", "age", "model", "at most", "state", "what came of it"], rows))
        .context(STDOUT)?;
    Ok(true)
}

fn state(wish: &Wish) -> &'static str {
    match wish.state {
        WishState::Open => "open",
        WishState::Done => "answered",
        WishState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows() {
        for text in ["1,-2.5,3e2", "1, -2.5 , 3e2", "1 -2.5\n300\n", "[1, -2.5, 300.0]", "1\t-2.5\r\n300"] {
            assert_eq!(text.parse(), Ok(Row(vec![1.0, -2.5, 300.0])), "{text}");
        }
        for (text, why) in [
            ("", "there is no number"),
            ("[]", "there is no number"),
            ("1,,2", "value 2 of 3 is ``"),
            ("1,x", "value 2 of 2 is `x`"),
            ("1,NaN", "value 2 of 2 is `NaN`"),
            ("inf", "value 1 of 1 is `inf`"),
            ("1e999", "value 1 of 1 is `1e999`"),
            ("1;2", "value 1 of 1 is `1;2`"),
            ("\u{1b}[2J", r"value 1 of 1 is `\u{1b}[2J`"),
        ] {
            let error = text.parse::<Row>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn amounts() {
        for (text, micro) in [("50", 50_000_000), ("2.5", 2_500_000), ("0.000001", 1), ("0", 0)] {
            assert_eq!(tokens(text).unwrap().micro(), micro);
        }
        for wrong in ["", "-1", "1.", ".5", "1e3", "1,5", "1.0000001", "+1", "18446744073709.551616"] {
            assert!(tokens(wrong).unwrap_err().contains("such as 50 or 2.5"), "{wrong}");
        }
    }
}
