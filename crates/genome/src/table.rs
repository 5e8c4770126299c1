//! Tables of numbers with a yes/no label: a strict reader and one canonical encoding.
//!
//! [`RawTable`] is the file: text cells that keep their line numbers, so that every later complaint can say where.
//! [`Table`] is what a study works on. Making one checks every value once; afterwards nobody checks again.
//!
//! Reading order: [`RawTable::read`], [`Selection`], [`RawTable::select`], [`Table`], [`Table::encode`].

mod encoding;
mod error;
mod lexer;
mod number;
mod raw;
mod rule;
mod typed;

use std::collections::HashMap;
use std::fmt;

pub use encoding::ENCODING_VERSION;
pub use error::{CellPlace, CellProblem, LineProblem, TableError};
pub use raw::{ColumnKind, RawTable};
pub use rule::Positive;
pub use typed::{Looks, MAX_LEVELS};

/// Largest absolute value of a feature. Sums over a study are made in fixed point; beyond this they could overflow.
pub const MAX_ABS_VALUE: f64 = 1e9;

/// Longest name of a column, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 128;

/// How large a file may be. The defaults are far above any study on tables and far below what exhausts a laptop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Rows below the header.
    pub rows: usize,
    /// Columns, label and ignored ones included.
    pub columns: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 256 << 20, rows: 1_000_000, columns: 4_096 }
    }
}

/// Which columns become features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Features {
    /// Every column but the label and the ignored ones whose cells are all numeric or missing, in file order.
    AllNumeric,
    /// These columns, in this order.
    Named(Vec<String>),
}

/// What to do with a row that misses a feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingCells {
    /// Keep the row; the cell is `NaN`.
    #[default]
    Keep,
    /// Refuse the file, naming the first such cell.
    Refuse,
    /// Leave the row out.
    Drop,
}

/// What counts as missing, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRules {
    /// Cell texts that mean "missing", compared exactly. By default the empty cell and `NA`.
    pub codes: Vec<String>,
    /// Features in which zero means "missing", a stated policy of the study.
    pub zero_is_missing: Vec<String>,
    /// What happens to rows with missing features.
    pub cells: MissingCells,
}

impl Default for MissingRules {
    fn default() -> Self {
        Self { codes: vec![String::new(), "NA".into()], zero_is_missing: vec![], cells: MissingCells::Keep }
    }
}

/// What a study takes from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Name of the label column.
    pub label: String,
    /// Which labels are positive.
    pub positive: Positive,
    /// Which columns become features.
    pub features: Features,
    /// Columns that [`Features::AllNumeric`] passes over. A name that the file lacks is no error: hospitals differ in
    /// the columns that nobody wants.
    pub ignore: Vec<String>,
    /// What counts as missing.
    pub missing: MissingRules,
}

/// A table of `rows × columns` numbers with one label per row.
///
/// Holds by construction: at least one column, names unique and non-empty, every value finite with an absolute value of
/// at most [`MAX_ABS_VALUE`] or the one canonical `NaN` (missing), no negative zero. Equal tables have equal encodings
/// and unequal ones do not. `Debug` prints the shape only, because the values are people's data.
#[derive(Clone)]
pub struct Table {
    columns: Vec<String>,
    values: Vec<f64>,
    labels: Vec<bool>,
}

impl Table {
    /// Makes a table from its parts: `columns` names, `values` row by row (`labels.len() × columns.len()`), `labels`.
    ///
    /// Any `NaN` becomes the canonical one and negative zero becomes zero.
    ///
    /// # Errors
    /// [`TableError::Values`] when the shapes do not fit, a name is empty, too long or repeated, or a value is infinite
    /// or out of range.
    pub fn new(columns: Vec<String>, mut values: Vec<f64>, labels: Vec<bool>) -> Result<Self, TableError> {
        let refuse = |reason: String| Err(TableError::Values { reason });
        if columns.is_empty() {
            return refuse("there is no column".into());
        }
        if u32::try_from(columns.len()).is_err() || u32::try_from(labels.len()).is_err() {
            return refuse("there are more than 2^32 rows or columns".into());
        }
        let mut seen = HashMap::new();
        for (index, name) in columns.iter().enumerate() {
            if let Err(reason) = check_name(name) {
                return refuse(format!("column {}: {reason}", index + 1));
            }
            if seen.insert(name.as_str(), index).is_some() {
                return refuse(format!("two columns are named `{name}`"));
            }
        }
        if columns.len().checked_mul(labels.len()) != Some(values.len()) {
            return refuse(format!(
                "{} values do not fill {} rows of {} columns",
                values.len(),
                labels.len(),
                columns.len()
            ));
        }
        for (index, value) in values.iter_mut().enumerate() {
            if value.is_nan() {
                *value = f64::NAN;
            } else if value.abs() > MAX_ABS_VALUE {
                let (row, column) = (index / columns.len() + 1, index % columns.len() + 1);
                return refuse(format!(
                    "the value in row {row}, column {column} is beyond ±{MAX_ABS_VALUE:e}"
                ));
            } else {
                *value += 0.0;
            }
        }
        Ok(Self { columns, values, labels })
    }

