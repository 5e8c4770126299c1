//! Loads the tables of a study and checks that they fit together.

use std::collections::HashMap;

use histone_genome::table::{
    CellProblem, ColumnKind as Cells, Features, Kind, Label, LeftOut, Limits, MissingCells, MissingRules,
    RawTable, Selection, Table, TableError,
};
use toml::Spanned;

use super::check::{Checker, Outline};
use super::error::StudyError;
use super::file::{ParticipantFile, StudyFile};
use super::format::FormatFile;
use super::genotypes::Genotyped;
use super::{EndUser, Files, MAX_CELLS, MIN_ROWS, Participant, Study, TableRules};
use super::{alone, disclosure, doubts, format, genotypes, kinds, left_out, outcome};

/// Reads the tables of a study: all of them, or, where a party is named, its own alone.
pub(super) fn fill(
    checker: &Checker<'_>,
    file: &StudyFile,
    outline: Outline,
    files: &dyn Files,
    alone: Option<&str>,
) -> Result<Study, StudyError> {
    let here = |name: &str| alone.is_none_or(|alone| alone == name);
    if alone.is_some() {
        alone::everything_stated(checker, file, &outline)?;
    }
    let mut found = Vec::with_capacity(file.participant.len());
    for participant in &file.participant {
        let name = participant.name.get_ref();
        found.push(match here(name) {
            true => Some(read(checker, file, name, &participant.data, participant.format.as_ref(), files)?),
            false => None,
        });
    }
    let raw: Vec<(&ParticipantFile, &RawTable)> =
        file.participant.iter().zip(&found).filter_map(|(p, raw)| Some((p, raw.as_ref()?))).collect();
    // What nobody has can be told of all tables alone.
    let all: Vec<&RawTable> = match alone {
        None => raw.iter().map(|(_, raw)| *raw).collect(),
        Some(_) => Vec::new(),
    };
    let mut selection = Selection {
        label: outline.label,
        outcome: outline.task,
        features: outline.features.clone(),
        kinds: outline.kinds,
        ignore: outline.ignore.clone(),
        missing: outline.rules.clone(),
    };
    kinds::columns(checker, file, &all, &selection)?;
    outcome::check(checker, file, raw.iter().map(|(_, raw)| *raw), &mut selection)?;
    let mut features = match (&selection.features, raw.is_empty()) {
        // Whoever has no table has the names of the file.
        (Features::Named(names), true) => names.clone(),
        _ => common_features(checker, file, &raw, &selection)?,
    };
    check_column_lists(checker, file, &all, &selection, &features)?;
    let left_out = match selection.features {
        Features::AllNumeric => left_out::columns(checker, file, &all, &selection, &features)?,
        Features::Named(_) => Vec::new(),
    };
    let most = outline.training.manifest.features.max as usize;
    if features.len() > most {
        let message = format!(
            "the study has {} features, the method `{}` takes at most {most}; name fewer",
            features.len(),
            outline.training.manifest.name
        );
        return checker.refuse(&file.table.features.span(), message);
    }
    let named = Selection { features: Features::Named(features.clone()), ignore: vec![], ..selection };
    // Where missing cells stay, zeros that mean missing stay zeros too: the validation program is to see the data as it
    // is, and the training programs apply the study's policy, the same at every site.
    let mut kept = named.clone();
    if kept.missing.cells == MissingCells::Keep {
        kept.missing.zero_is_missing.clear();
    }

    let genotyped = genotypes::panel(checker, file, files)?;
    let mut lines = Vec::with_capacity(found.len());
    let mut participants = Vec::with_capacity(found.len());
    for ((participant, rules), raw) in file.participant.iter().zip(outline.participants).zip(&found) {
        let name = participant.name.get_ref();
        let refuse = |source| data_error(checker, file, name, &participant.data, source);
        let (table, left_out, rows) = match raw {
            Some(raw) => raw.select_rows(&kept).map_err(refuse)?,
            None => (alone::no_rows(&kept, &features).map_err(refuse)?, LeftOut::default(), Vec::new()),
        };
        if raw.is_some() {
            check_rows(checker, participant, &kept, &table)?;
        }
        let cells = table.rows().saturating_mul(table.columns().len());
        if cells > MAX_CELLS {
            let message = format!(
                "the table has {cells} cells, an enclave takes at most {MAX_CELLS}; name fewer features"
            );
            return checker.refuse(&participant.data.span(), message);
        }
        lines.push(rows);
        participants.push(Participant {
            name: name.clone(),
            data: participant.data.get_ref().clone(),
            country: participant.country.get_ref().clone(),
            consent: rules.consent,
            allow: rules.allow,
            allow_trainers: rules.allow_trainers,
            deny: rules.deny,
            versions: rules.versions,
            allow_public_exact: rules.allow_public_exact,
            allow_auditors: rules.allow_auditors,
            allow_one_enclave: rules.allow_one_enclave,
            allow_closed: rules.allow_closed.clone(),
            dropped_rows: left_out.incomplete,
            left_out_rows: left_out.without_outcome,
            alignment: None,
            table,
        });
    }
    let nowhere = |(index, name)| {
        let mut values = participants.iter().flat_map(|participant| participant.table.column(index));
        values.all(f64::is_nan).then_some(name)
    };
    if let (None, Some(name)) = (alone, features.iter().enumerate().find_map(nowhere)) {
        let message = format!("the feature `{name}` is missing in every row of every participant; remove it");
        return checker.refuse(&file.table.features.span(), message);
    }
    let (mut kinds, outcome, proposed) = kinds::ranges(checker, file, &named, &features, &participants)?;
    if let (None, Some((first, second, same, rows))) = (alone, same_rows(&participants)) {
        let message = format!(
            "`{}` has the rows of `{}` ({same} of {rows}): the committee would name it, and it would be left out and paid nothing; give \
             each participant a table of its own",
            participants[second].name, participants[first].name
        );
        return checker.refuse(&file.participant[second].data.span(), message);
    }
    let mut training = outline.training;
    // Of a scan an answer tells one variant.
    let told = features.len() + genotyped.as_ref().map_or(0, Genotyped::variants);
    training.disclosure.answers = disclosure::answers(checker, file, training.disclosure.model, told)?;
    let end_user = match here(&outline.end_user) {
        true => end_user(
            checker,
            file,
            (&outline.end_user, outline.count),
            (&named, &features),
            genotyped.as_ref(),
            files,
        )?,
        false => EndUser {
            name: outline.end_user,
            file: file.end_user.queries.get_ref().clone(),
            queries: Vec::new(),
            truth: None,
        },
    };
    let seen = participants.iter().zip(&found).filter_map(|(participant, raw)| {
        Some(doubts::Seen { name: &participant.name, raw: raw.as_ref()?, table: &participant.table })
    });
    let doubts = doubts::of(&seen.collect::<Vec<_>>(), &features, &named.missing);
    let mut panel = None;
    if let Some(genotyped) = genotyped {
        // Last, so that all columns before are where the tables have them.
        for (i, participant) in participants.iter_mut().enumerate() {
            let rows = found[i].as_ref().map(|raw| (raw, lines[i].as_slice()));
            (participant.table, participant.alignment) = genotyped.add(
                checker,
                &file.participant[i],
                participant.table.clone(),
                rows,
                files,
                features.len(),
            )?;
        }
        kinds.push(genotyped.kind());
        features.push(genotypes::COLUMN.into());
        panel = Some(genotyped.text);
    }
    Ok(Study {
        name: outline.name,
        title: outline.title,
        source: checker.text().to_owned(),
        table: TableRules {
            label: named.label,
            task: named.outcome,
            outcome,
            features,
            kinds,
            proposed,
            panel,
            left_out,
            missing: outline.missing,
            rules: outline.rules,
        },
        participants,
        doubts,
        model: outline.model,
        other_models: outline.other_models,
        training,
        committee: outline.committee,
        appraisal: outline.appraisal,
        end_user,
        runner: outline.runner,
        auditor: outline.auditor,
        auditors: outline.auditors,
    })
}

