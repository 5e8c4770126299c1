//! Indexes of BGZF files: `.tbi` (tabix) and `.csi`, which say in which blocks the records of a region are.
//!
//! An index divides each chromosome into bins of eight sizes or so, and says for each bin where the records lie that fit
//! into it and into no smaller one; for each 16 KiB (of bases) it says where the first record is that reaches into them.
//!
//! ```
//! use std::io::Cursor;
//! use histone_genome::vcf::{self, Limits, bgzf, index::{Index, Kind}};
//!
//! let text = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t7\t.\tA\tC\t.\t.\t.\n";
//! let mut file = bgzf::Writer::new(vec![]);
//! std::io::Write::write_all(&mut file, text.as_bytes())?;
//! let file = file.finish()?;
//!
//! let source = bgzf::Reader::new(&file[..], bgzf::Limits::default());
//! let index = Index::of("a.vcf.gz", source, Kind::Tbi, &Limits::default())?;
//! let mut bytes = vec![];
//! index.write(&mut bytes)?;
//! assert_eq!(Index::read("a.vcf.gz.tbi", &bytes[..])?, index);
//! assert_eq!(index.chunks("1", 1, 100).len(), 1);
//! assert_eq!(index.chunks("2", 1, 100).len(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately not here: `.gzi`, and indexes of BCF, whose chromosomes have no names.
//!
//! Source: `tabix` and `CSIv1` of <https://github.com/samtools/hts-specs>; SAM specification, section 5.3 (bins).

mod build;
mod file;
mod parts;

use std::collections::BTreeMap;

use super::bgzf::Place;
use super::error::VcfError;

pub use parts::Parts;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Positions up to 2^29, 536,870,912: enough for people.
    Tbi,
    /// As far as a VCF counts.
    Csi,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The source failed; a fault of the compression is the inner error.
    #[error("{file}: cannot be read")]
    Read {
        /// Name of the index.
        file: String,
        /// What the source said.
        #[source]
        source: std::io::Error,
    },
    /// More than an index has.
    #[error("{file}: an index of more than {limit} bytes, the limit of this program")]
    TooLarge {
        /// Name of the index.
        file: String,
        /// The limit.
        limit: usize,
    },
    /// The bytes are no index.
    #[error("{file}, byte {at} after decompression: {problem}; make the index again")]
    Malformed {
        /// Name of the index.
        file: String,
        /// Where it was noticed.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file to index cannot be read.
    #[error(transparent)]
    Vcf(#[from] VcfError),
    /// Text or plain gzip, in which no place can be gone to.
    #[error(
        "{file}: only files in BGZF have an index, and this one is not; `histone genome view --out` writes it so"
    )]
    NotBgzf {
        /// Name of the file.
        file: String,
    },
    /// Records that stand elsewhere than an index can say.
    #[error("{file}, line {line}: {problem}")]
    Order {
        /// Name of the file.
        file: String,
        /// Number of the line.
        line: u64,
        /// What an index needs.
        problem: OrderProblem,
    },
}

/// What an index needs of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderProblem {
    /// A position before that of the record above.
    #[error("the position is smaller than in the record above; sort the file")]
    Position,
    /// A chromosome that has ended comes again.
    #[error("records of the same chromosome stand apart; sort the file")]
    Chromosome,
    /// Beyond what the kind of index counts.
    #[error("the record ends beyond 536,870,912, as far as .tbi counts; make a .csi")]
    TooFar,
    /// More chromosomes and positions than are held in memory.
    #[error("the records reach over more of a genome than this program indexes")]
    TooMuch,
}

/// Where records lie: from the start of the first to the end of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chunk {
    /// Start of the first record.
    pub start: Place,
    /// End of the last record.
    pub end: Place,
}

