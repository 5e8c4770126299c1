//! Codes of the Data Use Ontology (GA4GH DUO).
//!
//! A *permission* says what data may be used for, a *modifier* adds a condition, an *investigation* names what a
//! requester does. Source of codes and labels: EBISPOT/DUO `duo.csv` (CC BY 4.0). What follows from them is decided
//! one level up.

use std::fmt;

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// What data may be used for; a consent has exactly one.
    Permission,
    /// A condition on top of a permission.
    Modifier,
    /// What a requester does.
    Investigation,
}

/// What a code needs after it, separated by a blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A disease, such as `MONDO:0007254`.
    Disease,
    /// Countries, such as `DE,FR`.
    Countries,
    /// A number of months, 1 to 1200.
    Months,
    /// A date, such as `2027-01-31`.
    Date,
    /// Names of parties, projects or institutions, such as `heart-institute,va`.
    Names,
}

/// One code of the ontology.
#[derive(Debug, PartialEq, Eq)]
pub struct Term {
    /// Identifier, such as `DUO:0000006`.
    pub id: &'static str,
    /// Short form, such as `HMB`; empty where the ontology has none.
    pub short: &'static str,
    /// The label of the ontology.
    pub label: &'static str,
    /// What it is for.
    pub kind: TermKind,
    /// What it needs after it.
    pub takes: Takes,
}

/// A code with what it needs, such as `DUO:0000007 MONDO:0007254`. Displays as written in a study file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataUse {
    /// The code.
    pub term: &'static Term,
    /// What follows it.
    pub value: Option<String>,
}

impl fmt::Display for DataUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} {value}", self.term.id),
            None => f.write_str(self.term.id),
        }
    }
}

/// All codes.
#[must_use]
pub fn terms() -> &'static [Term] {
    TERMS
}

const fn term(
    id: &'static str,
    short: &'static str,
    label: &'static str,
    kind: TermKind,
    takes: Takes,
) -> Term {
    Term { id, short, label, kind, takes }
}

use Takes::{Countries, Date, Disease, Months, Names, Nothing};
use TermKind::{Investigation, Modifier, Permission};

#[rustfmt::skip]
const TERMS: &[Term] = &[
    term("DUO:0000004", "NRES", "no restriction", Permission, Nothing),
    term("DUO:0000042", "GRU", "general research use", Permission, Nothing),
    term("DUO:0000006", "HMB", "health or medical or biomedical research", Permission, Nothing),
    term("DUO:0000007", "DS", "disease specific research", Permission, Disease),
    term("DUO:0000011", "POA", "population origins or ancestry research only", Permission, Nothing),
    term("DUO:0000012", "RS", "research specific restrictions", Modifier, Names),
    term("DUO:0000015", "NMDS", "no general methods research", Modifier, Nothing),
    term("DUO:0000016", "GSO", "genetic studies only", Modifier, Nothing),
    term("DUO:0000018", "NPUNCU", "not for profit, non commercial use only", Modifier, Nothing),
    term("DUO:0000019", "PUB", "publication required", Modifier, Nothing),
    term("DUO:0000020", "COL", "collaboration required", Modifier, Nothing),
    term("DUO:0000021", "IRB", "ethics approval required", Modifier, Nothing),
    term("DUO:0000022", "GS", "geographical restriction", Modifier, Countries),
    term("DUO:0000024", "MOR", "publication moratorium", Modifier, Date),
    term("DUO:0000025", "TS", "time limit on use", Modifier, Months),
    term("DUO:0000026", "US", "user specific restriction", Modifier, Names),
    term("DUO:0000027", "PS", "project specific restriction", Modifier, Names),
    term("DUO:0000028", "IS", "institution specific restriction", Modifier, Names),
    term("DUO:0000029", "RTN", "return to database or resource", Modifier, Nothing),
    term("DUO:0000043", "CC", "clinical care use", Modifier, Nothing),
    term("DUO:0000044", "NPOA", "population origins or ancestry research prohibited", Modifier, Nothing),
    term("DUO:0000045", "NPU", "not for profit organisation use only", Modifier, Nothing),
    term("DUO:0000046", "NCU", "non-commercial use only", Modifier, Nothing),
    term("DUO:0000031", "", "method development", Investigation, Nothing),
    term("DUO:0000032", "", "population research", Investigation, Nothing),
    term("DUO:0000033", "", "ancestry research", Investigation, Nothing),
    term("DUO:0000034", "", "age category research", Investigation, Nothing),
    term("DUO:0000035", "", "gender category research", Investigation, Nothing),
    term("DUO:0000036", "", "research control", Investigation, Nothing),
    term("DUO:0000037", "", "biomedical research", Investigation, Nothing),
    term("DUO:0000038", "", "genetic research", Investigation, Nothing),
    term("DUO:0000039", "", "drug development research", Investigation, Nothing),
    term("DUO:0000040", "", "disease category research", Investigation, Disease),
];

