//! The first line and the `#CHROM` line.

use std::collections::BTreeSet;

use super::super::Version;
use super::super::error::{Field, Rule};
use super::Findings;
use super::declared::Declared;

/// The names of the eight fixed columns.
const COLUMNS: [&[u8]; 8] = [b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO"];

/// The version; without it no rule can be applied.
pub(super) fn check_fileformat(line: &[u8], findings: &mut Findings) -> Option<Version> {
    const KEY: &[u8] = b"##fileformat=";
    // A byte order mark is no part of the format: it makes the first line another one.
    let Some(value) = line.strip_prefix(KEY) else {
        findings.error(Rule::FileformatMissing, 1, Field::File);
        return None;
    };
    let version = Version::from_value(value);
    if version.is_none() {
        findings.error(Rule::FileformatUnknown, KEY.len() + 1, Field::Meta("fileformat"));
    }
    version
}

/// Names of columns and samples (section 1.3, from 4.3 on 1.5).
pub(super) fn check_header_line(line: &[u8], declared: &mut Declared, findings: &mut Findings) {
    let mut column = 1;
    let mut names = BTreeSet::new();
    let mut count = 0;
    for (index, name) in line.split(|&byte| byte == b'\t').enumerate() {
        count = index + 1;
        match COLUMNS.get(index) {
            Some(expected) if *expected == name => {}
            Some(_) => {
                findings.error(Rule::HeaderColumns, column, Field::Header);
                return;
            }
            None if index == COLUMNS.len() => {
                if name != b"FORMAT" {
                    findings.error(Rule::HeaderColumns, column, Field::Header);
                    return;
                }
                declared.has_format = true;
            }
            None => {
                declared.samples += 1;
                if name.is_empty() {
                    findings.error(Rule::HeaderEmptyName, column, Field::Header);
                } else if !names.insert(name) {
                    findings.error(Rule::HeaderSampleRepeated, column, Field::Header);
                }
            }
        }
        column += name.len() + 1;
    }
    if count < COLUMNS.len() {
        findings.error(Rule::HeaderColumns, line.len() + 1, Field::Header);
    }
    // The text allows "an arbitrary number" of samples after FORMAT; the corpus refuses none.
    if declared.has_format && declared.samples == 0 {
        findings.error(Rule::HeaderFormatWithoutSamples, line.len(), Field::Header);
    }
}
