//! The output gate: what a program wrote is only bytes until it fits the one shape that the job allows.
//!
//! The host knows what was asked, so it knows the exact length and the possible range of every number of the answer.
//! Whatever fits neither is refused as a whole, without a word on the content. What leaves in clear is rounded, so
//! that the low bits of a probability or of a curve cannot carry a message; what leaves as a share of a sum is not
//! rounded, because nobody opens it alone.
//!
//! The gate narrows what a program can tell; it does not show that an allowed answer tells nothing. That is the work
//! of the source audit, and of the budgets on queries.

use core::fmt;

use histone_program_sdk::job::{
    FLAG_ALL_MISSING, FLAG_CONSTANT, FLAG_EXTREME, FLAG_MOSTLY_MISSING, FLAG_ZERO_IN_DISGUISE, ValidateReport,
};
use histone_program_sdk::wire::{WireError, decode_vector, encode_vector};

/// Decimals of an area under the curve that leaves in clear.
pub const AUC_DECIMALS: u32 = 4;

/// The shape that a job allows.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum OutputSchema {
    /// Sums of a training step: exactly `len` finite numbers, each at most `max_abs` in size. Not rounded.
    Vector {
        /// Number of values.
        len: usize,
        /// Largest absolute value.
        max_abs: f64,
    },
    /// One probability, rounded.
    Probability {
        /// Decimals that leave, at most 15.
        decimals: u32,
    },
    /// A validation report over a table of this size.
    Report {
        /// Rows of the table.
        rows: u32,
        /// Columns of the table.
        columns: u32,
    },
    /// A site's own report of a training step.
    SiteReport {
        /// Rows of the table; no more can have been evaluated.
        rows: u32,
    },
}

/// An output that fits its shape. Only [`OutputSchema::admit`] makes one.
#[derive(Clone, PartialEq)]
pub enum Admitted {
    /// Sums, which may leave only as a share or under a mask.
    Vector(Vec<f64>),
    /// A probability in [0, 1], rounded.
    Probability(f64),
    /// A validation report.
    Report(ValidateReport),
    /// A site's own report.
    SiteReport(SiteReport),
}

impl fmt::Debug for Admitted {
    /// Without the sums of one site and without a person's probability: neither belongs in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Admitted::Vector(v) => write!(f, "Vector({} values)", v.len()),
            Admitted::Probability(_) => f.write_str("Probability(..)"),
            Admitted::Report(report) => f.debug_tuple("Report").field(report).finish(),
            Admitted::SiteReport(report) => f.debug_tuple("SiteReport").field(report).finish(),
        }
    }
}

/// How the models did on the evaluation rows of one site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SiteReport {
    /// Rows that were evaluated.
    pub rows: u32,
    /// Those with label 1.
    pub positives: u32,
    /// Area under the curve of the federated model, 4 decimals; none when a class is empty.
    pub federated_auc: Option<f64>,
    /// Area under the curve of a model of this site alone, 4 decimals; none when a class is empty.
    pub local_auc: Option<f64>,
}

/// Why an output does not pass. Says nothing of the output's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The bytes are not of the expected kind.
    #[error("the output does not have the layout that the job asks for")]
    Layout(#[source] WireError),
    /// Another number of values.
    #[error("the output has {found} values, the job asks for {expected}")]
    Length {
        /// Values found.
        found: usize,
        /// Values asked for.
        expected: usize,
    },
    /// A value is not a number, infinite, or outside of its range.
    #[error("value {index} of the output is not a number within its range")]
    Range {
        /// Which one, from 0.
        index: usize,
    },
    /// Bytes that decode but are not the one encoding of what they decode to.
    #[error("the report is not in its canonical encoding")]
    NotCanonical,
    /// Counts or flags that cannot all be true of the table.
    #[error("the report contradicts itself or the size of the table: {0}")]
    Inconsistent(&'static str),
}

impl OutputSchema {
    /// Passes an output or refuses it as a whole.
    pub fn admit(&self, output: &[u8]) -> Result<Admitted, GateError> {
        match *self {
            OutputSchema::Vector { len, max_abs } => {
                let values = numbers(output, len)?;
                // Written so that a NaN is refused, in the values as in the bound.
                match values.iter().position(|v| !(v.abs() <= max_abs && v.is_finite())) {
                    Some(index) => Err(GateError::Range { index }),
                    None => Ok(Admitted::Vector(values)),
                }
            }
            OutputSchema::Probability { decimals } => {
                let values = numbers(output, 1)?;
                match values[..] {
                    [p] if (0.0..=1.0).contains(&p) => Ok(Admitted::Probability(round(p, decimals))),
                    _ => Err(GateError::Range { index: 0 }),
                }
            }
            OutputSchema::Report { rows, columns } => report(output, rows, columns).map(Admitted::Report),
            OutputSchema::SiteReport { rows } => site_report(output, rows).map(Admitted::SiteReport),
        }
    }
}

impl Admitted {
    /// The canonical bytes of what passed: what is hashed into a receipt and sent on.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Admitted::Vector(values) => encode_vector(values),
            Admitted::Probability(p) => encode_vector(&[*p]),
            Admitted::Report(report) => report.encode(),
            Admitted::SiteReport(r) => {
                let auc = |a: Option<f64>| a.unwrap_or(-1.0);
                let counts = [f64::from(r.rows), f64::from(r.positives)];
                encode_vector(&[counts[0], counts[1], auc(r.federated_auc), auc(r.local_auc)])
            }
        }
    }
}

