//! Numbers as people write them in tables: plain or scientific decimals, and what a file's [`Numbers`] say beside.

use std::borrow::Cow;

use super::error::CellProblem;

/// What stands between thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thousands {
    /// `1.234.567`
    Point,
    /// `1,234,567`
    Comma,
    /// `1 234 567`, also with blanks that do not break.
    Blank,
    /// `1'234'567`, also with a typographic apostrophe.
    Apostrophe,
}

impl Thousands {
    fn is(self, letter: char) -> bool {
        match self {
            Self::Point => letter == '.',
            Self::Comma => letter == ',',
            Self::Blank => matches!(letter, ' ' | '\u{a0}' | '\u{202f}'),
            Self::Apostrophe => matches!(letter, '\'' | '\u{2019}'),
        }
    }
}

/// How a file writes its numbers: by default with a decimal point and nothing between thousands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbers {
    decimal_comma: bool,
    thousands: Option<Thousands>,
}

impl Numbers {
    /// Numbers with a decimal comma or point, and what may stand between their thousands; none when that is one sign for both.
    #[must_use]
    pub fn new(decimal_comma: bool, thousands: Option<Thousands>) -> Option<Self> {
        let both = if decimal_comma { Thousands::Comma } else { Thousands::Point };
        (thousands != Some(both)).then_some(Self { decimal_comma, thousands })
    }

    /// Whether a comma stands before the fraction.
    #[must_use]
    pub fn has_decimal_comma(self) -> bool {
        self.decimal_comma
    }

    /// What may stand between thousands.
    #[must_use]
    pub fn thousands(self) -> Option<Thousands> {
        self.thousands
    }

    /// The cell as a plain decimal if it is a number of this file; a text as it stands.
    ///
    /// # Errors
    /// A cell that is a number for others and none here: whoever read it would take another number for it.
    pub(super) fn plain(self, cell: &str) -> Result<Cow<'_, str>, CellProblem> {
        if self == Self::default() {
            return Ok(Cow::Borrowed(cell));
        }
        match self.rewritten(cell) {
            Some(plain) if is_decimal(plain.as_bytes()) => Ok(Cow::Owned(plain)),
            _ if is_decimal(cell.as_bytes()) => Err(CellProblem::OtherPoint),
            _ if looks_grouped(cell) => Err(CellProblem::Groups),
            _ => Ok(Cow::Borrowed(cell)),
        }
    }

    /// Reads a finite number.
    pub(super) fn parse(self, cell: &str) -> Result<f64, CellProblem> {
        parse(&self.plain(cell)?)
    }

    /// Without what stands between thousands, and with a point; none where groups of digits are of another length than three.
    fn rewritten(self, cell: &str) -> Option<String> {
        let mark = if self.decimal_comma { ',' } else { '.' };
        let (whole, rest) = match cell.find([mark, 'e', 'E']) {
            Some(at) => cell.split_at(at),
            None => (cell, ""),
        };
        let mut plain = String::with_capacity(cell.len());
        match self.thousands {
            // Nobody groups the digits of a number with an exponent: its point or comma is another one.
            Some(thousands) if whole.contains(|letter| thousands.is(letter)) && rest.contains(['e', 'E']) => {
                return None;
            }
            Some(thousands) if whole.contains(|letter| thousands.is(letter)) => {
                let unsigned = whole.trim_start_matches(['+', '-']);
                plain.push_str(whole.get(..whole.len() - unsigned.len())?);
                for (i, group) in unsigned.split(|letter| thousands.is(letter)).enumerate() {
                    let digits = group.bytes().all(|byte| byte.is_ascii_digit());
                    // Nobody writes 0.123 for 123.
                    let length = match i {
                        0 => (1..=3).contains(&group.len()) && !group.starts_with('0'),
                        _ => group.len() == 3,
                    };
                    if !digits || !length {
                        return None;
                    }
                    plain.push_str(group);
                }
            }
            _ => plain.push_str(whole),
        }
        match rest.strip_prefix(mark) {
            // A point that is none of this file's would pass for one.
            Some(fraction) if !fraction.contains('.') => {
                plain.push('.');
                plain.push_str(fraction);
            }
            Some(_) => return None,
            None => plain.push_str(rest),
        }
        let stray = self.decimal_comma && plain.matches('.').count() > usize::from(rest.starts_with(mark));
        (!stray).then_some(plain)
    }
}

