//! BIM: one line a variant. Chromosome, label, centimorgans, position, A1 (alternative), A2 (reference).

use std::fmt;
use std::io::{Read, Write};

use super::lines::Lines;
use super::{Limits, LineProblem, PlinkError};
use crate::assembly::{Assembly, Chromosome, PlaceError, Position};
use crate::variant::{Label, Variant, VariantError};

/// The variants of a fileset, with their lines as they were read.
#[derive(Clone, PartialEq, Eq)]
pub struct Variants {
    lines: Lines,
}

/// The fields of one line of a BIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site<'a> {
    /// Chromosome as written.
    pub chromosome: &'a str,
    /// Label, often an rs number.
    pub label: &'a str,
    /// Position in centimorgans as written, `0` when it is not known.
    pub centimorgans: &'a str,
    /// Position in base pairs as written.
    pub position: &'a str,
    /// A1, the alternative allele.
    pub alternative: &'a str,
    /// A2, the reference allele.
    pub reference: &'a str,
}

impl Variants {
    /// Reads a BIM; `file` names it in errors.
    ///
    /// # Errors
    /// [`Line`](PlinkError::Line) for a line that has not six fields, [`TooLarge`](PlinkError::TooLarge),
    /// [`Io`](PlinkError::Io). Whether the fields make a variant is asked with [`variant`](Self::variant): filesets hold
    /// lines of unplaced variants beside good ones.
    pub fn read(file: &str, input: impl Read, limits: &Limits) -> Result<Self, PlinkError> {
        Ok(Self { lines: Lines::read(file, input, limits)? })
    }

    /// A BIM made of variants and their labels; `.` where there is none.
    ///
    /// # Errors
    /// [`Line`](PlinkError::Line) for a label with blanks in it.
    pub fn of<'a>(
        file: &str,
        variants: impl Iterator<Item = (&'a Variant, &'a Label)>,
    ) -> Result<Self, PlinkError> {
        let rows = variants.map(|(variant, label)| {
            [
                variant.chromosome().to_string(),
                label.text().unwrap_or(".").to_owned(),
                "0".into(),
                variant.position().to_string(),
                variant.alternative().to_string(),
                variant.reference().to_string(),
            ]
        });
        Ok(Self { lines: Lines::of(file, rows)? })
    }

    /// Writes the lines as they were read.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(&self, mut output: impl Write) -> std::io::Result<()> {
        output.write_all(self.lines.text().as_bytes())
    }

    /// Number of variants.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True without variants.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The fields of a line.
    #[must_use]
    pub fn site(&self, index: usize) -> Option<Site<'_>> {
        let [chromosome, label, centimorgans, position, alternative, reference] = self.lines.fields(index)?;
        Some(Site { chromosome, label, centimorgans, position, alternative, reference })
    }

    /// The fields of every line.
    pub fn sites(&self) -> impl Iterator<Item = Site<'_>> {
        (0..self.len()).filter_map(|index| self.site(index))
    }

    /// The fields of a line as a [`variant::Site`](crate::variant::Site); `None` beyond the last one.
    ///
    /// # Errors
    /// [`Line`](PlinkError::Line) for a position that is no whole number; PLINK marks variants to be left out by negative
    /// ones.
    pub fn written(&self, index: usize) -> Option<Result<crate::variant::Site, PlinkError>> {
        let Site { chromosome, label, position, alternative, reference, .. } = self.site(index)?;
        let number = if position.bytes().all(|c| c.is_ascii_digit()) { position.parse().ok() } else { None };
        let Some(position) = number else {
            return Some(
                self.lines
                    .refuse(index, LineProblem::Variant { field: 4, problem: PlaceError::Position.into() }),
            );
        };
        Some(Ok(crate::variant::Site {
            line: index as u64 + 1,
            chromosome: chromosome.to_owned(),
            position,
            ids: label.to_owned(),
            reference: reference.to_owned(),
            alternative: alternative.to_owned(),
        }))
    }

    /// The variant of a line; `None` beyond the last one.
    ///
    /// # Errors
    /// [`Line`](PlinkError::Line), which names the field.
    pub fn variant(&self, index: usize, assembly: Assembly) -> Option<Result<Variant, PlinkError>> {
        let variant = self.site(index)?.variant(assembly);
        Some(
            variant.or_else(|(field, problem)| {
                self.lines.refuse(index, LineProblem::Variant { field, problem })
            }),
        )
    }
}

impl Site<'_> {
    /// The label.
    #[must_use]
    pub fn label(&self) -> Label {
        Label::new(self.label)
    }

    /// The variant, or which field makes none.
    fn variant(&self, assembly: Assembly) -> Result<Variant, (usize, VariantError)> {
        let chromosome: Chromosome = self.chromosome.parse().map_err(|e: PlaceError| (1, e.into()))?;
        let position: Position = self.position.parse().map_err(|e: PlaceError| (4, e.into()))?;
        Variant::new(assembly, chromosome, position, self.reference, self.alternative).map_err(|problem| {
            let of_reference = matches!(
                problem,
                VariantError::SymbolicReference
                    | VariantError::NoAllele("reference")
                    | VariantError::Letters("reference")
                    | VariantError::Long("reference")
            );
            (if of_reference { 6 } else { 5 }, problem)
        })
    }
}

impl fmt::Debug for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variants")
            .field("file", &self.lines.file())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
