//! What a study predicts: the column or columns of it, and which cells of them mean yes.

use histone_enclave::manifest::OutcomeKind;
use histone_genome::table::{Label, Other, RawTable, Rule, Selection, YesNo};
use toml::Spanned;

use crate::method::codes::{Keys, census, settle};

use super::check::Checker;
use super::error::StudyError;
use super::file::{StudyFile, TableFile};

/// What methods call an outcome.
pub(super) fn kind(label: &Label) -> OutcomeKind {
    match label {
        Label::YesNo(_) => OutcomeKind::YesNo,
        Label::Number => OutcomeKind::Number,
        Label::EventTime { .. } => OutcomeKind::EventTime,
    }
}

/// Reads `task` and the keys of `[table]` that go with it: the column of the label or of the time, and what is read from it.
pub(super) fn read(checker: &Checker<'_>, file: &StudyFile) -> Result<(String, Label), StudyError> {
    let (table, task) = (&file.table, &file.task);
    let kind = match task.get_ref().as_str() {
        "binary" => OutcomeKind::YesNo,
        "number" => OutcomeKind::Number,
        "time" => OutcomeKind::EventTime,
        _ => {
            let message = "the task is \"binary\" (the label is yes or no), \"number\" (the label is a number) or \"time\" (an event, and the time until it)";
            return checker.refuse(&task.span(), message);
        }
    };
    let timed = kind == OutcomeKind::EventTime;
    let column = |key: &str, value: &Option<Spanned<String>>, what: &str| match value {
        Some(name) => Ok(name.get_ref().clone()),
        None => {
            let message = format!("the task \"{}\" needs `{key}` under [table]: {what}", task.get_ref());
            checker.refuse(&task.span(), message)
        }
    };
    let stray = |key: &str, value: &Option<Spanned<String>>, instead: &str| match value {
        None => Ok(()),
        Some(value) => {
            let message = format!("`{key}` has no meaning with the task \"{}\"; {instead}", task.get_ref());
            checker.refuse(&value.span(), message)
        }
    };
    if timed {
        stray("label", &table.label, "name `time` and `event` instead")?;
    } else {
        for (key, value) in [("time", &table.time), ("event", &table.event)] {
            stray(key, value, "remove it, or predict the event with `task = \"time\"`")?;
        }
    }
    if kind == OutcomeKind::Number {
        for (key, value) in
            [("positive", &table.positive), ("negative", &table.negative), ("other", &table.other)]
        {
            stray(key, value, "a number has no cells that mean yes or no: remove it")?;
        }
    }
    let label = match timed {
        true => {
            column("time", &table.time, "the column with the time until the event or the end of observation")?
        }
        false => column("label", &table.label, "the column with the answer")?,
    };
    let outcome = match kind {
        OutcomeKind::YesNo => Label::YesNo(rule(checker, table)?),
        OutcomeKind::Number => Label::Number,
        OutcomeKind::EventTime => Label::EventTime {
            event: column("event", &table.event, "the column that says whether the event was seen")?,
            rule: rule(checker, table)?,
        },
    };
    Ok((label, outcome))
}

fn rule(checker: &Checker<'_>, table: &TableFile) -> Result<YesNo, StudyError> {
    let parse = |rule: &Spanned<String>| {
        rule.get_ref().parse::<Rule>().or_else(|error| checker.refuse(&rule.span(), error.to_string()))
    };
    let positive = table.positive.as_ref().map(parse).transpose()?.unwrap_or_default();
    let negative = table.negative.as_ref().map(parse).transpose()?;
    if let (true, Some(said)) = (negative.as_ref() == Some(&positive), &table.negative) {
        return checker
            .refuse(&said.span(), "what means no is what means yes as well (`positive`); change one");
    }
    let other = match &table.other {
        None => Other::Refuse,
        Some(word) => match word.get_ref().as_str() {
            "error" => Other::Refuse,
            "leave-out" if negative.is_none() && positive.names_one() => {
                let message = "rows that no rule names can be left out only when both are there: say what means no, as in `negative = \"== 0\"`";
                return checker.refuse(&word.span(), message);
            }
            "leave-out" => Other::LeaveOut,
            _ => {
                let message = "`other` is \"error\" or \"leave-out\": what becomes of rows whose outcome neither `positive` nor `negative` names";
                return checker.refuse(&word.span(), message);
            }
        },
    };
    Ok(YesNo { positive, negative, other })
}

/// Looks at the outcomes of all tables that are here: every cell means yes or no by a rule, or the study says what becomes of it.
pub(super) fn check<'a>(
    checker: &Checker<'_>,
    file: &StudyFile,
    raw: impl Iterator<Item = &'a RawTable>,
    selection: &mut Selection,
) -> Result<(), StudyError> {
    const KEYS: Keys = Keys { yes: "positive", no: "negative", value: "\"== {}\"" };
    let column = selection.outcome.event().unwrap_or(&selection.label).clone();
    let rule = match &mut selection.outcome {
        Label::YesNo(rule) | Label::EventTime { rule, .. } => rule,
        Label::Number => return Ok(()),
    };
    // A table without the column is told by name, later.
    let Ok(codes) = census(raw, &column, &selection.missing) else { return Ok(()) };
    let settled = settle(&column, rule, codes.as_ref(), KEYS);
    *rule = settled.or_else(|message| checker.refuse(&span(file), message))?;
    Ok(())
}

/// Where a study says which cells of its outcome mean what.
pub(super) fn span(file: &StudyFile) -> std::ops::Range<usize> {
    let table = &file.table;
    let keys = [&table.positive, &table.negative, &table.event, &table.label, &table.time];
    keys.into_iter().flatten().next().map_or(file.task.span(), Spanned::span)
}
