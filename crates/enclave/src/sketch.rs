//! Finding the same table again: keyed sketches, made inside a validation enclave and compared there.
//!
//! 1. A [`SketchKey`] is a secret of the validation enclaves of one ledger; without it a sketch says nothing about a row.
//! 2. [`Sketch::of`] reduces a table to at most [`LOWEST`] row fingerprints of eight bytes.
//! 3. [`Sketch::overlap`] tells whether one of two tables is contained in the other. [`index`] keeps the sketches and
//!    decides what follows.
//!
//! # What a fingerprint covers
//!
//! All numbers of a row, whole ones and days among them, by the names of their columns, in whatever order the columns are. Not the categories, of which an
//! outcome may be one, unless a table has no numbers: the same people with another yes or no are the same people. A value
//! counts with its first nine binary digits, cut at places that the key decides, so that whoever shifts every value by a millionth changes few rows and cannot choose which.
//!
//! # When two tables are the same
//!
//! Repeated rows count once. At least 90 % of the distinct rows of one table are in the other, at least [`LEAST_COMMON`]
//! of them, and the other one is *distinctive*: more than half of its rows occur once. (That share estimates how many rows
//! of a stranger from the same population would be new to it, after Good and Turing; in a table with three yes/no columns
//! every stranger's row is already there, and nothing follows from finding it.) Where that cannot be said, two tables are
//! the same when they have the same rows, each as often. Tables of up to [`LOWEST`] distinct rows are compared exactly;
//! of larger ones those rows are compared whose fingerprints are lowest, which is a random sample of the same rows on both
//! sides.
//!
//! # What is not found
//!
//! A table with renamed, added or left out columns (it does not fit the same white paper), with values shifted by more
//! than about a part in 3,000 divided by the number of columns, or in other units; a table that shares less than 90 % of its rows, or one whose rows are mostly
//! repeated and of which a few were changed. Whoever goes that far can as well invent rows, which no comparison finds.

pub mod index;

use std::fmt;

use histone_genome::table::{Column, Table};
use histone_program_sdk::wire::{Reader, WireError, Writer};
use histone_protocol::secret::Root;
use zeroize::Zeroizing;

/// Most fingerprints that a sketch holds.
pub const LOWEST: usize = 2_048;
/// Rows that two tables must have in common before one counts as contained in the other: as many as the smallest table
/// that a study takes.
pub const LEAST_COMMON: usize = 20;
/// The share of common rows from which two tables are the same.
const SAME: f64 = 0.9;
/// Bits of a number below its first nine: they are cut off.
const CUT: u32 = 52 - 8;

/// The secret under which rows are fingerprinted.
#[derive(Clone, PartialEq, Eq)]
pub struct SketchKey(Zeroizing<[u8; 32]>);

impl SketchKey {
    /// Takes 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The 32 secret bytes, to be sealed.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SketchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SketchKey(secret not shown)")
    }
}

/// What is kept of a table to find it again.
#[derive(Clone, PartialEq, Eq)]
pub struct Sketch {
    /// Number of rows.
    rows: u32,
    /// Number of distinct rows.
    distinct: u32,
    /// Number of rows that occur once.
    single: u32,
    /// Hash over all rows with how often each occurs.
    whole: [u8; 32],
    /// The lowest fingerprints of distinct rows, ascending.
    lowest: Vec<u64>,
}

impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sketch({} rows, {} distinct)", self.rows, self.distinct)
    }
}

/// How much two tables have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// Which part of the distinct rows of the first is in the second.
    pub of_first: f64,
    /// Which part of the distinct rows of the second is in the first.
    pub of_second: f64,
    /// Whether this makes them the same table.
    pub same: bool,
}

impl Overlap {
    /// The larger of the two parts in percent, rounded down to 90, 95 or 99, or 0.
    pub fn percent(&self) -> u8 {
        let part = self.of_first.max(self.of_second);
        [99, 95, 90].into_iter().find(|p| part >= f64::from(*p) / 100.0).unwrap_or(0)
    }
}

