//! May this data be used for this? Decides, records why, and yields a [`Permit`].
//!
//! 1. The owner's node gathers the facts ([`DecisionFacts`]): the consent policy, the white paper, what the ledger and
//!    its own data say.
//! 2. [`decide`] applies the rules ([`RULES`]) to the facts: a pure function, so a stranger with the recorded facts
//!    gets the same verdict and the same reasons.
//! 3. Only a verdict of permit makes a [`Permit`], and only with a [`Permit`] does the node release a key.
//!
//! Deliberately absent: any way to make a [`Permit`] without a decision, and any override. `Review` is not a permit:
//! a person must change the policy (the owner's `allow` list) and the decision is made again.

pub mod duo;

use duo::{DataUse, TermKind};
use histone_protocol::consent::{ConsentPolicy, DecisionFacts, DecisionRecord, Verdict};
use histone_protocol::{Address, B256};

/// Version of the rules in [`decide`]; recorded with every decision.
pub const RULES: &str = "duo-matching/1";

/// Why a policy or a request cannot be decided on at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccessError {
    /// A code that is not a complete DUO permission or modifier.
    #[error("the consent policy has an unusable term: {0}")]
    Term(String),
    /// None or several permissions.
    #[error("a consent policy has exactly one DUO permission, this one has {0}")]
    Permissions(usize),
    /// The purpose of a request is not one.
    #[error("the white paper has an unusable purpose: {0}")]
    Purpose(String),
}

/// A use of data that was decided on and allowed. Made only by this crate; not `Clone`, so one decision serves one use.
#[derive(Debug)]
pub struct Permit {
    dataset: B256,
    usage: Usage,
    measurements: Vec<B256>,
}

/// What a permit or a payment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Validation that the owner orders for its own data.
    Validation {
        /// The owner.
        owner: Address,
    },
    /// Training of a model.
    Training {
        /// The ledger's number of the model.
        model_id: u64,
    },
}

impl Permit {
    /// The owner orders a validation of its own data by an enclave that runs one of `measurements`.
    pub fn own_validation(owner: Address, dataset: B256, measurements: Vec<B256>) -> Self {
        Self { dataset, usage: Usage::Validation { owner }, measurements }
    }

    /// Which dataset.
    pub fn dataset(&self) -> B256 {
        self.dataset
    }

    /// For what.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether the permit names this program.
    pub fn allows_program(&self, measurement: B256) -> bool {
        self.measurements.contains(&measurement)
    }
}

/// Checks that a policy's terms are known and that it has exactly one permission.
pub fn check_policy(policy: &ConsentPolicy) -> Result<(), AccessError> {
    permission(policy).map(|_| ())
}

fn terms(policy: &ConsentPolicy) -> Result<Vec<DataUse>, AccessError> {
    policy.terms.iter().map(|text| duo::parse_consent(text).map_err(AccessError::Term)).collect()
}

fn permission(policy: &ConsentPolicy) -> Result<DataUse, AccessError> {
    let mut found = terms(policy)?;
    found.retain(|t| t.term.kind == TermKind::Permission);
    match <[DataUse; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(found) => Err(AccessError::Permissions(found.len())),
    }
}

/// Whether a permission covers a purpose, after the GA4GH consent matching: a permission covers itself and what is
/// narrower, a disease-specific one only its own disease, and an investigation counts as the purpose that it serves.
fn covers(permission: &DataUse, purpose: &DataUse, disease: Option<&str>) -> bool {
    let same_disease = permission.value.is_some() && permission.value.as_deref() == disease;
    let health = matches!(
        (purpose.term.short, purpose.term.id),
        ("HMB" | "DS" | "CC", _)
            // Age, gender, biomedical, genetic, drug development and disease category research.
            | (_, "DUO:0000034" | "DUO:0000035" | "DUO:0000037" | "DUO:0000038" | "DUO:0000039" | "DUO:0000040")
    );
    let of_disease = matches!((purpose.term.short, purpose.term.id), ("DS", _) | (_, "DUO:0000040"));
    let ancestry =
        matches!((purpose.term.short, purpose.term.id), ("POA", _) | (_, "DUO:0000032" | "DUO:0000033"));
    // Developing methods is covered by every permission; NMDS takes it away.
    let methods = purpose.term.id == "DUO:0000031";
    match permission.term.short {
        "NRES" | "GRU" => true,
        "HMB" => health || methods,
        "DS" => (of_disease && same_disease) || methods,
        "POA" => ancestry || methods,
        _ => false,
    }
}

