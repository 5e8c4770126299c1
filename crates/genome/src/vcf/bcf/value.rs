//! Typed values (VCF 4.3, section 6.3.3).

use super::BcfProblem;

/// Types of atoms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    Missing,
    Int8,
    Int16,
    Int32,
    Float,
    Char,
}

impl Atom {
    pub(super) fn size(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Int8 | Self::Char => 1,
            Self::Int16 => 2,
            Self::Int32 | Self::Float => 4,
        }
    }
}

/// A whole number, or one of the two that mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Int {
    Value(i32),
    Missing,
    /// The vector is shorter than its room.
    End,
}

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], BcfProblem> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BcfProblem::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BcfProblem> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(BcfProblem::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, BcfProblem> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, BcfProblem> {
        self.array().map(i32::from_le_bytes)
    }

    /// The type and the number of values that follow.
    pub(super) fn descriptor(&mut self) -> Result<(Atom, usize), BcfProblem> {
        let [byte] = self.array()?;
        let atom = match byte & 15 {
            0 => Atom::Missing,
            1 => Atom::Int8,
            2 => Atom::Int16,
            3 => Atom::Int32,
            5 => Atom::Float,
            7 => Atom::Char,
            _ => return Err(BcfProblem::Value),
        };
        let count = match byte >> 4 {
            // The number does not fit into four bits and follows. It is itself a single number: no recursion.
            15 => match self.descriptor_of_one()? {
                Int::Value(count) => usize::try_from(count).map_err(|_| BcfProblem::Value)?,
                _ => return Err(BcfProblem::Value),
            },
            count => usize::from(count),
        };
        Ok((atom, count))
    }

    fn descriptor_of_one(&mut self) -> Result<Int, BcfProblem> {
        let [byte] = self.array()?;
        match byte {
            0x11 => self.int(Atom::Int8),
            0x12 => self.int(Atom::Int16),
            0x13 => self.int(Atom::Int32),
            _ => Err(BcfProblem::Value),
        }
    }

    /// One whole number with its descriptor.
    pub(super) fn typed_int(&mut self) -> Result<i32, BcfProblem> {
        match self.descriptor_of_one()? {
            Int::Value(value) => Ok(value),
            _ => Err(BcfProblem::Value),
        }
    }

    pub(super) fn int(&mut self, atom: Atom) -> Result<Int, BcfProblem> {
        let bytes = self.take(atom.size())?;
        int(bytes, atom).ok_or(BcfProblem::Value)
    }

    /// A text with its descriptor; the empty one is a dot.
    pub(super) fn text(&mut self) -> Result<&'a str, BcfProblem> {
        match self.descriptor()? {
            (Atom::Missing, 0) | (Atom::Char, 0) => Ok("."),
            (Atom::Char, count) => std::str::from_utf8(self.take(count)?).map_err(|_| BcfProblem::Text),
            _ => Err(BcfProblem::Value),
        }
    }
}

/// One whole number; `None` when the atom is no number.
pub(super) fn int(bytes: &[u8], atom: Atom) -> Option<Int> {
    let (value, smallest) = match (atom, bytes) {
        (Atom::Int8, &[a]) => (i32::from(i8::from_le_bytes([a])), i32::from(i8::MIN)),
        (Atom::Int16, &[a, b]) => (i32::from(i16::from_le_bytes([a, b])), i32::from(i16::MIN)),
        (Atom::Int32, &[a, b, c, d]) => (i32::from_le_bytes([a, b, c, d]), i32::MIN),
        _ => return None,
    };
    // The eight smallest are reserved; two have a meaning.
    match i64::from(value) - i64::from(smallest) {
        0 => Some(Int::Missing),
        1 => Some(Int::End),
        2..8 => None,
        _ => Some(Int::Value(value)),
    }
}