/// A code in a consent: a permission or a modifier, complete with what it needs.
pub fn parse_consent(text: &str) -> Result<DataUse, String> {
    let data_use = parse(text)?;
    if data_use.term.kind == Investigation {
        return Err(format!(
            "`{}` ({}) is what a requester does, not a consent; use a permission or a modifier",
            data_use.term.id, data_use.term.label
        ));
    }
    if data_use.value.is_none() && data_use.term.takes != Nothing {
        return Err(format!(
            "`{}` ({}) needs {} after it",
            data_use.term.id,
            data_use.term.label,
            example(data_use.term.takes)
        ));
    }
    Ok(data_use)
}

/// A code that names a purpose: a permission other than "no restriction", or an investigation.
pub fn parse_purpose(text: &str) -> Result<DataUse, String> {
    let data_use = parse(text)?;
    if data_use.term.kind == Modifier || data_use.term.short == "NRES" {
        return Err(format!(
            "`{}` ({}) is not a purpose; use a permission such as DUO:0000006 or an investigation such as DUO:0000037",
            data_use.term.id, data_use.term.label
        ));
    }
    Ok(data_use)
}

/// True for `MONDO:` and seven digits.
pub fn is_disease(text: &str) -> bool {
    text.strip_prefix("MONDO:")
        .is_some_and(|digits| digits.len() == 7 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// True for two capital letters.
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// True for 1 to 32 of `a-z`, `0-9` and `-`.
pub fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn parse(text: &str) -> Result<DataUse, String> {
    let (id, value) = match text.split_once(' ') {
        Some((id, value)) => (id, Some(value)),
        None => (text, None),
    };
    let term = TERMS.iter().find(|term| term.id == id).ok_or_else(|| {
        format!(
            "`{id}` is not a data use code; codes look like DUO:0000006 and docs/study-file.md lists them"
        )
    })?;
    let is_fine = match (term.takes, value) {
        (_, None) => true,
        (Nothing, Some(_)) => return Err(format!("`{id}` ({}) takes nothing after it", term.label)),
        (Disease, Some(value)) => is_disease(value),
        (Countries, Some(value)) => value.split(',').all(is_country),
        (Months, Some(value)) => value.parse::<u16>().is_ok_and(|months| (1..=1200).contains(&months)),
        (Date, Some(value)) => is_date(value),
        (Names, Some(value)) => value.split(',').all(is_name),
    };
    if !is_fine {
        return Err(format!("`{id}` ({}) needs {} after it", term.label, example(term.takes)));
    }
    Ok(DataUse { term, value: value.map(str::to_owned) })
}

fn example(takes: Takes) -> &'static str {
    match takes {
        Nothing => "nothing",
        Disease => "a disease such as MONDO:0007254",
        Countries => "countries such as DE,FR",
        Months => "a number of months from 1 to 1200",
        Date => "a date such as 2027-01-31",
        Names => "names of a-z, 0-9 and - such as heart-institute,va",
    }
}

fn is_date(text: &str) -> bool {
    let number = |part: &str, length| {
        (part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())
            .flatten()
    };
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let (Some(year), Some(month), Some(day), None) = (
        year.and_then(|part| number(part, 4)),
        month.and_then(|part| number(part, 2)),
        day.and_then(|part| number(part, 2)),
        parts.next(),
    ) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn consents() {
        for text in [
            "DUO:0000006",
            "DUO:0000007 MONDO:0007254",
            "DUO:0000022 DE,FR",
            "DUO:0000025 24",
            "DUO:0000024 2028-02-29",
            "DUO:0000028 heart-institute,va",
        ] {
            assert_eq!(parse_consent(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "HMB",
            "DUO:0000001",
            "duo:0000006",
            "DUO:0000006 x",
            "DUO:0000007",
            "DUO:0000007 cancer",
            "DUO:0000007  MONDO:0007254",
            "DUO:0000022 Germany",
            "DUO:0000025 0",
            "DUO:0000024 2027-02-29",
            "DUO:0000024 2027-1-1",
            "DUO:0000037",
        ] {
            assert!(parse_consent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn purposes() {
        for text in ["DUO:0000006", "DUO:0000007", "DUO:0000042", "DUO:0000037"] {
            assert!(parse_purpose(text).is_ok(), "{text}");
        }
        for text in ["DUO:0000004", "DUO:0000018"] {
            assert!(parse_purpose(text).is_err(), "{text}");
        }
    }

    #[test]
    fn codes_are_unique() {
        for (index, term) in TERMS.iter().enumerate() {
            assert!(TERMS.iter().skip(index + 1).all(|other| other.id != term.id), "{}", term.id);
        }
    }
}
