//! What a participant allows and refuses: codes, and trainers by account or by their name in this study.

use histone_access::duo::{self, DataUse, TermKind};
use histone_protocol::{Address, B256};
use toml::Spanned;

use super::check::Checker;
use super::disclosure;
use super::error::StudyError;
use super::file::{ParticipantFile, StudyFile};
use super::{AllowedTrainer, Denied, MAX_PARTICIPANTS, TrainerId};

/// More versions than this are no limit.
const MAX_VERSIONS: usize = 1_000;

pub(super) struct ParticipantOutline {
    pub consent: Vec<DataUse>,
    pub allow: Vec<DataUse>,
    pub allow_trainers: Vec<AllowedTrainer>,
    pub deny: Vec<Denied>,
    pub versions: u32,
    pub allow_public_exact: bool,
    pub allow_auditors: Vec<String>,
    pub allow_one_enclave: bool,
    pub allow_closed: Vec<B256>,
}

pub(super) fn participants(
    checker: &Checker<'_>,
    file: &StudyFile,
) -> Result<Vec<ParticipantOutline>, StudyError> {
    let count = file.participant.len();
    if !(2..=MAX_PARTICIPANTS).contains(&count) {
        let message = format!(
            "the study has {count} participants; write 2 to {MAX_PARTICIPANTS} [[participant]] sections"
        );
        return checker.refuse(&file.name.span(), message);
    }
    let models = std::iter::once(&file.model).chain(&file.other_model);
    let trainers: Vec<&str> = models.map(|model| model.trainer.get_ref().as_str()).collect();
    let auditors = disclosure::auditors(file);
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
                allow_trainers: allow_trainers(checker, participant, &trainers)?,
                deny: participant
                    .deny
                    .iter()
                    .map(|text| {
                        if text.get_ref().starts_with("DUO:") {
                            return checker.code(text, duo::parse_purpose).map(Denied::Purpose);
                        }
                        trainer(checker, text, &trainers).map(Denied::Trainer)
                    })
                    .collect::<Result<_, _>>()?,
                versions: match &participant.versions {
                    Some(versions) => checker.whole("versions", versions, 1..=MAX_VERSIONS)? as u32,
                    None => 1,
                },
                allow_public_exact: participant.allow_public_exact,
                allow_auditors: disclosure::named(checker, &participant.allow_auditors, &auditors)?,
                allow_one_enclave: participant.allow_one_enclave,
                allow_closed: disclosure::closed(checker, &participant.allow_closed)?,
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

/// A trainer of the study by name, or anybody by account. A name that no trainer of the study has would match nobody.
fn trainer(
    checker: &Checker<'_>,
    text: &Spanned<String>,
    trainers: &[&str],
) -> Result<TrainerId, StudyError> {
    // A name has at most 32 characters, an account 42.
    if text.get_ref().starts_with("0x") && text.get_ref().len() > 32 {
        return match Address::parse_checksummed(text.get_ref(), None) {
            Ok(account) => Ok(TrainerId::Account(account)),
            Err(_) => {
                let message = format!(
                    "`{}` is not an account; write 0x and 40 hexadecimal digits, with capital letters as the checksum demands",
                    text.get_ref().escape_debug()
                );
                checker.refuse(&text.span(), message)
            }
        };
    }
    let name = checker.name(text)?;
    if !trainers.contains(&name.as_str()) {
        let message = format!(
            "`{name}` is no trainer of this study; lists hold accounts, so write the account (0x...) of a trainer from outside"
        );
        return checker.refuse(&text.span(), message);
    }
    Ok(TrainerId::Named(name))
}

fn allow_trainers(
    checker: &Checker<'_>,
    participant: &ParticipantFile,
    trainers: &[&str],
) -> Result<Vec<AllowedTrainer>, StudyError> {
    let mut allowed: Vec<AllowedTrainer> = Vec::new();
    for entry in &participant.allow_trainers {
        let id = trainer(checker, &entry.trainer, trainers)?;
        if allowed.iter().any(|earlier| earlier.trainer == id) {
            let message = format!("`{}` is listed twice; remove one", entry.trainer.get_ref());
            return checker.refuse(&entry.trainer.span(), message);
        }
        let mut meets = Vec::new();
        for code in &entry.meets {
            let consent = participant.consent.get_ref();
            let stated = consent.iter().find_map(|text| {
                let stated = duo::parse_consent(text.get_ref()).ok()?;
                (stated.term.id == code.get_ref()).then_some(stated)
            });
            let Some(stated) = stated else {
                let message = format!(
                    "`{}` is no code of this participant's `consent`; write the code of one, without what follows it",
                    code.get_ref().escape_debug()
                );
                return checker.refuse(&code.span(), message);
            };
            if !histone_access::needs_a_person(&stated) {
                let message = format!(
                    "`{}` ({}) is decided by rule, and nobody is exempt from it",
                    stated.term.id, stated.term.label
                );
                return checker.refuse(&code.span(), message);
            }
            meets.push(stated.term);
        }
        allowed.push(AllowedTrainer { trainer: id, meets });
    }
    Ok(allowed)
}
