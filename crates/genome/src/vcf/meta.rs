//! The fields between `<` and `>` of a structured meta line (specification section 1.4, in 4.1 and 4.2 section 1.2).

use super::error::Rule;

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    Plain,
    Quoted,
    Bracketed,
}

/// One `key=value`. A quoted value is without its quotes; escapes are left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MetaField<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) quoting: Quoting,
    /// Offset of the key in the text that was split.
    pub(super) offset: usize,
}

/// The most fields of one line.
const FIELDS: usize = 1000;

/// Splits the text between `<` and `>`. An error has the offset where it was noticed.
pub(super) fn split(text: &[u8]) -> Result<Vec<MetaField<'_>>, (usize, Rule)> {
    let mut fields = vec![];
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let key_end = rest.iter().position(|byte| matches!(byte, b'=' | b',')).unwrap_or(rest.len());
        if key_end == 0 || rest.get(key_end) != Some(&b'=') {
            return Err((at, Rule::MetaFieldNotKeyValue));
        }
        let key = rest.get(..key_end).unwrap_or_default();
        let value = rest.get(key_end + 1..).unwrap_or_default();
        let (value, quoting, used) = match value {
            [b'"', quoted @ ..] => {
                let mut is_escaped = false;
                let end = quoted.iter().position(|&byte| {
                    let is_end = byte == b'"' && !is_escaped;
                    is_escaped = byte == b'\\' && !is_escaped;
                    is_end
                });
                let Some(end) = end else { return Err((at + key_end + 1, Rule::MetaQuoteUnclosed)) };
                (quoted.get(..end).unwrap_or_default(), Quoting::Quoted, end + 2)
            }
            [b'[', bracketed @ ..] => match memchr::memchr(b']', bracketed) {
                Some(end) => (bracketed.get(..end).unwrap_or_default(), Quoting::Bracketed, end + 2),
                None => return Err((at + key_end + 1, Rule::MetaValues)),
            },
            plain => {
                let end = memchr::memchr(b',', plain).unwrap_or(plain.len());
                (plain.get(..end).unwrap_or_default(), Quoting::Plain, end)
            }
        };
        // What is kept of a field takes more room than its text.
        if fields.len() == FIELDS {
            return Err((at, Rule::TooManyEntries));
        }
        fields.push(MetaField { key, value, quoting, offset: at });
        at += key_end + 1 + used;
        match text.get(at) {
            None => return Ok(fields),
            Some(b',') => at += 1,
            Some(_) => return Err((at, Rule::MetaTextAfterQuote)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Quoting, split};

    fn check(text: &str, expected: &str) {
        let found = match split(text.as_bytes()) {
            Ok(fields) => fields
                .iter()
                .map(|field| {
                    let quoting = match field.quoting {
                        Quoting::Plain => "",
                        Quoting::Quoted => "\"",
                        Quoting::Bracketed => "[",
                    };
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    format!("{}:{}={quoting}{}", field.offset, text(field.key), text(field.value))
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err((at, rule)) => format!("{at}: {}", rule.id()),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn splits_fields() {
        check("ID=DP,Number=1", "0:ID=DP 6:Number=1");
        check(
            r#"ID=a,Description="b, \"c\" \\",Source=d"#,
            r#"0:ID=a 5:Description="b, \"c\" \\ 31:Source=d"#,
        );
        check("ID=a,Values=[b, c],d=", "0:ID=a 5:Values=[b, c 19:d=");
    }

    #[test]
    fn refuses_what_is_no_field() {
        check("", "0: meta-field-not-key-value");
        check("ID=a,", "5: meta-field-not-key-value");
        check("ID=a,b,c=d", "5: meta-field-not-key-value");
        check("=a", "0: meta-field-not-key-value");
        check(r#"ID=a,Description="b"#, "17: meta-quote-unclosed");
        check(r#"Description="b "c"d""#, "16: meta-text-after-quote");
        check("Values=[b", "7: meta-values");
    }
}
