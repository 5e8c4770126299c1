//! The canonical bytes of a table, version 2. Integers and floats are little endian.
//!
//! ```text
//! "HTBL"  version u16  columns u32  rows u32
//! columns × { length u16, name in UTF-8, kind u8, category only: levels u16 × { length u16, UTF-8 },
//!             genotypes only: panel [u8; 32], variants u32 }
//! rows    × { columns × value f64, genotypes only: variants.div_ceil(32) × u64 }
//! ```
//!
//! Kinds: 0 a number, 1 a category, 2 a whole number, 3 a day, 4 genotypes (one column of a table at most). A kind that is added has a byte of its own, which earlier programs
//! refuse, and changes no table that has none of it; so the version stays. The leaves of a Merkle tree over a table are its columns ([`Table::schema_bytes`]), then
//! each row ([`Table::row_bytes`]): a commitment is one to names and kinds as well, and to no outcome.

use super::genotypes::width;
use super::{Column, Kind, MAX_NAME_BYTES, Table, TableError};

/// Version of the encoding; a change of the layout changes it.
pub const ENCODING_VERSION: u16 = 2;

const MAGIC: [u8; 4] = *b"HTBL";
const NUMBER: u8 = 0;
const CATEGORY: u8 = 1;
const WHOLE: u8 = 2;
const DAY: u8 = 3;
const GENOTYPES: u8 = 4;

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
        out.reserve(self.rows().saturating_mul(8 * (self.columns.len() + self.calls(0).len())));
        (0..self.rows()).for_each(|row| self.write_row(row, &mut out));
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
                Kind::Genotypes { panel, variants } => {
                    out.push(GENOTYPES);
                    out.extend_from_slice(panel);
                    out.extend_from_slice(&variants.to_le_bytes());
                }
                Kind::Category(levels) => {
                    out.push(CATEGORY);
                    out.extend_from_slice(&(levels.len() as u16).to_le_bytes());
                    levels.iter().for_each(|level| text(&mut out, level));
                }
            }
        }
        out
    }

    /// The canonical bytes of one row: `8 × columns` of its values, then its genotypes, where there are some; `None` beyond the last row.
    #[must_use]
    pub fn row_bytes(&self, index: usize) -> Option<Vec<u8>> {
        self.row(index)?;
        let mut out = Vec::new();
        self.write_row(index, &mut out);
        Some(out)
    }

    fn write_row(&self, index: usize, out: &mut Vec<u8>) {
        self.row(index).unwrap_or(&[]).iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        self.calls(index).iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
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
        let (mut columns, mut genotypes) = (Vec::new(), None);
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
                [GENOTYPES] => {
                    let panel = take(&mut rest, "the panel of genotypes")?;
                    let variants = u32::from_le_bytes(take(&mut rest, "the number of variants")?);
                    if genotypes.replace((columns.len(), name.clone(), panel, variants)).is_some() {
                        return refuse("two columns are of genotypes");
                    }
                    continue;
                }
                [other] => return refuse(format!("a column is of the unknown kind {other}")),
            };
            columns.push(Column { name, kind });
        }
        let (own, calls) = (8 * column_count, genotypes.as_ref().map_or(0, |g| 8 * width(g.3)));
        if (own + calls).checked_mul(row_count) != Some(rest.len()) {
            return refuse(format!("{} bytes do not hold {row_count} rows", rest.len()));
        }
        let words = |bytes: &[u8]| -> Vec<u64> {
            bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect()
        };
        let (mut bits, mut called) = (Vec::new(), Vec::new());
        for row in rest.chunks_exact((own + calls).max(1)) {
            bits.extend(words(&row[..own]));
            called.extend(words(&row[own..]));
        }
        let no_table = |error: TableError| TableError::Encoding { reason: error.to_string() };
        // The values of genotypes follow from them.
        let given = bits
            .iter()
            .enumerate()
            .filter(|(i, _)| genotypes.as_ref().is_none_or(|g| i % column_count != g.0));
        let mut table =
            Self::new(columns, given.map(|(_, bits)| f64::from_bits(*bits)).collect()).map_err(no_table)?;
        if let Some((at, name, panel, variants)) = genotypes {
            table = table.with_genotypes(at, &name, (panel, variants), called).map_err(no_table)?;
        }
        if table.values.iter().zip(&bits).any(|(value, bits)| value.to_bits() != *bits) {
            return refuse(match table.calls {
                None => "a value is a negative zero or an unusual NaN",
                Some(_) => {
                    "a value is a negative zero, an unusual NaN, or not the number of missing genotypes"
                }
            });
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
