//! PLINK 1 filesets: BED (calls), BIM (variants), FAM (people).
//!
//! Source: <https://www.cog-genomics.org/plink/1.9/formats#bed> and the sections `bim` and `fam` of the same page.
//! A fileset does not say which of its alleles is the reference one. As PLINK 2 does, column 5 of a BIM (A1) is taken as
//! the alternative and column 6 (A2) as the reference; whoever knows better compares with a reference sequence
//! ([`crate::variant::Variant::left_aligned`] refuses a reference allele that is not the sequence's).
//!
//! Reading and writing gives the same bytes: [`People`] and [`Variants`] keep their lines, blanks and all, and of a BED
//! every byte is determined by its calls.
//!
//! Reading order: [`People::read`], [`Variants::read`], [`BedReader`], [`BedWriter`].

mod bed;
mod bim;
mod fam;
mod lines;

pub(crate) use bed::from_bed;
pub use bed::{BedReader, BedWriter};
pub use bim::{Site, Variants};
pub use fam::{People, Person, Sex, Trio};

use crate::genotypes::GenotypeError;
use crate::variant::VariantError;

/// How large a BIM or a FAM may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Bytes of a line; alleles of insertions can be long.
    pub line_bytes: usize,
    /// Lines, which are people or variants.
    pub lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 30, line_bytes: 1 << 20, lines: 100_000_000 }
    }
}

/// What is wrong with a line of a BIM or a FAM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// Other than six fields.
    #[error("the line has {0} fields; it needs six, separated by tabs or blanks")]
    Fields(usize),
    /// Bytes that are not UTF-8.
    #[error("the line is not UTF-8; write the file in UTF-8")]
    NotUtf8,
    /// Longer than the caller allows.
    #[error("the line is longer than {0} bytes")]
    Long(usize),
    /// A line end unlike the first one, or a carriage return elsewhere.
    #[error(
        "the line ends unlike the first one; end all lines with a line feed, or all with both characters"
    )]
    MixedEnds,
    /// The same person twice.
    #[error("family and person are the same as on line {0}; a person has one line")]
    DoubledPerson(u64),
    /// A person's id is `0`, which means nobody.
    #[error("the id of the person (field 2) is `0`, which means nobody")]
    Nobody,
    /// A field that makes no variant.
    #[error("field {field}: {problem}")]
    Variant {
        /// Number of the field, from 1.
        field: usize,
        /// What is wrong with it.
        problem: VariantError,
    },
}

/// What can be wrong with a fileset. Carries no genotype and no name of a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlinkError {
    /// A line of a BIM or a FAM.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// Name of the file as given to the reader.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong.
        problem: LineProblem,
    },
    /// A file that is larger than the caller allows.
    #[error("{file} has more than {limit} {what}; raise the limit if this is meant")]
    TooLarge {
        /// Name of the file.
        file: String,
        /// What there is too much of.
        what: &'static str,
        /// The number allowed.
        limit: usize,
    },
    /// A file that does not begin as a BED does.
    #[error("{file}, byte {offset}: the file does not begin with the bytes 6c 1b of a BED; is it one?")]
    NoBed {
        /// Name of the file.
        file: String,
        /// Offset of the first wrong byte.
        offset: u64,
    },
    /// The old layout, one row a person.
    #[error("{file}, byte 2: the BED is in individual-major mode; convert it with `plink --make-bed`")]
    IndividualMajor {
        /// Name of the file.
        file: String,
    },
    /// A third byte that is no mode.
    #[error("{file}, byte 2: the mode is neither 1 (variant-major) nor 0; the file is damaged")]
    Mode {
        /// Name of the file.
        file: String,
    },
    /// A BED that ends too early.
    #[error(
        "{file} ends at byte {found}; {variants} variants of {samples} people need {needed}, so it is cut off or belongs to another BIM or FAM"
    )]
    Short {
        /// Name of the file.
        file: String,
        /// Bytes that there are.
        found: u64,
        /// Bytes that there should be.
        needed: u64,
        /// Lines of the BIM.
        variants: usize,
        /// Lines of the FAM.
        samples: usize,
    },
    /// A BED that goes on behind its last variant.
    #[error(
        "{file} goes on behind byte {needed}, where {variants} variants of {samples} people end; it belongs to another BIM or FAM"
    )]
    Surplus {
        /// Name of the file.
        file: String,
        /// Bytes that there should be.
        needed: u64,
        /// Lines of the BIM.
        variants: usize,
        /// Lines of the FAM.
        samples: usize,
    },
    /// Bits behind the last person that are not 0.
    #[error(
        "{file}, byte {offset}: bits behind the last person are set; the file is damaged or belongs to another FAM"
    )]
    Padding {
        /// Name of the file.
        file: String,
        /// Offset of the byte.
        offset: u64,
    },
    /// Calls that do not fit.
    #[error(transparent)]
    Genotypes(#[from] GenotypeError),
    /// The file could not be read or written.
    #[error("{file} cannot be read or written")]
    Io {
        /// Name of the file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
