//! Of which kind the columns of a study are, and in which range their values lie.

use std::collections::BTreeMap;

use histone_enclave::manifest::{FeatureKind, Manifest};
use histone_enclave::reading::OUTSIDE;
use histone_genome::table::{Features, Kind, Label, RawTable, Selection, check_levels};
use histone_protocol::plan::{ColumnKind, PlanOutcome};

use crate::method::range;

use super::Participant;
use super::check::Checker;
use super::error::StudyError;
use super::file::{StudyFile, TableFile};

/// Reads `[table.kinds]` and `[table.levels]`. What is in neither is a column of numbers.
pub(super) fn read(checker: &Checker<'_>, table: &TableFile) -> Result<BTreeMap<String, Kind>, StudyError> {
    let mut kinds = BTreeMap::new();
    for (name, levels) in &table.levels {
        if let Err(reason) = check_levels(levels.get_ref()) {
            let message = format!("the levels of `{}`: {reason}", name.escape_debug());
            return checker.refuse(&levels.span(), message);
        }
        kinds.insert(name.clone(), Kind::Category(levels.get_ref().clone()));
    }
    for (name, said) in &table.kinds {
        let kind = match said.get_ref().as_str() {
            "number" => Kind::Number,
            "whole" => Kind::Whole,
            "day" => Kind::Day,
            other => {
                let message = format!(
                    "`{}` is no kind of column; write \"number\", \"whole\" or \"day\", and name the levels of a category under [table.levels]",
                    other.escape_debug()
                );
                return checker.refuse(&said.span(), message);
            }
        };
        if kinds.insert(name.clone(), kind).is_some() {
            let message = format!(
                "`{}` has a kind here and levels under [table.levels]; a category has its levels alone: remove one",
                name.escape_debug()
            );
            return checker.refuse(&said.span(), message);
        }
    }
    Ok(kinds)
}

/// Where the study says of which kind a column is.
pub(super) fn span(table: &TableFile, name: &str) -> Option<std::ops::Range<usize>> {
    let levels = table.levels.get(name).map(toml::Spanned::span);
    levels.or_else(|| table.kinds.get(name).map(toml::Spanned::span))
}

/// The method must take every kind that is named.
pub(super) fn taken(
    checker: &Checker<'_>,
    table: &TableFile,
    kinds: &BTreeMap<String, Kind>,
    label: &str,
    manifest: &Manifest,
) -> Result<(), StudyError> {
    for (name, kind) in kinds.iter().filter(|(name, _)| *name != label) {
        let kind = match kind {
            Kind::Number => FeatureKind::Number,
            Kind::Category(_) => FeatureKind::Category,
            Kind::Whole => FeatureKind::Whole,
            Kind::Day => FeatureKind::Day,
            Kind::Genotypes { .. } => FeatureKind::Genotypes,
        };
        if let Err(message) = manifest.takes_feature(kind, name) {
            return checker.refuse(&span(table, name).unwrap_or(0..0), message);
        }
    }
    Ok(())
}

/// Every column with a kind or levels must be one that is read. Where not all tables are there, `raw` is empty.
pub(super) fn columns(
    checker: &Checker<'_>,
    file: &StudyFile,
    raw: &[&RawTable],
    selection: &Selection,
) -> Result<(), StudyError> {
    for (name, kind) in &selection.kinds {
        let place = span(&file.table, name).unwrap_or(0..0);
        let refuse = |why: &str| {
            let key = if file.table.levels.contains_key(name) { "levels" } else { "kinds" };
            checker.refuse(&place, format!("`{}` {why} [table.{key}]", name.escape_debug()))
        };
        if let Kind::Category(levels) = kind
            && let Some(both) = levels.iter().find(|level| selection.missing.codes.contains(*level))
        {
            return refuse(&format!(
                "has the level `{}`, which is a missing code, too, so that no row would have it; remove it from `missing_codes` or from",
                both.escape_debug()
            ));
        }
        let outcome = *name == selection.label || Some(name) == selection.outcome.event();
        if !raw.is_empty() && !raw.iter().any(|raw| raw.columns().contains(name)) {
            return refuse("is a column of no participant; correct the name or remove it from");
        }
        if selection.ignore.contains(name) {
            return refuse("is ignored; remove it from `ignore` or from");
        }
        if matches!(&selection.features, Features::Named(names) if !outcome && !names.contains(name)) {
            return refuse("is no feature; add it to `features` or remove it from");
        }
        let number = *name == selection.label && !matches!(selection.outcome, Label::YesNo(_));
        if number && !matches!(kind, Kind::Number | Kind::Whole) {
            return refuse(
                "is the outcome, which can be \"number\" or \"whole\" and nothing else; change it in",
            );
        }
        if outcome && !number {
            return refuse(
                "is the outcome, whose cells `positive` and `negative` tell apart; remove it from",
            );
        }
    }
    Ok(())
}

