//! How a file writes a table: what separates its cells, how its numbers and its letters are written.

use std::borrow::Cow;

use super::error::{LineProblem, TableError};
use super::number::{Numbers, Thousands};

/// What stands between two cells of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Separator {
    /// `,`
    #[default]
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
    /// `|`
    Bar,
}

impl Separator {
    /// All of them, the most common first.
    pub const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Bar];

    /// The sign itself.
    #[must_use]
    pub fn sign(self) -> char {
        char::from(self.byte())
    }

    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Bar => b'|',
        }
    }

    /// As a study file writes it between its quotes.
    #[must_use]
    pub fn written(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "\\t",
            Self::Bar => "|",
        }
    }

    /// In words, as many of them.
    #[must_use]
    pub fn says(self) -> &'static str {
        match self {
            Self::Comma => "commas",
            Self::Semicolon => "semicolons",
            Self::Tab => "tabs",
            Self::Bar => "vertical bars",
        }
    }
}

/// Which bytes are which letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// With or without a byte order mark.
    #[default]
    Utf8,
    /// What older programs of Windows write in western Europe; where it has letters, Latin-1 has the same ones.
    Windows1252,
    /// "Unicode text" of spreadsheets; the byte order mark says which half of a letter comes first.
    Utf16,
}

/// How a file writes a table. The default is a comma-separated file in UTF-8 with decimal points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dialect {
    /// Between cells.
    pub separator: Separator,
    /// Within numbers.
    pub numbers: Numbers,
    /// Of letters.
    pub encoding: Encoding,
}

/// A word of a format that is none, and what it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {found:?}; {may_be}")]
pub struct FormatError {
    /// `separator`, `decimal`, `thousands` or `encoding`.
    pub key: &'static str,
    /// What stands there.
    pub found: String,
    /// What may.
    pub may_be: &'static str,
}

