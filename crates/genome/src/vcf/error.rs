//! What can be wrong with a VCF file, written for the person who owns it.

use std::fmt;

mod rule;

pub use rule::Rule;

/// The part of the file that a finding is about. Names of INFO and FORMAT keys appear only when the format reserves
/// them or the header declares them: with a column missing, anything may stand where a key is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The file as a whole, or a line whose kind is unknown.
    File,
    /// A `##` line; its key when the format knows it.
    Meta(&'static str),
    /// The `#CHROM` line.
    Header,
    /// The whole record.
    Record,
    /// CHROM.
    Chromosome,
    /// POS.
    Position,
    /// ID.
    Id,
    /// REF.
    Reference,
    /// ALT.
    Alternative,
    /// QUAL.
    Quality,
    /// FILTER.
    Filter,
    /// INFO, with the key.
    Info(Option<String>),
    /// FORMAT, with the key.
    Format(Option<String>),
    /// One sample's column.
    Sample {
        /// The sample's number, from 1.
        number: usize,
        /// The FORMAT key.
        key: Option<String>,
    },
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Meta("") => f.write_str("header"),
            Self::Meta(key) => write!(f, "##{key}"),
            Self::Header => f.write_str("#CHROM line"),
            Self::Record => f.write_str("record"),
            Self::Chromosome => f.write_str("CHROM"),
            Self::Position => f.write_str("POS"),
            Self::Id => f.write_str("ID"),
            Self::Reference => f.write_str("REF"),
            Self::Alternative => f.write_str("ALT"),
            Self::Quality => f.write_str("QUAL"),
            Self::Filter => f.write_str("FILTER"),
            Self::Info(None) => f.write_str("INFO"),
            Self::Info(Some(key)) => write!(f, "INFO/{key}"),
            Self::Format(None) => f.write_str("FORMAT"),
            Self::Format(Some(key)) => write!(f, "FORMAT/{key}"),
            Self::Sample { number, key: None } => write!(f, "sample {number}"),
            Self::Sample { number, key: Some(key) } => write!(f, "sample {number}, {key}"),
        }
    }
}

/// One place where a file breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: u64,
    /// Byte of the line, from 1.
    pub column: usize,
    /// What stands there.
    pub field: Field,
    /// What it breaks.
    pub rule: Rule,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, field, rule } = self;
        write!(f, "line {line}, column {column} ({field}): {} [{}]", rule.sentence(), rule.id())
    }
}

/// Why a file cannot be read or checked further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VcfError {
    /// The source failed; a fault of the compression is the inner error.
    #[error("{file}: cannot be read beyond line {line}")]
    Read {
        /// Name of the file.
        file: String,
        /// The line that was being read.
        line: u64,
        /// What the source said.
        #[source]
        source: std::io::Error,
    },
    /// A line beyond the limit.
    #[error(
        "{file}, line {line}: the line has more than {limit} bytes, the limit of this program; split the file by samples"
    )]
    LineTooLong {
        /// Name of the file.
        file: String,
        /// Number of the line.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// A header beyond the limit.
    #[error(
        "{file}, line {line}: the header has more than {limit} bytes, the limit of this program; remove what is not needed"
    )]
    HeaderTooLong {
        /// Name of the file.
        file: String,
        /// Number of the line.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// More samples than the limit.
    #[error(
        "{file}, line {line}: the header line has more than {limit} samples, the limit of this program; split the file by samples"
    )]
    TooManySamples {
        /// Name of the file.
        file: String,
        /// Number of the line.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// A record that the reader cannot read.
    #[error("{file}, {finding}")]
    Malformed {
        /// Name of the file.
        file: String,
        /// Where and why.
        finding: Finding,
    },
    /// An ALT allele was asked for that the record does not have.
    #[error(
        "{file}, line {line}: allele {asked} was asked for and the record has {alleles} alternative alleles"
    )]
    NoSuchAllele {
        /// Name of the file.
        file: String,
        /// Number of the line.
        line: u64,
        /// What was asked for, from 1.
        asked: usize,
        /// What there is.
        alleles: usize,
    },
    /// A binary file that cannot be read.
    #[error("{file}, record {record}: {problem}")]
    Bcf {
        /// Name of the file.
        file: String,
        /// Number of the record, from 1; 0 is the header.
        record: u64,
        /// What is wrong.
        problem: super::bcf::BcfProblem,
    },
    /// Calls that do not fit, or too many of them.
    #[error(transparent)]
    Genotypes(#[from] crate::genotypes::GenotypeError),
    /// The target of a writer failed.
    #[error("the file cannot be written")]
    Write(#[from] std::io::Error),
    /// A record that does not fit the header of the writer.
    #[error("the record has {found} samples and the header {expected}")]
    SampleCount {
        /// Samples of the header.
        expected: usize,
        /// Samples of the record.
        found: usize,
    },
    /// A text that the writer cannot write into a field.
    #[error("the text for {field} holds a tab, a line end or nothing at all")]
    UnwritableText {
        /// The field.
        field: Field,
    },
}
