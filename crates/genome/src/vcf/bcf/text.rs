//! A BCF file as the text of a VCF.

use std::io::{BufRead, Read, Write};

use super::super::error::VcfError;
use super::super::{Header, Limits};
use super::BcfProblem;
use super::reader::Reader;
use super::value::{Atom, Cursor, Int, int};

/// Reads the text of the VCF that a BCF file stands for: the header without its IDX, and a line for each record, numbers as
/// `bcftools view` writes them, floating-point ones with six digits.
///
/// An error of a record comes as the inner error of an [`std::io::Error`] of kind `InvalidData`.
pub struct Text<R> {
    reader: Reader<R>,
    limit: usize,
    text: Vec<u8>,
    at: usize,
}

impl<R: Read> Text<R> {
    /// Reads the header. `file` is the name that errors carry; a record has at most `limits.line_bytes` of text.
    ///
    /// # Errors
    /// Those of [`Reader::new`].
    pub fn new(file: &str, source: R, limits: &Limits) -> Result<Self, VcfError> {
        let reader = Reader::new(file, source, limits)?;
        let text = header(reader.header()).into_bytes();
        Ok(Self { reader, limit: limits.line_bytes, text, at: 0 })
    }
}

fn header(header: &Header) -> String {
    let mut text = format!("##fileformat={}\n", header.version());
    for line in header.meta() {
        let idx = line.rsplit_once(",IDX=");
        let without = idx.filter(|(_, number)| {
            number.strip_suffix('>').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        match without {
            Some((line, _)) => text.extend([line, ">\n"]),
            None => text.extend([line.as_str(), "\n"]),
        }
    }
    text.push_str("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO");
    text.push_str(if header.samples().is_empty() { "" } else { "\tFORMAT" });
    header.samples().iter().for_each(|name| text.extend(["\t", name.as_str()]));
    text.push('\n');
    text
}

impl<R: Read> BufRead for Text<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.at == self.text.len() {
            self.at = 0;
            self.text.clear();
            let invalid = |error: VcfError| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
            if self.reader.read().map_err(invalid)?.is_some() {
                let line = self.reader.parts().and_then(|parts| write(&parts, self.limit, &mut self.text));
                line.map_err(|problem| invalid(self.reader.refuse(problem)))?;
            }
        }
        Ok(self.text.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at = self.text.len().min(self.at + count);
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

/// A record whose columns up to FILTER were read, and the rest of it.
pub(super) struct Parts<'a> {
    pub(super) record: super::Record<'a>,
    /// What follows FILTER.
    pub(super) infos: Cursor<'a>,
    pub(super) info_count: usize,
    pub(super) samples: Cursor<'a>,
    pub(super) sample_count: usize,
    pub(super) format_count: usize,
    pub(super) dictionary: &'a super::dictionary::Dictionary,
}

fn write(parts: &Parts<'_>, limit: usize, line: &mut Vec<u8>) -> Result<(), BcfProblem> {
    let record = &parts.record;
    let number = |number: std::fmt::Arguments<'_>, line: &mut Vec<u8>| drop(line.write_fmt(number));
    list(line, b',', &[record.chromosome()])?;
    number(format_args!("\t{}\t", record.position()), line);
    for text in [record.ids(), record.reference()] {
        list(line, b',', &[text])?;
        line.push(b'\t');
    }
    list(line, b',', record.alternatives())?;
    line.push(b'\t');
    match record.quality() {
        Some(quality) => float(quality, line),
        None => line.push(b'.'),
    }
    line.push(b'\t');
    list(line, b';', record.filters())?;
    line.push(b'\t');
    let mut infos = parts.infos;
    for index in 0..parts.info_count {
        let key = key(&mut infos, parts)?;
        line.extend_from_slice(if index > 0 { b";" } else { b"" });
        line.extend_from_slice(key.as_bytes());
        let (atom, count) = infos.descriptor()?;
        let data = infos.take(atom.size().saturating_mul(count))?;
        if count > 0 && atom != Atom::Missing {
            line.push(b'=');
            values(data, atom, line)?;
        }
        // A short number stands for a name of any length: what comes out is held against the limit all the time.
        check(line, limit)?;
    }
    if parts.info_count == 0 {
        line.push(b'.');
    }
    if parts.sample_count > 0 && parts.format_count > 0 {
        write_samples(parts, limit, line)?;
    } else if parts.sample_count > 0 {
        line.extend_from_slice(b"\t.");
        (0..parts.sample_count).for_each(|_| line.extend_from_slice(b"\t."));
    }
    line.push(b'\n');
    check(line, limit)
}

fn write_samples(parts: &Parts<'_>, limit: usize, line: &mut Vec<u8>) -> Result<(), BcfProblem> {
    let mut cursor = parts.samples;
    // Whether it is GT, type of atoms, bytes of a sample, bytes of all.
    let mut formats: Vec<(bool, Atom, usize, &[u8])> = vec![];
    for index in 0..parts.format_count {
        let key = key(&mut cursor, parts)?;
        line.push(if index > 0 { b':' } else { b'\t' });
        line.extend_from_slice(key.as_bytes());
        check(line, limit)?;
        let (atom, count) = cursor.descriptor()?;
        let size = atom.size().saturating_mul(count);
        formats.push((key == "GT", atom, size, cursor.take(size.saturating_mul(parts.sample_count))?));
    }
    for sample in 0..parts.sample_count {
        let mut sign = b'\t';
        for (is_call, atom, size, data) in &formats {
            line.push(sign);
            sign = b':';
            let data = data.get(sample * size..(sample + 1) * size).unwrap_or_default();
            match is_call {
                true => call(data, *atom, line)?,
                false => values(data, *atom, line)?,
            }
        }
        check(line, limit)?;
    }
    Ok(())
}

fn check(line: &[u8], limit: usize) -> Result<(), BcfProblem> {
    if line.len() > limit { Err(BcfProblem::TooLarge { limit }) } else { Ok(()) }
}

fn key<'a>(cursor: &mut Cursor<'_>, parts: &Parts<'a>) -> Result<&'a str, BcfProblem> {
    let key = u32::try_from(cursor.typed_int()?).ok().and_then(|key| parts.dictionary.strings.get(&key));
    Ok(key.ok_or(BcfProblem::Dictionary)?.as_str())
}

/// Texts of a column. A line stays a line: they hold no ends of columns.
fn list(line: &mut Vec<u8>, sign: u8, texts: &[&str]) -> Result<(), BcfProblem> {
    if texts.is_empty() {
        line.push(b'.');
    }
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            line.push(sign);
        }
        if text.contains(['\t', '\n', '\r']) {
            return Err(BcfProblem::Text);
        }
        line.extend_from_slice(text.as_bytes());
    }
    Ok(())
}

