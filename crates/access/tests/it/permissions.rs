//! Every consent, asked for every purpose, by every kind of requester, and everything that can be shown to whom, as one table under review
//! (`permissions.txt`; `UPDATE_SNAPSHOTS=1` writes it).

use std::fmt::Write;
use std::fs;
use std::path::Path;

use histone_access::duo::{Takes, Term, TermKind, parse_consent, terms};
use histone_access::{decide, needs_a_person};
use histone_protocol::consent::{
    AllowedAccount, AppraisalTerms, ConsentPolicy, DecisionFacts, Split, Verdict, WhitePaper,
};
use histone_protocol::disclosure::{Disclosure, Release, Sums};
use histone_protocol::evidence::Platform;
use histone_protocol::record::LedgerId;
use histone_protocol::{Address, B256};

const DISEASE: &str = "MONDO:0007254";
const TRAINER: Address = Address::repeat_byte(2);
const AUDITOR: Address = Address::repeat_byte(7);

/// A code with something that fits after it.
fn complete(term: &Term) -> String {
    let value = match term.takes {
        Takes::Nothing => return term.id.into(),
        Takes::Disease => DISEASE,
        Takes::Countries => "DE,FR",
        Takes::Months => "24",
        Takes::Date => "2027-01-31",
        Takes::Names => "heart-institute",
    };
    format!("{} {value}", term.id)
}

fn policy(consent: &[String]) -> ConsentPolicy {
    ConsentPolicy {
        ledger: LedgerId::default(),
        owner: Address::repeat_byte(1),
        country: "DE".into(),
        terms: consent.to_vec(),
        allow_purposes: vec![],
        deny_purposes: vec![],
        allow_accounts: vec![],
        deny_accounts: vec![],
        versions: 1,
        allow_public_exact: true,
        allow_auditors: vec![],
        allow_one_enclave: false,
        allow_closed: vec![],
    }
}

/// The purposes, each as a column.
fn purposes() -> Vec<&'static Term> {
    terms().iter().filter(|t| t.kind != TermKind::Modifier && t.short != "NRES").collect()
}

/// Who asks.
/// How a policy is changed for a requester.
type Change = fn(&mut ConsentPolicy);

const REQUESTERS: [(&str, Change); 3] = [
    ("anybody", |_| {}),
    // Everything that an entry of the list can say for an account.
    ("allowed", |policy| {
        let terms = policy.terms.iter().map(|text| parse_consent(text).unwrap());
        let meets = terms.filter(needs_a_person).map(|stated| stated.term.id.to_string()).collect();
        policy.allow_accounts = vec![AllowedAccount { account: TRAINER, meets }];
    }),
    ("denied", |policy| policy.deny_accounts = vec![TRAINER]),
];

