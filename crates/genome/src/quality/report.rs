//! What the committee reads, and the one word for the uploader.

use std::io::{self, Write};

use super::{Band, Measure};

/// What follows from a finding, or from all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing unusual.
    Pass,
    /// A person should look.
    Review,
    /// Not to be used.
    Refuse,
}

/// What the uploader is told: this type cannot carry more, and a refusal is a review to whom it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Taken.
    Accepted,
    /// A review is due.
    ReviewDue,
}

/// One measure and what was expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// What was measured.
    pub measure: Measure,
    /// The number that was found.
    pub value: f64,
    /// What the policy expects of it.
    pub expected: Band,
    /// What follows.
    pub verdict: Verdict,
}

/// All findings. For the committee alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) mix: Vec<(String, f64)>,
}

impl Report {
    /// What was measured, in the order of [`Measure::ALL`]. A measure is left out where the submission has too little for it:
    /// no panel, no X, no trios, fewer than 100 variants.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The finding of one measure.
    #[must_use]
    pub fn finding(&self, measure: Measure) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.measure == measure)
    }

    /// The panel's populations, each with its share in the best mix; empty without a panel.
    #[must_use]
    pub fn mix(&self) -> &[(String, f64)] {
        &self.mix
    }

    /// The worst verdict of all findings. Where nothing could be measured, a person should look.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Review)
    }

    /// What the uploader is told.
    #[must_use]
    pub fn told(&self) -> Told {
        match self.verdict() {
            Verdict::Pass => Told::Accepted,
            Verdict::Review | Verdict::Refuse => Told::ReviewDue,
        }
    }

    /// Writes the findings as a table: measure, value, the band's four numbers, verdict.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(&self, mut output: impl Write) -> io::Result<()> {
        writeln!(output, "#MEASURE\tVALUE\tREFUSE_BELOW\tREVIEW_BELOW\tREVIEW_ABOVE\tREFUSE_ABOVE\tVERDICT")?;
        for Finding { measure, value, expected, verdict } in &self.findings {
            let Band { refuse_below, review_below, review_above, refuse_above } = expected;
            let verdict = match verdict {
                Verdict::Pass => "pass",
                Verdict::Review => "review",
                Verdict::Refuse => "refuse",
            };
            writeln!(
                output,
                "{}\t{value:.6}\t{refuse_below}\t{review_below}\t{review_above}\t{refuse_above}\t{verdict}",
                measure.name(),
            )?;
        }
        Ok(())
    }
}
