//! The binary form of VCF, BCF 2.1 and 2.2: sites, calls and dosages.
//!
//! A BCF file is BGZF around a header, which is the text of a VCF header, and records of stated size whose texts are
//! numbers into the header's dictionaries (VCF 4.3, section 6).
//!
//! [`Reader`] gives sites, calls and dosages; INFO, and keys of FORMAT other than GT and DS, are skipped there and not checked. [`Text`]
//! writes all of it as the text of a VCF.

mod blocks;
mod dictionary;
mod genotypes;
mod reader;
mod text;
mod value;

pub use blocks::Blocks;
pub use reader::{Reader, Record};
pub use text::Text;

use super::error::Rule;

/// What is wrong with a binary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BcfProblem {
    /// The first bytes are others.
    #[error(
        "the file does not begin as BCF 2.1 or 2.2 does; if it is compressed, it must be read as BGZF first"
    )]
    NotBcf,
    /// The file or the record ends too early.
    #[error("the data end before the sizes that are stated in them say; fetch the file again")]
    Truncated,
    /// A stated size beyond the limit.
    #[error("a size of more than {limit} bytes is stated, the limit of this program")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A value of a type that its place does not allow, or a negative size.
    #[error("a value has a type or a size that its place does not allow (VCF 4.3, section 6.3.3)")]
    Value,
    /// Text that is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
    /// A number that no line of the header has.
    #[error("a number stands for no contig, filter or key of the header")]
    Dictionary,
    /// A record of another number of samples.
    #[error("the record has another number of samples than the header")]
    Samples,
    /// A call or dosage that cannot be read.
    #[error("sample {sample}: {} [{}]", .rule.sentence(), .rule.id())]
    Sample {
        /// Number of the sample, from 1.
        sample: usize,
        /// What it breaks.
        rule: Rule,
    },
    /// FORMAT lacks what was asked for.
    #[error("{} [{}]", .0.sentence(), .0.id())]
    Format(Rule),
}