    /// Names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// All values, row by row; `NaN` is missing.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// One label per row.
    #[must_use]
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Number of rows with a positive label.
    #[must_use]
    pub fn positives(&self) -> usize {
        self.labels.iter().filter(|label| **label).count()
    }

    /// Number of missing values.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.values.iter().filter(|value| value.is_nan()).count()
    }

    /// The values of one row, `columns().len()` of them; `None` beyond the last row.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<&[f64]> {
        let start = index.checked_mul(self.columns.len())?;
        self.labels.get(index)?;
        self.values.get(start..start.checked_add(self.columns.len())?)
    }

    /// The values of one column from the first row to the last; empty beyond the last column.
    pub fn column(&self, index: usize) -> impl Iterator<Item = f64> + '_ {
        self.values.chunks_exact(self.columns.len()).filter_map(move |row| row.get(index).copied())
    }

    /// A table of the rows named by `indices`, in that order; `None` when an index is beyond the last row.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Option<Self> {
        let mut values = Vec::with_capacity(indices.len().checked_mul(self.columns.len())?);
        let mut labels = Vec::with_capacity(indices.len());
        for index in indices {
            values.extend_from_slice(self.row(*index)?);
            labels.push(*self.labels.get(*index)?);
        }
        Some(Self { columns: self.columns.clone(), values, labels })
    }
}

/// Compares bit by bit, so that a missing value equals a missing value.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns
            && self.labels == other.labels
            && self.values.len() == other.values.len()
            && self.values.iter().zip(&other.values).all(|(a, b)| a.to_bits() == b.to_bits())
    }
}

impl Eq for Table {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("columns", &self.columns.len())
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}

/// Names end up in terminals and reports, so control characters stay out.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.trim().is_empty() {
        Err("the column has no name; name it in the header line")
    } else if name.trim().len() != name.len() {
        Err("the name of the column has blanks around it; remove them")
    } else if name.len() > MAX_NAME_BYTES {
        Err("the name of the column is longer than 128 bytes; shorten it")
    } else if name.chars().any(char::is_control) {
        Err("the name of the column holds a line break or another control character; remove it")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(values: Vec<f64>) -> Result<Table, TableError> {
        Table::new(vec!["a".into(), "b".into()], values, vec![true, false])
    }

    #[test]
    fn values_are_canonical() {
        let odd_nan = f64::from_bits(0xfff8_0000_0000_0001);
        let table = table(vec![-0.0, odd_nan, 1e9, -1e9]).unwrap();
        assert_eq!(table.values()[0].to_bits(), 0);
        assert_eq!(table.values()[1].to_bits(), f64::NAN.to_bits());
        assert_eq!((table.rows(), table.positives(), table.missing()), (2, 1, 1));
    }

    #[test]
    fn wrong_parts_are_refused() {
        for values in [vec![1.0; 3], vec![1.0; 5], vec![f64::INFINITY; 4], vec![1.000_000_1e9; 4]] {
            assert!(matches!(table(values), Err(TableError::Values { .. })));
        }
        for columns in [vec![], vec!["a"], vec!["a", "a"], vec!["a", ""], vec!["a", " b"], vec!["a", "b\n"]] {
            let columns = columns.into_iter().map(String::from).collect();
            assert!(Table::new(columns, vec![1.0; 4], vec![true, false]).is_err());
        }
    }

    #[test]
    fn rows_columns_and_subsets() {
        let table = table(vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(table.row(1), Some(&[3.0, 4.0][..]));
        assert_eq!(table.row(2), None);
        assert_eq!(table.row(usize::MAX), None);
        assert_eq!(table.column(1).collect::<Vec<_>>(), [2.0, 4.0]);
        assert_eq!(table.column(2).count(), 0);
        let turned = table.subset(&[1, 0]).unwrap();
        assert_eq!((turned.values(), turned.labels()), (&[3.0, 4.0, 1.0, 2.0][..], &[false, true][..]));
        assert_eq!(table.subset(&[2]), None);
        assert_eq!(table.subset(&[]).unwrap().rows(), 0);
    }

    #[test]
    fn debug_shows_no_values() {
        let table = table(vec![17.5, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(format!("{table:?}"), "Table { columns: 2, rows: 2, .. }");
    }
}
