//! Decrypts the segments that are asked for.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use zeroize::Zeroizing;

use super::edit_list;
use super::error::Crypt4ghError;
use super::header::{Contents, DataMethod, Header, Limits};
use super::keys::SecretKey;
use super::read::fill;
use super::segment::{NONCE, OVERHEAD, Opener, SEALED, SEGMENT};

/// An encrypted file that can be read anywhere. One segment is held in memory.
///
/// The length of the text follows from the length of the file. With [`DataMethod::Sequenced`] it is proved when the file is
/// opened, because the last segment is opened then; with [`DataMethod::Unordered`] a file that was cut between two segments
/// looks like a shorter one.
pub struct RandomReader<R> {
    inner: R,
    contents: Contents,
    opener: Opener,
    body: u64,
    body_bytes: u64,
    /// Kept parts of the text behind the place where each begins in what is given out.
    kept: Vec<(u64, Range<u64>)>,
    len: u64,
    buffer: Zeroizing<Vec<u8>>,
    /// The segment in `buffer` and the bytes of its text.
    held: Option<(u64, usize)>,
}

impl<R: Read + Seek> RandomReader<R> {
    /// Reads the header, from where `inner` stands, and the length of the file.
    ///
    /// # Errors
    /// As [`Header::read`] and [`Header::open`]; [`Crypt4ghError::SegmentTruncated`] when the last segment is impossibly
    /// short, [`NoEnd`](Crypt4ghError::NoEnd) and [`Segment`](Crypt4ghError::Segment) when the end of a sequenced file is
    /// missing or not the one that was written.
    pub fn new(mut inner: R, keys: &[&SecretKey], limits: &Limits) -> Result<Self, Crypt4ghError> {
        let read_error = |source| Crypt4ghError::Read { at: 0, source };
        let start = inner.stream_position().map_err(read_error)?;
        let header = Header::read(&mut inner, limits)?;
        let contents = header.open(keys)?;
        let end = inner.seek(SeekFrom::End(0)).map_err(read_error)?;
        let body = start.checked_add(header.byte_len()).ok_or(Crypt4ghError::TooLong)?;
        let body_bytes = end.saturating_sub(body);

        let (full, rest) = (body_bytes / SEALED as u64, body_bytes % SEALED as u64);
        let rest_text = match rest.checked_sub(OVERHEAD as u64) {
            Some(text) => text,
            None if rest == 0 => 0,
            None => {
                let at = body + full * SEALED as u64;
                return Err(Crypt4ghError::SegmentTruncated { segment: full, at, found: rest as usize });
            }
        };
        let text = full * SEGMENT as u64 + rest_text;
        let mut len = 0;
        let mut kept = vec![];
        for range in edit_list::kept(contents.edit_list()) {
            let range = range.start.min(text)..range.end.min(text);
            kept.push((len, range.clone()));
            len += range.end - range.start;
        }
        let opener = Opener::new(contents.method, contents.keys.clone());
        let buffer = Zeroizing::new(vec![0; SEALED]);
        let mut reader = Self { inner, contents, opener, body, body_bytes, kept, len, buffer, held: None };
        if reader.opener.method() == DataMethod::Sequenced {
            if rest == 0 {
                return Err(Crypt4ghError::NoEnd { at: end });
            }
            reader.segment(full)?;
        }
        Ok(reader)
    }

    /// What the header held for the keys given.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Number of segments, the end mark of a sequenced file among them.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.body_bytes.div_ceil(SEALED as u64)
    }

    /// Bytes of the text, after the edit list.
    #[must_use]
    pub fn text_len(&self) -> u64 {
        self.len
    }

    /// The text of one segment, before the edit list: [`SEGMENT`](super::SEGMENT) bytes, fewer in the last one, none beyond it.
    ///
    /// # Errors
    /// [`Crypt4ghError::Segment`] when it does not open, [`Read`](Crypt4ghError::Read).
    pub fn segment(&mut self, segment: u64) -> Result<&[u8], Crypt4ghError> {
        let text = match self.held {
            Some((held, text)) if held == segment => text,
            _ => self.fetch(segment)?,
        };
        Ok(self.buffer.get(NONCE..NONCE + text).unwrap_or_default())
    }

    /// Copies text from `position`, which counts bytes after the edit list, and says how many bytes there were: less than
    /// asked for only at the end of the text.
    ///
    /// # Errors
    /// As [`segment`](Self::segment).
    pub fn read_at(&mut self, position: u64, out: &mut [u8]) -> Result<usize, Crypt4ghError> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = position.saturating_add(done as u64);
            // The last part that begins at or before this place.
            let before = self.kept.partition_point(|(start, _)| *start <= at);
            let Some((start, range)) = before.checked_sub(1).and_then(|index| self.kept.get(index)) else {
                break;
            };
            let from = range.start.saturating_add(at - start);
            let Some(left) = range.end.checked_sub(from).filter(|left| *left > 0) else { break };
            let text = self.segment(from / SEGMENT as u64)?;
            let text = text.get((from % SEGMENT as u64) as usize..).unwrap_or_default();
            let bytes = text.len().min(rest.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
            if bytes == 0 {
                break;
            }
            if let (Some(to), Some(from)) = (rest.get_mut(..bytes), text.get(..bytes)) {
                to.copy_from_slice(from);
            }
            done += bytes;
        }
        Ok(done)
    }

    fn fetch(&mut self, segment: u64) -> Result<usize, Crypt4ghError> {
        self.held = None;
        let offset = segment.checked_mul(SEALED as u64).filter(|offset| *offset < self.body_bytes);
        let Some(offset) = offset else { return Ok(0) };
        let at = self.body.saturating_add(offset);
        let most = usize::try_from(self.body_bytes - offset).unwrap_or(usize::MAX).min(SEALED);
        let read_error = |source| Crypt4ghError::Read { at, source };
        self.inner.seek(SeekFrom::Start(at)).map_err(read_error)?;
        let sealed = self.buffer.get_mut(..most).unwrap_or_default();
        let found = fill(&mut self.inner, sealed).map_err(read_error)?;
        if found < OVERHEAD {
            return Err(Crypt4ghError::SegmentTruncated { segment, at, found });
        }
        let sealed = sealed.get_mut(..found).unwrap_or_default();
        let text = self.opener.open(segment, sealed).ok_or(Crypt4ghError::Segment { segment, at })?;
        self.held = Some((segment, text));
        Ok(text)
    }
}

impl<R> fmt::Debug for RandomReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomReader({} bytes of text)", self.len)
    }
}
