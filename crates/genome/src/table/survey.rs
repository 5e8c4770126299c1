//! What a file is: how it is read, what its columns look like, and what somebody has to say before it can be used.
//!
//! Nothing here decides for anybody. Where a file can be read in two ways, or a number may be none, that is a [`Doubt`]; a study says what is
//! meant. Unlike errors, a survey shows cells: it is for the owner of the file.

mod columns;

use std::collections::HashMap;
use std::io::Read;

use self::columns::{doubts_of, parts_of_a_day};
use super::dialect::{self, Dialect, Encoding, Separator};
use super::number::{Numbers, is_number, ways};
use super::raw::{self, RawTable};
use super::typed::Looks;
use super::{Limits, MissingRules, TableError};

/// Texts that a column lists at the most.
const MOST_FREQUENT: usize = 5;
/// What people write where they know nothing, in small letters.
const NOTHING_KNOWN: [&str; 36] = [
    "n/a",
    "na",
    "nan",
    "null",
    "none",
    "nil",
    "missing",
    "unknown",
    "unk",
    "?",
    "-",
    "--",
    "---",
    ".",
    "#n/a",
    "#nv",
    "k.a.",
    "k.a",
    "k. a.",
    "n.d.",
    "nd",
    "not known",
    "not done",
    "unbekannt",
    "nicht erhoben",
    "fehlt",
    "inconnu",
    "manquant",
    "desconocido",
    "sconosciuto",
    "onbekend",
    "brak",
    "<na>",
    "n.a.",
    "\\n",
    "#div/0!",
];

/// Something that a person has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The column that it is about; none when it is about the file.
    pub column: Option<String>,
    /// What is in doubt, in one word: `reading`, `encoding`, `missing`, `zero`, `identifier`, `name`, `birth`, `day`, `spreadsheet`,
    /// `levels`, `columns`, `range`, `unit`, `header`.
    pub about: &'static str,
    /// In a sentence, with what to do.
    pub says: String,
}

/// A column, and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Surveyed {
    /// Its name.
    pub name: String,
    /// What its cells are, those aside that mean that nothing is known.
    pub looks: Looks,
    /// Cells that mean that nothing is known: the empty ones, `NA`, and what [`Survey::missing_codes`] has.
    pub missing: usize,
    /// Different texts of the others.
    pub different: usize,
    /// The most frequent ones with their numbers of rows; nothing of a column in which most texts stand once.
    pub frequent: Vec<(String, usize)>,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// How it is read.
    pub dialect: Dialect,
    /// Other ways in which the whole file can be read as a table of two columns or more, or with other numbers.
    pub otherwise: Vec<Dialect>,
    /// Rows below the header.
    pub rows: usize,
    /// Its columns.
    pub columns: Vec<Surveyed>,
    /// Texts beside the empty one and `NA` that seem to mean that nothing is known.
    pub missing_codes: Vec<String>,
    /// What somebody has to say.
    pub doubts: Vec<Doubt>,
}

