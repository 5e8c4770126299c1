//! The `##` lines (section 1.2, from 4.3 on 1.4).

use super::super::Version;
use super::super::error::{Field, Rule};
use super::super::meta::{MetaField, Quoting, split};
use super::declared::Declared;
use super::definition::{Definition, Number, Place, Type, reserved_format, reserved_info};
use super::{Findings, Severity};

/// A kind of line that the specification describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Info,
    Format,
    Filter,
    Alt,
    Contig,
    Sample,
    Pedigree,
    Meta,
    Other,
}

impl Kind {
    fn of(key: &[u8]) -> Self {
        match key {
            b"INFO" => Self::Info,
            b"FORMAT" => Self::Format,
            b"FILTER" => Self::Filter,
            b"ALT" => Self::Alt,
            b"contig" => Self::Contig,
            b"SAMPLE" => Self::Sample,
            b"PEDIGREE" => Self::Pedigree,
            b"META" => Self::Meta,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Format => "FORMAT",
            Self::Filter => "FILTER",
            Self::Alt => "ALT",
            Self::Contig => "contig",
            Self::Sample => "SAMPLE",
            Self::Pedigree => "PEDIGREE",
            Self::Meta => "META",
            Self::Other => "",
        }
    }

    /// The fields that such a line must have, in their order.
    fn required(self, version: Version) -> &'static [&'static [u8]] {
        match self {
            Self::Info | Self::Format => &[b"ID", b"Number", b"Type", b"Description"],
            Self::Filter | Self::Alt => &[b"ID", b"Description"],
            Self::Sample if version < Version::V43 => &[b"ID", b"Genomes", b"Mixture", b"Description"],
            Self::Pedigree | Self::Other if version < Version::V43 => &[],
            Self::Contig | Self::Sample | Self::Pedigree | Self::Meta | Self::Other => &[b"ID"],
        }
    }
}

/// Checks one line and adds to `declared` what it declares.
pub(super) fn check(line: &[u8], declared: &mut Declared, findings: &mut Findings) {
    let body = line.get(2..).unwrap_or_default();
    let Some(equals) = memchr::memchr(b'=', body).filter(|&equals| equals > 0 && equals + 1 < body.len())
    else {
        findings.error(Rule::MetaNotKeyValue, 1, Field::Meta(""));
        return;
    };
    let (key, value) = (body.get(..equals).unwrap_or_default(), body.get(equals + 1..).unwrap_or_default());
    // Column of the first byte of the value.
    let column = equals + 4;
    match key {
        b"fileformat" => findings.error(Rule::FileformatRepeated, 1, Field::Meta("fileformat")),
        b"assembly" if !is_url(value) => findings.error(Rule::MetaUrl, column, Field::Meta("assembly")),
        b"pedigreeDB" => {
            // In angle brackets before version 4.3, without them from then on; both are found in both.
            let inner = value.strip_prefix(b"<").and_then(|value| value.strip_suffix(b">")).unwrap_or(value);
            if !is_url(inner) {
                findings.error(Rule::MetaUrl, column, Field::Meta("pedigreeDB"));
            }
        }
        b"assembly" => {}
        _ => check_value(Kind::of(key), key, value, column, declared, findings),
    }
}

