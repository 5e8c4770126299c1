//! Who may see what of the training, as a study says it: parties by their names, which a run replaces by accounts.

use std::ops::Range;

use histone_protocol::disclosure::{Disclosure, DisclosureError, Place, Release, Source, Sums};
use histone_protocol::plan::{LEAST, MOST_LEAST};
use histone_protocol::{Address, B256};
use toml::Spanned;

use super::check::{Checker, Outline};
use super::error::StudyError;
use super::file::{StudyFile, TrainingFile};
use super::{Participant, Study};

/// What everybody is told of exact sums that everybody sees.
pub const PUBLIC_EXACT: &str = "sums PUBLIC-EXACT: everybody sees each sum exactly, and whoever steers what is asked can read single rows out of \
     them; fit for public data and for teaching, and for nothing else";

/// Who may see what of the training.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StudyDisclosure {
    /// Where the method meets the data.
    pub place: Place,
    /// Who may read the method.
    pub source: Source,
    /// Who sees the sums.
    pub sums: Sums,
    /// Who gets the model.
    pub model: Release,
    /// Names of the auditors who may open every sum, in the order of the file.
    pub auditors: Vec<String>,
    /// Answers that one account may buy; 0 for as many as it likes.
    pub answers: u32,
}

impl StudyDisclosure {
    /// The same with the accounts of the auditors, as paper and plan have it.
    ///
    /// # Errors
    /// What `account` says of a name.
    pub fn with_accounts<E>(&self, account: impl Fn(&str) -> Result<Address, E>) -> Result<Disclosure, E> {
        let mut auditors = self.auditors.iter().map(|name| account(name)).collect::<Result<Vec<_>, E>>()?;
        auditors.sort();
        Ok(Disclosure {
            place: self.place,
            source: self.source,
            sums: self.sums,
            model: self.model,
            auditors,
            answers: self.answers,
        })
    }

    /// What a white paper says of it, with accounts for names.
    #[must_use]
    pub fn of(disclosure: &Disclosure) -> Self {
        Self {
            place: disclosure.place,
            source: disclosure.source,
            sums: disclosure.sums,
            model: disclosure.model,
            auditors: disclosure.auditors.iter().map(ToString::to_string).collect(),
            answers: disclosure.answers,
        }
    }

    /// Who sees what, a sentence each, for people.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut said = vec![match self.sums {
            Sums::Sealed if self.place == Place::OneEnclave => {
                "one enclave: all data is brought to it, encrypted, and destroyed when the model is made; one broken enclave sees all rows, \
                 and whoever has the vendor's key breaks SIMULATED ones"
                    .into()
            }
            Sums::Sealed => {
                "sums sealed: the attested enclaves of each round open them, and no party does; as many committee members as open a sum \
                 together, or one broken enclave, see all sums, and whoever has the vendor's key breaks SIMULATED ones"
                    .into()
            }
            Sums::PublicExact => PUBLIC_EXACT.into(),
            Sums::Noised => DisclosureError::Noised.to_string(),
        }];
        if self.source == Source::Closed {
            said.push(
                "method CLOSED: nobody but its author and the enclave can read it; what it writes into the weights of its model may be rows"
                    .into(),
            );
        }
        said.extend(self.auditors.iter().map(|name| {
            format!(
                "auditor `{name}` may open every sum; for it the training is public-exact, with what that tells of single rows"
            )
        }));
        said.push(match self.model {
            Release::Sealed => "model sealed: query enclaves have it, and nobody else".into(),
            Release::Participants => {
                "model for participants: the owners in the last sum and the trainer get it, and nobody else"
                    .into()
            }
            Release::Public => "model public: everybody gets it".into(),
        });
        said.push(match self.answers {
            0 => "answers: one account may buy as many as it likes".into(),
            most => format!("answers: one account may buy {most} at the most"),
        });
        said
    }

    /// What a reader is warned of: answers that give the model away to whoever buys them.
    #[must_use]
    pub fn warning(&self, features: usize) -> Option<String> {
        let given_away =
            self.model != Release::Public && (self.answers == 0 || self.answers as usize > features);
        given_away.then(|| {
            format!(
                "warning: {} exact answers give a linear model over {features} features away, and one account may buy them; set `answers` \
                 under [model] to {features} or fewer",
                features + 1
            )
        })
    }

    /// Why this participant's policy denies it, if it does.
    #[must_use]
    pub fn denied_by(&self, method: &str, participant: &Participant) -> Option<String> {
        let allowed = Allowed {
            public_exact: participant.allow_public_exact,
            auditors: &participant.allow_auditors,
            one_enclave: participant.allow_one_enclave,
            closed: &participant.allow_closed,
        };
        denied(self, method, allowed)
    }
}

