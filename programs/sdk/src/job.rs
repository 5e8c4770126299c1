//! Jobs and results of the three kinds of program: validation, training, query.
//!
//! Shapes: a table has `rows` x `columns` values in row-major order, NaN = missing, and one label (0 or 1) a row.
//! Weights have `columns + 1` entries, the intercept first.

use crate::wire::{Reader, WireError, Writer};

/// Version byte in front of every job.
pub const VERSION: u8 = 1;

/// Most feature columns of a job. Second derivatives of this many fill a quarter of a program's memory.
pub const MAX_COLUMNS: u32 = 4096;

/// Most bins of an evaluation. It is opened: finer ones would list the score and the class of single rows.
pub const MAX_BINS: u32 = 100;

/// Rows that a bin of an evaluation holds on average, as far as the sums before it tell.
pub const ROWS_PER_BIN: u64 = 10;

/// Bins for about `rows` rows: as many as asked for, as long as they hold [`ROWS_PER_BIN`] rows each on average; at least 2.
pub fn bins_for(asked: u32, rows: u64) -> u32 {
    let most = u64::from(MAX_BINS).min(rows / ROWS_PER_BIN) as u32;
    asked.min(most).max(2)
}

fn version(r: &mut Reader<'_>) -> Result<(), WireError> {
    match r.u8()? {
        VERSION => Ok(()),
        v => Err(WireError::Version(v)),
    }
}

/// A numeric table with a binary label.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Number of feature columns, 1 to [`MAX_COLUMNS`].
    pub columns: u32,
    /// `rows * columns` values, row-major, NaN = missing.
    pub values: Vec<f64>,
    /// One label a row, 0 or 1.
    pub labels: Vec<u8>,
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The values of row `i`, which must be below [`Table::rows`].
    pub fn row(&self, i: usize) -> &[f64] {
        let c = self.columns as usize;
        &self.values[i * c..(i + 1) * c]
    }

    fn write(&self, w: &mut Writer) {
        w.u32(self.columns).f64s(&self.values).bytes(&self.labels);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let columns = r.u32()?;
        let values = r.f64s()?;
        let labels = r.bytes()?.to_vec();
        if !(1..=MAX_COLUMNS).contains(&columns)
            || values.len() as u64 != u64::from(columns) * labels.len() as u64
        {
            return Err(WireError::Invalid("table shape"));
        }
        if labels.iter().any(|&l| l > 1) {
            return Err(WireError::Invalid("label"));
        }
        if values.iter().any(|v| v.is_infinite()) {
            return Err(WireError::Invalid("table value"));
        }
        Ok(Table { columns, values, labels })
    }
}

/// What is done with missing values; part of the study, the same at every site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A missing value is an error.
    Refuse,
    /// Rows with a missing value are left out.
    Drop,
    /// Replaced by the mean of the present values of all sites.
    Mean,
    /// Replaced by the median of the present values of all sites.
    Median,
}

impl Missing {
    fn tag(self) -> u8 {
        match self {
            Missing::Refuse => 0,
            Missing::Drop => 1,
            Missing::Mean => 2,
            Missing::Median => 3,
        }
    }

    fn from_tag(tag: u8) -> Result<Self, WireError> {
        Ok(match tag {
            0 => Missing::Refuse,
            1 => Missing::Drop,
            2 => Missing::Mean,
            3 => Missing::Median,
            _ => return Err(WireError::Invalid("missing-value policy")),
        })
    }
}

/// Fill values, then centering and scaling: `z = (filled - mean) / sd`. Each has one entry a column; `sd` > 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Replaces a missing value.
    pub fill: Vec<f64>,
    /// Subtracted after filling.
    pub mean: Vec<f64>,
    /// Divides after centering; 1 for a constant column.
    pub sd: Vec<f64>,
}

impl Preprocessing {
    fn write(&self, w: &mut Writer) {
        w.f64s(&self.fill).f64s(&self.mean).f64s(&self.sd);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        let p = Preprocessing { fill: r.f64s()?, mean: r.f64s()?, sd: r.f64s()? };
        if p.fill.len() != p.mean.len() || p.fill.len() != p.sd.len() {
            return Err(WireError::Invalid("preprocessing shape"));
        }
        if p.fill.iter().chain(&p.mean).any(|v| !v.is_finite())
            || p.sd.iter().any(|v| !v.is_finite() || *v <= 0.0)
        {
            return Err(WireError::Invalid("preprocessing value"));
        }
        Ok(p)
    }
}

