//! Which rows are trained on, which are held out.

use histone_program_sdk::job::{Missing, Preprocessing, TrainJob};
use histone_program_sdk::refusal::Refusal;

/// The rows of one site after the rules of the crate's documentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Number of feature columns.
    pub columns: usize,
    /// Training rows, NaN = missing, with their labels (1 = positive).
    pub training: Vec<(Vec<f64>, bool)>,
    /// Held-out rows.
    pub held_out: Vec<(Vec<f64>, bool)>,
    /// Whether the study holds rows out at all.
    pub holds_out: bool,
}

impl Rows {
    /// Chooses the rows of a job. Error: a value is missing and the study refuses that.
    pub fn choose(job: &TrainJob) -> Result<Self, Refusal> {
        let spec = &job.spec;
        let every = spec.holdout_every as usize;
        let mut chosen = Rows {
            columns: spec.columns as usize,
            training: Vec::new(),
            held_out: Vec::new(),
            holds_out: every != 0,
        };
        let mut seen = [0_usize; 2];
        for (i, &label) in job.table.labels.iter().enumerate() {
            let positive = label == 1;
            let mut row = job.table.row(i).to_vec();
            for &c in &spec.zero_is_missing {
                if let Some(v) = row.get_mut(c as usize)
                    && *v == 0.0
                {
                    *v = f64::NAN;
                }
            }
            let count = &mut seen[usize::from(positive)];
            *count += 1;
            let held_out = every != 0 && count.is_multiple_of(every);
            if row.iter().any(|v| v.is_nan()) {
                match spec.missing {
                    Missing::Refuse => return Err(Refusal::MissingValue),
                    Missing::Drop => continue,
                    Missing::Mean | Missing::Median => {}
                }
            }
            let part = if held_out { &mut chosen.held_out } else { &mut chosen.training };
            part.push((row, positive));
        }
        Ok(chosen)
    }

    /// The rows that a model is judged on.
    pub fn evaluation(&self) -> &[(Vec<f64>, bool)] {
        if self.holds_out { &self.held_out } else { &self.training }
    }
}

/// Fills and standardizes a row into `z`, whose first entry is the 1 of the intercept.
pub fn standardize(row: &[f64], pre: &Preprocessing, z: &mut Vec<f64>) {
    z.clear();
    z.push(1.0);
    let scaled = row.iter().zip(&pre.fill).zip(pre.mean.iter().zip(&pre.sd));
    z.extend(scaled.map(|((&x, &fill), (&mean, &sd))| ((if x.is_nan() { fill } else { x }) - mean) / sd));
}
