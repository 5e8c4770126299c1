//! The Variant Call Format, versions 4.1 to 4.5: decompression, a strict check, a fast reader of calls, a writer.
//!
//! What is asked of such a file, step by step:
//!
//! 1. [`bgzf`] turns a `.vcf.gz` into text: BGZF and plain gzip, with limits on what comes out, checksums compared, and an
//!    end that is missing reported as such.
//! 2. [`check()`] compares the text with the rules of the version that its first line names and returns a [`Report`]:
//!    every finding with line, column, field and the stable name of a [`Rule`].
//! 3. [`Reader`] yields records. It is made for speed and refuses only what it cannot read; a file that comes from
//!    outside goes through [`check()`] once, before anything is computed from it.
//! 4. [`bcf::Reader`] does the same for the binary form of the format.
//! 5. [`Blocks`] packs the calls of a text into blocks of 64 variants, [`bcf::Blocks`] those of a binary file.
//! 6. [`Writer`] writes calls as VCF text, and copies records as they stand.
//! 7. [`view`] gives the records of some regions, qualities, frequencies or samples as they stand, and [`mod@index`] finds them
//!    without reading all of the file.
//!
//! ```
//! use histone_genome::vcf::{self, Limits, Reader};
//!
//! let text = "##fileformat=VCFv4.3\n\
//!     #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n\
//!     22\t16051497\trs1\tA\tG\t.\tPASS\t.\tGT\t0|1\t1|1\t./.\n";
//! assert!(vcf::check("a.vcf", text.as_bytes(), &Limits::default())?.is_valid());
//!
//! let mut reader = Reader::new("a.vcf", text.as_bytes(), &Limits::default())?;
//! let mut codes = vec![];
//! while let Some(record) = reader.read()? {
//!     record.calls(1, &mut codes)?;
//!     assert_eq!((record.position(), codes[0]), (16_051_497, 0b11_10_01));
//! }
//! # Ok::<(), vcf::VcfError>(())
//! ```
//!
//! Lines and columns count from 1, and columns count **bytes** of the line: that is what a viewer of such files shows, the
//! text being ASCII nearly always. No message carries the content of a sample's cell, nor a sample's name: samples are
//! named by their number.
//!
//! Deliberately not here: no writing of BCF, no reference sequence, so REF is not compared with a genome.
//!
//! Source: the specifications `VCFv4.1` to `VCFv4.5` of <https://github.com/samtools/hts-specs>.

mod alleles;
pub mod bcf;
pub mod bgzf;
mod blocks;
mod calls;
mod check;
mod dosage;
mod error;
pub mod index;
mod lines;
mod meta;
mod reader;
mod regions;
mod rows;
mod version;
pub mod view;
mod writer;

pub use blocks::Blocks;
pub use calls::PhasedCalls;
pub use check::{Report, Severity, check};
pub use error::{Field, Finding, Rule, VcfError};
pub use reader::{Header, Reader, Record};
pub use regions::{RegionError, Regions};
pub use version::Version;
pub use writer::{Site, Writer};

/// The longest line, the longest header and the most findings that are dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line. A record of a million diploid calls has 4 MB.
    pub line_bytes: usize,
    /// Bytes of all lines before the records.
    pub header_bytes: usize,
    /// Samples of the header line.
    pub samples: usize,
    /// Findings that a report keeps of each severity; the rest is counted.
    pub findings: usize,
}

impl Default for Limits {
    /// 64 MiB a line, 64 MiB of header, 4 million samples, 100 findings of each severity.
    fn default() -> Self {
        Self { line_bytes: 64 << 20, header_bytes: 64 << 20, samples: 4_000_000, findings: 100 }
    }
}
