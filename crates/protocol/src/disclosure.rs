//! Who may see what of a training: stated in the white paper, bound by the plan, allowed by each owner's policy.
//!
//! | | opened to | recomputed by |
//! |---|---|---|
//! | sums `sealed` | the enclaves of the round's header, and auditors whom paper and policies name | those enclaves and auditors |
//! | sums `public-exact` | everybody: fit for public data and for teaching | everybody |
//! | model `sealed` | query enclaves | |
//! | model `participants` | the owners of the donors in the last sum, and the trainer | |
//! | model `public` | everybody | |

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

/// Who may see what of a training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
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
    /// The list of auditors is not ascending, or one is there twice.
    #[error("the auditors are not ascending, or one is named twice")]
    Order,
}

impl Disclosure {
    /// Everybody sees everything.
    pub const fn public_exact() -> Self {
        Self { sums: Sums::PublicExact, model: Release::Public, auditors: Vec::new(), answers: 0 }
    }

    /// Nobody sees a sum, and the model goes to whom `model` says.
    pub const fn sealed(model: Release) -> Self {
        Self { sums: Sums::Sealed, model, auditors: Vec::new(), answers: 0 }
    }

    /// Whether sums are seen by enclaves and auditors only.
    pub fn is_sealed(&self) -> bool {
        self.sums == Sums::Sealed
    }

    /// Whether it can be.
    pub fn check(&self) -> Result<(), DisclosureError> {
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
        for (refused, why) in [
            (Disclosure { sums: Sums::Noised, ..sealed.clone() }, DisclosureError::Noised),
            (Disclosure { sums: Sums::PublicExact, ..sealed.clone() }, DisclosureError::PublicAnyway),
            (
                Disclosure { auditors: vec![one], ..Disclosure::public_exact() },
                DisclosureError::NeedlessAuditors,
            ),
            (with(vec![two, one]), DisclosureError::Order),
            (with(vec![one, one]), DisclosureError::Order),
        ] {
            assert_eq!(refused.check(), Err(why));
        }
    }

    #[test]
    fn it_is_written_in_the_words_of_a_study_file() {
        let text = serde_json::to_string(&Disclosure::public_exact()).unwrap();
        assert_eq!(text, r#"{"sums":"public-exact","model":"public","auditors":[],"answers":0}"#);
    }
}
