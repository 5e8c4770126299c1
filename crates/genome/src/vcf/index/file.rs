//! Bytes of an index.

use std::io::{Read, Write};

use super::super::bgzf::Place;
use super::{Bin, Bins, Chromosome, Chunk, Index, IndexError, Kind};

/// Bytes of an index, decompressed. That of a whole genome of 100,000 people has some 5 MB.
const MOST: usize = 64 << 20;

/// What tabix says of a VCF: its columns of chromosome and start, no column of ends, the sign of comments.
const FORMAT: [i32; 6] = [2, 1, 2, 0, b'#' as i32, 0];

impl Index {
    /// Reads an index out of what its BGZF holds.
    ///
    /// # Errors
    /// [`IndexError`] when the bytes are none, or more than 64 MiB.
    pub fn read(file: &str, source: impl Read) -> Result<Self, IndexError> {
        let mut bytes = vec![];
        let read = source.take(MOST as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|source| IndexError::Read { file: file.to_owned(), source })?;
        if bytes.len() > MOST {
            return Err(IndexError::TooLarge { file: file.to_owned(), limit: MOST });
        }
        let mut cursor = Cursor { bytes: &bytes, at: 0 };
        parse(&mut cursor).map_err(|problem| IndexError::Malformed {
            file: file.to_owned(),
            at: cursor.at,
            problem,
        })
    }

    /// Writes the bytes that belong into BGZF.
    ///
    /// # Errors
    /// Those of the target.
    pub fn write(&self, mut out: impl Write) -> std::io::Result<()> {
        let mut about = vec![];
        FORMAT.iter().for_each(|number| about.extend_from_slice(&number.to_le_bytes()));
        let names: usize = self.names.iter().map(|name| name.len() + 1).sum();
        about.extend_from_slice(&count(names));
        self.names.iter().for_each(|name| about.extend([name.as_bytes(), &[0]].concat()));
        let chromosomes = count(self.chromosomes.len());
        match self.kind {
            Kind::Tbi => out.write_all(&[b"TBI\x01", &chromosomes[..], &about].concat())?,
            Kind::Csi => {
                let [shift, depth] = [self.bins.shift, self.bins.depth].map(u32::to_le_bytes);
                let head = [&b"CSI\x01"[..], &shift, &depth, &count(about.len()), &about, &chromosomes];
                out.write_all(&head.concat())?;
            }
        }
        let chunks = |out: &mut Vec<u8>, chunks: &[Chunk]| {
            out.extend_from_slice(&count(chunks.len()));
            for chunk in chunks {
                out.extend_from_slice(&chunk.start.bits().to_le_bytes());
                out.extend_from_slice(&chunk.end.bits().to_le_bytes());
            }
        };
        let mut bytes = vec![];
        for Chromosome { bins, windows, all } in &self.chromosomes {
            bytes.clear();
            bytes.extend_from_slice(&count(bins.len() + usize::from(all.is_some())));
            for (number, bin) in bins {
                bytes.extend_from_slice(&number.to_le_bytes());
                if self.kind == Kind::Csi {
                    bytes.extend_from_slice(&bin.first.bits().to_le_bytes());
                }
                chunks(&mut bytes, &bin.chunks);
            }
            if let Some((all, records)) = all {
                bytes.extend_from_slice(&(self.bins.notes() as u32).to_le_bytes());
                if self.kind == Kind::Csi {
                    bytes.extend_from_slice(&0_u64.to_le_bytes());
                }
                // What is a chunk elsewhere: how many records have a place, and how many none.
                let records = Chunk { start: Place::from_bits(*records), end: Place::START };
                chunks(&mut bytes, &[*all, records]);
            }
            if self.kind == Kind::Tbi {
                bytes.extend_from_slice(&count(windows.len()));
                windows.iter().for_each(|place| bytes.extend_from_slice(&place.bits().to_le_bytes()));
            }
            out.write_all(&bytes)?;
        }
        // Records without a place.
        out.write_all(&0_u64.to_le_bytes())
    }
}

/// Counts of the format have 31 bits; what is held in memory here is fewer.
fn count(number: usize) -> [u8; 4] {
    i32::try_from(number).unwrap_or(i32::MAX).to_le_bytes()
}

const SHORT: &str = "the index ends too early";

/// Bytes that are read from the front.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(SHORT)?;
        self.at += N;
        Ok(*found)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize, &'static str> {
        let count = self.array().map(i32::from_le_bytes)?;
        usize::try_from(count).map_err(|_| "a number of things is negative")
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        self.array().map(u64::from_le_bytes)
    }

    fn chunk(&mut self) -> Result<Chunk, &'static str> {
        Ok(Chunk { start: Place::from_bits(self.u64()?), end: Place::from_bits(self.u64()?) })
    }

    /// What tabix says of the file, and the names in it.
    fn names(&mut self) -> Result<Vec<String>, &'static str> {
        for expected in FORMAT {
            if self.u32()? != expected as u32 {
                return Err("the index is not of a VCF");
            }
        }
        let length = self.count()?;
        let text = self.bytes.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(SHORT)?;
        self.at += length;
        let Some(text) = text.strip_suffix(&[0]) else {
            return if text.is_empty() { Ok(vec![]) } else { Err("a name of a chromosome does not end") };
        };
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| "a name is not UTF-8");
        text.split(|byte| *byte == 0).map(name).collect()
    }
}

