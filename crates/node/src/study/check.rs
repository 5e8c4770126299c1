//! Every check that needs no data file.

use std::collections::BTreeMap;
use std::ops::Range;

use histone_access::duo::{self, DataUse};
use histone_attestation::platform;
use histone_enclave::manifest::{FeatureKind, Manifest, OutcomeKind, SettingValue};
use histone_genome::table::{Features, Kind, Label, MissingCells, MissingRules};
use histone_protocol::committee::Committee;
use histone_protocol::evidence::Platform;
use toml::Spanned;

use crate::programs;

use super::consent::{ParticipantOutline, participants};
use super::error::{Place, StudyError};
use super::file::{FeaturesFile, ModelFile, SplitFile, StudyFile, TableFile};
use super::money::BasisPoints;
use super::{Appraisal, DEFAULT_MAX_AGE_HOURS, Missing, Model, Split, StudyCommittee, Training};
use super::{DEFAULT_AUDITOR, disclosure, kinds, outcome};

/// A study without its data.
pub(super) struct Outline {
    pub name: String,
    pub title: String,
    /// The column of the label, or of the time until an event.
    pub label: String,
    pub task: Label,
    pub features: Features,
    pub kinds: BTreeMap<String, Kind>,
    pub ignore: Vec<String>,
    pub missing: Missing,
    pub rules: MissingRules,
    /// In the order of the file.
    pub participants: Vec<ParticipantOutline>,
    pub model: Model,
    pub other_models: Vec<Model>,
    pub training: Training,
    pub committee: StudyCommittee,
    pub appraisal: Appraisal,
    pub end_user: String,
    pub count: Option<usize>,
    pub runner: String,
    pub auditor: String,
    pub auditors: Vec<String>,
}

/// Turns positions in the text into places for people.
pub(super) struct Checker<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Checker<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place {
            file: self.file.to_owned(),
            line: 1 + before.matches('\n').count(),
            column: 1 + before.get(line_start..).unwrap_or_default().chars().count(),
        }
    }

    pub(super) fn refuse<T>(&self, span: &Range<usize>, message: impl Into<String>) -> Result<T, StudyError> {
        Err(StudyError::Rule { at: self.place(span), message: message.into() })
    }

    pub(super) fn syntax(&self, error: &toml::de::Error) -> StudyError {
        // The parser puts each hint on a line of its own.
        let message = error.message().trim().replace('\n', "; ");
        StudyError::Syntax { at: self.place(&error.span().unwrap_or(0..0)), message }
    }

    pub(super) fn name(&self, name: &Spanned<String>) -> Result<String, StudyError> {
        if duo::is_name(name.get_ref()) {
            return Ok(name.get_ref().clone());
        }
        let message =
            format!("`{}` is not a name; use 1 to 32 of a-z, 0-9 and -", name.get_ref().escape_debug());
        self.refuse(&name.span(), message)
    }

    /// One line for people. It is printed in terminals, so control characters are kept out.
    fn line(&self, key: &str, text: &Spanned<String>) -> Result<String, StudyError> {
        let length = text.get_ref().chars().count();
        if text.get_ref().trim().is_empty() || length > 200 || text.get_ref().chars().any(char::is_control) {
            return self.refuse(&text.span(), format!("`{key}` must be one line of 1 to 200 characters"));
        }
        Ok(text.get_ref().clone())
    }

    pub(super) fn code(
        &self,
        text: &Spanned<String>,
        parse: fn(&str) -> Result<DataUse, String>,
    ) -> Result<DataUse, StudyError> {
        parse(text.get_ref()).or_else(|message| self.refuse(&text.span(), message))
    }

    pub(super) fn whole(
        &self,
        key: &str,
        number: &Spanned<i64>,
        range: std::ops::RangeInclusive<usize>,
    ) -> Result<usize, StudyError> {
        match usize::try_from(*number.get_ref()) {
            Ok(value) if range.contains(&value) => Ok(value),
            _ => {
                let message = format!(
                    "`{key}` is {}, it must be {} to {}",
                    number.get_ref(),
                    range.start(),
                    range.end()
                );
                self.refuse(&number.span(), message)
            }
        }
    }
}