/// Rows with a yes, in a table whose last column says yes or no.
pub fn positives(table: &Table) -> Option<usize> {
    let last = table.columns().len().saturating_sub(1);
    match table.columns().last()?.kind {
        Kind::Category(_) => Some(table.column(last).filter(|v| *v == 1.0).count()),
        Kind::Number | Kind::Whole | Kind::Day | Kind::Genotypes { .. } => None,
    }
}

/// Two participants of whom one has, for the most part, the rows of the other: their positions, common rows, and rows of the
/// smaller table. As validation enclaves see it: nine of ten, in tables whose rows mostly occur once.
fn same_rows(participants: &[Participant]) -> Option<(usize, usize, usize, usize)> {
    let rows = |p: &Participant| -> HashMap<Vec<u64>, usize> {
        // As the sketches of validation see it: numbers, of which an outcome may be one.
        let kinds = p.table.columns().iter().map(|column| &column.kind);
        let mut numbers: Vec<usize> =
            kinds.enumerate().filter(|(_, kind)| kind.is_measured()).map(|(i, _)| i).collect();
        if numbers.is_empty() {
            numbers = (0..p.table.columns().len()).collect();
        }
        let mut counts = HashMap::new();
        for i in 0..p.table.rows() {
            let row = numbers.iter().map(|&c| p.table.row(i).map_or(0, |row| row[c].to_bits())).collect();
            *counts.entry(row).or_default() += 1;
        }
        counts
    };
    let all: Vec<_> = participants.iter().map(rows).collect();
    for second in 1..all.len() {
        for first in 0..second {
            let (a, b) = (&all[first], &all[second]);
            let fewer = participants[first].table.rows().min(participants[second].table.rows());
            let common: usize = b.iter().map(|(row, n)| a.get(row).map_or(0, |m| *n.min(m))).sum();
            let distinct = 2 * a.len() > participants[first].table.rows();
            if distinct && 10 * common >= 9 * fewer {
                return Some((first, second, common, fewer));
            }
        }
    }
    None
}