fn check_value(
    kind: Kind,
    key: &[u8],
    value: &[u8],
    column: usize,
    declared: &mut Declared,
    findings: &mut Findings,
) {
    let version = declared.version;
    let field = Field::Meta(kind.name());
    let Some(opened) = value.strip_prefix(b"<") else {
        if kind != Kind::Other {
            findings.error(Rule::MetaFieldNotKeyValue, column, field);
        }
        return;
    };
    // Lines of other kinds are free text before version 4.3.
    if kind == Kind::Other && version < Version::V43 {
        return;
    }
    let Some(inner) = opened.strip_suffix(b">") else {
        findings.error(Rule::MetaUnclosed, column, field);
        return;
    };
    let fields = match split(inner) {
        Ok(fields) => fields,
        Err((at, rule)) => {
            findings.error(rule, column + 1 + at, field);
            return;
        }
    };
    let column_of = |item: &MetaField<'_>| column + 1 + item.offset;
    for (index, item) in fields.iter().enumerate() {
        // Quadratic for short lines only.
        if fields.iter().take(index.min(100)).any(|earlier| earlier.key == item.key) {
            findings.error(Rule::MetaFieldRepeated, column_of(item), field.clone());
        }
    }
    let mut is_complete = true;
    for (index, required) in kind.required(version).iter().enumerate() {
        match fields.iter().position(|item| item.key == *required) {
            None => {
                is_complete = false;
                findings.error(Rule::MetaFieldMissing, column, field.clone());
            }
            Some(found) if found != index => {
                // "Extra fields can be included after the default fields" up to 4.3. In 4.5 the order is no more than a
                // help for human readers; the texts of 4.4 differ.
                let severity = if version >= Version::V44 { Severity::Warning } else { Severity::Error };
                findings.report(severity, Rule::MetaFieldOrder, column, field.clone());
            }
            Some(_) => {}
        }
    }
    let mut line = Line { kind, column, fields: &fields, declared, findings };
    line.check_id(key);
    line.check_description();
    match kind {
        Kind::Info if is_complete => line.check_definition(Place::Info),
        Kind::Format if is_complete => line.check_definition(Place::Format),
        Kind::Meta => line.check_meta(),
        Kind::Contig => line.check_contig(),
        Kind::Sample => line.check_sample(),
        Kind::Pedigree => line.check_pedigree(),
        _ => {}
    }
}

/// A structured line that was split.
struct Line<'a> {
    kind: Kind,
    column: usize,
    fields: &'a [MetaField<'a>],
    declared: &'a mut Declared,
    findings: &'a mut Findings,
}

