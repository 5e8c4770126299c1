//! Phenotypes in the order of the samples of a genotype file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::error::{PhenotypeError, PhenotypeProblem};
use super::read::PhenotypeFile;
use crate::table::number;

/// A sample of the genotypes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Family id; the family `0` is none.
    pub family: Option<&'a str>,
    /// Own id.
    pub id: &'a str,
}

impl<'a> Sample<'a> {
    /// A sample without a family, as in a VCF.
    #[must_use]
    pub fn named(id: &'a str) -> Self {
        Self { family: None, id }
    }
}

impl fmt::Debug for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sample(not shown)")
    }
}

/// Texts and numbers that mean that nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The codes. One that is a number stands for every way of writing that number.
    pub codes: Vec<String>,
}

impl Default for Missing {
    /// `NA`, `NaN`, `nan`, `.` and -9, as PLINK has them. Where -9 is a value, give codes without it.
    fn default() -> Self {
        Self { codes: ["NA", "NaN", "nan", ".", "-9"].map(str::to_owned).to_vec() }
    }
}

/// What was joined and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Samples that have a row.
    pub matched: usize,
    /// Lines of rows that belong to no sample, from 1, in file order.
    pub unknown_lines: Vec<u64>,
    /// Samples without a row, from 0, in their order.
    pub without_row: Vec<usize>,
}

/// Which numbers are cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseCoding {
    /// 1 is a control, 2 a case, 0 is missing: PLINK's default.
    OneTwo,
    /// 0 is a control, 1 a case: PLINK's `--1`.
    ZeroOne,
}

/// Columns of numbers, one for each sample, `NaN` for missing. Its `Debug` shows no values.
#[derive(Clone)]
pub struct Phenotypes {
    file: String,
    /// Name, and number in the file from 0.
    names: Vec<(String, usize)>,
    /// One for each column.
    values: Vec<Vec<f64>>,
    /// The line of each sample.
    lines: Vec<Option<u64>>,
}

impl PhenotypeFile {
    /// Takes columns in the order of `samples`. Family ids count where the table has them and every sample has one, else own ids
    /// alone. Cells of rows that belong to no sample are not looked at.
    ///
    /// # Errors
    /// [`PhenotypeError::NoColumn`], [`AskedTwice`](PhenotypeError::AskedTwice),
    /// [`DoubleSample`](PhenotypeError::DoubleSample), [`DoubleRow`](PhenotypeError::DoubleRow) also for rows that agree,
    /// [`NoneMatch`](PhenotypeError::NoneMatch), [`Cell`](PhenotypeError::Cell).
    pub fn join(
        &self,
        samples: &[Sample<'_>],
        columns: &[&str],
        missing: &Missing,
    ) -> Result<(Phenotypes, Join), PhenotypeError> {
        let mut names: Vec<(String, usize)> = vec![];
        for name in columns {
            let no_column = || PhenotypeError::NoColumn { file: self.file.clone(), name: (*name).to_owned() };
            let column = self.column(name).ok_or_else(no_column)?;
            if names.iter().any(|(known, _)| known == name) {
                return Err(PhenotypeError::AskedTwice { name: (*name).to_owned() });
            }
            names.push(((*name).to_owned(), column));
        }
        let (rows, join) = self.rows_of(samples)?;
        let codes = Codes::new(missing);
        let mut values = vec![];
        for (_, column) in &names {
            let value =
                |row: &Option<usize>| row.map_or(Ok(f64::NAN), |row| self.value(row, *column, &codes));
            values.push(rows.iter().map(value).collect::<Result<Vec<f64>, _>>()?);
        }
        let lines = rows.iter().map(|row| row.map(|row| self.line(row))).collect();
        Ok((Phenotypes { file: self.file.clone(), names, values, lines }, join))
    }

    /// The people of the table, in its order.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample<'_>> {
        let sample = |(family, id)| Sample { family, id };
        (0..self.rows()).map(|row| sample(self.id(row))).collect()
    }

    /// The cells of a column as text, in the order of `samples`: names of groups. `None` where a sample has no row or a code for
    /// missing.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn labels(
        &self,
        samples: &[Sample<'_>],
        name: &str,
        missing: &Missing,
    ) -> Result<Vec<Option<&str>>, PhenotypeError> {
        let no_column = || PhenotypeError::NoColumn { file: self.file.clone(), name: name.to_owned() };
        let column = self.column(name).ok_or_else(no_column)?;
        let (rows, _) = self.rows_of(samples)?;
        let codes = Codes::new(missing);
        let label = |row: &Option<usize>| {
            row.map(|row| self.cell(row, column))
                .filter(|cell| !cell.is_empty() && !codes.texts.contains(cell))
        };
        Ok(rows.iter().map(label).collect())
    }