/// Applies the rules to the facts.
///
/// Denied, in this order of precedence, is what the owner's list denies, data that is withdrawn or does not match, a
/// purpose that the permission does not cover (unless the owner's list allows it), and commercial use under a
/// non-commercial or not-for-profit modifier. Modifiers whose condition cannot be seen in the facts lead to review,
/// unless the owner's list names the model or the trainer. Otherwise the use is permitted.
pub fn decide(facts: &DecisionFacts) -> Result<DecisionRecord, AccessError> {
    let (policy, paper) = (&facts.policy, &facts.paper);
    let permission = permission(policy)?;
    let purpose = duo::parse_purpose(&paper.purpose).map_err(AccessError::Purpose)?;
    let names = |list: &[String]| {
        list.iter()
            .find(|e| {
                [paper.purpose.as_str(), purpose.term.id, &paper.trainer_name, &paper.name]
                    .contains(&e.as_str())
            })
            .cloned()
    };

    let mut denials = Vec::new();
    let mut reviews = Vec::new();
    let mut grounds = Vec::new();
    if let Some(entry) = names(&policy.deny) {
        denials.push(format!("the owner's list denies `{entry}`"));
    }
    if !facts.dataset_in_force {
        denials.push("the dataset is not registered or was withdrawn".to_string());
    }
    if !facts.data_matches {
        denials.push("the dataset lacks a feature, the label or enough rows".to_string());
    }
    match names(&policy.allow) {
        Some(entry) => grounds.push(format!("the owner's list allows `{entry}`")),
        None => {
            let disease = purpose.value.as_deref().or(paper.disease.as_deref());
            let covered = covers(&permission, &purpose, disease);
            let sentence = |verb: &str| {
                format!(
                    "{permission} ({}) {verb} the purpose {purpose} ({})",
                    permission.term.label, purpose.term.label
                )
            };
            if covered {
                grounds.push(sentence("covers"));
            } else {
                denials.push(sentence("does not cover"));
            }
        }
    }
    let named = [&paper.trainer_name, &paper.name].iter().any(|n| policy.allow.contains(n));
    let ancestry = ["DUO:0000011", "DUO:0000032", "DUO:0000033"].contains(&purpose.term.id);
    for stated in terms(policy)? {
        let modifier = stated.term;
        let line = |what: &str| format!("{stated} ({}): {what}", modifier.label);
        match modifier.short {
            _ if modifier.kind == TermKind::Permission => {}
            "NPU" | "NCU" | "NPUNCU" if paper.commercial => denials.push(line("the use is commercial")),
            "NPU" | "NCU" | "NPUNCU" => grounds.push(line("the use is not commercial")),
            "GS" => {
                let allowed = stated.value.iter().flat_map(|v| v.split(',')).any(|c| c == paper.country);
                let list = if allowed { &mut grounds } else { &mut denials };
                list.push(line(&format!("the model is run in {}", paper.country)));
            }
            "NPOA" if ancestry => denials.push(line("the purpose is ancestry research")),
            "NPOA" => grounds.push(line("the purpose is another one")),
            "NMDS" if purpose.term.id == "DUO:0000031" => {
                denials.push(line("the purpose is the development of methods"));
            }
            "NMDS" => grounds.push(line("the purpose is another one")),
            _ if named => grounds.push(line("the owner's list names this model or trainer")),
            _ => reviews.push(line("a person must check this condition")),
        }
    }
    let (verdict, reasons) = if !denials.is_empty() {
        (Verdict::Deny, denials)
    } else if !reviews.is_empty() {
        (Verdict::Review, reviews)
    } else {
        (Verdict::Permit, grounds)
    };
    Ok(DecisionRecord { facts: facts.clone(), rules: RULES.to_string(), verdict, reasons })
}

