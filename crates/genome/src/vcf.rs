//! The Variant Call Format, versions 4.1 to 4.5.
//!
//! 1. [`bgzf`] turns a `.vcf.gz` into text: BGZF and plain gzip, with limits on what comes out, checksums compared, and an
//!    end that is missing reported as such.
//! 2. [`check()`] compares the text with the rules of the version that its first line names and returns a [`Report`]:
//!    every finding with line, column, field and the stable name of a [`Rule`].
//!
//! Lines and columns count from 1, and columns count **bytes** of the line: that is what a viewer of such files shows, the
//! text being ASCII nearly always. No message carries the content of a sample's cell, nor a sample's name: samples are
//! named by their number.
//!
//! Source: the specifications `VCFv4.1` to `VCFv4.5` of <https://github.com/samtools/hts-specs>.

pub mod bgzf;
mod check;
mod error;
mod lines;
mod meta;
mod version;

pub use check::{Report, Severity, check};
pub use error::{Field, Finding, Rule, VcfError};
pub use version::Version;

/// The longest line, the longest header and the most findings that are dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line. A record of a million diploid calls has 4 MB.
    pub line_bytes: usize,
    /// Bytes of all lines before the records.
    pub header_bytes: usize,
    /// Findings that a report keeps of each severity; the rest is counted.
    pub findings: usize,
}

impl Default for Limits {
    /// 64 MiB a line, 64 MiB of header, 100 findings of each severity.
    fn default() -> Self {
        Self { line_bytes: 64 << 20, header_bytes: 64 << 20, findings: 100 }
    }
}
