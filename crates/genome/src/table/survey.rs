//! What a file is: how it is read, what its columns look like, and what somebody has to say before it can be used.
//!
//! Nothing here decides for anybody. Where a file can be read in two ways, or a number may be none, that is a [`Doubt`]; a study says what is
//! meant. Unlike errors, a survey shows cells: it is for the owner of the file.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use super::dialect::{self, Dialect, Encoding, Separator};
use super::number::{Numbers, Thousands};
use super::raw::{self, RawTable};
use super::typed::Looks;
use super::{Limits, MAX_ABS_VALUE, MissingRules, TableError};

/// Texts that a column lists at the most.
const MOST_FREQUENT: usize = 5;
/// What people write where they know nothing, in small letters.
const NOTHING_KNOWN: [&str; 18] = [
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
    ".",
    "#n/a",
    "k.a.",
    "nd",
    "not known",
    "not done",
];
/// Numbers that people write where they know nothing.
const CODES: [f64; 13] =
    [9.0, 99.0, 999.0, 9_999.0, 99_999.0, 88.0, 888.0, 8_888.0, 77.0, 777.0, 7_777.0, 999_999.0, 9_999_999.0];

/// Something that a person has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The column that it is about; none when it is about the file.
    pub column: Option<String>,
    /// What is in doubt, in one word: `reading`, `encoding`, `missing`, `zero`, `identifier`, `name`, `birth`, `day`, `spreadsheet`,
    /// `levels`, `columns`, `range`.
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
        .map(|separator| Dialect { separator: *separator, numbers: Numbers::default(), encoding })
        .collect();
    for other in &others {
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
    let (numbers, doubtful) = numbers_of(table, &rules);
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
    alike(survey.columns.iter().map(|column| column.name.as_str())).for_each(|(one, other)| {
        doubt(&mut survey.doubts, Some(&one), "columns", || {
            format!("differs from `{other}` by case or blanks alone; rename one")
        });
    });
    Ok(survey)
}

fn doubt(doubts: &mut Vec<Doubt>, column: Option<&str>, about: &'static str, says: impl FnOnce() -> String) {
    doubts.push(Doubt { column: column.map(str::to_owned), about, says: says() });
}

/// The table by the separator that gives the most columns, and the others by which the whole text is a table of two columns or more.
fn separated(
    file: &str,
    text: &str,
    encoding: Encoding,
    limits: &Limits,
) -> Result<((RawTable, Separator), Vec<Separator>), TableError> {
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
            Ok((best, if wide > 0 { tables.map(|(_, separator)| separator).collect() } else { vec![] }))
        }
        _ => Err(first_error.unwrap_or(TableError::Empty { file: file.to_owned() })),
    }
}