/// Each takes memory, though it may take no room in the file.
const MOST_CHROMOSOMES: usize = 1 << 20;

fn parse(cursor: &mut Cursor<'_>) -> Result<Index, &'static str> {
    let (kind, bins, names, chromosomes) = match &cursor.array::<4>()? {
        b"TBI\x01" => {
            let count = cursor.count()?;
            (Kind::Tbi, Bins::of(Kind::Tbi), cursor.names()?, count)
        }
        b"CSI\x01" => {
            let bins = Bins { shift: cursor.u32()?, depth: cursor.u32()? };
            // Numbers of bins have 32 bits, and there are more positions in no genome.
            if bins.depth > 9 || bins.shift > 30 {
                return Err("the sizes of bins are none");
            }
            let about = cursor.count()?;
            let start = cursor.at;
            let names = if about == 0 { vec![] } else { cursor.names()? };
            if cursor.at - start > about {
                return Err("the names reach beyond their room");
            }
            cursor.at = start + about;
            (Kind::Csi, bins, names, cursor.count()?)
        }
        _ => return Err("neither .tbi nor .csi begins so"),
    };
    if chromosomes > MOST_CHROMOSOMES {
        return Err("there are more chromosomes than in any genome");
    }
    if names.len() != chromosomes && !(kind == Kind::Csi && names.is_empty()) {
        return Err("there are other numbers of chromosomes and of names");
    }
    let mut index = Index { kind, bins, names, chromosomes: vec![] };
    for _ in 0..chromosomes {
        let mut chromosome = Chromosome::default();
        for _ in 0..cursor.count()? {
            let number = cursor.u32()?;
            let first = if kind == Kind::Csi { Place::from_bits(cursor.u64()?) } else { Place::START };
            let count = cursor.count()?;
            if u64::from(number) == bins.notes() {
                if count != 2 {
                    return Err("the notes about all records are not two");
                }
                chromosome.all = Some((cursor.chunk()?, cursor.chunk()?.start.bits()));
                continue;
            }
            if u64::from(number) >= bins.notes() - 1 {
                return Err("a bin has a number that none has");
            }
            let mut bin = Bin { first, chunks: vec![] };
            for _ in 0..count {
                bin.chunks.push(cursor.chunk()?);
            }
            if count > 0 && chromosome.bins.insert(number, bin).is_some() {
                return Err("a bin stands there twice");
            }
        }
        if kind == Kind::Tbi {
            for _ in 0..cursor.count()? {
                chromosome.windows.push(Place::from_bits(cursor.u64()?));
            }
        }
        index.chromosomes.push(chromosome);
    }
    // The number of records without a place may stand there or not.
    match cursor.bytes.len() - cursor.at {
        0 | 8 => Ok(index),
        _ => Err("more follows than an index has"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_no_index_is_refused() {
        let index = |kind| {
            let bins = BTreeMapOf::from([(4_681, Bin { first: Place::START, chunks: vec![chunk(7, 9)] })]);
            let windows = if kind == Kind::Tbi { vec![Place::from_bits(7)] } else { vec![] };
            let chromosome = Chromosome { bins, windows, all: Some((chunk(7, 9), 3)) };
            Index { kind, bins: Bins::of(kind), names: vec!["22".into()], chromosomes: vec![chromosome] }
        };
        type BTreeMapOf = std::collections::BTreeMap<u32, Bin>;
        fn chunk(start: u64, end: u64) -> Chunk {
            Chunk { start: Place::from_bits(start), end: Place::from_bits(end) }
        }
        for kind in [Kind::Tbi, Kind::Csi] {
            let mut bytes = vec![];
            index(kind).write(&mut bytes).unwrap();
            assert_eq!(Index::read("i", &bytes[..]).unwrap(), index(kind));
            assert_eq!(index(kind).records("22"), Some(3));
            for cut in 0..bytes.len() {
                let whole = cut == bytes.len() - 8;
                assert_eq!(Index::read("i", &bytes[..cut]).is_ok(), whole, "{kind:?} {cut}");
            }
            for at in 0..bytes.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] = value;
                    if let Ok(index) = Index::read("i", &changed[..]) {
                        let _ = index.chunks("22", 1, u64::MAX);
                    }
                }
            }
            bytes[4] = 0xff;
            bytes[7] = 0x7f;
            let error = Index::read("i", &bytes[..]).unwrap_err().to_string();
            assert!(error.starts_with("i, byte "), "{error}");
        }
        let error = Index::read("i", &b"BAI\x01"[..]).unwrap_err().to_string();
        assert_eq!(
            error,
            "i, byte 4 after decompression: neither .tbi nor .csi begins so; make the index again"
        );
    }
}