/// What a participant's policy allows of it.
struct Allowed<'a> {
    public_exact: bool,
    auditors: &'a [String],
    one_enclave: bool,
    closed: &'a [B256],
}

fn denied(asked: &StudyDisclosure, method: &str, allowed: Allowed<'_>) -> Option<String> {
    if asked.place == Place::OneEnclave && !allowed.one_enclave {
        return Some(
            "its policy does not allow bringing its data to one enclave (`allow_one_enclave`)".into(),
        );
    }
    if asked.source == Source::Closed {
        // A study's method is one that can be read, or the study was refused before.
        let measurement = crate::programs::measurement(method).ok()?;
        if !allowed.closed.contains(&measurement) {
            return Some(format!(
                "its policy does not allow the closed method `{method}`, {measurement} (`allow_closed`)"
            ));
        }
    }
    if asked.sums == Sums::PublicExact && !allowed.public_exact {
        return Some(
            "its policy does not allow exact sums that everybody sees (`allow_public_exact`)".into(),
        );
    }
    let stranger = asked.auditors.iter().find(|name| !allowed.auditors.contains(name))?;
    Some(format!("its policy does not allow the auditor `{stranger}` (`allow_auditors`)"))
}

impl Study {
    /// Why the end user's questions cannot all be answered, if so: one account may buy too few answers.
    #[must_use]
    pub fn too_many_questions(&self) -> Option<String> {
        let (asked, most) = (self.end_user.queries.len() + 1, self.training.disclosure.answers);
        (most > 0 && asked > most as usize).then(|| {
            format!(
                "the end user of the study buys {asked} answers, the last of which is refunded, and one account may buy {most} of this model; {}",
                match most {
                    1 => "set `answers` under [model] to 2 or more".into(),
                    most => format!(
                        "set `count` under [end_user] to {} or fewer, or `answers` under [model] to {asked} or more",
                        most - 1
                    ),
                }
            )
        })
    }

    /// The same with sealed sums and a public model, whatever its file says.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        let disclosure = &mut self.training.disclosure;
        (disclosure.sums, disclosure.model) = (Sums::Sealed, Release::Public);
        self
    }

    /// The same in one enclave to which all data is brought, with a public model, whatever its file says.
    #[must_use]
    pub fn in_one_enclave(mut self) -> Self {
        let disclosure = &mut self.training.disclosure;
        (disclosure.place, disclosure.sums, disclosure.model) =
            (Place::OneEnclave, Sums::Sealed, Release::Public);
        self
    }

    /// Participants whose policies deny who sees the sums, each with the reason. Enough others are left to train.
    #[must_use]
    pub fn deniers(&self) -> Vec<(&Participant, String)> {
        let (asked, method) = (&self.training.disclosure, &self.training.method);
        self.participants.iter().filter_map(|p| Some((p, asked.denied_by(method, p)?))).collect()
    }
}

/// The auditors that a study has.
pub(super) fn auditors(file: &StudyFile) -> Vec<&str> {
    let named = file.parties.auditor.as_ref().map_or(super::DEFAULT_AUDITOR, |name| name.get_ref());
    let others = file.parties.auditors.iter().map(|name| name.get_ref().as_str());
    std::iter::once(named).chain(others).collect()
}

