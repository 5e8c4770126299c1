//! Calls of one record, packed into two bits a sample.
//!
//! Nearly every cell of nearly every file is two digits with a slash or a bar between them and a tab behind: four bytes.
//! Blocks of 32 such cells are read eight bytes at a time, without a branch for each cell; a block that holds anything
//! else, and the last one, goes cell by cell.

use super::error::Rule;

/// Calls with phase and ploidy. Every plane has a bit for each sample: sample `i` in bit `i % 64` of word `i / 64`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhasedCalls {
    /// As [`Record::calls`](super::Record::calls) writes them.
    pub codes: Vec<u64>,
    /// The alleles are separated by a bar. A haploid call is phased, unless version 4.4 or later says otherwise.
    pub phased: Vec<u64>,
    /// The first allele is the one that is counted. With `codes`, this says where the copy of a heterozygous call lies.
    pub first: Vec<u64>,
    /// The call has one allele.
    pub haploid: Vec<u64>,
}

/// The cells of the samples and what is wanted of them.
pub(super) struct Cells<'a> {
    pub(super) text: &'a [u8],
    pub(super) samples: usize,
    /// Place of the key in FORMAT, from 0.
    pub(super) key: usize,
    /// FORMAT has this key only.
    pub(super) is_only: bool,
    /// The ALT allele to count, from 1 to `alternatives`.
    pub(super) alternative: usize,
    pub(super) alternatives: usize,
    pub(super) haploid: Haploid,
}

/// What a haploid call of the counted allele is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Haploid {
    OneCopy,
    /// As PLINK's files have it: two copies.
    Homozygous,
}

/// What is wrong, where: offset in the text of the cells.
pub(super) struct Problem {
    pub(super) sample: Option<usize>,
    pub(super) at: usize,
    pub(super) rule: Rule,
}

const MISSING: u64 = 3;
/// Samples of a word of codes, and bytes of their cells.
pub(super) const BLOCK: usize = 32;
pub(super) const BYTES: usize = 4 * BLOCK;

pub(super) fn read(cells: &Cells<'_>, codes: &mut Vec<u64>) -> Result<(), Problem> {
    codes.clear();
    codes.reserve(cells.samples.div_ceil(BLOCK));
    let mut walk = Walk { text: cells.text, at: 0, sample: 0, cells };
    while walk.sample < cells.samples {
        let block = if cells.is_only && cells.alternatives < 10 {
            walk.text.get(walk.at..).and_then(|rest| rest.first_chunk::<BYTES>())
        } else {
            None
        };
        let fast = match block {
            Some(block) if cells.alternatives == 1 => biallelic(block),
            Some(block) => one_digit(block, cells.alternative as u8, cells.alternatives as u8),
            None => None,
        };
        if let Some(word) = fast
            && walk.sample + BLOCK <= cells.samples
        {
            codes.push(word);
            walk.sample += BLOCK;
            walk.at += BYTES;
            continue;
        }
        let mut word = 0;
        for slot in 0..BLOCK.min(cells.samples - walk.sample) {
            let call = walk.next()?;
            let is_doubled = cells.haploid == Haploid::Homozygous && call.second.is_none();
            let code = if is_doubled { call.homozygous().code() } else { call.code() };
            word |= code << (2 * slot);
        }
        codes.push(word);
    }
    walk.finish()
}

pub(super) fn read_phased(cells: &Cells<'_>, calls: &mut PhasedCalls) -> Result<(), Problem> {
    calls.clear(cells.samples);
    let mut walk = Walk { text: cells.text, at: 0, sample: 0, cells };
    for sample in 0..cells.samples {
        calls.set(sample, walk.next()?);
    }
    walk.finish()
}

impl PhasedCalls {
    /// Makes room for so many samples, all bits 0.
    pub(super) fn clear(&mut self, samples: usize) {
        let Self { codes, phased, first, haploid } = self;
        codes.clear();
        codes.resize(samples.div_ceil(BLOCK), 0);
        for plane in [phased, first, haploid] {
            plane.clear();
            plane.resize(samples.div_ceil(64), 0);
        }
    }