fn read(
    checker: &Checker<'_>,
    file: &StudyFile,
    party: &str,
    path: &Spanned<String>,
    format: Option<&FormatFile>,
    files: &dyn Files,
) -> Result<RawTable, StudyError> {
    let name = path.get_ref();
    let dialect = format::dialect(checker, format, file.table.format.as_ref())?;
    let reader = files.open(name).map_err(|source| StudyError::NoData {
        at: checker.place(&path.span()),
        path: name.clone(),
        source,
    })?;
    RawTable::read_as(name, reader, dialect, &Limits::default())
        .map_err(|source| data_error(checker, file, party, path, source))
}

/// Points at the key of the study that does not fit the file, which is the path of the file where no other is.
fn data_error(
    checker: &Checker<'_>,
    file: &StudyFile,
    party: &str,
    path: &Spanned<String>,
    source: TableError,
) -> StudyError {
    use CellProblem::{DaySpelling, NoDay, NoLevel, NoSuchDay, NotWhole, Text, TimeOfDay};
    use CellProblem::{LabelBoth, LabelText, LabelThird, LabelUnnamed};
    let key = match &source {
        TableError::Cell { at, problem } => match problem {
            Text | NoLevel | NotWhole | NoDay | DaySpelling | NoSuchDay | TimeOfDay => {
                kinds::span(&file.table, &at.name)
            }
            LabelText | LabelUnnamed | LabelThird | LabelBoth => Some(outcome::span(file)),
            _ => None,
        },
        TableError::Selection { name, .. } => kinds::span(&file.table, name),
        TableError::OneClass { .. } => Some(outcome::span(file)),
        _ => None,
    };
    let at = checker.place(&key.unwrap_or(path.span()));
    StudyError::Data { at, party: party.to_owned(), source: Box::new(source) }
}

/// The features of the study in the order of the first participant; every other participant must have the same.
fn common_features(
    checker: &Checker<'_>,
    file: &StudyFile,
    raw: &[(&ParticipantFile, &RawTable)],
    selection: &Selection,
) -> Result<Vec<String>, StudyError> {
    // `zero_is_missing` is checked against the result, with a place in the study file.
    let rules = MissingRules { zero_is_missing: vec![], ..selection.missing.clone() };
    let selection = Selection { missing: rules, ..selection.clone() };
    let mut common: Option<(&ParticipantFile, &RawTable, Vec<String>)> = None;
    for &(participant, raw) in raw {
        let features = raw.features(&selection).map_err(|source| {
            data_error(checker, file, participant.name.get_ref(), &participant.data, source)
        })?;
        let Some((first, first_raw, expected)) = &common else {
            common = Some((participant, raw, features));
            continue;
        };
        let lacking = expected.iter().find(|name| !features.contains(name));
        let surplus = features.iter().find(|name| !expected.contains(name));
        let difference = lacking
            .map(|name| (name, *first, participant, raw))
            .or(surplus.map(|name| (name, participant, *first, *first_raw)));
        if let Some((name, with, without, without_raw)) = difference {
            let (with, at) = (with.name.get_ref(), without.name.get_ref());
            if let Some(Cells::Text { at: cell, problem }) = kind_of(without_raw, name, &selection.missing) {
                let message = format!(
                    "`{name}` is a feature at `{with}`, and cannot be one at `{at}`: {cell}: {problem}; or add the column to `ignore`"
                );
                return checker.refuse(&without.data.span(), message);
            }
            let message = format!(
                "the features differ: `{with}` has `{name}` and `{at}` has not ({} has no such column); repair the file, add the column to `ignore`, or name the features",
                without_raw.file(),
            );
            return checker.refuse(&participant.data.span(), message);
        }
    }
    Ok(common.map(|(_, _, features)| features).unwrap_or_default())
}