impl<'a> Line<'a> {
    fn find(&self, key: &[u8]) -> Option<MetaField<'a>> {
        self.fields.iter().find(|item| item.key == key).copied()
    }

    fn report(&mut self, severity: Severity, rule: Rule, item: &MetaField<'_>) {
        let field = Field::Meta(self.kind.name());
        self.findings.report(severity, rule, self.column + 1 + item.offset, field);
    }

    fn error(&mut self, rule: Rule, item: &MetaField<'_>) {
        self.report(Severity::Error, rule, item);
    }

    fn check_id(&mut self, key: &[u8]) {
        let Some(id) = self.find(b"ID") else { return };
        let version = self.declared.version;
        let has_blank = id.value.iter().any(u8::is_ascii_whitespace);
        let is_well_formed = match self.kind {
            _ if id.value.is_empty() || id.quoting == Quoting::Bracketed => false,
            Kind::Info if version >= Version::V43 => is_key(id.value) || id.value == b"1000G",
            Kind::Format if version >= Version::V43 => is_key(id.value),
            Kind::Info | Kind::Format | Kind::Filter => !has_blank && !id.value.contains(&b';'),
            Kind::Alt => !has_blank && !id.value.iter().any(|byte| b"<>,".contains(byte)),
            Kind::Contig => is_contig(id.value),
            Kind::Sample | Kind::Pedigree | Kind::Meta => !has_blank,
            Kind::Other => true,
        };
        if !is_well_formed {
            self.error(Rule::MetaIdMalformed, &id);
        }
        match self.kind {
            Kind::Contig if version < Version::V44 && id.value.iter().any(|byte| b":*".contains(byte)) => {
                // 4.1 and 4.2 forbid the colon, the first texts of 4.3 the asterisk too, later texts of 4.3 neither;
                // the HLA contigs of GRCh38 have both. A declared name is therefore only warned about.
                self.report(Severity::Warning, Rule::ChromReservedCharacter, &id);
            }
            Kind::Filter if id.value == b"0" => self.error(Rule::FilterReserved, &id),
            Kind::Alt => {
                let first = id.value.split(|&byte| byte == b':').next().unwrap_or_default();
                // Some texts of 4.4 have BND as well.
                let is_known = matches!(first, b"DEL" | b"INS" | b"DUP" | b"INV" | b"CNV")
                    || (version == Version::V44 && first == b"BND");
                if !is_known && id.value.contains(&b':') {
                    self.error(Rule::MetaAltType, &id);
                } else if !is_known && version < Version::V43 {
                    // The text of 4.1 and 4.2 says "must"; the 1000 Genomes Project, for which it was written,
                    // declares CN0, CN1 and so on in its 4.1 files.
                    let column = self.column + 1 + id.offset;
                    self.findings.once(Rule::MetaAltType, b"", column, Field::Meta("ALT"));
                }
            }
            _ => {}
        }
        if !self.declared.ids.insert((key.to_vec(), id.value.to_vec())) {
            // Uniqueness is written down from 4.3 on.
            let severity = if version >= Version::V43 { Severity::Error } else { Severity::Warning };
            self.report(severity, Rule::MetaIdRepeated, &id);
        }
    }

    fn check_description(&mut self) {
        let Some(description) = self.find(b"Description") else { return };
        if description.quoting == Quoting::Quoted {
            return;
        }
        match self.kind {
            Kind::Info | Kind::Format | Kind::Filter => {
                self.error(Rule::MetaDescriptionUnquoted, &description)
            }
            // The template for ALT has no quotes in 4.1 and 4.2.
            Kind::Alt if self.declared.version < Version::V43 => {
                self.report(Severity::Warning, Rule::MetaDescriptionUnquoted, &description);
            }
            Kind::Alt => self.error(Rule::MetaDescriptionUnquoted, &description),
            _ => {}
        }
    }

    fn check_definition(&mut self, place: Place) {
        let (Some(id), Some(number_item), Some(kind_item)) =
            (self.find(b"ID"), self.find(b"Number"), self.find(b"Type"))
        else {
            return;
        };
        let version = self.declared.version;
        let number = Number::from_text(number_item.value, place, version);
        let kind = Type::from_text(kind_item.value, place);
        if number.is_none() {
            self.error(Rule::MetaNumber, &number_item);
        }
        if kind.is_none() {
            self.error(Rule::MetaType, &kind_item);
        }
        let (Some(number), Some(kind)) = (number, kind) else { return };
        let reserved = match place {
            Place::Info => reserved_info(version, id.value),
            Place::Format => reserved_format(version, id.value),
        };
        match reserved {
            Some(reserved) => {
                // MQ of INFO: see `reserved_info`.
                let is_any_type = place == Place::Info && id.value == b"MQ" && kind == Type::Integer;
                if reserved.kind != kind && !is_any_type {
                    self.error(Rule::MetaReservedType, &kind_item);
                }
                if reserved.number != number {
                    // 4.1 and 4.2 give no Number for keys of FORMAT, and a dot claims nothing.
                    let is_open = place == Place::Format && number == Number::Any && version < Version::V43;
                    let severity = if is_open { Severity::Warning } else { Severity::Error };
                    self.report(severity, Rule::MetaReservedNumber, &number_item);
                }
            }
            // The text says that it must; the corpus accepts a Flag with Number=A.
            None if kind == Type::Flag && number != Number::Count(0) => {
                self.report(Severity::Warning, Rule::MetaFlagNumber, &number_item);
            }
            None => {}
        }
        let definition = Definition { number, kind };
        match place {
            Place::Info => self.declared.info.insert(id.value.to_vec(), definition),
            Place::Format => self.declared.format.insert(id.value.to_vec(), definition),
        };
    }

    fn check_meta(&mut self) {
        let version = self.declared.version;
        if let Some(number) = self.find(b"Number")
            && Number::from_text(number.value, Place::Info, version).is_none()
        {
            self.error(Rule::MetaNumber, &number);
        }
        if let Some(kind) = self.find(b"Type")
            && Type::from_text(kind.value, Place::Info).is_none()
        {
            self.error(Rule::MetaType, &kind);
        }
        if let Some(values) = self.find(b"Values")
            && values.quoting != Quoting::Bracketed
        {
            self.error(Rule::MetaValues, &values);
        }
    }

    fn check_contig(&mut self) {
        let length = self.find(b"length").and_then(|item| {
            let length = std::str::from_utf8(item.value).ok().and_then(|text| text.parse::<u64>().ok());
            if length.is_none() {
                self.error(Rule::MetaContigLength, &item);
            }
            length
        });
        if let Some(id) = self.find(b"ID") {
            self.declared.contigs.insert(id.value.to_vec(), length);
        }
    }

    fn check_sample(&mut self) {
        if self.declared.version >= Version::V43 {
            return;
        }
        for item in self.fields.iter().filter(|item| item.key != b"Description") {
            if item.quoting == Quoting::Quoted {
                self.error(Rule::MetaQuotedValue, item);
            }
        }
    }

    fn check_pedigree(&mut self) {
        for item in self.fields.iter().filter(|item| item.quoting == Quoting::Plain) {
            if item.value.is_empty() || item.value.iter().any(u8::is_ascii_whitespace) {
                self.error(Rule::MetaPedigree, item);
            } else if item.value.contains(&b':') {
                // No version forbids it; the corpus does.
                self.report(Severity::Warning, Rule::MetaPedigree, item);
            }
        }
    }
}

