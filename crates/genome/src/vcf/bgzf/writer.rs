//! Text into BGZF.

use std::io::Write;

use super::END_MARKER;
use super::deflate::Deflate;

/// Text of one block: with the headers, even text that does not shrink fits into the 64 KiB of a block.
const TEXT: usize = 0xff00;
const BLOCK: usize = 1 << 16;
const HEADER: usize = 18;
const TRAILER: usize = 8;

/// Writes BGZF. Without [`Writer::finish`] the end marker is missing, and readers take the file for a cut one.
pub struct Writer<W> {
    target: W,
    text: Vec<u8>,
    block: Vec<u8>,
    deflate: Deflate,
}

impl<W: Write> Writer<W> {
    /// Writes nothing yet.
    pub fn new(target: W) -> Self {
        Self {
            target,
            text: Vec::with_capacity(TEXT),
            block: Vec::with_capacity(BLOCK),
            deflate: Deflate::new(),
        }
    }

    /// Writes what is left and the empty block that ends the file, and gives the target back.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.write_block()?;
        self.target.write_all(&END_MARKER)?;
        self.target.flush()?;
        Ok(self.target)
    }

    fn write_block(&mut self) -> std::io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        self.block.clear();
        self.block.extend_from_slice(&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0, 0, 0]);
        self.deflate.run(&self.text, &mut self.block);
        // Text that does not shrink: one stored block of deflate (RFC 1951, section 3.2.4).
        if self.block.len() > HEADER + 5 + self.text.len() {
            self.block.truncate(HEADER);
            let length = self.text.len() as u16;
            self.block.push(1);
            self.block.extend_from_slice(&length.to_le_bytes());
            self.block.extend_from_slice(&(!length).to_le_bytes());
            self.block.extend_from_slice(&self.text);
        }
        let size = (self.block.len() + TRAILER - 1) as u16;
        if let Some(place) = self.block.get_mut(HEADER - 2..HEADER) {
            place.copy_from_slice(&size.to_le_bytes());
        }
        self.target.write_all(&self.block)?;
        self.target.write_all(&crc32fast::hash(&self.text).to_le_bytes())?;
        self.target.write_all(&(self.text.len() as u32).to_le_bytes())?;
        self.text.clear();
        Ok(())
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.len() == TEXT {
            self.write_block()?;
        }
        let count = bytes.len().min(TEXT - self.text.len());
        self.text.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    /// Flushes the target. A block that is not full stays here: cutting it would make the file larger.
    fn flush(&mut self) -> std::io::Result<()> {
        self.target.flush()
    }
}
