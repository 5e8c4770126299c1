//! Encrypts a stream.

use std::fmt;
use std::io::{self, Write};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::error::Crypt4ghError;
use super::header::{Contents, DataMethod};
use super::keys::PublicKey;
use super::segment::{self, Aad, NONCE, SEALED, SEGMENT};

/// Encrypts what is written to it. [`finish`](Self::finish) writes the last segment: what is dropped before is no whole file,
/// and a reader of a sequenced one notices.
///
/// Data key and first nonce are drawn when the writer is made; the nonces of the segments count up from there, so that none
/// comes twice under the key.
pub struct Writer<W: Write> {
    inner: W,
    contents: Contents,
    nonce: [u8; NONCE],
    segment: u64,
    /// Room for the nonce, then text.
    buffer: Zeroizing<Vec<u8>>,
    failed: bool,
}

impl<W: Write> Writer<W> {
    /// Writes the header of a new file.
    ///
    /// # Errors
    /// As [`Contents::seal`]; [`Crypt4ghError::Write`].
    pub fn new(
        mut inner: W,
        recipients: &[PublicKey],
        method: DataMethod,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Crypt4ghError> {
        let contents = Contents::generate(method, rng);
        let header = contents.seal(recipients, rng)?;
        inner.write_all(&header.to_bytes()).map_err(|source| Crypt4ghError::Write { source })?;
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        // All the room is taken now: a buffer that grows leaves copies of the text behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(SEALED));
        buffer.resize(NONCE, 0);
        Ok(Self { inner, contents, nonce, segment: 0, buffer, failed: false })
    }

    /// Writes the last segment and gives the writer below back, flushed.
    ///
    /// # Errors
    /// [`Crypt4ghError::Write`].
    pub fn finish(mut self) -> Result<W, Crypt4ghError> {
        let sequenced = self.contents.method == DataMethod::Sequenced;
        // In a sequenced file a full segment is never the last one.
        if sequenced && self.buffer.len() == NONCE + SEGMENT {
            self.write_segment().map_err(|source| Crypt4ghError::Write { source })?;
        }
        if sequenced || self.buffer.len() > NONCE {
            self.write_segment().map_err(|source| Crypt4ghError::Write { source })?;
        }
        self.inner.flush().map_err(|source| Crypt4ghError::Write { source })?;
        Ok(self.inner)
    }

    /// Bytes of a segment may be in the file already, and the text in the buffer is encrypted: there is no second try.
    fn check(&self) -> io::Result<()> {
        if self.failed { Err(Crypt4ghError::AfterError.into()) } else { Ok(()) }
    }

    fn write_segment(&mut self) -> io::Result<()> {
        self.check()?;
        self.failed = true;
        let key = self.contents.keys.first().ok_or_else(|| io::Error::from(Crypt4ghError::NoRecipient))?;
        let aad = Aad::new(self.contents.method, key, self.segment);
        let (head, text) = self.buffer.split_at_mut(NONCE);
        head.copy_from_slice(&self.nonce);
        let tag = segment::seal(&key.key, &self.nonce, aad.as_slice(), text);
        self.buffer.extend(tag);
        self.inner.write_all(&self.buffer)?;
        self.buffer.truncate(NONCE);
        self.segment = self.segment.checked_add(1).ok_or_else(|| io::Error::from(Crypt4ghError::TooLong))?;
        for byte in &mut self.nonce {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.check()?;
        if self.buffer.len() == NONCE + SEGMENT {
            self.write_segment()?;
        }
        let room = (NONCE + SEGMENT).saturating_sub(self.buffer.len());
        let part = text.get(..room).unwrap_or(text);
        self.buffer.extend(part);
        Ok(part.len())
    }

    /// Flushes the writer below. What does not fill a segment stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer(at segment {})", self.segment)
    }
}
