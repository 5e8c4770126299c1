//! What a command prints: tables for people, or one JSON document with the same content.

use std::io::Write;

use anyhow::{Context as _, Result};
use histone_ledger::view::{Book, Head};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::place::Opened;
use super::text::utc;
use crate::progress::STDOUT;
use crate::tables::table;

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
            opened.names.all().iter().map(|(account, name)| (account.to_string(), json!(name))).collect();
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
        self.text.push(text.into());
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
            facts.into_iter().map(|(name, value)| (name, value.into())).collect();
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let lines = facts.iter().map(|(name, value)| format!("\n  {name:<width$}  {value}"));
        self.text.push(std::iter::once(title.to_owned()).chain(lines).collect());
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
