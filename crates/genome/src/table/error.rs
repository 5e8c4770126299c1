//! What can be wrong with a table, written for the person who owns the file.

use std::fmt;

use super::MAX_ABS_VALUE;

/// The place of one cell in a file. Displays as ``file.csv, line 3, column 5 (`chol`)``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellPlace {
    /// Name of the file as given to the reader.
    pub file: String,
    /// Line of the file on which the row starts, from 1; the header is on line 1.
    pub line: u64,
    /// Column number, from 1.
    pub column: usize,
    /// Name of the column in the header.
    pub name: String,
}

impl fmt::Display for CellPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, column {} (`{}`)", self.file, self.line, self.column, self.name)
    }
}

/// Why a cell cannot be used. Never carries the cell: error texts travel further than data may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CellProblem {
    /// No text where a number is needed, and an empty cell is not one of the study's missing codes.
    Empty,
    /// Text that is not a number.
    Text,
    /// A number with blanks before or after it.
    Spaces,
    /// A number written with a decimal comma.
    DecimalComma,
    /// A number with a comma that is a decimal comma to some and separates thousands to others.
    CommaInDoubt,
    /// A number with signs between its thousands.
    Thousands,
    /// A number with a point, in a file whose numbers have decimal commas.
    OtherPoint,
    /// Digits in other groups than the file's numbers have.
    Groups,
    /// `inf`, `nan` and the like, or a number too large for 64 bits.
    NotFinite,
    /// A hexadecimal number.
    Hexadecimal,
    /// Absolute value above [`MAX_ABS_VALUE`].
    OutOfRange,
    /// A cell of a category that is none of its levels.
    NoLevel,
    /// A number with a fraction in a column of whole numbers.
    NotWhole,
    /// Text that is not a day, in a column of days.
    NoDay,
    /// A day in another spelling than `YYYY-MM-DD`.
    DaySpelling,
    /// A month or a day of a month that the calendar does not have.
    NoSuchDay,
    /// A day with a time behind it.
    TimeOfDay,
    /// A text in a column of outcomes whose rule compares numbers.
    LabelText,
    /// A cell of an outcome that no rule names.
    LabelUnnamed,
    /// A cell of an outcome that is both a yes and a no.
    LabelBoth,
    /// A third value of an outcome of which only the yes is named.
    LabelThird,
    /// A time below zero.
    NegativeTime,
    /// The label of a row is missing.
    LabelMissing,
    /// A feature is missing and the study refuses missing cells.
    MissingRefused,
    /// A feature of a query is missing in a study that leaves incomplete rows out.
    MissingInQuery,
}

impl std::error::Error for CellProblem {}

