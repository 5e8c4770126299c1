//! PLINK 2 filesets: PGEN (calls), PVAR (variants), PSAM (people).
//!
//! Source: the draft "PLINK 2 File Format Specification" (`pgen_spec` of <https://github.com/chrchang/plink-ng>), and the
//! description of the format in the comments of `2.0/include/pgenlib_misc.h` there, which is younger.
//!
//! Read are the storage modes 0x01 (a BED), 0x02 to 0x04 (records of one width) and 0x10 (records of any width, what
//! `plink2 --make-pgen` writes) with every kind of record: 2-bit, 1-bit, lists of differences, differences from an earlier
//! variant, several ALT alleles. The calls of a PGEN have the codes of a [`Block`](crate::genotypes::Block).
//!
//! **One variant for each ALT allele, against all others**, as [`vcf::Blocks`](crate::vcf::Blocks) has it.
//!
//! Dosages are given where they are asked for ([`PgenReader::with_dosages`]) and a variant has one ALT allele. Phase is not
//! kept; its bytes are counted, so that a record must end where it says.
//!
//! Reading order: [`read_people`], [`Variants::read`], [`PgenReader`].
//!
//! Deliberately not here: writing; mode 0x11 and index files beside a PGEN (0x20, 0x21), which the specification does not
//! describe yet, and the widths 8 to 15 of types and lengths, which are for files of one person: `plink2 --make-pgen`
//! turns such files into others.

mod bits;
mod difflist;
mod error;
mod header;
mod main_track;
mod multiallelic;
mod psam;
mod pvar;
mod reader;
mod tracks;

pub use error::{PgenProblem, Plink2Error, TableProblem};
pub use psam::read_people;
pub use pvar::Variants;
pub use reader::PgenReader;

use crate::text::TextLimits;

/// How large the files of a fileset may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The text of a PVAR or a PSAM.
    pub text: TextLimits,
    /// ALT alleles of one variant.
    pub alternatives: usize,
    /// Bytes of one record of a PGEN. A million people with phased dosages have less than 7 MB.
    pub record_bytes: usize,
}

impl Default for Limits {
    /// 64 GiB of text in lines of 16 MiB, a hundred million lines; 65,536 ALT alleles; 256 MiB a record.
    fn default() -> Self {
        let text = TextLimits { bytes: 1 << 36, line_bytes: 1 << 24, rows: 100_000_000, columns: 10_000 };
        Self { text, alternatives: 1 << 16, record_bytes: 256 << 20 }
    }
}