fn kind_of(raw: &RawTable, name: &str, rules: &MissingRules) -> Option<Cells> {
    let mut kinds = raw.columns().iter().zip(raw.column_kinds(rules));
    kinds.find_map(|(column, kind)| (column == name).then_some(kind))
}

/// A name in a list that fits nothing is a slip of the pen.
fn check_column_lists(
    checker: &Checker<'_>,
    file: &StudyFile,
    raw: &[&RawTable],
    selection: &Selection,
    features: &[String],
) -> Result<(), StudyError> {
    for name in &file.table.ignore {
        if *name.get_ref() == selection.label {
            return checker.refuse(&name.span(), "the label cannot be ignored");
        }
        if Some(name.get_ref()) == selection.outcome.event() {
            return checker.refuse(&name.span(), "the event cannot be ignored");
        }
        if !raw.iter().any(|raw| raw.columns().contains(name.get_ref())) {
            let message =
                format!("no participant has a column `{}` to ignore", name.get_ref().escape_debug());
            return checker.refuse(&name.span(), message);
        }
    }
    for name in &file.table.zero_is_missing {
        if !features.contains(name.get_ref()) {
            let message = format!("`{}` is not a feature of this study", name.get_ref().escape_debug());
            return checker.refuse(&name.span(), message);
        }
        if matches!(selection.kinds.get(name.get_ref()), Some(Kind::Day | Kind::Category(_))) {
            let message = format!(
                "`{}` has no zero; write the cell that means missing under `missing_codes`",
                name.get_ref().escape_debug()
            );
            return checker.refuse(&name.span(), message);
        }
    }
    Ok(())
}

/// Each class is needed twice: once to train on, once to test with. And a site has as many rows as papers ask for.
fn check_rows(
    checker: &Checker<'_>,
    participant: &ParticipantFile,
    selection: &Selection,
    table: &Table,
) -> Result<(), StudyError> {
    let rows = table.rows();
    let positives = positives(table);
    if let (Some(positives), Label::YesNo(_)) = (positives, &selection.outcome)
        && positives.min(rows.saturating_sub(positives)) < 2
    {
        let message = format!(
            "`{}` has {positives} positive of {rows} rows; training and testing need at least 2 of each class",
            participant.name.get_ref(),
        );
        return checker.refuse(&participant.data.span(), message);
    }
    if rows < MIN_ROWS as usize {
        let message = format!(
            "`{}` has {rows} rows that can be used; a site needs {MIN_ROWS} or more, because sums over fewer come too near to single people: add rows or leave the participant out",
            participant.name.get_ref(),
        );
        return checker.refuse(&participant.data.span(), message);
    }
    Ok(())
}

fn end_user(
    checker: &Checker<'_>,
    file: &StudyFile,
    (name, count): (&str, Option<usize>),
    (selection, features): (&Selection, &[String]),
    genotyped: Option<&Genotyped<'_>>,
    files: &dyn Files,
) -> Result<EndUser, StudyError> {
    let path = &file.end_user.queries;
    let raw = read(checker, file, name, path, file.end_user.format.as_ref(), files)?;
    let refuse = |source| data_error(checker, file, name, path, source);
    let Selection { label, outcome, kinds, missing, .. } = selection;
    let mut queries = match genotyped {
        Some(genotyped) => genotyped.queries(checker, path, &raw, features.len())?,
        None => raw.query_rows(features, kinds, missing).map_err(refuse)?,
    };
    // An event with a time is no single number that an answer could be compared with, and neither is a variant.
    let compared = genotyped.is_none() && raw.columns().contains(label) && outcome.event().is_none();
    let mut truth = if compared { Some(raw.outcomes(selection).map_err(refuse)?) } else { None };
    if let (Some(count), Some(written)) = (count, &file.end_user.count) {
        if count > queries.len() {
            let message = format!("`count` is {count} and {} has {} queries", path.get_ref(), queries.len());
            return checker.refuse(&written.span(), message);
        }
        queries.truncate(count);
        if let Some(truth) = &mut truth {
            truth.truncate(count);
        }
    }
    Ok(EndUser { name: name.to_owned(), file: path.get_ref().clone(), queries, truth })
}
