//! A strict check of VCF text against the rules of the version that it declares.
//!
//! Errors are what the specification of that version forbids, and what its conformance corpus wants refused; warnings are
//! what it recommends against, what other versions forbid, and what real files are known to do. Where the corpus and the
//! text of a specification disagree, a comment at the rule says what was followed.

use std::collections::BTreeSet;
use std::fmt;
use std::io::BufRead;

use super::error::{Field, Finding, Rule, VcfError};
use super::lines::Lines;
use super::{Limits, Version};

mod columns;
mod declared;
mod definition;
mod header;
mod info;
mod meta_line;
mod order;
mod samples;
mod value;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file breaks a rule of its version.
    Error,
    /// Allowed, and likely to be a mistake or to stop other programs.
    Warning,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    version: Option<Version>,
    samples: usize,
    records: u64,
    findings: Findings,
}

impl Report {
    /// True when there is no error; warnings do not count.
    pub fn is_valid(&self) -> bool {
        self.findings.errors.count == 0
    }

    /// The version of `##fileformat`, if it is a known one.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Samples of the header line.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Lines below the header line.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many findings there are, kept or not.
    pub fn count(&self, severity: Severity) -> u64 {
        self.findings.of(severity).count
    }

    /// The first findings of a severity, in the order of the file.
    pub fn findings(&self, severity: Severity) -> &[Finding] {
        &self.findings.of(severity).kept
    }
}

impl fmt::Display for Report {
    /// One line for each finding that was kept, errors first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (severity, word) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
            let list = self.findings.of(severity);
            for finding in &list.kept {
                writeln!(f, "{}, {finding} ({word})", self.file)?;
            }
            match list.count - list.kept.len() as u64 {
                0 => {}
                more => writeln!(f, "{}: and {more} more of severity {word}", self.file)?,
            }
        }
        Ok(())
    }
}

/// Checks a file. Memory: a line, the header, `limits.findings` of each severity, and a window of variants of at most 1 MB.
///
/// An error means that the check could not go on: the source failed or a limit was passed. Everything else is a finding.
pub fn check(file: &str, reader: impl BufRead, limits: &Limits) -> Result<Report, VcfError> {
    let mut lines = Lines::new(file, reader, limits.line_bytes);
    let mut report = Report {
        file: file.to_owned(),
        version: None,
        samples: 0,
        records: 0,
        findings: Findings { limit: limits.findings, ..Findings::default() },
    };
    let findings = &mut report.findings;
    findings.line = 1;
    if !lines.advance()? {
        findings.error(Rule::FileEmpty, 1, Field::File);
        return Ok(report);
    }
    let Some(version) = header::check_fileformat(lines.text(), findings) else { return Ok(report) };
    report.version = Some(version);
    check_text(&lines, version, findings);
    let mut declared = declared::Declared::new(version);
    let mut header_bytes = 0_usize;
    let mut order = order::Order::default();
    let mut has_header_line = false;
    while lines.advance()? {
        findings.line = lines.number();
        check_text(&lines, version, findings);
        let text = lines.text();
        match text {
            [] => findings.error(Rule::BlankLine, 1, Field::File),
            [b'#', ..] if has_header_line => findings.error(Rule::MetaAfterHeader, 1, Field::File),
            [b'#', b'#', ..] => meta_line::check(text, &mut declared, findings),
            [b'#', ..] => {
                has_header_line = true;
                if memchr::memchr_iter(b'\t', text).count().saturating_sub(8) > limits.samples {
                    let (file, line) = (file.to_owned(), lines.number());
                    return Err(VcfError::TooManySamples { file, line, limit: limits.samples });
                }
                header::check_header_line(text, &mut declared, findings);
            }
            _ if has_header_line => {
                report.records += 1;
                columns::check(text, &declared, &mut order, findings);
            }
            _ => findings.error(Rule::LineBeforeHeader, 1, Field::File),
        }
        if !has_header_line {
            header_bytes = header_bytes.saturating_add(text.len());
            if header_bytes > limits.header_bytes {
                let (file, line) = (file.to_owned(), lines.number());
                return Err(VcfError::HeaderTooLong { file, line, limit: limits.header_bytes });
            }
        }
    }
    if !has_header_line {
        findings.error(Rule::HeaderMissing, 1, Field::Header);
    }
    report.samples = declared.samples;
    Ok(report)
}