/// Where the records of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    kind: Kind,
    bins: Bins,
    names: Vec<String>,
    chromosomes: Vec<Chromosome>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chromosome {
    bins: BTreeMap<u32, Bin>,
    /// Where the first record is that reaches into each 2^14 bases; of `.tbi` only.
    windows: Vec<Place>,
    /// All records, and how many.
    all: Option<(Chunk, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bin {
    /// The first record that reaches into the bin; of `.csi` only.
    first: Place,
    chunks: Vec<Chunk>,
}

/// Sizes of bins: those of the last level have `2^shift` bases, and those of each level above eight times as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bins {
    shift: u32,
    depth: u32,
}

impl Bins {
    /// Those of `.tbi`, and those of `.csi` that are written here.
    fn of(kind: Kind) -> Self {
        Self { shift: 14, depth: if kind == Kind::Tbi { 5 } else { 6 } }
    }

    /// Number of the first bin of a level.
    fn first(level: u32) -> u64 {
        ((1_u64 << (3 * level)) - 1) / 7
    }

    /// Bits of a place that say nothing about the bin of a level.
    fn shift_of(self, level: u32) -> u32 {
        self.shift + 3 * (self.depth - level)
    }

    /// The last position, from 0.
    fn last(self) -> u64 {
        (1_u64 << (self.shift + 3 * self.depth)) - 1
    }

    /// The bin of notes about all records: one after the number after the last.
    fn notes(self) -> u64 {
        Self::first(self.depth + 1) + 1
    }

    /// The smallest bin that holds all of a stretch, positions from 0.
    fn around(self, from: u64, to: u64) -> u64 {
        let mut levels = (0..=self.depth).rev();
        let level = levels.find(|level| from >> self.shift_of(*level) == to >> self.shift_of(*level));
        level.map_or(0, |level| Self::first(level) + (from >> self.shift_of(level)))
    }
}

impl Index {
    /// Names of the chromosomes, in the order of the file; none in an index of BCF.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether this may be the index of a file of so many bytes: its last record ends in one of the last blocks, of 64 KiB at the most.
    pub fn fits(&self, bytes: u64) -> bool {
        let chunks = self.chromosomes.iter().flat_map(|of| of.bins.values()).flat_map(|bin| &bin.chunks);
        let last = chunks.map(|chunk| chunk.end.block()).max().unwrap_or(0);
        last <= bytes && bytes - last <= 3 << 16
    }

    /// How many records a chromosome has, where the index says so.
    pub fn records(&self, chromosome: &str) -> Option<u64> {
        Some(self.chromosome(chromosome)?.all?.1)
    }

    fn chromosome(&self, name: &str) -> Option<&Chromosome> {
        self.chromosomes.get(self.names.iter().position(|other| other == name)?)
    }

    /// Where the records are that may overlap a region, positions from 1, both ends in it: in order, and apart.
    pub fn chunks(&self, chromosome: &str, from: u64, to: u64) -> Vec<Chunk> {
        let (from, to) = (from.saturating_sub(1), to.saturating_sub(1).min(self.bins.last()));
        let Some(chromosome) = self.chromosome(chromosome).filter(|_| from <= to) else { return vec![] };
        let mut chunks = vec![];
        let mut first = Place::START;
        for level in 0..=self.bins.depth {
            let bin = |at: u64| u32::try_from(Bins::first(level) + (at >> self.bins.shift_of(level)));
            let (Ok(low), Ok(high)) = (bin(from), bin(to)) else { continue };
            for bin in chromosome.bins.range(low..=high) {
                chunks.extend_from_slice(&bin.1.chunks);
            }
            // The smallest bin that there is around the start knows best what is before it.
            if let Some(bin) = chromosome.bins.get(&low) {
                first = first.max(bin.first);
            }
        }
        let window = usize::try_from(from >> 14).ok().and_then(|window| chromosome.windows.get(window));
        let first = window.copied().unwrap_or_default().max(first);
        chunks.retain(|chunk| chunk.end > first);
        chunks.iter_mut().for_each(|chunk| chunk.start = chunk.start.max(first));
        joined(chunks)
    }
}

/// Chunks in order, those that touch each other as one.
pub(super) fn joined(mut chunks: Vec<Chunk>) -> Vec<Chunk> {
    chunks.sort_unstable();
    chunks.dedup_by(|next, chunk| {
        let touches = next.start <= chunk.end;
        if touches {
            chunk.end = chunk.end.max(next.end);
        }
        touches
    });
    chunks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_of_bins() {
        let tbi = Bins::of(Kind::Tbi);
        // SAM specification, section 5.3: first bins of the levels, and the bin of samtools' notes.
        assert_eq!((0..=5).map(Bins::first).collect::<Vec<_>>(), [0, 1, 9, 73, 585, 4_681]);
        assert_eq!((tbi.notes(), tbi.last()), (37_450, (1 << 29) - 1));
        for (from, to, bin) in [
            (0, 0, 4_681),
            (16_383, 16_383, 4_681),
            (16_383, 16_384, 585),
            (1 << 17, (1 << 17) + 5, 4_689),
            ((1 << 17) - 1, 1 << 17, 73),
            ((1 << 26) - 1, 1 << 26, 0),
            (tbi.last(), tbi.last(), 37_448),
        ] {
            assert_eq!(tbi.around(from, to), bin, "{from} {to}");
        }
    }

    #[test]
    fn chunks_are_joined() {
        let chunk = |start, end| Chunk { start: Place::from_bits(start), end: Place::from_bits(end) };
        let all = vec![chunk(8, 9), chunk(1, 3), chunk(3, 5), chunk(2, 4), chunk(9, 10)];
        assert_eq!(joined(all), [chunk(1, 5), chunk(8, 10)]);
    }
}
