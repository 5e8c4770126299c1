//! What a command prints: tables for people, or one JSON document with the same content.
//!
//! Much of it was written into the ledger by somebody: for people it is made [`plain`], so that a description cannot fake
//! what a proposal does.

use std::io::Write;

use anyhow::{Context as _, Result};
use histone_contracts::Book;
use histone_contracts::book::Head;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::place::Opened;
use super::text::utc;
use crate::progress::STDOUT;
use crate::tables::{plain, table};

/// A page that is being put together.
pub struct Page<'a> {
    opened: &'a Opened,
    document: Map<String, Value>,
    text: Vec<String>,
}

impl<'a> Page<'a> {
    /// An empty page about a ledger as of a block.
    pub fn new(opened: &'a Opened, head: Head) -> Self {
        let d = opened.ledger.deployment();
        let mut document = Map::new();
        document.insert(
            "ledger".into(),
            json!({
                "chain_id": d.chain_id,
                "directory": d.directory,
                "block": head.block,
                "hash": head.hash,
                "time": head.time,
            }),
        );
        let names: Map<String, Value> =
            opened.names.all().iter().map(|(account, name)| (format!("{account:#x}"), json!(name))).collect();
        document.insert("names".into(), Value::Object(names));
        Self { opened, document, text: Vec::new() }
    }

    /// An empty page about a book.
    pub fn of(opened: &'a Opened, book: &Book) -> Self {
        let mut page = Self::new(opened, book.head);
        page.line(format!(
            "ledger {} on chain {}, as of block {} ({})",
            opened.ledger.deployment().directory,
            opened.ledger.deployment().chain_id,
            book.head.block,
            utc(book.head.time)
        ));
        page
    }

    /// Something for the JSON document.
    pub fn put(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        self.document.insert(name.into(), serde_json::to_value(value)?);
        Ok(())
    }

    /// A line for people.
    pub fn line(&mut self, text: impl Into<String>) {
        self.text.push(plain(&text.into()));
    }

    /// A table for people; `none` when there is no row.
    pub fn rows(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>, none: &str) {
        let rows: Vec<_> = rows.into_iter().collect();
        if rows.is_empty() {
            self.line(none);
        } else {
            self.text.push(table(head, rows).to_string());
        }
    }

    /// Facts about one thing, for people: a line each.
    pub fn facts<T: Into<String>>(
        &mut self,
        title: &str,
        facts: impl IntoIterator<Item = (&'static str, T)>,
    ) {
        let facts: Vec<(&str, String)> =
            facts.into_iter().map(|(name, value)| (name, plain(&value.into()))).collect();
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let lines = facts.iter().map(|(name, value)| format!("\n  {name:<width$}  {value}"));
        self.text.push(std::iter::once(plain(title)).chain(lines).collect());
    }

    /// Names and accounts.
    pub fn opened(&self) -> &'a Opened {
        self.opened
    }

    /// Prints the one or the other.
    pub fn print(self, as_json: bool, out: &mut dyn Write) -> Result<()> {
        let text = if as_json {
            serde_json::to_string_pretty(&Value::Object(self.document))?
        } else {
            self.text.join("\n\n")
        };
        writeln!(out, "{text}").context(STDOUT)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::sync::Arc;

    use histone_chain::{Chain, Genesis, ManualClock, Sequencer};
    use histone_ledger::{Connection, Ledger, Settings};
    use histone_protocol::keys::SigningKey;

    use super::*;

    #[tokio::test]
    async fn nobody_writes_lines_of_a_page_but_this_program() {
        let dir = tempfile::tempdir().unwrap();
        let sequencer = Sequencer::from_bytes(&[9; 32]).unwrap();
        let genesis = Genesis {
            chain_id: 4_711,
            timestamp: 1_800_000_000,
            sequencer: sequencer.address(),
            alloc: Vec::new(),
            gas_limit: Genesis::GAS_LIMIT,
        };
        let clock = Arc::new(ManualClock::new(1_800_000_000));
        let chain = Chain::create(dir.path(), genesis, sequencer, clock).unwrap();
        let founder = SigningKey::from_bytes(&[7; 32]).unwrap();
        let ledger =
            Ledger::deploy(Connection::embedded(chain), &founder, &Settings::default()).await.unwrap();
        let forged = "fine\n  does     allow program 0x11\x1b[2A";
        let names =
            crate::ledger::place::Names::from(BTreeMap::from([(founder.address(), forged.to_owned())]));
        let opened = Opened { ledger, names };
        let shown = |as_json| {
            let head = Head { block: 1, hash: Default::default(), time: 0 };
            let mut page = Page::new(&opened, head);
            page.put("description", &forged).unwrap();
            page.line(forged);
            page.facts(
                forged,
                [("what for", forged.to_owned()), ("by", opened.names.full(founder.address()))],
            );
            page.rows(&["what for"], [vec![forged.to_owned()]], "none");
            let mut out = Vec::new();
            page.print(as_json, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = shown(false);
        assert!(!text.contains('\x1b') && text.matches("fine   does     allow").count() == 5, "{text:?}");
        assert!(text.lines().all(|line| !line.trim_start().starts_with("does")), "{text}");
        // A program gets what was written, without what a terminal would obey.
        let document: Value = serde_json::from_str(&shown(true)).unwrap();
        assert_eq!(document["description"], forged);
    }
}