/// A list of auditors of the study.
pub(super) fn named(
    checker: &Checker<'_>,
    list: &[Spanned<String>],
    auditors: &[&str],
) -> Result<Vec<String>, StudyError> {
    let mut found: Vec<String> = Vec::new();
    for text in list {
        let name = checker.name(text)?;
        if !auditors.contains(&name.as_str()) {
            let message = format!(
                "`{name}` is no auditor of this study; name one of {}, or add it to `auditors` under [parties]",
                auditors.join(", ")
            );
            return checker.refuse(&text.span(), message);
        }
        if found.contains(&name) {
            return checker.refuse(&text.span(), format!("`{name}` is listed twice; remove one"));
        }
        found.push(name);
    }
    Ok(found)
}

/// Measurements of methods, each written as 0x and 64 hexadecimal digits.
pub(super) fn closed(checker: &Checker<'_>, list: &[Spanned<String>]) -> Result<Vec<B256>, StudyError> {
    let mut found = Vec::new();
    for text in list {
        let measurement = text.get_ref().strip_prefix("0x").and_then(|hex| hex.parse::<B256>().ok());
        let Some(measurement) = measurement else {
            let message = format!(
                "`{}` is no measurement of a method; write 0x and 64 hexadecimal digits, as `histone program check` prints them",
                text.get_ref().escape_debug()
            );
            return checker.refuse(&text.span(), message);
        };
        if found.contains(&measurement) {
            return checker.refuse(&text.span(), format!("`{measurement}` is listed twice; remove one"));
        }
        found.push(measurement);
    }
    Ok(found)
}

/// A key that is one of a few words.
fn word<T: Copy>(
    checker: &Checker<'_>,
    text: &Option<Spanned<String>>,
    (usual, words): (T, &[(&str, T)]),
    says: &str,
) -> Result<T, StudyError> {
    let Some(text) = text else { return Ok(usual) };
    match words.iter().find(|(word, _)| word == text.get_ref()) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let message = format!(
                "`{}` does not say {says}; write {}",
                text.get_ref().escape_debug(),
                words.join(" or ")
            );
            checker.refuse(&text.span(), message)
        }
    }
}

/// Reads who sees what. How many answers are sold where the study does not say depends on the tables ([`answers`]).
pub(super) fn read(checker: &Checker<'_>, file: &StudyFile) -> Result<StudyDisclosure, StudyError> {
    let training = &file.training;
    let places = [("each-owner", Place::EachOwner), ("one-enclave", Place::OneEnclave)];
    let place =
        word(checker, &training.place, (Place::EachOwner, &places), "where the method meets the data")?;
    let sources = [("open", Source::Open), ("closed", Source::Closed)];
    let source = word(checker, &training.source, (Source::Open, &sources), "who may read the method")?;
    let word =
        |text: &Option<Spanned<String>>| text.as_ref().map(|text| (text.get_ref().clone(), text.span()));
    let sums = match word(&training.sums) {
        None => Sums::Sealed,
        Some((word, span)) => match word.as_str() {
            "sealed" => Sums::Sealed,
            "public-exact" => Sums::PublicExact,
            "noised" => {
                let message = format!("{}; noise comes with a privacy budget", DisclosureError::Noised);
                return checker.refuse(&span, message);
            }
            other => {
                let message = format!(
                    "`{}` does not say who sees the sums; write \"sealed\" or \"public-exact\"",
                    other.escape_debug()
                );
                return checker.refuse(&span, message);
            }
        },
    };
    let model = match word(&training.model) {
        None if sums == Sums::PublicExact => Release::Public,
        None => Release::Sealed,
        Some((word, span)) => {
            let model = match word.as_str() {
                "sealed" => Release::Sealed,
                "participants" => Release::Participants,
                "public" => Release::Public,
                other => {
                    let message = format!(
                        "`{}` does not say who gets the model; write \"sealed\", \"participants\" or \"public\"",
                        other.escape_debug()
                    );
                    return checker.refuse(&span, message);
                }
            };
            if sums == Sums::PublicExact && model != Release::Public {
                return checker.refuse(&span, DisclosureError::PublicAnyway.to_string());
            }
            model
        }
    };
    if let (Place::OneEnclave, Sums::PublicExact, Some(text)) = (place, sums, &training.sums) {
        return checker.refuse(&text.span(), DisclosureError::OneEnclaveSums.to_string());
    }
    if let (Source::Closed, Place::EachOwner, Some(text)) = (source, place, &training.source) {
        let message = format!("{}; write `place = \"one-enclave\"`", DisclosureError::ClosedPlace);
        return checker.refuse(&text.span(), message);
    }
    if source == Source::Closed {
        let refuse = |span: &Range<usize>, what: &str| {
            checker.refuse(span, format!("{}; {what}", DisclosureError::ClosedModel))
        };
        if let (true, Some(text)) = (model != Release::Sealed, &training.model) {
            return refuse(&text.span(), "leave `model` out, or write \"sealed\"");
        }
        if let Some(answers) = file.model.answers.as_ref().filter(|answers| *answers.get_ref() == 0) {
            return refuse(&answers.span(), "0 is no limit: leave `answers` out, or write 1 or more");
        }
    }
    let auditors = named(checker, &training.auditors, &auditors(file))?;
    if let (Place::OneEnclave, Some(first)) = (place, training.auditors.first()) {
        return checker.refuse(&first.span(), DisclosureError::NothingToAudit.to_string());
    }
    if let (Sums::PublicExact, Some(first)) = (sums, training.auditors.first()) {
        return checker.refuse(&first.span(), DisclosureError::NeedlessAuditors.to_string());
    }
    if let Some(answers) = file.other_model.iter().find_map(|other| other.answers.as_ref()) {
        let message =
            "models that only recruit share the plan of [model], and its `answers`; remove this one";
        return checker.refuse(&answers.span(), message);
    }
    Ok(StudyDisclosure { place, source, sums, model, auditors, answers: 0 })
}

