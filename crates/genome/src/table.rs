//! Tables of numbers, whole numbers, categories and days: a strict reader and one canonical encoding.
//!
//! [`RawTable`] is the file: text cells that keep their line numbers, so that every later complaint can say where.
//! [`Table`] is what a study works on. Making one checks every value once; afterwards nobody checks again.
//!
//! Reading order: [`RawTable::read`], [`Selection`], [`RawTable::select`], [`Table`], [`Table::encode`].

mod day;
mod dialect;
mod encoding;
mod error;
mod genotypes;
mod lexer;
pub(crate) mod number;
mod raw;
mod rule;
mod survey;
mod typed;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

pub use day::Day;
pub use dialect::{Dialect, Encoding, FormatError, Separator};
pub use encoding::ENCODING_VERSION;
pub use error::{CellPlace, CellProblem, LineProblem, TableError};
use genotypes::Calls;
pub use genotypes::MAX_VARIANTS;
pub use number::{Numbers, Thousands};
pub use raw::{ColumnKind, LeftOut, RawTable};
pub use rule::{Other, Rule, YesNo};
pub use survey::{Doubt, Survey, Surveyed, doubts, survey};
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

/// What becomes the outcome: the last column of a table, or its last two.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// A category of [`NO_YES`].
    YesNo(YesNo),
    /// A number.
    Number,
    /// The time until an event or the end of observation, at least 0, which is the column of the label; behind it a category of
    /// [`NO_YES`] that says whether the event was seen.
    EventTime {
        /// Name of the column that says whether the event was seen.
        event: String,
        /// Which of its cells mean that it was.
        rule: YesNo,
    },
}

impl Label {
    /// Columns that it takes beside the column of the label: that of an event.
    #[must_use]
    pub fn event(&self) -> Option<&String> {
        match self {
            Self::EventTime { event, .. } => Some(event),
            Self::YesNo(_) | Self::Number => None,
        }
    }

    /// The rule of a yes/no outcome or of an event.
    #[must_use]
    pub fn rule(&self) -> Option<&YesNo> {
        match self {
            Self::YesNo(rule) | Self::EventTime { rule, .. } => Some(rule),
            Self::Number => None,
        }
    }
}

/// What a study takes from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Name of the label column; of an event with a time, that of the time.
    pub label: String,
    /// What it is.
    pub outcome: Label,
    /// Which columns become features.
    pub features: Features,
    /// Kinds of columns; what is not named is of numbers. The label may be named as one of whole numbers.
    pub kinds: BTreeMap<String, Kind>,
    /// Columns that [`Features::AllNumeric`] passes over. A name that the file lacks is no error: hospitals differ in
    /// the columns that nobody wants.
    pub ignore: Vec<String>,
    /// What counts as missing.
    pub missing: MissingRules,
}

/// The levels of a column that says whether something is so.
pub const NO_YES: [&str; 2] = ["no", "yes"];

/// What the values of a column are. A missing value is `NaN` in all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// One of some names; a value is the position of its name, from 0.
    Category(Vec<String>),
    /// A whole number.
    Whole,
    /// A [`Day`]; a value is the number of days since 1970-01-01.
    Day,
    /// Genotypes at the variants of a panel ([`Table::with_genotypes`]); a value is how many of them are missing.
    Genotypes {
        /// The hash of the panel's text.
        panel: [u8; 32],
        /// How many variants it has.
        variants: u32,
    },
}

impl Kind {
    /// A category of [`NO_YES`].
    #[must_use]
    pub fn no_yes() -> Self {
        Self::Category(NO_YES.map(String::from).into())
    }

    /// Whether its values lie on one scale, so that a range of them makes sense.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        !matches!(self, Self::Category(_) | Self::Genotypes { .. })
    }

    /// What it is, for a sentence: "a number".
    #[must_use]
    pub fn says(&self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Category(_) => "a category",
            Self::Whole => "a whole number",
            Self::Day => "a day",
            Self::Genotypes { .. } => "genotypes",
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
}

impl Column {
    /// A column of numbers.
    #[must_use]
    pub fn number(name: &str) -> Self {
        Self { name: name.into(), kind: Kind::Number }
    }

    /// A column of [`NO_YES`].
    #[must_use]
    pub fn no_yes(name: &str) -> Self {
        Self { name: name.into(), kind: Kind::no_yes() }
    }
}

