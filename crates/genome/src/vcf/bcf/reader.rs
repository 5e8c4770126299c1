//! Records of a BCF file, one at a time.

use std::io::Read;

use super::super::calls::{Haploid, PhasedCalls};
use super::super::error::{Rule, VcfError};
use super::super::lines::Lines;
use super::super::rows::Columns;
use super::super::{Header, Limits, Version};
use super::BcfProblem;
use super::dictionary::Dictionary;
use super::genotypes::{self, Question, Values};
use super::text::Parts;
use super::value::{Atom, Cursor, Int};

/// Reads the records of a BCF file. The source is what BGZF holds: [`bgzf::Reader`](super::super::bgzf::Reader) gives it.
pub struct Reader<R> {
    source: R,
    file: String,
    limit: usize,
    header: Header,
    dictionary: Dictionary,
    number: u64,
    /// The two parts of the record that was read last.
    bytes: Vec<u8>,
    /// Bytes of the first of them.
    shared: usize,
}

impl<R: Read> Reader<R> {
    /// Reads the header. `file` is the name that errors carry; a record may have `limits.line_bytes` bytes.
    pub fn new(file: &str, mut source: R, limits: &Limits) -> Result<Self, VcfError> {
        let problem = |problem| VcfError::Bcf { file: file.to_owned(), record: 0, problem };
        let mut bytes = vec![];
        let start = read_some(&mut source, 9, &mut bytes).map_err(|source| VcfError::Read {
            file: file.to_owned(),
            line: 0,
            source,
        })?;
        let (magic, length) = match *start {
            [b'B', b'C', b'F', 2, 1 | 2, a, b, c, d] => (true, u32::from_le_bytes([a, b, c, d]) as usize),
            _ => (false, 0),
        };
        if !magic {
            return Err(problem(BcfProblem::NotBcf));
        }
        if length > limits.header_bytes {
            return Err(problem(BcfProblem::TooLarge { limit: limits.header_bytes }));
        }
        let text = read_some(&mut source, length, &mut bytes).map_err(|source| VcfError::Read {
            file: file.to_owned(),
            line: 0,
            source,
        })?;
        if text.len() < length {
            return Err(problem(BcfProblem::Truncated));
        }
        // The text ends with a zero byte, or several.
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        let text = text.get(..end).unwrap_or_default();
        let mut lines = Lines::new(file, text, limits.line_bytes);
        let header = Header::read(&mut lines, limits)?;
        let dictionary = Dictionary::new(&header);
        Ok(Self {
            source,
            file: file.to_owned(),
            limit: limits.line_bytes,
            header,
            dictionary,
            number: 0,
            bytes: vec![],
            shared: 0,
        })
    }

    /// What the lines above the records say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Record<'_>>, VcfError> {
        self.number += 1;
        let number = self.number;
        let read_error = |source| VcfError::Read { file: self.file.clone(), line: number, source };
        let problem = |problem| VcfError::Bcf { file: self.file.clone(), record: number, problem };
        let sizes = match *read_some(&mut self.source, 8, &mut self.bytes).map_err(read_error)? {
            [] => return Ok(None),
            [a, b, c, d, e, f, g, h] => [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])],
            _ => return Err(problem(BcfProblem::Truncated)),
        };
        let [shared, samples] = sizes.map(|size| size as usize);
        let size = shared.saturating_add(samples);
        if size > self.limit {
            return Err(problem(BcfProblem::TooLarge { limit: self.limit }));
        }
        if read_some(&mut self.source, size, &mut self.bytes).map_err(read_error)?.len() < size {
            return Err(problem(BcfProblem::Truncated));
        }
        self.shared = shared;
        self.again().map(Some)
    }

    /// The record that was read last, with what [`Record`] passes over.
    pub(super) fn parts(&self) -> Result<Parts<'_>, BcfProblem> {
        let (shared, samples) = self.bytes.split_at_checked(self.shared).ok_or(BcfProblem::Truncated)?;
        let (header, dictionary) = (&self.header, &self.dictionary);
        Record::parts(self.file.as_str(), self.number, header, dictionary, shared, samples)
    }

    /// A problem of the record that was read last.
    pub(super) fn refuse(&self, problem: BcfProblem) -> VcfError {
        VcfError::Bcf { file: self.file.clone(), record: self.number, problem }
    }

    /// The record that was read last, parsed once more.
    pub(super) fn again(&self) -> Result<Record<'_>, VcfError> {
        let problem = |problem| VcfError::Bcf { file: self.file.clone(), record: self.number, problem };
        let parts = self.bytes.split_at_checked(self.shared);
        let (shared, samples) = parts.ok_or_else(|| problem(BcfProblem::Truncated))?;
        Record::parse(self.file.as_str(), self.number, &self.header, &self.dictionary, shared, samples)
            .map_err(problem)
    }
}

