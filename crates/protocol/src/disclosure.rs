//! Who may see what of a training: stated in the white paper, bound by the plan, allowed by each owner's policy.
//!
//! | | opened to | recomputed by |
//! |---|---|---|
//! | sums `sealed` | the enclaves of the round's header, and auditors whom paper and policies name | those enclaves and auditors |
//! | sums `public-exact` | everybody: fit for public data and for teaching | everybody |
//! | model `sealed` | query enclaves | |
//! | model `participants` | the owners of the donors in the last sum, and the trainer | |
//! | model `public` | everybody | |
//!
//! And where the method runs: beside each owner's data, in an enclave of its own (`each-owner`), or on the data of all in one
//! enclave (`one-enclave`), where there are no sums that anybody else could open. There alone its source may be `closed`: nobody
//! else reads it, so that nothing of it comes out but a sealed model.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// Who sees the sums of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sums {
    /// The enclaves of each round's header, and the auditors.
    Sealed,
    /// Everybody, exactly.
    PublicExact,
    /// Everybody, with noise: not built yet, and refused.
    Noised,
}

/// Who gets the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// Query enclaves and nobody else.
    Sealed,
    /// The owners of the donors in the last sum, and the trainer.
    Participants,
    /// Everybody.
    Public,
}

impl Sums {
    /// A number for layouts of bytes.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What a number stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        [Sums::Sealed, Sums::PublicExact, Sums::Noised].into_iter().find(|s| s.code() == code)
    }
}

impl Release {
    /// A number for layouts of bytes.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What a number stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        [Release::Sealed, Release::Participants, Release::Public].into_iter().find(|r| r.code() == code)
    }
}

/// Where the method meets the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In an enclave of each owner; encrypted updates are summed.
    EachOwner,
    /// In one enclave, to which all owners bring their data.
    OneEnclave,
}

/// Who may read the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Everybody.
    Open,
    /// Its author and the one enclave that runs it.
    Closed,
}

/// Who may see what of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// Where the method meets the data.
    pub place: Place,
    /// Who may read the method.
    pub source: Source,
    /// Who sees the sums.
    pub sums: Sums,
    /// Who gets the model.
    pub model: Release,
    /// Accounts of auditors who may open every sum and recompute the training, ascending.
    pub auditors: Vec<Address>,
    /// Answers that one account may buy; 0 for as many as it likes.
    pub answers: u32,
}

/// Why a disclosure cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureError {
    /// There is no noise yet.
    #[error(
        "noised sums are not built yet; `sealed` is exact and shows the sums to nobody, `public-exact` to everybody"
    )]
    Noised,
    /// Whoever has the sums has the model.
    #[error("public sums give the model to everybody; its release must be `public`")]
    PublicAnyway,
    /// There is nothing that only they could see.
    #[error("public sums need no auditors: everybody recomputes them")]
    NeedlessAuditors,
    /// Nobody but the one enclave has a sum.
    #[error("in one enclave there are no sums that others see; they must be `sealed`")]
    OneEnclaveSums,
    /// There is nothing that they could open.
    #[error("in one enclave there are no sums that an auditor could open; name none")]
    NothingToAudit,
    /// Weights of a model can carry rows, and nobody can read what a closed method writes into them.
    #[error(
        "a method of closed source runs in one enclave only, where every owner allows it by its measurement"
    )]
    ClosedPlace,
    /// The same, for whoever gets the model or as many answers as they like.
    #[error(
        "what a method of closed source makes is a sealed model with a limit of answers, and nothing else"
    )]
    ClosedModel,
    /// The list of auditors is not ascending, or one is there twice.
    #[error("the auditors are not ascending, or one is named twice")]
    Order,
}

impl Disclosure {
    /// Everybody sees everything.
    pub const fn public_exact() -> Self {
        let (place, source) = (Place::EachOwner, Source::Open);
        Self {
            place,
            source,
            sums: Sums::PublicExact,
            model: Release::Public,
            auditors: Vec::new(),
            answers: 0,
        }
    }

