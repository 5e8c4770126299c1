//! How a program says that it gives no answer.

use crate::wire::WireError;

/// Why a program gives no answer. The number crosses the border, so it is the only thing that a refusal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Refusal {
    /// The input is not a job of this kind of program.
    Malformed = 1,
    /// A value is missing and the study refuses missing values.
    MissingValue = 2,
}

impl Refusal {
    /// The number handed to the host.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// The refusal of a number, if it has one.
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
        f.write_str(match self {
            Refusal::Malformed => "the input is not a job of this program",
            Refusal::MissingValue => "a value is missing and the study refuses missing values",
        })
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
        assert_eq!(Refusal::from_code(2), Some(Refusal::MissingValue));
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Refusal::from_code(3), None);
    }
}