impl Dialect {
    /// The dialect that a study file describes; what is not said is as in the default.
    ///
    /// # Errors
    /// The word that is none of those that there are, and a comma or point that would stand for two things.
    pub fn of_words(
        separator: Option<&str>,
        decimal: Option<&str>,
        thousands: Option<&str>,
        encoding: Option<&str>,
    ) -> Result<Self, FormatError> {
        let wrong = |key, found: &str, may_be| FormatError { key, found: found.to_owned(), may_be };
        let separator = match separator {
            None => Separator::default(),
            Some(sign) => Separator::ALL
                .into_iter()
                .find(|separator| sign.chars().eq([separator.sign()]))
                .ok_or_else(|| wrong("separator", sign, r#"it is one of ",", ";", "\t" and "|""#))?,
        };
        let decimal_comma = match decimal {
            None | Some(".") => false,
            Some(",") => true,
            Some(other) => return Err(wrong("decimal", other, r#"it is "." or ",""#)),
        };
        let between = match thousands {
            None => None,
            Some(".") => Some(Thousands::Point),
            Some(",") => Some(Thousands::Comma),
            Some(" ") => Some(Thousands::Blank),
            Some("'") => Some(Thousands::Apostrophe),
            Some(other) => return Err(wrong("thousands", other, r#"it is one of ".", ",", " " and "'""#)),
        };
        let both = "it is what stands before fractions already; name what stands between thousands, and nothing where there is nothing";
        let numbers = Numbers::new(decimal_comma, between)
            .ok_or_else(|| wrong("thousands", thousands.unwrap_or_default(), both))?;
        let encoding = match encoding {
            None | Some("utf-8") => Encoding::Utf8,
            Some("windows-1252") => Encoding::Windows1252,
            Some("utf-16") => Encoding::Utf16,
            Some(other) => {
                return Err(wrong(
                    "encoding",
                    other,
                    r#"it is one of "utf-8", "windows-1252" (which reads Latin-1 as well) and "utf-16""#,
                ));
            }
        };
        Ok(Self { separator, numbers, encoding })
    }

    /// As a study file has it, `{ separator = ";", decimal = "," }`; none for the default, which is not written.
    #[must_use]
    pub fn written(self) -> Option<String> {
        let mut words = Vec::new();
        if self.separator != Separator::default() {
            words.push(format!("separator = \"{}\"", self.separator.written()));
        }
        if self.numbers.has_decimal_comma() {
            words.push("decimal = \",\"".to_owned());
        }
        words.extend(self.numbers.thousands().map(|thousands| {
            let sign = match thousands {
                Thousands::Point => ".",
                Thousands::Comma => ",",
                Thousands::Blank => " ",
                Thousands::Apostrophe => "'",
            };
            format!("thousands = \"{sign}\"")
        }));
        match self.encoding {
            Encoding::Utf8 => {}
            Encoding::Windows1252 => words.push("encoding = \"windows-1252\"".to_owned()),
            Encoding::Utf16 => words.push("encoding = \"utf-16\"".to_owned()),
        }
        (!words.is_empty()).then(|| format!("{{ {} }}", words.join(", ")))
    }
}

/// Letters of 0x80 to 0x9f in Windows-1252 (WHATWG Encoding Standard, index windows-1252); 0 where it has none.
const UPPER: [u16; 32] = [
    0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,
    0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
    0x0153, 0, 0x017e, 0x0178,
];

/// The text of a file.
pub(super) fn decode<'a>(
    file: &str,
    bytes: &'a [u8],
    encoding: Encoding,
) -> Result<Cow<'a, str>, TableError> {
    kind(file, bytes, encoding)?;
    let refuse = |before: &[u8], problem| {
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        TableError::Line { file: file.to_owned(), line, problem }
    };
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| {
            refuse(bytes.get(..error.valid_up_to()).unwrap_or_default(), LineProblem::NotUtf8)
        }),
        Encoding::Windows1252 => {
            let mut text = String::with_capacity(bytes.len());
            // A mark of another encoding is no letter of this one's table.
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            for (at, byte) in bytes.iter().enumerate() {
                let letter = match byte {
                    0x80..=0x9f => match UPPER.get(usize::from(byte - 0x80)).copied().unwrap_or_default() {
                        0 => {
                            let before = bytes.get(..at).unwrap_or_default();
                            return Err(refuse(before, LineProblem::NotWindows1252));
                        }
                        letter => char::from_u32(letter.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
                    },
                    byte => char::from(*byte),
                };
                text.push(letter);
            }
            Ok(Cow::Owned(text))
        }
        Encoding::Utf16 => {
            let (mark, rest) = bytes.split_at(bytes.len().min(2));
            let join: fn([u8; 2]) -> u16 = match mark {
                [0xfe, 0xff] => u16::from_be_bytes,
                _ => u16::from_le_bytes,
            };
            // Without a mark the first letter is one already.
            let rest = if matches!(mark, [0xfe, 0xff] | [0xff, 0xfe]) { rest } else { bytes };
            let (pairs, odd) = rest.as_chunks::<2>();
            let mut text = String::with_capacity(rest.len());
            for letter in char::decode_utf16(pairs.iter().copied().map(join)) {
                match letter {
                    Ok(letter) => text.push(letter),
                    Err(_) => return Err(refuse(text.as_bytes(), LineProblem::NotUtf16)),
                }
            }
            if odd.is_empty() {
                Ok(Cow::Owned(text))
            } else {
                Err(refuse(text.as_bytes(), LineProblem::NotUtf16))
            }
        }
    }
}

/// Bytes that are something else than text.
fn kind(file: &str, bytes: &[u8], encoding: Encoding) -> Result<(), TableError> {
    let save = "save the sheet as CSV (UTF-8)";
    let (what, advice) = match bytes {
        [b'P', b'K', 3, 4, ..] => ("a spreadsheet (XLSX, ODS) or another ZIP archive", save),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => ("an old spreadsheet (XLS) or another file of Office", save),
        [b'P', b'A', b'R', b'1', .., b'P', b'A', b'R', b'1'] => ("a Parquet file", "write it as CSV"),
        [b'%', b'P', b'D', b'F', ..] => ("a PDF document", "export the table as CSV"),
        bytes
            if bytes.starts_with(b"##fileformat=VCF")
                || bytes.starts_with(b"\xef\xbb\xbf##fileformat=VCF") =>
        {
            (
                "a VCF file of genotypes",
                "a study takes it as `genotypes` of a participant (docs/genome.md), and `histone genome check` looks at it",
            )
        }
        [0x6c, 0x1b, ..] => {
            ("a BED file of genotypes", "a study takes it as `genotypes` of a participant (docs/genome.md)")
        }
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => ("an SQLite database", "export the table as CSV"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if encoding != Encoding::Utf16 => {
            ("text in UTF-16", "say `format = { encoding = \"utf-16\" }`, or save it as UTF-8")
        }
        _ => return Ok(()),
    };
    Err(TableError::Kind { file: file.to_owned(), what, advice })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn letters_of_windows() {
        let text = decode("w.csv", b"a;\x80;\xe9\xfc\x9f", Encoding::Windows1252).unwrap();
        assert_eq!(text, "a;\u{20ac};\u{e9}\u{fc}\u{178}");
        // A mark that says UTF-8 is not part of the first name.
        assert_eq!(decode("w.csv", b"\xef\xbb\xbfk;\xe9", Encoding::Windows1252).unwrap(), "k;\u{e9}");
        let error = decode("w.csv", b"a\nb\x81", Encoding::Windows1252).unwrap_err().to_string();
        assert!(error.contains("w.csv, line 2"), "{error}");
        // Every byte that is a letter is one letter, and no two the same.
        let all: Vec<u8> = (0..=255).filter(|byte| ![0x81, 0x8d, 0x8f, 0x90, 0x9d].contains(byte)).collect();
        let text = decode("w.csv", &all, Encoding::Windows1252).unwrap();
        let letters: std::collections::BTreeSet<char> = text.chars().collect();
        assert_eq!((letters.len(), text.chars().count()), (251, 251));
    }

    #[test]
    fn letters_of_two_bytes() {
        let little: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain("x\t\u{e9}\u{1f600}\n".encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(decode("u.txt", &little, Encoding::Utf16).unwrap(), "x\t\u{e9}\u{1f600}\n");
        let big: Vec<u8> =
            [0xfe, 0xff].into_iter().chain("x\t\u{e9}\n".encode_utf16().flat_map(u16::to_be_bytes)).collect();
        assert_eq!(decode("u.txt", &big, Encoding::Utf16).unwrap(), "x\t\u{e9}\n");
        assert!(decode("u.txt", &little[..little.len() - 1], Encoding::Utf16).is_err());
        assert!(decode("u.txt", &[0xff, 0xfe, 0, 0xd8], Encoding::Utf16).is_err());
        assert!(matches!(decode("u.txt", &little, Encoding::Utf8), Err(TableError::Kind { .. })));
        for cut in 0..4 {
            let _ = decode("u.txt", &little[..cut], Encoding::Utf16);
        }
    }

    #[test]
    fn other_files_under_the_name_of_a_table() {
        for (bytes, says) in [
            (&b"PK\x03\x04rest"[..], "XLSX"),
            (b"PAR1restPAR1", "Parquet"),
            (b"\xd0\xcf\x11\xe0\xa1", "XLS"),
            (b"%PDF-1.4", "PDF"),
            (b"##fileformat=VCFv4.2\n", "VCF"),
            (b"\x6c\x1b\x01", "BED"),
            (b"SQLite format 3\0", "SQLite"),
        ] {
            let error = decode("x.csv", bytes, Encoding::Utf8).unwrap_err().to_string();
            assert!(error.contains("x.csv") && error.contains(says), "{error}");
        }
    }
}
