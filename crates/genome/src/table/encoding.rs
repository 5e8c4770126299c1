//! The canonical bytes of a table, version 2. Integers and floats are little endian.
//!
//! ```text
//! "HTBL"  version u16  columns u32  rows u32
//! columns × { length u16, name in UTF-8, kind u8, category only: levels u16 × { length u16, UTF-8 } }
//! rows    × { columns × value f64 }
//! ```
//!
//! Kinds: 0 a number, 1 a category, 2 a whole number, 3 a day. A kind that is added has a byte of its own, which earlier programs
//! refuse, and changes no table that has none of it; so the version stays. The leaves of a Merkle tree over a table are its columns ([`Table::schema_bytes`]), then
//! each row ([`Table::row_bytes`]): a commitment is one to names and kinds as well, and to no outcome.

use super::{Column, Kind, MAX_NAME_BYTES, Table, TableError};

/// Version of the encoding; a change of the layout changes it.
pub const ENCODING_VERSION: u16 = 2;

const MAGIC: [u8; 4] = *b"HTBL";
const NUMBER: u8 = 0;
const CATEGORY: u8 = 1;
const WHOLE: u8 = 2;
const DAY: u8 = 3;

impl Table {
    /// The canonical bytes of the whole table: magic, version, shape, [`schema_bytes`](Self::schema_bytes), then
    /// [`row_bytes`](Self::row_bytes) of every row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&ENCODING_VERSION.to_le_bytes());
        // The casts lose nothing: `Table::new` bounds both.
        out.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.rows() as u32).to_le_bytes());
        out.extend_from_slice(&self.schema_bytes());
        out.reserve(self.values.len().saturating_mul(8));
        self.values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        out
    }

    /// The canonical bytes of the columns: names, kinds, levels.
    #[must_use]
    pub fn schema_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        for column in &self.columns {
            text(&mut out, &column.name);
            match &column.kind {
                Kind::Number => out.push(NUMBER),
                Kind::Whole => out.push(WHOLE),
                Kind::Day => out.push(DAY),
                Kind::Category(levels) => {
                    out.push(CATEGORY);
                    out.extend_from_slice(&(levels.len() as u16).to_le_bytes());
                    levels.iter().for_each(|level| text(&mut out, level));
                }
            }
        }
        out
    }

    /// The canonical bytes of one row, `8 × columns` of them; `None` beyond the last row.
    #[must_use]
    pub fn row_bytes(&self, index: usize) -> Option<Vec<u8>> {
        Some(self.row(index)?.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// What a commitment to the table commits to, in order: its columns, then each row.
    pub fn leaves(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        std::iter::once(self.schema_bytes()).chain((0..self.rows()).filter_map(|row| self.row_bytes(row)))
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
            let name = text(&mut rest, "a column name")?;
            let kind = match take::<1>(&mut rest, "the kind of a column")? {
                [NUMBER] => Kind::Number,
                [WHOLE] => Kind::Whole,
                [DAY] => Kind::Day,
                [CATEGORY] => {
                    let count = u16::from_le_bytes(take(&mut rest, "the number of levels")?);
                    let levels = (0..count).map(|_| text(&mut rest, "a level"));
                    Kind::Category(levels.collect::<Result<_, _>>()?)
                }
                [other] => return refuse(format!("a column is of the unknown kind {other}")),
            };
            columns.push(Column { name, kind });
        }
        let length = columns.len().checked_mul(8).and_then(|row| row.checked_mul(row_count));
        if length != Some(rest.len()) {
            return refuse(format!("{} bytes do not hold {row_count} rows", rest.len()));
        }
        let bits: Vec<u64> = rest.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        let table = Self::new(columns, bits.iter().map(|bits| f64::from_bits(*bits)).collect())
            .map_err(|error| TableError::Encoding { reason: error.to_string() })?;
        if table.values.iter().zip(bits).any(|(value, bits)| value.to_bits() != bits) {
            return refuse("a value is a negative zero or an unusual NaN");
        }
        Ok(table)
    }
}

/// A text with its length before it.
fn text(rest: &mut &[u8], what: &str) -> Result<String, TableError> {
    let length = usize::from(u16::from_le_bytes(take(rest, what)?));
    let (text, after) = match rest.split_at_checked(length) {
        Some(parts) if length <= MAX_NAME_BYTES => parts,
        _ => return refuse(format!("{what} is too long")),
    };
    *rest = after;
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => refuse(format!("{what} is not UTF-8")),
    }
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
