//! What is in doubt about one column.

use std::collections::BTreeSet;

use super::super::number::ways;
use super::super::raw::{self, RawTable};
use super::super::typed::Looks;
use super::super::{Day, MAX_ABS_VALUE, MissingRules, TableError};
use super::{Doubt, Surveyed, alike, doubt};

/// Numbers that people write where they know nothing.
const CODES: [f64; 13] =
    [9.0, 99.0, 999.0, 9_999.0, 99_999.0, 88.0, 888.0, 8_888.0, 77.0, 777.0, 7_777.0, 999_999.0, 9_999_999.0];

/// What is in doubt about a column.
pub(super) fn doubts_of(
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
                let spelled = |cell: &&&str| table.numbers.parse(cell).is_ok_and(|number| number == code);
                let texts: BTreeSet<&str> = cells.iter().filter(spelled).copied().collect();
                let texts: Vec<String> =
                    texts.into_iter().take(4).map(|text| format!("\"{text}\"")).collect();
                let texts = texts.join(", ");
                say(
                    "missing",
                    format!(
                        "{code} stands in {rows} rows, far from the other numbers: if it means that nothing is known, add {texts} to `missing_codes`"
                    ),
                );
            }
            let zeros = numbers.iter().filter(|number| **number == 0.0).count();
            let positive: Vec<f64> = numbers.iter().copied().filter(|number| *number > 0.0).collect();
            let (low, high) =
                (numbers.first().copied().unwrap_or(0.0), numbers.last().copied().unwrap_or(0.0));
            if let Some(least) = positive.first().filter(|_| zeros > 0 && low == 0.0 && column.different > 10)
                && far_from_zero(&positive)
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
            let whole = numbers.iter().all(|number| number.fract() == 0.0);
            let counts = consecutive(&numbers) && matches!(low, 0.0 | 1.0);
            if unique && whole && (identifier || counts) {
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
                let texts: BTreeSet<&str> = others.iter().map(|row| table.cell(*row, index)).collect();
                let few: Vec<String> = texts.iter().take(3).map(|text| format!("`{text}`")).collect();
                say(
                    "missing",
                    format!(
                        "{} of its cells are no numbers, the first on line {}, and {} are; among them {}: repair them, or add to `missing_codes` what means that nothing is known",
                        others.len(),
                        table.line(*first).unwrap_or_default(),
                        known - others.len(),
                        few.join(", ")
                    ),
                );
                return Ok(());
            }
            if !others.is_empty()
                && cells.len() > 4
                && mostly(&cells, number_and_more)
                && spreadsheet(&cells).is_none()
            {
                say("unit", "looks like numbers with a unit or a sign beside them; write the numbers alone, and the unit into the name of the column".into());
                return Ok(());
            }
            let days = cells.iter().filter(|cell| cell.parse::<Day>().is_ok()).count();
            if 2 * days > known {
                let first = (0..table.rows()).find(|row| {
                    let cell = table.cell(*row, index);
                    !raw::is_missing(cell, rules) && cell.parse::<Day>().is_err()
                });
                say(
                    "day",
                    format!(
                        "{days} of its cells are days and {} are not, the first on line {}: correct them, or add to `missing_codes` what means that nothing is known",
                        known - days,
                        first.and_then(|row| table.line(row)).unwrap_or_default()
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

/// Whether zero lies more than four standard deviations from the mean of numbers.
fn far_from_zero(numbers: &[f64]) -> bool {
    let n = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let square = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / n;
    mean * mean > 16.0 * square
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

/// The first two numbers of a day that is written with points, slashes or hyphens and a year at its end, a time behind it or not.
pub(super) fn parts_of_a_day(cell: &str) -> Option<(u32, u32)> {
    let mut parts = cell.split(' ').next()?.split(['.', '/', '-']);
    let (a, b, year) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |part: &str| part.parse().ok().filter(|number| (1..=31).contains(number) && part.len() <= 2);
    let whole =
        parts.next().is_none() && matches!(year.len(), 2 | 4) && year.bytes().all(|b| b.is_ascii_digit());
    whole.then_some((number(a)?, number(b)?))
}

/// What to say of days in another spelling than year-month-day.
fn day_spelling(cells: &[&str]) -> Option<String> {
    if !cells.is_empty()
        && mostly(cells, |cell| {
            cell.split_once([' ', 'T']).is_some_and(|(day, _)| day.parse::<Day>().is_ok())
        })
    {
        return Some("has days with a time behind them; cut the time off, and leave year-month-day, such as 2021-04-03".into());
    }
    if cells.is_empty() || !mostly(cells, |cell| parts_of_a_day(cell).is_some()) {
        return None;
    }
    let found: Vec<(u32, u32)> = cells.iter().filter_map(|cell| parts_of_a_day(cell)).collect();
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

/// Whether a cell begins with a number that has something before or behind it: a unit, a percent sign, `<`.
fn number_and_more(cell: &str) -> bool {
    let cell = cell.trim().trim_start_matches(['<', '>', '=', '~', ' ']);
    let end = cell
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+')))
        .unwrap_or(cell.len());
    let number = cell.get(..end).unwrap_or_default();
    number.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+'))
        && ways().any(|way| way.parse(number).is_ok())
        && parts_of_a_day(cell).is_none()
}
