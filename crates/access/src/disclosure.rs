//! Where a training meets the data and who sees its sums, and whether the policy allows it.

use histone_protocol::consent::DecisionFacts;
use histone_protocol::disclosure::Sums;

/// Adds what the policy says of whom the paper shows sums.
pub(crate) fn judge(facts: &DecisionFacts, denials: &mut Vec<String>, grounds: &mut Vec<String>) {
    let (policy, paper) = (&facts.policy, &facts.paper);
    let asked = &paper.disclosure;
    if let Err(impossible) = asked.check() {
        denials.push(impossible.to_string());
    }
    match asked.sums {
        Sums::PublicExact if policy.allow_public_exact => {
            grounds.push("the policy allows exact sums that everybody sees (`public-exact`)".into());
        }
        Sums::PublicExact => denials.push(
            "everybody would see exact sums (`public-exact`), which can be steered until they show single rows, and the policy does not allow it"
                .into(),
        ),
        Sums::Sealed => grounds.push("sums are sealed to enclaves".into()),
        // `check` has refused it.
        Sums::Noised => {}
    }
    if asked.in_one_enclave() {
        match policy.allow_one_enclave {
            true => grounds.push("the policy allows bringing the data to one enclave".into()),
            false => denials.push(
                "the data would be brought to one enclave that has the data of all owners (`one-enclave`), and the policy does not allow it"
                    .into(),
            ),
        }
    }
    if asked.is_closed() {
        // Its measurement stands among the paper's programs: validation, training, query.
        match paper.programs.get(1) {
            Some(method) if policy.allow_closed.contains(method) => {
                grounds.push(format!("the policy allows the method of closed source {method}"));
            }
            Some(method) => denials.push(format!(
                "nobody can read the method {method} (`closed`), whose model can carry rows, and the policy does not allow it"
            )),
            None => denials.push("the white paper does not name the method that nobody can read (`closed`)".into()),
        }
    }
    for auditor in &asked.auditors {
        if *auditor == paper.trainer {
            denials.push(format!("the auditor {auditor} is the trainer, who has an interest in the model"));
        } else if *auditor == policy.owner {
            denials.push(format!("the auditor {auditor} is the owner, who would open sums of other owners"));
        } else if policy.allow_auditors.contains(auditor) {
            grounds.push(format!("the policy allows the auditor {auditor} to open every sum"));
        } else {
            denials
                .push(format!("the auditor {auditor} may open every sum, and the policy does not allow it"));
        }
    }
    if !facts.auditors_independent {
        denials.push(
            "an account that may audit is an owner, a trainer or a runner on the ledger, or no auditor there"
                .into(),
        );
    }
}

#[cfg(test)]
mod tests {
    use histone_protocol::consent::Verdict;
    use histone_protocol::disclosure::{Disclosure, Place, Release, Source};
    use histone_protocol::{Address, B256};

    use super::*;
    use crate::tests::{TRAINER, check, facts};

    const AUDITOR: Address = Address::repeat_byte(7);
    const GENERAL: &[&str] = &["DUO:0000042"];

    /// Sealed sums, and these auditors.
    fn audited(auditors: &[Address]) -> Disclosure {
        Disclosure { auditors: auditors.to_vec(), ..Disclosure::sealed(Release::Sealed) }
    }

    #[test]
    fn exact_sums_for_everybody_need_a_policy_that_says_so() {
        let allow = |allowed: bool| move |f: &mut DecisionFacts| f.policy.allow_public_exact = allowed;
        check(GENERAL, allow(true), Verdict::Permit, "everybody sees");
        check(GENERAL, allow(false), Verdict::Deny, "steered until they show single rows");
        // Whatever else the policy allows.
        let all = |f: &mut DecisionFacts| {
            f.policy.allow_public_exact = false;
            f.policy.allow_purposes = vec!["DUO:0000006".into()];
            f.policy.allow_auditors = vec![AUDITOR];
        };
        check(&["DUO:0000004"], all, Verdict::Deny, "steered until they show single rows");
        let sealed = |f: &mut DecisionFacts| {
            f.policy.allow_public_exact = false;
            f.paper.disclosure = audited(&[]);
        };
        check(GENERAL, sealed, Verdict::Permit, "sums are sealed to enclaves");
    }