/// Whether a cell is a number in any of the ways in which they are written.
pub(super) fn is_number(cell: &str) -> bool {
    ways().any(|way| way.parse(cell).is_ok())
}

/// The ways in which numbers are written, the most common first.
pub(super) fn ways() -> impl Iterator<Item = Numbers> {
    let between = [
        None,
        Some(Thousands::Comma),
        Some(Thousands::Point),
        Some(Thousands::Blank),
        Some(Thousands::Apostrophe),
    ];
    let of = move |comma| between.into_iter().filter_map(move |thousands| Numbers::new(comma, thousands));
    of(false).take(1).chain(of(true).take(1)).chain(of(false).skip(1)).chain(of(true).skip(1))
}

/// Digits with points, commas, blanks or apostrophes between them, which are no day such as 29.02.2020.
fn looks_grouped(cell: &str) -> bool {
    let unsigned = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let lengths: Vec<usize> = unsigned.split('.').map(str::len).collect();
    if matches!(lengths.as_slice(), [1 | 2, 1 | 2, 2 | 4]) {
        return false;
    }
    let between = |letter: char| {
        [Thousands::Point, Thousands::Comma, Thousands::Blank, Thousands::Apostrophe]
            .iter()
            .any(|thousands| thousands.is(letter))
    };
    unsigned.starts_with(|first: char| first.is_ascii_digit())
        && unsigned.ends_with(|last: char| last.is_ascii_digit())
        && unsigned.chars().all(|letter| letter.is_ascii_digit() || between(letter))
        && unsigned.contains(between)
}

/// Reads a finite number. Negative zero becomes zero, so that equal numbers have equal bytes.
pub(crate) fn parse(text: &str) -> Result<f64, CellProblem> {
    if !is_decimal(text.as_bytes()) {
        return Err(explain(text));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number + 0.0),
        // The grammar is a subset of Rust's, so what is left are numbers beyond 1.8e308.
        _ => Err(CellProblem::NotFinite),
    }
}

/// Reads a whole number, in any form that a number has. `12.0` is one, because programs that keep gaps in a column as floats
/// write it so, and `1e+05` is one, because others shorten it so; `12.5` is none.
pub(super) fn whole(text: &str, numbers: Numbers) -> Result<f64, CellProblem> {
    let number = numbers.parse(text)?;
    if number.fract() == 0.0 { Ok(number) } else { Err(CellProblem::NotWhole) }
}

/// `[+-] digits [. digits] [e [+-] digits]`, with digits on at least one side of the point.
fn is_decimal(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = unsigned(text);
    let whole = digits(text);
    let (fraction, rest) = match text.split_at(whole).1 {
        [b'.', rest @ ..] => {
            let count = digits(rest);
            (count, rest.split_at(count).1)
        }
        rest => (0, rest),
    };
    let exponent_is_fine = match rest {
        [] => true,
        [b'e' | b'E', rest @ ..] => {
            let rest = unsigned(rest);
            !rest.is_empty() && digits(rest) == rest.len()
        }
        _ => false,
    };
    whole + fraction > 0 && exponent_is_fine
}

fn unsigned(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        text => text,
    }
}

fn explain(text: &str) -> CellProblem {
    let trimmed = text.trim();
    let unsigned = trimmed.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if text.is_empty() {
        CellProblem::Empty
    } else if trimmed.len() != text.len() && is_decimal(trimmed.as_bytes()) {
        CellProblem::Spaces
    } else if matches!(unsigned.as_str(), "inf" | "infinity" | "nan") {
        CellProblem::NotFinite
    } else if unsigned
        .strip_prefix("0x")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        CellProblem::Hexadecimal
    } else if trimmed.matches(',').count() == 1 && is_decimal(trimmed.replace(',', ".").as_bytes()) {
        match trimmed.trim_start_matches(['+', '-']).split_once(',') {
            Some((before, after))
                if (1..=3).contains(&before.len()) && !before.starts_with('0') && after.len() == 3 =>
            {
                CellProblem::CommaInDoubt
            }
            _ => CellProblem::DecimalComma,
        }
    } else if looks_grouped(trimmed) && is_grouped(trimmed) {
        CellProblem::Thousands
    } else {
        CellProblem::Text
    }
}