/// One step of training. All but [`TrainTask::Report`] give sums over the site's rows, which are only ever opened as
/// a sum over sites.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainTask {
    /// Training rows: `[rows, positives, present[columns], sum of present[columns], sum of squares of present[columns]]`.
    /// Location and scale after filling follow from these.
    Describe,
    /// Training rows: for each column, for each of its thresholds (ascending), how many present values are `<=` it.
    Ranks {
        /// Thresholds of each column, concatenated in column order in the output; a column may have none.
        thresholds: Vec<Vec<f64>>,
    },
    /// Training rows: one Newton step of logistic regression on standardized features with intercept:
    /// `[gradient of the log-likelihood (p), upper triangle of X'WX by rows (p(p+1)/2), sum of log losses]`, `p = columns + 1`.
    Newton {
        /// Preprocessing of all sites.
        pre: Preprocessing,
        /// Current weights.
        weights: Vec<f64>,
    },
    /// Held-out rows (training rows when `holdout_every` is 0): histogram of predicted probabilities in `bins` equal
    /// bins of [0, 1], negatives first, then positives.
    Evaluate {
        /// Preprocessing of all sites.
        pre: Preprocessing,
        /// Final weights.
        weights: Vec<f64>,
        /// Number of bins, 1 to [`MAX_BINS`].
        bins: u32,
    },
    /// The site's own report, not summed: `[evaluated rows, evaluated positives, AUC of the federated model, AUC of a
    /// model trained on this site's training rows only]`; an AUC of a single class is -1.
    Report {
        /// Preprocessing of all sites.
        pre: Preprocessing,
        /// Final weights.
        weights: Vec<f64>,
        /// Ridge penalty of the local model, in units of the sum of log losses; the intercept is not penalized.
        ridge: f64,
        /// Newton steps of the local model at the most.
        iterations: u32,
        /// The local model stops when the largest weight change is below this.
        tolerance: f64,
    },
}

impl TrainTask {
    /// How many numbers the program must return for a table of `columns` columns.
    pub fn output_len(&self, columns: usize) -> usize {
        let p = columns + 1;
        match self {
            TrainTask::Describe => 2 + 3 * columns,
            TrainTask::Ranks { thresholds } => thresholds.iter().map(Vec::len).sum(),
            TrainTask::Newton { .. } => p + p * (p + 1) / 2 + 1,
            TrainTask::Evaluate { bins, .. } => 2 * *bins as usize,
            TrainTask::Report { .. } => 4,
        }
    }
}

/// The public part of a training job: the same bytes at every site, hashed into the round header.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainSpec {
    /// Number of feature columns, 1 to [`MAX_COLUMNS`].
    pub columns: u32,
    /// What is done with missing values.
    pub missing: Missing,
    /// Columns in which a zero means missing, ascending.
    pub zero_is_missing: Vec<u32>,
    /// Of the rows of each class, in table order, every `holdout_every`-th is held out; 0 = none.
    pub holdout_every: u32,
    /// What to compute.
    pub task: TrainTask,
}