pub(super) fn outline(checker: &Checker<'_>, file: &StudyFile) -> Result<Outline, StudyError> {
    let name = checker.name(&file.name)?;
    let title = checker.line("title", &file.title)?;
    let (label, task) = outcome::read(checker, file)?;
    let (features, missing, rules) = table_rules(checker, &file.table)?;
    let kinds = kinds::read(checker, &file.table)?;
    let participants = participants(checker, file)?;
    let model = model(checker, &file.model, file.participant.len())?;
    let mut other_models: Vec<Model> = Vec::new();
    for other in &file.other_model {
        let parsed = self::model(checker, other, file.participant.len())?;
        if parsed.name == model.name || other_models.iter().any(|earlier| earlier.name == parsed.name) {
            let message = format!("two models are named `{}`; rename one", parsed.name);
            return checker.refuse(&other.name.span(), message);
        }
        other_models.push(parsed);
    }
    let training = training(checker, file, &task)?;
    kinds::taken(checker, &file.table, &kinds, &label, &training.manifest)?;
    let committee = committee(checker, file)?;
    let count = match &file.end_user.count {
        Some(count) => Some(checker.whole("count", count, 1..=1_000_000)?),
        None => None,
    };
    let or_default = |name: &Option<Spanned<String>>, default: &str| match name {
        Some(name) => checker.name(name),
        None => Ok(default.to_owned()),
    };
    let outline = Outline {
        name,
        title,
        label,
        task,
        features,
        kinds,
        ignore: file.table.ignore.iter().map(|name| name.get_ref().clone()).collect(),
        missing,
        rules,
        participants,
        model,
        other_models,
        training,
        committee,
        appraisal: appraisal(checker, file)?,
        end_user: or_default(&file.end_user.name, "end-user")?,
        count,
        runner: or_default(&file.parties.runner, "cloud-runner")?,
        auditor: or_default(&file.parties.auditor, DEFAULT_AUDITOR)?,
        auditors: file.parties.auditors.iter().map(|name| checker.name(name)).collect::<Result<_, _>>()?,
    };
    disclosure::consented(checker, file, &outline)?;
    one_name_one_party(checker, file, &outline)?;
    Ok(outline)
}

fn table_rules(
    checker: &Checker<'_>,
    table: &TableFile,
) -> Result<(Features, Missing, MissingRules), StudyError> {
    let features = match table.features.get_ref() {
        FeaturesFile::Word(word) if word == "all numeric" => Features::AllNumeric,
        FeaturesFile::Names(names) if !names.is_empty() => Features::Named(names.clone()),
        _ => {
            let message = "`features` must be \"all numeric\" or a list of at least one column name";
            return checker.refuse(&table.features.span(), message);
        }
    };
    if let (Features::Named(_), Some(name)) = (&features, table.ignore.first()) {
        let message = "`ignore` only has a meaning with `features = \"all numeric\"`; remove it";
        return checker.refuse(&name.span(), message);
    }
    let missing = match table.missing.get_ref().as_str() {
        "refuse" => Missing::Refuse,
        "drop" => Missing::Drop,
        "mean" => Missing::Mean,
        "median" => Missing::Median,
        other => {
            let message =
                format!("`{}` is not a policy; use refuse, drop, mean or median", other.escape_debug());
            return checker.refuse(&table.missing.span(), message);
        }
    };
    let mut rules = MissingRules {
        zero_is_missing: table.zero_is_missing.iter().map(|name| name.get_ref().clone()).collect(),
        cells: match missing {
            Missing::Refuse => MissingCells::Refuse,
            Missing::Drop => MissingCells::Drop,
            Missing::Mean | Missing::Median => MissingCells::Keep,
        },
        ..MissingRules::default()
    };
    if let Some(codes) = &table.missing_codes {
        rules.codes = codes.iter().map(|code| code.get_ref().clone()).collect();
    }
    Ok((features, missing, rules))
}

