//! Lines of bounded length from any `BufRead`.

use std::io::BufRead;

use super::error::VcfError;

/// Holds one line at a time.
pub(super) struct Lines<R> {
    reader: R,
    file: String,
    line: Vec<u8>,
    number: u64,
    limit: usize,
    is_terminated: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(file: &str, reader: R, limit: usize) -> Self {
        Self { reader, file: file.to_owned(), line: vec![], number: 0, limit, is_terminated: true }
    }

    /// Reads the next line; false at the end of the file.
    pub(super) fn advance(&mut self) -> Result<bool, VcfError> {
        self.line.clear();
        self.number += 1;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(VcfError::Read { file: self.file.clone(), line: self.number, source });
                }
            };
            if available.is_empty() {
                self.is_terminated = false;
                return Ok(!self.line.is_empty());
            }
            let end = memchr::memchr(b'\n', available);
            let part = end.unwrap_or(available.len());
            if self.line.len() + part > self.limit {
                return Err(VcfError::LineTooLong {
                    file: self.file.clone(),
                    line: self.number,
                    limit: self.limit,
                });
            }
            self.line.extend_from_slice(available.get(..part).unwrap_or_default());
            self.reader.consume(end.map_or(part, |end| end + 1));
            if end.is_some() {
                self.is_terminated = true;
                return Ok(true);
            }
        }
    }

    /// The line without its line feed; a carriage return before it is still there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.line
    }

    /// The line without LF or CR LF.
    pub(super) fn text(&self) -> &[u8] {
        self.line.strip_suffix(b"\r").unwrap_or(&self.line)
    }

    /// Number of the line, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// False when the file ended before the line did.
    pub(super) fn is_terminated(&self) -> bool {
        self.is_terminated
    }

    pub(super) fn source(&self) -> &R {
        &self.reader
    }

    pub(super) fn source_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }
}
