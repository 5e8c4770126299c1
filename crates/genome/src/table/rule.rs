//! Which labels count as positive.

use std::fmt;
use std::str::FromStr;

use super::{TableError, number};

/// A rule for positive labels: a comparison and a number, such as `> 0`. The default is `== 1`.
///
/// ```
/// use histone_genome::table::Positive;
///
/// let ill: Positive = "> 0".parse()?;
/// assert!(ill.holds(3.0) && !ill.holds(0.0));
/// # Ok::<(), histone_genome::table::TableError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Positive {
    comparison: Comparison,
    number: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}

// The two-character signs come first, because a sign is found by its prefix.
const SIGNS: [(&str, Comparison); 6] = [
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
];

impl Positive {
    /// True when a label with this value is positive.
    #[must_use]
    pub fn holds(&self, label: f64) -> bool {
        match self.comparison {
            Comparison::Greater => label > self.number,
            Comparison::GreaterOrEqual => label >= self.number,
            Comparison::Equal => label == self.number,
            Comparison::NotEqual => label != self.number,
            Comparison::Less => label < self.number,
            Comparison::LessOrEqual => label <= self.number,
        }
    }
}

impl Default for Positive {
    fn default() -> Self {
        Self { comparison: Comparison::Equal, number: 1.0 }
    }
}

impl FromStr for Positive {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        let refuse = || TableError::Rule { text: text.to_owned() };
        let (rest, comparison) = SIGNS
            .iter()
            .find_map(|(sign, comparison)| Some((text.trim().strip_prefix(sign)?, *comparison)))
            .ok_or_else(refuse)?;
        let number = number::parse(rest.trim()).map_err(|_| refuse())?;
        Ok(Self { comparison, number })
    }
}

impl fmt::Display for Positive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS
            .iter()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("==", |(sign, _)| sign);
        write!(f, "{sign} {}", self.number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn compares() {
        for (text, below, equal, above) in [
            ("> 2", false, false, true),
            (">=2", false, true, true),
            ("== 2.0", false, true, false),
            ("!= 2", true, false, true),
            ("<2", true, false, false),
            ("<= 2e0", true, true, false),
        ] {
            let rule: Positive = text.parse().unwrap();
            assert_eq!([rule.holds(1.0), rule.holds(2.0), rule.holds(3.0)], [below, equal, above], "{text}");
            assert_eq!(rule.to_string().parse::<Positive>().unwrap(), rule);
        }
    }

    #[test]
    fn refuses() {
        for text in ["", "1", "= 1", "=> 1", "> x", "> inf", ">", "> 1 2"] {
            assert!(text.parse::<Positive>().is_err(), "{text}");
        }
    }
}
