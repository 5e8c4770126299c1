//! VCF text out of calls.

use std::io::Write;

use super::calls::PhasedCalls;
use super::error::{Field, VcfError};
use super::{Record, Version};

/// The columns of a record before FORMAT. Texts go out as they are, so a missing one is a dot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Site<'a> {
    /// CHROM.
    pub chromosome: &'a str,
    /// POS, from 1.
    pub position: u32,
    /// ID, names separated by semicolons.
    pub ids: &'a str,
    /// REF.
    pub reference: &'a str,
    /// The one entry of ALT.
    pub alternative: &'a str,
    /// QUAL.
    pub quality: Option<f32>,
    /// FILTER.
    pub filter: &'a str,
    /// INFO.
    pub info: &'a str,
}

/// Writes a VCF file to anything, a [`bgzf::Writer`](super::bgzf::Writer) for example.
///
/// It keeps the columns and lines apart, whatever texts it is given; that a REF is made of bases, or an INFO of keys, is
/// what [`check()`](super::check()) looks at.
pub struct Writer<W> {
    target: W,
    samples: usize,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes the header. `meta` holds the `##` lines after the first one, such as
    /// `##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">`.
    pub fn new(
        mut target: W,
        version: Version,
        meta: &[impl AsRef<str>],
        samples: &[impl AsRef<str>],
    ) -> Result<Self, VcfError> {
        writeln!(target, "##fileformat={version}")?;
        for line in meta.iter().map(AsRef::as_ref) {
            if !line.starts_with("##") || line.contains(['\n', '\r']) {
                return Err(VcfError::UnwritableText { field: Field::Meta("") });
            }
            writeln!(target, "{line}")?;
        }
        target.write_all(b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")?;
        if !samples.is_empty() {
            target.write_all(b"\tFORMAT")?;
        }
        for name in samples.iter().map(AsRef::as_ref) {
            if !is_writable(name) {
                return Err(VcfError::UnwritableText { field: Field::Header });
            }
            write!(target, "\t{name}")?;
        }
        target.write_all(b"\n")?;
        Ok(Self { target, samples: samples.len(), line: vec![] })
    }

    /// Writes a record with unphased diploid calls, `codes` as [`Record::calls`] gives them.
    pub fn write(&mut self, site: &Site<'_>, codes: &[u64]) -> Result<(), VcfError> {
        self.write_cells(site, codes, |_, code| match code {
            0 => b"\t0/0",
            1 => b"\t0/1",
            2 => b"\t1/1",
            _ => b"\t./.",
        })
    }

    /// Writes a record with phase and ploidy. A haploid call has code 0, 1 or 3.
    pub fn write_phased(&mut self, site: &Site<'_>, calls: &PhasedCalls) -> Result<(), VcfError> {
        let bit = |plane: &[u64], sample: usize| {
            plane.get(sample / 64).is_some_and(|word| (word >> (sample % 64)) & 1 == 1)
        };
        self.write_cells(site, &calls.codes, |sample, code| {
            let is_phased = bit(&calls.phased, sample);
            let first = bit(&calls.first, sample);
            match (code, bit(&calls.haploid, sample), is_phased, first) {
                (0, true, ..) => b"\t0",
                (1 | 2, true, ..) => b"\t1",
                (_, true, ..) => b"\t.",
                (0, _, false, _) => b"\t0/0",
                (1, _, false, false) => b"\t0/1",
                (1, _, false, true) => b"\t1/0",
                (2, _, false, _) => b"\t1/1",
                (_, _, false, _) => b"\t./.",
                (0, _, true, _) => b"\t0|0",
                (1, _, true, false) => b"\t0|1",
                (1, _, true, true) => b"\t1|0",
                (2, _, true, _) => b"\t1|1",
                _ => b"\t.|.",
            }
        })
    }

    /// Writes a record as it stands in the file that it was read from.
    pub fn copy(&mut self, record: &Record<'_>) -> Result<(), VcfError> {
        if record.samples() != self.samples {
            return Err(VcfError::SampleCount { expected: self.samples, found: record.samples() });
        }
        self.target.write_all(record.text())?;
        self.target.write_all(b"\n")?;
        Ok(())
    }

    /// The target, for its own last words: a BGZF file needs its end marker.
    pub fn into_inner(self) -> W {
        self.target
    }

    fn write_cells(
        &mut self,
        site: &Site<'_>,
        codes: &[u64],
        cell: impl Fn(usize, u64) -> &'static [u8],
    ) -> Result<(), VcfError> {
        if codes.len() != self.samples.div_ceil(32) {
            return Err(VcfError::SampleCount {
                expected: self.samples,
                found: codes.len().saturating_mul(32),
            });
        }
        for (text, field) in [
            (site.chromosome, Field::Chromosome),
            (site.ids, Field::Id),
            (site.reference, Field::Reference),
            (site.alternative, Field::Alternative),
            (site.filter, Field::Filter),
            (site.info, Field::Info(None)),
        ] {
            if !is_writable(text) {
                return Err(VcfError::UnwritableText { field });
            }
        }
        let Site { chromosome, position, ids, reference, alternative, filter, info, .. } = site;
        self.line.clear();
        write!(self.line, "{chromosome}\t{position}\t{ids}\t{reference}\t{alternative}\t")?;
        match site.quality {
            Some(quality) => write!(self.line, "{quality}")?,
            None => self.line.push(b'.'),
        }
        write!(self.line, "\t{filter}\t{info}")?;
        if self.samples > 0 {
            self.line.extend_from_slice(b"\tGT");
        }
        for (index, word) in codes.iter().enumerate() {
            for slot in 0..32.min(self.samples - 32 * index) {
                self.line.extend_from_slice(cell(32 * index + slot, (word >> (2 * slot)) & 3));
            }
        }
        self.line.push(b'\n');
        self.target.write_all(&self.line)?;
        Ok(())
    }
}

fn is_writable(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\t', '\n', '\r'])
}
