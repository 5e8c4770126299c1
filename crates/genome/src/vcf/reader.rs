//! Records, one at a time, borrowed from the line.

use std::fmt;
use std::io::BufRead;

use super::calls::{self, Cells, Haploid, PhasedCalls};
use super::check::ENTRIES;
use super::dosage;
use super::error::{Field, Finding, Rule, VcfError};
use super::lines::Lines;
use super::meta::split;
use super::rows::Columns;
use super::{Limits, Version};

/// What the lines above the records say.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    version: Version,
    meta: Vec<String>,
    contigs: Vec<(String, Option<u64>)>,
    samples: Vec<String>,
}

impl Header {
    /// Reads up to the `#CHROM` line.
    pub(super) fn read<R: BufRead>(lines: &mut Lines<R>, limits: &Limits) -> Result<Self, VcfError> {
        let refuse = |lines: &Lines<R>, rule, column, field| {
            let finding = Finding { line: lines.number(), column, field, rule };
            VcfError::Malformed { file: lines.file().to_owned(), finding }
        };
        if !lines.advance()? {
            return Err(refuse(lines, Rule::FileEmpty, 1, Field::File));
        }
        let Some(value) = lines.text().strip_prefix(b"##fileformat=") else {
            return Err(refuse(lines, Rule::FileformatMissing, 1, Field::File));
        };
        let Some(version) = Version::from_value(value) else {
            return Err(refuse(lines, Rule::FileformatUnknown, 14, Field::Meta("fileformat")));
        };
        let mut header = Self { version, meta: vec![], contigs: vec![], samples: vec![] };
        let mut bytes = 0_usize;
        loop {
            if !lines.advance()? {
                return Err(refuse(lines, Rule::HeaderMissing, 1, Field::Header));
            }
            bytes = bytes.saturating_add(lines.text().len());
            if bytes > limits.header_bytes {
                let (file, line) = (lines.file().to_owned(), lines.number());
                return Err(VcfError::HeaderTooLong { file, line, limit: limits.header_bytes });
            }
            let text = match std::str::from_utf8(lines.text()) {
                Ok(text) => text,
                Err(error) => {
                    return Err(refuse(lines, Rule::NotUtf8, error.valid_up_to() + 1, Field::File));
                }
            };
            if text.starts_with("##") {
                if let Some(inner) = text.strip_prefix("##contig=<").and_then(|text| text.strip_suffix('>')) {
                    header.contigs.extend(contig(inner));
                }
                header.meta.push(text.to_owned());
                continue;
            }
            const FIXED: &str = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO";
            let Some(rest) = text.strip_prefix(FIXED) else {
                return Err(refuse(lines, Rule::HeaderColumns, 1, Field::Header));
            };
            if memchr::memchr_iter(b'\t', rest.as_bytes()).count().saturating_sub(1) > limits.samples {
                let (file, line) = (lines.file().to_owned(), lines.number());
                return Err(VcfError::TooManySamples { file, line, limit: limits.samples });
            }
            header.samples = match rest.strip_prefix("\tFORMAT\t") {
                Some(names) => names.split('\t').map(str::to_owned).collect(),
                None if rest.is_empty() || rest == "\tFORMAT" => vec![],
                None => return Err(refuse(lines, Rule::HeaderColumns, FIXED.len() + 1, Field::Header)),
            };
            return Ok(header);
        }
    }

    /// The version of the first line.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The `##` lines after the first one, as they stand there.
    pub fn meta(&self) -> &[String] {
        &self.meta
    }

    /// Names and lengths of the `##contig` lines.
    pub fn contigs(&self) -> &[(String, Option<u64>)] {
        &self.contigs
    }

    /// Names of the samples.
    pub fn samples(&self) -> &[String] {
        &self.samples
    }
}

impl fmt::Debug for Header {
    /// Without the names of the samples.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("version", &self.version)
            .field("contigs", &self.contigs)
            .field("samples", &self.samples.len())
            .finish_non_exhaustive()
    }
}