/// A table of `rows × columns` values, each column of one [`Kind`]. Which column is an outcome is a model's affair.
///
/// Holds by construction: at least one column, names unique and non-empty, categories with two levels or more, every value
/// finite with an absolute value of at most [`MAX_ABS_VALUE`] (whole, where the column is of whole numbers), a position of a level, a
/// [`Day`], or the one canonical `NaN` (missing), no negative zero. Equal tables have equal encodings and unequal ones do not. `Debug` prints the shape only, because the
/// values are people's data.
#[derive(Clone)]
pub struct Table {
    columns: Vec<Column>,
    values: Vec<f64>,
    /// Of the one column of genotypes, where there is one.
    calls: Option<Calls>,
}

impl Table {
    /// Makes a table from its columns and its `values` row by row.
    ///
    /// Any `NaN` becomes the canonical one and negative zero becomes zero.
    ///
    /// # Errors
    /// [`TableError::Values`] when the shapes do not fit, a name is empty, too long or repeated, or a value is none that its
    /// column can have.
    pub fn new(columns: Vec<Column>, mut values: Vec<f64>) -> Result<Self, TableError> {
        let refuse = |reason: String| Err(TableError::Values { reason });
        if columns.is_empty() {
            return refuse("there is no column".into());
        }
        let width = columns.len();
        if u32::try_from(width).is_err() || u32::try_from(values.len() / width).is_err() {
            return refuse("there are more than 2^32 rows or columns".into());
        }
        let mut seen = HashMap::new();
        for (index, column) in columns.iter().enumerate() {
            if let Err(reason) = check_name(&column.name) {
                return refuse(format!("column {}: {reason}", index + 1));
            }
            if seen.insert(column.name.as_str(), index).is_some() {
                return refuse(format!("two columns are named `{}`", column.name));
            }
            if let Kind::Category(levels) = &column.kind
                && let Err(reason) = check_levels(levels)
            {
                return refuse(format!("the levels of column {}: {reason}", index + 1));
            }
        }
        if !values.len().is_multiple_of(width) {
            return refuse(format!("{} values do not fill rows of {width} columns", values.len()));
        }
        for (index, value) in values.iter_mut().enumerate() {
            let (row, column) = (index / width + 1, index % width + 1);
            if value.is_nan() {
                *value = f64::NAN;
                continue;
            }
            match &columns[index % width].kind {
                Kind::Number | Kind::Whole if value.abs() > MAX_ABS_VALUE => {
                    return refuse(format!(
                        "the value in row {row}, column {column} is beyond ±{MAX_ABS_VALUE:e}"
                    ));
                }
                Kind::Category(levels) if !(0..levels.len()).any(|level| level as f64 == *value) => {
                    return refuse(format!("the value in row {row}, column {column} is no level of it"));
                }
                Kind::Whole if value.fract() != 0.0 => {
                    return refuse(format!("the value in row {row}, column {column} is no whole number"));
                }
                Kind::Day if Day::of(*value).is_none() => {
                    return refuse(format!("the value in row {row}, column {column} is no day"));
                }
                Kind::Number | Kind::Category(_) | Kind::Whole | Kind::Day | Kind::Genotypes { .. } => {
                    *value += 0.0;
                }
            }
        }
        if columns.iter().any(|column| matches!(column.kind, Kind::Genotypes { .. })) {
            return refuse("genotypes are added to a table that is there".into());
        }
        Ok(Self { columns, values, calls: None })
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// All values, row by row; `NaN` is missing.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns.len()
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
        for index in indices {
            values.extend_from_slice(self.row(*index)?);
        }
        let calls = self.calls.as_ref().map(|calls| calls.subset(indices));
        Some(Self { columns: self.columns.clone(), values, calls })
    }
}

/// Compares bit by bit, so that a missing value equals a missing value.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns
            && self.values.len() == other.values.len()
            && self.values.iter().zip(&other.values).all(|(a, b)| a.to_bits() == b.to_bits())
            && self.calls == other.calls
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

