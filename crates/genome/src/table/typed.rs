//! Columns with a kind of their own: numbers, and categories whose cells are names.

use std::collections::BTreeSet;

use super::error::{CellProblem, TableError};
use super::raw::{RawTable, is_missing};
use super::{MissingRules, number};

/// Most levels of a category that [`RawTable::look`] lists.
pub const MAX_LEVELS: usize = 50;

/// What a column looks like.
#[derive(Clone, Debug, PartialEq)]
pub enum Looks {
    /// Every cell is a number or missing.
    Numbers {
        /// The least.
        low: f64,
        /// The largest.
        high: f64,
        /// Whether all are whole.
        whole: bool,
    },
    /// Some are not; these texts occur, at most [`MAX_LEVELS`], in order.
    Names(BTreeSet<String>),
    /// More different texts than that.
    Text,
    /// Every cell is missing.
    Nothing,
}

impl RawTable {
    /// What a column looks like.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn).
    pub fn look(&self, column: &str, missing: &MissingRules) -> Result<Looks, TableError> {
        let index = self.index(column)?;
        let cells =
            || (0..self.rows()).map(|row| self.cell(row, index)).filter(|cell| !is_missing(cell, missing));
        let numbers: Result<Vec<f64>, CellProblem> = cells().map(number::parse).collect();
        Ok(match numbers {
            Ok(numbers) if numbers.is_empty() => Looks::Nothing,
            Ok(numbers) => Looks::Numbers {
                low: numbers.iter().copied().fold(f64::MAX, f64::min),
                high: numbers.iter().copied().fold(f64::MIN, f64::max),
                whole: numbers.iter().all(|v| v.fract() == 0.0),
            },
            Err(_) => {
                let mut names = BTreeSet::new();
                for cell in cells() {
                    names.insert(cell.to_owned());
                    if names.len() > MAX_LEVELS {
                        return Ok(Looks::Text);
                    }
                }
                Looks::Names(names)
            }
        })
    }

    /// The numbers of a column; missing cells are `NaN`.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn), or [`Cell`](TableError::Cell) for the first cell that is no number.
    pub fn numbers(&self, column: &str, missing: &MissingRules) -> Result<Vec<f64>, TableError> {
        let index = self.index(column)?;
        (0..self.rows())
            .map(|row| {
                let cell = self.cell(row, index);
                if is_missing(cell, missing) {
                    return Ok(f64::NAN);
                }
                number::parse(cell).map_err(|problem| self.refuse(row, index, problem))
            })
            .collect()
    }

    /// The positions of a column's cells among these names, from 0; missing cells are `NaN`.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn), or [`Cell`](TableError::Cell) for the first cell that is none of them.
    pub fn codes(
        &self,
        column: &str,
        levels: &[String],
        missing: &MissingRules,
    ) -> Result<Vec<f64>, TableError> {
        let index = self.index(column)?;
        (0..self.rows())
            .map(|row| {
                let cell = self.cell(row, index);
                if is_missing(cell, missing) {
                    return Ok(f64::NAN);
                }
                let level = levels.iter().position(|level| level == cell);
                level.map(|level| level as f64).ok_or_else(|| self.refuse(row, index, CellProblem::NoLevel))
            })
            .collect()
    }

    /// Whether the cell of a row is one of these texts; none where it is missing.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn).
    pub fn is_one_of(
        &self,
        column: &str,
        texts: &[String],
        row: usize,
        missing: &MissingRules,
    ) -> Result<Option<bool>, TableError> {
        let cell = self.cell(row, self.index(column)?);
        Ok((!is_missing(cell, missing)).then(|| texts.iter().any(|text| text == cell)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Limits;
    use super::*;

    #[test]
    fn columns_are_read_by_kind() {
        let text = "age,smoker,id,none\n50,never,a,\n,current,b,NA\n61.5,never,c,\n";
        let table = RawTable::read("t.csv", text.as_bytes(), &Limits::default()).unwrap();
        let rules = MissingRules::default();
        assert_eq!(
            table.look("age", &rules).unwrap(),
            Looks::Numbers { low: 50.0, high: 61.5, whole: false }
        );
        let Looks::Names(names) = table.look("smoker", &rules).unwrap() else { panic!() };
        let levels: Vec<String> = names.into_iter().collect();
        assert_eq!(levels, ["current", "never"]);
        assert_eq!(table.look("none", &rules).unwrap(), Looks::Nothing);
        let ages = table.numbers("age", &rules).unwrap();
        assert!(ages[0] == 50.0 && ages[1].is_nan() && ages[2] == 61.5);
        assert_eq!(table.codes("smoker", &levels, &rules).unwrap(), [1.0, 0.0, 1.0]);
        let error = table.codes("smoker", &levels[..1], &rules).unwrap_err().to_string();
        assert!(error.contains("t.csv, line 2, column 2 (`smoker`)") && error.contains("levels"), "{error}");
        assert!(table.numbers("smoker", &rules).unwrap_err().to_string().contains("line 2"));
        assert!(table.numbers("weight", &rules).is_err());
    }
}
