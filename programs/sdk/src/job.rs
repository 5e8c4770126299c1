//! The job and the result of a validation program.
//!
//! A table has `rows` x `columns` values in row-major order, NaN = missing; a column is of numbers (whole ones and days among them) or a category.

use crate::wire::{Reader, WireError, Writer};

/// Version byte in front of job and result.
pub const VERSION: u8 = 2;

/// Most columns of a table.
pub const MAX_COLUMNS: u32 = 4096;

fn version(r: &mut Reader<'_>) -> Result<(), WireError> {
    match r.u8()? {
        VERSION => Ok(()),
        v => Err(WireError::Version(v)),
    }
}

/// A table of numbers, whole numbers, days and categories. To a validation the first three are numbers: that a whole number is whole
/// and a day a day holds for every table that can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// For each column, 1 to [`MAX_COLUMNS`] of them, the number of its levels: 0 for a column of numbers, whole numbers or days.
    pub levels: Vec<u32>,
    /// `rows * columns` values, row-major, NaN = missing; of a category the position of a level, from 0.
    pub values: Vec<f64>,
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.levels.len().max(1)
    }

    /// The values of row `i`, which must be below [`Table::rows`].
    pub fn row(&self, i: usize) -> &[f64] {
        let c = self.levels.len();
        &self.values[i * c..(i + 1) * c]
    }

    fn write(&self, w: &mut Writer) {
        w.u32(self.levels.len() as u32);
        self.levels.iter().for_each(|&levels| {
            w.u32(levels);
        });
        w.f64s(&self.values);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let columns = r.u32()?;
        if !(1..=MAX_COLUMNS).contains(&columns) {
            return Err(WireError::Invalid("table shape"));
        }
        let levels = (0..columns).map(|_| r.u32()).collect::<Result<Vec<_>, _>>()?;
        let values = r.f64s()?;
        let rows = values.chunks_exact(levels.len());
        if !rows.remainder().is_empty() {
            return Err(WireError::Invalid("table shape"));
        }
        let fits = |(&levels, v): (&u32, &f64)| match levels {
            0 => !v.is_infinite(),
            most => v.is_nan() || (v.trunc() == *v && (0.0..f64::from(most)).contains(v)),
        };
        if !rows.flat_map(|row| levels.iter().zip(row)).all(fits) {
            return Err(WireError::Invalid("table value"));
        }
        Ok(Table { levels, values })
    }
}

/// Input of a validation program.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidateJob {
    /// The table to look at.
    pub table: Table,
}

impl ValidateJob {
    /// The bytes handed to the program.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION);
        self.table.write(&mut w);
        w.0
    }

    /// Reads a job.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        version(&mut r)?;
        let table = Table::read(&mut r)?;
        r.end()?;
        Ok(ValidateJob { table })
    }
}

/// Every present value of the column is the same.
pub const FLAG_CONSTANT: u8 = 1;
/// No value of the column is present.
pub const FLAG_ALL_MISSING: u8 = 2;
/// More than half of the values are missing.
pub const FLAG_MOSTLY_MISSING: u8 = 4;
/// Zeros stand far from all other values of the column: a missing value in disguise is likely.
pub const FLAG_ZERO_IN_DISGUISE: u8 = 8;
/// The largest absolute value is more than 1,000 times the 99th percentile: a unit or typing error is likely.
pub const FLAG_EXTREME: u8 = 16;

/// What a validation program says of a table. Counts only; no value of a row is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidateReport {
    /// Number of rows.
    pub rows: u32,
    /// Rows that repeat an earlier row exactly.
    pub duplicates: u32,
    /// Missing values of each column.
    pub missing: Vec<u32>,
    /// Flags of each column, an OR of the `FLAG_` constants.
    pub flags: Vec<u8>,
    /// 0 = refused, 1 = poor, 2 = usable with flags, 3 = good.
    pub quality: u8,
}

impl ValidateReport {
    /// The program's output.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION).u32(self.rows).u32(self.duplicates);
        w.u32(self.missing.len() as u32);
        for &m in &self.missing {
            w.u32(m);
        }
        w.bytes(&self.flags).u8(self.quality);
        w.0
    }

    /// Reads a report.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        version(&mut r)?;
        let (rows, duplicates) = (r.u32()?, r.u32()?);
        let n = r.u32()? as usize;
        if n > r.left() / 4 {
            return Err(WireError::Truncated);
        }
        let missing = (0..n).map(|_| r.u32()).collect::<Result<Vec<_>, _>>()?;
        let flags = r.bytes()?.to_vec();
        let quality = r.u8()?;
        r.end()?;
        if flags.len() != n || quality > 3 || duplicates > rows || missing.iter().any(|&m| m > rows) {
            return Err(WireError::Invalid("report"));
        }
        Ok(ValidateReport { rows, duplicates, missing, flags, quality })
    }
}

#[cfg(test)]
mod tests;