fn numbers(output: &[u8], expected: usize) -> Result<Vec<f64>, GateError> {
    let values = decode_vector(output).map_err(GateError::Layout)?;
    if values.len() != expected {
        return Err(GateError::Length { found: values.len(), expected });
    }
    Ok(values)
}

/// To the nearest multiple of `10^-decimals`; minus zero becomes zero.
fn round(value: f64, decimals: u32) -> f64 {
    let scale = 10_f64.powi(decimals.min(15) as i32);
    (value * scale).round() / scale + 0.0
}

fn report(output: &[u8], rows: u32, columns: u32) -> Result<ValidateReport, GateError> {
    let report = ValidateReport::decode(output).map_err(GateError::Layout)?;
    if report.encode() != output {
        return Err(GateError::NotCanonical);
    }
    let wrong = |what| Err(GateError::Inconsistent(what));
    if report.rows != rows
        || report.missing.len() != columns as usize
        || report.flags.len() != columns as usize
    {
        return wrong("size of the table");
    }
    if report.positives > rows || report.duplicates > rows.saturating_sub(1) {
        return wrong("positives or duplicates");
    }
    if report.quality > 3 {
        return wrong("quality level");
    }
    const KNOWN: u8 =
        FLAG_CONSTANT | FLAG_ALL_MISSING | FLAG_MOSTLY_MISSING | FLAG_ZERO_IN_DISGUISE | FLAG_EXTREME;
    // Flags that follow from the count must follow from it, so that they carry nothing of their own.
    for (&missing, &flags) in report.missing.iter().zip(&report.flags) {
        if missing > rows || flags & !KNOWN != 0 {
            return wrong("flags or missing values of a column");
        }
        let all = missing == rows;
        let mostly = u64::from(missing) * 2 > u64::from(rows);
        if (flags & FLAG_ALL_MISSING != 0) != all || (flags & FLAG_MOSTLY_MISSING != 0) != mostly {
            return wrong("flags of a column against its missing values");
        }
        let constant = flags & FLAG_CONSTANT != 0;
        if (all || constant) && flags & (FLAG_ZERO_IN_DISGUISE | FLAG_EXTREME) != 0 || all && constant {
            return wrong("flags of a column against each other");
        }
    }
    Ok(report)
}

fn site_report(output: &[u8], table_rows: u32) -> Result<SiteReport, GateError> {
    let values = numbers(output, 4)?;
    let [rows, positives, federated, local] = values[..] else {
        return Err(GateError::Length { found: values.len(), expected: 4 });
    };
    let rows = count(rows, 0, table_rows)?;
    let positives = count(positives, 1, rows)?;
    let both_classes = positives > 0 && positives < rows;
    let auc = |value: f64, index| match both_classes {
        true if (0.0..=1.0).contains(&value) => Ok(Some(round(value, AUC_DECIMALS))),
        false if value == -1.0 => Ok(None),
        _ => Err(GateError::Range { index }),
    };
    Ok(SiteReport { rows, positives, federated_auc: auc(federated, 2)?, local_auc: auc(local, 3)? })
}

