//! The fixed columns of a record (section 1.4.1, from 4.3 on 1.6.1).

use std::collections::BTreeSet;

use super::super::Version;
use super::super::error::{Field, Rule};
use super::declared::Declared;
use super::meta_line::is_contig;
use super::order::{Block, Order};
use super::value::{Alleles, is_float};
use super::{Findings, Severity, entries, info, samples};

/// Checks one record.
pub(super) fn check(line: &[u8], declared: &Declared, order: &mut Order, findings: &mut Findings) {
    let mut rest = Some(line);
    let mut column = 1;
    let mut fixed = [(1, &b""[..]); 8];
    for (index, slot) in fixed.iter_mut().enumerate() {
        let Some(text) = rest else {
            findings.error(Rule::ColumnCount, line.len() + 1, Field::Record);
            return;
        };
        let end = memchr::memchr(b'\t', text).unwrap_or(text.len());
        let cell = text.get(..end).unwrap_or_default();
        *slot = (column, cell);
        if cell.is_empty() {
            let fields = [
                Field::Chromosome,
                Field::Position,
                Field::Id,
                Field::Reference,
                Field::Alternative,
                Field::Quality,
                Field::Filter,
                Field::Info(None),
            ];
            let field = fields.into_iter().nth(index).unwrap_or(Field::Record);
            findings.error(Rule::EmptyColumn, column, field);
        }
        column += end + 1;
        rest = text.get(end + 1..);
    }
    let [chromosome, position, id, reference, alternative, quality, filter, info] = fixed;
    let is_new_block = check_chromosome(chromosome, declared, order, findings);
    let position = check_position(position, chromosome.1, is_new_block, declared, order, findings);
    check_id(id, declared, findings);
    let is_reference = check_reference(reference, findings);
    let (alleles, list) = check_alternative(alternative, declared, findings);
    if let Some(position) = position
        && is_reference
        && !order.are_new(position, reference.1, &list)
    {
        // No text forbids it; the corpus refuses it, also when only the padding differs.
        findings.error(Rule::VariantRepeated, chromosome.0, Field::Record);
    }
    check_quality(quality, declared, findings);
    check_filter(filter, declared, findings);
    if !info.1.is_empty() {
        info::check(info.1, info.0, position, alleles, declared, findings);
    }
    match (rest, declared.has_format) {
        (None, false) => {}
        (Some(rest), true) => samples::check(rest, column, alleles, declared, findings),
        (None, true) => findings.error(Rule::ColumnCount, line.len() + 1, Field::Record),
        (Some(_), false) => findings.error(Rule::ColumnCount, column, Field::Record),
    }
}

/// True when the chromosome is another one than in the record before.
fn check_chromosome(
    (column, name): (usize, &[u8]),
    declared: &Declared,
    order: &mut Order,
    findings: &mut Findings,
) -> bool {
    let inner = name.strip_prefix(b"<").map(|rest| rest.strip_suffix(b">"));
    let is_bad = |byte: &u8| byte.is_ascii_whitespace() || b",<>".contains(byte);
    let (name, is_well_formed) = match inner {
        None => (name, is_contig(name) || (declared.version < Version::V43 && !name.iter().any(is_bad))),
        // The ID of a contig in the assembly file: free but for what would end it.
        Some(Some(inner)) => (inner, !inner.is_empty() && !inner.iter().any(is_bad)),
        Some(None) => (name, false),
    };
    let block = order.chromosome(name);
    if block == Block::Same {
        return false;
    }
    if name.is_empty() {
        return true;
    }
    if !is_well_formed {
        // From 4.4 on a name must not begin with an asterisk or an equals sign.
        findings.error(Rule::ChromMalformed, column, Field::Chromosome);
    } else if inner.is_none() && !declared.contigs.contains_key(name) {
        // For declared names, see the check of `##contig`.
        let has_colon = name.contains(&b':') && declared.version < Version::V44;
        let has_asterisk = name.contains(&b'*') && declared.version == Version::V43;
        if has_colon || has_asterisk {
            findings.error(Rule::ChromReservedCharacter, column, Field::Chromosome);
        }
    }
    if block == Block::Again {
        findings.error(Rule::ChromNotContiguous, column, Field::Chromosome);
    }
    if inner.is_none() && !declared.contigs.is_empty() && !declared.contigs.contains_key(name) {
        findings.once(Rule::ChromUndeclared, name, column, Field::Chromosome);
    }
    true
}