/// Reads the records of a VCF file.
///
/// It refuses what it cannot read: a record with too few or too many columns, a position that is no number, calls that are
/// no calls. It does not look for more; [`check()`](super::check()) does.
pub struct Reader<R> {
    lines: Lines<R>,
    header: Header,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header. `file` is the name that errors carry.
    pub fn new(file: &str, reader: R, limits: &Limits) -> Result<Self, VcfError> {
        let mut lines = Lines::new(file, reader, limits.line_bytes);
        let header = Header::read(&mut lines, limits)?;
        Ok(Self { lines, header })
    }

    /// What the lines above the records say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the text comes from.
    pub fn source(&self) -> &R {
        self.lines.source()
    }

    /// Where the text comes from, to go to another place of it. Lines are counted on from where they were.
    pub fn source_mut(&mut self) -> &mut R {
        self.lines.source_mut()
    }

    /// The next record; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Record<'_>>, VcfError> {
        if !self.lines.advance()? {
            return Ok(None);
        }
        self.again().map(Some)
    }

    /// The record that was read last, split once more.
    pub(super) fn again(&self) -> Result<Record<'_>, VcfError> {
        let (file, line) = (self.lines.file(), self.lines.number());
        Record::split(file, line, self.lines.text(), self.header.samples.len()).map_err(
            |(column, field, rule)| VcfError::Malformed {
                file: file.to_owned(),
                finding: Finding { line, column, field, rule },
            },
        )
    }
}

impl Columns for Record<'_> {
    fn has_calls(&self) -> bool {
        self.format.split(':').any(|key| key == "GT")
    }

    fn has_dosages(&self, alternatives: usize) -> bool {
        self.format.split(':').any(|key| key == "DS" || key == "GP" && alternatives == 1)
    }

    fn homozygous_calls(&self, alternative: usize, codes: &mut Vec<u64>) -> Result<(), VcfError> {
        Record::homozygous_calls(self, alternative, codes)
    }

    fn phased_calls(&self, alternative: usize, calls: &mut PhasedCalls) -> Result<(), VcfError> {
        Record::phased_calls(self, alternative, calls)
    }

    fn homozygous_dosages(&self, alternative: usize, dosages: &mut Vec<f32>) -> Result<(), VcfError> {
        let cells = Cells { haploid: Haploid::Homozygous, ..self.cells_of(alternative, 0)? };
        dosage::read(&cells, self.format, dosages).map_err(|problem| self.refuse(problem))
    }
}

fn contig(inner: &str) -> Option<(String, Option<u64>)> {
    let fields = split(inner.as_bytes()).ok()?;
    let find = |key: &[u8]| {
        let field = fields.iter().find(|field| field.key == key)?;
        std::str::from_utf8(field.value).ok()
    };
    Some((find(b"ID")?.to_owned(), find(b"length").and_then(|length| length.parse().ok())))
}

/// One record. Texts are as they stand in the file; a dot means that something is missing.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    file: &'a str,
    line: u64,
    text: &'a [u8],
    fixed: [&'a str; 8],
    position: u64,
    format: &'a str,
    pub(super) cells: &'a [u8],
    /// Byte of the line at which the cells begin, from 1.
    cells_column: usize,
    samples: usize,
}

