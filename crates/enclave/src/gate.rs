//! The gate of validation: what the program wrote is only bytes until it fits a table of this size.
//!
//! The host knows what was asked, so it knows the shape of the answer. Whatever does not fit is refused as a whole, without a
//! word on the content. What methods write passes gates of their own ([`crate::method`]).
//!
//! A gate narrows what a program can tell; it does not show that an allowed answer tells nothing. That is the work
//! of the source audit, and of the budgets on queries.

use histone_program_sdk::job::{
    FLAG_ALL_MISSING, FLAG_CONSTANT, FLAG_EXTREME, FLAG_MOSTLY_MISSING, FLAG_ZERO_IN_DISGUISE, ValidateReport,
};
use histone_program_sdk::wire::WireError;

/// Why an output does not pass. Says nothing of the output's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The bytes are not of the expected kind.
    #[error("the output does not have the layout that the job asks for")]
    Layout(#[source] WireError),
    /// Bytes that decode but are not the one encoding of what they decode to.
    #[error("the report is not in its canonical encoding")]
    NotCanonical,
    /// Counts or flags that cannot all be true of the table.
    #[error("the report contradicts itself or the size of the table: {0}")]
    Inconsistent(&'static str),
}

/// Passes a report on a table of this size, or refuses it as a whole.
pub fn report(output: &[u8], rows: u32, columns: u32) -> Result<ValidateReport, GateError> {
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
    if report.duplicates > rows.saturating_sub(1) {
        return wrong("duplicates");
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn good() -> ValidateReport {
        ValidateReport {
            rows: 10,
            duplicates: 1,
            missing: vec![0, 6, 10],
            flags: vec![FLAG_ZERO_IN_DISGUISE, FLAG_MOSTLY_MISSING, FLAG_ALL_MISSING | FLAG_MOSTLY_MISSING],
            quality: 1,
        }
    }

    #[test]
    fn a_report_fits_the_table() {
        assert_eq!(report(&good().encode(), 10, 3).unwrap(), good());
        assert!(matches!(report(&good().encode(), 11, 3), Err(GateError::Inconsistent(_))));
        assert!(matches!(report(&good().encode(), 10, 2), Err(GateError::Inconsistent(_))));
        let mut longer = good().encode();
        longer.push(0);
        assert_eq!(report(&longer, 10, 3), Err(GateError::Layout(WireError::Trailing)));
    }

    #[test]
    fn a_report_that_cannot_be_true_is_refused() {
        let refused = |change: fn(&mut ValidateReport)| {
            let mut changed = good();
            change(&mut changed);
            report(&changed.encode(), 10, 3).is_err()
        };
        assert!(refused(|r| r.flags[0] |= 32));
        assert!(refused(|r| r.flags[0] |= FLAG_ALL_MISSING));
        assert!(refused(|r| r.flags[1] = 0));
        assert!(refused(|r| r.flags[2] |= FLAG_CONSTANT));
        assert!(refused(|r| r.flags[0] |= FLAG_CONSTANT));
        assert!(refused(|r| r.missing[2] = 9));
        assert!(refused(|r| r.missing[0] = 11));
        assert!(refused(|r| r.duplicates = 10));
        assert!(refused(|r| r.quality = 4));
        assert!(!refused(|_| {}));
    }
}
