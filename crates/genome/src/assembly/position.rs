//! Positions that are never 0.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::PlaceError;

/// A position on a chromosome, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(NonZeroU32);

impl Position {
    /// The number, from 1.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u32> for Position {
    type Error = PlaceError;

    fn try_from(number: u32) -> Result<Self, PlaceError> {
        NonZeroU32::new(number).map(Self).ok_or(PlaceError::Position)
    }
}

impl FromStr for Position {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        // `parse` of the standard library also takes a plus sign.
        if !text.bytes().all(|c| c.is_ascii_digit()) {
            return Err(PlaceError::Position);
        }
        text.parse().map(Self).map_err(|_| PlaceError::Position)
    }
}