/// Whether a category can have these levels; if not, why.
///
/// # Errors
/// What is wrong, for the middle of a sentence.
pub fn check_levels(levels: &[String]) -> Result<(), String> {
    if !(2..=MAX_LEVELS).contains(&levels.len()) {
        return Err(format!("there must be 2 to {MAX_LEVELS} of them"));
    }
    if levels.iter().enumerate().any(|(i, level)| levels[..i].contains(level)) {
        return Err("two of them are the same".into());
    }
    let wrong = |level: &String| {
        let blank = level.trim().is_empty() || level.trim().len() != level.len();
        blank || level.len() > MAX_NAME_BYTES || level.chars().any(char::is_control)
    };
    if levels.iter().any(wrong) {
        return Err(format!(
            "one is empty, has blanks around it or a control character, or is longer than {MAX_NAME_BYTES} bytes"
        ));
    }
    Ok(())
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

    fn columns() -> Vec<Column> {
        let three = Kind::Category(["low", "middle", "high"].map(String::from).into());
        vec![Column::number("a"), Column { name: "b".into(), kind: three }]
    }

    fn table(values: Vec<f64>) -> Result<Table, TableError> {
        Table::new(columns(), values)
    }

    #[test]
    fn values_are_canonical() {
        let odd_nan = f64::from_bits(0xfff8_0000_0000_0001);
        let table = table(vec![-0.0, odd_nan, 1e9, 2.0, -1e9, -0.0]).unwrap();
        assert_eq!(table.values()[0].to_bits(), 0);
        assert_eq!(table.values()[5].to_bits(), 0);
        assert_eq!(table.values()[1].to_bits(), f64::NAN.to_bits());
        assert_eq!((table.rows(), table.missing()), (3, 1));
    }

    #[test]
    fn wrong_parts_are_refused() {
        let bad = [vec![1.0; 3], vec![f64::INFINITY, 0.0], vec![1.000_000_1e9, 0.0]];
        for values in bad.into_iter().chain([3.0, -1.0, 0.5, f64::INFINITY].map(|level| vec![1.0, level])) {
            assert!(matches!(table(values), Err(TableError::Values { .. })));
        }
        for names in [vec![], vec!["a", "a"], vec!["a", ""], vec!["a", " b"], vec!["a", "b\n"]] {
            let columns = names.into_iter().map(Column::number).collect();
            assert!(Table::new(columns, vec![1.0; 4]).is_err());
        }
        let many: Vec<String> = (0..=MAX_LEVELS).map(|i| i.to_string()).collect();
        for levels in
            [vec![], vec!["a".into()], vec!["a".into(), "a".into()], vec!["a".into(), "\n".into()], many]
        {
            let column = Column { name: "c".into(), kind: Kind::Category(levels) };
            assert!(Table::new(vec![column], vec![0.0]).is_err());
        }
    }

    #[test]
    fn whole_numbers_and_days() {
        let columns = || {
            let kinds = [("n", Kind::Whole), ("d", Kind::Day)];
            kinds.map(|(name, kind)| Column { name: name.into(), kind }).to_vec()
        };
        let days = [Day::FIRST, Day::LAST].map(|day| f64::from(day.since_1970()));
        let values = vec![-0.0, -0.0, -1e9, days[0], 1e9, days[1], f64::NAN, f64::NAN];
        let table = Table::new(columns(), values).unwrap();
        assert!(table.values()[..2].iter().all(|v| v.to_bits() == 0) && table.missing() == 2);
        for wrong in
            [[0.5, 0.0], [1e9 + 1.0, 0.0], [f64::INFINITY, 0.0], [0.0, 0.5], [0.0, days[0] - 1.0], [0.0, 1e9]]
        {
            assert!(Table::new(columns(), wrong.into()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rows_columns_and_subsets() {
        let table = table(vec![1.0, 2.0, 3.0, 1.0]).unwrap();
        assert_eq!(table.row(1), Some(&[3.0, 1.0][..]));
        assert_eq!(table.row(2), None);
        assert_eq!(table.row(usize::MAX), None);
        assert_eq!(table.column(1).collect::<Vec<_>>(), [2.0, 1.0]);
        assert_eq!(table.column(2).count(), 0);
        assert_eq!(table.subset(&[1, 0]).unwrap().values(), [3.0, 1.0, 1.0, 2.0]);
        assert_eq!(table.subset(&[2]), None);
        assert_eq!(table.subset(&[]).unwrap().rows(), 0);
    }

    #[test]
    fn debug_shows_no_values() {
        let table = table(vec![17.5, 2.0, 3.0, 1.0]).unwrap();
        assert_eq!(format!("{table:?}"), "Table { columns: 2, rows: 2, .. }");
    }
}