/// A whole number from 0 to `most`.
fn count(value: f64, index: usize, most: u32) -> Result<u32, GateError> {
    if value.fract() == 0.0 && (0.0..=f64::from(most)).contains(&value) {
        Ok(value as u32)
    } else {
        Err(GateError::Range { index })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn vector(values: &[f64], len: usize, max_abs: f64) -> Result<Admitted, GateError> {
        OutputSchema::Vector { len, max_abs }.admit(&encode_vector(values))
    }

    #[test]
    fn vectors_are_finite_bounded_and_of_their_length() {
        assert_eq!(vector(&[1.0, -2.0], 2, 2.0), Ok(Admitted::Vector(vec![1.0, -2.0])));
        assert_eq!(vector(&[1.0], 2, 2.0), Err(GateError::Length { found: 1, expected: 2 }));
        assert_eq!(vector(&[1.0, -2.1], 2, 2.0), Err(GateError::Range { index: 1 }));
        assert_eq!(vector(&[f64::NAN], 1, f64::INFINITY), Err(GateError::Range { index: 0 }));
        assert_eq!(vector(&[f64::INFINITY], 1, f64::INFINITY), Err(GateError::Range { index: 0 }));
        assert_eq!(vector(&[0.0], 1, f64::NAN), Err(GateError::Range { index: 0 }));
        let schema = OutputSchema::Vector { len: 1, max_abs: 1.0 };
        assert_eq!(schema.admit(&[0; 7]), Err(GateError::Layout(WireError::Truncated)));
    }

    #[test]
    fn a_probability_leaves_with_four_decimals() {
        let admit = |p| OutputSchema::Probability { decimals: 4 }.admit(&encode_vector(&[p]));
        assert_eq!(admit(0.123_456_789), Ok(Admitted::Probability(0.1235)));
        assert_eq!(admit(0.123_449_999).unwrap().encode(), encode_vector(&[0.1234]));
        assert_eq!(admit(-0.0).unwrap().encode(), [0; 8]);
        assert_eq!(admit(1.0), Ok(Admitted::Probability(1.0)));
        for p in [-1e-9, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(admit(p), Err(GateError::Range { index: 0 }));
        }
    }

    fn good() -> ValidateReport {
        ValidateReport {
            rows: 10,
            positives: 4,
            duplicates: 1,
            missing: vec![0, 6, 10],
            flags: vec![FLAG_ZERO_IN_DISGUISE, FLAG_MOSTLY_MISSING, FLAG_ALL_MISSING | FLAG_MOSTLY_MISSING],
            quality: 1,
        }
    }

    #[test]
    fn a_report_fits_the_table() {
        let schema = OutputSchema::Report { rows: 10, columns: 3 };
        let admitted = schema.admit(&good().encode()).unwrap();
        assert_eq!(admitted.encode(), good().encode());
        assert!(matches!(
            OutputSchema::Report { rows: 11, columns: 3 }.admit(&good().encode()),
            Err(GateError::Inconsistent(_))
        ));
        assert!(matches!(
            OutputSchema::Report { rows: 10, columns: 2 }.admit(&good().encode()),
            Err(GateError::Inconsistent(_))
        ));
        let mut longer = good().encode();
        longer.push(0);
        assert_eq!(schema.admit(&longer), Err(GateError::Layout(WireError::Trailing)));
    }

    #[test]
    fn a_report_that_cannot_be_true_is_refused() {
        let refused = |change: fn(&mut ValidateReport)| {
            let mut report = good();
            change(&mut report);
            OutputSchema::Report { rows: 10, columns: 3 }.admit(&report.encode()).is_err()
        };
        assert!(refused(|r| r.flags[0] |= 32));
        assert!(refused(|r| r.flags[0] |= FLAG_ALL_MISSING));
        assert!(refused(|r| r.flags[1] = 0));
        assert!(refused(|r| r.flags[2] |= FLAG_CONSTANT));
        assert!(refused(|r| r.flags[0] |= FLAG_CONSTANT));
        assert!(refused(|r| r.missing[2] = 9));
        assert!(refused(|r| r.missing[0] = 11));
        assert!(refused(|r| r.positives = 11));
        assert!(refused(|r| r.duplicates = 10));
        assert!(refused(|r| r.quality = 4));
        assert!(!refused(|_| {}));
    }

    #[test]
    fn a_site_report_has_counts_and_rounded_areas() {
        let admit = |values: &[f64]| OutputSchema::SiteReport { rows: 50 }.admit(&encode_vector(values));
        let report =
            SiteReport { rows: 40, positives: 10, federated_auc: Some(0.8765), local_auc: Some(0.5) };
        assert_eq!(admit(&[40.0, 10.0, 0.876_54, 0.5]), Ok(Admitted::SiteReport(report)));
        assert_eq!(
            admit(&[40.0, 10.0, 0.876_54, 0.5]).unwrap().encode(),
            encode_vector(&[40.0, 10.0, 0.8765, 0.5])
        );
        let single = SiteReport { rows: 3, positives: 3, federated_auc: None, local_auc: None };
        assert_eq!(admit(&[3.0, 3.0, -1.0, -1.0]), Ok(Admitted::SiteReport(single)));
        for (values, index) in [
            ([51.0, 10.0, 0.5, 0.5], 0),
            ([40.5, 10.0, 0.5, 0.5], 0),
            ([40.0, 41.0, 0.5, 0.5], 1),
            ([40.0, -1.0, 0.5, 0.5], 1),
            ([40.0, 10.0, 1.5, 0.5], 2),
            ([40.0, 10.0, -1.0, 0.5], 2),
            ([40.0, 40.0, -1.0, 0.5], 3),
            ([40.0, 10.0, 0.5, f64::NAN], 3),
        ] {
            assert_eq!(admit(&values), Err(GateError::Range { index }), "{values:?}");
        }
    }
}
