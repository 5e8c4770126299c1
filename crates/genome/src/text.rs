//! Lines of a text file, read one at a time and held against limits.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

/// How much text is read before a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLimits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of one line.
    pub line_bytes: usize,
    /// Rows below the header.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Default for TextLimits {
    /// 1 GiB in lines of at most 1 MiB, twenty million rows and ten thousand columns.
    fn default() -> Self {
        Self { bytes: 1 << 30, line_bytes: 1 << 20, rows: 20_000_000, columns: 10_000 }
    }
}

/// Why a file is no text that can be read line by line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The reader failed.
    #[error("{file}: cannot be read")]
    Read {
        /// Name of the file.
        file: String,
        /// What the reader said.
        #[source]
        source: std::io::Error,
    },
    /// One of the [`TextLimits`] is exceeded.
    #[error("{file}, line {line}: has more than {limit} {what}, the limit of this program")]
    TooLarge {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The bytes of a line are not text.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        problem: TextProblem,
    },
}

/// What is wrong with the bytes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextProblem {
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A zero byte.
    Zero,
    /// A carriage return that is not followed by a line feed.
    BareCarriageReturn,
    /// The file begins as a ZIP or gzip file does.
    Compressed,
    /// A blank line with something below it.
    Blank,
    /// A quote that is never closed, or stands inside a cell.
    Quote,
}

impl fmt::Display for TextProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "the text is not UTF-8; save the file as UTF-8",
            Self::Zero => "a zero byte stands in the text; the file is not text, or was damaged",
            Self::BareCarriageReturn => "a carriage return stands alone; end lines with LF or CR LF",
            Self::Compressed => "the file is compressed; unpack it first",
            Self::Blank => "the line is blank and others follow; remove it",
            Self::Quote => {
                "a quote is not closed or stands inside a cell; put the whole cell in quotes, or none"
            }
        })
    }
}

/// A file, line by line. Lines may end with LF or CR LF, also mixed in one file.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    file: String,
    limits: TextLimits,
    buffer: Vec<u8>,
    bytes: u64,
    /// Number of the line returned last.
    line: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(file: &str, reader: R, limits: &TextLimits) -> Self {
        let reader = BufReader::with_capacity(1 << 16, reader);
        Self { reader, file: file.to_owned(), limits: *limits, buffer: vec![], bytes: 0, line: 0 }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Number of the line returned last, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The next line without its end; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<&str>, TextError> {
        self.buffer.clear();
        // Room for the line end, and one byte that tells a line of the largest size from a larger one.
        let most = (self.limits.line_bytes as u64).saturating_add(3);
        let found = (&mut self.reader).take(most).read_until(b'\n', &mut self.buffer);
        let found = found.map_err(|source| TextError::Read { file: self.file.clone(), source })?;
        if found == 0 {
            return Ok(None);
        }
        self.line += 1;
        self.bytes = self.bytes.saturating_add(found as u64);
        if self.bytes > self.limits.bytes {
            return Err(self.too_large("bytes", self.limits.bytes));
        }
        if self.line == 1 && (self.buffer.starts_with(b"PK\x03\x04") || self.buffer.starts_with(b"\x1f\x8b"))
        {
            return Err(self.problem(TextProblem::Compressed));
        }
        let mut end = self.buffer.len();
        if self.buffer.last() == Some(&b'\n') {
            end -= 1;
            if self.buffer.get(end.wrapping_sub(1)) == Some(&b'\r') {
                end -= 1;
            }
        }
        let start = if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let line = self.buffer.get(start..end).unwrap_or_default();
        if line.len() > self.limits.line_bytes {
            return Err(self.too_large("bytes in one line", self.limits.line_bytes as u64));
        }
        if line.contains(&b'\r') {
            return Err(self.problem(TextProblem::BareCarriageReturn));
        }
        if line.contains(&0) {
            return Err(self.problem(TextProblem::Zero));
        }
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(self.problem(TextProblem::NotUtf8)),
        }
    }

    /// Counts a row against the limit.
    pub(crate) fn check_rows(&self, rows: usize) -> Result<(), TextError> {
        if rows > self.limits.rows { Err(self.too_large("rows", self.limits.rows as u64)) } else { Ok(()) }
    }

    /// Counts columns against the limit.
    pub(crate) fn check_columns(&self, columns: usize) -> Result<(), TextError> {
        if columns > self.limits.columns {
            Err(self.too_large("columns", self.limits.columns as u64))
        } else {
            Ok(())
        }
    }

    pub(crate) fn problem(&self, problem: TextProblem) -> TextError {
        TextError::Line { file: self.file.clone(), line: self.line, problem }
    }

    fn too_large(&self, what: &'static str, limit: u64) -> TextError {
        TextError::TooLarge { file: self.file.clone(), line: self.line, what, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &str) {
        let limits = TextLimits { bytes: 20, line_bytes: 5, rows: 1, columns: 1 };
        let mut lines = Lines::new("f", text, &limits);
        let mut found = vec![];
        let message = loop {
            match lines.next() {
                Ok(Some(line)) => found.push(line.to_owned()),
                Ok(None) => break found.join("|"),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(message, expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn lines_and_their_limits() {
        check(b"", "");
        check(b"a\nb", "a|b");
        check(b"a\r\nb\n\nc\r\n", "a|b||c");
        check(b"\xef\xbb\xbfa\n", "a");
        check(b"12345\r\n12345\n", "12345|12345");
        check(b"123456\n", "f, line 1: has more than 5 bytes in one line, the limit of this program");
        check(&[b'1'; 1000], "f, line 1: has more than 5 bytes in one line, the limit of this program");
        check(&[b'\n'; 21], "f, line 21: has more than 20 bytes, the limit of this program");
        check(b"a\rb\n", "f, line 1: a carriage return stands alone; end lines with LF or CR LF");
        check(b"a\n\xff\n", "f, line 2: the text is not UTF-8; save the file as UTF-8");
        check(b"a\n\0\n", "f, line 2: a zero byte stands in the text; the file is not text, or was damaged");
        check(b"PK\x03\x04", "f, line 1: the file is compressed; unpack it first");
        check(b"a\r", "f, line 1: a carriage return stands alone; end lines with LF or CR LF");
    }
}
