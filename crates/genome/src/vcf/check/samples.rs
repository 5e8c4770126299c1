//! FORMAT and the columns of the samples (section 1.4.2, from 4.3 on 1.6.2).

use super::super::Version;
use super::super::error::{Field, Rule};
use super::declared::Declared;
use super::definition::{Definition, Number};
use super::meta_line::is_key;
use super::value::{Alleles, Call, is_count_right, is_of_type};
use super::{Findings, Severity, entries};

/// One key of FORMAT.
struct Key<'a> {
    name: &'a [u8],
    definition: Option<Definition>,
}

/// Checks everything from FORMAT on; `text` begins at `column` of the line.
pub(super) fn check(
    text: &[u8],
    mut column: usize,
    alleles: Alleles,
    declared: &Declared,
    findings: &mut Findings,
) {
    let mut cells = text.split(|&byte| byte == b'\t');
    let format = cells.next().unwrap_or_default();
    if format.is_empty() {
        findings.error(Rule::EmptyColumn, column, Field::Format(None));
    }
    let keys = check_format(format, column, declared, findings);
    column += format.len() + 1;
    let sample = Sample { keys: &keys, alleles, declared };
    let is_gt_only = format == b"GT";
    let mut count = 0;
    for cell in cells {
        count += 1;
        // The common case: two alleles of one digit.
        let is_plain_call = is_gt_only
            && matches!(cell, &[first @ b'0'..=b'9', b'|' | b'/', second @ b'0'..=b'9']
                if usize::from(first.max(second) - b'0') <= alleles.alternatives);
        if !is_plain_call {
            sample.check(cell, count, column, findings);
        }
        column += cell.len() + 1;
    }
    if count != declared.samples {
        findings.error(Rule::ColumnCount, column.saturating_sub(1), Field::Record);
    }
}

fn check_format<'a>(
    format: &'a [u8],
    column: usize,
    declared: &Declared,
    findings: &mut Findings,
) -> Vec<Key<'a>> {
    let version = declared.version;
    let mut keys: Vec<Key<'a>> = vec![];
    let mut at = column;
    // A dot for no keys at all is what some writers put beside missing samples.
    for (index, name) in entries(format, b':', column, Field::Format(None), findings).enumerate() {
        let field = declared.format_field(name);
        let is_declared = declared.format.contains_key(name);
        let is_well_formed = match version {
            _ if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) => false,
            // "Alphanumeric" by the text of 4.1 and 4.2; GATK's 4.2 files declare and use MIN_DP.
            Version::V41 | Version::V42 => is_declared || name.iter().all(u8::is_ascii_alphanumeric),
            _ => is_key(name),
        };
        if !is_well_formed && !format.is_empty() {
            findings.error(Rule::FormatMalformed, at, Field::Format(None));
        }
        if name == b"GT" && index > 0 {
            findings.error(Rule::FormatGtNotFirst, at, field.clone());
        }
        // Quadratic for as many keys as a record has, and no more than a few hundred.
        if keys.iter().take(500).any(|key| key.name == name) {
            let severity = if version >= Version::V43 { Severity::Error } else { Severity::Warning };
            findings.report(severity, Rule::FormatRepeated, at, field.clone());
        }
        if is_well_formed && !is_declared {
            findings.once(Rule::FormatUndeclared, name, at, field);
        }
        keys.push(Key { name, definition: declared.format_definition(name) });
        at += name.len() + 1;
    }
    keys
}

struct Sample<'a> {
    keys: &'a [Key<'a>],
    alleles: Alleles,
    declared: &'a Declared,
}

impl Sample<'_> {
    fn check(&self, cell: &[u8], number: usize, column: usize, findings: &mut Findings) {
        let version = self.declared.version;
        let has_gt = self.keys.first().is_some_and(|key| key.name == b"GT");
        // "In presence of the GT field the same ploidy is expected; without GT field, diploidy is assumed."
        let mut call = Call { ploidy: if has_gt { None } else { Some(2) }, local_alternatives: 0 };
        let mut at = column;
        for (index, value) in cell.split(|&byte| byte == b':').enumerate() {
            let field = || {
                let key = self.keys.get(index).filter(|key| key.definition.is_some());
                let key = key.map(|key| String::from_utf8_lossy(key.name).into_owned());
                Field::Sample { number, key }
            };
            let Some(key) = self.keys.get(index) else {
                findings.error(Rule::SampleFieldCount, at, field());
                return;
            };
            match value {
                // A list of local alleles may have no entry (4.5 section 1.6.2).
                b"" if version >= Version::V45 && is_local(key) => {}
                b"" if key.name == b"GT" => findings.error(Rule::SampleGtMissing, at, field()),
                b"" => findings.error(Rule::SampleEmptyValue, at, field()),
                gt if key.name == b"GT" => match check_gt(gt, self.alleles, version) {
                    Ok(ploidy) => call.ploidy = ploidy,
                    Err((offset, rule)) => findings.error(rule, at + offset, field()),
                },
                b"." => {}
                value => {
                    if key.name == b"LAA" {
                        call.local_alternatives = value.split(|&byte| byte == b',').count();
                    }
                    if let Some(definition) = key.definition {
                        self.check_value(value, definition, call, at, &field, findings);
                    }
                }
            }
            at += value.len() + 1;
        }
    }

    fn check_value(
        &self,
        value: &[u8],
        definition: Definition,
        call: Call,
        column: usize,
        field: &dyn Fn() -> Field,
        findings: &mut Findings,
    ) {
        let mut count = 0;
        let mut at = column;
        for item in value.split(|&byte| byte == b',') {
            count += 1;
            if item.is_empty() {
                findings.error(Rule::SampleEmptyValue, at, field());
            } else if item != b"." && !is_of_type(item, definition.kind, self.declared.version) {
                findings.error(Rule::SampleType, at, field());
            }
            at += item.len() + 1;
        }
        if !is_count_right(definition, count, self.alleles, Some(call)) {
            findings.error(Rule::SampleCount, column, field());
        }
    }
}

fn is_local(key: &Key<'_>) -> bool {
    use Number::{LocalAlleles, LocalAlternatives, LocalGenotypes};
    key.name == b"LAA"
        || key.definition.is_some_and(|definition| {
            matches!(definition.number, LocalAlternatives | LocalAlleles | LocalGenotypes)
        })
}

/// The ploidy, or `None` when no allele is known; an error has its offset.
fn check_gt(gt: &[u8], alleles: Alleles, version: Version) -> Result<Option<usize>, (usize, Rule)> {
    // From 4.4 on, the first allele may say whether it is phased.
    let mut at = usize::from(version >= Version::V44 && matches!(gt, [b'/' | b'|', _, ..]));
    let mut ploidy = 0;
    let mut is_known = false;
    loop {
        let rest = gt.get(at..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'|')).unwrap_or(rest.len());
        let allele = rest.get(..end).unwrap_or_default();
        if allele != b"." {
            if allele.is_empty() || !allele.iter().all(u8::is_ascii_digit) {
                return Err((at, Rule::GtMalformed));
            }
            let number = allele
                .iter()
                .fold(0_usize, |sum, digit| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
            if number > alleles.alternatives {
                return Err((at, Rule::GtAllele));
            }
            is_known = true;
        }
        ploidy += 1;
        at += end + 1;
        if end == rest.len() {
            return Ok(is_known.then_some(ploidy));
        }
    }
}