impl fmt::Display for CellProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the cell is empty; fill it in, or add \"\" to the missing codes of the study",
            Self::Text => {
                "the cell is not a number; write a plain decimal such as -1.5 or 2e3; where a column holds names, name its levels (under [table.levels] in a study); where the text means that nothing is known, add it to the missing codes"
            }
            Self::Spaces => "the cell has blanks around its value; remove them",
            Self::DecimalComma => {
                "the number has a decimal comma; write a decimal point, or say that the file has such numbers (`format = { decimal = \",\" }`)"
            }
            Self::CommaInDoubt => {
                "the number has a comma that can stand before a fraction or between thousands, a factor of 1,000 apart; say which it is: `format = { decimal = \",\" }` or `format = { thousands = \",\" }`"
            }
            Self::Thousands => {
                "the number has signs between its thousands; remove them, or say which they are, as in `format = { thousands = \",\" }` or `format = { decimal = \",\", thousands = \".\" }`"
            }
            Self::OtherPoint => {
                "the number has a decimal point, and the file is said to have decimal commas; write a comma, or say `thousands = \".\"` if the point stands between thousands"
            }
            Self::Groups => {
                "the digits are in other groups than the format of the file says; correct the cell, or the `format`"
            }
            Self::NotFinite => "the number is not finite; write a finite number or a missing code",
            Self::Hexadecimal => "the number is hexadecimal; write a plain decimal",
            Self::OutOfRange => {
                return write!(
                    f,
                    "the number is beyond ±{MAX_ABS_VALUE:e}, the range of the fixed-point sums; rescale the column, or add it to `ignore`"
                );
            }
            Self::NoLevel => {
                "the cell is none of the levels of this category; add it to them, or to the missing codes"
            }
            Self::NotWhole => {
                "the number is not whole and its column is of whole numbers; write one such as 12, or make the column one of numbers"
            }
            Self::NoDay => {
                "the cell is not a day; days are written year-month-day, such as 2021-04-03; where the text means that nothing is known, add it to the missing codes"
            }
            Self::DaySpelling => {
                "the day is in a spelling that can be meant in several ways; the one that is read is year-month-day with four, two and two digits, such as 2021-04-03"
            }
            Self::NoSuchDay => "the calendar has no such day; days are written year-month-day, such as 2021-04-03",
            Self::TimeOfDay => "a time follows the day; cut it off, and leave year-month-day, such as 2021-04-03",
            Self::LabelText => {
                "the outcome is a text here and its rule compares numbers; name the text that means yes, as in `== yes`"
            }
            Self::LabelUnnamed => {
                "the outcome is neither what means yes nor what means no; name it in one of the two rules, or leave such rows out"
            }
            Self::LabelBoth => "the outcome is what means yes and what means no as well; change one of the two rules",
            Self::LabelThird => {
                "the outcome has a third value here and only what means yes is named; name what means no (`negative`)"
            }
            Self::NegativeTime => "the time until the event is below zero; correct it, or leave the row out",
            Self::LabelMissing => "the label is missing; every row needs one, remove the row or fill it in",
            Self::MissingInQuery => {
                "the cell is missing, and a query cannot be left out as an incomplete row is (`missing = \"drop\"`); fill it in"
            }
            Self::MissingRefused => "the cell is missing and the study refuses missing cells (`missing = \"refuse\"`)",
        })
    }
}

/// What is wrong with the shape of a file on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineProblem {
    /// Nothing on the line.
    Blank,
    /// A quote opened on this line is never closed.
    UnclosedQuote,
    /// A quote inside a cell that does not start with one.
    StrayQuote,
    /// Something between a closing quote and the next separator.
    TextAfterQuote,
    /// A carriage return that is not followed by a line feed.
    BareCarriageReturn,
    /// An instruction to a spreadsheet, such as `sep=;`.
    Instruction,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A byte that Windows-1252 does not have.
    NotWindows1252,
    /// Bytes that are not UTF-16.
    NotUtf16,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blank => "the line is blank; remove it",
            Self::UnclosedQuote => "a quote opened here is never closed; close it, or write the quote twice",
            Self::StrayQuote => "a quote stands inside an unquoted cell; put the whole cell in quotes and write the quote twice",
            Self::TextAfterQuote => "text follows a closing quote; only what separates cells or the end of the line may",
            Self::BareCarriageReturn => "a carriage return stands alone; end lines with LF or CR LF",
            Self::Instruction => "the line tells a spreadsheet which sign separates cells; remove it, the header comes first",
            Self::NotUtf8 => {
                "the text is not UTF-8; save the file as UTF-8, or, where it comes from an older program of Windows, say `format = { encoding = \"windows-1252\" }` and look at its letters (`histone data look` shows them)"
            }
            Self::NotWindows1252 => "the text has a byte that Windows-1252 does not have; it is of another encoding",
            Self::NotUtf16 => "the text is not UTF-16, as it is said to be; it is cut, or of another encoding",
        })
    }
}

