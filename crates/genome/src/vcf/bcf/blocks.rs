//! Calls of a binary file in blocks of 64 variants, each with its site.

use std::fmt;
use std::io::Read;
use std::ops::Range;

use super::super::error::VcfError;
use super::super::rows::Rows;
use super::super::{Header, Limits};
use super::{Reader, Record};
use crate::genotypes::{Block, Dosages, Source};
use crate::variant::Site;

/// Packs the calls of a BCF, block by block, as [`vcf::Blocks`](crate::vcf::Blocks) does those of a text. The line of a site
/// is the number of its record.
pub struct Blocks<R> {
    reader: Reader<R>,
    rows: Rows,
    /// ALT alleles, from 0, of the record that was read last which are not packed yet: a block may end within a record.
    pending: Range<usize>,
    passed_over: u64,
}

impl<R: Read> Blocks<R> {
    /// Reads the header. `file` is the name that errors carry; `source` is what BGZF holds.
    ///
    /// # Errors
    /// Those of [`Reader::new`].
    pub fn new(file: &str, source: R, limits: &Limits) -> Result<Self, VcfError> {
        let reader = Reader::new(file, source, limits)?;
        let rows = Rows::new(reader.header().samples().len());
        Ok(Self { reader, rows, pending: 0..0, passed_over: 0 })
    }

    /// As [`vcf::Blocks::with_dosages`](crate::vcf::Blocks::with_dosages), from DS only.
    #[must_use]
    pub fn with_dosages(mut self) -> Self {
        self.rows.dosages_wanted = Dosages::Read;
        self
    }

    /// What the lines above the records say.
    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// Records without an ALT allele so far, of which there are no variants.
    pub fn records_without_alternative(&self) -> u64 {
        self.passed_over
    }

    /// The next up to 64 variants and where they are, one site for each row of the block; `None` after the last one.
    ///
    /// # Errors
    /// Those of [`Reader::read`] and [`Record::homozygous_calls`].
    pub fn read(&mut self) -> Result<Option<(&Block, &[Site])>, VcfError> {
        Ok(self.fill()?.then_some((&self.rows.block, &self.rows.sites)))
    }

    /// False when nothing is left.
    fn fill(&mut self) -> Result<bool, VcfError> {
        self.rows.clear();
        while !self.rows.block.is_full() {
            let record = if self.pending.is_empty() {
                let Some(record) = self.reader.read()? else { break };
                self.pending = match record.alternatives() {
                    // Text can have a dot for no allele; what was made of it may, too.
                    [] | ["."] => 0..0,
                    alternatives => 0..alternatives.len(),
                };
                self.passed_over += u64::from(self.pending.is_empty());
                record
            } else {
                self.reader.again()?
            };
            for index in self.pending.clone() {
                if self.rows.block.is_full() {
                    break;
                }
                let alternative = record.alternatives().get(index).copied().unwrap_or_default();
                self.rows.push(&record, index + 1, self.pending.end, site(&record, alternative))?;
                self.pending.start += 1;
            }
        }
        Ok(self.rows.block.variants() != 0)
    }
}

fn site(record: &Record<'_>, alternative: &str) -> Site {
    Site {
        line: record.number(),
        chromosome: record.chromosome().to_owned(),
        position: record.position(),
        ids: record.ids().to_owned(),
        reference: record.reference().to_owned(),
        alternative: alternative.to_owned(),
    }
}

impl<R: Read> Source for Blocks<R> {
    type Error = VcfError;

    fn samples(&self) -> usize {
        self.rows.block.samples()
    }

    fn next_block(&mut self) -> Result<Option<&Block>, VcfError> {
        Ok(self.fill()?.then_some(&self.rows.block))
    }
}

impl<R> fmt::Debug for Blocks<R> {
    /// Without records and calls.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("block", &self.rows.block).finish_non_exhaustive()
    }
}
