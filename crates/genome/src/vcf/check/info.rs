//! The INFO column (section 1.4.1 item 8, from 4.3 on 1.6.1 item 8).

use std::collections::BTreeSet;

use super::super::Version;
use super::super::error::{Field, Rule};
use super::declared::Declared;
use super::definition::{Definition, Number, Type};
use super::meta_line::is_key;
use super::value::{Alleles, is_count_right, is_of_type};
use super::{Findings, Severity, entries};

/// Checks the column, which begins at `column` of the line.
pub(super) fn check(
    text: &[u8],
    column: usize,
    position: Option<u64>,
    alleles: Alleles,
    declared: &Declared,
    findings: &mut Findings,
) {
    let version = declared.version;
    if text == b"." {
        return;
    }
    if version < Version::V43
        && let Some(at) = text.iter().position(u8::is_ascii_whitespace)
    {
        findings.error(Rule::InfoBlank, column + at, Field::Info(None));
    }
    let mut keys = BTreeSet::new();
    let mut at = column;
    for entry in entries(text, b';', column, Field::Info(None), findings) {
        let entry_column = at;
        at += entry.len() + 1;
        let (key, value) = match memchr::memchr(b'=', entry) {
            Some(equals) => (entry.get(..equals).unwrap_or_default(), entry.get(equals + 1..)),
            None => (entry, None),
        };
        if key.is_empty() || key == b"." {
            findings.error(Rule::InfoMalformed, entry_column, Field::Info(None));
            continue;
        }
        if version >= Version::V43 && !is_key(key) && key != b"1000G" {
            findings.error(Rule::InfoKey, entry_column, Field::Info(None));
            continue;
        }
        let field = declared.info_field(key);
        if !keys.insert(key) {
            // Written down from 4.3 on.
            let severity = if version >= Version::V43 { Severity::Error } else { Severity::Warning };
            findings.report(severity, Rule::InfoRepeated, entry_column, field.clone());
        }
        if !declared.info.contains_key(key) {
            findings.once(Rule::InfoUndeclared, key, entry_column, field.clone());
        }
        let Some(definition) = declared.info_definition(key) else {
            if value.is_some_and(<[u8]>::is_empty) {
                findings.error(Rule::InfoEmptyValue, entry_column, field);
            }
            continue;
        };
        let entry = Entry { key, definition, column: entry_column, field };
        entry.check(value, position, alleles, version, findings);
    }
}

struct Entry<'a> {
    key: &'a [u8],
    definition: Definition,
    column: usize,
    field: Field,
}

impl Entry<'_> {
    fn check(
        &self,
        value: Option<&[u8]>,
        position: Option<u64>,
        alleles: Alleles,
        version: Version,
        findings: &mut Findings,
    ) {
        let is_flag = self.definition.kind == Type::Flag || self.definition.number == Number::Count(0);
        let value_column = self.column + self.key.len() + 1;
        let value = match (value, is_flag) {
            (None, true) => return,
            // "It is not necessary to list all the properties that a site does NOT have, by e.g. H2=0" (4.1): a bit is
            // superfluous, another value wrong.
            (Some(b"0" | b"1"), true) => {
                findings.once(Rule::InfoFlagBit, self.key, value_column, self.field.clone());
                return;
            }
            (Some(_), true) => {
                findings.error(Rule::InfoFlagValue, value_column, self.field.clone());
                return;
            }
            (None, false) => {
                findings.error(Rule::InfoNoValue, self.column, self.field.clone());
                return;
            }
            (Some(value), false) => value,
        };
        if value.contains(&b'=') {
            // Forbidden by the text of every version; the corpus accepts one in a quoted text.
            findings.once(Rule::InfoEquals, self.key, value_column, self.field.clone());
        }
        if value == b"." {
            return;
        }
        if self.definition.kind == Type::String
            && value.len() > 1
            && value.starts_with(b"\"")
            && value.ends_with(b"\"")
            && value.contains(&b',')
        {
            // Quotes mean nothing here by any text, so the commas separate values; the corpus takes it for one value.
            findings.once(Rule::InfoQuoted, self.key, value_column, self.field.clone());
            return;
        }
        let mut count = 0;
        let mut at = value_column;
        for item in value.split(|&byte| byte == b',') {
            count += 1;
            self.check_item(item, at, position, version, findings);
            at += item.len() + 1;
        }
        if !is_count_right(self.definition, count, alleles, None) {
            findings.error(Rule::InfoCount, value_column, self.field.clone());
        }
    }

    fn check_item(
        &self,
        item: &[u8],
        at: usize,
        position: Option<u64>,
        version: Version,
        findings: &mut Findings,
    ) {
        let mut error = |rule| findings.error(rule, at, self.field.clone());
        if item == b"." {
            return;
        }
        if item.is_empty() {
            return error(Rule::InfoEmptyValue);
        }
        if !is_of_type(item, self.definition.kind, version) {
            return error(Rule::InfoType);
        }
        let number = || std::str::from_utf8(item).ok().and_then(|text| text.parse::<f64>().ok());
        match self.key {
            // Counts and qualities.
            b"AC" | b"AD" | b"ADF" | b"ADR" | b"AN" | b"BQ" | b"DP" | b"MQ" | b"MQ0" | b"NS"
                if number().is_some_and(|number| number < 0.0) =>
            {
                error(Rule::InfoRange);
            }
            b"AF" if number().is_some_and(|number| !(0.0..=1.0).contains(&number) && !number.is_nan()) => {
                error(Rule::InfoRange);
            }
            b"END" => match (number(), position) {
                (Some(end), _) if end < 0.0 => error(Rule::InfoRange),
                (Some(end), Some(position)) if end < position as f64 => error(Rule::InfoEndBeforePos),
                _ => {}
            },
            b"CIGAR" if !is_cigar(item) => error(Rule::InfoCigar),
            _ => {}
        }
    }
}

fn is_cigar(text: &[u8]) -> bool {
    let mut digits = 0;
    for byte in text {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'M' | b'I' | b'D' | b'N' | b'S' | b'H' | b'P' | b'X' | b'=' if digits > 0 => digits = 0,
            _ => return false,
        }
    }
    digits == 0 && !text.is_empty()
}