    /// Writes the call of a sample whose bits are 0.
    pub(super) fn set(&mut self, sample: usize, call: Call) {
        let Self { codes, phased, first, haploid } = self;
        if let Some(word) = codes.get_mut(sample / BLOCK) {
            *word |= call.code() << (2 * (sample % BLOCK));
        }
        let first_is_counted = call.first == Some(true);
        for (plane, is_set) in
            [(phased, call.is_phased), (first, first_is_counted), (haploid, call.second.is_none())]
        {
            if let Some(word) = plane.get_mut(sample / 64) {
                *word |= u64::from(is_set) << (sample % 64);
            }
        }
    }
}

/// Tabs at bytes 3 and 7, separators at 1 and 5, alleles at 0, 2, 4 and 6 of each eight bytes, least first.
const ZEROS: u64 = u64::from_le_bytes(*b"0|0\t0|0\t");
const TAB: u64 = u64::from_le_bytes([0, 0, 0, 0xff, 0, 0, 0, 0xff]);
const SEPARATOR: u64 = u64::from_le_bytes([0, 0xff, 0, 0, 0, 0xff, 0, 0]);
const ALLELE: u64 = u64::from_le_bytes([0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0]);
/// The lowest bit of the first allele of each cell.
const FIRST: u64 = 1 | 1 << 32;

/// Zero when the tabs and separators of eight bytes, given as their difference from [`ZEROS`], are what they must be.
fn wrong_signs(difference: u64) -> u64 {
    // The lowest bit of a separator says whether it is a slash; then its other bits are known. A slash differs from a bar
    // by 0x53, put together from shifts because vector units of old processors cannot multiply 64 bits.
    let is_slash = difference & (FIRST << 8);
    let slash = is_slash | is_slash << 1 | is_slash << 4 | is_slash << 6;
    (difference & TAB) | ((difference & SEPARATOR) ^ slash)
}

/// Codes of 32 cells whose alleles are 0 or 1; `None` when there is anything else.
pub(super) fn biallelic(block: &[u8; BYTES]) -> Option<u64> {
    let mut wrong = 0;
    let mut codes = 0;
    let (pairs, _) = block.as_chunks::<8>();
    for (index, pair) in pairs.iter().enumerate() {
        let difference = u64::from_le_bytes(*pair) ^ ZEROS;
        wrong |= wrong_signs(difference) | (difference & ALLELE & !(FIRST | FIRST << 16));
        let counts = (difference & FIRST) + ((difference >> 16) & FIRST);
        codes |= ((counts | counts >> 30) & 0xf) << (4 * index);
    }
    (wrong == 0).then_some(codes)
}

/// Codes of 32 cells whose alleles are one digit of at most `alternatives`; `None` when there is anything else.
fn one_digit(block: &[u8; BYTES], alternative: u8, alternatives: u8) -> Option<u64> {
    const LOW: u64 = u64::from_le_bytes([1, 0, 1, 0, 1, 0, 1, 0]);
    let mut wrong = 0;
    let mut codes = 0;
    let (pairs, _) = block.as_chunks::<8>();
    for (index, pair) in pairs.iter().enumerate() {
        let difference = u64::from_le_bytes(*pair) ^ ZEROS;
        let alleles = difference & ALLELE;
        // The high bit of a byte is set when the allele is above the last one: each has a byte of zeros above it, so
        // that no sum runs over into the next.
        let too_large = alleles + LOW * u64::from(0x7f - alternatives);
        wrong |= wrong_signs(difference) | ((too_large | alleles) & (LOW << 7)) | (too_large & (LOW << 8));
        let others = alleles ^ (LOW * u64::from(alternative));
        let is_counted = !((others + LOW * 0x7f) >> 7) & LOW;
        let counts = (is_counted & FIRST) + ((is_counted >> 16) & FIRST);
        codes |= ((counts | counts >> 30) & 0xf) << (4 * index);
    }
    (wrong == 0).then_some(codes)
}

/// The alleles of a call: whether each is the counted one, `None` when it is missing.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) first: Option<bool>,
    /// `None` when the call is haploid.
    pub(super) second: Option<Option<bool>>,
    pub(super) is_phased: bool,
}

impl Call {
    pub(super) fn code(&self) -> u64 {
        match (self.first, self.second) {
            (Some(only), None) => u64::from(only),
            (Some(first), Some(Some(second))) => u64::from(first) + u64::from(second),
            _ => MISSING,
        }
    }

    /// The call with its first allele twice.
    pub(super) fn homozygous(self) -> Self {
        Self { second: Some(self.first), ..self }
    }
}

