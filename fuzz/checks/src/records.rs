//! Signed statements, the evidence of enclaves, and the document of a plan: JSON with one form.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use histone_attestation::platform;
use histone_attestation::simulated::SimulatedVendor;
use histone_protocol::consent::{
    AllowedAccount, AppraisalTerms, ConsentPolicy, DecisionFacts, DecisionRecord, Split, Verdict, WhitePaper,
};
use histone_protocol::disclosure::{Disclosure, Release};
use histone_protocol::evidence::{DeviceCertificate, EnclaveKeys, Evidence, Platform, Quote};
use histone_protocol::keys::SigningKey;
use histone_protocol::letter::Profile;
use histone_protocol::notice::{Earlier, GenotypeFinding, GenotypeQuality, QualityVerdict, ValidationNotice};
use histone_protocol::plan::{
    ColumnKind, FORMAT, MissingCells, PlanDocument, PlanFeature, PlanOutcome, PlanPrograms, PlanStage,
};
use histone_protocol::record::{LedgerId, Record, RecordError, Signed};
use histone_protocol::report::{
    ColumnFlags, HostedStatement, NamedValue, SiteEvaluation, UsedData, ValidationReport,
};
use histone_protocol::seal::SealKey;
use histone_protocol::{Address, B256};

fn signed<T: Record>(bytes: &[u8]) -> bool {
    let Ok(signed) = Signed::<T>::from_bytes(bytes) else { return false };
    assert!(signed.to_bytes() == bytes, "a record has two encodings");
    let _ = signed.open();
    true
}

/// Every kind of record, evidence, and plans.
pub fn record(bytes: &[u8]) -> bool {
    let plan = PlanDocument::from_bytes(bytes).ok();
    if let Some(plan) = &plan {
        assert!(plan.to_bytes() == bytes, "a plan has two encodings");
        let _ = plan.committee();
    }
    let evidence = Evidence::from_bytes(bytes);
    if let Some(evidence) = &evidence {
        assert!(evidence.to_bytes() == bytes, "evidence has two encodings");
        let _ = evidence.certificate.open();
    }
    let _ = platform::read(bytes);
    [
        plan.is_some(),
        evidence.is_some(),
        signed::<ConsentPolicy>(bytes),
        signed::<WhitePaper>(bytes),
        signed::<DecisionRecord>(bytes),
        signed::<ValidationReport>(bytes),
        signed::<SiteEvaluation>(bytes),
        signed::<HostedStatement>(bytes),
        signed::<ValidationNotice>(bytes),
        signed::<DeviceCertificate>(bytes),
        signed::<Quote>(bytes),
        signed::<Profile>(bytes),
    ]
    .contains(&true)
}

fn policy() -> ConsentPolicy {
    ConsentPolicy {
        ledger: LedgerId { chain_id: 31_337, contract: Address::repeat_byte(9) },
        owner: Address::repeat_byte(1),
        country: "DE".into(),
        terms: vec!["DUO:0000006".into(), "DUO:0000018".into()],
        allow_purposes: vec!["DUO:0000037".into()],
        deny_purposes: vec![],
        allow_accounts: vec![AllowedAccount {
            account: Address::repeat_byte(2),
            meets: vec!["DUO:0000018".into()],
        }],
        deny_accounts: vec![Address::repeat_byte(3)],
        versions: 1,
        allow_public_exact: true,
        allow_auditors: vec![Address::repeat_byte(7)],
        allow_one_enclave: true,
        allow_closed: vec![B256::repeat_byte(3)],
    }
}

fn paper() -> WhitePaper {
    WhitePaper {
        ledger: policy().ledger,
        name: "model".into(),
        predicts: "a \"thing\", größer".into(),
        trainer: Address::repeat_byte(2),
        trainer_name: "trainer".into(),
        purpose: "DUO:0000006".into(),
        disease: Some("MONDO:0004989".into()),
        commercial: false,
        country: "DE".into(),
        features: vec!["age".into()],
        label: "ill".into(),
        min_rows: 20,
        instant_payment: 1,
        query_price: 1_000_000,
        split: Split { donors: 7_000, trainer: 2_000, runner: 1_000 },
        programs: vec![B256::repeat_byte(3)],
        appraisal: AppraisalTerms {
            platforms: vec![Platform::SIMULATED, Platform::from_code(2)],
            max_age_seconds: 3_600,
            simulated_vendors: vec![Address::repeat_byte(8)],
        },
        disclosure: disclosure(),
        plan: B256::repeat_byte(5),
    }
}

fn disclosure() -> Disclosure {
    Disclosure {
        auditors: vec![Address::repeat_byte(7)],
        answers: 20,
        ..Disclosure::sealed(Release::Participants)
    }
}