fn model(checker: &Checker<'_>, model: &ModelFile, participants: usize) -> Result<Model, StudyError> {
    let mut purpose = checker.code(&model.purpose, duo::parse_purpose)?;
    if purpose.value.is_some() {
        return checker
            .refuse(&model.purpose.span(), "write the disease under `disease`, the purpose is a code alone");
    }
    let disease = match &model.disease {
        Some(disease) if !duo::is_disease(disease.get_ref()) => {
            let message = format!(
                "`{}` is not a disease; write MONDO: and seven digits, such as MONDO:0007254",
                disease.get_ref().escape_debug()
            );
            return checker.refuse(&disease.span(), message);
        }
        Some(disease) => Some(disease.get_ref().clone()),
        None if purpose.term.takes == duo::Takes::Disease => {
            let message = format!("`{}` ({}) needs a `disease`", purpose.term.id, purpose.term.label);
            return checker.refuse(&model.purpose.span(), message);
        }
        None => None,
    };
    if purpose.term.takes == duo::Takes::Disease {
        purpose.value.clone_from(&disease);
    }
    let tokens = |amount: &Spanned<super::money::Amount>| {
        amount.get_ref().tokens().or_else(|message| checker.refuse(&amount.span(), message))
    };
    let instant_payment = tokens(&model.instant_payment)?;
    let query_price = tokens(&model.query_price)?;
    if query_price.micro() == 0 {
        return checker.refuse(
            &model.query_price.span(),
            "a query must cost something; nothing can be split otherwise",
        );
    }
    // The trainer deposits one payment per participant.
    if instant_payment.checked_mul(participants as u64).is_none() {
        return checker
            .refuse(&model.instant_payment.span(), "the payments to all participants are too large");
    }
    Ok(Model {
        name: checker.name(&model.name)?,
        predicts: checker.line("predicts", &model.predicts)?,
        purpose,
        disease,
        commercial: model.commercial,
        trainer: checker.name(&model.trainer)?,
        instant_payment,
        query_price,
        split: split(checker, &model.split)?,
    })
}

fn split(checker: &Checker<'_>, split: &Spanned<SplitFile>) -> Result<Split, StudyError> {
    let share = |share: &Spanned<super::money::Amount>| {
        BasisPoints::parse(share.get_ref()).or_else(|message| checker.refuse(&share.span(), message))
    };
    let shares = split.get_ref();
    let parsed = Split {
        donors: share(&shares.donors)?,
        trainer: share(&shares.trainer)?,
        runner: share(&shares.runner)?,
    };
    let sum: u32 =
        [parsed.donors, parsed.trainer, parsed.runner].iter().map(|part| u32::from(part.get())).sum();
    if sum != u32::from(BasisPoints::WHOLE) {
        let message = format!("the split adds up to {} %, it must be 100 %", f64::from(sum) / 100.0);
        return checker.refuse(&split.span(), message);
    }
    Ok(parsed)
}