/// Goes from cell to cell.
struct Walk<'a, 'b> {
    text: &'a [u8],
    /// Start of the next cell.
    at: usize,
    sample: usize,
    cells: &'b Cells<'a>,
}

impl Walk<'_, '_> {
    /// The call of the next cell.
    fn next(&mut self) -> Result<Call, Problem> {
        let problem = |at, rule| Problem { sample: Some(self.sample), at, rule };
        let Some(rest) = self.text.get(self.at..) else {
            return Err(Problem { sample: None, at: self.text.len(), rule: Rule::ColumnCount });
        };
        let end = match rest {
            [first, b'/' | b'|', second, b'\t', ..] if *first != b'\t' && *second != b'\t' => 3,
            _ => memchr::memchr(b'\t', rest).unwrap_or(rest.len()),
        };
        let cell = rest.get(..end).unwrap_or_default();
        let mut offset = 0;
        let mut value = cell;
        if !self.cells.is_only {
            for _ in 0..self.cells.key {
                match memchr::memchr(b':', value) {
                    Some(colon) => {
                        offset += colon + 1;
                        value = value.get(colon + 1..).unwrap_or_default();
                    }
                    // Trailing values were left out, and GT is not first, which is no file of ours.
                    None => return Err(problem(self.at + offset, Rule::SampleGtMissing)),
                }
            }
            value = value.get(..memchr::memchr(b':', value).unwrap_or(value.len())).unwrap_or_default();
        }
        let call = parse(value, self.cells).map_err(|(at, rule)| problem(self.at + offset + at, rule))?;
        self.at += end + 1;
        self.sample += 1;
        Ok(call)
    }

    /// After the last cell, the line must end.
    fn finish(&self) -> Result<(), Problem> {
        // One beyond the end: the place of the tab that is not there.
        if self.at == self.text.len() + 1 || self.cells.samples == 0 {
            return Ok(());
        }
        Err(Problem { sample: None, at: self.at, rule: Rule::ColumnCount })
    }
}

/// A call; an error has its offset.
fn parse(text: &[u8], cells: &Cells<'_>) -> Result<Call, (usize, Rule)> {
    // From 4.4 on, a sign before the first allele; earlier files have none.
    let (start, lead) = match text {
        [sign @ (b'/' | b'|'), _, ..] => (1, Some(*sign)),
        _ => (0, None),
    };
    let body = text.get(start..).unwrap_or_default();
    let is_sign = |byte: &u8| matches!(byte, b'/' | b'|');
    let Some(middle) = body.iter().position(is_sign) else {
        if text.is_empty() {
            return Err((0, Rule::SampleGtMissing));
        }
        let first = allele(body, cells).map_err(|rule| (start, rule))?;
        return Ok(Call { first, second: None, is_phased: lead != Some(b'/') });
    };
    let (first, second) =
        (body.get(..middle).unwrap_or_default(), body.get(middle + 1..).unwrap_or_default());
    if second.iter().any(is_sign) {
        return Err((0, Rule::GtPloidy));
    }
    Ok(Call {
        first: allele(first, cells).map_err(|rule| (start, rule))?,
        second: Some(allele(second, cells).map_err(|rule| (start + middle + 1, rule))?),
        is_phased: body.get(middle) == Some(&b'|'),
    })
}

fn allele(text: &[u8], cells: &Cells<'_>) -> Result<Option<bool>, Rule> {
    if text == b"." {
        return Ok(None);
    }
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return Err(Rule::GtMalformed);
    }
    let number = text.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    if number > cells.alternatives {
        return Err(Rule::GtAllele);
    }
    Ok(Some(number == cells.alternative))
}

#[cfg(test)]
mod tests {
    use super::{Cells, Haploid, PhasedCalls, Problem, read, read_phased};
    use proptest::prelude::*;

