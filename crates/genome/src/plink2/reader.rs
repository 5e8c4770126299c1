//! Records of a PGEN, packed into blocks of 64 variants, each with its site.

use std::fmt;
use std::io::Read;
use std::ops::Range;

use super::bits::Bytes;
use super::error::{PgenProblem, Plink2Error};
use super::header::{Header, Records};
use super::multiallelic::{self, Patches};
use super::{Limits, Variants, main_track, tracks};
use crate::genotypes::{Block, Dosages, Source, last_word, words_for};
use crate::input::Input;
use crate::plink::from_bed;
use crate::variant::Site;

/// The calls of a PGEN, or of a BED, block by block, from the first record to the last.
///
/// In memory are the types and lengths of all records (5 bytes each), one record and one block.
pub struct PgenReader<R> {
    input: Input<R>,
    samples: usize,
    variants: Variants,
    records: Records,
    record_bytes: usize,
    dosages_wanted: Dosages,
    /// Records that were read.
    read: usize,
    is_at_end: bool,
    /// The main track of the record that was read last.
    codes: Vec<u64>,
    /// The same of the last one that was not stored as differences; empty before it.
    base: Vec<u64>,
    patches: Patches,
    dosages: Vec<u16>,
    row: Vec<u64>,
    /// ALT alleles, from 0, of the record that was read last which are not packed yet: a block may end within a record.
    pending: Range<usize>,
    block: Block,
    sites: Vec<Site>,
}

impl<R: Read> PgenReader<R> {
    /// Reads the header. `file` names the PGEN in errors; `samples` are the people of its PSAM.
    ///
    /// # Errors
    /// [`Header`](Plink2Error::Header) or [`Io`](Plink2Error::Io).
    pub fn new(
        file: &str,
        inner: R,
        samples: usize,
        variants: Variants,
        limits: &Limits,
    ) -> Result<Self, Plink2Error> {
        let mut input = Input::new(file, inner);
        let records = Header(&mut input).read(samples, variants.len())?;
        Ok(Self {
            input,
            samples,
            variants,
            records,
            record_bytes: limits.record_bytes,
            dosages_wanted: Dosages::Ignored,
            read: 0,
            is_at_end: false,
            codes: vec![],
            base: vec![],
            patches: Patches::default(),
            dosages: vec![],
            row: vec![],
            pending: 0..0,
            block: Block::new(samples),
            sites: vec![],
        })
    }

    /// Gives the dosages of variants with one ALT allele beside their calls.
    #[must_use]
    pub fn with_dosages(self) -> Self {
        Self { dosages_wanted: Dosages::Read, ..self }
    }

    /// The next up to 64 variants and where they are, one site for each row of the block; `None` after the last one.
    ///
    /// # Errors
    /// [`Record`](Plink2Error::Record) or [`Io`](Plink2Error::Io); what follows after an error means nothing.
    pub fn read(&mut self) -> Result<Option<(&Block, &[Site])>, Plink2Error> {
        Ok(self.fill()?.then_some((&self.block, &self.sites)))
    }

    /// False when nothing is left.
    fn fill(&mut self) -> Result<bool, Plink2Error> {
        self.block.clear();
        self.sites.clear();
        while !self.block.is_full() {
            if self.pending.is_empty() {
                if self.read == self.variants.len() {
                    self.end()?;
                    break;
                }
                self.next_record()?;
            }
            for site in self.variants.sites(self.read - 1, self.pending.start) {
                if self.block.is_full() {
                    break;
                }
                self.pending.start += 1;
                self.patches.row(self.pending.start, &self.codes, &mut self.row);
                self.block.push_row(&self.row)?;
                if self.dosages_wanted == Dosages::Read && !self.dosages.is_empty() {
                    self.block.add_dosages(&self.dosages)?;
                }
                self.sites.push(site);
            }
        }
        Ok(self.block.variants() != 0)
    }

    fn end(&mut self) -> Result<(), Plink2Error> {
        if !self.is_at_end && self.input.fill(1)? != 0 {
            return Err(self.refuse(self.input.offset - 1, PgenProblem::Surplus));
        }
        self.is_at_end = true;
        Ok(())
    }