/// Values up to the end of the vector, separated by commas; a dot for a missing one and for none.
fn values(data: &[u8], atom: Atom, line: &mut Vec<u8>) -> Result<(), BcfProblem> {
    let start = line.len();
    if atom == Atom::Char {
        let end = memchr::memchr(0, data).unwrap_or(data.len());
        let text = data.get(..end).unwrap_or_default();
        // A text that is missing is the byte 7.
        if text.iter().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r')) {
            return Err(BcfProblem::Text);
        }
        line.extend(text.iter().map(|byte| if *byte == 7 { b'.' } else { *byte }));
    }
    for item in data.chunks_exact(atom.size().max(1)).take_while(|_| atom != Atom::Char) {
        let before = line.len();
        if before > start {
            line.push(b',');
        }
        match (atom, item) {
            (Atom::Float, &[a, b, c, d]) => match u32::from_le_bytes([a, b, c, d]) {
                0x7f80_0001 => line.push(b'.'),
                0x7f80_0002 => {
                    line.truncate(before);
                    break;
                }
                bits => float(f32::from_bits(bits), line),
            },
            _ => match int(item, atom).ok_or(BcfProblem::Value)? {
                Int::Value(value) => drop(write!(line, "{value}")),
                Int::Missing => line.push(b'.'),
                Int::End => {
                    line.truncate(before);
                    break;
                }
            },
        }
    }
    if line.len() == start {
        line.push(b'.');
    }
    Ok(())
}