fn check_position(
    (column, text): (usize, &[u8]),
    chromosome: &[u8],
    is_new_block: bool,
    declared: &Declared,
    order: &mut Order,
    findings: &mut Findings,
) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let Some(position) = parse_position(text) else {
        findings.error(Rule::PosNotANumber, column, Field::Position);
        return None;
    };
    if !order.position(position) && !is_new_block {
        // The text of 4.5 is that of the others, and the corpus of 4.5 has an unsorted file among those to accept.
        let severity = if declared.version >= Version::V45 { Severity::Warning } else { Severity::Error };
        findings.report(severity, Rule::PosUnsorted, column, Field::Position);
    }
    // N + 1 is the telomere.
    if let Some(Some(length)) = declared.contigs.get(chromosome)
        && position > length.saturating_add(1)
    {
        findings.error(Rule::PosBeyondContig, column, Field::Position);
    }
    Some(position)
}

/// A whole number of 31 bits without sign.
pub(super) fn parse_position(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 10 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let position = text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (position <= i32::MAX as u64).then_some(position)
}

fn check_id((column, text): (usize, &[u8]), declared: &Declared, findings: &mut Findings) {
    if text == b"." || text.is_empty() {
        return;
    }
    let mut at = column;
    let mut seen = BTreeSet::new();
    for id in entries(text, b';', column, Field::Id, findings) {
        if id.is_empty() || id == b"." || id.iter().any(u8::is_ascii_whitespace) {
            findings.error(Rule::IdMalformed, at, Field::Id);
        } else if !seen.insert(id) {
            // "Duplicate values not allowed" from 4.3 on, "list of unique identifiers" before.
            let severity = if declared.version >= Version::V43 { Severity::Error } else { Severity::Warning };
            findings.report(severity, Rule::IdRepeated, at, Field::Id);
        }
        at += id.len() + 1;
    }
}

fn is_base(byte: &u8) -> bool {
    b"ACGTNacgtn".contains(byte)
}

fn check_reference((column, text): (usize, &[u8]), findings: &mut Findings) -> bool {
    let bad = text.iter().position(|byte| !is_base(byte));
    if let Some(bad) = bad {
        findings.error(Rule::RefMalformed, column + bad, Field::Reference);
    }
    bad.is_none() && !text.is_empty()
}

fn check_alternative<'a>(
    (column, text): (usize, &'a [u8]),
    declared: &Declared,
    findings: &mut Findings,
) -> (Alleles, Vec<&'a [u8]>) {
    if text == b"." || text.is_empty() {
        return (Alleles { alternatives: 1, is_missing: true }, vec![]);
    }
    let mut at = column;
    let mut list = vec![];
    let mut seen = BTreeSet::new();
    for allele in entries(text, b',', column, Field::Alternative, findings) {
        if !is_allele(allele) {
            findings.error(Rule::AltMalformed, at, Field::Alternative);
        } else if !seen.insert(allele) {
            findings.warning(Rule::AltRepeated, at, Field::Alternative);
        } else if let Some(id) = symbolic(allele)
            && !matches!(id, b"*" | b"NON_REF")
            && !declared.has(b"ALT", id)
        {
            findings.once(Rule::AltUndeclared, id, at, Field::Alternative);
        }
        list.push(allele);
        at += allele.len() + 1;
    }
    (Alleles { alternatives: list.len(), is_missing: false }, list)
}

/// The ID of `<ID>`.
fn symbolic(allele: &[u8]) -> Option<&[u8]> {
    let id = allele.strip_prefix(b"<")?.strip_suffix(b">")?;
    let is_allowed = |byte: &u8| !byte.is_ascii_whitespace() && !b"<>,".contains(byte);
    (!id.is_empty() && id.iter().all(is_allowed)).then_some(id)
}