fn training(checker: &Checker<'_>, file: &StudyFile, task: &Label) -> Result<Training, StudyError> {
    let (training, participants) = (&file.training, file.participant.len());
    let asked = outcome::kind(task);
    let manifest = match &training.method {
        Some(method) => {
            let manifest = programs::manifest(method.get_ref());
            let manifest = manifest.or_else(|error| checker.refuse(&method.span(), error.to_string()))?;
            if let Err(message) = manifest.takes_outcome(asked, "the study's") {
                return checker.refuse(&method.span(), message);
            }
            manifest
        }
        None => default_method(checker, file, asked)?,
    };
    let method = manifest.name.clone();
    // A NaN is in no range, so the comparisons refuse it.
    let number = |key: &str, number: &Spanned<f64>, is_fine: fn(f64) -> bool, range: &str| {
        if is_fine(*number.get_ref()) {
            return Ok(*number.get_ref());
        }
        checker.refuse(&number.span(), format!("`{key}` is {}, it must be {range}", number.get_ref()))
    };
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, span: Range<usize>, value: SettingValue| {
        let Some(setting) = manifest.config.iter().find(|s| s.name == name) else {
            return checker.refuse(&span, format!("`{method}` has no setting `{name}`; remove it"));
        };
        let value = match setting.number(value) {
            Ok(value) => value,
            Err(what) => return checker.refuse(&span, format!("`{name}`: {what}")),
        };
        match settings.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => checker.refuse(&span, format!("`{name}` is set twice; name it once")),
        }
    };
    if let Some(rounds) = &training.rounds {
        set("rounds", rounds.span(), SettingValue::Number(checker.whole("rounds", rounds, 1..=100)? as f64))?;
    }
    if let Some(tolerance) = &training.tolerance {
        let value = number("tolerance", tolerance, |v| v > 0.0 && v < 1.0, "above 0 and below 1")?;
        set("tolerance", tolerance.span(), SettingValue::Number(value))?;
    }
    if let Some(ridge) = &training.ridge {
        let value = number("ridge", ridge, |v| (0.0..=1e6).contains(&v), "0 to 1000000")?;
        set("ridge", ridge.span(), SettingValue::Number(value))?;
    }
    for (name, value) in &training.settings {
        let said = match *value.get_ref() {
            toml::Value::Boolean(said) => SettingValue::Bool(said),
            toml::Value::Integer(said) => SettingValue::Number(said as f64),
            toml::Value::Float(said) => SettingValue::Number(said),
            _ => return checker.refuse(&value.span(), format!("`{name}` is a number, or true or false")),
        };
        set(name, value.span(), said)?;
    }
    // A scan predicts nothing that others could judge.
    let holdout = match manifest.features.kinds.contains(&FeatureKind::Genotypes) {
        true => number("holdout", &training.holdout, |v| v == 0.0, "0, because a scan holds nobody out")?,
        false => number("holdout", &training.holdout, |v| v > 0.0 && v <= 0.5, "above 0 and at most 0.5")?,
    };
    Ok(Training {
        method,
        settings,
        manifest,
        holdout,
        // Above the number of participants no round could succeed; a sum over one is that one's update.
        min_survivors: checker.whole("min_survivors", &training.min_survivors, 2..=participants)?,
        disclosure: disclosure::read(checker, file)?,
        least: disclosure::least(checker, training)?,
    })
}

/// The first method of the product that predicts such an outcome; where none does, what they predict.
fn default_method(
    checker: &Checker<'_>,
    file: &StudyFile,
    asked: OutcomeKind,
) -> Result<Manifest, StudyError> {
    let mut others = Vec::new();
    for [method, _] in programs::METHODS {
        let manifest = programs::manifest(method.name)
            .or_else(|error| checker.refuse(&file.task.span(), error.to_string()))?;
        match manifest.takes_outcome(asked, "the study's") {
            Ok(()) => return Ok(manifest),
            Err(what) => others.push(what),
        }
    }
    checker
        .refuse(&file.task.span(), format!("no method of the product predicts this: {}", others.join("; ")))
}

