//! Decrypts a stream from its beginning.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use zeroize::Zeroizing;

use super::edit_list;
use super::error::Crypt4ghError;
use super::header::{Contents, DataMethod, Header, Limits};
use super::keys::SecretKey;
use super::segment::{NONCE, OVERHEAD, Opener, SEALED, SEGMENT};

/// The text of an encrypted stream, with the edit list applied. One segment is held in memory, and text is given out only
/// after its segment proved unaltered.
///
/// As [`Read`] it wraps a [`Crypt4ghError`] in an [`io::Error`]; [`next_chunk`](Self::next_chunk) gives it as it is. After
/// an error nothing more is read.
pub struct Reader<R> {
    inner: R,
    contents: Contents,
    opener: Opener,
    /// What is still to be kept of the text, in order.
    kept: std::iter::Peekable<std::vec::IntoIter<Range<u64>>>,
    buffer: Zeroizing<Vec<u8>>,
    /// The part of `buffer` that is text and was not looked at.
    text: Range<usize>,
    /// Place of that part in the whole text.
    position: u64,
    /// Offset in the file.
    at: u64,
    segment: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A segment may follow.
    Open,
    /// A short segment was read.
    Ended,
    Failed,
}

impl<R: Read> Reader<R> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// As [`Header::read`] and [`Header::open`].
    pub fn new(mut inner: R, keys: &[&SecretKey], limits: &Limits) -> Result<Self, Crypt4ghError> {
        let header = Header::read(&mut inner, limits)?;
        Ok(Self::with_contents(inner, header.open(keys)?, header.byte_len()))
    }

    /// Takes a body whose header was opened already. `at` is the offset of the body in its file, for error messages.
    #[must_use]
    pub fn with_contents(inner: R, contents: Contents, at: u64) -> Self {
        let kept = edit_list::kept(contents.edit_list());
        let opener = Opener::new(contents.method, contents.keys.clone());
        Self {
            inner,
            contents,
            opener,
            kept: kept.into_iter().peekable(),
            buffer: Zeroizing::new(vec![0; SEALED]),
            text: 0..0,
            position: 0,
            at,
            segment: 0,
            state: State::Open,
        }
    }

    /// What the header held for the keys given.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The next bytes of the text, never none of them; `None` at its end. Where an edit list ends the text, the rest of
    /// the file is not looked at.
    ///
    /// # Errors
    /// [`Crypt4ghError::Segment`], [`SegmentTruncated`](Crypt4ghError::SegmentTruncated),
    /// [`NoEnd`](Crypt4ghError::NoEnd), [`Read`](Crypt4ghError::Read);
    /// [`AfterError`](Crypt4ghError::AfterError) when one of them was returned before.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>, Crypt4ghError> {
        let chunk = self.next_range(usize::MAX)?;
        Ok(chunk.and_then(|range| self.buffer.get(range)))
    }

    /// The place in the buffer of at most `most` further bytes.
    fn next_range(&mut self, most: usize) -> Result<Option<Range<usize>>, Crypt4ghError> {
        loop {
            if self.state == State::Failed {
                return Err(Crypt4ghError::AfterError);
            }
            let Some(kept) = self.kept.peek().cloned() else { return Ok(None) };
            if kept.end <= self.position {
                self.kept.next();
            } else if self.text.is_empty() {
                if !self.next_segment().inspect_err(|_| self.state = State::Failed)? {
                    return Ok(None);
                }
            } else if kept.start > self.position {
                self.advance(kept.start - self.position, usize::MAX);
            } else {
                return Ok(Some(self.advance(kept.end - self.position, most)));
            }
        }
    }

    fn advance(&mut self, bytes: u64, most: usize) -> Range<usize> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.text.len()).min(most);
        let part = self.text.start..self.text.start + bytes;
        self.text.start = part.end;
        self.position = self.position.saturating_add(bytes as u64);
        part
    }

    /// Reads and opens one segment; false at the end of the file.
    fn next_segment(&mut self) -> Result<bool, Crypt4ghError> {
        if self.state == State::Ended {
            return Ok(false);
        }
        let (at, segment) = (self.at, self.segment);
        let found =
            fill(&mut self.inner, &mut self.buffer).map_err(|source| Crypt4ghError::Read { at, source })?;
        if found == 0 {
            return match self.opener.method() {
                DataMethod::Unordered => Ok(false),
                DataMethod::Sequenced => Err(Crypt4ghError::NoEnd { at }),
            };
        }
        if found < OVERHEAD {
            return Err(Crypt4ghError::SegmentTruncated { segment, at, found });
        }
        let sealed = self.buffer.get_mut(..found).unwrap_or_default();
        let text = self.opener.open(segment, sealed).ok_or(Crypt4ghError::Segment { segment, at })?;
        self.text = NONCE..NONCE + text;
        self.at = self.at.saturating_add(found as u64);
        self.segment = segment.checked_add(1).ok_or(Crypt4ghError::TooLong)?;
        if text < SEGMENT {
            self.state = State::Ended;
        }
        Ok(true)
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let range = self.next_range(out.len()).map_err(io::Error::from)?;
        let chunk = range.and_then(|range| self.buffer.get(range)).unwrap_or_default();
        // `next_range` gives no more than was asked for.
        if let Some(to) = out.get_mut(..chunk.len()) {
            to.copy_from_slice(chunk);
        }
        Ok(chunk.len())
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader(at segment {}, byte {})", self.segment, self.at)
    }
}

/// Reads until `buffer` is full or the file ends, and says how many bytes came.
pub(super) fn fill(mut reader: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut found = 0;
    while let Some(rest) = buffer.get_mut(found..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => found += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
