//! The Variant Call Format, versions 4.1 to 4.5.
//!
//! [`bgzf`] turns a `.vcf.gz` into text: BGZF and plain gzip, with limits on what comes out, checksums compared, and an
//! end that is missing reported as such.
//!
//! Source: the specifications `VCFv4.1` to `VCFv4.5` of <https://github.com/samtools/hts-specs>.

pub mod bgzf;
