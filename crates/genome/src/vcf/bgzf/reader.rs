//! Text out of BGZF, gzip or nothing.

use std::io::{BufRead, Read, Seek, SeekFrom};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::BgzfError;
use super::inflate::Inflate;

/// The most text that one BGZF block has; also the window of plain gzip, where deflate needs 32 KiB at least.
const TEXT: usize = 1 << 16;
/// Room for a whole block and the next header.
const INPUT: usize = 1 << 17;

/// How far the reader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub text: u64,
    /// Whether BGZF must end as the specification says.
    pub end_marker: EndMarker,
}

impl Default for Limits {
    /// A tebibyte of text; the end marker is required.
    fn default() -> Self {
        Self { text: 1 << 40, end_marker: EndMarker::Required }
    }
}

/// Whether a BGZF file without its empty last block is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndMarker {
    /// It is: the file may have been cut.
    Required,
    /// It is not.
    Optional,
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No gzip: the text itself.
    Text,
    /// gzip without the extra field of BGZF.
    Gzip,
    /// BGZF.
    Bgzf,
}

/// A place in the text of a BGZF file, as indexes have it: the block, and the byte of its text ("virtual file offset",
/// SAM specification, section 4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

impl Place {
    /// The first byte.
    pub const START: Self = Self(0);

    /// The place that a number of an index stands for.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// What an index writes.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Where the block starts, in bytes of the compressed file.
    pub fn block(self) -> u64 {
        self.0 >> 16
    }

    /// Byte of the text of the block.
    pub fn within(self) -> usize {
        usize::from(self.0 as u16)
    }
}

/// Reads the text of a file that may be compressed. It buffers by itself: the source needs no buffer.
pub struct Reader<R> {
    source: R,
    limits: Limits,
    kind: Option<Kind>,
    input: Vec<u8>,
    /// The part of `input` that is not yet used.
    unread: std::ops::Range<usize>,
    /// Offset in the file of `unread.start`.
    offset: u64,
    /// Offset in the file of the block that `ready` is of.
    block_at: u64,
    block: Inflate,
    /// For members of unknown length.
    inflate: Box<DecompressorOxide>,
    output: Vec<u8>,
    /// The part of `output` that is not yet handed out.
    ready: std::ops::Range<usize>,
    /// A plain gzip member that is not finished.
    member: Option<Member>,
    ends_with_empty_block: bool,
    produced: u64,
}

struct Member {
    at: u64,
    /// Where in the window the next byte goes.
    position: usize,
    length: u64,
    checksum: crc32fast::Hasher,
}

impl<R> Reader<R> {
    /// What the file turned out to be; `None` before the first byte was read.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl<R: Read> Reader<R> {
    /// Reads nothing yet.
    pub fn new(source: R, limits: Limits) -> Self {
        Self {
            source,
            limits,
            kind: None,
            input: vec![0; INPUT],
            unread: 0..0,
            offset: 0,
            block_at: 0,
            block: Inflate::new(),
            inflate: Box::default(),
            output: vec![0; TEXT],
            ready: 0..0,
            member: None,
            ends_with_empty_block: false,
            produced: 0,
        }
    }

    /// Where the next byte of text is; only of BGZF is it a place to come back to.
    pub fn place(&self) -> Place {
        match self.ready.is_empty() {
            true => Place(self.offset << 16),
            false => Place(self.block_at << 16 | self.ready.start as u64),
        }
    }

