//! A binary file that is read from the front, a piece at a time.

use std::io::Read;

/// The file and where its reader stands.
pub(crate) struct Input<R> {
    pub(crate) file: String,
    inner: R,
    /// Bytes that were read.
    pub(crate) offset: u64,
    /// The piece that was read last.
    pub(crate) bytes: Vec<u8>,
}

/// The file could not be read.
pub(crate) struct Unread {
    pub(crate) file: String,
    pub(crate) source: std::io::Error,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(file: &str, inner: R) -> Self {
        Self { file: file.to_owned(), inner, offset: 0, bytes: vec![] }
    }

    /// Reads so many bytes or up to the end; says how many. The buffer grows with what has come: sizes come from the file.
    pub(crate) fn fill(&mut self, count: u64) -> Result<usize, Unread> {
        self.bytes.clear();
        let found = (&mut self.inner)
            .take(count)
            .read_to_end(&mut self.bytes)
            .map_err(|source| Unread { file: self.file.clone(), source })?;
        self.offset += found as u64;
        Ok(found)
    }

    /// Passes over so many bytes; says how many there were.
    pub(crate) fn skip(&mut self, count: u64) -> Result<u64, Unread> {
        let found = std::io::copy(&mut (&mut self.inner).take(count), &mut std::io::sink())
            .map_err(|source| Unread { file: self.file.clone(), source })?;
        self.offset += found;
        Ok(found)
    }
}
