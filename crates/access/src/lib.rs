//! May this data be used for this? Decides, records why, and yields a [`Permit`].
//!
//! 1. The owner's node gathers the facts ([`DecisionFacts`]): the consent policy, the white paper, what the ledger and
//!    its own data say.
//! 2. [`decide`] applies the rules ([`RULES`]) to the facts: a pure function, so a stranger with the recorded facts
//!    gets the same verdict and the same reasons.
//! 3. Only a verdict of permit makes a [`Permit`], and only with a [`Permit`] does the node release a key.
//!
//! Deliberately absent: any way to make a [`Permit`] without a decision, and any override. `Review` is not a permit:
//! a person checks, changes the policy (what an account meets, [`AllowedAccount`]) and the decision is made again. Also
//! absent: names. A requester gives itself its name and its model's; they are shown in reasons, and lists hold accounts.
//!
//! An entry of a list speaks about one thing and changes nothing else:
//!
//! | entry | speaks about | does not touch |
//! |---|---|---|
//! | allowed purpose | the permission, for this purpose and what is narrower | modifiers, denials |
//! | allowed account | the modifiers that it names, where they need a person | the permission, other modifiers, denials |
//! | denied purpose | the purpose, what is narrower, and what is broader and so includes it | |
//! | denied account | everything that it asks for | |
//! | `allow_public_exact` | sums that everybody sees exactly | everything else |
//! | allowed auditor | the sums that this account may open | everything else |
//! | `allow_one_enclave` | bringing the data to one enclave that has that of all owners | everything else |
//! | allowed closed method | a method that nobody can read, in such an enclave | everything else |

mod disclosure;
pub mod duo;

use duo::{DataUse, Takes, Term, TermKind};
use histone_protocol::consent::{AllowedAccount, ConsentPolicy, DecisionFacts, DecisionRecord, Verdict};
use histone_protocol::{Address, B256};

/// Version of the rules in [`decide`]; recorded with every decision.
pub const RULES: &str = "duo-matching/4";

/// The development of methods.
const METHODS: &str = "DUO:0000031";

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
    /// A list of the policy holds something unusable.
    #[error("the consent policy has an unusable list: {0}")]
    List(String),
    /// Two diseases in one request.
    #[error("the white paper asks for the disease {purpose} in its purpose and for {stated} beside it")]
    Diseases {
        /// After the code of the purpose.
        purpose: String,
        /// Stated beside it.
        stated: String,
    },
    /// No version may be answered.
    #[error("the consent policy allows 0 versions of the dataset; 1 is the least")]
    Versions,
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

