//! What can be wrong with a fileset.

use crate::genotypes::GenotypeError;
use crate::input::Unread;
use crate::text::TextError;

/// What is wrong with a line of a PVAR or a PSAM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableProblem {
    /// A line with fewer fields than the header has, or than any layout has.
    #[error("the line has {found} fields; it needs {needed}, separated by tabs or blanks")]
    Fields {
        /// Fields of the line.
        found: usize,
        /// Fields that it needs.
        needed: usize,
    },
    /// A header without a column, or with one in the wrong place.
    #[error("the header has no column `{0}` in its place")]
    Column(&'static str),
    /// A column that a PVAR does not have.
    #[error("column {0} of the header is none that a PVAR has")]
    UnknownColumn(usize),
    /// The same column twice.
    #[error("column {0} of the header has the name of an earlier one; name it otherwise")]
    DoubledColumn(usize),
    /// A header line below the first line of data.
    #[error("the line begins with `#` and stands below the first line of data; remove it")]
    LateHeader,
    /// A header that is never finished.
    #[error("the last line that begins with `#` must begin with `{0}`")]
    NoHeader(&'static str),
    /// A position that is none.
    #[error("the position is not a whole number from 0 to 2147483647")]
    Position,
    /// An allele that is empty.
    #[error("ALT has an empty allele")]
    EmptyAllele,
    /// More alleles than the caller allows.
    #[error("ALT has more than {0} alleles, the limit of this program")]
    Alleles(usize),
    /// The same person twice.
    #[error("family and person are the same as on line {0}; a person has one line")]
    DoubledPerson(u64),
    /// A person's id is `0`, which means nobody.
    #[error("the id of the person (IID) is `0`, which means nobody")]
    Nobody,
}

/// What is wrong with a PGEN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PgenProblem {
    /// Other first bytes.
    #[error("the file does not begin with the bytes 6c 1b of a PGEN; is it one?")]
    NotPgen,
    /// A storage mode that is not read.
    #[error(
        "the storage mode is {0:#04x}; rewrite the file with `plink2 --make-pgen`, which writes mode 0x10"
    )]
    Mode(u8),
    /// Types and lengths of records in a width that is not read.
    #[error("the types of the records are stored in form {0}; rewrite the file with `plink2 --make-pgen`")]
    Widths(u8),
    /// Bits of the header that the mode does not have.
    #[error("the header sets bits that its storage mode does not have")]
    HeaderBits,
    /// Another number of people or variants than the files beside it have.
    #[error("the file has {found} {what} and the file beside it {expected}; they do not belong together")]
    Count {
        /// People or variants.
        what: &'static str,
        /// What the PGEN says.
        found: u64,
        /// What the PVAR or the PSAM says.
        expected: u64,
    },
    /// The file ends too early.
    #[error("the file ends here, inside of its {0}; it is cut off")]
    Truncated(&'static str),
    /// The file goes on too long.
    #[error("the file goes on behind its last record; it is damaged or belongs to another PVAR")]
    Surplus,
    /// A block of records that begins inside of what is before it.
    #[error(
        "the header states that records begin at byte {stated}, which is before the end of what comes before"
    )]
    Offset {
        /// What the header states.
        stated: u64,
    },
    /// A record beyond the limit.
    #[error("the record states {found} bytes and the limit of this program is {limit}")]
    RecordTooLarge {
        /// Bytes that are stated.
        found: u64,
        /// The limit.
        limit: usize,
    },
    /// A record that ends inside of one of its tracks.
    #[error("the record ends inside of its {0}")]
    Short(&'static str),
    /// A record that goes on behind its last track.
    #[error("the record has {0} bytes more than its tracks need")]
    Long(usize),
    /// Bits behind the last value of a track that are not 0.
    #[error("bits behind the last value of the {0} are set")]
    Padding(&'static str),
    /// A list of people that cannot be.
    #[error("a list of people is not increasing, or goes beyond the last one")]
    List,
    /// A type or a form that the specification reserves.
    #[error("the {0} has a form that the specification does not define")]
    Reserved(&'static str),
    /// A first record that refers to an earlier one.
    #[error("the first record of a block is stored as differences from an earlier one")]
    NoBase,
    /// Patches for further alleles where the PVAR has one.
    #[error("the record has calls of further alleles, and the variant has one ALT allele in the PVAR")]
    OneAllele,
    /// An allele beyond the last one.
    #[error("a call has an allele that the variant has not")]
    Allele,
    /// A dosage beyond two copies.
    #[error("a dosage is above two copies")]
    Dosage,
    /// Dosages of several ALT alleles.
    #[error(
        "dosages of several ALT alleles are not read; leave them out with `plink2 --make-pgen erase-dosage`"
    )]
    MultiallelicDosage,
}

/// What can be wrong with a fileset. Carries no genotype and no name of a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Plink2Error {
    /// A text that cannot be read line by line.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A line of a PVAR or a PSAM.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// Name of the file as given to the reader.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong.
        problem: TableProblem,
    },
    /// The header of a PGEN.
    #[error("{file}, byte {offset}: {problem}")]
    Header {
        /// Name of the file.
        file: String,
        /// Offset in the file.
        offset: u64,
        /// What is wrong.
        problem: PgenProblem,
    },
    /// A record of a PGEN.
    #[error("{file}, record {record}, byte {offset}: {problem}")]
    Record {
        /// Name of the file.
        file: String,
        /// Number of the record, from 1.
        record: u64,
        /// Offset in the file at which the reader stood.
        offset: u64,
        /// What is wrong.
        problem: PgenProblem,
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

impl From<Unread> for Plink2Error {
    fn from(Unread { file, source }: Unread) -> Self {
        Self::Io { file, source }
    }
}
