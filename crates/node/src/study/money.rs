//! Amounts: decimals in the study file, integers everywhere else.

use std::fmt;

use serde::Deserialize;

const MICRO: u64 = 1_000_000;

/// An amount of money in millionths of a token. Displays in tokens: `2.5`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tokens(u64);

impl Tokens {
    /// From millionths of a token.
    #[must_use]
    pub const fn from_micro(micro: u64) -> Self {
        Self(micro)
    }

    /// In millionths of a token, the unit of the ledger.
    #[must_use]
    pub const fn micro(self) -> u64 {
        self.0
    }

    /// This amount `times` over; `None` when it does not fit.
    #[must_use]
    pub fn checked_mul(self, times: u64) -> Option<Self> {
        self.0.checked_mul(times).map(Self)
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.0, MICRO)
    }
}

/// A share in hundredths of a percent, at most 10,000. Displays in percent: `12.5 %`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// The whole, 100 %.
    pub const WHOLE: u16 = 10_000;

    /// In hundredths of a percent.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    pub(super) fn parse(amount: &Amount) -> Result<Self, String> {
        let points = parse_decimal(&amount.0, 2)
            .map_err(|reason| format!("`{}` is not a share in percent: {reason}", amount.0))?;
        match u16::try_from(points) {
            Ok(points) if points <= Self::WHOLE => Ok(Self(points)),
            _ => Err(format!("`{}` is more than 100 percent", amount.0)),
        }
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, u64::from(self.0), 100)?;
        f.write_str(" %")
    }
}

/// A decimal as written in TOML: a string, an integer or a float. A float is taken at its shortest decimal form, which is
/// what was typed, so `0.1` is a tenth exactly.
pub(super) struct Amount(String);

impl Amount {
    pub(super) fn tokens(&self) -> Result<Tokens, String> {
        parse_decimal(&self.0, 6)
            .map(Tokens)
            .map_err(|reason| format!("`{}` is not an amount of tokens: {reason}", self.0))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as 50 or \"2.5\"")
            }

            fn visit_str<E>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads `digits[.digits]` with at most `places` digits after the point, as an integer of the smallest unit.
fn parse_decimal(text: &str, places: usize) -> Result<u64, &'static str> {
    let too_long = match places {
        2 => "at most 2 decimals are possible",
        _ => "at most 6 decimals are possible",
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.starts_with('-') {
        return Err("it is negative");
    }
    if !all_digits(whole) || !all_digits(fraction) {
        return Err("write a plain decimal such as 50 or 2.5");
    }
    if fraction.len() > places {
        return Err(too_long);
    }
    // Padding with zeros turns "2.5" into 2500000 of the smallest unit.
    format!("{whole}{fraction:0<places$}").parse().map_err(|_| "it is too large")
}

fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, unit: u64) -> fmt::Result {
    let places = unit.ilog10() as usize;
    let fraction = format!("{:0places$}", value % unit);
    match fraction.trim_end_matches('0') {
        "" => write!(f, "{}", value / unit),
        fraction => write!(f, "{}.{fraction}", value / unit),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn decimals_become_integers_and_back() {
        for (text, micro, shown) in [
            ("50", 50_000_000, "50"),
            ("2.5", 2_500_000, "2.5"),
            ("0", 0, "0"),
            ("0.000001", 1, "0.000001"),
            ("007.10", 7_100_000, "7.1"),
            ("18446744073709.551615", u64::MAX, "18446744073709.551615"),
        ] {
            let tokens = Amount(text.into()).tokens().unwrap();
            assert_eq!((tokens.micro(), tokens.to_string().as_str()), (micro, shown), "{text}");
        }
        assert_eq!(BasisPoints::parse(&Amount("12.5".into())).unwrap().to_string(), "12.5 %");
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, reason) in [
            ("-1", "it is negative"),
            ("1.0000001", "at most 6 decimals are possible"),
            ("18446744073709.551616", "it is too large"),
            ("99999999999999999999999999", "it is too large"),
            ("", "write a plain decimal such as 50 or 2.5"),
            ("1.", "write a plain decimal such as 50 or 2.5"),
            (".5", "write a plain decimal such as 50 or 2.5"),
            ("+1", "write a plain decimal such as 50 or 2.5"),
            ("1e3", "write a plain decimal such as 50 or 2.5"),
            ("inf", "write a plain decimal such as 50 or 2.5"),
            ("1,5", "write a plain decimal such as 50 or 2.5"),
        ] {
            assert_eq!(parse_decimal(text, 6), Err(reason), "{text}");
        }
        assert!(BasisPoints::parse(&Amount("100.01".into())).is_err());
        assert!(BasisPoints::parse(&Amount("1.005".into())).is_err());
    }
}