/// `[A-Za-z_][0-9A-Za-z_.]*`: keys of INFO and FORMAT from 4.3 on.
pub(super) fn is_key(key: &[u8]) -> bool {
    let [first, rest @ ..] = key else { return false };
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    (first.is_ascii_alphabetic() || *first == b'_') && rest.iter().all(is_inner)
}

/// Names of reference sequences by the SAM specification, section 1.2.1, which `##contig` follows (4.3 section 1.4.7).
pub(super) fn is_contig(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\\,\"`'()[]{}<>".contains(byte);
    name.first().is_some_and(|first| !b"*=".contains(first)) && name.iter().all(is_allowed)
}

/// A URL with a scheme and a host (RFC 3986, section 3). A host whose last label is a number is an IPv4 address or nothing
/// (RFC 1123, section 2.1).
fn is_url(text: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(text).ok().filter(|text| !text.contains([' ', '\t', '<', '>', '"']))
    else {
        return false;
    };
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'));
    let Some(rest) = rest.strip_prefix("//") else { return is_scheme && !rest.is_empty() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return is_scheme && scheme == "file";
    }
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    if host_and_port.starts_with('[') {
        return is_scheme;
    }
    let (host, port) = host_and_port.split_once(':').unwrap_or((host_and_port, ""));
    let is_number = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    let is_host = match host.rsplit('.').next() {
        Some(last) if is_number(last) => host.parse::<std::net::Ipv4Addr>().is_ok(),
        _ => !host.is_empty(),
    };
    is_scheme && is_host && (port.is_empty() || is_number(port))
}

#[cfg(test)]
mod tests {
    use super::is_url;

    #[test]
    fn urls() {
        for good in [
            "ftp://www.ebi.ac.uk:8080/valid/host/to/file.fastq",
            "http://123.0.1.2:8080/file.fastq",
            "ftp://user@host:8080/path/to/db?arg1=db1",
            "file:///seq/references/a.fasta",
            "https://[::1]/a",
        ] {
            assert!(is_url(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "GRCh37",
            "ftp://8080:8080/file.fastq",
            "http://1.2.3/",
            "http:///a",
            "://a",
            "a b://c",
            "ftp://h:x/",
        ] {
            assert!(!is_url(bad.as_bytes()), "{bad}");
        }
    }
}