fn committee(checker: &Checker<'_>, file: &StudyFile) -> Result<StudyCommittee, StudyError> {
    let members = file.committee.members.get_ref();
    let colluders = match &file.committee.colluders {
        // Whether so many fit is for the derivation to say, which knows the sizes that work.
        Some(colluders) => checker.whole("colluders", colluders, 1..=usize::from(u8::MAX))?,
        None => 1,
    };
    let colluders = u8::try_from(colluders).unwrap_or(u8::MAX);
    let numbers = Committee::derive(members.len(), colluders)
        .or_else(|error| checker.refuse(&file.committee.members.span(), error.to_string()))?;
    if let Some(threshold) = &file.committee.threshold
        && *threshold.get_ref() != i64::from(numbers.threshold())
    {
        let message = format!(
            "`threshold` is {}, it must be {}, which follows from {} members and {colluders} that may collude: floor((members + colluders) / 2) + 1; leave the key out or write {}",
            threshold.get_ref(),
            numbers.threshold(),
            numbers.members(),
            numbers.threshold(),
        );
        return checker.refuse(&threshold.span(), message);
    }
    let members = members.iter().map(|name| checker.name(name)).collect::<Result<_, _>>()?;
    Ok(StudyCommittee { members, numbers })
}

fn appraisal(checker: &Checker<'_>, file: &StudyFile) -> Result<Appraisal, StudyError> {
    // What the machines of a study are.
    const SIMULATED: &str = "simulated";
    let mut believed = vec![Platform::SIMULATED];
    if let Some(platforms) = &file.appraisal.platforms {
        let named = platforms.get_ref();
        if let Some(other) = named.iter().find(|name| platform::by_name(name.get_ref()).is_none()) {
            let message = format!(
                "`{}` is no platform of this version: it has only {}",
                other.get_ref().escape_debug(),
                platform::known()
            );
            return checker.refuse(&other.span(), message);
        }
        believed = named.iter().filter_map(|name| platform::by_name(name.get_ref())).collect();
        believed.sort();
        believed.dedup();
        if !believed.contains(&Platform::SIMULATED) {
            let message = format!(
                "`platforms` lacks \"{SIMULATED}\", and this version has no other: no enclave of the study would be believed"
            );
            return checker.refuse(&platforms.span(), message);
        }
    }
    let hours = match &file.appraisal.max_age_hours {
        Some(hours) => checker.whole("max_age_hours", hours, 1..=8_760)? as u64,
        None => u64::from(DEFAULT_MAX_AGE_HOURS),
    };
    Ok(Appraisal { platforms: believed, max_age_seconds: hours * 3_600 })
}

/// Roles that must not meet in one hand (owner, trainer, runner, auditor, who opens sums) have names of their own. One
/// trainer may propose several models.
fn one_name_one_party(checker: &Checker<'_>, file: &StudyFile, outline: &Outline) -> Result<(), StudyError> {
    let mut named: Vec<(&str, &'static str, Range<usize>)> = Vec::new();
    named
        .extend(file.participant.iter().map(|p| (p.name.get_ref().as_str(), "a participant", p.name.span())));
    let models = std::iter::once(&file.model).chain(&file.other_model);
    named.extend(models.map(|model| (model.trainer.get_ref().as_str(), "a trainer", model.trainer.span())));
    let members = file.committee.members.get_ref();
    named.extend(members.iter().map(|name| (name.get_ref().as_str(), "a committee member", name.span())));
    let span_of = |name: &Option<Spanned<String>>| name.as_ref().map_or(0..0, Spanned::span);
    named.push((&outline.runner, "the runner", span_of(&file.parties.runner)));
    named.push((&outline.auditor, "the auditor", span_of(&file.parties.auditor)));
    let others = &file.parties.auditors;
    named.extend(others.iter().map(|name| (name.get_ref().as_str(), "an auditor", name.span())));
    named.push((&outline.end_user, "the end user", span_of(&file.end_user.name)));
    for (index, (name, role, span)) in named.iter().enumerate() {
        for (earlier, earlier_role, _) in named.iter().take(index) {
            if earlier == name && !(*role == "a trainer" && *earlier_role == "a trainer") {
                let message = if role == earlier_role {
                    format!("`{name}` is {role} twice; rename or remove one")
                } else {
                    format!("`{name}` is {earlier_role} and {role}; every party needs a name of its own")
                };
                return checker.refuse(span, message);
            }
        }
    }
    Ok(())
}
