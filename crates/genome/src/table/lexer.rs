//! Splits comma-separated text (RFC 4180) into cells, refusing what the RFC does not allow; other separators than commas beside.
//!
//! The `csv` crate reads leniently on purpose: an unclosed quote swallows the rest of the file into one cell, text after a
//! closing quote is kept, blank lines vanish. For data that is about to be committed to, a lost row must be an error with
//! a line number, hence this small lexer; `csv` is its oracle in the tests.

use super::error::LineProblem;

/// What the cell just read ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Cell,
    Line,
    File,
}

/// A position in text. Lines count from 1.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u64,
    separator: u8,
}

impl<'a> Lexer<'a> {
    /// `separator` is ASCII.
    pub(super) fn new(text: &'a str, separator: u8) -> Self {
        // Spreadsheets mark UTF-8 with a byte order mark; it is not part of the first name.
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 1, separator }
    }

    /// Line on which the next cell starts.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// True when no record follows. A line end at the end of the file closes the last record, it opens no other.
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    /// True when the next line is empty, or holds nothing but its line end.
    pub(super) fn at_blank_line(&self) -> bool {
        matches!(self.peek(), Some(b'\n'))
            || self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\r\n"))
    }

    /// True when nothing but blank lines follows.
    pub(super) fn only_blank_lines_follow(&self) -> bool {
        self.text.get(self.at..).is_none_or(|rest| rest.bytes().all(|byte| matches!(byte, b'\n' | b'\r')))
    }

    /// Appends the next cell to `out`, unquoted, and says what it ended with.
    pub(super) fn cell(&mut self, out: &mut String) -> Result<End, (u64, LineProblem)> {
        if self.peek() == Some(b'"') {
            self.quoted(out)?;
        } else {
            let separator = self.separator;
            self.take_until(|byte| byte == separator || matches!(byte, b'\n' | b'\r' | b'"'), out);
        }
        let end = match self.peek() {
            None => End::File,
            Some(byte) if byte == self.separator => End::Cell,
            Some(b'\n') => End::Line,
            Some(b'\r') => {
                self.at += 1;
                if self.peek() != Some(b'\n') {
                    return Err((self.line, LineProblem::BareCarriageReturn));
                }
                End::Line
            }
            Some(b'"') => return Err((self.line, LineProblem::StrayQuote)),
            Some(_) => return Err((self.line, LineProblem::TextAfterQuote)),
        };
        if end != End::File {
            self.at += 1;
        }
        if end == End::Line {
            self.line += 1;
        }
        Ok(end)
    }

    fn quoted(&mut self, out: &mut String) -> Result<(), (u64, LineProblem)> {
        let opened = self.line;
        self.at += 1;
        loop {
            let before = out.len();
            self.take_until(|byte| byte == b'"', out);
            let lines = out.bytes().skip(before).filter(|byte| *byte == b'\n').count();
            self.line += lines as u64;
            if self.peek().is_none() {
                return Err((opened, LineProblem::UnclosedQuote));
            }
            self.at += 1;
            if self.peek() != Some(b'"') {
                return Ok(());
            }
            // A doubled quote is a quote.
            out.push('"');
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// `stop` matches ASCII only, so both ends are character boundaries.
    fn take_until(&mut self, stop: impl Fn(u8) -> bool, out: &mut String) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.bytes().position(stop).unwrap_or(rest.len());
        out.push_str(rest.get(..length).unwrap_or_default());
        self.at += length;
    }
}