/// Reads so many bytes or up to the end. Room is made as bytes arrive, whatever was asked for.
fn read_some<'a>(source: &mut impl Read, count: usize, bytes: &'a mut Vec<u8>) -> std::io::Result<&'a [u8]> {
    bytes.clear();
    source.take(count as u64).read_to_end(bytes)?;
    Ok(bytes)
}

/// One record.
#[derive(Clone)]
pub struct Record<'a> {
    file: &'a str,
    number: u64,
    version: Version,
    chromosome: &'a str,
    position: u64,
    quality: Option<f32>,
    ids: &'a str,
    reference: &'a str,
    alternatives: Vec<&'a str>,
    filters: Vec<&'a str>,
    samples: usize,
    calls: Option<Values<'a>>,
    dosages: Option<Values<'a>>,
}

impl<'a> Record<'a> {
    /// Up to FILTER.
    fn parts(
        file: &'a str,
        number: u64,
        header: &Header,
        dictionary: &'a Dictionary,
        shared: &'a [u8],
        samples: &'a [u8],
    ) -> Result<Parts<'a>, BcfProblem> {
        let mut shared = Cursor(shared);
        let chromosome = u32::try_from(shared.i32()?).ok();
        let chromosome = chromosome.and_then(|number| dictionary.contigs.get(&number));
        let chromosome = chromosome.ok_or(BcfProblem::Dictionary)?;
        // From 0, and -1 is the telomere.
        let position = u64::try_from(i64::from(shared.i32()?) + 1).map_err(|_| BcfProblem::Value)?;
        let _length_on_reference = shared.i32()?;
        let quality = match shared.u32()? {
            0x7f80_0001 => None,
            bits => Some(f32::from_bits(bits)),
        };
        let alleles_and_infos = shared.u32()?;
        let (alleles, info_count) = (alleles_and_infos >> 16, (alleles_and_infos & 0xffff) as usize);
        let formats_and_samples = shared.u32()?;
        let (formats, sample_count) = (formats_and_samples >> 24, formats_and_samples & 0x00ff_ffff);
        let expected = header.samples().len();
        // A record without values of samples may say that it has none.
        if sample_count as usize != expected && !(formats == 0 && sample_count == 0) {
            return Err(BcfProblem::Samples);
        }
        let ids = shared.text()?;
        let reference = if alleles == 0 { "." } else { shared.text()? };
        let alternatives = (1..alleles).map(|_| shared.text()).collect::<Result<Vec<_>, _>>()?;
        let mut filters = vec![];
        let (atom, count) = shared.descriptor()?;
        if count > dictionary.strings.len()
            || count > 0 && !matches!(atom, Atom::Int8 | Atom::Int16 | Atom::Int32)
        {
            return Err(BcfProblem::Value);
        }
        for _ in 0..count {
            let Int::Value(filter) = shared.int(atom)? else { return Err(BcfProblem::Value) };
            let filter = u32::try_from(filter).ok().and_then(|filter| dictionary.strings.get(&filter));
            filters.push(filter.ok_or(BcfProblem::Dictionary)?.as_str());
        }
        Ok(Parts {
            record: Self {
                file,
                number,
                version: header.version(),
                chromosome,
                position,
                quality,
                ids,
                reference,
                alternatives,
                filters,
                samples: expected,
                calls: None,
                dosages: None,
            },
            infos: shared,
            info_count,
            samples: Cursor(samples),
            sample_count: expected,
            format_count: formats as usize,
            dictionary,
        })
    }

    fn parse(
        file: &'a str,
        number: u64,
        header: &Header,
        dictionary: &'a Dictionary,
        shared: &'a [u8],
        samples: &'a [u8],
    ) -> Result<Self, BcfProblem> {
        let mut parts = Self::parts(file, number, header, dictionary, shared, samples)?;
        for _ in 0..parts.format_count {
            let key = u32::try_from(parts.samples.typed_int()?).ok();
            let key = key.and_then(|key| dictionary.strings.get(&key)).ok_or(BcfProblem::Dictionary)?;
            let (atom, count) = parts.samples.descriptor()?;
            let size = atom.size().saturating_mul(count).saturating_mul(parts.sample_count);
            let values = Values { atom, count, data: parts.samples.take(size)? };
            match key.as_str() {
                "GT" => parts.record.calls = Some(values),
                "DS" => parts.record.dosages = Some(values),
                _ => {}
            }
        }
        Ok(parts.record)
    }

    /// Number of the record, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// CHROM.
    pub fn chromosome(&self) -> &'a str {
        self.chromosome
    }

    /// POS, from 1 as in the text; 0 is the telomere.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// ID, names separated by semicolons, or a dot.
    pub fn ids(&self) -> &'a str {
        self.ids
    }

    /// REF.
    pub fn reference(&self) -> &'a str {
        self.reference
    }

    /// The entries of ALT.
    pub fn alternatives(&self) -> &[&'a str] {
        &self.alternatives
    }

    /// QUAL.
    pub fn quality(&self) -> Option<f32> {
        self.quality
    }

    /// The names of FILTER: `PASS` alone, those that failed, or none when filters were not applied.
    pub fn filters(&self) -> &[&'a str] {
        &self.filters
    }

    /// As [`vcf::Record::calls`](super::super::Record::calls).
    pub fn calls(&self, alternative: usize, codes: &mut Vec<u64>) -> Result<(), VcfError> {
        self.codes(alternative, codes, Haploid::OneCopy)
    }

    /// As [`vcf::Record::homozygous_calls`](super::super::Record::homozygous_calls).
    pub fn homozygous_calls(&self, alternative: usize, codes: &mut Vec<u64>) -> Result<(), VcfError> {
        self.codes(alternative, codes, Haploid::Homozygous)
    }

    /// As [`vcf::Record::phased_calls`](super::super::Record::phased_calls).
    pub fn phased_calls(&self, alternative: usize, calls: &mut PhasedCalls) -> Result<(), VcfError> {
        let question = self.question(alternative)?;
        let values = self.calls.ok_or_else(|| self.refuse(BcfProblem::Format(Rule::FormatGtMissing)))?;
        calls.clear(self.samples);
        genotypes::calls(values, question, |sample, call| calls.set(sample, call))
            .map_err(|problem| self.refuse(problem))
    }

    /// As [`vcf::Record::dosages`](super::super::Record::dosages), from DS only.
    pub fn dosages(&self, alternative: usize, dosages: &mut Vec<f32>) -> Result<(), VcfError> {
        let question = self.question(alternative)?;
        let values =
            self.dosages.ok_or_else(|| self.refuse(BcfProblem::Format(Rule::FormatDosageMissing)))?;
        genotypes::dosages(values, question, dosages).map_err(|problem| self.refuse(problem))
    }

    fn codes(&self, alternative: usize, codes: &mut Vec<u64>, haploid: Haploid) -> Result<(), VcfError> {
        let question = self.question(alternative)?;
        let values = self.calls.ok_or_else(|| self.refuse(BcfProblem::Format(Rule::FormatGtMissing)))?;
        codes.clear();
        codes.resize(self.samples.div_ceil(32), 0);
        genotypes::calls(values, question, |sample, call| {
            let is_doubled = haploid == Haploid::Homozygous && call.second.is_none();
            let code = if is_doubled { call.homozygous().code() } else { call.code() };
            if let Some(word) = codes.get_mut(sample / 32) {
                *word |= code << (2 * (sample % 32));
            }
        })
        .map_err(|problem| self.refuse(problem))
    }

    fn question(&self, alternative: usize) -> Result<Question, VcfError> {
        let alternatives = self.alternatives.len();
        if alternative == 0 || alternative > alternatives {
            let file = self.file.to_owned();
            return Err(VcfError::NoSuchAllele {
                file,
                line: self.number,
                asked: alternative,
                alleles: alternatives,
            });
        }
        Ok(Question { samples: self.samples, alternative, alternatives, version: self.version })
    }

    fn refuse(&self, problem: BcfProblem) -> VcfError {
        VcfError::Bcf { file: self.file.to_owned(), record: self.number, problem }
    }
}

impl Columns for Record<'_> {
    fn has_calls(&self) -> bool {
        self.calls.is_some()
    }

    fn has_dosages(&self, _alternatives: usize) -> bool {
        self.dosages.is_some()
    }

    fn homozygous_calls(&self, alternative: usize, codes: &mut Vec<u64>) -> Result<(), VcfError> {
        Record::homozygous_calls(self, alternative, codes)
    }

    fn phased_calls(&self, alternative: usize, calls: &mut PhasedCalls) -> Result<(), VcfError> {
        Record::phased_calls(self, alternative, calls)
    }

    fn homozygous_dosages(&self, alternative: usize, dosages: &mut Vec<f32>) -> Result<(), VcfError> {
        Record::dosages(self, alternative, dosages)
    }
}