    /// The row of each sample.
    fn rows_of(&self, samples: &[Sample<'_>]) -> Result<(Vec<Option<usize>>, Join), PhenotypeError> {
        let by_family = self.has_families() && samples.iter().all(|sample| sample.family.is_some());
        let family =
            |family: Option<&'_ str>| family.filter(|family| by_family && *family != "0").map(str::to_owned);
        let mut places = BTreeMap::new();
        for (sample, index) in samples.iter().zip(0..) {
            match places.entry((family(sample.family), sample.id)) {
                Entry::Vacant(place) => {
                    place.insert(index);
                }
                Entry::Occupied(place) => {
                    return Err(PhenotypeError::DoubleSample { first: place.get() + 1, second: index + 1 });
                }
            }
        }
        // Rows of persons who are no samples are compared with each other as well: what is doubled there was put together
        // wrongly, and may be doubled for a sample under another id.
        let mut row_of = BTreeMap::new();
        let mut doubled: Option<(u64, u64, usize)> = None;
        for row in 0..self.rows() {
            let (own_family, id) = self.id(row);
            match row_of.entry((family(own_family), id)) {
                Entry::Vacant(place) => {
                    place.insert(row);
                }
                Entry::Occupied(place) => {
                    let (line, first) = (self.line(row), self.line(*place.get()));
                    doubled = Some(
                        doubled.map_or((line, first, 1), |(line, first, count)| (line, first, count + 1)),
                    );
                }
            }
        }
        if let Some((line, first, count)) = doubled {
            return Err(PhenotypeError::DoubleRow { file: self.file.clone(), line, first, count });
        }
        let mut rows = vec![None; samples.len()];
        let mut unknown: Vec<usize> = vec![];
        for (key, row) in row_of {
            match places.get(&key).and_then(|index: &usize| rows.get_mut(*index)) {
                Some(place) => *place = Some(row),
                None => unknown.push(row),
            }
        }
        unknown.sort_unstable();
        let without_row: Vec<usize> =
            (0..rows.len()).filter(|index| rows.get(*index) == Some(&None)).collect();
        let matched = samples.len() - without_row.len();
        if matched == 0 {
            let (rows, samples) = (self.rows(), samples.len());
            return Err(PhenotypeError::NoneMatch { file: self.file.clone(), rows, samples });
        }
        let unknown_lines = unknown.into_iter().map(|row| self.line(row)).collect();
        Ok((rows, Join { matched, unknown_lines, without_row }))
    }

    fn value(&self, row: usize, column: usize, codes: &Codes<'_>) -> Result<f64, PhenotypeError> {
        let cell = self.cell(row, column);
        if codes.texts.contains(&cell) {
            return Ok(f64::NAN);
        }
        if cell.is_empty() {
            return Err(self.cell_error(row, column, PhenotypeProblem::Empty));
        }
        match number::parse(cell) {
            Ok(number) if codes.numbers.contains(&number) => Ok(f64::NAN),
            Ok(number) => Ok(number),
            Err(_) => Err(self.cell_error(row, column, PhenotypeProblem::NotNumber)),
        }
    }
}

struct Codes<'a> {
    texts: Vec<&'a str>,
    numbers: Vec<f64>,
}

impl<'a> Codes<'a> {
    fn new(missing: &'a Missing) -> Self {
        Self {
            texts: missing.codes.iter().map(String::as_str).collect(),
            numbers: missing.codes.iter().filter_map(|code| number::parse(code).ok()).collect(),
        }
    }
}

impl Phenotypes {
    /// Names of the columns in the order in which they were asked for.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// Number of samples.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.lines.len()
    }

    /// The values of a column, one for each sample, `NaN` for missing.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        let index = self.names.iter().position(|(known, _)| known == name)?;
        self.values.get(index).map(Vec::as_slice)
    }

    /// A column of cases (`true`) and controls (`false`).
    ///
    /// # Errors
    /// [`PhenotypeError::NoColumn`]; [`Cell`](PhenotypeError::Cell) for the first number that is neither.
    pub fn cases(&self, name: &str, coding: CaseCoding) -> Result<Vec<Option<bool>>, PhenotypeError> {
        let index = self.names.iter().position(|(known, _)| known == name);
        let found = index.and_then(|index| self.names.get(index).zip(self.values.get(index)));
        let ((name, column), values) = found
            .ok_or_else(|| PhenotypeError::NoColumn { file: self.file.clone(), name: name.to_owned() })?;
        let case = |(value, line): (&f64, &Option<u64>)| match (coding, *value) {
            (_, value) if value.is_nan() => Ok(None),
            (CaseCoding::OneTwo, 0.0) => Ok(None),
            (CaseCoding::OneTwo, 1.0) | (CaseCoding::ZeroOne, 0.0) => Ok(Some(false)),
            (CaseCoding::OneTwo, 2.0) | (CaseCoding::ZeroOne, 1.0) => Ok(Some(true)),
            _ => Err(PhenotypeError::Cell {
                file: self.file.clone(),
                line: line.unwrap_or(0),
                column: column + 1,
                name: name.clone(),
                problem: PhenotypeProblem::NoCase,
            }),
        };
        values.iter().zip(&self.lines).map(case).collect()
    }
}

impl fmt::Debug for Phenotypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.columns().collect();
        f.debug_struct("Phenotypes")
            .field("columns", &columns)
            .field("samples", &self.samples())
            .finish_non_exhaustive()
    }
}