/// The kind of each feature, the outcome, and lines for the ranges that the study does not state.
pub(super) fn ranges(
    checker: &Checker<'_>,
    file: &StudyFile,
    selection: &Selection,
    features: &[String],
    participants: &[Participant],
) -> Result<(Vec<ColumnKind>, PlanOutcome, Vec<String>), StudyError> {
    let Selection { label, kinds, missing: rules, outcome, .. } = selection;
    let kind_of = |name: &String| kinds.get(name).cloned().unwrap_or(Kind::Number);
    let label_ranged = !matches!(outcome, Label::YesNo(_));
    let ranged = |name: &String| {
        features.contains(name) && kind_of(name).is_measured() || label_ranged && name == label
    };
    if let Some((name, range)) = file.table.ranges.iter().find(|(name, _)| !ranged(name)) {
        let message =
            format!("`{}` is no number and no day of this study and has no range", name.escape_debug());
        return checker.refuse(&range.span(), message);
    }
    let mut proposed = Vec::new();
    let mut range_of = |index: usize, name: &String| {
        let kind = kind_of(name);
        let time = name == label && matches!(outcome, Label::EventTime { .. });
        let measured = |v: &f64| !v.is_nan() && (*v != 0.0 || !rules.zero_is_missing.contains(name));
        if let Some(said) = file.table.ranges.get(name) {
            let [low, high] = range::stated(&kind, *said.get_ref()).or_else(|wanted| {
                checker.refuse(&said.span(), format!("the range of `{name}` must be {wanted}"))
            })?;
            if time && low != 0.0 {
                let message =
                    format!("the range of the time `{name}` begins with 0: write [0, longest time]");
                return checker.refuse(&said.span(), message);
            }
            for p in participants {
                let values = || p.table.column(index).filter(measured);
                let outside = values().filter(|v| !(low..=high).contains(v)).count();
                if outside * OUTSIDE > values().count() {
                    let message = format!(
                        "the range of `{name}` leaves {outside} of {} values of `{}` outside; its enclave takes no plan that leaves more than one in {OUTSIDE}",
                        values().count(),
                        p.name
                    );
                    return checker.refuse(&said.span(), message);
                }
            }
            return Ok([low, high]);
        }
        let values = participants.iter().flat_map(|p| p.table.column(index)).filter(measured);
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let low = if time { 0.0 } else { low };
        let mut range = if low <= high { range::proposed(&kind, low, high) } else { [0.0, 1.0] };
        if time {
            range[0] = 0.0;
        }
        proposed.push(format!("{name:?} = {}", range::written(&kind, range)));
        Ok(range)
    };
    let mut found = Vec::new();
    for (index, name) in features.iter().enumerate() {
        // Ends of whole numbers and days are whole, and far within what an integer holds.
        let whole = |range: [f64; 2]| range.map(|end| end as i64);
        found.push(match kind_of(name) {
            Kind::Category(levels) => ColumnKind::Levels(levels),
            Kind::Number => ColumnKind::Range(range_of(index, name)?),
            Kind::Whole => ColumnKind::Whole(whole(range_of(index, name)?)),
            Kind::Day => ColumnKind::Day(whole(range_of(index, name)?)),
            // Its own part of the study says it.
            Kind::Genotypes { panel, variants } => ColumnKind::Genotypes { panel: panel.into(), variants },
        });
    }
    let outcome = match outcome {
        Label::YesNo(_) => PlanOutcome::YesNo(label.clone()),
        Label::Number => PlanOutcome::Number(label.clone(), range_of(features.len(), label)?),
        Label::EventTime { event, .. } => {
            let [_, longest] = range_of(features.len(), label)?;
            PlanOutcome::EventTime(label.clone(), event.clone(), longest)
        }
    };
    Ok((found, outcome, proposed))
}
