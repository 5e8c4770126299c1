//! Little-endian byte layout of jobs and results: fixed-width numbers, `u32` counts before sequences.

/// Why bytes are not a job or a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end before the value does.
    Truncated,
    /// Bytes are left after the value.
    Trailing,
    /// The version byte is not one this code knows.
    Version(u8),
    /// A tag, flag or count is outside of its range; the name says which.
    Invalid(&'static str),
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            WireError::Truncated => f.write_str("the encoding ends too early"),
            WireError::Trailing => f.write_str("the encoding has bytes after its end"),
            WireError::Version(v) => write!(f, "unknown encoding version {v}"),
            WireError::Invalid(what) => write!(f, "invalid {what} in the encoding"),
        }
    }
}

impl core::error::Error for WireError {}

/// Appends values to a byte vector.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Appends one byte.
    pub fn u8(&mut self, v: u8) -> &mut Self {
        self.0.push(v);
        self
    }

    /// Appends a `u32`.
    pub fn u32(&mut self, v: u32) -> &mut Self {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    /// Appends an `f64` by its bits; every NaN becomes the one canonical NaN.
    pub fn f64(&mut self, v: f64) -> &mut Self {
        let v = if v.is_nan() { f64::NAN } else { v };
        self.0.extend_from_slice(&v.to_bits().to_le_bytes());
        self
    }

    /// Appends a count and the values.
    pub fn f64s(&mut self, v: &[f64]) -> &mut Self {
        self.u32(v.len() as u32);
        self.bare(v);
        self
    }

    /// Appends values without a count; in one loop that has no calls, because all rows of a site pass here.
    fn bare(&mut self, v: &[f64]) {
        let before = self.0.len();
        self.0.resize(before + 8 * v.len(), 0);
        for (to, &x) in self.0[before..].as_chunks_mut().0.iter_mut().zip(v) {
            *to = if x.is_nan() { f64::NAN } else { x }.to_bits().to_le_bytes();
        }
    }

    /// Appends a count and the bytes.
    pub fn bytes(&mut self, v: &[u8]) -> &mut Self {
        self.u32(v.len() as u32);
        self.0.extend_from_slice(v);
        self
    }
}

/// Bytes of memory that the lists of one encoding may take beyond the bytes that they are read from. An empty list has four
/// bytes and takes six times as many: without a limit the largest output of a program would fill its host's memory.
pub const MAX_SPARE: usize = 64 << 20;

/// Most elements of a list whose elements have no bytes at all.
pub const MAX_EMPTY: usize = 1 << 16;

/// Reads values from bytes; never panics, never allocates more than the input has and [`MAX_SPARE`].
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    spare: usize,
}

impl<'a> Reader<'a> {
    /// Reads these bytes from their beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes, spare: MAX_SPARE }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        if n > self.rest.len() {
            return Err(WireError::Truncated);
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    /// An empty list with room for `n` values that have `least` bytes each at the least, when that many can follow and the
    /// memory for them is left.
    fn list<T>(&mut self, n: usize, least: usize) -> Result<Vec<T>, WireError> {
        if n > self.rest.len().checked_div(least).unwrap_or(MAX_EMPTY) {
            return Err(WireError::Truncated);
        }
        let spare = n.saturating_mul(size_of::<T>().saturating_sub(least));
        self.spare = self.spare.checked_sub(spare).ok_or(WireError::Invalid("size of the lists"))?;
        Ok(Vec::with_capacity(n))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError::Truncated)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    /// A `u32`.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// An `f64` by its bits.
    pub fn f64(&mut self) -> Result<f64, WireError> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    /// A counted sequence of `f64`.
    pub fn f64s(&mut self) -> Result<Vec<f64>, WireError> {
        let n = self.u32()? as usize;
        let bytes = self.take(n.checked_mul(8).ok_or(WireError::Truncated)?)?;
        Ok(numbers(bytes))
    }

    /// A counted sequence of bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    /// Succeeds only when nothing is left.
    pub fn end(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// A value with one layout. `read(write(v)) = v`, and what cannot be read is an error and no panic.
pub trait Wire: Sized {
    /// Bytes that every value has at the least.
    const LEAST: usize;

    /// Appends the value.
    fn write(&self, w: &mut Writer);

    /// Reads the value.
    fn read(r: &mut Reader<'_>) -> Result<Self, WireError>;

    /// The whole encoding.
    fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::default();
        self.write(&mut w);
        w.0
    }

    /// Reads a whole encoding; nothing may be left.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let value = Self::read(&mut r)?;
        r.end()?;
        Ok(value)
    }
}

macro_rules! number {
    ($($type:ty),*) => { $(
        impl Wire for $type {
            const LEAST: usize = size_of::<$type>();

            fn write(&self, w: &mut Writer) {
                w.0.extend_from_slice(&self.to_le_bytes());
            }

            fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(<$type>::from_le_bytes(r.array()?))
            }
        }
    )* };
}

number!(u8, u16, u32, u64);

impl Wire for f64 {
    const LEAST: usize = 8;

    fn write(&self, w: &mut Writer) {
        w.f64(*self);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        r.f64()
    }
}

impl Wire for bool {
    const LEAST: usize = 1;

    fn write(&self, w: &mut Writer) {
        w.u8(u8::from(*self));
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        match r.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Invalid("yes or no")),
        }
    }
}

impl Wire for String {
    const LEAST: usize = 4;

    fn write(&self, w: &mut Writer) {
        w.bytes(self.as_bytes());
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let text = core::str::from_utf8(r.bytes()?).map_err(|_| WireError::Invalid("text"))?;
        Ok(text.to_owned())
    }
}

impl<T: Wire> Wire for Vec<T> {
    const LEAST: usize = 4;