/// Whether it is a number with some sign between its thousands, and perhaps a fraction.
fn is_grouped(text: &str) -> bool {
    let every = [Thousands::Point, Thousands::Comma, Thousands::Blank, Thousands::Apostrophe];
    every.into_iter().any(|thousands| {
        [false, true]
            .into_iter()
            .filter_map(|comma| Numbers::new(comma, Some(thousands)))
            .any(|numbers| numbers.parse(text).is_ok())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_decimals() {
        for (text, number) in [
            ("0", 0.0_f64),
            ("-0", 0.0),
            ("+7", 7.0),
            ("17.99", 17.99),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("-2.5E-2", -0.025),
            ("007", 7.0),
        ] {
            assert_eq!(parse(text).unwrap().to_bits(), number.to_bits(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_no_fraction() {
        for (text, number) in [("12", 12.0), ("-3", -3.0), ("+7", 7.0), ("12.0", 12.0), ("1e+05", 1e5)] {
            assert_eq!(whole(text, Numbers::default()), Ok(number), "{text}");
        }
        assert_eq!(whole("-0.0", Numbers::default()).map(f64::to_bits), Ok(0));
        for (text, problem) in [
            ("12.5", CellProblem::NotWhole),
            ("1e-3", CellProblem::NotWhole),
            ("12,0", CellProblem::DecimalComma),
            ("twelve", CellProblem::Text),
        ] {
            assert_eq!(whole(text, Numbers::default()), Err(problem), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        use CellProblem::*;
        for (text, problem) in [
            ("", Empty),
            (".", Text),
            ("e5", Text),
            ("1e", Text),
            ("1e+", Text),
            ("+-1", Text),
            ("12O", Text),
            ("1_000", Text),
            ("1 000", Thousands),
            ("1'000'000", Thousands),
            ("1,234,567", Thousands),
            ("1.234.567", Thousands),
            ("1,234.5", Thousands),
            ("1.234,5", Thousands),
            ("03.04.2021", Text),
            ("250,000", CommaInDoubt),
            ("1234,567", DecimalComma),
            ("١٢", Text),
            (" 1", Spaces),
            ("1,5", DecimalComma),
            ("inf", NotFinite),
            ("-Infinity", NotFinite),
            ("NaN", NotFinite),
            ("1e999", NotFinite),
            ("0x1F", Hexadecimal),
        ] {
            assert_eq!(parse(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn numbers_of_other_countries() {
        let comma = Numbers::new(true, None).unwrap();
        let german = Numbers::new(true, Some(super::Thousands::Point)).unwrap();
        let french = Numbers::new(true, Some(super::Thousands::Blank)).unwrap();
        let english = Numbers::new(false, Some(super::Thousands::Comma)).unwrap();
        let swiss = Numbers::new(false, Some(super::Thousands::Apostrophe)).unwrap();
        assert_eq!(Numbers::new(true, Some(super::Thousands::Comma)), None);
        assert_eq!(Numbers::new(false, Some(super::Thousands::Point)), None);
        use CellProblem::*;
        for (numbers, cell, expected) in [
            (comma, "1,5", Ok(1.5)),
            (comma, "-2,5e3", Ok(-2500.0)),
            (comma, "12", Ok(12.0)),
            (comma, "1.5", Err(OtherPoint)),
            (comma, "1.234", Err(OtherPoint)),
            (comma, "1.234,5", Err(Groups)),
            (german, "1.234,5", Ok(1234.5)),
            (german, "1.234", Ok(1234.0)),
            (german, "1.5", Err(OtherPoint)),
            (german, "1234.567,0", Err(Groups)),
            (german, "1,5.0", Err(Groups)),
            (french, "1\u{202f}234\u{a0}567,25", Ok(1_234_567.25)),
            (french, "1 23", Err(Groups)),
            (english, "1,234,567.25", Ok(1_234_567.25)),
            (english, "250,000", Ok(250_000.0)),
            (english, "1,5", Err(Groups)),
            (english, "1.5", Ok(1.5)),
            (swiss, "1'234.5", Ok(1234.5)),
            (swiss, "1\u{2019}234", Ok(1234.0)),
            (german, "1.234e+01", Err(OtherPoint)),
            (german, "1,5e3", Ok(1500.0)),
            (english, "1,234e3", Err(DecimalComma)),
            (german, "ill", Err(Text)),
            (german, "", Err(Empty)),
            (german, "03.04.2021", Err(Text)),
        ] {
            assert_eq!(numbers.parse(cell), expected, "{numbers:?} {cell}");
        }
    }
}
