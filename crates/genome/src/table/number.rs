//! Numbers as people write them in tables: plain or scientific decimals, nothing else.

use super::error::CellProblem;

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
pub(super) fn whole(text: &str) -> Result<f64, CellProblem> {
    let number = parse(text)?;
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
        CellProblem::DecimalComma
    } else {
        CellProblem::Text
    }
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
            assert_eq!(whole(text), Ok(number), "{text}");
        }
        assert_eq!(whole("-0.0").map(f64::to_bits), Ok(0));
        for (text, problem) in [
            ("12.5", CellProblem::NotWhole),
            ("1e-3", CellProblem::NotWhole),
            ("12,0", CellProblem::DecimalComma),
            ("twelve", CellProblem::Text),
        ] {
            assert_eq!(whole(text), Err(problem), "{text}");
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
            ("1 000", Text),
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
}