    fn next_record(&mut self) -> Result<(), Plink2Error> {
        let index = self.read;
        let start_of_block = self.records.offset(index);
        if let Some(stated) = start_of_block {
            let offset = self.input.offset;
            let gap = stated.checked_sub(offset);
            let gap = gap.ok_or_else(|| self.refuse(offset, PgenProblem::Offset { stated }))?;
            if self.input.skip(gap)? < gap {
                return Err(self.refuse(self.input.offset, PgenProblem::Truncated("records")));
            }
            self.base.clear();
        }
        let (kind, length) = self.records.get(index, self.samples);
        let start = self.input.offset;
        if length > self.record_bytes as u64 {
            let problem = PgenProblem::RecordTooLarge { found: length, limit: self.record_bytes };
            return Err(self.refuse(start, problem));
        }
        if (self.input.fill(length)? as u64) < length {
            return Err(self.refuse(self.input.offset, PgenProblem::Truncated("records")));
        }
        let alternatives = self.variants.alternatives(index).unwrap_or_default();
        let mut bytes = Bytes(&self.input.bytes);
        self.codes.resize(words_for(self.samples), 0);
        self.patches.clear();
        let parsed = match self.records {
            Records::Bed => bed_row(&mut bytes, self.samples, &mut self.codes),
            _ => parse(
                &mut bytes,
                kind,
                self.samples,
                alternatives,
                Parts {
                    base: &self.base,
                    codes: &mut self.codes,
                    patches: &mut self.patches,
                    dosages: &mut self.dosages,
                },
            ),
        };
        let parsed = parsed.and(match bytes.0.len() {
            0 => Ok(()),
            rest => Err(PgenProblem::Long(rest)),
        });
        let stood = self.input.offset - bytes.0.len() as u64;
        parsed.map_err(|problem| self.refuse(stood, problem))?;
        if !main_track::is_of_differences(kind) {
            self.base.clone_from(&self.codes);
        }
        self.pending = 0..alternatives;
        self.read += 1;
        Ok(())
    }

    /// About the record that is being read, or, behind all, the last one.
    fn refuse(&self, offset: u64, problem: PgenProblem) -> Plink2Error {
        let record = (self.read + 1).min(self.variants.len()) as u64;
        Plink2Error::Record { file: self.input.file.clone(), record, offset, problem }
    }
}

/// What a record is made of and read into.
struct Parts<'a> {
    base: &'a [u64],
    codes: &'a mut [u64],
    patches: &'a mut Patches,
    dosages: &'a mut Vec<u16>,
}

fn parse(
    bytes: &mut Bytes<'_>,
    kind: u8,
    samples: usize,
    alternatives: usize,
    parts: Parts<'_>,
) -> Result<(), PgenProblem> {
    let Parts { base, codes, patches, dosages } = parts;
    // Of nobody, the base is empty as it is where there is none: then there is nothing to differ.
    let base = (!base.is_empty() || samples == 0).then_some(base);
    main_track::read(bytes, kind, samples, base, codes)?;
    if kind & 8 != 0 {
        patches.read(bytes, samples, alternatives, codes)?;
    }
    if kind & 16 != 0 {
        tracks::skip_phase(bytes, multiallelic::count(codes, 1) + patches.heterozygous())?;
    }
    tracks::dosages(bytes, kind, samples, alternatives, dosages)
}

fn bed_row(bytes: &mut Bytes<'_>, samples: usize, codes: &mut [u64]) -> Result<(), PgenProblem> {
    let packed = bytes.packed(samples, 2, "row")?;
    codes.iter_mut().zip(packed.words()).for_each(|(to, from)| *to = from_bed(from));
    if let Some(word) = codes.last_mut() {
        *word &= last_word(samples);
    }
    Ok(())
}

impl<R: Read> Source for PgenReader<R> {
    type Error = Plink2Error;

    fn samples(&self) -> usize {
        self.samples
    }

    fn next_block(&mut self) -> Result<Option<&Block>, Plink2Error> {
        Ok(self.fill()?.then_some(&self.block))
    }
}

impl<R> fmt::Debug for PgenReader<R> {
    /// Without calls.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgenReader")
            .field("file", &self.input.file)
            .field("samples", &self.samples)
            .field("variants", &self.variants)
            .finish_non_exhaustive()
    }
}