/// Encoding and line ends (4.3 section 1.2; before that version the specification says nothing).
fn check_text<R: BufRead>(lines: &Lines<R>, version: Version, findings: &mut Findings) {
    let severity = if version >= Version::V43 { Severity::Error } else { Severity::Warning };
    let bytes = lines.bytes();
    let text = lines.text();
    if bytes.len() > text.len() && version < Version::V43 {
        findings.once(Rule::CarriageReturn, b"", bytes.len(), Field::File);
    }
    // One pass for the common case, in which nothing is found.
    let is_suspect = |byte: u8| (byte < b' ' && byte != b'\t') || byte >= 0x80;
    if text.iter().fold(false, |found, &byte| found | is_suspect(byte)) {
        if let Err(error) = std::str::from_utf8(text) {
            findings.error(Rule::NotUtf8, error.valid_up_to() + 1, Field::File);
        }
        if let Some(at) = memchr::memchr(b'\r', text) {
            findings.report(severity, Rule::CarriageReturn, at + 1, Field::File);
        }
        let is_control = |&byte: &u8| byte < b' ' && !matches!(byte, b'\t' | b'\r');
        if let Some(at) = text.iter().position(is_control) {
            findings.report(severity, Rule::ControlCharacter, at + 1, Field::File);
        }
    }
    if !lines.is_terminated() {
        // The text of 4.5 is that of 4.3, and the corpus of 4.5 accepts a file without it.
        let severity = if version == Version::V45 { Severity::Warning } else { severity };
        findings.report(severity, Rule::LastLineUnterminated, text.len().max(1), Field::File);
    }
}

/// The most entries of one field that are looked at: what is kept of each takes more room than its text.
pub(super) const ENTRIES: usize = 1 << 16;

/// The entries of a field, or none and a finding when there are too many.
fn entries<'a>(
    text: &'a [u8],
    separator: u8,
    column: usize,
    field: Field,
    findings: &mut Findings,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let is_too_long = memchr::memchr_iter(separator, text).nth(ENTRIES).is_some();
    if is_too_long {
        findings.error(Rule::TooManyEntries, column, field);
    }
    text.split(move |&byte| byte == separator).take(if is_too_long { 0 } else { usize::MAX })
}

/// Findings of one severity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    kept: Vec<Finding>,
    count: u64,
}

/// Where the checks report to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Findings {
    limit: usize,
    line: u64,
    errors: List,
    warnings: List,
    reported: BTreeSet<(Rule, Vec<u8>)>,
}

impl Findings {
    /// Names that [`Findings::once`] remembers; beyond it, it is silent.
    const NAMES: usize = 1000;

    fn of(&self, severity: Severity) -> &List {
        match severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        }
    }

    fn report(&mut self, severity: Severity, rule: Rule, column: usize, field: Field) {
        let (limit, line) = (self.limit, self.line);
        let list = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        list.count += 1;
        if list.kept.len() < limit {
            list.kept.push(Finding { line, column, field, rule });
        }
    }

    fn error(&mut self, rule: Rule, column: usize, field: Field) {
        self.report(Severity::Error, rule, column, field);
    }

    fn warning(&mut self, rule: Rule, column: usize, field: Field) {
        self.report(Severity::Warning, rule, column, field);
    }

    /// A warning that is given once for each name: an undeclared key would otherwise be reported in every record.
    fn once(&mut self, rule: Rule, name: &[u8], column: usize, field: Field) {
        if self.reported.len() < Self::NAMES
            && name.len() < 1000
            && self.reported.insert((rule, name.to_vec()))
        {
            self.warning(rule, column, field);
        }
    }
}