/// Texts that stand among the numbers of some column and seem to mean that nothing is known.
fn missing_words(table: &RawTable) -> Vec<String> {
    let rules = MissingRules::default();
    let mut found = Vec::new();
    for index in 0..table.columns().len() {
        let mut texts: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut numbers, mut cells) = (0, 0);
        for row in 0..table.rows() {
            let cell = table.cell(row, index);
            if raw::is_missing(cell, &rules) {
                continue;
            }
            cells += 1;
            match ways().any(|numbers| numbers.parse(cell).is_ok()) || cell.parse::<super::Day>().is_ok() {
                true => numbers += 1,
                false if texts.len() < 8 => *texts.entry(cell).or_default() += 1,
                false => {}
            }
        }
        let known = |text: &str| NOTHING_KNOWN.contains(&text.trim().to_lowercase().as_str());
        if 2 * numbers > cells {
            found.extend(texts.into_keys().filter(|text| known(text)).map(str::to_owned));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The ways in which numbers are written, the most common first.
fn ways() -> impl Iterator<Item = Numbers> {
    let between = [
        None,
        Some(Thousands::Comma),
        Some(Thousands::Point),
        Some(Thousands::Blank),
        Some(Thousands::Apostrophe),
    ];
    let of = |comma| between.into_iter().filter_map(move |thousands| Numbers::new(comma, thousands));
    let (plain, grouped) = ([Numbers::default()], of(false).skip(1));
    plain.into_iter().chain(of(true).take(1)).chain(grouped).chain(of(true).skip(1))
}

/// The way by which most columns are numbers, and the columns that are other numbers by another way that is as good.
fn numbers_of(table: &RawTable, rules: &MissingRules) -> (Numbers, Vec<(String, Numbers)>) {
    let columns = 0..table.columns().len();
    let cells = |index: usize| {
        (0..table.rows()).map(move |row| table.cell(row, index)).filter(|cell| !raw::is_missing(cell, rules))
    };
    let is_numeric = |index: usize, way: Numbers| {
        cells(index).next().is_some() && cells(index).all(|cell| way.parse(cell).is_ok())
    };
    let scored: Vec<(Numbers, Vec<usize>)> =
        ways().map(|way| (way, columns.clone().filter(|index| is_numeric(*index, way)).collect())).collect();
    let most = scored.iter().map(|(_, numeric)| numeric.len()).max().unwrap_or(0);
    let mut best = scored.iter().filter(|(_, numeric)| numeric.len() == most);
    let Some((way, numeric)) = best.next() else { return (Numbers::default(), vec![]) };
    let mut doubtful: Vec<(String, Numbers)> = Vec::new();
    for (other, also) in best {
        for index in numeric.iter().filter(|index| also.contains(index)) {
            let name = table.columns().get(*index).cloned().unwrap_or_default();
            let differs = cells(*index).any(|cell| way.parse(cell) != other.parse(cell));
            if differs && !doubtful.iter().any(|(known, _)| *known == name) {
                doubtful.push((name, *other));
            }
        }
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

/// What is in doubt about a column.
fn doubts_of(
    table: &RawTable,
    column: &Surveyed,
    rules: &MissingRules,
    doubts: &mut Vec<Doubt>,
) -> Result<(), TableError> {
    let index = table.index(&column.name)?;
    let cells: Vec<&str> = (0..table.rows())
        .map(|row| table.cell(row, index))
        .filter(|cell| !raw::is_missing(cell, rules))
        .collect();
    let known = cells.len();
    let mut say = |about, says: String| doubt(doubts, Some(&column.name), about, || says);
    let unique = column.different == known && known >= 20;
    let words: Vec<String> =
        column.name.split(|letter: char| !letter.is_alphanumeric()).map(str::to_lowercase).collect();
    let called = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    let identifier = called(&[
        "id",
        "ids",
        "mrn",
        "nhs",
        "pid",
        "patient",
        "patientid",
        "record",
        "subject",
        "case",
        "nr",
        "ssn",
    ]);
    match &column.looks {
        Looks::Numbers { .. } => {
            let mut numbers: Vec<f64> =
                cells.iter().filter_map(|cell| table.numbers.parse(cell).ok()).collect();
            numbers.sort_by(f64::total_cmp);
            if let Some((code, rows)) = code(&numbers) {
                say(
                    "missing",
                    format!(
                        "{code} stands in {rows} rows, far from the other numbers: if it means that nothing is known, add \"{code}\" to `missing_codes`"
                    ),
                );
            }
            let zeros = numbers.iter().filter(|number| **number == 0.0).count();
            let positive = numbers.iter().copied().find(|number| *number > 0.0);
            let (low, high) =
                (numbers.first().copied().unwrap_or(0.0), numbers.last().copied().unwrap_or(0.0));
            if let Some(least) = positive
                .filter(|least| zeros > 0 && low == 0.0 && column.different > 10 && 10.0 * least > high)
            {
                say(
                    "zero",
                    format!(
                        "0 stands in {zeros} rows, and the next number is {least}: if it means that nothing is known, name the column in `zero_is_missing`"
                    ),
                );
            }
            if high > MAX_ABS_VALUE || low < -MAX_ABS_VALUE {
                say(
                    "range",
                    format!(
                        "has numbers beyond ±{MAX_ABS_VALUE:e}, which no study takes; rescale it, or leave it out"
                    ),
                );
            }
            if unique && (identifier || consecutive(&numbers)) {
                say("identifier", "looks like the number of a person or a row: name the features of the study, or add it to `ignore`".into());
            }
        }
        Looks::Days { .. } => {
            if called(&["birth", "birthday", "birthdate", "dob", "born", "geburt", "geburtsdatum"]) {
                say("birth", "looks like a day of birth, which tells who somebody is; use the age".into());
            }
        }
        Looks::Names(_) | Looks::Text => {
            let others: Vec<usize> = (0..table.rows())
                .filter(|row| {
                    let cell = table.cell(*row, index);
                    !raw::is_missing(cell, rules) && table.numbers.parse(cell).is_err()
                })
                .collect();
            if let Some(first) = others.first().filter(|_| 2 * others.len() < known) {
                say(
                    "missing",
                    format!(
                        "{} of its cells are no numbers, the first on line {}, and {} are: repair them, or add what they hold to `missing_codes`",
                        others.len(),
                        table.line(*first).unwrap_or_default(),
                        known - others.len()
                    ),
                );
                return Ok(());
            }
            if let Some(words) = spreadsheet(&cells) {
                say(
                    "spreadsheet",
                    format!(
                        "{words} cells look like days that a spreadsheet made of something else, such as 3-Mar; write what they were"
                    ),
                );
            } else if let Some(says) = day_spelling(&cells) {
                say("day", says);
            } else if unique && (identifier || !cells.iter().any(|cell| cell.contains(' '))) {
                say(
                    "identifier",
                    "looks like the name of a person or a sample: it is no feature, and leaves no site"
                        .into(),
                );
            } else if 2 * column.different > known && known >= 20 && mostly(&cells, full_name) {
                say("name", "looks like names of people: they are no feature, and leave no site".into());
            }
            if let Looks::Names(levels) = &column.looks {
                for (one, other) in alike(levels.iter().map(String::as_str)) {
                    say(
                        "levels",
                        format!("`{one}` and `{other}` differ by case or blanks alone; write one of them"),
                    );
                }
            }
        }
        Looks::Nothing => say("missing", "has no cell that tells anything; add it to `ignore`".into()),
    }
    Ok(())
}

/// A number at one end of sorted ones that is a usual code for nothing known and lies far from the others, and how often it stands there.
fn code(sorted: &[f64]) -> Option<(f64, usize)> {
    let (low, high) = (*sorted.first()?, *sorted.last()?);
    let rows = |code: f64| sorted.iter().filter(|number| **number == code).count();
    let next_up = sorted.iter().copied().find(|number| *number > low)?;
    let next_down = sorted.iter().copied().rev().find(|number| *number < high)?;
    let negative = low < 0.0 && CODES.contains(&-low) || low == -1.0 && next_up > 5.0;
    if negative && next_up >= 0.0 {
        return Some((low, rows(low)));
    }
    (CODES.contains(&high) && 10.0 * next_down < 7.0 * high).then(|| (high, rows(high)))
}

/// Whether sorted numbers are whole and follow each other.
fn consecutive(sorted: &[f64]) -> bool {
    sorted.windows(2).all(|pair| matches!(pair, [a, b] if b - a == 1.0))
        && sorted.iter().all(|n| n.fract() == 0.0)
}

fn mostly(cells: &[&str], is: impl Fn(&str) -> bool) -> bool {
    10 * cells.iter().filter(|cell| is(cell)).count() > 9 * cells.len()
}

/// Two or three words that begin with a capital letter.
fn full_name(cell: &str) -> bool {
    let words: Vec<&str> = cell.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    (2..=3).contains(&words.len())
        && words.iter().all(|word| {
            word.chars().next().is_some_and(char::is_uppercase)
                && word.chars().all(|letter| letter.is_alphabetic() || matches!(letter, '-' | '\'' | '.'))
        })
}

/// How many cells are such as `3-Mar`, `Mar-03` or `2-Sep-21`, where some are.
fn spreadsheet(cells: &[&str]) -> Option<usize> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let is = |cell: &&&str| {
        let parts: Vec<&str> = cell.split('-').collect();
        let month = |part: &str| MONTHS.contains(&part.to_lowercase().as_str());
        let number =
            |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        match parts.as_slice() {
            [a, b] => number(a) && month(b) || month(a) && number(b),
            [a, b, c] => number(a) && month(b) && number(c),
            _ => false,
        }
    };
    Some(cells.iter().filter(is).count()).filter(|found| *found > 0)
}

/// What to say of days in another spelling than year-month-day.
fn day_spelling(cells: &[&str]) -> Option<String> {
    let parts = |cell: &str| -> Option<(u32, u32)> {
        let mut parts = cell.split(['.', '/', '-']);
        let (a, b, year) = (parts.next()?, parts.next()?, parts.next()?);
        let number =
            |part: &str| part.parse().ok().filter(|number| (1..=31).contains(number) && part.len() <= 2);
        let whole =
            parts.next().is_none() && matches!(year.len(), 2 | 4) && year.bytes().all(|b| b.is_ascii_digit());
        whole.then_some((number(a)?, number(b)?))
    };
    if cells.is_empty() || !mostly(cells, |cell| parts(cell).is_some()) {
        return None;
    }
    let found: Vec<(u32, u32)> = cells.iter().filter_map(|cell| parts(cell)).collect();
    let which = match (found.iter().any(|(a, _)| *a > 12), found.iter().any(|(_, b)| *b > 12)) {
        (true, false) => "the day seems to come first",
        (false, true) => "the month seems to come first",
        (true, true) => "day and month change places",
        (false, false) => "whether day or month comes first, no cell tells",
    };
    Some(format!(
        "looks like days in another spelling, and {which}; write year-month-day, such as 2021-04-03"
    ))
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
