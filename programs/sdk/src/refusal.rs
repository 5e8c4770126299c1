//! How a program says that it gives no answer.

use crate::wire::WireError;

/// Why a program gives no answer.
///
/// Beside the rows of a site only the number crosses the border, so that a refusal tells nothing else of them. The public
/// half of a method, which sees no row, may say it in words ([`Refusal::Because`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The input is not what this program takes.
    Malformed,
    /// A value is missing and the study refuses missing values.
    MissingValue,
    /// The program's own words; from the public half of a method only.
    Because(String),
}

impl Refusal {
    /// A refusal in words: what does not fit, and what to do.
    pub fn because(why: impl Into<String>) -> Self {
        Refusal::Because(why.into())
    }

    /// The number handed to the host.
    pub fn code(&self) -> u32 {
        match self {
            Refusal::Malformed => 1,
            Refusal::MissingValue => 2,
            Refusal::Because(_) => 3,
        }
    }

    /// The refusal of a number, if it has one and needs no words.
    pub fn from_code(code: u32) -> Option<Self> {
        [Refusal::Malformed, Refusal::MissingValue].into_iter().find(|r| r.code() == code)
    }
}

impl From<WireError> for Refusal {
    fn from(_: WireError) -> Self {
        Refusal::Malformed
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Refusal::Malformed => f.write_str(
                "the input is not what this program takes; beside rows a program gives no other reason",
            ),
            Refusal::MissingValue => f.write_str("a value is missing and the study refuses missing values"),
            Refusal::Because(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_and_come_back() {
        assert_eq!(Refusal::Malformed.code(), 1);
        assert_eq!(Refusal::MissingValue.code(), 2);
        assert_eq!(Refusal::because("no").code(), 3);
        assert_eq!(Refusal::from_code(2), Some(Refusal::MissingValue));
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Refusal::from_code(3), None);
    }
}