/// An allele is `(number + 1) << 1`, with the lowest bit for a bar before it.
fn call(data: &[u8], atom: Atom, line: &mut Vec<u8>) -> Result<(), BcfProblem> {
    let start = line.len();
    for item in data.chunks_exact(atom.size().max(1)) {
        let value = match int(item, atom).ok_or(BcfProblem::Value)? {
            Int::Value(value) if value >= 0 => value,
            Int::Missing => 0,
            Int::End => break,
            Int::Value(_) => return Err(BcfProblem::Value),
        };
        if line.len() > start {
            line.push(if value & 1 == 1 { b'|' } else { b'/' });
        }
        match (value >> 1).checked_sub(1) {
            Some(allele) if allele >= 0 => drop(write!(line, "{allele}")),
            _ => line.push(b'.'),
        }
    }
    if line.len() == start {
        line.push(b'.');
    }
    Ok(())
}

/// Six digits without zeros at their end, as C's `%g` writes them.
fn float(value: f32, line: &mut Vec<u8>) {
    if !value.is_finite() {
        let text = if value.is_nan() { "nan" } else { ["inf", "-inf"][usize::from(value < 0.0)] };
        line.extend_from_slice(text.as_bytes());
        return;
    }
    let digits = format!("{value:.5e}");
    let (digits, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or_default();
        let text = format!("{value:.places$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        line.extend_from_slice(text.as_bytes());
    } else {
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        let (sign, size) = if exponent < 0 { ('-', -exponent) } else { ('+', exponent) };
        let _ = write!(line, "{digits}e{sign}{size:02}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn numbers_with_a_point() {
        for (value, text) in [
            (0.0, "0"),
            (100.0, "100"),
            (0.02, "0.02"),
            (29.9, "29.9"),
            (0.333_333_34, "0.333333"),
            (123_456.78, "123457"),
            (1_234_567.0, "1.23457e+06"),
            (999_999.94, "1e+06"),
            (0.000_1, "0.0001"),
            (0.000_012_3, "1.23e-05"),
            (-2.5, "-2.5"),
            (f32::NAN, "nan"),
            (f32::NEG_INFINITY, "-inf"),
        ] {
            let mut line = vec![];
            float(value, &mut line);
            assert_eq!(String::from_utf8(line).unwrap(), text);
        }
    }

    #[test]
    fn values_and_calls() {
        let shown = |data: &[u8], atom, is_call: bool| {
            let mut line = vec![];
            let written = if is_call { call(data, atom, &mut line) } else { values(data, atom, &mut line) };
            written.map(|()| String::from_utf8(line).unwrap())
        };
        let (missing, end) = (0x80, 0x81);
        assert_eq!(shown(&[1, missing, 3, end], Atom::Int8, false), Ok("1,.,3".into()));
        assert_eq!(shown(&[end, end], Atom::Int8, false), Ok(".".into()));
        assert_eq!(shown(&[0x2c, 1, 0xff, 0xff], Atom::Int16, false), Ok("300,-1".into()));
        assert_eq!(shown(b"ab\0\0", Atom::Char, false), Ok("ab".into()));
        assert_eq!(shown(b"\x07\0", Atom::Char, false), Ok(".".into()));
        assert_eq!(shown(b"a\tb", Atom::Char, false), Err(BcfProblem::Text));
        assert_eq!(shown(&[2, 5], Atom::Int8, true), Ok("0|1".into()));
        assert_eq!(shown(&[0, 4], Atom::Int8, true), Ok("./1".into()));
        assert_eq!(shown(&[4, end], Atom::Int8, true), Ok("1".into()));
        assert_eq!(shown(&[0xf0, 4], Atom::Int8, true), Err(BcfProblem::Value));
    }
}