    fn cells<'a>(text: &'a str, samples: usize, alternative: usize, alternatives: usize) -> Cells<'a> {
        Cells {
            text: text.as_bytes(),
            samples,
            key: 0,
            is_only: true,
            alternative,
            alternatives,
            haploid: Haploid::OneCopy,
        }
    }

    fn codes(text: &str, alternative: usize, alternatives: usize) -> Result<Vec<u64>, String> {
        let samples = text.split('\t').count();
        let mut words = vec![7; 3];
        match read(&cells(text, samples, alternative, alternatives), &mut words) {
            Ok(()) => Ok((0..samples).map(|i| (words[i / 32] >> (2 * (i % 32))) & 3).collect()),
            Err(Problem { sample, at, rule }) => Err(format!("{sample:?} {at} {}", rule.id())),
        }
    }

    #[test]
    fn every_form_of_a_call() {
        let text = "0|0\t0/1\t1|0\t1/1\t./.\t.\t.|1\t0/.\t0\t1\t/1/1\t|1";
        assert_eq!(codes(text, 1, 1), Ok(vec![0, 1, 1, 2, 3, 3, 3, 3, 0, 1, 2, 1]));
        assert_eq!(codes("1/12\t12|12\t2/0\t12", 12, 12), Ok(vec![1, 2, 0, 1]));
        assert_eq!(codes("1/2\t2|2", 2, 2), Ok(vec![1, 2]));
    }

    #[test]
    fn haploid_calls_as_homozygous_ones() {
        let mut words = vec![];
        let all = Cells { haploid: Haploid::Homozygous, ..cells("0\t1\t.\t0/1\t1/1\t|1\t2", 7, 1, 2) };
        assert!(read(&all, &mut words).is_ok());
        assert_eq!(words, [0b00_10_10_01_11_10_00]);
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let refuse =
            |text: &str, expected: &str| assert_eq!(codes(text, 1, 1), Err(expected.into()), "{text}");
        refuse("0|0\t0|2", "Some(1) 6 gt-allele");
        refuse("0|0\t0|", "Some(1) 6 gt-malformed");
        refuse("0|0\t", "Some(1) 4 sample-gt-missing");
        refuse("0|0\tx", "Some(1) 4 gt-malformed");
        refuse("0/0/1", "Some(0) 0 gt-ploidy");
        refuse("99999999999999999999", "Some(0) 0 gt-malformed");
        let mut words = vec![];
        for (samples, at) in [(1, 4), (3, 7)] {
            let problem = read(&cells("0|0\t0|1", samples, 1, 1), &mut words).err().map(|problem| problem.at);
            assert_eq!(problem, Some(at));
        }
    }

    #[test]
    fn phase_and_ploidy() {
        let mut calls = PhasedCalls::default();
        assert!(read_phased(&cells("0|1\t1|0\t1/0\t1\t.|1", 5, 1, 1), &mut calls).is_ok());
        assert_eq!(calls.codes, [0b11_01_01_01_01]);
        assert_eq!((calls.phased[0], calls.first[0], calls.haploid[0]), (0b11011, 0b01110, 0b01000));
    }

    proptest! {
        /// The blocks give what the cells give, one by one, whatever stands between.
        #[test]
        fn blocks_equal_cells(
            cells in prop::collection::vec(prop::sample::select(vec![
                "0|0", "0/1", "1|0", "1/1", "0|0", "0/1", "1|0", "1/1", "2|1", "9/0", "./.", "1", "10/1", "0:0", "x|0", "0|\n", "0\t0", "€",
            ]), 1..150),
            block in prop::collection::vec(prop::sample::select(vec!["0|0", "0/1", "1|0", "1/1", "0/2"]), 0..100),
            alternatives in 1_usize..12,
            asked in 1_usize..12,
        ) {
            let alternative = (asked - 1) % alternatives + 1;
            let text = [block, cells].concat().join("\t");
            let samples = text.split('\t').count();
            let all = super::tests::cells(&text, samples, alternative, alternatives);
            let mut fast = vec![];
            let mut slow = PhasedCalls::default();
            match (read(&all, &mut fast), read_phased(&all, &mut slow)) {
                (Ok(()), Ok(())) => {
                    for (sample, cell) in text.split('\t').enumerate() {
                        let alleles: Vec<&str> = cell.split(['/', '|']).collect();
                        let counted = alleles.iter().filter(|allele| **allele == alternative.to_string()).count();
                        let expected = if alleles.contains(&".") { 3 } else { counted as u64 };
                        prop_assert_eq!((fast[sample / 32] >> (2 * (sample % 32))) & 3, expected);
                    }
                    prop_assert_eq!(fast, slow.codes);
                }
                (Err(fast), Err(slow)) => prop_assert_eq!((fast.sample, fast.at, fast.rule), (slow.sample, slow.at, slow.rule)),
                _ => prop_assert!(false),
            }
        }
    }
}