fn plan() -> PlanDocument {
    let feature = |name: &str, kind| PlanFeature { name: name.into(), kind, zero_is_missing: false };
    PlanDocument {
        format: FORMAT.into(),
        method: "logistic 1.1.0".into(),
        features: vec![
            feature("age", ColumnKind::Range([0.0, 120.5])),
            feature("sex", ColumnKind::Levels(vec!["f".into(), "m".into()])),
        ],
        outcome: PlanOutcome::Number("cost".into(), [0.0, 1e9]),
        missing: MissingCells::Median,
        holdout: 0.2,
        settings: [("ridge".into(), 1e-9)].into(),
        agenda: vec![PlanStage { stage: "describe".into(), numbers: 10, rounds: 1 }],
        least: 5,
        min_survivors: 3,
        committee_members: 7,
        colluders: 1,
        round_seconds: 3_600,
        opening_seconds: 3_600,
        disclosure: disclosure(),
        manifest: B256::repeat_byte(6),
        programs: PlanPrograms {
            validation: B256::repeat_byte(1),
            training: B256::repeat_byte(2),
            query: B256::repeat_byte(3),
        },
    }
}

/// A record of each kind. They are fixed, so nothing about them can fail.
pub fn records() -> Vec<(String, Vec<u8>)> {
    made().unwrap_or_else(|error| panic!("the records of the seeds: {error}"))
}

fn made() -> Result<Vec<(String, Vec<u8>)>, RecordError> {
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let key = SigningKey::generate(&mut rng);
    let (ledger, dataset) = (policy().ledger, B256::repeat_byte(4));
    let facts = DecisionFacts {
        policy: policy(),
        paper: paper(),
        model_id: 1,
        dataset,
        data_matches: true,
        dataset_in_force: true,
        enclaves_acceptable: true,
        auditors_independent: true,
        time: 1_800_000_000,
    };
    let decision =
        DecisionRecord { facts, rules: "1".into(), verdict: Verdict::Deny, reasons: vec!["because".into()] };
    let report = ValidationReport {
        ledger,
        platform: Platform::SIMULATED,
        owner: Address::repeat_byte(1),
        root: dataset,
        rows: 20,
        quality: 2,
        has_duplicates: false,
        flagged: vec![ColumnFlags { column: "age".into(), flags: vec!["constant".into()] }],
        notice: B256::repeat_byte(6),
    };
    let evaluation = SiteEvaluation {
        ledger,
        platform: Platform::SIMULATED,
        model_id: 1,
        donor: 2,
        model_hash: B256::repeat_byte(7),
        fields: vec![
            NamedValue { name: "auc".into(), value: Some(0.912_5) },
            NamedValue { name: "slope".into(), value: None },
        ],
    };
    let hosted = HostedStatement {
        ledger,
        platform: Platform::SIMULATED,
        model_id: 1,
        plan: B256::repeat_byte(5),
        model_hash: Some(B256::repeat_byte(7)),
        released: Some(B256::repeat_byte(8)),
        donors: vec![UsedData { donor: 2, dataset, root: B256::repeat_byte(9) }],
        destroyed: vec![dataset],
    };
    let notice = ValidationNotice {
        ledger,
        owner: Address::repeat_byte(1),
        root: dataset,
        earlier: vec![Earlier { lineage: B256::repeat_byte(8), percent: 95 }],
        more: false,
        genotypes: Some(GenotypeQuality {
            verdict: QualityVerdict::Review,
            findings: vec![GenotypeFinding {
                measure: "hardy-weinberg".into(),
                value: "9.1234".into(),
                verdict: QualityVerdict::Review,
            }],
        }),
    };
    let profile = Profile {
        ledger,
        name: "university hospital, größer".into(),
        roles: 3,
        mailbox: Address::repeat_byte(5),
        mail_key: SealKey::from_seed(&[1; 32]).public(),
        seal_key: SealKey::from_seed(&[2; 32]).public(),
        device: Some(Address::repeat_byte(6)),
    };
    let device = SimulatedVendor::generate(&mut rng).make_device(&mut rng)?;
    let keys = EnclaveKeys {
        receipt: SigningKey::generate(&mut rng).address(),
        seal: SealKey::generate(&mut rng).public(),
    };
    let (operator, measurement) = (Address::repeat_byte(4), B256::repeat_byte(5));
    let evidence = device.evidence(keys, operator, measurement, B256::repeat_byte(6), 1_800_000_000)?;
    let seeds = [
        ("consent-policy", Signed::sign(&policy(), &key)?.to_bytes()),
        ("white-paper", Signed::sign(&paper(), &key)?.to_bytes()),
        ("consent-decision", Signed::sign(&decision, &key)?.to_bytes()),
        ("validation-report", Signed::sign(&report, &key)?.to_bytes()),
        ("site-evaluation", Signed::sign(&evaluation, &key)?.to_bytes()),
        ("hosted-training", Signed::sign(&hosted, &key)?.to_bytes()),
        ("validation-notice", Signed::sign(&notice, &key)?.to_bytes()),
        ("certificate", evidence.certificate.to_bytes()),
        ("quote", evidence.quote.to_bytes()),
        ("evidence", evidence.to_bytes()),
        ("plan", plan().to_bytes()),
        ("profile", Signed::sign(&profile, &key)?.to_bytes()),
    ];
    Ok(seeds.map(|(name, bytes)| (name.into(), bytes)).into())
}
