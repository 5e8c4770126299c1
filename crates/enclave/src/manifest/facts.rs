//! What may be said of a sealed training whose model is not for everybody.

use histone_program_sdk::method::Fact;
use serde::{Deserialize, Serialize};

use super::{FIELD_MOST, Field, MAX_FIELDS, ManifestError, wrong};

/// A fact of one number that may be said. Its words come from the manifest, so that a program chooses nothing but the number, within
/// its range and with its decimals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredFact {
    /// Its name, as the method gives it.
    pub fact: String,
    /// Decimals that leave, at most 9; of six digits in all.
    pub decimals: u32,
    /// Least value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// What it is, in a sentence.
    pub says: String,
}

impl DeclaredFact {
    fn field(&self) -> Field {
        Field {
            name: self.fact.clone(),
            decimals: self.decimals,
            min: self.min,
            max: self.max,
            optional: true,
            says: self.says.clone(),
        }
    }

    /// How much it tells, in bits, at the most.
    pub fn bits(&self) -> f64 {
        self.field().bits()
    }
}

pub(super) fn check(facts: &[DeclaredFact]) -> Result<(), ManifestError> {
    if facts.len() > MAX_FIELDS {
        return wrong("facts", format!("it declares {}; at most {MAX_FIELDS} are said", facts.len()));
    }
    let line = |t: &str| !t.trim().is_empty() && t.len() <= 1_000 && !t.chars().any(char::is_control);
    for (at, fact) in facts.iter().enumerate() {
        let place = format!("facts.{}", fact.fact);
        if !line(&fact.fact) || !line(&fact.says) || facts[..at].iter().any(|f| f.fact == fact.fact) {
            return wrong(place, "each fact has a name of its own and a sentence, of one line each");
        }
        // Written so that NaN is refused.
        if !(fact.min >= -FIELD_MOST && fact.max <= FIELD_MOST && fact.min <= fact.max) || fact.decimals > 9 {
            return wrong(
                place,
                format!(
                    "its range is within {FIELD_MOST:e}, the least first, and it has at most nine decimals"
                ),
            );
        }
    }
    Ok(())
}

/// The facts that a manifest declares, as they may be said. What a training does not have, or has beyond its range, is left out
/// and no error: an error would say something.
pub fn declared(declared: &[DeclaredFact], facts: &[Fact]) -> Vec<Fact> {
    let said = |d: &DeclaredFact| {
        let found = facts.iter().find(|fact| fact.name == d.fact)?;
        let value = d.field().admit(found.number()?).ok()??;
        Some(Fact::single(&d.fact, &d.says, value))
    };
    declared.iter().filter_map(said).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn auc() -> DeclaredFact {
        DeclaredFact { fact: "auc".into(), decimals: 4, min: 0.0, max: 1.0, says: "Area".into() }
    }

    #[test]
    fn a_program_chooses_the_number_and_nothing_else() {
        let mut text = Fact::single("auc", "row 7: 63 years, yes", 0.912_345_678);
        assert_eq!(declared(&[auc()], &[text.clone()]), [Fact::single("auc", "Area", 0.9123)]);
        text.name = "patient-7".into();
        assert_eq!(declared(&[auc()], &[text]), []);
        for beyond in [1.5, f64::NAN, f64::INFINITY] {
            assert_eq!(declared(&[auc()], &[Fact::single("auc", "", beyond)]), []);
        }
        assert_eq!(declared(&[auc()], &[Fact::single("auc", "", "63 years")]), []);
    }

    #[test]
    fn declarations_are_checked() {
        assert!(check(&[auc()]).is_ok());
        assert!(check(&[auc(), auc()]).is_err());
        assert!(check(&vec![auc(); MAX_FIELDS + 1]).is_err());
        assert!(check(&[DeclaredFact { min: f64::NAN, ..auc() }]).is_err());
        assert!(check(&[DeclaredFact { decimals: 10, ..auc() }]).is_err());
        assert!(check(&[DeclaredFact { says: "a\nb".into(), ..auc() }]).is_err());
    }
}
