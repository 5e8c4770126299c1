//! The versions of the format, in their order.

use std::fmt;

/// What `##fileformat` names. Later versions compare as greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `VCFv4.1`
    V41,
    /// `VCFv4.2`
    V42,
    /// `VCFv4.3`
    V43,
    /// `VCFv4.4`
    V44,
    /// `VCFv4.5`
    V45,
}

impl Version {
    /// Reads the value of `##fileformat`.
    pub(super) fn from_value(value: &[u8]) -> Option<Self> {
        match value {
            b"VCFv4.1" => Some(Self::V41),
            b"VCFv4.2" => Some(Self::V42),
            b"VCFv4.3" => Some(Self::V43),
            b"VCFv4.4" => Some(Self::V44),
            b"VCFv4.5" => Some(Self::V45),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V41 => "VCFv4.1",
            Self::V42 => "VCFv4.2",
            Self::V43 => "VCFv4.3",
            Self::V44 => "VCFv4.4",
            Self::V45 => "VCFv4.5",
        })
    }
}
