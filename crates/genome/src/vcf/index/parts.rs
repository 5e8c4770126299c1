//! Some parts of a file as if there were no others.

use std::io::{BufRead, Read, Seek};

use super::super::bgzf::{self, Place};
use super::{Chunk, joined};

/// The text of a BGZF file: all of it, or from some moment on some chunks only.
pub struct Parts<R> {
    reader: bgzf::Reader<R>,
    chunks: Option<std::vec::IntoIter<Chunk>>,
    /// The end of the chunk that is being read.
    end: Place,
}

impl<R> Parts<R> {
    /// What the first bytes of the file said.
    pub fn kind(&self) -> Option<bgzf::Kind> {
        self.reader.kind()
    }
}

impl<R: Read + Seek> Parts<R> {
    /// All of the text.
    pub fn new(reader: bgzf::Reader<R>) -> Self {
        Self { reader, chunks: None, end: Place::START }
    }

    /// From now on these chunks follow each other, in the order of the file. Each begins and ends where a line does.
    pub fn only(&mut self, chunks: Vec<Chunk>) {
        self.chunks = Some(joined(chunks).into_iter());
        self.end = Place::START;
    }

    /// How many bytes may be taken of what is ready.
    fn ready(&mut self) -> std::io::Result<usize> {
        let Some(chunks) = &mut self.chunks else { return Ok(usize::MAX) };
        loop {
            if self.reader.place() >= self.end {
                let Some(next) = chunks.next() else { return Ok(0) };
                // A chunk that begins where the reader is needs no block a second time.
                if self.end == Place::START || self.reader.place() != next.start {
                    self.reader.seek(next.start)?;
                }
                self.end = next.end;
                continue;
            }
            if self.reader.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let place = self.reader.place();
            if place < self.end {
                let is_last = place.block() == self.end.block();
                return Ok(if is_last { self.end.within() - place.within() } else { usize::MAX });
            }
        }
    }
}

impl<R: Read + Seek> BufRead for Parts<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let most = self.ready()?;
        if most == 0 {
            return Ok(&[]);
        }
        let text = self.reader.fill_buf()?;
        Ok(text.get(..most).unwrap_or(text))
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }
}

impl<R: Read + Seek> Read for Parts<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}
