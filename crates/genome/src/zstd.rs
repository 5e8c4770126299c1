//! Zstandard (RFC 8878): blocks of a BGEN, and a PVAR that PLINK 2 compressed.

use std::io::{self, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The memory that a file may ask for: what RFC 8878, section 3.1.1.1.2, recommends decoders to support.
const WINDOW: u64 = 8 << 20;

/// The first bytes of a frame.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Decompresses all frames of `bytes` into `output`; false unless they fill it.
pub(crate) fn fill(bytes: &[u8], output: &mut [u8]) -> bool {
    let mut decoder = FrameDecoder::new();
    // A frame without a window is held as a whole.
    decoder.set_max_window_size(WINDOW.max(output.len() as u64));
    decoder.decode_all(bytes, output).is_ok_and(|count| count == output.len())
}

/// A file whose first bytes were looked at.
type Whole<R> = io::Chain<io::Cursor<Vec<u8>>, R>;

/// The text of a file that may be one compressed frame. What follows a frame is not looked at.
pub(crate) enum Text<R: Read> {
    Plain(Whole<R>),
    Frame(Box<StreamingDecoder<Whole<R>, FrameDecoder>>),
}

impl<R: Read> Text<R> {
    pub(crate) fn new(mut inner: R) -> io::Result<Self> {
        let mut start = vec![];
        (&mut inner).take(MAGIC.len() as u64).read_to_end(&mut start)?;
        let is_frame = start == MAGIC;
        let whole = io::Cursor::new(start).chain(inner);
        if !is_frame {
            return Ok(Self::Plain(whole));
        }
        let decoder = StreamingDecoder::new_with_max_window_size(whole, WINDOW);
        Ok(Self::Frame(Box::new(decoder.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?)))
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(text) => text.read(buffer),
            Self::Frame(text) => text.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `abc` five times without the last two bytes: a frame of 15 bytes in one block that is stored as it is.
    const FRAME: [u8; 22] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x0f, 0x79, 0, 0, b'a', b'b', b'c', b'a', b'b', b'c', b'a', b'b', b'c',
        b'a', b'b', b'c', b'a',
    ];

    #[test]
    fn texts_and_frames() {
        let read = |bytes: &[u8]| {
            let mut text = String::new();
            Text::new(bytes).and_then(|mut reader| reader.read_to_string(&mut text)).ok().map(|_| text)
        };
        assert_eq!(read(b"abc").as_deref(), Some("abc"));
        assert_eq!(read(b"").as_deref(), Some(""));
        let frame = [&FRAME[..], b"bc"].concat();
        assert_eq!(read(&frame).as_deref(), Some("abcabcabcabcabc"));
        assert_eq!(read(&frame[..20]), None);
        // A window of 2^41 bytes.
        assert_eq!(read(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0]), None);
        let mut room = [0; 15];
        assert!(fill(&frame, &mut room) && room == *b"abcabcabcabcabc");
        assert!(!fill(&frame, &mut [0; 14]) && !fill(&frame, &mut [0; 16]));
    }
}