/// Finds out what a file is, which may be compressed with gzip.
///
/// # Errors
/// As [`RawTable::read_as`]: no way to read it is one in which all of it is a table.
pub fn survey(file: &str, reader: impl Read, limits: &Limits) -> Result<Survey, TableError> {
    let bytes = raw::bytes(file, reader, limits)?;
    let encoding = match bytes.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Encoding::Utf16,
        bytes if std::str::from_utf8(bytes).is_ok() => Encoding::Utf8,
        _ => Encoding::Windows1252,
    };
    let text = dialect::decode(file, &bytes, encoding)?;
    let mut doubts = Vec::new();
    if encoding == Encoding::Windows1252 {
        doubt(&mut doubts, None, "encoding", || {
            "the letters beyond ASCII are read as Windows-1252, because they are no UTF-8; look at them in the names and codes here, and save the file as UTF-8 where they are others".into()
        });
    }
    let (mut table, others) = separated(file, &text, encoding, limits)?;
    let otherwise: Vec<Dialect> = others
        .iter()
        .map(|(table, separator)| Dialect {
            separator: *separator,
            numbers: numbers_of(table, *separator, &MissingRules::default()).0,
            encoding,
        })
        .collect();
    for (_, other) in &others {
        doubt(&mut doubts, None, "reading", || {
            format!("the whole file is a table, too, when {} separate its cells", other.says())
        });
    }
    let separator = table.1;
    let table = &mut table.0;
    let missing_codes = missing_words(table);
    let mut rules = MissingRules::default();
    rules.codes.extend(missing_codes.iter().cloned());
    let mut survey = Survey {
        dialect: Dialect::default(),
        otherwise,
        rows: table.rows(),
        columns: vec![],
        missing_codes,
        doubts,
    };
    let (numbers, doubtful) = numbers_of(table, separator, &rules);
    table.numbers = numbers;
    survey.dialect = Dialect { separator, numbers, encoding };
    for (column, other) in doubtful {
        let other = Dialect { numbers: other, ..survey.dialect };
        let says =
            |dialect: Dialect| dialect.written().unwrap_or_else(|| "no `format`, with decimal points".into());
        doubt(&mut survey.doubts, Some(&column), "reading", || {
            format!(
                "its numbers can be read in two ways, a factor of 1,000 apart: with {} or with {}; say which in the study",
                says(survey.dialect),
                says(other)
            )
        });
        if !survey.otherwise.contains(&other) {
            survey.otherwise.push(other);
        }
    }
    for name in table.columns() {
        let column = column(table, name, &rules)?;
        doubts_of(table, &column, &rules, &mut survey.doubts)?;
        survey.columns.push(column);
    }
    for code in &survey.missing_codes {
        for (index, column) in survey.columns.iter().enumerate() {
            let rows = (0..table.rows()).filter(|row| table.cell(*row, index) == code).count();
            if rows > 0 && matches!(column.looks, Looks::Names(_) | Looks::Text) {
                doubt(&mut survey.doubts, Some(&column.name), "missing", || {
                    format!(
                        "`{code}` means that nothing is known in another column, and stands in {rows} rows here; a missing code is one in every column: write something else in one of the two"
                    )
                });
            }
        }
    }
    let heads = table.columns().iter().filter(|name| is_value(name)).count();
    if 2 * heads >= table.columns().len() {
        doubt(&mut survey.doubts, None, "header", || {
            format!(
                "{heads} of the {} cells of its first line are numbers or days: it looks like a row, and the first line has to name the columns",
                table.columns().len()
            )
        });
    }
    alike(survey.columns.iter().map(|column| column.name.as_str())).for_each(|(one, other)| {
        doubt(&mut survey.doubts, Some(&one), "columns", || {
            format!("differs from `{other}` by case or blanks alone; rename one")
        });
    });
    Ok(survey)
}

/// What is in doubt about the columns of a table that is read by a study, by its own rules of what is missing.
#[must_use]
pub fn doubts(table: &RawTable, rules: &MissingRules) -> Vec<Doubt> {
    let mut found = Vec::new();
    for name in table.columns() {
        // Every name is one of this table.
        if let Ok(column) = column(table, name, rules) {
            let _ = doubts_of(table, &column, rules, &mut found);
        }
    }
    found
}

fn doubt(doubts: &mut Vec<Doubt>, column: Option<&str>, about: &'static str, says: impl FnOnce() -> String) {
    doubts.push(Doubt { column: column.map(str::to_owned), about, says: says() });
}

/// Whether a cell is a number or a day, however it is written.
pub(super) fn is_value(cell: &str) -> bool {
    cell.bytes().any(|byte| byte.is_ascii_digit())
        && (is_number(cell) || parts_of_a_day(cell).is_some() || cell.parse::<super::Day>().is_ok())
}

/// A table, and by which separator it is one.
type Separated = (RawTable, Separator);

/// The table by the separator that gives the most columns, and the others by which the whole text is a table of two columns or more.
fn separated(
    file: &str,
    text: &str,
    encoding: Encoding,
    limits: &Limits,
) -> Result<(Separated, Vec<Separated>), TableError> {
    let mut tables = Vec::new();
    let mut first_error = None;
    for separator in Separator::ALL {
        let dialect = Dialect { separator, encoding, ..Dialect::default() };
        match RawTable::of_text(file, text, dialect, limits) {
            Ok(table) => tables.push((table, separator)),
            // The one about the sign that its header has is the one to show; others speak of a table that it is not.
            Err(error) if text.lines().next().is_some_and(|line| line.contains(separator.sign())) => {
                first_error = first_error.or(Some(error));
            }
            Err(_) => {}
        }
    }
    let wide = tables.iter().filter(|(table, _)| table.columns().len() > 1).count();
    if wide > 0 {
        tables.retain(|(table, _)| table.columns().len() > 1);
    }
    // Stable: of two with as many columns the more common one.
    tables.sort_by_key(|(table, _)| std::cmp::Reverse(table.columns().len()));
    let mut tables = tables.into_iter();
    match tables.next() {
        Some(best) if wide > 0 || first_error.is_none() => {
            Ok((best, if wide > 0 { tables.collect() } else { vec![] }))
        }
        _ => Err(first_error.unwrap_or(TableError::Empty { file: file.to_owned() })),
    }
}

