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
        for &x in v {
            self.f64(x);
        }
        self
    }

    /// Appends a count and the bytes.
    pub fn bytes(&mut self, v: &[u8]) -> &mut Self {
        self.u32(v.len() as u32);
        self.0.extend_from_slice(v);
        self
    }
}

/// Reads values from bytes; never panics, never allocates more than the input could hold.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        if n > self.0.len() {
            return Err(WireError::Truncated);
        }
        let (head, tail) = self.0.split_at(n);
        self.0 = tail;
        Ok(head)
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
        if n > self.0.len() / 8 {
            return Err(WireError::Truncated);
        }
        (0..n).map(|_| self.f64()).collect()
    }

    /// A counted sequence of bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    /// Succeeds only when nothing is left.
    pub fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// The layout of a bare result vector: no count, 8 bytes a value.
pub fn encode_vector(v: &[f64]) -> Vec<u8> {
    let mut w = Writer::default();
    for &x in v {
        w.f64(x);
    }
    w.0
}

/// Reads a bare result vector.
pub fn decode_vector(bytes: &[u8]) -> Result<Vec<f64>, WireError> {
    if !bytes.len().is_multiple_of(8) {
        return Err(WireError::Truncated);
    }
    let mut r = Reader(bytes);
    (0..bytes.len() / 8).map(|_| r.f64()).collect()
}
