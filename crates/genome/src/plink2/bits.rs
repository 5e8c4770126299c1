//! Bytes of a record from the front, and packed arrays in them.

use super::error::PgenProblem;

/// What is left of a record.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// So many bytes of a track.
    pub(super) fn take(&mut self, count: usize, track: &'static str) -> Result<&'a [u8], PgenProblem> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PgenProblem::Short(track))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self, track: &'static str) -> Result<u8, PgenProblem> {
        let (byte, rest) = self.0.split_first().ok_or(PgenProblem::Short(track))?;
        self.0 = rest;
        Ok(*byte)
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    pub(super) fn varint(&mut self, track: &'static str) -> Result<u32, PgenProblem> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte(track)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| PgenProblem::List);
            }
        }
        Err(PgenProblem::List)
    }

    /// A packed array of `count` values of `width` bits (1, 2, 4, or whole bytes), zeros behind the last one.
    pub(super) fn packed(
        &mut self,
        count: usize,
        width: usize,
        track: &'static str,
    ) -> Result<Packed<'a>, PgenProblem> {
        let bits = count.checked_mul(width).ok_or(PgenProblem::Short(track))?;
        let bytes = self.take(bits.div_ceil(8), track)?;
        if !bits.is_multiple_of(8) && bytes.last().is_some_and(|last| last >> (bits % 8) != 0) {
            return Err(PgenProblem::Padding(track));
        }
        Ok(Packed { bytes, width })
    }
}

/// A packed array.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a> {
    pub(super) bytes: &'a [u8],
    width: usize,
}

impl Packed<'_> {
    /// The value of an index; 0 beyond the last one.
    pub(super) fn get(&self, index: usize) -> u32 {
        let bit = index * self.width;
        let value = |count: usize| {
            let bytes = self.bytes.get(bit / 8..bit / 8 + count).unwrap_or_default();
            bytes.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte))
        };
        match self.width {
            0 => 0,
            1 | 2 | 4 => value(1) >> (bit % 8) & ((1 << self.width) - 1),
            width => value(width / 8),
        }
    }

    /// Bits that are set.
    pub(super) fn count_ones(&self) -> usize {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// The whole array as words of 64 bits.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.bytes
            .chunks(8)
            .map(|bytes| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        let check = |bytes: &[u8], expected| assert_eq!(Bytes(bytes).varint("x").ok(), expected);
        check(&[0], Some(0));
        check(&[0x88, 0x27], Some(5_000));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(u32::MAX));
        check(&[0xff, 0xff, 0xff, 0xff, 0x1f], None);
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0], None);
        check(&[0x80], None);
        check(&[], None);
    }

    #[test]
    fn packed_arrays() {
        let mut bytes = Bytes(&[0b11_10_01_00, 0b01, 7, 0, 9, 1]);
        let two = bytes.packed(5, 2, "x").unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(|index| two.get(index)), [0, 1, 2, 3, 1]);
        assert_eq!(two.count_ones(), 5);
        let wide = bytes.packed(2, 16, "x").unwrap();
        assert_eq!([wide.get(0), wide.get(1), wide.get(2)], [7, 265, 0]);
        assert_eq!(Bytes(&[0x10]).packed(4, 1, "x").err(), Some(PgenProblem::Padding("x")));
        assert_eq!(Bytes(&[0x10]).packed(9, 1, "x").err(), Some(PgenProblem::Short("x")));
    }
}