/// Bases, an asterisk, `<ID>`, or a breakend (section 5.4).
fn is_allele(allele: &[u8]) -> bool {
    // The asterisk stands among bases in the text of 4.3, alone in those of later versions, and is not mentioned in 4.1,
    // whose corpus accepts it.
    let are_bases = |text: &[u8]| !text.is_empty() && text.iter().all(|byte| is_base(byte) || *byte == b'*');
    // Single breakends: the other side is unknown. A lone dot is no allele beside others.
    let dotted = allele.strip_prefix(b".").or_else(|| allele.strip_suffix(b"."));
    if are_bases(allele) || symbolic(allele).is_some() || dotted.is_some_and(are_bases) {
        return true;
    }
    let are_bases = |text: &[u8]| are_bases(text) || text == b".";
    // Bases and an inserted contig: `C<ctg1>`.
    if let Some(open) = memchr::memchr(b'<', allele).filter(|&open| open > 0)
        && let Some((bases, id)) = allele.split_at_checked(open)
        && are_bases(bases)
        && symbolic(id).is_some()
    {
        return true;
    }
    let Some(open) = allele.iter().position(|byte| matches!(byte, b'[' | b']')) else { return false };
    let Some(&bracket) = allele.get(open) else { return false };
    let before = allele.get(..open).unwrap_or_default();
    let inside = allele.get(open + 1..).unwrap_or_default();
    let Some(close) = memchr::memchr(bracket, inside) else { return false };
    let mate = inside.get(..close).unwrap_or_default();
    let after = inside.get(close + 1..).unwrap_or_default();
    let are_sides = match (before, after) {
        ([], bases) | (bases, []) => are_bases(bases),
        _ => false,
    };
    let Some(colon) = memchr::memrchr(b':', mate) else { return false };
    let name = mate.get(..colon).unwrap_or_default();
    let is_name = is_contig(name) || symbolic(name).is_some();
    are_sides && is_name && parse_position(mate.get(colon + 1..).unwrap_or_default()).is_some()
}

fn check_quality((column, text): (usize, &[u8]), declared: &Declared, findings: &mut Findings) {
    if text == b"." || text.is_empty() {
        return;
    }
    if !is_float(text, declared.version) {
        findings.error(Rule::QualNotANumber, column, Field::Quality);
    } else if std::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok_and(|number| number < 0.0))
    {
        findings.error(Rule::QualNegative, column, Field::Quality);
    }
}

fn check_filter((column, text): (usize, &[u8]), declared: &Declared, findings: &mut Findings) {
    if matches!(text, b"." | b"PASS" | b"") {
        return;
    }
    let mut at = column;
    let mut seen = BTreeSet::new();
    for filter in entries(text, b';', column, Field::Filter, findings) {
        if filter.is_empty() || filter == b"." || filter.iter().any(u8::is_ascii_whitespace) {
            findings.error(Rule::FilterMalformed, at, Field::Filter);
        } else if filter == b"0" {
            findings.error(Rule::FilterReserved, at, Field::Filter);
        } else if !seen.insert(filter) {
            // "Duplicate values not allowed" from 4.3 on.
            let severity = if declared.version >= Version::V43 { Severity::Error } else { Severity::Warning };
            findings.report(severity, Rule::FilterRepeated, at, Field::Filter);
        } else if filter == b"PASS" {
            // A contradiction by the text of every version; the corpus accepts it.
            findings.once(Rule::FilterPassAndMore, b"", at, Field::Filter);
        } else if !declared.has(b"FILTER", filter) {
            findings.once(Rule::FilterUndeclared, filter, at, Field::Filter);
        }
        at += filter.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{is_allele, parse_position};

    #[test]
    fn alleles() {
        for good in [
            "A",
            "acgtn",
            "*",
            ".A",
            "A.",
            "<DEL>",
            "<*>",
            "<INS:ME:ALU>",
            "]1:100]AGT",
            "[1:100[AGT",
            "AGT]1:100]",
            "AGT[1:100[",
            "A[<ctg1>:7[",
            ".[13:123457[",
            "]13:0].",
            "C<ctg1>",
            "[HLA-A*01:01:7[A",
        ] {
            assert!(is_allele(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "R",
            "A T",
            "<>",
            "<A",
            "A>",
            "<INS>BLAH>",
            "<A B>",
            "[1:100[",
            "A[1:100]",
            "A[1:100[T",
            "A[1[",
            "A[:5[",
            "A[1:x[",
            "A[1:5",
            "<A,B>",
        ] {
            assert!(!is_allele(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn positions() {
        assert_eq!(parse_position(b"0"), Some(0));
        assert_eq!(parse_position(b"2147483647"), Some(2_147_483_647));
        for bad in ["", "-1", "+1", "2147483648", "99999999999999999999", "1e3", " 1"] {
            assert_eq!(parse_position(bad.as_bytes()), None, "{bad}");
        }
    }
}
