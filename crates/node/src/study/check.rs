//! Every check that needs no data file.

use std::ops::Range;

use histone_access::duo::{self, DataUse, TermKind};
use histone_genome::table::{Features, MissingCells, MissingRules, Positive};
use toml::Spanned;

use super::error::{Place, StudyError};
use super::file::{FeaturesFile, ModelFile, ParticipantFile, SplitFile, StudyFile, TableFile, TrainingFile};
use super::money::BasisPoints;
use super::{Committee, Denied, MAX_COMMITTEE, MAX_PARTICIPANTS, Missing, Model, Split, Training};

/// A study without its data.
pub(super) struct Outline {
    pub name: String,
    pub title: String,
    pub positive: Positive,
    pub features: Features,
    pub ignore: Vec<String>,
    pub missing: Missing,
    pub rules: MissingRules,
    /// In the order of the file.
    pub participants: Vec<ParticipantOutline>,
    pub model: Model,
    pub other_models: Vec<Model>,
    pub training: Training,
    pub committee: Committee,
    pub end_user: String,
    pub count: Option<usize>,
    pub runner: String,
    pub auditor: String,
}

pub(super) struct ParticipantOutline {
    pub consent: Vec<DataUse>,
    pub allow: Vec<DataUse>,
    pub deny: Vec<Denied>,
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

    fn name(&self, name: &Spanned<String>) -> Result<String, StudyError> {
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

    fn code(
        &self,
        text: &Spanned<String>,
        parse: fn(&str) -> Result<DataUse, String>,
    ) -> Result<DataUse, StudyError> {
        parse(text.get_ref()).or_else(|message| self.refuse(&text.span(), message))
    }

    fn whole(
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
    if file.task.get_ref() != "binary" {
        return checker.refuse(&file.task.span(), "the only task is \"binary\"");
    }
    let (positive, features, missing, rules) = table_rules(checker, &file.table)?;
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
    let training = training(checker, &file.training, file.participant.len())?;
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
        positive,
        features,
        ignore: file.table.ignore.iter().map(|name| name.get_ref().clone()).collect(),
        missing,
        rules,
        participants,
        model,
        other_models,
        training,
        committee,
        end_user: or_default(&file.end_user.name, "end-user")?,
        count,
        runner: or_default(&file.parties.runner, "cloud-runner")?,
        auditor: or_default(&file.parties.auditor, "independent-auditor")?,
    };
    one_name_one_party(checker, file, &outline)?;
    Ok(outline)
}

fn table_rules(
    checker: &Checker<'_>,
    table: &TableFile,
) -> Result<(Positive, Features, Missing, MissingRules), StudyError> {
    let positive = match &table.positive {
        Some(rule) => rule.get_ref().parse().or_else(|error: histone_genome::table::TableError| {
            checker.refuse(&rule.span(), error.to_string())
        })?,
        None => Positive::default(),
    };
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
    Ok((positive, features, missing, rules))
}

fn participants(checker: &Checker<'_>, file: &StudyFile) -> Result<Vec<ParticipantOutline>, StudyError> {
    let count = file.participant.len();
    if !(2..=MAX_PARTICIPANTS).contains(&count) {
        let message = format!(
            "the study has {count} participants; write 2 to {MAX_PARTICIPANTS} [[participant]] sections"
        );
        return checker.refuse(&file.name.span(), message);
    }
    file.participant
        .iter()
        .map(|participant| {
            checker.name(&participant.name)?;
            if !duo::is_country(participant.country.get_ref()) {
                let message = format!(
                    "`{}` is not a country; use two capital letters of ISO 3166-1, such as DE",
                    participant.country.get_ref().escape_debug()
                );
                return checker.refuse(&participant.country.span(), message);
            }
            Ok(ParticipantOutline {
                consent: consent(checker, participant)?,
                allow: participant
                    .allow
                    .iter()
                    .map(|text| checker.code(text, duo::parse_purpose))
                    .collect::<Result<_, _>>()?,
                deny: participant
                    .deny
                    .iter()
                    .map(|text| {
                        if text.get_ref().starts_with("DUO:") {
                            return checker.code(text, duo::parse_purpose).map(Denied::Purpose);
                        }
                        checker.name(text).map(Denied::Requester)
                    })
                    .collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

fn consent(checker: &Checker<'_>, participant: &ParticipantFile) -> Result<Vec<DataUse>, StudyError> {
    let mut consent: Vec<DataUse> = Vec::new();
    for text in participant.consent.get_ref() {
        let data_use = checker.code(text, duo::parse_consent)?;
        if consent.iter().any(|earlier| earlier.term == data_use.term) {
            return checker
                .refuse(&text.span(), format!("`{}` is listed twice; remove one", data_use.term.id));
        }
        consent.push(data_use);
    }
    let permissions = consent.iter().filter(|data_use| data_use.term.kind == TermKind::Permission).count();
    if permissions != 1 {
        let message =
            format!("a consent needs exactly one permission, such as DUO:0000006; this has {permissions}");
        return checker.refuse(&participant.consent.span(), message);
    }
    // The permission first, so that readers need not search for it.
    consent.sort_by_key(|data_use| data_use.term.kind != TermKind::Permission);
    Ok(consent)
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

fn training(
    checker: &Checker<'_>,
    training: &TrainingFile,
    participants: usize,
) -> Result<Training, StudyError> {
    // A NaN is in no range, so the comparisons refuse it.
    let number = |key: &str, number: &Spanned<f64>, is_fine: fn(f64) -> bool, range: &str| {
        if is_fine(*number.get_ref()) {
            return Ok(*number.get_ref());
        }
        checker.refuse(&number.span(), format!("`{key}` is {}, it must be {range}", number.get_ref()))
    };
    let rounds = checker.whole("rounds", &training.rounds, 1..=100)?;
    Ok(Training {
        rounds: u32::try_from(rounds).unwrap_or(100),
        tolerance: number("tolerance", &training.tolerance, |v| v > 0.0 && v < 1.0, "above 0 and below 1")?,
        ridge: number("ridge", &training.ridge, |v| (0.0..=1e6).contains(&v), "0 to 1000000")?,
        holdout: number("holdout", &training.holdout, |v| v > 0.0 && v <= 0.5, "above 0 and at most 0.5")?,
        // Above the number of participants no round could succeed; a sum over one is that one's update.
        min_survivors: checker.whole("min_survivors", &training.min_survivors, 2..=participants)?,
    })
}

fn committee(checker: &Checker<'_>, file: &StudyFile) -> Result<Committee, StudyError> {
    let members = file.committee.members.get_ref();
    if !(2..=MAX_COMMITTEE).contains(&members.len()) {
        let message =
            format!("the committee has {} members, it must have 2 to {MAX_COMMITTEE}", members.len());
        return checker.refuse(&file.committee.members.span(), message);
    }
    Ok(Committee {
        members: members.iter().map(|name| checker.name(name)).collect::<Result<_, _>>()?,
        // Two disjoint halves could open two different sums of one round, and their difference is one hospital.
        threshold: checker.whole(
            "threshold",
            &file.committee.threshold,
            members.len() / 2 + 1..=members.len(),
        )?,
    })
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