impl TrainSpec {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION).u32(self.columns).u8(self.missing.tag());
        w.u32(self.zero_is_missing.len() as u32);
        for &c in &self.zero_is_missing {
            w.u32(c);
        }
        w.u32(self.holdout_every);
        match &self.task {
            TrainTask::Describe => {
                w.u8(0);
            }
            TrainTask::Ranks { thresholds } => {
                w.u8(1).u32(thresholds.len() as u32);
                for t in thresholds {
                    w.f64s(t);
                }
            }
            TrainTask::Newton { pre, weights } => {
                w.u8(2);
                pre.write(&mut w);
                w.f64s(weights);
            }
            TrainTask::Evaluate { pre, weights, bins } => {
                w.u8(3);
                pre.write(&mut w);
                w.f64s(weights).u32(*bins);
            }
            TrainTask::Report { pre, weights, ridge, iterations, tolerance } => {
                w.u8(4);
                pre.write(&mut w);
                w.f64s(weights).f64(*ridge).u32(*iterations).f64(*tolerance);
            }
        }
        w.0
    }

    /// Reads and checks a specification; the shapes agree with `columns` when it succeeds.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let spec = Self::read(&mut r)?;
        r.end()?;
        Ok(spec)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, WireError> {
        version(r)?;
        let columns = r.u32()?;
        // Checked before anything is sized by it: a table without rows has no length to check it against.
        if !(1..=MAX_COLUMNS).contains(&columns) {
            return Err(WireError::Invalid("number of columns"));
        }
        let missing = Missing::from_tag(r.u8()?)?;
        let mut zero_is_missing = Vec::new();
        for _ in 0..r.u32()? {
            let c = r.u32()?;
            if c >= columns || zero_is_missing.last().is_some_and(|&last| last >= c) {
                return Err(WireError::Invalid("zero-is-missing column"));
            }
            zero_is_missing.push(c);
        }
        let holdout_every = r.u32()?;
        if holdout_every == 1 {
            return Err(WireError::Invalid("holdout"));
        }
        let n = columns as usize;
        let shape = |v: &[f64], len: usize| {
            if v.len() == len && v.iter().all(|x| x.is_finite()) {
                Ok(())
            } else {
                Err(WireError::Invalid("task shape"))
            }
        };
        let task = match r.u8()? {
            0 => TrainTask::Describe,
            1 => {
                if r.u32()? != columns {
                    return Err(WireError::Invalid("threshold columns"));
                }
                let mut thresholds = Vec::new();
                for _ in 0..n {
                    let t = r.f64s()?;
                    if t.iter().any(|v| v.is_nan()) || t.windows(2).any(|w| w[0] >= w[1]) {
                        return Err(WireError::Invalid("thresholds"));
                    }
                    thresholds.push(t);
                }
                TrainTask::Ranks { thresholds }
            }
            tag @ 2..=4 => {
                let pre = Preprocessing::read(r)?;
                shape(&pre.fill, n)?;
                let weights = r.f64s()?;
                shape(&weights, n + 1)?;
                match tag {
                    2 => TrainTask::Newton { pre, weights },
                    3 => {
                        let bins = r.u32()?;
                        if !(1..=MAX_BINS).contains(&bins) {
                            return Err(WireError::Invalid("number of bins"));
                        }
                        TrainTask::Evaluate { pre, weights, bins }
                    }
                    _ => {
                        let (ridge, iterations, tolerance) = (r.f64()?, r.u32()?, r.f64()?);
                        if !ridge.is_finite() || ridge < 0.0 || !tolerance.is_finite() || tolerance <= 0.0 {
                            return Err(WireError::Invalid("local fit"));
                        }
                        TrainTask::Report { pre, weights, ridge, iterations, tolerance }
                    }
                }
            }
            _ => return Err(WireError::Invalid("task")),
        };
        Ok(TrainSpec { columns, missing, zero_is_missing, holdout_every, task })
    }
}

/// Input of a training program; its output is a bare vector of [`TrainTask::output_len`] numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainJob {
    /// The public part.
    pub spec: TrainSpec,
    /// The site's table.
    pub table: Table,
}

impl TrainJob {
    /// The bytes handed to the program.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(self.spec.encode());
        self.table.write(&mut w);
        w.0
    }

    /// Reads a job; the table has the columns of the specification when it succeeds.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        let spec = TrainSpec::read(&mut r)?;
        let table = Table::read(&mut r)?;
        r.end()?;
        if table.columns != spec.columns {
            return Err(WireError::Invalid("table columns"));
        }
        Ok(TrainJob { spec, table })
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
    /// Rows with label 1.
    pub positives: u32,
    /// Rows that repeat an earlier row exactly, label included.
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
        w.u8(VERSION).u32(self.rows).u32(self.positives).u32(self.duplicates);
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
        let (rows, positives, duplicates) = (r.u32()?, r.u32()?, r.u32()?);
        let n = r.u32()? as usize;
        if n > r.left() / 4 {
            return Err(WireError::Truncated);
        }
        let missing = (0..n).map(|_| r.u32()).collect::<Result<Vec<_>, _>>()?;
        let flags = r.bytes()?.to_vec();
        let quality = r.u8()?;
        r.end()?;
        if flags.len() != n
            || quality > 3
            || positives > rows
            || duplicates > rows
            || missing.iter().any(|&m| m > rows)
        {
            return Err(WireError::Invalid("report"));
        }
        Ok(ValidateReport { rows, positives, duplicates, missing, flags, quality })
    }
}

/// Input of a query program; its output is a bare vector of one number, the probability of the positive class.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryJob {
    /// Preprocessing of the model.
    pub pre: Preprocessing,
    /// Weights of the model.
    pub weights: Vec<f64>,
    /// The user's row, NaN = missing.
    pub row: Vec<f64>,
}

impl QueryJob {
    /// The bytes handed to the program.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.u8(VERSION);
        self.pre.write(&mut w);
        w.f64s(&self.weights).f64s(&self.row);
        w.0
    }

    /// Reads a job; the shapes agree when it succeeds.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(bytes);
        version(&mut r)?;
        let pre = Preprocessing::read(&mut r)?;
        let (weights, row) = (r.f64s()?, r.f64s()?);
        r.end()?;
        if row.len() != pre.fill.len()
            || weights.len() != row.len() + 1
            || weights.iter().any(|w| !w.is_finite())
        {
            return Err(WireError::Invalid("query shape"));
        }
        if row.iter().any(|v| v.is_infinite()) {
            return Err(WireError::Invalid("query value"));
        }
        Ok(QueryJob { pre, weights, row })
    }
}

#[cfg(test)]
mod tests;
