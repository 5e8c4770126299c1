//! What can be wrong with a BGEN.

use crate::genotypes::GenotypeError;
use crate::input::Unread;
use crate::text::TextError;

/// What is wrong with a line of a `.sample` file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleProblem {
    /// Other first lines.
    #[error("the first line must begin with `ID_1 ID_2 missing`, or `ID missing`")]
    Header,
    /// A second line that does not say of which types the columns are.
    #[error("the second line must have a type for each column, and `0` for the first ones")]
    Types,
    /// A line with another number of fields.
    #[error("the line has {found} fields and the first one {needed}")]
    Fields {
        /// Fields of the line.
        found: usize,
        /// Fields of the first line.
        needed: usize,
    },
    /// The same person twice.
    #[error("the ids are the same as on line {0}; a person has one line")]
    DoubledPerson(u64),
    /// A person's id is `0`, which means nobody.
    #[error("the id of the person is `0`, which means nobody")]
    Nobody,
}

/// What is wrong with a BGEN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BgenProblem {
    /// Other bytes where the format has its name.
    #[error("the file does not have the bytes `bgen` of a BGEN; is it one?")]
    NotBgen,
    /// A layout that is not read.
    #[error(
        "the file has layout {0}; only layout 2 is read: convert it with `plink2 --bgen FILE ref-first --sample FILE --export bgen-1.2`"
    )]
    Layout(u8),
    /// A compression that is none.
    #[error("the compression has the number 3, which the specification does not define")]
    Compression,
    /// Sizes of the header that do not fit each other.
    #[error("the sizes of the header do not fit each other")]
    HeaderSize,
    /// More people than the caller allows.
    #[error("the file states {found} people and the limit of this program is {limit}")]
    TooManyPeople {
        /// What is stated.
        found: u64,
        /// The limit.
        limit: usize,
    },
    /// Another number of people than elsewhere.
    #[error("{found} people are stated here and {expected} elsewhere; the files do not belong together")]
    People {
        /// What is stated here.
        found: u64,
        /// What the header or the `.sample` file states.
        expected: u64,
    },
    /// Nobody has a name.
    #[error("the file has no names of people; give the `.sample` file that belongs to it")]
    NoNames,
    /// A name that is no text.
    #[error("a name or an allele is empty where it must not be, is not UTF-8, or holds control characters")]
    Text,
    /// The file ends too early.
    #[error("the file ends here, inside of its {0}; it is cut off")]
    Truncated(&'static str),
    /// The file goes on too long.
    #[error("the file goes on behind its last variant; its header states too few of them")]
    Surplus,
    /// A variant with too few alleles.
    #[error("the variant has {0} alleles; it needs two at least")]
    FewAlleles(usize),
    /// Something beyond a limit.
    #[error("the variant has more than {limit} {what}, the limit of this program")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A size that the probabilities of so many people cannot have.
    #[error(
        "the probabilities are stated to have {0} bytes, which those of so many people and alleles cannot have"
    )]
    Size(u64),
    /// Compressed data that cannot be decompressed to the stated size.
    #[error("the probabilities cannot be decompressed to their stated size")]
    Compressed,
    /// Another number of alleles than the variant has.
    #[error("{found} alleles are stated for the probabilities and the variant has {expected}")]
    Alleles {
        /// What the probabilities state.
        found: usize,
        /// What the variant has.
        expected: usize,
    },
    /// More than two copies of the chromosome.
    #[error(
        "a person has more than two copies of the chromosome, or a number that the record does not announce"
    )]
    Ploidy,
    /// A flag or a width that is none.
    #[error(
        "the record states a phase that is neither 0 nor 1, or a width that is not between 1 and 32 bits"
    )]
    Form,
    /// Probabilities of another size than the people need.
    #[error("the probabilities have {found} bytes and those of these people need {needed}")]
    Length {
        /// Bytes that there are.
        found: usize,
        /// Bytes that are needed.
        needed: usize,
    },
    /// Bits behind the last probability that are not 0.
    #[error("bits behind the last probability are set")]
    Padding,
    /// Probabilities that are none.
    #[error("the probabilities of person {0} sum to more than 1")]
    Sum(usize),
}

/// What can be wrong with a file. Carries no probability and no name of a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BgenError {
    /// The header, or the names of the people.
    #[error("{file}, byte {offset}: {problem}")]
    Header {
        /// Name of the file as given to the reader.
        file: String,
        /// Offset in the file.
        offset: u64,
        /// What is wrong.
        problem: BgenProblem,
    },
    /// A variant.
    #[error("{file}, variant {record}, byte {offset}: {problem}")]
    Record {
        /// Name of the file.
        file: String,
        /// Number of the variant, from 1.
        record: u64,
        /// Offset in the file behind what was read last.
        offset: u64,
        /// What is wrong.
        problem: BgenProblem,
    },
    /// A `.sample` file that cannot be read line by line.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A line of a `.sample` file.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// Name of the file.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong.
        problem: SampleProblem,
    },
    /// Calls that do not fit.
    #[error(transparent)]
    Genotypes(#[from] GenotypeError),
    /// The file could not be read.
    #[error("{file} cannot be read")]
    Io {
        /// Name of the file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<Unread> for BgenError {
    fn from(Unread { file, source }: Unread) -> Self {
        Self::Io { file, source }
    }
}