/// Fewest rows behind a number that is sent.
pub(super) fn least(checker: &Checker<'_>, training: &TrainingFile) -> Result<u32, StudyError> {
    match &training.least {
        Some(least) => Ok(checker.whole("least", least, 1..=MOST_LEAST as usize)? as u32),
        None => Ok(LEAST),
    }
}

/// Answers that one account may buy: as the study says, or, of a model that not everybody has, so few that they do not give a
/// linear one away, for which one more than it has features are enough.
pub(super) fn answers(
    checker: &Checker<'_>,
    file: &StudyFile,
    model: Release,
    features: usize,
) -> Result<u32, StudyError> {
    match &file.model.answers {
        Some(answers) => Ok(checker.whole("answers", answers, 0..=1_000_000)? as u32),
        None if model == Release::Public => Ok(0),
        // A method takes at most some thousands of features.
        None => Ok((features / 2).max(1) as u32),
    }
}

/// Refuses a study whose owners, by their own policies, do not leave enough of them to train.
pub(super) fn consented(
    checker: &Checker<'_>,
    file: &StudyFile,
    outline: &Outline,
) -> Result<(), StudyError> {
    let asked = &outline.training.disclosure;
    let denials = file.participant.iter().zip(&outline.participants).filter_map(|(participant, rules)| {
        let allowed = Allowed {
            public_exact: rules.allow_public_exact,
            auditors: &rules.allow_auditors,
            one_enclave: rules.allow_one_enclave,
            closed: &rules.allow_closed,
        };
        let why = denied(asked, &outline.training.method, allowed)?;
        Some(format!("`{}`: {why}", participant.name.get_ref()))
    });
    let denials: Vec<String> = denials.collect();
    let left = file.participant.len() - denials.len();
    if left >= outline.training.min_survivors {
        return Ok(());
    }
    let of_auditors = file.training.auditors.first().map(Spanned::span);
    let of_place = file.training.place.as_ref().map(Spanned::span);
    let of_sums = file.training.sums.as_ref().map(Spanned::span).or(of_place);
    let message = format!(
        "only {left} of {} participants allow this, and `min_survivors` is {}; {}",
        file.participant.len(),
        outline.training.min_survivors,
        denials.join("; ")
    );
    checker.refuse(&of_auditors.or(of_sums).unwrap_or(0..0), message)
}