fn facts(policy: &ConsentPolicy, purpose: &Term, commercial: bool, country: &str) -> DecisionFacts {
    DecisionFacts {
        policy: policy.clone(),
        paper: WhitePaper {
            ledger: LedgerId::default(),
            name: "model".into(),
            predicts: "something".into(),
            trainer: TRAINER,
            trainer_name: "heart-institute".into(),
            purpose: complete(purpose),
            disease: None,
            commercial,
            country: country.into(),
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
            disclosure: Disclosure::public_exact(),
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

/// `Y` permitted, `?` left to a person, `n` denied.
fn verdict(facts: &DecisionFacts) -> char {
    match decide(facts).unwrap().verdict {
        Verdict::Permit => 'Y',
        Verdict::Review => '?',
        Verdict::Deny => 'n',
    }
}

fn rows(out: &mut String, consent: &[String], commercial: bool, country: &str) {
    for (requester, list) in REQUESTERS {
        let mut policy = policy(consent);
        list(&mut policy);
        let cells: Vec<String> = purposes()
            .iter()
            .map(|purpose| format!("{:>7}", verdict(&facts(&policy, purpose, commercial, country))))
            .collect();
        writeln!(out, "{:<44} {requester:<8}{}", consent.join(" + "), cells.concat()).unwrap();
    }
}

/// What a white paper shows to whom, each as a column.
fn disclosures() -> [(&'static str, Disclosure); 7] {
    let sealed = || Disclosure::sealed(Release::Sealed);
    let audited = |by| Disclosure { auditors: vec![by], ..sealed() };
    [
        ("sealed", sealed()),
        ("to all", Disclosure::sealed(Release::Public)),
        ("exact", Disclosure::public_exact()),
        ("noised", Disclosure { sums: Sums::Noised, ..sealed() }),
        ("audited", audited(AUDITOR)),
        ("trainer", audited(TRAINER)),
        ("owner", audited(Address::repeat_byte(1))),
    ]
}

/// How a policy and what the ledger says of auditors are changed.
type Shown = fn(&mut DecisionFacts);

const SHOWN: [(&str, Shown); 5] = [
    ("nothing allowed", |_| {}),
    ("allow_public_exact", |f| f.policy.allow_public_exact = true),
    ("allow_auditors: auditor", |f| f.policy.allow_auditors = vec![AUDITOR]),
    ("the same, a runner on the ledger", |f| {
        f.policy.allow_auditors = vec![AUDITOR];
        f.auditors_independent = f.paper.disclosure.auditors.is_empty();
    }),
    ("everybody allowed", |f| {
        f.policy.allow_public_exact = true;
        f.policy.allow_auditors = vec![AUDITOR, TRAINER, Address::repeat_byte(1)];
    }),
];

/// Who may see what: columns are what the paper asks (sealed; sealed with a model for everybody; exact sums for everybody;
/// noised; audited by an auditor, by the trainer, by the owner itself).
fn shown(out: &mut String) {
    let head: Vec<String> = disclosures().iter().map(|(name, _)| format!("{name:>8}")).collect();
    writeln!(out, "\n# who sees sums and model\n{:<44}{}", "policy", head.concat()).unwrap();
    let purpose = purposes()[0];
    let mut policy = policy(&["DUO:0000042".to_string()]);
    policy.allow_public_exact = false;
    for (name, change) in SHOWN {
        let cells = disclosures().map(|(_, disclosure)| {
            let mut facts = facts(&policy, purpose, false, "DE");
            facts.paper.disclosure = disclosure;
            change(&mut facts);
            format!("{:>8}", verdict(&facts))
        });
        writeln!(out, "{name:<44}{}", cells.concat()).unwrap();
    }
}

#[test]
fn every_term_purpose_and_requester() {
    let head: Vec<String> = purposes()
        .iter()
        .map(|t| match t.short {
            "" => t.id.trim_start_matches("DUO:00000"),
            short => short,
        })
        .map(|name| format!("{name:>7}"))
        .collect();
    let mut out = format!("{:<44} {:<8}{}\n", "consent", "who", head.concat());
    out.push_str("\n# not commercial, run in DE\n");
    let permissions: Vec<String> =
        terms().iter().filter(|t| t.kind == TermKind::Permission).map(complete).collect();
    for permission in &permissions {
        rows(&mut out, std::slice::from_ref(permission), false, "DE");
    }
    for modifier in terms().iter().filter(|t| t.kind == TermKind::Modifier) {
        rows(&mut out, &["DUO:0000042".to_string(), complete(modifier)], false, "DE");
    }
    out.push_str("\n# commercial, run in US\n");
    for modifier in terms().iter().filter(|t| t.kind == TermKind::Modifier) {
        rows(&mut out, &["DUO:0000042".to_string(), complete(modifier)], true, "US");
    }
    shown(&mut out);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/permissions.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &out).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == out,
        "`{}` says otherwise; when the change is wanted, run again with UPDATE_SNAPSHOTS=1\n{out}",
        path.display()
    );
}
