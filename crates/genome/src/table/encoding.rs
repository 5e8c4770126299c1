//! The canonical bytes of a table, version 1. Integers and floats are little endian.
//!
//! ```text
//! "HTBL"  version u16  columns u32  rows u32
//! columns × { length u16, name in UTF-8 }
//! rows    × { columns × value f64, label u8 (0 or 1) }
//! ```
//!
//! A row of a Merkle tree is exactly one `{ values, label }` block, so leaves can be cut out of the encoding.

use super::{MAX_NAME_BYTES, Table, TableError};

/// Version of the encoding; a change of the layout changes it.
pub const ENCODING_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"HTBL";

impl Table {
    /// The canonical bytes of the whole table: [`header_bytes`](Self::header_bytes), then
    /// [`row_bytes`](Self::row_bytes) of every row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.header_bytes();
        out.reserve(self.rows().saturating_mul(row_length(self.columns.len())));
        for index in 0..self.rows() {
            self.push_row(index, &mut out);
        }
        out
    }

    /// The canonical bytes before the first row: magic, version, shape, names.
    #[must_use]
    pub fn header_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&ENCODING_VERSION.to_le_bytes());
        // The casts lose nothing: `Table::new` bounds all three.
        out.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.labels.len() as u32).to_le_bytes());
        for name in &self.columns {
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
        }
        out
    }

    /// The canonical bytes of one row, `8 × columns + 1` of them; `None` beyond the last row.
    #[must_use]
    pub fn row_bytes(&self, index: usize) -> Option<Vec<u8>> {
        self.labels.get(index)?;
        let mut out = Vec::with_capacity(row_length(self.columns.len()));
        self.push_row(index, &mut out);
        Some(out)
    }

    /// Reads what [`encode`](Self::encode) wrote, and nothing else: every table has one encoding.
    ///
    /// # Errors
    /// [`TableError::Encoding`] for another version, a length that does not fit, names or values that a table cannot
    /// have, or values in a non-canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        let mut rest = bytes;
        if take::<4>(&mut rest, "the magic number")? != MAGIC {
            return refuse("they do not start with HTBL");
        }
        let version = u16::from_le_bytes(take(&mut rest, "the version")?);
        if version != ENCODING_VERSION {
            return refuse(format!(
                "version {version} is unknown, this program reads version {ENCODING_VERSION}"
            ));
        }
        let column_count = u32::from_le_bytes(take(&mut rest, "the number of columns")?) as usize;
        let row_count = u32::from_le_bytes(take(&mut rest, "the number of rows")?) as usize;

        // No capacity from numbers that are not checked yet: the names below run out of bytes first.
        let mut columns = Vec::new();
        for _ in 0..column_count {
            let length = usize::from(u16::from_le_bytes(take(&mut rest, "a column name")?));
            let (name, after) = match rest.split_at_checked(length) {
                Some(parts) if length <= MAX_NAME_BYTES => parts,
                _ => return refuse("a column name is too long"),
            };
            rest = after;
            match std::str::from_utf8(name) {
                Ok(name) => columns.push(name.to_owned()),
                Err(_) => return refuse("a column name is not UTF-8"),
            }
        }
        let row_length = row_length(columns.len());
        if row_length.checked_mul(row_count) != Some(rest.len()) {
            return refuse(format!("{} bytes do not hold {row_count} rows", rest.len()));
        }
        let mut values = Vec::with_capacity(row_count.saturating_mul(columns.len()));
        let mut labels = Vec::with_capacity(row_count);
        for _ in 0..row_count {
            for _ in 0..columns.len() {
                values.push(f64::from_le_bytes(take(&mut rest, "a value")?));
            }
            match take::<1>(&mut rest, "a label")? {
                [0] => labels.push(false),
                [1] => labels.push(true),
                _ => return refuse("a label is neither 0 nor 1"),
            }
        }
        let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
        let table = Self::new(columns, values, labels)
            .map_err(|error| TableError::Encoding { reason: error.to_string() })?;
        if table.values.iter().zip(bits).any(|(value, bits)| value.to_bits() != bits) {
            return refuse("a value is a negative zero or an unusual NaN");
        }
        Ok(table)
    }

    fn push_row(&self, index: usize, out: &mut Vec<u8>) {
        for value in self.row(index).unwrap_or_default() {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.push(u8::from(self.labels.get(index) == Some(&true)));
    }
}

fn row_length(columns: usize) -> usize {
    columns.saturating_mul(8).saturating_add(1)
}

fn take<const N: usize>(rest: &mut &[u8], what: &str) -> Result<[u8; N], TableError> {
    match rest.split_first_chunk::<N>() {
        Some((bytes, after)) => {
            *rest = after;
            Ok(*bytes)
        }
        None => refuse(format!("they end inside {what}")),
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, TableError> {
    Err(TableError::Encoding { reason: reason.into() })
}