    /// Nobody sees a sum, and the model goes to whom `model` says.
    pub const fn sealed(model: Release) -> Self {
        let (place, source) = (Place::EachOwner, Source::Open);
        Self { place, source, sums: Sums::Sealed, model, auditors: Vec::new(), answers: 0 }
    }

    /// Whether all data is brought to one enclave.
    pub fn in_one_enclave(&self) -> bool {
        self.place == Place::OneEnclave
    }

    /// Whether nobody but its author and the enclave reads the method.
    pub fn is_closed(&self) -> bool {
        self.source == Source::Closed
    }

    /// Whether sums are seen by enclaves and auditors only.
    pub fn is_sealed(&self) -> bool {
        self.sums == Sums::Sealed
    }

    /// Whether it can be.
    pub fn check(&self) -> Result<(), DisclosureError> {
        if self.in_one_enclave() {
            if self.sums != Sums::Sealed {
                return Err(DisclosureError::OneEnclaveSums);
            }
            if !self.auditors.is_empty() {
                return Err(DisclosureError::NothingToAudit);
            }
        }
        if self.is_closed() {
            if !self.in_one_enclave() {
                return Err(DisclosureError::ClosedPlace);
            }
            if self.model != Release::Sealed || self.answers == 0 {
                return Err(DisclosureError::ClosedModel);
            }
        }
        match self.sums {
            Sums::Noised => return Err(DisclosureError::Noised),
            Sums::PublicExact if self.model != Release::Public => return Err(DisclosureError::PublicAnyway),
            Sums::PublicExact if !self.auditors.is_empty() => return Err(DisclosureError::NeedlessAuditors),
            Sums::PublicExact | Sums::Sealed => {}
        }
        match self.auditors.is_sorted_by(|a, b| a < b) {
            true => Ok(()),
            false => Err(DisclosureError::Order),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let sealed = Disclosure::sealed(Release::Sealed);
        let with = |auditors: Vec<Address>| Disclosure { auditors, ..sealed.clone() };
        assert_eq!(Disclosure::public_exact().check(), Ok(()));
        assert_eq!(with(vec![one, two]).check(), Ok(()));
        let together = Disclosure { place: Place::OneEnclave, ..sealed.clone() };
        let closed = Disclosure { source: Source::Closed, answers: 1, ..together.clone() };
        assert_eq!(together.check(), Ok(()));
        assert_eq!(closed.check(), Ok(()));
        for (refused, why) in [
            (Disclosure { sums: Sums::Noised, ..sealed.clone() }, DisclosureError::Noised),
            (Disclosure { sums: Sums::PublicExact, ..sealed.clone() }, DisclosureError::PublicAnyway),
            (
                Disclosure { auditors: vec![one], ..Disclosure::public_exact() },
                DisclosureError::NeedlessAuditors,
            ),
            (
                Disclosure { place: Place::OneEnclave, ..Disclosure::public_exact() },
                DisclosureError::OneEnclaveSums,
            ),
            (Disclosure { auditors: vec![one], ..together.clone() }, DisclosureError::NothingToAudit),
            (
                Disclosure { source: Source::Closed, answers: 1, ..sealed.clone() },
                DisclosureError::ClosedPlace,
            ),
            (Disclosure { model: Release::Public, ..closed.clone() }, DisclosureError::ClosedModel),
            (Disclosure { answers: 0, ..closed.clone() }, DisclosureError::ClosedModel),
            (with(vec![two, one]), DisclosureError::Order),
            (with(vec![one, one]), DisclosureError::Order),
        ] {
            assert_eq!(refused.check(), Err(why));
        }
    }

    #[test]
    fn it_is_written_in_the_words_of_a_study_file() {
        let text = serde_json::to_string(&Disclosure::public_exact()).unwrap();
        assert_eq!(
            text,
            r#"{"place":"each-owner","source":"open","sums":"public-exact","model":"public","auditors":[],"answers":0}"#
        );
    }
}
