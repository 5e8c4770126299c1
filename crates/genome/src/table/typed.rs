//! Columns one by one: what they look like, and their values by their kind.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{CellProblem, TableError};
use super::raw::{RawTable, is_missing, read_cell};
use super::rule::Reading;
use super::{Day, Kind, MissingRules, YesNo};

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
    /// Every cell is a day or missing.
    Days {
        /// The first.
        first: Day,
        /// The last.
        last: Day,
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
        let numbers: Result<Vec<f64>, CellProblem> = cells().map(|cell| self.numbers.parse(cell)).collect();
        Ok(match numbers {
            Ok(numbers) if numbers.is_empty() => Looks::Nothing,
            Ok(numbers) => Looks::Numbers {
                low: numbers.iter().copied().fold(f64::MAX, f64::min),
                high: numbers.iter().copied().fold(f64::MIN, f64::max),
                whole: numbers.iter().all(|v| v.fract() == 0.0),
            },
            Err(_) => {
                let days: Result<Vec<Day>, CellProblem> = cells().map(str::parse).collect();
                let ends = |days: Vec<Day>| Some((*days.iter().min()?, *days.iter().max()?));
                if let Some((first, last)) = days.ok().and_then(ends) {
                    return Ok(Looks::Days { first, last });
                }
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
                self.numbers.parse(cell).map_err(|problem| self.refuse(row, index, problem))
            })
            .collect()
    }

    /// The values of a column of this kind; missing cells are `NaN`.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn), or [`Cell`](TableError::Cell) for the first cell that is no such value.
    pub fn typed(&self, column: &str, kind: &Kind, missing: &MissingRules) -> Result<Vec<f64>, TableError> {
        let index = self.index(column)?;
        (0..self.rows())
            .map(|row| {
                let cell = self.cell(row, index);
                if is_missing(cell, missing) {
                    return Ok(f64::NAN);
                }
                read_cell(cell, kind, self.numbers).map_err(|problem| self.refuse(row, index, problem))
            })
            .collect()
    }

    /// 1 where a cell means yes and 0 where it means no; `NaN` where it is missing, or left out by the rule.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn), or [`Cell`](TableError::Cell) for the first cell that the rule does not name.
    pub fn yes_no(&self, column: &str, rule: &YesNo, missing: &MissingRules) -> Result<Vec<f64>, TableError> {
        let index = self.index(column)?;
        let mut reading = Reading::by(rule);
        (0..self.rows())
            .map(|row| {
                let cell = self.cell(row, index);
                if is_missing(cell, missing) {
                    return Ok(f64::NAN);
                }
                let value = self.numbers.plain(cell).and_then(|cell| reading.read(&cell));
                value.map_err(|problem| self.refuse(row, index, problem))
            })
            .collect()
    }

    /// How many cells of a column are numbers, or were meant as such and are written another way (with a decimal comma, with blanks
    /// around them); and how many there are, missing ones aside.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn).
    pub fn count_numbers(&self, column: &str, missing: &MissingRules) -> Result<(usize, usize), TableError> {
        let index = self.index(column)?;
        let cells =
            (0..self.rows()).map(|row| self.cell(row, index)).filter(|cell| !is_missing(cell, missing));
        Ok(cells.fold((0, 0), |(numbers, all), cell| {
            let is = match self.numbers.parse(cell) {
                Ok(_) => true,
                Err(problem) => !matches!(problem, CellProblem::Text | CellProblem::Empty),
            };
            (numbers + usize::from(is), all + 1)
        }))
    }

    /// How many rows have which cell, missing ones aside, numbers in their shortest form; none when there are more than `most`
    /// different ones.
    ///
    /// Unlike everything else here this carries cells: what an outcome's codes are somebody has to say, and nobody can who does not
    /// see them. It is for the owner of the file.
    ///
    /// # Errors
    /// [`NoColumn`](TableError::NoColumn).
    pub fn census(
        &self,
        column: &str,
        missing: &MissingRules,
        most: usize,
    ) -> Result<Option<BTreeMap<String, usize>>, TableError> {
        let index = self.index(column)?;
        let mut counts = BTreeMap::new();
        for row in 0..self.rows() {
            let cell = self.cell(row, index);
            if is_missing(cell, missing) {
                continue;
            }
            let text = self.numbers.parse(cell).map_or_else(|_| cell.to_owned(), |number| number.to_string());
            *counts.entry(text).or_default() += 1;
            if counts.len() > most {
                return Ok(None);
            }
        }
        Ok(Some(counts))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::Limits;
    use super::*;

    #[test]
    fn columns_are_read_by_kind() {
        let text = "age,smoker,id,none,seen,ill\n50,never,a,,2020-02-29,1\n,current,b,NA,,0.0\n61.5,never,c,,2019-01-01,9\n";
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
        let smoker = |levels: &[String]| table.typed("smoker", &Kind::Category(levels.to_vec()), &rules);
        assert_eq!(smoker(&levels).unwrap(), [1.0, 0.0, 1.0]);
        let error = smoker(&levels[..1]).unwrap_err().to_string();
        assert!(error.contains("t.csv, line 2, column 2 (`smoker`)") && error.contains("levels"), "{error}");
        let Looks::Days { first, last } = table.look("seen", &rules).unwrap() else { panic!() };
        assert_eq!([first, last].map(|day| day.to_string()), ["2019-01-01", "2020-02-29"]);
        let seen = table.typed("seen", &Kind::Day, &rules).unwrap();
        assert!(seen[0] == 18_321.0 && seen[1].is_nan() && seen[2] == 17_897.0);
        let error = table.typed("age", &Kind::Whole, &rules).unwrap_err().to_string();
        assert!(error.contains("line 4, column 1 (`age`): the number is not whole"), "{error}");
        let codes = table.census("ill", &rules, 3).unwrap().unwrap();
        assert_eq!(codes.into_keys().collect::<Vec<_>>(), ["0", "1", "9"]);
        assert_eq!(table.census("ill", &rules, 2).unwrap(), None);
        let rule = YesNo { negative: Some("== 0".parse().unwrap()), ..YesNo::default() };
        assert!(table.yes_no("ill", &rule, &rules).unwrap_err().to_string().contains("line 4, column 6"));
        let rule = YesNo { other: super::super::Other::LeaveOut, ..rule };
        assert_eq!(table.yes_no("ill", &rule, &rules).unwrap()[..2], [1.0, 0.0]);
        assert!(table.numbers("smoker", &rules).unwrap_err().to_string().contains("line 2"));
        assert!(table.numbers("weight", &rules).is_err());
    }
}