impl Sketch {
    /// The sketch of a table.
    pub fn of(key: &SketchKey, table: &Table) -> Self {
        let of = |wanted: fn(&Column) -> bool| {
            let all = table.columns().iter().zip(0..).filter(move |(column, _)| wanted(column));
            all.map(|(column, place)| (column.name.as_str(), place)).collect::<Vec<(&str, usize)>>()
        };
        let mut columns = of(|column| column.kind.is_measured());
        if columns.is_empty() {
            columns = of(|_| true);
        }
        columns.sort_unstable();
        let names: Vec<&[u8]> = columns.iter().map(|(name, _)| name.as_bytes()).collect();
        let root = Root::from_bytes(*key.as_bytes());
        let row_key = root.derive("sketch row", &names);
        // Where a column's values are cut, so that nobody writes numbers that lie just beside a cut.
        let offsets: Vec<(usize, u64)> = columns
            .iter()
            .map(|(name, place)| {
                let [a, b, c, d, e, f, g, h, ..] = *root.derive("sketch column", &[name.as_bytes()]);
                (*place, u64::from_le_bytes([a, b, c, d, e, f, g, h]) & ((1 << CUT) - 1))
            })
            .collect();
        let mut bytes = vec![0; offsets.len() * 8];
        let mut prints: Vec<u64> = (0..table.rows())
            .filter_map(|i| table.row(i))
            .map(|row| {
                for (slot, (place, offset)) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&offsets) {
                    *slot = code(row[*place], *offset).to_le_bytes();
                }
                let [a, b, c, d, e, f, g, h, ..] = *blake3::keyed_hash(&row_key, &bytes).as_bytes();
                u64::from_le_bytes([a, b, c, d, e, f, g, h])
            })
            .collect();
        prints.sort_unstable();
        let mut whole = blake3::Hasher::new_keyed(&root.derive("sketch whole", &[]));
        for print in &prints {
            whole.update(&print.to_le_bytes());
        }
        let same: Vec<&[u64]> = prints.chunk_by(|a, b| a == b).collect();
        Self {
            // A table has fewer than 2^32 rows.
            rows: prints.len() as u32,
            distinct: same.len() as u32,
            single: same.iter().filter(|s| s.len() == 1).count() as u32,
            whole: *whole.finalize().as_bytes(),
            lowest: same.iter().filter_map(|s| s.first().copied()).take(LOWEST).collect(),
        }
    }

    /// How much two tables have in common: exact when neither has more than [`LOWEST`] distinct rows, an estimate otherwise.
    pub fn overlap(&self, other: &Self) -> Overlap {
        // Up to this fingerprint both sketches hold all rows of their tables.
        let known = self.limit().min(other.limit());
        let first = self.lowest.partition_point(|p| *p <= known);
        let second = other.lowest.partition_point(|p| *p <= known);
        let common = self.lowest[..first].iter().filter(|p| other.lowest[..second].binary_search(p).is_ok());
        let common = common.count();
        let part = |of: usize| if of == 0 { 0.0 } else { common as f64 / of as f64 };
        let (of_first, of_second) = (part(first), part(second));
        let contained = of_first >= SAME && other.distinctive() || of_second >= SAME && self.distinctive();
        let equal = self.whole == other.whole && self.rows > 0;
        Overlap { of_first, of_second, same: equal || contained && common >= LEAST_COMMON }
    }

    fn limit(&self) -> u64 {
        match self.lowest.last() {
            Some(last) if self.distinct as usize > self.lowest.len() => *last,
            _ => u64::MAX,
        }
    }

    /// Whether finding a row in this table is more than coincidence.
    fn distinctive(&self) -> bool {
        u64::from(self.single) * 2 > u64::from(self.rows)
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.u32(self.rows).u32(self.distinct).u32(self.single);
        w.0.extend_from_slice(&self.whole);
        w.u32(self.lowest.len() as u32);
        for print in &self.lowest {
            w.0.extend_from_slice(&print.to_le_bytes());
        }
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let (rows, distinct, single) = (r.u32()?, r.u32()?, r.u32()?);
        let whole = r.take(32)?.try_into().map_err(|_| WireError::Truncated)?;
        let length = r.u32()? as usize;
        let bytes = r.take(length.checked_mul(8).ok_or(WireError::Invalid("sketch"))?)?;
        let lowest: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        let holds = lowest.is_sorted_by(|a, b| a < b)
            && length == LOWEST.min(distinct as usize)
            && single <= distinct
            && distinct <= rows;
        if holds {
            Ok(Self { rows, distinct, single, whole, lowest })
        } else {
            Err(WireError::Invalid("sketch"))
        }
    }
}

/// A value without its last digits. Exponent and leading digits are one number in the bits of a float, so cutting them off
/// is a grid of about 0.3 % of the value; whole numbers up to 512 keep apart.
fn code(value: f64, offset: u64) -> u64 {
    match value {
        v if v.is_nan() => u64::MAX,
        0.0 => 0,
        // The sum stays below 2^63 + 2^44, for finite values.
        v => (((v.abs().to_bits() + offset) >> CUT) << 1 | u64::from(v < 0.0)) + 1,
    }
}

#[cfg(test)]
mod tests;