impl<'a> Record<'a> {
    fn split(file: &'a str, line: u64, text: &'a [u8], samples: usize) -> Result<Self, (usize, Field, Rule)> {
        // Ends of the fixed columns and of FORMAT.
        let mut ends = [text.len(); 9];
        let wanted = if samples == 0 { 8 } else { 9 };
        let mut tabs = memchr::memchr_iter(b'\t', text);
        for (count, end) in ends.iter_mut().enumerate().take(wanted) {
            match tabs.next() {
                Some(tab) => *end = tab,
                // Without samples, the eighth column may be the last one.
                None if samples == 0 && count == 7 => {}
                None => return Err((text.len() + 1, Field::Record, Rule::ColumnCount)),
            }
        }
        let [.., last_fixed, last] = ends;
        let head_end = if samples == 0 { last_fixed } else { last };
        let head = text.get(..head_end).unwrap_or_default();
        let head = match std::str::from_utf8(head) {
            Ok(head) => head,
            Err(error) => return Err((error.valid_up_to() + 1, Field::Record, Rule::NotUtf8)),
        };
        let mut columns = head.split('\t');
        let fixed: [&str; 8] = std::array::from_fn(|_| columns.next().unwrap_or_default());
        let [chromosome, position_text, ..] = fixed;
        let position = match position_text.parse::<u64>() {
            Ok(position) if position <= i32::MAX as u64 && !position_text.starts_with('+') => position,
            _ => return Err((chromosome.len() + 2, Field::Position, Rule::PosNotANumber)),
        };
        let cells = if samples == 0 { &[] } else { text.get(head_end + 1..).unwrap_or_default() };
        let format = columns.next().unwrap_or_default();
        Ok(Self { file, line, text, fixed, position, format, cells, cells_column: head_end + 2, samples })
    }

    /// Line of the file, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The whole line, without its end.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Samples of the header.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// CHROM to INFO.
    pub(super) fn fixed(&self) -> [&'a str; 8] {
        self.fixed
    }