    fn write(&self, w: &mut Writer) {
        w.u32(self.len() as u32);
        self.iter().for_each(|v| v.write(w));
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let n = r.u32()? as usize;
        let mut values = r.list(n, T::LEAST)?;
        for _ in 0..n {
            values.push(T::read(r)?);
        }
        Ok(values)
    }
}

impl<T: Wire> Wire for Option<T> {
    const LEAST: usize = 1;

    fn write(&self, w: &mut Writer) {
        self.is_some().write(w);
        if let Some(value) = self {
            value.write(w);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(if bool::read(r)? { Some(T::read(r)?) } else { None })
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    const LEAST: usize = A::LEAST + B::LEAST;

    fn write(&self, w: &mut Writer) {
        self.0.write(w);
        self.1.write(w);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok((A::read(r)?, B::read(r)?))
    }
}

/// Gives structs and enums the layout of their fields, one after the other; an enum has a byte in front that counts its
/// variants from 0.
///
/// ```
/// histone_program_sdk::wire! {
///     /// Where a search stands.
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct Search {
///         /// Below it.
///         pub low: f64,
///         /// How many.
///         pub counts: Vec<u64>,
///     }
/// }
/// histone_program_sdk::wire! {
///     /// What to do.
///     #[derive(Debug, Clone, PartialEq)]
///     pub enum Step {
///         /// Count.
///         Count { search: Search },
///         /// Nothing more.
///         End {},
///     }
/// }
/// # use histone_program_sdk::wire::Wire;
/// # let step = Step::Count { search: Search { low: 1.5, counts: vec![3] } };
/// # assert_eq!(Step::from_bytes(&step.to_bytes()), Ok(step));
/// ```
#[macro_export]
macro_rules! wire {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])* $vis struct $name { $($(#[$field_meta])* $field_vis $field: $type,)* }

        impl $crate::wire::Wire for $name {
            const LEAST: usize = 0 $(+ <$type as $crate::wire::Wire>::LEAST)*;

            fn write(&self, w: &mut $crate::wire::Writer) {
                $($crate::wire::Wire::write(&self.$field, w);)*
            }

            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::WireError> {
                $(let $field = $crate::wire::Wire::read(r)?;)*
                Ok(Self { $($field,)* })
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? },)*
    }) => {
        $(#[$meta])* $vis enum $name {
            $($(#[$variant_meta])* $variant { $($(#[$field_meta])* $field: $type,)* },)*
        }

        impl $crate::wire::Wire for $name {
            const LEAST: usize = 1;

            fn write(&self, w: &mut $crate::wire::Writer) {
                let mut tag = 0;
                $(
                    if let Self::$variant { $($field,)* } = self {
                        w.u8(tag);
                        $($crate::wire::Wire::write($field, w);)*
                        return;
                    }
                    tag += 1;
                )*
                let _ = tag;
            }

            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::WireError> {
                let found = r.u8()?;
                let mut tag = 0;
                $(
                    if found == tag {
                        $(let $field = $crate::wire::Wire::read(r)?;)*
                        return Ok(Self::$variant { $($field,)* });
                    }
                    tag += 1;
                )*
                let _ = tag;
                Err($crate::wire::WireError::Invalid(stringify!($name)))
            }
        }
    };
}

/// The layout of a bare result vector: no count, 8 bytes a value.
pub fn encode_vector(v: &[f64]) -> Vec<u8> {
    let mut w = Writer::default();
    w.bare(v);
    w.0
}

/// Reads a bare result vector.
pub fn decode_vector(bytes: &[u8]) -> Result<Vec<f64>, WireError> {
    if !bytes.len().is_multiple_of(8) {
        return Err(WireError::Truncated);
    }
    Ok(numbers(bytes))
}

/// All numbers of these bytes; in one loop that has no calls, because all rows of a site pass here.
fn numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|bits| f64::from_le_bytes(*bits)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A module says that its answer has millions of empty lists, or more elements than there are bytes for.
    #[test]
    fn lists_take_no_more_memory_than_is_spared() {
        let empty_lists = |n: usize| {
            let mut bytes = vec![0; 4 + 4 * n];
            bytes[..4].copy_from_slice(&(n as u32).to_le_bytes());
            Vec::<Vec<u64>>::from_bytes(&bytes)
        };
        assert_eq!(empty_lists(1 << 16).unwrap().len(), 1 << 16);
        assert_eq!(empty_lists(16 << 20), Err(WireError::Invalid("size of the lists")));
        // Many small lists together are as many.
        let inner = [vec![0, 0, 1, 0], vec![0; 4 << 16]].concat();
        let outer = [vec![64, 0, 0, 0], inner.repeat(64)].concat();
        let nested = Vec::<Vec<String>>::from_bytes(&outer);
        assert_eq!(nested, Err(WireError::Invalid("size of the lists")));
        // Plain numbers take what they have.
        assert_eq!(Vec::<u32>::from_bytes(&[2, 0, 0, 0, 1, 0, 0, 0]), Err(WireError::Truncated));
        assert_eq!(Vec::<u64>::from_bytes(&Vec::<u64>::from([7; 3]).to_bytes()), Ok(vec![7; 3]));
        // Values without bytes have a limit of their own.
        #[derive(Debug, PartialEq)]
        struct Nothing;
        impl Wire for Nothing {
            const LEAST: usize = 0;

            fn write(&self, _: &mut Writer) {}

            fn read(_: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Nothing)
            }
        }
        assert_eq!(Vec::<Nothing>::from_bytes(&[3, 0, 0, 0]).unwrap().len(), 3);
        assert_eq!(Vec::<Nothing>::from_bytes(&[255; 4]), Err(WireError::Truncated));
    }
}
