//! Text into BGZF.

use std::io::Write;

use miniz_oxide::deflate::CompressionLevel;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};

use super::END_MARKER;

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
    deflate: Box<CompressorOxide>,
}

impl<W: Write> Writer<W> {
    /// Writes nothing yet.
    pub fn new(target: W) -> Self {
        let level = CompressionLevel::DefaultLevel as i32;
        // A negative window means deflate without the header of zlib.
        let deflate = Box::new(CompressorOxide::new(create_comp_flags_from_zip_params(level, -15, 0)));
        Self { target, text: Vec::with_capacity(TEXT), block: vec![0; BLOCK], deflate }
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
        let Some(room) = self.block.get_mut(HEADER..BLOCK - TRAILER) else { return Ok(()) };
        self.deflate.reset();
        let (status, used, written) = compress(&mut self.deflate, &self.text, room, TDEFLFlush::Finish);
        let data = if status == TDEFLStatus::Done && used == self.text.len() {
            written
        } else {
            // Text that does not shrink: one stored block of deflate (RFC 1951, section 3.2.4).
            let length = self.text.len() as u16;
            let [low, high] = length.to_le_bytes();
            let [not_low, not_high] = (!length).to_le_bytes();
            let stored = 5 + self.text.len();
            if let Some((head, rest)) =
                room.get_mut(..stored).and_then(|room| room.split_first_chunk_mut::<5>())
            {
                *head = [1, low, high, not_low, not_high];
                rest.copy_from_slice(&self.text);
            }
            stored
        };
        let size = HEADER + data + TRAILER;
        let [size_low, size_high] = ((size - 1) as u16).to_le_bytes();
        if let Some(header) = self.block.first_chunk_mut::<HEADER>() {
            *header = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0, size_low, size_high];
        }
        self.target.write_all(self.block.get(..HEADER + data).unwrap_or_default())?;
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