    #[test]
    fn what_cannot_be_is_denied() {
        let noised = |f: &mut DecisionFacts| f.paper.disclosure.sums = Sums::Noised;
        check(GENERAL, noised, Verdict::Deny, "noised sums are not built yet");
        let contradicting = |f: &mut DecisionFacts| f.paper.disclosure.model = Release::Sealed;
        check(GENERAL, contradicting, Verdict::Deny, "public sums give the model to everybody");
        let twice = |f: &mut DecisionFacts| {
            f.policy.allow_auditors = vec![AUDITOR];
            f.paper.disclosure = audited(&[AUDITOR, AUDITOR]);
        };
        check(GENERAL, twice, Verdict::Deny, "named twice");
    }

    #[test]
    fn each_auditor_is_allowed_by_its_account() {
        let (one, two) = (AUDITOR, Address::repeat_byte(8));
        let asked = |allowed: &[Address]| {
            let allowed = allowed.to_vec();
            move |f: &mut DecisionFacts| {
                f.policy.allow_auditors = allowed.clone();
                f.paper.disclosure = audited(&[one, two]);
            }
        };
        check(GENERAL, asked(&[two, one]), Verdict::Permit, "allows the auditor 0x0707");
        check(GENERAL, asked(&[one]), Verdict::Deny, "the auditor 0x0808");
        check(GENERAL, asked(&[]), Verdict::Deny, "the auditor 0x0707");
        // An auditor is one of sums: being allowed as a trainer says nothing of it.
        let mut elsewhere = facts(GENERAL);
        asked(&[one])(&mut elsewhere);
        let entry = histone_protocol::consent::AllowedAccount { account: two, meets: vec![] };
        elsewhere.policy.allow_accounts = vec![entry];
        assert_eq!(crate::decide(&elsewhere).map(|r| r.verdict), Ok(Verdict::Deny));
    }

    #[test]
    fn bringing_data_to_one_enclave_needs_a_policy_that_says_so() {
        let asked = |allowed: bool| {
            move |f: &mut DecisionFacts| {
                f.policy.allow_one_enclave = allowed;
                f.paper.disclosure =
                    Disclosure { place: Place::OneEnclave, ..Disclosure::sealed(Release::Public) };
            }
        };
        check(GENERAL, asked(true), Verdict::Permit, "bringing the data to one enclave");
        check(GENERAL, asked(false), Verdict::Deny, "has the data of all owners");
    }

    #[test]
    fn each_closed_method_is_allowed_by_its_measurement() {
        let [own, other] = [B256::repeat_byte(5), B256::repeat_byte(6)];
        let asked = |allowed: &[B256]| {
            let allowed = allowed.to_vec();
            move |f: &mut DecisionFacts| {
                f.policy.allow_one_enclave = true;
                f.policy.allow_closed = allowed.clone();
                f.paper.programs = vec![B256::repeat_byte(4), own, B256::repeat_byte(7)];
                let sealed = Disclosure::sealed(Release::Sealed);
                let (place, source) = (Place::OneEnclave, Source::Closed);
                f.paper.disclosure = Disclosure { place, source, answers: 3, ..sealed };
            }
        };
        check(GENERAL, asked(&[other, own]), Verdict::Permit, "closed source 0x0505");
        check(GENERAL, asked(&[other]), Verdict::Deny, "nobody can read the method 0x0505");
        let one_enclave_only = |f: &mut DecisionFacts| {
            asked(&[own])(f);
            f.policy.allow_one_enclave = false;
        };
        check(GENERAL, one_enclave_only, Verdict::Deny, "has the data of all owners");
        let elsewhere = |f: &mut DecisionFacts| {
            asked(&[own])(f);
            f.paper.disclosure.place = Place::EachOwner;
        };
        check(GENERAL, elsewhere, Verdict::Deny, "runs in one enclave only");
        let public = |f: &mut DecisionFacts| {
            asked(&[own])(f);
            f.paper.disclosure.model = Release::Public;
        };
        check(GENERAL, public, Verdict::Deny, "is a sealed model");
    }

    #[test]
    fn an_auditor_has_no_interest_in_the_model() {
        for (who, why) in [(TRAINER, "is the trainer"), (facts(GENERAL).policy.owner, "is the owner")] {
            let asked = |f: &mut DecisionFacts| {
                f.policy.allow_auditors = vec![who];
                f.paper.disclosure = audited(&[who]);
            };
            check(GENERAL, asked, Verdict::Deny, why);
        }
        let member = |f: &mut DecisionFacts| {
            f.policy.allow_auditors = vec![AUDITOR];
            f.paper.disclosure = audited(&[AUDITOR]);
            f.auditors_independent = false;
        };
        check(GENERAL, member, Verdict::Deny, "no auditor there");
    }
}