    /// Tries to have `count` unread bytes (at most [`INPUT`]) in one piece, and returns what there is.
    fn want(&mut self, count: usize) -> std::io::Result<&[u8]> {
        if self.unread.start + count > self.input.len() {
            self.input.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        while self.unread.len() < count {
            let Some(room) = self.input.get_mut(self.unread.end..) else { break };
            match self.source.read(room) {
                Ok(0) => break,
                Ok(read) => self.unread.end += read.min(room.len()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.input.get(self.unread.clone()).unwrap_or_default())
    }

    fn skip(&mut self, count: usize) {
        self.unread.start += count;
        self.offset += count as u64;
    }

    fn truncated(&self, block: u64) -> BgzfError {
        BgzfError::Truncated { block, end: self.offset + self.unread.len() as u64 }
    }

    /// Makes text ready; nothing is ready at the end of the file.
    fn refill(&mut self) -> std::io::Result<()> {
        self.ready = 0..0;
        while self.ready.is_empty() {
            if self.member.is_some() {
                self.continue_member()?;
            } else if !self.start_member()? {
                return Ok(());
            }
        }
        self.produced += self.ready.len() as u64;
        if self.produced > self.limits.text {
            return Err(BgzfError::TooLarge { limit: self.limits.text }.into());
        }
        Ok(())
    }

    /// False at the end of the file.
    fn start_member(&mut self) -> std::io::Result<bool> {
        if self.kind == Some(Kind::Text) {
            return self.copy_text();
        }
        let (at, kind, is_closed) = (self.offset, self.kind, self.ends_with_empty_block);
        let end_marker = self.limits.end_marker;
        let start = self.want(12)?;
        match (kind, start) {
            (None, start) if !start.starts_with(&[0x1f, 0x8b]) => {
                self.kind = Some(Kind::Text);
                return self.copy_text();
            }
            (Some(Kind::Bgzf), []) if !is_closed => {
                return match end_marker {
                    EndMarker::Required => Err(BgzfError::NoEndMarker { end: at }.into()),
                    EndMarker::Optional => Ok(false),
                };
            }
            (_, []) => return Ok(false),
            (_, [first, ..]) if *first != 0x1f => return Err(BgzfError::NotAMember { at }.into()),
            (_, [_, second, ..]) if *second != 0x8b => return Err(BgzfError::NotAMember { at }.into()),
            _ => {}
        }
        // The shortest member has a header of 10 bytes and a trailer of 8.
        let Some(&[_, _, method, flags, _, _, _, _, _, _, low, high]) = start.first_chunk::<12>() else {
            return Err(self.truncated(at).into());
        };
        self.start_member_with(at, method, flags, u16::from_le_bytes([low, high]))
    }

    /// `extra` is the length of the extra field, if `flags` say that there is one.
    fn start_member_with(&mut self, at: u64, method: u8, flags: u8, extra: u16) -> std::io::Result<bool> {
        const HEADER_CHECKSUM: u8 = 2;
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        if method != 8 || flags & 0xe0 != 0 {
            return Err(BgzfError::Header { at }.into());
        }
        let mut header = 10;
        if flags & EXTRA != 0 {
            let end = 12 + usize::from(extra);
            let Some(fields) = self.want(end)?.get(12..end) else { return Err(self.truncated(at).into()) };
            if let Some(size) = block_size(fields) {
                // Nothing but the extra field: no writer of BGZF adds a name, and the sizes below rely on it.
                if flags != EXTRA {
                    return Err(BgzfError::Header { at }.into());
                }
                return self.read_block(at, end, usize::from(size) + 1);
            }
            header = end;
        }
        for flag in [NAME, COMMENT] {
            if flags & flag != 0 {
                // Room of half the input for both, more than any file system gives a name.
                let seen = self.want(header + INPUT / 4)?;
                let Some(length) = seen.get(header..).and_then(|rest| memchr::memchr(0, rest)) else {
                    return Err(BgzfError::Header { at }.into());
                };
                header += length + 1;
            }
        }
        if flags & HEADER_CHECKSUM != 0 {
            header += 2;
        }
        if self.want(header)?.len() < header {
            return Err(self.truncated(at).into());
        }
        self.skip(header);
        self.kind.get_or_insert(Kind::Gzip);
        self.ends_with_empty_block = false;
        self.inflate.init();
        self.member = Some(Member { at, position: 0, length: 0, checksum: crc32fast::Hasher::new() });
        Ok(true)
    }

    fn read_block(&mut self, at: u64, header: usize, size: usize) -> std::io::Result<bool> {
        if size < header + 8 {
            return Err(BgzfError::BlockSize { at }.into());
        }
        self.want(size)?;
        let Some(block) = self.input.get(self.unread.clone()).and_then(|unread| unread.get(..size)) else {
            return Err(self.truncated(at).into());
        };
        let Some((data, &[c0, c1, c2, c3, l0, l1, l2, l3])) =
            block.get(header..).and_then(|rest| rest.split_last_chunk::<8>())
        else {
            return Err(BgzfError::BlockSize { at }.into());
        };
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let Some(output) = self.output.get_mut(..length) else {
            return Err(BgzfError::BlockSize { at }.into());
        };
        self.block.run(data, output).map_err(|_| BgzfError::Deflate { at })?;
        if crc32fast::hash(output) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(BgzfError::Checksum { at }.into());
        }
        self.ready = 0..length;
        self.block_at = at;
        self.ends_with_empty_block = length == 0;
        self.kind.get_or_insert(Kind::Bgzf);
        self.skip(size);
        Ok(true)
    }

    fn continue_member(&mut self) -> std::io::Result<()> {
        self.want(1)?;
        let Some(mut member) = self.member.take() else { return Ok(()) };
        let input = self.input.get(self.unread.clone()).unwrap_or_default();
        let flags = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        let (status, used, written) =
            decompress(&mut self.inflate, input, &mut self.output, member.position, flags);
        let is_stuck = used == 0 && written == 0;
        self.ready = member.position..member.position + written;
        member.position = (member.position + written) % TEXT;
        member.length += written as u64;
        member.checksum.update(self.output.get(self.ready.clone()).unwrap_or_default());
        self.skip(used);
        match status {
            TINFLStatus::Done => {
                let Some(&[c0, c1, c2, c3, l0, l1, l2, l3]) = self.want(8)?.first_chunk::<8>() else {
                    return Err(self.truncated(member.at).into());
                };
                self.skip(8);
                let stated = u32::from_le_bytes([l0, l1, l2, l3]);
                let checksum = member.checksum.finalize();
                // The stated length is modulo 2^32 by RFC 1952.
                if checksum != u32::from_le_bytes([c0, c1, c2, c3]) || stated != member.length as u32 {
                    return Err(BgzfError::Checksum { at: member.at }.into());
                }
                Ok(())
            }
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput if !is_stuck => {
                self.member = Some(member);
                Ok(())
            }
            TINFLStatus::NeedsMoreInput => Err(self.truncated(member.at).into()),
            _ => Err(BgzfError::Deflate { at: member.at }.into()),
        }
    }

    fn copy_text(&mut self) -> std::io::Result<bool> {
        self.want(1)?;
        let length = self.unread.len().min(TEXT);
        let from = self.input.get(self.unread.start..self.unread.start + length).unwrap_or_default();
        if let Some(to) = self.output.get_mut(..from.len()) {
            to.copy_from_slice(from);
        }
        self.ready = 0..length;
        self.skip(length);
        Ok(length > 0)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Goes to a place of a BGZF file.
    ///
    /// # Errors
    /// Those of the source, and [`BgzfError::NoSuchPlace`] when there is no such byte: an index is of another file.
    pub fn seek(&mut self, to: Place) -> std::io::Result<()> {
        let no_place = BgzfError::NoSuchPlace { block: to.block(), within: to.within() };
        self.source.seek(SeekFrom::Start(to.block()))?;
        (self.unread, self.ready, self.offset, self.member) = (0..0, 0..0, to.block(), None);
        // The end of the file is a place, too.
        let is_there = self.start_member()?;
        if self.kind != Some(Kind::Bgzf) || to.within() > self.ready.len() || !is_there && to.within() > 0 {
            return Err(no_place.into());
        }
        self.ready.start = to.within();
        Ok(())
    }
}

/// The size of the member less one, from the extra field of BGZF.
fn block_size(mut fields: &[u8]) -> Option<u16> {
    while let [id1, id2, low, high, rest @ ..] = fields {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let value = rest.get(..length)?;
        if (*id1, *id2) == (b'B', b'C')
            && let &[low, high] = value
        {
            return Some(u16::from_le_bytes([low, high]));
        }
        fields = rest.get(length..)?;
    }
    None
}

impl<R: Read> BufRead for Reader<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.ready.is_empty() {
            self.refill()?;
        }
        Ok(self.output.get(self.ready.clone()).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.ready.start += count.min(self.ready.len());
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read, Write};

    use proptest::prelude::*;

    use super::super::{BgzfError, END_MARKER, Writer};
    use super::{EndMarker, Kind, Limits, Reader};

    fn text(file: &[u8], limits: Limits) -> Result<Vec<u8>, BgzfError> {
        let mut reader = Reader::new(file, limits);
        let mut text = vec![];
        match reader.read_to_end(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(*error.into_inner().unwrap().downcast::<BgzfError>().unwrap()),
        }
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(vec![]);
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    /// `gzip` of the text `hello\n`, with a file name, by Python's module.
    const HELLO: &[u8] = &[
        0x1f, 0x8b, 0x08, 0x08, 0, 0, 0, 0, 0x02, 0xff, b'h', 0, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 0x02, 0,
        0x20, 0x30, 0x3a, 0x36, 0x06, 0, 0, 0,
    ];

    #[test]
    fn reads_each_kind() {
        for (file, expected, kind) in [
            (&b"plain\ntext\n"[..], &b"plain\ntext\n"[..], Kind::Text),
            (b"", b"", Kind::Text),
            (b"x", b"x", Kind::Text),
            (HELLO, b"hello\n", Kind::Gzip),
            (&[HELLO, HELLO].concat(), b"hello\nhello\n", Kind::Gzip),
            (&END_MARKER, b"", Kind::Bgzf),
            (&compressed(b"hello\n"), b"hello\n", Kind::Bgzf),
        ] {
            let mut reader = Reader::new(file, Limits::default());
            let mut text = vec![];
            reader.read_to_end(&mut text).unwrap();
            assert_eq!((text.as_slice(), reader.kind()), (expected, Some(kind)));
        }
    }

    #[test]
    fn refuses_what_is_cut_damaged_or_too_large() {
        let refuse = |file: &[u8], expected| assert_eq!(text(file, Limits::default()), Err(expected));
        refuse(&HELLO[..HELLO.len() - 1], BgzfError::Truncated { block: 0, end: 27 });
        refuse(&HELLO[..15], BgzfError::Truncated { block: 0, end: 15 });
        refuse(&HELLO[..4], BgzfError::Truncated { block: 0, end: 4 });
        refuse(&[HELLO, b"junk"].concat(), BgzfError::NotAMember { at: 28 });
        let mut changed = HELLO.to_vec();
        changed[20] ^= 1;
        refuse(&changed, BgzfError::Checksum { at: 0 });
        changed[2] = 7;
        refuse(&changed, BgzfError::Header { at: 0 });

        let file = compressed(b"hello\n");
        let cut = &file[..file.len() - END_MARKER.len()];
        refuse(cut, BgzfError::NoEndMarker { end: cut.len() as u64 });
        let lenient = Limits { end_marker: EndMarker::Optional, ..Limits::default() };
        assert_eq!(text(cut, lenient).unwrap(), b"hello\n");
        refuse(&file[..20], BgzfError::Truncated { block: 0, end: 20 });
        let mut changed = file.clone();
        let length = cut.len() - 4;
        changed[length] = 7;
        refuse(&changed, BgzfError::Deflate { at: 0 });
        changed[length..length + 4].copy_from_slice(&[0xff; 4]);
        refuse(&changed, BgzfError::BlockSize { at: 0 });

        let bomb = compressed(&vec![b'a'; 1 << 20]);
        assert!(bomb.len() < 1 << 14);
        let limits = Limits { text: 100_000, ..Limits::default() };
        assert_eq!(text(&bomb, limits), Err(BgzfError::TooLarge { limit: 100_000 }));
    }

    #[test]
    fn comes_back_to_a_place() {
        let plain: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 20) as u8).collect();
        let mut reader = Reader::new(std::io::Cursor::new(compressed(&plain)), Limits::default());
        let mut places = vec![];
        for at in (0..plain.len()).step_by(1_000) {
            places.push((reader.place(), at));
            let mut part = [0; 1_000];
            reader.read_exact(&mut part).unwrap();
        }
        assert!(places.is_sorted() && places.last().unwrap().0.block() > 0);
        for (place, at) in places.into_iter().rev() {
            reader.seek(place).unwrap();
            let mut part = [0; 1_000];
            reader.read_exact(&mut part).unwrap();
            assert_eq!(part, plain[at..at + 1_000]);
        }
        for bits in [1 << 16, 0xffff, 1 << 40] {
            assert!(reader.seek(super::Place::from_bits(bits)).is_err(), "{bits}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in prop::collection::vec((any::<u8>(), 0_usize..40_000), 0..8)) {
            let plain: Vec<u8> = parts.iter().flat_map(|(byte, count)| {
                (0..*count).map(move |at| if byte % 2 == 0 { *byte } else { byte.wrapping_mul(at as u8) ^ (at >> 7) as u8 })
            }).collect();
            prop_assert_eq!(text(&compressed(&plain), Limits::default()).unwrap(), plain);
        }

        #[test]
        fn damage_never_panics(at in 0_usize..200, value: u8, cut in 0_usize..200) {
            for file in [compressed(b"##fileformat=VCFv4.3\n#CHROM"), [HELLO, HELLO].concat()] {
                let mut changed = file.clone();
                let length = changed.len();
                changed[at % length] = value;
                changed.truncate(length - cut % length);
                let _ = text(&changed, Limits::default());
            }
        }
    }
}