/// Texts that stand among the numbers or days of some column and seem to mean that nothing is known.
fn missing_words(table: &RawTable) -> Vec<String> {
    let rules = MissingRules::default();
    let mut found = std::collections::BTreeSet::new();
    for index in 0..table.columns().len() {
        let mut words = std::collections::BTreeSet::new();
        let (mut values, mut others) = (0_usize, 0_usize);
        for cell in (0..table.rows()).map(|row| table.cell(row, index)) {
            if raw::is_missing(cell, &rules) || words.contains(cell) {
            } else if is_nothing_known(cell) {
                words.insert(cell);
            } else if is_value(cell) {
                values += 1;
            } else {
                others += 1;
            }
        }
        if values > others {
            found.extend(words.into_iter().map(str::to_owned));
        }
    }
    found.into_iter().collect()
}

fn is_nothing_known(cell: &str) -> bool {
    // Longer ones than the longest word need not be looked at.
    cell.len() <= 16 && NOTHING_KNOWN.contains(&cell.trim().to_lowercase().as_str())
}

/// The way by which most cells are numbers, and the columns that are other numbers by another way that is as good. By cells and not by whole
/// columns, so that one word among its numbers does not make a column's commas mean nothing.
fn numbers_of(
    table: &RawTable,
    separator: Separator,
    rules: &MissingRules,
) -> (Numbers, Vec<(String, Numbers)>) {
    let ways: Vec<Numbers> = ways().collect();
    // Of each column: its cells, how many of them each way reads, and whether a point or a comma stands in one.
    let mut columns = Vec::with_capacity(table.columns().len());
    for index in 0..table.columns().len() {
        let (mut cells, mut read, mut point, mut comma) = (0_usize, vec![0_usize; ways.len()], false, false);
        for cell in (0..table.rows()).map(|row| table.cell(row, index)) {
            if raw::is_missing(cell, rules) {
                continue;
            }
            cells += 1;
            // Every way reads plain digits, and none reads letters.
            if cell.bytes().all(|byte| byte.is_ascii_digit()) {
                read.iter_mut().for_each(|read| *read += 1);
            } else if cell.bytes().any(|byte| byte.is_ascii_digit()) {
                (point, comma) = (point || cell.contains('.'), comma || cell.contains(','));
                for (way, read) in ways.iter().zip(&mut read) {
                    *read += usize::from(way.parse(cell).is_ok());
                }
            }
        }
        columns.push((cells, read, point, comma));
    }
    // Where commas separate cells, a column of numbers with points says that commas stand before no fraction.
    let points =
        columns.iter().any(|(cells, read, point, _)| *point && *cells > 0 && read.first() == Some(cells));
    let is_open = |way: Numbers| !(separator == Separator::Comma && points && way.has_decimal_comma());
    let total = |at: usize| columns.iter().filter_map(|(_, read, ..)| read.get(at)).sum::<usize>();
    let open = || ways.iter().enumerate().filter(|(_, way)| is_open(**way));
    let most = open().map(|(at, _)| total(at)).max().unwrap_or(0);
    let Some((chosen, way)) = open().find(|(at, _)| total(*at) == most) else {
        return (Numbers::default(), vec![]);
    };
    let mut doubtful = Vec::new();
    for (index, name) in table.columns().iter().enumerate() {
        let Some((cells, read, _, comma)) = columns.get(index) else { continue };
        let all = |at: usize| *cells > 0 && read.get(at) == Some(cells);
        let another = open().find(|(at, other)| {
            // A point alone is no doubt where cells are separated by commas.
            let said = separator == Separator::Comma && other.has_decimal_comma() && !comma;
            !said
                && all(*at)
                && all(chosen)
                && (0..table.rows())
                    .any(|row| way.parse(table.cell(row, index)) != other.parse(table.cell(row, index)))
        });
        doubtful.extend(another.map(|(_, other)| (name.clone(), *other)));
    }
    (*way, doubtful)
}

fn column(table: &RawTable, name: &str, rules: &MissingRules) -> Result<Surveyed, TableError> {
    let index = table.index(name)?;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut missing = 0;
    for row in 0..table.rows() {
        match table.cell(row, index) {
            cell if raw::is_missing(cell, rules) => missing += 1,
            cell => *counts.entry(cell).or_default() += 1,
        }
    }
    let different = counts.len();
    let mut frequent: Vec<(String, usize)> = Vec::new();
    if 2 * different <= table.rows() - missing {
        frequent = counts.into_iter().map(|(text, rows)| (text.to_owned(), rows)).collect();
        frequent.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        frequent.truncate(MOST_FREQUENT);
    }
    Ok(Surveyed { name: name.to_owned(), looks: table.look(name, rules)?, missing, different, frequent })
}

/// Pairs of texts that differ by case or blanks alone.
fn alike<'a>(texts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (String, String)> {
    let mut first: HashMap<String, &str> = HashMap::new();
    let mut pairs = Vec::new();
    for text in texts {
        let folded = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        match first.get(&folded) {
            Some(other) => pairs.push((text.to_owned(), (*other).to_owned())),
            None => {
                first.insert(folded, text);
            }
        }
    }
    pairs.into_iter()
}

#[cfg(test)]
mod tests;
