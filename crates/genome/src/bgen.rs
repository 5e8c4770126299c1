//! BGEN 1.2 and 1.3, layout 2: probabilities of genotypes, from imputation mostly.
//!
//! Source: <https://www.well.ox.ac.uk/~gav/bgen_format/spec/latest.html>.
//!
//! A file has probabilities of 1 to 32 bits for people with up to two copies of the chromosome, phased or not, in blocks
//! that are stored as they are or compressed with zlib or Zstandard. They become, for each ALT allele against all others
//! (as [`vcf::Blocks`](crate::vcf::Blocks) splits records), a **dosage**, the expected number of copies from 0 to 2, and a
//! **call**, the whole number that is within [`HARD_CALL_DISTANCE`](crate::genotypes::HARD_CALL_DISTANCE) of it, or missing. People with one copy count as
//! homozygous ones, as in a VCF.
//!
//! The specification does not say which allele is the reference; [`ReferenceAllele`] does.
//!
//! Reading order: [`BgenReader`], [`read_people`] for the `.sample` file that may lie beside a BGEN.
//!
//! Deliberately not here: writing, layout 1, more than two copies of a chromosome, index files (`.bgi`).

mod error;
mod header;
mod probabilities;
mod reader;
mod sample_file;
mod variant;

pub use error::{BgenError, BgenProblem, SampleProblem};
pub use reader::BgenReader;
pub use sample_file::read_people;

use crate::text::TextLimits;

/// Which allele of a variant is the reference one. Writers differ: files of the UK Biobank have it first, and what PLINK 1
/// filesets were turned into may have it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferenceAllele {
    /// The first (`ref-first` of PLINK 2).
    #[default]
    First,
    /// The last (`ref-last`).
    Last,
}

/// How large a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// People.
    pub samples: usize,
    /// Alleles of one variant.
    pub alleles: usize,
    /// Bytes of one allele.
    pub allele_bytes: usize,
    /// Bytes of the probabilities of one variant, compressed or not. A million people with 16 bits have 5 MB.
    pub block_bytes: usize,
    /// The text of a `.sample` file.
    pub text: TextLimits,
}

impl Default for Limits {
    /// Ten million people, 65,535 alleles (what the format can count) of a MiB, 256 MiB a variant.
    fn default() -> Self {
        Self {
            samples: 10_000_000,
            alleles: 65_535,
            allele_bytes: 1 << 20,
            block_bytes: 256 << 20,
            text: TextLimits::default(),
        }
    }
}