/// Why a table was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The reader failed.
    #[error("{file}: cannot be read")]
    Read {
        /// Name of the file.
        file: String,
        /// What the reader said.
        #[source]
        source: std::io::Error,
    },
    /// One of the [`Limits`](super::Limits) is exceeded.
    #[error("{file}: has more than {limit} {what}, the limit of this program; split the file")]
    TooLarge {
        /// Name of the file.
        file: String,
        /// What there is too much of: `bytes`, `rows`, `columns`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A line is not a line of a table.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        problem: LineProblem,
    },
    /// Bytes of another kind of file.
    #[error("{file}: is {what}, whatever its name says; {advice}")]
    Kind {
        /// Name of the file.
        file: String,
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A header line of one name that holds what separates cells elsewhere.
    #[error(
        "{file}, line 1: is one cell, and holds {what}; if these separate its cells, say `format = {{ separator = \"{sign}\" }}` (`histone data look` finds the whole format out)"
    )]
    Separator {
        /// Name of the file.
        file: String,
        /// What it holds.
        what: &'static str,
        /// As a study file writes it.
        sign: &'static str,
    },
    /// A first line that looks like a row.
    #[error(
        "{file}, line 1: looks like a row, {numbers} of its {cells} cells are numbers or days; the first line has to name the columns"
    )]
    NoHeader {
        /// Name of the file.
        file: String,
        /// Cells that are numbers.
        numbers: usize,
        /// All of them.
        cells: usize,
    },
    /// A row has more or fewer cells than the header.
    #[error(
        "{file}, line {line}: has {found} cells, the header has {expected}; every row needs the same number"
    )]
    RowLength {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Cells on this line.
        found: usize,
        /// Cells in the header.
        expected: usize,
    },
    /// A column has no usable name.
    #[error("{file}, line 1, column {column}: {reason}")]
    ColumnName {
        /// Name of the file.
        file: String,
        /// Column number, from 1.
        column: usize,
        /// What is wrong with the name.
        reason: &'static str,
    },
    /// Two columns have one name.
    #[error("{file}, line 1: columns {first} and {second} are both named `{name}`; rename one")]
    DuplicateColumn {
        /// Name of the file.
        file: String,
        /// The name.
        name: String,
        /// First column, from 1.
        first: usize,
        /// Second column, from 1.
        second: usize,
    },
    /// The file has no row besides the header, or nothing at all.
    #[error("{file}: has no rows below the header line; a table needs at least one")]
    Empty {
        /// Name of the file.
        file: String,
    },
    /// All rows went away with their missing cells.
    #[error(
        "{file}: every row misses a cell, so dropping incomplete rows leaves nothing; choose another `missing` policy"
    )]
    AllDropped {
        /// Name of the file.
        file: String,
    },
    /// A column that was asked for is not in the file.
    #[error("{file}: has no column `{name}`; the header has: {header}")]
    NoColumn {
        /// Name of the file.
        file: String,
        /// The name asked for.
        name: String,
        /// The names in the header, shortened when there are many.
        header: String,
    },
    /// A list of columns contradicts itself.
    #[error("column `{name}` {reason}")]
    Selection {
        /// Name of the column.
        name: String,
        /// What is contradictory.
        reason: &'static str,
    },
    /// No column is left as a feature.
    #[error("{file}: no numeric column is left as a feature; name the features or repair the columns")]
    NoFeatures {
        /// Name of the file.
        file: String,
    },
    /// A cell cannot be used.
    #[error("{at}: {problem}")]
    Cell {
        /// Where.
        at: CellPlace,
        /// Why.
        problem: CellProblem,
    },
    /// All rows are of one class, so nothing can be learned from them.
    #[error(
        "{file}: all {rows} rows are {class} by the rule `{label} {rule}`; both classes are needed, check the rule"
    )]
    OneClass {
        /// Name of the file.
        file: String,
        /// Rows looked at.
        rows: usize,
        /// `positive` or `negative`.
        class: &'static str,
        /// Label column.
        label: String,
        /// Rule for a positive label.
        rule: String,
    },
    /// A rule for an outcome that cannot be read.
    #[error(
        "`{text}` is not a rule for an outcome; write one of > >= == != < <= and a number, such as `> 0`, or == and a text, such as `== yes`"
    )]
    Rule {
        /// The text.
        text: String,
    },
    /// Values that do not form a table.
    #[error("these values are not a table: {reason}")]
    Values {
        /// What is wrong.
        reason: String,
    },
    /// Bytes that are not the canonical encoding of a table.
    #[error("these bytes are not an encoded table: {reason}")]
    Encoding {
        /// What is wrong.
        reason: String,
    },
}