/// Checks that a policy's terms are known, that it has exactly one permission, and that its lists can be understood.
pub fn check_policy(policy: &ConsentPolicy) -> Result<(), AccessError> {
    permission(policy)?;
    purposes(&policy.allow_purposes)?;
    purposes(&policy.deny_purposes)?;
    if policy.versions == 0 {
        return Err(AccessError::Versions);
    }
    for (i, auditor) in policy.allow_auditors.iter().enumerate() {
        if policy.allow_auditors.iter().take(i).any(|earlier| earlier == auditor) {
            return Err(AccessError::List(format!("the auditor {auditor} is allowed twice")));
        }
    }
    for (i, method) in policy.allow_closed.iter().enumerate() {
        if policy.allow_closed.iter().take(i).any(|earlier| earlier == method) {
            return Err(AccessError::List(format!("the closed method {method} is allowed twice")));
        }
    }
    let terms = terms(policy)?;
    for AllowedAccount { account, meets } in &policy.allow_accounts {
        let unusable = |text: String| Err(AccessError::List(text));
        if policy.allow_accounts.iter().filter(|a| a.account == *account).count() > 1 {
            return unusable(format!("the account {account} is allowed twice"));
        }
        for code in meets {
            let Some(stated) = terms.iter().find(|t| t.term.id == code) else {
                return unusable(format!(
                    "`{}` is no term of this policy, so that {account} need not meet it",
                    code.escape_debug()
                ));
            };
            if !needs_a_person(stated) {
                return unusable(format!(
                    "`{code}` ({}) is decided by rule, and nobody is exempt from it",
                    stated.term.label
                ));
            }
        }
    }
    Ok(())
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

/// Whether one use includes another, diseases apart; an investigation counts as the purpose that it serves.
fn includes(broad: &Term, narrow: &Term) -> bool {
    let of_disease = matches!((narrow.short, narrow.id), ("DS", _) | (_, "DUO:0000040"));
    let health = of_disease
        || matches!(
            (narrow.short, narrow.id),
            // Age, gender, biomedical, genetic and drug development research.
            ("HMB" | "CC", _)
                | (_, "DUO:0000034" | "DUO:0000035" | "DUO:0000037" | "DUO:0000038" | "DUO:0000039")
        );
    let ancestry = matches!((narrow.short, narrow.id), ("POA", _) | (_, "DUO:0000032" | "DUO:0000033"));
    match broad.short {
        "NRES" | "GRU" => true,
        "HMB" => health,
        "DS" => of_disease,
        "POA" => ancestry,
        _ => broad == narrow,
    }
}

/// Whether a permission covers a purpose, after the GA4GH consent matching: a permission covers itself and what is
/// narrower, a disease-specific one only its own disease.
fn covers(permission: &DataUse, purpose: &DataUse, disease: Option<&str>) -> bool {
    let same_disease = permission.term.short != "DS" || permission.value.as_deref() == disease;
    // Developing methods is covered by every permission; NMDS takes it away.
    (includes(permission.term, purpose.term) && same_disease) || purpose.term.id == METHODS
}

/// Whether an entry of a list names this purpose or one that includes it. Without a disease an entry means any.
fn names(entry: &DataUse, purpose: &DataUse, disease: Option<&str>) -> bool {
    includes(entry.term, purpose.term) && (entry.value.is_none() || entry.value.as_deref() == disease)
}

/// Whether a request is so broad that it would serve for the purpose of an entry, too.
fn serves_for(purpose: &DataUse, entry: &DataUse, disease: Option<&str>) -> bool {
    // A disease limits only a purpose that is specific to one.
    let of_disease = purpose.term.takes == Takes::Disease && disease.is_some() && entry.value.is_some();
    includes(purpose.term, entry.term) && (!of_disease || entry.value.as_deref() == disease)
}

fn purposes(list: &[String]) -> Result<Vec<DataUse>, AccessError> {
    list.iter().map(|text| duo::parse_purpose(text).map_err(AccessError::List)).collect()
}

/// Whether a code is a modifier whose condition cannot be seen in the facts, so that a person must check it.
pub fn needs_a_person(modifier: &DataUse) -> bool {
    modifier.term.kind == TermKind::Modifier
        && !matches!(modifier.term.short, "NPU" | "NCU" | "NPUNCU" | "GS" | "NPOA" | "NMDS")
}

/// Applies the rules to the facts.
///
/// Denied is what the owner's lists deny, data that is withdrawn or does not match, enclaves that the owner's node does not
/// believe, a purpose that the permission does
/// not cover (unless the owner's list allows it), and what a modifier excludes: commercial use, other countries, ancestry
/// research, development of methods. General research includes the last two. Denied, too, are sums that everybody sees
/// exactly and auditors, each unless the policy allows it by name, and auditors that have an interest in the model.
/// Modifiers whose condition cannot be seen in
/// the facts lead to review, each unless the owner's list says that this account meets it. Otherwise the use is permitted.
pub fn decide(facts: &DecisionFacts) -> Result<DecisionRecord, AccessError> {
    let (policy, paper) = (&facts.policy, &facts.paper);
    check_policy(policy)?;
    let permission = permission(policy)?;
    let purpose = duo::parse_purpose(&paper.purpose).map_err(AccessError::Purpose)?;
    let disease = match (&purpose.value, &paper.disease) {
        (Some(purpose), Some(stated)) if purpose != stated => {
            return Err(AccessError::Diseases { purpose: purpose.clone(), stated: stated.clone() });
        }
        (Some(disease), _) | (None, Some(disease)) => Some(disease.as_str()),
        (None, None) => None,
    };
    let requester = || format!("{} (calls itself `{}`)", paper.trainer, paper.trainer_name.escape_debug());

    let mut denials = Vec::new();
    let mut reviews = Vec::new();
    let mut grounds = Vec::new();
    if policy.deny_accounts.contains(&paper.trainer) {
        denials.push(format!("the owner's list denies the account {}", requester()));
    }
    for entry in purposes(&policy.deny_purposes)? {
        if names(&entry, &purpose, disease) || serves_for(&purpose, &entry, disease) {
            denials.push(format!("the owner's list denies the purpose {entry} ({})", entry.term.label));
        }
    }
    if !facts.dataset_in_force {
        denials.push("the dataset is not registered or was withdrawn".to_string());
    }
    if !facts.enclaves_acceptable {
        denials.push("the white paper believes enclaves that the owner's node does not".to_string());
    }
    if !facts.data_matches {
        denials.push("the dataset lacks a feature, the label or enough rows".to_string());
    }
    disclosure::judge(facts, &mut denials, &mut grounds);
    let covered = covers(&permission, &purpose, disease);
    let allowed = purposes(&policy.allow_purposes)?.into_iter().find(|entry| names(entry, &purpose, disease));
    match allowed {
        Some(entry) if !covered => {
            grounds.push(format!("the owner's list allows the purpose {entry} ({})", entry.term.label));
        }
        _ => {
            let verb = if covered { "covers" } else { "does not cover" };
            let list = if covered { &mut grounds } else { &mut denials };
            list.push(format!(
                "{permission} ({}) {verb} the purpose {purpose} ({})",
                permission.term.label, purpose.term.label
            ));
        }
    }
    let meets = |modifier: &DataUse| {
        let entry = policy.allow_accounts.iter().find(|entry| entry.account == paper.trainer);
        entry.is_some_and(|entry| entry.meets.iter().any(|code| code == modifier.term.id))
    };
    let general = purpose.term.short == "GRU";
    let ancestry = general || ["DUO:0000011", "DUO:0000032", "DUO:0000033"].contains(&purpose.term.id);
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
                list.push(line(&format!("the model is run in {}", paper.country.escape_debug())));
            }
            "NPOA" if ancestry => denials.push(line("the purpose is or includes ancestry research")),
            "NPOA" => grounds.push(line("the purpose is another one")),
            "NMDS" if general || purpose.term.id == METHODS => {
                denials.push(line("the purpose is or includes the development of methods"));
            }
            "NMDS" => grounds.push(line("the purpose is another one")),
            _ if meets(&stated) => {
                grounds.push(line(&format!("the owner's list says that {} meets it", requester())));
            }
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
    use histone_protocol::consent::{AppraisalTerms, Split, WhitePaper};
    use histone_protocol::evidence::Platform;
    use histone_protocol::record::LedgerId;

    use super::*;

    pub(crate) const TRAINER: Address = Address::repeat_byte(2);

    pub(crate) fn facts(terms: &[&str]) -> DecisionFacts {
        DecisionFacts {
            policy: ConsentPolicy {
                ledger: LedgerId::default(),
                owner: Address::repeat_byte(1),
                country: "DE".into(),
                terms: terms.iter().map(|t| t.to_string()).collect(),
                allow_purposes: vec![],
                deny_purposes: vec![],
                allow_accounts: vec![],
                deny_accounts: vec![],
                versions: 1,
                allow_public_exact: true,
                allow_auditors: vec![],
                allow_one_enclave: false,
                allow_closed: vec![],
            },
            paper: WhitePaper {
                ledger: LedgerId::default(),
                name: "model".into(),
                predicts: "something".into(),
                trainer: TRAINER,
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
                appraisal: AppraisalTerms {
                    platforms: vec![Platform::SIMULATED],
                    max_age_seconds: 3_600,
                    simulated_vendors: vec![],
                },
                disclosure: histone_protocol::disclosure::Disclosure::public_exact(),
                plan: B256::repeat_byte(5),
            },
            model_id: 1,
            dataset: B256::repeat_byte(4),
            data_matches: true,
            dataset_in_force: true,
            enclaves_acceptable: true,
            auditors_independent: true,
            time: 0,
        }
    }

    fn allow(account: Address, meets: &[&str]) -> AllowedAccount {
        AllowedAccount { account, meets: meets.iter().map(|m| m.to_string()).collect() }
    }

    pub(crate) fn check(terms: &[&str], change: impl Fn(&mut DecisionFacts), verdict: Verdict, reason: &str) {
        let mut facts = facts(terms);
        change(&mut facts);
        let (permit, record) = permit(&facts).unwrap();
        assert_eq!(record.verdict, verdict, "{terms:?} {:?}", record.reasons);
        assert_eq!(permit.is_some(), verdict == Verdict::Permit);
        assert!(record.reasons.iter().any(|r| r.contains(reason)), "{:?}", record.reasons);
    }

    #[test]
    fn disease_may_be_stated_beside_the_purpose() {
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
    fn modifiers() {
        let commercial = |f: &mut DecisionFacts| f.paper.commercial = true;
        for modifier in ["DUO:0000018", "DUO:0000045", "DUO:0000046"] {
            check(&["DUO:0000042", modifier], commercial, Verdict::Deny, "the use is commercial");
            check(&["DUO:0000042", modifier], |_| {}, Verdict::Permit, "not commercial");
        }
        check(&["DUO:0000042"], commercial, Verdict::Permit, "covers");
        let abroad = |f: &mut DecisionFacts| f.paper.country = "US".into();
        check(&["DUO:0000042", "DUO:0000022 FR,DE"], abroad, Verdict::Deny, "run in US");
        check(&["DUO:0000042", "DUO:0000022 FR,DE"], |_| {}, Verdict::Permit, "run in DE");
        check(&["DUO:0000042"], |f| f.dataset_in_force = false, Verdict::Deny, "withdrawn");
        check(&["DUO:0000042"], |f| f.enclaves_acceptable = false, Verdict::Deny, "believes enclaves");
        check(&["DUO:0000042"], |f| f.data_matches = false, Verdict::Deny, "lacks a feature");
    }

    #[test]
    fn a_denied_trainer_takes_another_name() {
        for name in ["premium-insurance", "premium-insurance-2", "university-hospital"] {
            let denied = |f: &mut DecisionFacts| {
                f.policy.deny_accounts = vec![TRAINER];
                f.paper.trainer_name = name.into();
            };
            check(&["DUO:0000042"], denied, Verdict::Deny, "denies the account 0x0202");
        }
    }

    #[test]
    fn an_honest_trainer_has_the_name_of_a_denied_one() {
        // The list holds another account, whatever the names are.
        let other = |f: &mut DecisionFacts| f.policy.deny_accounts = vec![Address::repeat_byte(9)];
        check(&["DUO:0000042"], other, Verdict::Permit, "covers");
    }

    #[test]
    fn a_trainer_and_its_model_call_themselves_by_what_a_list_holds() {
        // Everything that a list can hold, as a name.
        let account = Address::repeat_byte(9);
        let terms = ["DUO:0000007 MONDO:0007254", "DUO:0000021"];
        for name in [account.to_string(), format!("{account:#x}"), "DUO:0000006".into(), "DUO:0000021".into()]
        {
            let named = |f: &mut DecisionFacts| {
                f.policy.allow_accounts = vec![allow(account, &["DUO:0000021"])];
                f.policy.allow_purposes = vec!["DUO:0000011".into()];
                (f.paper.name, f.paper.trainer_name) = (name.clone(), name.clone());
            };
            check(&terms, named, Verdict::Deny, "does not cover");
        }
    }

    #[test]
    fn an_allowed_trainer_uses_its_entry_for_more_than_it_says() {
        let terms = ["DUO:0000007 MONDO:0007254", "DUO:0000021", "DUO:0000046"];
        let all = [allow(TRAINER, &["DUO:0000021"])];
        let own = |f: &mut DecisionFacts| {
            f.policy.allow_accounts = all.to_vec();
            f.paper.purpose = "DUO:0000007 MONDO:0007254".into();
        };
        check(&terms, own, Verdict::Permit, "says that 0x0202");
        // Another purpose, commercial use, another condition.
        check(&terms, |f| f.policy.allow_accounts = all.to_vec(), Verdict::Deny, "does not cover");
        let commercial = |f: &mut DecisionFacts| {
            own(f);
            f.paper.commercial = true;
        };
        check(&terms, commercial, Verdict::Deny, "the use is commercial");
        let terms = [terms[0], terms[1], "DUO:0000020"];
        check(&terms, own, Verdict::Review, "DUO:0000020 (collaboration required)");
        let nothing = |f: &mut DecisionFacts| {
            own(f);
            f.policy.allow_accounts = vec![allow(TRAINER, &[])];
        };
        check(&terms, nothing, Verdict::Review, "DUO:0000021 (ethics approval required)");
        // And a denial is stronger than an entry.
        let both = |f: &mut DecisionFacts| {
            own(f);
            f.policy.deny_accounts = vec![TRAINER];
        };
        check(&terms, both, Verdict::Deny, "denies the account");
    }

    #[test]
    fn an_allowed_purpose_lifts_no_modifier() {
        let allowed = |f: &mut DecisionFacts| f.policy.allow_purposes = vec!["DUO:0000006".into()];
        check(&["DUO:0000011"], allowed, Verdict::Permit, "allows the purpose DUO:0000006");
        check(&["DUO:0000011", "DUO:0000021"], allowed, Verdict::Review, "a person must check");
        let commercial = |f: &mut DecisionFacts| {
            allowed(f);
            f.paper.commercial = true;
        };
        check(&["DUO:0000011", "DUO:0000046"], commercial, Verdict::Deny, "the use is commercial");
        // Methods are developed where the owner names them or general research.
        let methods = |f: &mut DecisionFacts| {
            f.policy.allow_purposes = vec!["DUO:0000031".into()];
            f.paper.purpose = "DUO:0000031".into();
        };
        check(&["DUO:0000011", "DUO:0000015"], methods, Verdict::Deny, "development of methods");
    }

    #[test]
    fn a_denied_purpose_is_asked_for_under_another_code() {
        let deny = |entry: &'static str, purpose: &'static str, disease: Option<&'static str>| {
            move |f: &mut DecisionFacts| {
                f.policy.deny_purposes = vec![entry.into()];
                f.paper.purpose = purpose.into();
                f.paper.disease = disease.map(String::from);
            }
        };
        let (ds, one, two) = ("DUO:0000007", "MONDO:0000001", "MONDO:0000002");
        let denied = |change, reason| check(&["DUO:0000042"], change, Verdict::Deny, reason);
        // The disease beside the purpose and not in it; another code for it; a broader request that includes it.
        denied(deny("DUO:0000007 MONDO:0000001", ds, Some(one)), "denies the purpose DUO:0000007");
        denied(deny("DUO:0000007 MONDO:0000001", "DUO:0000007 MONDO:0000001", None), "denies");
        denied(deny("DUO:0000007 MONDO:0000001", "DUO:0000040", Some(one)), "denies");
        denied(deny("DUO:0000007 MONDO:0000001", "DUO:0000006", None), "denies");
        denied(deny("DUO:0000007 MONDO:0000001", "DUO:0000006", Some(two)), "denies");
        denied(deny("DUO:0000040 MONDO:0000001", ds, Some(one)), "denies");
        denied(deny(ds, "DUO:0000040", None), "denies");
        denied(deny("DUO:0000011", "DUO:0000033", None), "denies");
        denied(deny("DUO:0000033", "DUO:0000011", None), "denies");
        denied(deny("DUO:0000033", "DUO:0000042", None), "denies");
        denied(deny("DUO:0000042", "DUO:0000031", None), "denies");
        let permitted = |change| check(&["DUO:0000042"], change, Verdict::Permit, "covers");
        permitted(deny("DUO:0000007 MONDO:0000001", ds, Some(two)));
        permitted(deny("DUO:0000011", "DUO:0000006", None));
        permitted(deny("DUO:0000006", "DUO:0000033", None));
    }

    #[test]
    fn general_research_hides_what_a_modifier_excludes() {
        let general = |f: &mut DecisionFacts| f.paper.purpose = "DUO:0000042".into();
        check(&["DUO:0000042", "DUO:0000044"], general, Verdict::Deny, "includes ancestry research");
        check(&["DUO:0000042", "DUO:0000015"], general, Verdict::Deny, "includes the development of methods");
    }

    #[test]
    fn names_in_reasons_are_one_harmless_text() {
        let forged = |f: &mut DecisionFacts| {
            f.policy.deny_accounts = vec![TRAINER];
            f.paper.trainer_name = "x`)\n\u{1b}[2Apermitted".into();
        };
        check(&["DUO:0000042"], forged, Verdict::Deny, "(calls itself `x`)\\n\\u{1b}[2Apermitted`)");
    }

    #[test]
    fn undecidable_requests_are_errors() {
        let refused = |change: fn(&mut DecisionFacts)| {
            let mut f = facts(&["DUO:0000042", "DUO:0000021", "DUO:0000046"]);
            change(&mut f);
            decide(&f).unwrap_err()
        };
        assert_eq!(decide(&facts(&["DUO:9"])).unwrap_err(), AccessError::Term("`DUO:9` is not a data use code; codes look like DUO:0000006 and docs/study-file.md lists them".into()));
        assert_eq!(decide(&facts(&["DUO:0000046"])).unwrap_err(), AccessError::Permissions(0));
        assert_eq!(decide(&facts(&["DUO:0000042", "DUO:0000004"])).unwrap_err(), AccessError::Permissions(2));
        assert!(matches!(refused(|f| f.paper.purpose = "DUO:0000046".into()), AccessError::Purpose(_)));
        assert!(matches!(refused(|f| f.policy.deny_purposes = vec!["insurer".into()]), AccessError::List(_)));
        assert!(matches!(refused(|f| f.policy.allow_purposes = vec!["x".into()]), AccessError::List(_)));
        assert_eq!(refused(|f| f.policy.versions = 0), AccessError::Versions);
        let two = refused(|f| {
            f.paper.purpose = "DUO:0000007 MONDO:0000001".into();
            f.paper.disease = Some("MONDO:0000002".into());
        });
        assert!(matches!(two, AccessError::Diseases { .. }));
        let list = |meets: &'static [&'static str]| {
            let mut f = facts(&["DUO:0000042", "DUO:0000021", "DUO:0000046"]);
            f.policy.allow_accounts = vec![allow(TRAINER, meets)];
            decide(&f).map(|r| r.verdict).map_err(|e| e.to_string())
        };
        assert_eq!(list(&["DUO:0000021"]), Ok(Verdict::Permit));
        assert!(list(&["DUO:0000020"]).unwrap_err().contains("is no term of this policy"));
        assert!(list(&["DUO:0000046"]).unwrap_err().contains("nobody is exempt"));
        assert!(list(&["DUO:0000042"]).unwrap_err().contains("nobody is exempt"));
        let twice = refused(|f| f.policy.allow_accounts = vec![allow(TRAINER, &[]), allow(TRAINER, &[])]);
        assert!(twice.to_string().contains("allowed twice"));
        let twice = refused(|f| f.policy.allow_auditors = vec![TRAINER, TRAINER]);
        assert!(twice.to_string().contains("allowed twice"));
    }
}