    /// CHROM.
    pub fn chromosome(&self) -> &'a str {
        let [chromosome, ..] = self.fixed;
        chromosome
    }

    /// POS, from 1; 0 is the telomere.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The last position of the reference that the record is about: END of INFO, or that of the last base of REF.
    pub fn last_position(&self) -> u64 {
        let end = self.info_value("END").and_then(|end| end.parse::<u64>().ok());
        match end {
            Some(end) if end >= self.position && end <= i32::MAX as u64 => end,
            _ => self.position.saturating_add(self.reference().len() as u64).saturating_sub(1),
        }
    }

    /// ID, names separated by semicolons.
    pub fn ids(&self) -> &'a str {
        let [_, _, ids, ..] = self.fixed;
        ids
    }

    /// REF.
    pub fn reference(&self) -> &'a str {
        let [_, _, _, reference, ..] = self.fixed;
        reference
    }

    /// The entries of ALT; none when it is a dot.
    pub fn alternatives(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let [_, _, _, _, alternatives, ..] = self.fixed;
        alternatives.split(',').filter(move |_| alternatives != ".")
    }

    /// QUAL; `None` when it is missing or no number.
    pub fn quality(&self) -> Option<f32> {
        let [_, _, _, _, _, quality, ..] = self.fixed;
        quality.parse().ok()
    }

    /// FILTER.
    pub fn filter(&self) -> &'a str {
        let [.., filter, _] = self.fixed;
        filter
    }

    /// INFO.
    pub fn info(&self) -> &'a str {
        let [.., info] = self.fixed;
        info
    }

    /// The value of a key of INFO; empty for a flag, `None` when it is not there.
    pub fn info_value(&self, key: &str) -> Option<&'a str> {
        self.info().split(';').find_map(|entry| match entry.split_once('=') {
            Some((found, value)) if found == key => Some(value),
            None if entry == key => Some(""),
            _ => None,
        })
    }

    /// FORMAT; empty without samples.
    pub fn format(&self) -> &'a str {
        self.format
    }

    /// Writes how many copies of an ALT allele each sample has: two bits a sample, sample `i` in bits `2 * (i % 32)` of
    /// word `i / 32`; 3 is missing, and so are calls of which one allele is missing. `alternative` counts from 1. A haploid
    /// call has 0 or 1 copies: [`Record::phased_calls`] tells which calls are haploid.
    ///
    /// `codes` is resized to the samples; unused high bits of its last word are 0.
    pub fn calls(&self, alternative: usize, codes: &mut Vec<u64>) -> Result<(), VcfError> {
        calls::read(&self.genotypes(alternative)?, codes).map_err(|problem| self.refuse(problem))
    }

    /// The same with haploid calls as homozygous ones, 0 or 2 copies, as PLINK's files have them.
    pub fn homozygous_calls(&self, alternative: usize, codes: &mut Vec<u64>) -> Result<(), VcfError> {
        let cells = Cells { haploid: Haploid::Homozygous, ..self.genotypes(alternative)? };
        calls::read(&cells, codes).map_err(|problem| self.refuse(problem))
    }

    /// The same with phase and ploidy; slower.
    pub fn phased_calls(&self, alternative: usize, calls: &mut PhasedCalls) -> Result<(), VcfError> {
        calls::read_phased(&self.genotypes(alternative)?, calls).map_err(|problem| self.refuse(problem))
    }

    /// Writes the expected number of copies of an ALT allele for each sample, `NaN` where it is missing: from DS, or, with
    /// one ALT allele, from the probabilities of GP.
    pub fn dosages(&self, alternative: usize, dosages: &mut Vec<f32>) -> Result<(), VcfError> {
        let cells = self.cells_of(alternative, 0)?;
        dosage::read(&cells, self.format, dosages).map_err(|problem| self.refuse(problem))
    }

    /// Number of ALT alleles, unless there are more than any data have: who goes through them with [`Record::calls`] would
    /// need time by the square of their number.
    pub(super) fn count_alternatives(&self) -> Result<usize, VcfError> {
        let count = self.alternatives().take(ENTRIES + 1).count();
        if count <= ENTRIES {
            return Ok(count);
        }
        let [chromosome, position, ids, reference, ..] = self.fixed;
        let column =
            [chromosome, position, ids, reference].map(|text| text.len() + 1).iter().sum::<usize>() + 1;
        let finding =
            Finding { line: self.line, column, field: Field::Alternative, rule: Rule::TooManyEntries };
        Err(VcfError::Malformed { file: self.file.to_owned(), finding })
    }

    fn genotypes(&self, alternative: usize) -> Result<Cells<'a>, VcfError> {
        match self.format.split(':').position(|key| key == "GT") {
            Some(key) => self.cells_of(alternative, key),
            None => Err(self.refuse(calls::Problem { sample: None, at: 0, rule: Rule::FormatGtMissing })),
        }
    }

    fn cells_of(&self, alternative: usize, key: usize) -> Result<Cells<'a>, VcfError> {
        let alternatives = self.alternatives().count();
        if alternative == 0 || alternative > alternatives {
            let file = self.file.to_owned();
            return Err(VcfError::NoSuchAllele {
                file,
                line: self.line,
                asked: alternative,
                alleles: alternatives,
            });
        }
        let is_only = !self.format.contains(':');
        Ok(Cells {
            text: self.cells,
            samples: self.samples,
            key,
            is_only,
            alternative,
            alternatives,
            haploid: Haploid::OneCopy,
        })
    }

    pub(super) fn refuse(&self, problem: calls::Problem) -> VcfError {
        let field = match (problem.sample, problem.rule) {
            (Some(sample), _) => Field::Sample { number: sample + 1, key: None },
            (None, Rule::ColumnCount) => Field::Record,
            (None, _) => Field::Format(None),
        };
        let column = match problem.sample {
            None if problem.rule != Rule::ColumnCount => self.cells_column - 1 - self.format.len(),
            _ => self.cells_column + problem.at,
        };
        let finding = Finding { line: self.line, column, field, rule: problem.rule };
        VcfError::Malformed { file: self.file.to_owned(), finding }
    }
}

impl fmt::Debug for Record<'_> {
    /// Without the cells of the samples.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("line", &self.line).field("fixed", &self.fixed).finish_non_exhaustive()
    }
}