/// Decides, and gives a [`Permit`] when the verdict allows it. The record is to be signed and kept either way.
pub fn permit(facts: &DecisionFacts) -> Result<(Option<Permit>, DecisionRecord), AccessError> {
    let record = decide(facts)?;
    let permit = (record.verdict == Verdict::Permit).then(|| Permit {
        dataset: facts.dataset,
        usage: Usage::Training { model_id: facts.model_id },
        measurements: facts.paper.programs.clone(),
    });
    Ok((permit, record))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use histone_protocol::consent::{Split, WhitePaper};
    use histone_protocol::record::LedgerId;

    use super::*;

    fn facts(terms: &[&str]) -> DecisionFacts {
        DecisionFacts {
            policy: ConsentPolicy {
                ledger: LedgerId::default(),
                owner: Address::repeat_byte(1),
                country: "DE".into(),
                terms: terms.iter().map(|t| t.to_string()).collect(),
                allow: vec![],
                deny: vec![],
            },
            paper: WhitePaper {
                ledger: LedgerId::default(),
                name: "model".into(),
                predicts: "something".into(),
                trainer: Address::repeat_byte(2),
                trainer_name: "trainer".into(),
                purpose: "DUO:0000006".into(),
                disease: None,
                commercial: false,
                country: "DE".into(),
                features: vec!["a".into()],
                label: "y".into(),
                min_rows: 1,
                instant_payment: 1,
                query_price: 1,
                split: Split { donors: 7_000, trainer: 2_000, runner: 1_000 },
                programs: vec![B256::repeat_byte(3)],
            },
            model_id: 1,
            dataset: B256::repeat_byte(4),
            data_matches: true,
            dataset_in_force: true,
            time: 0,
        }
    }

    fn check(terms: &[&str], change: impl Fn(&mut DecisionFacts), verdict: Verdict, reason: &str) {
        let mut facts = facts(terms);
        change(&mut facts);
        let (permit, record) = permit(&facts).unwrap();
        assert_eq!(record.verdict, verdict, "{terms:?} {:?}", record.reasons);
        assert_eq!(permit.is_some(), verdict == Verdict::Permit);
        assert!(record.reasons.iter().any(|r| r.contains(reason)), "{:?}", record.reasons);
    }

    #[test]
    fn permission_by_purpose() {
        // Rows: permission; columns: purpose GRU, HMB, DS, POA. Y permit, n deny.
        let table = [
            ("DUO:0000004", "YYYY"),
            ("DUO:0000042", "YYYY"),
            ("DUO:0000006", "nYYn"),
            ("DUO:0000007 MONDO:0007254", "nnYn"),
            ("DUO:0000011", "nnnY"),
        ];
        let purposes = ["DUO:0000042", "DUO:0000006", "DUO:0000007 MONDO:0007254", "DUO:0000011"];
        for (permission, row) in table {
            for (purpose, expected) in purposes.iter().zip(row.chars()) {
                let verdict = if expected == 'Y' { Verdict::Permit } else { Verdict::Deny };
                check(&[permission], |f| f.paper.purpose = purpose.to_string(), verdict, "the purpose");
            }
        }
        // The disease may be stated beside the purpose; another disease is not covered, an unstated one neither.
        let ds = |disease: Option<&str>| {
            let disease = disease.map(String::from);
            move |f: &mut DecisionFacts| {
                f.paper.purpose = "DUO:0000007".into();
                f.paper.disease = disease.clone();
            }
        };
        check(&["DUO:0000007 MONDO:0000001"], ds(Some("MONDO:0000001")), Verdict::Permit, "covers");
        check(&["DUO:0000007 MONDO:0000001"], ds(Some("MONDO:0000002")), Verdict::Deny, "does not cover");
        check(&["DUO:0000007 MONDO:0000001"], ds(None), Verdict::Deny, "does not cover");
    }

    #[test]
    fn modifiers_and_lists() {
        let commercial = |f: &mut DecisionFacts| f.paper.commercial = true;
        for modifier in ["DUO:0000018", "DUO:0000045", "DUO:0000046"] {
            check(&["DUO:0000042", modifier], commercial, Verdict::Deny, "the use is commercial");
            check(&["DUO:0000042", modifier], |_| {}, Verdict::Permit, "not commercial");
        }
        check(&["DUO:0000042"], commercial, Verdict::Permit, "covers");
        check(
            &["DUO:0000042", "DUO:0000022 FR,DE"],
            |f| f.paper.country = "US".into(),
            Verdict::Deny,
            "run in US",
        );
        check(&["DUO:0000042", "DUO:0000022 FR,DE"], |_| {}, Verdict::Permit, "run in DE");
        let ancestry = |f: &mut DecisionFacts| f.paper.purpose = "DUO:0000033".into();
        check(&["DUO:0000042", "DUO:0000044"], ancestry, Verdict::Deny, "ancestry research");
        let methods = |f: &mut DecisionFacts| f.paper.purpose = "DUO:0000031".into();
        check(&["DUO:0000006"], methods, Verdict::Permit, "covers");
        check(&["DUO:0000006", "DUO:0000015"], methods, Verdict::Deny, "development of methods");
        check(&["DUO:0000042", "DUO:0000021"], |_| {}, Verdict::Review, "a person must check");
        let named = |f: &mut DecisionFacts| f.policy.allow = vec!["trainer".into()];
        check(&["DUO:0000042", "DUO:0000021"], named, Verdict::Permit, "names this model or trainer");
        check(&["DUO:0000011"], |f| f.policy.allow = vec!["DUO:0000006".into()], Verdict::Permit, "allows");
        let both = |f: &mut DecisionFacts| {
            f.policy.allow = vec!["trainer".into()];
            f.policy.deny = vec!["model".into()];
        };
        check(&["DUO:0000042"], both, Verdict::Deny, "denies `model`");
        check(&["DUO:0000042"], |f| f.dataset_in_force = false, Verdict::Deny, "withdrawn");
        check(&["DUO:0000042"], |f| f.data_matches = false, Verdict::Deny, "lacks a feature");
    }

    #[test]
    fn undecidable_requests_are_errors() {
        assert_eq!(decide(&facts(&["DUO:9"])).unwrap_err(), AccessError::Term("`DUO:9` is not a data use code; codes look like DUO:0000006 and docs/study-file.md lists them".into()));
        assert_eq!(decide(&facts(&["DUO:0000046"])).unwrap_err(), AccessError::Permissions(0));
        assert_eq!(decide(&facts(&["DUO:0000042", "DUO:0000004"])).unwrap_err(), AccessError::Permissions(2));
        let mut f = facts(&["DUO:0000042"]);
        f.paper.purpose = "DUO:0000046".into();
        assert!(matches!(decide(&f).unwrap_err(), AccessError::Purpose(_)));
    }
}
