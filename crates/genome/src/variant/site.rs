//! A variant as a file writes it.

use super::{Label, Variant, VariantError};
use crate::assembly::{Assembly, PlaceError, Position};

/// The texts by which a file names a variant with one alternative allele, as they stand there: any contig, any alleles, in
/// any spelling. [`Site::variant`] makes the one identity of it where that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Line of the file, from 1. Variants of one VCF record have the same.
    pub line: u64,
    /// The chromosome or contig.
    pub chromosome: String,
    /// Position from 1; 0 where a file has none, and before the first base.
    pub position: u64,
    /// Names such as rs numbers, separated by semicolons; `.` for none.
    pub ids: String,
    /// The reference allele.
    pub reference: String,
    /// The alternative allele, whose copies a call counts: bases, or `*`, `<NAME>` and the like.
    pub alternative: String,
}

impl Site {
    /// What the file calls the variant.
    #[must_use]
    pub fn label(&self) -> Label {
        Label::new(&self.ids)
    }

    /// The variant, its position counted on `assembly`.
    ///
    /// # Errors
    /// [`VariantError`] for what is none: another contig, no position, other letters.
    pub fn variant(&self, assembly: Assembly) -> Result<Variant, VariantError> {
        let chromosome = self.chromosome.parse()?;
        let position = u32::try_from(self.position).map_err(|_| PlaceError::Position)?;
        Variant::new(assembly, chromosome, Position::try_from(position)?, &self.reference, &self.alternative)
    }
}
