//! Who may see what of the training, as a study says it: parties by their names, which a run replaces by accounts.

use histone_protocol::Address;
use histone_protocol::disclosure::{Disclosure, DisclosureError, Release, Sums};
use histone_protocol::plan::{LEAST, MOST_LEAST};
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
        Ok(Disclosure { sums: self.sums, model: self.model, auditors, answers: self.answers })
    }

    /// Who sees what, a sentence each, for people.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut said = vec![match self.sums {
            Sums::Sealed => {
                "sums sealed: the attested enclaves of each round open them, and no party does; as many committee members as open a sum \
                 together, or one broken enclave, see all sums, and whoever has the vendor's key breaks SIMULATED ones"
                    .into()
            }
            Sums::PublicExact => PUBLIC_EXACT.into(),
            Sums::Noised => DisclosureError::Noised.to_string(),
        }];
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
    pub fn denied_by(&self, participant: &Participant) -> Option<String> {
        denied(self, participant.allow_public_exact, &participant.allow_auditors)
    }
}

fn denied(asked: &StudyDisclosure, allow_public_exact: bool, allow_auditors: &[String]) -> Option<String> {
    if asked.sums == Sums::PublicExact && !allow_public_exact {
        return Some(
            "its policy does not allow exact sums that everybody sees (`allow_public_exact`)".into(),
        );
    }
    let stranger = asked.auditors.iter().find(|name| !allow_auditors.contains(name))?;
    Some(format!("its policy does not allow the auditor `{stranger}` (`allow_auditors`)"))
}

impl Study {
    /// Why the end user's questions cannot all be answered, if so: one account may buy too few answers.
    #[must_use]
    pub fn too_many_questions(&self) -> Option<String> {
        let (asked, most) = (self.end_user.queries.len() + 1, self.training.disclosure.answers);
        (most > 0 && asked > most as usize).then(|| {
            format!(
                "the end user of the study buys {asked} answers, the last of which is refunded, and one account may buy {most} of this model; \
                 ask fewer questions with `count` under [end_user], or allow more with `answers` under [model]"
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

    /// Participants whose policies deny who sees the sums, each with the reason. Enough others are left to train.
    #[must_use]
    pub fn deniers(&self) -> Vec<(&Participant, String)> {
        let asked = &self.training.disclosure;
        self.participants.iter().filter_map(|p| Some((p, asked.denied_by(p)?))).collect()
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

/// Reads who sees what. How many answers are sold where the study does not say depends on the tables ([`answers`]).
pub(super) fn read(checker: &Checker<'_>, file: &StudyFile) -> Result<StudyDisclosure, StudyError> {
    let training = &file.training;
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
    let auditors = named(checker, &training.auditors, &auditors(file))?;
    if let (Sums::PublicExact, Some(first)) = (sums, training.auditors.first()) {
        return checker.refuse(&first.span(), DisclosureError::NeedlessAuditors.to_string());
    }
    if let Some(answers) = file.other_model.iter().find_map(|other| other.answers.as_ref()) {
        let message =
            "models that only recruit share the plan of [model], and its `answers`; remove this one";
        return checker.refuse(&answers.span(), message);
    }
    Ok(StudyDisclosure { sums, model, auditors, answers: 0 })
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
        let why = denied(asked, rules.allow_public_exact, &rules.allow_auditors)?;
        Some(format!("`{}`: {why}", participant.name.get_ref()))
    });
    let denials: Vec<String> = denials.collect();
    let left = file.participant.len() - denials.len();
    if left >= outline.training.min_survivors {
        return Ok(());
    }
    let of_auditors = file.training.auditors.first().map(Spanned::span);
    let of_sums = file.training.sums.as_ref().map(Spanned::span);
    let message = format!(
        "only {left} of {} participants allow this, and `min_survivors` is {}; {}",
        file.participant.len(),
        outline.training.min_survivors,
        denials.join("; ")
    );
    checker.refuse(&of_auditors.or(of_sums).unwrap_or(0..0), message)
}
